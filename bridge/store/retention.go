package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

const (
	// sweepEvery is how often what is too old is looked for. A retention is
	// days, so a minute is exact enough, and a look is a step in an index.
	sweepEvery = time.Minute

	// sweepBatch is how many rows go in one transaction. It is shared with
	// whoever writes meanwhile; a row takes about 50 µs with its indexes, so a
	// batch adds some 25 ms to their wait.
	sweepBatch = 500

	// mediaBatch is how many media are looked at in one step.
	mediaBatch = 1000

	// unnamedFor is how long an upload waits for the message that names it.
	unnamedFor = 24 * time.Hour
)

// runRetention removes what is too old, and garbage.
func (s *Store) runRetention(ctx context.Context) {
	w := sweeper{s: s}
	for ctx.Err() == nil {
		if err := s.alone(ctx, "retention", w.sweep); err != nil && ctx.Err() == nil {
			s.log.Warn("retention could not remove everything that is too old; it is tried again", "err", err)
		}
		pause(ctx, sweepEvery, nil)
	}
}

// alone runs work in one replica at a time; in the others it is left out. It is
// for what all of them could do, but need not: nothing depends on it.
func (s *Store) alone(ctx context.Context, work string, run func(context.Context) error) error {
	if !s.db.shared {
		return run(ctx)
	}
	conn, err := s.db.reader.Conn(ctx)
	if err != nil {
		return s.db.classify(err)
	}
	defer conn.Close()
	key := keyOf(spaceWork, work)
	var ours bool
	if err := conn.QueryRowContext(ctx, fmt.Sprintf(`SELECT pg_try_advisory_lock(%d)`, key)).Scan(&ours); err != nil || !ours {
		return s.db.classify(err)
	}
	err = run(ctx)
	// The lock goes with the connection where it cannot be given back.
	if _, unlock := conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf(`SELECT pg_advisory_unlock(%d)`, key)); unlock != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return err
}

// sweeper remembers where its hand stands: media are looked at a piece at a
// time, around and around.
type sweeper struct {
	s     *Store
	media string // id of the last media looked at
}

// sweep removes all that is too old by now.
func (w *sweeper) sweep(ctx context.Context) error {
	keep := w.s.state.Load().settings.Retention
	for _, step := range []func(context.Context, document.Retention) error{
		w.messages, w.surveyRows, w.decisions, w.archive, w.breakers, w.keys, w.raw, w.events, w.parked, w.mediaRows, w.mediaFiles, w.erasedJournal,
	} {
		if err := step(ctx, keep); err != nil {
			return err
		}
	}
	return nil
}

// horizon is before which time something is too old; zero when it is kept for ever.
func (w *sweeper) horizon(keep document.Duration) time.Time {
	if keep <= 0 {
		return time.Time{}
	}
	return w.s.removalTime().Add(-time.Duration(keep))
}

// batches runs remove in transactions of their own until there is nothing left.
func (w *sweeper) batches(ctx context.Context, table string, remove func(t *txn) (int64, error)) error {
	for {
		var n int64
		err := w.s.write(ctx, sweepBatch, func(t *txn) (err error) {
			n, err = remove(t)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
		w.s.metrics.removed.WithLabelValues(table).Add(float64(n))
		if n < sweepBatch {
			return nil
		}
	}
}

// older says whether a table has a row below an id, so that sweeps without
// work do not write.
func (w *sweeper) older(ctx context.Context, table, id string) (bool, error) {
	var least sql.NullString
	_, err := one(ctx, w.s.read, []any{&least}, `SELECT MIN(id) FROM `+table)
	return least.Valid && least.String < id, err
}

// byAge removes the rows of a table that are older than keep; its ids are in
// the order of their time.
func (w *sweeper) byAge(ctx context.Context, table string, keep document.Duration) error {
	h := w.horizon(keep)
	if h.IsZero() {
		return nil
	}
	limit := idBefore(h)
	if found, err := w.older(ctx, table, limit); err != nil || !found {
		return err
	}
	query := `DELETE FROM ` + table + ` WHERE id IN (SELECT id FROM ` + table + ` WHERE id < ? ORDER BY id LIMIT ?)`
	return w.batches(ctx, table, func(t *txn) (int64, error) { return t.exec(query, limit, sweepBatch) })
}

// messages removes old messages, and conversations that are old and empty then.
func (w *sweeper) messages(ctx context.Context, keep document.Retention) error {
	h := w.horizon(keep.Messages)
	if h.IsZero() {
		return nil
	}
	limit := idBefore(h)
	if found, err := w.older(ctx, "messages", limit); err != nil || !found {
		return err
	}
	return w.batches(ctx, "messages", func(t *txn) (int64, error) { return t.removeMessages(limit, h) })
}

// oldMessage is what is needed of a message to remove what hangs on it.
type oldMessage struct {
	id, conversation, channel, externalID string
	direction                             message.Direction
}

func scanOldMessage(rows *sql.Rows) (m oldMessage, err error) {
	return m, rows.Scan(&m.id, &m.conversation, &m.channel, &m.externalID, &m.direction)
}

// removeMessages removes a batch of messages with ids below limit.
func (t *txn) removeMessages(limit string, horizon time.Time) (int64, error) {
	list, err := all(background, t, scanOldMessage, `SELECT id, conversation, channel, external_id, direction FROM messages WHERE id < ? ORDER BY id LIMIT ?`, limit, sweepBatch)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	for _, m := range list {
		if m.direction != message.Inbound {
			continue // its keys, of which there may be several, go by age
		}
		if _, err := t.exec(`DELETE FROM external_ids WHERE external_id = ? AND channel = ? AND kind = 'message' AND direction = 'inbound' AND id = ?`,
			m.externalID, m.channel, m.id); err != nil {
			return 0, err
		}
	}
	n, err := t.exec(`DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE id < ? ORDER BY id LIMIT ?)`, limit, sweepBatch)
	if err != nil {
		return 0, err
	}
	return n, t.removeEmptied(list, horizon)
}

// removeEmptied removes the conversations of removed messages that have none
// left and are old.
func (t *txn) removeEmptied(list []oldMessage, horizon time.Time) error {
	seen := map[string]bool{}
	for _, m := range list {
		if seen[m.conversation] {
			continue
		}
		seen[m.conversation] = true
		n, err := t.exec(`DELETE FROM conversations WHERE id = ? AND updated_at < ? AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation = ?)`,
			m.conversation, ms(horizon), m.conversation)
		if err == nil && n > 0 {
			err = t.forgetEntry(m.conversation)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// agedKeys are the unique keys that are removed by their age, as the index of
// external_ids has them.
const agedKeys = `(kind <> 'message' OR direction = 'outbound')`

const (
	selectAgedKey  = `SELECT MIN(id) FROM external_ids WHERE ` + agedKeys
	deleteAgedKeys = `DELETE FROM external_ids WHERE ` + agedKeys + ` AND id IN (SELECT id FROM external_ids WHERE ` + agedKeys + ` AND id < ? ORDER BY id LIMIT ?)`
)

// keys removes the unique keys of edits, receipts, outbound messages and the
// like. Platforms repeat for days at most, and a replay leaves out what is
// older than messages are kept.
func (w *sweeper) keys(ctx context.Context, keep document.Retention) error {
	h := w.horizon(keep.Messages)
	if h.IsZero() {
		return nil
	}
	var least sql.NullString
	if _, err := one(ctx, w.s.read, []any{&least}, selectAgedKey); err != nil || !least.Valid || least.String >= idBefore(h) {
		return err
	}
	return w.batches(ctx, "external_ids", func(t *txn) (int64, error) { return t.exec(deleteAgedKeys, idBefore(h), sweepBatch) })
}

func (w *sweeper) raw(ctx context.Context, keep document.Retention) error {
	return w.byAge(ctx, "raw_entries", keep.Raw)
}

// events moves the horizon of the log and removes what is behind it. The log is
// in the order of its time, so only its beginning is looked at. The entries about
// the creation of messages stay behind the horizon as long as their messages:
// lists follow them.
func (w *sweeper) events(ctx context.Context, keep document.Retention) error {
	h := w.horizon(keep.Events)
	if h.IsZero() {
		return nil
	}
	for {
		var first int64
		found, err := one(ctx, w.s.read, []any{&first}, `SELECT time FROM events WHERE cursor > (SELECT horizon FROM event_head WHERE id = 1) ORDER BY cursor LIMIT 1`)
		if err != nil {
			return err
		}
		if !found || first >= ms(h) {
			return w.created(ctx)
		}
		var n int64
		if err := w.s.write(ctx, sweepBatch, func(t *txn) (err error) {
			n, err = t.moveHorizon(ms(h))
			return err
		}); err != nil {
			return fmt.Errorf("events: %w", err)
		}
		w.s.metrics.removed.WithLabelValues("events").Add(float64(n))
	}
}

// moveHorizon moves the horizon over a batch of entries that are older than a
// time, and removes those that nothing needs any more.
func (t *txn) moveHorizon(before int64) (removed int64, err error) {
	type row struct{ cursor, time int64 }
	list, err := all(t.ctx, t, func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.cursor, &r.time) },
		`SELECT cursor, time FROM events WHERE cursor > (SELECT horizon FROM event_head WHERE id = 1) ORDER BY cursor LIMIT ?`, sweepBatch)
	if err != nil {
		return 0, err
	}
	var last int64
	for _, r := range list {
		if r.time >= before {
			break
		}
		last = r.cursor
	}
	if last == 0 {
		return 0, nil
	}
	if _, err := t.exec(`UPDATE event_head SET horizon = ? WHERE id = 1`, last); err != nil {
		return 0, err
	}
	return t.exec(`DELETE FROM events WHERE cursor >= ? AND cursor <= ? AND NOT (type = 'message.created' AND EXISTS (SELECT 1 FROM messages m WHERE m.id = events.message))`,
		list[0].cursor, last)
}

// goneCreated are the entries among the oldest ones behind the horizon whose
// messages are gone. Messages go oldest first, as their entries lie.
const goneCreated = `cursor IN (SELECT e.cursor FROM events e WHERE e.cursor <= (SELECT horizon FROM event_head WHERE id = 1) ORDER BY e.cursor LIMIT ?)
	AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = events.message)`

func (w *sweeper) created(ctx context.Context) error {
	for {
		var gone int
		if _, err := one(ctx, w.s.read, []any{&gone}, `SELECT COUNT(*) FROM events WHERE `+goneCreated, sweepBatch); err != nil || gone == 0 {
			return err
		}
		var n int64
		if err := w.s.write(ctx, gone, func(t *txn) (err error) {
			n, err = t.exec(`DELETE FROM events WHERE `+goneCreated, sweepBatch)
			return err
		}); err != nil {
			return fmt.Errorf("events: %w", err)
		}
		if w.s.metrics.removed.WithLabelValues("events").Add(float64(n)); n == 0 {
			return nil // another replica was faster
		}
	}
}

// parked removes what has waited too long for its message, and the oldest of
// what is too much on one channel.
func (w *sweeper) parked(ctx context.Context, _ document.Retention) error {
	if err := w.byAge(ctx, "parked_events", document.Duration(parkedFor)); err != nil {
		return err
	}
	type crowd struct {
		channel string
		n       int64
	}
	crowds, err := all(ctx, w.s.read, func(rows *sql.Rows) (c crowd, err error) { return c, rows.Scan(&c.channel, &c.n) },
		`SELECT channel, COUNT(*) FROM parked_events GROUP BY channel HAVING COUNT(*) > ?`, maxParked)
	for _, c := range crowds {
		excess := c.n - maxParked
		w.s.log.Warn("too many events wait for messages that do not come; the oldest are dropped", "channel", c.channel, "dropped", excess)
		if err := w.batches(ctx, "parked_events", func(t *txn) (int64, error) {
			n, err := t.exec(`DELETE FROM parked_events WHERE id IN (SELECT id FROM parked_events WHERE channel = ? ORDER BY id LIMIT ?)`, c.channel, min(excess, sweepBatch))
			excess -= n
			return n, err
		}); err != nil {
			return err
		}
	}
	return err
}

// mediaFate is what retention does with a media.
type mediaFate int

const (
	mediaStays mediaFate = iota
	mediaExpires
	mediaGoes
)

// fateOf decides from recorded facts only. named says that a message names it.
func fateOf(m mediaRow, named bool, retention, unnamed string) mediaFate {
	switch {
	case !named && m.ID < unnamed:
		return mediaGoes
	case m.State != message.MediaUnavailable && m.ID < retention:
		return mediaExpires
	}
	return mediaStays
}

// mediaRows looks at the next media: those that no message names go, those
// that are too old become unavailable.
func (w *sweeper) mediaRows(ctx context.Context, keep document.Retention) error {
	retention := ""
	if h := w.horizon(keep.Media); !h.IsZero() {
		retention = idBefore(h)
	}
	unnamed := idBefore(w.s.removalTime().Add(-unnamedFor))
	type row struct {
		mediaRow
		named bool
	}
	list, err := all(ctx, w.s.read, func(rows *sql.Rows) (r row, err error) {
		var names int
		err = rows.Scan(&r.ID, &r.State, &r.SHA256, &names)
		r.named = names > 0
		return r, err
	}, `SELECT m.id, m.state, m.sha256, (SELECT COUNT(*) FROM message_media n WHERE n.media = m.id) FROM media m WHERE m.id > ? ORDER BY m.id LIMIT ?`, w.media, mediaBatch)
	if err != nil {
		return err
	}
	w.media = ""
	if len(list) == mediaBatch {
		w.media = list[len(list)-1].ID
	}
	for _, r := range list {
		if fate := fateOf(r.mediaRow, r.named, retention, unnamed); fate != mediaStays {
			if err := w.s.write(ctx, 1, func(t *txn) error { return w.s.removeMedia(t, r.mediaRow, fate) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) removeMedia(t *txn, m mediaRow, fate mediaFate) error {
	if m.SHA256 != "" {
		t.afterCommit(func() { s.blobs.discard(m.SHA256) })
	}
	if fate == mediaGoes {
		_, err := t.exec(`DELETE FROM media WHERE id = ? AND NOT EXISTS (SELECT 1 FROM message_media WHERE media = ?)`, m.ID, m.ID)
		return err
	}
	t.c.metrics.removed.WithLabelValues("media").Inc()
	if _, err := t.exec(`UPDATE media SET sha256 = '' WHERE id = ?`, m.ID); err != nil {
		return err
	}
	return t.giveUpMedia(m.ID, reasonExpired)
}

// mediaFiles removes the bytes that nothing names.
func (w *sweeper) mediaFiles(ctx context.Context, _ document.Retention) error {
	removed, err := w.s.blobs.sweep(ctx, w.s)
	w.s.metrics.removed.WithLabelValues("media_files").Add(float64(removed))
	return err
}
