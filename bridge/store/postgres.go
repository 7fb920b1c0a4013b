package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	// postgresReaders is how many connections of a replica read at the same time.
	// A read takes a millisecond, so this is thousands per second; ten replicas
	// stay below the hundred connections that a server allows as it comes.
	postgresReaders = 8

	// postgresWriters is how many transactions of a replica run at the same time:
	// one fills its transaction while the other one waits for the disk. The event
	// log's head admits one commit at a time, so a third would only wait.
	postgresWriters = 2

	// postgresBatch is how many elements share a transaction. All of them go three
	// ways there and back, some 2 ms with the flush to disk, and one takes some
	// 100 µs of work, so that the ways are a fifth of it; and so few that a batch
	// stays below maxLocks.
	postgresBatch = 128

	// postgresPatience bounds a transaction, and a read: below what a platform
	// waits for its answer (5 to 20 s, where the bridge's patience is shorter
	// anyway), and far above what a database in health needs.
	postgresPatience = 10 * time.Second

	// postgresMin is the oldest server that is taken: the oldest one that its
	// project still mended when this was written.
	postgresMin = 130000
)

// postgresDialect is PostgreSQL, with any number of writing processes.
type postgresDialect struct {
	// offset is how far the server's clock is ahead of ours, in nanoseconds. All
	// replicas go by the server's, so that leases mean the same to each of them.
	offset atomic.Int64
}

func (*postgresDialect) rebind(query string) string {
	if !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

func (*postgresDialect) skipLocked() string { return " FOR UPDATE SKIP LOCKED" }

func (*postgresDialect) forUpdate() string { return " FOR UPDATE" }

func (*postgresDialect) holds(column string) string {
	return `position(?::bytea in ` + column + `) > 0`
}

func (*postgresDialect) maxParams() int { return 65535 } // 16 bits in the protocol

func (*postgresDialect) migrations() (fs.FS, goose.Dialect) {
	sub, err := fs.Sub(migrationFiles, "migrations/postgres")
	if err != nil { // the folder is part of the binary
		panic(err)
	}
	return sub, goose.DialectPostgres
}

const (
	beginTransaction = `BEGIN ISOLATION LEVEL READ COMMITTED`
	takeLocks        = `SELECT CASE WHEN l.shared THEN pg_advisory_xact_lock_shared(l.key)::text ELSE pg_advisory_xact_lock(l.key)::text END
		FROM unnest($1::bigint[], $2::boolean[]) AS l (key, shared)`
	readClock = `SELECT clock, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint FROM event_head WHERE id = 1`
)

// begin sends everything at once: the transaction, the locks in their order,
// and then what must be read after them. They are prepared, as planning them
// costs the server as much as carrying them out.
func (d *postgresDialect) begin(ctx context.Context, conn *sql.Conn, list []lock) (o opening, err error) {
	var batch pgx.Batch
	batch.Queue(beginTransaction)
	if len(list) > 0 {
		keys, shared := make([]int64, len(list)), make([]bool, len(list))
		for i, l := range list {
			keys[i], shared[i] = l.key, l.shared
		}
		batch.Queue(takeLocks, keys, shared)
	}
	batch.Queue(readClock)
	var micros int64
	err = onConnection(conn, func(c *pgx.Conn) error {
		results := c.SendBatch(ctx, &batch)
		defer results.Close()
		for range batch.Len() - 1 {
			if _, err := results.Exec(); err != nil {
				return err
			}
		}
		err := results.QueryRow().Scan(&o.clock, &micros)
		if errors.Is(err, pgx.ErrNoRows) {
			return errors.New("table event_head has no row")
		}
		return errors.Join(err, results.Close())
	})
	if err == nil {
		d.observe(time.UnixMicro(micros))
	}
	return o, err
}

// clockJitter is the difference of clocks that is not followed: it is the way
// of an answer.
const clockJitter = 20 * time.Millisecond

func (d *postgresDialect) observe(server time.Time) {
	ahead, before := time.Until(server), time.Duration(d.offset.Load())
	if diff := ahead - before; diff > clockJitter || diff < -clockJitter {
		d.offset.Store(int64(ahead))
	}
}

// now is the time by the server's clock.
func (d *postgresDialect) now() time.Time {
	return time.Now().Add(time.Duration(d.offset.Load()))
}

// number lets the server count, so that it goes on the same way as the COMMIT:
// while the head is locked, nobody waits for an answer.
func (*postgresDialect) number(t *txn, n int, clock int64) error {
	var types, channels, conversations, contacts, messages []string
	for i := range t.events {
		e := &t.events[i]
		types, channels, conversations = append(types, string(e.Type)), append(channels, e.Channel), append(conversations, e.Conversation)
		contacts, messages = append(contacts, e.Contact), append(messages, e.MessageID)
	}
	return t.later(`WITH head AS (UPDATE event_head SET cursor = cursor + ?, clock = GREATEST(clock, ?) WHERE id = 1 RETURNING cursor - ? AS before)
		INSERT INTO events (cursor, type, time, channel, conversation, contact, message)
		SELECT head.before + e.number, e.type, ?, e.channel, e.conversation, e.contact, e.message
		FROM head, unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[]) WITH ORDINALITY AS e (type, channel, conversation, contact, message, number)`,
		n, clock, n, ms(t.now), types, channels, conversations, contacts, messages)
}

// commit looks at what the server says: it answers the COMMIT of a transaction
// that it has given up with a ROLLBACK, without an error.
func (*postgresDialect) commit(t *txn) error {
	tag, err := t.finish(statement{query: "COMMIT"})
	if err == nil && tag != "COMMIT" {
		return fmt.Errorf("%w: the database answered COMMIT with %s", ErrUnavailable, tag)
	}
	return err
}

func (*postgresDialect) lock(t *txn, l lock, wait bool) (taken bool, err error) {
	shared := ""
	if l.shared {
		shared = "_shared"
	}
	if wait {
		_, err = all(t.ctx, t, scanText, `SELECT pg_advisory_xact_lock`+shared+`(?)::text`, l.key)
		return err == nil, err
	}
	_, err = one(t.ctx, t, []any{&taken}, `SELECT pg_try_advisory_xact_lock`+shared+`(?)`, l.key)
	return taken, err
}

// postgres is what is open beside the pools.
type postgres struct {
	*postgresDialect
	log    *slog.Logger
	dsn    *dsnFile
	writer *connector
	reader *connector
}

// openPostgres opens the database that the DSN file leads to.
func openPostgres(ctx context.Context, path string, log *slog.Logger) (*database, error) {
	dsn, err := openDSN(path)
	if err != nil {
		return nil, err
	}
	p := &postgres{postgresDialect: &postgresDialect{}, log: log, dsn: dsn}
	p.writer = &connector{dsn: dsn, settings: writerSettings}
	p.reader = &connector{dsn: dsn, settings: readerSettings}
	db := &database{
		dialect: p.postgresDialect, postgres: p, writers: postgresWriters, batch: postgresBatch, shared: true, patience: postgresPatience,
		writer: sql.OpenDB(p.writer), reader: sql.OpenDB(p.reader),
		generation: dsn.generation, warnings: dsn.warnings, close: func() error { return nil },
	}
	db.writer.SetMaxOpenConns(postgresWriters + 1) // and one for migrations
	db.reader.SetMaxOpenConns(postgresReaders)
	db.reader.SetMaxIdleConns(postgresReaders)
	if err := p.check(ctx, db.writer); err != nil {
		return nil, errors.Join(err, db.closePools())
	}
	return db, nil
}

// patientStart is how long a start waits for a database that is not there yet,
// or starts itself: longer than a fail-over, shorter than an impatient liveness
// probe.
const patientStart = 30 * time.Second

// check waits for the server and looks whether it will do.
func (p *postgres) check(ctx context.Context, pool *sql.DB) error {
	began := time.Now()
	for {
		err := p.checkOnce(ctx, pool)
		if err == nil || !notThereYet(err) || time.Since(began) > patientStart {
			return p.classify(err)
		}
		p.log.WarnContext(ctx, "the database is not there yet; it is tried again", "err", p.classify(err))
		pause(ctx, time.Second, nil)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
	}
}

func (p *postgres) checkOnce(ctx context.Context, pool *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, postgresPatience)
	defer cancel()
	var version int
	var encoding string
	if err := pool.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding')`).Scan(&version, &encoding); err != nil {
		return err
	}
	if version < postgresMin {
		return fmt.Errorf("the database is PostgreSQL %d; version %d is the oldest that will do", version/10000, postgresMin/10000)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database's encoding is %s; make one with ENCODING 'UTF8'", encoding)
	}
	return nil
}

// setting is a parameter of a session, unless the DSN sets it.
type setting struct{ name, value string }

var (
	commonSettings = []setting{
		{"statement_timeout", strconv.Itoa(int(postgresPatience.Milliseconds()))},
		{"jit", "off"}, // statements take a millisecond; compiling them takes more
		// Every statement has its index. A plan that was made while the tables were
		// small would go on reading them from end to end until statistics come.
		{"enable_seqscan", "off"},
	}
	writerSettings = append(commonSettings, []setting{
		// Who waits for a lock for so long waits for a replica that hangs.
		{"lock_timeout", strconv.Itoa(int(postgresPatience.Milliseconds() / 2))},
		// A replica that is cut off lets go of its locks.
		{"idle_in_transaction_session_timeout", strconv.Itoa(int(postgresPatience.Milliseconds()))},
	}...)
	readerSettings = append(commonSettings, []setting{
		// Readers write nothing but notifications, and pieces of media that a
		// transaction of a writer names afterwards.
		{"synchronous_commit", "off"},
	}...)
)

// durable makes commits wait for the disk where the server is set otherwise: an
// acknowledged message survives a power cut. Stronger settings stay.
const durable = `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')`

// connector opens connections as the DSN file says at the time.
type connector struct {
	dsn      *dsnFile
	settings []setting
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	target := c.dsn.current.Load()
	return stdlib.GetConnector(*target.config,
		stdlib.OptionAfterConnect(target.prepare(c.settings)),
		stdlib.OptionResetSession(func(context.Context, *pgxConn) error {
			if c.dsn.current.Load() != target {
				return driver.ErrBadConn // opened with what the DSN was before
			}
			return nil
		}),
	).Connect(ctx)
}
