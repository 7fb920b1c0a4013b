package controllers

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

func postgresStore(ns, name string) *v1alpha1.ConversationStore {
	st := newStore(ns, name)
	st.Spec.Postgres = &v1alpha1.PostgresBackend{DSNSecretRef: v1alpha1.SecretReference{Name: "database"}}
	return st
}

func databaseSecret(ns, dsn string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "database", Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{"dsn": dsn},
	}
}

const goodDSN = "postgres://bridge:hunter2@db.shop:5432/conversations"

func TestPostgresStore(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	st := postgresStore(ns, "main")
	create(t, st)
	c := wait(t, st, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonSecretNotUsable)
	require.Contains(t, c.Message, "spec.postgres.dsnSecretRef")
	child := types.NamespacedName{Namespace: ns, Name: "main-store"}
	d := &appsv1.Deployment{}
	require.True(t, apierrors.IsNotFound(k8s.Get(t.Context(), child, d)), "pods without a database would wait for it ever more rarely")

	secret := databaseSecret(ns, "hunter2")
	create(t, secret)
	c = wait(t, st, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSecretValueInvalid)
	require.NotContains(t, c.Message, "hunter2")
	update(t, secret, func(s *corev1.Secret) { s.Data["dsn"] = []byte(goodDSN) })
	wait(t, st, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	wait(t, st, v1alpha1.ConditionDatabaseReachable, metav1.ConditionTrue, "")
	require.Equal(t, v1alpha1.BackendPostgres, st.Status.Backend)
	require.Equal(t, int32(2), st.Status.Effective.Replicas)
	require.Empty(t, st.Status.Effective.StorageSize)
	require.NoError(t, k8s.Get(t.Context(), child, d))
	require.EqualValues(t, 2, *d.Spec.Replicas)
	require.NoError(t, k8s.Get(t.Context(), child, &policyv1.PodDisruptionBudget{}))
	policy := &networkingv1.NetworkPolicy{}
	require.NoError(t, k8s.Get(t.Context(), child, policy))
	require.EqualValues(t, 5432, policy.Spec.Egress[1].Ports[0].Port.IntVal)
	require.True(t, apierrors.IsNotFound(k8s.Get(t.Context(), child, &appsv1.StatefulSet{})))

	update(t, st, func(st *v1alpha1.ConversationStore) { one := int32(1); st.Spec.Postgres.Replicas = &one })
	require.True(t, eventually(t, func() bool {
		return apierrors.IsNotFound(k8s.Get(t.Context(), child, &policyv1.PodDisruptionBudget{}))
	}), "the budget goes when one replica is left")
	wait(t, st, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// mounted is the connection string that the pods see.
func mounted(t *testing.T, ns string) string {
	secret := &corev1.Secret{}
	if k8s.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: "main-store-database"}, secret) != nil {
		return ""
	}
	return string(secret.Data["dsn"])
}

func TestPostgresRotation(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	st, secret := postgresStore(ns, "main"), databaseSecret(ns, goodDSN)
	create(t, secret, st)
	wait(t, st, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	d := &appsv1.Deployment{}
	name := types.NamespacedName{Namespace: ns, Name: "main-store"}
	require.NoError(t, k8s.Get(t.Context(), name, d))
	template, first := d.Spec.Template, documentOf(t, ns)

	const rotated = "postgres://bridge:hunter3@db.shop:5432/conversations"
	update(t, secret, func(s *corev1.Secret) { s.Data["dsn"] = []byte(rotated) })
	require.True(t, eventually(t, func() bool { return mounted(t, ns) == rotated && documentOf(t, ns) != first }),
		"the pods get it, and a document that makes kubelet look")
	require.NoError(t, k8s.Get(t.Context(), name, d))
	require.Equal(t, template, d.Spec.Template, "without a restart")

	// A Secret of another name that does not consent is not read, and one that
	// loses its label leaves the pods what they have.
	stranger := databaseSecret(ns, "postgres://bridge:stolen@db.shop/x")
	stranger.Name, stranger.Labels = "stranger", nil
	create(t, stranger)
	update(t, st, func(st *v1alpha1.ConversationStore) { st.Spec.Postgres.DSNSecretRef.Name = "stranger" })
	wait(t, st, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonSecretNotUsable)
	require.Equal(t, rotated, mounted(t, ns))
	update(t, st, func(st *v1alpha1.ConversationStore) { st.Spec.Postgres.DSNSecretRef.Name = "database" })
	wait(t, st, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

func documentOf(t *testing.T, ns string) string {
	secret := &corev1.Secret{}
	require.NoError(t, k8s.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: "main-store-documents-00"}, secret))
	return string(secret.Data["shard.json"])
}

func TestPostgresPodsTellOfTheirDatabase(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	st := postgresStore(ns, "main")
	create(t, databaseSecret(ns, goodDSN), st)
	wait(t, st, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	say := func(h document.Health) {
		pods.set(ns, func(b *behaviour) { b.health = &h })
		// The operator asks pods at once whose object changes, else within 10 s.
		update(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "main-store-0"}}, func(p *corev1.Pod) {
			p.Annotations = map[string]string{"said": fmt.Sprint(h)}
		})
	}

	say(document.Health{OK: true, Warnings: []document.Warning{{Reason: v1alpha1.ReasonDSNNotUsable, Message: "password authentication failed"}}})
	c := wait(t, st, v1alpha1.ConditionDatabaseReachable, metav1.ConditionFalse, v1alpha1.ReasonDSNNotUsable)
	require.Contains(t, c.Message, "former connection string is still in use")
	told(t, ns, v1alpha1.ReasonDSNNotUsable)
	say(document.Health{Message: "db.shop:5432: connection refused"})
	c = wait(t, st, v1alpha1.ConditionDatabaseReachable, metav1.ConditionFalse, v1alpha1.ReasonUnreachable)
	require.Contains(t, c.Message, "connection refused")
	wait(t, st, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

func TestBackendDoesNotChange(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	st := newStore(ns, "main")
	create(t, st)
	st.Spec.Postgres = postgresStore(ns, "main").Spec.Postgres
	err := k8s.Update(t.Context(), st, client.DryRunAll)
	require.ErrorContains(t, err, "the backend is immutable")
}
