package controllers

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/document/documenttest"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

func TestWantedCodecs(t *testing.T) {
	both := documenttest.Codecs()
	old, young, silent := []int{1}, []int{1, 2}, []int(nil)
	two := &document.Document{Editions: []document.Edition{{Major: 1}}}
	alone := &document.Document{}
	for name, tt := range map[string]struct {
		previous *document.Document
		pods     [][]int
		want     int
	}{
		"nobody knows":                      {nil, nil, 2},
		"no pods":                           {two, nil, 2},
		"an old pod":                        {two, [][]int{young, old}, 2},
		"a pod that has not answered":       {two, [][]int{young, silent}, 2},
		"all speak the newest":              {two, [][]int{young, young}, 1},
		"written alone, no pods":            {alone, nil, 1},
		"written alone, a pod has started":  {alone, [][]int{young, silent}, 1},
		"written alone, an old pod is back": {alone, [][]int{young, old}, 2},
	} {
		t.Run(name, func(t *testing.T) { require.Len(t, wantedCodecs(both, tt.previous, tt.pods), tt.want) })
	}
	require.Len(t, wantedCodecs(document.Codecs(), nil, nil), 1, "there is one version today")
}

// transition is an operator of a made-up next major version with the document
// of one Bridge, on the API server of the suite.
type transition struct {
	t    *testing.T
	c    *compiler
	o    owner
	doc  *document.Document
	pods *podStatuses
}

func newTransition(t *testing.T) *transition {
	b := newBridge(newNamespace(t), "edge")
	b.Spec.Suspend = true // the suite's own operator leaves it alone
	create(t, b)
	o := owner{document.KindBridge, client.ObjectKeyFromObject(b)}
	x := &transition{t: t, o: o, pods: newPodStatuses()}
	x.restart()
	e, err := document.NewEntry(document.EntryChannel, b.Namespace+"/main", 1, map[string]any{"platform": "telegram", "accounts": []string{"42"}})
	require.NoError(t, err)
	x.doc = &document.Document{Kind: o.kind, Name: o.name.String(), Generation: 1, Settings: json.RawMessage(`{"storeURL":"https://store"}`), Entries: []document.Entry{e}}
	return x
}

// restart forgets what the operator wrote.
func (x *transition) restart() {
	x.c = &compiler{
		client: k8s, applier: applier{client: k8s, live: k8s}, pods: x.pods, codecs: documenttest.Codecs(),
		written: map[owner]*document.Document{}, versions: map[types.NamespacedName]string{},
	}
}

func (x *transition) write() {
	doc := *x.doc
	out := output{owner: x.o, child: workload.BridgeChild(x.o.name.Name), doc: &doc}
	b := newBridge(x.o.name.Namespace, x.o.name.Name)
	require.NoError(x.t, k8s.Get(x.t.Context(), x.o.name, b))
	out.ref = workload.BridgeOwner(b)
	finding, err := x.c.writeDocument(x.t.Context(), out)
	require.NoError(x.t, err)
	require.Nil(x.t, finding)
}

// keys are those of the Secret of shard 0.
func (x *transition) keys() []string {
	secret := &corev1.Secret{}
	require.NoError(x.t, k8s.Get(x.t.Context(), types.NamespacedName{Namespace: x.o.name.Namespace, Name: workload.DocumentSecret("edge-bridge", 0)}, secret))
	var keys []string
	for _, c := range documenttest.Codecs() {
		if secret.Data[document.ShardKey(c.Major)] != nil {
			keys = append(keys, document.ShardKey(c.Major))
		}
	}
	require.Len(x.t, secret.Data, len(keys))
	return keys
}

// answer is what a pod says that reads with codecs.
func (x *transition) answer(pod string, codecs []document.Codec) {
	found := map[owner]*document.Document{}
	reader := &compiler{client: k8s, codecs: codecs}
	require.NoError(x.t, reader.loadDocument(context.Background(), found, x.o, "edge-bridge"))
	doc := found[x.o]
	require.NotNil(x.t, doc)
	status := document.Status{Kind: x.o.kind, Instance: pod, Full: true, Hash: doc.Hash, Shards: doc.Shards, Generation: doc.Generation}
	for _, c := range codecs {
		status.SchemaVersions = append(status.SchemaVersions, c.Major)
	}
	for _, e := range doc.Entries {
		status.Channels = append(status.Channels, document.ChannelStatus{Entry: e.Key(), Hash: e.Hash, Held: true})
	}
	x.pods.merge(x.o, pod, status)
}

// TestFromOneMajorToTheNext: the operator of the next version writes both until
// every pod speaks the new one, and takes the word of both kinds of pods.
func TestFromOneMajorToTheNext(t *testing.T) {
	t.Parallel()
	x := newTransition(t)
	key := x.doc.Entries[0].Key()
	x.write()
	require.Equal(t, []string{"shard.v2.json", "shard.json"}, x.keys())

	x.pods.keep(x.o, map[string]bool{"old": true, "young": true})
	x.answer("old", document.Codecs())
	x.answer("young", documenttest.Codecs())
	written := x.c.written[x.o]
	require.Empty(t, x.pods.lagging(x.o, written))
	f := x.pods.fleet(x.o, written)
	require.True(t, f.Loaded(written, key), "the old pod confirms it in its own words")
	require.NotNil(t, f.Row(key, x.doc.Entries[0].Hash))
	require.Same(t, f, x.pods.fleet(x.o, written), "translated once")
	x.write()
	require.Equal(t, []string{"shard.v2.json", "shard.json"}, x.keys())

	x.restart() // it finds both, and knows that an old pod may be there
	found := map[owner]*document.Document{}
	require.NoError(t, x.c.loadDocument(t.Context(), found, x.o, "edge-bridge"))
	x.c.written = found
	require.Len(t, found[x.o].Editions, 1)
	require.False(t, compile.Changed(x.doc, found[x.o]))
	x.write()
	require.Equal(t, []string{"shard.v2.json", "shard.json"}, x.keys())

	x.pods.keep(x.o, map[string]bool{"young": true})
	x.write()
	require.Equal(t, []string{"shard.v2.json"}, x.keys(), "the last old pod is gone")
	x.pods.keep(x.o, map[string]bool{"young": true, "started": false})
	x.write()
	require.Equal(t, []string{"shard.v2.json"}, x.keys())
}
