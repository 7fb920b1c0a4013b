package store

import (
	"database/sql"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// applyReceipt applies what a platform told about outbound messages. A receipt
// for an external id that nobody has yet is not found: it waits for its
// message and comes again. Watermarks are kept with the lane, so that they hold
// for messages whose send is reported later, too; hence any order of receipts
// and reports gives the same status.
func (s *Store) applyReceipt(t *txn, ch *Channel, r message.Receipt) (id string, found bool, err error) {
	if receiptRank[r.Status] == 0 {
		return "", true, nil // not a status that a receipt can have; nothing would ever come of it
	}
	if r.Delivery != "" {
		return r.Delivery, true, s.applyProof(t, ch, r)
	}
	if r.ExternalID == "" {
		found, err = s.applyWatermark(t, ch, r)
		return "", found, err
	}
	var have message.Status
	found, err = one(background, t, []any{&id, &have}, `SELECT message, receipt FROM sent_ids WHERE channel = ? AND external_id = ?`, ch.Name, r.ExternalID)
	if err != nil {
		return "", false, err
	}
	if !found {
		return s.receiptForEcho(t, ch, r)
	}
	if joinReceipt(have, r.Status) == have {
		return id, true, nil
	}
	if err := t.later(`UPDATE sent_ids SET receipt = ?, reason = ? WHERE channel = ? AND external_id = ?`, string(r.Status), r.Reason, ch.Name, r.ExternalID); err != nil {
		return "", false, err
	}
	return id, true, s.refresh(t, id)
}

// receiptForEcho applies a receipt to a message that the shop wrote in the
// platform's own app: it never was in the outbox, and is one external id.
func (s *Store) receiptForEcho(t *txn, ch *Channel, r message.Receipt) (id string, found bool, err error) {
	var e echo
	found, err = one(background, t, e.fields(), `SELECT m.id, m.status, m.conversation, v.contact FROM external_ids x
		JOIN messages m ON m.id = x.id JOIN conversations v ON v.id = m.conversation
		WHERE x.channel = ? AND x.kind = 'message' AND x.external_id = ? AND x.direction = 'outbound'`, ch.Name, r.ExternalID)
	if err != nil || !found {
		return "", false, err
	}
	return e.id, true, s.receiptOf(t, ch, e, r)
}

// echo is an outbound message that is not in the outbox.
type echo struct {
	id           string
	status       message.Status
	conversation string
	contact      string
}

func (e *echo) fields() []any { return []any{&e.id, &e.status, &e.conversation, &e.contact} }

func (s *Store) receiptOf(t *txn, ch *Channel, e echo, r message.Receipt) error {
	if joinReceipt(e.status, r.Status) == e.status {
		return nil
	}
	reason := ""
	if r.Status == message.StatusFailed {
		reason = r.Reason
	}
	if err := t.later(`UPDATE messages SET status = ?, reason = ? WHERE id = ?`, string(r.Status), reason, e.id); err != nil {
		return err
	}
	t.event(Event{Type: EventMessageUpdated, Channel: ch.Name, Conversation: e.conversation, Contact: e.contact, MessageID: e.id})
	return nil
}

// applyWatermark applies a receipt for everything that was sent to a contact
// up to a time. What an earlier watermark has covered is not looked at again. A
// contact whom nobody has met is not found: where agents answer in the platform's
// own inbox, a watermark may overtake the echo of the first answer.
func (s *Store) applyWatermark(t *txn, ch *Channel, r message.Receipt) (found bool, err error) {
	var contact string
	found, err = one(background, t, []any{&contact}, `SELECT contact FROM identities WHERE channel = ? AND external_id = ?`, ch.Name, r.Contact)
	if err != nil || !found {
		return false, err
	}
	l, err := laneFor(t, ch.Name, contact)
	if err != nil {
		return false, err
	}
	var after int64
	until := ms(r.Watermark)
	var update string
	switch r.Status {
	case message.StatusDelivered:
		after, update = l.deliveredUntil, `UPDATE lanes SET delivered_until = ? WHERE id = ?`
	case message.StatusRead:
		after, update = l.readUntil, `UPDATE lanes SET read_until = ? WHERE id = ?`
	default:
		return true, nil // no platform tells the rest by watermark
	}
	if until <= after {
		return true, nil
	}
	if err := t.later(update, until, l.id); err != nil {
		return false, err
	}
	if err := s.expandToSent(t, &l, r, after, until); err != nil {
		return false, err
	}
	return true, s.expandToEchoes(t, ch, contact, r, after, until)
}

// watermarkTarget is what a watermark of a contact waits under until somebody
// meets them: no message has such an id.
func watermarkTarget(contact string) string { return "watermarks of contact " + contact }

// catchUp applies the watermarks that came before anybody had met the contact.
func (a *arrival) catchUp() error {
	target := watermarkTarget(a.who().ExternalID)
	waiting, err := all(background, a.t, scanParked, `SELECT id, event FROM parked_events WHERE channel = ? AND target = ? ORDER BY id`, a.channel.Name, target)
	if err != nil {
		return err
	}
	for _, p := range waiting {
		if _, _, err := a.s.hooks.receipt(a.t, a.channel, *p.event.Receipt); err != nil {
			return err
		}
		if _, err := a.t.exec(`DELETE FROM parked_events WHERE id = ?`, p.id); err != nil {
			return err
		}
	}
	return nil
}

// watermark is what the lane's watermarks say of something sent at that time.
func (l *laneRow) watermark(sent time.Time) message.Status {
	switch at := ms(sent); {
	case at <= l.readUntil:
		return message.StatusRead
	case at <= l.deliveredUntil:
		return message.StatusDelivered
	}
	return ""
}

// watermarkStatus is how far an echo is when it is stored, by the watermarks
// that came before it.
func watermarkStatus(t *txn, channel, contact string, sent time.Time) (message.Status, error) {
	var l laneRow
	_, err := one(background, t, []any{&l.deliveredUntil, &l.readUntil}, `SELECT delivered_until, read_until FROM lanes WHERE contact = ? AND channel = ?`, contact, channel)
	return joinReceipt(message.StatusSent, l.watermark(sent)), err
}

func (s *Store) expandToSent(t *txn, l *laneRow, r message.Receipt, after, until int64) error {
	type sent struct {
		externalID, message string
		receipt             message.Status
	}
	covered, err := all(background, t, func(rows *sql.Rows) (x sent, err error) {
		return x, rows.Scan(&x.externalID, &x.message, &x.receipt)
	}, `SELECT external_id, message, receipt FROM sent_ids WHERE lane = ? AND sent_at > ? AND sent_at <= ? ORDER BY sent_at`, l.id, after, until)
	if err != nil {
		return err
	}
	var changed []string
	for _, x := range covered {
		if joinReceipt(x.receipt, r.Status) == x.receipt {
			continue
		}
		if err := t.later(`UPDATE sent_ids SET receipt = ?, reason = '' WHERE channel = ? AND external_id = ?`, string(r.Status), l.channel, x.externalID); err != nil {
			return err
		}
		changed = append(changed, x.message)
	}
	slices.Sort(changed)
	return s.refresh(t, slices.Compact(changed)...)
}

func (s *Store) expandToEchoes(t *txn, ch *Channel, contact string, r message.Receipt, after, until int64) error {
	echoes, err := all(background, t, func(rows *sql.Rows) (e echo, err error) { return e, rows.Scan(e.fields()...) },
		`SELECT m.id, m.status, m.conversation, v.contact FROM conversations v JOIN messages m ON m.conversation = v.id
		WHERE v.contact = ? AND v.channel = ? AND m.timestamp > ? AND m.timestamp <= ? AND m.direction = 'outbound'
		AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = m.id)`, contact, ch.Name, after, until)
	if err != nil {
		return err
	}
	for _, e := range echoes {
		if err := s.receiptOf(t, ch, e, r); err != nil {
			return err
		}
	}
	return nil
}

// refresh brings messages' statuses in line after receipts.
func (s *Store) refresh(t *txn, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	b := s.newLedger(t)
	if err := b.load(ids, nil); err != nil {
		return err
	}
	for _, d := range b.inOrder() {
		b.refresh(d)
	}
	return b.save()
}
