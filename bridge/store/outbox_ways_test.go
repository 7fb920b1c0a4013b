package store

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// toll stands between a store and its database, and counts the ways there and
// back: how often something was said after the other side had answered.
type toll struct {
	net.Listener
	server string
	ways   atomic.Int64
}

func newToll(t *testing.T, server string) *toll {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	x := &toll{Listener: l, server: server}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { x.carry(client) })
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return x
}

func (x *toll) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", x.server)
	if err != nil {
		return
	}
	defer server.Close()
	var answered atomic.Bool
	answered.Store(true)
	go func() {
		_, _ = io.Copy(client, reads{server, func() { answered.Store(true) }})
		client.Close()
	}()
	_, _ = io.Copy(server, reads{client, func() {
		if answered.Swap(false) {
			x.ways.Add(1)
		}
	}})
}

// reads tells of everything that is read.
type reads struct {
	io.Reader
	read func()
}

func (r reads) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.read()
	}
	return n, err
}

// tolledBox is an outbox whose ways to the database are counted.
func tolledBox(t *testing.T, caps platform.Capabilities) (*box, *toll) {
	t.Helper()
	dsn, err := url.Parse(testServer(t).DSN(testDatabase(t)))
	require.NoError(t, err)
	x := newToll(t, dsn.Host)
	dsn.Host = x.Addr().String()
	c := &clock{now: testTime}
	s := openTestStore(t, Options{Dir: t.TempDir(), PostgresDSNFile: writeDSN(t.TempDir(), dsn.String()), Now: c.Now, Capabilities: map[string]platform.Capabilities{"telegram": caps}})
	b := &box{Store: s, t: t, clock: c}
	b.load()
	return b, x
}

// What a message costs in ways to the database does not grow with what it shares
// its way with: a hundred of them go in, are handed out and are reported by a
// few statements. Each way takes longer than the work at its end.
func TestManyMessagesShareTheirWaysToTheDatabase(t *testing.T) {
	postgresOnly(t)
	const messages = 100
	caps := testCaps
	caps.Window = 24 * time.Hour // it is looked at
	b, x := tolledBox(t, caps)
	var hellos []message.Event
	for i := range messages {
		hellos = append(hellos, textFrom(fmt.Sprint("c", i), fmt.Sprint("hello", i), "hello"))
	}
	ingest(t, b.Store, telegram, hellos...)
	convs, err := all(t.Context(), b.read, scanText, `SELECT id FROM conversations ORDER BY id`)
	require.NoError(t, err)
	var list []*outgoing
	for i, conv := range convs {
		list = append(list, &outgoing{s: b.Store, scope: everything, id: conv, req: SendRequest{IdempotencyKey: fmt.Sprint("key", i), Author: agent, Type: message.TypeText, Text: "hello"}})
	}
	require.Len(t, list, messages)
	const most = messages / 4 // for a half of them: one way for two messages
	ways := func(what string, do func()) {
		t.Helper()
		do() // statements are prepared by their first use
		before := x.ways.Load()
		do()
		n := x.ways.Load() - before
		t.Logf("%s: %d ways for %d messages", what, n, messages/2)
		require.LessOrEqual(t, n, int64(most), what)
	}
	var leased [2][]wire.Delivery
	half := 0
	ways("send", func() {
		b.sendTogether(list[half*messages/2 : (half+1)*messages/2])
		half++
	})
	for _, o := range list {
		require.NoError(t, o.err)
	}
	half = 0
	ways("lease", func() {
		leased[half] = b.lease(messages / 2)
		require.Len(t, leased[half], messages/2)
		half++
	})
	for _, outcome := range []wire.Outcome{wire.OutcomeSending, wire.OutcomeSent} {
		half = 0
		ways(string(outcome), func() {
			var reports []wire.PartReport
			for _, d := range leased[half] {
				reports = append(reports, of(d, 0, outcome))
			}
			b.report(reports...)
			half++
		})
	}
	for _, o := range list {
		b.wantStatus(o.first, message.StatusSent, "")
	}
}
