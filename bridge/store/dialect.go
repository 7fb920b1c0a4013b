package store

import (
	"context"
	"database/sql"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// dialect is what differs between databases. The logic is written once, in SQL
// that every dialect understands, with "?" placeholders:
//
//   - INSERT … ON CONFLICT … DO NOTHING | DO UPDATE, UPDATE … RETURNING;
//   - no functions of one database, times and ids are made in Go;
//   - a result is read to its end before the next statement of a transaction.
type dialect interface {
	// rebind writes "?" placeholders the way the database wants them.
	rebind(query string) string
	// migrations is the folder of goose migrations and the dialect they are in.
	migrations() (fs.FS, goose.Dialect)
	// begin opens a transaction on a writer's connection and takes locks, in
	// their order.
	begin(ctx context.Context, conn *sql.Conn, locks []lock) (opening, error)
	// number gives the transaction's events their cursors and appends them to the
	// log. n is how many there are.
	number(t *txn, n int, clock int64) error
	// commit ends it, after all that waits. An error says that nothing was
	// committed or, when the connection was lost meanwhile, that nobody knows.
	commit(t *txn) error
	// lock takes one more lock within a transaction; with wait false it gives up
	// at once where somebody else has it.
	lock(t *txn, l lock, wait bool) (bool, error)
	// lost says that a transaction lost against another one (a deadlock) and can
	// be done again at once.
	lost(err error) bool
	// classify wraps errors that mean "nothing was committed, try again" (disk
	// full, I/O error, lock not granted) in ErrUnavailable, and leaves the rest.
	classify(err error) error
	// skipLocked ends a SELECT whose rows are taken by this transaction, passing
	// over those that another one has; empty where there is one writer only.
	skipLocked() string
	// forUpdate ends a SELECT whose rows are written afterwards on the strength of
	// what they say; empty where there is one writer only.
	forUpdate() string
	// holds is the condition that a column of bytes has others in it, which are its one
	// argument.
	holds(column string) string
	// among is the condition that a column is one of a list, which is its one
	// argument (list).
	among(column string) string
	// values is a table w (value) of a list of values of a type ("text", "bigint").
	values(kind string) string
	// list makes an argument of []string or []int64.
	list(values any) any
	// pairs is a table w (a, b) of pairs of texts, whose arguments pairList makes.
	pairs() string
	pairList(pairs [][2]string) []any
	// maxParams is how many placeholders one statement may have.
	maxParams() int
}

// opening is what a transaction knows when it begins.
type opening struct {
	// clock is the time of the latest id of any replica, in milliseconds; 0 where
	// there is one.
	clock int64
}

// database is an open database: connections that write, a pool that reads.
type database struct {
	dialect
	postgres *postgres // nil for SQLite
	writer   *sql.DB   // the committer's alone
	reader   *sql.DB
	// writers is how many connections write at the same time.
	writers int
	// batch is how many elements share a transaction, as far as callers' requests
	// can be divided.
	batch int
	// shared says that other processes write to the database, too.
	shared bool
	// patience bounds a transaction, and a read; 0 where nothing can hang.
	patience time.Duration
	// generation grows when connections must be opened anew (other credentials);
	// nil where that does not happen.
	generation func() int64
	// free says how many bytes the database can still grow, and of how many;
	// nil where that cannot be known.
	free func() (free, total uint64, err error)
	// warnings are for Health; nil where there are none.
	warnings func() []document.Warning
	// maintain gives the database its turn after much was written (SQLite: a
	// checkpoint); nil where there is nothing to do.
	maintain func(ctx context.Context) error
	// close releases what else is held, after both pools are closed.
	close func() error
}

// bounded is a context in which one question to the database has to be
// answered.
func (db *database) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if db.patience == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, db.patience)
}

// generationNow is the generation of connections that are opened now.
func (db *database) generationNow() int64 {
	if db.generation == nil {
		return 0
	}
	return db.generation()
}
