package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/outbox"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/docload"
	"github.com/bridgekeeper/bridgekeeper/bridge/memlimit"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
)

// serveFlags are the flags of "bridge serve".
type serveFlags struct {
	process
	storeURL     string
	drain, grace time.Duration
	sendWorkers  int
}

func newServeCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Receive from and send to the platforms",
		Long: `Serve takes the platforms' webhooks, polls those that are polled, sends what
the store hands out, and does the duties of its channels: probing credentials,
registering webhooks, keeping profiles. It runs on the documents in a folder and
follows every change of them without a restart.

Of several processes on the same store each takes every webhook, and one at a time
has a channel's polling and duties.`,
		Example: `  bridge serve --documents /etc/bridgekeeper/documents --tls /etc/bridgekeeper/tls
  curl http://127.0.0.1:8081/metrics`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), f) },
	}
	f.register(cmd, "the public listener: webhooks and nothing else", "the internal listener: /status", "the store and the operator")
	flags := cmd.Flags()
	flags.StringVar(&f.storeURL, "store-url", "", "base URL of the store's internal API, instead of the document's")
	flags.DurationVar(&f.drain, "drain", gateway.DefaultDrain, "how long webhooks are still taken after the process was told to stop")
	flags.DurationVar(&f.grace, "grace", gateway.DefaultGrace, "how long messages on the way may take to finish then")
	flags.IntVar(&f.sendWorkers, "send-workers", outbox.DefaultWorkers, "how many messages are sent at one time")
	return cmd
}

func runServe(ctx context.Context, f serveFlags) error {
	files, err := f.openTLS()
	if err != nil {
		return err
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
	l, err := f.bind(ctx)
	if err != nil {
		return err
	}
	slog.Info("bridge serves", "version", version, "public", f.listen, "internal", f.internalListen, "health", f.healthListen, "documents", f.documents, "memoryLimit", memlimit.Apply())
	return gateway.Serve(ctx, g, gateway.ServeOptions{
		Public: l.main, Internal: l.internal, Health: l.health, TLS: files, Documents: documents.Run, Drain: f.drain,
	})
}
