package meta

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// fieldStandby is both a field to subscribe to and, in a change, the sign that
// another app has the thread.
const fieldStandby = "standby"

func (r *reader) messageEvents() []message.Event {
	in := r.Message
	id := string(in.MID)
	switch {
	case bool(in.IsSelf):
		return nil
	case r.outbound && own(in):
		return r.proofEvents()
	case bool(in.IsDeleted):
		return r.deletionEvents(id)
	case id == "":
		id = r.key("message", compact(r.raw))
	}
	m := r.base(message.TypeText, id)
	m.Text = string(in.Text)
	m.Referral = in.Referral.normalise()
	if in.ReplyTo != nil {
		m.ReplyTo = string(in.ReplyTo.MID)
		if story := in.ReplyTo.Story; story != nil {
			m.Referral = &message.Referral{Ref: string(story.ID), Source: sourceStory, Kind: kindReply}
		}
	}
	if in.QuickReply != nil {
		m.Type = message.TypePostback
		m.Postback = &message.Postback{Payload: string(in.QuickReply.Payload), Title: m.Text}
	}
	for _, raw := range in.Attachments {
		attach(m, raw)
	}
	if bool(in.IsUnsupported) || m.Type == message.TypeText && m.Text == "" {
		m.Type, m.Unsupported = message.TypeUnsupported, "message"
	}
	return append(r.migration(), one(m)...)
}

// compact takes out what white space there is between tokens: it is no part of
// what is told.
func compact(raw []byte) string {
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return string(raw)
	}
	return out.String()
}

// A reply to a story says so as a referral: the story is what led to the words.
const (
	sourceStory = "STORY"
	kindReply   = "REPLY"
)

// migration: somebody who was known by the reference of a checkbox has an id now.
func (r *reader) migration() []message.Event {
	if r.PriorMessage == nil || r.PriorMessage.Source != "checkbox_plugin" || r.PriorMessage.Identifier == "" || r.outbound {
		return nil
	}
	from := userRef + string(r.PriorMessage.Identifier)
	return []message.Event{{ExternalID: "migration:" + from + ":" + r.contact, Migration: &message.Migration{From: from, To: r.contact}}}
}

// tagPrefix begins the metadata of what the outbox sends: the app that it is
// sent through follows, then the message and its part.
const tagPrefix = "bridgekeeper:"

// tag is the metadata of a part, which the echo of it carries.
func tag(app, delivery string, part string) string {
	return tagPrefix + app + ":" + delivery + ":" + part
}

// own says whether an echo is of what this outbox wrote: that is no message. Both the tag and the
// app must tell so: what another system sends for the page through an app of
// its own is news here, even if it is a Bridgekeeper too.
func own(in *inMessage) bool {
	rest, tagged := strings.CutPrefix(string(in.Metadata), tagPrefix)
	app, _, _ := strings.Cut(rest, ":")
	return tagged && app != "" && (in.AppID == "" || app == string(in.AppID))
}

// proofEvents: the echo of a part of ours says that it was sent, and its id, also
// where the answer to the request never came. Only the app itself can tell so:
// without its id in the echo the tag alone proves nothing.
func (r *reader) proofEvents() []message.Event {
	in := r.Message
	mark := strings.Split(strings.TrimPrefix(string(in.Metadata), tagPrefix), ":")
	if len(mark) != 3 || mark[1] == "" || in.MID == "" || in.AppID == "" {
		return nil
	}
	part, err := strconv.Atoi(mark[2])
	if err != nil || part < 0 {
		return nil
	}
	e := r.receipt(message.StatusSent, string(in.MID))
	e.Receipt.Delivery, e.Receipt.Part = mark[1], part
	return []message.Event{e}
}

func (r *reader) deletionEvents(target string) []message.Event {
	if target == "" {
		return nil
	}
	m := r.base(message.TypeDeletion, "deletion:"+target)
	m.Target = target
	return one(m)
}

// editEvents: the number of the edit tells two of them apart; it may be missing.
func (r *reader) editEvents() []message.Event {
	in := r.MessageEdit
	if in.MID == "" {
		return nil
	}
	number := string(in.NumEdit)
	if number == "" {
		number = "at" + string(r.Timestamp)
	}
	m := r.base(message.TypeEdit, "edit:"+string(in.MID)+":"+number)
	m.Target, m.Text = string(in.MID), string(in.Text)
	return one(m)
}

func (r *reader) postbackEvents() []message.Event {
	in := r.Postback
	id := string(in.MID)
	if id == "" {
		id = r.key("postback", string(in.Payload), string(in.Title))
	}
	m := r.base(message.TypePostback, id)
	m.Postback = &message.Postback{Payload: string(in.Payload), Title: string(in.Title)}
	m.Referral = in.Referral.normalise()
	return one(m)
}

// referralEvents is somebody with an open thread who followed a link or an ad
// without writing.
func (r *reader) referralEvents() []message.Event {
	in := r.Referral
	m := r.base(message.TypePostback, r.key("referral", string(in.Ref), string(in.Source), string(in.AdID)))
	m.Postback = &message.Postback{Payload: string(in.Ref)}
	m.Referral = in.normalise()
	return one(m)
}

func (in *inReferral) normalise() *message.Referral {
	if in == nil || *in == (inReferral{}) {
		return nil
	}
	return &message.Referral{Ref: string(in.Ref), Source: string(in.Source), Kind: string(in.Type), AdID: string(in.AdID), URL: string(in.RefererURI)}
}

// optInEvents: a ticked checkbox, or a yes (or no) to notifications. The token
// that comes with the latter stays in the raw journal: it is a right to write,
// not a message.
func (r *reader) optInEvents() []message.Event {
	in := r.OptIn
	payload := string(in.Payload)
	if payload == "" {
		payload = string(in.Ref)
	}
	title := string(in.Title)
	if in.Status != "" { // STOP_NOTIFICATIONS, RESUME_NOTIFICATIONS
		title = string(in.Status)
	}
	m := r.base(message.TypePostback, r.key("optin", string(in.Type), payload, title))
	m.Postback = &message.Postback{Payload: payload, Title: title}
	m.Referral = &message.Referral{Ref: string(in.Ref), Source: sourceOptIn, Kind: string(in.Type)}
	return one(m)
}

const sourceOptIn = "OPTIN"

// sourceAds is Meta's word for a click-to-message ad.
const sourceAds = "ADS"

// reactions of the API that name no emoji themselves. Of "other" Meta may not tell
// which it is: that somebody reacted is told all the same, with the character for
// what cannot be shown (U+FFFD).
var reactionEmojis = map[text]string{
	"other": "\uFFFD",
	"smile": "😆", "laugh": "😆", "angry": "😠", "sad": "😢", "wow": "😮", "love": "❤", "like": "👍", "dislike": "👎",
}

func (r *reader) reactionEvents() []message.Event {
	in := r.Reaction
	action := message.ReactionAdd
	switch in.Action {
	case "react":
	case "unreact":
		action = message.ReactionRemove
	default:
		return nil
	}
	emoji := string(in.Emoji)
	if emoji == "" {
		emoji = reactionEmojis[in.Reaction]
	}
	if in.MID == "" || emoji == "" && action == message.ReactionAdd {
		return nil
	}
	id := string(in.MID)
	m := r.base(message.TypeReaction, "reaction:"+id+":"+string(in.Action)+":"+string(r.Timestamp))
	m.Target, m.Reaction = id, &message.Reaction{Emoji: emoji, Action: action, Target: id}
	return one(m)
}

// deliveryEvents: each message that is named, and everything up to the
// watermark: the names may be incomplete or missing.
func (r *reader) deliveryEvents() []message.Event {
	var events []message.Event
	for _, mid := range r.Delivery.MIDs {
		if mid != "" {
			events = append(events, r.receipt(message.StatusDelivered, string(mid)))
		}
	}
	return append(events, r.watermark(message.StatusDelivered, r.Delivery.Watermark)...)
}

func (r *reader) readEvents() []message.Event {
	if mid := string(r.Read.MID); mid != "" {
		return []message.Event{r.receipt(message.StatusRead, mid)}
	}
	return r.watermark(message.StatusRead, r.Read.Watermark)
}

func (r *reader) receipt(s message.Status, mid string) message.Event {
	return message.Event{ExternalID: string(s) + ":" + mid, Receipt: &message.Receipt{
		ExternalID: mid, Contact: r.contact, Status: s, Timestamp: r.Timestamp.time(),
	}}
}

func (r *reader) watermark(s message.Status, until text) []message.Event {
	at := until.time()
	if at.IsZero() {
		return nil
	}
	return []message.Event{{ExternalID: string(s) + ":" + r.contact + ":" + string(until), Receipt: &message.Receipt{
		Watermark: at, Contact: r.contact, Status: s, Timestamp: r.Timestamp.time(),
	}}}
}
