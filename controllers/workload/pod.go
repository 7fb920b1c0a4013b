package workload

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Options are what the operator knows and the resources do not.
type Options struct {
	// Image with both binaries, /bridgekeeper and /bridge.
	Image string
	// ImagePullPolicy of the pods; empty: the cluster's default.
	ImagePullPolicy corev1.PullPolicy
	// OperatorNamespace may reach the pods' internal listener.
	OperatorNamespace string
}

const (
	documentsDir = "/etc/bridgekeeper/documents"
	tlsDir       = "/etc/bridgekeeper/tls"
	dataDir      = "/data"

	// nonRoot is the user of distroless images; any number but 0 works.
	nonRoot int64 = 65532
)

// documentVolume projects all shards that can exist. They are optional, so
// that a document can grow from 1 to 16 Secrets without a new pod template, as
// are the keys in them (one per major version), and one volume, so that kubelet
// swaps them together.
func documentVolume(child string) corev1.Volume {
	sources := make([]corev1.VolumeProjection, shardCount)
	for i := range sources {
		var items []corev1.KeyToPath
		for _, major := range document.Majors() {
			items = append(items, corev1.KeyToPath{Key: document.ShardKey(major), Path: document.ShardPath(major, i)})
		}
		sources[i].Secret = &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: DocumentSecret(child, i)},
			Items:                items,
			Optional:             ptr.To(true),
		}
	}
	return corev1.Volume{Name: "documents", VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: sources, DefaultMode: ptr.To[int32](0o440)},
	}}
}

func tlsVolume(child string) corev1.Volume {
	return corev1.Volume{Name: "tls", VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: TLSSecret(child), DefaultMode: ptr.To[int32](0o440)},
	}}
}

func mounts() []corev1.VolumeMount {
	return []corev1.VolumeMount{
		{Name: "documents", MountPath: documentsDir, ReadOnly: true},
		{Name: "tls", MountPath: tlsDir, ReadOnly: true},
	}
}

// podSecurity passes the restricted Pod Security level. The group makes
// volumes readable and writable to the pod's user.
func podSecurity() *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{
		RunAsNonRoot:        ptr.To(true),
		RunAsUser:           ptr.To(nonRoot),
		RunAsGroup:          ptr.To(nonRoot),
		FSGroup:             ptr.To(nonRoot),
		FSGroupChangePolicy: ptr.To(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func containerSecurity() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false),
		ReadOnlyRootFilesystem:   ptr.To(true),
		RunAsNonRoot:             ptr.To(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

// container is what the bridge and the store have in common. Failure of
// /healthz means a stuck process, never a platform or a store that is away.
func container(opts Options, args []string, ports []corev1.ContainerPort, resources *corev1.ResourceRequirements) corev1.Container {
	return corev1.Container{
		Name:            "bridge",
		Image:           opts.Image,
		ImagePullPolicy: opts.ImagePullPolicy,
		Command:         []string{"/bridge"},
		Args:            args,
		Ports:           ports,
		Env: []corev1.EnvVar{
			{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}},
		},
		VolumeMounts:    mounts(),
		SecurityContext: containerSecurity(),
		Resources:       effectiveResources(resources),
		ReadinessProbe:  probe("/readyz", 1, 3),
		LivenessProbe:   probe("/healthz", 10, 6),
		// A database may have to be recovered before it serves: 60 × 2 s.
		StartupProbe: probe("/healthz", 2, 60),
		// A process that cannot start says why on its log; the operator passes it on.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("health"), Scheme: corev1.URISchemeHTTP}},
		PeriodSeconds:    period,
		FailureThreshold: failures,
		TimeoutSeconds:   3,
		SuccessThreshold: 1,
	}
}

// effectiveResources asks for little and bounds memory only: a CPU limit
// throttles exactly when traffic peaks.
func effectiveResources(r *corev1.ResourceRequirements) corev1.ResourceRequirements {
	if r != nil {
		return *r
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("50m"),
			corev1.ResourceMemory: resource.MustParse("64Mi"),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
	}
}

func port(name string, number int32) corev1.ContainerPort {
	return corev1.ContainerPort{Name: name, ContainerPort: number, Protocol: corev1.ProtocolTCP}
}

func listen(flag string, port int) string { return fmt.Sprintf("--%s=:%d", flag, port) }
