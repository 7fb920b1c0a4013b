package webhook

import (
	"net/http"
	"strconv"
)

// answer is what a request is told. Bodies are the same for every request with
// the same status: they give nothing away.
type answer struct {
	status     int
	result     string // for metrics
	retryAfter int    // seconds; 0: no header
	closing    bool   // close the connection
	allow      string
	body       []byte // a handshake's; else the status text
}

// Results, as they stand in metrics.
const (
	resultAccepted     = "accepted"
	resultHandshake    = "handshake"
	resultNotFound     = "not_found"
	resultMethod       = "method"
	resultTooLarge     = "too_large"
	resultSlow         = "slow"
	resultEvicted      = "evicted"
	resultAborted      = "aborted"
	resultUnauthorized = "unauthorized"
	resultLimited      = "limited"
	resultMalformed    = "malformed"
	resultOverloaded   = "overloaded"
	resultUnavailable  = "unavailable"
	resultRefused      = "refused"
	resultPanic        = "panic"
)

var (
	accepted     = answer{status: http.StatusOK, result: resultAccepted}
	notFound     = answer{status: http.StatusNotFound, result: resultNotFound}
	wrongMethod  = answer{status: http.StatusMethodNotAllowed, result: resultMethod, allow: http.MethodPost}
	tooLarge     = answer{status: http.StatusRequestEntityTooLarge, result: resultTooLarge, closing: true}
	slow         = answer{status: http.StatusRequestTimeout, result: resultSlow, closing: true}
	evicted      = answer{status: http.StatusServiceUnavailable, result: resultEvicted, retryAfter: 1, closing: true}
	aborted      = answer{status: http.StatusBadRequest, result: resultAborted, closing: true}
	unauthorized = answer{status: http.StatusUnauthorized, result: resultUnauthorized}
	limited      = answer{status: http.StatusTooManyRequests, result: resultLimited, retryAfter: 1}
	malformed    = answer{status: http.StatusBadRequest, result: resultMalformed}
	overloaded   = answer{status: http.StatusServiceUnavailable, result: resultOverloaded, retryAfter: 1}
	// unavailable: the store comes back in seconds (a restart) or minutes (its
	// node is lost); platforms space their retries themselves after the first.
	unavailable = answer{status: http.StatusServiceUnavailable, result: resultUnavailable, retryAfter: 5}
	// refused: the store does not know this channel yet, or not as this bridge's,
	// and its document follows within seconds; or the channel's entry in ours is
	// bad, and a person mends it; or the app's new secret is not in the channel's
	// Secret yet.
	refused  = answer{status: http.StatusServiceUnavailable, result: resultRefused, retryAfter: 5}
	panicked = answer{status: http.StatusInternalServerError, result: resultPanic}
)

func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(a.retryAfter))
	}
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	if a.closing {
		h.Set("Connection", "close")
	}
	body := a.body
	if body == nil && a.status != http.StatusOK {
		body = []byte(http.StatusText(a.status) + "\n")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // the sender is gone: nothing to do about it
}
