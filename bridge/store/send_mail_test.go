package store

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

var mailCaps = platform.Capabilities{Bundle: true, Threads: true, ReplyTo: true, Attachments: []message.Type{message.TypeImage}}

// mail makes a contact write an email, and returns the conversation.
func (b *box) mail(contact, id string, m message.Mail) string {
	b.t.Helper()
	b.clock.advance(time.Second)
	e := textFrom(contact, id, "text of "+id)
	e.Message.Mail, e.Message.Standby, e.Message.Timestamp = &m, m.Automated != "", b.clock.Now()
	return getMessage(b.t, b.Store, stored(b.t, b.Store, telegram, e)).Conversation
}

func TestAnAnswerContinuesTheThread(t *testing.T) {
	b := newBox(t, mailCaps)
	conv := b.mail("ana@customer.test", "q1@customer.test", message.Mail{Subject: "Parcel", References: []string{"q0@customer.test"}, Original: "all of it"})
	page, err := b.ConversationMessages(t.Context(), everything, conv, PageQuery{})
	require.NoError(t, err)
	require.Equal(t, &message.Mail{Subject: "Parcel", References: []string{"q0@customer.test"}, Original: "all of it"}, page.Items[0].Mail)
	b.mail("ana@customer.test", "q2@customer.test", message.Mail{Subject: "AW: Invoice"})
	b.mail("ana@customer.test", "away@customer.test", message.Mail{Subject: "Out of office", Automated: message.AutomatedReply})

	// The latest that a person wrote.
	first := b.leaseSent(conv, SendRequest{Author: agent, Type: message.TypeText, Text: "which one?"})
	require.Equal(t, "q2@customer.test", first.ReplyTo)
	require.Equal(t, &message.Mail{Subject: "AW: Invoice", References: []string{"q2@customer.test"}}, first.Parts[0].Mail)
	// The one that is named.
	second := b.leaseSent(conv, SendRequest{Author: agent, Type: message.TypeText, Text: "this one", ReplyTo: "q1@customer.test"})
	require.Equal(t, "q1@customer.test", second.ReplyTo)
	require.Equal(t, &message.Mail{Subject: "Re: Parcel", References: []string{"q0@customer.test", "q1@customer.test"}}, second.Parts[0].Mail)
	shown := getMessage(t, b.Store, second.ID)
	require.Equal(t, second.Parts[0].Mail, shown.Mail)
	require.Equal(t, "q1@customer.test", shown.ReplyTo)
	// One of ours: the thread goes on after it.
	third := b.leaseSent(conv, SendRequest{Author: agent, Type: message.TypeText, Text: "and also", ReplyTo: second.ID + "/0"})
	require.Equal(t, []string{"q0@customer.test", "q1@customer.test", second.ID + "/0"}, third.Parts[0].Mail.References)
	require.Equal(t, "Re: Parcel", third.Parts[0].Mail.Subject)
	// With a subject of its own it is in the thread all the same.
	fourth := b.leaseSent(conv, SendRequest{Author: agent, Type: message.TypeText, Text: "all done", Subject: "Your refund", ReplyTo: "q1@customer.test"})
	require.Equal(t, &message.Mail{Subject: "Your refund", References: []string{"q0@customer.test", "q1@customer.test"}}, fourth.Parts[0].Mail)
	_, err = b.Send(t.Context(), everything, conv, SendRequest{Author: agent, Type: message.TypeText, Text: "x", Subject: "two\nlines"})
	require.ErrorContains(t, err, "subject")
}

// A retry of what an older version queued has the same hash.
func TestAnIdempotencyKeyOutlivesAnUpgrade(t *testing.T) {
	raw, err := json.Marshal(SendRequest{Author: agent, Type: message.TypeText, Text: "x"})
	require.NoError(t, err)
	require.NotContains(t, string(raw), "Subject", "a field that came later is not in it when it is not used")
}

func TestOtherPlatformsHaveNoThreads(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	b.send(conv, "hello")
	d := b.leaseOne()
	require.Empty(t, d.ReplyTo)
	require.Nil(t, d.Parts[0].Mail)
	_, err := b.Send(t.Context(), everything, conv, SendRequest{Author: agent, Type: message.TypeText, Text: "x", Subject: "Your parcel"})
	require.ErrorContains(t, err, "subject")
}

func TestMachinesDoNotAnswerMachines(t *testing.T) {
	b := newBox(t, mailCaps)
	conv := b.mail("robot@customer.test", "r1@customer.test", message.Mail{Subject: "Ticket received", Automated: message.AutomatedReply})
	bot := SendRequest{Author: message.Author{Kind: message.AuthorBot, Name: "bot"}, Type: message.TypeText, Text: "beep"}
	bot.Epoch = getConversation(t, b.Store, conv).Epoch
	_, err := b.Send(t.Context(), everything, conv, bot)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "machines do not answer machines")
	b.leaseSent(conv, SendRequest{Author: agent, Type: message.TypeText, Text: "people may"})

	// A person in the same conversation is answered, and it says who speaks.
	b.mail("robot@customer.test", "p1@customer.test", message.Mail{Subject: "A person"})
	d := b.leaseSent(conv, bot)
	require.Equal(t, message.AutomatedReply, d.Parts[0].Mail.Automated)
	require.Equal(t, "p1@customer.test", d.ReplyTo)

	// One that takes a bot for a person is not talked to for ever.
	for i := 1; i < automatedMails; i++ {
		b.mail("robot@customer.test", fmt.Sprintf("again-%d@customer.test", i), message.Mail{})
		b.leaseSent(conv, bot)
	}
	_, err = b.Send(t.Context(), everything, conv, bot)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "two machines talking")
	b.leaseSent(conv, SendRequest{Author: agent, Type: message.TypeText, Text: "people may"})
	b.clock.advance(automatedWindow)
	b.leaseSent(conv, bot)
}

func TestReplySubject(t *testing.T) {
	for subject, want := range map[string]string{
		"": "", "Parcel": "Re: Parcel", "Re: Parcel": "Re: Parcel", "RE: Parcel": "RE: Parcel", "AW: Paket": "AW: Paket", "Re[2]: x": "Re[2]: x",
		"回复：包裹": "回复：包裹", "Fwd: x": "Re: Fwd: x", "Request: x": "Re: Request: x", "Reply": "Re: Reply",
	} {
		require.Equal(t, want, replySubject(subject))
	}
}

func TestReferencesKeepTheBeginningAndTheEnd(t *testing.T) {
	var list []string
	for i := range 50 {
		list = withReference(list, fmt.Sprint(i))
	}
	require.Len(t, list, maxReferences)
	require.Equal(t, []string{"0", "1", "2", "33"}, list[:firstReferences+1])
	require.Equal(t, "49", list[maxReferences-1])
}

// leaseSent sends a message and plays the bridge that sends it.
func (b *box) leaseSent(conv string, req SendRequest) wire.Delivery {
	b.t.Helper()
	b.mustSend(conv, req)
	d := b.leaseOne()
	b.sent(d)
	return d
}

// A machine's mail is in the transcript, and changes nothing: nobody who has
// solved, snoozed or answered a conversation has to look at an absence note.
func TestAnOutOfOfficeMailWakesNobody(t *testing.T) {
	for _, automated := range []message.Automated{message.AutomatedReply, message.AutomatedGenerated, message.AutomatedBounce} {
		for name, rest := range map[string]func(b *box, conv string) error{
			"solved": func(b *box, conv string) error {
				_, err := b.Resolve(b.t.Context(), everything, conv)
				return err
			},
			"solved long ago": func(b *box, conv string) error {
				_, err := b.Resolve(b.t.Context(), everything, conv)
				b.clock.advance(1000 * time.Hour)
				return err
			},
			"snoozed": func(b *box, conv string) error {
				_, err := b.Snooze(b.t.Context(), everything, conv, b.clock.Now().Add(time.Hour))
				return err
			},
		} {
			t.Run(string(automated)+" "+name, func(t *testing.T) {
				b := newBox(t, mailCaps)
				conv := b.mail("ana@customer.test", "q1@customer.test", message.Mail{Subject: "Parcel"})
				require.NoError(t, rest(b, conv))
				before := getConversation(t, b.Store, conv)
				require.Equal(t, conv, b.mail("ana@customer.test", "away@customer.test", message.Mail{Subject: "Away", Automated: automated}))
				after := getConversation(t, b.Store, conv)
				require.Equal(t, before.State, after.State)
				require.Equal(t, before.SolvedAt, after.SolvedAt)
				require.Contains(t, b.conversationTexts(conv), "text of away@customer.test")

				next := getConversation(t, b.Store, b.mail("ana@customer.test", "q2@customer.test", message.Mail{Subject: "Parcel"}))
				require.Equal(t, ConversationOpen, next.State, "a person does")
			})
		}
	}
}
