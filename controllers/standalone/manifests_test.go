package standalone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const goodChannel = `apiVersion: bridgekeeper.dev/v1alpha1
kind: Channel
metadata:
  name: bot
spec:
  platform: telegram
  telegram:
    botID: "42"
  credentials:
    secretRef:
      name: bot
`

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
}

func source(dir string) Source { return Source{Paths: []string{dir}, Namespace: "default"} }

func TestReadFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", "# only a comment\n---\n"+goodChannel+`---
apiVersion: v1
kind: Secret
metadata:
  name: bot
  namespace: shop
data:
  token: NDI6YWJj
stringData:
  webhookSecret: plain
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: not-ours
`)
	write(t, dir, "b.json", `{"apiVersion": "v1", "kind": "List", "items": [
		{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "desk"}}}]}`)
	write(t, dir, "notes.txt", "not: read")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "below"), 0o700))
	write(t, filepath.Join(dir, "below"), "c.yaml", "also not read")

	m, err := source(dir).read(nil, newWatch())
	require.NoError(t, err)
	require.Len(t, m.Channels, 1)
	require.Equal(t, "default", m.Channels[0].Namespace)
	require.Equal(t, "shop", m.Secrets[0].Namespace)
	require.Equal(t, "42:abc", string(m.Secrets[0].Data["token"]))
	require.Equal(t, "plain", string(m.Secrets[0].Data["webhookSecret"]))
	require.Equal(t, map[string]map[string]string{"shop": {"team": "desk"}}, m.namespaceLabels())
	require.Len(t, m.Notices, 1)
	require.Contains(t, m.Notices[0], "a.yaml: document 4: apps/v1 Deployment")
}

func TestSamplesAreValid(t *testing.T) {
	kustomizations, err := filepath.Glob("../../config/samples/*/kustomization.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, kustomizations)
	for _, k := range kustomizations {
		dir := filepath.Dir(k)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m, err := source(dir).read(nil, newWatch())
			require.NoError(t, err)
			require.Empty(t, m.Notices)
		})
	}
	m, err := source("../../config/samples/quickstart").read(nil, newWatch())
	require.NoError(t, err)
	require.Equal(t, "default", m.Channels[0].Namespace)
	m, err = source("../../config/samples/shop").read(nil, newWatch())
	require.NoError(t, err)
	require.NotEmpty(t, m.Channels)
	for _, ch := range m.Channels {
		require.Equal(t, "shop", ch.Namespace, "the kustomization's namespace")
	}
}

func TestManifestErrors(t *testing.T) {
	tests := map[string]struct {
		content string
		want    []string
	}{
		"unknown field": {strings.Replace(goodChannel, "botID", "botId", 1),
			[]string{`x.yaml: document 1 (Channel default/bot): unknown field "spec.telegram.botId"`, "spec.telegram.botID: Required"}},
		"unknown field in metadata": {strings.Replace(goodChannel, "  name: bot\nspec", "  name: bot\n  lables: {}\nspec", 1), []string{`"metadata.lables"`}},
		"wrong type":                {strings.Replace(goodChannel, `"42"`, "42", 1), []string{"spec.telegram.botID: Invalid value", "must be of type string"}},
		"pattern":                   {strings.Replace(goodChannel, `"42"`, `"x"`, 1), []string{"spec.telegram.botID: Invalid value"}},
		"enum":                      {strings.Replace(goodChannel, `platform: telegram`, `platform: pigeon`, 1), []string{"spec.platform: Unsupported value"}},
		"rule on the name":          {strings.Replace(goodChannel, "name: bot\nspec", "name: bot.one\nspec", 1), []string{"it is part of the webhook URL"}},
		"name":                      {strings.Replace(goodChannel, "name: bot\nspec", "name: Bot\nspec", 1), []string{"metadata.name: "}},
		"namespace":                 {strings.Replace(goodChannel, "name: bot\nspec", "name: bot\n  namespace: a/b\nspec", 1), []string{"metadata.namespace: "}},
		"no name":                   {strings.Replace(goodChannel, "name: bot\nspec", "labels: {}\nspec", 1), []string{"metadata.name is needed"}},
		"no kind":                   {"spec: {}", []string{"apiVersion and kind are needed"}},
		"not YAML":                  {goodChannel + "---\n{", []string{"x.yaml: document 2"}},
		"a list":                    {"- a\n- b", []string{"is not an object"}},
		"field twice":               {goodChannel + "kind: Channel\n", []string{`key "kind" already set`}},
		"object twice":              {goodChannel + "---\n" + goodChannel, []string{"document 2 (Channel default/bot): stands in", "document 1, too"}},
		"a later kind":              {"apiVersion: bridgekeeper.dev/v1alpha1\nkind: Pigeon\nmetadata: {name: a}", []string{"no kind Pigeon"}},
		"base64":                    {"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {token: 'x:y'}", []string{"write plain text under stringData"}},
		"nothing":                   {"apiVersion: v1\nkind: Secret\nmetadata: {name: a}", []string{"no Channel, Bridge or ConversationStore"}},
		"every mistake":             {strings.Replace(goodChannel, "botID", "botId", 1) + "---\nspec: {}\n", []string{"document 1 ", "document 2"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "x.yaml", tt.content)
			_, err := source(dir).read(nil, newWatch())
			require.Error(t, err)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestImmutableFieldsHoldAcrossReloads(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x.yaml", goodChannel)
	s := source(dir)
	before, err := s.read(nil, newWatch())
	require.NoError(t, err)
	write(t, dir, "x.yaml", strings.Replace(goodChannel, `"42"`, `"43"`, 1))
	_, err = s.read(before, newWatch())
	require.ErrorContains(t, err, "botID is immutable")
	_, err = s.read(nil, newWatch())
	require.NoError(t, err)
}

func FuzzRead(f *testing.F) {
	f.Add(goodChannel)
	f.Add("apiVersion: v1\nkind: List\nitems: [1, {kind: Secret}]")
	f.Add("apiVersion: v1\nkind: Secret\nmetadata: 1")
	f.Fuzz(func(t *testing.T, content string) {
		m := &Manifests{raw: map[string]map[string]any{}, from: map[string]string{}}
		m.readFile(file{path: "x", namespace: "default"}, []byte(content), nil)
	})
}

// What was given on the command line is what the mistake is about.
func TestMistakesAboutWhatWasGiven(t *testing.T) {
	_, err := source(filepath.Join(t.TempDir(), "nope")).read(nil, newWatch())
	require.ErrorContains(t, err, "-f: stat ")
	require.ErrorContains(t, err, "name a file or a folder")

	_, err = Source{Paths: []string{Stdin}}.read(nil, newWatch())
	require.EqualError(t, err, "standard input: no Channel, Bridge or ConversationStore there")

	_, err = source(t.TempDir()).read(nil, newWatch())
	require.ErrorContains(t, err, "folders below are read only when a kustomization names them")
}
