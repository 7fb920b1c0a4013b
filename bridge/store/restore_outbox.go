package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const (
	// reasonRestored is why a message is unknown after a restore; the word is stable.
	reasonRestored = "Restored: it waited to be sent when the backup was made, and may have been sent since"

	// cursorsOfAnother are more than any store gives between a backup and its
	// restore: 136 years at 1 000 events a second. JSON's numbers have room for two
	// million restores.
	cursorsOfAnother = int64(1) << 32

	// restoreBatch bounds a transaction, which has to fit into the writer's cache.
	restoreBatch = 500
)

// settleOutbox makes dead letters of what waited to be sent at the moment of
// the backup: the store that the backup is of went on, and has sent it since. A
// contact who gets an answer twice is worse off than one whose answer a person
// looks at first; who knows that the old store sent nothing more requeues with
// UnknownResend.
//
// It is done here, in the folder that no store opens yet, so that no bridge ever
// sees what waits. The schema is brought up to date on the way.
func (r *restore) settleOutbox(ctx context.Context) (err error) {
	s, err := Open(ctx, Options{Dir: r.unpacked})
	if err != nil {
		return fmt.Errorf("open the database of the backup: %w", err)
	}
	r.summary.Unknown, err = s.disownOutbox(ctx)
	if err = errors.Join(err, s.Close()); err != nil {
		return fmt.Errorf("mark what waited to be sent: %w", err)
	}
	// The log is part of a database as long as it is there, and only one file moves.
	if _, err := os.Stat(filepath.Join(r.unpacked, sqliteFile+"-wal")); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the database's log is still there after it was closed: %w", errors.Join(err, errNotFlushed))
	}
	return nil
}

var errNotFlushed = errors.New("what was changed is not in the database file")

// disownOutbox makes what is still to be sent unknown, ends every lease, and
// returns how many messages that were.
func (s *Store) disownOutbox(ctx context.Context) (unknown int, err error) {
	if err := s.write(ctx, 1, func(t *txn) error {
		if _, err := t.exec(`UPDATE lanes SET due_at = 0, lease_until = 0, lease_delivery = '' WHERE due_at > 0 OR lease_until > 0`); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE outbox_channels SET due_at = 0 WHERE due_at > 0`); err != nil {
			return err
		}
		// The store that the backup is of has given cursors since, which would be
		// cursors of other events here one day: whoever comes with one, or with one
		// of before the backup, is told to read everything anew.
		if _, err := t.exec(`UPDATE event_head SET cursor = cursor + ?, horizon = cursor + ?`, cursorsOfAnother, cursorsOfAnother); err != nil {
			return err
		}
		// What a bot or a policy was about to say, the other store has said.
		if _, err := t.exec(`DELETE FROM errands WHERE kind <> 'webhook'`); err != nil {
			return err
		}
		// Whom a campaign was about to ask, the other store has asked.
		return t.endTriggers(`due_at > 0`)
	}); err != nil {
		return 0, err
	}
	// unknown: parts behind the one that is unknown are held, and may have been
	// sent since, too.
	for _, state := range []string{`'queued'`, `'unknown'`} {
		ids, err := all(ctx, s.read, scanText, `SELECT message FROM deliveries WHERE state = `+state)
		if err != nil {
			return unknown, err
		}
		for batch := range slices.Chunk(ids, restoreBatch) {
			if err := s.write(ctx, restoreBatch, func(t *txn) error { return s.disownDeliveries(t, batch) }); err != nil {
				return unknown, err
			}
		}
		if state == `'queued'` {
			unknown = len(ids)
		}
	}
	return unknown, nil
}

func (s *Store) disownDeliveries(t *txn, ids []string) error {
	b := s.newLedger(t)
	if err := b.load(ids, nil); err != nil {
		return err
	}
	for _, d := range b.inOrder() {
		d.disown()
	}
	return b.save()
}

// disown makes every part that waits unknown, not only the first, so that "skip"
// of a requeue sends nothing at all.
func (d *delivery) disown() {
	changed := false
	for i := range d.parts {
		switch p := &d.parts[i]; p.state {
		case partQueued, partSending, partHeld:
			p.set(partUnknown)
			p.lease = 0 // of the old store: a late word about it is not about what that did since
			changed = true
		}
	}
	if changed {
		d.setReason(reasonRestored)
		d.settle()
	}
}
