package routing

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

const drawnHour = document.Duration(time.Hour)

func TestMatchFields(t *testing.T) {
	facts := func(change func(f *Facts)) *Facts {
		f := &Facts{Now: base, Event: EventOpened, Contact: ContactFacts{ID: "c"}}
		change(f)
		return f
	}
	long := document.Duration(7 * 24 * time.Hour)
	tests := []struct {
		name  string
		match Match
		facts func(f *Facts)
		want  bool
	}{
		{"language range", Match{Languages: []string{"fr", "de"}}, func(f *Facts) { f.Language.Code = "de-AT" }, true},
		{"language case and underscore", Match{Languages: []string{"PT-br"}}, func(f *Facts) { f.Language.Code = "pt_BR" }, true},
		{"language by prefix of letters", Match{Languages: []string{"de"}}, func(f *Facts) { f.Language.Code = "den" }, false},
		{"range longer than the tag", Match{Languages: []string{"zh-Hant"}}, func(f *Facts) { f.Language.Code = "zh" }, false},
		{"language unknown", Match{Languages: []string{"de"}}, func(*Facts) {}, false},
		{"topic", Match{Topics: []string{"a", "b"}}, func(f *Facts) { f.Conversation.Topics = []string{"x", "b"} }, true},
		{"labels all", Match{Labels: map[string]string{"a": "1", "b": ""}}, func(f *Facts) { f.Conversation.Labels = map[string]string{"a": "1", "b": "", "c": "3"} }, true},
		{"label missing is not empty", Match{Labels: map[string]string{"b": ""}}, func(*Facts) {}, false},
		{"attribute", Match{Attributes: map[string]string{"tier": "gold"}}, func(f *Facts) { f.Contact.Attributes = map[string]string{"tier": "Gold"} }, false},
		{"schedule open", Match{Schedule: &ScheduleMatch{"s", ScheduleOpen}}, func(f *Facts) { f.Schedules = map[string]ScheduleFacts{"s": {Open: true}} }, true},
		{"schedule unknown is not closed", Match{Schedule: &ScheduleMatch{"s", ScheduleClosed}}, func(*Facts) {}, false},
		{"since, exactly", Match{SinceLastContact: &SinceMatch{LessThan: long}}, func(f *Facts) { f.Contact.LastContactAt = base.Add(-time.Duration(long)) }, false},
		{"since, a moment less", Match{SinceLastContact: &SinceMatch{LessThan: long}}, func(f *Facts) { f.Contact.LastContactAt = base.Add(-time.Duration(long) + 1) }, true},
		{"since, never", Match{SinceLastContact: &SinceMatch{LessThan: long}}, func(*Facts) {}, false},
		{"long since, never", Match{SinceLastContact: &SinceMatch{AtLeast: long}}, func(*Facts) {}, true},
		{"long since, exactly", Match{SinceLastContact: &SinceMatch{AtLeast: long}}, func(f *Facts) { f.Contact.LastContactAt = base.Add(-time.Duration(long)) }, true},
		{"a clock that runs ahead", Match{SinceLastContact: &SinceMatch{LessThan: long}}, func(f *Facts) { f.Contact.LastContactAt = base.Add(time.Minute) }, true},
		{"text all", Match{Text: &TextMatch{All: []string{"where", "order"}}}, func(f *Facts) { f.Message.Text = "ORDER 12: where?" }, true},
		{"text not all", Match{Text: &TextMatch{All: []string{"where", "order"}}}, func(f *Facts) { f.Message.Text = "where" }, false},
		{"text none", Match{Text: &TextMatch{None: []string{"stop"}}}, func(f *Facts) { f.Message.Text = "please STOP" }, false},
		{"text beyond the bound", Match{Text: &TextMatch{Any: []string{"refund"}}}, func(f *Facts) { f.Message.Text = fmt.Sprintf("%*s refund", MaxTextBytes, "") }, false},
		{"expression", Match{Expression: `now - contact.lastContactAt < duration("30m") && channel.platform == "telegram" && size(message.text) > 2 && event == "Opened" && language.startsWith("de") && agent.online`}, func(f *Facts) {
			f.Contact.LastContactAt, f.Channel.Platform, f.Message.Text, f.Language.Code, f.Agent.Online = base.Add(-time.Minute), "telegram", "hey", "de", true
		}, true},
		{"expression with an optional", Match{Expression: `contact.attributes.?tier.orValue("none") == "none"`}, func(*Facts) {}, true},
		{"expression that fails", Match{Expression: `contact.attributes["tier"] != "gold"`}, func(*Facts) {}, false},
		{"all fields", Match{Topics: []string{"a"}, Languages: []string{"de"}}, func(f *Facts) { f.Conversation.Topics = []string{"a"}; f.Language.Code = "fr" }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := facts(test.facts)
			d := Decide(compileAlone(t, withMatch(test.match)), f)
			assert.Equal(t, test.want, d.Via == ViaRule)
		})
	}
}

func TestFailedExpressionsAreCounted(t *testing.T) {
	p := compileAlone(t, withMatch(Match{Expression: `contact.attributes["tier"] == "gold"`}, Match{Expression: `int(contact.attributes["n"]) > 1`}, Match{Topics: []string{"a"}}))
	f := &Facts{Event: EventOpened, Contact: ContactFacts{Attributes: map[string]string{"n": "Schmidt"}}, Conversation: ConversationFacts{Topics: []string{"a"}}}
	d := Decide(p, f)
	assert.Equal(t, ViaRule, d.Via)
	assert.Equal(t, 2, d.Match)
	assert.Equal(t, 2, d.ExpressionErrors)
	e := Explain(p, f, d)
	assert.Equal(t, "failed: a key that it reads is not there; use .?key.orValue(…)", e.Rules[0].Matches[0].Reason)
	assert.NotContains(t, e.String(), "Schmidt", "an explanation does not quote what people wrote")
}

func TestReopen(t *testing.T) {
	available := AgentFacts{ID: "ana", Online: true, Available: true}
	tests := []struct {
		name   string
		reopen Reopen
		agent  AgentFacts
		solved time.Duration // ago
		want   bool
	}{
		{"available", Reopen{}, available, time.Hour, true},
		{"offline", Reopen{}, AgentFacts{ID: "ana"}, time.Hour, false},
		{"without capacity", Reopen{}, AgentFacts{ID: "ana", Online: true}, time.Hour, false},
		{"nobody had it", Reopen{}, AgentFacts{}, time.Hour, false},
		{"never, though offline", Reopen{Reroute: RerouteNever}, AgentFacts{ID: "ana"}, time.Hour, true},
		{"never, but nobody had it", Reopen{Reroute: RerouteNever}, AgentFacts{}, time.Hour, false},
		{"always", Reopen{Reroute: RerouteAlways}, available, time.Hour, false},
		{"within", Reopen{Within: drawnHour}, available, time.Hour, true},
		{"too late", Reopen{Within: drawnHour}, available, time.Hour + 1, false},
		{"since it was opened", Reopen{}, AgentFacts{ID: "ana", At: base.Add(-9 * time.Hour), Online: true, Available: true}, time.Hour, true},
		{"had another conversation of the contact", Reopen{Reroute: RerouteNever}, AgentFacts{ID: "ana", At: base.Add(-9*time.Hour - 1), Online: true, Available: true}, time.Hour, false},
		{"had another one meanwhile, of a contact that was merged", Reopen{Reroute: RerouteNever}, AgentFacts{ID: "ana", At: base.Add(-time.Hour), Online: true, Available: true, Other: true}, time.Hour, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			policy := minimal()
			policy.Reopen = test.reopen
			f := &Facts{Now: base, Event: EventReopened, Agent: test.agent, Conversation: ConversationFacts{OpenedAt: base.Add(-9 * time.Hour), SolvedAt: base.Add(-test.solved)}}
			d := Decide(compileAlone(t, policy), f)
			if test.want {
				assert.Equal(t, Decision{Policy: "ns/policy", Hash: d.Hash, Mode: ModeEnforce, Action: ActionReturn, Via: ViaReopen, Match: -1, Slot: -1, Target: Target{Agent: "ana"}}, d)
			} else {
				assert.Equal(t, ViaDefault, d.Via)
			}
		})
	}
}

func TestReplies(t *testing.T) {
	policy := minimal()
	policy.DefaultLanguage = "en"
	policy.Greeting = &Reply{Texts: map[string]string{"en": "Hello", "de": "Hallo", "de-AT": "Servus"}, OncePer: drawnHour}
	policy.AutoReply = &Reply{Texts: map[string]string{"fr": "Patience"}}
	policy.OutOfHours = &OutOfHours{Schedule: "s", Action: OutOfHoursHoldAndReply, Away: &Reply{Texts: map[string]string{"en": "Away"}, OncePer: 12 * drawnHour}}
	p := compileAlone(t, policy)
	opened := base.Add(-time.Minute)
	tests := []struct {
		name     string
		event    Event
		language string
		closed   bool
		sent     map[ReplyKind]time.Time
		want     string
	}{
		{"greeting", EventOpened, "de-DE", false, nil, "Hallo"},
		{"the nearer language", EventOpened, "de-at", false, nil, "Servus"},
		{"another language", EventOpened, "ja", false, nil, "Hello"},
		{"greeted within the hour", EventOpened, "de", false, map[ReplyKind]time.Time{ReplyGreeting: base.Add(-59 * time.Minute)}, "Patience"},
		{"greeted an hour ago", EventOpened, "de", false, map[ReplyKind]time.Time{ReplyGreeting: base.Add(-time.Hour)}, "Hallo"},
		{"both were sent", EventOpened, "de", false, map[ReplyKind]time.Time{ReplyGreeting: base, ReplyAuto: opened}, ""},
		{"the one before was of another conversation", EventReopened, "de", false, map[ReplyKind]time.Time{ReplyAuto: opened.Add(-1)}, "Patience"},
		{"no greeting on reopening", EventReopened, "de", false, nil, "Patience"},
		{"nothing on a step", EventStepExpired, "de", false, nil, ""},
		{"away instead of a greeting", EventOpened, "de", true, nil, "Away"},
		{"away, also on a step", EventStepExpired, "de", true, nil, "Away"},
		{"no greeting when nobody is there", EventOpened, "de", true, map[ReplyKind]time.Time{ReplyAway: base.Add(-time.Hour)}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &Facts{Now: base, Event: test.event, Language: Language{Code: test.language}, Sent: test.sent, Conversation: ConversationFacts{OpenedAt: opened}, Schedules: map[string]ScheduleFacts{"s": {Open: !test.closed}}}
			d := Decide(p, f)
			assert.Equal(t, test.want, p.Text(d.Reply))
			assert.Equal(t, test.closed, d.OutOfHours)
		})
	}
}

func TestOutOfHours(t *testing.T) {
	tests := []struct {
		action OutOfHoursAction
		facts  Facts
		want   Target
		via    Action
	}{
		{OutOfHoursHoldAndReply, Facts{}, Target{Kind: BackendAgentQueue, Name: "team"}, ActionRoute},
		{OutOfHoursIgnore, Facts{}, Target{Kind: BackendAgentQueue, Name: "team"}, ActionRoute},
		{OutOfHoursBot, Facts{}, Target{Kind: BackendBot, Name: "night"}, ActionRoute},
		{OutOfHoursBot, Facts{Bots: map[string]BackendFacts{"night": {Failing: true}}}, Target{Kind: BackendAgentQueue, Name: "team"}, ActionRoute},
		{OutOfHoursBot, Facts{Event: EventHandoffRequested, Conversation: ConversationFacts{Bot: "night"}}, Target{Kind: BackendAgentQueue, Name: "team"}, ActionRoute},
		{OutOfHoursNextStep, Facts{}, Target{Kind: BackendAgentQueue, Name: "abroad"}, ActionRoute},
		{OutOfHoursNextStep, Facts{Schedules: map[string]ScheduleFacts{"hours": {}, "abroad": {}}}, Target{Kind: BackendAgentQueue, Name: "abroad"}, ActionHold},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s to %s %s", test.action, test.via, test.want.Name), func(t *testing.T) {
			policy := withSteps(Step{Name: "a", BackendRefs: []BackendRef{queueRef("team")}, Timeout: drawnHour}, Step{Name: "b", BackendRefs: []BackendRef{queueRef("abroad")}})
			policy.OutOfHours = &OutOfHours{Schedule: "hours", Action: test.action, Bot: "night"}
			refs := AssumeRefs(policy)
			refs.Queues["abroad"] = QueueRef{Schedule: "abroad"}
			p, found := Compile(policy, refs)
			require.Empty(t, found)
			f := test.facts
			f.Now, f.Event = base, orDefault(f.Event, EventOpened)
			if f.Schedules == nil {
				f.Schedules = map[string]ScheduleFacts{"hours": {}, "abroad": {Open: true}}
			}
			d := Decide(p, &f)
			assert.Equal(t, test.want, d.Target)
			assert.Equal(t, test.via, d.Action)
			if d.Target.Kind == BackendBot {
				assert.Zero(t, d.Timeout, "the bot minds it until it hands it off")
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	hours, err := schedule.Compile(schedule.Spec{TimeZone: "Europe/Berlin", Weekly: []schedule.Weekly{{Days: []schedule.Day{schedule.Monday, schedule.Friday}, From: "09:00", To: "17:00"}}})
	require.NoError(t, err)
	fair, err := schedule.Compile(schedule.Spec{TimeZone: "UTC", Exceptions: []schedule.Exception{{Date: "2020-01-01", From: "09:00", To: "17:00"}}})
	require.NoError(t, err)
	policy := withSteps(Step{Name: "a", Timeout: drawnHour, Clock: ClockBusiness}, Step{Name: "b", BackendRefs: []BackendRef{queueRef("fair")}, Timeout: drawnHour, Clock: ClockBusiness}, Step{Name: "c", Timeout: drawnHour}, Step{Name: "d"})
	policy.OutOfHours = &OutOfHours{Schedule: "hours", Action: OutOfHoursIgnore}
	refs := AssumeRefs(policy)
	refs.Queues["fair"] = QueueRef{Schedule: "fair"}
	refs.Schedules = map[string]*schedule.Schedule{"hours": hours, "fair": fair}
	p, found := Compile(policy, refs)
	require.Empty(t, found)
	friday := time.Date(2026, 11, 20, 15, 30, 0, 0, time.UTC) // 16:30 in Berlin
	assert.Equal(t, map[string]ScheduleFacts{"hours": {Open: true}, "fair": {}}, p.ScheduleFacts(friday))

	f := &Facts{Now: friday, Event: EventOpened, Schedules: p.ScheduleFacts(friday)}
	want := []time.Time{time.Date(2026, 11, 23, 8, 30, 0, 0, time.UTC), friday.Add(time.Hour), friday.Add(time.Hour), {}}
	for i, due := range want {
		d := Decide(p, f)
		got, ok := p.Deadline(d, friday)
		assert.Equal(t, due, got, "step %s", d.Step)
		assert.Equal(t, i < 3, ok)
		f.Event, f.Position = EventStepExpired, d.Position()
	}
}

// A known agent's queue has the clock, also where the policy has no hours of its own.
func TestStickyRunsOnTheClockOfTheQueue(t *testing.T) {
	policy := withSteps(Step{Name: "a", Sticky: &Sticky{}, BackendRefs: []BackendRef{queueRef("team")}, Timeout: drawnHour, Clock: ClockBusiness})
	refs := AssumeRefs(policy)
	refs.Queues["team"] = QueueRef{Schedule: "team-hours"}
	p, found := Compile(policy, refs)
	require.Empty(t, found)
	d := Decide(p, &Facts{Event: EventOpened, Agent: AgentFacts{ID: "ana", Online: true, Queues: []string{"team"}}})
	assert.Equal(t, Target{Kind: BackendAgentQueue, Name: "team", Agent: "ana"}, d.Target)
	assert.Equal(t, "team-hours", d.Schedule)
	assert.Equal(t, drawnHour, d.Timeout)
}

func TestProgramOfADecision(t *testing.T) {
	p := compileAlone(t, readPolicy(t, "shop"))
	f := &Facts{Event: EventOpened, Contact: ContactFacts{ID: "c", Attributes: map[string]string{"tier": "gold"}}}
	d := Decide(p, f)
	assert.Equal(t, PriorityHigh, d.Priority)
	assert.Equal(t, Set{Priority: PriorityHigh, Labels: map[string]string{"segment": "vip"}}, p.Set(d))
	assert.Equal(t, Skills{Preferred: []PreferredSkill{{Name: "refunds", DropAfter: document.Duration(5 * time.Minute)}}}, p.Skills(d))
	assert.Equal(t, Position{Policy: "shop/inbound", Hash: p.Hash(), Rule: "vip", Step: "vip-team", Queue: "shop/vip"}, d.Position())
	assert.Zero(t, p.Set(Decision{}))
	assert.Zero(t, p.Skills(Decision{Rule: "gone", Step: "gone"}))
	assert.Empty(t, p.Text(ReplyChoice{}))
}

func TestExhausted(t *testing.T) {
	for _, test := range []struct {
		on     OnExhausted
		action Action
		target Target
	}{
		{ExhaustedHold, ActionHold, Target{Kind: BackendAgentQueue, Name: "team"}},
		{ExhaustedDefault, ActionRoute, Target{Kind: BackendAgentQueue, Name: "general"}},
		{ExhaustedClose, ActionClose, Target{}},
	} {
		policy := withSteps(Step{Name: "a", BackendRefs: []BackendRef{queueRef("team")}, Timeout: drawnHour})
		policy.Rules[0].OnExhausted = test.on
		p := compileAlone(t, policy)
		f := &Facts{Event: EventOpened}
		f.Position = Decide(p, f).Position()
		f.Event = EventStepExpired
		d := Decide(p, f)
		assert.Equal(t, test.action, d.Action)
		assert.Equal(t, test.target, d.Target)
		assert.Equal(t, "rule", d.Rule, "the rule stays the reason")
	}
}

// Nothing of a rule without a queue can hold a conversation: the default route does.
func TestHoldWithoutAQueue(t *testing.T) {
	policy := withSteps(Step{Name: "a", BackendRefs: []BackendRef{{Kind: BackendBot, Name: "bot"}}})
	d := Decide(compileAlone(t, policy), &Facts{Event: EventOpened, Bots: map[string]BackendFacts{"bot": {Failing: true}}})
	assert.Equal(t, Target{Kind: BackendAgentQueue, Name: "general"}, d.Target)
	assert.Equal(t, "default", d.Step)
	assert.Equal(t, "rule", d.Rule)
}

func TestChain(t *testing.T) {
	compiled := func(name string, priority int, mode Mode, topics ...string) *Program {
		policy := withMatch(Match{Topics: topics})
		policy.Name, policy.Priority, policy.Mode = name, priority, mode
		policy.DefaultRoute.BackendRefs[0].Name = "default-of-" + name[3:]
		return compileAlone(t, policy)
	}
	low, high, same, shadow := compiled("ns/low", 1, "", "a"), compiled("ns/high", 9, "", "b"), compiled("ns/also", 1, "", "a"), compiled("ns/shadow", 100, ModeShadow, "a")
	chain := NewChain(low, shadow, same, high)
	assert.Equal(t, []*Program{high, same, low}, chain.Programs())
	assert.Equal(t, []*Program{shadow}, chain.Shadows())
	decide := func(topics ...string) Decision {
		d, ok := chain.Decide(&Facts{Event: EventOpened, Conversation: ConversationFacts{Topics: topics}})
		require.True(t, ok)
		return d
	}
	assert.Equal(t, "ns/high", decide("a", "b").Policy, "the higher priority")
	assert.Equal(t, "ns/also", decide("a").Policy, "then the name")
	assert.Equal(t, "default-of-high", decide("x").Target.Name, "the default of the first")
	_, ok := NewChain(shadow).Decide(&Facts{Event: EventOpened})
	assert.False(t, ok)

	conflicts := chain.Conflicts()
	require.Len(t, conflicts, 2)
	assert.Equal(t, "priority: is 1, as that of ns/also; ns/also is asked first, by name; give them different priorities", conflicts["ns/low"].String())
	assert.Equal(t, "priority: is 1, as that of ns/low; ns/also is asked first, by name; give them different priorities", conflicts["ns/also"].String())
}

func TestChooseLanguage(t *testing.T) {
	assert.Equal(t, Language{"fr", LanguageSet}, ChooseLanguage("fr", "de", "en"))
	assert.Equal(t, Language{"de", LanguageContact}, ChooseLanguage("", "de", "en"))
	assert.Equal(t, Language{"en", LanguageChannel}, ChooseLanguage("", "", "en"))
	assert.Equal(t, Language{}, ChooseLanguage("", "", ""))
}

// largest is 32 rules of 4 matches, each of which is looked at to its last field.
func largest(t testing.TB) (*Program, *Facts) {
	policy := minimal()
	for i := range MaxRules {
		r := Rule{Name: fmt.Sprintf("rule-%d", i), Steps: []Step{{Name: "s", BackendRefs: []BackendRef{{Kind: BackendAgentQueue, Name: "a", Weight: ptr(95)}, {Kind: BackendBot, Name: "b", Weight: ptr(5)}}}}}
		for j := range 4 {
			r.Matches = append(r.Matches, Match{
				Languages: []string{"fr", "de"}, Topics: []string{"billing", "refund"}, Labels: map[string]string{"brand": "acme"}, Attributes: map[string]string{"tier": "gold"},
				Schedule: &ScheduleMatch{"hours", ScheduleOpen}, SinceLastContact: &SinceMatch{LessThan: drawnHour},
				Text: &TextMatch{Any: []string{fmt.Sprintf("word %d", i*4+j), "another word"}},
			})
		}
		policy.Rules = append(policy.Rules, r)
	}
	p, found := Compile(policy, AssumeRefs(policy))
	require.Empty(t, found)
	return p, &Facts{
		Now: base, Event: EventOpened, Language: Language{Code: "de-AT"}, Schedules: map[string]ScheduleFacts{"hours": {Open: true}},
		Contact:      ContactFacts{ID: "contact-1", Attributes: map[string]string{"tier": "gold"}, LastContactAt: base.Add(-time.Minute)},
		Conversation: ConversationFacts{ID: "conversation-1", Topics: []string{"refund"}, Labels: map[string]string{"brand": "acme"}},
		Message:      MessageFacts{Text: "Grüß Gott, ich warte seit zwei Wochen auf meine Rückerstattung für die Bestellung 4711. Wo bleibt sie denn?"},
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	p, f := largest(t)
	require.Equal(t, ViaDefault, Decide(p, f).Via, "every match is looked at")
	require.Zero(t, testing.AllocsPerRun(100, func() { Decide(p, f) }))
	shop := compileAlone(t, readPolicy(t, "telecom"))
	f.Agent = AgentFacts{ID: "ana", Online: true, Queues: []string{"telco/care"}}
	require.Zero(t, testing.AllocsPerRun(100, func() { Decide(shop, f) }))
}

func BenchmarkDecide32x4(b *testing.B) {
	p, f := largest(b)
	b.ReportAllocs()
	for b.Loop() {
		Decide(p, f)
	}
}

func BenchmarkDecideShop(b *testing.B) {
	p := compileAlone(b, readPolicy(b, "shop"))
	_, f := largest(b)
	f.Contact.Attributes = map[string]string{"orders": "12"}
	f.Conversation.Topics = nil
	b.ReportAllocs()
	for b.Loop() {
		Decide(p, f)
	}
}

// What goes round in circles ends with people: not with the out-of-hours bot either.
func TestLoopGuardHoldsForPeople(t *testing.T) {
	policy := minimal()
	policy.OutOfHours = &OutOfHours{Schedule: "hours", Action: OutOfHoursBot, Bot: "night"}
	p := compileAlone(t, policy)
	f := &Facts{Event: EventHandoffRequested, Conversation: ConversationFacts{OwnerChanges: MaxOwnerChanges}, Schedules: map[string]ScheduleFacts{"hours": {}}}
	d := Decide(p, f)
	assert.Equal(t, ViaLoopGuard, d.Via)
	assert.Equal(t, ActionHold, d.Action)
	assert.Equal(t, Target{Kind: BackendAgentQueue, Name: "general"}, d.Target)
	f.Conversation.OwnerChanges--
	assert.Equal(t, Target{Kind: BackendBot, Name: "night"}, Decide(p, f).Target)
}

func TestAQueueThatDoesNotExistHoldsNothing(t *testing.T) {
	p, found := Compile(withStep(Step{BackendRefs: []BackendRef{queueRef("gone")}}), Refs{Queues: map[string]QueueRef{"general": {}}})
	require.Len(t, found, 1)
	d := Decide(p, &Facts{Event: EventOpened})
	assert.Equal(t, Target{Kind: BackendAgentQueue, Name: "general"}, d.Target)
	assert.Equal(t, "default", d.Step)
}

func TestSkippedSteps(t *testing.T) {
	tests := []struct {
		name  string
		skip  *SkipIf
		facts QueueFacts
		want  string // why it is skipped; empty: it is not
	}{
		{"full", nil, QueueFacts{Full: true, Depth: 7}, "the queue is full with 7 waiting"},
		{"nobody online", &SkipIf{OnlineBelow: 1}, QueueFacts{}, "skipIf: 0 online, below 1"},
		{"one online", &SkipIf{OnlineBelow: 1}, QueueFacts{Online: 1}, ""},
		{"nobody available", &SkipIf{AvailableBelow: 2}, QueueFacts{Online: 5, Available: 1}, "skipIf: 1 available, below 2"},
		{"deep", &SkipIf{DepthAbove: ptr(0)}, QueueFacts{Depth: 1}, "skipIf: 1 waiting, above 0"},
		{"as deep as it may be", &SkipIf{DepthAbove: ptr(1)}, QueueFacts{Depth: 1}, ""},
		{"slow", &SkipIf{OldestWaitAbove: drawnHour}, QueueFacts{OldestWait: drawnHour + 1}, "skipIf: the first in line waits 1h0m0.000000001s, above 1h0m0s"},
		{"as slow as it may be", &SkipIf{OldestWaitAbove: drawnHour}, QueueFacts{OldestWait: drawnHour}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := compileAlone(t, withSteps(Step{Name: "a", BackendRefs: []BackendRef{queueRef("team")}, SkipIf: test.skip}, Step{Name: "b"}))
			f := &Facts{Event: EventOpened, Queues: map[string]QueueFacts{"team": test.facts}}
			e := Explain(p, f, Decide(p, f))
			assert.Equal(t, test.want == "", e.Steps[0].Entered)
			assert.Equal(t, test.want, e.Steps[0].Reason)
		})
	}
}

// A conversation stays with its policy: another that would match, and is asked first,
// does not take it over in the middle.
func TestChainLeavesAConversationInItsPolicy(t *testing.T) {
	first, second := withSteps(Step{Name: "a"}), withSteps(Step{Name: "a", Timeout: drawnHour}, Step{Name: "b"})
	first.Name, first.Priority = "ns/first", 9
	second.Name, second.Reopen = "ns/second", Reopen{Reroute: RerouteAlways}
	high, low := compileAlone(t, first), compileAlone(t, second)
	chain := NewChain(high, low)
	at := Position{Policy: "ns/second", Hash: low.Hash(), Rule: "rule", Step: "a"}
	d, _ := chain.Decide(&Facts{Event: EventStepExpired, Position: at})
	assert.Equal(t, [2]string{"ns/second", "b"}, [2]string{d.Policy, d.Step})

	agent := AgentFacts{ID: "ana", Online: true, Available: true}
	d, _ = chain.Decide(&Facts{Event: EventReopened, Position: at, Agent: agent})
	assert.Equal(t, ViaRule, d.Via, "the second says Always; that the first would give it back does not count")
	at.Policy = "ns/first"
	d, _ = chain.Decide(&Facts{Event: EventReopened, Position: at, Agent: agent})
	assert.Equal(t, [2]any{"ns/first", ViaReopen}, [2]any{d.Policy, d.Via})
}
