package email

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// relay passes connections on to a server, and counts them.
type relay struct {
	net.Listener
	to string

	mu    sync.Mutex
	made  int
	alive map[net.Conn]bool
}

func newRelay(t *testing.T, port int) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{Listener: l, to: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), alive: map[net.Conn]bool{}}
	var active sync.WaitGroup
	active.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			active.Go(func() { r.pass(conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); r.cut(); active.Wait() })
	return r
}

func (r *relay) pass(conn net.Conn) {
	defer conn.Close()
	r.mu.Lock()
	r.made++
	r.alive[conn] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.alive, conn)
	}()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(conn, server); _ = conn.Close() }()
	_, _ = io.Copy(server, conn)
}

// cut ends all connections, as a firewall or a restarted server does.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.alive {
		_ = conn.Close()
	}
}

func (r *relay) counts() (made, alive int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made, len(r.alive)
}

func (r *relay) port() int { return r.Addr().(*net.TCPAddr).Port }

// viaRelay is a Channel of the mailbox that sends through a relay.
func (b box) viaRelay(keep time.Duration) (*relay, platform.Channel) {
	b.t.Helper()
	r := newRelay(b.t, b.Submissions)
	config := b.config()
	config.SMTP.Port = r.port()
	ch, err := (&Platform{KeepFor: keep}).Load(b.t.Context(), specOf(b.t, config, nil))
	require.NoError(b.t, err)
	return r, ch
}

func (b box) sendOver(ch platform.Channel, index int) error {
	_, err := New().Send(b.t.Context(), ch, platform.Outgoing{Delivery: testDelivery, To: b.from, Part: wire.Part{Index: index, Text: fmt.Sprintf("mail %d", index)}})
	return err
}

// What a Channel has to send goes over one connection, one mail after the other,
// and one that the server has ended meanwhile costs no mail.
func TestMailsOfAChannelShareAConnection(t *testing.T) {
	b := newBox(t)
	customer := b.customer()
	r, ch := b.viaRelay(time.Minute)
	for i := range 5 {
		require.NoError(t, b.sendOver(ch, i))
	}
	made, _ := r.counts()
	require.Equal(t, 1, made)

	r.cut()
	require.NoError(t, b.sendOver(ch, 5))
	made, _ = r.counts()
	require.Equal(t, 2, made)
	customer.wait("all six", func() bool { return len(customer.ids) == 6 })
}

// Connections that wait are few, and not for long.
func TestConnectionsThatWaitAreBounded(t *testing.T) {
	b := newBox(t)
	r, ch := b.viaRelay(time.Minute)
	var sends sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		sends.Go(func() { errs[i] = b.sendOver(ch, i) })
	}
	sends.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { _, alive := r.counts(); return alive <= maxKept }, time.Minute, 5*time.Millisecond)

	r, ch = b.viaRelay(time.Millisecond)
	require.NoError(t, b.sendOver(ch, 7))
	require.Eventually(t, func() bool { made, alive := r.counts(); return made == 1 && alive == 0 }, time.Minute, 5*time.Millisecond)
}

// A connection that has taken its share is not used again.
func TestAConnectionTakesABoundedNumberOfMails(t *testing.T) {
	s := newScript(t, "", "")
	host, port, err := net.SplitHostPort(s.address)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	r := newRelay(t, number)
	ch := loadConfig(t, Config{
		Address: "shop@shop.test", IMAP: IMAP{Server: Server{Host: host, Port: 1, TLS: TLSNone}},
		SMTP: Server{Host: host, Port: r.port(), TLS: TLSNone},
	}, nil)
	for i := range maxMails + 1 {
		_, err := New().Send(t.Context(), ch, platform.Outgoing{Delivery: testDelivery, To: "ana@customer.test", Part: wire.Part{Index: i, Text: "x"}})
		require.NoError(t, err)
	}
	made, _ := r.counts()
	require.Equal(t, 2, made)
}
