package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	shopBridge  = "shop/default"
	otherBridge = "other/default"
	telegram    = "shop/telegram"
	whatsapp    = "shop/whatsapp"
	foreign     = "other/telegram" // of otherBridge
)

// all rights, as an administrator's token has them
var everything = Scope{All: true, Caller: "test"}

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var testTime = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// testStore opens a store in a folder of its own with the usual document.
func testStore(t testing.TB) (*Store, *clock) {
	t.Helper()
	c := &clock{now: testTime}
	s := openTestStore(t, Options{Dir: t.TempDir(), Now: c.Now})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	return s, c
}

// oneWriter opens a store in which everything waits for one transaction.
func oneWriter(t testing.TB) *Store {
	t.Helper()
	c := &clock{now: testTime}
	s := openTestStore(t, Options{Dir: t.TempDir(), Now: c.Now, writers: 1})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	return s
}

func openTestStore(t testing.TB, opts Options) *Store {
	t.Helper()
	s, err := open(t, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func testEntries(t testing.TB) []document.Entry {
	t.Helper()
	return []document.Entry{
		entry(t, document.EntryBridge, shopBridge, document.StoreBridge{Identity: "spiffe://bridgekeeper/bridge/shop/default"}),
		entry(t, document.EntryBridge, otherBridge, document.StoreBridge{Identity: "spiffe://bridgekeeper/bridge/other/default"}),
		entry(t, document.EntryChannel, telegram, document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge}),
		entry(t, document.EntryChannel, whatsapp, document.StoreChannel{Platform: "whatsapp", Account: "200", Bridge: shopBridge}),
		entry(t, document.EntryChannel, foreign, document.StoreChannel{Platform: "telegram", Account: "300", Bridge: otherBridge}),
	}
}

func entry(t testing.TB, kind document.EntryKind, name string, spec any) document.Entry {
	t.Helper()
	e, err := document.NewEntry(kind, name, 1, spec)
	require.NoError(t, err)
	return e
}

// testSettings are the settings of testDocument.
var testSettings = document.StoreSettings{
	ReopenWindow: document.Duration(24 * time.Hour),
	Retention:    document.Retention{Raw: document.Duration(7 * 24 * time.Hour)},
}

func testDocument(t testing.TB, entries ...document.Entry) *document.Document {
	t.Helper()
	settings, err := json.Marshal(testSettings)
	require.NoError(t, err)
	return &document.Document{Kind: document.KindStore, Name: "shop/default", Generation: 1, Settings: settings, Entries: entries}
}

func tokenEntry(t testing.TB, name, value string, namespaces ...string) document.Entry {
	t.Helper()
	sum := sha256.Sum256([]byte(value))
	return entry(t, document.EntryToken, name, document.Token{
		Hashes: []document.TokenHash{{SHA256: hex.EncodeToString(sum[:])}}, Namespaces: namespaces, Access: document.AccessRead,
	})
}

// text is an inbound text of contact "c1".
func text(id, body string) message.Event {
	return textFrom("c1", id, body)
}

func textFrom(contact, id, body string) message.Event {
	return message.Event{Message: &message.Message{
		Direction: message.Inbound, ExternalID: id, Type: message.TypeText, Text: body, Timestamp: testTime,
		Contact: &message.Contact{ExternalID: contact, DisplayName: "Ana"},
	}}
}

// envelope is one webhook request on a channel.
func envelope(channel string, events ...message.Event) wire.Envelope {
	env := wire.Envelope{Platform: "telegram", Channel: channel, ReceivedAt: testTime, Transport: "webhook", Raw: []byte(`{"raw":true}`)}
	for _, ev := range events {
		env.Elements = append(env.Elements, wire.Element{Channel: channel, Event: ev})
	}
	return env
}

// ingest hands events in as the Bridge of the shop and returns their results.
func ingest(t testing.TB, s *Store, channel string, events ...message.Event) []wire.ElementResult {
	t.Helper()
	return ingestEnvelope(t, s, envelope(channel, events...))
}

func ingestEnvelope(t testing.TB, s *Store, env wire.Envelope) []wire.ElementResult {
	t.Helper()
	resp, err := s.Ingest(context.WithoutCancel(t.Context()), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{env}})
	require.NoError(t, err)
	require.Len(t, resp.Envelopes, 1)
	require.Len(t, resp.Envelopes[0].Elements, len(env.Elements))
	return resp.Envelopes[0].Elements
}

// stored hands in one event that must be new and returns the message's id.
func stored(t testing.TB, s *Store, channel string, ev message.Event) string {
	t.Helper()
	r := ingest(t, s, channel, ev)[0]
	require.Equal(t, wire.ResultStored, r.Result, r.Message)
	return r.ID
}

func getMessage(t testing.TB, s *Store, id string) message.Message {
	t.Helper()
	m, err := s.Message(t.Context(), everything, id)
	require.NoError(t, err)
	return m
}

func getConversation(t testing.TB, s *Store, id string) Conversation {
	t.Helper()
	v, err := s.Conversation(t.Context(), everything, id)
	require.NoError(t, err)
	return v
}

// eventsAfter reads the whole log after a cursor, as "type id" without joins.
func eventsAfter(t testing.TB, s *Store, cursor int64) (list []Event, next int64) {
	t.Helper()
	for next = cursor; ; {
		page, n, err := s.Events(t.Context(), everything, next, 0)
		require.NoError(t, err)
		if n == next {
			return list, next
		}
		list, next = append(list, page...), n
	}
}

func eventTypes(list []Event) []EventType {
	types := make([]EventType, len(list))
	for i, e := range list {
		types[i] = e.Type
	}
	return types
}

// count counts rows.
func count(t testing.TB, s *Store, table string) int {
	t.Helper()
	var n int
	_, err := one(t.Context(), s.read, []any{&n}, `SELECT COUNT(*) FROM `+table)
	require.NoError(t, err)
	return n
}

func numbered(prefix string, i int) string { return fmt.Sprintf("%s-%d", prefix, i) }
