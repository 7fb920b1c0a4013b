package store

import (
	"strings"
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

	const rows = 100
	insert := `INSERT INTO parked_events (id, channel, target, event) VALUES ` + strings.TrimSuffix(strings.Repeat("(?, ?, '', '{}'),", rows), ",")
	for range maxParked/rows + 1 {
		require.NoError(t, s.write(t.Context(), 1, func(tx *txn) error {
			var args []any
			for range rows {
				args = append(args, tx.newID(), telegram)
			}
			_, err := tx.exec(insert, args...)
			return err
		}))
	}
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

func reactionBy(id, contact string, author message.Author, emoji string, action message.ReactionAction) message.Event {
	ev := reactionTo("m1", id, contact, emoji, action)
	ev.Message.Author = &author
	return ev
}

func reactionsOf(t *testing.T, s *Store, id string) (list []string) {
	t.Helper()
	for _, r := range getMessage(t, s, id).Reactions {
		list = append(list, r.Emoji)
	}
	return list
}

func TestPeopleOfOneNameReactForThemselves(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, textFrom("-100", "m1", "x"))
	one, other := message.Author{Name: "Ana", ExternalID: "11"}, message.Author{Name: "Ana", ExternalID: "12"}
	ingest(t, s, telegram, reactionBy("r1", "-100", one, "👍", message.ReactionAdd), reactionBy("r2", "-100", other, "❤", message.ReactionAdd))
	require.ElementsMatch(t, []string{"👍", "❤"}, reactionsOf(t, s, id))
	ingest(t, s, telegram, reactionBy("r3", "-100", one, "👍", message.ReactionRemove))
	require.Equal(t, []string{"❤"}, reactionsOf(t, s, id))
	one.Name = "Ana Ruiz" // by any name
	ingest(t, s, telegram, reactionBy("r4", "-100", one, "🔥", message.ReactionAdd), reactionBy("r5", "-100", message.Author{Name: "Ana", ExternalID: "11"}, "", message.ReactionRemove))
	require.Equal(t, []string{"❤"}, reactionsOf(t, s, id))
}

func TestReactionsOfNobodyInParticularStandTogether(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, textFrom("-100", "m1", "x"))
	ingest(t, s, telegram, reactionBy("r0", "-100", message.Author{ExternalID: "11"}, "🔥", message.ReactionAdd))
	told := 0
	tell := func(emojis ...string) {
		told++
		anonymous := message.Author{ExternalID: message.AuthorAnonymous}
		events := []message.Event{reactionBy(numbered("n", told), "-100", anonymous, "", message.ReactionRemove)}
		for _, e := range emojis {
			events = append(events, reactionBy(numbered("n"+e, told), "-100", anonymous, e, message.ReactionAdd))
		}
		ingest(t, s, telegram, events...)
	}
	tell("👍", "❤")
	require.ElementsMatch(t, []string{"🔥", "👍", "❤"}, reactionsOf(t, s, id))
	tell("❤")
	require.ElementsMatch(t, []string{"🔥", "❤"}, reactionsOf(t, s, id))
	tell()
	require.Equal(t, []string{"🔥"}, reactionsOf(t, s, id), "of the people who are known none is taken off")
}

func TestFormattingIsKeptAndReplacedWithItsText(t *testing.T) {
	s, _ := testStore(t)
	ev := text("m1", "😀 bold")
	bold := message.Entity{Kind: "bold", Offset: 3, Length: 4}
	ev.Message.Entities = []message.Entity{bold, {Kind: "italic", Offset: 3, Length: 5}, {Kind: "italic", Offset: -1, Length: 2}, {Offset: 0, Length: 2}}
	ev.Message.Attachments = []message.Attachment{{Kind: message.TypeImage, Ref: "file1", Caption: "see #sale", Entities: []message.Entity{{Kind: "hashtag", Offset: 4, Length: 5}}}}
	ev.Message.Author = &message.Author{Name: "Ana", ExternalID: "11"}
	id := stored(t, s, telegram, ev)
	m := getMessage(t, s, id)
	require.Equal(t, []message.Entity{bold}, m.Entities, "what lies outside of the text is left out")
	require.Equal(t, []message.Entity{{Kind: "hashtag", Offset: 4, Length: 5}}, m.Attachments[0].Entities)
	require.Equal(t, &message.Author{Kind: message.AuthorContact, Name: "Ana", ExternalID: "11"}, m.Author)

	edit := editOf("m1", "u2", "plain, bold", testTime.Add(time.Second))
	edit.Message.Entities = []message.Entity{{Kind: "bold", Offset: 7, Length: 4}}
	ingest(t, s, telegram, edit)
	require.Equal(t, []message.Entity{{Kind: "bold", Offset: 7, Length: 4}}, getMessage(t, s, id).Entities)
	require.Equal(t, "11", getMessage(t, s, id).Author.ExternalID, "the author stays")
	ingest(t, s, telegram, editOf("m1", "u3", "plain", testTime.Add(2*time.Second)))
	require.Empty(t, getMessage(t, s, id).Entities)
	before, err := all(t.Context(), s.read, scanText, `SELECT content FROM message_versions WHERE message = ? ORDER BY version`, id)
	require.NoError(t, err)
	require.Contains(t, before[0], `"entities":[{"kind":"bold","offset":3`, "versions keep theirs")
}

// A pressed button may be a message with an id of its own: Telegram's /start
// with a payload.
func TestPostbacksCanBeEditedReactedToAndDeleted(t *testing.T) {
	s, _ := testStore(t)
	ev := text("m1", "/start abc")
	ev.Message.Type, ev.Message.Postback = message.TypePostback, &message.Postback{Payload: "abc"}
	require.Equal(t, wire.ResultParked, ingest(t, s, telegram, reactionTo("m1", "r1", "c1", "👍", message.ReactionAdd))[0].Result)
	id := stored(t, s, telegram, ev)
	require.Equal(t, []string{"👍"}, reactionsOf(t, s, id), "what came before it")
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, editOf("m1", "u2", "/start def", testTime.Add(time.Second)))[0].Result)
	require.Equal(t, "/start def", getMessage(t, s, id).Text)
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, deletionOf("m1", "d1"))[0].Result)
	require.NotNil(t, getMessage(t, s, id).DeletedAt)
	require.Zero(t, count(t, s, "parked_events"))
}
