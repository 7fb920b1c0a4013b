package platform

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Len is the length of s in this unit. The zero Unit counts runes.
func (u Unit) Len(s string) int {
	switch u {
	case UnitBytes:
		return len(s)
	case UnitUTF16:
		n := 0
		for _, r := range s {
			n++
			if r > 0xFFFF { // outside the basic plane: a surrogate pair
				n++
			}
		}
		return n
	case UnitGraphemes:
		return uniseg.GraphemeClusterCount(s)
	default:
		return utf8.RuneCountInString(s)
	}
}

// Split cuts a text into pieces within the limit.
//
// A text that fits stays as it is. Else it is cut at the last border of the
// best kind (paragraph, line, sentence, word, a place where a line may be
// broken, any grapheme cluster) that leaves a piece at least half full, so
// that a heading does not become a message of its own and there are at most
// twice as many pieces as must be. Whitespace at both ends of every piece is
// dropped and nothing else: between two pieces, the text has whitespace only.
// No piece is blank; a blank text has no pieces.
//
// A grapheme cluster is cut, between runes, only when it is longer than the
// limit by itself. A limit of 0 is no limit; one that is smaller than a single
// rune still gives one rune per piece.
func Split(text string, limit TextLimit) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if limit.Max <= 0 || limit.Unit.Len(text) <= limit.Max {
		return []string{text}
	}
	atoms := segment(text, limit)
	var pieces []string
	for first := 0; first < len(atoms); {
		next := cut(atoms, first, limit.Max)
		pieces = append(pieces, text[atoms[first].start:atoms[next-1].end])
		first = next
	}
	return pieces
}

// border ranks the places after an atom where a text may be cut.
type border int8

const (
	borderNone     border = iota // inside a grapheme cluster that is longer than the limit
	borderGrapheme               // between any two grapheme clusters
	borderBreak                  // where a line may be broken (UAX #14)
	borderWord                   // at whitespace
	borderSentence               // UAX #29
	borderLine
	borderParagraph
)

// atom is a grapheme cluster that is not whitespace, or one rune of a cluster
// that is longer than the limit.
type atom struct {
	start, end int // bytes of the text
	size       int // in the limit's unit
	gap        int // size of the whitespace that follows
	after      border
}

// cut returns the index of the atom after the piece that begins at first.
func cut(atoms []atom, first, limit int) int {
	size, best, bestRank := 0, -1, borderNone
	for i := first; i < len(atoms); i++ {
		a := atoms[i]
		if size+a.size > limit && i > first {
			if best < 0 {
				return i // a jump over the second half: the atom alone is half a piece
			}
			return best + 1
		}
		size += a.size
		if 2*size >= limit && a.after >= bestRank {
			best, bestRank = i, a.after
		}
		size += a.gap
	}
	return len(atoms)
}

// segment walks the grapheme clusters of a text and folds whitespace into the
// atom before it. Leading whitespace is skipped.
func segment(text string, limit TextLimit) []atom {
	var atoms []atom
	var gap gapState
	rest, state, pos := text, -1, 0
	for rest != "" {
		var cluster string
		var bounds int
		cluster, rest, bounds, state = uniseg.StepString(rest, state)
		start := pos
		pos += len(cluster)
		if isBlank(cluster) {
			gap.add(cluster, bounds, limit.Unit)
		} else {
			closeGap(atoms, gap)
			gap = gapState{}
			gap.mark(bounds)
			atoms = appendCluster(atoms, cluster, start, limit)
		}
	}
	return atoms
}

// appendCluster adds a cluster whole, or by runes when it can fit nowhere.
func appendCluster(atoms []atom, cluster string, start int, limit TextLimit) []atom {
	size := limit.Unit.Len(cluster)
	if size <= limit.Max {
		return append(atoms, atom{start: start, end: start + len(cluster), size: size})
	}
	for i, r := range cluster {
		n := utf8.RuneLen(r)
		if n < 0 || r == utf8.RuneError {
			_, n = utf8.DecodeRuneInString(cluster[i:]) // an invalid byte counts as itself
		}
		size := limit.Unit.Len(cluster[i : i+n])
		switch {
		case !unicode.IsSpace(r):
			atoms = append(atoms, atom{start: start + i, end: start + i + n, size: size})
		case len(atoms) > 0: // a space that bears marks: alone it would be a blank piece
			atoms[len(atoms)-1].gap += size
		}
	}
	return atoms
}

// gapState collects what lies between two atoms.
type gapState struct {
	size, newlines     int
	blank              bool
	sentence, canBreak bool
}

func (g *gapState) mark(bounds int) {
	g.sentence = g.sentence || bounds&uniseg.MaskSentence != 0
	g.canBreak = g.canBreak || bounds&uniseg.MaskLine != uniseg.LineDontBreak
}

func (g *gapState) add(cluster string, bounds int, unit Unit) {
	g.mark(bounds)
	g.blank = true
	g.size += unit.Len(cluster)
	switch cluster {
	case "\n", "\r\n", "\r", "\u0085", "\u2028":
		g.newlines++
	case "\u2029": // paragraph separator
		g.newlines += 2
	}
}

func closeGap(atoms []atom, g gapState) {
	if len(atoms) == 0 {
		return
	}
	last := &atoms[len(atoms)-1]
	last.gap = g.size
	switch {
	case g.newlines > 1:
		last.after = borderParagraph
	case g.newlines == 1:
		last.after = borderLine
	case g.sentence:
		last.after = borderSentence
	case g.blank && g.canBreak: // not at a no-break space
		last.after = borderWord
	case g.canBreak:
		last.after = borderBreak
	default:
		last.after = borderGrapheme
	}
}

func isBlank(cluster string) bool {
	for _, r := range cluster {
		if !unicode.IsSpace(r) {
			return false
		}
	}
	return true
}
