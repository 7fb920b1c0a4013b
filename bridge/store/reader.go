package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// querier is where rows can be read: the pool of readers, or a transaction.
type querier interface {
	rows(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	// bounded is a context within which an answer must have come.
	bounded(ctx context.Context) (context.Context, context.CancelFunc)
	// fail makes of an error that a result ended with what callers understand.
	fail(err error) error
}

// reader reads committed data from a pool of connections.
type reader struct {
	db    *database
	stmts sync.Map // query text → *sql.Stmt
}

// maxKeptParams bounds which statements are kept: texts with a list of
// placeholders come in many lengths.
const maxKeptParams = 4

func (r *reader) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := r.send(ctx, query, args)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, r.db.classify(err)
	}
	return rows, nil
}

func (r *reader) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return r.db.bounded(ctx)
}

func (r *reader) fail(err error) error { return r.db.classify(err) }

// late tells a caller whose own patience is not at its end that the database
// did not answer in time.
func late(caller context.Context, err error) error {
	if caller.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: the database did not answer in time", ErrUnavailable)
	}
	return err
}

func (r *reader) send(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	if len(args) > maxKeptParams {
		return r.db.reader.QueryContext(ctx, r.db.rebind(query), args...)
	}
	if s, ok := r.stmts.Load(query); ok {
		return s.(*sql.Stmt).QueryContext(ctx, args...)
	}
	s, err := r.db.reader.PrepareContext(ctx, r.db.rebind(query))
	if err != nil {
		return nil, err
	}
	if kept, loaded := r.stmts.LoadOrStore(query, s); loaded {
		s.Close() //nolint:sqlclosecheck // there is a better one already
		s = kept.(*sql.Stmt)
	}
	return s.QueryContext(ctx, args...)
}

func (r *reader) close() {
	r.stmts.Range(func(_, s any) bool {
		s.(*sql.Stmt).Close()
		return true
	})
}

// one reads the first row into dest; found is false when there is none.
func one(ctx context.Context, q querier, dest []any, query string, args ...any) (found bool, err error) {
	within, cancel := q.bounded(ctx)
	defer cancel()
	rows, err := q.rows(within, query, args...)
	if err != nil {
		return false, late(ctx, err)
	}
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return false, err
		}
		found = true
	}
	if err := rows.Err(); err != nil {
		return false, late(ctx, q.fail(err))
	}
	return found, rows.Close()
}

// all reads every row with scan.
func all[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	within, cancel := q.bounded(ctx)
	defer cancel()
	rows, err := q.rows(within, query, args...)
	if err != nil {
		return nil, late(ctx, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read a row: %w", err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, late(ctx, q.fail(err))
	}
	return out, nil
}

// scanText reads rows of one text column.
func scanText(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) }

// in writes n placeholders for "IN (…)".
func in(n int) string { return "(" + strings.TrimSuffix(strings.Repeat("?, ", n), ", ") + ")" }

// anys turns a list into arguments.
func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// ms is a time as the database keeps it; 0 when it is not set.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMS is the time of a column; zero when it is not set.
func fromMS(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}

// optionalMS is the time of a column that may be absent.
func optionalMS(v int64) *time.Time {
	if v == 0 {
		return nil
	}
	t := fromMS(v)
	return &t
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
