package store

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// readFront reads who is online and has units left, and what waits first.
func (d *drainage) readFront() error {
	questions := []question{d.firstAgents()}
	if d.q.Strategy == routing.RoundRobin {
		questions = append(questions, question{`SELECT cursor FROM queues WHERE queue = ?`, []any{d.q.Name}, func(scan func(...any) error) error { return scan(&d.cursor) }})
	}
	if d.s.db.postgres != nil { // on the same way
		questions = append(questions, d.fronts())
	}
	err := d.t.ask(questions...)
	d.free = len(d.agents) < drainAgents
	if err == nil {
		err = d.countRecent()
	}
	if err != nil || len(d.agents) == 0 {
		return err
	}
	if d.measureRoom(); d.room == 0 || d.s.db.postgres != nil {
		return nil
	}
	return d.readGroups()
}

// firstAgents asks for drainAgents of those who have units left, in the order of
// the queue's strategy.
func (d *drainage) firstAgents() question {
	units := unitsOf(d.q, 0)
	switch d.q.Strategy {
	case routing.RoundRobin:
		return d.agentsWhere(whereFree+`ORDER BY CASE WHEN p.agent <= (SELECT q.cursor FROM queues q WHERE q.queue = ?) THEN 1 ELSE 0 END, p.agent LIMIT ?`, d.q.Name, drainAgents)
	case routing.LongestIdle:
		return d.agentsWhere(whereFree+`ORDER BY p.assigned_at, `+byLoad+`, p.agent LIMIT ?`, units, drainAgents)
	}
	return d.agentsWhere(whereFree+`ORDER BY `+byLoad+`, p.assigned_at, p.agent LIMIT ?`, units, drainAgents)
}

// measureRoom bounds what can be given away: by the cheapest conversation there
// is.
func (d *drainage) measureRoom() {
	if d.room = drainBatch; !d.free {
		return
	}
	cost := d.q.Capacity.Cost(routing.ClassChat, 0)
	for _, class := range []routing.ChannelClass{routing.ClassVoice, routing.ClassMail} {
		cost = min(cost, d.q.Capacity.Cost(class, 0))
	}
	if cost <= 0 {
		return
	}
	room := 0
	for i := range d.agents {
		left := unitsOf(d.q, d.agents[i].Units)
		for _, used := range d.agents[i].Load {
			left -= used
		}
		room += max(left, 0) / cost
	}
	d.room = min(room, drainBatch)
}

// Which of a queue's agents are read, and in which order: the part of their units
// that they use, in parts of a hundred thousand.
const (
	whereFree = `AND p.state = 'online' AND p.load_voice + p.load_chat + p.load_mail < p.units `
	byLoad    = `(p.load_voice + p.load_chat + p.load_mail) * 100000 / CASE WHEN a.units > 0 THEN a.units ELSE ? END`
)

// addAgents adds those of the queue's agents that fulfil a condition.
func (d *drainage) addAgents(where string) error {
	if err := d.t.ask(d.agentsWhere(where)); err != nil {
		return err
	}
	return d.countRecent()
}

// agentsWhere asks for those of the queue's agents that fulfil a condition; who is
// known already stays as they are.
func (d *drainage) agentsWhere(where string, args ...any) question {
	return question{
		query: `SELECT p.agent, p.load_voice, p.load_chat, p.load_mail, p.assigned_at, a.units, a.skills, a.class_units
			FROM presence p JOIN agents a ON a.id = p.agent
			WHERE p.namespace = ? AND EXISTS (SELECT 1 FROM queue_members m WHERE m.queue = ? AND m.agent = p.agent) ` + where,
		args: append([]any{namespaceOf(d.q.Name), d.q.Name}, args...),
		row: func(scan func(...any) error) error {
			a, err := scanMember(scan)
			if err != nil || d.known[a.ID] {
				return err
			}
			d.known[a.ID] = true
			d.agents = append(d.agents, a)
			return nil
		},
	}
}

func scanMember(scan func(...any) error) (a routing.Agent, err error) {
	var voice, chat, mail int
	var assigned int64
	var skills, units string
	if err = scan(&a.ID, &voice, &chat, &mail, &assigned, &a.Units, &skills, &units); err != nil {
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
	recent := map[string]int{}
	err := d.t.ask(question{
		query: `SELECT p.agent, (SELECT COUNT(*) FROM offers o WHERE o.agent = p.agent)
				+ (SELECT COUNT(*) FROM owner_changes c WHERE c.to_kind = 'agent' AND c.to_name = p.agent AND c.at > ? AND c.cause IN ('given', 'accepted'))
			FROM presence p WHERE p.namespace = ? AND p.state = 'online'`,
		args: []any{ms(d.t.now.Add(-time.Duration(limit.Window))), namespaceOf(d.q.Name)},
		row: func(scan func(...any) error) error {
			var agent string
			var n int
			err := scan(&agent, &n)
			recent[agent] = n
			return err
		},
	})
	for i := range d.agents {
		d.agents[i].Recent = recent[d.agents[i].ID]
	}
	return err
}

// drainGroup is what needs the same of agents: if one of it cannot be given to
// anybody, nor can those behind it, unless it has reasons of its own.
type drainGroup struct {
	need   string
	skills routing.Skills
	read   []*entryRow
	last   [priorityCount]*entryRow // read last, by priority; nil: none are left behind it
	stuck  bool
}

// group is the group of a need.
func (d *drainage) group(need string) *drainGroup {
	g := d.groups[need]
	if g == nil {
		g = &drainGroup{need: need, skills: skillsOf(need)}
		d.groups[need] = g
	}
	return g
}

// selectFronts reads what waits first of each group and priority: for each of them
// as many steps in the index as it has rows there (PostgreSQL). All that is known
// beforehand stands in its text, so that the plan is made for it.
var selectFronts = func() string {
	ranks := make([]string, len(priorities))
	for i := range ranks {
		ranks[i] = "(" + strconv.Itoa(i) + ")"
	}
	return `SELECT ` + entryColumns + ` FROM (WITH RECURSIVE needs (need) AS (
			(SELECT need FROM queue_entries WHERE queue = ? AND state = 'waiting' ORDER BY need LIMIT 1)
			UNION ALL SELECT (SELECT e.need FROM queue_entries e WHERE e.queue = ? AND e.state = 'waiting' AND e.need > n.need ORDER BY e.need LIMIT 1)
				FROM needs n WHERE n.need IS NOT NULL)
		SELECT e.* FROM needs n CROSS JOIN (VALUES ` + strings.Join(ranks, ", ") + `) AS p (rank) CROSS JOIN LATERAL (
			SELECT * FROM queue_entries e WHERE e.queue = ? AND e.state = 'waiting' AND e.need = n.need AND e.priority = p.rank
				ORDER BY e.waiting_since, e.conversation LIMIT ` + strconv.Itoa(drainBatch) + `) AS e WHERE n.need IS NOT NULL) AS fronts`
}()

// fronts asks for what waits first (PostgreSQL).
func (d *drainage) fronts() question {
	read := map[*drainGroup]*[priorityCount]int{}
	return question{
		query: selectFronts, args: []any{d.q.Name, d.q.Name, d.q.Name},
		row: func(scan func(...any) error) error {
			e, err := readEntry(scan)
			if err != nil {
				return err
			}
			g := d.group(e.need)
			if read[g] == nil {
				read[g] = &[priorityCount]int{}
			}
			d.add(g, &e, read[g], drainBatch)
			return nil
		},
	}
}

// readGroups finds the groups that wait, and reads the beginning of each: as much as
// there is room for, and a few more for those that are somebody else's. (With
// SQLite, where each row has a price and a statement has no way.)
func (d *drainage) readGroups() error {
	for need := ""; ; {
		next := ""
		if err := d.t.ask(question{`SELECT COALESCE(MIN(need), '') FROM queue_entries WHERE queue = ? AND state = 'waiting' AND need > ?`, []any{d.q.Name, need},
			func(scan func(...any) error) error { return scan(&next) }}); err != nil || next == "" {
			return err
		}
		need = next
		if err := d.readGroup(d.group(need), min(d.room+drainSpare, drainBatch)); err != nil {
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

// readGroup reads the next of a group, so many of each priority at most.
func (d *drainage) readGroup(g *drainGroup, page int) error {
	var args []any
	first := len(g.read) == 0
	for rank := range priorities {
		since, id, limit := int64(-1), "", page
		if last := g.last[rank]; last != nil {
			since, id = last.waitingSince, last.conversation
		} else if !first {
			limit = 0
		}
		args = append(args, d.q.Name, g.need, rank, since, id, limit)
	}
	g.last = [priorityCount]*entryRow{}
	var read [priorityCount]int
	return d.t.ask(question{selectWaiting, args, func(scan func(...any) error) error {
		e, err := readEntry(scan)
		if err == nil {
			d.add(g, &e, &read, page)
		}
		return err
	}})
}

// add takes an entry in; with the last one of a full page there may be others behind
// it.
func (d *drainage) add(g *drainGroup, e *entryRow, read *[priorityCount]int, page int) {
	g.read, d.rows[e.conversation] = append(g.read, e), e
	if read[e.priority]++; read[e.priority] == page {
		g.last[e.priority] = e
	}
}
