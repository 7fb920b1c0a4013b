// Command gitops writes what GitOps tools need to see our resources' health:
// the part of Argo CD's ConfigMap that holds its script for each kind, and the
// expressions for Flux. The kinds are those of config/crd.
//
//	config/crd/bases ──┐
//	argocd/health.lua ─┼──► config/gitops/argocd/argocd-cm.yaml
//	expressions.go ────┴──► config/gitops/flux/health-check-exprs.yaml
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "gitops: name the folder config")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

// kind is one that the CustomResourceDefinitions define.
type kind struct{ group, version, name string }

// definition is what of a CustomResourceDefinition is looked at.
type definition struct {
	Spec struct {
		Group string `json:"group"`
		Names struct {
			Kind string `json:"kind"`
		} `json:"names"`
		Versions []struct {
			Name    string `json:"name"`
			Storage bool   `json:"storage"`
		} `json:"versions"`
	} `json:"spec"`
}

func kinds(config string) ([]kind, error) {
	files, err := filepath.Glob(filepath.Join(config, "crd", "bases", "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s: no CustomResourceDefinitions: %w", config, err)
	}
	var out []kind
	for _, f := range files { // in the order of their names
		content, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var d definition
		if err := yaml.Unmarshal(content, &d); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		for _, v := range d.Spec.Versions {
			if v.Storage {
				out = append(out, kind{d.Spec.Group, v.Name, d.Spec.Names.Kind})
			}
		}
	}
	return out, nil
}

func write(config string) error {
	all, err := kinds(config)
	if err != nil {
		return err
	}
	script, err := os.ReadFile(filepath.Join(config, "gitops", "argocd", "health.lua"))
	if err != nil {
		return err
	}
	for path, object := range map[string]any{
		"argocd/argocd-cm.yaml":        argoConfigMap(all, string(script)),
		"flux/health-check-exprs.yaml": fluxPatch(all),
	} {
		content, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		content = append([]byte("# Generated from hack/gitops by make generate.\n"), content...)
		if err := os.WriteFile(filepath.Join(config, "gitops", path), content, 0o644); err != nil { //nolint:gosec // public
			return err
		}
	}
	return nil
}

func argoConfigMap(all []kind, script string) map[string]any {
	data := map[string]string{}
	for _, k := range all {
		data["resource.customizations.health."+k.group+"_"+k.name] = script
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": data,
		"metadata": map[string]any{
			"name": "argocd-cm", "namespace": "argocd", "labels": map[string]string{"app.kubernetes.io/part-of": "argocd"},
		},
	}
}

func fluxPatch(all []kind) map[string]any {
	var checks []map[string]string
	for _, k := range all {
		checks = append(checks, map[string]string{
			"apiVersion": k.group + "/" + k.version, "kind": k.name,
			"inProgress": inProgress, "failed": failed, "current": current,
		})
	}
	return map[string]any{
		"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": map[string]any{"name": "any"},
		"spec": map[string]any{"wait": true, "healthCheckExprs": checks},
	}
}
