package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/cli"
	"github.com/bridgekeeper/bridgekeeper/bridge/memlimit"
	"github.com/bridgekeeper/bridgekeeper/controllers"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

type managerFlags struct {
	image           string
	pod             string
	pullPolicy      string
	namespace       string
	watchNamespaces []string
	createDefaults  bool
	leaderElect     bool
	metricsAddr     string
	healthAddr      string
	concurrency     int
	verbose         bool
}

func newManagerCommand() *cobra.Command {
	var f managerFlags
	cmd := &cobra.Command{
		Use:   "manager",
		Short: "Reconcile Channels, Bridges and ConversationStores in a cluster",
		Long: `Manager is the operator. It compiles Channels, Bridges, ConversationStores and
their Secrets into documents, makes the pods that load them, and writes into each
resource's status what is really happening. Without it messages still flow and
pods still restart; what changes waits.

It runs in the cluster, with the Deployment and the rights of config/default (all
namespaces) or config/namespaced (single ones). The environment variables in
brackets are set there. From a developer's machine it works on the cluster of the
current kubeconfig, but reaches no pods there, so nothing becomes Ready.`,
		Example: `  bridgekeeper manager                                       # in its pod
  bridgekeeper manager --watch-namespaces shop,support       # with Roles in these, and no ClusterRole
  bridgekeeper manager --image bridgekeeper:dev --namespace bridgekeeper-system --leader-elect=false`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runManager(f) },
	}
	f.register(cmd)
	cli.Complete(cmd, "image-pull-policy", string(corev1.PullAlways), string(corev1.PullIfNotPresent), string(corev1.PullNever))
	return cmd
}

func (f *managerFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.image, "image", os.Getenv("IMAGE"), "image of the bridge and store pods; when empty, that of the operator's own pod, which holds both binaries (IMAGE)")
	fs.StringVar(&f.pullPolicy, "image-pull-policy", "", "pull policy of the bridge and store pods: Always, IfNotPresent or Never; the cluster's default when empty")
	fs.StringVar(&f.pod, "pod", os.Getenv("POD_NAME"), "the operator's own pod, whose image is used (POD_NAME)")
	fs.StringVar(&f.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace of the operator itself, where its lease and certificate authority are (POD_NAMESPACE)")
	fs.StringSliceVar(&f.watchNamespaces, "watch-namespaces", nil, "reconcile these namespaces only; needs Roles in them and no ClusterRole. Allow-lists then know namespaces by name only, not by label")
	fs.BoolVar(&f.createDefaults, "create-defaults", true, "make the Bridge and the ConversationStore named \"default\" in a namespace on first use")
	fs.BoolVar(&f.leaderElect, "leader-elect", true, "let one of several operators work at a time")
	fs.StringVar(&f.metricsAddr, "metrics-bind-address", ":8082", "where /metrics is served; 0 turns it off")
	fs.StringVar(&f.healthAddr, "health-probe-bind-address", ":8081", "where /healthz and /readyz are served")
	fs.IntVar(&f.concurrency, "concurrency", 8, "resources of each kind that are reconciled at a time")
	fs.BoolVar(&f.verbose, "verbose", false, "log what is usually not worth it")
}

func (f managerFlags) validate() error {
	switch {
	case f.image == "" && f.pod == "":
		return errors.New("--image and --pod are empty: set POD_NAME to the operator's own pod, whose image the bridge and store pods get, or name an image")
	case f.namespace == "":
		return errors.New("--namespace is empty: set it, or POD_NAMESPACE, to the operator's own namespace")
	}
	switch corev1.PullPolicy(f.pullPolicy) {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
		return nil
	}
	return fmt.Errorf("--image-pull-policy %q: want Always, IfNotPresent or Never", f.pullPolicy)
}

func runManager(f managerFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	logger := logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)

	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("no cluster to talk to: %w; run it in a pod, or set KUBECONFIG (\"bridgekeeper standalone\" needs no cluster)", err)
	}
	ctx := ctrl.SetupSignalHandler()
	mgr, err := newOperator(ctx, config, &f)
	if err != nil {
		return err
	}
	logger.Info("starting", "version", version, "image", f.image, "watchNamespaces", strings.Join(f.watchNamespaces, ","), "memoryLimit", memlimit.Apply())
	return mgr.Start(ctx)
}

// newOperator is a manager with all controllers; f.image is set to the image
// that bridge and store pods get.
func newOperator(ctx context.Context, config *rest.Config, f *managerFlags) (ctrl.Manager, error) {
	mgr, err := newManager(config, *f)
	if err != nil {
		return nil, err
	}
	if f.image == "" {
		f.image, err = controllers.OwnImage(ctx, mgr.GetAPIReader(), types.NamespacedName{Namespace: f.namespace, Name: f.pod})
		if err != nil {
			return nil, err
		}
	}
	return mgr, controllers.Setup(mgr, controllers.Options{
		Workload:        workload.Options{Image: f.image, ImagePullPolicy: corev1.PullPolicy(f.pullPolicy), OperatorNamespace: f.namespace},
		CreateDefaults:  f.createDefaults,
		Namespaces:      len(f.watchNamespaces) == 0,
		WatchNamespaces: f.watchNamespaces,
		Concurrency:     f.concurrency,
		Metrics:         metrics.Registry,
	})
}

func newManager(config *rest.Config, f managerFlags) (ctrl.Manager, error) {
	// The server's own fairness bounds us better than a client-side limit, whose
	// defaults (20 a second) are what makes operators slow at a thousand objects.
	config.QPS, config.Burst = -1, -1
	config.UserAgent = "bridgekeeper/" + version
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	release := 5 * time.Second
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsserver.Options{BindAddress: f.metricsAddr},
		HealthProbeBindAddress:        f.healthAddr,
		LeaderElection:                f.leaderElect,
		LeaderElectionID:              "bridgekeeper-manager",
		LeaderElectionNamespace:       f.namespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &release,
		Cache:                         cacheOptions(f),
	})
	if err != nil {
		return nil, err
	}
	for _, add := range []func(string, healthz.Checker) error{mgr.AddHealthzCheck, mgr.AddReadyzCheck} {
		if err := add("ping", healthz.Ping); err != nil {
			return nil, err
		}
	}
	return mgr, nil
}

// cacheOptions keeps strangers' objects out of memory: of Secrets only those
// with the credentials label, of workloads only our own.
func cacheOptions(f managerFlags) cache.Options {
	ours := labels.SelectorFromSet(labels.Set{workload.LabelManagedBy: workload.ManagedBy})
	credentials, err := labels.Parse(v1alpha1.CredentialsLabel)
	if err != nil {
		panic(err) // a constant
	}
	own := map[string]cache.Config{}
	for _, n := range f.watchNamespaces {
		own[n] = cache.Config{}
	}
	secrets := cache.ByObject{Label: credentials}
	if len(own) > 0 {
		// The authority is in the operator's namespace, watched or not.
		secrets.Namespaces = map[string]cache.Config{f.namespace: {}}
		for n := range own {
			secrets.Namespaces[n] = cache.Config{}
		}
	}
	return cache.Options{
		DefaultNamespaces: own,
		DefaultTransform:  cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}:                secrets,
			&corev1.PersistentVolumeClaim{}: {Label: ours},
			&corev1.Pod{}:                   {Label: ours},
			&corev1.Service{}:               {Label: ours},
			&corev1.ServiceAccount{}:        {Label: ours},
			&appsv1.Deployment{}:            {Label: ours},
			&appsv1.StatefulSet{}:           {Label: ours},
			&networkingv1.NetworkPolicy{}:   {Label: ours},
			&networkingv1.Ingress{}:         {Label: ours},
			&policyv1.PodDisruptionBudget{}: {Label: ours},
		},
	}
}
