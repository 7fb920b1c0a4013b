package standalone

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

// putRouting adds routing's objects with what an API server and the operator
// would have set on them. One that is not in the files any more is gone: nothing
// at a platform has to be undone for it.
func (w *world) putRouting(s *compile.Snapshot, r Routing, now time.Time) {
	for _, o := range r.Schedules {
		o = o.DeepCopy()
		w.stamp("Schedule", o, o.Spec, now)
		o.Status = v1alpha1.ScheduleStatus{Conditions: w.statuses[identityOf(o)].conditions, Open: w.statuses[identityOf(o)].open}
		s.Schedules = append(s.Schedules, o)
	}
	for _, o := range r.Queues {
		o = o.DeepCopy()
		w.stamp("AgentQueue", o, o.Spec, now)
		o.Status = v1alpha1.AgentQueueStatus{Conditions: w.statuses[identityOf(o)].conditions}
		s.AgentQueues = append(s.AgentQueues, o)
	}
	for _, o := range r.Bots {
		o = o.DeepCopy()
		w.stamp("Bot", o, o.Spec, now)
		o.Status = v1alpha1.BotStatus{Conditions: w.statuses[identityOf(o)].conditions}
		s.Bots = append(s.Bots, o)
	}
	for _, o := range r.Policies {
		o = o.DeepCopy()
		w.stamp("RoutingPolicy", o, o.Spec, now)
		before := w.statuses[identityOf(o)]
		o.Status = v1alpha1.RoutingPolicyStatus{Conditions: before.conditions, Parents: before.parents}
		s.Policies = append(s.Policies, o)
	}
	w.putCampaigns(s, r.Campaigns, now)
}

// eachRouted visits routing's objects of a snapshot.
func eachRouted(s *compile.Snapshot, visit func(client.Object)) {
	for _, o := range s.Schedules {
		visit(o)
	}
	for _, o := range s.AgentQueues {
		visit(o)
	}
	for _, o := range s.Bots {
		visit(o)
	}
	for _, o := range s.Policies {
		visit(o)
	}
	for _, o := range s.Campaigns {
		visit(o)
	}
}

// routingFindings are what is wrong with routing's objects, by identity.
func routingFindings(w *world) map[string]string {
	out := map[string]string{}
	for _, o := range w.snapshot.Schedules {
		out[identityOf(o)] = messages(o.Spec.Suspend, w.result.Schedules[keyOf(o)].Findings)
	}
	for _, o := range w.snapshot.AgentQueues {
		out[identityOf(o)] = messages(o.Spec.Suspend, w.result.AgentQueues[keyOf(o)].Findings)
	}
	for _, o := range w.snapshot.Bots {
		out[identityOf(o)] = messages(o.Spec.Suspend, w.result.Bots[keyOf(o)].Findings)
	}
	for _, o := range w.snapshot.Policies {
		out[identityOf(o)] = messages(o.Spec.Suspend, policyFindings(w.result.Policies[keyOf(o)]))
	}
	for _, o := range w.snapshot.Campaigns { // one that is suspended is in force, and its condition says so
		out[identityOf(o)] = messages(false, w.result.Campaigns[keyOf(o)].Findings)
	}
	return out
}

// policyFindings are a policy's own and those of its Channels.
func policyFindings(r *compile.PolicyResult) []compile.Finding {
	findings := r.Findings
	for _, parent := range r.Parents {
		findings = append(findings[:len(findings):len(findings)], parent.Findings...)
	}
	return findings
}

// observeRouting makes the conditions of routing's objects and prints what changed.
func (r *runner) observeRouting(stores map[compile.Key]*fleet.Fleet, now time.Time) {
	w := r.world
	view := func(key compile.Key) conditions.StoreView {
		return conditions.StoreView{Name: key, Document: w.previousStores[key], Fleet: stores[key], Trouble: w.storeTrouble(key)}
	}
	for _, o := range w.snapshot.Schedules {
		result := w.result.Schedules[keyOf(o)]
		in := conditions.ScheduleInput{Schedule: o, Result: result, Now: now}
		for _, key := range result.Stores {
			in.Stores = append(in.Stores, view(key))
		}
		status, _ := conditions.Schedule(in)
		r.tell(identityOf(o), result.Findings, o.Status.Conditions, status.Conditions)
		r.tellOpen(o, status)
		o.Status = status
	}
	for _, o := range w.snapshot.AgentQueues {
		result := w.result.AgentQueues[keyOf(o)]
		status, _ := conditions.AgentQueue(o, conditions.BackendInput{Result: result, Store: view(result.Store), Now: now})
		r.tell(identityOf(o), result.Findings, o.Status.Conditions, status.Conditions)
		o.Status = status
	}
	for _, o := range w.snapshot.Bots {
		result := w.result.Bots[keyOf(o)]
		status, _ := conditions.Bot(o, conditions.BackendInput{Result: result, Store: view(result.Store), Now: now})
		r.tell(identityOf(o), result.Findings, o.Status.Conditions, status.Conditions)
		o.Status = status
	}
	for _, o := range w.snapshot.Policies {
		result := w.result.Policies[keyOf(o)]
		in := conditions.PolicyInput{Policy: o, Result: result, Stores: map[compile.Key]conditions.StoreView{}, Now: now}
		for _, parent := range result.Parents {
			in.Stores[parent.Store] = view(parent.Store)
		}
		status, _ := conditions.Policy(in)
		r.tell(identityOf(o), policyFindings(result), o.Status.Conditions, status.Conditions)
		kept := w.statuses[identityOf(o)]
		kept.parents = status.Parents
		w.statuses[identityOf(o)] = kept
		o.Status = status
	}
	r.observeCampaigns(view, now)
}

// tellOpen prints that a Schedule opens or closes.
func (r *runner) tellOpen(o *v1alpha1.Schedule, after v1alpha1.ScheduleStatus) {
	id := identityOf(o)
	kept := r.world.statuses[id]
	before := kept.open
	kept.open = after.Open
	r.world.statuses[id] = kept
	if after.Open == nil || before != nil && *before == *after.Open {
		return
	}
	state := "is closed"
	if *after.Open {
		state = "is open"
	}
	if after.NextTransition != nil {
		state += " until " + after.NextTransition.UTC().Format(time.RFC3339)
	}
	r.report.event("%s  %s", title(id), state)
}

// storeTrouble is why a ConversationStore takes in nothing new.
func (w *world) storeTrouble(key compile.Key) string {
	if st := w.objects.stores[key]; st != nil && st.Spec.Suspend {
		return "spec.suspend is set on it"
	}
	return ""
}
