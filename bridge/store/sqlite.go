package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/bridgekeeper/bridgekeeper/bridge/store/walfile"
)

//go:embed migrations
var migrationFiles embed.FS

const (
	sqliteFile = "store.db"

	// sqliteReaders is how many connections read at the same time. Reads are
	// short and processor-bound (the pages are in memory); more connections
	// than a small pod has processors only cost memory (2 MiB of cache each).
	sqliteReaders = 4

	// sqliteBusyTimeout is how long a statement waits for a lock, in
	// milliseconds. Only one process and one connection write, so locks are met
	// only around checkpoints, which take well under a second.
	sqliteBusyTimeout = 5000

	// sqliteWriterCache is the writer's page cache in KiB: the hot pages of the
	// indexes of some 15 000 active contacts (about 400 bytes each). What is not
	// in it is in the system's, three microseconds away; and after each commit in
	// which a page was split, SQLite walks the whole cache.
	sqliteWriterCache = 8 << 10

	// sqliteCheckpointPages is the log's length, in pages of 4 KiB, at which the
	// writer itself copies it back: 64 MiB. The committer asks for a checkpoint
	// beside the writer long before that (checkpointEvery), so this is a bound,
	// not the way it works.
	sqliteCheckpointPages = 16384
)

// sqliteDialect is SQLite, with one writing process.
type sqliteDialect struct{}

func (sqliteDialect) rebind(query string) string { return query }

func (sqliteDialect) skipLocked() string { return "" }

func (sqliteDialect) forUpdate() string { return "" }

func (sqliteDialect) holds(column string) string { return `instr(` + column + `, ?) > 0` }

func (sqliteDialect) maxParams() int { return 32766 } // SQLITE_MAX_VARIABLE_NUMBER

func (sqliteDialect) migrations() (fs.FS, goose.Dialect) {
	sub, err := fs.Sub(migrationFiles, "migrations/sqlite")
	if err != nil { // the folder is part of the binary
		panic(err)
	}
	return sub, goose.DialectSQLite3
}

func (sqliteDialect) begin(ctx context.Context, conn *sql.Conn, _ []lock) (opening, error) {
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	return opening{}, err
}

func (sqliteDialect) commit(t *txn) error {
	_, err := t.exec("COMMIT")
	return err
}

func (sqliteDialect) number(t *txn, n int, clock int64) error {
	var head int64
	if _, err := one(t.ctx, t, []any{&head}, `UPDATE event_head SET cursor = cursor + ?, clock = MAX(clock, ?) WHERE id = 1 RETURNING cursor`, n, clock); err != nil {
		return err
	}
	next := head - int64(n)
	rows := make([][]any, n)
	for i := range t.events {
		e := &t.events[i]
		next++
		rows[i] = []any{next, string(e.Type), ms(t.now), e.Channel, e.Conversation, e.Contact, e.MessageID}
	}
	return t.bulk(insertEvents, rows)
}

var insertEvents = bulkInsert("events", "", "cursor bigint", "type text", "time bigint", "channel text", "conversation text", "contact text", "message text")

func (sqliteDialect) lock(*txn, lock, bool) (bool, error) { return true, nil }

func (sqliteDialect) lost(error) bool { return false }

func (sqliteDialect) classify(err error) error {
	if se := (*sqlite.Error)(nil); errors.As(err, &se) {
		switch se.Code() & 0xff { // the low byte is the primary code
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
			sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT,
			sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PROTOCOL:
			return fmt.Errorf("%w: database: %w", ErrUnavailable, err)
		}
	}
	return err
}

// openSQLite opens the database of a data folder for this process alone.
func openSQLite(ctx context.Context, dir string) (*database, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := refuseNetworkFilesystem(dir); err != nil {
		return nil, err
	}
	if err := refuseUnfinishedRestore(dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, sqliteFile)
	// SQLite makes its log with the mode of the database file, so that making
	// this one first keeps all of them from other users.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database file: %w", err), lock.release())
	}
	db := &database{dialect: sqliteDialect{}, writers: 1, batch: maxBatchWeight, free: func() (uint64, uint64, error) { return diskFree(dir) }}
	if err := db.openSQLitePools(ctx, path); err != nil {
		return nil, errors.Join(db.dialect.classify(err), db.closePools(), lock.release())
	}
	db.maintain = func(ctx context.Context) error {
		_, err := db.reader.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
		return err
	}
	db.close = lock.release
	return db, nil
}

func (db *database) openSQLitePools(ctx context.Context, path string) error {
	err := walfile.Register()
	if err != nil {
		return err
	}
	if db.writer, err = sql.Open("sqlite", sqliteDSN(path, sqliteWriterCache)); err != nil {
		return err
	}
	db.writer.SetMaxOpenConns(1)
	if err := db.writer.PingContext(ctx); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if db.reader, err = sql.Open("sqlite", sqliteDSN(path, 2<<10)); err != nil {
		return err
	}
	db.reader.SetMaxOpenConns(sqliteReaders)
	db.reader.SetMaxIdleConns(sqliteReaders)
	return nil
}

func (db *database) closePools() error {
	var errs []error
	for _, p := range []*sql.DB{db.reader, db.writer} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

func sqliteDSN(path string, cacheKiB int) string {
	q := url.Values{"_txlock": {"immediate"}, "vfs": {walfile.Name}}
	for _, p := range []string{
		"busy_timeout(" + strconv.Itoa(sqliteBusyTimeout) + ")",
		"journal_mode(WAL)",
		"synchronous(FULL)", // an acknowledged message survives a power cut; walfile needs it, too
		"foreign_keys(1)",
		"cache_size(-" + strconv.Itoa(cacheKiB) + ")",
		"wal_autocheckpoint(" + strconv.Itoa(sqliteCheckpointPages) + ")",
		// After a burst the log file shrinks to 64 MiB again.
		"journal_size_limit(" + strconv.Itoa(sqliteCheckpointPages*4096) + ")",
		"temp_store(MEMORY)", // no files outside the data folder
	} {
		q.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}
