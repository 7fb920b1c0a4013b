package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Reasons of queues in trouble. The words are stable.
const (
	reasonNoAgents     = "NoAgents"
	reasonNobodyOnline = "NobodyOnline"
	reasonNoCapacity   = "NoCapacity"
)

// Troubles are the queues whose conversations wait for nobody: no agent is
// selected, none could carry even one conversation, or none is online although the
// queue is open. They name no agents.
// Where the database does not answer there are none: Health tells of that.
func (s *Store) Troubles(ctx context.Context) []document.Trouble {
	st := s.state.Load()
	if len(st.queues) == 0 {
		return nil
	}
	type row struct {
		queue          string
		online, agents int64
		most, ordinary int64 // units of who has most of their own; agents who have none of their own
	}
	list, err := all(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		return r, rows.Scan(&r.queue, &r.online, &r.agents, &r.most, &r.ordinary)
	}, `SELECT q.queue, q.online, COUNT(a.id), COALESCE(MAX(a.units), 0), COALESCE(SUM(CASE WHEN a.units = 0 THEN 1 ELSE 0 END), 0)
		FROM queues q LEFT JOIN queue_members m ON m.queue = q.queue LEFT JOIN agents a ON a.id = m.agent GROUP BY q.queue, q.online`)
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
		switch {
		case r.agents == 0:
			t.Reason = reasonNoAgents
			t.Message = fmt.Sprintf("no agent of namespace %s has the labels and skills that it selects, so its conversations wait; make agents with POST /v1/agents, or mend spec.selector", namespaceOf(name))
		case costs.above(q, r.most, r.ordinary > 0):
			t.Reason = reasonNoCapacity
			t.Message = fmt.Sprintf("none of its %d agents has the units for even one conversation, so they all wait; raise spec.capacity.units or the agents' own units, or lower spec.capacity.costs", r.agents)
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
