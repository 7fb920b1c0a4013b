package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func testDocument(t testing.TB, n int) *Document {
	t.Helper()
	doc := &Document{Kind: KindBridge, Name: "shop/default", Generation: 3, Settings: json.RawMessage(`{"storeURL":"https://store"}`)}
	for i := range n {
		e, err := NewEntry(EntryChannel, fmt.Sprintf("shop/channel-%d", i), 1, Channel{
			Platform: "telegram", Account: fmt.Sprint(i), Credentials: map[string]string{"token": "<a&b>\u2028"},
		})
		require.NoError(t, err)
		doc.Entries = append(doc.Entries, e)
	}
	return doc
}

func encode(t testing.TB, doc *Document, minShards int) [][]byte {
	t.Helper()
	files, err := Encode(doc, minShards)
	require.NoError(t, err)
	return files
}

func TestDecodeGivesWhatWasEncoded(t *testing.T) {
	for _, shards := range []int{1, 2, 16} {
		doc := testDocument(t, 50)
		files := encode(t, doc, shards)
		require.Len(t, files, shards)
		got, exceptions, err := Decode(files)
		require.NoError(t, err)
		require.Empty(t, exceptions)
		require.Equal(t, doc.Hash, got.Hash)
		require.Equal(t, doc.Shards, got.Shards)
		require.ElementsMatch(t, doc.Entries, got.Entries)
		require.Equal(t, doc.Generation, got.Generation)
	}
}

func TestADocumentGrowsOverMoreShardsAndNeverBack(t *testing.T) {
	small := testDocument(t, 10)
	require.Len(t, encode(t, small, 1), 1)
	require.Len(t, encode(t, small, 4), 4, "entries stay where they are")
	large := testDocument(t, 0)
	for i := range 2000 {
		e, err := NewEntry(EntryChannel, fmt.Sprintf("shop/c%d", i), 1, map[string]string{"x": string(make([]byte, 600))})
		require.NoError(t, err)
		large.Entries = append(large.Entries, e)
	}
	files := encode(t, large, 1)
	require.Greater(t, len(files), 4)
	for _, f := range files {
		require.Less(t, len(f), 1<<20)
	}
}

func TestTooMuchForAllShardsIsAnErrorWithAWayOut(t *testing.T) {
	doc := testDocument(t, 0)
	for i := range 40 {
		e, err := NewEntry(EntryChannel, fmt.Sprintf("shop/c%d", i), 1, string(make([]byte, 100<<10)))
		require.NoError(t, err)
		doc.Entries = append(doc.Entries, e)
	}
	_, err := Encode(doc, 1)
	require.ErrorContains(t, err, "several Bridges")
}

func TestOneChangedEntryChangesItsShardAndTheEnvelopeOnly(t *testing.T) {
	doc := testDocument(t, 200)
	before := encode(t, doc, 16)
	e, err := NewEntry(EntryChannel, doc.Entries[7].Name, 2, Channel{Platform: "telegram", Account: "other"})
	require.NoError(t, err)
	doc.Entries[7] = e
	after := encode(t, doc, 16)
	for i := range after {
		if i != 0 && i != ShardOf(e.Key(), 16) {
			require.Equal(t, before[i], after[i], "shard %d", i)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	old := encode(t, testDocument(t, 40), 4)
	doc := testDocument(t, 41)
	files := encode(t, doc, 4)
	mixed := append([][]byte{}, files...)
	mixed[ShardOf(doc.Entries[40].Key(), 4)] = old[ShardOf(doc.Entries[40].Key(), 4)]
	if ShardOf(doc.Entries[40].Key(), 4) == 0 {
		mixed[0], mixed[1] = files[0], nil
	}
	var version map[string]any
	require.NoError(t, json.Unmarshal(files[0], &version))
	version["schemaVersion"] = 2
	newer, err := json.Marshal(version)
	require.NoError(t, err)
	version["schemaVersion"] = 1
	version["generation"] = 99
	forged, err := json.Marshal(version)
	require.NoError(t, err)

	for name, tc := range map[string]struct {
		files      [][]byte
		incomplete bool
		says       string
	}{
		"nothing":                  {nil, true, "shard-00.json is not there"},
		"a shard is missing":       {[][]byte{files[0], files[1], nil, files[3]}, true, "shard-02.json is not there"},
		"a half-updated volume":    {mixed, true, "document is incomplete"},
		"a newer major version":    {[][]byte{newer, files[1], files[2], files[3]}, false, "schemaVersion 2, this version reads 1"},
		"an envelope that was cut": {[][]byte{files[0][:100]}, false, "shard-00.json"},
		"a forged envelope":        {[][]byte{forged, files[1], files[2], files[3]}, false, "hash"},
		"shards in wrong places":   {[][]byte{files[0], files[2], files[1], files[3]}, false, "holds shard"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Decode(tc.files)
			require.ErrorContains(t, err, tc.says)
			require.Equal(t, tc.incomplete, errors.Is(err, ErrIncomplete))
		})
	}
}

func TestADamagedEntryIsAnExceptionAndTheRestIsRead(t *testing.T) {
	doc := testDocument(t, 3)
	doc.Entries[1].Spec = json.RawMessage(`{"platform":"changed by hand"}`)
	got, exceptions, err := Decode(encode(t, doc, 1))
	require.NoError(t, err)
	require.Len(t, got.Entries, 2)
	require.Len(t, exceptions, 1)
	require.Equal(t, "Channel/shop/channel-1", exceptions[0].Entry)
}

func TestSalvageReadsWhatIsIntact(t *testing.T) {
	old, doc := encode(t, testDocument(t, 40), 2), testDocument(t, 40)
	e, err := NewEntry(EntryChannel, "shop/new", 1, Channel{})
	require.NoError(t, err)
	doc.Entries = append(doc.Entries, e)
	half := encode(t, doc, 2)
	half[0] = old[0] // an operator was killed between two shards
	if ShardOf(e.Key(), 2) == 0 {
		half[0], half[1] = encode(t, doc, 2)[0], old[1][:50]
	}
	_, _, err = Decode(half)
	require.Error(t, err)
	got := Salvage(half)
	require.Empty(t, got.Hash)
	keys := map[string]bool{}
	for _, e := range got.Entries {
		keys[e.Key()] = true
	}
	require.True(t, keys[e.Key()])
	require.Equal(t, "shop/default", got.Name)
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	files := encode(t, testDocument(t, 1), 1)
	var m map[string]any
	require.NoError(t, json.Unmarshal(files[0], &m))
	m["added"] = "by a newer version"
	// The entry's spec must keep its bytes: only the envelope is touched.
	raw, err := json.Marshal(m)
	require.NoError(t, err)
	_, _, err = Decode([][]byte{raw})
	require.NoError(t, err)
}

func TestTwoEntriesOfOneKeyAreRefused(t *testing.T) {
	doc := testDocument(t, 1)
	doc.Entries = append(doc.Entries, doc.Entries[0])
	_, err := Encode(doc, 1)
	require.ErrorContains(t, err, "two entries Channel/shop/channel-0")
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	files := encode(t, testDocument(t, 20), 2)
	for i, f := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, ShardFile(i)), f, 0o600))
	}
	doc, _, err := Load(dir, Codecs())
	require.NoError(t, err)
	require.Len(t, doc.Entries, 20)
}

// The same resources give the same bytes, in whatever order they come.
func TestEncodeIsAFunctionOfTheSetOfEntries(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		doc := testDocument(t, rapid.IntRange(0, 30).Draw(rt, "n"))
		shuffled := *doc
		shuffled.Entries = rapid.Permutation(doc.Entries).Draw(rt, "order")
		n := rapid.SampledFrom([]int{1, 2, 4, 8, 16}).Draw(rt, "shards")
		require.Equal(rt, encode(t, doc, n), encode(t, &shuffled, n))
		require.Equal(rt, doc.Hash, shuffled.Hash)
	})
}

func FuzzDecode(f *testing.F) {
	doc := testDocument(f, 3)
	for _, file := range encode(f, doc, 2) {
		f.Add(file, file)
	}
	f.Fuzz(func(_ *testing.T, a, b []byte) {
		_, _, _ = Decode([][]byte{a, b}) // must not panic
	})
}

func TestDuration(t *testing.T) {
	var d Duration
	require.NoError(t, json.Unmarshal([]byte(`"36h"`), &d))
	raw, err := json.Marshal(d)
	require.NoError(t, err)
	require.JSONEq(t, `"36h0m0s"`, string(raw))
	require.ErrorContains(t, json.Unmarshal([]byte(`"1 day"`), &d), "write it like 24h")
}

func TestFindInADocumentOfManyShards(t *testing.T) {
	doc, exceptions, err := Decode(encode(t, testDocument(t, 40), 8))
	require.NoError(t, err)
	require.Empty(t, exceptions)
	require.Len(t, doc.Shards, 8)
	for _, want := range doc.Entries {
		got, ok := doc.Find(want.Kind, want.Name)
		require.True(t, ok, "%s", want.Key())
		require.Equal(t, want, got)
	}
	_, ok := doc.Find(EntryTombstone, doc.Entries[0].Name)
	require.False(t, ok)
	_, ok = (*Document)(nil).Find(EntryChannel, "shop/a")
	require.False(t, ok)
}
