package workload

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// AnnotationFormerImage is on a workload from the moment that its pods get
// another image until all of them run it. Its value is the image before.
const AnnotationFormerImage = "bridgekeeper.dev/former-image"

// Template is the pod template of a workload; nil of any other object.
func Template(o client.Object) *corev1.PodTemplateSpec {
	switch w := o.(type) {
	case *appsv1.Deployment:
		return &w.Spec.Template
	case *appsv1.StatefulSet:
		return &w.Spec.Template
	}
	return nil
}

// Image is the image of a workload's pods; empty when it is not there.
func Image(o client.Object) string {
	if t := Template(o); t != nil && len(t.Spec.Containers) > 0 {
		return t.Spec.Containers[0].Image
	}
	return ""
}

// MarkUpgrade notes on the workload among objects that its pods had another image.
func MarkUpgrade(objects []client.Object, former string) {
	for _, o := range objects {
		if Template(o) == nil {
			continue
		}
		annotations := map[string]string{AnnotationFormerImage: former}
		for k, v := range o.GetAnnotations() {
			annotations[k] = v
		}
		o.SetAnnotations(annotations)
	}
}

// KeepTemplate lets the workload among objects have the pods of the live one:
// another version's flags and mounts go with its image. Only the resources are
// those of the spec, since a person may have to change them before it is this
// workload's turn.
func KeepTemplate(objects []client.Object, live client.Object) {
	old := Template(live)
	for _, o := range objects {
		built := Template(o)
		if built == nil || old == nil || len(old.Spec.Containers) == 0 {
			continue
		}
		resources := built.Spec.Containers[0].Resources
		old.DeepCopyInto(built)
		built.Spec.Containers[0].Resources = resources
	}
}
