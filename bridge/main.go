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
)

// version of this build, set with -ldflags "-X main.version=v1.2.3".
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := newRootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bridge:", err)
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	var level string
	root := &cobra.Command{
		Use:   "bridge",
		Short: "Connects messaging platforms to a conversation store",
		// Errors are printed once, by main; a failure at run time is not a
		// question of usage.
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return setLogger(level)
		},
	}
	root.PersistentFlags().StringVar(&level, "log-level", "info", "least severe log level: debug, info, warn or error")
	root.AddCommand(newServeCommand(), newStoreCommand(), newOpenAPICommand(), newVersionCommand())
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

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this build",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version)
			return err
		},
	}
}
