package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The iptables chains of the cluster itself. They keep the pods' traffic inside;
// kube-proxy and the portmap plugin have chains of their own.
const (
	chainForward = "BRIDGEKEEPER-FORWARD"
	chainInput   = "BRIDGEKEEPER-INPUT"
)

// fence keeps the API server, which listens on all addresses, to this machine
// and its pods. It lets pods talk to each other and to the bridge's address, where the API
// server, DNS and the test's own servers are. Everything else is refused, in
// both directions, with an answer: a test should fail at once, not time out.
func fence() string {
	return strings.NewReplacer("BRIDGE", bridgeName, "IP", bridgeIP, "PORT", fmt.Sprint(portAPIServer), "FWD", chainForward, "INP", chainInput).Replace(`*filter
:FWD - [0:0]
:INP - [0:0]
-A FWD -i BRIDGE -o BRIDGE -j ACCEPT
-A FWD -i BRIDGE -j REJECT --reject-with icmp-admin-prohibited
-A FWD -o BRIDGE -j DROP
-A INP -i BRIDGE -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INP -i BRIDGE -d IP/32 -j ACCEPT
-A INP -i BRIDGE -j REJECT --reject-with icmp-admin-prohibited
-A INP ! -i lo -p tcp --dport PORT -j REJECT --reject-with icmp-admin-prohibited
COMMIT
`)
}

func fence6() string {
	return fmt.Sprintf("*filter\n:%[1]s - [0:0]\n-A %[1]s ! -i lo -p tcp --dport %[2]d -j REJECT\nCOMMIT\n", chainInput, portAPIServer)
}

// sysctls are what a node needs. The kubelet sets the second group by itself;
// they are listed because `down` gives all of them back.
var (
	neededSysctls = map[string]string{
		"net/ipv4/ip_forward":                "1",
		"net/ipv4/conf/all/route_localnet":   "1", // NodePorts on 127.0.0.1
		"net/bridge/bridge-nf-call-iptables": "1", // Services and NetworkPolicies between pods of one bridge
	}
	kubeletSysctls = []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	}
)

func sysctlFile(name string) string { return filepath.Join("/proc/sys", name) }

// bridgeNetfilter tells whether the kernel shows bridged packets to iptables.
// Without it there are no NetworkPolicies between the pods.
func bridgeNetfilter() bool {
	return exists(sysctlFile("net/bridge/bridge-nf-call-iptables"))
}

// setSysctls notes the old values, once, and sets the new ones.
func setSysctls(cfg Config) error {
	if !bridgeNetfilter() {
		_ = exec.Command("modprobe", "br_netfilter").Run() // judged by the file's existence
	}
	noted := cfg.path("sysctls.json")
	if !exists(noted) {
		old := map[string]string{}
		for name := range neededSysctls {
			old[name] = readSysctl(name)
		}
		for _, name := range kubeletSysctls {
			old[name] = readSysctl(name)
		}
		data, err := json.Marshal(old)
		if err != nil {
			return err
		}
		if err := writeFile(noted, data, 0o644); err != nil {
			return err
		}
	}
	for name, value := range neededSysctls {
		if !exists(sysctlFile(name)) || readSysctl(name) == value {
			continue
		}
		if err := os.WriteFile(sysctlFile(name), []byte(value), 0o644); err != nil {
			return fmt.Errorf("setting %s: %w: is this a container without the right to do so?", name, err)
		}
	}
	return nil
}

func readSysctl(name string) string {
	data, _ := os.ReadFile(sysctlFile(name))
	return strings.TrimSpace(string(data))
}

func restoreSysctls(cfg Config) error {
	data, err := os.ReadFile(cfg.path("sysctls.json"))
	if err != nil {
		return nil // never set
	}
	var old map[string]string
	if err := json.Unmarshal(data, &old); err != nil {
		return err
	}
	for name, value := range old {
		if value != "" && readSysctl(name) != value {
			if err := os.WriteFile(sysctlFile(name), []byte(value), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// setUpNetwork makes the bridge and the fence; it changes nothing that is right
// already.
func setUpNetwork(ctx context.Context, cfg Config) error {
	if err := setSysctls(cfg); err != nil {
		return err
	}
	if !exists("/sys/class/net/" + bridgeName) {
		// A fixed address: the bridge would otherwise take that of whichever pod
		// joined last, and the others would send into the void.
		if _, err := output(ctx, "ip", "link", "add", bridgeName, "address", "0a:58:0a:f4:00:01", "type", "bridge"); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"address", "replace", bridgeCIDR, "dev", bridgeName},
		{"link", "set", bridgeName, "up"},
	} {
		if _, err := output(ctx, "ip", args...); err != nil {
			return err
		}
	}
	if exists("/proc/net/if_inet6") { // the API server listens there too
		if err := setRules(ctx, "ip6tables", fence6(), map[string]string{"INPUT": chainInput}); err != nil {
			return err
		}
	}
	return setRules(ctx, "iptables", fence(), map[string]string{"FORWARD": chainForward, "INPUT": chainInput})
}

// setRules replaces our chains and puts each in front of a built-in one.
func setRules(ctx context.Context, family, rules string, hooks map[string]string) error {
	restore := exec.CommandContext(ctx, family+"-restore", "--wait", "--noflush")
	restore.Stdin = strings.NewReader(rules)
	if _, err := outputOf(restore); err != nil {
		return err
	}
	for hook, chain := range hooks {
		if exec.CommandContext(ctx, family, "--wait", "-C", hook, "-j", chain).Run() == nil {
			continue
		}
		if _, err := output(ctx, family, "--wait", "-I", hook, "-j", chain); err != nil {
			return err
		}
	}
	return nil
}

// networkHealthy looks at what setUpNetwork makes.
func networkHealthy(ctx context.Context) error {
	link, err := net.InterfaceByName(bridgeName)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", bridgeName, err)
	}
	addresses, err := link.Addrs()
	if err != nil {
		return err
	}
	for name, value := range neededSysctls {
		if exists(sysctlFile(name)) && readSysctl(name) != value {
			return fmt.Errorf("%s is no longer %s", name, value)
		}
	}
	for _, a := range addresses {
		if a.String() == bridgeCIDR {
			_, err := output(ctx, "iptables", "--wait", "-C", "FORWARD", "-j", chainForward)
			return err
		}
	}
	return fmt.Errorf("bridge %s has lost its address %s", bridgeName, bridgeCIDR)
}

// checkRanges refuses to start where the cluster's addresses already mean
// something else.
func checkRanges() error {
	links, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, link := range links {
		if link.Name == bridgeName {
			continue
		}
		addresses, err := link.Addrs()
		if err != nil {
			return err
		}
		for _, a := range addresses {
			if taken := overlaps(a.String(), podCIDR, serviceCIDR); taken != "" {
				return fmt.Errorf("interface %s has %s, which overlaps the cluster's %s: stop what uses it, or change podCIDR and serviceCIDR in hack/cluster/config.go",
					link.Name, a, taken)
			}
		}
	}
	return nil
}

func overlaps(address string, ranges ...string) string {
	prefix, err := netip.ParsePrefix(address)
	if err != nil {
		return ""
	}
	for _, r := range ranges {
		if other, err := netip.ParsePrefix(r); err == nil && prefix.Masked().Overlaps(other) {
			return r
		}
	}
	return ""
}
