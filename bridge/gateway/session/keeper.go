// Package session keeps this process's session with the store, and with it
// the leases of channels: which connections and duties are this replica's.
//
//	renewed ──TTL/3──► due ──TTL/3──► let go ──TTL/3──► the store gives them away
//	   ▲                │  tries again    │
//	   └────success─────┘                 └─ nothing of ours runs any more
package session

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// firstPatience bounds a request while no lease is at stake.
	firstPatience = 5 * time.Second
	// A failed renewal is tried again soon: a third of a TTL of some seconds is
	// all the time there is.
	minRetry = 200 * time.Millisecond
	maxRetry = 2 * time.Second
	// minTTL guards against a store that answers nonsense; renewing every
	// second is the fastest that makes sense.
	minTTL = 3 * time.Second
)

// Store is where the session is.
type Store interface {
	Session(ctx context.Context, req wire.SessionRequest) (wire.SessionResponse, error)
}

// Keeper renews the session. Run it once; the other methods may be called
// concurrently with it.
type Keeper struct {
	store    Store
	instance string
	metrics  *metrics.Metrics
	log      *slog.Logger
	refresh  chan struct{}
	nudge    chan struct{}

	mu       sync.Mutex
	held     map[string]wire.Assignment
	refused  map[string]bool // channels whose sends the platform refuses, by the store
	accepted map[string]bool // channels to tell the store about
	watchers []chan struct{}

	// Of Run alone.
	revision int64
	ttl      time.Duration
	renewed  time.Time // when the request was made that renewed last; zero: nothing is held
	failures int
}

// New makes a keeper for the process named instance.
func New(s Store, instance string, m *metrics.Metrics, log *slog.Logger) *Keeper {
	return &Keeper{store: s, instance: instance, metrics: m, log: log, refresh: make(chan struct{}, 1), nudge: make(chan struct{}, 1), held: map[string]wire.Assignment{}, accepted: map[string]bool{}}
}

// Assignment is this replica's lease of a channel ("namespace/name"); ok is
// false when it has none.
func (k *Keeper) Assignment(channel string) (a wire.Assignment, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok = k.held[channel]
	return a, ok
}

// Watch returns a channel that has a value after every change since the last
// receive. It lives as long as the keeper.
func (k *Keeper) Watch() <-chan struct{} {
	ch := make(chan struct{}, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watchers = append(k.watchers, ch)
	return ch
}

// Refresh asks the store for the whole list at once: somebody has learnt that
// a lease is another's.
func (k *Keeper) Refresh() {
	select {
	case k.refresh <- struct{}{}:
	default:
	}
}

// Refused says that sends of a channel that this replica holds wait because the
// platform refused its credentials, whichever replica sent them.
func (k *Keeper) Refused(channel string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused[channel]
}

// Accepted tells the store at once that the platform has accepted a channel's
// credentials, so that what waited because of them is sent.
func (k *Keeper) Accepted(channel string) {
	k.mu.Lock()
	k.accepted[channel] = true
	k.mu.Unlock()
	select {
	case k.nudge <- struct{}{}:
	default:
	}
}

// Run renews until ctx is done. The leases are let go then: Close tells the
// store once all that ran under them has ended.
func (k *Keeper) Run(ctx context.Context) {
	defer k.set(nil)
	for {
		pause := k.renew(ctx)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-k.refresh:
			timer.Stop()
			k.revision = 0
		case <-k.nudge:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Close ends the session, so that another replica takes over at once instead
// of after the TTL. Call it after Run has returned.
func (k *Keeper) Close(ctx context.Context) error {
	_, err := k.store.Session(ctx, wire.SessionRequest{Instance: k.instance, Close: true})
	return err
}

// renew makes one request and says when the next is due.
func (k *Keeper) renew(ctx context.Context) time.Duration {
	start := time.Now()
	patience := firstPatience
	if !k.renewed.IsZero() {
		// A third of the time that is left, so that a request that hangs leaves
		// room for two more; never beyond the end.
		left := time.Until(k.letGo())
		patience = min(max(minRetry, left/3), left)
	}
	callCtx, cancel := context.WithTimeout(ctx, patience)
	accepted := k.toTell()
	resp, err := k.store.Session(callCtx, wire.SessionRequest{Instance: k.instance, Revision: k.revision, Accepted: accepted})
	cancel()
	if ctx.Err() != nil {
		return 0
	}
	if err != nil {
		k.tellAgain(accepted)
		return k.failed(err)
	}
	if k.failures > 0 {
		k.log.Info("session with the store is back", "failures", k.failures)
	}
	k.failures, k.renewed, k.ttl = 0, start, max(resp.TTL, minTTL)
	k.setRefused(resp.Refused)
	if resp.Changed {
		k.revision = resp.Revision
		k.set(resp.Assignments)
	}
	return time.Until(start.Add(k.ttl / 3))
}

// letGo is when leases that could not be renewed are given up.
func (k *Keeper) letGo() time.Time { return k.renewed.Add(2 * k.ttl / 3) }

func (k *Keeper) failed(err error) time.Duration {
	k.metrics.SessionFailures.Inc()
	k.failures++
	if k.failures == 1 {
		k.log.Warn("session with the store cannot be renewed", "error", err)
	}
	retry := min(minRetry<<min(k.failures, 10), maxRetry)
	retry -= rand.N(retry / 2)
	if k.renewed.IsZero() {
		return retry
	}
	left := time.Until(k.letGo())
	if left > 0 {
		return min(retry, left)
	}
	k.log.Warn("session with the store is lost; connections and duties stop in this replica", "failures", k.failures)
	k.renewed, k.revision = time.Time{}, 0
	k.set(nil)
	return retry
}

func (k *Keeper) set(list []wire.Assignment) {
	held := make(map[string]wire.Assignment, len(list))
	for _, a := range list {
		held[a.Channel] = a
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = held
	k.metrics.Assigned.Set(float64(len(held)))
	k.notify()
}

// notify wakes the watchers. The caller holds mu.
func (k *Keeper) notify() {
	for _, ch := range k.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// toTell takes the channels that the store has not been told of as accepted.
func (k *Keeper) toTell() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := slices.Sorted(maps.Keys(k.accepted))
	clear(k.accepted)
	return list
}

// tellAgain puts them back: the store may not have heard of them.
func (k *Keeper) tellAgain(channels []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, channel := range channels {
		k.accepted[channel] = true
	}
}

func (k *Keeper) setRefused(channels []string) {
	next := make(map[string]bool, len(channels))
	for _, channel := range channels {
		next[channel] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !maps.Equal(k.refused, next) {
		k.refused = next
		k.notify()
	}
}
