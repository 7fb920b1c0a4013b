package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

const (
	// HeartbeatEvery is how often a desk says that its agent is there.
	HeartbeatEvery = 30 * time.Second

	// silentAfter is after what time an agent of whom nothing is heard counts as
	// offline: two heartbeats may get lost on the way (a tunnel, a reload).
	silentAfter = 3 * HeartbeatEvery
)

// Heartbeat says that an agent is there. With a state, the agent says so: "online"
// to be given something, "away" to keep what they have, "offline" to go. Without
// one nothing has changed: who was silent for 90 s, and counts as offline, is what
// they were before; who is away as they missed offers stays away.
func (s *Store) Heartbeat(ctx context.Context, scope Scope, id, state string) (Agent, error) {
	told := agentState(state)
	if !slices.Contains([]agentState{"", agentOnline, agentAway, agentOffline}, told) {
		return Agent{}, &FieldError{Field: "state", Message: fmt.Sprintf("%q is none of online, away, offline", state)}
	}
	if _, err := s.Agent(ctx, scope, id); err != nil {
		return Agent{}, err
	}
	if err := s.write(ctx, 1, func(t *txn) error {
		t.note(tallyEntry{agent: id, seen: true, presence: told})
		if told != agentOffline {
			return nil
		}
		s.queues.sweepAfter(t)
		return s.withdrawOffers(t, id)
	}); err != nil {
		return Agent{}, err
	}
	return s.Agent(ctx, scope, id)
}

// missAgents makes agents offline of whom nothing was heard.
func (s *Store) missAgents(ctx context.Context) error {
	for {
		before := ms(s.now().Add(-silentAfter))
		silent, err := all(ctx, s.read, scanText, `SELECT agent FROM presence WHERE state <> 'offline' AND seen_at < ? ORDER BY seen_at LIMIT ?`, before, dueBatch)
		if err != nil || len(silent) == 0 {
			return err
		}
		if err := s.write(ctx, len(silent), func(t *txn) error {
			for _, agent := range silent {
				t.note(tallyEntry{agent: agent, silent: before})
				if err := s.withdrawOffers(t, agent); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
}

// sweepOffline looks at what agents have who are offline.
func (s *Store) sweepOffline(ctx context.Context) error {
	for {
		due, err := all(ctx, s.read, scanText, `SELECT agent FROM presence WHERE due_at > 0 AND due_at <= ? AND state = 'offline' ORDER BY due_at LIMIT ?`, ms(s.now()), dueBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		for _, agent := range due {
			if err := s.writeLocked(ctx, 1, newLocks(), func(t *txn) error { return s.takeBack(t, agent) }); err != nil {
				return err
			}
		}
	}
}

// takeBack returns to their queues, or to whom their policies say, what an agent has
// who has been offline for longer than the queue's rule allows.
func (s *Store) takeBack(t *txn, agent string) error {
	var state agentState
	var since int64
	found, err := one(t.ctx, t, []any{&state, &since}, `SELECT state, changed_at FROM presence WHERE agent = ?`, agent)
	if err != nil || !found || state != agentOffline {
		return err
	}
	ids, err := all(t.ctx, t, scanText, `SELECT conversation FROM queue_entries WHERE agent = ? AND state = 'assigned' ORDER BY waiting_since`, agent)
	if err != nil {
		return err
	}
	convs, err := s.lockRows(t, ids)
	if err != nil {
		return err
	}
	next := int64(noDue)
	later := func(at int64) {
		if next == noDue || at < next {
			next = at
		}
	}
	for _, id := range ids {
		v := convs[id]
		if v == nil { // another transaction has it
			later(ms(t.now.Add(sweepQueues)))
			continue
		}
		again, err := s.takeBackOne(t, v, agent, fromMS(since))
		if err != nil {
			return err
		}
		if again > 0 {
			later(again)
		}
	}
	t.note(tallyEntry{agent: agent, due: next})
	return nil
}

// noDue says that an agent who is offline need not be looked at again.
const noDue = -1

// takeBackOne returns a conversation to its queue, or to whom its policies say, if
// it is time; again is when it may be (0: not by time). Where no queue that is in
// force says when, who has not answered loses it after unknownGrace. Who has answered loses it when the
// contact writes again: it is looked for every unknownGrace, so that messages do not
// wait for what agents carry.
func (s *Store) takeBackOne(t *txn, v *convRow, agent string, since time.Time) (again int64, err error) {
	e, err := t.entry(v.id)
	if err != nil || e == nil || e.state != entryAssigned || e.agent != agent {
		return 0, err
	}
	st := s.state.Load()
	rule := routing.OnOffline{Grace: document.Duration(unknownGrace)}
	if q := st.queues[e.queue]; q != nil {
		rule = q.OnOffline
	} else if !st.enforces(v.channel) { // nobody knows of anybody else
		return shelved, nil
	} else if given := fromMS(e.assignedAt); e.queue == "" && given.After(since) { // by hand, to who was offline
		since = given
	}
	gone, grace := t.now.Sub(since), time.Duration(rule.Grace)
	if rule.Action == routing.OfflineKeep {
		return 0, nil
	}
	if gone < grace {
		return ms(t.now) + ceilMS(grace-gone), nil
	}
	answered, err := t.answered(v.id, e.assignedAt)
	if err != nil {
		return 0, err
	}
	if !rule.Requeue(answered, gone) { // unless the contact writes again
		return ms(t.now) + ceilMS(unknownGrace), nil
	}
	return 0, t.giveBack(v, ownerCause{why: CauseOffline})
}
