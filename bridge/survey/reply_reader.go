package survey

import (
	"slices"
	"strings"
	"unicode"
)

// reader reads one reply.
type reader struct {
	text     string
	language string
	scale    Scale
	tokens   []token
}

// optOut says that the words of the text are, all together, a phrase of the
// list: "Stop!!" is, "stop sending me the wrong size" is not.
func (r *reader) optOut() bool {
	const longest = 5 // words of the longest phrase
	words := make([]string, 0, longest)
	for _, t := range r.tokens {
		switch t.kind {
		case tokenWord:
			if len(words) == longest {
				return false
			}
			words = append(words, t.word)
		case tokenMark, tokenMood:
		default:
			return false
		}
	}
	phrase := strings.Join(words, " ")
	return optOutWords["en"][phrase] || optOutWords[r.language][phrase]
}

const (
	openers = "\"'“”„«»‹›([{*_¡¿"
	closers = "\"'“”„«»‹›)]}*_"
	// endings may stand at a text's end and change nothing.
	endings = ".,!;:…~|\n"
)

// trim takes away what stands around a score without a meaning. Closing marks
// go only where opening ones went: 5" is a length.
func (r *reader) trim() {
	opened, tokens := false, r.tokens
	for len(tokens) > 0 {
		t := tokens[0]
		isOpener := t.kind == tokenMark && strings.ContainsRune(openers, t.mark)
		if !isOpener && t.kind != tokenMood && (t.kind != tokenMark || t.mark != '\n') {
			break
		}
		opened = opened || isOpener
		tokens = tokens[1:]
	}
	for len(tokens) > 0 {
		t := tokens[len(tokens)-1]
		ending := t.kind == tokenMark && (strings.ContainsRune(endings, t.mark) || opened && strings.ContainsRune(closers, t.mark))
		if !ending && t.kind != tokenMood {
			break
		}
		tokens = tokens[:len(tokens)-1]
	}
	r.tokens = tokens
}

// stars reads ⭐⭐⭐⭐ and ★★★☆☆. On a scale from 0 five stars may be all there
// is or half of it, so they are a question back there.
func (r *reader) stars() (Reading, bool) {
	filled, hollow := 0, 0
	for _, t := range r.tokens {
		if t.kind == tokenStar && hollow == 0 {
			filled++
		} else if t.kind == tokenHollow {
			hollow++
		} else {
			break
		}
	}
	rest := r.tokens[filled+hollow:]
	complete := hollow == 0 || filled+hollow == r.scale.Max
	if filled == 0 || !complete || r.scale.Min < 1 || !r.scale.Contains(filled) {
		return Reading{}, false
	}
	return r.finish(filled, rest, filled > 1, true)
}

// score reads a number and what may follow it.
func (r *reader) score() (Reading, bool) {
	value, weak, rest, ok := r.number(r.tokens)
	if !ok || !r.scale.Contains(value) {
		return Reading{}, false
	}
	said := rest
	rest, ok = r.ofHighest(rest)
	if ok {
		if rest, ok = r.unit(rest); ok {
			rest, ok = r.ofHighest(rest)
		}
	}
	formed := len(rest) < len(said)
	if !ok || weak && !formed {
		return Reading{}, false
	}
	// "3 of 10" alone may be a share of ten things, so it joins no comment.
	joined := formed && (said[0].kind != tokenWord || !ofWordSet[said[0].word])
	after := r.polite(rest)
	return r.finish(value, after, joined || len(after) < len(rest), formed)
}

// number reads a score at the beginning: at most two digits without a leading
// 0, or a number word. Where words are not spaced, its unit may be part of it.
func (r *reader) number(tokens []token) (value int, weak bool, rest []token, ok bool) {
	if len(tokens) == 0 {
		return 0, false, nil, false
	}
	switch t := tokens[0]; t.kind {
	case tokenNumber:
		return t.value, false, tokens[1:], t.digits <= 2 && !t.zero
	case tokenWord:
		table := numberWords[r.language]
		if w, found := table[t.word]; found {
			return w.value, w.weak, tokens[1:], true
		}
		if !unspaced[r.language] {
			break
		}
		if w, found := r.politeRun(t); found {
			return w.value, w.weak, tokens[1:], true
		}
		return r.numberWithUnit(t.word, tokens[1:])
	}
	return 0, false, nil, false
}

// numberWithUnit reads 九分, 구점: a number word and its unit in one run.
func (r *reader) numberWithUnit(word string, rest []token) (int, bool, []token, bool) {
	for unit := range unitWords[r.language] {
		if head, found := strings.CutSuffix(word, unit); found {
			if w, known := numberWords[r.language][head]; known {
				return w.value, false, rest, true
			}
		}
	}
	return 0, false, nil, false
}

// ofHighest reads "/10", "out of 10", "von zehn". False: there is a fraction
// of something else.
func (r *reader) ofHighest(tokens []token) ([]token, bool) {
	if len(tokens) < 2 {
		return tokens, true
	}
	t, after := tokens[0], tokens[1:]
	slash := t.kind == tokenMark && t.mark == '/'
	if !slash {
		words := 0
		for words < 2 && words < len(tokens)-1 && tokens[words].kind == tokenWord {
			words++
			if ofWordSet[phrase(tokens[:words])] {
				after = tokens[words:]
				slash = true
			}
		}
	}
	if !slash {
		return tokens, true
	}
	highest, _, rest, ok := r.number(after)
	return rest, ok && highest == r.scale.Max
}

// phrase joins the words of tokens.
func phrase(tokens []token) string {
	if len(tokens) == 1 {
		return tokens[0].word
	}
	words := make([]string, len(tokens))
	for i, t := range tokens {
		words[i] = t.word
	}
	return strings.Join(words, " ")
}

// unit reads "points" in the language, and on scales from 1 "stars", ⭐ or *.
// False: stars on a scale from 0, see stars.
func (r *reader) unit(tokens []token) ([]token, bool) {
	if len(tokens) == 0 {
		return tokens, true
	}
	t := tokens[0]
	star := t.kind == tokenStar || t.kind == tokenWord && starWordSet[t.word] || t.kind == tokenMark && t.mark == '*' && !t.spaced
	switch {
	case star:
		return tokens[1:], r.scale.Min >= 1
	case t.kind == tokenWord && unitWords[r.language][t.word]:
		return tokens[1:], true
	}
	return tokens, true
}

// finish is the reading of a score that rest follows: nothing, or a comment.
// joined says that a form of score ended before rest, so that praise may follow it
// without a separator; sure is as for comment.
func (r *reader) finish(score int, rest []token, joined, sure bool) (Reading, bool) {
	if len(rest) == 0 {
		if r.pleads() && !sure {
			return Reading{Class: ClassAmbiguous}, true
		}
		return Reading{Class: ClassScore, Score: score}, true
	}
	comment, separated := r.afterSeparator(rest)
	class := r.commentClass(score, rest, comment, separated, joined, sure)
	if class != ClassScoreWithComment {
		return Reading{Class: class}, class == ClassAmbiguous
	}
	words := strings.TrimSpace(r.text[comment[0].start:])
	if rest[0].mark == '(' {
		words = strings.TrimSuffix(words, ")")
	}
	return Reading{Class: ClassScoreWithComment, Score: score, Comment: words}, true
}

// commentClass is the class of a score with what follows it.
func (r *reader) commentClass(score int, rest, comment []token, separated, joined, sure bool) string {
	mood := rest[0].kind == tokenMood && rest[0].mark != pleading // says what the number means
	bound := separated || startsWithThanks(comment)
	switch {
	case len(comment) == 0 || r.or(comment[0].word) && idioms.match(comment) == 0 || !slices.ContainsFunc(comment, func(t token) bool { return t.kind == tokenWord }):
		return ClassNonScore
	case slices.ContainsFunc(comment, r.countsSomething):
		if separated {
			return r.numbered(comment)
		}
		return ClassNonScore
	case bound:
		return r.comment(score, comment, sure || mood)
	}
	return r.unseparated(score, comment, joined)
}

// pleads says that the text has folded hands.
func (r *reader) pleads() bool {
	return strings.ContainsRune(r.text, pleading)
}

// separators stand between a score and a comment. A question mark does not: "9?
// and the other one" is no score.
const separators = ",;:.…!(-–—\n|"

// afterSeparator is what follows the separators at the beginning, if any.
func (r *reader) afterSeparator(tokens []token) (rest []token, separated bool) {
	for len(tokens) > 0 {
		t := tokens[0]
		switch {
		case t.kind == tokenMood:
		case t.kind == tokenMark && strings.ContainsRune(separators, t.mark) && (separated && t.mark == '.' || r.separates(tokens)):
		default:
			return tokens, separated
		}
		separated = true
		tokens = tokens[1:]
	}
	return tokens, separated
}

// separates excludes marks that bind: "2-pack", "9.great", and the dot of "10.
// Mai" where it makes an ordinal number.
func (r *reader) separates(tokens []token) bool {
	last := len(tokens) < 2
	switch tokens[0].mark {
	case '-', '–':
		return tokens[0].spaced || last || tokens[1].spaced
	case '.':
		if last || tokens[1].kind == tokenMark { // an ellipsis
			return true
		}
		ordinal := dottedOrdinals[r.language] && !r.judges(tokens[1:])
		return tokens[1].spaced && !ordinal && !months[tokens[1].word] || unspaced[r.language]
	}
	return true
}

// judges says that a text begins with thanks or with praise or complaint in the
// language of the question: "9. Sehr freundlich" is no ninth of anything.
func (r *reader) judges(tokens []token) bool {
	if startsWithThanks(tokens) {
		return true
	}
	for len(tokens) > 0 && tokens[0].kind == tokenWord {
		if r.counted(tokens[0].word) {
			return false
		}
		if weaks.match(tokens[:1]) == 0 {
			return r.ownOpinion(tokens[0].word) && (len(tokens) == 1 || tokens[1].kind != tokenWord || !r.counted(tokens[1].word))
		}
		tokens = tokens[1:]
	}
	return false
}

// startsWithThanks says that a text begins with thanks.
func startsWithThanks(tokens []token) bool {
	return len(tokens) > 0 && tokens[0].kind == tokenWord &&
		(thanksPhrase[tokens[0].word] || len(tokens) > 1 && tokens[1].kind == tokenWord && thanksPhrase[phrase(tokens[:2])])
}

// countsSomething says that a token is about an amount. The words for one are
// articles in many languages and are let pass.
func (r *reader) countsSomething(t token) bool {
	switch t.kind {
	case tokenNumber:
		return true
	case tokenWord:
		if w, ok := numberWords[r.language][t.word]; ok && !w.weak && w.value != 1 {
			return true
		}
		return (r.language == "zh" || r.language == "ja") && strings.ContainsAny(t.word, "二三四五六七八九十两")
	case tokenOther:
		return t.mark == noNumber || unicode.Is(unicode.Sc, t.mark)
	case tokenMark:
		return t.mark == '%' || t.mark == '#'
	}
	return false
}
