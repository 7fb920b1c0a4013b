package outbox

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// work sends one delivery and gives its slot back.
func (s *Sender) work(ctx, hard context.Context, d leased) {
	defer func() { s.slots <- struct{}{} }()
	s.Metrics.SendsInFlight.Inc()
	defer s.Metrics.SendsInFlight.Dec()
	ch := s.Table.Snapshot().Channel(d.Channel)
	if ch == nil || ch.Spec.Suspended {
		s.pauseChannel(d.Channel)
		if len(d.Parts) > 0 {
			s.tell(hard, d, released(d, d.Parts[0].Index, pause))
		}
		return
	}
	s.deliver(ctx, hard, ch, d)
}

// deliver sends the parts in order until one is not sent.
func (s *Sender) deliver(ctx, hard context.Context, ch *channels.Channel, d leased) {
	var last []wire.PartReport // the outcome of the part before, not told yet
	for _, part := range d.Parts {
		if ctx.Err() != nil || time.Until(d.until) < SendTimeout {
			s.tell(hard, d, append(last, released(d, part.Index, 0))...)
			return
		}
		timeout := sendTimeout(ch, part)
		sending := wire.PartReport{Delivery: d.ID, Channel: d.Channel, Lease: d.Lease, Part: part.Index, Outcome: wire.OutcomeSending, Hold: holdFor(timeout)}
		asked := time.Now()
		if !s.begin(hard, d, append(last, sending)...) {
			// What was sent must be told, whatever became of the lease. The
			// store may have committed "sending" without our knowing: unless
			// it is told better, the part becomes unknown.
			s.tell(hard, d, append(last, released(d, part.Index, 0))...)
			return
		}
		if until := asked.Add(sending.Hold); until.After(d.until) {
			d.until = until
		}
		report := s.send(hard, ch, d, part, timeout)
		last = []wire.PartReport{report}
		if report.Outcome != wire.OutcomeSent {
			break
		}
	}
	s.tell(hard, d, last...)
}

// sendTimeout is how long a part may take to send.
func sendTimeout(ch *channels.Channel, part wire.Part) time.Duration {
	if p, ok := ch.Platform.(platform.SendTimeouter); ok {
		return min(max(SendTimeout, p.SendTimeout(part)), MaxSendTimeout)
	}
	return SendTimeout
}

// holdFor is how long the lease must last from the beginning of a send; 0: as
// long as leases do anyway.
func holdFor(timeout time.Duration) time.Duration {
	if timeout <= SendTimeout {
		return 0
	}
	return timeout + holdSlack
}

// begin says that a part is about to be sent, after the reports before it; it
// is false when the lease is over or the store was not told while there was
// still time to send. It outlasts the soft end: what the store was asked to
// commit it commits, whether or not anybody waits for the answer.
func (s *Sender) begin(hard context.Context, d leased, reports ...wire.PartReport) bool {
	ctx, cancel := context.WithDeadline(hard, d.until.Add(-SendTimeout))
	defer cancel()
	accepted, err := s.reports.tell(ctx, reports...)
	if err != nil {
		s.Log.Warn("a message is not sent: the store could not be told before", "channel", d.Channel, "message", d.ID, "error", err)
		return false
	}
	return accepted[len(accepted)-1]
}

// tell reports outcomes. It goes on for a while after the lease: an external
// id that is told late still clears up what became of the message.
func (s *Sender) tell(hard context.Context, d leased, reports ...wire.PartReport) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(hard), d.until.Add(lateReports))
	defer cancel()
	// The hard end leaves the time of one request, else the outcome of what it
	// cut off would never be known.
	stop := context.AfterFunc(hard, func() { time.AfterFunc(lastWords, cancel) })
	defer stop()
	if _, err := s.reports.tell(ctx, reports...); err != nil {
		s.Log.Error("the outcome of a message could not be told to the store", "channel", d.Channel, "message", d.ID,
			"outcome", string(reports[len(reports)-1].Outcome), "error", err)
	}
}

// lastWords is what is left for reports after the hard end.
const lastWords = 2 * time.Second

func released(d leased, part int, retryAfter time.Duration) wire.PartReport {
	return wire.PartReport{Delivery: d.ID, Channel: d.Channel, Lease: d.Lease, Part: part, Outcome: wire.OutcomeReleased, RetryAfter: retryAfter}
}

// send does one part at the platform.
func (s *Sender) send(hard context.Context, ch *channels.Channel, d leased, part wire.Part, timeout time.Duration) wire.PartReport {
	ctx, cancel := context.WithTimeout(hard, timeout)
	defer cancel()
	out := platform.Outgoing{Delivery: d.ID, To: d.To, Extended: d.Extended, Part: part, OpenMedia: s.openMedia}
	if part.Index == 0 {
		out.ReplyTo = d.ReplyTo
	}
	start := time.Now()
	result, err := s.call(ctx, ch, out)
	report := reportOf(ch, d.Delivery, part.Index, result, err)
	s.trouble.note(ch, d.Delivery, err)
	s.Metrics.SendDuration.WithLabelValues(ch.Spec.Platform).Observe(time.Since(start).Seconds())
	s.Metrics.Sends.WithLabelValues(ch.Spec.Platform, string(report.Outcome), string(report.Class)).Inc()
	s.Metrics.ChannelSend(ch.Name, string(report.Outcome))
	if err != nil {
		s.Log.Info("a message was not sent", "channel", ch.Name, "message", d.ID, "part", part.Index, "attempt", d.Attempt,
			"outcome", string(report.Outcome), "class", string(report.Class), "reason", report.Reason)
	}
	return report
}

// call is Send with a bug in it turned into an error: whether the request had
// gone out by then nobody knows.
func (s *Sender) call(ctx context.Context, ch *channels.Channel, out platform.Outgoing) (result platform.SendResult, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.Metrics.Caught(s.Log, "send", v, "channel", ch.Name)
			err = &platform.Error{Class: wire.ErrUnknown, Reason: "internal error while sending", MaybeSent: true, Err: errors.New("panic")}
		}
	}()
	return ch.Platform.Send(ctx, ch.Loaded, out)
}

func (s *Sender) openMedia(ctx context.Context, id string) (io.ReadCloser, error) {
	_, body, err := s.Store.OpenMedia(ctx, id)
	return body, err
}
