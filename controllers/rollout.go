package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// startPatience is how long a pod may take to come up before the reason that
// it gives counts as a failure: images are pulled and volumes attached first.
const startPatience = 45 * time.Second

// readyPatience is how long a pod that runs may take to become ready: the
// startup probe gives a database two minutes to recover, and a migration of a
// large one takes some more.
const readyPatience = 5 * time.Minute

// recheckPods is when to look at pods again that have not come up: what they
// wait for changes without an event of their workload.
func recheckPods(w conditions.Workload) time.Duration {
	if w.RolledOut() {
		return 0
	}
	return 10 * time.Second
}

// storeWorkload reads the workload of a store; an empty one when there is none.
func (s *shared) storeWorkload(ctx context.Context, st *v1alpha1.ConversationStore) (client.Object, error) {
	var live client.Object = &appsv1.StatefulSet{}
	if st.Spec.Postgres != nil {
		live = &appsv1.Deployment{}
	}
	err := s.client.Get(ctx, types.NamespacedName{Namespace: st.Namespace, Name: workload.StoreChild(st.Name)}, live)
	return live, client.IgnoreNotFound(err)
}

// bridgeWorkload reads the workload of a Bridge; an empty one when there is none.
func (s *shared) bridgeWorkload(ctx context.Context, b *v1alpha1.Bridge) (client.Object, error) {
	live := &appsv1.Deployment{}
	err := s.client.Get(ctx, types.NamespacedName{Namespace: b.Namespace, Name: workload.BridgeChild(b.Name)}, live)
	return live, client.IgnoreNotFound(err)
}

// rollout says how a workload stands; nothing is ready while it is not there.
func (s *shared) rollout(ctx context.Context, live client.Object) (conditions.Workload, error) {
	if live.GetUID() == "" {
		return conditions.Workload{Desired: 1}, nil
	}
	var w conditions.Workload
	var pods *metav1.LabelSelector
	switch d := live.(type) {
	case *appsv1.Deployment:
		w = conditions.Workload{
			Desired:  ptr.Deref(d.Spec.Replicas, 1),
			Replicas: d.Status.Replicas, Ready: d.Status.ReadyReplicas, Updated: d.Status.UpdatedReplicas,
			Observed: d.Status.ObservedGeneration >= d.Generation,
		}
		for _, c := range d.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
				w.Failed = c.Message
				return w, nil
			}
		}
		pods = d.Spec.Selector
	case *appsv1.StatefulSet:
		w = conditions.Workload{
			Desired:  ptr.Deref(d.Spec.Replicas, 1),
			Replicas: d.Status.Replicas, Ready: d.Status.ReadyReplicas, Updated: d.Status.UpdatedReplicas,
			Observed: d.Status.ObservedGeneration >= d.Generation,
		}
		pods = d.Spec.Selector
	}
	if w.RolledOut() {
		return w, nil
	}
	var err error
	w.Failed, err = s.podsTrouble(ctx, live.GetNamespace(), pods.MatchLabels, live.GetAnnotations()[workload.AnnotationFormerImage])
	return w, err
}

// podsTrouble is why a workload's pods do not come up; "" when nothing is known
// yet. During an upgrade those of the former image are on their way out.
func (s *shared) podsTrouble(ctx context.Context, namespace string, labels map[string]string, former string) (string, error) {
	var pods corev1.PodList
	if err := s.client.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels(labels)); err != nil {
		return "", err
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		age := s.now().Sub(pod.CreationTimestamp.Time)
		if ready(pod) || pod.DeletionTimestamp != nil || age < startPatience || former != "" && pod.Spec.Containers[0].Image == former {
			continue
		}
		if why := podTrouble(pod); why != "" {
			return fmt.Sprintf("pod %s: %s", pod.Name, why), nil
		}
		if age >= readyPatience {
			return fmt.Sprintf("pod %s: is not ready after %s; its log says why", pod.Name, readyPatience), nil
		}
	}
	return "", nil
}

// podTrouble is why a pod does not run, in the words of the scheduler, the
// kubelet, or the process's own last line; "" when nothing is known.
func podTrouble(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Reason + ": " + c.Message
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		w, last := c.State.Waiting, c.LastTerminationState.Terminated
		switch {
		case w == nil && c.RestartCount > 1 && last != nil:
			// Between two crashes: it runs, but not for long.
			return fmt.Sprintf("ended %d times: %s", c.RestartCount, lastLine(last.Message))
		case w == nil || w.Reason == "ContainerCreating" || w.Reason == "PodInitializing":
		case last != nil && last.Message != "":
			return w.Reason + ": " + lastLine(last.Message)
		default:
			return w.Reason + ": " + w.Message
		}
	}
	return ""
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
