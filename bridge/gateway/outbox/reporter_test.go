package outbox

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// stuck is a store that leaves its first requests for reports hanging.
type stuck struct {
	post
	hanging atomic.Int32
	free    chan struct{}
}

func (s *stuck) Report(ctx context.Context, req wire.ReportRequest) (wire.ReportResponse, error) {
	if s.hanging.Add(-1) >= 0 {
		select {
		case <-ctx.Done():
			return wire.ReportResponse{}, ctx.Err()
		case <-s.free:
		}
	}
	return s.post.Report(ctx, req)
}

func newStuck(hanging int32) *stuck {
	s := &stuck{free: make(chan struct{})}
	s.hanging.Store(hanging)
	return s
}

var report = wire.PartReport{Delivery: "m1", Outcome: wire.OutcomeSent}

func TestAReportThatWasGivenUpDoesNotKeepTheNextOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReporter(newStuck(1), "pod-1", 1)
		defer r.groups.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := r.tell(ctx, report)
		require.ErrorIs(t, err, context.Canceled)
		start := time.Now()
		accepted, err := r.tell(t.Context(), report)
		require.NoError(t, err)
		assert.Equal(t, []bool{true}, accepted)
		assert.Less(t, time.Since(start), time.Second)
	})
}

func TestAReportWaitsWhileTooMuchIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStuck(maxReporting)
		r := newReporter(s, "pod-1", 1)
		defer r.groups.Wait()
		for range groupsPerWorker {
			go func() { _, _ = r.tell(t.Context(), report) }()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := r.tell(ctx, report)
		require.Error(t, err)
		assert.Equal(t, time.Second, time.Since(start), "it tries as long as it may")

		time.AfterFunc(time.Second, func() { close(s.free) })
		accepted, err := r.tell(t.Context(), report)
		require.NoError(t, err)
		assert.Equal(t, []bool{true}, accepted)
	})
}
