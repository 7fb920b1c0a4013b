package workload

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// bridgeGrace is how long a bridge pod may take to stop: 5 s until no new
// request is routed to it, 30 s for a send that is under way, and some more.
const bridgeGrace = 45

// Bridge builds the objects of a Bridge. store is the ConversationStore that
// it uses; the zero value when that is not known yet. Its HTTPRoute is made by
// BridgeRoute, for not every cluster has that kind.
func Bridge(b *v1alpha1.Bridge, store types.NamespacedName, opts Options) []client.Object {
	objects := []client.Object{
		bridgeServiceAccount(b),
		bridgeDeployment(b, opts),
		bridgeService(b),
		bridgeNetworkPolicy(b, store, opts),
	}
	if Replicas(b) >= 2 {
		objects = append(objects, podDisruptionBudget(bridgeMeta(b), BridgeSelector(b.Name)))
	}
	if ing := bridgeIngress(b); ing != nil {
		objects = append(objects, ing)
	}
	return objects
}

// Replicas is how many pods a Bridge wants.
func Replicas(b *v1alpha1.Bridge) int32 { return ptr.Deref(b.Spec.Replicas, 1) }

func bridgeMeta(b *v1alpha1.Bridge) metav1.ObjectMeta {
	return objectMeta(b.Namespace, BridgeChild(b.Name), ComponentBridge, b.Name, BridgeOwner(b))
}

func bridgeServiceAccount(b *v1alpha1.Bridge) client.Object {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   bridgeMeta(b),
		AutomountServiceAccountToken: ptr.To(false),
	}
}

func bridgeDeployment(b *v1alpha1.Bridge, opts Options) client.Object {
	child := BridgeChild(b.Name)
	args := []string{
		"serve", "--documents=" + documentsDir, "--tls=" + tlsDir,
		listen("listen", PortWebhooks), listen("internal-listen", PortInternal), listen("health-listen", PortHealth),
	}
	ports := []corev1.ContainerPort{port("webhooks", PortWebhooks), port("internal", PortInternal), port("health", PortHealth)}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: bridgeMeta(b),
		Spec: appsv1.DeploymentSpec{
			Replicas:             ptr.To(Replicas(b)),
			Selector:             &metav1.LabelSelector{MatchLabels: BridgeSelector(b.Name)},
			Strategy:             surge(),
			RevisionHistoryLimit: ptr.To[int32](3),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels(ComponentBridge, b.Name)},
				Spec: corev1.PodSpec{
					ServiceAccountName:            child,
					AutomountServiceAccountToken:  ptr.To(false),
					EnableServiceLinks:            ptr.To(false),
					SecurityContext:               podSecurity(),
					TerminationGracePeriodSeconds: ptr.To[int64](bridgeGrace),
					Containers:                    []corev1.Container{container(opts, args, ports, b.Spec.Resources)},
					Volumes:                       []corev1.Volume{documentVolume(child), tlsVolume(child)},
					TopologySpreadConstraints:     spread(BridgeSelector(b.Name)),
				},
			},
		},
	}
}

// surge: a new pod serves before an old one goes, so that no request meets a gap.
func surge() appsv1.DeploymentStrategy {
	return appsv1.DeploymentStrategy{
		Type: appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{
			MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(0)),
		},
	}
}

// spread puts replicas on different nodes where that is possible.
func spread(selector map[string]string) []corev1.TopologySpreadConstraint {
	return []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector: &metav1.LabelSelector{MatchLabels: selector},
	}}
}

func bridgeService(b *v1alpha1.Bridge) client.Object {
	kind, nodePort := corev1.ServiceTypeClusterIP, int32(0)
	if e := b.Spec.Expose; e != nil && e.ServiceType != "" {
		kind, nodePort = e.ServiceType, e.NodePort
	}
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: bridgeMeta(b),
		Spec: corev1.ServiceSpec{
			Type:     kind,
			Selector: BridgeSelector(b.Name),
			Ports: []corev1.ServicePort{{
				Name: "webhooks", Port: PortWebhooks, TargetPort: intstr.FromString("webhooks"),
				Protocol: corev1.ProtocolTCP, NodePort: nodePort,
			}},
		},
	}
}

func podDisruptionBudget(meta metav1.ObjectMeta, selector map[string]string) client.Object {
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: meta,
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: ptr.To(intstr.FromInt32(1)),
			Selector:       &metav1.LabelSelector{MatchLabels: selector},
			// A pod that is not ready protects nobody; let it be evicted.
			UnhealthyPodEvictionPolicy: ptr.To(policyv1.AlwaysAllow),
		},
	}
}

func bridgeIngress(b *v1alpha1.Bridge) client.Object {
	host := exposedHost(b)
	if host == "" || b.Spec.Expose.Ingress == nil {
		return nil
	}
	t := b.Spec.Expose.Ingress
	meta := bridgeMeta(b)
	meta.Annotations = t.Annotations
	ing := &networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: meta,
		Spec: networkingv1.IngressSpec{
			IngressClassName: t.ClassName,
			Rules: []networkingv1.IngressRule{{
				Host: host,
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
					Paths: []networkingv1.HTTPIngressPath{{
						Path: webhooksPath, PathType: ptr.To(networkingv1.PathTypePrefix),
						Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
							Name: BridgeChild(b.Name), Port: networkingv1.ServiceBackendPort{Name: "webhooks"},
						}},
					}},
				}},
			}},
		},
	}
	if t.TLSSecretName != "" {
		ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{host}, SecretName: t.TLSSecretName}}
	}
	return ing
}

// BridgeUnwanted lists, by name only, the objects that another spec of this
// Bridge would have and this one has not.
func BridgeUnwanted(b *v1alpha1.Bridge) []client.Object {
	meta := metav1.ObjectMeta{Namespace: b.Namespace, Name: BridgeChild(b.Name)}
	var out []client.Object
	if Replicas(b) < 2 {
		out = append(out, &policyv1.PodDisruptionBudget{ObjectMeta: meta})
	}
	if bridgeIngress(b) == nil {
		out = append(out, &networkingv1.Ingress{ObjectMeta: meta})
	}
	return out
}
