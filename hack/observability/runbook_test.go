package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every alert has its section, which says what it means, how to look and what
// to do, and there is none of an alert that is gone.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	content, err := os.ReadFile("../../config/prometheus/RUNBOOK.md")
	require.NoError(t, err)
	sections, order := map[string]string{}, []string{}
	for part := range strings.SplitSeq("\n"+string(content), "\n## ") {
		title, text, _ := strings.Cut(part, "\n")
		if strings.HasPrefix(title, "Bridgekeeper") {
			assert.NotContains(t, sections, title)
			sections[title] = text
			order = append(order, title)
		}
	}
	var alerts []string
	for _, g := range groups {
		for _, a := range g.alerts {
			alerts = append(alerts, a.name)
			assert.Equal(t, runbook+strings.ToLower(a.name), a.rule().Annotations["runbook_url"], "as headings become anchors")
			for _, must := range []string{"**Means**", "**Look**", "**Do**"} {
				assert.Contains(t, sections[a.name], must, a.name)
			}
		}
	}
	assert.Equal(t, alerts, order, "in the order of the rules")
	assert.Len(t, slices.Compact(slices.Sorted(slices.Values(alerts))), len(alerts), "names are unique")
}
