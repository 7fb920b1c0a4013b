package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/adminapi"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/rest"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// storeProcess is what a ConversationStore's pod would run.
type storeProcess struct {
	key      compile.Key
	store    *store.Store
	api      *rest.API
	registry *prometheus.Registry
	loaded   *document.Document
	// exceptions are the entries of loaded that are not in force.
	exceptions []document.Exception
	stop       context.CancelFunc
	done       sync.WaitGroup
}

// startStore opens a store: on PostgreSQL when dsn names a file, else in a data
// folder of its own.
func startStore(ctx context.Context, key compile.Key, dsn string, o Options) (*storeProcess, error) {
	dir := storeDir(o.Data, key)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &storeProcess{key: key, registry: prometheus.NewRegistry()}
	log := o.Log.With("store", key.String())
	parsers := map[string]store.Parser{}
	for name, parse := range all.Parsers() {
		parsers[name] = parse
	}
	options := store.Options{Dir: dir, Parsers: parsers, Capabilities: all.Capabilities(), Log: log, Metrics: p.registry}
	if dsn != "" {
		options.Dir, options.PostgresDSNFile = "", dsn
	}
	var err error
	if p.store, err = store.Open(ctx, options); err != nil {
		return nil, fmt.Errorf("ConversationStore %s in %s: %w", key, dir, err)
	}
	if p.api, err = rest.New(p.store, rest.Options{Log: log, Registerer: p.registry, Version: o.Version}); err != nil {
		return nil, errors.Join(err, p.store.Close())
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = cancel
	p.done.Go(func() {
		if err := p.store.Run(running); err != nil {
			log.Error("the store's timers stopped", "error", err)
		}
	})
	p.done.Go(func() {
		if err := adminapi.Serve(running, p.store, adminapi.Options{Log: log, Registerer: p.registry}); err != nil {
			log.Error("commands such as a backup cannot reach this store", "error", err)
		}
	})
	return p, nil
}

// load puts a document into force, unless it is.
func (p *storeProcess) load(ctx context.Context, doc *document.Document) {
	if doc == nil || p.loaded != nil && p.loaded.Hash == doc.Hash {
		return
	}
	p.exceptions = p.store.Load(ctx, doc)
	p.loaded = doc
}

// close ends the store when nobody uses it any more.
func (p *storeProcess) close(log *slog.Logger) {
	p.api.Drain()
	p.stop()
	p.done.Wait()
	if err := p.store.Close(); err != nil {
		log.Error("the store was not closed in good order", "store", p.key.String(), "error", err)
	}
}

// bridgeProcess is what a Bridge's one pod would run.
type bridgeProcess struct {
	key compile.Key
	// store is what the gateway works on, this very process of it: one that is
	// closed never serves again. nil: there is none now.
	store    *storeProcess
	gateway  *gateway.Gateway
	registry *prometheus.Registry
	loaded   *document.Document
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// startBridge starts a bridge on a store; nil: on none, so that webhooks are
// answered with 503, which makes platforms repeat them, and status says why.
func startBridge(ctx context.Context, key compile.Key, st *storeProcess, o Options) (*bridgeProcess, error) {
	p := &bridgeProcess{key: key, store: st, registry: prometheus.NewRegistry()}
	link := storeclient.Absent("the Bridge's ConversationStore is not in the manifests, or could not be opened")
	if st != nil {
		link = storeclient.Direct(st.store, key.String())
	}
	g, err := gateway.New(gateway.Options{
		Store: link, Version: o.Version, Registry: p.registry,
		Log: o.Log.With("bridge", key.String()), Grace: o.Grace,
	})
	if err != nil {
		return nil, fmt.Errorf("gateway of Bridge %s: %w", key, err)
	}
	p.gateway = g
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = cancel
	p.done.Go(func() { g.Run(running) })
	return p, nil
}

func (p *bridgeProcess) load(ctx context.Context, doc *document.Document) {
	if doc == nil || p.loaded != nil && p.loaded.Hash == doc.Hash {
		return
	}
	p.gateway.Load(ctx, doc)
	p.loaded = doc
}

// leave ends what the bridge does by itself: leases are given back, sends
// finish. Requests that are still routed to it are served.
func (p *bridgeProcess) leave() {
	p.stop()
	p.done.Wait()
}

// close ends the bridge. No request may be routed to it any more.
func (p *bridgeProcess) close() {
	p.leave()
	p.gateway.Wait()
}
