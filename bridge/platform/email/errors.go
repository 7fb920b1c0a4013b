package email

import (
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// stage is how far a submission had come when the server said no.
type stage int

const (
	stageHello stage = iota // greeting, EHLO, STARTTLS
	stageLogin
	stageSender
	stageRecipient
	stageContent
)

// smtpError classes what went wrong in a conversation with a submission server.
// A reply, of whatever kind, means that the mail was not taken.
func smtpError(host string, at stage, err error) error {
	var known *platform.Error
	var refused *smtp.SMTPError
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.As(err, &refused):
		e := classify(at, refused)
		e.Reason, e.Err = fmt.Sprintf("%s says: %s", host, clip(replyText(refused))), err
		return e
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return &platform.Error{Class: wire.ErrRetryable, Reason: host + " closed the connection", Err: err}
	}
	return dialError(host, err)
}

func replyText(e *smtp.SMTPError) string {
	text := fmt.Sprintf("%d ", e.Code)
	if e.EnhancedCode[0] > 0 {
		text += fmt.Sprintf("%d.%d.%d ", e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2])
	}
	return text + strings.Join(strings.Fields(e.Message), " ")
}

const (
	// greylisted servers want to be asked again after some minutes (RFC 6647: 1 to
	// 15, most 5).
	greylistPause = 5 * time.Minute
	// ratePause is for limits that name no time; most count by the minute.
	ratePause = time.Minute
	// fullPause is for a mailbox that somebody has to clear out.
	fullPause = time.Hour
)

var (
	greylist = regexp.MustCompile(`(?i)gr[ea]y-?list`)
	// limitWords are how rates are refused by servers that have no code for it.
	limitWords = regexp.MustCompile(`(?i)\b(rate|ratelimit(ed)?|throttl\w*|too (many|fast|much)|limit exceeded|quota exceeded|exceeded .{0,40}limit|sending limit)\b`)
	relayWords = regexp.MustCompile(`(?i)relay(ing)? (access )?denied|relay not permitted|not permitted to relay`)
	senderWord = regexp.MustCompile(`(?i)send ?as|sender address rejected|not owned by|not allowed to send|sender .{0,40}(denied|not allowed)`)
)

// classify reads a refusal: by its enhanced status code (RFC 3463, RFC 5248), by
// the stage where servers give none, by words where codes say too little.
func classify(at stage, refused *smtp.SMTPError) *platform.Error {
	if refused.Code/100 == 4 {
		return passing(at, refused)
	}
	code := [2]int{refused.EnhancedCode[1], refused.EnhancedCode[2]}
	if refused.EnhancedCode[0] != 5 {
		code = [2]int{}
	}
	class, known := permanentCodes[code]
	switch {
	case at == stageLogin:
		class = loginClass(refused)
	case senderWord.MatchString(refused.Message), relayWords.MatchString(refused.Message), at == stageSender && code[0] == 7:
		class = wire.ErrMisconfigured // the address or the login, not this mail
	case known:
	case at == stageHello:
		class = wire.ErrMisconfigured
	case refused.Code == 530, refused.Code == 535:
		class = wire.ErrAuthInvalid
	case refused.Code == 552 || refused.Code == 523:
		class = wire.ErrContentRejected
	case at == stageRecipient && code[0] == 1, at == stageRecipient && code[0] == 0 && refused.Code >= 550 && refused.Code <= 553:
		class = wire.ErrRecipientGone
	case code[0] == 6, code[0] == 7, at == stageContent && refused.Code >= 550:
		class = wire.ErrContentRejected
	case refused.Code >= 500 && refused.Code <= 504:
		class = wire.ErrMisconfigured // the two do not understand each other
	default:
		class = wire.ErrUnknown
	}
	e := &platform.Error{Class: class}
	if code == [2]int{2, 2} {
		e.RetryAfter = fullPause
	}
	return e
}

// permanentCodes are the 5.x.y whose meaning does not depend on the stage.
var permanentCodes = map[[2]int]wire.ErrorClass{
	{1, 1}: wire.ErrRecipientGone, {1, 2}: wire.ErrRecipientGone, {1, 3}: wire.ErrRecipientGone, {1, 6}: wire.ErrRecipientGone,
	{1, 10}: wire.ErrRecipientGone, {2, 1}: wire.ErrRecipientGone, {4, 1}: wire.ErrRecipientGone, {4, 4}: wire.ErrRecipientGone,
	{1, 7}: wire.ErrMisconfigured, {1, 8}: wire.ErrMisconfigured, {7, 60}: wire.ErrMisconfigured, {5, 1}: wire.ErrMisconfigured,
	{5, 2}: wire.ErrMisconfigured, {5, 4}: wire.ErrMisconfigured,
	{2, 2}: wire.ErrRetryable, {3, 2}: wire.ErrRetryable,
	{2, 3}: wire.ErrContentRejected, {3, 4}: wire.ErrContentRejected,
	{5, 3}: wire.ErrRateLimited,
	{7, 8}: wire.ErrAuthInvalid, {7, 9}: wire.ErrAuthInvalid, {7, 14}: wire.ErrAuthInvalid,
}

// loginClass: nearly every refusal of a login is of the credentials.
func loginClass(refused *smtp.SMTPError) wire.ErrorClass {
	if refused.Code >= 500 && refused.Code <= 504 || refused.Code == 538 {
		return wire.ErrMisconfigured // not this mechanism, not without TLS
	}
	return wire.ErrAuthInvalid
}

// passing are the 4xx.
func passing(at stage, refused *smtp.SMTPError) *platform.Error {
	e := &platform.Error{Class: wire.ErrRetryable}
	switch code := refused.EnhancedCode; {
	case greylist.MatchString(refused.Message):
		e.RetryAfter = greylistPause
	case code == smtp.EnhancedCode{4, 2, 1} && at == stageRecipient && limitWords.MatchString(refused.Message):
		e.Class, e.Scope, e.RetryAfter = wire.ErrRateLimited, wire.ScopeContact, ratePause
	case code == smtp.EnhancedCode{4, 7, 28}, code == smtp.EnhancedCode{4, 5, 3}, limitWords.MatchString(refused.Message):
		e.Class, e.Scope, e.RetryAfter = wire.ErrRateLimited, wire.ScopeChannel, ratePause
	case code == smtp.EnhancedCode{4, 2, 2}:
		e.RetryAfter = fullPause
	}
	return e
}
