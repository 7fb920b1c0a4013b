package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMessengerByHTTP is the README's example for Messenger: a page is
// subscribed, a customer writes, the webhook hears it, the answer is read.
func TestMessengerByHTTP(t *testing.T) {
	api, ctl := program(t, "--meta-app", "100:app-secret", "--page", "1001:100:page-token", "--allow-http-webhooks")
	bodies := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			assert.Equal(t, "verify", r.URL.Query().Get("hub.verify_token"))
			_, _ = io.WriteString(w, r.URL.Query().Get("hub.challenge"))
			return
		}
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("app-secret"))
		mac.Write(body)
		assert.Equal(t, "sha256="+hex.EncodeToString(mac.Sum(nil)), r.Header.Get("X-Hub-Signature-256"))
		bodies <- string(body)
	}))
	defer hook.Close()
	call := func(token, path, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api+"/v25.0/"+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		out, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(out)
	}
	status, out := call("100|app-secret", "100/subscriptions", `{"object":"page","callback_url":"`+hook.URL+`","verify_token":"verify","fields":"messages"}`)
	require.Equal(t, 200, status, out)
	status, out = call("page-token", "1001/subscribed_apps", `{"subscribed_fields":"messages"}`)
	require.Equal(t, 200, status, out)

	person := ctl + "/control/meta/accounts/1001/people/77"
	ok(t, "POST", person+"/messages", `{"text":"Grüße / 👋"}`)
	assert.Contains(t, <-bodies, `"text":"Gr\u00fc\u00dfe \/ \ud83d\udc4b"`, "as Meta writes JSON")
	status, out = call("page-token", "me/messages", `{"recipient":{"id":"77"},"messaging_type":"RESPONSE","message":{"text":"hello"}}`)
	require.Equal(t, 200, status, out)
	assert.Contains(t, ok(t, "GET", person+"/transcript?from=shop&waitFor=1&timeout=5s", ""), `"text": "hello"`)
	calls := ok(t, "GET", ctl+"/control/meta/calls?path=/messages", "")
	assert.NotContains(t, calls, "page-token")
	assert.Contains(t, ok(t, "GET", ctl+"/control/meta/apps/100", ""), hook.URL)
	status, _ = do(t, "GET", ctl+"/control/meta/apps/999", "")
	assert.Equal(t, 404, status)
}
