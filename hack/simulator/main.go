package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/control"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/meta"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], nil); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done. ready, if not nil, gets the two addresses once
// they listen.
func run(ctx context.Context, args []string, ready func(api, ctl net.Addr)) error {
	cfg, err := load(args)
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return fmt.Errorf("log-level %q: use debug, info, warn or error", cfg.LogLevel)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	opt := cfg.options(time.Now())
	opt.Log = log
	tg := telegram.New(opt)
	defer tg.Close()
	for _, spec := range cfg.Bots {
		if _, err := tg.AddBot(spec); err != nil {
			return err
		}
	}
	for _, u := range cfg.Users {
		tg.NewUser(u)
	}
	graph := meta.New(meta.Options{AllowHTTP: cfg.AllowHTTPWebhooks, FirstID: opt.FirstID, MediaURL: cfg.Meta.MediaURL, Log: log})
	defer graph.Close()
	if err := cfg.Meta.addTo(graph); err != nil {
		return err
	}
	var lc net.ListenConfig
	api, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	ctl, err := lc.Listen(ctx, "tcp", cfg.ControlListen)
	if err != nil {
		_ = api.Close()
		return err
	}
	log.Info("listening", "api", api.Addr().String(), "control", ctl.Addr().String(), "bots", len(cfg.Bots), "seed", opt.Seed)
	if ready != nil {
		ready(api.Addr(), ctl.Addr())
	}
	group, ctx := errgroup.WithContext(ctx)
	serve(ctx, group, api, apis(tg.Handler(), graph.Handler()))
	serve(ctx, group, ctl, control.Root(control.Platform{Name: "telegram", Control: tg.Control()}, control.Platform{Name: "meta", Control: graph.Control()}))
	return group.Wait()
}

// apis tells the platforms apart by their paths.
func apis(bots, graph http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if meta.Handles(r.URL.Path) {
			graph.ServeHTTP(w, r)
			return
		}
		bots.ServeHTTP(w, r)
	})
}

// serve runs a server in the group and shuts it down when ctx is done. Long
// polls do not end by themselves in time, so what is left after a second is
// cut off.
func serve(ctx context.Context, group *errgroup.Group, l net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	group.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(last) != nil {
			return srv.Close()
		}
		return nil
	})
}
