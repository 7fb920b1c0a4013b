package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpki"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/telegram"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// logbook keeps what was logged.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func fetch(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

func asPeer(t *testing.T, ca *testpki.Authority, identity string) *http.Client {
	t.Helper()
	files, err := tlsfiles.Open(ca.Folder(t, identity))
	require.NoError(t, err)
	transport := &http.Transport{DialTLSContext: files.DialTLS, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// A process of its own, from its start to its end in good order; and nothing
// secret or personal in what it shows meanwhile.
func TestServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.loadStore(document.ReceiveWebhook)
	logs := &logbook{}
	g, err := gateway.New(gateway.Options{
		Store: storeclient.Direct(w.store, bridgeName), Version: "v1.2.3", Grace: 5 * time.Second,
		Log:       slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Platforms: map[string]platform.Platform{telegram.Name: telegram.New()},
	})
	require.NoError(t, err)
	ca := testpki.NewAuthority(t)
	files, err := tlsfiles.Open(ca.Folder(t, wire.BridgeIdentity("shop", "default")))
	require.NoError(t, err)
	o := gateway.ServeOptions{Public: listen(t), Internal: listen(t), TLS: files, Health: listen(t), Drain: 10 * time.Second}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Serve(ctx, g, o) }()

	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	health := "http://" + o.Health.Addr().String()
	code, _ := fetch(t, plain, health+"/healthz")
	assert.Equal(t, 200, code)
	code, _ = fetch(t, plain, health+"/readyz")
	assert.Equal(t, 503, code, "no document yet")

	n := &node{Gateway: g, w: w, url: "http://" + o.Public.Addr().String()}
	require.Empty(t, n.load(nil))
	code, _ = fetch(t, plain, health+"/readyz")
	assert.Equal(t, 200, code)
	resp, err := http.Get(n.url + "/webhooks/" + channel)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.False(t, resp.Close, "connections are kept open")
	w.eventually("registered", func() bool { return w.bot.WebhookInfo().URL != "" })
	ana := w.customer(987654321, "Ana-Personal-Name")
	_, err = ana.Send("a-very-personal-text")
	require.NoError(t, err)
	w.eventually("stored", func() bool { return len(w.inbound()) == 1 })
	require.Equal(t, 401, post(t, n.url+"/webhooks/"+channel, "guess", "a-forged-text"))
	w.reply(w.conversation(), store.SendRequest{Type: message.TypeText, Text: "an-answer-text"})
	waitMessages(t, ana, 1)

	// By name: the certificate has no address in it.
	status := fmt.Sprintf("https://localhost:%d/status", o.Internal.Addr().(*net.TCPAddr).Port)
	code, _ = fetch(t, asPeer(t, ca, wire.BridgeIdentity("shop", "default")), status)
	assert.Equal(t, 403, code, "another bridge")
	code, _ = fetch(t, asPeer(t, testpki.NewAuthority(t), wire.OperatorIdentity), status)
	assert.Equal(t, 0, code, "of another CA")
	nobody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}} //nolint:gosec // it must not get in all the same
	code, _ = fetch(t, nobody, status)
	assert.Equal(t, 0, code, "without a certificate")
	code, body := fetch(t, asPeer(t, ca, wire.OperatorIdentity), status)
	require.Equal(t, 200, code, body)
	var s document.Status
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	assert.Equal(t, "v1.2.3", s.Version)
	assert.Equal(t, document.KindBridge, s.Kind)
	assert.Equal(t, g.Status().Hash, s.Hash)
	assert.True(t, s.Store.OK)
	assert.Len(t, s.Channels, 1)

	code, metrics := fetch(t, plain, health+"/metrics")
	assert.Equal(t, 200, code)
	assert.Contains(t, metrics, `bridgekeeper_bridge_channel_webhook_requests_total{channel="support",namespace="shop",result="accepted"}`)
	for name, text := range map[string]string{"logs": logs.String(), "status": body, "metrics": metrics} {
		for _, secret := range []string{botSecret, "first-secret", "a-very-personal-text", "a-forged-text", "an-answer-text", "Ana-Personal-Name", "987654321"} {
			assert.NotContains(t, text, secret, name)
		}
	}

	stop()
	w.eventually("not ready at once", func() bool { code, _ := fetch(t, plain, health+"/readyz"); return code == 503 })
	assert.Equal(t, 401, post(t, n.url+"/webhooks/"+channel, "guess", "{}"), "webhooks are still taken")
	_, err = ana.Send("a-last-text")
	require.NoError(t, err)
	w.eventually("and stored", func() bool { return len(w.inbound()) == 2 })
	resp, err = http.Get(n.url + "/webhooks/" + channel)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.True(t, resp.Close, "a connection is not kept open for a request that would meet nobody")
	require.NoError(t, <-ended)
	_, err = net.Dial("tcp", o.Public.Addr().String())
	assert.Error(t, err)
}

func TestServeEndsWhenAListenerFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, err := gateway.New(gateway.Options{Store: storeclient.Direct(w.store, bridgeName), Log: testkit.Log()})
	require.NoError(t, err)
	public := listen(t)
	require.NoError(t, public.Close())
	err = gateway.Serve(t.Context(), g, gateway.ServeOptions{Public: public})
	assert.ErrorContains(t, err, public.Addr().String())
}

// addressed is a store whose URL the document tells.
type addressed struct {
	gateway.Store
	urls []string
}

func (a *addressed) SetURL(u string) error {
	if !strings.HasPrefix(u, "https://") {
		return fmt.Errorf("storeURL %q: must be https://host:port", u)
	}
	a.urls = append(a.urls, u)
	return nil
}

func TestTheDocumentTellsWhereTheStoreIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := &addressed{Store: storeclient.Direct(w.store, bridgeName)}
	n := w.start(func(o *gateway.Options) { o.Store = s })
	n.apply()
	assert.Equal(t, []string{"https://store:8443"}, s.urls)
	assert.Empty(t, n.Status().DocumentError)
	n.Load(t.Context(), testkit.DocumentWith(t, document.BridgeSettings{StoreURL: "ftp://store"}))
	assert.Contains(t, n.Status().DocumentError, "ftp://store")

	fixed := &addressed{Store: s.Store}
	n = w.start(func(o *gateway.Options) { o.Store, o.StoreURL = fixed, "https://elsewhere" })
	n.apply()
	assert.Equal(t, []string{"https://elsewhere"}, fixed.urls, "unless the command line does")
}

func TestADocumentThatIsWrongAsAWholeShowsInStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.start(nil)
	doc := testkit.Document(t)
	doc.Kind = document.KindStore
	n.Load(t.Context(), doc)
	assert.Contains(t, n.Status().DocumentError, "is for a store")
	assert.False(t, n.Ready())
	n.apply()
	assert.Empty(t, n.Status().DocumentError)
	assert.True(t, n.Ready())
}
