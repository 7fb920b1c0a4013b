// Package drain moves callers away from a process that was told to stop.
//
//	told to stop ─► not ready: endpoints change ─► a second or two later nobody calls anew
//	             └► every answer closes its connection: callers who are there leave, too
package drain

import (
	"context"
	"net/http"
)

// UntilDone lets connections of HTTP/1 be kept open only until ctx is done. A
// caller that reuses one would otherwise meet the listener's end with a request on
// the way, and not know what became of it; the change of endpoints does not move
// connections that are there already.
func UntilDone(ctx context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
