package platform

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSplitPrefersTheBestBorder(t *testing.T) {
	tests := []struct {
		name string
		text string
		max  int
		want []string
	}{
		{"fits and is left alone", "  two words \n", 20, []string{"  two words \n"}},
		{"blank has no pieces", " \n\t", 20, nil},
		{"paragraph before line", "one two\n\nthree\nfour five", 20, []string{"one two\n\nthree", "four five"}},
		{"paragraph in the second half", "one two three\n\nfour\nfive six", 20, []string{"one two three", "four\nfive six"}},
		{"line before sentence", "one two three\nfour. five six", 20, []string{"one two three", "four. five six"}},
		{"sentence before word", "One two three. Four five six seven", 22, []string{"One two three.", "Four five six seven"}},
		{"word before grapheme", "one two three four", 10, []string{"one two", "three four"}},
		{"a heading is not a message of its own", "H\n\nlong words follow here now", 16, []string{"H\n\nlong words", "follow here now"}},
		{"no border at all", "abcdefghij", 4, []string{"abcd", "efgh", "ij"}},
		{"a no-break space holds", "aaaa bb\u00a0cc", 8, []string{"aaaa", "bb\u00a0cc"}},
		{"ideographs break anywhere but before closing marks", "日本語日本語日本語。日本", 9, []string{"日本語日本語日本", "語。日本"}},
		{"CRLF is one line break", "aaaa\r\nbbbb\r\ncccc", 10, []string{"aaaa\r\nbbbb", "cccc"}},
		{"whitespace does not fill a piece", strings.Repeat(" ", 50) + "a" + strings.Repeat("\n", 50) + "b", 10, []string{"a", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, Split(tt.text, TextLimit{Max: tt.max, Unit: UnitRunes}))
		})
	}
}

func TestSplitCountsInThePlatformsUnit(t *testing.T) {
	const family = "👨‍👩‍👧" // 5 runes, 8 UTF-16 units, 18 bytes, 1 grapheme
	for unit, want := range map[Unit]int{UnitRunes: 5, UnitUTF16: 8, UnitBytes: 18, UnitGraphemes: 1} {
		require.Equal(t, want, unit.Len(family), unit)
		pieces := Split(strings.Repeat(family, 6), TextLimit{Max: 2 * want, Unit: unit})
		require.Equal(t, []string{family + family, family + family, family + family}, pieces, unit)
	}
	require.Len(t, Split(strings.Repeat("😀", 4096), TextLimit{Max: 4096, Unit: UnitUTF16}), 2, "Telegram counts surrogates")
	require.Len(t, Split(strings.Repeat("é", 4096), TextLimit{Max: 4096, Unit: UnitUTF16}), 1)
}

func TestSplitCutsOnlyTheGraphemeThatFitsNowhere(t *testing.T) {
	zalgo := "e" + strings.Repeat("\u0301", 9)
	pieces := Split("ab "+zalgo+" cd", TextLimit{Max: 4, Unit: UnitRunes})
	require.Equal(t, "ab"+zalgo+"cd", strings.Join(pieces, ""))
	for _, p := range pieces {
		require.LessOrEqual(t, utf8.RuneCountInString(p), 4)
	}
}

// drawText draws texts full of what goes wrong: combining marks, joined emoji,
// flags, surrogates, CRLF, long words, long runs of whitespace.
func drawText(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{
		"a", "word", "Sentence end. ", "x.y ", " ", "  ", "\n", "\r\n", "\n\n", "\t", "\u00a0", "\u2028", "é", "e\u0301", "ß", "日本", "。", "한국", "👍", "👍🏽",
		"👨‍👩‍👧‍👦", "🇩🇪", "🇫", "\u200d", "\u0301", "क्षि", "นี้", "https://example.com/a/b?c=d", strings.Repeat("long", 20), "\u202bעברית\u202c", strings.Repeat(" ", 30),
	})
	var b strings.Builder
	for range rapid.IntRange(0, 60).Draw(t, "pieces") {
		if rapid.IntRange(0, 9).Draw(t, "wild") == 0 {
			b.WriteString(rapid.String().Draw(t, "string"))
		} else {
			b.WriteString(piece.Draw(t, "piece"))
		}
	}
	return b.String()
}

var units = []Unit{UnitUTF16, UnitRunes, UnitBytes, UnitGraphemes}

func TestSplitProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := TextLimit{Max: rapid.IntRange(4, 80).Draw(t, "max"), Unit: rapid.SampledFrom(units).Draw(t, "unit")}
		checkSplit(t, drawText(t), limit)
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("one two three four", 7, uint8(0))
	f.Add("👨‍👩‍👧👨‍👩‍👧", 8, uint8(0))
	f.Add("e\u0301\u0301\u0301\u0301\u0301\r\n\xff\xfe", 4, uint8(2))
	f.Fuzz(func(t *testing.T, text string, limit int, unit uint8) {
		if limit < 4 || limit > 1<<16 {
			limit = 4 // the widest rune of any unit
		}
		checkSplit(t, strings.ToValidUTF8(text, "\ufffd"), TextLimit{Max: limit, Unit: units[int(unit)%len(units)]})
	})
}

// checkSplit holds Split to its words, whatever the text.
func checkSplit(t require.TestingT, text string, limit TextLimit) {
	pieces := Split(text, limit)
	if strings.TrimSpace(text) == "" {
		require.Empty(t, pieces)
		return
	}
	require.NotEmpty(t, pieces)
	borders := graphemeBorders(text, limit)
	at := 0
	for i, p := range pieces {
		require.NotEmpty(t, strings.TrimSpace(p), "piece %d is blank", i)
		require.LessOrEqual(t, limit.Unit.Len(p), limit.Max, "piece %d", i)
		start := at
		for !strings.HasPrefix(text[start:], p) {
			r, n := utf8.DecodeRuneInString(text[start:])
			require.True(t, n > 0 && unicode.IsSpace(r), "piece %d does not follow the one before: only whitespace may be dropped", i)
			start += n
		}
		require.True(t, borders[start] && borders[start+len(p)], "piece %d is cut inside a grapheme cluster", i)
		at = start + len(p)
	}
	require.Empty(t, strings.TrimSpace(text[at:]), "the end is missing")
}

// graphemeBorders are the byte offsets at which a text may be cut: borders of
// grapheme clusters, and any rune of a cluster that is longer than the limit.
func graphemeBorders(text string, limit TextLimit) map[int]bool {
	borders := map[int]bool{0: true}
	g := uniseg.NewGraphemes(text)
	for g.Next() {
		from, to := g.Positions()
		borders[to] = true
		if limit.Unit.Len(g.Str()) > limit.Max {
			for i := range text[from:to] {
				borders[from+i] = true
			}
		}
	}
	return borders
}

func TestSplitIsLinear(t *testing.T) {
	// Texts on which look-ahead rules could make a splitter quadratic. 200 KB
	// take milliseconds when linear and minutes when not.
	for name, unit := range map[string]string{"full stops": ".", "digits": "1.", "spaces": ". ", "marks": "\u0301", "joiners": "\u200d", "flags": "🇩", "quotes": "\".", "text": "word "} {
		start := time.Now()
		Split(strings.Repeat(unit, 200_000/len(unit)), TextLimit{Max: 4096, Unit: UnitUTF16})
		require.Less(t, time.Since(start), time.Minute, name) // of a machine that has much else to do, too
	}
}
