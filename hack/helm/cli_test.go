package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// cli runs the programs that people install with, against an API server of its
// own: there is nothing behind it, so objects are made and nothing starts.
type cli struct {
	t           *testing.T
	assets      string
	environment []string
}

const chartFolder = config + "/helm/bridgekeeper"

// withServer starts an API server.
func withServer(t *testing.T) *cli {
	t.Helper()
	c := withoutServer(t)
	log.SetLogger(logr.Discard())
	env := &envtest.Environment{ControlPlaneStartTimeout: 3 * time.Minute} // its own 20 s are for an idle machine
	_, err := env.Start()
	require.NoError(t, err)
	t.Cleanup(func() { _ = env.Stop() })
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, env.KubeConfig, 0o600))
	c.environment = append(c.environment, "KUBECONFIG="+kubeconfig)
	return c
}

func withoutServer(t *testing.T) *cli {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("this test needs an API server, kubectl and helm: export KUBEBUILDER_ASSETS=$(hack/cluster/cluster.sh binaries --envtest), or run make unit")
	}
	// What the developer has set up for helm is none of a test's business.
	home := t.TempDir()
	return &cli{t: t, assets: assets, environment: []string{
		"HOME=" + home, "HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home, "KUBECONFIG=" + filepath.Join(home, "none"),
	}}
}

// try runs a program and returns what it wrote.
func (c *cli) try(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.assets, program), args...) //nolint:gosec // a tool of ours
	cmd.Env = append(os.Environ(), c.environment...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *cli) run(program string, args ...string) string {
	c.t.Helper()
	out, err := c.try(program, args...)
	require.NoError(c.t, err, "%s %s\n%s", program, strings.Join(args, " "), out)
	return out
}

func (c *cli) helm(args ...string) string {
	c.t.Helper()
	return c.run("helm", args...)
}

func (c *cli) kubectl(args ...string) string {
	c.t.Helper()
	return c.run("kubectl", args...)
}

// manager reads a field of the operator's Deployment.
func (c *cli) manager(path string) string {
	c.t.Helper()
	return c.kubectl("get", "deployment", "bridgekeeper-manager", "-n", namespace, "-o", "jsonpath={"+path+"}")
}

// apply writes manifests as README does.
func (c *cli) apply(content string) string {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "manifests.yaml")
	require.NoError(c.t, os.WriteFile(path, []byte(content), 0o600))
	return c.kubectl("apply", "--server-side", "-f", path)
}

func TestHelmFindsNothingToComplainAbout(t *testing.T) {
	c := withoutServer(t)
	for _, values := range []string{"", "watchNamespaces={shop,support}", "prometheus.enabled=true"} {
		args := []string{"lint", "--strict", "--quiet", chartFolder}
		if values != "" {
			args = append(args, "--set", values)
		}
		c.helm(args...)
	}
	out, err := c.try("helm", "lint", "--strict", chartFolder, "--set", "replica=2")
	require.Error(t, err)
	assert.Contains(t, out, "replica")
}

// The library that renders the chart in the other tests, and the program that
// people have, make the same of it.
func TestHelmRendersWhatIsTested(t *testing.T) {
	c := withoutServer(t)
	for name, values := range map[string]string{"defaults": "", "single namespaces": "watchNamespaces: [shop]", "monitoring": "prometheus: {enabled: true}"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "values.yaml")
			require.NoError(t, os.WriteFile(path, []byte(values), 0o600))
			out := c.helm("template", "bridgekeeper", chartFolder, "--namespace", "ops", "--values", path)
			assert.Equal(t, mustRender(t, "ops", values), byName(t, parse(t, out)))
		})
	}
}

// One API server for all: to start one takes longer than most of what follows.
func TestOnAnAPIServer(t *testing.T) {
	server := withServer(t)
	for _, tc := range []struct {
		name string
		test func(*testing.T, *cli)
	}{
		{"the life of a release", lifeOfARelease},
		{"a release for single namespaces", releaseForSingleNamespaces},
		{"helm takes over what kubectl installed", takeOver},
		{"the chart is install.yaml", chartIsInstallFile},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := *server
			c.t = t
			require.Empty(t, c.versions(), "left by the one before")
			tc.test(t, &c)
		})
	}
}

// lifeOfARelease goes from its first day to its last, and to a second one after it.
func lifeOfARelease(t *testing.T, c *cli) {
	chart := []string{"bridgekeeper", chartFolder, "--namespace", namespace}
	with := func(verb string, more ...string) []string { return append(append([]string{verb}, chart...), more...) }

	out := c.helm(with("install", "--create-namespace")...) // as README says
	assert.Contains(t, out, "STATUS: deployed")
	assert.Contains(t, out, "watches all namespaces", "the notes are shown")
	c.kubectl("wait", "--for=condition=Established", "crd/channels.bridgekeeper.dev", "--timeout=2m")
	require.Len(t, c.versions(), 10, "of each kind")
	assert.Equal(t, "1", c.manager(".spec.replicas"))
	c.apply(channelManifest)

	before := c.versions()
	c.helm(with("upgrade")...)
	assert.Equal(t, before, c.versions(), "an upgrade that changes nothing writes nothing")
	c.helm(with("upgrade", "--set", "replicas=2,image.tag=v9")...)
	assert.Equal(t, "2", c.manager(".spec.replicas"))
	assert.Equal(t, "ghcr.io/bridgekeeper/bridgekeeper:v9", c.manager(".spec.template.spec.containers[0].image"))

	out, err := c.try("helm", with("upgrade", "--set", "replica=3")...)
	require.Error(t, err)
	assert.Contains(t, out, "replica")
	assert.Equal(t, "2", c.manager(".spec.replicas"), "a mistake changes nothing")
	c.helm("rollback", "bridgekeeper", "1", "--namespace", namespace)
	assert.Equal(t, "1", c.manager(".spec.replicas"))

	c.helm("uninstall", "bridgekeeper", "--namespace", namespace)
	assert.Empty(t, c.versions(), "all is gone,")
	assert.Equal(t, "telegram-main", c.channels(), "but for what people defined")
	c.helm(with("install")...)
	assert.Equal(t, "telegram-main", c.channels())

	c.removeAll(namespace)
}

// removeAll uninstalls a release with its definitions.
func (c *cli) removeAll(namespace string) {
	c.t.Helper()
	c.helm("upgrade", "bridgekeeper", chartFolder, "--namespace", namespace, "--reuse-values", "--set", "crds.keep=false")
	c.helm("uninstall", "bridgekeeper", "--namespace", namespace)
	c.kubectl("wait", "--for=delete", "crd/channels.bridgekeeper.dev", "--timeout=2m")
}

const channelManifest = `
apiVersion: bridgekeeper.dev/v1alpha1
kind: Channel
metadata: {name: telegram-main, namespace: default}
spec:
  platform: telegram
  telegram: {botID: "110201543"}
  credentials: {secretRef: {name: telegram-main}}
`

func (c *cli) channels() string {
	c.t.Helper()
	return c.kubectl("get", "channels", "-n", "default", "-o", "jsonpath={.items[*].metadata.name}")
}

// releaseForSingleNamespaces: there is nothing in the release that only an
// administrator of the cluster may make, but for the definitions.
func releaseForSingleNamespaces(t *testing.T, c *cli) {
	c.kubectl("create", "namespace", "shop")
	out := c.helm("install", "bridgekeeper", chartFolder, "--namespace", "ops", "--create-namespace", "--set", "watchNamespaces={shop}")
	assert.Contains(t, out, "watches shop")
	assert.Equal(t, "bridgekeeper-watched", c.kubectl("get", "roles", "-n", "shop", "-o", "jsonpath={.items[*].metadata.name}"))
	assert.NotContains(t, c.kubectl("get", "clusterroles", "-o", "name"), "bridgekeeper-manager")
	var subjects []struct{ Namespace string }
	require.NoError(t, json.Unmarshal([]byte(c.kubectl("get", "rolebinding", "bridgekeeper-watched", "-n", "shop", "-o", "jsonpath={.subjects}")), &subjects))
	require.Len(t, subjects, 1)
	assert.Equal(t, "ops", subjects[0].Namespace)
	c.removeAll("ops")
}

// takeOver: who came by install.yaml goes on with Helm, as README says, and
// nothing is made anew.
func takeOver(t *testing.T, c *cli) {
	content, err := install(config, "")
	require.NoError(t, err)
	c.apply(string(content))
	uid := c.manager(".metadata.uid")
	args := []string{"install", "bridgekeeper", chartFolder, "--namespace", namespace}
	out, err := c.try("helm", args...)
	require.Error(t, err)
	assert.Contains(t, out, "ownership", "Helm says why it does not")

	c.helm(append(args, "--take-ownership", "--force-conflicts", "--set", "replicas=2")...)
	assert.Equal(t, uid, c.manager(".metadata.uid"))
	assert.Equal(t, "2", c.manager(".spec.replicas"))
	c.removeAll(namespace)
}
