package conditions

import (
	"math"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// fewest is the smallest number of people that a status tells of: who may read
// resources often knows whom a campaign asked.
const fewest = 5

// numbers puts what the store counted into a status, decimals as strings.
func numbers(status *v1alpha1.SurveyCampaignStatus, s *survey.Summary, o *v1alpha1.SurveyCampaign) {
	if status.StartedAt == nil { // once set it stays: the analysis is fixed by it
		status.StartedAt = kept(s.StartedAt)
	}
	status.EndedAt, status.ResultHash, status.UpdatedAt = kept(s.EndedAt), s.FrozenHash, kept(s.UpdatedAt)
	status.Forecast = nil
	decimals := decimalsOf(o)
	if f := s.Forecast; f != nil && status.StartedAt == nil {
		status.Forecast = &v1alpha1.SurveyForecast{Invitations: int64(f.Invitations), Responses: int64(f.Responses), Planned: f.Planned, HalfWidth: above0(f.HalfWidth, decimals), Detectable: above0(f.Detectable, decimals)}
	}
	status.Funnel = funnel(&s.Funnel)
	status.Result = result(s, o, decimals)
	status.Arms = nil
	for _, a := range s.Arms {
		status.Arms = append(status.Arms, v1alpha1.SurveyArmResult{
			Name: a.Name, Assigned: drawn(a.Assigned), N: people(a.Measure), ResponseRate: rate(a.ResponseRate),
			Score: decimal(a.Measure.Value, decimals), Low: decimal(a.Measure.Low, decimals), High: decimal(a.Measure.High, decimals),
		})
	}
	status.Comparison, status.FurtherComparisons = nil, nil
	for i, c := range s.Comparisons {
		made := comparison(c, s.SampleRatio, decimals)
		if i == 0 {
			status.Comparison = &made
		} else if i <= 8 {
			status.FurtherComparisons = append(status.FurtherComparisons, made)
		}
	}
}

// decimalsOf the score: an effort is a mean of 1 to 7, the others go to 100.
func decimalsOf(o *v1alpha1.SurveyCampaign) int {
	if o.Spec.Type == v1alpha1.SurveyType(survey.CustomerEffort) {
		return 2
	}
	return 1
}

func result(s *survey.Summary, o *v1alpha1.SurveyCampaign, decimals int) *v1alpha1.SurveyResult {
	r := &v1alpha1.SurveyResult{
		N: people(s.Result), Method: string(s.Result.Method), Confidence: survey.DefaultConfidence, ResponseRate: rate(s.ResponseRate),
		Score: decimal(s.Result.Value, decimals), Low: decimal(s.Result.Low, decimals), High: decimal(s.Result.High, decimals),
	}
	if a := o.Spec.Analysis; a != nil && a.Confidence != 0 {
		r.Confidence = int32(a.Confidence)
	}
	if c := s.Counts; c != nil {
		r.Promoters, r.Passives, r.Detractors = count(c.Promoters), count(c.Passives), count(c.Detractors)
	}
	return r
}

// funnel takes what the store publishes of it, and of that nothing of 1 to 4: a
// status that an older store told is no different.
func funnel(f *survey.Funnel) *v1alpha1.SurveyFunnel {
	cell := func(name string, n int) *int64 {
		if !f.Shows(name) {
			return nil
		}
		return count(n)
	}
	return &v1alpha1.SurveyFunnel{
		Triggered: cell("triggered", f.Triggered), Eligible: cell("eligible", f.Eligible), HeldOut: cell("heldOut", f.HeldOut), SampledIn: cell("sampled", f.Sampled),
		Throttled: cell("throttled", f.Throttled), Pending: cell("pending", f.Pending), Sent: cell("asked", f.Asked), Delivered: cell("delivered", f.Delivered),
		Answered: cell("answered", f.Answered), Completed: cell("completed", f.Completed), Late: cell("late", f.Late), OptOut: cell("optedOut", f.OptedOut),
		Clarified: cell("clarified", f.Clarified), Unparsed: cell("unparsed", f.Unparsed),
	}
}

func comparison(c survey.ComparisonResult, ratio *survey.RatioCheck, decimals int) v1alpha1.SurveyComparison {
	if c.Metric != survey.MetricScore {
		decimals = 1 // percentage points
	}
	made := v1alpha1.SurveyComparison{
		Compare: v1alpha1.SurveyCompare(c.Compare), Metric: v1alpha1.SurveyMetric(c.Metric), First: c.First, Second: c.Second, Verdict: string(c.Verdict),
		Difference: decimal(c.Values.Difference, decimals), Low: decimal(c.Values.Low, decimals), High: decimal(c.Values.High, decimals), P: probability(c.Values.P),
	}
	if c.AdjustedP != nil {
		made.P = probability(*c.AdjustedP)
	}
	if ratio != nil {
		made.SRMP = probability(ratio.P)
	}
	for _, caveat := range c.Caveats {
		made.Caveats = append(made.Caveats, string(caveat))
		made.Observational = made.Observational || caveat == survey.CaveatObservational
	}
	return made
}

// count is left out where it is of 1 to 4.
func count(n int) *int64 {
	if n > 0 && n < fewest {
		return nil
	}
	wide := int64(n)
	return &wide
}

// drawn is how many an arm has; left out where it is hidden, which is 0 in a report.
func drawn(n int) *int64 {
	if n == 0 {
		return nil
	}
	return count(n)
}

// people is how many a measure is of; nil where that is hidden.
func people(m survey.Measure) *int64 {
	if m.Hidden {
		return nil
	}
	return count(m.N)
}

// rate is a share in percent; empty where it would tell of 1 to 4.
func rate(r *survey.Rate) string {
	if r == nil || count(r.Happened) == nil || count(r.N) == nil {
		return ""
	}
	return decimal(100*r.Value, 1) + "%"
}

// decimal is a number for people; empty for one that is not known.
func decimal(v float64, decimals int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if parsed, err := strconv.ParseFloat(text, 64); err == nil && parsed == 0 {
		return strconv.FormatFloat(0, 'f', decimals, 64) // no -0.0
	}
	return text
}

// above0 is a number where 0 means that there is none.
func above0(v float64, decimals int) string {
	if v <= 0 {
		return ""
	}
	return decimal(v, decimals)
}

// probability is a p-value: three decimals, the smallest of which is told.
func probability(p float64) string {
	if p < 0.001 {
		return "<0.001"
	}
	return decimal(p, 3)
}

// kept is a time as status keeps it; nil for none.
func kept(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	at := metav1.NewTime(t.Truncate(time.Second))
	return &at
}
