//go:build faults

package faults

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/processes"
)

// some is how many requests are accepted between two faults.
const some = 300

func again(t *testing.T, p *processes.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, p.Start(ctx))
}

func TestBridgeKilled(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		w := start(t, b, nil)
		r := load(t, w, 1, func(accepted func(int)) {
			for i := range 4 {
				accepted(some)
				w.Bridges[i%2].Kill()
				accepted(some / 2)
				again(t, w.Bridges[i%2])
			}
			accepted(some)
		})
		verify(t, w, r, 1)
	})
}

func TestStoreKilled(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		w := start(t, b, nil)
		r := load(t, w, 5, func(accepted func(int)) {
			for i := range 4 {
				accepted(some)
				p := w.Stores[i%len(w.Stores)]
				p.Kill()
				again(t, p)
			}
			accepted(some)
		})
		verify(t, w, r, 5)
	})
}

// TestStoreAway is longer than a bridge holds a webhook, and than anything that
// a bridge or a store keeps in memory lives.
func TestStoreAway(t *testing.T) {
	const away = 30 * time.Second
	onBoth(t, func(t *testing.T, b backend) {
		w := start(t, b, nil)
		r := load(t, w, 1, func(accepted func(int)) {
			accepted(some)
			w.Internal.Cut()
			<-time.After(away) // the fault's own length
			w.Internal.Heal()
			accepted(some)
		})
		verify(t, w, r, 1)
	})
}

// TestStoreHangs: the process is there, takes connections and says nothing.
func TestStoreHangs(t *testing.T) {
	const hangs = 30 * time.Second
	onBoth(t, func(t *testing.T, b backend) {
		w := start(t, b, nil)
		r := load(t, w, 1, func(accepted func(int)) {
			accepted(some)
			w.Stores[0].Pause()
			<-time.After(hangs) // the fault's own length
			w.Stores[0].Resume()
			accepted(some)
		})
		verify(t, w, r, 1)
	})
}

func TestRollingUpdate(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		w := start(t, b, nil)
		r := load(t, w, 1, func(accepted func(int)) {
			accepted(some)
			for _, p := range w.Stores {
				p.Stop()
				again(t, p)
				accepted(some / 2)
			}
			for _, p := range w.Bridges {
				p.Stop()
				again(t, p)
				accepted(some / 2)
			}
		})
		verify(t, w, r, 1)
		if b.stores > 1 {
			require.Zero(t, r.Refused, "with two stores and two bridges a rolling update refuses nothing")
		}
	})
}
