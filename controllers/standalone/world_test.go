package standalone

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

var (
	morning  = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	theStore = compile.Key{Namespace: "shop", Name: "default"}
	theBot   = compile.Key{Namespace: "shop", Name: "bot"}
)

// shelf is a world with its manifests and its memory.
type shelf struct {
	t         *testing.T
	dir, data string
	world     *world
	manifests *Manifests
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, dir: t.TempDir(), data: t.TempDir()}
	s.bridge("")
	s.bot("42", "one")
	s.restart()
	return s
}

func (s *shelf) bridge(spec string) {
	write(s.t, s.dir, "bridge.yaml", "apiVersion: bridgekeeper.dev/v1alpha1\nkind: Bridge\nmetadata: {name: default}\nspec: {publicURL: 'https://example.com'"+spec+"}\n")
}

func (s *shelf) store(spec string) {
	write(s.t, s.dir, "store.yaml", "apiVersion: bridgekeeper.dev/v1alpha1\nkind: ConversationStore\nmetadata: {name: default}\nspec: {"+spec+"}\n")
}

func (s *shelf) bot(id, secret string) {
	write(s.t, s.dir, "bot.yaml", strings.Replace(goodChannel, `"42"`, `"`+id+`"`, 1)+fmt.Sprintf(`---
apiVersion: v1
kind: Secret
metadata: {name: bot, labels: {bridgekeeper.dev/credentials: "true"}}
stringData: {token: "%s:AAGq5vUXc2mTz0sWnYb8eKdLr7pJ3hRf1oQ", webhookSecret: %s}
`, id, secret))
}

// restart loses all that is not in the file.
func (s *shelf) restart() {
	s.t.Helper()
	s.manifests = nil
	s.world = newWorld(all.Capabilities(), func(compile.Key) (string, error) { return strings.Repeat("x", 40), nil })
	m, err := openMemory(s.data)
	require.NoError(s.t, err)
	defer m.close()
	before, err := m.load()
	require.NoError(s.t, err)
	if before != nil {
		require.Empty(s.t, s.world.recall(before))
	}
}

// apply compiles the files as they are, and keeps what came of it.
func (s *shelf) apply(now time.Time) {
	s.t.Helper()
	m, err := Source{Paths: []string{s.dir}, Namespace: "shop"}.read(s.manifests, newWatch())
	require.NoError(s.t, err)
	s.manifests = m
	require.NoError(s.t, s.world.compile(m, now))
	_, _, err = s.world.documents()
	require.NoError(s.t, err)
	file, err := openMemory(s.data)
	require.NoError(s.t, err)
	defer file.close()
	kept, err := s.world.remember()
	require.NoError(s.t, err)
	require.NoError(s.t, file.save(kept))
}

// entry decodes an entry of the Bridge's document in force; false: there is none.
func (s *shelf) entry(kind document.EntryKind, into any) bool {
	s.t.Helper()
	e, found := s.world.previousBridges[theStore].Find(kind, theBot.String())
	if found {
		require.NoError(s.t, json.Unmarshal(e.Spec, into))
	}
	return found
}

func (s *shelf) served() (ch document.Channel) {
	s.t.Helper()
	require.True(s.t, s.entry(document.EntryChannel, &ch))
	return ch
}

func TestTheSameManifestsAreTheSameDocumentsAfterARestart(t *testing.T) {
	s := newShelf(t)
	s.apply(morning)
	bridge, store := s.world.previousBridges[theStore].Hash, s.world.previousStores[theStore].Hash
	s.restart()
	s.apply(morning.Add(time.Hour))
	require.Equal(t, bridge, s.world.previousBridges[theStore].Hash)
	require.Equal(t, store, s.world.previousStores[theStore].Hash)

	s.bridge(", egress: {allowPrivateHosts: true}")
	s.restart()
	s.apply(morning.Add(time.Hour))
	require.EqualValues(t, 2, s.world.previousBridges[theStore].Generation, "a change while it was stopped is a generation")
}

func TestOverlapHoldsOverARestart(t *testing.T) {
	s := newShelf(t)
	s.apply(morning)
	s.bot("42", "two")
	s.restart() // rotated while it was stopped
	s.apply(morning.Add(time.Hour))
	require.Equal(t, "two", s.served().Credentials["webhookSecret"])
	require.Len(t, s.served().PreviousCredentials, 1)
	require.Equal(t, "one", s.served().PreviousCredentials[0].Values["webhookSecret"])
	until := s.served().PreviousCredentials[0].Until
	require.WithinDuration(t, morning.Add(25*time.Hour), until, time.Second)

	s.restart() // rotated before it was stopped
	s.apply(morning.Add(2 * time.Hour))
	require.Equal(t, until, s.served().PreviousCredentials[0].Until, "a restart does not lengthen it")
	s.restart()
	s.apply(until)
	require.Empty(t, s.served().PreviousCredentials, "it ends in its time")
}

func TestChannelRemovedWhileStopped(t *testing.T) {
	s := newShelf(t)
	s.apply(morning)
	uid := s.served().UID
	before, err := os.ReadFile(filepath.Join(s.dir, "bot.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(s.dir, "bot.yaml")))
	s.restart()
	s.apply(morning.Add(time.Hour))
	var tomb document.Tombstone
	require.True(t, s.entry(document.EntryTombstone, &tomb))
	require.Equal(t, uid, tomb.UID)
	require.Equal(t, "https://example.com/webhooks/shop/bot", tomb.WebhookURL)
	require.Equal(t, "one", tomb.Credentials["webhookSecret"], "its Secret is gone, too")

	s.restart() // before the platform answered
	s.apply(morning.Add(2 * time.Hour))
	require.True(t, s.entry(document.EntryTombstone, &tomb))
	require.Equal(t, morning.Add(time.Hour), s.world.leaving[theBot].since, "its patience goes on")

	s.world.forget(theBot)
	s.apply(morning.Add(2 * time.Hour))
	require.False(t, s.entry(document.EntryTombstone, &tomb))
	s.restart()
	s.apply(morning.Add(3 * time.Hour))
	require.Empty(t, s.world.leaving, "what is removed is forgotten")

	write(t, s.dir, "bot.yaml", string(before))
	s.apply(morning.Add(4 * time.Hour))
	require.NotEqual(t, uid, s.served().UID, "one of the same name is another Channel")
}

func TestChannelWithoutAWebhookThatIsRemoved(t *testing.T) {
	s := newShelf(t)
	bot, err := os.ReadFile(filepath.Join(s.dir, "bot.yaml"))
	require.NoError(t, err)
	write(t, s.dir, "bot.yaml", strings.Replace(string(bot), "botID:", "receive: Polling\n    botID:", 1))
	s.apply(morning)
	require.NoError(t, os.Remove(filepath.Join(s.dir, "bot.yaml")))
	s.restart()
	s.apply(morning)
	require.False(t, s.world.leaving[theBot].webhook)
	e, found := s.world.previousStores[theStore].Find(document.EntryChannel, theBot.String())
	require.True(t, found)
	var ch document.StoreChannel
	require.NoError(t, json.Unmarshal(e.Spec, &ch))
	require.True(t, ch.Deleting, "what waits to be sent is cancelled")
	s.world.forget(theBot)
	s.apply(morning)
	_, found = s.world.previousStores[theStore].Find(document.EntryChannel, theBot.String())
	require.False(t, found)
	require.Empty(t, s.world.leaving)
}

func TestTheLastBridgeAndStoreStayUntilTheWebhookIsRemoved(t *testing.T) {
	s := newShelf(t)
	s.apply(morning)
	require.NoError(t, os.Remove(filepath.Join(s.dir, "bot.yaml")))
	require.NoError(t, os.Remove(filepath.Join(s.dir, "bridge.yaml")))
	write(t, s.dir, "other.yaml", "apiVersion: bridgekeeper.dev/v1alpha1\nkind: ConversationStore\nmetadata: {name: other}\nspec: {}\n")
	s.restart()
	s.apply(morning)
	require.True(t, s.entry(document.EntryTombstone, &document.Tombstone{}))
	token, found := s.world.previousStores[theStore].Find(document.EntryToken, "shop/default/generated")
	require.True(t, found, "its generated token still opens it")
	require.NotEmpty(t, token.Hash)
	s.world.forget(theBot)
	s.apply(morning)
	require.NotContains(t, s.world.previousBridges, theStore)
	require.NotContains(t, s.world.previousStores, theStore)
}

func TestChannelThatComesBackIsTheSame(t *testing.T) {
	s := newShelf(t)
	s.apply(morning)
	uid := s.served().UID
	require.NoError(t, os.Remove(filepath.Join(s.dir, "bot.yaml")))
	s.apply(morning.Add(time.Minute))
	s.bot("42", "one")
	s.restart()
	s.apply(morning.Add(2 * time.Minute))
	require.Equal(t, uid, s.served().UID)
	require.Empty(t, s.world.leaving)

	require.NoError(t, os.Remove(filepath.Join(s.dir, "bot.yaml")))
	s.apply(morning.Add(time.Hour))
	require.Equal(t, morning.Add(time.Hour), s.world.leaving[theBot].since, "patience begins anew")
}

func TestAnotherAccountUnderTheSameNameWaits(t *testing.T) {
	s := newShelf(t)
	s.apply(morning)
	uid := s.served().UID
	s.bot("43", "one") // nobody who runs would be allowed to
	s.restart()
	s.apply(morning)
	var tomb document.Tombstone
	require.True(t, s.entry(document.EntryTombstone, &tomb))
	require.Equal(t, "42", tomb.Account)
	require.False(t, s.entry(document.EntryChannel, &document.Channel{}))
	s.world.forget(theBot)
	s.apply(morning)
	require.Equal(t, "43", s.served().Account)
	require.NotEqual(t, uid, s.served().UID)
}

func TestSuspendKeepsTheLastDocument(t *testing.T) {
	s := newShelf(t)
	s.store("reopenWindow: 1h")
	s.apply(morning)
	bridge, store := s.world.previousBridges[theStore].Hash, s.world.previousStores[theStore].Hash

	s.store("reopenWindow: 2h, suspend: true")
	s.bridge(", suspend: true, egress: {allowPrivateHosts: true}, storeRef: {name: elsewhere}")
	s.bot("42", "two")
	s.apply(morning)
	require.Equal(t, bridge, s.world.previousBridges[theStore].Hash)
	require.Equal(t, store, s.world.previousStores[theStore].Hash)
	require.Equal(t, theStore, storeOf(s.world.previousBridges[theStore]))
	require.Equal(t, "one", s.served().Credentials["webhookSecret"])
	s.restart()
	s.apply(morning)
	require.Equal(t, bridge, s.world.previousBridges[theStore].Hash, "also after a restart")
	require.Equal(t, store, s.world.previousStores[theStore].Hash)

	s.store("reopenWindow: 2h")
	s.bridge(", egress: {allowPrivateHosts: true}")
	s.apply(morning)
	require.NotEqual(t, bridge, s.world.previousBridges[theStore].Hash)
	require.NotEqual(t, store, s.world.previousStores[theStore].Hash)
	require.Equal(t, "two", s.served().Credentials["webhookSecret"])
}

func TestSuspendDoesNotKeepAWebhook(t *testing.T) {
	s := newShelf(t)
	s.apply(morning)
	s.bridge(", suspend: true")
	require.NoError(t, os.Remove(filepath.Join(s.dir, "bot.yaml")))
	s.apply(morning)
	require.True(t, s.entry(document.EntryTombstone, &document.Tombstone{}), "a deleted Channel must not go on receiving")
}

func TestAccountStaysWithWhoHadItFirst(t *testing.T) {
	s := newShelf(t)
	s.apply(morning)
	r := s.world.records["Channel/shop/bot"]
	r.Accepted = true
	s.world.records["Channel/shop/bot"] = r
	s.apply(morning)
	// A second Channel, earlier in the alphabet, appears while nothing runs.
	write(t, s.dir, "a.yaml", strings.Replace(goodChannel, "name: bot\nspec", "name: a\nspec", 1))
	s.restart()
	s.apply(morning)
	require.Equal(t, "42", s.served().Account)
	require.NotEmpty(t, s.world.result.Channels[compile.Key{Namespace: "shop", Name: "a"}].Findings)
}

func TestMemoryIsForItsOwnerAlone(t *testing.T) {
	s := newShelf(t)
	s.apply(morning)
	entries, err := os.ReadDir(s.data)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing is left beside it: %v", entries)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), e.Name())
	}
}

func TestDamagedMemoryIsPutAside(t *testing.T) {
	for name, content := range map[string]string{
		"cut off": `{"version": 1, "chan`, "empty": "", "of a later version": `{"version": 2}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, memoryFile, content)
			m, err := openMemory(dir)
			require.NoError(t, err)
			defer m.close()
			r, err := m.load()
			require.Nil(t, r)
			require.ErrorContains(t, err, filepath.Join(dir, memoryFile)+" cannot be read, it is kept as documents.json.damaged")
			kept, err := os.ReadFile(filepath.Join(dir, memoryFile+".damaged"))
			require.NoError(t, err)
			require.Equal(t, content, string(kept))
			r, err = m.load()
			require.NoError(t, err)
			require.Nil(t, r, "the next start begins anew")
		})
	}
}

func TestOneDamagedEntryCostsNothingElse(t *testing.T) {
	s := newShelf(t)
	s.apply(morning)
	path := filepath.Join(s.data, memoryFile)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(content), `"webhookSecret":"one"`, `"webhookSecret":"won"`, 1)), 0o600))
	w := newWorld(all.Capabilities(), nil)
	write(t, s.data, memoryFile+".new-123", "of a process that was killed")
	m, err := openMemory(s.data)
	require.NoError(t, err)
	defer m.close()
	r, err := m.load()
	require.NoError(t, err)
	problems := w.recall(r)
	require.Len(t, problems, 1)
	require.ErrorContains(t, problems[0], "the document of bridge shop/default is damaged")
	require.NoFileExists(t, filepath.Join(s.data, memoryFile+".new-123"))
	require.NotNil(t, w.previousStores[theStore])
	require.NotEmpty(t, w.previousBridges[theStore].Hash)
	require.Empty(t, w.previousBridges[theStore].Entries)
	require.Equal(t, s.world.records, w.records)
}

func TestOneStandalonePerFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := openMemory(dir)
	require.NoError(t, err)
	_, err = openMemory(dir)
	require.ErrorContains(t, err, dir+" is in use by another standalone")
	require.NoError(t, first.close())
	again, err := openMemory(dir)
	require.NoError(t, err)
	require.NoError(t, again.close())
}
