package meta_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/instagram"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/messenger"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/meta"
	sim "github.com/bridgekeeper/bridgekeeper/hack/simulator/meta"
)

const (
	appID, otherApp  = "100", "200"
	pageID, sibling  = "1001", "1002"
	directID, igUser = "17841400000000001", "17841400000000002" // linked to pageID; with Instagram Login
)

// personOf is somebody who writes to an account; people have other ids for
// each.
func personOf(account string) string { return "77" + account }

var ctx = context.Background()

// world is a simulated Meta, its API and a bridge that answers its webhooks.
type world struct {
	*sim.Server
	t        *testing.T
	api      *httptest.Server
	bridge   *httptest.Server
	now      *clock
	mu       sync.Mutex
	open     []loaded // channels whose handshake the bridge answers
	received []message.Event
}

// loaded is a channel with its platform.
type loaded struct {
	*meta.Platform
	ch platform.Channel
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: &clock{at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}}
	w.Server = sim.New(sim.Options{
		AllowHTTP: true, Now: w.now.now, RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond,
		Apps: []sim.AppSpec{{ID: appID, Secret: "app-secret", HumanAgent: true, RequireProof: true}, {ID: otherApp, Secret: "other-secret"}},
		Accounts: []sim.AccountSpec{
			{ID: pageID, Name: "Shop", Token: "page-token", App: appID},
			{ID: sibling, Name: "Second", Token: "sibling-token", App: appID},
			{ID: directID, Name: "shop", Instagram: true, Page: pageID},
			{ID: igUser, Name: "solo", Instagram: true, Token: "IG-token", App: otherApp},
		},
	})
	w.api = httptest.NewServer(w.Handler())
	w.bridge = httptest.NewServer(http.HandlerFunc(w.webhook))
	t.Cleanup(func() { w.Close(); w.api.Close(); w.bridge.Close() })
	return w
}

// webhook is what the gateway does, in short.
func (w *world) webhook(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	body, _ := platform.ReadBounded(r.Body, 4<<20)
	for _, l := range w.open {
		if status, answer, handled := l.Handshake(l.ch, r); handled && status == http.StatusOK {
			_, _ = rw.Write(answer)
			return
		}
		if l.Verify(l.ch, platform.Request{Method: r.Method, Header: r.Header, Body: body}, time.Now()) {
			events, err := l.Parse("", body)
			if err == nil {
				w.received = append(w.received, events...)
				return
			}
		}
	}
	rw.WriteHeader(http.StatusForbidden)
}

func (w *world) events() []message.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]message.Event(nil), w.received...)
}

// load makes a channel; change may be nil.
func (w *world) load(p *meta.Platform, spec document.Channel, change func(*platform.LoadSpec)) loaded {
	w.t.Helper()
	spec.Platform, spec.Receive = p.Name(), document.ReceiveWebhook
	spec.WebhookURL = w.bridge.URL + "/webhooks/apps/" + p.Name() + "/" + spec.App
	s := platform.LoadSpec{Name: "shop/" + spec.Account, Spec: spec, Endpoint: w.api.URL}
	if change != nil {
		change(&s)
	}
	ch, err := p.Load(ctx, s)
	require.NoError(w.t, err)
	l := loaded{p, ch}
	w.mu.Lock()
	w.open = append(w.open, l)
	w.mu.Unlock()
	return l
}

func pageSpec(id, token string, profile string) document.Channel {
	if profile == "" {
		profile = "null"
	}
	return document.Channel{
		Account: id, App: appID, Config: json.RawMessage(fmt.Sprintf(`{"pageID":%q,"appID":%q,"profile":%s}`, id, appID, profile)),
		Credentials: map[string]string{meta.KeyAppSecret: "app-secret", meta.KeyVerifyToken: "verify", messenger.KeyPageAccessToken: token},
	}
}

func (w *world) page(profile string) loaded {
	return w.load(messenger.New(), pageSpec(pageID, "page-token", profile), nil)
}

func directSpec() document.Channel {
	return document.Channel{
		Account: directID, App: appID, Config: json.RawMessage(fmt.Sprintf(`{"accountID":%q,"appID":%q,"login":"FacebookLogin","pageID":%q}`, directID, appID, pageID)),
		Credentials: map[string]string{meta.KeyAppSecret: "app-secret", meta.KeyVerifyToken: "verify", instagram.KeyAccessToken: "page-token"},
	}
}

func soloSpec() document.Channel {
	return document.Channel{
		Account: igUser, App: otherApp, Config: json.RawMessage(fmt.Sprintf(`{"accountID":%q,"appID":%q,"login":"InstagramLogin"}`, igUser, otherApp)),
		Credentials: map[string]string{meta.KeyAppSecret: "other-secret", meta.KeyVerifyToken: "verify", instagram.KeyAccessToken: "IG-token"},
	}
}

func asError(t *testing.T, err error) *platform.Error {
	t.Helper()
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	return e
}

// soon is the bound of every wait.
func soon(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return c
}

// noTokens: whatever was called, no token stood in a URL and the proof was there.
func (w *world) noTokens() {
	w.t.Helper()
	for _, c := range w.Calls("", 0) {
		require.False(w.t, c.TokenInURL, c.Path)
		require.True(w.t, c.Proof || c.Status != http.StatusOK, "%s came without a right appsecret_proof", c.Path)
	}
}
