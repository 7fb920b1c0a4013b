package main

import (
	"path/filepath"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// object is one to apply.
type object map[string]any

func (o object) kind() string { return text(o["kind"]) }

func (o object) metadata() map[string]any {
	m, _ := o["metadata"].(map[string]any)
	return m
}

func (o object) name() string { return text(o.metadata()["name"]) }

func text(v any) string {
	s, _ := v.(string)
	return s
}

// build is what "kubectl kustomize" makes of a folder below config.
func build(config, folder string) ([]object, error) {
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	options.Reorder = krusty.ReorderOptionLegacy // as kubectl does: the Namespace before what is in it
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), filepath.Join(config, folder))
	if err != nil {
		return nil, err
	}
	var out []object
	for _, r := range resources.Resources() {
		content, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		o := object{}
		if err := yaml.Unmarshal(content, &o); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// podSpec is the pod's of a Deployment, else nil.
func podSpec(o object) map[string]any {
	if o.kind() != "Deployment" {
		return nil
	}
	spec, _ := o["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	pod, _ := template["spec"].(map[string]any)
	return pod
}

// managerContainer is the operator's of its Deployment, else nil.
func managerContainer(o object) map[string]any {
	containers, _ := podSpec(o)["containers"].([]any)
	if len(containers) == 0 {
		return nil
	}
	c, _ := containers[0].(map[string]any)
	return c
}
