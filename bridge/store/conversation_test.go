package store

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func TestCourseOf(t *testing.T) {
	const window = time.Hour
	now := testTime
	for name, tc := range map[string]struct {
		state  ConversationState
		solved time.Duration // ago
		quiet  bool
		want   course
	}{
		"first message":                  {"", 0, false, courseBegin},
		"first word is the shop's":       {"", 0, true, courseBegin},
		"open":                           {ConversationOpen, 0, false, courseKeep},
		"pending":                        {ConversationPending, 0, false, courseOpen},
		"snoozed":                        {ConversationSnoozed, 0, false, courseOpen},
		"solved just now":                {ConversationSolved, 0, false, courseOpen},
		"solved at the edge":             {ConversationSolved, window, false, courseOpen},
		"solved too long ago":            {ConversationSolved, window + 1, false, courseFollowUp},
		"echo into open":                 {ConversationOpen, 0, true, courseKeep},
		"echo into pending":              {ConversationPending, 0, true, courseKeep},
		"echo into snoozed":              {ConversationSnoozed, 0, true, courseKeep},
		"echo into solved":               {ConversationSolved, 0, true, courseKeep},
		"echo into one solved long ago":  {ConversationSolved, 9 * window, true, courseKeep},
		"solved, but our clock was back": {ConversationSolved, -time.Minute, false, courseOpen},
	} {
		require.Equal(t, tc.want, courseOf(tc.state, now.Add(-tc.solved), now, window, tc.quiet), name)
	}
	require.Equal(t, courseFollowUp, courseOf(ConversationSolved, now.Add(-1), now, 0, false), "no window, no reopening")
}

// conversationOf hands in a message and returns its conversation.
func conversationOf(t *testing.T, s *Store, ev message.Event) Conversation {
	t.Helper()
	return getConversation(t, s, getMessage(t, s, stored(t, s, telegram, ev)).Conversation)
}

func TestSolvedConversationIsReopenedWithinTheWindow(t *testing.T) {
	s, c := testStore(t)
	first := conversationOf(t, s, text("m1", "x"))
	_, err := s.Resolve(t.Context(), everything, first.ID)
	require.NoError(t, err)
	_, cursor := eventsAfter(t, s, 0)

	c.advance(24 * time.Hour) // the store's window
	again := conversationOf(t, s, text("m2", "one more thing"))
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, ConversationOpen, again.State)
	require.Nil(t, again.SolvedAt)
	events, _ := eventsAfter(t, s, cursor)
	require.Equal(t, []EventType{EventConversationUpdated, EventMessageCreated}, eventTypes(events))

	_, err = s.Resolve(t.Context(), everything, first.ID)
	require.NoError(t, err)
	c.advance(24*time.Hour + time.Millisecond)
	next := conversationOf(t, s, text("m3", "another matter"))
	require.NotEqual(t, first.ID, next.ID)
	require.Equal(t, first.ID, next.FollowUpOf)
	require.Equal(t, next.ID, conversationOf(t, s, text("m4", "and")).ID)
}

func TestReopenWindowOfTheChannelOverrulesTheStores(t *testing.T) {
	s, c := testStore(t)
	window := document.Duration(time.Minute)
	entries := append(testEntries(t)[:2], entry(t, document.EntryChannel, telegram,
		document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge, ReopenWindow: &window}))
	require.Empty(t, s.Load(t.Context(), testDocument(t, entries...)))
	first := conversationOf(t, s, text("m1", "x"))
	_, err := s.Resolve(t.Context(), everything, first.ID)
	require.NoError(t, err)
	c.advance(2 * time.Minute)
	require.Equal(t, first.ID, conversationOf(t, s, text("m2", "y")).FollowUpOf)
}

func TestEchoStaysQuiet(t *testing.T) {
	s, c := testStore(t)
	echo := text("e1", "from the phone app")
	echo.Message.Echo = true
	v := conversationOf(t, s, echo)
	require.Equal(t, ConversationPending, v.State, "the shop has written and waits")
	require.Nil(t, v.LastInboundAt)

	v = conversationOf(t, s, text("m1", "answer"))
	require.Equal(t, ConversationOpen, v.State)
	_, err := s.Resolve(t.Context(), everything, v.ID)
	require.NoError(t, err)
	c.advance(48 * time.Hour)
	late := text("e2", "bye")
	late.Message.Echo, late.Message.Timestamp = true, c.Now()
	m := getMessage(t, s, stored(t, s, telegram, late))
	require.Equal(t, v.ID, m.Conversation)
	require.Equal(t, message.Outbound, m.Direction)
	require.Equal(t, message.StatusSent, m.Status)
	require.Equal(t, message.AuthorAgent, m.Author.Kind)
	require.Equal(t, ConversationSolved, getConversation(t, s, v.ID).State)
}

func TestSnoozeEndsByTimeOrByTheContact(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	v := conversationOf(t, s, text("m1", "x"))
	until := c.Now().Add(time.Hour)
	v, err := s.Snooze(ctx, everything, v.ID, until)
	require.NoError(t, err)
	require.Equal(t, ConversationSnoozed, v.State)
	require.Equal(t, until, *v.SnoozedUntil)

	next, err := s.wakeSnoozed(ctx)
	require.NoError(t, err)
	require.Equal(t, until, next)
	c.advance(time.Hour)
	next, err = s.wakeSnoozed(ctx)
	require.NoError(t, err)
	require.Zero(t, next)
	v = getConversation(t, s, v.ID)
	require.Equal(t, ConversationOpen, v.State)
	require.Nil(t, v.SnoozedUntil)

	_, err = s.Snooze(ctx, everything, v.ID, c.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, ConversationOpen, conversationOf(t, s, text("m2", "hello?")).State)
	require.NoError(t, err)

	_, err = s.Snooze(ctx, everything, v.ID, c.Now())
	var fe *FieldError
	require.ErrorAs(t, err, &fe)
	require.Equal(t, "until", fe.Field)
	_, err = s.Resolve(ctx, everything, v.ID)
	require.NoError(t, err)
	_, err = s.Snooze(ctx, everything, v.ID, c.Now().Add(time.Hour))
	require.ErrorIs(t, err, ErrConflict)
}

func TestRunWakesSnoozedConversations(t *testing.T) {
	s := openTestStore(t, Options{Dir: t.TempDir()})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	v := conversationOf(t, s, text("m1", "x"))
	_, err := s.Snooze(ctx, everything, v.ID, time.Now().Add(2*time.Second)) // later than the call, on any machine
	require.NoError(t, err)
	require.Eventually(t, func() bool { return getConversation(t, s, v.ID).State == ConversationOpen }, time.Minute, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

func TestAssignRaisesTheEpochAndFencesLateWriters(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	v := conversationOf(t, s, text("m1", "x"))
	bot := Owner{Kind: OwnerBot, Name: "greeter"}
	v, err := s.Assign(ctx, everything, v.ID, bot, v.Epoch)
	require.NoError(t, err)
	require.Equal(t, bot, v.Owner)
	require.EqualValues(t, 2, v.Epoch)

	_, cursor := eventsAfter(t, s, 0)
	same, err := s.Assign(ctx, everything, v.ID, bot, 0)
	require.NoError(t, err)
	require.EqualValues(t, 2, same.Epoch, "the same owner is no change")
	events, _ := eventsAfter(t, s, cursor)
	require.Empty(t, events)

	agent := Owner{Kind: OwnerAgent, Name: "kim"}
	v, err = s.Assign(ctx, everything, v.ID, agent, 2)
	require.NoError(t, err)
	_, err = s.Assign(ctx, everything, v.ID, bot, 2)
	require.ErrorIs(t, err, ErrConflict)
	require.Equal(t, agent, getConversation(t, s, v.ID).Owner)

	for _, wrong := range []Owner{{}, {Kind: "boss", Name: "x"}, {Kind: OwnerAgent}, {Kind: OwnerNone, Name: "x"}, {Kind: OwnerAgent, Name: "a\x00"}} {
		var fe *FieldError
		_, err = s.Assign(ctx, everything, v.ID, wrong, 0)
		require.ErrorAs(t, err, &fe, wrong)
	}
}

func TestConversationOutsideTheScopeIsNotFound(t *testing.T) {
	s, _ := testStore(t)
	ctx, stranger := t.Context(), Scope{Namespaces: []string{"other"}}
	v := conversationOf(t, s, text("m1", "x"))
	for name, call := range map[string]func(scope Scope) error{
		"read":     func(sc Scope) error { _, err := s.Conversation(ctx, sc, v.ID); return err },
		"messages": func(sc Scope) error { _, err := s.ConversationMessages(ctx, sc, v.ID, PageQuery{}); return err },
		"assign":   func(sc Scope) error { _, err := s.Assign(ctx, sc, v.ID, Owner{Kind: OwnerNone}, 0); return err },
		"resolve":  func(sc Scope) error { _, err := s.Resolve(ctx, sc, v.ID); return err },
		"reopen":   func(sc Scope) error { _, err := s.Reopen(ctx, sc, v.ID); return err },
		"snooze":   func(sc Scope) error { _, err := s.Snooze(ctx, sc, v.ID, testTime.Add(time.Hour)); return err },
		"contact":  func(sc Scope) error { _, err := s.Contact(ctx, sc, v.Contact.ID); return err },
	} {
		require.ErrorIs(t, call(stranger), ErrNotFound, name)
		require.NoError(t, call(Scope{Namespaces: []string{"shop"}}), name)
	}
}

func TestConcurrentFirstMessagesShareAConversation(t *testing.T) {
	s, _ := testStore(t)
	results := make(chan wire.ElementResult, 20)
	for i := range cap(results) {
		go func() {
			resp, err := s.Ingest(context.Background(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{envelope(telegram, text(numbered("m", i), "x"))}})
			if err != nil {
				results <- wire.ElementResult{Message: err.Error()}
				return
			}
			results <- resp.Envelopes[0].Elements[0]
		}()
	}
	for range cap(results) {
		require.Equal(t, wire.ResultStored, (<-results).Result)
	}
	require.Equal(t, 1, count(t, s, "conversations"))
	require.Equal(t, 1, count(t, s, "contacts"))
}
