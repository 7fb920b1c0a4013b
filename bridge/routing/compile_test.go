package routing

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/expression"
)

func ptr[T any](v T) *T { return &v }

func queueRef(name string) BackendRef { return BackendRef{Kind: BackendAgentQueue, Name: name} }

// minimal is the least policy: a default route.
func minimal() Policy {
	return Policy{Name: "ns/policy", DefaultRoute: &Route{BackendRefs: []BackendRef{queueRef("general")}}}
}

// withStep is a policy with one rule of one step.
func withStep(s Step) Policy {
	p := minimal()
	s.Name = "step"
	p.Rules = []Rule{{Name: "rule", Steps: []Step{s}}}
	return p
}

func withMatch(matches ...Match) Policy {
	p := withStep(Step{BackendRefs: []BackendRef{queueRef("general")}})
	p.Rules[0].Matches = matches
	return p
}

func withSteps(steps ...Step) Policy {
	p := minimal()
	for i := range steps {
		if steps[i].Sticky == nil && steps[i].BackendRefs == nil {
			steps[i].BackendRefs = []BackendRef{queueRef("general")}
		}
	}
	p.Rules = []Rule{{Name: "rule", Steps: steps}}
	return p
}

func edit(change func(p *Policy)) Policy {
	p := minimal()
	change(&p)
	return p
}

// What is wrong, where it is said, and what becomes of the policy.
func TestMistakes(t *testing.T) {
	tests := []struct {
		name   string
		policy Policy
		effect Effect
		want   string // of the only finding: field and the beginning of the message
	}{
		{"no name", edit(func(p *Policy) { p.Name = "" }), EffectRejected, "name: is empty"},
		{"priority", edit(func(p *Policy) { p.Priority = 1001 }), EffectRejected, "priority: is 1001; write 0 to 1000"},
		{"mode", edit(func(p *Policy) { p.Mode = "DryRun" }), EffectRejected, `mode: is "DryRun"; write Enforce, Shadow`},
		{"no default route", edit(func(p *Policy) { p.DefaultRoute = nil }), EffectRejected, "defaultRoute.backendRefs: is empty"},
		{"a bot as the default", edit(func(p *Policy) { p.DefaultRoute.BackendRefs[0].Kind = BackendBot }), EffectRejected, "defaultRoute.backendRefs[0].kind: is Bot; the default route takes AgentQueues only"},
		{"default weights of zero", edit(func(p *Policy) { p.DefaultRoute.BackendRefs[0].Weight = ptr(0) }), EffectRejected, "defaultRoute.backendRefs: has no weight above 0"},
		{"unit", edit(func(p *Policy) { p.Split.Unit = "Message" }), EffectRejected, "split.unit: "},
		{"seed with a zero byte", edit(func(p *Policy) { p.Split.Seed = "a\x00b" }), EffectRejected, "split.seed: has a zero byte"},
		{"reply without the default language", edit(func(p *Policy) { p.Greeting = &Reply{Texts: map[string]string{"de": "Hallo", "fr": "Bonjour"}} }), EffectRejected, "greeting.texts: has no text for defaultLanguage"},
		{"empty reply", edit(func(p *Policy) { p.AutoReply = &Reply{Texts: map[string]string{"de": "  "}} }), EffectRejected, "autoReply.texts[de]: is 2 bytes long"},
		{"reply without texts", edit(func(p *Policy) { p.AutoReply = &Reply{} }), EffectRejected, "autoReply.texts: has 0 languages"},
		{"negative duration", edit(func(p *Policy) { p.Reopen.Within = -1 }), EffectRejected, "reopen.within: is -1ns"},
		{"out-of-hours bot without a name", edit(func(p *Policy) { p.OutOfHours = &OutOfHours{Action: OutOfHoursBot} }), EffectRejected, "outOfHours.bot: is empty"},
		{"out-of-hours action", edit(func(p *Policy) { p.OutOfHours = &OutOfHours{} }), EffectRejected, `outOfHours.action: is ""; write HoldAndReply, Bot, NextStep, Ignore`},
		{"rule named default", edit(func(p *Policy) {
			p.Rules = []Rule{{Name: "default", Steps: []Step{{Name: "s", BackendRefs: []BackendRef{queueRef("general")}}}}}
		}), EffectRejected, `rules[0].name: is "default"`},
		{"rule name", edit(func(p *Policy) {
			p.Rules = []Rule{{Name: "VIP", Steps: []Step{{Name: "s", BackendRefs: []BackendRef{queueRef("general")}}}}}
		}), EffectRejected, `rules[0].name: "VIP" is not a name`},
		{"too many rules", edit(func(p *Policy) { p.Rules = make([]Rule, MaxRules+1) }), EffectRejected, "rules: has 33 entries"},

		{"no steps", edit(func(p *Policy) { p.Rules = []Rule{{Name: "rule"}} }), EffectRuleDropped, "rules[0].steps: has 0 entries"},
		{"no backend", withStep(Step{}), EffectRuleDropped, "rules[0].steps[0].backendRefs: is empty"},
		{"weights all zero", withStep(Step{BackendRefs: []BackendRef{{Kind: BackendAgentQueue, Name: "a", Weight: ptr(0)}, {Kind: BackendBot, Name: "b", Weight: ptr(0)}}}), EffectRuleDropped, "rules[0].steps[0].backendRefs: has no weight above 0"},
		{"weight", withStep(Step{BackendRefs: []BackendRef{{Kind: BackendAgentQueue, Name: "a", Weight: ptr(MaxWeight + 1)}}}), EffectRuleDropped, "rules[0].steps[0].backendRefs[0].weight: is 1000001"},
		{"backend kind", withStep(Step{BackendRefs: []BackendRef{{Kind: "Team", Name: "a"}}}), EffectRuleDropped, `rules[0].steps[0].backendRefs[0].kind: is "Team"; write AgentQueue, Bot, Webhook`},
		{"business clock without a schedule", withStep(Step{BackendRefs: []BackendRef{queueRef("general")}, Timeout: drawnHour, Clock: ClockBusiness}), EffectRuleDropped, `rules[0].steps[0].backendRefs[0]: AgentQueue "general" has no schedule for the Business clock`},
		{"business clock without a timeout", edit(func(p *Policy) {
			*p = withStep(Step{BackendRefs: []BackendRef{queueRef("general")}, Clock: ClockBusiness})
			p.OutOfHours = &OutOfHours{Schedule: "hours", Action: OutOfHoursIgnore}
		}), EffectRuleDropped, "rules[0].steps[0].clock: is Business without a timeout"},
		{"sticky", withStep(Step{Sticky: &Sticky{Require: "Asleep"}}), EffectRuleDropped, `rules[0].steps[0].sticky.require: is "Asleep"`},
		{"empty skipIf", withStep(Step{BackendRefs: []BackendRef{queueRef("general")}, SkipIf: &SkipIf{}}), EffectRuleDropped, "rules[0].steps[0].skipIf: is empty"},
		{"skill", withStep(Step{BackendRefs: []BackendRef{queueRef("general")}, Skills: Skills{Required: []Skill{{}}}}), EffectRuleDropped, "rules[0].steps[0].skills.required[0].name: is empty"},
		{"cyclic steps", withSteps(Step{Name: "a", Next: "b"}, Step{Name: "b", Next: "a"}), EffectRuleDropped, "rules[0].steps: lead in a circle: a → b → a"},
		{"step to itself", withSteps(Step{Name: "a", Next: "a"}), EffectRuleDropped, "rules[0].steps: lead in a circle: a → a"},
		{"circle further on", withSteps(Step{Name: "a"}, Step{Name: "b"}, Step{Name: "c", Next: "b"}), EffectRuleDropped, "rules[0].steps: lead in a circle: b → c → b"},
		{"step to nowhere", withSteps(Step{Name: "a", Next: "z"}), EffectRuleDropped, `rules[0].steps[0].next: no step of this rule is named "z"`},
		{"step twice", withSteps(Step{Name: "a"}, Step{Name: "a"}), EffectRuleDropped, `rules[0].steps[1].name: "a" is also steps[0]`},
		{"language", withMatch(Match{Languages: []string{"German!"}}), EffectRuleDropped, `rules[0].matches[0].languages[0]: "German!" is not a language`},
		{"empty topic", withMatch(Match{}, Match{Topics: []string{""}}), EffectRuleDropped, "rules[0].matches[1].topics[0]: is empty"},
		{"schedule state", withMatch(Match{Schedule: &ScheduleMatch{Name: "hours"}}), EffectRuleDropped, `rules[0].matches[0].schedule.is: is ""; write Open, Closed`},
		{"empty text", withMatch(Match{Text: &TextMatch{}}), EffectRuleDropped, "rules[0].matches[0].text: is empty"},
		{"keyword of signs", withMatch(Match{Text: &TextMatch{Any: []string{"?!"}}}), EffectRuleDropped, `rules[0].matches[0].text.any[0]: "?!" has neither letters nor digits`},
		{"since never", withMatch(Match{SinceLastContact: &SinceMatch{AtLeast: drawnHour, LessThan: drawnHour}}), EffectRuleDropped, "rules[0].matches[0].sinceLastContact: never holds"},
		{"long value", withMatch(Match{Labels: map[string]string{"a": strings.Repeat("x", MaxValueBytes+1)}}), EffectRuleDropped, "rules[0].matches[0].labels[a]: is 257 bytes long"},
		{"set", edit(func(p *Policy) {
			*p = withStep(Step{BackendRefs: []BackendRef{queueRef("general")}})
			p.Rules[0].Set.Priority = "Critical"
		}), EffectRuleDropped, `rules[0].set.priority: is "Critical"; write Low, Normal, High, Urgent`},

		{"unreachable step", withSteps(Step{Name: "a", Next: "c"}, Step{Name: "b"}, Step{Name: "c"}), EffectNone, `rules[0].steps[1]: no step leads to "b"`},
		{"skipIf of nothing", withSteps(Step{Name: "a", Sticky: &Sticky{}, SkipIf: &SkipIf{OnlineBelow: 1}}), EffectNone, "rules[0].steps[0].skipIf: has no effect"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, found := Compile(test.policy, AssumeRefs(test.policy))
			require.Len(t, found, 1, "%v", found)
			assert.Equal(t, test.effect, found[0].Effect)
			assert.Contains(t, found[0].String(), test.want)
			assert.Equal(t, test.effect == EffectRejected, p == nil)
			if test.effect == EffectRuleDropped {
				assert.Equal(t, []RuleState{{Name: "rule", State: RuleDropped}}, p.Rules())
				assert.Equal(t, "rule", found[0].Rule)
				d := Decide(p, &Facts{Event: EventOpened})
				assert.Equal(t, ViaDefault, d.Via, "the others, here the default route, still work")
				assert.Equal(t, ResultDropped, Explain(p, &Facts{Event: EventOpened}, d).Rules[0].Result)
			}
		})
	}
}

func TestExpressionMistakes(t *testing.T) {
	tests := []struct{ name, expression, want string }{
		{"syntax", "contact.attributes[", "does not compile: column 20: Syntax error"},
		{"unknown field", `contact.email == "a"`, "undefined field 'email'"},
		{"unknown variable", "weather.sunny", "undeclared reference to 'weather'"},
		{"types", `contact.id > 3`, "no matching overload"},
		{"not a bool", "contact.id", "is string where a bool belongs"},
		{"reads a clock", "timestamp.now() < now", "does not compile"},
		{"too long", strings.Repeat(" ", expression.MaxBytes) + "true == true", ""},
		{"too dear", `contact.attributes.all(a, contact.attributes.all(b, a.contains(b)))`, "10000 is the limit"},
		{"text with itself", `conversation.topics.all(t, message.text.contains(t))`, "10000 is the limit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			policy := withMatch(Match{Expression: test.expression})
			p, found := Compile(policy, AssumeRefs(policy))
			if test.want == "" { // spaces around do not count
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Equal(t, ReasonInvalidExpression, found[0].Reason)
			assert.Equal(t, EffectRuleDropped, found[0].Effect)
			assert.Equal(t, "rules[0].matches[0].expression", found[0].Field)
			assert.Contains(t, found[0].Message, test.want)
			assert.NotNil(t, p)
		})
	}
}

func TestExpressionsCostTogether(t *testing.T) {
	policy := minimal()
	var matches []Match
	for i := range 12 {
		matches = append(matches, Match{Expression: fmt.Sprintf(`message.text.matches("a+b+c+d+e+f+g+h+%d") || message.text.matches("x+y+z+x+y+z")`, i)})
	}
	for i := range 6 {
		matches := append([]Match{}, matches...)
		for j := range matches {
			matches[j].Topics = []string{fmt.Sprint("topic ", i)}
		}
		policy.Rules = append(policy.Rules, Rule{Name: fmt.Sprintf("rule-%d", i), Matches: matches, Steps: []Step{{Name: "s", BackendRefs: []BackendRef{queueRef("general")}}}})
	}
	p, found := Compile(policy, AssumeRefs(policy))
	require.NotNil(t, p)
	require.NotEmpty(t, found)
	assert.Contains(t, found[0].Message, "brings the cost of all expressions of the policy to")
	assert.Equal(t, RuleActive, p.Rules()[0].State)
	assert.Equal(t, RuleDropped, p.Rules()[5].State)
}

func TestMissingReferences(t *testing.T) {
	policy := withSteps(Step{Name: "pilot", BackendRefs: []BackendRef{
		{Kind: BackendAgentQueue, Name: "general", Weight: ptr(875)}, {Kind: BackendAgentQueue, Name: "gone", Weight: ptr(125)},
	}}, Step{Name: "overflow"})
	policy.Rules[0].Matches = []Match{{Schedule: &ScheduleMatch{Name: "nowhere", Is: ScheduleOpen}}, {}}
	policy.OutOfHours = &OutOfHours{Schedule: "nowhere", Action: OutOfHoursBot, Bot: "no-bot"}
	refs := Refs{Queues: map[string]QueueRef{"general": {}}}
	p, found := Compile(policy, refs)
	require.NotNil(t, p)
	var got []string
	for _, f := range found {
		assert.Equal(t, EffectDegraded, f.Effect)
		got = append(got, f.String())
	}
	assert.Equal(t, []string{
		`outOfHours.schedule: Schedule "nowhere" not found; until it exists queues without a schedule of their own count as open`,
		`outOfHours.bot: Bot "no-bot" not found; conversations wait in their queue and get the away text until it exists`,
		`rules[0].matches[0].schedule.name: Schedule "nowhere" not found; until it exists rule rule does not match by it`,
		`rules[0].steps[0].backendRefs[1]: AgentQueue "gone" not found; 12.5% of rule rule goes to step overflow`,
	}, got)

	shares := map[string]int{}
	for i := range 10_000 {
		d := Decide(p, &Facts{Event: EventOpened, Contact: ContactFacts{ID: fmt.Sprint(i)}})
		shares[d.Step]++
	}
	assert.InDelta(t, 1250, shares["overflow"], 150, "the share goes on, it is not given to the others")

	policy = minimal()
	p, found = Compile(policy, Refs{})
	assert.Nil(t, p)
	require.Len(t, found, 1)
	assert.Equal(t, ReasonBackendNotFound, found[0].Reason)
	assert.Equal(t, EffectRejected, found[0].Effect)
}

func TestShadowed(t *testing.T) {
	tests := []struct {
		name   string
		first  []Match
		second []Match
		want   bool
	}{
		{"everything", nil, []Match{{Topics: []string{"a"}}}, true},
		{"everything, in words", []Match{{}}, nil, true},
		{"literally true", []Match{{Expression: " true "}}, []Match{{Topics: []string{"a"}}}, true},
		{"language range", []Match{{Languages: []string{"de"}}}, []Match{{Languages: []string{"de-AT", "de-CH"}}}, true},
		{"one language more", []Match{{Languages: []string{"de"}}}, []Match{{Languages: []string{"de-AT", "fr"}}}, false},
		{"narrower language first", []Match{{Languages: []string{"de-AT"}}}, []Match{{Languages: []string{"de"}}}, false},
		{"topics", []Match{{Topics: []string{"a", "b"}}}, []Match{{Topics: []string{"b"}, Languages: []string{"de"}}}, true},
		{"one label more", []Match{{Labels: map[string]string{"x": "1"}}}, []Match{{Labels: map[string]string{"x": "1", "y": "2"}}}, true},
		{"another value", []Match{{Attributes: map[string]string{"x": "1"}}}, []Match{{Attributes: map[string]string{"x": "2"}}}, false},
		{"schedule", []Match{{Schedule: &ScheduleMatch{"s", ScheduleOpen}}}, []Match{{Schedule: &ScheduleMatch{"s", ScheduleOpen}, Topics: []string{"a"}}}, true},
		{"the other state", []Match{{Schedule: &ScheduleMatch{"s", ScheduleOpen}}}, []Match{{Schedule: &ScheduleMatch{"s", ScheduleClosed}}}, false},
		{"since", []Match{{SinceLastContact: &SinceMatch{LessThan: 7 * 24 * drawnHour}}}, []Match{{SinceLastContact: &SinceMatch{AtLeast: drawnHour, LessThan: 24 * drawnHour}}}, true},
		{"since, open end", []Match{{SinceLastContact: &SinceMatch{LessThan: 24 * drawnHour}}}, []Match{{SinceLastContact: &SinceMatch{AtLeast: drawnHour}}}, false},
		{"keyword within a phrase", []Match{{Text: &TextMatch{Any: []string{"refund"}}}}, []Match{{Text: &TextMatch{Any: []string{"my refund", "refund please"}}}}, true},
		{"one keyword more", []Match{{Text: &TextMatch{Any: []string{"refund"}}}}, []Match{{Text: &TextMatch{Any: []string{"refund", "return"}}}}, false},
		{"any of what all demands", []Match{{Text: &TextMatch{Any: []string{"a", "b"}}}}, []Match{{Text: &TextMatch{All: []string{"b", "c"}}}}, true},
		{"refused by the first only", []Match{{Text: &TextMatch{Any: []string{"refund"}, None: []string{"policy"}}}}, []Match{{Text: &TextMatch{Any: []string{"refund"}}}}, false},
		{"refused by both", []Match{{Text: &TextMatch{None: []string{"refund policy"}}}}, []Match{{Text: &TextMatch{Any: []string{"refund"}, None: []string{"policy"}}}}, true},
		{"the same expression", []Match{{Expression: "contact.id == '1'"}}, []Match{{Expression: "contact.id == '1' ", Topics: []string{"a"}}}, true},
		{"another expression", []Match{{Expression: "contact.id == '1'"}}, []Match{{Expression: "contact.id == \"1\""}}, false},
		{"every match by another", []Match{{Topics: []string{"a"}}, {Topics: []string{"b"}}}, []Match{{Topics: []string{"b"}}, {Topics: []string{"a"}}}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			policy := withMatch(test.first...)
			policy.Rules = append(policy.Rules, Rule{Name: "later", Matches: test.second, Steps: policy.Rules[0].Steps})
			p, found := Compile(policy, AssumeRefs(policy))
			require.NotNil(t, p)
			state := p.Rules()[1]
			if !test.want {
				assert.Equal(t, RuleActive, state.State)
				assert.Empty(t, found)
				return
			}
			assert.Equal(t, RuleState{Name: "later", State: RuleShadowed, ShadowedBy: []string{"rule"}}, state)
			require.Len(t, found, 1)
			assert.Equal(t, `rules[1]: never matches: rule "rule" before it takes everything that it would; move it up, narrow the other, or remove it`, found[0].String())
		})
	}
}

func TestShadowedByTwo(t *testing.T) {
	policy := withMatch(Match{Topics: []string{"a"}})
	policy.Rules = append(policy.Rules,
		Rule{Name: "second", Matches: []Match{{Topics: []string{"b"}}}, Steps: policy.Rules[0].Steps},
		Rule{Name: "third", Matches: []Match{{Topics: []string{"b"}}, {Topics: []string{"a"}}}, Steps: policy.Rules[0].Steps})
	p, found := Compile(policy, AssumeRefs(policy))
	assert.Equal(t, []string{"second", "rule"}, p.Rules()[2].ShadowedBy)
	assert.Contains(t, found[0].Message, `rules "second", "rule" before it take everything`)
}

func TestParseNamesUnknownFields(t *testing.T) {
	_, found := ParsePolicy([]byte(`{"name":"a/b","Priority":3,"rules":[{"name":"x","match":[],"steps":[{"timeout":"5m","backendRefs":[{"kind":"Bot","weigth":3}]}]}],"greeting":{"texts":{"de":"x"},"once":"1h"}}`))
	var got []string
	for _, f := range found {
		assert.Equal(t, EffectRejected, f.Effect)
		assert.Equal(t, ReasonUnknownField, f.Reason)
		got = append(got, f.String())
	}
	assert.Equal(t, []string{
		"Priority: there is no such field; it is written priority",
		"greeting.once: there is no such field; there are oncePer, texts",
		"rules[0].match: there is no such field; there are matches, name, onExhausted, set, steps",
		"rules[0].steps[0].backendRefs[0].weigth: there is no such field; there are kind, name, weight",
	}, got)

	for _, test := range []struct{ json, want string }{
		{`{"rules":{}}`, "rules: is a object where []routing.Rule belongs"},
		{`{"reopen":{"within":"7d"}}`, `duration "7d": write it like 24h or 30m`},
		{`{`, ".: is not JSON as expected: unexpected EOF"},
		{`{} {}`, ".: more follows after the JSON value"},
	} {
		_, found := ParsePolicy([]byte(test.json))
		require.Len(t, found, 1, test.json)
		assert.Contains(t, found[0].String(), test.want)
	}
}

func TestHashIsOfTheContent(t *testing.T) {
	policy := readPolicy(t, "shop")
	refs := AssumeRefs(policy)
	p, _ := Compile(policy, refs)
	again, _ := Compile(readPolicy(t, "shop"), refs)
	assert.Equal(t, p.Hash(), again.Hash())
	assert.Len(t, p.Hash(), 64)

	policy.Rules[0].Steps[0].Timeout++
	changed, _ := Compile(policy, refs)
	assert.NotEqual(t, p.Hash(), changed.Hash())
	policy.Rules[0].Steps[0].Timeout--

	delete(refs.Queues, "shop/refunds-pilot") // decisions are others without it
	broken, _ := Compile(policy, refs)
	assert.NotEqual(t, p.Hash(), broken.Hash())

	_, err := FromArchive([]byte(`{"format":2}`))
	assert.ErrorContains(t, err, "format 2, this version reads 1")
	_, err = FromArchive([]byte(`{"format":1,"policy":{}}`))
	assert.ErrorContains(t, err, "defaultRoute")
	_, err = FromArchive([]byte(`no`))
	assert.Error(t, err)
}

func TestNeeds(t *testing.T) {
	p := compileAlone(t, readPolicy(t, "telecom"))
	assert.Equal(t, Needs{
		Schedules: []string{"telco/hours"}, Queues: []string{"telco/care", "telco/technicians"},
		Bots: []string{"telco/night", "telco/outage"}, Webhooks: []string{}, Agent: true, Contact: true, Sent: true, Language: true,
	}, p.Needs())
	assert.Equal(t, Needs{Schedules: []string{}, Queues: []string{"general"}, Bots: []string{}, Webhooks: []string{}}, compileAlone(t, minimal()).Needs())
}
