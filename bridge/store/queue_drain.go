package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

const (
	// drainBatch is how many conversations one transaction gives away. Each takes
	// some 100 µs, so that who writes meanwhile waits for less than 5 ms.
	drainBatch = 16

	// drainLook bounds how many conversations one transaction looks at. More than
	// drainBatch of a kind are looked at only where those before have reasons of
	// their own to wait: they are reserved, or declined by who is there.
	drainLook = 512

	// drainAgents is how many agents are looked at first: a batch goes to drainBatch
	// of them at most, and they are read in the order of the queue's strategy. All
	// are, where these cannot take what waits.
	drainAgents = 4 * drainBatch

	// drainAgain is within what time a queue is looked at again in which another
	// transaction had what was to be given away.
	drainAgain = 20 * time.Millisecond
)

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
		if _, err := one(ctx, s.read, []any{&since}, `SELECT MIN(waiting_since) FROM queue_entries WHERE queue = ? AND state IN ('waiting', 'offered')`, name); err != nil {
			return err
		}
		if since.Valid {
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
	d := &drainage{s: s, t: t, st: st, q: q, groups: map[string]*drainGroup{}}
	if found, err := d.readAgents(); err != nil || !found {
		return step, err
	}
	chosen, err := d.choose()
	if err != nil || len(chosen) == 0 {
		return step, err
	}
	return d.give(chosen)
}

// drainage is one step on its way.
type drainage struct {
	s  *Store
	t  *txn
	st *state
	q  *agentQueue

	agents []routing.Agent
	known  map[string]bool // agents that are in the snapshot
	free   bool            // all who are online with units left are
	every  bool            // all who are online are
	cursor string
	groups map[string]*drainGroup
	rows   map[string]*entryRow
}

// drainGroup is what needs the same of agents: if one of it cannot be given to
// anybody, nor can those behind it, unless it has reasons of its own.
type drainGroup struct {
	need   string
	skills routing.Skills
	read   []*entryRow
	last   [4]*entryRow // read last, by priority; nil: none are left behind it
	stuck  bool
}

// readAgents reads who is online and has units left. found is false when nobody
// is.
func (d *drainage) readAgents() (found bool, err error) {
	d.known = map[string]bool{}
	if d.q.Strategy == routing.RoundRobin {
		if _, err := one(d.t.ctx, d.t, []any{&d.cursor}, `SELECT cursor FROM queues WHERE queue = ?`, d.q.Name); err != nil {
			return false, err
		}
	}
	units := unitsOf(d.q, 0)
	switch d.q.Strategy {
	case routing.RoundRobin:
		err = d.addAgents(whereFree+`ORDER BY CASE WHEN p.agent <= ? THEN 1 ELSE 0 END, p.agent LIMIT ?`, d.cursor, drainAgents)
	case routing.LongestIdle:
		err = d.addAgents(whereFree+`ORDER BY p.assigned_at, `+byLoad+`, p.agent LIMIT ?`, units, drainAgents)
	default:
		err = d.addAgents(whereFree+`ORDER BY `+byLoad+`, p.assigned_at, p.agent LIMIT ?`, units, drainAgents)
	}
	d.free = len(d.agents) < drainAgents
	return len(d.agents) > 0, err
}

// Which of a queue's agents are read, and in which order: the part of their units
// that they use, in parts of a hundred thousand.
const (
	whereFree = `AND p.state = 'online' AND p.load_voice + p.load_chat + p.load_mail < p.units `
	byLoad    = `(p.load_voice + p.load_chat + p.load_mail) * 100000 / CASE WHEN a.units > 0 THEN a.units ELSE ? END`
)

// addAgents adds those of the queue's agents that fulfil a condition and are not
// known yet.
func (d *drainage) addAgents(where string, args ...any) error {
	list, err := all(d.t.ctx, d.t, scanMember, `SELECT p.agent, p.load_voice, p.load_chat, p.load_mail, p.assigned_at, a.units, a.skills, a.class_units
		FROM presence p JOIN agents a ON a.id = p.agent
		WHERE p.namespace = ? AND EXISTS (SELECT 1 FROM queue_members m WHERE m.queue = ? AND m.agent = p.agent) `+where,
		append([]any{namespaceOf(d.q.Name), d.q.Name}, args...)...)
	if err != nil {
		return err
	}
	for _, m := range list {
		if d.known[m.ID] {
			continue
		}
		d.known[m.ID] = true
		d.agents = append(d.agents, m)
	}
	return d.countRecent()
}

func scanMember(rows *sql.Rows) (a routing.Agent, err error) {
	var voice, chat, mail int
	var assigned int64
	var skills, units string
	if err = rows.Scan(&a.ID, &voice, &chat, &mail, &assigned, &a.Units, &skills, &units); err != nil {
		return a, err
	}
	a.Presence, a.LastAssignedAt = routing.PresenceOnline, fromMS(assigned)
	if voice+chat+mail > 0 {
		a.Load = map[routing.ChannelClass]int{routing.ClassVoice: voice, routing.ClassChat: chat, routing.ClassMail: mail}
	}
	if skills != "" {
		if a.Skills, err = decodedSkills(skills); err != nil {
			return a, err
		}
	}
	if units != "" {
		err = json.Unmarshal([]byte(units), &a.ClassUnits)
	}
	return a, err
}

// knownSkills are sets of skills that were decoded before: agents have few
// different ones, and nobody changes them.
var knownSkills sync.Map // text → map[string]int

func decodedSkills(text string) (map[string]int, error) {
	if skills, ok := knownSkills.Load(text); ok {
		return skills.(map[string]int), nil
	}
	var skills map[string]int
	if err := json.Unmarshal([]byte(text), &skills); err != nil {
		return nil, err
	}
	knownSkills.Store(text, skills)
	return skills, nil
}

// countRecent counts what agents were given within the window, where that is
// bounded: offers that are open, and what became theirs by queues.
func (d *drainage) countRecent() error {
	limit := d.q.Capacity.MaxNew
	if limit.Count == 0 {
		return nil
	}
	type count struct {
		agent string
		n     int
	}
	since := ms(d.t.now.Add(-time.Duration(limit.Window)))
	list, err := all(d.t.ctx, d.t, func(rows *sql.Rows) (c count, err error) { return c, rows.Scan(&c.agent, &c.n) },
		`SELECT p.agent, (SELECT COUNT(*) FROM offers o WHERE o.agent = p.agent)
			+ (SELECT COUNT(*) FROM owner_changes c WHERE c.to_kind = 'agent' AND c.to_name = p.agent AND c.at > ? AND c.cause IN ('given', 'accepted'))
		FROM presence p WHERE p.namespace = ? AND p.state = 'online'`, since, namespaceOf(d.q.Name))
	recent := map[string]int{}
	for _, c := range list {
		recent[c.agent] = c.n
	}
	for i := range d.agents {
		d.agents[i].Recent = recent[d.agents[i].ID]
	}
	return err
}

// choose reads the beginning of the queue's order, as much of it as is needed,
// and lets routing choose.
func (d *drainage) choose() ([]routing.Assignment, error) {
	if err := d.readGroups(); err != nil {
		return nil, err
	}
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
		if len(chosen) < drainBatch && len(front.Waiting) < len(snapshot.Waiting) {
			chosen, _ = routing.Choose(d.q.QueueSpec, snapshot)
		}
		if !d.free && (len(chosen) < len(front.Waiting) || d.prefers(front)) { // perhaps there is somebody (better) among the others
			if err := d.addAgents(whereFree); err != nil {
				return nil, err
			}
			d.free = true
			continue
		}
		if len(chosen) >= drainBatch {
			return chosen[:drainBatch], nil
		}
		if !behind || len(d.rows) >= drainLook {
			return chosen, nil
		}
		more, err := d.readMore(snapshot, chosen)
		if err != nil || !more {
			return chosen, err
		}
	}
}

// readGroups finds the groups that wait, and reads the beginning of each.
func (d *drainage) readGroups() error {
	d.rows = map[string]*entryRow{}
	for need := ""; ; {
		var next sql.NullString
		if _, err := one(d.t.ctx, d.t, []any{&next}, `SELECT MIN(need) FROM queue_entries WHERE queue = ? AND state = 'waiting' AND need > ?`, d.q.Name, need); err != nil || !next.Valid {
			return err
		}
		need = next.String
		g := &drainGroup{need: need, skills: skillsOf(need)}
		d.groups[need] = g
		if err := d.readGroup(g); err != nil {
			return err
		}
	}
}

// selectWaiting reads what waits first of a group, of each priority.
var selectWaiting = func() string {
	parts := make([]string, len(priorities))
	for i := range parts {
		parts[i] = `SELECT * FROM (SELECT ` + entryColumns + ` FROM queue_entries WHERE queue = ? AND state = 'waiting' AND need = ? AND priority = ?
			AND (waiting_since, conversation) > (?, ?) ORDER BY waiting_since, conversation LIMIT ?) AS page`
	}
	return strings.Join(parts, " UNION ALL ")
}()

// readGroup reads the next of a group.
func (d *drainage) readGroup(g *drainGroup) error {
	var args []any
	first := len(g.read) == 0
	for rank := range priorities {
		since, id, limit := int64(-1), "", drainBatch
		if last := g.last[rank]; last != nil {
			since, id = last.waitingSince, last.conversation
		} else if !first {
			limit = 0
		}
		args = append(args, d.q.Name, g.need, rank, since, id, limit)
	}
	list, err := all(d.t.ctx, d.t, scanEntry, selectWaiting, args...)
	if err != nil {
		return err
	}
	var read [4]int
	g.last = [4]*entryRow{}
	for i := range list {
		e := &list[i]
		g.read, d.rows[e.conversation] = append(g.read, e), e
		if read[e.priority]++; read[e.priority] == drainBatch {
			g.last[e.priority] = e
		}
	}
	return nil
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
	for _, g := range d.groups {
		if g.stuck || g.last == [4]*entryRow{} {
			continue
		}
		more = true
		if err := d.readGroup(g); err != nil {
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
	convs, err := d.s.lockRows(d.t, ids)
	if err != nil {
		return step, err
	}
	if d.s.db.shared { // between reading and locking somebody may have been faster
		if err := d.reread(ids); err != nil {
			return step, err
		}
	}
	for _, a := range chosen {
		v, e := convs[a.Conversation], d.rows[a.Conversation]
		switch {
		case v == nil:
			step.passedOver++
			continue
		case e == nil || e.state != entryWaiting || e.queue != d.q.Name:
			continue // somebody else has it by now
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

// reread reads entries again, now that their conversations are locked.
func (d *drainage) reread(ids []string) error {
	list, err := all(d.t.ctx, d.t, scanEntry, `SELECT `+entryColumns+` FROM queue_entries WHERE conversation IN `+in(paddedTo(len(ids))), padded(ids)...)
	clear(d.rows)
	for i := range list {
		d.rows[list[i].conversation] = &list[i]
	}
	return err
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
	if err := t.later(`INSERT INTO offers (id, conversation, queue, agent, class, units, made_at, until) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		t.newID(), v.id, e.queue, a.Agent, string(e.class), e.units, ms(t.now), ms(a.OfferUntil)); err != nil {
		return err
	}
	return t.later(`UPDATE queue_entries SET state = 'offered', agent = ?, units = ? WHERE conversation = ?`, a.Agent, e.units, v.id)
}
