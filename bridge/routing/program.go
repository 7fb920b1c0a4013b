package routing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/keyword"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// Program is a compiled policy. It is immutable and safe for concurrent use.
type Program struct {
	policy    Policy
	hash      string
	archive   []byte
	seed      string
	rules     []rule // without those that were dropped
	route     step   // the default route
	schedules map[string]*schedule.Schedule
	bots      map[string]bool
	states    []RuleState
	// conditions and phrases of all rules, each once.
	conditions conditions
	phrases    keyword.Set
}

// rule is a compiled Rule.
type rule struct {
	spec    *Rule
	matches []match
	steps   []step
}

// step is a compiled Step.
type step struct {
	name     string
	sticky   *Sticky
	backends []backend
	weights  []int
	skills   *Skills
	skipIf   *SkipIf
	timeout  time.Duration
	clock    Clock
	next     int // index; -1: none
}

// backend is a compiled BackendRef.
type backend struct {
	kind     BackendKind
	name     string
	schedule string // of a queue, or of the policy for queues without
	missing  bool   // nothing has that name: the share goes on to the next step
}

// RuleState is what became of a rule: for the status of its resource.
type RuleState struct {
	Name       string    `json:"name"`
	State      RuleStage `json:"state"`
	ShadowedBy []string  `json:"shadowedBy,omitempty"`
}

// RuleStage is whether a rule takes part.
type RuleStage string

const (
	RuleActive   RuleStage = "Active"
	RuleShadowed RuleStage = "Shadowed" // earlier rules take all that it would match
	RuleDropped  RuleStage = "Dropped"  // it has a mistake
)

// Name is the policy's "namespace/name".
func (p *Program) Name() string { return p.policy.Name }

// Priority is the policy's priority.
func (p *Program) Priority() int { return p.policy.Priority }

// Mode is the policy's mode, never empty.
func (p *Program) Mode() Mode { return orDefault(p.policy.Mode, ModeEnforce) }

// Hash identifies this version of the policy, together with what its references
// resolved to: hex SHA-256 of Archive.
func (p *Program) Hash() string { return p.hash }

// Archive is canonical JSON from which FromArchive makes the same program. It is
// kept as long as a decision refers to its Hash.
func (p *Program) Archive() []byte { return bytes.Clone(p.archive) }

// Rules is what became of each rule, in the order of the policy.
func (p *Program) Rules() []RuleState { return slices.Clone(p.states) }

// Needs are what a decision wants facts about: names, sorted, and parts of Facts
// that it does not look at otherwise. What is left out of the facts is then a
// matter of cost, never of the result.
type Needs struct {
	Schedules, Queues, Bots, Webhooks []string
	// Agent: Facts.Agent, on every event. (On Reopened it always counts.)
	Agent bool
	// Contact: its Attributes and LastContactAt.
	Contact bool
	// Sent: when the contact last got the policy's texts.
	Sent bool
	// Language: what was said about the contact's language before.
	Language bool
}

// Needs are the facts to collect before Decide.
func (p *Program) Needs() Needs {
	schedules, queues, bots, webhooks := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	add := func(backends []backend) {
		for _, b := range backends {
			switch {
			case b.missing:
			case b.kind == BackendBot:
				bots[b.name] = true
			case b.kind == BackendWebhook:
				webhooks[b.name] = true
			default:
				queues[b.name] = true
				if b.schedule != "" {
					schedules[b.schedule] = true
				}
			}
		}
	}
	add(p.route.backends)
	for _, r := range p.rules {
		for _, m := range r.matches {
			if m.spec.Schedule != nil {
				schedules[m.spec.Schedule.Name] = true
			}
		}
		for _, s := range r.steps {
			add(s.backends)
		}
	}
	if hours := p.policy.OutOfHours; hours != nil && hours.Bot != "" {
		bots[hours.Bot] = true
	}
	n := Needs{Schedules: sortedKeys(schedules), Queues: sortedKeys(queues), Bots: sortedKeys(bots), Webhooks: sortedKeys(webhooks)}
	p.people(&n)
	return n
}

// people says which facts about the contact and their agent count. A webhook is
// told the contact's attributes.
func (p *Program) people(n *Needs) {
	n.Contact, n.Language = len(n.Webhooks) > 0, len(n.Webhooks)+len(n.Bots) > 0
	for _, kind := range []ReplyKind{ReplyGreeting, ReplyAuto, ReplyAway} {
		reply := p.reply(kind)
		n.Sent, n.Language = n.Sent || reply != nil, n.Language || reply != nil && len(reply.Texts) > 1
	}
	for _, r := range p.rules {
		for _, m := range r.matches {
			n.Agent = n.Agent || m.expression != nil
			n.Language = n.Language || m.expression != nil || len(m.spec.Languages) > 0
			n.Contact = n.Contact || m.expression != nil || m.spec.SinceLastContact != nil || len(m.spec.Attributes) > 0
		}
		for _, s := range r.steps {
			n.Agent = n.Agent || s.sticky != nil
		}
	}
}

// ScheduleFacts are whether the policy's schedules are open, for Facts.Schedules.
// A schedule that does not exist is left out.
func (p *Program) ScheduleFacts(now time.Time) map[string]ScheduleFacts {
	facts := map[string]ScheduleFacts{}
	for _, name := range p.Needs().Schedules {
		if s := p.schedules[name]; s != nil {
			facts[name] = ScheduleFacts{Open: s.Open(now)}
		}
	}
	return facts
}

// Deadline is when the decision's step ends, if it was entered at the given time.
// It reports false for one that lasts.
func (p *Program) Deadline(d Decision, entered time.Time) (time.Time, bool) {
	return d.Deadline(p.schedules[d.Schedule], entered)
}

// Deadline is when the decision's step ends, by the hours of d.Schedule; nil where
// that is not in force. It reports false for one that lasts. Business time that never
// comes again (a schedule that is over) runs on the wall: nothing waits for ever.
func (d Decision) Deadline(hours *schedule.Schedule, entered time.Time) (time.Time, bool) {
	timeout := time.Duration(d.Timeout)
	if timeout <= 0 {
		return time.Time{}, false
	}
	if d.Clock == ClockBusiness && hours != nil {
		if due, ok := hours.AddBusiness(entered, timeout); ok {
			return due, true
		}
	}
	return entered.Add(timeout).UTC(), true
}

// Set is what a decision's rule writes to the conversation.
func (p *Program) Set(d Decision) Set {
	if r := p.rule(d.Rule); r != nil {
		return r.spec.Set
	}
	return Set{}
}

// Skills are what a decision's step asks of an agent.
func (p *Program) Skills(d Decision) Skills {
	if s := p.step(d.Rule, d.Step); s != nil {
		return *s.skills
	}
	return Skills{}
}

// Text is the text of a reply, empty for none.
func (p *Program) Text(r ReplyChoice) string {
	if reply := p.reply(r.Kind); reply != nil {
		return reply.Texts[r.Language]
	}
	return ""
}

func (p *Program) reply(kind ReplyKind) *Reply {
	switch {
	case kind == ReplyGreeting:
		return p.policy.Greeting
	case kind == ReplyAuto:
		return p.policy.AutoReply
	case kind == ReplyAway && p.policy.OutOfHours != nil:
		return p.policy.OutOfHours.Away
	}
	return nil
}

func (p *Program) rule(name string) *rule {
	if name == "" {
		return nil
	}
	for i := range p.rules {
		if p.rules[i].spec.Name == name {
			return &p.rules[i]
		}
	}
	return nil
}

func (p *Program) step(ruleName, name string) *step {
	if name == defaultName {
		return &p.route
	}
	r := p.rule(ruleName)
	if r == nil {
		return nil
	}
	if i := r.stepIndex(name); i >= 0 {
		return &r.steps[i]
	}
	return nil
}

func (r *rule) stepIndex(name string) int {
	return slices.IndexFunc(r.steps, func(s step) bool { return s.name == name })
}

// archived is the content of an archive.
type archived struct {
	// Format of the archive; another meaning of the same policy is a new one.
	Format   int                 `json:"format"`
	Policy   Policy              `json:"policy"`
	Queues   map[string]QueueRef `json:"queues,omitempty"`
	Bots     []string            `json:"bots,omitempty"`
	Webhooks []string            `json:"webhooks,omitempty"`
}

const archiveFormat = 1

func (p *Program) seal(refs Refs) error {
	needed := AssumeRefs(p.policy)
	a := archived{Format: archiveFormat, Policy: p.policy, Queues: map[string]QueueRef{}}
	for name := range needed.Queues {
		if ref, ok := refs.Queues[name]; ok {
			a.Queues[name] = ref
		}
	}
	for _, name := range sortedKeys(needed.Bots) {
		if refs.Bots[name] {
			a.Bots = append(a.Bots, name)
		}
	}
	for _, name := range sortedKeys(needed.Webhooks) {
		if refs.Webhooks[name] {
			a.Webhooks = append(a.Webhooks, name)
		}
	}
	data, err := canonicalJSON(a)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	p.archive, p.hash = data, hex.EncodeToString(sum[:])
	return nil
}

// FromArchive makes the program that an archive is of. Its schedules are unknown: a
// replay takes from the facts whether they were open.
func FromArchive(data []byte) (*Program, error) {
	var a archived
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("archived policy: %w", err)
	}
	if a.Format != archiveFormat {
		return nil, fmt.Errorf("archived policy: format %d, this version reads %d", a.Format, archiveFormat)
	}
	refs := AssumeRefs(a.Policy) // for the schedules
	refs.Queues, refs.Bots, refs.Webhooks = a.Queues, toSet(a.Bots), toSet(a.Webhooks)
	p, found := Compile(a.Policy, refs)
	if p == nil {
		return nil, fmt.Errorf("archived policy: %v", found)
	}
	return p, nil
}

func toSet(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// canonicalJSON is JSON with sorted keys, without spaces and without escapes that
// JSON does not need: the same bytes for the same content (RFC 8785, for values
// that hold no fractions).
func canonicalJSON(value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var generic any
	if err := decoder.Decode(&generic); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(generic); err != nil {
		return nil, err
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

func orDefault[T ~string](value, otherwise T) T {
	if value == "" {
		return otherwise
	}
	return value
}
