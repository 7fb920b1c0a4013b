package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/instagram"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/messenger"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/meta"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
	graph "github.com/bridgekeeper/bridgekeeper/hack/simulator/meta"
)

// metaWorld is a Meta, a store and a gateway between them, all real: three
// pages of one app in two namespaces, one of which has an Instagram account too.
type metaWorld struct {
	t       *testing.T
	sim     *graph.Server
	store   *store.Store
	url     string // of the public listener
	gateway *gateway.Gateway
}

// metaChannels are the channels by name, with their accounts.
var metaChannels = map[string]string{"shop/main": "1001", "shop/second": "1002", "other/third": "1003", "shop/direct": "17841400000000001"}

func newMetaWorld(t *testing.T) *metaWorld {
	t.Helper()
	w := &metaWorld{t: t}
	w.sim = graph.New(graph.Options{
		AllowHTTP: true, RetryMin: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond,
		Apps: []graph.AppSpec{{ID: "100", Secret: "app-secret", HumanAgent: true, RequireProof: true}},
		Accounts: []graph.AccountSpec{
			{ID: "1001", Name: "Main", Token: "token-1001", App: "100"}, {ID: "1002", Name: "Second", Token: "token-1002", App: "100"},
			{ID: "1003", Name: "Third", Token: "token-1003", App: "100"}, {ID: "17841400000000001", Name: "direct", Instagram: true, Page: "1001"},
		},
	})
	api := httptest.NewServer(w.sim.Handler())
	t.Cleanup(func() {
		w.sim.Close()
		api.CloseClientConnections()
		api.Close()
	})
	w.openStore()
	w.start(api.URL)
	return w
}

func (w *metaWorld) openStore() {
	parsers := map[string]store.Parser{}
	for name, parse := range all.Parsers() {
		parsers[name] = parse
	}
	w.store = openStore(w.t, store.Options{Parsers: parsers, Capabilities: all.Capabilities()})
	var entries []document.Entry
	for name, account := range metaChannels {
		entries = append(entries, entry(w.t, document.EntryChannel, name, document.StoreChannel{
			UID: name, Platform: platformOf(name), Account: account, App: "100", Bridge: bridgeName, Receive: document.ReceiveWebhook, OutboundPerSecond: 1000,
		}))
	}
	loadStore(w.t, w.store, entries...)
}

func platformOf(channel string) string {
	if channel == "shop/direct" {
		return instagram.Name
	}
	return messenger.Name
}

func (w *metaWorld) start(endpoint string) {
	t := w.t
	w.gateway, w.url, _ = serve(t, gateway.Options{
		Store: storeclient.Direct(w.store, bridgeName), Version: "test", Log: testkit.Log(), Grace: 5 * time.Second, Platforms: all.ByName(),
	})
	var entries []document.Entry
	for name, account := range metaChannels {
		entries = append(entries, entry(w.t, document.EntryChannel, name, w.channel(name, account)))
	}
	settings := document.BridgeSettings{
		StoreURL: "https://store:8443", PublicURL: w.url, PlatformEndpoints: map[string]string{messenger.Name: endpoint, instagram.Name: endpoint},
	}
	require.Empty(t, w.gateway.Load(t.Context(), testkit.DocumentWith(t, settings, entries...)))
	w.eventually("everything is registered", func() bool {
		_, pages := w.sim.Subscription("100", "page")
		_, direct := w.sim.Subscription("100", "instagram")
		return pages && direct && len(w.sim.Subscribed("1002", "100")) > 0 && len(w.sim.Subscribed("1003", "100")) > 0 &&
			slices.Contains(w.sim.Subscribed("1001", "100"), "feed") && slices.Contains(w.sim.Subscribed("1001", "100"), "messages")
	})
}

func (w *metaWorld) channel(name, account string) document.Channel {
	spec := document.Channel{
		UID: name, Platform: platformOf(name), Account: account, App: "100", Receive: document.ReceiveWebhook, RegisterWebhook: true,
		WebhookURL:  w.url + "/webhooks/apps/" + platformOf(name) + "/100",
		Config:      json.RawMessage(fmt.Sprintf(`{"pageID":%q,"appID":"100"}`, account)),
		Credentials: map[string]string{meta.KeyAppSecret: "app-secret", meta.KeyVerifyToken: "verify-" + name, messenger.KeyPageAccessToken: "token-" + account},
	}
	if spec.Platform == instagram.Name {
		spec.Config = json.RawMessage(fmt.Sprintf(`{"accountID":%q,"appID":"100","login":"FacebookLogin","pageID":"1001"}`, account))
		spec.Credentials[instagram.KeyAccessToken] = "token-1001"
	}
	return spec
}

func (w *metaWorld) eventually(what string, done func() bool) {
	w.t.Helper()
	(&world{t: w.t}).eventually(what, done)
}

// stored are the texts of a channel's messages, sorted.
func (w *metaWorld) stored(channel string, direction message.Direction) []string {
	w.t.Helper()
	page, err := w.store.Messages(w.t.Context(), store.Scope{All: true}, store.MessageQuery{Channel: channel, Direction: direction, PageQuery: store.PageQuery{Limit: 200}})
	require.NoError(w.t, err)
	texts := []string{}
	for _, m := range page.Items {
		texts = append(texts, m.Text)
	}
	slices.Sort(texts)
	return texts
}

func (w *metaWorld) inject(body string) int {
	w.t.Helper()
	status, err := w.sim.Inject("100", graph.Injection{UseSecret: true, Body: body})
	require.NoError(w.t, err)
	return status
}

func writes(page, mid, text string) string {
	return fmt.Sprintf(`{"sender":{"id":"77"},"recipient":{"id":%q},"timestamp":%d,"message":{"mid":%q,"text":%q}}`, page, time.Now().UnixMilli(), mid, text)
}

func TestABatchOfSeveralPagesIsStoredWhole(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t)
	require.NoError(t, w.sim.Hold("100"))
	for i := range 5 {
		_, err := w.sim.Person("1001", "77").Write(graph.Words{Text: fmt.Sprint("main ", i)})
		require.NoError(t, err)
	}
	for _, page := range []string{"1002", "1003"} {
		_, err := w.sim.Person(page, "77").Write(graph.Words{Text: "to " + page})
		require.NoError(t, err)
	}
	_, err := w.sim.Person("17841400000000001", "55").Write(graph.Words{Text: "direct 👋"})
	require.NoError(t, err)
	n, err := w.sim.Release("100")
	require.NoError(t, err)
	require.Equal(t, 8, n)
	_, err = w.sim.WaitDelivered(t.Context(), "100", 8)
	require.NoError(t, err)
	assert.Equal(t, []string{"main 0", "main 1", "main 2", "main 3", "main 4"}, w.stored("shop/main", message.Inbound), "five messages in one entry")
	assert.Equal(t, []string{"to 1002"}, w.stored("shop/second", message.Inbound))
	assert.Equal(t, []string{"to 1003"}, w.stored("other/third", message.Inbound))
	assert.Equal(t, []string{"direct 👋"}, w.stored("shop/direct", message.Inbound))
}

func TestABadElementCostsNoGoodOne(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t)
	body := `{"object":"page","entry":[
		{"id":"1001","messaging":[` + writes("1001", "m1", "one") + `,{"sender":7,"message":"broken"},` + writes("1001", "m2", "two") + `]},
		"not an entry",
		{"id":"4444","messaging":[` + writes("4444", "m3", "nobody's") + `]},
		{"id":"1003","messaging":[` + writes("1003", "m4", "three") + `]}]}`
	require.Equal(t, http.StatusOK, w.inject(body))
	assert.Equal(t, []string{"one", "two"}, w.stored("shop/main", message.Inbound))
	assert.Equal(t, []string{"three"}, w.stored("other/third", message.Inbound))
	raw, err := w.store.RawEntries(t.Context(), store.Scope{All: true}, store.RawQuery{Unrouted: true})
	require.NoError(t, err)
	require.Len(t, raw.Items, 1, "what went nowhere is kept")
	assert.Empty(t, raw.Items[0].Namespace, "and belongs to no namespace")
	raw, err = w.store.RawEntries(t.Context(), store.Scope{All: true}, store.RawQuery{ID: raw.Items[0].ID})
	require.NoError(t, err)
	assert.Equal(t, body, string(raw.Items[0].Payload))
}

func TestTheSameWebhookFiftyTimesIsOneMessage(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t)
	body := `{"object":"page","entry":[{"id":"1001","messaging":[` + writes("1001", "m-same", "once") + `]}]}`
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() { assert.Equal(t, http.StatusOK, w.inject(body)) })
	}
	group.Wait()
	assert.Equal(t, []string{"once"}, w.stored("shop/main", message.Inbound))
}

func TestAMessengerConversation(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t)
	ana := w.sim.Person("1001", "77")
	for _, f := range []graph.Fault{{Kind: graph.FaultDuplicate, Times: 2}, {Kind: graph.FaultReorder, Times: 1, Skip: 2, Delay: 30}} {
		require.NoError(t, w.sim.AddFault(f))
	}
	var mids []string
	for i := range 4 {
		mid, err := ana.Write(graph.Words{Text: fmt.Sprint("hello ", i)})
		require.NoError(t, err)
		mids = append(mids, mid)
	}
	_, err := ana.Write(graph.Words{Attachments: []graph.Attachment{{Type: "image", Name: "a.png", MimeType: "image/png", Data: []byte("picture")}}})
	require.NoError(t, err)
	w.eventually("all is stored", func() bool { return len(w.stored("shop/main", message.Inbound)) == 5 })
	require.NoError(t, ana.Edit(mids[0], "hello, edited", 1))
	require.NoError(t, ana.Unsend(mids[1]))

	page, err := w.store.Conversations(t.Context(), store.Scope{All: true}, store.ConversationQuery{})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	sent, err := w.store.Send(t.Context(), store.Scope{All: true}, page.Items[0].ID, store.SendRequest{
		Author: message.Author{Kind: message.AuthorAgent, Name: "ada"}, Type: message.TypeText, Text: "Which one?", ReplyTo: mids[2],
		Buttons: []message.Button{{Title: "Red", Payload: "RED"}, {Title: "Blue", Payload: "BLUE"}}, ButtonStyle: message.ButtonStyleQuickReplies,
	})
	require.NoError(t, err)
	got, err := ana.WaitMessages(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "Which one?", got[0].Message.Text)
	assert.Equal(t, mids[2], got[0].Message.ReplyTo)
	assert.Contains(t, string(got[0].Message.Raw), "quick_replies")
	status := func() message.Status {
		m, err := w.store.Message(t.Context(), store.Scope{All: true}, sent.ID)
		require.NoError(t, err)
		return m.Status
	}
	w.eventually("sent", func() bool { return status() == message.StatusSent })
	require.NoError(t, ana.Receive(true))
	w.eventually("delivered", func() bool { return status() == message.StatusDelivered })
	require.NoError(t, ana.React(got[0].MID, "love", "❤️"))
	require.NoError(t, ana.Read())
	w.eventually("read", func() bool { return status() == message.StatusRead })
	require.NoError(t, ana.Press("Menu", "MENU"))

	w.eventually("everything is told", func() bool {
		list, err := w.store.Messages(t.Context(), store.Scope{All: true}, store.MessageQuery{Channel: "shop/main", PageQuery: store.PageQuery{Limit: 200}})
		require.NoError(t, err)
		edited, deleted, pressed, reacted, fetched := false, false, false, false, false
		for _, m := range list.Items {
			edited = edited || m.EditedAt != nil && m.Text == "hello, edited"
			deleted = deleted || m.DeletedAt != nil && m.ExternalID == mids[1]
			pressed = pressed || m.Postback != nil && m.Postback.Payload == "MENU"
			reacted = reacted || len(m.Reactions) == 1 && m.ID == sent.ID
			fetched = fetched || len(m.Attachments) == 1 && m.Attachments[0].State == message.MediaStored
		}
		return edited && deleted && pressed && reacted && fetched
	})
	assert.Equal(t, []string{"Which one?"}, w.stored("shop/main", message.Outbound), "the echo of it is no second message")
	_, err = ana.Answer("from the inbox")
	require.NoError(t, err)
	w.eventually("what the page wrote elsewhere is stored", func() bool {
		return slices.Equal(w.stored("shop/main", message.Outbound), []string{"Which one?", "from the inbox"})
	})
	for _, c := range w.sim.Calls("", 0) {
		assert.False(t, c.TokenInURL, c.Path)
		assert.False(t, strings.Contains(string(c.Params), "token-"), c.Path)
	}
}
