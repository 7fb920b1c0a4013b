package gateway_test

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/telegram"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	simulator "github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

func jsonBody(s string) io.Reader { return strings.NewReader(s) }

func (l *link) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

func (l *link) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return fmt.Errorf("%w: the link is cut", store.ErrUnavailable)
	}
	return nil
}

func (l *link) Ingest(ctx context.Context, req wire.IngestRequest) (wire.IngestResponse, error) {
	if err := l.err(); err != nil {
		return wire.IngestResponse{}, err
	}
	return l.Store.Ingest(ctx, req)
}

func (l *link) Session(ctx context.Context, req wire.SessionRequest) (wire.SessionResponse, error) {
	if err := l.err(); err != nil {
		return wire.SessionResponse{}, err
	}
	return l.Store.Session(ctx, req)
}

// A customer's message becomes one stored message, however often Telegram
// sends it, and the reply reaches the customer.
func TestAConversationByWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceiveWebhook)
	n := w.start(nil)
	require.Empty(t, n.load(nil))
	w.eventually("the webhook is registered", func() bool { return w.bot.WebhookInfo().URL == n.url+"/webhooks/"+channel })
	_, err := w.bot.AddFault(simulator.Fault{Kind: simulator.FaultDuplicate})
	require.NoError(t, err)

	ana := w.customer(1001, "Ana")
	for i := range 5 {
		_, err := ana.Send(fmt.Sprint("hello ", i))
		require.NoError(t, err)
	}
	w.eventually("all is stored and acknowledged", func() bool { return len(w.inbound()) >= 5 && w.bot.WebhookInfo().PendingUpdateCount == 0 })
	assert.ElementsMatch(t, []string{"hello 0", "hello 1", "hello 2", "hello 3", "hello 4"}, w.inbound())

	sent := w.reply(w.conversation(), store.SendRequest{Type: message.TypeText, Text: "How can I help?", Buttons: []message.Button{{Title: "Refund", Payload: "refund"}}})
	got := waitMessages(t, ana, 1)
	assert.Equal(t, "How can I help?", got[0].Text)
	w.eventually("the reply is told as sent", func() bool { return w.message(sent.ID).Status == message.StatusSent })

	callback, err := ana.Press(got[0].MessageID, "Refund")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = ana.WaitAnswer(ctx, callback)
	require.NoError(t, err, "the pressed button gets its word back")

	row := n.row(document.EntryChannel)
	assert.True(t, row.Held)
	assert.Equal(t, "@support_bot", row.DisplayName)
	assert.Equal(t, document.DutyDone, row.Credentials.State)
	assert.Equal(t, document.DutyDone, row.Webhook.State)
}

func waitMessages(t *testing.T, c *simulator.Customer, n int) []simulator.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := c.WaitMessages(ctx, n)
	require.NoError(t, err)
	return got
}

func TestForgedRequestsAreRefusedAndLeaveNoTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceiveWebhook)
	n := w.start(nil)
	n.load(nil)
	w.eventually("registered", func() bool { return w.bot.WebhookInfo().URL != "" })
	status, err := w.bot.Inject(simulator.Injection{Secret: "guess"})
	require.NoError(t, err)
	assert.Equal(t, 401, status)
	status, err = w.bot.Inject(simulator.Injection{UseSecret: true, Body: "{"})
	require.NoError(t, err)
	assert.Equal(t, 400, status)
	assert.Equal(t, 404, post(t, n.url+"/webhooks/shop/other", "first-secret", "{}"))
	raw, err := w.store.RawEntries(t.Context(), store.Scope{All: true}, store.RawQuery{})
	require.NoError(t, err)
	assert.Empty(t, raw.Items)
}

// Old and new secrets are both good until the registration has changed and the
// overlap is over: no message is refused on the way.
func TestARotatedSecretTakesOverWithoutAGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceiveWebhook)
	n := w.start(nil)
	n.load(nil)
	w.eventually("registered", func() bool { return w.bot.WebhookSecret() == "first-secret" })
	ana := w.customer(1001, "Ana")

	rotated := func(register bool, until time.Time) func(*document.Channel) {
		return func(c *document.Channel) {
			c.RegisterWebhook = register
			c.Credentials[telegram.KeyWebhookSecret] = "second-secret"
			c.PreviousCredentials = []document.PreviousCredentials{{Values: map[string]string{telegram.KeyWebhookSecret: "first-secret"}, Until: until}}
		}
	}
	overlap := time.Now().Add(time.Hour)
	n.load(rotated(false, overlap))
	_, err := ana.Send("before the registration")
	require.NoError(t, err)
	w.eventually("the old secret is still good", func() bool { return len(w.inbound()) == 1 })
	n.load(rotated(true, overlap))
	w.eventually("registered anew", func() bool { return w.bot.WebhookSecret() == "second-secret" })
	_, err = ana.Send("after the registration")
	require.NoError(t, err)
	w.eventually("the new secret is good", func() bool { return len(w.inbound()) == 2 })

	n.load(rotated(true, time.Now().Add(-time.Second)))
	assert.Equal(t, 401, post(t, n.url+"/webhooks/"+channel, "first-secret", "{}"), "the overlap is over")
	for _, d := range w.bot.Deliveries() {
		assert.Equal(t, 200, d.Status, "%+v", d)
	}
}

// While the store is away nothing is acknowledged, and nothing is lost.
func TestAStoreThatIsAwayLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.caps.Patience = 0
	w.loadStore(document.ReceiveWebhook)
	n := w.start(nil)
	n.load(nil)
	w.eventually("registered", func() bool { return w.bot.WebhookInfo().URL != "" })
	n.link.setCut(true)
	ana := w.customer(1001, "Ana")
	for i := range 3 {
		_, err := ana.Send(strconv.Itoa(i))
		require.NoError(t, err)
	}
	w.eventually("telegram waits", func() bool { return w.bot.WebhookInfo().PendingUpdateCount == 3 })
	assert.Empty(t, w.inbound())
	assert.True(t, n.Ready(), "readiness does not depend on the store")
	n.link.setCut(false)
	w.eventually("all arrives", func() bool { return len(w.inbound()) == 3 && w.bot.WebhookInfo().PendingUpdateCount == 0 })
}

// A channel that the store does not know yet is not taken for nobody's: what
// comes for it arrives when the store's document does.
func TestAStoreThatIsBehindLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.start(nil)
	n.load(nil)
	require.NoError(t, w.bot.TakeOverWebhook(n.url+"/webhooks/"+channel, "first-secret"))
	_, err := w.customer(1001, "Ana").Send("hello")
	require.NoError(t, err)
	w.eventually("telegram was asked to come again", func() bool {
		d := w.bot.Deliveries()
		return len(d) > 0 && d[0].Status == 503
	})
	w.loadStore(document.ReceiveWebhook)
	w.eventually("it arrives", func() bool { return len(w.inbound()) == 1 })
}

func polling(c *document.Channel) {
	c.Receive = document.ReceivePolling
	c.WebhookURL = ""
}

// One of two replicas polls; when it ends, the other goes on where it was, and
// every message is stored once.
func TestAPollerIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceivePolling)
	ana := w.customer(1001, "Ana")
	nodes := map[string]*node{"first": w.start(nil)}
	nodes["first"].load(polling)
	w.eventually("the first polls", func() bool { return receiving(nodes["first"]) })
	nodes["second"] = w.start(nil)
	nodes["second"].load(polling)

	_, err := ana.Send("to the first")
	require.NoError(t, err)
	w.eventually("stored", func() bool { return len(w.inbound()) == 1 })
	w.reply(w.conversation(), store.SendRequest{Type: message.TypeText, Text: "hello Ana"})
	assert.Equal(t, "hello Ana", waitMessages(t, ana, 1)[0].Text)

	holder, other := nodes["first"], nodes["second"]
	if !receiving(holder) {
		holder, other = other, holder
	}
	assert.False(t, receiving(other), "one at a time")
	start := time.Now()
	holder.stop()
	_, err = ana.Send("to the second")
	require.NoError(t, err)
	w.eventually("taken over", func() bool { return len(w.inbound()) == 2 })
	t.Logf("taken over after %s", time.Since(start))
	assert.Equal(t, []string{"to the first", "to the second"}, w.inbound())
	w.eventually("and told", func() bool { return receiving(other) })
}

func receiving(n *node) bool {
	row := n.row(document.EntryChannel)
	return row.Held && row.Receiving != nil && row.Receiving.State == document.DutyDone
}

// A replica that loses its store stops polling by itself before another gets
// the channel, and takes no part until it is back.
func TestAReplicaWithoutItsStoreIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceivePolling)
	ana := w.customer(1001, "Ana")
	first := w.start(nil)
	first.load(polling)
	w.eventually("the first polls", func() bool { return receiving(first) })
	first.link.setCut(true)
	second := w.start(nil)
	second.load(polling)
	w.eventually("the first lets go", func() bool { return !receiving(first) })
	w.eventually("the second takes over", func() bool { return receiving(second) })
	_, err := ana.Send("hello")
	require.NoError(t, err)
	w.eventually("stored", func() bool { return len(w.inbound()) == 1 })
	first.link.setCut(false)
	_, err = ana.Send("again")
	require.NoError(t, err)
	w.eventually("stored once", func() bool { return len(w.inbound()) == 2 })
}

// As between two pods: messages, replies and attachments over mutual TLS.
func TestAttachmentsAreFetchedAfterTheCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceiveWebhook)
	client, url := w.remote()
	n := w.start(func(o *gateway.Options) { o.Store = client })
	n.storeURL = url
	n.load(nil)
	w.eventually("registered", func() bool { return w.bot.WebhookInfo().URL != "" })
	ana := w.customer(1001, "Ana")
	_, err := ana.SendAll(simulator.Outgoing{Document: &simulator.Upload{Name: "invoice.txt", Mime: "text/plain", Data: []byte("42 EUR")}})
	require.NoError(t, err)
	w.eventually("fetched", func() bool {
		page, err := w.store.Messages(t.Context(), store.Scope{All: true}, store.MessageQuery{Channel: channel})
		require.NoError(t, err)
		return len(page.Items) == 1 && page.Items[0].Attachments[0].State == message.MediaStored
	})
	page, err := w.store.Messages(t.Context(), store.Scope{All: true}, store.MessageQuery{Channel: channel})
	require.NoError(t, err)
	_, body, err := w.store.OpenMedia(t.Context(), store.Scope{All: true}, page.Items[0].Attachments[0].MediaID)
	require.NoError(t, err)
	defer body.Close()
	content, err := io.ReadAll(body)
	require.NoError(t, err)
	assert.Equal(t, "42 EUR", string(content))
	assert.True(t, n.Status().Store.OK)

	id, err := w.store.UploadMedia(t.Context(), store.Scope{All: true}, "shop", store.MediaMeta{MimeType: "text/plain", Name: "receipt.txt"}, jsonBody("paid"))
	require.NoError(t, err)
	w.reply(w.conversation(), store.SendRequest{Type: message.TypeFile, Attachments: []message.Attachment{{Kind: message.TypeFile, MediaID: id}}})
	sent := waitMessages(t, ana, 1)[0]
	require.NotNil(t, sent.Document)
	kept, ok := w.bot.File(sent.Document.FileID)
	require.True(t, ok)
	assert.Equal(t, "paid", string(kept))
}

func TestADeletedChannelsWebhookIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceiveWebhook)
	n := w.start(nil)
	n.load(nil)
	w.eventually("registered", func() bool { return w.bot.WebhookInfo().URL != "" })
	n.apply(entry(w.t, document.EntryTombstone, channel, document.Tombstone{
		UID: "1", Platform: telegram.Name, Account: strconv.Itoa(botID), WebhookURL: n.url + "/webhooks/" + channel,
		Credentials: map[string]string{telegram.KeyToken: fmt.Sprintf("%d:%s", botID, botSecret)},
	}))
	w.eventually("removed", func() bool { return w.bot.WebhookInfo().URL == "" })
	w.eventually("and told", func() bool {
		d := n.row(document.EntryTombstone).Webhook
		return d != nil && d.State == document.DutyDone
	})
	assert.Equal(t, 404, post(t, n.url+"/webhooks/"+channel, "first-secret", "{}"))
}

func TestABadEntryIsToldAndTheLastGoodOneServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceiveWebhook)
	n := w.start(nil)
	assert.False(t, n.Ready(), "not before the first document")
	n.load(nil)
	assert.True(t, n.Ready())
	good := n.Status()
	w.eventually("registered", func() bool { return w.bot.WebhookInfo().URL != "" })

	exceptions := n.load(func(c *document.Channel) { c.Credentials[telegram.KeyToken] = "not a token" })
	require.Len(t, exceptions, 1)
	assert.Equal(t, "credentials", exceptions[0].Field)
	assert.NotEmpty(t, exceptions[0].RunningHash)
	s := n.Status()
	assert.NotEqual(t, good.Hash, s.Hash)
	assert.Equal(t, exceptions, s.Exceptions)
	_, err := w.customer(1001, "Ana").Send("still there?")
	require.NoError(t, err)
	w.eventually("served", func() bool { return len(w.inbound()) == 1 })
}

// A revoked token shows in the replica that holds the channel within seconds,
// whichever sent; with the new one everything goes on at once.
func TestARevokedTokenIsNoticedAndReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceivePolling)
	ana := w.customer(1001, "Ana")
	n, other := w.start(nil), w.start(nil)
	for _, each := range []*node{n, other} {
		require.Empty(t, each.load(polling))
	}
	holder := func() *node {
		for _, each := range []*node{n, other} {
			if each.row(document.EntryChannel).Held {
				return each
			}
		}
		return nil
	}
	accepted := func() bool {
		h := holder()
		return h != nil && h.row(document.EntryChannel).Credentials != nil && h.row(document.EntryChannel).Credentials.State == document.DutyDone
	}
	w.eventually("the credentials are accepted", accepted)
	_, err := ana.Send("hello")
	require.NoError(t, err)
	w.eventually("stored", func() bool { return len(w.inbound()) == 1 })

	const newSecret = "BBHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
	require.NoError(t, w.bot.Revoke(newSecret))
	w.reply(w.conversation(), store.SendRequest{Type: message.TypeText, Text: "with the old token"})
	start := time.Now()
	w.eventually("it shows", func() bool {
		h := holder()
		return h != nil && h.row(document.EntryChannel).Credentials.Reason == status.ReasonAuthInvalid
	})
	t.Logf("noticed after %s", time.Since(start))

	// A store that has tried for a while waits for longer each time.
	for _, each := range []*node{n, other} {
		require.Empty(t, each.load(func(c *document.Channel) {
			polling(c)
			c.Credentials[telegram.KeyToken] = fmt.Sprintf("%d:%s", botID, newSecret)
		}))
	}
	start = time.Now()
	assert.Equal(t, "with the old token", waitMessages(t, ana, 1)[0].Text)
	t.Logf("sent after %s", time.Since(start))
	w.eventually("and the credentials are accepted", accepted)
}

// Whoever types an inline query gets an answer; it is in the journal and is
// nobody's message.
func TestAnInlineQueryIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceiveWebhook)
	n := w.start(nil)
	require.Empty(t, n.load(nil))
	w.eventually("registered", func() bool { return w.bot.WebhookInfo().URL != "" })
	ana := w.customer(1001, "Ana")
	query, err := ana.Ask("shoes")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	results, err := ana.WaitResults(ctx, query)
	require.NoError(t, err)
	assert.Empty(t, results)
	raw, err := w.store.RawEntries(t.Context(), store.Scope{All: true}, store.RawQuery{})
	require.NoError(t, err)
	require.Len(t, raw.Items, 1)
	assert.False(t, raw.Items[0].Unrouted)
	assert.Empty(t, w.inbound())
}
