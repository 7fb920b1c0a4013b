package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
)

// txn is a transaction as the functions of its callers see it. It is used on
// the committer's goroutine only and is dead when the function returns.
type txn struct {
	c   *committer
	w   *scribe
	ctx context.Context // bounds the transaction where the database can hang
	// locks are what the batch holds; nil where there is one writer only.
	locks *locks
	taken []lockName // of them, since the transaction began
	// now is the store's clock at the beginning of the transaction, in UTC and
	// whole milliseconds as the database keeps it.
	now time.Time

	wrote      bool        // since the mark
	failed     bool        // a statement failed
	pending    []statement // kept back, see later
	gathered   []*arrival  // messages that are taken in together, see settle
	kept       []*keptRows // rows that are written together, see row
	raws       [][]any     // entries of the journal; they go in at the end
	events     []Event
	woken      map[topic]bool
	rung       map[string]bool // Bridges that have something to send
	tally      []tallyEntry    // what is to be done to counters, see tally.go
	counted    []countNote     // of surveys, see survey_counts.go
	stirred    map[string]bool // queues
	depths     map[string]int64
	facts      map[string]queueRow
	drew       bool // an id
	afterwards []func()
}

func newTxn(w *scribe, ctx context.Context) *txn {
	return &txn{c: w.c, w: w, ctx: ctx, woken: map[topic]bool{}, rung: map[string]bool{}}
}

// hold takes the lock of a name, unless the batch has it: for what could not be
// foreseen.
func (t *txn) hold(space lockSpace, name string) error {
	_, err := t.take(space, name, true)
	return err
}

// try takes the lock of a name unless somebody else has it. What looks through
// rows of many channels does so, as it can come back later.
func (t *txn) try(space lockSpace, name string) (bool, error) {
	return t.take(space, name, false)
}

// alone says that nobody else moves channels, sessions or lanes meanwhile.
func (t *txn) alone() bool { return t.locks == nil || t.locks.root }

// holds says whether the lock of a name is held.
func (t *txn) holds(space lockSpace, name string) bool {
	return t.locks == nil || t.locks.has(space, name)
}

func (t *txn) take(space lockSpace, name string, wait bool) (bool, error) {
	if t.locks == nil || t.locks.has(space, name) {
		return true, nil
	}
	// The share of the root comes first, as in every batch; a second one is free.
	for _, l := range []lock{{key: rootKey, shared: true}, {key: keyOf(space, name)}} {
		if ok, err := t.c.db.lock(t, l, wait); err != nil || !ok {
			return false, err
		}
	}
	t.locks.others[lockName{space, name}] = true
	t.taken = append(t.taken, lockName{space, name})
	return true, nil
}

// exec runs a statement and returns how many rows it changed.
func (t *txn) exec(query string, args ...any) (int64, error) {
	if err := t.settle(); err != nil {
		return 0, err
	}
	if len(t.pending) > 0 {
		return t.send(&statement{query, args}, nil)
	}
	if t.w.below != nil {
		return t.execBelow(query, args)
	}
	s, err := t.prepare(query) //nolint:sqlclosecheck // kept and closed by the committer
	if err != nil {
		return 0, err
	}
	t.wrote = true
	r, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	return r.RowsAffected()
}

// query runs a SELECT, or a statement with RETURNING. Read the rows to their
// end, or close them, before the next statement: not every database can have
// two at once on one connection.
func (t *txn) query(query string, args ...any) (*sql.Rows, error) {
	if err := errors.Join(t.settle(), t.flush()); err != nil {
		return nil, err
	}
	s, err := t.prepare(query) //nolint:sqlclosecheck // kept and closed by the committer
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(query, "SELECT") {
		t.wrote = true
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return nil, t.fail(err)
	}
	return rows, nil
}

// event appends to the event log. The cursor is given at the end of the
// transaction; Time and Namespace are filled in from the transaction and the
// channel.
func (t *txn) event(e Event) { t.events = append(t.events, e) }

// wake makes those who wait for a topic look again, after the commit.
func (t *txn) wake(tp topic) { t.woken[tp] = true }

// afterCommit runs f once the transaction is committed, before the callers are
// answered, on the committer's goroutine.
func (t *txn) afterCommit(f func()) { t.afterwards = append(t.afterwards, f) }

// ring wakes a Bridge that waits for something to send, after the commit, in
// whichever replica it waits.
func (t *txn) ring(bridge string) { t.rung[bridge] = true }

// newID draws an id that is greater than all before it: of this process, and of
// all transactions that were committed before this one took its locks.
func (t *txn) newID() string {
	t.drew = true
	return t.c.ids.next(t.now)
}

func (t *txn) fail(err error) error {
	t.failed = true
	return t.c.db.classify(err)
}

// prepare keeps every statement it has seen: their texts are constants of the
// code, so there are some hundred of them at most.
func (t *txn) prepare(query string) (*sql.Stmt, error) {
	t.w.ways, t.w.statements = t.w.ways+1, t.w.statements+1
	if s, ok := t.w.stmts[query]; ok {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(t.ctx, t.c.db.rebind(query))
	if err != nil {
		return nil, t.fail(err)
	}
	t.w.stmts[query] = s
	return s, nil
}

// txnMark is what a failed function's leftovers are cut back to.
type txnMark struct{ events, afterwards, gathered, raws, taken, tally, counted int }

func (t *txn) mark() txnMark {
	t.wrote, t.failed = false, false
	return txnMark{len(t.events), len(t.afterwards), len(t.gathered), len(t.raws), len(t.taken), len(t.tally), len(t.counted)}
}

func (t *txn) reset(m txnMark) {
	t.events, t.afterwards = t.events[:m.events], t.afterwards[:m.afterwards]
	t.gathered = t.gathered[:min(m.gathered, len(t.gathered))]
	t.raws = t.raws[:min(m.raws, len(t.raws))]
	t.counted = t.counted[:m.counted]
	t.tally, t.stirred = t.tally[:m.tally], nil // what is stirred anew is so twice, which is once
	// A savepoint that is rolled back lets go of the locks taken in it. Where there
	// was none they are held still; taking them again costs nothing.
	for _, name := range t.taken[m.taken:] {
		delete(t.locks.others, name)
	}
	t.taken = t.taken[:m.taken]
}

func (t *txn) topics() []topic {
	topics := make([]topic, 0, len(t.woken)+1)
	for tp := range t.woken {
		topics = append(topics, tp)
	}
	if len(t.events) > 0 {
		topics = append(topics, topicEvents)
	}
	return topics
}

// numberEvents is the last thing a transaction does. Taking the numbers locks
// the head row until the commit, so that the order of cursors is the order of
// commits and a reader that has seen a cursor has seen all before it.
func (t *txn) numberEvents() error {
	n := len(t.events)
	if n == 0 && (!t.drew || !t.c.db.shared) {
		return nil
	}
	return t.c.db.number(t, n, t.c.ids.latest())
}

// rows implements querier; a transaction takes no context of its callers.
func (t *txn) rows(_ context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.query(query, args...)
}

// bounded implements querier: the whole transaction is bounded.
func (t *txn) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}
