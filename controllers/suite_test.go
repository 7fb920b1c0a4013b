package controllers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// One API server and one manager serve all tests of this package; each test
// has namespaces of its own and accounts that no other test claims.
var (
	k8s  client.WithWatch
	pods *standIn

	apiServer  *rest.Config
	kubeconfig []byte // of the same
)

const operatorNamespace = "bridgekeeper-system"

func TestMain(m *testing.M) {
	code, err := runSuite(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func runSuite(m *testing.M) (int, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return 0, fmt.Errorf("these tests need an API server: export KUBEBUILDER_ASSETS=$(hack/cluster/cluster.sh binaries --envtest), or run make unit")
	}
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: logLevel()})))
	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true,
		ControlPlaneStartTimeout: 3 * time.Minute, CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 2 * time.Minute}} // their own 20 s and 10 s are for an idle machine
	config, err := env.Start()
	if err != nil {
		return 0, err
	}
	defer func() { _ = env.Stop() }()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return 0, err
		}
	}
	config.QPS, config.Burst = -1, -1
	apiServer, kubeconfig = config, env.KubeConfig
	if k8s, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := k8s.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}); err != nil {
		return 0, err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields()}})
	if err != nil {
		return 0, err
	}
	pods = newStandIn(k8s)
	err = Setup(mgr, Options{
		Workload:       workload.Options{Image: "bridgekeeper:test", OperatorNamespace: operatorNamespace},
		CreateDefaults: true, Namespaces: true, Concurrency: 4, Fetcher: pods,
	})
	if err != nil {
		return 0, err
	}
	statuses, err := watchTransitions(ctx, k8s)
	if err != nil {
		return 0, err
	}
	go pods.run(ctx)
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	code := m.Run()
	cancel()
	if err := errors.Join(<-done, statuses.end()); err != nil {
		return 1, err
	}
	return code, nil
}

var namespaces atomic.Int64

// newNamespace makes a namespace; labels come in pairs.
func newNamespace(t *testing.T, labels ...string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("t%d", namespaces.Add(1)), Labels: map[string]string{}}}
	for i := 0; i+1 < len(labels); i += 2 {
		ns.Labels[labels[i]] = labels[i+1]
	}
	require.NoError(t, k8s.Create(t.Context(), ns))
	return ns.Name
}

var accounts atomic.Int64

// newAccount draws a bot id that no other test has.
func newAccount() string { return fmt.Sprint(100000 + accounts.Add(1)) }

func token(account string) string { return account + ":AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw" }

func telegramSecret(namespace, name, account string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{"token": token(account)},
	}
}

func telegramChannel(namespace, name, account string) *v1alpha1.Channel {
	return &v1alpha1.Channel{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.ChannelSpec{
			Platform:    v1alpha1.PlatformTelegram,
			Telegram:    &v1alpha1.TelegramChannel{BotID: account},
			Credentials: v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: name}},
		},
	}
}

func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		require.NoError(t, k8s.Create(t.Context(), o))
	}
}

// update reads, changes and writes an object until nobody else was faster.
func update[T client.Object](t *testing.T, obj T, change func(T)) {
	t.Helper()
	require.True(t, eventually(t, func() bool {
		require.NoError(t, k8s.Get(t.Context(), client.ObjectKeyFromObject(obj), obj))
		change(obj)
		err := k8s.Update(t.Context(), obj)
		if !apierrors.IsConflict(err) {
			require.NoError(t, err)
		}
		return err == nil
	}), "others are always faster")
}

// conditioned is a resource with conditions.
type conditioned interface {
	client.Object
	GetConditions() *[]metav1.Condition
}

// patience is for a machine that does much else meanwhile.
const patience = 2 * time.Minute

// wait reads obj until a condition has a status and reason ("" is any), and
// checks the kstatus rules at every step on the way.
func wait(t *testing.T, obj conditioned, conditionType string, status metav1.ConditionStatus, reason string) *metav1.Condition {
	t.Helper()
	var found *metav1.Condition
	ok := eventually(t, func() bool {
		if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			return false
		}
		if conditions.ObservedGeneration(obj) == obj.GetGeneration() { // before, kstatus says InProgress by that alone
			require.Empty(t, conditions.Check(obj), "the status breaks a rule")
		}
		found = apimeta.FindStatusCondition(*obj.GetConditions(), conditionType)
		return found != nil && found.Status == status && (reason == "" || found.Reason == reason) && found.ObservedGeneration == obj.GetGeneration()
	})
	if !ok {
		t.Fatalf("%s of %s did not become %s %s; it has\n%s", conditionType, client.ObjectKeyFromObject(obj), status, reason, describe(obj))
	}
	return found
}

func eventually(t *testing.T, f func() bool) bool {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if f() {
			return true
		}
		select {
		case <-t.Context().Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}

func describe(obj conditioned) string {
	var b strings.Builder
	fmt.Fprintf(&b, "generation %d\n", obj.GetGeneration())
	for _, c := range *obj.GetConditions() {
		fmt.Fprintf(&b, "%s=%s %s (%d): %s\n", c.Type, c.Status, c.Reason, c.ObservedGeneration, c.Message)
	}
	return b.String()
}

// logLevel: TEST_LOG=debug shows what the operator does.
func logLevel() slog.Level {
	if os.Getenv("TEST_LOG") == "debug" {
		return slog.LevelDebug
	}
	return slog.LevelError
}

// told waits for an Event in a namespace.
func told(t *testing.T, namespace, reason string) {
	t.Helper()
	require.True(t, eventually(t, func() bool {
		var list eventsv1.EventList
		if k8s.List(t.Context(), &list, client.InNamespace(namespace)) != nil {
			return false
		}
		return slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool { return e.Reason == reason })
	}), "no Event %s", reason)
}
