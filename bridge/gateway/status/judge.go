package status

import (
	"errors"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Judge turns the result of a call to a platform into how the duty stands. An
// AuthInvalid or Misconfigured needs a person; everything else may pass by
// itself. The message has the channel's secrets and also (the address of a
// contact) taken out.
func Judge(ch *channels.Channel, err error, also ...string) document.Duty {
	if err == nil {
		return document.Duty{State: document.DutyDone, Reason: ReasonDone}
	}
	message := ch.Redact(err.Error(), also...)
	pe, ok := errors.AsType[*platform.Error](err)
	if !ok {
		return document.Duty{State: document.DutyRetrying, Reason: ReasonUnreachable, Message: message}
	}
	if pe.Reason != "" {
		message = ch.Redact(pe.Reason, also...)
	}
	if pe.NotDelivered {
		// The platform has spoken, so this is no failure to ask it.
		return document.Duty{State: document.DutyRetrying, Reason: ReasonNotDelivered, Message: message}
	}
	switch pe.Class {
	case wire.ErrAuthInvalid:
		return document.Duty{State: document.DutyFailed, Reason: ReasonAuthInvalid, Message: message}
	case wire.ErrMisconfigured, wire.ErrContentRejected:
		// Content of a duty is configuration: a profile text, a URL.
		return document.Duty{State: document.DutyFailed, Reason: ReasonMisconfigured, Message: message}
	case wire.ErrRateLimited:
		return document.Duty{State: document.DutyRetrying, Reason: ReasonRateLimited, Message: message}
	default:
		return document.Duty{State: document.DutyRetrying, Reason: ReasonUnreachable, Message: message}
	}
}

// RetryAfter is how long the platform asked to wait; 0: it did not say.
func RetryAfter(err error) time.Duration {
	if pe, ok := errors.AsType[*platform.Error](err); ok {
		return pe.RetryAfter
	}
	return 0
}
