package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// Lists over several channels are merged from what each channel has, because
// an index over all of them would have to be written with every message, and
// a page is small. Each channel is asked only for what can still be on the page.
//
//	channel a ─┐ keys in order
//	channel b ─┼─► merge, bounded by the page ─► the rows of the page
//	channel c ─┘

// sortKey is an item's place in the order of a list: a time (0 where the order is
// that of the ids) and the id.
type sortKey struct {
	at int64
	id string
}

func (k sortKey) compare(o sortKey) int {
	return cmp.Or(cmp.Compare(k.at, o.at), cmp.Compare(k.id, o.id))
}

func scanKey(rows *sql.Rows) (k sortKey, err error) { return k, rows.Scan(&k.at, &k.id) }

// latestFirst is the order of lists that begin with the newest.
func latestFirst(a, b sortKey) int { return b.compare(a) }

// merge reads up to limit keys in order out of several parts. fetch reads those
// of one part; bound is the last key of a full page so far, what comes after it
// is of no use.
func merge[P any](parts []P, limit int, order func(a, b sortKey) int, fetch func(part P, bound *sortKey) ([]sortKey, error)) ([]sortKey, error) {
	var merged []sortKey
	for _, part := range parts {
		var bound *sortKey
		if len(merged) == limit {
			bound = &merged[limit-1]
		}
		list, err := fetch(part, bound)
		if err != nil {
			return nil, err
		}
		merged = append(merged, list...)
		slices.SortFunc(merged, order)
		merged = merged[:min(len(merged), limit)]
	}
	return merged, nil
}

// channels lists the channels of the scope that have conversations, by one
// step in an index for each; they outlive their resources.
func (s *Store) channels(ctx context.Context, scope Scope) (list []string, err error) {
	if scope.All {
		return s.channelsBetween(ctx, "", "\U0010FFFF")
	}
	for _, ns := range slices.Compact(slices.Sorted(slices.Values(scope.Namespaces))) {
		more, err := s.channelsBetween(ctx, ns+"/", ns+"0") // '0' follows '/'
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

func (s *Store) channelsBetween(ctx context.Context, after, before string) (list []string, err error) {
	for {
		var next sql.NullString
		if _, err := one(ctx, s.read, []any{&next}, `SELECT MIN(channel) FROM conversations WHERE channel > ? AND channel < ?`, after, before); err != nil || !next.Valid {
			return list, err
		}
		after = next.String
		list = append(list, after)
	}
}

// conditions collects the WHERE of a query.
type conditions struct {
	sql  []string
	args []any
}

func (c *conditions) add(sql string, args ...any) {
	c.sql = append(c.sql, sql)
	c.args = append(c.args, args...)
}

func (c *conditions) where() string {
	if len(c.sql) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(c.sql, " AND ") + " "
}

// seeChannel checks the channel that a query is about. Its namespace being
// outside the scope is told like a channel that is not there.
func seeChannel(scope Scope, channel string) error {
	ns, name := splitChannel(channel)
	if ns == "" || name == "" {
		return &FieldError{Field: "channel", Message: "must be namespace/name"}
	}
	if !scope.Allows(ns) {
		return fmt.Errorf("channel %s: %w", channel, ErrNotFound)
	}
	return nil
}

// inOrder sorts rows as their keys are; rows that are no longer there are left out.
func inOrder[T any](keys []sortKey, rows []T, id func(T) string) []T {
	index := make(map[string]T, len(rows))
	for _, r := range rows {
		index[id(r)] = r
	}
	out := make([]T, 0, len(keys))
	for _, k := range keys {
		if r, ok := index[k.id]; ok {
			out = append(out, r)
		}
	}
	return out
}

// pageOf cuts keys that were read one too far, loads the rows and makes the page.
func pageOf[T any](list string, keys []sortKey, limit int, id func(T) string, load func(ids []string) ([]T, error)) (Page[T], error) {
	next := ""
	if len(keys) > limit {
		keys = keys[:limit]
		last := keys[limit-1]
		next = position{List: list, At: last.at, ID: last.id}.cursor()
	}
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = k.id
	}
	rows, err := load(ids)
	if err != nil {
		return Page[T]{}, err
	}
	return Page[T]{Items: inOrder(keys, rows, id), Next: next}, nil
}

// start checks what all pages have in common.
func start(list string, q PageQuery) (limit int, pos position, from bool, err error) {
	if limit, err = limitOf(q); err != nil {
		return 0, position{}, false, err
	}
	pos, from, err = after(list, q.After)
	return limit, pos, from, err
}
