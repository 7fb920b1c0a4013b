package survey

import "slices"

// hesitates says that a text is meant as an answer and has no other content:
// numbers with nothing but marks and hedges around them, or only a mood.
func (r *reader) hesitates() bool {
	var seen tally
	for i, t := range r.tokens {
		switch t.kind {
		case tokenMood, tokenStar, tokenHollow:
			seen.moods++
		case tokenMark:
			if t.mark == '#' || t.mark == '@' || t.mark == ':' && r.between(i) || r.measure(i) {
				return false
			}
		case tokenOther:
			// A fraction is a hesitation, a currency is not.
			if t.mark != noNumber {
				return false
			}
			seen.numbers++
		case tokenNumber:
			if t.digits > 3 || t.digits == 3 && t.value != 100 {
				return false
			}
			seen.number(t.value, r.scale)
		case tokenWord:
			if w, ok := numberWords[r.language][t.word]; ok {
				seen.number(w.value, r.scale)
			} else if !r.hedge(i) {
				return false
			} else {
				seen.words++
			}
		}
	}
	if seen.numbers == 0 {
		return seen.moods > 0 && seen.words == 0
	}
	const most = 4 // numbers of "7.5 or 8.5"
	// One number may be off the scale; among several that is a date or a list.
	return seen.numbers == 1 || seen.numbers <= most && seen.outside == 0 || r.otherFraction()
}

// tally counts what a text has.
type tally struct{ numbers, outside, moods, words int }

func (t *tally) number(value int, scale Scale) {
	t.numbers++
	if !scale.Contains(value) {
		t.outside++
	}
}

// otherFraction says that the text is a share of another usual scale: 8/10 to
// a question from 1 to 5.
func (r *reader) otherFraction() bool {
	r.trim()
	if len(r.tokens) != 3 || !r.between(1) || r.tokens[1].mark != '/' {
		return false
	}
	score, highest := r.tokens[0].value, r.tokens[2].value
	return score <= highest && (highest == 5 || highest == 10 || highest == 100)
}

// measure says that a quotation mark behind a number means feet, inches or
// minutes: none was opened before.
func (r *reader) measure(i int) bool {
	t := r.tokens[i]
	return (t.mark == '\'' || t.mark == '"') && i > 0 && r.tokens[i-1].kind == tokenNumber && !t.spaced &&
		!slices.ContainsFunc(r.tokens[:i], func(o token) bool { return o.mark == t.mark })
}

// between says that a mark joins two numbers: 10:30.
func (r *reader) between(i int) bool {
	return i > 0 && i+1 < len(r.tokens) && r.tokens[i-1].kind == tokenNumber && r.tokens[i+1].kind == tokenNumber
}

// hedge says that a word adds nothing to the numbers beside it. One that is glued
// to a number makes a name of it (A9, 9th), except for units.
func (r *reader) hedge(i int) bool {
	word := r.tokens[i].word
	if unitWords[r.language][word] || starWordSet[word] {
		return true
	}
	glued := i > 0 && r.tokens[i-1].kind == tokenNumber && !r.tokens[i].spaced ||
		i+1 < len(r.tokens) && r.tokens[i+1].kind == tokenNumber && !r.tokens[i+1].spaced
	if glued && !unspaced[r.language] {
		return false
	}
	return hedgeWordSet[word] || r.or(word) || ofWordSet[word] || thanksPhrase[word] || word == "out"
}

// or says that a word is an "or".
func (r *reader) or(word string) bool {
	return orWordSet[word] || word != "" && shortOr[r.language] == word
}
