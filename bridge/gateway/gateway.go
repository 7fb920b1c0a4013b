package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/connection"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/duty"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/ingest"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/media"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/outbox"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/session"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/webhook"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/statusapi"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// Gateway is one replica of a bridge. Make one with New, give it documents with
// Load, serve its PublicHandler and Run it once. Serve does all of this for a
// process of its own. All methods may be called concurrently.
type Gateway struct {
	opts    Options
	metrics *metrics.Metrics
	table   *channels.Table
	loader  *channels.Loader
	rows    *status.Rows
	board   *statusapi.Table

	ingest   *ingest.Batcher
	acks     *media.Acks
	session  *session.Keeper
	pollers  *connection.Manager
	duties   *duty.Manager
	sender   *outbox.Sender
	fetcher  *media.Fetcher
	webhooks *webhook.Handler

	loaded   chan struct{} // closed by the first document
	first    sync.Once
	stopping atomic.Bool

	mu      sync.Mutex
	inForce inForce
}

// inForce is what /status says of the document: all of one load, at one time.
type inForce struct {
	name, hash string
	shards     []string
	generation int64
	exceptions []document.Exception
	trouble    string // with the newest document as a whole
}

// New wires a gateway up; nothing runs yet.
func New(o Options) (*Gateway, error) {
	board := statusapi.NewTable()
	o, err := o.withDefaults(board.Instance())
	if err != nil {
		return nil, err
	}
	if o.StoreURL != "" {
		if s, ok := o.Store.(addressable); ok {
			if err := s.SetURL(o.StoreURL); err != nil {
				return nil, err
			}
		}
	}
	g := &Gateway{
		opts: o, metrics: metrics.New(o.Registry), table: channels.NewTable(), board: board,
		rows: status.New(board), loaded: make(chan struct{}),
	}
	g.loader = channels.NewLoader(g.table, func(name string) platform.Platform { return o.Platforms[name] })
	g.wire()
	return g, nil
}

func (g *Gateway) wire() {
	o := g.opts
	g.ingest = ingest.New(o.Store, g.metrics, o.Log)
	g.acks = media.NewAcks(g.metrics, o.Log)
	g.session = session.New(o.Store, o.Instance, g.metrics, o.Log)
	g.pollers = connection.New(connection.Config{
		Table: g.table, Leases: g.session, Ingest: g.ingest, Acks: g.acks, Rows: g.rows, Metrics: g.metrics, Log: o.Log,
	})
	g.duties = duty.New(duty.Config{Table: g.table, Leases: g.session, Rows: g.rows, Metrics: g.metrics, Log: o.Log})
	g.sender = outbox.New(outbox.Config{
		Table: g.table, Store: o.Store, Instance: o.Instance, Rows: g.rows, Metrics: g.metrics, Log: o.Log, Workers: o.SendWorkers,
	})
	g.fetcher = media.New(media.Config{Table: g.table, Store: o.Store, Instance: o.Instance, Metrics: g.metrics, Log: o.Log})
	g.webhooks = webhook.New(webhook.Config{Table: g.table, Ingest: g.ingest, Acks: g.acks, Metrics: g.metrics, Log: o.Log})
}

// Load puts a document into force and returns the entries that it had to leave
// out; doc.Damaged are not among them. A document that is wrong as a whole
// changes nothing and shows in /status.
func (g *Gateway) Load(ctx context.Context, doc *document.Document) []document.Exception {
	exceptions, err := g.loader.Apply(ctx, doc)
	if err != nil {
		g.opts.Log.Error("a document was not taken", "document", doc.Name, "error", err)
		g.mu.Lock()
		g.inForce.trouble = err.Error()
		g.mu.Unlock()
		return nil
	}
	snapshot := g.table.Snapshot()
	next := inForce{name: snapshot.Name, hash: snapshot.Hash, shards: snapshot.Shards, generation: snapshot.Generation}
	next.exceptions = append(append(next.exceptions, doc.Damaged...), exceptions...)
	if err := g.setStoreURL(snapshot.Settings.StoreURL); err != nil {
		next.trouble = err.Error()
		g.opts.Log.Error("the store cannot be reached", "document", doc.Name, "error", err)
	}
	for _, x := range next.exceptions {
		g.opts.Log.Warn("an entry is not in force", "entry", x.Entry, "generation", x.Generation, "running", x.RunningHash, "field", x.Field, "error", x.Message)
	}
	g.metrics.Channels.Set(float64(snapshot.Len()))
	g.metrics.Exceptions.Set(float64(len(next.exceptions)))
	g.metrics.Forget(func(name string) bool { return snapshot.Channel(name) != nil })
	g.mu.Lock()
	g.inForce = next
	g.mu.Unlock()
	g.first.Do(func() { close(g.loaded) })
	return exceptions
}

func (g *Gateway) setStoreURL(base string) error {
	s, ok := g.opts.Store.(addressable)
	if !ok || g.opts.StoreURL != "" {
		return nil
	}
	return s.SetURL(base)
}

// PublicHandler answers /webhooks/…, and 404 to everything else.
func (g *Gateway) PublicHandler() http.Handler { return g.webhooks }

// StatusHandler answers GET /status to the operator alone.
func (g *Gateway) StatusHandler() http.Handler {
	return statusapi.Handler(g.board, func(context.Context) document.Status { return g.base() })
}

// Status is a full /status, for who runs the gateway within its own process.
func (g *Gateway) Status() document.Status {
	s := g.base()
	delta := g.board.Snapshot("", 0)
	s.SchemaVersions = document.Majors()
	s.Instance, s.Revision, s.Full, s.Channels = delta.Instance, delta.Revision, true, delta.Channels
	return s
}

func (g *Gateway) base() document.Status {
	g.mu.Lock()
	f := g.inForce
	g.mu.Unlock()
	s := document.Status{
		Kind: document.KindBridge, Version: g.opts.Version,
		Name: f.name, Hash: f.hash, Shards: f.shards, Generation: f.generation,
		DocumentError: f.trouble, Exceptions: f.exceptions, Store: document.Health{OK: true},
	}
	if o, ok := g.opts.Store.(observable); ok {
		s.Store = o.Health()
	}
	if g.opts.DocumentError != nil && s.DocumentError == "" {
		s.DocumentError = g.opts.DocumentError()
	}
	return s
}

// Ready says whether requests should come here: a document is in force, and
// the process is not about to end.
func (g *Gateway) Ready() bool {
	select {
	case <-g.loaded:
		return !g.stopping.Load()
	default:
		return false
	}
}

// Run works until ctx is done. Then it gives its leases back at once, finishes
// within the grace time what is being sent, and returns. Webhooks that are
// still being served need not have ended.
func (g *Gateway) Run(ctx context.Context) {
	defer g.loader.Close()
	select {
	case <-g.loaded: // before that there is nothing to do, nor a store to ask
	case <-ctx.Done():
		g.stopping.Store(true)
		return
	}
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		g.stopping.Store(true)
		time.AfterFunc(g.opts.Grace, cancel)
	})
	defer stop()

	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { g.acks.Run(hard) })
	var sends sync.WaitGroup
	sends.Go(func() { g.sender.Run(ctx, hard) })
	sends.Go(func() { g.fetcher.Run(ctx) })
	g.runLeased(ctx)
	sends.Wait()
	cancel() // the acks
}

// runLeased runs what needs the session, and ends the session as soon as that
// has ended, so that another replica takes over while this one still drains.
func (g *Gateway) runLeased(ctx context.Context) {
	var leased sync.WaitGroup
	leased.Go(func() { g.session.Run(ctx) })
	leased.Go(func() { g.pollers.Run(ctx) })
	leased.Go(func() { g.duties.Run(ctx) })
	leased.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := g.session.Close(last); err != nil {
		g.opts.Log.Warn("the session could not be closed; others take over when it runs out", "error", err)
	}
}

// Wait returns when nothing is on the way to the store any more. The public
// handler must not be served any more.
func (g *Gateway) Wait() { g.ingest.Wait() }
