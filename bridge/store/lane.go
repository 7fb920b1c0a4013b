package store

import (
	"context"
	"database/sql"
	"slices"
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
func (b *ledger) joinQueue(l *laneRow) error {
	if l.dueAt != 0 || l.leaseUntil != 0 || slices.Contains(b.ended, l) {
		return nil
	}
	return b.requeue(l, true)
}

// requeue makes a lane that is not leased due when it is ready, or puts it to
// rest when nothing is left.
func (b *ledger) requeue(l *laneRow, busy bool) error {
	l.dueAt, l.dirty = 0, true
	if !busy {
		return nil
	}
	l.dueAt = max(ms(b.t.now), l.readyAt)
	return b.channelDue(l.channel, l.dueAt)
}

// channelDue makes a channel due no later than one of its lanes, and wakes a
// bridge for it. A channel's first lane brings its row.
func (b *ledger) channelDue(channel string, due int64) error {
	c, err := b.channel(channel)
	if err != nil {
		return err
	}
	bridge := sendingBridge(b.s.state.Load(), channel)
	if !c.kept {
		c.bridge = bridge
	}
	if c.becomeDue(due) && bridge != "" {
		b.t.ring(bridge)
	}
	return nil
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

// endTurn takes a lane back from its holder. When the ledger is saved it becomes
// due again, if something is left to send, after delay. released counts a turn
// in which nothing was tried.
func (b *ledger) endTurn(l *laneRow, delay time.Duration, released bool) {
	if delay > 0 { // without one it is due by due_at alone, which a clock that is set back does not hold up
		l.readyAt = max(l.readyAt, ms(b.t.now)+ceilMS(delay))
	}
	l.releases++
	if !released {
		l.releases = 0
	}
	l.leaseUntil, l.leaseDelivery, l.dirty = 0, "", true
	if !slices.Contains(b.ended, l) {
		b.ended = append(b.ended, l)
	}
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
	return s.expireLanes(t, lanes)
}

func (s *Store) expireLanes(t *txn, lanes []laneRow) error {
	b := s.newLedger(t)
	var ours []*laneRow
	for i := range lanes {
		l := &lanes[i]
		held, err := t.try(spaceOutbox, l.channel)
		if err != nil {
			return err
		}
		if held { // else somebody works there and ends it, or whoever looks next
			ours = append(ours, b.lane(l))
		}
	}
	if len(ours) == 0 {
		return nil
	}
	if err := b.expire(ours); err != nil {
		return err
	}
	return b.save()
}

// reasonSilent is why the outcome of a send is unknown when a lease is over.
const reasonSilent = "the bridge began to send and did not report before its lease was over; the message may have arrived"

// expire ends the leases of lanes.
func (b *ledger) expire(lanes []*laneRow) error {
	var messages, channels []string
	for _, l := range lanes {
		if b.deliveries[l.leaseDelivery] == nil {
			messages = append(messages, l.leaseDelivery)
		}
		if b.channels[l.channel] == nil {
			channels = append(channels, l.channel)
		}
	}
	if err := b.load(messages, channels); err != nil {
		return err
	}
	for _, l := range lanes {
		if err := b.expireLane(l); err != nil {
			return err
		}
	}
	return nil
}

func (b *ledger) expireLane(l *laneRow) error {
	b.t.afterCommit(b.s.outbox.metrics.expired.Inc)
	d := b.deliveries[l.leaseDelivery]
	if d == nil { // removed by retention
		b.endTurn(l, 0, false)
		return nil
	}
	if d.firstAttempt > 0 { // what passed since then was no attempt of it
		d.firstAttempt, d.dirty = min(d.firstAttempt+ms(b.t.now)-l.leaseUntil, ms(b.t.now)), true
	}
	delay := time.Duration(0)
	for i := range d.parts {
		p := &d.parts[i]
		if p.state != partSending {
			continue
		}
		v, err := b.judge(d, p, wire.PartReport{Outcome: wire.OutcomeUnknown, Reason: reasonSilent})
		if err != nil {
			return err
		}
		d.apply(p, v)
		delay = max(delay, v.LaneDelay)
	}
	d.settle()
	b.endTurn(l, delay, false)
	return nil
}

// ceilMS is a duration in milliseconds, rounded up: what waits for it must not
// come a fraction too early and wait again.
func ceilMS(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// begin notes when an attempt began, and how late: how long its lane had been
// due. A delivery is as old as what its attempts took and what it was told to
// wait for between them. What it waited for beyond that is not counted: the
// clock may have leapt, or nobody was there to send it.
func (d *delivery) begin(now, late int64) {
	if d.firstAttempt == 0 {
		d.firstAttempt = now
	}
	if late > leapTolerance.Milliseconds() {
		d.firstAttempt = min(d.firstAttempt+late, now)
	}
	d.dirty = true
}
