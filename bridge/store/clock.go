package store

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// Clocks are set: by NTP after a start, by a person, by a fail-over to another
// server. What a wrong clock wrote must hold nothing up once it is right, and
// what cannot be taken back must not follow a clock that leaps.
//
//	the clock went back     waits that were reckoned by the time before are
//	                        reckoned anew (endWaits): messages go on at once
//	the clock leapt ahead   nothing is removed by age before it has stood there
//	                        for believeAfter (steadyClock); a retry is as old as
//	                        what it was told to wait for (delivery.begin)
//
// Each replica looks at what it wrote by itself, and now and then at what the
// others wrote by (noticeClock): the one whose clock was ahead may be gone.
//
// A leap ahead also ends leases and sessions that were not over. That is what
// they are made for: what was being sent is unknown until its late report says
// what became of it, and tokens fence who lost a channel.

const (
	// clockTolerance is the step that is taken as it is. NTP slews what is less
	// than a second; a wait that is longer by this much is not noticed.
	clockTolerance = 5 * time.Second

	// believeAfter is how long a clock must have stood ahead of where it should be
	// before something is removed by it. NTP sets a clock within minutes of a
	// start; retention is reckoned in days.
	believeAfter = time.Hour

	// leapTolerance is by how much the clock may be ahead of where it should be
	// without that: retention is exact to the minute, see sweepEvery.
	leapTolerance = time.Minute
)

// steadyClock is the time that removals go by. It runs with the time that
// passes (a monotonic clock), and follows the clock where that goes back or
// drifts; where it leaps ahead, after believeAfter. A process begins with the
// time of the latest id in the database, which is all it knows of the time
// before: ids that were drawn while the clock was ahead deceive it.
type steadyClock struct {
	mu       sync.Mutex
	known    bool
	base     time.Time // what the clock showed, or should have, when nothing had passed
	ahead    time.Time // the base that is not believed yet
	aheadFor time.Duration
	doubts   bool
}

// begin starts it at the time of an id ("" for none, which has nothing to lose).
func (c *steadyClock) begin(greatest string, now time.Time, passed time.Duration) {
	id, err := ulid.ParseStrict(greatest)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last := ulid.Time(id.Time())
	if last.After(now) {
		last = now
	}
	c.known, c.base = true, last.Add(-passed)
}

// at is the time to go by when the clock shows now and so much time has passed
// since the process began.
func (c *steadyClock) at(now time.Time, passed time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	base := now.Add(-passed)
	switch {
	case !c.known || base.Sub(c.base) <= leapTolerance:
		c.known, c.base, c.doubts = true, base, false
	case !c.doubts || base.Sub(c.ahead).Abs() > leapTolerance:
		c.ahead, c.aheadFor, c.doubts = base, passed, true
	case passed-c.aheadFor >= believeAfter:
		c.base, c.doubts = base, false
	}
	return c.base.Add(passed)
}

// removalTime is the time by which is decided what is old enough to be removed.
func (s *Store) removalTime() time.Time {
	return s.steady.at(s.now(), s.passed()).UTC().Truncate(time.Millisecond)
}

// clockWentBack says by how much the clock is behind the latest time that this
// process wrote by, or found in the database when it began; 0: it is not.
func (s *Store) clockWentBack() (latest int64, by time.Duration) {
	latest = s.commit.latest.Load()
	if by = fromMS(latest).Sub(s.now()); by <= clockTolerance {
		return latest, 0
	}
	return latest, by
}

// noticed is what the database says about its clock, and by which time was
// written last.
type noticed struct{ clock, lease, cursor, event int64 }

// noticeClock learns of the database's clock, and of times that other replicas
// wrote by while it was ahead, also where this one writes nothing. An event has
// the time of its transaction; a lease ends holdMax after it at most.
func (s *Store) noticeClock(ctx context.Context) error {
	if !s.db.shared {
		return nil
	}
	var n noticed
	if _, err := one(ctx, s.read, []any{&n.clock, &n.lease, &n.cursor, &n.event}, `SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint,
		COALESCE((SELECT MAX(lease_until) FROM lanes WHERE lease_until > 0), 0), COALESCE(e.cursor, 0), COALESCE(e.time, 0)
		FROM event_head LEFT JOIN events e ON e.cursor = (SELECT MAX(cursor) FROM events)`); err != nil {
		return err
	}
	s.db.postgres.observe(time.UnixMicro(n.clock))
	s.commit.wrote(n.lease - holdMax.Milliseconds())
	if n.cursor > s.lastEvent { // what was written before was looked at before
		s.lastEvent = n.cursor
		s.commit.wrote(n.event)
	}
	return nil
}

// followClock looks whether the clock went back, and ends the waits that were
// reckoned by the time before. At rest it costs nothing.
func (s *Store) followClock(ctx context.Context) error {
	latest, by := s.clockWentBack()
	if by == 0 || !s.following.TryLock() { // whoever has it wakes us
		return nil
	}
	defer s.following.Unlock()
	s.log.WarnContext(ctx, "the clock went back; what waits for a time is reckoned anew", "by", by)
	if err := s.writeLocked(ctx, 1, everythingLocked(), s.endWaits); err != nil {
		return err
	}
	// Unless the clock has gone ahead again meanwhile.
	s.commit.latest.CompareAndSwap(latest, ms(s.now()))
	return nil
}

// endWaits brings every time that something waits for back to where it can be
// by the clock that is right. A time does not say why it was set, so that waits
// of up to retryCap stay, and longer ones end: where a platform had asked for one
// (Retry-After), one delivery asks it again. A lease is over after leaseFor,
// which holders begin anew by their reports.
func (s *Store) endWaits(t *txn) error {
	now := ms(t.now)
	retry := now + ceilMS(retryCap)
	for _, u := range []struct {
		query string
		args  []any
	}{
		{`UPDATE lanes SET lease_until = ? WHERE lease_until > ?`, []any{now + ceilMS(leaseFor), now + ceilMS(holdMax)}},
		{`UPDATE lanes SET ready_at = ? WHERE ready_at > ?`, []any{now, retry}},
		{`UPDATE lanes SET due_at = CASE WHEN ready_at > ? THEN ready_at ELSE ? END WHERE due_at > ?`, []any{now, now, now}},
		{`UPDATE outbox_channels SET paused_until = ? WHERE paused_until > ?`, []any{now, retry}},
		{`UPDATE outbox_channels SET ready_at = ? WHERE ready_at > ?`, []any{now, retry}},
		{`UPDATE deliveries SET first_attempt_at = ? WHERE state = 'queued' AND first_attempt_at > ?`, []any{now, now}},
		{`UPDATE sessions SET expires_at = ? WHERE expires_at > ?`, []any{ms(t.now.Add(sessionTTL)), ms(t.now.Add(sessionTTL))}},
		{`UPDATE media SET next_at = ? WHERE state = 'pending' AND (next_at > ? AND attempts = 0 OR next_at > ?)`, []any{now, now, now + ceilMS(maxMediaBackoff)}},
	} {
		if _, err := t.exec(u.query, u.args...); err != nil {
			return err
		}
	}
	t.wake(topicMedia)
	if err := endRoutingWaits(t); err != nil {
		return err
	}
	if err := endSurveyWaits(t); err != nil {
		return err
	}
	if err := endQueueWaits(t); err != nil {
		return err
	}
	return s.endChannelWaits(t)
}

// endChannelWaits makes the channels due when the first of their lanes is.
func (s *Store) endChannelWaits(t *txn) error {
	now := ms(t.now)
	type row struct {
		channel, bridge string
		readyAt, lane   int64
	}
	rows, err := all(background, t, func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.channel, &x.bridge, &x.readyAt, &x.lane) },
		`SELECT o.channel, o.bridge, o.ready_at, COALESCE((SELECT MIN(l.due_at) FROM lanes l WHERE l.channel = o.channel AND l.due_at > 0), 0)
		FROM outbox_channels o WHERE o.due_at > ?`, now)
	if err != nil {
		return err
	}
	for _, r := range rows {
		due := r.lane
		if due > 0 {
			due = max(due, r.readyAt, now)
		}
		if err := t.later(`UPDATE outbox_channels SET due_at = ? WHERE channel = ?`, due, r.channel); err != nil {
			return err
		}
		if r.bridge != "" {
			t.ring(r.bridge)
		}
	}
	return nil
}
