package store

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func (b *box) deadLetters(scope Scope, q DeadLetterQuery) []string {
	b.t.Helper()
	var ids []string
	for {
		p, err := b.DeadLetters(context.Background(), scope, q)
		require.NoError(b.t, err)
		for _, d := range p.Items {
			ids = append(ids, d.Message.ID)
		}
		if q.After = p.Next; p.Next == "" {
			return ids
		}
	}
}

// die makes the delivery of a message end with this outcome of its part.
func (b *box) die(d wire.Delivery, part int, outcome wire.Outcome, class wire.ErrorClass) {
	b.t.Helper()
	reports := []wire.PartReport{}
	for i := range part {
		reports = append(reports, of(d, i, wire.OutcomeSending), of(d, i, wire.OutcomeSent))
	}
	last := of(d, part, outcome)
	last.Class, last.Reason = class, "no"
	b.report(append(reports, of(d, part, wire.OutcomeSending), last)...)
}

func TestDeadLettersAreListedByScopeChannelAndStatus(t *testing.T) {
	b := newBox(t, testCaps)
	b.load(append(testEntries(t), b.channel("shop/a", nil))...)
	failed := b.send(b.met(telegram, "c1"), "one two three four")
	b.die(b.leaseOne(), 1, wire.OutcomeFailed, wire.ErrContentRejected)
	unknown := b.send(b.met("shop/a", "c2"), "hello")
	b.die(b.leaseOne(), 0, wire.OutcomeUnknown, "")
	b.send(b.met(telegram, "c3"), "fine")
	b.sent(b.leaseOne())
	b.send(b.met(telegram, "c4"), "waits")

	all := []string{failed, unknown}
	require.Equal(t, all, b.deadLetters(everything, DeadLetterQuery{}))
	require.Equal(t, all, b.deadLetters(everything, DeadLetterQuery{PageQuery: PageQuery{Limit: 1}}), "page by page")
	require.Equal(t, all, b.deadLetters(Scope{Namespaces: []string{"shop", "other", ""}}, DeadLetterQuery{}))
	require.Equal(t, []string{failed}, b.deadLetters(everything, DeadLetterQuery{Channel: telegram}))
	require.Equal(t, []string{unknown}, b.deadLetters(everything, DeadLetterQuery{Status: message.StatusUnknown}))
	require.Empty(t, b.deadLetters(Scope{Namespaces: []string{"other"}}, DeadLetterQuery{}))
	require.Empty(t, b.deadLetters(Scope{}, DeadLetterQuery{}))
	_, err := b.DeadLetters(t.Context(), Scope{Namespaces: []string{"other"}}, DeadLetterQuery{Channel: telegram})
	require.ErrorIs(t, err, ErrNotFound)
	_, err = b.DeadLetters(t.Context(), everything, DeadLetterQuery{Status: message.StatusSent})
	require.ErrorContains(t, err, "status")

	p, err := b.DeadLetters(t.Context(), everything, DeadLetterQuery{Channel: telegram})
	require.NoError(t, err)
	d := p.Items[0]
	require.Equal(t, message.StatusFailed, d.Message.Status)
	require.Equal(t, "ContentRejected: no", d.Message.Reason)
	require.Equal(t, 1, d.Attempts)
	require.Equal(t, []DeadPart{{0, "sent"}, {1, "failed"}}, d.Parts)
}

func TestRequeueSendsWhatIsMissing(t *testing.T) {
	b := newBox(t, testCaps)
	conversation := b.met(telegram, "c1")
	id := b.send(conversation, "one two three four")
	b.die(b.leaseOne(), 1, wire.OutcomeFailed, wire.ErrContentRejected)
	later := b.send(conversation, "later")
	m, err := b.Requeue(t.Context(), everything, id, UnknownRefuse)
	require.NoError(t, err)
	require.Equal(t, message.StatusQueued, m.Status)
	require.Empty(t, m.Reason)
	require.Empty(t, b.deadLetters(everything, DeadLetterQuery{}))

	d := b.leaseOne()
	require.Equal(t, id, d.ID, "before what came after it")
	require.Equal(t, []int{1}, indexes(d))
	require.Equal(t, 1, d.Attempt, "it begins anew")
	b.sent(d)
	require.Equal(t, message.StatusSent, b.status(id))
	require.Equal(t, later, b.leaseOne().ID)

	_, err = b.Requeue(t.Context(), everything, id, UnknownRefuse)
	require.ErrorIs(t, err, ErrConflict, "it is no dead letter any more")
	_, err = b.Requeue(t.Context(), Scope{Namespaces: []string{"other"}}, id, UnknownRefuse)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = b.Requeue(t.Context(), everything, "nobody", UnknownRefuse)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestRequeueOfTheUnknownNeedsAWord(t *testing.T) {
	for _, c := range []struct {
		policy UnknownPolicy
		parts  []int // leased again
	}{
		{UnknownResend, []int{1, 2}},
		{UnknownSkip, []int{2}},
	} {
		t.Run(string(c.policy), func(t *testing.T) {
			b := newBox(t, testCaps)
			id := b.send(b.met(telegram, "c1"), "one two three four five six")
			b.die(b.leaseOne(), 1, wire.OutcomeUnknown, "")
			_, err := b.Requeue(t.Context(), everything, id, UnknownRefuse)
			var field *FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, "unknown", field.Field)
			require.Equal(t, message.StatusUnknown, b.status(id))
			_, err = b.Requeue(t.Context(), everything, id, "perhaps")
			require.ErrorAs(t, err, &field)

			_, err = b.Requeue(t.Context(), everything, id, c.policy)
			require.NoError(t, err)
			d := b.leaseOne()
			require.Equal(t, c.parts, indexes(d))
			b.sent(d)
			require.Equal(t, message.StatusSent, b.status(id))
		})
	}
}

func TestAnEditThatIsTakenAsDoneIsDoneHereToo(t *testing.T) {
	b := newBox(t, testCaps)
	conversation := b.met(telegram, "c1")
	id := b.send(conversation, "hello")
	b.sent(b.leaseOne())
	target := getMessage(t, b.Store, id).ExternalID
	edit := b.mustSend(conversation, SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeEdit, Target: target, Text: "hello you"})
	b.die(b.leaseOne(), 0, wire.OutcomeUnknown, "")
	_, err := b.Requeue(t.Context(), everything, edit, UnknownSkip)
	require.NoError(t, err)
	require.Equal(t, message.StatusSent, b.status(edit))
	require.Equal(t, "hello you", getMessage(t, b.Store, id).Text)
	require.Empty(t, b.lease(10))
}

func TestRequeueIsCheckedAsANewMessageIs(t *testing.T) {
	b := newBox(t, testCaps)
	gone := b.send(b.met(telegram, "c1"), "hello")
	b.die(b.leaseOne(), 0, wire.OutcomeFailed, wire.ErrRecipientGone)
	_, err := b.Requeue(t.Context(), everything, gone, UnknownRefuse)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "cannot be written to")
	b.clock.advance(time.Second)
	back := textFrom("c1", "back", "I am back")
	back.Message.Timestamp = b.clock.Now()
	stored(t, b.Store, telegram, back)
	_, err = b.Requeue(t.Context(), everything, gone, UnknownRefuse)
	require.NoError(t, err, "who writes again can be written to")
	b.sent(b.leaseOne())

	conversation := b.met(telegram, "c2")
	bot := b.mustSend(conversation, SendRequest{Author: message.Author{Kind: message.AuthorBot}, Epoch: 1, Type: message.TypeText, Text: "hello"})
	b.die(b.leaseOne(), 0, wire.OutcomeFailed, wire.ErrContentRejected)
	_, err = b.Assign(t.Context(), everything, conversation, Owner{Kind: OwnerAgent, Name: "ana"}, 0)
	require.NoError(t, err)
	_, err = b.Requeue(t.Context(), everything, bot, UnknownRefuse)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "another owner")

	person := b.send(conversation, "hello")
	b.die(b.leaseOne(), 0, wire.OutcomeFailed, wire.ErrContentRejected)
	b.load(append(testEntries(t)[:2], entry(t, document.EntryChannel, telegram, document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge, Deleting: true}))...)
	_, err = b.Requeue(t.Context(), everything, person, UnknownRefuse)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "not in service")
}

func TestARequeueIsDoneOncePerKey(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hello")
	for range 2 {
		b.die(b.leaseOne(), 0, wire.OutcomeFailed, wire.ErrContentRejected)
		_, err := b.Requeue(t.Context(), as("k1", id), id, UnknownRefuse)
		require.NoError(t, err)
		if b.status(id) == message.StatusFailed {
			return // the repetition did not send it once more
		}
	}
	t.Fatal("a repeated requeue sent it again")
}

// A Channel that moves to another store leaves behind what was queued. Nothing of
// it is lost: it is listed, and sent where the Channel comes back.
func TestWhatAChannelLeftBehindIsSentOnceItIsBack(t *testing.T) {
	b := newBox(t, testCaps)
	here := append(testEntries(t)[:2], b.channel("shop/a", nil))
	b.load(here...)
	conversation := b.met("shop/a", "c1")
	first, second := b.send(conversation, "one two three four"), b.send(conversation, "five")
	begun := b.leaseOne()
	b.report(of(begun, 0, wire.OutcomeSending), of(begun, 0, wire.OutcomeSent), of(begun, 1, wire.OutcomeReleased))

	b.load(testEntries(t)[:2]...)
	require.NoError(t, b.cancelGone(t.Context()))
	for _, id := range []string{first, second} {
		b.wantStatus(id, message.StatusCancelled, "ChannelGone")
		_, err := b.Requeue(t.Context(), everything, id, UnknownRefuse)
		require.ErrorIs(t, err, ErrConflict)
		require.ErrorContains(t, err, "shop/a is not in service")
	}
	cancelled := DeadLetterQuery{Status: message.StatusCancelled}
	require.Equal(t, []string{first, second}, b.deadLetters(everything, cancelled))
	require.Equal(t, []string{first, second}, b.deadLetters(everything, DeadLetterQuery{Status: message.StatusCancelled, Channel: "shop/a", PageQuery: PageQuery{Limit: 1}}))
	require.Empty(t, b.deadLetters(Scope{Namespaces: []string{"other"}}, cancelled))
	require.Empty(t, b.deadLetters(everything, DeadLetterQuery{}), "it was decided, and did not fail")

	b.load(here...)
	require.Empty(t, b.lease(10), "only what somebody asks for")
	for _, id := range []string{second, first} {
		_, err := b.Requeue(t.Context(), everything, id, UnknownRefuse)
		require.NoError(t, err)
	}
	require.Empty(t, b.deadLetters(everything, cancelled))
	for _, want := range []struct {
		id    string
		parts []int
	}{{first, []int{1}}, {second, []int{0}}} {
		d := b.leaseOne()
		require.Equal(t, want.id, d.ID)
		require.Equal(t, want.parts, indexes(d), "what was sent is not sent again")
		b.sent(d)
		b.wantStatus(want.id, message.StatusSent, "")
	}
}
