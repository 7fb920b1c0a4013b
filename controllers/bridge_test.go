package controllers

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

func newBridge(ns, name string) *v1alpha1.Bridge {
	return &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
}

func newStore(ns, name string) *v1alpha1.ConversationStore {
	return &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
}

func TestBridgeScales(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	b := newBridge(ns, "edge")
	create(t, b)
	wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	pdb := &policyv1.PodDisruptionBudget{}
	name := types.NamespacedName{Namespace: ns, Name: "edge-bridge"}
	require.True(t, apierrors.IsNotFound(k8s.Get(t.Context(), name, pdb)), "one replica needs no budget")

	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 3}}
	require.NoError(t, k8s.SubResource("scale").Update(t.Context(), b, client.WithSubResourceBody(scale)))
	require.True(t, eventually(t, func() bool {
		return k8s.Get(t.Context(), client.ObjectKeyFromObject(b), b) == nil && b.Status.ReadyReplicas == 3 && k8s.Get(t.Context(), name, pdb) == nil
	}), describe(b))
	require.NoError(t, k8s.SubResource("scale").Get(t.Context(), b, scale))
	require.EqualValues(t, 3, scale.Status.Replicas)
	require.NotEmpty(t, scale.Status.Selector)
	wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")

	update(t, b, func(b *v1alpha1.Bridge) { one := int32(1); b.Spec.Replicas = &one })
	require.True(t, eventually(t, func() bool { return apierrors.IsNotFound(k8s.Get(t.Context(), name, pdb)) }), "the budget goes when one replica is left")
}

// Nobody has to touch the Bridge once the stranger's object is gone.
func TestAStrangersObjectIsNotAdopted(t *testing.T) {
	for name, stranger := range map[string]client.Object{
		"edge-bridge":              &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}},
		"edge-bridge-documents-00": &corev1.Secret{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := newNamespace(t)
			stranger.SetNamespace(ns)
			stranger.SetName(name)
			b := newBridge(ns, "edge")
			b.Spec.StoreRef = &v1alpha1.ObjectReference{Name: "main"}
			create(t, stranger, newStore(ns, "main"), b)
			c := wait(t, b, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonConflict)
			require.Contains(t, c.Message, ns+"/"+name)
			require.NoError(t, k8s.Get(t.Context(), client.ObjectKeyFromObject(stranger), stranger))
			require.Empty(t, stranger.GetOwnerReferences())
			require.NoError(t, k8s.Delete(t.Context(), stranger))
			wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
		})
	}
}

func TestSuspendPausesReconcilingOnly(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	b := newBridge(ns, "edge")
	create(t, b)
	wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	update(t, b, func(b *v1alpha1.Bridge) { b.Spec.Suspend = true; n := int32(3); b.Spec.Replicas = &n })
	wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSuspended)
	d := &appsv1.Deployment{}
	require.NoError(t, k8s.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: "edge-bridge"}, d))
	require.EqualValues(t, 1, *d.Spec.Replicas)
	update(t, b, func(b *v1alpha1.Bridge) { b.Spec.Suspend = false })
	require.True(t, eventually(t, func() bool {
		return k8s.Get(t.Context(), client.ObjectKeyFromObject(d), d) == nil && *d.Spec.Replicas == 3
	}))
}

func TestStoreConditions(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	st := newStore(ns, "main")
	st.Spec.API = &v1alpha1.StoreAPI{Tokens: []v1alpha1.APIToken{{Name: "desk", SecretRef: v1alpha1.SecretReference{Name: "desk"}, Namespaces: []string{ns}, Access: v1alpha1.APIAccessWrite}}}
	create(t, st)
	c := wait(t, st, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonSecretNotUsable)
	require.Contains(t, c.Message, "spec.api.tokens[desk].secretRef")
	create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "desk", Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{"token": "0123456789abcdef0123456789abcdef"},
	})
	wait(t, st, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.Equal(t, "sqlite", st.Status.Backend)
	require.Equal(t, "10Gi", st.Status.Effective.StorageSize)
	require.Equal(t, "http://main-store."+ns+".svc:8080", st.Status.URL)
}

func TestAStoreInUseWaitsForItsBridges(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	st, b := newStore(ns, "main"), newBridge(ns, "edge")
	b.Spec.StoreRef = &v1alpha1.ObjectReference{Name: "main"}
	create(t, st, b)
	wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.NoError(t, k8s.Delete(t.Context(), st))
	wait(t, st, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInUse)
	require.NoError(t, k8s.Delete(t.Context(), b))
	gone(t, b)
	gone(t, st)
}

func TestAForeignStoreNeedsConsent(t *testing.T) {
	t.Parallel()
	home, data := newNamespace(t), newNamespace(t)
	st, b := newStore(data, "main"), newBridge(home, "edge")
	b.Spec.StoreRef = &v1alpha1.ObjectReference{Namespace: data, Name: "main"}
	create(t, st, b)
	wait(t, b, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonRefNotPermitted)
	update(t, st, func(s *v1alpha1.ConversationStore) {
		s.Spec.AllowedBridges = &v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	})
	wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.Equal(t, data+"/main", b.Status.Store)
}

// At rest nothing is written: resourceVersions stand still.
func TestSilenceAtRest(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	b, st := newBridge(ns, "default"), newStore(ns, "default")
	wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	wait(t, st, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	objects := []client.Object{
		ch, b, st, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default-bridge"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default-bridge-documents-00"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default-store-documents-00"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default-bridge-tls"}},
	}
	versions := func() (out []string) {
		for _, o := range objects {
			require.NoError(t, k8s.Get(t.Context(), client.ObjectKeyFromObject(o), o))
			out = append(out, o.GetResourceVersion())
		}
		return out
	}
	// Settled is three seconds without a write: many rounds of reconciling, and
	// ten times the poller's fast rhythm.
	settled := func() []string {
		last, quiet := versions(), 0
		require.True(t, eventually(t, func() bool {
			now := versions()
			if !slices.Equal(last, now) {
				last, quiet = now, 0
			}
			quiet++
			return quiet > 150 // of 20 ms each: 3 s
		}), "resourceVersions do not come to rest")
		return last
	}
	// Asking again for everything, as after a change, finds nothing to write. On a
	// slow machine what settles may come later than three seconds after the rest, so
	// that one silence of several is enough: a compilation that writes does so each time.
	var last, now []string
	for attempt := range 5 {
		last = settled()
		update(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, func(n *corev1.Namespace) { n.Labels["looked-at"] = strconv.Itoa(attempt) })
		// Looked at from this goroutine: testify's Never asks from another one,
		// which may still be asking when the test has ended.
		for until := time.Now().Add(2 * time.Second); time.Now().Before(until); <-time.After(100 * time.Millisecond) {
			now = versions()
		}
		if slices.Equal(last, now) {
			return
		}
	}
	require.Equal(t, last, now, "a compilation that changes nothing writes something")
}

// Conversations and what is queued stay in the store that a Channel leaves.
func TestAChannelThatMovesToAnotherStoreIsTold(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.Equal(t, ns+"/default", ch.Status.Store)
	create(t, newStore(ns, "second"))
	update(t, newBridge(ns, "default"), func(b *v1alpha1.Bridge) { b.Spec.StoreRef = &v1alpha1.ObjectReference{Name: "second"} })
	told(t, ns, v1alpha1.EventStoreChanged)
	require.NoError(t, k8s.Get(t.Context(), client.ObjectKeyFromObject(ch), ch))
	require.Equal(t, ns+"/second", ch.Status.Store)
}
