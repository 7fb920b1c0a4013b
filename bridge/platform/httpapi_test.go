package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	tests := map[string]time.Duration{
		"": 0, "0": 0, "-5": 0, "soon": 0, "NaN": 0, "120": 2 * time.Minute, " 3 ": 3 * time.Second, "1.5": 1500 * time.Millisecond,
		"99999999999999999999":          24 * time.Hour,
		"+Inf":                          24 * time.Hour,
		"Sun, 22 Nov 2026 10:01:00 GMT": time.Minute,
		"Sun, 22 Nov 2026 09:59:00 GMT": 0,
		"Sun, 22 Nov 2099 09:59:00 GMT": 24 * time.Hour,
	}
	for value, want := range tests {
		require.Equal(t, want, RetryAfter(http.Header{"Retry-After": {value}}, now), "%q", value)
	}
}

func TestRedact(t *testing.T) {
	const token = "123:ab/c+d"
	tests := map[string]string{
		"plain " + token: "plain [redacted]",
		"url https://h/bot" + url.PathEscape(token): "url https://h/bot[redacted]",
		"query ?t=" + url.QueryEscape(token):        "query ?t=[redacted]",
		"nothing":                                   "nothing",
	}
	for text, want := range tests {
		require.Equal(t, want, Redact(text, "ab/c+d", token, "", "a"), "the longer secret goes first, one letter is none")
	}
}

func TestStatusErrorClasses(t *testing.T) {
	tests := map[int]struct {
		class     wire.ErrorClass
		maybeSent bool
	}{
		302: {wire.ErrMisconfigured, false}, 401: {wire.ErrAuthInvalid, false}, 403: {wire.ErrAuthInvalid, false}, 404: {wire.ErrMisconfigured, false},
		405: {wire.ErrMisconfigured, false}, 408: {wire.ErrRetryable, false}, 413: {wire.ErrContentRejected, false}, 418: {wire.ErrUnknown, false},
		425: {wire.ErrRetryable, false}, 429: {wire.ErrRateLimited, false}, 500: {wire.ErrRetryable, true}, 502: {wire.ErrRetryable, true},
		503: {wire.ErrRetryable, false}, 504: {wire.ErrRetryable, true},
	}
	for status, want := range tests {
		e := StatusError(Answer{Status: status, Header: http.Header{"Retry-After": {"9"}}}, time.Now())
		require.Equal(t, want.class, e.Class, status)
		require.Equal(t, want.maybeSent, e.MaybeSent, status)
		require.Equal(t, 9*time.Second, e.RetryAfter, status)
	}
	require.Nil(t, StatusError(Answer{Status: 204}, time.Now()))
}

func post(t *testing.T, ctx context.Context, target string, body io.Reader) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	require.NoError(t, err)
	return req
}

func TestDoTellsWhetherTheRequestLeft(t *testing.T) {
	hang := make(chan struct{})
	short, arrived := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/abort/secret":
			panic(http.ErrAbortHandler)
		case "/hang/secret":
			arrived()
			<-hang
		case "/large/secret":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 100))
		}
	}))
	defer srv.Close()
	defer close(hang)
	client := NewClient(GuardOptions{AllowPrivate: true})
	tests := []struct {
		name      string
		req       *http.Request
		maybeSent bool
	}{
		{"aborted after it arrived", post(t, t.Context(), srv.URL+"/abort/secret", strings.NewReader("x")), true},
		{"no answer in time", post(t, short, srv.URL+"/hang/secret", strings.NewReader("x")), true},
		{"answer too large", post(t, t.Context(), srv.URL+"/large/secret", strings.NewReader("x")), true},
		{"body broke off", post(t, t.Context(), srv.URL+"/secret", io.MultiReader(strings.NewReader("x"), brokenReader{})), false},
		{"nobody there", post(t, t.Context(), "http://127.0.0.1:1/secret", strings.NewReader("x")), false},
		{"not allowed", post(t, t.Context(), "http://169.254.169.254/secret", strings.NewReader("x")), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Do(client, tt.req, 50)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, wire.ErrRetryable, e.Class)
			require.Equal(t, tt.maybeSent, e.MaybeSent, e.Reason)
			for err := error(e); err != nil; err = errors.Unwrap(err) {
				require.NotContains(t, fmt.Sprintf("%+v", err), "/secret", "a path may hold a token")
			}
		})
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broke off") }

func TestRedactErrorCutsALeakyChain(t *testing.T) {
	inner := errors.New("Get https://h/botTOKEN-1: refused")
	e := RedactError(&Error{Reason: "of TOKEN-1", Err: inner}, "TOKEN-1")
	require.Equal(t, "of [redacted]", e.Reason)
	require.NotErrorIs(t, e, inner)
	require.NotContains(t, e.Err.Error(), "TOKEN-1")
	harmless := errors.New("refused")
	require.ErrorIs(t, RedactError(&Error{Reason: "x", Err: harmless}, "TOKEN-1"), harmless)
}
