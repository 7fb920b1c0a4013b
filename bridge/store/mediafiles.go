package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sync"
)

// mediaFiles is a content-addressed folder: media/ab/abcd…, named by the
// SHA-256 of the bytes, so that the same picture is kept once. The database
// says which files are in use; what it does not name is garbage.
//
// Files appear by rename after they are on disk, and before the database names
// them. Between the two a file is pinned, so that the sweep leaves it.
type mediaFiles struct {
	dir string
	mu  sync.Mutex
	// pins counts who is about to name a file in the database.
	pins map[string]int
	// held is how many backups are on their way: nothing is removed meanwhile.
	held int
	// unnamed are files whose last name was taken from them; see discard.
	unnamed []string
	swept   int // the shard to be looked at next, 0 to 255
}

// mediaFile is a kept file.
type mediaFile struct {
	sha256 string
	size   int64
}

var errTooLarge = errors.New("too large")

// openMediaFiles makes the folder and removes what uploads left behind that a
// crash cut off.
func openMediaFiles(dir string) (*mediaFiles, error) {
	f := &mediaFiles{dir: dir, pins: map[string]int{}}
	if err := os.RemoveAll(f.tmp()); err != nil {
		return nil, fmt.Errorf("media folder: %w", err)
	}
	if err := os.MkdirAll(f.tmp(), 0o700); err != nil {
		return nil, fmt.Errorf("media folder: %w", err)
	}
	return f, nil
}

func (f *mediaFiles) tmp() string { return filepath.Join(f.dir, "tmp") }

func (f *mediaFiles) path(sum string) string { return filepath.Join(f.dir, sum[:2], sum) }

// put keeps the bytes of body, at most limit of them, and pins the file: the
// caller unpins it once the database names it. Failures to write are
// ErrUnavailable, those to read are the reader's.
func (f *mediaFiles) put(body io.Reader, limit int64) (mediaFile, error) {
	tmp, err := os.CreateTemp(f.tmp(), "")
	if err != nil {
		return mediaFile{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	hash := sha256.New()
	source := &sourceReader{r: io.LimitReader(body, limit+1)}
	size, err := io.Copy(io.MultiWriter(tmp, hash), source)
	if err == nil && size <= limit {
		err = tmp.Sync()
	}
	closed := tmp.Close()
	switch {
	case source.err != nil:
		return mediaFile{}, fmt.Errorf("read the media: %w", source.err)
	case err != nil || closed != nil:
		return mediaFile{}, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(err, closed))
	case size > limit:
		return mediaFile{}, errTooLarge
	}
	file := mediaFile{sha256: hex.EncodeToString(hash.Sum(nil)), size: size}
	if err := f.settle(tmp.Name(), file.sha256); err != nil {
		f.unpin(file.sha256)
		return mediaFile{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return file, nil
}

// sourceReader remembers whether it was reading that failed, so that a client
// that hangs up is told from a full disk.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// settle pins the name and moves the file there, durably.
func (f *mediaFiles) settle(tmp, sum string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pins[sum]++
	path := f.path(sum)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err == nil {
		if err := syncDir(f.dir); err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f *mediaFiles) unpin(sum string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pins[sum]--; f.pins[sum] <= 0 {
		delete(f.pins, sum)
	}
}

func (f *mediaFiles) open(sum string) (*os.File, error) {
	if !mediaName.MatchString(sum) {
		return nil, fmt.Errorf("media file: %w", ErrNotFound)
	}
	file, err := os.Open(f.path(sum))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("media file %s: %w", sum, ErrNotFound)
	}
	return file, err
}

// read implements mediaBytes.
func (f *mediaFiles) read(sum string) (io.ReadSeekCloser, error) { return f.open(sum) }

var mediaName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// hold keeps every file until release; the sweep comes by again afterwards.
func (f *mediaFiles) hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held++
}

func (f *mediaFiles) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held--
}

// discard notes files that may have lost their last name; the next sweep looks.
func (f *mediaFiles) discard(sums ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unnamed = append(f.unnamed, sums...)
}

// discarded takes the noted files.
func (f *mediaFiles) discarded() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	sums := f.unnamed
	f.unnamed = nil
	return sums
}

// shard lists the files whose name begins with n, 0 to 255.
func (f *mediaFiles) shard(n int) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(f.dir, fmt.Sprintf("%02x", n)))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var sums []string
	for _, e := range entries {
		if mediaName.MatchString(e.Name()) {
			sums = append(sums, e.Name())
		}
	}
	return sums, err
}

// removeUnused removes a file unless it is pinned or inUse says that the
// database names it. Nobody can pin it in between.
func (f *mediaFiles) removeUnused(sum string, inUse func() (bool, error)) (removed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held > 0 || f.pins[sum] > 0 {
		return false, nil
	}
	if used, err := inUse(); err != nil || used {
		return false, err
	}
	err = os.Remove(f.path(sum))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// sweep removes files that nothing names: those that lost their last name
// since, and, a shard at a time, what a crash may have left. Only one sweep runs
// at a time.
func (f *mediaFiles) sweep(ctx context.Context, s *Store) (removed int, err error) {
	found, err := f.shard(f.swept)
	if err != nil {
		return 0, err
	}
	f.swept = (f.swept + 1) % 256
	for _, sum := range append(f.discarded(), found...) {
		gone, err := f.removeUnused(sum, func() (bool, error) {
			var n int
			_, err := one(ctx, s.read, []any{&n}, `SELECT COUNT(*) FROM media WHERE sha256 = ?`, sum)
			return n > 0, err
		})
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}
