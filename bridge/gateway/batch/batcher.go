// Package batch shares requests to the store among concurrent callers.
//
//	caller ─┐                    ┌─ one request ──► store
//	caller ─┼─► queue (bounded) ─┤  a few on the way; each takes what
//	caller ─┘                    └─ gathered while the others were
//
// An idle batcher sends at once, a busy one sends bigger requests. A further one
// goes when half of all callers are in it: as many wait as are on the way or were
// just answered and are not there again. So two halves take turns: one is being
// committed while the other one gathers. With smaller shares, three of them would
// go round, one waiting in front of the store for nothing, each at the price of a
// request and a commit. Halves of very many would leave processors idle while they
// wait for each other, so Options.Enough of them go whatever else is on the way. A
// request that the store could not carry out is tried
// again while one of its callers still waits.
package batch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// Retries begin soon (a store pod that restarts is back in a second or two)
// and settle at one per 2 s and slot.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// gather is how long those who were answered together are waited for, at most:
// a fifth of what a batch of them takes, and below what anybody notices. Where
// they do not come, as the batch was a burst, that is all it costs.
const gather = 3 * time.Millisecond

// ErrOverloaded means that too much waits for the store already; nothing was
// taken. It is store.ErrUnavailable for those who do not care.
var ErrOverloaded = fmt.Errorf("%w: too much waits for the store", store.ErrUnavailable)

// Options of a Batcher. All numbers are positive, but where zero is told of.
type Options[T, R any] struct {
	// Send carries a batch to the store and returns one result per element, in
	// order. store.ErrUnavailable (or a deadline) is tried again; any other
	// error of a batch is found out element by element.
	Send func(ctx context.Context, batch []T) ([]R, error)
	// Size of an element in bytes, roughly.
	Size func(T) int
	// Concurrency is how many batches are on the way at one time.
	Concurrency int
	// MaxItems and MaxBytes bound a batch; a larger element goes alone.
	MaxItems, MaxBytes int
	// Enough elements go without being half of all callers; 0: MaxItems. It is where
	// what a request costs however little is in it has become little per element.
	Enough int
	// MaxPending and MaxPendingBytes bound what waits or is on the way.
	MaxPending, MaxPendingBytes int
	// CallTimeout bounds one Send.
	CallTimeout time.Duration
	// Pending is told how much waits, after each change. May be nil.
	Pending func(items int)
}

// Batcher gathers elements into batches. Make one with New; its methods may be
// called concurrently.
type Batcher[T, R any] struct {
	opts Options[T, R]

	mu      sync.Mutex
	queue   []*item[T, R]
	bytes   int
	pending int // in the queue or on the way
	onWay   int // with the store
	workers int
	// back is how many were answered and did not come again yet, until wake runs.
	back   int
	wake   *time.Timer
	active sync.WaitGroup
}

// item is one element that a caller waits for.
type item[T, R any] struct {
	ctx   context.Context //nolint:containedctx // the caller's patience, which bounds retries on its behalf
	value T
	size  int
	alone bool // goes in a batch of its own: one with it was refused
	done  chan outcome[R]
}

type outcome[R any] struct {
	result R
	err    error
}

// New makes a batcher.
func New[T, R any](o Options[T, R]) *Batcher[T, R] {
	if o.Pending == nil {
		o.Pending = func(int) {}
	}
	if o.Enough == 0 {
		o.Enough = o.MaxItems
	}
	return &Batcher[T, R]{opts: o}
}

// Do returns the store's result for v, or an error when ctx is done first. On
// an error nothing is known to be done: store.ErrUnavailable (also when ctx is
// done) asks to try again later, any other error is a refusal of v itself.
func (b *Batcher[T, R]) Do(ctx context.Context, v T) (R, error) {
	it := &item[T, R]{ctx: ctx, value: v, size: b.opts.Size(v), done: make(chan outcome[R], 1)}
	var none R
	if !b.enqueue(it) {
		return none, ErrOverloaded
	}
	select {
	case o := <-it.done:
		return o.result, o.err
	case <-ctx.Done():
		return none, fmt.Errorf("%w: not done in time: %w", store.ErrUnavailable, ctx.Err())
	}
}

// Wait returns when nothing is on the way any more. Callers of Do must have ended.
func (b *Batcher[T, R]) Wait() { b.active.Wait() }

func (b *Batcher[T, R]) enqueue(it *item[T, R]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	// One element is always taken when nothing waits, however big it is.
	if b.pending >= b.opts.MaxPending || (b.pending > 0 && b.bytes+it.size > b.opts.MaxPendingBytes) {
		return false
	}
	b.queue = append(b.queue, it)
	b.count(it, 1)
	b.back = max(b.back-1, 0)
	b.start()
	return true
}

// worthwhile says that what is in the queue is enough for a request of its own:
// half of all callers, or enough, or as much as a request holds. While one is on
// the way, or wake is due, somebody comes back to ask again.
func (b *Batcher[T, R]) worthwhile() bool {
	return len(b.queue) >= min(b.onWay+b.back, b.opts.MaxItems, b.opts.Enough)
}

// returned notes that a batch came back, and whether its callers are answered.
func (b *Batcher[T, R]) returned(n int, answered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onWay -= n
	if !answered {
		return
	}
	b.back += n
	if b.wake == nil {
		b.wake = time.AfterFunc(gather, b.goOn)
	} else {
		b.wake.Reset(gather)
	}
}

// goOn waits no longer for those who were answered.
func (b *Batcher[T, R]) goOn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.back = 0
	b.start()
}

// start begins to work where there is something to do and somebody free.
func (b *Batcher[T, R]) start() {
	if len(b.queue) > 0 && b.workers < b.opts.Concurrency && b.worthwhile() {
		b.workers++
		b.active.Go(b.work)
	}
}

func (b *Batcher[T, R]) count(it *item[T, R], sign int) {
	b.pending += sign
	b.bytes += sign * it.size
	b.opts.Pending(b.pending)
}

// work sends batches until the queue is empty.
func (b *Batcher[T, R]) work() {
	for failures := 0; ; {
		batch := b.take()
		if batch == nil {
			return
		}
		results, err := b.send(batch)
		b.returned(len(batch), err == nil)
		switch {
		case err == nil:
			failures = 0
			for i, it := range batch {
				b.finish(it, outcome[R]{result: results[i]})
			}
		case Retryable(err):
			b.putBack(batch, false)
			time.Sleep(backoff(failures))
			failures++
		case len(batch) > 1: // one element must not spoil the others
			b.putBack(batch, true)
		default:
			b.finish(batch[0], outcome[R]{err: err})
		}
	}
}

// Retryable says whether a request may succeed when it is repeated as it is.
func Retryable(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// backoff doubles from minBackoff to maxBackoff, less up to a half at random,
// so that the slots of all pods do not knock together.
func backoff(failures int) time.Duration {
	d := min(minBackoff<<min(failures, 10), maxBackoff)
	return d - rand.N(d/2)
}

// take removes the next batch from the queue; nil ends the worker. Elements
// whose callers have left are dropped: they were told already.
func (b *Batcher[T, R]) take() []*item[T, R] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.worthwhile() {
		b.workers--
		return nil
	}
	var batch []*item[T, R]
	size, n := 0, 0
	for _, it := range b.queue {
		left := it.ctx.Err() != nil
		if !left && len(batch) > 0 && b.full(batch, size, it) {
			break
		}
		n++
		if left {
			b.count(it, -1)
			continue
		}
		batch = append(batch, it)
		size += it.size
	}
	clear(b.queue[:n])
	b.queue = b.queue[n:]
	if batch == nil {
		b.queue = nil
		b.workers--
	}
	b.onWay += len(batch)
	return batch
}

// full says that a batch cannot take one more.
func (b *Batcher[T, R]) full(batch []*item[T, R], size int, it *item[T, R]) bool {
	return len(batch) == b.opts.MaxItems || size+it.size > b.opts.MaxBytes || it.alone || batch[0].alone
}

func (b *Batcher[T, R]) putBack(batch []*item[T, R], alone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, it := range batch {
		it.alone = it.alone || alone
	}
	b.queue = append(batch, b.queue...)
}

func (b *Batcher[T, R]) send(batch []*item[T, R]) ([]R, error) {
	values := make([]T, len(batch))
	for i, it := range batch {
		values[i] = it.value
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.patience(batch))
	defer cancel()
	results, err := b.opts.Send(ctx, values)
	if err == nil && len(results) != len(batch) {
		// Handing a result to the wrong caller would confirm what never happened.
		return nil, fmt.Errorf("%w: the store answered %d of %d elements", store.ErrUnavailable, len(results), len(batch))
	}
	return results, err
}

// patience is how long the most patient caller of a batch waits.
func (b *Batcher[T, R]) patience(batch []*item[T, R]) time.Duration {
	var longest time.Duration
	for _, it := range batch {
		deadline, ok := it.ctx.Deadline()
		if !ok {
			return b.opts.CallTimeout
		}
		longest = max(longest, time.Until(deadline))
	}
	return min(longest, b.opts.CallTimeout)
}

func (b *Batcher[T, R]) finish(it *item[T, R], o outcome[R]) {
	b.mu.Lock()
	b.count(it, -1)
	b.mu.Unlock()
	it.done <- o
}
