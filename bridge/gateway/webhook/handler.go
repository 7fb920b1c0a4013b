// Package webhook answers the platforms' webhook requests.
//
//	/webhooks/{namespace}/{channel}, /webhooks/apps/{platform}/{app}
//	  known? ─no─► 404          the same for "is elsewhere" and "never was"
//	  POST? ──no─► 405
//	  room, size, time ──no─► 503, 413, 408     not verified: budgets of its own
//	  Verify ──no─► 401 (429 beyond the budget) nothing is stored
//	  rate ──no─► 429           verified requests only
//	  Parse ──no─► 400
//	  Ingest ──no─► 503         not durable within the platform's patience, or for
//	                            a channel whose entry in the document is bad, or
//	                            that has not got its app's new secret yet
//	  ► 200                     every element is committed by the store
//
// A platform with one URL per app (/webhooks/apps/{platform}/{appId}) goes the
// same way for all channels of the app at once: whoever of them accepts the
// request may get elements of it, each the ones that name its account.
package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/ingest"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/wallclock"
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
	// AcknowledgePayload does so for what became no event.
	AcknowledgePayload(ch *channels.Channel, body []byte)
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
	place    *place // nil: none
	budgets  *budgets
	trust    channels.Trust // once verified
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
	req.place = resolve(req.snapshot, r.URL.Path)
	a := notFound
	if req.place != nil {
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
	if req.place != nil {
		name = req.place.name
	}
	h.Metrics.Caught(h.Log, "webhook", v, "channel", name)
	h.count(req, panicked)
	panicked.write(w)
}

func (h *Handler) count(req *request, a answer) {
	if req.place == nil {
		h.Metrics.Webhooks.WithLabelValues("", a.result).Inc()
		return
	}
	h.Metrics.Webhooks.WithLabelValues(req.place.platform.Name(), a.result).Inc()
	if req.place.channel == nil {
		return // whose it was, only its elements say; see store
	}
	switch a.result {
	case resultAccepted, resultUnauthorized, resultLimited, resultUnavailable:
		h.Metrics.ChannelWebhook(req.place.name, a.result)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, req *request) answer {
	handshaker, canHandshake := req.place.platform.(platform.Handshaker)
	if r.Method != http.MethodPost && !canHandshake {
		return wrongMethod
	}
	req.budgets = h.limits.of(req.place, req.snapshot)
	body, a, ok := h.read(w, r, req.place)
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
	if req.trust = req.place.verify(req.Request, wallclock.Now()); len(req.trust) == 0 {
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
		h.Metrics.WebhookDuration.WithLabelValues(req.place.platform.Name()).Observe(time.Since(req.start).Seconds())
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
	events, err := req.place.platform.Parse(req.place.account(), req.Body)
	if err != nil {
		h.Log.Warn("a verified webhook request could not be read", "channel", req.place.name, "bytes", len(req.Body))
		return malformed
	}
	return h.store(ctx, req, events)
}

func (h *Handler) store(ctx context.Context, req *request, events []message.Event) answer {
	ctx, cancel := context.WithDeadline(ctx, req.start.Add(req.place.patience()))
	defer cancel()
	to := route(req, events)
	for name := range to.strangers {
		h.Log.Warn("a webhook request names a channel that does not accept its signature; its secret may be an old one", "channel", name, "url", req.place.name)
		h.Metrics.ChannelWebhook(name, resultUnauthorized)
	}
	for name := range to.off {
		h.Log.Warn("a webhook request names a channel that does not run, as its entry in the document is bad; the platform is asked to send it again", "channel", name, "url", req.place.name)
	}
	result, err := h.Ingest.Ingest(ctx, wire.Envelope{
		Platform: req.place.platform.Name(), Channel: req.journalChannel(to.elements), App: req.app(), Refused: req.refusers(), Vouched: req.vouchers(), ReceivedAt: wallclock.Now().UTC(),
		Raw: req.Body, Transport: "webhook", Elements: to.elements,
	})
	if errors.Is(err, ingest.ErrOverloaded) {
		return overloaded
	}
	if err != nil {
		h.Log.Warn("a webhook request was not made durable", "channel", req.place.name, "error", req.place.redact(err.Error()))
		return unavailable
	}
	h.acknowledge(req, to.elements, result)
	again := len(to.off) > 0 || len(to.strangers) > 0 && req.rotating(wallclock.Now())
	if again || isRefused(to.elements, result) {
		return refused
	}
	if req.place.channel != nil {
		h.Acks.AcknowledgePayload(req.place.channel, req.Body)
	}
	return accepted
}

// isRefused says that the store did not take all of an envelope, which may have
// had no elements. Only then is there something that must come again.
func isRefused(elements []wire.Element, result wire.EnvelopeResult) bool {
	for i, e := range result.Elements {
		if ingest.Refused(elements[i], e) {
			return true
		}
	}
	return result.Result != ""
}

// acknowledge gives the platform its word back for what was stored, channel by
// channel, also where a part was refused: it is not stored again.
func (h *Handler) acknowledge(req *request, elements []wire.Element, result wire.EnvelopeResult) {
	stored, order := map[string][]message.Event{}, []string{}
	for i, e := range result.Elements {
		if e.Result != wire.ResultStored {
			continue
		}
		name := elements[i].Channel
		if stored[name] == nil {
			order = append(order, name)
		}
		stored[name] = append(stored[name], elements[i].Event)
	}
	for _, name := range order {
		if ch := req.snapshot.Channel(name); ch != nil {
			h.Acks.Acknowledge(ch, stored[name])
			if req.place.app != nil {
				h.Metrics.ChannelWebhook(name, resultAccepted)
			}
		}
	}
}
