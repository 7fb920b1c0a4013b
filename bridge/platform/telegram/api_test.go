package telegram

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// api answers methods of the Bot API from a table and records the calls.
type api struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]func(call) (int, string)
	calls   []call
}

// call is one request: its method and its fields, files by their content.
type call struct {
	Method string
	Fields map[string]any
	Files  map[string]string
	Type   string
}

const sentAnswer = `{"message_id":42,"date":1700000001,"chat":{"id":5,"type":"private"}}`

func newAPI(t *testing.T) *api {
	a := &api{answers: map[string]func(call) (int, string){}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method, ok := strings.CutPrefix(r.URL.Path, "/bot"+testToken+"/")
		if !ok {
			http.Error(w, `{"ok":false,"error_code":404,"description":"Not Found"}`, http.StatusNotFound)
			return
		}
		c := readCall(t, method, r)
		a.mu.Lock()
		a.calls = append(a.calls, c)
		answer := a.answers[method]
		a.mu.Unlock()
		status, body := http.StatusOK, okBody("true")
		if strings.HasPrefix(method, "send") {
			body = okBody(sentAnswer)
		}
		if answer != nil {
			status, body = answer(c)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(a.Close)
	return a
}

func readCall(t *testing.T, method string, r *http.Request) call {
	c := call{Method: method, Fields: map[string]any{}, Files: map[string]string{}, Type: r.Header.Get("Content-Type")}
	if !strings.HasPrefix(c.Type, "multipart/form-data") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return c // the client went away
		}
		if err := json.Unmarshal(body, &c.Fields); err != nil {
			t.Errorf("%s: the server takes JSON objects only: %v", method, err)
		}
		return c
	}
	reader, err := r.MultipartReader()
	if err != nil {
		t.Errorf("%s: %v", method, err)
		return c
	}
	for {
		part, err := reader.NextPart()
		if err != nil {
			return c
		}
		body, err := io.ReadAll(part)
		switch {
		case err != nil:
			c.Fields["broken"] = true
			return c
		case part.FileName() != "":
			c.Files[part.FormName()] = part.FileName() + ": " + string(body)
		default:
			c.Fields[part.FormName()] = string(body)
		}
	}
}

func okBody(result string) string { return `{"ok":true,"result":` + result + `}` }

// answer makes a method answer with a result.
func (a *api) answer(method, result string) {
	a.handle(method, func(call) (int, string) { return http.StatusOK, okBody(result) })
}

// refuse makes a method fail.
func (a *api) refuse(method string, code int, description string) {
	reply := refused(code, description, "")
	a.handle(method, func(call) (int, string) { return code, reply.Body })
}

func (a *api) handle(method string, answer func(call) (int, string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[method] = answer
}

// made returns the calls so far, of some methods or of all.
func (a *api) made(methods ...string) []call {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []call
	for _, c := range a.calls {
		if len(methods) == 0 {
			out = append(out, c)
		}
		for _, m := range methods {
			if c.Method == m {
				out = append(out, c)
			}
		}
	}
	return out
}

func (a *api) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = nil
}

const channelURL = "https://chat.example.com/webhooks/shop/bot"

// load makes a channel that talks to the server.
func (a *api) load(t *testing.T, p *Platform, change func(*document.Channel)) platform.Channel {
	spec := document.Channel{
		Platform: Name, Account: testAccount, WebhookURL: channelURL,
		Credentials: map[string]string{KeyToken: testToken},
	}
	if change != nil {
		change(&spec)
	}
	ch, err := p.Load(context.Background(), platform.LoadSpec{
		Name: "shop/bot", Spec: spec, Endpoint: a.URL + "/", PublicURL: "https://chat.example.com",
		Client: platform.NewClient(platform.GuardOptions{AllowPrivate: true, Timeout: 20 * time.Second}),
	})
	require.NoError(t, err)
	return ch
}

func withConfig(config string) func(*document.Channel) {
	return func(c *document.Channel) { c.Config = json.RawMessage(config) }
}

func withCredentials(credentials map[string]string) func(*document.Channel) {
	return func(c *document.Channel) { c.Credentials = maps.Clone(credentials) }
}
