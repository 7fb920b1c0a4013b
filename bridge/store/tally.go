package store

import (
	"maps"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Counters are kept, not counted: how many wait in a queue, how many of its
// agents are there and have room, what each of them carries. Every conversation
// that comes touches the counters of its queue, so a transaction that held them
// from its beginning would keep all others waiting. What a transaction does to
// them is therefore noted (a tally) and written last, right before the events are
// numbered, whose lock admits one commit at a time anyway:
//
//	presence, in the order of agents ──► queues, in the order of names ──► event_head
//
// Nobody takes a row of these tables FOR UPDATE before, and everybody in this
// order, so that nobody waits for each other in a ring.

// tallyEntry is one thing noted. Each is about a queue or about an agent.
type tallyEntry struct {
	queue   string
	depth   int64 // conversations that wait
	recount bool  // members changed
	// brought is a conversation that the queue keeps only up to its limit: others may
	// bring theirs at the same time.
	brought string
	limit   int
	cursor  string // agent who was given something last

	agent    string
	class    routing.ChannelClass
	units    int64 // in use
	given    bool  // something, now
	seen     bool  // a heartbeat
	presence agentState
	missed   bool // an offer
	answered bool // an offer
	// away says from how many missed offers on the agent is away.
	away func(missed int) bool
	due  int64 // when to look at what an agent has who is offline; noDue: not
	// silent makes the agent offline if the latest heartbeat was before this time.
	silent int64
}

// agentState is an agent's presence, as the database has it.
type agentState string

const (
	agentOnline  agentState = "online"
	agentAway    agentState = "away"
	agentOffline agentState = "offline"
)

// note adds to the tally.
func (t *txn) note(e tallyEntry) { t.tally = append(t.tally, e) }

// noteLoad notes units that an agent gains (or loses, below 0).
func (t *txn) noteLoad(agent string, class routing.ChannelClass, units int64) {
	if agent != "" {
		t.note(tallyEntry{agent: agent, class: class, units: units})
	}
}

// presenceRow is an agent's row in presence.
type presenceRow struct {
	agent, namespace string
	state, told      agentState
	changedAt        int64
	seenAt           int64
	missed           int
	dueAt            int64
	units            int64
	load             map[routing.ChannelClass]int64
	assignedAt       int64
}

const presenceColumns = `agent, namespace, state, told, changed_at, seen_at, missed, due_at, units, load_voice, load_chat, load_mail, assigned_at`

func readPresence(scan func(...any) error) (p presenceRow, err error) {
	var voice, chat, mail int64
	err = scan(&p.agent, &p.namespace, &p.state, &p.told, &p.changedAt, &p.seenAt, &p.missed, &p.dueAt, &p.units, &voice, &chat, &mail, &p.assignedAt)
	p.load = map[routing.ChannelClass]int64{routing.ClassVoice: voice, routing.ClassChat: chat, routing.ClassMail: mail}
	return p, err
}

func (p *presenceRow) used() (n int64) {
	for _, units := range p.load {
		n += units
	}
	return n
}

// room says whether the agent counts as available: online, with units left.
func (p *presenceRow) room() bool { return p.state == agentOnline && p.used() < p.units }

// queueTally is what a transaction does to the counters of a queue.
type queueTally struct {
	depth, online, available int64
	recount                  bool
	cursor                   string
	brought                  []string
	limit                    int
}

// settleTally writes what was noted. It is called once, when all functions of
// the transaction have run.
func (t *txn) settleTally() error {
	if len(t.tally) == 0 {
		return nil
	}
	queues, agents := map[string]*queueTally{}, map[string][]tallyEntry{}
	for _, e := range t.tally {
		if e.agent != "" {
			agents[e.agent] = append(agents[e.agent], e)
			continue
		}
		q := queues[e.queue]
		if q == nil {
			q = &queueTally{}
			queues[e.queue] = q
		}
		q.depth, q.recount = q.depth+e.depth, q.recount || e.recount
		if e.cursor != "" {
			q.cursor = e.cursor
		}
		if e.brought != "" {
			q.brought, q.limit = append(q.brought, e.brought), e.limit
		}
	}
	if err := t.settleAgents(agents, queues); err != nil {
		return err
	}
	t.tally = t.tally[:0]
	return t.settleQueues(queues)
}

// settleAgents writes what agents carry and whether they are there, and what
// follows for the counters of their queues.
func (t *txn) settleAgents(agents map[string][]tallyEntry, queues map[string]*queueTally) error {
	if len(agents) == 0 {
		return nil
	}
	rows, members, err := t.readPresence(slices.Sorted(maps.Keys(agents)))
	if err != nil {
		return err
	}
	changed := make([][]any, len(rows))
	for i, p := range rows {
		before, online, room := p.used(), p.state == agentOnline, p.room()
		for _, e := range agents[p.agent] {
			t.apply(e, p)
		}
		nowOnline, nowRoom := boolInt(p.state == agentOnline)-boolInt(online), boolInt(p.room())-boolInt(room)
		freed := p.state == agentOnline && (p.used() < before || !online)
		for _, name := range members[p.agent] {
			if freed {
				t.stir(name)
			}
			if nowOnline != 0 || nowRoom != 0 {
				q := queues[name]
				if q == nil {
					q = &queueTally{}
					queues[name] = q
				}
				q.online, q.available = q.online+nowOnline, q.available+nowRoom
			}
		}
		changed[i] = []any{string(p.state), string(p.told), p.changedAt, p.seenAt, int64(p.missed), p.dueAt,
			p.load[routing.ClassVoice], p.load[routing.ClassChat], p.load[routing.ClassMail], p.assignedAt, p.agent}
	}
	return t.bulk(savePresence, changed)
}

var savePresence = bulkUpdate("presence", []string{"agent text"}, "state text", "told text", "changed_at bigint", "seen_at bigint", "missed bigint", "due_at bigint",
	"load_voice bigint", "load_chat bigint", "load_mail bigint", "assigned_at bigint")

// readPresence locks and reads agents' rows, in their order, and in which queues
// they work.
func (t *txn) readPresence(agents []string) (rows []*presenceRow, members map[string][]string, err error) {
	db := t.c.db
	list := db.list(agents)
	members = map[string][]string{}
	err = t.ask(
		question{`SELECT ` + presenceColumns + ` FROM presence WHERE ` + db.among("agent") + ` ORDER BY agent` + db.forUpdate(), []any{list}, func(scan func(...any) error) error {
			p, err := readPresence(scan)
			rows = append(rows, &p)
			return err
		}},
		question{`SELECT queue, agent FROM queue_members WHERE ` + db.among("agent"), []any{list}, func(scan func(...any) error) error {
			var queue, agent string
			err := scan(&queue, &agent)
			members[agent] = append(members[agent], queue)
			return err
		}})
	return rows, members, err
}

// apply brings an agent's row in line with something noted.
func (t *txn) apply(e tallyEntry, p *presenceRow) {
	now := ms(t.now)
	become := func(state agentState) {
		if p.state != state {
			p.state, p.changedAt = state, now
		}
	}
	if e.units != 0 {
		p.load[e.class] += e.units
	}
	if e.given {
		p.assignedAt = now
		if p.state == agentOffline { // somebody gave it to them by hand
			p.dueAt = now
		}
	}
	if e.answered {
		p.missed = 0
	}
	if e.missed {
		p.missed++
		if p.state == agentOnline && e.away(p.missed) {
			become(agentAway)
			p.told = agentAway // until they say that they are back
		}
	}
	if e.seen {
		p.seenAt = now
		if e.presence == "" {
			e.presence = p.told
		} else {
			p.told = e.presence
		}
	}
	if e.due != 0 && p.state == agentOffline {
		p.dueAt = max(e.due, 0)
	}
	if e.silent > 0 && p.seenAt < e.silent && p.state != agentOffline {
		e.presence = agentOffline
	}
	if e.presence == "" || e.presence == p.state {
		return
	}
	become(e.presence)
	switch p.dueAt = 0; e.presence {
	case agentOffline:
		p.dueAt = now
	case agentOnline:
		p.missed = 0
	}
}

// saveQueues adds to counters.
var saveQueues = bulkInsert("queues", `ON CONFLICT (queue) DO UPDATE SET depth = queues.depth + excluded.depth, online = queues.online + excluded.online,
	available = queues.available + excluded.available`, "queue text", "depth bigint", "online bigint", "available bigint")

// settleQueues writes the counters of queues, in the order of their names. It asks
// nothing, so that their rows are held for no longer than the end of the transaction
// takes.
func (t *txn) settleQueues(queues map[string]*queueTally) error {
	var rows [][]any
	names := slices.Sorted(maps.Keys(queues))
	for _, name := range names {
		q := queues[name]
		rows = append(rows, []any{name, q.depth, q.online, q.available})
	}
	if err := t.bulk(saveQueues, rows); err != nil {
		return err
	}
	for _, name := range names {
		if err := t.settleQueue(name, queues[name]); err != nil {
			return err
		}
	}
	return nil
}

// settleQueue writes what is not added up.
func (t *txn) settleQueue(name string, q *queueTally) error {
	if q.cursor != "" {
		if err := t.later(`UPDATE queues SET cursor = ? WHERE queue = ?`, q.cursor, name); err != nil {
			return err
		}
	}
	if err := t.sendOn(name, q); err != nil || !q.recount {
		return err
	}
	// The row is ours by now: who else changed an agent either is committed, and
	// counted here, or adds what it changed after us.
	return t.later(`UPDATE queues SET online = (SELECT COUNT(*) FROM queue_members m JOIN presence p ON p.agent = m.agent WHERE m.queue = queues.queue AND p.state = 'online'),
		available = (SELECT COUNT(*) FROM queue_members m JOIN presence p ON p.agent = m.agent
			WHERE m.queue = queues.queue AND p.state = 'online' AND p.load_voice + p.load_chat + p.load_mail < p.units) WHERE queue = ?`, name)
}

// sendOn marks what this transaction brought beyond the limit of a queue, the latest
// first, for the sweep. The queue's row is ours by now, so that its depth is that of
// all who were faster.
func (t *txn) sendOn(name string, q *queueTally) error {
	if len(q.brought) == 0 {
		return nil
	}
	args := append([]any{fullDue}, padded(q.brought)...)
	return t.later(`UPDATE queue_entries SET due_at = ? WHERE conversation IN (SELECT conversation FROM queue_entries
		WHERE conversation IN `+in(paddedTo(len(q.brought)))+` AND queue = ? AND state = 'waiting' AND hold = 0 ORDER BY entered_at DESC, conversation DESC
		LIMIT (SELECT CASE WHEN depth > ? THEN depth - ? ELSE 0 END FROM queues WHERE queue = ?))`, append(args, name, q.limit, q.limit, name)...)
}

// stir makes sure that a queue is looked at after the commit: there may be
// somebody for what waits in it.
func (t *txn) stir(queue string) {
	if queue == "" || t.stirred[queue] {
		return
	}
	if t.stirred == nil {
		t.stirred = map[string]bool{}
	}
	t.stirred[queue] = true
	queues := t.c.queues
	t.afterCommit(func() { queues.stir(queue) })
}

// maxPadded bounds lists of placeholders whose statements are kept.
const maxPadded = 64

// paddedTo is the number of placeholders for a list: a power of two, so that
// there are few texts of statements.
func paddedTo(n int) int {
	size := 1
	for size < n {
		size *= 2
	}
	return size
}

// padded are the arguments for so many placeholders; the last one is repeated.
func padded[T any](list []T) []any {
	args := make([]any, 0, paddedTo(len(list)))
	for _, v := range list {
		args = append(args, v)
	}
	for len(args) < cap(args) {
		args = append(args, list[len(list)-1])
	}
	return args
}
