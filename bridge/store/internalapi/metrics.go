package internalapi

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
)

// metrics of the internal API. Labels are routes and codes: nothing that grows
// with traffic. What became of ingested elements is counted by the engine.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer, files *tlsfiles.Files) *metrics {
	certificate := tlsfiles.NewExpiry("store")
	certificate.Watch(files)
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bridgekeeper_store_internal_requests_total",
			Help: "Requests of bridges to the store, by route and status code.",
		}, []string{"method", "route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bridgekeeper_store_internal_request_duration_seconds",
			Help: "Time to answer a bridge, by route. Long polls include their wait.",
			// From a commit on a fast disk (1 ms) to a long poll (25 s).
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route"}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.duration, certificate)
	}
	return m
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
