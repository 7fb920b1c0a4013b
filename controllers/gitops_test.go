package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// everyKind is one resource of each kind that refer to each other, with the
// Secrets that they need: what somebody keeps in Git.
func everyKind(t *testing.T, ns string) []client.Object {
	t.Helper()
	account, two := newAccount(), int32(2)
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: ns, Name: name} }
	st := postgresStore(ns, "main")
	b := webhookBridge(ns)
	b.Spec.StoreRef, b.Spec.Replicas = &v1alpha1.ObjectReference{Name: "main"}, &two
	b.Spec.Expose = &v1alpha1.Expose{Ingress: &v1alpha1.IngressTemplate{}}
	queue, bot := agentQueue(ns, "general"), menuBot(ns, "menu")
	queue.Spec.StoreRef, bot.Spec.StoreRef = b.Spec.StoreRef, b.Spec.StoreRef
	policy := routingPolicy(ns, "inbound", "main", ruleTo("bots", v1alpha1.BackendRef{Kind: v1alpha1.BackendBot, Name: "menu"}))
	policy.Spec.OutOfHours = &v1alpha1.OutOfHours{ScheduleRef: &v1alpha1.LocalReference{Name: "hours"}, Action: "HoldAndReply"}
	objects := []client.Object{
		telegramSecret(ns, "main", account), databaseSecret(ns, goodDSN), st, b,
		// A store with a volume beside the one with a database.
		&v1alpha1.ConversationStore{ObjectMeta: meta("small")},
		queue, bot, businessHours(ns, "hours"), policy,
		telegramChannel(ns, "main", account), // last, or its Bridge is made for it
	}
	for _, o := range objects {
		gvk, err := apiutil.GVKForObject(o, k8s.Scheme())
		require.NoError(t, err)
		o.GetObjectKind().SetGroupVersionKind(gvk)
		if secret, ok := o.(*corev1.Secret); ok { // stringData is written, and never stands
			secret.Data = map[string][]byte{}
			for key, value := range secret.StringData {
				secret.Data[key] = []byte(value)
			}
			secret.StringData = nil
		}
	}
	return objects
}

// applyAs applies manifests as a GitOps tool does.
func applyAs(t *testing.T, manager string, objects []client.Object) {
	t.Helper()
	for _, o := range objects {
		u, err := toApplied(o)
		require.NoError(t, err)
		u.SetAnnotations(nil)
		require.NoError(t, k8s.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(manager)))
	}
}

// allReady waits for the resources among the objects.
func allReady(t *testing.T, objects []client.Object) {
	t.Helper()
	for _, o := range objects {
		if c, ok := o.(conditioned); ok {
			wait(t, c, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
		}
	}
}

// inNamespace is everything in a namespace that can be listed, whatever its
// kind, but Events, and what others than we and the tests make.
func inNamespace(t *testing.T, ns string) []*unstructured.Unstructured {
	t.Helper()
	dc, err := discovery.NewDiscoveryClientForConfig(apiServer)
	require.NoError(t, err)
	lists, err := dc.ServerPreferredNamespacedResources()
	require.True(t, err == nil || discovery.IsGroupDiscoveryFailedError(err), err) // another test installs and removes a kind
	var all []*unstructured.Unstructured
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		require.NoError(t, err)
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "delete") || r.Kind == "Event" {
				continue
			}
			objects := &unstructured.UnstructuredList{}
			objects.SetGroupVersionKind(gv.WithKind(r.Kind))
			if err := k8s.List(t.Context(), objects, client.InNamespace(ns)); err != nil {
				require.True(t, apierrors.IsNotFound(err), err)
			}
			for i := range objects.Items {
				all = append(all, &objects.Items[i])
			}
		}
	}
	return all
}

// childrenIn is what the operator has made in a namespace.
func childrenIn(t *testing.T, ns string) []*unstructured.Unstructured {
	t.Helper()
	return slices.DeleteFunc(inNamespace(t, ns), func(u *unstructured.Unstructured) bool {
		owner := metav1.GetControllerOf(u)
		return owner == nil || !strings.HasPrefix(owner.APIVersion, v1alpha1.GroupVersion.Group+"/")
	})
}

func title(u *unstructured.Unstructured) string { return u.GetKind() + " " + u.GetName() }

// drifts says, for each kind of child, what somebody might change of it by hand.
var drifts = map[string]func(u *unstructured.Unstructured) error{
	"Deployment":  evilImage,
	"StatefulSet": evilImage,
	"Service": func(u *unstructured.Unstructured) error {
		return unstructured.SetNestedStringMap(u.Object, map[string]string{"app": "evil"}, "spec", "selector")
	},
	"ServiceAccount": func(u *unstructured.Unstructured) error {
		return unstructured.SetNestedField(u.Object, true, "automountServiceAccountToken")
	},
	"NetworkPolicy": func(u *unstructured.Unstructured) error {
		return unstructured.SetNestedSlice(u.Object, []any{map[string]any{}}, "spec", "ingress")
	},
	"PodDisruptionBudget": func(u *unstructured.Unstructured) error {
		return unstructured.SetNestedField(u.Object, int64(9), "spec", "maxUnavailable")
	},
	"Ingress": func(u *unstructured.Unstructured) error {
		rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
		rules[0].(map[string]any)["host"] = "evil.example.com"
		return unstructured.SetNestedSlice(u.Object, rules, "spec", "rules")
	},
	"Secret": func(u *unstructured.Unstructured) error {
		data, _, _ := unstructured.NestedStringMap(u.Object, "data")
		for key := range data {
			data[key] = evilData
		}
		return unstructured.SetNestedStringMap(u.Object, data, "data")
	},
}

const evilData = "ZXZpbA==" // "evil"

func evilImage(u *unstructured.Unstructured) error {
	containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	containers[0].(map[string]any)["image"] = "evil"
	return unstructured.SetNestedSlice(u.Object, containers, "spec", "template", "spec", "containers")
}

// repaired says whether a child is what it was before somebody changed it.
func repaired(was, is *unstructured.Unstructured) bool {
	if is.GetDeletionTimestamp() != nil {
		return false
	}
	for label, value := range was.GetLabels() {
		if is.GetLabels()[label] != value {
			return false
		}
	}
	if was.GetKind() == "Secret" { // a certificate that was damaged is another one afterwards
		have, _, _ := unstructured.NestedStringMap(is.Object, "data")
		want, _, _ := unstructured.NestedStringMap(was.Object, "data")
		return slices.Equal(slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(want))) && !slices.Contains(slices.Collect(maps.Values(have)), evilData)
	}
	have, want := is.DeepCopy(), was.DeepCopy()
	for _, u := range []*unstructured.Unstructured{have, want} {
		for _, drawn := range []string{"clusterIP", "clusterIPs"} { // by the API server, when it is made
			unstructured.RemoveNestedField(u.Object, "spec", drawn)
		}
	}
	return equality.Semantic.DeepEqual(have.Object["spec"], want.Object["spec"]) &&
		equality.Semantic.DeepEqual(have.Object["automountServiceAccountToken"], want.Object["automountServiceAccountToken"])
}

// Every child that the operator has made, of whatever kind, is changed and
// deleted by somebody else, and is as it was again. Which there are is asked of
// the API server: a child that is added to the operator is tested here, and one
// of a new kind fails until drifts says how it can be changed.
func TestDriftOfEveryChildIsRepaired(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	world := everyKind(t, ns)
	create(t, world...)
	allReady(t, world)
	children := childrenIn(t, ns)
	kinds := map[string]bool{}
	for _, was := range children {
		kinds[was.GetKind()] = true
		t.Run(title(was), func(t *testing.T) {
			change := drifts[was.GetKind()]
			require.NotNil(t, change, "a new kind of child: say in drifts how it drifts")
			asItWas := func(after string) {
				is := was.DeepCopy()
				require.True(t, eventually(t, func() bool {
					return k8s.Get(t.Context(), client.ObjectKeyFromObject(was), is) == nil && repaired(was, is)
				}), "%s it is not what it was", after)
			}
			update(t, was.DeepCopy(), func(u *unstructured.Unstructured) { require.NoError(t, change(u)) })
			asItWas("after a change")
			update(t, was.DeepCopy(), func(u *unstructured.Unstructured) {
				u.SetLabels(map[string]string{workload.LabelManagedBy: "evil"})
			})
			asItWas("after a change of its labels")
			require.NoError(t, k8s.Delete(t.Context(), was.DeepCopy()))
			asItWas("after it was deleted")
		})
	}
	require.Equal(t, slices.Sorted(maps.Keys(drifts)), slices.Sorted(maps.Keys(kinds)), "children that were looked for, and those that there are")
	told(t, ns, v1alpha1.EventDriftRepaired)
}

// Others add to our objects: a mesh its annotations, a cost tool its labels.
// What they own stays theirs, also when we write the object.
func TestWhatOthersAddToOurObjectsStays(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	world := everyKind(t, ns)
	create(t, world...)
	allReady(t, world)
	children := childrenIn(t, ns)
	for _, u := range children {
		addition := &unstructured.Unstructured{}
		addition.SetGroupVersionKind(u.GroupVersionKind())
		addition.SetNamespace(ns)
		addition.SetName(u.GetName())
		addition.SetLabels(map[string]string{"cost-center": "17"})
		addition.SetAnnotations(map[string]string{"mesh.example.com/inject": "true"})
		require.NoError(t, k8s.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(addition), client.FieldOwner("mesh")), title(u))
	}
	// Each of them is written once more.
	for _, u := range children {
		update(t, u.DeepCopy(), func(u *unstructured.Unstructured) {
			labels := u.GetLabels()
			labels[workload.LabelManagedBy] = "evil"
			u.SetLabels(labels)
		})
	}
	for _, was := range children {
		is := was.DeepCopy()
		require.True(t, eventually(t, func() bool {
			return k8s.Get(t.Context(), client.ObjectKeyFromObject(was), is) == nil && repaired(was, is)
		}), title(was))
		require.Equal(t, "17", is.GetLabels()["cost-center"], title(was))
		require.Equal(t, "true", is.GetAnnotations()["mesh.example.com/inject"], title(was))
		require.True(t, slices.ContainsFunc(is.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool { return m.Manager == "mesh" }), title(was))
	}
}

// What Git says stays what Git says: the operator owns nothing of a resource but
// its status and its finalizer.
func TestNothingIsWrittenIntoASpec(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	world := everyKind(t, ns)
	applyAs(t, "gitops", world)
	allReady(t, world)
	for _, o := range world {
		if _, ours := o.(conditioned); !ours {
			continue
		}
		for _, m := range o.GetManagedFields() {
			if m.Manager == "gitops" {
				continue
			}
			fields := &unstructured.Unstructured{}
			require.NoError(t, fields.UnmarshalJSON(fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Fields","fields":%s}`, m.FieldsV1.GetRawBytes())))
			owned, _, _ := unstructured.NestedMap(fields.Object, "fields")
			metadata, _, _ := unstructured.NestedMap(owned, "f:metadata")
			delete(metadata, "f:finalizers")
			require.Empty(t, metadata, "%s of %T %s", m.Manager, o, o.GetName())
			delete(owned, "f:metadata")
			delete(owned, "f:status")
			require.Empty(t, owned, "%s of %T %s", m.Manager, o, o.GetName())
		}
	}
}

// A GitOps tool applies the same manifests all day. Nothing is written by it,
// neither they nor a child of theirs.
func TestApplyingTheSameAgainWritesNothing(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	world := everyKind(t, ns)
	applyAs(t, "gitops", world)
	applyAs(t, "gitops", world) // now the API server has kept the status' default, too
	seen := everyKindAgain(world)
	allReady(t, seen)
	look := func() map[string]*unstructured.Unstructured {
		out := map[string]*unstructured.Unstructured{}
		for _, u := range inNamespace(t, ns) {
			if u.GetKind() != "Pod" { // the kubelet's, which is played here
				out[title(u)] = u
			}
		}
		return out
	}
	same := func(a, b map[string]*unstructured.Unstructured) bool {
		return maps.EqualFunc(a, b, func(x, y *unstructured.Unstructured) bool { return x.GetResourceVersion() == y.GetResourceVersion() })
	}
	// What is still under way may be written meanwhile; what an apply causes is
	// written every time.
	var before, after map[string]*unstructured.Unstructured
	if !eventually(t, func() bool {
		before = look()
		for range 3 {
			applyAs(t, "gitops", world)
		}
		for until := time.Now().Add(2 * time.Second); time.Now().Before(until); <-time.After(100 * time.Millisecond) {
			if after = look(); !same(before, after) {
				return false
			}
		}
		return true
	}) {
		require.Equal(t, before, after)
		t.Fatal("something is written again and again")
	}
}

// everyKindAgain are copies to read into, so that the manifests stay what they are.
func everyKindAgain(world []client.Object) []client.Object {
	out := make([]client.Object, len(world))
	for i, o := range world {
		out[i] = o.DeepCopyObject().(client.Object)
	}
	return out
}

// Whoever prunes deletes everything at once, in an order of their own, and waits
// until it is gone. It goes: no finalizer waits for what went before it, and
// nothing that was made on first use comes back for what is going.
func TestPruneOfEverythingEnds(t *testing.T) {
	for round := range 4 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			ns := newNamespace(t)
			world := everyKind(t, ns)
			create(t, world...)
			allReady(t, world)
			random := rand.New(rand.NewPCG(uint64(round), 17)) //nolint:gosec // an order, not a secret
			random.Shuffle(len(world), func(i, j int) { world[i], world[j] = world[j], world[i] })
			for _, o := range world {
				require.NoError(t, k8s.Delete(t.Context(), o))
			}
			for _, o := range world {
				gone(t, o)
			}
			for _, u := range inNamespace(t, ns) {
				require.NotEqual(t, v1alpha1.GroupVersion.Group, u.GroupVersionKind().Group, "%s is there, after all of it was pruned", title(u))
			}
		})
	}
}

// What people and pipelines wait with.
func TestKubectlWaits(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	world := everyKind(t, ns)
	create(t, world...)
	config := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(config, kubeconfig, 0o600))
	for _, o := range world {
		if _, ours := o.(conditioned); !ours {
			continue
		}
		gvk, err := apiutil.GVKForObject(o, k8s.Scheme())
		require.NoError(t, err)
		out, err := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), "--kubeconfig", config, "-n", ns,
			"wait", "--for=condition=Ready", "--timeout=120s", strings.ToLower(gvk.Kind)+"/"+o.GetName()).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}

// transitions watches all resources of all tests, from the first to the last, and
// notes every status on the way that breaks a rule: a look now and then would
// miss those that stand for milliseconds.
type transitions struct {
	mu    sync.Mutex
	seen  map[string]int // statuses looked at, by kind
	wrong []string
	done  sync.WaitGroup
}

// watchTransitions begins; the API server has the definitions by now.
func watchTransitions(ctx context.Context, c client.WithWatch) (*transitions, error) {
	w := &transitions{seen: map[string]int{}}
	for kind, typ := range c.Scheme().KnownTypes(v1alpha1.GroupVersion) {
		list, err := c.Scheme().New(v1alpha1.GroupVersion.WithKind(kind + "List"))
		if err != nil || typ.PkgPath() != "github.com/bridgekeeper/bridgekeeper/api/v1alpha1" {
			continue // a kind of lists, or of apimachinery
		}
		events, err := c.Watch(ctx, list.(client.ObjectList))
		if err != nil {
			return nil, err
		}
		w.done.Go(func() {
			defer events.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case e, open := <-events.ResultChan():
					if !open {
						w.note(kind + ": the watch ended before the tests")
						return
					}
					if obj, ok := e.Object.(conditioned); ok {
						w.look(kind, obj)
					}
				}
			}
		})
	}
	return w, nil
}

// look checks one status. One of an older generation is InProgress by that alone.
func (w *transitions) look(kind string, obj conditioned) {
	if conditions.ObservedGeneration(obj) != obj.GetGeneration() {
		return
	}
	name := kind + " " + client.ObjectKeyFromObject(obj).String()
	for _, wrong := range conditions.Check(obj) {
		w.note(name + ": " + wrong)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err == nil {
		err = agrees(&unstructured.Unstructured{Object: content}, obj)
	}
	if err != nil {
		w.note(name + ": " + err.Error())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[kind]++
}

// agrees says whether kstatus' own library reads the status as it is meant.
func agrees(u *unstructured.Unstructured, obj conditioned) error {
	result, err := status.Compute(u)
	if err != nil {
		return err
	}
	is := map[string]bool{}
	for _, c := range *obj.GetConditions() {
		is[c.Type] = c.Status == metav1.ConditionTrue
	}
	want := status.InProgressStatus
	switch {
	case obj.GetDeletionTimestamp() != nil:
		want = status.TerminatingStatus
	case is[v1alpha1.ConditionReady]:
		want = status.CurrentStatus
	case is[v1alpha1.ConditionStalled]:
		want = status.FailedStatus
	}
	if result.Status != want {
		return fmt.Errorf("kstatus says %s, where %s is meant: %s", result.Status, want, result.Message)
	}
	return nil
}

func (w *transitions) note(wrong string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, wrong)
}

// end is what was wrong, once the context of the watch is done.
func (w *transitions) end() error {
	w.done.Wait()
	if len(w.wrong) == 0 {
		return nil
	}
	slices.Sort(w.wrong)
	return errors.New("statuses on the way that break a rule:\n" + strings.Join(slices.Compact(w.wrong), "\n"))
}
