package compile

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

// Key is the namespace and name of a resource.
type Key = types.NamespacedName

// Snapshot is all that a compilation looks at. Nothing in it is changed.
type Snapshot struct {
	Stores   []*v1alpha1.ConversationStore
	Bridges  []*v1alpha1.Bridge
	Channels []*v1alpha1.Channel
	// Schedules, AgentQueues, Bots and Policies (RoutingPolicies) are routing's.
	Schedules   []*v1alpha1.Schedule
	AgentQueues []*v1alpha1.AgentQueue
	Bots        []*v1alpha1.Bot
	Policies    []*v1alpha1.RoutingPolicy
	// Campaigns are SurveyCampaigns.
	Campaigns []*v1alpha1.SurveyCampaign
	// Secrets with the credentials label; others are ignored.
	Secrets []*corev1.Secret
	// Namespaces are the labels of namespaces by name. One that is missing (the
	// operator may not read namespaces) has only the label that every namespace
	// has, kubernetes.io/metadata.name.
	Namespaces map[string]map[string]string

	// PreviousBridges and PreviousStores are the documents that are written.
	PreviousBridges map[Key]*document.Document
	PreviousStores  map[Key]*document.Document
	// Fleets are the serving pods of each Bridge.
	Fleets map[Key]*fleet.Fleet
}

// Options are what does not change while a process runs. The zero value works
// in no place: Platforms and StoreURL are needed.
type Options struct {
	// Platforms are the facts of the platforms that this version knows, by name.
	Platforms func(name string) (platform.Capabilities, bool)
	// StoreURL is the base URL of a store's internal API.
	StoreURL func(namespace, name string) string
	// CreateDefaults lists missing default Bridges and ConversationStores for creation.
	CreateDefaults bool
	// RegisterAtOnce is for a single process that is all of its Bridges: there
	// are no other pods to wait for.
	RegisterAtOnce bool
	// Programs remembers compiled policies and campaigns; nil: each compilation does it anew.
	Programs *Programs
}

// Result is what a snapshot comes to. It has an element for every resource of
// the snapshot.
type Result struct {
	Stores   map[Key]*StoreResult
	Bridges  map[Key]*BridgeResult
	Channels map[Key]*ChannelResult

	Schedules   map[Key]*ScheduleResult
	AgentQueues map[Key]*BackendResult
	Bots        map[Key]*BackendResult
	Policies    map[Key]*PolicyResult
	Campaigns   map[Key]*BackendResult
	// CreateDefaults are the objects to make, sorted: ConversationStores first.
	CreateDefaults []Default
	// NextChange is when the same snapshot compiles to something else (an
	// overlap is over); zero: never.
	NextChange time.Time
}

// Default is a default object that is used and missing.
type Default struct {
	Kind      string // "ConversationStore" or "Bridge"
	Namespace string
}

// StoreResult is a ConversationStore's part of a Result.
type StoreResult struct {
	Findings []Finding
	// Document without Hash and Shards, which Encode sets; nil while nothing
	// valid can be said, and what is written stays.
	Document *document.Document
	Bridges  int32 // how many use it
	Channels int32 // how many keep their conversations in it
	// Effective are the durations in force; nil while the spec is invalid.
	Effective *v1alpha1.EffectiveStore
	// Database is what the pods of a postgres store connect with, by file name
	// (dsn, ca.crt, tls.crt, tls.key); nil while a finding says why there is
	// nothing new, and what the pods have stays.
	Database map[string]string
}

// BridgeResult is a Bridge's part of a Result.
type BridgeResult struct {
	Findings []Finding
	// Document as in StoreResult; nil while the Bridge never had a store.
	Document *document.Document
	// Store that it uses; zero while the reference does not lead to one.
	Store      Key
	Channels   int32 // attached and in the document
	Tombstones int32 // webhooks that are still to be removed
}

// ChannelResult is a Channel's part of a Result.
type ChannelResult struct {
	Findings []Finding
	// Bridge and Store that it uses; zero while the references do not lead there.
	Bridge Key
	Store  Key
	// Waits is the store that goes on with the Channel, suspended, while it leads
	// into none; zero when there is nothing to wait for.
	Waits Key
	// Entry in the Bridge's document: a Channel, a Tombstone, or nil.
	Entry *document.Entry
	// LastGood says that the entry has, because of a finding, not all that the
	// spec and the Secret say now.
	LastGood bool
	// Rotated says that the credentials differ from the previous document's.
	Rotated    bool
	Account    string
	Receive    v1alpha1.ReceiveMode
	WebhookURL string // empty when no webhook is used
	// FormerWebhookURL is a webhook that the Channel registered before and that
	// may still stand; empty when there is none.
	FormerWebhookURL string
	// Policies in force on it, in the order in which they are asked.
	Policies []string
	// Effective are the values in force; nil while the spec is invalid and its
	// last good version goes on, or while the Channel is being deleted.
	Effective *v1alpha1.EffectiveChannel
}

// Tombstone says whether the channel's webhook is still to be removed.
func (r *ChannelResult) Tombstone() bool {
	return r != nil && r.Entry != nil && r.Entry.Kind == document.EntryTombstone
}

// Blocking is the first finding that keeps the Channel from being Ready, or nil.
func (r *ChannelResult) Blocking() *Finding { return firstBlocking(r.Findings) }

// Blocking is the first finding that keeps the Bridge from being Ready, or nil.
func (r *BridgeResult) Blocking() *Finding { return firstBlocking(r.Findings) }

// Blocking is the first finding that keeps the store from being Ready, or nil.
func (r *StoreResult) Blocking() *Finding { return firstBlocking(r.Findings) }

// Object is the default object as it is created: labelled, without an owner,
// so that nothing garbage-collects conversations, and with an empty spec.
func (d Default) Object() client.Object {
	meta := metav1.ObjectMeta{
		Namespace: d.Namespace,
		Name:      v1alpha1.DefaultName,
		Labels:    map[string]string{v1alpha1.AutoCreatedLabel: "true"},
	}
	typ := metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: d.Kind}
	if d.Kind == kindStore {
		return &v1alpha1.ConversationStore{TypeMeta: typ, ObjectMeta: meta}
	}
	return &v1alpha1.Bridge{TypeMeta: typ, ObjectMeta: meta}
}

const (
	kindStore  = "ConversationStore"
	kindBridge = "Bridge"
)
