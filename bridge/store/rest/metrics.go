package rest

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the REST API. Labels are routes and codes, never ids.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	streams  prometheus.Gauge
	cutOff   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bridgekeeper_store_rest_requests_total",
			Help: "Requests to the REST API, by route and status code (499: the client broke off).",
		}, []string{"method", "route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bridgekeeper_store_rest_request_duration_seconds",
			Help: "Time to answer a REST request, by route; without event streams.",
			// From an indexed read (1 ms) to a large attachment (10 s).
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bridgekeeper_store_rest_event_streams",
			Help: "Open event streams.",
		}),
		cutOff: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bridgekeeper_store_rest_event_streams_cut_off_total",
			Help: "Event streams ended because the client did not read.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.duration, m.streams, m.cutOff)
	}
	return m
}

// observe counts one request of a public pattern ("METHOD /path"; empty when
// none matched).
func (m *metrics) observe(pattern string, code int, took time.Duration, stream bool) {
	method, route, ok := strings.Cut(pattern, " ")
	if !ok {
		method, route = "", "unmatched"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(code)).Inc()
	if !stream || route != eventsPath {
		m.duration.WithLabelValues(method, route).Observe(took.Seconds())
	}
}
