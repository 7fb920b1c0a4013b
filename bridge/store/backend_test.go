package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	pgserver "github.com/bridgekeeper/bridgekeeper/hack/postgres"
)

// The whole suite runs twice, once on each database. This one names one of them
// (sqlite, postgres) to run it there alone; with -count=1, as go test does not
// know that results depend on it.
const backendVariable = "BRIDGEKEEPER_TEST_DATABASE"

// backend is the database that the suite runs on now.
var backend = "sqlite"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		ingestUntilKilled(dir)
	}
	only, status := os.Getenv(backendVariable), 0
	for _, backend = range []string{"sqlite", "postgres"} {
		if only != "" && only != backend {
			continue
		}
		fmt.Fprintln(os.Stderr, "=== database:", backend)
		if s := m.Run(); s != 0 {
			fmt.Fprintln(os.Stderr, "=== FAILED on database:", backend)
			status = s
		}
	}
	if postgresServer.server != nil {
		postgresServer.server.Close()
	}
	os.Exit(status)
}

// postgresServer is the process's server with a migrated template database.
var postgresServer struct {
	once     sync.Once
	server   *pgserver.Server
	template string
	err      error
	// databases by data folder: what opens the same folder again means the same store.
	mu        sync.Mutex
	databases map[string]string
	// free are databases of tests that are over. Emptying one takes some
	// milliseconds, making one a hundred.
	free []string
}

// emptied makes a database as it was after its migrations.
const emptied = `SET session_replication_role = replica; -- no foreign keys
DO $$ DECLARE t text; BEGIN
	FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('goose_db_version', 'store_identity', 'event_head') LOOP
		EXECUTE format('DELETE FROM %I', t);
	END LOOP;
END $$;
UPDATE event_head SET cursor = 0, horizon = 0, clock = 0`

// testDatabase is an empty, migrated database for a test.
func testDatabase(t testing.TB) string {
	t.Helper()
	server, p := testServer(t), &postgresServer
	p.mu.Lock()
	defer p.mu.Unlock()
	var name string
	if n := len(p.free); n > 0 {
		name, p.free = p.free[n-1], p.free[:n-1]
	} else {
		var err error
		name, err = server.Create(context.Background(), p.template)
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		if server.Exec(context.Background(), server.DSN(name), emptied) == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.free = append(p.free, name)
		}
	})
	return name
}

func startPostgres() {
	p := &postgresServer
	p.databases = map[string]string{}
	if p.server, p.err = pgserver.Start(context.Background(), pgserver.Options{}); p.err != nil {
		return
	}
	if p.template, p.err = p.server.Create(context.Background(), "template1"); p.err != nil {
		return
	}
	dir, err := os.MkdirTemp("", "bridgekeeper-dsn")
	if p.err = err; err != nil {
		return
	}
	defer os.RemoveAll(dir)
	s, err := Open(context.Background(), Options{PostgresDSNFile: writeDSN(dir, p.server.DSN(p.template))})
	if p.err = err; err == nil {
		p.err = s.Close()
	}
}

func writeDSN(dir, dsn string) string {
	path := filepath.Join(dir, "dsn")
	if err := os.WriteFile(path, []byte(dsn+"\n"), 0o600); err != nil {
		panic(err)
	}
	return path
}

// testServer is the PostgreSQL of this process; a test that needs it is skipped
// loudly where there is none.
func testServer(t testing.TB) *pgserver.Server {
	t.Helper()
	p := &postgresServer
	p.once.Do(startPostgres)
	pgserver.Require(t, p.err)
	return p.server
}

// onBackend turns options of a data folder into those of a database of its own.
func onBackend(t testing.TB, opts Options) Options {
	t.Helper()
	if backend == "sqlite" || opts.Dir == "" || opts.PostgresDSNFile != "" {
		return opts
	}
	server, p := testServer(t), &postgresServer
	p.mu.Lock()
	dsn, ok := p.databases[opts.Dir]
	p.mu.Unlock()
	if !ok {
		dsn = server.DSN(testDatabase(t))
		p.mu.Lock()
		p.databases[opts.Dir] = dsn
		p.mu.Unlock()
	}
	opts.PostgresDSNFile = writeDSN(t.TempDir(), dsn)
	return opts
}

// open opens a store on the backend.
func open(t testing.TB, opts Options) (*Store, error) {
	t.Helper()
	return Open(t.Context(), onBackend(t, opts))
}

// sqliteOnly leaves out what is about the data folder.
func sqliteOnly(t testing.TB) {
	t.Helper()
	if backend != "sqlite" {
		t.Skip("about SQLite and its data folder")
	}
}

// postgresOnly leaves out what is about several replicas.
func postgresOnly(t testing.TB) {
	t.Helper()
	if backend != "postgres" {
		t.Skip("about PostgreSQL")
	}
}
