package telegram

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Updates that are no messages of a chat: somebody votes, pays, asks from
// elsewhere. They come from a person, and go to their private chat with the bot.

type pollAnswer struct {
	PollID    string  `json:"poll_id"`
	User      *user   `json:"user"`
	VoterChat *chat   `json:"voter_chat"` // who votes in a chat's name
	OptionIDs []int64 `json:"option_ids"`
}

// pollPrefix begins the payload of a vote: "poll:<poll id>:<option>,<option>".
const pollPrefix = "poll:"

// pollAnswerEvents is a vote in a poll that the bot sent. The update names
// neither the chat nor the options' texts, so the payload has the poll's id and
// the options' places in it, counted from 0; none: the vote was taken back.
func (u update) pollAnswerEvents() []message.Event {
	var a pollAnswer
	if json.Unmarshal(u.raw, &a) != nil || a.PollID == "" {
		return nil
	}
	var from *message.Contact
	switch {
	case a.VoterChat != nil && a.VoterChat.ID != 0: // user is a stand-in then
		from = a.VoterChat.contact(address{chat: a.VoterChat.ID}, nil)
	case a.User != nil && a.User.ID != 0:
		from = a.User.contact(address{chat: a.User.ID})
	default:
		return nil
	}
	options := make([]string, len(a.OptionIDs))
	for i, id := range a.OptionIDs {
		options[i] = strconv.FormatInt(id, 10)
	}
	return []message.Event{{Message: &message.Message{
		Direction: message.Inbound, ExternalID: u.key(0), Type: message.TypePostback, Contact: from,
		Postback: &message.Postback{Payload: pollPrefix + a.PollID + ":" + strings.Join(options, ",")},
	}}}
}

type purchase struct {
	From             user   `json:"from"`
	PaidMediaPayload string `json:"paid_media_payload"`
	InvoicePayload   string `json:"invoice_payload"`
}

// paidMediaEvents is somebody who bought media of a post: the payload that the
// shop gave them with it comes back.
func (u update) paidMediaEvents() []message.Event {
	var p purchase
	if json.Unmarshal(u.raw, &p) != nil || p.From.ID == 0 {
		return nil
	}
	return []message.Event{{Message: &message.Message{
		Direction: message.Inbound, ExternalID: u.key(0), Type: message.TypePostback,
		Contact: p.From.contact(address{chat: p.From.ID}), Postback: &message.Postback{Payload: p.PaidMediaPayload},
	}}}
}

// checkoutEvents is somebody who is about to pay an invoice. Nothing here can
// approve it, and without an answer within 10 s Telegram ends the payment; the
// shop sees that it was tried.
func (u update) checkoutEvents() []message.Event {
	var p purchase
	if json.Unmarshal(u.raw, &p) != nil || p.From.ID == 0 {
		return nil
	}
	return []message.Event{{Message: &message.Message{
		Direction: message.Inbound, ExternalID: u.key(0), Type: message.TypeUnsupported, Unsupported: u.kind,
		Contact: p.From.contact(address{chat: p.From.ID}), Text: p.InvoicePayload,
	}}}
}

// guestEvents is somebody who mentions the bot in a chat that it is not in. The
// bot could answer there once, and only with a result that it has ready; a
// person of the shop can answer in the private chat, if there is one.
func (u update) guestEvents() []message.Event {
	m, kind, ok := decodeMessage(u.raw)
	if !ok || m.From == nil || m.From.ID == 0 {
		return nil
	}
	said := m.normalise(kind)
	out := &message.Message{
		Direction: message.Inbound, ExternalID: u.key(0), Timestamp: said.Timestamp, Type: message.TypeUnsupported, Unsupported: u.kind,
		Contact: m.From.contact(address{chat: m.From.ID}), Text: said.Text, Entities: said.Entities,
	}
	if len(said.Attachments) > 0 && out.Text == "" {
		out.Text, out.Entities = said.Attachments[0].Caption, said.Attachments[0].Entities
	}
	return []message.Event{{Message: out}}
}

type reactionCount struct {
	Chat      chat  `json:"chat"`
	MessageID int64 `json:"message_id"`
	Date      int64 `json:"date"`
	Reactions []struct {
		Type reactionType `json:"type"`
	} `json:"reactions"`
}

// reactionCountEvents are the reactions on a message whose authors are not
// shown, as in channels. The update tells all that stand, in numbers: what
// stood before is taken off, then each emoji is put on, by nobody in particular.
func (u update) reactionCountEvents() []message.Event {
	var r reactionCount
	if json.Unmarshal(u.raw, &r) != nil || r.Chat.ID == 0 || r.MessageID == 0 {
		return nil
	}
	types := make([]reactionType, len(r.Reactions))
	for i, c := range r.Reactions {
		types[i] = c.Type
	}
	at := address{chat: r.Chat.ID}
	target := at.message(r.MessageID)
	reactions := []message.Reaction{{Action: message.ReactionRemove, Target: target}}
	for _, e := range emojis(types) {
		reactions = append(reactions, message.Reaction{Emoji: e, Action: message.ReactionAdd, Target: target})
	}
	events := make([]message.Event, len(reactions))
	for i := range reactions {
		events[i] = message.Event{Message: &message.Message{
			Direction: message.Inbound, ExternalID: u.key(i), Timestamp: unixTime(r.Date), Type: message.TypeReaction,
			Contact: r.Chat.contact(at, nil), Author: &message.Author{Kind: message.AuthorContact, ExternalID: message.AuthorAnonymous},
			Target: target, Reaction: &reactions[i],
		}}
	}
	return events
}

// inlineQueryPrefix marks what is to be answered of a payload (AckPayload).
const inlineQueryPrefix = "inline:"

// inlineQuery is the id of an inline query: somebody types the bot's name and
// some words in any chat. Its answer is a list of results to choose from.
func (u update) inlineQuery() (id string, ok bool) {
	var q struct {
		ID string `json:"id"`
	}
	if u.kind != updateInlineQuery || json.Unmarshal(u.raw, &q) != nil {
		return "", false
	}
	return q.ID, q.ID != ""
}
