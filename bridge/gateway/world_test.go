package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpki"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/telegram"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/internalapi"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	simulator "github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	bridgeName = "shop/default"
	botID      = 4711
	botSecret  = "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
	channel    = "shop/support"
	patience   = time.Minute
)

// world is a Telegram, a store, and gateways between them; everything real,
// in one process.
type world struct {
	t      *testing.T
	sim    *simulator.Server
	simURL string
	bot    *simulator.Bot
	store  *store.Store
	caps   platform.Capabilities
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, caps: telegram.New().Capabilities()}
	w.sim = simulator.New(simulator.Options{
		Bots:      []simulator.BotSpec{{ID: botID, Secret: botSecret, Username: "support_bot", Name: "Support"}},
		AllowHTTP: true, Limits: simulator.Limits{Off: true}, ConflictDelay: 50 * time.Millisecond,
		Webhook: simulator.WebhookOptions{RetryMin: 50 * time.Millisecond, RetryMax: 200 * time.Millisecond, SetInterval: -1},
	})
	w.bot = w.sim.Bot(botID)
	server := httptest.NewServer(w.sim.Handler())
	w.simURL = server.URL
	t.Cleanup(func() {
		w.sim.Close()
		server.CloseClientConnections()
		server.Close()
	})
	w.openStore()
	return w
}

func (w *world) openStore() {
	w.store = openStore(w.t, store.Options{
		Parsers:      map[string]store.Parser{telegram.Name: telegram.New().Parse},
		Capabilities: map[string]platform.Capabilities{telegram.Name: w.caps},
	})
}

// openStore runs a store of a test's own.
func openStore(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	o.Dir = t.TempDir()
	engine, err := store.Open(t.Context(), o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = engine.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		require.NoError(t, engine.Close())
	})
	return engine
}

// loadStore gives the store the channel, which is the bridge's.
func (w *world) loadStore(receive document.Receive) {
	loadStore(w.t, w.store, entry(w.t, document.EntryChannel, channel, document.StoreChannel{
		UID: "1", Platform: telegram.Name, Account: strconv.Itoa(botID), Bridge: bridgeName, Receive: receive, OutboundPerSecond: 1000,
	}))
}

// loadStore gives a store the bridge and these entries.
func loadStore(t *testing.T, engine *store.Store, entries ...document.Entry) {
	t.Helper()
	entries = append(entries, entry(t, document.EntryBridge, bridgeName, document.StoreBridge{Identity: "spiffe://bridgekeeper/ns/shop/bridge/default"}))
	settings, err := json.Marshal(document.StoreSettings{ReopenWindow: document.Duration(24 * time.Hour)})
	require.NoError(t, err)
	files, err := document.Encode(&document.Document{Kind: document.KindStore, Name: "shop/default", Generation: 1, Settings: settings, Entries: entries}, 1)
	require.NoError(t, err)
	doc, _, err := document.Decode(files)
	require.NoError(t, err)
	require.Empty(t, engine.Load(t.Context(), doc))
}

func entry(t *testing.T, kind document.EntryKind, name string, spec any) document.Entry {
	t.Helper()
	e, err := document.NewEntry(kind, name, 1, spec)
	require.NoError(t, err)
	return e
}

// node is one gateway.
type node struct {
	*gateway.Gateway
	w    *world
	url  string // of its public listener
	stop func() // and wait
	link *link

	storeURL string
}

// start runs a gateway; change may be nil.
func (w *world) start(change func(*gateway.Options)) *node {
	t := w.t
	t.Helper()
	n := &node{w: w, storeURL: "https://store:8443", link: &link{Store: storeclient.Direct(w.store, bridgeName)}}
	o := gateway.Options{
		Store: n.link, Version: "test", Log: testkit.Log(), Grace: 5 * time.Second,
		Platforms: map[string]platform.Platform{telegram.Name: &telegram.Platform{PollTimeout: time.Second, Backoff: 20 * time.Millisecond}},
	}
	if change != nil {
		change(&o)
	}
	n.Gateway, n.url, n.stop = serve(t, o)
	return n
}

// serve runs a gateway until stop, which waits, or the end of the test; url is
// its public listener's.
func serve(t *testing.T, o gateway.Options) (g *gateway.Gateway, url string, stop func()) {
	t.Helper()
	g, err := gateway.New(o)
	require.NoError(t, err)
	public := httptest.NewServer(g.PublicHandler())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
		public.CloseClientConnections()
		public.Close()
		g.Wait()
	})
	t.Cleanup(stop)
	return g, public.URL, stop
}

// load gives the gateway a document with one channel; change may be nil.
func (n *node) load(change func(*document.Channel), more ...document.Entry) []document.Exception {
	n.w.t.Helper()
	spec := document.Channel{
		UID: "1", Platform: telegram.Name, Account: strconv.Itoa(botID), Receive: document.ReceiveWebhook,
		WebhookURL: n.url + "/webhooks/" + channel, RegisterWebhook: true,
		Credentials: map[string]string{telegram.KeyToken: fmt.Sprintf("%d:%s", botID, botSecret), telegram.KeyWebhookSecret: "first-secret"},
	}
	if change != nil {
		change(&spec)
	}
	return n.apply(append(more, entry(n.w.t, document.EntryChannel, channel, spec))...)
}

func (n *node) apply(entries ...document.Entry) []document.Exception {
	n.w.t.Helper()
	settings := document.BridgeSettings{
		StoreURL: n.storeURL, PublicURL: n.url, PlatformEndpoints: map[string]string{telegram.Name: n.w.simURL},
	}
	return n.Load(n.w.t.Context(), testkit.DocumentWith(n.w.t, settings, entries...))
}

// row is the channel's row of /status.
func (n *node) row(kind document.EntryKind) document.ChannelStatus {
	for _, c := range n.Status().Channels {
		if c.Entry == string(kind)+"/"+channel {
			return c
		}
	}
	return document.ChannelStatus{}
}

// link is the way to the store; a test can cut it.
type link struct {
	gateway.Store
	mu  sync.Mutex
	cut bool
}

// remote is the way to the store over its internal API with mutual TLS, as
// between two pods.
func (w *world) remote() (client *storeclient.Client, url string) {
	t := w.t
	t.Helper()
	ca := testpki.NewAuthority(t)
	files, err := tlsfiles.Open(ca.Folder(t, ""))
	require.NoError(t, err)
	api := internalapi.New(w.store, internalapi.Options{Log: testkit.Log()})
	server := &http.Server{Handler: files.Guard(api), TLSConfig: files.ServerConfig(), ConnContext: tlsfiles.ConnContext}
	l := listen(t)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		api.Drain()
		_ = server.Close()
		<-done
	})
	own, err := tlsfiles.Open(ca.Folder(t, wire.BridgeIdentity("shop", "default")))
	require.NoError(t, err)
	client = storeclient.New(own)
	t.Cleanup(client.Close)
	return client, fmt.Sprintf("https://localhost:%d", l.Addr().(*net.TCPAddr).Port)
}

func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	// In the test's own goroutine: conditions fail the test when they cannot look.
	for end := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			require.Fail(w.t, "not within "+patience.String(), what)
		}
	}
}

func (w *world) customer(id int64, name string) *simulator.Customer {
	w.sim.NewUser(simulator.User{ID: id, FirstName: name})
	return w.bot.Customer(id)
}

// inbound are the stored texts of customers, in the order of storing.
func (w *world) inbound() []string {
	w.t.Helper()
	page, err := w.store.Messages(w.t.Context(), store.Scope{All: true}, store.MessageQuery{Channel: channel, Direction: message.Inbound, PageQuery: store.PageQuery{Limit: 200}})
	require.NoError(w.t, err)
	var texts []string
	for _, m := range page.Items {
		texts = append(texts, m.Text)
	}
	return texts
}

func (w *world) conversation() string {
	w.t.Helper()
	page, err := w.store.Conversations(w.t.Context(), store.Scope{All: true}, store.ConversationQuery{})
	require.NoError(w.t, err)
	require.NotEmpty(w.t, page.Items)
	return page.Items[0].ID
}

func (w *world) reply(conversation string, req store.SendRequest) message.Message {
	w.t.Helper()
	req.Author = message.Author{Kind: message.AuthorAgent, Name: "ada"}
	m, err := w.store.Send(w.t.Context(), store.Scope{All: true}, conversation, req)
	require.NoError(w.t, err)
	return m
}

func (w *world) message(id string) message.Message {
	w.t.Helper()
	m, err := w.store.Message(w.t.Context(), store.Scope{All: true}, id)
	require.NoError(w.t, err)
	return m
}

// post is a webhook request that Telegram did not make.
func post(t *testing.T, url, secret, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, jsonBody(body))
	require.NoError(t, err)
	req.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}
