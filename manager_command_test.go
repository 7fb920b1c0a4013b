package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

func TestManagerFlagsAreChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		flags managerFlags
		says  string
	}{
		"neither image nor pod": {managerFlags{namespace: "x"}, "--image and --pod are empty"},
		"no namespace":          {managerFlags{image: "x"}, "--namespace is empty"},
		"bad policy":            {managerFlags{image: "x", namespace: "x", pullPolicy: "Sometimes"}, "want Always, IfNotPresent or Never"},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, tc.flags.validate(), tc.says) })
	}
	require.NoError(t, managerFlags{image: "x", namespace: "x"}.validate())
	require.NoError(t, managerFlags{pod: "x", namespace: "x"}.validate())
}

// config/namespaced is installed as users do. Then the operator, with the flags
// of its Deployment, in its own pod, and with the rights of its ServiceAccount
// alone, reconciles the namespace that it watches: with Roles, and no
// ClusterRole at all.
func TestWatchNamespacesNeedsRolesOnly(t *testing.T) {
	env, admin := installed(t, "config/namespaced")
	deployment := &appsv1.Deployment{}
	require.NoError(t, admin.Get(t.Context(), types.NamespacedName{Namespace: "bridgekeeper-system", Name: "bridgekeeper-manager"}, deployment))
	pod := podOf(deployment)
	require.NoError(t, admin.Create(t.Context(), pod))
	f := flagsOf(t, pod)
	require.Equal(t, []string{"default"}, f.watchNamespaces)
	require.NoError(t, f.validate())

	account := "system:serviceaccount:" + pod.Namespace + ":" + pod.Spec.ServiceAccountName
	restricted, err := env.AddUser(envtest.User{Name: account, Groups: []string{"system:serviceaccounts"}}, nil)
	require.NoError(t, err)
	mgr, err := newOperator(t.Context(), restricted.Config(), &f)
	require.NoError(t, err)
	require.Equal(t, pod.Spec.Containers[0].Image, f.image, "bridges run what the operator runs")
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	defer func() { cancel(); require.NoError(t, <-stopped) }()

	require.NoError(t, admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "elsewhere"}}))
	require.NoError(t, admin.Create(t.Context(), &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}, Spec: v1alpha1.BridgeSpec{
		PublicURL: "https://hooks.example.com",
		Expose: &v1alpha1.Expose{
			Ingress: &v1alpha1.IngressTemplate{},
			Gateway: &v1alpha1.GatewayTemplate{ParentRefs: []v1alpha1.GatewayReference{{Name: "public"}}},
		},
	}}))
	for _, ns := range []string{"elsewhere", "default"} {
		channel, secret := exampleChannel(ns)
		require.NoError(t, admin.Create(t.Context(), secret))
		require.NoError(t, admin.Create(t.Context(), channel))
	}
	reconciled(t, admin, "default", f.image)
	require.Equal(t, 1.0, measured(t, "Channel"), "of what is watched")
	ch := &v1alpha1.Channel{}
	require.NoError(t, admin.Get(t.Context(), types.NamespacedName{Namespace: "elsewhere", Name: "main"}, ch))
	require.Empty(t, ch.Finalizers, "what is not watched is left alone")
	err = admin.Get(t.Context(), types.NamespacedName{Namespace: "elsewhere", Name: "default"}, &v1alpha1.Bridge{})
	require.True(t, apierrors.IsNotFound(err))
}

// measured is how many resources of a kind the operator's metrics tell of.
func measured(t *testing.T, kind string) (sum float64) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != "bridgekeeper_resources" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == kind {
				sum += m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// installed is an API server with the Gateway API and a kustomization in it.
func installed(t *testing.T, dir string) (*envtest.Environment, client.Client) {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("this test needs an API server: export KUBEBUILDER_ASSETS=$(hack/cluster/cluster.sh binaries --envtest), or run make unit")
	}
	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("controllers", "testdata", "httproutes.yaml")}, ErrorIfCRDPathMissing: true,
		ControlPlaneStartTimeout: 3 * time.Minute, CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 2 * time.Minute}} // their own 20 s and 10 s are for an idle machine
	config, err := env.Start()
	require.NoError(t, err)
	t.Cleanup(func() { _ = env.Stop() })
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, env.KubeConfig, 0o600))
	for _, args := range [][]string{
		{"apply", "--server-side", "-k", dir},
		{"wait", "--for=condition=Established", "--timeout=120s", "-f", "config/crd/bases"},
	} {
		out, err := exec.Command(filepath.Join(assets, "kubectl"), append([]string{"--kubeconfig", kubeconfig}, args...)...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	scheme := runtime.NewScheme()
	require.NoError(t, clientgoscheme.AddToScheme(scheme))
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	admin, err := client.New(config, client.Options{Scheme: scheme})
	require.NoError(t, err)
	return env, admin
}

// podOf is the pod that a Deployment's controllers would make.
func podOf(d *appsv1.Deployment) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name + "-0", Labels: d.Spec.Template.Labels},
		Spec:       d.Spec.Template.Spec,
	}
}

// flagsOf reads the flags of the operator's container as kubelet and the
// command line would, but for its ports.
func flagsOf(t *testing.T, pod *corev1.Pod) managerFlags {
	t.Helper()
	c := pod.Spec.Containers[0]
	var expand []string
	for _, e := range c.Env {
		value := e.Value
		if e.ValueFrom != nil {
			value = map[string]string{"metadata.name": pod.Name, "metadata.namespace": pod.Namespace}[e.ValueFrom.FieldRef.FieldPath]
		}
		t.Setenv(e.Name, value)
		expand = append(expand, "$("+e.Name+")", value)
	}
	require.Equal(t, []string{"/bridgekeeper"}, c.Command)
	require.Equal(t, "manager", c.Args[0])
	var f managerFlags
	cmd := &cobra.Command{}
	f.register(cmd)
	args := make([]string, len(c.Args)-1)
	for i := range args {
		args[i] = strings.NewReplacer(expand...).Replace(c.Args[i+1])
	}
	require.NoError(t, cmd.ParseFlags(args))
	require.Empty(t, cmd.Flags().Args())
	f.metricsAddr, f.healthAddr = "0", "0"
	return f
}

// reconciled waits until the operator has done in a namespace all that it does
// without pods that answer.
func reconciled(t *testing.T, admin client.Client, namespace, image string) {
	t.Helper()
	there := func(name string, obj client.Object) bool {
		return admin.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: name}, obj) == nil
	}
	ch, d := &v1alpha1.Channel{}, &appsv1.Deployment{}
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		if there("main", ch) && apimeta.IsStatusConditionTrue(ch.Status.Conditions, v1alpha1.ConditionResolvedRefs) &&
			there("default-bridge-documents-00", &corev1.Secret{}) && there("default-bridge-tls", &corev1.Secret{}) &&
			there("default-bridge", workload.NewHTTPRoute()) && there("default-store", &appsv1.StatefulSet{}) && there("default-bridge", d) {
			require.Equal(t, image, d.Spec.Template.Spec.Containers[0].Image)
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatalf("the operator does not get along with Roles only; the Channel has %+v", ch.Status)
}

func exampleChannel(namespace string) (*v1alpha1.Channel, *corev1.Secret) {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "main"}
	account := map[string]string{"default": "100001", "elsewhere": "100002"}[namespace]
	secret := &corev1.Secret{ObjectMeta: *meta.DeepCopy(), StringData: map[string]string{"token": account + ":AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"}}
	secret.Labels = map[string]string{v1alpha1.CredentialsLabel: "true"}
	return &v1alpha1.Channel{ObjectMeta: meta, Spec: v1alpha1.ChannelSpec{
		Platform:    v1alpha1.PlatformTelegram,
		Telegram:    &v1alpha1.TelegramChannel{BotID: account},
		Credentials: v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "main"}},
	}}, secret
}
