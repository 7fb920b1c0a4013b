package controllers

import (
	"context"
	"time"

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

// bridgeReconciler runs Bridges.
type bridgeReconciler struct{ *shared }

// Reconcile implements reconcile.Reconciler.
func (r *bridgeReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	b := &v1alpha1.Bridge{}
	if err := r.client.Get(ctx, req.NamespacedName, b); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	current := r.compiler.current.Load()
	if current == nil || stale(current.bridges, b) {
		return ctrl.Result{}, nil // the compiler tells us
	}
	deleting := !b.DeletionTimestamp.IsZero()
	if deleting && current.Bridges[req.NamespacedName].Tombstones == 0 {
		return ctrl.Result{}, r.setFinalizer(ctx, b, false)
	}
	if !deleting {
		if err := r.setFinalizer(ctx, b, true); err != nil {
			return ctrl.Result{}, err
		}
	}
	again, trouble, err := r.certificate(ctx, b)
	done := outcome{trouble: trouble}
	if err == nil && trouble == nil && !b.Spec.Suspend && !deleting {
		done, err = r.children(ctx, b, current)
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	recheck, err := r.writeBridgeStatus(ctx, b, current, done)
	return ctrl.Result{RequeueAfter: soonest(soonest(again, recheck), tryAgain(done.trouble))}, err
}

// certificate is kept good whatever else pauses: what runs must go on running.
func (r *bridgeReconciler) certificate(ctx context.Context, b *v1alpha1.Bridge) (time.Duration, *compile.Finding, error) {
	child := workload.BridgeChild(b.Name)
	return r.applyCertificate(ctx, b, workload.BridgeOwner(b), child, pki.Leaf{
		Identity: wire.BridgeIdentity(b.Namespace, b.Name), DNSNames: []string{workload.ServerName(b.Namespace, child)},
	})
}

// children applies the workload, and removes what is no longer wanted.
func (r *bridgeReconciler) children(ctx context.Context, b *v1alpha1.Bridge, current *compiled) (done outcome, err error) {
	me := client.ObjectKeyFromObject(b)
	store := current.Bridges[me].Store
	live, err := r.bridgeWorkload(ctx, b)
	if err != nil {
		return done, err
	}
	objects, pending, err := r.upgradeStep(ctx, upgrade.Key{Kind: upgrade.KindBridge, Name: me}, store, live, workload.Bridge(b, store, r.options.Workload))
	if err != nil {
		return done, err
	}
	done.upgrade = &pending
	if done.trouble, err = r.applyAll(ctx, b, objects); err != nil || done.trouble != nil {
		return done, err
	}
	if err = r.deleteUnwanted(ctx, b, workload.BridgeUnwanted(b)); err != nil {
		return done, err
	}
	done.trouble, err = r.route(ctx, b)
	return done, err
}

func bridgeOwner(b *v1alpha1.Bridge) owner {
	return owner{document.KindBridge, client.ObjectKeyFromObject(b)}
}
