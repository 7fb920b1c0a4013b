package store

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Queues. A conversation that a queue has waits in queue_entries until an agent
// has it:
//
//	enqueue ──► waiting ──drain──► offered ──accept──► assigned ──resolve──► (gone)
//	               ▲  ▲               │                   │
//	               │  └─ decline, ────┘                   │
//	               │     expire                           │
//	               └──────── agent offline, :release ─────┘  as old as it is
//
// What is snoozed is set aside, and waits again once it is awake (awake).
//
// What can give somebody something stirs the queues that it is about: a
// conversation comes, an agent has room, comes or is another one now, an offer
// is over, a document is loaded. After the commit the stirred queues are drained,
// oldest first, in transactions of their own (drain), by the replica in which it
// happened. What a replica that dies leaves behind, another one finds: all look
// at all queues every pollQueues.
//
// What happens by time (offers that are over, agents who fall silent, steps that
// took too long, conversations that fall idle) is swept by whichever replica
// comes first; rows that another one has are passed over.

const (
	// sweepQueues is how often what happens by time is looked for: agents and
	// contacts do not notice a second.
	sweepQueues = time.Second

	// pollQueues is how often all queues are looked at without a reason: what is
	// lost with a replica waits so long.
	pollQueues = 5 * time.Second

	// dueBatch bounds what one transaction sweeps: at some 100 µs each, the writer
	// is kept for 10 ms.
	dueBatch = 100
)

// queues is what the queues keep in memory; nothing of it is needed after a
// restart.
type queues struct {
	s       *Store
	metrics *queueMetrics
	kick    chan struct{} // of 1

	mu      sync.Mutex
	stirred map[string]bool
	sweep   bool
}

// openQueues hangs the queues into the store.
func (s *Store) openQueues() {
	s.queues = &queues{s: s, kick: make(chan struct{}, 1), stirred: map[string]bool{}}
	s.queues.metrics = newQueueMetrics(s.opts.Metrics, s)
	s.commit.queues = s.queues
	s.loops = append(s.loops, s.runQueues)
}

// state is the document in force.
func (q *queues) state() *state { return q.s.state.Load() }

// stir notes that there may be somebody for what waits in a queue.
func (q *queues) stir(queue string) {
	q.mu.Lock()
	q.stirred[queue] = true
	q.mu.Unlock()
	q.wake()
}

func (q *queues) wake() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// sweepAfter lets what is due be looked at right after the commit.
func (q *queues) sweepAfter(t *txn) {
	t.afterCommit(func() {
		q.mu.Lock()
		q.sweep = true
		q.mu.Unlock()
		q.wake()
	})
}

// take is what was noted until now.
func (q *queues) take() (stirred map[string]bool, sweep bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	stirred, sweep = q.stirred, q.sweep
	q.stirred, q.sweep = map[string]bool{}, false
	return stirred, sweep
}

// runQueues keeps queues going until ctx is done.
func (s *Store) runQueues(ctx context.Context) {
	tick := time.NewTicker(sweepQueues)
	defer tick.Stop()
	var polled time.Time
	for {
		ticked := false
		select {
		case <-ctx.Done():
			return
		case <-s.queues.kick:
		case <-tick.C:
			ticked = true
		}
		stirred, sweep := s.queues.take()
		polls, st := time.Since(polled) > pollQueues, s.state.Load()
		if sweep || ticked && (polls || len(st.queues) > 0) {
			if err := s.sweepQueues(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("what is due in queues could not be looked at; tried again", "err", err, "after", sweepQueues)
			}
		}
		if polls {
			polled = time.Now()
			for name := range st.queues {
				stirred[name] = true
			}
		}
		if err := s.drainQueues(ctx, stirred); err != nil && ctx.Err() == nil {
			s.log.Warn("queues could not be drained; tried again", "err", err, "after", sweepQueues)
			pause(ctx, time.Duration(rand.Int64N(int64(drainAgain))), nil) //nolint:gosec // so that replicas do not meet again
			for name := range stirred {
				s.queues.stir(name)
			}
		}
	}
}

// sweepQueues does what is due by now.
func (s *Store) sweepQueues(ctx context.Context) error {
	for _, sweep := range []func(context.Context) error{s.expireOffers, s.missAgents, s.sweepOffline, s.sweepEntries} {
		if err := sweep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lockRows locks those of some conversations that nobody else has at the moment,
// and reads them. What another transaction has is passed over: waiting for it
// while others are held could be waiting in a ring.
func (s *Store) lockRows(t *txn, ids []string) (map[string]*convRow, error) {
	rows := map[string]*convRow{}
	for part := range slices.Chunk(ids, maxPadded) {
		free := part
		if skip := s.db.skipLocked(); skip != "" {
			var err error
			if free, err = all(t.ctx, t, scanText, `SELECT id FROM conversations WHERE id IN `+in(paddedTo(len(part)))+skip, padded(part)...); err != nil {
				return nil, err
			}
			if len(free) == 0 {
				continue
			}
		}
		list, err := all(t.ctx, t, scanConversation, selectConversations+`WHERE v.id IN `+in(paddedTo(len(free))), padded(free)...)
		if err != nil {
			return nil, err
		}
		for i := range list {
			rows[list[i].id] = &list[i]
		}
	}
	return rows, nil
}

// answered says whether a person has written to the contact since a time, and the
// contact not again since then.
func (t *txn) answered(conversation string, since int64) (bool, error) {
	var direction string
	found, err := one(t.ctx, t, []any{&direction}, `SELECT direction FROM messages WHERE conversation = ? AND (direction = 'inbound' OR author_kind = ?) AND timestamp >= ?
		ORDER BY timestamp DESC, id DESC LIMIT 1`, conversation, string(message.AuthorAgent), since)
	return found && direction == string(message.Outbound), err
}
