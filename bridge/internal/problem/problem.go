// Package problem writes RFC 9457 problems, the error bodies of every HTTP
// face of the data plane.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// ContentType of a problem (RFC 9457, section 3).
const ContentType = "application/problem+json"

// Write answers with a problem. detail is for the person who reads it and
// holds nothing of the request's content.
func Write(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(wire.Problem{Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil { // a struct of strings and a number always marshals
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone if this fails; nobody is left to tell
}

// Unavailable answers 503 with Retry-After: nothing was committed, try again.
func Unavailable(w http.ResponseWriter, retryAfter time.Duration, detail string) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(retryAfter.Seconds()))))
	Write(w, http.StatusServiceUnavailable, detail)
}
