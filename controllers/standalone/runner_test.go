package standalone

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/adminapi"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

const (
	webhookBot, pollingBot = 7000000001, 7000000002
	botSecret              = "AAGq5vUXc2mTz0sWnYb8eKdLr7pJ3hRf1oQ"
)

// screen is what a person sees; safe for concurrent use.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// home is a running standalone with a Telegram beside it.
type home struct {
	t         *testing.T
	telegram  *telegram.Server
	dir, data string
	store     string // of the namespace shop
	base      string
	listener  net.Listener // of the first start
	screen    *screen
	logs      *screen
	end       func() error
}

func newHome(t *testing.T) *home {
	t.Helper()
	h := prepareHome(t)
	h.begin()
	return h
}

// prepareHome writes the manifests; nothing runs yet.
func prepareHome(t *testing.T) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir(), data: filepath.Join(t.TempDir(), "data"), store: "default"}
	h.telegram = telegram.New(telegram.Options{
		Bots: []telegram.BotSpec{
			{ID: webhookBot, Secret: botSecret, Username: "hook_bot"}, {ID: pollingBot, Secret: botSecret, Username: "poll_bot"},
		},
		AllowHTTP: true, Limits: telegram.Limits{Off: true},
		Webhook: telegram.WebhookOptions{RetryMin: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond, SetInterval: -1, Timeout: time.Minute},
	})
	api := httptest.NewServer(h.telegram.Handler())
	t.Cleanup(func() { h.telegram.Close(); api.Close() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h.base, h.listener = "http://"+listener.Addr().String(), listener
	h.write("bridge.yaml", fmt.Sprintf(`apiVersion: bridgekeeper.dev/v1alpha1
kind: Bridge
metadata: {name: default, namespace: shop}
spec:
  publicURL: %s
  platformEndpoints: [{platform: telegram, url: %s}]
`, h.base, api.URL))
	h.channel("hook", webhookBot, "Webhook")
	h.channel("poll", pollingBot, "Polling")
	return h
}

func (h *home) begin() { h.start(h.listener) }

func (h *home) says(text string) bool { return strings.Contains(h.screen.String(), text) }

func (h *home) start(listener net.Listener) {
	h.screen, h.logs = &screen{}, &screen{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{
			Source: Source{Paths: []string{h.dir}, Namespace: "shop"}, Data: h.data, Listener: listener, Out: h.screen,
			Log: slog.New(slog.NewTextHandler(h.logs, nil)), Poll: 50 * time.Millisecond, Grace: 5 * time.Second,
		})
	}()
	var once sync.Once
	h.end = func() (err error) {
		once.Do(func() {
			cancel()
			select {
			case err = <-done:
			case <-time.After(time.Minute):
				err = fmt.Errorf("it does not end")
			}
		})
		return err
	}
	h.t.Cleanup(func() {
		require.NoError(h.t, h.end())
		if h.t.Failed() {
			h.t.Log(h.screen.String(), h.logs.String())
		}
	})
	h.eventually("serving", func() bool {
		resp, err := http.Get(h.base + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func (h *home) write(name, content string) {
	// At once, as mounted files change: however slow the machine is, nobody sees half of it.
	next := filepath.Join(h.t.TempDir(), name)
	require.NoError(h.t, os.WriteFile(next, []byte(content), 0o600))
	require.NoError(h.t, os.Rename(next, filepath.Join(h.dir, name)))
}

func (h *home) channel(name string, bot int64, receive string) {
	h.write(name+".yaml", fmt.Sprintf(`apiVersion: bridgekeeper.dev/v1alpha1
kind: Channel
metadata: {name: %[1]s}
spec:
  platform: telegram
  telegram: {botID: "%[2]d", receive: %[3]s}
  credentials: {secretRef: {name: %[1]s}}
---
apiVersion: v1
kind: Secret
metadata: {name: %[1]s, labels: {bridgekeeper.dev/credentials: "true"}}
stringData: {token: "%[2]d:%[4]s"}
`, name, bot, receive, botSecret))
}

func (h *home) eventually(what string, check func() bool) {
	h.t.Helper()
	// In the test's own goroutine, so that check may fail the test.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !check(); <-tick.C {
		require.True(h.t, time.Now().Before(deadline), "not within a minute: %s", what)
	}
}

func (h *home) token() string {
	content, err := os.ReadFile(filepath.Join(h.data, "shop", h.store+".token"))
	require.NoError(h.t, err)
	return strings.TrimSpace(string(content))
}

func (h *home) rest(method, path, body string, into any) int {
	h.t.Helper()
	req, err := http.NewRequest(method, h.base+path, strings.NewReader(body))
	require.NoError(h.t, err)
	req.Header.Set("Authorization", "Bearer "+h.token())
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(h.t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	require.NoError(h.t, err)
	if into != nil && resp.StatusCode < 300 {
		require.NoError(h.t, json.Unmarshal(content, into), "%s", content)
	}
	return resp.StatusCode
}

type messageList struct {
	Items []struct{ Text, Conversation, Direction, Status string }
}

// converse lets a customer write to a bot and the shop answer.
func (h *home) converse(bot, customer int64, channel string) {
	h.t.Helper()
	h.telegram.NewUser(telegram.User{ID: customer, FirstName: "Ann"})
	side := h.telegram.Bot(bot).Customer(customer)
	_, err := side.Start("")
	require.NoError(h.t, err)
	_, err = side.Send("Where is my order?")
	require.NoError(h.t, err)

	conversation := ""
	h.eventually("the message of "+channel+" is in REST", func() bool {
		var list messageList
		require.Equal(h.t, http.StatusOK, h.rest("GET", "/v1/messages?channel=shop/"+channel, "", &list))
		for _, m := range list.Items {
			if m.Text == "Where is my order?" {
				conversation = m.Conversation
			}
		}
		return conversation != ""
	})
	status := h.rest("POST", "/v1/conversations/"+conversation+"/messages", `{"type":"text","text":"On its way!"}`, nil)
	require.Less(h.t, status, 300)
	h.eventually("the answer reaches the customer", func() bool {
		for _, e := range h.telegram.Bot(bot).Transcript(customer, "") {
			if e.From == "bot" && e.Message != nil && e.Message.Text == "On its way!" {
				return true
			}
		}
		return false
	})
}

func TestConversationsWithoutACluster(t *testing.T) {
	h := newHome(t)
	h.eventually("registered", func() bool { return h.telegram.Bot(webhookBot).WebhookInfo().URL == h.base+"/webhooks/shop/hook" })
	h.converse(webhookBot, 77, "hook")
	h.converse(pollingBot, 78, "poll")
	h.eventually("conditions are printed", func() bool {
		return strings.Contains(h.screen.String(), "ok Channel shop/hook  Ready") && strings.Contains(h.screen.String(), "ok Channel shop/poll  Ready")
	})

	info, err := os.Stat(filepath.Join(h.data, "shop", "default.token"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	for _, text := range []string{h.screen.String(), h.logs.String()} {
		require.NotContains(t, text, h.token(), "the token stands in its file alone")
		require.NotContains(t, text, botSecret)
		require.NotContains(t, text, "order?")
	}

	resp, err := http.Get(h.base + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", metrics)
	require.Contains(t, string(metrics), `bridge="shop/default"`)
	require.Contains(t, string(metrics), `store="shop/default"`)
	require.Equal(t, http.StatusOK, h.rest("GET", "/openapi.json", "", nil))
	require.Equal(t, http.StatusNotFound, h.rest("GET", "/v2/nothing", "", nil))
	require.NoError(t, h.end())
}

func TestFilesThatChange(t *testing.T) {
	h := newHome(t)
	hook := h.telegram.Bot(webhookBot)
	h.eventually("registered", func() bool { return hook.WebhookInfo().URL != "" })

	t.Run("a mistake leaves what is in force", func(t *testing.T) {
		h.write("bad.yaml", "apiVersion: bridgekeeper.dev/v1alpha1\nkind: Channel\nmetadata: {name: bad}\nspec: {plattform: telegram}\n")
		h.eventually("the mistake is printed", func() bool { return strings.Contains(h.screen.String(), `unknown field "spec.plattform"`) })
		require.NoError(t, os.Remove(filepath.Join(h.dir, "bad.yaml")))
		h.converse(webhookBot, 77, "hook")
	})
	t.Run("a Secret that is missing is told and repaired", func(t *testing.T) {
		h.write("third.yaml", `apiVersion: bridgekeeper.dev/v1alpha1
kind: Channel
metadata: {name: third}
spec: {platform: telegram, telegram: {botID: "9"}, credentials: {secretRef: {name: third}}}
`)
		h.eventually("told", func() bool {
			return strings.Contains(h.screen.String(), "Channel shop/third  SecretNotUsable: spec.credentials.secretRef")
		})
		require.NoError(t, os.Remove(filepath.Join(h.dir, "third.yaml")))
	})
	t.Run("a rotated token is in force without a restart", func(t *testing.T) {
		const fresh = "AAzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
		require.NoError(t, h.telegram.Bot(pollingBot).Revoke(fresh))
		content, err := os.ReadFile(filepath.Join(h.dir, "poll.yaml"))
		require.NoError(t, err)
		h.write("poll.yaml", strings.Replace(string(content), botSecret, fresh, 1))
		h.converse(pollingBot, 79, "poll")
	})
	t.Run("a channel that vanishes is unregistered", func(t *testing.T) {
		require.NoError(t, os.Remove(filepath.Join(h.dir, "hook.yaml")))
		h.eventually("unregistered", func() bool { return hook.WebhookInfo().URL == "" })
		h.eventually("told", func() bool { return strings.Contains(h.screen.String(), "Channel shop/hook  is gone") })
		resp, err := http.Post(h.base+"/webhooks/shop/hook", "application/json", strings.NewReader("{}"))
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusNotFound, resp.StatusCode)
	})
}

func TestRestartGoesOn(t *testing.T) {
	h := newHome(t)
	h.converse(pollingBot, 77, "poll")
	before := h.token()
	h.restart()
	require.Equal(t, before, h.token())
	var list messageList
	require.Equal(t, http.StatusOK, h.rest("GET", "/v1/messages?channel=shop/poll", "", &list))
	require.NotEmpty(t, list.Items)
}

// restart begins again on the same address.
func (h *home) restart() {
	h.t.Helper()
	require.NoError(h.t, h.end())
	listener, err := net.Listen("tcp", strings.TrimPrefix(h.base, "http://"))
	require.NoError(h.t, err)
	h.start(listener)
}

func TestWhatHappenedWhileItWasStopped(t *testing.T) {
	h := newHome(t)
	hook := h.telegram.Bot(webhookBot)
	h.eventually("registered", func() bool { return hook.WebhookInfo().URL != "" })
	old := hook.WebhookSecret()
	answer := func(secret string) int {
		code, err := hook.Inject(telegram.Injection{Secret: secret})
		require.NoError(t, err)
		return code
	}

	t.Run("a rotated token: the platform's repetitions are still accepted", func(t *testing.T) {
		const fresh = "AAzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
		require.NoError(t, h.end())
		require.NoError(t, hook.Revoke(fresh))
		content, err := os.ReadFile(filepath.Join(h.dir, "hook.yaml"))
		require.NoError(t, err)
		h.write("hook.yaml", strings.Replace(string(content), botSecret, fresh, 1))
		for range 2 { // what is in force then outlives another restart
			h.restart()
			h.eventually("registered with the new token", func() bool { return hook.WebhookSecret() != old })
			require.Equal(t, http.StatusOK, answer(old))
			require.Equal(t, http.StatusUnauthorized, answer("guess"))
		}
	})
	t.Run("a damaged file is told, and the channels serve", func(t *testing.T) {
		require.NoError(t, h.end())
		require.NoError(t, os.WriteFile(filepath.Join(h.data, memoryFile), []byte("{"), 0o600))
		h.restart()
		require.Contains(t, h.screen.String(), "documents.json cannot be read, it is kept as documents.json.damaged")
		require.Equal(t, http.StatusUnauthorized, answer(old), "nothing knows the old one any more")
		h.converse(webhookBot, 77, "hook")
	})
	t.Run("a removed Channel: its webhook is removed", func(t *testing.T) {
		require.NoError(t, h.end())
		require.NoError(t, os.Remove(filepath.Join(h.dir, "hook.yaml")))
		h.restart()
		h.eventually("unregistered", func() bool { return hook.WebhookInfo().URL == "" })
		h.eventually("told", func() bool { return strings.Contains(h.screen.String(), "Channel shop/hook  is gone") })
		h.restart()
		require.NotContains(t, h.screen.String(), "shop/hook")
	})
}

// A checkout of another branch, or an editor that writes a new file in place of
// the old one, takes a store away for a moment.
func TestAStoreThatLeavesAndComesBack(t *testing.T) {
	h := prepareHome(t)
	const named = "apiVersion: bridgekeeper.dev/v1alpha1\nkind: ConversationStore\nmetadata: {name: main, namespace: shop}\nspec: {}\n"
	bridge, err := os.ReadFile(filepath.Join(h.dir, "bridge.yaml"))
	require.NoError(t, err)
	h.write("bridge.yaml", string(bridge)+"  storeRef: {name: main}\n")
	h.write("store.yaml", named)
	h.store = "main"
	h.begin()
	hook := h.telegram.Bot(webhookBot)
	h.eventually("registered", func() bool { return hook.WebhookInfo().URL != "" })
	h.eventually("ready", func() bool {
		return h.says("ok Bridge shop/default  Ready") && h.says("ok Channel shop/poll  Ready") && h.says("ok Channel shop/hook  Ready")
	})
	stored := func() bool {
		code, err := hook.Inject(telegram.Injection{Secret: hook.WebhookSecret()})
		return err == nil && code == http.StatusOK
	}
	require.True(t, stored())

	require.NoError(t, os.Remove(filepath.Join(h.dir, "store.yaml")))
	h.eventually("status says so", func() bool {
		return h.says("!! Bridge shop/default  StoreReachable") && h.says("is not in the manifests, or could not be opened")
	})
	before := len(h.screen.String())

	h.write("store.yaml", named)
	reached := "ok Bridge shop/default  StoreReachable"
	h.eventually("status says so", func() bool { return strings.Contains(h.screen.String()[before:], reached) })
	require.True(t, stored())
	h.converse(webhookBot, 78, "hook")
	h.converse(pollingBot, 79, "poll")

	require.NoError(t, h.end())
	require.NoError(t, os.Remove(filepath.Join(h.dir, "store.yaml")))
	h.restart()
	code, err := hook.Inject(telegram.Injection{Secret: "guess"})
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, code, "the Channel is served without the store: 404 would be lost")
	h.write("store.yaml", named)
	h.eventually("status says so", func() bool { return h.says("ok Bridge shop/default  Ready") })
	require.True(t, stored())
}

func TestASuspendedBridgeGoesOnAsItWas(t *testing.T) {
	h := newHome(t)
	hook := h.telegram.Bot(webhookBot)
	h.eventually("registered", func() bool { return hook.WebhookInfo().URL != "" })
	bridge, err := os.ReadFile(filepath.Join(h.dir, "bridge.yaml"))
	require.NoError(t, err)
	h.write("bridge.yaml", string(bridge)+"  suspend: true\n")
	h.channel("late", 9, "Webhook")
	h.eventually("told", func() bool { return strings.Contains(h.screen.String(), "spec.suspend is set on it") })
	h.converse(webhookBot, 77, "hook")
	resp, err := http.Post(h.base+"/webhooks/shop/late", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "nothing new is taken in")
}

func TestBackupWhileItRuns(t *testing.T) {
	h := newHome(t)
	h.converse(pollingBot, 77, "poll")
	var archive bytes.Buffer
	_, err := adminapi.Backup(t.Context(), filepath.Join(h.data, "shop", "default"), &archive)
	require.NoError(t, err)
	require.NoError(t, h.end())
	require.NoError(t, os.RemoveAll(filepath.Join(h.data, "shop", "default")))
	_, err = store.Restore(t.Context(), filepath.Join(h.data, "shop", "default"), &archive)
	require.NoError(t, err)
	h.restart()
	var list messageList
	require.Equal(t, http.StatusOK, h.rest("GET", "/v1/messages?channel=shop/poll", "", &list))
	require.Len(t, list.Items, 3, "/start, the question, the answer")
}

func TestBadManifestsAtTheStartAreAnError(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x.yaml", strings.Replace(goodChannel, "botID", "botId", 1))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	err = Run(t.Context(), Options{Source: source(dir), Data: t.TempDir(), Listener: listener})
	require.ErrorContains(t, err, "spec.telegram.botId")
	_, err = net.Dial("tcp", listener.Addr().String())
	require.Error(t, err, "the listener is closed")
}

// What cannot be changed in a cluster cannot be changed between two runs.
func TestTheBackendOfAStoreNeverChanges(t *testing.T) {
	h := prepareHome(t)
	kept := "apiVersion: bridgekeeper.dev/v1alpha1\nkind: ConversationStore\nmetadata: {name: default}\nspec: "
	h.write("store.yaml", kept+"{sqlite: {storageSize: 2Gi}}\n")
	h.begin()
	require.NoError(t, h.end())
	h.write("store.yaml", kept+"{postgres: {dsnSecretRef: {name: database}}}\n")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	err = Run(t.Context(), Options{Source: Source{Paths: []string{h.dir}, Namespace: "shop"}, Data: h.data, Listener: listener})
	require.ErrorContains(t, err, "backend")
	h.write("store.yaml", kept+"{sqlite: {storageSize: 3Gi}}\n")
	h.restart()
}
