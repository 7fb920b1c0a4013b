package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Batches that want the same rows in opposite orders wait for each other in one
// order: no transaction is done again.
func TestBatchesOfReplicasDoNotDeadlock(t *testing.T) {
	list := replicas(t, 3)
	const contacts = 12
	var wg sync.WaitGroup
	for r, s := range list {
		for w := range 3 {
			wg.Go(func() {
				for n := range 10 {
					env := envelope(telegram)
					for c := range contacts {
						if r%2 == 1 {
							c = contacts - 1 - c
						}
						env.Elements = append(env.Elements, envelope(telegram, textFrom(numbered("c", c), fmt.Sprintf("%d-%d-%d-%d", r, w, n, c), "x")).Elements...)
					}
					if _, err := s.Ingest(context.Background(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{env}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	require.Equal(t, 3*3*10*contacts, count(t, list[0], "messages"))
	for _, s := range list {
		require.Zero(t, testutil.ToFloat64(s.metrics.repeated), "transactions lost against others")
	}
}

// Where a deadlock happens all the same, the database ends one of the two, and
// that one is done again.
func TestDeadlocksAreDoneAgain(t *testing.T) {
	list := replicas(t, 2)
	for i := range 2 {
		stored(t, list[0], telegram, textFrom(numbered("c", i), numbered("m", i), "x"))
	}
	ids, err := all(t.Context(), list[0].read, scanText, `SELECT id FROM conversations ORDER BY id`)
	require.NoError(t, err)
	met := make(chan struct{}, 2)
	var wg sync.WaitGroup
	for i, s := range list {
		var once sync.Once
		wg.Go(func() {
			if err := s.write(context.Background(), 1, func(tx *txn) error {
				touch := `UPDATE conversations SET updated_at = updated_at + 1 WHERE id = ?`
				if _, err := tx.exec(touch, ids[i]); err != nil {
					return err
				}
				once.Do(func() { // both have one before either wants the other
					met <- struct{}{}
					for deadline := time.Now().Add(time.Minute); len(met) < 2 && time.Now().Before(deadline); {
						time.Sleep(time.Millisecond)
					}
				})
				_, err := tx.exec(touch, ids[1-i])
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// More than once, when the one that was chosen is back before the other one woke.
	require.Positive(t, testutil.ToFloat64(list[0].metrics.repeated)+testutil.ToFloat64(list[1].metrics.repeated))
}

// Replicas that start at once on an empty database migrate it once.
func TestReplicasMigrateOnce(t *testing.T) {
	postgresOnly(t)
	server := testServer(t)
	name, err := server.Create(t.Context(), "template1")
	require.NoError(t, err)
	dsn := writeDSN(t.TempDir(), server.DSN(name))
	stores := make([]*Store, 4)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			var err error
			if stores[i], err = Open(context.Background(), Options{PostgresDSNFile: dsn}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		if s != nil {
			require.NoError(t, s.Close())
		}
	}
}

// The version before goes on, and starts again, on the schema of the next one,
// unless that one has taken something away.
func TestNewerSchemaOfReplicas(t *testing.T) {
	postgresOnly(t)
	dir := t.TempDir()
	opts := onBackend(t, Options{Dir: dir})
	s := openTestStore(t, opts)
	t.Cleanup(func() {
		require.NoError(t, testServer(t).Exec(context.Background(), dsnOf(t, opts), `DELETE FROM goose_db_version WHERE version_id = 999; UPDATE store_identity SET oldest = 4`))
	})
	run := func(statement string) {
		require.NoError(t, s.write(t.Context(), 1, func(tx *txn) error { _, err := tx.exec(statement); return err }))
	}
	run(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)`)
	old := openTestStore(t, opts)
	require.Empty(t, old.Load(t.Context(), testDocument(t, testEntries(t)...)))
	stored(t, old, telegram, text("m1", "x"))
	run(`UPDATE store_identity SET oldest = 999`)
	_, err := Open(t.Context(), opts)
	require.ErrorContains(t, err, "works with stores that know at least version 999")
}

func dsnOf(t *testing.T, opts Options) string {
	t.Helper()
	raw, err := os.ReadFile(opts.PostgresDSNFile)
	require.NoError(t, err)
	return strings.TrimSpace(string(raw))
}

// Another password comes into force without a restart; one that is wrong
// changes nothing and is reported; neither is ever written down.
func TestDSNRotation(t *testing.T) {
	server, _ := ownServer(t)
	name, err := server.Create(t.Context(), "template1")
	require.NoError(t, err)
	require.NoError(t, server.Exec(t.Context(), server.DSN(name), `CREATE ROLE blue LOGIN SUPERUSER PASSWORD 'sekretblue'; CREATE ROLE green LOGIN SUPERUSER PASSWORD 'sekretgreen'`))
	as := func(user string) string {
		return strings.Replace(server.DSN(name), "postgres@", user+":sekret"+user+"@", 1)
	}
	dir := t.TempDir()
	path := writeDSN(dir, as("blue"))
	var log lockedLog
	s := openOn(t, path, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	l := startLoad(t, s)
	look := func() bool {
		return s.db.postgres.dsn.look(t.Context(), func(ctx context.Context, d *destination) error {
			identity, err := all(ctx, s.read, scanText, `SELECT store FROM store_identity`)
			require.NoError(t, err)
			return s.db.postgres.tryOut(ctx, d, identity[0])
		})
	}
	other, err := server.Create(t.Context(), "template1")
	require.NoError(t, err)
	for _, wrong := range []string{"", "postgres://blue:sekretblue@127.0.0.1:1/" + name, "sekret not a dsn", strings.Replace(as("blue"), name, "sekretnone", 1), strings.Replace(as("blue"), name, other, 1)} {
		writeDSN(dir, wrong)
		require.False(t, look(), wrong)
		h := s.Health(t.Context())
		require.True(t, h.OK, "the old one is in force")
		require.Len(t, h.Warnings, 1)
		require.Equal(t, warningDSN, h.Warnings[0].Reason)
		require.NotContains(t, h.Warnings[0].Message, "sekret")
	}
	writeDSN(dir, as("green"))
	require.True(t, look())
	s.relay.again()
	require.Empty(t, s.Health(t.Context()).Warnings)
	before := l.acked.Load()
	waitFor(t, "load with the new DSN", func() bool { return l.acked.Load() > before+50 })
	users := func() []string {
		list, err := all(t.Context(), s.read, scanText, `SELECT DISTINCT usename::text FROM pg_stat_activity WHERE datname = current_database()`)
		require.NoError(t, err)
		return list
	}
	waitFor(t, "the old connections to end", func() bool { u := users(); return len(u) == 1 && u[0] == "green" })
	require.Zero(t, l.refused.Load(), "nobody noticed")
	l.finish()
	require.NotContains(t, log.String(), "sekret")
}

// A role that is mended (a search_path, a grant) comes into force although the file
// stays as it is; until then it is tried less and less often, and reported.
func TestARefusedDSNIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	f, err := openDSN(writeDSN(dir, "postgres://blue@localhost/store"))
	require.NoError(t, err)
	c := &clock{now: testTime}
	f.now = c.Now
	writeDSN(dir, "postgres://green@localhost/store")
	refusal, tries := errors.New("it does not lead to a store's database"), 0
	look := func() bool {
		return f.look(t.Context(), func(context.Context, *destination) error { tries++; return refusal })
	}
	for range int(10 * time.Minute / dsnEvery) {
		require.False(t, look())
		require.Len(t, f.warnings(), 1)
		c.advance(dsnEvery)
	}
	require.Equal(t, 14, tries, "after 2, 4, 8, 16, 32 s, then once a minute")
	refusal = nil
	mended := c.Now()
	for !look() {
		require.Less(t, c.Now().Sub(mended), dsnRetryMax)
		c.advance(dsnEvery)
	}
	require.Empty(t, f.warnings())
	require.EqualValues(t, 2, f.generation())

	refusal = errors.New("another one")
	writeDSN(dir, "postgres://red@localhost/store")
	require.False(t, look())
	writeDSN(dir, "postgres://pink@localhost/store")
	tries = 0
	require.False(t, look())
	require.Equal(t, 1, tries, "what is new is tried at once")
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Errors never hold what a DSN or a row says.
func TestErrorsOfTheDriverAreScrubbed(t *testing.T) {
	d := &postgresDialect{}
	for _, code := range []string{"08006", "25006", "28P01", "3D000", "40P01", "40001", "53100", "53300", "55P03", "57P01", "57014", "58030"} {
		err := d.classify(fmt.Errorf("outer: %w", &pgconn.PgError{Code: code, Message: `password for user "sekret"`, Detail: "sekret"}))
		require.ErrorIs(t, err, ErrUnavailable, code)
		require.NotContains(t, err.Error(), "sekret")
		require.Equal(t, code[:2] == "40", d.lost(err), code)
	}
	err := d.classify(&pgconn.PgError{Code: "23505", Message: "sekret", Detail: "Key (id)=(sekret)", TableName: "messages", ConstraintName: "messages_pkey"})
	require.NotErrorIs(t, err, ErrUnavailable)
	require.Equal(t, "database: SQLSTATE 23505 messages messages_pkey", err.Error())
	require.True(t, isUniqueViolation(err))
	require.Equal(t, err.Error(), d.classify(err).Error(), "classified once more, it stays")
	_, err = pgconn.Connect(t.Context(), "postgres://sekret:sekret@127.0.0.1:1/sekret?connect_timeout=1")
	require.Error(t, err)
	err = d.classify(err)
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotContains(t, err.Error(), "sekret")
	require.Contains(t, err.Error(), "connection refused")
	require.Equal(t, ErrConflict, d.classify(ErrConflict), "what is not the driver's stays")
}

func TestDSNFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dsn")
	_, err := openDSN(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	for content, want := range map[string]string{"": "is empty", "sekret://x": "holds neither"} {
		writeDSN(dir, content)
		_, err := openDSN(path)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "sekret")
	}
	writeDSN(dir, "postgres://u:p@h/d")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), []byte("not a certificate"), 0o600))
	_, err = openDSN(path)
	require.ErrorContains(t, err, "ca.crt must hold certificates")
	require.Equal(t, "postgres://u@h/d?sslrootcert=%2Fa+b", withParam("postgres://u@h/d", "sslrootcert", "/a b"))
	require.Equal(t, "postgres://u@h/d?x=y&sslcert=%2Fa", withParam("postgres://u@h/d?x=y", "sslcert", "/a"))
	require.Equal(t, `host=h sslkey='/a\'b'`, withParam("host=h", "sslkey", "/a'b"))
}

func TestRebind(t *testing.T) {
	d := &postgresDialect{}
	require.Equal(t, "SELECT 1", d.rebind("SELECT 1"))
	require.Equal(t, "SELECT $1 FROM x WHERE a = $2 AND b IN ($3, $4)", d.rebind("SELECT ? FROM x WHERE a = ? AND b IN (?, ?)"))
}

// Whatever two batches need: they take their locks in one order, every need is
// covered, and no batch takes too many.
func TestLocksAreOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLocks()
		type need struct {
			kind          int
			channel, name string
		}
		var needs []need
		for range rapid.IntRange(0, 300).Draw(t, "needs") {
			n := need{rapid.IntRange(0, 2).Draw(t, "kind"), rapid.SampledFrom([]string{"a/a", "a/b", "b/a"}).Draw(t, "channel"), fmt.Sprint(rapid.IntRange(0, 400).Draw(t, "name"))}
			needs = append(needs, n)
			other := newLocks()
			switch n.kind {
			case 0:
				other.party(n.channel, n.name)
			case 1:
				other.outbox(n.channel)
			default:
				if rapid.IntRange(0, 20).Draw(t, "exclusive") == 0 {
					other.inbox(n.channel)
				}
			}
			l.add(other)
		}
		list := l.ordered()
		require.LessOrEqual(t, len(list), maxLocks)
		held := map[int64]bool{} // by key: shared
		for i, k := range list {
			if i > 0 {
				require.Less(t, list[i-1].key, k.key)
			}
			held[k.key] = k.shared
		}
		require.Equal(t, rootKey, list[0].key)
		for _, n := range needs {
			switch n.kind {
			case 0:
				inbox, some := held[keyOf(spaceInbox, n.channel)]
				require.True(t, some)
				_, own := held[keyOf(spaceParty, n.channel, n.name)]
				require.True(t, own || !inbox, "the party, or the whole inbox")
			case 1:
				shared, some := held[keyOf(spaceOutbox, n.channel)]
				require.True(t, some && !shared)
			}
		}
	})
}

// Both databases have the same tables with the same columns, apart from what
// SQLite keeps in files.
func TestSchemasAreTheSame(t *testing.T) {
	postgresOnly(t)
	pg := openTestStore(t, Options{Dir: t.TempDir()})
	lite, err := Open(t.Context(), Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer lite.Close()
	inPG, err := all(t.Context(), pg.read, scanText, `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT IN ('goose_db_version', 'store_identity', 'media_files', 'media_pieces') ORDER BY 1`)
	require.NoError(t, err)
	inLite, err := all(t.Context(), lite.read, scanText, `SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'goose_db_version' ORDER BY 1`)
	require.NoError(t, err)
	require.ElementsMatch(t, inLite, inPG)
	indexes := `SELECT %s FROM %s WHERE %s ORDER BY 1`
	pgIndexes, err := all(t.Context(), pg.read, scanText, fmt.Sprintf(indexes, "indexname::text", "pg_indexes", "schemaname = 'public' AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key' AND indexname NOT LIKE 'media_files%'"))
	require.NoError(t, err)
	liteIndexes, err := all(t.Context(), lite.read, scanText, fmt.Sprintf(indexes, "name", "sqlite_master", "type = 'index' AND name NOT LIKE 'sqlite_%'"))
	require.NoError(t, err)
	require.ElementsMatch(t, liteIndexes, pgIndexes)
}

// Media of several pieces come out as they went in, from any place.
func TestMediaInPieces(t *testing.T) {
	postgresOnly(t)
	s, c := testStore(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), (2*pieceSize+4096)/16)
	id, err := s.UploadMedia(t.Context(), everything, "shop", MediaMeta{Name: "a"}, bytes.NewReader(content))
	require.NoError(t, err)
	require.Equal(t, 3, count(t, s, "media_pieces"))
	_, r, err := s.OpenMedia(t.Context(), everything, id)
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	at := int64(pieceSize - 3)
	_, err = r.(io.Seeker).Seek(at, io.SeekStart)
	require.NoError(t, err)
	part := make([]byte, 10)
	_, err = io.ReadFull(r, part)
	require.NoError(t, err)
	require.Equal(t, content[at:at+10], part)
	require.NoError(t, r.Close())

	// An upload that broke off leaves nothing for long.
	_, err = s.UploadMedia(t.Context(), everything, "shop", MediaMeta{}, io.MultiReader(bytes.NewReader(content), brokenReader{}))
	require.Error(t, err)
	require.Equal(t, 1, count(t, s, "media_files"))
	_, err = s.blobs.put(strings.NewReader("written, never named"), 100)
	require.NoError(t, err)
	w := sweeper{s: s}
	require.NoError(t, w.sweep(t.Context()))
	require.Equal(t, 2, count(t, s, "media_files"), "somebody may be about to name it")
	c.advance(untouchedFor + time.Second)
	for range 256 {
		_, err = s.blobs.sweep(t.Context(), s)
		require.NoError(t, err)
	}
	require.Equal(t, 1, count(t, s, "media_files"))
	require.Equal(t, 3, count(t, s, "media_pieces"))
}
