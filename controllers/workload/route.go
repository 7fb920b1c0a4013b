package workload

import (
	"net/url"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// HTTPRouteKind is the kind of Gateway API routes. Clusters may lack it, so it
// is written without its Go types, and never asked for before it is known to
// be there.
var HTTPRouteKind = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}

// webhooksPath is what the pods serve to the internet, and nothing else.
const webhooksPath = "/webhooks/"

// NewHTTPRoute is an empty route, to read one into.
func NewHTTPRoute() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(HTTPRouteKind)
	return u
}

// BridgeRoute is the HTTPRoute that a Bridge asks for; nil when it asks for none.
func BridgeRoute(b *v1alpha1.Bridge) *unstructured.Unstructured {
	host := exposedHost(b)
	if host == "" || b.Spec.Expose.Gateway == nil {
		return nil
	}
	t := b.Spec.Expose.Gateway
	meta := bridgeMeta(b)
	route := NewHTTPRoute()
	route.SetNamespace(meta.Namespace)
	route.SetName(meta.Name)
	route.SetLabels(meta.Labels)
	route.SetOwnerReferences(meta.OwnerReferences)
	if len(t.Annotations) > 0 {
		route.SetAnnotations(t.Annotations)
	}
	parents := make([]any, len(t.ParentRefs))
	for i, p := range t.ParentRefs {
		parents[i] = gatewayParent(p, b.Namespace)
	}
	route.Object["spec"] = map[string]any{
		"parentRefs": parents,
		"hostnames":  []any{host},
		"rules": []any{map[string]any{
			"matches":     []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": webhooksPath}}},
			"backendRefs": []any{map[string]any{"name": meta.Name, "port": int64(PortWebhooks)}},
		}},
	}
	return route
}

// gatewayParent names the namespace always: the API server adds no other
// default, and what is written is what will be compared.
func gatewayParent(p v1alpha1.GatewayReference, own string) map[string]any {
	parent := map[string]any{"name": p.Name, "namespace": own}
	if p.Namespace != "" {
		parent["namespace"] = p.Namespace
	}
	if p.SectionName != "" {
		parent["sectionName"] = p.SectionName
	}
	return parent
}

// exposedHost is the host under which a Bridge is exposed; empty without one.
func exposedHost(b *v1alpha1.Bridge) string {
	if b.Spec.Expose == nil || b.Spec.PublicURL == "" {
		return ""
	}
	public, err := url.Parse(b.Spec.PublicURL)
	if err != nil { // the schema has checked it
		return ""
	}
	return public.Hostname()
}

// RefusedParent is the first Gateway that does not let a route in, and why, by
// the route's own status; empty while none says so.
func RefusedParent(route *unstructured.Unstructured) (gateway, reason, message string) {
	var r struct {
		Status struct {
			Parents []struct {
				ParentRef  v1alpha1.GatewayReference `json:"parentRef"`
				Conditions []metav1.Condition        `json:"conditions"`
			} `json:"parents"`
		} `json:"status"`
	}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(route.Object, &r) != nil {
		return "", "", ""
	}
	for _, p := range r.Status.Parents {
		for _, c := range p.Conditions {
			if c.Type == "Accepted" && c.Status == metav1.ConditionFalse && c.ObservedGeneration >= route.GetGeneration() {
				return p.ParentRef.Namespace + "/" + p.ParentRef.Name, c.Reason, c.Message
			}
		}
	}
	return "", "", ""
}
