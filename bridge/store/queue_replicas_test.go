package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Several replicas with their loops going, at which customers arrive and agents
// ask for offers all at the same time: everybody is served once.
func TestReplicasServeEverybodyOnce(t *testing.T) {
	list := replicas(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var loops sync.WaitGroup
	for _, s := range list {
		spec := routing.QueueSpec{Name: support, Offer: routing.Offer{Timeout: document.Duration(time.Minute)}}
		require.Empty(t, s.Load(ctx, testDocument(t, append(testEntries(t), entry(t, document.EntryAgentQueue, support, spec))...)))
		loops.Go(func() { _ = s.Run(ctx) })
	}
	const customers, agents = 45, 4
	d := &desk{Store: list[0], t: t}
	var mu sync.Mutex
	served := map[string]int{}
	all := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(served) == customers
	}
	var wg sync.WaitGroup
	for i := range agents {
		id := d.agent(numbered("agent", i))
		s := list[i%len(list)]
		wg.Go(func() {
			for n := 0; !all() && ctx.Err() == nil; n++ {
				offers, err := s.Offers(ctx, everything, id, 200*time.Millisecond)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				for _, o := range offers {
					if n%5 == 4 {
						if _, err := s.DeclineOffer(ctx, everything, o.ID); err != nil && !errors.Is(err, ErrConflict) {
							t.Error(err)
						}
						continue
					}
					v, err := s.AcceptOffer(ctx, everything, o.ID)
					if err == nil && v.Owner != (Owner{OwnerAgent, id}) {
						t.Error(v.Owner)
					}
					if err == nil {
						mu.Lock()
						served[v.ID]++
						mu.Unlock()
						_, err = list[(n+1)%len(list)].Resolve(ctx, everything, v.ID)
					}
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range customers {
		on := &desk{Store: list[i%len(list)], t: t}
		on.arrives(numbered("c", i), support)
	}
	wg.Wait()
	require.NoError(t, ctx.Err(), "served %d of %d", len(served), customers)
	for id, times := range served {
		require.Equal(t, 1, times, id)
	}
	cancel()
	loops.Wait()
	d.checkCounters()
	require.Zero(t, d.queue(support).Depth)
}
