package walfile

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

const pragmas = "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)"

func connect(t *testing.T, path, more string) *sql.DB {
	t.Helper()
	require.NoError(t, Register())
	db, err := sql.Open("sqlite", "file:"+path+"?"+pragmas+more)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	_, err = db.Exec(`CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT NOT NULL)`)
	require.NoError(t, err)
	return db
}

func ours(more string) string { return "&vfs=" + Name + more }

func rows(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(`SELECT COUNT(*) FROM t`).Scan(&n))
	return n
}

func fill(t *testing.T, tx *sql.Tx, n, size int) {
	t.Helper()
	for range n {
		_, err := tx.Exec(`INSERT INTO t (v) VALUES (?)`, strings.Repeat("x", size))
		require.NoError(t, err)
	}
}

// What is committed is in the files: a process that knows nothing of this
// package reads it from a copy of them, as after a crash. What is not is nowhere.
func TestCommittedIsInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := connect(t, path, ours(""))
	want := 0
	for i := range 20 {
		tx, err := db.Begin()
		require.NoError(t, err)
		n := 1 + i*7%120
		fill(t, tx, n, rand.IntN(6000))
		if i%5 == 4 {
			require.NoError(t, tx.Rollback())
		} else {
			require.NoError(t, tx.Commit())
			want += n
		}
		if i%10 == 7 {
			_, err := db.Exec(`PRAGMA wal_checkpoint(PASSIVE)`)
			require.NoError(t, err)
		}
		copied := filepath.Join(t.TempDir(), "b.db")
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(path + suffix)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(copied+suffix, content, 0o600))
		}
		other := connect(t, copied, "")
		require.Equal(t, want, rows(t, other), i)
		var check string
		require.NoError(t, other.QueryRow(`PRAGMA integrity_check`).Scan(&check))
		require.Equal(t, "ok", check)
		require.NoError(t, other.Close())
	}
}

// A transaction that does not fit into the cache writes pages before its end,
// reads them back, and may undo a part of itself.
func TestATransactionLargerThanTheCache(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, reader := connect(t, path, ours("&_pragma=cache_size(5)")), connect(t, path, ours(""))
	tx, err := db.Begin()
	require.NoError(t, err)
	fill(t, tx, 200, 3000)
	_, err = tx.Exec(`SAVEPOINT a`)
	require.NoError(t, err)
	fill(t, tx, 200, 3000)
	_, err = tx.Exec(`UPDATE t SET v = 'changed' WHERE id % 3 = 0`)
	require.NoError(t, err)
	_, err = tx.Exec(`ROLLBACK TO a`)
	require.NoError(t, err)
	_, err = tx.Exec(`UPDATE t SET v = 'kept' WHERE id % 2 = 0`)
	require.NoError(t, err)
	var n int
	require.NoError(t, tx.QueryRow(`SELECT COUNT(*) FROM t WHERE v = 'kept'`).Scan(&n))
	require.Equal(t, 100, n)
	require.Zero(t, rows(t, reader), "nobody else sees it yet")
	require.NoError(t, tx.Commit())
	require.Equal(t, 200, rows(t, reader))
	require.NoError(t, reader.QueryRow(`SELECT COUNT(*) FROM t WHERE v = 'changed'`).Scan(&n))
	require.Zero(t, n)
	var check string
	require.NoError(t, reader.QueryRow(`PRAGMA integrity_check`).Scan(&check))
	require.Equal(t, "ok", check)
}

// Connections have their own logs and forget them when they are closed.
func TestClosedLogsAreForgotten(t *testing.T) {
	before := len(logs.byFile)
	for i := range 5 {
		db := connect(t, filepath.Join(t.TempDir(), fmt.Sprintf("%d.db", i)), ours(""))
		require.Zero(t, rows(t, db))
		require.Greater(t, len(logs.byFile), before)
		require.NoError(t, db.Close())
	}
	require.Len(t, logs.byFile, before)
}
