package store

import (
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// attempt is what a verdict depends on beside the report.
type attempt struct {
	Now time.Time
	// Number of the attempt, 1 for the first, and when the first one was.
	Number int
	First  time.Time
	// Releases is how often in a row the lane was given back untried.
	Releases int
	// ChannelFailures is how often in a row the channel was refused.
	ChannelFailures int
	// Unknowns is how often this part's outcome was unknown before.
	Unknowns int
	// Idempotent: the platform carries out a repeated send once.
	Idempotent bool
	// ResendUnknown: the channel rather risks a duplicate than a loss.
	ResendUnknown bool
	// Draw is a random number in [0, 1) for the jitter.
	Draw float64
}

// verdict is what a report means for the part, the lane and the channel.
type verdict struct {
	Part partState
	// Ends says that the holder's turn with this lane is over.
	Ends bool
	// LaneDelay is how long the lane waits then.
	LaneDelay time.Duration
	// ChannelDelay is how long the whole channel waits; 0: not at all.
	ChannelDelay time.Duration
	// ChannelFailed counts towards the channel's backoff; the attempt then is
	// not the message's: it waits, however long that takes, rather than fail.
	ChannelFailed bool
	Released      bool
	RecipientGone bool
	Reason        string
}

// judge decides what a report about a part that is not yet settled means.
func judge(r wire.PartReport, a attempt) verdict {
	switch r.Outcome {
	case wire.OutcomeSent:
		return verdict{Part: partSent}
	case wire.OutcomeSending:
		return verdict{Part: partSending}
	case wire.OutcomeReleased:
		return judgeReleased(r, a)
	case wire.OutcomeMigrated:
		return judgeMigrated(r, a)
	case wire.OutcomeRetry, wire.OutcomeFailed:
		return judgeRefused(r, a)
	default: // also what a newer bridge may say: it is not known whether it was sent
		return judgeUnknown(r, a)
	}
}

// judgeReleased gives the lane back at once, so that a bridge that shuts down
// hands over without a gap; a bridge that does so again and again is slowed.
func judgeReleased(r wire.PartReport, a attempt) verdict {
	v := verdict{Part: partQueued, Ends: true, Released: true, LaneDelay: clampRetryAfter(r.RetryAfter)}
	if a.Releases > 0 && v.LaneDelay == 0 {
		v.LaneDelay = backoff(a.Releases, retryCap, a.Draw)
	}
	return v
}

func judgeMigrated(r wire.PartReport, a attempt) verdict {
	if r.Reason == "" {
		r.Reason = "the contact's address changed"
	}
	v := retryLane(r, a)
	if a.Number <= migrationsAtOnce && v.Part == partQueued {
		v.LaneDelay = 0
	}
	return v
}

func judgeUnknown(r wire.PartReport, a attempt) verdict {
	reason := reasonOf(r, "the outcome of the send was not learnt")
	if a.Idempotent || a.ResendUnknown && a.Unknowns < resendUnknownMax {
		v := retryLane(r, a)
		if v.Part == partFailed { // given up: it still may have been sent
			v.Part = partUnknown
		}
		v.Reason = reason
		return v
	}
	return verdict{Part: partUnknown, Ends: true, Reason: reason}
}

// judgeRefused is about outcomes retry and failed: the class decides first,
// since a bridge that is older than the store may sort them differently.
func judgeRefused(r wire.PartReport, a attempt) verdict {
	switch r.Class {
	case wire.ErrOutsideWindow, wire.ErrContentRejected:
		return verdict{Part: partFailed, Ends: true, Reason: reasonOf(r, "refused by the platform")}
	case wire.ErrRecipientGone:
		return verdict{Part: partFailed, Ends: true, RecipientGone: true, Reason: reasonOf(r, "the contact cannot be written to")}
	case wire.ErrAuthInvalid, wire.ErrMisconfigured:
		return pauseChannel(r, a, pauseCap)
	case wire.ErrRateLimited:
		if r.Scope == wire.ScopeContact {
			return retryLane(r, a)
		}
		return pauseChannel(r, a, retryCap)
	}
	if r.Outcome == wire.OutcomeFailed {
		return verdict{Part: partFailed, Ends: true, Reason: reasonOf(r, "refused by the platform")}
	}
	v := retryLane(r, a)
	if r.Scope == wire.ScopeChannel && r.RetryAfter > 0 {
		v.ChannelDelay = clampRetryAfter(r.RetryAfter)
	}
	return v
}

// retryLane tries again after the longer of backoff and what the platform asks
// for, unless it is time to give up.
func retryLane(r wire.PartReport, a attempt) verdict {
	delay := max(clampRetryAfter(r.RetryAfter), backoff(a.Number, retryCap, a.Draw))
	reason := reasonOf(r, "the platform could not be reached")
	switch {
	case a.Now.Add(delay).Sub(a.First) > giveUpAfter:
		return verdict{Part: partFailed, Ends: true, Reason: fmt.Sprintf("given up after %s and %d attempts: %s", giveUpAfter, a.Number, reason)}
	case a.Number >= giveUpAttempts:
		return verdict{Part: partFailed, Ends: true, Reason: fmt.Sprintf("given up after %d attempts: %s", a.Number, reason)}
	}
	return verdict{Part: partQueued, Ends: true, LaneDelay: delay, Reason: reason}
}

func pauseChannel(r wire.PartReport, a attempt, limit time.Duration) verdict {
	delay := clampRetryAfter(r.RetryAfter)
	if delay == 0 {
		delay = backoff(a.ChannelFailures+1, limit, a.Draw)
	}
	return verdict{Part: partQueued, Ends: true, ChannelDelay: delay, ChannelFailed: true, Reason: reasonOf(r, "the channel is refused by the platform")}
}

func clampRetryAfter(d time.Duration) time.Duration { return min(max(d, 0), retryAfterCap) }

func reasonOf(r wire.PartReport, otherwise string) string {
	reason := r.Reason
	if reason == "" {
		reason = otherwise
	}
	if r.Class == "" {
		return reason
	}
	return string(r.Class) + ": " + reason
}
