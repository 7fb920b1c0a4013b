package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// callTimeout is for methods that do one small thing; they take well under a
	// second as a rule.
	callTimeout = 30 * time.Second
	// maxAnswer bounds an answer: 100 updates of a few KiB each are the largest.
	maxAnswer = 16 << 20
)

// call does a method with JSON parameters and decodes its result into result,
// which may be nil. The error is an *platform.Error.
func (c *channel) call(ctx context.Context, method string, params, result any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.callFor(ctx, method, params, result)
}

// callFor is call within the caller's own time.
func (c *channel) callFor(ctx context.Context, method string, params, result any) error {
	if params == nil {
		params = struct{}{} // the server refuses any JSON but an object
	}
	body, err := json.Marshal(params)
	if err != nil {
		return &platform.Error{Class: wire.ErrContentRejected, Reason: "cannot be written as JSON", Err: err}
	}
	req, err := c.request(ctx, method)
	if err != nil {
		return err
	}
	setBody(req, body)
	req.Header.Set("Content-Type", "application/json")
	return c.do(req, method, result)
}

func setBody(req *http.Request, body []byte) {
	req.Body = http.NoBody
	if len(body) > 0 {
		req.Body = readCloser{bytes.NewReader(body)}
	}
	req.ContentLength = int64(len(body))
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func (c *channel) request(ctx context.Context, method string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/bot"+c.token+"/"+method, nil)
	if err != nil { // the URL was checked by Load; the error would repeat it
		return nil, &platform.Error{Class: wire.ErrMisconfigured, Reason: "the base URL for telegram is not a URL"}
	}
	return req, nil
}

// do makes a request and takes the answer apart.
func (c *channel) do(req *http.Request, method string, result any) error {
	answer, err := platform.Do(c.client, req, maxAnswer)
	if err != nil {
		return c.redact(err)
	}
	var r response
	malformed := json.Unmarshal(answer.Body, &r) != nil
	if malformed || r.OK != (answer.Status == http.StatusOK) {
		return c.redact(notTheBotAPI(answer))
	}
	if !r.OK {
		return c.redact(classify(answer.Status, r))
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(r.Result, result); err != nil {
		return &platform.Error{Class: wire.ErrUnknown, Reason: method + ": the answer cannot be read", MaybeSent: true}
	}
	return nil
}

// redact takes the channel's secrets out of an error, which is an *platform.Error.
func (c *channel) redact(err error) error {
	var e *platform.Error
	if errors.As(err, &e) {
		return platform.RedactError(e, c.secrets...)
	}
	return err
}

// notTheBotAPI is for answers of something between us and Telegram, or of a
// base URL where no Bot API server is.
func notTheBotAPI(a platform.Answer) error {
	if e := platform.StatusError(a, time.Now()); e != nil {
		if e.Class == wire.ErrAuthInvalid { // of a proxy: the token is not judged by it
			e.Class = wire.ErrMisconfigured
		}
		e.Reason += " from something that is not a Bot API server"
		return e
	}
	return &platform.Error{Class: wire.ErrUnknown, Reason: "the answer is not of a Bot API server; check the base URL for telegram", MaybeSent: true}
}

// maxReason bounds the platform's words in an error.
const maxReason = 300

// classify turns a refusal into its class. Telegram has a code for the kind
// and, within 400 and 403, only words for the cause.
func classify(status int, r response) *platform.Error {
	code := r.ErrorCode
	if code == 0 {
		code = status
	}
	reason := r.Description
	if reason == "" {
		reason = fmt.Sprintf("error %d", code)
	}
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	e := &platform.Error{Reason: reason, Class: wire.ErrUnknown}
	switch {
	case r.Parameters.MigrateToChatID != 0:
		e.Class, e.NewAddress = wire.ErrRetryable, address{chat: r.Parameters.MigrateToChatID}.String()
	case code == http.StatusTooManyRequests:
		e.Class, e.Scope = wire.ErrRateLimited, wire.ScopeChannel
		e.RetryAfter = retryAfter(r.Parameters.RetryAfter)
	case code == http.StatusNotFound && strings.Contains(reason, "method not found"):
		e.Class = wire.ErrMisconfigured // an old server of one's own
	case code == http.StatusUnauthorized, code == http.StatusNotFound: // 404: no such token
		e.Class = wire.ErrAuthInvalid
	case code == http.StatusForbidden:
		e.Class = wire.ErrRecipientGone
	case code == http.StatusConflict:
		e.Class = wire.ErrRetryable
	case code == http.StatusRequestEntityTooLarge:
		e.Class = wire.ErrContentRejected
	case code == http.StatusBadRequest:
		e.Class = classifyBadRequest(reason)
	case code >= 500:
		e.Class, e.MaybeSent = wire.ErrRetryable, code != http.StatusServiceUnavailable
	}
	return e
}

// defaultRetryAfter is for a 429 that names no time: the limit of one message a
// second for a chat is the shortest.
const defaultRetryAfter = time.Second

func retryAfter(seconds int64) time.Duration {
	const day = 24 * 60 * 60
	if seconds <= 0 {
		return defaultRetryAfter
	}
	return time.Duration(min(seconds, day)) * time.Second
}

// badRequests are words of a 400 that mean something other than a wrong
// content, in lower case. The server takes them from its own code and from the
// error names of Telegram's inner protocol.
var badRequests = []struct {
	words string
	class wire.ErrorClass
}{
	{"chat not found", wire.ErrRecipientGone},
	{"user not found", wire.ErrRecipientGone},
	{"peer_id_invalid", wire.ErrRecipientGone},
	{"chat_id_invalid", wire.ErrRecipientGone},
	{"group chat was deactivated", wire.ErrRecipientGone},
	{"chat_write_forbidden", wire.ErrRecipientGone},
	{"not enough rights to send", wire.ErrRecipientGone},
	{"have no rights to send", wire.ErrRecipientGone},
	{"need administrator rights", wire.ErrRecipientGone},
	{"topic_closed", wire.ErrRecipientGone},
	{"topic_deleted", wire.ErrRecipientGone},
	{"message thread not found", wire.ErrRecipientGone},
	{"business_connection_invalid", wire.ErrRecipientGone},
	{"business connection not found", wire.ErrRecipientGone},
	{"business_peer_invalid", wire.ErrRecipientGone},
	{"business_peer_usage_missing", wire.ErrOutsideWindow}, // the person has not written for a day
	{"temporarily unavailable", wire.ErrRetryable},
	{"logged out", wire.ErrMisconfigured}, // the bot was moved to another Bot API server
}

func classifyBadRequest(reason string) wire.ErrorClass {
	reason = strings.ToLower(reason)
	for _, b := range badRequests {
		if strings.Contains(reason, b.words) {
			return b.class
		}
	}
	return wire.ErrContentRejected
}

// saysOneOf is whether the platform refused with these words.
func saysOneOf(err error, words ...string) bool {
	var e *platform.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, w := range words {
		if strings.Contains(strings.ToLower(e.Reason), w) {
			return true
		}
	}
	return false
}

// Probe implements platform.Platform.
func (p *Platform) Probe(ctx context.Context, ch platform.Channel) (platform.ProbeResult, error) {
	c := self(ch)
	var me user
	if err := c.call(ctx, "getMe", nil, &me); err != nil {
		return platform.ProbeResult{}, err
	}
	result := platform.ProbeResult{Account: strconv.FormatInt(me.ID, 10), DisplayName: me.name()}
	if me.Username != "" {
		result.DisplayName = "@" + me.Username
	}
	if result.Account != c.account {
		return result, &platform.Error{Class: wire.ErrMisconfigured, Reason: fmt.Sprintf("the token is of bot %s, telegram.botID is %s", result.Account, c.account)}
	}
	return result, nil
}
