package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	upTimeout     = 2 * time.Minute  // a cold, busy machine; normally it is seconds
	repairTimeout = 60 * time.Second // after that a new cluster is quicker than patience
)

func runUp(ctx context.Context, cfg Config, _ []string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	if err := installPackages(ctx); err != nil {
		return err
	}
	if err := buildPrograms(ctx, cfg, false); err != nil {
		return err
	}
	unlock, err := lockCluster(cfg)
	if err != nil {
		return err
	}
	defer unlock()
	begin := time.Now()
	what, err := bringUp(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Printf("cluster %s in %s\n", what, time.Since(begin).Round(10*time.Millisecond))
	fmt.Printf("  export KUBECONFIG=%s   # context %s\n", cfg.Kubeconfig, contextName)
	if enforced, reason := policiesEnforced(); !enforced {
		fmt.Printf("\n*** NetworkPolicies are NOT enforced: %s ***\n", reason)
	}
	return nil
}

// bringUp looks at what is there and does the least that gives a healthy cluster.
func bringUp(ctx context.Context, cfg Config) (string, error) {
	want, err := newMarker(cfg)
	if err != nil {
		return "", err
	}
	found, err := readMarker(cfg)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "is up, newly made,", create(ctx, cfg, want)
	case err != nil:
		return recreate(ctx, cfg, want, err.Error())
	case found.BootID != want.BootID:
		return recreate(ctx, cfg, want, "the machine was restarted since")
	case found.Fingerprint != want.Fingerprint:
		return recreate(ctx, cfg, want, "its versions or settings have changed")
	case !exists("/sys/class/net/" + bridgeName):
		return recreate(ctx, cfg, want, "its bridge is gone, and with it the network of the pods")
	}
	if survey(ctx, cfg).Up {
		return "is already up: checked", nil
	}
	if err := repair(ctx, cfg); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return recreate(ctx, cfg, want, "it could not be repaired: "+err.Error())
	}
	return "was repaired", nil
}

func recreate(ctx context.Context, cfg Config, want marker, why string) (string, error) {
	fmt.Println("making the cluster anew:", why)
	return "is up, newly made,", create(ctx, cfg, want)
}

// create makes a cluster from nothing, after removing whatever an earlier one
// may have left.
func create(ctx context.Context, cfg Config, want marker) error {
	if err := tearDown(ctx, cfg); err != nil {
		return fmt.Errorf("removing what an earlier cluster has left: %w", err)
	}
	if err := checkRanges(); err != nil {
		return err
	}
	if err := checkForeignRules(ctx, &want); err != nil {
		return err
	}
	rotateLogs(cfg)
	for _, folder := range folders(cfg) {
		if err := os.MkdirAll(folder, 0o711); err != nil {
			return err
		}
	}
	// From here on something may exist that only down can remove.
	if err := want.write(cfg); err != nil {
		return err
	}
	if err := prepareFirst(ctx, cfg); err != nil {
		return errors.Join(err, tearDown(context.WithoutCancel(ctx), cfg))
	}
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	return startAll(ctx, cfg) // if it fails, what runs stays: for a look at it, and for the next up to repair
}

func prepareFirst(ctx context.Context, cfg Config) error {
	if err := makePKI(cfg); err != nil {
		return err
	}
	if err := prepareMachine(ctx, cfg); err != nil {
		return err
	}
	return checkPorts(ctx, components(cfg)) // the bridge's address exists only now
}

// prepareMachine makes what lies outside the processes: network, cgroups and
// configuration. Safe to repeat.
func prepareMachine(ctx context.Context, cfg Config) error {
	if err := setUpNetwork(ctx, cfg); err != nil {
		return err
	}
	if err := makeCgroups(); err != nil {
		return err
	}
	return writeConfig(cfg, !bridgeNetfilter())
}

// rotateLogs keeps the logs of one earlier cluster: down leaves them, because
// they are most wanted when everything else is gone.
func rotateLogs(cfg Config) {
	logs := cfg.path("logs")
	if exists(logs) {
		_ = os.RemoveAll(logs + ".old")
		_ = os.Rename(logs, logs+".old")
	}
}

// startAll starts every component that does not run, waiting where one needs
// another, and returns when the node is ready.
func startAll(ctx context.Context, cfg Config) error {
	c, err := newClient(cfg)
	if err != nil {
		return err
	}
	s := &starter{cfg: cfg, client: c, started: map[string]*process{}}
	runtime := make(chan error, 1)
	go func() { runtime <- s.startRuntime(ctx) }()
	if err := s.startControlPlane(ctx); err != nil {
		return errors.Join(err, <-runtime)
	}
	if err := <-runtime; err != nil {
		return err
	}
	return s.startNode(ctx)
}

// startControlPlane: the API server gives up when etcd is late, and the others
// need the API server.
func (s *starter) startControlPlane(ctx context.Context) error {
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if err := s.ensure(ctx, name); err != nil {
			return err
		}
	}
	base, err := os.ReadFile(s.cfg.path("config", "base.yaml"))
	if err != nil {
		return err
	}
	if _, err := kubectl(ctx, s.cfg, string(base), "apply", "--validate=false", "-f", "-"); err != nil {
		return err
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "coredns", "provisioner", "netpol"} {
		if err := s.launch(name); err != nil {
			return err
		}
	}
	return nil
}

// startRuntime brings containerd up with the one image that every pod needs.
func (s *starter) startRuntime(ctx context.Context) error {
	if err := s.ensure(ctx, "containerd"); err != nil {
		return err
	}
	return ensurePauseImage(ctx, s.cfg)
}

func (s *starter) startNode(ctx context.Context) error {
	if err := s.ensure(ctx, "kubelet"); err != nil {
		return err
	}
	// kube-proxy reads the node's address once, when it starts.
	node := apiURL("/api/v1/nodes/" + nodeName)
	if err := s.wait(ctx, "kubelet", answers(node)); err != nil {
		return err
	}
	for _, component := range components(s.cfg) {
		if err := s.ensure(ctx, component.name); err != nil {
			return err
		}
	}
	err := s.wait(ctx, "kubelet", func(ctx context.Context, c *client) error { return c.nodeReady(ctx) })
	if err != nil {
		return err
	}
	// Without it the first pod of a hasty user is refused.
	account := apiURL("/api/v1/namespaces/default/serviceaccounts/default")
	return s.wait(ctx, "kube-controller-manager", answers(account))
}

// starter remembers what this run has started, to notice at once when it ends.
type starter struct {
	cfg     Config
	client  *client
	mutex   sync.Mutex
	started map[string]*process
}

func (s *starter) remember(name string, p *process) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.started[name] = p
}

// exited gives the channel that is closed when the component ends; nil, which
// never is, for one that an earlier run has started.
func (s *starter) exited(name string) <-chan struct{} {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if p := s.started[name]; p != nil {
		return p.exited
	}
	return nil
}

func (s *starter) component(name string) component {
	for _, c := range components(s.cfg) {
		if c.name == name {
			return c
		}
	}
	panic("no component " + name)
}

// launch starts a component if its process is not there.
func (s *starter) launch(name string) error {
	if _, alive := running(s.cfg, name); alive {
		return nil
	}
	c := s.component(name)
	p, err := start(s.cfg, c.name, c.program, c.args, c.env)
	if err != nil {
		return err
	}
	s.remember(name, p)
	return nil
}

// ensure launches a component and waits until it is healthy.
func (s *starter) ensure(ctx context.Context, name string) error {
	if err := s.launch(name); err != nil {
		return err
	}
	return s.wait(ctx, name, s.component(name).healthy)
}

// wait repeats a check until it passes, the component ends, or time is up.
func (s *starter) wait(ctx context.Context, name string, check func(context.Context, *client) error) error {
	ended := s.exited(name)
	for {
		attempt, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := check(attempt, s.client)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s ended: %s", name, logTail(s.cfg.logfile(name)))
		case <-ctx.Done():
			return fmt.Errorf("%s did not become healthy: %w: see %s", name, err, s.cfg.logfile(name))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// logTail gives the last lines of a log, which mostly name the reason.
func logTail(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return fmt.Sprintf("the end of %s:\n%s", filepath.Base(file), strings.Join(lines[max(0, len(lines)-8):], "\n"))
}
