package store

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// agentQueue is an AgentQueue of the document in force.
type agentQueue struct {
	routing.QueueSpec
	hash string // of the entry
}

// agentQueue loads an AgentQueue entry, or keeps its last good version.
func (l *loader) agentQueue(e document.Entry) (running string, err error) {
	spec, err := decodeSpec[routing.QueueSpec](e.Spec)
	if err == nil {
		err = checkQueue(e.Name, spec)
	}
	if err != nil {
		if old := l.old.queues[e.Name]; old != nil {
			l.next.queues[e.Name], running = old, old.hash
			l.next.idling = l.next.idling || old.Capacity.IdleAfter > 0
		}
		return running, err
	}
	l.next.queues[e.Name] = &agentQueue{spec, e.Hash}
	l.next.idling = l.next.idling || spec.Capacity.IdleAfter > 0
	return "", nil
}

func checkQueue(name string, spec routing.QueueSpec) error {
	if spec.Name != name {
		return &FieldError{Field: "name", Message: fmt.Sprintf("is %q in the entry of %s", spec.Name, name)}
	}
	refs := routing.Refs{Schedules: map[string]*schedule.Schedule{spec.Schedule: nil}} // a missing one is no reason to refuse the queue
	for _, f := range routing.CheckQueue(spec, refs) {
		if f.Effect == routing.EffectRejected {
			return &FieldError{Field: f.Field, Message: f.Message}
		}
	}
	return nil
}

// queueRef is what policies know of a queue; false when it is not in force.
func (st *state) queueRef(name string) (routing.QueueRef, bool) {
	q := st.queues[name]
	if q == nil {
		return routing.QueueRef{}, false
	}
	return routing.QueueRef{Schedule: q.Schedule}, true
}

// hours of a queue; nil where it is always open, also where its schedule is not
// in force.
func (st *state) hours(q *agentQueue) *schedule.Schedule {
	if q.Schedule == "" {
		return nil
	}
	return st.routes.schedules[q.Schedule].content
}

// open says whether a queue's agents are given anything now.
func (st *state) open(q *agentQueue, now time.Time) bool {
	hours := st.hours(q)
	return hours == nil || hours.Open(now)
}

// waited is how long something has waited on a queue's clock.
func (st *state) waited(q *agentQueue, since, now time.Time) time.Duration {
	if now.Before(since) {
		return 0
	}
	if hours := st.hours(q); hours != nil {
		return hours.BusinessBetween(since, now)
	}
	return now.Sub(since)
}

// overdueAt is when something that came at a time has waited too long; 0: never.
// Business time that never comes again runs on the wall, as that of steps does.
func (st *state) overdueAt(q *agentQueue, entered int64) int64 {
	if q.Limits.MaxWait <= 0 || q.Limits.OnFull == routing.OnFullHold {
		return 0
	}
	if hours := st.hours(q); hours != nil {
		if at, ok := hours.AddBusiness(fromMS(entered), time.Duration(q.Limits.MaxWait)); ok {
			return ms(at)
		}
	}
	return entered + ceilMS(time.Duration(q.Limits.MaxWait))
}

// classOf is how much of a person a channel's conversations take.
func (st *state) classOf(channel string) routing.ChannelClass {
	if ch := st.channels[channel]; ch != nil && ch.Platform == "email" {
		return routing.ClassMail
	}
	return routing.ClassChat
}

// syncQueues brings the queues' rows in line with a document: their members, and
// what waits in queues that are other ones now, or none. It compares with the
// database, and with what this replica had in force before (moves).
func (s *Store) syncQueues(t *txn, st *state) error {
	type row struct {
		queue, hash string
		depth       int64
	}
	rows, err := all(t.ctx, t, func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.queue, &x.hash, &x.depth) }, `SELECT queue, hash, depth FROM queues`)
	if err != nil {
		return err
	}
	moved, done := s.moves.ofQueues()
	known := map[string]bool{}
	for _, r := range rows {
		known[r.queue] = true
		moved[r.queue] = max(moved[r.queue], queueMoved(r.hash, st.queuePrint(r.queue)))
		if moved[r.queue] == queueSame && st.queues[r.queue] == nil && r.depth > 0 { // it left before, and this document may know where to go on to
			if err := t.lookAgain(r.queue); err != nil {
				return err
			}
		}
	}
	for name := range st.queues {
		if !known[name] {
			moved[name] = queueOther
		}
	}
	others := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(moved)) {
		if moved[name] == queueSame {
			continue
		}
		if err := t.syncQueue(st, name); err != nil {
			return err
		}
		if moved[name] == queueOther {
			others[name] = true
		}
	}
	if len(others) > 0 {
		if err := t.recruit(st, "", others); err != nil {
			return err
		}
	}
	t.afterCommit(done)
	_, err = t.exec(`DELETE FROM queues WHERE hash = '' AND depth = 0`)
	return err
}

// syncQueue writes a queue's row, and lets everything in it be looked at: what
// waits in a queue that left the document goes on, and bounds may be others.
func (t *txn) syncQueue(st *state, name string) error {
	if _, err := t.exec(`INSERT INTO queues (queue, hash) VALUES (?, ?) ON CONFLICT (queue) DO UPDATE SET hash = excluded.hash`, name, st.queuePrint(name)); err != nil {
		return err
	}
	t.stir(name)
	return t.lookAgain(name)
}

// lookAgain lets everything in a queue be looked at, and what agents have of it who
// are offline. What came into a full queue (fullDue) is due already, and keeps its
// mark.
func (t *txn) lookAgain(queue string) error {
	if _, err := t.exec(`UPDATE queue_entries SET due_at = ? WHERE queue = ? AND state <> 'left' AND due_at <> ?`, ms(t.now), queue, fullDue); err != nil {
		return err
	}
	return t.lookAtOffline(queue)
}

// recruit decides anew which agents work in queues: all agents of the queues'
// namespaces, or one of them. In which queues of which namespace an agent works
// is their namespace's affair alone.
func (t *txn) recruit(st *state, agent string, queues map[string]bool) error {
	namespaces := map[string]bool{}
	for name := range queues {
		namespaces[namespaceOf(name)] = true
	}
	for _, ns := range slices.Sorted(maps.Keys(namespaces)) {
		agents, err := t.agentsOf(ns, agent)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(queues)) {
			if namespaceOf(name) != ns {
				continue
			}
			if err := t.recruitQueue(st.queues[name], name, agent, agents); err != nil {
				return err
			}
			t.note(tallyEntry{queue: name, recount: true})
			t.stir(name)
		}
		if err := t.carry(st, agents); err != nil {
			return err
		}
	}
	return nil
}

// recruitQueue writes who of the agents works in a queue; q is nil where it is
// none any more.
func (t *txn) recruitQueue(q *agentQueue, name, agent string, agents []Agent) error {
	if agent == "" {
		if _, err := t.exec(`DELETE FROM queue_members WHERE queue = ?`, name); err != nil {
			return err
		}
	} else if _, err := t.exec(`DELETE FROM queue_members WHERE queue = ? AND agent = ?`, name, agent); err != nil {
		return err
	}
	if q == nil {
		return nil
	}
	for _, a := range agents {
		if q.Selector.Selects(a.Labels, a.Skills) {
			if err := t.later(`INSERT INTO queue_members (queue, agent) VALUES (?, ?)`, name, a.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// carry writes the most that each agent can carry in any of their queues: beyond
// it nothing is offered to them.
func (t *txn) carry(st *state, agents []Agent) error {
	for _, a := range agents {
		most := int64(a.Units)
		if most == 0 {
			for name, q := range st.queues {
				if namespaceOf(name) == a.Namespace && q.Selector.Selects(a.Labels, a.Skills) {
					most = max(most, int64(unitsOf(q, 0)))
				}
			}
		}
		if err := t.later(`UPDATE presence SET units = ? WHERE agent = ? AND units <> ?`, most, a.ID, most); err != nil {
			return err
		}
	}
	return nil
}

// unitsOf is what an agent with so many units of their own can carry in a queue.
func unitsOf(q *agentQueue, own int) int {
	switch {
	case own > 0:
		return own
	case q.Capacity.Units > 0:
		return q.Capacity.Units
	}
	return routing.DefaultUnits
}

// queueNames are the queues of a namespace.
func (st *state) queueNames(namespace string) map[string]bool {
	names := map[string]bool{}
	for name := range st.queues {
		if namespaceOf(name) == namespace {
			names[name] = true
		}
	}
	return names
}
