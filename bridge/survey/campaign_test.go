package survey_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

var (
	start = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	end   = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	noon  = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) // a Tuesday
)

const (
	hour = document.Duration(time.Hour)
	day  = 24 * hour
)

// refs are what the campaigns of the tests may refer to.
func refs(t testing.TB) survey.Refs {
	hours, err := schedule.Compile(schedule.Spec{TimeZone: "UTC", Weekly: []schedule.Weekly{
		{Days: []schedule.Day{"Mon", "Tue", "Wed", "Thu", "Fri"}, From: "09:00", To: "18:00"},
	}})
	require.NoError(t, err)
	return survey.Refs{
		Now: noon,
		Channels: map[string]survey.Channel{
			"cx/telegram":  {Platform: "telegram", CanSend: true},
			"cx/messenger": {Platform: "messenger", CanSend: true, Window: 24 * time.Hour},
			"cx/whatsapp":  {Platform: "whatsapp", CanSend: true, Window: 24 * time.Hour, Template: true},
			"cx/feed":      {Platform: "feed"},
		},
		Schedules: map[string]*schedule.Schedule{"cx/hours": hours},
		Queues:    map[string]bool{"cx/recovery": true},
	}
}

func texts(text string) survey.Texts { return survey.Texts{"en": text, "de": text + " (de)"} }

// nps is a campaign that uses most of what there is.
func nps() survey.Campaign {
	return survey.Campaign{
		Type:      survey.NetPromoter,
		Window:    survey.Window{Start: start, End: end},
		Channels:  []string{"cx/telegram", "cx/messenger"},
		Trigger:   survey.Trigger{Events: []survey.TriggerEvent{survey.ConversationResolved, survey.API}, Delay: hour, CancelOn: []survey.CancelEvent{survey.ConversationReopened}},
		Languages: survey.Languages{Offered: []string{"en", "de"}},
		Questions: []survey.Question{
			{ID: "score", Kind: survey.ScoreQuestion, Text: texts("How likely, 0 to 10?")},
			{ID: "why", Kind: survey.TextQuestion, When: "score <= 6", Text: texts("What went wrong?")},
			{ID: "best", Kind: survey.TextQuestion, When: "score >= 9", Text: texts("What did you like?")},
		},
		Replies:   survey.Replies{Clarify: texts("A number from 0 to 10, please.")},
		Reminders: survey.Reminders{Count: 1, After: 24 * hour},
		Thanks: []survey.Thanks{
			{From: 0, To: 6, Text: texts("We are sorry.")},
			{From: 9, To: 10, Text: texts("Thank you!")},
		},
		Actions:   []survey.Action{{Name: "recover", When: "score <= 6", Queue: "cx/recovery", Within: 4 * hour}},
		Frequency: survey.Frequency{Group: "customer-surveys", CampaignCooldown: 90 * day, GroupCooldown: 14 * day},
	}
}

// compile compiles a campaign that is right.
func compile(t testing.TB, c survey.Campaign) *survey.Program {
	t.Helper()
	p, findings := survey.Compile("cx/nps-q4", c, refs(t))
	require.Empty(t, findings)
	return p
}

func TestCompileFillsInDefaults(t *testing.T) {
	c := compile(t, nps()).Campaign
	assert.Equal(t, survey.Scale{Min: 0, Max: 10}, c.Scale)
	assert.Equal(t, survey.OncePerResolution, c.Trigger.OncePer)
	assert.Equal(t, "survey", c.Audience.Consent.Purpose)
	assert.Equal(t, 72*hour, c.Replies.Window)
	assert.Equal(t, survey.FromSent, c.Frequency.From)
	assert.Equal(t, 95, c.Analysis.Confidence)

	csat := nps()
	csat.Type, csat.Thanks, csat.Actions = survey.CustomerSatisfaction, nil, nil
	p := compile(t, csat)
	assert.Equal(t, survey.Scale{Min: 1, Max: 5}, p.Scale())
	assert.Equal(t, 4, p.Campaign.TopBoxFrom)
}

func TestCampaignSurvivesJSON(t *testing.T) {
	c := nps()
	text, err := json.Marshal(c)
	require.NoError(t, err)
	var back survey.Campaign
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, c, back)
}

func TestCompileNamesEveryMistake(t *testing.T) {
	arms := func(arms ...survey.Arm) func(*survey.Campaign) {
		return func(c *survey.Campaign) { c.Arms = arms }
	}
	both := []string{"cx/telegram", "cx/messenger"}
	for name, tc := range map[string]struct {
		change func(*survey.Campaign)
		field  string
		reason survey.Reason
		says   string
	}{
		"no score question":      {func(c *survey.Campaign) { c.Questions = c.Questions[1:] }, "questions", survey.ReasonNoScoreQuestion, "kind: Score"},
		"two scores":             {func(c *survey.Campaign) { c.Questions[1].Kind = survey.ScoreQuestion }, "questions[1].kind", survey.ReasonInvalid, "first"},
		"question twice":         {func(c *survey.Campaign) { c.Questions[2].ID = "why" }, "questions[2].id", survey.ReasonInvalid, "twice"},
		"missing translation":    {func(c *survey.Campaign) { c.Questions[1].Text = survey.Texts{"en": "Why?"} }, "questions[1].text", survey.ReasonMissingTranslation, "de"},
		"missing thanks":         {func(c *survey.Campaign) { c.Thanks[1].Text = survey.Texts{"de": "Danke"} }, "thanks[1].text", survey.ReasonMissingTranslation, "en"},
		"text nobody reads":      {func(c *survey.Campaign) { c.Replies.Clarify["fr"] = "Un nombre" }, "replies.clarify.fr", survey.ReasonInvalid, "languages.offered"},
		"expression":             {func(c *survey.Campaign) { c.Questions[1].When = "score <= " }, "questions[1].when", survey.ReasonInvalidExpression, "column"},
		"expression of a number": {func(c *survey.Campaign) { c.Actions[0].When = "score + 1" }, "actions[0].when", survey.ReasonInvalidExpression, "bool"},
		"expression without bound": {func(c *survey.Campaign) {
			c.Audience.Matches = []survey.Match{{Expression: "contact.attributes.all(a, contact.attributes.all(b, contact.attributes.all(c, a + b == c)))"}}
		}, "audience.matches[0].expression", survey.ReasonInvalidExpression, "cost"},
		"unknown variable":        {func(c *survey.Campaign) { c.Audience.Matches = []survey.Match{{Expression: "contact.tier == 1"}} }, "audience.matches[0].expression", survey.ReasonInvalidExpression, "tier"},
		"sampling too fine":       {func(c *survey.Campaign) { c.Sampling.Rate = "12.345%" }, "sampling.rate", survey.ReasonInvalid, "0.01 %"},
		"sampling without sign":   {func(c *survey.Campaign) { c.Sampling.Rate = "12" }, "sampling.rate", survey.ReasonInvalid, "12.5%"},
		"sampling nobody":         {func(c *survey.Campaign) { c.Sampling.Rate = "0%" }, "sampling.rate", survey.ReasonInvalid, "nobody"},
		"sampling too much":       {func(c *survey.Campaign) { c.Sampling.Rate = "100.01%" }, "sampling.rate", survey.ReasonInvalid, "more than"},
		"holdout of everybody":    {func(c *survey.Campaign) { c.Holdout.Fraction = "100%" }, "holdout.fraction", survey.ReasonInvalid, "nobody"},
		"holdout of no group":     {func(c *survey.Campaign) { c.Holdout.Scope, c.Frequency = survey.HoldoutGroup, survey.Frequency{} }, "holdout.scope", survey.ReasonInvalid, "frequency.group"},
		"window in the past":      {func(c *survey.Campaign) { c.Window.End = noon.Add(-time.Hour) }, "window.end", survey.ReasonWindowInPast, "over"},
		"window backwards":        {func(c *survey.Campaign) { c.Window.End = start }, "window", survey.ReasonInvalid, "before it starts"},
		"unknown channel":         {func(c *survey.Campaign) { c.Channels[1] = "cx/fax" }, "channels[1]", survey.ReasonChannelNotFound, "cx/fax"},
		"channel that cannot ask": {func(c *survey.Campaign) { c.Channels[1] = "cx/feed" }, "channels[1]", survey.ReasonChannelCannotAsk, "only receives"},
		"delay beyond the window": {func(c *survey.Campaign) { c.Trigger.Delay = 24 * hour }, "channels[1]", survey.ReasonChannelCannotAsk, "template"},
		"unknown schedule":        {func(c *survey.Campaign) { c.Trigger.Schedule = "cx/night" }, "trigger.schedule", survey.ReasonScheduleNotFound, "cx/night"},
		"unknown queue":           {func(c *survey.Campaign) { c.Actions[0].Queue = "cx/nobody" }, "actions[0].queue", survey.ReasonQueueNotFound, "cx/nobody"},
		"no trigger":              {func(c *survey.Campaign) { c.Trigger.Events = nil }, "trigger.events", survey.ReasonInvalid, "ConversationResolved"},
		"thanks that overlap":     {func(c *survey.Campaign) { c.Thanks[1].From = 6 }, "thanks[1]", survey.ReasonInvalid, "thanks[0]"},
		"thanks off the scale":    {func(c *survey.Campaign) { c.Thanks[1].To = 11 }, "thanks[1]", survey.ReasonInvalid, "0 to 10"},
		"reminders too late":      {func(c *survey.Campaign) { c.Reminders = survey.Reminders{Count: 3, After: 24 * hour} }, "reminders.after", survey.ReasonInvalid, "replies.window"},
		"scale of an NPS":         {func(c *survey.Campaign) { c.Scale = survey.Scale{Min: 1, Max: 10} }, "scale", survey.ReasonInvalid, "0 to 10"},
		"unknown type":            {func(c *survey.Campaign) { c.Type = "PMF" }, "type", survey.ReasonInvalid, "CSAT"},
		"cool-down of no group":   {func(c *survey.Campaign) { c.Frequency.Group = "" }, "frequency.groupCooldown", survey.ReasonInvalid, "frequency.group"},
		"fallback not offered":    {func(c *survey.Campaign) { c.Languages.Fallback = "fr" }, "languages.fallback", survey.ReasonInvalid, "languages.offered"},
		"no language":             {func(c *survey.Campaign) { c.Languages.Offered = nil }, "languages.offered", survey.ReasonInvalid, "BCP 47|like en"},
		"one arm":                 {arms(survey.Arm{Name: "a", Weight: 1}), "arms", survey.ReasonInvalid, "two"},
		"arms alike":              {arms(survey.Arm{Name: "a", Weight: 1}, survey.Arm{Name: "b", Weight: 1}), "arms[1]", survey.ReasonOverlappingArms, "exactly as arm a"},
		"arms of one name":        {arms(survey.Arm{Name: "a", Weight: 1}, survey.Arm{Name: "a", Weight: 1, Channels: both[:1]}), "arms[1].name", survey.ReasonOverlappingArms, "called a"},
		"arms that share a channel": {arms(survey.Arm{Name: "a", Weight: 1, Channels: both}, survey.Arm{Name: "b", Weight: 1, Channels: both[:1]}),
			"arms[1].channels", survey.ReasonOverlappingArms, "attributed"},
		"arm without weight":   {arms(survey.Arm{Name: "a", Weight: 1, Channels: both[:1]}, survey.Arm{Name: "b", Channels: both[1:]}), "arms[1].weight", survey.ReasonInvalid, "1 to"},
		"arm of other channel": {arms(survey.Arm{Name: "a", Weight: 1, Channels: both[:1]}, survey.Arm{Name: "b", Weight: 1, Channels: []string{"cx/whatsapp"}}), "arms[1].channels[0]", survey.ReasonInvalid, "among channels"},
		"arm too late":         {arms(survey.Arm{Name: "a", Weight: 1}, survey.Arm{Name: "b", Weight: 1, Delay: ptr(48 * hour)}), "arms[1].delay", survey.ReasonChannelCannotAsk, "template"},
		"arm of no question":   {arms(survey.Arm{Name: "a", Weight: 1}, survey.Arm{Name: "b", Weight: 1, Texts: map[string]survey.Texts{"nope": texts("x")}}), "arms[1].texts.nope", survey.ReasonInvalid, "no question"},
		"compare without arms": {func(c *survey.Campaign) { c.Analysis.Compare = survey.CompareArms }, "analysis.compare", survey.ReasonInvalid, "no arms"},
		"score of the silent":  {func(c *survey.Campaign) { c.Holdout.Fraction, c.Analysis.Compare = "10%", survey.CompareHoldout }, "analysis.metric", survey.ReasonInvalid, "RepeatContact30d"},
		"change outside":       {func(c *survey.Campaign) { c.Analysis.Compare = survey.CompareBeforeAfter }, "analysis.changedAt", survey.ReasonInvalid, "within the window"},
		"confidence":           {func(c *survey.Campaign) { c.Analysis.Confidence = 80 }, "analysis.confidence", survey.ReasonInvalid, "95"},
		"groups too small":     {func(c *survey.Campaign) { c.Analysis.MinPerGroup = 2 }, "analysis.minPerGroup", survey.ReasonInvalid, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			c := nps()
			tc.change(&c)
			p, findings := survey.Compile("cx/nps-q4", c, refs(t))
			assert.Nil(t, p, "half a measurement is none")
			for _, f := range findings {
				if f.Field == tc.field {
					assert.Equal(t, tc.reason, f.Reason, f)
					says, or, _ := strings.Cut(tc.says, "|")
					assert.True(t, strings.Contains(f.Message, says) || or != "" && strings.Contains(f.Message, or), f)
					return
				}
			}
			assert.Fail(t, "nothing about "+tc.field, findings)
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestCompileLetsACampaignThatRanBeOver(t *testing.T) {
	r := refs(t)
	r.Now, r.Started = end.AddDate(1, 0, 0), true
	p, findings := survey.Compile("cx/nps-q4", nps(), r)
	assert.Empty(t, findings)
	assert.True(t, p.Closed(r.Now))
	assert.False(t, p.Closed(end), "replies to the last question are awaited")
}

func TestReasonsOfReferencesAndOfTheCampaign(t *testing.T) {
	assert.True(t, survey.ReasonChannelCannotAsk.Reference())
	assert.False(t, survey.ReasonNoScoreQuestion.Reference())
}

func TestParsePercent(t *testing.T) {
	for text, slots := range map[string]int{"0%": 0, "0.01%": 1, "12.5%": 1250, "12.34%": 1234, "100%": 10_000, "100.00%": 10_000, "5%": 500, "05%": 500} {
		got, err := survey.ParsePercent(text)
		require.NoError(t, err, text)
		assert.Equal(t, slots, got, text)
	}
	for _, text := range []string{"", "%", "12", "12,5%", "-1%", "1e2%", "12.%", ".5%", "100.01%", "101%", "0.001%", "12.345 %", "1000%", " 1%"} {
		_, err := survey.ParsePercent(text)
		assert.Error(t, err, text)
	}
}

func TestLanguagesFallBackFromTheTagToItsLanguage(t *testing.T) {
	l := survey.Languages{Offered: []string{"en", "pt-BR", "zh-Hant"}}
	for language, want := range map[string]string{"en": "en", "en-GB": "en", "EN-us": "en", "pt": "pt-BR", "pt-PT": "pt-BR", "zh-Hant-TW": "zh-Hant", "zh": "zh-Hant", "fr": "", "": ""} {
		got, ok := l.For(language)
		assert.Equal(t, want, got, language)
		assert.Equal(t, want != "", ok, language)
	}
	l.Fallback = "en"
	got, ok := l.For("")
	assert.True(t, ok)
	assert.Equal(t, "en", got)
}

func TestStopRules(t *testing.T) {
	c := nps()
	c.Stop = survey.Stop{MaxResponses: 2000, HalfWidth: 5, FloorResponseRate: "3%"}
	p := compile(t, c)
	for _, tc := range []struct {
		totals survey.Totals
		want   survey.StopRule
	}{
		{survey.Totals{}, survey.StopNone},
		{survey.Totals{Responses: 1999, HalfWidth: 5.1, Due: 200, Answered: 6}, survey.StopNone},
		{survey.Totals{Responses: 2000}, survey.StopMaxResponses},
		{survey.Totals{Responses: 900, HalfWidth: 5}, survey.StopPrecision},
		{survey.Totals{Responses: 12, HalfWidth: 5}, survey.StopNone},
		{survey.Totals{Due: 200, Answered: 5}, survey.StopResponseRate},
		{survey.Totals{Due: 199, Answered: 0}, survey.StopNone},
	} {
		assert.Equal(t, tc.want, p.Stops(tc.totals), "%+v", tc.totals)
	}
}

func TestForecastSaysWhatToExpect(t *testing.T) {
	c := nps()
	c.Sampling.Rate, c.Holdout.Fraction = "50%", "10%"
	f := compile(t, c).Forecast(10_000, 0.2)
	assert.Equal(t, 4500, f.Invitations)
	assert.Equal(t, 900, f.Responses)
	// The table of routing-surveys.md 3.6: 922 answers of variance 0.6 give ±5.
	assert.InDelta(t, 5.06, f.HalfWidth, 0.01)
	assert.Zero(t, f.Detectable)
	assert.Zero(t, compile(t, c).Forecast(3, 0.2).HalfWidth, "nothing can be expected of nobody")

	c.Arms = []survey.Arm{{Name: "a", Weight: 1, Channels: []string{"cx/telegram"}}, {Name: "b", Weight: 1, Channels: []string{"cx/messenger"}}}
	c.Analysis.Compare = survey.CompareArms
	c.Sampling.Rate, c.Holdout.Fraction = "", ""
	// 942 in each group find a difference of 10 points (3.6).
	assert.InDelta(t, 10, compile(t, c).Forecast(1884, 1).Detectable, 0.01)
}

// Where nothing is known of how many contacts there will be, the forecast is of the
// answers that are planned for.
func TestPlanIsOfTheAnswersThatAreDeclared(t *testing.T) {
	for name, one := range map[string]struct {
		change  func(*survey.Campaign)
		answers int
	}{
		"minPerGroup":  {func(c *survey.Campaign) {}, 100},
		"maxResponses": {func(c *survey.Campaign) { c.Stop.MaxResponses = 922 }, 922},
		"arms":         {func(c *survey.Campaign) { *c, _ = twoArms() }, 200},
		"before, after": {func(c *survey.Campaign) {
			c.Analysis = survey.Analysis{Compare: survey.CompareBeforeAfter, ChangedAt: noon}
		}, 200},
		"of both, twice": {func(c *survey.Campaign) {
			*c, _ = twoArms()
			c.Analysis = survey.Analysis{Compare: survey.CompareDifferences, ChangedAt: noon}
		}, 400},
	} {
		c := nps()
		one.change(&c)
		got := compile(t, c).Plan(0.2)
		assert.True(t, got.Planned, name)
		assert.Equal(t, one.answers, got.Responses, name)
		assert.Equal(t, 5*one.answers, got.Invitations, name)
		if one.answers == 922 {
			assert.InDelta(t, 5, got.HalfWidth, 0.005, "section 3.6 of the research: 922 answers for ±5")
		}
	}
}
