package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	t.Run("samples can be tried before there is anything", func(t *testing.T) { c.of(t).tries() })
	t.Run("samples are applied again without a change", func(t *testing.T) { c.of(t).appliesAgain() })
	t.Run("the runbook's commands find what they look for", func(t *testing.T) { c.of(t).looks() })
	t.Run("explain answers for every kind", func(t *testing.T) { c.of(t).explainsAll() })
}

// of is the same cluster, for a part of the test.
func (c *cluster) of(t *testing.T) *cluster { return &cluster{t, c.kubectl, c.kubeconfig} }

func samples(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob("samples/*/kustomization.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for i, f := range folders {
		folders[i] = filepath.Dir(f)
	}
	return folders
}

// tries applies every sample with a dry run on a cluster that has nothing of it.
// A dry run makes no namespace, so it is made before, as gitops/README.md says;
// no sample needs anything else.
func (c *cluster) tries() {
	made := map[string]bool{}
	for _, sample := range samples(c.t) {
		c.t.Run(filepath.Base(sample), func(t *testing.T) {
			c := c.of(t)
			built := c.run("kustomize", sample)
			for _, own := range ownNamespace.FindAllStringSubmatch(built, -1) {
				if !made[own[1]] {
					made[own[1]] = true
					out, err := c.try("apply", "--server-side", "--dry-run=server", "-k", sample)
					require.Error(t, err)
					require.Contains(t, out, `namespaces "`+own[1]+`" not found`)
					c.run("create", "namespace", own[1])
				}
			}
			dry := c.run("apply", "--server-side", "--validate=strict", "--dry-run=server", "-k", sample)
			assert.Equal(t, strings.Count("\n"+built, "\nkind: "), strings.Count(dry, "server dry run"), "all of it is tried")
		})
	}
	assert.NotContains(c.t, c.state("name"), "Channel", "nothing was made")
}

// ownNamespace is a Namespace that a sample brings with it.
var ownNamespace = regexp.MustCompile(`(?m)^kind: Namespace\nmetadata:\n(?:  [a-z]+:\n(?:    .*\n)+)?  name: (.*)$`)

// appliesAgain does what GitOps tools do all day: apply what is in Git, again
// and again, with a dry run in between. Nothing changes by it, whoever else
// applies the same.
func (c *cluster) appliesAgain() {
	t := c.t
	for _, sample := range samples(t) {
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

// runbookCommand is one that looks, in the text or on a line of its own.
var runbookCommand = regexp.MustCompile("(?m)`(kubectl (?:get|describe) [^`]*)`|^(kubectl (?:get|describe) .*)$")

// looks runs what the runbook says to run, with the Channel of a sample, which
// is Ready and cannot deliver.
func (c *cluster) looks() {
	const broken = `{"status":{"conditions":[
		{"type":"Ready","status":"True","reason":"Ready","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"},
		{"type":"Delivering","status":"False","reason":"AuthInvalid","message":"Unauthorized","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
	c.run("patch", "channel", "-n", "default", "telegram-main", "--subresource=status", "--type=merge", "-p", broken)
	text, err := os.ReadFile("prometheus/RUNBOOK.md")
	require.NoError(c.t, err)
	found := runbookCommand.FindAllStringSubmatch(string(text), -1)
	require.Greater(c.t, len(found), 15)
	for _, f := range found {
		line := f[1] + f[2]
		if strings.Contains(line, "podmonitor") {
			continue // of the Prometheus operator
		}
		out, trouble := c.shell(strings.NewReplacer("NAMESPACE", "default", "NAME", "telegram-main", "KIND", "channel", "POD", "default-bridge-0").Replace(line))
		if !strings.Contains(trouble, "NotFound") && !strings.Contains(trouble, "No resources found") {
			assert.Empty(c.t, trouble, line)
		}
		if strings.Contains(line, `grep ' False '`) {
			assert.Equal(c.t, "default/telegram-main False Unauthorized\n", out, "the one that cannot deliver, and no other")
		}
	}
}

// shell runs a line as an operator would.
func (c *cluster) shell(line string) (out, trouble string) {
	var stdout, stderr strings.Builder
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "PATH="+filepath.Dir(c.kubectl)+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // grep that finds nothing
	return stdout.String(), stderr.String()
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
