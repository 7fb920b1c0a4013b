// Package config_test checks what people install against what there is.
package config_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// build is what kubectl would apply of a kustomization.
func build(t *testing.T, dir string) []unstructured.Unstructured {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("this test needs kubectl: export KUBEBUILDER_ASSETS=$(hack/cluster/cluster.sh binaries --envtest), or run make unit")
	}
	out, err := exec.Command(filepath.Join(assets, "kubectl"), "kustomize", dir).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("kubectl kustomize %s: %s", dir, exit.Stderr)
	}
	require.NoError(t, err)
	var objects []unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 4096)
	for {
		var u unstructured.Unstructured
		err := decoder.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		require.NoError(t, err)
		objects = append(objects, u)
	}
}

// find is the object of a kind and name, as its type.
func find[T any](t *testing.T, objects []unstructured.Unstructured, kind, namespace, name string) *T {
	t.Helper()
	var typed T
	for _, u := range objects {
		if u.GetKind() == kind && u.GetNamespace() == namespace && u.GetName() == name {
			require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &typed))
			return &typed
		}
	}
	t.Fatalf("there is no %s %s/%s", kind, namespace, name)
	return nil
}

// podMonitor is what we use of the Prometheus operator's kind.
type podMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		NamespaceSelector struct {
			Any bool `json:"any"`
		} `json:"namespaceSelector"`
		Selector            metav1.LabelSelector `json:"selector"`
		PodTargetLabels     []string             `json:"podTargetLabels"`
		PodMetricsEndpoints []struct {
			Port        string `json:"port"`
			Path        string `json:"path"`
			Scheme      string `json:"scheme"`
			HonorLabels bool   `json:"honorLabels"`
		} `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

// monitored are the pod templates that there are, with the NetworkPolicy that
// guards them and the flag that says where their metrics are.
type monitored struct {
	template corev1.PodTemplateSpec
	policy   *networkingv1.NetworkPolicy
	flag     string
}

func everyPod(t *testing.T) map[string]monitored {
	t.Helper()
	installed := build(t, "default")
	operator := find[appsv1.Deployment](t, installed, "Deployment", "bridgekeeper-system", "bridgekeeper-manager")
	pods := map[string]monitored{"manager": {
		operator.Spec.Template, find[networkingv1.NetworkPolicy](t, installed, "NetworkPolicy", "bridgekeeper-system", "bridgekeeper-manager"), "--metrics-bind-address",
	}}
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "default"}
	add := func(component string, objects []client.Object) {
		m := monitored{flag: "--health-listen"}
		for _, o := range objects {
			switch o := o.(type) {
			case *appsv1.Deployment:
				m.template = o.Spec.Template
			case *appsv1.StatefulSet:
				m.template = o.Spec.Template
			case *networkingv1.NetworkPolicy:
				m.policy = o
			}
		}
		pods[component] = m
	}
	add("bridge", workload.Bridge(&v1alpha1.Bridge{ObjectMeta: meta}, types.NamespacedName{}, workload.Options{}))
	add("store", workload.Store(&v1alpha1.ConversationStore{ObjectMeta: meta}, nil, workload.Options{}))
	return pods
}

// Every pod is scraped, once, at a port that it has, that serves metrics, that
// its NetworkPolicy opens, and in the way that it speaks there.
func TestPodMonitorsMatchThePods(t *testing.T) {
	monitors := build(t, "prometheus")
	for component, m := range everyPod(t) {
		t.Run(component, func(t *testing.T) {
			scraped := 0
			for _, u := range monitors {
				if u.GetKind() != "PodMonitor" {
					continue
				}
				var monitor podMonitor
				raw, err := yaml.Marshal(u.Object)
				require.NoError(t, err)
				require.NoError(t, yaml.UnmarshalStrict(raw, &monitor))
				require.Equal(t, "monitoring.coreos.com/v1/PodMonitor", monitor.APIVersion+"/"+monitor.Kind)
				selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
				require.NoError(t, err)
				if !selector.Matches(labels.Set(m.template.Labels)) {
					continue
				}
				scraped++
				assert.True(t, monitor.Namespace == "bridgekeeper-system" && (component == "manager" || monitor.Spec.NamespaceSelector.Any))
				for _, l := range monitor.Spec.PodTargetLabels {
					assert.Contains(t, m.template.Labels, l)
				}
				for _, e := range monitor.Spec.PodMetricsEndpoints {
					assert.Equal(t, "http /metrics", e.Scheme+" "+e.Path)
					assert.True(t, e.HonorLabels, "namespaces in metrics are those of resources")
					m.serves(t, e.Port)
				}
			}
			assert.Equal(t, 1, scraped, "monitors that select the pod")
		})
	}
}

// The namespaces of alerts, and what they select by, are those of the monitors.
func TestAlertsAndDashboardAreInstalledWithTheMonitors(t *testing.T) {
	objects := build(t, "prometheus")
	for _, name := range []string{"bridgekeeper-manager", "bridgekeeper-pods"} { // in the job label of every alert
		find[podMonitor](t, objects, "PodMonitor", "bridgekeeper-system", name)
	}
	rules := find[unstructured.Unstructured](t, objects, "PrometheusRule", "bridgekeeper-system", "bridgekeeper")
	require.Equal(t, "monitoring.coreos.com/v1", rules.GetAPIVersion())
	dashboard := find[corev1.ConfigMap](t, objects, "ConfigMap", "bridgekeeper-system", "bridgekeeper-dashboard")
	assert.Equal(t, "1", dashboard.Labels["grafana_dashboard"])
	assert.Contains(t, dashboard.Data["bridgekeeper.json"], `"title": "Bridgekeeper"`)
}

// serves checks that a named port is the one of the metrics and open.
func (m monitored) serves(t *testing.T, name string) {
	t.Helper()
	c := m.template.Spec.Containers[0]
	for _, p := range c.Ports {
		if p.Name != name {
			continue
		}
		assert.Contains(t, c.Args, m.flag+"=:"+strconv.Itoa(int(p.ContainerPort)))
		for _, rule := range m.policy.Spec.Ingress {
			for _, open := range rule.Ports {
				if open.Port.IntVal == p.ContainerPort && len(rule.From) == 0 {
					return
				}
			}
		}
		t.Errorf("the NetworkPolicy does not open port %d to the cluster", p.ContainerPort)
		return
	}
	t.Errorf("the pod has no port %q", name)
}

// The operator of single namespaces has no right beyond them, and in them the
// same as in all of a cluster.
func TestNamespacedInstallHasRolesOnly(t *testing.T) {
	objects := build(t, "namespaced")
	for _, u := range objects {
		assert.NotContains(t, []string{"ClusterRole", "ClusterRoleBinding"}, u.GetKind(), u.GetName())
	}
	all := find[rbacv1.ClusterRole](t, build(t, "default"), "ClusterRole", "", "bridgekeeper-manager")
	watched := find[rbacv1.Role](t, objects, "Role", "default", "bridgekeeper-watched")
	var want []rbacv1.PolicyRule
	for _, r := range all.Rules {
		if r.Resources[0] != "namespaces" {
			want = append(want, r)
		}
	}
	assert.Equal(t, want, watched.Rules)
}

// An installation as README tells people to write one.
func TestNamespacesOfOnesOwn(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	dir := t.TempDir()
	base, err := filepath.Rel(dir, filepath.Join(here, "namespaced"))
	require.NoError(t, err)
	write := func(folder, text string) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, folder), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, folder, "kustomization.yaml"), []byte(text), 0o600))
	}
	write(".", `
resources: [`+base+`/operator, shop, support]
images: [{name: ghcr.io/bridgekeeper/bridgekeeper, newName: registry.example.com/bridgekeeper, newTag: v9}]
patches:
  - target: {kind: Deployment, name: bridgekeeper-manager}
    patch: |
      - op: add
        path: /spec/template/spec/containers/0/env/-
        value: {name: WATCH_NAMESPACES, value: "shop,support"}
`)
	for _, ns := range []string{"shop", "support"} {
		write(ns, "namespace: "+ns+"\nresources: [../"+base+"/watched]\n")
	}
	objects := build(t, dir)
	for _, ns := range []string{"shop", "support"} {
		binding := find[rbacv1.RoleBinding](t, objects, "RoleBinding", ns, "bridgekeeper-watched")
		assert.Equal(t, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "bridgekeeper-watched"}, binding.RoleRef)
		assert.Equal(t, []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "bridgekeeper-system", Name: "bridgekeeper-manager"}}, binding.Subjects)
		find[rbacv1.Role](t, objects, "Role", ns, "bridgekeeper-watched")
	}
	c := find[appsv1.Deployment](t, objects, "Deployment", "bridgekeeper-system", "bridgekeeper-manager").Spec.Template.Spec.Containers[0]
	assert.Equal(t, "registry.example.com/bridgekeeper:v9", c.Image)
	assert.Contains(t, c.Env, corev1.EnvVar{Name: "WATCH_NAMESPACES", Value: "shop,support"})
	assert.Contains(t, c.Args, "--watch-namespaces=$(WATCH_NAMESPACES)")
}

// Whatever image people put into the Deployment, nothing beside it names one.
func TestNothingElseNamesTheImage(t *testing.T) {
	for _, u := range build(t, "default") {
		raw, err := yaml.Marshal(u.Object)
		require.NoError(t, err)
		want := 0
		if u.GetKind() == "Deployment" {
			want = 1
		}
		assert.Equal(t, want, strings.Count(string(raw), "ghcr.io/bridgekeeper/bridgekeeper"), "%s %s", u.GetKind(), u.GetName())
	}
}
