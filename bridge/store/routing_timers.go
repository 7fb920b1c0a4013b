package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// The end of a step is an instant in its conversation's row, worked out once when
// the step was entered (business time, too). A replica claims what is due by
// putting the instant off for a moment, passing over what another one has claimed;
// should it die, the step ends a moment later. The epoch fences: who has got the
// conversation since has ended the step already.

const (
	// stepsAtOnce is how many steps one replica ends at a time.
	stepsAtOnce = 64
	// stepClaim is how long a claim lasts: a transaction waits for the database for
	// some seconds at most.
	stepClaim = 30 * time.Second
	// stepsRecheck bounds the wait for the next one, so that a clock that was set is
	// noticed. A look is one step in an index.
	stepsRecheck = time.Minute
)

// runTimers ends steps when their time is over.
func (r *dispatcher) runTimers(ctx context.Context) {
	for ctx.Err() == nil {
		changed := r.s.signals.next(topicSteps)
		wait, err := r.endSteps(ctx)
		if err != nil && ctx.Err() == nil {
			r.s.log.Warn("steps whose time is over could not be ended; it is tried again", "err", err)
			wait = time.Second
		}
		pause(ctx, wait, changed)
	}
}

// endSteps ends the steps that are due, and says how long no other will be.
func (r *dispatcher) endSteps(ctx context.Context) (wait time.Duration, err error) {
	left, err := r.reckonSteps(ctx)
	if err != nil {
		return 0, err
	}
	unrouted, err := r.routeUnrouted(ctx)
	if err != nil && ctx.Err() == nil { // steps end all the same
		r.s.log.Warn("conversations that came while their channel had no policy in force could not be routed; it is tried again", "err", err)
	}
	if left || unrouted {
		defer func() { wait = min(wait, time.Second) }()
	}
	for {
		var due sql.NullInt64
		if _, err := one(ctx, r.s.read, []any{&due}, `SELECT MIN(due_at) FROM routings WHERE due_at > 0`); err != nil {
			return 0, err
		}
		if !due.Valid {
			return stepsRecheck, nil
		}
		if wait := fromMS(due.Int64).Sub(r.s.now()); wait > 0 {
			return min(wait, stepsRecheck), nil
		}
		claimed, err := r.claimSteps(ctx)
		if err != nil {
			return 0, err
		}
		if len(claimed) == 0 {
			return time.Second, nil // another replica is at it
		}
		errs := make([]error, len(claimed))
		var wg sync.WaitGroup
		for i, c := range claimed { // side by side, so that they share transactions
			wg.Go(func() { errs[i] = r.endStep(ctx, c) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return 0, err
		}
	}
}

// claimedStep is a step whose time is over; until is its claim.
type claimedStep struct {
	conversation string
	until        int64
}

func (r *dispatcher) claimSteps(ctx context.Context) (claimed []claimedStep, err error) {
	err = r.s.write(ctx, stepsAtOnce, func(t *txn) (err error) {
		claimed, err = all(t.ctx, t, func(rows *sql.Rows) (c claimedStep, err error) { return c, rows.Scan(&c.conversation, &c.until) },
			`UPDATE routings SET due_at = ? WHERE conversation IN (SELECT conversation FROM routings WHERE due_at > 0 AND due_at <= ? ORDER BY due_at LIMIT ?`+t.c.db.skipLocked()+`)
			RETURNING conversation, due_at`, ms(t.now.Add(stepClaim)), ms(t.now), stepsAtOnce)
		return err
	})
	return claimed, err
}

// endStep ends a step that is still in force: the policies say what comes next.
func (r *dispatcher) endStep(ctx context.Context, c claimedStep) error {
	known, err := r.s.conversation(ctx, r.s.read, Scope{All: true}, c.conversation)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.s.writeLocked(ctx, 1, newLocks().party(known.channel, known.address), func(t *txn) error {
		v, err := r.s.lockConversation(t, Scope{All: true}, c.conversation)
		if err != nil {
			return err
		}
		row, err := readRouting(t.ctx, t, c.conversation)
		if err != nil || row.dueAt != c.until {
			return err // it is in another step by now
		}
		asleep := v.state == ConversationSnoozed && v.owner.Kind == OwnerQueue // its step begins anew when it is awake
		over := row.epoch != v.epoch || v.state == ConversationSolved || asleep
		if !over && !r.s.state.Load().enforces(v.channel) {
			return row.shelve(t, v.epoch)
		}
		row.dueAt = 0
		if err := t.later(`UPDATE routings SET due_at = 0 WHERE conversation = ?`, c.conversation); err != nil || over {
			return err
		}
		return r.route(t, &v, &occasion{event: routing.EventStepExpired, row: row})
	})
}

// endRoutingWaits reckons anew what was reckoned by a clock that was ahead: a step
// that was entered later than now ends as long after now as it was to last, and
// what is longer than any claim or backoff ends now.
func endRoutingWaits(t *txn) error {
	now := ms(t.now)
	for _, u := range []struct {
		query string
		args  []any
	}{
		{`UPDATE routings SET due_at = due_at - (entered_at - ?), entered_at = ? WHERE due_at > 0 AND entered_at > ?`, []any{now, now, now}},
		{`UPDATE errands SET due_at = ?, created_at = ? WHERE created_at > ?`, []any{now, now, now}},
		{`UPDATE errands SET due_at = ? WHERE due_at > ?`, []any{now, now + ceilMS(webhookTimeoutMax+consultGrace)}},
		{`UPDATE backend_breakers SET open_until = ? WHERE open_until > ?`, []any{now, now + ceilMS(breakerMost)}},
	} {
		if _, err := t.exec(u.query, u.args...); err != nil {
			return err
		}
	}
	t.wake(topicErrands)
	t.wake(topicSteps)
	return nil
}
