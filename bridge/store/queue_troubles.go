package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Reasons of queues in trouble. The words are stable.
const (
	reasonNoAgents     = "NoAgents"
	reasonNobodyOnline = "NobodyOnline"
)

// Troubles are the queues whose conversations wait for nobody: no agent is
// selected, or none is online although the queue is open. They name no agents.
// Where the database does not answer there are none: Health tells of that.
func (s *Store) Troubles(ctx context.Context) []document.Trouble {
	st := s.state.Load()
	if len(st.queues) == 0 {
		return nil
	}
	type row struct {
		queue          string
		online, agents int64
	}
	list, err := all(ctx, s.read, func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.queue, &r.online, &r.agents) },
		`SELECT q.queue, q.online, (SELECT COUNT(*) FROM queue_members m WHERE m.queue = q.queue) FROM queues q`)
	if err != nil {
		return nil
	}
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
