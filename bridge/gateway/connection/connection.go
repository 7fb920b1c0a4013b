package connection

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/ingest"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/wallclock"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// A poller that ended comes back after a second, as most of what ends it is
	// over by then, and at most every minute: a customer who waits for an
	// answer should not wait longer for a platform that is back already.
	minBackoff = time.Second
	maxBackoff = time.Minute
	// definitiveBackoff is for refusals that a person must mend (a revoked
	// token): a new version of the channel starts another poller at once.
	definitiveBackoff = 5 * time.Minute
)

// errStale ends a poller whose lease is another's.
var errStale = errors.New("the lease of this channel is another replica's")

// errNotOurs is for now: the next fetch brings the same messages again.
var errNotOurs = fmt.Errorf("%w: the store does not know this channel as this bridge's yet", store.ErrUnavailable)

// connection is one poller under one lease.
type connection struct {
	Config
	channel    *channels.Channel
	assignment wire.Assignment // Cursor: the last one that was committed
	stop       context.CancelFunc
	failures   int // in a row
	// lost ends the poller at once when a delivery finds the lease to be
	// another's: a platform's Run may try the same delivery again and again.
	lost context.CancelCauseFunc

	stale bool // of the Manager's goroutine alone
}

// run polls until ctx is done or the lease is found to be another's.
func (c *connection) run(ctx context.Context) (stale bool) {
	c.Rows.Set(c.channel, status.Receiving, document.Duty{State: document.DutyPending, Reason: status.ReasonNotAttempted})
	for ctx.Err() == nil {
		err := c.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case errors.Is(err, errStale):
			c.Log.Info("poller stops: the lease is another replica's", "channel", c.channel.Name, "token", c.assignment.Token)
			return true
		case err == nil:
			err = errors.New("the connection ended")
		}
		c.failed(err)
		select {
		case <-ctx.Done():
		case <-time.After(c.backoff(err)):
		}
	}
	return false
}

func (c *connection) poll(ctx context.Context) (err error) {
	ctx, c.lost = context.WithCancelCause(ctx)
	defer c.lost(nil)
	defer func() {
		if v := recover(); v != nil {
			c.Metrics.Caught(c.Log, "poller", v, "channel", c.channel.Name)
			err = errors.New("internal error in the poller")
		}
	}()
	err = c.channel.Platform.(platform.Poller).Run(ctx, c.channel.Loaded, c.assignment.Cursor, c.deliver, c.report)
	if errors.Is(context.Cause(ctx), errStale) {
		return errStale
	}
	return err
}

// report is what the poller says of each fetch: nil when it went well.
func (c *connection) report(err error) {
	switch {
	case err == nil:
		c.succeeded()
	case errors.Is(err, context.Canceled), errors.Is(err, errStale), errors.Is(err, store.ErrUnavailable):
		// Not the platform's doing: StoreReachable tells of the store.
	default:
		c.failed(err)
	}
}

func (c *connection) succeeded() {
	c.failures = 0
	c.Rows.Set(c.channel, status.Receiving, document.Duty{State: document.DutyDone, Reason: status.ReasonDone})
}

func (c *connection) failed(err error) {
	c.failures++
	duty := status.Judge(c.channel, err)
	c.Metrics.ConnectionErrs.WithLabelValues(c.channel.Spec.Platform, duty.Reason).Inc()
	if errors.Is(err, store.ErrUnavailable) {
		return
	}
	c.Rows.Set(c.channel, status.Receiving, duty)
	if c.failures == 1 {
		c.Log.Warn("messages cannot be fetched", "channel", c.channel.Name, "reason", duty.Reason, "error", duty.Message)
	}
}

func (c *connection) backoff(err error) time.Duration {
	d := min(minBackoff<<min(max(c.failures-1, 0), 10), maxBackoff)
	if status.Judge(c.channel, err).State == document.DutyFailed {
		d = definitiveBackoff
	}
	d -= rand.N(d / 2)
	return max(d, status.RetryAfter(err))
}

// deliver commits a batch with its cursor. The poller confirms it at the
// platform only when it returns nil.
func (c *connection) deliver(ctx context.Context, b platform.Batch) error {
	env := wire.Envelope{
		Platform: c.channel.Spec.Platform, Channel: c.channel.Name, ReceivedAt: wallclock.Now().UTC(),
		Raw: b.Raw, Transport: "polling", Elements: make([]wire.Element, len(b.Events)),
		Fence: &wire.Fence{Token: c.assignment.Token, Cursor: b.Cursor},
	}
	for i, e := range b.Events {
		env.Elements[i].Event = e
		if e.Account == "" || e.Account == c.channel.Spec.Account {
			env.Elements[i].Channel = c.channel.Name
		}
	}
	result, err := c.Ingest.Ingest(ctx, env)
	if err != nil {
		return err
	}
	return c.delivered(b, env.Elements, result)
}

func (c *connection) delivered(b platform.Batch, elements []wire.Element, result wire.EnvelopeResult) error {
	// The batch as a whole first: one of which nothing became has no elements to say it.
	switch result.Result {
	case wire.ResultStale:
		c.lost(errStale)
		return errStale
	case wire.ResultForbidden:
		return errNotOurs
	}
	stored := make([]message.Event, 0, len(b.Events))
	for i, e := range result.Elements {
		switch {
		case e.Result == wire.ResultStale:
			c.lost(errStale)
			return errStale
		case ingest.Refused(elements[i], e):
			return errNotOurs
		case e.Result == wire.ResultStored:
			stored = append(stored, b.Events[i])
		}
	}
	if b.Cursor != "" {
		c.assignment.Cursor = b.Cursor
	}
	c.succeeded()
	c.Acks.Acknowledge(c.channel, stored)
	c.Acks.AcknowledgePayload(c.channel, b.Raw)
	return nil
}
