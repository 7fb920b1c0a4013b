package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpg"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// load hands messages to stores from many goroutines until stop, and counts
// every id: what was acknowledged, and what a platform would send again.
type load struct {
	t      *testing.T
	stores []*Store
	stop   chan struct{}
	done   sync.WaitGroup

	mu      sync.Mutex
	pending map[string]bool // not acknowledged: the platform's to repeat
	stored  map[string]string
	acked   atomic.Int64
	refused atomic.Int64
	slowest atomic.Int64 // of the answers, in nanoseconds
}

func startLoad(t *testing.T, stores ...*Store) *load {
	l := &load{t: t, stores: stores, stop: make(chan struct{}), pending: map[string]bool{}, stored: map[string]string{}}
	for w := range 8 {
		l.done.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				l.hand(stores[n%len(stores)], numbered("c", w), fmt.Sprintf("%d-%d", w, n))
			}
		})
	}
	return l
}

func (l *load) hand(s *Store, contact, id string) {
	began := time.Now()
	r, err := ingestOnce(s, telegram, textFrom(contact, id, "x"))
	if took := time.Since(began).Nanoseconds(); took > l.slowest.Load() {
		l.slowest.Store(took)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if !errors.Is(err, ErrUnavailable) {
			l.t.Errorf("%s: %v", id, err)
		}
		l.refused.Add(1)
		l.pending[id] = true
		return
	}
	l.acked.Add(1)
	l.stored[id] = r.ID
	delete(l.pending, id)
}

// finish ends the load, repeats what was refused, and counts.
func (l *load) finish() {
	l.t.Helper()
	close(l.stop)
	l.done.Wait()
	waitFor(l.t, "the store to recover", func() bool {
		_, err := ingestOnce(l.stores[0], telegram, textFrom("c", "recovered", "x"))
		return err == nil
	})
	for id := range l.pending {
		w, _, _ := strings.Cut(id, "-")
		waitFor(l.t, id, func() bool {
			r, err := ingestOnce(l.stores[0], telegram, textFrom("c-"+w, id, "x"))
			if err == nil {
				l.stored[id] = r.ID
			}
			return err == nil
		})
	}
	s := l.stores[0]
	require.Equal(l.t, len(l.stored)+1, count(l.t, s, "messages"), "every id is stored once")
	require.Equal(l.t, len(l.stored)+1, count(l.t, s, "external_ids"))
	for id, stored := range l.stored {
		rows, err := all(l.t.Context(), s.read, scanText, `SELECT id FROM messages WHERE external_id = ?`, id)
		require.NoError(l.t, err)
		require.Equal(l.t, []string{stored}, rows, id)
	}
	events, head := eventsAfter(l.t, s, 0)
	require.EqualValues(l.t, len(events), head, "the log has no gap")
}

// ownServer is a PostgreSQL that a test may stop, with a DSN file.
func ownServer(t *testing.T) (*testpg.Server, string) {
	t.Helper()
	postgresOnly(t)
	testServer(t) // skips where there is none
	server, err := testpg.Start(testpg.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	name, err := server.Create(t.Context(), "")
	require.NoError(t, err)
	return server, writeDSN(t.TempDir(), server.DSN(name))
}

func openOn(t *testing.T, dsn string, log *slog.Logger) *Store {
	t.Helper()
	s := openTestStore(t, Options{PostgresDSNFile: dsn, Log: log})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	return s
}

// The server goes away under load and comes back, in every way there is.
// Everything answers within the time that a transaction has, nothing is lost,
// nothing is stored twice, and nobody has to restart anything.
func TestServerGoesAwayUnderLoad(t *testing.T) {
	server, dsn := ownServer(t)
	a, b := openOn(t, dsn, nil), openOn(t, dsn, nil)
	l := startLoad(t, a, b)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		before := l.acked.Load()
		waitFor(t, "load", func() bool { return l.acked.Load() > before+50 })
		require.NoError(t, server.Stop(sig))
		refused := l.refused.Load()
		waitFor(t, "refusals", func() bool { return l.refused.Load() > refused+50 })
		require.False(t, a.Health(t.Context()).OK)
		_, err := a.Messages(t.Context(), everything, MessageQuery{})
		require.ErrorIs(t, err, ErrUnavailable)
		_, _, err = a.Events(t.Context(), everything, 0, 1)
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = a.Session(t.Context(), shopBridge, wire.SessionRequest{Instance: "pod-0"})
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = a.Lease(t.Context(), shopBridge, wire.LeaseRequest{Instance: "pod-0", Max: 1})
		require.ErrorIs(t, err, ErrUnavailable)
		require.NoError(t, server.Run())
	}
	before := l.acked.Load()
	waitFor(t, "load", func() bool { return l.acked.Load() > before+50 })
	l.finish()
	waitFor(t, "health", func() bool { return a.Health(context.Background()).OK })
	require.Less(t, time.Duration(l.slowest.Load()), postgresPatience+5*time.Second)
	waitFor(t, "the listener", a.relay.listening.Load)
}

// Connections are cut while transactions run: whatever became of a commit that
// nobody heard of, the platform's retry makes it right.
func TestConnectionsAreCutUnderLoad(t *testing.T) {
	list := replicas(t, 2)
	l := startLoad(t, list...)
	for range 15 {
		before := l.acked.Load()
		waitFor(t, "load", func() bool { return l.acked.Load() > before+10 })
		_, err := all(t.Context(), list[0].read, func(r *sql.Rows) (ok bool, err error) { return ok, r.Scan(&ok) },
			`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if err != nil {
			require.ErrorIs(t, err, ErrUnavailable)
		}
	}
	l.finish()
}

// A server that takes connections and never answers is told from one that is
// in health, and does not hold anybody for long.
func TestServerThatHangs(t *testing.T) {
	server, _ := ownServer(t)
	name, err := server.Create(t.Context(), "")
	require.NoError(t, err)
	proxy := newHangingProxy(t, server.DSN("postgres"))
	s := openOn(t, writeDSN(t.TempDir(), proxy.dsn(server.DSN(name))), nil)
	stored(t, s, telegram, text("m1", "x"))
	proxy.hang.Store(true)
	began := time.Now()
	require.False(t, s.Health(t.Context()).OK)
	require.Less(t, time.Since(began), 2*healthTimeout)
	_, err = ingestOnce(s, telegram, text("m2", "x"))
	require.ErrorIs(t, err, ErrUnavailable)
	require.Less(t, time.Since(began), postgresPatience+healthTimeout+5*time.Second)
	proxy.hang.Store(false)
	waitFor(t, "recovery", func() bool { _, err := ingestOnce(s, telegram, text("m2", "x")); return err == nil })
	require.Equal(t, 2, count(t, s, "messages"))
}

// hangingProxy passes bytes on until it is told to hang.
type hangingProxy struct {
	listener net.Listener
	target   string
	hang     atomic.Bool
}

func newHangingProxy(t *testing.T, dsn string) *hangingProxy {
	config, err := pgconn.ParseConfig(dsn)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &hangingProxy{listener: l, target: fmt.Sprintf("127.0.0.1:%d", config.Port)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *hangingProxy) dsn(of string) string {
	return strings.Replace(of, p.target, p.listener.Addr().String(), 1)
}

func (p *hangingProxy) serve(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer s.Close()
	pass := func(to, from net.Conn) {
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if p.hang.Load() {
				_, _ = io.Copy(io.Discard, from) // swallowed, until the other side gives up
				return
			}
			if err != nil {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	done := make(chan struct{})
	go func() { pass(s, c); close(done) }()
	pass(c, s)
	s.Close()
	<-done
}

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
				if err := tx.touchConversation(ids[i]); err != nil {
					return err
				}
				once.Do(func() { // both have one before either wants the other
					met <- struct{}{}
					for deadline := time.Now().Add(5 * time.Second); len(met) < 2 && time.Now().Before(deadline); {
						time.Sleep(time.Millisecond)
					}
				})
				return tx.touchConversation(ids[1-i])
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, testutil.ToFloat64(list[0].metrics.repeated)+testutil.ToFloat64(list[1].metrics.repeated))
}

// Replicas that start at once on an empty database migrate it once.
func TestReplicasMigrateOnce(t *testing.T) {
	postgresOnly(t)
	server := testServer(t)
	dsn := writeDSN(t.TempDir(), server.DSN(server.Database(t, "")))
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
		require.NoError(t, testServer(t).Exec(context.Background(), databaseOf(t, opts), `DELETE FROM goose_db_version WHERE version_id = 999; UPDATE store_identity SET oldest = 4`))
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

func databaseOf(t *testing.T, opts Options) string {
	raw, err := os.ReadFile(opts.PostgresDSNFile)
	require.NoError(t, err)
	config, err := pgconn.ParseConfig(strings.TrimSpace(string(raw)))
	require.NoError(t, err)
	return config.Database
}

// Another password comes into force without a restart; one that is wrong
// changes nothing and is reported; neither is ever written down.
func TestDSNRotation(t *testing.T) {
	server, _ := ownServer(t)
	name, err := server.Create(t.Context(), "")
	require.NoError(t, err)
	require.NoError(t, server.Exec(t.Context(), name, `CREATE ROLE blue LOGIN SUPERUSER PASSWORD 'sekretblue'; CREATE ROLE green LOGIN SUPERUSER PASSWORD 'sekretgreen'`))
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
	other, err := server.Create(t.Context(), "")
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
