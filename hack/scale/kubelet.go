package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// kubelet plays the controllers that make pods, and the kubelet that gives
// them their files. A real kubelet gives them up to a second later.
type kubelet struct {
	server *server
	wake   chan struct{}

	mu   sync.Mutex
	pods map[string]*pod // by "namespace/name" of the pod
}

func newKubelet(s *server) *kubelet {
	return &kubelet{server: s, wake: make(chan struct{}, 1), pods: map[string]*pod{}}
}

// watch tells run of everything that changes.
func (k *kubelet) watch(ctx context.Context) error {
	nudge := func(any) {
		select {
		case k.wake <- struct{}{}:
		default:
		}
	}
	for _, o := range []client.Object{&corev1.Secret{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}} {
		informer, err := k.server.cache.GetInformer(ctx, o)
		if err != nil {
			return err
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: nudge, UpdateFunc: func(_, o any) { nudge(o) }}); err != nil {
			return err
		}
	}
	return nil
}

func (k *kubelet) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
		}
		if err := k.step(ctx); err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return fmt.Errorf("the stand-in for kubelets: %w", err)
		}
		time.Sleep(10 * time.Millisecond) // what changes together is read together
	}
}

func (k *kubelet) step(ctx context.Context) error {
	var deployments appsv1.DeploymentList
	var sets appsv1.StatefulSetList
	for _, list := range []client.ObjectList{&deployments, &sets} {
		if err := k.server.cache.List(ctx, list); err != nil {
			return err
		}
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		n := *d.Spec.Replicas
		if err := k.runAll(ctx, d, n, &d.Spec.Template); err != nil {
			return err
		}
		status := appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
			Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}}}
		if d.Status.ObservedGeneration != d.Generation {
			d.Status = status
			if err := k.server.client.Status().Update(ctx, d); err != nil {
				return err
			}
		}
	}
	for i := range sets.Items {
		d := &sets.Items[i]
		n := *d.Spec.Replicas
		if err := k.runAll(ctx, d, n, &d.Spec.Template); err != nil {
			return err
		}
		if d.Status.ObservedGeneration != d.Generation {
			d.Status = appsv1.StatefulSetStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n, CurrentReplicas: n, CurrentRevision: "1", UpdateRevision: "1"}
			if err := k.server.client.Status().Update(ctx, d); err != nil {
				return err
			}
		}
	}
	return k.mount(ctx)
}

func (k *kubelet) runAll(ctx context.Context, parent client.Object, replicas int32, template *corev1.PodTemplateSpec) error {
	for i := range replicas {
		if err := k.runPod(ctx, parent.GetNamespace(), fmt.Sprintf("%s-%d", parent.GetName(), i), template); err != nil {
			return err
		}
	}
	return nil
}

// runPod makes a pod and begins to play it, on an address of its own.
func (k *kubelet) runPod(ctx context.Context, namespace, name string, template *corev1.PodTemplateSpec) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := namespace + "/" + name
	if k.pods[key] != nil {
		return nil
	}
	kind := document.KindBridge
	if template.Labels[workload.LabelComponent] == workload.ComponentStore {
		kind = document.KindStore
	}
	p := newPod(kind, types.NamespacedName{Namespace: namespace, Name: template.Labels[workload.LabelInstance]}, fmt.Sprintf("127.88.0.%d", len(k.pods)+1))
	if err := p.serve(ctx, k.server.client); err != nil {
		return err
	}
	o := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: template.Labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "bridge", Image: template.Spec.Containers[0].Image}}},
	}
	if err := k.server.client.Create(ctx, o); err != nil {
		return err
	}
	o.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: p.ip, PodIPs: []corev1.PodIP{{IP: p.ip}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	if err := k.server.client.Status().Update(ctx, o); err != nil {
		return err
	}
	k.pods[key] = p
	return nil
}

// mount gives every pod the files of its document.
func (k *kubelet) mount(ctx context.Context) error {
	for _, p := range k.all() {
		files, edition := make([][]byte, document.MaxShards), ""
		for i := range files {
			secret := &corev1.Secret{}
			name := types.NamespacedName{Namespace: p.owner.Namespace, Name: workload.DocumentSecret(p.child(), i)}
			if err := k.server.cache.Get(ctx, name, secret); client.IgnoreNotFound(err) != nil {
				return err
			}
			files[i] = secret.Data[workload.DocumentKey]
			edition += secret.ResourceVersion + " "
		}
		if p.mounted != edition {
			p.mounted = edition
			p.load(files)
		}
	}
	return nil
}

func (k *kubelet) all() []*pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := make([]*pod, 0, len(k.pods))
	for _, p := range k.pods {
		list = append(list, p)
	}
	return list
}

// inForce reports whether every pod of the Bridge runs another version of an
// entry than before.
func (k *kubelet) inForce(key, before string) bool {
	for _, p := range k.all() {
		if p.kind != document.KindBridge {
			continue
		}
		p.mu.Lock()
		hash := p.entries[key]
		p.mu.Unlock()
		if hash == before || hash == "" {
			return false
		}
	}
	return true
}

// hash of an entry that the Bridge's pods run.
func (k *kubelet) hash(key string) string {
	for _, p := range k.all() {
		p.mu.Lock()
		hash := p.entries[key]
		p.mu.Unlock()
		if p.kind == document.KindBridge {
			return hash
		}
	}
	return ""
}
