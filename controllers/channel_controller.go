package controllers

import (
	"cmp"
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// removalPatience is how long a deleted Channel waits for its webhook to be
// removed at the platform before it is let go, so that a platform that is
// down, or a token that was revoked first, blocks no namespace for ever.
const removalPatience = 5 * time.Minute

// channelReconciler tells the truth about Channels. A Channel has no children:
// the compiler puts it into its Bridge's document.
type channelReconciler struct {
	*shared
	told toldHashes
}

// toldHashes remembers which entry's Event was written, so that a reconcile
// that is repeated does not tell it again.
type toldHashes struct{ m sync.Map }

// swap keeps hash and says whether it was there already.
func (t *toldHashes) swap(key types.NamespacedName, hash string) bool {
	old, _ := t.m.Swap(key, hash)
	return old == hash
}

// Reconcile implements reconcile.Reconciler.
func (r *channelReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	ch := &v1alpha1.Channel{}
	if err := r.client.Get(ctx, req.NamespacedName, ch); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.told.m.Delete(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	current := r.compiler.current.Load()
	if current == nil || stale(current.channels, ch) {
		return ctrl.Result{}, nil // the compiler tells us
	}
	result := current.Channels[req.NamespacedName]
	if !ch.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, ch, current, result)
	}
	if err := r.setFinalizer(ctx, ch, true); err != nil {
		return ctrl.Result{}, err
	}
	again, err := r.writeChannelStatus(ctx, ch, current, result)
	return ctrl.Result{RequeueAfter: again}, err
}

// finalize holds a Channel until a bridge pod has removed its webhook and the
// store knows that nothing is sent on it any more.
func (r *channelReconciler) finalize(ctx context.Context, ch *v1alpha1.Channel, current *compiled, result *compile.ChannelResult) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(ch, v1alpha1.FinalizerDuties) {
		return ctrl.Result{}, nil
	}
	left := ch.DeletionTimestamp.Add(removalPatience).Sub(r.now())
	// Without a tombstone there is no Bridge that could remove anything: it was
	// deleted before, or does not let the Channel in any more.
	leftRegistered := !result.Tombstone() && meta.IsStatusConditionTrue(ch.Status.Conditions, v1alpha1.ConditionWebhookRegistered)
	if state := r.removal(current, result); result.Tombstone() && state != document.DutyDone {
		// A platform that refuses the credentials for good will not be asked a
		// second time with others: the Channel is on its way out.
		if left > 0 && state != document.DutyFailed {
			_, err := r.writeChannelStatus(ctx, ch, current, result)
			return ctrl.Result{RequeueAfter: left}, err
		}
		leftRegistered = true
	}
	if left > 0 && !r.storeTold(client.ObjectKeyFromObject(ch), current, result) {
		return ctrl.Result{RequeueAfter: left}, nil // the pods' next word comes before
	}
	if leftRegistered {
		r.events.warning(ch, v1alpha1.EventWebhookLeftRegistered,
			"the webhook could not be removed at the platform; remove it there by hand, or it goes on sending to %s", cmp.Or(result.WebhookURL, ch.Status.WebhookURL))
	}
	return ctrl.Result{}, r.setFinalizer(ctx, ch, false)
}

// storeTold says whether the store's pods have loaded that the Channel goes:
// from then on nothing can be queued, and what was is cancelled with a reason.
// A store without serving pods will learn it from its document.
func (r *channelReconciler) storeTold(name client.ObjectKey, current *compiled, result *compile.ChannelResult) bool {
	if result == nil || result.Store.Name == "" {
		return true
	}
	o := owner{document.KindStore, result.Store}
	doc, fleet := current.document(o), r.pods.fleet(o, current.document(o))
	return doc == nil || fleet.Size() == 0 || fleet.Loaded(doc, document.Entry{Kind: document.EntryChannel, Name: name.String()}.Key())
}

// removal is how the replica that has the duty says that it stands; empty
// while none says anything.
func (r *channelReconciler) removal(current *compiled, result *compile.ChannelResult) document.DutyState {
	if !result.Tombstone() {
		return ""
	}
	o := owner{document.KindBridge, result.Bridge}
	pods := r.pods.fleet(o, current.document(o))
	row := pods.Row(result.Entry.Key(), result.Entry.Hash)
	if row == nil || row.Webhook == nil {
		return ""
	}
	return row.Webhook.State
}
