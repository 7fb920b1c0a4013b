package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// mediaBytes keeps the bytes of attachments by their SHA-256: a folder beside
// SQLite, rows in PostgreSQL. Which of them are in use, table media says.
type mediaBytes interface {
	// put keeps the bytes of body, at most limit of them (else errTooLarge). They
	// stay until unpin, and from then on as long as the database names them.
	put(body io.Reader, limit int64) (mediaFile, error)
	unpin(sum string)
	// read opens kept bytes; ErrNotFound when they are not there.
	read(sum string) (io.ReadSeekCloser, error)
	// discard notes bytes that may have lost their last name; the next sweep looks.
	discard(sums ...string)
	// sweep removes what nothing names: what was discarded, and a part of the rest
	// each time.
	sweep(ctx context.Context, s *Store) (removed int, err error)
}

const (
	// pieceSize is how much of a media is one row. It bounds what a reader or a
	// writer holds in memory; a row costs some 100 bytes beside it.
	pieceSize = 256 << 10

	// untouchedFor is how long bytes lie before they can be garbage: many times
	// what it takes from the last piece of an upload to the commit that names it.
	untouchedFor = time.Hour

	// maxDiscarded bounds what a replica keeps in mind for a sweep that another one
	// may do: 64 bytes each.
	maxDiscarded = 10_000
)

// mediaPieces keeps media in rows of media_files and media_pieces. Pieces go in
// as they come, each in a transaction of its own, under a file without a name;
// the name is given when all are there. The transaction that names the media
// afterwards flushes them to disk.
type mediaPieces struct {
	s *Store

	mu      sync.Mutex
	unnamed []string
	shard   int
}

// exec runs a statement outside of the committer's transactions.
func (p *mediaPieces) exec(query string, args ...any) (int64, error) {
	db := p.s.db
	ctx, cancel := db.bounded(background)
	defer cancel()
	r, err := db.reader.ExecContext(ctx, db.rebind(query), args...)
	if err != nil {
		return 0, late(background, db.classify(err))
	}
	return r.RowsAffected()
}

func (p *mediaPieces) put(body io.Reader, limit int64) (mediaFile, error) {
	var id int64
	if _, err := one(background, p.s.read, []any{&id}, `INSERT INTO media_files (touched_at) VALUES (?) RETURNING id`, ms(p.s.now())); err != nil {
		return mediaFile{}, err
	}
	file, err := p.fill(id, body, limit)
	if err == nil {
		err = p.name(id, file)
	}
	if err != nil {
		// Best effort: what stays is swept.
		_, _ = p.exec(`DELETE FROM media_files WHERE id = ? AND sha256 = ''`, id)
		return mediaFile{}, err
	}
	return file, nil
}

// fill reads body into pieces of a file.
func (p *mediaPieces) fill(id int64, body io.Reader, limit int64) (mediaFile, error) {
	sum := sha256.New()
	source := &sourceReader{r: io.LimitReader(body, limit+1)}
	buffer := make([]byte, pieceSize)
	size := int64(0)
	for piece := 0; ; piece++ {
		n, err := io.ReadFull(source, buffer)
		if source.err != nil {
			return mediaFile{}, fmt.Errorf("read the media: %w", source.err)
		}
		if n > 0 {
			sum.Write(buffer[:n])
			if size += int64(n); size > limit {
				return mediaFile{}, errTooLarge
			}
			if _, err := p.exec(`INSERT INTO media_pieces (file, piece, bytes) VALUES (?, ?, ?)`, id, piece, buffer[:n]); err != nil {
				return mediaFile{}, err
			}
		}
		if err != nil { // io.EOF or io.ErrUnexpectedEOF: anything else is source.err
			return mediaFile{sha256: hex.EncodeToString(sum.Sum(nil)), size: size}, nil //nolint:nilerr // the end of it
		}
	}
}

// name gives a file its name, unless one with the same bytes has it: that one
// is touched, so that no sweep takes it, and ours goes.
func (p *mediaPieces) name(id int64, file mediaFile) error {
	now := ms(p.s.now())
	for range 10 { // a sweep may remove the other one in between, hardly twice
		n, err := p.exec(`UPDATE media_files SET touched_at = ? WHERE sha256 = ?`, now, file.sha256)
		if err != nil {
			return err
		}
		if n == 1 {
			_, err = p.exec(`DELETE FROM media_files WHERE id = ?`, id)
			return err
		}
		_, err = p.exec(`UPDATE media_files SET sha256 = ?, size = ?, touched_at = ? WHERE id = ?`, file.sha256, file.size, now, id)
		if !isUniqueViolation(err) {
			return err
		}
	}
	return fmt.Errorf("%w: the media's name is contended", ErrUnavailable)
}

func (p *mediaPieces) unpin(string) {}

func (p *mediaPieces) read(sum string) (io.ReadSeekCloser, error) {
	r := &pieceReader{p: p, held: -1}
	found, err := one(background, p.s.read, []any{&r.file, &r.size}, `SELECT id, size FROM media_files WHERE sha256 = ? AND sha256 <> ''`, sum)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("media file %s: %w", sum, ErrNotFound)
	}
	return r, nil
}

// pieceReader reads a media piece by piece.
type pieceReader struct {
	p          *mediaPieces
	file, size int64
	at         int64
	held       int64 // number of the piece in bytes; -1 for none
	bytes      []byte
}

// Read implements io.Reader.
func (r *pieceReader) Read(b []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	if piece := r.at / pieceSize; piece != r.held {
		found, err := one(background, r.p.s.read, []any{&r.bytes}, `SELECT bytes FROM media_pieces WHERE file = ? AND piece = ?`, r.file, piece)
		if err != nil {
			return 0, err
		}
		if !found {
			return 0, fmt.Errorf("piece %d of the media: %w", piece, ErrNotFound) // removed while it was read
		}
		r.held = piece
	}
	from := r.at % pieceSize
	if from >= int64(len(r.bytes)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(b, r.bytes[from:])
	r.at += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (r *pieceReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	r.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (r *pieceReader) Close() error {
	r.bytes = nil
	return nil
}

func (p *mediaPieces) discard(sums ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unnamed) < maxDiscarded { // else the shards come to them
		p.unnamed = append(p.unnamed, sums...)
	}
}

func (p *mediaPieces) next() (sums []string, shard int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sums, shard = p.unnamed, p.shard
	p.unnamed, p.shard = nil, (p.shard+1)%256
	return sums, shard
}

const removeUnnamed = `DELETE FROM media_files WHERE sha256 = ? AND sha256 <> '' AND touched_at < ?
	AND NOT EXISTS (SELECT 1 FROM media WHERE media.sha256 = media_files.sha256)`

func (p *mediaPieces) sweep(ctx context.Context, s *Store) (removed int, err error) {
	before := ms(s.removalTime().Add(-untouchedFor))
	if _, err := p.exec(`DELETE FROM media_files WHERE sha256 = '' AND touched_at < ?`, before); err != nil {
		return 0, err
	}
	sums, shard := p.next()
	prefix := fmt.Sprintf("%02x", shard)
	more, err := all(ctx, s.read, scanText, `SELECT sha256 FROM media_files WHERE sha256 <> '' AND sha256 >= ? AND sha256 < ? AND touched_at < ?
		AND NOT EXISTS (SELECT 1 FROM media WHERE media.sha256 = media_files.sha256)`, prefix, prefix+"g", before) // 'g' follows every hex digit
	if err != nil {
		return 0, err
	}
	for _, sum := range append(sums, more...) {
		n, err := p.exec(removeUnnamed, sum, before)
		if err != nil {
			return removed, err
		}
		removed += int(n)
	}
	return removed, nil
}
