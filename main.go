// Command bridgekeeper is the operator: it reconciles Channels, Bridges and
// ConversationStores (manager), or runs the same manifests in one process
// without a cluster (standalone).
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

func main() {
	if err := newRootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "bridgekeeper:", err)
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "bridgekeeper",
		Short: "Customer conversations as Kubernetes resources",
		Long: `Bridgekeeper connects messaging platforms to a conversation store. Channels,
Bridges and ConversationStores are manifests; "manager" reconciles them in a
cluster, "standalone" runs the same files in one process without one.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newManagerCommand(), newStandaloneCommand(), newExplainCommand(), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), version) },
	})
	return root
}
