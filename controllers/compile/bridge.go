package compile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

type bridgeState struct {
	key      Key
	bridge   *v1alpha1.Bridge
	allow    allowList
	store    *storeState // nil while the reference does not lead to one
	previous *document.Document
	before   entryIndex
	entries  []document.Entry
	result   *BridgeResult
}

// bridgeInput is what a Bridge's checks look at.
type bridgeInput struct {
	*bridgeState
	ref            target
	createDefaults bool
}

// target is where a reference leads.
type target struct {
	field     string
	kind      string
	key       Key
	from      string // namespace of the referrer
	defaulted bool   // the reference was left out
	exists    bool
	permitted bool
	allowing  string // field of the target with the allow-list
	referrers string // what the allow-list lets in, plural
}

func newTarget(field, kind, namespace string, ref *v1alpha1.ObjectReference) target {
	t := target{field: field, kind: kind, from: namespace, defaulted: ref == nil}
	t.key = Key{Namespace: namespace, Name: v1alpha1.DefaultName}
	if ref != nil {
		t.key.Name = ref.Name
		if ref.Namespace != "" {
			t.key.Namespace = ref.Namespace
		}
	}
	return t
}

func (t target) usable() bool { return t.exists && t.permitted }

// check is the finding about a reference. Across namespaces it is the same
// whether the target is not there or does not let the referrer in.
func (t target) check(createDefaults bool) *Finding {
	switch {
	case t.usable():
		return nil
	case t.key.Namespace != t.from:
		return missing(v1alpha1.ReasonRefNotPermitted, t.field, fmt.Sprintf(
			"there is no %s %s that lets %s of namespace %q in; check the name, and ask its owner to allow the namespace in its %s",
			t.kind, t.key, t.referrers, t.from, t.allowing))
	case t.exists:
		return missing(v1alpha1.ReasonRefNotPermitted, t.field, fmt.Sprintf(
			"%s %s does not let %s of its own namespace in; add the namespace to its %s", t.kind, t.key, t.referrers, t.allowing))
	case t.defaulted && createDefaults:
		return passing(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonProgressing, t.field,
			fmt.Sprintf("is left out, and the %s %s that stands for it is being made", t.kind, t.key))
	case t.defaulted:
		return missing(v1alpha1.ReasonRefNotFound, t.field, fmt.Sprintf(
			"is left out, and there is no %s %s that would stand for it; make one, or name another", t.kind, t.key))
	default:
		return missing(v1alpha1.ReasonRefNotFound, t.field, fmt.Sprintf("there is no %s %s; make it, or correct the name", t.kind, t.key))
	}
}

func (c *compiler) resolveBridges() {
	for _, b := range sorted(c.Bridges) {
		key := keyOf(b)
		br := &bridgeState{
			key:      key,
			bridge:   b,
			allow:    newAllowList(b.Namespace, b.Spec.AllowedChannels),
			previous: c.PreviousBridges[key],
			result:   &BridgeResult{},
		}
		br.before = indexEntries(br.previous)
		c.bridges[key], c.result.Bridges[key] = br, br.result
		in := bridgeInput{bridgeState: br, ref: c.storeTarget(br), createDefaults: c.opts.CreateDefaults}
		if in.ref.usable() {
			br.store = c.stores[in.ref.key]
			br.result.Store = br.store.key
			br.store.result.Bridges++
			br.store.add(document.EntryBridge, key.String(), b.Generation, document.StoreBridge{
				Identity: wire.BridgeIdentity(b.Namespace, b.Name),
			})
		} else if in.ref.defaulted && !in.ref.exists && b.DeletionTimestamp.IsZero() {
			c.wantDefault(kindStore, b.Namespace)
		}
		br.result.Findings = collect(in, bridgeChains)
	}
}

var bridgeChains = [][]func(bridgeInput) *Finding{
	{func(in bridgeInput) *Finding { return selectorUsable("spec.allowedChannels.selector", in.allow) }},
	{func(in bridgeInput) *Finding { return in.ref.check(in.createDefaults) }},
}

func (c *compiler) storeTarget(br *bridgeState) target {
	t := newTarget("spec.storeRef", kindStore, br.key.Namespace, br.bridge.Spec.StoreRef)
	t.allowing, t.referrers = "spec.allowedBridges", "Bridges"
	if st := c.stores[t.key]; st != nil {
		t.exists = true
		t.permitted = c.permits(st.allow, t.from, st.before.get(document.EntryBridge, br.key.String()) != nil)
	}
	return t
}

// finishBridges makes the documents.
func (c *compiler) finishBridges() {
	for _, key := range slices.SortedFunc(maps.Keys(c.bridges), compareKeys) {
		br := c.bridges[key]
		settings, ok := c.bridgeSettings(br)
		if !ok {
			continue
		}
		doc := &document.Document{
			Kind:       document.KindBridge,
			Name:       key.String(),
			Generation: br.bridge.Generation,
			Settings:   mustJSON(settings),
			Entries:    br.entries,
		}
		doc.Sort()
		br.result.Document = doc
	}
}

// bridgeSettings are what concerns all channels. While the store's reference is
// broken the bridge goes on with the store that it had: the store itself
// refuses who is not allowed any more. false: it never had one.
func (c *compiler) bridgeSettings(br *bridgeState) (document.BridgeSettings, bool) {
	s := document.BridgeSettings{
		PublicURL:         br.bridge.Spec.PublicURL,
		AllowPrivateHosts: br.bridge.Spec.Egress != nil && br.bridge.Spec.Egress.AllowPrivateHosts,
	}
	for _, e := range br.bridge.Spec.PlatformEndpoints {
		if s.PlatformEndpoints == nil {
			s.PlatformEndpoints = map[string]string{}
		}
		s.PlatformEndpoints[string(e.Platform)] = e.URL
	}
	if br.store != nil {
		s.StoreURL = c.opts.StoreURL(br.store.key.Namespace, br.store.key.Name)
		return s, true
	}
	if br.previous == nil {
		return s, false
	}
	var before document.BridgeSettings
	if err := json.Unmarshal(br.previous.Settings, &before); err != nil {
		return s, false
	}
	s.StoreURL = before.StoreURL
	return s, true
}
