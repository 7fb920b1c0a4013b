package store

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// outboxMetrics are the outbox's numbers. Labels are closed sets.
type outboxMetrics struct {
	reports *prometheus.CounterVec
	leased  prometheus.Counter
	expired prometheus.Counter
	settled *prometheus.CounterVec
}

func newOutboxMetrics(reg prometheus.Registerer, queued, breakers func() float64) *outboxMetrics {
	m := &outboxMetrics{
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_outbox_reports_total", Help: "Reports about parts, by outcome and by whether the lease was still held."}, []string{"outcome", "accepted"}),
		leased:  prometheus.NewCounter(prometheus.CounterOpts{Name: "bridgekeeper_store_outbox_leased_total", Help: "Deliveries handed to bridges, each attempt counted."}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{Name: "bridgekeeper_store_outbox_leases_expired_total", Help: "Leases that ended because their holder was silent."}),
		settled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_store_outbox_messages_total", Help: "Outbound messages that reached this status, receipts included."}, []string{"status"}),
	}
	if reg != nil {
		depth := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bridgekeeper_store_outbox_queued", Help: "Messages that wait to be sent."}, queued)
		open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bridgekeeper_store_outbox_breakers", Help: "Channels whose breaker is open or half-open: sends wait as the platform refuses them or does not answer."}, breakers)
		reg.MustRegister(m.reports, m.leased, m.expired, m.settled, depth, open)
	}
	return m
}

func (m *outboxMetrics) status(s message.Status) { m.settled.WithLabelValues(string(s)).Inc() }

// queuedDeliveries counts what waits, over an index that holds just that.
func (s *Store) queuedDeliveries() float64 {
	var n int64
	if _, err := one(background, s.read, []any{&n}, `SELECT COUNT(*) FROM deliveries WHERE state = 'queued'`); err != nil {
		return 0
	}
	return float64(n)
}

// openBreakers counts channels whose sends wait.
func (s *Store) openBreakers() float64 {
	var n int64
	if _, err := one(background, s.read, []any{&n}, `SELECT COUNT(*) FROM outbox_channels WHERE refused <> ''`); err != nil {
		return 0
	}
	return float64(n)
}

// report counts a report; outcomes that this version does not know are one label.
func (m *outboxMetrics) report(o wire.Outcome, accepted bool) {
	switch o {
	case wire.OutcomeSent, wire.OutcomeRetry, wire.OutcomeFailed, wire.OutcomeUnknown, wire.OutcomeReleased, wire.OutcomeMigrated, wire.OutcomeSending:
	default:
		o = "other"
	}
	m.reports.WithLabelValues(string(o), strconv.FormatBool(accepted)).Inc()
}
