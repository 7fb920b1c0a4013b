package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// componentStatus is one line of `status`.
type componentStatus struct {
	Name     string `json:"name"`
	PID      int    `json:"pid,omitempty"`
	Healthy  bool   `json:"healthy"`
	Reason   string `json:"reason,omitempty"` // why it is not healthy
	MemoryMB int    `json:"memoryMB,omitempty"`
}

// clusterStatus is what `status -o json` prints.
type clusterStatus struct {
	Up              bool              `json:"up"` // everything is healthy and the node is ready
	Kubeconfig      string            `json:"kubeconfig"`
	Context         string            `json:"context"`
	Kubernetes      string            `json:"kubernetes"`
	NetworkPolicies policyStatus      `json:"networkPolicies"`
	MemoryMB        int               `json:"memoryMB"`
	Components      []componentStatus `json:"components"`
}

// policyStatus lets tests skip, loudly, what cannot be tested here.
type policyStatus struct {
	Enforced bool   `json:"enforced"`
	Reason   string `json:"reason,omitempty"`
}

// policiesEnforced tells whether this machine can enforce NetworkPolicies.
func policiesEnforced() (bool, string) {
	if !bridgeNetfilter() {
		return false, "the kernel has no br_netfilter, iptables does not see what pods send to each other"
	}
	return true, ""
}

func runStatus(ctx context.Context, cfg Config, args []string) error {
	flags := flag.NewFlagSet("status", flag.ContinueOnError)
	format := flags.String("o", "", "json")
	if err := flags.Parse(args); err != nil {
		return errQuiet
	}
	status := survey(ctx, cfg)
	switch *format {
	case "json":
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(status); err != nil {
			return err
		}
	case "":
		printStatus(status)
	default:
		return fmt.Errorf("there is no output format %q, only json", *format)
	}
	if !status.Up {
		return errQuiet
	}
	return nil
}

func printStatus(status clusterStatus) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tHEALTHY\tPID\tMEMORY\tREASON")
	for _, c := range status.Components {
		pid, memory := "-", "-"
		if c.PID > 0 {
			pid, memory = fmt.Sprint(c.PID), fmt.Sprintf("%d MB", c.MemoryMB)
		}
		fmt.Fprintf(table, "%s\t%v\t%s\t%s\t%s\n", c.Name, c.Healthy, pid, memory, c.Reason)
	}
	table.Flush()
	fmt.Printf("\nup: %v   memory: %d MB   kubeconfig: %s\n", status.Up, status.MemoryMB, status.Kubeconfig)
	if !status.NetworkPolicies.Enforced {
		fmt.Println("*** NetworkPolicies are NOT enforced:", status.NetworkPolicies.Reason, "***")
	}
}

// survey looks at all components at once.
func survey(ctx context.Context, cfg Config) clusterStatus {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	status := clusterStatus{Kubeconfig: cfg.Kubeconfig, Context: contextName, Kubernetes: kubernetesVersion}
	c, err := newClient(cfg)
	if err != nil {
		status.Components = []componentStatus{{Name: "cluster", Reason: "it was not made: run `cluster up`"}}
		return status
	}
	list := components(cfg)
	status.Components = make([]componentStatus, len(list), len(list)+2)
	var wait sync.WaitGroup
	for i, component := range list {
		wait.Go(func() { status.Components[i] = examine(ctx, cfg, c, component) })
	}
	network, node := componentStatus{Name: "network"}, componentStatus{Name: "node"}
	wait.Go(func() { network.set(networkHealthy(ctx)) })
	wait.Go(func() { node.set(c.nodeReady(ctx)) })
	wait.Wait()
	status.Components = append(status.Components, network, node)
	status.Up = true
	for _, c := range status.Components {
		status.Up = status.Up && c.Healthy
		status.MemoryMB += c.MemoryMB
		if c.Name == "netpol" {
			status.NetworkPolicies.Enforced, status.NetworkPolicies.Reason = policiesEnforced()
			if status.NetworkPolicies.Enforced && !c.Healthy {
				status.NetworkPolicies = policyStatus{false, "netpol is not healthy: " + c.Reason}
			}
		}
	}
	return status
}

func examine(ctx context.Context, cfg Config, c *client, component component) componentStatus {
	s := componentStatus{Name: component.name}
	record, alive := running(cfg, component.name)
	if !alive {
		s.Reason = "not running"
		return s
	}
	s.PID = record.PID
	s.MemoryMB = residentMB(record.PID)
	s.set(component.healthy(ctx, c))
	return s
}

func (s *componentStatus) set(err error) {
	s.Healthy = err == nil
	if err != nil {
		s.Reason = firstLine(err.Error())
	}
}

// residentMB is the memory that a process really holds.
func residentMB(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	var kilobytes int
	_, _ = fmt.Sscan(rest, &kilobytes)
	return kilobytes / 1024
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
