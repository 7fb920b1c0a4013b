package connection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// rig is a manager with a platform that the test polls by hand.
type rig struct {
	platform *testkit.Platform
	loader   *channels.Loader
	leases   *testkit.Leases
	board    *testkit.Board

	mu        sync.Mutex
	polls     []string // what ran: "start CURSOR of HASH", "end"
	atOnce    int
	most      int
	envelopes []wire.Envelope
	acked     int
	result    wire.Result
	whole     wire.Result // of the envelope
	err       error

	deliver chan platform.Batch
	told    chan error // what deliver returned
	report  chan error
	quit    chan error
}

func (r *rig) Ingest(_ context.Context, env wire.Envelope) (wire.EnvelopeResult, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.envelopes = append(r.envelopes, env)
	out := wire.EnvelopeResult{Result: r.whole}
	for range env.Elements {
		out.Elements = append(out.Elements, wire.ElementResult{Result: r.result})
	}
	return out, r.err
}

func (r *rig) Acknowledge(_ *channels.Channel, events []message.Event) { r.acked += len(events) }
func (r *rig) AcknowledgePayload(*channels.Channel, []byte)            {}

func (r *rig) poll(ctx context.Context, ch platform.Channel, cursor string, deliver func(context.Context, platform.Batch) error, report func(error)) error {
	r.mu.Lock()
	r.polls = append(r.polls, fmt.Sprintf("%s from %q", ch.Name(), cursor))
	r.atOnce++
	r.most = max(r.most, r.atOnce)
	r.mu.Unlock()
	defer func() {
		time.Sleep(time.Second) // a poller takes its time to end
		r.mu.Lock()
		r.atOnce--
		r.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-r.deliver:
			r.told <- deliver(ctx, b)
		case err := <-r.report:
			report(err)
		case err := <-r.quit:
			if err == nil {
				panic("secret payload")
			}
			return err
		}
	}
}

func (r *rig) live() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.atOnce
}

func (r *rig) started() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.polls...)
}

// answer sets what the store says next.
func (r *rig) answer(result wire.Result, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result, r.err = result, err
}

func polling(t *testing.T, generation int64, change func(*document.Channel)) document.Entry {
	return testkit.Entry(t, "shop/a", generation, func(c *document.Channel) {
		c.Receive = document.ReceivePolling
		if change != nil {
			change(c)
		}
	})
}

func run(t *testing.T, test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{
			leases: testkit.NewLeases(), board: testkit.NewBoard(), result: wire.ResultStored,
			deliver: make(chan platform.Batch), told: make(chan error), report: make(chan error), quit: make(chan error),
		}
		r.platform = &testkit.Platform{OnRun: r.poll}
		var table *channels.Table
		table, r.loader = testkit.Table(t, r.platform, polling(t, 1, nil))
		rows := status.New(r.board)
		rows.Hold(table.Snapshot().Channel("shop/a"))
		m := New(Config{Table: table, Leases: r.leases, Ingest: r, Acks: r, Rows: rows, Metrics: testkit.Metrics(), Log: testkit.Log()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); m.Run(ctx) }()
		synctest.Wait()
		test(t, r)
		cancel()
		<-done
		assert.Zero(t, r.live(), "every poller has ended when Run returns")
		assert.LessOrEqual(t, r.most, 1, "never two pollers of one channel")
	})
}

func lease(token int64, cursor string) wire.Assignment {
	return wire.Assignment{Channel: "shop/a", Token: token, Cursor: cursor}
}

func batch(cursor string, ids ...string) platform.Batch {
	b := platform.Batch{Raw: []byte("raw"), Cursor: cursor}
	for _, id := range ids {
		b.Events = append(b.Events, testkit.Event(testkit.Element{ID: id}))
	}
	return b
}

func TestAPollerRunsWhileTheLeaseIsHeld(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		assert.Zero(t, r.live())
		r.leases.Give(lease(5, "41"))
		synctest.Wait()
		assert.Equal(t, []string{`shop/a from "41"`}, r.started())

		r.deliver <- batch("42", "m1", "m2")
		require.NoError(t, <-r.told)
		env := r.envelopes[0]
		assert.Equal(t, &wire.Fence{Token: 5, Cursor: "42"}, env.Fence)
		assert.Equal(t, "polling", env.Transport)
		assert.Equal(t, "shop/a", env.Elements[1].Channel)
		assert.Equal(t, 2, r.acked)

		r.leases.Take("shop/a")
		time.Sleep(2 * time.Second)
		assert.Zero(t, r.live())
	})
}

func TestAnotherVersionGoesOnWhereTheLastOneWas(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.leases.Give(lease(5, "41"))
		synctest.Wait()
		r.deliver <- batch("42", "m1")
		<-r.told
		testkit.Apply(t, r.loader, polling(t, 2, nil))
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{`shop/a from "41"`, `shop/a from "42"`}, r.started())

		r.leases.Give(lease(6, "57"))
		time.Sleep(2 * time.Second)
		assert.Equal(t, `shop/a from "57"`, r.started()[2], "another lease tells its own")
	})
}

func TestAStaleFenceStopsThePollerUntilAnotherLease(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.leases.Give(lease(5, ""))
		synctest.Wait()
		r.answer(wire.ResultStale, nil)
		r.deliver <- batch("42", "m1")
		assert.ErrorIs(t, <-r.told, errStale)
		time.Sleep(time.Minute)
		assert.Zero(t, r.live())
		assert.Len(t, r.started(), 1, "not with the stale token")
		assert.Len(t, r.leases.Refreshes, 1, "the session is asked at once")
		assert.Zero(t, r.acked)

		r.answer(wire.ResultStored, nil)
		r.leases.Give(lease(6, "50"))
		time.Sleep(time.Second)
		assert.Equal(t, 1, r.live())
	})
}

func TestNothingIsConfirmedThatIsNotDurable(t *testing.T) {
	for name, set := range map[string]func(*rig){
		"store away":                func(r *rig) { r.answer(wire.ResultStored, store.ErrUnavailable) },
		"store behind":              func(r *rig) { r.answer(wire.ResultForbidden, nil) },
		"store without the channel": func(r *rig) { r.answer(wire.ResultUnrouted, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, r *rig) {
				r.leases.Give(lease(5, "41"))
				synctest.Wait()
				set(r)
				r.deliver <- batch("42", "m1")
				err := <-r.told
				assert.ErrorIs(t, err, store.ErrUnavailable)
				r.report <- err
				synctest.Wait()
				assert.Equal(t, document.DutyPending, r.board.Row("Channel/shop/a").Receiving.State, "the store's trouble is not the platform's")

				r.answer(wire.ResultStored, nil)
				r.deliver <- batch("42", "m1")
				assert.NoError(t, <-r.told)
			})
		})
	}
}

func TestReceivingIsReported(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		row := func() document.Duty { synctest.Wait(); return *r.board.Row("Channel/shop/a").Receiving }
		r.leases.Give(lease(5, ""))
		assert.Equal(t, document.DutyPending, row().State)
		r.report <- nil
		assert.Equal(t, document.DutyDone, row().State)
		r.report <- &platform.Error{Class: wire.ErrRetryable, Reason: "502 from bot secret-of-shop/a"}
		assert.Equal(t, document.DutyRetrying, row().State)
		assert.Equal(t, "502 from bot [redacted]", row().Message)
		r.report <- &platform.Error{Class: wire.ErrAuthInvalid, Reason: "Unauthorized"}
		assert.Equal(t, document.DutyFailed, row().State)
		r.report <- nil
		assert.Equal(t, document.DutyDone, row().State)
	})
}

func TestAPollerThatEndsIsStartedAgainWithBackoff(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.leases.Give(lease(5, ""))
		synctest.Wait()
		for _, err := range []error{errors.New("broken"), nil, errors.New("broken")} {
			r.quit <- err // nil: a panic
		}
		r.report <- nil
		assert.Len(t, r.started(), 4)
	})
}

func TestSuspendedAndRemovedChannelsAreNotPolled(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.leases.Give(lease(5, ""))
		synctest.Wait()
		testkit.Apply(t, r.loader, polling(t, 2, func(c *document.Channel) { c.Suspended = true }))
		time.Sleep(2 * time.Second)
		assert.Zero(t, r.live())
		testkit.Apply(t, r.loader, polling(t, 3, nil))
		time.Sleep(2 * time.Second)
		assert.Equal(t, 1, r.live())
		testkit.Apply(t, r.loader)
		time.Sleep(2 * time.Second)
		assert.Zero(t, r.live())
	})
}

func TestABatchOfWhichNothingBecameIsRefusedToo(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.leases.Give(lease(5, ""))
		synctest.Wait()
		r.whole = wire.ResultForbidden
		r.deliver <- batch("42")
		assert.ErrorIs(t, <-r.told, store.ErrUnavailable, "it comes again")
		assert.Equal(t, 1, r.live())
		r.whole = wire.ResultStale
		r.deliver <- batch("42")
		assert.ErrorIs(t, <-r.told, errStale)
		time.Sleep(time.Minute)
		assert.Zero(t, r.live())
		assert.Len(t, r.started(), 1, "not with the stale token")
	})
}
