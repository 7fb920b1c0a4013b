package routing

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Policies and facts over so few words that rules match, overlap and shadow.
var (
	someLanguages = []string{"de", "de-AT", "fr", "fr-CA", "en", "zh-Hant-TW"}
	someTopics    = []string{"billing", "refund", "delivery"}
	someWords     = []string{"refund", "my refund", "where", "hello", "退款"}
	someQueues    = []string{"q/a", "q/b", "q/c"}
	someBots      = []string{"b/a", "b/b"}
	someSchedules = []string{"s/a", "s/b"}
	someKeys      = []string{"tier", "brand"}
	someValues    = []string{"gold", "acme"}
	someCEL       = []string{"true", `contact.attributes["tier"] == "gold"`, `message.text.contains("where")`, `"billing" in conversation.topics`, `now - contact.lastContactAt < duration("1h")`}
	base          = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
)

func some[T any](t *rapid.T, label string, from []T, most int) []T {
	return rapid.SliceOfN(rapid.SampledFrom(from), 0, most).Draw(t, label)
}

func maybe(t *rapid.T, label string) bool { return rapid.IntRange(0, 2).Draw(t, label) == 0 }

func drawMap(t *rapid.T, label string) map[string]string {
	m := map[string]string{}
	for _, key := range some(t, label, someKeys, 2) {
		m[key] = rapid.SampledFrom(someValues).Draw(t, label+" value")
	}
	return m
}

func drawHours(t *rapid.T, label string) document.Duration {
	return document.Duration(time.Duration(rapid.IntRange(0, 4).Draw(t, label)) * time.Hour)
}

func drawMatch(t *rapid.T) Match {
	m := Match{}
	if maybe(t, "has languages") {
		m.Languages = some(t, "languages", someLanguages, 2)
	}
	if maybe(t, "has topics") {
		m.Topics = some(t, "topics", someTopics, 2)
	}
	if maybe(t, "has labels") {
		m.Labels = drawMap(t, "labels")
	}
	if maybe(t, "has attributes") {
		m.Attributes = drawMap(t, "attributes")
	}
	if maybe(t, "has schedule") {
		m.Schedule = &ScheduleMatch{Name: rapid.SampledFrom(someSchedules).Draw(t, "schedule"), Is: rapid.SampledFrom([]ScheduleState{ScheduleOpen, ScheduleClosed}).Draw(t, "is")}
	}
	if maybe(t, "has since") {
		s := SinceMatch{AtLeast: drawHours(t, "at least"), LessThan: drawHours(t, "less than")}
		if s.AtLeast+s.LessThan > 0 && (s.LessThan == 0 || s.AtLeast < s.LessThan) {
			m.SinceLastContact = &s
		}
	}
	if maybe(t, "has text") {
		text := TextMatch{Any: some(t, "any", someWords, 2), All: some(t, "all", someWords, 2), None: some(t, "none", someWords, 1)}
		if len(text.Any)+len(text.All)+len(text.None) > 0 {
			m.Text = &text
		}
	}
	if maybe(t, "has expression") {
		m.Expression = rapid.SampledFrom(someCEL).Draw(t, "expression")
	}
	return m
}

func drawBackends(t *rapid.T, kinds ...BackendKind) []BackendRef {
	n := rapid.IntRange(1, 3).Draw(t, "backends")
	refs := make([]BackendRef, n)
	for i := range refs {
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		name := rapid.SampledFrom(someQueues).Draw(t, "queue")
		if kind != BackendAgentQueue {
			name = rapid.SampledFrom(someBots).Draw(t, "bot")
		}
		weight := rapid.IntRange(1, 3).Draw(t, "weight")
		refs[i] = BackendRef{Kind: kind, Name: name, Weight: &weight}
	}
	return refs
}

func drawStep(t *rapid.T, i int) Step {
	s := Step{Name: fmt.Sprintf("step-%d", i), Timeout: drawHours(t, "timeout")}
	if maybe(t, "is sticky") {
		s.Sticky = &Sticky{MaxAge: drawHours(t, "max age"), Require: rapid.SampledFrom([]StickyRequire{"", RequireOnline, RequireOnlineWithCapacity}).Draw(t, "require")}
	}
	if s.Sticky == nil || rapid.Bool().Draw(t, "has backends") {
		s.BackendRefs = drawBackends(t, BackendAgentQueue, BackendAgentQueue, BackendBot, BackendWebhook)
	}
	if maybe(t, "skips") {
		depth := rapid.IntRange(0, 3).Draw(t, "depth")
		s.SkipIf = &SkipIf{OnlineBelow: rapid.IntRange(0, 2).Draw(t, "online below"), AvailableBelow: rapid.IntRange(0, 2).Draw(t, "available below"), DepthAbove: &depth, OldestWaitAbove: drawHours(t, "oldest")}
	}
	return s
}

func drawPolicy(t *rapid.T) Policy {
	p := Policy{
		Name: "ns/policy", Priority: rapid.IntRange(0, 3).Draw(t, "priority"), DefaultLanguage: "en",
		Split:        Split{Unit: rapid.SampledFrom([]Unit{"", UnitContact, UnitConversation}).Draw(t, "unit")},
		DefaultRoute: &Route{BackendRefs: drawBackends(t, BackendAgentQueue)},
		Reopen:       Reopen{Reroute: rapid.SampledFrom([]Reroute{"", RerouteAlways, RerouteNever}).Draw(t, "reroute"), Within: drawHours(t, "within")},
		Greeting:     &Reply{Texts: map[string]string{"en": "Hello", "de": "Hallo"}, OncePer: drawHours(t, "greeting once per")},
		AutoReply:    &Reply{Texts: map[string]string{"en": "Wait"}},
	}
	if rapid.Bool().Draw(t, "has hours") {
		p.OutOfHours = &OutOfHours{Schedule: rapid.SampledFrom(someSchedules).Draw(t, "hours"), Bot: "b/a", Away: &Reply{Texts: map[string]string{"en": "Away"}},
			Action: rapid.SampledFrom([]OutOfHoursAction{OutOfHoursHoldAndReply, OutOfHoursBot, OutOfHoursNextStep, OutOfHoursIgnore}).Draw(t, "action")}
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "rules") {
		r := Rule{Name: fmt.Sprintf("rule-%d", i), OnExhausted: rapid.SampledFrom([]OnExhausted{"", ExhaustedHold, ExhaustedDefault, ExhaustedClose}).Draw(t, "exhausted")}
		for range rapid.IntRange(0, 3).Draw(t, "matches") {
			r.Matches = append(r.Matches, drawMatch(t))
		}
		for j := range rapid.IntRange(1, 3).Draw(t, "steps") {
			r.Steps = append(r.Steps, drawStep(t, j))
		}
		p.Rules = append(p.Rules, r)
	}
	return p
}

func drawFacts(t *rapid.T, p *Program) *Facts {
	f := &Facts{
		Now: base, Event: rapid.SampledFrom([]Event{EventOpened, EventReopened, EventHandoffRequested, EventStepExpired, EventStepFailed}).Draw(t, "event"),
		Contact:      ContactFacts{ID: fmt.Sprintf("contact-%d", rapid.IntRange(0, 9).Draw(t, "contact")), Attributes: drawMap(t, "attributes")},
		Conversation: ConversationFacts{ID: "conversation", OpenedAt: base, Topics: some(t, "topics", someTopics, 2), Labels: drawMap(t, "labels"), Bot: rapid.SampledFrom(someBots).Draw(t, "bot"), StepChanges: rapid.IntRange(0, MaxStepChanges).Draw(t, "changes")},
		Language:     Language{Code: rapid.SampledFrom(append(someLanguages, "")).Draw(t, "language")},
		Agent:        AgentFacts{ID: rapid.SampledFrom([]string{"", "ana"}).Draw(t, "agent"), At: base.Add(-2 * time.Hour), Online: rapid.Bool().Draw(t, "agent online"), Available: rapid.Bool().Draw(t, "agent available"), Queues: some(t, "agent queues", someQueues, 2)},
		Schedules:    map[string]ScheduleFacts{}, Queues: map[string]QueueFacts{}, Bots: map[string]BackendFacts{}, Sent: map[ReplyKind]time.Time{},
	}
	for _, word := range some(t, "words", someWords, 3) {
		f.Message.Text += word + ", "
	}
	if rapid.Bool().Draw(t, "knows them") {
		f.Contact.LastContactAt = base.Add(-time.Duration(drawHours(t, "since")))
	}
	for _, name := range someSchedules {
		if !maybe(t, "schedule is unknown") {
			f.Schedules[name] = ScheduleFacts{Open: rapid.Bool().Draw(t, "open")}
		}
	}
	for _, name := range someQueues {
		if rapid.Bool().Draw(t, "queue is known") {
			f.Queues[name] = QueueFacts{Online: rapid.IntRange(0, 2).Draw(t, "online"), Available: rapid.IntRange(0, 1).Draw(t, "available"), Depth: rapid.IntRange(0, 5).Draw(t, "depth"), OldestWait: drawHours(t, "oldest"), Full: maybe(t, "full")}
		}
	}
	for _, name := range someBots {
		f.Bots[name] = BackendFacts{Failing: maybe(t, "failing")}
	}
	if rapid.Bool().Draw(t, "sent before") {
		f.Sent[ReplyGreeting] = base.Add(-time.Hour)
	}
	if len(p.rules) > 0 && rapid.Bool().Draw(t, "is somewhere") {
		r := rapid.SampledFrom(p.rules).Draw(t, "at rule")
		f.Position = Position{Policy: p.Name(), Hash: p.Hash(), Rule: r.spec.Name, Step: rapid.SampledFrom(r.steps).Draw(t, "at step").name, Queue: rapid.SampledFrom(append(someQueues, "")).Draw(t, "at queue")}
	}
	return f
}

// drawProgram compiles a policy of which some backends may not exist.
func drawProgram(t *rapid.T) *Program {
	policy := drawPolicy(t)
	refs := AssumeRefs(policy)
	if rapid.Bool().Draw(t, "bots are missing") {
		refs.Bots, refs.Webhooks = nil, nil
	}
	p, found := Compile(policy, refs)
	if p == nil {
		t.Fatalf("rejected: %v", found)
	}
	return p
}
