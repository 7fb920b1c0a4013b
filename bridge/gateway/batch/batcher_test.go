package batch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// backend doubles numbers; each call waits for the test.
type backend struct {
	mu      sync.Mutex
	calls   [][]int
	atOnce  int
	most    int
	answer  func(call int, batch []int) error // nil: success
	latency time.Duration
}

func (b *backend) send(ctx context.Context, batch []int) ([]int, error) {
	b.mu.Lock()
	call := len(b.calls)
	b.calls = append(b.calls, append([]int(nil), batch...))
	b.atOnce++
	b.most = max(b.most, b.atOnce)
	b.mu.Unlock()
	defer func() { b.mu.Lock(); b.atOnce--; b.mu.Unlock() }()
	select {
	case <-time.After(b.latency):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if b.answer != nil {
		if err := b.answer(call, batch); err != nil {
			return nil, err
		}
	}
	out := make([]int, len(batch))
	for i, v := range batch {
		out[i] = 2 * v
	}
	return out, nil
}

func (b *backend) made() [][]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([][]int(nil), b.calls...)
}

func (b *backend) options() Options[int, int] {
	return Options[int, int]{
		Send: b.send, Size: func(v int) int { return v }, Concurrency: 2, MaxItems: 4, MaxBytes: 1000,
		MaxPending: 100, MaxPendingBytes: 10000, CallTimeout: 10 * time.Second,
	}
}

func TestAnIdleBatcherSendsAtOnceAndABusyOneGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := &backend{latency: time.Second}
		b := New(back.options())
		var callers sync.WaitGroup
		ask := func(v int) {
			callers.Go(func() {
				got, err := b.Do(t.Context(), v)
				assert.NoError(t, err)
				assert.Equal(t, 2*v, got)
			})
			synctest.Wait()
		}
		start := time.Now()
		ask(1)
		assert.Equal(t, [][]int{{1}}, back.calls, "nothing waits for company")
		ask(2)
		for v := 3; v <= 8; v++ {
			ask(v) // both slots are busy: these gather
		}
		callers.Wait()
		assert.Equal(t, [][]int{{1}, {2}, {3, 4, 5, 6}, {7, 8}}, back.calls)
		assert.Equal(t, 3*time.Second+gather, time.Since(start), "the rest waits for what is on the way, and a moment for company")
		b.Wait()
	})
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := &backend{latency: time.Second}
		o := back.options()
		o.Concurrency = 1
		b := New(o)
		var callers sync.WaitGroup
		for _, v := range []int{1, 600, 500, 1500, 2} {
			callers.Go(func() { _, _ = b.Do(t.Context(), v) })
			synctest.Wait()
		}
		callers.Wait()
		assert.Equal(t, [][]int{{1}, {600}, {500}, {1500}, {2}}, back.calls)
	})
}

func TestWhatIsUnavailableIsTriedAgainWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		back := &backend{answer: func(int, []int) error {
			if down.Load() {
				return store.ErrUnavailable
			}
			return nil
		}}
		b := New(back.options())
		var callers sync.WaitGroup
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := b.Do(ctx, 1)
			assert.ErrorIs(t, err, store.ErrUnavailable)
		})
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got, err := b.Do(ctx, 2)
			assert.NoError(t, err)
			assert.Equal(t, 4, got)
		})
		time.Sleep(10 * time.Second)
		assert.Less(t, len(back.made()), 40, "it backs off")
		down.Store(false)
		callers.Wait()
		assert.Equal(t, []int{2}, back.calls[len(back.calls)-1], "nothing is sent for who has left")
		b.Wait()
	})
}

func TestOneBadElementDoesNotSpoilTheOthers(t *testing.T) {
	refused := errors.New("refused")
	synctest.Test(t, func(t *testing.T) {
		back := &backend{latency: time.Second}
		back.answer = func(_ int, batch []int) error {
			for _, v := range batch {
				if v == 3 {
					return refused
				}
			}
			return nil
		}
		o := back.options()
		o.Concurrency = 1
		b := New(o)
		var callers sync.WaitGroup
		for v := 1; v <= 5; v++ {
			callers.Go(func() {
				got, err := b.Do(t.Context(), v)
				if v == 3 {
					assert.ErrorIs(t, err, refused)
					return
				}
				assert.NoError(t, err)
				assert.Equal(t, 2*v, got)
			})
			synctest.Wait()
		}
		callers.Wait()
		b.Wait()
	})
}

func TestMemoryIsBoundedWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := &backend{answer: func(int, []int) error { return store.ErrUnavailable }}
		o := back.options()
		pending := 0
		o.Pending = func(n int) { pending = n }
		b := New(o)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var overloaded, unavailable int
		var mu sync.Mutex
		var callers sync.WaitGroup
		for range 150 {
			callers.Go(func() {
				_, err := b.Do(ctx, 1)
				mu.Lock()
				defer mu.Unlock()
				require.ErrorIs(t, err, store.ErrUnavailable)
				if errors.Is(err, ErrOverloaded) {
					overloaded++
				} else {
					unavailable++
				}
			})
		}
		callers.Wait()
		b.Wait()
		assert.Equal(t, 50, overloaded)
		assert.Equal(t, 100, unavailable)
		assert.Zero(t, pending, "who has left takes no room")
	})
}

func TestAStoreThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := &backend{latency: time.Hour}
		b := New(back.options())
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		start := time.Now()
		_, err := b.Do(ctx, 1)
		assert.ErrorIs(t, err, store.ErrUnavailable)
		assert.Equal(t, 25*time.Second, time.Since(start))
		b.Wait()
		assert.GreaterOrEqual(t, len(back.calls), 3)
	})
}

func TestAnAnswerOfAnotherLengthIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := (&backend{}).options()
		o.Send = func(context.Context, []int) ([]int, error) { return nil, nil }
		b := New(o)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Do(ctx, 1)
		assert.ErrorIs(t, err, store.ErrUnavailable)
		b.Wait()
	})
}

// Whatever the load and the failures, each caller gets its own result or an
// error, and no more is on the way than allowed.
func TestEveryCallerGetsItsOwnResult(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		latency := time.Duration(rapid.IntRange(0, 50).Draw(rt, "latency ms")) * time.Millisecond
		failEvery := rapid.IntRange(2, 10).Draw(rt, "fail every")
		starts := rapid.SliceOfN(rapid.IntRange(0, 200), 1, 60).Draw(rt, "starts ms")
		synctest.Test(t, func(t *testing.T) {
			back := &backend{latency: latency}
			back.answer = func(call int, _ []int) error {
				if call%failEvery == 0 {
					return store.ErrUnavailable
				}
				return nil
			}
			b := New(back.options())
			var callers sync.WaitGroup
			for v, at := range starts {
				callers.Go(func() {
					time.Sleep(time.Duration(at) * time.Millisecond)
					got, err := b.Do(t.Context(), v)
					assert.NoError(t, err)
					assert.Equal(t, 2*v, got)
				})
			}
			callers.Wait()
			b.Wait()
			assert.LessOrEqual(t, back.most, 2)
			for _, call := range back.calls {
				assert.LessOrEqual(t, len(call), 4)
			}
		})
	})
}

// Who comes back first does not go alone while much is on the way: half of all
// callers go together. Nobody is left behind when that has come back.
func TestASecondRequestIsHalfOfAllCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := &backend{latency: time.Second}
		o := back.options()
		o.Concurrency, o.MaxItems = 1, 8
		b := New(o)
		var callers sync.WaitGroup
		ask := func(values ...int) {
			for _, v := range values {
				callers.Go(func() { _, _ = b.Do(t.Context(), v) })
				synctest.Wait()
			}
		}
		ask(1, 2, 3, 4)
		time.Sleep(time.Second + gather)
		synctest.Wait() // {2, 3, 4} is on the way
		b.mu.Lock()
		b.opts.Concurrency = 2
		b.mu.Unlock()
		ask(5, 6)
		require.Len(t, back.made(), 2, "two are not as many as three")
		ask(7)
		require.Equal(t, [][]int{{1}, {2, 3, 4}, {5, 6, 7}}, back.made())
		ask(8)
		callers.Wait()
		require.Equal(t, []int{8}, back.made()[3], "it goes when there is room")
		b.Wait()
	})
}

// Enough of them go, although they are far from half of all callers; and what has
// gathered while all slots were busy shares a request, beyond what is enough.
func TestEnoughGoWhateverIsOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := &backend{latency: time.Second}
		o := back.options()
		o.Concurrency, o.MaxItems, o.Enough = 1, 16, 3
		b := New(o)
		var callers sync.WaitGroup
		ask := func(values ...int) {
			for _, v := range values {
				callers.Go(func() { _, _ = b.Do(t.Context(), v) })
				synctest.Wait()
			}
		}
		ask(1, 2, 3, 4, 5, 6, 7)
		time.Sleep(time.Second + gather)
		synctest.Wait()
		require.Equal(t, [][]int{{1}, {2, 3, 4, 5, 6, 7}}, back.made())
		b.mu.Lock()
		b.opts.Concurrency = 2
		b.mu.Unlock()
		ask(8, 9)
		require.Len(t, back.made(), 2, "two are neither half nor enough")
		ask(10)
		require.Equal(t, []int{8, 9, 10}, back.made()[2])
		callers.Wait()
		b.Wait()
	})
}

// A request that is full waits for nobody.
func TestAFullRequestGoesWhateverIsOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := &backend{latency: time.Second}
		o := back.options()
		o.Concurrency, o.MaxItems = 3, 4
		b := New(o)
		var callers sync.WaitGroup
		for v := range 13 {
			callers.Go(func() { _, _ = b.Do(t.Context(), v) })
			synctest.Wait()
		}
		require.Equal(t, [][]int{{0}, {1}, {2, 3}}, back.made())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, [][]int{{4, 5, 6, 7}, {8, 9, 10, 11}}, back.made()[3:], "the third one would be a small one")
		callers.Wait()
		b.Wait()
	})
}

// Who was answered together is waited for, but not for long.
func TestALoneOneAfterABurstHardlyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := &backend{latency: time.Second}
		o := back.options()
		o.Concurrency = 1
		b := New(o)
		var callers sync.WaitGroup
		for v := range 5 {
			callers.Go(func() { _, _ = b.Do(t.Context(), v) })
			synctest.Wait()
		}
		callers.Wait() // {0}, {1 … 4}
		start := time.Now()
		_, err := b.Do(t.Context(), 5)
		require.NoError(t, err)
		require.Equal(t, time.Second+gather, time.Since(start))
		_, err = b.Do(t.Context(), 6)
		require.NoError(t, err)
		require.Equal(t, 2*time.Second+gather, time.Since(start), "after one, nobody waits for company")
		b.Wait()
	})
}
