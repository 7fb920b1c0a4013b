package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

// renderChart is what "helm template" makes of the shipped chart, checked against
// its schema: one text of many documents.
func renderChart(config, namespace string, values map[string]any) (string, error) {
	chart, err := loader.LoadDir(filepath.Join(config, "helm", "bridgekeeper"))
	if err != nil {
		return "", err
	}
	release := common.ReleaseOptions{Name: "bridgekeeper", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(chart, values, release, common.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	rendered, err := engine.Render(chart, all)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if strings.HasSuffix(name, ".yaml") {
			b.WriteString("---\n" + rendered[name] + "\n")
		}
	}
	return b.String(), nil
}

// imageValues are the chart's values for an image: a name with a tag.
func imageValues(image string) (map[string]any, error) {
	if image == "" {
		return nil, nil
	}
	i := strings.LastIndex(image, ":")
	if i < 0 || strings.Contains(image[i:], "/") || strings.Contains(image, "@") {
		return nil, fmt.Errorf("-image %q: give a name with a tag", image)
	}
	raw := fmt.Sprintf("image: {repository: %q, tag: %q}", image[:i], image[i+1:])
	var values map[string]any
	return values, yaml.Unmarshal([]byte(raw), &values)
}
