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

// echoOf is what a platform tells of something that the shop wrote to c1.
func echoOf(externalID, body string) message.Event {
	return message.Event{Message: &message.Message{Direction: message.Outbound, Echo: true, ExternalID: externalID, Type: message.TypeText, Text: body,
		Timestamp: testTime, Contact: &message.Contact{ExternalID: "c1"}}}
}

func (b *box) conversationTexts(conversation string) (texts []string) {
	b.t.Helper()
	p, err := b.ConversationMessages(b.t.Context(), everything, conversation, PageQuery{})
	require.NoError(b.t, err)
	for _, m := range p.Items {
		texts = append(texts, m.Text)
	}
	return texts
}

func TestAnEchoFasterThanTheReportIsAbsorbed(t *testing.T) {
	b := newBox(t, testCaps)
	conversation := b.met(telegram, "c1")
	id := b.send(conversation, "hi")
	d := b.leaseOne()
	b.report(of(d, 0, wire.OutcomeSending))
	echo := stored(t, b.Store, telegram, echoOf(id+"/0", "hi"))
	require.NotEqual(t, id, echo, "what is being sent is not found by its text")
	require.Equal(t, message.StatusQueued, b.status(id))
	b.receipt(message.Receipt{ExternalID: id + "/0", Status: message.StatusDelivered})
	ingest(t, b.Store, telegram, message.Event{Message: &message.Message{ExternalID: "r1", Type: message.TypeReaction, Timestamp: testTime,
		Contact: &message.Contact{ExternalID: "c1"}, Reaction: &message.Reaction{Emoji: "👍", Target: id + "/0"}}})
	_, cursor := eventsAfter(t, b.Store, 0)

	require.Equal(t, []bool{true}, b.report(of(d, 0, wire.OutcomeSent)))
	_, err := b.Message(t.Context(), everything, echo)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, []string{"hello", "hi"}, b.conversationTexts(conversation))
	m := getMessage(t, b.Store, id)
	require.Equal(t, message.StatusDelivered, m.Status, "what the echo's receipts said")
	require.Equal(t, id+"/0", m.ExternalID)
	require.False(t, m.Echo)
	require.Equal(t, []message.Reaction{{Emoji: "👍"}}, m.Reactions)
	p, err := b.Messages(t.Context(), everything, MessageQuery{Direction: message.Outbound})
	require.NoError(t, err)
	require.Len(t, p.Items, 1)

	var pages []string
	for q := (MessageQuery{PageQuery: PageQuery{Limit: 1}}); ; {
		p, err := b.Messages(t.Context(), everything, q)
		require.NoError(t, err)
		for _, m := range p.Items {
			pages = append(pages, m.Text)
		}
		if q.After = p.Next; p.Next == "" {
			break
		}
	}
	require.Equal(t, []string{"hello", "hi"}, pages)

	list, _ := eventsAfter(t, b.Store, cursor)
	require.Equal(t, EventMessageRemoved, list[0].Type)
	require.Equal(t, echo, list[0].MessageID)
	require.Nil(t, list[0].Message)
	require.Equal(t, conversation, list[0].Conversation)
	require.Equal(t, EventMessageUpdated, list[1].Type)
	require.Equal(t, id, list[1].MessageID)

	// From here on it is the sent message that is meant.
	b.receipt(message.Receipt{ExternalID: id + "/0", Status: message.StatusRead})
	require.Equal(t, message.StatusRead, b.status(id))
	r := ingest(t, b.Store, telegram, echoOf(id+"/0", "hi"))[0]
	require.Equal(t, wire.ElementResult{Result: wire.ResultDuplicate, ID: id}, r, "the platform repeats the echo")
	b.report(of(d, 0, wire.OutcomeSent))
	require.Equal(t, 1, count(t, b.Store, "messages WHERE direction = 'outbound'"), "the bridge repeats the report")
}

// The echo, its receipts and the report of the send may come in any order: one
// message remains, with the same status.
func TestAnyOrderOfEchoReceiptsAndReportGivesOneMessage(t *testing.T) {
	b := newBox(t, testCaps)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		receipts := rapid.SliceOfN(rapid.SampledFrom(receiptStatuses), 0, 3).Draw(rt, "receipts")
		watermark := rapid.Bool().Draw(rt, "watermark")
		steps := []int{-1, -2} // echo, report
		if watermark {
			steps = append(steps, -3)
		}
		for i := range receipts {
			steps = append(steps, i)
		}
		run := func(steps []int) message.Status {
			round++
			contact := fmt.Sprint("c", round)
			conversation := b.met(telegram, contact)
			id := b.send(conversation, "hi")
			var d wire.Delivery
			for _, x := range b.lease(1000) {
				if x.ID == id {
					d = x
				}
			}
			for _, step := range steps {
				switch step {
				case -1:
					echo := echoOf(id+"/0", "hi")
					echo.Message.Contact.ExternalID = contact
					ingest(b.t, b.Store, telegram, echo)
				case -2:
					sent := of(d, 0, wire.OutcomeSent)
					sent.SentAt = testTime
					b.report(sent)
				case -3:
					b.receipt(message.Receipt{Contact: contact, Watermark: testTime, Status: message.StatusDelivered})
				default:
					b.receipt(message.Receipt{ExternalID: id + "/0", Status: receipts[step]})
				}
			}
			require.Len(rt, b.conversationTexts(conversation), 2, "what they wrote, and the one that was sent")
			return b.status(id)
		}
		want := run(steps)
		require.Equal(rt, want, run(rapid.Permutation(steps).Draw(rt, "shuffled")))
	})
}

func TestEachPartAbsorbsItsOwnEcho(t *testing.T) {
	b := newBox(t, testCaps)
	conversation := b.met(telegram, "c1")
	id := b.send(conversation, "one two three four")
	d := b.leaseOne()
	for part, body := range []string{"one two", "three four"} {
		stored(t, b.Store, telegram, echoOf(of(d, part, wire.OutcomeSent).ExternalIDs[0], body))
	}
	b.receipt(message.Receipt{Contact: "c1", Watermark: testTime, Status: message.StatusRead})
	stored(t, b.Store, telegram, echoOf("from the app", "a person's"))
	b.report(of(d, 0, wire.OutcomeSending), of(d, 0, wire.OutcomeSent))
	require.Equal(t, message.StatusQueued, b.status(id))
	b.report(of(d, 1, wire.OutcomeSending), of(d, 1, wire.OutcomeSent))
	require.Equal(t, message.StatusRead, b.status(id))
	require.ElementsMatch(t, []string{"hello", "one two three four", "a person's"}, b.conversationTexts(conversation))
}

func TestAnEchosFailureIsThatOfTheSentMessage(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hi")
	d := b.leaseOne()
	stored(t, b.Store, telegram, echoOf(id+"/0", "hi"))
	b.receipt(message.Receipt{ExternalID: id + "/0", Status: message.StatusFailed, Reason: "no such number"})
	b.report(of(d, 0, wire.OutcomeSending), of(d, 0, wire.OutcomeSent))
	b.wantStatus(id, message.StatusFailed, "no such number")
	require.Equal(t, []string{id}, b.deadLetters(everything, DeadLetterQuery{}))
}

// After a crash nobody knows whether it was sent; an echo with the same text may
// be a person's. A late report tells.
func TestALateReportAbsorbsItsEcho(t *testing.T) {
	b := newBox(t, testCaps)
	conversation := b.met(telegram, "c1")
	id := b.send(conversation, "hi")
	d := b.leaseOne()
	b.report(of(d, 0, wire.OutcomeSending))
	b.clock.advance(10 * time.Minute)
	require.Empty(t, b.lease(10))
	require.Equal(t, message.StatusUnknown, b.status(id))
	stored(t, b.Store, telegram, echoOf(id+"/0", "hi"))
	require.Equal(t, message.StatusUnknown, b.status(id), "not guessed by its text")
	b.report(of(d, 0, wire.OutcomeSent))
	require.Equal(t, message.StatusSent, b.status(id))
	require.Equal(t, []string{"hello", "hi"}, b.conversationTexts(conversation))
}

func TestWhatWasDoneToAnEchoIsDoneToTheSentMessage(t *testing.T) {
	b := newBox(t, testCaps)
	conversation := b.met(telegram, "c1")
	change := func(kind message.Type, target, body string) {
		t.Helper()
		r := ingest(t, b.Store, telegram, message.Event{Message: &message.Message{Direction: message.Outbound, Echo: true, ExternalID: string(kind) + target, Type: kind,
			Target: target, Text: body, Timestamp: testTime.Add(time.Second), Contact: &message.Contact{ExternalID: "c1"}}})
		require.Equal(t, wire.ResultStored, r[0].Result, r[0].Message)
	}
	for _, kind := range []message.Type{message.TypeEdit, message.TypeDeletion} {
		id := b.send(conversation, "hi")
		d := b.leaseOne()
		stored(t, b.Store, telegram, echoOf(id+"/0", "hi"))
		change(kind, id+"/0", "hi you")
		b.report(of(d, 0, wire.OutcomeSending), of(d, 0, wire.OutcomeSent))
		m := getMessage(t, b.Store, id)
		if kind == message.TypeEdit {
			require.Equal(t, "hi you", m.Text)
			require.NotNil(t, m.EditedAt)
		} else {
			require.Empty(t, m.Text)
			require.NotNil(t, m.DeletedAt)
		}
	}
	require.Equal(t, 3, count(t, b.Store, "messages"))
}

func TestAnEchosAttachmentsGoWithIt(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hi")
	d := b.leaseOne()
	echo := echoOf(id+"/0", "")
	echo.Message.Type, echo.Message.Attachments = message.TypeImage, []message.Attachment{{Kind: message.TypeImage, Ref: "file-1"}}
	stored(t, b.Store, telegram, echo)
	require.Equal(t, 1, count(t, b.Store, "media"))
	b.report(of(d, 0, wire.OutcomeSending), of(d, 0, wire.OutcomeSent))
	require.Zero(t, count(t, b.Store, "media"))
	require.Zero(t, count(t, b.Store, "message_media"))
}

// Two sends under one id are the platform's mistake: neither is an echo.
func TestASentMessageIsAbsorbedByNoOther(t *testing.T) {
	b := newBox(t, testCaps)
	conversation := b.met(telegram, "c1")
	first, second := b.send(conversation, "one"), b.send(conversation, "two")
	for range 2 {
		d := b.leaseOne()
		sent := of(d, 0, wire.OutcomeSent)
		sent.ExternalIDs = []string{"same"}
		b.report(of(d, 0, wire.OutcomeSending), sent)
	}
	require.Equal(t, message.StatusSent, b.status(first))
	require.Equal(t, message.StatusSent, b.status(second))
	require.Equal(t, []string{"hello", "one", "two"}, b.conversationTexts(conversation))
}
