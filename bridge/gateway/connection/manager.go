// Package connection runs the pollers of channels whose messages are fetched.
//
//	lease (session) ─┐                         ┌─► Ingest with fence and cursor
//	channel (table) ─┴─► Manager ─► Poller.Run ┤        │ stale: another has it
//	                     starts, stops         └─ confirmed at the platform after commit
//
// One poller per channel in all replicas: the lease says where, the fence makes
// sure. A poller of another version or lease starts only after the one before
// has ended: two at one time would steal each other's messages.
package connection

import (
	"context"
	"log/slog"
	"sync"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Leases are the channels that this replica has.
type Leases interface {
	Assignment(channel string) (wire.Assignment, bool)
	Watch() <-chan struct{}
	Refresh()
}

// Ingester makes an envelope durable.
type Ingester interface {
	Ingest(ctx context.Context, env wire.Envelope) (wire.EnvelopeResult, error)
}

// Acknowledger gives a platform its word back for stored events. It must not block.
type Acknowledger interface {
	Acknowledge(ch *channels.Channel, events []message.Event)
	// AcknowledgePayload does so for what became no event.
	AcknowledgePayload(ch *channels.Channel, body []byte)
}

// Config is what a Manager needs.
type Config struct {
	Table   *channels.Table
	Leases  Leases
	Ingest  Ingester
	Acks    Acknowledger
	Rows    *status.Rows
	Metrics *metrics.Metrics
	Log     *slog.Logger
}

// Manager starts and stops pollers. Make one with New and Run it once.
type Manager struct {
	Config
	tableChanged, leasesChanged <-chan struct{}

	// Of Run alone.
	running map[string]*connection
	cursors map[string]wire.Assignment // the last committed cursor of a lease
	ended   chan end
	active  sync.WaitGroup
}

// New makes a manager.
func New(c Config) *Manager {
	return &Manager{
		Config: c, tableChanged: c.Table.Watch(), leasesChanged: c.Leases.Watch(),
		running: map[string]*connection{}, cursors: map[string]wire.Assignment{}, ended: make(chan end),
	}
}

// Run returns when ctx is done and every poller has ended.
func (m *Manager) Run(ctx context.Context) {
	for {
		m.sync(ctx)
		select {
		case <-ctx.Done():
			m.drain()
			return
		case <-m.tableChanged:
		case <-m.leasesChanged:
		case e := <-m.ended:
			m.forget(e)
		}
	}
}

// drain waits for the pollers, whose contexts are done.
func (m *Manager) drain() {
	for m.live() > 0 {
		m.forget(<-m.ended)
	}
	m.active.Wait()
}

// end is a poller that has ended; stale: because its lease is another's.
type end struct {
	*connection
	stale bool
}

func (m *Manager) forget(e end) {
	c := e.connection
	m.cursors[c.channel.Name] = c.assignment
	delete(m.running, c.channel.Name)
	if e.stale {
		// The lease is another's; asking for the list tells us that too. Until
		// then the token in it is the stale one and nothing is started.
		c.stale = true
		m.running[c.channel.Name] = c
		m.Leases.Refresh()
	}
	m.Metrics.Connections.Set(float64(m.live()))
}

func (m *Manager) live() int {
	n := 0
	for _, c := range m.running {
		if !c.stale {
			n++
		}
	}
	return n
}

// sync makes what runs equal to what should.
func (m *Manager) sync(ctx context.Context) {
	snapshot := m.Table.Snapshot()
	for name, c := range m.running {
		a, held := m.Leases.Assignment(name)
		if held && a.Token == c.assignment.Token && (c.stale || snapshot.Channel(name) == c.channel && !c.channel.Spec.Suspended) {
			continue
		}
		c.stop()
		if c.stale {
			delete(m.running, name)
		}
	}
	for ch := range snapshot.Channels {
		a, held := m.Leases.Assignment(ch.Name)
		if !held || m.running[ch.Name] != nil || !polled(ch) {
			continue
		}
		m.start(ctx, ch, a)
	}
	for name := range m.cursors {
		if snapshot.Channel(name) == nil {
			delete(m.cursors, name)
		}
	}
	m.Metrics.Connections.Set(float64(m.live()))
}

func polled(ch *channels.Channel) bool {
	_, ok := ch.Platform.(platform.Poller)
	return ok && ch.Spec.Receive == document.ReceivePolling && !ch.Spec.Suspended
}

func (m *Manager) start(ctx context.Context, ch *channels.Channel, a wire.Assignment) {
	if last, ok := m.cursors[ch.Name]; ok && last.Token == a.Token {
		a.Cursor = last.Cursor // newer than what the session told when the lease began
	}
	ctx, stop := context.WithCancel(ctx)
	c := &connection{Config: m.Config, channel: ch, assignment: a, stop: stop}
	m.running[ch.Name] = c
	m.active.Go(func() {
		stale := c.run(ctx)
		stop()
		m.ended <- end{c, stale}
	})
}
