package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/cli"
	"github.com/bridgekeeper/bridgekeeper/controllers/standalone"
)

// standaloneFlags are the flags of "bridgekeeper standalone".
type standaloneFlags struct {
	files                             []string
	namespace, listen, data, logLevel string
}

func newStandaloneCommand() *cobra.Command {
	var f standaloneFlags
	cmd := &cobra.Command{
		Use:   "standalone -f DIR|FILE…",
		Short: "Run manifests in one process, without a cluster",
		Long: `Standalone runs the same manifests as a cluster does, Secrets among them, in one
process: webhooks, polling, sending, and the REST API on one listener.
Conversations are kept with SQLite, or in the PostgreSQL that a store names. Files
that change are in force within a second (or at once with SIGHUP); a mistake in
them is printed, and what is in force stays.

A folder with a kustomization means what it means to "kubectl apply -k".

The data folder also keeps what is in force (documents.json), so that a restart
forgets neither a rotated credential's overlap nor the webhook of a Channel that
was removed meanwhile. That file holds the credentials of all channels; only its
owner can read it.

It is for trying, developing and tests, and for a machine that has no cluster.
It serves plain HTTP: put a reverse proxy with TLS in front before platforms on
the internet call it, and set that one's URL as spec.publicURL of the Bridge.`,
		Example: `  bridgekeeper standalone -f config/samples/quickstart
  bridgekeeper standalone -f overlays/live --data /var/lib/bridgekeeper
  helm template shop ./chart | bridgekeeper standalone -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStandalone(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.files, "filename", "f", nil, "file, folder (with or without a kustomization), or - for the standard input; may be repeated")
	flags.StringVarP(&f.namespace, "namespace", "n", "default", "namespace of objects that name none")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address of the one listener: /webhooks/, /v1, /openapi.json, /healthz, /metrics")
	flags.StringVar(&f.data, "data", "bridgekeeper-data", "folder of databases, attachments and credentials in force; it belongs to this process alone")
	flags.StringVar(&f.logLevel, "log-level", "warn", "debug, info, warn or error")
	_ = cmd.MarkFlagRequired("filename") // fails only for a flag that does not exist
	cli.Complete(cmd, "log-level", "debug", "info", "warn", "error")
	return cmd
}

func runStandalone(cmd *cobra.Command, f standaloneFlags) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: use debug, info, warn or error", f.logLevel)
	}
	source := standalone.Source{Paths: f.files, Namespace: f.namespace}
	if slices.Contains(f.files, standalone.Stdin) {
		content, err := io.ReadAll(cmd.InOrStdin())
		if err != nil {
			return fmt.Errorf("-f -: %w", err)
		}
		source.Stdin = content
	}
	listener, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", f.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w; name another address", err)
	}
	// The first signal drains; after it the default is back, and a second one ends at once.
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop()
	}()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	reload := make(chan struct{})
	go func() {
		for {
			select {
			case <-hangups:
				select {
				case reload <- struct{}{}:
				case <-ctx.Done():
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return standalone.Run(ctx, standalone.Options{
		Source: source, Data: f.data, Listener: listener, Out: cmd.OutOrStdout(), Version: version, Reload: reload,
		Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level})),
	})
}
