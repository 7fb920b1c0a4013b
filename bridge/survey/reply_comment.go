package survey

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// heardWords bounds how much of a comment is looked at, in words and marks: what
// decides stands at its beginning.
const heardWords = 64

// comment reads what follows a score and a separator. The number is believed only
// if the words are about an experience: "9, thank you", "9 - great service". What
// stands right after the number decides; see remarks for the rest:
//
//   - words that take the score back ("9, not really") are Ambiguous;
//   - what is counted ("10,- Euro", "9, Uhr", "10, November") makes it a price, a
//     time, a date, a quantity: NonScore, and Ambiguous if praise or a tale follows
//     ("1, hours on the phone");
//   - a tale ("2, took a week to get a reply") makes it a score, whatever is counted
//     further on;
//   - praise with something counted or wanted beside it ("9, best price", "3, fast
//     please") is Ambiguous;
//   - words that nobody knows, few or many, are Ambiguous: "10, Oak".
//
// sure says that the number was said to be a score ("9/10", "4 stars"); then words
// need not be known.
func (r *reader) comment(score int, tokens []token, sure bool) string {
	if r.retracts(tokens) {
		return ClassAmbiguous
	}
	m := r.remark(tokens)
	return m.class(score == 0, sure)
}

// unseparated reads words that follow a score without a mark between. said says
// that a form of score ended before them ("10/10 would recommend"): then praise is
// believed. Behind a bare number ("9 very good") it is asked back about, if there
// is nothing else.
func (r *reader) unseparated(score int, tokens []token, said bool) string {
	m := r.remark(tokens)
	praise := (m.strong || m.thanks) && !m.verbFirst
	switch {
	case score == 0 && !said && (m.tale || m.goods):
		return ClassAmbiguous // nobody has 0 of anything to tell of
	case !praise || m.plainClass(false) != ClassScoreWithComment || m.counted || m.open || m.wish || m.goods:
		return ClassNonScore
	case said:
		return ClassScoreWithComment
	case m.others:
		return ClassNonScore
	}
	return ClassAmbiguous
}

// numbered reads a comment that has a number of its own. It is never a score, but
// where it clearly tells of an experience ("1, 2 weeks waited") worth a question.
func (r *reader) numbered(tokens []token) string {
	amount := func(t token) bool {
		return t.kind == tokenOther || t.kind == tokenMark && t.mark != '?' && strings.ContainsRune("%#/", t.mark)
	}
	if slices.ContainsFunc(tokens, amount) || r.retracts(tokens) {
		return ClassNonScore
	}
	m := r.remark(tokens)
	if m.tale && !m.wish || m.strong && !m.countsFirst && !r.countsSomething(tokens[0]) {
		return ClassAmbiguous
	}
	return ClassNonScore
}

// retracts says that a comment begins by taking the score back: with a phrase that
// nothing but a mark follows ("not really helpful" does not), or with one that
// cannot go on in another sense.
func (r *reader) retracts(tokens []token) bool {
	const longest = 3 // words of the longest phrase
	for n := 1; n <= longest && n <= len(tokens) && tokens[n-1].kind == tokenWord; n++ {
		said := phrase(tokens[:n])
		ends := n == len(tokens) || tokens[n].kind != tokenWord
		if retractionsAlways[said] || ends && retractions[said] {
			return true
		}
	}
	return false
}

// opinion says that a word is praise, a complaint, or of telling what happened.
func (r *reader) opinion(word string) bool {
	if !runsOn(word) {
		return r.ownOpinion(word) || !countedWords.has(word) && (opinionWords.has(word) || opinionsOf["en"].has(word))
	}
	for at := range word {
		if opinionWords.has(word[at:]) {
			return true
		}
	}
	return false
}

// counted says that a word is what numbers are of: money, time, a date, a measure,
// goods, an address.
func (r *reader) counted(word string) bool {
	return (countedWords.has(word) || months[word]) && !r.ownOpinion(word)
}

// ownOpinion says that a word is an opinion in the language of the question.
func (r *reader) ownOpinion(word string) bool {
	own := opinionsOf[r.language]
	return own != nil && own.has(word)
}

// runsOn says that a word is of a script that writes without spaces.
func runsOn(word string) bool {
	first, _ := utf8.DecodeRuneInString(word)
	return unicode.In(first, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// vocabulary is a set of words and of beginnings of words, for languages that
// change the end of a word.
type vocabulary struct {
	whole, begins map[string]bool
	longest       int // of begins, in bytes
}

// has says that a word, or a beginning of it, is in the vocabulary.
func (v *vocabulary) has(word string) bool {
	if v.whole[word] {
		return true
	}
	for at := range word[:min(len(word), v.longest)] {
		if v.begins[word[:at]] {
			return true
		}
	}
	return len(word) <= v.longest && v.begins[word] || len(word) > v.longest && v.begins[word[:v.longest]]
}
