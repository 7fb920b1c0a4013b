package store

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Another login comes into force in a store that has nothing to do: no
// connection of the one before stays.
func TestDSNRotationOfAnIdleStore(t *testing.T) {
	server, _ := ownServer(t)
	name, err := server.Create(t.Context(), "template1")
	require.NoError(t, err)
	require.NoError(t, server.Exec(t.Context(), server.DSN(name), `CREATE ROLE blue LOGIN SUPERUSER PASSWORD 'sekretblue'; CREATE ROLE green LOGIN SUPERUSER PASSWORD 'sekretgreen'`))
	as := func(user string) string {
		return strings.Replace(server.DSN(name), "postgres@", user+":sekret"+user+"@", 1)
	}
	dir := t.TempDir()
	s := openOn(t, writeDSN(dir, as("blue")), slog.New(slog.DiscardHandler))
	// As many connections as there can be: readers at the same time, and both writers.
	hold := make([]interface{ Close() error }, postgresReaders)
	for i := range hold {
		hold[i], err = s.db.reader.Conn(t.Context())
		require.NoError(t, err)
	}
	for _, c := range hold {
		require.NoError(t, c.Close())
	}
	logins := func() map[string]int {
		conn, err := pgx.Connect(t.Context(), server.DSN(name))
		require.NoError(t, err)
		defer conn.Close(context.Background())
		rows, err := conn.Query(t.Context(), `SELECT usename::text, COUNT(*) FROM pg_stat_activity WHERE usename IN ('blue', 'green') GROUP BY 1`)
		require.NoError(t, err)
		defer rows.Close()
		n := map[string]int{}
		for rows.Next() {
			var user string
			var count int
			require.NoError(t, rows.Scan(&user, &count))
			n[user] = count
		}
		return n
	}
	require.GreaterOrEqual(t, logins()["blue"], postgresReaders+postgresWriters)
	writeDSN(dir, as("green"))
	waitFor(t, "the connections of the old login to end", func() bool { n := logins(); return n["blue"] == 0 && n["green"] > 0 })
	_, err = ingestOnce(s, telegram, text("m1", "x"))
	require.NoError(t, err)
	require.Zero(t, logins()["blue"])
}
