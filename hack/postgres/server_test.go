package postgres

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServerSurvivesWhatIsDoneToIt(t *testing.T) {
	server, err := Start(t.Context(), Options{Fsync: true})
	Require(t, err)
	t.Cleanup(server.Close)
	dsn, err := server.NewDatabase(t.Context())
	require.NoError(t, err)
	other, err := server.NewDatabase(t.Context())
	require.NoError(t, err)
	assert.NotEqual(t, dsn, other)
	require.NoError(t, server.Exec(t.Context(), dsn, `CREATE TABLE t AS SELECT 7 AS n`))
	for _, end := range []func(){server.Stop, server.Kill} {
		assert.Greater(t, len(server.PIDs()), 1)
		end()
		require.Error(t, server.Exec(t.Context(), dsn, `SELECT 1`))
		require.NoError(t, server.Start(t.Context()))
		n, err := server.Query(t.Context(), dsn, `SELECT n FROM t`)
		require.NoError(t, err)
		assert.Equal(t, "7", n)
	}
}
