package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// metrics are the store's own numbers. Labels are small closed sets: results
// and outcomes, never channels or contacts.
type metrics struct {
	elements *prometheus.CounterVec
	events   prometheus.Counter
	commits  *prometheus.CounterVec
	repeated prometheus.Counter
	batch    prometheus.Histogram
	duration prometheus.Histogram
	media    *prometheus.CounterVec
	removed  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		elements: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_ingest_elements_total", Help: "Elements that bridges handed in, by what became of them."}, []string{"result"}),
		events:   prometheus.NewCounter(prometheus.CounterOpts{Name: "bridgekeeper_store_events_total", Help: "Entries appended to the event log."}),
		commits:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_commits_total", Help: "Transactions, by outcome."}, []string{"outcome"}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{Name: "bridgekeeper_store_commit_retries_total", Help: "Transactions that lost against another replica's and were done again."}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bridgekeeper_store_commit_elements", Help: "Elements that shared a transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11)}), // 1 to maxBatchWeight
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bridgekeeper_store_commit_seconds", Help: "Time of a transaction from its begin to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13)}), // 0.5 ms to 2 s
		media:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_media_total", Help: "Attachments, by what became of them."}, []string{"result"}),
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_retention_removed_total", Help: "Rows removed because they were older than the retention, by table."}, []string{"table"}),
	}
	if reg != nil {
		reg.MustRegister(m.elements, m.events, m.commits, m.repeated, m.batch, m.duration, m.media, m.removed)
	}
	return m
}

func (m *metrics) committed(elements, events int, took time.Duration, err error) {
	m.duration.Observe(took.Seconds())
	if err != nil {
		m.commits.WithLabelValues("failed").Inc()
		return
	}
	m.commits.WithLabelValues("committed").Inc()
	m.batch.Observe(float64(elements))
	m.events.Add(float64(events))
}

func (m *metrics) ingested(resp wire.IngestResponse) {
	counts := map[wire.Result]int{}
	for _, e := range resp.Envelopes {
		for _, r := range e.Elements {
			counts[r.Result]++
		}
	}
	for r, n := range counts {
		m.elements.WithLabelValues(string(r)).Add(float64(n))
	}
}
