package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
	"github.com/bridgekeeper/bridgekeeper/bridge/storeclient"
)

func TestTheReferenceIsThatOfTheProcesses(t *testing.T) {
	var b strings.Builder
	require.NoError(t, run(t.Context(), &b))
	there, err := os.ReadFile("../../config/prometheus/METRICS.md")
	require.NoError(t, err)
	require.Equal(t, b.String(), string(there), "run make generate")
}

// A bridge registers what the reference was made of, and nothing else.
func TestABridgeHasNoOtherMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	_, err := gateway.New(gateway.Options{Store: storeclient.Absent("there is none"), Registry: registry})
	require.NoError(t, err)
	got := names(t, described(registry))
	listed, err := ofBridge(t.Context())
	require.NoError(t, err)
	var want []string
	for _, m := range listed {
		want = append(want, m.name)
	}
	slices.Sort(want)
	assert.Equal(t, want, got)
}

func names(t *testing.T, descs []*prometheus.Desc) []string {
	t.Helper()
	var out []string
	for _, d := range descs {
		m, err := parse(d)
		require.NoError(t, err)
		out = append(out, m.name)
	}
	slices.Sort(out)
	return out
}

// No label of ours can hold anything personal: new ones are thought about here.
func TestLabelsAreNothingPersonal(t *testing.T) {
	known := []string{
		"kind", "ready", "namespace", "name", "condition", "reason", "channel", "platform", "result", "outcome", "class", "duty", "state", "where",
		"method", "route", "code", "accepted", "status", "table", "policy", "rule", "action", "via", "mode", "queue", "verb", "cause",
		"campaign", "exit", "bound",
	}
	for _, collect := range []func() ([]metric, error){
		func() ([]metric, error) { return ofOperator(t.Context()) },
		func() ([]metric, error) { return ofBridge(t.Context()) },
		func() ([]metric, error) { return ofStore(t.Context()) },
	} {
		metrics, err := collect()
		require.NoError(t, err)
		for _, m := range metrics {
			if strings.HasPrefix(m.name, "bridgekeeper_") {
				assert.Subset(t, known, m.labels, m.name)
				assert.NotEmpty(t, m.help, m.name)
			}
		}
	}
}
