package survey

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// tokenKind is what a stretch of a reply is, as far as a score is concerned.
type tokenKind uint8

const (
	tokenNumber tokenKind = iota // decimal digits of any script
	tokenWord                    // letters and marks
	tokenStar                    // ⭐ ★ 🌟
	tokenHollow                  // ☆: shows how many there could be
	tokenMood                    // an emoji or emoticon that says nothing but a mood
	tokenMark                    // punctuation, and a line's end
	tokenOther                   // everything else: currencies, other emoji, symbols
)

// token is one stretch of a reply.
type token struct {
	kind tokenKind
	// mark is the rune of a tokenMark, tokenOther or emoji of a tokenMood, 0 otherwise.
	mark rune
	// value of a number; digits is how many it has, zero says that it begins
	// with a superfluous 0.
	value, digits int
	zero          bool
	word          string // folded
	start, end    int    // bytes in the text as it was sent
	spaced        bool   // space, or nothing, stands before it
}

// folded is a normalised rune and where its original begins.
type folded struct {
	r  rune
	at int
}

// noNumber stands for characters that are numbers but not digits (½, ², ⅷ): it
// is a tokenOther, which no score survives.
const noNumber = '⁄'

// fold normalises a text: compatibility decomposition (NFKD, so that ９, 𝟵 and
// ⑨ are 9), lower case, ASCII digits for the decimal digits of every script, no
// accents, no variation selectors, keycaps, joiners and direction marks; spelling
// variants of one letter become one.
func fold(text string) []folded {
	out := make([]folded, 0, len(text))
	var segments norm.Iter
	segments.InitString(norm.NFKD, text)
	for next := 0; !segments.Done(); {
		at := segments.Pos()
		segment := segments.Next()
		if at < next {
			continue
		}
		first, size := utf8.DecodeRuneInString(text[at:])
		if value, ok := wholeNumber(first); ok {
			// With space around it: "①0" is not ten.
			out = append(out, folded{' ', at})
			for _, digit := range value {
				out = append(out, folded{digit, at})
			}
			out = append(out, folded{' ', at})
			next = at + size // its decomposition may come in several segments
			continue
		}
		out = foldSegment(out, first, segment, at)
	}
	return out
}

// wholeNumber is the number that one character shows: 🔟, ⓪ to ⑩.
func wholeNumber(r rune) (string, bool) {
	switch {
	case r == '🔟':
		return "10", true
	case r == '⓪':
		return "0", true
	case r >= '①' && r <= '⑩':
		return strconv.Itoa(int(r-'①') + 1), true
	}
	return "", false
}

func foldSegment(out []folded, first rune, segment []byte, at int) []folded {
	if unicode.In(first, unicode.No, unicode.Nl) && first != '〇' { // 〇 is the zero of Han numerals
		return append(out, folded{noNumber, at})
	}
	for len(segment) > 0 {
		r, size := utf8.DecodeRune(segment)
		segment = segment[size:]
		if r = foldRune(r); r >= 0 {
			out = append(out, folded{r, at})
		}
	}
	return out
}

// dropped are runes that carry nothing for reading a score: accents, vowel
// points of Arabic and Hebrew, variation selectors, the keycap, skin tones,
// joiners, direction marks, tatweel.
var dropped = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x00AD, 0x00AD, 1}, {0x0300, 0x036F, 1}, {0x0591, 0x05BD, 1}, {0x061C, 0x061C, 1}, {0x0640, 0x0640, 1}, {0x064B, 0x0655, 1},
		{0x200B, 0x200F, 1}, {0x202A, 0x202E, 1}, {0x2060, 0x2069, 1}, {0x20E3, 0x20E3, 1}, {0xFE00, 0xFE0F, 1}, {0xFEFF, 0xFEFF, 1},
	},
	R32: []unicode.Range32{{0x1F3FB, 0x1F3FF, 1}},
}

// variants are letters and marks that are written for one another.
var variants = map[rune]rune{
	'أ': 'ا', 'إ': 'ا', 'آ': 'ا', 'ٱ': 'ا', 'ة': 'ه', 'ى': 'ي', 'ی': 'ي', 'ک': 'ك', 'ہ': 'ه', 'ھ': 'ه', 'ۀ': 'ه',
	'ı': 'i', '’': '\'', '‘': '\'', 'ʼ': '\'', '`': '\'', '´': '\'', '−': '-', '‐': '-', '‑': '-', '﹣': '-',
	'،': ',', '؛': ';', '٫': '.', '٬': ',', '。': '.', '、': ',', '।': '.', '؟': '?', '۔': '.',
}

// foldRune is a rune as the reader wants it, negative for none.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	if unicode.Is(dropped, r) {
		return -1
	}
	if v, ok := variants[r]; ok {
		return v
	}
	if unicode.Is(unicode.Nd, r) {
		return '0' + digitValue(r)
	}
	return unicode.ToLower(r)
}

// digitValue is the value of a decimal digit. Unicode keeps the digits of a
// script together, from 0 to 9, so the distance to the range's beginning tells
// (modulo 10, where ranges touch); a test walks through all of them.
func digitValue(r rune) rune {
	for _, table := range unicode.Nd.R16 {
		if r >= rune(table.Lo) && r <= rune(table.Hi) {
			return (r - rune(table.Lo)) % 10
		}
	}
	for _, table := range unicode.Nd.R32 {
		if r >= rune(table.Lo) && r <= rune(table.Hi) {
			return (r - rune(table.Lo)) % 10
		}
	}
	return 0
}

// foldString is a word or phrase of our own tables, folded; an apostrophe
// within a word is nothing, as in tokens.
func foldString(s string) string {
	var b strings.Builder
	for _, f := range fold(s) {
		if f.r != '\'' {
			b.WriteRune(f.r)
		}
	}
	return b.String()
}

// moods are emoji that add no meaning to a number beside them: faces, hands,
// hearts, applause. Any other emoji may be a thing ("2 🍕") and counts as content.
var moods = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x2639, 0x263A, 1}, {0x2661, 0x2661, 1}, {0x2665, 0x2665, 1}, {0x270A, 0x270C, 1}, {0x2728, 0x2728, 1}, {0x2763, 0x2764, 1},
	},
	R32: []unicode.Range32{
		{0x1F389, 0x1F38A, 1}, {0x1F44A, 0x1F44F, 1}, {0x1F493, 0x1F49F, 1}, {0x1F4AF, 0x1F4AF, 1}, {0x1F525, 0x1F525, 1}, {0x1F590, 0x1F590, 1},
		{0x1F595, 0x1F596, 1}, {0x1F5A4, 0x1F5A4, 1}, {0x1F600, 0x1F64F, 1}, {0x1F90D, 0x1F917, 1}, {0x1F918, 0x1F91F, 1}, {0x1F920, 0x1F92F, 1},
		{0x1F970, 0x1F97A, 1}, {0x1F9E1, 0x1F9E1, 1}, {0x1FAE0, 0x1FAE8, 1}, {0x1FAF0, 0x1FAF8, 1}, {0x1FA77, 0x1FA77, 1},
	},
}

// emoticons are moods in ASCII, folded. They end with space or the text; those
// that begin with a letter or "<" need space before them too: the "<3" of "2<3"
// is not a heart.
var emoticons = []string{":-)", ":-(", ";-)", ":-d", ":-p", ":'(", ":)", ":(", ";)", ":d", ":p", ":*", "=)", "=(", "<3", "^^", "xd", "^_^"}

// tokenise cuts a reply into tokens.
func tokenise(text string) []token {
	runes := fold(text)
	tokens := make([]token, 0, min(len(runes), 64))
	spaced := true
	for i := 0; i < len(runes); {
		if r := runes[i].r; r != '\n' && unicode.IsSpace(r) || unicode.IsControl(r) && r != '\n' {
			spaced = true
			i++
			continue
		}
		t, n := nextToken(runes[i:], spaced)
		t.start, t.end, t.spaced = runes[i].at, len(text), spaced
		if i+n < len(runes) {
			t.end = runes[i+n].at
		}
		tokens = append(tokens, t)
		spaced = t.kind == tokenMark && t.mark == '\n'
		i += n
	}
	return tokens
}

// nextToken reads one token and tells how many runes it has.
func nextToken(runes []folded, spaced bool) (token, int) {
	r := runes[0].r
	if n := emoticon(runes, spaced); n > 0 {
		return token{kind: tokenMood}, n
	}
	switch {
	case r >= '0' && r <= '9':
		return numberToken(runes)
	case isWordRune(r):
		return wordToken(runes)
	case r == '⭐' || r == '★' || r == '🌟':
		return token{kind: tokenStar}, 1
	case r == '☆':
		return token{kind: tokenHollow}, 1
	case unicode.Is(moods, r):
		return token{kind: tokenMood, mark: r}, 1
	case r == '\n' || r != noNumber && unicode.IsPunct(r) || r == '~' || r == '|' || r == '+':
		return token{kind: tokenMark, mark: r}, 1
	}
	return token{kind: tokenOther, mark: r}, 1
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsMark(r) || r == '〇' }

// numberToken reads digits. Past six the value does not matter any more.
func numberToken(runes []folded) (token, int) {
	t := token{kind: tokenNumber, zero: runes[0].r == '0'}
	n := 0
	for n < len(runes) && runes[n].r >= '0' && runes[n].r <= '9' {
		if n < 6 {
			t.value = t.value*10 + int(runes[n].r-'0')
		}
		n++
	}
	t.digits = n
	t.zero = t.zero && n > 1
	return t, n
}

// wordToken reads letters; an apostrophe between letters belongs to the word.
func wordToken(runes []folded) (token, int) {
	var b strings.Builder
	n := 0
	for n < len(runes) {
		r := runes[n].r
		if r == '\'' && n+1 < len(runes) && isWordRune(runes[n+1].r) {
			n++
			continue
		}
		if !isWordRune(r) {
			break
		}
		b.WriteRune(r)
		n++
	}
	return token{kind: tokenWord, word: b.String()}, n
}

// emoticon is the length of the emoticon that runes begin with, or 0.
func emoticon(runes []folded, spaced bool) int {
	if !spaced && (runes[0].r == '<' || runes[0].r == 'x') {
		return 0
	}
next:
	for _, e := range emoticons {
		if len(e) > len(runes) {
			continue
		}
		for i := range len(e) {
			if runes[i].r != rune(e[i]) {
				continue next
			}
		}
		if len(e) == len(runes) || unicode.IsSpace(runes[len(e)].r) {
			return len(e)
		}
	}
	return 0
}
