package compile

import (
	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// BackendResult is the part of a Result of what belongs to one store: an
// AgentQueue, a Bot or a SurveyCampaign.
type BackendResult struct {
	Findings []Finding
	// Store whose conversations it has; zero while the reference does not lead
	// to one.
	Store Key
	// Entry in the store's document; nil when there is none.
	Entry *Loadable
	// LastGood says that the entry is, because of a finding, not what the spec
	// says now.
	LastGood bool
}

// Blocking is the first finding that keeps the resource from being Ready, or nil.
func (r *BackendResult) Blocking() *Finding { return firstBlocking(r.Findings) }

// queueState is an AgentQueue that exists.
type queueState struct {
	store *storeState // nil while the reference does not lead to one
	// schedule of the version in force, if any is.
	inForce  bool
	schedule string
}

func (c *compiler) resolveQueues() {
	for _, q := range sorted(c.AgentQueues) {
		result := &BackendResult{}
		c.result.AgentQueues[keyOf(q)] = result
		if !gone(q) {
			c.routing.queues[keyOf(q)] = c.queue(q, result)
		}
	}
}

// queue decides about one AgentQueue and puts it into its store's document.
func (c *compiler) queue(q *v1alpha1.AgentQueue, result *BackendResult) *queueState {
	st, unresolved := c.routingStore(q.Namespace, "AgentQueues", q.Spec.StoreRef)
	spec, name := QueueSpec(q), keyOf(q).String()
	found := routing.CheckQueue(spec, c.queueRefs(st, spec))
	c.explainMissing(st, found)
	result.Findings = routingFindings("spec.", found)
	if unresolved != nil {
		result.Findings = append(result.Findings, *unresolved)
		return &queueState{}
	}
	state := &queueState{store: st}
	result.Store = st.key
	if routing.Rejected(found) || q.Spec.Suspend {
		before, kept := st.keep(document.EntryAgentQueue, name)
		if !kept {
			return state
		}
		spec, result.LastGood = decodeSpec[routing.QueueSpec](before), true
	} else {
		st.add(document.EntryAgentQueue, name, q.Generation, spec)
	}
	state.inForce, state.schedule = true, spec.Schedule
	c.use(st, spec.Schedule)
	entry := loadable(*st.last())
	result.Entry = &entry
	return state
}

func (c *compiler) queueRefs(st *storeState, spec routing.QueueSpec) routing.Refs {
	refs := routing.Refs{Schedules: map[string]*schedule.Schedule{}}
	if spec.Schedule != "" && c.scheduleThere(st, spec.Schedule) {
		refs.Schedules[spec.Schedule] = nil
	}
	return refs
}
