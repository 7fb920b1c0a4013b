package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/memlimit"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/storeserver"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/rest"
)

// storeFlags are the flags of "bridge store".
type storeFlags struct {
	documents, data, tls             string
	listen, internalListen, healthAt string
	grace                            time.Duration
}

func newStoreCommand() *cobra.Command {
	var f storeFlags
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Keep the conversations and answer REST",
		Long: `Store owns the database. It commits what bridges hand in, hands out what is to
be sent, and answers the REST API. It runs on the documents in a folder and
follows every change of them without a restart.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStore(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.documents, "documents", "/etc/bridgekeeper/documents", "folder with the document's shard files")
	flags.StringVar(&f.data, "data", "/data", "folder of the database and of attachments; it belongs to this process alone")
	flags.StringVar(&f.tls, "tls", "/etc/bridgekeeper/tls", "folder with tls.crt, tls.key and ca.crt for bridges and the operator")
	flags.StringVar(&f.listen, "listen", ":8080", "address of the REST API")
	flags.StringVar(&f.internalListen, "internal-listen", ":8443", "address of the internal API and /status, with mutual TLS")
	flags.StringVar(&f.healthAt, "health-listen", ":8081", "address of /healthz, /readyz and /metrics")
	flags.DurationVar(&f.grace, "grace", storeserver.DefaultGrace, "how long requests may take to finish after the process was told to stop")
	return cmd
}

func runStore(ctx context.Context, f storeFlags) error {
	files, err := tlsfiles.Open(f.tls)
	if err != nil {
		return fmt.Errorf("--tls: %w", err)
	}
	options := storeserver.Options{Documents: f.documents, TLS: files, Version: version, Grace: f.grace, Open: f.open}
	if err := f.bind(ctx, &options); err != nil {
		return err
	}
	slog.Info("store starts", "version", version, "data", f.data, "documents", f.documents, "memoryLimit", memlimit.Apply(),
		"rest", f.listen, "internal", f.internalListen, "health", f.healthAt)
	return storeserver.New(options).Run(ctx)
}

func (f storeFlags) open(ctx context.Context, registry prometheus.Registerer) (storeserver.Engine, error) {
	parsers := map[string]store.Parser{}
	for name, parse := range all.Parsers() {
		parsers[name] = parse
	}
	return store.Open(ctx, store.Options{
		Dir: f.data, Parsers: parsers, Capabilities: all.Capabilities(), Log: slog.Default(), Metrics: registry,
	})
}

// bind opens the listeners before anything else runs: an address in use is an
// error at the start, not a log line.
func (f storeFlags) bind(ctx context.Context, o *storeserver.Options) error {
	for _, l := range []struct {
		flag, address string
		into          *net.Listener
	}{
		{"--listen", f.listen, &o.REST},
		{"--internal-listen", f.internalListen, &o.Internal},
		{"--health-listen", f.healthAt, &o.Health},
	} {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.address)
		if err != nil {
			return fmt.Errorf("%s: %w", l.flag, err)
		}
		*l.into = listener
	}
	return nil
}

// newOpenAPICommand prints the description of the store's REST API.
func newOpenAPICommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI 3.1 description of the REST API",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "yaml" && format != "json" {
				return fmt.Errorf("--format %q: use yaml or json", format)
			}
			description, err := rest.OpenAPI(version, format == "yaml")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), string(description))
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "yaml", "yaml or json")
	return cmd
}
