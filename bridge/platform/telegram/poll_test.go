package telegram

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// queue is Telegram's queue of updates: what lies before an offset is forgotten.
type queue struct {
	mu      sync.Mutex
	updates []int64
	offsets []any // as asked
}

func (q *queue) get(c call) (int, string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.offsets = append(q.offsets, c.Fields["offset"])
	if offset, ok := c.Fields["offset"].(float64); ok {
		kept := q.updates[:0:0]
		for _, u := range q.updates {
			if u >= int64(offset) {
				kept = append(kept, u)
			}
		}
		q.updates = kept
	}
	list := ""
	for i, u := range q.updates {
		if i > 0 {
			list += ","
		}
		list += fmt.Sprintf(`{"update_id":%d,"message":{"message_id":%d,"date":1700000000,"chat":{"id":5,"type":"private"},"from":{"id":5},"text":"x"}}`, u, u)
	}
	return 200, okBody("[" + list + "]")
}

func (q *queue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.updates)
}

// formerURL is what the polling channel registered before.
const formerURL = "https://former.example.com/webhooks/shop/bot"

// polling runs the poller until the test ends, and collects.
type polling struct {
	mu      sync.Mutex
	batches []platform.Batch
	reports []error
	refuse  error
	stop    context.CancelFunc
	done    chan error
}

func run(t *testing.T, a *api, p *Platform) *polling { return runRefusing(t, a, p, nil) }

// runRefusing is run with what becomes of deliveries, from the first one on.
func runRefusing(t *testing.T, a *api, p *Platform, refuse error) *polling {
	ctx, cancel := context.WithCancel(t.Context())
	r := &polling{stop: cancel, done: make(chan error, 1), refuse: refuse}
	ch := a.load(t, p, func(c *document.Channel) { c.FormerWebhookURL = formerURL })
	go func() {
		r.done <- p.Run(ctx, ch, "1", func(_ context.Context, b platform.Batch) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.refuse != nil {
				return r.refuse
			}
			r.batches = append(r.batches, b)
			return nil
		}, func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.reports = append(r.reports, err)
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-r.done:
		case <-time.After(time.Minute):
			t.Error("the poller did not stop")
		}
		self(ch).client.CloseIdleConnections()
	})
	return r
}

func (r *polling) get() ([]platform.Batch, []error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]platform.Batch(nil), r.batches...), append([]error(nil), r.reports...)
}

// fast polls without pauses that a test would wait for.
func fast() *Platform {
	p := New()
	p.PollTimeout, p.Backoff = time.Millisecond, time.Millisecond
	return p
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 2*time.Millisecond)
}

func TestPollConfirmsOnlyWhatWasDelivered(t *testing.T) {
	a, q := newAPI(t), &queue{updates: []int64{100, 101, 102}}
	a.handle("getUpdates", q.get)
	r := runRefusing(t, a, fast(), errors.New("the store is away"))
	eventually(t, func() bool { _, reports := r.get(); return len(reports) > 2 })
	require.Equal(t, 3, q.left(), "nothing is confirmed before the store has it")

	r.mu.Lock()
	r.refuse = nil
	r.mu.Unlock()
	eventually(t, func() bool { return q.left() == 0 })
	batches, _ := r.get()
	require.Len(t, batches, 1, "one batch for all three, once")
	require.Equal(t, "103", batches[0].Cursor)
	require.Len(t, batches[0].Events, 3)
	again, err := New().Parse(testAccount, batches[0].Raw)
	require.NoError(t, err)
	require.Equal(t, batches[0].Events, again, "the raw journal can be replayed")
	eventually(t, func() bool { _, reports := r.get(); return reports[len(reports)-1] == nil })
}

func TestPollGivesAnOffsetOnlyToConfirm(t *testing.T) {
	// Ids start anew after a quiet week: an old offset would confirm what nobody saw.
	a, q := newAPI(t), &queue{updates: []int64{500}}
	a.handle("getUpdates", q.get)
	r := run(t, a, fast())
	eventually(t, func() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.offsets) > 3 })
	q.mu.Lock()
	require.Equal(t, []any{nil, 501.0, nil}, q.offsets[:3])
	q.updates = append(q.updates, 20)
	q.mu.Unlock()
	eventually(t, func() bool { batches, _ := r.get(); return len(batches) == 2 && q.left() == 0 })
}

func TestPollAsksForReactionsAndWaitsLong(t *testing.T) {
	a, p := newAPI(t), New()
	release := make(chan struct{})
	defer close(release)
	a.handle("getUpdates", func(c call) (int, string) {
		if c.Fields["timeout"] != 0.0 {
			<-release
		}
		return 200, okBody("[]")
	})
	r := run(t, a, p)
	eventually(t, func() bool { return len(a.made("getUpdates")) == 2 })
	first, second := a.made("getUpdates")[0].Fields, a.made("getUpdates")[1].Fields
	require.Equal(t, 0.0, first["timeout"], "the first answer tells at once whether it works")
	require.Equal(t, 25.0, second["timeout"])
	require.Contains(t, second["allowed_updates"], "message_reaction")
	_, reports := r.get()
	require.Equal(t, []error{nil}, reports)

	start := time.Now()
	r.stop()
	require.ErrorIs(t, <-r.done, context.Canceled)
	require.Less(t, time.Since(start), 20*time.Second, "a long poll does not hold up the end")
	r.done <- nil // for the clean-up
}

func TestPollConflicts(t *testing.T) {
	const webhookActive = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
	const otherPoller = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
	tests := []struct {
		name, description, webhook string
		removed                    bool
		class                      wire.ErrorClass
		words                      string
	}{
		{"own webhook of before", webhookActive, channelURL, true, wire.ErrRetryable, "is removed now"},
		{"own webhook, of a Bridge that had another public URL or was another", webhookActive, formerURL, true, wire.ErrRetryable, "is removed now"},
		{"the same path on another host may be another cluster's", webhookActive, "https://old.example.com/webhooks/shop/bot", false, wire.ErrMisconfigured, "at https://old.example.com is registered"},
		{"a stranger's webhook", webhookActive, "https://other.example.com/secret", false, wire.ErrMisconfigured, "at https://other.example.com is registered"},
		{"another poller", otherPoller, "", false, wire.ErrRetryable, "another process"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAPI(t)
			state := keepWebhook(a)
			state.info["url"] = tt.webhook
			q := &queue{updates: []int64{1}}
			a.handle("getUpdates", func(c call) (int, string) {
				if a.made("deleteWebhook") != nil {
					return q.get(c)
				}
				return 409, refused(409, tt.description, "").Body
			})
			r := run(t, a, fast())
			eventually(t, func() bool { _, reports := r.get(); return len(reports) > 0 })
			_, reports := r.get()
			var e *platform.Error
			require.ErrorAs(t, reports[0], &e)
			require.Equal(t, tt.class, e.Class)
			require.Contains(t, e.Reason, tt.words)
			require.NotContains(t, e.Reason, "/secret")
			if tt.removed {
				eventually(t, func() bool { batches, _ := r.get(); return len(batches) == 1 })
				require.Equal(t, false, a.made("deleteWebhook")[0].Fields["drop_pending_updates"], "what waits is not lost")
			} else {
				require.Empty(t, a.made("deleteWebhook"))
			}
		})
	}
}

func TestPollObeysRetryAfter(t *testing.T) {
	a := newAPI(t)
	a.handle("getUpdates", func(call) (int, string) {
		return 429, refused(429, "Too Many Requests: retry after 3600", `{"retry_after":3600}`).Body
	})
	r := run(t, a, fast())
	eventually(t, func() bool { _, reports := r.get(); return len(reports) == 1 })
	require.Never(t, func() bool { return len(a.made("getUpdates")) > 1 }, 50*time.Millisecond, 5*time.Millisecond)
}

func TestPollLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("run", func(t *testing.T) {
		a, q := newAPI(t), &queue{}
		a.handle("getUpdates", q.get)
		r := run(t, a, fast())
		eventually(t, func() bool { _, reports := r.get(); return len(reports) > 0 })
	})
}
