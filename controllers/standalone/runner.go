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
	"os"
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
// saves a file sees the effect before looking up, after two looks (see watch). It
// costs a stat per file.
const DefaultPoll = time.Second / 2

// retryEvery is how long it takes until what could not be started is tried
// again. An attempt at a database that does not answer takes some seconds.
const retryEvery = 10 * time.Second

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
	if err := r.begin(ctx); err != nil {
		return errors.Join(err, o.Listener.Close())
	}
	server := r.server()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(o.Listener) }()
	r.report.summary(r.world, r.manifests.Notices, o.Version, time.Since(started))
	err := r.loop(ctx, failed)
	r.drain(server)
	return err
}

// begin puts the manifests into force, after what the process before left.
func (r *runner) begin(ctx context.Context) error {
	if _, err := r.read(); err != nil {
		return err // before anything is made on the disk
	}
	var err error
	if r.memory, err = openMemory(r.Data); err != nil {
		return err
	}
	before, err := r.memory.load()
	if err != nil {
		r.report.problem("what was in force before is not known: webhooks signed with credentials that were rotated before now are refused, "+
			"and a Channel that was removed from the files meanwhile keeps its webhook, which can be removed at the platform by hand", err)
	}
	if before != nil {
		r.manifests = before.stores()
		for _, problem := range r.world.recall(before) {
			r.report.problem(r.memory.path, problem)
		}
	}
	m, err := r.read() // once more, beside what was in force
	if err != nil {
		return err
	}
	return r.apply(ctx, m)
}

// read reads the manifests, and notes what they were read from.
func (r *runner) read() (*Manifests, error) {
	r.watch = newWatch()
	return r.Source.read(r.manifests, r.watch)
}

// runner is one Run. Everything but front belongs to its goroutine.
type runner struct {
	Options
	front  *front
	report *report
	world  *world
	base   *prometheus.Registry

	manifests *Manifests
	watch     *watch  // of the files that manifests were read from last
	memory    *memory // nil until begin
	forgetful string  // why the last save failed: told once
	// trouble is why something does not run that should, a database that is away
	// for example; at retry it is tried again.
	trouble string
	retry   time.Time

	stores  map[compile.Key]*storeProcess
	bridges map[compile.Key]*bridgeProcess
	// replaced are bridges that another process has taken over from, until no
	// request goes to them any more.
	replaced []*bridgeProcess
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
			if r.watch.changed() {
				r.reload(ctx)
			}
			r.look(ctx)
		}
	}
}

// reload puts changed manifests into force, if they are right.
func (r *runner) reload(ctx context.Context) {
	m, err := r.read()
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
// compiles again when time or the platforms have changed something.
func (r *runner) look(ctx context.Context) {
	now := time.Now()
	fleets, changed := r.observe(ctx, now)
	due := r.removeLeft(fleets, now) || changed || passed(r.world.result.NextChange, now) || passed(r.retry, now)
	if !due {
		return
	}
	before := r.trouble
	if err := r.apply(ctx, r.manifests); err != nil && r.trouble != before {
		r.report.problem("a change is in force only in part", err)
	}
}

func passed(moment, now time.Time) bool { return !moment.IsZero() && !now.Before(moment) }

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
	r.save() // before anything acts on it: what is registered must be known after a crash
	err = errors.Join(r.runStores(ctx, stores), r.runBridges(ctx, bridges))
	r.retry, r.trouble = time.Time{}, ""
	if err != nil {
		r.retry, r.trouble = time.Now().Add(retryEvery), err.Error()
	}
	r.publish()
	r.stopLeftOver()
	r.report.findings(r.world)
	return err
}

// save keeps what has to outlive this process. Messages flow without it, so a
// failure is told and nothing stops.
func (r *runner) save() {
	kept, err := r.world.remember()
	if err == nil {
		err = r.memory.save(kept)
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != r.forgetful && err != nil {
		r.report.problem("what is in force could not be written to "+r.memory.path+": a restart now would forget rotated credentials and removed Channels", err)
	}
	r.forgetful = text
}

// runStores comes first: a bridge's channels must be known when it asks.
func (r *runner) runStores(ctx context.Context, docs map[compile.Key]*document.Document) error {
	var errs []error
	for key, doc := range docs {
		dsn, ready, err := r.database(key)
		if err == nil && ready && r.stores[key] == nil {
			var p *storeProcess
			if p, err = startStore(ctx, key, dsn, r.Options); err == nil {
				r.stores[key] = p
			}
		}
		if err != nil {
			errs = append(errs, err)
		}
		if p := r.stores[key]; p != nil {
			p.load(ctx, doc)
		}
	}
	return errors.Join(errs...)
}

// database keeps what a store on PostgreSQL connects with. ready says whether
// it has something to connect with: until then a finding says what is missing.
func (r *runner) database(key compile.Key) (dsn string, ready bool, err error) {
	if st := r.world.objects.stores[key]; st == nil || st.Spec.Postgres == nil {
		return "", true, nil
	}
	dsn = dsnFile(r.Data, key)
	if err := keepDatabase(dsn, r.world.result.Stores[key].Database); err != nil {
		return "", false, fmt.Errorf("connection of ConversationStore %s: %w", key, err)
	}
	_, err = os.Stat(dsn)
	return dsn, err == nil, nil
}

// runBridges lets every bridge run on the process of its store that is there
// now, or on none. A bridge whose store leaves ends before that does: it gives
// its leases back, and what is being sent gets its report.
func (r *runner) runBridges(ctx context.Context, docs map[compile.Key]*document.Document) error {
	var errs []error
	for key, doc := range docs {
		p, st := r.bridges[key], r.storeOf(doc)
		if p != nil && p.store != st {
			p.leave()
			r.replaced = append(r.replaced, p)
			delete(r.bridges, key)
			p = nil
		}
		if p == nil {
			var err error
			if p, err = startBridge(ctx, key, st, r.Options); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		r.bridges[key] = p
		p.load(ctx, doc)
	}
	return errors.Join(errs...)
}

// storeOf is the store that a bridge's document names; nil when it does not run,
// or is about to end as it has no manifest any more.
func (r *runner) storeOf(doc *document.Document) *storeProcess {
	key := storeOf(doc)
	if r.world.result.Stores[key] == nil {
		return nil
	}
	return r.stores[key]
}

// publish tells the front where requests go.
func (r *runner) publish() {
	next := &routes{webhooks: map[compile.Key]http.Handler{}, apps: map[app]http.Handler{}, metrics: prometheus.Gatherers{r.base}}
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
	for _, ch := range r.world.snapshot.Channels {
		result := r.world.result.Channels[keyOf(ch)]
		p := r.bridges[result.Bridge]
		if p == nil {
			continue
		}
		next.webhooks[keyOf(ch)] = p.gateway.PublicHandler()
		if ch.App() != "" && result.Entry != nil {
			next.apps[app{string(ch.Spec.Platform), ch.App()}] = p.gateway.PublicHandler()
		}
	}
	r.front.routes.Store(next)
}

// stopLeftOver ends what has no manifest any more. Data stays.
func (r *runner) stopLeftOver() {
	for _, p := range r.replaced {
		if p.store != nil { // else nothing of it is on the way to a store
			p.gateway.Wait()
		}
	}
	r.replaced = nil
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
	if r.memory != nil {
		_ = r.memory.close() // everything was written and flushed
	}
}

func sortedKeys[V any](m map[compile.Key]V) []compile.Key {
	return slices.SortedFunc(maps.Keys(m), func(a, b compile.Key) int { return strings.Compare(a.String(), b.String()) })
}
