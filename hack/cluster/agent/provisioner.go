package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const provisionerName = "bridgekeeper.dev/host-folder"

// hostFolder makes each volume a folder of the machine. It is honest about
// what that can do: one node, one writer at a time, files only. A new folder
// belongs to root, as the root of a new disk does: a pod of another user needs
// fsGroup. What it cannot do is keep a volume to its size.
type hostFolder struct {
	root string
	node string
}

func runProvisioner(ctx context.Context, client kubernetes.Interface, root, node string, health *health) error {
	c := controller.NewProvisionController(ctx, client, provisionerName, &hostFolder{root, node},
		controller.LeaderElection(false),
		controller.MetricsPort(0),
	)
	health.set(nil)
	c.Run(ctx)
	return nil
}

func (h *hostFolder) Provision(_ context.Context, o controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	if err := supported(o.PVC); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	folder := filepath.Join(h.root, o.PVName)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			MountOptions:                  o.StorageClass.MountOptions,
			VolumeMode:                    o.PVC.Spec.VolumeMode,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: o.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeSource:        v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: folder}},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{
				NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchExpressions: []v1.NodeSelectorRequirement{{
					Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{h.node},
				}}}},
			}},
		},
	}, controller.ProvisioningFinished, nil
}

// supported refuses what a folder on one machine cannot be.
func supported(claim *v1.PersistentVolumeClaim) error {
	for _, mode := range claim.Spec.AccessModes {
		if mode != v1.ReadWriteOnce && mode != v1.ReadWriteOncePod {
			return fmt.Errorf("access mode %s is not supported: use ReadWriteOnce or ReadWriteOncePod", mode)
		}
	}
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode != v1.PersistentVolumeFilesystem {
		return fmt.Errorf("volume mode %s is not supported: use Filesystem", *claim.Spec.VolumeMode)
	}
	if claim.Spec.Selector != nil {
		return fmt.Errorf("a selector is not supported by a class that makes its volumes")
	}
	return nil
}

// Delete removes the data, as the reclaim policy Delete says; for Retain it is
// never called.
func (h *hostFolder) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	folder := filepath.Join(h.root, volume.Name)
	if volume.Spec.Local == nil || volume.Spec.Local.Path != folder || strings.ContainsRune(volume.Name, '/') {
		return &controller.IgnoredError{Reason: "the volume is not a folder of this provisioner"}
	}
	return os.RemoveAll(folder)
}
