package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/outbox"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/docload"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/memlimit"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
)

// serveFlags are the flags of "bridge serve".
type serveFlags struct {
	documents, tls, storeURL         string
	listen, internalListen, healthAt string
	drain, grace                     time.Duration
	sendWorkers                      int
}

func newServeCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Receive from and send to the platforms",
		Long: `Serve takes the platforms' webhooks, polls those that are polled, sends what
the store hands out, and does the duties of its channels: probing credentials,
registering webhooks, keeping profiles. It runs on the documents in a folder and
follows every change of them without a restart.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.documents, "documents", "/etc/bridgekeeper/documents", "folder with the document's shard files")
	flags.StringVar(&f.tls, "tls", "/etc/bridgekeeper/tls", "folder with tls.crt, tls.key and ca.crt for the store and the operator")
	flags.StringVar(&f.storeURL, "store-url", "", "base URL of the store's internal API, instead of the document's")
	flags.StringVar(&f.listen, "listen", ":8080", "address of the public listener: webhooks and nothing else")
	flags.StringVar(&f.internalListen, "internal-listen", ":8443", "address of the internal listener: /status, with mutual TLS")
	flags.StringVar(&f.healthAt, "health-listen", ":8081", "address of /healthz, /readyz and /metrics")
	flags.DurationVar(&f.drain, "drain", gateway.DefaultDrain, "how long webhooks are still taken after the process was told to stop")
	flags.DurationVar(&f.grace, "grace", gateway.DefaultGrace, "how long messages on the way may take to finish then")
	flags.IntVar(&f.sendWorkers, "send-workers", outbox.DefaultWorkers, "how many messages are sent at one time")
	return cmd
}

func runServe(ctx context.Context, f serveFlags) error {
	files, err := tlsfiles.Open(f.tls)
	if err != nil {
		return fmt.Errorf("--tls: %w", err)
	}
	client := storeclient.New(files)
	defer client.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var documents *docload.Loader
	g, err := gateway.New(gateway.Options{
		Store: client, StoreURL: f.storeURL, Version: version, Registry: registry, Log: slog.Default(),
		SendWorkers: f.sendWorkers, Grace: f.grace,
		DocumentError: func() string { return documents.State().Error },
	})
	if err != nil {
		return err
	}
	documents = docload.New(docload.Options{Dir: f.documents, Kind: document.KindBridge, OnLoad: g.Load})
	options := gateway.ServeOptions{TLS: files, Documents: documents.Run, Drain: f.drain}
	if err := f.bind(ctx, &options); err != nil {
		return err
	}
	slog.Info("bridge serves", "version", version, "public", f.listen, "internal", f.internalListen, "health", f.healthAt, "documents", f.documents, "memoryLimit", memlimit.Apply())
	return gateway.Serve(ctx, g, options)
}

// bind opens the listeners before anything else runs: an address in use is an
// error at the start, not a log line.
func (f serveFlags) bind(ctx context.Context, o *gateway.ServeOptions) error {
	var config net.ListenConfig
	for _, l := range []struct {
		flag, address string
		into          *net.Listener
	}{
		{"--listen", f.listen, &o.Public},
		{"--internal-listen", f.internalListen, &o.Internal},
		{"--health-listen", f.healthAt, &o.Health},
	} {
		listener, err := config.Listen(ctx, "tcp", l.address)
		if err != nil {
			return fmt.Errorf("%s: %w", l.flag, err)
		}
		*l.into = listener
	}
	return nil
}
