package workload

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

const (
	// postgresDir is where the pods find the connection string and, beside it,
	// the certificates.
	postgresDir = "/etc/bridgekeeper/postgres"

	// defaultStoreReplicas: one may go, with its node or in a rollout, and the
	// other serves.
	defaultStoreReplicas = 2

	// defaultDatabasePort is the one that IANA gave PostgreSQL.
	defaultDatabasePort = 5432
)

// StoreReplicas is how many pods a ConversationStore wants. SQLite has one writer.
func StoreReplicas(s *v1alpha1.ConversationStore) int32 {
	if s.Spec.Postgres == nil {
		return 1
	}
	return ptr.Deref(s.Spec.Postgres.Replicas, defaultStoreReplicas)
}

// DatabasePort is the port of a postgres store's database.
func DatabasePort(s *v1alpha1.ConversationStore) int32 {
	if s.Spec.Postgres == nil || s.Spec.Postgres.Port == 0 {
		return defaultDatabasePort
	}
	return s.Spec.Postgres.Port
}

// Database is the Secret that the pods of a postgres store read, with values by
// file name. It is a copy, so that a Secret without the label of consent never
// gets into a pod, so that the pods go on with what they have while the user's
// Secret is gone, and so that another Secret's name changes no pod template.
func Database(s *v1alpha1.ConversationStore, values map[string]string) *corev1.Secret {
	data := make(map[string][]byte, len(values))
	for name, v := range values {
		data[name] = []byte(v)
	}
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: DatabaseSecret(StoreChild(s.Name)),
			Labels:          SecretLabels(nil),
			OwnerReferences: []metav1.OwnerReference{StoreOwner(s)},
		},
		Data: data,
	}
}

// storeDeployment runs a postgres store: its pods keep nothing and come and go.
func storeDeployment(s *v1alpha1.ConversationStore, opts Options) client.Object {
	template := storePod(s, opts, "database", postgresDir, "--backend=postgres", "--postgres-dsn-file="+postgresDir+"/dsn")
	pod := &template.Spec
	pod.TopologySpreadConstraints = spread(StoreSelector(s.Name))
	c := &pod.Containers[0]
	c.VolumeMounts[len(c.VolumeMounts)-1].ReadOnly = true
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "tmp", MountPath: "/tmp"})
	pod.Volumes = append(pod.Volumes,
		corev1.Volume{Name: "database", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: DatabaseSecret(StoreChild(s.Name)), DefaultMode: ptr.To[int32](0o440)},
		}},
		// Attachments pass through on their way into the database.
		corev1.Volume{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
	)
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: storeMeta(s),
		Spec: appsv1.DeploymentSpec{
			Replicas:             ptr.To(StoreReplicas(s)),
			Selector:             &metav1.LabelSelector{MatchLabels: StoreSelector(s.Name)},
			Strategy:             surge(),
			RevisionHistoryLimit: ptr.To[int32](3),
			Template:             template,
		},
	}
}
