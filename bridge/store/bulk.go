package store

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
)

// bulk changes many rows of a table by one statement, whose arguments are its
// columns (PostgreSQL). With SQLite, where a statement costs no way, an update is
// run for each row; of an insert, some rows share a statement, as half of its
// price is beside the rows.
type bulk struct {
	each string   // for one row
	all  string   // for rows in columns
	many []string // for 1, 2, 4 … rows
}

// bulkTogether is how many rows one statement inserts with SQLite at most; the
// rest goes in powers of two, so that there are few texts of statements.
const bulkTogether = 64

// bulkInsert inserts rows of such columns, each "name type" as in
// "due_at bigint". ending is what follows the rows.
func bulkInsert(table, ending string, columns ...string) *bulk {
	names, types := namesAndTypes(columns)
	list := strings.Join(names, ", ")
	var many []string
	for n := 1; n <= bulkTogether; n *= 2 {
		// OR FAIL: SQLite need not be able to undo a part of the statement, which
		// costs a copy of each page that it changes. Who fails here is undone as a
		// whole anyway.
		many = append(many, fmt.Sprintf("INSERT OR FAIL INTO %s (%s) VALUES %s %s", table, list,
			strings.TrimSuffix(strings.Repeat(in(len(names))+", ", n), ", "), ending))
	}
	return &bulk{
		each: many[0],
		many: many,
		all:  fmt.Sprintf("INSERT INTO %s (%s) SELECT * FROM unnest(%s) AS r (%s) %s", table, list, strings.Join(types, ", "), list, ending),
	}
}

// bulkUpdate sets columns of the rows with these keys; the keys follow the
// columns in a row.
func bulkUpdate(table string, keys []string, columns ...string) *bulk {
	keyNames, keyTypes := namesAndTypes(keys)
	names, types := namesAndTypes(columns)
	var set, setAll, where, whereAll []string
	for _, n := range names {
		set, setAll = append(set, n+" = ?"), append(setAll, n+" = r."+n)
	}
	for _, k := range keyNames {
		where, whereAll = append(where, k+" = ?"), append(whereAll, table+"."+k+" = r."+k)
	}
	return &bulk{
		each: fmt.Sprintf("UPDATE %s SET %s WHERE %s", table, strings.Join(set, ", "), strings.Join(where, " AND ")),
		all: fmt.Sprintf("UPDATE %s SET %s FROM unnest(%s) AS r (%s) WHERE %s", table, strings.Join(setAll, ", "),
			strings.Join(append(types, keyTypes...), ", "), strings.Join(append(names, keyNames...), ", "), strings.Join(whereAll, " AND ")),
	}
}

func namesAndTypes(columns []string) (names, types []string) {
	for _, c := range columns {
		name, kind, _ := strings.Cut(c, " ")
		names, types = append(names, name), append(types, "?::"+kind+"[]")
	}
	return names, types
}

// bulk runs one for these rows, at the latest with the next statement. Values
// are string, int64, float64 or []byte.
func (t *txn) bulk(b *bulk, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	if t.c.db.postgres != nil {
		return t.later(b.all, inColumns(rows)...)
	}
	_, err := t.bulkEach(b, rows)
	return err
}

// bulkEach runs one with SQLite and returns how many rows it changed.
func (t *txn) bulkEach(b *bulk, rows [][]any) (changed int64, err error) {
	var args []any
	for size := len(b.many) - 1; len(rows) > 0; {
		query, n := b.each, 1
		if b.many != nil {
			for n = 1 << size; n > len(rows); size-- {
				n /= 2
			}
			query = b.many[bits.Len(uint(n))-1] //nolint:gosec // at least 1
		}
		args = args[:0]
		for _, row := range rows[:n] {
			args = append(args, row...)
		}
		m, err := t.exec(query, args...)
		if err != nil {
			return changed, err
		}
		changed += m
		rows = rows[n:]
	}
	return changed, nil
}

// bulkReturning runs a bulk that ends with RETURNING, at once.
func (t *txn) bulkReturning(b *bulk, rows [][]any, row func(scan func(...any) error) error) error {
	switch {
	case len(rows) == 0:
		return nil
	case t.c.db.postgres != nil:
		return t.ask(question{b.all, inColumns(rows), row})
	}
	for _, r := range rows {
		if err := t.ask(question{b.each, r, row}); err != nil {
			return err
		}
	}
	return nil
}

// inColumns turns rows into columns.
func inColumns(rows [][]any) []any {
	columns := make([]any, len(rows[0]))
	for i, v := range rows[0] {
		switch v.(type) {
		case string:
			columns[i] = column[string](rows, i)
		case int64:
			columns[i] = column[int64](rows, i)
		case float64:
			columns[i] = column[float64](rows, i)
		case []byte:
			columns[i] = column[[]byte](rows, i)
		default:
			panic(fmt.Sprintf("column %d of a bulk is a %T", i, v)) // a mistake in the code
		}
	}
	return columns
}

func column[T any](rows [][]any, i int) []T {
	list := make([]T, len(rows))
	for r := range rows {
		list[r] = rows[r][i].(T)
	}
	return list
}

// Lists as arguments. A list is one argument, so that there is one text of a
// statement for lists of all lengths.

func (*postgresDialect) among(column string) string { return column + " = ANY (?)" }

func (sqliteDialect) among(column string) string {
	return column + " IN (SELECT value FROM json_each(?))"
}

func (*postgresDialect) values(kind string) string { return "unnest(?::" + kind + "[]) AS w (value)" }

func (sqliteDialect) values(string) string { return "json_each(?) AS w" }

func (*postgresDialect) list(values any) any { return values }

func (sqliteDialect) list(values any) any { return inJSON(values) }

func (*postgresDialect) pairs() string { return "unnest(?::text[], ?::text[]) AS w (a, b)" }

func (sqliteDialect) pairs() string {
	return "(SELECT value ->> 0 AS a, value ->> 1 AS b FROM json_each(?)) AS w"
}

func (*postgresDialect) pairList(pairs [][2]string) []any {
	a, b := make([]string, len(pairs)), make([]string, len(pairs))
	for i, p := range pairs {
		a[i], b[i] = p[0], p[1]
	}
	return []any{a, b}
}

func (sqliteDialect) pairList(pairs [][2]string) []any { return []any{inJSON(pairs)} }

func inJSON(values any) string {
	raw, err := json.Marshal(values)
	if err != nil { // strings and numbers
		panic(err)
	}
	return string(raw)
}
