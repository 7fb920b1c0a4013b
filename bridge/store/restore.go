package store

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
	"github.com/pressly/goose/v3"
)

const (
	// restoringDir is where a restore unpacks. While it is there, the data folder
	// is not one: Open refuses it, and another restore begins anew.
	restoringDir = "restoring"

	mediaDir = "media"

	// maxManifest bounds what is read before anything is known of an archive.
	maxManifest = 64 << 10

	// schemaVersionQuery reads the version that migrate keeps.
	schemaVersionQuery = `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`
)

// Restore unpacks a backup into a data folder, which has to be empty. The
// database appears there in one step, once everything is checked and flushed:
// whatever goes wrong, a store never takes half a restore for a database. What
// waited to be sent at the moment of the backup is not sent again: it becomes a
// dead letter of unknown outcome, for a person to requeue.
func Restore(ctx context.Context, dir string, archive io.Reader) (_ BackupSummary, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return BackupSummary{}, fmt.Errorf("data folder: %w", err)
	}
	if err := refuseNetworkFilesystem(dir); err != nil {
		return BackupSummary{}, err
	}
	if err := refuseNonEmpty(dir); err != nil {
		return BackupSummary{}, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return BackupSummary{}, err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	r := &restore{dir: dir, unpacked: filepath.Join(dir, restoringDir), sums: map[string]string{}, media: map[[sha256.Size]byte]bool{}}
	if err := r.run(ctx, archive); err != nil {
		// Nothing of it is of use, also not what is in place already.
		return r.summary, errors.Join(fmt.Errorf("restore: %w", err), r.remove())
	}
	return r.summary, nil
}

// refuseNonEmpty lets in what a new volume has, and what a restore that did not
// finish left.
func refuseNonEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	harmless := []string{lockFile, "lost+found"}
	if refuseUnfinishedRestore(dir) != nil {
		harmless = append(harmless, restoringDir, mediaDir, sqliteFile)
	}
	for _, e := range entries {
		if !slices.Contains(harmless, e.Name()) {
			return fmt.Errorf("data folder %s is not empty (%s): a restore never overwrites; give it a new volume or folder", dir, e.Name())
		}
	}
	return nil
}

// refuseUnfinishedRestore keeps a store off a folder that is not whole.
func refuseUnfinishedRestore(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, restoringDir)); err != nil {
		return nil //nolint:nilerr // it is not there
	}
	return fmt.Errorf("a restore into data folder %s did not finish: run it again, it begins anew", dir)
}

// restore is one on its way.
type restore struct {
	dir, unpacked string
	// sums of what was unpacked, by name; but not of attachments whose name is
	// their checksum, which are in media. false: SHA256SUMS has not named it yet.
	sums    map[string]string
	media   map[[sha256.Size]byte]bool
	summary BackupSummary
}

func (r *restore) run(ctx context.Context, archive io.Reader) error {
	if err := r.clear(); err != nil {
		return err
	}
	if err := r.unpack(ctx, archive); err != nil {
		return err
	}
	if err := r.checkDatabase(ctx); err != nil {
		return err
	}
	if err := r.settleOutbox(ctx); err != nil {
		return err
	}
	// Thousands of attachments: one flush of everything instead of one for each.
	syscall.Sync()
	for _, name := range []string{mediaDir, sqliteFile} {
		if err := os.Rename(filepath.Join(r.unpacked, name), filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	if err := syncDir(r.dir); err != nil {
		return err
	}
	if err := os.RemoveAll(r.unpacked); err != nil {
		return err
	}
	return syncDir(r.dir)
}

// remove takes away what a restore put into the folder, which was empty before.
// Its own folder goes last, and stays when something else does: it is the sign by
// which Open refuses the rest.
func (r *restore) remove() error {
	for _, name := range []string{sqliteFile, mediaDir, restoringDir} {
		if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// clear removes what an earlier restore left.
func (r *restore) clear() error {
	if err := r.remove(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(r.unpacked, mediaDir), 0o700); err != nil {
		return err
	}
	return syncDir(r.dir)
}

var errNoBackup = errors.New("this is not a backup of a store, or a damaged one")

func (r *restore) unpack(ctx context.Context, archive io.Reader) error {
	packed, err := zstd.NewReader(archive, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return fmt.Errorf("%w: %w", errNoBackup, err)
	}
	defer packed.Close()
	entries := tar.NewReader(packed)
	if err := r.readManifest(entries); err != nil {
		return err
	}
	for {
		header, err := entries.Next()
		switch {
		case err == io.EOF:
			return fmt.Errorf("%w: it ends before its checksums", errNoBackup)
		case err != nil:
			return fmt.Errorf("%w: %w", errNoBackup, err)
		case ctx.Err() != nil:
			return ctx.Err()
		case header.Name == backupSums:
			return r.checkSums(entries, packed)
		}
		if err := r.unpackFile(header, entries); err != nil {
			return err
		}
	}
}

// readManifest looks at the first entry and refuses what this version cannot
// restore, before anything is unpacked.
func (r *restore) readManifest(entries *tar.Reader) error {
	header, err := entries.Next()
	if err != nil || header.Name != backupManifest || header.Size > maxManifest {
		return fmt.Errorf("%w: it does not begin with a manifest", errors.Join(errNoBackup, err))
	}
	content, err := io.ReadAll(entries)
	if err == nil {
		err = json.Unmarshal(content, &r.summary)
	}
	if err != nil {
		return fmt.Errorf("%w: its manifest: %w", errNoBackup, err)
	}
	if r.summary.Format != BackupFormat {
		return fmt.Errorf("the backup has format %d, this version of the store reads %d: use the version that made it", r.summary.Format, BackupFormat)
	}
	if known := knownSchema(); r.summary.Schema > known {
		return fmt.Errorf("the backup has schema version %d, this version of the store knows %d: use the newer version", r.summary.Schema, known)
	}
	sum := sha256.Sum256(content)
	r.sums[backupManifest] = hex.EncodeToString(sum[:])
	r.summary.Media, r.summary.MediaBytes, r.summary.Unknown = 0, 0, 0
	return nil
}

// knownSchema is the version that migrate brings a database to.
func knownSchema() (known int64) {
	files, _ := sqliteDialect{}.migrations()
	entries, err := fs.ReadDir(files, ".")
	if err != nil { // the folder is part of the binary
		panic(err)
	}
	for _, e := range entries {
		if v, err := goose.NumericComponent(e.Name()); err == nil {
			known = max(known, v)
		}
	}
	return known
}

// entryName is every name that a backup has between its manifest and its sums.
var entryName = regexp.MustCompile(`^(store\.db|media/([0-9a-f]{2})/([0-9a-f]{64}))$`)

func (r *restore) unpackFile(header *tar.Header, content io.Reader) error {
	match := entryName.FindStringSubmatch(header.Name)
	if match == nil || header.Typeflag != tar.TypeReg || match[3] != "" && match[3][:2] != match[2] || r.sum(header.Name) != "" {
		return fmt.Errorf("%w: it has an entry %q that does not belong there", errNoBackup, header.Name)
	}
	path := filepath.Join(r.unpacked, filepath.FromSlash(header.Name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	hash, source := sha256.New(), &sourceReader{r: content}
	_, err = io.Copy(io.MultiWriter(f, hash), source)
	if source.err != nil { // not the disk's fault
		err = errors.Join(errNoBackup, err)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", header.Name, err)
	}
	if match[3] != "" {
		r.summary.Media++
		r.summary.MediaBytes += header.Size
	}
	if sum := hash.Sum(nil); hex.EncodeToString(sum) == match[3] {
		r.media[[sha256.Size]byte(sum)] = false
	} else {
		r.sums[header.Name] = hex.EncodeToString(sum)
	}
	return nil
}

// mediaSum is the checksum that an attachment's name says; false: it is none.
func mediaSum(name string) (sum [sha256.Size]byte, ok bool) {
	match := entryName.FindStringSubmatch(name)
	if match == nil || match[3] == "" {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(match[3]))
	return sum, err == nil
}

// sum is the checksum of what was unpacked under a name; empty: nothing was.
func (r *restore) sum(name string) string {
	if sum, ok := mediaSum(name); ok {
		if _, whole := r.media[sum]; whole {
			return hex.EncodeToString(sum[:])
		}
	}
	return r.sums[name]
}

// checkSums compares what was unpacked with the archive's last entry, and reads
// the rest of it, which has the compression's own checksum.
func (r *restore) checkSums(sums, packed io.Reader) error {
	named := 0
	lines := bufio.NewScanner(sums)
	for ; lines.Scan(); named++ {
		want, name, _ := strings.Cut(lines.Text(), "  ")
		switch got := r.sum(name); {
		case got == "":
			return fmt.Errorf("%w: %s is missing", errNoBackup, name)
		case got != want:
			return fmt.Errorf("%w: the checksum of %s is %s, its checksums say %s", errNoBackup, name, got, want)
		}
		if sum, ok := mediaSum(name); ok && r.sums[name] == "" {
			if r.media[sum] {
				return fmt.Errorf("%w: its checksums name %s twice", errNoBackup, name)
			}
			r.media[sum] = true
		}
	}
	if unpacked := len(r.sums) + len(r.media); lines.Err() != nil || named != unpacked {
		return fmt.Errorf("%w: %d entries were unpacked, its checksums name %d", errors.Join(errNoBackup, lines.Err()), unpacked, named)
	}
	if r.sums[sqliteFile] == "" {
		return fmt.Errorf("%w: %s is missing", errNoBackup, sqliteFile)
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return fmt.Errorf("%w: %w", errNoBackup, err)
	}
	return nil
}

// checkDatabase looks into the database: that it is whole, of the version that
// the manifest says, and which attachments it names that are not there.
func (r *restore) checkDatabase(ctx context.Context) error {
	db, err := sql.Open("sqlite", sqliteReadOnly(filepath.Join(r.unpacked, sqliteFile), "query_only(1)")+"&immutable=1")
	if err != nil {
		return err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil || verdict != "ok" {
		return fmt.Errorf("%w: the database in it is damaged: %s", errors.Join(errNoBackup, err), verdict)
	}
	var schema int64
	if err := db.QueryRowContext(ctx, schemaVersionQuery).Scan(&schema); err != nil {
		return fmt.Errorf("%w: schema version: %w", errNoBackup, err)
	}
	if schema != r.summary.Schema {
		return fmt.Errorf("%w: its database has schema version %d, its manifest says %d", errNoBackup, schema, r.summary.Schema)
	}
	return r.countMissing(ctx, db)
}

func (r *restore) countMissing(ctx context.Context, db *sql.DB) error {
	r.summary.MissingMedia, r.summary.DamagedMedia = 0, 0
	return eachMedia(ctx, db, func(sum string) error {
		switch got := r.sum(mediaEntry(sum)); got {
		case "":
			r.summary.MissingMedia++
		case sum:
		default:
			r.summary.DamagedMedia++
		}
		return nil
	})
}

// sqliteReadOnly is the DSN of a database that is only read.
func sqliteReadOnly(path, pragma string) string {
	q := url.Values{"mode": {"ro"}, "_pragma": {pragma}}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}
