package survey

import (
	"math"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Verdict is the answer to a comparison's question.
type Verdict string

const (
	// VerdictPending: too early. There is one look at the data, at the end, as
	// was declared before the start; the interval until then describes and
	// decides nothing. Looking every day and stopping when it suits finds a
	// difference where there is none.
	VerdictPending      Verdict = "Pending"
	VerdictHigher       Verdict = "Higher" // the first group, significantly
	VerdictLower        Verdict = "Lower"
	VerdictInconclusive Verdict = "Inconclusive"
	// VerdictWithheld: the sample ratio is off, so something is broken.
	VerdictWithheld Verdict = "Withheld"
)

// Caveat is what a reader has to know beside a verdict.
type Caveat string

const (
	// CaveatObservational: before and after differ in more than what was changed;
	// what differs may have another cause.
	CaveatObservational Caveat = "Observational"
	// CaveatSelectionRisk: the groups answered at different rates, so the
	// scores may be of different kinds of people.
	CaveatSelectionRisk Caveat = "SelectionRisk"
	// CaveatTooFew: a group has fewer answers than analysis.minPerGroup (of before
	// and after, each arm both before and after), or so few did what is compared
	// that nothing is told.
	CaveatTooFew Caveat = "TooFew"
	// CaveatSampleRatio: see RatioCheck.
	CaveatSampleRatio Caveat = "SampleRatioMismatch"
	// CaveatParallelTrends: the difference is a cause only if both arms would
	// have moved alike without the change. That is assumed, not checked, so such a
	// comparison is Observational as well.
	CaveatParallelTrends Caveat = "AssumesParallelTrends"
)

// ComparisonResult compares First with Second, first minus second.
type ComparisonResult struct {
	Compare Compare    `json:"compare"`
	Metric  Metric     `json:"metric"`
	First   string     `json:"first"`
	Second  string     `json:"second"`
	Values  Comparison `json:"values"`
	// AdjustedP is the p-value for having asked several questions at once, by
	// Holm; the verdict goes by it. Nil without data, and before the end, when
	// Values has no P and no Z either.
	AdjustedP *float64 `json:"adjustedP"`
	Verdict   Verdict  `json:"verdict"`
	Caveats   []Caveat `json:"caveats,omitempty"`
	// least is how many answers the smallest of the compared groups has; of before
	// and after each arm has two.
	least int
}

// sampleRatio checks the assignment: that the arms have the sizes of their weights,
// and the holdout that of its fraction.
func (a *aggregation) sampleRatio() *RatioCheck {
	var observed []int
	var weights []float64
	if len(a.p.Campaign.Arms) > 0 && len(a.data.Arms) == len(a.p.arms) {
		for i := range a.p.arms {
			observed, weights = append(observed, a.data.Arms[i].Assigned), append(weights, float64(a.p.weights[i]))
		}
	}
	if held, asked, ok := a.p.holdoutShares(); ok && a.data.Drawn != nil {
		if len(observed) == 0 {
			observed, weights = []int{a.data.Drawn.Asked}, []float64{1}
		}
		// Arms share what the holdout leaves as their weights say.
		whole := 0.0
		for _, w := range weights {
			whole += w
		}
		observed, weights = append(observed, a.data.Drawn.HeldOut), append(weights, whole*held/asked)
	}
	chi2, p := SampleRatio(observed, weights)
	if math.IsNaN(p) {
		return nil
	}
	return &RatioCheck{Chi2: chi2, P: p, OK: p >= SampleRatioAlpha}
}

// holdoutShares are the expected shares of contacts that are held out and that are
// drawn to be asked (holdout and sample are independent draws; who is in neither is
// not counted). Not where conversations are drawn: people are held out, so their
// conversations are not independent.
func (p *Program) holdoutShares() (held, asked float64, ok bool) {
	held = float64(p.holdSlots) / routing.Slots
	asked = (1 - held) * float64(p.sampleSlots) / routing.Slots
	return held, asked, held > 0 && asked > 0 && p.Campaign.Sampling.Unit != UnitConversation
}

// ChecksSampleRatio says that there are groups whose sizes can be checked.
func (p *Program) ChecksSampleRatio() bool {
	_, _, holdout := p.holdoutShares()
	return holdout || len(p.Campaign.Arms) > 0
}

// comparisons are those that analysis declares.
func (a *aggregation) comparisons(r *Report) []ComparisonResult {
	var results []ComparisonResult
	switch a.p.Campaign.Analysis.Compare {
	case CompareArms:
		results = a.compareArms(r)
	case CompareHoldout:
		results = a.compareOutcomes(GroupAsked, GroupHoldout)
	case CompareBeforeAfter:
		results = a.compareTimes()
	case CompareDifferences:
		results = a.compareDifferences(r)
	}
	holm(results)
	for i := range results {
		a.judge(&results[i], r)
		a.checkReach(&results[i])
	}
	return results
}

func (a *aggregation) baseline() int {
	return slices.IndexFunc(a.p.arms, func(arm arm) bool { return arm.name == a.p.Campaign.Analysis.Baseline })
}

// comparison is one with its groups. Where one of them is hidden, or small, nothing
// of it is told: not even its n, from which that of a hidden group would follow.
func (a *aggregation) comparison(first, second string, values Comparison, least int, hidden bool) ComparisonResult {
	analysis := &a.p.Campaign.Analysis
	if hidden || least < smallestCell {
		values = noComparison(0, 0)
	}
	return ComparisonResult{Compare: analysis.Compare, Metric: analysis.Metric, First: first, Second: second, Values: values, least: least}
}

func (a *aggregation) compareArms(r *Report) []ComparisonResult {
	base := a.baseline()
	var results []ComparisonResult
	for i := range a.p.arms {
		if i == base {
			continue
		}
		first, second := a.p.arms[i].name, a.p.arms[base].name
		if a.p.Campaign.Analysis.Metric != MetricScore {
			results = append(results, a.compareOutcomes(first, second)...)
			continue
		}
		least := min(a.arms[i].n(), a.arms[base].n())
		result := a.comparison(first, second, a.p.compare(&a.arms[i], &a.arms[base]), least, r.Arms[i].Measure.Hidden || r.Arms[base].Measure.Hidden)
		if a.ratesDiffer(i, base) {
			result.Caveats = append(result.Caveats, CaveatSelectionRisk)
		}
		results = append(results, result)
	}
	return results
}

// ratesDiffer tests the response rates of two arms, at 5 %.
func (a *aggregation) ratesDiffer(i, j int) bool {
	if max(i, j) >= len(a.data.Arms) {
		return false
	}
	x, y := a.data.Arms[i], a.data.Arms[j]
	return ProportionDifference(x.Answered, x.Asked, y.Answered, y.Asked, 0.95).P < 0.05
}

func (a *aggregation) compareOutcomes(first, second string) []ComparisonResult {
	metric := a.p.Campaign.Analysis.Metric
	find := func(group string) Outcome {
		for _, o := range a.data.Outcomes {
			if o.Metric == metric && o.Group == group {
				return o
			}
		}
		return Outcome{}
	}
	x, y := find(first), find(second)
	few := small(x.Happened) || small(y.Happened) || small(x.N-x.Happened) || small(y.N-y.Happened)
	values := ProportionDifference(x.Happened, x.N, y.Happened, y.N, a.p.Confidence())
	return []ComparisonResult{a.comparison(first, second, values, min(x.N, y.N), few)}
}

// split is what all arms have before and after the change.
func (a *aggregation) split() (before, after tallied) {
	after = a.all
	for i := range a.before {
		before.add(&a.before[i])
	}
	for i := range after {
		after[i] -= before[i]
	}
	return before, after
}

func (a *aggregation) compareTimes() []ComparisonResult {
	before, after := a.split()
	result := a.comparison(GroupAfter, GroupBefore, a.p.compare(&after, &before), min(after.n(), before.n()), false)
	result.Caveats = append(result.Caveats, CaveatObservational)
	return []ComparisonResult{result}
}

// compareDifferences is of NPS by its own formula; of other measures from the
// intervals of the two comparisons, whose variances add up.
func (a *aggregation) compareDifferences(r *Report) []ComparisonResult {
	base := a.baseline()
	var results []ComparisonResult
	for i := range a.p.arms {
		if i == base {
			continue
		}
		afterArm, afterBase := a.arms[i], a.arms[base]
		for k := range afterArm {
			afterArm[k] -= a.before[i][k]
			afterBase[k] -= a.before[base][k]
		}
		var values Comparison
		if a.p.Campaign.Type == NetPromoter {
			values = NPSDifferenceInDifferences(afterArm.counts(), a.before[i].counts(), afterBase.counts(), a.before[base].counts(), a.p.Confidence())
		} else {
			values = a.differences(a.p.compare(&afterArm, &a.before[i]), a.p.compare(&afterBase, &a.before[base]))
		}
		least := min(afterArm.n(), a.before[i].n(), afterBase.n(), a.before[base].n())
		result := a.comparison(a.p.arms[i].name, a.p.arms[base].name, values, least, r.Arms[i].Measure.Hidden || r.Arms[base].Measure.Hidden)
		result.Caveats = append(result.Caveats, CaveatObservational, CaveatParallelTrends)
		results = append(results, result)
	}
	return results
}

// differences subtracts two independent differences; the half-widths of their
// intervals add as squares (a normal approximation).
func (a *aggregation) differences(x, y Comparison) Comparison {
	if x.NoData() || y.NoData() {
		return noComparison(0, 0)
	}
	z := zQuantile(a.p.Confidence())
	se := math.Hypot(x.High-x.Low, y.High-y.Low) / (2 * z)
	return normalComparison(x.Difference-y.Difference, x.Observed-y.Observed, se, z, x.N1+x.N2, y.N1+y.N2)
}

// holm adjusts the p-values of several comparisons (Holm 1979): the smallest
// times k, the next times k − 1 …, never falling.
func holm(results []ComparisonResult) {
	order := make([]int, 0, len(results))
	for i := range results {
		if !math.IsNaN(results[i].Values.P) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int {
		if results[i].Values.P < results[j].Values.P {
			return -1
		}
		return 1
	})
	largest := 0.0
	for rank, i := range order {
		largest = math.Max(largest, math.Min(1, results[i].Values.P*float64(len(order)-rank)))
		results[i].AdjustedP = known(largest)
	}
}

// judge gives the verdict.
func (a *aggregation) judge(c *ComparisonResult, r *Report) {
	if !r.Final { // who sees a p-value every day stops on the day that suits them
		c.Values.Z, c.Values.P, c.AdjustedP = math.NaN(), math.NaN(), nil
	}
	switch {
	case r.SampleRatio != nil && !r.SampleRatio.OK:
		c.Verdict = VerdictWithheld
		c.Caveats = append(c.Caveats, CaveatSampleRatio)
	case !r.Final:
		c.Verdict = VerdictPending
	case c.least < a.p.Campaign.Analysis.MinPerGroup || c.Values.NoData():
		c.Verdict = VerdictInconclusive
		c.Caveats = append(c.Caveats, CaveatTooFew)
	case c.AdjustedP == nil || *c.AdjustedP >= 1-a.p.Confidence():
		c.Verdict = VerdictInconclusive
	case c.Values.Difference > 0:
		c.Verdict = VerdictHigher
	default:
		c.Verdict = VerdictLower
	}
}
