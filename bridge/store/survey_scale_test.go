package store

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// fillLedger puts so many rows of other contacts into the ledger.
func fillLedger(t testing.TB, s *Store, rows int) {
	t.Helper()
	const chunk = 500
	for from := 0; from < rows; from += chunk {
		require.NoError(t, s.write(context.Background(), chunk, func(t *txn) error {
			var values []string
			for i := from; i < min(from+chunk, rows); i++ {
				values = append(values, fmt.Sprintf("('%032x', 'campaign', '%s', %d, %d)", i*2654435761, npsCampaign, ms(testTime), ms(testTime)))
			}
			return t.direct(`INSERT INTO survey_ledger (contact, kind, name, sent_at, assigned_at) VALUES ` + strings.Join(values, ", "))
		}))
	}
}

// Among many rows what a decision asks is found by an index: the ledger, whether it
// was asked about that before, what is open, what is due.
func TestSurveyDecisionsAreLookups(t *testing.T) {
	s := newSurveying(t)
	fillLedger(t, s.Store, 5000)
	if backend == "postgres" {
		require.NoError(t, s.write(t.Context(), 1, func(t *txn) error { return t.direct(`ANALYZE survey_ledger`) }))
	}
	for query, index := range map[string]string{
		selectLedger: map[string]string{"sqlite": "PRIMARY KEY (contact=?", "postgres": "survey_ledger_pkey"}[backend],
		`SELECT MIN(due_at) FROM survey_triggers WHERE due_at > 0`:                                            "survey_triggers_due",
		`SELECT MIN(next_at) FROM survey_dialogues WHERE next_at > 0`:                                         "survey_dialogues_next",
		`SELECT COUNT(*) FROM survey_dialogues WHERE subject = ? AND subject <> '' AND campaign = ?`:          "survey_dialogues_subject",
		`SELECT ` + triggerColumns + ` FROM survey_triggers WHERE contact = ? AND due_at > 0 AND due_at <= 1`: map[string]string{"sqlite": "survey_triggers_contact", "postgres": "survey_triggers_"}[backend],
		`SELECT id FROM survey_dialogues WHERE contact = ? AND open = 1`:                                      "survey_dialogues_",
		`SELECT COUNT(*) FROM survey_dialogues WHERE campaign = ? AND asked_at > 1 AND asked_at <= 2`:         "survey_dialogues_campaign",
		`SELECT dialogue FROM survey_messages WHERE message = ?`:                                              map[string]string{"sqlite": "PRIMARY KEY (message=?", "postgres": "survey_messages_pkey"}[backend],
	} {
		plan := planOf(t, s.Store, query)
		require.Contains(t, plan, index, query)
		require.NotContains(t, plan, "Seq Scan", query)
	}
}

// planOf is how the database answers a query.
func planOf(t *testing.T, s *Store, query string) string {
	t.Helper()
	if backend == "sqlite" {
		return strings.Join(explain(t, s, query, make([]any, strings.Count(query, "?"))...), "; ")
	}
	// Small tables are read whole where that is cheaper: what matters is that there is
	// another way.
	var plan []string
	require.NoError(t, s.write(t.Context(), 1, func(x *txn) error {
		if err := x.direct(`SET LOCAL enable_seqscan = off`); err != nil {
			return err
		}
		lines, err := all(x.ctx, x, scanText, `EXPLAIN `+strings.ReplaceAll(query, "?", "'c'"))
		plan = lines
		return err
	}))
	return strings.Join(plan, "; ")
}

// BenchmarkSurveyDecision is a trigger over REST with its decision, of a contact who
// was asked lately, among 1 million rows of the ledger.
func BenchmarkSurveyDecision(b *testing.B) {
	for _, rows := range []int{0, 1_000_000} {
		b.Run(fmt.Sprintf("ledger=%d", rows), func(b *testing.B) {
			s := newSurveying(b, func(c *survey.Campaign) {
				c.Frequency.CampaignCooldown = document.Duration(20 * 24 * 60 * 60 * 1e9)
			})
			fillLedger(b, s.Store, rows)
			v := s.hear("ana", "hello")
			contact := s.conversationContact(v)
			b.ResetTimer()
			for b.Loop() {
				_, err := s.TriggerSurvey(b.Context(), everything, npsCampaign, SurveyTrigger{Contact: contact, Event: survey.API})
				require.NoError(b, err)
			}
		})
	}
}
