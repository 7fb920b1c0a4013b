package store

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// routingMetrics are routing's numbers. Policies and rules are names of resources,
// of which a store has a bounded number; there is nothing personal in them.
type routingMetrics struct {
	decisions   *prometheus.CounterVec
	expressions *prometheus.CounterVec
	errands     *prometheus.CounterVec
}

func newRoutingMetrics(reg prometheus.Registerer, breakers func() float64) *routingMetrics {
	m := &routingMetrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_routing_decisions_total",
			Help: "Routing decisions, by policy and rule (\"\": none matched), by what decided (via) and what is done (action); mode Shadow is done nothing about."}, []string{"policy", "rule", "via", "action", "mode"}),
		expressions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_routing_expression_errors_total",
			Help: "Expressions that could not be evaluated and so did not match, by policy."}, []string{"policy"}),
		errands: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgekeeper_routing_errands_total",
			Help: "What followed decisions (text: a policy's text; bot: a bot's turn; webhook: a webhook's answer), by what became of it."}, []string{"kind", "result"}),
	}
	if reg != nil {
		open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bridgekeeper_routing_breakers", Help: "Bots and webhooks that do not answer and are not asked for a while."}, breakers)
		reg.MustRegister(m.decisions, m.expressions, m.errands, open)
	}
	return m
}

func (m *routingMetrics) decided(d routing.Decision) {
	m.decisions.WithLabelValues(d.Policy, d.Rule, string(d.Via), string(d.Action), string(d.Mode)).Inc()
	if d.ExpressionErrors > 0 {
		m.expressions.WithLabelValues(d.Policy).Add(float64(d.ExpressionErrors))
	}
}

// openBackendBreakers counts the bots and webhooks that are not asked.
func (s *Store) openBackendBreakers() float64 {
	failing, err := failingBackends(background, s.read, s.now())
	if err != nil {
		return 0
	}
	return float64(len(failing))
}
