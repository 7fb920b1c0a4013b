package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// away is the entry of a channel whose references lead nowhere for a while.
func (b *box) away(name string) document.Entry {
	return b.channel(name, func(ch *document.StoreChannel) {
		ch.App, ch.Suspended, ch.AwayUntil = "7", true, testTime.Add(time.Hour)
	})
}

func (b *box) there(name string) document.Entry {
	return b.channel(name, func(ch *document.StoreChannel) { ch.App = "7" })
}

func TestWhatIsQueuedForAChannelThatIsAwayWaits(t *testing.T) {
	b := newBox(t, testCaps)
	b.load(append(testEntries(t)[:2], b.there("shop/a"))...)
	conversation := b.met("shop/a", "c1")
	first := b.send(conversation, "hello")

	b.load(append(testEntries(t)[1:2], b.away("shop/a"))...) // its Bridge is gone, too
	require.NoError(t, b.cancelGone(t.Context()))
	second := b.send(conversation, "are you there")
	require.Empty(t, b.lease(10))
	b.wantStatus(first, message.StatusQueued, "")

	b.load(append(testEntries(t)[:2], b.there("shop/a"))...)
	for _, id := range []string{first, second} {
		d := b.leaseOne()
		require.Equal(t, id, d.ID)
		b.sent(d)
	}
}

// What a Bridge receives at an app's URL for a channel that it does not have any
// more would be nobody's, and acknowledged.
func TestWhatIsForAChannelThatIsAwayComesAgain(t *testing.T) {
	b := newBox(t, testCaps)
	load := func(a document.Entry) { b.load(append(testEntries(t)[:2], b.there("shop/sibling"), a)...) }
	request := func(app string, refused ...string) []wire.Result {
		e := text("m1", "for the one that is away")
		e.Account = "of shop/a"
		env := wire.Envelope{Platform: "telegram", App: app, Refused: refused, ReceivedAt: testTime, Transport: "webhook", Raw: []byte("{}"),
			Elements: []wire.Element{{Channel: "shop/sibling", Event: text("m2", "for its sibling")}, {Event: e}}}
		r := ingestEnvelope(t, b.Store, env)
		return []wire.Result{r[0].Result, r[1].Result}
	}
	load(b.away("shop/a"))
	require.Equal(t, []wire.Result{wire.ResultStored, wire.ResultForbidden}, request("7"))
	require.Equal(t, []wire.Result{wire.ResultDuplicate, wire.ResultForbidden}, request("7"), "it comes again")
	require.Equal(t, 1, count(t, b.Store, "raw_entries"), "and is kept once")
	require.Equal(t, []wire.Result{wire.ResultDuplicate, wire.ResultUnrouted}, request("8"), "another app's word is not for it")
	require.Equal(t, []wire.Result{wire.ResultDuplicate, wire.ResultUnrouted}, request("7", "of shop/a"), "nor is what it refused itself")
	load(b.there("shop/a"))
	require.Equal(t, []wire.Result{wire.ResultDuplicate, wire.ResultForbidden}, request("7"), "it is back, and the Bridge will know it in a moment")
	load(b.away("shop/a"))
	b.clock.advance(time.Hour)
	require.Equal(t, []wire.Result{wire.ResultDuplicate, wire.ResultUnrouted}, request("7"), "nobody is kept waiting for ever")
}
