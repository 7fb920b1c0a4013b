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
			"Contacts that a campaign considered, by where that ended: Asked, or why not. Absent where it would tell of fewer than five people.", []string{"campaign", "exit"}, nil),
		pending: prometheus.NewDesc("bridgekeeper_survey_pending", "Contacts that a campaign will consider again: for their delay, quiet times, a cool-down, another survey. Absent where it would tell of fewer than five people.", campaign, nil),
		// A gauge: what became of a question can change, as when a score is edited and
		// more is to be asked again.
		questions: prometheus.NewDesc("bridgekeeper_survey_questions",
			"Questions that were asked, by what has become of them so far. One can be counted under several outcomes, such as delivered and answered. Absent where it would tell of fewer than five people.",
			[]string{"campaign", "outcome"}, nil),
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

// surveyOutcomes are what becomes of questions, as counts and the funnel name it.
var surveyOutcomes = []string{
	countDelivered, countFailed, countAnswered, countCompleted, countLate, countOptedOut, countCancelled, countExpired, countClarified, countUnparsed,
}

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

// collectCounts tells the counts of campaigns that are there, as far as the funnel
// that is published has them: a metric is read by more people than a report.
func (m *surveyMetrics) collectCounts(out chan<- prometheus.Metric) {
	type row struct {
		run, name string
		n         int64
	}
	list, err := all(background, m.s.read, func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.run, &r.name, &r.n) },
		`SELECT k.campaign, k.name, CAST(SUM(k.n) AS BIGINT) FROM survey_counts k JOIN survey_campaigns c ON c.campaign = k.campaign WHERE c.removed_at = 0 GROUP BY k.campaign, k.name`)
	if err != nil {
		return
	}
	campaigns := map[string]surveyCounts{}
	for _, r := range list {
		if campaigns[r.run] == nil {
			campaigns[r.run] = surveyCounts{}
		}
		campaigns[r.run][countKey{name: r.name}] = r.n
	}
	for run, counts := range campaigns {
		m.collectCampaign(out, nameOfRun(run), counts) // one run is there of each
	}
}

func (m *surveyMetrics) collectCampaign(out chan<- prometheus.Metric, name string, counts surveyCounts) {
	funnel := counts.funnel()
	published := funnel.Published()
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, counted, cell string, labels ...string) {
		if n, counts := counts[countKey{name: counted}]; counts && published.Shows(cell) {
			out <- prometheus.MustNewConstMetric(desc, kind, float64(n), append([]string{name}, labels...)...)
		}
	}
	for _, e := range survey.Exits() {
		if e.Final() {
			send(m.decisions, prometheus.CounterValue, e.String(), e.Cell(), e.String())
		}
	}
	send(m.pending, prometheus.GaugeValue, survey.Deferred.String(), survey.Deferred.Cell())
	for _, outcome := range surveyOutcomes {
		send(m.questions, prometheus.GaugeValue, outcome, outcome, outcome)
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
