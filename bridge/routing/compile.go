package routing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// MaxDuration bounds every duration of a policy: a year.
const MaxDuration = document.Duration(366 * 24 * time.Hour)

// compiler turns a policy into a program.
type compiler struct {
	findings
	policy  *Policy
	refs    Refs
	program *Program
	cost    uint64 // of all expressions
}

// Compile checks a policy and makes it a program. Findings say what is wrong and
// what becomes of it: a rule with a mistake is left out, the others work; a mistake
// outside of the rules, or in the default route, rejects the policy, and the program
// is nil. A backend that does not exist keeps its share, which goes on to the next
// step. The policy is not changed, and must not be changed afterwards.
func Compile(policy Policy, refs Refs) (*Program, []Finding) {
	c := &compiler{policy: &policy, refs: refs}
	c.program = &Program{policy: policy, seed: orDefault(policy.Split.Seed, policy.Name), schedules: map[string]*schedule.Schedule{}, bots: map[string]bool{}}
	for name, s := range refs.Schedules {
		c.program.schedules[name] = s
	}
	c.head()
	c.outOfHours()
	c.reply("greeting", policy.Greeting)
	c.reply("autoReply", policy.AutoReply)
	c.defaultRoute()
	c.rules()
	if Rejected(c.all) {
		return nil, c.all
	}
	if err := c.program.seal(refs); err != nil {
		c.invalid(".", "%v", err)
		return nil, c.all
	}
	return c.program, c.all
}

func (c *compiler) head() {
	p := c.policy
	if p.Name == "" {
		c.invalid("name", "is empty; write namespace/name of the policy")
	}
	if p.Priority < 0 || p.Priority > MaxPriority {
		c.invalid("priority", "is %d; write 0 to %d", p.Priority, MaxPriority)
	}
	oneOf(c, "mode", p.Mode, "", ModeEnforce, ModeShadow)
	oneOf(c, "split.unit", p.Split.Unit, "", UnitContact, UnitConversation)
	c.value("split.seed", p.Split.Seed)
	oneOf(c, "reopen.reroute", p.Reopen.Reroute, "", RerouteIfAgentUnavailable, RerouteAlways, RerouteNever)
	c.duration("reopen.within", p.Reopen.Within)
	if p.DefaultLanguage != "" {
		c.language("defaultLanguage", p.DefaultLanguage)
	}
}

func (c *compiler) outOfHours() {
	hours := c.policy.OutOfHours
	if hours == nil {
		return
	}
	oneOf(c, "outOfHours.action", hours.Action, OutOfHoursHoldAndReply, OutOfHoursBot, OutOfHoursNextStep, OutOfHoursIgnore)
	if hours.Schedule != "" {
		c.schedule("outOfHours.schedule", hours.Schedule, "queues without a schedule of their own count as open")
	}
	c.reply("outOfHours.away", hours.Away)
	switch {
	case hours.Action == OutOfHoursBot && hours.Bot == "":
		c.invalid("outOfHours.bot", "is empty; name the Bot that takes over, or choose another action")
	case hours.Bot != "" && !c.refs.has(BackendBot, hours.Bot):
		c.add(ReasonBackendNotFound, EffectDegraded, "outOfHours.bot", "Bot %q not found; conversations wait in their queue and get the away text until it exists", hours.Bot)
	case hours.Bot != "":
		c.program.bots[hours.Bot] = true
	}
}

func (c *compiler) reply(field string, reply *Reply) {
	if reply == nil {
		return
	}
	c.duration(field+".oncePer", reply.OncePer)
	if len(reply.Texts) == 0 || len(reply.Texts) > MaxTexts {
		c.invalid(field+".texts", "has %d languages; write 1 to %d", len(reply.Texts), MaxTexts)
	}
	for _, language := range sortedKeys(reply.Texts) {
		at := fmt.Sprintf("%s.texts[%s]", field, language)
		c.language(at, language)
		if n := len(reply.Texts[language]); n > MaxReplyBytes || strings.TrimSpace(reply.Texts[language]) == "" {
			c.invalid(at, "is %d bytes long; write 1 to %d, not only spaces", n, MaxReplyBytes)
		}
	}
	if _, ok := reply.Texts[c.policy.DefaultLanguage]; len(reply.Texts) > 1 && !ok {
		c.invalid(field+".texts", "has no text for defaultLanguage %q, for contacts who speak none of the others", c.policy.DefaultLanguage)
	}
}

func (c *compiler) defaultRoute() {
	route := c.policy.DefaultRoute
	if route == nil || len(route.BackendRefs) == 0 {
		c.invalidBecause(ReasonNoDefaultRoute, "defaultRoute.backendRefs", "is empty; name the AgentQueue that takes what no rule matches")
		return
	}
	s := step{name: defaultName, skills: &route.Skills, next: -1, clock: ClockWall}
	s.backends, s.weights = c.backends("defaultRoute.backendRefs", route.BackendRefs)
	c.skills("defaultRoute.skills", route.Skills)
	for i, b := range s.backends {
		field := fmt.Sprintf("defaultRoute.backendRefs[%d]", i)
		if b.kind != BackendAgentQueue {
			c.invalid(field+".kind", "is %s; the default route takes AgentQueues only, because what it cannot answer has nowhere to go", b.kind)
		} else if b.missing {
			c.invalidBecause(ReasonBackendNotFound, field+".name", "AgentQueue %q not found; the default route must work", b.name)
		}
	}
	c.program.route = s
}

// defaultName stands for the default route where a rule or a step has its name.
const defaultName = "default"

func (c *compiler) rules() {
	if n := len(c.policy.Rules); n > MaxRules {
		c.invalid("rules", "has %d entries, %d is the limit", n, MaxRules)
		return
	}
	seen := map[string]int{}
	for i := range c.policy.Rules {
		spec := &c.policy.Rules[i]
		field := fmt.Sprintf("rules[%d]", i)
		c.label(field+".name", spec.Name)
		if spec.Name == defaultName {
			c.invalid(field+".name", "is %q, which stands for the default route; choose another name", spec.Name)
		}
		if other, dup := seen[spec.Name]; dup {
			c.invalid(field+".name", "%q is also rules[%d]; names tell rules apart in metrics and decisions", spec.Name, other)
			continue
		}
		seen[spec.Name] = i
		c.oneRule(field, spec)
	}
}

func (c *compiler) oneRule(field string, spec *Rule) {
	c.rule, c.broken = spec.Name, false
	defer func() { c.rule = "" }()
	r := rule{spec: spec}
	r.matches = c.matches(field, spec.Matches)
	c.set(field+".set", spec.Set)
	oneOf(&c.findings, field+".onExhausted", spec.OnExhausted, "", ExhaustedHold, ExhaustedDefault, ExhaustedClose)
	r.steps = c.steps(field, spec.Steps)
	state := RuleState{Name: spec.Name, State: RuleActive}
	if c.broken {
		state.State = RuleDropped
		c.program.states = append(c.program.states, state)
		return
	}
	if by := shadowedBy(c.program.rules, &r); len(by) > 0 {
		state.State, state.ShadowedBy = RuleShadowed, by
		c.add(ReasonShadowed, EffectNone, field, "never matches: %s %s before it %s everything that it would; move it up, narrow the other, or remove it", plural(len(by), "rule", "rules"), quoted(by), plural(len(by), "takes", "take"))
		c.all[len(c.all)-1].ShadowedBy = by
	}
	c.program.states = append(c.program.states, state)
	c.program.rules = append(c.program.rules, r)
}

func (c *compiler) set(field string, set Set) {
	oneOf(&c.findings, field+".priority", set.Priority, "", PriorityLow, PriorityNormal, PriorityHigh, PriorityUrgent)
	c.pairs(field+".labels", set.Labels)
}

// schedule reports a schedule that does not exist; what then happens is the
// caller's to say.
func (c *compiler) schedule(field, name, consequence string) {
	if _, ok := c.refs.Schedules[name]; !ok {
		c.add(ReasonScheduleNotFound, EffectDegraded, field, "Schedule %q not found; until it exists %s", name, consequence)
	}
}

func (c *findings) value(field, value string) {
	if len(value) > MaxValueBytes {
		c.invalid(field, "is %d bytes long, %d is the limit", len(value), MaxValueBytes)
	}
	if strings.ContainsRune(value, 0) {
		c.invalid(field, "has a zero byte; remove it")
	}
}

func (c *findings) pairs(field string, m map[string]string) []pair {
	if len(m) > MaxValues {
		c.invalid(field, "has %d entries, %d is the limit", len(m), MaxValues)
	}
	pairs := make([]pair, 0, len(m))
	for _, key := range sortedKeys(m) {
		c.value(field, key)
		c.value(fmt.Sprintf("%s[%s]", field, key), m[key])
		if key == "" {
			c.invalid(field, "has an empty key")
		}
		pairs = append(pairs, pair{key, m[key]})
	}
	return pairs
}

func (c *findings) language(field, tag string) {
	if !ValidLanguage(tag) {
		c.invalid(field, "%q is not a language; write a BCP 47 tag like de or pt-BR", tag)
	}
}

func (c *findings) duration(field string, d document.Duration) {
	if d < 0 || d > MaxDuration {
		c.invalid(field, "is %s; write 0s to %s", time.Duration(d), time.Duration(MaxDuration))
	}
}

// label checks a DNS label (RFC 1123): metrics and other objects use the name.
func (c *findings) label(field, name string) {
	ok := len(name) > 0 && len(name) <= 63 && name[0] != '-' && name[len(name)-1] != '-'
	for i := range len(name) {
		b := name[i]
		ok = ok && (b == '-' || 'a' <= b && b <= 'z' || '0' <= b && b <= '9')
	}
	if !ok {
		c.invalid(field, "%q is not a name; write 1 to 63 lower-case letters, digits and hyphens, neither first nor last a hyphen", name)
	}
}

// reporter is the compiler and the findings alone.
type reporter interface {
	invalid(field, format string, args ...any)
}

// oneOf reports a word that is none of an enumeration.
func oneOf[T ~string](c reporter, field string, value T, allowed ...T) {
	if slices.Contains(allowed, value) {
		return
	}
	words := make([]string, 0, len(allowed))
	for _, word := range allowed {
		if word != "" {
			words = append(words, string(word))
		}
	}
	c.invalid(field, "is %q; write %s", string(value), strings.Join(words, ", "))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(out, ", ")
}
