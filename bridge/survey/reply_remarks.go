package survey

import "strings"

// remarks is what the words behind a number are about.
type remarks struct {
	strong  bool // praise or complaint
	weak    bool // only words that strengthen or link
	tale    bool // tells how it went: taleLine
	goods   bool // what happened to goods: goodsLine
	thanks  bool
	counted bool // what numbers are of: countedLine
	open    bool // openLine
	wish    bool // wishLine
	subject bool // what a survey asks about: subjectLine

	// What the first word is, articles aside.
	countsFirst, goodsFirst, verbFirst, placeFirst, strongFirst, own bool

	taleLeads   bool // a tale came before anything counted, open or wanted
	attributive bool // praise stands right before what is counted: "best price"
	question    bool
	others      bool // words of no list
}

// remark looks at the beginning of a comment.
func (r *reader) remark(tokens []token) remarks {
	var m remarks
	tokens = tokens[:min(len(tokens), heardWords)]
	first, praised := true, false
	for i := 0; i < len(tokens); {
		t := tokens[i]
		if t.kind != tokenWord {
			m.question = m.question || t.kind == tokenMark && t.mark == '?'
			praised = false
			i++
			continue
		}
		if first {
			if n := m.begin(tokens[i:]); n > 0 {
				i += n
				continue
			}
		}
		n, praises := r.note(&m, tokens[i:], first, praised)
		i, first, praised = i+n, false, praises
	}
	return m
}

// begin notes how a comment begins, and passes over its articles.
func (m *remarks) begin(tokens []token) int {
	m.verbFirst = beginners.match(tokens[:1]) > 0
	m.placeFirst = places.match(tokens[:1]) > 0
	if tales.match(tokens) > 0 || idioms.match(tokens) > 0 || greetings.match(tokens) > 0 || len(tokens) == 1 {
		return 0
	}
	if owns.match(tokens[:1]) > 0 {
		m.own = true
		return 1
	}
	return articles.match(tokens[:1])
}

// note takes the word or phrase that tokens begin with into account. It tells how
// long that is and whether it is praise or complaint.
func (r *reader) note(m *remarks, tokens []token, first, praised bool) (n int, praises bool) {
	word := tokens[0].word
	if n := greetings.match(tokens); n > 0 {
		return n, false
	}
	if n := idioms.match(tokens); n > 0 {
		m.strong = true
		return n, false
	}
	if n := tales.match(tokens); n > 0 {
		m.tale = true
		m.taleLeads = m.taleLeads || !m.counted && !m.open && !m.wish
		return n, false
	}
	if n := opens.match(tokens); n > 1 || n == 1 && !r.ownOpinion(word) {
		m.open = true
		m.attributive = m.attributive || praised
		return n, false
	}
	if startsWithThanks(tokens) {
		m.thanks = true
		return 1, false
	}
	wish, opinion := r.wish(tokens), r.opinion(word)
	m.wish = m.wish || wish
	switch {
	case goods.match(tokens[:1]) > 0:
		m.goods = true
		m.goodsFirst = m.goodsFirst || first
	case weaks.match(tokens[:1]) > 0:
		m.weak = true
		return 1, praised
	case opinion:
		m.strong = true
		m.strongFirst = m.strongFirst || first
		return 1, true
	case r.counted(word):
		m.counted = true
		m.countsFirst = m.countsFirst || first
		m.attributive = m.attributive || praised
	case subjects.match(tokens[:1]) > 0:
		m.subject = true
	case !wish:
		m.others = true
	}
	return 1, false
}

// wish says that tokens begin with a word of somebody who wants something; where
// words are not spaced it may stand anywhere in a run, so only longer ones are
// looked for.
func (r *reader) wish(tokens []token) bool {
	word := tokens[0].word
	if wishWords.has(word) || hurries.match(tokens) > 0 {
		return true
	}
	if !runsOn(word) {
		return false
	}
	for _, wanted := range runWishes {
		if strings.Contains(word, wanted) {
			return true
		}
	}
	return false
}

// class is what a comment with these remarks makes of the number before it. zero
// says that the number is 0, which nobody counts or orders; sure that the number
// was said to be a score.
func (m *remarks) class(zero, sure bool) string {
	told := m.tale || m.goods
	other := m.counted || m.open || m.wish
	switch {
	case m.countsFirst && told && (zero || m.own):
		return ClassScoreWithComment
	case m.countsFirst && (told || m.strong):
		return ClassAmbiguous
	case !told && !m.strong && (m.counted || m.wish):
		return ClassNonScore
	case told && !m.verbFirst && m.experience(zero):
		return ClassScoreWithComment
	case other && m.strong && m.subject && !m.open && !m.wish && !m.attributive && !m.question:
		return ClassScoreWithComment
	case other:
		return ClassAmbiguous
	}
	return m.plainClass(sure)
}

// experience says that what is told is told of an experience, whatever is counted
// further on.
func (m *remarks) experience(zero bool) bool {
	return zero || m.own || m.taleLeads || m.strongFirst && !m.attributive && !m.wish && !m.open
}

// plainClass is class where nothing is counted, open or wanted.
func (m *remarks) plainClass(sure bool) string {
	believed := m.strong || m.thanks || m.weak && m.subject && !m.verbFirst || sure && !m.placeFirst && !m.goods && !m.verbFirst
	if m.question || !believed {
		return ClassAmbiguous
	}
	return ClassScoreWithComment
}
