package store

import (
	"database/sql"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	if err := t.settle(); err != nil {
		return err
	}
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

// flushAll brings everything that waits to the database: messages that were
// gathered, entries of the journal, statements.
func (t *txn) flushAll() error {
	if err := t.complete(); err != nil {
		return err
	}
	return t.flush()
}

// complete makes statements of everything that waits.
func (t *txn) complete() error {
	if err := t.settle(); err != nil {
		return err
	}
	return t.flushRaws()
}

// flush sends what waits.
func (t *txn) flush() error {
	if len(t.pending) == 0 {
		return nil
	}
	_, err := t.send(nil, nil)
	return err
}

// question is a query with a function that takes its rows, one by one, by the
// driver's scan.
type question struct {
	query string
	args  []any
	row   func(scan func(dest ...any) error) error
}

// ask runs queries one after another, on one way. Statements with RETURNING
// count as a write.
func (t *txn) ask(questions ...question) error {
	if err := t.settle(); err != nil {
		return err
	}
	if t.c.db.postgres == nil {
		for _, q := range questions {
			if err := t.askBelow(q); err != nil {
				return err
			}
		}
		return nil
	}
	queries := make([]statement, len(questions))
	for i, q := range questions {
		queries[i] = statement{q.query, q.args}
		t.wrote = t.wrote || !strings.HasPrefix(q.query, "SELECT")
	}
	_, err := t.send(nil, answersTo(questions), queries...)
	return err
}

// answersTo gives each question its rows.
func answersTo(questions []question) func(pgx.BatchResults) error {
	return func(results pgx.BatchResults) error {
		for _, q := range questions {
			rows, err := results.Query()
			if err != nil {
				return err
			}
			for rows.Next() {
				if err := q.row(rows.Scan); err != nil {
					rows.Close()
					return err
				}
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	}
}

// bulkThen runs a bulk, and questions right after it, on one way. It returns
// how many rows the bulk changed.
func (t *txn) bulkThen(b *bulk, rows [][]any, questions ...question) (changed int64, err error) {
	if t.c.db.postgres == nil {
		if changed, err = t.bulkEach(b, rows); err != nil {
			return changed, err
		}
		return changed, t.ask(questions...)
	}
	queries := make([]statement, len(questions))
	for i, q := range questions {
		queries[i] = statement{q.query, q.args}
	}
	return t.send(&statement{b.all, inColumns(rows)}, answersTo(questions), queries...)
}

// send sends what waits, then a statement whose number of changed rows is
// returned, and then queries whose results read takes.
func (t *txn) send(last *statement, read func(pgx.BatchResults) error, queries ...statement) (changed int64, err error) {
	err = t.sendBatch(last, queries, read, func(tag pgconn.CommandTag) { changed = tag.RowsAffected() })
	return changed, err
}

func (t *txn) sendBatch(last *statement, queries []statement, read func(pgx.BatchResults) error, ended func(pgconn.CommandTag)) error {
	var batch pgx.Batch
	for _, s := range t.pending {
		batch.Queue(t.w.rebound(s.query), s.args...)
	}
	waiting := len(t.pending)
	t.pending = t.pending[:0]
	if last != nil {
		t.wrote = true
		batch.Queue(t.w.rebound(last.query), last.args...)
	}
	for _, q := range queries {
		batch.Queue(t.w.rebound(q.query), q.args...)
	}
	t.w.ways, t.w.statements = t.w.ways+1, t.w.statements+batch.Len()
	err := onConnection(t.w.conn, func(conn *pgx.Conn) error {
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
			ended(tag)
		}
		if read != nil {
			if err := read(results); err != nil {
				return err
			}
		}
		return results.Close()
	})
	if err != nil {
		return t.fail(err)
	}
	return nil
}

// finish sends what waits, and a last statement, whose tag it returns.
func (t *txn) finish(last statement) (tag string, err error) {
	err = t.sendBatch(&last, nil, nil, func(got pgconn.CommandTag) { tag = got.String() })
	return tag, err
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
	if err := t.flushAll(); err != nil {
		return err
	}
	if _, err := t.w.conn.ExecContext(t.ctx, query); err != nil {
		return t.fail(err)
	}
	return nil
}
