// Package ingest shares requests to the store among concurrent webhooks and
// pollers.
//
//	webhook ─┐                    ┌─ IngestRequest ──► store
//	webhook ─┼─► queue (bounded) ─┤  at most 4 on the way; each takes what
//	poller  ─┘                    └─ gathered while the others were
//
// There is no timer: an idle batcher sends at once, a busy one sends bigger
// requests. A request that the store could not commit is tried again while one
// of its callers still waits.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// maxConcurrent requests are on the way to the store. One would leave the
	// line idle for a round trip after every commit; the store gathers
	// concurrent requests into one transaction itself, so more than a few only
	// make each of them smaller.
	maxConcurrent = 4
	// maxBatch envelopes share a request: at 5 ms a commit, 4 requests of 256
	// are 200 000 messages a second, far above what one pod receives.
	maxBatch = 256
	// maxBatchBytes bounds a request; a single larger envelope goes alone. An
	// envelope is 1 to 5 KiB, so 4 MiB do not bind before maxBatch does, except
	// for polled batches.
	maxBatchBytes = 4 << 20
	// maxPending and maxPendingBytes bound what waits in memory while the store
	// is away: a pod of 256 MiB keeps three quarters for everything else.
	maxPending      = 8192
	maxPendingBytes = 64 << 20
	// callTimeout bounds one request to the store; its commit takes
	// milliseconds, a failover of its database some seconds.
	callTimeout = 15 * time.Second
	// Retries begin soon (a store pod that restarts is back in a second or two)
	// and settle at one per 2 s and slot.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// ErrOverloaded means that too much waits for the store already; nothing was
// taken. It is store.ErrUnavailable for those who do not care.
var ErrOverloaded = fmt.Errorf("%w: too many messages wait for the store", store.ErrUnavailable)

// Store is where envelopes go.
type Store interface {
	Ingest(ctx context.Context, req wire.IngestRequest) (wire.IngestResponse, error)
}

// Batcher gathers envelopes into requests. Make one with New.
type Batcher struct {
	store   Store
	metrics *metrics.Metrics

	mu      sync.Mutex
	queue   []*item
	bytes   int
	pending int // in the queue or on the way
	workers int
	active  sync.WaitGroup
}

// item is one envelope that a caller waits for.
type item struct {
	ctx   context.Context //nolint:containedctx // the caller's patience, which bounds retries on its behalf
	env   wire.Envelope
	size  int
	alone bool // goes in a request of its own: one with it was refused
	done  chan outcome
}

type outcome struct {
	result wire.EnvelopeResult
	err    error
}

// New makes a batcher that sends to s.
func New(s Store, m *metrics.Metrics) *Batcher {
	return &Batcher{store: s, metrics: m}
}

// Ingest returns when the store has committed env, with one result per
// element, or when ctx is done. On an error nothing is known to be durable:
// store.ErrUnavailable (also when ctx is done) asks to try again later, any
// other error is the store's refusal of this envelope.
func (b *Batcher) Ingest(ctx context.Context, env wire.Envelope) (wire.EnvelopeResult, error) {
	it := &item{ctx: ctx, env: env, size: sizeOf(env), done: make(chan outcome, 1)}
	if !b.enqueue(it) {
		return wire.EnvelopeResult{}, ErrOverloaded
	}
	select {
	case o := <-it.done:
		return o.result, o.err
	case <-ctx.Done():
		return wire.EnvelopeResult{}, fmt.Errorf("%w: not committed in time: %w", store.ErrUnavailable, ctx.Err())
	}
}

// Wait returns when nothing is on the way any more. Callers of Ingest must
// have ended.
func (b *Batcher) Wait() { b.active.Wait() }

// sizeOf estimates the JSON of an envelope: base64 of the payload (4/3), its
// elements (about as much again) and names.
func sizeOf(env wire.Envelope) int {
	return len(env.Raw)*7/3 + 256*(len(env.Elements)+1)
}

func (b *Batcher) enqueue(it *item) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	// A single envelope is always taken when nothing waits, however big it is.
	if b.pending >= maxPending || (b.pending > 0 && b.bytes+it.size > maxPendingBytes) {
		return false
	}
	b.queue = append(b.queue, it)
	b.add(it, 1)
	if b.workers < maxConcurrent {
		b.workers++
		b.active.Go(b.work)
	}
	return true
}

func (b *Batcher) add(it *item, sign int) {
	b.pending += sign
	b.bytes += sign * it.size
	b.metrics.IngestPending.Set(float64(b.pending))
}

// work sends batches until the queue is empty.
func (b *Batcher) work() {
	for failures := 0; ; {
		batch := b.take()
		if batch == nil {
			return
		}
		resp, err := b.send(batch)
		switch {
		case err == nil:
			failures = 0
			b.answer(batch, resp)
		case retryable(err):
			b.putBack(batch, false)
			time.Sleep(backoff(failures))
			failures++
		case len(batch) > 1: // one envelope must not spoil the others
			b.putBack(batch, true)
		default:
			b.finish(batch[0], outcome{err: err})
		}
	}
}

func retryable(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// backoff doubles from minBackoff to maxBackoff, less up to a half at random,
// so that the slots of all pods do not knock together.
func backoff(failures int) time.Duration {
	d := minBackoff << min(failures, 10)
	d = min(d, maxBackoff)
	return d - rand.N(d/2)
}

// take removes the next batch from the queue; nil ends the worker. Items whose
// callers have left are dropped: they answered "not durable" already.
func (b *Batcher) take() []*item {
	b.mu.Lock()
	defer b.mu.Unlock()
	var batch []*item
	size, n := 0, 0
	for _, it := range b.queue {
		full := len(batch) == maxBatch || size+it.size > maxBatchBytes || it.alone || (len(batch) > 0 && batch[0].alone)
		if it.ctx.Err() == nil && len(batch) > 0 && full {
			break
		}
		n++
		if it.ctx.Err() != nil {
			b.add(it, -1)
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
	return batch
}

func (b *Batcher) putBack(batch []*item, alone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, it := range batch {
		it.alone = it.alone || alone
	}
	b.queue = append(batch, b.queue...)
}

func (b *Batcher) send(batch []*item) (wire.IngestResponse, error) {
	req := wire.IngestRequest{Envelopes: make([]wire.Envelope, len(batch))}
	for i, it := range batch {
		req.Envelopes[i] = it.env
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience(batch))
	defer cancel()
	b.metrics.IngestBatch.Observe(float64(len(batch)))
	start := time.Now()
	resp, err := b.store.Ingest(ctx, req)
	if err == nil {
		err = checkShape(req, resp)
	}
	b.metrics.IngestDuration.WithLabelValues(resultLabel(err)).Observe(time.Since(start).Seconds())
	return resp, err
}

// patience is how long the most patient caller of a batch waits.
func patience(batch []*item) time.Duration {
	var longest time.Duration
	for _, it := range batch {
		deadline, ok := it.ctx.Deadline()
		if !ok {
			return callTimeout
		}
		longest = max(longest, time.Until(deadline))
	}
	return min(longest, callTimeout)
}

// checkShape guards against a store that answers another question: handing a
// result to the wrong caller would acknowledge what was never stored.
func checkShape(req wire.IngestRequest, resp wire.IngestResponse) error {
	if len(resp.Envelopes) != len(req.Envelopes) {
		return fmt.Errorf("%w: the store answered %d of %d envelopes", store.ErrUnavailable, len(resp.Envelopes), len(req.Envelopes))
	}
	for i, env := range req.Envelopes {
		if len(resp.Envelopes[i].Elements) != len(env.Elements) {
			return fmt.Errorf("%w: the store answered %d of %d elements", store.ErrUnavailable, len(resp.Envelopes[i].Elements), len(env.Elements))
		}
	}
	return nil
}

func resultLabel(err error) string {
	switch {
	case err == nil:
		return "ok"
	case retryable(err):
		return "unavailable"
	default:
		return "refused"
	}
}

func (b *Batcher) answer(batch []*item, resp wire.IngestResponse) {
	for i, it := range batch {
		b.count(it.env, resp.Envelopes[i])
		b.finish(it, outcome{result: resp.Envelopes[i]})
	}
}

func (b *Batcher) count(env wire.Envelope, result wire.EnvelopeResult) {
	for _, e := range result.Elements {
		b.metrics.Elements.WithLabelValues(env.Platform, string(e.Result)).Inc()
	}
}

func (b *Batcher) finish(it *item, o outcome) {
	b.mu.Lock()
	b.add(it, -1)
	b.mu.Unlock()
	it.done <- o
}
