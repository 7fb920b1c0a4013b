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
	if !st.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.finalize(ctx, st, current)
	}
	if err := r.setFinalizer(ctx, st, true); err != nil {
		return ctrl.Result{}, err
	}
	var again time.Duration
	var trouble *compile.Finding
	if !st.Spec.Suspend {
		var err error
		if again, trouble, err = r.children(ctx, st, current); err != nil {
			return ctrl.Result{}, err
		}
	}
	recheck, err := r.writeStoreStatus(ctx, st, current, trouble)
	return ctrl.Result{RequeueAfter: soonest(again, recheck)}, err
}

// children applies the certificate and the workload.
func (r *storeReconciler) children(ctx context.Context, st *v1alpha1.ConversationStore, current *compiled) (time.Duration, *compile.Finding, error) {
	child := workload.StoreChild(st.Name)
	host := workload.ServerName(st.Namespace, child)
	secret, err := r.certs.secret(ctx, workload.StoreOwner(st), st.Namespace, child, pki.Leaf{
		Identity: wire.StoreIdentity(st.Namespace, st.Name), DNSNames: []string{host, host + ".cluster.local"},
	})
	if err != nil {
		return 0, nil, err
	}
	live := &appsv1.StatefulSet{}
	if err := r.client.Get(ctx, types.NamespacedName{Namespace: st.Namespace, Name: child}, live); client.IgnoreNotFound(err) != nil {
		return 0, nil, err
	}
	bridges := storeBridges(current, client.ObjectKeyFromObject(st))
	objects := append([]client.Object{secret}, workload.Store(st, bridges, r.options.Workload)...)
	workload.KeepClaims(objects, live)
	trouble, err := r.applyAll(ctx, st, objects)
	if err == nil && trouble == nil {
		trouble, err = r.growVolume(ctx, st)
	}
	return r.certs.renewIn(secret), trouble, err
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

// storeBridges lists the Bridges that use a store.
func storeBridges(current *compiled, store types.NamespacedName) []types.NamespacedName {
	var out []types.NamespacedName
	for key, b := range current.Bridges {
		if b.Store == store {
			out = append(out, key)
		}
	}
	return out
}

// finalize lets a store go once no Bridge uses it: a pod that writes to a
// store which is being taken down would lose nothing, but answer errors for ever.
func (r *storeReconciler) finalize(ctx context.Context, st *v1alpha1.ConversationStore, current *compiled) error {
	if len(storeBridges(current, client.ObjectKeyFromObject(st))) > 0 {
		_, err := r.writeStoreStatus(ctx, st, current, nil)
		return err
	}
	return r.setFinalizer(ctx, st, false)
}

func storeOwner(st *v1alpha1.ConversationStore) owner {
	return owner{document.KindStore, client.ObjectKeyFromObject(st)}
}
