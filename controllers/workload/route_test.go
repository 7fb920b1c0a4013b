package workload_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

func TestRouteOnlyWhenAskedFor(t *testing.T) {
	gateway := &v1alpha1.GatewayTemplate{ParentRefs: []v1alpha1.GatewayReference{{Name: "public"}}}
	for name, tc := range map[string]struct {
		spec v1alpha1.BridgeSpec
		want bool
	}{
		"not exposed":    {v1alpha1.BridgeSpec{PublicURL: "https://hooks.example.com"}, false},
		"by Ingress":     {v1alpha1.BridgeSpec{PublicURL: "https://hooks.example.com", Expose: &v1alpha1.Expose{Ingress: &v1alpha1.IngressTemplate{}}}, false},
		"without a host": {v1alpha1.BridgeSpec{Expose: &v1alpha1.Expose{Gateway: gateway}}, false},
		"asked for":      {v1alpha1.BridgeSpec{PublicURL: "https://hooks.example.com", Expose: &v1alpha1.Expose{Gateway: gateway}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, workload.BridgeRoute(&v1alpha1.Bridge{Spec: tc.spec}) != nil)
		})
	}
}

func TestRefusedParent(t *testing.T) {
	const route = `
status:
  parents:
    - parentRef: {name: inner, namespace: shop}
      conditions: [{type: Accepted, status: "True", reason: Accepted, observedGeneration: 2}]
    - parentRef: {group: gateway.networking.k8s.io, kind: Gateway, name: public, namespace: infra}
      controllerName: example.com/gateway
      conditions:
        - {type: ResolvedRefs, status: "False", reason: RefNotPermitted, message: x, observedGeneration: 2}
        - {type: Accepted, status: "STATUS", reason: NotAllowedByListeners, message: no listener takes it, observedGeneration: GENERATION}
`
	for name, tc := range map[string]struct{ status, generation, want string }{
		"refused":                {"False", "2", "infra/public"},
		"accepted":               {"True", "2", ""},
		"not decided":            {"Unknown", "2", ""},
		"said of another before": {"False", "1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("STATUS", tc.status, "GENERATION", tc.generation).Replace(route)
			u := workload.NewHTTPRoute()
			require.NoError(t, yaml.Unmarshal([]byte(text), &u.Object))
			u.SetGeneration(2) // as the API's decoder does, and YAML's does not: an int64
			gateway, reason, message := workload.RefusedParent(u)
			require.Equal(t, tc.want, gateway)
			if tc.want != "" {
				require.Equal(t, "NotAllowedByListeners: no listener takes it", reason+": "+message)
			}
		})
	}
	gateway, _, _ := workload.RefusedParent(workload.NewHTTPRoute())
	require.Empty(t, gateway)
}
