package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/problem"
)

// exchange is the request at hand, for handlers that stream.
type exchange struct {
	w http.ResponseWriter
	r *http.Request
	// stream is whether the client prefers server-sent events.
	stream bool
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	e, _ := ctx.Value(exchangeKey{}).(*exchange)
	return e
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := a.now()
	routed, pattern := a.mux.route(r)
	recorder := &recorder{ResponseWriter: w}
	body := &clientBody{ReadCloser: r.Body, w: w}
	stream := prefersStream(r.Header.Get("Accept"))
	defer func() {
		if v := recover(); v != nil {
			a.panicked(recorder, pattern, v)
		}
		a.metrics.observe(pattern, recorder.code(body), a.now().Sub(start), stream)
	}()
	recorder.Header().Set("X-Content-Type-Options", "nosniff")
	recorder.Header().Set("Cache-Control", "no-store") // conversations are personal
	if pattern == "" {
		a.mux.refuse(recorder, routed)
		return
	}
	x := &exchange{w: recorder, stream: stream}
	inner := routed.WithContext(context.WithValue(routed.Context(), exchangeKey{}, x))
	x.r = inner
	inner.Body = body
	inner.Header = routed.Header.Clone()
	// There is one format. What the client accepts was read above; the router's
	// own negotiation trips over malformed values.
	inner.Header.Del("Accept")
	a.mux.mux.ServeHTTP(recorder, inner)
}

// panicked answers 500 when that is still possible. The value may quote what
// was at hand, so it is logged only when the runtime made it.
func (a *API) panicked(w *recorder, pattern string, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		w.aborted = true
		panic(v)
	}
	var detail string
	if err, ok := v.(runtime.Error); ok {
		detail = err.Error()
	}
	a.log.Error("REST request panicked", "route", pattern, "panic", detail, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look whole
	}
	problem.Write(w, http.StatusInternalServerError, "the store failed; its log says why")
}

// prefersStream says whether an Accept header asks for server-sent events, as
// EventSource does. JSON is everybody else's.
func prefersStream(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, _, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(mediaType)) {
		case "text/event-stream":
			return true
		case "application/json":
			return false // whichever is named first
		}
	}
	return false
}

// recorder remembers the status for the metrics.
type recorder struct {
	http.ResponseWriter
	status  int
	aborted bool
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// statusClientGone is what nginx made customary for clients that left.
const statusClientGone = 499

// code is the status to count: a request that its client broke off is not the
// server's failure, whatever was answered into the void.
func (r *recorder) code(body *clientBody) int {
	switch {
	case body.broken, r.aborted:
		return statusClientGone
	case r.status == 0:
		return http.StatusOK
	}
	return r.status
}

// errBroken means that the client broke off while it sent the body.
var errBroken = errors.New("the client broke off")

// clientBody notices that the client broke off, and takes the read deadline
// away once the body is in: left in place, it would end the request while the
// store still works on it.
type clientBody struct {
	io.ReadCloser
	w      http.ResponseWriter
	broken bool
}

func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		_ = http.NewResponseController(b.w).SetReadDeadline(time.Time{}) // unsupported only without a connection
	case !errors.As(err, &tooLarge):
		b.broken = true
		err = errors.Join(errBroken, err)
	}
	return n, err
}
