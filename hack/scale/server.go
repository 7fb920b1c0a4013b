package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

const operatorNamespace = "bridgekeeper-system"

// server is the API server, with everything that a cluster would hold.
type server struct {
	env        *envtest.Environment
	config     *rest.Config
	kubeconfig string
	client     client.Client
	// cache watches what the stand-ins and the clock of a scenario need.
	cache cache.Cache
}

func startServer(ctx context.Context, dir, crds string) (*server, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("the API server's binaries are missing: export KUBEBUILDER_ASSETS=$(hack/cluster/cluster.sh binaries --envtest), or run make scale")
	}
	s := &server{env: &envtest.Environment{CRDDirectoryPaths: []string{crds}, ErrorIfCRDPathMissing: true}}
	var err error
	if s.config, err = s.env.Start(); err != nil {
		return nil, fmt.Errorf("the API server does not start: %w", err)
	}
	s.config.QPS, s.config.Burst = -1, -1
	s.kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := errors.Join(os.WriteFile(s.kubeconfig, s.env.KubeConfig, 0o600), s.connect(ctx)); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) stop() { _ = s.env.Stop() }

func (s *server) connect(ctx context.Context) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{workload.LabelManagedBy: workload.ManagedBy})}
	var err error
	if s.client, err = client.New(s.config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	s.cache, err = cache.New(s.config, cache.Options{Scheme: scheme, DefaultTransform: cache.TransformStripManagedFields(), ByObject: map[client.Object]cache.ByObject{
		&corev1.Secret{}: ours, &appsv1.Deployment{}: ours, &appsv1.StatefulSet{}: ours,
	}})
	if err != nil {
		return err
	}
	for _, name := range []string{operatorNamespace, namespace} {
		if err := s.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	return nil
}

// versions are the resourceVersions of everything but Leases, which are renewed
// for ever.
type versions map[string]string

// kinds that the operator or its children could write.
var kinds = []string{
	"v1/Secret", "v1/Pod", "v1/Service", "v1/ServiceAccount", "v1/ConfigMap", "v1/PersistentVolumeClaim",
	"apps/v1/Deployment", "apps/v1/StatefulSet", "networking.k8s.io/v1/NetworkPolicy", "networking.k8s.io/v1/Ingress",
	"policy/v1/PodDisruptionBudget", "events.k8s.io/v1/Event",
	"bridgekeeper.dev/v1alpha1/Channel", "bridgekeeper.dev/v1alpha1/Bridge", "bridgekeeper.dev/v1alpha1/ConversationStore",
}

func (s *server) versions(ctx context.Context) (versions, error) {
	all := versions{}
	for _, kind := range kinds {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kindOf(kind + "List"))
		if err := s.client.List(ctx, list); err != nil {
			return nil, err
		}
		for i := range list.Items {
			o := &list.Items[i]
			if o.Namespace == operatorNamespace {
				continue // whoever becomes the leader tells so
			}
			all[fmt.Sprintf("%s %s/%s", kind, o.Namespace, o.Name)] = o.ResourceVersion
		}
	}
	return all, nil
}

// changed lists what is not as it was.
func (v versions) changed(after versions) (names []string) {
	for name, version := range after {
		if v[name] != version {
			names = append(names, name)
		}
	}
	for name := range v {
		if _, there := after[name]; !there {
			names = append(names, name+" (gone)")
		}
	}
	return names
}

// story tells of changed objects what people can read: the notes of Events, and
// the names of the rest; the first few of them.
func (s *server) story(ctx context.Context, changed []string) string {
	var lines []string
	for _, name := range changed[:min(8, len(changed))] {
		kind, key, _ := strings.Cut(name, " ")
		event := &eventsv1.Event{}
		if namespace, short, ok := strings.Cut(key, "/"); ok && kind == "events.k8s.io/v1/Event" &&
			s.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: short}, event) == nil {
			name = fmt.Sprintf("%s: %s %s", name, event.Reason, event.Note)
		}
		lines = append(lines, name)
	}
	return fmt.Sprintf("%d objects changed:\n\t%s", len(changed), strings.Join(lines, "\n\t"))
}
