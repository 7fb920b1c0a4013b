package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// expansion is a migration of a version to come: columns with defaults in the
// tables that every message and every reply writes, and indexes on them.
const expansion = `-- +goose Up
ALTER TABLE messages ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';
CREATE INDEX messages_mood ON messages (mood, id);
ALTER TABLE conversations ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';
CREATE INDEX conversations_mood ON conversations (mood, id);
ALTER TABLE deliveries ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';
CREATE INDEX deliveries_mood ON deliveries (mood, message);
`

var expanded = []string{"messages", "conversations", "deliveries"}

// unshared opens stores on a database that no other test gets afterwards: two
// on PostgreSQL, and the one that there can be on SQLite.
func unshared(t *testing.T) ([]*Store, Options) {
	t.Helper()
	opts := Options{Dir: t.TempDir(), Capabilities: map[string]platform.Capabilities{"telegram": testCaps}}
	list := make([]*Store, 1)
	if backend == "postgres" {
		server := testServer(t)
		name, err := server.Create(t.Context(), postgresServer.template)
		require.NoError(t, err)
		opts.PostgresDSNFile = writeDSN(t.TempDir(), server.DSN(name))
		list = make([]*Store, 2)
	}
	for i := range list {
		list[i] = openTestStore(t, opts)
		require.Empty(t, list[i].Load(t.Context(), testDocument(t, testEntries(t)...)))
	}
	return list, opts
}

// expand migrates the database of open stores as a version to come does at its
// start: over connections of its own, with all migrations of now and one more.
func expand(t *testing.T, s *Store, opts Options, log *slog.Logger) error {
	known, kind := s.db.migrations()
	names, err := fs.Glob(known, "*.sql")
	if err != nil {
		return err
	}
	files := fstest.MapFS{"0999_expansion.sql": {Data: []byte(expansion)}}
	for _, name := range names {
		data, err := fs.ReadFile(known, name)
		if err != nil {
			return err
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	var pool *sql.DB
	if s.db.postgres != nil {
		pool = sql.OpenDB(&connector{dsn: s.db.postgres.dsn, settings: migrationSettings})
	} else if pool, err = sql.Open("sqlite", sqliteDSN(filepath.Join(opts.Dir, sqliteFile), sqliteWriterCache)); err != nil {
		return err
	}
	defer pool.Close()
	return migrateWith(t.Context(), s.db, pool, files, kind, log, options)
}

// readForLong reads a table for as long as its transaction lasts, as a backup does.
func readForLong(t *testing.T, s *Store) *sql.Tx {
	t.Helper()
	tx, err := s.db.reader.BeginTx(context.WithoutCancel(t.Context()), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	var n int
	require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM conversations`).Scan(&n))
	return tx
}

// A version to come expands the schema while this one takes messages in and
// sends replies, and somebody reads its tables for long. Nothing is refused,
// nobody waits for long, every id is there once, replies are sent in order, and
// what is written by code that does not know the new columns has their defaults.
func TestThisVersionWorksWhileTheSchemaExpands(t *testing.T) {
	list, opts := unshared(t)
	b := &box{Store: list[0], t: t}
	l := startLoad(t, list...)
	l.hand(list[0], "answered", "9-0")
	l.mu.Lock()
	first := l.stored["9-0"]
	l.mu.Unlock()
	conversation := getMessage(t, b.Store, first).Conversation

	var replies []string
	// answer sends one reply, of which some step comes when the schema is another
	// one than at the step before.
	answer := func() {
		t.Helper()
		b.Store = list[len(replies)%len(list)]
		replies = append(replies, b.send(conversation, numbered("r", len(replies))))
		var d wire.Delivery
		waitFor(t, "the delivery", func() bool {
			if ds := b.lease(1); len(ds) > 0 {
				d = ds[0]
			}
			return d.ID != ""
		})
		require.Equal(t, replies[len(replies)-1], d.ID, "in order")
		b.Store = list[(len(replies)+1)%len(list)]
		b.sent(d)
	}
	more := func() {
		t.Helper()
		before, answered := l.acked.Load(), len(replies)
		for l.acked.Load() < before+500 || len(replies) < answered+10 {
			answer()
		}
	}
	more()
	var reader *sql.Tx
	if backend == "postgres" {
		reader = readForLong(t, list[0])
	}
	var log lockedLog
	done := make(chan error, 1)
	go func() { done <- expand(t, list[0], opts, slog.New(slog.NewTextHandler(&log, nil))) }()
	if backend == "postgres" {
		for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(log.String(), "others use its tables"); answer() {
			require.True(t, time.Now().Before(deadline), "it does not wait for somebody who reads for long")
		}
		require.NoError(t, reader.Rollback())
	}
	for migrating := true; migrating; {
		answer()
		select {
		case err := <-done:
			require.NoError(t, err)
			migrating = false
		default:
		}
	}
	rows := count(t, list[0], "messages WHERE mood = 'calm'")
	more()
	if backend == "postgres" { // a pod of this version that starts only now
		late := openTestStore(t, opts)
		require.Empty(t, late.Load(t.Context(), testDocument(t, testEntries(t)...)))
		l.hand(late, "late", "9-1")
	}
	l.finish()

	require.Zero(t, l.refused.Load(), "nobody noticed")
	require.Less(t, time.Duration(l.slowest.Load()), time.Minute, "nobody waits until the schema is done")
	t.Logf("%d messages and %d replies, the slowest answer after %s", l.acked.Load(), len(replies), time.Duration(l.slowest.Load()).Round(time.Millisecond))
	require.Greater(t, count(t, list[0], "messages"), rows)
	for _, table := range expanded {
		require.Zero(t, count(t, list[0], table+" WHERE mood <> 'calm'"), table)
	}
	for i, id := range replies {
		m := getMessage(t, list[0], id)
		require.Equal(t, message.StatusSent, m.Status, "reply %d", i)
		require.Equal(t, fmt.Sprintf("%s/0", id), m.ExternalID)
	}
	require.Equal(t, len(replies), count(t, list[0], "messages WHERE direction = 'outbound'"))
}

// firstReleased is the last migration from before there was a version to upgrade
// from: 0010 writes a table anew and takes an index away at once, which nobody
// meets, and which no later one may do.
const firstReleased = 11

// Migrations expand: the version before goes on working on the new schema, and
// waits for no table to be written anew. What they may not do is left to one of
// the version after, which then raises store_identity.oldest.
func TestMigrationsOnlyExpand(t *testing.T) {
	allowed := []*regexp.Regexp{
		regexp.MustCompile(`^CREATE TABLE `),
		regexp.MustCompile(`^CREATE INDEX `),
		// A default that is a constant needs no rewriting; without NOT NULL it is NULL.
		regexp.MustCompile(`^ALTER TABLE \w+ ADD COLUMN \w+ (TEXT|BIGINT|INTEGER|DOUBLE PRECISION|REAL|BYTEA|BLOB)( COLLATE "C")?( NOT NULL DEFAULT ('[^']*'|-?[0-9.]+))?$`),
		regexp.MustCompile(`^INSERT INTO `),
	}
	raises := regexp.MustCompile(`^UPDATE store_identity SET oldest = [0-9]+$`)
	for _, files := range []string{"migrations/sqlite/*.sql", "migrations/postgres/*.sql"} {
		names, err := filepath.Glob(files)
		require.NoError(t, err)
		require.NotEmpty(t, names)
		for _, name := range names {
			version, err := goose.NumericComponent(name)
			require.NoError(t, err)
			statements := upStatements(t, name)
			if version <= firstReleased || slices.ContainsFunc(statements, raises.MatchString) {
				continue
			}
			made := strings.Join(statements, ";\n")
			for _, s := range statements {
				ok := slices.ContainsFunc(allowed, func(r *regexp.Regexp) bool { return r.MatchString(s) })
				if table := regexp.MustCompile(`^CREATE UNIQUE INDEX \w+ ON (\w+)`).FindStringSubmatch(s); table != nil {
					ok = strings.Contains(made, "CREATE TABLE "+table[1]+" ") // else the version before may write what it refuses
				}
				require.True(t, ok, "%s: the version before may not get along with: %s", name, s)
			}
		}
	}
}

// upStatements are the statements of a migration's way up, without comments.
func upStatements(t *testing.T, name string) (list []string) {
	t.Helper()
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	up, _, _ := strings.Cut(string(raw), "-- +goose Down")
	up = regexp.MustCompile(`--[^\n]*`).ReplaceAllString(up, "")
	for s := range strings.SplitSeq(up, ";") {
		if s = strings.Join(strings.Fields(s), " "); s != "" {
			list = append(list, s)
		}
	}
	return list
}
