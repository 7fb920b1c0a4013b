package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// stub is an engine for what the real one cannot be brought to do: each error,
// a token with each access, events at will. It answers err when that is set.
type stub struct {
	mu     sync.Mutex
	err    error
	tokens map[string]document.Token
	scope  store.Scope
	sent   store.SendRequest
	events []store.Event
	wake   chan struct{}
	gone   int64 // horizon
	media  func() (store.MediaMeta, io.ReadCloser)
	upload int64

	surveys   []store.Survey
	report    store.SurveyReport
	responses []store.SurveyResponse
	personal  bool
	trigger   store.SurveyTrigger
	whom      store.SurveyWhom
}

func newStub() *stub {
	return &stub{wake: make(chan struct{}), tokens: map[string]document.Token{
		"reader": {Access: document.AccessRead, Namespaces: []string{"shop"}},
		"writer": {Access: document.AccessWrite, Namespaces: []string{"shop"}},
		"admin":  {Access: document.AccessAdmin, Namespaces: []string{"*"}},
	}}
}

func (e *stub) seen(s store.Scope) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scope = s
	return e.err
}

func (e *stub) Token(_ context.Context, value string, _ time.Time) (document.Token, string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t, ok := e.tokens[value]
	if !ok {
		return t, "", store.ErrNotFound
	}
	return t, value, nil
}

func (e *stub) withdraw(token string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.tokens, token)
}

func (e *stub) Messages(_ context.Context, s store.Scope, _ store.MessageQuery) (store.Page[message.Message], error) {
	return store.Page[message.Message]{}, e.seen(s)
}

func (e *stub) Message(_ context.Context, s store.Scope, _ string) (message.Message, error) {
	return message.Message{}, e.seen(s)
}

func (e *stub) Conversations(_ context.Context, s store.Scope, _ store.ConversationQuery) (store.Page[store.Conversation], error) {
	return store.Page[store.Conversation]{}, e.seen(s)
}

func (e *stub) Conversation(_ context.Context, s store.Scope, _ string) (store.Conversation, error) {
	return store.Conversation{}, e.seen(s)
}

func (e *stub) ConversationMessages(_ context.Context, s store.Scope, _ string, _ store.PageQuery) (store.Page[message.Message], error) {
	return store.Page[message.Message]{}, e.seen(s)
}

func (e *stub) Contacts(_ context.Context, s store.Scope, _ store.ContactQuery) (store.Page[store.Contact], error) {
	return store.Page[store.Contact]{}, e.seen(s)
}

func (e *stub) Contact(_ context.Context, s store.Scope, _ string) (store.Contact, error) {
	return store.Contact{}, e.seen(s)
}

func (e *stub) Events(_ context.Context, s store.Scope, after int64, limit int) ([]store.Event, int64, error) {
	if err := e.seen(s); err != nil {
		return nil, 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case after == store.EventsLatest:
		return nil, int64(len(e.events)), nil
	case after == store.EventsOldest:
		after = e.gone
	case after < e.gone:
		return nil, 0, fmt.Errorf("cursor %d: %w", after, store.ErrGone)
	}
	var out []store.Event
	next := after
	for _, ev := range e.events {
		if ev.Cursor <= after || len(out) == limit {
			continue
		}
		next = ev.Cursor
		if s.Allows(ev.Namespace) {
			out = append(out, ev)
		}
	}
	return out, next, nil
}

func (e *stub) WaitEvents(ctx context.Context, after int64) error {
	e.mu.Lock()
	wake, last := e.wake, int64(0)
	if n := len(e.events); n > 0 {
		last = e.events[n-1].Cursor
	}
	e.mu.Unlock()
	if last > after {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wake:
		return nil
	}
}

// happen appends events of a namespace.
func (e *stub) happen(namespace string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for range n {
		e.events = append(e.events, store.Event{
			Cursor: int64(len(e.events) + 1), Type: store.EventMessageCreated, Namespace: namespace,
			Message: &message.Message{ID: fmt.Sprint(len(e.events)), Type: message.TypeText, Text: "line one\nline two"},
		})
	}
	close(e.wake)
	e.wake = make(chan struct{})
}

func (e *stub) OpenMedia(_ context.Context, s store.Scope, _ string) (store.MediaMeta, io.ReadCloser, error) {
	if err := e.seen(s); err != nil || e.media == nil {
		return store.MediaMeta{}, nil, err
	}
	meta, body := e.media()
	return meta, body, nil
}

func (e *stub) RawEntries(_ context.Context, s store.Scope, _ store.RawQuery) (store.Page[store.RawEntry], error) {
	return store.Page[store.RawEntry]{}, e.seen(s)
}

func (e *stub) Send(_ context.Context, s store.Scope, conversation string, req store.SendRequest) (message.Message, error) {
	e.sent = req
	return message.Message{ID: "m1", Conversation: conversation, Type: req.Type, Direction: message.Outbound, Status: message.StatusQueued}, e.seen(s)
}

func (e *stub) Assign(_ context.Context, s store.Scope, id string, owner store.Owner, epoch int64) (store.Conversation, error) {
	return store.Conversation{ID: id, Owner: owner, Epoch: epoch + 1}, e.seen(s)
}

func (e *stub) Resolve(_ context.Context, s store.Scope, id string) (store.Conversation, error) {
	return store.Conversation{ID: id, State: store.ConversationSolved}, e.seen(s)
}

func (e *stub) Snooze(_ context.Context, s store.Scope, id string, until time.Time) (store.Conversation, error) {
	return store.Conversation{ID: id, State: store.ConversationSnoozed, SnoozedUntil: &until}, e.seen(s)
}

func (e *stub) Reopen(_ context.Context, s store.Scope, id string) (store.Conversation, error) {
	return store.Conversation{ID: id, State: store.ConversationOpen}, e.seen(s)
}

func (e *stub) UploadMedia(_ context.Context, s store.Scope, _ string, _ store.MediaMeta, body io.Reader) (string, error) {
	n, err := io.Copy(io.Discard, body)
	if err != nil {
		return "", fmt.Errorf("media: %w", err)
	}
	e.upload = n
	return "u1", e.seen(s)
}

func (e *stub) DeadLetters(_ context.Context, s store.Scope, _ store.DeadLetterQuery) (store.Page[store.DeadLetter], error) {
	return store.Page[store.DeadLetter]{Items: []store.DeadLetter{{Message: message.Message{ID: "m1"}, Attempts: 3, Parts: []store.DeadPart{{Index: 0, State: "failed"}}}}}, e.seen(s)
}

func (e *stub) Requeue(_ context.Context, s store.Scope, id string, _ store.UnknownPolicy) (message.Message, error) {
	return message.Message{ID: id, Status: message.StatusQueued}, e.seen(s)
}

func (e *stub) Replay(_ context.Context, s store.Scope, _ store.RawQuery) (store.ReplayResult, error) {
	return store.ReplayResult{Entries: 3}, e.seen(s)
}

// newAPI makes the API of an engine, with its log in the returned buffer.
func newAPI(t testing.TB, engine Engine, opts Options) (*API, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	opts.Log = slog.New(slog.NewJSONHandler(log, nil))
	a, err := New(engine, opts)
	require.NoError(t, err)
	return a, log
}

// ask does one request with a token.
func ask(t testing.TB, h http.Handler, token, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// problemIn is the problem of an answer, checked for its form.
func problemIn(t testing.TB, w *httptest.ResponseRecorder) (locations []string) {
	t.Helper()
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), w.Body)
	var p struct {
		Title, Detail string
		Status        int
		Errors        []struct{ Location, Message string }
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, w.Code, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	for _, e := range p.Errors {
		locations = append(locations, e.Location)
	}
	return locations
}
