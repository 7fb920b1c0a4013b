package standalone

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// front is the one listener's handler. What it routes to is replaced as a
// whole when manifests change.
type front struct {
	routes   atomic.Pointer[routes]
	draining atomic.Bool
}

// routes are where requests go. It is not changed after it was published.
type routes struct {
	// webhooks by channel, apps by platform and app; any for paths of nobody,
	// which all answer alike.
	webhooks map[compile.Key]http.Handler
	apps     map[app]http.Handler
	any      http.Handler
	stores   []*storeProcess
	metrics  prometheus.Gatherers
}

// app is an account's app on a platform with one webhook URL per app; all of its
// Channels are on one Bridge.
type app struct{ platform, id string }

func newFront() *front {
	f := &front{}
	f.routes.Store(&routes{})
	return f
}

// ServeHTTP implements http.Handler. It is no ServeMux, which would redirect
// paths that it finds unclean: what a path means is the APIs' own business.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/webhooks/"):
		f.webhook(w, r)
	case r.Method != http.MethodGet:
		f.rest(w, r)
	case r.URL.Path == "/healthz":
		say(w, true)
	case r.URL.Path == "/readyz":
		say(w, !f.draining.Load())
	case r.URL.Path == "/metrics":
		promhttp.HandlerFor(f.routes.Load().metrics, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	default:
		f.rest(w, r)
	}
}

func say(w http.ResponseWriter, ok bool) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("not ready\n")) // fails only when the caller has left
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// webhook passes a request to the bridge that has the channel, or the app, of
// its path.
func (f *front) webhook(w http.ResponseWriter, r *http.Request) {
	routes := f.routes.Load()
	handler := routes.any
	var found http.Handler
	switch s := strings.Split(strings.TrimPrefix(r.URL.Path, "/webhooks/"), "/"); {
	case len(s) == 2:
		found = routes.webhooks[compile.Key{Namespace: s[0], Name: s[1]}]
	case len(s) == 3 && s[0] == "apps":
		found = routes.apps[app{s[1], s[2]}]
	}
	if found != nil {
		handler = found
	}
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	handler.ServeHTTP(w, r)
}

// rest passes a request to the store that knows its token; without one, or with
// one that nobody knows, to the first, which refuses it.
func (f *front) rest(w http.ResponseWriter, r *http.Request) {
	stores := f.routes.Load().stores
	if len(stores) == 0 {
		http.NotFound(w, r)
		return
	}
	chosen := stores[0]
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if len(stores) > 1 && strings.EqualFold(scheme, "Bearer") {
		for _, s := range stores {
			if _, _, err := s.store.Token(r.Context(), strings.TrimSpace(token), time.Now()); err == nil {
				chosen = s
				break
			}
		}
	}
	chosen.api.ServeHTTP(w, r)
}
