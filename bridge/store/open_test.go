package store

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestSecondStoreOnAFolderIsRefused(t *testing.T) {
	sqliteOnly(t)
	dir := t.TempDir()
	openTestStore(t, Options{Dir: dir})
	_, err := open(t, Options{Dir: dir})
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "process "+strconv.Itoa(os.Getpid()))
	require.ErrorContains(t, err, lockFile)
}

func TestClosedFolderCanBeOpenedAgain(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	s, err := open(t, Options{Dir: dir})
	require.NoError(t, err)
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	id := stored(t, s, telegram, text("m1", "x"))
	require.NoError(t, s.Close())

	s, err = open(t, Options{Dir: dir})
	require.NoError(t, err)
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	require.Equal(t, "x", getMessage(t, s, id).Text)
	require.Greater(t, stored(t, s, telegram, text("m2", "y")), id, "ids go on where they were")
	require.NoError(t, s.Close())
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	sqliteOnly(t)
	dir := filepath.Join(t.TempDir(), "data")
	s := openTestStore(t, Options{Dir: dir})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	stored(t, s, telegram, text("m1", "x"))
	_, err := s.UploadMedia(t.Context(), everything, "shop", MediaMeta{}, chunks(10))
	require.NoError(t, err)
	seen := 0
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, path)
		seen++
		return nil
	}))
	require.GreaterOrEqual(t, seen, 6, "folder, database, log, index of the log, lock, media")
}

func TestNewerSchemaIsRefused(t *testing.T) {
	sqliteOnly(t)
	dir := t.TempDir()
	s, err := open(t, Options{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, s.write(t.Context(), 1, func(tx *txn) error {
		_, err := tx.exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`)
		return err
	}))
	require.NoError(t, s.Close())
	_, err = open(t, Options{Dir: dir})
	require.ErrorContains(t, err, "schema version 999")
	require.ErrorContains(t, err, "use the newer version, or a copy of the volume from before the upgrade")
	_, err = os.Stat(filepath.Join(dir, lockFile))
	require.NoError(t, err)
	l, err := lockDir(dir)
	require.NoError(t, err, "a refused store holds no lock")
	require.NoError(t, l.release())
}

func TestMountType(t *testing.T) {
	require.NotEmpty(t, mountType("/proc"))
	require.Equal(t, "proc", mountType("/proc"))
}

func TestSnapshotsOfPragmas(t *testing.T) {
	sqliteOnly(t)
	s, _ := testStore(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		require.NoError(t, s.write(t.Context(), 1, func(tx *txn) error {
			_, err := one(background, tx, []any{&got}, `SELECT * FROM pragma_`+pragma)
			return err
		}))
		require.Equal(t, want, got, pragma)
	}
}
