package email

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	"github.com/bridgekeeper/bridgekeeper/hack/mailserver"
)

// TestAServerThatHangsIsLeft: whatever it owes an answer to, another connection
// is made and no mail is lost.
func TestAServerThatHangsIsLeft(t *testing.T) {
	for _, command := range []string{"AUTHENTICATE", "EXAMINE", "UID SEARCH", "UID FETCH", "IDLE", "DONE", "NOOP"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			config := b.config()
			port, hung := hanging(t, b.IMAP, command)
			config.IMAP.TLS, config.IMAP.Port = TLSNone, port
			p := &Platform{Backoff: 5 * time.Millisecond, PollEvery: 20 * time.Millisecond, IdleFor: 50 * time.Millisecond, Patience: 3 * time.Second}
			ch, err := p.Load(t.Context(), specOf(t, config, nil))
			require.NoError(t, err)
			b.save(b.plainMail("one@customer.test", "hello"))
			r := newReader(t, ch)
			r.p = p
			r.start()
			r.wait("the mail", func() bool { return len(r.ids) > 0 && r.healthy() })
			for deadline := time.After(2 * time.Minute); !hung.Load(); {
				select {
				case <-time.After(10 * time.Millisecond): // it hangs at the end of a pause or an IDLE
				case <-deadline:
					t.Fatal("nobody said " + command)
				}
			}
			b.save(b.plainMail("two@customer.test", "hello"))
			r.wait("the mail behind it", func() bool { return slices.Contains(r.ids, "two@customer.test") })
		})
	}
}

// hanging is a way to a server on which nothing comes back from one command on,
// once, while the connection lives.
func hanging(t *testing.T, port int, command string) (int, *atomic.Bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var hung atomic.Bool
	var active sync.WaitGroup
	active.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			active.Go(func() {
				defer client.Close()
				server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					return
				}
				defer server.Close()
				active.Go(func() { _, _ = io.Copy(client, server) })
				lines := bufio.NewReader(client)
				for {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					if strings.Contains(line, command) && hung.CompareAndSwap(false, true) {
						_, _ = io.Copy(io.Discard, lines) // until the client goes
						return
					}
					if command == "NOOP" && strings.Contains(line, " IDLE") { // one that refuses it
						tag, _, _ := strings.Cut(line, " ")
						_, _ = fmt.Fprintf(client, "%s NO not now\r\n", tag)
						continue
					}
					_, _ = io.WriteString(server, line)
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); active.Wait() })
	return l.Addr().(*net.TCPAddr).Port, &hung
}

// TestASilentServerIsNamed: on the first connection nothing is heard, and the
// report says so.
func TestASilentServerIsNamed(t *testing.T) {
	if err := mailserver.Find(); err != nil {
		mailserver.Require(t, err)
	}
	b := newBox(t)
	config := b.config()
	port, _ := hanging(t, b.IMAP, "EXAMINE")
	config.IMAP.TLS, config.IMAP.Port = TLSNone, port
	p := &Platform{Patience: 100 * time.Millisecond}
	ch, err := p.Load(t.Context(), specOf(t, config, nil))
	require.NoError(t, err)
	_, err = p.Probe(t.Context(), ch)
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, wire.ErrRetryable, e.Class)
	require.Contains(t, e.Reason, "does not answer")
}

// TestHowLongToWait: what a person must mend is tried seldom.
func TestHowLongToWait(t *testing.T) {
	as := func(class wire.ErrorClass) error { return &platform.Error{Class: class} }
	for name, tt := range map[string]struct {
		err      error
		failures int
		want     time.Duration
	}{
		"at first":                {as(wire.ErrRetryable), 0, time.Second},
		"again":                   {as(wire.ErrRetryable), 3, 8 * time.Second},
		"for long":                {as(wire.ErrRetryable), 100, time.Minute},
		"the store":               {io.ErrUnexpectedEOF, 100, time.Minute},
		"as the server wants":     {&platform.Error{Class: wire.ErrRateLimited, RetryAfter: time.Hour}, 0, time.Hour},
		"a wrong password":        {as(wire.ErrAuthInvalid), 0, 5 * time.Minute},
		"still":                   {as(wire.ErrAuthInvalid), 1, 10 * time.Minute},
		"and still":               {as(wire.ErrAuthInvalid), 100, 30 * time.Minute},
		"no such mailbox":         {as(wire.ErrMisconfigured), 0, 5 * time.Minute},
		"no such mailbox, always": {as(wire.ErrMisconfigured), 100, 5 * time.Minute},
	} {
		require.Equal(t, tt.want, pauseAfter(tt.err, time.Second, tt.failures), name)
	}
}
