package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConversationStoreSpec is where conversations live and who may get at them.
// +kubebuilder:validation:XValidation:rule="!has(self.sqlite) || !has(self.postgres)",message="sqlite and postgres exclude each other: a store has one backend"
// +kubebuilder:validation:XValidation:rule="has(self.postgres) == has(oldSelf.postgres)",message="the backend is immutable: conversations do not move by themselves; make another ConversationStore and name it in storeRef"
type ConversationStoreSpec struct {
	// Suspend pauses reconciling of this store. What runs goes on running.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// SQLite keeps conversations in one pod on one volume: the backend in use
	// when none is named.
	// +optional
	SQLite *SQLiteBackend `json:"sqlite,omitempty"`

	// Postgres keeps conversations, media included, in a PostgreSQL database
	// that any number of pods share.
	// +optional
	Postgres *PostgresBackend `json:"postgres,omitempty"`

	// Retention is how long things are kept. What is left out has the default
	// that status.effective shows.
	// +optional
	Retention *Retention `json:"retention,omitempty"`

	// ReopenWindow: a message within this time of a conversation's end reopens
	// it; a later one begins a follow-up that links back. 24h when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	ReopenWindow *metav1.Duration `json:"reopenWindow,omitempty"`

	// API is who may use the REST API.
	// +optional
	API *StoreAPI `json:"api,omitempty"`

	// AllowedBridges is which namespaces' Bridges may use this store; only its
	// own namespace when left out.
	// +optional
	AllowedBridges *AllowedNamespaces `json:"allowedBridges,omitempty"`

	// Egress lets the pods call the webhooks of Bots and RoutingPolicies. When left
	// out they call nobody but the database.
	// +optional
	Egress *StoreEgress `json:"egress,omitempty"`

	// Resources of the store's container.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="resources.claims are not supported: the pods have no resource claims"
	// +kubebuilder:validation:XValidation:rule="(!has(self.limits) || self.limits.size() <= 16) && (!has(self.requests) || self.requests.size() <= 16)",message="resources can have at most 16 limits and 16 requests"
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}

// StoreEgress is what a store's pods may connect to, beside the database.
type StoreEgress struct {
	// CIDRs that the NetworkPolicy opens; when left out, everything but the
	// private ranges.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=49
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a CIDR like 203.0.113.0/24, with no bits beyond the prefix"
	// +listType=set
	CIDRs []string `json:"cidrs,omitempty"`

	// AllowPrivateHosts lets webhooks be in private address ranges, such as
	// Services of this cluster.
	// +optional
	AllowPrivateHosts bool `json:"allowPrivateHosts,omitempty"`
}

// SQLiteBackend is the embedded database.
type SQLiteBackend struct {
	// StorageSize of the volume; 10Gi when left out. It can grow where the
	// storage class allows it; no volume can shrink.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="storageSize must be more than nothing, like 10Gi"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",message="storageSize cannot shrink: no volume can"
	StorageSize *resource.Quantity `json:"storageSize,omitempty"`

	// StorageClassName of the volume; the cluster's default class when left
	// out. The class must not be a network file system (NFS, SMB): SQLite's
	// locks do not hold there, and the store refuses to start.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="storageClassName must be the name of a StorageClass"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="storageClassName is immutable: a volume cannot change its class"
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// PostgresBackend is a PostgreSQL database (15 or later).
type PostgresBackend struct {
	// DSNSecretRef names a Secret in the store's namespace with the label
	// bridgekeeper.dev/credentials=true. Its key "dsn" has the connection string,
	// like postgres://user:password@db.example.com:5432/bridgekeeper?sslmode=verify-full.
	// For TLS it may have "ca.crt" (whom to trust; then sslmode is verify-full
	// unless the connection string says otherwise), and "tls.crt" with "tls.key"
	// (the client's own) beside it. A changed Secret is in force in seconds,
	// without a restart.
	DSNSecretRef SecretReference `json:"dsnSecretRef"`

	// Replicas is how many pods serve; 2 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Replicas *int32 `json:"replicas,omitempty"`

	// Port of the database, which the NetworkPolicy opens; 5432 when left out.
	// It must be the port in the connection string.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// Retention is how long a store keeps what. Zero keeps for ever.
type Retention struct {
	// Messages and conversations; for ever when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Messages *metav1.Duration `json:"messages,omitempty"`

	// Raw payloads of the platforms, for replay; 168h when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Raw *metav1.Duration `json:"raw,omitempty"`

	// Events of the change log, which bounds how far back a cursor can
	// resume; 720h when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Events *metav1.Duration `json:"events,omitempty"`

	// Media of messages; as long as messages when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Media *metav1.Duration `json:"media,omitempty"`
}

// StoreAPI is the access to the REST API.
type StoreAPI struct {
	// Tokens that may be used as bearer tokens.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Tokens []APIToken `json:"tokens,omitempty"`
}

// APIAccess is what a token may do; each includes the one before.
// +kubebuilder:validation:Enum=Read;Write;Admin
type APIAccess string

const (
	// APIAccessRead reads conversations, messages, contacts, events and media.
	APIAccessRead APIAccess = "Read"
	// APIAccessWrite sends, assigns, resolves and snoozes as well.
	APIAccessWrite APIAccess = "Write"
	// APIAccessAdmin reads and replays the raw journal as well.
	APIAccessAdmin APIAccess = "Admin"
)

// APIToken is one bearer token of the REST API. Its Secret, in the store's
// namespace with the label bridgekeeper.dev/credentials=true, has it under the
// key "token": at least 32 characters, drawn at random.
type APIToken struct {
	// Name of the token, for people; messages that it sends carry it as their author.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// SecretRef names the Secret with the token, under the key token.
	SecretRef SecretReference `json:"secretRef"`

	// Namespaces whose conversations it opens; "*" stands for all of this store.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self == '*' || !format.dns1123Label().validate(self).hasValue()",message="must be the name of a namespace, or * for all of this store"
	// +listType=set
	Namespaces []string `json:"namespaces"`

	// Access is Read, Write (which includes Read), or Admin (which includes Write).
	Access APIAccess `json:"access"`
}

// ConversationStoreStatus is what is really there.
type ConversationStoreStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Accepted, ResolvedRefs, DatabaseReachable, StorageLow,
	// UpgradePending, Reconciling, Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Backend is the kind of database: sqlite or postgres.
	// +optional
	Backend string `json:"backend,omitempty"`

	// URL of the REST API within the cluster.
	// +optional
	URL string `json:"url,omitempty"`

	// Bridges is how many Bridges use this store.
	// +optional
	Bridges int32 `json:"bridges,omitempty"`

	// Channels is how many Channels keep their conversations here.
	// +optional
	Channels int32 `json:"channels,omitempty"`

	// Effective are the values in force, defaults included.
	// +optional
	Effective *EffectiveStore `json:"effective,omitempty"`
}

// EffectiveStore are a store's values in force.
type EffectiveStore struct {
	// StorageSize of the volume; of sqlite only.
	// +optional
	StorageSize string `json:"storageSize,omitempty"`

	// Replicas is how many pods serve; of postgres only.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`

	// Port of the database; of postgres only.
	// +optional
	Port int32 `json:"port,omitempty"`

	// ReopenWindow of channels that name none of their own.
	// +optional
	ReopenWindow string `json:"reopenWindow,omitempty"`

	// RetentionMessages is how long messages are kept, or "forever".
	// +optional
	RetentionMessages string `json:"retentionMessages,omitempty"`

	// RetentionRaw is how long raw payloads are kept, or "forever".
	// +optional
	RetentionRaw string `json:"retentionRaw,omitempty"`

	// RetentionEvents is how long events are kept, or "forever".
	// +optional
	RetentionEvents string `json:"retentionEvents,omitempty"`

	// RetentionMedia is how long media are kept, or "forever".
	// +optional
	RetentionMedia string `json:"retentionMedia,omitempty"`
}

// ConversationStore is where conversations live: contacts, messages, receipts,
// and the REST API to them.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=cst,categories=bridgekeeper
// +kubebuilder:selectablefield:JSONPath=`.status.backend`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Backend",type=string,JSONPath=`.status.backend`
// +kubebuilder:printcolumn:name="Channels",type=integer,JSONPath=`.status.channels`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be at most 40 lower-case letters, digits and dashes, and begin with a letter: the names of pods and Services are made of it"
type ConversationStore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec ConversationStoreSpec `json:"spec"`
	// A fresh object says that nothing was observed yet, so that GitOps tools
	// do not take it for healthy before the operator has seen it.
	// +kubebuilder:default={"observedGeneration":-1}
	Status ConversationStoreStatus `json:"status,omitempty"`
}

// ConversationStoreList is a list of ConversationStores.
// +kubebuilder:object:root=true
type ConversationStoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ConversationStore `json:"items"`
}

// The backends, as they stand in status.backend.
const (
	// BackendSQLite is the embedded database.
	BackendSQLite = "sqlite"
	// BackendPostgres is a PostgreSQL database.
	BackendPostgres = "postgres"
)

// Backend is the kind of database that the spec asks for.
func (s *ConversationStore) Backend() string {
	if s.Spec.Postgres != nil {
		return BackendPostgres
	}
	return BackendSQLite
}
