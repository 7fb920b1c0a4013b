// Package outbox sends what the store hands out.
//
//	store ──Lease (long poll)──► deliveries, one per lane
//	                               │  a worker each, parts in order
//	        ◄──Report: sending──── │  before the first byte goes out
//	                               ▼  Platform.Send
//	        ◄──Report: outcome──── together with "sending" of the next part
//
// A lane is the store's business: within one lease nothing else of it is out,
// so order is by completion. A crash between "sending" and the outcome leaves
// the part unknown, never sent twice in silence. When the process stops, the
// part on the way is finished and what was not tried is given back.
package outbox

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// DefaultWorkers send at one time. By Little's law 128 sends of 0.1 to 0.3 s
	// are 400 to 1 300 messages a second: one to four of the largest accounts of any
	// platform (Messenger's 300/s), and 128 stuck ones (30 s) cost 128 goroutines.
	// What was sent together is reported together and makes room for as large a
	// lease, so that a message costs the store a quarter less than with 64.
	DefaultWorkers = 128
	// SendTimeout bounds one send, unless its platform asks for more
	// (platform.SendTimeouter); the store's leases outlast it.
	SendTimeout = 30 * time.Second
	// MaxSendTimeout is the most that a platform can ask for: a lane is not held
	// for longer by a bridge that died meanwhile.
	MaxSendTimeout = 10 * time.Minute
	// holdSlack is how much a lease outlasts a long send: time for its report to
	// be repeated while the store restarts. Usual leases (90 s) have as much.
	holdSlack = time.Minute
	// leaseWait is how long the store holds a lease request when there is
	// nothing to do: long, as it costs nothing, but below the minute at which
	// idle connections are cut.
	leaseWait = 20 * time.Second
	// pausedWait is leaseWait while channels are paused: what a request says of them
	// is what was so when it was made, so that a message for a Channel that goes on
	// waits until the next one.
	pausedWait = 2 * time.Second
	// leaseSlack is added to leaseWait for the way there and back.
	leaseSlack = 10 * time.Second
	// pause keeps a channel out of leases that this replica cannot send for: its
	// document is behind the store's by some seconds.
	pause = 5 * time.Second
	// A failed lease is tried again soon and at most every 5 s.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
	// lateReports is how long an outcome is still told after its lease: the
	// store made it unknown by then, and a late report clears that up. Five
	// minutes outlast a store that moves to another node with its volume.
	lateReports = 5 * time.Minute
)

// Store hands out deliveries and takes reports.
type Store interface {
	Lease(ctx context.Context, req wire.LeaseRequest) (wire.LeaseResponse, error)
	Report(ctx context.Context, req wire.ReportRequest) (wire.ReportResponse, error)
	OpenMedia(ctx context.Context, id string) (store.MediaMeta, io.ReadCloser, error)
}

// Config is what a Sender needs.
type Config struct {
	Table    *channels.Table
	Store    Store
	Instance string
	Rows     *status.Rows
	Metrics  *metrics.Metrics
	Log      *slog.Logger
	Workers  int // zero: DefaultWorkers
}

// Sender leases and sends. Make one with New and Run it once.
type Sender struct {
	Config
	reports *reporter
	trouble *trouble
	slots   chan struct{} // one token per free worker
	active  sync.WaitGroup

	mu     sync.Mutex
	paused map[string]time.Time // channels that cannot be sent for, until when
}

// New makes a sender.
func New(c Config) *Sender {
	if c.Workers == 0 {
		c.Workers = DefaultWorkers
	}
	s := &Sender{
		Config: c, reports: newReporter(c.Store, c.Instance, c.Workers), trouble: newTrouble(c.Rows),
		slots: make(chan struct{}, c.Workers), paused: map[string]time.Time{},
	}
	for range c.Workers {
		s.slots <- struct{}{}
	}
	return s
}

// Run leases and sends until ctx is done. Then it finishes what is on the way;
// hard ends even that, and what it cuts off is reported as it stands.
func (s *Sender) Run(ctx, hard context.Context) {
	defer s.reports.groups.Wait()
	defer s.active.Wait()
	more := false // the store had as much as was asked for
	for failures := 0; ctx.Err() == nil; {
		free := s.takeSlots(ctx, more)
		if free == 0 {
			return
		}
		asked, paused := time.Now(), s.pausedNow()
		wait := leaseWait
		if len(paused) > 0 {
			wait = pausedWait
		}
		deliveries, err := s.lease(ctx, free, wait, paused)
		more = len(deliveries) >= free
		for range free - min(free, len(deliveries)) {
			s.slots <- struct{}{}
		}
		for _, d := range deliveries {
			s.active.Go(func() { s.work(ctx, hard, d) })
		}
		if err == nil && (len(deliveries) > 0 || time.Since(asked) > wait/2) {
			failures = 0
			continue
		}
		// An empty answer before its time is a store that is about to stop.
		if failures++; err != nil && failures == 1 && ctx.Err() == nil {
			s.Log.Warn("nothing can be leased to send", "error", err)
		}
		sleep(ctx, backoff(failures))
	}
}

// gather is how long a lease waits for more free workers while the store has more
// than they can send: a claim costs the store some milliseconds however little it
// brings, and workers whose outcomes went in one report come free together, but
// one by one. Where they do not, as their sends take long, that is all it costs.
const gather = 3 * time.Millisecond

// takeSlots waits for a free worker, with more to send for a quarter of all, and
// takes all that are free.
func (s *Sender) takeSlots(ctx context.Context, more bool) int {
	select {
	case <-ctx.Done():
		return 0
	case <-s.slots:
	}
	free := 1
	if more {
		timer := time.NewTimer(gather)
		defer timer.Stop()
		for late := false; !late && free < s.Workers/4; {
			select {
			case <-ctx.Done():
				return free
			case <-timer.C:
				late = true
			case <-s.slots:
				free++
			}
		}
	}
	for ; ; free++ {
		select {
		case <-s.slots:
		default:
			return free
		}
	}
}

// leased is a delivery with its end by our clock.
type leased struct {
	wire.Delivery
	until time.Time
}

func (s *Sender) lease(ctx context.Context, free int, wait time.Duration, paused []string) ([]leased, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+leaseSlack)
	defer cancel()
	resp, err := s.Store.Lease(ctx, wire.LeaseRequest{Instance: s.Instance, Max: free, Wait: wait, Paused: paused})
	if err != nil {
		return nil, err
	}
	received := time.Now()
	out := make([]leased, len(resp.Deliveries))
	for i, d := range resp.Deliveries {
		out[i] = leased{Delivery: d, until: received.Add(d.Expires)}
	}
	if len(out) > free { // a store that gives more than was asked for: the rest waits for a slot
		for range len(out) - free {
			<-s.slots
		}
	}
	return out, nil
}

// pausedNow are the channels that this replica cannot send for.
func (s *Sender) pausedNow() []string {
	snapshot := s.Table.Snapshot()
	var names []string
	for ch := range snapshot.Channels {
		if ch.Spec.Suspended {
			names = append(names, ch.Name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, until := range s.paused {
		if time.Now().After(until) || snapshot.Channel(name) != nil {
			delete(s.paused, name)
			continue
		}
		names = append(names, name)
	}
	s.trouble.sweep(snapshot)
	return names
}

func (s *Sender) pauseChannel(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused[name] = time.Now().Add(pause)
}

func backoff(failures int) time.Duration {
	d := min(minBackoff<<min(failures, 10), maxBackoff)
	return d - rand.N(d/2)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
