package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// laneFor finds a contact's lane on a channel, or makes it.
func laneFor(t *txn, channel, contact string) (laneRow, error) {
	var l laneRow
	found, err := one(background, t, l.fields(), `SELECT `+laneColumns+` FROM lanes WHERE contact = ? AND channel = ?`, contact, channel)
	if err != nil || found {
		return l, err
	}
	_, err = one(background, t, l.fields(), `INSERT INTO lanes (channel, contact) VALUES (?, ?) RETURNING `+laneColumns, channel, contact)
	return l, err
}

// joinQueue makes a lane due that just got something to send. A lane that is
// leased, or waits for its turn already, is left alone.
func (s *Store) joinQueue(t *txn, l *laneRow) error {
	due := max(ms(t.now), l.readyAt)
	n, err := t.exec(`UPDATE lanes SET due_at = ? WHERE id = ? AND due_at = 0 AND lease_until = 0`, due, l.id)
	if err != nil || n == 0 {
		return err
	}
	return s.channelDue(t, l.channel, due)
}

// channelDue makes a channel due no later than one of its lanes, and wakes a
// bridge for it. A channel's first lane brings its row.
func (s *Store) channelDue(t *txn, channel string, due int64) error {
	bridge := sendingBridge(s.state.Load(), channel)
	n, err := t.exec(`INSERT INTO outbox_channels (channel, bridge, due_at) VALUES (?, ?, ?)
		ON CONFLICT (channel) DO UPDATE SET due_at = CASE WHEN outbox_channels.ready_at > excluded.due_at THEN outbox_channels.ready_at ELSE excluded.due_at END
		WHERE outbox_channels.due_at = 0 OR outbox_channels.due_at > excluded.due_at AND outbox_channels.due_at > outbox_channels.ready_at`,
		channel, bridge, due)
	if err == nil && n > 0 && bridge != "" {
		t.ring(bridge)
	}
	return err
}

// sendingBridge is the Bridge whose pods may send for a channel now.
func sendingBridge(st *state, channel string) string {
	if ch := st.channel(channel); ch != nil && !ch.Suspended && !ch.Deleting {
		return ch.Bridge
	}
	return ""
}

// syncChannels brings the outbox in line with a document: which Bridge sends
// for which channel.
func (s *Store) syncChannels(t *txn, st *state) error {
	type row struct{ channel, bridge string }
	rows, err := all(background, t, func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.channel, &x.bridge) },
		`SELECT channel, bridge FROM outbox_channels`)
	if err != nil {
		return err
	}
	for _, r := range rows {
		bridge := sendingBridge(st, r.channel)
		if bridge == r.bridge {
			continue
		}
		if err := t.later(`UPDATE outbox_channels SET bridge = ? WHERE channel = ?`, bridge, r.channel); err != nil {
			return err
		}
	}
	return nil
}

// endTurn takes a lane back from its holder and makes it due again, if
// something is left to send, after delay. released counts a turn in which
// nothing was tried.
func (s *Store) endTurn(t *txn, l *laneRow, delay time.Duration, released bool) error {
	if delay > 0 { // without one it is due by due_at alone, which a clock that is set back does not hold up
		l.readyAt = max(l.readyAt, ms(t.now)+ceilMS(delay))
	}
	l.releases++
	if !released {
		l.releases = 0
	}
	var next string
	busy, err := one(background, t, []any{&next}, `SELECT message FROM deliveries WHERE lane = ? AND state = 'queued' ORDER BY message LIMIT 1`, l.id)
	if err != nil {
		return err
	}
	due := int64(0)
	if busy {
		due = max(ms(t.now), l.readyAt)
	}
	l.leaseUntil, l.leaseDelivery = 0, ""
	if err := t.later(`UPDATE lanes SET lease_until = 0, lease_delivery = '', due_at = ?, ready_at = ?, releases = ? WHERE id = ?`,
		due, l.readyAt, l.releases, l.id); err != nil || !busy {
		return err
	}
	return s.channelDue(t, l.channel, due)
}

// expireLeases ends the leases that are over, if there are any.
func (s *Store) expireLeases(ctx context.Context) error {
	var before int64
	for {
		var until int64
		found, err := one(ctx, s.read, []any{&until}, `SELECT lease_until FROM lanes WHERE lease_until > 0 ORDER BY lease_until LIMIT 1`)
		if err != nil || !found || until > ms(s.now()) || until == before {
			return err // until == before: another replica is at it
		}
		before = until
		if err := s.write(ctx, expireBatch, s.expire); err != nil {
			return err
		}
	}
}

// expire ends leases whose holders are silent: what they were sending is
// unknown, the rest is due again.
func (s *Store) expire(t *txn) error {
	lanes, err := all(background, t, scanLane, s.outbox.sql.expiredLeases, ms(t.now), expireBatch)
	if err != nil {
		return err
	}
	for i := range lanes {
		ours, err := t.try(spaceOutbox, lanes[i].channel)
		if err != nil {
			return err
		}
		if !ours {
			continue // somebody works there and ends it, or whoever looks next
		}
		if err := s.expireLane(t, &lanes[i]); err != nil {
			return err
		}
	}
	return nil
}

// reasonSilent is why the outcome of a send is unknown when a lease is over.
const reasonSilent = "the bridge began to send and did not report before its lease was over; the message may have arrived"

func (s *Store) expireLane(t *txn, l *laneRow) error {
	t.afterCommit(s.outbox.metrics.expired.Inc)
	d, _, err := loadDelivery(t, l.leaseDelivery)
	if err != nil {
		return err
	}
	if d == nil { // removed by retention
		return s.endTurn(t, l, 0, false)
	}
	delay := time.Duration(0)
	for i := range d.parts {
		p := &d.parts[i]
		if p.state != partSending {
			continue
		}
		v, err := s.judge(t, d, l, p, wire.PartReport{Outcome: wire.OutcomeUnknown, Reason: reasonSilent})
		if err != nil {
			return err
		}
		d.apply(p, v)
		delay = max(delay, v.LaneDelay)
	}
	d.settle()
	if err := d.save(t); err != nil {
		return err
	}
	if err := s.refreshMessage(t, d, l); err != nil {
		return err
	}
	return s.endTurn(t, l, delay, false)
}

// ceilMS is a duration in milliseconds, rounded up: what waits for it must not
// come a fraction too early and wait again.
func ceilMS(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
