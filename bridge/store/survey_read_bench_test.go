package store

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

const benchResponses = 1_000_000

// answeredCampaign is a campaign of two arms that has n answers, some of them late.
func answeredCampaign(tb testing.TB, s *Store, n int) string {
	tb.Helper()
	const name = "shop/nps"
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	text := survey.Texts{"en": "0 to 10?"}
	spec, err := json.Marshal(survey.Campaign{
		Type: survey.NetPromoter, Window: survey.Window{Start: start, End: start.AddDate(1, 0, 0)}, Channels: []string{"shop/a", "shop/b"},
		Trigger: survey.Trigger{Events: []survey.TriggerEvent{survey.API}}, Languages: survey.Languages{Offered: []string{"en"}},
		Arms:      []survey.Arm{{Name: "with", Weight: 1, Channels: []string{"shop/a"}}, {Name: "without", Weight: 1, Channels: []string{"shop/b"}}},
		Questions: []survey.Question{{ID: "score", Kind: survey.ScoreQuestion, Text: text}, {ID: "why", Kind: survey.TextQuestion, When: "score <= 6", Text: text}},
		Analysis:  survey.Analysis{Compare: survey.CompareArms},
	})
	require.NoError(tb, err)
	ctx := context.Background()
	run := func(query string, args ...any) {
		require.NoError(tb, s.write(ctx, 1, func(t *txn) error {
			_, err := t.exec(query, args...)
			return err
		}))
	}
	run(`INSERT INTO survey_campaigns (campaign, spec, hash, started_at) VALUES (?, ?, 'h', ?)`, name, string(spec), ms(start))
	const chunk = 50_000
	for from := 0; from < n; from += chunk {
		// A minute apart, over two thirds of the year and more; i * 7919 is spread over all of it.
		run(`WITH RECURSIVE n(i) AS (SELECT CAST(? AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO survey_responses (campaign, dialogue, asked_at, at, score, arm, channel, language, late, completed, asked, answered)
			SELECT 'shop/nps', '01KA' || (1000000000 + i), ? + i * 30000, ? + i * 30000 + 60000, (i * 7919) % 11, i % 2, CASE WHEN i % 2 = 0 THEN 'shop/a' ELSE 'shop/b' END,
			CASE i % 5 WHEN 0 THEN 'de' WHEN 1 THEN 'fr' ELSE 'en' END, CASE WHEN i % 50 = 0 THEN 1 ELSE 0 END, 1, CASE WHEN (i * 7919) % 11 <= 6 THEN 3 ELSE 1 END, 1 FROM n`,
			from+1, min(from+chunk, n), ms(start), ms(start))
	}
	for arm := range 2 {
		for count, share := range map[string]int{survey.Asked.String(): 1, countAnswered: 1, countContacts: 1} {
			run(`INSERT INTO survey_counts (campaign, name, arm, n) VALUES (?, ?, ?, ?)`, name, count, arm, n/2*share)
		}
	}
	if s.db.postgres != nil {
		_, err := s.db.writer.ExecContext(ctx, `ANALYZE`)
		require.NoError(tb, err)
	}
	return name
}

// BenchmarkSurveyReport is a report over a million answers, from the database to
// the numbers of every plot.
func BenchmarkSurveyReport(b *testing.B) {
	s := openTestStore(b, Options{Dir: b.TempDir()})
	name := answeredCampaign(b, s, benchResponses)
	c, err := s.campaign(b.Context(), Scope{All: true}, name)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		made, err := s.makeReport(b.Context(), c)
		require.NoError(b, err)
		require.Equal(b, benchResponses-benchResponses/50, made.report.Result.N)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/report")
}
