package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// proof is the platform's word that it has a part of a message.
func proof(id, externalID string, part int) message.Receipt {
	return message.Receipt{Delivery: id, Part: part, ExternalID: externalID, Status: message.StatusSent, Timestamp: testTime}
}

func TestASendWhoseAnswerWasLostIsProvedByThePlatform(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hi")
	d := b.leaseOne()
	b.report(of(d, 0, wire.OutcomeSending))
	b.report(of(d, 0, wire.OutcomeUnknown))
	require.Equal(t, message.StatusUnknown, b.status(id))
	b.receipt(message.Receipt{ExternalID: "mid-1", Status: message.StatusDelivered}) // nobody has the id yet

	require.Equal(t, wire.ResultStored, b.receipt(proof(id, "mid-1", 0)))
	m := getMessage(t, b.Store, id)
	require.Equal(t, message.StatusDelivered, m.Status, "what waited for the id")
	require.Equal(t, "mid-1", m.ExternalID)
	require.Equal(t, wire.ResultDuplicate, b.receipt(proof(id, "mid-1", 0)), "the platform repeats it")
	p, err := b.DeadLetters(t.Context(), everything, DeadLetterQuery{})
	require.NoError(t, err)
	require.Empty(t, p.Items, "nobody is asked to send it again")
	require.Empty(t, b.lease(10))
}

func TestAProofFasterThanTheAnswerChangesNothing(t *testing.T) {
	for name, outcome := range map[string]wire.Outcome{"the answer comes": wire.OutcomeSent, "the answer is lost": wire.OutcomeUnknown} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, testCaps)
			conversation := b.met(telegram, "c1")
			first, second := b.send(conversation, "one"), b.send(conversation, "two")
			d := b.leaseOne()
			b.report(of(d, 0, wire.OutcomeSending))
			b.receipt(proof(first, first+"/0", 0))
			require.Equal(t, []bool{true}, b.report(of(d, 0, outcome)))
			b.wantStatus(first, message.StatusSent, "")
			require.Equal(t, 1, count(t, b.Store, "sent_ids"))
			next := b.leaseOne()
			require.Equal(t, second, next.ID, "the order of the lane")
			b.sent(next)
		})
	}
}

// A bridge that died between send and report: the part is not sent again, the
// others are.
func TestAProofAfterTheLeaseSendsOnlyWhatIsMissing(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hi")
	d := b.leaseOne()
	b.report(of(d, 0, wire.OutcomeSending))
	b.clock.advance(10 * time.Minute)
	require.Empty(t, b.lease(10))
	b.receipt(proof(id, "mid-1", 0))
	b.wantStatus(id, message.StatusSent, "")
}

func TestAProofIsForItsOwnChannelAlone(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hi")
	d := b.leaseOne()
	b.report(of(d, 0, wire.OutcomeSending))
	b.report(of(d, 0, wire.OutcomeUnknown))
	r := proof(id, "mid-1", 0)
	ingest(t, b.Store, whatsapp, message.Event{ExternalID: "x", Receipt: &r})
	b.receipt(proof(id, "mid-2", 7))
	b.receipt(proof("nobody", "mid-3", 0))
	require.Equal(t, message.StatusUnknown, b.status(id))
	require.Zero(t, count(t, b.Store, "sent_ids"))
}
