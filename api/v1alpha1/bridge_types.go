package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BridgeSpec is a set of bridge pods and what may attach to them.
// +kubebuilder:validation:XValidation:rule="!has(self.expose) || (!has(self.expose.ingress) && !has(self.expose.gateway)) || (has(self.publicURL) && !self.publicURL.matches('^https?://([[]|[0-9.]+(:|/|$))'))",message="expose.ingress and expose.gateway need publicURL with a host name: that is the host they serve"
// +kubebuilder:validation:XValidation:rule="!has(self.expose) || (!has(self.expose.ingress) && !has(self.expose.gateway)) || !has(self.publicURL) || !self.publicURL.matches('^https?://[^/]*/')",message="publicURL must have no path with expose.ingress or expose.gateway: they send /webhooks/ of its host to the pods and rewrite nothing"
type BridgeSpec struct {
	// Suspend pauses reconciling of this Bridge. What runs goes on running.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Replicas is how many pods serve; 1 when left out. A HorizontalPodAutoscaler
	// may own it through the scale subresource.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// StoreRef is the ConversationStore; the one named "default" in this
	// namespace when left out.
	// +optional
	StoreRef *ObjectReference `json:"storeRef,omitempty"`

	// PublicURL is where platforms reach these pods, e.g.
	// https://hooks.example.com; without it webhooks cannot be registered, and
	// only platforms that are polled work. A path works where what is in front
	// of the pods removes it; an Ingress or HTTPRoute of expose does not.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http','https'] && url(self).getHost() != ''",message="publicURL must be like https://hooks.example.com"
	// +kubebuilder:validation:XValidation:rule="!self.endsWith('/') && !self.contains('?') && !self.contains('#')",message="publicURL must not end with a slash nor have a query"
	// +kubebuilder:validation:XValidation:rule="!self.contains('@')",message="publicURL must not have a user name or password: it is no secret"
	PublicURL string `json:"publicURL,omitempty"`

	// AllowedChannels is which namespaces' Channels may attach; only the
	// Bridge's own namespace when left out. Whoever can read Secrets in the
	// Bridge's namespace can read the credentials of every attached Channel.
	// +optional
	AllowedChannels *AllowedNamespaces `json:"allowedChannels,omitempty"`

	// PlatformEndpoints replace the platforms' own base URLs: proxies, local
	// Bot API servers, test doubles.
	// +optional
	// +listType=map
	// +listMapKey=platform
	// +kubebuilder:validation:MaxItems=32
	PlatformEndpoints []PlatformEndpoint `json:"platformEndpoints,omitempty"`

	// Expose is how the pods are reached from outside.
	// +optional
	Expose *Expose `json:"expose,omitempty"`

	// Egress is what the pods may connect to, beside DNS and the store.
	// +optional
	Egress *Egress `json:"egress,omitempty"`

	// Resources of the bridge container.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="resources.claims are not supported: the pods have no resource claims"
	// +kubebuilder:validation:XValidation:rule="(!has(self.limits) || self.limits.size() <= 16) && (!has(self.requests) || self.requests.size() <= 16)",message="resources can have at most 16 limits and 16 requests"
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}

// Platform is the name of a messaging platform.
// +kubebuilder:validation:Enum=telegram;messenger;instagram;email
type Platform string

const (
	// PlatformTelegram is the Telegram Bot API.
	PlatformTelegram Platform = "telegram"
	// PlatformMessenger is Facebook Messenger.
	PlatformMessenger Platform = "messenger"
	// PlatformInstagram is Instagram messaging.
	PlatformInstagram Platform = "instagram"
	// PlatformEmail is a mailbox, by IMAP and SMTP.
	PlatformEmail Platform = "email"
)

// PlatformEndpoint is a base URL for one platform.
// +kubebuilder:validation:XValidation:rule="self.platform != 'email'",message="email has no base URL: its Channels name their servers in email.imap and email.smtp"
type PlatformEndpoint struct {
	// Platform whose base URL is replaced.
	Platform Platform `json:"platform"`

	// URL that replaces it, e.g. http://telegram-bot-api.shop:8081.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http','https'] && url(self).getHost() != ''",message="url must be like https://api.example.com"
	URL string `json:"url"`
}

// Expose is how a Bridge's pods are reached.
// +kubebuilder:validation:XValidation:rule="!has(self.nodePort) || (has(self.serviceType) && self.serviceType in ['NodePort','LoadBalancer'])",message="nodePort is possible only with serviceType NodePort or LoadBalancer"
type Expose struct {
	// ServiceType of the webhook Service; ClusterIP when left out.
	// +optional
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	ServiceType corev1.ServiceType `json:"serviceType,omitempty"`

	// NodePort to use with serviceType NodePort; drawn by the cluster when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	NodePort int32 `json:"nodePort,omitempty"`

	// Ingress makes an Ingress for the host of publicURL.
	// +optional
	Ingress *IngressTemplate `json:"ingress,omitempty"`

	// Gateway makes an HTTPRoute of the Gateway API for the host of publicURL.
	// +optional
	Gateway *GatewayTemplate `json:"gateway,omitempty"`
}

// IngressTemplate is what cannot be derived of a Bridge's Ingress.
type IngressTemplate struct {
	// ClassName of the Ingress; the cluster's default class when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="className must be the name of an IngressClass"
	ClassName *string `json:"className,omitempty"`

	// TLSSecretName of the certificate; none when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="tlsSecretName must be the name of a Secret"
	TLSSecretName string `json:"tlsSecretName,omitempty"`

	// Annotations of the Ingress, e.g. of cert-manager.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 253 && !format.qualifiedName().validate(k).hasValue())",message="annotations must have keys like example.com/name"
	// +kubebuilder:validation:XValidation:rule="self.all(k, self[k].size() <= 4096)",message="annotations must have values of at most 4096 characters"
	Annotations map[string]string `json:"annotations,omitempty"`
}

// GatewayTemplate is what cannot be derived of a Bridge's HTTPRoute.
type GatewayTemplate struct {
	// ParentRefs are the Gateways that the route attaches to. Whether one lets
	// it in is up to the allowedRoutes of its listeners.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.name == b.name && (has(a.__namespace__) ? a.__namespace__ : '') == (has(b.__namespace__) ? b.__namespace__ : '') && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))",message="parentRefs must differ in name, namespace or sectionName"
	// +listType=atomic
	ParentRefs []GatewayReference `json:"parentRefs"`

	// Annotations of the HTTPRoute, e.g. of external-dns.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 253 && !format.qualifiedName().validate(k).hasValue())",message="annotations must have keys like example.com/name"
	// +kubebuilder:validation:XValidation:rule="self.all(k, self[k].size() <= 4096)",message="annotations must have values of at most 4096 characters"
	Annotations map[string]string `json:"annotations,omitempty"`
}

// GatewayReference names a Gateway, or one of its listeners.
type GatewayReference struct {
	// Name of the Gateway, which must let routes of this namespace in.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="name must be the name of a Gateway"
	Name string `json:"name"`

	// Namespace of the Gateway; the Bridge's own when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="namespace must be the name of a namespace"
	Namespace string `json:"namespace,omitempty"`

	// SectionName is the listener; every listener that serves the host of
	// publicURL when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="sectionName must be the name of a listener"
	SectionName string `json:"sectionName,omitempty"`
}

// Egress is what a Bridge's pods may connect to.
type Egress struct {
	// CIDRs that the NetworkPolicy opens; when left out, everything but the
	// private ranges, plus what platformEndpoints name by address.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=49
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a CIDR like 203.0.113.0/24, with no bits beyond the prefix"
	// +listType=set
	CIDRs []string `json:"cidrs,omitempty"`

	// AllowPrivateHosts lets hosts that Channels name themselves (media, mail
	// servers) be in private address ranges.
	// +optional
	AllowPrivateHosts bool `json:"allowPrivateHosts,omitempty"`
}

// BridgeStatus is what is really there.
type BridgeStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Accepted, ResolvedRefs, StoreReachable, UpgradePending,
	// Reconciling, Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Replicas is how many pods there are, for the scale subresource.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`

	// ReadyReplicas is how many of them serve.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas,omitempty"`

	// Selector of the pods, for the scale subresource.
	// +optional
	Selector string `json:"selector,omitempty"`

	// Channels is how many Channels are attached.
	// +optional
	Channels int32 `json:"channels,omitempty"`

	// Store is the namespace/name of the ConversationStore in use.
	// +optional
	Store string `json:"store,omitempty"`

	// ServiceURL of the webhook listener within the cluster.
	// +optional
	ServiceURL string `json:"serviceURL,omitempty"`
}

// Bridge is a set of bridge pods: they take webhooks in, poll, and send.
// Channels attach to it; many share one.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:resource:shortName=br,categories=bridgekeeper
// +kubebuilder:selectablefield:JSONPath=`.status.store`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Serving",type=integer,JSONPath=`.status.readyReplicas`
// +kubebuilder:printcolumn:name="Channels",type=integer,JSONPath=`.status.channels`
// +kubebuilder:printcolumn:name="Store",type=string,JSONPath=`.status.store`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be at most 40 lower-case letters, digits and dashes, and begin with a letter: the names of pods and Services are made of it"
type Bridge struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec BridgeSpec `json:"spec"`
	// A fresh object says that nothing was observed yet, so that GitOps tools
	// do not take it for healthy before the operator has seen it.
	// +kubebuilder:default={"observedGeneration":-1}
	Status BridgeStatus `json:"status,omitempty"`
}

// BridgeList is a list of Bridges.
// +kubebuilder:object:root=true
type BridgeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Bridge `json:"items"`
}
