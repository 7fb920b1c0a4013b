package docload

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/document/documenttest"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a Loader over a folder, with the documents it has put into force and
// a clock that the test moves. look is called by hand: no waiting.
type rig struct {
	*Loader
	dir    string
	now    time.Time
	loads  []*document.Document
	refuse []document.Exception
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), now: time.Unix(1_800_000_000, 0)}
	r.Loader = New(Options{
		Dir: r.dir, Kind: document.KindStore, Now: func() time.Time { return r.now },
		OnLoad: func(_ context.Context, doc *document.Document) []document.Exception {
			r.loads = append(r.loads, doc)
			return r.refuse
		},
	})
	return r
}

func (r *rig) lookAt(files map[string][]byte, t *testing.T) {
	t.Helper()
	testpki.Mount(t, r.dir, files)
	r.look(t.Context())
}

// encode makes the shard files of a document with n channels.
func encode(t *testing.T, generation int64, n, shards int) map[string][]byte {
	t.Helper()
	doc := &document.Document{Kind: document.KindStore, Name: "shop/default", Generation: generation, Settings: []byte(`{}`)}
	for i := range n {
		e, err := document.NewEntry(document.EntryChannel, fmt.Sprintf("shop/channel-%d", i), generation, document.StoreChannel{Platform: "telegram", Account: "1"})
		require.NoError(t, err)
		doc.Entries = append(doc.Entries, e)
	}
	encoded, err := document.Encode(doc, shards)
	require.NoError(t, err)
	files := map[string][]byte{}
	for i, data := range encoded {
		files[document.ShardFile(i)] = data
	}
	return files
}

func TestLoadsOnceAndThenOnChangeOnly(t *testing.T) {
	r := newRig(t)
	r.lookAt(encode(t, 1, 3, 1), t)
	require.Len(t, r.loads, 1)
	assert.Equal(t, int64(1), r.State().Generation)
	select {
	case <-r.Loaded():
	default:
		t.Fatal("Loaded is open after the first document")
	}

	r.look(t.Context())
	assert.Len(t, r.loads, 1, "nothing changed")
	r.lookAt(encode(t, 1, 3, 1), t)
	assert.Len(t, r.loads, 1, "kubelet remounted the same content")
	r.lookAt(encode(t, 2, 3, 1), t)
	require.Len(t, r.loads, 2)
	assert.Equal(t, r.loads[1].Hash, r.State().Hash)
}

func TestPlainFolder(t *testing.T) {
	r := newRig(t)
	write := func(files map[string][]byte) {
		for name, data := range files {
			require.NoError(t, os.WriteFile(filepath.Join(r.dir, name), data, 0o600))
		}
	}
	write(encode(t, 1, 1, 1))
	r.look(t.Context())
	require.Len(t, r.loads, 1)
	write(encode(t, 2, 20, 1))
	r.look(t.Context())
	require.Len(t, r.loads, 2)
	assert.Len(t, r.loads[1].Entries, 20)
}

func TestHalfUpdatedFolderIsNeverLoaded(t *testing.T) {
	before, after := encode(t, 1, 40, 4), encode(t, 2, 40, 4)
	require.Len(t, before, 4)
	for i := range 4 {
		t.Run(document.ShardFile(i), func(t *testing.T) {
			r := newRig(t)
			r.lookAt(before, t)
			mixed := map[string][]byte{}
			for name, data := range before {
				mixed[name] = data
			}
			mixed[document.ShardFile(i)] = after[document.ShardFile(i)]
			r.lookAt(mixed, t)
			assert.Len(t, r.loads, 1)
			assert.Empty(t, r.State().Error, "it is on its way, nothing is wrong yet")
			assert.Equal(t, int64(1), r.State().Generation)

			r.now = r.now.Add(incompleteGrace)
			r.look(t.Context())
			assert.Contains(t, r.State().Error, "incomplete", "it has been on its way for too long")

			r.lookAt(after, t)
			assert.Len(t, r.loads, 2)
			assert.Empty(t, r.State().Error)
			assert.Equal(t, int64(2), r.State().Generation)
		})
	}
}

func TestMissingShardWaits(t *testing.T) {
	r := newRig(t)
	files := encode(t, 1, 40, 4)
	part := map[string][]byte{document.ShardFile(0): files[document.ShardFile(0)]}
	r.lookAt(part, t)
	assert.Empty(t, r.loads)
	r.lookAt(files, t)
	assert.Len(t, r.loads, 1)
}

func TestWrongDocumentsAreReportedAndKeepTheOldOne(t *testing.T) {
	bridgeDoc := &document.Document{Kind: document.KindBridge, Name: "shop/default", Settings: []byte(`{}`)}
	bridgeFiles, err := document.Encode(bridgeDoc, 1)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"not JSON":           {[]byte("{"), "shard-00.json"},
		"newer schema":       {[]byte(`{"schemaVersion":2}`), "schemaVersion 2"},
		"document of a peer": {bridgeFiles[0], "for a bridge, this process is a store"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			good := encode(t, 1, 1, 1)
			r.lookAt(good, t)
			r.lookAt(map[string][]byte{document.ShardFile(0): test.data}, t)
			assert.Len(t, r.loads, 1)
			assert.Contains(t, r.State().Error, test.want)
			assert.Equal(t, int64(1), r.State().Generation)

			r.lookAt(good, t)
			assert.Len(t, r.loads, 1, "the old document was in force all the time")
			assert.Empty(t, r.State().Error)
		})
	}
}

func TestDamagedEntryIsAnExceptionAndItsRepairIsLoaded(t *testing.T) {
	r := newRig(t)
	good := encode(t, 1, 3, 1)
	damaged := bytes.Replace(good[document.ShardFile(0)], []byte(`"account":"1"`), []byte(`"account":"2"`), 1)
	r.lookAt(map[string][]byte{document.ShardFile(0): damaged}, t)
	require.Len(t, r.loads, 1)
	require.Len(t, r.State().Exceptions, 1)
	r.lookAt(good, t)
	require.Len(t, r.loads, 2, "the same hash, but whole now")
	assert.Empty(t, r.State().Exceptions)
}

func TestExceptionsOfTheEngineAreKept(t *testing.T) {
	r := newRig(t)
	r.refuse = []document.Exception{{Entry: "Channel/shop/channel-0", Message: "no"}}
	r.lookAt(encode(t, 1, 1, 1), t)
	var status document.Status
	r.State().Apply(&status)
	assert.Equal(t, r.refuse, status.Exceptions)
	assert.Equal(t, "shop/default", status.Name)
	assert.NotEmpty(t, status.Shards)
}

func TestRunLoadsAndStops(t *testing.T) {
	r := newRig(t)
	r.opts.Interval = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	testpki.Mount(t, r.dir, encode(t, 1, 1, 1))
	select {
	case <-r.Loaded():
	case <-time.After(time.Minute):
		t.Fatal("not loaded")
	}
	cancel()
	<-done
}

// mounted are all files of a document in several major versions.
func mounted(t *testing.T, generation int64, codecs []document.Codec) map[string][]byte {
	t.Helper()
	doc := &document.Document{Kind: document.KindStore, Name: "shop/default", Generation: generation, Settings: []byte(`{}`)}
	encoded, err := document.EncodeAll(doc, 1, codecs)
	require.NoError(t, err)
	files := map[string][]byte{}
	for major, shards := range encoded {
		for i, data := range shards {
			files[document.ShardPath(major, i)] = data
		}
	}
	return files
}

// A pod of today goes on while an operator of the next major version writes
// both, and keeps what it has when that writes its own alone.
func TestOldPodWithANewerDocument(t *testing.T) {
	r := newRig(t)
	r.lookAt(encode(t, 1, 3, 1), t)
	r.lookAt(mounted(t, 2, documenttest.Codecs()), t)
	require.Len(t, r.loads, 2)
	assert.Equal(t, int64(2), r.State().Generation)
	r.lookAt(mounted(t, 3, documenttest.Codecs()[:1]), t)
	require.Len(t, r.loads, 2)
	assert.Equal(t, int64(2), r.State().Generation)
}

// A pod of the next version reads what an operator of today wrote, then the
// newest that is there, and goes back with the operator.
func TestNewPodReadsTheNewestThatIsThere(t *testing.T) {
	r := newRig(t)
	r.opts.Codecs = documenttest.Codecs()
	r.lookAt(encode(t, 1, 3, 1), t)
	r.lookAt(mounted(t, 2, documenttest.Codecs()), t)
	require.Contains(t, r.State().Hash, "next-2")
	r.lookAt(mounted(t, 3, document.Codecs()), t)
	require.Len(t, r.loads, 3)
	assert.Equal(t, int64(3), r.State().Generation)
	assert.NotContains(t, r.State().Hash, "next")
}
