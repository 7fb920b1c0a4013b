package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/wallclock"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// Parser turns a platform's payload into events, without credentials; it is
// the platform's Parse method. account is empty where one URL serves several.
type Parser func(account string, body []byte) ([]message.Event, error)

// Options of a store. Only Dir or PostgresDSNFile is required.
type Options struct {
	// Dir is the data folder of a store on SQLite: database, lock file, media. It
	// is made when it is not there, and belongs to this process alone while the
	// store is open.
	Dir string
	// PostgresDSNFile is a file with the DSN of a PostgreSQL database, which any
	// number of stores may share; Dir is not used then. ca.crt, tls.crt and tls.key
	// beside it are used, too. The files are followed: other credentials need no
	// restart.
	PostgresDSNFile string
	// Parsers are the platforms' parsers by name, for Replay.
	Parsers map[string]Parser
	// Capabilities are what the platforms can do, by name; Send checks messages
	// against them. To a platform that is not named here, nothing can be sent.
	Capabilities map[string]platform.Capabilities
	// Log gets what operators should know; never content. Default: discarded.
	Log *slog.Logger
	// Metrics registers the store's metrics; nil: they are not registered.
	Metrics prometheus.Registerer
	// Now is the clock; default time.Now, or the database server's where replicas
	// share one. Tests set it.
	Now func() time.Time
	// writers is how many transactions run at the same time; default as many as
	// suit the database. Tests set it.
	writers int
	// MaxMediaBytes bounds one attachment; default DefaultMaxMediaBytes.
	MaxMediaBytes int64
}

// Store is the engine on a database. Open makes one, Run keeps its timers
// going, Close ends it. All methods may be called concurrently.
type Store struct {
	opts    Options
	log     *slog.Logger
	db      *database
	read    *reader
	commit  *committer
	ids     *idSource
	signals *signals
	media   *mediaFiles // nil where media are in the database
	blobs   mediaBytes
	metrics *metrics

	// state is what the document in force says; never nil.
	state atomic.Pointer[state]
	// loading keeps documents in order.
	loading sync.Mutex
	// moves are what the documents changed, until the database is in line.
	moves moves

	healthSince since
	steady      steadyClock
	// passed is the time since Open by a monotonic clock. Tests set it.
	passed    func() time.Duration
	following sync.Mutex // of followClock
	lastEvent int64      // that noticeClock has seen; runLeases' alone
	outbox    *outbox
	queues    *queues
	// dispatcher routes.
	dispatcher *dispatcher
	// surveys asks.
	surveys *surveys
	hooks   hooks
	reports reports
	// surveyed is what SurveyStatuses said last.
	surveyed atomic.Pointer[[]document.SurveyStatus]
	// relay is there where replicas share the database; its loops run until
	// disconnect, which waits for connected.
	relay      *relay
	disconnect context.CancelFunc
	connected  sync.WaitGroup
	// loops run while Run does.
	loops []func(ctx context.Context)

	closed sync.Once
}

// hooks are where the outbox takes part in what the core does. All are set in
// Open and never change.
type hooks struct {
	// receipt applies a receipt to outbound messages and returns the message's
	// id (empty for a watermark). found is false when no message has r.ExternalID
	// yet: the receipt is parked then, and comes again with the message.
	receipt func(t *txn, ch *Channel, r message.Receipt) (id string, found bool, err error)
	// documentLoaded runs in a transaction after each Load.
	documentLoaded func(t *txn, st *state) error
}

// Open opens the store of a data folder, or of a PostgreSQL database, migrating
// its schema. A data folder is refused when another process has it, when it is
// on a network filesystem, and when its schema is newer than this version
// knows; a database when its schema no longer works with this version.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = withDefaults(opts)
	db, err := openDatabase(ctx, opts)
	if err != nil {
		return nil, err
	}
	if opts.writers > 0 {
		db.writers = opts.writers
	}
	opened := time.Now()
	passed := func() time.Duration { return time.Since(opened) }
	if opts.Now != nil {
		opened = opts.Now()
		passed = func() time.Duration { return opts.Now().Sub(opened) }
	} else {
		opts.Now = wallclock.Now
		if db.postgres != nil {
			opts.Now = db.postgres.now
		}
	}
	s := &Store{opts: opts, log: opts.Log, db: db, signals: newSignals(), read: &reader{db: db}, passed: passed}
	s.metrics = newMetrics(opts.Metrics)
	s.state.Store(newState())
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, db.closePools(), db.close())
	}
	return s, nil
}

func openDatabase(ctx context.Context, opts Options) (*database, error) {
	if opts.PostgresDSNFile != "" {
		return openPostgres(ctx, opts.PostgresDSNFile, opts.Log)
	}
	return openSQLite(ctx, opts.Dir)
}

func withDefaults(opts Options) Options {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.MaxMediaBytes == 0 {
		opts.MaxMediaBytes = DefaultMaxMediaBytes
	}
	return opts
}

func (s *Store) open(ctx context.Context) error {
	if err := migrate(ctx, s.db, s.log); err != nil {
		return err
	}
	greatest, err := s.greatestID(ctx)
	if err != nil {
		return fmt.Errorf("read the last id: %w", err)
	}
	s.ids = newIDSource(greatest)
	s.steady.begin(greatest, s.now(), s.passed())
	if s.db.postgres != nil {
		s.blobs = &mediaPieces{s: s}
	} else if s.media, err = openMediaFiles(filepath.Join(s.opts.Dir, "media")); err != nil {
		return err
	} else {
		s.blobs = s.media
	}
	s.commit = &committer{db: s.db, clock: s.opts.Now, ids: s.ids, log: s.log, metrics: s.metrics,
		committed: s.committed}
	s.commit.latest.Store(s.ids.latest())
	s.loops = append(s.loops, s.runSnooze, s.runRetention, s.runSummaries)
	s.openOutbox()
	s.openQueues()
	s.openRouting()
	s.openSurveys()
	s.registerSurveyMetrics(s.opts.Metrics)
	if s.db.postgres != nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	if err := s.commit.start(ctx); err != nil {
		if s.relay != nil {
			s.disconnect()
			s.connected.Wait()
		}
		return err
	}
	return nil
}

// greatestID is the greatest id in the tables that everything passes through.
func (s *Store) greatestID(ctx context.Context) (id string, err error) {
	_, err = one(ctx, s.read, []any{&id}, `SELECT COALESCE(MAX(id), '') FROM (
		SELECT MAX(id) AS id FROM messages UNION ALL SELECT MAX(id) FROM conversations
		UNION ALL SELECT MAX(id) FROM external_ids WHERE kind <> 'message' OR direction = 'outbound' UNION ALL SELECT MAX(id) FROM raw_entries) AS ids`)
	return id, err
}

// Run keeps the store's timers going (snoozes, retention, leases) until ctx is
// done. The store serves without it, but nothing happens by time then.
func (s *Store) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, loop := range s.loops {
		wg.Go(func() { loop(ctx) })
	}
	wg.Wait()
	return nil
}

// Close ends the store after the transaction in work; callers that wait get
// ErrUnavailable. It may be called more than once.
func (s *Store) Close() (err error) {
	s.closed.Do(func() {
		s.commit.stop()
		s.outbox.senders.active.Wait() // what is cut off fails at once
		if s.relay != nil {
			s.disconnect()
			s.connected.Wait()
		}
		s.read.close()
		err = errors.Join(s.db.closePools(), s.db.close())
	})
	return err
}

// write runs fn in a transaction and returns when it is committed; see
// committer.do for what fn may do. weight is how many elements it handles.
// It holds no locks: unique keys and single statements decide, or rows that are
// read FOR UPDATE.
func (s *Store) write(ctx context.Context, weight int, fn func(*txn) error) error {
	return s.commit.do(ctx, weight, nil, fn)
}

// writeLocked does so with locks on what fn decides upon; see locks.go.
func (s *Store) writeLocked(ctx context.Context, weight int, needs *locks, fn func(*txn) error) error {
	return s.commit.do(ctx, weight, needs, fn)
}

// committed wakes who waits for what a transaction brought.
func (s *Store) committed(t *txn) {
	s.signals.wake(t.topics()...)
	for bridge := range t.rung {
		s.outbox.bells.ring(bridge)
	}
	if s.relay != nil {
		s.relay.tell(t.topics(), t.rung)
	}
}

// connect keeps up with the other replicas and with the DSN, until Close. It
// does not wait for Run: who waits for a commit must hear of it.
func (s *Store) connect(ctx context.Context) error {
	var identity, database string
	if _, err := one(ctx, s.read, []any{&identity, &database}, `SELECT store, current_schema()::text FROM store_identity WHERE id = 1`); err != nil {
		return fmt.Errorf("identity of the store: %w", err)
	}
	s.relay = newRelay(s, identity+"/"+database)
	within, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.disconnect = cancel
	for _, loop := range []func(context.Context){s.relay.send, s.relay.listen, s.relay.poll,
		func(ctx context.Context) { s.db.postgres.watchDSN(ctx, identity, func() { s.reconnect(ctx) }) }} {
		s.connected.Go(func() { loop(within) })
	}
	return nil
}

// reconnect ends the connections of a DSN that is no longer in force: at once
// those that are idle, the others after what they are doing.
func (s *Store) reconnect(ctx context.Context) {
	s.relay.again()
	s.commit.reconnect()
	s.db.postgres.closeIdle(s.db)
	s.connected.Go(func() { // those that were in use, and came back since
		pause(ctx, s.db.patience, nil)
		s.db.postgres.closeIdle(s.db)
	})
}

// now is the store's clock as the database keeps time.
func (s *Store) now() time.Time { return s.opts.Now().UTC().Truncate(time.Millisecond) }

var _ Engine = (*Store)(nil)
