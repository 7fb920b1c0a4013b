package webhook

import (
	"sync"

	"golang.org/x/time/rate"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
)

const (
	// defaultInbound is how many verified requests a second a channel takes by
	// default: the highest rate that a platform lets one account write at
	// (Messenger, 300 texts/s per page), which its customers do not exceed
	// either for long. What is refused with 429 comes again.
	defaultInbound = 300
	// unverifiedRate and unverifiedBurst are a channel's budget for requests
	// that fail verification. Within it they are told 401; beyond it their
	// connection is closed as well, so that junk pays for a new one each time.
	// A platform whose secret was rotated away shows up just as well at 10/s.
	unverifiedRate  = 10
	unverifiedBurst = 50
	// maxVerified requests wait for the store at one time: each holds about
	// 20 KiB of connection and goroutine, 40 MiB in all.
	maxVerified = 2048
)

// budgets are a channel's two token buckets. They outlive reloads of the
// channel, so that a change of its entry does not fill them.
type budgets struct {
	verified, unverified *rate.Limiter
}

type limits struct {
	mu     sync.Mutex
	byName map[string]*budgets
}

func newLimits() *limits { return &limits{byName: map[string]*budgets{}} }

// of is the budgets of a channel, at its present limits.
func (l *limits) of(ch *channels.Channel, snapshot *channels.Snapshot) *budgets {
	want := ch.Spec.Limits.InboundPerSecond
	if want <= 0 {
		want = defaultInbound
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.byName[ch.Name]
	if b == nil {
		l.prune(snapshot)
		b = &budgets{verified: rate.NewLimiter(rate.Limit(want), want), unverified: rate.NewLimiter(unverifiedRate, unverifiedBurst)}
		l.byName[ch.Name] = b
	}
	if b.verified.Burst() != want {
		b.verified.SetLimit(rate.Limit(want))
		b.verified.SetBurst(want)
	}
	return b
}

// prune forgets channels that are gone, when they outnumber those that are here.
func (l *limits) prune(snapshot *channels.Snapshot) {
	if len(l.byName) <= 2*snapshot.Len() {
		return
	}
	for name := range l.byName {
		if snapshot.Channel(name) == nil {
			delete(l.byName, name)
		}
	}
}
