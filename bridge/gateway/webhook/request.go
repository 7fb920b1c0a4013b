package webhook

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// defaultBodyTimeout is how long a body may take. Platforms send some KiB
	// in one piece; 10 s are a link of 100 KiB/s with a body of 1 MiB.
	defaultBodyTimeout = 10 * time.Second
	// defaultMaxBody bounds a body where the platform does not say. Fact sheets
	// name no webhook above 256 KiB.
	defaultMaxBody = 1 << 20
)

func receivesWebhooks(ch *channels.Channel) bool {
	return ch.Spec.Receive == document.ReceiveWebhook
}

func maxBody(ch *channels.Channel) int64 {
	if n := ch.Capabilities.MaxBody; n > 0 {
		return n
	}
	return defaultMaxBody
}

// read takes the body in, bounded in size, time and shared memory.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, ch *channels.Channel) (body []byte, a answer, ok bool) {
	limit := maxBody(ch)
	if r.ContentLength > limit {
		return nil, tooLarge, false
	}
	size := r.ContentLength
	if size < 0 {
		size = limit // chunked: it may become as much
	}
	conn := http.NewResponseController(w)
	// Errors of deadlines mean that the connection has none (tests); the
	// server's own timeouts bound it then.
	_ = conn.SetReadDeadline(time.Now().Add(h.BodyTimeout))
	room := h.bodies.reserve(ch.Name, size, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	wasEvicted := room.release()
	if err != nil {
		return nil, readFailure(err, wasEvicted), false
	}
	if !wasEvicted { // else the deadline stands and the connection ends with this request
		_ = conn.SetReadDeadline(time.Time{})
	}
	return body, answer{}, true
}

func readFailure(err error, wasEvicted bool) answer {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge
	}
	switch {
	case wasEvicted:
		return evicted
	case errors.Is(err, os.ErrDeadlineExceeded):
		return slow
	default:
		return aborted
	}
}

func handshake(hs platform.Handshaker, req *request, r *http.Request) (answer, bool) {
	r.Body = io.NopCloser(bytes.NewReader(req.Body))
	status, body, handled := hs.Handshake(req.channel.Loaded, r)
	if !handled {
		return answer{}, false
	}
	if body == nil {
		body = []byte{}
	}
	return answer{status: status, result: resultHandshake, body: body}, true
}

// publicURL is the URL as the platform called it: some sign it. Proxies in
// between change scheme, host and port, so it is built from what was registered.
func publicURL(req *request, r *http.Request) string {
	base := req.channel.Spec.WebhookURL
	if base == "" {
		base = req.snapshot.Settings.PublicURL + r.URL.EscapedPath()
	}
	if r.URL.RawQuery != "" {
		base += "?" + r.URL.RawQuery
	}
	return base
}

// route gives each element to the channel whose account it names. Another
// channel than the URL's gets it only if the request would have passed that
// channel's own verification: whoever has the secret of one channel must not
// write into another. What nobody may have stays unrouted in the journal.
func route(req *request, events []message.Event) []wire.Element {
	elements := make([]wire.Element, len(events))
	var trusted []*channels.Channel // verified already
	for i, e := range events {
		elements[i].Event = e
		if e.Account == "" || e.Account == req.channel.Spec.Account {
			elements[i].Channel = req.channel.Name
			continue
		}
		other := req.snapshot.Account(req.channel.Spec.Platform, e.Account)
		if other == nil {
			continue
		}
		if !slices.Contains(trusted, other) {
			if !other.Platform.Verify(other.Loaded, req.Request, time.Now()) {
				continue
			}
			trusted = append(trusted, other)
		}
		elements[i].Channel = other.Name
	}
	return elements
}
