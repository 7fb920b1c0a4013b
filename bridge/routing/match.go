package routing

import (
	"time"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/expression"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/keyword"
)

// match is a compiled Match. The numbers are of the program's conditions and phrases.
type match struct {
	spec       *Match
	labels     []pair
	attributes []pair
	any        []keyword.Phrase
	all        []keyword.Phrase
	none       []keyword.Phrase
	expression *expression.Expression

	schedule, since, languages, topics, labelIDs, attributeIDs []int
	anyIDs, allIDs, noneIDs                                    []int
}

type pair struct{ key, value string }

// matchField is a field of a Match; what an evaluation failed at.
type matchField uint8

// The fields in the order they are looked at: the cheap ones first.
const (
	fieldNone matchField = iota // all of them hold
	fieldSchedule
	fieldSince
	fieldLanguages
	fieldTopics
	fieldLabels
	fieldAttributes
	fieldTextAny
	fieldTextAll
	fieldTextNone
	fieldExpression
)

// scratch is what one decision works out once and uses again.
type scratch struct {
	answers   []answer // by condition
	found     []bool   // by phrase
	buffer    []byte
	folded    bool
	variables map[string]any
	// errors of expressions, and the last of them.
	errors int
	err    error
}

// reset makes a used scratch ready for a program.
func (s *scratch) reset(p *Program) {
	*s = scratch{answers: cleared(s.answers, len(p.conditions.list)), found: cleared(s.found, p.phrases.Len()), buffer: s.buffer}
}

func cleared[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

func (s *scratch) holds(p *Program, f *Facts, id int) bool {
	if s.answers[id] == unasked {
		s.answers[id] = no
		if p.conditions.list[id].holds(f) {
			s.answers[id] = yes
		}
	}
	return s.answers[id] == yes
}

func (s *scratch) anyHolds(p *Program, f *Facts, ids []int) bool {
	for _, id := range ids {
		if s.holds(p, f, id) {
			return true
		}
	}
	return len(ids) == 0
}

func (s *scratch) allHold(p *Program, f *Facts, ids []int) bool {
	for _, id := range ids {
		if !s.holds(p, f, id) {
			return false
		}
	}
	return true
}

// phrases are which of the program's phrases the text has.
func (s *scratch) phrases(p *Program, f *Facts) []bool {
	if !s.folded {
		s.buffer = keyword.AppendFold(s.buffer[:0], CutText(f.Message.Text))
		p.phrases.Find(s.buffer, s.found)
		s.folded = true
	}
	return s.found
}

// CutText is the first MaxTextBytes of a text, at a character.
func CutText(text string) string {
	if len(text) <= MaxTextBytes {
		return text
	}
	end := MaxTextBytes
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// evaluate returns fieldNone when everything holds, else the first field that
// does not.
func (m *match) evaluate(p *Program, f *Facts, s *scratch) matchField {
	switch {
	case !s.allHold(p, f, m.schedule):
		return fieldSchedule
	case !s.allHold(p, f, m.since):
		return fieldSince
	case !s.anyHolds(p, f, m.languages):
		return fieldLanguages
	case !s.anyHolds(p, f, m.topics):
		return fieldTopics
	case !s.allHold(p, f, m.labelIDs):
		return fieldLabels
	case !s.allHold(p, f, m.attributeIDs):
		return fieldAttributes
	}
	if m.spec.Text != nil {
		if failed := m.evaluateText(s.phrases(p, f)); failed != fieldNone {
			return failed
		}
	}
	if m.expression != nil {
		if s.variables == nil {
			s.variables = variables(f)
		}
		holds, err := m.expression.Holds(s.variables)
		if err != nil {
			s.errors++
		}
		if s.err = err; !holds {
			return fieldExpression
		}
	}
	return fieldNone
}

func (m *match) evaluateText(found []bool) matchField {
	if len(m.anyIDs) > 0 && !anyFound(m.anyIDs, found) {
		return fieldTextAny
	}
	for _, id := range m.allIDs {
		if !found[id] {
			return fieldTextAll
		}
	}
	if anyFound(m.noneIDs, found) {
		return fieldTextNone
	}
	return fieldNone
}

func anyFound(ids []int, found []bool) bool {
	for _, id := range ids {
		if found[id] {
			return true
		}
	}
	return false
}

func (m *SinceMatch) holds(f *Facts) bool {
	if f.Contact.LastContactAt.IsZero() {
		return m.LessThan == 0
	}
	since := max(0, f.Now.Sub(f.Contact.LastContactAt)) // clocks may differ a little
	return since >= time.Duration(m.AtLeast) && (m.LessThan == 0 || since < time.Duration(m.LessThan))
}
