package workload_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	psaapi "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

var update = flag.Bool("update", false, "write the golden files anew")

var options = workload.Options{
	Image:             "ghcr.io/bridgekeeper/bridgekeeper:v0.1.0",
	ImagePullPolicy:   corev1.PullIfNotPresent,
	OperatorNamespace: "bridgekeeper-system",
}

// storeBridges are the Bridges of the stores in testdata.
var storeBridges = []types.NamespacedName{{Namespace: "shop", Name: "hooks"}, {Namespace: "sales", Name: "default"}}

// build builds the objects of the resource in a file of testdata.
func build(t *testing.T, name string) []client.Object {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".input.yaml"))
	require.NoError(t, err)
	var kind metav1.TypeMeta
	require.NoError(t, yaml.Unmarshal(raw, &kind))
	if kind.Kind == "ConversationStore" {
		store := &v1alpha1.ConversationStore{}
		require.NoError(t, yaml.UnmarshalStrict(raw, store))
		return workload.Store(store, storeBridges, options)
	}
	bridge := &v1alpha1.Bridge{}
	require.NoError(t, yaml.UnmarshalStrict(raw, bridge))
	store := types.NamespacedName{Namespace: bridge.Namespace, Name: v1alpha1.DefaultName}
	if ref := bridge.Spec.StoreRef; ref != nil {
		store = types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
	}
	objects := workload.Bridge(bridge, store, options)
	if route := workload.BridgeRoute(bridge); route != nil {
		objects = append(objects, route)
	}
	return objects
}

// inputs are the names of all files of testdata.
func inputs(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.input.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".input.yaml")
	}
	return files
}

// TestGolden shows what the builders make, to the eye of a reviewer. Write the
// files anew with: go test ./controllers/workload -update
func TestGolden(t *testing.T) {
	for _, name := range inputs(t) {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, o := range build(t, name) {
				content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
				require.NoError(t, err)
				delete(content, "status") // never applied
				raw, err := yaml.Marshal(content)
				require.NoError(t, err)
				got.WriteString("---\n")
				got.Write(raw)
			}
			file := filepath.Join("testdata", name+".golden.yaml")
			if *update {
				require.NoError(t, os.WriteFile(file, got.Bytes(), 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err, "write it with -update")
			assert.Empty(t, cmp.Diff(string(want), got.String()), "if that is meant, write it with -update")
		})
	}
}

// TestBuildersArePure: the same input makes the same objects, and is not changed.
func TestBuildersArePure(t *testing.T) {
	for _, name := range inputs(t) {
		assert.Empty(t, cmp.Diff(build(t, name), build(t, name)), name)
	}
	bridge := &v1alpha1.Bridge{Spec: v1alpha1.BridgeSpec{Egress: &v1alpha1.Egress{CIDRs: []string{"b", "a"}}}}
	before := bridge.DeepCopy()
	workload.Bridge(bridge, types.NamespacedName{}, options)
	assert.Equal(t, before, bridge)
	bridges := slices.Clone(storeBridges)
	workload.Store(&v1alpha1.ConversationStore{}, bridges, options)
	assert.Equal(t, storeBridges, bridges)
}

// template finds the pod template among a resource's objects.
func template(t *testing.T, objects []client.Object) *corev1.PodTemplateSpec {
	t.Helper()
	for _, o := range objects {
		switch w := o.(type) {
		case *appsv1.Deployment:
			return &w.Spec.Template
		case *appsv1.StatefulSet:
			return &w.Spec.Template
		}
	}
	t.Fatal("there is no workload")
	return nil
}

// TestPodsPassRestricted runs the code of the Pod Security admission plugin.
func TestPodsPassRestricted(t *testing.T) {
	evaluator, err := psapolicy.NewEvaluator(psapolicy.DefaultChecks(), nil)
	require.NoError(t, err)
	restricted := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	for _, name := range inputs(t) {
		pod := template(t, build(t, name))
		for _, check := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
			assert.True(t, check.Allowed, "%s: %s: %s", name, check.ForbiddenReason, check.ForbiddenDetail)
		}
	}
}

// TestPodsHoldNoClusterCredentials: what faces the internet cannot ask the API server.
func TestPodsHoldNoClusterCredentials(t *testing.T) {
	for _, name := range inputs(t) {
		objects := build(t, name)
		pod := template(t, objects)
		assert.Equal(t, ptr.To(false), pod.Spec.AutomountServiceAccountToken, name)
		account := find[*corev1.ServiceAccount](t, objects)
		assert.Equal(t, ptr.To(false), account.AutomountServiceAccountToken, name)
		assert.Equal(t, account.Name, pod.Spec.ServiceAccountName, name)
	}
}

func find[T client.Object](t *testing.T, objects []client.Object) T {
	t.Helper()
	for _, o := range objects {
		if found, ok := o.(T); ok {
			return found
		}
	}
	var none T
	t.Fatalf("there is no %T", none)
	return none
}

func kinds(objects []client.Object) []string {
	var all []string
	for _, o := range objects {
		all = append(all, o.GetObjectKind().GroupVersionKind().Kind)
	}
	return all
}

// TestDisruptionBudgetFromTwoReplicasOn: with one replica a budget would only
// block the draining of its node.
func TestDisruptionBudgetFromTwoReplicasOn(t *testing.T) {
	for replicas, want := range map[*int32]bool{nil: false, ptr.To[int32](0): false, ptr.To[int32](1): false, ptr.To[int32](2): true, ptr.To[int32](9): true} {
		bridge := &v1alpha1.Bridge{Spec: v1alpha1.BridgeSpec{Replicas: replicas}}
		has := slices.Contains(kinds(workload.Bridge(bridge, types.NamespacedName{}, options)), "PodDisruptionBudget")
		assert.Equal(t, want, has, "%d replicas", workload.Replicas(bridge))
	}
}

// TestTemplateDoesNotChangeWithContent: what a Bridge serves, and where it may
// connect to, must not restart its pods.
func TestTemplateDoesNotChangeWithContent(t *testing.T) {
	bridge := &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default", UID: "1"}}
	before := template(t, workload.Bridge(bridge, types.NamespacedName{}, options))
	changed := bridge.DeepCopy()
	changed.Generation, changed.ResourceVersion = 7, "7"
	changed.Labels, changed.Annotations = map[string]string{"a": "b"}, map[string]string{"c": "d"}
	changed.Spec = v1alpha1.BridgeSpec{
		Replicas:          ptr.To[int32](3),
		StoreRef:          &v1alpha1.ObjectReference{Name: "other"},
		PublicURL:         "https://hooks.example.com",
		AllowedChannels:   &v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll},
		PlatformEndpoints: []v1alpha1.PlatformEndpoint{{Platform: "telegram", URL: "http://localhost"}},
		Expose:            &v1alpha1.Expose{ServiceType: corev1.ServiceTypeLoadBalancer},
		Egress:            &v1alpha1.Egress{AllowPrivateHosts: true},
	}
	after := template(t, workload.Bridge(changed, types.NamespacedName{Namespace: "shop", Name: "other"}, options))
	assert.Empty(t, cmp.Diff(before, after))

	store := &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default", UID: "2"}}
	before = template(t, workload.Store(store, nil, options))
	grown := store.DeepCopy()
	grown.Generation = 7
	grown.Spec.API = &v1alpha1.StoreAPI{Tokens: []v1alpha1.APIToken{{Name: "desk"}}}
	grown.Spec.Retention = &v1alpha1.Retention{Raw: &metav1.Duration{Duration: 1}}
	grown.Spec.AllowedBridges = &v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	after = template(t, workload.Store(grown, storeBridges, options))
	assert.Empty(t, cmp.Diff(before, after))

	postgres := store.DeepCopy()
	postgres.Spec.Postgres = &v1alpha1.PostgresBackend{DSNSecretRef: v1alpha1.SecretReference{Name: "a"}}
	before = template(t, workload.Store(postgres, nil, options))
	postgres.Spec.Postgres = &v1alpha1.PostgresBackend{DSNSecretRef: v1alpha1.SecretReference{Name: "b"}, Port: 6432, Replicas: ptr.To[int32](5)}
	after = template(t, workload.Store(postgres, storeBridges, options))
	assert.Empty(t, cmp.Diff(before, after), "another database, in another place")
}

// TestPostgresStoreScales: its pods keep nothing, so one goes only after
// another serves, and a drained node takes one at a time.
func TestPostgresStoreScales(t *testing.T) {
	for replicas, want := range map[*int32]int32{nil: 2, ptr.To[int32](1): 1, ptr.To[int32](16): 16} {
		store := &v1alpha1.ConversationStore{Spec: v1alpha1.ConversationStoreSpec{Postgres: &v1alpha1.PostgresBackend{Replicas: replicas}}}
		objects := workload.Store(store, nil, options)
		d := find[*appsv1.Deployment](t, objects)
		assert.Equal(t, want, *d.Spec.Replicas)
		assert.Equal(t, "0", d.Spec.Strategy.RollingUpdate.MaxUnavailable.String())
		assert.Equal(t, want >= 2, slices.Contains(kinds(objects), "PodDisruptionBudget"))
		assert.Equal(t, want < 2, len(workload.StoreUnwanted(store)) == 1, "the budget of more replicas goes")
	}
}

// TestDatabaseSecretIsNobodyElses: no Channel and no token can be aimed at it.
func TestDatabaseSecretIsNobodyElses(t *testing.T) {
	store := &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "main"}}
	secret := workload.Database(store, map[string]string{"dsn": "postgres://db/x"})
	assert.Equal(t, v1alpha1.CredentialsInternal, secret.Labels[v1alpha1.CredentialsLabel])
	assert.Equal(t, map[string][]byte{"dsn": []byte("postgres://db/x")}, secret.Data)
	store.Spec.Postgres = &v1alpha1.PostgresBackend{}
	mounted := false
	for _, v := range template(t, workload.Store(store, nil, options)).Spec.Volumes {
		mounted = mounted || v.Secret != nil && v.Secret.SecretName == secret.Name
	}
	assert.True(t, mounted)
}

// TestEveryShardIsDeclared: a document can grow to all its shards without a
// new template, and a missing one does not keep a pod from starting.
func TestEveryShardIsDeclared(t *testing.T) {
	for _, name := range inputs(t) {
		objects := build(t, name)
		child := find[*corev1.ServiceAccount](t, objects).Name
		var files []string
		for _, v := range template(t, objects).Spec.Volumes {
			if v.Projected == nil {
				continue
			}
			for i, source := range v.Projected.Sources {
				assert.Equal(t, workload.DocumentSecret(child, i), source.Secret.Name)
				assert.Equal(t, ptr.To(true), source.Secret.Optional)
				files = append(files, source.Secret.Items[0].Path)
			}
		}
		require.Len(t, files, document.MaxShards, name)
		for i, f := range files {
			assert.Equal(t, document.ShardFile(i), f)
		}
	}
}

// TestLongestNamesFit: the schema's longest name must make names that the API
// server takes.
func TestLongestNamesFit(t *testing.T) {
	name := strings.Repeat("a", 40)
	meta := metav1.ObjectMeta{Namespace: "shop", Name: name}
	objects := append(workload.Bridge(&v1alpha1.Bridge{ObjectMeta: meta}, types.NamespacedName{}, options),
		workload.Store(&v1alpha1.ConversationStore{ObjectMeta: meta}, nil, options)...)
	for _, o := range objects {
		// A Service's name is a DNS label, and so are most others made of it.
		assert.Empty(t, validation.IsDNS1123Label(o.GetName()), o.GetName())
		for _, value := range o.GetLabels() {
			assert.Empty(t, validation.IsValidLabelValue(value), value)
		}
	}
	// A StatefulSet's pods carry "controller-revision-hash: NAME-HASH" as a
	// label of at most 63 characters; the hash has ten.
	assert.LessOrEqual(t, len(workload.StoreChild(name))+1+10, 63)
	assert.Empty(t, validation.IsDNS1123Label(workload.DocumentSecret(workload.StoreChild(name), document.MaxShards-1)))
	assert.Empty(t, validation.IsDNS1123Label(workload.TLSSecret(workload.BridgeChild(name))))
}

// TestVolumeOutlivesItsStore: conversations are never deleted with a manifest.
func TestVolumeOutlivesItsStore(t *testing.T) {
	set := find[*appsv1.StatefulSet](t, build(t, "store-full"))
	assert.Equal(t, appsv1.RetainPersistentVolumeClaimRetentionPolicyType, set.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted)
	assert.Equal(t, appsv1.RetainPersistentVolumeClaimRetentionPolicyType, set.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled)
	assert.Empty(t, set.Spec.VolumeClaimTemplates[0].OwnerReferences)
}
