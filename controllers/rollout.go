package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
)

// startPatience is how long a pod may take to come up before the reason that
// it gives counts as a failure: images are pulled and volumes attached first.
const startPatience = 45 * time.Second

// recheckPods is when to look at pods again that have not come up: what they
// wait for changes without an event of their workload.
func recheckPods(w conditions.Workload) time.Duration {
	if w.Ready >= w.Desired {
		return 0
	}
	return 10 * time.Second
}

// deployment reads how a Bridge's Deployment stands; nothing is ready while it
// is not there.
func (s *shared) deployment(ctx context.Context, name types.NamespacedName) (conditions.Workload, error) {
	d := &appsv1.Deployment{}
	if err := s.client.Get(ctx, name, d); err != nil {
		return conditions.Workload{Desired: 1}, client.IgnoreNotFound(err)
	}
	w := conditions.Workload{
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
	return s.withPodTrouble(ctx, w, name.Namespace, d.Spec.Selector.MatchLabels)
}

// statefulSet reads how a store's StatefulSet stands.
func (s *shared) statefulSet(ctx context.Context, name types.NamespacedName) (conditions.Workload, error) {
	d := &appsv1.StatefulSet{}
	if err := s.client.Get(ctx, name, d); err != nil {
		return conditions.Workload{Desired: 1}, client.IgnoreNotFound(err)
	}
	w := conditions.Workload{
		Desired:  ptr.Deref(d.Spec.Replicas, 1),
		Replicas: d.Status.Replicas, Ready: d.Status.ReadyReplicas, Updated: d.Status.UpdatedReplicas,
		Observed: d.Status.ObservedGeneration >= d.Generation,
	}
	return s.withPodTrouble(ctx, w, name.Namespace, d.Spec.Selector.MatchLabels)
}

// withPodTrouble adds why a workload that is not ready does not come up.
func (s *shared) withPodTrouble(ctx context.Context, w conditions.Workload, namespace string, labels map[string]string) (conditions.Workload, error) {
	if w.Ready >= w.Desired {
		return w, nil
	}
	var pods corev1.PodList
	if err := s.client.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels(labels)); err != nil {
		return w, err
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if ready(pod) || pod.DeletionTimestamp != nil || s.now().Sub(pod.CreationTimestamp.Time) < startPatience {
			continue
		}
		if why := podTrouble(pod); why != "" {
			w.Failed = fmt.Sprintf("pod %s: %s", pod.Name, why)
			return w, nil
		}
	}
	return w, nil
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
		w := c.State.Waiting
		if w == nil || w.Reason == "ContainerCreating" || w.Reason == "PodInitializing" {
			continue
		}
		if last := c.LastTerminationState.Terminated; last != nil && last.Message != "" {
			return w.Reason + ": " + lastLine(last.Message)
		}
		return w.Reason + ": " + w.Message
	}
	return ""
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
