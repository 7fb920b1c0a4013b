package standalone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// folders writes files, some of them in folders below, and returns the folder.
func folders(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return dir
}

const nameReferences = `nameReference:
  - kind: Secret
    version: v1
    fieldSpecs:
      - {kind: Channel, path: spec/credentials/secretRef/name}
`

var overlay = map[string]string{
	"base/kustomization.yaml": "resources: [channel.yaml]\n",
	"base/channel.yaml":       goodChannel,
	"live/kustomization.yaml": `namespace: shop
namePrefix: live-
resources: [../base]
configurations: [names.yaml]
generatorOptions:
  labels: {bridgekeeper.dev/credentials: "true"}
secretGenerator:
  - name: bot
    envs: [bot.env]
patches:
  - path: slow.yaml
`,
	"live/names.yaml": nameReferences,
	"live/bot.env":    "token=42:abc\n",
	"live/slow.yaml":  "apiVersion: bridgekeeper.dev/v1alpha1\nkind: Channel\nmetadata: {name: bot}\nspec: {limits: {outboundPerSecond: 3}}\n",
	"live/notes.yaml": "no resource: not read\n",
}

func TestKustomizationIsBuilt(t *testing.T) {
	dir := folders(t, overlay)
	m, err := source(filepath.Join(dir, "live")).read(nil, newWatch())
	require.NoError(t, err)
	require.Len(t, m.Channels, 1)
	require.Equal(t, "shop/live-bot", keyOf(m.Channels[0]).String(), "namespace and prefix")
	require.EqualValues(t, 3, m.Channels[0].Spec.Limits.OutboundPerSecond, "patch")
	require.Len(t, m.Secrets, 1)
	secret := m.Secrets[0]
	require.Regexp(t, `^live-bot-[a-z0-9]{10}$`, secret.Name, "a generated name has a hash")
	require.Equal(t, secret.Name, m.Channels[0].Spec.Credentials.SecretRef.Name, "and references follow it")
	require.Equal(t, "42:abc", string(secret.Data["token"]))
	require.Equal(t, "true", secret.Labels[v1alpha1.CredentialsLabel])
}

func TestEveryFileOfAKustomizationIsWatched(t *testing.T) {
	for name, content := range overlay {
		t.Run(name, func(t *testing.T) {
			dir := folders(t, overlay)
			w := newWatch()
			_, err := source(filepath.Join(dir, "live")).read(nil, w)
			require.NoError(t, err)
			require.Empty(t, w.differences())
			write(t, filepath.Join(dir, filepath.Dir(name)), filepath.Base(name), content+"\n# changed")
			require.Equal(t, name != "live/notes.yaml", len(w.differences()) > 0, "what is not part of it does not matter")
		})
	}
}

func TestKustomizationErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		change map[string]string
		want   string
	}{
		"a field that kustomize does not know": {map[string]string{"live/kustomization.yaml": "resource: [../base]\n"}, `unknown field "resource"`},
		"a file that is not there":             {map[string]string{"live/kustomization.yaml": "resources: [../base, more.yaml]\n"}, "more.yaml"},
		"a file outside":                       {map[string]string{"live/kustomization.yaml": "resources: [../base/channel.yaml]\n"}, "security"},
		"a mistake in a resource":              {map[string]string{"base/channel.yaml": strings.Replace(goodChannel, "botID", "botId", 1)}, `(Channel shop/live-bot): unknown field "spec.telegram.botId"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folders(t, overlay)
			for file, content := range tt.change {
				write(t, dir, file, content)
			}
			live := filepath.Join(dir, "live")
			w := newWatch()
			_, err := source(live).read(nil, w)
			require.ErrorContains(t, err, live+": ")
			require.ErrorContains(t, err, tt.want)

			for file := range tt.change {
				write(t, dir, file, overlay[file])
			}
			require.NotEmpty(t, w.differences(), "the correction is noticed")
		})
	}
}

// What a person writes in the wrong place may be a credential, and errors go to
// the screen and into journals.
func TestKustomizationErrorsQuoteNoContent(t *testing.T) {
	const secret = "110201543:AAGq5vUXc2mTz0sWnYb8eKdLr7pJ3hRf1oQ"
	generator := func(of, sources string) map[string]string {
		return map[string]string{"base/kustomization.yaml": "resources: [channel.yaml]\nsecretGenerator: [{name: bot, " + of + ": [" + sources + "]}]\n"}
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a literal without its key":     {generator("literals", `"`+secret+`"`), "one of its literals is not key=value"},
		"a literal with an empty key":   {generator("literals", `"=`+secret+`"`), "one of its literals is not key=value"},
		"a literal among the files":     {generator("files", `"token=`+secret+`"`), "one of its files cannot be read"},
		"a literal among the envs":      {generator("envs", `"token=`+secret+`"`), "one of its envs cannot be read"},
		"a byte that is no UTF-8":       {map[string]string{"live/bot.env": "token=" + secret + "\xff\n"}, "one of its envs cannot be read"},
		"a patch in the kustomization":  {map[string]string{"base/kustomization.yaml": "resources: [channel.yaml]\npatches:\n- patch: |\n    stringData: {token: \"" + secret + "\"}\n"}, "a patch that stands in a kustomization: is neither"},
		"a patch that is no patch":      {map[string]string{"live/slow.yaml": "stringData: {token: \"" + secret + "\"}\n"}, "patch slow.yaml: is neither"},
		"a list that is none":           {map[string]string{"base/kustomization.yaml": "secretGenerator: [{name: bot, literals: \"token=" + secret + "\"}]\n"}, "cannot unmarshal string"},
		"a Secret that is not complete": {map[string]string{"base/channel.yaml": "apiVersion: v1\nkind: Secret\nstringData: {token: \"" + secret + "\"}\n"}, "missing metadata.name"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folders(t, overlay)
			for file, content := range tt.files {
				write(t, dir, file, content)
			}
			_, err := source(filepath.Join(dir, "live")).read(nil, newWatch())
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, err.Error(), secret[10:])
		})
	}
}

func TestAFileThatWasMissingIsNoticed(t *testing.T) {
	dir := folders(t, map[string]string{"kustomization.yaml": "resources: [channel.yaml]\n"})
	w := newWatch()
	_, err := source(dir).read(nil, w)
	require.ErrorContains(t, err, "channel.yaml")
	require.Empty(t, w.differences())
	write(t, dir, "channel.yaml", goodChannel)
	require.NotEmpty(t, w.differences())
}

func TestAKustomizationIsGivenByItsFolder(t *testing.T) {
	dir := folders(t, overlay)
	_, err := source(filepath.Join(dir, "live", "kustomization.yaml")).read(nil, newWatch())
	require.ErrorContains(t, err, "give its folder, -f "+filepath.Join(dir, "live"))
}

func TestWatchOfAFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x.yaml", goodChannel)
	watched := func() *watch {
		w := newWatch()
		_, err := source(dir).read(nil, w)
		require.NoError(t, err)
		require.Empty(t, w.differences())
		return w
	}
	w := watched()
	write(t, dir, "x.yaml", goodChannel+"#")
	require.NotEmpty(t, w.differences(), "a file that changed")
	w = watched()
	write(t, dir, "y.yaml", "")
	require.NotEmpty(t, w.differences(), "a file that was added")
	w = watched()
	write(t, dir, ".x.yaml.swp", "an editor's own")
	require.Empty(t, w.differences())
	require.NoError(t, os.Remove(filepath.Join(dir, "y.yaml")))
	require.NotEmpty(t, w.differences(), "a file that was removed")
	w = watched()
	write(t, dir, "kustomization.yaml", "resources: [x.yaml]\n")
	require.NotEmpty(t, w.differences(), "a folder that gets a kustomization")
	w = watched()
	require.NoError(t, os.Remove(filepath.Join(dir, "kustomization.yaml")))
	require.NotEmpty(t, w.differences(), "and one that loses it")
}

// Who saves a file empties it first.
func TestAFileIsTakenOnceItIsWritten(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x.yaml", goodChannel)
	w := newWatch()
	_, err := source(dir).read(nil, w)
	require.NoError(t, err)
	require.False(t, w.changed())
	write(t, dir, "x.yaml", "")
	require.False(t, w.changed(), "somebody is at it")
	write(t, dir, "x.yaml", goodChannel+"#")
	write(t, dir, "y.yaml", "")
	require.False(t, w.changed(), "still")
	require.True(t, w.changed(), "and has done")
}
