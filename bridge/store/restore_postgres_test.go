package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// A copy of a database is what pg_restore makes of a dump.
func TestARestoredDatabaseSendsNothingByItself(t *testing.T) {
	postgresOnly(t)
	opts := onBackend(t, Options{Dir: t.TempDir(), Capabilities: map[string]platform.Capabilities{"telegram": testCaps}})
	s := openTestStore(t, opts)
	b := &box{Store: s, t: t, clock: &clock{now: testTime}}
	b.load()
	waiting := b.send(b.met(telegram, "c1"), "hello")
	_, cursor := eventsAfter(t, s, 0)

	_, err := Restored(t.Context(), opts)
	require.ErrorContains(t, err, "stores are connected to this database")
	require.Equal(t, message.StatusQueued, b.status(waiting), "to a store that runs nothing was restored")

	require.NoError(t, s.Close())
	unknown, err := Restored(t.Context(), opts)
	require.NoError(t, err)
	require.Equal(t, 1, unknown)
	unknown, err = Restored(t.Context(), opts)
	require.NoError(t, err)
	require.Zero(t, unknown)

	b.Store = openTestStore(t, opts)
	b.load()
	require.Empty(t, b.lease(10))
	require.Equal(t, message.StatusUnknown, b.status(waiting))
	_, _, err = b.Events(t.Context(), everything, cursor, 10)
	require.ErrorIs(t, err, ErrGone)
}
