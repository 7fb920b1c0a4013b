package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// world plays bridges that send, fail, hang and die, and the phone that counts
// what arrives.
type world struct {
	*box
	rt      *rapid.T
	convs   []string
	queued  []string       // messages in the order they were queued
	lane    map[string]int // message → conversation
	parts   map[string]int
	arrived map[string]int // "message/part" → how often it reached the phone
	holding []*holdingTurn
	resend  bool
}

// holdingTurn is a delivery in the hands of a bridge: where it stands.
type holdingTurn struct {
	d     wire.Delivery
	next  int  // index into d.Parts
	begun bool // sending was accepted for the next part
	done  bool // it reached the phone
}

func newWorld(rt *rapid.T, b *box, round int, resend bool) *world {
	w := &world{box: b, rt: rt, lane: map[string]int{}, parts: map[string]int{}, arrived: map[string]int{}, resend: resend}
	for i := range 2 {
		w.convs = append(w.convs, b.met("shop/a", fmt.Sprintf("c%d-%d", round, i)))
	}
	return w
}

func (w *world) enqueue() {
	i := rapid.IntRange(0, len(w.convs)-1).Draw(w.rt, "conversation")
	body := rapid.SampledFrom([]string{"one", "one two three"}).Draw(w.rt, "body")
	id := w.send(w.convs[i], body)
	w.queued = append(w.queued, id)
	w.lane[id], w.parts[id] = i, 1+len(body)/10
}

func (w *world) lease() {
	for _, d := range w.box.lease(rapid.IntRange(1, 3).Draw(w.rt, "max")) {
		w.checkOrder(d)
		w.holding = append(w.holding, &holdingTurn{d: d})
	}
}

// checkOrder: what is handed out is the first of its lane that is not settled.
func (w *world) checkOrder(d wire.Delivery) {
	for _, earlier := range w.queued {
		if earlier == d.ID {
			return
		}
		if w.lane[earlier] == w.lane[d.ID] {
			require.NotEqual(w.rt, message.StatusQueued, w.status(earlier), "a message overtook another")
		}
	}
}

// step moves one held delivery on by one action of its bridge.
func (w *world) step() {
	if len(w.holding) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.holding)-1).Draw(w.rt, "turn")
	h := w.holding[i]
	part := h.d.Parts[h.next].Index
	switch {
	case !h.begun:
		if o := rapid.SampledFrom([]wire.Outcome{wire.OutcomeSending, wire.OutcomeSending, wire.OutcomeSending, wire.OutcomeReleased}).Draw(w.rt, "begin"); o != wire.OutcomeSending {
			w.box.report(of(h.d, part, o))
			w.drop(i)
			return
		}
		if h.begun = w.box.report(of(h.d, part, wire.OutcomeSending))[0]; !h.begun {
			w.drop(i) // a bridge stops when it is told to
		}
	case !h.done && rapid.Bool().Draw(w.rt, "arrives"):
		w.arrived[partKey(h.d.ID, part)]++
		h.done = true
	case h.done:
		o := rapid.SampledFrom([]wire.Outcome{wire.OutcomeSent, wire.OutcomeSent, wire.OutcomeUnknown}).Draw(w.rt, "outcome")
		accepted := w.box.report(of(h.d, part, o))[0]
		if h.next++; o != wire.OutcomeSent || !accepted || h.next == len(h.d.Parts) {
			w.drop(i)
			return
		}
		h.begun, h.done = false, false
	default:
		o := rapid.SampledFrom([]wire.Outcome{wire.OutcomeRetry, wire.OutcomeFailed, wire.OutcomeUnknown}).Draw(w.rt, "trouble")
		w.box.report(of(h.d, part, o))
		w.drop(i)
	}
}

func (w *world) drop(i int) { w.holding = append(w.holding[:i], w.holding[i+1:]...) }

// drain lets a well-behaved bridge send what is left, and the slow ones tell
// what they know.
func (w *world) drain() {
	for _, h := range w.holding {
		part := h.d.Parts[h.next].Index
		switch {
		case h.done:
			w.box.report(of(h.d, part, wire.OutcomeSent))
		case h.begun:
			w.box.report(of(h.d, part, wire.OutcomeRetry))
		}
	}
	w.holding = nil
	for turns := 0; w.queuedDeliveries() > 0; turns++ {
		require.Less(w.rt, turns, 60, "a message is stuck")
		w.clock.advance(leaseFor)
		require.NoError(w.rt, w.expireLeases(context.Background()))
		for _, d := range w.box.lease(100) {
			w.checkOrder(d)
			for _, p := range d.Parts {
				require.True(w.rt, w.box.report(of(d, p.Index, wire.OutcomeSending))[0])
				w.arrived[partKey(d.ID, p.Index)]++
				require.True(w.rt, w.box.report(of(d, p.Index, wire.OutcomeSent))[0])
			}
		}
	}
	w.clock.advance(leaseFor) // leases of what was told late by somebody else
	require.NoError(w.rt, w.expireLeases(context.Background()))
	// A late "sent" settles a message that was queued again: the next claim
	// finds nothing, and puts the channel to rest.
	require.Empty(w.rt, w.box.lease(100))
}

func partKey(id string, part int) string { return fmt.Sprintf("%s/%d", id, part) }

func (w *world) check() {
	for _, id := range w.queued {
		status := w.status(id)
		require.NotEqual(w.rt, message.StatusQueued, status, "message %s was lost", id)
		for p := range w.parts[id] {
			n := w.arrived[partKey(id, p)]
			if w.resend {
				require.LessOrEqual(w.rt, n, 1+resendUnknownMax)
			} else {
				require.LessOrEqual(w.rt, n, 1, "part %d of message %s arrived twice", p, id)
			}
			if status == message.StatusSent {
				require.Positive(w.rt, n, "part %d of message %s is said to be sent", p, id)
			}
		}
	}
	require.Zero(w.rt, count(w.t, w.Store, "lanes WHERE due_at > 0 OR lease_until > 0"))
	require.Zero(w.rt, count(w.t, w.Store, "outbox_channels WHERE due_at > 0"))
}

// Whatever bridges and platforms do: no message is lost, none arrives twice
// unless the channel wants that rather than a loss, none overtakes another in
// its lane, and "sent" is never claimed of what did not arrive.
func TestOutboxProperty(t *testing.T) {
	for _, c := range []struct {
		name   string
		caps   func(*platform.Capabilities)
		resend bool
	}{
		{"at most once", func(*platform.Capabilities) {}, false},
		{"resend unknown", func(*platform.Capabilities) {}, true},
		{"with rates", func(c *platform.Capabilities) { c.RatePerSec, c.LaneRate = 2, 1 }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			caps := testCaps
			c.caps(&caps)
			b := newBox(t, caps)
			b.load(append(testEntries(t)[:2], b.channel("shop/a", func(s *document.StoreChannel) { s.ResendUnknown = c.resend }))...)
			round := 0
			rapid.Check(t, func(rt *rapid.T) {
				round++
				w := newWorld(rt, b, round, c.resend)
				for range rapid.IntRange(1, 30).Draw(rt, "steps") {
					switch rapid.IntRange(0, 11).Draw(rt, "do") {
					case 0, 1:
						w.enqueue()
					case 2, 3:
						w.lease()
					case 4:
						w.clock.advance(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "ms")) * time.Millisecond)
					case 5:
						w.clock.advance(leaseFor)
						require.NoError(rt, b.expireLeases(context.Background()))
					case 6:
						if len(w.holding) > 0 { // the bridge dies
							w.drop(rapid.IntRange(0, len(w.holding)-1).Draw(rt, "dies"))
						}
					default:
						w.step()
					}
				}
				w.drain()
				w.check()
			})
		})
	}
}
