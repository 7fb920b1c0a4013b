package email

import (
	"net"
	"sync"
	"time"
)

// searchPatience is how many times longer a search may take: of a mailbox with
// 100 000 mails whose server has no index, it reads every header.
const searchPatience = 10

// watchdog is a connection that is closed when its server owes an answer and
// says nothing: one that hangs behind a proxy which keeps the connection alive
// would hold its mailbox for ever. Every byte that comes is a sign of life, so
// that a slow line is no trouble.
type watchdog struct {
	net.Conn

	mu     sync.Mutex
	limit  time.Duration
	timer  *time.Timer // nil: nothing is owed
	closed bool        // for silence
}

// Read implements net.Conn.
func (w *watchdog) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.mu.Lock()
		if w.timer != nil {
			w.timer.Reset(w.limit)
		}
		w.mu.Unlock()
	}
	return n, err
}

// watch begins to expect an answer, with at most limit of silence, until done is
// called. One is expected at a time.
func (w *watchdog) watch(limit time.Duration) (done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = limit
	w.timer = time.AfterFunc(limit, func() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		_ = w.Conn.Close()
	})
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer.Stop()
		w.timer = nil
	}
}

// silent says whether the connection was closed for silence.
func (w *watchdog) silent() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}
