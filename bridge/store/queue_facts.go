package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// queueRow is a queue's counters.
type queueRow struct {
	queue                    string
	depth, online, available int64
	oldest                   sql.NullInt64
	offered                  int64
}

const selectQueues = `SELECT q.queue, q.depth, q.online, q.available,
	(SELECT MIN(e.waiting_since) FROM queue_entries e WHERE e.queue = q.queue AND e.state IN ('waiting', 'offered')) FROM queues q `

func scanQueue(rows *sql.Rows) (q queueRow, err error) {
	return q, rows.Scan(&q.queue, &q.depth, &q.online, &q.available, &q.oldest)
}

// queueFacts are what routing wants to know about queues. A transaction asks once
// for each; what it brings itself is included. Queues that are not in force are
// left out.
func (t *txn) queueFacts(names []string) (map[string]routing.QueueFacts, error) {
	var missing []string
	for _, name := range names {
		if _, ok := t.facts[name]; !ok {
			missing = append(missing, name)
		}
	}
	if t.facts == nil {
		t.facts = map[string]queueRow{}
	}
	for part := range slices.Chunk(missing, maxPadded) {
		list, err := all(t.ctx, t, scanQueue, selectQueues+`WHERE q.queue IN `+in(paddedTo(len(part))), padded(part)...)
		if err != nil {
			return nil, err
		}
		for _, name := range part {
			t.facts[name] = queueRow{queue: name}
		}
		for _, r := range list {
			t.facts[r.queue] = r
		}
	}
	st := t.c.queues.state()
	facts := make(map[string]routing.QueueFacts, len(names))
	for _, name := range names {
		q := st.queues[name]
		if q == nil {
			continue
		}
		r := t.facts[name]
		for _, e := range t.tally {
			if e.queue == name {
				r.depth += e.depth
			}
		}
		facts[name] = r.facts(st, q, t.now)
	}
	return facts, nil
}

func (r queueRow) facts(st *state, q *agentQueue, now time.Time) routing.QueueFacts {
	f := routing.QueueFacts{Online: int(r.online), Available: int(r.available), Depth: int(max(r.depth, 0))}
	if r.oldest.Valid {
		f.OldestWait = document.Duration(st.waited(q, fromMS(r.oldest.Int64), now))
	}
	f.Full = q.Limits.Full(f.Depth)
	return f
}

// Who had something last: a contact, or a conversation.
const (
	lastOfContact      = `SELECT agent, at FROM contact_agents WHERE contact = ?`
	lastOfConversation = `SELECT to_name AS agent, at FROM owner_changes WHERE conversation = ? AND to_kind = 'agent' ORDER BY epoch DESC LIMIT 1`
)

// agentFacts are about the agent who had a contact or a conversation last; zero where
// nobody is known who still is an agent. Available: with units for another
// conversation of the channel.
func (t *txn) agentFacts(last, id, channel string) (f routing.AgentFacts, err error) {
	var at, used, units int64
	var state agentState
	found, err := one(t.ctx, t, []any{&f.ID, &at, &state, &used, &units}, `SELECT c.agent, c.at, p.state, p.load_voice + p.load_chat + p.load_mail, p.units
		FROM (`+last+`) AS c JOIN presence p ON p.agent = c.agent`, id)
	if err != nil || !found {
		return routing.AgentFacts{}, err
	}
	f.At, f.Online = fromMS(at), state == agentOnline
	f.Queues, err = all(t.ctx, t, scanText, `SELECT queue FROM queue_members WHERE agent = ? ORDER BY queue`, f.ID)
	f.Available = f.Online && used+t.c.queues.state().leastCost(f.Queues, channel) <= units
	return f, err
}

// leastCost is what another conversation of a channel takes of an agent, in that of
// their queues in which it takes least.
func (st *state) leastCost(queues []string, channel string) int64 {
	class := st.classOf(channel)
	least := -1
	for _, name := range queues {
		if q := st.queues[name]; q != nil {
			if cost := q.Capacity.Cost(class, 0); least < 0 || cost < least {
				least = cost
			}
		}
	}
	if least < 0 {
		least = routing.DefaultCost(class)
	}
	return int64(least)
}

// Queue is an AgentQueue as REST shows it.
type Queue struct {
	Name string `json:"name"` // "namespace/name"
	// InForce is false for a queue that left the document, or never was in it, and
	// in which something waits all the same.
	InForce bool `json:"inForce"`
	// Open by its schedule: agents are given something.
	Open      bool `json:"open"`
	Depth     int  `json:"depth"`   // conversations that wait
	Offered   int  `json:"offered"` // of them, that are offered to an agent
	Agents    int  `json:"agents"`
	Online    int  `json:"online"`
	Available int  `json:"available"` // online, with units left
	// Full: at its limit.
	Full       bool              `json:"full"`
	OldestWait document.Duration `json:"oldestWait"`
}

// Queues are the queues of a scope, by name.
func (s *Store) Queues(ctx context.Context, scope Scope) ([]Queue, error) {
	st := s.state.Load()
	names := map[string]bool{}
	for name := range st.queues {
		names[name] = true
	}
	waiting, err := all(ctx, s.read, scanText, `SELECT queue FROM queues WHERE depth > 0`)
	if err != nil {
		return nil, err
	}
	for _, name := range waiting {
		names[name] = true
	}
	list := []Queue{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !scope.Allows(namespaceOf(name)) {
			continue
		}
		q, err := s.Queue(ctx, scope, name)
		if errors.Is(err, ErrNotFound) { // it left meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, q)
	}
	return list, nil
}

// Queue returns one queue, by "namespace/name".
func (s *Store) Queue(ctx context.Context, scope Scope, name string) (Queue, error) {
	st := s.state.Load()
	q := st.queues[name]
	out := Queue{Name: name, InForce: q != nil}
	rows, err := all(ctx, s.read, scanQueueView, `SELECT q.queue, q.depth, q.online, q.available,
		(SELECT MIN(e.waiting_since) FROM queue_entries e WHERE e.queue = q.queue AND e.state IN ('waiting', 'offered')),
		(SELECT COUNT(*) FROM offers o WHERE o.queue = q.queue), (SELECT COUNT(*) FROM queue_members m WHERE m.queue = q.queue) FROM queues q WHERE q.queue = ?`, name)
	if err != nil {
		return Queue{}, err
	}
	if !scope.Allows(namespaceOf(name)) || q == nil && (len(rows) == 0 || rows[0].depth == 0) {
		return Queue{}, fmt.Errorf("queue %s: %w", name, ErrNotFound)
	}
	if len(rows) == 1 {
		r := rows[0]
		out.Depth, out.Online, out.Available, out.Offered, out.Agents = int(r.depth), int(r.online), int(r.available), int(r.offered), int(r.agents)
		if r.oldest.Valid {
			out.OldestWait = document.Duration(max(s.now().Sub(fromMS(r.oldest.Int64)), 0))
		}
	}
	if q != nil {
		out.Open, out.Full = st.open(q, s.now()), q.Limits.MaxDepth > 0 && out.Depth >= q.Limits.MaxDepth
	}
	return out, nil
}

// queueView is a queue's counters with what only REST asks for.
type queueView struct {
	queueRow
	agents int64
}

func scanQueueView(rows *sql.Rows) (q queueView, err error) {
	return q, rows.Scan(&q.queue, &q.depth, &q.online, &q.available, &q.oldest, &q.offered, &q.agents)
}
