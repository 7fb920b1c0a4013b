// Package netpol computes what our NetworkPolicies mean: who may connect to
// whom, as a table. That they are enforced is the matter of the end-to-end
// tests; this one is about all the connections that those cannot try.
package netpol_test

import (
	"os"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

const (
	operatorNamespace = "bridgekeeper-system"

	public    = "149.154.167.220" // one of Telegram's
	private   = "10.1.2.3"
	metadata  = "169.254.169.254" // of clouds: holds credentials of the node
	loopback  = "127.0.0.1"
	public6   = "2001:67c:4e8::1"
	private6  = "fd00::1"
	localNode = "fe80::1"
)

var (
	bridgePod      = pod("shop", workload.BridgeSelector("default"))
	otherBridgePod = pod("sales", workload.BridgeSelector("default"))
	impostorPod    = pod("mallory", workload.BridgeSelector("default"))
	storePod       = pod("shop", workload.StoreSelector("default"))
	managerPod     = pod(operatorNamespace, map[string]string{workload.LabelName: "bridgekeeper", workload.LabelComponent: "manager"})
	managerTwin    = pod("mallory", map[string]string{workload.LabelName: "bridgekeeper", workload.LabelComponent: "manager"})
	deskPod        = pod("shop", map[string]string{"app": "desk"})
	strangerPod    = pod("mallory", map[string]string{"app": "mallory"})
	simulatorPod   = pod("simulator", map[string]string{"app": "simulator"})
	resolverPod    = pod("kube-system", map[string]string{"k8s-app": "kube-dns"})
)

func pod(namespace string, labels map[string]string) *matcher.TrafficPeer {
	return &matcher.TrafficPeer{IP: "10.244.0.99", Internal: &matcher.InternalPeer{
		Namespace: namespace, NamespaceLabels: map[string]string{corev1.LabelMetadataName: namespace}, PodLabels: labels,
	}}
}

func address(ip string) *matcher.TrafficPeer { return &matcher.TrafficPeer{IP: ip} }

// policies are those of a Bridge and its store, and the operator's own.
func policies(t *testing.T, change func(*v1alpha1.BridgeSpec)) *matcher.Policy {
	t.Helper()
	bridge := &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}}
	if change != nil {
		change(&bridge.Spec)
	}
	store := &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}}
	opts := workload.Options{OperatorNamespace: operatorNamespace}
	users := []types.NamespacedName{{Namespace: "shop", Name: "default"}, {Namespace: "sales", Name: "default"}}

	objects := workload.Bridge(bridge, types.NamespacedName{Namespace: "shop", Name: "default"}, opts)
	objects = append(objects, workload.Store(store, users, opts)...)
	objects = append(objects, managerPolicy(t))
	var found []*networkingv1.NetworkPolicy
	for _, o := range objects {
		if p, ok := o.(*networkingv1.NetworkPolicy); ok {
			found = append(found, p)
		}
	}
	require.Len(t, found, 3)
	return matcher.BuildNetworkPolicies(true, found)
}

func managerPolicy(t *testing.T) client.Object {
	t.Helper()
	raw, err := os.ReadFile("../../config/network-policy/manager.yaml")
	require.NoError(t, err)
	p := &networkingv1.NetworkPolicy{}
	require.NoError(t, yaml.UnmarshalStrict(raw, p))
	return p
}

type connection struct {
	what     string
	from, to *matcher.TrafficPeer
	port     int
	protocol corev1.Protocol
	allowed  bool
}

func check(t *testing.T, p *matcher.Policy, rows []connection) {
	t.Helper()
	for _, c := range rows {
		if c.protocol == "" {
			c.protocol = corev1.ProtocolTCP
		}
		result := p.IsTrafficAllowed(&matcher.Traffic{Source: c.from, Destination: c.to, ResolvedPort: c.port, Protocol: c.protocol})
		assert.Equal(t, c.allowed, result.IsAllowed(), "%s: port %d", c.what, c.port)
	}
}

func TestWhoReachesThePods(t *testing.T) {
	check(t, policies(t, nil), []connection{
		{"a platform reaches webhooks", address(public), bridgePod, workload.PortWebhooks, "", true},
		{"an ingress controller reaches webhooks", strangerPod, bridgePod, workload.PortWebhooks, "", true},
		{"a scraper reaches metrics", strangerPod, bridgePod, workload.PortHealth, "", true},
		{"the operator asks for /status", managerPod, bridgePod, workload.PortInternal, "", true},
		{"a stranger does not", strangerPod, bridgePod, workload.PortInternal, "", false},
		{"nor one who looks like the operator", managerTwin, bridgePod, workload.PortInternal, "", false},
		{"nor the internet", address(public), bridgePod, workload.PortInternal, "", false},
		{"nothing else listens", strangerPod, bridgePod, 22, "", false},

		{"a desk reaches REST", deskPod, storePod, workload.PortREST, "", true},
		{"a scraper reaches metrics", strangerPod, storePod, workload.PortHealth, "", true},
		{"its bridge reaches the store", bridgePod, storePod, workload.PortInternal, "", true},
		{"an allowed bridge of another namespace, too", otherBridgePod, storePod, workload.PortInternal, "", true},
		{"one that is not allowed does not", impostorPod, storePod, workload.PortInternal, "", false},
		{"the operator asks for /status", managerPod, storePod, workload.PortInternal, "", true},
		{"a stranger does not", strangerPod, storePod, workload.PortInternal, "", false},

		{"the operator is probed", strangerPod, managerPod, 8081, "", true},
		{"and scraped", strangerPod, managerPod, 8082, "", true},
		{"and nothing else", strangerPod, managerPod, 9443, "", false},
	})
}

func TestWhatThePodsReach(t *testing.T) {
	check(t, policies(t, nil), []connection{
		{"a bridge resolves names", bridgePod, resolverPod, 53, corev1.ProtocolUDP, true},
		{"and over TCP", bridgePod, resolverPod, 53, corev1.ProtocolTCP, true},
		{"a bridge calls platforms", bridgePod, address(public), 443, "", true},
		{"and over IPv6", bridgePod, address(public6), 443, "", true},
		{"but no private networks", bridgePod, address(private), 443, "", false},
		{"of IPv6 neither", bridgePod, address(private6), 443, "", false},
		{"nor the node's neighbours", bridgePod, address(localNode), 443, "", false},
		{"nor a cloud's metadata", bridgePod, address(metadata), 80, "", false},
		{"nor itself by loopback", bridgePod, address(loopback), 80, "", false},
		{"nor other pods", bridgePod, deskPod, 8080, "", false},
		{"nor REST of its own store", bridgePod, storePod, workload.PortREST, "", false},

		{"a store calls nobody", storePod, address(public), 443, "", false},
		{"not even names", storePod, resolverPod, 53, corev1.ProtocolUDP, false},
		{"nor bridges", storePod, bridgePod, workload.PortInternal, "", false},
		{"the operator reaches the API server wherever it is", managerPod, address(private), 6443, "", true},
	})
}

func TestEgressFollowsTheBridge(t *testing.T) {
	check(t, policies(t, func(s *v1alpha1.BridgeSpec) {
		s.Egress = &v1alpha1.Egress{CIDRs: []string{"149.154.160.0/20"}}
	}), []connection{
		{"named networks are open", bridgePod, address(public), 443, "", true},
		{"others are not", bridgePod, address("203.0.113.7"), 443, "", false},
		{"the store stays open", bridgePod, storePod, workload.PortInternal, "", true},
	})
	check(t, policies(t, func(s *v1alpha1.BridgeSpec) {
		s.Egress = &v1alpha1.Egress{AllowPrivateHosts: true}
	}), []connection{
		{"private hosts are open", bridgePod, address(private), 443, "", true},
		{"platforms stay open", bridgePod, address(public), 443, "", true},
	})
	check(t, policies(t, func(s *v1alpha1.BridgeSpec) {
		s.PlatformEndpoints = []v1alpha1.PlatformEndpoint{{Platform: "telegram", URL: "http://telegram.simulator.svc:8081"}}
	}), []connection{
		{"the namespace of an endpoint is open", bridgePod, simulatorPod, 8081, "", true},
		{"no other is", bridgePod, strangerPod, 8081, "", false},
	})
	check(t, policies(t, func(s *v1alpha1.BridgeSpec) {
		s.PlatformEndpoints = []v1alpha1.PlatformEndpoint{{Platform: "telegram", URL: "http://10.1.2.3:8081"}}
	}), []connection{
		{"an endpoint's address is open", bridgePod, address(private), 8081, "", true},
		{"its neighbours are not", bridgePod, address("10.1.2.4"), 8081, "", false},
	})
}
