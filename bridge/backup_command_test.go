package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpki"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// runStoreProcess runs "bridge store" on a data folder until it is ready; end
// stops it.
func runStoreProcess(t *testing.T, data string) (end func()) {
	t.Helper()
	documents := t.TempDir()
	files, err := document.Encode(&document.Document{Kind: document.KindStore, Name: "shop/default", Generation: 1, Settings: []byte(`{"retention":{},"reopenWindow":"72h"}`)}, 1)
	require.NoError(t, err)
	testpki.Mount(t, documents, map[string][]byte{document.ShardFile(0): files[0]})
	ctx, stop := context.WithCancel(t.Context())
	root := newRootCommand()
	root.SetArgs([]string{
		"store", "--documents", documents, "--data", data, "--tls", testpki.NewAuthority(t).Folder(t, ""),
		"--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--log-level", "error",
	})
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(data, "admin.sock"))
		return err == nil
	}, time.Minute, 5*time.Millisecond)
	return func() {
		stop()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(time.Minute):
			t.Fatal("it does not stop")
		}
	}
}

func TestBackupAndRestoreCommands(t *testing.T) {
	data := t.TempDir()
	end := runStoreProcess(t, data)
	defer end()
	file := filepath.Join(t.TempDir(), "shop.backup")
	_, err := execute(t, "store", "backup", "--data", data, "--out", file)
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it holds every conversation")
	_, err = execute(t, "store", "backup", "--data", data, "--out", file)
	require.ErrorContains(t, err, "--out: "+file+" is there already")

	streamed, err := execute(t, "store", "backup", "--data", data, "--out", "-")
	require.NoError(t, err)
	_, err = store.Restore(t.Context(), t.TempDir(), bytes.NewReader([]byte(streamed)))
	require.NoError(t, err, "the standard output has the archive and nothing else")

	_, err = execute(t, "store", "restore", "--data", data, "--in", file)
	require.ErrorContains(t, err, "is not empty")
	fresh := filepath.Join(t.TempDir(), "data")
	_, err = execute(t, "store", "restore", "--data", fresh, "--in", file)
	require.NoError(t, err)
	runStoreProcess(t, fresh)()
}

func TestBackupOfAStoreThatDoesNotRun(t *testing.T) {
	data := t.TempDir()
	runStoreProcess(t, data)()
	file := filepath.Join(t.TempDir(), "shop.backup")
	_, err := execute(t, "store", "backup", "--data", data, "--out", file)
	require.NoError(t, err)

	dir := t.TempDir()
	_, err = execute(t, "store", "backup", "--data", t.TempDir(), "--out", filepath.Join(dir, "x"))
	require.ErrorContains(t, err, "pg_dump")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left, "a backup that failed leaves no file")
}

func TestBackupCommandsNameTheFlag(t *testing.T) {
	for _, args := range [][]string{{"backup"}, {"restore"}} {
		_, err := execute(t, append([]string{"store"}, args...)...)
		require.ErrorContains(t, err, "required flag")
	}
	_, err := execute(t, "store", "restore", "--in", "/nowhere", "--data", t.TempDir())
	require.ErrorContains(t, err, "--in: ")
	_, err = execute(t, "store", "backup", "--out", "/nowhere/x", "--data", t.TempDir())
	require.ErrorContains(t, err, "--out: ")
}
