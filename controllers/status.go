package controllers

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

func (r *storeReconciler) writeStoreStatus(ctx context.Context, st *v1alpha1.ConversationStore, current *compiled, done outcome) (time.Duration, error) {
	o := storeOwner(st)
	live, err := r.storeWorkload(ctx, st)
	if err != nil {
		return 0, err
	}
	facts, err := r.rollout(ctx, live)
	if err != nil {
		return 0, err
	}
	status, again := conditions.Store(conditions.StoreInput{
		Store: st, Result: current.Stores[o.name], Document: current.document(o), Fleet: r.pods.fleet(o, current.document(o)), Workload: facts,
		Trouble: firstFinding(done.trouble, current.problems[o]), Upgrade: done.upgrade,
		Backend: st.Backend(), URL: workload.StoreRESTURL(st.Namespace, st.Name), Now: r.now(),
	})
	again = soonest(soonest(again, recheckPods(facts)), done.recheck())
	changed := st.DeepCopy()
	changed.Status = status
	return again, r.writeStatus(ctx, st, changed, &st.Status, &changed.Status, st.Status.Conditions, status.Conditions)
}

func (r *bridgeReconciler) writeBridgeStatus(ctx context.Context, b *v1alpha1.Bridge, current *compiled, done outcome) (time.Duration, error) {
	o := bridgeOwner(b)
	live, err := r.bridgeWorkload(ctx, b)
	if err != nil {
		return 0, err
	}
	facts, err := r.rollout(ctx, live)
	if err != nil {
		return 0, err
	}
	status, again := conditions.Bridge(conditions.BridgeInput{
		Bridge: b, Result: current.Bridges[o.name], Document: current.document(o), Fleet: r.pods.fleet(o, current.document(o)), Workload: facts,
		Trouble: firstFinding(done.trouble, current.problems[o]), Upgrade: done.upgrade,
		Selector:   metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: workload.BridgeSelector(b.Name)}),
		ServiceURL: workload.BridgeServiceURL(b.Namespace, b.Name), Now: r.now(),
	})
	again = soonest(soonest(again, recheckPods(facts)), done.recheck())
	changed := b.DeepCopy()
	changed.Status = status
	return again, r.writeStatus(ctx, b, changed, &b.Status, &changed.Status, b.Status.Conditions, status.Conditions)
}

func (r *channelReconciler) writeChannelStatus(ctx context.Context, ch *v1alpha1.Channel, current *compiled, result *compile.ChannelResult) (time.Duration, error) {
	o, st := owner{document.KindBridge, result.Bridge}, owner{document.KindStore, result.Store}
	status, again := conditions.Channel(conditions.ChannelInput{
		Channel: ch, Result: result, Document: current.document(o), Fleet: r.pods.fleet(o, current.document(o)),
		StoreDocument: current.document(st), StoreFleet: r.pods.fleet(st, current.document(st)),
		BridgeTrouble: r.bridgeTrouble(ctx, current, o),
		Now:           r.now(),
	})
	changed := ch.DeepCopy()
	changed.Status = status
	if result.Rotated && ch.Status.ObservedGeneration != 0 {
		r.rotated(ch, result)
	}
	if err := r.writeStatus(ctx, ch, changed, &ch.Status, &changed.Status, ch.Status.Conditions, status.Conditions); err != nil {
		return again, err
	}
	if from := ch.Status.Store; from != "" && status.Store != "" && from != status.Store {
		r.events.warning(ch, v1alpha1.EventStoreChanged, "moved from ConversationStore %s to %s. Its conversations stay in %s, and what was still queued there is cancelled: "+
			"it is among the dead letters of that store (status cancelled), to be written anew, or requeued should the Channel come back", from, status.Store, from)
	}
	return again, nil
}

// rotated tells once that other credentials were put into force. The result
// of one compilation has it, the next one has not.
func (r *channelReconciler) rotated(ch *v1alpha1.Channel, result *compile.ChannelResult) {
	if result.Entry == nil || r.told.swap(client.ObjectKeyFromObject(ch), result.Entry.Hash) {
		return
	}
	r.events.normal(ch, v1alpha1.EventCredentialsRotated, "the credentials changed and are being put into force; webhooks with the old ones are accepted for the overlap")
}

// bridgeTrouble is why a Bridge takes in nothing new.
func (r *channelReconciler) bridgeTrouble(ctx context.Context, current *compiled, o owner) string {
	if o.name.Name == "" {
		return ""
	}
	if f := current.problems[o]; f != nil {
		return f.Message
	}
	b := &v1alpha1.Bridge{}
	if err := r.client.Get(ctx, o.name, b); err == nil && b.Spec.Suspend {
		return "spec.suspend is set on it"
	}
	return ""
}

// writeStatus writes a status that changed, and Events for what matters in the
// change. It is guarded by the resourceVersion: Ready is latched, so a write
// on top of an older status would lose what came between.
func (s *shared) writeStatus(ctx context.Context, before, after client.Object, oldStatus, newStatus any, oldConditions, newConditions []metav1.Condition) error {
	if equality.Semantic.DeepEqual(oldStatus, newStatus) {
		return nil
	}
	err := s.client.Status().Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldOwner))
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	for _, t := range conditions.Diff(oldConditions, newConditions) {
		if t.Type == corev1.EventTypeWarning {
			s.events.warning(after, t.Reason, "%s: %s", t.Condition, t.Message)
		} else {
			s.events.normal(after, t.Reason, "%s: %s", t.Condition, t.Message)
		}
	}
	return nil
}

func firstFinding(findings ...*compile.Finding) *compile.Finding {
	for _, f := range findings {
		if f != nil {
			return f
		}
	}
	return nil
}
