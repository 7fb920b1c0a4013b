package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// every is each operation with a request that is right, and the access it needs.
var every = []struct {
	access, method, path, body string
	want                       int
}{
	{"reader", "GET", "/v1/messages", "", 200},
	{"reader", "GET", "/v1/messages?channel=shop/telegram&after=x&limit=200&direction=inbound&contact=c", "", 200},
	{"reader", "GET", "/v1/messages/m", "", 200},
	{"reader", "GET", "/v1/conversations?channel=shop/telegram&state=open", "", 200},
	{"reader", "GET", "/v1/conversations/c", "", 200},
	{"reader", "GET", "/v1/conversations/c/messages", "", 200},
	{"reader", "GET", "/v1/contacts?externalId=42", "", 200},
	{"reader", "GET", "/v1/contacts/c", "", 200},
	{"reader", "GET", "/v1/events?after=0", "", 200},
	{"writer", "POST", "/v1/conversations/c/messages", `{"text":"hello"}`, 201},
	{"writer", "PATCH", "/v1/conversations/c", `{"priority":"High","labels":{"region":"north"},"topics":["outage"],"language":"pt-BR"}`, 200},
	{"writer", "POST", "/v1/conversations/c:assign", `{"owner":{"kind":"agent","name":"ana"}}`, 200},
	{"writer", "POST", "/v1/conversations/c:resolve", "", 200},
	{"writer", "POST", "/v1/conversations/c:snooze", `{"until":"2030-01-01T00:00:00Z"}`, 200},
	{"writer", "POST", "/v1/conversations/c:reopen", "", 200},
	{"writer", "POST", "/v1/conversations/c:request", `{"by":{"kind":"agent","name":"a1"},"epoch":1}`, 200},
	{"writer", "POST", "/v1/conversations/c:pass", `{"to":{"kind":"queue","name":"shop/support"},"epoch":1}`, 200},
	{"writer", "POST", "/v1/conversations/c:take", `{"by":{"kind":"agent","name":"a1"},"epoch":1}`, 200},
	{"writer", "POST", "/v1/conversations/c:release", `{"epoch":1}`, 200},
	{"reader", "GET", "/v1/conversations/c/owners?limit=10", "", 200},
	{"reader", "GET", "/v1/conversations/c/routing?limit=10", "", 200},
	{"writer", "PUT", "/v1/contacts/c/attributes", `{"attributes":{"tier":"gold"}}`, 200},
	{"writer", "POST", "/v1/contacts/c:merge", `{"from":"d"}`, 200},
	{"admin", "DELETE", "/v1/contacts/c", "", 204},
	{"reader", "GET", "/v1/agents?namespace=shop", "", 200},
	{"reader", "GET", "/v1/agents/a1", "", 200},
	{"writer", "POST", "/v1/agents", `{"namespace":"shop","name":"ana","skills":{"lang/fr":5},"classUnits":{"chat":50}}`, 201},
	{"writer", "PUT", "/v1/agents/a1", `{"name":"ana"}`, 200},
	{"writer", "DELETE", "/v1/agents/a1", "", 204},
	{"writer", "POST", "/v1/agents/a1:heartbeat", `{"state":"online"}`, 200},
	{"reader", "GET", "/v1/agents/a1/offers?wait=1", "", 200},
	{"writer", "POST", "/v1/offers/o1:accept", "", 200},
	{"writer", "POST", "/v1/offers/o1:decline", "", 200},
	{"reader", "GET", "/v1/queues", "", 200},
	{"reader", "GET", "/v1/queues/shop/support", "", 200},
	{"reader", "GET", "/v1/surveys", "", 200},
	{"reader", "GET", "/v1/surveys/shop/nps", "", 200},
	{"reader", "GET", "/v1/surveys/shop/nps/report.html", "", 200},
	{"reader", "GET", "/v1/surveys/shop/nps/responses.csv", "", 200},
	{"admin", "GET", "/v1/surveys/shop/nps/responses.csv?personal=true", "", 200},
	{"writer", "POST", "/v1/surveys/shop/nps:trigger", `{"contact":"c","event":"Manual","occurredAt":"2026-01-01T00:00:00Z"}`, 200},
	{"reader", "POST", "/v1/surveys/shop/nps:assignment", `{"channel":"shop/messenger","externalId":"1254"}`, 200},
	{"writer", "POST", "/v1/contacts/c/events", `{"kind":"NegativeEvent"}`, 204},
	{"writer", "PUT", "/v1/contacts/c/consents/survey", `{"state":"optedOut"}`, 204},
	{"writer", "POST", "/v1/media?namespace=shop&name=a.png", "bytes", 201},
	{"reader", "GET", "/v1/dead-letters?channel=shop/telegram&status=unknown&limit=10", "", 200},
	{"writer", "POST", "/v1/dead-letters/m1:requeue", `{"unknown":"resend"}`, 200},
	{"admin", "GET", "/v1/raw?unrouted=true&since=2026-01-01T00:00:00Z", "", 200},
	{"admin", "POST", "/v1/raw:replay", `{"unrouted":true}`, 200},
}

var accesses = map[string]int{"reader": 1, "writer": 2, "admin": 3}

func TestAccess(t *testing.T) {
	api, _ := newAPI(t, newStub(), Options{})
	for _, op := range every {
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			for token, rank := range accesses {
				w := ask(t, api, token, op.method, op.path, op.body)
				if rank >= accesses[op.access] {
					assert.Equal(t, op.want, w.Code, "%s: %s", token, w.Body)
				} else {
					assert.Equal(t, http.StatusForbidden, w.Code)
					assert.Contains(t, w.Header().Get("WWW-Authenticate"), "insufficient_scope")
					problemIn(t, w)
				}
				assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
				assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			}
			for name, authorization := range map[string]string{"none": "", "unknown": "Bearer nobody", "empty": "Bearer ", "basic": "Basic cmVhZGVyOg=="} {
				w := ask(t, api, "", op.method, op.path, op.body, "Authorization", authorization)
				assert.Equal(t, http.StatusUnauthorized, w.Code, name)
				assert.Contains(t, w.Header().Get("WWW-Authenticate"), "Bearer")
				problemIn(t, w)
			}
		})
	}
}

func TestScopeFollowsTheToken(t *testing.T) {
	engine := newStub()
	api, _ := newAPI(t, engine, Options{})
	ask(t, api, "reader", "GET", "/v1/messages", "")
	assert.Equal(t, store.Scope{Namespaces: []string{"shop"}, Caller: "reader"}, engine.scope)
	ask(t, api, "admin", "GET", "/v1/messages", "")
	assert.True(t, engine.scope.All)
}

func TestErrorsOfTheEngine(t *testing.T) {
	secret := "table messages has no column text"
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"not found":   {fmt.Errorf("conversation of namespace other: %w", store.ErrNotFound), 404},
		"conflict":    {fmt.Errorf("epoch is 7: %w", store.ErrConflict), 409},
		"unavailable": {fmt.Errorf("%s: %w", secret, store.ErrUnavailable), 503},
		"deadline":    {context.DeadlineExceeded, 503},
		"mistake":     {errors.New(secret), 500},
		"field":       {fmt.Errorf("send: %w", &store.FieldError{Field: "text", Message: "is too long"}), 422},
	} {
		t.Run(name, func(t *testing.T) {
			engine := newStub()
			engine.err = test.err
			api, log := newAPI(t, engine, Options{})
			for _, op := range every {
				w := ask(t, api, "admin", op.method, op.path, op.body)
				require.Equal(t, test.want, w.Code, op.path)
				problemIn(t, w)
				assert.NotContains(t, w.Body.String(), secret)
				assert.NotContains(t, w.Body.String(), "other", "a 404 does not tell what there is elsewhere")
				assert.Equal(t, test.want == 503, w.Header().Get("Retry-After") != "")
			}
			assert.Equal(t, test.want >= 500, strings.Contains(log.String(), "msg"), "what users cannot mend is logged, the rest is not")
		})
	}
	t.Run("field of a body", func(t *testing.T) {
		engine := newStub()
		engine.err = &store.FieldError{Field: "attachments[0].url", Message: "must be https"}
		api, _ := newAPI(t, engine, Options{})
		w := ask(t, api, "writer", "POST", "/v1/conversations/c/messages", `{"text":"x"}`)
		assert.Equal(t, []string{"body.attachments[0].url"}, problemIn(t, w))
		engine.err = &store.FieldError{Field: "idempotencyKey", Message: "must be valid text"}
		w = ask(t, api, "writer", "POST", "/v1/conversations/c/messages", `{"text":"x"}`)
		assert.Equal(t, []string{"header.Idempotency-Key"}, problemIn(t, w))
	})
}

func TestBadInputNamesTheField(t *testing.T) {
	const text = "4111 1111 1111 1111"
	api, log := newAPI(t, newStub(), Options{})
	for name, test := range map[string]struct {
		method, path, body string
		want               int
		location           string
	}{
		"limit too large":      {"GET", "/v1/messages?limit=201", "", 422, "query.limit"},
		"limit no number":      {"GET", "/v1/messages?limit=x", "", 422, "query.limit"},
		"limit zero":           {"GET", "/v1/messages?limit=0", "", 422, "query.limit"},
		"bad channel":          {"GET", "/v1/messages?channel=telegram", "", 422, "query.channel"},
		"bad direction":        {"GET", "/v1/messages?direction=up", "", 422, "query.direction"},
		"misspelt filter":      {"GET", "/v1/messages?chanel=shop/telegram", "", 422, "query.chanel"},
		"bad state":            {"GET", "/v1/conversations?state=done", "", 422, "query.state"},
		"bad cursor":           {"GET", "/v1/events?after=x", "", 422, "query.after"},
		"negative cursor":      {"GET", "/v1/events?after=-1", "", 422, "query.after"},
		"bad time":             {"GET", "/v1/raw?since=yesterday", "", 422, "query.since"},
		"not JSON":             {"POST", "/v1/conversations/c/messages", `{"text":"` + text, 400, "body"},
		"no body":              {"POST", "/v1/conversations/c/messages", "", 400, ""},
		"unknown field":        {"POST", "/v1/conversations/c/messages", `{"txt":"` + text + `"}`, 422, "body.txt"},
		"wrong type of field":  {"POST", "/v1/conversations/c/messages", `{"text":{"x":"` + text + `"}}`, 422, "body.text"},
		"unknown type":         {"POST", "/v1/conversations/c/messages", `{"type":"` + text + `"}`, 422, "body.type"},
		"attachment kind":      {"POST", "/v1/conversations/c/messages", `{"attachments":[{"kind":"text"}]}`, 422, "body.attachments[0].kind"},
		"latitude":             {"POST", "/v1/conversations/c/messages", `{"location":{"latitude":91,"longitude":0}}`, 422, "body.location.latitude"},
		"author is no contact": {"POST", "/v1/conversations/c/messages", `{"text":"x","author":{"kind":"contact"}}`, 422, "body.author.kind"},
		"owner without kind":   {"POST", "/v1/conversations/c:assign", `{"owner":{}}`, 422, "body.owner"},
		"until no time":        {"POST", "/v1/conversations/c:snooze", `{"until":"tomorrow"}`, 422, "body.until"},
		"no namespace":         {"POST", "/v1/media", "bytes", 422, "query.namespace"},
		"bad status":           {"GET", "/v1/dead-letters?status=sent", "", 422, "query.status"},
		"bad policy":           {"POST", "/v1/dead-letters/m:requeue", `{"unknown":"perhaps"}`, 422, "body.unknown"},
		"state of no consent":  {"PUT", "/v1/contacts/c/consents/survey", `{"state":"perhaps"}`, 422, "body.state"},
		"purpose with a blank": {"PUT", "/v1/contacts/c/consents/a%20b", `{"state":"optedIn"}`, 422, "path.purpose"},
		"kind of no event":     {"POST", "/v1/contacts/c/events", `{"kind":"Joy"}`, 422, "body.kind"},
		"merge with nobody":    {"POST", "/v1/contacts/c:merge", `{"from":""}`, 422, "body.from"},
		"assignment elsewhere": {"POST", "/v1/surveys/shop/nps:assignment", `{"channel":"messenger","externalId":"1"}`, 422, "body.channel"},
		"trigger of nobody":    {"POST", "/v1/surveys/shop/nps:trigger", `{}`, 422, "body.contact"},
		"trigger of two":       {"POST", "/v1/surveys/shop/nps:trigger", `{"contact":"c","conversation":"v"}`, 422, "body.contact"},
		"trigger by itself":    {"POST", "/v1/surveys/shop/nps:trigger", `{"contact":"c","event":"ConversationResolved"}`, 422, "body.event"},
		"template of no cards": {"POST", "/v1/conversations/c/messages", `{"template":{"cards":[]}}`, 422, "body.template.cards"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, api, "admin", test.method, test.path, test.body)
			require.Equal(t, test.want, w.Code, w.Body)
			locations := problemIn(t, w)
			if test.location != "" {
				assert.Contains(t, locations, test.location)
			}
			assert.NotContains(t, w.Body.String(), text, "content comes back in no error")
			assert.Empty(t, log.String())
		})
	}
}

func TestOtherRefusals(t *testing.T) {
	api, _ := newAPI(t, newStub(), Options{})
	for name, test := range map[string]struct {
		method, path, body string
		headers            []string
		want               int
	}{
		"unknown path":        {"GET", "/v2/messages", "", nil, 404},
		"unknown verb":        {"POST", "/v1/conversations/c:explode", "", nil, 405}, // it is an id to POST to
		"inner form of verbs": {"POST", "/v1/conversations/c/:resolve", "", nil, 404},
		"verb without id":     {"POST", "/v1/conversations/:resolve", "", nil, 405},
		"unclean path":        {"GET", "/v1//messages", "", nil, 404},
		"dots":                {"GET", "/v1/x/../messages", "", nil, 404},
		"wrong method":        {"DELETE", "/v1/messages/m", "", nil, 405},
		"other content type":  {"POST", "/v1/conversations/c/messages", "<x/>", []string{"Content-Type", "application/xml"}, 415},
		"body too large":      {"POST", "/v1/conversations/c/messages", `{"text":"` + strings.Repeat("x", maxBody) + `"}`, nil, 413},
		"id too long":         {"GET", "/v1/messages/" + strings.Repeat("x", 200), "", nil, 422},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, api, "admin", test.method, test.path, test.body, test.headers...)
			assert.Equal(t, test.want, w.Code, w.Body)
			problemIn(t, w)
			if test.want == 405 {
				assert.NotEmpty(t, w.Header().Get("Allow"))
			}
		})
	}
}

func TestVerbsTakeEscapedIDs(t *testing.T) {
	api, _ := newAPI(t, newStub(), Options{})
	for path, id := range map[string]string{
		"/v1/conversations/a%2Fb:resolve":    "a/b",
		"/v1/conversations/a:b:resolve":      "a:b",
		"/v1/conversations/%3Aassign:reopen": ":assign",
	} {
		w := ask(t, api, "writer", "POST", path, "")
		require.Equal(t, http.StatusOK, w.Code, path)
		var c Conversation
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &c))
		assert.Equal(t, id, c.ID)
	}
}

func TestSend(t *testing.T) {
	engine := newStub()
	api, _ := newAPI(t, engine, Options{})
	w := ask(t, api, "writer", "POST", "/v1/conversations/c/messages",
		`{"attachments":[{"kind":"image","url":"/v1/media/u1","caption":"look"}],"replyTo":"9"}`, "Idempotency-Key", "key-1")
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	assert.Equal(t, "/v1/messages/m1", w.Header().Get("Location"))
	assert.Equal(t, store.SendRequest{
		IdempotencyKey: "key-1", Author: message.Author{Kind: message.AuthorAgent, Name: "writer"}, Type: message.TypeImage, ReplyTo: "9",
		Attachments: []message.Attachment{{Kind: message.TypeImage, MediaID: "u1", Caption: "look"}},
	}, engine.sent)

	for body, want := range map[string]message.Type{
		`{"text":"x"}`: message.TypeText,
		`{"location":{"latitude":1.5,"longitude":2}}`:    message.TypeLocation,
		`{"reaction":{"emoji":"👍","target":"9"}}`:        message.TypeReaction,
		`{"type":"edit","text":"y","target":"9"}`:        message.TypeEdit,
		`{"text":"x","author":{"kind":"bot"},"epoch":3}`: message.TypeText,
	} {
		w := ask(t, api, "writer", "POST", "/v1/conversations/c/messages", body)
		require.Equal(t, http.StatusCreated, w.Code, w.Body)
		assert.Equal(t, want, engine.sent.Type, body)
	}
}

func TestAcceptIsNeverInTheWay(t *testing.T) {
	api, log := newAPI(t, newStub(), Options{})
	for _, accept := range []string{"", "*/*", "text/html", "application/json;,b", ";,;", "a;q=,", "application/cbor", strings.Repeat(";", 1000)} {
		w := ask(t, api, "reader", "GET", "/v1/messages", "", "Accept", accept)
		assert.Equal(t, http.StatusOK, w.Code, accept)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
		assert.JSONEq(t, `{"items":[]}`, w.Body.String())
	}
	assert.Empty(t, log.String())
}

func TestPanicsAreAnswered(t *testing.T) {
	api, log := newAPI(t, panics{newStub()}, Options{})
	w := ask(t, api, "reader", "GET", "/v1/contacts/c", "")
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	problemIn(t, w)
	assert.Contains(t, log.String(), "panicked")
	assert.NotContains(t, log.String(), "Ana", "a panic may quote what was at hand")
}

type panics struct{ *stub }

func (panics) Contact(context.Context, store.Scope, string) (store.Contact, error) {
	panic("contact Ana has no identity")
}

func TestMetricsHoldRoutesAndNoIDs(t *testing.T) {
	registry := prometheus.NewRegistry()
	api, _ := newAPI(t, newStub(), Options{Registerer: registry})
	ask(t, api, "reader", "GET", "/v1/conversations/secret-id", "")
	ask(t, api, "writer", "POST", "/v1/conversations/secret-id:resolve", "")
	ask(t, api, "", "GET", "/v1/conversations/secret-id", "")
	ask(t, api, "", "BREW", "/secret-id", "")
	families, err := registry.Gather()
	require.NoError(t, err)
	var all strings.Builder
	for _, f := range families {
		fmt.Fprintln(&all, f)
	}
	assert.NotContains(t, all.String(), "secret-id")
	assert.NotContains(t, all.String(), "BREW")
	assert.Contains(t, all.String(), "/v1/conversations/{id}:resolve")
	assert.Contains(t, all.String(), "unmatched")
}

func TestOpenAPI(t *testing.T) {
	api, _ := newAPI(t, newStub(), Options{Version: "1.2.3"})
	w := ask(t, api, "", "GET", "/openapi.json", "")
	require.Equal(t, http.StatusOK, w.Code)
	var doc struct {
		OpenAPI string
		Info    struct{ Version string }
		Paths   map[string]map[string]struct {
			Responses map[string]any
			Security  []any
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
	assert.True(t, strings.HasPrefix(doc.OpenAPI, "3.1"))
	assert.Equal(t, "1.2.3", doc.Info.Version)
	assert.Contains(t, doc.Paths, "/v1/conversations/{id}:assign")
	for path, methods := range doc.Paths {
		for method, op := range methods {
			for _, code := range []string{"401", "403", "503"} {
				assert.Contains(t, op.Responses, code, "%s %s", method, path)
			}
		}
	}
	assert.Contains(t, doc.Components.Schemas["Message"].Properties, "text")
	assert.NotContains(t, doc.Components.Schemas["Attachment"].Properties, "ref")

	w = ask(t, api, "", "GET", "/openapi.yaml", "")
	require.Equal(t, http.StatusOK, w.Code)
	assert.Contains(t, w.Body.String(), "/v1/conversations/{id}:assign:")
	asJSON, err := OpenAPI("1.2.3", false)
	require.NoError(t, err)
	assert.JSONEq(t, string(asJSON), ask(t, api, "", "GET", "/openapi.json", "").Body.String())
}

// Every operation of the description is in the table of this file.
func TestEveryOperationIsTested(t *testing.T) {
	api, _ := newAPI(t, newStub(), Options{})
	tested := map[string]bool{"GET /openapi.json": true, "GET /openapi.yaml": true, "GET /v1/media/{id}": true} // media: media_test.go
	for _, op := range every {
		r, err := http.NewRequestWithContext(t.Context(), op.method, op.path, nil)
		require.NoError(t, err)
		_, pattern := api.mux.route(r)
		tested[pattern] = true
	}
	for _, pattern := range api.mux.public {
		assert.True(t, tested[pattern], pattern)
	}
}

// The same key means the same write only where everything else is the same too.
func TestKeysNameAWriteWithAllThatItDependsOn(t *testing.T) {
	engine := newStub()
	api, _ := newAPI(t, engine, Options{})
	seen := map[string]string{} // fingerprint → request
	for _, op := range every {
		if op.method != "POST" && op.method != "PATCH" || strings.HasSuffix(op.path, "/messages") || strings.HasSuffix(op.path, ":replay") || strings.HasSuffix(op.path, ":heartbeat") || op.access == "reader" {
			continue // messages have a key of their own; a replay and a heartbeat are the same however often they are done; a read is no write
		}
		w := ask(t, api, "admin", op.method, op.path, op.body, "Idempotency-Key", "k1")
		require.Equal(t, op.want, w.Code, w.Body)
		first := engine.scope.Write
		assert.Equal(t, "k1", first.Key, op.path)
		assert.Empty(t, seen[first.Fingerprint], op.path)
		seen[first.Fingerprint] = op.path
		ask(t, api, "admin", op.method, op.path, op.body, "Idempotency-Key", "k1")
		assert.Equal(t, first, engine.scope.Write, op.path)
		ask(t, api, "admin", op.method, op.path, op.body)
		assert.Zero(t, engine.scope.Write, "without a key each is one of its own")
	}
	assert.Len(t, seen, 17)
	ask(t, api, "admin", "POST", "/v1/conversations/c:assign", `{"owner":{"kind":"agent","name":"bea"}}`, "Idempotency-Key", "k1")
	assert.Empty(t, seen[engine.scope.Write.Fingerprint], "another body")
	ask(t, api, "admin", "POST", "/v1/conversations/d:resolve", "", "Idempotency-Key", "k1")
	assert.Empty(t, seen[engine.scope.Write.Fingerprint], "another conversation")
}
