package survey_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// give makes n rows of a score in an arm.
func give(n, score, arm int) []survey.Row {
	return slices.Repeat([]survey.Row{{At: noon, Score: score, Arm: arm, Channel: "cx/telegram", Language: "en", Asked: 1, Answered: 1}}, n)
}

// twoArms is the experiment of routing-surveys.md 2.4, over.
func twoArms() (survey.Campaign, survey.Data) {
	c := nps()
	c.Arms = []survey.Arm{{Name: "with-channel", Weight: 50, Channels: []string{"cx/messenger"}}, {Name: "without-channel", Weight: 50, Channels: []string{"cx/telegram"}}}
	c.Analysis = survey.Analysis{Compare: survey.CompareArms, MinPerGroup: 100}
	rows := slices.Concat(give(103, 10, 0), give(58, 8, 0), give(40, 2, 0), give(84, 9, 1), give(64, 7, 1), give(42, 6, 1))
	funnel := survey.Funnel{Triggered: 1661, Eligible: 1661, Assigned: 1661, Sampled: 1661, Asked: 1640, Delivered: 1602, Answered: 391, Exits: map[survey.Exit]int{survey.Unreachable: 21}}
	return c, survey.Data{
		Now: end.AddDate(0, 1, 0), Funnel: funnel, Rows: slices.Values(rows),
		Arms: []survey.ArmCounts{{Assigned: 842, Asked: 830, Answered: 201}, {Assigned: 819, Asked: 810, Answered: 190}},
	}
}

func TestAggregateGivesTheNumbersOfTheExample(t *testing.T) {
	c, data := twoArms()
	r := survey.Aggregate(compile(t, c), data)
	assert.True(t, r.Final)
	assert.Equal(t, 391, r.Result.N)
	assert.InDelta(t, 26.9, r.Result.Value, 0.05)
	assert.InDelta(t, 18.9, r.Result.Low, 0.05)
	assert.InDelta(t, 34.4, r.Result.High, 0.05)
	assert.Equal(t, survey.MethodAdjustedWald, r.Result.Method)
	assert.Equal(t, &survey.Counts{Promoters: 187, Passives: 122, Detractors: 82}, r.Counts)
	assert.InDelta(t, 391.0/1640, r.ResponseRate.Value, 1e-9)
	require.Len(t, r.Arms, 2)
	assert.InDelta(t, 31.3, r.Arms[0].Measure.Value, 0.05)
	assert.InDelta(t, 22.1, r.Arms[1].Measure.Value, 0.05)
	assert.Equal(t, 842, r.Arms[0].Assigned)
	require.Len(t, r.Comparisons, 1)
	got := r.Comparisons[0]
	assert.InDelta(t, 9.1, got.Values.Difference, 0.05)
	assert.InDelta(t, 0.25, *got.AdjustedP, 0.005)
	assert.Equal(t, survey.VerdictInconclusive, got.Verdict)
	assert.Empty(t, got.Caveats)
	assert.InDelta(t, 0.57, r.SampleRatio.P, 0.005)
	assert.True(t, r.SampleRatio.OK)
	assert.True(t, r.SufficientData)
}

func TestVerdictsWaitForTheDeclaredLook(t *testing.T) {
	verdict := func(change func(*survey.Campaign, *survey.Data)) survey.ComparisonResult {
		c, data := twoArms()
		change(&c, &data)
		return survey.Aggregate(compile(t, c), data).Comparisons[0]
	}
	far := slices.Concat(give(150, 10, 0), give(50, 2, 0), give(50, 10, 1), give(150, 2, 1))
	clear := func(data *survey.Data) { data.Rows = slices.Values(far) }

	assert.Equal(t, survey.VerdictHigher, verdict(func(_ *survey.Campaign, d *survey.Data) { clear(d) }).Verdict)
	assert.Equal(t, survey.VerdictLower, verdict(func(c *survey.Campaign, d *survey.Data) { clear(d); c.Analysis.Baseline = "with-channel" }).Verdict)
	early := verdict(func(_ *survey.Campaign, d *survey.Data) { clear(d); d.Now = noon })
	assert.Equal(t, survey.VerdictPending, early.Verdict, "however clear it looks")
	assert.True(t, math.IsNaN(early.Values.P) && math.IsNaN(early.Values.Z) && early.AdjustedP == nil, "nobody stops on the day of the smallest p")
	assert.False(t, math.IsNaN(early.Values.Low), "the interval describes")
	assert.False(t, early.Values.NoData(), "the interval may be seen")
	assert.Equal(t, survey.VerdictHigher, verdict(func(_ *survey.Campaign, d *survey.Data) { clear(d); d.Now, d.Stopped = noon, true }).Verdict)

	few := verdict(func(c *survey.Campaign, d *survey.Data) { clear(d); c.Analysis.MinPerGroup = 201 })
	assert.Equal(t, survey.VerdictInconclusive, few.Verdict)
	assert.Contains(t, few.Caveats, survey.CaveatTooFew)
	c, data := twoArms()
	c.Analysis.MinPerGroup = 191
	assert.False(t, survey.Aggregate(compile(t, c), data).SufficientData, "the smaller group counts")

	broken := verdict(func(_ *survey.Campaign, d *survey.Data) { clear(d); d.Arms[0].Assigned, d.Arms[1].Assigned = 600, 400 })
	assert.Equal(t, survey.VerdictWithheld, broken.Verdict)
	assert.Contains(t, broken.Caveats, survey.CaveatSampleRatio)

	risk := verdict(func(_ *survey.Campaign, d *survey.Data) { clear(d); d.Arms[0].Answered = 500 })
	assert.Contains(t, risk.Caveats, survey.CaveatSelectionRisk)
}

func TestHolmAdjustsSeveralArms(t *testing.T) {
	c, data := twoArms()
	c.Channels = append(c.Channels, "cx/whatsapp")
	c.Arms = append(c.Arms, survey.Arm{Name: "third", Weight: 50, Channels: []string{"cx/whatsapp"}})
	data.Rows = slices.Values(slices.Concat(give(100, 10, 0), give(100, 2, 0), give(120, 10, 1), give(80, 2, 1), give(98, 10, 2), give(102, 2, 2)))
	data.Arms = nil
	r := survey.Aggregate(compile(t, c), data)
	require.Len(t, r.Comparisons, 2, "each with the last")
	small, large := r.Comparisons[1], r.Comparisons[0]
	assert.Equal(t, []string{"with-channel", "third"}, []string{large.First, large.Second})
	assert.InDelta(t, 2*small.Values.P, *small.AdjustedP, 1e-12)
	assert.InDelta(t, large.Values.P, *large.AdjustedP, 1e-12)
	assert.Less(t, small.Values.P, 0.05)
	assert.Equal(t, survey.VerdictInconclusive, small.Verdict, "one of two may happen by chance")
}

func TestComparisonOfBehaviourWithTheHoldout(t *testing.T) {
	c := nps()
	c.Holdout.Fraction = "10%"
	c.Analysis = survey.Analysis{Compare: survey.CompareHoldout, Metric: survey.MetricRepeatContact30d}
	r := survey.Aggregate(compile(t, c), survey.Data{Now: end.AddDate(1, 0, 0), Outcomes: []survey.Outcome{
		{Metric: survey.MetricOptOut, Group: survey.GroupAsked, N: 1, Happened: 1},
		{Metric: survey.MetricRepeatContact30d, Group: survey.GroupAsked, N: 900, Happened: 180},
		{Metric: survey.MetricRepeatContact30d, Group: survey.GroupHoldout, N: 300, Happened: 90},
	}})
	require.Len(t, r.Comparisons, 1)
	assert.InDelta(t, -10, r.Comparisons[0].Values.Difference, 1e-9)
	assert.Equal(t, survey.VerdictLower, r.Comparisons[0].Verdict)
	assert.True(t, r.Result.NoData())
}

func TestBeforeAndAfterIsMarkedObservational(t *testing.T) {
	c := nps()
	c.Analysis = survey.Analysis{Compare: survey.CompareBeforeAfter, ChangedAt: noon}
	before := give(100, 2, 0)
	for i := range before {
		before[i].At = noon.Add(-time.Second)
	}
	r := survey.Aggregate(compile(t, c), survey.Data{Now: end.AddDate(1, 0, 0), Rows: slices.Values(slices.Concat(before, give(100, 10, 0)))})
	got := r.Comparisons[0]
	assert.Equal(t, []string{survey.GroupAfter, survey.GroupBefore}, []string{got.First, got.Second})
	assert.Equal(t, 200.0, got.Values.Observed)
	assert.Contains(t, got.Caveats, survey.CaveatObservational)
	assert.Equal(t, survey.VerdictHigher, got.Verdict)
}

// Who was asked before a change and answers after it speaks of what was before.
func TestBeforeAndAfterGoByTheMomentOfAsking(t *testing.T) {
	c := nps()
	c.Analysis = survey.Analysis{Compare: survey.CompareBeforeAfter, ChangedAt: noon}
	rows := slices.Concat(give(100, 2, 0), give(100, 10, 0))
	for i := range rows {
		rows[i].At = noon.Add(48 * time.Hour)
		rows[i].AskedAt = noon.Add(time.Duration(i-100) * time.Minute) // the first 100 before
	}
	got := survey.Aggregate(compile(t, c), survey.Data{Now: end.AddDate(1, 0, 0), Rows: slices.Values(rows)}).Comparisons[0]
	assert.Equal(t, []int{100, 100}, []int{got.Values.N1, got.Values.N2})
	assert.Equal(t, 200.0, got.Values.Observed)
}

// Each arm needs its answers before and after: 5 before are not enough because
// there are 100 after.
func TestDifferencesNeedAnswersBeforeAndAfter(t *testing.T) {
	verdict := func(before, minimum int) (survey.Report, survey.ComparisonResult) {
		c, data := twoArms()
		c.Analysis = survey.Analysis{Compare: survey.CompareDifferences, ChangedAt: noon, MinPerGroup: minimum}
		rows := slices.Concat(give(before, 0, 0), give(before, 10, 1))
		for i := range rows {
			rows[i].At = noon.Add(-time.Hour)
		}
		data.Rows = slices.Values(slices.Concat(rows, give(100, 10, 0), give(100, 0, 1)))
		r := survey.Aggregate(compile(t, c), data)
		return r, r.Comparisons[0]
	}
	r, few := verdict(5, 100)
	assert.False(t, r.SufficientData)
	assert.Equal(t, survey.VerdictInconclusive, few.Verdict)
	assert.Contains(t, few.Caveats, survey.CaveatTooFew)
	r, enough := verdict(100, 100)
	assert.True(t, r.SufficientData)
	assert.Equal(t, survey.VerdictHigher, enough.Verdict)
	assert.Equal(t, []survey.Caveat{survey.CaveatObservational, survey.CaveatParallelTrends}, enough.Caveats, "parallel trends are assumed, not checked")
}

// A holdout has the size of its fraction, or something is broken.
func TestHoldoutHasASampleRatio(t *testing.T) {
	check := func(change func(*survey.Campaign, *survey.Data)) survey.Report {
		c := nps()
		c.Holdout.Fraction = "10%"
		c.Analysis = survey.Analysis{Compare: survey.CompareHoldout, Metric: survey.MetricRepeatContact30d, MinPerGroup: 50}
		data := survey.Data{Now: end.AddDate(1, 0, 0), Drawn: &survey.Drawn{Asked: 905, HeldOut: 95}, Outcomes: []survey.Outcome{
			{Metric: survey.MetricRepeatContact30d, Group: survey.GroupAsked, N: 905, Happened: 100}, {Metric: survey.MetricRepeatContact30d, Group: survey.GroupHoldout, N: 95, Happened: 40},
		}}
		change(&c, &data)
		p := compile(t, c)
		assert.Equal(t, p.Campaign.Sampling.Unit != survey.UnitConversation, p.ChecksSampleRatio())
		return survey.Aggregate(p, data)
	}
	as := check(func(*survey.Campaign, *survey.Data) {})
	assert.True(t, as.SampleRatio.OK)
	assert.Equal(t, survey.VerdictLower, as.Comparisons[0].Verdict)

	mixed := check(func(_ *survey.Campaign, d *survey.Data) { d.Drawn = &survey.Drawn{Asked: 700, HeldOut: 300} })
	assert.False(t, mixed.SampleRatio.OK)
	assert.Equal(t, survey.VerdictWithheld, mixed.Comparisons[0].Verdict)

	// Who is not in the sample is counted in neither: 10 % are held out, and of the
	// others 20 % asked.
	sampled := check(func(c *survey.Campaign, d *survey.Data) {
		c.Sampling.Rate, d.Drawn = "20%", &survey.Drawn{Asked: 1800, HeldOut: 1000}
	})
	assert.True(t, sampled.SampleRatio.OK)

	// With arms as well each has its share of what is left.
	arms := func(heldOut int) survey.Report {
		return check(func(c *survey.Campaign, d *survey.Data) {
			c.Arms = []survey.Arm{{Name: "a", Weight: 1, Channels: []string{"cx/messenger"}}, {Name: "b", Weight: 3, Channels: []string{"cx/telegram"}}}
			d.Arms, d.Drawn = []survey.ArmCounts{{Assigned: 225}, {Assigned: 675}}, &survey.Drawn{Asked: 900, HeldOut: heldOut}
		})
	}
	assert.True(t, arms(100).SampleRatio.OK)
	assert.False(t, arms(200).SampleRatio.OK)

	byConversation := check(func(c *survey.Campaign, d *survey.Data) { c.Sampling.Unit = survey.UnitConversation })
	assert.Nil(t, byConversation.SampleRatio, "conversations of people who are held out are not independent")
}

func TestDifferencesTakeBothMovementsAway(t *testing.T) {
	for _, kind := range []survey.Type{survey.NetPromoter, survey.CustomerSatisfaction, survey.CustomerEffort} {
		c, data := twoArms()
		c.Type, c.Thanks, c.Actions = kind, nil, nil
		c.Analysis = survey.Analysis{Compare: survey.CompareDifferences, ChangedAt: noon}
		good, bad := map[survey.Type]int{survey.NetPromoter: 10, survey.CustomerSatisfaction: 5, survey.CustomerEffort: 7}[kind], 1
		before := slices.Concat(give(50, good, 0), give(50, bad, 0), give(50, good, 1), give(50, bad, 1))
		for i := range before {
			before[i].At = noon.Add(-time.Hour)
		}
		after := slices.Concat(give(80, good, 0), give(20, bad, 0), give(60, good, 1), give(40, bad, 1))
		data.Rows = slices.Values(slices.Concat(before, after))
		got := survey.Aggregate(compile(t, c), data).Comparisons[0]
		want := map[survey.Type]float64{survey.NetPromoter: 40, survey.CustomerSatisfaction: 20, survey.CustomerEffort: 1.2}[kind]
		assert.InDelta(t, want, got.Values.Observed, 1e-9, kind)
		assert.Contains(t, got.Caveats, survey.CaveatParallelTrends)
		assert.Less(t, got.Values.Low, got.Values.High)
	}
}

func TestNothingIsShownOfFewerThanFive(t *testing.T) {
	p := compile(t, nps())
	r := survey.Aggregate(p, survey.Data{Now: noon, Rows: slices.Values(give(4, 9, 0))})
	assert.True(t, r.Result.Hidden)
	assert.Zero(t, r.Result.N)
	assert.Empty(t, r.Distribution)
	assert.Empty(t, r.Series)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"result":{"n":null,"value":null`)

	// One hidden score alone could be worked out from the total.
	r = survey.Aggregate(p, survey.Data{Now: noon, Rows: slices.Values(slices.Concat(give(3, 0, 0), give(50, 9, 0), give(20, 10, 0), give(7, 8, 0)))})
	hidden := map[string]bool{}
	for _, c := range r.Distribution {
		hidden[c.Name] = c.Hidden
		if c.Hidden {
			assert.Zero(t, c.N)
		}
	}
	assert.True(t, hidden["0"] && hidden["8"], "the smallest goes with it")
	assert.False(t, hidden["9"] || hidden["10"] || hidden["1"], "and an empty one tells of nobody")
	assert.Nil(t, r.Counts, "three detractors")
}

// From the published cells and their total, no cell of one to four people follows.
func TestNothingHiddenCanBeWorkedOut(t *testing.T) {
	p := compile(t, nps())
	rapid.Check(t, func(t *rapid.T) {
		var rows []survey.Row
		for score := range 11 {
			rows = append(rows, give(rapid.SampledFrom([]int{0, 0, 1, 2, 3, 4, 5, 6, 20}).Draw(t, "n"), score, 0)...)
		}
		r := survey.Aggregate(p, survey.Data{Now: noon, Rows: slices.Values(rows)})
		if r.Result.NoData() {
			require.Empty(t, r.Distribution)
			return
		}
		shown, hidden := 0, 0
		for _, c := range r.Distribution {
			shown += c.N
			require.True(t, c.N == 0 || c.N >= 5)
			if c.Hidden {
				hidden++
			}
		}
		require.True(t, hidden == 0 || hidden >= 2 || shown == 0, "one hidden cell is no secret")
		require.True(t, hidden == 0 || r.Result.N-shown >= 5)
		for _, point := range r.Series {
			require.GreaterOrEqual(t, point.Measure.N, 5)
		}
	})
}

func TestSeriesJoinsDaysUntilThereAreFive(t *testing.T) {
	c := nps()
	c.Window.End = start.AddDate(0, 0, 30)
	var rows []survey.Row
	for day, n := range []int{70, 2, 2, 3, 0, 60, 1} {
		for _, row := range give(n, 9, 0) {
			row.At = start.AddDate(0, 0, day).Add(time.Hour)
			rows = append(rows, row)
		}
	}
	refs := refs(t)
	refs.Started = true
	p, findings := survey.Compile("cx/nps-q4", c, refs)
	require.Empty(t, findings)
	var got []string
	for _, point := range survey.Aggregate(p, survey.Data{Now: noon, Rows: slices.Values(rows)}).Series {
		got = append(got, fmt.Sprintf("%s–%s: %d", point.From.Format("2"), point.To.Format("2"), point.Measure.N))
	}
	assert.Equal(t, []string{"1–2: 70", "2–5: 7", "6–8: 61"}, got)
}

func TestSeriesShowsWeeksWhereDaysWouldBeNoise(t *testing.T) {
	var rows []survey.Row
	for day := range 90 {
		for _, row := range give(6, 9, 0) {
			row.At = start.AddDate(0, 0, day)
			rows = append(rows, row)
		}
	}
	points := survey.Aggregate(compile(t, nps()), survey.Data{Now: noon, Rows: slices.Values(rows)}).Series
	assert.Len(t, points, 13)
	assert.Equal(t, 42, points[0].Measure.N)
}

func TestLateAndForeignRowsAreNoAnswers(t *testing.T) {
	rows := slices.Concat(give(10, 9, 0), give(6, 0, 0), give(1, 11, 0), give(1, -1, 0), give(5, 9, 7))
	for i := 10; i < 16; i++ {
		rows[i].Late = true
	}
	r := survey.Aggregate(compile(t, nps()), survey.Data{Now: noon, Rows: slices.Values(rows)})
	assert.Equal(t, 15, r.Result.N)
	assert.Equal(t, 100.0, r.Result.Value)
	assert.Equal(t, 6, r.Late.N)
}

func TestQuestionsShowWhereContactsLeave(t *testing.T) {
	rows := give(30, 2, 0)
	for i := range rows {
		rows[i].Asked = 0b011
		if i < 20 {
			rows[i].Answered = 0b011
		}
	}
	r := survey.Aggregate(compile(t, nps()), survey.Data{Now: noon, Rows: slices.Values(rows)})
	assert.Equal(t, "why", r.Questions[1].ID)
	assert.Equal(t, 30, r.Questions[1].Asked.N)
	assert.Equal(t, 20, r.Questions[1].Answered.N)
	assert.Zero(t, r.Questions[2].Asked.N)
}

func TestMeasuresOfOtherTypes(t *testing.T) {
	csat := nps()
	csat.Type, csat.Thanks, csat.Actions = survey.CustomerSatisfaction, nil, nil
	r := survey.Aggregate(compile(t, csat), survey.Data{Now: noon, Rows: slices.Values(slices.Concat(give(81, 4, 0), give(182, 3, 0)))})
	assert.InDelta(t, 25.53, r.Result.Low, 0.005, "Newcombe 1998a: 81 of 263")
	assert.InDelta(t, 36.62, r.Result.High, 0.005)
	assert.Equal(t, survey.MethodWilson, r.Result.Method)

	ces := csat
	ces.Type = survey.CustomerEffort
	r = survey.Aggregate(compile(t, ces), survey.Data{Now: noon, Rows: slices.Values(slices.Concat(give(5, 1, 0), give(5, 7, 0)))})
	assert.Equal(t, 4.0, r.Result.Value)
	// s = 3·√(10/9), t(9) = 2.262157: ± 2.262157.
	assert.InDelta(t, 4-2.262157, r.Result.Low, 1e-6)
	assert.Equal(t, survey.MethodStudent, r.Result.Method)
}

func TestReportsSurviveJSON(t *testing.T) {
	c, data := twoArms()
	for name, d := range map[string]survey.Data{"full": data, "empty": {Now: noon}, "hidden": {Now: noon, Rows: slices.Values(give(3, 9, 0))}} {
		r := survey.Aggregate(compile(t, c), d)
		text, err := json.Marshal(r)
		require.NoError(t, err, name)
		var back survey.Report
		require.NoError(t, json.Unmarshal(text, &back), name)
		again, err := json.Marshal(back)
		require.NoError(t, err, name)
		assert.JSONEq(t, string(text), string(again), name)
		assert.Equal(t, r.Result.NoData(), back.Result.NoData(), name)
		assert.Equal(t, r.Result.Hidden, back.Result.Hidden, name)
	}
}

// million is a million rows over the window, two channels, eight languages.
func million() iter.Seq[survey.Row] {
	languages := []string{"en", "de", "fr", "es", "pt", "it", "pl", "tr"}
	return func(yield func(survey.Row) bool) {
		for i := range 1_000_000 {
			row := survey.Row{At: start.Add(time.Duration(i) * 7 * time.Second), Score: (i * 7 % 23) % 11, Arm: i & 1, Channel: []string{"cx/telegram", "cx/messenger"}[i>>1&1],
				Language: languages[i&7], Asked: 3, Answered: uint8(i & 3)}
			if !yield(row) {
				return
			}
		}
	}
}

func BenchmarkAggregateMillion(b *testing.B) {
	c, data := twoArms()
	p := compile(b, c)
	data.Rows = million()
	for b.Loop() {
		survey.Aggregate(p, data)
	}
}

// Who was assigned on the last day has as long to come again as everybody else.
func TestRepeatContactsAreAwaited(t *testing.T) {
	c := nps()
	c.Holdout = survey.Holdout{Fraction: "10%"}
	c.Analysis = survey.Analysis{Compare: survey.CompareHoldout, Metric: survey.MetricRepeatContact30d}
	p := compile(t, c)
	assert.False(t, p.Closed(end.Add(survey.RepeatContactWindow-time.Second)))
	assert.True(t, p.Closed(end.Add(survey.RepeatContactWindow)))
	assert.Equal(t, noon.Add(survey.RepeatContactWindow), p.ClosesAt(noon), "also after a stop")
	c.Analysis.Metric = survey.MetricOptOut
	closes := end.Add(survey.DefaultReplyWindow + survey.DefaultEditWindow)
	assert.False(t, compile(t, c).Closed(closes.Add(-time.Second)), "the last reply can still be edited")
	assert.True(t, compile(t, c).Closed(closes))
}

// Intervals take answers for independent; where the same people may answer again,
// the report says so.
func TestReportSaysWhereContactsMayAnswerAgain(t *testing.T) {
	for name, one := range map[string]struct {
		change func(*survey.Campaign)
		want   bool
	}{
		"once for each resolution": {func(c *survey.Campaign) { c.Frequency = survey.Frequency{} }, true},
		"once for each contact":    {func(c *survey.Campaign) { c.Frequency, c.Trigger.OncePer = survey.Frequency{}, survey.OncePerContact }, false},
		"a cool-down within the window": {func(c *survey.Campaign) {
			c.Frequency = survey.Frequency{CampaignCooldown: document.Duration(time.Hour)}
		}, true},
		"a cool-down as long as the window": {func(c *survey.Campaign) {
			c.Frequency = survey.Frequency{CampaignCooldown: document.Duration(c.Window.End.Sub(c.Window.Start))}
		}, false},
	} {
		c := nps()
		one.change(&c)
		assert.Equal(t, one.want, survey.Aggregate(compile(t, c), survey.Data{Now: noon}).MayRepeat, name)
	}
}
