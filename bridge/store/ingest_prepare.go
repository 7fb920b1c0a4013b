package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Bounds of one element. Platforms stay far below all of them; what is beyond
// is a broken parser or somebody who wants to fill the disk.
const (
	maxExternalID = 512     // bytes; the longest known (a WhatsApp message id) has about 90, email Message-IDs up to 250
	maxText       = 1 << 20 // bytes; an email body, the longest text there is here
	maxContent    = 1 << 20 // bytes of JSON: cards, attachments, buttons
	maxList       = 100     // attachments, cards, buttons; albums have 10, Messenger 30
	maxName       = 256     // characters of a name; longer ones are cut, not refused
	maxURL        = 8 << 10 // bytes of a link; browsers take that much
	maxLanguage   = 35      // characters, RFC 5646 section 4.4.1
)

// earliest is before any messaging platform: an earlier time is a mistake in
// the payload (seconds read as milliseconds, a zero).
var earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// maxAhead is how far a platform's clock may be ahead of ours.
const maxAhead = time.Minute

// router finds the channel of an element by name, or says why it goes no
// further.
type router func(name string) (*Channel, wire.Result)

// routeFor is the router of a calling Bridge.
func routeFor(st *state, bridge string) router {
	return func(name string) (*Channel, wire.Result) {
		ch := st.channel(name)
		switch {
		case ch == nil: // unknown, deleted meanwhile, or nobody's account
			return nil, wire.ResultUnrouted
		case ch.Bridge != bridge:
			return nil, wire.ResultForbidden
		}
		return ch, ""
	}
}

// refuseAway refuses what the Bridge knew nobody to give to although its account
// is that of one of its channels: the channel is away for a while, or the
// Bridge's document is behind ours. It comes again, and until the Bridge knows
// the channel nothing of it is acknowledged. What the channel itself has refused
// is not for it.
func (st *state) refuseAway(in *intake, bridge string, now time.Time) {
	if in.App == "" {
		return // a channel's own URL, or its poller: no Bridge has it without the channel
	}
	for i := range in.elements {
		if in.Elements[i].Channel != "" || in.elements[i].verdict.Result != wire.ResultUnrouted {
			continue
		}
		at := account{in.Platform, in.Elements[i].Event.Account}
		ch := st.accounts[at]
		if ch == nil || ch.Bridge != bridge || ch.App != in.App || ch.Deleting || slices.Contains(in.Refused, at.id) {
			continue
		}
		if ch.AwayUntil.IsZero() || now.Before(ch.AwayUntil) {
			in.elements[i].verdict.Result = wire.ResultForbidden
		}
	}
}

// prepare finds out all that can be known without the database.
func (s *Store) prepare(route router, env *wire.Envelope) *intake {
	now := s.now()
	received := clampReceived(env.ReceivedAt, now)
	own := *env
	own.ReceivedAt = received
	in := &intake{Envelope: &own, elements: make([]element, len(env.Elements))}
	var refused wire.Result
	if env.Channel != "" {
		if in.channel, refused = route(env.Channel); refused == wire.ResultUnrouted {
			refused = "" // the elements say for themselves
		}
		in.refused = refused != ""
	}
	for i := range env.Elements {
		e := &in.elements[i]
		if refused != "" {
			e.verdict.Result = refused
			continue
		}
		e.event = env.Elements[i].Event
		if e.channel, e.verdict.Result = route(env.Elements[i].Channel); e.channel == nil {
			continue
		}
		if err := e.prepare(received, now); err != nil {
			e.verdict = wire.ElementResult{Result: wire.ResultInvalid, Message: err.Error()}
		}
	}
	return in
}

func clampReceived(received, now time.Time) time.Time {
	if received.Before(earliest) || received.After(now) {
		return now
	}
	return received.UTC().Truncate(time.Millisecond)
}

// clampTime puts a platform's time into what is possible.
func clampTime(t, received, now time.Time) time.Time {
	switch {
	case t.Before(earliest): // also when it is not set
		return received
	case t.After(now.Add(maxAhead)):
		return now
	}
	return t.UTC().Truncate(time.Millisecond)
}

// prepare checks and cleans an event and finds its key. The error is for the
// caller and names nothing personal.
func (e *element) prepare(received, now time.Time) error {
	if e.kind = e.event.Kind(); e.kind == "" {
		return errors.New("the event is empty: none of message, receipt, membership, migration is set")
	}
	given := e.event // as it came: a derived key must not depend on our clock
	var err error
	switch {
	case e.event.Message != nil:
		err = e.prepareMessage(received, now)
	case e.event.Receipt != nil:
		err = e.prepareReceipt(received, now)
	case e.event.Membership != nil:
		err = e.prepareMembership(received, now)
	case e.event.Migration != nil:
		err = e.prepareMigration()
	}
	if err != nil {
		return err
	}
	return e.findKey(given)
}

// findKey is the event's external id: the message's own, else the event's,
// else one derived from the content (contentID).
func (e *element) findKey(given message.Event) error {
	if m := e.event.Message; m != nil {
		e.key = m.ExternalID
	}
	if e.key == "" {
		e.key = clean(e.event.ExternalID)
	}
	if e.key == "" {
		raw, err := json.Marshal(given)
		if err != nil {
			return fmt.Errorf("the event has no external id and cannot be encoded to derive one: %w", err)
		}
		e.key = contentID(raw)
	}
	if m := e.event.Message; m != nil {
		m.ExternalID = e.key
	}
	return checkID("externalId", e.key)
}

func (e *element) prepareMessage(received, now time.Time) error {
	m := *e.event.Message
	e.event.Message = &m
	cleanMessage(&m)
	m.Timestamp = clampTime(m.Timestamp, received, now)
	m.Direction = inboundUnlessEcho(&m)
	e.direction = m.Direction
	if isEffect(m.Type) {
		return e.prepareEffect(&m)
	}
	if m.Contact == nil || m.Contact.ExternalID == "" {
		return errors.New("message.contact.externalId is empty: there is nobody to answer to")
	}
	if err := checkID("message.contact.externalId", m.Contact.ExternalID); err != nil {
		return err
	}
	return e.checkContent(&m)
}

// inboundUnlessEcho: what comes in from a platform and was written by the shop
// was written in the platform's own app.
func inboundUnlessEcho(m *message.Message) message.Direction {
	if m.Echo = m.Echo || m.Direction == message.Outbound; m.Echo {
		return message.Outbound
	}
	return message.Inbound
}

func (e *element) checkContent(m *message.Message) error {
	if !knownTypes[m.Type] {
		return fmt.Errorf("message.type %q is not known", m.Type)
	}
	if len(m.Text) > maxText {
		return fmt.Errorf("message.text has %d bytes, at most %d are kept", len(m.Text), maxText)
	}
	if n := max(len(m.Attachments), len(m.Contacts), len(m.Buttons)); n > maxList {
		return fmt.Errorf("the message has a list of %d items, at most %d are kept", n, maxList)
	}
	content, err := encodeContent(*m)
	if err != nil {
		return err
	}
	if len(content) > maxContent {
		return fmt.Errorf("the message has %d bytes beside its text, at most %d are kept", len(content), maxContent)
	}
	if e.content = content; len(m.Attachments) > 0 {
		e.content = "" // encoded again once the attachments have their ids
	}
	return nil
}

var knownTypes = func() map[message.Type]bool {
	known := map[message.Type]bool{}
	for _, t := range message.Types {
		known[t] = true
	}
	return known
}()

func (e *element) prepareEffect(m *message.Message) error {
	if m.Type == message.TypeReaction {
		if m.Reaction == nil {
			return errors.New("message.reaction is empty")
		}
		r := *m.Reaction
		r.Emoji, r.Target = clean(r.Emoji), clean(r.Target)
		if r.Target == "" {
			r.Target = m.Target
		}
		if r.Action != message.ReactionRemove && r.Emoji == "" {
			return errors.New("message.reaction.emoji is empty")
		}
		if utf8.RuneCountInString(r.Emoji) > maxName {
			return errors.New("message.reaction.emoji is too long")
		}
		m.Reaction, m.Target = &r, r.Target
	}
	if m.Target == "" {
		return fmt.Errorf("message.target is empty: a %s needs the message it is about", m.Type)
	}
	if err := checkID("message.target", m.Target); err != nil {
		return err
	}
	if m.Type == message.TypeEdit {
		return e.checkContent(m)
	}
	return nil
}

func (e *element) prepareReceipt(received, now time.Time) error {
	r := *e.event.Receipt
	e.event.Receipt = &r
	r.ExternalID, r.Contact, r.Reason = clean(r.ExternalID), clean(r.Contact), cut(r.Reason, maxName)
	r.Timestamp = clampTime(r.Timestamp, received, now)
	switch r.Status {
	case message.StatusSent, message.StatusDelivered, message.StatusRead, message.StatusFailed:
	default:
		return fmt.Errorf("receipt.status %q is none of sent, delivered, read, failed", r.Status)
	}
	r.Delivery = clean(r.Delivery)
	switch {
	case r.Delivery != "" && r.Status != message.StatusSent:
		return errors.New("receipt.delivery is set, and receipt.status is not sent")
	case r.Delivery != "":
		return errors.Join(checkID("receipt.delivery", r.Delivery), checkID("receipt.externalId", r.ExternalID))
	case r.ExternalID != "":
		return checkID("receipt.externalId", r.ExternalID)
	case r.Watermark.IsZero() || r.Contact == "":
		return errors.New("receipt has neither an externalId nor a watermark with its contact")
	}
	r.Watermark = clampTime(r.Watermark, received, now)
	return checkID("receipt.contact", r.Contact)
}

func (e *element) prepareMembership(received, now time.Time) error {
	m := *e.event.Membership
	e.event.Membership = &m
	m.Timestamp = clampTime(m.Timestamp, received, now)
	cleanContact(&m.Contact)
	switch m.Status {
	case message.MembershipOptedIn, message.MembershipOptedOut:
		return checkID("membership.contact.externalId", m.Contact.ExternalID)
	}
	return fmt.Errorf("membership.status %q is none of optedIn, optedOut", m.Status)
}

func (e *element) prepareMigration() error {
	m := message.Migration{From: clean(e.event.Migration.From), To: clean(e.event.Migration.To)}
	e.event.Migration = &m
	if m.From == m.To {
		return errors.New("migration leads from an address to the same one")
	}
	return errors.Join(checkID("migration.from", m.From), checkID("migration.to", m.To))
}

func checkID(field, id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%s is empty", field)
	case len(id) > maxExternalID:
		return fmt.Errorf("%s has %d bytes, at most %d are kept", field, len(id), maxExternalID)
	}
	return nil
}

// clean makes a string fit for every database: no NUL (PostgreSQL has none),
// valid UTF-8. Nearly all strings are clean already and stay as they are.
func clean(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return s
}

// cut cleans a string that is only for display and bounds it, in characters.
func cut(s string, limit int) string {
	if s = clean(s); len(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit {
			return s[:i]
		}
		n++
	}
	return s
}

func cleanContact(c *message.Contact) {
	c.ID, c.ExternalID = "", clean(c.ExternalID)
	c.DisplayName, c.Username = cut(c.DisplayName, maxName), cut(c.Username, maxName)
	if c.Language = clean(c.Language); len(c.Language) > maxLanguage {
		c.Language = ""
	}
}

// cleanMessage cleans every string that is stored, and drops what only the
// store can know. It copies what it changes: the caller's event stays as it is.
func cleanMessage(m *message.Message) {
	m.ID, m.Conversation, m.Status, m.Reason, m.Reactions = "", "", "", "", nil
	m.ExternalID, m.ReplyTo, m.Target = clean(m.ExternalID), clean(m.ReplyTo), clean(m.Target)
	m.Text, m.Unsupported = clean(m.Text), cut(m.Unsupported, maxName)
	if len(m.ReplyTo) > maxExternalID {
		m.ReplyTo = ""
	}
	if m.Group = clean(m.Group); len(m.Group) > maxExternalID {
		m.Group = ""
	}
	if m.Contact != nil {
		c := *m.Contact
		cleanContact(&c)
		m.Contact = &c
	}
	if m.Author != nil {
		m.Author = &message.Author{Kind: m.Author.Kind, Name: cut(m.Author.Name, maxName), ExternalID: cut(m.Author.ExternalID, maxName)}
	}
	if m.Location != nil {
		l := *m.Location
		l.Name, l.Address = cut(l.Name, maxName), cut(l.Address, 4*maxName)
		m.Location = &l
	}
	if m.Postback != nil {
		m.Postback = &message.Postback{Payload: clean(m.Postback.Payload), Title: clean(m.Postback.Title)}
	}
	m.Entities = cleanEntities(m.Text, m.Entities)
	m.Attachments = mapped(m.Attachments, cleanAttachment)
	m.Contacts = mapped(m.Contacts, cleanCard)
	m.Buttons = mapped(m.Buttons, cleanButton)
	if m.Template != nil {
		m.Template = &message.Template{Cards: mapped(m.Template.Cards, cleanTemplateCard)}
	}
	m.Mail = cleanMail(m.Mail)
	if r := m.Referral; r != nil {
		m.Referral = &message.Referral{Ref: clean(r.Ref), Source: cut(r.Source, maxName), Kind: cut(r.Kind, maxName), AdID: cut(r.AdID, maxName), URL: clean(r.URL)}
	}
}

func cleanButton(b message.Button) message.Button {
	return message.Button{Title: clean(b.Title), Payload: clean(b.Payload), URL: clean(b.URL)}
}

func cleanTemplateCard(c message.Card) message.Card {
	return message.Card{Title: clean(c.Title), Subtitle: clean(c.Subtitle), ImageURL: clean(c.ImageURL), URL: clean(c.URL), Buttons: mapped(c.Buttons, cleanButton)}
}

func cleanAttachment(a message.Attachment) message.Attachment {
	a.MediaID, a.State, a.Reason = "", "", ""
	a.URL, a.Ref, a.Caption = clean(a.URL), clean(a.Ref), clean(a.Caption)
	a.Entities = cleanEntities(a.Caption, a.Entities)
	a.MimeType, a.Name, a.Size = cut(a.MimeType, maxName), cut(a.Name, maxName), max(a.Size, 0)
	return a
}

// maxEntities bounds the marks of one text; Telegram keeps 100.
const maxEntities = 500

// cleanEntities keeps the marks that lie within the text as it is kept. One
// that does not is left out: formatting is not worth refusing a message for.
func cleanEntities(text string, list []message.Entity) []message.Entity {
	length := platform.UnitUTF16.Len(text)
	var out []message.Entity
	for _, e := range list {
		if len(out) == maxEntities {
			break
		}
		e.Kind, e.Language, e.URL, e.ExternalID = cut(e.Kind, maxName), cut(e.Language, maxName), clean(e.URL), cut(e.ExternalID, maxName)
		if e.Kind == "" || e.Offset < 0 || e.Length <= 0 || e.Offset > length || e.Length > length-e.Offset || len(e.URL) > maxURL {
			continue
		}
		out = append(out, e)
	}
	return out
}

func cleanCard(c message.ContactCard) message.ContactCard {
	c.Name, c.ExternalID = cut(c.Name, maxName), clean(c.ExternalID)
	c.Phones = mapped(c.Phones, func(p string) string { return cut(p, maxName) })
	return c
}

func mapped[T any](list []T, f func(T) T) []T {
	if list == nil {
		return nil
	}
	out := make([]T, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}
