package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// settleWithin is how long a transaction of another replica can be under way
// with ids that it has drawn: what the committer's patience lets it, twice for
// good measure. Older ids are all there or never will be.
const settleWithin = 2 * postgresPatience

// settled reads a page of a list that is in the order of ids. Every transaction
// draws ids above those that were committed before it began; but where several
// replicas write, one that is under way may hold ids between those that are
// there already, and a reader that went on from these would miss it. A page that
// ends that late is read again at a moment when none is under way.
func settled[T any](ctx context.Context, s *Store, id func(T) string, read func(querier) ([]T, error)) ([]T, error) {
	list, err := read(s.read)
	if err != nil || len(list) == 0 || !s.db.shared {
		return list, err
	}
	last, err := ulid.ParseStrict(id(list[len(list)-1]))
	if err == nil && s.now().Sub(time.UnixMilli(int64(last.Time()))) > settleWithin { //nolint:gosec // 48 bits
		return list, nil
	}
	err = s.quietly(ctx, func(q querier) (err error) {
		list, err = read(q)
		return err
	})
	return list, err
}

// quietly lets read look while no transaction that draws ids is under way: it
// takes the root of all locks, for as long as the look takes.
func (s *Store) quietly(ctx context.Context, read func(querier) error) error {
	within, cancel := s.db.bounded(ctx)
	defer cancel()
	tx, err := s.db.reader.BeginTx(within, nil)
	if err != nil {
		return late(ctx, s.db.classify(err))
	}
	defer tx.Rollback() //nolint:errcheck // it has written nothing
	if _, err := tx.ExecContext(within, fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, rootKey)); err != nil {
		return late(ctx, s.db.classify(err))
	}
	return read(&quietReader{reader: s.read, tx: tx})
}

// quietReader reads in a transaction of its own.
type quietReader struct {
	*reader
	tx *sql.Tx
}

func (q *quietReader) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := q.tx.QueryContext(ctx, q.db.rebind(query), args...)
	return rows, q.db.classify(err)
}
