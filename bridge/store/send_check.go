package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// attachmentsMax bounds the attachments of one message: platform.MaxParts
// bounds what becomes of them, this what is looked up before.
const attachmentsMax = 32

func checkAuthor(r SendRequest) error {
	switch r.Author.Kind {
	case message.AuthorAgent, message.AuthorBot, message.AuthorSystem:
	default:
		return &FieldError{Field: "author.kind", Message: fmt.Sprintf("%q is none of agent, bot, system", r.Author.Kind)}
	}
	if len(r.Author.Name) > maxExternalID || clean(r.Author.Name) != r.Author.Name {
		return &FieldError{Field: "author.name", Message: fmt.Sprintf("must be valid text of at most %d bytes", maxExternalID)}
	}
	return nil
}

// sendable are the types that can be sent, and the kinds of attachment that
// give a message its type.
var (
	mediaTypes = []message.Type{message.TypeImage, message.TypeAudio, message.TypeVideo, message.TypeFile, message.TypeSticker}
	sendable   = append([]message.Type{message.TypeText, message.TypeLocation, message.TypeTemplate, message.TypeEdit, message.TypeDeletion, message.TypeReaction}, mediaTypes...)
)

// checkShape checks that the fields fit the type, whatever the platform; what
// the platform can do is checked by its plan.
func (o *outgoing) checkShape() error {
	m := o.m
	switch {
	case !slices.Contains(sendable, m.Type):
		return &FieldError{Field: "type", Message: fmt.Sprintf("%q cannot be sent; use one of %v", m.Type, sendable)}
	case m.Type == message.TypeLocation && m.Location == nil:
		return &FieldError{Field: "location", Message: "is required for a message of type location"}
	case m.Type == message.TypeText && m.Text == "" && len(m.Attachments) == 0:
		return &FieldError{Field: "text", Message: "is required for a message of type text"}
	case slices.Contains(mediaTypes, m.Type) && len(m.Attachments) == 0:
		return &FieldError{Field: "attachments", Message: fmt.Sprintf("a message of type %s needs an attachment", m.Type)}
	case (m.Template == nil) == (m.Type == message.TypeTemplate):
		return &FieldError{Field: "template", Message: "belongs to a message of type template, which needs one"}
	case m.Reaction != nil && m.Type != message.TypeReaction:
		return &FieldError{Field: "reaction", Message: "belongs to a message of type reaction"}
	case m.Target != "" && m.Type != message.TypeEdit && m.Type != message.TypeDeletion:
		return &FieldError{Field: "target", Message: "belongs to an edit, a deletion or a reaction"}
	case clean(m.Text) != m.Text:
		return &FieldError{Field: "text", Message: "must be valid UTF-8 without NUL characters"}
	}
	if s := o.req.Subject; clean(s) != s || utf8.RuneCountInString(s) > maxSubject || strings.ContainsAny(s, "\r\n") {
		return &FieldError{Field: "subject", Message: fmt.Sprintf("must be one line of valid text of at most %d characters", maxSubject)}
	}
	for field, id := range map[string]string{"target": m.Target, "replyTo": m.ReplyTo} {
		if len(id) > maxExternalID || clean(id) != id {
			return &FieldError{Field: field, Message: fmt.Sprintf("must be an external id of at most %d bytes", maxExternalID)}
		}
	}
	return nil
}

// describeMedia fills in what the store knows of kept attachments, so that the
// plan can check their sizes, and refuses those that are not there.
func (o *outgoing) describeMedia(ctx context.Context) error {
	if n := len(o.m.Attachments); n > attachmentsMax {
		return &FieldError{Field: "attachments", Message: fmt.Sprintf("%d attachments, %d is the limit", n, attachmentsMax)}
	}
	for i := range o.m.Attachments {
		a := &o.m.Attachments[i]
		a.Ref, a.State, a.Reason = "", "", ""
		if a.MediaID == "" {
			continue
		}
		field := fmt.Sprintf("attachments[%d].mediaId", i)
		list, err := all(ctx, o.s.read, scanMedia, selectMedia+`WHERE id = ?`, a.MediaID)
		switch {
		case err != nil:
			return err
		case len(list) == 0 || list[0].Namespace != o.conv.namespace:
			return &FieldError{Field: field, Message: fmt.Sprintf("there is no media %s in namespace %s; upload it first", a.MediaID, o.conv.namespace)}
		case list[0].State != message.MediaStored:
			return &FieldError{Field: field, Message: fmt.Sprintf("media %s is %s, its bytes are not here", a.MediaID, list[0].State)}
		}
		describeAttachment(a, list[0])
		a.State = ""
		o.media = append(o.media, a.MediaID)
	}
	return nil
}

// aim finds the message that an edit, a deletion or a reaction is about. It
// must be one of this contact; an edit or a deletion must be of one that was
// sent from here, and a deletion takes all parts of it.
func (o *outgoing) aim(ctx context.Context) error {
	part := o.parts[0]
	if part.Action == "" {
		return nil
	}
	field := "target"
	if part.Action == message.TypeReaction {
		field = "reaction.target"
	}
	var id, direction string
	found, err := one(ctx, o.s.read, []any{&id, &direction}, `SELECT m.id, m.direction FROM external_ids x JOIN messages m ON m.id = x.id JOIN conversations v ON v.id = m.conversation
		WHERE x.channel = ? AND x.kind IN ('message', 'postback') AND x.external_id = ? AND v.contact = ? ORDER BY m.direction DESC LIMIT 1`, o.conv.channel, part.Target, o.conv.contact)
	if err != nil {
		return err
	}
	if !found {
		return &FieldError{Field: field, Message: "there is no message with this external id in an exchange with this contact"}
	}
	if part.Action == message.TypeReaction {
		return nil
	}
	if direction != string(message.Outbound) {
		return &FieldError{Field: field, Message: "is a message of the contact; only those that were sent can be changed"}
	}
	parts, err := all(ctx, o.s.read, scanText, `SELECT external_id FROM sent_ids WHERE message = ? AND part >= 0 ORDER BY part, external_id`, id)
	if err != nil || len(parts) <= 1 {
		return err
	}
	if part.Action == message.TypeEdit {
		return &FieldError{Field: field, Message: fmt.Sprintf("was sent as %d platform messages and cannot be edited as one; delete it and send it anew", len(parts))}
	}
	o.parts = o.parts[:0]
	for i, externalID := range parts {
		o.parts = append(o.parts, wire.Part{Index: i, Action: part.Action, Target: externalID})
	}
	return nil
}
