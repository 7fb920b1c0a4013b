package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A Flux Kustomization gets the checks by its label, and others stay as they are.
func TestFluxComponentAddsTheHealthChecks(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	dir := t.TempDir()
	component, err := filepath.Rel(dir, filepath.Join(here, "gitops", "flux"))
	require.NoError(t, err)
	for name, text := range map[string]string{
		"kustomization.yaml": "resources: [flux.yaml]\ncomponents: [" + component + "]\n",
		"flux.yaml": `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: shop, namespace: flux-system, labels: {bridgekeeper.dev/health-checks: "true"}}
spec: {interval: 10m, path: ./shop, prune: true, sourceRef: {kind: GitRepository, name: shop}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: other, namespace: flux-system}
spec: {interval: 10m, path: ./other, prune: true, sourceRef: {kind: GitRepository, name: shop}}
`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	objects := build(t, dir)
	shop := find[unstructured.Unstructured](t, objects, "Kustomization", "flux-system", "shop")
	checks, _, err := unstructured.NestedSlice(shop.Object, "spec", "healthCheckExprs")
	require.NoError(t, err)
	assert.Len(t, checks, len(customResources(t)), "one of each kind")
	path, _, _ := unstructured.NestedString(shop.Object, "spec", "path")
	assert.Equal(t, "./shop", path)
	other := find[unstructured.Unstructured](t, objects, "Kustomization", "flux-system", "other")
	assert.NotContains(t, other.Object["spec"], "healthCheckExprs")
}

func TestArgoCDConfigMapHoldsNothingElse(t *testing.T) {
	objects := build(t, "gitops/argocd")
	require.Len(t, objects, 1)
	configMap := find[corev1.ConfigMap](t, objects, "ConfigMap", "argocd", "argocd-cm")
	assert.Len(t, configMap.Data, len(customResources(t)))
}
