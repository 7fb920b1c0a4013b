package compile

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Compile turns a snapshot into documents and findings. now decides which
// rotated-out credentials still count.
func Compile(s *Snapshot, opts Options, now time.Time) *Result {
	c := &compiler{
		Snapshot: s,
		opts:     opts,
		now:      now.UTC().Truncate(time.Second), // what JSON keeps, so that a result read back is the same
		secrets:  make(map[Key]*corev1.Secret, len(s.Secrets)),
		stores:   make(map[Key]*storeState, len(s.Stores)),
		bridges:  make(map[Key]*bridgeState, len(s.Bridges)),
		served:   map[servedApp]bool{},
		defaults: map[Default]bool{},
		result: &Result{
			Stores:   make(map[Key]*StoreResult, len(s.Stores)),
			Bridges:  make(map[Key]*BridgeResult, len(s.Bridges)),
			Channels: make(map[Key]*ChannelResult, len(s.Channels)),

			Schedules:   make(map[Key]*ScheduleResult, len(s.Schedules)),
			AgentQueues: make(map[Key]*BackendResult, len(s.AgentQueues)),
			Bots:        make(map[Key]*BackendResult, len(s.Bots)),
			Policies:    make(map[Key]*PolicyResult, len(s.Policies)),
			Campaigns:   make(map[Key]*BackendResult, len(s.Campaigns)),
		},
	}
	c.indexSecrets()
	c.resolveStores()
	c.resolveBridges()
	channels := sorted(s.Channels)
	c.placeTombstones(channels)
	c.decideClaims(channels)
	c.decideApps(channels)
	c.decideAppSecrets(channels)
	c.resolveRouting(channels) // before the Channels: the store is told their policies
	// Those that go come last: then it is known who is the last of an app.
	for _, going := range []bool{false, true} {
		for _, ch := range channels {
			if ch.DeletionTimestamp.IsZero() != going {
				c.result.Channels[keyOf(ch)] = c.channel(ch)
			}
		}
	}
	c.resolveCampaigns() // after the Channels: it needs to know which are served
	c.placeSchedules()
	c.opts.Programs.sweep()
	c.finishBridges()
	c.finishStores()
	c.listDefaults()
	return c.result
}

// compiler is the state of one compilation.
type compiler struct {
	*Snapshot
	opts Options
	now  time.Time

	secrets map[Key]*corev1.Secret
	stores  map[Key]*storeState
	bridges map[Key]*bridgeState
	// tombstones are the bridges that have to remove the webhooks of channels
	// that are being deleted.
	tombstones map[Key]*bridgeState
	// claims is who has each platform account.
	claims map[claim]Key
	// apps is which Bridge has each app, and appSecrets with which credentials.
	apps       map[app]appHolder
	appSecrets map[app]appSecrets
	// served are the apps with a Channel in a Bridge's document.
	served   map[servedApp]bool
	defaults map[Default]bool
	routing  routingState
	result   *Result
}

type object interface {
	GetNamespace() string
	GetName() string
}

func keyOf(o object) Key { return Key{Namespace: o.GetNamespace(), Name: o.GetName()} }

// sorted makes the result independent of the order of the snapshot's lists.
func sorted[T object](objects []T) []T {
	objects = slices.Clone(objects)
	slices.SortFunc(objects, func(a, b T) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return objects
}

// indexSecrets leaves out Secrets without the label, so that nothing further on
// can tell them from Secrets that do not exist.
func (c *compiler) indexSecrets() {
	for _, s := range c.Secrets {
		if s.Labels[v1alpha1.CredentialsLabel] == "true" {
			c.secrets[keyOf(s)] = s
		}
	}
}

// until notes a moment at which the result changes.
func (c *compiler) until(t time.Time) {
	if c.result.NextChange.IsZero() || t.Before(c.result.NextChange) {
		c.result.NextChange = t
	}
}

func (c *compiler) listDefaults() {
	for d := range c.defaults {
		c.result.CreateDefaults = append(c.result.CreateDefaults, d)
	}
	slices.SortFunc(c.result.CreateDefaults, func(a, b Default) int {
		return cmp.Or(cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.Namespace, b.Namespace))
	})
}

// wantDefault notes that the default object of a kind is used in a namespace
// and missing. A Bridge needs a store, so that is made with it.
func (c *compiler) wantDefault(kind, namespace string) {
	if !c.opts.CreateDefaults {
		return
	}
	c.defaults[Default{Kind: kind, Namespace: namespace}] = true
	if kind == kindBridge && c.stores[Key{Namespace: namespace, Name: v1alpha1.DefaultName}] == nil {
		c.defaults[Default{Kind: kindStore, Namespace: namespace}] = true
	}
}

// entryIndex finds entries of a document by Key.
type entryIndex map[string]*document.Entry

func indexEntries(doc *document.Document) entryIndex {
	if doc == nil {
		return nil
	}
	index := make(entryIndex, len(doc.Entries))
	for i := range doc.Entries {
		index[doc.Entries[i].Key()] = &doc.Entries[i]
	}
	return index
}

func (x entryIndex) get(kind document.EntryKind, name string) *document.Entry {
	return x[document.Entry{Kind: kind, Name: name}.Key()]
}
