// Package metatest is what the conformance suites of Meta's products share:
// signatures, payloads and refusals are the same, accounts and answers differ.
package metatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/conformance"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/meta"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Ids in the fixtures of both products.
const (
	Page = "106540352242922"
	App  = "218471"
)

// Product is what differs.
type Product struct {
	Platform *meta.Platform
	// Object of its webhooks, Account that they are for, TokenKey of its Secret.
	Object, Account, TokenKey string
	// Config is the typed block of the Channel.
	Config string
	// OutsideWindow is the subcode that says so.
	OutsideWindow int
}

// Suite is a product's, but for Echoes and what a probe answers.
func Suite(p Product) conformance.Suite {
	url := "https://chat.example.com/webhooks/apps/" + p.Platform.Name() + "/" + App
	return conformance.Suite{
		Platform: p.Platform,
		Spec: document.Channel{
			Platform: p.Platform.Name(), Account: p.Account, App: App, Receive: document.ReceiveWebhook, WebhookURL: url,
			Credentials: map[string]string{meta.KeyAppSecret: "0a1b2c3d4e5f6a7b8c9d", meta.KeyVerifyToken: "verify-me", p.TokenKey: "EAAG-page-token"},
			Config:      json.RawMessage(p.Config),
		},
		Rotated:    map[string]string{meta.KeyAppSecret: "ffffeeeeddddccccbbbb", meta.KeyVerifyToken: "verify-too", p.TokenKey: "EAAG-new-token"},
		BodySigned: true,
		Sign: func(credentials map[string]string, body []byte) platform.Request {
			return platform.Request{
				Method: http.MethodPost, URL: url, Body: body,
				Header: http.Header{"Content-Type": {"application/json"}, "X-Hub-Signature-256": {meta.Sign(credentials[meta.KeyAppSecret], body)}},
			}
		},
		Fixtures: "testdata",
		Text: func(n int, text string) []byte {
			encoded, _ := json.Marshal(text)
			return fmt.Appendf(nil, `{"object":%q,"entry":[{"id":%q,"time":1700000000000,"messaging":[{"sender":{"id":"5"},"recipient":{"id":%q},"timestamp":1700000000000,"message":{"mid":"m_%d","text":%s}}]}]}`,
				p.Object, p.Account, p.Account, n, encoded)
		},
		Batch:    batch,
		Own:      []string{"own", "own-without-app"},
		Contact:  "5",
		Sent:     conformance.Reply{Body: `{"recipient_id":"5","message_id":"m_sent"}`},
		IDs:      []string{"m_sent"},
		TextOf:   textOf,
		Refusals: refusals(p.OutsideWindow),
	}
}

// batch puts the entries of all payloads into one, as Meta does under load.
func batch(payloads [][]byte) []byte {
	var all struct {
		Object string            `json:"object"`
		Entry  []json.RawMessage `json:"entry"`
	}
	for _, p := range payloads {
		var one = all
		one.Entry = nil
		_ = json.Unmarshal(p, &one)
		all.Object, all.Entry = one.Object, append(all.Entry, one.Entry...)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(all)
	return out.Bytes()
}

func textOf(_ *http.Request, body []byte) string {
	var sent struct {
		Message struct {
			Text string `json:"text"`
		} `json:"message"`
	}
	_ = json.Unmarshal(body, &sent)
	return sent.Message.Text
}

// refused is a refusal as the Graph API words it.
func refused(status, code, subcode int) conformance.Reply {
	return conformance.Reply{Status: status, Body: fmt.Sprintf(`{"error":{"message":"(#%d) refused","type":"OAuthException","code":%d,"error_subcode":%d,"fbtrace_id":"A1"}}`, code, code, subcode)}
}

// refusals are how the Graph API refuses, and what stands between us and it.
func refusals(outsideWindow int) []conformance.Refusal {
	html := func(status int) conformance.Reply {
		return conformance.Reply{Status: status, Body: "<html>nginx</html>"}
	}
	limited := refused(400, 4, 0)
	limited.Header = http.Header{"X-Business-Use-Case-Usage": {`{"106540352242922":[{"type":"messenger","call_count":100,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":3}]}`}}
	later := html(503)
	later.Header = http.Header{"Retry-After": {"7"}}
	return []conformance.Refusal{
		{Name: "rate", Reply: limited, Class: wire.ErrRateLimited, RetryAfter: 3 * time.Minute, Scope: wire.ScopeChannel},
		{Name: "rate without a time", Reply: refused(400, 613, 0), Class: wire.ErrRateLimited, RetryAfter: time.Minute, Scope: wire.ScopeChannel},
		{Name: "token revoked", Reply: refused(401, 190, 460), Class: wire.ErrAuthInvalid},
		{Name: "window", Reply: refused(400, 10, outsideWindow), Class: wire.ErrOutsideWindow},
		{Name: "blocked", Reply: refused(400, 551, 1545041), Class: wire.ErrRecipientGone},
		{Name: "no such person", Reply: refused(400, 100, 2018001), Class: wire.ErrRecipientGone},
		{Name: "content", Reply: refused(400, 100, 0), Class: wire.ErrContentRejected},
		{Name: "page restricted", Reply: refused(400, 10, 1893063), Class: wire.ErrMisconfigured},
		{Name: "an unknown error", Reply: refused(500, 1, 0), Class: wire.ErrRetryable, MaybeSent: true},
		{Name: "down for a moment", Reply: refused(500, 2, 0), Class: wire.ErrRetryable},
		{Name: "bad gateway without JSON", Reply: html(502), Class: wire.ErrRetryable, MaybeSent: true},
		{Name: "unavailable without JSON", Reply: later, Class: wire.ErrRetryable, RetryAfter: 7 * time.Second},
		{Name: "forbidden by a proxy", Reply: html(403), Class: wire.ErrMisconfigured},
		{Name: "redirected elsewhere", Reply: conformance.Reply{Status: 302, Header: http.Header{"Location": {"http://other.invalid/"}}}, Class: wire.ErrMisconfigured},
		{Name: "an unknown code", Reply: refused(400, 99999, 0), Class: wire.ErrContentRejected},
	}
}
