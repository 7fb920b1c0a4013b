// Package keyword finds words in what people write, the same way for routing
// rules and for bots.
//
//	"Hola! ¿Un AGENTE, por favor?" ──Fold──► " hola un agente por favor "
//	keyword "Agente" ──Parse──► phrase " agente "        found: one substring search
//
// Folding is NFKC, lower case, and one space for every run of what is neither
// letter, digit, mark nor pictograph. The spaces at both ends make a whole word
// a plain substring. Keywords in scripts that are written without spaces (Han,
// kana, Thai, Lao, Khmer, Burmese) are found within a run of text. Accents count:
// "ano" is not "año".
package keyword

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Phrase is a folded keyword; it may be several words. The zero value is found
// nowhere. It is immutable and safe for concurrent use.
type Phrase struct{ folded []byte }

// Parse folds a keyword. It reports false when nothing of it is left, as with "!".
func Parse(keyword string) (Phrase, bool) {
	folded := AppendFold(nil, keyword)
	if len(folded) < 2 {
		return Phrase{}, false
	}
	if first, _ := utf8.DecodeRune(folded[1:]); unspaced(first) {
		folded = folded[1:]
	}
	if last, _ := utf8.DecodeLastRune(folded[:len(folded)-1]); unspaced(last) || unicode.IsMark(last) && unspacedMark(last) {
		folded = folded[:len(folded)-1]
	}
	return Phrase{folded}, true
}

// In reports whether the phrase stands in a folded text.
func (p Phrase) In(folded []byte) bool {
	return len(p.folded) > 0 && bytes.Contains(folded, p.folded)
}

// Is reports whether the phrase is the whole of a folded text.
func (p Phrase) Is(folded []byte) bool {
	return len(p.folded) > 0 && bytes.Equal(bytes.TrimSpace(folded), bytes.TrimSpace(p.folded))
}

// Covers reports whether every text that holds other also holds p.
func (p Phrase) Covers(other Phrase) bool { return p.In(other.folded) }

// String is the folded form.
func (p Phrase) String() string { return string(p.folded) }

// AppendFold appends the folded form of text to dst. It allocates only to grow
// dst, and for text that is not in NFKC already.
func AppendFold(dst []byte, text string) []byte {
	if !ascii(text) && norm.NFKC.QuickSpanString(text) != len(text) {
		text = norm.NFKC.String(text)
	}
	dst = append(dst, ' ')
	for i := 0; i < len(text); {
		if b := text[i]; b < utf8.RuneSelf {
			i++
			switch {
			case 'a' <= b && b <= 'z' || '0' <= b && b <= '9':
				dst = append(dst, b)
			case 'A' <= b && b <= 'Z':
				dst = append(dst, b+'a'-'A')
			default:
				dst = appendSpace(dst)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		i += n
		switch {
		case r == 'ß' || r == 'ẞ': // its capital form is SS
			dst = append(dst, "ss"...)
		case r == 0xFE0F || r == 0x200D: // presentation selector and joiner of pictographs
		case unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
			// Upper first: Greek has two lower-case sigmas, one capital.
			dst = utf8.AppendRune(dst, unicode.ToLower(unicode.ToUpper(r)))
		case unicode.Is(unicode.So, r): // a pictograph is a word of its own
			dst = append(utf8.AppendRune(appendSpace(dst), r), ' ')
		default:
			dst = appendSpace(dst)
		}
	}
	return appendSpace(dst)
}

// appendSpace ends a word; dst is never empty, a folded text begins with a space.
func appendSpace(dst []byte) []byte {
	if dst[len(dst)-1] == ' ' {
		return dst
	}
	return append(dst, ' ')
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func unspaced(r rune) bool {
	return r >= 0xE00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// unspacedMark covers vowel signs whose script property is Inherited.
func unspacedMark(r rune) bool { return r >= 0xE00 && r < 0x1100 || r >= 0x1780 && r < 0x1800 }
