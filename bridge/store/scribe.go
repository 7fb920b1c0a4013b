package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// scribe is one writer: a connection of its own, and the goroutine that uses it.
type scribe struct {
	c          *committer
	conn       *sql.Conn // nil after it was lost
	generation int64
	stmts      map[string]*sql.Stmt
	texts      map[string]string // of rebound

	below *below        // nil where the database is not SQLite
	renew chan struct{} // of 1: look whether the connection is out of date

	// How often something was asked of the database within transactions, and of how
	// many statements: what benches tell.
	ways, statements int
}

// maxTries bounds how often a batch is done again after it lost against another
// replica. Locks are taken in one order, so that hardly ever happens; each time
// costs the database's deadlock_timeout, a second.
const maxTries = 4

func (w *scribe) connect(ctx context.Context) error {
	conn, err := w.c.db.writer.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn, w.stmts, w.texts, w.generation = conn, map[string]*sql.Stmt{}, map[string]string{}, w.c.db.generationNow()
	if w.c.db.postgres == nil {
		w.below, err = newBelow(conn)
	}
	return err
}

func (w *scribe) disconnect() {
	if w.conn == nil {
		return
	}
	if w.c.db.shared {
		// Not back into the pool: what state it is in, nobody knows. Its statements
		// end with it.
		_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	for _, s := range w.stmts {
		s.Close()
	}
	w.below.close()
	w.below = nil
	w.conn.Close()
	w.conn, w.stmts = nil, nil
}

func (w *scribe) serve() {
	defer w.disconnect()
	for {
		select {
		case <-w.c.closing:
			return
		default:
		}
		if batch := w.collect(nil); len(batch) > 0 {
			w.run(batch)
			continue
		}
		select {
		case <-w.c.closing:
			return
		case <-w.renew:
			if w.generation != w.c.db.generationNow() {
				w.disconnect() // the next batch brings a new one
			}
		case <-w.c.turns.again:
		case j := <-w.c.queue:
			w.run(w.collect(j))
		}
	}
}

// run brings a batch to its end and answers its callers.
func (w *scribe) run(batch []*job) {
	if len(batch) == 0 {
		return
	}
	defer w.release()
	c, began := w.c, time.Now()
	t, errs, err := w.attempts(batch)
	if err != nil {
		if !errors.Is(err, ErrUnavailable) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		c.log.Error("commit failed", "err", err, "callers", len(batch))
		c.failure.Store(&err)
		c.failedAt.Store(ms(c.clock()))
		for _, j := range batch {
			j.done <- err
		}
		c.metrics.committed(0, 0, time.Since(began), err)
		return
	}
	c.failure.Store(nil)
	for _, f := range t.afterwards {
		f()
	}
	c.committed(t)
	weight := 0
	for i, j := range batch {
		weight += j.weight
		j.done <- errs[i]
	}
	c.metrics.committed(weight, len(t.events), time.Since(began), nil)
	c.maintain(weight)
}

// errRedo means that a function failed after it had written something.
var errRedo = errors.New("a function failed after it wrote")

// attempts does a batch until it is committed or there is no use in going on.
// Functions hardly ever fail once they have written, so the first attempt does
// without savepoints (two statements each); if one does, everything is undone
// and from then on each function has a savepoint of its own. A batch that lost
// against another replica's has done nothing and is done again.
func (w *scribe) attempts(batch []*job) (t *txn, errs []error, err error) {
	ctx, cancel := w.c.db.bounded(background)
	defer cancel()
	savepoints := false
	for try := 1; ; try++ {
		t, errs, err = w.attempt(ctx, batch, savepoints)
		switch {
		case err == nil:
			return t, errs, nil
		case errors.Is(err, errRedo) && !savepoints:
			savepoints = true
		case w.c.db.lost(err) && try < maxTries && ctx.Err() == nil:
			w.c.metrics.repeated.Inc()
		default:
			if w.c.db.shared { // whatever it was, the next batch begins on a sound connection
				w.disconnect()
			}
			return nil, nil, err
		}
	}
}

// attempt runs a batch in one transaction. The error is that of the whole
// transaction, errs are those of the functions.
func (w *scribe) attempt(ctx context.Context, batch []*job, savepoints bool) (t *txn, errs []error, err error) {
	t = newTxn(w, ctx)
	if err := w.begin(ctx, t, batch); err != nil {
		return nil, nil, w.c.db.classify(err)
	}
	defer func() {
		if err != nil {
			// SQLite may have rolled back by itself; then there is none, which is what we want.
			_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
		}
	}()
	errs = make([]error, len(batch))
	for i, j := range batch {
		if errs[i], err = w.call(t, j.fn, savepoints); err != nil {
			return nil, nil, err
		}
	}
	// What was kept back is done now: a mistake in it is met as in a function.
	if err := w.c.db.classify(protect(t, (*txn).end)); err != nil {
		return nil, nil, w.orRedo(err, savepoints)
	}
	if err := w.c.db.classify(w.c.db.commit(t)); err != nil {
		if pe := (*pgconn.PgError)(nil); !errors.As(err, &pe) {
			return nil, nil, err // nobody may know what became of it
		}
		return nil, nil, w.orRedo(err, savepoints) // a statement on the way to the COMMIT
	}
	return t, errs, nil
}

// orRedo is for the error of what was kept back, before anything was committed:
// whose it is, an attempt with savepoints tells.
func (w *scribe) orRedo(err error, savepoints bool) error {
	if savepoints || errors.Is(err, ErrUnavailable) || w.c.db.lost(err) {
		return err
	}
	return errRedo
}

// end makes statements of all that waits, and numbers the events.
func (t *txn) end() error {
	if err := t.complete(); err != nil {
		return err
	}
	if err := t.settleCounts(); err != nil {
		return err
	}
	if err := t.settleTally(); err != nil {
		return err
	}
	return t.numberEvents()
}

// begin opens the transaction with the locks of the whole batch. A connection
// that broke while it lay idle is replaced: nothing was done on it yet.
func (w *scribe) begin(ctx context.Context, t *txn, batch []*job) (err error) {
	var list []lock
	if w.c.db.shared {
		t.locks = newLocks()
		needed := false
		for _, j := range batch {
			if j.locks != nil {
				t.locks.add(j.locks)
				needed = true
			}
		}
		if needed {
			list = t.locks.ordered()
		}
	}
	if w.conn != nil && w.generation != w.c.db.generationNow() {
		w.disconnect()
	}
	var o opening
	if fresh := w.conn == nil; !fresh {
		if o, err = w.c.db.begin(ctx, w.conn, list); err != nil && w.c.db.shared && !w.c.db.lost(err) && ctx.Err() == nil {
			w.disconnect()
		}
	}
	if w.conn == nil {
		if err = w.connect(ctx); err != nil {
			return err
		}
		o, err = w.c.db.begin(ctx, w.conn, list)
	}
	if err == nil && o.clock > 0 {
		w.c.ids.after(o.clock)
		w.c.settling.observe(o.clock)
	}
	t.now = w.c.clock().UTC().Truncate(time.Millisecond)
	w.c.wrote(ms(t.now))
	return err
}

// call runs one function. result is the function's error; err ends the
// transaction.
func (w *scribe) call(t *txn, fn func(*txn) error, savepoint bool) (result, err error) {
	if savepoint {
		if err := t.direct("SAVEPOINT caller"); err != nil {
			return nil, err
		}
	}
	mark := t.mark()
	result = w.c.db.classify(protect(t, fn))
	if result == nil && savepoint {
		// An error is this function's. Nothing of it waits when the next savepoint
		// opens, which would take it along when it is rolled back.
		result = w.c.db.classify(protect(t, (*txn).flushAll))
	}
	if result == nil && t.failed {
		// PostgreSQL has given the transaction up: it would take the COMMIT and
		// roll back.
		result = errors.New("a failed statement was passed over")
	}
	if result != nil {
		if errors.Is(result, ErrUnavailable) && t.failed {
			return nil, result // the database's trouble is everybody's
		}
		if (t.wrote || t.failed) && !savepoint {
			return nil, errRedo
		}
		t.reset(mark)
	}
	if !savepoint {
		return result, nil
	}
	if result != nil {
		t.pending, t.gathered, t.kept, t.raws = t.pending[:0], t.gathered[:0], nil, t.raws[:0]
		if err := t.direct("ROLLBACK TO caller"); err != nil {
			return nil, err
		}
	}
	return result, t.direct("RELEASE caller")
}
