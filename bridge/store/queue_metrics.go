package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Results of an offer.
const (
	offerAccepted  = "accepted"
	offerDeclined  = "declined"
	offerExpired   = "expired"
	offerWithdrawn = "withdrawn" // the agent went offline
)

// queueMetrics are the numbers of queues and ownership. Labels are closed sets
// and names of queues, which stand in the cluster; never agents or contacts.
type queueMetrics struct {
	s       *Store
	owners  *prometheus.CounterVec
	stale   *prometheus.CounterVec
	offers  *prometheus.CounterVec
	given   *prometheus.CounterVec
	drain   prometheus.Histogram
	depth   *prometheus.Desc
	oldest  *prometheus.Desc
	present *prometheus.Desc
}

func newQueueMetrics(reg prometheus.Registerer, s *Store) *queueMetrics {
	queue := []string{"queue"}
	m := &queueMetrics{
		s:       s,
		owners:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_owner_changes_total", Help: "Conversations that changed their owner, by cause."}, []string{"cause"}),
		stale:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_owner_stale_total", Help: "Requests that were refused because another owner has the conversation by now, by verb."}, []string{"verb"}),
		offers:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_queue_offers_total", Help: "Offers that are over, by queue and result."}, []string{"queue", "result"}),
		given:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_queue_given_total", Help: "Conversations that were offered or assigned to an agent, by queue."}, queue),
		drain:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bridgekeeper_store_queue_drain_seconds", Help: "Time of one transaction that gives conversations to agents.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13)}), // 0.5 ms to 2 s
		depth:   prometheus.NewDesc("bridgekeeper_store_queue_depth", "Conversations that wait in a queue.", queue, nil),
		oldest:  prometheus.NewDesc("bridgekeeper_store_queue_oldest_wait_seconds", "For how long the oldest of a queue has waited.", queue, nil),
		present: prometheus.NewDesc("bridgekeeper_store_queue_agents", "Agents of a queue, by whether they are online, and of these available.", []string{"queue", "state"}, nil),
	}
	if reg != nil {
		reg.MustRegister(m.owners, m.stale, m.offers, m.given, m.drain, m)
	}
	return m
}

func (m *queueMetrics) owned(cause OwnerCause)     { m.owners.WithLabelValues(string(cause)).Inc() }
func (m *queueMetrics) offer(queue, result string) { m.offers.WithLabelValues(queue, result).Inc() }
func (m *queueMetrics) drained(queue string, step drainStep, took time.Duration) {
	m.given.WithLabelValues(queue).Add(float64(step.given))
	m.drain.Observe(took.Seconds())
}

// Describe implements prometheus.Collector.
func (m *queueMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.depth
	ch <- m.oldest
	ch <- m.present
}

// Collect implements prometheus.Collector. What the counters say is read with one
// step in an index for each queue.
func (m *queueMetrics) Collect(ch chan<- prometheus.Metric) {
	list, err := all(background, m.s.read, scanQueue, selectQueues)
	if err != nil {
		return
	}
	for _, q := range list {
		wait := 0.0
		if q.oldest.Valid {
			wait = max(m.s.now().Sub(fromMS(q.oldest.Int64)).Seconds(), 0)
		}
		ch <- prometheus.MustNewConstMetric(m.depth, prometheus.GaugeValue, float64(q.depth), q.queue)
		ch <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, wait, q.queue)
		ch <- prometheus.MustNewConstMetric(m.present, prometheus.GaugeValue, float64(q.online), q.queue, "online")
		ch <- prometheus.MustNewConstMetric(m.present, prometheus.GaugeValue, float64(q.available), q.queue, "available")
	}
}
