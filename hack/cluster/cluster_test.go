package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	// The name of a command may contain anything, even what ends it.
	const line = "4711 (a) b (c)) S 1 4711 4711 0 -1 4194560 1 0 0 0 10 5 0 0 20 0 9 0 987654 1 2"
	state, ticks, err := parseStat(line)
	if err != nil || state != 'S' || ticks != 987654 {
		t.Errorf("got %c, %d, %v", state, ticks, err)
	}
	for _, bad := range []string{"", "1 (x) S 1 2", "no parentheses"} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestProcessIdentity(t *testing.T) {
	noted := processRecord{PID: 4711, StartTicks: 100, BootID: "a", Executable: "/x/etcd-v1"}
	if !noted.sameAs(noted) {
		t.Error("a process is not the same as itself")
	}
	for what, change := range map[string]func(*processRecord){
		"another process": func(r *processRecord) { r.PID++ },
		"a reused pid":    func(r *processRecord) { r.StartTicks++ },
		"another boot":    func(r *processRecord) { r.BootID = "b" },
		"another program": func(r *processRecord) { r.Executable = "/bin/sh" },
	} {
		other := noted
		change(&other)
		if noted.sameAs(other) {
			t.Errorf("%s counts as the same", what)
		}
	}
	if init := (processRecord{PID: 1}); init.sameAs(init) {
		t.Error("process 1 may never be ours")
	}
}

func TestInspectSelf(t *testing.T) {
	a, err := inspect(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := inspect(os.Getpid())
	if !a.sameAs(b) {
		t.Errorf("%+v is not %+v", a, b)
	}
}

func TestRunningRefusesReusedPID(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	record, err := inspect(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	record.StartTicks-- // the pidfile is of an earlier process
	data, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(cfg.pidfile("etcd"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, alive := running(cfg, "etcd"); alive {
		t.Error("a stale pidfile counts as running")
	}
	if err := stop(cfg, "etcd", 0); err != nil { // must not signal this very test
		t.Error(err)
	}
	if exists(cfg.pidfile("etcd")) {
		t.Error("the stale pidfile is still there")
	}
}

func TestIsStray(t *testing.T) {
	const dir = "/var/lib/bk"
	for _, c := range []struct {
		exe  string
		args []string
		want bool
	}{
		{"/c/kubelet-v1.36.3", []string{"--config=/var/lib/bk/config/kubelet.yaml"}, true},
		{"/usr/bin/containerd-shim-runc-v2", []string{"-address", "/var/lib/bk/run/containerd.sock"}, true},
		{"/usr/bin/containerd", []string{"--config=/etc/containerd/config.toml"}, false},
		{"/usr/bin/containerd", []string{"--config=/var/lib/bk2/containerd.toml"}, false},
		{"/usr/bin/tail", []string{"-f", "/var/lib/bk/logs/etcd.log"}, false},
		{"/c/kubectl-v1.36.3", []string{"--kubeconfig", "/var/lib/bk/kubeconfig"}, false},
	} {
		if got := isStray(dir, c.exe, c.args); got != c.want {
			t.Errorf("%s %v: %v", c.exe, c.args, got)
		}
	}
}

func TestConfigFiles(t *testing.T) {
	cfg := Config{Dir: "/state"}
	for name := range configFiles(cfg) {
		out, err := render(name, newSettings(cfg, false))
		if err != nil {
			t.Fatal(err)
		}
		if text := string(out); strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
			t.Errorf("%s has holes:\n%s", name, text)
		}
	}
	for name, want := range map[string]string{
		"kubelet.yaml":    "cgroupRoot: /" + cgroupRoot + "\n",
		"kube-proxy.yaml": "masqueradeAll: false\n",
		"containerd.toml": `root = "/state/containerd"`,
		"cni.conflist":    `"ipMasq": false`,
		"Corefile":        "bind " + bridgeIP + "\n",
		"base.yaml":       "clusterIP: " + dnsServiceIP + "\n",
	} {
		if out, _ := render(name, newSettings(cfg, false)); !strings.Contains(string(out), want) {
			t.Errorf("%s lacks %q", name, want)
		}
	}
	// How soon a changed Secret arrives must be what it is elsewhere.
	kubelet, _ := render("kubelet.yaml", newSettings(cfg, false))
	if regexp.MustCompile(`(?m)^(syncFrequency|configMapAndSecretChangeDetectionStrategy):`).Match(kubelet) {
		t.Error("the kubelet's refresh of Secrets is not the default")
	}
}

func TestComponents(t *testing.T) {
	cfg := Config{Dir: "/state", Cache: "/cache"}
	used := map[string]string{}
	for _, c := range components(cfg) {
		if c.healthy == nil || c.grace == 0 {
			t.Errorf("%s lacks a health check or a grace period", c.name)
		}
		if !isStray(cfg.Dir, c.program, c.args) {
			t.Errorf("%s could not be found without its pidfile", c.name)
		}
		for _, port := range c.ports {
			if other := used[port]; other != "" {
				t.Errorf("%s and %s both want %s", c.name, other, port)
			}
			used[port] = c.name
		}
	}
}

func TestRemovalScript(t *testing.T) {
	const saved = `*filter
:INPUT ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:MINE - [0:0]
-A INPUT -m comment --comment "kubernetes -j MINE" -j KUBE-SERVICES
-A INPUT -p tcp -j MINE
-A MINE -j ACCEPT
-A KUBE-SERVICES -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
-A PREROUTING -j CNI-HOSTPORT-DNAT
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
COMMIT
`
	got := removalScript(saved, func(chain string) bool { return ownedChain(chain, false) })
	const want = `*filter
:KUBE-SERVICES - [0:0]
-D INPUT -m comment --comment "kubernetes -j MINE" -j KUBE-SERVICES
-X KUBE-SERVICES
COMMIT
*nat
:CNI-HOSTPORT-DNAT - [0:0]
-D PREROUTING -j CNI-HOSTPORT-DNAT
-X CNI-HOSTPORT-DNAT
COMMIT
`
	if got != want {
		t.Errorf("got:\n%s", got)
	}
	if strings.Contains(removalScript(saved, func(chain string) bool { return ownedChain(chain, true) }), "CNI-") {
		t.Error("chains that were there before are removed")
	}
}

func TestParseMounts(t *testing.T) {
	const table = `22 1 8:1 / / rw - ext4 /dev/sda rw
30 22 0:5 / /state/kubelet/pods/a rw - tmpfs tmpfs rw
31 30 0:6 / /state/kubelet/pods/a/volumes/x\040y rw - tmpfs tmpfs rw
32 22 0:7 / /state2/other rw - tmpfs tmpfs rw
33 22 0:8 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
34 22 0:9 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`
	want := []string{"/state/kubelet/pods/a/volumes/x y", "/state/kubelet/pods/a"}
	if got := parseMounts(table, "/state"); !slices.Equal(got, want) {
		t.Errorf("mounts: %q", got)
	}
	want = []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"}
	if got := parseCgroupMounts(table); !slices.Equal(got, want) {
		t.Errorf("cgroups: %q", got)
	}
}

func TestOverlaps(t *testing.T) {
	for address, want := range map[string]string{
		"10.244.1.7/16":  podCIDR,
		"10.96.0.1/32":   serviceCIDR,
		"192.168.1.5/24": "",
		"fe80::1/64":     "",
	} {
		if got := overlaps(address, podCIDR, serviceCIDR); got != want {
			t.Errorf("%s overlaps %q", address, got)
		}
	}
}

func TestParseNodeReady(t *testing.T) {
	if err := parseNodeReady([]byte(`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)); err != nil {
		t.Error(err)
	}
	err := parseNodeReady([]byte(`{"status":{"conditions":[{"type":"Ready","status":"False","message":"no network"}]}}`))
	if err == nil || !strings.Contains(err.Error(), "no network") {
		t.Error("the reason is missing:", err)
	}
	if parseNodeReady([]byte(`{}`)) == nil {
		t.Error("a node without conditions is ready")
	}
}

// The versions in the code name the files in the cache; those in the go.mod
// files decide what is built.
func TestVersionsMatchModules(t *testing.T) {
	for file, want := range map[string]string{
		"go.mod":         "k8s.io/kubernetes " + kubernetesVersion,
		"etcd/go.mod":    "go.etcd.io/etcd/server/v3 " + etcdVersion,
		"coredns/go.mod": "github.com/coredns/coredns " + corednsVersion,
		"helm/go.mod":    "helm.sh/helm/v4 " + helmVersion,
		"../helm/go.mod": "helm.sh/helm/v4 " + helmVersion, // the library, of the same release
	} {
		data, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), want) {
			t.Errorf("%s does not require %s", file, want)
		}
	}
}

func TestPKI(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	cfg.Kubeconfig = cfg.path("kubeconfig")
	if err := makePKI(cfg); err != nil {
		t.Fatal(err)
	}
	if err := writeConfig(cfg, false); err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(cfg); err != nil {
		t.Error(err)
	}
	for _, secret := range []string{cfg.Kubeconfig, cfg.pki("ca.key"), cfg.pki("service-account.key")} {
		info, err := os.Stat(secret)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, info.Mode(), err)
		}
	}
}

func TestTaggedName(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a:latest", "a:1": "a:1", "host:5000/a": "host:5000/a:latest", "host:5000/a:2": "host:5000/a:2",
	} {
		if got := taggedName(name); got != want {
			t.Errorf("%s became %s", name, got)
		}
	}
}
