package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// ownedChain tells by its name whether an iptables chain was made for this
// cluster. Those of kube-proxy, kubelet and portmap have names that another
// cluster on the same machine would use too, which is why up refuses to start
// beside one, and notes whether portmap's were there before.
func ownedChain(chain string, foreignCNI bool) bool {
	prefixes := []string{"BRIDGEKEEPER-", "KUBE-"}
	if !foreignCNI {
		prefixes = append(prefixes, "CNI-HOSTPORT-", "CNI-DN-", "CNI-SN-")
	}
	for _, prefix := range prefixes {
		if strings.HasPrefix(chain, prefix) {
			return true
		}
	}
	return false
}

// removalScript turns the output of iptables-save into an input for
// iptables-restore --noflush that removes the owned chains, and the rules of
// other chains that lead to them, and nothing else. It is empty when there is
// nothing to do.
func removalScript(saved string, owned func(chain string) bool) string {
	var script strings.Builder
	var table string
	var rules, chains []string
	flush := func() {
		if len(rules)+len(chains) == 0 {
			return
		}
		script.WriteString("*" + table + "\n")
		for _, chain := range chains { // naming a chain empties it
			script.WriteString(":" + chain + " - [0:0]\n")
		}
		for _, rule := range rules {
			script.WriteString("-D " + rule + "\n")
		}
		for _, chain := range chains {
			script.WriteString("-X " + chain + "\n")
		}
		script.WriteString("COMMIT\n")
	}
	for _, line := range strings.Split(saved, "\n") {
		switch {
		case strings.HasPrefix(line, "*"):
			table, rules, chains = line[1:], nil, nil
		case line == "COMMIT":
			flush()
		case strings.HasPrefix(line, ":"):
			if chain, _, _ := strings.Cut(line[1:], " "); owned(chain) {
				chains = append(chains, chain)
			}
		case strings.HasPrefix(line, "-A "):
			chain, _, _ := strings.Cut(line[3:], " ")
			if !owned(chain) && owned(jumpTarget(line)) {
				rules = append(rules, line[3:])
			}
		}
	}
	return script.String()
}

// jumpTarget gives the chain that a rule leads to. Comments come before it and
// may contain anything, so the last -j or -g counts.
func jumpTarget(rule string) string {
	fields := strings.Fields(rule)
	for i := len(fields) - 2; i > 0; i-- {
		if fields[i] == "-j" || fields[i] == "-g" {
			return fields[i+1]
		}
	}
	return ""
}

// removeRules removes our iptables chains.
func removeRules(ctx context.Context, foreignCNI bool) error {
	var problems []error
	for _, family := range []string{"iptables", "ip6tables"} {
		if !commandExists(family) {
			continue
		}
		saved, err := output(ctx, family+"-save")
		if err != nil {
			if family == "iptables" {
				problems = append(problems, err)
			}
			continue // a machine without IPv6
		}
		script := removalScript(saved, func(chain string) bool { return ownedChain(chain, foreignCNI) })
		if script == "" {
			continue
		}
		restore := exec.CommandContext(ctx, family+"-restore", "--wait", "--noflush")
		restore.Stdin = strings.NewReader(script)
		if _, err := outputOf(restore); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// checkForeignRules refuses to start beside another cluster's kube-proxy: both
// would rewrite the same chains.
func checkForeignRules(ctx context.Context, m *marker) error {
	saved, err := output(ctx, "iptables-save")
	if err != nil {
		return err
	}
	if strings.Contains(saved, "\n:KUBE-SERVICES ") {
		return fmt.Errorf("this machine already has the iptables chains of another Kubernetes: stop that first (chain KUBE-SERVICES)")
	}
	m.ForeignCNI = strings.Contains(saved, "\n:CNI-HOSTPORT-")
	return nil
}
