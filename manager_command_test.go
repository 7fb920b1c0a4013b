package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

func TestManagerFlagsAreChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		flags managerFlags
		says  string
	}{
		"no image":     {managerFlags{namespace: "x"}, "--image is empty"},
		"no namespace": {managerFlags{image: "x"}, "--namespace is empty"},
		"bad policy":   {managerFlags{image: "x", namespace: "x", pullPolicy: "Sometimes"}, "want Always, IfNotPresent or Never"},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, tc.flags.validate(), tc.says) })
	}
	require.NoError(t, managerFlags{image: "x", namespace: "x"}.validate())
}

// With --watch-namespaces the operator works with Roles in its own and the
// watched namespaces, and with no ClusterRole at all.
func TestWatchNamespacesNeedsRolesOnly(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("this test needs an API server: export KUBEBUILDER_ASSETS=$(hack/cluster/cluster.sh binaries --envtest), or run make unit")
	}
	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	require.NoError(t, err)
	t.Cleanup(func() { _ = env.Stop() })
	scheme := runtime.NewScheme()
	require.NoError(t, clientgoscheme.AddToScheme(scheme))
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	admin, err := client.New(config, client.Options{Scheme: scheme})
	require.NoError(t, err)

	f := managerFlags{
		image: "bridgekeeper:test", namespace: "operator", watchNamespaces: []string{"watched"},
		createDefaults: true, leaderElect: true, metricsAddr: "0", healthAddr: "0", concurrency: 2,
	}
	for _, ns := range []string{"operator", "watched", "elsewhere"} {
		require.NoError(t, admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}))
	}
	grantRoles(t, admin, "watched", "config/rbac/role.yaml")
	grantRoles(t, admin, "operator", "config/rbac/operator_namespace_role.yaml")

	restricted, err := env.AddUser(envtest.User{Name: "operator"}, nil)
	require.NoError(t, err)
	mgr, err := newManager(restricted.Config(), f)
	require.NoError(t, err)
	require.NoError(t, controllers.Setup(mgr, controllers.Options{
		Workload: workload.Options{Image: f.image, OperatorNamespace: f.namespace}, CreateDefaults: true, Concurrency: 2,
	}))
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	defer func() { cancel(); require.NoError(t, <-stopped) }()

	for _, ns := range []string{"elsewhere", "watched"} {
		channel, secret := exampleChannel(ns)
		require.NoError(t, admin.Create(t.Context(), secret))
		require.NoError(t, admin.Create(t.Context(), channel))
	}
	name := types.NamespacedName{Namespace: "watched", Name: "main"}
	require.Eventually(t, func() bool {
		ch := &v1alpha1.Channel{}
		return admin.Get(t.Context(), name, ch) == nil && apimeta.IsStatusConditionTrue(ch.Status.Conditions, v1alpha1.ConditionResolvedRefs) &&
			admin.Get(t.Context(), types.NamespacedName{Namespace: "watched", Name: "default-bridge-documents-00"}, &corev1.Secret{}) == nil &&
			admin.Get(t.Context(), types.NamespacedName{Namespace: "watched", Name: "default-bridge-tls"}, &corev1.Secret{}) == nil
	}, 30*time.Second, 50*time.Millisecond, "the operator does not get along with Roles only")
	ch := &v1alpha1.Channel{}
	require.NoError(t, admin.Get(t.Context(), types.NamespacedName{Namespace: "elsewhere", Name: "main"}, ch))
	require.Empty(t, ch.Finalizers, "what is not watched is left alone")
	err = admin.Get(t.Context(), types.NamespacedName{Namespace: "elsewhere", Name: "default"}, &v1alpha1.Bridge{})
	require.True(t, apierrors.IsNotFound(err))
}

// grantRoles gives the user "operator" the rules of a manifest, as a Role.
func grantRoles(t *testing.T, admin client.Client, namespace, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var role rbacv1.Role // the first document of the file; a ClusterRole has the same rules
	require.NoError(t, yaml.Unmarshal(raw, &role))
	require.NotEmpty(t, role.Rules)
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "operator"}
	require.NoError(t, admin.Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: role.Rules}))
	require.NoError(t, admin.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "operator"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "operator"}},
	}))
}

func exampleChannel(namespace string) (*v1alpha1.Channel, *corev1.Secret) {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "main"}
	account := map[string]string{"watched": "100001", "elsewhere": "100002"}[namespace]
	secret := &corev1.Secret{ObjectMeta: *meta.DeepCopy(), StringData: map[string]string{"token": account + ":AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"}}
	secret.Labels = map[string]string{v1alpha1.CredentialsLabel: "true"}
	return &v1alpha1.Channel{ObjectMeta: meta, Spec: v1alpha1.ChannelSpec{
		Platform:    v1alpha1.PlatformTelegram,
		Telegram:    &v1alpha1.TelegramChannel{BotID: account},
		Credentials: v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "main"}},
	}}, secret
}
