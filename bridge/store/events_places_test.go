package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever retention has removed, a reader can begin with the oldest event that
// is kept, or with what happens from now on.
func TestEventPlacesOutliveTheHorizon(t *testing.T) {
	s, c := testStore(t)
	doc := testDocument(t, testEntries(t)...)
	doc.Settings = []byte(`{"retention":{"events":"48h"},"reopenWindow":"1h"}`)
	require.Empty(t, s.Load(t.Context(), doc))
	stored(t, s, telegram, text("m1", "old"))
	c.advance(49 * time.Hour)
	stored(t, s, telegram, textFrom("c2", "m2", "fresh"))
	require.NoError(t, (&sweeper{s: s}).sweep(t.Context()))

	_, _, err := s.Events(t.Context(), everything, 0, 10)
	require.ErrorIs(t, err, ErrGone)
	oldest, next, err := s.Events(t.Context(), everything, EventsOldest, 1)
	require.NoError(t, err)
	require.Len(t, oldest, 1)
	require.Equal(t, oldest[0].Cursor, next)
	none, latest, err := s.Events(t.Context(), everything, EventsLatest, 10)
	require.NoError(t, err)
	require.Empty(t, none)
	stored(t, s, telegram, textFrom("c2", "m3", "fresher"))
	events, _, err := s.Events(t.Context(), everything, latest, 10)
	require.NoError(t, err)
	require.NotEmpty(t, events)
	require.Greater(t, events[0].Cursor, latest)
}
