package survey

import (
	"math"
	"slices"
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
	// CaveatObservational: nobody was assigned by lot; what differs may have
	// another cause.
	CaveatObservational Caveat = "Observational"
	// CaveatSelectionRisk: the groups answered at different rates, so the
	// scores may be of different kinds of people.
	CaveatSelectionRisk Caveat = "SelectionRisk"
	// CaveatTooFew: a group has fewer answers than analysis.minPerGroup.
	CaveatTooFew Caveat = "TooFew"
	// CaveatSampleRatio: see RatioCheck.
	CaveatSampleRatio Caveat = "SampleRatioMismatch"
	// CaveatParallelTrends: the difference is a cause only if both arms would
	// have moved alike.
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
	// Holm; the verdict goes by it. Nil without data.
	AdjustedP *float64 `json:"adjustedP"`
	Verdict   Verdict  `json:"verdict"`
	Caveats   []Caveat `json:"caveats,omitempty"`
}

// sampleRatio checks the assignment to arms.
func (a *aggregation) sampleRatio() *RatioCheck {
	if len(a.p.Campaign.Arms) == 0 || len(a.data.Arms) != len(a.p.arms) {
		return nil
	}
	observed, weights := make([]int, len(a.p.arms)), make([]float64, len(a.p.arms))
	for i := range observed {
		observed[i], weights[i] = a.data.Arms[i].Assigned, float64(a.p.weights[i])
	}
	chi2, p := SampleRatio(observed, weights)
	if math.IsNaN(p) {
		return nil
	}
	return &RatioCheck{Chi2: chi2, P: p, OK: p >= SampleRatioAlpha}
}

// comparisons are those that analysis declares.
func (a *aggregation) comparisons(r *Report) []ComparisonResult {
	var results []ComparisonResult
	switch a.p.Campaign.Analysis.Compare {
	case CompareArms:
		results = a.compareArms()
	case CompareHoldout:
		results = a.compareOutcomes(GroupAsked, GroupHoldout)
	case CompareBeforeAfter:
		results = a.compareTimes()
	case CompareDifferences:
		results = a.compareDifferences()
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

// comparison is one with its groups; of groups under five nothing is told.
func (a *aggregation) comparison(first, second string, values Comparison) ComparisonResult {
	analysis := &a.p.Campaign.Analysis
	if values.N1 < smallestCell || values.N2 < smallestCell {
		values = noComparison(0, 0)
	}
	return ComparisonResult{Compare: analysis.Compare, Metric: analysis.Metric, First: first, Second: second, Values: values}
}

func (a *aggregation) compareArms() []ComparisonResult {
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
		result := a.comparison(first, second, a.p.compare(&a.arms[i], &a.arms[base]))
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
	return []ComparisonResult{a.comparison(first, second, ProportionDifference(x.Happened, x.N, y.Happened, y.N, a.p.Confidence()))}
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
	result := a.comparison(GroupAfter, GroupBefore, a.p.compare(&after, &before))
	result.Caveats = append(result.Caveats, CaveatObservational)
	return []ComparisonResult{result}
}

// compareDifferences is of NPS by its own formula; of other measures from the
// intervals of the two comparisons, whose variances add up.
func (a *aggregation) compareDifferences() []ComparisonResult {
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
		if smallest := min(afterArm.n(), a.before[i].n(), afterBase.n(), a.before[base].n()); smallest < smallestCell {
			values = noComparison(0, 0)
		}
		result := a.comparison(a.p.arms[i].name, a.p.arms[base].name, values)
		result.Caveats = append(result.Caveats, CaveatParallelTrends)
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
	least := min(c.Values.N1, c.Values.N2)
	switch {
	case r.SampleRatio != nil && !r.SampleRatio.OK:
		c.Verdict = VerdictWithheld
		c.Caveats = append(c.Caveats, CaveatSampleRatio)
	case !r.Final:
		c.Verdict = VerdictPending
	case least < a.p.Campaign.Analysis.MinPerGroup:
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
