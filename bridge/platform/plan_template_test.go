package platform

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// styled is a platform with two styles of buttons and templates.
var styled = Capabilities{
	Text: TextLimit{Max: 100, Unit: UnitUTF16}, ButtonText: TextLimit{Max: 40, Unit: UnitUTF16}, ButtonTitle: TextLimit{Max: 10, Unit: UnitUTF16},
	Attachments: []message.Type{message.TypeImage}, Buttons: 3, QuickReplies: 13, Cards: 2,
}

func payloads(n int) []message.Button {
	out := make([]message.Button, n)
	for i := range out {
		out[i] = message.Button{Title: "b", Payload: "p"}
	}
	return out
}

var link = message.Button{Title: "open", URL: "https://shop.example.com"}

func TestButtonsGetTheStyleThatSuitsThem(t *testing.T) {
	image := []message.Attachment{{Kind: message.TypeImage, URL: "https://shop.example.com/a.jpg"}}
	for name, test := range map[string]struct {
		m     message.Message
		style message.ButtonStyle
	}{
		"few stay":                    {message.Message{Text: "x", Buttons: payloads(3)}, message.ButtonStyleButtons},
		"many go":                     {message.Message{Text: "x", Buttons: payloads(4)}, message.ButtonStyleQuickReplies},
		"links stay":                  {message.Message{Text: "x", Buttons: []message.Button{link}}, message.ButtonStyleButtons},
		"asked to go":                 {message.Message{Text: "x", Buttons: payloads(1), ButtonStyle: message.ButtonStyleQuickReplies}, message.ButtonStyleQuickReplies},
		"asked to stay":               {message.Message{Text: "x", Buttons: payloads(1), ButtonStyle: message.ButtonStyleButtons}, message.ButtonStyleButtons},
		"nothing to hang on: they go": {message.Message{Attachments: image, Buttons: payloads(1)}, message.ButtonStyleQuickReplies},
		"with a picture, on its text": {message.Message{Text: "x", Attachments: image, Buttons: payloads(1)}, message.ButtonStyleButtons},
	} {
		t.Run(name, func(t *testing.T) {
			parts, err := Plan(styled, test.m)
			require.NoError(t, err)
			last := parts[len(parts)-1]
			assert.Equal(t, test.style, last.ButtonStyle)
			assert.Equal(t, test.m.Buttons, last.Buttons)
			if test.m.Text != "" {
				assert.Equal(t, test.m.Text, last.Text, "the buttons hang on the text, which goes last")
			}
		})
	}
	parts, err := Plan(Capabilities{Buttons: 5}, message.Message{Text: "x", Buttons: payloads(5)})
	require.NoError(t, err)
	assert.Empty(t, parts[0].ButtonStyle, "one way only is no style")
}

func TestWhatButtonsCannotBeIsSaidByField(t *testing.T) {
	cards := func(c ...message.Card) *message.Template { return &message.Template{Cards: c} }
	good := message.Card{Title: "a", Subtitle: "b"}
	for name, test := range map[string]struct {
		m     message.Message
		field string
	}{
		"a link that goes":          {message.Message{Text: "x", Buttons: []message.Button{link}, ButtonStyle: message.ButtonStyleQuickReplies}, "buttons"},
		"too many that stay":        {message.Message{Text: "x", Buttons: payloads(4), ButtonStyle: message.ButtonStyleButtons}, "buttons"},
		"too many with a link":      {message.Message{Text: "x", Buttons: append(payloads(3), link)}, "buttons"},
		"too many of all":           {message.Message{Text: "x", Buttons: payloads(14)}, "buttons"},
		"staying without a text":    {message.Message{Attachments: []message.Attachment{{Kind: message.TypeImage, URL: "https://a.example.com/"}}, Buttons: []message.Button{link}}, "text"},
		"a style nobody has":        {message.Message{Text: "x", Buttons: payloads(1), ButtonStyle: "blinking"}, "buttonStyle"},
		"a long title":              {message.Message{Text: "x", Buttons: []message.Button{{Title: strings.Repeat("x", 11), Payload: "p"}}}, "buttons[0].title"},
		"no cards":                  {message.Message{Type: message.TypeTemplate}, "template.cards"},
		"too many cards":            {message.Message{Type: message.TypeTemplate, Template: cards(good, good, good)}, "template.cards"},
		"a card without a title":    {message.Message{Type: message.TypeTemplate, Template: cards(message.Card{Subtitle: "b"})}, "template.cards[0].title"},
		"a card of a title alone":   {message.Message{Type: message.TypeTemplate, Template: cards(good, message.Card{Title: "a"})}, "template.cards[1]"},
		"a long subtitle":           {message.Message{Type: message.TypeTemplate, Template: cards(message.Card{Title: "a", Subtitle: strings.Repeat("x", 81)})}, "template.cards[0].subtitle"},
		"a picture from nowhere":    {message.Message{Type: message.TypeTemplate, Template: cards(message.Card{Title: "a", ImageURL: "a.jpg"})}, "template.cards[0].imageUrl"},
		"a card with four buttons":  {message.Message{Type: message.TypeTemplate, Template: cards(message.Card{Title: "a", Buttons: payloads(4)})}, "template.cards[0].buttons"},
		"a link beside a template":  {message.Message{Type: message.TypeTemplate, Template: cards(good), Buttons: []message.Button{link}}, "buttons"},
		"a file with a template":    {message.Message{Type: message.TypeTemplate, Template: cards(good), Attachments: []message.Attachment{{}}}, "attachments"},
		"a location with templates": {message.Message{Type: message.TypeTemplate, Template: cards(good), Location: &message.Location{}}, "location"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Plan(styled, test.m)
			var fe *FieldError
			require.ErrorAs(t, err, &fe)
			assert.Equal(t, test.field, fe.Field, fe.Message)
		})
	}
	_, err := Plan(Capabilities{Buttons: 3}, message.Message{Type: message.TypeTemplate, Template: cards(good)})
	require.ErrorContains(t, err, "type")
	_, err = Plan(Capabilities{Buttons: 3}, message.Message{Text: "x", Buttons: payloads(1), ButtonStyle: message.ButtonStyleQuickReplies})
	require.ErrorContains(t, err, "buttonStyle")
}

func TestATemplateFollowsItsText(t *testing.T) {
	parts, err := Plan(styled, message.Message{Type: message.TypeTemplate, Text: "ours:", Template: &message.Template{Cards: []message.Card{{Title: "a", URL: "https://a.example.com/"}}}, Buttons: payloads(2)})
	require.NoError(t, err)
	require.Len(t, parts, 2)
	assert.Equal(t, "ours:", parts[0].Text)
	assert.NotNil(t, parts[1].Template)
	assert.Equal(t, message.ButtonStyleQuickReplies, parts[1].ButtonStyle)
	assert.Equal(t, 1, parts[1].Index)
}

// However long a text with buttons that stay is: nothing but white space is
// lost, every part fits, and the one with the buttons fits what they hang on.
func TestTheEndOfATextFitsItsButtons(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-zя👋]{1,50}`), 1, 30).Draw(rt, "words")
		text := strings.Join(words, " ")
		parts, err := Plan(styled, message.Message{Text: text, Buttons: []message.Button{link}})
		require.NoError(rt, err)
		var all string
		for i, p := range parts {
			limit := styled.Text
			if i == len(parts)-1 {
				limit = styled.ButtonText
				require.NotEmpty(rt, p.Buttons)
			} else {
				require.Empty(rt, p.Buttons)
			}
			require.LessOrEqual(rt, limit.Unit.Len(p.Text), limit.Max)
			require.NotEmpty(rt, strings.TrimSpace(p.Text))
			all += p.Text
		}
		require.Equal(rt, strings.ReplaceAll(text, " ", ""), strings.ReplaceAll(all, " ", ""))
	})
}
