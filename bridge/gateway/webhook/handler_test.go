package webhook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/ingest"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// journal takes envelopes and answers as a test wants.
type journal struct {
	mu        sync.Mutex
	envelopes []wire.Envelope
	answer    func(ctx context.Context, env wire.Envelope) (wire.EnvelopeResult, error)
}

func (j *journal) Ingest(ctx context.Context, env wire.Envelope) (wire.EnvelopeResult, error) {
	j.mu.Lock()
	j.envelopes = append(j.envelopes, env)
	j.mu.Unlock()
	if j.answer != nil {
		return j.answer(ctx, env)
	}
	return all(wire.ResultStored)(ctx, env)
}

func (j *journal) taken() []wire.Envelope {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]wire.Envelope(nil), j.envelopes...)
}

func all(r wire.Result) func(context.Context, wire.Envelope) (wire.EnvelopeResult, error) {
	return func(_ context.Context, env wire.Envelope) (wire.EnvelopeResult, error) {
		out := wire.EnvelopeResult{Elements: make([]wire.ElementResult, len(env.Elements))}
		for i := range out.Elements {
			out.Elements[i].Result = r
		}
		return out, nil
	}
}

// whole refuses an envelope as a whole, as stores do.
func whole(r wire.Result) func(context.Context, wire.Envelope) (wire.EnvelopeResult, error) {
	return func(ctx context.Context, env wire.Envelope) (wire.EnvelopeResult, error) {
		out, err := all(r)(ctx, env)
		out.Result = r
		return out, err
	}
}

func fails(err error) func(context.Context, wire.Envelope) (wire.EnvelopeResult, error) {
	return func(context.Context, wire.Envelope) (wire.EnvelopeResult, error) { return wire.EnvelopeResult{}, err }
}

type acks struct{ events []message.Event }

func (a *acks) AcknowledgePayload(*channels.Channel, []byte) {}

func (a *acks) Acknowledge(_ *channels.Channel, events []message.Event) {
	a.events = append(a.events, events...)
}

// rig is a handler behind a real server.
type rig struct {
	*Handler
	platform *testkit.Platform
	loader   *channels.Loader
	journal  *journal
	acks     *acks
	url      string
}

func newRig(t testing.TB, p *testkit.Platform, change func(*Config), entries ...document.Entry) *rig {
	t.Helper()
	if entries == nil {
		entries = []document.Entry{testkit.Entry(t, "shop/a", 1, nil)}
	}
	table, loader := testkit.Table(t, p, entries...)
	r := &rig{platform: p, loader: loader, journal: &journal{}, acks: &acks{}}
	c := Config{Table: table, Ingest: r.journal, Acks: r.acks, Metrics: testkit.Metrics(), Log: testkit.Log()}
	if change != nil {
		change(&c)
	}
	r.Handler = New(c)
	server := httptest.NewServer(r.Handler)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *rig) post(t testing.TB, path, secret, body string) (*http.Response, string) {
	t.Helper()
	return r.do(t, http.MethodPost, path, secret, strings.NewReader(body))
}

func (r *rig) do(t testing.TB, method, path, secret string, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.url+path, body)
	require.NoError(t, err)
	req.Header.Set(testkit.SecretHeader, secret)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(text)
}

func payload(t testing.TB, elements ...testkit.Element) string {
	t.Helper()
	b, err := json.Marshal(elements)
	require.NoError(t, err)
	return string(b)
}

const (
	pathA   = "/webhooks/shop/a"
	secretA = "secret-of-shop/a"
)

func TestStatuses(t *testing.T) {
	hello := payload(t, testkit.Element{ID: "1", Text: "hello"})
	polled := testkit.Entry(t, "shop/polled", 1, func(c *document.Channel) { c.Receive = document.ReceivePolling })
	suspended := testkit.Entry(t, "shop/suspended", 1, func(c *document.Channel) { c.Suspended = true })
	large := payload(t, testkit.Element{ID: "1", Text: strings.Repeat("x", 500)})
	chunked := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) }
	for name, test := range map[string]struct {
		method, path, secret string
		body                 io.Reader
		answer               func(context.Context, wire.Envelope) (wire.EnvelopeResult, error)
		want                 int
		retryAfter           string
		stored               int
	}{
		"stored":                            {path: pathA, secret: secretA, want: 200, stored: 1},
		"a duplicate is acknowledged":       {path: pathA, secret: secretA, answer: all(wire.ResultDuplicate), want: 200, stored: 1},
		"so is a parked receipt":            {path: pathA, secret: secretA, answer: all(wire.ResultParked), want: 200, stored: 1},
		"and what is for nobody":            {path: pathA, secret: secretA, body: strings.NewReader(`[{"account":"nobody's","id":"1"}]`), answer: all(wire.ResultUnrouted), want: 200, stored: 1},
		"the store has no such channel yet": {path: pathA, secret: secretA, answer: all(wire.ResultUnrouted), want: 503, retryAfter: "5", stored: 1},
		"and what can never be taken":       {path: pathA, secret: secretA, answer: all(wire.ResultInvalid), want: 200, stored: 1},
		"an empty list":                     {path: pathA, secret: secretA, body: strings.NewReader("[]"), want: 200, stored: 1},
		"suspended channels take in":        {path: "/webhooks/shop/suspended", secret: "secret-of-shop/suspended", want: 200, stored: 1},
		"wrong secret":                      {path: pathA, secret: "guess", want: 401},
		"no secret":                         {path: pathA, want: 401},
		"another channel's secret":          {path: pathA, secret: "secret-of-shop/suspended", want: 401},
		"wrong secret and malformed":        {path: pathA, secret: "guess", body: strings.NewReader("{"), want: 401},
		"unknown channel":                   {path: "/webhooks/shop/b", secret: secretA, want: 404},
		"polled channel":                    {path: "/webhooks/shop/polled", secret: "secret-of-shop/polled", want: 404},
		"an app's URL":                      {path: "/webhooks/apps/testing/1", secret: secretA, want: 404},
		"deeper path":                       {path: pathA + "/x", secret: secretA, want: 404},
		"trailing slash":                    {path: pathA + "/", secret: secretA, want: 404},
		"no channel":                        {path: "/webhooks/shop", secret: secretA, want: 404},
		"double slash":                      {path: "/webhooks//shop/a", secret: secretA, want: 404},
		"elsewhere":                         {path: "/", secret: secretA, want: 404},
		"metrics are not public":            {path: "/metrics", secret: secretA, want: 404},
		"method of an unknown channel":      {method: http.MethodPut, path: "/webhooks/shop/b", want: 404},
		"wrong method":                      {method: http.MethodGet, path: pathA, secret: secretA, want: 405},
		"put":                               {method: http.MethodPut, path: pathA, secret: secretA, want: 405},
		"too large":                         {path: pathA, secret: secretA, body: strings.NewReader(large), want: 413},
		"too large without a length":        {path: pathA, secret: secretA, body: chunked(large), want: 413},
		"malformed":                         {path: pathA, secret: secretA, body: strings.NewReader("{"), want: 400},
		"empty":                             {path: pathA, secret: secretA, body: http.NoBody, want: 400},
		"a bug":                             {path: pathA, secret: secretA, body: strings.NewReader("panic"), want: 500},
		"store away":                        {path: pathA, secret: secretA, answer: fails(store.ErrUnavailable), want: 503, retryAfter: "5", stored: 1},
		"store refuses":                     {path: pathA, secret: secretA, answer: fails(errors.New("no")), want: 503, retryAfter: "5", stored: 1},
		"store behind":                      {path: pathA, secret: secretA, answer: all(wire.ResultForbidden), want: 503, retryAfter: "5", stored: 1},
		"no elements, and yet refused":      {path: pathA, secret: secretA, body: strings.NewReader("[]"), answer: whole(wire.ResultForbidden), want: 503, retryAfter: "5", stored: 1},
		"too much waits":                    {path: pathA, secret: secretA, answer: fails(ingest.ErrOverloaded), want: 503, retryAfter: "1", stored: 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := &testkit.Platform{Caps: platform.Capabilities{MaxBody: 500}}
			r := newRig(t, p, nil, testkit.Entry(t, "shop/a", 1, nil), polled, suspended)
			r.journal.answer = test.answer
			body := test.body
			if body == nil {
				body = strings.NewReader(hello)
			}
			method := test.method
			if method == "" {
				method = http.MethodPost
			}
			resp, text := r.do(t, method, test.path, test.secret, body)
			assert.Equal(t, test.want, resp.StatusCode)
			assert.Equal(t, test.retryAfter, resp.Header.Get("Retry-After"))
			assert.Len(t, r.journal.taken(), test.stored)
			if test.want == 200 {
				assert.Empty(t, text)
			} else {
				assert.Equal(t, http.StatusText(test.want)+"\n", text, "bodies give nothing away")
			}
		})
	}
}

func TestAnUnknownChannelLooksLikeOneThatIsElsewhere(t *testing.T) {
	r := newRig(t, &testkit.Platform{}, nil, testkit.Entry(t, "shop/a", 1, nil), testkit.Tombstone(t, "shop/old"))
	shape := func(path string) string {
		resp, text := r.post(t, path, secretA, "x")
		resp.Header.Del("Date")
		return fmt.Sprint(resp.StatusCode, resp.Header, text)
	}
	never := shape("/webhooks/shop/never")
	assert.Equal(t, never, shape("/webhooks/shop/old"), "deleted")
	assert.Equal(t, never, shape("/webhooks/other/a"), "another namespace")
	assert.Equal(t, never, shape("/nothing"))
}

func TestTheEnvelopeHoldsWhatCame(t *testing.T) {
	r := newRig(t, &testkit.Platform{}, nil)
	body := payload(t, testkit.Element{Account: "account-shop/a", ID: "1", Text: "hello"}, testkit.Element{ID: "2", Text: "again"})
	before := time.Now()
	resp, _ := r.post(t, pathA+"?hub=1", secretA, body)
	require.Equal(t, 200, resp.StatusCode)
	env := r.journal.taken()[0]
	assert.Equal(t, "shop/a", env.Channel)
	assert.Equal(t, testkit.Name, env.Platform)
	assert.Equal(t, "webhook", env.Transport)
	assert.Equal(t, body, string(env.Raw))
	assert.WithinRange(t, env.ReceivedAt, before.Add(-time.Second), time.Now())
	require.Len(t, env.Elements, 2)
	for i, id := range []string{"1", "2"} {
		assert.Equal(t, "shop/a", env.Elements[i].Channel)
		assert.Equal(t, id, env.Elements[i].Event.Message.ExternalID)
	}
	assert.Equal(t, "https://bridge.example/webhooks/shop/a?hub=1", r.platform.Verified()[0].URL)
	assert.Len(t, r.acks.events, 2, "stored events get their word back")
}

// An element goes to the channel whose account it names, if the request would
// have passed that channel's own verification.
func TestElementsAreRoutedByAccount(t *testing.T) {
	same := testkit.Entry(t, "shop/same-app", 1, func(c *document.Channel) { c.Credentials["secret"] = secretA })
	r := newRig(t, &testkit.Platform{}, nil, testkit.Entry(t, "shop/a", 1, nil), testkit.Entry(t, "bank/b", 1, nil), same)
	resp, _ := r.post(t, pathA, secretA, payload(t,
		testkit.Element{Account: "account-shop/same-app", ID: "1"},
		testkit.Element{Account: "account-bank/b", ID: "2"},
		testkit.Element{Account: "account-of-nobody", ID: "3"},
		testkit.Element{Account: "account-shop/a", ID: "4"},
		testkit.Element{Account: "account-shop/same-app", ID: "5"}))
	require.Equal(t, 200, resp.StatusCode)
	var got []string
	for _, e := range r.journal.taken()[0].Elements {
		got = append(got, e.Channel)
	}
	assert.Equal(t, []string{"shop/same-app", "", "", "shop/a", "shop/same-app"}, got)
}

func TestOnlyStoredEventsAreAcknowledged(t *testing.T) {
	r := newRig(t, &testkit.Platform{}, nil)
	r.journal.answer = func(context.Context, wire.Envelope) (wire.EnvelopeResult, error) {
		return wire.EnvelopeResult{Elements: []wire.ElementResult{{Result: wire.ResultDuplicate}, {Result: wire.ResultStored}}}, nil
	}
	r.post(t, pathA, secretA, payload(t, testkit.Element{ID: "old"}, testkit.Element{ID: "new"}))
	require.Len(t, r.acks.events, 1)
	assert.Equal(t, "new", r.acks.events[0].Message.ExternalID)
}

func TestRotatedSecretsOverlapUntilTheirTime(t *testing.T) {
	rotated := func(until time.Time) document.Entry {
		return testkit.Entry(t, "shop/a", 2, func(c *document.Channel) {
			c.Credentials["secret"] = "the-new-secret"
			c.PreviousCredentials = []document.PreviousCredentials{{Values: map[string]string{"secret": secretA}, Until: until}}
		})
	}
	hello := payload(t, testkit.Element{ID: "1"})
	r := newRig(t, &testkit.Platform{}, nil, rotated(time.Now().Add(time.Hour)))
	for _, secret := range []string{secretA, "the-new-secret"} {
		resp, _ := r.post(t, pathA, secret, hello)
		assert.Equal(t, 200, resp.StatusCode, secret)
	}
	testkit.Apply(t, r.loader, rotated(time.Now().Add(-time.Second)))
	resp, _ := r.post(t, pathA, secretA, hello)
	assert.Equal(t, 401, resp.StatusCode, "over without a new document")
	resp, _ = r.post(t, pathA, "the-new-secret", hello)
	assert.Equal(t, 200, resp.StatusCode)
}

func TestLimitsArePerChannelAndCountVerifiedRequestsOnly(t *testing.T) {
	slow := testkit.Entry(t, "shop/a", 1, func(c *document.Channel) { c.Limits.InboundPerSecond = 2 })
	r := newRig(t, &testkit.Platform{}, nil, slow, testkit.Entry(t, "shop/b", 1, nil))
	hello := payload(t, testkit.Element{ID: "1"})
	var junk []int
	for i := range unverifiedBurst + 20 {
		resp, _ := r.post(t, pathA, "guess", hello)
		junk = append(junk, resp.StatusCode)
		if i == 0 { // nothing is given back from here on, however slow the machine is
			r.limits.byName["shop/a"].unverified.SetLimit(0)
			r.limits.byName["shop/a"].verified.SetLimit(0)
		}
	}
	assert.Equal(t, 401, junk[0])
	assert.Contains(t, junk, 429, "junk beyond the budget pays for new connections")
	var own []int
	for range 4 {
		resp, _ := r.post(t, pathA, secretA, hello)
		own = append(own, resp.StatusCode)
	}
	assert.Equal(t, []int{200, 200}, own[:2], "junk does not use up the tenant's own rate")
	assert.Contains(t, own, 429)
	resp, _ := r.post(t, "/webhooks/shop/b", "secret-of-shop/b", hello)
	assert.Equal(t, 200, resp.StatusCode, "nor anybody else's")

	testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 2, func(c *document.Channel) { c.Limits.InboundPerSecond = 1000 }))
	require.Eventually(t, func() bool {
		resp, _ := r.post(t, pathA, secretA, hello)
		return resp.StatusCode == http.StatusOK
	}, time.Minute, 5*time.Millisecond, "a new limit is in force")
}

func TestNoMoreThanThePlatformsPatience(t *testing.T) {
	r := newRig(t, &testkit.Platform{Caps: platform.Capabilities{Patience: 200 * time.Millisecond}}, nil)
	var patience time.Duration
	r.journal.answer = func(ctx context.Context, _ wire.Envelope) (wire.EnvelopeResult, error) {
		until, _ := ctx.Deadline()
		patience = time.Until(until)
		<-ctx.Done()
		return wire.EnvelopeResult{}, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
	resp, _ := r.post(t, pathA, secretA, "[]")
	assert.Equal(t, 503, resp.StatusCode)
	assert.LessOrEqual(t, patience, 200*time.Millisecond)
}

func TestAPanicIsCountedWithoutItsPayload(t *testing.T) {
	r := newRig(t, &testkit.Platform{}, nil)
	resp, text := r.post(t, pathA, secretA, "panic")
	assert.Equal(t, 500, resp.StatusCode)
	assert.NotContains(t, text, "secret payload")
	assert.Equal(t, 1.0, testutil.ToFloat64(r.Metrics.Panics.WithLabelValues("webhook")))
	resp, _ = r.post(t, pathA, secretA, "[]")
	assert.Equal(t, 200, resp.StatusCode, "the next one is served")
}

func TestHandshakeIsAnsweredByThePlatform(t *testing.T) {
	p := &testkit.Platform{OnHandshake: func(_ platform.Channel, r *http.Request) (int, []byte, bool) {
		challenge := r.URL.Query().Get("challenge")
		return 200, []byte(challenge), challenge != ""
	}}
	r := newRig(t, p, nil)
	resp, text := r.do(t, http.MethodGet, pathA+"?challenge=42", "", http.NoBody)
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "42", text)
	resp, _ = r.do(t, http.MethodGet, pathA, "", http.NoBody)
	assert.Equal(t, 405, resp.StatusCode)
	resp, _ = r.post(t, pathA, secretA, "[]")
	assert.Equal(t, 200, resp.StatusCode, "ordinary requests go their way, with their body")
}

// open begins a request whose body never comes.
func open(t *testing.T, r *rig, path string, length int) (net.Conn, <-chan int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{", path, length)
	require.NoError(t, err)
	status := make(chan int, 1)
	go func() {
		buf := make([]byte, 12)
		n, _ := io.ReadFull(conn, buf)
		code := 0
		_, _ = fmt.Sscanf(string(buf[:n]), "HTTP/1.1 %d", &code)
		status <- code
	}()
	return conn, status
}

func TestASlowBodyIsGivenUp(t *testing.T) {
	r := newRig(t, &testkit.Platform{}, func(c *Config) { c.BodyTimeout = 50 * time.Millisecond })
	_, status := open(t, r, pathA, 100)
	assert.Equal(t, 408, <-status)
}

// Before an answer goes out, net/http waits for the rest of a small body.
func TestABodyThatNobodyReadsIsNotWaitedForForEver(t *testing.T) {
	r := newRig(t, &testkit.Platform{}, func(c *Config) {
		c.BodyTimeout = 50 * time.Millisecond
		// One without handshakes, for which other methods' bodies are read.
		c.Table, _ = testkit.Table(t, struct{ platform.Platform }{&testkit.Platform{}}, testkit.Entry(t, "shop/a", 1, nil))
	})
	for path, want := range map[string]int{"/webhooks/shop/b": 404, "/": 404, pathA: 405} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", path)
		require.NoError(t, err)
		answer, err := io.ReadAll(conn)
		require.NoError(t, err, "the answer comes and the connection ends")
		assert.Contains(t, string(answer), fmt.Sprintf("HTTP/1.1 %d ", want))
	}
}

// The body's time is over with the body: neither the store nor the next
// request on the connection is cut short by it.
func TestTheBodyTimeoutEndsWithTheBody(t *testing.T) {
	t.Parallel()
	const short = time.Second // nobody takes that long to read two bytes that have arrived
	r := newRig(t, &testkit.Platform{}, func(c *Config) { c.BodyTimeout = short })
	r.journal.answer = func(ctx context.Context, env wire.Envelope) (wire.EnvelopeResult, error) {
		select {
		case <-ctx.Done():
			return wire.EnvelopeResult{}, store.ErrUnavailable
		case <-time.After(2 * short):
			return all(wire.ResultStored)(ctx, env)
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	in := bufio.NewReader(conn)
	for i, test := range []struct {
		path string
		want int
	}{{pathA, 200}, {"/webhooks/shop/b", 404}, {pathA, 200}, {pathA, 200}} {
		time.Sleep(time.Duration(min(i, 1)) * 2 * short) // the connection is idle for longer than a body may take
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Length: 2\r\n\r\n[]", test.path, testkit.SecretHeader, secretA)
		require.NoError(t, err)
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err, "request %d", i)
		_, _ = io.Copy(io.Discard, resp.Body)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, test.want, resp.StatusCode, "request %d", i)
	}
}

func TestSlowSendersCannotLockAChannelUp(t *testing.T) {
	r := newRig(t, &testkit.Platform{}, nil, testkit.Entry(t, "shop/a", 1, nil), testkit.Entry(t, "shop/b", 1, nil))
	r.bodies = newBodies(8*bodyFloor, 2*bodyFloor, func(int64) {})
	_, other := open(t, r, "/webhooks/shop/b", 100)
	var stuck []<-chan int
	for range 5 {
		_, status := open(t, r, pathA, 100)
		stuck = append(stuck, status)
		require.Eventually(t, func() bool { r.bodies.mu.Lock(); defer r.bodies.mu.Unlock(); return r.bodies.all.Len() > 0 }, time.Minute, time.Millisecond)
	}
	require.Eventually(t, func() bool {
		resp, _ := r.post(t, pathA, secretA, "[]")
		return resp.StatusCode == http.StatusOK
	}, time.Minute, time.Millisecond, "the newest comes through")
	assert.Equal(t, 503, <-stuck[0], "the oldest gave way")
	select {
	case code := <-other:
		t.Errorf("another channel's sender was cut off with %d", code)
	default:
	}
}

func FuzzHandler(f *testing.F) {
	f.Add("POST", "/webhooks/shop/a", secretA, []byte(`[{"id":"1"}]`))
	f.Add("GET", "/webhooks/shop/a", "", []byte(``))
	f.Add("POST", "/webhooks/apps/x/y", "é", []byte{0xff})
	f.Add("BREW", "//", secretA, []byte(`[[]]`))
	p := &testkit.Platform{}
	table, _ := testkit.Table(f, p, testkit.Entry(f, "shop/a", 1, func(c *document.Channel) { c.Limits.InboundPerSecond = 1 << 30 }))
	h := New(Config{Table: table, Ingest: &journal{}, Acks: &acks{}, Metrics: testkit.Metrics(), Log: testkit.Log()})
	f.Fuzz(func(t *testing.T, method, path, secret string, body []byte) {
		req, err := http.NewRequest(method, "http://bridge.example/", bytes.NewReader(body))
		if err != nil {
			return
		}
		req.URL.Path = path
		req.Header.Set(testkit.SecretHeader, secret)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code == 500 && string(body) != "panic" {
			t.Fatalf("%s %q: a bug was hit", method, path)
		}
		if w.Code == 200 && (secret != secretA || method != http.MethodPost) {
			t.Fatalf("%s with %q was taken", method, secret)
		}
	})
}
