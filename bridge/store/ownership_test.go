package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func TestVerbsOfOwnership(t *testing.T) {
	d := testDesk(t, assigning(support))
	ctx := t.Context()
	bot, ana, bo := Owner{OwnerBot, "shop/menu"}, Owner{OwnerAgent, "ana"}, Owner{OwnerAgent, "bo"}
	v := conversationOf(t, d.Store, text("m1", "hello"))
	v, err := d.Request(ctx, everything, v.ID, bot, v.Epoch)
	require.NoError(t, err)
	require.Equal(t, bot, v.Owner)
	v, err = d.Request(ctx, everything, v.ID, ana, v.Epoch)
	require.NoError(t, err, "a bot gives way to people")
	_, err = d.Request(ctx, everything, v.ID, bo, v.Epoch)
	require.ErrorIs(t, err, ErrConflict, "people do not give way by being asked")
	_, err = d.Request(ctx, everything, v.ID, bot, v.Epoch)
	require.ErrorIs(t, err, ErrConflict)
	before := v
	v, err = d.Pass(ctx, everything, v.ID, bo, v.Epoch)
	require.NoError(t, err)
	for verb, stale := range map[string]func() (Conversation, error){
		"pass":    func() (Conversation, error) { return d.Pass(ctx, everything, v.ID, ana, before.Epoch) },
		"take":    func() (Conversation, error) { return d.Take(ctx, everything, v.ID, ana, before.Epoch) },
		"request": func() (Conversation, error) { return d.Request(ctx, everything, v.ID, ana, before.Epoch) },
		"release": func() (Conversation, error) { return d.Release(ctx, everything, v.ID, before.Epoch) },
		"assign":  func() (Conversation, error) { return d.Assign(ctx, everything, v.ID, ana, before.Epoch) },
	} {
		_, err := stale()
		require.ErrorIs(t, err, ErrConflict, verb)
		require.Equal(t, 1.0, testutil.ToFloat64(d.queues.metrics.stale.WithLabelValues(verb)), verb)
	}
	v, err = d.Take(ctx, everything, v.ID, ana, v.Epoch)
	require.NoError(t, err)
	v, err = d.Pass(ctx, everything, v.ID, Owner{OwnerQueue, support}, v.Epoch)
	require.NoError(t, err)
	require.Equal(t, 1, d.queue(support).Depth)
	v, err = d.Take(ctx, everything, v.ID, bo, v.Epoch)
	require.NoError(t, err)
	require.Zero(t, d.queue(support).Depth)
	v, err = d.Release(ctx, everything, v.ID, v.Epoch)
	require.NoError(t, err)
	require.Equal(t, Owner{OwnerQueue, support}, v.Owner, "back to where it came from")
	for _, bad := range []func() (Conversation, error){
		func() (Conversation, error) { return d.Pass(ctx, everything, v.ID, Owner{Kind: OwnerNone}, v.Epoch) },
		func() (Conversation, error) { return d.Take(ctx, everything, v.ID, Owner{OwnerQueue, "q"}, v.Epoch) },
		func() (Conversation, error) { return d.Take(ctx, everything, v.ID, ana, 0) },
		func() (Conversation, error) { return d.Release(ctx, everything, v.ID, 0) },
		func() (Conversation, error) {
			return d.Pass(ctx, everything, v.ID, Owner{OwnerQueue, "other/queue"}, v.Epoch)
		},
	} {
		_, err := bad()
		var field *FieldError
		require.ErrorAs(t, err, &field)
	}
	_, err = d.Take(ctx, Scope{Namespaces: []string{"other"}}, v.ID, ana, v.Epoch)
	require.ErrorIs(t, err, ErrNotFound)

	first, err := d.OwnerChanges(ctx, everything, v.ID, PageQuery{Limit: 4})
	require.NoError(t, err)
	rest, err := d.OwnerChanges(ctx, everything, v.ID, PageQuery{Limit: 4, After: first.Next})
	require.NoError(t, err)
	var causes []OwnerCause
	for i, c := range append(first.Items, rest.Items...) {
		causes = append(causes, c.Cause)
		require.EqualValues(t, i+2, c.Epoch, "no change is missing")
		require.Equal(t, "test", c.Caller)
	}
	require.Equal(t, []OwnerCause{CauseRequested, CauseRequested, CausePassed, CauseTaken, CausePassed, CauseTaken, CauseReleased}, causes)
	require.Empty(t, rest.Next)
	d.checkCounters()
}

// A bot that was overtaken by a change of owner is not heard: whatever it sends
// at the same time, and however many times the conversation comes back to it,
// what reaches the platform was written while the bot had the conversation, and
// nothing of it is begun after it lost it.
func TestBotNeverSpeaksAfterItLostTheConversation(t *testing.T) {
	d := testDesk(t)
	d.opts.Capabilities = map[string]platform.Capabilities{"telegram": testCaps}
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		ctx := context.Background()
		v := conversationOf(t, d.Store, textFrom(numbered("c", round), numbered("m", round), "hello"))
		bot := Owner{OwnerBot, "shop/menu"}
		v, err := d.Take(ctx, everything, v.ID, bot, v.Epoch)
		require.NoError(rt, err)
		var epoch atomic.Int64 // that the bot knows of
		epoch.Store(v.Epoch)
		var wg sync.WaitGroup
		sends, changes := rapid.IntRange(1, 6).Draw(rt, "sends"), rapid.IntRange(1, 4).Draw(rt, "changes")
		for range sends {
			wg.Go(func() {
				_, err := d.Send(ctx, everything, v.ID, SendRequest{Author: message.Author{Kind: message.AuthorBot, Name: "menu"}, Epoch: epoch.Load(), Type: message.TypeText, Text: "hi"})
				if err != nil && !errors.Is(err, ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			now := v
			for i := range changes {
				to := Owner{OwnerAgent, "ana"}
				if i%2 == 1 {
					to = bot
				}
				var err error
				if now, err = d.Take(ctx, everything, v.ID, to, now.Epoch); err != nil {
					t.Error(err)
					return
				}
				if to == bot {
					epoch.Store(now.Epoch)
				}
			}
		})
		leased := make(chan []wire.Delivery, 1)
		wg.Go(func() {
			resp, err := d.Lease(ctx, shopBridge, wire.LeaseRequest{Instance: "pod", Max: 10})
			if err != nil {
				t.Error(err)
			}
			leased <- resp.Deliveries
		})
		wg.Wait()
		final := getConversation(t, d.Store, v.ID)
		// What was leased while the owner changed is not begun any more.
		d.speak(rt, <-leased, final)
		for {
			resp, err := d.Lease(ctx, shopBridge, wire.LeaseRequest{Instance: "pod", Max: 10})
			require.NoError(rt, err)
			if len(resp.Deliveries) == 0 {
				return
			}
			d.speak(rt, resp.Deliveries, final)
		}
	})
}

// The same in every order in which things can happen: what a bridge begins was
// written under the epoch that holds then, however long ago it was leased.
func TestABridgeBeginsOnlyWhatTheOwnerWrote(t *testing.T) {
	d := testDesk(t)
	d.opts.Capabilities = map[string]platform.Capabilities{"telegram": testCaps}
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		ctx := context.Background()
		v := conversationOf(t, d.Store, textFrom(numbered("c", round), numbered("m", round), "hello"))
		known := v.Epoch // what the bot believes
		var leased []wire.Delivery
		for range rapid.IntRange(3, 15).Draw(rt, "acts") {
			switch act := rapid.SampledFrom([]string{"send", "send", "change", "learn", "lease", "begin"}).Draw(rt, "act"); act {
			case "send":
				_, err := d.Send(ctx, everything, v.ID, SendRequest{Author: message.Author{Kind: message.AuthorBot}, Epoch: known, Type: message.TypeText, Text: "hi"})
				require.Equal(rt, known != v.Epoch, errors.Is(err, ErrConflict), "%v", err)
			case "change":
				to := Owner{OwnerAgent, "ana"}
				if v.Owner == to {
					to = Owner{OwnerBot, "shop/menu"}
				}
				var err error
				v, err = d.Pass(ctx, everything, v.ID, to, v.Epoch)
				require.NoError(rt, err)
			case "learn":
				known = v.Epoch
			case "lease":
				resp, err := d.Lease(ctx, shopBridge, wire.LeaseRequest{Instance: "pod", Max: 10})
				require.NoError(rt, err)
				leased = append(leased, resp.Deliveries...)
			case "begin":
				d.speak(rt, leased, v)
				leased = nil
			}
		}
		d.speak(rt, leased, v)
		for { // nothing is left for the next round
			resp, err := d.Lease(ctx, shopBridge, wire.LeaseRequest{Instance: "pod", Max: 10})
			require.NoError(rt, err)
			if len(resp.Deliveries) == 0 {
				return
			}
			d.speak(rt, resp.Deliveries, v)
		}
	})
}

// speak is a bridge that begins to send what it leased; only what the present
// owner wrote may be let through.
func (d *desk) speak(rt *rapid.T, deliveries []wire.Delivery, v Conversation) {
	for _, l := range deliveries {
		var epoch int64
		_, err := one(context.Background(), d.read, []any{&epoch}, `SELECT epoch FROM deliveries WHERE message = ?`, l.ID)
		require.NoError(rt, err)
		require.Equal(rt, v.ID, getMessage(d.t, d.Store, l.ID).Conversation)
		resp, err := d.Report(context.Background(), shopBridge, wire.ReportRequest{Reports: []wire.PartReport{
			{Channel: l.Channel, Delivery: l.ID, Lease: l.Lease, Part: 0, Outcome: wire.OutcomeSending}}})
		require.NoError(rt, err)
		require.Equal(rt, epoch == v.Epoch, resp.Accepted[0], "written at epoch %d, now %d", epoch, v.Epoch)
		if resp.Accepted[0] {
			_, err = d.Report(context.Background(), shopBridge, wire.ReportRequest{Reports: []wire.PartReport{
				{Channel: l.Channel, Delivery: l.ID, Lease: l.Lease, Part: 0, Outcome: wire.OutcomeSent, ExternalIDs: []string{"x" + l.ID}}}})
			require.NoError(rt, err)
		} else {
			require.Equal(rt, message.StatusSuperseded, getMessage(d.t, d.Store, l.ID).Status)
		}
	}
}
