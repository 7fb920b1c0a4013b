package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/cli"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/storeserver"
	"github.com/bridgekeeper/bridgekeeper/bridge/memlimit"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/rest"
)

// storeFlags are the flags of "bridge store".
type storeFlags struct {
	process
	backend, data, dsnFile string
	grace, drain           time.Duration
}

// Values of --backend.
const (
	backendSQLite   = "sqlite"
	backendPostgres = "postgres"
)

func newStoreCommand() *cobra.Command {
	var f storeFlags
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Keep the conversations and answer REST",
		Long: `Store owns the database. It commits what bridges hand in, hands out what is to
be sent, and answers the REST API. It runs on the documents in a folder and
follows every change of them without a restart.

One process at a time works on a data folder; any number of them on a PostgreSQL
database. Migrations run at the start, under a lock.`,
		Example: `  bridge store --data /data
  bridge store --backend postgres --postgres-dsn-file /etc/bridgekeeper/postgres/dsn
  bridge store backup --out shop.backup`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStore(cmd.Context(), f) },
	}
	f.register(cmd, "the REST API", "the internal API and /status", "bridges and the operator")
	flags := cmd.Flags()
	flags.StringVar(&f.backend, "backend", backendSQLite, "where conversations are kept: sqlite, in --data, or postgres, see --postgres-dsn-file")
	flags.StringVar(&f.data, "data", "/data", "sqlite: folder of the database and of attachments; it belongs to this process alone")
	flags.StringVar(&f.dsnFile, "postgres-dsn-file", "", "postgres: file with the connection string; ca.crt, tls.crt and tls.key beside it are used, too, and changes are followed")
	flags.DurationVar(&f.grace, "grace", storeserver.DefaultGrace, "how long requests may take to finish after the process was told to stop")
	flags.DurationVar(&f.drain, "drain", storeserver.DefaultDrain, "postgres: how long requests are still taken after the process was told to stop; with sqlite nobody else serves, and it stops at once")
	cli.Complete(cmd, "backend", backendSQLite, backendPostgres)
	cmd.AddCommand(newBackupCommand(), newRestoreCommand(), newRestoredCommand())
	return cmd
}

// validate checks what belongs together.
func (f storeFlags) validate() error {
	switch {
	case f.backend != backendSQLite && f.backend != backendPostgres:
		return fmt.Errorf("--backend %q: use %s or %s", f.backend, backendSQLite, backendPostgres)
	case f.backend == backendPostgres && f.dsnFile == "":
		return fmt.Errorf("--backend %s needs --postgres-dsn-file: name the file with the connection string", backendPostgres)
	case f.backend == backendSQLite && f.dsnFile != "":
		return fmt.Errorf("--postgres-dsn-file is for --backend %s: set that too, or leave this out", backendPostgres)
	}
	return nil
}

func runStore(ctx context.Context, f storeFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	files, err := f.openTLS()
	if err != nil {
		return err
	}
	l, err := f.bind(ctx)
	if err != nil {
		return err
	}
	slog.Info("store starts", "version", version, "backend", f.backend, "documents", f.documents, "memoryLimit", memlimit.Apply(),
		"rest", f.listen, "internal", f.internalListen, "health", f.healthListen)
	if f.backend == backendSQLite {
		f.drain = 0
	}
	return storeserver.New(storeserver.Options{
		Documents: f.documents, TLS: files, Version: version, Grace: f.grace, Drain: f.drain, Open: f.open,
		REST: l.main, Internal: l.internal, Health: l.health,
	}).Run(ctx)
}

func (f storeFlags) open(ctx context.Context, registry prometheus.Registerer) (storeserver.Engine, error) {
	parsers := map[string]store.Parser{}
	for name, parse := range all.Parsers() {
		parsers[name] = parse
	}
	options := store.Options{Parsers: parsers, Capabilities: all.Capabilities(), Log: slog.Default(), Metrics: registry}
	if f.backend == backendPostgres {
		options.PostgresDSNFile = f.dsnFile
	} else {
		options.Dir = f.data
	}
	return store.Open(ctx, options)
}

// newOpenAPICommand prints the description of the store's REST API.
func newOpenAPICommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI 3.1 description of the REST API",
		Long: `Openapi prints what a store serves at /openapi.json and /openapi.yaml, for
generating clients and for reading: every path, parameter, answer and error.`,
		Example: `  bridge openapi > openapi.yaml
  bridge openapi --format json | jq '.paths | keys'`,
		Args: cobra.NoArgs,
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
	cli.Complete(cmd, "format", "yaml", "json")
	return cmd
}
