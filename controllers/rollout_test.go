package controllers

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func TestPodTrouble(t *testing.T) {
	waiting := func(reason, message, last string) *corev1.Pod {
		s := corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
		if last != "" {
			s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Message: last}
		}
		return &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{s}}}
	}
	unscheduled := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "no node has 9 CPUs"},
	}}}
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"no node":              {unscheduled, "Unschedulable: no node has 9 CPUs"},
		"no image":             {waiting("ImagePullBackOff", "not found", ""), "ImagePullBackOff: not found"},
		"it says why it ended": {waiting("CrashLoopBackOff", "back-off 10s", "starting\n/data is on NFS\n"), "CrashLoopBackOff: /data is on NFS"},
		"still starting":       {waiting("ContainerCreating", "", ""), ""},
		"between two crashes": {&corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			RestartCount: 3, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: "starting\nno such flag\n"}},
		}}}}, "ended 3 times: no such flag"},
		"nothing known": {&corev1.Pod{}, ""},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, podTrouble(tc.pod)) })
	}
}
