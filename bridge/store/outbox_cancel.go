package store

import (
	"context"
)

const (
	// reasonChannelDeleted and reasonChannelGone are why a message was cancelled;
	// the first words are stable. A Channel that is deleted says so in its last
	// entry; of one that is not in the document any more, it may have been the
	// last one or the Channel may be in another store's.
	reasonChannelDeleted = "ChannelDeleted: the Channel was deleted before the message was sent"
	reasonChannelGone    = "ChannelGone: the Channel left this ConversationStore before the message was sent: it was deleted, or moved to another one; " +
		"requeue the message once the Channel is back, or write it anew in the store that has the Channel"

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
	if err := s.cancelDeliveries(t, ids, s.goneReason(channel)); err != nil {
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

// goneReason is why what a channel that is gone had to send is cancelled.
func (s *Store) goneReason(channel string) string {
	if ch := s.state.Load().channel(channel); ch != nil && ch.Deleting {
		return reasonChannelDeleted
	}
	return reasonChannelGone
}

func (s *Store) cancelDeliveries(t *txn, ids []string, reason string) error {
	b := s.newLedger(t)
	if err := b.load(ids, nil); err != nil {
		return err
	}
	for _, d := range b.inOrder() {
		d.withdraw(deliveryCancelled, reason)
	}
	return b.save()
}
