package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Dead letters are outbound messages that will not be sent any more by
// themselves: refused for good, given up, or of an outcome that nobody learnt.
// Requeueing one sends what of it has not been sent; it goes before what its
// contact is still to get, as it is older.

// DeadLetter is one of them.
type DeadLetter struct {
	Message  message.Message `json:"message"` // its Status is failed or unknown, its Reason says why
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
	Status  message.Status // failed or unknown; "": both
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
	type row struct {
		id       string
		attempts int
	}
	rows, err := all(ctx, s.read, func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.id, &x.attempts) },
		`SELECT d.message, d.attempts FROM deliveries d JOIN lanes l ON l.id = d.lane `+c.where()+`ORDER BY d.message LIMIT ?`, append(c.args, limit+1)...)
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

func (q DeadLetterQuery) conditions(scope Scope) (c conditions, err error) {
	switch q.Status {
	case "":
		c.add("d.state IN ('failed', 'unknown')") // as in the index
	case message.StatusFailed, message.StatusUnknown:
		c.add("d.state IN ('failed', 'unknown')")
		c.add("d.state = ?", string(q.Status))
	default:
		return c, &FieldError{Field: "status", Message: fmt.Sprintf("%q is neither failed nor unknown", q.Status)}
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
		`SELECT message, part, state FROM delivery_parts WHERE message IN `+in(len(ids))+` ORDER BY message, part`, anys(ids)...)
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
	d, l, err := loadDelivery(t, id)
	if err != nil {
		return err
	}
	if d == nil || d.state != deliveryFailed && d.state != deliveryUnknown {
		return fmt.Errorf("message %s is no dead letter: only one that failed, or whose outcome is unknown, can be sent again: %w", id, ErrConflict)
	}
	if err := s.mayRequeue(t, d, l); err != nil {
		return err
	}
	if err := d.revive(policy); err != nil {
		return err
	}
	if err := d.save(t); err != nil {
		return err
	}
	if err := s.refreshMessage(t, d, l); err != nil {
		return err
	}
	switch {
	case d.state == deliveryQueued:
		return s.joinQueue(t, l)
	case d.state == deliverySent && d.action != "": // taken as done: so it is here too
		return (&turn{s: s, t: t, ch: s.channelOrStub(l.channel), d: d, l: l}).effect()
	}
	return nil
}

// mayRequeue checks what is checked when a message is queued.
func (s *Store) mayRequeue(t *txn, d *delivery, l *laneRow) error {
	conv, err := s.lockConversation(t, Scope{All: true}, d.conversation)
	if err != nil {
		return err
	}
	o := &outgoing{s: s, conv: conv, req: SendRequest{Author: message.Author{Kind: d.authorKind}, Epoch: d.epoch}}
	if err := o.serve(l.channel); err != nil {
		return err
	}
	return o.allowed(background, t, conv)
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
