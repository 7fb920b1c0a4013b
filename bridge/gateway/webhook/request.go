package webhook

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

const (
	// defaultBodyTimeout is how long a body may take. Platforms send some KiB
	// in one piece; 10 s are a link of 100 KiB/s with a body of 1 MiB.
	defaultBodyTimeout = 10 * time.Second
	// defaultMaxBody bounds a body where the platform does not say. Fact sheets
	// name no webhook above 256 KiB.
	defaultMaxBody = 1 << 20
	// unknownBody is the room for a body that does not tell its length, until it
	// turns out to be longer: few are, and a channel has room for 50 of them.
	unknownBody = 256 << 10
	// setAside bounds what is set aside for a body before it is there.
	setAside = 64 << 10
)

// read takes the body in, bounded in size, time and shared memory.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, p *place) (body []byte, a answer, ok bool) {
	limit := p.maxBody()
	if r.ContentLength > limit {
		return nil, tooLarge, false
	}
	conn := http.NewResponseController(w)
	// Errors of deadlines mean that the connection has none (tests); the
	// server's own timeouts bound it then.
	_ = conn.SetReadDeadline(time.Now().Add(h.BodyTimeout))
	evict := func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }
	content := http.MaxBytesReader(w, r.Body, limit)
	var wasEvicted bool
	var err error
	if r.ContentLength >= 0 {
		one := make([]byte, 0, min(r.ContentLength, setAside)+bytes.MinRead)
		body, wasEvicted, err = h.readInto(one, content, p.name, r.ContentLength, evict)
	} else {
		body, wasEvicted, err = h.readInto(nil, io.LimitReader(content, unknownBody), p.name, unknownBody, evict)
		if err == nil && !wasEvicted && len(body) == unknownBody {
			body, wasEvicted, err = h.readInto(body, content, p.name, limit, evict)
		}
	}
	if err != nil {
		return nil, readFailure(err, wasEvicted), false
	}
	if !wasEvicted { // else the deadline stands and the connection ends with this request
		_ = conn.SetReadDeadline(time.Time{})
	}
	return body, answer{}, true
}

// readInto reads content to its end, behind what is there already, while room for
// size bytes is taken.
func (h *Handler) readInto(there []byte, content io.Reader, name string, size int64, evict func()) (body []byte, evicted bool, err error) {
	room := h.bodies.reserve(name, size, evict)
	buffer := bytes.NewBuffer(there)
	_, err = buffer.ReadFrom(content)
	return buffer.Bytes(), room.release(), err
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
	status, body, handled := req.place.handshake(hs, r)
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
	base := ""
	if req.place.channel != nil {
		base = req.place.channel.Spec.WebhookURL
	}
	if base == "" {
		base = req.snapshot.Settings.PublicURL + r.URL.EscapedPath()
	}
	if r.URL.RawQuery != "" {
		base += "?" + r.URL.RawQuery
	}
	return base
}
