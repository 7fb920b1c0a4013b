package store

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// backedUp is a small store's backup, with an attachment.
func backedUp(t *testing.T) (archive []byte, message, media string) {
	t.Helper()
	s, _ := testStore(t)
	message = stored(t, s, telegram, text("m1", "hello"))
	media, err := s.UploadMedia(t.Context(), everything, "shop", MediaMeta{Name: "a.jpg"}, strings.NewReader("picture"))
	require.NoError(t, err)
	var b bytes.Buffer
	summary, err := s.Backup(t.Context(), &b)
	require.NoError(t, err)
	require.Equal(t, 1, summary.Media)
	require.EqualValues(t, len("picture"), summary.MediaBytes)
	require.Positive(t, summary.Schema)
	require.Equal(t, testTime, summary.Created)
	return b.Bytes(), message, media
}

func TestBackupAndRestore(t *testing.T) {
	sqliteOnly(t)
	sqliteOnly(t)
	archive, message, media := backedUp(t)
	dir := filepath.Join(t.TempDir(), "new")
	summary, err := Restore(t.Context(), dir, bytes.NewReader(archive))
	require.NoError(t, err)
	require.Equal(t, 1, summary.Media)
	require.Zero(t, summary.MissingMedia+summary.DamagedMedia)
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, path)
		return nil
	}))

	s := openTestStore(t, Options{Dir: dir})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	require.Equal(t, "hello", getMessage(t, s, message).Text)
	_, body, err := s.OpenMedia(t.Context(), everything, media)
	require.NoError(t, err)
	defer body.Close()
	content, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, "picture", string(content))
	require.Greater(t, stored(t, s, telegram, text("m2", "more")), message, "ids go on where they were")
	require.Equal(t, wire.ResultDuplicate, ingest(t, s, telegram, text("m1", "hello"))[0].Result, "what platforms repeat is known")
}

// Everything that was acknowledged before the backup began is in it, each once,
// and what comes meanwhile is there or not, as a whole.
func TestBackupUnderLoad(t *testing.T) {
	sqliteOnly(t)
	sqliteOnly(t)
	dir := t.TempDir()
	s := openTestStore(t, Options{Dir: dir})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	var (
		mu           sync.Mutex
		acknowledged []string
		stop         atomic.Bool
		writers      sync.WaitGroup
	)
	const before, most = 300, 4000
	ctx := context.WithoutCancel(t.Context())
	enough := make(chan struct{})
	var once sync.Once
	for w := range 8 {
		writers.Go(func() {
			for i := 0; i < most/8 && !stop.Load(); i++ {
				resp, err := s.Ingest(ctx, shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{
					envelope(telegram, textFrom(numbered("c", w), fmt.Sprintf("%d-%d", w, i), strings.Repeat("x", 500)))}})
				if err != nil {
					t.Errorf("refused while a backup runs: %v", err)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, resp.Envelopes[0].Elements[0].ID)
				if len(acknowledged) == before {
					once.Do(func() { close(enough) })
				}
				mu.Unlock()
			}
			once.Do(func() { close(enough) })
		})
	}
	<-enough
	mu.Lock()
	want := append([]string(nil), acknowledged...)
	mu.Unlock()
	var archive bytes.Buffer
	_, err := s.Backup(t.Context(), &archive)
	stop.Store(true)
	writers.Wait()
	require.NoError(t, err)
	require.Greater(t, len(acknowledged), len(want), "it was written to meanwhile")

	copied := t.TempDir()
	_, err = Restore(t.Context(), copied, &archive)
	require.NoError(t, err)
	r := openTestStore(t, Options{Dir: copied})
	require.GreaterOrEqual(t, len(want), before)
	for _, id := range want {
		_, err := r.Message(t.Context(), everything, id)
		require.NoError(t, err, "acknowledged before the backup")
	}
	// Nobody may read on from before the restore, but what was logged is there.
	var logged, last int
	_, err = one(t.Context(), r.read, []any{&logged, &last}, `SELECT COUNT(*), MAX(cursor) FROM events`)
	require.NoError(t, err)
	require.Equal(t, last, logged, "the event log has no gap")
	require.Equal(t, count(t, r, "messages"), count(t, r, "raw_entries"), "a transaction is in it whole or not at all")
	var verdict string
	_, err = one(t.Context(), r.read, []any{&verdict}, `PRAGMA integrity_check`)
	require.NoError(t, err)
	require.Equal(t, "ok", verdict)
}

func TestBackupKeepsAttachmentsThatAreRemovedMeanwhile(t *testing.T) {
	sqliteOnly(t)
	sqliteOnly(t)
	s, _ := testStore(t)
	file, err := s.media.put(strings.NewReader("picture"), 100)
	require.NoError(t, err)
	s.media.unpin(file.sha256)
	s.media.hold()
	removed, err := s.media.removeUnused(file.sha256, func() (bool, error) { return false, nil })
	require.NoError(t, err)
	require.False(t, removed)
	s.media.release()
	removed, err = s.media.removeUnused(file.sha256, func() (bool, error) { return false, nil })
	require.NoError(t, err)
	require.True(t, removed)
}

func TestBackupSaysWhatTheVolumeLost(t *testing.T) {
	sqliteOnly(t)
	sqliteOnly(t)
	s, _ := testStore(t)
	for _, content := range []string{"kept", "lost", "rotten"} {
		_, err := s.UploadMedia(t.Context(), everything, "shop", MediaMeta{}, strings.NewReader(content))
		require.NoError(t, err)
	}
	sums, err := all(t.Context(), s.read, scanText, `SELECT sha256 FROM media WHERE size = 4 OR size = 6 ORDER BY size`)
	require.NoError(t, err)
	require.NoError(t, os.Remove(s.media.path(sums[0])))
	require.NoError(t, os.WriteFile(s.media.path(sums[2]), []byte("ROTTEN"), 0o600))
	var archive bytes.Buffer
	made, err := s.Backup(t.Context(), &archive)
	require.NoError(t, err)
	read, err := Restore(t.Context(), t.TempDir(), &archive)
	require.NoError(t, err, "one lost picture does not cost the conversations")
	for _, summary := range []BackupSummary{made, read} {
		require.Equal(t, 1, summary.MissingMedia)
		require.Equal(t, 1, summary.DamagedMedia)
		require.Equal(t, 2, summary.Media)
	}
}

func TestBackupOfAFolderThatNobodyUses(t *testing.T) {
	sqliteOnly(t)
	sqliteOnly(t)
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	require.NoError(t, err)
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	id := stored(t, s, telegram, text("m1", "x"))
	_, err = BackupDir(t.Context(), dir, io.Discard)
	require.ErrorContains(t, err, "is in use by another store")
	require.NoError(t, s.Close())

	var archive bytes.Buffer
	_, err = BackupDir(t.Context(), dir, &archive)
	require.NoError(t, err)
	copied := t.TempDir()
	_, err = Restore(t.Context(), copied, &archive)
	require.NoError(t, err)
	getMessage(t, openTestStore(t, Options{Dir: copied}), id)
	getMessage(t, openTestStore(t, Options{Dir: dir}), id)

	_, err = BackupDir(t.Context(), t.TempDir(), io.Discard)
	require.ErrorContains(t, err, "there is no database in it")
	require.ErrorContains(t, err, "pg_dump")
}

// A store that was killed leaves what it committed last in the log.
func TestBackupOfAFolderAfterACrash(t *testing.T) {
	sqliteOnly(t)
	dir, crashed := t.TempDir(), t.TempDir()
	s := openTestStore(t, Options{Dir: dir})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	id := stored(t, s, telegram, text("m1", "x"))
	for _, name := range []string{sqliteFile, sqliteFile + "-wal"} {
		// By another process: one that closes the file drops the locks it has on it.
		require.NoError(t, exec.Command("cp", filepath.Join(dir, name), crashed).Run())
	}
	var archive bytes.Buffer
	_, err := BackupDir(t.Context(), crashed, &archive)
	require.NoError(t, err)
	copied := t.TempDir()
	_, err = Restore(t.Context(), copied, &archive)
	require.NoError(t, err)
	getMessage(t, openTestStore(t, Options{Dir: copied}), id)
}

func TestPostgresHasItsOwnBackup(t *testing.T) {
	postgresOnly(t)
	s, _ := testStore(t)
	require.Empty(t, s.BackupFolder())
	_, err := s.Backup(t.Context(), io.Discard)
	require.ErrorIs(t, err, ErrBackupElsewhere)
	require.ErrorContains(t, err, "pg_dump")
}

func TestRestoreNeverOverwrites(t *testing.T) {
	sqliteOnly(t)
	sqliteOnly(t)
	archive, _, _ := backedUp(t)
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = Restore(t.Context(), dir, bytes.NewReader(archive))
	require.ErrorContains(t, err, "data folder "+dir+" is not empty")
	openTestStore(t, Options{Dir: dir})

	used := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(used, "lost+found"), 0o700))
	_, err = Restore(t.Context(), used, bytes.NewReader(archive))
	require.NoError(t, err, "a new volume has a folder of its filesystem's")
}

// entries unpacks an archive, pack makes one again.
type archived struct{ name, content string }

func entries(t *testing.T, archive []byte) (list []archived) {
	t.Helper()
	packed, err := zstd.NewReader(bytes.NewReader(archive))
	require.NoError(t, err)
	defer packed.Close()
	for r := tar.NewReader(packed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		list = append(list, archived{h.Name, string(content)})
	}
}

func pack(t *testing.T, list []archived) []byte {
	t.Helper()
	var b bytes.Buffer
	packed, err := zstd.NewWriter(&b)
	require.NoError(t, err)
	w := tar.NewWriter(packed)
	for _, e := range list {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: e.name, Size: int64(len(e.content)), Mode: 0o600, Typeflag: tar.TypeReg}))
		_, err := io.WriteString(w, e.content)
		require.NoError(t, err)
	}
	require.NoError(t, errors.Join(w.Close(), packed.Close()))
	return b.Bytes()
}

func TestDamagedBackupsAreRefused(t *testing.T) {
	sqliteOnly(t)
	sqliteOnly(t)
	whole, _, _ := backedUp(t)
	list := entries(t, whole)
	require.Equal(t, []string{"manifest.json", "store.db", "SHA256SUMS"}, []string{list[0].name, list[1].name, list[3].name})
	edit := func(i int, old, fresh string) []byte {
		changed := append([]archived(nil), list...)
		require.Contains(t, changed[i].content, old)
		changed[i].content = strings.Replace(changed[i].content, old, fresh, 1)
		return pack(t, changed)
	}
	without := func(i int) []byte {
		return pack(t, append(append([]archived(nil), list[:i]...), list[i+1:]...))
	}
	with := func(e archived) []byte {
		return pack(t, append(append(append([]archived(nil), list[:2]...), e), list[2:]...))
	}
	flipped := append([]byte(nil), whole...)
	flipped[len(flipped)/2] ^= 1
	for name, tt := range map[string]struct {
		archive []byte
		want    string
	}{
		"nothing":                  {nil, "not a backup"},
		"something else":           {[]byte("SQLite format 3"), "not a backup"},
		"cut off":                  {whole[:len(whole)*2/3], "not a backup"},
		"a bit flipped":            {flipped, "not a backup"},
		"without its end":          {without(3), "ends before its checksums"},
		"without its manifest":     {without(0), "does not begin with a manifest"},
		"without its database":     {without(1), "store.db is missing"},
		"without an attachment":    {without(2), "media/"},
		"another message":          {edit(1, "hello", "hullo"), "checksum of store.db"},
		"another attachment":       {edit(2, "picture", "forgery"), "checksum of media/"},
		"an entry more":            {with(archived{"media/00/" + strings.Repeat("0", 64), "x"}), "4 entries were unpacked, its checksums name 3"},
		"checksums twice":          {edit(3, list[3].content, list[3].content+list[3].content), "twice"},
		"an entry twice":           {with(list[1]), `"store.db" that does not belong there`},
		"an entry that climbs out": {with(archived{"../../etc/passwd", "x"}), `"../../etc/passwd" that does not belong there`},
		"an attachment elsewhere":  {with(archived{"media/11/" + strings.Repeat("0", 64), "x"}), "does not belong there"},
		"of a later format":        {edit(0, `"format": 1`, `"format": 2`), "format 2, this version of the store reads 1"},
		"of a later schema":        {edit(0, `"schema": `, `"schema": 9`), "use the newer version"},
		"of another schema":        {edit(0, fmt.Sprintf(`"schema": %d`, knownSchema()), `"schema": 1`), "checksum of manifest.json"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := Restore(t.Context(), dir, bytes.NewReader(tt.archive))
			require.ErrorContains(t, err, tt.want)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			for _, e := range left {
				require.Equal(t, lockFile, e.Name(), "nothing of it stays")
			}
			_, err = Restore(t.Context(), dir, bytes.NewReader(whole))
			require.NoError(t, err, "a whole one goes in afterwards")
		})
	}
}

// A restore may be killed at any moment: every state that it passes through on
// the disk is one that the store refuses and another restore begins anew from.
func TestRestoreThatWasKilled(t *testing.T) {
	sqliteOnly(t)
	sqliteOnly(t)
	archive, message, _ := backedUp(t)
	for name, state := range map[string]func(t *testing.T, dir string){
		"while it unpacked": func(*testing.T, string) {},
		"half of the database": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, restoringDir, sqliteFile), []byte("SQLite format 3"), 0o600))
		},
		"with its attachments in place": func(t *testing.T, dir string) {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, mediaDir, "ab"), 0o700))
		},
		"just before its end": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, sqliteFile), nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, restoringDir, mediaDir), 0o700))
			state(t, dir)
			_, err := Open(t.Context(), Options{Dir: dir})
			require.ErrorContains(t, err, "did not finish: run it again")
			_, err = BackupDir(t.Context(), dir, io.Discard)
			require.Error(t, err)
			_, err = Restore(t.Context(), dir, bytes.NewReader(archive))
			require.NoError(t, err)
			getMessage(t, openTestStore(t, Options{Dir: dir}), message)
			require.NoDirExists(t, filepath.Join(dir, restoringDir))
			require.NoDirExists(t, filepath.Join(dir, mediaDir, "ab"))
		})
	}
}

func TestBackupEndsWithItsCaller(t *testing.T) {
	sqliteOnly(t)
	sqliteOnly(t)
	s, _ := testStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Backup(ctx, io.Discard)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, s.media.held)
	_, err = s.Backup(t.Context(), failingWriter{})
	require.ErrorIs(t, err, os.ErrClosed)
	require.Zero(t, s.media.held)
	stored(t, s, telegram, text("m1", "x"))
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestKnownSchemaIsWhatAStoreHas(t *testing.T) {
	sqliteOnly(t)
	sqliteOnly(t)
	s, _ := testStore(t)
	var version int64
	_, err := one(t.Context(), s.read, []any{&version}, schemaVersionQuery)
	require.NoError(t, err)
	require.Equal(t, knownSchema(), version)
}

func BenchmarkBackup(b *testing.B) {
	sqliteOnly(b)
	s, _ := testStore(b)
	for i := range 2000 {
		ingest(b, s, telegram, textFrom(numbered("c", i%100), numbered("m", i), strings.Repeat("Where is my order? ", 20)))
	}
	b.ResetTimer()
	for b.Loop() {
		began := time.Now()
		summary, err := s.Backup(b.Context(), io.Discard)
		require.NoError(b, err)
		b.ReportMetric(float64(summary.DatabaseBytes)/(1<<20)/time.Since(began).Seconds(), "MiB/s")
	}
}
