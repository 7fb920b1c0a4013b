// Package webhook answers the platforms' webhook requests.
//
//	/webhooks/{namespace}/{channel}
//	  known? ─no─► 404          the same for "is elsewhere" and "never was"
//	  POST? ──no─► 405
//	  room, size, time ──no─► 503, 413, 408     not verified: budgets of its own
//	  Verify ──no─► 401 (429 beyond the budget) nothing is stored
//	  rate ──no─► 429           verified requests only
//	  Parse ──no─► 400
//	  Ingest ──no─► 503         not durable within the platform's patience
//	  ► 200                     every element is committed by the store
//
// A platform with one URL per app (/webhooks/apps/{platform}/{appId}) resolves
// its channel from the elements; resolve is where it goes in.
package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/ingest"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// defaultPatience is how long a request waits for the store when its platform
// does not say: below WeChat's 5 s, the shortest but Slack's, which says so.
const defaultPatience = 4500 * time.Millisecond

// Ingester makes an envelope durable.
type Ingester interface {
	Ingest(ctx context.Context, env wire.Envelope) (wire.EnvelopeResult, error)
}

// Acknowledger gives a platform its word back for stored events. It must not block.
type Acknowledger interface {
	Acknowledge(ch *channels.Channel, events []message.Event)
}

// Config is what a Handler needs.
type Config struct {
	Table   *channels.Table
	Ingest  Ingester
	Acks    Acknowledger
	Metrics *metrics.Metrics
	Log     *slog.Logger
	// BodyTimeout is how long a body may take; zero: 10 s.
	BodyTimeout time.Duration
}

// Handler is the public listener's http.Handler. Make one with New.
type Handler struct {
	Config
	bodies   *bodies
	limits   *limits
	verified chan struct{} // one token per verified request in flight
}

// New makes a handler.
func New(c Config) *Handler {
	if c.BodyTimeout == 0 {
		c.BodyTimeout = defaultBodyTimeout
	}
	used := func(bytes int64) { c.Metrics.Bodies.Set(float64(bytes)) }
	return &Handler{Config: c, bodies: newBodies(bodiesTotal, bodiesChannel, used), limits: newLimits(), verified: make(chan struct{}, maxVerified)}
}

// request is one webhook request on its way through the stages.
type request struct {
	start    time.Time
	snapshot *channels.Snapshot
	channel  *channels.Channel
	budgets  *budgets
	platform.Request
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := &request{start: time.Now(), snapshot: h.Table.Snapshot()}
	// What answers without reading the body leaves it to net/http, which waits
	// for up to 256 KiB of it before the answer goes out. The server sets the
	// deadline anew when it waits for the next request.
	_ = http.NewResponseController(w).SetReadDeadline(req.start.Add(h.BodyTimeout))
	defer func() {
		if v := recover(); v != nil {
			h.caught(w, req, v)
		}
	}()
	req.channel = resolve(req.snapshot, r.URL.Path)
	a := notFound
	if req.channel != nil {
		a = h.serve(w, r, req)
	}
	h.count(req, a)
	a.write(w)
}

func (h *Handler) caught(w http.ResponseWriter, req *request, v any) {
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		panic(v)
	}
	name := ""
	if req.channel != nil {
		name = req.channel.Name
	}
	h.Metrics.Caught(h.Log, "webhook", v, "channel", name)
	h.count(req, panicked)
	panicked.write(w)
}

func (h *Handler) count(req *request, a answer) {
	if req.channel == nil {
		h.Metrics.Webhooks.WithLabelValues("", a.result).Inc()
		return
	}
	h.Metrics.Webhooks.WithLabelValues(req.channel.Spec.Platform, a.result).Inc()
	switch a.result {
	case resultAccepted, resultUnauthorized, resultLimited, resultUnavailable:
		h.Metrics.ChannelWebhook(req.channel.Name, a.result)
	}
}

// resolve finds the channel that a path stands for. One answer, nil, for
// everything else: no such path, no such channel, a channel of another bridge,
// one that does not receive by webhook.
func resolve(s *channels.Snapshot, path string) *channels.Channel {
	name, ok := strings.CutPrefix(path, "/webhooks/")
	if !ok || strings.Count(name, "/") != 1 {
		return nil
	}
	ch := s.Channel(name)
	if ch == nil || !receivesWebhooks(ch) {
		return nil
	}
	return ch
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, req *request) answer {
	handshaker, canHandshake := req.channel.Platform.(platform.Handshaker)
	if r.Method != http.MethodPost && !canHandshake {
		return wrongMethod
	}
	req.budgets = h.limits.of(req.channel, req.snapshot)
	body, a, ok := h.read(w, r, req.channel)
	if !ok {
		return a
	}
	req.Request = platform.Request{Method: r.Method, Header: r.Header, URL: publicURL(req, r), Body: body}
	if canHandshake {
		if a, ok := handshake(handshaker, req, r); ok {
			return a
		}
	}
	if r.Method != http.MethodPost {
		return wrongMethod
	}
	if !req.channel.Platform.Verify(req.channel.Loaded, req.Request, time.Now()) {
		return h.unverified(req)
	}
	return h.take(r.Context(), req)
}

// unverified is told 401 within the channel's budget; see limits.go.
func (h *Handler) unverified(req *request) answer {
	if req.budgets.unverified.Allow() {
		return unauthorized
	}
	a := limited
	a.result, a.closing = resultUnauthorized, true
	return a
}

// take brings a verified request into the store.
func (h *Handler) take(ctx context.Context, req *request) answer {
	defer func() {
		h.Metrics.WebhookDuration.WithLabelValues(req.channel.Spec.Platform).Observe(time.Since(req.start).Seconds())
	}()
	if !req.budgets.verified.Allow() {
		return limited
	}
	select {
	case h.verified <- struct{}{}:
		defer func() { <-h.verified }()
	default:
		return overloaded
	}
	events, err := req.channel.Platform.Parse(req.channel.Spec.Account, req.Body)
	if err != nil {
		h.Log.Warn("a verified webhook request could not be read", "channel", req.channel.Name, "bytes", len(req.Body))
		return malformed
	}
	return h.store(ctx, req, events)
}

func (h *Handler) store(ctx context.Context, req *request, events []message.Event) answer {
	ctx, cancel := context.WithDeadline(ctx, req.start.Add(patience(req.channel)))
	defer cancel()
	elements := route(req, events)
	result, err := h.Ingest.Ingest(ctx, wire.Envelope{
		Platform: req.channel.Spec.Platform, Channel: req.channel.Name, ReceivedAt: req.start.UTC(),
		Raw: req.Body, Transport: "webhook", Elements: elements,
	})
	if errors.Is(err, ingest.ErrOverloaded) {
		return overloaded
	}
	if err != nil {
		h.Log.Warn("a webhook request was not made durable", "channel", req.channel.Name, "error", req.channel.Redact(err.Error()))
		return unavailable
	}
	stored := make([]message.Event, 0, len(events))
	for i, e := range result.Elements {
		switch {
		case ingest.Refused(elements[i], e):
			return refused
		case e.Result == wire.ResultStored:
			stored = append(stored, events[i])
		}
	}
	h.Acks.Acknowledge(req.channel, stored)
	return accepted
}

// patience leaves a tenth of what the platform waits for the way back.
func patience(ch *channels.Channel) time.Duration {
	if p := ch.Capabilities.Patience; p > 0 {
		return p - p/10
	}
	return defaultPatience
}
