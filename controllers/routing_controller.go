package controllers

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
)

// Kinds of routing and surveys. None of them has children or a finalizer: the compiler puts
// them into the documents of ConversationStores, and one that is gone is out of
// them.
const (
	kindSchedule   = "Schedule"
	kindAgentQueue = "AgentQueue"
	kindBot        = "Bot"
	kindPolicy     = "RoutingPolicy"
	kindCampaign   = "SurveyCampaign"
)

// entryKinds are the kinds of resources that entries stand for. A Webhook's is
// its policy.
var entryKinds = map[document.EntryKind]string{
	document.EntryChannel:       kindChannel,
	document.EntryTombstone:     kindChannel,
	document.EntrySchedule:      kindSchedule,
	document.EntryAgentQueue:    kindAgentQueue,
	document.EntryBot:           kindBot,
	document.EntryRoutingPolicy: kindPolicy,
	document.EntryWebhook:       kindPolicy,

	document.EntrySurveyCampaign: kindCampaign,
}

// scheduleReconciler, queueReconciler, botReconciler and policyReconciler tell
// the truth about their kinds.
type (
	scheduleReconciler struct{ *shared }
	queueReconciler    struct{ *shared }
	botReconciler      struct{ *shared }
	policyReconciler   struct{ *shared }
)

// observe reads an object, and the compilation that looked at it. Without one
// there is nothing to tell: the object is gone, or the compiler will ask again.
func (s *shared) observe(ctx context.Context, name types.NamespacedName, obj client.Object, versions func(*compiled) map[compile.Key]version) (*compiled, error) {
	if err := s.client.Get(ctx, name, obj); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	current := s.compiler.current.Load()
	if current == nil || stale(versions(current), obj) || !obj.GetDeletionTimestamp().IsZero() {
		return nil, nil
	}
	return current, nil
}

// storeView is what is known of a ConversationStore.
func (s *shared) storeView(ctx context.Context, current *compiled, store compile.Key) conditions.StoreView {
	view := conditions.StoreView{Name: store}
	if store.Name == "" {
		return view
	}
	o := owner{document.KindStore, store}
	view.Document = current.document(o)
	view.Fleet = s.pods.fleet(o, view.Document)
	if f := current.problems[o]; f != nil {
		view.Trouble = f.Message
		return view
	}
	st := &v1alpha1.ConversationStore{}
	if err := s.client.Get(ctx, store, st); err == nil && st.Spec.Suspend {
		view.Trouble = "spec.suspend is set on it"
	}
	return view
}

// Reconcile implements reconcile.Reconciler.
func (r *scheduleReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s := &v1alpha1.Schedule{}
	current, err := r.observe(ctx, req.NamespacedName, s, func(c *compiled) map[compile.Key]version { return c.schedules })
	if current == nil {
		return ctrl.Result{}, err
	}
	result := current.Schedules[req.NamespacedName]
	in := conditions.ScheduleInput{Schedule: s, Result: result, Now: r.now()}
	for _, store := range result.Stores {
		in.Stores = append(in.Stores, r.storeView(ctx, current, store))
	}
	status, again := conditions.Schedule(in)
	changed := s.DeepCopy()
	changed.Status = status
	return ctrl.Result{RequeueAfter: again}, r.writeStatus(ctx, s, changed, &s.Status, &changed.Status, s.Status.Conditions, status.Conditions)
}

// Reconcile implements reconcile.Reconciler.
func (r *queueReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	q := &v1alpha1.AgentQueue{}
	current, err := r.observe(ctx, req.NamespacedName, q, func(c *compiled) map[compile.Key]version { return c.queues })
	if current == nil {
		return ctrl.Result{}, err
	}
	result := current.AgentQueues[req.NamespacedName]
	status, again := conditions.AgentQueue(q, conditions.BackendInput{Result: result, Store: r.storeView(ctx, current, result.Store), Now: r.now()})
	changed := q.DeepCopy()
	changed.Status = status
	return ctrl.Result{RequeueAfter: again}, r.writeStatus(ctx, q, changed, &q.Status, &changed.Status, q.Status.Conditions, status.Conditions)
}

// Reconcile implements reconcile.Reconciler.
func (r *botReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	b := &v1alpha1.Bot{}
	current, err := r.observe(ctx, req.NamespacedName, b, func(c *compiled) map[compile.Key]version { return c.bots })
	if current == nil {
		return ctrl.Result{}, err
	}
	result := current.Bots[req.NamespacedName]
	status, again := conditions.Bot(b, conditions.BackendInput{Result: result, Store: r.storeView(ctx, current, result.Store), Now: r.now()})
	changed := b.DeepCopy()
	changed.Status = status
	return ctrl.Result{RequeueAfter: again}, r.writeStatus(ctx, b, changed, &b.Status, &changed.Status, b.Status.Conditions, status.Conditions)
}

// Reconcile implements reconcile.Reconciler.
func (r *policyReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	p := &v1alpha1.RoutingPolicy{}
	current, err := r.observe(ctx, req.NamespacedName, p, func(c *compiled) map[compile.Key]version { return c.policies })
	if current == nil {
		return ctrl.Result{}, err
	}
	result := current.Policies[req.NamespacedName]
	stores := map[compile.Key]conditions.StoreView{}
	for _, parent := range result.Parents {
		if _, known := stores[parent.Store]; !known {
			stores[parent.Store] = r.storeView(ctx, current, parent.Store)
		}
	}
	status, again := conditions.Policy(conditions.PolicyInput{Policy: p, Result: result, Stores: stores, Now: r.now()})
	changed := p.DeepCopy()
	changed.Status = status
	return ctrl.Result{RequeueAfter: again}, r.writeStatus(ctx, p, changed, &p.Status, &changed.Status, p.Status.Conditions, status.Conditions)
}

// setupRouting adds the controllers of routing's kinds, and of SurveyCampaigns.
func (s *shared) setupRouting(mgr ctrl.Manager) error {
	for _, k := range []struct {
		kind       string
		object     client.Object
		reconciler reconcile.Reconciler
	}{
		{kindSchedule, &v1alpha1.Schedule{}, &scheduleReconciler{s}},
		{kindAgentQueue, &v1alpha1.AgentQueue{}, &queueReconciler{s}},
		{kindBot, &v1alpha1.Bot{}, &botReconciler{s}},
		{kindPolicy, &v1alpha1.RoutingPolicy{}, &policyReconciler{s}},
		{kindCampaign, &v1alpha1.SurveyCampaign{}, &campaignReconciler{s}},
	} {
		err := ctrl.NewControllerManagedBy(mgr).
			For(k.object, builder.WithPredicates(specChanged)).
			WithOptions(s.controllerOptions()).
			WatchesRawSource(s.capture(k.kind)).
			Complete(settle(k.reconciler))
		if err != nil {
			return err
		}
	}
	return nil
}
