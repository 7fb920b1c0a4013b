package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/bot"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// routes are what the document in force says about routing. They never change.
type routes struct {
	schedules map[string]inForce[*schedule.Schedule]
	bots      map[string]inForce[*botEntry]
	webhooks  map[string]inForce[*endpoint]
	policies  map[string]*policyEntry
	// chains by channel; a channel without policies has none.
	chains map[string]*chain
}

// inForce is an entry's content with the hash of the entry.
type inForce[T any] struct {
	content T
	hash    string
}

func newRoutes() *routes {
	return &routes{schedules: map[string]inForce[*schedule.Schedule]{}, bots: map[string]inForce[*botEntry]{},
		webhooks: map[string]inForce[*endpoint]{}, policies: map[string]*policyEntry{}, chains: map[string]*chain{}}
}

// botEntry is a bot: built-in, or a webhook with what is done for it.
type botEntry struct {
	builtIn *bot.Bot
	// Of a webhook's bot.
	webhook  *endpoint
	person   bot.Keywords
	handover document.BotHandover
}

// policyEntry is a policy with its program. fingerprint is of everything that the
// program was made of: while it stays the same, so does the program.
type policyEntry struct {
	program     *routing.Program
	hash        string // of the entry
	fingerprint string
}

// chain is the policies of a channel, with what their decisions want to know.
type chain struct {
	*routing.Chain
	programs  map[string]*routing.Program // by hash, without shadows
	shadows   []*routing.Program
	needs     routing.Needs
	schedules []namedSchedule
	external  bool // some of its bots and webhooks are called over the network
}

type namedSchedule struct {
	name string
	*schedule.Schedule
}

// chain of a channel; nil where nothing is routed.
func (st *state) chain(channel string) *chain { return st.routes.chains[channel] }

// enforces says whether decisions about a channel are carried out: some of its
// policies are not shadows.
func (st *state) enforces(channel string) bool {
	c := st.chain(channel)
	return c != nil && len(c.programs) > 0
}

// loadEntry puts an entry into force, or keeps its last good version.
func loadEntry[T any](e document.Entry, old, next map[string]inForce[T], content T, err error) (running string, _ error) {
	if err == nil {
		next[e.Name] = inForce[T]{content, e.Hash}
		return "", nil
	}
	if kept, ok := old[e.Name]; ok {
		next[e.Name], running = kept, kept.hash
	}
	return running, err
}

// route loads an entry that is about routing. Policies wait until all they can
// refer to is known.
func (l *loader) route(e document.Entry) (running string, err error) {
	old, next := l.old.routes, l.next.routes
	switch e.Kind {
	case document.EntrySchedule:
		s, err := l.schedule(e)
		return loadEntry(e, old.schedules, next.schedules, s, err)
	case document.EntryBot:
		b, err := newBotEntry(e)
		return loadEntry(e, old.bots, next.bots, b, err)
	case document.EntryWebhook:
		spec, err := decodeSpec[document.Webhook](e.Spec)
		var hook *endpoint
		if err == nil {
			hook, err = newEndpoint(e.Name, spec)
		}
		return loadEntry(e, old.webhooks, next.webhooks, hook, err)
	case document.EntryRoutingPolicy:
		l.waiting = append(l.waiting, e)
	}
	return "", nil
}

func (l *loader) schedule(e document.Entry) (*schedule.Schedule, error) {
	if known, ok := l.old.routes.schedules[e.Name]; ok && known.hash == e.Hash {
		return known.content, nil // the very same, so that programs stay as well
	}
	spec, err := decodeSpec[schedule.Spec](e.Spec)
	if err != nil {
		return nil, err
	}
	s, err := schedule.Compile(spec)
	if fe := (*schedule.FieldError)(nil); errors.As(err, &fe) {
		return nil, &FieldError{Field: fe.Field, Message: fe.Message}
	}
	return s, err
}

func newBotEntry(e document.Entry) (*botEntry, error) {
	spec, err := decodeSpec[document.Bot](e.Spec)
	switch {
	case err != nil:
		return nil, err
	case (len(spec.BuiltIn) == 0) == (spec.Webhook == nil):
		return nil, &FieldError{Field: "builtIn", Message: "a bot has either builtIn or webhook"}
	case spec.Webhook != nil:
		hook, err := newEndpoint(e.Name, *spec.Webhook)
		if fe := (*FieldError)(nil); errors.As(err, &fe) {
			fe.Field = "webhook." + fe.Field
		}
		return &botEntry{webhook: hook, person: bot.CompileKeywords(spec.Handover.Keywords), handover: spec.Handover}, err
	}
	var builtIn bot.Spec
	if err := json.Unmarshal(spec.BuiltIn, &builtIn); err != nil {
		return nil, &FieldError{Field: "builtIn", Message: err.Error()}
	}
	b, found := bot.Compile(builtIn)
	if b == nil {
		return nil, findingError(found)
	}
	return &botEntry{builtIn: b}, nil
}

// findingError is the first finding that keeps an entry out of force.
func findingError(found []routing.Finding) error {
	for _, f := range found {
		if f.Effect == routing.EffectRejected {
			return &FieldError{Field: f.Field, Message: f.Message}
		}
	}
	return errors.New("it cannot be compiled")
}

// compilePolicies makes programs of the policies, and chains of those.
func (l *loader) compilePolicies() {
	for _, e := range l.waiting {
		if running, err := l.policy(e); err != nil {
			l.except(e, running, err)
		}
	}
	made := map[string]*chain{}
	for name, ch := range l.next.channels {
		if len(ch.Policies) == 0 {
			continue
		}
		key := strings.Join(ch.Policies, "\n") // channels of the same policies share a chain
		if _, ok := made[key]; !ok {
			made[key] = l.next.newChain(ch.Policies)
		}
		if c := made[key]; c != nil {
			l.next.routes.chains[name] = c
		}
	}
}

func (l *loader) policy(e document.Entry) (running string, err error) {
	old, next := l.old.routes.policies[e.Name], l.next.routes.policies
	policy, err := decodeSpec[routing.Policy](e.Spec)
	if err == nil {
		refs, fingerprint := l.next.refs(policy)
		fingerprint = e.Hash + fingerprint
		if old != nil && old.fingerprint == fingerprint {
			next[e.Name] = old
			return "", nil
		}
		program, found := routing.Compile(policy, refs)
		if program != nil {
			next[e.Name] = &policyEntry{program: program, hash: e.Hash, fingerprint: fingerprint}
			return "", nil
		}
		err = findingError(found)
	}
	if old != nil {
		next[e.Name], running = old, old.hash
	}
	return running, err
}

// refs are what a policy refers to, as far as it is in force, and what tells
// them apart from other versions.
func (st *state) refs(policy routing.Policy) (routing.Refs, string) {
	named := routing.AssumeRefs(policy)
	refs := routing.Refs{Schedules: map[string]*schedule.Schedule{}, Queues: map[string]routing.QueueRef{}, Bots: map[string]bool{}, Webhooks: map[string]bool{}}
	var print strings.Builder
	add := func(kind, name, hash string) { fmt.Fprintf(&print, "\n%s/%s %s", kind, name, hash) }
	schedules := named.Schedules
	for _, name := range slices.Sorted(maps.Keys(named.Queues)) {
		if ref, ok := st.queueRef(name); ok {
			refs.Queues[name] = ref
			add("queue", name, ref.Schedule)
			if ref.Schedule != "" {
				schedules[ref.Schedule] = nil
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(schedules)) {
		if s, ok := st.routes.schedules[name]; ok {
			refs.Schedules[name] = s.content
			add("schedule", name, s.hash)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named.Bots)) {
		if _, ok := st.routes.bots[name]; ok {
			refs.Bots[name] = true
			add("bot", name, "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named.Webhooks)) {
		if _, ok := st.routes.webhooks[name]; ok {
			refs.Webhooks[name] = true
			add("webhook", name, "")
		}
	}
	return refs, print.String()
}

// newChain is the chain of policies; nil when none of them is in force.
func (st *state) newChain(names []string) *chain {
	var programs []*routing.Program
	for _, name := range names {
		if p := st.routes.policies[name]; p != nil {
			programs = append(programs, p.program)
		}
	}
	if len(programs) == 0 {
		return nil
	}
	c := &chain{Chain: routing.NewChain(programs...), programs: map[string]*routing.Program{}}
	c.shadows = c.Shadows()
	for _, p := range c.Programs() {
		c.programs[p.Hash()] = p
	}
	for _, p := range programs {
		c.needs = joinNeeds(c.needs, p.Needs())
	}
	for _, name := range c.needs.Schedules {
		if s, ok := st.routes.schedules[name]; ok {
			c.schedules = append(c.schedules, namedSchedule{name, s.content})
		}
	}
	c.external = len(c.needs.Webhooks) > 0 || slices.ContainsFunc(c.needs.Bots, func(name string) bool {
		b := st.routes.bots[name].content
		return b != nil && b.webhook != nil
	})
	return c
}

func joinNeeds(a, b routing.Needs) routing.Needs {
	join := func(a, b []string) []string {
		return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
	}
	return routing.Needs{Schedules: join(a.Schedules, b.Schedules), Queues: join(a.Queues, b.Queues), Bots: join(a.Bots, b.Bots), Webhooks: join(a.Webhooks, b.Webhooks),
		Agent: a.Agent || b.Agent, Contact: a.Contact || b.Contact, Sent: a.Sent || b.Sent, Language: a.Language || b.Language}
}

// scheduleFacts are which of the chain's schedules are open.
func (c *chain) scheduleFacts(now time.Time) map[string]routing.ScheduleFacts {
	if len(c.schedules) == 0 {
		return nil
	}
	facts := make(map[string]routing.ScheduleFacts, len(c.schedules))
	for _, s := range c.schedules {
		facts[s.name] = routing.ScheduleFacts{Open: s.Open(now)}
	}
	return facts
}
