package store

import (
	"math"
	"time"
)

// Pace of the outbox. Each number says where it comes from.
const (
	// retryBase and retryCap bound the exponential backoff: most trouble of a
	// platform is over within seconds, and one attempt in five minutes per
	// contact is no load for a platform that is down for hours.
	retryBase = time.Second
	retryCap  = 5 * time.Minute

	// retryFloor keeps full jitter, which may draw zero, from a busy loop.
	retryFloor = 100 * time.Millisecond

	// giveUpAfter is how long a delivery is tried since its first attempt: the
	// longest outages of the large platforms (Meta, October 2021: seven hours)
	// fit in it, and an answer that comes a day late is better sent by a person
	// who looks at it first.
	giveUpAfter = 24 * time.Hour

	// giveUpAttempts stops a loop that the clock does not see. 24 hours of
	// full-jitter backoff with a cap of 5 minutes come to about 580 attempts
	// (24 h / 150 s and the ten short ones at the start), so it does not bind
	// before giveUpAfter does.
	giveUpAttempts = 1000

	// pauseCap bounds the backoff of a channel whose credentials or settings the
	// platform refuses: a rotated Secret is used a minute later at the latest.
	pauseCap = time.Minute

	// retryAfterCap is the longest wait that a platform can ask for; beyond a
	// day the number is more likely a wrong unit than a wish.
	retryAfterCap = 24 * time.Hour

	// resendUnknownMax is how often a part with an unknown outcome is sent again
	// where the platform has no idempotency key and the channel asks for it
	// (resendUnknown). Each time may be a duplicate on somebody's phone.
	resendUnknownMax = 2

	// migrationsAtOnce is how many moves of an address are followed without a
	// delay; a platform that sends us in circles is met with backoff after that.
	migrationsAtOnce = 3

	// burstSeconds of a channel's rate may be sent at once. A bucket lets
	// through burst + rate×T in any T; a tenth of a second keeps that within
	// 10 % of the platform's limit per second.
	burstSeconds = 0.1
)

// backoff is the wait before attempt+1: exponential with full jitter, which
// spreads the retries of many lanes best. draw is a random number in [0, 1).
func backoff(attempt int, limit time.Duration, draw float64) time.Duration {
	ceiling := limit
	// 2^20 s is far above any limit, and shifting further would overflow.
	if attempt < 20 {
		ceiling = min(limit, retryBase<<max(attempt-1, 0))
	}
	return max(retryFloor, time.Duration(draw*float64(ceiling)))
}

// bucket is a token bucket: one token is one platform request. It may go
// below zero, as a message of several parts is leased as a whole and its debt
// is waited for afterwards. A rate of 0 is no limit.
type bucket struct {
	tokens   float64
	refilled time.Time
}

// refill brings the bucket to now.
func (b bucket) refill(now time.Time, rate float64) bucket {
	if rate <= 0 {
		return bucket{refilled: now}
	}
	burst := max(1, rate*burstSeconds)
	elapsed := now.Sub(b.refilled).Seconds()
	if b.refilled.IsZero() {
		return bucket{tokens: burst, refilled: now}
	}
	if elapsed < 0 { // the clock was set back: start from here, give nothing away
		elapsed = 0
	}
	return bucket{tokens: min(burst, b.tokens+elapsed*rate), refilled: now}
}

// readyIn is how long until one token is there.
func (b bucket) readyIn(rate float64) time.Duration {
	if rate <= 0 || b.tokens >= 1 {
		return 0
	}
	return time.Duration(math.Ceil((1 - b.tokens) / rate * float64(time.Second)))
}
