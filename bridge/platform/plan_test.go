package platform

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// richCaps can do everything, within small limits.
func richCaps() Capabilities {
	return Capabilities{
		Text:          TextLimit{Max: 20, Unit: UnitUTF16},
		Caption:       TextLimit{Max: 10, Unit: UnitUTF16},
		Attachments:   []message.Type{message.TypeImage, message.TypeFile, message.TypeSticker},
		Uncaptioned:   []message.Type{message.TypeSticker},
		MaxUpload:     1000,
		Location:      true,
		Buttons:       2,
		ButtonPayload: TextLimit{Max: 8, Unit: UnitBytes},
		Edit:          true, Delete: true, React: true, ReplyTo: true,
	}
}

func TestPlan(t *testing.T) {
	image := message.Attachment{Kind: message.TypeImage, MediaID: "m1", Name: "a.jpg", Size: 10}
	captioned := image
	captioned.Caption = "short"
	buttons := []message.Button{{Title: "Yes", Payload: "yes"}, {Title: "Site", URL: "https://example.com"}}
	berlin := message.Location{Latitude: 52.5, Longitude: 13.4, Name: "Berlin"}
	tests := []struct {
		name string
		in   message.Message
		want []wire.Part
	}{
		{"text", message.Message{Text: "hello"}, []wire.Part{{Text: "hello"}}},
		{
			"long text: buttons on the last part",
			message.Message{Text: "one two three four five six", Buttons: buttons},
			[]wire.Part{{Text: "one two three four"}, {Index: 1, Text: "five six", Buttons: buttons}},
		},
		{
			"text, attachments, location, in this order",
			message.Message{Text: "look", Attachments: []message.Attachment{captioned, image}, Location: &berlin, Buttons: buttons},
			[]wire.Part{{Text: "look"}, {Index: 1, Attachment: &captioned}, {Index: 2, Attachment: &image}, {Index: 3, Location: &berlin, Buttons: buttons}},
		},
		{
			"a caption that is too long follows as text",
			message.Message{Attachments: []message.Attachment{{Kind: message.TypeImage, URL: "https://example.com/a.jpg", Caption: "longer than ten, longer than twenty"}}},
			[]wire.Part{
				{Attachment: &message.Attachment{Kind: message.TypeImage, URL: "https://example.com/a.jpg"}},
				{Index: 1, Text: "longer than ten,"},
				{Index: 2, Text: "longer than twenty"},
			},
		},
		{
			"a kind without captions",
			message.Message{Attachments: []message.Attachment{{Kind: message.TypeSticker, MediaID: "s", Caption: "hi"}}},
			[]wire.Part{{Attachment: &message.Attachment{Kind: message.TypeSticker, MediaID: "s"}}, {Index: 1, Text: "hi"}},
		},
		{
			"the state of an inbound attachment is not sent on",
			message.Message{Attachments: []message.Attachment{{Kind: message.TypeFile, MediaID: "m", Ref: "handle", State: message.MediaStored, Caption: "  "}}},
			[]wire.Part{{Attachment: &message.Attachment{Kind: message.TypeFile, MediaID: "m"}}},
		},
		{
			"edit",
			message.Message{Type: message.TypeEdit, Target: "1:2", Text: "new", Buttons: buttons},
			[]wire.Part{{Action: message.TypeEdit, Target: "1:2", Text: "new", Buttons: buttons}},
		},
		{"deletion", message.Message{Type: message.TypeDeletion, Target: "1:2"}, []wire.Part{{Action: message.TypeDeletion, Target: "1:2"}}},
		{
			"reaction",
			message.Message{Type: message.TypeReaction, Reaction: &message.Reaction{Emoji: "👍", Target: "1:2"}},
			[]wire.Part{{Action: message.TypeReaction, Target: "1:2", Emoji: "👍"}},
		},
		{
			"reaction taken off, target on the message",
			message.Message{Type: message.TypeReaction, Target: "1:2", Reaction: &message.Reaction{Emoji: "👍", Action: message.ReactionRemove}},
			[]wire.Part{{Action: message.TypeReaction, Target: "1:2"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Plan(richCaps(), tt.in)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(tt.want, got))
		})
	}
}

func TestPlanNamesTheFieldThatCannotBeSent(t *testing.T) {
	image := message.Attachment{Kind: message.TypeImage, MediaID: "m"}
	with := func(change func(*Capabilities)) Capabilities { c := richCaps(); change(&c); return c }
	button := func(b message.Button) message.Message {
		return message.Message{Text: "x", Buttons: []message.Button{{Title: "ok", Payload: "ok"}, b}}
	}
	tests := []struct {
		field string
		caps  Capabilities
		in    message.Message
	}{
		{"text", richCaps(), message.Message{}},
		{"text", richCaps(), message.Message{Text: " \n "}},
		{"text", richCaps(), message.Message{Text: "\xff"}},
		{"text", richCaps(), message.Message{Text: strings.Repeat("word ", 20*MaxParts)}},
		{"text", richCaps(), message.Message{Text: strings.Repeat("word ", 20*MaxParts*4)}},
		{"type", richCaps(), message.Message{Type: message.TypeTemplate, Text: "x"}},
		{"type", richCaps(), message.Message{Type: message.TypePostback, Text: "x"}},
		{"replyTo", with(func(c *Capabilities) { c.ReplyTo = false }), message.Message{Text: "x", ReplyTo: "1"}},
		{"attachments[1].kind", richCaps(), message.Message{Attachments: []message.Attachment{image, {Kind: message.TypeVideo, MediaID: "m"}}}},
		{"attachments[0]", richCaps(), message.Message{Attachments: []message.Attachment{{Kind: message.TypeImage}}}},
		{"attachments[0]", richCaps(), message.Message{Attachments: []message.Attachment{{Kind: message.TypeImage, MediaID: "m", URL: "https://example.com/a"}}}},
		{"attachments[0].url", richCaps(), message.Message{Attachments: []message.Attachment{{Kind: message.TypeImage, URL: "file:///etc/passwd"}}}},
		{"attachments[0].size", richCaps(), message.Message{Attachments: []message.Attachment{{Kind: message.TypeImage, MediaID: "m", Size: 1001}}}},
		{"attachments[0].caption", richCaps(), message.Message{Attachments: []message.Attachment{{Kind: message.TypeImage, MediaID: "m", Caption: "\xff"}}}},
		{"location", with(func(c *Capabilities) { c.Location = false }), message.Message{Location: &message.Location{}}},
		{"location.latitude", richCaps(), message.Message{Location: &message.Location{Latitude: math.NaN()}}},
		{"location.longitude", richCaps(), message.Message{Location: &message.Location{Longitude: 181}}},
		{"buttons", with(func(c *Capabilities) { c.Buttons = 0 }), button(message.Button{Title: "a", Payload: "b"})},
		{"buttons", with(func(c *Capabilities) { c.Buttons = 1 }), button(message.Button{Title: "a", Payload: "b"})},
		{"buttons[1].title", richCaps(), button(message.Button{Payload: "b"})},
		{"buttons[1]", richCaps(), button(message.Button{Title: "a"})},
		{"buttons[1].payload", richCaps(), button(message.Button{Title: "a", Payload: "ninebytes"})},
		{"buttons[1].url", richCaps(), button(message.Button{Title: "a", URL: "javascript:alert(1)"})},
		{"type", with(func(c *Capabilities) { c.Edit = false }), message.Message{Type: message.TypeEdit, Target: "1", Text: "x"}},
		{"target", richCaps(), message.Message{Type: message.TypeEdit, Text: "x"}},
		{"text", richCaps(), message.Message{Type: message.TypeEdit, Target: "1"}},
		{"text", richCaps(), message.Message{Type: message.TypeEdit, Target: "1", Text: strings.Repeat("a", 21)}},
		{"attachments", richCaps(), message.Message{Type: message.TypeEdit, Target: "1", Text: "x", Attachments: []message.Attachment{image}}},
		{"type", with(func(c *Capabilities) { c.Delete = false }), message.Message{Type: message.TypeDeletion, Target: "1"}},
		{"target", richCaps(), message.Message{Type: message.TypeDeletion}},
		{"type", with(func(c *Capabilities) { c.React = false }), message.Message{Type: message.TypeReaction, Reaction: &message.Reaction{Emoji: "a", Target: "1"}}},
		{"reaction", richCaps(), message.Message{Type: message.TypeReaction}},
		{"reaction.target", richCaps(), message.Message{Type: message.TypeReaction, Reaction: &message.Reaction{Emoji: "a"}}},
		{"reaction.emoji", richCaps(), message.Message{Type: message.TypeReaction, Reaction: &message.Reaction{Target: "1"}}},
		{"reaction.action", richCaps(), message.Message{Type: message.TypeReaction, Reaction: &message.Reaction{Target: "1", Emoji: "a", Action: "toggle"}}},
	}
	for _, tt := range tests {
		t.Run(tt.field, func(t *testing.T) {
			parts, err := Plan(tt.caps, tt.in)
			var field *FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, tt.field, field.Field, field.Message)
			require.Empty(t, parts)
		})
	}
}

func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		caps := richCaps()
		caps.Text.Max = rapid.IntRange(4, 60).Draw(t, "max")
		caps.Text.Unit = rapid.SampledFrom(units).Draw(t, "unit")
		m := message.Message{Text: drawText(t)}
		for range rapid.IntRange(0, 3).Draw(t, "attachments") {
			m.Attachments = append(m.Attachments, message.Attachment{Kind: rapid.SampledFrom(caps.Attachments).Draw(t, "kind"), MediaID: "m", Caption: drawText(t)})
		}
		for range rapid.IntRange(0, 2).Draw(t, "buttons") {
			m.Buttons = append(m.Buttons, message.Button{Title: "t", Payload: "p"})
		}
		parts, err := Plan(caps, m)
		if err != nil {
			require.True(t, strings.TrimSpace(m.Text) == "" && len(m.Attachments) == 0 || strings.Contains(err.Error(), "platform messages"), err)
			return
		}
		again, err := Plan(caps, m)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(parts, again), "the same message gives the same parts")
		var sent strings.Builder
		for i, p := range parts {
			require.Equal(t, i, p.Index)
			require.True(t, (p.Text != "") != (p.Attachment != nil), "a part is one thing")
			require.LessOrEqual(t, caps.Text.Unit.Len(p.Text), caps.Text.Max)
			sent.WriteString(p.Text)
			if p.Attachment != nil {
				require.LessOrEqual(t, caps.Caption.Unit.Len(p.Attachment.Caption), caps.Caption.Max)
				sent.WriteString(p.Attachment.Caption)
			}
			if i < len(parts)-1 {
				require.Empty(t, p.Buttons)
			}
		}
		require.Len(t, parts[len(parts)-1].Buttons, len(m.Buttons))
		want := m.Text
		for _, a := range m.Attachments {
			want += a.Caption
		}
		require.Equal(t, withoutSpace(want), withoutSpace(sent.String()), "all words arrive, in order")
	})
}

func withoutSpace(s string) string { return strings.Join(strings.Fields(s), "") }

// TestPlanBundle: where one message carries everything, it is one part.
func TestPlanBundle(t *testing.T) {
	caps := Capabilities{Bundle: true, Attachments: []message.Type{message.TypeFile, message.TypeImage}, MaxUpload: 100}
	file := func(size int64, caption string) message.Attachment {
		return message.Attachment{Kind: message.TypeFile, MediaID: "m", Size: size, Caption: caption, Ref: "inbound", State: message.MediaStored}
	}
	mail := &message.Mail{Subject: "x"}
	parts, err := Plan(caps, message.Message{Text: "hello", Mail: mail, Attachments: []message.Attachment{file(40, "first"), file(60, " ")}})
	require.NoError(t, err)
	sent := message.Attachment{Kind: message.TypeFile, MediaID: "m"}
	first, second := sent, sent
	first.Size, second.Size = 40, 60
	require.Equal(t, []wire.Part{{Text: "hello\n\nfirst", Mail: mail, Attachments: []message.Attachment{first, second}}}, parts)

	parts, err = Plan(caps, message.Message{Attachments: []message.Attachment{file(1, "only a caption")}})
	require.NoError(t, err)
	require.Equal(t, "only a caption", parts[0].Text)

	for field, m := range map[string]message.Message{
		"text":                {Text: " \n"},
		"attachments[1].size": {Attachments: []message.Attachment{file(50, ""), file(51, "")}},
		"attachments[0].kind": {Attachments: []message.Attachment{{Kind: message.TypeVideo, MediaID: "m"}}},
		"location":            {Text: "here", Location: &message.Location{}},
		"buttons":             {Text: "choose", Buttons: []message.Button{{Title: "a", Payload: "b"}}},
	} {
		_, err := Plan(caps, m)
		var fe *FieldError
		require.ErrorAs(t, err, &fe, field)
		require.Equal(t, field, fe.Field)
	}
}
