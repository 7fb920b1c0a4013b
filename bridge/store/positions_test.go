package store

import (
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"
)

// Lists of messages follow the log, and outlive what of it retention removes:
// an entry about a message's creation goes with the message.
func TestListsOutliveTheHorizon(t *testing.T) {
	s, c := testStore(t)
	doc := testDocument(t, testEntries(t)...)
	doc.Settings = []byte(`{"retention":{"events":"1h","messages":"240h"},"reopenWindow":"1h"}`)
	require.Empty(t, s.Load(t.Context(), doc))
	var ids []string
	for i := range 5 {
		ids = append(ids, stored(t, s, telegram, textFrom(numbered("c", i), numbered("m", i), "x")))
	}
	c.advance(2 * time.Hour)
	ids = append(ids, stored(t, s, telegram, textFrom("c-new", "m-new", "x")))
	w := sweeper{s: s}
	require.NoError(t, w.sweep(t.Context()))
	_, _, err := s.Events(t.Context(), everything, 0, 10)
	require.ErrorIs(t, err, ErrGone)
	oldest, _, err := s.Events(t.Context(), everything, EventsOldest, 10)
	require.NoError(t, err)
	require.Len(t, oldest, 3, "what is behind the horizon is not shown")

	for name, q := range map[string]MessageQuery{"channel": {Channel: telegram}, "all": {}} {
		var listed []string
		for q.Limit = 2; ; {
			p, err := s.Messages(t.Context(), everything, q)
			require.NoError(t, err)
			for _, m := range p.Items {
				listed = append(listed, m.ID)
			}
			if q.After = p.Next; p.Next == "" {
				break
			}
		}
		require.Equal(t, ids, listed, name)
		// A cursor as it was before lists followed the log.
		q.After, q.Limit = position{List: listMessages, ID: ids[3]}.cursor(), 10
		p, err := s.Messages(t.Context(), everything, q)
		require.NoError(t, err)
		require.Len(t, p.Items, 2, name)
		require.Equal(t, ids[4], p.Items[0].ID)
	}

	c.advance(239 * time.Hour)
	require.NoError(t, w.sweep(t.Context()))
	require.Equal(t, 1, count(t, s, "messages"))
	require.Equal(t, 1, count(t, s, "events"), "entries go with their messages")
}

// A store from before lists followed the log, whose retention has removed
// entries: the migration puts them back behind the horizon.
func TestOldMessagesAreListedAfterTheMigration(t *testing.T) {
	sqliteOnly(t)
	dir := t.TempDir()
	s, err := open(t, Options{Dir: dir})
	require.NoError(t, err)
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	var ids []string
	for i := range 3 {
		ids = append(ids, stored(t, s, telegram, textFrom(numbered("c", i), numbered("m", i), "x")))
	}
	files, kind := s.db.migrations()
	p, err := goose.NewProvider(kind, s.db.writer, files)
	require.NoError(t, err)
	// The writer's only connection is the committer's; this takes its place.
	s.commit.stop()
	_, err = p.DownTo(t.Context(), 3)
	require.NoError(t, err)
	_, err = s.db.writer.ExecContext(t.Context(), `UPDATE event_head SET horizon = 6; DELETE FROM events WHERE cursor <= 6`) // of the first two messages
	require.NoError(t, err)
	s.closed.Do(func() {
		s.read.close()
		require.NoError(t, s.db.closePools())
		require.NoError(t, s.db.close())
	})

	s = openTestStore(t, Options{Dir: dir})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	ids = append(ids, stored(t, s, telegram, textFrom("c-new", "m-new", "x")))
	page, err := s.Messages(t.Context(), everything, MessageQuery{Channel: telegram})
	require.NoError(t, err)
	var listed []string
	for _, m := range page.Items {
		listed = append(listed, m.ID)
	}
	require.Equal(t, ids, listed)
	events, next := eventsAfter(t, s, 6)
	require.Len(t, events, 6)
	require.EqualValues(t, 12, next)
}
