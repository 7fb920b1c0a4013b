package internalapi

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// metrics of the internal API. Labels are routes, codes and results: nothing
// that grows with traffic.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	elements *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bridgekeeper_internal_requests_total",
			Help: "Requests of bridges to the store, by route and status code.",
		}, []string{"method", "route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bridgekeeper_internal_request_duration_seconds",
			Help: "Time to answer a bridge, by route. Long polls include their wait.",
			// From a commit on a fast disk (1 ms) to a long poll (25 s).
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route"}),
		elements: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bridgekeeper_ingest_elements_total",
			Help: "Elements that bridges handed over, by what became of them.",
		}, []string{"result"}),
	}
	for _, r := range []wire.Result{wire.ResultStored, wire.ResultDuplicate, wire.ResultParked, wire.ResultUnrouted, wire.ResultForbidden, wire.ResultInvalid, wire.ResultStale} {
		m.elements.WithLabelValues(string(r)) // visible, as zero, from the start
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.duration, m.elements)
	}
	return m
}

func (m *metrics) ingested(answer wire.IngestResponse) {
	for _, e := range answer.Envelopes {
		for _, r := range e.Elements {
			m.elements.WithLabelValues(string(r.Result)).Inc()
		}
	}
}

// instrument counts the requests of one ServeMux pattern ("METHOD /path").
func (m *metrics) instrument(pattern string, next http.HandlerFunc) http.Handler {
	method, route, _ := strings.Cut(pattern, " ")
	duration := m.duration.WithLabelValues(method, route)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, recorder := time.Now(), &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(recorder, r)
		duration.Observe(time.Since(start).Seconds())
		m.requests.WithLabelValues(method, route, strconv.Itoa(recorder.status)).Inc()
	})
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
