package telegram_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

const (
	botID  = 4242
	secret = "AAtest-secret_0123456789abcdefghijk"
	token  = "4242:" + secret
)

// world is a server with one bot and one customer.
type world struct {
	t     *testing.T
	srv   *telegram.Server
	url   string
	bot   *telegram.Bot
	clock *clock
	ann   telegram.User
	cust  *telegram.Customer
	polls int
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newWorld(t *testing.T, change ...func(*telegram.Options)) *world {
	t.Helper()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	opt := telegram.Options{
		Bots:      []telegram.BotSpec{{ID: botID, Secret: secret, Username: "keeper_bot", Name: "Keeper"}},
		AllowHTTP: true,
		Limits:    telegram.Limits{Off: true},
		Now:       c.Now,
		Webhook: telegram.WebhookOptions{
			RetryMin: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond, SetInterval: -1, Timeout: time.Minute,
		},
		ConflictDelay: 10 * time.Millisecond,
	}
	for _, f := range change {
		f(&opt)
	}
	srv := telegram.New(opt)
	ts := httptest.NewServer(srv.Handler())
	t.Cleanup(func() { srv.Close(); ts.Close() })
	w := &world{t: t, srv: srv, url: ts.URL, bot: srv.Bot(botID), clock: c}
	w.ann = srv.NewUser(telegram.User{ID: 77, FirstName: "Ann", Username: "ann"})
	w.cust = w.bot.Customer(w.ann.ID)
	return w
}

// started is newWorld with a customer who has pressed Start.
func started(t *testing.T, change ...func(*telegram.Options)) *world {
	t.Helper()
	w := newWorld(t, change...)
	_, err := w.cust.Start("")
	require.NoError(t, err)
	return w
}

// answer is a decoded answer of the Bot API.
type answer struct {
	HTTP        int
	OK          bool            `json:"ok"`
	Code        int             `json:"error_code"`
	Description string          `json:"description"`
	Result      json.RawMessage `json:"result"`
	Parameters  struct {
		RetryAfter int   `json:"retry_after"`
		MigrateTo  int64 `json:"migrate_to_chat_id"`
	} `json:"parameters"`
}

// call posts a method with form parameters.
func (w *world) call(method string, kv ...string) answer {
	w.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(kv); i += 2 {
		form.Set(kv[i], kv[i+1])
	}
	return w.post(method, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

func (w *world) post(method, contentType string, body io.Reader) answer {
	w.t.Helper()
	resp, err := http.Post(w.url+"/bot"+token+"/"+method, contentType, body)
	require.NoError(w.t, err)
	return decode(w.t, resp)
}

func decode(t *testing.T, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	a := answer{HTTP: resp.StatusCode}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
	return a
}

// result decodes a successful answer.
func result[T any](t *testing.T, a answer) T {
	t.Helper()
	require.True(t, a.OK, "%d %s", a.Code, a.Description)
	var v T
	require.NoError(t, json.Unmarshal(a.Result, &v))
	return v
}

func picture(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))))
	return b.Bytes()
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// update is one update as it arrives.
type update struct {
	ID      int64 `json:"update_id"`
	Kinds   []string
	Message *telegram.Message `json:"message"`
	raw     string
}

func parseUpdate(t testing.TB, raw []byte) update {
	t.Helper()
	u := update{raw: string(raw)}
	require.NoError(t, json.Unmarshal(raw, &u))
	fields := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal(raw, &fields))
	for name := range fields {
		if name != "update_id" {
			u.Kinds = append(u.Kinds, name)
		}
	}
	return u
}

// updates polls once. Without an offset it asks for the last thousand and a
// few, each time another number: equal offsets in a row are slowed down.
func (w *world) updates(kv ...string) []update {
	w.t.Helper()
	if !slices.Contains(kv, "offset") {
		w.polls++
		kv = append(kv, "offset", fmt.Sprint(-1000-w.polls))
	}
	var out []update
	for _, raw := range result[[]json.RawMessage](w.t, w.call("getUpdates", kv...)) {
		out = append(out, parseUpdate(w.t, raw))
	}
	return out
}
