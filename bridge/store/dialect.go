package store

import (
	"context"
	"database/sql"
	"io/fs"

	"github.com/pressly/goose/v3"
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
	// begin opens a transaction on the writer's connection.
	begin(ctx context.Context, conn *sql.Conn) error
	// classify wraps errors that mean "nothing was committed, try again" (disk
	// full, I/O error, lock not granted) in ErrUnavailable, and leaves the rest.
	classify(err error) error
	// skipLocked ends a SELECT whose rows are taken by this transaction, passing
	// over those that another one has; empty where there is one writer only.
	skipLocked() string
	// maxParams is how many placeholders one statement may have.
	maxParams() int
}

// database is an open database: one connection that writes, a pool that reads.
type database struct {
	dialect
	writer *sql.DB // exactly one connection, used by the committer alone
	reader *sql.DB
	// free says how many bytes the database can still grow, and of how many;
	// nil where that cannot be known.
	free func() (free, total uint64, err error)
	// maintain gives the database its turn after much was written (SQLite: a
	// checkpoint); nil where there is nothing to do.
	maintain func(ctx context.Context) error
	// close releases what else is held, after both pools are closed.
	close func() error
}
