package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// explain runs the command and returns what it prints.
func explain(t *testing.T, stdin string, args ...string) (out string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := newRootCommand()
	cmd.SetArgs(append([]string{"explain"}, args...))
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	err = cmd.Execute()
	return stdout.String() + stderr.String(), err
}

func TestExplainSamples(t *testing.T) {
	want := map[string]string{
		"routing-shop/facts/vip-known-agent.json":        "→ to AgentQueue shop/vip, for agent ana, by rule vip, step known-agent, for 2m0s on the Wall clock",
		"routing-shop/facts/vip-nobody-online.json":      "→ to AgentQueue shop/general, by rule vip, step overflow",
		"routing-shop/facts/refund-chinese.json":         "on the Business clock of shop/hours",
		"routing-shop/facts/refund-policy-at-night.json": "schedule shop/hours is closed",
		"routing-telecom/facts/follow-on.json":           "for agent bea, by rule follow-on",
		"routing-telecom/facts/follow-on-at-night.json":  "→ to Bot telco/night",
		"routing-telecom/facts/night-bot-broken.json":    "Bot telco/night cannot: it is failing",
		"routing-rollout/facts/classic.json":             "slot 6139 is in 0–9499",
		"routing-rollout/facts/next.json":                "→ to Bot web/next",
		"routing-rollout/facts/handed-off.json":          "it has just handed the conversation off",
	}
	paths, err := filepath.Glob("config/samples/*/facts/*.json")
	require.NoError(t, err)
	require.Len(t, paths, len(want))
	for _, path := range paths {
		out, err := explain(t, "", "-f", filepath.Dir(filepath.Dir(path)), "--facts", path)
		require.NoError(t, err, path)
		key := strings.TrimPrefix(filepath.ToSlash(path), "config/samples/")
		require.Contains(t, want, key)
		assert.Contains(t, out, want[key], path)
		assert.NotContains(t, out, "NOT the decision")
	}
}

// What REST returns goes in as it is: with the facts, the decision that was made.
func TestExplainADecision(t *testing.T) {
	const policy, facts = "config/samples/routing-shop", "config/samples/routing-shop/facts/vip-known-agent.json"
	out, err := explain(t, "", "-f", policy, "--facts", facts, "-o", "json")
	require.NoError(t, err)
	var first explained
	require.NoError(t, json.Unmarshal([]byte(out), &first))
	require.True(t, first.Explanation.Exact)
	raw, err := os.ReadFile(facts)
	require.NoError(t, err)
	decision := func(d routing.Decision) string {
		item, err := json.Marshal(map[string]any{"id": "01J", "facts": json.RawMessage(raw), "decision": d})
		require.NoError(t, err)
		return string(item)
	}
	out, err = explain(t, decision(first.Explanation.Decision), "-f", policy, "--facts", "-")
	require.NoError(t, err)
	assert.NotContains(t, out, "NOT the decision")
	other := first.Explanation.Decision
	other.Rule = "refund"
	out, err = explain(t, decision(other), "-f", policy, "--facts", "-")
	require.NoError(t, err)
	assert.Contains(t, out, "NOT the decision that was recorded: rule")
}

func TestExplainTheEnginesOwnForm(t *testing.T) {
	out, err := explain(t, `{"now":"2026-11-23T10:00:00Z","event":"Opened","contact":{"id":"c"},"conversation":{"id":"v"}}`, "-f", "bridge/routing/testdata/shop/policy.json", "--facts", "-")
	require.NoError(t, err)
	assert.Contains(t, out, "AgentQueue shop/general, step default")
}

func TestExplainMistakes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	policy := func(name, rule string) string {
		return "apiVersion: bridgekeeper.dev/v1alpha1\nkind: RoutingPolicy\nmetadata: {name: " + name + "}\nspec:\n  parentRefs: [{name: c}]\n" + rule + "  defaultRoute: {backendRefs: [{kind: AgentQueue, name: q}]}\n---\n"
	}
	facts := write("facts.json", `{"now":"2026-11-23T10:00:00Z","event":"Opened","contact":{"id":"c"},"conversation":{"id":"v"}}`)
	for name, test := range map[string]struct{ policy, facts, says string }{
		"no policy":         {write("empty.yaml", "# nothing\n"), facts, "no RoutingPolicy there"},
		"several":           {write("two.yaml", policy("a", "")+policy("b", "")), facts, "default/a, default/b"},
		"unknown field":     {write("field.yaml", policy("a", "  rule: []\n")), facts, "rule"},
		"no such file":      {filepath.Join(dir, "gone.yaml"), facts, "gone.yaml"},
		"facts without now": {write("one.yaml", policy("a", "")), write("no-now.json", `{"event":"Opened"}`), "now and event are needed"},
		"misspelt facts":    {write("one.yaml", policy("a", "")), write("misspelt.json", `{"evnt":"Opened"}`), "evnt"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := explain(t, "", "-f", test.policy, "--facts", test.facts)
			require.ErrorContains(t, err, test.says)
		})
	}
	out, err := explain(t, "", "-f", write("both.yaml", policy("a", "")+policy("b", "")), "--facts", facts, "--policy", "b")
	require.NoError(t, err)
	assert.Contains(t, out, "policy default/b")
	out, err = explain(t, "", "-f", write("dropped.yaml", policy("a", "  rules: [{name: r, matches: [{expression: nonsense}], steps: [{name: s, backendRefs: [{kind: AgentQueue, name: q}]}]}]\n")), "--facts", facts)
	require.NoError(t, err)
	assert.Contains(t, out, "rules[0].matches[0].expression")
	assert.Contains(t, out, "left out, it has a mistake")
}
