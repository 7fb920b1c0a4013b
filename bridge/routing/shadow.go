package routing

import (
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/keyword"
)

// shadowedBy names the earlier rules that together match everything that r does.
// It proves, it does not guess: each of r's matches must be narrower than one match
// of an earlier rule. So it never calls a rule shadowed that is not, and may miss
// one that only several matches together cover (a schedule open, and the same one
// closed). Expressions count as narrower only than none, "true" and the same text.
func shadowedBy(earlier []rule, r *rule) []string {
	matches := r.matches
	if len(matches) == 0 {
		matches = []match{{spec: &Match{}}}
	}
	var by []string
	for i := range matches {
		name, ok := coveredBy(earlier, &matches[i])
		if !ok {
			return nil
		}
		if !slices.Contains(by, name) {
			by = append(by, name)
		}
	}
	return by
}

func coveredBy(earlier []rule, m *match) (string, bool) {
	for i := range earlier {
		wide := earlier[i].matches
		if len(wide) == 0 || slices.ContainsFunc(wide, func(w match) bool { return w.covers(m) }) {
			return earlier[i].spec.Name, true
		}
	}
	return "", false
}

// covers reports whether m holds whenever other does.
func (m *match) covers(other *match) bool {
	a, b := m.spec, other.spec
	switch {
	case len(a.Languages) > 0 && !languagesCover(a.Languages, b.Languages):
		return false
	case len(a.Topics) > 0 && !subset(b.Topics, a.Topics):
		return false
	case !pairsCover(m.labels, other.labels), !pairsCover(m.attributes, other.attributes):
		return false
	case a.Schedule != nil && (b.Schedule == nil || *a.Schedule != *b.Schedule):
		return false
	case a.SinceLastContact != nil && !a.SinceLastContact.covers(b.SinceLastContact):
		return false
	case !m.textCovers(other):
		return false
	}
	return m.expression == nil || other.expression != nil && m.expression.Source() == other.expression.Source()
}

func languagesCover(wide, narrow []string) bool {
	for _, n := range narrow {
		if !slices.ContainsFunc(wide, func(w string) bool { return LanguageMatches(w, n) }) {
			return false
		}
	}
	return len(narrow) > 0
}

func subset(narrow, wide []string) bool {
	for _, n := range narrow {
		if !slices.Contains(wide, n) {
			return false
		}
	}
	return len(narrow) > 0
}

func pairsCover(wide, narrow []pair) bool {
	for _, w := range wide {
		if !slices.Contains(narrow, w) {
			return false
		}
	}
	return true
}

func (m *SinceMatch) covers(other *SinceMatch) bool {
	if other == nil {
		return false
	}
	const infinite = document.Duration(1<<63 - 1)
	end := func(d document.Duration) document.Duration {
		if d == 0 {
			return infinite
		}
		return d
	}
	return m.AtLeast <= other.AtLeast && end(m.LessThan) >= end(other.LessThan)
}

// textCovers: every keyword that m wants must be in one that other wants; every
// keyword that m refuses must be refused by other, in a form at least as wide.
func (m *match) textCovers(other *match) bool {
	wanted := func(p keyword.Phrase) bool {
		return slices.ContainsFunc(other.all, func(o keyword.Phrase) bool { return p.Covers(o) }) ||
			len(other.any) > 0 && !slices.ContainsFunc(other.any, func(o keyword.Phrase) bool { return !p.Covers(o) })
	}
	if len(m.any) > 0 && !slices.ContainsFunc(m.any, wanted) && !m.anyCovers(other.any) {
		return false
	}
	for _, p := range m.all {
		if !wanted(p) {
			return false
		}
	}
	for _, p := range m.none {
		if !slices.ContainsFunc(other.none, func(o keyword.Phrase) bool { return o.Covers(p) }) {
			return false
		}
	}
	return true
}

// anyCovers: whichever of other's keywords is found, one of m's is in it.
func (m *match) anyCovers(other []keyword.Phrase) bool {
	for _, o := range other {
		if !slices.ContainsFunc(m.any, func(p keyword.Phrase) bool { return p.Covers(o) }) {
			return false
		}
	}
	return len(other) > 0
}
