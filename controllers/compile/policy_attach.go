package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// attach finds the Channels of a policy, and puts it into the documents of
// their stores.
func (c *compiler) attach(p *policyState) {
	targets := c.parents(p)
	slices.SortFunc(targets, func(a, b target) int {
		return cmp.Or(strings.Compare(a.key.Namespace, b.key.Namespace), strings.Compare(a.key.Name, b.key.Name))
	})
	p.result.Parents = slices.Grow(p.result.Parents, len(targets))
	for _, t := range targets {
		parent := ParentResult{Channel: t.key}
		ch := c.routing.channels[t.key]
		if f := c.checkParent(p, t, ch); f != nil {
			parent.Refused, parent.Findings = true, []Finding{*f}
			p.result.Parents = append(p.result.Parents, parent)
			continue
		}
		st := c.routing.storeOf[t.key]
		if st == nil {
			parent.Findings = []Finding{*passing(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonChannelNotReady, t.field,
				fmt.Sprintf("Channel %s has no ConversationStore yet; see its conditions", t.key))}
			p.result.Parents = append(p.result.Parents, parent)
			continue
		}
		parent.Store = st.key
		placed := c.place(p, st)
		parent.Findings, parent.LastGood = placed.findings, placed.lastGood
		if placed.program != nil && (!p.resource.Spec.Suspend || attachedBefore(st, t.key, p.key)) {
			parent.Entries, parent.Hash = placed.entries, placed.program.Hash()
			c.routing.attached[t.key] = append(c.routing.attached[t.key], attachment{policy: p, parent: len(p.result.Parents), program: placed.program})
		}
		p.result.Parents = append(p.result.Parents, parent)
	}
}

// parents are where the policy's references and its selector lead, each once.
func (c *compiler) parents(p *policyState) []target {
	seen := map[Key]bool{}
	var targets []target
	add := func(field string, key Key) {
		if !seen[key] {
			targets = append(targets, target{field: field, kind: kindChannel, key: key, from: p.key.Namespace, allowing: "spec.allowedPolicies", referrers: "RoutingPolicies"})
		}
	}
	for i := range p.resource.Spec.ParentRefs {
		key := newTarget("", kindChannel, p.key.Namespace, &p.resource.Spec.ParentRefs[i]).key
		add(fmt.Sprintf("spec.parentRefs[%d]", i), key)
		seen[key] = true // each Channel is chosen once by the selector
	}
	if p.resource.Spec.ChannelSelector == nil {
		return targets
	}
	const field = "spec.channelSelector"
	selector, err := p.resource.Spec.ChannelSelector.AsSelector()
	if err != nil {
		p.result.Findings = append(p.result.Findings, *invalidSpec(field, fmt.Sprintf("cannot be used: %s; it chooses nothing until it is corrected", err)))
		return targets
	}
	for _, ch := range c.routing.inNamespace[p.key.Namespace] {
		if selector.Matches(labelSet(ch.Labels)) {
			add(field, keyOf(ch))
		}
	}
	return targets
}

// labelSet makes labels of a map without copying it.
type labelSet map[string]string

// Has implements labels.Labels.
func (l labelSet) Has(label string) bool { _, ok := l[label]; return ok }

// Get implements labels.Labels.
func (l labelSet) Get(label string) string { return l[label] }

// Lookup implements labels.Labels.
func (l labelSet) Lookup(label string) (string, bool) { value, ok := l[label]; return value, ok }

// checkParent is why the policy may not route a Channel. Across namespaces it
// is the same whether the Channel is not there or does not let the policy in.
func (c *compiler) checkParent(p *policyState, t target, ch *v1alpha1.Channel) *Finding {
	if ch == nil {
		return t.check(false)
	}
	t.exists = true
	var highest *int32
	t.permitted, highest = c.allowsPolicy(ch, p)
	if !t.permitted && highest != nil {
		return missing(v1alpha1.ReasonRefNotPermitted, t.field, fmt.Sprintf(
			"Channel %s lets RoutingPolicies of namespace %q in up to priority %d, and this one has %d; lower spec.priority, or ask its owner to raise maxPriority in its spec.allowedPolicies",
			t.key, p.key.Namespace, *highest, p.resource.Spec.Priority))
	}
	return t.check(false)
}

// allowsPolicy says whether a Channel lets a policy in; if not, and only for its
// priority, which is the highest that it would take.
func (c *compiler) allowsPolicy(ch *v1alpha1.Channel, p *policyState) (allowed bool, highest *int32) {
	if len(ch.Spec.AllowedPolicies) == 0 {
		return p.key.Namespace == ch.Namespace, nil
	}
	for i := range ch.Spec.AllowedPolicies {
		entry := &ch.Spec.AllowedPolicies[i]
		list := newAllowList(ch.Namespace, &entry.Namespaces)
		if !c.permits(list, p.key.Namespace, list.err != nil && attachedBefore(c.routing.storeOf[keyOf(ch)], keyOf(ch), p.key)) {
			continue
		}
		if entry.MaxPriority == nil || p.resource.Spec.Priority <= *entry.MaxPriority {
			return true, nil
		}
		if highest == nil || *entry.MaxPriority > *highest {
			highest = entry.MaxPriority
		}
	}
	return false, highest
}

// attachedBefore says whether a policy is in force on a Channel in the document
// that is written.
func attachedBefore(st *storeState, channel, policy Key) bool {
	if st == nil {
		return false
	}
	before := decodeSpec[document.StoreChannel](st.before.get(document.EntryChannel, channel.String()))
	return slices.Contains(before.Policies, policy.String())
}

// orderPolicies puts the policies of every Channel in the order in which they
// are asked, and tells those that only their names order.
func (c *compiler) orderPolicies() {
	for _, attached := range c.routing.attached {
		slices.SortFunc(attached, func(a, b attachment) int {
			if a.program.Priority() != b.program.Priority() {
				return b.program.Priority() - a.program.Priority()
			}
			return strings.Compare(a.program.Name(), b.program.Name())
		})
		programs := make([]*routing.Program, len(attached))
		for i, a := range attached {
			programs[i] = a.program
		}
		conflicts := routing.NewChain(programs...).Conflicts()
		for _, a := range attached {
			if f, ok := conflicts[a.program.Name()]; ok {
				a.policy.result.Parents[a.parent].Conflict = "spec.priority: " + f.Message
			}
		}
	}
}

// policiesOf are the names of the policies in force on a Channel, in order.
func (c *compiler) policiesOf(channel Key) []string {
	var names []string
	for _, a := range c.routing.attached[channel] {
		names = append(names, a.policy.key.String())
	}
	return names
}

// confirmChannel adds a Channel's own entry to what its policies wait for: it
// says that they are attached.
func (c *compiler) confirmChannel(channel Key, entry document.Entry) {
	for _, a := range c.routing.attached[channel] {
		a.policy.result.Parents[a.parent].ChannelEntry = loadable(entry)
	}
}

// confirmNothing: a Channel that is not served routes nothing.
func (c *compiler) confirmNothing(channel Key) {
	for _, a := range c.routing.attached[channel] {
		parent := &a.policy.result.Parents[a.parent]
		parent.Entries, parent.Hash = nil, ""
	}
}

// checkAllowed: a selector that cannot be used lets nobody new in.
func checkAllowed(in *channelInput) *Finding {
	for i := range in.channel.Spec.AllowedPolicies {
		list := newAllowList(in.key.Namespace, &in.channel.Spec.AllowedPolicies[i].Namespaces)
		if f := selectorUsable(fmt.Sprintf("spec.allowedPolicies[%d].namespaces.selector", i), list); f != nil {
			return f
		}
	}
	for i := range in.channel.Spec.AllowedCampaigns {
		list := newAllowList(in.key.Namespace, &in.channel.Spec.AllowedCampaigns[i].Namespaces)
		if f := selectorUsable(fmt.Sprintf("spec.allowedCampaigns[%d].namespaces.selector", i), list); f != nil {
			return f
		}
	}
	return nil
}
