package email

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/conformance"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const testAccount = "shop@shop.test"

var testArrival = time.Date(2026, 11, 20, 10, 0, 5, 0, time.UTC)

// TestFixturesAreTheMails: the payloads of the conformance suite are what a
// fetch makes of the mails beside them. -update writes them.
func TestFixturesAreTheMails(t *testing.T) {
	mails, err := filepath.Glob("testdata/mails/*.eml")
	require.NoError(t, err)
	require.NotEmpty(t, mails)
	for i, path := range mails {
		mail, err := os.ReadFile(path)
		require.NoError(t, err)
		got, err := json.MarshalIndent(payloadOf(t, uint32(i+1), crlf(string(mail))), "", " ")
		require.NoError(t, err)
		fixture := filepath.Join("testdata", strings.TrimSuffix(filepath.Base(path), ".eml")+".json")
		if flag.Lookup("update").Value.String() == "true" {
			require.NoError(t, os.WriteFile(fixture, append(got, '\n'), 0o644))
		}
		want, err := os.ReadFile(fixture)
		require.NoError(t, err, "run the tests with -update")
		require.JSONEq(t, string(want), string(got), path)
	}
}

func payloadOf(t require.TestingT, uid uint32, mail []byte) payload {
	m := asFetched(t, mail)
	m.UID, m.ReceivedAt = uid, testArrival
	return payload{UIDValidity: 1_700_000_000, Mails: []rawMail{m}}
}

func suite() conformance.Suite {
	config := Config{
		Address: testAccount,
		IMAP:    IMAP{Server: Server{Host: "127.0.0.1", Port: 1, TLS: TLSNone}},
		SMTP:    Server{Host: "127.0.0.1", Port: 1, TLS: TLSNone},
	}
	spec := func(endpoint string) document.Channel {
		at := config
		at.SMTP.Host, at.SMTP.Port = splitEndpoint(endpoint)
		raw, _ := json.Marshal(at)
		return document.Channel{
			Platform: Name, Account: testAccount, Receive: document.ReceivePolling,
			Credentials: map[string]string{KeyPassword: "old-mailbox-password"}, Config: raw,
		}
	}
	return conformance.Suite{
		Platform: New(),
		Spec:     spec(""),
		Rotated:  map[string]string{KeyPassword: "new-mailbox-password"},
		Fixtures: "testdata",
		Text: func(n int, text string) []byte {
			raw, _ := json.Marshal(payload{UIDValidity: 1, Mails: []rawMail{{
				UID: uint32(n + 1), ReceivedAt: testArrival, Header: []byte("From: ana@customer.test\r\nMessage-ID: <text-" + itoa(n) + "@customer.test>\r\n\r\n"),
				Body: &node{Path: "1", Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Encoding: "8bit", Content: []byte(text + "\r\n")},
			}}})
			return raw
		},
		AsWritten: normalise,
		Batch: func(payloads [][]byte) []byte {
			var all payload
			for _, raw := range payloads {
				var p payload
				_ = json.Unmarshal(raw, &p)
				all.UIDValidity = p.UIDValidity
				all.Mails = append(all.Mails, p.Mails...)
			}
			joined, _ := json.Marshal(all)
			return joined
		},
		Own:     []string{"own", "copy-to-self"},
		Contact: "ana@customer.test",
		IDs:     []string{"01JCONFORMANCE.0@shop.test"},
		Outbound: &conformance.Outbound{
			Spec: spec, Serve: serveSMTP,
			Breaks: []conformance.Break{
				{Name: "nobody listens", Endpoint: func(*testing.T) string { return "127.0.0.1:1" }},
				{Name: "the name does not resolve", Endpoint: func(*testing.T) string { return "nobody.invalid:25" }},
				{Name: "the connection ends before the mail", Endpoint: func(t *testing.T) string { return newScript(t, "DATA", "").address }},
				{Name: "the connection ends after the mail", Endpoint: func(t *testing.T) string { return newScript(t, ".", "").address }, MaybeSent: true},
			},
		},
		Refusals: []conformance.Refusal{
			{Name: "no such mailbox", Reply: at("RCPT", "550 5.1.1 no such user"), Class: wire.ErrRecipientGone},
			{Name: "greylisted", Reply: at("RCPT", "450 4.7.1 Greylisted, come back"), Class: wire.ErrRetryable, RetryAfter: greylistPause},
			{Name: "too fast", Reply: at("MAIL", "421 4.7.28 unusual rate"), Class: wire.ErrRateLimited, RetryAfter: ratePause, Scope: wire.ScopeChannel},
			{Name: "wrong password", Reply: at("AUTH", "535 5.7.8 authentication failed"), Class: wire.ErrAuthInvalid},
			{Name: "not our address", Reply: at("MAIL", "553 5.7.1 Sender address rejected: not owned by user"), Class: wire.ErrMisconfigured},
			{Name: "spam", Reply: at(".", "554 5.7.1 message rejected"), Class: wire.ErrContentRejected},
			{Name: "the disk is full", Reply: at(".", "452 4.3.1 Insufficient system storage"), Class: wire.ErrRetryable},
			{Name: "no service", Reply: at("EHLO", "421 4.3.2 shutting down"), Class: wire.ErrRetryable},
		},
	}
}

// at is a reply to one command; "." is the end of the mail.
func at(command, line string) conformance.Reply { return conformance.Reply{Body: command + " " + line} }

func TestConformance(t *testing.T) { conformance.Run(t, suite()) }

func FuzzParse(f *testing.F) { conformance.FuzzParse(f, suite()) }

func FuzzVerify(f *testing.F) { conformance.FuzzVerify(f, suite()) }

// FuzzMail: whatever a mail is made of, what becomes of it is sound, and the same
// each time.
func FuzzMail(f *testing.F) {
	mails, _ := filepath.Glob("testdata/mails/*.eml")
	for _, path := range mails {
		mail, err := os.ReadFile(path)
		require.NoError(f, err)
		header, body, _ := bytes.Cut(crlf(string(mail)), []byte("\r\n\r\n"))
		f.Add(header, body, "text/plain", "utf-8", "8bit")
		f.Add(header, body, "text/html", "windows-1252", "quoted-printable")
	}
	f.Fuzz(func(t *testing.T, header, body []byte, mediaType, charset, encoding string) {
		m := rawMail{UID: 1, Header: header, Body: &node{Path: "1", Type: mediaType, Params: map[string]string{"charset": charset, "name*": charset}, Encoding: encoding, Content: body}}
		for _, e := range m.events(1, testAccount) {
			if e.Message == nil {
				continue
			}
			require.NotEmpty(t, e.Message.ExternalID)
			require.NotEmpty(t, e.Message.Contact.ExternalID)
			require.True(t, strings.ToValidUTF8(e.Message.Text, "") == e.Message.Text)
			require.LessOrEqual(t, len(e.Message.Text), 4*maxBody)
		}
	})
}
