package controllers

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
)

// campaignReconciler tells the truth about SurveyCampaigns. It has no finalizer:
// deleting one stops asking, and answers stay in the store until retention takes
// them.
type campaignReconciler struct{ *shared }

// Reconcile implements reconcile.Reconciler.
func (r *campaignReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	o := &v1alpha1.SurveyCampaign{}
	current, err := r.observe(ctx, req.NamespacedName, o, func(c *compiled) map[compile.Key]version { return c.campaigns })
	if current == nil {
		return ctrl.Result{}, err
	}
	result := current.Campaigns[req.NamespacedName]
	status, again := conditions.Campaign(conditions.CampaignInput{Campaign: o, Result: result, Store: r.storeView(ctx, current, result.Store), Now: r.now()})
	changed := o.DeepCopy()
	changed.Status = status
	return ctrl.Result{RequeueAfter: again}, r.writeStatus(ctx, o, changed, &o.Status, &changed.Status, o.Status.Conditions, status.Conditions)
}
