package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	// settle lets a burst of changes become one update of the rules.
	settle = 50 * time.Millisecond
	// audit is how often the rules are looked at without a change in the
	// cluster: somebody may have flushed them.
	audit = 10 * time.Second
)

// enforcer keeps the rules of this machine equal to what the policies say.
//
// All rules are computed anew on each change and replaced in one transaction of
// iptables-restore, so there is never a moment with half of them. They live in
// the mangle table: address translation has already happened there, so they see
// the pods' addresses, and kube-proxy, which keeps putting its own chains first
// in the filter table, cannot get before them.
//
// What it does not do: connections that exist when a policy comes are not cut,
// and a pod that has just started is covered when its address is in its status,
// about a second later.
type enforcer struct {
	bridge, dns string
	applied     string   // the rules that are in place
	chains      []string // and their chains
}

func runNetpol(ctx context.Context, client kubernetes.Interface, bridge, dns string, health *health) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // one that is waiting is enough
		}
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(any, any) { notify() },
			DeleteFunc: func(any) { notify() },
		})
		if err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	e := &enforcer{bridge: bridge, dns: dns}
	if err := e.findChains(ctx); err != nil {
		return err
	}
	lastAudit := time.Time{}
	for ctx.Err() == nil {
		if time.Since(lastAudit) > audit {
			lastAudit = time.Now()
			if !e.inPlace(ctx) {
				e.applied = ""
			}
		}
		state, err := snapshot(pods.Lister().List, namespaces.Lister().List, policies.Lister().List)
		if err == nil {
			state.dns = dns
			err = e.apply(ctx, compile(state))
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "netpol:", err)
		}
		health.set(err)
		select {
		case <-ctx.Done():
		case <-time.After(audit):
		case <-changed:
			time.Sleep(settle)
		}
	}
	return nil
}

func snapshot(
	pods func(labels.Selector) ([]*v1.Pod, error),
	namespaces func(labels.Selector) ([]*v1.Namespace, error),
	policies func(labels.Selector) ([]*networking.NetworkPolicy, error),
) (state, error) {
	var s state
	var errs [3]error
	s.pods, errs[0] = pods(labels.Everything())
	s.namespaces, errs[1] = namespaces(labels.Everything())
	s.policies, errs[2] = policies(labels.Everything())
	return s, errors.Join(errs[:]...)
}

// findChains learns which chains an earlier run has left, to replace them.
func (e *enforcer) findChains(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "iptables-save", "-t", "mangle").Output()
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(out), "\n") {
		if chain, _, found := strings.Cut(strings.TrimPrefix(line, ":"), " "); found && strings.HasPrefix(line, ":"+chainPrefix) {
			e.chains = append(e.chains, chain)
		}
	}
	return nil
}

// hooks are the built-in chains that lead to ours: FORWARD sees what pods send
// to each other, INPUT what they send to the machine. What the machine sends,
// the kubelet's probes among it, passes neither: it is always allowed.
func (e *enforcer) hooks() [][]string {
	return [][]string{
		{"FORWARD", "-j", mainChain},
		{"INPUT", "-i", e.bridge, "-j", mainChain},
	}
}

func (e *enforcer) inPlace(ctx context.Context) bool {
	for _, hook := range e.hooks() {
		if exec.CommandContext(ctx, "iptables", append([]string{"--wait", "-t", "mangle", "-C"}, hook...)...).Run() != nil {
			return false
		}
	}
	return true
}

func (e *enforcer) apply(ctx context.Context, wanted ruleset) error {
	rules := wanted.text()
	if rules == e.applied {
		return nil
	}
	cmd := exec.CommandContext(ctx, "iptables-restore", "--wait", "--noflush")
	cmd.Stdin = strings.NewReader(wanted.transaction(e.chains))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("iptables-restore: %w: %s", err, output.String())
	}
	e.chains = wanted.names()
	for _, hook := range e.hooks() {
		check := append([]string{"--wait", "-t", "mangle", "-C"}, hook...)
		if exec.CommandContext(ctx, "iptables", check...).Run() == nil {
			continue
		}
		insert := append([]string{"--wait", "-t", "mangle", "-I"}, hook...)
		if out, err := exec.CommandContext(ctx, "iptables", insert...).CombinedOutput(); err != nil {
			return fmt.Errorf("hooking into %s: %w: %s", hook[0], err, out)
		}
	}
	e.applied = rules
	return nil
}
