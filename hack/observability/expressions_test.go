package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

var language = parser.NewParser(parser.Options{})

// checker holds an expression against the metrics that there are.
type checker struct {
	t       *testing.T
	metrics map[string]metric
}

// labels checks an expression and returns the labels of what it comes to.
func (c checker) labels(e parser.Expr) []string {
	c.t.Helper()
	switch e := e.(type) {
	case *parser.VectorSelector:
		return c.selector(e)
	case *parser.MatrixSelector:
		return c.labels(e.VectorSelector)
	case *parser.ParenExpr:
		return c.labels(e.Expr)
	case *parser.AggregateExpr:
		return c.aggregate(e)
	case *parser.Call:
		return c.call(e)
	case *parser.BinaryExpr:
		left, right := c.labels(e.LHS), c.labels(e.RHS)
		if e.LHS.Type() == parser.ValueTypeScalar {
			return right
		}
		return left
	case *parser.NumberLiteral:
		return nil
	default:
		c.t.Errorf("nobody has thought about %T yet", e)
		return nil
	}
}

func (c checker) selector(e *parser.VectorSelector) []string {
	c.t.Helper()
	m, ok := series(c.metrics, e.Name)
	if !ok {
		c.t.Errorf("there is no metric %s", e.Name)
	}
	for _, matcher := range e.LabelMatchers {
		if matcher.Name != "__name__" {
			assert.Contains(c.t, m.labels, matcher.Name, e.Name)
		}
	}
	return m.labels
}

func (c checker) aggregate(e *parser.AggregateExpr) []string {
	c.t.Helper()
	inner := c.labels(e.Expr)
	require.False(c.t, e.Without, "say by what")
	for _, l := range e.Grouping {
		assert.Contains(c.t, inner, l, "of %s", e.Expr)
	}
	if e.Op == parser.TOPK {
		return inner
	}
	return e.Grouping
}

func (c checker) call(e *parser.Call) []string {
	c.t.Helper()
	var out []string
	for _, arg := range e.Args {
		out = append(out, c.labels(arg)...)
	}
	switch e.Func.Name {
	case "rate", "increase":
		m, _ := series(c.metrics, e.Args[0].(*parser.MatrixSelector).VectorSelector.(*parser.VectorSelector).Name)
		assert.Equal(c.t, "counter", m.kind, "of %s", e)
	case "predict_linear":
		m, _ := series(c.metrics, e.Args[0].(*parser.MatrixSelector).VectorSelector.(*parser.VectorSelector).Name)
		assert.Equal(c.t, "gauge", m.kind, "of %s", e)
	case "histogram_quantile":
		assert.Contains(c.t, out, "le", "of %s", e)
		out = slices.DeleteFunc(slices.Clone(out), func(l string) bool { return l == "le" })
	case "absent":
		return nil
	}
	return out
}

var (
	inSummary = regexp.MustCompile(`\{\{ \$labels\.(\w+) \}\}`)
	inLegend  = regexp.MustCompile(`\{\{(\w+)\}\}`)
)

func named(pattern *regexp.Regexp, text string) []string {
	var out []string
	for _, found := range pattern.FindAllStringSubmatch(text, -1) {
		out = append(out, found[1])
	}
	return out
}

// Every expression of the rules as they are shipped parses, and names metrics
// and labels that there are.
func TestAlertsAreAboutMetricsThatThereAre(t *testing.T) {
	content, err := os.ReadFile("../../config/prometheus/rules.yaml")
	require.NoError(t, err)
	var shipped prometheusRule
	require.NoError(t, yaml.UnmarshalStrict(content, &shipped))
	metrics, n := reference(t), 0
	for _, g := range shipped.Spec.Groups {
		for _, r := range g.Rules {
			n++
			t.Run(r.Alert, func(t *testing.T) {
				e, err := language.ParseExpr(r.Expr)
				require.NoError(t, err)
				labels := checker{t, metrics}.labels(e)
				assert.Subset(t, labels, named(inSummary, r.Annotations["summary"]))
				assert.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"])
			})
		}
	}
	require.Len(t, everyAlert(), n, "run make generate")
}

// Every condition in trouble has exactly one alert: its own, or the one for all
// others.
func TestOwnAlertsAreThoseOfTheList(t *testing.T) {
	selected := regexp.MustCompile(`condition=~"([^"]*)"`)
	var own []string
	for _, a := range resourceAlerts {
		for _, found := range selected.FindAllStringSubmatch(a.expr, -1) {
			own = append(own, strings.Split(found[1], "|")...)
		}
	}
	assert.ElementsMatch(t, strings.Split(ownAlert, "|"), own)
}

func everyAlert() map[string]alert {
	out := map[string]alert{}
	for _, g := range groups {
		for _, a := range g.alerts {
			out[a.name] = a
		}
	}
	return out
}

func TestTheDashboardShowsMetricsThatThereAre(t *testing.T) {
	content, err := os.ReadFile("../../config/prometheus/dashboard.json")
	require.NoError(t, err)
	var shipped dashboard
	require.NoError(t, json.Unmarshal(content, &shipped))
	metrics, ids := reference(t), map[int]bool{}
	for _, p := range shipped.Panels {
		assert.False(t, ids[p.ID], "panel %d is there twice", p.ID)
		ids[p.ID] = true
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, columns, p.Title)
		for _, q := range p.Targets {
			t.Run(p.Title+" "+q.RefID, func(t *testing.T) {
				e, err := language.ParseExpr(strings.ReplaceAll(q.Expr, "$__rate_interval", "5m"))
				require.NoError(t, err)
				labels := checker{t, metrics}.labels(e)
				assert.Subset(t, labels, named(inLegend, q.LegendFormat))
			})
		}
	}
}

// What the processes count and nobody looks at is either of no use, or missing.
func TestEveryMetricOfOursIsLookedAt(t *testing.T) {
	names := ""
	for _, f := range []string{"rules.yaml", "dashboard.json"} {
		content, err := os.ReadFile("../../config/prometheus/" + f)
		require.NoError(t, err)
		names += strings.Join(regexp.MustCompile(`bridgekeeper_[a-z_]+.`).FindAllString(string(content), -1), "\n")
	}
	for name := range reference(t) {
		if strings.HasPrefix(name, "bridgekeeper_") {
			assert.Regexp(t, name+`(_bucket|_sum|_count)?[^a-z_]`, names, name)
		}
	}
}
