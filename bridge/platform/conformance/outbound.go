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
	other func() []string // of a server that speaks another protocol
}

// got are the texts that it got since it was last asked.
func (srv *server) got() []string {
	if srv.other != nil {
		return srv.other()
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	texts := srv.texts
	srv.texts = nil
	return texts
}

func (s Suite) serve(t *testing.T, reply Reply) *server {
	srv := &server{}
	if s.Outbound != nil {
		endpoint, texts := s.Outbound.Serve(t, reply)
		srv.Server, srv.other = &httptest.Server{URL: endpoint}, texts
		return srv
	}
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
		s.sentAsPlanned(t, s.serve(t, s.Sent))
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
		var planned []string
		for _, p := range parts {
			require.LessOrEqual(t, caps.Text.Unit.Len(p.Text), caps.Text.Max)
			require.Empty(t, strings.Trim(strings.ReplaceAll(p.Text, family, ""), "a"), "a family was torn apart")
			_, err := s.send(t, srv.URL, p)
			require.NoError(t, err)
			planned = append(planned, p.Text)
		}
		require.Equal(t, planned, srv.got())
	}
	s.sentAsPlanned(t, srv)
}

// sentAsPlanned: a text arrives to the letter, as far as the medium lets it.
func (s Suite) sentAsPlanned(t *testing.T, srv *server) {
	for _, text := range texts[:len(texts)-1] {
		_, err := s.send(t, srv.URL, wire.Part{Text: text})
		require.NoError(t, err)
		got := srv.got()
		require.Len(t, got, 1)
		if s.AsWritten != nil {
			text, got[0] = s.AsWritten(text), s.AsWritten(got[0])
		}
		require.Equal(t, text, got[0])
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
	if s.Outbound != nil {
		for _, b := range s.Outbound.Breaks {
			t.Run(b.Name, func(t *testing.T) { s.breaks(t, b.Endpoint(t), b.MaybeSent) })
		}
		require.NotEmpty(t, s.Outbound.Breaks)
		return
	}
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
	if s.Outbound != nil {
		return // tested by the platform itself
	}
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
