package document_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/document/documenttest"
)

// newer is a document of the made-up next version, with n channels.
func newer(t *testing.T, n int) *document.Document {
	t.Helper()
	doc := &document.Document{Kind: document.KindBridge, Name: "shop/default", Generation: 3, Settings: json.RawMessage(`{"storeURL":"https://store","new":1}`)}
	for i := range n {
		e, err := document.NewEntry(document.EntryChannel, fmt.Sprintf("shop/channel-%02d", i), 1, map[string]any{
			"platform": "telegram", "accounts": []string{fmt.Sprint(i)}, "notKnownYet": map[string]string{"a": "b"},
		})
		require.NoError(t, err)
		doc.Entries = append(doc.Entries, e)
	}
	doc.Sort()
	return doc
}

// volume writes the files as a pod's volume shows them.
func volume(t *testing.T, doc *document.Document, minShards int, codecs []document.Codec) string {
	t.Helper()
	files, err := document.EncodeAll(doc, minShards, codecs)
	require.NoError(t, err)
	dir := t.TempDir()
	for major, shards := range files {
		for i, data := range shards {
			require.NoError(t, os.WriteFile(filepath.Join(dir, document.ShardPath(major, i)), data, 0o600))
		}
	}
	return dir
}

// A pod of today with a newer document beside the one that it reads: it runs
// that, translated by the operator, and ignores the fields that it does not know.
func TestOldPodBesideANewerDocument(t *testing.T) {
	doc := newer(t, 20)
	dir := volume(t, doc, 2, documenttest.Codecs())
	old, exceptions, err := document.Load(dir, document.Codecs())
	require.NoError(t, err)
	require.Empty(t, exceptions)
	require.Len(t, old.Entries, 20)
	var ch document.Channel
	require.NoError(t, json.Unmarshal(old.Entries[7].Spec, &ch))
	require.Equal(t, document.Channel{Platform: "telegram", Account: "7"}, ch)

	young, _, err := document.Load(dir, documenttest.Codecs())
	require.NoError(t, err)
	require.Contains(t, string(young.Entries[7].Spec), `"accounts":["7"]`)
	require.NotEqual(t, old.Hash, young.Hash)
	require.True(t, doc.Confirms(old.Hash))
	require.True(t, doc.Confirms(young.Hash))
	require.False(t, doc.Confirms(""))
	require.False(t, doc.Confirms("another"))
}

// Without the older version's files an old pod finds nothing, and says so.
func TestOldPodAfterTheNewerDocumentAlone(t *testing.T) {
	dir := volume(t, newer(t, 3), 1, documenttest.Codecs()[:1])
	_, _, err := document.Load(dir, document.Codecs())
	require.ErrorIs(t, err, document.ErrIncomplete)
}

// What an old pod says of a document reads as if a new one had said it.
func TestTranslate(t *testing.T) {
	doc := newer(t, 20)
	dir := volume(t, doc, 2, documenttest.Codecs())
	old, _, err := document.Load(dir, document.Codecs())
	require.NoError(t, err)
	e := old.Entries[3]
	require.NotEqual(t, doc.Entries[3].Hash, e.Hash)
	said := document.Status{
		Hash: old.Hash, Shards: old.Shards,
		Exceptions: []document.Exception{{Entry: e.Key(), Hash: e.Hash, RunningHash: "before"}},
	}
	got := doc.Translate(said)
	require.Equal(t, doc.Hash, got.Hash)
	require.Equal(t, doc.Shards, got.Shards)
	require.Equal(t, []document.Exception{{Entry: e.Key(), Hash: doc.Entries[3].Hash, RunningHash: "before"}}, got.Exceptions)
	require.Equal(t, e.Hash, said.Exceptions[0].Hash, "what was said is not changed")
	require.Equal(t, doc.Entries[3].Hash, doc.TranslateRow(document.ChannelStatus{Entry: e.Key(), Hash: e.Hash}).Hash)
	require.Equal(t, "another", doc.TranslateRow(document.ChannelStatus{Entry: e.Key(), Hash: "another"}).Hash)

	half := document.Status{Hash: "of the document before", Shards: []string{"before", old.Shards[1]}}
	got = doc.Translate(half)
	require.Equal(t, "of the document before", got.Hash)
	require.Equal(t, []string{"before", doc.Shards[1]}, got.Shards, "one shard is confirmed already")
	require.Equal(t, "before", half.Shards[0])
}

// Both versions share the Secrets, so they are spread together.
func TestTwoVersionsFitInOneSecret(t *testing.T) {
	doc := newer(t, 0)
	for i := range 30 {
		e, err := document.NewEntry(document.EntryChannel, fmt.Sprintf("shop/c%d", i), 1, map[string]string{"x": string(make([]byte, 2<<10))})
		require.NoError(t, err)
		doc.Entries = append(doc.Entries, e)
	}
	one, err := document.EncodeAll(doc, 1, documenttest.Codecs()[:1])
	require.NoError(t, err)
	both, err := document.EncodeAll(doc, 1, documenttest.Codecs())
	require.NoError(t, err)
	require.Greater(t, len(both[1]), len(one[documenttest.NextMajor]))
	require.Len(t, both[documenttest.NextMajor], len(both[1]))
	for i := range both[1] {
		require.Less(t, len(both[1][i])+len(both[documenttest.NextMajor][i]), 1<<20)
	}
}

func TestNamesOfVersions(t *testing.T) {
	require.Equal(t, []int{1}, document.Majors())
	require.Equal(t, "shard.json", document.ShardKey(1))
	require.Equal(t, "shard.v2.json", document.ShardKey(2))
	require.Equal(t, document.ShardFile(3), document.ShardPath(1, 3))
	require.Equal(t, "shard-03.v2.json", document.ShardPath(2, 3))
}
