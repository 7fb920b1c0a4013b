package store

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// moves are what documents that this replica loaded changed, until the database is
// in line with it. The hash that a queue's row has tells what others have loaded;
// it does not tell what this replica did meanwhile by the document before: replicas
// get a document up to a minute apart (kubelets look so often), and who is behind
// goes on to reckon when something is due, and to recruit agents, by the old one.
// So each replica puts right what it may have done itself.
type moves struct {
	mu        sync.Mutex
	times     int // that something was noted
	queues    map[string]queueMove
	schedules map[string]bool
	// everySchedule: of the process before, nothing is known.
	everySchedule bool
	// begun are channels that are enforced, and were not by the document before.
	begun map[string]bool
}

// queueMove is what is different about a queue; the greater includes the lesser.
type queueMove int

const (
	queueSame  queueMove = iota
	queueHours           // its Schedule: when something in it is due
	queueOther           // the queue itself: also whose agents it selects
)

// queuePrint tells versions of a queue apart, its Schedule's included; empty for one
// that is not in force.
func (st *state) queuePrint(name string) string {
	q := st.queues[name]
	if q == nil || q.Schedule == "" {
		return q.entryHash()
	}
	return q.hash + " " + st.routes.schedules[q.Schedule].hash
}

func (q *agentQueue) entryHash() string {
	if q == nil {
		return ""
	}
	return q.hash
}

// queueMoved compares two prints of a queue.
func queueMoved(before, after string) queueMove {
	was, _, _ := strings.Cut(before, " ")
	is, _, _ := strings.Cut(after, " ")
	switch {
	case was != is:
		return queueOther
	case before != after:
		return queueHours
	}
	return queueSame
}

// note notes what the next document changes. With the first one, the queues of a
// database that others write as well are all looked at: what the process before did
// last, perhaps by an old document, nobody knows. (Where there is one writer, the
// hashes in the database do.)
func (m *moves) note(old, next *state, shared bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queues == nil {
		m.queues, m.schedules = map[string]queueMove{}, map[string]bool{}
	}
	m.times++
	m.everySchedule = m.everySchedule || !old.loaded
	for _, st := range []*state{old, next} {
		for name := range st.queues {
			if old.loaded || shared {
				m.queues[name] = max(m.queues[name], queueMoved(old.queuePrint(name), next.queuePrint(name)))
			}
		}
		for name := range st.routes.schedules {
			if old.routes.schedules[name].hash != next.routes.schedules[name].hash {
				m.schedules[name] = true
			}
		}
	}
}

// ofQueues is what was noted of queues, and done is to be called once that is
// written: it is forgotten then, unless another document was noted meanwhile.
func (m *moves) ofQueues() (noted map[string]queueMove, done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	times := m.times
	return maps.Clone(m.queues), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.times == times {
			clear(m.queues)
		}
	}
}

// takeSchedules is what was noted of Schedules; putBack notes it again.
func (m *moves) takeSchedules() (names map[string]bool, every bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names, every = m.schedules, m.everySchedule
	m.schedules, m.everySchedule = map[string]bool{}, false
	return names, every
}

func (m *moves) putBack(names map[string]bool, every bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.everySchedule = m.everySchedule || every
	for name := range names {
		m.schedules[name] = true
	}
}

// noteBegins notes which channels begin to be enforced, once the next state is in
// force: of the process before, nothing is known.
func (m *moves) noteBegins(old, next *state) {
	for channel := range next.routes.chains {
		if next.enforces(channel) && !old.enforces(channel) {
			m.noteBegun(channel)
		}
	}
}

func (m *moves) noteBegun(channel string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun == nil {
		m.begun = map[string]bool{}
	}
	m.begun[channel] = true
}

// anyBegun says whether takeBegun would give any.
func (m *moves) anyBegun() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.begun) > 0
}

// takeBegun is what noteBegun noted, and forgets it.
func (m *moves) takeBegun() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	channels := slices.Sorted(maps.Keys(m.begun))
	clear(m.begun)
	return channels
}
