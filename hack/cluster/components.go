package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"
)

// component is one process of the cluster.
type component struct {
	name    string
	program string // in the cache, or on the PATH
	args    []string
	env     []string
	ports   []string // addresses that must be free before it starts
	healthy func(context.Context, *client) error
	grace   time.Duration // between the polite and the final signal
}

func url(scheme, host string, port int, path string) string {
	return fmt.Sprintf("%s://%s:%d%s", scheme, host, port, path)
}

// apiURL goes over loopback: were it the bridge's address, a request would leave
// the machine when the bridge is gone.
func apiURL(path string) string { return url("https", "127.0.0.1", portAPIServer, path) }

func answers(target string) func(context.Context, *client) error {
	return func(ctx context.Context, c *client) error { return c.ok(ctx, target) }
}

func address(host string, port int) string { return net.JoinHostPort(host, fmt.Sprint(port)) }

// components lists the processes in the order in which they are started; they
// are stopped in the opposite order.
func components(cfg Config) []component {
	return []component{
		etcd(cfg), containerd(cfg), apiserver(cfg), controllerManager(cfg), scheduler(cfg),
		kubelet(cfg), kubeProxy(cfg), coredns(cfg),
		agent(cfg, "provisioner", portProvisioner, "--folder", cfg.path("volumes"), "--node", nodeName),
		agent(cfg, "netpol", portNetpol, "--bridge", bridgeName, "--dns", bridgeIP),
	}
}

func etcd(cfg Config) component {
	client := fmt.Sprintf("https://127.0.0.1:%d", portEtcdClient)
	peer := fmt.Sprintf("http://127.0.0.1:%d", portEtcdPeer)
	metrics := fmt.Sprintf("http://127.0.0.1:%d", portEtcdMetrics)
	return component{
		name: "etcd", program: cfg.binary("etcd"), grace: 3 * time.Second,
		args: []string{
			"--name=default", "--data-dir=" + cfg.path("etcd"),
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=default=" + peer, "--listen-metrics-urls=" + metrics,
			"--cert-file=" + cfg.pki("etcd-server.crt"), "--key-file=" + cfg.pki("etcd-server.key"),
			"--trusted-ca-file=" + cfg.pki("etcd-ca.crt"), "--client-cert-auth=true",
			"--log-level=warn",
			"--unsafe-no-fsync", // a power cut may cost the test cluster its data; waiting for the disk costs every test
		},
		ports:   []string{address("127.0.0.1", portEtcdClient), address("127.0.0.1", portEtcdPeer), address("127.0.0.1", portEtcdMetrics)},
		healthy: answers(metrics + "/health"),
	}
}

func containerd(cfg Config) component {
	program, err := exec.LookPath("containerd")
	if err != nil {
		program = "/usr/bin/containerd"
	}
	return component{
		name: "containerd", program: program, grace: 3 * time.Second,
		args: []string{"--config=" + cfg.path("config", "containerd.toml"), "--log-level=warn"},
		healthy: func(ctx context.Context, _ *client) error {
			return exec.CommandContext(ctx, "ctr", "-a", cfg.containerdSocket(), "version").Run()
		},
	}
}

func apiserver(cfg Config) component {
	return component{
		name: "kube-apiserver", program: cfg.binary("kube-apiserver"), grace: 2 * time.Second,
		args: []string{
			"--bind-address=0.0.0.0", "--advertise-address=" + bridgeIP, fmt.Sprintf("--secure-port=%d", portAPIServer),
			"--tls-cert-file=" + cfg.pki("apiserver.crt"), "--tls-private-key-file=" + cfg.pki("apiserver.key"),
			"--client-ca-file=" + cfg.pki("ca.crt"), "--anonymous-auth=false",
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			fmt.Sprintf("--etcd-servers=https://127.0.0.1:%d", portEtcdClient), "--etcd-cafile=" + cfg.pki("etcd-ca.crt"),
			"--etcd-certfile=" + cfg.pki("etcd-client.crt"), "--etcd-keyfile=" + cfg.pki("etcd-client.key"),
			"--kubelet-certificate-authority=" + cfg.pki("ca.crt"),
			"--kubelet-client-certificate=" + cfg.pki("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + cfg.pki("apiserver-kubelet-client.key"),
			"--kubelet-preferred-address-types=InternalIP", // node names are in no DNS
			"--service-cluster-ip-range=" + serviceCIDR,
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + cfg.pki("service-account.pub"),
			"--service-account-signing-key-file=" + cfg.pki("service-account.key"),
			"--profiling=false",
			"--shutdown-delay-duration=0s",
		},
		ports:   []string{address("0.0.0.0", portAPIServer)},
		healthy: answers(apiURL("/readyz")),
	}
}

func controllerManager(cfg Config) component {
	kubeconfig := cfg.path("config", "kube-controller-manager.kubeconfig")
	return component{
		name: "kube-controller-manager", program: cfg.binary("kube-controller-manager"), grace: time.Second,
		args: []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", portController),
			"--tls-cert-file=" + cfg.pki("loopback-server.crt"), "--tls-private-key-file=" + cfg.pki("loopback-server.key"),
			"--leader-elect=false", "--use-service-account-credentials=true",
			"--root-ca-file=" + cfg.pki("ca.crt"),
			"--service-account-private-key-file=" + cfg.pki("service-account.key"),
			"--cluster-signing-cert-file=" + cfg.pki("ca.crt"), "--cluster-signing-key-file=" + cfg.pki("ca.key"),
			"--pvclaimbinder-sync-period=2s",             // tests delete and recreate claims; 15s would only make them slow
			"--kube-api-qps=200", "--kube-api-burst=400", // with the defaults its controllers take 4s longer to start
			"--profiling=false",
		},
		ports:   []string{address("127.0.0.1", portController)},
		healthy: answers(url("https", "127.0.0.1", portController, "/healthz")),
	}
}

func scheduler(cfg Config) component {
	kubeconfig := cfg.path("config", "kube-scheduler.kubeconfig")
	return component{
		name: "kube-scheduler", program: cfg.binary("kube-scheduler"), grace: time.Second,
		args: []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", portScheduler),
			"--tls-cert-file=" + cfg.pki("loopback-server.crt"), "--tls-private-key-file=" + cfg.pki("loopback-server.key"),
			"--leader-elect=false", "--profiling=false",
		},
		ports:   []string{address("127.0.0.1", portScheduler)},
		healthy: answers(url("https", "127.0.0.1", portScheduler, "/healthz")),
	}
}

func kubelet(cfg Config) component {
	return component{
		name: "kubelet", program: cfg.binary("kubelet"), grace: 2 * time.Second,
		args: []string{
			"--config=" + cfg.path("config", "kubelet.yaml"), "--kubeconfig=" + cfg.path("config", "kubelet.kubeconfig"),
			"--root-dir=" + cfg.path("kubelet"), "--hostname-override=" + nodeName, "--node-ip=" + bridgeIP,
		},
		ports:   []string{address(bridgeIP, portKubelet), address("127.0.0.1", portKubeletHTTP)},
		healthy: answers(url("http", "127.0.0.1", portKubeletHTTP, "/healthz")),
	}
}

func kubeProxy(cfg Config) component {
	return component{
		name: "kube-proxy", program: cfg.binary("kube-proxy"), grace: time.Second,
		args:    []string{"--config=" + cfg.path("config", "kube-proxy.yaml")},
		ports:   []string{address("127.0.0.1", portProxyHealth), address("127.0.0.1", portProxyMetric)},
		healthy: answers(url("http", "127.0.0.1", portProxyHealth, "/healthz")),
	}
}

func coredns(cfg Config) component {
	return component{
		name: "coredns", program: cfg.binary("coredns"), grace: time.Second,
		args:    []string{"-conf", cfg.path("config", "Corefile")},
		ports:   []string{address(bridgeIP, portDNS), address("127.0.0.1", portDNSHealth)},
		healthy: answers(url("http", "127.0.0.1", portDNSHealth, "/health")),
	}
}

// agent is our own program in agent/, once for each of its two duties.
func agent(cfg Config, duty string, port int, args ...string) component {
	listen := address("127.0.0.1", port)
	return component{
		name: duty, program: cfg.binary("agent"), grace: time.Second,
		args: append([]string{
			duty, "--kubeconfig", cfg.path("config", duty+".kubeconfig"), "--health", listen,
		}, args...),
		ports:   []string{listen},
		healthy: answers("http://" + listen + "/healthz"),
	}
}

// folders lists what must exist below the state folder before anything starts.
func folders(cfg Config) []string {
	names := []string{"run", "logs", "config", "etcd", "containerd", "kubelet", "podlogs", "volumes", "images"}
	for i, name := range names {
		names[i] = filepath.Join(cfg.Dir, name)
	}
	return names
}
