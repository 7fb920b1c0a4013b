package store

import (
	"context"
)

const (
	// reasonChannelDeleted is why a message was cancelled; the word is stable.
	reasonChannelDeleted = "ChannelDeleted: the Channel was deleted before the message was sent"

	// cancelBatch bounds what one transaction cancels: at some 60 µs each, the
	// writer is kept for 30 ms.
	cancelBatch = 500
)

// cancelGone cancels what channels that are gone still have to send. A lane
// that is leased is left until its turn ends: what is being sent gets its
// outcome from the report. Channels that are gone have no Bridge, so nothing
// of it is leased meanwhile.
func (s *Store) cancelGone(ctx context.Context) error {
	channels, err := all(ctx, s.read, scanText, `SELECT channel FROM outbox_channels WHERE bridge = '' AND due_at > 0`)
	if err != nil {
		return err
	}
	for _, channel := range channels {
		for done := false; !done; {
			if err := s.writeLocked(ctx, cancelBatch, newLocks().outbox(channel), func(t *txn) (err error) {
				done, err = s.cancelSome(t, channel)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) cancelSome(t *txn, channel string) (done bool, err error) {
	if !s.state.Load().gone(channel) {
		return true, nil
	}
	ids, err := all(background, t, scanText, `SELECT d.message FROM lanes l JOIN deliveries d ON d.lane = l.id AND d.state = 'queued'
		WHERE l.channel = ? AND l.due_at > 0 LIMIT ?`, channel, cancelBatch)
	if err != nil {
		return false, err
	}
	if err := s.cancelDeliveries(t, ids); err != nil {
		return false, err
	}
	if len(ids) == cancelBatch {
		return false, nil
	}
	if _, err := t.exec(`UPDATE lanes SET due_at = 0 WHERE channel = ? AND due_at > 0`, channel); err != nil {
		return false, err
	}
	_, err = t.exec(`UPDATE outbox_channels SET due_at = 0 WHERE channel = ?`, channel)
	return true, err
}

func (s *Store) cancelDeliveries(t *txn, ids []string) error {
	b := s.newLedger(t)
	if err := b.load(ids, nil); err != nil {
		return err
	}
	for _, d := range b.inOrder() {
		d.withdraw(deliveryCancelled, reasonChannelDeleted)
	}
	return b.save()
}
