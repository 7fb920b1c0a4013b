// Command bridge is the data plane: it stands between messaging platforms and
// the conversation store.
//
//	bridge serve    faces the internet: webhooks, sending, polling, duties
//	bridge store    faces the cluster: owns the database, answers REST
//	bridge store backup, restore   for a store on SQLite
//	bridge openapi  prints the description of the REST API
//
// It knows nothing of Kubernetes: the documents of package document are all it
// is told.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/cli"
)

// version of this build, set with -ldflags "-X main.version=v1.2.3".
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if cmd, err := newRootCommand().ExecuteContextC(ctx); err != nil {
		fmt.Fprintln(os.Stderr, cli.Explain(cmd, err))
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	var level string
	root := &cobra.Command{
		Use:   "bridge",
		Short: "Connects messaging platforms to a conversation store",
		Long: `Bridge is what the pods run that the operator makes: "bridge serve" faces the
platforms, "bridge store" the database. Both work on documents in a folder, which
the operator writes, and on certificates for each other.

By hand it is of use for backups, and to read the REST API's description. To try
things out on one machine use "bridgekeeper standalone", which makes all of this
from your manifests.`,
		Example: `  bridge store backup --data DIR --out shop.backup
  bridge openapi > openapi.yaml`,
		// Errors are printed once, by main; a failure at run time is not a
		// question of usage.
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return setLogger(level)
		},
	}
	root.PersistentFlags().StringVar(&level, "log-level", "info", "least severe log level: debug, info, warn or error")
	cli.Complete(root, "log-level", "debug", "info", "warn", "error")
	root.AddCommand(newServeCommand(), newStoreCommand(), newOpenAPICommand(), cli.NewVersionCommand("bridge", version))
	return root
}

// setLogger makes JSON lines on stderr the default logger.
func setLogger(level string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return fmt.Errorf("--log-level %q: use debug, info, warn or error", level)
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: l})))
	return nil
}
