package compile

import (
	"maps"
	"slices"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

const kindChannel = "Channel"

// Loadable names an entry in the version that pods are to confirm.
type Loadable struct {
	Kind document.EntryKind
	Name string
	Hash string
}

// Key is the entry's Key.
func (l Loadable) Key() string { return document.Entry{Kind: l.Kind, Name: l.Name}.Key() }

func loadable(e document.Entry) Loadable {
	return Loadable{Kind: e.Kind, Name: e.Name, Hash: e.Hash}
}

// routingState is what is known of routing's resources in one compilation.
type routingState struct {
	schedules map[Key]*scheduleState
	queues    map[Key]*queueState
	bots      map[Key]*botState
	// channels that stay, by key and by namespace, and the stores of those that
	// lead to one.
	channels    map[Key]*v1alpha1.Channel
	inNamespace map[string][]*v1alpha1.Channel
	storeOf     map[Key]*storeState
	// tenants are the namespaces with Channels whose conversations are in a store.
	tenants map[*storeState]map[string]bool
	// attached are the policies of each Channel that are in force.
	attached map[Key][]attachment
	// used are the Schedules that entries of a store name.
	used map[*storeState]map[string]bool
}

// resolveRouting decides about Schedules, AgentQueues, Bots and RoutingPolicies,
// and puts all but the Schedules into the stores' documents.
func (c *compiler) resolveRouting(channels []*v1alpha1.Channel) {
	c.routing = routingState{
		schedules: map[Key]*scheduleState{}, queues: map[Key]*queueState{}, bots: map[Key]*botState{},
		channels: map[Key]*v1alpha1.Channel{}, inNamespace: map[string][]*v1alpha1.Channel{}, storeOf: map[Key]*storeState{}, tenants: map[*storeState]map[string]bool{},
		attached: map[Key][]attachment{}, used: map[*storeState]map[string]bool{},
	}
	c.locateChannels(channels)
	c.resolveSchedules()
	c.resolveQueues()
	c.resolveBots()
	c.resolvePolicies()
}

// locateChannels finds out in which stores conversations are.
func (c *compiler) locateChannels(channels []*v1alpha1.Channel) {
	if len(c.AgentQueues)+len(c.Bots)+len(c.Policies)+len(c.Campaigns) == 0 {
		return
	}
	for _, ch := range channels {
		if gone(ch) {
			continue
		}
		key := keyOf(ch)
		c.routing.channels[key] = ch
		c.routing.inNamespace[ch.Namespace] = append(c.routing.inNamespace[ch.Namespace], ch)
		var st *storeState
		if t := c.bridgeTarget(ch); t.usable() {
			st = c.bridges[t.key].store
		}
		if st == nil {
			if st, _ = c.waitsIn(ch); st == nil {
				continue
			}
		}
		c.routing.storeOf[key] = st
		if c.routing.tenants[st] == nil {
			c.routing.tenants[st] = map[string]bool{}
		}
		c.routing.tenants[st][ch.Namespace] = true
	}
}

// routingStore is where the storeRef of an AgentQueue, a Bot or a SurveyCampaign leads. A store
// takes those of the namespaces that its allow-list names, and of those whose
// Channels keep their conversations in it.
func (c *compiler) routingStore(namespace, referrers string, ref *v1alpha1.ObjectReference) (*storeState, *Finding) {
	t := newTarget("spec.storeRef", kindStore, namespace, ref)
	t.allowing, t.referrers = "spec.allowedBridges", referrers
	st := c.stores[t.key]
	if st != nil {
		t.exists = true
		t.permitted = c.permits(st.allow, namespace, false) || c.routing.tenants[st][namespace]
	}
	if !t.usable() {
		// Another resource's default store comes with its Bridge; one that only a
		// queue wants would be a database that nobody asked for.
		return nil, t.check(false)
	}
	return st, nil
}

// use notes that a store needs a Schedule.
func (c *compiler) use(st *storeState, names ...string) {
	if c.routing.used[st] == nil {
		c.routing.used[st] = map[string]bool{}
	}
	for _, name := range names {
		if name != "" {
			c.routing.used[st][name] = true
		}
	}
}

// keep takes an entry over as it was; false when there was none.
func (st *storeState) keep(kind document.EntryKind, name string) (*document.Entry, bool) {
	e := st.before.get(kind, name)
	if e == nil {
		return nil, false
	}
	st.entries = append(st.entries, *e)
	return e, true
}

// last is the entry that was appended last.
func (st *storeState) last() *document.Entry { return &st.entries[len(st.entries)-1] }

func parseKey(name string) Key {
	namespace, name, _ := strings.Cut(name, "/")
	return Key{Namespace: namespace, Name: name}
}

// fieldNames are the fields of the resources where they are called otherwise
// than in the data plane.
var fieldNames = map[string]string{
	"schedule": "scheduleRef", "outOfHours.schedule": "outOfHours.scheduleRef", "outOfHours.bot": "outOfHours.botRef", "name": "metadata.name",
}

// specField is the path of a data plane's field in the resource.
func specField(prefix, field string) string {
	if renamed, ok := fieldNames[field]; ok {
		field = renamed
	}
	if field == "." {
		return strings.TrimSuffix(prefix, ".")
	}
	return prefix + field
}

// routingFinding is a finding of the data plane's packages on the resource.
func routingFinding(prefix string, f routing.Finding) Finding {
	field := specField(prefix, f.Field)
	switch f.Reason {
	case routing.ReasonBackendNotFound:
		return *missing(v1alpha1.ReasonBackendNotFound, field, f.Message)
	case routing.ReasonScheduleNotFound:
		return *missing(v1alpha1.ReasonScheduleNotFound, field, f.Message)
	case v1alpha1.ReasonStoreMismatch:
		return *missing(v1alpha1.ReasonStoreMismatch, field, f.Message)
	}
	reason := v1alpha1.ReasonInvalidSpec
	switch f.Reason {
	case routing.ReasonInvalidExpression, routing.ReasonNoDefaultRoute:
		reason = string(f.Reason)
	}
	if f.Effect == routing.EffectRuleDropped {
		return *wrong(v1alpha1.ConditionPartiallyInvalid, reason, field, f.Message+"; rule "+f.Rule+" is dropped, the others work")
	}
	return *wrong(v1alpha1.ConditionAccepted, reason, field, f.Message)
}

// routingFindings are those that something follows from.
func routingFindings(prefix string, found []routing.Finding) []Finding {
	var out []Finding
	for _, f := range found {
		if f.Effect != routing.EffectNone {
			out = append(out, routingFinding(prefix, f))
		}
	}
	return out
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
