package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

func (t *smokeTest) dns(ctx context.Context) error {
	clusterIP, err := t.kubectl(ctx, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return err
	}
	for name, want := range map[string]string{
		"web":                                  clusterIP,
		"web." + smokeNamespace + ".svc":       clusterIP,
		"kubernetes.default.svc.cluster.local": apiServiceIP,
		"data-0.data." + smokeNamespace + ".svc.cluster.local": "10.244.",
	} {
		err := eventually(ctx, 10*time.Second, func() error {
			out, err := t.inPod(ctx, t.pod, "resolve", name)
			return expect(out, want, err)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (t *smokeTest) endpoints(ctx context.Context) error {
	return t.seesBoth(ctx, func() (string, error) { return t.inPod(ctx, "data-0", "get", "http://web") })
}

func (t *smokeTest) nodePort(ctx context.Context) error {
	port, err := t.kubectl(ctx, "get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")
	if err != nil {
		return err
	}
	return t.seesBoth(ctx, func() (string, error) { return httpGet(ctx, "http://127.0.0.1:"+port) })
}

// seesBoth asks until both pods have answered. With a fair choice 40 attempts
// miss one of them once in 10^12 runs.
func (t *smokeTest) seesBoth(ctx context.Context, ask func() (string, error)) error {
	seen := map[string]bool{}
	for range 40 {
		name, err := ask()
		if err != nil {
			return err
		}
		if seen[name] = true; len(seen) == 2 {
			return nil
		}
	}
	return fmt.Errorf("only these answered: %v", seen)
}

func (t *smokeTest) volume(ctx context.Context) error {
	phase, err := t.kubectl(ctx, "get", "pvc", "data-data-0", "-o", "jsonpath={.status.phase}")
	if err := expect(phase, "Bound", err); err != nil {
		return err
	}
	if _, err := t.inPod(ctx, "data-0", "write", "/data/note", "still here"); err != nil {
		return err
	}
	uid, err := t.kubectl(ctx, "get", "pod", "data-0", "-o", "jsonpath={.metadata.uid}")
	if err != nil {
		return err
	}
	if _, err := t.kubectl(ctx, "delete", "pod", "data-0", "--timeout=30s"); err != nil {
		return err
	}
	return eventually(ctx, 30*time.Second, func() error {
		now, err := t.kubectl(ctx, "get", "pod", "data-0", "-o", "jsonpath={.metadata.uid}")
		if err != nil || now == uid {
			return errors.Join(err, errors.New("the pod was not replaced"))
		}
		out, err := t.inPod(ctx, "data-0", "read", "/data/note")
		return expect(out, "still here", err)
	})
}

func (t *smokeTest) reclaim(ctx context.Context) error {
	name, err := t.kubectl(ctx, "get", "pvc", "data-data-0", "-o", "jsonpath={.spec.volumeName}")
	if err != nil {
		return err
	}
	if _, err := os.Stat(t.cfg.path("volumes", name)); err != nil {
		return err
	}
	if _, err := t.kubectl(ctx, "delete", "statefulset/data", "pvc/data-data-0", "--timeout=30s"); err != nil {
		return err
	}
	return eventually(ctx, 30*time.Second, func() error {
		if exists(t.cfg.path("volumes", name)) {
			return errors.New("its folder is still there")
		}
		out, err := t.kubectl(ctx, "get", "persistentvolume", name, "--ignore-not-found", "-o", "name")
		if err == nil && out != "" {
			err = errors.New("the PersistentVolume is still there")
		}
		return err
	})
}

// policySteps are applied one after the other; each says whether data-0 may
// then reach the web pods.
var policySteps = []struct {
	name, spec string
	open       bool
}{
	{"a default deny closes", `{podSelector: {}, policyTypes: [Ingress]}`, false},
	{"a peer that matches opens", `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: data}}}], ports: [{port: 8080}]}]}`, true},
	{"another peer does not", `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: other}}}]}]}`, false},
	{"another port does not", `{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 9}]}]}`, false},
	{"an address block opens", `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.244.0.0/23}}]}]}`, true},
	{"no egress closes", `{podSelector: {matchLabels: {app: data}}, policyTypes: [Egress]}`, false},
	{"egress to DNS and web opens", `{podSelector: {matchLabels: {app: data}}, policyTypes: [Egress], egress: [
	  {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53}]},
	  {to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]}`, true},
}

func (t *smokeTest) policy(ctx context.Context) error {
	if status := survey(ctx, t.cfg).NetworkPolicies; !status.Enforced {
		return fmt.Errorf("%w: %s", errSkip, status.Reason)
	}
	for _, step := range policySteps {
		manifest := fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: smoke, namespace: %s}\nspec: %s\n",
			smokeNamespace, step.spec)
		// Replaced, not applied: a policy's fields must not pile up.
		if _, err := t.kubectl(ctx, "delete", "networkpolicy", "smoke", "--ignore-not-found"); err != nil {
			return err
		}
		if _, err := kubectl(ctx, t.cfg, manifest, "create", "-f", "-"); err != nil {
			return err
		}
		err := eventually(ctx, 15*time.Second, func() error {
			_, err := t.inPod(ctx, "data-0", "get", "http://web")
			if open := err == nil; open != step.open {
				return fmt.Errorf("%s: reachable is %v: %v", step.name, open, err) //nolint:errorlint // nil when it is reachable
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	// The kubelet's probes come from the node, which policies must not shut out.
	ready, err := t.kubectl(ctx, "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
	if err := expect(ready, "2", err); err != nil {
		return fmt.Errorf("probes: %w", err)
	}
	_, err = t.kubectl(ctx, "delete", "networkpolicy", "smoke")
	return err
}

func (t *smokeTest) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := kubectl(ctx, t.cfg, "", "delete", "namespace", smokeNamespace, "--ignore-not-found", "--timeout=50s")
	if err != nil && !strings.Contains(err.Error(), "not found") {
		fmt.Println("cleaning up:", err)
	}
}
