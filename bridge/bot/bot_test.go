package bot

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

func shopBot(t require.TestingT) *Bot {
	b, found := Compile(specOf(t, shop))
	require.Empty(t, found)
	return b
}

// specOf reads a spec as it stands in a document.
func specOf(t require.TestingT, text string) Spec {
	var spec Spec
	require.NoError(t, json.Unmarshal([]byte(text), &spec))
	return spec
}

func texts(r Result) []string {
	out := []string{}
	for _, reply := range r.Replies {
		out = append(out, reply.Text)
	}
	return out
}

// A step of a dialogue: what the contact does, what the bot says.
type exchange struct {
	in       Input
	say      []string
	matched  string
	handover Reason
	topics   []string
}

func says(text string) Input      { return Input{Text: text} }
func presses(button string) Input { return Input{Payload: button} }

func TestDialogues(t *testing.T) {
	main, order := "What is it about?", "What about your order?"
	tests := []struct {
		name string
		talk []exchange
	}{
		{"through the menus by buttons", []exchange{
			{in: says("hi"), say: []string{"Hello!", main}, matched: "greeting"},
			{in: presses("bot:main/order"), say: []string{order}, matched: "main/order"},
			{in: presses("bot:order/late"), say: []string{"I fetch somebody who knows."}, matched: "order/late", handover: ReasonRequested, topics: []string{"delivery", "late"}},
		}},
		{"by numbers, titles and keywords", []exchange{
			{in: says("hi"), say: []string{"Hello!", main}, matched: "greeting"},
			{in: says(" 1. "), say: []string{order}, matched: "main/order"},
			{in: says("BACK!"), say: []string{main}, matched: "order/back"},
			{in: says("where is my parcel?"), say: []string{order}, matched: "main/order"},
			{in: says("3"), say: []string{"I did not understand that.", order}, matched: "fallback"},
		}},
		{"an old button still works", []exchange{
			{in: presses("bot:order/back"), say: []string{main}, matched: "order/back"},
		}},
		{"a button of somebody else does not", []exchange{
			{in: says("hi"), say: []string{"Hello!", main}, matched: "greeting"},
			{in: presses("order/back"), say: []string{"I did not understand that.", main}, matched: "fallback"},
			{in: presses("bot:gone/back"), say: []string{"One moment."}, handover: ReasonNotUnderstood},
		}},
		{"an answer to the first message", []exchange{
			{in: says("I want my MONEY BACK"), say: []string{"Refunds take 3 days."}, matched: "answer/refund", topics: []string{"refund"}},
			{in: says("hm"), say: []string{"I did not understand that."}, matched: "fallback"},
		}},
		{"a pattern", []exchange{
			{in: says("it is rr123456789de"), say: []string{"That is a parcel number.", order}, matched: "answer/tracking"},
		}},
		{"a person at once", []exchange{
			{in: says("Can I talk to a human?"), say: []string{"One moment."}, handover: ReasonKeyword},
		}},
		{"in whatever language", []exchange{
			{in: Input{Text: "einen MITARBEITER, bitte", Language: "en"}, say: []string{"One moment."}, handover: ReasonKeyword},
		}},
		{"a handover without a text of its own", []exchange{
			{in: says("hi"), say: []string{"Hello!", main}, matched: "greeting"},
			{in: says("a person"), say: []string{"One moment."}, matched: "main/person", handover: ReasonRequested, topics: []string{"general"}},
		}},
		{"the language, and what is not in it", []exchange{
			{in: Input{Text: "Hallo", Language: "de-AT"}, say: []string{"Hallo!", "Worum geht es?"}, matched: "greeting"},
			{in: says("Öffnungszeiten"), say: []string{"Neun bis fünf."}, matched: "main/hours"},
			{in: says("Paket"), say: []string{order}, matched: "main/order"},
			{in: says("???"), say: []string{"Das habe ich nicht verstanden.", order}, matched: "fallback"},
		}},
		{"a picture is not understood", []exchange{
			{in: says("hi"), say: []string{"Hello!", main}, matched: "greeting"},
			{in: Input{}, say: []string{"I did not understand that.", main}, matched: "fallback"},
			{in: Input{}, say: []string{"One moment."}, handover: ReasonNotUnderstood},
		}},
		{"understanding forgives", []exchange{
			{in: says("hi"), say: []string{"Hello!", main}, matched: "greeting"},
			{in: says("x"), say: []string{"I did not understand that.", main}, matched: "fallback"},
			{in: says("2"), say: []string{"Nine to five."}, matched: "main/hours"},
			{in: says("x"), say: []string{"I did not understand that.", main}, matched: "fallback"},
		}},
		{"too many turns", []exchange{
			{in: says("hi"), say: []string{"Hello!", main}, matched: "greeting"},
			{in: says("2"), say: []string{"Nine to five."}, matched: "main/hours"},
			{in: says("2"), say: []string{"Nine to five."}, matched: "main/hours"},
			{in: says("2"), say: []string{"Nine to five."}, matched: "main/hours"},
			{in: says("2"), say: []string{"Nine to five."}, matched: "main/hours"},
			{in: says("2"), say: []string{"One moment."}, handover: ReasonMaxTurns},
			{in: Input{Returned: true}, say: []string{main}, matched: "greeting"},
			{in: says("2"), say: []string{"Nine to five."}, matched: "main/hours"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := shopBot(t)
			var state State
			for i, e := range test.talk {
				kept, err := json.Marshal(state) // the store keeps it between two messages
				require.NoError(t, err)
				state = State{}
				require.NoError(t, json.Unmarshal(kept, &state))
				r := Step(b, state, e.in)
				assert.Equal(t, e.say, texts(r), "step %d", i)
				assert.Equal(t, e.matched, r.Matched, "step %d", i)
				assert.Equal(t, e.handover, r.Handover, "step %d", i)
				assert.Equal(t, e.topics, r.Topics, "step %d", i)
				state = r.State
			}
		})
	}
}

func TestMenusHaveButtonsOrNumbers(t *testing.T) {
	r := Step(shopBot(t), State{}, Input{Text: "hallo", Language: "de"})
	menu := r.Replies[1]
	assert.Equal(t, "de", menu.Language)
	assert.Equal(t, "bot:main/person", menu.Buttons[2].Payload)
	assert.Equal(t, "Worum geht es?\n1. Meine Bestellung\n2. Öffnungszeiten\n3. A person", menu.Numbered())
}

func TestWithoutMenusAndGreeting(t *testing.T) {
	b, found := Compile(Spec{DefaultLanguage: "en", Fallback: Texts{"en": "?"}, Answers: []Answer{{Name: "a", Pattern: "a", Then: Action{Text: Texts{"en": "A"}}}}, Handover: Handover{Keywords: Words{"en": {"human"}}}})
	require.Empty(t, found)
	r := Step(b, State{}, says("x"))
	assert.Equal(t, []string{"?"}, texts(r))
	assert.Equal(t, 1, r.State.Misses)
	assert.Empty(t, Step(b, r.State, Input{Returned: true}).Replies)
	r = Step(b, r.State, says("talk to a HUMAN"))
	assert.Equal(t, ReasonKeyword, r.Handover)
	assert.Empty(t, r.Replies, "nothing to say is nothing said")
}

func TestKeywordsStandAlone(t *testing.T) {
	k := CompileKeywords(Words{"en": {"agent", "!"}, "de": {"echter Mensch"}})
	assert.True(t, k.In("AGENT."))
	assert.True(t, k.In("ein echter  mensch"))
	assert.False(t, k.In("agents"))
	assert.False(t, Keywords{}.In("agent"))
}

func TestMistakes(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"language", `"defaultLanguage": "en"`, `"defaultLanguage": "English language"`, `defaultLanguage: "English language" is not a language`},
		{"default language is missing", `"fallback": {"en": "I did not understand that.", `, `"fallback": {`, `fallback: is not there in defaultLanguage "en"`},
		{"no fallback", `"fallback": {"en": "I did not understand that.", "de": "Das habe ich nicht verstanden."},`, ``, `fallback: is empty; write it at least in en`},
		{"blank", `"Nine to five."`, `" "`, `menus[0].options[1].then.text[en]: is 1 bytes long`},
		{"menu to nowhere", `"menu": "main"`, `"menu": "start"`, `menus[1].options[1].then.menu: no menu is named "start"`},
		{"answer to nowhere", `"That is a parcel number."}, "menu": "order"`, `"That is a parcel number."}, "menu": "orders"`, `answers[1].then.menu: no menu is named "orders"`},
		{"menu twice", `"name": "order", "text"`, `"name": "main", "text"`, `menus[1].name: "main" is also menus[0]`},
		{"option twice", `"name": "back"`, `"name": "late"`, `menus[1].options[1].name: "late" is there twice`},
		{"answer twice", `"name": "tracking"`, `"name": "refund"`, `answers[1].name: "refund" is also answers[0]`},
		{"name", `"name": "tracking"`, `"name": "Tracking/1"`, `answers[1].name: "Tracking/1" is not a name`},
		{"pattern", `(?i)`, `(?<`, `answers[1].pattern: is not a regular expression: invalid`},
		{"pattern of everything", `(?i)\\b[A-Z]{2}\\d{9}DE\\b`, `.*`, `answers[1].pattern: matches everything`},
		{"keyword", `"money back"`, `"$$"`, `answers[0].keywords[en][1]: "$$" is not a keyword`},
		{"no action", `"then": {"menu": "main"}`, `"then": {}`, `menus[1].options[1].then: is empty`},
		{"menu after handover", `"handover": true, "topics": ["general"]`, `"handover": true, "menu": "main"`, `menus[0].options[2].then.menu: follows a handover`},
		{"no words for a person", `{"en": ["agent", "human"], "de": ["Mensch", "Mitarbeiter"]}`, `{}`, `handover.keywords: is empty`},
		{"turns", `"maxTurns": 5`, `"maxTurns": -5`, `handover.maxTurns: is -5`},
		{"misses", `"maxMisses": 2`, `"maxMisses": 200`, `handover.maxMisses: is 200`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, 1, strings.Count(shop, test.old), test.old)
			b, found := Compile(specOf(t, strings.Replace(shop, test.old, test.new, 1)))
			require.NotEmpty(t, found)
			assert.Nil(t, b)
			assert.Contains(t, found[0].String(), test.want)
			assert.Equal(t, routing.EffectRejected, found[0].Effect)
		})
	}
	_, found := Compile(Spec{DefaultLanguage: "en", Fallback: Texts{"en": "?"}, Handover: Handover{Keywords: Words{"en": {"human"}}}})
	require.Len(t, found, 1)
	assert.Contains(t, found[0].String(), "menus: is empty, and so is answers")
}

// Whatever is written: the bot answers or hands over, within MaxTurns, and is silent
// once it has.
func TestEveryDialogueEnds(t *testing.T) {
	b := shopBot(t)
	inputs := rapid.OneOf(
		rapid.SampledFrom([]Input{says("1"), says("2"), says("hi"), says("refund"), {}, presses("bot:main/order"), presses("bot:order/back")}),
		rapid.Map(rapid.String(), says),
	)
	rapid.Check(t, func(t *rapid.T) {
		var state State
		for turn := 1; ; turn++ {
			require.LessOrEqual(t, turn, 6, "maxTurns is 5")
			in := inputs.Draw(t, "input")
			r := Step(b, state, in)
			require.Equal(t, r, Step(b, state, in), "a pure function")
			if r.Handover != "" {
				require.LessOrEqual(t, len(r.Replies), 1, "a handover says one thing at most")
				return
			}
			require.NotEmpty(t, r.Replies, "the contact waits for an answer")
			state = r.State
		}
	})
}

func FuzzStep(f *testing.F) {
	f.Add("hi", "", "en", "main", 1, 0)
	f.Add("1", "bot:main/order", "de-AT", "order", 4, 1)
	f.Add("\xff\x00", "bot:", "", "gone", 0, -1)
	b := shopBot(f)
	f.Fuzz(func(t *testing.T, text, payload, language, menu string, turns, misses int) {
		r := Step(b, State{Menu: menu, Turns: turns, Misses: misses}, Input{Text: text, Payload: payload, Language: language})
		if r.Handover == "" && len(r.Replies) == 0 {
			t.Fatal("no answer and no handover")
		}
	})
}

func FuzzCompile(f *testing.F) {
	f.Add([]byte(shop))
	f.Add([]byte(`{"defaultLanguage":"en","answers":[{"name":"a","pattern":"(((a{1,999}){1,999}"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var spec Spec
		if json.Unmarshal(data, &spec) != nil {
			return
		}
		if b, found := Compile(spec); b != nil {
			Step(b, State{}, Input{Text: "hello 1"})
		} else if len(found) == 0 {
			t.Fatal("neither a bot nor a finding")
		}
	})
}
