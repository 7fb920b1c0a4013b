package store

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Work at rest, or for one message, must not grow with what was sent before,
// nor with the number of channels.
func TestHotQueriesWalkNoTables(t *testing.T) {
	sqliteOnly(t)
	b := newBox(t, testCaps)
	for query, index := range map[string]string{
		`SELECT channel, due_at FROM outbox_channels WHERE bridge = ? AND due_at > 0 ORDER BY due_at, rounds`: "outbox_channels_due",
		`SELECT lease_until FROM lanes WHERE lease_until > 0 ORDER BY lease_until LIMIT 1`:                    "lanes_leased",
		b.outbox.sql.dueLanes: "lanes_due",
		b.outbox.sql.heads:    "deliveries_queued",
		b.outbox.sql.busy:     "deliveries_queued",
		`SELECT receipt FROM sent_ids WHERE lane = ? AND sent_at > ? AND sent_at <= ? ORDER BY sent_at`: "sent_ids_lane",
		`SELECT channel FROM assignments WHERE session = ?`:                                             "assignments_session",
	} {
		plan, err := all(t.Context(), b.read, func(r *sql.Rows) (detail string, err error) {
			var id, parent, unused int
			return detail, r.Scan(&id, &parent, &unused, &detail)
		}, "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
		require.NoError(t, err)
		text := strings.Join(plan, "; ")
		require.Contains(t, text, index, query)
		require.NotContains(t, text, "TEMP B-TREE", query)
	}
}
