package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

func TestRetention(t *testing.T) {
	s, c := testStore(t)
	doc := testDocument(t, testEntries(t)...)
	doc.Settings = []byte(`{"retention":{"messages":"240h","raw":"24h","events":"48h"},"reopenWindow":"1h"}`)
	require.Empty(t, s.Load(t.Context(), doc))
	w := sweeper{s: s}

	old := getMessage(t, s, stored(t, s, telegram, text("m1", "old")))
	ingest(t, s, telegram, editOf("m1", "u1", "old, edited", testTime), reactionTo("m1", "r1", "c1", "👍", message.ReactionAdd))
	_, cursor := eventsAfter(t, s, 0)

	c.advance(25 * time.Hour)
	require.NoError(t, w.sweep(t.Context()))
	require.Zero(t, count(t, s, "raw_entries"))
	require.NotZero(t, count(t, s, "events"))

	c.advance(24 * time.Hour)
	fresh := getMessage(t, s, stored(t, s, telegram, textFrom("c2", "m2", "fresh")))
	require.NoError(t, w.sweep(t.Context()))
	_, _, err := s.Events(t.Context(), everything, 0, 10)
	require.ErrorIs(t, err, ErrGone)
	_, _, err = s.Events(t.Context(), everything, cursor-1, 10)
	require.ErrorIs(t, err, ErrGone)
	events, _ := eventsAfter(t, s, cursor)
	require.Len(t, events, 3, "those of the fresh message")

	c.advance(192 * time.Hour)
	require.NoError(t, w.sweep(t.Context()))
	_, err = s.Message(t.Context(), everything, old.ID)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.Conversation(t.Context(), everything, old.Conversation)
	require.ErrorIs(t, err, ErrNotFound, "an empty old conversation goes with its messages")
	require.Equal(t, "fresh", getMessage(t, s, fresh.ID).Text)
	require.Equal(t, 1, count(t, s, "external_ids"))
	for _, table := range []string{"message_versions", "reactions"} {
		require.Zero(t, count(t, s, table), table)
	}
	require.Equal(t, 2, count(t, s, "contacts"), "contacts stay")
	again := conversationOf(t, s, text("m3", "back after a year"))
	require.Empty(t, again.FollowUpOf)
	require.Equal(t, old.Contact.ID, again.Contact.ID)
}

func TestZeroRetentionKeepsForEver(t *testing.T) {
	s, c := testStore(t)
	doc := testDocument(t, testEntries(t)...)
	doc.Settings = []byte(`{"retention":{},"reopenWindow":"1h"}`)
	require.Empty(t, s.Load(t.Context(), doc))
	id := stored(t, s, telegram, text("m1", "x"))
	c.advance(20 * 365 * 24 * time.Hour)
	w := sweeper{s: s}
	require.NoError(t, w.sweep(t.Context()))
	getMessage(t, s, id)
	require.Equal(t, 1, count(t, s, "raw_entries"))
	_, _, err := s.Events(t.Context(), everything, 0, 10)
	require.NoError(t, err)
}

func TestRetentionWorksInBatches(t *testing.T) {
	s, c := testStore(t)
	doc := testDocument(t, testEntries(t)...)
	doc.Settings = []byte(`{"retention":{"messages":"1h","raw":"1h","events":"1h"},"reopenWindow":"1h"}`)
	require.Empty(t, s.Load(t.Context(), doc))
	var events []message.Event
	for i := range 2*sweepBatch + 10 {
		events = append(events, text(numbered("m", i), "x"))
	}
	ingest(t, s, telegram, events...)
	c.advance(2 * time.Hour)
	stored(t, s, telegram, text("fresh", "x"))
	w := sweeper{s: s}
	require.NoError(t, w.sweep(t.Context()))
	require.Equal(t, 1, count(t, s, "messages"))
	require.Equal(t, 1, count(t, s, "external_ids"))
	require.Equal(t, 1, count(t, s, "conversations"), "one with messages stays")
	require.Equal(t, 1, count(t, s, "events"))
}
