package workload

import (
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Ports of the pods. Public and REST listeners share a number, which never
// meets: they are different pods.
const (
	PortWebhooks = 8080 // bridge: /webhooks/, faces the internet
	PortREST     = 8080 // store: /v1
	PortInternal = 8443 // both: /status; store: the internal API; mutual TLS
	PortHealth   = 8081 // both: /healthz, /readyz, /metrics
)

// Labels that the operator selects its own objects by.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance"
	LabelComponent = "app.kubernetes.io/component"
	// LabelDocument is "bridge" or "store" on the Secrets that hold documents.
	LabelDocument = "bridgekeeper.dev/document"

	ManagedBy = "bridgekeeper"

	ComponentBridge = "bridge"
	ComponentStore  = "store"
)

// BridgeChild is the name of a Bridge's Deployment, Service and so on.
func BridgeChild(name string) string { return name + "-bridge" }

// StoreChild is the name of a ConversationStore's StatefulSet or Deployment,
// Service and so on.
func StoreChild(name string) string { return name + "-store" }

// TLSSecret is the name of the certificate Secret of a child name.
func TLSSecret(child string) string { return child + "-tls" }

// DatabaseSecret is the name of the Secret that the pods of a postgres store
// find the database with.
func DatabaseSecret(child string) string { return child + "-database" }

// DocumentSecret is the name of the Secret that holds shard n of a child's document.
func DocumentSecret(child string, n int) string { return fmt.Sprintf("%s-documents-%02d", child, n) }

// DocumentKey is the key of the shard in its Secret, in the first major version.
const DocumentKey = "shard.json"

// BridgeSelector picks a Bridge's pods.
func BridgeSelector(name string) map[string]string {
	return selector(ComponentBridge, name)
}

// StoreSelector picks a ConversationStore's pods.
func StoreSelector(name string) map[string]string {
	return selector(ComponentStore, name)
}

func selector(component, instance string) map[string]string {
	return map[string]string{
		LabelName:      "bridgekeeper",
		LabelComponent: component,
		LabelInstance:  instance,
	}
}

func labels(component, instance string) map[string]string {
	l := selector(component, instance)
	l[LabelManagedBy] = ManagedBy
	return l
}

// StoreInternalURL is the base URL of a store's internal API within the cluster.
func StoreInternalURL(namespace, name string) string {
	return fmt.Sprintf("https://%s.%s.svc:%d", StoreChild(name), namespace, PortInternal)
}

// StoreRESTURL is the base URL of a store's REST API within the cluster.
func StoreRESTURL(namespace, name string) string {
	return fmt.Sprintf("http://%s.%s.svc:%d", StoreChild(name), namespace, PortREST)
}

// BridgeServiceURL is the base URL of a Bridge's webhook listener within the cluster.
func BridgeServiceURL(namespace, name string) string {
	return fmt.Sprintf("http://%s.%s.svc:%d", BridgeChild(name), namespace, PortWebhooks)
}

// ServerName is what the pods of a child call themselves in their certificate.
func ServerName(namespace, child string) string { return child + "." + namespace + ".svc" }

// SecretLabels are the labels of the operator's own Secrets, with extra ones.
func SecretLabels(extra map[string]string) map[string]string {
	l := map[string]string{LabelManagedBy: ManagedBy, v1alpha1.CredentialsLabel: v1alpha1.CredentialsInternal}
	maps.Copy(l, extra)
	return l
}

func objectMeta(namespace, name, component, instance string, owner metav1.OwnerReference) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:       namespace,
		Name:            name,
		Labels:          labels(component, instance),
		OwnerReferences: []metav1.OwnerReference{owner},
	}
}

// BridgeOwner is the controller reference that a Bridge's children carry.
func BridgeOwner(b *v1alpha1.Bridge) metav1.OwnerReference {
	return *metav1.NewControllerRef(b, gvk("Bridge"))
}

// StoreOwner is the controller reference that a ConversationStore's children carry.
func StoreOwner(s *v1alpha1.ConversationStore) metav1.OwnerReference {
	return *metav1.NewControllerRef(s, gvk("ConversationStore"))
}

func gvk(kind string) schema.GroupVersionKind { return v1alpha1.GroupVersion.WithKind(kind) }

// shardCount is how many document Secrets a pod template declares.
const shardCount = document.MaxShards
