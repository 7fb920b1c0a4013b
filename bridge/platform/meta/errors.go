package meta

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// asError is the platform's error in a chain; nil: there is none.
func asError(err error) *platform.Error {
	e, _ := errors.AsType[*platform.Error](err)
	return e
}

// graphError is the envelope of a refusal.
type graphError struct {
	Message   string `json:"message"`
	Type      string `json:"type"`
	Code      int    `json:"code"`
	Subcode   int    `json:"error_subcode"`
	UserTitle string `json:"error_user_title"`
	UserMsg   string `json:"error_user_msg"`
}

// maxReason bounds the platform's words in an error.
const maxReason = 300

// defaultRateWait is for a rate limit that names no time. Meta's limits roll
// over an hour and the share of a minute is free again after a minute.
const defaultRateWait = time.Minute

// refusal turns an answer that is not 2xx into an error.
func refusal(a platform.Answer, now time.Time) *platform.Error {
	var body struct {
		Error *graphError `json:"error"`
	}
	if json.Unmarshal(a.Body, &body) != nil || body.Error == nil || body.Error.Code == 0 && body.Error.Message == "" {
		return notTheGraphAPI(a, now)
	}
	g := *body.Error
	e := &platform.Error{Reason: g.reason(), Class: g.class(a.Status), RetryAfter: platform.RetryAfter(a.Header, now)}
	switch e.Class {
	case wire.ErrRateLimited:
		e.Scope = wire.ScopeChannel
		if e.RetryAfter == 0 {
			e.RetryAfter = max(regainAccess(a.Header), defaultRateWait)
		}
	case wire.ErrRetryable:
		// 1 is "an unknown error": Meta does not know either. 2 and 1200 are
		// refusals to begin.
		e.MaybeSent = a.Status >= 500 && a.Status != http.StatusServiceUnavailable && g.Code != 2 && g.Code != 1200
	}
	return e
}

// notTheGraphAPI is for answers of something between us and Meta.
func notTheGraphAPI(a platform.Answer, now time.Time) *platform.Error {
	e := platform.StatusError(a, now)
	switch {
	case e.Class == wire.ErrAuthInvalid: // of a proxy: the token is not judged by it
		e.Class = wire.ErrMisconfigured
	case e.Class == wire.ErrRateLimited && e.RetryAfter == 0:
		e.RetryAfter = max(regainAccess(a.Header), defaultRateWait)
	case e.Class == wire.ErrUnknown: // a 400 without an envelope: the same again would be refused again
		e.Class = wire.ErrContentRejected
	}
	e.Reason += " without an error of the Graph API"
	return e
}

func (g graphError) reason() string {
	words := g.Message
	if g.UserMsg != "" && !strings.Contains(words, g.UserMsg) {
		words += " (" + g.UserMsg + ")"
	}
	if len(words) > maxReason {
		words = strings.ToValidUTF8(words[:maxReason], "") + "…"
	}
	if g.Subcode != 0 {
		return fmt.Sprintf("%s [%d/%d]", words, g.Code, g.Subcode)
	}
	return fmt.Sprintf("%s [%d]", words, g.Code)
}

// code is a code with its subcode; subcode 0 is every other one, but for the
// permissions.
type code struct{ code, sub int }

// permission codes say without a subcode that the app or the token lacks a
// permission for everything, with one what it is about: one recipient, one
// feature, one kind of message. A subcode that is not in classes costs this
// message alone; it must not hold up everybody else's.
var permissions = []int{10, 200}

// classes of codes: Meta's "Error Codes" of the Messenger Platform, and what
// public clients agree on. A code that is not here is permanent, unless its
// HTTP status says otherwise.
var classes = map[code]wire.ErrorClass{
	{1, 0}: wire.ErrRetryable, {2, 0}: wire.ErrRetryable, {1200, 0}: wire.ErrRetryable,
	{2200, 0}: wire.ErrRetryable, // the webhook could not be called back: a name or a certificate on its way

	{4, 0}: wire.ErrRateLimited, {17, 0}: wire.ErrRateLimited, {32, 0}: wire.ErrRateLimited, {613, 0}: wire.ErrRateLimited,
	{80001, 0}: wire.ErrRateLimited, {80002, 0}: wire.ErrRateLimited, {80006, 0}: wire.ErrRateLimited,
	{4, 2018354}: wire.ErrContentRejected, // as much marketing as this person gets

	{10, 2018278}: wire.ErrOutsideWindow, {10, 2018065}: wire.ErrOutsideWindow, {10, 2534022}: wire.ErrOutsideWindow,

	{10, 1893063}: wire.ErrMisconfigured, {368, 0}: wire.ErrMisconfigured, // the page is restricted
	{10904, 0}: wire.ErrMisconfigured, {200, 2534041}: wire.ErrMisconfigured, // the page, or the Instagram account, has messages turned off
	{100, 2534029}: wire.ErrMisconfigured, // the Instagram account is kept from sending

	{190, 0}: wire.ErrAuthInvalid, {102, 0}: wire.ErrAuthInvalid, {230, 0}: wire.ErrAuthInvalid,
	{10, 0}: wire.ErrAuthInvalid, {200, 0}: wire.ErrAuthInvalid,
	{200, 2018028}: wire.ErrAuthInvalid, // pages_messaging was not reviewed, or the app is not live

	{551, 0}: wire.ErrRecipientGone, {200, 1545041}: wire.ErrRecipientGone, {100, 2018001}: wire.ErrRecipientGone,
	{10, 2018108}:  wire.ErrRecipientGone, // "isn't receiving messages from you right now"
	{100, 2534014}: wire.ErrRecipientGone, // no such Instagram user

	{100, 0}: wire.ErrContentRejected,
}

func (g graphError) class(status int) wire.ErrorClass {
	if g.Code == 100 && strings.Contains(g.Message, "appsecret_proof") {
		return wire.ErrAuthInvalid // the secret is of another app than the token
	}
	if class, ok := classes[code{g.Code, g.Subcode}]; ok {
		return class
	}
	if slices.Contains(permissions, g.Code) {
		return wire.ErrContentRejected
	}
	if class, ok := classes[code{g.Code, 0}]; ok {
		return class
	}
	switch {
	case status == http.StatusTooManyRequests:
		return wire.ErrRateLimited
	case status == http.StatusUnauthorized:
		return wire.ErrAuthInvalid
	case status >= 500:
		return wire.ErrRetryable
	}
	return wire.ErrContentRejected
}
