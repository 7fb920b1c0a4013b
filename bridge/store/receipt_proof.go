package store

import (
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// applyProof takes the platform's own word that it has a part of ours: it is a
// late report that the part was sent, from somebody who knows. Where the answer
// to the send was lost, nobody sends the part again, and receipts find it; where
// the answer is still to come, it changes nothing. A message of another channel,
// or one that is there no more, is none of its business.
func (s *Store) applyProof(t *txn, ch *Channel, r message.Receipt) error {
	b := s.newLedger(t)
	at := address{ch.Name, r.ExternalID}
	if err := b.loadWith([]string{r.Delivery}, []string{ch.Name}, b.lookUp([]address{at})...); err != nil {
		return err
	}
	d := b.deliveries[r.Delivery]
	if d == nil || d.lane.channel != ch.Name || r.Part < 0 || r.Part >= len(d.parts) {
		return nil
	}
	u := &turn{ledger: b, ch: ch, d: d, l: d.lane, was: d.state}
	p := &d.parts[r.Part]
	if err := u.late(wire.PartReport{
		Delivery: d.message, Channel: ch.Name, Lease: p.lease, Part: r.Part, Outcome: wire.OutcomeSent,
		ExternalIDs: []string{r.ExternalID}, SentAt: r.Timestamp,
	}, p); err != nil {
		return err
	}
	if err := u.finish(false); err != nil {
		return err
	}
	return b.save()
}
