package platform

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// styleOf chooses how buttons look. Where a platform has one way only, it is
// no style at all. Else buttons that open a page must stay with the message,
// which needs a text for them; more than can stay there are quick replies.
func styleOf(caps Capabilities, m message.Message) (message.ButtonStyle, error) {
	stays, err := checkStyle(caps, m)
	switch {
	case err != nil:
		return "", err
	case len(m.Buttons) == 0 || caps.QuickReplies == 0:
		return "", nil
	case stays:
		return message.ButtonStyleButtons, nil
	}
	return message.ButtonStyleQuickReplies, nil
}

func checkStyle(caps Capabilities, m message.Message) (stays bool, err error) {
	opens := slices.ContainsFunc(m.Buttons, func(b message.Button) bool { return b.URL != "" })
	text := strings.TrimSpace(m.Text) != ""
	switch m.ButtonStyle {
	case message.ButtonStyleAuto:
		stays = opens || text && m.Type != message.TypeTemplate && len(m.Buttons) <= caps.Buttons
	case message.ButtonStyleButtons:
		stays = true
	case message.ButtonStyleQuickReplies:
	default:
		return false, fieldErrorf("buttonStyle", "%q is neither buttons nor quickReplies", m.ButtonStyle)
	}
	if len(m.Buttons) == 0 {
		return stays, nil
	}
	switch {
	case caps.QuickReplies == 0:
		if m.ButtonStyle == message.ButtonStyleQuickReplies {
			return false, fieldErrorf("buttonStyle", "this platform has no quick replies")
		}
		return stays, nil
	case stays && m.Type == message.TypeTemplate:
		return false, fieldErrorf("buttons", "beside a template only quick replies without a url can be sent; put the button on a card")
	case stays && !text:
		return false, fieldErrorf("text", "is required: buttons that stay hang on a text")
	case stays && len(m.Buttons) > caps.Buttons:
		return false, fieldErrorf("buttons", "%d buttons, %d is the limit; as quick replies (without a url) there can be %d", len(m.Buttons), caps.Buttons, caps.QuickReplies)
	case !stays && opens:
		return false, fieldErrorf("buttons", "quick replies cannot open a url; set buttonStyle to buttons")
	}
	return stays, nil
}

// endWithin cuts the last text so that its end fits what buttons hang on.
func endWithin(parts []wire.Part, caps Capabilities) []wire.Part {
	if len(parts) == 0 || caps.ButtonText.Max == 0 {
		return parts
	}
	last := parts[len(parts)-1].Text
	pieces := Split(last, caps.ButtonText)
	if len(pieces) < 2 {
		return parts
	}
	// Only the end needs to be short; what is before it stays one message.
	end := pieces[len(pieces)-1]
	before := strings.TrimRight(last[:strings.LastIndex(last, end)], " \t\r\n")
	parts = parts[:len(parts)-1]
	for _, s := range Split(before, caps.Text) {
		parts = append(parts, wire.Part{Text: s})
	}
	return append(parts, wire.Part{Text: end})
}

func planTemplate(caps Capabilities, m message.Message) ([]wire.Part, error) {
	switch {
	case caps.Cards == 0:
		return nil, fieldErrorf("type", "this platform has no templates; send texts and attachments")
	case m.Template == nil || len(m.Template.Cards) == 0:
		return nil, fieldErrorf("template.cards", "a template needs a card")
	case len(m.Template.Cards) > caps.Cards:
		return nil, fieldErrorf("template.cards", "%d cards, %d is the limit", len(m.Template.Cards), caps.Cards)
	case len(m.Attachments) > 0:
		return nil, fieldErrorf("attachments", "a template has its pictures on its cards")
	case m.Location != nil:
		return nil, fieldErrorf("location", "a template has no location")
	}
	for i, card := range m.Template.Cards {
		if err := checkCard(caps, fmt.Sprintf("template.cards[%d]", i), card); err != nil {
			return nil, err
		}
	}
	style, err := styleOf(caps, m)
	if err != nil {
		return nil, err
	}
	parts, err := planText(caps, "text", m.Text)
	if err != nil {
		return nil, err
	}
	template := message.Template{Cards: slices.Clone(m.Template.Cards)}
	return append(parts, wire.Part{Template: &template, Buttons: slices.Clone(m.Buttons), ButtonStyle: style}), nil
}

// maxCardText bounds title and subtitle of a card, in characters: beyond 80
// platforms cut them off.
const maxCardText = 80

func checkCard(caps Capabilities, field string, c message.Card) error {
	for name, text := range map[string]string{"title": c.Title, "subtitle": c.Subtitle} {
		switch {
		case !utf8.ValidString(text):
			return fieldErrorf(field+"."+name, "is not valid UTF-8")
		case utf8.RuneCountInString(text) > maxCardText:
			return fieldErrorf(field+"."+name, "has more than %d characters", maxCardText)
		}
	}
	for name, link := range map[string]string{"url": c.URL, "imageUrl": c.ImageURL} {
		if link != "" && !isWebURL(link) {
			return fieldErrorf(field+"."+name, "must be an absolute http or https URL")
		}
	}
	switch {
	case strings.TrimSpace(c.Title) == "":
		return fieldErrorf(field+".title", "a card needs a title")
	case c.Subtitle == "" && c.ImageURL == "" && c.URL == "" && len(c.Buttons) == 0:
		return fieldErrorf(field, "a card needs more than a title: a subtitle, an image, a url or a button")
	case len(c.Buttons) > caps.Buttons:
		return fieldErrorf(field+".buttons", "%d buttons, %d is the limit", len(c.Buttons), caps.Buttons)
	}
	for i, b := range c.Buttons {
		if err := checkButton(caps, fmt.Sprintf("%s.buttons[%d]", field, i), b); err != nil {
			return err
		}
	}
	return nil
}
