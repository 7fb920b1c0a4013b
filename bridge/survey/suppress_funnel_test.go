package survey_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// drawFunnel makes a funnel that adds up, of small and large counts.
func drawFunnel(t *rapid.T) survey.Funnel {
	few := func(name string) int { return rapid.SampledFrom([]int{0, 0, 1, 2, 3, 4, 5, 7, 30}).Draw(t, name) }
	var f survey.Funnel
	for _, e := range survey.Exits() {
		if e != survey.OtherTrigger && e != survey.Asked {
			f.Add(e, few(e.String()))
		}
	}
	f.Answered, f.OptedOut, f.Cancelled, f.Expired = few("answered"), few("optedOut"), few("cancelled"), few("expired")
	waiting := few("waiting")
	f.Add(survey.Asked, f.Answered+f.OptedOut+f.Cancelled+f.Expired+waiting)
	f.Failed = min(few("failed"), f.Asked)
	f.Delivered = f.Asked - f.Failed
	f.Completed = rapid.IntRange(0, f.Answered).Draw(t, "completed")
	f.Late = rapid.IntRange(0, f.Expired).Draw(t, "late")
	f.Clarified, f.Unparsed = few("clarified"), few("unparsed")
	return f
}

// equations are the sums that an attacker knows to hold, over named cells.
func equations() [][]string {
	before, after := []string{"triggered", "eligible"}, []string{"sampled", "pending", "asked"}
	for _, e := range survey.Exits() {
		switch {
		case e == survey.OtherTrigger || e == survey.Asked || e == survey.Deferred || e == survey.HeldOut:
		case e < survey.HeldOut:
			before = append(before, e.String())
		case e > survey.NotSampled:
			after = append(after, e.String())
		}
	}
	return [][]string{
		before, after, {"eligible", "heldOut", "assigned"}, {"assigned", "NotSampled", "sampled"}, {"throttled", "CampaignCooldown", "GroupCooldown", "Outranked"},
		{"asked", "delivered", "failed"}, {"asked", "answered", "optedOut", "cancelled", "expired", "waiting"}, {"answered", "completed", "partial"}, {"expired", "late", "silent"},
	}
}

// countsOf are the cells of a whole funnel, those that follow included.
func countsOf(f *survey.Funnel) map[string]int {
	cells := map[string]int{
		"triggered": f.Triggered, "eligible": f.Eligible, "heldOut": f.HeldOut, "assigned": f.Assigned, "sampled": f.Sampled, "throttled": f.Throttled, "pending": f.Pending,
		"asked": f.Asked, "delivered": f.Delivered, "failed": f.Failed, "answered": f.Answered, "completed": f.Completed, "late": f.Late, "optedOut": f.OptedOut,
		"cancelled": f.Cancelled, "expired": f.Expired, "clarified": f.Clarified, "unparsed": f.Unparsed,
		"partial": f.Answered - f.Completed, "silent": f.Expired - f.Late, "waiting": f.Asked - f.Answered - f.OptedOut - f.Cancelled - f.Expired,
	}
	for _, e := range survey.Exits() {
		if e != survey.HeldOut && e != survey.Asked && e != survey.Deferred && e != survey.OtherTrigger {
			cells[e.String()] = f.Exits[e]
		}
	}
	return cells
}

// determined are the unknown cells that follow from the sums, by Gaussian
// elimination: those with a row of their own in the reduced form.
func determined(unknown []string) []string {
	var rows [][]float64
	for _, sum := range equations() {
		row := make([]float64, len(unknown))
		for i, name := range sum {
			if at := slices.Index(unknown, name); at >= 0 {
				row[at] = map[bool]float64{true: 1, false: -1}[i == 0]
			}
		}
		rows = append(rows, row)
	}
	rank := 0
	for col := range unknown {
		pivot := slices.IndexFunc(rows[rank:], func(r []float64) bool { return math.Abs(r[col]) > 1e-9 })
		if pivot < 0 {
			continue
		}
		rows[rank], rows[rank+pivot] = rows[rank+pivot], rows[rank]
		lead := rows[rank][col]
		for i := range rows[rank] {
			rows[rank][i] /= lead
		}
		for r := range rows {
			if factor := rows[r][col]; r != rank && factor != 0 {
				for i := range rows[r] {
					rows[r][i] -= factor * rows[rank][i]
				}
			}
		}
		if rank++; rank == len(rows) {
			break
		}
	}
	var found []string
	for _, row := range rows[:rank] {
		nonzero := -1
		for i, v := range row {
			if math.Abs(v) > 1e-9 {
				if nonzero >= 0 {
					nonzero = -2
					break
				}
				nonzero = i
			}
		}
		if nonzero >= 0 {
			found = append(found, unknown[nonzero])
		}
	}
	return found
}

// What is published of a funnel has no cell of one to four people, and none follows
// from all the sums together.
func TestNothingHiddenOfAFunnelCanBeWorkedOut(t *testing.T) {
	p := compile(t, nps())
	rapid.Check(t, func(t *rapid.T) {
		f := drawFunnel(t)
		require.NoError(t, f.Balanced())
		r := survey.Aggregate(p, survey.Data{Now: noon, Funnel: f, Rows: slices.Values(give(f.Answered, 9, 0))})
		published := r.Funnel
		require.NoError(t, published.Balanced(), "what is whole adds up")
		whole, shown := countsOf(&f), countsOf(&published)
		unknown := []string{"partial", "silent"}
		if whole["waiting"] > 0 { // at the end there are none, and everybody knows it
			unknown = append(unknown, "waiting")
		}
		for name, n := range whole {
			switch {
			case name == "partial" || name == "silent" || name == "waiting":
			case !published.Shows(name):
				unknown = append(unknown, name)
				require.Zero(t, shown[name], name)
			default:
				require.Equal(t, n, shown[name], name)
				require.False(t, n > 0 && n < 5, "%s is %d", name, n)
			}
		}
		slices.Sort(unknown)
		for _, name := range determined(unknown) {
			if name == "partial" || name == "silent" || name == "waiting" {
				continue // what few people have not done
			}
			require.False(t, whole[name] > 0 && whole[name] < 5, "%s is %d and follows from what is shown: %+v", name, whole[name], published)
		}
		require.Equal(t, f.Answered > 0 && f.Answered < 5, r.Result.Hidden)
		if rate := r.ResponseRate; rate != nil {
			require.GreaterOrEqual(t, rate.N, 5)
			require.False(t, rate.Happened > 0 && rate.Happened < 5)
		}
		require.True(t, r.Late.N == 0 || r.Late.N >= 5)
	})
}

func TestOfTwoAnswersNothingIsTold(t *testing.T) {
	f := survey.Funnel{Answered: 2, OptedOut: 1, Late: 1, Expired: 1, Completed: 1}
	f.Add(survey.Asked, 10)
	r := survey.Aggregate(compile(t, nps()), survey.Data{Now: noon, Rows: slices.Values(give(2, 9, 0)), Funnel: f})
	assert.True(t, r.Result.Hidden)
	assert.Nil(t, r.ResponseRate)
	for _, cell := range []string{"answered", "completed", "late", "optedOut", "expired"} {
		assert.False(t, r.Funnel.Shows(cell), cell)
	}
	assert.Zero(t, r.Funnel.Answered+r.Funnel.OptedOut+r.Funnel.Late+r.Funnel.Expired+r.Funnel.Completed)
	assert.Equal(t, 10, r.Funnel.Triggered)
}

// Three arms of 6, 3 and 100: the second is hidden, the first with it, and no
// comparison tells how many were in either.
func TestComparisonsDoNotTellOfHiddenArms(t *testing.T) {
	c, data := twoArms()
	c.Channels = append(c.Channels, "cx/whatsapp")
	c.Arms = append(c.Arms, survey.Arm{Name: "third", Weight: 50, Channels: []string{"cx/whatsapp"}})
	data.Arms = nil
	data.Rows = slices.Values(slices.Concat(give(6, 10, 0), give(3, 0, 1), give(50, 9, 2), give(50, 0, 2)))
	r := survey.Aggregate(compile(t, c), data)
	assert.True(t, r.Arms[0].Measure.Hidden && r.Arms[1].Measure.Hidden)
	require.Len(t, r.Comparisons, 2)
	for _, comparison := range r.Comparisons {
		assert.True(t, comparison.Values.NoData(), comparison.First)
		assert.Zero(t, comparison.Values.N1+comparison.Values.N2)
		assert.Equal(t, survey.VerdictInconclusive, comparison.Verdict)
		assert.Contains(t, comparison.Caveats, survey.CaveatTooFew)
	}
	assert.False(t, r.SufficientData)

	// What one to four people did is told by no comparison either.
	held := nps()
	held.Holdout.Fraction = "10%"
	held.Analysis = survey.Analysis{Compare: survey.CompareHoldout, Metric: survey.MetricOptOut}
	r = survey.Aggregate(compile(t, held), survey.Data{Now: end.AddDate(1, 0, 0), Outcomes: []survey.Outcome{
		{Metric: survey.MetricOptOut, Group: survey.GroupAsked, N: 900, Happened: 80}, {Metric: survey.MetricOptOut, Group: survey.GroupHoldout, N: 100, Happened: 2},
	}})
	assert.True(t, r.Comparisons[0].Values.NoData())
	assert.Contains(t, r.Comparisons[0].Caveats, survey.CaveatTooFew)
}
