package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// Every alert has its section, which says what it means, how to look and what
// to do, and there is none of an alert that is gone.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	sections, order := map[string]string{}, []string{}
	for part := range strings.SplitSeq("\n"+read(t, runbookFile), "\n## ") {
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

const runbookFile = "../../config/prometheus/RUNBOOK.md"

// sources are all lines of what is shipped, for words that are quoted from it.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, root := range []string{"../../api", "../../bridge", "../../controllers"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			all.Write(content)
			return err
		}))
	}
	return all.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

var (
	inline    = regexp.MustCompile("`([^`]+)`")
	panelName = regexp.MustCompile(`"([A-Z][^"]+)"`)
	logLine   = regexp.MustCompile(`logs [^|\n]*\| grep (?:-i )?(?:'([^']*)'|([^ ]+))`)
	word      = regexp.MustCompile(`^_?[A-Za-z]+$`)
	ofOurs    = regexp.MustCompile(`bridgekeeper_[a-z_]+`)
	restRoute = regexp.MustCompile(`^(?:GET|POST) (/v1/[^?]*)`)
	specField = regexp.MustCompile(`^spec((?:\.[a-zA-Z]+)+)`)
	anchor    = regexp.MustCompile(`\]\(#([a-z]+)\)`)
)

// Somebody who is woken by an alert looks for what the runbook quotes: panels,
// metrics, conditions, reasons, results, routes and fields are there by these
// names.
func TestTheRunbookQuotesWhatThereIs(t *testing.T) {
	text, code, openapi := read(t, runbookFile), sources(t), read(t, "../../bridge/store/rest/openapi.yaml")
	readme, metrics, titles := read(t, "../../README.md"), reference(t), map[string]bool{"Bridgekeeper": true}
	for _, r := range rows {
		for _, p := range r.panels {
			titles[p.title] = true
		}
	}
	for _, found := range panelName.FindAllStringSubmatch(inline.ReplaceAllString(prose(text), ""), -1) {
		assert.True(t, titles[found[1]] || strings.Contains(readme, " "+found[1]+"\n"), "no panel, and no part of README, has the title %q", found[1])
	}
	for _, name := range ofOurs.FindAllString(text, -1) {
		assert.Contains(t, metrics, name)
	}
	for _, found := range anchor.FindAllStringSubmatch(text, -1) {
		assert.Contains(t, strings.ToLower(text), "\n## "+found[1]+"\n")
	}
	foreign := []string{"OOMKilled", "resources"} // of Kubernetes
	for _, found := range inline.FindAllStringSubmatch(prose(text), -1) {
		quoted := found[1]
		condition, _, _ := strings.Cut(quoted, "=")
		switch {
		case word.MatchString(condition) && !slices.Contains(foreign, condition):
			assert.Contains(t, code, `"`+condition+`"`, "nothing is called %s", quoted)
		case restRoute.MatchString(quoted):
			assert.Contains(t, openapi, "\n  "+restRoute.FindStringSubmatch(quoted)[1]+":\n", quoted)
		case specField.MatchString(quoted):
			assert.True(t, hasField(t, specField.FindStringSubmatch(quoted)[1]), "no kind has the field %s", quoted)
		}
	}
}

// A line to look for in the logs is one that is logged, word by word.
func TestTheRunbookLooksForLinesThatAreLogged(t *testing.T) {
	code, found := sources(t), logLine.FindAllStringSubmatch(read(t, runbookFile), -1)
	require.NotEmpty(t, found)
	for _, f := range found {
		line := f[1] + f[2]
		if line == `"level":"ERROR"` {
			continue // how slog writes it in JSON
		}
		logged := regexp.MustCompile(`\.(?:Debug|Info|Warn|Error)\("[^"]*` + regexp.QuoteMeta(line))
		assert.True(t, logged.MatchString(code), "nothing logs %q", line)
	}
}

// prose is the text without its blocks of commands.
func prose(text string) string {
	return regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
}

// hasField says whether a kind has the field (".sqlite.storageSize", of its spec).
func hasField(t *testing.T, path string) bool {
	t.Helper()
	files, err := filepath.Glob("../../config/crd/bases/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		var definition struct {
			Spec struct {
				Versions []struct {
					Schema map[string]any `json:"schema"`
				} `json:"versions"`
			} `json:"spec"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(read(t, f)), &definition))
		at := definition.Spec.Versions[0].Schema["openAPIV3Schema"]
		for name := range strings.SplitSeq("spec"+path, ".") {
			properties, _ := at.(map[string]any)["properties"].(map[string]any)
			if at = properties[name]; at == nil {
				break
			}
		}
		if at != nil {
			return true
		}
	}
	return false
}
