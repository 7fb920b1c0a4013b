package email

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	"github.com/bridgekeeper/bridgekeeper/hack/mailserver"
)

// customer reads the mailbox of the person whom the shop writes to, with the
// same code.
func (b box) customer() *reader {
	config := b.config()
	config.Address = b.from
	r := newReader(b.t, b.load(config)).start()
	r.wait("the first look", r.healthy)
	return r
}

func TestMailIsSentOverEachKindOfConnection(t *testing.T) {
	b := newBox(t)
	customer := b.customer()
	for i, mode := range []TLSMode{TLSImplicit, TLSStart} {
		config := b.config()
		if config.SMTP.TLS = mode; mode == TLSStart {
			config.SMTP.Port = b.Submission
		}
		result, err := New().Send(t.Context(), b.load(config), platform.Outgoing{Delivery: testDelivery, To: b.from, Part: wire.Part{Index: i, Text: "Grüße 👋\nsecond line\n.\n"}})
		require.NoError(t, err)
		require.Equal(t, []string{messageID(testDelivery, i, b.address)}, result.ExternalIDs)
	}
	customer.wait("both", func() bool { return len(customer.ids) == 2 })
	m := customer.events[0].Message
	require.Equal(t, "Grüße 👋\nsecond line\n.", m.Text)
	require.Equal(t, b.address, m.Contact.ExternalID)
	require.Equal(t, "The Shop", m.Contact.DisplayName)
	require.Equal(t, defaultSubject, m.Mail.Subject)
	require.Empty(t, m.Mail.Automated)

	config := b.config()
	config.SMTP.Port, config.SMTP.TLS = b.Submission, TLSNone
	_, err := New().Send(t.Context(), b.load(config), platform.Outgoing{Delivery: testDelivery, To: b.from, Part: wire.Part{Text: "x"}})
	require.Equal(t, wire.ErrMisconfigured, asError(t, err).Class, "this server takes no password without TLS: %s", err)
}

// TestAThreadAndItsFiles: a customer writes, the shop answers with files, the
// customer answers that, and each names the mail before it.
func TestAThreadAndItsFiles(t *testing.T) {
	b := newBox(t)
	config := b.config()
	config.PlusAddressing = true
	shop := b.load(config)
	reader := newReader(t, shop).start()
	reader.wait("the first look", reader.healthy)
	customer := b.customer()

	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "from the web") }))
	t.Cleanup(web.Close)
	picture := bytes.Repeat([]byte{0, 1, 2, 250}, 50_000)
	_, err := New().Send(t.Context(), shop, platform.Outgoing{
		Delivery: testDelivery, To: b.from, ReplyTo: "first@customer.test",
		OpenMedia: func(_ context.Context, id string) (io.ReadCloser, error) {
			require.Equal(t, "media-1", id)
			return io.NopCloser(bytes.NewReader(picture)), nil
		},
		Part: wire.Part{
			Text: "Here it is.", Mail: &message.Mail{Subject: "Re: Größe\r\nBcc: all@customer.test", References: []string{"zero@customer.test", "derived:0123", "bad id\r\nX: y"}},
			Attachments: []message.Attachment{
				{Kind: message.TypeImage, MediaID: "media-1", MimeType: "image/png", Name: "Über uns.png", Size: int64(len(picture))},
				{Kind: message.TypeFile, URL: web.URL + "/terms.txt"},
			},
		},
	})
	require.NoError(t, err)
	customer.wait("the answer", func() bool { return len(customer.ids) == 1 })
	m := customer.events[0].Message
	require.Equal(t, "Here it is.", m.Text)
	require.Equal(t, "Re: Größe Bcc: all@customer.test", m.Mail.Subject)
	require.Equal(t, "first@customer.test", m.ReplyTo)
	require.Equal(t, []string{"zero@customer.test", "first@customer.test"}, m.Mail.References)
	require.Equal(t, withToken(b.address, testDelivery), m.Contact.ExternalID, "answers go to the address with the token")
	require.Len(t, m.Attachments, 2)
	require.Equal(t, "Über uns.png", m.Attachments[0].Name)
	require.Equal(t, "terms.txt", m.Attachments[1].Name)
	for i, want := range [][]byte{picture, []byte("from the web")} {
		media, err := New().FetchMedia(t.Context(), customer.ch, m.Attachments[i].Ref)
		require.NoError(t, err)
		got, err := io.ReadAll(media.Body)
		require.NoError(t, err)
		require.NoError(t, media.Body.Close())
		require.True(t, bytes.Equal(want, got))
	}

	// The customer's program keeps no references; the address has the token.
	_, err = New().Send(t.Context(), customer.ch, platform.Outgoing{Delivery: "01JD3M9ZK6X4Y8W2V5T7R9Q1NC", To: m.Contact.ExternalID, Part: wire.Part{Text: "Thank you"}})
	require.NoError(t, err)
	reader.wait("the thanks", func() bool { return len(reader.ids) == 1 })
	require.Equal(t, messageID(testDelivery, 0, b.address), reader.events[0].Message.ReplyTo)
}

func TestAttachmentsAreFoundAfterTheMailboxWasNumberedAnew(t *testing.T) {
	b := newBox(t)
	r := newReader(t, b.load(b.config())).start()
	r.wait("the first look", r.healthy)
	b.save(strings.Replace(b.plainMail("one@customer.test", "x"), "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nx\n",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nsee file\n--b\nContent-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n--b--\n", 1))
	r.wait("the mail", func() bool { return len(r.ids) == 1 })
	ref, ok := parseRef(r.events[0].Message.Attachments[0].Ref)
	require.True(t, ok)
	ref.validity++
	ref.uid += 100
	media, err := New().FetchMedia(t.Context(), r.ch, ref.String())
	require.NoError(t, err)
	got, err := io.ReadAll(media.Body)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.NoError(t, media.Body.Close())
	ref.messageID = "other@customer.test"
	require.NoError(t, b.Expunge(t.Context(), b.address))
	for _, gone := range []string{ref.String(), r.events[0].Message.Attachments[0].Ref, "nonsense"} {
		_, err = New().FetchMedia(t.Context(), r.ch, gone)
		require.Equal(t, wire.ErrContentRejected, asError(t, err).Class)
	}
}

func TestABounceBecomesAFailedReceipt(t *testing.T) {
	b := newBox(t)
	shop := b.load(b.config())
	r := newReader(t, shop).start()
	r.wait("the first look", r.healthy)
	result, err := New().Send(t.Context(), shop, platform.Outgoing{Delivery: testDelivery, To: mailserver.Gone, Part: wire.Part{Text: "Are you there?"}})
	require.NoError(t, err)
	r.wait("the bounce", func() bool { return len(r.events) == 1 })
	receipt := r.events[0].Receipt
	require.NotNil(t, receipt)
	require.Equal(t, result.ExternalIDs[0], receipt.ExternalID)
	require.Equal(t, message.StatusFailed, receipt.Status)
	require.Equal(t, "5.1.1: the mailbox does not exist", receipt.Reason)

	_, err = New().Send(t.Context(), shop, platform.Outgoing{Delivery: testDelivery, To: "nobody@" + mailserver.CustomerDomain, Part: wire.Part{Text: "Anybody?"}})
	require.Equal(t, wire.ErrRecipientGone, asError(t, err).Class, "refused at once: %s", err)
}

func TestTokensLogIn(t *testing.T) {
	b := newBox(t)
	b.Grant("token-of-today", b.address)
	customer := b.customer()
	var asked []string
	tokens := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.FormValue("grant_type"))
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("refresh_token") == "revoked-refresh-token" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"revoked-refresh-token was revoked"}`)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"token-of-today","token_type":"Bearer","expires_in":3600}`)
	}))
	t.Cleanup(tokens.Close)
	for name, tt := range map[string]struct {
		oauth       *OAuth2
		credentials map[string]string
		class       wire.ErrorClass
	}{
		"given":              {nil, map[string]string{KeyAccessToken: "token-of-today"}, ""},
		"given, out of date": {nil, map[string]string{KeyAccessToken: "token-of-yesterday"}, wire.ErrAuthInvalid},
		"refreshed":          {&OAuth2{TokenURL: tokens.URL, ClientID: "c"}, map[string]string{KeyRefreshToken: "good-refresh-token"}, ""},
		"client credentials": {&OAuth2{TokenURL: tokens.URL, ClientID: "c"}, map[string]string{KeyClientSecret: "client-secret"}, ""},
		"revoked":            {&OAuth2{TokenURL: tokens.URL, ClientID: "c"}, map[string]string{KeyRefreshToken: "revoked-refresh-token"}, wire.ErrAuthInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			config := b.config()
			config.Auth = &Auth{Type: AuthOAuth2, OAuth2: tt.oauth}
			spec := specOf(t, config, tt.credentials)
			spec.Client = tokens.Client()
			ch, err := New().Load(t.Context(), spec)
			require.NoError(t, err)
			_, err = New().Probe(t.Context(), ch)
			if tt.class != "" {
				e := asError(t, err)
				require.Equal(t, tt.class, e.Class, e.Reason)
				for _, secret := range tt.credentials {
					require.NotContains(t, e.Reason, secret)
				}
				return
			}
			require.NoError(t, err)
			_, err = New().Send(t.Context(), ch, platform.Outgoing{Delivery: testDelivery, To: b.from, Part: wire.Part{Index: len(name), Text: name}})
			require.NoError(t, err)
		})
	}
	require.Subset(t, asked, []string{"refresh_token", "client_credentials"})
	customer.wait("the mail", func() bool { return len(customer.ids) == 3 })
}

// TestABrokenAttachmentSendsNothing: half a mail must not arrive.
func TestABrokenAttachmentSendsNothing(t *testing.T) {
	b := newBox(t)
	customer := b.customer()
	shop := b.load(b.config())
	part := wire.Part{Text: "see file", Attachments: []message.Attachment{{Kind: message.TypeFile, MediaID: "x", Name: "x.bin"}}}
	_, err := New().Send(t.Context(), shop, platform.Outgoing{Delivery: testDelivery, To: b.from, Part: part, OpenMedia: func(context.Context, string) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, 300_000)), iotest.ErrReader(errors.New("the disk is gone")))), nil
	}})
	e := asError(t, err)
	require.Equal(t, wire.ErrRetryable, e.Class)
	require.False(t, e.MaybeSent)
	_, err = New().Send(t.Context(), shop, platform.Outgoing{Delivery: testDelivery, To: b.from, Part: wire.Part{Text: "whole"}})
	require.NoError(t, err)
	customer.wait("the whole one", func() bool { return len(customer.ids) > 0 })
	require.Equal(t, "whole", customer.events[0].Message.Text)

	part.Attachments[0].Size = 28 << 20 // the server takes 30 MB
	_, err = New().Send(t.Context(), shop, platform.Outgoing{Delivery: testDelivery, To: b.from, Part: part, OpenMedia: func(context.Context, string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("")), nil
	}})
	require.Equal(t, wire.ErrContentRejected, asError(t, err).Class)
	require.Contains(t, err.Error(), "30000000")
}

func TestSendTimeoutGrowsWithTheAttachments(t *testing.T) {
	short := New().SendTimeout(wire.Part{Text: "x"})
	require.GreaterOrEqual(t, short, submitTimeout)
	long := New().SendTimeout(wire.Part{Attachments: []message.Attachment{{Size: 9 << 20}, {Size: 9 << 20}}})
	require.Greater(t, long, short+90*time.Second)
	require.Equal(t, New().SendTimeout(wire.Part{Attachments: []message.Attachment{{}}}), New().SendTimeout(wire.Part{Attachments: []message.Attachment{{Size: 1 << 40}}}))
}

func asError(t *testing.T, err error) *platform.Error {
	t.Helper()
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	return e
}

// TestClassify: replies of real servers, and what they mean.
func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		at    stage
		code  int
		reply string // enhanced code and words
		class wire.ErrorClass
		scope wire.RateScope
		after time.Duration
	}{
		{stageRecipient, 550, "5.1.1 The email account that you tried to reach does not exist (Gmail)", wire.ErrRecipientGone, "", 0},
		{stageRecipient, 550, "User unknown", wire.ErrRecipientGone, "", 0},
		{stageRecipient, 550, "5.1.10 RESOLVER.ADR.RecipientNotFound (Exchange)", wire.ErrRecipientGone, "", 0},
		{stageRecipient, 550, "5.4.1 Recipient address rejected: Access denied (Exchange)", wire.ErrRecipientGone, "", 0},
		{stageRecipient, 556, "5.1.10 Recipient address has null MX", wire.ErrRecipientGone, "", 0},
		{stageRecipient, 501, "5.1.3 Bad recipient address syntax", wire.ErrRecipientGone, "", 0},
		{stageRecipient, 554, "5.7.1 <x@y>: Relay access denied (Postfix, not logged in)", wire.ErrMisconfigured, "", 0},
		{stageSender, 553, "5.7.1 <a@b>: Sender address rejected: not owned by user c (Postfix)", wire.ErrMisconfigured, "", 0},
		{stageContent, 554, "5.2.252 SendAsDenied; not allowed to send as (Exchange)", wire.ErrMisconfigured, "", 0},
		{stageLogin, 535, "5.7.8 Error: authentication failed", wire.ErrAuthInvalid, "", 0},
		{stageLogin, 534, "5.7.9 Application-specific password required (Gmail)", wire.ErrAuthInvalid, "", 0},
		{stageLogin, 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled (Exchange)", wire.ErrAuthInvalid, "", 0},
		{stageLogin, 454, "4.7.0 Temporary authentication failure: Connection lost to authentication server", wire.ErrRetryable, "", 0},
		{stageLogin, 504, "5.5.4 Unrecognized authentication type", wire.ErrMisconfigured, "", 0},
		{stageSender, 530, "5.7.0 Authentication Required", wire.ErrMisconfigured, "", 0},
		{stageSender, 530, "Authentication required", wire.ErrAuthInvalid, "", 0},
		{stageSender, 552, "5.3.4 Message size exceeds fixed limit", wire.ErrContentRejected, "", 0},
		{stageContent, 552, "5.2.3 message exceeds the recipient's limit", wire.ErrContentRejected, "", 0},
		{stageContent, 554, "5.7.1 Spam message rejected", wire.ErrContentRejected, "", 0},
		{stageContent, 550, "5.7.26 unauthenticated sender (Gmail)", wire.ErrContentRejected, "", 0},
		{stageContent, 550, "5.6.0 malformed", wire.ErrContentRejected, "", 0},
		{stageRecipient, 552, "5.2.2 mailbox full", wire.ErrRetryable, "", time.Hour},
		{stageRecipient, 452, "4.2.2 The email account is over quota (Gmail)", wire.ErrRetryable, "", time.Hour},
		{stageRecipient, 450, "4.2.0 <x@y>: Recipient address rejected: Greylisted, see help", wire.ErrRetryable, "", 5 * time.Minute},
		{stageRecipient, 450, "4.2.1 The user you are trying to contact is receiving mail at a rate that prevents delivery (Gmail)", wire.ErrRateLimited, wire.ScopeContact, time.Minute},
		{stageContent, 421, "4.7.28 unusual rate of mail (Gmail)", wire.ErrRateLimited, wire.ScopeChannel, time.Minute},
		{stageSender, 450, "4.7.1 Error: too much mail from 1.2.3.4 (Postfix)", wire.ErrRateLimited, wire.ScopeChannel, time.Minute},
		{stageSender, 432, "4.3.2 Concurrent connections limit exceeded (Exchange)", wire.ErrRateLimited, wire.ScopeChannel, time.Minute},
		{stageHello, 421, "4.3.2 Service not available, closing transmission channel", wire.ErrRetryable, "", 0},
		{stageContent, 451, "4.3.0 queue file write error", wire.ErrRetryable, "", 0},
		{stageHello, 554, "5.7.1 Service unavailable; client host blocked", wire.ErrMisconfigured, "", 0},
		{stageContent, 599, "what is this", wire.ErrContentRejected, "", 0},
		{stageSender, 555, "5.9.9 what is this", wire.ErrUnknown, "", 0},
	} {
		e := classify(tt.at, replied(tt.code, tt.reply))
		require.Equal(t, tt.class, e.Class, "%d %s", tt.code, tt.reply)
		require.Equal(t, tt.scope, e.Scope, tt.reply)
		require.Equal(t, tt.after, e.RetryAfter, tt.reply)
		require.False(t, e.MaybeSent)
	}
}

func replied(code int, text string) *smtp.SMTPError {
	e := &smtp.SMTPError{Code: code, Message: text}
	if found := statusCode.FindString(text); found != "" && strings.HasPrefix(text, found) {
		var n [3]int
		for i, word := range strings.Split(found, ".") {
			for _, digit := range word {
				n[i] = n[i]*10 + int(digit-'0')
			}
		}
		e.EnhancedCode, e.Message = n, strings.TrimSpace(strings.TrimPrefix(text, found))
	}
	return e
}
