package outbox

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/wallclock"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// outcomeOf decides what a failed send means:
//
//	the contact moved                          migrated
//	may have been carried out, not idempotent  unknown
//	RecipientGone, ContentRejected,
//	OutsideWindow                              failed: the same again would be refused again
//	everything else                            retry: it passes by itself, or a person
//	                                           mends the channel while messages wait
func outcomeOf(e *platform.Error, idempotent bool) wire.Outcome {
	switch {
	case e.NewAddress != "":
		return wire.OutcomeMigrated
	case e.MaybeSent && !idempotent:
		return wire.OutcomeUnknown
	}
	switch e.Class {
	case wire.ErrRecipientGone, wire.ErrContentRejected, wire.ErrOutsideWindow:
		return wire.OutcomeFailed
	default:
		return wire.OutcomeRetry
	}
}

// platformError makes a platform's error out of any: an error that no platform
// has classed may have come after the request had gone out.
func platformError(err error) *platform.Error {
	if pe, ok := errors.AsType[*platform.Error](err); ok {
		return pe
	}
	return &platform.Error{Class: wire.ErrUnknown, Reason: err.Error(), MaybeSent: true, Err: err}
}

// reportOf is what the store is told of a send. Reasons lose the channel's
// secrets and the contact's address.
func reportOf(ch *channels.Channel, d wire.Delivery, part int, result platform.SendResult, err error) wire.PartReport {
	r := wire.PartReport{Delivery: d.ID, Channel: d.Channel, Lease: d.Lease, Part: part}
	if err == nil {
		r.Outcome, r.ExternalIDs, r.SentAt, r.NewAddress = wire.OutcomeSent, result.ExternalIDs, result.SentAt, result.NewAddress
		if r.SentAt.IsZero() {
			r.SentAt = wallclock.Now().UTC()
		}
		return r
	}
	pe := platformError(err)
	r.Outcome = outcomeOf(pe, ch.Capabilities.Idempotent)
	r.Class, r.RetryAfter, r.Scope, r.NewAddress = pe.Class, pe.RetryAfter, pe.Scope, pe.NewAddress
	r.Reason = ch.Redact(pe.Reason, private(d)...)
	return r
}

// minPrivate is the shortest part of an address, in characters, that is taken
// out of reasons: shorter ones (a country code, "chat") stand in every text.
const minPrivate = 5

// private is what reasons must not tell of a delivery: the contact's address
// and the message that is answered, whole and in the parts that a platform may
// quote by themselves ("491511234567@s.example" as 491511234567).
func private(d wire.Delivery) []string {
	out := []string{d.To, d.ReplyTo}
	for _, whole := range []string{d.To, d.ReplyTo} {
		for part := range strings.FieldsFuncSeq(whole, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			if utf8.RuneCountInString(part) >= minPrivate {
				out = append(out, part)
			}
		}
	}
	return out
}
