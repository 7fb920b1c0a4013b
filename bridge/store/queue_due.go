package store

import (
	"cmp"
	"context"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// sweepEntries looks at what is due in queues: what has waited too long, or came
// into a full queue, or into none, goes on by its policy; reservations and
// preferred skills end; what an agent has falls idle, or is not any more. As all that
// goes by the document, it has a share of everything's lock: a new one waits for it.
func (s *Store) sweepEntries(ctx context.Context) error {
	for {
		due, err := all(ctx, s.read, scanText, `SELECT conversation FROM queue_entries WHERE due_at > 0 AND due_at <= ? ORDER BY due_at LIMIT ?`, ms(s.now()), dueBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		done := 0
		if err := s.writeLocked(ctx, len(due), newLocks(), func(t *txn) (err error) {
			done, err = s.sweepSome(t, due)
			return err
		}); err != nil || done == 0 {
			return err
		}
	}
}

func (s *Store) sweepSome(t *txn, conversations []string) (done int, err error) {
	convs, err := s.lockRows(t, conversations)
	if err != nil {
		return 0, err
	}
	for _, id := range conversations {
		v := convs[id]
		if v == nil {
			continue
		}
		e, err := t.entry(id)
		if err != nil {
			return 0, err
		}
		if e == nil || e.dueAt == 0 || e.dueAt > ms(t.now) {
			continue
		}
		done++
		if e.state == entryAssigned {
			err = s.sweepCarried(t, v, e)
		} else {
			err = s.sweepWaiting(t, v, e)
		}
		if err != nil {
			return 0, err
		}
	}
	return done, nil
}

// sweepWaiting looks at something that waits.
func (s *Store) sweepWaiting(t *txn, v *convRow, e *entryRow) error {
	st := s.state.Load()
	q := st.queues[e.queue]
	var event routing.Event
	overdue := int64(0)
	if q != nil {
		overdue = st.overdueAt(q, e.enteredAt)
	}
	switch {
	case q == nil: // also what was to be held: here nobody comes any more
		event = routing.EventStepFailed
	case e.hold == 1:
	case e.dueAt == fullDue:
		event = routing.EventStepFailed
	case overdue > 0 && overdue <= ms(t.now):
		event = routing.EventStepExpired
	}
	before := *e
	if event != "" && !st.enforces(v.channel) { // nobody says where else; perhaps the next document does
		held := *e
		held.hold = 1
		if e.dueAt = shelved; q != nil {
			e.dueAt = cmp.Or(st.nextDue(q, &held, ms(t.now)), shelved)
		}
		t.stir(e.queue)
		return t.saveEntry(e)
	}
	if event != "" {
		if err := t.route(v, event, nil); err != nil {
			return err
		}
		var err error
		if e, err = t.entry(v.id); err != nil || e == nil || e.queue != before.queue || q != nil && e.stepAt != before.stepAt || e.state == entryAssigned || e.state == entryLeft {
			return err // it went on
		}
		e.hold = 1 // there is nowhere to go on to: it waits here, for all to see
	}
	e.dueAt = 0
	if q != nil {
		e.dueAt = st.nextDue(q, e, ms(t.now))
	}
	t.stir(e.queue)
	return t.saveEntry(e)
}

// sweepCarried looks whether the contact of something that an agent has is
// silent: it costs the agent less then.
func (s *Store) sweepCarried(t *txn, v *convRow, e *entryRow) error {
	var capacity routing.Capacity
	if q := s.state.Load().queues[e.queue]; q != nil {
		capacity = q.Capacity
	}
	silent := t.now.Sub(fromMS(max(v.lastInboundAt, e.assignedAt)))
	units := int64(capacity.Cost(e.class, silent))
	t.noteLoad(e.agent, e.class, units-e.units)
	e.units, e.dueAt, e.idle = units, 0, 0
	if after := time.Duration(capacity.IdleAfter); after > 0 && silent >= after {
		e.idle = 1
	} else if after > 0 {
		e.dueAt = max(v.lastInboundAt, e.assignedAt) + ceilMS(after)
	}
	return t.saveEntry(e)
}

// carried is for a message of a contact whose conversation an agent or a queue
// has: who has kept it while it was solved, or snoozed, has it again, and what was idle is not
// any more. The sweep does the latter, so that messages do not wait for what
// agents carry.
func (a *arrival) carried() error {
	p, t := a.party, a.t
	switch {
	case p.owner.Kind != OwnerAgent && p.owner.Kind != OwnerQueue:
	case p.state == ConversationSolved:
		v, err := a.s.conversation(t.ctx, t, Scope{All: true}, p.conversation)
		if err != nil {
			return err
		}
		return p.belongs(&v, t.resume(&v))
	case p.state == ConversationSnoozed && p.owner.Kind == OwnerQueue:
		v, err := a.s.conversation(t.ctx, t, Scope{All: true}, p.conversation)
		if err != nil {
			return err
		}
		return t.awake(&v)
	case p.owner.Kind == OwnerAgent && a.s.state.Load().idling:
		a.s.queues.sweepAfter(t)
		return t.later(`UPDATE queue_entries SET due_at = ? WHERE conversation = ? AND idle = 1`, ms(t.now), p.conversation)
	}
	return nil
}

// endQueueWaits brings the times of queues back to where they can be by a clock
// that went back: offers and reservations last as long as they were to last, and
// all that was due later is looked at. Who came first is told by the ids then.
func endQueueWaits(t *txn) error {
	now := ms(t.now)
	for _, u := range []struct {
		query string
		args  []any
	}{
		{`UPDATE offers SET until = until - (made_at - ?), made_at = ? WHERE made_at > ?`, []any{now, now, now}},
		{`UPDATE presence SET seen_at = ? WHERE seen_at > ?`, []any{now, now}},
		{`UPDATE presence SET changed_at = ?, due_at = CASE WHEN due_at > 0 THEN ? ELSE due_at END WHERE changed_at > ?`, []any{now, now, now}},
		{`UPDATE queue_entries SET reserved_until = reserved_until - (step_at - ?) WHERE reserved_until > 0 AND step_at > ?`, []any{now, now}},
		{`UPDATE queue_entries SET step_at = ?, due_at = CASE WHEN due_at > 0 THEN ? ELSE due_at END WHERE step_at > ?`, []any{now, now, now}},
		{`UPDATE queue_entries SET entered_at = ? WHERE entered_at > ?`, []any{now, now}},
		{`UPDATE queue_entries SET waiting_since = ? WHERE waiting_since > ?`, []any{now, now}},
		{`UPDATE queue_entries SET assigned_at = ?, due_at = CASE WHEN due_at > 0 THEN ? ELSE due_at END WHERE assigned_at > ?`, []any{now, now, now}},
	} {
		if _, err := t.exec(u.query, u.args...); err != nil {
			return err
		}
	}
	return nil
}
