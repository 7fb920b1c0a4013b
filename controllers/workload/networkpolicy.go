package workload

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// privateRanges are left out of "the internet": RFC 1918, RFC 6598, link-local
// (cloud metadata), loopback; IPv6 unique-local and link-local.
var privateRanges = []string{"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"}
var privateRanges6 = []string{"::1/128", "fc00::/7", "fe80::/10"}

// bridgeNetworkPolicy lets platforms and ingress controllers in on the webhook
// port, the operator on the internal one, and opens DNS, the store, and the
// platforms on the way out. The health port is open to the cluster for probes
// and scrapers.
func bridgeNetworkPolicy(b *v1alpha1.Bridge, store types.NamespacedName, opts Options) client.Object {
	egress := []networkingv1.NetworkPolicyEgressRule{dnsRule()}
	if store.Name != "" {
		egress = append(egress, networkingv1.NetworkPolicyEgressRule{
			Ports: tcp(PortInternal),
			To:    []networkingv1.NetworkPolicyPeer{peer(store.Namespace, StoreSelector(store.Name))},
		})
	}
	if out := platformPeers(b); len(out) > 0 {
		egress = append(egress, networkingv1.NetworkPolicyEgressRule{To: out})
	}
	egress = append(egress, endpointRules(b)...)
	return networkPolicy(bridgeMeta(b), BridgeSelector(b.Name), []networkingv1.NetworkPolicyIngressRule{
		{Ports: tcp(PortWebhooks)},
		{Ports: tcp(PortHealth)},
		{Ports: tcp(PortInternal), From: []networkingv1.NetworkPolicyPeer{operatorPeer(opts)}},
	}, egress)
}

// storeNetworkPolicy lets the store's Bridges and the operator in on the
// internal port. REST is open to the cluster (it wants a token). On the way out
// there is DNS and the port of the database, wherever that is, and what
// spec.egress opens for webhooks; with SQLite and without egress nothing.
func storeNetworkPolicy(s *v1alpha1.ConversationStore, bridges []types.NamespacedName, opts Options) client.Object {
	internal := []networkingv1.NetworkPolicyPeer{operatorPeer(opts)}
	sorted := slices.Clone(bridges)
	slices.SortFunc(sorted, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	for _, b := range sorted {
		internal = append(internal, peer(b.Namespace, BridgeSelector(b.Name)))
	}
	egress := []networkingv1.NetworkPolicyEgressRule{}
	if s.Spec.Postgres != nil {
		egress = append(egress, dnsRule(), networkingv1.NetworkPolicyEgressRule{Ports: tcp(DatabasePort(s))})
	}
	if e := s.Spec.Egress; e != nil {
		if s.Spec.Postgres == nil {
			egress = append(egress, dnsRule())
		}
		egress = append(egress, networkingv1.NetworkPolicyEgressRule{To: webhookPeers(e)})
	}
	return networkPolicy(storeMeta(s), StoreSelector(s.Name), []networkingv1.NetworkPolicyIngressRule{
		{Ports: tcp(PortREST)},
		{Ports: tcp(PortHealth)},
		{Ports: tcp(PortInternal), From: internal},
	}, egress)
}

func networkPolicy(meta metav1.ObjectMeta, selector map[string]string, in []networkingv1.NetworkPolicyIngressRule, out []networkingv1.NetworkPolicyEgressRule) client.Object {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: meta,
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: selector},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress:     in,
			Egress:      out,
		},
	}
}

// webhookPeers is where webhooks may be. Some network plugins do not take pods
// for addresses, so that those of this cluster are named as such.
func webhookPeers(e *v1alpha1.StoreEgress) []networkingv1.NetworkPolicyPeer {
	peers := addressPeers(e.CIDRs, e.AllowPrivateHosts)
	if e.AllowPrivateHosts && len(e.CIDRs) == 0 {
		peers = append(peers, networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}})
	}
	return peers
}

// platformPeers is where messaging platforms are.
func platformPeers(b *v1alpha1.Bridge) []networkingv1.NetworkPolicyPeer {
	if b.Spec.Egress == nil {
		return addressPeers(nil, false)
	}
	return addressPeers(b.Spec.Egress.CIDRs, b.Spec.Egress.AllowPrivateHosts)
}

// addressPeers are what is named, else the internet without private ranges, and
// those too when hosts there are allowed.
func addressPeers(named []string, allowPrivateHosts bool) []networkingv1.NetworkPolicyPeer {
	if len(named) > 0 {
		cidrs := slices.Clone(named)
		slices.Sort(cidrs)
		return ipPeers(cidrs)
	}
	if allowPrivateHosts {
		// Link-local stays closed: nobody's mail server is there, but the cloud's
		// metadata service with its credentials is.
		return []networkingv1.NetworkPolicyPeer{
			{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"169.254.0.0/16"}}},
			{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: []string{"fe80::/10"}}},
		}
	}
	return []networkingv1.NetworkPolicyPeer{
		{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: privateRanges}},
		{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: privateRanges6}},
	}
}

// endpointRules open what platformEndpoints name: an address, or a Service of
// this cluster (name.namespace[.svc…]) by its namespace, since a policy cannot
// name a Service. Public names are covered by platformPeers.
func endpointRules(b *v1alpha1.Bridge) []networkingv1.NetworkPolicyEgressRule {
	var peers []networkingv1.NetworkPolicyPeer
	seen := map[string]bool{}
	for _, e := range b.Spec.PlatformEndpoints {
		u, err := url.Parse(e.URL)
		if err != nil || seen[u.Hostname()] {
			continue
		}
		seen[u.Hostname()] = true
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			peers = append(peers, ipPeers([]string{netip.PrefixFrom(addr, addr.BitLen()).String()})...)
		} else if namespace, ok := serviceNamespace(u.Hostname(), b.Namespace); ok {
			peers = append(peers, peer(namespace, nil))
		}
	}
	if len(peers) == 0 {
		return nil
	}
	return []networkingv1.NetworkPolicyEgressRule{{To: peers}}
}

// serviceNamespace reads the namespace out of a Service's DNS name. A name
// with two labels may also be a public domain: opening the namespace of that
// name then opens nothing that exists.
func serviceNamespace(host, own string) (string, bool) {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	switch {
	case len(labels) == 1:
		return own, true
	case len(labels) == 2 || labels[2] == "svc":
		return labels[1], true
	}
	return "", false
}

func ipPeers(cidrs []string) []networkingv1.NetworkPolicyPeer {
	peers := make([]networkingv1.NetworkPolicyPeer, len(cidrs))
	for i, c := range cidrs {
		peers[i].IPBlock = &networkingv1.IPBlock{CIDR: c}
	}
	return peers
}

func operatorPeer(opts Options) networkingv1.NetworkPolicyPeer {
	return peer(opts.OperatorNamespace, map[string]string{LabelName: "bridgekeeper", LabelComponent: "manager"})
}

func peer(namespace string, pods map[string]string) networkingv1.NetworkPolicyPeer {
	p := networkingv1.NetworkPolicyPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
	}
	if pods != nil {
		p.PodSelector = &metav1.LabelSelector{MatchLabels: pods}
	}
	return p
}

// dnsRule opens port 53 to everywhere: where DNS runs differs between
// clusters (a pod, the node, a node-local cache).
func dnsRule() networkingv1.NetworkPolicyEgressRule {
	dns := intstr.FromInt32(53)
	return networkingv1.NetworkPolicyEgressRule{Ports: []networkingv1.NetworkPolicyPort{
		{Protocol: ptr.To(corev1.ProtocolUDP), Port: &dns},
		{Protocol: ptr.To(corev1.ProtocolTCP), Port: &dns},
	}}
}

func tcp(number int32) []networkingv1.NetworkPolicyPort {
	return []networkingv1.NetworkPolicyPort{{Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To(intstr.FromInt32(number))}}
}
