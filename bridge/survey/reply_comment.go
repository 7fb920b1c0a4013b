package survey

import (
	"unicode"
	"unicode/utf8"
)

// manyWords is how many words a comment has to have before it is believed without
// one that is known: what is counted, bought or ordered is said in fewer ("2, size
// L", "5, Baker Street, London"), and what has more is told, not listed.
const manyWords = 5

// heardWords bounds how much of a comment is looked at, in words and marks: what
// decides stands at its beginning.
const heardWords = 64

// comment reads what follows a score and a separator. The number is believed only
// if the words are about an experience: "9, thank you", "9 - great service". They
// are not if they
//
//   - take the score back ("9, not really"): Ambiguous;
//   - begin with what is counted ("10,- Euro", "9, Uhr", "10, November"), or have
//     that or a wish ("2, please") and nothing of praise or complaint: the number
//     is a price, a time, a date, a quantity, so NonScore;
//   - are few, and none of them is known ("10, Oak"): Ambiguous, one question back.
//
// sure says that the number was said to be a score ("9/10", "4 stars"); then words
// need not be known.
func (r *reader) comment(tokens []token, sure bool) string {
	if r.retracts(tokens) {
		return ClassAmbiguous
	}
	words, opinion, thanks, other, first := 0, false, false, false, true
	for i, t := range tokens[:min(len(tokens), heardWords)] {
		if t.kind != tokenWord {
			continue
		}
		switch {
		case startsWithThanks(tokens[i:]):
			thanks = true
		case r.opinion(t.word):
			opinion = true
		case r.counted(t.word):
			if first {
				return ClassNonScore
			}
			other = true
		case wishWords.has(t.word):
			other = true
		}
		words += wordsIn(t.word)
		first = false
	}
	switch {
	case opinion:
		return ClassScoreWithComment
	case other:
		return ClassNonScore
	case thanks || sure || words >= manyWords:
		return ClassScoreWithComment
	}
	return ClassAmbiguous
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

// wordsIn is about how many words a run of letters has: two characters for each in
// Chinese and Japanese, four elsewhere where there are no spaces.
func wordsIn(word string) int {
	if !runsOn(word) {
		return 1
	}
	length := 4
	if first, _ := utf8.DecodeRuneInString(word); unicode.In(first, unicode.Han, unicode.Hiragana, unicode.Katakana) {
		length = 2
	}
	return (utf8.RuneCountInString(word) + length - 1) / length
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
