package meta

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

var errNotAWebhook = errors.New("not a webhook request of this Meta product")

// Parse implements platform.Platform. Every element of every entry is walked,
// and stands or falls alone: what cannot be read is passed over and stays in
// the raw journal. Refused, Meta would send the whole batch again for a day and
// a half, and turn the subscription off in the end.
func (p *Platform) Parse(account string, body []byte) ([]message.Event, error) {
	if events, ok := p.parsePlain(account, body); ok {
		return events, nil
	}
	return p.parseParts(account, body)
}

func (p *Platform) parseParts(account string, body []byte) ([]message.Event, error) {
	var env envelope
	if err := json.Unmarshal(body, &env); err != nil || env.Object != p.product.Object {
		return nil, errNotAWebhook
	}
	var events []message.Event
	for _, raw := range env.Entry {
		var e entry
		if !decode(raw, &e) {
			continue
		}
		if e.ID == "" {
			e.ID = text(account)
		}
		events = append(events, e.events()...)
	}
	return events, nil
}

// parsePlain reads a request that is as described; ok is false for all others,
// which are read part by part, with the same result where both can be done.
func (p *Platform) parsePlain(account string, body []byte) (events []message.Event, ok bool) {
	var req plain
	if !req.decode(body) || req.Object != p.product.Object {
		return nil, false
	}
	for _, in := range req.Entry {
		if len(in.Changes) > 0 || len(in.Field) > 0 {
			return nil, false
		}
		e := entry{ID: in.ID}
		if e.ID == "" {
			e.ID = text(account)
		}
		for standby, list := range [][]element{in.Messaging, in.Standby} {
			for _, el := range list {
				if el.Message != nil && el.Message.MID == "" {
					return nil, false // its text as it came is its id
				}
				events = append(events, e.eventsOf(el, nil, standby == 1)...)
			}
		}
	}
	return events, true
}

func (e entry) events() []message.Event {
	var events []message.Event
	for _, raw := range e.Messaging {
		events = append(events, e.elementEvents(raw, false)...)
	}
	for _, raw := range e.Standby {
		events = append(events, e.elementEvents(raw, true)...)
	}
	for _, raw := range e.Changes {
		var c change
		if decode(raw, &c) {
			events = append(events, e.changeEvents(c)...)
		}
	}
	if e.Field != "" {
		events = append(events, e.changeEvents(change{Field: e.Field, Value: e.Value})...)
	}
	return events
}

// changeEvents: the test button of an app's dashboard sends an element of
// messaging as a change. Other changes are of the feed.
func (e entry) changeEvents(c change) []message.Event {
	switch {
	case strings.HasPrefix(string(c.Field), "messag"): // messages, messaging_postbacks, message_reactions …
		return e.elementEvents(c.Value, false)
	case c.Field == fieldStandby:
		return e.elementEvents(c.Value, true)
	}
	return nil
}

// elementEvents are what one element becomes, in order.
func (e entry) elementEvents(raw json.RawMessage, standby bool) []message.Event {
	var el element
	if !decode(raw, &el) {
		return nil
	}
	return e.eventsOf(el, raw, standby)
}

// eventsOf are what a decoded element becomes.
func (e entry) eventsOf(el element, raw json.RawMessage, standby bool) []message.Event {
	r := reader{element: el, account: string(e.ID), raw: raw}
	r.contact, r.outbound = r.whoIsIt()
	if r.contact == "" || e.ID == "" {
		return nil
	}
	events := r.events()
	for i := range events {
		events[i].Account = r.account
		if m := events[i].Message; m != nil {
			m.Standby = standby
		}
	}
	return events
}

// userRef marks the address of somebody who has only ticked the checkbox
// plugin; they have no id yet, and can be written to by their reference.
const userRef = "user_ref:"

// whoIsIt is the contact that an element is about, and whether the account
// itself acted: in echoes sender and recipient are swapped.
func (r *reader) whoIsIt() (contact string, outbound bool) {
	other := r.Sender
	if string(r.Sender.ID) == r.account || r.Message != nil && bool(r.Message.IsEcho) {
		other, outbound = r.Recipient, true
	}
	switch {
	case string(other.ID) == r.account: // a business that writes to itself
		return "", outbound
	case other.ID != "":
		return string(other.ID), outbound
	case other.UserRef != "":
		return userRef + string(other.UserRef), outbound
	case r.OptIn != nil && r.OptIn.UserRef != "":
		return userRef + string(r.OptIn.UserRef), outbound
	}
	return "", outbound
}

// reader is one element on its way to events.
type reader struct {
	element
	account  string
	contact  string
	outbound bool
	raw      json.RawMessage
}

func (r *reader) events() []message.Event {
	switch {
	case r.Message != nil:
		return r.messageEvents()
	case r.MessageEdit != nil:
		return r.editEvents()
	case r.Postback != nil:
		return r.postbackEvents()
	case r.Reaction != nil:
		return r.reactionEvents()
	case r.Referral != nil:
		return r.referralEvents()
	case r.OptIn != nil:
		return r.optInEvents()
	case r.Delivery != nil:
		return r.deliveryEvents()
	case r.Read != nil:
		return r.readEvents()
	case r.AccountLinking != nil:
		return r.unsupported("account_linking", r.key("account_linking", string(r.AccountLinking.Status)))
	}
	return nil
}

// base is a message of the element's contact, before it has a content.
func (r *reader) base(t message.Type, id string) *message.Message {
	m := &message.Message{
		Direction: message.Inbound, ExternalID: id, Timestamp: r.Timestamp.time(),
		Contact: &message.Contact{ExternalID: r.contact}, Type: t,
	}
	if r.outbound {
		m.Direction, m.Echo = message.Outbound, true
	}
	return m
}

func one(m *message.Message) []message.Event { return []message.Event{{Message: m}} }

func (r *reader) unsupported(kind, id string) []message.Event {
	m := r.base(message.TypeUnsupported, id)
	m.Unsupported = kind
	return one(m)
}

// key is the external id of what the platform gives none: the same content at
// the same time by the same person is the same thing.
func (r *reader) key(kind string, content ...string) string {
	h := sha256.New()
	for _, s := range append([]string{r.contact, string(r.Timestamp)}, content...) {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return kind + ":" + hex.EncodeToString(h.Sum(nil)[:16])
}
