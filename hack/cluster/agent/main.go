// Command agent does two duties of the test cluster, each as a process of its
// own: it makes PersistentVolumes (provisioner), and it enforces
// NetworkPolicies (netpol).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: agent provisioner|netpol --kubeconfig FILE --health ADDRESS …")
	}
	duty := args[0]
	flags := flag.NewFlagSet(duty, flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "whom to talk to, and as whom")
	listen := flags.String("health", "127.0.0.1:0", "address of /healthz")
	folder := flags.String("folder", "", "provisioner: where the volumes are")
	node := flags.String("node", "", "provisioner: the node that has this folder")
	bridge := flags.String("bridge", "", "netpol: the pods' bridge")
	dns := flags.String("dns", "", "netpol: address of the DNS server, which is not a pod")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	// Tests make many objects at once, and the server is on the same machine.
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	health := &health{}
	health.set(errors.New("starting"))
	go health.serve(*listen)
	switch duty {
	case "provisioner":
		return runProvisioner(ctx, client, *folder, *node, health)
	case "netpol":
		return runNetpol(ctx, client, *bridge, *dns, health)
	}
	return fmt.Errorf("there is no duty %q", duty)
}

// health answers /healthz with what its duty has reported last.
type health struct{ problem atomic.Pointer[string] }

func (h *health) set(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	h.problem.Store(&text)
}

func (h *health) serve(listen string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if problem := *h.problem.Load(); problem != "" {
			http.Error(w, problem, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	server := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintln(os.Stderr, "agent:", server.ListenAndServe())
	os.Exit(1) // unreachable health would look like a dead agent anyway
}
