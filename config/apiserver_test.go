package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// cluster is an API server with our definitions in it, and kubectl for it.
type cluster struct {
	t                   *testing.T
	kubectl, kubeconfig string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("this test needs an API server: export KUBEBUILDER_ASSETS=$(hack/cluster/cluster.sh binaries --envtest), or run make unit")
	}
	ctrl.SetLogger(logr.Discard())
	env := &envtest.Environment{ControlPlaneStartTimeout: 3 * time.Minute} // its own 20 s are for an idle machine
	_, err := env.Start()
	require.NoError(t, err)
	t.Cleanup(func() { _ = env.Stop() })
	c := &cluster{t, filepath.Join(assets, "kubectl"), filepath.Join(t.TempDir(), "kubeconfig")}
	require.NoError(t, os.WriteFile(c.kubeconfig, env.KubeConfig, 0o600))
	c.run("apply", "--server-side", "-k", "crd")
	c.run("wait", "--for=condition=Established", "--timeout=120s", "-f", "crd/bases")
	return c
}

func (c *cluster) try(args ...string) (string, error) {
	out, err := exec.Command(c.kubectl, append([]string{"--kubeconfig", c.kubeconfig}, args...)...).CombinedOutput()
	return string(out), err
}

func (c *cluster) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	require.NoError(c.t, err, "kubectl %s: %s", strings.Join(args, " "), out)
	return out
}

// state is what there is of our kinds, and of Secrets, in one field each.
func (c *cluster) state(field string) string {
	c.t.Helper()
	kinds := []string{"secrets"}
	for _, d := range customResources(c.t) {
		kinds = append(kinds, d.Spec.Names.Plural+"."+d.Spec.Group)
	}
	return c.run("get", "-A", strings.Join(kinds, ","),
		"-o", `jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.`+field+`}{"\n"}{end}`)
}

func TestOnAnAPIServer(t *testing.T) {
	c := newCluster(t)
	t.Run("samples are applied again without a change", func(t *testing.T) { c.of(t).appliesAgain() })
	t.Run("explain answers for every kind", func(t *testing.T) { c.of(t).explainsAll() })
}

// of is the same cluster, for a part of the test.
func (c *cluster) of(t *testing.T) *cluster { return &cluster{t, c.kubectl, c.kubeconfig} }

// appliesAgain does what GitOps tools do all day: apply what is in Git, again
// and again, and look before with a dry run. Nothing changes by it, whoever else
// applies the same.
func (c *cluster) appliesAgain() {
	t := c.t
	folders, err := filepath.Glob("samples/*/kustomization.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, f := range folders {
		sample := filepath.Dir(f)
		t.Run(filepath.Base(sample), func(t *testing.T) {
			c := c.of(t)
			flags := []string{"--server-side", "--validate=strict", "-k", sample}
			// Twice: with the second one the API server keeps the status' default, which
			// in a cluster the operator's first status does.
			// Samples build on each other, and the one before was applied by another, too.
			c.run(append([]string{"apply", "--force-conflicts"}, flags...)...)
			c.run(append([]string{"apply"}, flags...)...)
			versions, generations := c.state("resourceVersion"), c.state("generation")

			dry := c.run(append([]string{"apply", "--dry-run=server"}, flags...)...)
			assert.Len(t, strings.Fields(c.run("get", "-k", sample, "-o", "name")), strings.Count(dry, "server dry run"), "all of it is tried")
			c.run(append([]string{"apply"}, flags...)...)
			assert.Equal(t, versions, c.state("resourceVersion"), "the same again is nothing new")
			// Who writes stringData of a Secret owns it alone: hence the force.
			c.run(append([]string{"apply", "--field-manager=another", "--force-conflicts"}, flags...)...)
			assert.Equal(t, generations, c.state("generation"), "defaults would be drift")
		})
	}
}

// explainsAll asks for every kind, down to the last field.
func (c *cluster) explainsAll() {
	for _, d := range customResources(c.t) {
		name := d.Spec.Names.Plural
		all := c.explain(name, "--recursive")
		assert.Contains(c.t, all, "observedGeneration", name)
		assert.NotContains(c.t, all, "<empty>", name)
	}
}

// explain asks until the API server has published the kind's schema, which it
// does some time after the kind is served.
func (c *cluster) explain(args ...string) string {
	c.t.Helper()
	args = append([]string{"explain"}, args...)
	deadline := time.Now().Add(2 * time.Minute)
	for {
		out, err := c.try(args...)
		if err == nil {
			return out
		}
		require.True(c.t, time.Now().Before(deadline), out)
		<-time.After(100 * time.Millisecond)
	}
}
