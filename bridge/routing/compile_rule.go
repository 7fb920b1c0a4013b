package routing

import (
	"fmt"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/expression"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/keyword"
)

func (c *compiler) matches(field string, specs []Match) []match {
	if len(specs) > MaxMatches {
		c.invalid(field+".matches", "has %d entries, %d is the limit", len(specs), MaxMatches)
		return nil
	}
	matches := make([]match, len(specs))
	for i := range specs {
		matches[i] = c.match(fmt.Sprintf("%s.matches[%d]", field, i), &specs[i])
	}
	return matches
}

func (c *compiler) match(field string, spec *Match) match {
	m := match{spec: spec}
	c.values(field+".languages", spec.Languages)
	for i, tag := range spec.Languages {
		c.language(fmt.Sprintf("%s.languages[%d]", field, i), tag)
	}
	c.values(field+".topics", spec.Topics)
	m.labels = c.pairs(field+".labels", spec.Labels)
	m.attributes = c.pairs(field+".attributes", spec.Attributes)
	if s := spec.Schedule; s != nil {
		oneOf(&c.findings, field+".schedule.is", s.Is, ScheduleOpen, ScheduleClosed)
		c.schedule(field+".schedule.name", s.Name, fmt.Sprintf("rule %s does not match by it", c.rule))
	}
	if s := spec.SinceLastContact; s != nil {
		c.duration(field+".sinceLastContact.atLeast", s.AtLeast)
		c.duration(field+".sinceLastContact.lessThan", s.LessThan)
		if s.AtLeast == 0 && s.LessThan == 0 || s.LessThan != 0 && s.AtLeast >= s.LessThan {
			c.invalid(field+".sinceLastContact", "never holds, or always; write atLeast, lessThan, or both with atLeast below lessThan")
		}
	}
	if t := spec.Text; t != nil {
		m.any, m.all, m.none = c.keywords(field+".text.any", t.Any), c.keywords(field+".text.all", t.All), c.keywords(field+".text.none", t.None)
		if len(t.Any)+len(t.All)+len(t.None) == 0 {
			c.invalid(field+".text", "is empty; write keywords into any, all or none, or remove it")
		}
	}
	if source := strings.TrimSpace(spec.Expression); source != "" && source != "true" {
		m.expression = c.expression(field+".expression", source)
	}
	c.number(&m)
	return m
}

// number gives the match its numbers of the program's conditions and phrases.
func (c *compiler) number(m *match) {
	list := &c.program.conditions
	m.languages, m.topics = list.addAll(isLanguage, m.spec.Languages), list.addAll(isTopic, m.spec.Topics)
	m.labelIDs, m.attributeIDs = list.addPairs(isLabel, m.labels), list.addPairs(isAttribute, m.attributes)
	if s := m.spec.Schedule; s != nil {
		m.schedule = []int{list.add(isSchedule, s.Name, string(s.Is), SinceMatch{})}
	}
	if s := m.spec.SinceLastContact; s != nil {
		m.since = []int{list.add(isSince, "", "", *s)}
	}
	phrases := func(phrases []keyword.Phrase) []int {
		ids := make([]int, len(phrases))
		for i, phrase := range phrases {
			ids[i] = c.program.phrases.Add(phrase)
		}
		return ids
	}
	m.anyIDs, m.allIDs, m.noneIDs = phrases(m.any), phrases(m.all), phrases(m.none)
}

func (c *compiler) expression(field, source string) *expression.Expression {
	e, err := environment.Compile(source)
	if err != nil {
		c.invalidBecause(ReasonInvalidExpression, field, "%v", err)
		return nil
	}
	if c.cost += e.Cost(); c.cost > MaxPolicyCost {
		c.invalidBecause(ReasonInvalidExpression, field, "brings the cost of all expressions of the policy to %d, %d is the limit; use fewer or simpler ones", c.cost, MaxPolicyCost)
		c.cost -= e.Cost() // the rule is dropped, the next may fit
	}
	return e
}

func (c *findings) values(field string, values []string) {
	if len(values) > MaxValues {
		c.invalid(field, "has %d entries, %d is the limit", len(values), MaxValues)
	}
	for i, value := range values {
		at := fmt.Sprintf("%s[%d]", field, i)
		c.value(at, value)
		if value == "" {
			c.invalid(at, "is empty")
		}
	}
}

func (c *findings) keywords(field string, words []string) []keyword.Phrase {
	c.values(field, words)
	var phrases []keyword.Phrase
	for i, word := range words {
		phrase, ok := keyword.Parse(word)
		if !ok && word != "" {
			c.invalid(fmt.Sprintf("%s[%d]", field, i), "%q has neither letters nor digits; it would never be found", word)
		}
		phrases = append(phrases, phrase)
	}
	return phrases
}

func (c *compiler) steps(field string, specs []Step) []step {
	if len(specs) == 0 || len(specs) > MaxSteps {
		c.invalid(field+".steps", "has %d entries; write 1 to %d", len(specs), MaxSteps)
		return nil
	}
	index := map[string]int{}
	for i, spec := range specs {
		at := fmt.Sprintf("%s.steps[%d].name", field, i)
		c.label(at, spec.Name)
		if other, dup := index[spec.Name]; dup {
			c.invalid(at, "%q is also steps[%d]; names tell steps apart in decisions", spec.Name, other)
		}
		if spec.Name == defaultName {
			c.invalid(at, "is %q, which stands for the default route; choose another name", spec.Name)
		}
		index[spec.Name] = i
	}
	steps := make([]step, len(specs))
	for i := range specs {
		steps[i] = c.step(fmt.Sprintf("%s.steps[%d]", field, i), &specs[i], i, len(specs), index)
	}
	c.walkSteps(field, specs, steps)
	return steps
}

func (c *compiler) step(field string, spec *Step, i, n int, index map[string]int) step {
	s := step{name: spec.Name, sticky: spec.Sticky, skills: &spec.Skills, skipIf: spec.SkipIf, timeout: time.Duration(spec.Timeout), clock: orDefault(spec.Clock, ClockWall), next: i + 1}
	if s.next == n {
		s.next = -1
	}
	if spec.Next != "" {
		next, ok := index[spec.Next]
		if !ok {
			c.invalid(field+".next", "no step of this rule is named %q", spec.Next)
			next = -1
		}
		s.next = next
	}
	if spec.Sticky != nil {
		c.duration(field+".sticky.maxAge", spec.Sticky.MaxAge)
		oneOf(&c.findings, field+".sticky.require", spec.Sticky.Require, "", RequireOnline, RequireOnlineWithCapacity)
	} else if len(spec.BackendRefs) == 0 {
		c.invalid(field+".backendRefs", "is empty; name who gets the conversation, or make the step sticky")
	}
	s.backends, s.weights = c.backends(field+".backendRefs", spec.BackendRefs)
	c.skills(field+".skills", spec.Skills)
	c.skipIf(field+".skipIf", spec.SkipIf)
	c.duration(field+".timeout", spec.Timeout)
	oneOf(&c.findings, field+".clock", s.clock, ClockWall, ClockBusiness)
	if s.clock == ClockBusiness {
		c.businessClock(field, &s)
	}
	return s
}

func (c *compiler) businessClock(field string, s *step) {
	if s.timeout == 0 {
		c.invalid(field+".clock", "is Business without a timeout; write the timeout, or remove the clock")
	}
	fallback := c.outOfHoursSchedule()
	for i, b := range s.backends {
		if b.kind != BackendAgentQueue && fallback == "" || b.kind == BackendAgentQueue && !b.missing && b.schedule == "" {
			c.invalid(fmt.Sprintf("%s.backendRefs[%d]", field, i), "%s %q has no schedule for the Business clock; give the queue one, or set outOfHours.schedule", b.kind, b.name)
		}
	}
	if len(s.backends) == 0 && fallback == "" {
		c.invalid(field+".clock", "is Business without a schedule; set outOfHours.schedule")
	}
}

func (c *compiler) outOfHoursSchedule() string {
	if c.policy.OutOfHours == nil {
		return ""
	}
	return c.policy.OutOfHours.Schedule
}

func (c *compiler) backends(field string, refs []BackendRef) ([]backend, []int) {
	if len(refs) > MaxBackends {
		c.invalid(field, "has %d entries, %d is the limit", len(refs), MaxBackends)
		return nil, nil
	}
	backends, weights := make([]backend, len(refs)), make([]int, len(refs))
	sum := 0
	for i, ref := range refs {
		at := fmt.Sprintf("%s[%d]", field, i)
		oneOf(&c.findings, at+".kind", ref.Kind, BackendAgentQueue, BackendBot, BackendWebhook)
		c.value(at+".name", ref.Name)
		if ref.Name == "" {
			c.invalid(at+".name", "is empty; name the %s", ref.Kind)
		}
		weights[i] = 1
		if ref.Weight != nil {
			weights[i] = *ref.Weight
		}
		if weights[i] < 0 || weights[i] > MaxWeight {
			c.invalid(at+".weight", "is %d; write 0 to %d", weights[i], MaxWeight)
		}
		sum += weights[i]
		backends[i] = backend{kind: ref.Kind, name: ref.Name, missing: !c.refs.has(ref.Kind, ref.Name)}
		if ref.Kind == BackendAgentQueue {
			backends[i].schedule = orDefault(c.refs.Queues[ref.Name].Schedule, c.outOfHoursSchedule())
		}
	}
	if len(refs) > 0 && sum <= 0 {
		c.invalid(field, "has no weight above 0, so that nobody gets anything; give one of them a weight")
	}
	return backends, weights
}

func (c *compiler) skills(field string, skills Skills) {
	if n := len(skills.Required) + len(skills.Preferred); n > MaxValues {
		c.invalid(field, "has %d entries, %d is the limit", n, MaxValues)
	}
	check := func(at, name string, level int) {
		c.value(at+".name", name)
		if name == "" {
			c.invalid(at+".name", "is empty; name the skill")
		}
		if level < 0 || level > MaxSkillLevel {
			c.invalid(at+".minLevel", "is %d; write 0 to %d", level, MaxSkillLevel)
		}
	}
	for i, s := range skills.Required {
		check(fmt.Sprintf("%s.required[%d]", field, i), s.Name, s.MinLevel)
	}
	for i, s := range skills.Preferred {
		at := fmt.Sprintf("%s.preferred[%d]", field, i)
		check(at, s.Name, s.MinLevel)
		c.duration(at+".dropAfter", s.DropAfter)
	}
}

func (c *compiler) skipIf(field string, skip *SkipIf) {
	if skip == nil {
		return
	}
	c.duration(field+".oldestWaitAbove", skip.OldestWaitAbove)
	if skip.OnlineBelow < 0 || skip.AvailableBelow < 0 || skip.DepthAbove != nil && *skip.DepthAbove < 0 {
		c.invalid(field, "has a negative number; write 0 or more")
	}
	if *skip == (SkipIf{}) {
		c.invalid(field, "is empty; write onlineBelow, availableBelow, depthAbove or oldestWaitAbove, or remove it")
	}
}

// walkSteps follows the steps as a conversation would: those that lead back to
// themselves drop the rule, those that nothing leads to are pointed out, and so
// are the shares of backends that do not exist.
func (c *compiler) walkSteps(field string, specs []Step, steps []step) {
	reached := make([]bool, len(steps))
	for i, hops := 0, 0; i >= 0 && hops <= len(steps); hops++ {
		reached[i] = true
		if i = steps[i].next; i >= 0 && reached[i] {
			c.invalid(field+".steps", "lead in a circle: %s", circle(steps, i))
			return
		}
	}
	for i, s := range steps {
		at := fmt.Sprintf("%s.steps[%d]", field, i)
		if !reached[i] {
			c.add(ReasonUnreachable, EffectNone, at, "no step leads to %q; remove it, or name it in the next of another", s.name)
		}
		if specs[i].SkipIf != nil && len(s.backends) == 0 {
			c.add(ReasonUnreachable, EffectNone, at+".skipIf", "has no effect: the step has no queue to look at")
		}
		c.missingBackends(at, steps, i)
	}
}

func circle(steps []step, from int) string {
	names := []string{steps[from].name}
	for i := steps[from].next; i >= 0; i = steps[i].next {
		names = append(names, steps[i].name)
		if i == from {
			break
		}
	}
	return strings.Join(names, " → ")
}

func (c *compiler) missingBackends(field string, steps []step, i int) {
	s := steps[i]
	next := "what onExhausted says"
	if s.next >= 0 {
		next = "step " + steps[s.next].name
	}
	for b, ref := range s.backends {
		known := ref.kind == BackendAgentQueue || ref.kind == BackendBot || ref.kind == BackendWebhook
		if !ref.missing || !known || ref.name == "" {
			continue // it works, or has been reported
		}
		c.add(ReasonBackendNotFound, EffectDegraded, fmt.Sprintf("%s.backendRefs[%d]", field, b),
			"%s %q not found; %s of rule %s goes to %s", ref.kind, ref.name, percent(shareOf(s.weights, b)), c.rule, next)
	}
}

// shareOf is how many of the Slots an index of the weights gets.
func shareOf(weights []int, index int) int {
	share := 0
	for slot := range Slots {
		if Pick(slot, weights) == index {
			share++
		}
	}
	return share
}

func percent(slots int) string {
	whole, rest := slots*100/Slots, slots%(Slots/100)
	if rest == 0 {
		return fmt.Sprintf("%d%%", whole)
	}
	return strings.TrimRight(fmt.Sprintf("%d.%02d", whole, rest), "0") + "%"
}
