package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// DefaultPoll is how often files and conditions are looked at: a person who
// saves a file sees the effect before looking up. It costs a stat per file.
const DefaultPoll = time.Second

// Options of Run.
type Options struct {
	// Source of the manifests and Data, a folder for databases and attachments,
	// are needed, and so is Listener, which Run closes.
	Source   Source
	Data     string
	Listener net.Listener
	// Out gets what people should read: the summary, findings, conditions.
	Out io.Writer
	Log *slog.Logger
	// Version of this build.
	Version string
	// Reload asks for another look at the manifests. May be nil.
	Reload <-chan struct{}
	// Poll is DefaultPoll when zero, Grace gateway.DefaultGrace: how long
	// requests and sends may take to finish at the end.
	Poll, Grace time.Duration
}

func (o Options) withDefaults() Options {
	if o.Poll == 0 {
		o.Poll = DefaultPoll
	}
	if o.Grace == 0 {
		o.Grace = gateway.DefaultGrace
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	return o
}

// Run serves the manifests until ctx is done and everything has ended in good
// order. It fails when it cannot begin; a mistake in manifests that change
// later is printed, and what is in force stays.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	started := time.Now()
	r := &runner{
		Options: o, front: newFront(), report: newReport(o.Out, o.Data, o.Listener.Addr().String()),
		stores: map[compile.Key]*storeProcess{}, bridges: map[compile.Key]*bridgeProcess{},
		base: prometheus.NewRegistry(),
	}
	r.base.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.world = newWorld(all.Capabilities(), func(store compile.Key) (string, error) { return generatedToken(o.Data, store) })
	defer r.close()
	r.stamp = o.Source.Stamp()
	m, err := o.Source.Read(nil)
	if err == nil {
		err = r.apply(ctx, m)
	}
	if err != nil {
		_ = o.Listener.Close()
		return err
	}
	server := r.server()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(o.Listener) }()
	r.report.summary(r.world, m.Notices, o.Version, time.Since(started))
	err = r.loop(ctx, failed)
	r.drain(server)
	return err
}

// runner is one Run. Everything but front belongs to its goroutine.
type runner struct {
	Options
	front  *front
	report *report
	world  *world
	base   *prometheus.Registry

	manifests *Manifests
	stamp     string
	stores    map[compile.Key]*storeProcess
	bridges   map[compile.Key]*bridgeProcess
}

func (r *runner) server() *http.Server {
	return &http.Server{
		Handler: r.front,
		// Headers come in one packet. Answers take up to a platform's patience
		// (25 s) after a body (10 s); streams extend the time for themselves.
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(r.Log.Handler(), slog.LevelDebug),
	}
}

func (r *runner) loop(ctx context.Context, failed <-chan error) error {
	tick := time.NewTicker(r.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("listener %s: %w", r.Listener.Addr(), err)
		case <-r.Reload:
			r.reload(ctx)
		case <-tick.C:
			if s := r.Source.Stamp(); s != r.stamp {
				r.reload(ctx)
			}
			r.look(ctx)
		}
	}
}

// reload puts changed manifests into force, if they are right.
func (r *runner) reload(ctx context.Context) {
	r.stamp = r.Source.Stamp()
	m, err := r.Source.Read(r.manifests)
	if err != nil {
		r.report.problem("the manifests were not taken; what is in force stays", err)
		return
	}
	before := r.world.result
	if err := r.apply(ctx, m); err != nil {
		r.report.problem("the manifests are in force only in part", err)
		return
	}
	r.report.reloaded(before, r.world.result)
}

// look prints what changed, lets go of channels whose webhooks are removed, and
// compiles again when time has changed something.
func (r *runner) look(ctx context.Context) {
	now := time.Now()
	fleets := r.observe(ctx, now)
	next := r.world.result.NextChange
	if !r.removeLeft(fleets, now) && (next.IsZero() || now.Before(next)) {
		return
	}
	if err := r.apply(ctx, r.manifests); err != nil {
		r.report.problem("a change that time brought is in force only in part", err)
	}
}

// apply compiles manifests and lets stores and bridges run on the result.
func (r *runner) apply(ctx context.Context, m *Manifests) error {
	if err := r.world.compile(m, time.Now()); err != nil {
		return err
	}
	r.manifests = m
	stores, bridges, err := r.world.documents()
	if err != nil {
		return err
	}
	errs := []error{r.runStores(ctx, stores), r.runBridges(ctx, bridges)}
	r.publish()
	r.stopLeftOver()
	r.report.findings(r.world)
	return errors.Join(errs...)
}

// runStores comes first: a bridge's channels must be known when it asks.
func (r *runner) runStores(ctx context.Context, docs map[compile.Key]*document.Document) error {
	var errs []error
	for key, doc := range docs {
		if r.stores[key] == nil {
			p, err := startStore(ctx, key, r.Options)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			r.stores[key] = p
		}
		r.stores[key].load(ctx, doc)
	}
	return errors.Join(errs...)
}

func (r *runner) runBridges(ctx context.Context, docs map[compile.Key]*document.Document) error {
	var errs []error
	for key, doc := range docs {
		p, st := r.bridges[key], r.stores[r.world.result.Bridges[key].Store]
		if p != nil && st != nil && p.store != st.key {
			p.close() // it moves to another store
			p = nil
		}
		if p == nil && st != nil {
			var err error
			if p, err = startBridge(ctx, key, st, r.Options); err != nil {
				errs = append(errs, err)
			}
		}
		if p == nil {
			delete(r.bridges, key)
			continue
		}
		r.bridges[key] = p
		p.load(ctx, doc)
	}
	return errors.Join(errs...)
}

// publish tells the front where requests go.
func (r *runner) publish() {
	next := &routes{webhooks: map[compile.Key]http.Handler{}, metrics: prometheus.Gatherers{r.base}}
	for _, key := range sortedKeys(r.bridges) {
		if r.world.result.Bridges[key] == nil {
			continue
		}
		p := r.bridges[key]
		if next.any == nil {
			next.any = p.gateway.PublicHandler()
		}
		next.metrics = append(next.metrics, labelled{p.registry, "bridge", key.String()})
	}
	for _, key := range sortedKeys(r.stores) {
		if r.world.result.Stores[key] == nil {
			continue
		}
		next.stores = append(next.stores, r.stores[key])
		next.metrics = append(next.metrics, labelled{r.stores[key].registry, "store", key.String()})
	}
	for key, ch := range r.world.result.Channels {
		if p := r.bridges[ch.Bridge]; p != nil {
			next.webhooks[key] = p.gateway.PublicHandler()
		}
	}
	r.front.routes.Store(next)
}

// stopLeftOver ends what has no manifest any more. Data stays.
func (r *runner) stopLeftOver() {
	for key, p := range r.bridges {
		if r.world.result.Bridges[key] == nil {
			p.close()
			delete(r.bridges, key)
		}
	}
	for key, p := range r.stores {
		if r.world.result.Stores[key] == nil {
			p.close(r.Log)
			delete(r.stores, key)
		}
	}
}

// drain ends the listener: streams at once, requests when they are answered.
// Bridges stop leasing work meanwhile.
func (r *runner) drain(server *http.Server) {
	r.front.draining.Store(true)
	for _, p := range r.stores {
		p.api.Drain()
	}
	for _, p := range r.bridges {
		p.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.Grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close()
	}
}

// close ends bridges, then stores.
func (r *runner) close() {
	var all sync.WaitGroup
	for _, p := range r.bridges {
		all.Go(p.close)
	}
	all.Wait()
	for _, p := range r.stores {
		p.close(r.Log)
	}
}

func sortedKeys[V any](m map[compile.Key]V) []compile.Key {
	return slices.SortedFunc(maps.Keys(m), func(a, b compile.Key) int { return strings.Compare(a.String(), b.String()) })
}
