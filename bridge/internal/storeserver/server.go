package storeserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/docload"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/drain"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/statusapi"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/adminapi"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/internalapi"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/rest"
)

// DefaultGrace is how long requests may take to finish once the process was
// told to stop. A pod has 40 s; long polls end at once, so what is left are
// commits and transfers of attachments.
const DefaultGrace = 30 * time.Second

// DefaultDrain is how long requests are still taken after the process was told
// to stop, where others serve the same database: until the change of endpoints
// has reached every proxy, which takes a second or two in a healthy cluster. With
// DefaultGrace it fits into the pod's 40 s.
const DefaultDrain = 5 * time.Second

// Engine is the store with its life.
type Engine interface {
	store.Engine
	// Run keeps timers going until ctx is done.
	Run(ctx context.Context) error
	Close() error
}

// Options of a Server. The listeners are open already: an address in use is
// an error at the start. All but Log, Grace and Registry are needed.
type Options struct {
	Documents string // folder of the shard files
	TLS       *tlsfiles.Files
	// Open opens the engine; it may take as long as a recovery or a migration takes.
	Open func(ctx context.Context, registry prometheus.Registerer) (Engine, error)

	REST, Internal, Health net.Listener

	Version  string
	Registry *prometheus.Registry // its own when nil
	Log      *slog.Logger         // slog.Default when nil
	Grace    time.Duration        // DefaultGrace when zero
	// Drain is how long requests are still taken after ctx is done. Zero where
	// nobody else serves the database: then it is the sooner taken over.
	Drain time.Duration
}

// Server is one store process.
type Server struct {
	opts   Options
	loaded atomic.Bool // a document is in force
	ready  atomic.Bool // loaded, and not stopping
	sleep  func(time.Duration)
}

// New makes a server; nothing runs yet.
func New(opts Options) *Server {
	if opts.Registry == nil {
		opts.Registry = prometheus.NewRegistry()
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Grace == 0 {
		opts.Grace = DefaultGrace
	}
	opts.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Server{opts: opts, sleep: time.Sleep}
}

// Ready says whether the database is open, a document in force, and the
// process is not about to stop.
func (s *Server) Ready() bool { return s.ready.Load() }

// Run serves until ctx is done and everything has ended in good order:
//
//	ctx done ─► not ready; REST's answers close their connections, so that
//	            callers go elsewhere
//	  Drain later ─► event streams and long polls end, nothing new is taken
//	  Grace at most ─► requests on the way finish, then the engine closes
//
// An error is the database's or a listener's: everything is stopped then.
func (s *Server) Run(ctx context.Context) (err error) {
	health := s.healthServer()
	healthDone := make(chan error, 1)
	go func() { healthDone <- serve(health, s.opts.Health) }()
	defer func() { // last, so that probes see the end
		err = errors.Join(err, health.Close(), <-healthDone)
	}()
	engine, err := s.opts.Open(ctx, s.opts.Registry)
	if err != nil {
		return errors.Join(fmt.Errorf("open the store: %w", err), s.opts.REST.Close(), s.opts.Internal.Close())
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	return s.run(ctx, engine)
}

func (s *Server) run(ctx context.Context, engine Engine) error {
	public, err := rest.New(engine, rest.Options{Log: s.opts.Log, Registerer: s.opts.Registry, Version: s.opts.Version})
	if err != nil {
		return err
	}
	internal := internalapi.New(engine, internalapi.Options{Log: s.opts.Log, Registerer: s.opts.Registry, TLS: s.opts.TLS})
	documents := docload.New(docload.Options{Dir: s.opts.Documents, Kind: document.KindStore, OnLoad: engine.Load})
	group, ctx := errgroup.WithContext(ctx)
	restServer := s.restServer(drain.UntilDone(ctx, public))
	internalServer := s.internalServer(internal, s.statusHandler(engine, documents))
	// Timers and documents go on until requests have finished.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	group.Go(func() error { return engine.Run(background) })
	group.Go(func() error { s.serveCommands(ctx, engine); return nil })
	group.Go(func() error { documents.Run(background); return nil })
	group.Go(func() error { return serve(restServer, s.opts.REST) })
	group.Go(func() error { return serve(internalServer, s.opts.Internal) })
	group.Go(func() error {
		select {
		case <-documents.Loaded():
			s.loaded.Store(true)
			s.ready.Store(true)
			s.opts.Log.Info("store serves", "version", s.opts.Version, "document", documents.State().Name)
		case <-ctx.Done():
		}
		<-ctx.Done()
		s.ready.Store(false)
		s.opts.Log.Info("store stops", "drain", s.opts.Drain, "grace", s.opts.Grace)
		s.sleep(s.opts.Drain)
		public.Drain()
		internal.Drain()
		defer stopBackground()
		return s.shutdown(restServer, internalServer)
	})
	return group.Wait()
}

// serveCommands answers commands on this machine, such as a backup. Messages
// flow without it.
func (s *Server) serveCommands(ctx context.Context, engine Engine) {
	st, able := engine.(adminapi.Store)
	if !able {
		return
	}
	if err := adminapi.Serve(ctx, st, adminapi.Options{Log: s.opts.Log, Registerer: s.opts.Registry}); err != nil {
		s.opts.Log.Error("commands such as a backup cannot reach this store", "error", err)
	}
}

// shutdown lets the requests of both servers finish for up to Grace, then cuts them off.
func (s *Server) shutdown(servers ...*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Grace)
	defer cancel()
	var group errgroup.Group
	for _, server := range servers {
		group.Go(func() error {
			if err := server.Shutdown(ctx); err != nil {
				s.opts.Log.Warn("requests were cut off", "error", err)
				return server.Close()
			}
			return nil
		})
	}
	return group.Wait()
}

func (s *Server) statusHandler(engine Engine, documents *docload.Loader) http.Handler {
	// A store has no rows of its own yet: what it knows of channels is said by
	// the bridges. The table gives it its instance.
	return statusapi.Handler(statusapi.NewTable(), func(ctx context.Context) document.Status {
		status := document.Status{Kind: document.KindStore, Version: s.opts.Version, EntryKinds: document.StoreEntryKinds(), Store: engine.Health(ctx)}
		documents.State().Apply(&status)
		status.Troubles, status.Surveys = engine.Troubles(ctx), engine.SurveyStatuses(ctx)
		return status
	})
}
