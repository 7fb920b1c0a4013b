package main

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func pod(namespace, name, ip string, labels map[string]string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       v1.PodSpec{Containers: []v1.Container{{Ports: []v1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
		Status:     v1.PodStatus{PodIP: ip, Phase: v1.PodRunning},
	}
}

// example has two namespaces with two pods each.
func example(t *testing.T, spec string) state {
	t.Helper()
	s := state{dns: "10.0.0.1"}
	for i, namespace := range []string{"one", "two"} {
		s.namespaces = append(s.namespaces, &v1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: namespace, Labels: map[string]string{"name": namespace},
		}})
		for j, app := range []string{"a", "b"} {
			s.pods = append(s.pods, pod(namespace, app, fmt.Sprintf("10.0.%d.%d", i+1, j+1), map[string]string{"app": app}))
		}
	}
	s.namespaces = append(s.namespaces, &v1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "kube-system", Labels: map[string]string{"name": "kube-system"},
	}})
	if spec != "" {
		policy := &networking.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "one", Name: "p"}}
		if err := yaml.Unmarshal([]byte(spec), &policy.Spec); err != nil {
			t.Fatal(err)
		}
		s.policies = append(s.policies, policy)
	}
	return s
}

// permits lists what the rules' chains allow, without the chains' names.
func permits(r ruleset) []string {
	var found []string
	for _, chain := range r.order {
		for _, rule := range r.rules[chain] {
			if match, is := strings.CutSuffix(rule, "-j MARK --set-xmark "+allowed); is {
				found = append(found, strings.TrimSpace(match))
			}
		}
	}
	return found
}

func TestNoPolicyNoIsolation(t *testing.T) {
	if r := compile(example(t, "")); len(r.order) != 1 {
		t.Errorf("chains without a policy: %v", r.order)
	}
}

func TestPermits(t *testing.T) {
	for _, c := range []struct {
		name, spec string
		isolated   int // chains with a DROP
		want       []string
	}{
		{"default deny", `{podSelector: {}, policyTypes: [Ingress, Egress]}`, 4, nil},
		{"allow all", `{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}`, 2, []string{""}},
		{"pods of the same namespace", `{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: b}}}]}]}`,
			1, []string{"-s 10.0.1.2/32"}},
		{"pods of another namespace", `{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {name: two}}}]}]}`,
			1, []string{"-s 10.0.2.1/32", "-s 10.0.2.2/32"}},
		{"both selectors", `{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: b}}}]}]}`,
			1, []string{"-s 10.0.1.2/32", "-s 10.0.2.2/32"}},
		{"ports", `{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}, {port: 100, endPort: 200, protocol: UDP}, {protocol: TCP}]}]}`,
			1, []string{"-p tcp --dport 80", "-p udp --dport 100:200", "-p tcp"}},
		{"named port for ingress is the pod's own", `{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{ports: [{port: http}]}]}`,
			1, []string{"-d 10.0.1.1/32 -p tcp --dport 8080"}},
		{"named port for egress is the peer's", `{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: http}]}]}`,
			1, []string{"-d 10.0.1.2/32 -p tcp --dport 8080"}},
		{"block with an exception", `{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.1.0.0/30, except: [10.1.0.1/32]}}]}]}`,
			1, []string{"-d 10.1.0.0/32", "-d 10.1.0.2/31"}},
		{"DNS is only DNS", `{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {name: kube-system}}}]}]}`,
			1, []string{"-d 10.0.0.1/32 -p udp --dport 53", "-d 10.0.0.1/32 -p tcp --dport 53"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := compile(example(t, c.spec))
			if got := permits(r); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("permits %q, want %q", got, c.want)
			}
			if got := strings.Count(r.text(), "-j DROP"); got != c.isolated {
				t.Errorf("%d chains drop, want %d:\n%s", got, c.isolated, r.text())
			}
			for _, chain := range r.order {
				if len(chain) > 28 {
					t.Errorf("%s is too long for iptables", chain)
				}
			}
		})
	}
}

func TestFinishedAndHostPodsAreLeftOut(t *testing.T) {
	s := example(t, `{podSelector: {}, policyTypes: [Ingress]}`)
	s.pods[0].Status.Phase = v1.PodSucceeded
	s.pods[1].Spec.HostNetwork = true
	if r := compile(s); strings.Contains(r.text(), "DROP") {
		t.Errorf("isolated:\n%s", r.text())
	}
}

func TestTransactionRemovesOldChains(t *testing.T) {
	r := newRuleset()
	r.chain("new")
	r.add("new", "-j DROP")
	const want = "*mangle\n:old - [0:0]\n:new - [0:0]\n-A new -j DROP\n-X old\nCOMMIT\n"
	if got := r.transaction([]string{"old", "new"}); got != want {
		t.Errorf("got:\n%s", got)
	}
}

func TestSupportedClaims(t *testing.T) {
	block := v1.PersistentVolumeBlock
	for name, c := range map[string]struct {
		spec v1.PersistentVolumeClaimSpec
		ok   bool
	}{
		"one writer":   {v1.PersistentVolumeClaimSpec{AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}}, true},
		"many writers": {v1.PersistentVolumeClaimSpec{AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteMany}}, false},
		"raw block":    {v1.PersistentVolumeClaimSpec{VolumeMode: &block}, false},
	} {
		if err := supported(&v1.PersistentVolumeClaim{Spec: c.spec}); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeleteOnlyOwnFolders(t *testing.T) {
	h := &hostFolder{root: t.TempDir()}
	for _, path := range []string{"/etc", h.root, h.root + "/other"} {
		volume := &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}}
		volume.Spec.Local = &v1.LocalVolumeSource{Path: path}
		if err := h.Delete(t.Context(), volume); err == nil {
			t.Errorf("%s would have been removed", path)
		}
	}
}
