package routing

import "slices"

// condition is one atomic question about the facts. Rules ask the same ones again and
// again (the same language, the same tier), so that a program numbers the distinct ones
// and a decision answers each at most once.
type condition struct {
	kind  conditionKind
	key   string // label, attribute or schedule
	value string // of it; language range; topic; schedule state
	since SinceMatch
}

type conditionKind uint8

const (
	isLanguage conditionKind = iota
	isTopic
	isLabel
	isAttribute
	isSchedule
	isSince
)

// answer is what a decision knows of a condition.
type answer uint8

const (
	unasked answer = iota
	no
	yes
)

// conditions numbers the distinct conditions of a program.
type conditions struct {
	list []condition
	ids  map[condition]int
}

func (c *conditions) add(kind conditionKind, key, value string, since SinceMatch) int {
	added := condition{kind, key, value, since}
	if id, known := c.ids[added]; known {
		return id
	}
	if c.ids == nil {
		c.ids = map[condition]int{}
	}
	c.ids[added] = len(c.list)
	c.list = append(c.list, added)
	return len(c.list) - 1
}

func (c *conditions) addAll(kind conditionKind, values []string) []int {
	ids := make([]int, len(values))
	for i, value := range values {
		ids[i] = c.add(kind, "", value, SinceMatch{})
	}
	return ids
}

func (c *conditions) addPairs(kind conditionKind, pairs []pair) []int {
	ids := make([]int, len(pairs))
	for i, p := range pairs {
		ids[i] = c.add(kind, p.key, p.value, SinceMatch{})
	}
	return ids
}

// holds answers the question.
func (c *condition) holds(f *Facts) bool {
	switch c.kind {
	case isLanguage:
		return LanguageMatches(c.value, f.Language.Code)
	case isTopic:
		return slices.Contains(f.Conversation.Topics, c.value)
	case isLabel:
		value, ok := f.Conversation.Labels[c.key]
		return ok && value == c.value
	case isAttribute:
		value, ok := f.Contact.Attributes[c.key]
		return ok && value == c.value
	case isSchedule:
		state, known := f.Schedules[c.key]
		return known && state.Open == (c.value == string(ScheduleOpen))
	}
	return c.since.holds(f)
}
