package store

import (
	"context"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// The breaker of a channel is its row in outbox_channels, looked at and changed
// in the claim, so that all replicas of bridges and stores share it:
//
//	closed     failures = 0     lanes are leased as its rate allows
//	open       failures > 0, now < paused_until     nothing is leased, and of what is
//	                                                leased no part is begun
//	half-open  failures > 0, now ≥ paused_until     one delivery is leased, as a
//	           probe; the next one after probeWait should that one be lost
//
// It opens with a refusal of the channel as a whole (judgeRefused), or when
// several lanes in a row were not answered (strike); for longer each time. It
// closes with the first part that is sent. What the platform asked to be waited
// for is waited for. Refusals that a person must mend also end as soon as the
// platform has accepted the channel's credentials (again): Accepted of a session.

// breakerAfter lanes in a row that met no answer, or a 5xx, open the breaker:
// three are what a gateway's restart costs, and beyond five each further try
// takes another message into the unknown. One contact whose sends always end
// so (strike_lane) does not count again.
const breakerAfter = 5

// unanswered says that the platform did not do its part, whatever became of
// the message. A lease that ended in silence says nothing of the platform.
func unanswered(r wire.PartReport) bool {
	return r.Class == wire.ErrRetryable && (r.Outcome == wire.OutcomeRetry || r.Outcome == wire.OutcomeUnknown)
}

// breaker is a channel's row as strikes see it.
type breaker struct {
	failures, strikes       int
	pausedUntil, strikeLane int64
}

// strike is the breaker after a lane was not answered; draw is for the jitter.
func (b breaker) strike(lane int64, now time.Time, draw float64) breaker {
	switch {
	case b.pausedUntil > ms(now):
		return b // open: it was on its way before, and proves nothing
	case b.failures == 0 && b.strikeLane == lane:
		return b
	}
	b.strikes, b.strikeLane = b.strikes+1, lane
	if b.failures > 0 || b.strikes >= breakerAfter { // the probe failed, or it is enough
		b.failures++
		b.pausedUntil = ms(now) + ceilMS(backoff(b.failures, pauseCap, draw))
	}
	return b
}

// strike counts a lane that was not answered against the channel.
func (c *channelRow) strike(lane int64, now time.Time, draw float64) {
	next := c.breaker.strike(lane, now, draw)
	if next == c.breaker {
		return
	}
	opened := next.failures != c.failures
	c.breaker, c.dirty = next, true
	if !opened {
		return
	}
	c.refused, c.readyAt = string(wire.ErrRetryable), next.pausedUntil
	if c.dueAt != 0 {
		c.dueAt = next.pausedUntil
	}
}

// resume ends a channel's trouble: the platform took something from it again.
// What was on its way when the trouble began proves nothing, and what the
// platform asked to be waited for is waited for. It says whether somebody should
// look.
func (c *channelRow) resume(now int64) bool {
	if c.failures == 0 && c.strikes == 0 || c.pausedUntil > now {
		return false
	}
	if c.failures > 0 {
		c.readyAt, c.dueAt = now, min(c.dueAt, now)
	}
	c.breaker, c.refused, c.dirty = breaker{}, "", true
	return true
}

// pause keeps the whole channel waiting. Several lanes that meet the same
// refusal at the same time count as one failure.
func (c *channelRow) pause(v verdict, class wire.ErrorClass, now int64) {
	if v.ChannelFailed {
		c.refused = string(class)
		if c.pausedUntil <= now {
			c.failures++
		}
	}
	c.pausedUntil = max(c.pausedUntil, now+ceilMS(v.ChannelDelay))
	c.readyAt, c.dirty = c.pausedUntil, true
	if c.dueAt != 0 {
		c.dueAt = c.pausedUntil
	}
}

// mendable are the classes of refusals that end when somebody changes the
// channel, which the bridge that holds it finds out first.
var mendable = []wire.ErrorClass{wire.ErrAuthInvalid, wire.ErrMisconfigured}

// refusedChannels are the channels of a session whose breaker is not closed
// because of something that a person must mend.
func (s *Store) refusedChannels(ctx context.Context, bridge, instance string) ([]string, error) {
	return all(ctx, s.read, scanText, `SELECT o.channel FROM outbox_channels o JOIN assignments a ON a.channel = o.channel
		WHERE o.refused <> '' AND o.refused IN (?, ?) AND a.session = ? ORDER BY o.channel`,
		string(mendable[0]), string(mendable[1]), session{bridge: bridge, instance: instance}.key())
}

// acceptChannels closes the breakers of channels whose credentials the platform
// has accepted. At rest, and for channels that are not the caller's, it writes
// nothing.
func (s *Store) acceptChannels(ctx context.Context, bridge string, names []string) error {
	st := s.state.Load()
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, err := st.channelOf(bridge, name)
		return err != nil
	})
	if len(names) == 0 {
		return nil
	}
	refused, err := all(ctx, s.read, scanText, `SELECT channel FROM outbox_channels WHERE refused <> '' AND channel IN `+in(len(names)), anys(names)...)
	if err != nil || len(refused) == 0 {
		return err
	}
	needs := newLocks()
	for _, name := range refused {
		needs.outbox(name)
	}
	return s.writeLocked(ctx, len(refused), needs, func(t *txn) error {
		for _, name := range refused {
			if err := closeBreaker(t, name, bridge); err != nil {
				return err
			}
		}
		return nil
	})
}

// closeBreaker lets a channel's lanes go on at once.
func closeBreaker(t *txn, channel, bridge string) error {
	now := ms(t.now)
	n, err := t.exec(`UPDATE outbox_channels SET failures = 0, refused = '', strikes = 0, strike_lane = 0, paused_until = 0, ready_at = ?,
		due_at = CASE WHEN due_at > ? THEN ? ELSE due_at END WHERE channel = ? AND refused IN (?, ?)`, now, now, now, channel, string(mendable[0]), string(mendable[1]))
	if err == nil && n > 0 {
		t.ring(bridge)
	}
	return err
}
