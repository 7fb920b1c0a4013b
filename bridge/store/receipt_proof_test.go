package store

import (
	"slices"
	"strings"
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
	id := b.send(b.met(telegram, "c1"), threeParts)
	d := b.leaseOne()
	b.report(of(d, 0, wire.OutcomeSending))
	b.clock.advance(10 * time.Minute)
	require.Empty(t, b.lease(10), "nobody knows what became of the first part")
	b.receipt(proof(id, "mid-1", 0))
	d = b.leaseOne()
	require.Equal(t, []int{1, 2}, indexes(d))
	b.sent(d)
	b.wantStatus(id, message.StatusSent, "")
}

// threeParts is a text that testCaps divide into three.
const threeParts = "aaaaaaaaaabbbbbbbbbbc"

// Whatever comes first of the platform's proof, the bridge's word and the end of
// the lease: the part that was proved is not sent again, and the others go at
// once, or as soon as the platform is to be tried again.
func TestAProofOfOnePartOfThreeInEveryOrder(t *testing.T) {
	const echo, report, end = "proof", "report", "end of the lease"
	orders := [][]string{{echo, report}, {report, echo}, {echo, end}, {end, echo}, {echo, end, report}, {report, end, echo}, {end, echo, report}, {end, report, echo}}
	const hold = 10 * time.Minute // as for an upload: its lease is the longest
	outcomes := map[wire.Outcome]wire.ErrorClass{
		wire.OutcomeSent: "", wire.OutcomeUnknown: wire.ErrRetryable, wire.OutcomeRetry: wire.ErrRetryable, wire.OutcomeReleased: "",
	}
	for outcome, class := range outcomes {
		for _, order := range orders {
			if outcome != wire.OutcomeUnknown && !slices.Contains(order, report) {
				continue // nobody tells it
			}
			t.Run(string(outcome)+"/"+strings.Join(order, ", "), func(t *testing.T) {
				b := newBox(t, testCaps)
				conversation := b.met(telegram, "c1")
				id, after := b.send(conversation, threeParts), b.send(conversation, "after")
				d := b.leaseOne()
				begin, told := of(d, 0, wire.OutcomeSending), of(d, 0, outcome)
				begin.Hold, told.Class = hold, class
				require.Equal(t, []bool{true}, b.report(begin))
				for _, step := range order {
					switch step {
					case echo:
						b.receipt(proof(id, id+"/0", 0))
					case report:
						b.report(told)
						if outcome == wire.OutcomeSent { // and the bridge shuts down
							b.report(of(d, 1, wire.OutcomeReleased))
						}
					case end:
						b.clock.advance(leaseFor + hold)
					}
				}
				b.wantRest(id, after)
			})
		}
	}
}

// wantRest wants the two parts after a proved one to be leased next, after a
// back-off at most, once, and before what was written later.
func (b *box) wantRest(id, after string) {
	b.t.Helper()
	var found []wire.Delivery
	for waited := time.Duration(0); len(found) == 0; waited += 100 * time.Millisecond {
		require.LessOrEqual(b.t, waited, time.Second, "the first back-off, which a refusal costs, is half a second here")
		if found = b.lease(10); len(found) == 0 {
			b.clock.advance(100 * time.Millisecond)
		}
	}
	require.Len(b.t, found, 1)
	require.Equal(b.t, id, found[0].ID)
	require.Equal(b.t, []int{1, 2}, indexes(found[0]))
	b.sent(found[0])
	b.wantStatus(id, message.StatusSent, "")
	require.Equal(b.t, after, b.leaseOne().ID)
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
