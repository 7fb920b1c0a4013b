package store

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func TestWhomAPayloadMayBeGivenTo(t *testing.T) {
	channel := func(namespace, account, app string) *Channel {
		return &Channel{Name: namespace + "/x", Namespace: namespace, StoreChannel: document.StoreChannel{Account: account, App: app}}
	}
	for name, c := range map[string]struct {
		tr   trust
		ch   *Channel
		want bool
	}{
		"same app":                           {trust{App: "7", Vouched: []string{"a"}}, channel("a", "1", "7"), true},
		"same app, vouched for elsewhere":    {trust{App: "7", Vouched: []string{"b"}}, channel("a", "1", "7"), false},
		"same app, nobody has vouched":       {trust{App: "7"}, channel("a", "1", "7"), false},
		"another app":                        {trust{App: "7", Vouched: []string{"a"}}, channel("a", "1", "8"), false},
		"no app, but the URL is an app's":    {trust{App: "7", Vouched: []string{"a"}}, channel("a", "1", ""), false},
		"an app, but the URL is of none":     {trust{Namespace: "a"}, channel("a", "1", "7"), false},
		"another app of the same namespace":  {trust{App: "7", Namespace: "a"}, channel("a", "1", "8"), false},
		"same namespace":                     {trust{Namespace: "a"}, channel("a", "1", ""), true},
		"another namespace":                  {trust{Namespace: "a"}, channel("b", "1", ""), false},
		"nothing is known (an older entry)":  {trust{}, channel("a", "1", ""), false},
		"refused":                            {trust{App: "7", Vouched: []string{"a"}, Refused: []string{"1"}}, channel("a", "1", "7"), false},
		"refused in the same namespace":      {trust{Namespace: "a", Refused: []string{"1"}}, channel("a", "1", ""), false},
		"refused by another":                 {trust{App: "7", Vouched: []string{"a"}, Refused: []string{"2"}}, channel("a", "1", "7"), true},
		"accepted beyond app and namespace":  {trust{Namespace: "a", Accepted: []string{"1"}}, channel("b", "1", ""), true},
		"accepted and refused is a mistake":  {trust{Accepted: []string{"1"}, Refused: []string{"1"}}, channel("b", "1", ""), false},
		"accepted is somebody else's number": {trust{Accepted: []string{"2"}}, channel("b", "1", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, c.tr.covers(c.ch))
			column, err := c.tr.encode()
			require.NoError(t, err)
			back, err := decodeTrust(column)
			require.NoError(t, err)
			require.Equal(t, c.tr, back)
		})
	}
}

// appStore has two channels of app 7, in two namespaces: evil's own one has a
// secret of its own, so that the bridge trusts what it signs for it alone.
func appStore(t *testing.T) (s *Store, load func(more ...document.Entry)) {
	t.Helper()
	s, _ = rawStore(t)
	load = func(more ...document.Entry) {
		evil := ofApp(t, "evil/page", "6", "7")
		require.Empty(t, s.Load(t.Context(), testDocument(t, append(append(testEntries(t), evil), more...)...)))
	}
	load(ofApp(t, "shop/page", "1", "7"))
	return s, load
}

func ofApp(t *testing.T, name, account, app string) document.Entry {
	return entry(t, document.EntryChannel, name, document.StoreChannel{Platform: "telegram", Account: account, App: app, Bridge: shopBridge})
}

// atApp is a request at the URL of app 7, for an account that the bridge gave it
// to no channel of.
func atApp(t *testing.T, account, id string, refused ...string) wire.Envelope {
	t.Helper()
	ev := text(id, "hello")
	ev.Account = account
	env := envelope("", ev)
	env.App, env.Refused, env.Vouched = "7", refused, []string{"shop"}
	var err error
	env.Raw, err = json.Marshal([]message.Event{ev})
	require.NoError(t, err)
	return env
}

func replayed(t *testing.T, s *Store, q RawQuery) ReplayResult {
	t.Helper()
	got, err := s.Replay(t.Context(), everything, q)
	require.NoError(t, err)
	return got
}

func TestAReplayLeadsIntoNoChannelThatRefusedTheSignature(t *testing.T) {
	s, load := appStore(t)
	require.Equal(t, wire.ResultUnrouted, ingestEnvelope(t, s, atApp(t, "1", "forged", "1"))[0].Result)
	for name, page := range map[string]document.Entry{
		"as it is":                   ofApp(t, "shop/page", "1", "7"),
		"made again by another name": ofApp(t, "shop/anew", "1", "7"),
	} {
		load(page)
		require.Equal(t, ReplayResult{Entries: 1, Unrouted: 1}, replayed(t, s, RawQuery{}), name)
	}
	require.Zero(t, count(t, s, "messages"))
	require.Equal(t, 1, count(t, s, "raw_entries WHERE unrouted = 1"))
}

func TestAReplayLeadsToALaterChannelOfTheSameApp(t *testing.T) {
	s, load := appStore(t)
	require.Equal(t, wire.ResultUnrouted, ingestEnvelope(t, s, atApp(t, "9", "m1"))[0].Result)
	require.Equal(t, ReplayResult{Entries: 1, Unrouted: 1}, replayed(t, s, RawQuery{Unrouted: true}))
	load(ofApp(t, "shop/later", "9", "8"))
	require.Equal(t, ReplayResult{Entries: 1, Unrouted: 1}, replayed(t, s, RawQuery{Unrouted: true}), "the account is of another app")
	load(ofApp(t, "shop/later", "9", "7"))
	require.Equal(t, ReplayResult{Entries: 1, Stored: 1}, replayed(t, s, RawQuery{Unrouted: true}))
	require.Zero(t, count(t, s, "raw_entries WHERE unrouted = 1"))
	require.Equal(t, ReplayResult{Entries: 1, Duplicates: 1}, replayed(t, s, RawQuery{}), "also once it has found its channel")
}

// Whoever makes a Channel of an app that is not theirs, with a secret of their own,
// can sign for accounts that have no Channel yet. Once they have one, it gets
// nothing of that, unless an administrator asks for that entry by name.
func TestAReplayLeadsIntoNoNamespaceThatNobodyVouchedFor(t *testing.T) {
	s, load := appStore(t)
	forged := atApp(t, "9", "forged")
	forged.Vouched = []string{"evil"}
	require.Equal(t, wire.ResultUnrouted, ingestEnvelope(t, s, forged)[0].Result)
	load(ofApp(t, "shop/later", "9", "7"))
	require.Equal(t, ReplayResult{Entries: 1, Unrouted: 1}, replayed(t, s, RawQuery{Unrouted: true}))
	require.Zero(t, count(t, s, "messages"))

	p, err := s.RawEntries(t.Context(), everything, RawQuery{Unrouted: true})
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Entries: 1, Stored: 1}, replayed(t, s, RawQuery{ID: p.Items[0].ID}))
}

// A Bridge vouches for namespaces in which it has channels of the app, whatever
// it says.
func TestABridgeVouchesForItsOwnNamespacesAlone(t *testing.T) {
	s, load := appStore(t)
	theirs := entry(t, document.EntryChannel, "bank/page", document.StoreChannel{Platform: "telegram", Account: "5", App: "7", Bridge: "bank/default"})
	load(ofApp(t, "shop/page", "1", "7"), theirs)
	env := atApp(t, "9", "m1")
	env.Vouched = []string{"bank", "nobody"}
	require.Equal(t, wire.ResultUnrouted, ingestEnvelope(t, s, env)[0].Result)
	load(ofApp(t, "bank/later", "9", "7"))
	require.Equal(t, ReplayResult{Entries: 1, Unrouted: 1}, replayed(t, s, RawQuery{}))
}

// The same bytes, signed by somebody else: what was kept for the one says
// nothing about the other.
func TestTheSamePayloadWithAnotherTrustIsAnotherEntry(t *testing.T) {
	s, load := appStore(t)
	for range 2 {
		ingestEnvelope(t, s, atApp(t, "9", "m1", "1"))
	}
	ingestEnvelope(t, s, atApp(t, "9", "m1", "9", "9", "1"))
	ingestEnvelope(t, s, atApp(t, "9", "m1", "1", "9"))
	require.Equal(t, 2, count(t, s, "raw_entries"))
	load(ofApp(t, "shop/later", "9", "7"))
	require.Equal(t, ReplayResult{Entries: 2, Stored: 1, Unrouted: 1}, replayed(t, s, RawQuery{}))
}

// A channel's own URL vouches for its namespace where a platform has no apps.
func TestAReplayFromAChannelsURLStaysInItsNamespace(t *testing.T) {
	s, _ := rawStore(t)
	theirs, ours := text("m1", "x"), text("m2", "y")
	theirs.Account, ours.Account = "888", "999"
	for _, ev := range []message.Event{theirs, ours} {
		env := envelope(telegram, ev)
		env.Elements[0].Channel = ""
		env.Raw, _ = json.Marshal([]message.Event{ev})
		require.Equal(t, wire.ResultUnrouted, ingestEnvelope(t, s, env)[0].Result)
	}
	require.Empty(t, s.Load(t.Context(), testDocument(t, append(testEntries(t), ofApp(t, "other/new", "888", ""), ofApp(t, "shop/new", "999", ""))...)))
	require.Equal(t, ReplayResult{Entries: 2, Stored: 1, Unrouted: 1}, replayed(t, s, RawQuery{}))
	p, err := s.Messages(t.Context(), everything, MessageQuery{})
	require.NoError(t, err)
	require.Len(t, p.Items, 1)
	require.Equal(t, "new", p.Items[0].Channel)
	require.Equal(t, "shop", p.Items[0].Namespace)
}

// Of an entry from before trust was kept nobody knows who was asked.
func TestAReplayOfAnOlderEntryLeadsToItsChannelOnly(t *testing.T) {
	s, load := appStore(t)
	load()
	arrives(t, s, telegram, text("m1", "x"))
	ingestEnvelope(t, s, atApp(t, "1", "m2"))
	load(ofApp(t, "shop/page", "1", "7"))
	_, err := s.sweepOf(t, `UPDATE raw_entries SET trust = ''`)
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Entries: 2, Duplicates: 1, Unrouted: 1}, replayed(t, s, RawQuery{Since: testTime.Add(-time.Hour)}))
}
