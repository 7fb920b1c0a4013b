package survey_test

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

type replyCase struct {
	language string
	scale    survey.Scale
	want     survey.Reading
	text     string
}

// replyCases reads testdata/replies.tsv.
func replyCases(t testing.TB) []replyCase {
	file, err := os.Open("testdata/replies.tsv")
	require.NoError(t, err)
	defer file.Close()
	var cases []replyCase
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		fields := strings.Split(lines.Text(), "\t")
		require.Len(t, fields, 6, lines.Text())
		c := replyCase{language: strings.Trim(fields[0], "-"), want: survey.Reading{Class: fields[2]}}
		low, high, _ := strings.Cut(fields[1], "-")
		c.scale = survey.Scale{Min: number(t, low), Max: number(t, high)}
		c.want.Score = number(t, fields[3])
		if fields[4] != "-" {
			c.want.Comment = unquote(t, fields[4])
		}
		c.text = unquote(t, fields[5])
		cases = append(cases, c)
	}
	require.NoError(t, lines.Err())
	return cases
}

func number(t testing.TB, s string) int {
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

func unquote(t testing.TB, s string) string {
	u, err := strconv.Unquote(s)
	require.NoError(t, err, s)
	return u
}

func TestReadScoreReadsRepliesOfManyLanguages(t *testing.T) {
	cases, languages, negatives := replyCases(t), map[string]bool{}, 0
	for _, c := range cases {
		languages[c.language] = true
		if !c.want.IsScore() {
			negatives++
		}
		assert.Equal(t, c.want, survey.ReadScore(c.text, c.language, c.scale), "%q in %q on %v", c.text, c.language, c.scale)
	}
	assert.GreaterOrEqual(t, len(cases), 300)
	assert.GreaterOrEqual(t, len(languages), 10)
	assert.GreaterOrEqual(t, negatives, 200)
}

// Whatever Unicode calls a decimal digit is one here.
func TestReadScoreKnowsTheDigitsOfEveryScript(t *testing.T) {
	scripts := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.Is(unicode.Nd, r) {
			continue
		}
		// Digits of a script follow one another, so the last one that is 0 began it.
		got := survey.ReadScore(string(r), "en", survey.Scale{Min: 0, Max: 10})
		require.Equal(t, survey.ClassScore, got.Class, "%U", r)
		if got.Score == 0 {
			scripts++
		} else {
			require.Equal(t, got.Score-1, survey.ReadScore(string(r-1), "en", survey.Scale{Min: 0, Max: 10}).Score, "%U", r)
		}
	}
	assert.GreaterOrEqual(t, scripts, 60)
}

// What makes a number another thing, before or after it, makes it no score,
// whatever the score, the script and the language.
func TestReadScoreTakesNothingForAScoreThatIsNot(t *testing.T) {
	scripts := []string{"0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९", "๐๑๒๓๔๕๖๗๘๙", "০১২৩৪৫৬৭৮৯", "０１２３４５６７８９"}
	around := []string{
		"$%s", "€%s", "%s €", "%s$", "¥%s", "₹%s", "฿%s", "%s%%", "%s %%", "#%s", "-%s", "−%s", "+%s", "%s:30", "10:%s", "%s.5", "%s,5", "%s½", "0%s",
		"%s0%[1]s", "%s or 4", "4-%s", "%s %s %[1]s", "%s km", "%s kg", "x%s", "%sx", "A%s", "%s.11.2026", "2026-11-0%s", "%s/11", "order %s", "%s parcels", "send me %s",
		"+49 170 %s23456%[1]s", "@%s", "%s°", "№ %s", "%s📦", "%s², really", "%s, 2 are missing", "in %s days", "%s'", "\u2044%s", "%s?", "www.%s.com",
	}
	for _, language := range []string{"en", "de", "fa", "hi", "zh", "ja"} {
		for _, script := range scripts {
			digits := []rune(script)
			for score := range 10 {
				for _, form := range around {
					text := strings.NewReplacer("%s", string(digits[score]), "%[1]s", string(digits[score]), "%%", "%").Replace(form)
					for _, scale := range []survey.Scale{{Min: 0, Max: 10}, {Min: 1, Max: 5}} {
						if got := survey.ReadScore(text, language, scale); got.IsScore() {
							t.Errorf("%q in %q on %v: %+v", text, language, scale, got)
						}
					}
				}
			}
		}
	}
}

// Behind a separator stands a comment only if it is about an experience: what is
// counted, wanted or taken back is none, in any language, nor is a word that
// nobody knows.
func TestReadScoreBelievesOnlyAnOpinionBehindASeparator(t *testing.T) {
	separated := []string{"%s, %w", "%s - %w", "%s (%w)", "%s: %w", "%s... %w", "%s\n%w", "%s,- %w", "%s.- %w", "%s; %w!"}
	none := []string{
		"euro", "EUR", "CHF", "dollars", "rubles", "руб", "円", "元", "บาท", "ريال", "रुपये", "pm", "Uhr", "heures", "horas", "часов", "saat", "بجے", "बजे", "โมง", "时",
		"November", "noviembre", "ноября", "Monday", "Freitag", "demain", "kg", "pieces", "Stück", "шт", "قطع", "个", "please", "bitte", "por favor", "пожалуйста", "lütfen", "لطفا",
		"not really", "no wait", "doch nicht", "pas vraiment", "нет", "لا", "不对", "Baker Street", "rue de la Paix", "Xyzzy", "blue shirts in size L",
	}
	for language := range strings.SplitSeq("en|de|fr|es|pt|it|nl|ru|uk|pl|cs|tr|el|he|ar|fa|ur|hi|bn|th|vi|id|zh|ja|ko|sv|no|da|fi|hu|ro", "|") {
		for _, form := range separated {
			for _, words := range none {
				text := strings.NewReplacer("%s", "5", "%w", words).Replace(form)
				if got := survey.ReadScore(text, language, survey.Scale{Min: 0, Max: 10}); got.IsScore() {
					t.Errorf("%q in %q: %+v", text, language, got)
				}
			}
			for _, words := range []string{"excellent", "thank you", "great service", "perfekt"} {
				text := strings.NewReplacer("%s", "5", "%w", words).Replace(form)
				if language == "en" {
					assert.Equal(t, survey.ClassScoreWithComment, survey.ReadScore(text, language, survey.Scale{Min: 0, Max: 10}).Class, text)
				}
			}
		}
	}
}

// What the number is of decides, not the praise around it.
func TestReadScoreLetsNoPraiseOutweighWhatTheNumberIsOf(t *testing.T) {
	forms := []string{"%s, %w, great", "%s, best %w", "%s, nice %w please", "%s: %w is super good", "%s - the perfect %w", "%s, fast, %w"}
	words := []string{
		"euros", "dollars", "Street", "Lane", "floor", "pm", "Uhr", "heures", "часов", "kg", "pieces", "Stück", "parcels", "boxes", "price", "please", "bitte", "por favor", "пожалуйста",
		"tomorrow", "November", "Monday", "size", "seat",
	}
	for _, language := range []string{"en", "de", "fr", "es", "ru", "ja", "th"} {
		for _, form := range forms {
			for _, word := range words {
				text := strings.NewReplacer("%s", "5", "%w", word).Replace(form)
				assert.False(t, survey.ReadScore(text, language, survey.Scale{Min: 0, Max: 10}).IsScore(), "%q in %q", text, language)
			}
		}
	}
}

// A complaint names goods and hours, praise does not: if that made the reader refuse
// complaints, the published score would be too high. So both are read, whatever the
// number before them.
func TestReadScoreReadsComplaintsLikePraise(t *testing.T) {
	told := map[string][]string{
		"en": {"would recommend", "took a week to get a reply", "had to wait an hour", "nobody answered my order question", "my package is lost", "waited the whole day for a reply", "delivered on time", "great service today"},
		"de": {"weiter so", "niemand hat sich auf meine Bestellung gemeldet", "musste Stunden warten", "ihr habt doch keine Ahnung"},
		"fr": {"au top", "jamais de réponse à ma commande"},
		"es": {"todo bien", "nunca llegó el pedido"},
		"pl": {"bez problemów", "czekałam tydzień"},
		"ru": {"без проблем", "ждал час"},
	}
	for language, comments := range told {
		for _, comment := range comments {
			for score := range 11 {
				text := strconv.Itoa(score) + ", " + comment
				assert.Equal(t, survey.Reading{Class: survey.ClassScoreWithComment, Score: score, Comment: comment},
					survey.ReadScore(text, language, survey.Scale{Min: 0, Max: 10}), "%q in %q", text, language)
			}
		}
	}
}

// Politeness at the end of a score changes nothing, and makes no score of a count.
func TestReadScoreReadsPoliteScores(t *testing.T) {
	for language, ends := range map[string][]string{
		"ja": {"です", "点です", "点でした"}, "ko": {"점이요", "점입니다", "점이에요", "입니다"}, "th": {" ครับ", "ค่ะ", " คะแนนค่ะ"}, "zh": {"分吧", "分啊"},
		"vi": {" ạ", " điểm ạ"}, "hi": {" जी"}, "tl": {" po"},
	} {
		for _, end := range ends {
			for score := range 11 {
				text := strconv.Itoa(score) + end
				assert.Equal(t, survey.Reading{Class: survey.ClassScore, Score: score}, survey.ReadScore(text, language, survey.Scale{Min: 0, Max: 10}), "%q in %q", text, language)
			}
		}
	}
	for text, language := range map[string]string{"3個です": "ja", "9時です": "ja", "2개요": "ko", "9시요": "ko", "2 ชิ้นครับ": "th", "2个吧": "zh", "9点吧": "zh", "9 a": "vi"} {
		assert.False(t, survey.ReadScore(text, language, survey.Scale{Min: 0, Max: 10}).IsScore(), "%q in %q", text, language)
	}
}

func TestReadScoreReadsANumberWordOnlyInItsLanguage(t *testing.T) {
	scale := survey.Scale{Min: 0, Max: 10}
	assert.Equal(t, survey.ClassNonScore, survey.ReadScore("ten", "cs", scale).Class, "Czech: that one")
	assert.Equal(t, survey.ClassNonScore, survey.ReadScore("hat", "de", scale).Class, "German: has")
	assert.Equal(t, 6, survey.ReadScore("hat", "hu", scale).Score)
}

func TestReadScoreRefusesScalesThatAreNone(t *testing.T) {
	for _, scale := range []survey.Scale{{Min: 5, Max: 1}, {Min: -5, Max: 5}} {
		assert.Equal(t, survey.ClassNonScore, survey.ReadScore("1", "en", scale).Class)
	}
}

// checkReading holds for every reading of every text.
func checkReading(t rapid.TB, text, language string, scale survey.Scale) {
	got := survey.ReadScore(text, language, scale)
	switch got.Class {
	case survey.ClassScore:
		require.Empty(t, got.Comment)
	case survey.ClassScoreWithComment:
		require.NotEmpty(t, got.Comment)
		require.Contains(t, text, got.Comment, "a comment is part of the text as sent")
	case survey.ClassOptOut, survey.ClassAmbiguous, survey.ClassNonScore:
		require.Equal(t, survey.Reading{Class: got.Class}, got)
	default:
		require.Fail(t, "unknown class", got.Class)
	}
	if got.IsScore() {
		require.True(t, scale.Contains(got.Score), "%+v on %v", got, scale)
	}
}

var replyPieces = []string{
	"0", "1", "5", "9", "10", "11", "٩", "९", "九", "分", "nine", "neun", "zehn", "of", "out of", "von", "/", "/10", "/5", ".", ",", ":", "-", "–", "—", "!", "?", "(", ")", "#", "$", "€", "%", "+",
	" ", "  ", "\n", "⭐", "☆", "👍", "🔟", "①", "½", "️⃣", "\u200d", "great", "or", "oder", "stop", "thanks", "'", "\"", "<3", ":)", "am", "kg", "x", "point", "Sterne", "\x00", "\xff", "é", "ß", "ﷺ",
}

func TestReadScoreOfAnything(t *testing.T) {
	languages := []string{"en", "de", "fr", "ar", "fa", "hi", "zh", "ja", "th", "", "xx", "-", "en-Latn-x-y"}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(replyPieces), 0, 12).Draw(t, "pieces"), "")
		scale := rapid.SampledFrom([]survey.Scale{{Min: 0, Max: 10}, {Min: 1, Max: 5}, {Min: 1, Max: 7}}).Draw(t, "scale")
		checkReading(t, text, rapid.SampledFrom(languages).Draw(t, "language"), scale)
	})
}

func TestReadScoreNeverChoosesBetweenTwoNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.IntRange(0, 9).Draw(t, "a"), rapid.IntRange(0, 9).Draw(t, "b")
		pieces := rapid.SliceOfN(rapid.SampledFrom([]string{" ", "-", ",", ".", "\n", "(", "great ", " or ", ": ", "!", "👍"}), 1, 4).Draw(t, "between")
		text := strconv.Itoa(a) + strings.Join(pieces, "") + strconv.Itoa(b)
		require.False(t, survey.ReadScore(text, "en", survey.Scale{Min: 0, Max: 10}).IsScore(), text)
	})
}

func FuzzReadScore(f *testing.F) {
	for _, c := range replyCases(f) {
		f.Add(c.text, c.language, uint8(c.scale.Min), uint8(c.scale.Max))
	}
	f.Fuzz(func(t *testing.T, text, language string, low, high uint8) {
		checkReading(t, text, language, survey.Scale{Min: int(low), Max: int(high)})
	})
}

// BenchmarkReadScore reads the longest text there is, made of what costs most.
func BenchmarkReadScore(b *testing.B) {
	for name, text := range map[string]string{"short": "9, quick help", "longest": "9, " + strings.Repeat("ﷺ ", 12_000/4)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				survey.ReadScore(text, "en", survey.Scale{Min: 0, Max: 10})
			}
		})
	}
}
