package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/messenger"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/meta"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// page is a channel of the real Messenger platform.
func page(t *testing.T, name, app, id string, credentials map[string]string, previous ...document.PreviousCredentials) document.Entry {
	t.Helper()
	spec := document.Channel{
		Platform: messenger.Name, Account: id, App: app, Receive: document.ReceiveWebhook,
		WebhookURL: "https://bridge.example/webhooks/apps/messenger/" + app,
		Config:     json.RawMessage(fmt.Sprintf(`{"pageID":%q,"appID":%q}`, id, app)),
		Credentials: map[string]string{
			meta.KeyAppSecret: "secret-of-" + app, meta.KeyVerifyToken: "verify-" + name, messenger.KeyPageAccessToken: "token-of-" + id,
		},
		PreviousCredentials: previous,
	}
	for key, value := range credentials {
		spec.Credentials[key] = value
	}
	e, err := document.NewEntry(document.EntryChannel, name, 1, spec)
	require.NoError(t, err)
	return e
}

// appRig is a handler with pages of two apps in two namespaces.
func appRig(t *testing.T, entries ...document.Entry) (*Handler, *journal) {
	t.Helper()
	if len(entries) == 0 {
		entries = []document.Entry{
			page(t, "shop/main", "100", "1", nil), page(t, "shop/second", "100", "2", nil), page(t, "other/page", "100", "3", nil),
			page(t, "shop/elsewhere", "200", "4", nil),
		}
	}
	table, p := channels.NewTable(), messenger.New()
	loader := channels.NewLoader(table, func(string) platform.Platform { return p })
	testkit.Apply(t, loader, entries...)
	j := &journal{}
	return New(Config{Table: table, Ingest: j, Acks: &acks{}, Metrics: testkit.Metrics(), Log: testkit.Log()}), j
}

func entryOf(page, mid, text string) string {
	return fmt.Sprintf(`{"id":%q,"time":1700000000000,"messaging":[{"sender":{"id":"77"},"recipient":{"id":%q},"timestamp":1700000000000,"message":{"mid":%q,"text":%q}}]}`, page, page, mid, text)
}

func batchOf(entries ...string) string {
	return `{"object":"page","entry":[` + strings.Join(entries, ",") + `]}`
}

func (h *Handler) posted(path, secret, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("X-Hub-Signature-256", meta.Sign(secret, []byte(body)))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func routes(env wire.Envelope) map[string]string {
	out := map[string]string{}
	for _, e := range env.Elements {
		out[e.Event.Message.ExternalID] = e.Channel
	}
	return out
}

const appURL = "/webhooks/apps/messenger/100"

func TestAnAppsBatchGoesToEachChannelWhoseAccountItNames(t *testing.T) {
	h, j := appRig(t)
	body := batchOf(entryOf("1", "a", "x"), entryOf("2", "b", "x"), `"broken"`, entryOf("3", "c", "x"), entryOf("9", "nobody", "x"), entryOf("4", "other app", "x"))
	require.Equal(t, http.StatusOK, h.posted(appURL, "secret-of-100", body).Code)
	require.Len(t, j.taken(), 1)
	env := j.taken()[0]
	assert.Equal(t, map[string]string{"a": "shop/main", "b": "shop/second", "c": "other/page", "nobody": "", "other app": ""}, routes(env))
	assert.Empty(t, env.Channel, "the URL is nobody's: the journal's entry belongs to no namespace")
	assert.Equal(t, body, string(env.Raw))
	assert.Equal(t, messenger.Name, env.Platform)
}

func TestAnAppsURLWantsASecretOfTheApp(t *testing.T) {
	h, j := appRig(t)
	body := batchOf(entryOf("1", "a", "x"))
	assert.Equal(t, http.StatusUnauthorized, h.posted(appURL, "secret-of-200", body).Code)
	assert.Equal(t, http.StatusUnauthorized, h.posted("/webhooks/apps/messenger/200", "secret-of-100", body).Code)
	for _, path := range []string{"/webhooks/apps/messenger/300", "/webhooks/apps/telegram/100", "/webhooks/apps/messenger", "/webhooks/apps/messenger/100/x", "/webhooks/apps//100"} {
		assert.Equal(t, http.StatusNotFound, h.posted(path, "secret-of-100", body).Code, path)
	}
	assert.Empty(t, j.taken())
}

// Whoever may make Channels of an app that is not theirs knows no secret of
// the others: their requests reach their own channel alone.
func TestASecretOfOneChannelOpensNoOther(t *testing.T) {
	h, j := appRig(t, page(t, "shop/main", "100", "1", nil), page(t, "evil/page", "100", "6", map[string]string{meta.KeyAppSecret: "made-up-by-evil"}))
	body := batchOf(entryOf("1", "forged", "x"), entryOf("6", "own", "x"))
	require.Equal(t, http.StatusOK, h.posted(appURL, "made-up-by-evil", body).Code)
	assert.Equal(t, map[string]string{"forged": "", "own": "evil/page"}, routes(j.taken()[0]))
	assert.Equal(t, []string{"1"}, j.taken()[0].Refused, "nor at a replay")
	assert.Equal(t, []string{"evil"}, j.taken()[0].Vouched)
	require.Equal(t, http.StatusOK, h.posted(appURL, "secret-of-100", body).Code)
	assert.Equal(t, map[string]string{"forged": "shop/main", "own": ""}, routes(j.taken()[1]))
	assert.Equal(t, []string{"6"}, j.taken()[1].Refused)
	assert.Equal(t, []string{"shop"}, j.taken()[1].Vouched)

	// What the parser of today finds nothing in, a later one may.
	require.Equal(t, http.StatusOK, h.posted(appURL, "made-up-by-evil", batchOf()).Code)
	assert.Equal(t, []string{"1"}, j.taken()[2].Refused)
	// The same by way of the channel's own URL.
	require.Equal(t, http.StatusOK, h.posted("/webhooks/evil/page", "made-up-by-evil", body).Code)
	assert.Equal(t, map[string]string{"forged": "", "own": "evil/page"}, routes(j.taken()[3]))
	assert.Equal(t, []string{"1"}, j.taken()[3].Refused)
	assert.Equal(t, []string{"evil"}, j.taken()[3].Vouched)
	assert.Equal(t, "100", j.taken()[3].App)
}

func TestTheJournalLearnsWhichAppARequestWasFor(t *testing.T) {
	h, j := appRig(t)
	body := batchOf(entryOf("9", "nobody's", "x"), entryOf("4", "of another app", "x"))
	require.Equal(t, http.StatusOK, h.posted(appURL, "secret-of-100", body).Code)
	require.Equal(t, http.StatusOK, h.posted("/webhooks/shop/main", "secret-of-100", body).Code)
	assert.Equal(t, "100", j.taken()[0].App)
	assert.Empty(t, j.taken()[0].Refused, "nobody of the app did, and the URL is not the other one's")
	assert.Equal(t, "100", j.taken()[1].App)
	assert.Equal(t, []string{"4"}, j.taken()[1].Refused, "it was named, and asked")
}

func TestAnAppsPreviousSecretsVerifyUntilTheirTime(t *testing.T) {
	old := func(until time.Time) document.PreviousCredentials {
		return document.PreviousCredentials{Values: map[string]string{meta.KeyAppSecret: "older"}, Until: until}
	}
	body := batchOf(entryOf("1", "a", "x"))
	h, _ := appRig(t, page(t, "shop/main", "100", "1", nil, old(time.Now().Add(time.Hour))))
	assert.Equal(t, http.StatusOK, h.posted(appURL, "older", body).Code)
	h, _ = appRig(t, page(t, "shop/main", "100", "1", nil, old(time.Now().Add(-time.Second))))
	assert.Equal(t, http.StatusUnauthorized, h.posted(appURL, "older", body).Code)
}

func TestAChannelsOwnURLWorksBesideTheApps(t *testing.T) {
	h, j := appRig(t)
	body := batchOf(entryOf("1", "a", "x"), entryOf("3", "sibling", "x"), entryOf("4", "other app", "x"))
	require.Equal(t, http.StatusOK, h.posted("/webhooks/shop/main", "secret-of-100", body).Code)
	assert.Equal(t, map[string]string{"a": "shop/main", "sibling": "other/page", "other app": ""}, routes(j.taken()[0]))
	assert.Equal(t, "shop/main", j.taken()[0].Channel)
}

func TestTheHandshakeIsAnsweredForAnyChannelOfTheApp(t *testing.T) {
	h, _ := appRig(t)
	get := func(path, token, challenge string) *httptest.ResponseRecorder {
		q := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {challenge}, "hub.verify_token": {token}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path+"?"+q.Encode(), nil))
		return w
	}
	for _, path := range []string{appURL, "/webhooks/other/page"} {
		w := get(path, "verify-other/page", "1158201444")
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, "1158201444", w.Body.String())
		assert.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	}
	for _, token := range []string{"", "verify-", "verify-shop/elsewhere", "VERIFY-SHOP/MAIN"} {
		w := get(appURL, token, "1158201444")
		assert.Equal(t, http.StatusForbidden, w.Code, token)
		assert.NotContains(t, w.Body.String(), "1158201444")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, appURL, nil))
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
}

// Meta sends up to 1000 updates at once, and the same again if they are refused.
func TestTheLargestBatchIsTakenWhole(t *testing.T) {
	h, j := appRig(t)
	var elements []string
	for i := range 1000 {
		elements = append(elements, entryOf(fmt.Sprint(1+i%3), fmt.Sprintf("m%d", i), "LONGEST"))
	}
	body := strings.ReplaceAll(batchOf(elements...), "LONGEST", strings.Repeat(`\u0439`, 2000))
	require.Greater(t, len(body), 12_000_000)
	require.Equal(t, http.StatusOK, h.posted(appURL, "secret-of-100", body).Code)
	require.Len(t, j.taken()[0].Elements, 1000)
	request, err := json.Marshal(wire.IngestRequest{Envelopes: j.taken()})
	require.NoError(t, err)
	assert.Less(t, len(request), 32<<20, "what the store takes at once")

	over := batchOf(entryOf("1", "a", strings.Repeat("x", 13<<20)))
	assert.Equal(t, http.StatusRequestEntityTooLarge, h.posted(appURL, "secret-of-100", over).Code)
}

// A body that does not tell its length takes as much room as it turns out to need.
func TestBodiesOfUnknownLengthShareTheRoom(t *testing.T) {
	h, j := appRig(t)
	for name, length := range map[string]int{"short": 10, "longer": unknownBody + 1, "to the byte": 0} {
		body := batchOf(entryOf("1", name, strings.Repeat("x", length)))
		if length == 0 {
			body += strings.Repeat(" ", unknownBody-len(body))
		}
		r := httptest.NewRequest(http.MethodPost, appURL, io.MultiReader(strings.NewReader(body)))
		require.Equal(t, int64(-1), r.ContentLength)
		r.Header.Set("X-Hub-Signature-256", meta.Sign("secret-of-100", []byte(body)))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, name)
		assert.Equal(t, body, string(j.taken()[len(j.taken())-1].Raw), name)
	}
}

func TestWhatBecomesNoElementIsKeptInTheJournal(t *testing.T) {
	h, j := appRig(t)
	feed := `{"object":"page","entry":[{"id":"1","changes":[{"field":"feed","value":{"item":"comment"}}]}]}`
	require.Equal(t, http.StatusOK, h.posted(appURL, "secret-of-100", feed).Code)
	require.Equal(t, http.StatusOK, h.posted("/webhooks/apps/messenger/200", "secret-of-200", feed).Code)
	require.Len(t, j.taken(), 2)
	assert.Empty(t, j.taken()[0].Channel, "one of three pages: nobody says whose")
	assert.Equal(t, "shop/elsewhere", j.taken()[1].Channel, "the only one there is")
	assert.Equal(t, feed, string(j.taken()[0].Raw))
}

func TestAnAppsBudgetIsThatOfItsChannelsTogether(t *testing.T) {
	bounded := page(t, "shop/main", "100", "1", nil)
	var spec document.Channel
	require.NoError(t, json.Unmarshal(bounded.Spec, &spec))
	spec.Limits.InboundPerSecond = 2
	one, err := document.NewEntry(document.EntryChannel, "shop/main", 1, spec)
	require.NoError(t, err)
	spec.Account, spec.Config = "2", json.RawMessage(`{"pageID":"2","appID":"100"}`)
	two, err := document.NewEntry(document.EntryChannel, "shop/second", 1, spec)
	require.NoError(t, err)
	h, _ := appRig(t, one, two)
	codes := map[int]int{}
	for range 20 {
		codes[h.posted(appURL, "secret-of-100", batchOf(entryOf("1", "a", "x"))).Code]++
		for _, b := range h.limits.byName { // nothing is given back, however slow the machine is
			b.verified.SetLimit(0)
		}
	}
	assert.GreaterOrEqual(t, codes[http.StatusOK], 4)
	assert.Positive(t, codes[http.StatusTooManyRequests])
}

func TestAnAppsRequestIsNotAcknowledgedBeforeItIsDurable(t *testing.T) {
	h, j := appRig(t)
	j.answer = func(_ context.Context, env wire.Envelope) (wire.EnvelopeResult, error) {
		return wire.EnvelopeResult{Elements: []wire.ElementResult{{Result: wire.ResultStored}, {Result: wire.ResultForbidden}}}, nil
	}
	body := batchOf(entryOf("1", "a", "x"), entryOf("2", "b", "x"))
	assert.Equal(t, http.StatusServiceUnavailable, h.posted(appURL, "secret-of-100", body).Code, "one is not stored: the platform sends it again")
	j.answer = fails(assert.AnError)
	assert.Equal(t, http.StatusServiceUnavailable, h.posted(appURL, "secret-of-100", body).Code)
}

// The secret of an app is reset at the platform, then put into the Secrets of its
// channels, one after the other: whatever was acknowledged is in its channel.
func TestAnAppsSecretIsRotatedInOneSecretAfterTheOther(t *testing.T) {
	old := document.PreviousCredentials{Values: map[string]string{meta.KeyAppSecret: "secret-of-100"}, Until: time.Now().Add(24 * time.Hour)}
	t.Run("with an overlap", func(t *testing.T) { rotateOneAfterTheOther(t, old) })
	t.Run("after a leak", func(t *testing.T) { rotateOneAfterTheOther(t) })
}

func rotateOneAfterTheOther(t *testing.T, previous ...document.PreviousCredentials) {
	table, p := channels.NewTable(), messenger.New()
	loader := channels.NewLoader(table, func(string) platform.Platform { return p })
	j := &journal{}
	h := New(Config{Table: table, Ingest: j, Acks: &acks{}, Metrics: testkit.Metrics(), Log: testkit.Log()})
	before := func(name, id string) document.Entry { return page(t, name, "100", id, nil) }
	rotated := func(name, id string, until time.Time) document.Entry {
		var spec document.Channel
		require.NoError(t, json.Unmarshal(page(t, name, "100", id, map[string]string{meta.KeyAppSecret: "new"}, previous...).Spec, &spec))
		spec.RotatingUntil = until
		e, err := document.NewEntry(document.EntryChannel, name, 2, spec)
		require.NoError(t, err)
		return e
	}
	after := func(name, id string) document.Entry { return rotated(name, id, time.Now().Add(24*time.Hour)) }

	// The platform sends what was not acknowledged again, signed with the new secret.
	var waiting []string
	acknowledged := map[string]bool{}
	sent := 0
	post := func() {
		sent++
		first, second := fmt.Sprintf("first-%d", sent), fmt.Sprintf("second-%d", sent)
		waiting = append(waiting, batchOf(entryOf("1", first, "x"), entryOf("2", second, "x")))
		var left []string
		for _, body := range waiting {
			if h.posted(appURL, "new", body).Code != http.StatusOK {
				left = append(left, body)
				continue
			}
			for _, e := range j.taken()[len(j.taken())-1].Elements {
				acknowledged[e.Event.Message.ExternalID] = true
			}
		}
		waiting = left
	}
	testkit.Apply(t, loader, before("shop/first", "1"), before("shop/second", "2"))
	post()
	testkit.Apply(t, loader, after("shop/first", "1"), before("shop/second", "2"))
	post()
	require.NotEmpty(t, waiting)
	if previous == nil { // whoever has the secret that leaked neither writes to the first nor holds the second up
		assert.Equal(t, http.StatusOK, h.posted(appURL, "secret-of-100", batchOf(entryOf("1", "forged-1", "x"), entryOf("2", "believed-2", "x"))).Code)
		taken := j.taken()
		assert.Equal(t, map[string]string{"forged-1": "", "believed-2": "shop/second"}, routes(taken[len(taken)-1]))
	}
	testkit.Apply(t, loader, after("shop/first", "1"), after("shop/second", "2"))
	post()

	require.Empty(t, waiting, "all of it is acknowledged in the end")
	require.Len(t, acknowledged, 6)
	arrived := map[string]string{}
	for _, env := range j.taken() {
		for id, channel := range routes(env) {
			if channel != "" {
				arrived[id] = channel
			}
		}
	}
	for id := range acknowledged {
		name, _, _ := strings.Cut(id, "-")
		assert.Equal(t, "shop/"+name, arrived[id], id)
	}

	// A sibling with another secret does not hold the others up for ever.
	testkit.Apply(t, loader, rotated("shop/first", "1", time.Now()), before("shop/second", "2"))
	assert.Equal(t, http.StatusOK, h.posted(appURL, "new", batchOf(entryOf("1", "a", "x"), entryOf("2", "b", "x"))).Code)
}

// Of a channel that does not run nothing is acknowledged: its messages would be
// nobody's. Those of its siblings are stored all the same.
func TestWhatIsForAChannelWithABadEntryComesAgain(t *testing.T) {
	table, p := channels.NewTable(), messenger.New()
	loader := channels.NewLoader(table, func(string) platform.Platform { return p })
	bad := page(t, "shop/second", "100", "2", map[string]string{meta.KeyAppSecret: ""})
	main := page(t, "shop/main", "100", "1", nil)
	exceptions, err := loader.Apply(t.Context(), testkit.Document(t, main, bad))
	require.NoError(t, err)
	require.Len(t, exceptions, 1)
	j := &journal{}
	h := New(Config{Table: table, Ingest: j, Acks: &acks{}, Metrics: testkit.Metrics(), Log: testkit.Log()})

	both := batchOf(entryOf("1", "a", "x"), entryOf("2", "b", "x"))
	for _, path := range []string{appURL, "/webhooks/shop/main"} {
		assert.Equal(t, http.StatusServiceUnavailable, h.posted(path, "secret-of-100", both).Code)
		taken := j.taken()
		assert.Equal(t, map[string]string{"a": "shop/main", "b": ""}, routes(taken[len(taken)-1]))
	}
	assert.Equal(t, http.StatusOK, h.posted(appURL, "secret-of-100", batchOf(entryOf("1", "a", "x"), entryOf("9", "nobody", "x"))).Code, "what concerns others is acknowledged")
	assert.Equal(t, http.StatusUnauthorized, h.posted(appURL, "guess", both).Code)

	testkit.Apply(t, loader, main, page(t, "shop/second", "100", "2", nil))
	assert.Equal(t, http.StatusOK, h.posted(appURL, "secret-of-100", both).Code)
	taken := j.taken()
	assert.Equal(t, map[string]string{"a": "shop/main", "b": "shop/second"}, routes(taken[len(taken)-1]))
}
