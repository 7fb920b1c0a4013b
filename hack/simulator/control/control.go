// Package control is what the control APIs of all simulated platforms share:
// JSON in and out, errors, long polling, health.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxBody bounds a request: room for the largest file of a platform (50 MB) in
// base64, which makes 4 bytes of 3.
const maxBody = 72 << 20

// Error is a refusal with its HTTP status.
type Error struct {
	Status  int
	Message string
	Body    any // sent beside the message under "partial"; nil: nothing
}

func (e *Error) Error() string { return e.Message }

// NotFound makes a 404.
func NotFound(format string, args ...any) error {
	return &Error{Status: http.StatusNotFound, Message: fmt.Sprintf(format, args...)}
}

// Bad makes a 400.
func Bad(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// API is a set of endpoints that speak JSON.
type API struct{ mux http.ServeMux }

// Raw is a result that is written as it is.
type Raw struct {
	ContentType string
	Data        []byte
}

// Handle adds an endpoint; pattern is that of http.ServeMux. An error that is
// no *Error is a mistake of the caller: 400.
func (a *API) Handle(pattern string, h func(*http.Request) (any, error)) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		result, err := h(r)
		if err != nil {
			writeError(w, err)
			return
		}
		if raw, ok := result.(Raw); ok {
			w.Header().Set("Content-Type", raw.ContentType)
			_, _ = w.Write(raw.Data) // the caller has gone: nobody to tell
			return
		}
		write(w, http.StatusOK, result)
	})
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

func writeError(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Status: http.StatusBadRequest, Message: err.Error()}
	}
	write(w, e.Status, struct {
		Error   string `json:"error"`
		Partial any    `json:"partial,omitempty"`
	}{e.Message, e.Body})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the caller has gone: nobody to tell
}

// Decode reads a JSON body; unknown fields are mistakes, no body is the zero
// value.
func Decode[T any](r *http.Request) (T, error) {
	var v T
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		return v, Bad("body: %v", err)
	}
	return v, nil
}

// maxWait bounds a long poll.
const maxWait = 10 * time.Minute

// Wait returns a context for a long poll that ends after ?timeout= (a duration
// as Go writes it, default 30s).
func Wait(r *http.Request) (context.Context, context.CancelFunc, error) {
	timeout := 30 * time.Second
	if text := r.URL.Query().Get("timeout"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 || d > maxWait {
			return nil, nil, Bad("timeout: use a duration up to %s, e.g. 30s", maxWait)
		}
		timeout = d
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return ctx, cancel, nil
}

// WaitFor reads ?waitFor=, how many there must be; 0 without it.
func WaitFor(r *http.Request) (int, error) {
	text := r.URL.Query().Get("waitFor")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, Bad("waitFor: use a number from 0 on")
	}
	return n, nil
}

// TimedOut turns the end of a wait into a 408 that carries what there was.
func TimedOut(err error, partial any) error {
	return &Error{Status: http.StatusRequestTimeout, Message: err.Error(), Body: partial}
}

// Platform is one simulated platform.
type Platform struct {
	Name    string // in the path: /control/{name}/
	Control http.Handler
}

// Root joins platforms: /control/{name}/… for each, /control/… for the first,
// and /healthz.
func Root(platforms ...Platform) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	for i, p := range platforms {
		prefix := "/control/" + p.Name
		mux.Handle(prefix+"/", http.StripPrefix(prefix, p.Control))
		if i == 0 {
			mux.Handle("/control/", http.StripPrefix("/control", p.Control))
		}
	}
	return mux
}
