package survey

import (
	"math"
	"time"
)

// Method names how an interval was made.
type Method string

const (
	MethodAdjustedWald Method = "AdjustedWald3" // NPS, see NPS
	MethodWilson       Method = "Wilson"        // CSAT, see Wilson
	MethodStudent      Method = "StudentT"      // CES, see Mean
)

// Measure is a campaign's number of a group of answers: the NPS in points, the
// share of satisfied in percent, or the mean effort, with its interval. Hidden:
// fewer than five people answered, so nothing is told, not even how many.
// Without data, or hidden, the numbers are NaN, in JSON null.
type Measure struct {
	N      int
	Hidden bool
	Value  float64
	Low    float64
	High   float64
	Method Method
}

// NoData says that there is nothing to show.
func (m Measure) NoData() bool { return m.Hidden || m.N == 0 }

// tallied are answers by score, from the scale's lowest on. 11 is the longest scale.
type tallied [11]int

func (t *tallied) n() int {
	total := 0
	for _, count := range t {
		total += count
	}
	return total
}

func (t *tallied) add(o *tallied) {
	for i := range t {
		t[i] += o[i]
	}
}

// counts are the three groups of an NPS.
func (t *tallied) counts() Counts {
	var c Counts
	for score, count := range t {
		switch {
		case score >= 9:
			c.Promoters += count
		case score >= 7:
			c.Passives += count
		default:
			c.Detractors += count
		}
	}
	return c
}

// satisfied is how many are in the top box of a CSAT.
func (p *Program) satisfied(t *tallied) int {
	x := 0
	for i := range p.scale.Len() {
		if p.scale.Min+i >= p.Campaign.TopBoxFrom {
			x += t[i]
		}
	}
	return x
}

// measure is the campaign's number of a group. With fewer than five answers it
// is hidden.
func (p *Program) measure(t *tallied) Measure {
	nan := math.NaN()
	m := Measure{N: t.n(), Value: nan, Low: nan, High: nan}
	switch p.Campaign.Type {
	case NetPromoter:
		m.Method = MethodAdjustedWald
	case CustomerSatisfaction:
		m.Method = MethodWilson
	default:
		m.Method = MethodStudent
	}
	if small(m.N) {
		m.N, m.Hidden = 0, true
	}
	if m.NoData() {
		return m
	}
	switch m.Method {
	case MethodAdjustedWald:
		c := t.counts()
		e := NPS(c.Promoters, c.Passives, c.Detractors, p.Confidence())
		m.Value, m.Low, m.High = e.Score, e.Low, e.High
	case MethodWilson:
		x := p.satisfied(t)
		i := Wilson(x, m.N, p.Confidence())
		m.Value, m.Low, m.High = 100*float64(x)/float64(m.N), 100*i.Low, 100*i.High
	default:
		e := Mean(t[:p.scale.Len()], p.scale.Min, p.Confidence())
		m.Value, m.Low, m.High = e.Mean, e.Low, e.High
	}
	return m
}

// compare is the difference of the campaign's number between two groups.
func (p *Program) compare(a, b *tallied) Comparison {
	switch p.Campaign.Type {
	case NetPromoter:
		return NPSDifference(a.counts(), b.counts(), p.Confidence())
	case CustomerSatisfaction:
		return ProportionDifference(p.satisfied(a), a.n(), p.satisfied(b), b.n(), p.Confidence())
	}
	length := p.scale.Len()
	return MeanDifference(Mean(a[:length], p.scale.Min, p.Confidence()), Mean(b[:length], p.scale.Min, p.Confidence()), p.Confidence())
}

// Forecast is what a campaign can be expected to learn.
type Forecast struct {
	Invitations int `json:"invitations"`
	Responses   int `json:"responses"`
	// Planned: how many contacts there will be is not known, so these are the answers
	// that the campaign plans for, with what they would tell.
	Planned bool `json:"planned,omitempty"`
	// HalfWidth of the interval to expect, in points of the measure.
	HalfWidth float64 `json:"halfWidth"`
	// Detectable is the smallest true difference between two groups of equal
	// size that would be found four times in five; 0 without a comparison.
	Detectable float64 `json:"detectable,omitempty"`
}

// typicalSD is the standard deviation of one answer that a forecast reckons with,
// in points of the measure: an NPS variance of 0.6, 80 % satisfied, and 1.5 points
// of effort are usual.
func (p *Program) typicalSD() float64 {
	switch p.Campaign.Type {
	case NetPromoter:
		return 100 * math.Sqrt(0.6)
	case CustomerSatisfaction:
		return 100 * math.Sqrt(0.8*0.2)
	}
	return 1.5
}

// Forecast reckons, before the start, with so many eligible contacts and a
// response rate (0 to 1): the number that a manager should see before anybody
// is asked.
func (p *Program) Forecast(eligible int, responseRate float64) Forecast {
	invited := float64(eligible) * (1 - float64(p.holdSlots)/1e4) * float64(p.sampleSlots) / 1e4
	f := Forecast{Invitations: int(invited), Responses: int(invited * responseRate)}
	if most := p.Campaign.Stop.MaxResponses; most > 0 {
		f.Responses = min(f.Responses, most)
	}
	p.precision(&f)
	return f
}

// Plan is the forecast where nothing is known of how many contacts there will be
// (another system triggers it, the channels are new): of the answers that the
// campaign plans for, which are stop.maxResponses, or else analysis.minPerGroup in
// each group that is compared, and of so many questions as they need at a response
// rate (above 0, to 1).
func (p *Program) Plan(responseRate float64) Forecast {
	answers := p.Campaign.Stop.MaxResponses
	if answers == 0 {
		answers = p.Campaign.Analysis.MinPerGroup * p.groupsOfAnswers()
	}
	f := Forecast{Planned: true, Responses: answers, Invitations: int(math.Ceil(float64(answers) / responseRate))}
	p.precision(&f)
	return f
}

// groupsOfAnswers is in how many groups answers are compared; of a holdout there
// are none.
func (p *Program) groupsOfAnswers() int {
	switch p.Campaign.Analysis.Compare {
	case CompareArms:
		return len(p.arms)
	case CompareBeforeAfter:
		return 2
	case CompareDifferences:
		return 2 * len(p.arms)
	}
	return 1
}

// precision is what a forecast's responses tell.
func (p *Program) precision(f *Forecast) {
	if f.Responses < 1 {
		return
	}
	sd, n := p.typicalSD(), float64(f.Responses)
	z := zQuantile(p.Confidence())
	f.HalfWidth = z * sd / math.Sqrt(n)
	if p.Campaign.Analysis.Compare != CompareNone && p.Campaign.Analysis.Metric == MetricScore {
		const power = 0.8
		f.Detectable = (z + normalQuantile(power)) * sd * math.Sqrt(2/(n/2))
	}
}

// Point is the measure of a stretch of time, From ≤ t < To, of at least five answers.
type Point struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Measure Measure   `json:"measure"`
}
