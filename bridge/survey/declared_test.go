package survey_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// What is declared before the start is compared field by field; the rest may change.
func TestWhatIsDeclaredBeforeTheStart(t *testing.T) {
	base, _ := twoArms()
	base.Type, base.Thanks, base.Actions = survey.CustomerSatisfaction, nil, nil
	started, err := json.Marshal(compile(t, base).Declared())
	require.NoError(t, err)
	hour := document.Duration(time.Hour)
	arms := func(change func(*survey.Arm)) func(*survey.Campaign) {
		return func(c *survey.Campaign) {
			c.Arms = append([]survey.Arm(nil), c.Arms...)
			change(&c.Arms[0])
		}
	}
	for name, one := range map[string]struct {
		change func(*survey.Campaign)
		want   string
	}{
		"nothing":                {func(*survey.Campaign) {}, ""},
		"what was so by default": {func(c *survey.Campaign) { c.TopBoxFrom, c.Scale = 4, survey.Scale{Min: 1, Max: 5} }, ""},
		"top box":                {func(c *survey.Campaign) { c.TopBoxFrom = 3 }, "topBoxFrom"},
		"scale":                  {func(c *survey.Campaign) { c.Scale = survey.Scale{Min: 1, Max: 7} }, "scale"},
		"type":                   {func(c *survey.Campaign) { c.Type = survey.CustomerEffort }, "type"},
		"analysis":               {func(c *survey.Campaign) { c.Analysis.MinPerGroup = 7 }, "analysis"},
		"sampling":               {func(c *survey.Campaign) { c.Sampling.Rate = "50%" }, "sampling"},
		"holdout":                {func(c *survey.Campaign) { c.Holdout.Fraction = "50%" }, "holdout"},
		"weight of an arm":       {arms(func(a *survey.Arm) { a.Weight = 7 }), "arms"},
		"delay of an arm":        {arms(func(a *survey.Arm) { a.Delay = &hour }), "arms"},
		"texts of an arm": {arms(func(a *survey.Arm) {
			a.Texts = map[string]survey.Texts{"score": {"en": "How was it?", "de": "Wie war es?"}}
		}), "arms"},
		"window": {func(c *survey.Campaign) { c.Window.End = c.Window.End.AddDate(0, 1, 0) }, ""},
		"stop":   {func(c *survey.Campaign) { c.Stop.MaxResponses = 7 }, ""},
	} {
		c := base
		one.change(&c)
		got, err := compile(t, c).Declared().Changed(started)
		require.NoError(t, err, name)
		if one.want == "type" || one.want == "scale" { // a scale goes with its type and its top box
			assert.NotEmpty(t, got, name)
			continue
		}
		assert.Equal(t, one.want, got, name)
	}

	// An earlier version kept the analysis alone.
	analysis, err := json.Marshal(compile(t, base).Campaign.Analysis)
	require.NoError(t, err)
	c := base
	c.TopBoxFrom = 3
	got, err := compile(t, c).Declared().Changed(analysis)
	require.NoError(t, err)
	assert.Empty(t, got)
	c.Analysis.MinPerGroup = 7
	got, err = compile(t, c).Declared().Changed(analysis)
	require.NoError(t, err)
	assert.Equal(t, "analysis", got)
	_, err = compile(t, c).Declared().Changed([]byte("{"))
	assert.Error(t, err)
}
