package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

const (
	// drainBatch is how many conversations one transaction gives away. Each takes
	// some 200 µs beside what a step costs however little it does (on PostgreSQL
	// 2.5 ms, five ways and a flush), so that who writes meanwhile waits for less
	// than 5 ms.
	drainBatch = 8

	// drainLook bounds how many conversations one transaction looks at. More than
	// drainBatch of a kind are looked at only where those before have reasons of
	// their own to wait: they are reserved, or declined by who is there.
	drainLook = 512

	// drainAgents is how many agents are looked at first: a batch goes to drainBatch
	// of them at most, and they are read in the order of the queue's strategy. All
	// are, where these cannot take what waits.
	drainAgents = 4 * drainBatch

	// drainSpare is how many more than there is room for are read of a group: some
	// are reserved, or were declined by who has room.
	drainSpare = 3

	// drainAgain is within what time a queue is looked at again in which another
	// transaction had what was to be given away.
	drainAgain = 20 * time.Millisecond
)

// selectHead is the oldest of a queue, and whether anybody in its namespace has
// room.
const selectHead = `SELECT (SELECT MIN(waiting_since) FROM queue_entries WHERE queue = ? AND state IN ('waiting', 'offered')),
	(SELECT COUNT(*) FROM (SELECT 1 FROM presence p WHERE p.namespace = ? ` + whereFree + `LIMIT 1) AS free)`

// drainQueues gives away what can be given away in these queues. Where they
// share agents, the queue in which somebody waits longest comes first.
func (s *Store) drainQueues(ctx context.Context, names map[string]bool) error {
	st := s.state.Load()
	type head struct {
		queue string
		since int64
	}
	var heads []head
	for name := range names {
		q := st.queues[name]
		if q == nil || !st.open(q, s.now()) {
			continue
		}
		var since sql.NullInt64
		var free int64
		if _, err := one(ctx, s.read, []any{&since, &free}, selectHead, name, namespaceOf(name)); err != nil {
			return err
		}
		if since.Valid && free > 0 { // else the writer is not kept for it; whoever has room later stirs
			heads = append(heads, head{name, since.Int64})
		}
	}
	slices.SortFunc(heads, func(a, b head) int { return cmp.Or(cmp.Compare(a.since, b.since), strings.Compare(a.queue, b.queue)) })
	for _, h := range heads {
		if err := s.drain(ctx, h.queue); err != nil {
			return err
		}
	}
	return nil
}

// drain gives away what can be given away in a queue, in order, a batch at a
// time.
func (s *Store) drain(ctx context.Context, queue string) error {
	for ctx.Err() == nil {
		began := time.Now()
		var step drainStep
		// Who gives something to agents of a namespace does so alone, as an agent may
		// work in several of its queues.
		err := s.writeLocked(ctx, drainBatch, newLocks().agents(namespaceOf(queue)), func(t *txn) (err error) {
			step, err = s.drainStep(t, queue)
			return err
		})
		if err != nil {
			return err
		}
		s.queues.metrics.drained(queue, step, time.Since(began))
		switch {
		case step.passedOver > 0:
			pause(ctx, drainAgain, nil)
		case step.given < drainBatch:
			return nil
		}
	}
	return nil
}

// drainStep is what one transaction did.
type drainStep struct {
	given      int // offered or assigned
	passedOver int // another transaction had them
}

// drainStep gives away up to drainBatch conversations of a queue.
func (s *Store) drainStep(t *txn, queue string) (step drainStep, err error) {
	st := s.state.Load()
	q := st.queues[queue]
	if q == nil || !st.open(q, t.now) {
		return step, nil
	}
	d := &drainage{s: s, t: t, st: st, q: q, known: map[string]bool{}, groups: map[string]*drainGroup{}, rows: map[string]*entryRow{}}
	if err := d.readFront(); err != nil || d.room == 0 {
		return step, err
	}
	chosen, err := d.choose()
	if err != nil || len(chosen) == 0 {
		return step, err
	}
	return d.give(chosen)
}

// drainage is one step on its way. It goes to the database and back a few times,
// however much it gives: for the front of the queue and who could have it (readFront),
// with the lock of what was chosen (lock), for the counters, and with what it writes.
type drainage struct {
	s  *Store
	t  *txn
	st *state
	q  *agentQueue

	agents []routing.Agent
	known  map[string]bool // agents that are in the snapshot
	room   int             // the most that they could take, up to drainBatch
	free   bool            // all who are online with units left are
	every  bool            // all who are online are
	cursor string
	groups map[string]*drainGroup
	rows   map[string]*entryRow
}

// choose reads the beginning of the queue's order, as much of it as is needed,
// and lets routing choose.
func (d *drainage) choose() ([]routing.Assignment, error) {
	for {
		snapshot, behind, err := d.snapshot()
		if err != nil || len(snapshot.Waiting) == 0 {
			return nil, err
		}
		// Mostly those at the front are who get something: the others are looked at only
		// if not.
		front := snapshot
		front.Waiting = front.Waiting[:min(len(front.Waiting), drainBatch)]
		chosen, _ := routing.Choose(d.q.QueueSpec, front)
		if len(chosen) < d.room && len(front.Waiting) < len(snapshot.Waiting) {
			chosen, _ = routing.Choose(d.q.QueueSpec, snapshot)
		}
		if len(chosen) == d.room && d.free { // nobody has any left
			return chosen, nil
		}
		if !d.free && (len(chosen) < len(front.Waiting) || d.prefers(front)) { // perhaps there is somebody (better) among the others
			if err := d.addAgents(whereFree); err != nil {
				return nil, err
			}
			d.free = true
			d.measureRoom()
			continue
		}
		if len(chosen) >= drainBatch {
			return chosen[:drainBatch], nil
		}
		if !behind {
			return chosen, nil
		}
		more, err := d.readMore(snapshot, chosen)
		if err != nil || !more {
			return chosen, err
		}
	}
}

// snapshot is the beginning of the queue's order as far as it is known for
// certain; behind says that more waits behind it.
func (d *drainage) snapshot() (snapshot routing.Snapshot, behind bool, err error) {
	snapshot = routing.Snapshot{Now: d.t.now, Cursor: d.cursor}
	type place struct {
		w        routing.Waiting
		priority int64
	}
	order := func(a, b place) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), a.w.Arrived.Compare(b.w.Arrived), strings.Compare(a.w.ID, b.w.ID))
	}
	placeOf := func(g *drainGroup, e *entryRow) place {
		w := d.waiting(g, e)
		return place{w, routing.EffectivePriority(d.q.QueueSpec, w.Priority, time.Duration(w.Waited))}
	}
	var places []place
	var frontier *place
	for _, g := range d.groups {
		for _, e := range g.read {
			places = append(places, placeOf(g, e))
		}
		for _, last := range g.last {
			if last == nil || g.stuck {
				continue
			}
			behind = true
			if p := placeOf(g, last); frontier == nil || order(p, *frontier) < 0 {
				frontier = &p
			}
		}
	}
	slices.SortFunc(places, order)
	personal := false
	for _, p := range places {
		if frontier != nil && order(p, *frontier) > 0 {
			break
		}
		snapshot.Waiting = append(snapshot.Waiting, p.w)
		personal = personal || p.w.Agent != "" || len(p.w.Declined) > 0
	}
	if personal && !d.every { // reservations and refusals are about who is online, with room or without
		d.every = true
		d.free, err = true, d.addAgents(`AND p.state = 'online'`)
	}
	snapshot.Agents = d.agents
	return snapshot, behind, err
}

// prefers says whether skills decide between agents who can all have something.
func (d *drainage) prefers(snapshot routing.Snapshot) bool {
	return slices.ContainsFunc(snapshot.Waiting, func(w routing.Waiting) bool { return len(w.Skills.Preferred) > 0 })
}

func (d *drainage) waiting(g *drainGroup, e *entryRow) routing.Waiting {
	return routing.Waiting{
		ID: e.conversation, Class: e.class, Arrived: fromMS(e.waitingSince), Waited: document.Duration(d.st.waited(d.q, fromMS(e.waitingSince), d.t.now)),
		Priority: priorities[e.priority], StepEntered: fromMS(e.stepAt), Skills: g.skills,
		Agent: e.reserved, AgentUntil: fromMS(e.reservedUntil), Declined: e.decliners(),
	}
}

// readMore reads on in the groups in which that can be of use. A group of which
// somebody stays without an agent, although nothing but what all of it need
// stands against it, is done with: agents only have less room later.
func (d *drainage) readMore(snapshot routing.Snapshot, chosen []routing.Assignment) (bool, error) {
	given := map[string]bool{}
	for _, a := range chosen {
		given[a.Conversation] = true
	}
	more := false
	for _, w := range snapshot.Waiting {
		e := d.rows[w.ID]
		g := d.groups[e.need]
		if !g.stuck && !given[w.ID] && w.Agent == "" && len(w.Declined) == 0 && len(g.skills.Preferred) == 0 {
			g.stuck, more = true, true // those of others behind it are looked at now
		}
	}
	if more { // what was read already may do: what nobody here can take must not use up the look
		return true, nil
	}
	if len(d.rows) >= drainLook {
		return false, nil
	}
	for _, g := range d.groups {
		if g.stuck || g.last == [priorityCount]*entryRow{} {
			continue
		}
		more = true
		if err := d.readGroup(g, drainBatch); err != nil {
			return false, err
		}
	}
	return more, nil
}

// give writes what was chosen.
func (d *drainage) give(chosen []routing.Assignment) (step drainStep, err error) {
	ids := make([]string, len(chosen))
	for i, a := range chosen {
		ids[i] = a.Conversation
	}
	convs, err := d.lock(ids)
	if err != nil {
		return step, err
	}
	for _, a := range chosen {
		v, e := convs[a.Conversation], d.rows[a.Conversation]
		switch {
		case v == nil:
			step.passedOver++
			continue
		case e == nil || e.state != entryWaiting || e.queue != d.q.Name:
			continue // somebody else has it by now
		case v.state == ConversationSnoozed: // by a version that let it wait all the same
			if err := errors.Join(d.t.unload(e), d.t.saveEntry(e)); err != nil {
				return step, err
			}
			continue
		}
		if err := d.giveOne(v, e, a); err != nil {
			return step, err
		}
		if d.q.Strategy == routing.RoundRobin {
			d.t.note(tallyEntry{queue: d.q.Name, cursor: a.Agent})
		}
		step.given++
	}
	if step.given < len(chosen) && step.passedOver == 0 {
		d.t.stir(d.q.Name) // the agents who were chosen for nothing
	}
	return step, nil
}

// lock takes those of some conversations that nobody else has at the moment, and
// reads what a change of their owner needs of them: of what another transaction has
// there is none. Between choosing and locking somebody may have been faster, so that
// their entries are read again where there are other writers.
func (d *drainage) lock(ids []string) (map[string]*convRow, error) {
	db := d.s.db
	list, ours, found := db.list(ids), map[string]bool{}, map[string]*convRow{}
	var questions []question
	if db.shared {
		questions = append(questions, question{`SELECT id FROM conversations WHERE ` + db.among("id") + db.skipLocked(), []any{list}, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			ours[id] = true
			return err
		}})
	}
	questions = append(questions, question{`SELECT id, channel, contact, state, owner_kind, owner_name, epoch, last_inbound_at FROM conversations WHERE ` + db.among("id"), []any{list},
		func(scan func(...any) error) error {
			v := &convRow{}
			err := scan(&v.id, &v.channel, &v.contact, &v.state, &v.owner.Kind, &v.owner.Name, &v.epoch, &v.lastInboundAt)
			if v.namespace = namespaceOf(v.channel); !db.shared || ours[v.id] {
				found[v.id] = v
			}
			return err
		}})
	if db.shared {
		clear(d.rows)
		questions = append(questions, question{`SELECT ` + entryColumns + ` FROM queue_entries WHERE ` + db.among("conversation"), []any{list}, func(scan func(...any) error) error {
			e, err := readEntry(scan)
			d.rows[e.conversation] = &e
			return err
		}})
	}
	return found, d.t.ask(questions...)
}

func (d *drainage) giveOne(v *convRow, e *entryRow, a routing.Assignment) error {
	t := d.t
	if a.OfferUntil.IsZero() {
		return t.move(v, Owner{Kind: OwnerAgent, Name: a.Agent}, ownerCause{why: CauseGiven}, e, nil)
	}
	e.state, e.agent, e.units = entryOffered, a.Agent, int64(a.Units)
	t.noteLoad(a.Agent, e.class, e.units)
	t.note(tallyEntry{agent: a.Agent, given: true})
	t.wake(topicOffers)
	if err := t.row(newOffers, "", t.newID(), v.id, e.queue, a.Agent, string(e.class), e.units, ms(t.now), ms(a.OfferUntil)); err != nil {
		return err
	}
	return t.row(offerEntries, v.id, string(e.state), a.Agent, e.units, v.id)
}

var (
	newOffers = bulkInsert("offers", "", "id text", "conversation text", "queue text", "agent text", "class text", "units bigint", "made_at bigint", "until bigint")
	// offerEntries writes what an offer changes, so that other indexes are left alone.
	offerEntries = bulkUpdate("queue_entries", []string{"conversation text"}, "state text", "agent text", "units bigint")
)
