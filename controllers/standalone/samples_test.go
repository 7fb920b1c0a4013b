package standalone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// routingSamples are the samples of routing, by the folder of the data plane's
// own examples: what is explained there is what people apply.
var routingSamples = map[string]string{"shop": "routing-shop", "telecom": "routing-telecom", "rollout": "routing-rollout"}

// The samples of routing compile without a finding, and to the policies whose
// decisions bridge/routing explains.
func TestRoutingSamplesWork(t *testing.T) {
	for example, sample := range routingSamples {
		t.Run(sample, func(t *testing.T) {
			m, err := source("../../config/samples/"+sample).read(nil, newWatch())
			require.NoError(t, err)
			w := newWorld(all.Capabilities(), func(compile.Key) (string, error) { return strings.Repeat("x", 40), nil })
			require.NoError(t, w.compile(m, morning))
			for identity, said := range routingFindings(w) {
				require.Empty(t, said, identity)
			}
			for key, ch := range w.result.Channels {
				require.Empty(t, ch.Findings, key)
				require.Len(t, ch.Policies, 1, "%s is routed", key)
			}
			for key, policy := range w.result.Policies {
				for _, rule := range policy.Rules {
					require.EqualValues(t, "Active", rule.State, "%s of %s", rule.Name, key)
				}
			}
			stores, _, err := w.documents()
			require.NoError(t, err)
			for _, doc := range stores {
				st, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Capabilities: all.Capabilities()})
				require.NoError(t, err)
				require.Empty(t, st.Load(t.Context(), doc), "the store takes all of it")
				require.NoError(t, st.Close())
			}
			require.Len(t, m.Routing.Policies, 1)
			raw, err := os.ReadFile(filepath.Join("../../bridge/routing/testdata", example, "policy.json"))
			require.NoError(t, err)
			want, found := routing.ParsePolicy(raw)
			require.Empty(t, found)
			require.Equal(t, want, compile.PolicySpec(m.Routing.Policies[0]))
		})
	}
}

// surveySamples are the samples of surveys, with how many campaigns each has.
var surveySamples = map[string]int{"survey-nps": 1, "survey-csat": 2, "survey-messenger": 2}

// The samples of surveys are taken by the operator and by the store, without a
// finding.
func TestSurveySamplesWork(t *testing.T) {
	for sample, campaigns := range surveySamples {
		t.Run(sample, func(t *testing.T) {
			m, err := source("../../config/samples/"+sample).read(nil, newWatch())
			require.NoError(t, err)
			w := newWorld(all.Capabilities(), func(compile.Key) (string, error) { return strings.Repeat("x", 40), nil })
			require.NoError(t, w.compile(m, morning))
			for identity, said := range routingFindings(w) {
				require.Empty(t, said, identity)
			}
			require.Len(t, w.result.Campaigns, campaigns)
			stores, _, err := w.documents()
			require.NoError(t, err)
			for _, doc := range stores {
				st, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Capabilities: all.Capabilities()})
				require.NoError(t, err)
				require.Empty(t, st.Load(t.Context(), doc), "the store takes all of it")
				require.NoError(t, st.Close())
			}
		})
	}
}

// There is a sample of every kind, and a Channel of every platform.
func TestEveryKindAndPlatformHasASample(t *testing.T) {
	dirs, err := filepath.Glob("../../config/samples/*/kustomization.yaml")
	require.NoError(t, err)
	there := map[string]bool{"v1/Secret": true, "v1/Namespace": true}
	channels := map[string]bool{}
	for _, k := range dirs {
		m, err := source(filepath.Dir(k)).read(nil, newWatch())
		require.NoError(t, err)
		for identity := range m.from {
			kind, _, _ := strings.Cut(identity, "/")
			there["bridgekeeper.dev/v1alpha1/"+kind] = true
		}
		for _, ch := range m.Channels {
			channels[string(ch.Spec.Platform)] = true
		}
	}
	for platform := range all.Capabilities() {
		require.True(t, channels[platform], "no sample has a Channel of platform %s", platform)
	}
	for kind := range kinds {
		require.True(t, there[kind], "%s has no sample", kind)
	}
}
