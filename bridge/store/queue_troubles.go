package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Reasons of entries in trouble. The words are stable.
const (
	reasonNoAgents     = "NoAgents"
	reasonNobodyOnline = "NobodyOnline"
	reasonNoCapacity   = "NoCapacity"
	reasonNoSkills     = "NoSkills"
	reasonScheduleOver = "ScheduleOver"
	reasonRoutingLoop  = "RoutingLoop" // of a RoutingPolicy
)

// Troubles are the queues whose conversations wait for nobody, and the policies that
// moved conversations in circles. They name no agents.
func (s *Store) Troubles(ctx context.Context) []document.Trouble {
	st := s.state.Load()
	return append(s.queueTroubles(ctx, st), s.loopTroubles(st)...)
}

// queueTroubles are the queues whose conversations wait for nobody: it never opens
// again, no agent is selected, none could carry even one conversation, none has the
// skills that some of them need, or none is online although the queue is open. Where
// the database does not answer there are none: Health tells of that.
func (s *Store) queueTroubles(ctx context.Context, st *state) []document.Trouble {
	if len(st.queues) == 0 {
		return nil
	}
	type row struct {
		queue          string
		depth          int64
		online, agents int64
		most, ordinary int64 // units of who has most of their own; agents who have none of their own
	}
	list, err := all(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		return r, rows.Scan(&r.queue, &r.depth, &r.online, &r.agents, &r.most, &r.ordinary)
	}, `SELECT q.queue, q.depth, q.online, COUNT(a.id), COALESCE(MAX(a.units), 0), COALESCE(SUM(CASE WHEN a.units = 0 THEN 1 ELSE 0 END), 0)
		FROM queues q LEFT JOIN queue_members m ON m.queue = q.queue LEFT JOIN agents a ON a.id = m.agent GROUP BY q.queue, q.depth, q.online`)
	if err != nil {
		return nil
	}
	costs := st.costs()
	known := make(map[string]row, len(list))
	for _, r := range list {
		known[r.queue] = r
	}
	var troubles []document.Trouble
	for _, name := range slices.Sorted(maps.Keys(st.queues)) {
		q, r := st.queues[name], known[name]
		t := document.Trouble{Entry: string(document.EntryAgentQueue) + "/" + name}
		var lacking []string
		if r.depth > 0 {
			if lacking, err = s.lackingSkills(ctx, name); err != nil {
				return nil
			}
		}
		switch {
		case st.over(q, s.now()):
			t.Reason = reasonScheduleOver
			t.Message = scheduleOver(q)
		case r.agents == 0:
			t.Reason = reasonNoAgents
			t.Message = fmt.Sprintf("no agent of namespace %s has the labels and skills that it selects, so its conversations wait; make agents with POST /v1/agents, or mend spec.selector", namespaceOf(name))
		case costs.above(q, r.most, r.ordinary > 0):
			t.Reason = reasonNoCapacity
			t.Message = fmt.Sprintf("none of its %d agents has the units for even one conversation, so they all wait; raise spec.capacity.units or the agents' own units, or lower spec.capacity.costs", r.agents)
		case len(lacking) > 0:
			t.Reason = reasonNoSkills
			t.Message = fmt.Sprintf("conversations wait for the skills %s, and none of its %d agents has all of them; give them to an agent, or mend the skills that the policy's step requires", strings.Join(lacking, ", "), r.agents)
		case r.online == 0 && st.open(q, s.now()):
			t.Reason = reasonNobodyOnline
			t.Message = fmt.Sprintf("it is open and none of its %d agents is online, so its conversations wait", r.agents)
		default:
			continue
		}
		troubles = append(troubles, t)
	}
	return troubles
}

// over says that a queue never opens again.
func (st *state) over(q *agentQueue, now time.Time) bool {
	hours := st.hours(q)
	if hours == nil || hours.Open(now) {
		return false
	}
	_, opens := hours.NextTransition(now)
	return !opens
}

func scheduleOver(q *agentQueue) string {
	message := fmt.Sprintf("the hours of its Schedule %s are over, and it never opens again, so agents are given nothing of it; ", q.Schedule)
	if q.Limits.MaxWait > 0 && q.Limits.OnFull != routing.OnFullHold {
		message += fmt.Sprintf("what waits goes on after %s by the wall clock; ", time.Duration(q.Limits.MaxWait))
	} else {
		message += "what waits does so until its step ends, or for ever; "
	}
	return message + "give the Schedule weekly hours, or dates that are to come"
}

// costs are which classes of conversations the channels of each namespace bring.
type costs map[string]map[routing.ChannelClass]bool

func (st *state) costs() costs {
	c := costs{}
	for name := range st.channels {
		ns := namespaceOf(name)
		if c[ns] == nil {
			c[ns] = map[routing.ChannelClass]bool{}
		}
		c[ns][st.classOf(name)] = true
	}
	return c
}

// above says that every conversation that can come into a queue takes more units
// than any agent has: the most of their own, or the queue's where they have none.
func (c costs) above(q *agentQueue, most int64, ordinary bool) bool {
	if ordinary {
		most = max(most, int64(unitsOf(q, 0)))
	}
	classes := c[namespaceOf(q.Name)]
	for class := range classes {
		if int64(q.Capacity.Cost(class, 0)) <= most {
			return false
		}
	}
	return len(classes) > 0
}

// lackingSkills are the skills that something in a queue needs and that none of its
// agents has together, whether they are online or not; of the first such need.
func (s *Store) lackingSkills(ctx context.Context, queue string) ([]string, error) {
	var agents []map[string]int
	for need := ""; ; {
		var next sql.NullString
		if _, err := one(ctx, s.read, []any{&next}, `SELECT MIN(need) FROM queue_entries WHERE queue = ? AND state = 'waiting' AND need > ?`, queue, need); err != nil || !next.Valid {
			return nil, err
		}
		need = next.String
		required := routing.Selector{Skills: skillsOf(need).Required}
		if len(required.Skills) == 0 {
			continue
		}
		if agents == nil {
			var err error
			if agents, err = all(ctx, s.read, scanSkills, `SELECT DISTINCT a.skills FROM queue_members m JOIN agents a ON a.id = m.agent WHERE m.queue = ?`, queue); err != nil {
				return nil, err
			}
		}
		if slices.ContainsFunc(agents, func(skills map[string]int) bool { return required.Selects(nil, skills) }) {
			continue
		}
		names := make([]string, len(required.Skills))
		for i, skill := range required.Skills {
			names[i] = skill.Name
			if skill.MinLevel > 1 {
				names[i] += fmt.Sprintf(" (level %d)", skill.MinLevel)
			}
		}
		return names, nil
	}
}

func scanSkills(rows *sql.Rows) (skills map[string]int, err error) {
	var raw string
	if err := rows.Scan(&raw); err != nil {
		return nil, err
	}
	return skills, unmarshalSome(raw, &skills)
}
