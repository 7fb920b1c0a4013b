package controllers

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// compiled is one compilation: what the reconcilers of the kinds read. It is
// never changed after it was published.
type compiled struct {
	*compile.Result
	at time.Time
	// version of each resource that was looked at; a reconciler that has seen
	// another one waits for the next compilation.
	stores, bridges, channels         map[compile.Key]version
	schedules, queues, bots, policies map[compile.Key]version
	campaigns                         map[compile.Key]version
	// documents with hash and shards, as written; of those with a problem, the
	// last good ones.
	documents map[owner]*document.Document
	// problems are documents that do not fit, or whose Secrets cannot be written;
	// what is written stays in force.
	problems map[owner]*compile.Finding
}

func (c *compiled) document(o owner) *document.Document {
	if c == nil {
		return nil
	}
	return c.documents[o]
}

// compiler is the one place that turns resources into documents: it takes a
// snapshot, compiles, writes the shards that changed, and tells the
// reconcilers whose result changed. There is one request for everything.
type compiler struct {
	client  client.Client
	applier applier
	options compile.Options
	pods    *podStatuses
	now     func() time.Time
	// codecs are the major versions that documents may be written in, the newest first.
	codecs []document.Codec
	// namespaces says whether namespaces (their labels) can be read.
	namespaces bool

	current atomic.Pointer[compiled]
	took    atomic.Int64 // nanoseconds of the last compilation, with its writes
	// written are the documents of this process, which know more than a cache
	// that lags; at first they are read from the Secrets.
	written map[owner]*document.Document
	loaded  bool
	// versions of the Secrets as written, to notice that somebody changed one.
	versions map[types.NamespacedName]string

	notify func(kind string, key compile.Key)
}

const (
	// debounce gathers changes: a kubectl apply of many files is one compilation.
	debounce = 250 * time.Millisecond
	// maxDebounce is how long changes are gathered at most.
	maxDebounce = 2 * time.Second
	// share is how many times as long as the last compilation took, with its
	// writes, the next one waits. While ten thousand Channels are applied each takes
	// about a second; back to back they would write every shard, of up to a MiB,
	// for every few Channels. With one at a time at rest nothing is slower.
	share = 2
)

// pause is how long a change waits for others before it is compiled.
func (c *compiler) pause() time.Duration {
	return min(maxDebounce, max(debounce, share*time.Duration(c.took.Load())))
}

// theRequest is the compiler's only request.
var theRequest = ctrl.Request{}

// Reconcile implements reconcile.Reconciler.
func (c *compiler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	began := time.Now()
	snapshot, err := c.snapshot(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := c.now()
	result := compile.Compile(snapshot, c.options, now)
	next := &compiled{
		Result: result, at: now,
		stores: versionsOf(snapshot.Stores), bridges: versionsOf(snapshot.Bridges), channels: versionsOf(snapshot.Channels),
		schedules: versionsOf(snapshot.Schedules), queues: versionsOf(snapshot.AgentQueues), bots: versionsOf(snapshot.Bots), policies: versionsOf(snapshot.Policies), campaigns: versionsOf(snapshot.Campaigns),
		documents: map[owner]*document.Document{}, problems: map[owner]*compile.Finding{},
	}
	c.createDefaults(ctx, result.CreateDefaults)
	err = c.writeDocuments(ctx, snapshot, next)
	previous := c.current.Swap(next)
	c.tell(previous, next)
	c.took.Store(int64(time.Since(began)))
	if err != nil {
		return ctrl.Result{}, err
	}
	var again time.Duration
	if !result.NextChange.IsZero() {
		again = max(time.Second, result.NextChange.Sub(now))
	}
	for _, f := range next.problems {
		if f.Reason != v1alpha1.ReasonDocumentTooLarge { // that changes with the resources alone
			again = soonest(again, tryAgain(f))
		}
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

func versionsOf[T client.Object](objects []T) map[compile.Key]version {
	m := make(map[compile.Key]version, len(objects))
	for _, o := range objects {
		m[client.ObjectKeyFromObject(o)] = version{o.GetUID(), o.GetGeneration()}
	}
	return m
}

func (c *compiler) createDefaults(ctx context.Context, defaults []compile.Default) {
	for _, d := range defaults {
		obj := d.Object()
		// Created, not applied: the user's own later apply owns every field.
		if err := c.client.Create(ctx, obj); err != nil && !apierrors.IsAlreadyExists(err) {
			log.FromContext(ctx).Error(err, "cannot create the default", "kind", d.Kind, "namespace", d.Namespace)
		}
	}
}

// tell notifies the reconcilers of every resource whose result changed.
func (c *compiler) tell(previous, next *compiled) {
	if previous == nil {
		previous = &compiled{Result: &compile.Result{}}
	}
	for key, r := range next.Stores {
		o := owner{document.KindStore, key}
		if previous.stores[key] != next.stores[key] || !reflect.DeepEqual(trimStore(previous.Stores[key]), trimStore(r)) || documentChanged(previous, next, o) {
			c.notify(kindStore, key)
		}
	}
	for key, r := range next.Bridges {
		o := owner{document.KindBridge, key}
		if previous.bridges[key] != next.bridges[key] || !reflect.DeepEqual(trimBridge(previous.Bridges[key]), trimBridge(r)) || documentChanged(previous, next, o) {
			c.notify(kindBridge, key)
		}
	}
	for key, r := range next.Channels {
		was := previous.Channels[key]
		moved := was == nil || was.Bridge != r.Bridge || was.Store != r.Store
		if previous.channels[key] != next.channels[key] || moved || !reflect.DeepEqual(was, r) {
			c.notify(kindChannel, key)
		}
	}
	tellOf(c, kindSchedule, previous.schedules, next.schedules, previous.Schedules, next.Schedules)
	tellOf(c, kindAgentQueue, previous.queues, next.queues, previous.AgentQueues, next.AgentQueues)
	tellOf(c, kindBot, previous.bots, next.bots, previous.Bots, next.Bots)
	tellOf(c, kindPolicy, previous.policies, next.policies, previous.Policies, next.Policies)
	tellOf(c, kindCampaign, previous.campaigns, next.campaigns, previous.Campaigns, next.Campaigns)
}

// tellOf notifies the reconcilers of the resources of one kind whose version or
// result changed.
func tellOf[R any](c *compiler, kind string, versionsBefore, versions map[compile.Key]version, before, results map[compile.Key]R) {
	for key, r := range results {
		if versionsBefore[key] != versions[key] || !reflect.DeepEqual(before[key], r) {
			c.notify(kind, key)
		}
	}
}

func documentChanged(previous, next *compiled, o owner) bool {
	a, b := previous.document(o), next.document(o)
	return (a == nil) != (b == nil) || a != nil && a.Hash != b.Hash || (previous.problems[o] == nil) != (next.problems[o] == nil)
}

// trimStore and trimBridge leave the document out, which is compared by hash.
func trimStore(r *compile.StoreResult) *compile.StoreResult {
	if r == nil {
		return nil
	}
	copied := *r
	copied.Document = nil
	return &copied
}

func trimBridge(r *compile.BridgeResult) *compile.BridgeResult {
	if r == nil {
		return nil
	}
	copied := *r
	copied.Document = nil
	return &copied
}
