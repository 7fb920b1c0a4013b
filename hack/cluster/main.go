package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: cluster [--dir DIR] [--cache DIR] COMMAND

  binaries [--envtest]      build what is missing; --envtest: only kube-apiserver,
                            etcd, kubectl and helm, and print the folder for
                            KUBEBUILDER_ASSETS
  up                        start the cluster, repair it, or say that it runs
  down                      stop it and remove everything it made
  status [-o json]          what runs and what does not
  image build -f FILE -t NAME [--build-arg K=V]… CONTEXT
  image load FILE|NAME      bring an image into the cluster
  smoke                     prove on the running cluster that it is a real one
  kubeconfig                print the path of the kubeconfig
  kubectl ARGS…             run the cluster's own kubectl on it

The state is in /var/lib/bridgekeeper-cluster (--dir or BRIDGEKEEPER_CLUSTER_DIR),
the binaries are in ~/.cache/bridgekeeper/bin (--cache or BRIDGEKEEPER_CLUSTER_CACHE).
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, errQuiet) {
			fmt.Fprintln(os.Stderr, "cluster:", err)
		}
		stop()
		os.Exit(1)
	}
}

// errQuiet ends the program with an error that has been printed already.
var errQuiet = errors.New("")

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	dir := flags.String("dir", "", "state folder")
	cache := flags.String("cache", "", "folder of the binaries")
	if err := flags.Parse(args); err != nil {
		return errQuiet
	}
	cfg, err := newConfig(*dir, *cache)
	if err != nil {
		return err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return errQuiet
	}
	name, rest := flags.Arg(0), flags.Args()[1:]
	command, ok := map[string]func(context.Context, Config, []string) error{
		"binaries":   runBinaries,
		"up":         runUp,
		"down":       runDown,
		"status":     runStatus,
		"image":      runImage,
		"smoke":      runSmoke,
		"kubeconfig": runKubeconfig,
		"kubectl":    runKubectl,
	}[name]
	if !ok {
		flags.Usage()
		return fmt.Errorf("there is no command %q", name)
	}
	return command(ctx, cfg, rest)
}

func runKubeconfig(_ context.Context, cfg Config, _ []string) error {
	fmt.Println(cfg.Kubeconfig)
	return nil
}

// runKubectl becomes kubectl, so that exec, port-forward and signals behave as
// they do without this program.
func runKubectl(_ context.Context, cfg Config, args []string) error {
	kubectl := cfg.binary("kubectl")
	if err := os.Setenv("KUBECONFIG", cfg.Kubeconfig); err != nil {
		return err
	}
	if err := syscall.Exec(kubectl, append([]string{"kubectl"}, args...), os.Environ()); err != nil {
		return fmt.Errorf("%s: %w: run `cluster binaries` first", kubectl, err)
	}
	return nil
}

// requireRoot: bridges, mounts and containers all need it.
func requireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("the cluster needs root (network namespaces, mounts, iptables): run it with sudo -E")
	}
	return nil
}
