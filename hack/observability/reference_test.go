package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// metric is one of METRICS.md, with the labels that its target adds.
type metric struct {
	kind   string
	labels []string
}

// Labels that the PodMonitors beside the rules give to everything of a pod.
var (
	targetLabels = []string{"job", "instance", "namespace", "pod", "container", "endpoint"}
	podLabels    = append(slices.Clone(targetLabels), "app_kubernetes_io_component", "app_kubernetes_io_instance")
)

var tableRow = regexp.MustCompile("^\\| `([a-z_]+)` \\| (counter|gauge|histogram) \\| ([^|]*) \\|")

// reference reads METRICS.md, which is made from the real registries.
func reference(t *testing.T) map[string]metric {
	t.Helper()
	content, err := os.ReadFile("../../config/prometheus/METRICS.md")
	require.NoError(t, err)
	metrics := map[string]metric{
		"up":                            {"gauge", podLabels},
		"process_resident_memory_bytes": {"gauge", podLabels},
		"process_cpu_seconds_total":     {"counter", podLabels},
	}
	target := targetLabels
	for _, line := range strings.Split(string(content), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok && title != "Operator" {
			target = podLabels
		}
		found := tableRow.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		labels := slices.Clone(target)
		for l := range strings.SplitSeq(found[3], ",") {
			if l = strings.Trim(strings.TrimSpace(l), "`"); l != "" {
				labels = append(labels, l)
			}
		}
		metrics[found[1]] = metric{found[2], labels}
	}
	require.Greater(t, len(metrics), 50)
	return metrics
}

// series finds what a name in an expression stands for: of a histogram they are
// its buckets, sum and count.
func series(metrics map[string]metric, name string) (metric, bool) {
	if m, ok := metrics[name]; ok {
		return m, m.kind != "histogram"
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && metrics[base].kind == "histogram" {
			m := metric{"counter", slices.Clone(metrics[base].labels)}
			if suffix == "_bucket" {
				m.labels = append(m.labels, "le")
			}
			return m, true
		}
	}
	return metric{}, false
}
