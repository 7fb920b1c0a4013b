package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// summary of a campaign as the status gets it.
func (s *surveying) summary(name string) *survey.Summary {
	s.t.Helper()
	require.NoError(s.t, s.renewSummaries(s.t.Context()))
	for _, status := range s.SurveyStatuses(s.t.Context()) {
		if status.Entry == string(document.EntrySurveyCampaign)+"/"+name {
			var summary *survey.Summary
			require.NoError(s.t, unmarshalSome(string(status.Summary), &summary))
			return summary
		}
	}
	return nil
}

// A campaign that has ended asks again once its window does: its result goes on where
// it was, and is final at the new end.
func TestAnExtendedWindowAsksAgain(t *testing.T) {
	s := newSurveying(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		s.asked(name)
		s.says(name, "9")
	}
	s.clock.advance(40 * 24 * time.Hour)
	s.run()
	ended := s.summary(npsCampaign)
	require.True(t, ended.Final)
	require.Equal(t, survey.SamplingOutsideWindow, ended.Reason)
	require.Equal(t, 5, ended.Result.N)

	s.campaign(npsCampaign, npsSpec(func(c *survey.Campaign) { c.Window.End = testTime.Add(120 * 24 * time.Hour) }))
	again := s.summary(npsCampaign)
	require.Equal(t, survey.SamplingRunning, again.Reason)
	require.Equal(t, []any{true, false, "", true}, []any{again.Sampling, again.Final, again.FrozenHash, again.EndedAt.IsZero()})
	require.Equal(t, ended.StartedAt, again.StartedAt)
	s.asked("ana")
	s.says("ana", "2")
	require.Equal(t, 6, s.funnel(npsCampaign).Asked, "%v", s.exits(npsCampaign))
	report, err := s.Survey(t.Context(), everything, npsCampaign)
	require.NoError(t, err)
	require.Equal(t, 6, report.Report.Result.N, "one measurement")
	require.Nil(t, report.Summary.Forecast)

	s.clock.advance(90 * 24 * time.Hour)
	s.run()
	last := s.summary(npsCampaign)
	require.True(t, last.Final)
	require.NotEqual(t, ended.FrozenHash, last.FrozenHash)
}

// Another stop rule than the one that ended it takes a campaign up again, unless that
// is reached as well.
func TestARaisedStopRuleAsksAgain(t *testing.T) {
	stop := func(n int) survey.Campaign {
		return npsSpec(func(c *survey.Campaign) { c.Stop.MaxResponses = n })
	}
	s := newSurveying(t, func(c *survey.Campaign) { c.Stop.MaxResponses = 2 })
	for _, name := range []string{"a", "b"} {
		s.asked(name)
		s.says(name, "9")
	}
	s.clock.advance(time.Minute)
	s.run()
	s.clock.advance(80 * time.Hour)
	s.run()
	require.True(t, s.summary(npsCampaign).Final)

	s.campaign(npsCampaign, stop(1))
	require.True(t, s.summary(npsCampaign).Final, "one answer is there, too")
	s.asked("carl")
	require.Equal(t, 2, s.funnel(npsCampaign).Asked)

	s.campaign(npsCampaign, stop(3))
	again := s.summary(npsCampaign)
	require.Equal(t, []any{survey.SamplingRunning, false, survey.StopNone}, []any{again.Reason, again.Final, again.StopRule})
	s.asked("dora")
	s.says("dora", "9")
	require.Equal(t, 3, s.funnel(npsCampaign).Asked)
	s.clock.advance(time.Minute)
	s.run()
	require.Equal(t, survey.SamplingStopRuleReached, s.summary(npsCampaign).Reason)
}

// A name that is deleted and applied again is another campaign. Whom the first one
// asked is left alone all the same, and who answers its questions late answers it.
func TestANameAppliedAgainIsANewRun(t *testing.T) {
	calm := func(c *survey.Campaign) { c.Frequency.CampaignCooldown = document.Duration(20 * 24 * time.Hour) }
	for name, uids := range map[string][2]string{"with UIDs": {"u1", "u2"}, "without": {"", ""}} {
		t.Run(name, func(t *testing.T) {
			s := newSurveying(t, calm, func(c *survey.Campaign) { c.UID = uids[0] })
			s.asked("ana")
			s.asked("bob")
			s.says("ana", "9")
			started := s.summary(npsCampaign).StartedAt
			s.withdraw(npsCampaign)
			s.clock.advance(time.Hour)
			s.campaign(npsCampaign, npsSpec(calm, func(c *survey.Campaign) {
				c.UID, c.Analysis.Confidence = uids[1], 90 // what the new one is to learn is its own
				c.Arms = []survey.Arm{{Name: "short", Weight: 1, Texts: map[string]survey.Texts{"score": {"en": "0 to 10?"}}}, {Name: "long", Weight: 1}}
			}))
			fresh := s.summary(npsCampaign)
			require.Equal(t, uids[1], fresh.UID)
			require.Equal(t, []any{true, true, false, 0}, []any{fresh.StartedAt.IsZero(), fresh.Sampling, fresh.Final, s.funnel(npsCampaign).Triggered})

			require.Equal(t, npsCampaign, s.says("bob", "3").Survey, "to the question of the first")
			s.says("ana", "hello again")
			s.solve(s.hear("ana", "and again"))
			require.Equal(t, 1, s.exits(npsCampaign)[survey.CampaignCooldown], "the ledger lives on")
			s.asked("carl")
			s.says("carl", "10")
			f := s.funnel(npsCampaign)
			require.Equal(t, []int{2, 1, 1}, []int{f.Triggered, f.Asked, f.Answered})
			counted := func(run, name string) int {
				counts, err := readSurveyCounts(t.Context(), s.read, run)
				require.NoError(t, err)
				return counts.sum(name)
			}
			require.Equal(t, 2, counted(npsCampaign+"@2", countContacts), "both are drawn anew")
			require.Equal(t, []int{2, 2, 2}, []int{counted(npsCampaign, countContacts), counted(npsCampaign, survey.Asked.String()), counted(npsCampaign, countAnswered)})

			list, err := s.Surveys(t.Context(), everything)
			require.NoError(t, err)
			require.Equal(t, []string{npsCampaign + "@1", npsCampaign}, []string{list[0].Name, list[1].Name})
			require.Equal(t, []bool{false, true}, []bool{list[0].InForce, list[1].InForce})
			first, err := s.Survey(t.Context(), everything, npsCampaign+"@1")
			require.NoError(t, err)
			require.Equal(t, started, first.Summary.StartedAt)
			require.Empty(t, first.Report.Arms)
			latest, err := s.Survey(t.Context(), everything, npsCampaign)
			require.NoError(t, err)
			require.Len(t, latest.Report.Arms, 2)
			require.True(t, latest.Summary.StartedAt.After(started))
			for name, want := range map[string]int{npsCampaign: 1, npsCampaign + "@1": 2, npsCampaign + "@2": 1} {
				n := 0
				require.NoError(t, s.SurveyResponses(t.Context(), everything, name, true, func(SurveyResponse) error { n++; return nil }))
				require.Equal(t, want, n, name)
			}
			_, err = s.Survey(t.Context(), everything, npsCampaign+"@3")
			require.ErrorIs(t, err, ErrNotFound)
		})
	}
}

// A resource that is the same, and was out of force for a while, goes on.
func TestAResourceThatComesBackGoesOn(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.UID = "u1" })
	s.asked("ana")
	s.withdraw(npsCampaign)
	s.clock.advance(80 * time.Hour)
	s.run()
	require.Equal(t, 1, count(t, s.Store, "survey_campaigns WHERE ended_at > 0"), "nothing can change its result")
	s.campaign(npsCampaign, npsSpec(func(c *survey.Campaign) { c.UID = "u1" }))
	s.asked("bob")
	require.Equal(t, 2, s.funnel(npsCampaign).Asked)
	require.Equal(t, 1, count(t, s.Store, "survey_campaigns"))
	require.False(t, s.summary(npsCampaign).Final)
}
