package store

import (
	"context"
	"database/sql"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// decisions removes decisions that are older than messages may be. Those of a
// conversation that is removed go with it, as do the ids of its messages, where
// the texts are that they were made of.
func (w *sweeper) decisions(ctx context.Context, keep document.Retention) error {
	return w.byAge(ctx, "decisions", keep.Messages)
}

// archive removes versions of policies to which no decision refers any more.
func (w *sweeper) archive(ctx context.Context, keep document.Retention) error {
	h := w.horizon(keep.Messages)
	if h.IsZero() {
		return nil
	}
	// The archive knows of the last decision to the hour.
	before := ms(h.Add(-archiveEvery))
	var oldest sql.NullInt64
	if _, err := one(ctx, w.s.read, []any{&oldest}, `SELECT MIN(decided_at) FROM policy_archive`); err != nil || !oldest.Valid || oldest.Int64 >= before {
		return err
	}
	return w.batches(ctx, "policy_archive", func(t *txn) (int64, error) {
		return t.exec(`DELETE FROM policy_archive WHERE decided_at < ? AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.hash = policy_archive.hash)`, before)
	})
}

// breakers forgets the trouble of bots and webhooks that are not there any more.
func (w *sweeper) breakers(ctx context.Context, _ document.Retention) error {
	list, err := all(ctx, w.s.read, func(rows *sql.Rows) (b failingBackend, err error) { return b, rows.Scan(&b.kind, &b.name) }, `SELECT kind, name FROM backend_breakers`)
	st := w.s.state.Load()
	if err != nil || !st.loaded {
		return err
	}
	for _, b := range list {
		known := st.routes.webhooks[b.name].content != nil
		if b.kind == routing.BackendBot {
			known = st.routes.bots[b.name].content != nil
		}
		if known {
			continue
		}
		if err := w.s.write(ctx, 1, func(t *txn) error { return t.closeBreaker(b.kind, b.name) }); err != nil {
			return err
		}
	}
	return nil
}
