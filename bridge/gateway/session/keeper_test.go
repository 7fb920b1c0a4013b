package session

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const ttl = 30 * time.Second

// office is a store that knows one session.
type office struct {
	mu       sync.Mutex
	requests []wire.SessionRequest
	at       []time.Duration
	start    time.Time
	down     bool
	hangs    bool
	revision int64
	list     []wire.Assignment
	refused  []string
}

func newOffice() *office {
	return &office{start: time.Now(), revision: 1, list: []wire.Assignment{{Channel: "shop/a", Token: 7, Cursor: "c"}}}
}

func (o *office) Session(ctx context.Context, req wire.SessionRequest) (wire.SessionResponse, error) {
	o.mu.Lock()
	o.requests = append(o.requests, req)
	o.at = append(o.at, time.Since(o.start))
	down, hangs := o.down, o.hangs
	resp := wire.SessionResponse{TTL: ttl, Revision: o.revision, Refused: o.refused}
	if req.Revision != o.revision {
		resp.Changed, resp.Assignments = true, o.list
	}
	o.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return wire.SessionResponse{}, ctx.Err()
	}
	if down {
		return wire.SessionResponse{}, store.ErrUnavailable
	}
	return resp, nil
}

func (o *office) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

func (o *office) asked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests)
}

func run(t *testing.T, test func(t *testing.T, o *office, k *Keeper)) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice()
		k := New(o, "pod-1", testkit.Metrics(), testkit.Log())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); k.Run(ctx) }()
		synctest.Wait()
		test(t, o, k)
		cancel()
		<-done
		assert.False(t, holds(k), "nothing is held after the end")
	})
}

func holds(k *Keeper) bool {
	_, ok := k.Assignment("shop/a")
	return ok
}

func TestTheSessionIsRenewedAtAThird(t *testing.T) {
	run(t, func(t *testing.T, o *office, k *Keeper) {
		a, ok := k.Assignment("shop/a")
		require.True(t, ok)
		assert.Equal(t, wire.Assignment{Channel: "shop/a", Token: 7, Cursor: "c"}, a)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		assert.Equal(t, []time.Duration{0, 10 * time.Second, 20 * time.Second}, o.at)
		assert.Equal(t, "pod-1", o.requests[0].Instance)
		assert.Equal(t, int64(1), o.requests[1].Revision, "the list is not asked for again")
		assert.True(t, holds(k))
	})
}

func TestChangesOfTheListAreTold(t *testing.T) {
	run(t, func(t *testing.T, o *office, k *Keeper) {
		changed := k.Watch()
		o.set(func() { o.revision, o.list = 2, nil })
		time.Sleep(11 * time.Second)
		<-changed
		assert.False(t, holds(k))
	})
}

// Whether the store refuses or hangs, leases are let go at two thirds of the
// TTL after the last renewal, a third before the store gives them away.
func TestLeasesThatCannotBeRenewedAreLetGoInTime(t *testing.T) {
	for name, hangs := range map[string]bool{"refuses": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, o *office, k *Keeper) {
				o.set(func() { o.down, o.hangs = true, hangs })
				time.Sleep(19900 * time.Millisecond)
				assert.True(t, holds(k), "a hiccup is no loss")
				assert.GreaterOrEqual(t, o.asked(), 3, "it was tried again")
				time.Sleep(200 * time.Millisecond)
				assert.False(t, holds(k))

				o.set(func() { o.down, o.hangs = false, false })
				time.Sleep(firstPatience + maxRetry)
				assert.True(t, holds(k), "and had again when the store is back")
			})
		})
	}
}

func TestAHiccupIsNoLoss(t *testing.T) {
	run(t, func(t *testing.T, o *office, k *Keeper) {
		changed := k.Watch()
		o.set(func() { o.down = true })
		time.Sleep(15 * time.Second)
		o.set(func() { o.down = false })
		time.Sleep(30 * time.Second)
		assert.True(t, holds(k))
		assert.Empty(t, changed)
	})
}

func TestRefreshAsksForTheWholeListAtOnce(t *testing.T) {
	run(t, func(t *testing.T, o *office, k *Keeper) {
		o.set(func() { o.list = nil })
		k.Refresh()
		k.Refresh()
		synctest.Wait()
		assert.False(t, holds(k))
		assert.Equal(t, int64(0), o.requests[1].Revision)
	})
}

func TestCloseEndsTheSession(t *testing.T) {
	run(t, func(t *testing.T, o *office, k *Keeper) {
		require.NoError(t, k.Close(t.Context()))
		assert.Equal(t, wire.SessionRequest{Instance: "pod-1", Close: true}, o.requests[len(o.requests)-1])
	})
}

func TestRefusedChannelsAreTold(t *testing.T) {
	run(t, func(t *testing.T, o *office, k *Keeper) {
		changed := k.Watch()
		o.set(func() { o.refused = []string{"shop/a"} })
		time.Sleep(11 * time.Second)
		<-changed
		assert.True(t, k.Refused("shop/a"))
		assert.True(t, holds(k), "the list of leases is the same")
		time.Sleep(10 * time.Second)
		assert.Empty(t, changed, "what goes on is no news")
		o.set(func() { o.refused = nil })
		time.Sleep(10 * time.Second)
		<-changed
		assert.False(t, k.Refused("shop/a"))
	})
}

func TestAcceptedChannelsAreToldAtOnceAndUntilTheStoreKnows(t *testing.T) {
	run(t, func(t *testing.T, o *office, k *Keeper) {
		o.set(func() { o.down = true })
		k.Accepted("shop/a")
		synctest.Wait()
		assert.Equal(t, []string{"shop/a"}, o.requests[1].Accepted, "at once")
		assert.Equal(t, int64(1), o.requests[1].Revision, "and the list is not asked for again")
		o.set(func() { o.down = false })
		time.Sleep(time.Second)
		assert.Equal(t, []string{"shop/a"}, o.requests[len(o.requests)-1].Accepted, "it may not have heard")
		time.Sleep(ttl)
		assert.Empty(t, o.requests[len(o.requests)-1].Accepted, "once it has")
	})
}
