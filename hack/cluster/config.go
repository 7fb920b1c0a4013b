package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The network of the cluster. All of it lives on one bridge of this machine;
// nothing is routed or masqueraded to the outside.
const (
	bridgeName   = "bk-cni0"
	podCIDR      = "10.244.0.0/23" // 509 addresses: twice maxPods, because host-local hands out addresses round-robin
	bridgeIP     = "10.244.0.1"
	bridgeCIDR   = "10.244.0.1/23"
	serviceCIDR  = "10.96.0.0/16"
	apiServiceIP = "10.96.0.1"
	dnsServiceIP = "10.96.0.10"
	nodeName     = "bridgekeeper"
	cgroupRoot   = "bridgekeeper-cluster"
	pauseImage   = "bridgekeeper/pause:1"
	contextName  = "bridgekeeper"
)

// Ports. Below 30000, where NodePorts begin, and away from the usual
// Kubernetes ports, so that another cluster's leftovers do not get in the way.
const (
	portAPIServer   = 16443
	portEtcdClient  = 16379
	portEtcdPeer    = 16380
	portEtcdMetrics = 16381
	portKubelet     = 16250
	portKubeletHTTP = 16248
	portController  = 16257
	portScheduler   = 16259
	portProxyHealth = 16256
	portProxyMetric = 16249
	portDNS         = 53
	portDNSHealth   = 16280
	portProvisioner = 16281
	portNetpol      = 16282
)

const modulePath = "github.com/bridgekeeper/bridgekeeper/hack/cluster"

// Config holds the folders that every subcommand must agree on.
type Config struct {
	Dir        string // state: data, certificates, logs, pidfiles
	Cache      string // binaries, kept when the cluster is gone
	Source     string // the folder of this module, "" when not found
	Kubeconfig string
}

// newConfig takes the folders from the flags, then the environment, then the
// defaults.
func newConfig(dir, cache string) (Config, error) {
	if dir == "" {
		dir = os.Getenv("BRIDGEKEEPER_CLUSTER_DIR")
	}
	if dir == "" {
		dir = "/var/lib/bridgekeeper-cluster"
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Config{}, err
	}
	// Unix sockets below it must fit in 108 bytes, and down removes it whole.
	if len(dir) > 60 || strings.Count(dir, "/") < 2 {
		return Config{}, fmt.Errorf("the state folder %s must be a folder of its own, with a path shorter than 60 characters: set BRIDGEKEEPER_CLUSTER_DIR", dir)
	}
	if cache == "" {
		if cache, err = defaultCache(); err != nil {
			return Config{}, err
		}
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return Config{}, err
	}
	return Config{
		Dir:        dir,
		Cache:      cache,
		Source:     findSource(),
		Kubeconfig: filepath.Join(dir, "kubeconfig"),
	}, nil
}

func defaultCache() (string, error) {
	if dir := os.Getenv("BRIDGEKEEPER_CLUSTER_CACHE"); dir != "" {
		return dir, nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder (%w): set BRIDGEKEEPER_CLUSTER_CACHE", err)
	}
	return filepath.Join(base, "bridgekeeper", "bin"), nil
}

// findSource looks for this module's folder from the working directory upwards,
// so that the program works from anywhere inside the repository. The wrapper
// script cluster.sh names it outright.
func findSource() string {
	if dir := os.Getenv("BRIDGEKEEPER_CLUSTER_SOURCE"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	for err == nil {
		for _, candidate := range []string{dir, filepath.Join(dir, "hack", "cluster")} {
			if declaresModule(filepath.Join(candidate, "go.mod"), modulePath) {
				return candidate
			}
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

func declaresModule(file, module string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.TrimSpace(name) == module
		}
	}
	return false
}

// path joins a path below the state folder.
func (c Config) path(parts ...string) string {
	return filepath.Join(append([]string{c.Dir}, parts...)...)
}

func (c Config) pki(name string) string { return c.path("pki", name) }

func (c Config) containerdSocket() string { return c.path("run", "containerd.sock") }
