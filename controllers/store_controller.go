package controllers

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/pki"
	"github.com/bridgekeeper/bridgekeeper/controllers/upgrade"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// storeReconciler runs ConversationStores.
type storeReconciler struct{ *shared }

// Reconcile implements reconcile.Reconciler.
func (r *storeReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	st := &v1alpha1.ConversationStore{}
	if err := r.client.Get(ctx, req.NamespacedName, st); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	current := r.compiler.current.Load()
	if current == nil || stale(current.stores, st) {
		return ctrl.Result{}, nil // the compiler tells us
	}
	deleting := !st.DeletionTimestamp.IsZero()
	if deleting && len(storeBridges(current, req.NamespacedName)) == 0 {
		return ctrl.Result{}, r.setFinalizer(ctx, st, false)
	}
	if !deleting {
		if err := r.setFinalizer(ctx, st, true); err != nil {
			return ctrl.Result{}, err
		}
	}
	again, trouble, err := r.certificate(ctx, st)
	done := outcome{trouble: trouble}
	if err == nil && trouble == nil && !st.Spec.Suspend && !deleting {
		done, err = r.children(ctx, st, current)
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	recheck, err := r.writeStoreStatus(ctx, st, current, done)
	return ctrl.Result{RequeueAfter: soonest(soonest(again, recheck), tryAgain(done.trouble))}, err
}

// certificate is kept good whatever else pauses: what runs must go on running.
func (r *storeReconciler) certificate(ctx context.Context, st *v1alpha1.ConversationStore) (time.Duration, *compile.Finding, error) {
	child := workload.StoreChild(st.Name)
	host := workload.ServerName(st.Namespace, child)
	return r.applyCertificate(ctx, st, workload.StoreOwner(st), child, pki.Leaf{
		Identity: wire.StoreIdentity(st.Namespace, st.Name), DNSNames: []string{host, host + ".cluster.local"},
	})
}

// children applies the workload, and removes what is no longer wanted.
func (r *storeReconciler) children(ctx context.Context, st *v1alpha1.ConversationStore, current *compiled) (done outcome, err error) {
	there, trouble, err := r.database(ctx, st, current)
	if !there || trouble != nil || err != nil {
		return outcome{trouble: trouble}, err
	}
	live, err := r.storeWorkload(ctx, st)
	if err != nil {
		return done, err
	}
	me := client.ObjectKeyFromObject(st)
	built := workload.Store(st, storeBridges(current, me), r.options.Workload)
	if set, ok := live.(*appsv1.StatefulSet); ok {
		workload.KeepFixed(built, set)
	}
	objects, pending, err := r.upgradeStep(ctx, upgrade.Key{Kind: upgrade.KindStore, Name: me}, types.NamespacedName{}, live, built)
	if err != nil {
		return done, err
	}
	done.upgrade = &pending
	if done.trouble, err = r.applyAll(ctx, st, objects); err != nil || done.trouble != nil {
		return done, err
	}
	if err = r.deleteUnwanted(ctx, st, workload.StoreUnwanted(st)); err != nil || st.Spec.Postgres != nil {
		return done, err
	}
	done.trouble, err = r.growVolume(ctx, st)
	return done, err
}

// database applies what the pods of a postgres store connect with. there says
// whether they have something to connect with: without it they would not start,
// and kubelet would look for it ever more rarely.
func (r *storeReconciler) database(ctx context.Context, st *v1alpha1.ConversationStore, current *compiled) (there bool, trouble *compile.Finding, err error) {
	if st.Spec.Postgres == nil {
		return true, nil, nil
	}
	values := current.Stores[client.ObjectKeyFromObject(st)].Database
	secret := workload.Database(st, values)
	if values == nil {
		err := r.client.Get(ctx, client.ObjectKeyFromObject(secret), &corev1.Secret{})
		return err == nil, nil, client.IgnoreNotFound(err)
	}
	trouble, err = r.applyAll(ctx, st, []client.Object{secret})
	return true, trouble, err
}

// growVolume asks for a larger volume when the spec does. Whether it can grow
// is the storage class's to say; a smaller one is never asked for.
func (r *storeReconciler) growVolume(ctx context.Context, st *v1alpha1.ConversationStore) (*compile.Finding, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := r.client.Get(ctx, workload.Claim(st), claim); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	want := workload.StorageSize(st)
	have := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if want.Cmp(have) <= 0 {
		return nil, nil
	}
	before := claim.DeepCopy()
	claim.Spec.Resources.Requests[corev1.ResourceStorage] = want
	err := r.client.Patch(ctx, claim, client.MergeFrom(before), client.FieldOwner(FieldOwner))
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
		return &compile.Finding{
			Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonRolloutFailed, Field: "spec.sqlite.storageSize", Terminal: true,
			Message: fmt.Sprintf("spec.sqlite.storageSize: the volume cannot grow from %s to %s: %s", have.String(), want.String(), err),
		}, nil
	}
	return nil, err
}

// storeBridges lists the Bridges that use a store. It is not let go while
// there are any: they would answer errors for ever.
func storeBridges(current *compiled, store types.NamespacedName) []types.NamespacedName {
	var out []types.NamespacedName
	for key, b := range current.Bridges {
		if b.Store == store {
			out = append(out, key)
		}
	}
	return out
}

func storeOwner(st *v1alpha1.ConversationStore) owner {
	return owner{document.KindStore, client.ObjectKeyFromObject(st)}
}
