package telegram_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// receiver is a webhook whose answers a test decides.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []update
	bodies []string
	secret []string
	answer func(n int, u update) int // n counts requests from 1
}

func newReceiver(t *testing.T, answer func(n int, u update) int) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var u update
		if strings.HasPrefix(string(body), `{"update_id":`) && strings.HasSuffix(string(body), "}}") {
			u = parseUpdate(t, body)
		}
		r.mu.Lock()
		r.bodies = append(r.bodies, string(body))
		r.secret = append(r.secret, req.Header.Get("X-Telegram-Bot-Api-Secret-Token"))
		if u.ID != 0 {
			r.got = append(r.got, u)
		}
		n := len(r.bodies)
		r.mu.Unlock()
		status := 200
		if r.answer != nil {
			status = r.answer(n, u)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) updates() []update {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]update(nil), r.got...)
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bodies)
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, time.Minute, 2*time.Millisecond)
}

func TestDelivery(t *testing.T) {
	w := started(t)
	r := newReceiver(t, nil)
	a := w.call("setWebhook", "url", r.URL+"/hook", "secret_token", "s3cret_-", "max_connections", "5")
	assert.Equal(t, "Webhook was set", a.Description)
	eventually(t, func() bool { return r.count() == 1 })
	assert.Equal(t, "s3cret_-", r.secret[0])
	assert.Equal(t, "/start", r.updates()[0].Message.Text, "what waited before is delivered")
	eventually(t, func() bool { return w.bot.WebhookInfo().PendingUpdateCount == 0 })
	info := result[telegram.WebhookInfo](t, w.call("getWebhookInfo"))
	assert.Equal(t, telegram.WebhookInfo{URL: r.URL + "/hook", MaxConnections: 5}, info)
	assert.Equal(t, "Webhook is already set", w.call("setWebhook", "url", r.URL+"/hook", "secret_token", "s3cret_-", "max_connections", "5").Description)
	assert.Equal(t, "Webhook was deleted", w.call("deleteWebhook").Description)
	assert.Equal(t, "Webhook is already deleted", w.call("deleteWebhook").Description)
	assert.Empty(t, w.bot.WebhookInfo().URL)
}

func TestFailedDeliveryIsRepeated(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, func(n int, _ update) int {
		if n <= 3 {
			return 503
		}
		return 200
	})
	w.call("setWebhook", "url", r.URL)
	_, err := w.cust.Send("hello")
	require.NoError(t, err)
	eventually(t, func() bool { return w.bot.WebhookInfo().LastErrorMessage != "" })
	assert.Equal(t, "Wrong response from the webhook: 503 Service Unavailable", w.bot.WebhookInfo().LastErrorMessage)
	assert.Equal(t, w.clock.Now().Unix(), w.bot.WebhookInfo().LastErrorDate)
	eventually(t, func() bool { return w.bot.WebhookInfo().PendingUpdateCount == 0 })
	d := w.bot.Deliveries()
	require.Len(t, d, 4)
	for i := range d {
		assert.Equal(t, i+1, d[i].Attempt)
		assert.Equal(t, d[0].UpdateID, d[i].UpdateID)
	}
	assert.GreaterOrEqual(t, d[2].Time.Sub(d[1].Time), 20*time.Millisecond, "the second failure waits RetryMin")
	assert.GreaterOrEqual(t, d[3].Time.Sub(d[2].Time), 40*time.Millisecond, "then twice as long")
}

func TestUnreachableWebhook(t *testing.T) {
	w := newWorld(t)
	w.call("setWebhook", "url", "http://127.0.0.1:1/")
	_, err := w.cust.Send("hello")
	require.NoError(t, err)
	eventually(t, func() bool { return w.bot.WebhookInfo().LastErrorMessage == "Connection refused" })
	assert.Equal(t, 1, w.bot.WebhookInfo().PendingUpdateCount)
	w.call("deleteWebhook", "drop_pending_updates", "true")
	assert.Zero(t, w.bot.WebhookInfo().PendingUpdateCount)
}

// TestOrderWithinAChat: a failing update holds back its own chat and nobody
// else's, and parallel connections are used.
func TestOrderWithinAChat(t *testing.T) {
	w := newWorld(t)
	gate := make(chan struct{})
	r := newReceiver(t, func(_ int, u update) int {
		if u.Message.Text == "stuck" {
			select {
			case <-gate:
			default:
				return 500
			}
		}
		return 200
	})
	w.call("setWebhook", "url", r.URL, "max_connections", "10")
	bob := w.bot.Customer(w.srv.NewUser(telegram.User{}).ID)
	for _, text := range []string{"stuck", "after"} {
		_, err := w.cust.Send(text)
		require.NoError(t, err)
	}
	_, err := bob.Send("other chat")
	require.NoError(t, err)
	texts := func() (out []string) {
		for _, u := range r.updates() {
			out = append(out, u.Message.Text)
		}
		return out
	}
	eventually(t, func() bool { return strings.Contains(fmt.Sprint(texts()), "other chat") })
	assert.NotContains(t, texts(), "after")
	close(gate)
	eventually(t, func() bool { return w.bot.WebhookInfo().PendingUpdateCount == 0 })
	all := texts()
	assert.Equal(t, "after", all[len(all)-1])
}

func TestMaxConnections(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	now, most := 0, 0
	three := make(chan struct{})
	r := newReceiver(t, func(int, update) int {
		mu.Lock()
		now++
		if most = max(most, now); most == 3 {
			select {
			case <-three:
			default:
				close(three)
			}
		}
		mu.Unlock()
		select {
		case <-three:
			time.Sleep(5 * time.Millisecond) // a fourth one would meet them
		case <-time.After(time.Minute):
		}
		mu.Lock()
		now--
		mu.Unlock()
		return 200
	})
	for range 30 {
		_, err := w.bot.Customer(w.srv.NewUser(telegram.User{}).ID).Send("a")
		require.NoError(t, err)
	}
	w.call("setWebhook", "url", r.URL, "max_connections", "3")
	eventually(t, func() bool { return w.bot.WebhookInfo().PendingUpdateCount == 0 })
	assert.Equal(t, 3, most)
	assert.Equal(t, 30, r.count())
}

func TestTLSWebhookWithCertificate(t *testing.T) {
	w := newWorld(t)
	ts := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer ts.Close()
	w.call("setWebhook", "url", ts.URL)
	_, err := w.cust.Send("hello")
	require.NoError(t, err)
	eventually(t, func() bool {
		return w.bot.WebhookInfo().LastErrorMessage == "SSL error {error:0A000086:SSL routines::certificate verify failed}"
	})
	contentType, body := uploadForm(t, "certificate", "cert.pem", certificatePEM(ts), "url", ts.URL)
	require.True(t, w.post("setWebhook", contentType, body).OK)
	eventually(t, func() bool { return w.bot.WebhookInfo().PendingUpdateCount == 0 })
	assert.True(t, w.bot.WebhookInfo().HasCustomCertificate)
}

func TestTakeOverAndInject(t *testing.T) {
	w := newWorld(t)
	ours := newReceiver(t, func(_ int, u update) int {
		if u.ID == 0 {
			return 400
		}
		return 401
	})
	w.call("setWebhook", "url", ours.URL, "secret_token", "ours")
	status, err := w.bot.Inject(telegram.Injection{Secret: "guessed"})
	require.NoError(t, err)
	assert.Equal(t, 401, status)
	assert.Equal(t, "guessed", ours.secret[0])
	status, err = w.bot.Inject(telegram.Injection{UseSecret: true, Body: "not json"})
	require.NoError(t, err)
	assert.Equal(t, 400, status)
	assert.Equal(t, "ours", ours.secret[1])
	assert.Equal(t, "ours", w.bot.WebhookSecret())

	require.NoError(t, w.bot.TakeOverWebhook("http://127.0.0.1:1/theirs", "theirs"))
	assert.Equal(t, "http://127.0.0.1:1/theirs", result[telegram.WebhookInfo](t, w.call("getWebhookInfo")).URL)
	require.NoError(t, w.bot.TakeOverWebhook("", ""))
	assert.Empty(t, w.bot.WebhookInfo().URL)
}

func TestRefusedSetWebhookLeavesNone(t *testing.T) {
	w := newWorld(t)
	require.True(t, w.call("setWebhook", "url", "http://127.0.0.1:1/").OK)
	require.False(t, w.call("setWebhook", "url", "http://127.0.0.1:1/", "secret_token", "not allowed").OK)
	assert.Empty(t, w.bot.WebhookInfo().URL, "the real server closes the old one before it looks at the new one")
}

func TestSetWebhookTooOften(t *testing.T) {
	w := newWorld(t, func(o *telegram.Options) { o.Webhook.SetInterval = time.Hour })
	require.True(t, w.call("setWebhook", "url", "http://127.0.0.1:1/").OK)
	a := w.call("setWebhook", "url", "http://127.0.0.1:1/2")
	assert.Equal(t, 429, a.Code)
	assert.Equal(t, 1, a.Parameters.RetryAfter)
	assert.True(t, w.call("deleteWebhook").OK, "deleting is never limited")
}

func certificatePEM(ts *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ts.Certificate().Raw})
}
