package store

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

var agent = message.Author{Kind: message.AuthorAgent, Name: "ann"}

func TestSendNamesTheFieldThatIsWrong(t *testing.T) {
	caps := testCaps
	caps.MaxUpload = 4
	b := newBox(t, caps)
	conv := b.met(telegram, "c1")
	big, err := b.UploadMedia(t.Context(), everything, "shop", MediaMeta{MimeType: "image/png", Name: "a.png"}, strings.NewReader("12345"))
	require.NoError(t, err)
	elsewhere, err := b.UploadMedia(t.Context(), everything, "other", MediaMeta{MimeType: "image/png"}, strings.NewReader("1"))
	require.NoError(t, err)
	image := func(change func(*message.Attachment)) []message.Attachment {
		a := message.Attachment{Kind: message.TypeImage, URL: "https://example.com/a.png"}
		change(&a)
		return []message.Attachment{a}
	}
	for _, c := range []struct {
		field string
		req   SendRequest
	}{
		{"type", SendRequest{Author: agent, Type: message.TypePostback, Text: "x"}},
		{"type", SendRequest{Author: agent, Type: "teletype", Text: "x"}},
		{"text", SendRequest{Author: agent, Type: message.TypeText}},
		{"text", SendRequest{Author: agent, Type: message.TypeText, Text: "  \n "}},
		{"text", SendRequest{Author: agent, Type: message.TypeText, Text: "a\xffb"}},
		{"text", SendRequest{Author: agent, Type: message.TypeText, Text: strings.Repeat("x", platform.MaxParts*10+1)}},
		{"author.kind", SendRequest{Type: message.TypeText, Text: "x"}},
		{"author.kind", SendRequest{Author: message.Author{Kind: message.AuthorContact}, Type: message.TypeText, Text: "x"}},
		{"attachments", SendRequest{Author: agent, Type: message.TypeImage}},
		{"attachments", SendRequest{Author: agent, Type: message.TypeImage, Attachments: make([]message.Attachment, attachmentsMax+1)}},
		{"attachments[0].kind", SendRequest{Author: agent, Type: message.TypeVideo, Attachments: image(func(a *message.Attachment) { a.Kind = message.TypeVideo })}},
		{"attachments[0].url", SendRequest{Author: agent, Type: message.TypeImage, Attachments: image(func(a *message.Attachment) { a.URL = "file:///etc/passwd" })}},
		{"attachments[0]", SendRequest{Author: agent, Type: message.TypeImage, Attachments: image(func(a *message.Attachment) { a.URL = "" })}},
		{"attachments[0].mediaId", SendRequest{Author: agent, Type: message.TypeImage, Attachments: image(func(a *message.Attachment) { a.URL, a.MediaID = "", "nope" })}},
		{"attachments[0].mediaId", SendRequest{Author: agent, Type: message.TypeImage, Attachments: image(func(a *message.Attachment) { a.URL, a.MediaID = "", elsewhere })}},
		{"attachments[0].size", SendRequest{Author: agent, Type: message.TypeImage, Attachments: image(func(a *message.Attachment) { a.URL, a.MediaID = "", big })}},
		{"location", SendRequest{Author: agent, Type: message.TypeLocation}},
		{"location.latitude", SendRequest{Author: agent, Type: message.TypeLocation, Location: &message.Location{Latitude: 91}}},
		{"buttons", SendRequest{Author: agent, Type: message.TypeText, Text: "x", Buttons: make([]message.Button, 4)}},
		{"buttons[0].title", SendRequest{Author: agent, Type: message.TypeText, Text: "x", Buttons: []message.Button{{Payload: "y"}}}},
		{"target", SendRequest{Author: agent, Type: message.TypeText, Text: "x", Target: "hello of c1"}},
		{"target", SendRequest{Author: agent, Type: message.TypeEdit, Text: "x"}},
		{"target", SendRequest{Author: agent, Type: message.TypeEdit, Text: "x", Target: "no such message"}},
		{"target", SendRequest{Author: agent, Type: message.TypeEdit, Text: "x", Target: "hello of c1"}},
		{"target", SendRequest{Author: agent, Type: message.TypeDeletion, Target: "hello of c1"}},
		{"reaction", SendRequest{Author: agent, Type: message.TypeText, Text: "x", Reaction: &message.Reaction{Emoji: "👍"}}},
		{"reaction", SendRequest{Author: agent, Type: message.TypeReaction}},
		{"reaction.target", SendRequest{Author: agent, Type: message.TypeReaction, Reaction: &message.Reaction{Emoji: "👍"}}},
		{"reaction.target", SendRequest{Author: agent, Type: message.TypeReaction, Reaction: &message.Reaction{Emoji: "👍", Target: "no such message"}}},
		{"replyTo", SendRequest{Author: agent, Type: message.TypeText, Text: "x", ReplyTo: strings.Repeat("x", maxExternalID+1)}},
		{"idempotencyKey", SendRequest{Author: agent, Type: message.TypeText, Text: "x", IdempotencyKey: strings.Repeat("x", keyMax+1)}},
	} {
		_, err := b.Send(t.Context(), everything, conv, c.req)
		var fe *FieldError
		require.ErrorAs(t, err, &fe, "%s: %+v", c.field, c.req)
		require.Equal(t, c.field, fe.Field, "%v", err)
	}
	require.Zero(t, count(t, b.Store, "deliveries"))
	require.Empty(t, b.lease(10))
}

func TestSendIsRefusedWhereThereIsNoWay(t *testing.T) {
	b := newBox(t, testCaps)
	conv, wa := b.met(telegram, "c1"), b.met(whatsapp, "c1")
	req := SendRequest{Author: agent, Type: message.TypeText, Text: "x"}
	_, err := b.Send(t.Context(), Scope{Namespaces: []string{"other"}}, conv, req)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = b.Send(t.Context(), everything, "no such conversation", req)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = b.Send(t.Context(), everything, wa, req)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "whatsapp")
	b.load(testEntries(t)[:2]...)
	_, err = b.Send(t.Context(), everything, conv, req)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "shop/telegram")
}

func TestIdempotencyKeys(t *testing.T) {
	b := newBox(t, testCaps)
	conv, other := b.met(telegram, "c1"), b.met(telegram, "c2")
	req := SendRequest{IdempotencyKey: "k1", Author: agent, Type: message.TypeText, Text: "hello"}
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			m, err := b.Send(context.Background(), everything, conv, req)
			if err == nil {
				ids[i] = m.ID
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.NotEmpty(t, id)
		require.Equal(t, ids[0], id, "one message, however many callers")
	}
	require.Equal(t, 1, count(t, b.Store, "deliveries"))

	changed := req
	changed.Text = "hello!"
	_, err := b.Send(t.Context(), everything, conv, changed)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, `"k1"`)
	_, err = b.Send(t.Context(), everything, other, req)
	require.ErrorIs(t, err, ErrConflict, "another conversation is other content")

	// The answer stays the first one, even when sending would be refused by now.
	ingest(t, b.Store, telegram, message.Event{ExternalID: "u1", Membership: &message.Membership{Contact: message.Contact{ExternalID: "c1"}, Status: message.MembershipOptedOut, Timestamp: testTime.Add(time.Minute)}})
	require.Equal(t, ids[0], b.mustSend(conv, req))

	b.clock.advance(keysKeptFor + time.Second)
	require.NoError(t, b.forgetKeys(t.Context()))
	require.Zero(t, count(t, b.Store, "idempotency_keys"))
}

func TestAnEditADeletionAndAReactionTakeEffectOnceSent(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	short, long := b.send(conv, "short"), b.send(conv, "one two three four")
	b.sent(b.leaseOne())
	b.sent(b.leaseOne())

	edit := b.mustSend(conv, SendRequest{Author: agent, Type: message.TypeEdit, Target: short + "/0", Text: "better"})
	m := getMessage(t, b.Store, edit)
	require.Equal(t, message.TypeEdit, m.Type)
	require.Equal(t, short+"/0", m.Target)
	d := b.leaseOne()
	require.Equal(t, []wire.Part{{Action: message.TypeEdit, Target: short + "/0", Text: "better"}}, d.Parts)
	require.Equal(t, "short", getMessage(t, b.Store, short).Text)
	r := of(d, 0, wire.OutcomeSent)
	r.ExternalIDs = []string{short + "/0"} // platforms answer with the id of what was edited
	b.report(of(d, 0, wire.OutcomeSending), r)
	m = getMessage(t, b.Store, short)
	require.Equal(t, "better", m.Text)
	require.NotNil(t, m.EditedAt)
	require.Equal(t, message.StatusSent, b.status(edit))

	_, err := b.Send(t.Context(), everything, conv, SendRequest{Author: agent, Type: message.TypeEdit, Target: long + "/1", Text: "x"})
	var fe *FieldError
	require.ErrorAs(t, err, &fe)
	require.Equal(t, "target", fe.Field)
	b.mustSend(conv, SendRequest{Author: agent, Type: message.TypeDeletion, Target: long + "/1"})
	d = b.leaseOne()
	require.Equal(t, []wire.Part{{Action: message.TypeDeletion, Target: long + "/0"}, {Index: 1, Action: message.TypeDeletion, Target: long + "/1"}}, d.Parts, "all of the message")
	b.sent(d)
	require.NotNil(t, getMessage(t, b.Store, long).DeletedAt)

	react := func(r message.Reaction) {
		b.mustSend(conv, SendRequest{Author: agent, Type: message.TypeReaction, Reaction: &r})
		b.sent(b.leaseOne())
	}
	hello, found, err := idOf(t, b.Store, "hello of c1")
	require.NoError(t, err)
	require.True(t, found)
	react(message.Reaction{Emoji: "👍", Target: "hello of c1"})
	require.Equal(t, []message.Reaction{{Emoji: "👍"}}, getMessage(t, b.Store, hello).Reactions)
	react(message.Reaction{Action: message.ReactionRemove, Target: "hello of c1"})
	require.Empty(t, getMessage(t, b.Store, hello).Reactions)
}

func idOf(t testing.TB, s *Store, externalID string) (id string, found bool, err error) {
	t.Helper()
	found, err = one(t.Context(), s.read, []any{&id}, `SELECT id FROM external_ids WHERE channel = ? AND kind = 'message' AND external_id = ?`, telegram, externalID)
	return id, found, err
}

func TestAnUploadIsSent(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	media, err := b.UploadMedia(t.Context(), everything, "shop", MediaMeta{MimeType: "image/png", Name: "a.png"}, strings.NewReader("12345"))
	require.NoError(t, err)
	b.mustSend(conv, SendRequest{Author: agent, Type: message.TypeImage, Attachments: []message.Attachment{{Kind: message.TypeImage, MediaID: media, Caption: "look", Ref: "not ours to set"}}})
	d := b.leaseOne()
	require.Equal(t, []wire.Part{{Attachment: &message.Attachment{Kind: message.TypeImage, MediaID: media, MimeType: "image/png", Name: "a.png", Size: 5, Caption: "look"}}}, d.Parts)
	require.Equal(t, 1, count(t, b.Store, "message_media"))
}

// A platform repeats what it was sent as an echo; it is the same message.
func TestTheEchoOfASentMessageIsNoOtherMessage(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hello")
	b.sent(b.leaseOne())
	r := ingest(t, b.Store, telegram, message.Event{Message: &message.Message{Direction: message.Outbound, Echo: true, ExternalID: id + "/0", Type: message.TypeText, Text: "hello",
		Timestamp: testTime, Contact: &message.Contact{ExternalID: "c1"}}})
	require.Equal(t, wire.ResultDuplicate, r[0].Result)
}

func TestRetentionTakesQueuedMessagesAlong(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	b.send(conv, "never sent")
	leased := b.leaseOne()
	settings := testSettings
	t.Cleanup(func() { testSettings = settings })
	testSettings.Retention.Messages = document.Duration(time.Hour)
	b.load()
	b.clock.advance(2 * time.Hour)
	w := sweeper{s: b.Store}
	require.NoError(t, w.sweep(t.Context()))
	require.Zero(t, count(t, b.Store, "delivery_parts"))
	require.Equal(t, []bool{false}, b.report(of(leased, 0, wire.OutcomeSent)))
	require.Empty(t, b.lease(10))
	b.met(telegram, "c2")
	next := b.send(b.met(telegram, "c3"), "next")
	require.Equal(t, next, b.leaseOne().ID)
}
