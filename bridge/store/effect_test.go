package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func editOf(target, id, body string, at time.Time) message.Event {
	ev := text(id, body)
	ev.Message.Type, ev.Message.Target, ev.Message.Timestamp = message.TypeEdit, target, at
	return ev
}

func deletionOf(target, id string) message.Event {
	return message.Event{Message: &message.Message{ExternalID: id, Type: message.TypeDeletion, Target: target, Timestamp: testTime}}
}

func reactionTo(target, id, contact, emoji string, action message.ReactionAction) message.Event {
	ev := textFrom(contact, id, "")
	ev.Message.Type, ev.Message.Reaction = message.TypeReaction, &message.Reaction{Emoji: emoji, Action: action, Target: target}
	return ev
}

func versions(t *testing.T, s *Store, id string) []string {
	t.Helper()
	list, err := all(t.Context(), s.read, scanText, `SELECT text FROM message_versions WHERE message = ? ORDER BY version`, id)
	require.NoError(t, err)
	return list
}

func TestEditKeepsWhatWasSaidBefore(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, text("m1", "one"))
	_, cursor := eventsAfter(t, s, 0)
	at := testTime.Add(time.Minute)
	r := ingest(t, s, telegram, editOf("m1", "u2", "two", testTime.Add(time.Second)), editOf("m1", "u3", "three", at))
	require.Equal(t, wire.ElementResult{Result: wire.ResultStored}, r[0])
	m := getMessage(t, s, id)
	require.Equal(t, "three", m.Text)
	require.Equal(t, at, *m.EditedAt)
	require.Equal(t, []string{"one", "two"}, versions(t, s, id))
	events, _ := eventsAfter(t, s, cursor)
	require.Equal(t, []EventType{EventMessageUpdated, EventMessageUpdated}, eventTypes(events))
	require.Equal(t, id, events[0].MessageID)

	require.Equal(t, wire.ResultDuplicate, ingest(t, s, telegram, editOf("m1", "u3", "three", at))[0].Result)
	ingest(t, s, telegram, editOf("m1", "u2b", "came late", testTime.Add(2*time.Second)))
	require.Equal(t, "three", getMessage(t, s, id).Text, "an older edit does not overrule a newer one")
	require.Contains(t, versions(t, s, id), "came late")
	require.Equal(t, 1, count(t, s, "messages"), "edits are not messages")
}

func TestDeletionRemovesContentAndAllVersions(t *testing.T) {
	s, _ := testStore(t)
	ev := text("m1", "secret")
	ev.Message.Attachments = []message.Attachment{{Kind: message.TypeImage, Ref: "file1"}}
	id := stored(t, s, telegram, ev)
	ingest(t, s, telegram, editOf("m1", "u2", "still secret", testTime), reactionTo("m1", "r1", "c1", "👍", message.ReactionAdd), deletionOf("m1", "u3"))
	m := getMessage(t, s, id)
	require.Empty(t, m.Text)
	require.Empty(t, m.Attachments)
	require.Empty(t, m.Reactions)
	require.NotNil(t, m.DeletedAt)
	for _, table := range []string{"message_versions", "reactions", "message_media", "media"} {
		require.Zero(t, count(t, s, table), table)
	}
	ingest(t, s, telegram, editOf("m1", "u4", "came after", testTime.Add(time.Hour)))
	require.Empty(t, getMessage(t, s, id).Text, "a deleted message stays deleted")
}

func TestReactionsStandOncePerActor(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, text("m1", "x"))
	emojis := func() (list []string) {
		for _, r := range getMessage(t, s, id).Reactions {
			list = append(list, r.Emoji)
		}
		return list
	}
	ingest(t, s, telegram, reactionTo("m1", "r1", "c1", "👍", message.ReactionAdd), reactionTo("m1", "r2", "c2", "❤", message.ReactionAdd))
	require.ElementsMatch(t, []string{"👍", "❤"}, emojis())
	ingest(t, s, telegram, reactionTo("m1", "r3", "c1", "🔥", message.ReactionAdd), reactionTo("m1", "r4", "c1", "👍", message.ReactionRemove))
	require.ElementsMatch(t, []string{"🔥", "❤"}, emojis(), "the new one replaced the old one before that was taken off")
	ingest(t, s, telegram, reactionTo("m1", "r5", "c1", "🔥", message.ReactionRemove), reactionTo("m1", "r6", "c2", "", message.ReactionRemove))
	require.Empty(t, emojis())
}

func TestEffectsWaitForTheirMessage(t *testing.T) {
	s, _ := testStore(t)
	r := ingest(t, s, telegram,
		editOf("m1", "u3", "third", testTime.Add(3*time.Second)),
		editOf("m1", "u2", "second", testTime.Add(2*time.Second)),
		reactionTo("m1", "r1", "c1", "👍", message.ReactionAdd))
	for _, e := range r {
		require.Equal(t, wire.ResultParked, e.Result)
	}
	require.Zero(t, count(t, s, "conversations"), "an effect opens nothing")
	require.Equal(t, wire.ResultDuplicate, ingest(t, s, telegram, editOf("m1", "u3", "third", testTime.Add(3*time.Second)))[0].Result)

	m := getMessage(t, s, stored(t, s, telegram, text("m1", "first")))
	require.Equal(t, "third", m.Text, "in the order of their time")
	require.Equal(t, []message.Reaction{{Emoji: "👍"}}, m.Reactions)
	require.Equal(t, []string{"first", "second"}, versions(t, s, m.ID))
	require.Zero(t, count(t, s, "parked_events"))
}

func TestEffectsStayOnTheirChannel(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, text("m1", "x"))
	require.Equal(t, wire.ResultParked, ingest(t, s, whatsapp, deletionOf("m1", "d1"))[0].Result)
	require.Equal(t, "x", getMessage(t, s, id).Text)
}

func TestEffectsDoNotReopen(t *testing.T) {
	s, _ := testStore(t)
	v := conversationOf(t, s, text("m1", "x"))
	_, err := s.Resolve(t.Context(), everything, v.ID)
	require.NoError(t, err)
	ingest(t, s, telegram, editOf("m1", "u2", "y", testTime), reactionTo("m1", "r1", "c1", "👍", message.ReactionAdd), deletionOf("m1", "d1"))
	require.Equal(t, ConversationSolved, getConversation(t, s, v.ID).State)

	press := text("cb1", "")
	press.Message.Type, press.Message.Postback = message.TypePostback, &message.Postback{Payload: "again"}
	require.Equal(t, ConversationOpen, conversationOf(t, s, press).State, "a pressed button is something the contact does")
}

func TestParkedEventsAreBounded(t *testing.T) {
	s, c := testStore(t)
	ingest(t, s, telegram, deletionOf("never", "d1"))
	w := sweeper{s: s}
	require.NoError(t, w.sweep(t.Context()))
	require.Equal(t, 1, count(t, s, "parked_events"))
	c.advance(parkedFor + time.Second)
	require.NoError(t, w.sweep(t.Context()))
	require.Zero(t, count(t, s, "parked_events"))

	require.NoError(t, s.write(t.Context(), 1, func(tx *txn) error {
		for i := range maxParked + 3 {
			if _, err := tx.exec(`INSERT INTO parked_events (id, channel, target, event) VALUES (?, ?, ?, '{}')`, tx.newID(), telegram, i); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, w.sweep(t.Context()))
	require.Equal(t, maxParked, count(t, s, "parked_events"))
}

func TestInAGroupItIsSeenWhoSpeaksAndWhoReacts(t *testing.T) {
	s, _ := testStore(t)
	by := func(name string, ev message.Event) message.Event {
		ev.Message.Author = &message.Author{Kind: message.AuthorContact, Name: name}
		return ev
	}
	id := stored(t, s, telegram, by("Ana", text("m1", "x")))
	require.Equal(t, &message.Author{Kind: message.AuthorContact, Name: "Ana"}, getMessage(t, s, id).Author)
	require.Nil(t, getMessage(t, s, stored(t, s, telegram, text("m2", "y"))).Author)

	ingest(t, s, telegram, by("Ana", reactionTo("m1", "u1", "c1", "👍", message.ReactionAdd)), by("Bo", reactionTo("m1", "u2", "c1", "👍", message.ReactionAdd)))
	require.Len(t, getMessage(t, s, id).Reactions, 2)
	ingest(t, s, telegram, by("Ana", reactionTo("m1", "u3", "c1", "👍", message.ReactionRemove)))
	require.Len(t, getMessage(t, s, id).Reactions, 1)
}

func TestAMovedContactGoesOnWithTheOpenConversation(t *testing.T) {
	moved := func(s *Store) {
		ingest(t, s, telegram, message.Event{Migration: &message.Migration{From: "c1", To: "c2"}})
	}
	next := func(s *Store, id string) string {
		return getMessage(t, s, stored(t, s, telegram, textFrom("c2", id, "z"))).Conversation
	}
	t.Run("the new address has none", func(t *testing.T) {
		s, _ := testStore(t)
		before := getMessage(t, s, stored(t, s, telegram, text("m1", "x"))).Conversation
		ingest(t, s, telegram, message.Event{Membership: &message.Membership{Contact: message.Contact{ExternalID: "c2"}, Status: message.MembershipOptedIn, Timestamp: testTime}})
		moved(s)
		require.Equal(t, before, next(s, "m2"))
	})
	t.Run("the later one", func(t *testing.T) {
		s, c := testStore(t)
		stored(t, s, telegram, textFrom("c2", "m1", "x"))
		c.advance(time.Minute)
		later := getMessage(t, s, stored(t, s, telegram, text("m2", "y"))).Conversation
		moved(s)
		require.Equal(t, later, next(s, "m3"))
	})
	t.Run("the one that is not solved", func(t *testing.T) {
		s, c := testStore(t)
		open := getMessage(t, s, stored(t, s, telegram, text("m1", "x"))).Conversation
		c.advance(time.Minute)
		solved := getMessage(t, s, stored(t, s, telegram, textFrom("c2", "m2", "y"))).Conversation
		_, err := s.Resolve(t.Context(), everything, solved)
		require.NoError(t, err)
		moved(s)
		require.Equal(t, open, next(s, "m3"))
	})
}
