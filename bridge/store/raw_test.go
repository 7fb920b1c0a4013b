package store

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// parseJSON is a platform whose payload is a list of events; those without an
// account are for the channel's.
func parseJSON(account string, body []byte) (events []message.Event, err error) {
	if err := json.Unmarshal(body, &events); err != nil {
		return nil, err
	}
	for i := range events {
		if events[i].Account == "" {
			events[i].Account = account
		}
	}
	return events, nil
}

func rawStore(t *testing.T) (*Store, *clock) {
	t.Helper()
	c := &clock{now: testTime}
	s := openTestStore(t, Options{Dir: t.TempDir(), Now: c.Now, Parsers: map[string]Parser{"telegram": parseJSON}})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	return s, c
}

// arrives hands in events as a webhook with a payload that parses to them.
func arrives(t *testing.T, s *Store, channel string, events ...message.Event) []wire.ElementResult {
	t.Helper()
	env := envelope(channel, events...)
	var err error
	env.Raw, err = json.Marshal(events)
	require.NoError(t, err)
	return ingestEnvelope(t, s, env)
}

func TestRawEntries(t *testing.T) {
	s, c := rawStore(t)
	arrives(t, s, telegram, text("m1", "x"))
	c.advance(time.Minute)
	arrives(t, s, whatsapp, text("m2", "y"))
	arrives(t, s, "", text("m3", "nobody's"))

	list := func(scope Scope, q RawQuery) (ids []string) {
		p, err := s.RawEntries(t.Context(), scope, q)
		require.NoError(t, err)
		for _, e := range p.Items {
			require.Nil(t, e.Payload, "lists come without payload")
			require.Positive(t, e.Size)
			ids = append(ids, e.ID)
		}
		return ids
	}
	shop := Scope{Namespaces: []string{"shop"}}
	everyID := list(everything, RawQuery{})
	require.Len(t, everyID, 3)
	require.Equal(t, everyID[:2], list(shop, RawQuery{}), "what belongs to no namespace is for administrators")
	require.Empty(t, list(Scope{Namespaces: []string{"other"}}, RawQuery{}))
	require.Equal(t, everyID[1:2], list(shop, RawQuery{Channel: whatsapp}))
	require.Equal(t, everyID[2:], list(everything, RawQuery{Unrouted: true}))
	require.Equal(t, everyID[:1], list(everything, RawQuery{PageQuery: PageQuery{Limit: 1}}))

	p, err := s.RawEntries(t.Context(), shop, RawQuery{ID: everyID[0]})
	require.NoError(t, err)
	require.Equal(t, "telegram", p.Items[0].Channel)
	var events []message.Event
	require.NoError(t, json.Unmarshal(p.Items[0].Payload, &events))
	_, err = s.RawEntries(t.Context(), shop, RawQuery{Channel: foreign})
	require.ErrorIs(t, err, ErrNotFound)
}

func TestReplayStoresWhatIsMissing(t *testing.T) {
	s, load := appStore(t)
	unknown := text("m2", "for an account that nobody has yet")
	unknown.Account = "999"
	env := envelope("", text("m1", "known"), unknown)
	env.Elements[0].Channel, env.Elements[1].Channel = telegram, ""
	env.Elements[0].Event.Account = "100"
	env.App, env.Vouched = "7", []string{"shop"}
	env.Raw, _ = json.Marshal([]message.Event{env.Elements[0].Event, unknown})
	r := ingestEnvelope(t, s, env)
	require.Equal(t, wire.ResultUnrouted, r[1].Result)

	got, err := s.Replay(t.Context(), everything, RawQuery{})
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Entries: 1, Duplicates: 1, Unrouted: 1}, got)

	load(ofApp(t, "shop/new", "999", "7"))
	got, err = s.Replay(t.Context(), everything, RawQuery{Unrouted: true})
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Entries: 1, Duplicates: 1, Stored: 1}, got)
	p, err := s.Messages(t.Context(), everything, MessageQuery{Channel: "shop/new"})
	require.NoError(t, err)
	require.Len(t, p.Items, 1)

	got, err = s.Replay(t.Context(), everything, RawQuery{})
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Entries: 1, Duplicates: 2}, got, "as often as one likes")
	require.Equal(t, 1, count(t, s, "raw_entries"), "a replay is not journalled again")
	p2, err := s.RawEntries(t.Context(), everything, RawQuery{Unrouted: true})
	require.NoError(t, err)
	require.Empty(t, p2.Items, "it has found its channels")
}

func TestReplayStaysWithinTheScope(t *testing.T) {
	s, _ := rawStore(t)
	theirs := text("m1", "x")
	theirs.Account = "300" // another namespace's account, on our URL
	r := arrives(t, s, telegram, theirs)
	require.Equal(t, wire.ResultStored, r[0].Result)
	got, err := s.Replay(t.Context(), Scope{Namespaces: []string{"shop"}}, RawQuery{})
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Entries: 1, Unrouted: 1}, got)
	p, err := s.Messages(t.Context(), everything, MessageQuery{Channel: foreign})
	require.NoError(t, err)
	require.Empty(t, p.Items)
}

func TestReplayOfBadPayloads(t *testing.T) {
	s, _ := rawStore(t)
	env := envelope(telegram, text("m1", "x"))
	env.Raw = []byte("not JSON")
	ingestEnvelope(t, s, env)
	env.Platform = "unheard-of"
	ingestEnvelope(t, s, env)
	got, err := s.Replay(t.Context(), everything, RawQuery{})
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Entries: 2, Invalid: 2}, got)
}

func TestReplayBringsBackNothingThatRetentionRemoved(t *testing.T) {
	s, c := rawStore(t)
	doc := testDocument(t, testEntries(t)...)
	doc.Settings = []byte(`{"retention":{"messages":"24h","raw":"168h"},"reopenWindow":"1h"}`)
	require.Empty(t, s.Load(t.Context(), doc))
	arrives(t, s, telegram, text("m1", "x"))
	c.advance(25 * time.Hour)
	w := sweeper{s: s}
	require.NoError(t, w.sweep(t.Context()))
	require.Zero(t, count(t, s, "messages"))
	got, err := s.Replay(t.Context(), everything, RawQuery{})
	require.NoError(t, err)
	require.Zero(t, got)
}

func TestReplayGoesOverAllPages(t *testing.T) {
	s, _ := rawStore(t)
	for i := range replayPage*2 + 1 {
		arrives(t, s, telegram, text(numbered("m", i), "x"))
	}
	got, err := s.Replay(t.Context(), everything, RawQuery{})
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Entries: replayPage*2 + 1, Duplicates: replayPage*2 + 1}, got)
}

func TestPayloadWithoutKnownElementsIsKept(t *testing.T) {
	s, _ := rawStore(t)
	env := envelope("")
	ingestEnvelope(t, s, env)
	require.Equal(t, 1, count(t, s, "raw_entries"), "a better parser may find something in it")
}

// What is refused comes again for a day: the journal keeps it once.
func TestWhatIsRefusedAgainAndAgainIsJournaledOnce(t *testing.T) {
	s, clock := testStore(t)
	entries := func() []RawEntry {
		p, err := s.RawEntries(t.Context(), everything, RawQuery{})
		require.NoError(t, err)
		return p.Items
	}
	unknown := envelope("shop/later", text("m1", "hello"))
	for range 3 {
		require.Equal(t, wire.ResultUnrouted, ingestEnvelope(t, s, unknown)[0].Result)
		clock.advance(time.Minute)
	}
	require.Len(t, entries(), 1)
	mixed := envelope(telegram, text("m1", "hello"))
	mixed.Raw = []byte(`{"of":"two"}`)
	mixed.Elements = append(mixed.Elements, wire.Element{Channel: foreign, Event: text("m2", "hello")})
	for range 3 {
		ingestEnvelope(t, s, mixed)
	}
	require.Len(t, entries(), 2)

	other := unknown
	other.Raw = []byte(`{"another":true}`)
	ingestEnvelope(t, s, other)
	other.Channel = "shop/another"
	ingestEnvelope(t, s, other)
	require.Len(t, entries(), 4, "another payload, or another URL, is another entry")

	_, err := s.sweepOf(t, `DELETE FROM raw_entries`)
	require.NoError(t, err)
	for range 2 {
		ingestEnvelope(t, s, unknown)
	}
	require.Len(t, entries(), 1, "what retention has removed is kept anew, once")
}

func (s *Store) sweepOf(t *testing.T, query string) (n int64, err error) {
	err = s.write(t.Context(), 1, func(tx *txn) (err error) {
		n, err = tx.exec(query)
		return err
	})
	return n, err
}
