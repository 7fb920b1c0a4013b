package store

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A backup is a tar archive, compressed with zstd, in this order:
//
//	manifest.json    what it is; read before anything is unpacked
//	store.db         the database as it was at one moment
//	media/ab/abcd…   every attachment that this database names
//	SHA256SUMS       checksums of all of them, as sha256sum(1) checks them
//
// The sums come last, so that an archive that was cut off has none and is
// refused. Nothing is copied aside first: pages go from a read transaction into
// the archive, and writers go on beside it. Meanwhile the write-ahead log cannot
// shrink, so the volume needs room for what is written during the backup.
const (
	backupManifest = "manifest.json"
	backupSums     = "SHA256SUMS"
	backupMedia    = "media/"

	// lastBackupFile, in the data folder, has the time of the last one (RFC 3339).
	lastBackupFile = "last-backup"

	// BackupFormat is the version of the archive's layout.
	BackupFormat = 1
)

// ErrBackupElsewhere means that this store's database has its own tools for
// backups.
var ErrBackupElsewhere = errors.New("this store keeps its conversations in PostgreSQL: back them up with pg_dump, and restore them with pg_restore")

// BackupSummary says what is in a backup.
type BackupSummary struct {
	Format int `json:"format"` // BackupFormat
	// Schema is the version of the database's schema.
	Schema  int64     `json:"schema"`
	Created time.Time `json:"created"`
	// DatabaseBytes is the size of the database.
	DatabaseBytes int64 `json:"databaseBytes"`
	// Media are how many attachments are in it, MediaBytes their size in all.
	Media      int   `json:"media,omitempty"`
	MediaBytes int64 `json:"mediaBytes,omitempty"`
	// MissingMedia are attachments that the database names and the folder had
	// not, DamagedMedia those whose content was not what their name says. Both
	// mean that the volume lost something before.
	MissingMedia int `json:"missingMedia,omitempty"`
	DamagedMedia int `json:"damagedMedia,omitempty"`
	// Unknown is, of a restore, how many messages waited to be sent when the
	// backup was made: they are dead letters now.
	Unknown int `json:"unknown,omitempty"`
}

// BackupFolder is the data folder of a store that can be backed up; empty when
// its database is elsewhere.
func (s *Store) BackupFolder() string {
	if _, embedded := s.db.dialect.(sqliteDialect); !embedded {
		return ""
	}
	return s.opts.Dir
}

// Backup writes everything that is committed by now to w, while the store goes
// on. It takes one connection, and about a processor while it runs. When it
// fails, what was written is no backup.
func (s *Store) Backup(ctx context.Context, w io.Writer) (BackupSummary, error) {
	if s.BackupFolder() == "" {
		return BackupSummary{}, ErrBackupElsewhere
	}
	s.media.hold() // before the snapshot, so that what it names stays
	defer s.media.release()
	b := &backup{dir: s.opts.Dir, media: s.media, now: s.opts.Now()}
	summary, err := b.write(ctx, w)
	if err != nil {
		return summary, err
	}
	if err := b.remember(); err != nil { // the archive is whole all the same
		s.opts.Log.Warn("when the last backup was made cannot be kept; after a restart it looks older than it is", "error", err)
	}
	return summary, nil
}

// BackupDir backs up the data folder of a store that does not run. It takes
// the folder's lock meanwhile and changes nothing but the note of when it was.
func BackupDir(ctx context.Context, dir string, w io.Writer) (_ BackupSummary, err error) {
	if _, err := os.Stat(filepath.Join(dir, sqliteFile)); err != nil {
		return BackupSummary{}, fmt.Errorf("no store runs on %s, and there is no database in it; a store that keeps its conversations in PostgreSQL is backed up with pg_dump: %w", dir, err)
	}
	if err := refuseUnfinishedRestore(dir); err != nil {
		return BackupSummary{}, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return BackupSummary{}, err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	b := &backup{dir: dir, media: &mediaFiles{dir: filepath.Join(dir, mediaDir)}, now: time.Now()}
	summary, err := b.write(ctx, w)
	if err == nil {
		_ = b.remember() // the archive is whole all the same
	}
	return summary, err
}

// LastBackup is when the last whole backup of this data folder was begun, by
// whichever process; zero where none is known of.
func (s *Store) LastBackup() time.Time {
	if s.BackupFolder() == "" {
		return time.Time{}
	}
	content, err := os.ReadFile(filepath.Join(s.opts.Dir, lastBackupFile))
	if err != nil {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(content)))
	if err != nil {
		return time.Time{}
	}
	return at
}

// remember notes in the data folder when the backup was begun, so that who
// watches over backups is told after a restart, too. It is beside the database,
// not in it: what is restored elsewhere has not been backed up there.
func (b *backup) remember() error {
	path := filepath.Join(b.dir, lastBackupFile)
	if err := os.WriteFile(path+".new", []byte(b.now.UTC().Format(time.RFC3339)+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// backup is one on its way.
type backup struct {
	dir   string
	media *mediaFiles
	now   time.Time

	tx   *sql.Tx // the snapshot
	tar  *tar.Writer
	sums strings.Builder // of all but the attachments
	// absent are attachments that are not in the archive, spoiled those whose
	// content has another checksum than their name. There may be a million
	// attachments, so what is as it should be is not kept.
	absent  map[string]bool
	spoiled map[string]string
	summary BackupSummary
}

func (b *backup) write(ctx context.Context, w io.Writer) (BackupSummary, error) {
	b.absent, b.spoiled = map[string]bool{}, map[string]string{}
	// A pool of its own: the store's readers have better things to do.
	db, err := sql.Open("sqlite", sqliteReadOnly(filepath.Join(b.dir, sqliteFile), "query_only(1)"))
	if err != nil {
		return BackupSummary{}, err
	}
	defer db.Close()
	if b.tx, err = db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
		return BackupSummary{}, sqliteDialect{}.classify(err)
	}
	defer func() { _ = b.tx.Rollback() }() // it only reads
	// The fastest level: text shrinks to a third with it, attachments are
	// compressed already, and the store's pod has other work.
	packed, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return BackupSummary{}, err
	}
	b.tar = tar.NewWriter(packed)
	for _, part := range []func(context.Context) error{b.writeManifest, b.writeDatabase, b.writeMedia, b.writeSums} {
		if err := part(ctx); err != nil {
			packed.Reset(nil) // nothing more is written: an archive without its end is refused
			return b.summary, fmt.Errorf("backup: %w", sqliteDialect{}.classify(err))
		}
	}
	return b.summary, errors.Join(b.tar.Close(), packed.Close())
}

// begin starts an entry and returns where its content goes, and its checksum
// once that is written.
func (b *backup) begin(name string, size int64) (content io.Writer, sum func() string, err error) {
	err = b.tar.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o600, ModTime: b.now.Truncate(time.Second), Typeflag: tar.TypeReg})
	hash := sha256.New()
	return io.MultiWriter(b.tar, hash), func() string { return hex.EncodeToString(hash.Sum(nil)) }, err
}

// sumLine is a line of SHA256SUMS.
func sumLine(sum, name string) string { return sum + "  " + name + "\n" }

// mediaEntry is the name of an attachment in the archive.
func mediaEntry(sum string) string { return backupMedia + sum[:2] + "/" + sum }

func (b *backup) writeManifest(ctx context.Context) error {
	var pages, pageSize int64
	// The first statement that reads takes the snapshot.
	if err := b.tx.QueryRowContext(ctx, schemaVersionQuery).Scan(&b.summary.Schema); err != nil {
		return fmt.Errorf("schema version: %w", err)
	}
	if err := b.tx.QueryRowContext(ctx, `SELECT page_count, page_size FROM pragma_page_count, pragma_page_size`).Scan(&pages, &pageSize); err != nil {
		return fmt.Errorf("size of the database: %w", err)
	}
	b.summary.Format, b.summary.Created, b.summary.DatabaseBytes = BackupFormat, b.now.UTC().Truncate(time.Second), pages*pageSize
	manifest, err := json.MarshalIndent(b.summary, "", "  ")
	if err != nil {
		return err
	}
	w, sum, err := b.begin(backupManifest, int64(len(manifest)))
	if err != nil {
		return err
	}
	_, err = w.Write(manifest)
	b.sums.WriteString(sumLine(sum(), backupManifest))
	return err
}

// writeDatabase copies the pages of the snapshot, which together are the file.
func (b *backup) writeDatabase(ctx context.Context) error {
	w, sum, err := b.begin(sqliteFile, b.summary.DatabaseBytes)
	if err != nil {
		return err
	}
	rows, err := b.tx.QueryContext(ctx, `SELECT data FROM sqlite_dbpage ORDER BY pgno`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var page sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&page); err != nil {
			return err
		}
		if _, err := w.Write(page); err != nil {
			return err
		}
	}
	b.sums.WriteString(sumLine(sum(), sqliteFile))
	return rows.Err()
}

func (b *backup) writeMedia(ctx context.Context) error {
	return eachMedia(ctx, b.tx, func(sum string) error {
		if err := b.writeMediaFile(sum); err != nil {
			return fmt.Errorf("attachment %s: %w", sum, err)
		}
		return nil
	})
}

// eachMedia calls do with every attachment that a database names, in order.
func eachMedia(ctx context.Context, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, do func(sum string) error) error {
	rows, err := db.QueryContext(ctx, namedMediaQuery)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var sum string
		if err := rows.Scan(&sum); err != nil {
			return err
		}
		if !mediaName.MatchString(sum) {
			return fmt.Errorf("the database names an attachment %q, which is no checksum", sum)
		}
		if err := do(sum); err != nil {
			return err
		}
	}
	return rows.Err()
}

// namedMediaQuery lists the files that the database names.
const namedMediaQuery = `SELECT DISTINCT sha256 FROM media WHERE state = 'stored' AND sha256 <> '' ORDER BY sha256`

func (b *backup) writeMediaFile(sum string) error {
	f, err := b.media.open(sum)
	if errors.Is(err, ErrNotFound) {
		b.absent[sum] = true
		b.summary.MissingMedia++
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w, written, err := b.begin(mediaEntry(sum), info.Size())
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, f); err != nil {
		return err
	}
	if got := written(); got != sum {
		b.spoiled[sum] = got
		b.summary.DamagedMedia++
	}
	b.summary.Media++
	b.summary.MediaBytes += info.Size()
	return nil
}

// writeSums names the attachments as the snapshot does, once more.
func (b *backup) writeSums(ctx context.Context) error {
	perMedia := len(sumLine(strings.Repeat("0", 64), mediaEntry(strings.Repeat("0", 64))))
	w, _, err := b.begin(backupSums, int64(b.sums.Len()+b.summary.Media*perMedia))
	if err != nil {
		return err
	}
	if _, err = io.WriteString(w, b.sums.String()); err != nil {
		return err
	}
	return eachMedia(ctx, b.tx, func(sum string) error {
		if b.absent[sum] {
			return nil
		}
		got := sum
		if other := b.spoiled[sum]; other != "" {
			got = other
		}
		_, err := io.WriteString(w, sumLine(got, mediaEntry(sum)))
		return err
	})
}
