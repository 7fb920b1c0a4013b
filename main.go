// Command bridgekeeper is the operator: it reconciles Channels, Bridges and
// ConversationStores (manager), or runs the same manifests in one process
// without a cluster (standalone).
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	if cmd, err := newRootCommand().ExecuteC(); err != nil {
		fmt.Fprintln(os.Stderr, cli.Explain(cmd, err))
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "bridgekeeper",
		Short: "Customer conversations as Kubernetes resources",
		Long: `Bridgekeeper connects messaging platforms to a conversation store. Channels,
Bridges and ConversationStores are manifests; "manager" reconciles them in a
cluster, "standalone" runs the same files in one process without one.

The pods that the operator starts run the other binary, "bridge".`,
		Example: `  bridgekeeper standalone -f config/samples/quickstart     # without a cluster
  kubectl apply --server-side -k config/default            # into a cluster: runs "bridgekeeper manager" there
  source <(bridgekeeper completion bash)`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newManagerCommand(), newStandaloneCommand(), newExplainCommand(), newSurveyCommand(), cli.NewVersionCommand("bridgekeeper", version))
	return root
}
