package main

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

const (
	chainPrefix = "BRIDGEKEEPER-NP" // `cluster down` removes what begins with BRIDGEKEEPER-
	mainChain   = chainPrefix

	// allowed is the bit of the packet mark that says "some policy allows this".
	// kube-proxy uses 0x4000 and 0x8000.
	allowed = "0x10000/0x10000"
)

// A ruleset is a list of chains in the order of their making.
type ruleset struct {
	order []string
	rules map[string][]string
}

func newRuleset() ruleset { return ruleset{rules: map[string][]string{}} }

// chain makes an empty chain; false if there is one of this name already.
func (r *ruleset) chain(name string) bool {
	if _, there := r.rules[name]; there {
		return false
	}
	r.order = append(r.order, name)
	r.rules[name] = nil
	return true
}

func (r *ruleset) add(chain, format string, args ...any) {
	r.rules[chain] = append(r.rules[chain], fmt.Sprintf(format, args...))
}

func (r ruleset) names() []string { return slices.Clone(r.order) }

func (r ruleset) text() string {
	var b strings.Builder
	for _, chain := range r.order {
		for _, rule := range r.rules[chain] {
			fmt.Fprintf(&b, "-A %s %s\n", chain, rule)
		}
	}
	return b.String()
}

// transaction replaces all chains, and removes those of old that are no longer
// wanted. Naming a chain makes or empties it.
func (r ruleset) transaction(old []string) string {
	var b strings.Builder
	b.WriteString("*mangle\n")
	var gone []string
	for _, chain := range old {
		if _, wanted := r.rules[chain]; !wanted {
			gone = append(gone, chain)
			fmt.Fprintf(&b, ":%s - [0:0]\n", chain)
		}
	}
	for _, chain := range r.order {
		fmt.Fprintf(&b, ":%s - [0:0]\n", chain)
	}
	b.WriteString(r.text())
	for _, chain := range gone {
		fmt.Fprintf(&b, "-X %s\n", chain)
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// chainName fits what it is made from into the 28 characters of iptables.
func chainName(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return fmt.Sprintf("%s-%x", chainPrefix, sum[:6])
}
