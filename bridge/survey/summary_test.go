package survey_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// What a store tells is what the operator reads, also where nothing is known yet.
func TestSummarySurvivesJSON(t *testing.T) {
	c := nps()
	c.Arms = []survey.Arm{{Name: "a", Weight: 1, Channels: []string{"cx/telegram"}}, {Name: "b", Weight: 1, Channels: []string{"cx/messenger"}}}
	c.Analysis.Compare = survey.CompareArms
	p := compile(t, c)
	forecast := p.Forecast(1000, 0.2)
	for name, data := range map[string]survey.Data{
		"before anybody was asked": {Now: noon},
		"without enough answers": {Now: noon, Funnel: survey.Funnel{Triggered: 9, Exits: map[survey.Exit]int{survey.GroupCooldown: 3, survey.CampaignCooldown: 2}, Eligible: 9,
			Assigned: 9, Sampled: 9, Throttled: 5, Asked: 4, Answered: 2}, Arms: []survey.ArmCounts{{Assigned: 5, Asked: 2, Answered: 1}, {Assigned: 4, Asked: 2, Answered: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			report := survey.Aggregate(p, data)
			summary := survey.Summarize(&report)
			summary.Reason, summary.Sampling, summary.StartedAt, summary.Forecast = survey.SamplingRunning, true, noon, &forecast
			assert.Equal(t, data.Funnel.Throttled > 0, summary.Throttled)
			text, err := json.Marshal(summary)
			require.NoError(t, err)
			var back survey.Summary
			require.NoError(t, json.Unmarshal(text, &back))
			again, err := json.Marshal(back)
			require.NoError(t, err)
			assert.JSONEq(t, string(text), string(again))
			assert.True(t, back.Result.NoData())
			assert.Equal(t, summary.Funnel, back.Funnel)
		})
	}
}
