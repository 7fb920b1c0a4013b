package standalone

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

// oneProcess is how the "workload" of everything stands here.
var oneProcess = conditions.Workload{Desired: 1, Replicas: 1, Ready: 1, Updated: 1, Observed: true}

// observe makes the conditions that the operator would write and prints what
// changed. It returns what each bridge says.
func (r *runner) observe(ctx context.Context, now time.Time) map[compile.Key]*fleet.Fleet {
	w := r.world
	fleets := map[compile.Key]*fleet.Fleet{}
	storeFleets := map[compile.Key]*fleet.Fleet{}
	for _, st := range w.snapshot.Stores {
		key := client.ObjectKeyFromObject(st)
		storeFleets[key] = r.storeFleet(ctx, key)
		status, _ := conditions.Store(conditions.StoreInput{
			Store: st, Result: w.result.Stores[key], Document: w.previousStores[key],
			Fleet: storeFleets[key], Workload: oneProcess, Backend: "sqlite", Now: now,
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
			StoreDocument: w.previousStores[result.Store], StoreFleet: storeFleets[result.Store], Now: now,
		})
		if ch.DeletionTimestamp.IsZero() {
			r.tell(identityOf(ch), result.Findings, ch.Status.Conditions, status.Conditions)
		}
		ch.Status = status
		w.displayNames[key] = status.DisplayName
	}
	return fleets
}

func (r *runner) storeFleet(ctx context.Context, key compile.Key) *fleet.Fleet {
	p := r.stores[key]
	if p == nil || p.loaded == nil {
		return nil
	}
	return fleet.New([]fleet.Pod{{Name: "this process", Status: document.Status{
		Hash: p.loaded.Hash, Shards: p.loaded.Shards, Generation: p.loaded.Generation, Exceptions: p.exceptions,
		Store: p.store.Health(ctx),
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
		case !result.Tombstone(), removed(fleets[result.Bridge], result):
			r.report.gone(key, "is gone; its webhook is removed at the platform")
		case now.Sub(l.since) > removalPatience:
			r.report.gone(key, "is let go; its webhook could not be removed at the platform, remove it there by hand")
		default:
			continue
		}
		delete(r.world.leaving, key)
		delete(r.world.versions, identityOf(l.channel))
		delete(r.world.conditions, identityOf(l.channel))
		changed = true
	}
	return changed
}

func removed(f *fleet.Fleet, result *compile.ChannelResult) bool {
	row := f.Row(result.Entry.Key(), result.Entry.Hash)
	return row != nil && row.Webhook != nil && row.Webhook.State == document.DutyDone
}
