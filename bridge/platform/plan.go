package platform

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// MaxParts is how many platform messages one message may become. It stops a
// slip (a log file pasted as text) from flooding a person's phone: 64 parts of
// Telegram's 4096 units are a book of 260 000 characters.
const MaxParts = 64

// Plan turns an outbound message into the platform requests that carry it, in
// order: its text (split where it must be, see Split), its attachments each
// with its caption, its location. Buttons go with the last part; where they
// hang on a text (Capabilities.QuickReplies), the text goes last. A caption
// that the platform cannot take with the attachment follows it as a text.
// A template follows its text.
// An edit, a deletion or a reaction is one part; a reaction with the action
// "remove" has an empty Emoji.
//
// Plan is pure. Its errors are *FieldError with the JSON path within the
// message of what the platform cannot do ("attachments[0].kind", "buttons").
func Plan(caps Capabilities, m message.Message) ([]wire.Part, error) {
	if err := checkCommon(caps, m); err != nil {
		return nil, err
	}
	var parts []wire.Part
	var err error
	switch m.Type {
	case message.TypeEdit:
		parts, err = planEdit(caps, m)
	case message.TypeDeletion:
		parts, err = planDeletion(caps, m)
	case message.TypeReaction:
		parts, err = planReaction(caps, m)
	case message.TypeTemplate:
		parts, err = planTemplate(caps, m)
	case message.TypeContacts, message.TypePostback, message.TypeUnsupported:
		return nil, fieldErrorf("type", "messages of type %s cannot be sent on this platform", m.Type)
	default:
		parts, err = planContent(caps, m)
	}
	if err != nil {
		return nil, err
	}
	if len(parts) > MaxParts {
		return nil, fieldErrorf("text", "the message becomes %d platform messages, %d is the limit; send a file instead", len(parts), MaxParts)
	}
	for i := range parts {
		parts[i].Index = i
	}
	return parts, nil
}

func planContent(caps Capabilities, m message.Message) ([]wire.Part, error) {
	if caps.Bundle {
		return planBundle(caps, m)
	}
	style, err := styleOf(caps, m)
	if err != nil {
		return nil, err
	}
	texts, err := planText(caps, "text", m.Text)
	if err != nil {
		return nil, err
	}
	if style == message.ButtonStyleButtons {
		texts = endWithin(texts, caps)
	}
	var parts []wire.Part
	textLast := len(m.Buttons) > 0 && caps.QuickReplies > 0
	if !textLast {
		parts = texts
	}
	for i, a := range m.Attachments {
		more, err := planAttachment(caps, fmt.Sprintf("attachments[%d]", i), a)
		if err != nil {
			return nil, err
		}
		parts = append(parts, more...)
	}
	if m.Location != nil {
		if err := checkLocation(caps, *m.Location); err != nil {
			return nil, err
		}
		location := *m.Location
		parts = append(parts, wire.Part{Location: &location})
	}
	if textLast {
		parts = append(parts, texts...)
	}
	if len(parts) == 0 {
		return nil, fieldErrorf("text", "the message is empty; give it a text, an attachment or a location")
	}
	last := &parts[len(parts)-1]
	last.Buttons, last.ButtonStyle = slices.Clone(m.Buttons), style
	return parts, nil
}

// planBundle makes the one part of a message that carries everything. Captions
// follow the text, which is not bounded where messages are bundled.
func planBundle(caps Capabilities, m message.Message) ([]wire.Part, error) {
	part := wire.Part{Text: m.Text, Mail: m.Mail}
	if strings.TrimSpace(part.Text) == "" {
		part.Text = ""
	}
	var total int64
	for i, a := range m.Attachments {
		field := fmt.Sprintf("attachments[%d]", i)
		if err := checkAttachment(caps, field, a); err != nil {
			return nil, err
		}
		if total += max(a.Size, 0); caps.MaxUpload > 0 && total > caps.MaxUpload {
			return nil, fieldErrorf(field+".size", "%d bytes with those before it, %d is the limit of one message", total, caps.MaxUpload)
		}
		if strings.TrimSpace(a.Caption) != "" {
			part.Text = strings.TrimPrefix(part.Text+"\n\n"+a.Caption, "\n\n")
		}
		part.Attachments = append(part.Attachments, message.Attachment{Kind: a.Kind, URL: a.URL, MediaID: a.MediaID, MimeType: a.MimeType, Name: a.Name, Size: a.Size})
	}
	if m.Location != nil {
		if err := checkLocation(caps, *m.Location); err != nil {
			return nil, err
		}
		location := *m.Location
		part.Location = &location
	}
	if part.Text == "" && len(part.Attachments) == 0 && part.Location == nil {
		return nil, fieldErrorf("text", "the message is empty; give it a text or an attachment")
	}
	return []wire.Part{part}, nil
}

func planText(caps Capabilities, field, text string) ([]wire.Part, error) {
	if caps.Text.Max > 0 && len(text) > MaxParts*caps.Text.Max*utf8.UTFMax {
		return nil, fieldErrorf(field, "%d bytes are more than %d platform messages can carry; send a file instead", len(text), MaxParts)
	}
	var parts []wire.Part
	for _, s := range Split(text, caps.Text) {
		parts = append(parts, wire.Part{Text: s})
	}
	return parts, nil
}

func planAttachment(caps Capabilities, field string, a message.Attachment) ([]wire.Part, error) {
	if err := checkAttachment(caps, field, a); err != nil {
		return nil, err
	}
	caption := a.Caption
	if strings.TrimSpace(caption) == "" {
		caption = ""
	}
	// Ref and State belong to inbound media; a part names its bytes by MediaID or URL.
	sent := message.Attachment{Kind: a.Kind, URL: a.URL, MediaID: a.MediaID, MimeType: a.MimeType, Name: a.Name, Size: a.Size, Caption: caption}
	fits := caps.Caption.Max > 0 && !slices.Contains(caps.Uncaptioned, a.Kind) && caps.Caption.Unit.Len(caption) <= caps.Caption.Max
	if caption == "" || fits {
		return []wire.Part{{Attachment: &sent}}, nil
	}
	sent.Caption = ""
	texts, err := planText(caps, field+".caption", caption)
	if err != nil {
		return nil, err
	}
	return append([]wire.Part{{Attachment: &sent}}, texts...), nil
}

func planEdit(caps Capabilities, m message.Message) ([]wire.Part, error) {
	switch {
	case !caps.Edit:
		return nil, fieldErrorf("type", "this platform cannot change a message that was sent")
	case m.Target == "":
		return nil, fieldErrorf("target", "name the external id of the message to change")
	case len(m.Attachments) > 0:
		return nil, fieldErrorf("attachments", "an edit changes the text only")
	case m.Location != nil:
		return nil, fieldErrorf("location", "an edit changes the text only")
	case strings.TrimSpace(m.Text) == "":
		return nil, fieldErrorf("text", "an edit needs the new text; to remove the message send a deletion")
	}
	if n := caps.Text.Unit.Len(m.Text); caps.Text.Max > 0 && n > caps.Text.Max {
		return nil, fieldErrorf("text", "an edit is one platform message of at most %d %s, this has %d", caps.Text.Max, caps.Text.Unit, n)
	}
	return []wire.Part{{Action: message.TypeEdit, Target: m.Target, Text: m.Text, Buttons: slices.Clone(m.Buttons)}}, nil
}

func planDeletion(caps Capabilities, m message.Message) ([]wire.Part, error) {
	if !caps.Delete {
		return nil, fieldErrorf("type", "this platform cannot delete a message that was sent")
	}
	if m.Target == "" {
		return nil, fieldErrorf("target", "name the external id of the message to delete")
	}
	return []wire.Part{{Action: message.TypeDeletion, Target: m.Target}}, nil
}

func planReaction(caps Capabilities, m message.Message) ([]wire.Part, error) {
	if !caps.React {
		return nil, fieldErrorf("type", "this platform cannot send reactions")
	}
	if m.Reaction == nil {
		return nil, fieldErrorf("reaction", "name the emoji and the message to react to")
	}
	target := m.Reaction.Target
	if target == "" {
		target = m.Target
	}
	if target == "" {
		return nil, fieldErrorf("reaction.target", "name the external id of the message to react to")
	}
	part := wire.Part{Action: message.TypeReaction, Target: target, Emoji: m.Reaction.Emoji}
	switch m.Reaction.Action {
	case message.ReactionRemove:
		part.Emoji = ""
	case message.ReactionAdd, "":
		if part.Emoji == "" {
			return nil, fieldErrorf("reaction.emoji", "name the emoji; to take a reaction off set action to remove")
		}
	default:
		return nil, fieldErrorf("reaction.action", "%q is neither add nor remove", m.Reaction.Action)
	}
	return []wire.Part{part}, nil
}

func checkCommon(caps Capabilities, m message.Message) error {
	switch {
	case !utf8.ValidString(m.Text):
		return fieldErrorf("text", "is not valid UTF-8")
	case m.ReplyTo != "" && !caps.ReplyTo:
		return fieldErrorf("replyTo", "this platform cannot answer a single message")
	case len(m.Buttons) > 0 && caps.Buttons == 0:
		return fieldErrorf("buttons", "this platform has no buttons")
	case len(m.Buttons) > max(caps.Buttons, caps.QuickReplies):
		return fieldErrorf("buttons", "%d buttons, %d is the limit", len(m.Buttons), max(caps.Buttons, caps.QuickReplies))
	}
	for i, b := range m.Buttons {
		if err := checkButton(caps, fmt.Sprintf("buttons[%d]", i), b); err != nil {
			return err
		}
	}
	return nil
}

func checkButton(caps Capabilities, field string, b message.Button) error {
	switch {
	case strings.TrimSpace(b.Title) == "":
		return fieldErrorf(field+".title", "a button needs a title")
	case (b.URL == "") == (b.Payload == ""):
		return fieldErrorf(field, "a button needs either a payload or a url")
	case b.URL != "" && !isWebURL(b.URL):
		return fieldErrorf(field+".url", "must be an absolute http or https URL")
	}
	limit := caps.ButtonPayload
	if n := limit.Unit.Len(b.Payload); limit.Max > 0 && n > limit.Max {
		return fieldErrorf(field+".payload", "%d %s, %d is the limit", n, limit.Unit, limit.Max)
	}
	limit = caps.ButtonTitle
	if n := limit.Unit.Len(b.Title); limit.Max > 0 && n > limit.Max {
		return fieldErrorf(field+".title", "%d %s, %d is the limit", n, limit.Unit, limit.Max)
	}
	return nil
}

func checkAttachment(caps Capabilities, field string, a message.Attachment) error {
	switch {
	case !slices.Contains(caps.Attachments, a.Kind):
		return fieldErrorf(field+".kind", "%q cannot be sent on this platform; it takes %s", a.Kind, joinTypes(caps.Attachments))
	case (a.URL == "") == (a.MediaID == ""):
		return fieldErrorf(field, "name the file by either mediaId or url")
	case a.URL != "" && !isWebURL(a.URL):
		return fieldErrorf(field+".url", "must be an absolute http or https URL")
	case caps.MaxUpload > 0 && a.Size > caps.MaxUpload:
		return fieldErrorf(field+".size", "%d bytes, %d is the limit", a.Size, caps.MaxUpload)
	case !utf8.ValidString(a.Caption):
		return fieldErrorf(field+".caption", "is not valid UTF-8")
	}
	return nil
}

func checkLocation(caps Capabilities, l message.Location) error {
	// Written so that NaN, which compares false with everything, is refused too.
	switch {
	case !caps.Location:
		return fieldErrorf("location", "this platform cannot send locations")
	case !(l.Latitude >= -90 && l.Latitude <= 90):
		return fieldErrorf("location.latitude", "must be between -90 and 90")
	case !(l.Longitude >= -180 && l.Longitude <= 180):
		return fieldErrorf("location.longitude", "must be between -180 and 180")
	}
	return nil
}

func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

func joinTypes(types []message.Type) string {
	if len(types) == 0 {
		return "no attachments"
	}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

func fieldErrorf(field, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Message: fmt.Sprintf(format, args...)}
}
