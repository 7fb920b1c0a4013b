package store

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func rawEntry(t *testing.T, kind document.EntryKind, name, spec string) document.Entry {
	t.Helper()
	e := entry(t, kind, name, struct{}{})
	e.Spec, e.Hash, e.Generation = []byte(spec), "hash-of-"+spec, 2
	return e
}

func TestBadEntryKeepsItsLastGoodVersion(t *testing.T) {
	s, _ := testStore(t)
	good := testEntries(t)
	for name, tc := range map[string]struct{ spec, field string }{
		"not JSON":    {`{`, ""},
		"empty":       {``, ""},
		"wrong type":  {`{"platform":7,"account":"100","bridge":"shop/default"}`, "platform"},
		"no platform": {`{"account":"100","bridge":"shop/default"}`, "platform"},
		"no account":  {`{"platform":"telegram","bridge":"shop/default"}`, "account"},
		"no bridge":   {`{"platform":"telegram","account":"100"}`, "bridgeRef"},
		"bad window":  {`{"platform":"telegram","account":"100","bridge":"shop/default","reopenWindow":"-1h"}`, "reopenWindow"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := rawEntry(t, document.EntryChannel, telegram, tc.spec)
			entries := append([]document.Entry{bad}, good[3:]...)
			exceptions := s.Load(t.Context(), testDocument(t, append(entries, good[:2]...)...))
			require.Len(t, exceptions, 1)
			x := exceptions[0]
			require.Equal(t, "Channel/"+telegram, x.Entry)
			require.Equal(t, bad.Hash, x.Hash)
			require.EqualValues(t, 2, x.Generation)
			require.Equal(t, good[2].Hash, x.RunningHash)
			require.Equal(t, tc.field, x.Field)
			require.NotEmpty(t, x.Message)
			require.Equal(t, wire.ResultStored, ingest(t, s, telegram, text("m-"+name, "x"))[0].Result)
			require.False(t, s.state.Load().gone(telegram), "bad is not gone")
		})
	}
}

func TestBadEntryWithoutAGoodOneIsOff(t *testing.T) {
	s := openTestStore(t, Options{Dir: t.TempDir()})
	entries := append(testEntries(t)[:2], rawEntry(t, document.EntryChannel, telegram, `{}`), testEntries(t)[3])
	exceptions := s.Load(t.Context(), testDocument(t, entries...))
	require.Len(t, exceptions, 1)
	require.Empty(t, exceptions[0].RunningHash)
	require.Equal(t, wire.ResultUnrouted, ingest(t, s, telegram, text("m1", "x"))[0].Result)
	require.Equal(t, wire.ResultStored, ingest(t, s, whatsapp, text("m1", "x"))[0].Result)
	require.False(t, s.state.Load().gone(telegram))
}

// An entry whose content does not match its hash is not read at all, but it is
// there: what runs of it goes on, and nothing that waits to be sent is canceled.
func TestDamagedEntriesKeepTheirLastGoodVersion(t *testing.T) {
	options := Options{Dir: t.TempDir(), Capabilities: map[string]platform.Capabilities{"telegram": testCaps}}
	s := openTestStore(t, options)
	good := append(testEntries(t), tokenEntry(t, "shop/default/desk", "desk-token", "shop"))
	require.Empty(t, s.Load(t.Context(), testDocument(t, good...)))
	conversation := getMessage(t, s, stored(t, s, telegram, text("m1", "x"))).Conversation
	reply, err := s.Send(t.Context(), everything, conversation, SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "reply"})
	require.NoError(t, err)
	queued := func(s *Store) {
		t.Helper()
		require.NoError(t, s.cancelGone(t.Context()))
		require.Equal(t, message.StatusQueued, getMessage(t, s, reply.ID).Status)
	}
	damaged := func() *document.Document {
		doc := testDocument(t, testEntries(t)[3])
		for i, key := range []int{0, 2, 5} {
			e := good[key]
			doc.Damaged = append(doc.Damaged, document.Exception{Entry: e.Key(), Generation: 2, Hash: numbered("damaged", i)})
		}
		return doc
	}

	doc := damaged()
	require.Empty(t, s.Load(t.Context(), doc), "they are in doc.Damaged")
	for i, key := range []int{0, 2, 5} {
		require.Equal(t, good[key].Hash, doc.Damaged[i].RunningHash, good[key].Key())
	}
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, text("m2", "x"))[0].Result)
	_, _, err = s.Token(t.Context(), "desk-token", testTime)
	require.NoError(t, err)
	queued(s)

	require.NoError(t, s.Close()) // the last good version goes with the process
	s = openTestStore(t, options)
	doc = damaged()
	require.Empty(t, s.Load(t.Context(), doc))
	require.Empty(t, doc.Damaged[1].RunningHash)
	require.Nil(t, s.state.Load().channel(telegram))
	queued(s)
}

func TestBadSettingsKeepTheLastGoodOnes(t *testing.T) {
	s, _ := testStore(t)
	doc := testDocument(t, testEntries(t)...)
	doc.Settings = []byte(`{"reopenWindow":"tomorrow"}`)
	x := s.Load(t.Context(), doc)
	require.Len(t, x, 1)
	require.Equal(t, "ConversationStore/shop/default", x[0].Entry)
	require.Contains(t, x[0].Message, "tomorrow")
	require.Equal(t, testSettings, s.state.Load().settings)
}

func TestUnknownEntriesAreLeftAlone(t *testing.T) {
	s, _ := testStore(t)
	entries := append(testEntries(t), rawEntry(t, "Novelty", "shop/default", `{"anything":true}`))
	require.Empty(t, s.Load(t.Context(), testDocument(t, entries...)))
}

func TestDocumentOfABridgeIsRefused(t *testing.T) {
	s, _ := testStore(t)
	doc := testDocument(t)
	doc.Kind = document.KindBridge
	require.Len(t, s.Load(t.Context(), doc), 1)
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, text("m1", "x"))[0].Result, "the one before is in force")
}

func TestGone(t *testing.T) {
	s, _ := testStore(t)
	conversation := conversationOf(t, s, text("m1", "x")).ID
	st := newState()
	require.False(t, st.gone(telegram), "before the first document nothing is known to be gone")

	deleting := entry(t, document.EntryChannel, telegram, document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge, Deleting: true})
	require.Empty(t, s.Load(t.Context(), testDocument(t, append(testEntries(t)[:2], deleting)...)))
	require.True(t, s.state.Load().gone(telegram), "is being deleted")
	require.True(t, s.state.Load().gone(whatsapp), "is not there any more")
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, text("m2", "last words"))[0].Result)

	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)[:2]...)))
	getConversation(t, s, conversation) // is never deleted with its channel
}

func TestAccountClaimedTwiceGoesToTheFirstName(t *testing.T) {
	s, _ := testStore(t)
	entries := append([]document.Entry{entry(t, document.EntryChannel, "shop/zz", document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge})}, testEntries(t)...)
	require.Empty(t, s.Load(t.Context(), testDocument(t, entries...)))
	require.Equal(t, telegram, s.state.Load().accounts[account{"telegram", "100"}].Name)
}

func TestTokens(t *testing.T) {
	s, _ := testStore(t)
	until := testTime.Add(time.Hour)
	sum := func(v string) string { h := sha256.Sum256([]byte(v)); return hex.EncodeToString(h[:]) }
	rotated := entry(t, document.EntryToken, "shop/default/rotated", document.Token{
		Hashes: []document.TokenHash{{SHA256: sum("new")}, {SHA256: sum("old"), Until: &until}}, Namespaces: []string{"*"}, Access: document.AccessAdmin})
	require.Empty(t, s.Load(t.Context(), testDocument(t, append(testEntries(t), tokenEntry(t, "shop/default/desk", "desk-token", "shop"), rotated)...)))

	tok, name, err := s.Token(t.Context(), "desk-token", testTime)
	require.NoError(t, err)
	require.Equal(t, "shop/default/desk", name)
	require.Equal(t, []string{"shop"}, tok.Namespaces)
	for value, at := range map[string]time.Time{"new": until.Add(time.Hour), "old": until.Add(-time.Second)} {
		_, name, err = s.Token(t.Context(), value, at)
		require.NoError(t, err, value)
		require.Equal(t, "shop/default/rotated", name)
	}
	for value, at := range map[string]time.Time{"old": until, "": testTime, "unknown": testTime} {
		_, _, err = s.Token(t.Context(), value, at)
		require.ErrorIs(t, err, ErrNotFound, value)
	}

	bad := rawEntry(t, document.EntryToken, "shop/default/desk", `{"hashes":[{"sha256":"abc"}],"access":"read"}`)
	x := s.Load(t.Context(), testDocument(t, append(testEntries(t), bad)...))
	require.Len(t, x, 1)
	require.Equal(t, "hashes[0].sha256", x[0].Field)
	_, _, err = s.Token(t.Context(), "desk-token", testTime)
	require.NoError(t, err, "the last good version is in force")
}

func TestLoadedChannelsAreRoutedAtOnce(t *testing.T) {
	s, _ := testStore(t)
	fresh := entry(t, document.EntryChannel, "shop/new", document.StoreChannel{Platform: "telegram", Account: "999", Bridge: shopBridge})
	require.Equal(t, wire.ResultUnrouted, ingest(t, s, "shop/new", text("m1", "x"))[0].Result)
	require.Empty(t, s.Load(t.Context(), testDocument(t, append(testEntries(t), fresh)...)))
	require.Equal(t, message.StatusReceived, getMessage(t, s, stored(t, s, "shop/new", text("m1", "x"))).Status)
}

func TestReopenWindowBeforeTheFirstDocument(t *testing.T) {
	require.Equal(t, document.Duration(24*time.Hour), newState().settings.ReopenWindow)
}
