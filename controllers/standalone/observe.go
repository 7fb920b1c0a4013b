package standalone

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

// oneProcess is how the "workload" of everything stands here.
var oneProcess = conditions.Workload{Desired: 1, Replicas: 1, Ready: 1, Updated: 1, Observed: true}

// observe makes the conditions that the operator would write and prints what
// changed. It returns what each bridge says, and whether something changed that
// the documents tell.
func (r *runner) observe(ctx context.Context, now time.Time) (fleets map[compile.Key]*fleet.Fleet, changed bool) {
	w := r.world
	fleets = map[compile.Key]*fleet.Fleet{}
	storeFleets := map[compile.Key]*fleet.Fleet{}
	for _, st := range w.snapshot.Stores {
		key := client.ObjectKeyFromObject(st)
		storeFleets[key] = r.storeFleet(ctx, key)
		status, _ := conditions.Store(conditions.StoreInput{
			Store: st, Result: w.result.Stores[key], Document: w.previousStores[key],
			Fleet: storeFleets[key], Workload: oneProcess, Backend: st.Backend(), Now: now,
		})
		r.tell(identityOf(st), w.result.Stores[key].Findings, st.Status.Conditions, status.Conditions)
		st.Status = status
	}
	for _, b := range w.snapshot.Bridges {
		key := client.ObjectKeyFromObject(b)
		fleets[key] = r.bridgeFleet(key)
		status, _ := conditions.Bridge(conditions.BridgeInput{
			Bridge: b, Result: w.result.Bridges[key], Document: w.previousBridges[key],
			Fleet: fleets[key], Workload: oneProcess, Now: now,
		})
		r.tell(identityOf(b), w.result.Bridges[key].Findings, b.Status.Conditions, status.Conditions)
		b.Status = status
	}
	for _, ch := range w.snapshot.Channels {
		key := client.ObjectKeyFromObject(ch)
		result := w.result.Channels[key]
		status, _ := conditions.Channel(conditions.ChannelInput{
			Channel: ch, Result: result, Document: w.previousBridges[result.Bridge], Fleet: fleets[result.Bridge],
			StoreDocument: w.previousStores[result.Store], StoreFleet: storeFleets[result.Store],
			BridgeTrouble: w.bridgeTrouble(result.Bridge), Now: now,
		})
		if ch.DeletionTimestamp.IsZero() {
			changed = r.tellChannel(ch, result.Findings, status) || changed
		}
		ch.Status = status
	}
	r.observeRouting(storeFleets, now)
	return fleets, changed
}

// bridgeTrouble is why a Bridge takes in nothing new.
func (w *world) bridgeTrouble(key compile.Key) string {
	if b := w.objects.bridges[key]; b != nil && b.Spec.Suspend {
		return "spec.suspend is set on it"
	}
	return ""
}

// tellChannel prints what changed and keeps what outlives this process.
// changed says that documents are to tell it: that a webhook is registered.
func (r *runner) tellChannel(ch *v1alpha1.Channel, findings []compile.Finding, after v1alpha1.ChannelStatus) (changed bool) {
	id := identityOf(ch)
	r.tell(id, findings, ch.Status.Conditions, after.Conditions)
	r.world.statuses[id] = status{conditions: after.Conditions, displayName: after.DisplayName, webhookURL: after.WebhookURL}
	if kept := r.world.records[id]; meta.IsStatusConditionTrue(after.Conditions, v1alpha1.ConditionAccepted) != kept.Accepted {
		kept.Accepted = !kept.Accepted
		r.world.records[id] = kept
		changed = true
	}
	registered := meta.IsStatusConditionTrue(after.Conditions, v1alpha1.ConditionWebhookRegistered)
	return changed || registered != meta.IsStatusConditionTrue(ch.Status.Conditions, v1alpha1.ConditionWebhookRegistered)
}

func (r *runner) storeFleet(ctx context.Context, key compile.Key) *fleet.Fleet {
	p := r.stores[key]
	if p == nil || p.loaded == nil {
		return nil
	}
	return fleet.New([]fleet.Pod{{Name: "this process", Status: document.Status{
		Hash: p.loaded.Hash, Shards: p.loaded.Shards, Generation: p.loaded.Generation, Exceptions: p.exceptions,
		EntryKinds: document.StoreEntryKinds(),
		Store:      p.store.Health(ctx), Troubles: p.store.Troubles(ctx), Surveys: p.store.SurveyStatuses(ctx),
	}}})
}

func (r *runner) bridgeFleet(key compile.Key) *fleet.Fleet {
	p := r.bridges[key]
	if p == nil {
		return nil
	}
	return fleet.New([]fleet.Pod{fleet.Pod{Name: "this process"}.Merge(p.gateway.Status())})
}

// removeLeft forgets channels that vanished from the files once their webhooks
// are removed, or have waited long enough.
func (r *runner) removeLeft(fleets map[compile.Key]*fleet.Fleet, now time.Time) (changed bool) {
	for key, l := range r.world.leaving {
		result := r.world.result.Channels[key]
		switch {
		case result == nil: // not compiled yet
			continue
		case !l.webhook:
			r.report.gone(key, "is gone")
		case !result.Tombstone(), removed(fleets[result.Bridge], result):
			r.report.gone(key, "is gone; its webhook is removed at the platform")
		case now.Sub(l.since) > removalPatience:
			r.report.gone(key, "is let go; its webhook could not be removed at the platform, remove it there by hand")
		default:
			continue
		}
		r.world.forget(key)
		changed = true
	}
	return changed
}

func removed(f *fleet.Fleet, result *compile.ChannelResult) bool {
	row := f.Row(result.Entry.Key(), result.Entry.Hash)
	return row != nil && row.Webhook != nil && row.Webhook.State == document.DutyDone
}
