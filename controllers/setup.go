package controllers

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// The operator's rights. Namespaces are read for allow-lists by label; with
// --watch-namespaces that right is not needed.
//
// +kubebuilder:rbac:groups=bridgekeeper.dev,resources=channels;bridges;conversationstores,verbs=get;list;watch;create;update;patch
// +kubebuilder:rbac:groups=bridgekeeper.dev,resources=channels/status;bridges/status;conversationstores/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=bridgekeeper.dev,resources=routingpolicies;agentqueues;schedules;bots;surveycampaigns,verbs=get;list;watch
// +kubebuilder:rbac:groups=bridgekeeper.dev,resources=routingpolicies/status;agentqueues/status;schedules/status;bots/status;surveycampaigns/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=bridgekeeper.dev,resources=channels/finalizers;bridges/finalizers;conversationstores/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets;services;serviceaccounts,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies;ingresses,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups="";events.k8s.io,resources=events,verbs=create;patch

// Kinds, as they stand in notifications and logs.
const (
	kindStore   = "ConversationStore"
	kindBridge  = "Bridge"
	kindChannel = "Channel"
)

// Options of the operator.
type Options struct {
	// Workload is passed to the builders of pods.
	Workload workload.Options
	// CreateDefaults makes the default Bridge and ConversationStore on first use.
	CreateDefaults bool
	// Namespaces: whether namespaces can be read (not with --watch-namespaces).
	Namespaces bool
	// WatchNamespaces are the only ones that are looked at; none: all.
	WatchNamespaces []string
	// Concurrency of each kind's reconciler.
	Concurrency int
	// Metrics takes the metrics of resources; nil: there are none.
	Metrics prometheus.Registerer
	// Fetcher asks pods for their status; nil: over mutual TLS. Tests put their own.
	Fetcher StatusFetcher
	// Now is the clock; nil: the real one.
	Now func() time.Time
}

// queue is the work queue of a controller, once it has started.
type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// shared is what the reconcilers of all kinds lean on.
type shared struct {
	client   client.Client
	applier  applier
	certs    *certificates
	pods     *podStatuses
	compiler *compiler
	poller   *poller
	turns    *turns
	events   *eventSink
	routes   *routes
	options  Options
	now      func() time.Time

	// queues by kind; controllers start at the same time in goroutines of their own.
	queues sync.Map
}

// Setup adds the controllers to a manager.
func Setup(mgr ctrl.Manager, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &shared{
		client: mgr.GetClient(), options: o, now: o.Now, pods: newPodStatuses(), turns: newTurns(),
		applier: applier{client: mgr.GetClient(), live: mgr.GetAPIReader()},
		events:  &eventSink{recorder: mgr.GetEventRecorder("bridgekeeper")},
		routes:  &routes{manager: mgr, namespaces: o.WatchNamespaces, now: o.Now},
	}
	s.certs = &certificates{client: mgr.GetClient(), namespace: o.Workload.OperatorNamespace, now: o.Now}
	fetcher := o.Fetcher
	if fetcher == nil {
		own := newHTTPFetcher()
		s.certs.issued = own.use
		fetcher = own
	}
	capabilities := all.Capabilities()
	s.compiler = &compiler{
		client: s.client, applier: s.applier, pods: s.pods, now: o.Now, namespaces: o.Namespaces, codecs: document.Codecs(),
		options: compile.Options{
			Platforms: func(name string) (platform.Capabilities, bool) {
				c, ok := capabilities[name]
				return c, ok
			},
			StoreURL:       workload.StoreInternalURL,
			CreateDefaults: o.CreateDefaults,
			Programs:       &compile.Programs{},
		},
		notify: s.notify, versions: map[types.NamespacedName]string{},
	}
	s.poller = newPoller(s.client, fetcher, s.pods, s.compiler.current.Load, o.Now)
	s.poller.changed = s.podsChanged
	if err := mgr.Add(s.poller); err != nil {
		return err
	}
	if o.Metrics != nil {
		if err := registerMetrics(mgr, o.Metrics); err != nil {
			return err
		}
	}
	for _, setup := range []func(ctrl.Manager) error{s.setupCompiler, s.setupStore, s.setupBridge, s.setupChannel, s.setupRouting} {
		if err := setup(mgr); err != nil {
			return err
		}
	}
	return nil
}

// notify asks for a reconcile of one resource. Before the controller has
// started there is nothing to do: it lists everything when it starts.
func (s *shared) notify(kind string, key types.NamespacedName) {
	if q := s.queueOf(kind); q != nil {
		q.Add(reconcile.Request{NamespacedName: key})
	}
}

func (s *shared) queueOf(kind string) queue {
	v, ok := s.queues.Load(kind)
	if !ok {
		return nil
	}
	q, _ := v.(queue)
	return q
}

// capture keeps the queue of a controller, so that results and answers, which
// are no API objects, can ask for a reconcile.
func (s *shared) capture(kind string) source.Source {
	return source.Func(func(_ context.Context, q queue) error {
		s.queues.Store(kind, q)
		return nil
	})
}

// podsChanged passes on what the pods of an owner said.
func (s *shared) podsChanged(o owner, c change) {
	kind := kindBridge
	if o.kind == document.KindStore {
		kind = kindStore
	}
	if c.owner || c.allShards || len(c.shards) > 0 {
		s.notify(kind, o.name)
	}
	current := s.compiler.current.Load()
	doc := current.document(o)
	if doc == nil {
		return
	}
	touched := map[int]bool{}
	for _, i := range c.shards {
		touched[i] = true
	}
	for _, e := range doc.Entries {
		if c.owner || c.allShards || touched[doc.ShardOf(e.Key())] {
			s.notifyEntry(e.Key())
		}
	}
	for _, key := range c.entries {
		s.notifyEntry(key)
	}
	// Registration starts when every serving pod of the Bridge has loaded the
	// channel, and an older major version is written until all pods speak the newest.
	if len(doc.Editions) > 0 && c.owner || o.kind == document.KindBridge && (c.allShards || len(c.shards) > 0 || len(c.entries) > 0) {
		s.recompile()
	}
}

// notifyEntry reconciles the resource that an entry (or its tombstone) stands for.
func (s *shared) notifyEntry(key string) {
	parts := strings.Split(key, "/")
	kind := entryKinds[document.EntryKind(parts[0])]
	if kind == "" || len(parts) < 3 {
		return
	}
	name := types.NamespacedName{Namespace: parts[1], Name: parts[2]}
	s.notify(kind, name)
	if kind != kindChannel {
		return
	}
	// A Channel's entry says which policies it has: they wait for it as well.
	if result := s.compiler.current.Load().Channels[name]; result != nil {
		for _, policy := range result.Policies {
			s.notifyEntry(string(document.EntryRoutingPolicy) + "/" + policy)
		}
	}
}

const kindCompiler = "compiler"

func (s *shared) recompile() {
	if q := s.queueOf(kindCompiler); q != nil {
		q.AddAfter(theRequest, s.compiler.pause())
	}
}

// setupCompiler watches everything that a compilation looks at.
func (s *shared) setupCompiler(mgr ctrl.Manager) error {
	compile := func(q queue) { q.AddAfter(theRequest, s.compiler.pause()) }
	later := handler.Funcs{
		CreateFunc:  func(_ context.Context, _ event.CreateEvent, q queue) { compile(q) },
		UpdateFunc:  func(_ context.Context, _ event.UpdateEvent, q queue) { compile(q) },
		DeleteFunc:  func(_ context.Context, _ event.DeleteEvent, q queue) { compile(q) },
		GenericFunc: func(_ context.Context, _ event.GenericEvent, q queue) { compile(q) },
	}
	// A status that changed is nobody's input; metadata (deletion) and spec are.
	// Accepted is, for claims, but the incumbent can only lose by a spec change.
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	b := ctrl.NewControllerManagedBy(mgr).Named(kindCompiler).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Watches(&v1alpha1.ConversationStore{}, later, changed).
		Watches(&v1alpha1.Bridge{}, later, changed).
		Watches(&v1alpha1.Channel{}, later, builder.WithPredicates(channelChanged)).
		Watches(&v1alpha1.Schedule{}, later, changed).
		Watches(&v1alpha1.AgentQueue{}, later, changed).
		Watches(&v1alpha1.Bot{}, later, changed).
		Watches(&v1alpha1.RoutingPolicy{}, later, changed).
		Watches(&v1alpha1.SurveyCampaign{}, later, changed).
		Watches(&corev1.Secret{}, later, builder.WithPredicates(predicate.Funcs{UpdateFunc: secretChanged})).
		WatchesRawSource(s.capture(kindCompiler))
	if s.options.Namespaces {
		b = b.Watches(&corev1.Namespace{}, later, builder.WithPredicates(predicate.LabelChangedPredicate{}))
	}
	return b.Complete(settle(s.compiler))
}

// secretChanged leaves out what the operator wrote itself: certificates are no
// input, and a document that somebody else changed is seen by its owner's
// resourceVersion all the same.
func secretChanged(e event.UpdateEvent) bool {
	return e.ObjectNew.GetResourceVersion() != e.ObjectOld.GetResourceVersion()
}

// channelChanged is what of a Channel a compilation looks at. Of its status that
// is one thing: the document remembers that a webhook was registered. Its
// finalizer is, as it comes before the registration; so are its labels, by which
// RoutingPolicies choose.
var channelChanged = predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{},
	predicate.Funcs{UpdateFunc: registrationSeen}, predicate.Funcs{UpdateFunc: finalizerChanged})

// registrationSeen says whether a status begins, or ceases, to tell that the
// platform had the webhook.
func registrationSeen(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1alpha1.Channel)
	after, ok2 := e.ObjectNew.(*v1alpha1.Channel)
	return ok && ok2 && compile.Registered(before) != compile.Registered(after)
}

// finalizerChanged says whether a Channel got, or lost, our finalizer.
func finalizerChanged(e event.UpdateEvent) bool {
	return controllerutil.ContainsFinalizer(e.ObjectOld, v1alpha1.FinalizerDuties) != controllerutil.ContainsFinalizer(e.ObjectNew, v1alpha1.FinalizerDuties)
}

// setupStore and setupBridge watch their children, so that drift is repaired.
func (s *shared) setupStore(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.ConversationStore{}, builder.WithPredicates(specChanged)).
		WithOptions(s.controllerOptions()).
		Owns(&appsv1.StatefulSet{}).
		Owns(&appsv1.Deployment{}).
		Owns(&policyv1.PodDisruptionBudget{}).
		Owns(&corev1.Service{}).
		Owns(&corev1.ServiceAccount{}).
		Owns(&networkingv1.NetworkPolicy{}).
		Owns(&corev1.Secret{}).
		WatchesRawSource(s.capture(kindStore)).
		Complete(settle(&storeReconciler{s}))
}

func (s *shared) setupBridge(mgr ctrl.Manager) error {
	c, err := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.Bridge{}, builder.WithPredicates(specChanged)).
		WithOptions(s.controllerOptions()).
		Owns(&appsv1.Deployment{}).
		Owns(&corev1.Service{}).
		Owns(&corev1.ServiceAccount{}).
		Owns(&networkingv1.NetworkPolicy{}).
		Owns(&networkingv1.Ingress{}).
		Owns(&policyv1.PodDisruptionBudget{}).
		Owns(&corev1.Secret{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(s.podOwner)).
		WatchesRawSource(s.capture(kindBridge)).
		Build(settle(&bridgeReconciler{s}))
	s.routes.bridges = c
	return err
}

func (s *shared) setupChannel(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.Channel{}, builder.WithPredicates(specChanged)).
		WithOptions(s.controllerOptions()).
		WatchesRawSource(s.capture(kindChannel)).
		Complete(settle(&channelReconciler{shared: s}))
}

// specChanged: our own status writes bring nothing new.
var specChanged = predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{})

func (s *shared) controllerOptions() controller.Options {
	return controller.Options{MaxConcurrentReconciles: max(1, s.options.Concurrency)}
}

// podOwner makes the poller look at once when a pod comes, goes, or becomes
// ready. It asks for no reconcile: the answer does, if it says anything new.
func (s *shared) podOwner(_ context.Context, pod client.Object) []reconcile.Request {
	labels := pod.GetLabels()
	key := types.NamespacedName{Namespace: pod.GetNamespace(), Name: labels[workload.LabelInstance]}
	switch labels[workload.LabelComponent] {
	case workload.ComponentBridge:
		s.poller.soon(owner{document.KindBridge, key})
	case workload.ComponentStore:
		s.poller.soon(owner{document.KindStore, key})
	}
	return nil
}

// settle takes lost races (our cache is a moment behind) for what they are: a
// reason to look again, not an error.
func settle(r reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		result, err := r.Reconcile(ctx, req)
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
		}
		return result, err
	})
}

// version is which object, and which of its generations, was compiled.
type version struct {
	uid        types.UID
	generation int64
}

// stale says whether a reconciler must wait for the next compilation: the last
// one has not seen this generation, or saw a former object of the same name.
func stale(versions map[compile.Key]version, obj client.Object) bool {
	v := versions[client.ObjectKeyFromObject(obj)]
	return v.uid != obj.GetUID() || v.generation < obj.GetGeneration()
}

// eventSink writes Events; only on change, since Events are for people.
type eventSink struct{ recorder events.EventRecorder }

func (e *eventSink) normal(obj client.Object, reason, format string, args ...any) {
	e.recorder.Eventf(obj, nil, corev1.EventTypeNormal, reason, reason, "%s", fmt.Sprintf(format, args...))
}

func (e *eventSink) warning(obj client.Object, reason, format string, args ...any) {
	e.recorder.Eventf(obj, nil, corev1.EventTypeWarning, reason, reason, "%s", fmt.Sprintf(format, args...))
}
