package email

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// TestBounces: what servers make of a mail of ours that they do not deliver.
func TestBounces(t *testing.T) {
	own := messageID(testDelivery, 0, testAccount)
	header := "Return-Path: <>\nFrom: MAILER-DAEMON@mx.test\nTo: shop@shop.test\nMessage-ID: <b@mx.test>\nSubject: Undelivered\nMIME-Version: 1.0\n"
	report := func(status, original string) string {
		return "Content-Type: multipart/report; report-type=delivery-status; boundary=\"B\"\n\n--B\nContent-Type: text/plain\n\nfailed\n\n--B\nContent-Type: " + status +
			"\n\nReporting-MTA: dns; mx.test\n\nFinal-Recipient: utf-8; ana@c.test\nAction: failed\nStatus: 5.1.1\n\n" + original + "--B--\n"
	}
	part := func(mediaType string) string {
		return "--B\nContent-Type: " + mediaType + "\n\nFrom: shop@shop.test\nMessage-ID: <" + own + ">\nSubject: Your parcel\n\n"
	}
	const status = "message/delivery-status"
	within := func(mail string) string {
		return "Content-Type: multipart/mixed; boundary=\"M\"\n\n--M\n" + mail + "\n--M\nContent-Type: text/plain\n\nThis mail is confidential.\n\n--M--\n"
	}
	for name, tt := range map[string]struct {
		mail   string
		failed bool
	}{
		"RFC 3464":                      {header + report(status, part("text/rfc822-headers")), true},
		"RFC 6533, headers":             {header + report("message/global-delivery-status", part("message/global-headers")), true},
		"RFC 6533, the mail":            {header + report("message/global-delivery-status", part("message/global")), true},
		"nothing of the mail, Exchange": {header + "In-Reply-To: <" + own + ">\n" + report(status, ""), true},
		"nothing of the mail, Gmail":    {header + "References: <a@b> <" + own + ">\n" + report(status, ""), true},
		"of somebody else's mail":       {header + strings.ReplaceAll(report(status, part("text/rfc822-headers")), "@shop.test>", "@other.test>"), false},
		"with a disclaimer":             {header + within(report(status, part("text/rfc822-headers"))), true},
		"a person hands it on":          {strings.Replace(strings.Replace(header, "Return-Path: <>\n", "", 1), "MAILER-DAEMON@mx.test", "ana@customer.test", 1) + within(report(status, part("text/rfc822-headers"))), false},
	} {
		m := asFetched(t, crlf(tt.mail))
		events := m.events(1, testAccount)
		require.Len(t, events, 1, name)
		require.Equal(t, tt.failed, events[0].Receipt != nil, name)
		if tt.failed {
			require.Equal(t, own, events[0].Receipt.ExternalID, name)
			require.Equal(t, message.StatusFailed, events[0].Receipt.Status, name)
			require.Equal(t, "5.1.1: the mailbox does not exist", events[0].Receipt.Reason, name)
		}
	}
}
