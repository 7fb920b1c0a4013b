package internalapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/problem"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// maxJSON bounds a JSON body. The largest is an ingest batch: a platform's
	// payload of up to 13 MiB is 17.3 MiB in base64, with its events beside it, whose
	// texts are half as long as there.
	maxJSON = 32 << 20
	// maxGrow bounds what is set aside for a body before it is there: more than
	// nearly all have, and little to be told lies about.
	maxGrow = 1 << 20
	// MaxMedia bounds an attachment: the largest of any platform is Telegram's
	// 2 GB by a server of one's own, but 20 MB by the public Bot API, 100 MB for
	// WhatsApp documents; above 256 MiB the volume of a small store is at risk.
	MaxMedia = 256 << 20
	// maxWait bounds a long poll. A pod that stops has 40 s; with the poll
	// answered at 25 s there is time left for the last commit.
	maxWait = 25 * time.Second
	// bodyTimeout bounds how long a JSON body may take to arrive: 32 MiB at 1 MB/s.
	bodyTimeout = 30 * time.Second
	// mediaTimeout bounds how long an attachment may take: 256 MiB at 1 MB/s.
	mediaTimeout = 5 * time.Minute
	// retryAfter is what a bridge is told when nothing was committed: a
	// checkpoint or a full queue passes within a second.
	retryAfter = time.Second
)

// Options of an API.
type Options struct {
	Log        *slog.Logger          // nil: slog.Default
	Registerer prometheus.Registerer // nil: no metrics
	TLS        *tlsfiles.Files       // whose expiry is a metric; nil: none is
}

// API serves store.Internal over HTTP. It expects that TLS has verified the
// client's certificate (tlsfiles.ServerConfig and Guard).
type API struct {
	engine   store.Internal
	log      *slog.Logger
	metrics  *metrics
	mux      *http.ServeMux
	draining context.Context
	drain    context.CancelFunc
}

// New makes the API of an engine.
func New(engine store.Internal, opts Options) *API {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	a := &API{engine: engine, log: opts.Log, metrics: newMetrics(opts.Registerer, opts.TLS), mux: http.NewServeMux()}
	a.draining, a.drain = context.WithCancel(context.Background())
	a.routes()
	return a
}

// Drain answers long polls at once, now and from now on: the process is about to stop.
func (a *API) Drain() { a.drain() }

func (a *API) routes() {
	a.handle("POST "+wire.PathIngest, jsonCall(a.engine.Ingest))
	a.handle("POST "+wire.PathSession, jsonCall(a.engine.Session))
	a.handle("POST "+wire.PathLease, jsonCall(a.lease))
	a.handle("POST "+wire.PathReport, jsonCall(a.engine.Report))
	a.handle("POST "+wire.PathMediaLease, jsonCall(a.leaseMedia))
	a.handle("PUT "+wire.PathMedia+"{id}", a.putMedia)
	a.handle("GET "+wire.PathMedia+"{id}", a.getMedia)
	a.handle("POST "+wire.PathMedia+"{id}/report", a.reportMedia)
}

// handler serves one route for a Bridge ("namespace/name"); an error becomes a problem.
type handler func(w http.ResponseWriter, r *http.Request, bridge string) error

func (a *API) handle(pattern string, h handler) {
	a.mux.Handle(pattern, a.metrics.instrument(pattern, func(w http.ResponseWriter, r *http.Request) {
		bridge, ok := caller(w, r)
		if !ok {
			return
		}
		if err := h(w, r, bridge); err != nil {
			a.fail(w, r, bridge, err)
		}
	}))
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := a.mux.Handler(r); pattern == "" {
		problem.Write(w, http.StatusNotFound, "no such path in the internal API; is the bridge newer than the store?")
		return
	}
	a.mux.ServeHTTP(w, r)
}

// caller is the Bridge of the client's certificate; ok is false when the
// request was answered already.
func caller(w http.ResponseWriter, r *http.Request) (bridge string, ok bool) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		problem.Write(w, http.StatusUnauthorized, "a client certificate is needed")
		return "", false
	}
	peer, err := wire.PeerOf(r.TLS.PeerCertificates[0])
	if err != nil || peer.Bridge == "" {
		problem.Write(w, http.StatusForbidden, "the client certificate is not a Bridge's")
		return "", false
	}
	return peer.Bridge, true
}

// fail answers with the problem of an error. Only what the engine says on
// purpose reaches the caller; the rest goes to the log.
func (a *API) fail(w http.ResponseWriter, r *http.Request, bridge string, err error) {
	var field *store.FieldError
	var tooLarge *http.MaxBytesError
	var malformed *malformedError
	switch {
	case errors.As(err, &tooLarge):
		problem.Write(w, http.StatusRequestEntityTooLarge, "the body is larger than allowed")
	case errors.As(err, &malformed):
		problem.Write(w, http.StatusBadRequest, malformed.Error())
	case errors.As(err, &field):
		problem.Write(w, http.StatusUnprocessableEntity, field.Error())
	case errors.Is(err, store.ErrForbidden):
		problem.Write(w, http.StatusForbidden, err.Error())
	case errors.Is(err, store.ErrNotFound):
		problem.Write(w, http.StatusNotFound, err.Error())
	case errors.Is(err, store.ErrConflict):
		problem.Write(w, http.StatusConflict, err.Error())
	case r.Context().Err() != nil:
		problem.Unavailable(w, retryAfter, "the request was given up by its caller") // who is not there to read it
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		a.log.Warn("store unavailable", "route", r.Pattern, "bridge", bridge, "error", err)
		problem.Unavailable(w, retryAfter, "nothing was committed, try again: "+err.Error())
	default:
		a.log.Error("internal API request failed", "route", r.Pattern, "bridge", bridge, "error", err)
		problem.Write(w, http.StatusInternalServerError, "the store failed; its log says why")
	}
}
