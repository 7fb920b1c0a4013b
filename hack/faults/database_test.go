//go:build faults

package faults

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/postgres"
)

// shared is the server of the scenarios that do not stop it.
var shared struct {
	once   sync.Once
	server *postgres.Server
	err    error
}

func newDatabase(t *testing.T) string {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = postgres.Start(t.Context(), postgres.Options{Fsync: true}) })
	require.NoError(t, shared.err)
	dsn, err := shared.server.NewDatabase(t.Context())
	require.NoError(t, err)
	return dsn
}

func stopDatabase() {
	if shared.server != nil {
		shared.server.Close()
	}
}

// ownDatabase is of a server that a scenario may stop and kill.
func ownDatabase(t *testing.T) (*postgres.Server, backend) {
	t.Helper()
	server, err := postgres.Start(t.Context(), postgres.Options{Fsync: true})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	return server, backend{name: "postgres", stores: 2, dsn: func(t *testing.T) string {
		t.Helper()
		dsn, err := server.NewDatabase(t.Context())
		require.NoError(t, err)
		return dsn
	}}
}

// TestPostgresStopped stops the server under load, in a hurry and by force, and
// then for longer than anything that bridges and stores keep in memory lives.
func TestPostgresStopped(t *testing.T) {
	const long = 45 * time.Second
	t.Parallel()
	server, b := ownDatabase(t)
	w := start(t, b, nil)
	r := load(t, w, 1, func(accepted func(int)) {
		accepted(some)
		server.Stop()
		require.NoError(t, server.Start(t.Context()))
		accepted(some)
		server.Kill()
		require.NoError(t, server.Start(t.Context()))
		accepted(some)
		server.Stop()
		<-time.After(long) // the fault's own length
		require.NoError(t, server.Start(t.Context()))
		accepted(some)
	})
	verify(t, w, r, 1)
}

// TestDSNRotated moves the stores to another role of the same database while
// messages flow; the old role is locked out afterwards.
func TestDSNRotated(t *testing.T) {
	server, b := ownDatabase(t)
	dsn := b.dsn(t)
	require.NoError(t, server.Exec(t.Context(), dsn, `CREATE ROLE next LOGIN SUPERUSER`))
	b.dsn = func(*testing.T) string { return dsn }
	w := start(t, b, nil)
	r := load(t, w, 1, func(accepted func(int)) {
		accepted(some)
		next := postgres.WithUser(dsn, "next")
		require.NoError(t, w.SetDSN(next))
		require.Eventually(t, func() bool {
			n, err := server.Query(t.Context(), dsn, `SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE usename = 'next'`)
			return err == nil && n != "0"
		}, 30*time.Second, 50*time.Millisecond, "nobody uses the new DSN")
		accepted(some)
	})
	stored, err := w.Desk().Messages(t.Context(), channel, "inbound")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(stored), r.Total())
}
