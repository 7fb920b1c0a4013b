package store

import (
	"errors"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// party is whom a message is exchanged with: an identity, its contact and the
// latest conversation with it.
type party struct {
	identity     int64
	contact      string
	displayName  string
	language     string
	username     string
	reachable    bool
	reachableAt  int64
	conversation string // '' when there is none (any more)
	state        ConversationState
	solvedAt     int64
	updatedAt    int64
	owner        Owner
	epoch        int64

	survey        string // dialogue that is open with the address
	surveyedUntil int64  // until when surveys want to know that the contact comes again

	met     bool // it was there, or is by now
	written bool // the contact has written into the conversation
}

const (
	insertContact = `INSERT INTO contacts (id, namespace, display_name, language, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	// An address of the contact on this very channel, under another name: the
	// contact has moved on from the address that it was first known by.
	selectMoved = `SELECT COUNT(*) FROM identities WHERE contact = ? AND channel = ?`
)

// who is the contact that the event is from, or about; nil where it is about a
// message or an address.
func (a *arrival) who() *message.Contact {
	switch m := a.event.Message; {
	case m != nil && !isEffect(m.Type):
		return m.Contact
	case a.event.Membership != nil:
		return &a.event.Membership.Contact
	}
	return nil
}

// parties reads those that are there of the given addresses (external id,
// channel).
func (t *txn) parties(addresses [][2]string, into map[[2]string]*party) question {
	return question{
		query: selectParties(t.c.db), args: t.c.db.pairList(addresses),
		row: func(scan func(...any) error) error {
			p, reachable, at := party{met: true}, int64(0), [2]string{}
			err := scan(&at[0], &at[1], &p.identity, &p.contact, &p.displayName, &p.language, &p.username, &reachable,
				&p.reachableAt, &p.conversation, &p.state, &p.solvedAt, &p.updatedAt, &p.owner.Kind, &p.owner.Name, &p.epoch, &p.survey, &p.surveyedUntil)
			p.reachable = reachable == 1
			*into[at] = p
			return err
		},
	}
}

func selectParties(d dialect) string {
	return `SELECT i.external_id, i.channel, i.id, i.contact, c.display_name, c.language, i.username, i.reachable, i.reachable_at,
		COALESCE(v.id, ''), COALESCE(v.state, ''), COALESCE(v.solved_at, 0), COALESCE(v.updated_at, 0),
		COALESCE(v.owner_kind, ''), COALESCE(v.owner_name, ''), COALESCE(v.epoch, 0), i.survey, c.surveyed_until
		FROM ` + d.pairs() + ` JOIN identities i ON i.external_id = w.a AND i.channel = w.b JOIN contacts c ON c.id = i.contact
		LEFT JOIN conversations v ON v.id = i.conversation`
}

// identify finds whom the event is from, or makes their acquaintance.
func (a *arrival) identify() (wire.Result, error) {
	c := a.who()
	if a.party == nil { // it is no message: those are asked for together
		a.party, a.watermarked = &party{}, true
		at := [2]string{c.ExternalID, a.channel.Name}
		if err := a.t.ask(a.t.parties([][2]string{at}, map[[2]string]*party{at: a.party})); err != nil {
			return "", err
		}
	}
	if a.party.met {
		return "", nil
	}
	a.newContact = true
	*a.party = party{displayName: c.DisplayName, language: c.Language, username: c.Username, reachable: true, met: true}
	if err := a.meet(c); err != nil || !a.watermarked {
		return "", err
	}
	return "", a.catchUp()
}

// meet makes an identity and, unless the person is known already, a contact.
// The contact's id follows from where it was first met, so a channel that was
// recreated under another name finds its old contacts again, also those that are
// one with others since (unless these have an address there already: then it may
// be anybody's, and is somebody new).
func (a *arrival) meet(c *message.Contact) error {
	p, ch := a.party, a.channel
	for generation := 0; ; generation++ {
		p.contact = contactID(ch.Namespace, ch.Platform, ch.Account, c.ExternalID, generation) // futureContact goes the same way
		made, err := a.t.exec(insertContact, p.contact, ch.Namespace, c.DisplayName, c.Language, ms(a.t.now))
		if err != nil {
			return err
		}
		if made == 1 {
			a.t.event(Event{Type: EventContactCreated, Channel: ch.Name, Contact: p.contact})
			break
		}
		if p.contact, err = a.t.survivor(p.contact); err != nil {
			return err
		}
		if p.contact == "" { // erased just now: somebody new, under the same id
			generation--
			continue
		}
		var moved int
		if _, err := one(background, a.t, []any{&moved}, selectMoved, p.contact, ch.Name); err != nil {
			return err
		}
		if moved == 0 {
			if _, err := one(background, a.t, []any{&p.displayName, &p.language}, `SELECT display_name, language FROM contacts WHERE id = ?`, p.contact); err != nil {
				return err
			}
			break
		}
	}
	_, err := one(background, a.t, []any{&p.identity}, `INSERT INTO identities (channel, external_id, contact, username, created_at) VALUES (?, ?, ?, ?, ?) RETURNING id`,
		ch.Name, c.ExternalID, p.contact, c.Username, ms(a.t.now))
	return err
}

// profile takes over what the platform tells about the contact now. Fields
// that it does not tell stay as they are. An inbound message also proves that
// its writer can be written to, unless they opted out after writing it.
func (a *arrival) profile() (wire.Result, error) {
	c, p := a.who(), a.party
	name, language, username := or(c.DisplayName, p.displayName), or(c.Language, p.language), or(c.Username, p.username)
	reachable := p.reachable || a.event.Message != nil && a.direction == message.Inbound && ms(a.event.Message.Timestamp) > p.reachableAt
	changed := false
	if name != p.displayName || language != p.language {
		if err := a.t.later(`UPDATE contacts SET display_name = ?, language = ? WHERE id = ?`, name, language, p.contact); err != nil {
			return "", err
		}
		changed = true
	}
	if username != p.username || reachable != p.reachable {
		if err := a.t.later(`UPDATE identities SET username = ?, reachable = ? WHERE id = ?`, username, boolInt(reachable), p.identity); err != nil {
			return "", err
		}
		changed = true
	}
	if changed {
		a.t.event(Event{Type: EventContactUpdated, Channel: a.channel.Name, Contact: p.contact})
	}
	p.displayName, p.language, p.username, p.reachable = name, language, username, reachable
	return "", nil
}

func or(told, known string) string {
	if told != "" {
		return told
	}
	return known
}

// course is what a message does to the conversation it could belong to.
type course int

const (
	courseKeep     course = iota // it goes in, the state stays
	courseOpen                   // it goes in and the conversation is open (again)
	courseBegin                  // it begins a conversation
	courseFollowUp               // it begins one that links back to the solved one
)

// courseOf decides from recorded facts only. state is that of the latest
// conversation with the identity, "" when there is none. What no person of the
// other side wrote (quiet: the shop's own words from the platform's app, an
// out-of-office mail) never wakes or reopens anything.
func courseOf(state ConversationState, solved, now time.Time, window time.Duration, quiet bool) course {
	switch {
	case state == "":
		return courseBegin
	case quiet, state == ConversationOpen:
		return courseKeep
	case state == ConversationSolved && now.Sub(solved) > window:
		return courseFollowUp
	}
	return courseOpen
}

// converse finds the conversation of the message, or begins one.
func (a *arrival) converse() (wire.Result, error) {
	p, t := a.party, a.t
	echo := a.direction == message.Outbound
	inboundAt := ms(t.now)
	if echo {
		inboundAt = 0
	}
	if a.before = *p; a.answers != nil { // a survey, and nobody else
		p.written = true
		return "", nil
	}
	quiet := echo || a.automated()
	a.course = courseOf(p.state, fromMS(p.solvedAt), t.now, a.channel.Reopen, quiet)
	switch a.course {
	case courseBegin:
		return "", a.beginConversation("", echo, inboundAt)
	case courseFollowUp:
		return "", a.beginConversation(p.conversation, echo, inboundAt)
	case courseOpen:
		err := t.later(`UPDATE conversations SET state = 'open', snoozed_until = 0, solved_at = 0, updated_at = ?, last_inbound_at = ? WHERE id = ?`,
			ms(t.now), inboundAt, p.conversation)
		err = errors.Join(err, a.carried())
		p.state, p.solvedAt = ConversationOpen, 0
		t.event(Event{Type: EventConversationUpdated, Channel: a.channel.Name, Conversation: p.conversation, Contact: p.contact})
		return "", err
	}
	if quiet {
		return "", t.touchConversation(p.conversation)
	}
	p.written = true
	return "", a.carried()
}

// automated says that a machine wrote the message: an answer by itself, a
// notification, a list. It stays in the transcript, and nobody waits for an
// answer to it.
func (a *arrival) automated() bool {
	m := a.event.Message
	return m.Mail != nil && m.Mail.Automated != ""
}

// beginConversation makes a conversation: open, or pending where the shop has
// written first and waits for the contact.
func (a *arrival) beginConversation(followUpOf string, echo bool, inboundAt int64) error {
	p, t := a.party, a.t
	state := ConversationOpen
	if echo {
		state = ConversationPending
	}
	p.conversation, p.state, p.solvedAt, p.owner, p.epoch = t.newID(), state, 0, Owner{Kind: OwnerNone}, 1
	if err := t.later(`INSERT INTO conversations (id, channel, contact, identity, state, follow_up_of, created_at, updated_at, last_inbound_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, p.conversation, a.channel.Name, p.contact, p.identity,
		string(state), followUpOf, ms(t.now), ms(t.now), inboundAt); err != nil {
		return err
	}
	err := t.later(`UPDATE identities SET conversation = ? WHERE id = ?`, p.conversation, p.identity)
	t.event(Event{Type: EventConversationCreated, Channel: a.channel.Name, Conversation: p.conversation, Contact: p.contact})
	return err
}

// keep is the message's row.
func (a *arrival) keep() (row messageRow, err error) {
	m, content := a.event.Message, a.content
	if len(m.Attachments) > 0 || a.answers != nil {
		with := *m
		if len(m.Attachments) > 0 {
			with.Attachments, a.media = a.t.adopt(a.channel, m.Attachments, nil)
		}
		if a.answers != nil {
			with.Survey = nameOfRun(a.answers.campaign)
		}
		if content, err = encodeContent(with); err != nil {
			return row, err
		}
	}
	row = messageRow{
		ID: a.id, Channel: a.channel.Name, Conversation: a.party.conversation, Direction: a.direction, Type: m.Type,
		ExternalID: a.key, Timestamp: m.Timestamp, AuthorKind: message.AuthorContact, Text: m.Text, Content: content,
		ReplyTo: m.ReplyTo, Status: message.StatusReceived, Raw: a.raw,
	}
	if m.Author != nil {
		row.AuthorName = m.Author.Name // of a group's message; Kind is the contact's all the same
	}
	if m.Echo {
		row.Status, row.AuthorKind = message.StatusSent, message.AuthorAgent
		if m.Author != nil {
			row.AuthorKind, row.AuthorName = m.Author.Kind, m.Author.Name
		}
		row.Status, err = watermarkStatus(a.t, a.channel.Name, a.party.contact, m.Timestamp)
	}
	return row, err
}
