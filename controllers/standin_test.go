package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// standIn plays what an API server alone has not: the deployment and
// stateful-set controllers, the kubelet, and the pods, which read the real
// documents and answer as real pods would. The end-to-end tests have the real ones.
type standIn struct {
	client client.Client

	mu         sync.Mutex
	behaviours map[string]*behaviour // by namespace
	pods       map[string]*standInPod
}

// behaviour of the pods of one namespace.
type behaviour struct {
	// frozen pods keep the document they have.
	frozen bool
	// broken workloads have no ready pods.
	broken bool
	// refuse makes pods refuse an entry (by key) with this message.
	refuse map[string]string
	// row changes what a pod says of an entry.
	row func(key string, r *document.ChannelStatus)
}

type standInPod struct {
	owner    owner
	instance string
	status   document.Status
	rows     map[string]document.ChannelStatus
	revs     map[string]int64
	revision int64
}

func newStandIn(c client.Client) *standIn {
	return &standIn{client: c, behaviours: map[string]*behaviour{}, pods: map[string]*standInPod{}}
}

// set changes how the pods of a namespace behave.
func (s *standIn) set(namespace string, f func(*behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.in(namespace))
}

func (s *standIn) in(namespace string) *behaviour {
	if s.behaviours[namespace] == nil {
		s.behaviours[namespace] = &behaviour{refuse: map[string]string{}}
	}
	return s.behaviours[namespace]
}

func (s *standIn) run(ctx context.Context) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.step(ctx)
		}
	}
}

func (s *standIn) step(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ours := client.MatchingLabels{workload.LabelManagedBy: workload.ManagedBy}
	var deployments appsv1.DeploymentList
	if err := s.client.List(ctx, &deployments, ours); err != nil {
		return
	}
	wanted := map[string]bool{}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		n := s.runPods(ctx, wanted, d, *d.Spec.Replicas, d.Spec.Template.Labels, document.KindBridge)
		status := appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: *d.Spec.Replicas, UpdatedReplicas: *d.Spec.Replicas, ReadyReplicas: n, AvailableReplicas: n, UnavailableReplicas: *d.Spec.Replicas - n,
			Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}}}
		if !reflect.DeepEqual(d.Status, status) {
			d.Status = status
			_ = s.client.Status().Update(ctx, d)
		}
	}
	var sets appsv1.StatefulSetList
	if err := s.client.List(ctx, &sets, ours); err != nil {
		return
	}
	for i := range sets.Items {
		d := &sets.Items[i]
		n := s.runPods(ctx, wanted, d, *d.Spec.Replicas, d.Spec.Template.Labels, document.KindStore)
		status := appsv1.StatefulSetStatus{ObservedGeneration: d.Generation, Replicas: *d.Spec.Replicas, UpdatedReplicas: *d.Spec.Replicas, ReadyReplicas: n, AvailableReplicas: n, CurrentRevision: "1", UpdateRevision: "1", CurrentReplicas: *d.Spec.Replicas}
		if !reflect.DeepEqual(d.Status, status) {
			d.Status = status
			_ = s.client.Status().Update(ctx, d)
		}
	}
	s.removePods(ctx, wanted)
}

func (s *standIn) runPods(ctx context.Context, wanted map[string]bool, parent client.Object, replicas int32, labels map[string]string, kind document.Kind) int32 {
	for i := range replicas {
		name := fmt.Sprintf("%s-%d", parent.GetName(), i)
		key := parent.GetNamespace() + "/" + name
		wanted[key] = true
		pod := &corev1.Pod{}
		err := s.client.Get(ctx, types.NamespacedName{Namespace: parent.GetNamespace(), Name: name}, pod)
		if apierrors.IsNotFound(err) {
			pod = &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: parent.GetNamespace(), Name: name, Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "bridge", Image: "none"}}},
			}
			if s.client.Create(ctx, pod) != nil {
				continue
			}
		}
		ready := corev1.ConditionTrue
		if s.in(parent.GetNamespace()).broken {
			ready = corev1.ConditionFalse
		}
		status := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}, QOSClass: pod.Status.QOSClass}
		if !reflect.DeepEqual(pod.Status.Conditions, status.Conditions) {
			pod.Status = status
			_ = s.client.Status().Update(ctx, pod)
		}
		if s.pods[key] == nil {
			instance := fmt.Sprintf("%s-%d", key, time.Now().UnixNano())
			s.pods[key] = &standInPod{
				owner:    owner{kind, types.NamespacedName{Namespace: parent.GetNamespace(), Name: labels[workload.LabelInstance]}},
				instance: instance, rows: map[string]document.ChannelStatus{}, revs: map[string]int64{},
			}
		}
	}
	if s.in(parent.GetNamespace()).broken {
		return 0
	}
	return replicas
}

func (s *standIn) removePods(ctx context.Context, wanted map[string]bool) {
	for key := range s.pods {
		if wanted[key] {
			continue
		}
		namespace, name, _ := strings.Cut(key, "/")
		_ = s.client.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}, client.GracePeriodSeconds(0))
		delete(s.pods, key)
	}
}

// FetchStatus implements StatusFetcher.
func (s *standIn) FetchStatus(ctx context.Context, address PodAddress, instance string, after int64) (document.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, pod := range s.pods {
		namespace, name, _ := strings.Cut(key, "/")
		if name == address.Name && strings.HasSuffix(address.ServerName, "."+namespace+".svc") {
			if !s.in(namespace).frozen {
				s.load(ctx, pod)
			}
			return pod.answer(instance, after), nil
		}
	}
	return document.Status{}, fmt.Errorf("no pod %s", address.Name)
}

// load reads the document as a pod does from its volume.
func (s *standIn) load(ctx context.Context, pod *standInPod) {
	child := workload.BridgeChild(pod.owner.name.Name)
	if pod.owner.kind == document.KindStore {
		child = workload.StoreChild(pod.owner.name.Name)
	}
	files := make([][]byte, document.MaxShards)
	for i := range files {
		secret := &corev1.Secret{}
		if s.client.Get(ctx, types.NamespacedName{Namespace: pod.owner.name.Namespace, Name: workload.DocumentSecret(child, i)}, secret) == nil {
			files[i] = secret.Data[workload.DocumentKey]
		}
	}
	doc, exceptions, err := document.Decode(files)
	if err != nil {
		pod.status.DocumentError = err.Error()
		return
	}
	pod.status = document.Status{
		Kind: doc.Kind, Name: doc.Name, Version: "test", SchemaVersions: []int{document.SchemaVersion},
		Hash: doc.Hash, Shards: doc.Shards, Generation: doc.Generation, Store: document.Health{OK: true}, Exceptions: exceptions,
	}
	seen := map[string]bool{}
	for _, e := range doc.Entries {
		seen[e.Key()] = true
		if message, refused := s.in(pod.owner.name.Namespace).refuse[e.Key()]; refused {
			pod.status.Exceptions = append(pod.status.Exceptions, document.Exception{Entry: e.Key(), Generation: e.Generation, Hash: e.Hash, Message: message})
		}
		pod.put(e.Key(), s.rowOf(s.in(pod.owner.name.Namespace), e))
	}
	for key := range pod.rows {
		if !seen[key] {
			pod.put(key, document.ChannelStatus{Entry: key, Gone: true})
		}
	}
}

// rowOf is what a pod says of an entry when the platform does all it is asked.
func (s *standIn) rowOf(b *behaviour, e document.Entry) document.ChannelStatus {
	done := func() *document.Duty { return &document.Duty{State: document.DutyDone} }
	r := document.ChannelStatus{Entry: e.Key(), Hash: e.Hash, Held: true}
	switch e.Kind {
	case document.EntryChannel:
		var spec document.Channel
		_ = json.Unmarshal(e.Spec, &spec)
		r.Credentials, r.Profile, r.Delivering, r.DisplayName = done(), done(), done(), "Shop Bot"
		if spec.Receive == document.ReceivePolling {
			r.Receiving = done()
		} else if r.Webhook = done(); !spec.RegisterWebhook {
			r.Webhook.State = document.DutyPending
		}
	case document.EntryTombstone:
		r.Webhook = done()
	}
	if b.row != nil {
		b.row(e.Key(), &r)
	}
	return r
}

func (p *standInPod) put(key string, row document.ChannelStatus) {
	if reflect.DeepEqual(p.rows[key], row) {
		return
	}
	p.revision++
	p.rows[key], p.revs[key] = row, p.revision
}

func (p *standInPod) answer(instance string, after int64) document.Status {
	status := p.status
	status.Instance, status.Revision = p.instance, p.revision
	status.Full = instance != p.instance
	for key, row := range p.rows {
		if status.Full && !row.Gone || !status.Full && p.revs[key] > after {
			status.Channels = append(status.Channels, row)
		}
	}
	return status
}
