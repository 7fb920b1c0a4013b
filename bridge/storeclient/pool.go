package storeclient

import (
	"net/http"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
)

const (
	// A connection that is silent for pingAfter is asked whether it is alive,
	// and given up after pingTimeout: a store pod that vanished with its node
	// is noticed within 10 s instead of the quarter of an hour that TCP takes.
	pingAfter   = 5 * time.Second
	pingTimeout = 5 * time.Second
	// idleTimeout drops connections that nobody uses, such as those of
	// certificates that were rotated out.
	idleTimeout = 90 * time.Second
	// maxFrame holds nearly every answer in one frame: each goes through the hands
	// of three goroutines. A connection keeps a buffer of the largest that came.
	maxFrame = 256 << 10
)

// pool is one HTTP/2 connection (or a few, when its streams are used up) made
// with the certificate in force. A Client has two, so that a large attachment
// cannot hold back a message on the same TCP connection.
type pool struct {
	files *tlsfiles.Files

	mu      sync.Mutex
	version int64
	current *http.Client
}

func newPool(files *tlsfiles.Files) *pool { return &pool{files: files} }

// client is the one of the certificate in force. Requests under way on an
// older connection finish there.
func (p *pool) client() *http.Client {
	version := p.files.Version()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil || p.version != version {
		if p.current != nil {
			p.current.CloseIdleConnections()
		}
		p.version, p.current = version, &http.Client{Transport: p.transport(), CheckRedirect: noRedirect}
	}
	return p.current
}

func (p *pool) transport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialTLSContext:  p.files.DialTLS,
		Protocols:       protocols,
		IdleConnTimeout: idleTimeout,
		HTTP2:           &http.HTTP2Config{MaxReadFrameSize: maxFrame, SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		Proxy:           nil, // never: the store is in the cluster, and the environment is not ours
	}
}

// noRedirect returns a redirect as it is: the store sends none, and a request
// with a certificate follows nobody elsewhere.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil {
		p.current.CloseIdleConnections()
	}
}

// messageEvery bounds how often the message of a store in trouble changes:
// errors name ports that differ each time, and status is silent unless
// something is new.
const messageEvery = 30 * time.Second

// healthTracker keeps how the last request went, and since when it is so.
type healthTracker struct {
	mu     sync.Mutex
	health document.Health
	told   time.Time // when Message was set
}

// begin is the state before the first request.
func (t *healthTracker) begin(message string, now time.Time) {
	t.health = document.Health{Message: message, Since: now} // told stays zero: the first result replaces it
}

func (t *healthTracker) set(err error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	flipped := t.health.Since.IsZero() || t.health.OK != (err == nil)
	if flipped {
		t.health.OK, t.health.Since, t.health.Message = err == nil, now, ""
	}
	if err != nil && (flipped || now.Sub(t.told) >= messageEvery) {
		t.health.Message, t.told = err.Error(), now
	}
}

func (t *healthTracker) get() document.Health {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.health
}
