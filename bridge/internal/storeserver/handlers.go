package storeserver

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/problem"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/statusapi"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/rest"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// internalWriteTimeout is above the longest long poll (25 s) and its answer.
	// Transfers of attachments extend it for themselves.
	internalWriteTimeout = time.Minute
	// A bridge that vanished with its node is noticed by pings, not after TCP's
	// quarter of an hour: its long polls would hold deliveries that long.
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
	// maxStreams bounds the requests at one time on one connection: a bridge has
	// a few long polls, and an ingest per webhook that waits for its commit.
	maxStreams = 1000
	// maxFrame holds nearly every batch of a bridge in one frame: each goes through
	// the hands of three goroutines. A connection keeps a buffer of the largest
	// that came.
	maxFrame = 256 << 10
)

func serve(server *http.Server, listener net.Listener) error {
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("listener %s: %w", listener.Addr(), err)
}

// server is what all listeners but REST's have in common.
func (s *Server) server(level slog.Level) *http.Server {
	return &http.Server{
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), level),
	}
}

func (s *Server) restServer(api http.Handler) *http.Server {
	server := rest.NewServer(s.onceLoaded(api))
	// What clients do to a connection is not worth more than a debug line.
	server.ErrorLog = slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug)
	return server
}

// internalServer serves bridges and the operator. Who is neither fails the
// handshake or gets 401, 403.
func (s *Server) internalServer(api, status http.Handler) *http.Server {
	mux := http.NewServeMux()
	mux.Handle(statusapi.Path, status)
	mux.Handle("/", s.onceLoaded(api))
	server := s.server(slog.LevelInfo) // a failed handshake is a certificate to look at
	server.Handler = s.opts.TLS.Guard(mux)
	server.TLSConfig, server.ConnContext = s.opts.TLS.ServerConfig(), tlsfiles.ConnContext
	server.WriteTimeout = internalWriteTimeout
	server.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame, SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	return server
}

// onceLoaded answers 503 until the first document is in force: before it,
// every token would be unknown and every Bridge a stranger, and a caller would
// take that for an answer.
func (s *Server) onceLoaded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.loaded.Load() {
			problem.Unavailable(w, time.Second, "the store is starting")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) healthServer() *http.Server {
	mux := http.NewServeMux()
	// Alive means that the process answers. A full disk or a long recovery is
	// not mended by a restart.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.Ready() {
			http.Error(w, "not ready: no document in force, or stopping", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.opts.Registry, promhttp.HandlerOpts{}))
	server := s.server(slog.LevelDebug)
	server.Handler, server.ReadTimeout, server.WriteTimeout = mux, readHeaderTimeout, 30*time.Second
	return server
}
