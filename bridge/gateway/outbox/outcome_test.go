package outbox

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func TestOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		err        error
		idempotent bool
		want       wire.Outcome
		class      wire.ErrorClass
	}{
		"refused for now":                  {err: &platform.Error{Class: wire.ErrRetryable}, want: wire.OutcomeRetry, class: wire.ErrRetryable},
		"too fast":                         {err: &platform.Error{Class: wire.ErrRateLimited}, want: wire.OutcomeRetry, class: wire.ErrRateLimited},
		"bad credentials keep it waiting":  {err: &platform.Error{Class: wire.ErrAuthInvalid}, want: wire.OutcomeRetry, class: wire.ErrAuthInvalid},
		"so does a bad set-up":             {err: &platform.Error{Class: wire.ErrMisconfigured}, want: wire.OutcomeRetry, class: wire.ErrMisconfigured},
		"an unknown refusal may pass":      {err: &platform.Error{Class: wire.ErrUnknown}, want: wire.OutcomeRetry, class: wire.ErrUnknown},
		"outside the window":               {err: &platform.Error{Class: wire.ErrOutsideWindow}, want: wire.OutcomeFailed, class: wire.ErrOutsideWindow},
		"recipient gone":                   {err: &platform.Error{Class: wire.ErrRecipientGone}, want: wire.OutcomeFailed, class: wire.ErrRecipientGone},
		"content rejected":                 {err: &platform.Error{Class: wire.ErrContentRejected}, want: wire.OutcomeFailed, class: wire.ErrContentRejected},
		"moved":                            {err: &platform.Error{Class: wire.ErrContentRejected, NewAddress: "-100"}, want: wire.OutcomeMigrated, class: wire.ErrContentRejected},
		"perhaps sent":                     {err: &platform.Error{Class: wire.ErrRetryable, MaybeSent: true}, want: wire.OutcomeUnknown, class: wire.ErrRetryable},
		"perhaps sent, and safe to repeat": {err: &platform.Error{Class: wire.ErrRetryable, MaybeSent: true}, idempotent: true, want: wire.OutcomeRetry, class: wire.ErrRetryable},
		"wrapped":                          {err: errors.Join(errors.New("x"), &platform.Error{Class: wire.ErrRecipientGone}), want: wire.OutcomeFailed, class: wire.ErrRecipientGone},
		"cut off":                          {err: context.DeadlineExceeded, want: wire.OutcomeUnknown, class: wire.ErrUnknown},
		"cut off, and safe to repeat":      {err: context.Canceled, idempotent: true, want: wire.OutcomeRetry, class: wire.ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			pe := platformError(test.err)
			assert.Equal(t, test.want, outcomeOf(pe, test.idempotent))
			assert.Equal(t, test.class, pe.Class)
		})
	}
}

func TestReportsCarryWhatTheStoreNeedsAndNoSecrets(t *testing.T) {
	table, _ := testkit.Table(t, &testkit.Platform{}, testkit.Entry(t, "shop/a", 1, nil))
	ch := table.Snapshot().Channel("shop/a")
	d := wire.Delivery{ID: "m1", Channel: "shop/a", To: "4915112345", Lease: 9}
	r := reportOf(ch, d, 2, platform.SendResult{}, &platform.Error{
		Class: wire.ErrRateLimited, Scope: wire.ScopeContact, RetryAfter: time.Minute,
		Reason: "bot secret-of-shop/a may not write to 4915112345 so often",
	})
	assert.Equal(t, wire.PartReport{
		Delivery: "m1", Channel: "shop/a", Lease: 9, Part: 2, Outcome: wire.OutcomeRetry, Class: wire.ErrRateLimited,
		Scope: wire.ScopeContact, RetryAfter: time.Minute, Reason: "bot [redacted] may not write to [redacted] so often",
	}, r)

	sentAt := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	r = reportOf(ch, d, 0, platform.SendResult{ExternalIDs: []string{"x"}, SentAt: sentAt, NewAddress: "-100"}, nil)
	assert.Equal(t, wire.PartReport{
		Delivery: "m1", Channel: "shop/a", Lease: 9, Outcome: wire.OutcomeSent, ExternalIDs: []string{"x"}, SentAt: sentAt, NewAddress: "-100",
	}, r)
	assert.False(t, reportOf(ch, d, 0, platform.SendResult{}, nil).SentAt.IsZero(), "without the platform's time: now")
}
