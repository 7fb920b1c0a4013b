package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Answer is a platform's answer to a request, with its body in memory.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do makes one request and reads at most limit bytes of its answer. Any answer
// is a success here, whatever its status; the error is an *Error of class
// Retryable that says in MaybeSent whether the request had left completely, and
// in Reason nothing of its URL, which may hold a token. The request's body is
// always closed.
func Do(client *http.Client, req *http.Request, limit int64) (Answer, error) {
	resp, sent, err := open(client, req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, readErr := ReadBounded(resp.Body, limit)
	if readErr != nil {
		return Answer{}, networkError(req, readErr, sent.Load())
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// Open is Do for answers that are streamed: the caller closes the body.
func Open(client *http.Client, req *http.Request) (*http.Response, error) {
	resp, _, err := open(client, req)
	return resp, err
}

func open(client *http.Client, req *http.Request) (*http.Response, *atomic.Bool, error) {
	sent := new(atomic.Bool) // the transport's goroutines may still write after Do returned
	trace := &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			sent.Store(true)
		}
	}}
	resp, err := client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		return nil, sent, networkError(req, err, sent.Load())
	}
	return resp, sent, nil
}

// ErrTooLarge says that an answer is longer than the caller allows.
var ErrTooLarge = errors.New("the answer is too large")

// ReadBounded reads all of r, or fails with ErrTooLarge beyond limit bytes.
func ReadBounded(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return body, err
}

// networkError classes a failure to get an answer. Without a complete request
// nothing can have happened at the platform; with one, anything can.
func networkError(req *http.Request, err error, sent bool) *Error {
	// url.Error repeats the URL, and some platforms have the token in its path.
	var wrapped *url.Error
	for errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	reason := fmt.Sprintf("no answer from %s: %v", req.URL.Hostname(), err)
	if errors.Is(err, context.DeadlineExceeded) {
		reason = fmt.Sprintf("no answer from %s in time", req.URL.Hostname())
	}
	return &Error{Class: wire.ErrRetryable, Reason: reason, MaybeSent: sent, Err: err}
}

// StatusError classes an answer by its HTTP status alone, for answers whose
// body says nothing (a proxy's page). It is nil for 2xx.
func StatusError(a Answer, now time.Time) *Error {
	e := &Error{Reason: fmt.Sprintf("HTTP %d %s", a.Status, http.StatusText(a.Status)), RetryAfter: RetryAfter(a.Header, now)}
	switch {
	case a.Status >= 200 && a.Status < 300:
		return nil
	case a.Status == http.StatusTooManyRequests:
		e.Class, e.Scope = wire.ErrRateLimited, wire.ScopeChannel
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		e.Class = wire.ErrAuthInvalid
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly:
		e.Class = wire.ErrRetryable
	case a.Status == http.StatusRequestEntityTooLarge:
		e.Class = wire.ErrContentRejected
	case a.Status >= 500:
		// 503 is a refusal to begin; the others may come after the work was done.
		e.Class, e.MaybeSent = wire.ErrRetryable, a.Status != http.StatusServiceUnavailable
	case a.Status < 400, a.Status == http.StatusNotFound, a.Status == http.StatusMethodNotAllowed:
		e.Class = wire.ErrMisconfigured // a redirect elsewhere, or no such API here: a wrong base URL
	default:
		e.Class = wire.ErrUnknown
	}
	return e
}

// maxRetryAfter bounds what a platform, or a broken proxy, can make us wait.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads a Retry-After header: seconds or an HTTP date, RFC 9110
// section 10.2.3. It is 0 when there is none, or none that makes sense, and at
// most a day.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if !(seconds > 0) { // also true for NaN
			return 0
		}
		if seconds > maxRetryAfter.Seconds() {
			return maxRetryAfter
		}
		return time.Duration(seconds * float64(time.Second))
	}
	at, err := http.ParseTime(value)
	if err != nil || !at.After(now) {
		return 0
	}
	return min(at.Sub(now), maxRetryAfter)
}

// redacted stands for a secret in a text.
const redacted = "[redacted]"

// minSecret is the shortest secret that Redact looks for: replacing one or two
// letters would shred the text and protect nothing.
const minSecret = 4

// Redact removes secrets from a text that people will see, also in the form
// that they have in URLs.
func Redact(text string, secrets ...string) string {
	var forms []string
	for _, s := range secrets {
		if len(s) >= minSecret {
			forms = append(forms, s, url.PathEscape(s), url.QueryEscape(s))
		}
	}
	// Longest first: one secret may be a part of another.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, f := range forms {
		text = strings.ReplaceAll(text, f, redacted)
	}
	return text
}

// RedactError is Redact for the texts of an *Error, which it changes. Its chain
// is cut when it holds a secret: %+v and errors.As would show it again.
func RedactError(e *Error, secrets ...string) *Error {
	e.Reason = Redact(e.Reason, secrets...)
	if e.Err != nil && Redact(e.Err.Error(), secrets...) != e.Err.Error() {
		e.Err = errors.New(Redact(e.Err.Error(), secrets...))
	}
	return e
}
