package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	pgserver "github.com/bridgekeeper/bridgekeeper/hack/postgres"
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
	withoutDeadConnections(l.t, s)
	require.Equal(l.t, len(l.stored)+1, count(l.t, s, "messages WHERE direction = 'inbound'"), "every id is stored once")
	require.Equal(l.t, len(l.stored)+1, count(l.t, s, "external_ids WHERE direction = 'inbound'"))
	for id, stored := range l.stored {
		rows, err := all(l.t.Context(), s.read, scanText, `SELECT id FROM messages WHERE external_id = ?`, id)
		require.NoError(l.t, err)
		require.Equal(l.t, []string{stored}, rows, id)
	}
	events, head := eventsAfter(l.t, s, 0)
	require.EqualValues(l.t, len(events), head, "the log has no gap")
}

// withoutDeadConnections waits until every connection that readers may get is one
// that works: those that the server ended are noticed when they are used, with an
// error, and replaced then.
func withoutDeadConnections(t *testing.T, s *Store) {
	t.Helper()
	if s.db.postgres == nil {
		return
	}
	waitFor(t, "connections", func() bool {
		ok := true
		for range postgresReaders {
			c, err := s.db.reader.Conn(t.Context())
			if err != nil {
				ok = false
				continue
			}
			defer c.Close() // all at once, so that each is another one
			ok = c.PingContext(t.Context()) == nil && ok
		}
		return ok
	})
}

// ownServer is a PostgreSQL that a test may stop, with a DSN file.
func ownServer(t *testing.T) (*pgserver.Server, string) {
	t.Helper()
	postgresOnly(t)
	testServer(t) // skips where there is none
	server, err := pgserver.Start(t.Context(), pgserver.Options{})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	name, err := server.Create(t.Context(), "template1")
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
		server.End(sig)
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
		require.NoError(t, server.Start(t.Context()))
	}
	before := l.acked.Load()
	waitFor(t, "load", func() bool { return l.acked.Load() > before+50 })
	l.finish()
	waitFor(t, "health", func() bool { return a.Health(context.Background()).OK })
	require.Less(t, time.Duration(l.slowest.Load()), postgresPatience+time.Minute)
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
	name, err := server.Create(t.Context(), "template1")
	require.NoError(t, err)
	proxy := newHangingProxy(t, server.DSN("postgres"))
	s := openOn(t, writeDSN(t.TempDir(), proxy.dsn(server.DSN(name))), nil)
	stored(t, s, telegram, text("m1", "x"))
	proxy.hang.Store(true)
	began := time.Now()
	require.False(t, s.Health(t.Context()).OK)
	require.Less(t, time.Since(began), time.Minute)
	_, err = ingestOnce(s, telegram, text("m2", "x"))
	require.ErrorIs(t, err, ErrUnavailable)
	require.Less(t, time.Since(began), 2*time.Minute)
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
