package keyword

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFind(t *testing.T) {
	tests := []struct {
		keyword, text string
		want          bool
	}{
		{"agent", "Can I talk to an AGENT, please?", true},
		{"agent", "the agents are busy", false},
		{"agent", "agent", true},
		{"speak to  a Human", "I want to speak, to a human!", true},
		{"speak to a human", "speak to humans", false},
		{"don't", "I don’t know", true}, // another apostrophe
		{"straße", "STRASSE 5", true},
		{"ΟΔΟΣ", "οδος", true}, // final sigma
		{"café", "un cafe\u0301 svp", true},
		{"ano", "el año", false},
		{"ﬁne", "fine", true}, // ligature
		{"42", "order 42.", true},
		{"4", "order 42", false},
		{"👍", "ok👍🏽", true},
		{"❤", "I ❤️ it", true},
		{"退款", "我想要退款，谢谢", true},
		{"คืนเงิน", "ขอคืนเงินครับ", true},
		{"返品", "返品したい", true},
		{"refund 退款", "please refund 退款吧", true},
	}
	for _, test := range tests {
		t.Run(test.keyword+" in "+test.text, func(t *testing.T) {
			phrase, ok := Parse(test.keyword)
			require.True(t, ok)
			assert.Equal(t, test.want, phrase.In(AppendFold(nil, test.text)))
		})
	}
}

func TestParseRefusesWhatHoldsNoWord(t *testing.T) {
	for _, keyword := range []string{"", " ", "!?", "…"} {
		phrase, ok := Parse(keyword)
		assert.False(t, ok, keyword)
		assert.False(t, phrase.In(AppendFold(nil, "anything")))
	}
}

func TestFoldIsIdempotentAndBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		once := AppendFold(nil, text)
		require.True(t, strings.HasPrefix(string(once), " ") && strings.HasSuffix(string(once), " "))
		require.NotContains(t, string(once), "  ")
		require.Equal(t, string(once), string(AppendFold(nil, string(once))))
	})
}

func TestEveryKeywordStandsInItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keyword := rapid.String().Draw(t, "keyword")
		phrase, ok := Parse(keyword)
		if ok {
			require.True(t, phrase.In(AppendFold(nil, keyword)))
			require.True(t, phrase.In(AppendFold(nil, "before, "+keyword+" (after)")))
		}
	})
}

func TestFoldingIntoABufferDoesNotAllocate(t *testing.T) {
	buffer := make([]byte, 0, 256)
	assert.Zero(t, testing.AllocsPerRun(100, func() { buffer = AppendFold(buffer[:0], "Où est ma commande n° 42 ?") }))
}

func TestSetFindsWhatPhrasesFind(t *testing.T) {
	words := rapid.SampledFrom([]string{"refund", "my", "money", "back", "退款", "退", "款", "コート", "agent", "agents", "👍", "4", "42", ""})
	sentence := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(words, 0, 6).Draw(t, "words"), rapid.SampledFrom([]string{" ", "", ", "}).Draw(t, "separator"))
	})
	rapid.Check(t, func(t *rapid.T) {
		var set Set
		var phrases []Phrase
		var ids []int
		for _, keyword := range rapid.SliceOfN(sentence, 0, 8).Draw(t, "keywords") {
			if phrase, ok := Parse(keyword); ok {
				phrases, ids = append(phrases, phrase), append(ids, set.Add(phrase))
			}
		}
		folded := AppendFold(nil, sentence.Draw(t, "text"))
		found := make([]bool, set.Len())
		set.Find(folded, found)
		for i, phrase := range phrases {
			require.Equal(t, phrase.In(folded), found[ids[i]], "%q in %q", phrase, folded)
		}
	})
}
