package controllers

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestOwnImage(t *testing.T) {
	pod := func(name string, containers ...corev1.Container) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}, Spec: corev1.PodSpec{Containers: containers}}
	}
	c := fake.NewClientBuilder().WithObjects(
		pod("operator", corev1.Container{Name: "mesh", Image: "proxy:1"}, corev1.Container{Name: "manager", Image: "mirror.example:5000/bridgekeeper@sha256:0a"}),
		pod("stranger", corev1.Container{Name: "mesh", Image: "proxy:1"}),
	).Build()
	image, err := OwnImage(t.Context(), c, types.NamespacedName{Namespace: operatorNamespace, Name: "operator"})
	require.NoError(t, err)
	require.Equal(t, "mirror.example:5000/bridgekeeper@sha256:0a", image)
	for name, says := range map[string]string{"stranger": `no container "manager"`, "nobody": "set --image"} {
		_, err := OwnImage(t.Context(), c, types.NamespacedName{Namespace: operatorNamespace, Name: name})
		require.ErrorContains(t, err, says)
	}
}
