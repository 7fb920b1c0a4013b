package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	platforms "github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Telegram's payloads do not say whose they are: only the channel that they
// came in on leads a replay to where they belong.
func TestReplayFindsTheChannelThatThePayloadCameInOn(t *testing.T) {
	c := &clock{now: testTime}
	parse := platforms.Parsers()["telegram"]
	s := openTestStore(t, Options{Dir: t.TempDir(), Now: c.Now, Parsers: map[string]Parser{"telegram": parse}})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	const name = "shop/new"
	env := wire.Envelope{Platform: "telegram", Channel: name, ReceivedAt: testTime, Transport: "webhook", Raw: []byte(
		`{"update_id":1,"message":{"message_id":5,"date":1795341600,"chat":{"id":77,"type":"private","first_name":"Ana"},"from":{"id":77,"is_bot":false,"first_name":"Ana"},"text":"is anybody there?"}}`)}
	events, err := parse("999", env.Raw)
	require.NoError(t, err)
	for _, ev := range events {
		env.Elements = append(env.Elements, wire.Element{Channel: name, Event: ev})
	}
	require.Equal(t, wire.ResultUnrouted, ingestEnvelope(t, s, env)[0].Result)
	p, err := s.RawEntries(t.Context(), Scope{Namespaces: []string{"shop"}}, RawQuery{})
	require.NoError(t, err)
	require.Empty(t, p.Items, "nobody has vouched for the namespace of a channel that is not in force")

	load := func(platform string) {
		fresh := entry(t, document.EntryChannel, name, document.StoreChannel{Platform: platform, Account: "999", Bridge: shopBridge})
		require.Empty(t, s.Load(t.Context(), testDocument(t, append(testEntries(t), fresh)...)))
	}
	load("whatsapp")
	got, err := s.Replay(t.Context(), everything, RawQuery{Unrouted: true})
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Entries: 1, Unrouted: 1}, got, "a channel of that name, on another platform")
	load("telegram")
	got, err = s.Replay(t.Context(), everything, RawQuery{Unrouted: true})
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Entries: 1, Stored: 1}, got)
	list, err := s.Messages(t.Context(), everything, MessageQuery{Channel: name})
	require.NoError(t, err)
	require.Equal(t, "is anybody there?", list.Items[0].Text)
	require.Zero(t, count(t, s, "raw_entries WHERE unrouted = 1"))
	require.Equal(t, 1, count(t, s, "raw_entries WHERE namespace = 'shop'"), "now it is somebody's")
}

func TestWhatIsRefusedIsNotJournalledWithEveryRetry(t *testing.T) {
	s, _ := rawStore(t)
	env := envelope(foreign, text("m1", "x"))
	env.Channel = telegram // our URL, another Bridge's account
	for range 3 {
		require.Equal(t, wire.ResultForbidden, ingestEnvelope(t, s, env)[0].Result)
	}
	require.Zero(t, count(t, s, "raw_entries"))
	env.Elements = append(env.Elements, wire.Element{Channel: telegram, Event: text("m2", "y")})
	ingestEnvelope(t, s, env)
	require.Equal(t, 1, count(t, s, "raw_entries"), "some of it is ours")
}

func TestAnEnvelopeWithoutElementsSaysWhyItWasRefused(t *testing.T) {
	s, _ := testStore(t)
	require.NoError(t, s.write(t.Context(), 1, func(tx *txn) error {
		_, err := tx.exec(`UPDATE assignments SET token = 7 WHERE channel = ?`, telegram)
		if err == nil {
			_, err = tx.exec(`INSERT INTO assignments (channel, token) VALUES (?, 7) ON CONFLICT DO NOTHING`, telegram)
		}
		return err
	}))
	result := func(channel string, fence *wire.Fence, events ...message.Event) wire.Result {
		env := envelope(channel, events...)
		env.Fence = fence
		resp, err := s.Ingest(t.Context(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{env}})
		require.NoError(t, err)
		return resp.Envelopes[0].Result
	}
	require.Equal(t, wire.ResultStale, result(telegram, &wire.Fence{Token: 6}))
	require.Equal(t, wire.ResultForbidden, result(foreign, &wire.Fence{Token: 7}))
	require.Equal(t, wire.ResultForbidden, result("shop/unknown", &wire.Fence{Token: 7}))
	require.Equal(t, wire.ResultForbidden, result(foreign, nil))
	require.Empty(t, result(telegram, &wire.Fence{Token: 7}))
	require.Empty(t, result(telegram, nil, text("m1", "x")))
}
