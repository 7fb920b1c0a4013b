package telegram

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/conformance"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	testAccount = "7000000001"
	testToken   = testAccount + ":AAE-one_two_three_four_five_six_seve"
	newToken    = testAccount + ":AAF-eight_nine_ten_eleven_twelve_thi"
)

func suite() conformance.Suite {
	return conformance.Suite{
		Platform: New(),
		Spec: document.Channel{
			Platform: Name, Account: testAccount, Receive: document.ReceiveWebhook,
			WebhookURL:  "https://chat.example.com/webhooks/conformance/channel",
			Credentials: map[string]string{KeyToken: testToken},
			Config:      json.RawMessage(`{"botID":"` + testAccount + `"}`),
		},
		Rotated: map[string]string{KeyToken: newToken},
		Sign: func(credentials map[string]string, body []byte) platform.Request {
			return platform.Request{
				Method: http.MethodPost, URL: "https://chat.example.com/webhooks/conformance/channel", Body: body,
				Header: http.Header{"Content-Type": {"application/json"}, secretHeader: {webhookSecret(credentials)}},
			}
		},
		Fixtures: "testdata",
		Text: func(n int, text string) []byte {
			encoded, _ := json.Marshal(text)
			return fmt.Appendf(nil, `{"update_id":%d,"message":{"message_id":%d,"date":1700000000,"chat":{"id":5,"type":"private","first_name":"A"},"from":{"id":5,"first_name":"A"},"text":%s}}`, 100+n, 10+n, encoded)
		},
		Batch: func(payloads [][]byte) []byte {
			var flat [][]byte
			for _, p := range payloads {
				flat = append(flat, bytes.Trim(p, "[] \n"))
			}
			return slicesConcat("[", bytes.Join(flat, []byte(",")), "]")
		},
		Own:     []string{"own", "business-own"},
		Echoes:  []string{"business-echo"},
		Contact: "5",
		Sent:    conformance.Reply{Body: `{"ok":true,"result":{"message_id":9007199254740993,"date":1700000001,"chat":{"id":5,"type":"private"},"text":"x"}}`},
		IDs:     []string{"5:9007199254740993"},
		TextOf: func(_ *http.Request, body []byte) string {
			var sent struct {
				Text string `json:"text"`
			}
			_ = json.Unmarshal(body, &sent)
			return sent.Text
		},
		Refusals: refusals(),
		Probed:   conformance.Reply{Body: `{"ok":true,"result":{"id":7000000001,"is_bot":true,"first_name":"Shop","username":"shop_bot"}}`},
		Stranger: conformance.Reply{Body: `{"ok":true,"result":{"id":7000000002,"is_bot":true,"first_name":"Other","username":"other_bot"}}`},
	}
}

func slicesConcat(open string, body []byte, end string) []byte {
	return append(append([]byte(open), body...), end...)
}

// refused is a refusal as the Bot API words it.
func refused(code int, description, parameters string) conformance.Reply {
	if parameters != "" {
		parameters = `,"parameters":` + parameters
	}
	return conformance.Reply{Status: code, Body: fmt.Sprintf(`{"ok":false,"error_code":%d,"description":%q%s}`, code, description, parameters)}
}

func refusals() []conformance.Refusal {
	html := func(status int) conformance.Reply {
		return conformance.Reply{Status: status, Body: "<html>nginx</html>"}
	}
	retryLater := html(503)
	retryLater.Header = http.Header{"Retry-After": {"7"}}
	return []conformance.Refusal{
		{Name: "rate", Reply: refused(429, "Too Many Requests: retry after 35", `{"retry_after":35}`), Class: wire.ErrRateLimited, RetryAfter: 35 * time.Second, Scope: wire.ScopeChannel},
		{Name: "rate without a time", Reply: refused(429, "Too Many Requests", ""), Class: wire.ErrRateLimited, RetryAfter: time.Second, Scope: wire.ScopeChannel},
		{Name: "token revoked", Reply: refused(401, "Unauthorized", ""), Class: wire.ErrAuthInvalid},
		{Name: "no such token", Reply: refused(404, "Not Found", ""), Class: wire.ErrAuthInvalid},
		{Name: "no such method", Reply: refused(404, "Not Found: method not found", ""), Class: wire.ErrMisconfigured},
		{Name: "blocked", Reply: refused(403, "Forbidden: bot was blocked by the user", ""), Class: wire.ErrRecipientGone},
		{Name: "deactivated", Reply: refused(403, "Forbidden: user is deactivated", ""), Class: wire.ErrRecipientGone},
		{Name: "never started", Reply: refused(403, "Forbidden: bot can't initiate conversation with a user", ""), Class: wire.ErrRecipientGone},
		{Name: "kicked", Reply: refused(403, "Forbidden: bot was kicked from the supergroup chat", ""), Class: wire.ErrRecipientGone},
		{Name: "no such chat", Reply: refused(400, "Bad Request: chat not found", ""), Class: wire.ErrRecipientGone},
		{Name: "no rights", Reply: refused(400, "Bad Request: not enough rights to send text messages to the chat", ""), Class: wire.ErrRecipientGone},
		{Name: "business window", Reply: refused(400, "Bad Request: BUSINESS_PEER_USAGE_MISSING", ""), Class: wire.ErrOutsideWindow},
		{Name: "logged out", Reply: refused(400, "Logged out", ""), Class: wire.ErrMisconfigured},
		{Name: "migrated", Reply: refused(400, "Bad Request: group chat was upgraded to a supergroup chat", `{"migrate_to_chat_id":-1001234567890123}`), Class: wire.ErrRetryable, NewAddress: "-1001234567890123"},
		{Name: "content", Reply: refused(400, "Bad Request: message text is empty", ""), Class: wire.ErrContentRejected},
		{Name: "too large", Reply: refused(413, "Request Entity Too Large", ""), Class: wire.ErrContentRejected},
		{Name: "server error", Reply: refused(500, "Internal Server Error", ""), Class: wire.ErrRetryable, MaybeSent: true},
		{Name: "bad gateway without JSON", Reply: html(502), Class: wire.ErrRetryable, MaybeSent: true},
		{Name: "unavailable without JSON", Reply: retryLater, Class: wire.ErrRetryable, RetryAfter: 7 * time.Second},
		{Name: "forbidden by a proxy", Reply: html(403), Class: wire.ErrMisconfigured},
		{Name: "not a Bot API server", Reply: html(404), Class: wire.ErrMisconfigured},
		{Name: "redirected elsewhere", Reply: conformance.Reply{Status: 302, Header: http.Header{"Location": {"http://other.invalid/"}}}, Class: wire.ErrMisconfigured},
		{Name: "an unknown code", Reply: refused(418, "teapot", ""), Class: wire.ErrUnknown},
	}
}

func TestConformance(t *testing.T) { conformance.Run(t, suite()) }

func FuzzParse(f *testing.F) {
	for _, body := range withoutValue() {
		f.Add([]byte(body))
	}
	conformance.FuzzParse(f, suite())
}

func FuzzVerify(f *testing.F) { conformance.FuzzVerify(f, suite()) }

// FuzzPayloadAcks: whatever the payload, what wants a word is a part of it.
func FuzzPayloadAcks(f *testing.F) {
	f.Add([]byte(`{"update_id":1,"inline_query":{"id":"17"}}`))
	f.Add([]byte(`[{"update_id":1,"inline_query":{"id":17}},{"inline_query":{"id":"1"}},null]`))
	f.Add([]byte(`"inline_query"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, key := range New().PayloadAcks(body) {
			if key == inlineQueryPrefix {
				t.Fatal("an id is empty")
			}
		}
	})
}
