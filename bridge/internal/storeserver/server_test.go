package storeserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpki"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/rest"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lockedBuffer is a log that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// watched is the real engine; it tells how many leases have been asked for.
type watched struct {
	Engine
	leases *atomic.Int64
}

func (w watched) Lease(ctx context.Context, bridge string, req wire.LeaseRequest) (wire.LeaseResponse, error) {
	w.leases.Add(1)
	return w.Engine.Lease(ctx, bridge, req)
}

// rig is a whole store process on the real engine, in a folder of its own.
type rig struct {
	t                      *testing.T
	ca                     *testpki.Authority
	documents, data        string
	rest, internal, health string // base URLs
	log                    lockedBuffer
	stop                   context.CancelFunc
	done                   chan error
	server                 *Server
	drained                func() // returns when it has drained; nil: at once
	leases                 atomic.Int64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, ca: testpki.NewAuthority(t), documents: t.TempDir(), data: t.TempDir()}
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections() })
	return r
}

func (r *rig) start() {
	r.t.Helper()
	files, err := tlsfiles.Open(r.ca.Folder(r.t, ""))
	require.NoError(r.t, err)
	opts := Options{
		Documents: r.documents, TLS: files, Version: "test", Grace: 5 * time.Minute, Log: slog.New(slog.NewJSONHandler(&r.log, nil)),
		Open: func(ctx context.Context, registry prometheus.Registerer) (Engine, error) {
			engine, err := store.Open(ctx, store.Options{
				Dir: r.data, Capabilities: all.Capabilities(), Log: slog.New(slog.NewJSONHandler(&r.log, nil)), Metrics: registry,
			})
			return watched{engine, &r.leases}, err
		},
	}
	for _, l := range []struct {
		into   *net.Listener
		url    *string
		scheme string
	}{{&opts.REST, &r.rest, "http://127.0.0.1:"}, {&opts.Internal, &r.internal, "https://localhost:"}, {&opts.Health, &r.health, "http://127.0.0.1:"}} {
		*l.into, err = net.Listen("tcp", "127.0.0.1:0")
		require.NoError(r.t, err)
		_, port, _ := net.SplitHostPort((*l.into).Addr().String())
		*l.url = l.scheme + port
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	r.done = make(chan error, 1)
	r.server = New(opts)
	r.server.sleep = func(time.Duration) {
		if r.drained != nil {
			r.drained()
		}
	}
	go func() { r.done <- r.server.Run(ctx) }()
	r.t.Cleanup(func() { r.stop() })
}

// end stops the process as SIGTERM does and waits for it.
func (r *rig) end() {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		require.NoError(r.t, err)
	case <-time.After(time.Minute):
		r.t.Fatal("the process does not stop")
	}
}

func entry(t *testing.T, kind document.EntryKind, name string, spec any) document.Entry {
	t.Helper()
	e, err := document.NewEntry(kind, name, 1, spec)
	require.NoError(t, err)
	return e
}

func token(t *testing.T, name, value string, access document.TokenAccess, namespaces ...string) document.Entry {
	t.Helper()
	sum := sha256.Sum256([]byte(value))
	return entry(t, document.EntryToken, "shop/default/"+name, document.Token{
		Hashes: []document.TokenHash{{SHA256: hex.EncodeToString(sum[:])}}, Namespaces: namespaces, Access: access,
	})
}

// load mounts the document: two namespaces with a Bridge and a channel each,
// and these tokens.
func (r *rig) load(generation int64, tokens ...document.Entry) {
	r.t.Helper()
	doc := &document.Document{Kind: document.KindStore, Name: "shop/default", Generation: generation, Settings: []byte(`{"retention":{},"reopenWindow":"72h0m0s"}`)}
	for _, ns := range []string{"shop", "other"} {
		doc.Entries = append(doc.Entries,
			entry(r.t, document.EntryBridge, ns+"/default", document.StoreBridge{Identity: wire.BridgeIdentity(ns, "default")}),
			entry(r.t, document.EntryChannel, ns+"/telegram", document.StoreChannel{
				Platform: "telegram", Account: ns, Bridge: ns + "/default", Receive: document.ReceiveWebhook}))
	}
	doc.Entries = append(doc.Entries, tokens...)
	encoded, err := document.Encode(doc, 1)
	require.NoError(r.t, err)
	testpki.Mount(r.t, r.documents, map[string][]byte{document.ShardFile(0): encoded[0]})
}

func (r *rig) usualTokens() []document.Entry {
	return []document.Entry{
		token(r.t, "desk", "desk-token", document.AccessWrite, "shop"),
		token(r.t, "neighbour", "neighbour-token", document.AccessAdmin, "other"),
		token(r.t, "admin", "admin-token", document.AccessAdmin, "*"),
	}
}

func (r *rig) awaitReady() {
	r.t.Helper()
	require.Eventually(r.t, r.server.Ready, time.Minute, 5*time.Millisecond)
}

func (r *rig) bridge(namespace string) *storeclient.Client {
	r.t.Helper()
	return r.peer(wire.BridgeIdentity(namespace, "default"))
}

func (r *rig) peer(identity string) *storeclient.Client {
	r.t.Helper()
	files, err := tlsfiles.Open(r.ca.Folder(r.t, identity))
	require.NoError(r.t, err)
	c := storeclient.New(files)
	require.NoError(r.t, c.SetURL(r.internal))
	r.t.Cleanup(c.Close)
	return c
}

// call does a REST request and decodes its answer into into (nil: not).
func (r *rig) call(token, method, path, body string, into any, headers ...string) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.rest+path, strings.NewReader(body))
	require.NoError(r.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	if into != nil {
		require.NoError(r.t, json.Unmarshal(data, into), "%d %s", resp.StatusCode, data)
	}
	return resp.StatusCode
}

func (r *rig) get(url string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, url, nil)
	require.NoError(r.t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	return resp.StatusCode, string(data)
}

func inbound(channel, id, text string) wire.IngestRequest {
	return wire.IngestRequest{Envelopes: []wire.Envelope{{
		Platform: "telegram", Channel: channel, ReceivedAt: time.Now(), Transport: "webhook", Raw: []byte(`{"update_id":1}`),
		Elements: []wire.Element{{Channel: channel, Event: message.Event{Message: &message.Message{
			Direction: message.Inbound, ExternalID: id, Type: message.TypeText, Text: text, Timestamp: time.Now(),
			Contact: &message.Contact{ExternalID: "42", DisplayName: "Ana"},
		}}}},
	}}}
}

const customerText = "my card number is 4111 1111 1111 1111"

func TestOneConversationFromEndToEnd(t *testing.T) {
	r := newRig(t)
	r.load(1, r.usualTokens()...)
	r.start()
	r.awaitReady()
	shop := r.bridge("shop")

	// In, once and again.
	for _, want := range []wire.Result{wire.ResultStored, wire.ResultDuplicate} {
		ingested, err := shop.Ingest(t.Context(), inbound("shop/telegram", "m1", customerText))
		require.NoError(t, err)
		require.Equal(t, want, ingested.Envelopes[0].Elements[0].Result)
	}
	var conversations rest.Page[rest.Conversation]
	require.Equal(t, 200, r.call("desk-token", "GET", "/v1/conversations?channel=shop/telegram", "", &conversations))
	require.Len(t, conversations.Items, 1)
	c := conversations.Items[0]
	assert.Equal(t, "Ana", c.Contact.DisplayName)
	assert.Equal(t, "telegram", c.Channel)
	one := "/v1/conversations/" + c.ID

	// Verbs.
	var changed rest.Conversation
	require.Equal(t, 200, r.call("desk-token", "POST", one+":assign", `{"owner":{"kind":"agent","name":"bo"},"epoch":`+jsonOf(t, c.Epoch)+`}`, &changed))
	assert.Equal(t, rest.Owner{Kind: "agent", Name: "bo"}, changed.Owner)
	if c.Epoch > 0 {
		assert.Equal(t, 409, r.call("desk-token", "POST", one+":assign", `{"owner":{"kind":"none"},"epoch":`+jsonOf(t, c.Epoch)+`}`, nil), "somebody else was faster")
	}
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for _, step := range []struct{ verb, body, want string }{
		{":snooze", `{"until":"` + until + `"}`, "snoozed"}, {":reopen", "", "open"}, {":resolve", "", "solved"}, {":resolve", "", "solved"}, {":reopen", "", "open"},
	} {
		require.Equal(t, 200, r.call("desk-token", "POST", one+step.verb, step.body, &changed), step.verb)
		assert.Equal(t, step.want, changed.State, step.verb)
	}

	// Out: once, however often it is asked.
	var sent, again rest.Message
	require.Equal(t, 201, r.call("desk-token", "POST", one+"/messages", `{"text":"Hello Ana"}`, &sent, "Idempotency-Key", "k"))
	require.Equal(t, 201, r.call("desk-token", "POST", one+"/messages", `{"text":"Hello Ana"}`, &again, "Idempotency-Key", "k"))
	assert.Equal(t, sent.ID, again.ID)
	assert.Equal(t, "queued", sent.Status)
	assert.Equal(t, &rest.Author{Kind: "agent", Name: "desk"}, sent.Author)
	assert.Equal(t, 409, r.call("desk-token", "POST", one+"/messages", `{"text":"Other"}`, nil, "Idempotency-Key", "k"))
	assert.Equal(t, 422, r.call("desk-token", "POST", one+"/messages", `{"type":"image"}`, nil))

	leased, err := shop.Lease(t.Context(), wire.LeaseRequest{Instance: "i", Max: 10, Wait: time.Second})
	require.NoError(t, err)
	require.Len(t, leased.Deliveries, 1)
	d := leased.Deliveries[0]
	assert.Equal(t, "Hello Ana", d.Parts[0].Text)
	reported, err := shop.Report(t.Context(), wire.ReportRequest{Instance: "i", Reports: []wire.PartReport{{
		Delivery: d.ID, Channel: d.Channel, Lease: d.Lease, Part: 0, Outcome: wire.OutcomeSent, ExternalIDs: []string{"77"}, SentAt: time.Now(),
	}}})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, reported.Accepted)
	require.Equal(t, 200, r.call("desk-token", "GET", "/v1/messages/"+sent.ID, "", &sent))
	assert.Equal(t, "sent", sent.Status)
	assert.Equal(t, "77", sent.ExternalID)

	// The feed tells all of it, from its beginning or from now on.
	var feed, latest rest.Page[rest.Event]
	require.Equal(t, 200, r.call("desk-token", "GET", "/v1/events?limit=200", "", &feed))
	require.NotEmpty(t, feed.Items)
	assert.Equal(t, customerText, feed.Items[slices.IndexFunc(feed.Items, func(e rest.Event) bool { return e.Type == "message.created" })].Message.Text)
	require.Equal(t, 200, r.call("desk-token", "GET", "/v1/events?after=latest", "", &latest))
	assert.Empty(t, latest.Items)
	assert.Equal(t, feed.Next, latest.Next)
	assert.Equal(t, 410, r.call("desk-token", "GET", "/v1/events?after=999999", "", nil), "a cursor of another log")

	var messages rest.Page[rest.Message]
	require.Equal(t, 200, r.call("desk-token", "GET", one+"/messages", "", &messages))
	require.Len(t, messages.Items, 2)
	assert.Equal(t, customerText, messages.Items[0].Text)
	r.end()

	// It is all there after a restart.
	r.start()
	r.awaitReady()
	require.Equal(t, 200, r.call("desk-token", "GET", "/v1/messages?channel=shop/telegram&direction=inbound", "", &messages))
	require.Len(t, messages.Items, 1)
	assert.Equal(t, customerText, messages.Items[0].Text)
	_, metrics := r.get(r.health + "/metrics")
	r.end()
	for _, leak := range []string{customerText, "Hello Ana", "desk-token", c.ID} {
		assert.NotContains(t, r.log.String(), leak)
		assert.NotContains(t, metrics, leak)
	}
	assert.Contains(t, metrics, "bridgekeeper_store_rest_requests_total")
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

// A token sees its namespaces and nothing else: what is elsewhere is answered
// exactly like what does not exist.
func TestNamespacesAreIsolated(t *testing.T) {
	r := newRig(t)
	r.load(1, r.usualTokens()...)
	r.start()
	r.awaitReady()
	defer r.end()
	ingested, err := r.bridge("shop").Ingest(t.Context(), inbound("shop/telegram", "m1", "x"))
	require.NoError(t, err)
	id := ingested.Envelopes[0].Elements[0].ID
	var m rest.Message
	require.Equal(t, 200, r.call("admin-token", "GET", "/v1/messages/"+id, "", &m))
	var uploaded rest.Upload
	require.Equal(t, 201, r.call("desk-token", "POST", "/v1/media?namespace=shop&name=a.png", "PNG", &uploaded, "Content-Type", "image/png"))
	code, _ := r.get(r.rest + uploaded.URL)
	assert.Equal(t, 401, code)
	require.Equal(t, 200, r.call("desk-token", "GET", uploaded.URL, "", nil))

	for _, path := range []struct{ method, there, nowhere, body string }{
		{"GET", "/v1/messages/" + id, "/v1/messages/01ARZ3NDEKTSV4RRFFQ69G5FAV", ""},
		{"GET", "/v1/conversations/" + m.Conversation, "/v1/conversations/01ARZ3NDEKTSV4RRFFQ69G5FAV", ""},
		{"GET", "/v1/conversations/" + m.Conversation + "/messages", "/v1/conversations/01ARZ3NDEKTSV4RRFFQ69G5FAV/messages", ""},
		{"GET", "/v1/contacts/" + m.Contact.ID, "/v1/contacts/01ARZ3NDEKTSV4RRFFQ69G5FAV", ""},
		{"GET", "/v1/messages?channel=shop/telegram", "/v1/messages?channel=nowhere/telegram", ""},
		{"GET", "/v1/conversations?channel=shop/telegram", "/v1/conversations?channel=nowhere/telegram", ""},
		{"GET", "/v1/contacts?channel=shop/telegram", "/v1/contacts?channel=nowhere/telegram", ""},
		{"GET", "/v1/raw?channel=shop/telegram", "/v1/raw?channel=nowhere/telegram", ""},
		{"GET", uploaded.URL, "/v1/media/01ARZ3NDEKTSV4RRFFQ69G5FAV", ""},
		{"POST", "/v1/media?namespace=shop", "/v1/media?namespace=nowhere", "x"},
		{"POST", "/v1/conversations/" + m.Conversation + ":resolve", "/v1/conversations/01ARZ3NDEKTSV4RRFFQ69G5FAV:resolve", ""},
		{"POST", "/v1/conversations/" + m.Conversation + "/messages", "/v1/conversations/01ARZ3NDEKTSV4RRFFQ69G5FAV/messages", `{"text":"x"}`},
	} {
		var there, nowhere wire.Problem
		assert.Equal(t, 404, r.call("neighbour-token", path.method, path.there, path.body, &there), path.there)
		assert.Equal(t, 404, r.call("neighbour-token", path.method, path.nowhere, path.body, &nowhere), path.nowhere)
		assert.Equal(t, nowhere, there, path.there)
	}
	for _, list := range []string{"/v1/messages", "/v1/conversations", "/v1/contacts", "/v1/events", "/v1/raw"} {
		var page rest.Page[json.RawMessage]
		require.Equal(t, 200, r.call("neighbour-token", "GET", list, "", &page), list)
		assert.Empty(t, page.Items, list)
		require.Equal(t, 200, r.call("admin-token", "GET", list, "", &page), list)
		assert.NotEmpty(t, page.Items, list)
	}
}

func TestBridgesTouchTheirOwnChannelsOnly(t *testing.T) {
	r := newRig(t)
	r.load(1, r.usualTokens()...)
	r.start()
	r.awaitReady()
	defer r.end()
	ingested, err := r.bridge("other").Ingest(t.Context(), inbound("shop/telegram", "m1", "x"))
	if err == nil {
		assert.Equal(t, wire.ResultForbidden, ingested.Envelopes[0].Elements[0].Result)
	} else {
		assert.ErrorIs(t, err, storeclient.ErrForbidden)
	}
	for _, identity := range []string{wire.OperatorIdentity, "spiffe://bridgekeeper/ns/shop/store/default"} {
		_, err = r.peer(identity).Session(t.Context(), wire.SessionRequest{Instance: "i"})
		assert.ErrorIs(t, err, storeclient.ErrForbidden, identity)
	}
	var page rest.Page[rest.Message]
	require.Equal(t, 200, r.call("admin-token", "GET", "/v1/messages", "", &page))
	assert.Empty(t, page.Items)
}

func (r *rig) status(identity, query string) (int, document.Status) {
	r.t.Helper()
	files, err := tlsfiles.Open(r.ca.Folder(r.t, identity))
	require.NoError(r.t, err)
	transport := &http.Transport{DialTLSContext: files.DialTLS, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.internal+"/status"+query, nil)
	require.NoError(r.t, err)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	var s document.Status
	if resp.StatusCode == http.StatusOK {
		require.NoError(r.t, json.NewDecoder(resp.Body).Decode(&s))
	}
	return resp.StatusCode, s
}

func TestReadyMeansLoaded(t *testing.T) {
	r := newRig(t)
	r.start()
	require.Eventually(t, func() bool { // the database is open when REST answers
		return r.call("desk-token", "GET", "/v1/messages", "", nil) == http.StatusServiceUnavailable
	}, time.Minute, 5*time.Millisecond)
	code, _ := r.get(r.health + "/healthz")
	assert.Equal(t, 200, code)
	code, _ = r.get(r.health + "/readyz")
	assert.Equal(t, 503, code)
	_, err := r.bridge("shop").Session(t.Context(), wire.SessionRequest{Instance: "i"})
	require.ErrorIs(t, err, storeclient.ErrUnavailable, "a Bridge is not a stranger before the first document")
	code, status := r.status(wire.OperatorIdentity, "")
	require.Equal(t, 200, code, "the operator may look from the start")
	assert.Empty(t, status.Hash)

	r.load(3, r.usualTokens()...)
	r.awaitReady()
	code, _ = r.get(r.health + "/readyz")
	assert.Equal(t, 200, code)
	_, status = r.status(wire.OperatorIdentity, "")
	assert.Equal(t, document.KindStore, status.Kind)
	assert.Equal(t, "shop/default", status.Name)
	assert.Equal(t, int64(3), status.Generation)
	assert.NotEmpty(t, status.Hash)
	assert.True(t, status.Store.OK, status.Store.Message)
	code, _ = r.status(wire.BridgeIdentity("shop", "default"), "")
	assert.Equal(t, 403, code)
	r.end()
}

func TestTokenRotationAndBadEntries(t *testing.T) {
	r := newRig(t)
	r.load(1, token(t, "desk", "first-token", document.AccessRead, "shop"))
	r.start()
	r.awaitReady()
	defer r.end()
	require.Equal(t, 200, r.call("first-token", "GET", "/v1/messages", "", nil))
	r.load(2, token(t, "desk", "second-token", document.AccessRead, "shop"))
	start := time.Now()
	require.Eventually(t, func() bool { return r.call("second-token", "GET", "/v1/messages", "", nil) == 200 }, time.Minute, 5*time.Millisecond)
	t.Logf("in force after %s", time.Since(start))
	assert.Equal(t, 401, r.call("first-token", "GET", "/v1/messages", "", nil))

	r.load(3, token(t, "desk", "third-token", "owner", "shop")) // no such access
	require.Eventually(t, func() bool {
		_, s := r.status(wire.OperatorIdentity, "")
		return s.Generation == 3 && len(s.Exceptions) == 1 && s.Exceptions[0].Field == "access"
	}, time.Minute, 20*time.Millisecond)
	assert.Equal(t, 200, r.call("second-token", "GET", "/v1/messages", "", nil), "the last good version stays")
}

func TestStopsInGoodOrder(t *testing.T) {
	r := newRig(t)
	r.load(1, r.usualTokens()...)
	r.start()
	r.awaitReady()
	leased, shop := make(chan error, 1), r.bridge("shop")
	go func() {
		_, err := shop.Lease(context.Background(), wire.LeaseRequest{Instance: "i", Max: 1, Wait: time.Minute})
		leased <- err
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.rest+"/v1/events", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer desk-token")
	req.Header.Set("Accept", "text/event-stream")
	stream, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer stream.Body.Close()
	require.Equal(t, 200, stream.StatusCode)
	require.Eventually(t, func() bool { // both have arrived
		_, metrics := r.get(r.health + "/metrics")
		return r.leases.Load() == 1 && strings.Contains(metrics, "bridgekeeper_store_rest_event_streams 1")
	}, time.Minute, 10*time.Millisecond)

	start := time.Now()
	r.end()
	assert.Less(t, time.Since(start), 50*time.Second, "neither a long poll nor a stream holds it up")
	_, err = io.ReadAll(stream.Body)
	require.NoError(t, err, "the stream ends cleanly")
	select {
	case err := <-leased:
		require.NoError(t, err, "a long poll that is cut short is one that found nothing")
	case <-time.After(time.Minute):
		t.Fatal("the long poll is still waiting")
	}
}

// Until the change of endpoints has reached everybody, callers still come: they are
// answered, and sent elsewhere.
func TestRequestsAreAnsweredWhileCallersMoveAway(t *testing.T) {
	r := newRig(t)
	moved := make(chan struct{})
	r.drained = func() { <-moved }
	r.load(1, r.usualTokens()...)
	r.start()
	r.awaitReady()
	shop := r.bridge("shop")
	r.stop()
	require.Eventually(t, func() bool {
		code, _ := r.get(r.health + "/readyz")
		return code == http.StatusServiceUnavailable
	}, time.Minute, 5*time.Millisecond)
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.rest+"/v1/messages", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer desk-token")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.True(t, resp.Close, "the next one is to go elsewhere")
	}
	_, err := shop.Session(t.Context(), wire.SessionRequest{Instance: "i"})
	require.NoError(t, err)
	close(moved)
	r.end()
	_, err = http.Get(r.rest + "/v1/messages")
	require.Error(t, err)
}

func TestDatabaseThatCannotBeOpened(t *testing.T) {
	r := newRig(t)
	r.data = "/proc/nowhere"
	r.start()
	select {
	case err := <-r.done:
		assert.ErrorContains(t, err, "open the store")
	case <-time.After(time.Minute):
		t.Fatal("it goes on without a database")
	}
}
