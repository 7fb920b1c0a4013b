package store

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// maxParked bounds what waits for its message, per channel: a page whose
	// receipts are for messages of another tool would fill the table otherwise.
	maxParked = 10_000
	// parkedFor is how long an event waits for its message. Platforms repeat for
	// a day at most (Telegram 24 h, Meta up to 36 h), so what has not come by
	// then will not come.
	parkedFor = 48 * time.Hour
)

// actorShop is who reacts when it is not the contact.
const actorShop = "shop"

// affect applies an edit, a deletion or a reaction to the message it is about.
// None of them opens, wakes or moves a conversation: nobody is asking anything.
func (a *arrival) affect() (wire.Result, error) {
	m := a.event.Message
	id, found, err := a.t.messageByExternalID(a.channel.Name, m.Target)
	if err != nil {
		return "", err
	}
	if !found {
		return wire.ResultParked, a.t.park(a.id, a.channel.Name, m.Target, a.event)
	}
	return "", a.s.applyEffect(a.t, a.channel, id, *m, actorOf(m))
}

// actorOf says who reacts. In a group the contact is the group, and its author
// one of many, known by an id or, on some platforms, by a name only. What nobody
// in particular has put on is one actor per emoji: it stands beside the others.
func actorOf(m *message.Message) string {
	if m.Direction == message.Outbound || m.Contact == nil || m.Contact.ExternalID == "" {
		return actorShop
	}
	switch a := m.Author; {
	case a == nil:
		return m.Contact.ExternalID
	case a.ExternalID == message.AuthorAnonymous && m.Reaction != nil:
		return m.Contact.ExternalID + "/" + message.AuthorAnonymous + "/" + m.Reaction.Emoji
	case a.ExternalID != "":
		return m.Contact.ExternalID + "/" + a.ExternalID
	case a.Name != "":
		return m.Contact.ExternalID + "/" + a.Name
	}
	return m.Contact.ExternalID
}

// receive hands a receipt to the outbox.
func (a *arrival) receive() (wire.Result, error) {
	r := *a.event.Receipt
	_, found, err := a.s.hooks.receipt(a.t, a.channel, r)
	if err != nil || found {
		return "", err
	}
	target := r.ExternalID
	if target == "" {
		target = watermarkTarget(r.Contact)
	}
	return wire.ResultParked, a.t.park(a.id, a.channel.Name, target, a.event)
}

// reach records whether an identity can be written to. An older word than the
// last one changes nothing.
func (a *arrival) reach() (wire.Result, error) {
	m := a.event.Membership
	reachable := m.Status == message.MembershipOptedIn
	n, err := a.t.exec(`UPDATE identities SET reachable = ?, reachable_at = ? WHERE id = ? AND reachable_at <= ?`,
		boolInt(reachable), ms(m.Timestamp), a.party.identity, ms(m.Timestamp))
	if err == nil && n == 1 && reachable != a.party.reachable {
		a.t.event(Event{Type: EventContactUpdated, Channel: a.channel.Name, Contact: a.party.contact})
	}
	return "", err
}

// migrate moves an identity to its new address.
func (a *arrival) migrate() (wire.Result, error) {
	return "", a.s.migrateIdentity(a.t, a.channel, a.event.Migration.From, a.event.Migration.To)
}

// migrateIdentity gives an identity a new address; it keeps its contact and
// its conversations. When the new address is known already (its first message
// overtook the news), that identity joins the contact instead, so that what is
// sent from now on goes to the new address either way. An unknown old address
// is nothing to move.
func (s *Store) migrateIdentity(t *txn, ch *Channel, from, to string) error {
	var oldID, newID int64
	var contact string
	found, err := one(background, t, []any{&oldID, &contact}, `SELECT id, contact FROM identities WHERE channel = ? AND external_id = ?`, ch.Name, from)
	if err != nil || !found {
		return err
	}
	taken, err := one(background, t, []any{&newID}, `SELECT id FROM identities WHERE channel = ? AND external_id = ?`, ch.Name, to)
	if err != nil {
		return err
	}
	t.event(Event{Type: EventContactUpdated, Channel: ch.Name, Contact: contact})
	if !taken {
		_, err = t.exec(`UPDATE identities SET external_id = ? WHERE id = ?`, to, oldID)
		return err
	}
	return t.joinIdentities(oldID, newID, contact)
}

// joinIdentities gives the new identity to the contact, with all that its own
// contact had, and the old one's conversations to the new identity. It goes on with
// the later of the two that were current, or the one that is not solved.
func (t *txn) joinIdentities(oldID, newID int64, contact string) error {
	var other string
	if _, err := one(background, t, []any{&other}, `SELECT contact FROM identities WHERE id = ?`, newID); err != nil {
		return err
	}
	if other != "" && other != contact {
		if err := t.joinContacts(other, contact, false); err != nil {
			return err
		}
	}
	if err := t.joinSurveys(oldID, newID); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE identities SET acted_at = (SELECT MAX(o.acted_at) FROM identities o WHERE o.id IN (?, ?)),
		ad_at = (SELECT MAX(o.ad_at) FROM identities o WHERE o.id IN (?, ?)) WHERE id = ?`, oldID, newID, oldID, newID, newID); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE conversations SET identity = ? WHERE identity = ?`, newID, oldID); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE identities SET conversation = COALESCE((SELECT v.id FROM conversations v
		WHERE v.id IN (SELECT i.conversation FROM identities i WHERE i.id IN (?, ?))
		ORDER BY v.state = 'solved', v.updated_at DESC, v.id DESC LIMIT 1), '') WHERE id = ?`, oldID, newID, newID)
	return err
}

// messageByExternalID finds a message of either direction. A pressed button may
// be one with an id of its own (Telegram's /start with a payload), under which
// it is edited or reacted to.
func (t *txn) messageByExternalID(channel, externalID string) (id string, found bool, err error) {
	found, err = one(background, t, []any{&id}, `SELECT id FROM external_ids WHERE channel = ? AND kind IN ('message', 'postback') AND external_id = ? ORDER BY kind, direction LIMIT 1`,
		channel, externalID)
	return id, found, err
}

// park keeps an event until the message comes that it is about.
func (t *txn) park(id, channel, target string, event message.Event) error {
	raw, err := json.Marshal(event)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO parked_events (id, channel, target, event) VALUES (?, ?, ?, ?)`, id, channel, target, string(raw))
	return err
}

// parked is an event that waited.
type parked struct {
	id    string
	event message.Event
}

// when orders what waited for the same message.
func (p parked) when() time.Time {
	if p.event.Receipt != nil {
		return p.event.Receipt.Timestamp
	}
	return p.event.Message.Timestamp
}

// applyParked applies the events that waited for a message, in the order of
// their time. Receipts are for outbound messages only and go on waiting
// otherwise.
func (s *Store) applyParked(t *txn, ch *Channel, externalID, messageID string, direction message.Direction) error {
	waiting, err := all(background, t, scanParked, `SELECT id, event FROM parked_events WHERE channel = ? AND target = ? ORDER BY id`, ch.Name, externalID)
	if err != nil {
		return err
	}
	slices.SortStableFunc(waiting, func(a, b parked) int { return cmp.Or(a.when().Compare(b.when()), cmp.Compare(a.id, b.id)) })
	for _, p := range waiting {
		switch {
		case p.event.Message != nil:
			err = s.applyEffect(t, ch, messageID, *p.event.Message, actorOf(p.event.Message))
		case direction == message.Outbound && s.hooks.receipt != nil:
			_, _, err = s.hooks.receipt(t, ch, *p.event.Receipt)
		default:
			continue
		}
		if err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM parked_events WHERE id = ?`, p.id); err != nil {
			return err
		}
	}
	return nil
}

func scanParked(rows *sql.Rows) (p parked, err error) {
	var raw string
	if err := rows.Scan(&p.id, &raw); err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(raw), &p.event)
}

// target is the message that an effect is about, as it stands.
type target struct {
	id, conversation, contact, text, content string
	editedAt, deletedAt                      int64
	survey                                   string // dialogue that is open with the address
}

// applyEffect applies an edit, a deletion or a reaction to a message, whoever
// made it. On a deleted message nothing has an effect any more.
func (s *Store) applyEffect(t *txn, ch *Channel, messageID string, m message.Message, actor string) error {
	tg := target{id: messageID}
	found, err := one(background, t, []any{&tg.conversation, &tg.contact, &tg.text, &tg.content, &tg.editedAt, &tg.deletedAt, &tg.survey},
		`SELECT m.conversation, v.contact, m.text, m.content, m.edited_at, m.deleted_at, i.survey
		FROM messages m JOIN conversations v ON v.id = m.conversation JOIN identities i ON i.id = v.identity WHERE m.id = ?`, messageID)
	if err != nil || !found || tg.deletedAt != 0 {
		return err
	}
	switch m.Type {
	case message.TypeEdit:
		err = t.edit(ch, tg, m)
	case message.TypeDeletion:
		err = s.delete(t, tg, m.Timestamp)
	case message.TypeReaction:
		err = t.react(tg, m, actor)
	}
	if err == nil {
		err = t.surveyChanged(tg, m, actor)
	}
	if err != nil {
		return err
	}
	t.event(Event{Type: EventMessageUpdated, Channel: ch.Name, Conversation: tg.conversation, Contact: tg.contact, MessageID: tg.id})
	return nil
}

// edit replaces what a message says and keeps what it said before. An edit
// that is older than the last one came late: it only joins the versions.
func (t *txn) edit(ch *Channel, tg target, m message.Message) error {
	at := ms(m.Timestamp)
	attachments, err := t.knownAttachments(tg)
	if err != nil {
		return err
	}
	next := m
	var fetch []mediaRow
	next.Attachments, fetch = t.adopt(ch, m.Attachments, attachments)
	content, err := mergeContent(tg.content, next)
	if err != nil {
		return err
	}
	text, before, beforeContent, until := m.Text, tg.text, tg.content, at
	if at < tg.editedAt {
		before, beforeContent, until = m.Text, content, tg.editedAt
	}
	if _, err := t.exec(`INSERT INTO message_versions (message, version, until, text, content)
		SELECT ?, COUNT(*) + 1, ?, ?, ? FROM message_versions WHERE message = ?`, tg.id, until, before, beforeContent, tg.id); err != nil {
		return err
	}
	if at < tg.editedAt {
		return nil
	}
	if _, err := t.exec(`UPDATE messages SET text = ?, content = ?, edited_at = ? WHERE id = ?`, text, content, at, tg.id); err != nil {
		return err
	}
	return t.insertMedia(tg.id, fetch)
}

// delete removes what a message said, in all its versions, and the attachments
// that no other message names, as its writer wished. That there was a message
// stays.
func (s *Store) delete(t *txn, tg target, at time.Time) error {
	if _, err := t.exec(`UPDATE messages SET text = '', content = '', deleted_at = ? WHERE id = ?`, ms(at), tg.id); err != nil {
		return err
	}
	media, err := all(background, t, scanMedia, selectMedia+`WHERE id IN (SELECT media FROM message_media WHERE message = ?)`, tg.id)
	if err != nil {
		return err
	}
	for _, q := range []string{
		`DELETE FROM message_versions WHERE message = ?`,
		`DELETE FROM reactions WHERE message = ?`,
		`DELETE FROM message_media WHERE message = ?`,
	} {
		if _, err := t.exec(q, tg.id); err != nil {
			return err
		}
	}
	for _, m := range media {
		if err := s.removeMedia(t, m, mediaGoes); err != nil {
			return err
		}
		// Where a message that was sent names it too, the bytes stay, and nothing
		// leads back to the platform.
		if _, err := t.exec(`UPDATE media SET ref = '' WHERE id = ? AND NOT EXISTS (SELECT 1 FROM message_media n
			JOIN messages m ON m.id = n.message WHERE n.media = media.id AND m.direction = 'inbound')`, m.ID); err != nil {
			return err
		}
	}
	return nil
}

// react puts an actor's reaction on a message, in place of the one before, or
// takes it off. Taking off another emoji than the one that stands changes
// nothing: platforms tell "old off, new on" in either order. What nobody in
// particular has put on goes all at once where no emoji is named.
func (t *txn) react(tg target, m message.Message, actor string) error {
	if m.Reaction.Action == message.ReactionRemove {
		if m.Reaction.Emoji == "" && m.Author != nil && m.Author.ExternalID == message.AuthorAnonymous {
			_, err := t.exec(`DELETE FROM reactions WHERE message = ? AND substr(actor, 1, ?) = ?`, tg.id, utf8.RuneCountInString(actor), actor)
			return err
		}
		_, err := t.exec(`DELETE FROM reactions WHERE message = ? AND actor = ? AND (? = '' OR emoji = ?)`, tg.id, actor, m.Reaction.Emoji, m.Reaction.Emoji)
		return err
	}
	_, err := t.exec(`INSERT INTO reactions (message, actor, emoji, timestamp) VALUES (?, ?, ?, ?)
		ON CONFLICT (message, actor) DO UPDATE SET emoji = excluded.emoji, timestamp = excluded.timestamp`, tg.id, actor, m.Reaction.Emoji, ms(m.Timestamp))
	return err
}
