package processes

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Balancer is a Service in small: it hands each connection to one of its
// backends, in turns, passing over those that refuse. Safe for concurrent use.
type Balancer struct {
	listener net.Listener
	ctx      context.Context //nolint:containedctx // ends with Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu       sync.Mutex
	backends []string
	next     int
	cut      bool
	open     map[net.Conn]struct{}
}

// NewBalancer listens on a free port of 127.0.0.1.
func NewBalancer(backends ...string) (*Balancer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, err
	}
	b := &Balancer{listener: l, ctx: ctx, cancel: cancel, backends: backends, open: map[net.Conn]struct{}{}}
	b.wg.Go(b.accept)
	return b, nil
}

// Addr is where it listens.
func (b *Balancer) Addr() string { return b.listener.Addr().String() }

// Port is the port of Addr.
func (b *Balancer) Port() string {
	_, port, _ := net.SplitHostPort(b.Addr())
	return port
}

// Cut breaks the network: open connections end, new ones are closed at once.
func (b *Balancer) Cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut = true
	for c := range b.open {
		_ = c.Close()
	}
}

// Heal ends Cut.
func (b *Balancer) Heal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut = false
}

// Close ends it with all its connections.
func (b *Balancer) Close() {
	b.cancel()
	_ = b.listener.Close()
	b.Cut()
	b.wg.Wait()
}

func (b *Balancer) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.wg.Go(func() { b.serve(c) })
	}
}

func (b *Balancer) serve(c net.Conn) {
	defer c.Close()
	up := b.dial()
	if up == nil {
		return
	}
	defer up.Close()
	if !b.keep(c, up) {
		return
	}
	defer b.forget(c, up)
	var both sync.WaitGroup
	both.Go(func() { pass(up, c) })
	both.Go(func() { pass(c, up) })
	both.Wait()
}

// pass copies one direction and hands on its end.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

// dial tries every backend once, beginning with the one whose turn it is.
func (b *Balancer) dial() net.Conn {
	b.mu.Lock()
	order := slices.Concat(b.backends[min(b.next, len(b.backends)):], b.backends[:min(b.next, len(b.backends))])
	if b.next++; b.next >= len(b.backends) {
		b.next = 0
	}
	if b.cut {
		order = nil
	}
	b.mu.Unlock()
	dialer := net.Dialer{Timeout: 2 * time.Second}
	for _, backend := range order {
		if c, err := dialer.DialContext(b.ctx, "tcp", backend); err == nil {
			return c
		}
	}
	return nil
}

func (b *Balancer) keep(conns ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		return false
	}
	for _, c := range conns {
		b.open[c] = struct{}{}
	}
	return true
}

func (b *Balancer) forget(conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		delete(b.open, c)
	}
}
