package store

import (
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Echoes of our own sends. Some platforms (Instagram) echo what was sent through
// their API like what the shop wrote in their app, and may do so before the
// answer to the send is here:
//
//	send ──► platform ──► echo (id x) ──► a message of its own, as nobody has x
//	            └───────► report: sent as x ──► x is ours: the echo is absorbed
//
// Only the id tells. An echo that has the text of what is being sent just now,
// or of a send whose outcome is unknown, may be what a person wrote in the app.

// absorb puts a sent message in the place of the echo that took its external id:
// what has happened to the echo has happened to it, and the echo is gone. It
// does nothing where the id's owner is no echo, but another sent message.
func (u *turn) absorb(externalID, owner string) error {
	var e echoed
	found, err := one(background, u.t, e.fields(), selectEchoed, owner)
	if err != nil {
		return err
	}
	if found && e.sent > 0 {
		u.s.log.Warn("the platform gave two sends the same message id; the first one has it", "channel", u.l.channel, "message", u.d.message, "other", owner)
		return nil
	}
	if _, err := u.t.exec(`UPDATE external_ids SET id = ? WHERE external_id = ? AND channel = ? AND kind = 'message' AND direction = 'outbound' AND id = ?`,
		u.d.message, externalID, u.l.channel, owner); err != nil || !found {
		return err // not found: retention has removed it
	}
	if err := u.inherit(externalID, owner, e); err != nil {
		return err
	}
	// Its attachments are copies of what was sent.
	if err := u.s.delete(u.t, target{id: owner}, u.t.now); err != nil {
		return err
	}
	if _, err := u.t.exec(`DELETE FROM messages WHERE id = ?`, owner); err != nil {
		return err
	}
	u.t.event(Event{Type: EventMessageRemoved, Channel: u.l.channel, Conversation: e.conversation, Contact: e.contact, MessageID: owner})
	u.t.event(Event{Type: EventMessageUpdated, Channel: u.l.channel, Conversation: u.d.conversation, Contact: u.l.contact, MessageID: u.d.message})
	return nil
}

// echoed is what may have happened to an echo.
type echoed struct {
	conversation, contact, text, content, reason, raw string
	status                                            message.Status
	editedAt, deletedAt                               int64
	sent                                              int // it is a message of the outbox
}

const selectEchoed = `SELECT m.conversation, v.contact, m.text, m.content, m.reason, m.raw, m.status, m.edited_at, m.deleted_at,
	(SELECT COUNT(*) FROM deliveries d WHERE d.message = m.id)
	FROM messages m JOIN conversations v ON v.id = m.conversation WHERE m.id = ?`

func (e *echoed) fields() []any {
	return []any{&e.conversation, &e.contact, &e.text, &e.content, &e.reason, &e.raw, &e.status, &e.editedAt, &e.deletedAt, &e.sent}
}

// inherit hands on what has happened to an echo: receipts, reactions, an edit, a
// deletion, and the journal's entry it came with, which goes with the contact.
func (u *turn) inherit(externalID, owner string, e echoed) error {
	if err := u.inheritReceipt(externalID, e); err != nil {
		return err
	}
	if _, err := u.t.exec(`UPDATE messages SET raw = ? WHERE id = ? AND raw = ''`, e.raw, u.d.message); err != nil {
		return err
	}
	// Where somebody has reacted to several parts, one reaction stands.
	if _, err := u.t.exec(`UPDATE reactions SET message = ? WHERE message = ? AND actor NOT IN (SELECT r.actor FROM reactions r WHERE r.message = ?)`,
		u.d.message, owner, u.d.message); err != nil {
		return err
	}
	if e.editedAt != 0 && e.deletedAt == 0 {
		c, err := decodeContent(e.content)
		if err != nil {
			return err
		}
		edit := message.Message{Type: message.TypeEdit, Direction: message.Outbound, Timestamp: fromMS(e.editedAt), Text: e.text, Entities: c.Entities, Buttons: c.Buttons}
		return u.s.applyEffect(u.t, u.ch, u.d.message, edit, actorShop)
	}
	if e.deletedAt != 0 {
		gone := message.Message{Type: message.TypeDeletion, Direction: message.Outbound, Timestamp: fromMS(e.deletedAt)}
		return u.s.applyEffect(u.t, u.ch, u.d.message, gone, actorShop)
	}
	return nil
}

// inheritReceipt joins what the echo's receipts said with what the lane's
// watermarks say of the part. That the echo was sent is no receipt.
func (u *turn) inheritReceipt(externalID string, e echoed) error {
	if e.status == message.StatusSent {
		return nil
	}
	var have message.Status
	found, err := one(background, u.t, []any{&have}, `SELECT receipt FROM sent_ids WHERE channel = ? AND external_id = ?`, u.l.channel, externalID)
	if err != nil || !found || joinReceipt(have, e.status) == have {
		return err
	}
	return u.t.later(`UPDATE sent_ids SET receipt = ?, reason = ? WHERE channel = ? AND external_id = ?`, string(e.status), e.reason, u.l.channel, externalID)
}
