package controllers

import (
	"context"
	"maps"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// cluster is an API server of its own: an upgrade concerns all Bridges of one.
type cluster struct {
	t      *testing.T
	config *rest.Config
	client client.Client
	scheme *runtime.Scheme
	pods   *standIn
	ahead  atomic.Int64 // how far the operator's clock is ahead
	stop   func()
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true,
		ControlPlaneStartTimeout: 3 * time.Minute, CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 2 * time.Minute}} // their own 20 s and 10 s are for an idle machine
	config, err := env.Start()
	require.NoError(t, err)
	t.Cleanup(func() { _ = env.Stop() })
	config.QPS, config.Burst = -1, -1
	c := &cluster{t: t, config: config, scheme: k8s.Scheme(), stop: func() {}}
	c.client, err = client.New(config, client.Options{Scheme: c.scheme})
	require.NoError(t, err)
	for _, name := range []string{operatorNamespace, "shop"} {
		require.NoError(t, c.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	c.pods = newStandIn(c.client)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go c.pods.run(ctx)
	return c
}

// operate starts the operator of a version in place of the one that runs.
func (c *cluster) operate(image string) {
	c.t.Helper()
	c.stop()
	mgr, err := ctrl.NewManager(c.config, ctrl.Options{
		Scheme: c.scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
	})
	require.NoError(c.t, err)
	require.NoError(c.t, Setup(mgr, Options{
		Workload: workload.Options{Image: image, OperatorNamespace: operatorNamespace}, Namespaces: true, Concurrency: 4, Fetcher: c.pods,
		Now: func() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) },
	}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = mgr.Start(ctx) }()
	c.stop = func() { cancel(); <-done }
	c.t.Cleanup(func() { c.stop() })
}

// stuck says which images do not come up, and why.
func (c *cluster) stuck(images map[string]string) {
	c.pods.set("shop", func(b *behaviour) { b.stuck = images })
}

func (c *cluster) image(kind client.Object, name string) string {
	if c.client.Get(c.t.Context(), types.NamespacedName{Namespace: "shop", Name: name}, kind) != nil {
		return ""
	}
	return workload.Image(kind)
}

func (c *cluster) store() string { return c.image(&appsv1.StatefulSet{}, "main-store") }

// bridges is how many of the Bridges' templates have an image.
func (c *cluster) bridges(image string) int {
	n := 0
	for _, name := range bridgeNames {
		if c.image(&appsv1.Deployment{}, name+"-bridge") == image {
			n++
		}
	}
	return n
}

// pending is the reason of UpgradePending; "" when it is not there. The rules
// of kstatus hold, and what was Ready stays so while its spec does.
func (c *cluster) pending(obj conditioned) string {
	if c.client.Get(c.t.Context(), client.ObjectKeyFromObject(obj), obj) != nil {
		return "?"
	}
	if conditions.ObservedGeneration(obj) == obj.GetGeneration() {
		require.Empty(c.t, conditions.Check(obj))
	}
	if obj.GetGeneration() == 1 {
		require.True(c.t, apimeta.IsStatusConditionTrue(*obj.GetConditions(), v1alpha1.ConditionReady), "Ready is latched\n%s", describe(obj))
	}
	if p := apimeta.FindStatusCondition(*obj.GetConditions(), v1alpha1.ConditionUpgradePending); p != nil {
		return p.Reason
	}
	return ""
}

func (c *cluster) until(what string, f func() bool) {
	c.t.Helper()
	require.True(c.t, eventually(c.t, f), what)
}

var bridgeNames = []string{"a", "b", "c", "d", "e"}

// TestUpgrade is a cluster's way from one version to the next and, by way of one
// that does not come up, back.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	const v1, v2, v3 = "bridgekeeper:1", "bridgekeeper:2", "bridgekeeper:3"
	c := newCluster(t)
	st := newStore("shop", "main")
	require.NoError(t, c.client.Create(t.Context(), st))
	var bridges []*v1alpha1.Bridge
	for _, name := range bridgeNames {
		b := newBridge("shop", name)
		b.Spec.StoreRef = &v1alpha1.ObjectReference{Name: "main"}
		require.NoError(t, c.client.Create(t.Context(), b))
		bridges = append(bridges, b)
	}
	c.operate(v1)
	c.until("all are Ready", func() bool {
		for _, o := range append([]conditioned{st}, conditionedAll(bridges)...) {
			if c.client.Get(t.Context(), client.ObjectKeyFromObject(o), o) != nil || !apimeta.IsStatusConditionTrue(*o.GetConditions(), v1alpha1.ConditionReady) {
				return false
			}
		}
		return true
	})
	reasons := func() map[string]int {
		m := map[string]int{}
		for _, b := range bridges {
			m[c.pending(b)]++
		}
		return m
	}

	counts := func(pairs ...any) map[string]int {
		m := map[string]int{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1].(int)
		}
		return m
	}
	is := func(want map[string]int) func() bool {
		return func() bool { return maps.Equal(reasons(), want) }
	}

	// The store is under way: all Bridges wait, and their pods stay as they are.
	c.stuck(map[string]string{"store " + v2: "", "bridge " + v2: ""})
	c.operate(v2)
	c.until("the store goes first", is(counts(v1alpha1.ReasonWaitingForStore, 5)))
	require.Equal(t, v2, c.store())
	c.until("the store says so", func() bool { return c.pending(st) == v1alpha1.ReasonProgressing })
	require.Equal(t, 5, c.bridges(v1))

	// It is done: two Bridges are under way, also after the operator restarts.
	c.stuck(map[string]string{"bridge " + v2: ""})
	two := counts(v1alpha1.ReasonProgressing, 2, v1alpha1.ReasonWaitingForTurn, 3)
	c.until("two at a time", is(two))
	require.Equal(t, 2, c.bridges(v2))
	c.operate(v2)
	c.until("the same two", is(two))
	require.Equal(t, 2, c.bridges(v2))
	c.stuck(map[string]string{})
	c.until("all get there", func() bool {
		require.LessOrEqual(t, c.underWay(), 2)
		return maps.Equal(reasons(), counts("", 5))
	})
	require.Equal(t, 5, c.bridges(v2))
	require.Empty(t, c.pending(st))

	// A version whose bridges do not come up: two are begun, and no more. What a
	// person changes meanwhile reaches the pods of the former version.
	c.stuck(map[string]string{"bridge " + v3: "CrashLoopBackOff"})
	c.operate(v3)
	c.until("two are begun", is(two))
	c.ahead.Store(int64(startPatience))
	for _, b := range bridges {
		c.limitMemory(b)
	}
	c.until("the others are held back", is(counts(v1alpha1.ReasonRolloutFailed, 2, v1alpha1.ReasonUpgradeHalted, 3)))
	require.Equal(t, 2, c.bridges(v3))
	require.Equal(t, 3, c.bridges(v2))
	for _, b := range bridges {
		d := &appsv1.Deployment{}
		c.until("its own limit", func() bool {
			_ = c.image(d, b.Name+"-bridge")
			return d.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().String() == "128Mi"
		})
	}

	// The way back: those that failed are no longer in anybody's way.
	c.operate(v2)
	c.until("all are as before", is(counts("", 5)))
	require.Equal(t, 5, c.bridges(v2))
	require.Equal(t, v2, c.store())
}

// underWay is how many Bridges have pods of two images at one moment.
func (c *cluster) underWay() int {
	var list appsv1.DeploymentList
	require.NoError(c.t, c.client.List(c.t.Context(), &list))
	n := 0
	for _, d := range list.Items {
		if d.Annotations[workload.AnnotationFormerImage] != "" && (d.Status.ObservedGeneration < d.Generation || d.Status.Replicas > d.Status.UpdatedReplicas) {
			n++
		}
	}
	return n
}

func (c *cluster) limitMemory(b *v1alpha1.Bridge) {
	c.t.Helper()
	c.until("changed", func() bool {
		if c.client.Get(c.t.Context(), client.ObjectKeyFromObject(b), b) != nil {
			return false
		}
		b.Spec.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")}}
		return c.client.Update(c.t.Context(), b) == nil
	})
}

func conditionedAll[T conditioned](objects []T) []conditioned {
	all := make([]conditioned, len(objects))
	for i, o := range objects {
		all[i] = o
	}
	return all
}
