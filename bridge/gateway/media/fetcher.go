// Package media brings attachments from the platforms into the store, after
// their messages are committed, and gives platforms their word back.
//
//	store ──LeaseMedia──► job ──FetchMedia──► stream, bounded ──PutMedia──► store
//	                       └── gone, too large, later ──ReportMedia──► store
package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// workers fetch at one time. An attachment is streamed in 32 KiB steps, so
	// memory is no bound; 8 keep a link of 100 Mbit/s busy without taking it
	// from the messages.
	workers = 8
	// fetchTimeout bounds one attachment: 20 MiB (the most that Telegram gives)
	// at 2 Mbit/s are 84 s.
	fetchTimeout = 3 * time.Minute
	leaseWait    = 20 * time.Second
	leaseSlack   = 10 * time.Second
	minBackoff   = 200 * time.Millisecond
	maxBackoff   = 10 * time.Second
	// reportTimeout bounds one report; a report that is lost is made up for by
	// the end of the lease.
	reportTimeout = 5 * time.Second
	// absentRetry is when a channel that is not (yet) loaded, or suspended, is
	// looked at again.
	absentRetry = time.Minute
)

// Store hands out the work and takes the bytes.
type Store interface {
	LeaseMedia(ctx context.Context, req wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error)
	PutMedia(ctx context.Context, id string, lease int64, meta store.MediaMeta, body io.Reader) error
	ReportMedia(ctx context.Context, id string, report wire.MediaReport) error
}

// Config is what a Fetcher needs.
type Config struct {
	Table    *channels.Table
	Store    Store
	Instance string
	Metrics  *metrics.Metrics
	Log      *slog.Logger
}

// Fetcher fetches attachments. Make one with New and Run it once.
type Fetcher struct {
	Config
	slots  chan struct{}
	active sync.WaitGroup
}

// New makes a fetcher.
func New(c Config) *Fetcher {
	f := &Fetcher{Config: c, slots: make(chan struct{}, workers)}
	for range workers {
		f.slots <- struct{}{}
	}
	return f
}

// Run fetches until ctx is done; what is on the way then is given back.
func (f *Fetcher) Run(ctx context.Context) {
	defer f.active.Wait()
	for failures := 0; ctx.Err() == nil; {
		free := f.takeSlots(ctx)
		if free == 0 {
			return
		}
		asked := time.Now()
		jobs, err := f.lease(ctx, free)
		for range free - min(free, len(jobs)) {
			f.slots <- struct{}{}
		}
		for _, job := range jobs {
			f.active.Go(func() {
				defer func() { f.slots <- struct{}{} }()
				f.work(ctx, job)
			})
		}
		if err == nil && (len(jobs) > 0 || time.Since(asked) > leaseWait/2) {
			failures = 0
			continue
		}
		// An empty answer before its time is a store that is about to stop.
		if failures++; err != nil && failures == 1 && ctx.Err() == nil {
			f.Log.Warn("no attachments can be leased", "error", err)
		}
		d := min(minBackoff<<min(failures, 10), maxBackoff)
		select {
		case <-ctx.Done():
		case <-time.After(d - rand.N(d/2)):
		}
	}
}

func (f *Fetcher) takeSlots(ctx context.Context) int {
	select {
	case <-ctx.Done():
		return 0
	case <-f.slots:
	}
	for free := 1; ; free++ {
		select {
		case <-f.slots:
		default:
			return free
		}
	}
}

func (f *Fetcher) lease(ctx context.Context, free int) ([]wire.MediaJob, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseWait+leaseSlack)
	defer cancel()
	resp, err := f.Store.LeaseMedia(ctx, wire.MediaLeaseRequest{Instance: f.Instance, Max: free, Wait: leaseWait})
	if err != nil {
		return nil, err
	}
	return resp.Jobs[:min(free, len(resp.Jobs))], nil
}

// work does one job and tells the store when there is nothing to keep.
func (f *Fetcher) work(ctx context.Context, job wire.MediaJob) {
	ch := f.Table.Snapshot().Channel(job.Channel)
	if ch == nil || ch.Spec.Suspended {
		f.report(job, wire.MediaReport{Reason: "the channel is not in force here", RetryAfter: absentRetry})
		return
	}
	err := f.fetch(ctx, ch, job)
	switch result, report := judge(ch, err); {
	case err == nil:
		f.count(ch, "stored")
	case ctx.Err() != nil:
		f.report(job, wire.MediaReport{Reason: "the bridge is stopping"})
	case report == nil:
		f.count(ch, result)
	default:
		f.count(ch, result)
		f.Log.Info("an attachment was not fetched", "channel", ch.Name, "media", job.ID, "attempt", job.Attempt, "gone", report.Gone, "reason", report.Reason)
		f.report(job, *report)
	}
}

func (f *Fetcher) count(ch *channels.Channel, result string) {
	f.Metrics.Media.WithLabelValues(ch.Spec.Platform, result).Inc()
}

func (f *Fetcher) report(job wire.MediaJob, report wire.MediaReport) {
	report.Lease = job.Lease
	ctx, cancel := context.WithTimeout(context.Background(), reportTimeout)
	defer cancel()
	if err := f.Store.ReportMedia(ctx, job.ID, report); err != nil && !errors.Is(err, store.ErrConflict) {
		f.Log.Warn("the store could not be told of an attachment; it gives the work out again", "media", job.ID, "error", err)
	}
}

// errTooLarge ends the stream of an attachment that is over the limit.
var errTooLarge = errors.New("the attachment is too large")

// fetch streams one attachment from the platform to the store.
func (f *Fetcher) fetch(ctx context.Context, ch *channels.Channel, job wire.MediaJob) (err error) {
	defer func() {
		if v := recover(); v != nil {
			f.Metrics.Caught(f.Log, "media", v, "channel", ch.Name)
			err = errors.New("internal error while fetching")
		}
	}()
	fetcher, ok := ch.Platform.(platform.MediaFetcher)
	if !ok {
		return &platform.Error{Class: wire.ErrContentRejected, Reason: "the platform's attachments cannot be fetched"}
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	m, err := fetcher.FetchMedia(ctx, ch.Loaded, job.Ref)
	if err != nil {
		return err
	}
	defer func() { _ = m.Body.Close() }()
	limit := maxBytes(ch)
	if m.Size > limit {
		return tooLarge(limit)
	}
	body := &bounded{r: m.Body, limit: limit}
	meta := store.MediaMeta{MimeType: m.MimeType, Name: m.Name, Size: max(m.Size, 0)}
	err = f.Store.PutMedia(ctx, job.ID, job.Lease, meta, body)
	if cause := body.cause(); cause != nil { // whatever the store made of the broken stream
		return cause
	}
	return err
}

func tooLarge(limit int64) error { return fmt.Errorf("%w: more than %d bytes", errTooLarge, limit) }

func maxBytes(ch *channels.Channel) int64 {
	return ch.Capabilities.MediaLimit(ch.Spec.Limits.MaxMediaBytes)
}

// judge says what the store is told of a failed fetch; nil: nothing, it knows.
func judge(ch *channels.Channel, err error) (result string, report *wire.MediaReport) {
	pe, isPlatform := errors.AsType[*platform.Error](err)
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, errTooLarge):
		return "too_large", &wire.MediaReport{Gone: true, Reason: err.Error()}
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		return "lease_over", nil
	case errors.Is(err, store.ErrUnavailable):
		return "store_unavailable", &wire.MediaReport{Reason: "the store could not keep it"}
	case isPlatform && (pe.Class == wire.ErrContentRejected || pe.Class == wire.ErrRecipientGone):
		return "gone", &wire.MediaReport{Gone: true, Reason: ch.Redact(pe.Reason)}
	case isPlatform:
		return "retry", &wire.MediaReport{Reason: ch.Redact(pe.Reason), RetryAfter: pe.RetryAfter}
	}
	return "retry", &wire.MediaReport{Reason: ch.Redact(err.Error())}
}

// bounded reads up to its limit and remembers why it broke off. A transport
// may read on its own goroutine even after it has returned, hence the lock.
type bounded struct {
	r     io.Reader
	limit int64

	mu    sync.Mutex
	read  int64
	broke error
}

// Read implements io.Reader. It reads one byte more than the limit to tell "as
// large" from "too large".
func (b *bounded) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if room := b.limit - b.read + 1; int64(len(p)) > room {
		p = p[:max(room, 0)]
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	switch {
	case b.read > b.limit:
		b.broke = tooLarge(b.limit)
		return 0, b.broke
	case err != nil && !errors.Is(err, io.EOF):
		b.broke = err
	}
	return n, err
}

// cause is why the stream broke off; nil: it did not.
func (b *bounded) cause() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broke
}
