package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/drain"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/statusapi"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
)

const (
	// Timeouts of the public listener, which strangers reach. Headers come in
	// one packet; a body has a timeout of its own (package webhook). An answer
	// comes within a platform's patience, 25 s at most, after the body's 10 s.
	// Idle connections outlive the 60 s that proxies keep theirs, so that it is
	// the proxy that closes them and no request is lost on the way.
	readHeaderTimeout = 5 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 75 * time.Second
	// maxHeaderBytes: platforms' signatures and ids are below 1 KiB, proxies add
	// a few.
	maxHeaderBytes = 16 << 10
	// internalTimeout bounds reading and answering on the internal listeners.
	internalTimeout = 30 * time.Second
)

// ServeOptions are the listeners of a process of its own.
type ServeOptions struct {
	// Public takes webhooks and nothing else.
	Public net.Listener
	// Internal answers /status with the certificate of TLS, to the operator
	// alone. May be nil.
	Internal net.Listener
	TLS      *tlsfiles.Files
	// Health answers /healthz, /readyz and /metrics without TLS. May be nil.
	Health net.Listener
	// Documents runs until ctx is done and calls Gateway.Load. May be nil when
	// the caller loads by itself.
	Documents func(ctx context.Context)
	// Drain is how long webhooks are still taken after ctx is done.
	Drain time.Duration
}

// Serve runs g until ctx is done and everything has ended in good order:
//
//	ctx done ─► not ready, leases given back, nothing new is leased; every
//	            answer closes its connection, so that callers go elsewhere
//	  Drain later ─► the public listener closes, requests on the way finish
//	  Grace at most ─► sends finish, then the other listeners close
//
// An error is a listener's: everything is stopped then.
func Serve(ctx context.Context, g *Gateway, o ServeOptions) error {
	group, ctx := errgroup.WithContext(ctx)
	public := publicServer(drain.UntilDone(ctx, g.PublicHandler()), g.opts.Log)
	var work sync.WaitGroup // until it is done, the other listeners tell how it goes
	work.Go(func() { runAll(ctx, g, o) })
	group.Go(func() error { return serve(public, o.Public) })
	work.Go(func() {
		<-ctx.Done()
		time.Sleep(o.Drain)
		shutdown(ctx, public, g.opts.Grace)
	})
	for listener, server := range internalServers(g, o) {
		group.Go(func() error { return serve(server, listener) })
		group.Go(func() error {
			<-ctx.Done()
			work.Wait()
			shutdown(ctx, server, time.Second)
			return nil
		})
	}
	err := group.Wait()
	work.Wait()
	g.Wait()
	return err
}

func runAll(ctx context.Context, g *Gateway, o ServeOptions) {
	documents := make(chan struct{})
	go func() {
		defer close(documents)
		if o.Documents != nil {
			o.Documents(ctx)
		}
	}()
	g.Run(ctx)
	<-documents
}

func internalServers(g *Gateway, o ServeOptions) map[net.Listener]*http.Server {
	servers := map[net.Listener]*http.Server{}
	if o.Health != nil {
		servers[o.Health] = plainServer(healthHandler(g), g.opts.Log)
	}
	if o.Internal != nil {
		mux := http.NewServeMux()
		mux.Handle(statusapi.Path, g.StatusHandler())
		s := plainServer(o.TLS.Guard(mux), g.opts.Log)
		s.TLSConfig, s.ConnContext = o.TLS.ServerConfig(), tlsfiles.ConnContext
		g.metrics.Certificate.Watch(o.TLS)
		servers[o.Internal] = s
	}
	return servers
}

func publicServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		// What strangers do to a connection is not worth more than a debug line.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func plainServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: internalTimeout, WriteTimeout: internalTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

func serve(s *http.Server, l net.Listener) error {
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("listener %s: %w", l.Addr(), err)
}

// shutdown lets requests on the way finish for up to grace, then cuts them off.
func shutdown(ctx context.Context, s *http.Server, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if s.Shutdown(ctx) != nil {
		_ = s.Close() // its listener is closed already: nothing left to fail
	}
}

func healthHandler(g *Gateway) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, true) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { say(w, g.Ready()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.opts.Registry, promhttp.HandlerOpts{}))
	return mux
}

func say(w http.ResponseWriter, ok bool) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("not ready\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
