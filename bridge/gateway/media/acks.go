package media

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

const (
	// ackWorkers give words back at one time: at 0.1 s each, 80 pressed buttons
	// a second.
	ackWorkers = 8
	// ackQueue are those that wait. Behind 512 others a word comes 6 s late, and
	// the person's button has stopped spinning by itself.
	ackQueue = 512
	// ackTimeout: later than that nobody waits for it any more.
	ackTimeout = 10 * time.Second
)

// Acks give platforms that want one a word back for stored events (Telegram:
// answerCallbackQuery). Failures are counted, never repeated. Make one with
// NewAcks and Run it once.
type Acks struct {
	metrics *metrics.Metrics
	log     *slog.Logger
	queue   chan ack
}

// ack is one word to give: for an event, or for what became none (key).
type ack struct {
	channel *channels.Channel
	event   message.Event
	key     string
}

func (a ack) give(ctx context.Context) error {
	if a.key != "" {
		return a.channel.Platform.(platform.PayloadAcker).AckPayload(ctx, a.channel.Loaded, a.key)
	}
	return a.channel.Platform.(platform.Acker).Ack(ctx, a.channel.Loaded, a.event)
}

// NewAcks makes the queue.
func NewAcks(m *metrics.Metrics, log *slog.Logger) *Acks {
	return &Acks{metrics: m, log: log, queue: make(chan ack, ackQueue)}
}

// Acknowledge hands the events to the channel's platform, which knows which of
// them want a word. It never blocks: when too many wait, they are dropped.
func (a *Acks) Acknowledge(ch *channels.Channel, events []message.Event) {
	if _, ok := ch.Platform.(platform.Acker); !ok {
		return
	}
	for _, e := range events {
		a.put(ack{channel: ch, event: e})
	}
}

// AcknowledgePayload is Acknowledge for what became no event of a payload that
// is durable.
func (a *Acks) AcknowledgePayload(ch *channels.Channel, body []byte) {
	p, ok := ch.Platform.(platform.PayloadAcker)
	if !ok {
		return
	}
	for _, key := range p.PayloadAcks(body) {
		a.put(ack{channel: ch, key: key})
	}
}

func (a *Acks) put(next ack) {
	select {
	case a.queue <- next:
	default:
		a.metrics.Acks.WithLabelValues(next.channel.Spec.Platform, "dropped").Inc()
	}
}

// Run gives words back until ctx is done.
func (a *Acks) Run(ctx context.Context) {
	var active sync.WaitGroup
	defer active.Wait()
	for range ackWorkers {
		active.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case next := <-a.queue:
					a.do(ctx, next)
				}
			}
		})
	}
}

func (a *Acks) do(ctx context.Context, next ack) {
	ch := next.channel
	defer func() {
		if v := recover(); v != nil {
			a.metrics.Caught(a.log, "ack", v, "channel", ch.Name)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	result := "done"
	if err := next.give(ctx); err != nil {
		result = "failed"
		a.log.Info("a platform did not take its word back", "channel", ch.Name, "error", ch.Redact(err.Error()))
	}
	a.metrics.Acks.WithLabelValues(ch.Spec.Platform, result).Inc()
}
