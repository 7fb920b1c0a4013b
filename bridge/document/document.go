package document

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// SchemaVersion is the major version of the documents this code writes and
// reads. Fields may be added within it; a changed meaning needs a new one.
const SchemaVersion = 1

// MaxShards is how many shard files a pod declares. Each is a Secret of at
// most 1 MiB, so a document is bounded at 16 MiB: 10 000 channels of 1.5 KiB.
const MaxShards = 16

// Kind says whom a document is for.
type Kind string

const (
	KindBridge Kind = "bridge"
	KindStore  Kind = "store"
)

// EntryKind says what an entry describes.
type EntryKind string

const (
	EntryChannel   EntryKind = "Channel"   // in both documents; Spec is Channel or StoreChannel
	EntryTombstone EntryKind = "Tombstone" // bridge document: a deleted channel to unregister; Spec is Tombstone
	EntryBridge    EntryKind = "Bridge"    // store document: a bridge and its rights; Spec is StoreBridge
	EntryToken     EntryKind = "Token"     // store document: a REST token; Spec is Token

	// Routing, all of it in store documents; names are "namespace/name".
	EntrySchedule      EntryKind = "Schedule"      // business hours; Spec is a schedule.Spec
	EntryAgentQueue    EntryKind = "AgentQueue"    // Spec is a routing.QueueSpec
	EntryBot           EntryKind = "Bot"           // Spec is Bot
	EntryRoutingPolicy EntryKind = "RoutingPolicy" // Spec is a routing.Policy that names everything as "namespace/name"
	EntryWebhook       EntryKind = "Webhook"       // "namespace/policy/webhook", as backendRefs name it; Spec is Webhook

	EntrySurveyCampaign EntryKind = "SurveyCampaign" // store document; Spec is a survey.Campaign that names everything as "namespace/name"
)

// Entry is one resource's part of a document.
type Entry struct {
	Kind EntryKind `json:"kind"`
	// Name is "namespace/name" of the resource (for a Token: of the store, a
	// slash and the token's own name; for a Webhook: of its RoutingPolicy, and so on).
	Name       string `json:"name"`
	Generation int64  `json:"generation"`
	// Hash is of Kind, Name, Generation and Spec: what a pod confirms.
	Hash string          `json:"hash"`
	Spec json.RawMessage `json:"spec"`
}

// Key identifies an entry within a document.
func (e Entry) Key() string { return string(e.Kind) + "/" + e.Name }

// Document is what a pod runs on: settings and entries, checked and decoded.
type Document struct {
	Kind Kind
	Name string // "namespace/name" of the Bridge or ConversationStore
	// Generation is of that resource; Ready of it means that this one is loaded.
	Generation int64
	Hash       string   // of the envelope: changes when anything does
	Shards     []string // hash of each shard in use
	// Editions are what pods confirm that run the document in an older major
	// version beside which it is written. EncodeAll sets it.
	Editions []Edition
	Settings json.RawMessage
	Entries  []Entry
	// Damaged are entries whose content does not match their hash: like all bad
	// entries they keep their last good version. Who loads the document notes in
	// RunningHash what that is. Decode fills it and returns the same slice.
	Damaged []Exception
}

// Sort puts the entries in the order that Find and Encode want: by Key.
func (d *Document) Sort() {
	slices.SortFunc(d.Entries, func(a, b Entry) int { return compareEntries(a.Kind, a.Name, b.Kind, b.Name) })
}

// Find looks an entry up in a sorted document (a decoded one is).
func (d *Document) Find(kind EntryKind, name string) (Entry, bool) {
	if d == nil {
		return Entry{}, false
	}
	i, found := slices.BinarySearchFunc(d.Entries, name, func(e Entry, name string) int {
		return compareEntries(e.Kind, e.Name, kind, name)
	})
	if !found {
		return Entry{}, false
	}
	return d.Entries[i], true
}

// compareEntries orders as comparing Keys would (no kind is the beginning of
// another), without making them.
func compareEntries(kindA EntryKind, nameA string, kindB EntryKind, nameB string) int {
	return cmp.Or(strings.Compare(string(kindA), string(kindB)), strings.Compare(nameA, nameB))
}

// BridgeSettings are the Settings of a bridge document.
type BridgeSettings struct {
	// StoreURL is the base URL of the store's internal API.
	StoreURL string `json:"storeURL"`
	// PublicURL is where platforms reach this bridge, without a trailing slash; empty: webhooks cannot be registered.
	PublicURL string `json:"publicURL,omitempty"`
	// PlatformEndpoints are base URLs that replace the platforms' own (proxies, test doubles), by platform.
	PlatformEndpoints map[string]string `json:"platformEndpoints,omitempty"`
	// AllowPrivateHosts lets hosts that a Channel names itself be in private address ranges.
	AllowPrivateHosts bool `json:"allowPrivateHosts,omitempty"`
}

// Channel is the Spec of a Channel entry in a bridge document.
type Channel struct {
	// UID tells a recreated Channel from the one before it.
	UID      string `json:"uid,omitempty"`
	Platform string `json:"platform"`
	// Account is the platform's id of the account: bot id, page id, number.
	Account string `json:"account"`
	// App is the platform's id of the app that the account is reached through,
	// where a platform has one webhook URL per app (Messenger, Instagram).
	App string `json:"app,omitempty"`
	// Suspended stops sending, polling and duties; inbound is still stored.
	Suspended bool `json:"suspended,omitempty"`
	// Receive is how messages arrive; one of the platform's capabilities.
	Receive Receive `json:"receive"`
	// WebhookURL is the full public URL to register; empty when there is none.
	WebhookURL string `json:"webhookURL,omitempty"`
	// RegisterWebhook says that every serving pod has loaded this channel, so
	// that registration may start: a platform's handshake may hit any of them.
	RegisterWebhook bool `json:"registerWebhook,omitempty"`
	// Registered says that WebhookURL was registered at the platform before, so
	// that another URL there is somebody else's doing and is left alone, also by
	// a pod that was not there then.
	Registered bool `json:"registered,omitempty"`
	// FormerWebhookURL is a URL that this Channel registered at the platform and
	// that no longer is its WebhookURL: it receives by Polling now, its Bridge has
	// lost the public URL, or it is another Bridge's. What stands at the platform
	// with this very URL is its own, to be removed or replaced. It is kept until a
	// webhook may be registered again (RegisterWebhook).
	FormerWebhookURL string `json:"formerWebhookURL,omitempty"`
	// Credentials are the values in force, by the platform's fixed key names.
	Credentials map[string]string `json:"credentials"`
	// PreviousCredentials still verify inbound requests until their time is over.
	PreviousCredentials []PreviousCredentials `json:"previousCredentials,omitempty"`
	// RotatingUntil is set where the secret of the channel's app was replaced: for
	// how long other channels of the app may not have the new one yet. It does not
	// depend on PreviousCredentials, of which there are none after a leak.
	RotatingUntil time.Time `json:"rotatingUntil,omitzero"`
	// CredentialsSince is when Credentials were first seen, where they end some time
	// later and the platform does not tell when (Instagram Login).
	CredentialsSince time.Time `json:"credentialsSince,omitzero"`
	// Config is the platform's typed block: options and profile.
	Config json.RawMessage `json:"config,omitempty"`
	Limits Limits          `json:"limits,omitzero"`
}

// Receive is how a channel's messages arrive.
type Receive string

const (
	ReceiveWebhook Receive = "webhook"
	ReceivePolling Receive = "polling"
)

// PreviousCredentials are rotated-out values, valid for verification only.
type PreviousCredentials struct {
	Values map[string]string `json:"values"`
	Until  time.Time         `json:"until"`
}

// Defaults of Limits where the platform has no say.
const (
	// DefaultInboundPerSecond is the highest rate that a platform lets one account
	// be written to (Messenger: 300 texts a second per page), which customers do
	// not exceed for long either. What is refused with 429 comes again.
	DefaultInboundPerSecond = 300
	// DefaultMaxMediaBytes is 64 MiB: more than all but long videos need.
	DefaultMaxMediaBytes = 64 << 20
)

// Limits bound what a channel takes in and sends. Zero: the default.
type Limits struct {
	// InboundPerSecond bounds verified webhook requests.
	InboundPerSecond int `json:"inboundPerSecond,omitempty"`
	// OutboundPerSecond bounds sends; the platform's own limit by default.
	OutboundPerSecond int `json:"outboundPerSecond,omitempty"`
	// MaxMediaBytes bounds a fetched attachment; larger ones become unavailable.
	MaxMediaBytes int64 `json:"maxMediaBytes,omitempty"`
}

// Tombstone is the Spec of a Tombstone entry: what it takes to undo the
// platform side of a Channel that is being deleted.
type Tombstone struct {
	UID      string `json:"uid"`
	Platform string `json:"platform"`
	Account  string `json:"account"`
	App      string `json:"app,omitempty"`
	// LastOfApp says that no Channel of this app is left, so that the app's own
	// subscription goes as well.
	LastOfApp   bool              `json:"lastOfApp,omitempty"`
	WebhookURL  string            `json:"webhookURL,omitempty"`
	Credentials map[string]string `json:"credentials"`
}

// StoreSettings are the Settings of a store document. Zero durations: keep for ever.
type StoreSettings struct {
	Retention Retention `json:"retention"`
	// ReopenWindow: a message within it reopens a solved conversation; after it
	// a follow-up conversation begins that links back.
	ReopenWindow Duration `json:"reopenWindow"`
	// Database changes when what a postgres store connects with does. Pods need
	// not look at it: it makes the document another one, so that a kubelet that
	// is slow with the files is touched until it has caught up.
	Database string `json:"database,omitempty"`
	// AllowPrivateHosts lets bots and webhooks be in private address ranges.
	AllowPrivateHosts bool `json:"allowPrivateHosts,omitempty"`
}

// Retention is how long the store keeps what.
type Retention struct {
	Messages Duration `json:"messages,omitempty"`
	Raw      Duration `json:"raw,omitempty"`
	Events   Duration `json:"events,omitempty"`
	Media    Duration `json:"media,omitempty"`
}

// StoreChannel is the Spec of a Channel entry in a store document.
type StoreChannel struct {
	UID      string `json:"uid,omitempty"`
	Platform string `json:"platform"`
	Account  string `json:"account"`
	App      string `json:"app,omitempty"`
	// Bridge is the "namespace/name" of the one Bridge that may touch it.
	Bridge    string  `json:"bridge"`
	Receive   Receive `json:"receive"`
	Suspended bool    `json:"suspended,omitempty"`
	// ReopenWindow of this channel; nil: the store's.
	ReopenWindow *Duration `json:"reopenWindow,omitempty"`
	// DefaultLanguage of its contacts (BCP 47), as long as nothing is known of one.
	DefaultLanguage string `json:"defaultLanguage,omitempty"`
	// OutboundPerSecond bounds sends; 0: the platform's limit.
	OutboundPerSecond int `json:"outboundPerSecond,omitempty"`
	// AgentWindow lets people answer beyond the platform's messaging window, as
	// long as its capabilities say (Messenger: the HUMAN_AGENT tag, 7 days).
	AgentWindow bool `json:"agentWindow,omitempty"`
	// ResendUnknown sends a part again whose outcome is unknown after a crash.
	ResendUnknown bool `json:"resendUnknown,omitempty"`
	// AwayUntil is set while the Channel is there but leads to no Bridge, or to
	// none with this store: it is Suspended, and until then what its former Bridge
	// receives for its account without knowing the channel is refused, so that the
	// platform sends it again. Zero otherwise.
	AwayUntil time.Time `json:"awayUntil,omitzero"`
	// Deleting: queued sends are cancelled; only the bridge's last duties remain.
	Deleting bool `json:"deleting,omitempty"`
	// Policies are the RoutingPolicies that are attached and permitted, in the
	// order in which they are asked: by priority, then by name. None: nothing is
	// routed.
	Policies []string `json:"policies,omitempty"`
}

// StoreBridge is the Spec of a Bridge entry: who may call the internal API.
// Its rights follow from the Channel entries that name it.
type StoreBridge struct {
	// Identity is the URI SAN of its client certificate.
	Identity string `json:"identity"`
}

// TokenAccess is what a REST token may do; each includes the one before.
type TokenAccess string

const (
	AccessRead  TokenAccess = "read"
	AccessWrite TokenAccess = "write"
	AccessAdmin TokenAccess = "admin"
)

// Token is the Spec of a Token entry. The token itself is never in a document.
type Token struct {
	// Hashes of the values that are accepted. The operator writes the one in
	// force; others may stand beside it until their Until.
	Hashes     []TokenHash `json:"hashes"`
	Namespaces []string    `json:"namespaces"` // "*" is every namespace of the store
	Access     TokenAccess `json:"access"`
}

// TokenHash is the hex SHA-256 of a token. Tokens are random and at least 32
// characters (checked at compile), so a plain hash cannot be searched.
type TokenHash struct {
	SHA256 string     `json:"sha256"`
	Until  *time.Time `json:"until,omitempty"`
}
