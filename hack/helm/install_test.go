package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

func TestInstallIsConfigDefaultInOneFile(t *testing.T) {
	content, err := install(config, "registry.example.com/bk:v9")
	require.NoError(t, err)
	want, err := build(config, "default")
	require.NoError(t, err)
	got := parse(t, string(content))
	require.Len(t, got, len(want))
	images := 0
	for _, o := range got {
		if c := managerContainer(o); c != nil {
			images++
			assert.Equal(t, "registry.example.com/bk:v9", c["image"])
		}
	}
	assert.Equal(t, 1, images)
}

// An API server takes install.yaml as README says, and after it the chart
// changes nothing: who came by the one way can go on by the other.
func TestAnAPIServerTakesBoth(t *testing.T) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("this test needs an API server: export KUBEBUILDER_ASSETS=$(hack/cluster/cluster.sh binaries --envtest), or run make unit")
	}
	env := &envtest.Environment{ControlPlaneStartTimeout: 3 * time.Minute} // its own 20 s are for an idle machine
	_, err := env.Start()
	require.NoError(t, err)
	t.Cleanup(func() { _ = env.Stop() })
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, env.KubeConfig, 0o600))
	apply := func(name string, content []byte, flags ...string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		args := append([]string{"--kubeconfig", kubeconfig, "apply", "--server-side", "-f", path}, flags...)
		out, err := exec.Command(filepath.Join(assets, "kubectl"), args...).CombinedOutput() //nolint:gosec // a tool of ours
		require.NoError(t, err, string(out))
		return string(out)
	}
	content, err := install(config, "")
	require.NoError(t, err)
	first := apply("install.yaml", content)
	assert.Contains(t, first, "deployment.apps/bridgekeeper-manager serverside-applied")
	before := versions(t, assets, kubeconfig)

	apply("install.yaml", content)
	var chart strings.Builder
	for _, o := range mustRender(t, namespace, "crds: {keep: false}") { // its mark is the one difference
		raw, err := yaml.Marshal(o)
		require.NoError(t, err)
		chart.WriteString("---\n" + string(raw))
	}
	apply("chart.yaml", []byte(chart.String()))
	assert.Equal(t, before, versions(t, assets, kubeconfig))
}

// versions of what is installed, but for what the API server itself writes to.
func versions(t *testing.T, assets, kubeconfig string) []string {
	t.Helper()
	out, err := exec.Command(filepath.Join(assets, "kubectl"), "--kubeconfig", kubeconfig, "get", "-A", //nolint:gosec // a tool of ours
		"deployments,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,networkpolicies",
		"-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`).CombinedOutput()
	require.NoError(t, err, string(out))
	var ours []string
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(line, " bridgekeeper-") {
			ours = append(ours, line)
		}
	}
	require.Len(t, ours, 10, "of each kind")
	return ours
}
