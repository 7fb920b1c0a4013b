package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// bounce makes the platform fail, by a receipt, what it took.
func (b *box) bounce(externalID string) {
	b.t.Helper()
	require.Equal(b.t, wire.ResultStored, b.receipt(message.Receipt{ExternalID: externalID, Status: message.StatusFailed, Reason: "no such number"}))
}

func TestWhatAReceiptFailedIsADeadLetter(t *testing.T) {
	b := newBox(t, testCaps)
	bounced := b.send(b.met(telegram, "c1"), "one two three four")
	b.sent(b.leaseOne())
	require.Empty(t, b.deadLetters(everything, DeadLetterQuery{}))
	b.bounce(bounced + "/1")
	unknown := b.send(b.met(telegram, "c2"), "hello")
	b.die(b.leaseOne(), 0, wire.OutcomeUnknown, "")
	failed := b.send(b.met(telegram, "c3"), "hello")
	b.die(b.leaseOne(), 0, wire.OutcomeFailed, wire.ErrContentRejected)
	twice := b.send(b.met(telegram, "c4"), "one two three four")
	b.sent(b.leaseOne())
	b.bounce(twice + "/0")
	b.bounce(twice + "/1")
	stored(t, b.Store, telegram, echoOf("from the app", "hi"))
	b.bounce("from the app")

	all := []string{bounced, unknown, failed, twice}
	require.Equal(t, all, b.deadLetters(everything, DeadLetterQuery{}), "each once; what a person wrote in the app is not ours to send again")
	require.Equal(t, all, b.deadLetters(everything, DeadLetterQuery{PageQuery: PageQuery{Limit: 1}}), "page by page")
	require.Equal(t, []string{bounced, failed, twice}, b.deadLetters(everything, DeadLetterQuery{Status: message.StatusFailed}))
	require.Equal(t, []string{unknown}, b.deadLetters(everything, DeadLetterQuery{Status: message.StatusUnknown}))
	require.Equal(t, all, b.deadLetters(Scope{Namespaces: []string{"shop"}}, DeadLetterQuery{Channel: telegram}))
	require.Empty(t, b.deadLetters(Scope{Namespaces: []string{"other"}}, DeadLetterQuery{}))

	p, err := b.DeadLetters(t.Context(), everything, DeadLetterQuery{})
	require.NoError(t, err)
	d := p.Items[0]
	require.Equal(t, message.StatusFailed, d.Message.Status)
	require.Equal(t, "no such number", d.Message.Reason)
	require.Equal(t, []DeadPart{{0, "sent"}, {1, "failed"}}, d.Parts)

	b.receipt(message.Receipt{ExternalID: bounced + "/1", Status: message.StatusDelivered})
	require.Equal(t, []string{unknown, failed, twice}, b.deadLetters(everything, DeadLetterQuery{}), "it was delivered after all")
}

func TestARequeueSendsAnewWhatAReceiptFailed(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "one two three four")
	b.sent(b.leaseOne())
	b.bounce(id + "/0")
	m, err := b.Requeue(t.Context(), everything, id, UnknownRefuse)
	require.NoError(t, err)
	require.Equal(t, message.StatusQueued, m.Status)
	require.Empty(t, m.Reason)
	require.Empty(t, m.ExternalID, "it has none until it is sent")
	require.Empty(t, b.deadLetters(everything, DeadLetterQuery{}))
	_, err = b.Requeue(t.Context(), everything, id, UnknownRefuse)
	require.ErrorIs(t, err, ErrConflict, "it is on its way")

	d := b.leaseOne()
	require.Equal(t, id, d.ID)
	require.Equal(t, []int{0}, indexes(d))
	again := of(d, 0, wire.OutcomeSent)
	again.ExternalIDs = []string{"anew"}
	b.report(of(d, 0, wire.OutcomeSending), again)
	m = getMessage(t, b.Store, id)
	require.Equal(t, message.StatusSent, m.Status)
	require.Equal(t, "anew", m.ExternalID)

	// What the first attempt still hears does not count, nor is it another message's.
	require.Equal(t, wire.ResultStored, b.receipt(message.Receipt{ExternalID: id + "/0", Status: message.StatusRead}))
	require.Equal(t, message.StatusSent, b.status(id))
	b.receipt(message.Receipt{ExternalID: "anew", Status: message.StatusDelivered})
	b.receipt(message.Receipt{ExternalID: id + "/1", Status: message.StatusDelivered})
	require.Equal(t, message.StatusDelivered, b.status(id))
}

func TestWhatWasSentAnewCanFailAnew(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hello")
	b.sent(b.leaseOne())
	externalID := id + "/0"
	for _, next := range []string{"second", "third"} {
		b.bounce(externalID)
		require.Equal(t, []string{id}, b.deadLetters(everything, DeadLetterQuery{}))
		_, err := b.Requeue(t.Context(), everything, id, UnknownRefuse)
		require.NoError(t, err)
		d := b.leaseOne()
		sent := of(d, 0, wire.OutcomeSent)
		sent.ExternalIDs = []string{next}
		b.report(of(d, 0, wire.OutcomeSending), sent)
		require.Equal(t, message.StatusSent, b.status(id))
		externalID = next
	}
	_, err := b.Requeue(t.Context(), everything, id, UnknownRefuse)
	require.ErrorIs(t, err, ErrConflict, "it is no dead letter")
}
