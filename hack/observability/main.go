// Command observability writes what watches Bridgekeeper: alerting rules for
// the Prometheus operator and a dashboard for Grafana, from the one list of
// alerts and panels in this package.
//
//	alerts.go, dashboard.go ──► rules.yaml, dashboard.json
//	                   tests: ◄── METRICS.md (names and labels), RUNBOOK.md
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "observability: name the folder to write to")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "observability:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	for _, f := range []struct {
		name   string
		render func() ([]byte, error)
	}{{"rules.yaml", renderRules}, {"dashboard.json", renderDashboard}} {
		content, err := f.render()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.name), content, 0o644); err != nil { //nolint:gosec // public
			return err
		}
	}
	return nil
}

// Where an alert's runbook is.
const runbook = "https://github.com/bridgekeeper/bridgekeeper/blob/main/config/prometheus/RUNBOOK.md#"

// rule and its surroundings are the Prometheus operator's PrometheusRule.
type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

type ruleGroup struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

type prometheusRule struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		Groups []ruleGroup `json:"groups"`
	} `json:"spec"`
}

func (a alert) rule() rule {
	r := rule{
		Alert: a.name, Expr: a.expr, Labels: map[string]string{"severity": string(a.severity)},
		Annotations: map[string]string{"summary": a.summary, "runbook_url": runbook + strings.ToLower(a.name)},
	}
	if a.hold != "0m" {
		r.For = a.hold
	}
	return r
}

func renderRules() ([]byte, error) {
	object := prometheusRule{
		APIVersion: "monitoring.coreos.com/v1", Kind: "PrometheusRule",
		Metadata: map[string]any{
			"name": "bridgekeeper", "namespace": "bridgekeeper-system",
			"labels": map[string]string{"app.kubernetes.io/name": "bridgekeeper"},
		},
	}
	for _, g := range groups {
		rendered := ruleGroup{Name: g.name}
		for _, a := range g.alerts {
			rendered.Rules = append(rendered.Rules, a.rule())
		}
		object.Spec.Groups = append(object.Spec.Groups, rendered)
	}
	content, err := yaml.Marshal(object)
	return append([]byte("# Generated from hack/observability by make generate. RUNBOOK.md says what to do.\n"), content...), err
}

func renderDashboard() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(newDashboard())
	return b.Bytes(), err
}
