// Package ingest brings platform requests into the store, many in one request.
package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/batch"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/wallclock"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// maxConcurrent requests are on the way to the store. One would leave the
	// line idle for a round trip after every commit; with two, one gathers while
	// the other one is being committed. More of them are smaller ones, and each
	// costs the store as much as some ten messages (a request, its share of a
	// commit).
	maxConcurrent = 2
	// maxEnvelopes share a request: at 20 ms a commit, 2 requests of 256 are
	// 25 000 messages a second, above what one pod takes.
	maxEnvelopes = 256
	// enoughEnvelopes go without being half of all that are under way. A request and
	// a commit cost 1.6 ms of processor time however little is in them, a message
	// some 200 µs: with 32 the one is a quarter of the other, and a request of them
	// is what one processor takes 6 ms for. Halves of 128 wait 25 ms for each other,
	// while a processor stands idle (256 connections, SQLite: 6 900/s, with 32 7 400).
	// More than 32 share a request all the same where they gather meanwhile: 82 then.
	enoughEnvelopes = 32
	// maxBytes bounds a request; a single larger envelope goes alone. An
	// envelope is 1 to 5 KiB, so 4 MiB do not bind before maxEnvelopes does,
	// except for polled batches.
	maxBytes = 4 << 20
	// maxPending and maxPendingBytes bound what waits in memory while the store
	// is away: a pod of 256 MiB keeps three quarters for everything else.
	maxPending      = 8192
	maxPendingBytes = 64 << 20
	// callTimeout bounds one request to the store; its commit takes
	// milliseconds, a failover of its database some seconds.
	callTimeout = 15 * time.Second
)

// ErrOverloaded means that too much waits for the store already.
var ErrOverloaded = batch.ErrOverloaded

// Store is where envelopes go.
type Store interface {
	Ingest(ctx context.Context, req wire.IngestRequest) (wire.IngestResponse, error)
}

// Batcher makes envelopes durable. Make one with New; its methods may be
// called concurrently.
type Batcher struct {
	store   Store
	metrics *metrics.Metrics
	log     *slog.Logger
	batches *batch.Batcher[wire.Envelope, wire.EnvelopeResult]

	mu   sync.Mutex
	told map[trouble]time.Time // when it was logged last
}

// New makes a batcher that sends to s.
func New(s Store, m *metrics.Metrics, log *slog.Logger) *Batcher {
	b := &Batcher{store: s, metrics: m, log: log, told: map[trouble]time.Time{}}
	b.batches = batch.New(batch.Options[wire.Envelope, wire.EnvelopeResult]{
		Send: b.send, Size: sizeOf, Concurrency: maxConcurrent, MaxItems: maxEnvelopes, MaxBytes: maxBytes, Enough: enoughEnvelopes,
		MaxPending: maxPending, MaxPendingBytes: maxPendingBytes, CallTimeout: callTimeout,
		Pending: func(n int) { m.IngestPending.Set(float64(n)) },
	})
	return b
}

// Ingest returns when the store has committed env, with one result per
// element, or when ctx is done. On an error nothing is known to be durable:
// store.ErrUnavailable (also when ctx is done) asks to try again later, any
// other error is the store's refusal of this envelope.
func (b *Batcher) Ingest(ctx context.Context, env wire.Envelope) (wire.EnvelopeResult, error) {
	result, err := b.batches.Do(ctx, env)
	for i, e := range result.Elements {
		b.metrics.Elements.WithLabelValues(env.Platform, string(e.Result)).Inc()
		if len(result.Elements) == len(env.Elements) {
			b.tell(env, env.Elements[i], e)
		}
	}
	return result, err
}

// trouble is what is logged once in a while.
type trouble struct {
	channel, account string
	result           wire.Result
}

const (
	// tellEvery bounds the log where a platform sends the same again and again: the
	// metric counts them all.
	tellEvery = time.Minute
	// maxTold bounds what is remembered of it, some 100 bytes each.
	maxTold = 1000
)

// tell logs what did not become a message, so that who sees the metric finds the
// Channel, or the account that has none. The store's reasons quote no content.
func (b *Batcher) tell(env wire.Envelope, element wire.Element, r wire.ElementResult) {
	switch r.Result {
	case wire.ResultInvalid, wire.ResultForbidden, wire.ResultUnrouted:
	default:
		return
	}
	t := trouble{channel: element.Channel, result: r.Result}
	if t.channel == "" {
		t.channel, t.account = env.Channel, element.Event.Account
	}
	now := wallclock.Now()
	b.mu.Lock()
	again := now.Sub(b.told[t]) < tellEvery
	if !again {
		if len(b.told) >= maxTold {
			clear(b.told)
		}
		b.told[t] = now
	}
	b.mu.Unlock()
	if !again {
		b.log.Warn("what a platform sent was not taken in", "platform", env.Platform, "channel", t.channel, "account", t.account,
			"result", r.Result, "reason", r.Message, "transport", env.Transport)
	}
}

// Refused says that the store did not take an element to where it was
// addressed: its document is behind ours and it does not know the channel yet,
// or not as this Bridge's, or a fence is stale. What was addressed to nobody is
// not refused: it stays unrouted in the journal.
func Refused(e wire.Element, r wire.ElementResult) bool {
	switch r.Result {
	case wire.ResultForbidden, wire.ResultStale:
		return true
	case wire.ResultUnrouted:
		return e.Channel != ""
	}
	return false
}

// Wait returns when nothing is on the way any more. Callers of Ingest must have ended.
func (b *Batcher) Wait() { b.batches.Wait() }

// sizeOf estimates the JSON of an envelope: base64 of the payload (4/3), its
// elements (about as much again) and names.
func sizeOf(env wire.Envelope) int {
	return len(env.Raw)*7/3 + 256*(len(env.Elements)+1)
}

func (b *Batcher) send(ctx context.Context, envelopes []wire.Envelope) ([]wire.EnvelopeResult, error) {
	b.metrics.IngestBatch.Observe(float64(len(envelopes)))
	start := time.Now()
	resp, err := b.store.Ingest(ctx, wire.IngestRequest{Envelopes: envelopes})
	if err == nil {
		err = checkShape(envelopes, resp)
	}
	b.metrics.IngestDuration.WithLabelValues(label(err)).Observe(time.Since(start).Seconds())
	return resp.Envelopes, err
}

// checkShape guards against a store that answers another question: taking a
// short answer for a whole one would acknowledge what was never stored.
func checkShape(envelopes []wire.Envelope, resp wire.IngestResponse) error {
	for i := range min(len(envelopes), len(resp.Envelopes)) {
		if got, want := len(resp.Envelopes[i].Elements), len(envelopes[i].Elements); got != want {
			return fmt.Errorf("%w: the store answered %d of %d elements", store.ErrUnavailable, got, want)
		}
	}
	return nil
}

func label(err error) string {
	switch {
	case err == nil:
		return "ok"
	case batch.Retryable(err):
		return "unavailable"
	default:
		return "refused"
	}
}
