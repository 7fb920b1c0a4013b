package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// walk reads a list page by page.
func walk[T any](t require.TestingT, limit int, read func(PageQuery) (Page[T], error)) (list []T) {
	q := PageQuery{Limit: limit}
	for {
		p, err := read(q)
		require.NoError(t, err)
		require.NotNil(t, p.Items)
		require.LessOrEqual(t, len(p.Items), limit)
		list = append(list, p.Items...)
		if q.After = p.Next; p.Next == "" {
			return list
		}
	}
}

// manyPlaces is a store with messages of several contacts on three channels in
// two namespaces.
func manyPlaces(t *testing.T) (*Store, []message.Message) {
	t.Helper()
	s, c := testStore(t)
	channels := map[string]string{telegram: shopBridge, whatsapp: shopBridge, foreign: otherBridge}
	names := []string{telegram, whatsapp, foreign}
	var list []message.Message
	for i := range 60 {
		ch := names[(i*i+i/7)%3]
		ev := textFrom(numbered("c", i%5), numbered("m", i), "x")
		ev.Message.Echo = i%4 == 3
		c.advance(time.Second)
		resp, err := s.Ingest(t.Context(), channels[ch], wire.IngestRequest{Envelopes: []wire.Envelope{envelope(ch, ev)}})
		require.NoError(t, err)
		list = append(list, getMessage(t, s, resp.Envelopes[0].Elements[0].ID))
	}
	all := walk(t, 50, func(p PageQuery) (Page[Conversation], error) {
		return s.Conversations(t.Context(), everything, ConversationQuery{PageQuery: p})
	})
	for i, v := range all {
		c.advance(time.Second)
		switch i % 3 {
		case 1:
			_, err := s.Resolve(t.Context(), everything, v.ID)
			require.NoError(t, err)
		case 2:
			_, err := s.Snooze(t.Context(), everything, v.ID, c.Now().Add(time.Hour))
			require.NoError(t, err)
		}
	}
	return s, list
}

// Whatever is asked for, the pages together are the list that a plain filter
// over everything gives, in its order, each item once.
func TestPagesAreTheFilteredList(t *testing.T) {
	s, messages := manyPlaces(t)
	conversations := walk(t, 200, func(p PageQuery) (Page[Conversation], error) {
		return s.Conversations(context.Background(), everything, ConversationQuery{PageQuery: p})
	})
	require.Len(t, conversations, 15)
	rapid.Check(t, func(t *rapid.T) {
		scope := rapid.SampledFrom([]Scope{everything, {Namespaces: []string{"shop"}}, {Namespaces: []string{"other", "shop", "shop"}}, {Namespaces: []string{"none"}}, {}}).Draw(t, "scope")
		channel := rapid.SampledFrom([]string{"", telegram, foreign, "shop/none"}).Draw(t, "channel")
		if channel != "" && !scope.Allows(namespaceOf(channel)) {
			channel = ""
		}
		contact := rapid.SampledFrom([]string{"", messages[0].Contact.ID, messages[1].Contact.ID, "none"}).Draw(t, "contact")
		limit := rapid.IntRange(1, 70).Draw(t, "limit")
		fits := func(ns, name, c string) bool {
			return scope.Allows(ns) && (channel == "" || channel == ns+"/"+name) && (contact == "" || contact == c)
		}

		direction := rapid.SampledFrom([]message.Direction{"", message.Inbound, message.Outbound}).Draw(t, "direction")
		var want, got []string
		for _, m := range messages {
			if fits(m.Namespace, m.Channel, m.Contact.ID) && (direction == "" || direction == m.Direction) {
				want = append(want, m.ID)
			}
		}
		for _, m := range walk(t, limit, func(p PageQuery) (Page[message.Message], error) {
			return s.Messages(context.Background(), scope, MessageQuery{PageQuery: p, Channel: channel, Contact: contact, Direction: direction})
		}) {
			got = append(got, m.ID)
		}
		require.Equal(t, want, got, "messages")

		state := rapid.SampledFrom(append([]ConversationState{""}, conversationStates...)).Draw(t, "state")
		want, got = nil, nil
		for _, v := range conversations {
			if fits(v.Namespace, v.Channel, v.Contact.ID) && (state == "" || state == v.State) {
				want = append(want, v.ID)
			}
		}
		for _, v := range walk(t, limit, func(p PageQuery) (Page[Conversation], error) {
			return s.Conversations(context.Background(), scope, ConversationQuery{PageQuery: p, Channel: channel, Contact: contact, State: state})
		}) {
			got = append(got, v.ID)
		}
		require.Equal(t, want, got, "conversations")
	})
	require.True(t, slices.IsSortedFunc(conversations, func(a, b Conversation) int { return b.UpdatedAt.Compare(a.UpdatedAt) }), "latest activity first")
}

func TestContacts(t *testing.T) {
	s, messages := manyPlaces(t)
	list := func(scope Scope, q ContactQuery) (ids []string) {
		for _, c := range walk(t, 2, func(p PageQuery) (Page[Contact], error) {
			q.PageQuery = p
			return s.Contacts(t.Context(), scope, q)
		}) {
			require.NotEmpty(t, c.Identities)
			ids = append(ids, c.ID)
		}
		return ids
	}
	all := list(everything, ContactQuery{})
	require.Len(t, all, 15)
	require.True(t, slices.IsSorted(all))
	shop := list(Scope{Namespaces: []string{"shop"}}, ContactQuery{})
	require.Len(t, shop, 10)
	require.Equal(t, all, list(Scope{Namespaces: []string{"shop", "other"}}, ContactQuery{}))
	require.Len(t, list(everything, ContactQuery{Channel: telegram}), 5)
	m := messages[0]
	require.Equal(t, []string{m.Contact.ID}, list(everything, ContactQuery{Channel: m.Namespace + "/" + m.Channel, ExternalID: m.Contact.ExternalID}))
	_, err := s.Contacts(t.Context(), everything, ContactQuery{ExternalID: "c-1"})
	var fe *FieldError
	require.ErrorAs(t, err, &fe)
	_, err = s.Contacts(t.Context(), Scope{Namespaces: []string{"shop"}}, ContactQuery{Channel: foreign})
	require.ErrorIs(t, err, ErrNotFound)
}

func TestConversationMessagesPage(t *testing.T) {
	s, messages := manyPlaces(t)
	id := messages[0].Conversation
	var want []message.Message
	for _, m := range messages {
		if m.Conversation == id {
			want = append(want, m)
		}
	}
	slices.SortFunc(want, func(a, b message.Message) int {
		return cmp.Or(a.Timestamp.Compare(b.Timestamp), cmp.Compare(a.ID, b.ID))
	})
	got := walk(t, 1, func(p PageQuery) (Page[message.Message], error) {
		return s.ConversationMessages(t.Context(), everything, id, p)
	})
	require.Equal(t, want, got)
}

func TestEventsOfAScope(t *testing.T) {
	s, _ := manyPlaces(t)
	head, _, err := s.eventHead(t.Context())
	require.NoError(t, err)
	var seen int
	for cursor := int64(0); cursor < head; {
		events, next, err := s.Events(t.Context(), Scope{Namespaces: []string{"other"}}, cursor, 3)
		require.NoError(t, err)
		require.Greater(t, next, cursor, "the cursor moves on over what is not shown")
		for _, e := range events {
			require.Equal(t, "other", e.Namespace)
			if e.MessageID != "" {
				require.Equal(t, e.MessageID, e.Message.ID)
			}
			seen++
		}
		cursor = next
	}
	require.Positive(t, seen)
	_, _, err = s.Events(t.Context(), everything, head+1, 3)
	require.ErrorIs(t, err, ErrGone, "a cursor of another life of this store")

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.WaitEvents(ctx, head), context.DeadlineExceeded)
}

func TestWaitEventsIsWokenByACommit(t *testing.T) {
	s, _ := testStore(t)
	woken := make(chan error, 1)
	go func() { woken <- s.WaitEvents(context.Background(), 0) }()
	stored(t, s, telegram, text("m1", "x"))
	select {
	case err := <-woken:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("not woken")
	}
}

func TestLimits(t *testing.T) {
	for _, limit := range []int{-1, 201} {
		_, err := limitOf(PageQuery{Limit: limit})
		var fe *FieldError
		require.ErrorAs(t, err, &fe)
		require.Equal(t, "limit", fe.Field)
	}
	n, err := limitOf(PageQuery{})
	require.NoError(t, err)
	require.Equal(t, 50, n)
}

// Lists must follow an index at any size: no step of their plans reads a whole
// table of messages or conversations, or sorts more than one contact's.
func TestListsFollowAnIndex(t *testing.T) {
	sqliteOnly(t)
	s, _ := testStore(t)
	for name, query := range map[string]string{
		"messages of a channel":      `SELECT e.cursor, e.message FROM events e JOIN messages m ON m.id = e.message WHERE e.type = 'message.created' AND e.cursor > 5 AND e.channel = 'a' AND m.direction = 'inbound' ORDER BY e.cursor LIMIT 5`,
		"all messages":               `SELECT e.cursor, e.message FROM events e WHERE e.type = 'message.created' AND e.cursor > 5 ORDER BY e.cursor LIMIT 5`,
		"messages of a contact":      `SELECT 0, m.id FROM messages m WHERE m.conversation IN (SELECT id FROM conversations WHERE contact = 'c') AND m.id > 'x' ORDER BY m.id LIMIT 5`,
		"messages of a conversation": `SELECT m.timestamp, m.id FROM messages m WHERE m.conversation = 'c' AND (m.timestamp, m.id) > (1, 'x') ORDER BY m.timestamp, m.id LIMIT 5`,
		"conversations of a channel": `SELECT v.updated_at, v.id FROM conversations v WHERE v.channel = 'a' AND v.state = 'open' AND v.activity <= 1 AND (v.updated_at, v.id) < (1, 'x') ORDER BY v.activity DESC, v.updated_at DESC, v.id DESC LIMIT 5`,
		"channels":                   `SELECT MIN(channel) FROM conversations WHERE channel > 'a' AND channel < 'b'`,
		"parties":                    selectParties(s.db),
		"message by external id":     `SELECT id FROM external_ids WHERE channel = 'a' AND kind = 'message' AND external_id = 'x' ORDER BY direction LIMIT 1`,
		"oldest aged key":            selectAgedKey,
		"aged keys":                  deleteAgedKeys,
		"rows of messages":           selectMessages + `WHERE m.id IN ('a', 'b')`,
		"snoozed":                    `SELECT MIN(snoozed_until) FROM conversations WHERE state = 'snoozed'`,
		"media of a channel":         selectMedia + `WHERE channel = 'a' AND state = 'pending' AND next_at <= 5 ORDER BY next_at, id LIMIT 5`,
		"channels with media":        `SELECT channel, MIN(next_at) FROM media WHERE state = 'pending' GROUP BY channel`,
		"raw of a channel":           selectRaw + `WHERE channel = 'a' AND id > 'x' ORDER BY id LIMIT 5`,
		"unrouted raw":               selectRaw + `WHERE unrouted = 1 AND id > 'x' ORDER BY id LIMIT 5`,
	} {
		args := slices.Repeat([]any{"x"}, strings.Count(query, "?"))
		steps := explain(t, s, query, args...)
		for _, step := range steps {
			list := strings.HasPrefix(step, "SCAN json_each") // of the arguments
			require.False(t, strings.HasPrefix(step, "SCAN") && !list && !strings.Contains(step, "INDEX media_pending"), "%s: %s", name, steps)
			if name != "messages of a contact" && !strings.HasPrefix(name, "media") {
				require.NotContains(t, step, "TEMP B-TREE FOR ORDER BY", name) // of a minute's conversations it says FOR LAST 2 TERMS
			}
		}
	}
}

func explain(t *testing.T, s *Store, query string, args ...any) []string {
	t.Helper()
	steps, err := all(t.Context(), s.read, func(rows *sql.Rows) (step string, err error) {
		var id, parent, unused int
		return step, rows.Scan(&id, &parent, &unused, &step)
	}, `EXPLAIN QUERY PLAN `+query, args...)
	require.NoError(t, err)
	return steps
}

func FuzzCursor(f *testing.F) {
	f.Add("m", position{List: "m", ID: "01J", At: 5}.cursor())
	f.Add("m", "")
	f.Add("c", "e30")
	f.Add("c", base64.RawURLEncoding.EncodeToString([]byte(`{"l":"c","i":"\u0000"}`)))
	f.Fuzz(func(t *testing.T, list, cursor string) {
		p, ok, err := after(list, cursor)
		if err != nil {
			var fe *FieldError
			require.True(t, errors.As(err, &fe) && fe.Field == "after" && !ok)
			return
		}
		if !ok {
			require.Empty(t, cursor)
			return
		}
		again, ok, err := after(list, p.cursor())
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, p, again)
	})
}
