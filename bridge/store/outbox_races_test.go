package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// several are n replicas; on SQLite one store, n times.
func several(t testing.TB, n int) []*Store {
	t.Helper()
	if backend == "postgres" {
		return replicas(t, n)
	}
	s := openTestStore(t, Options{Dir: t.TempDir(), Capabilities: map[string]platform.Capabilities{"telegram": testCaps}})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	list := make([]*Store, n)
	for i := range list {
		list[i] = s
	}
	return list
}

// leaseFrom leases from a replica, which does not wait for anything to be due.
func leaseFrom(t testing.TB, s *Store, limit int) []wire.Delivery {
	resp, err := s.Lease(context.Background(), shopBridge, wire.LeaseRequest{Instance: "pod", Max: limit})
	if err != nil {
		t.Error(err)
	}
	return resp.Deliveries
}

// awaitLease leases what somebody has just queued.
func awaitLease(t testing.TB, s *Store) (d wire.Delivery) {
	t.Helper()
	waitFor(t, "a delivery", func() bool {
		if ds := leaseFrom(t, s, 1); len(ds) > 0 {
			d = ds[0]
		}
		return d.ID != ""
	})
	return d
}

// A person sends a message of unknown outcome again, at one replica, while the
// report that it was sent comes late, to another one, and somebody leases. It is
// sent again only where that began before the report came; it ends as sent,
// both ids are known, and the lane goes on.
func TestRequeueAndLateReportRace(t *testing.T) {
	list := several(t, 2)
	b := &box{Store: list[0], t: t}
	for round := range 20 {
		conversation := b.met(telegram, numbered("c", round))
		id := b.send(conversation, "hello")
		first := awaitLease(t, b.Store)
		require.Equal(t, id, first.ID)
		unknown := of(first, 0, wire.OutcomeUnknown)
		unknown.Class = wire.ErrRetryable
		b.report(of(first, 0, wire.OutcomeSending), unknown)
		b.wantStatus(id, message.StatusUnknown, "was not learnt")
		after := b.send(conversation, "after")

		late := of(first, 0, wire.OutcomeSent)
		late.ExternalIDs = []string{numbered("late", round)}
		var told, begun []wire.Delivery // by the leaser: leased, and begun
		var race sync.WaitGroup
		race.Go(func() {
			if _, err := list[round%2].Requeue(context.Background(), everything, id, UnknownResend); err != nil {
				require.ErrorIs(t, err, ErrConflict)
			}
		})
		race.Go(func() { reportTo(t, list[(round+1)%2], late) })
		race.Go(func() {
			for range 10 {
				told = append(told, leaseFrom(t, list[round%2], 1)...)
				if len(told) > 0 {
					return
				}
			}
		})
		race.Wait()
		for ; ; told = []wire.Delivery{awaitLease(t, list[1])} { // until what comes after it is sent
			for _, d := range told {
				sent := of(d, 0, wire.OutcomeSent)
				sent.ExternalIDs = []string{numbered("of "+d.ID, len(begun))}
				if reportTo(t, list[0], of(d, 0, wire.OutcomeSending)) {
					begun = append(begun, d)
					require.True(t, reportTo(t, list[0], sent))
				}
			}
			if len(begun) > 0 && begun[len(begun)-1].ID == after {
				break
			}
		}
		require.Empty(t, leaseFrom(t, list[0], 10))
		for _, want := range []string{id, after} {
			b.wantStatus(want, message.StatusSent, "")
		}
		require.LessOrEqual(t, len(begun), 2, "it is sent again once, at most")
		require.Equal(t, 1, count(t, b.Store, "sent_ids WHERE external_id = '"+numbered("late", round)+"' AND message = '"+id+"'"), "what the late report told is known")
	}
}

// One replica has a document without a channel, and cancels what it has to send;
// another one has the document before, and hands it out. Each message is sent or
// cancelled, and what is cancelled is not begun.
func TestCancelAndLeaseRace(t *testing.T) {
	for round := range 3 {
		list := several(t, 2)
		b := &box{Store: list[0], t: t}
		const contacts, each = 12, 3
		var ids []string
		for i := range contacts {
			conversation := b.met(telegram, numbered("c", i))
			for range each {
				ids = append(ids, b.send(conversation, "hello"))
			}
		}
		without := func() *document.Document { return testDocument(t, testEntries(t)[:2]...) }
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		sent := map[string]bool{}
		some := make(chan struct{})
		var workers sync.WaitGroup
		for w := range 3 {
			workers.Go(func() {
				for ctx.Err() == nil {
					for _, d := range leaseFrom(t, list[1-w%2], 2) {
						if !reportTo(t, list[w%2], of(d, 0, wire.OutcomeSending)) {
							continue
						}
						if m, err := list[0].Message(context.Background(), everything, d.ID); err != nil || m.Status == message.StatusCancelled {
							t.Errorf("%s was begun: %s %v", d.ID, m.Status, err)
						}
						mu.Lock()
						if sent[d.ID] = true; len(sent) == 3+round {
							close(some)
						}
						mu.Unlock()
						reportTo(t, list[1], of(d, 0, wire.OutcomeSent))
					}
				}
			})
		}
		<-some
		require.Empty(t, list[0].Load(t.Context(), without()))
		require.NoError(t, list[0].cancelGone(t.Context()))
		require.Empty(t, list[1].Load(t.Context(), without()))
		stop()
		workers.Wait()
		for _, s := range list {
			require.NoError(t, s.cancelGone(t.Context()))
		}
		for _, id := range ids {
			want := message.StatusCancelled
			if sent[id] {
				want = message.StatusSent
			}
			require.Equal(t, want, b.status(id), id)
		}
		t.Logf("%d of %d were sent before", len(sent), len(ids))
		require.Empty(t, leaseFrom(t, list[1], 10))
	}
}

// Two replicas hand out of the buckets of channels: of each, together, not more
// than its rate, of which one message is there at the beginning.
func TestReplicasShareAChannelsRate(t *testing.T) {
	list := several(t, 2)
	const rate, channels, contacts, each = 1, 10, 4, 3
	b := &box{Store: list[0], t: t}
	entries := testEntries(t)[:2]
	for i := range channels {
		entries = append(entries, b.channel(numbered("shop/c", i), func(c *document.StoreChannel) { c.OutboundPerSecond = rate }))
	}
	for _, s := range list {
		require.Empty(t, s.Load(t.Context(), testDocument(t, entries...)))
	}
	for i := range channels {
		for c := range contacts {
			b.send(b.met(numbered("shop/c", i), numbered("contact", c)), "hello")
		}
	}
	began := time.Now()
	var mu sync.Mutex
	leased := map[string]int{}
	enough := func() bool { // of every channel
		for i := range channels {
			if leased[numbered("shop/c", i)] < each {
				return false
			}
		}
		return true
	}
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for done := false; !done; {
				ds := leaseFrom(t, list[w%2], 2*channels)
				mu.Lock()
				for _, d := range ds {
					leased[d.Channel]++
					// A tenth for what replicas do not see of each other's clocks (clockJitter).
					if most := 1.1 + rate*time.Since(began).Seconds(); float64(leased[d.Channel]) > most {
						t.Errorf("%d were handed out of %s, at most %.1f may be", leased[d.Channel], d.Channel, most)
					}
				}
				done = enough() || t.Failed()
				mu.Unlock()
			}
		})
	}
	workers.Wait()
}

// The breaker of a channel is half-open: whichever replicas are asked, and
// however many ask at once, one delivery tries for all.
func TestReplicasProbeAChannelWithOneDelivery(t *testing.T) {
	list := several(t, 2)
	b := &box{Store: list[0], t: t}
	for i := range 4 * breakerAfter {
		b.send(b.met(telegram, numbered("c", i)), "hello")
	}
	down := func(d wire.Delivery) {
		reportTo(t, list[0], of(d, 0, wire.OutcomeSending))
		reportTo(t, list[1], refused(d, wire.ErrRetryable))
	}
	for range breakerAfter {
		down(awaitLease(t, list[0]))
	}
	for range 10 {
		// The pause is over, and every lane's own wait.
		require.NoError(t, b.write(t.Context(), 1, func(tx *txn) error {
			if _, err := tx.exec(`UPDATE lanes SET due_at = 1, ready_at = 0 WHERE due_at > 0`); err != nil {
				return err
			}
			_, err := tx.exec(`UPDATE outbox_channels SET paused_until = 1, ready_at = 0, due_at = 1 WHERE channel = ?`, telegram)
			return err
		}))
		var mu sync.Mutex
		var probes []wire.Delivery
		var race sync.WaitGroup
		for i := range 6 {
			race.Go(func() {
				ds := leaseFrom(t, list[i%2], 10)
				mu.Lock()
				defer mu.Unlock()
				probes = append(probes, ds...)
			})
		}
		race.Wait()
		require.Len(t, probes, 1)
		down(probes[0])
	}
}
