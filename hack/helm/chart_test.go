package main

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const config = "../../config"

// render is what "helm template" makes of the shipped chart: by the name of the
// object.
func render(t *testing.T, namespace, values string) (map[string]object, error) {
	t.Helper()
	var given map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(values), &given))
	rendered, err := renderChart(config, namespace, given)
	if err != nil {
		return nil, err
	}
	return byName(t, parse(t, rendered)), nil
}

func mustRender(t *testing.T, namespace, values string) map[string]object {
	t.Helper()
	objects, err := render(t, namespace, values)
	require.NoError(t, err)
	return objects
}

func parse(t *testing.T, text string) []object {
	t.Helper()
	var out []object
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	for {
		o := object{}
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err, text)
		if len(o) > 0 {
			out = append(out, o)
		}
	}
}

func byName(t *testing.T, objects []object) map[string]object {
	t.Helper()
	out := map[string]object{}
	for _, o := range objects {
		key := o.kind() + " " + text(o.metadata()["namespace"]) + "/" + o.name()
		require.NotContains(t, out, key)
		out[key] = o
	}
	return out
}

// built is what kustomize makes of folders, but for the Namespace, which Helm
// makes itself when it is told to.
func built(t *testing.T, folders ...string) map[string]object {
	t.Helper()
	var objects []object
	for _, folder := range folders {
		found, err := build(config, folder)
		require.NoError(t, err)
		for _, o := range found {
			if o.kind() != "Namespace" {
				objects = append(objects, o)
			}
		}
	}
	return byName(t, objects)
}

// equal compares object by object. Only a chart's CustomResourceDefinitions say
// that they are kept.
func equal(t *testing.T, want, got map[string]object) {
	t.Helper()
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	for name, o := range got {
		if o.kind() == "CustomResourceDefinition" {
			annotations, _ := o.metadata()["annotations"].(map[string]any)
			assert.Equal(t, "keep", annotations["helm.sh/resource-policy"], name)
			delete(annotations, "helm.sh/resource-policy")
		}
		wanted, err := yaml.Marshal(want[name])
		require.NoError(t, err)
		have, err := yaml.Marshal(o)
		require.NoError(t, err)
		assert.Equal(t, string(wanted), string(have), name)
	}
}

func TestTheChartInstallsWhatKustomizeDoes(t *testing.T) {
	equal(t, built(t, "default"), mustRender(t, namespace, ""))
}

func TestSingleNamespacesAreAsConfigSays(t *testing.T) {
	want := built(t, "namespaced")
	got := mustRender(t, namespace, "watchNamespaces: [default]")
	// config/namespaced has a default for who sets no list of its own.
	pinned := func(objects map[string]object) any {
		c := managerContainer(objects["Deployment "+namespace+"/bridgekeeper-manager"])
		env := c["env"]
		delete(c, "env")
		return env
	}
	assert.ElementsMatch(t, pinned(want), pinned(got))
	equal(t, want, got)
}

func TestEachWatchedNamespaceHasItsRole(t *testing.T) {
	objects := mustRender(t, "ops", "watchNamespaces: [shop, support]")
	for _, ns := range []string{"shop", "support"} {
		assert.Contains(t, objects, "Role "+ns+"/bridgekeeper-watched")
		subjects := objects["RoleBinding "+ns+"/bridgekeeper-watched"]["subjects"].([]any)
		assert.Equal(t, "ops", subjects[0].(map[string]any)["namespace"])
	}
	for name := range objects {
		assert.NotContains(t, name, "ClusterRole")
	}
	env := managerContainer(objects["Deployment ops/bridgekeeper-manager"])["env"]
	assert.Contains(t, env, map[string]any{"name": "WATCH_NAMESPACES", "value": "shop,support"})
}

func TestMonitoringIsThatOfConfig(t *testing.T) {
	equal(t, built(t, "default", "prometheus"), mustRender(t, namespace, "prometheus: {enabled: true}"))
}

// Every value does what it says, and nothing of another namespace is left.
func TestValues(t *testing.T) {
	container := func(o map[string]object) map[string]any {
		return managerContainer(o["Deployment ops/bridgekeeper-manager"])
	}
	for name, tc := range map[string]struct {
		values string
		check  func(t *testing.T, o map[string]object)
	}{
		"another namespace": {"prometheus: {enabled: true}", func(t *testing.T, o map[string]object) {
			raw, err := yaml.Marshal(o)
			require.NoError(t, err)
			assert.NotContains(t, string(raw), "namespace: "+namespace)
		}},
		"tag": {"image: {repository: registry.example.com/bk, tag: v9}", func(t *testing.T, o map[string]object) {
			assert.Equal(t, "registry.example.com/bk:v9", container(o)["image"])
		}},
		"digest": {"image: {digest: 'sha256:" + strings.Repeat("a", 64) + "'}", func(t *testing.T, o map[string]object) {
			assert.Equal(t, "ghcr.io/bridgekeeper/bridgekeeper@sha256:"+strings.Repeat("a", 64), container(o)["image"])
		}},
		"replicas": {"replicas: 2", func(t *testing.T, o map[string]object) {
			assert.EqualValues(t, 2, o["Deployment ops/bridgekeeper-manager"]["spec"].(map[string]any)["replicas"])
		}},
		"resources": {"resources: {limits: {memory: 1Gi}}", func(t *testing.T, o map[string]object) {
			assert.Equal(t, "1Gi", container(o)["resources"].(map[string]any)["limits"].(map[string]any)["memory"])
		}},
		"arguments": {"createDefaults: false\nextraArgs: [--concurrency=4, --verbose]", func(t *testing.T, o map[string]object) {
			args := container(o)["args"].([]any)
			assert.Equal(t, []any{"--create-defaults=false", "--concurrency=4", "--verbose"}, args[len(args)-3:])
		}},
		"placement": {"nodeSelector: {disk: ssd}\ntolerations: [{operator: Exists}]\naffinity: {podAntiAffinity: {}}", func(t *testing.T, o map[string]object) {
			pod := podSpec(o["Deployment ops/bridgekeeper-manager"])
			assert.Equal(t, map[string]any{"disk": "ssd"}, pod["nodeSelector"])
			assert.Equal(t, []any{map[string]any{"operator": "Exists"}}, pod["tolerations"])
			assert.Contains(t, pod["affinity"], "podAntiAffinity")
		}},
		"no network policy": {"networkPolicy: {enabled: false}", func(t *testing.T, o map[string]object) {
			assert.NotContains(t, o, "NetworkPolicy ops/bridgekeeper-manager")
		}},
		"no definitions": {"crds: {enabled: false}", func(t *testing.T, o map[string]object) {
			assert.NotContains(t, o, "CustomResourceDefinition /channels.bridgekeeper.dev")
		}},
		"definitions go with the chart": {"crds: {keep: false}", func(t *testing.T, o map[string]object) {
			assert.NotContains(t, o["CustomResourceDefinition /channels.bridgekeeper.dev"].metadata()["annotations"], "helm.sh/resource-policy")
		}},
	} {
		t.Run(name, func(t *testing.T) { tc.check(t, mustRender(t, "ops", tc.values)) })
	}
}

func TestMistakesInValuesAreRefused(t *testing.T) {
	for name, values := range map[string]string{
		"typing error":        "replica: 2",
		"below":               "image: {name: x}",
		"not a number":        "replicas: two",
		"not a namespace":     "watchNamespaces: [Shop]",
		"one namespace twice": "watchNamespaces: [shop, shop]",
		"list as text":        "watchNamespaces: shop,support",
		"digest":              "image: {digest: latest}",
		"argument":            "extraArgs: [verbose]",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, "ops", values)
			require.Error(t, err)
			assert.Contains(t, err.Error(), "schema")
		})
	}
}

func TestTheChartIsThatOfConfig(t *testing.T) {
	chart, err := newChart(config)
	require.NoError(t, err)
	loaded, err := loader.LoadDir(filepath.Join(config, "helm", "bridgekeeper"))
	require.NoError(t, err)
	there := map[string]string{}
	for _, f := range loaded.Raw {
		there[f.Name] = string(f.Data)
	}
	require.Len(t, there, len(chart))
	for path, content := range chart {
		assert.Equal(t, string(content), there[path], "%s: run make generate", path)
	}
}

func TestThePackageIsWhole(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, run(config, "", []string{"package", dir}))
	found, err := filepath.Glob(filepath.Join(dir, "bridgekeeper-*.tgz"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	packed, err := loader.LoadFile(found[0])
	require.NoError(t, err)
	require.NoError(t, packed.Validate())
	assert.Len(t, packed.Raw, len(mustFiles(t)))
}

func mustFiles(t *testing.T) files {
	t.Helper()
	chart, err := newChart(config)
	require.NoError(t, err)
	return chart
}
