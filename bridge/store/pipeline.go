package store

import (
	"database/sql"
	"math/bits"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Where the database is at the other end of a connection, each statement costs
// a way there and back, which takes longer than the statement. What changes rows
// and has no answer is therefore kept back (later) and sent with the next
// statement that has one, in the same order: a message that is stored goes there
// and back once instead of five times. An error comes with that next statement,
// perhaps in another function of the batch; as with every failure after a write
// the batch is done again then, each function with a savepoint and sent to its
// end.

// statement is one that waits to be sent.
type statement struct {
	query string
	args  []any
}

// maxPending bounds the statements that are sent together: some 100 KiB.
const maxPending = 128

// later runs a statement whose number of changed rows does not matter, at the
// latest with the next one that is run. The arguments must stay as they are.
func (t *txn) later(query string, args ...any) error {
	if t.c.db.postgres == nil {
		_, err := t.exec(query, args...)
		return err
	}
	t.wrote = true
	if t.pending = append(t.pending, statement{query, args}); len(t.pending) >= maxPending {
		return t.flush()
	}
	return nil
}

// rowsToInsert are rows of one table that nothing in the transaction reads, and
// no other row refers to: they go in together, at the end.
type rowsToInsert struct {
	insert func(rows int) string
	width  int
	args   []any
}

// insertTogether is how many rows one statement inserts at most; the rest goes
// in powers of two, so that there are few texts of statements.
const insertTogether = 32

// inRows inserts a row at the end, or at once where that makes no difference.
func (t *txn) inRows(r *rowsToInsert, args ...any) error {
	if t.c.db.postgres == nil {
		_, err := t.exec(r.insert(1), args...)
		return err
	}
	t.wrote, r.width = true, len(args)
	r.args = append(r.args, args...)
	return nil
}

func (t *txn) flushRows(r *rowsToInsert) error {
	for size := insertTogether; size > 0; {
		n := size * r.width
		if n == 0 || len(r.args) < n {
			size /= 2
			continue
		}
		if err := t.later(r.insert(size), r.args[:n:n]...); err != nil {
			return err
		}
		r.args = r.args[n:]
	}
	return nil
}

// insertRaws inserts entries of the raw journal.
func insertRaws(rows int) string { return rawInserts[bits.Len(uint(rows))-1] } //nolint:gosec // 1 to insertTogether

var rawInserts = func() (texts []string) {
	for n := 1; n <= insertTogether; n *= 2 {
		texts = append(texts, `INSERT INTO raw_entries (id, platform, namespace, channel, transport, received_at, unrouted, trust, payload) VALUES `+
			strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?, ?), ", n), ", "))
	}
	return texts
}()

// flush sends what waits.
func (t *txn) flush() error {
	if len(t.pending) == 0 {
		return nil
	}
	_, err := t.send(nil, nil)
	return err
}

// execThen runs a statement, and a query right after it, on one way. found says
// whether dest was filled from the query's first row.
func (t *txn) execThen(query string, args []any, dest []any, then string, thenArgs ...any) (changed int64, found bool, err error) {
	if t.c.db.postgres == nil {
		if changed, err = t.exec(query, args...); err != nil || changed == 0 {
			return changed, false, err
		}
		found, err = one(t.ctx, t, dest, then, thenArgs...)
		return changed, found, err
	}
	changed, err = t.send(&statement{query, args}, func(results pgx.BatchResults) error {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		defer rows.Close()
		if rows.Next() {
			if err := rows.Scan(dest...); err != nil {
				return err
			}
			found = true
		}
		rows.Close()
		return rows.Err()
	}, statement{then, thenArgs})
	return changed, found, err
}

// send sends what waits, then a statement whose number of changed rows is
// returned, and then queries whose results read takes.
func (t *txn) send(last *statement, read func(pgx.BatchResults) error, queries ...statement) (changed int64, err error) {
	var batch pgx.Batch
	for _, s := range t.pending {
		batch.Queue(t.w.rebound(s.query), s.args...)
	}
	waiting := len(t.pending)
	t.pending, t.wrote = t.pending[:0], true
	if last != nil {
		batch.Queue(t.w.rebound(last.query), last.args...)
	}
	for _, q := range queries {
		batch.Queue(t.w.rebound(q.query), q.args...)
	}
	err = onConnection(t.w.conn, func(conn *pgx.Conn) error {
		results := conn.SendBatch(t.ctx, &batch)
		defer results.Close()
		for range waiting {
			if _, err := results.Exec(); err != nil {
				return err
			}
		}
		if last != nil {
			tag, err := results.Exec()
			if err != nil {
				return err
			}
			changed = tag.RowsAffected()
		}
		if read != nil {
			if err := read(results); err != nil {
				return err
			}
		}
		return results.Close()
	})
	if err != nil {
		return 0, t.fail(err)
	}
	return changed, nil
}

// onConnection lends the driver's connection.
func onConnection(conn *sql.Conn, use func(*pgx.Conn) error) error {
	return conn.Raw(func(c any) error { return use(c.(*stdlib.Conn).Conn()) })
}

// rebound keeps the texts of statements as the database wants them.
func (w *scribe) rebound(query string) string {
	s, ok := w.texts[query]
	if !ok {
		s = w.c.db.rebind(query)
		w.texts[query] = s
	}
	return s
}

// direct runs a statement that is not worth keeping, or cannot be prepared.
func (t *txn) direct(query string) error {
	if err := t.flush(); err != nil {
		return err
	}
	if _, err := t.w.conn.ExecContext(t.ctx, query); err != nil {
		return t.fail(err)
	}
	return nil
}
