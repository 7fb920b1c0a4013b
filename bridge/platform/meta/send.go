package meta

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// fields are the members of a JSON object.
type fields map[string]any

// clockTolerance is how far our clock may be ahead of Meta's. A watermark is
// Meta's time of the last message that the person has seen, and the answer to a
// send names no time; so a message is dated to when its request began, which is
// before Meta made it, less this. With the answer's arrival instead the newest
// message would never be read. The price: what is begun less than this after a
// message that is read counts as read with it. Clocks that are kept differ by
// tens of milliseconds; this is ten times that.
const clockTolerance = 500 * time.Millisecond

// Send implements platform.Platform. Meta has no idempotency key: what may have
// been sent is not sent again by itself.
func (p *Platform) Send(ctx context.Context, ch platform.Channel, out platform.Outgoing) (platform.SendResult, error) {
	c := self(ch)
	if out.Part.Action != "" {
		return platform.SendResult{}, p.react(ctx, c, out)
	}
	content, err := p.content(ctx, c, out)
	if err != nil {
		return platform.SendResult{}, err
	}
	content["metadata"] = tag(c.App, out.Delivery, strconv.Itoa(out.Part.Index))
	body := fields{"recipient": recipient(out.To), "message": content}
	switch {
	case out.Extended:
		body["messaging_type"], body["tag"] = "MESSAGE_TAG", "HUMAN_AGENT"
	case p.product.MessagingType:
		body["messaging_type"] = "RESPONSE"
	}
	if out.ReplyTo != "" {
		body["reply_to"] = fields{"mid": out.ReplyTo}
	}
	var sent struct {
		RecipientID text `json:"recipient_id"`
		MessageID   text `json:"message_id"`
	}
	begun := p.now() // after the upload, if there was one
	if err := p.call(ctx, c, graphCall{method: http.MethodPost, path: c.Page + "/messages", body: body, timeout: answerTimeout(out.Part)}, &sent); err != nil {
		return platform.SendResult{}, err
	}
	if sent.MessageID == "" {
		return platform.SendResult{}, &platform.Error{Class: wire.ErrUnknown, Reason: "Meta named no message_id", MaybeSent: true}
	}
	result := platform.SendResult{ExternalIDs: []string{string(sent.MessageID)}, SentAt: begun.UTC().Add(-clockTolerance)}
	if strings.HasPrefix(out.To, userRef) && sent.RecipientID != "" {
		result.NewAddress = string(sent.RecipientID)
	}
	return result, nil
}

func recipient(to string) fields {
	if ref, ok := strings.CutPrefix(to, userRef); ok {
		return fields{"user_ref": ref}
	}
	return fields{"id": to}
}

// content is the message object of a part.
func (p *Platform) content(ctx context.Context, c *channel, out platform.Outgoing) (fields, error) {
	part := out.Part
	quick := part.ButtonStyle == message.ButtonStyleQuickReplies
	content := fields{}
	switch {
	case part.Template != nil:
		content["attachment"] = genericTemplate(*part.Template)
		quick = true // a template has the buttons of its cards; more can only be quick replies
	case part.Attachment != nil:
		attachment, err := p.attachment(ctx, c, *part.Attachment, out.OpenMedia)
		if err != nil {
			return nil, err
		}
		content["attachment"] = attachment
		quick = true
	case part.Location != nil:
		return nil, &platform.Error{Class: wire.ErrContentRejected, Reason: "Meta has no locations to send"}
	case len(part.Buttons) > 0 && !quick:
		content["attachment"] = template(fields{"template_type": "button", "text": part.Text, "buttons": buttons(part.Buttons)})
	default:
		content["text"] = part.Text
	}
	if quick && len(part.Buttons) > 0 {
		content["quick_replies"] = quickReplies(part.Buttons)
	}
	return content, nil
}

func template(payload fields) fields { return fields{"type": "template", "payload": payload} }

func buttons(in []message.Button) []fields {
	out := make([]fields, len(in))
	for i, b := range in {
		if b.URL != "" {
			out[i] = fields{"type": "web_url", "title": b.Title, "url": b.URL}
		} else {
			out[i] = fields{"type": "postback", "title": b.Title, "payload": b.Payload}
		}
	}
	return out
}

func quickReplies(in []message.Button) []fields {
	out := make([]fields, len(in))
	for i, b := range in {
		out[i] = fields{"content_type": "text", "title": b.Title, "payload": b.Payload}
	}
	return out
}

func genericTemplate(t message.Template) fields {
	elements := make([]fields, len(t.Cards))
	for i, card := range t.Cards {
		e := fields{"title": card.Title}
		for name, value := range map[string]string{"subtitle": card.Subtitle, "image_url": card.ImageURL} {
			if value != "" {
				e[name] = value
			}
		}
		if card.URL != "" {
			e["default_action"] = fields{"type": "web_url", "url": card.URL}
		}
		if len(card.Buttons) > 0 {
			e["buttons"] = buttons(card.Buttons)
		}
		elements[i] = e
	}
	return template(fields{"template_type": "generic", "elements": elements})
}

// reactionNames are what the API calls the reactions that it knows.
var reactionNames = map[string]string{
	"😆": "smile", "😠": "angry", "😢": "sad", "😮": "wow", "❤": "love", "👍": "like", "👎": "dislike",
}

// variationSelector asks for the coloured form of an emoji; it is no part of
// which emoji it is.
const variationSelector = "\uFE0F"

// react puts a reaction on a message, or takes it off.
func (p *Platform) react(ctx context.Context, c *channel, out platform.Outgoing) error {
	part := out.Part
	if part.Action != message.TypeReaction || !p.product.Reactions {
		return &platform.Error{Class: wire.ErrContentRejected, Reason: fmt.Sprintf("%s has no %s", p.product.Name, part.Action)}
	}
	payload, action := fields{"message_id": part.Target}, "unreact"
	if part.Emoji != "" {
		name := reactionNames[strings.TrimSuffix(part.Emoji, variationSelector)]
		if name == "" {
			return &platform.Error{Class: wire.ErrContentRejected, Reason: fmt.Sprintf("%s has the reactions 😆 😠 😢 😮 ❤ 👍 👎 only", p.product.Name)}
		}
		payload["reaction"], action = name, "react"
	}
	body := fields{"recipient": recipient(out.To), "sender_action": action, "payload": payload}
	return p.call(ctx, c, graphCall{method: http.MethodPost, path: c.Page + "/messages", body: body}, nil)
}

// fileName is what an upload is called: Meta looks at its ending.
func fileName(a message.Attachment, extension string) string {
	if a.Name != "" && utf8.ValidString(a.Name) {
		return a.Name
	}
	return string(a.Kind) + extension
}
