package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// managerContainer is the operator's container in config/manager.
const managerContainer = "manager"

// OwnImage is the image that the operator's own pod was started from. It holds
// both binaries, so bridge and store pods run the same one: whoever puts another
// image into the operator's Deployment, by whatever means, upgrades them with it.
func OwnImage(ctx context.Context, reader client.Reader, pod types.NamespacedName) (string, error) {
	p := &corev1.Pod{}
	if err := reader.Get(ctx, pod, p); err != nil {
		return "", fmt.Errorf("the operator's own pod %s: %w; set --image (IMAGE) if it runs in none", pod, err)
	}
	for _, c := range p.Spec.Containers {
		if c.Name == managerContainer {
			return c.Image, nil
		}
	}
	return "", fmt.Errorf("the operator's own pod %s has no container %q; set --image (IMAGE) to the image of the bridge and store pods", pod, managerContainer)
}
