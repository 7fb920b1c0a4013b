package store

import (
	"database/sql"
	"encoding/json"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// surveyMetrics are read from the database when somebody looks, so that all
// replicas tell the same, and a restart begins nothing anew. Labels are campaigns,
// which stand in the cluster, and closed sets; never contacts.
type surveyMetrics struct {
	s                                               *Store
	decisions, pending, questions, score, oldestDue *prometheus.Desc
}

// registerSurveyMetrics hangs them into reg; nil: there are none.
func (s *Store) registerSurveyMetrics(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	campaign := []string{"campaign"}
	reg.MustRegister(&surveyMetrics{
		s: s,
		decisions: prometheus.NewDesc("bridgekeeper_survey_decisions_total",
			"Contacts that a campaign considered, by where that ended: Asked, or why not.", []string{"campaign", "exit"}, nil),
		pending: prometheus.NewDesc("bridgekeeper_survey_pending", "Contacts that a campaign will consider again: for their delay, quiet times, a cool-down, another survey.", campaign, nil),
		questions: prometheus.NewDesc("bridgekeeper_survey_questions_total",
			"Questions that were asked, by what became of them. One can be counted under several outcomes, such as delivered and answered.", []string{"campaign", "outcome"}, nil),
		score: prometheus.NewDesc("bridgekeeper_survey_score",
			"What a campaign found out (NPS in points, satisfied in percent, mean effort): the value and both ends of its interval, at most ten minutes old. Absent while fewer than five have answered.",
			[]string{"campaign", "bound"}, nil),
		oldestDue: prometheus.NewDesc("bridgekeeper_survey_overdue_seconds", "For how long the oldest decision, reminder or end of a survey has been due; 0 when none is.", nil, nil),
	})
}

// Describe implements prometheus.Collector.
func (m *surveyMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.decisions, m.pending, m.questions, m.score, m.oldestDue} {
		out <- d
	}
}

// surveyOutcomes are the counts of what became of questions.
var surveyOutcomes = map[string]bool{
	countDelivered: true, countFailed: true, countAnswered: true, countCompleted: true, countLate: true,
	countOptedOut: true, countCancelled: true, countExpired: true, countClarified: true, countUnparsed: true,
}

// surveyExits are the names of all ways out of the decision.
var surveyExits = func() map[string]bool {
	names := map[string]bool{}
	for _, e := range survey.Exits() {
		names[e.String()] = e.Final()
	}
	return names
}()

// Collect implements prometheus.Collector. What cannot be read is left out of
// this scrape: a number that is made up would look like an answer.
func (m *surveyMetrics) Collect(out chan<- prometheus.Metric) {
	m.collectCounts(out)
	m.collectScores(out)
	var due sql.NullInt64
	if _, err := one(background, m.s.read, []any{&due}, `SELECT MIN(due) FROM (SELECT MIN(due_at) AS due FROM survey_triggers WHERE due_at > 0
		UNION ALL SELECT MIN(next_at) FROM survey_dialogues WHERE next_at > 0) AS dues`); err == nil {
		age := 0.0
		if due.Valid {
			age = max(0, m.s.now().Sub(fromMS(due.Int64)).Seconds())
		}
		out <- prometheus.MustNewConstMetric(m.oldestDue, prometheus.GaugeValue, age)
	}
}

// collectCounts tells the counts of campaigns that are there.
func (m *surveyMetrics) collectCounts(out chan<- prometheus.Metric) {
	type row struct {
		campaign, name string
		n              int64
	}
	list, err := all(background, m.s.read, func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.campaign, &r.name, &r.n) },
		`SELECT k.campaign, k.name, CAST(SUM(k.n) AS BIGINT) FROM survey_counts k JOIN survey_campaigns c ON c.campaign = k.campaign WHERE c.removed_at = 0 GROUP BY k.campaign, k.name`)
	if err != nil {
		return
	}
	for _, r := range list {
		final, exit := surveyExits[r.name]
		r.campaign = nameOfRun(r.campaign) // one run is there of each
		switch {
		case exit && final:
			out <- prometheus.MustNewConstMetric(m.decisions, prometheus.CounterValue, float64(r.n), r.campaign, r.name)
		case exit:
			out <- prometheus.MustNewConstMetric(m.pending, prometheus.GaugeValue, float64(r.n), r.campaign)
		case surveyOutcomes[r.name]:
			out <- prometheus.MustNewConstMetric(m.questions, prometheus.CounterValue, float64(r.n), r.campaign, r.name)
		}
	}
}

// collectScores tells what the status says.
func (m *surveyMetrics) collectScores(out chan<- prometheus.Metric) {
	list, err := all(background, m.s.read, scanCampaign, selectCampaigns+`WHERE c.removed_at = 0`)
	if err != nil {
		return
	}
	for i := range list {
		var summary survey.Summary
		if list[i].summary == "" || json.Unmarshal([]byte(list[i].summary), &summary) != nil || summary.Result.NoData() {
			continue
		}
		for bound, value := range map[string]float64{"value": summary.Result.Value, "low": summary.Result.Low, "high": summary.Result.High} {
			out <- prometheus.MustNewConstMetric(m.score, prometheus.GaugeValue, value, nameOfRun(list[i].name), bound)
		}
	}
}
