package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Dead letters are outbound messages that will not be sent any more by
// themselves: refused for good, given up, or of an outcome that nobody learnt;
// also those that the platform took and then, by a receipt, failed to deliver.
//
//	deliveries.state = failed, unknown           the send itself ended there
//	deliveries.state = sent, a receipt = failed  the platform said so afterwards
//	deliveries.state = cancelled                 its Channel left this store (listed only when asked for)
//
// The second follows from receipts alone, which climb in any order: one that
// proves the delivery takes the message off the list again. Requeueing a dead
// letter sends what of it has not been sent, or was not delivered; it goes
// before what its contact is still to get, as it is older. What the shop wrote
// in a platform's own app is no dead letter when it fails: it is not ours to
// send again.
//
// A Channel that moves to another store leaves behind what was queued: it cannot
// follow, as its contact and its conversation are here. It is cancelled, and sent
// once somebody requeues it and the Channel is here again; or it is written anew,
// in the store where the Channel is.

// DeadLetter is one of them.
type DeadLetter struct {
	Message  message.Message `json:"message"` // its Status is failed, unknown or cancelled, its Reason says why
	Attempts int             `json:"attempts"`
	Parts    []DeadPart      `json:"parts"`
}

// DeadPart is one platform request of a dead letter.
type DeadPart struct {
	Index int    `json:"index"`
	State string `json:"state"` // sent, failed, unknown, held, cancelled
}

// DeadLetterQuery selects dead letters, oldest first.
type DeadLetterQuery struct {
	PageQuery
	Channel string         // "namespace/name"
	Status  message.Status // failed, unknown or cancelled; "": failed and unknown
}

// UnknownPolicy is what a requeue does with parts whose outcome is unknown.
type UnknownPolicy string

const (
	UnknownRefuse UnknownPolicy = ""       // nothing: the requeue is refused
	UnknownResend UnknownPolicy = "resend" // sends them again; the contact may get them twice
	UnknownSkip   UnknownPolicy = "skip"   // takes them as sent
)

const listDeadLetters = "d"

// DeadLetters lists what was not sent, or perhaps not.
func (s *Store) DeadLetters(ctx context.Context, scope Scope, q DeadLetterQuery) (Page[DeadLetter], error) {
	limit, pos, from, err := start(listDeadLetters, q.PageQuery)
	if err != nil {
		return Page[DeadLetter]{}, err
	}
	c, err := q.conditions(scope)
	if err != nil {
		return Page[DeadLetter]{}, err
	}
	if from {
		c.add("d.message > ?", pos.ID)
	}
	rows, err := s.deadRows(ctx, q.Status, c, limit+1)
	if err != nil {
		return Page[DeadLetter]{}, err
	}
	keys, attempts := make([]sortKey, len(rows)), make(map[string]int, len(rows))
	for i, r := range rows {
		keys[i].id, attempts[r.id] = r.id, r.attempts
	}
	return pageOf(listDeadLetters, keys, limit, func(d DeadLetter) string { return d.Message.ID }, func(ids []string) ([]DeadLetter, error) {
		return s.loadDeadLetters(ctx, ids, attempts)
	})
}

// deadRow is a dead letter in the outbox.
type deadRow struct {
	id       string
	attempts int
}

// deadRows reads the first dead letters: along one index those whose send ended
// so, along another those that a receipt failed. None is in both.
func (s *Store) deadRows(ctx context.Context, status message.Status, c conditions, limit int) ([]deadRow, error) {
	const lane = `JOIN lanes l ON l.id = d.lane `
	read := func(from, ended string) ([]deadRow, error) {
		part := conditions{sql: slices.Clone(c.sql), args: slices.Clone(c.args)}
		part.add(ended)
		return all(ctx, s.read, func(r *sql.Rows) (x deadRow, err error) { return x, r.Scan(&x.id, &x.attempts) },
			`SELECT DISTINCT d.message, d.attempts FROM `+from+part.where()+`ORDER BY d.message LIMIT ?`, append(part.args, limit)...)
	}
	ended := `d.state IN ('failed', 'unknown')` // as in the index
	switch status {
	case "":
	case message.StatusCancelled: // has an index of its own
		ended = `d.state = 'cancelled'`
	default:
		ended += ` AND d.state = '` + string(status) + `'`
	}
	rows, err := read(`deliveries d `+lane, ended)
	if err != nil || status == message.StatusUnknown || status == message.StatusCancelled {
		return rows, err
	}
	refused, err := read(`sent_ids x JOIN deliveries d ON d.message = x.message `+lane, `x.receipt = 'failed' AND x.part >= 0 AND d.state = 'sent'`)
	rows = append(rows, refused...)
	slices.SortFunc(rows, func(a, b deadRow) int { return cmp.Compare(a.id, b.id) })
	return rows[:min(len(rows), limit)], err
}

func (q DeadLetterQuery) conditions(scope Scope) (c conditions, err error) {
	switch q.Status {
	case "", message.StatusFailed, message.StatusUnknown, message.StatusCancelled:
	default:
		return c, &FieldError{Field: "status", Message: fmt.Sprintf("%q is neither failed nor unknown nor cancelled", q.Status)}
	}
	if q.Channel != "" {
		c.add("l.channel = ?", q.Channel)
		return c, seeChannel(scope, q.Channel)
	}
	if scope.All {
		return c, nil
	}
	names := slices.DeleteFunc(slices.Clone(scope.Namespaces), func(ns string) bool { return ns == "" })
	if len(names) == 0 {
		c.add("1 = 0")
		return c, nil
	}
	either := ""
	var args []any
	for i, ns := range names {
		if i > 0 {
			either += " OR "
		}
		either += "l.channel > ? AND l.channel < ?"
		args = append(args, ns+"/", ns+"0") // '0' follows '/'
	}
	c.add("("+either+")", args...)
	return c, nil
}

func (s *Store) loadDeadLetters(ctx context.Context, ids []string, attempts map[string]int) ([]DeadLetter, error) {
	list, err := s.loadMessages(ctx, s.read, ids)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	type row struct {
		message string
		part    DeadPart
	}
	parts, err := all(ctx, s.read, func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.message, &x.part.Index, &x.part.State) },
		`SELECT p.message, p.part, CASE WHEN p.state = 'sent' AND `+partRefused+` THEN 'failed' ELSE p.state END
		FROM delivery_parts p WHERE p.message IN `+in(len(ids))+` ORDER BY p.message, p.part`, anys(ids)...)
	if err != nil {
		return nil, err
	}
	letters := make([]DeadLetter, len(list))
	index := make(map[string]*DeadLetter, len(list))
	for i, m := range list {
		letters[i] = DeadLetter{Message: m, Attempts: attempts[m.ID]}
		index[m.ID] = &letters[i]
	}
	for _, p := range parts {
		if d := index[p.message]; d != nil {
			d.Parts = append(d.Parts, p.part)
		}
	}
	return letters, nil
}

// Requeue sends what of a dead letter has not been sent. What was sent stays
// sent; parts of an unknown outcome are treated as policy says. It is checked
// as a new message is: ErrConflict when it is no dead letter, when the channel
// is not in service, or when nothing could be sent to the contact anyway.
func (s *Store) Requeue(ctx context.Context, scope Scope, id string, policy UnknownPolicy) (message.Message, error) {
	if err := scope.Write.check(); err != nil {
		return message.Message{}, err
	}
	if policy != UnknownRefuse && policy != UnknownResend && policy != UnknownSkip {
		return message.Message{}, &FieldError{Field: "unknown", Message: fmt.Sprintf("%q is neither resend nor skip", policy)}
	}
	m, err := s.Message(ctx, scope, id)
	if err != nil {
		return message.Message{}, err
	}
	conv, err := s.conversation(ctx, s.read, scope, m.Conversation)
	if err != nil {
		return message.Message{}, err
	}
	needs := newLocks().party(conv.channel, conv.address).inbox(conv.channel).outbox(conv.channel) // inbox: an edit may take effect
	err = s.writeLocked(ctx, 1, needs, func(t *txn) error {
		if _, done, err := t.repeated(conv.namespace, scope.Write); err != nil || done {
			return err
		}
		if err := s.requeue(t, id, policy); err != nil {
			return err
		}
		return t.remember(conv.namespace, scope.Write, id)
	})
	if err != nil {
		return message.Message{}, err
	}
	return s.Message(ctx, scope, id)
}

func (s *Store) requeue(t *txn, id string, policy UnknownPolicy) error {
	b := s.newLedger(t)
	d, err := b.delivery(id)
	if err != nil {
		return err
	}
	refused := 0
	if d != nil && d.state != deliveryQueued {
		if refused, err = d.takeBack(t); err != nil {
			return err
		}
	}
	if d == nil || !d.dead(refused) {
		return fmt.Errorf("message %s is no dead letter: only one that failed, was cancelled, or whose outcome is unknown, can be sent again: %w", id, ErrConflict)
	}
	if err := s.mayRequeue(t, d); err != nil {
		return err
	}
	if err := d.revive(policy); err != nil {
		return err
	}
	if refused > 0 {
		if err := t.forgetRefused(id); err != nil {
			return err
		}
	}
	switch {
	case d.state == deliveryQueued:
		err = b.joinQueue(d.lane)
	case d.state == deliverySent && d.action != "": // taken as done: so it is here too
		u := &turn{ledger: b, ch: s.channelOrStub(d.lane.channel), d: d, l: d.lane}
		b.effects = append(b.effects, u.effect)
	}
	if err != nil {
		return err
	}
	return b.save()
}

// dead says that a delivery can be sent again, where so many of the parts that
// the platform took were refused afterwards.
func (d *delivery) dead(refused int) bool {
	switch d.state {
	case deliveryFailed, deliveryUnknown, deliveryCancelled:
		return true
	case deliverySent:
		return refused > 0
	}
	return false
}

// mayRequeue checks what is checked when a message is queued.
func (s *Store) mayRequeue(t *txn, d *delivery) error {
	conv, err := s.lockConversation(t, Scope{All: true}, d.conversation)
	if err != nil {
		return err
	}
	o := &outgoing{s: s, conv: conv, req: SendRequest{Author: message.Author{Kind: d.authorKind}, Epoch: d.epoch}}
	if err := o.serve(d.lane.channel); err != nil {
		return err
	}
	var did acts
	if o.caps.Window > 0 {
		if did, err = actsOf(background, t, conv.id); err != nil {
			return err
		}
	}
	return o.allowed(conv, did)
}

// partRefused is true of a part p that the platform took and then failed to deliver.
const partRefused = `EXISTS (SELECT 1 FROM sent_ids x WHERE x.message = p.message AND x.part = p.part AND x.receipt = 'failed')`

// takeBack makes the parts that the platform took, but failed to deliver, parts
// that failed. It returns how many there are.
func (d *delivery) takeBack(t *txn) (int, error) {
	refused, err := all(background, t, func(r *sql.Rows) (i int, err error) { return i, r.Scan(&i) },
		`SELECT p.part FROM delivery_parts p WHERE p.message = ? AND p.state = 'sent' AND `+partRefused, d.message)
	if err != nil {
		return 0, err
	}
	for i := range d.parts {
		if slices.Contains(refused, d.parts[i].index) {
			d.parts[i].set(partFailed)
		}
	}
	return len(refused), nil
}

// forgetRefused takes the platform's ids of parts that are sent anew out of the
// message's status. They stay known: what is still told about them is not for an
// unknown message.
func (t *txn) forgetRefused(id string) error {
	if _, err := t.exec(`UPDATE sent_ids SET part = -1 - part WHERE message = ? AND part IN (SELECT x.part FROM sent_ids x WHERE x.message = ? AND x.part >= 0 AND x.receipt = 'failed')`, id, id); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE messages SET external_id = '' WHERE id = ? AND external_id IN (SELECT x.external_id FROM sent_ids x WHERE x.message = ? AND x.part < 0)`, id, id)
	return err
}

// revive makes the parts that were not sent wait again.
func (d *delivery) revive(policy UnknownPolicy) error {
	for i := range d.parts {
		if d.parts[i].state == partUnknown && policy == UnknownRefuse {
			return &FieldError{Field: "unknown", Message: fmt.Sprintf(
				"is needed: the outcome of part %d was never learnt. Look on the platform: resend sends it again, which the contact may get twice; skip takes it as sent", i)}
		}
	}
	for i := range d.parts {
		switch p := &d.parts[i]; p.state {
		case partFailed, partCancelled, partHeld:
			p.set(partQueued)
		case partUnknown:
			if p.set(partQueued); policy == UnknownSkip {
				p.set(partSent)
			}
			p.unknowns = 0
		}
	}
	d.attempts, d.firstAttempt, d.reason, d.dirty = 0, 0, "", true
	d.settle()
	return nil
}
