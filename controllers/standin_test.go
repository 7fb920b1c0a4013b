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
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
	"github.com/bridgekeeper/bridgekeeper/hack/standin"
)

// standIn plays what an API server alone has not: the deployment and
// stateful-set controllers, the kubelet, and the pods, which read the real
// documents and answer as real pods would. The end-to-end tests have the real ones.
type standIn struct {
	client client.Client

	mu         sync.Mutex
	behaviours map[string]*behaviour // by namespace
	pods       map[string]*standInPod
	images     map[types.UID]string // that all pods of a workload run
	touched    int
}

// behaviour of the pods of one namespace.
type behaviour struct {
	// frozen pods keep the document they have.
	frozen bool
	// broken workloads have no ready pods.
	broken bool
	// stuck are "bridge IMAGE" or "store IMAGE" that do not come up; the value is
	// why, "" when nobody knows.
	stuck map[string]string
	// health is what store pods say of their database; nil: it works.
	health *document.Health
	// refuse makes pods refuse an entry (by key) with this message.
	refuse map[string]string
	// beforeRouting: store pods are of a version that knows nothing of it.
	beforeRouting bool
	// troubles are what store pods say of entries that cannot do what they are for.
	troubles []document.Trouble
	// surveys are what store pods say of campaigns, by "namespace/name".
	surveys map[string]survey.Summary
	// row changes what a pod says of an entry.
	row func(key string, r *document.ChannelStatus)
}

type standInPod struct {
	owner owner
	says  *standin.Pod
}

func newStandIn(c client.Client) *standIn {
	return &standIn{client: c, behaviours: map[string]*behaviour{}, pods: map[string]*standInPod{}, images: map[types.UID]string{}}
}

// set changes how the pods of a namespace behave, and touches them: then the
// operator asks them at once and not in its slow rhythm.
func (s *standIn) set(namespace string, f func(*behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.in(namespace))
	s.touched++
	ctx := context.Background()
	var list corev1.PodList
	if s.client.List(ctx, &list, client.InNamespace(namespace)) != nil {
		return
	}
	for i := range list.Items {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"touched":"%d"}}}`, s.touched)
		_ = s.client.Patch(ctx, &list.Items[i], client.RawPatch(types.MergePatchType, patch))
	}
}

func (s *standIn) in(namespace string) *behaviour {
	if s.behaviours[namespace] == nil {
		s.behaviours[namespace] = &behaviour{refuse: map[string]string{}, stuck: map[string]string{}}
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
		n := s.roll(ctx, wanted, d, *d.Spec.Replicas, &d.Spec.Template)
		status := appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n.replicas, UpdatedReplicas: n.updated, ReadyReplicas: n.ready, AvailableReplicas: n.ready, UnavailableReplicas: n.replicas - n.ready,
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
		n := s.roll(ctx, wanted, d, *d.Spec.Replicas, &d.Spec.Template)
		status := appsv1.StatefulSetStatus{ObservedGeneration: d.Generation, Replicas: n.replicas, UpdatedReplicas: n.updated, ReadyReplicas: n.ready, AvailableReplicas: n.ready, CurrentRevision: "1", UpdateRevision: "1", CurrentReplicas: n.replicas}
		if !reflect.DeepEqual(d.Status, status) {
			d.Status = status
			_ = s.client.Status().Update(ctx, d)
		}
	}
	s.removePods(ctx, wanted)
}

// counts are of a workload's pods.
type counts struct{ replicas, updated, ready int32 }

// roll runs a workload's pods. Those of a new image come up at once, unless the
// image is stuck: then a Deployment has one of them beside the old ones, and a
// StatefulSet one in their place.
func (s *standIn) roll(ctx context.Context, wanted map[string]bool, parent client.Object, replicas int32, template *corev1.PodTemplateSpec) counts {
	b, image := s.in(parent.GetNamespace()), template.Spec.Containers[0].Image
	ran := s.images[parent.GetUID()]
	why, stuck := b.stuck[template.Labels[workload.LabelComponent]+" "+image]
	if _, isSet := parent.(*appsv1.StatefulSet); stuck && isSet && ran != image {
		s.runPod(ctx, wanted, parent, template, "0", image, &why)
		return counts{1, 1, 0}
	}
	if stuck && ran != "" && ran != image {
		for i := range replicas {
			s.runPod(ctx, wanted, parent, template, fmt.Sprint(i), ran, nil)
		}
		s.runPod(ctx, wanted, parent, template, "new", image, &why)
		return counts{replicas + 1, 1, replicas}
	}
	s.images[parent.GetUID()] = image
	var trouble *string
	if b.broken {
		trouble = new(string)
	}
	for i := range replicas {
		s.runPod(ctx, wanted, parent, template, fmt.Sprint(i), image, trouble)
	}
	if b.broken {
		return counts{replicas, replicas, 0}
	}
	return counts{replicas, replicas, replicas}
}

// runPod runs one pod. It is ready unless there is trouble, whose text is why
// its container waits ("" when nobody knows).
func (s *standIn) runPod(ctx context.Context, wanted map[string]bool, parent client.Object, template *corev1.PodTemplateSpec, suffix, image string, trouble *string) {
	name := parent.GetName() + "-" + suffix
	key := parent.GetNamespace() + "/" + name
	wanted[key] = true
	pod := &corev1.Pod{}
	err := s.client.Get(ctx, types.NamespacedName{Namespace: parent.GetNamespace(), Name: name}, pod)
	if apierrors.IsNotFound(err) {
		pod = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: parent.GetNamespace(), Name: name, Labels: template.Labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "bridge", Image: image}}},
		}
		err = s.client.Create(ctx, pod)
	} else if err == nil && pod.Spec.Containers[0].Image != image {
		pod.Spec.Containers[0].Image = image // a real one is another pod then
		err = s.client.Update(ctx, pod)
	}
	if err != nil {
		return
	}
	status := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}, QOSClass: pod.Status.QOSClass}
	if trouble != nil {
		status.Conditions[0].Status = corev1.ConditionFalse
		if *trouble != "" {
			status.ContainerStatuses = []corev1.ContainerStatus{{Name: "bridge", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: *trouble}}}}
		}
	}
	if !reflect.DeepEqual(pod.Status.Conditions, status.Conditions) || !reflect.DeepEqual(pod.Status.ContainerStatuses, status.ContainerStatuses) {
		pod.Status = status
		_ = s.client.Status().Update(ctx, pod)
	}
	if s.pods[key] == nil {
		kind := document.KindBridge
		if template.Labels[workload.LabelComponent] == workload.ComponentStore {
			kind = document.KindStore
		}
		s.pods[key] = &standInPod{
			owner: owner{kind, types.NamespacedName{Namespace: parent.GetNamespace(), Name: template.Labels[workload.LabelInstance]}},
			says:  standin.NewPod(fmt.Sprintf("%s-%d", key, time.Now().UnixNano())),
		}
	}
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
			return pod.says.Answer(instance, after), nil
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
		pod.says.Status.DocumentError = err.Error()
		return
	}
	pod.says.Load(doc, exceptions, "test")
	b, status := s.in(pod.owner.name.Namespace), &pod.says.Status
	if b.health != nil && doc.Kind == document.KindStore {
		status.Store = *b.health
	}
	if doc.Kind == document.KindStore {
		status.EntryKinds, status.Troubles = document.StoreEntryKinds(), b.troubles
		if b.beforeRouting {
			status.EntryKinds = nil
		}
		status.Surveys = b.summaries(doc)
	}
	seen := map[string]bool{}
	for _, e := range doc.Entries {
		seen[e.Key()] = true
		if message, refused := b.refuse[e.Key()]; refused {
			status.Exceptions = append(status.Exceptions, document.Exception{Entry: e.Key(), Generation: e.Generation, Hash: e.Hash, Message: message})
		}
		row := standin.Row(e, func(document.Channel) string { return "Shop Bot" })
		if b.row != nil {
			b.row(e.Key(), &row)
		}
		pod.says.Put(row)
	}
	pod.says.Keep(func(entry string) bool { return seen[entry] })
}

// summaries are what store pods say of the campaigns that are in force.
func (b *behaviour) summaries(doc *document.Document) []document.SurveyStatus {
	var out []document.SurveyStatus
	for _, e := range doc.Entries {
		if summary, told := b.surveys[e.Name]; told && e.Kind == document.EntrySurveyCampaign {
			raw, _ := json.Marshal(summary)
			out = append(out, document.SurveyStatus{Entry: e.Key(), Hash: e.Hash, Summary: raw})
		}
	}
	return out
}
