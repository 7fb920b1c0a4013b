package survey

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a confidence interval of a proportion, 0 to 1. Both ends are NaN
// when there is no data: nothing is known then, which is not the same as 0.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Estimate is a Net Promoter Score with its interval in NPS points, −100 to
// 100. With N = 0 there is no data: Score, Low and High are NaN, in JSON null.
type Estimate struct {
	Score float64 `json:"score"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	N     int     `json:"n"`
}

// NoData says that nobody has answered, so that there is no score to show.
func (e Estimate) NoData() bool { return e.N == 0 }

// HalfWidth of the interval, in points.
func (e Estimate) HalfWidth() float64 { return (e.High - e.Low) / 2 }

// Counts are the answers to an NPS question: promoters gave 9 or 10, passives 7
// or 8, detractors 0 to 6.
type Counts struct {
	Promoters  int `json:"promoters"`
	Passives   int `json:"passives"`
	Detractors int `json:"detractors"`
}

// N is how many answered.
func (c Counts) N() int { return c.Promoters + c.Passives + c.Detractors }

// noEstimate is what is known without data.
func noEstimate() Estimate {
	nan := math.NaN()
	return Estimate{Score: nan, Low: nan, High: nan}
}

// zQuantile is the two-sided standard normal quantile: Φ⁻¹(1 − α/2), which is
// 1.959964 for a confidence of 0.95. A confidence outside (0, 1) is NaN.
func zQuantile(confidence float64) float64 {
	if !(confidence > 0 && confidence < 1) {
		return math.NaN()
	}
	return normalQuantile(0.5 + confidence/2)
}

// twoSided is the p-value of a standard normal z. Survival keeps its precision
// in the tail, where 1 − Φ(z) is rounding noise.
func twoSided(z float64) float64 {
	if math.IsNaN(z) {
		return math.NaN()
	}
	return math.Min(1, 2*distuv.UnitNormal.Survival(math.Abs(z)))
}

// moments are the mean of answers coded +1, 0, −1 and the variance of one
// answer, p + d − (p − d)²: the covariance of p̂ and d̂ is −pd/n, they are not
// independent (R package NPS, function npvar; stats.stackexchange 18609).
// Taking them as independent gives intervals that cover 86 to 89 % of the time
// instead of 95 %. The divisor is n, as in that package.
func moments(promoters, passives, detractors float64) (mean, variance float64) {
	n := promoters + passives + detractors
	p, d := promoters/n, detractors/n
	mean = p - d
	return mean, math.Max(0, p+d-mean*mean)
}

// NPSVariance is the variance of one answer coded +1, 0, −1; at most 1. NaN
// without data.
func NPSVariance(c Counts) float64 {
	if c.N() <= 0 {
		return math.NaN()
	}
	_, variance := moments(float64(c.Promoters), float64(c.Passives), float64(c.Detractors))
	return variance
}

// adjusted is the centre and the standard error of the "(3,T)" adjustment of
// Rocks (The American Statistician, 2016), which MeasuringU recommends: three
// answers that nobody gave are added, ¾ promoter, 1½ passive, ¾ detractor. The
// plain (Wald) interval collapses to nothing when all answers are in one class
// and covers 90 % instead of 95 % at n = 50; this one covers 95 to 96 %.
func adjusted(c Counts) (centre, standardError float64) {
	centre, variance := moments(float64(c.Promoters)+0.75, float64(c.Passives)+1.5, float64(c.Detractors)+0.75)
	return centre, math.Sqrt(variance / (float64(c.N()) + 3))
}

// NPS is the Net Promoter Score, as it is, with an adjusted Wald interval (see
// the method "(3,T)" above): 100·(promoters − detractors)/n. At extreme scores
// of few answers the raw score may lie outside its interval, which is pulled
// towards 0. Negative counts, and a confidence outside (0, 1), are no data.
func NPS(promoters, passives, detractors int, confidence float64) Estimate {
	c := Counts{promoters, passives, detractors}
	z := zQuantile(confidence)
	if promoters < 0 || passives < 0 || detractors < 0 || c.N() == 0 || math.IsNaN(z) {
		return noEstimate()
	}
	centre, se := adjusted(c)
	return Estimate{
		Score: 100 * float64(promoters-detractors) / float64(c.N()),
		Low:   100 * math.Max(-1, centre-z*se),
		High:  100 * math.Min(1, centre+z*se),
		N:     c.N(),
	}
}

// Wilson is the score interval of successes among n, without continuity
// correction (Newcombe 1998, Statistics in Medicine 17:857, method 3):
// (x + z²/2)/(n + z²) ± z/(n + z²)·√(x(n − x)/n + z²/4).
func Wilson(successes, n int, confidence float64) Interval {
	z := zQuantile(confidence)
	if n <= 0 || successes < 0 || successes > n || math.IsNaN(z) {
		return Interval{math.NaN(), math.NaN()}
	}
	x, total, z2 := float64(successes), float64(n), z*z
	centre := (x + z2/2) / (total + z2)
	half := z / (total + z2) * math.Sqrt(x*(total-x)/total+z2/4)
	interval := Interval{math.Max(0, centre-half), math.Min(1, centre+half)}
	// At the ends the formula gives exactly 0 and 1; rounding must not.
	if successes == 0 {
		interval.Low = 0
	}
	if successes == n {
		interval.High = 1
	}
	return interval
}

// Newcombe is the interval of the difference of two independent proportions
// x1/n1 − x2/n2 by the hybrid score method (Newcombe 1998, Statistics in
// Medicine 17:873, method 10), made of two Wilson intervals; −1 to 1.
func Newcombe(x1, n1, x2, n2 int, confidence float64) Interval {
	a, b := Wilson(x1, n1, confidence), Wilson(x2, n2, confidence)
	if math.IsNaN(a.Low) || math.IsNaN(b.Low) {
		return Interval{math.NaN(), math.NaN()}
	}
	p1, p2 := float64(x1)/float64(n1), float64(x2)/float64(n2)
	delta := p1 - p2
	return Interval{
		Low:  math.Max(-1, delta-math.Hypot(p1-a.Low, b.High-p2)),
		High: math.Min(1, delta+math.Hypot(a.High-p1, p2-b.Low)),
	}
}

// MeanEstimate is the mean of scores on a scale with its t interval, in points
// of the scale. With N = 0 all is NaN; with N = 1 the mean is known and its
// precision is not, so Low and High are NaN.
type MeanEstimate struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	SD   float64 `json:"sd"` // of one answer, divisor n − 1
	N    int     `json:"n"`
}

// NoData says that nobody has answered.
func (e MeanEstimate) NoData() bool { return e.N == 0 }

// Mean is the mean of a CES (or any scale): mean ± t(n−1)·s/√n with Student's t.
// counts[i] is how often the score first + i was given.
func Mean(counts []int, first int, confidence float64) MeanEstimate {
	nan := math.NaN()
	none := MeanEstimate{nan, nan, nan, nan, 0}
	n, sum := 0, 0.0
	for i, count := range counts {
		if count < 0 {
			return none
		}
		n += count
		sum += float64(count) * float64(first+i)
	}
	if n == 0 {
		return none
	}
	mean, squares := sum/float64(n), 0.0
	for i, count := range counts {
		squares += float64(count) * math.Pow(float64(first+i)-mean, 2)
	}
	if n == 1 || math.IsNaN(zQuantile(confidence)) {
		return MeanEstimate{mean, nan, nan, nan, n}
	}
	sd := math.Sqrt(squares / float64(n-1))
	half := tQuantile(confidence, n-1) * sd / math.Sqrt(float64(n))
	return MeanEstimate{mean, mean - half, mean + half, sd, n}
}

// tQuantile is the two-sided quantile of Student's t.
func tQuantile(confidence float64, degrees int) float64 {
	return studentsT(float64(degrees)).Quantile(0.5 + confidence/2)
}

// SampleRatio tests whether assignments fell as the weights say: χ² = Σ (observed −
// expected)²/expected on k − 1 degrees of freedom and its p-value. It is for
// *assigned* contacts, never for answers: who answers may differ by arm, who
// is assigned may not. A p below 0.001 means that something is broken between
// assignment and count, and no comparison may be trusted. An arm of weight 0
// that has contacts is p = 0; no data, or less than two arms, is NaN.
func SampleRatio(observed []int, weights []float64) (chi2, p float64) {
	total, weight, arms := 0, 0.0, 0
	for i, count := range observed {
		if i >= len(weights) || count < 0 || !(weights[i] >= 0) || math.IsInf(weights[i], 1) {
			return math.NaN(), math.NaN()
		}
		total += count
		weight += weights[i]
		if weights[i] > 0 {
			arms++
		}
	}
	if len(observed) != len(weights) || total == 0 || arms < 2 {
		return math.NaN(), math.NaN()
	}
	for i, count := range observed {
		if weights[i] == 0 {
			if count > 0 {
				return math.Inf(1), 0
			}
			continue
		}
		expected := float64(total) * weights[i] / weight
		chi2 += (float64(count) - expected) * (float64(count) - expected) / expected
	}
	return chi2, distuv.ChiSquared{K: float64(arms - 1)}.Survival(chi2)
}

// SampleRatioAlpha is the p-value below which a sample ratio is a mismatch: the
// usual threshold of experiment platforms, strict because the test is repeated.
const SampleRatioAlpha = 0.001

func normalQuantile(p float64) float64 { return distuv.UnitNormal.Quantile(p) }

func studentsT(degrees float64) distuv.StudentsT {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: degrees}
}
