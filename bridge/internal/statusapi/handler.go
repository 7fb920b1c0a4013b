// Package statusapi answers /status: what a pod has loaded, and what is wrong.
//
//	duties, connections ──Set, Remove──► Table ──Snapshot(instance, after)──► rows changed since
//	docload.State, health ────────────────────────────────► Handler ──► document.Status
//
// It is served on the internal listener (mutual TLS), to the operator alone.
package statusapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/problem"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Path of the status endpoint.
const Path = "/status"

// Handler answers GET /status?instance=…&after=REVISION. base fills everything
// but the table's part (Instance, Revision, Full, Channels) and
// SchemaVersions; it is called for every request.
func Handler(table *Table, base func(ctx context.Context) document.Status) http.Handler {
	return OperatorOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem.Write(w, http.StatusMethodNotAllowed, "/status can only be read")
			return
		}
		query := r.URL.Query()
		var after int64
		if text := query.Get("after"); text != "" {
			var err error
			if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
				problem.Write(w, http.StatusUnprocessableEntity, "query parameter after: a revision is a whole number")
				return
			}
		}
		status := base(r.Context())
		status.SchemaVersions = document.Majors()
		delta := table.Snapshot(query.Get("instance"), after)
		status.Instance, status.Revision = delta.Instance, delta.Revision
		status.Full, status.Channels = delta.Full, delta.Channels
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(status) // fails only when the caller has left
	}))
}

// OperatorOnly refuses everybody whose client certificate is not the
// operator's. The TLS layer has verified it (tlsfiles.ServerConfig).
func OperatorOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			problem.Write(w, http.StatusUnauthorized, "a client certificate is needed")
			return
		}
		peer, err := wire.PeerOf(r.TLS.PeerCertificates[0])
		if err != nil || !peer.Operator {
			problem.Write(w, http.StatusForbidden, "only the operator may read this")
			return
		}
		next.ServeHTTP(w, r)
	})
}
