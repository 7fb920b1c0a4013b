package walfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	sqlite3 "modernc.org/sqlite/lib"
)

// A commit whose content did not get to the disk is none: nobody sees it, and who
// asked for it is told.
func TestWhatIsNotFlushedIsNotCommitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	known := map[uintptr]bool{}
	for file := range logs.byFile {
		known[file] = true
	}
	db := connect(t, path, ours(""))
	insert := func() error {
		_, err := db.Exec(`INSERT INTO t (v) VALUES ('x')`)
		return err
	}
	require.NoError(t, insert())
	require.NoError(t, insert())
	reader := connect(t, path, "")
	require.Equal(t, 2, rows(t, reader))

	fd := -1
	for file := range logs.byFile {
		if !known[file] {
			require.True(t, logs.byFile[file].synced)
			fd = int(at[sqlite3.TunixFile](file).Fh)
		}
	}
	require.NotEqual(t, -1, fd)
	kept, err := unix.Dup(fd)
	require.NoError(t, err)
	nowhere, err := os.OpenFile(os.DevNull, os.O_RDWR, 0) // takes everything and flushes nothing
	require.NoError(t, err)
	require.NoError(t, unix.Dup3(int(nowhere.Fd()), fd, unix.O_CLOEXEC))
	require.ErrorContains(t, insert(), "disk I/O error")
	require.Equal(t, 2, rows(t, reader))

	require.NoError(t, unix.Dup3(kept, fd, unix.O_CLOEXEC))
	require.NoError(t, unix.Close(kept))
	require.NoError(t, nowhere.Close())
	require.NoError(t, insert())
	require.Equal(t, 3, rows(t, reader))
}
