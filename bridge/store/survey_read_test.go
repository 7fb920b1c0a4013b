package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// reportNow is a campaign's, as of now.
func (s *surveying) reportNow(name string) SurveyReport {
	s.t.Helper()
	s.clock.advance(time.Minute) // reports are kept for a moment
	r, err := s.Survey(context.Background(), everything, name)
	require.NoError(s.t, err)
	return r
}

// told is what the status says of a campaign, looked at now.
func (s *surveying) told(name string) (sum survey.Summary, text string) {
	s.t.Helper()
	require.NoError(s.t, s.renewSummaries(context.Background()))
	for _, status := range s.SurveyStatuses(context.Background()) {
		if status.Entry == "SurveyCampaign/"+name {
			require.NoError(s.t, json.Unmarshal(status.Summary, &sum))
			return sum, string(status.Summary)
		}
	}
	require.Fail(s.t, "the status does not name "+name)
	return sum, ""
}

// A report says what contacts said, counted by hand.
func TestSurveyReportIsWhatWasSaid(t *testing.T) {
	s := newSurveying(t)
	given := []int{10, 9, 9, 8, 7, 6, 3, 10, 9, 0, 5, 10}
	for i, score := range given {
		contact := fmt.Sprint("c", i)
		s.asked(contact)
		s.says(contact, fmt.Sprint(score))
	}
	s.asked("silent")
	s.says("c0", "6") // within the time to edit: the last one counts
	given[0] = 6

	r := s.reportNow(npsCampaign)
	promoters, detractors := 0, 0
	for _, score := range given {
		if score >= 9 {
			promoters++
		} else if score <= 6 {
			detractors++
		}
	}
	assert.Equal(t, len(given), r.Report.Result.N)
	assert.InDelta(t, 100*float64(promoters-detractors)/float64(len(given)), r.Report.Result.Value, 1e-9)
	assert.Equal(t, len(given)+1, r.Report.Funnel.Asked)
	assert.Equal(t, len(given), r.Report.Funnel.Answered)
	assert.InDelta(t, float64(len(given))/float64(len(given)+1), r.Report.ResponseRate.Value, 1e-9)
	assert.True(t, r.InForce)
	assert.True(t, r.Summary.Sampling)
	assert.Equal(t, survey.SamplingRunning, r.Summary.Reason)
	require.Len(t, r.Report.Channels, 1)
	assert.Equal(t, telegram, r.Report.Channels[0].Name)
	assert.False(t, r.Report.Final)
}

func TestSurveysOfOtherNamespacesAreNotThere(t *testing.T) {
	s := newSurveying(t)
	ctx, other := context.Background(), Scope{Namespaces: []string{"other"}}
	list, err := s.Surveys(ctx, other)
	require.NoError(t, err)
	assert.Empty(t, list)
	for name, scope := range map[string]Scope{npsCampaign: other, "shop/absent": everything} {
		_, err = s.Survey(ctx, scope, name)
		require.ErrorIs(t, err, ErrNotFound)
		require.ErrorIs(t, s.SurveyResponses(ctx, scope, name, false, nil), ErrNotFound)
	}
	list, err = s.Surveys(ctx, everything)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, npsCampaign, list[0].Name)
}

// The status hears at once of what a campaign turns to, of numbers every ten
// minutes, and of nothing while nothing happens.
func TestSummaryIsRenewed(t *testing.T) {
	s := newSurveying(t)
	before, _ := s.told(npsCampaign)
	assert.True(t, before.StartedAt.IsZero())
	assert.Equal(t, survey.SamplingRunning, before.Reason)

	s.asked("ana")
	begun, text := s.told(npsCampaign)
	assert.False(t, begun.StartedAt.IsZero(), "at once")
	assert.False(t, begun.Funnel.Shows("asked"), "of one person nothing is told")

	s.says("ana", "9")
	_, same := s.told(npsCampaign)
	assert.Equal(t, text, same, "not more often than every ten minutes")
	s.clock.advance(summaryEvery)
	counted, text := s.told(npsCampaign)
	assert.False(t, counted.Funnel.Shows("answered"))
	assert.Equal(t, 0, counted.Result.N)
	s.clock.advance(24 * time.Hour)
	_, same = s.told(npsCampaign)
	assert.Equal(t, text, same, "nothing has happened")

	s.campaign(npsCampaign, npsSpec(func(c *survey.Campaign) { c.Suspended = true }))
	suspended, _ := s.told(npsCampaign)
	assert.Equal(t, survey.SamplingSuspended, suspended.Reason, "at once")
	assert.False(t, suspended.Sampling)
}

// Before the start the status says how precise the result will be, also where
// another system triggers the campaign and nothing is known of how often.
func TestSummaryHasAForecastForEveryTrigger(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Trigger.Events = []survey.TriggerEvent{survey.API}
		c.Stop.MaxResponses = 922
	})
	planned, _ := s.told(npsCampaign)
	require.NotNil(t, planned.Forecast)
	assert.True(t, planned.Forecast.Planned)
	assert.Equal(t, 922, planned.Forecast.Responses)
	assert.InDelta(t, 5, planned.Forecast.HalfWidth, 0.01)
}

// What is final is kept as it is, and told so from then on.
func TestFinalReportStays(t *testing.T) {
	s := newSurveying(t)
	for i := range 6 {
		contact := fmt.Sprint("c", i)
		s.asked(contact)
		s.says(contact, fmt.Sprint(5+i))
	}
	s.asked("late")
	s.clock.advance(31 * 24 * time.Hour)
	over, _ := s.told(npsCampaign)
	assert.Equal(t, survey.SamplingOutsideWindow, over.Reason)
	s.clock.advance(10 * 24 * time.Hour)
	s.run()
	final, text := s.told(npsCampaign)
	require.True(t, final.Final)
	assert.NotEmpty(t, final.FrozenHash)
	assert.False(t, final.EndedAt.IsZero())
	assert.Equal(t, 6, final.Result.N)
	kept := s.reportNow(npsCampaign)
	assert.True(t, kept.Report.Final)

	require.NoError(t, s.write(context.Background(), 1, func(t *txn) error {
		_, err := t.exec(`DELETE FROM survey_responses`) // retention may take them
		return err
	}))
	s.clock.advance(24 * time.Hour)
	_, same := s.told(npsCampaign)
	assert.Equal(t, text, same)
	again := s.reportNow(npsCampaign)
	assert.Equal(t, kept.Report.Result.N, again.Report.Result.N)
	assert.Equal(t, kept.Report.UpdatedAt, again.Report.UpdatedAt)
}

// Answers are read after the resource is gone, too.
func TestSurveyThatIsGoneIsRead(t *testing.T) {
	s := newSurveying(t)
	for i := range 5 {
		contact := fmt.Sprint("c", i)
		s.asked(contact)
		s.says(contact, "10")
	}
	delete(s.entries, string(document.EntrySurveyCampaign)+"/"+npsCampaign)
	require.Empty(t, s.reload())
	r := s.reportNow(npsCampaign)
	assert.False(t, r.InForce)
	assert.Equal(t, 5, r.Report.Result.N)
	assert.Empty(t, s.SurveyStatuses(context.Background()), "the status is of what is in force")
}

// downloaded are the responses of a campaign, as a download has them.
func (s *surveying) downloaded(personal bool) (list []SurveyResponse) {
	s.t.Helper()
	require.NoError(s.t, s.SurveyResponses(context.Background(), everything, npsCampaign, personal, func(r SurveyResponse) error {
		list = append(list, r)
		return nil
	}))
	return list
}

func TestResponsesNameNobodyUnlessAsked(t *testing.T) {
	s := newSurveying(t)
	for i := range 5 {
		contact := fmt.Sprint("c", i)
		s.asked(contact)
		s.says(contact, "4, terrible service")
	}
	s.clock.advance(48 * time.Hour)
	v := s.asked("alone") // on another day
	s.says("alone", "9")

	personal := s.downloaded(true)
	require.Len(t, personal, 6)
	last := personal[5]
	assert.Equal(t, s.conversationContact(v), last.Contact)
	assert.Equal(t, v, last.Conversation)
	assert.NotEmpty(t, last.ID)
	assert.Equal(t, "terrible service", personal[0].Comment)

	for i, r := range s.downloaded(false) {
		assert.Empty(t, r.ID+r.Contact+r.Conversation+r.Comment)
		assert.Empty(t, r.Answers)
		assert.True(t, r.AskedAt.IsZero())
		assert.Equal(t, personal[i].Score, r.Score)
		assert.Equal(t, telegram, r.Channel)
		if i < 5 {
			assert.Equal(t, personal[i].AnsweredAt.Truncate(24*time.Hour), r.AnsweredAt)
		} else {
			assert.True(t, r.AnsweredAt.IsZero(), "one answered on that day")
		}
	}
}

// Days that are left out do not stand in the order, and of four nothing is said.
func TestTheOrderOfResponsesSaysNothing(t *testing.T) {
	s := newSurveying(t)
	for i, score := range []string{"9", "2", "7", "0"} {
		s.asked(fmt.Sprint("c", i))
		s.says(fmt.Sprint("c", i), score)
		s.clock.advance(26 * time.Hour)
	}
	assert.Empty(t, s.downloaded(false))
	assert.Len(t, s.downloaded(true), 4)
	s.asked("c4")
	s.says("c4", "1")
	var scores, asked []int
	for _, r := range s.downloaded(false) {
		scores = append(scores, r.Score)
		assert.True(t, r.AnsweredAt.IsZero())
	}
	for _, r := range s.downloaded(true) {
		asked = append(asked, r.Score)
	}
	assert.Equal(t, []int{0, 1, 2, 7, 9}, scores)
	assert.Equal(t, []int{9, 2, 7, 0, 1}, asked)
}

// A row in one number is the row.
func TestScoresArePacked(t *testing.T) {
	s := newSurveying(t)
	at := time.Date(2999, 12, 31, 23, 59, 59, 0, time.UTC)
	want := []survey.Row{
		{At: at, Score: 10, Arm: 7, Channel: telegram, Language: "en", Late: true, Completed: true, Asked: 255, Answered: 255},
		{At: time.UnixMilli(1000), Channel: secondChat, Language: "pt-BR"},
		{At: time.UnixMilli(1000), Score: 5, Channel: telegram, Language: "en", Completed: true, Asked: 128, Answered: 1},
	}
	require.NoError(t, s.write(context.Background(), 1, func(t *txn) error {
		for i, r := range want {
			if _, err := t.exec(`INSERT INTO survey_responses (campaign, dialogue, asked_at, at, score, arm, channel, language, late, completed, asked, answered) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				npsCampaign, fmt.Sprint(i), ms(r.At), r.Score, r.Arm, r.Channel, r.Language, boolInt(r.Late), boolInt(r.Completed), int64(r.Asked), int64(r.Answered)); err != nil {
				return err
			}
		}
		return nil
	}))
	rows := readScores(context.Background(), s.read, npsCampaign)
	got := slices.Collect(rows.all())
	require.NoError(t, rows.err)
	byKey := func(a, b survey.Row) int { return 2*a.At.Compare(b.At) + a.Score - b.Score }
	slices.SortFunc(got, byKey)
	slices.SortFunc(want, byKey)
	require.Len(t, got, len(want))
	for i := range want {
		assert.True(t, want[i].At.Equal(got[i].At))
		want[i].At, got[i].At = time.Time{}, time.Time{}
		assert.Equal(t, want[i], got[i])
	}
}

// Groups are compared by who was drawn for them, not by how often they were.
func TestOutcomesAreOfContacts(t *testing.T) {
	spec := npsSpec(func(c *survey.Campaign) {
		c.Channels = []string{telegram, secondChat}
		c.Arms = []survey.Arm{{Name: "with", Weight: 1, Channels: []string{telegram}}, {Name: "without", Weight: 1, Channels: []string{secondChat}}}
	})
	p, findings := survey.Compile(npsCampaign, spec, survey.AssumeRefs(spec))
	require.Empty(t, findings)
	key := func(name string, arm int) countKey { return countKey{npsCampaign, name, arm} }
	counts := surveyCounts{
		key(countContacts, 0): 40, key(countContacts, 1): 42, key(countContacts, noArm): 10, key(countContactsReturned, 0): 4, key(countContactsReturned, 1): 8,
		key(countContactsReturned, noArm): 3, key(countContactsOptedOut, 1): 1, key(survey.Asked.String(), 0): 55, key(countAnswered, 0): 20,
	}
	assert.Equal(t, []survey.ArmCounts{{Assigned: 40, Asked: 55, Answered: 20}, {Assigned: 42}}, counts.arms(p))
	assert.ElementsMatch(t, []survey.Outcome{
		{Metric: survey.MetricRepeatContact30d, Group: survey.GroupHoldout, N: 10, Happened: 3}, {Metric: survey.MetricRepeatContact30d, Group: survey.GroupAsked, N: 82, Happened: 12},
		{Metric: survey.MetricRepeatContact30d, Group: "with", N: 40, Happened: 4}, {Metric: survey.MetricRepeatContact30d, Group: "without", N: 42, Happened: 8},
		{Metric: survey.MetricOptOut, Group: survey.GroupHoldout, N: 10}, {Metric: survey.MetricOptOut, Group: survey.GroupAsked, N: 82, Happened: 1},
		{Metric: survey.MetricOptOut, Group: "with", N: 40}, {Metric: survey.MetricOptOut, Group: "without", N: 42, Happened: 1},
	}, counts.outcomes(p))
	other := surveyCounts{key(countContacts, 0): 41}
	assert.NotEqual(t, counts.digest(), other.digest())
	assert.Equal(t, surveyCounts{key("a", 1): 1, key("b", 0): 2}.digest(), surveyCounts{key("b", 0): 2, key("a", 1): 1}.digest())
}

// Before the start the status says what there is to expect, from what was solved.
func TestForecastBeforeTheStart(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Window = survey.Window{Start: testTime.Add(24 * time.Hour), End: testTime.Add(29 * 24 * time.Hour)}
	})
	none, _ := s.told(npsCampaign)
	assert.Equal(t, survey.SamplingNotStarted, none.Reason)
	require.NotNil(t, none.Forecast)
	assert.True(t, none.Forecast.Planned, "nothing is known to reckon with but what is planned for")
	for i := range 10 {
		_, err := s.Resolve(context.Background(), everything, s.hear(fmt.Sprint("c", i), "hello"))
		require.NoError(t, err)
	}
	s.clock.advance(summaryEvery)
	some, _ := s.told(npsCampaign)
	require.NotNil(t, some.Forecast)
	assert.False(t, some.Forecast.Planned)
	assert.Equal(t, 10, some.Forecast.Invitations, "as many as in the four weeks before")
	assert.Greater(t, some.Forecast.HalfWidth, 0.0)
}

func TestRoughly(t *testing.T) {
	for n, want := range map[float64]int{0: 0, 0.4: 0, 1: 1, 7.6: 8, 42.4: 42, 149: 150, 12345: 12000} {
		assert.Equal(t, want, roughly(n), n)
	}
}

// Metrics are of campaigns and counts; of fewer than five there is no score.
func TestSurveyMetrics(t *testing.T) {
	s := newSurveying(t)
	registry := prometheus.NewRegistry()
	s.registerSurveyMetrics(registry)
	told := func() map[string]float64 {
		families, err := registry.Gather()
		require.NoError(t, err)
		values := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				key := f.GetName()
				for _, l := range m.GetLabel() {
					key += " " + l.GetValue()
				}
				values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		return values
	}
	for i := range 6 {
		contact := fmt.Sprint("c", i)
		s.asked(contact)
		if i < 4 {
			s.says(contact, "10")
		}
	}
	s.told(npsCampaign)
	few := told()
	assert.InDelta(t, 6, few["bridgekeeper_survey_decisions_total shop/nps Asked"], 0)
	assert.NotContains(t, few, "bridgekeeper_survey_questions shop/nps answered", "of four people")
	assert.NotContains(t, few, "bridgekeeper_survey_score value shop/nps")
	assert.Contains(t, few, "bridgekeeper_survey_overdue_seconds")
	for i := 4; i < 6; i++ {
		s.says(fmt.Sprint("c", i), "10")
	}
	s.clock.advance(summaryEvery)
	s.told(npsCampaign)
	enough := told()
	assert.InDelta(t, 100, enough["bridgekeeper_survey_score value shop/nps"], 0)
	assert.InDelta(t, 6, enough["bridgekeeper_survey_questions shop/nps answered"], 0)
	assert.Less(t, enough["bridgekeeper_survey_score low shop/nps"], 100.0)
}
