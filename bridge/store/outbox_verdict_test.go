package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func TestJudge(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	first := attempt{Now: now, First: now, Number: 1, Draw: 0.5}
	late := attempt{Now: now, First: now.Add(-giveUpAfter), Number: 400, Draw: 0.5}
	with := func(a attempt, change func(*attempt)) attempt { change(&a); return a }
	for _, c := range []struct {
		name   string
		report wire.PartReport
		at     attempt
		want   verdict
	}{
		{"sent", wire.PartReport{Outcome: wire.OutcomeSent}, first, verdict{Part: partSent}},
		{"about to be sent", wire.PartReport{Outcome: wire.OutcomeSending}, first, verdict{Part: partSending}},
		{"given back", wire.PartReport{Outcome: wire.OutcomeReleased}, first, verdict{Part: partQueued, Ends: true, Released: true}},
		{"given back again and again", wire.PartReport{Outcome: wire.OutcomeReleased}, with(first, func(a *attempt) { a.Releases = 3 }),
			verdict{Part: partQueued, Ends: true, Released: true, LaneDelay: 2 * time.Second}},
		{"retry backs off", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrRetryable, Reason: "503"}, with(first, func(a *attempt) { a.Number = 3 }),
			verdict{Part: partQueued, Ends: true, LaneDelay: 2 * time.Second, Reason: "Retryable: 503"}},
		{"Retry-After is obeyed", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrRetryable, Reason: "503", RetryAfter: time.Minute}, first,
			verdict{Part: partQueued, Ends: true, LaneDelay: time.Minute, Reason: "Retryable: 503"}},
		{"an absurd Retry-After is not", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrRateLimited, Scope: wire.ScopeChannel, Reason: "429", RetryAfter: 1e6 * time.Hour}, first,
			verdict{Part: partQueued, Ends: true, ChannelDelay: retryAfterCap, ChannelFailed: true, Reason: "RateLimited: 429"}},
		{"rate limit of the contact holds the lane", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrRateLimited, Scope: wire.ScopeContact, Reason: "429", RetryAfter: 3 * time.Second}, first,
			verdict{Part: partQueued, Ends: true, LaneDelay: 3 * time.Second, Reason: "RateLimited: 429"}},
		{"rate limit of the channel holds the channel", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrRateLimited, Scope: wire.ScopeChannel, Reason: "429", RetryAfter: 3 * time.Second}, late,
			verdict{Part: partQueued, Ends: true, ChannelDelay: 3 * time.Second, ChannelFailed: true, Reason: "RateLimited: 429"}},
		{"refused credentials wait, even as failed, however late", wire.PartReport{Outcome: wire.OutcomeFailed, Class: wire.ErrAuthInvalid, Reason: "401"}, late,
			verdict{Part: partQueued, Ends: true, ChannelDelay: time.Second / 2, ChannelFailed: true, Reason: "AuthInvalid: 401"}},
		{"and back off", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrMisconfigured, Reason: "404"}, with(first, func(a *attempt) { a.ChannelFailures = 50 }),
			verdict{Part: partQueued, Ends: true, ChannelDelay: pauseCap / 2, ChannelFailed: true, Reason: "Misconfigured: 404"}},
		{"outside the window fails at once", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrOutsideWindow, Reason: "24 h"}, first,
			verdict{Part: partFailed, Ends: true, Reason: "OutsideWindow: 24 h"}},
		{"a recipient who is gone fails at once", wire.PartReport{Outcome: wire.OutcomeFailed, Class: wire.ErrRecipientGone, Reason: "blocked"}, first,
			verdict{Part: partFailed, Ends: true, RecipientGone: true, Reason: "RecipientGone: blocked"}},
		{"rejected content fails at once", wire.PartReport{Outcome: wire.OutcomeFailed, Class: wire.ErrContentRejected, Reason: "bad html"}, first,
			verdict{Part: partFailed, Ends: true, Reason: "ContentRejected: bad html"}},
		{"failed without a class fails", wire.PartReport{Outcome: wire.OutcomeFailed, Reason: "no"}, first, verdict{Part: partFailed, Ends: true, Reason: "no"}},
		{"unknown stays unknown", wire.PartReport{Outcome: wire.OutcomeUnknown, Class: wire.ErrRetryable, Reason: "timeout"}, first,
			verdict{Part: partUnknown, Ends: true, Reason: "Retryable: timeout"}},
		{"unknown is repeated where that is safe", wire.PartReport{Outcome: wire.OutcomeUnknown, Reason: "timeout"}, with(first, func(a *attempt) { a.Idempotent, a.Unknowns = true, 99 }),
			verdict{Part: partQueued, Ends: true, LaneDelay: time.Second / 2, Reason: "timeout"}},
		{"unknown is repeated where the channel says so", wire.PartReport{Outcome: wire.OutcomeUnknown, Reason: "timeout"}, with(first, func(a *attempt) { a.ResendUnknown = true }),
			verdict{Part: partQueued, Ends: true, LaneDelay: time.Second / 2, Reason: "timeout"}},
		{"but not for ever", wire.PartReport{Outcome: wire.OutcomeUnknown, Reason: "timeout"}, with(first, func(a *attempt) { a.ResendUnknown, a.Unknowns = true, resendUnknownMax }),
			verdict{Part: partUnknown, Ends: true, Reason: "timeout"}},
		{"unknown is never given up as failed", wire.PartReport{Outcome: wire.OutcomeUnknown, Reason: "timeout"}, with(late, func(a *attempt) { a.Idempotent = true }),
			verdict{Part: partUnknown, Ends: true, Reason: "timeout"}},
		{"a word of a newer bridge is no promise that it was not sent", wire.PartReport{Outcome: "teleported"}, first,
			verdict{Part: partUnknown, Ends: true, Reason: "the outcome of the send was not learnt"}},
		{"a move is followed at once", wire.PartReport{Outcome: wire.OutcomeMigrated, NewAddress: "-100"}, first,
			verdict{Part: partQueued, Ends: true, Reason: "the contact's address changed"}},
		{"going in circles is not", wire.PartReport{Outcome: wire.OutcomeMigrated, NewAddress: "-100"}, with(first, func(a *attempt) { a.Number = 4 }),
			verdict{Part: partQueued, Ends: true, LaneDelay: 4 * time.Second, Reason: "the contact's address changed"}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, judge(c.report, c.at)) })
	}
}

func TestJudgeGivesUpAfterADay(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	v := judge(wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrRetryable, Reason: "503"}, attempt{Now: now, First: now.Add(-giveUpAfter), Number: 580, Draw: 0.5})
	require.Equal(t, partFailed, v.Part)
	require.Contains(t, v.Reason, "given up after 24h0m0s and 580 attempts")
	require.Contains(t, v.Reason, "503")
	v = judge(wire.PartReport{Outcome: wire.OutcomeRetry}, attempt{Now: now, First: now, Number: giveUpAttempts, Draw: 0.5})
	require.Equal(t, partFailed, v.Part)
}

// Whatever a bridge reports, it is never "sent" unless it said so, and what
// ends a turn says why, unless it was given back untried.
func TestJudgeNeverInventsASend(t *testing.T) {
	outcomes := []wire.Outcome{wire.OutcomeRetry, wire.OutcomeFailed, wire.OutcomeUnknown, wire.OutcomeReleased, wire.OutcomeMigrated, wire.OutcomeSending, "new in a later version"}
	classes := []wire.ErrorClass{"", wire.ErrRetryable, wire.ErrRateLimited, wire.ErrAuthInvalid, wire.ErrOutsideWindow, wire.ErrRecipientGone, wire.ErrContentRejected, wire.ErrMisconfigured, wire.ErrUnknown, "Novel"}
	rapid.Check(t, func(t *rapid.T) {
		r := wire.PartReport{
			Outcome: rapid.SampledFrom(outcomes).Draw(t, "outcome"), Class: rapid.SampledFrom(classes).Draw(t, "class"),
			Scope:      rapid.SampledFrom([]wire.RateScope{"", wire.ScopeChannel, wire.ScopeContact}).Draw(t, "scope"),
			RetryAfter: time.Duration(rapid.Int64().Draw(t, "after")),
		}
		now := time.Unix(1_700_000_000, 0)
		a := attempt{
			Now: now, First: now.Add(-time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "age"))),
			Number: rapid.IntRange(1, 1200).Draw(t, "number"), Releases: rapid.IntRange(0, 5).Draw(t, "releases"),
			ChannelFailures: rapid.IntRange(0, 90).Draw(t, "failures"), Unknowns: rapid.IntRange(0, 3).Draw(t, "unknowns"),
			Idempotent: rapid.Bool().Draw(t, "idempotent"), ResendUnknown: rapid.Bool().Draw(t, "resend"), Draw: rapid.Float64Range(0, 0.99).Draw(t, "draw"),
		}
		v := judge(r, a)
		require.NotEqual(t, partSent, v.Part)
		require.Equal(t, r.Outcome != wire.OutcomeSending, v.Ends)
		require.True(t, !v.Ends || v.Released || v.Reason != "")
		require.GreaterOrEqual(t, v.LaneDelay, time.Duration(0))
		require.LessOrEqual(t, v.LaneDelay, retryAfterCap)
		require.LessOrEqual(t, v.ChannelDelay, retryAfterCap)
		if v.Part == partFailed {
			require.False(t, v.ChannelFailed, "a channel's trouble is not the message's")
		}
	})
}

func TestSettleRestAndDerive(t *testing.T) {
	q, s, f, u, h, c := partQueued, partSent, partFailed, partUnknown, partHeld, partCancelled
	for _, row := range []struct {
		before, after []partState
		want          deliveryState
	}{
		{[]partState{q, q}, []partState{q, q}, deliveryQueued},
		{[]partState{s, q}, []partState{s, q}, deliveryQueued},
		{[]partState{s, s}, []partState{s, s}, deliverySent},
		{[]partState{s, f, q, h}, []partState{s, f, c, c}, deliveryFailed},
		{[]partState{u, q}, []partState{u, h}, deliveryUnknown},
		{[]partState{s, h}, []partState{s, q}, deliveryQueued},
		{[]partState{s, c}, []partState{s, c}, deliveryCancelled},
		{[]partState{s, partSending, q}, []partState{s, partSending, q}, deliveryQueued},
	} {
		parts := append([]partState(nil), row.before...)
		settleRest(parts)
		require.Equal(t, row.after, parts)
		require.Equal(t, row.want, deriveDelivery(parts), "%v", parts)
	}
}

func TestMessageStatusFollowsReceiptsOnlyOnceSent(t *testing.T) {
	read := []message.Status{message.StatusRead}
	require.Equal(t, message.StatusRead, messageStatus(deliverySent, read))
	require.Equal(t, message.StatusQueued, messageStatus(deliveryQueued, read))
	require.Equal(t, message.StatusFailed, messageStatus(deliveryFailed, read))
	require.Equal(t, message.StatusUnknown, messageStatus(deliveryUnknown, read))
	require.Equal(t, message.StatusCancelled, messageStatus(deliveryCancelled, nil))
	require.Equal(t, message.StatusSuperseded, messageStatus(deliverySuperseded, nil))
}
