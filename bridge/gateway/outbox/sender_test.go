package outbox

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const leaseTime = 90 * time.Second

// post is a store with an outbox that a test fills.
type post struct {
	mu      sync.Mutex
	queue   []wire.Delivery
	wake    chan struct{}
	asked   []wire.LeaseRequest
	reports []string // "m1/0 sending"
	batches int
	raw     []wire.PartReport
	refuse  map[wire.Outcome]bool // lease over for reports of this outcome
	down    bool
	mute    bool                  // reports alone are not taken
	hasty   bool                  // empty answers come at once
	lost    map[wire.Outcome]bool // reports of this outcome are committed, and the answer is lost
	latency time.Duration         // between the commit of a report and the answer
}

func (p *post) put(ds ...wire.Delivery) {
	p.mu.Lock()
	p.queue = append(p.queue, ds...)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *post) Lease(ctx context.Context, req wire.LeaseRequest) (wire.LeaseResponse, error) {
	p.mu.Lock()
	p.asked = append(p.asked, req)
	p.mu.Unlock()
	deadline := time.After(req.Wait)
	for {
		p.mu.Lock()
		if p.down {
			p.mu.Unlock()
			return wire.LeaseResponse{}, store.ErrUnavailable
		}
		if p.hasty {
			p.mu.Unlock()
			return wire.LeaseResponse{}, nil
		}
		if n := min(req.Max, len(p.queue)); n > 0 {
			out := p.queue[:n]
			p.queue = p.queue[n:]
			p.mu.Unlock()
			return wire.LeaseResponse{Deliveries: out}, nil
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return wire.LeaseResponse{}, ctx.Err()
		case <-deadline:
			return wire.LeaseResponse{}, nil
		case <-p.wake:
		}
	}
}

func (p *post) Report(_ context.Context, req wire.ReportRequest) (wire.ReportResponse, error) {
	resp, latency, err := p.commit(req)
	time.Sleep(latency)
	return resp, err
}

func (p *post) commit(req wire.ReportRequest) (_ wire.ReportResponse, latency time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down || p.mute {
		return wire.ReportResponse{}, 0, store.ErrUnavailable
	}
	p.batches++
	resp := wire.ReportResponse{}
	for _, r := range req.Reports {
		p.reports = append(p.reports, fmt.Sprintf("%s/%d %s", r.Delivery, r.Part, r.Outcome))
		p.raw = append(p.raw, r)
		resp.Accepted = append(resp.Accepted, !p.refuse[r.Outcome])
		if p.lost[r.Outcome] {
			err = store.ErrUnavailable
		}
	}
	return resp, p.latency, err
}

func (p *post) OpenMedia(_ context.Context, id string) (store.MediaMeta, io.ReadCloser, error) {
	return store.MediaMeta{}, io.NopCloser(strings.NewReader("bytes of " + id)), nil
}

func (p *post) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *post) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.reports...)
}

func delivery(id string, parts ...int) wire.Delivery {
	d := wire.Delivery{ID: id, Channel: "shop/a", To: "customer-1", ReplyTo: "q", Lease: 1, Expires: leaseTime, Attempt: 1}
	for _, i := range parts {
		d.Parts = append(d.Parts, wire.Part{Index: i, Text: fmt.Sprint("part ", i)})
	}
	return d
}

type rig struct {
	*post
	platform *testkit.Platform
	loader   *channels.Loader
	board    *testkit.Board
	stop     func() // the first signal; waits for the end
	hard     func() // the last one
	done     chan struct{}
}

func run(t *testing.T, workers int, send func(ctx context.Context, ch platform.Channel, out platform.Outgoing) (platform.SendResult, error), test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{post: &post{wake: make(chan struct{}, 1), refuse: map[wire.Outcome]bool{}}, board: testkit.NewBoard(), done: make(chan struct{})}
		r.platform = &testkit.Platform{OnSend: send}
		var table *channels.Table
		table, r.loader = testkit.Table(t, r.platform, testkit.Entry(t, "shop/a", 1, nil))
		s := New(Config{Table: table, Store: r.post, Instance: "pod-1", Rows: status.New(r.board), Metrics: testkit.Metrics(), Log: testkit.Log(), Workers: workers})
		ctx, stop := context.WithCancel(t.Context())
		hardCtx, hard := context.WithCancel(t.Context())
		r.stop, r.hard = stop, hard
		go func() { defer close(r.done); s.Run(ctx, hardCtx) }()
		synctest.Wait()
		test(t, r)
		stop()
		<-r.done
		hard()
	})
}

func TestPartsAreSentInOrderAndToldBeforeAndAfter(t *testing.T) {
	var sent []platform.Outgoing
	send := func(_ context.Context, _ platform.Channel, out platform.Outgoing) (platform.SendResult, error) {
		sent = append(sent, out)
		return platform.SendResult{ExternalIDs: []string{fmt.Sprint("x", out.Part.Index)}}, nil
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		r.put(delivery("m1", 0, 1, 2))
		synctest.Wait()
		assert.Equal(t, []string{"m1/0 sending", "m1/0 sent", "m1/1 sending", "m1/1 sent", "m1/2 sending", "m1/2 sent"}, r.told())
		assert.Equal(t, 4, r.batches, "an outcome goes with the next beginning")
		require.Len(t, sent, 3)
		assert.Equal(t, []string{"q", "", ""}, []string{sent[0].ReplyTo, sent[1].ReplyTo, sent[2].ReplyTo})
		assert.Equal(t, "customer-1", sent[0].To)
		assert.Equal(t, []string{"x1"}, r.raw[3].ExternalIDs)
		body, err := sent[0].OpenMedia(t.Context(), "7")
		require.NoError(t, err)
		text, _ := io.ReadAll(body)
		assert.Equal(t, "bytes of 7", string(text))

		r.put(delivery("m2", 1)) // a retry of the rest
		synctest.Wait()
		assert.Empty(t, sent[3].ReplyTo)
	})
}

func TestAfterAPartThatWasNotSentNothingFollows(t *testing.T) {
	send := func(_ context.Context, _ platform.Channel, out platform.Outgoing) (platform.SendResult, error) {
		if out.Part.Index == 1 {
			return platform.SendResult{}, &platform.Error{Class: wire.ErrRetryable, Reason: "later"}
		}
		return platform.SendResult{}, nil
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		r.put(delivery("m1", 0, 1, 2))
		synctest.Wait()
		assert.Equal(t, []string{"m1/0 sending", "m1/0 sent", "m1/1 sending", "m1/1 retry"}, r.told())
	})
}

func TestNothingIsSentWithoutTheLease(t *testing.T) {
	send := func(context.Context, platform.Channel, platform.Outgoing) (platform.SendResult, error) {
		panic("must not be called")
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		r.set(func() { r.refuse[wire.OutcomeSending] = true })
		r.put(delivery("m1", 0, 1))
		synctest.Wait()
		assert.Equal(t, []string{"m1/0 sending", "m1/0 released"}, r.told())

		short := delivery("m2", 0)
		short.Expires = SendTimeout - time.Second
		r.put(short)
		synctest.Wait()
		assert.Equal(t, "m2/0 released", r.told()[2], "a send could outlast the lease")
	})
}

func TestNothingIsSentThatTheStoreWasNotToldBefore(t *testing.T) {
	var sends atomic.Int32
	send := func(context.Context, platform.Channel, platform.Outgoing) (platform.SendResult, error) {
		sends.Add(1)
		return platform.SendResult{}, nil
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		r.set(func() { r.mute = true })
		r.put(delivery("m1", 0))
		time.Sleep(leaseTime - SendTimeout + time.Second)
		assert.Zero(t, sends.Load())
		r.set(func() { r.mute = false })
		time.Sleep(5 * time.Second)
		assert.Zero(t, sends.Load(), "by then a send could outlast the lease")
		assert.Equal(t, []string{"m1/0 released"}, r.told())

		r.set(func() { r.mute = true })
		r.put(delivery("m2", 0))
		time.Sleep(10 * time.Second)
		r.set(func() { r.mute = false })
		time.Sleep(5 * time.Second)
		assert.EqualValues(t, 1, sends.Load(), "there was time enough")
	})
}

func TestAnOutcomeIsToldLateRatherThanNever(t *testing.T) {
	var sending chan struct{}
	send := func(context.Context, platform.Channel, platform.Outgoing) (platform.SendResult, error) {
		<-sending
		return platform.SendResult{ExternalIDs: []string{"x"}}, nil
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		sending = make(chan struct{}) // of this bubble
		r.put(delivery("m1", 0, 1))
		synctest.Wait()
		r.set(func() { r.down = true })
		close(sending)
		time.Sleep(leaseTime + time.Minute)
		assert.Equal(t, []string{"m1/0 sending"}, r.told())
		r.set(func() { r.down = false })
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"m1/0 sending", "m1/0 sent", "m1/1 released"}, r.told(), "and part 1 was not begun without the lease")
	})
}

// A "sending" that nothing follows becomes unknown: a message that was never
// sent must not end so because the answer was late or lost.
func TestWhatWasNotSentIsReleasedThoughTheStoreKnowsItAsSending(t *testing.T) {
	var sends atomic.Int32
	send := func(context.Context, platform.Channel, platform.Outgoing) (platform.SendResult, error) {
		sends.Add(1)
		return platform.SendResult{}, nil
	}
	for name, test := range map[string]struct {
		setup func(r *rig)
		end   func(r *rig)
		want  []string
		sends int32
	}{
		"the soft end waits for the answer and sends": {
			func(r *rig) { r.latency = time.Second }, func(r *rig) { r.stop(); <-r.done },
			[]string{"m1/0 sending", "m1/0 sent", "m1/1 released"}, 1,
		},
		"the hard end does not wait": {
			func(r *rig) { r.latency = time.Second }, func(r *rig) { r.stop(); r.hard(); <-r.done },
			[]string{"m1/0 sending", "m1/0 released"}, 0,
		},
		"the answer comes when a send could outlast the lease": {
			func(r *rig) { r.latency = leaseTime - SendTimeout + time.Second }, func(*rig) { time.Sleep(leaseTime) },
			[]string{"m1/0 sending", "m1/0 released"}, 0,
		},
		"the answer is lost": {
			func(r *rig) { r.lost = map[wire.Outcome]bool{wire.OutcomeSending: true} }, func(*rig) { time.Sleep(leaseTime) },
			[]string{"m1/0 sending", "m1/0 released"}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			sends.Store(0)
			run(t, 4, send, func(t *testing.T, r *rig) {
				r.set(func() { test.setup(r) })
				r.put(delivery("m1", 0, 1))
				synctest.Wait()
				test.end(r)
				assert.Equal(t, test.want, slices.Compact(r.told()))
				assert.Equal(t, test.sends, sends.Load())
			})
		})
	}
}

func TestASendThatHangsIsUnknown(t *testing.T) {
	send := func(ctx context.Context, _ platform.Channel, out platform.Outgoing) (platform.SendResult, error) {
		if out.Delivery == "bug" {
			panic("secret payload")
		}
		<-ctx.Done()
		return platform.SendResult{}, ctx.Err()
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		r.put(delivery("m1", 0), delivery("bug", 0))
		time.Sleep(SendTimeout + time.Second)
		assert.Contains(t, r.told(), "m1/0 unknown")
		assert.Contains(t, r.told(), "bug/0 unknown")
		for _, report := range r.raw {
			assert.NotContains(t, report.Reason, "secret payload")
		}
	})
}

func TestNoMoreIsLeasedThanThereAreWorkers(t *testing.T) {
	var mu sync.Mutex
	atOnce, most := 0, 0
	send := func(context.Context, platform.Channel, platform.Outgoing) (platform.SendResult, error) {
		mu.Lock()
		atOnce++
		most = max(most, atOnce)
		mu.Unlock()
		time.Sleep(time.Second)
		mu.Lock()
		atOnce--
		mu.Unlock()
		return platform.SendResult{}, nil
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		for i := range 20 {
			r.put(delivery(fmt.Sprint("m", i), 0))
		}
		time.Sleep(6 * time.Second)
		assert.Len(t, r.told(), 40)
		assert.Equal(t, 4, most)
		for _, req := range r.asked {
			assert.LessOrEqual(t, req.Max, 4)
			assert.Positive(t, req.Max)
		}
	})
}

func TestChannelsThatAreNotHereAreGivenBackAndPaused(t *testing.T) {
	run(t, 4, nil, func(t *testing.T, r *rig) {
		stranger := delivery("m1", 0)
		stranger.Channel = "shop/new"
		r.put(stranger)
		synctest.Wait()
		assert.Equal(t, []string{"m1/0 released"}, r.told())
		assert.Equal(t, pause, r.raw[0].RetryAfter)
		r.put(delivery("m2", 0))
		synctest.Wait()
		assert.Equal(t, []string{"shop/new"}, r.asked[len(r.asked)-1].Paused)
		assert.Equal(t, leaseWait, r.asked[0].Wait)
		assert.Equal(t, pausedWait, r.asked[len(r.asked)-1].Wait, "it asks again soon after the channel goes on")

		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 2, func(c *document.Channel) { c.Suspended = true }), testkit.Entry(t, "shop/new", 1, nil))
		r.put(delivery("m3", 0))
		synctest.Wait()
		assert.Equal(t, "m3/0 released", r.told()[len(r.told())-1], "suspended")
		r.put(stranger)
		synctest.Wait()
		assert.Equal(t, "m1/0 sent", r.told()[len(r.told())-1])
		assert.Equal(t, []string{"shop/a"}, r.asked[len(r.asked)-1].Paused)
	})
}

func TestAtTheEndWhatIsOnTheWayIsFinishedAndTheRestGivenBack(t *testing.T) {
	send := func(context.Context, platform.Channel, platform.Outgoing) (platform.SendResult, error) {
		time.Sleep(10 * time.Second)
		return platform.SendResult{}, nil
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		r.put(delivery("m1", 0, 1, 2))
		synctest.Wait()
		start := time.Now()
		r.stop()
		<-r.done
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.Equal(t, []string{"m1/0 sending", "m1/0 sent", "m1/1 released"}, r.told())
	})
}

func TestTheHardEndReportsWhatItCutsOff(t *testing.T) {
	send := func(ctx context.Context, _ platform.Channel, _ platform.Outgoing) (platform.SendResult, error) {
		<-ctx.Done()
		return platform.SendResult{}, &platform.Error{Class: wire.ErrRetryable, Reason: "cut off", MaybeSent: true, Err: ctx.Err()}
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		r.put(delivery("m1", 0, 1))
		synctest.Wait()
		r.stop()
		r.hard()
		<-r.done
		assert.Equal(t, []string{"m1/0 sending", "m1/0 unknown"}, r.told())
	})
}

func TestLeasingBacksOffWhileTheStoreIsAway(t *testing.T) {
	run(t, 4, nil, func(t *testing.T, r *rig) {
		r.set(func() { r.down = true })
		r.post.wake <- struct{}{}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Less(t, len(r.asked), 40)
		r.set(func() { r.down = false })
		r.put(delivery("m1", 0))
		time.Sleep(maxBackoff)
		assert.Equal(t, []string{"m1/0 sending", "m1/0 sent"}, r.told())
	})
}

func TestAStoreThatIsAboutToStopIsNotAskedInALoop(t *testing.T) {
	run(t, 4, nil, func(t *testing.T, r *rig) {
		r.set(func() { r.hasty = true })
		r.post.wake <- struct{}{}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Less(t, len(r.asked), 40)
	})
}

// Three failures in a row that are the channel's own are trouble; one success
// clears it; refusals of a single message say nothing about the channel.
func TestDeliveringTroubleShowsAndClears(t *testing.T) {
	var next error
	send := func(context.Context, platform.Channel, platform.Outgoing) (platform.SendResult, error) {
		return platform.SendResult{}, next
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		n := 0
		try := func(err error) *document.Duty {
			n++
			next = err
			r.put(delivery(fmt.Sprint("m", n), 0))
			synctest.Wait()
			return r.board.Row("Channel/shop/a").Delivering
		}
		auth := &platform.Error{Class: wire.ErrAuthInvalid, Reason: "Unauthorized"}
		assert.Nil(t, try(auth))
		assert.Nil(t, try(auth))
		assert.Nil(t, try(nil))
		assert.Nil(t, try(auth))
		assert.Nil(t, try(&platform.Error{Class: wire.ErrContentRejected}))
		assert.Nil(t, try(&platform.Error{Class: wire.ErrRateLimited}))
		assert.Nil(t, try(auth))
		duty := try(auth)
		require.NotNil(t, duty)
		assert.Equal(t, document.DutyFailed, duty.State)
		assert.Equal(t, status.ReasonAuthInvalid, duty.Reason)
		assert.Equal(t, document.DutyRetrying, try(&platform.Error{Class: wire.ErrRetryable, Reason: "503"}).State)
		assert.Nil(t, try(nil), "a replica without the lease has no row at rest")
	})
}

// A large upload gets its time, and the lease is asked to outlast it.
func TestAPlatformMayAskForMoreTime(t *testing.T) {
	const long = 4 * time.Minute
	var deadlines []time.Duration
	send := func(ctx context.Context, _ platform.Channel, out platform.Outgoing) (platform.SendResult, error) {
		at, _ := ctx.Deadline()
		deadlines = append(deadlines, time.Until(at))
		if out.Part.Index == 1 {
			time.Sleep(long - time.Second) // twice as long as the lease was at first
		}
		return platform.SendResult{ExternalIDs: []string{"x"}}, nil
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		r.platform.OnSendTimeout = func(part wire.Part) time.Duration {
			return []time.Duration{0, long, 24 * time.Hour}[part.Index]
		}
		r.put(delivery("m1", 0, 1, 2))
		time.Sleep(long)
		assert.Equal(t, []string{"m1/0 sending", "m1/0 sent", "m1/1 sending", "m1/1 sent", "m1/2 sending", "m1/2 sent"}, r.told())
		assert.Equal(t, []time.Duration{SendTimeout, long, MaxSendTimeout}, deadlines)
		assert.Zero(t, r.raw[0].Hold, "an ordinary lease is long enough")
		assert.Equal(t, long+holdSlack, r.raw[2].Hold)
		assert.Equal(t, MaxSendTimeout+holdSlack, r.raw[4].Hold)
	})
}
