//go:build faults

package faults

import (
	"context"
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
	return databaseOf(t, postgres.Options{Fsync: true})
}

func databaseOf(t *testing.T, o postgres.Options) (*postgres.Server, backend) {
	t.Helper()
	server, err := postgres.Start(t.Context(), o)
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
// messages flow; the old role is locked out afterwards, also where it is
// connected already.
func TestDSNRotated(t *testing.T) {
	t.Parallel()
	server, b := ownDatabase(t)
	admin := b.dsn(t)
	require.NoError(t, server.Exec(t.Context(), admin, `CREATE ROLE first LOGIN SUPERUSER; CREATE ROLE next LOGIN SUPERUSER`))
	b.dsn = func(*testing.T) string { return postgres.WithUser(admin, "first") }
	w := start(t, b, nil)
	clients := func(role string) string {
		n, err := server.Query(t.Context(), admin, `SELECT count(*) FROM pg_stat_activity WHERE usename = '`+role+`'`)
		if err != nil {
			return err.Error()
		}
		return n
	}
	r := load(t, w, 1, func(accepted func(int)) {
		accepted(some)
		require.NotEqual(t, "0", clients("first"))
		require.NoError(t, w.SetDSN(postgres.WithUser(admin, "next")))
		require.Eventually(t, func() bool { n := clients("next"); return n != "0" && n != "" }, time.Minute, 50*time.Millisecond, "nobody uses the new DSN")
		accepted(some)
		require.NoError(t, server.Exec(t.Context(), admin, `ALTER ROLE first NOLOGIN`))
		require.NoError(t, server.Exec(t.Context(), admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'first'`))
		accepted(some)
	})
	require.Equal(t, "0", clients("first"))
	verify(t, w, r, 1)
}

// TestPostgresStoppedWhileSending: reports and leases are lost with the server,
// and whoever writes repeats what was not answered. The bridges live on and tell
// in the end what became of what they sent: nothing is unknown.
func TestPostgresStoppedWhileSending(t *testing.T) {
	t.Parallel()
	server, b := ownDatabase(t)
	const replies = 20
	ends := []func(){server.Stop, server.Kill, server.Stop}
	d := openDesk(t, b)
	during(t, func(ctx context.Context) error {
		for _, end := range ends {
			end()
			if err := server.Start(ctx); err != nil {
				return err
			}
		}
		return nil
	}, func() { d.reply(t, 0, replies) })
	d.settleSent(t, replies)
}
