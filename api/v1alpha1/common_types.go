package v1alpha1

const (
	// DefaultName is the name of the Bridge and the ConversationStore that a
	// resource without a reference uses.
	DefaultName = "default"

	// CredentialsLabel with the value "true" marks a Secret that Channels,
	// ConversationStores, Bots and RoutingPolicies of its namespace may use. Without it a Secret is
	// never read: who may create Channels but not read Secrets cannot aim one
	// at any Secret.
	CredentialsLabel = "bridgekeeper.dev/credentials"

	// CredentialsInternal is the value of CredentialsLabel on the operator's own
	// Secrets: one label, so that one cache holds all Secrets that it needs and
	// no other, and another value, so that no Channel can be aimed at them.
	CredentialsInternal = "internal"

	// AutoCreatedLabel marks the default Bridge and ConversationStore that the
	// operator made on first use.
	AutoCreatedLabel = "bridgekeeper.dev/auto-created"

	// FinalizerDuties holds a Channel until its webhook is removed at the
	// platform, a Bridge while it has such work left, and a ConversationStore
	// while Bridges use it.
	FinalizerDuties = "bridgekeeper.dev/duties"
)

// ObjectReference names a resource of a kind that is given by the field.
type ObjectReference struct {
	// Name of the resource that is referred to.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// Namespace of the resource; the referrer's own when empty. Another
	// namespace works only when the resource's allow-list lets this one in.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
}

// SecretReference names a Secret in the referrer's own namespace that carries
// the label bridgekeeper.dev/credentials=true.
type SecretReference struct {
	// Name of the Secret; it is in the namespace of the resource that refers to it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// FromNamespaces says which namespaces an allow-list lets in.
// +kubebuilder:validation:Enum=Same;All;Selector
type FromNamespaces string

const (
	// FromSame lets the resource's own namespace in.
	FromSame FromNamespaces = "Same"
	// FromAll lets every namespace in.
	FromAll FromNamespaces = "All"
	// FromSelector lets in the namespaces whose labels match.
	FromSelector FromNamespaces = "Selector"
)

// AllowedNamespaces is an allow-list of namespaces on the target of a reference.
// +kubebuilder:validation:XValidation:rule="self.from == 'Selector' ? has(self.selector) : !has(self.selector)",message="selector is required when from is Selector, and forbidden otherwise"
type AllowedNamespaces struct {
	// From is Same (the resource's own namespace), All, or Selector.
	From FromNamespaces `json:"from"`

	// Selector picks namespaces by their labels.
	// +optional
	Selector *LabelSelector `json:"selector,omitempty"`
}
