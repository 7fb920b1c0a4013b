package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// session renews a session and returns the answer.
func (p *pod) session(accepted ...string) wire.SessionResponse {
	p.b.t.Helper()
	resp, err := p.b.Session(p.b.t.Context(), shopBridge, wire.SessionRequest{Instance: p.instance, Revision: p.revision, Accepted: accepted})
	require.NoError(p.b.t, err)
	p.revision = resp.Revision
	return resp
}

func refused(d wire.Delivery, class wire.ErrorClass) wire.PartReport {
	r := of(d, 0, wire.OutcomeRetry)
	r.Class = class
	return r
}

func TestRefusedCredentialsAreToldToTheHolderAndResumedByIt(t *testing.T) {
	for _, class := range mendable {
		t.Run(string(class), func(t *testing.T) {
			b := newBox(t, testCaps)
			p := b.pod("pod-1")
			require.Empty(t, p.session().Refused)
			b.send(b.met(telegram, "c1"), "hello")
			b.send(b.met(telegram, "c2"), "hello")
			// Some failures in a row, so that the breaker is open for long.
			b.report(refused(b.lease(1)[0], class))
			for range 8 {
				b.clock.advance(2 * time.Minute)
				require.Equal(t, []string{telegram}, p.session().Refused, "whoever sent it")
				b.report(refused(b.leaseOne(), class))
			}
			require.Empty(t, b.lease(10))

			p.session("shop/nobody", foreign)
			require.Empty(t, b.lease(10), "of these nothing is this channel's")
			require.Empty(t, p.session(telegram).Refused, "mended, and told so at once")
			require.Len(t, b.lease(10), 2, "everything goes on, without a probe first")
		})
	}
}

func TestAnAcceptedTokenDoesNotEndAWaitThatThePlatformAskedFor(t *testing.T) {
	b := newBox(t, testCaps)
	p := b.pod("pod-1")
	p.session()
	b.send(b.met(telegram, "c1"), "hello")
	r := refused(b.leaseOne(), wire.ErrRateLimited)
	r.Scope, r.RetryAfter = wire.ScopeChannel, time.Hour
	b.report(r)
	require.Empty(t, p.session(telegram).Refused, "nothing for a person to mend")
	require.Empty(t, b.lease(10))
	b.clock.advance(time.Hour)
	b.leaseOne()
}

func TestTheBreakerForgetsWhyOnceItIsClosed(t *testing.T) {
	b := newBox(t, testCaps)
	p := b.pod("pod-1")
	p.session()
	b.send(b.met(telegram, "c1"), "hello")
	b.report(refused(b.leaseOne(), wire.ErrAuthInvalid))
	b.clock.advance(time.Minute)
	b.sent(b.leaseOne())
	require.Empty(t, p.session().Refused)
}

func TestAnotherBridgeIsNotToldOfRefusals(t *testing.T) {
	b := newBox(t, testCaps)
	b.send(b.met(telegram, "c1"), "hello")
	b.pod("pod-1").session()
	b.report(refused(b.leaseOne(), wire.ErrAuthInvalid))
	resp, err := b.Session(t.Context(), otherBridge, wire.SessionRequest{Instance: "pod-1", Accepted: []string{telegram}})
	require.NoError(t, err)
	require.Empty(t, resp.Refused)
	require.Equal(t, []string{telegram}, b.pod("pod-1").session().Refused, "nor can it end them")
}

func TestALongSendHoldsItsLease(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "one two three four")
	d := b.leaseOne()
	sending := of(d, 0, wire.OutcomeSending)
	sending.Hold = 5 * time.Minute
	require.Equal(t, []bool{true}, b.report(sending))
	b.clock.advance(leaseFor + time.Minute)
	require.NoError(t, b.expireLeases(t.Context()))
	require.Equal(t, message.StatusQueued, b.status(id), "it is still being sent")

	// The next part begins with what is left, which is more than usual.
	require.Equal(t, []bool{true, true}, b.report(of(d, 0, wire.OutcomeSent), of(d, 1, wire.OutcomeSending)))
	b.clock.advance(leaseFor)
	require.NoError(t, b.expireLeases(t.Context()))
	require.Equal(t, message.StatusQueued, b.status(id), "a lease is never shortened")
	b.clock.advance(time.Minute)
	require.NoError(t, b.expireLeases(t.Context()))
	b.wantStatus(id, message.StatusUnknown, "before its lease was over")
}

func TestALeaseIsNotHeldForever(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hello")
	sending := of(b.leaseOne(), 0, wire.OutcomeSending)
	sending.Hold = 24 * time.Hour
	b.report(sending)
	b.clock.advance(holdMax)
	require.NoError(t, b.expireLeases(t.Context()))
	b.wantStatus(id, message.StatusUnknown, "before its lease was over")
}

func TestStrikes(t *testing.T) {
	now := testTime
	b := breaker{}
	for i := range breakerAfter - 1 {
		b = b.strike(int64(i+1), now, 0.5)
		require.Zero(t, b.failures)
		require.Equal(t, b, b.strike(int64(i+1), now, 0.5), "a lane does not count twice in a row")
	}
	b = b.strike(9, now, 0.5)
	require.Equal(t, 1, b.failures)
	require.Greater(t, b.pausedUntil, ms(now))
	require.Equal(t, b, b.strike(10, now, 0.5), "what was on its way when it opened proves nothing")
	last := time.Duration(0)
	for range 10 { // each probe that fails, of whichever lane, opens it again
		now = fromMS(b.pausedUntil)
		b = b.strike(9, now, 0.99)
		wait := fromMS(b.pausedUntil).Sub(now)
		require.GreaterOrEqual(t, wait, last)
		last = wait
	}
	require.Equal(t, 11, b.failures)
	require.InDelta(t, pauseCap.Seconds(), last.Seconds(), 1)
}

func TestAPlatformThatDoesNotAnswerIsProbedByOne(t *testing.T) {
	for _, outcome := range []wire.Outcome{wire.OutcomeRetry, wire.OutcomeUnknown} {
		t.Run(string(outcome), func(t *testing.T) {
			b := newBox(t, testCaps)
			b.sendMany(telegram, 4*breakerAfter)
			down := func(d wire.Delivery) {
				r := refused(d, wire.ErrRetryable)
				r.Outcome = outcome
				b.report(of(d, 0, wire.OutcomeSending), r)
			}
			for range breakerAfter {
				down(b.lease(1)[0])
			}
			require.Empty(t, b.lease(100), "the rest waits instead of failing one by one")
			require.Empty(t, b.pod("pod-1").session().Refused, "nothing for a person to mend")
			for range 5 {
				b.clock.advance(pauseCap)
				ds := b.lease(100)
				require.Len(t, ds, 1, "half-open: one tries for all")
				down(ds[0])
				require.Empty(t, b.lease(100))
			}
			b.clock.advance(pauseCap)
			b.sent(b.leaseOne())
			require.Greater(t, len(b.lease(100)), breakerAfter, "and when it is taken, everything goes on")
		})
	}
}

func TestOneContactDoesNotOpenTheBreaker(t *testing.T) {
	b := newBox(t, testCaps)
	b.send(b.met(telegram, "c1"), "hello")
	for range 3 * breakerAfter {
		b.report(refused(b.leaseOne(), wire.ErrRetryable))
		b.clock.advance(retryCap)
	}
	b.send(b.met(telegram, "c2"), "hello")
	require.Len(t, b.lease(10), 2, "nobody waits for it")
}

func TestASuccessBetweenThemEndsStrikes(t *testing.T) {
	b := newBox(t, testCaps)
	b.sendMany(telegram, 4*breakerAfter)
	for range 2 {
		for range breakerAfter - 1 {
			b.report(refused(b.lease(1)[0], wire.ErrRetryable))
		}
		b.sent(b.lease(1)[0])
	}
	require.NotEmpty(t, b.lease(100))
}

// A wait that the platform asks the whole channel for is kept by lanes that are
// leased already, and by the parts that are left of a message: nothing more is
// begun, and nothing of it is an attempt.
func TestLeasedLanesWaitForTheirChannel(t *testing.T) {
	for name, class := range map[string]wire.ErrorClass{"Retry-After": wire.ErrRateLimited, "credentials": wire.ErrAuthInvalid} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, testCaps)
			var ids []string
			for i := range 3 {
				ids = append(ids, b.send(b.met(telegram, fmt.Sprint("c", i)), threeParts))
			}
			ds := b.lease(10)
			require.Len(t, ds, 3)
			b.report(of(ds[1], 0, wire.OutcomeSending), of(ds[1], 0, wire.OutcomeSent)) // two parts are left of it
			r := of(ds[0], 0, wire.OutcomeRetry)
			r.Class, r.Scope, r.RetryAfter = class, wire.ScopeChannel, 30*time.Second
			b.report(of(ds[0], 0, wire.OutcomeSending), r)
			require.Equal(t, []bool{false}, b.report(of(ds[1], 1, wire.OutcomeSending)))
			require.Equal(t, []bool{false}, b.report(of(ds[2], 0, wire.OutcomeSending)))
			b.report(of(ds[1], 1, wire.OutcomeReleased), of(ds[2], 0, wire.OutcomeReleased)) // as the bridge does then

			b.clock.advance(30*time.Second - time.Millisecond)
			require.Empty(t, b.lease(10))
			b.clock.advance(time.Millisecond)
			parts := map[string][]int{}
			for len(parts) < 3 { // one tries for all, then the others
				found := b.lease(10)
				require.NotEmpty(t, found)
				for _, d := range found {
					parts[d.ID] = indexes(d)
					b.sent(d)
				}
			}
			require.Equal(t, map[string][]int{ids[0]: {0, 1, 2}, ids[1]: {1, 2}, ids[2]: {0, 1, 2}}, parts)
		})
	}
}
