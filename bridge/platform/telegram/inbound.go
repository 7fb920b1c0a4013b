package telegram

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

var errNotAnUpdate = errors.New("not an update of the Telegram Bot API")

// Parse implements platform.Platform. The body is one update, as a webhook
// brings it, or an array of them, as a poll does. An update that cannot be
// read in detail is passed over, not an error: refused, Telegram would send it
// again for a day and hold back the chat's later ones.
func (p *Platform) Parse(account string, body []byte) ([]message.Event, error) {
	updates, err := updatesOf(body)
	if err != nil {
		return nil, err
	}
	var events []message.Event
	for _, raw := range updates {
		u, err := decodeUpdate(raw)
		if err != nil {
			return nil, err
		}
		for _, e := range u.events(account) {
			e.Account = account
			events = append(events, e)
		}
	}
	return events, nil
}

// updatesOf takes a payload apart: one update, or an array of them.
func updatesOf(body []byte) ([]json.RawMessage, error) {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '[' {
		return []json.RawMessage{body}, nil
	}
	var updates []json.RawMessage
	if err := json.Unmarshal(trimmed, &updates); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotAnUpdate, err)
	}
	return updates, nil
}

// update is one update: its id and its one kind.
type update struct {
	id   int64
	kind string
	raw  json.RawMessage
}

func decodeUpdate(raw json.RawMessage) (update, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return update{}, fmt.Errorf("%w: %w", errNotAnUpdate, err)
	}
	var u update
	if err := json.Unmarshal(fields["update_id"], &u.id); err != nil {
		return update{}, fmt.Errorf("%w: no update_id", errNotAnUpdate)
	}
	for _, kind := range allowedUpdates {
		if value, ok := fields[kind]; ok && !bytes.Equal(value, []byte("null")) {
			u.kind, u.raw = kind, value
			break
		}
	}
	return u, nil
}

// events are what the update becomes; none for news that nobody says to the
// shop (see the table in the package's documentation).
func (u update) events(account string) []message.Event {
	switch u.kind {
	case updateMessage, updateChannelPost, updateBusiness:
		return u.messageEvents(account)
	case updateEdited, updateEditedPost, updateEditedBusiness:
		return u.editEvents(account)
	case updateDeletedBusiness:
		return u.deletionEvents()
	case updateReaction:
		return u.reactionEvents()
	case updateCallback:
		return u.callbackEvents()
	case updateMyChatMember:
		return u.membershipEvents()
	case updateConnection:
		return u.connectionEvents()
	case updateJoinRequest:
		return u.joinRequestEvents()
	case updateReactionCount:
		return u.reactionCountEvents()
	case updatePollAnswer:
		return u.pollAnswerEvents()
	case updatePaidMedia:
		return u.paidMediaEvents()
	case updateShipping, updatePreCheckout:
		return u.checkoutEvents()
	case updateGuest:
		return u.guestEvents()
	}
	return nil
}

// key is the external id of the n-th thing that the update tells.
func (u update) key(n int) string {
	key := "update:" + strconv.FormatInt(u.id, 10)
	if n > 0 {
		key += ":" + strconv.Itoa(n)
	}
	return key
}

func (u update) messageEvents(account string) []message.Event {
	m, kind, ok := decodeMessage(u.raw)
	if !ok {
		return nil
	}
	if migration := m.migration(); migration != nil {
		// Both the old and the new chat tell it; one key makes them one.
		return []message.Event{{ExternalID: "migration:" + migration.From + ":" + migration.To, Migration: migration}}
	}
	if m.own(account) || serviceKinds[kind] {
		return nil
	}
	out := m.normalise(kind)
	out.ExternalID = m.address().message(m.MessageID)
	return []message.Event{{Message: out}}
}

func (u update) editEvents(account string) []message.Event {
	m, kind, ok := decodeMessage(u.raw)
	if !ok || m.own(account) {
		return nil
	}
	out := m.normalise(kind)
	out.Type, out.ExternalID, out.Target = message.TypeEdit, u.key(0), m.address().message(m.MessageID)
	out.Unsupported, out.ReplyTo, out.Group, out.Postback = "", "", "", nil
	out.Timestamp = unixTime(m.EditDate)
	return []message.Event{{Message: out}}
}

func (u update) deletionEvents() []message.Event {
	var d businessMessagesDeleted
	if json.Unmarshal(u.raw, &d) != nil || d.Chat.ID == 0 {
		return nil
	}
	at := address{chat: d.Chat.ID, connection: d.BusinessConnectionID}
	events := make([]message.Event, 0, len(d.MessageIDs))
	for i, id := range d.MessageIDs {
		events = append(events, message.Event{Message: &message.Message{
			Direction: message.Inbound, ExternalID: u.key(i), Type: message.TypeDeletion,
			Contact: d.Chat.contact(at, nil), Target: at.message(id),
		}})
	}
	return events
}

// reactionEvents turns the two states of one person's reactions into what was
// put on and what was taken off.
func (u update) reactionEvents() []message.Event {
	var r messageReaction
	if json.Unmarshal(u.raw, &r) != nil || r.Chat.ID == 0 {
		return nil
	}
	at := address{chat: r.Chat.ID}
	var events []message.Event
	add := func(emoji string, action message.ReactionAction) {
		target := at.message(r.MessageID)
		events = append(events, message.Event{Message: &message.Message{
			Direction: message.Inbound, ExternalID: u.key(len(events)), Timestamp: unixTime(r.Date), Type: message.TypeReaction,
			Contact: r.Chat.contact(at, r.User), Author: author(r.Chat, r.User, r.ActorChat, ""), Target: target,
			Reaction: &message.Reaction{Emoji: emoji, Action: action, Target: target},
		}})
	}
	before, after := emojis(r.Old), emojis(r.New)
	for _, e := range before {
		if !contains(after, e) {
			add(e, message.ReactionRemove)
		}
	}
	for _, e := range after {
		if !contains(before, e) {
			add(e, message.ReactionAdd)
		}
	}
	return events
}

// callbackPrefix marks the id that answerCallbackQuery wants, in
// Event.ExternalID; the message's own id is its key.
const callbackPrefix = "callback:"

// callbackEvents is a pressed inline button. It has no time of its own.
func (u update) callbackEvents() []message.Event {
	var q callbackQuery
	if json.Unmarshal(u.raw, &q) != nil || q.From.ID == 0 {
		return nil
	}
	out := &message.Message{
		Direction: message.Inbound, ExternalID: u.key(0), Type: message.TypePostback,
		Postback: &message.Postback{Payload: q.Data},
	}
	if q.Data == "" {
		out.Postback.Payload = q.GameShortName
	}
	if m := q.Message; m != nil && m.Chat.ID != 0 {
		out.Contact = m.Chat.contact(m.address(), &q.From)
		out.Author = author(m.Chat, &q.From, nil, "")
		out.ReplyTo = m.address().message(m.MessageID)
		out.Postback.Title = m.buttonTitle(q.Data)
	} else { // a message sent through inline mode: the bot knows the person only
		out.Contact = q.From.contact(address{chat: q.From.ID})
	}
	return []message.Event{{ExternalID: callbackPrefix + q.ID, Message: out}}
}

// membershipEvents tells whether the bot can write to the chat (again).
func (u update) membershipEvents() []message.Event {
	var m chatMemberUpdated
	if json.Unmarshal(u.raw, &m) != nil || m.Chat.ID == 0 {
		return nil
	}
	status := message.MembershipOptedIn
	switch m.NewMember.Status {
	case "kicked", "left":
		status = message.MembershipOptedOut
	case "restricted":
		if m.NewMember.IsMember != nil && !*m.NewMember.IsMember {
			status = message.MembershipOptedOut
		}
	case "member", "administrator", "creator":
	default:
		return nil
	}
	return []message.Event{{ExternalID: u.key(0), Membership: &message.Membership{
		Contact: *m.Chat.contact(address{chat: m.Chat.ID}, &m.From), Status: status, Timestamp: unixTime(m.Date),
	}}}
}

// connectionEvents tells whether the bot may answer for a business account. The
// contact is the account's owner as seen through the connection, which is not
// the owner's own chat with the bot: that one stays as it is. The update's date
// is when the connection was made, not when it changed, so none is given.
func (u update) connectionEvents() []message.Event {
	var b businessConnection
	if json.Unmarshal(u.raw, &b) != nil || b.ID == "" || b.UserChatID == 0 {
		return nil
	}
	status := message.MembershipOptedOut
	if b.IsEnabled && (b.Rights.CanReply || b.CanReply) {
		status = message.MembershipOptedIn
	}
	at := address{chat: b.UserChatID, connection: b.ID}
	return []message.Event{{ExternalID: u.key(0), Membership: &message.Membership{Contact: *b.User.contact(at), Status: status}}}
}

// joinRequestEvents is somebody who asks to be let into a group or a channel.
// It comes from their private chat, where Telegram lets the bot write to them
// until the request is decided, even if they never started it.
func (u update) joinRequestEvents() []message.Event {
	var r chatJoinRequest
	if json.Unmarshal(u.raw, &r) != nil || r.UserChatID == 0 {
		return nil
	}
	return []message.Event{{Message: &message.Message{
		Direction: message.Inbound, ExternalID: u.key(0), Timestamp: unixTime(r.Date), Type: message.TypeUnsupported,
		Contact: r.From.contact(address{chat: r.UserChatID}), Unsupported: updateJoinRequest, Text: r.Chat.Title,
	}}}
}

func emojis(reactions []reactionType) []string {
	var out []string
	for _, r := range reactions {
		switch {
		case r.Emoji != "":
			out = append(out, r.Emoji)
		case r.CustomEmojiID != "":
			out = append(out, customEmoji+r.CustomEmojiID)
		case r.Type == "paid":
			out = append(out, "⭐")
		}
	}
	return out
}

// customEmoji marks a reaction that is a picture of Telegram's and no character.
const customEmoji = "custom:"

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
