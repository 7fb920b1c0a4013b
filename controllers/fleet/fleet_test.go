package fleet

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

func newDocument(t *testing.T, content string) *document.Document {
	t.Helper()
	doc := &document.Document{Kind: document.KindBridge, Name: "shop/edge", Generation: 1}
	for _, name := range []string{"shop/a", "shop/b", "shop/c", "shop/d"} {
		e, err := document.NewEntry(document.EntryChannel, name, 1, content+name)
		require.NoError(t, err)
		doc.Entries = append(doc.Entries, e)
	}
	_, err := document.Encode(doc, 4)
	require.NoError(t, err)
	return doc
}

func running(doc *document.Document, exceptions ...document.Exception) Pod {
	return Pod{Status: document.Status{Hash: doc.Hash, Shards: doc.Shards, Generation: doc.Generation, Exceptions: exceptions}}
}

const keyA = "Channel/shop/a"

func TestLoaded(t *testing.T) {
	doc, older := newDocument(t, "new"), newDocument(t, "old")
	refusal := document.Exception{Entry: keyA, Message: "too long"}
	silent := Pod{Name: "never answered"}
	tests := map[string]struct {
		pods   []Pod
		loaded bool
	}{
		"no pods":                {nil, false},
		"all":                    {[]Pod{running(doc), running(doc)}, true},
		"one is behind":          {[]Pod{running(doc), running(older)}, false},
		"one never answered":     {[]Pod{running(doc), silent}, false},
		"one refuses it":         {[]Pod{running(doc), running(doc, refusal)}, false},
		"one refuses another":    {[]Pod{running(doc, document.Exception{Entry: "Channel/shop/b"})}, true},
		"spread over less files": {[]Pod{{Status: document.Status{Hash: "x", Shards: doc.Shards[:2]}}}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.loaded, New(tt.pods).Loaded(doc, keyA)) })
	}
	require.False(t, (*Fleet)(nil).Loaded(doc, keyA))
	require.False(t, New([]Pod{running(doc)}).Loaded(nil, keyA))
}

func TestAChangeElsewhereDoesNotUnload(t *testing.T) {
	doc := newDocument(t, "x")
	home := document.ShardOf(keyA, len(doc.Shards))
	pod := running(doc)
	pod.Status.Hash, pod.Status.Shards = "behind", append([]string{}, doc.Shards...)
	pod.Status.Shards[(home+1)%4] = "another version of another shard"
	f := New([]Pod{pod})
	require.True(t, f.Loaded(doc, keyA), "its own shard is confirmed")
}

func TestRefusalOnlyWhenAllRefuse(t *testing.T) {
	doc := newDocument(t, "x")
	refusal := document.Exception{Entry: keyA, Message: "too long"}
	require.Nil(t, New(nil).Refusal(doc, keyA))
	require.Nil(t, New([]Pod{running(doc), running(doc, refusal)}).Refusal(doc, keyA), "versions are mixed")
	require.Nil(t, New([]Pod{running(newDocument(t, "y"), refusal)}).Refusal(doc, keyA), "about another version")
	require.Equal(t, &refusal, New([]Pod{running(doc, refusal), running(doc, refusal)}).Refusal(doc, keyA))
}

func TestMerge(t *testing.T) {
	row := func(entry, hash string) document.ChannelStatus {
		return document.ChannelStatus{Entry: entry, Hash: hash, Held: true}
	}
	p := Pod{}.Merge(document.Status{Instance: "1", Revision: 5, Full: true, Channels: []document.ChannelStatus{row("a", "1"), row("b", "1")}})
	instance, after := p.Query()
	require.Equal(t, "1", instance)
	require.Equal(t, int64(5), after)

	before := p
	p = p.Merge(document.Status{Instance: "1", Revision: 6, Channels: []document.ChannelStatus{row("b", "2"), {Entry: "a", Gone: true}}})
	require.Len(t, p.Rows, 1)
	require.Equal(t, "2", p.Rows["b"].Hash)
	require.Len(t, before.Rows, 2, "the Pod before is not changed")

	p = p.Merge(document.Status{Instance: "1", Revision: 6})
	require.Len(t, p.Rows, 1, "silence at rest forgets nothing")
	p = p.Merge(document.Status{Instance: "2", Revision: 1})
	require.Empty(t, p.Rows, "another process knows nothing yet")
}

func TestRowIsTheHoldersForThisHash(t *testing.T) {
	held := document.ChannelStatus{Entry: keyA, Hash: "1", Held: true}
	other := document.ChannelStatus{Entry: keyA, Hash: "1", Delivering: &document.Duty{State: document.DutyRetrying}}
	worse := document.ChannelStatus{Entry: keyA, Hash: "0", Delivering: &document.Duty{State: document.DutyFailed}}
	pod := func(r document.ChannelStatus) Pod {
		return Pod{Rows: map[string]document.ChannelStatus{r.Entry: r}}
	}
	f := New([]Pod{pod(other), pod(held), pod(worse)})
	require.Equal(t, &held, f.Row(keyA, "1"))
	require.Nil(t, f.Row(keyA, "2"))
	require.Nil(t, f.Row("Channel/shop/b", "1"))
	require.Equal(t, document.DutyFailed, f.Trouble(keyA).State, "the worst of all replicas")
	require.Nil(t, New([]Pod{pod(held)}).Trouble(keyA))
}

// A pod of a version before routing says nothing of the kinds that it acts on.
func TestActs(t *testing.T) {
	knows := Pod{Status: document.Status{EntryKinds: document.StoreEntryKinds()}}
	require.True(t, New([]Pod{knows, knows}).Acts(document.EntryAgentQueue))
	require.False(t, New([]Pod{knows, {}}).Acts(document.EntryAgentQueue))
	require.False(t, New(nil).Acts(document.EntryAgentQueue))
	require.False(t, (*Fleet)(nil).Acts(document.EntryAgentQueue))
}

func TestEntryTrouble(t *testing.T) {
	pod := Pod{Status: document.Status{Troubles: []document.Trouble{{Entry: "AgentQueue/shop/a", Reason: "NoAgents"}}}}
	require.Equal(t, "NoAgents", New([]Pod{{}, pod}).EntryTrouble("AgentQueue/shop/a").Reason)
	require.Nil(t, New([]Pod{pod}).EntryTrouble("AgentQueue/shop/b"))
	require.Nil(t, (*Fleet)(nil).EntryTrouble("AgentQueue/shop/a"))
}
