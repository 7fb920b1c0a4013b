package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// What is restored has to be what a store's pod takes up: its volume by name
// and size, its files by their owner.
func TestRestoreFillsTheVolumeOfAStore(t *testing.T) {
	objects := build(t, "restore")
	store := &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Name: "restored"}}
	claim := find[corev1.PersistentVolumeClaim](t, objects, "PersistentVolumeClaim", "", workload.Claim(store).Name)
	assert.Equal(t, workload.StorageSize(store), claim.Spec.Resources.Requests[corev1.ResourceStorage])
	pod := find[corev1.Pod](t, objects, "Pod", "", "restore")
	assert.Equal(t, claim.Name, pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName)
	for _, o := range workload.Store(store, nil, workload.Options{Image: "bridgekeeper"}) {
		if set, ok := o.(*appsv1.StatefulSet); ok {
			of := set.Spec.Template.Spec.SecurityContext
			assert.Equal(t, of.RunAsUser, pod.Spec.SecurityContext.RunAsUser)
			assert.Equal(t, of.FSGroup, pod.Spec.SecurityContext.FSGroup)
			assert.Equal(t, set.Spec.Template.Spec.Containers[0].SecurityContext.Capabilities, pod.Spec.Containers[0].SecurityContext.Capabilities)
			return
		}
	}
	t.Fatal("a store has no StatefulSet")
}
