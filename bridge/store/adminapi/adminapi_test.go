package adminapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// serve runs the API of a store until the test ends, or end is called.
func serve(t *testing.T, st Store, o Options) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, st, o) }()
	ended := false
	end = func() {
		cancel()
		if !ended {
			ended = true
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(end)
	for deadline := time.Now().Add(time.Minute); ; {
		if info, err := os.Stat(filepath.Join(st.BackupFolder(), socketName)); err == nil && info.Mode() == os.ModeSocket|0o600 {
			return end
		}
		require.True(t, time.Now().Before(deadline), "the socket is there, for its owner alone")
		time.Sleep(time.Millisecond)
	}
}

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestBackupOfARunningStore(t *testing.T) {
	for name, dir := range map[string]string{
		"usual folder":                       t.TempDir(),
		"folder longer than a socket's path": filepath.Join(t.TempDir(), strings.Repeat("long-", 30)),
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, dir)
			registry := prometheus.NewRegistry()
			serve(t, s, Options{Registerer: registry})
			var archive bytes.Buffer
			summary, err := Backup(t.Context(), dir, &archive)
			require.NoError(t, err)
			assert.Positive(t, summary.DatabaseBytes)
			restored, err := store.Restore(t.Context(), t.TempDir(), &archive)
			require.NoError(t, err)
			assert.Equal(t, summary, restored)
			n, err := testutil.GatherAndCount(registry, "bridgekeeper_store_backups_total")
			require.NoError(t, err)
			assert.Equal(t, 1, n)
		})
	}
}

// The alert about old backups goes by this metric: a restarted pod must not
// silence it.
func TestTheTimeOfTheLastBackupOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	last := func(backedUp bool) float64 {
		s, err := store.Open(t.Context(), store.Options{Dir: dir})
		require.NoError(t, err)
		registry := prometheus.NewRegistry()
		end := serve(t, s, Options{Registerer: registry})
		if backedUp {
			_, err := Backup(t.Context(), dir, io.Discard)
			require.NoError(t, err)
		}
		end()
		require.NoError(t, s.Close())
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "bridgekeeper_store_backup_timestamp_seconds" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatal("there is no such metric")
		return 0
	}
	assert.Zero(t, last(false), "there was none")
	made := last(true)
	assert.InDelta(t, float64(time.Now().Unix()), made, 3600)
	assert.InDelta(t, made, last(false), 3600, "the next process tells of it")

	// So it does of one that was made while no store ran.
	require.NoError(t, os.Remove(filepath.Join(dir, "last-backup")))
	_, err := store.BackupDir(t.Context(), dir, io.Discard)
	require.NoError(t, err)
	assert.InDelta(t, float64(time.Now().Unix()), last(false), 3600)
}

func TestSocketOfAKilledStoreIsReplaced(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, socketName), nil, 0o600))
	serve(t, s, Options{})
	_, err := Backup(t.Context(), dir, io.Discard)
	require.NoError(t, err)
}

func TestNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	_, err := Backup(t.Context(), dir, io.Discard)
	require.ErrorIs(t, err, ErrNotRunning)
	_, err = Backup(t.Context(), filepath.Join(dir, "nowhere"), io.Discard)
	require.ErrorIs(t, err, ErrNotRunning)
	end := serve(t, open(t, dir), Options{})
	end()
	_, err = Backup(t.Context(), dir, io.Discard)
	require.ErrorIs(t, err, ErrNotRunning)
}

// slowStore writes a little, says so, and then does as it is told.
type slowStore struct {
	dir    string
	began  chan struct{}
	finish chan error
	first  string
}

func (s *slowStore) BackupFolder() string { return s.dir }

func (s *slowStore) LastBackup() time.Time { return time.Time{} }

func (s *slowStore) Backup(ctx context.Context, w io.Writer) (store.BackupSummary, error) {
	if s.first != "" {
		if _, err := io.WriteString(w, s.first); err != nil {
			return store.BackupSummary{}, err
		}
	}
	close(s.began)
	select {
	case err := <-s.finish:
		return store.BackupSummary{Format: store.BackupFormat}, err
	case <-ctx.Done():
		return store.BackupSummary{}, ctx.Err()
	}
}

func newSlowStore(t *testing.T, first string) *slowStore {
	return &slowStore{dir: t.TempDir(), began: make(chan struct{}), finish: make(chan error, 1), first: first}
}

func backUp(t *testing.T, s Store) <-chan error {
	failed := make(chan error, 1)
	go func() {
		_, err := Backup(context.WithoutCancel(t.Context()), s.BackupFolder(), io.Discard)
		failed <- err
	}()
	return failed
}

func TestOneBackupAtATime(t *testing.T) {
	s := newSlowStore(t, "some")
	serve(t, s, Options{})
	first := backUp(t, s)
	<-s.began
	_, err := Backup(t.Context(), s.dir, io.Discard)
	require.ErrorContains(t, err, "another backup is on its way")
	s.finish <- nil
	require.NoError(t, <-first)
}

func TestFailureIsNeverTakenForABackup(t *testing.T) {
	t.Run("before its first byte", func(t *testing.T) {
		s := newSlowStore(t, "")
		serve(t, s, Options{})
		s.finish <- errors.New("disk on fire")
		require.ErrorContains(t, <-backUp(t, s), "disk on fire")
	})
	t.Run("in the middle", func(t *testing.T) {
		s := newSlowStore(t, strings.Repeat("some", 10_000)) // more than is buffered
		serve(t, s, Options{})
		s.finish <- errors.New("disk on fire")
		require.ErrorContains(t, <-backUp(t, s), "cut off")
	})
	t.Run("when the store stops", func(t *testing.T) {
		s := newSlowStore(t, "some")
		end := serve(t, s, Options{})
		failed := backUp(t, s)
		<-s.began
		end() // returns: nothing of the backup uses the store any more
		require.ErrorContains(t, <-failed, "cut off")
	})
}
