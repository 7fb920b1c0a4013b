package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// state is everything that decides what may connect.
type state struct {
	pods       []*v1.Pod
	namespaces []*v1.Namespace
	policies   []*networking.NetworkPolicy
	dns        string // the DNS server, which policies expect to be a pod
}

type direction struct {
	name string
	self string // the option that names the pod's own side
	peer string // and the other one
}

var (
	ingress = direction{"ingress", "-d", "-s"}
	egress  = direction{"egress", "-s", "-d"}
)

// compile turns policies into chains. It is pure, and gives the same text for
// the same state.
//
//	NP          established? return. For each isolated pod: jump to its chain
//	 └ pod      for each rule that applies: jump. Allowed mark? return. Drop
//	    └ rule  for each peer and port: set the allowed mark
//
// Rules are shared by the pods of a policy, so their number grows with the
// policies' peers and not with pods times peers.
func compile(s state) ruleset {
	s.sort()
	r := newRuleset()
	r.chain(mainChain)
	r.add(mainChain, "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
	for _, pod := range s.pods {
		if !hasOwnAddress(pod) {
			continue
		}
		for _, d := range []direction{egress, ingress} {
			s.isolate(&r, pod, d)
		}
	}
	return r
}

// sort makes the result independent of the order in which informers answer.
func (s *state) sort() {
	byName := func(a, b metav1.Object) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	}
	s.pods, s.policies = slices.Clone(s.pods), slices.Clone(s.policies)
	slices.SortFunc(s.pods, func(a, b *v1.Pod) int { return byName(a, b) })
	slices.SortFunc(s.policies, func(a, b *networking.NetworkPolicy) int { return byName(a, b) })
}

// hasOwnAddress: pods on the host's network share the machine's address, which
// no policy can tell apart; finished ones have given theirs back.
func hasOwnAddress(pod *v1.Pod) bool {
	return pod.Status.PodIP != "" && !pod.Spec.HostNetwork &&
		pod.Status.Phase != v1.PodSucceeded && pod.Status.Phase != v1.PodFailed
}

func (s *state) isolate(r *ruleset, pod *v1.Pod, d direction) {
	var jumps []string
	isolated := false
	for _, policy := range s.policies {
		if policy.Namespace != pod.Namespace || !covers(policy, d) || !selects(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		isolated = true
		for i, rule := range rulesOf(policy, d) {
			name := chainName(policy.Namespace, policy.Name, d.name, fmt.Sprint(i))
			if r.chain(name) {
				s.allow(r, name, policy, rule, d)
			}
			jumps = append(jumps, name)
		}
	}
	if !isolated {
		return
	}
	chain := chainName("pod", pod.Namespace, pod.Name, d.name)
	r.chain(chain)
	ip := pod.Status.PodIP
	r.add(mainChain, "%s %s/32 -j %s", d.self, ip, chain)
	r.add(chain, "%s %s/32 -j RETURN", d.peer, ip) // nobody can be shut out from himself
	r.add(chain, "-j MARK --set-xmark 0x0/0x10000")
	for _, jump := range jumps {
		r.add(chain, "-j %s", jump)
	}
	r.add(chain, "-m mark --mark %s -j RETURN", allowed)
	r.add(chain, "-j DROP")
}

// rule is what an ingress and an egress rule have in common.
type rule struct {
	peers []networking.NetworkPolicyPeer
	ports []networking.NetworkPolicyPort
}

func rulesOf(policy *networking.NetworkPolicy, d direction) []rule {
	var rules []rule
	if d == ingress {
		for _, r := range policy.Spec.Ingress {
			rules = append(rules, rule{r.From, r.Ports})
		}
		return rules
	}
	for _, r := range policy.Spec.Egress {
		rules = append(rules, rule{r.To, r.Ports})
	}
	return rules
}

// covers tells whether a policy isolates in a direction. The API server fills
// policyTypes in; the rest is for objects that have not passed it.
func covers(policy *networking.NetworkPolicy, d direction) bool {
	for _, t := range policy.Spec.PolicyTypes {
		if strings.EqualFold(string(t), d.name) {
			return true
		}
	}
	return len(policy.Spec.PolicyTypes) == 0 && (d == ingress || len(policy.Spec.Egress) > 0)
}

func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(set))
}

// endpoint is one side that a rule allows: a range of addresses, and the pod
// behind it if there is one.
type endpoint struct {
	prefix string // "" is everybody
	pod    *v1.Pod
	isDNS  bool
}

// allow fills the chain of one rule.
func (s *state) allow(r *ruleset, chain string, policy *networking.NetworkPolicy, rule rule, d direction) {
	for _, peer := range s.endpoints(policy.Namespace, rule.peers) {
		match := ""
		if peer.prefix != "" {
			match = d.peer + " " + peer.prefix + " "
		}
		ports := rule.ports
		if peer.isDNS {
			ports = onlyDNS(ports)
		} else if len(ports) == 0 {
			r.add(chain, "%s-j MARK --set-xmark %s", match, allowed)
		}
		for _, port := range ports {
			for _, m := range s.portMatches(policy, port, peer, d) {
				r.add(chain, "%s%s -j MARK --set-xmark %s", match, m, allowed)
			}
		}
	}
}

func (s *state) endpoints(namespace string, peers []networking.NetworkPolicyPeer) []endpoint {
	if len(peers) == 0 {
		return []endpoint{{}}
	}
	var found []endpoint
	for _, peer := range peers {
		if peer.IPBlock != nil {
			for _, prefix := range subtract(peer.IPBlock.CIDR, peer.IPBlock.Except) {
				found = append(found, endpoint{prefix: prefix.String()})
			}
			continue
		}
		for _, pod := range s.pods {
			if pod.Status.PodIP != "" && pod.Status.Phase != v1.PodSucceeded && pod.Status.Phase != v1.PodFailed &&
				s.peerSelects(peer, namespace, pod.Namespace, pod.Labels) {
				found = append(found, endpoint{prefix: pod.Status.PodIP + "/32", pod: pod})
			}
		}
		if s.dns != "" && s.peerSelects(peer, namespace, "kube-system", map[string]string{"k8s-app": "kube-dns"}) {
			found = append(found, endpoint{prefix: s.dns + "/32", isDNS: true})
		}
	}
	return found
}

func (s *state) peerSelects(peer networking.NetworkPolicyPeer, own, namespace string, set map[string]string) bool {
	if peer.NamespaceSelector == nil {
		if namespace != own {
			return false
		}
	} else if !selects(peer.NamespaceSelector, s.namespaceLabels(namespace)) {
		return false
	}
	return peer.PodSelector == nil || selects(peer.PodSelector, set)
}

func (s *state) namespaceLabels(name string) map[string]string {
	for _, namespace := range s.namespaces {
		if namespace.Name == name {
			return namespace.Labels
		}
	}
	return nil
}

// onlyDNS narrows ports to 53: the address of the DNS server is the machine's,
// and a policy for DNS must not open everything else there.
func onlyDNS(ports []networking.NetworkPolicyPort) []networking.NetworkPolicyPort {
	dns := intstr.FromInt32(53)
	var narrowed []networking.NetworkPolicyPort
	for _, protocol := range []v1.Protocol{v1.ProtocolUDP, v1.ProtocolTCP} {
		if len(ports) == 0 || slices.ContainsFunc(ports, func(p networking.NetworkPolicyPort) bool {
			return protocolOf(p) == protocol && includes(p, 53)
		}) {
			narrowed = append(narrowed, networking.NetworkPolicyPort{Protocol: &protocol, Port: &dns})
		}
	}
	return narrowed
}

func protocolOf(p networking.NetworkPolicyPort) v1.Protocol {
	if p.Protocol == nil {
		return v1.ProtocolTCP
	}
	return *p.Protocol
}

func includes(p networking.NetworkPolicyPort, port int32) bool {
	if p.Port == nil {
		return true
	}
	if p.Port.Type == intstr.String {
		return p.Port.StrVal == "dns" || p.Port.StrVal == "dns-tcp"
	}
	return p.Port.IntVal == port || (p.EndPort != nil && p.Port.IntVal <= port && port <= *p.EndPort)
}

// portMatches gives the iptables matches of one port. A named port is looked up
// in the pod that is the destination: the peer's for egress, and for ingress
// that of every pod that the policy selects.
func (s *state) portMatches(policy *networking.NetworkPolicy, port networking.NetworkPolicyPort, peer endpoint, d direction) []string {
	protocol := strings.ToLower(string(protocolOf(port)))
	switch {
	case port.Port == nil:
		return []string{"-p " + protocol}
	case port.Port.Type == intstr.Int && port.EndPort != nil:
		return []string{fmt.Sprintf("-p %s --dport %d:%d", protocol, port.Port.IntVal, *port.EndPort)}
	case port.Port.Type == intstr.Int:
		return []string{fmt.Sprintf("-p %s --dport %d", protocol, port.Port.IntVal)}
	case d == egress && peer.pod == nil:
		return nil // an address block has no named ports
	case d == egress:
		var matches []string
		for _, number := range namedPorts(peer.pod, port.Port.StrVal, protocolOf(port)) {
			matches = append(matches, fmt.Sprintf("-p %s --dport %d", protocol, number))
		}
		return matches
	}
	var matches []string
	for _, pod := range s.pods {
		if pod.Namespace != policy.Namespace || !hasOwnAddress(pod) || !selects(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		for _, number := range namedPorts(pod, port.Port.StrVal, protocolOf(port)) {
			matches = append(matches, fmt.Sprintf("-d %s/32 -p %s --dport %d", pod.Status.PodIP, protocol, number))
		}
	}
	return matches
}

func namedPorts(pod *v1.Pod, name string, protocol v1.Protocol) []int32 {
	var numbers []int32
	for _, container := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for _, p := range container.Ports {
			if p.Name == name && cmp.Or(p.Protocol, v1.ProtocolTCP) == protocol {
				numbers = append(numbers, p.ContainerPort)
			}
		}
	}
	return numbers
}

// subtract gives the parts of an address block that its exceptions leave, by
// halving it until a part is wholly inside or outside of them. Blocks of IPv6
// give nothing: the cluster has none.
func subtract(block string, except []string) []netip.Prefix {
	whole, err := netip.ParsePrefix(block)
	if err != nil || !whole.Addr().Is4() {
		return nil
	}
	var holes []netip.Prefix
	for _, e := range except {
		if hole, err := netip.ParsePrefix(e); err == nil {
			holes = append(holes, hole.Masked())
		}
	}
	return remainder(whole.Masked(), holes)
}

func remainder(part netip.Prefix, holes []netip.Prefix) []netip.Prefix {
	touched := false
	for _, hole := range holes {
		if hole.Bits() <= part.Bits() && hole.Contains(part.Addr()) {
			return nil
		}
		touched = touched || part.Overlaps(hole)
	}
	if !touched {
		return []netip.Prefix{part}
	}
	low := netip.PrefixFrom(part.Addr(), part.Bits()+1)
	bytes := part.Addr().As4()
	bytes[part.Bits()/8] |= 1 << (7 - part.Bits()%8)
	high := netip.PrefixFrom(netip.AddrFrom4(bytes), part.Bits()+1)
	return append(remainder(low, holes), remainder(high, holes)...)
}
