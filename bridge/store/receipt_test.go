package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// receipt hands in a receipt as its platform does; each has a key of its own.
func (b *box) receipt(r message.Receipt) wire.Result {
	b.t.Helper()
	if r.Timestamp.IsZero() {
		r.Timestamp = b.clock.Now()
	}
	key := fmt.Sprint(r.Contact, r.ExternalID, r.Watermark.UnixMilli(), r.Status)
	return ingest(b.t, b.Store, telegram, message.Event{ExternalID: key, Receipt: &r})[0].Result
}

func TestReceiptsClimb(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "one two three four")
	b.sent(b.leaseOne())
	_, cursor := eventsAfter(t, b.Store, 0)
	part := func(n int) string { return fmt.Sprintf("%s/%d", id, n) }
	for _, step := range []struct {
		r    message.Receipt
		want message.Status
	}{
		{message.Receipt{ExternalID: part(0), Status: message.StatusRead}, message.StatusSent},
		{message.Receipt{ExternalID: part(1), Status: message.StatusDelivered}, message.StatusDelivered},
		{message.Receipt{ExternalID: part(1), Status: message.StatusSent}, message.StatusDelivered},
		{message.Receipt{ExternalID: part(1), Status: message.StatusFailed, Reason: "late"}, message.StatusDelivered},
		{message.Receipt{ExternalID: part(1), Status: message.StatusRead}, message.StatusRead},
	} {
		require.Equal(t, wire.ResultStored, b.receipt(step.r))
		require.Equal(t, step.want, b.status(id), "%+v", step.r)
	}
	list, _ := eventsAfter(t, b.Store, cursor)
	require.Equal(t, []EventType{EventMessageUpdated, EventMessageUpdated}, eventTypes(list), "one event for each change of status")
}

func TestAFailedReceiptSaysWhy(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hello")
	b.sent(b.leaseOne())
	b.receipt(message.Receipt{ExternalID: id + "/0", Status: message.StatusFailed, Reason: "no such number"})
	b.wantStatus(id, message.StatusFailed, "no such number")
	b.receipt(message.Receipt{ExternalID: id + "/0", Status: message.StatusDelivered})
	b.wantStatus(id, message.StatusDelivered, "")
}

func TestAReceiptFasterThanTheReportWaits(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hello")
	d := b.leaseOne()
	b.report(of(d, 0, wire.OutcomeSending))
	require.Equal(t, wire.ResultParked, b.receipt(message.Receipt{ExternalID: id + "/0", Status: message.StatusDelivered}))
	require.Equal(t, message.StatusQueued, b.status(id))
	b.report(of(d, 0, wire.OutcomeSent))
	require.Equal(t, message.StatusDelivered, b.status(id))
	require.Zero(t, count(t, b.Store, "parked_events"))
}

func TestWatermarksCoverWhatWasSentUpToThem(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	send := func() string {
		id := b.send(conv, "hello")
		b.sent(b.leaseOne())
		b.clock.advance(time.Minute)
		return id
	}
	first, second, third := send(), send(), send()
	echo := message.Event{Message: &message.Message{Direction: message.Outbound, Echo: true, ExternalID: "from the app", Type: message.TypeText, Text: "hi",
		Timestamp: testTime.Add(30 * time.Second), Contact: &message.Contact{ExternalID: "c1"}}}
	app := stored(t, b.Store, telegram, echo)
	b.receipt(message.Receipt{Contact: "c1", Watermark: testTime.Add(time.Minute), Status: message.StatusRead})
	b.receipt(message.Receipt{Contact: "c1", Watermark: testTime.Add(2 * time.Minute), Status: message.StatusDelivered})
	b.receipt(message.Receipt{Contact: "nobody", Watermark: testTime.Add(time.Hour), Status: message.StatusRead})
	require.Equal(t, message.StatusRead, b.status(first))
	require.Equal(t, message.StatusRead, b.status(second))
	require.Equal(t, message.StatusDelivered, b.status(third))
	require.Equal(t, message.StatusRead, b.status(app))

	// A send that is reported after the watermark that covers it.
	fourth := b.send(conv, "hello")
	d := b.leaseOne()
	b.receipt(message.Receipt{Contact: "c1", Watermark: testTime.Add(time.Hour), Status: message.StatusRead})
	require.Equal(t, message.StatusQueued, b.status(fourth))
	r := of(d, 0, wire.OutcomeSent)
	r.SentAt = b.clock.Now()
	b.report(of(d, 0, wire.OutcomeSending), r)
	require.Equal(t, message.StatusRead, b.status(fourth))
}

func TestAnEchoAfterItsWatermark(t *testing.T) {
	b := newBox(t, testCaps)
	b.met(telegram, "c1")
	b.receipt(message.Receipt{Contact: "c1", Watermark: testTime.Add(time.Minute), Status: message.StatusRead})
	id := stored(t, b.Store, telegram, message.Event{Message: &message.Message{Direction: message.Outbound, Echo: true, ExternalID: "from the app", Type: message.TypeText, Text: "hi",
		Timestamp: testTime, Contact: &message.Contact{ExternalID: "c1"}}})
	require.Equal(t, message.StatusRead, b.status(id))
}

func TestReceiptsOfAnEcho(t *testing.T) {
	b := newBox(t, testCaps)
	id := stored(t, b.Store, telegram, message.Event{Message: &message.Message{Direction: message.Outbound, Echo: true, ExternalID: "from the app", Type: message.TypeText, Text: "hi",
		Timestamp: testTime, Contact: &message.Contact{ExternalID: "c1"}}})
	b.receipt(message.Receipt{ExternalID: "from the app", Status: message.StatusRead})
	b.receipt(message.Receipt{ExternalID: "from the app", Status: message.StatusDelivered})
	require.Equal(t, message.StatusRead, b.status(id))
}

// Receipts, watermarks and the reports of the sends themselves may come in any
// order and any number: the messages end with the same status.
func TestAnyOrderOfReceiptsGivesTheSameStatus(t *testing.T) {
	b := newBox(t, testCaps)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		contact := fmt.Sprint("c", round)
		conv := b.met(telegram, contact)
		const parts = 3
		actions := make([]int, 0, 16) // below parts: the report of that part; else a receipt
		n := rapid.IntRange(0, 5).Draw(rt, "receipts")
		receipts := make([]message.Receipt, n)
		for i := range receipts {
			actions = append(actions, parts+i)
			receipts[i].Status = rapid.SampledFrom(receiptStatuses).Draw(rt, "status")
			if rapid.Bool().Draw(rt, "watermark") {
				receipts[i].Contact = contact
				receipts[i].Watermark = testTime.Add(time.Duration(rapid.IntRange(0, parts).Draw(rt, "until")) * time.Second)
			} else {
				receipts[i].ExternalID = fmt.Sprint(rapid.IntRange(0, parts-1).Draw(rt, "part"))
			}
		}
		for i := range parts {
			actions = append(actions, i)
		}
		run := func(actions []int) message.Status {
			id := b.send(conv, "one two three four five")
			var d wire.Delivery
			for _, x := range b.lease(1000) {
				if x.ID == id {
					d = x
				}
			}
			for _, a := range actions {
				if a < parts {
					r := of(d, a, wire.OutcomeSent)
					r.SentAt = testTime.Add(time.Duration(a) * time.Second)
					b.report(r)
					continue
				}
				r := receipts[a-parts]
				if r.ExternalID != "" {
					r.ExternalID = id + "/" + r.ExternalID
				}
				b.receipt(r)
			}
			return b.status(id)
		}
		b.clock.advance(time.Hour)
		want := run(actions)
		// A contact of its own, as watermarks stay with the lane.
		contact2 := contact + "'"
		conv = b.met(telegram, contact2)
		for i := range receipts {
			if receipts[i].Contact != "" {
				receipts[i].Contact = contact2
			}
		}
		shuffled := rapid.Permutation(actions).Draw(rt, "shuffled")
		require.Equal(rt, want, run(append(shuffled, repeats(shuffled, parts)...)))
	})
}

// repeats are the receipts among actions once more.
func repeats(actions []int, parts int) []int {
	var list []int
	for _, a := range actions {
		if a >= parts {
			list = append(list, a)
		}
	}
	return list
}

// Where agents answer in the platform's own inbox, a watermark may overtake the
// first thing that is ever told about a contact.
func TestAWatermarkBeforeAnybodyMetTheContactWaits(t *testing.T) {
	echo := message.Event{Message: &message.Message{Direction: message.Outbound, Echo: true, ExternalID: "from the app", Type: message.TypeText, Text: "hi",
		Timestamp: testTime, Contact: &message.Contact{ExternalID: "new"}}}
	watermark := message.Receipt{Contact: "new", Watermark: testTime.Add(time.Minute), Status: message.StatusRead}
	t.Run("and then an echo comes", func(t *testing.T) {
		b := newBox(t, testCaps)
		require.Equal(t, wire.ResultParked, b.receipt(watermark))
		require.Equal(t, wire.ResultDuplicate, b.receipt(watermark))
		b.wantStatus(stored(t, b.Store, telegram, echo), message.StatusRead, "")
		require.Zero(t, count(t, b.Store, "parked_events"))
	})
	t.Run("and then they opt in, or write", func(t *testing.T) {
		for name, meet := range map[string]message.Event{
			"opt in": {ExternalID: "in", Membership: &message.Membership{Contact: message.Contact{ExternalID: "new"}, Status: message.MembershipOptedIn, Timestamp: testTime}},
			"write":  {Message: &message.Message{Direction: message.Inbound, ExternalID: "m", Type: message.TypeText, Text: "hello", Timestamp: testTime, Contact: &message.Contact{ExternalID: "new"}}},
		} {
			t.Run(name, func(t *testing.T) {
				b := newBox(t, testCaps)
				b.receipt(watermark)
				ingest(t, b.Store, telegram, meet)
				require.Zero(t, count(t, b.Store, "parked_events"))
				b.wantStatus(stored(t, b.Store, telegram, echo), message.StatusRead, "")
			})
		}
	})
}
