package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// The breaker of a bot or a webhook is its row in backend_breakers, shared by all
// replicas:
//
//	closed     no row, or failures < breakerFailures   questions are asked
//	open       open_until in the future                nothing is asked: bots hand over, steps fail, and new
//	                                                   conversations do not go there (Facts: failing)
//	half-open  open_until over                         one question tries for all
//
// A failure is a question that was not answered in all its attempts. The first
// answer closes it.

const (
	// breakerFailures in a row open the breaker: each has had three attempts.
	breakerFailures = 5
	// breakerFirst and breakerMost are how long it is open: twice as long each time.
	breakerFirst = 30 * time.Second
	breakerMost  = 10 * time.Minute
)

// backendOf is which kind of backend an errand asks.
func backendOf(kind errandKind) routing.BackendKind {
	if kind == errandWebhook {
		return routing.BackendWebhook
	}
	return routing.BackendBot
}

// openFor is how long the breaker is open after so many failures in a row; 0: it
// is not.
func openFor(failures int) time.Duration {
	if failures < breakerFailures {
		return 0
	}
	return min(breakerMost, breakerFirst<<min(failures-breakerFailures, 10))
}

// breakerOpen says whether a backend must not be asked now. Where it may be tried
// again this question is the one that tries, and the others wait as long as it takes.
func (t *txn) breakerOpen(kind routing.BackendKind, name string, takes time.Duration) (bool, error) {
	var failures int
	var until int64
	found, err := one(t.ctx, t, []any{&failures, &until}, `SELECT failures, open_until FROM backend_breakers WHERE kind = ? AND name = ?`, string(kind), name)
	if err != nil || !found || failures < breakerFailures {
		return false, err
	}
	if until > ms(t.now) {
		return true, nil
	}
	n, err := t.exec(`UPDATE backend_breakers SET open_until = ? WHERE kind = ? AND name = ? AND open_until = ?`, ms(t.now.Add(takes+consultGrace)), string(kind), name, until)
	return n == 0, err
}

// countFailure counts a question that was not answered.
func (t *txn) countFailure(kind routing.BackendKind, name string) error {
	var failures int
	if _, err := one(t.ctx, t, []any{&failures}, `INSERT INTO backend_breakers (kind, name, failures, open_until) VALUES (?, ?, 1, 0)
		ON CONFLICT (kind, name) DO UPDATE SET failures = backend_breakers.failures + 1 RETURNING failures`, string(kind), name); err != nil {
		return err
	}
	open := openFor(failures)
	if open == 0 {
		return nil
	}
	return t.later(`UPDATE backend_breakers SET open_until = ? WHERE kind = ? AND name = ? AND open_until < ?`, ms(t.now.Add(open)), string(kind), name, ms(t.now.Add(open)))
}

// closeBreaker ends a backend's trouble: it has answered.
func (t *txn) closeBreaker(kind routing.BackendKind, name string) error {
	return t.later(`DELETE FROM backend_breakers WHERE kind = ? AND name = ?`, string(kind), name)
}

type failingBackend struct {
	kind routing.BackendKind
	name string
}

// failingBackends are those whose breaker is open.
func failingBackends(ctx context.Context, q querier, now time.Time) ([]failingBackend, error) {
	return all(ctx, q, func(rows *sql.Rows) (b failingBackend, err error) { return b, rows.Scan(&b.kind, &b.name) },
		`SELECT kind, name FROM backend_breakers WHERE failures >= ? AND open_until > ? ORDER BY kind, name`, breakerFailures, ms(now))
}
