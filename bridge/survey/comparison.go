package survey

import "math"

// Comparison is the difference of two groups, first minus second, in points
// (NPS points, or percentage points of a proportion), −200 to 200. Without data
// in either group everything is NaN, in JSON null.
type Comparison struct {
	// Difference is the centre of the interval. Of two NPS it is the difference
	// of the adjusted scores (see NPS), and Observed that of the scores shown.
	Difference float64
	Observed   float64
	Low, High  float64
	Z          float64 // of the null hypothesis that there is no difference
	P          float64 // two-sided
	N1, N2     int
}

// NoData says that a group is empty.
func (c Comparison) NoData() bool { return math.IsNaN(c.Difference) }

func noComparison(n1, n2 int) Comparison {
	nan := math.NaN()
	return Comparison{nan, nan, nan, nan, nan, nan, n1, n2}
}

// normalComparison is of two or more independent normal estimates: the
// difference and its standard error in points.
func normalComparison(difference, observed, se, z float64, n1, n2 int) Comparison {
	score := difference / se
	if se == 0 {
		score = math.NaN()
	}
	return Comparison{
		Difference: difference, Observed: observed, Z: score, P: twoSided(score), N1: n1, N2: n2,
		Low: math.Max(-200, difference-z*se), High: math.Min(200, difference+z*se),
	}
}

// valid says that counts are a group with data.
func (c Counts) valid() bool {
	return c.Promoters >= 0 && c.Passives >= 0 && c.Detractors >= 0 && c.N() > 0
}

// NPSDifference is NPS(a) − NPS(b) of two independent groups with the adjusted
// pieces of NPS: the difference of the adjusted scores ± z·√(SE₁² + SE₂²)
// (MeasuringU, "Statistical significance of two Net Promoter Scores").
func NPSDifference(a, b Counts, confidence float64) Comparison {
	z := zQuantile(confidence)
	if !a.valid() || !b.valid() || math.IsNaN(z) {
		return noComparison(a.N(), b.N())
	}
	centreA, seA := adjusted(a)
	centreB, seB := adjusted(b)
	return normalComparison(100*(centreA-centreB), rawNPS(a)-rawNPS(b), 100*math.Hypot(seA, seB), z, a.N(), b.N())
}

func rawNPS(c Counts) float64 { return 100 * float64(c.Promoters-c.Detractors) / float64(c.N()) }

// NPSDifferenceInDifferences is (after₁ − before₁) − (after₂ − before₂) of the
// scores of four independent groups; its variance is the sum of theirs. It
// answers a causal question only if both groups would have moved alike without
// the change, which no data of these four groups can show.
func NPSDifferenceInDifferences(after1, before1, after2, before2 Counts, confidence float64) Comparison {
	z := zQuantile(confidence)
	n1, n2 := after1.N()+before1.N(), after2.N()+before2.N()
	difference, observed, variance := 0.0, 0.0, 0.0
	for i, c := range []Counts{after1, before1, after2, before2} {
		if !c.valid() || math.IsNaN(z) {
			return noComparison(n1, n2)
		}
		sign := []float64{1, -1, -1, 1}[i]
		centre, se := adjusted(c)
		difference += sign * 100 * centre
		observed += sign * rawNPS(c)
		variance += 1e4 * se * se
	}
	return normalComparison(difference, observed, math.Sqrt(variance), z, n1, n2)
}

// ProportionDifference is x1/n1 − x2/n2 in percentage points: Newcombe's
// interval, and the p-value of the "N − 1" two-proportion z test, which
// Campbell (Statistics in Medicine 2007, 26:3661) recommends where each
// expected count is at least 1.
func ProportionDifference(x1, n1, x2, n2 int, confidence float64) Comparison {
	interval := Newcombe(x1, n1, x2, n2, confidence)
	if math.IsNaN(interval.Low) {
		return noComparison(n1, n2)
	}
	difference := float64(x1)/float64(n1) - float64(x2)/float64(n2)
	total := float64(n1 + n2)
	pooled := float64(x1+x2) / total
	z := difference * math.Sqrt((total-1)/total) / math.Sqrt(pooled*(1-pooled)*(1/float64(n1)+1/float64(n2)))
	return Comparison{
		Difference: 100 * difference, Observed: 100 * difference, Low: 100 * interval.Low, High: 100 * interval.High,
		Z: z, P: twoSided(z), N1: n1, N2: n2,
	}
}

// MeanDifference is the difference of two means in points of their scale, by
// Welch's t test: degrees of freedom by Welch and Satterthwaite.
func MeanDifference(a, b MeanEstimate, confidence float64) Comparison {
	if a.N < 2 || b.N < 2 || math.IsNaN(zQuantile(confidence)) {
		return noComparison(a.N, b.N)
	}
	va, vb := a.SD*a.SD/float64(a.N), b.SD*b.SD/float64(b.N)
	difference, se := a.Mean-b.Mean, math.Sqrt(va+vb)
	result := Comparison{Difference: difference, Observed: difference, N1: a.N, N2: b.N}
	if se == 0 {
		result.Low, result.High, result.Z, result.P = difference, difference, math.NaN(), math.NaN()
		return result
	}
	degrees := (va + vb) * (va + vb) / (va*va/float64(a.N-1) + vb*vb/float64(b.N-1))
	t := studentsT(degrees)
	half := t.Quantile(0.5+confidence/2) * se
	result.Low, result.High = difference-half, difference+half
	result.Z = difference / se
	result.P = math.Min(1, 2*t.Survival(math.Abs(result.Z)))
	return result
}

// SampleSize is how many answers give an interval of ± halfWidth: n =
// ⌈σ²z²/h²⌉. variance is that of one answer coded +1, 0, −1 (NPSVariance; 1 at
// worst, 0.6 is typical) or of a proportion, p(1 − p). halfWidth is on the same
// scale (0.05); from 1 on it is read as points (5 is ±5 points), since ±1 is the
// whole scale. 0 means that the question makes no sense (a width of 0, a
// variance below 0).
func SampleSize(variance, halfWidth, confidence float64) int {
	if halfWidth >= 1 {
		halfWidth /= 100
	}
	return sampleSize(variance*math.Pow(zQuantile(confidence), 2), halfWidth)
}

// SampleSizeDifference is how many answers each of two groups needs so that a
// true difference of delta is found with the given power (0.8: four times in
// five): n = ⌈(σ₁² + σ₂²)(z + z_power)²/Δ²⌉. Units as in SampleSize.
func SampleSizeDifference(variance1, variance2, delta, confidence, power float64) int {
	if delta >= 1 {
		delta /= 100
	}
	if !(power > 0 && power < 1) {
		return 0
	}
	return sampleSize((variance1+variance2)*math.Pow(zQuantile(confidence)+normalQuantile(power), 2), delta)
}

// sampleSize is ⌈product/width²⌉. A hair is taken off first, so that a result
// that is whole but for rounding (σ²z²/h² = 400.0000000001) is not one more.
func sampleSize(product, width float64) int {
	n := math.Ceil(product/(width*width) - 1e-9)
	if !(width > 0) || !(n > 0) || n > math.MaxInt32 {
		return 0
	}
	return int(n)
}
