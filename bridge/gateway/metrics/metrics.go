// Package metrics holds what the gateway counts. Labels name platforms,
// results and at most a Channel resource; never a contact, a message or an
// account.
package metrics

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
)

// maxChannels is how many channels of a pod have series of their own. Each has
// up to 8 (4 webhook results, 4 outcomes), so 1000 are 8000 series, what a
// Prometheus takes from one target without care (its own default advice is
// below 10 000). Further channels share the label "_other".
const maxChannels = 1000

// Metrics are the gateway's metrics. All methods of prometheus vectors may be
// called concurrently.
type Metrics struct {
	Webhooks        *prometheus.CounterVec   // platform, result
	WebhookDuration *prometheus.HistogramVec // platform
	Bodies          prometheus.Gauge         // unverified bodies in memory, bytes
	IngestDuration  *prometheus.HistogramVec // result: one request to the store
	IngestBatch     prometheus.Histogram     // envelopes of one request
	IngestPending   prometheus.Gauge         // envelopes waiting
	Elements        *prometheus.CounterVec   // platform, result
	Sends           *prometheus.CounterVec   // platform, outcome, class
	SendDuration    *prometheus.HistogramVec // platform
	SendsInFlight   prometheus.Gauge
	Connections     prometheus.Gauge       // pollers that run here
	ConnectionErrs  *prometheus.CounterVec // platform, reason
	Duties          *prometheus.CounterVec // platform, duty, state
	DutiesRunning   prometheus.Gauge
	Media           *prometheus.CounterVec // platform, result
	Acks            *prometheus.CounterVec // platform, result
	Panics          *prometheus.CounterVec // where
	Channels        prometheus.Gauge       // in force
	Assigned        prometheus.Gauge       // channels whose lease this replica has
	Exceptions      prometheus.Gauge       // entries that are not in force
	SessionFailures prometheus.Counter
	Certificate     *tlsfiles.Expiry // of what the pod shows to the store and the operator

	channelWebhooks *prometheus.CounterVec // namespace, channel, result
	channelSends    *prometheus.CounterVec // namespace, channel, outcome

	mu    sync.Mutex
	named map[string]bool // channels with series of their own
}

const prefix = "bridgekeeper_bridge_"

// New makes the metrics and registers them.
func New(reg prometheus.Registerer) *Metrics {
	f := factory{reg}
	certificate := tlsfiles.NewExpiry("bridge")
	reg.MustRegister(certificate)
	latency := []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30}
	return &Metrics{
		Webhooks:        f.counterVec("webhook_requests_total", "Webhook requests by what they were answered with.", "platform", "result"),
		WebhookDuration: f.histogramVec("webhook_duration_seconds", "From a webhook's header to its answer, verified requests only.", latency, "platform"),
		Bodies:          f.gauge("webhook_unverified_bytes", "Memory reserved for webhook bodies that are not verified yet."),
		IngestDuration:  f.histogramVec("ingest_duration_seconds", "One ingest request to the store.", latency, "result"),
		IngestBatch:     f.histogram("ingest_batch_envelopes", "Envelopes that shared one ingest request.", []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}),
		IngestPending:   f.gauge("ingest_pending_envelopes", "Envelopes that wait for the store."),
		Elements:        f.counterVec("ingest_elements_total", "What became of the elements that platforms sent.", "platform", "result"),
		Sends:           f.counterVec("sends_total", "Parts sent, by outcome and class of the refusal.", "platform", "outcome", "class"),
		SendDuration:    f.histogramVec("send_duration_seconds", "One send to the platform.", latency, "platform"),
		SendsInFlight:   f.gauge("sends_in_flight", "Deliveries being sent."),
		Connections:     f.gauge("connections", "Pollers that run in this replica."),
		ConnectionErrs:  f.counterVec("connection_errors_total", "Failed fetches.", "platform", "reason"),
		Duties:          f.counterVec("duties_total", "Probes, registrations and profile syncs by how they ended.", "platform", "duty", "state"),
		DutiesRunning:   f.gauge("duties_running", "Duties that run now."),
		Media:           f.counterVec("media_total", "Attachments fetched from platforms.", "platform", "result"),
		Acks:            f.counterVec("acks_total", "Words back to the platform after an event was stored.", "platform", "result"),
		Panics:          f.counterVec("panics_total", "Bugs that were caught; report them.", "where"),
		Channels:        f.gauge("channels", "Channels in force."),
		Assigned:        f.gauge("channels_assigned", "Channels whose lease this replica has."),
		Exceptions:      f.gauge("document_exceptions", "Entries of the document that are not in force."),
		SessionFailures: f.counter("session_failures_total", "Failed renewals of the session with the store."),
		Certificate:     certificate,
		channelWebhooks: f.counterVec("channel_webhook_requests_total", "Webhook requests of a Channel.", "namespace", "channel", "result"),
		channelSends:    f.counterVec("channel_sends_total", "Parts sent for a Channel.", "namespace", "channel", "outcome"),
		named:           map[string]bool{},
	}
}

// ChannelWebhook counts a webhook request of a loaded channel ("namespace/name").
func (m *Metrics) ChannelWebhook(channel, result string) {
	namespace, name := m.label(channel)
	m.channelWebhooks.WithLabelValues(namespace, name, result).Inc()
}

// ChannelSend counts a sent part of a loaded channel ("namespace/name").
func (m *Metrics) ChannelSend(channel, outcome string) {
	namespace, name := m.label(channel)
	m.channelSends.WithLabelValues(namespace, name, outcome).Inc()
}

// Forget drops the series of channels that are no longer here.
func (m *Metrics) Forget(keep func(channel string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for channel := range m.named {
		if keep(channel) {
			continue
		}
		delete(m.named, channel)
		namespace, name, _ := strings.Cut(channel, "/")
		labels := prometheus.Labels{"namespace": namespace, "channel": name}
		m.channelWebhooks.DeletePartialMatch(labels)
		m.channelSends.DeletePartialMatch(labels)
	}
}

func (m *Metrics) label(channel string) (namespace, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.named[channel] {
		if len(m.named) >= maxChannels {
			return "_other", "_other"
		}
		m.named[channel] = true
	}
	namespace, name, _ = strings.Cut(channel, "/")
	return namespace, name
}

type factory struct{ reg prometheus.Registerer }

func (f factory) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	f.reg.MustRegister(c)
	return c
}

func (f factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	f.reg.MustRegister(c)
	return c
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	f.reg.MustRegister(g)
	return g
}

func (f factory) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets})
	f.reg.MustRegister(h)
	return h
}

func (f factory) histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, labels)
	f.reg.MustRegister(h)
	return h
}
