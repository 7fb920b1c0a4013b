package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// chartIsInstallFile: an API server takes install.yaml as README says, and after
// it the chart changes nothing.
func chartIsInstallFile(t *testing.T, c *cli) {
	content, err := install(config, "")
	require.NoError(t, err)
	first := c.apply(string(content))
	assert.Contains(t, first, "deployment.apps/bridgekeeper-manager serverside-applied")
	before := c.versions()
	require.Len(t, before, 10, "of each kind")

	c.apply(string(content))
	var chart strings.Builder
	for _, o := range mustRender(t, namespace, "crds: {keep: false}") { // its mark is the one difference
		raw, err := yaml.Marshal(o)
		require.NoError(t, err)
		chart.WriteString("---\n" + string(raw))
	}
	c.apply(chart.String())
	assert.Equal(t, before, c.versions())
}

// versions of what is installed, but for what the API server itself writes to.
func (c *cli) versions() []string {
	c.t.Helper()
	out := c.kubectl("get", "-A", "deployments,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,networkpolicies",
		"-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
	var ours []string
	for line := range strings.SplitSeq(out, "\n") {
		if strings.Contains(line, " bridgekeeper-") {
			ours = append(ours, line)
		}
	}
	return ours
}
