package duty

import (
	"math/rand/v2"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
)

const (
	// Looking again when all is well. Credentials are revoked rarely and sends
	// notice it at once; a registration that drifts away loses messages, so it
	// is looked at most often: 1000 channels are under 2 requests a second.
	probeEvery   = time.Hour
	webhookEvery = 10 * time.Minute
	profileEvery = 30 * time.Minute

	// Trying again when it went wrong.
	minBackoff = 5 * time.Second
	maxBackoff = 15 * time.Minute
	// takenOverBackoff: somebody else uses the account; to look more often
	// would only find out faster that nobody has talked to them yet.
	takenOverBackoff = time.Hour
	// tombstoneBackoff bounds the wait between attempts to unregister: the
	// operator lets go after 5 minutes, which leaves room for about ten.
	tombstoneBackoff = 30 * time.Second
)

// next is how long until a task runs again after it ended like that.
func next(o status.Obligation, tombstone bool, d document.Duty, failures int, retryAfter time.Duration) time.Duration {
	switch {
	case d.State == document.DutyDone:
		return jitter(interval(o), 10)
	case d.Reason == status.ReasonTakenOver:
		return jitter(takenOverBackoff, 10)
	case tombstone:
		return max(retryAfter, jitter(min(minBackoff<<min(failures-1, 10), tombstoneBackoff), 2))
	case d.State == document.DutyFailed:
		return max(retryAfter, jitter(maxBackoff, 2))
	default:
		return max(retryAfter, jitter(min(minBackoff<<min(failures-1, 10), maxBackoff), 2))
	}
}

func interval(o status.Obligation) time.Duration {
	switch o {
	case status.Webhook:
		return webhookEvery
	case status.Profile:
		return profileEvery
	default:
		return probeEvery
	}
}

// jitter takes up to an n-th off, so that what began together does not stay
// together.
func jitter(d time.Duration, n int64) time.Duration {
	return d - rand.N(d/time.Duration(n)+1)
}
