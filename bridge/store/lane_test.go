package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// sendMany queues a message to each of n contacts of a channel.
func (b *box) sendMany(channel string, n int) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { b.send(b.met(channel, fmt.Sprint("c", i)), "hello") })
	}
	wg.Wait()
}

func perChannel(ds []wire.Delivery) map[string]int {
	n := map[string]int{}
	for _, d := range ds {
		n[d.Channel]++
	}
	return n
}

func TestABusyChannelDoesNotStarveTheOthers(t *testing.T) {
	b := newBox(t, testCaps)
	b.load(append(testEntries(t)[:2], b.channel("shop/0-busy", nil), b.channel("shop/a", nil), b.channel("shop/b", nil))...)
	b.sendMany("shop/0-busy", 200)
	b.sendMany("shop/a", 5)
	b.sendMany("shop/b", 5)
	first := perChannel(b.lease(10))
	require.Equal(t, map[string]int{"shop/0-busy": 4, "shop/a": 3, "shop/b": 3}, first, "equal shares of one answer")
	// One at a time, and with the clock standing still: in turns all the same.
	total := first
	for range 6 {
		for c, n := range perChannel(b.lease(1)) {
			total[c] += n
		}
	}
	require.Equal(t, 5, total["shop/a"])
	require.Equal(t, 5, total["shop/b"])
	require.Len(t, b.lease(1000), 200-total["shop/0-busy"], "and nothing is left behind")
}

func TestAChannelKeepsItsRate(t *testing.T) {
	for _, c := range []struct {
		name     string
		platform float64
		channel  int
		want     float64
	}{
		{"of the platform", 20, 0, 20},
		{"its own", 20, 5, 5},
		{"slow", 0, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			caps := testCaps
			caps.RatePerSec = c.platform
			b := newBox(t, caps)
			b.load(append(testEntries(t)[:2], b.channel("shop/a", func(s *document.StoreChannel) { s.OutboundPerSecond = c.channel }))...)
			b.sendMany("shop/a", 150)
			leased := 0
			for at := time.Duration(0); at < 5*time.Second; at += 10 * time.Millisecond {
				leased += len(b.lease(1000))
				b.clock.advance(10 * time.Millisecond)
			}
			require.InDelta(t, c.want*5, leased, max(1, c.want*burstSeconds)+1)
		})
	}
}

func TestPartsCountTowardsTheRate(t *testing.T) {
	caps := testCaps
	caps.RatePerSec = 1
	b := newBox(t, caps)
	conv, other := b.met(telegram, "c1"), b.met(telegram, "c2")
	b.send(conv, "one two three four five")
	b.send(other, "hello")
	d := b.leaseOne()
	require.Len(t, d.Parts, 3)
	b.clock.advance(2999 * time.Millisecond)
	require.Empty(t, b.lease(10))
	b.clock.advance(time.Millisecond)
	require.Len(t, b.lease(10), 1)
}

func TestALaneKeepsItsRate(t *testing.T) {
	caps := testCaps
	caps.LaneRate = 0.5
	b := newBox(t, caps)
	conv := b.met(telegram, "c1")
	b.send(conv, "one")
	b.sent(b.leaseOne())
	b.send(conv, "two") // the lane was empty meanwhile: its rate holds
	b.clock.advance(1999 * time.Millisecond)
	require.Empty(t, b.lease(10))
	b.clock.advance(time.Millisecond)
	b.sent(b.leaseOne())
}

func TestASuspendedChannelQueues(t *testing.T) {
	b := newBox(t, testCaps)
	suspend := func(suspended bool) {
		b.load(append(testEntries(t)[:2], b.channel("shop/a", func(c *document.StoreChannel) { c.Suspended = suspended }))...)
	}
	suspend(true)
	id := b.send(b.met("shop/a", "c1"), "hello")
	require.Empty(t, b.lease(10))
	b.clock.advance(time.Hour)
	require.Empty(t, b.lease(10))
	suspend(false)
	require.Equal(t, id, b.leaseOne().ID)
}

func TestPausedChannelsAreLeasedByOthers(t *testing.T) {
	b := newBox(t, testCaps)
	b.load(append(testEntries(t)[:2], b.channel("shop/a", nil), b.channel("shop/b", nil))...)
	b.send(b.met("shop/a", "c1"), "hello")
	b.send(b.met("shop/b", "c1"), "hello")
	require.Equal(t, map[string]int{"shop/b": 1}, perChannel(b.lease(10, "shop/a")))
	require.Equal(t, map[string]int{"shop/a": 1}, perChannel(b.lease(10)))
}

func TestDeletingAChannelCancelsWhatItHadToSend(t *testing.T) {
	b := newBox(t, testCaps)
	both := append(testEntries(t)[:2], b.channel("shop/a", nil), b.channel("shop/b", nil))
	b.load(both...)
	conv, other := b.met("shop/a", "c1"), b.met("shop/a", "c2")
	begun, behind, waiting := b.send(conv, "begun"), b.send(conv, "behind"), b.send(other, "waiting")
	kept := b.send(b.met("shop/b", "c1"), "kept")
	ds := b.lease(1)
	require.Equal(t, begun, ds[0].ID)
	b.report(of(ds[0], 0, wire.OutcomeSending))

	b.load(append(testEntries(t)[:2], b.channel("shop/a", func(c *document.StoreChannel) { c.Deleting = true }), both[3])...)
	require.NoError(t, b.cancelGone(t.Context()))
	b.wantStatus(waiting, message.StatusCancelled, "ChannelDeleted")
	_, err := b.Send(t.Context(), everything, conv, SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "too late"})
	require.ErrorIs(t, err, ErrConflict)
	b.load(append(testEntries(t)[:2], both[3])...) // its last duties are done
	require.NoError(t, b.cancelGone(t.Context()))
	require.Equal(t, kept, b.leaseOne().ID)
	require.Equal(t, message.StatusQueued, b.status(begun), "a bridge is sending it")
	require.Equal(t, []bool{true}, b.report(of(ds[0], 0, wire.OutcomeSent)))
	require.Equal(t, message.StatusSent, b.status(begun))
	require.NoError(t, b.cancelGone(t.Context()))
	b.wantStatus(behind, message.StatusCancelled, "ChannelGone")
}

func TestAutomatedMessagesOfAFormerOwnerAreSuperseded(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	v, err := b.Assign(t.Context(), everything, conv, Owner{Kind: OwnerBot, Name: "faq"}, 0)
	require.NoError(t, err)
	bot := SendRequest{Author: message.Author{Kind: message.AuthorBot, Name: "faq"}, Epoch: v.Epoch, Type: message.TypeText, Text: "beep"}
	first := b.mustSend(conv, bot)
	people := b.send(conv, "hello")
	second := b.mustSend(conv, bot)
	_, err = b.Assign(t.Context(), everything, conv, Owner{Kind: OwnerAgent, Name: "ann"}, v.Epoch)
	require.NoError(t, err)

	_, err = b.Send(t.Context(), everything, conv, bot)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "epoch")
	require.Equal(t, people, b.leaseOne().ID, "people's messages stay")
	b.wantStatus(first, message.StatusSuperseded, "another owner")
	b.clock.advance(leaseFor)
	b.sent(b.leaseOne())
	require.Empty(t, b.lease(10))
	require.Equal(t, message.StatusSuperseded, b.status(second))
}

func TestAContactThatLeftIsNotWrittenTo(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	id := b.send(conv, "hello")
	opt := func(s message.MembershipStatus, key string) {
		b.clock.advance(time.Second)
		ingest(t, b.Store, telegram, message.Event{ExternalID: key, Membership: &message.Membership{Contact: message.Contact{ExternalID: "c1"}, Status: s, Timestamp: b.clock.Now()}})
	}
	opt(message.MembershipOptedOut, "u1")
	require.Empty(t, b.lease(10))
	b.wantStatus(id, message.StatusFailed, "RecipientGone")
	_, err := b.Send(t.Context(), everything, conv, SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "hello?"})
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "blocked")
	opt(message.MembershipOptedIn, "u2")
	b.send(conv, "welcome back")
	require.Len(t, b.lease(10), 1)
}

func TestTheMessagingWindowIsCheckedTwice(t *testing.T) {
	caps := testCaps
	caps.Window = 24 * time.Hour
	b := newBox(t, caps)
	conv := b.met(telegram, "c1")
	b.clock.advance(24 * time.Hour)
	id := b.send(conv, "just in time")
	b.clock.advance(time.Second)
	require.Empty(t, b.lease(10))
	b.wantStatus(id, message.StatusFailed, "OutsideWindow")
	_, err := b.Send(t.Context(), everything, conv, SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "too late"})
	require.ErrorIs(t, err, ErrConflict)
}

func TestWhatThePlatformCannotDoAnyMoreIsNotSent(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	id := b.mustSend(conv, SendRequest{Author: agent, Type: message.TypeLocation, Text: "here", Location: &message.Location{Latitude: 1}})
	caps := testCaps
	caps.Location = false
	b.opts.Capabilities["telegram"] = caps // as after an upgrade
	require.Empty(t, b.lease(10))
	b.wantStatus(id, message.StatusFailed, "cannot be sent")
}

// waitLease is a long poll in the background.
func waitLease(b *box, wait time.Duration) <-chan []wire.Delivery {
	done := make(chan []wire.Delivery, 1)
	go func() {
		resp, _ := b.Lease(context.Background(), shopBridge, wire.LeaseRequest{Instance: "pod-0", Max: 10, Wait: wait})
		done <- resp.Deliveries
	}()
	return done
}

func (b *box) waiters(n int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		b.outbox.bells.mu.Lock()
		defer b.outbox.bells.mu.Unlock()
		return len(b.outbox.bells.waiting[shopBridge]) == n
	}, time.Minute, time.Millisecond)
}

func TestALongPollIsWoken(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	var id string
	var held wire.Delivery // by the case before
	for _, wake := range []struct {
		name string
		do   func() func()
	}{
		{"by a message", func() func() { return func() { id = b.send(conv, "hello") } }},
		{"by a lane that is given back", func() func() {
			b.sent(held)
			id = b.send(conv, "again")
			d := b.leaseOne()
			return func() { b.report(of(d, 0, wire.OutcomeReleased)) }
		}},
		{"by the end of the message before", func() func() {
			b.sent(held)
			b.send(conv, "before")
			id = b.send(conv, "after")
			d := b.leaseOne()
			return func() { b.sent(d) }
		}},
		{"by a document", func() func() {
			b.sent(held)
			b.load(append(testEntries(t)[:2], entry(t, document.EntryChannel, telegram, document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge, Suspended: true}))...)
			id = b.send(conv, "suspended")
			return func() { b.load() }
		}},
	} {
		t.Run(wake.name, func(t *testing.T) {
			do := wake.do()
			done := waitLease(b, time.Minute)
			b.waiters(1)
			do()
			select {
			case ds := <-done:
				require.Len(t, ds, 1)
				require.Equal(t, id, ds[0].ID)
				held = ds[0]
			case <-time.After(time.Minute):
				t.Fatal("not woken")
			}
		})
	}
}

func TestALongPollEnds(t *testing.T) {
	b := newBox(t, testCaps)
	require.Empty(t, <-waitLease(b, 20*time.Millisecond))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Lease(ctx, shopBridge, wire.LeaseRequest{Max: 1, Wait: time.Minute})
	require.ErrorIs(t, err, context.Canceled)
	b.waiters(0)
}

// What was rung for one that leaves is heard by the next.
func TestNoRingIsLost(t *testing.T) {
	bells := newBells()
	first, second := bells.join("b"), bells.join("b")
	bells.ring("b")
	bells.leave("b", first)
	require.Len(t, second.rung, 1)
	bells.leave("b", second)
	require.Empty(t, bells.waiting)
	bells.ring("b") // nobody is there
}

func TestManyWorkersSendEachMessageOnceAndInOrder(t *testing.T) {
	b := newBox(t, testCaps)
	const contacts, each, workers = 20, 10, 8
	var convs []string
	for i := range contacts {
		convs = append(convs, b.met(telegram, fmt.Sprint("c", i)))
	}
	var mu sync.Mutex
	order := map[string][]string{}
	total := 0
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := b.Lease(ctx, shopBridge, wire.LeaseRequest{Instance: fmt.Sprint("pod-", w), Max: 5, Wait: time.Minute})
				if err != nil {
					return
				}
				for _, d := range resp.Deliveries {
					r, err := b.Report(context.Background(), shopBridge, wire.ReportRequest{Reports: []wire.PartReport{of(d, 0, wire.OutcomeSending)}})
					if err != nil || !r.Accepted[0] {
						continue
					}
					mu.Lock()
					order[d.To] = append(order[d.To], d.Parts[0].Text)
					if total++; total == contacts*each {
						cancel()
					}
					mu.Unlock()
					_, _ = b.Report(context.Background(), shopBridge, wire.ReportRequest{Reports: []wire.PartReport{of(d, 0, wire.OutcomeSent)}})
				}
			}
		})
	}
	for n := range each {
		for _, conv := range convs {
			wg.Go(func() {}) // let workers in between
			b.send(conv, fmt.Sprint(n))
		}
	}
	wg.Wait()
	require.Equal(t, contacts*each, total)
	want := make([]string, each)
	for n := range each {
		want[n] = fmt.Sprint(n)
	}
	for contact, got := range order {
		require.Equal(t, want, got, contact)
	}
}

func TestAChannelOfAnUnknownPlatformIsPutOff(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	b.send(conv, "hi")
	b.opts.Capabilities = nil // as after a rollback to a version that does not know the platform
	c := claim{s: b.Store, bridge: shopBridge, instance: "pod-0", max: 5}
	found, _, err := c.try(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
	_, wait, err := c.try(t.Context())
	require.NoError(t, err)
	require.Equal(t, strangeWait, wait, "no long poll spins on it")

	b.opts.Capabilities = map[string]platform.Capabilities{"telegram": testCaps}
	b.clock.advance(strangeWait)
	require.Len(t, b.lease(5), 1)
}

// A channel moves to another Bridge, which has leased the lane by the time the
// former one can tell what it sent.
func TestWhatAFormerBridgeSentIsRecorded(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	id := b.send(conv, "hello")
	d := b.leaseOne()
	b.report(of(d, 0, wire.OutcomeSending))
	entries := testEntries(t)[:2]
	b.load(append(entries, entry(t, document.EntryChannel, telegram, document.StoreChannel{Platform: "telegram", Account: "100", Bridge: otherBridge}))...)
	b.clock.advance(leaseFor)
	second := b.send(conv, "second")
	resp, err := b.Lease(t.Context(), otherBridge, wire.LeaseRequest{Instance: "other", Max: 10})
	require.NoError(t, err)
	require.Len(t, resp.Deliveries, 1)
	next := resp.Deliveries[0]
	require.Equal(t, second, next.ID)
	b.wantStatus(id, message.StatusUnknown, "did not report")

	b.report(of(next, 0, wire.OutcomeSent), of(d, 0, wire.OutcomeFailed))
	b.wantStatus(second, message.StatusQueued, "")
	b.wantStatus(id, message.StatusUnknown, "did not report")
	require.Equal(t, []bool{false}, b.report(of(d, 0, wire.OutcomeSent)), "it moves nothing")
	b.wantStatus(id, message.StatusSent, "")
	require.Equal(t, id+"/0", getMessage(t, b.Store, id).ExternalID)

	other, err := b.Report(t.Context(), otherBridge, wire.ReportRequest{Instance: "other", Reports: []wire.PartReport{of(next, 0, wire.OutcomeSending), of(next, 0, wire.OutcomeSent)}})
	require.NoError(t, err)
	require.Equal(t, []bool{true, true}, other.Accepted)
	b.wantStatus(second, message.StatusSent, "")
}
