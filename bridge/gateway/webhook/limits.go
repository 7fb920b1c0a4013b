package webhook

import (
	"sync"

	"golang.org/x/time/rate"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
)

const (
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

// of is the budgets of a place, at its present limits.
func (l *limits) of(p *place, snapshot *channels.Snapshot) *budgets {
	want := p.inbound()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.byName[p.name]
	if b == nil {
		l.prune(snapshot)
		b = &budgets{verified: rate.NewLimiter(rate.Limit(want), want), unverified: rate.NewLimiter(unverifiedRate, unverifiedBurst)}
		l.byName[p.name] = b
	}
	if b.verified.Burst() != want {
		b.verified.SetLimit(rate.Limit(want))
		b.verified.SetBurst(want)
	}
	return b
}

// prune forgets places that are gone, when there are many: each channel has at
// most its own and its app's.
func (l *limits) prune(snapshot *channels.Snapshot) {
	if len(l.byName) <= 2*snapshot.Len() {
		return
	}
	for name := range l.byName {
		if snapshot.Channel(name) == nil && snapshot.AppByName(name) == nil {
			delete(l.byName, name)
		}
	}
}
