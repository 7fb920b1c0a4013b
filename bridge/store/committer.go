package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
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
// a lone caller waits for nobody. With several writers (scribes) one fills its
// transaction while another one waits for the disk; who needs what the other one
// holds waits for its turn (turns).
type committer struct {
	db         *database
	clock      func() time.Time
	ids        *idSource
	log        *slog.Logger
	queues     *queues
	dispatcher *dispatcher
	surveys    *surveys
	// committed is told after each commit what to wake.
	committed func(t *txn)

	queue   chan *job
	turns   turns
	closing chan struct{}
	stopped chan struct{} // closed when all scribes have ended
	scribes sync.WaitGroup
	renew   []chan struct{} // of the scribes

	unmaintained int // of the only scribe where there is maintenance
	maintaining  atomic.Bool

	// failure of the last batch; nil when it was committed.
	failure  atomic.Pointer[error]
	settling settling // where replicas share the database
	// latest is the latest time that was written by, in milliseconds.
	latest atomic.Int64
	// failedAt is when a batch failed last, in milliseconds; 0: never.
	failedAt atomic.Int64
	metrics  *metrics
}

// job is a caller's function with its answer.
type job struct {
	fn     func(*txn) error
	weight int
	locks  *locks
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

// start opens the writers' connections and begins to serve.
func (c *committer) start(ctx context.Context) error {
	c.queue = make(chan *job, maxBatchWeight)
	c.turns = turns{again: make(chan struct{}, 1), held: map[*scribe]*locks{}}
	c.closing, c.stopped = make(chan struct{}), make(chan struct{})
	var scribes []*scribe
	for range c.db.writers {
		w := &scribe{c: c, renew: make(chan struct{}, 1)}
		if err := w.connect(ctx); err != nil {
			for _, opened := range scribes {
				opened.disconnect()
			}
			return c.db.classify(err)
		}
		scribes, c.renew = append(scribes, w), append(c.renew, w.renew)
	}
	for _, w := range scribes {
		c.scribes.Go(w.serve)
	}
	go func() {
		c.scribes.Wait()
		close(c.stopped)
	}()
	return nil
}

// reconnect makes the writers let go of connections that are out of date, those
// with nothing to do, too.
func (c *committer) reconnect() {
	for _, renew := range c.renew {
		select {
		case renew <- struct{}{}:
		default:
		}
	}
}

// stop ends the service after the batches in work. Callers that still wait get
// ErrUnavailable.
func (c *committer) stop() {
	close(c.closing)
	<-c.stopped
}

// do runs fn within a transaction and returns when it is committed. fn may run
// more than once (see attempt) and runs on the committer's goroutine: it must
// be quick, do no I/O but its statements, and set its results anew each time.
// When ctx is done before fn has begun, nothing is done.
func (c *committer) do(ctx context.Context, weight int, needs *locks, fn func(*txn) error) error {
	if !c.db.shared {
		needs = nil // there is one writer
	}
	j := &job{fn: fn, weight: max(weight, 1), locks: needs, done: make(chan error, 1)}
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

// wrote notes a time that is written by.
func (c *committer) wrote(now int64) {
	for latest := c.latest.Load(); now > latest && !c.latest.CompareAndSwap(latest, now); {
		latest = c.latest.Load()
	}
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
	if c.db.maintain == nil {
		return
	}
	c.unmaintained += weight
	if c.unmaintained < checkpointEvery || !c.maintaining.CompareAndSwap(false, true) {
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

// background is the context of what is never interrupted because one caller of
// many has gone.
var background = context.Background()
