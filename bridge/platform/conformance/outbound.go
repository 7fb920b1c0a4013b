package conformance

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// server answers every request with reply and keeps the texts that it got.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	texts []string
}

func (s Suite) serve(t *testing.T, reply Reply) *server {
	srv := &server{}
	srv.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		srv.mu.Lock()
		srv.texts = append(srv.texts, s.TextOf(r, body))
		srv.mu.Unlock()
		reply.write(w)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func (r Reply) write(w http.ResponseWriter) {
	for name, values := range r.Header {
		w.Header()[name] = values
	}
	status := r.Status
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, r.Body)
}

func (s Suite) send(t *testing.T, endpoint string, part wire.Part) (platform.SendResult, error) {
	return s.Platform.Send(ctx, s.loaded(t, endpoint), platform.Outgoing{Delivery: "01JCONFORMANCE", To: s.Contact, Part: part})
}

// splitting: a text at the limit is one message and one unit more are two, no
// grapheme is broken, and what is sent is what was planned, to the letter.
func splitting(t *testing.T, s Suite) {
	caps := s.Platform.Capabilities()
	if caps.Text.Max == 0 { // then the longest is one message
		parts, err := platform.Plan(caps, message.Message{Text: strings.Repeat("many words ", 10_000)})
		require.NoError(t, err)
		require.Len(t, parts, 1)
		return
	}
	const family = "👨‍👩‍👧‍👦"
	size := caps.Text.Unit.Len(family)
	full := strings.Repeat("a", caps.Text.Max%size) + strings.Repeat(family, caps.Text.Max/size)
	require.Equal(t, caps.Text.Max, caps.Text.Unit.Len(full))
	srv := s.serve(t, s.Sent)
	for text, want := range map[string]int{full: 1, full + "a": 2, family + full: 2, full + "\n\n" + full: 2} {
		parts, err := platform.Plan(caps, message.Message{Text: text})
		require.NoError(t, err)
		require.Len(t, parts, want)
		srv.texts = nil
		var planned []string
		for _, p := range parts {
			require.LessOrEqual(t, caps.Text.Unit.Len(p.Text), caps.Text.Max)
			require.Empty(t, strings.Trim(strings.ReplaceAll(p.Text, family, ""), "a"), "a family was torn apart")
			_, err := s.send(t, srv.URL, p)
			require.NoError(t, err)
			planned = append(planned, p.Text)
		}
		require.Equal(t, planned, srv.texts)
	}
	for _, text := range texts[:len(texts)-1] {
		srv.texts = nil
		_, err := s.send(t, srv.URL, wire.Part{Text: text})
		require.NoError(t, err)
		require.Equal(t, []string{text}, srv.texts)
	}
}

func sending(t *testing.T, s Suite) {
	srv := s.serve(t, s.Sent)
	result, err := s.send(t, srv.URL, wire.Part{Text: "hello"})
	require.NoError(t, err)
	require.Equal(t, s.IDs, result.ExternalIDs)

	srv = s.serve(t, Reply{Body: `{"unexpected":true}`})
	_, err = s.send(t, srv.URL, wire.Part{Text: "hello"})
	refused := asError(t, err)
	require.True(t, refused.MaybeSent, "an answer that cannot be read is no proof that nothing was sent")
}

func refusals(t *testing.T, s Suite) {
	seen := map[wire.ErrorClass]bool{}
	for _, r := range s.Refusals {
		seen[r.Class] = true
		t.Run(r.Name, func(t *testing.T) {
			srv := s.serve(t, r.Reply)
			_, err := s.send(t, srv.URL, wire.Part{Text: "hello"})
			got := asError(t, err)
			require.Equal(t, r.Class, got.Class, got.Reason)
			require.Equal(t, r.RetryAfter, got.RetryAfter)
			require.Equal(t, r.Scope, got.Scope)
			require.Equal(t, r.MaybeSent, got.MaybeSent)
			require.Equal(t, r.NewAddress, got.NewAddress)
			require.NotEmpty(t, got.Reason)
			noSecrets(t, err, s.loaded(t, srv.URL).Secrets())
		})
	}
	for _, class := range []wire.ErrorClass{wire.ErrRetryable, wire.ErrRateLimited, wire.ErrAuthInvalid, wire.ErrRecipientGone, wire.ErrContentRejected} {
		require.True(t, seen[class], "no refusal of class %s among the fixtures", class)
	}
	leaky := Reply{Status: http.StatusBadRequest, Body: fmt.Sprintf(`{"ok":false,"error":{"message":%[1]q},"description":%[1]q,"message":%[1]q}`, strings.Join(s.loaded(t, "").Secrets(), " "))}
	srv := s.serve(t, leaky)
	_, err := s.send(t, srv.URL, wire.Part{Text: "hello"})
	require.Error(t, err)
	noSecrets(t, err, s.loaded(t, srv.URL).Secrets())
}

func network(t *testing.T, s Suite) {
	t.Run("nobody listens", func(t *testing.T) {
		srv := httptest.NewServer(http.NotFoundHandler())
		srv.Close()
		s.breaks(t, srv.URL, false)
	})
	t.Run("the name does not resolve", func(t *testing.T) {
		s.breaks(t, "http://nobody.invalid", false)
	})
	t.Run("the connection ends after the request", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		}))
		defer srv.Close()
		s.breaks(t, srv.URL, true)
	})
	t.Run("the answer breaks off", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "{")
			panic(http.ErrAbortHandler)
		}))
		defer srv.Close()
		s.breaks(t, srv.URL, true)
	})
}

func (s Suite) breaks(t *testing.T, endpoint string, maybeSent bool) {
	_, err := s.send(t, endpoint, wire.Part{Text: "hello"})
	got := asError(t, err)
	require.Equal(t, wire.ErrRetryable, got.Class)
	require.Equal(t, maybeSent, got.MaybeSent)
	noSecrets(t, err, s.loaded(t, endpoint).Secrets())
}

func probe(t *testing.T, s Suite) {
	srv := s.serve(t, s.Probed)
	result, err := s.Platform.Probe(ctx, s.loaded(t, srv.URL))
	require.NoError(t, err)
	require.Equal(t, s.Spec.Account, result.Account)
	require.NotEmpty(t, result.DisplayName)

	srv = s.serve(t, s.Stranger)
	_, err = s.Platform.Probe(ctx, s.loaded(t, srv.URL))
	require.Equal(t, wire.ErrMisconfigured, asError(t, err).Class)
	noSecrets(t, err, s.loaded(t, srv.URL).Secrets())
}

func asError(t *testing.T, err error) *platform.Error {
	t.Helper()
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	return e
}

// noSecrets looks into an error's whole chain, as %+v and a debugger would.
func noSecrets(t *testing.T, err error, secrets []string) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		text := fmt.Sprintf("%v %+v %#v", e, e, e)
		for _, secret := range secrets {
			require.NotContains(t, text, secret, "an error tells a secret")
		}
	}
}
