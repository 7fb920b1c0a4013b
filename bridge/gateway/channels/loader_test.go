package channels_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
)

func config(text string) func(*document.Channel) {
	return func(c *document.Channel) { c.Config = json.RawMessage(text) }
}

func apply(t *testing.T, p *testkit.Platform, docs ...*document.Document) []document.Exception {
	t.Helper()
	_, loader := testkit.Loader(p)
	var last []document.Exception
	for _, doc := range docs {
		exceptions, err := loader.Apply(context.Background(), doc)
		require.NoError(t, err)
		last = exceptions
	}
	return last
}

func TestWhatIsWrongWithAnEntryIsSaidWithoutItsSecrets(t *testing.T) {
	for name, test := range map[string]struct {
		entry          document.Entry
		field, message string
	}{
		"refused by the platform": {testkit.Entry(t, "shop/a", 1, config(`{"bad":true}`)), "testing.bad", "is not good; the secret is [redacted]"},
		"a bug in the platform":   {testkit.Entry(t, "shop/a", 1, config(`{"panic":true}`)), "", "internal error while loading"},
		"unknown platform":        {testkit.Entry(t, "shop/a", 1, func(c *document.Channel) { c.Platform = "carrier-pigeon" }), "platform", `"carrier-pigeon" is not a platform`},
		"cannot receive so":       {testkit.Entry(t, "shop/a", 1, func(c *document.Channel) { c.Receive = "socket" }), "receive", `cannot receive by "socket"`},
		"name without namespace":  {testkit.Entry(t, "a", 1, nil), "", "is not namespace/name"},
		"spec of another shape":   {mustEntry(t, document.EntryChannel, map[string]any{"platform": testkit.Name, "account": 4711}), "account", "cannot be a JSON number"},
		"kind of a later version": {mustEntry(t, "Fax", map[string]any{}), "", `kind "Fax"`},
	} {
		t.Run(name, func(t *testing.T) {
			exceptions := apply(t, &testkit.Platform{}, testkit.Document(t, test.entry))
			require.Len(t, exceptions, 1)
			assert.Equal(t, test.field, exceptions[0].Field)
			assert.Contains(t, exceptions[0].Message, test.message)
			assert.NotContains(t, exceptions[0].Message, "secret-of")
			assert.NotContains(t, exceptions[0].Message, "4711")
			assert.Equal(t, test.entry.Hash, exceptions[0].Hash)
			assert.Empty(t, exceptions[0].RunningHash)
		})
	}
}

func mustEntry(t *testing.T, kind document.EntryKind, spec any) document.Entry {
	t.Helper()
	e, err := document.NewEntry(kind, "shop/a", 1, spec)
	require.NoError(t, err)
	return e
}

func TestABadEntryKeepsItsLastGoodVersionAndHarmsNobody(t *testing.T) {
	p := &testkit.Platform{}
	good, neighbour := testkit.Entry(t, "shop/a", 1, nil), testkit.Entry(t, "shop/b", 1, nil)
	table, loader := testkit.Table(t, p, good, neighbour)

	bad, changed := testkit.Entry(t, "shop/a", 2, config(`{"bad":true}`)), testkit.Entry(t, "shop/b", 2, nil)
	exceptions, err := loader.Apply(context.Background(), testkit.Document(t, bad, changed))
	require.NoError(t, err)
	require.Len(t, exceptions, 1)
	assert.Equal(t, bad.Hash, exceptions[0].Hash)
	assert.Equal(t, good.Hash, exceptions[0].RunningHash)
	assert.Equal(t, good.Hash, table.Snapshot().Channel("shop/a").Hash)
	assert.Equal(t, changed.Hash, table.Snapshot().Channel("shop/b").Hash)

	fixed := testkit.Entry(t, "shop/a", 3, nil)
	testkit.Apply(t, loader, fixed, changed)
	assert.Equal(t, fixed.Hash, table.Snapshot().Channel("shop/a").Hash)
}

func TestADamagedEntryKeepsItsLastGoodVersion(t *testing.T) {
	good := testkit.Entry(t, "shop/a", 1, nil)
	table, loader := testkit.Table(t, &testkit.Platform{}, good)
	doc := testkit.Document(t)
	doc.Damaged = []document.Exception{{Entry: good.Key(), Hash: "another", Message: "does not match"}}
	_, err := loader.Apply(context.Background(), doc)
	require.NoError(t, err)
	assert.NotNil(t, table.Snapshot().Channel("shop/a"))
	assert.Equal(t, good.Hash, doc.Damaged[0].RunningHash)
}

// Whose messages a damaged entry would take is not known: its content may be
// what was damaged. So whatever nobody else takes may be its.
func TestADamagedEntryWithoutAGoodVersionMayTakeWhatNobodyElseTakes(t *testing.T) {
	good := testkit.Entry(t, "shop/good", 1, nil)
	bad := testkit.Entry(t, "shop/bad", 1, config(`{"bad":true}`))
	table, loader := testkit.Loader(&testkit.Platform{})
	apply := func(damaged ...string) []document.Exception {
		doc := testkit.Document(t, good, bad)
		for _, key := range damaged {
			doc.Damaged = append(doc.Damaged, document.Exception{Entry: key, Hash: "another"})
		}
		_, err := loader.Apply(context.Background(), doc)
		require.NoError(t, err)
		return doc.Damaged
	}
	off := func(id string) string { return table.Snapshot().Off(testkit.Name, "", id) }

	assert.Empty(t, apply("Channel/shop/z", "Tombstone/shop/a", "Channel/shop/damaged")[0].RunningHash)
	assert.Equal(t, "shop/damaged", off("4711"), "the first by name, on every replica alike")
	assert.Equal(t, "shop/bad", off("account-shop/bad"), "what is known is told")
	assert.Empty(t, off("account-shop/good"), "whoever runs takes its own")
	assert.Empty(t, off(""), "an element of no account is nobody's")
	apply("Tombstone/shop/a")
	assert.Empty(t, off("4711"), "a former channel takes nothing")
	apply("Channel/shop/good")
	assert.Empty(t, off("4711"), "its last good version says whose they are")

	odd := mustEntry(t, document.EntryChannel, map[string]any{"platform": testkit.Name, "account": 4711})
	testkit.Apply(t, loader, good)
	_, err := loader.Apply(t.Context(), testkit.Document(t, good, odd))
	require.NoError(t, err)
	assert.Equal(t, "shop/a", off("4711"), "the same is true of an entry whose account cannot be read")
}

func TestUnchangedEntriesAreNotLoadedAgain(t *testing.T) {
	p := &testkit.Platform{}
	a, b := testkit.Entry(t, "shop/a", 1, nil), testkit.Entry(t, "shop/b", 1, nil)
	table, loader := testkit.Table(t, p, a, b)
	before := table.Snapshot().Channel("shop/a")
	testkit.Apply(t, loader, a, testkit.Entry(t, "shop/b", 2, nil))
	assert.Same(t, before, table.Snapshot().Channel("shop/a"))
	assert.Equal(t, 3, p.Loads())
}

func TestChangedSettingsLoadTheChannelsThatTheyConcern(t *testing.T) {
	p := &testkit.Platform{}
	a := testkit.Entry(t, "shop/a", 1, nil)
	table, loader := testkit.Table(t, p, a)
	for i, settings := range []document.BridgeSettings{
		{PlatformEndpoints: map[string]string{testkit.Name: "http://double:8081/"}},
		{PlatformEndpoints: map[string]string{testkit.Name: "http://double:8081", "other": "http://x"}},
		{AllowPrivateHosts: true},
	} {
		_, err := loader.Apply(context.Background(), testkit.DocumentWith(t, settings, a))
		require.NoError(t, err)
		assert.Equal(t, []int{2, 2, 3}[i], p.Loads())
	}
	assert.Empty(t, table.Snapshot().Channel("shop/a").Endpoint())
}

func TestRemovedEntriesAreGoneAndAccountsFollow(t *testing.T) {
	table, loader := testkit.Table(t, &testkit.Platform{}, testkit.Entry(t, "shop/a", 1, nil), testkit.Tombstone(t, "shop/old"))
	s := table.Snapshot()
	assert.Same(t, s.Channel("shop/a"), s.Account(testkit.Name, "account-shop/a"))
	assert.Nil(t, s.Account("other", "account-shop/a"))
	assert.NotNil(t, s.Tombstone("shop/old"))
	assert.Nil(t, s.Channel("shop/old"), "a tombstone takes no messages")

	changed := table.Watch()
	testkit.Apply(t, loader)
	<-changed
	assert.Zero(t, table.Snapshot().Len())
	assert.Nil(t, table.Snapshot().Account(testkit.Name, "account-shop/a"))
	assert.NotNil(t, s.Channel("shop/a"), "a snapshot that is in use does not change")
}

func TestADocumentForSomebodyElseChangesNothing(t *testing.T) {
	table, loader := testkit.Table(t, &testkit.Platform{}, testkit.Entry(t, "shop/a", 1, nil))
	doc := testkit.Document(t)
	doc.Kind = document.KindStore
	_, err := loader.Apply(context.Background(), doc)
	assert.ErrorContains(t, err, "is for a store")
	doc = testkit.Document(t)
	doc.Settings = json.RawMessage(`{"storeURL":7}`)
	_, err = loader.Apply(context.Background(), doc)
	assert.ErrorContains(t, err, "settings")
	assert.Equal(t, 1, table.Snapshot().Len())
}

// Whatever sequence of documents comes, each entry runs in its last good
// version, and exactly the bad ones are exceptions.
func TestEntriesAreIndependent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		table, loader := testkit.Loader(&testkit.Platform{})
		want := map[string]string{} // name → hash in force
		for g := range rapid.IntRange(1, 6).Draw(rt, "documents") {
			var entries []document.Entry
			bad, there := 0, map[string]bool{}
			for i := range 4 {
				name := fmt.Sprintf("shop/c%d", i)
				state := rapid.SampledFrom([]string{`{}`, `{"bad":true}`, `{"panic":true}`, "absent"}).Draw(rt, name)
				if state == "absent" {
					continue
				}
				there[name] = true
				e := testkit.Entry(t, name, int64(g+1), config(state))
				entries = append(entries, e)
				if state == `{}` {
					want[name] = e.Hash
				} else {
					bad++
				}
			}
			for name := range want {
				if !there[name] {
					delete(want, name)
				}
			}
			exceptions, err := loader.Apply(context.Background(), testkit.Document(t, entries...))
			require.NoError(rt, err)
			require.Len(rt, exceptions, bad)
			got := map[string]string{}
			for ch := range table.Snapshot().Channels {
				got[ch.Name] = ch.Hash
			}
			require.Equal(rt, want, got)
		}
	})
}

func TestRedactTakesOutSecretsAndBoundsTheText(t *testing.T) {
	table, _ := testkit.Table(t, &testkit.Platform{}, testkit.Entry(t, "shop/a", 1, func(c *document.Channel) {
		c.Credentials["secret"] = "top:secret/value"
	}))
	ch := table.Snapshot().Channel("shop/a")
	got := ch.Redact("POST /bottop:secret%2Fvalue/send for 4915112345: top:secret/value", "4915112345")
	assert.NotContains(t, got, "secret%2Fvalue")
	assert.NotContains(t, got, "top:secret/value")
	assert.NotContains(t, got, "4915112345")
	long := ch.Redact(fmt.Sprintf("%0400d", 0))
	assert.Less(t, len(long), 310)
	assert.Equal(t, "�", ch.Redact("\xff"))
}
