package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// below is the writer's connection to SQLite below database/sql, which costs as
// much again as a small statement of SQLite: locks, contexts, copies of
// arguments and columns. Its statements are kept until the connection ends.
type below struct {
	conn  driver.ConnPrepareContext
	stmts map[string]belowStmt
	args  []driver.NamedValue // room for arguments
}

// belowStmt is a statement of the driver.
type belowStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func newBelow(conn *sql.Conn) (*below, error) {
	b := &below{stmts: map[string]belowStmt{}}
	return b, conn.Raw(func(c any) (err error) {
		var ok bool
		if b.conn, ok = c.(driver.ConnPrepareContext); !ok {
			err = fmt.Errorf("SQLite's driver gives a %T, which prepares no statements", c)
		}
		return err
	})
}

func (b *below) close() {
	if b == nil {
		return
	}
	for _, s := range b.stmts {
		_ = s.Close()
	}
}

// bound is a prepared statement and its arguments, which are there until the
// next statement.
func (t *txn) bound(query string, args []any) (belowStmt, []driver.NamedValue, error) {
	b := t.w.below
	t.w.ways, t.w.statements = t.w.ways+1, t.w.statements+1
	s, ok := b.stmts[query]
	if !ok {
		prepared, err := b.conn.PrepareContext(t.ctx, query)
		if err != nil {
			return nil, nil, t.fail(err)
		}
		if s, ok = prepared.(belowStmt); !ok {
			return nil, nil, fmt.Errorf("SQLite's driver prepares a %T, which cannot be run", prepared)
		}
		b.stmts[query] = s
	}
	b.args = b.args[:0]
	for i, arg := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return nil, nil, err
		}
		b.args = append(b.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return s, b.args, nil
}

// execBelow is exec.
func (t *txn) execBelow(query string, args []any) (int64, error) {
	s, values, err := t.bound(query, args)
	if err != nil {
		return 0, err
	}
	t.wrote = true
	r, err := s.ExecContext(t.ctx, values)
	if err != nil {
		return 0, t.fail(err)
	}
	return r.RowsAffected()
}

// askBelow is ask, for one question.
func (t *txn) askBelow(q question) error {
	s, values, err := t.bound(q.query, q.args)
	if err != nil {
		return err
	}
	t.wrote = t.wrote || !strings.HasPrefix(q.query, "SELECT")
	rows, err := s.QueryContext(t.ctx, values)
	if err != nil {
		return t.fail(err)
	}
	defer rows.Close()
	row := make([]driver.Value, len(rows.Columns()))
	scan := func(dest ...any) error { return scanBelow(row, dest) }
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return t.fail(err)
		}
		if err := q.row(scan); err != nil {
			return err
		}
	}
}

// scanBelow puts columns into what dest points to: texts, numbers, bytes, and
// named types of texts and numbers.
func scanBelow(row []driver.Value, dest []any) error {
	if len(row) != len(dest) {
		return fmt.Errorf("a row has %d columns, %d are wanted", len(row), len(dest))
	}
	for i, v := range row {
		var ok bool
		switch d := dest[i].(type) {
		case *string:
			*d, ok = v.(string)
		case *int64:
			*d, ok = v.(int64)
		default:
			ok = scanAny(v, reflect.ValueOf(d).Elem())
		}
		if !ok {
			return fmt.Errorf("column %d is a %T, which a %T does not hold", i+1, v, dest[i])
		}
	}
	return nil
}

func scanAny(v driver.Value, into reflect.Value) bool {
	switch v := v.(type) {
	case string:
		if into.Kind() != reflect.String {
			return false
		}
		into.SetString(v)
	case int64:
		switch {
		case into.Kind() == reflect.Bool:
			into.SetBool(v != 0)
		case into.CanInt():
			into.SetInt(v)
		case into.CanFloat():
			into.SetFloat(float64(v))
		default:
			return false
		}
	case float64:
		if !into.CanFloat() {
			return false
		}
		into.SetFloat(v)
	case []byte:
		if into.Kind() != reflect.Slice || into.Type().Elem().Kind() != reflect.Uint8 {
			return false
		}
		into.SetBytes(append([]byte(nil), v...))
	default:
		return false
	}
	return true
}
