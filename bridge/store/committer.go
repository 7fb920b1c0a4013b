package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const (
	// maxBatchWeight bounds what shares a transaction, in elements. One takes
	// about 50 µs, so a full batch keeps its callers waiting for some 50 ms: far
	// below any platform's patience (2 s at the least), and by then the flush to
	// disk (1 to 10 ms) costs less than a fifth of the time.
	maxBatchWeight = 1024

	// checkpointEvery is after how many changed elements the log is copied back
	// into the database beside the writer: at some 6 pages of 4 KiB each this is
	// about 48 MiB, below the size at which the writer would have to do it.
	checkpointEvery = 2048
)

// committer runs the functions of concurrent callers one after another in one
// transaction, commits once and then answers them all. No timer is involved:
// a batch is whatever came while the batch before was being committed, so that
// a lone caller waits for nobody.
type committer struct {
	db    *database
	clock func() time.Time
	ids   *idSource
	log   *slog.Logger
	// committed is told after each commit which topics to wake.
	committed func(topics []topic)

	queue   chan *job
	closing chan struct{}
	stopped chan struct{}

	conn  *sql.Conn
	stmts map[string]*sql.Stmt

	unmaintained int
	maintaining  atomic.Bool

	// failure of the last batch; nil when it was committed.
	failure atomic.Pointer[error]
	metrics *metrics
}

// job is a caller's function with its answer.
type job struct {
	fn     func(*txn) error
	weight int
	state  atomic.Int32
	done   chan error // of 1: the committer never waits for a caller
}

// States of a job. Between waiting and the others there is one step, taken by
// the committer or by the caller, never by both: a caller that gives up knows
// that nothing was done, and one whose function has begun waits for the end.
const (
	jobWaiting int32 = iota
	jobTaken
	jobAbandoned
)

// start takes the writer's connection and begins to serve.
func (c *committer) start(ctx context.Context) error {
	conn, err := c.db.writer.Conn(ctx)
	if err != nil {
		return c.db.classify(err)
	}
	c.conn, c.stmts = conn, map[string]*sql.Stmt{}
	c.queue = make(chan *job, maxBatchWeight)
	c.closing, c.stopped = make(chan struct{}), make(chan struct{})
	go c.serve()
	return nil
}

// stop ends the service after the batch in work. Callers that still wait get
// ErrUnavailable.
func (c *committer) stop() error {
	close(c.closing)
	<-c.stopped
	for _, s := range c.stmts {
		s.Close()
	}
	return c.conn.Close()
}

// do runs fn within a transaction and returns when it is committed. fn may run
// more than once (see attempt) and runs on the committer's goroutine: it must
// be quick, do no I/O but its statements, and set its results anew each time.
// When ctx is done before fn has begun, nothing is done.
func (c *committer) do(ctx context.Context, weight int, fn func(*txn) error) error {
	j := &job{fn: fn, weight: max(weight, 1), done: make(chan error, 1)}
	select {
	case c.queue <- j:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	case <-c.stopped:
		return fmt.Errorf("%w: the store is stopping", ErrUnavailable)
	}
	var gone error
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		gone = context.Cause(ctx)
	case <-c.stopped:
		gone = errors.New("the store is stopping")
	}
	if j.state.CompareAndSwap(jobWaiting, jobAbandoned) {
		return fmt.Errorf("%w: %w", ErrUnavailable, gone)
	}
	return <-j.done
}

func (c *committer) serve() {
	defer close(c.stopped)
	for {
		select {
		case <-c.closing:
			return
		case j := <-c.queue:
			c.run(c.collect(j))
		}
	}
}

// collect takes what is waiting, up to the bound.
func (c *committer) collect(first *job) []*job {
	var batch []*job
	weight := 0
	for j := first; ; {
		if j.state.CompareAndSwap(jobWaiting, jobTaken) {
			batch = append(batch, j)
			weight += j.weight
		}
		if weight >= maxBatchWeight {
			return batch
		}
		select {
		case j = <-c.queue:
		default:
			return batch
		}
	}
}

// run brings a batch to its end and answers its callers.
func (c *committer) run(batch []*job) {
	if len(batch) == 0 {
		return
	}
	began := time.Now()
	t, errs, err := c.attempt(batch, false)
	if errors.Is(err, errRedo) {
		t, errs, err = c.attempt(batch, true)
	}
	if err != nil {
		if !errors.Is(err, ErrUnavailable) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		c.log.Error("commit failed", "err", err, "callers", len(batch))
		c.failure.Store(&err)
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
	c.committed(t.topics())
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

// attempt runs a batch in one transaction. Functions hardly ever fail once
// they have written, so the first attempt does without savepoints (two
// statements each); if one does, everything is undone and the second attempt
// gives each function a savepoint of its own. The error is that of the whole
// transaction, errs are those of the functions.
func (c *committer) attempt(batch []*job, savepoints bool) (t *txn, errs []error, err error) {
	t = newTxn(c)
	if err := c.db.begin(background, c.conn); err != nil {
		return nil, nil, c.db.classify(err)
	}
	defer func() {
		if err != nil {
			// SQLite may have rolled back by itself; then there is none, which is what we want.
			_, _ = c.conn.ExecContext(background, "ROLLBACK")
		}
	}()
	errs = make([]error, len(batch))
	for i, j := range batch {
		if errs[i], err = c.call(t, j.fn, savepoints); err != nil {
			return nil, nil, err
		}
	}
	if err := t.numberEvents(); err != nil {
		return nil, nil, c.db.classify(err)
	}
	if _, err := c.conn.ExecContext(background, "COMMIT"); err != nil {
		return nil, nil, c.db.classify(err)
	}
	return t, errs, nil
}

// call runs one function. result is the function's error; err ends the
// transaction.
func (c *committer) call(t *txn, fn func(*txn) error, savepoint bool) (result, err error) {
	if savepoint {
		if err := t.direct("SAVEPOINT caller"); err != nil {
			return nil, err
		}
	}
	mark := t.mark()
	if result = c.db.classify(protect(t, fn)); result != nil {
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
		if err := t.direct("ROLLBACK TO caller"); err != nil {
			return nil, err
		}
	}
	return result, t.direct("RELEASE caller")
}

// protect turns a panic into an error of the one caller, so that a mistake met
// by one message does not take the store down for all.
func protect(t *txn, fn func(*txn) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.c.log.Error("panic in a transaction", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	return fn(t)
}

// maintain lets the database catch up beside the writer once enough was written.
func (c *committer) maintain(weight int) {
	c.unmaintained += weight
	if c.db.maintain == nil || c.unmaintained < checkpointEvery || !c.maintaining.CompareAndSwap(false, true) {
		return
	}
	c.unmaintained = 0
	go func() {
		defer c.maintaining.Store(false)
		if err := c.db.maintain(background); err != nil {
			c.log.Warn("database maintenance failed; it is tried again later", "err", err)
		}
	}()
}

// background is the context of everything the committer does: its statements
// are never interrupted halfway because one caller of many has gone.
var background = context.Background()
