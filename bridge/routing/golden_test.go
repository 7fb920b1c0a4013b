package routing

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

func readPolicy(t testing.TB, name string) Policy {
	data, err := os.ReadFile(filepath.Join("testdata", name, "policy.json"))
	require.NoError(t, err)
	policy, found := ParsePolicy(data)
	require.Empty(t, found)
	return policy
}

func compileAlone(t testing.TB, policy Policy) *Program {
	p, found := Compile(policy, AssumeRefs(policy))
	require.Empty(t, found)
	require.NotNil(t, p)
	return p
}

// Each NAME.facts.json has the decision and its explanation beside it. "@" as the
// hash of a position stands for the policy's own.
func TestGoldenDecisions(t *testing.T) {
	paths, err := filepath.Glob("testdata/*/*.facts.json")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(path, "testdata/"), ".facts.json"), func(t *testing.T) {
			p := compileAlone(t, readPolicy(t, filepath.Base(filepath.Dir(path))))
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			facts, found := ParseFacts(data)
			require.Empty(t, found)
			if facts.Position.Hash == "@" {
				facts.Position.Hash = p.Hash()
			}
			decision := Decide(p, &facts)
			explanation := Explain(p, &facts, decision)
			require.True(t, explanation.Exact)
			got, err := json.MarshalIndent(decision, "", "  ")
			require.NoError(t, err)
			golden(t, strings.Replace(path, ".facts.json", ".decision.json", 1), string(got)+"\n")
			golden(t, strings.Replace(path, ".facts.json", ".explain.txt", 1), explanation.String())
		})
	}
}

func golden(t *testing.T, path, got string) {
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, path)
}
