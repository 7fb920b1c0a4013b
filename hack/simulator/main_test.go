package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const secret = "AAtest-secret_0123456789abcdefghijk"

// program starts the simulator on free ports.
func program(t *testing.T, args ...string) (api, ctl string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	addresses := make(chan [2]string, 1)
	ended := make(chan error, 1)
	args = append([]string{"--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0", "--log-level", "error"}, args...)
	go func() {
		ended <- run(ctx, args, func(a, c net.Addr) { addresses <- [2]string{a.String(), c.String()} })
	}()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		goleak.VerifyNone(t)
	})
	select {
	case a := <-addresses:
		return "http://" + a[0], "http://" + a[1]
	case err := <-ended:
		ended <- err
		require.NoError(t, err)
		return "", ""
	}
}

// do calls the control API and returns status and body.
func do(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(data)
}

func ok(t *testing.T, method, url, body string) string {
	t.Helper()
	status, out := do(t, method, url, body)
	require.Equal(t, 200, status, "%s %s: %s", method, url, out)
	return out
}

func field[T any](t *testing.T, body string, path ...any) T {
	t.Helper()
	var v any
	dec := json.NewDecoder(strings.NewReader(body))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&v))
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	out, isT := v.(T)
	require.True(t, isT, "%v is %T in %s", path, v, body)
	return out
}

// TestConversationByHTTP is the README's example: a whole conversation with
// nothing but HTTP.
func TestConversationByHTTP(t *testing.T) {
	api, ctl := program(t, "--bot", "4242:"+secret+":keeper_bot", "--allow-http-webhooks")
	assert.Equal(t, "ok\n", ok(t, "GET", ctl+"/healthz", ""))
	bot, chat := ctl+"/control/bots/4242", ctl+"/control/bots/4242/chats/77"
	ok(t, "POST", ctl+"/control/users", `{"id":77,"first_name":"Ann"}`)

	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer hook.Close()
	ok(t, "POST", api+"/bot4242:"+secret+"/setWebhook?url="+hook.URL+"&secret_token=abc", "")
	assert.Contains(t, ok(t, "GET", bot, ""), `"hasSecret": true`)

	ok(t, "POST", chat+"/start", `{"payload":"ref"}`)
	sent := ok(t, "POST", chat+"/messages", `{"text":"my order?"}`)
	theirs := field[json.Number](t, sent, "messages", 0, "message_id").String()
	ok(t, "POST", chat+"/messages/"+theirs+"/edit", `{"text":"my order 17?"}`)
	ok(t, "POST", chat+"/messages", fmt.Sprintf(`{"photo":{"name":"a.png","data":"%s"},"text":"see"}`, "aGVsbG8="))

	waiting := make(chan string, 1)
	go func() { waiting <- ok(t, "GET", chat+"/transcript?waitFor=1&timeout=60s", "") }()
	markup := `{"inline_keyboard":[[{"text":"Yes","callback_data":"y"}]]}`
	ours := ok(t, "POST", api+"/bot4242:"+secret+"/sendMessage?chat_id=77&text=hello&reply_markup="+strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D").Replace(markup), "")
	assert.Contains(t, <-waiting, `"text": "hello"`)
	id := field[json.Number](t, ours, "result", "message_id").String()
	callback := field[string](t, ok(t, "POST", chat+"/messages/"+id+"/press", `{"button":"Yes"}`), "callbackID")
	ok(t, "POST", api+"/bot4242:"+secret+"/answerCallbackQuery?callback_query_id="+callback+"&text=noted", "")
	assert.Contains(t, ok(t, "GET", bot+"/callbacks/"+callback+"?timeout=60s", ""), "noted")
	ok(t, "POST", chat+"/messages/"+id+"/react", `{"emoji":["👍"]}`)
	ok(t, "DELETE", chat+"/messages/"+theirs, "")
	ok(t, "POST", chat+"/block", "")

	transcript := ok(t, "GET", ctl+"/control/telegram/bots/4242/chats/77/transcript", "")
	for _, want := range []string{"edit", "press", "answer", "reaction", "delete", "block"} {
		assert.Contains(t, transcript, `"event": "`+want+`"`)
	}
	calls := ok(t, "GET", bot+"/calls?method=sendMessage&waitFor=1", "")
	assert.Contains(t, calls, `"method": "sendMessage"`)
	for _, out := range []string{calls, ok(t, "GET", ctl+"/control/bots", ""), ok(t, "GET", bot+"/calls", "")} {
		assert.NotContains(t, out, secret)
	}
	assert.Eventually(t, func() bool { // /start, text, edit, photo, press, block; reactions are not asked for
		return len(field[[]any](t, ok(t, "GET", bot+"/deliveries", ""), "deliveries")) == 6
	}, time.Minute, 5*time.Millisecond)
}

func TestControlErrors(t *testing.T) {
	_, ctl := program(t, "--bot", "4242:"+secret+":keeper_bot")
	bot := ctl + "/control/bots/4242"
	ok(t, "POST", ctl+"/control/users", `{"id":77}`)
	for _, tt := range []struct {
		method, url, body string
		status            int
		text              string
	}{
		{"GET", ctl + "/control/bots/1", "", 404, `bot \"1\": not found; create it with POST /control/bots`},
		{"GET", bot + "/chats/77/transcript?waitFor=1&timeout=10ms", "", 408, "waiting for 1 entries in chat 77, have 0"},
		{"GET", bot + "/chats/77/transcript?waitFor=x", "", 400, "waitFor: use a number from 0 on"},
		{"GET", bot + "/chats/77/transcript?timeout=5", "", 400, "timeout: use a duration"},
		{"GET", bot + "/chats/77/transcript?from=me", "", 400, "from: use bot, customer or all"},
		{"GET", bot + "/calls?waitFor=1&timeout=10ms", "", 408, "waiting for 1 calls"},
		{"POST", bot + "/chats/78/messages", `{"text":"a"}`, 400, "user 78: not found"},
		{"POST", bot + "/chats/77/messages", `{"txt":"a"}`, 400, `unknown field \"txt\"`},
		{"POST", bot + "/chats/77/messages", `{}`, 400, "there is nothing to send"},
		{"POST", bot + "/chats/77/press", `{"button":"x"}`, 400, "not on the customer's keyboard"},
		{"POST", bot + "/faults", `{"kind":"explode"}`, 400, `kind \"explode\"`},
		{"DELETE", bot + "/faults/none", "", 404, "not found"},
		{"POST", bot + "/webhook/inject", "{}", 400, "the bot has no webhook"},
		{"POST", bot + "/webhook/takeover", `{"url":"http://a.b/"}`, 400, "An HTTPS URL must be provided"},
		{"POST", ctl + "/control/bots", `{"id":1,"secret":"short","username":"a"}`, 400, "a token is a positive id"},
		{"POST", ctl + "/control/bots", `{"id":4242,"secret":"` + secret + `","username":"a"}`, 400, "exists"},
		{"POST", ctl + "/control/groups", `{"type":"club"}`, 400, "use group or supergroup"},
		{"GET", ctl + "/nowhere", "", 404, ""},
	} {
		status, out := do(t, tt.method, tt.url, tt.body)
		assert.Equal(t, tt.status, status, "%s %s: %s", tt.method, tt.url, out)
		assert.Contains(t, out, tt.text)
		assert.NotContains(t, out, secret)
	}
}

func TestControlOfGroupsFaultsAndLimits(t *testing.T) {
	api, ctl := program(t)
	ok(t, "POST", ctl+"/control/bots", `{"id":4242,"secret":"`+secret+`","username":"keeper_bot"}`)
	bot := ctl + "/control/bots/4242"
	ok(t, "POST", ctl+"/control/users", `{"id":77}`)
	group := field[json.Number](t, ok(t, "POST", ctl+"/control/groups", `{"title":"Team","members":[77]}`), "id").String()
	ok(t, "POST", bot+"/groups/"+group+"/status", `{"status":"member","by":77}`)
	ok(t, "POST", bot+"/chats/"+group+"/messages?from=77", `{"text":"hello all"}`)
	send := func() (int, string) {
		return do(t, "POST", api+"/bot4242:"+secret+"/sendMessage?chat_id="+group+"&text=a", "")
	}
	ok(t, "PUT", ctl+"/control/limits", `{"perGroupMinute":1}`)
	status, _ := send()
	require.Equal(t, 200, status)
	status, out := send()
	assert.Equal(t, 429, status)
	assert.Contains(t, out, `"retry_after":60`)
	ok(t, "PUT", ctl+"/control/limits", `{"off":true}`)
	ok(t, "POST", bot+"/faults", `{"kind":"fail","code":502,"description":"Bad Gateway","times":1}`)
	status, _ = send()
	assert.Equal(t, 502, status)
	ok(t, "POST", bot+"/groups/"+group+"/upgrade", "")
	_, out = send()
	assert.Contains(t, out, "migrate_to_chat_id")
	conn := field[string](t, ok(t, "POST", bot+"/business", `{"owner":77,"rights":{"can_reply":true}}`), "id")
	ok(t, "POST", ctl+"/control/users", `{"id":78}`)
	ok(t, "POST", bot+"/chats/78/messages?business="+conn, `{"text":"to the shop"}`)
	assert.Contains(t, ok(t, "GET", bot+"/chats/78/transcript?business="+conn, ""), "to the shop")
	ok(t, "DELETE", bot+"/business/"+conn, "")
	ok(t, "POST", bot+"/revoke", `{"secret":"`+strings.Repeat("B", 35)+`"}`)
	status, _ = send()
	assert.Equal(t, 401, status)
}

// TestRestartMakesNewIDs: a bridge that outlives the simulator must not take
// the first messages after a restart for repetitions.
func TestRestartMakesNewIDs(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	first, second := config{}.options(now), config{}.options(now.Add(time.Minute))
	assert.GreaterOrEqual(t, second.FirstID-first.FirstID, int64(60))
	assert.NotEqual(t, first.Seed, second.Seed)
	assert.Less(t, config{}.options(now.AddDate(50, 0, 0)).FirstID, int64(1)<<31)
	assert.Equal(t, config{Seed: 7}.options(now), config{Seed: 7}.options(now.Add(time.Hour)), "a seed repeats everything")
}

func TestConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write(`{"bots":[{"id":1,"secret":"` + secret + `","username":"one_bot"}],"users":[{"id":77,"first_name":"Ann"}],"allowHTTPWebhooks":true,"limits":{"perChat":5}}`)
	_, ctl := program(t, "--config", file, "--bot", "2:"+secret+":two_bot")
	out := ok(t, "GET", ctl+"/control/bots", "")
	assert.Contains(t, out, "one_bot")
	assert.Contains(t, out, "two_bot")
	ok(t, "POST", ctl+"/control/bots/1/chats/77/start", "")

	write(`{"bot":[]}`)
	for _, args := range [][]string{
		{"--config", file}, {"--config", "/does/not/exist"}, {"--bot", "x"}, {"--bot", "x:y:z"}, {"extra"},
		{"--bot", "1:short:name"}, {"--log-level", "loud"}, {"--listen", "nowhere:x:y"},
	} {
		var b bytes.Buffer
		err := run(t.Context(), args, nil)
		require.Error(t, err, "%v", args)
		fmt.Fprint(&b, err)
		assert.NotContains(t, b.String(), "short", "an error must not repeat a token")
	}
}
