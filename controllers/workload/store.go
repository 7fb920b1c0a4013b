package workload

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// DefaultStorageSize is the size of a store's volume when none is asked for.
// A text message with its events and journal takes about 2 KiB: 10 GiB hold
// some five million, and media beside them.
const DefaultStorageSize = "10Gi"

// storeGrace is how long a store pod may take to stop: 5 s until callers have moved
// to another one (PostgreSQL), up to 30 s for requests and the last commit.
const storeGrace = 40

// StorageSize is the size of a store's volume.
func StorageSize(s *v1alpha1.ConversationStore) resource.Quantity {
	if s.Spec.SQLite != nil && s.Spec.SQLite.StorageSize != nil {
		return *s.Spec.SQLite.StorageSize
	}
	return resource.MustParse(DefaultStorageSize)
}

// Store builds the objects of a ConversationStore. bridges are the Bridges
// that may reach it.
func Store(s *v1alpha1.ConversationStore, bridges []types.NamespacedName, opts Options) []client.Object {
	pods := storeStatefulSet(s, opts)
	if s.Spec.Postgres != nil {
		pods = storeDeployment(s, opts)
	}
	objects := []client.Object{
		storeServiceAccount(s),
		pods,
		storeService(s),
		storeNetworkPolicy(s, bridges, opts),
	}
	if StoreReplicas(s) >= 2 {
		objects = append(objects, podDisruptionBudget(storeMeta(s), StoreSelector(s.Name)))
	}
	return objects
}

// StoreUnwanted lists, by name only, the objects that another spec of this
// store would have and this one has not.
func StoreUnwanted(s *v1alpha1.ConversationStore) []client.Object {
	if StoreReplicas(s) >= 2 {
		return nil
	}
	return []client.Object{&policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: StoreChild(s.Name)}}}
}

func storeMeta(s *v1alpha1.ConversationStore) metav1.ObjectMeta {
	return objectMeta(s.Namespace, StoreChild(s.Name), ComponentStore, s.Name, StoreOwner(s))
}

func storeServiceAccount(s *v1alpha1.ConversationStore) client.Object {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   storeMeta(s),
		AutomountServiceAccountToken: ptr.To(false),
	}
}

func storeStatefulSet(s *v1alpha1.ConversationStore, opts Options) client.Object {
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: storeMeta(s),
		Spec: appsv1.StatefulSetSpec{
			ServiceName: StoreChild(s.Name),
			Replicas:    ptr.To(StoreReplicas(s)),
			Selector:    &metav1.LabelSelector{MatchLabels: StoreSelector(s.Name)},
			// With the other policy a pod that never becomes ready is waited for, for
			// ever, even when its template was corrected since.
			PodManagementPolicy: appsv1.ParallelPodManagement,
			// Conversations outlive everything: the volume is never deleted by us.
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
			RevisionHistoryLimit: ptr.To[int32](3),
			Template:             storePod(s, opts, "data", dataDir, "--data="+dataDir),
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{storeClaim(s)},
		},
	}
}

// storePod is the pod of either backend. mount names the volume that only this
// one has, and is where it is mounted; flags are the backend's own.
func storePod(s *v1alpha1.ConversationStore, opts Options, volume, mount string, flags ...string) corev1.PodTemplateSpec {
	child := StoreChild(s.Name)
	args := append([]string{"store", "--documents=" + documentsDir, "--tls=" + tlsDir}, flags...)
	args = append(args, listen("listen", PortREST), listen("internal-listen", PortInternal), listen("health-listen", PortHealth))
	ports := []corev1.ContainerPort{port("rest", PortREST), port("internal", PortInternal), port("health", PortHealth)}
	c := container(opts, args, ports, s.Spec.Resources)
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: mount})
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels(ComponentStore, s.Name)},
		Spec: corev1.PodSpec{
			ServiceAccountName:            child,
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			SecurityContext:               podSecurity(),
			TerminationGracePeriodSeconds: ptr.To[int64](storeGrace),
			Containers:                    []corev1.Container{c},
			Volumes:                       []corev1.Volume{documentVolume(child), tlsVolume(child)},
		},
	}
}

// KeepFixed puts what the API server lets nobody change from the StatefulSet
// that stands in the place of what was just built. A volume grows by its claim
// (see Claim), not by its template.
func KeepFixed(objects []client.Object, live *appsv1.StatefulSet) {
	for _, o := range objects {
		if set, ok := o.(*appsv1.StatefulSet); ok && len(live.Spec.VolumeClaimTemplates) > 0 {
			set.Spec.VolumeClaimTemplates = live.Spec.VolumeClaimTemplates
			set.Spec.PodManagementPolicy = live.Spec.PodManagementPolicy
		}
	}
}

// Claim is the name of a store's volume claim, made by the StatefulSet.
func Claim(s *v1alpha1.ConversationStore) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: "data-" + StoreChild(s.Name) + "-0"}
}

func storeClaim(s *v1alpha1.ConversationStore) corev1.PersistentVolumeClaim {
	claim := corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data", Labels: labels(ComponentStore, s.Name)},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: StorageSize(s)},
			},
			VolumeMode: ptr.To(corev1.PersistentVolumeFilesystem),
		},
	}
	if s.Spec.SQLite != nil {
		claim.Spec.StorageClassName = s.Spec.SQLite.StorageClassName
	}
	return claim
}

func storeService(s *v1alpha1.ConversationStore) client.Object {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: storeMeta(s),
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeClusterIP,
			Selector: StoreSelector(s.Name),
			Ports: []corev1.ServicePort{
				{Name: "rest", Port: PortREST, TargetPort: intstr.FromString("rest"), Protocol: corev1.ProtocolTCP},
				{Name: "internal", Port: PortInternal, TargetPort: intstr.FromString("internal"), Protocol: corev1.ProtocolTCP},
			},
		},
	}
}
