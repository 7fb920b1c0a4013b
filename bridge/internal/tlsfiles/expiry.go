package tlsfiles

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Expiry is the metric of when the certificate in force ends. It is what this
// process uses, not what the operator has issued: a renewal that does not arrive
// is seen too. Without files it has no series.
type Expiry struct {
	desc  *prometheus.Desc
	files atomic.Pointer[Files]
}

// NewExpiry names the metric; subsystem is "bridge" or "store".
func NewExpiry(subsystem string) *Expiry {
	return &Expiry{desc: prometheus.NewDesc("bridgekeeper_"+subsystem+"_certificate_expiry_timestamp_seconds",
		"When the certificate that the pod uses towards the operator, and bridges and stores towards each other, ends (Unix time).", nil, nil)}
}

// Watch makes it tell of files; nil: of none.
func (e *Expiry) Watch(files *Files) { e.files.Store(files) }

// Describe implements prometheus.Collector.
func (e *Expiry) Describe(out chan<- *prometheus.Desc) { out <- e.desc }

// Collect implements prometheus.Collector.
func (e *Expiry) Collect(out chan<- prometheus.Metric) {
	if files := e.files.Load(); files != nil {
		out <- prometheus.MustNewConstMetric(e.desc, prometheus.GaugeValue, float64(files.latest().cert.Leaf.NotAfter.Unix()))
	}
}
