package survey

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Row is one score as the store has it, with the attribution of the moment at
// which it was asked for. It says nothing of who gave it.
type Row struct {
	At time.Time
	// AskedAt is when it was asked for, by which it is before or after a change:
	// what somebody answers later is still about what was when they were asked.
	// Zero is as At.
	AskedAt  time.Time
	Score    int
	Arm      int
	Channel  string
	Language string
	// Late came after the reply window and is counted apart.
	Late      bool
	Completed bool
	// Asked and Answered have a bit for each question, the first the lowest.
	Asked, Answered uint8
}

// ArmCounts are how many were assigned to an arm (and sampled), asked, and
// answered in time.
type ArmCounts struct{ Assigned, Asked, Answered int }

// Drawn are contacts by what the draws made of them.
type Drawn struct{ Asked, HeldOut int }

// Outcome is what people did, whether they were asked or not.
type Outcome struct {
	Metric Metric
	// Group is the name of an arm, or one of the two below.
	Group string
	N     int
	// Happened is how many of N came again, opted out.
	Happened int
}

// Groups of a comparison with the holdout, and of before and after.
const (
	GroupAsked   = "asked" // assigned to be asked, whether that succeeded or not
	GroupHoldout = "holdout"
	GroupBefore  = "before"
	GroupAfter   = "after"
)

// Data is what a report is made of.
type Data struct {
	Now time.Time
	// Stopped: a stop rule has ended the campaign and the last replies are in.
	Stopped bool
	Funnel  Funnel
	Arms    []ArmCounts
	// Drawn are the contacts that were drawn to be asked and to be held out, for
	// the sample-ratio check of a holdout; nil: not known.
	Drawn    *Drawn
	Outcomes []Outcome
	Rows     iter.Seq[Row]
}

// Report is what a campaign found out. Nothing in it is about fewer than five
// people, and it names nobody.
type Report struct {
	Campaign   string    `json:"campaign"`
	Type       Type      `json:"type"`
	Scale      Scale     `json:"scale"`
	TopBoxFrom int       `json:"topBoxFrom,omitempty"`
	Confidence float64   `json:"confidence"`
	Window     Window    `json:"window"`
	UpdatedAt  time.Time `json:"updatedAt"`
	// Final: nothing more is counted.
	Final  bool    `json:"final"`
	Result Measure `json:"result"`
	// Counts of an NPS, nil if one of the three is under five.
	Counts *Counts `json:"counts,omitempty"`
	// ResponseRate of the asked, with its interval; nil before anybody was asked, and
	// where it would tell of one to four people.
	ResponseRate *Rate `json:"responseRate,omitempty"`
	// MayRepeat: contacts may have answered more than once. Intervals take answers
	// for independent, so they are too narrow then, the more the more often the same
	// people answered.
	MayRepeat bool `json:"mayRepeat,omitempty"`
	// Late is how many scores came too late to count.
	Late         Cell               `json:"late"`
	Distribution []Cell             `json:"distribution"` // by score
	Series       []Point            `json:"series,omitempty"`
	Arms         []GroupResult      `json:"arms,omitempty"`
	Channels     []GroupResult      `json:"channels,omitempty"`
	Languages    []GroupResult      `json:"languages,omitempty"`
	Comparisons  []ComparisonResult `json:"comparisons,omitempty"`
	// SufficientData: each compared group (without a comparison: all together) has
	// at least analysis.minPerGroup answers.
	SufficientData bool `json:"sufficientData"`
	// Throttled: cool-downs keep most of those that were drawn from being asked.
	Throttled   bool        `json:"throttled,omitempty"`
	SampleRatio *RatioCheck `json:"sampleRatio,omitempty"`
	Funnel      Funnel      `json:"funnel"`
	// Questions are all of the campaign, whatever was answered.
	Questions []QuestionRate `json:"questions,omitempty"`
}

// Rate is a share with its interval, 0 to 1.
type Rate struct {
	Happened int      `json:"happened"`
	N        int      `json:"n"`
	Value    float64  `json:"value"`
	Interval Interval `json:"interval"`
}

// rate is nil also where it would be about one to four people.
func rate(happened, n int, confidence float64) *Rate {
	if n == 0 || happened > n || small(happened) || small(n) {
		return nil
	}
	return &Rate{happened, n, float64(happened) / float64(n), Wilson(happened, n, confidence)}
}

// GroupResult is the measure of an arm, a channel or a language.
type GroupResult struct {
	Name    string  `json:"name"`
	Measure Measure `json:"measure"`
	// Assigned and ResponseRate are of arms; 0 and nil where they would tell of one
	// to four people.
	Assigned     int   `json:"assigned,omitempty"`
	ResponseRate *Rate `json:"responseRate,omitempty"`
}

// RatioCheck is the sample-ratio check on assigned contacts.
type RatioCheck struct {
	Chi2 float64 `json:"chi2"`
	P    float64 `json:"p"`
	// OK is false below SampleRatioAlpha: no verdict is given then.
	OK bool `json:"ok"`
}

// QuestionRate is how many of those who were asked a question answered it.
type QuestionRate struct {
	ID       string `json:"id"`
	Asked    Cell   `json:"asked"`
	Answered Cell   `json:"answered"`
}

// Aggregate makes the report of a campaign. It goes through the rows once and
// keeps counts only.
func Aggregate(p *Program, data Data) Report {
	a := aggregation{p: p, data: &data, days: map[int64]*tallied{}, arms: make([]tallied, len(p.arms)), before: make([]tallied, len(p.arms)),
		channels: map[string]*tallied{}, languages: map[string]*tallied{}}
	if data.Rows != nil {
		for row := range data.Rows {
			a.take(&row)
		}
	}
	return a.report()
}

// aggregation counts rows.
type aggregation struct {
	p         *Program
	data      *Data
	all       tallied
	late      int
	days      map[int64]*tallied // by days since 1970, UTC
	arms      []tallied
	before    []tallied // of arms, before Analysis.ChangedAt
	channels  map[string]*tallied
	languages map[string]*tallied
	asked     [MaxQuestions]int
	answered  [MaxQuestions]int
}

const secondsPerDay = 24 * 60 * 60

func (a *aggregation) take(row *Row) {
	if !a.p.scale.Contains(row.Score) {
		return
	}
	if row.Late {
		a.late++
		return
	}
	i := row.Score - a.p.scale.Min
	a.all[i]++
	counter(a.days, row.At.Unix()/secondsPerDay)[i]++
	counter(a.channels, row.Channel)[i]++
	counter(a.languages, row.Language)[i]++
	if row.Arm >= 0 && row.Arm < len(a.arms) {
		a.arms[row.Arm][i]++
		asked := row.AskedAt
		if asked.IsZero() {
			asked = row.At
		}
		if asked.Before(a.p.Campaign.Analysis.ChangedAt) {
			a.before[row.Arm][i]++
		}
	}
	for q := range len(a.p.questions) {
		a.asked[q] += int(row.Asked >> q & 1)
		a.answered[q] += int(row.Answered >> q & 1)
	}
}

func counter[K comparable](m map[K]*tallied, key K) *tallied {
	t := m[key]
	if t == nil {
		t = &tallied{}
		m[key] = t
	}
	return t
}

func (a *aggregation) report() Report {
	p, c := a.p, &a.p.Campaign
	r := Report{
		Campaign: p.Name, Type: c.Type, Scale: p.scale, TopBoxFrom: c.TopBoxFrom, Confidence: p.Confidence(), Window: c.Window,
		UpdatedAt: a.data.Now, Final: a.data.Stopped || p.Closed(a.data.Now), Result: p.measure(&a.all), Throttled: a.data.Funnel.MostlyThrottled(), MayRepeat: p.MayRepeat(),
	}
	r.Funnel = a.data.Funnel.Published()
	if r.Funnel.Shows("asked") && r.Funnel.Shows("answered") {
		r.ResponseRate = rate(r.Funnel.Answered, r.Funnel.Asked, p.Confidence())
	}
	r.Late = Cell{Name: "late", N: a.late, Hidden: small(a.late) || !r.Funnel.Shows("late")}
	if r.Late.Hidden {
		r.Late.N = 0
	}
	if counts := a.all.counts(); c.Type == NetPromoter && min(counts.Promoters, counts.Passives, counts.Detractors) >= smallestCell {
		r.Counts = &counts
	}
	if !r.Result.NoData() {
		r.Distribution = a.distribution()
		r.Series = a.series()
		r.Channels = a.groups(a.channels)
		r.Languages = a.groups(a.languages)
	}
	r.Questions = a.questions()
	r.Arms = a.armResults()
	r.SampleRatio = a.sampleRatio()
	r.Comparisons = a.comparisons(&r)
	r.SufficientData = a.sufficient(&r)
	return r
}

func (a *aggregation) sufficient(r *Report) bool {
	least := r.Result.N
	for i, c := range r.Comparisons {
		if i == 0 || c.least < least {
			least = c.least
		}
	}
	return least >= a.p.Campaign.Analysis.MinPerGroup
}

func (a *aggregation) distribution() []Cell {
	names := make([]string, a.p.scale.Len())
	for i := range names {
		names[i] = strconv.Itoa(a.p.scale.Min + i)
	}
	return cells(names, a.all[:len(names)])
}

// pointAnswers is how many answers a point of the series has on average at
// least: with fewer the line shows noise (an NPS of 20 answers is known to ± 34
// points), and a manager reads it as news.
const pointAnswers = 20

// bucketDays is how many days a point of the series has: a day, a week or four,
// so that there are no more than about 60 and that they have enough answers.
func bucketDays(w Window, days, answers int) int64 {
	length := int(w.End.Sub(w.Start) / (24 * time.Hour))
	for _, width := range []int{1, 7} {
		points := (days + width - 1) / width // answered ones, at most so many
		if length <= 60*width && answers >= pointAnswers*points {
			return int64(width)
		}
	}
	return 28
}

// series cuts time into buckets from the window's first day on, and joins
// neighbours until each has at least five answers.
func (a *aggregation) series() []Point {
	width := bucketDays(a.p.Campaign.Window, len(a.days), a.all.n())
	first := a.p.Campaign.Window.Start.Unix() / secondsPerDay
	buckets := map[int64]*tallied{}
	for day, t := range a.days {
		index := max(0, day-first) / width
		counter(buckets, index).add(t)
	}
	day := func(bucket int64) time.Time { return time.Unix((first+bucket*width)*secondsPerDay, 0).UTC() }
	var points []Point
	var tallies []tallied
	for _, index := range slices.Sorted(maps.Keys(buckets)) {
		last := len(points) - 1
		if last >= 0 && tallies[last].n() < smallestCell {
			tallies[last].add(buckets[index])
			points[last].To = day(index + 1)
			continue
		}
		points, tallies = append(points, Point{From: day(index), To: day(index + 1)}), append(tallies, *buckets[index])
	}
	if last := len(points) - 1; last > 0 && tallies[last].n() < smallestCell {
		tallies[last-1].add(&tallies[last])
		points[last-1].To = points[last].To
		points, tallies = points[:last], tallies[:last]
	}
	for i := range points {
		points[i].Measure = a.p.measure(&tallies[i])
	}
	return points
}

// groups are the measures by name; hidden as a table with a total is.
func (a *aggregation) groups(by map[string]*tallied) []GroupResult {
	names := slices.Sorted(maps.Keys(by))
	counts := make([]int, len(names))
	for i, name := range names {
		counts[i] = by[name].n()
	}
	results := make([]GroupResult, len(names))
	for i, hidden := range hide(counts) {
		results[i] = GroupResult{Name: names[i], Measure: a.p.measureUnless(hidden, by[names[i]])}
	}
	return results
}

// measureUnless is a measure that may have to be hidden to hide another.
func (p *Program) measureUnless(hidden bool, t *tallied) Measure {
	if hidden {
		m := p.measure(&tallied{})
		m.Hidden = true
		return m
	}
	return p.measure(t)
}

func (a *aggregation) armResults() []GroupResult {
	names := a.p.Arms()
	counts := make([]int, len(names))
	for i := range names {
		counts[i] = a.arms[i].n()
	}
	assigned := make([]int, len(names))
	for i := range min(len(names), len(a.data.Arms)) {
		assigned[i] = a.data.Arms[i].Assigned
	}
	few := hide(assigned)
	results := make([]GroupResult, len(names))
	for i, hidden := range hide(counts) {
		results[i] = GroupResult{Name: names[i], Measure: a.p.measureUnless(hidden, &a.arms[i])}
		if !few[i] {
			results[i].Assigned = assigned[i]
		}
		if i < len(a.data.Arms) && !hidden {
			results[i].ResponseRate = rate(a.data.Arms[i].Answered, a.data.Arms[i].Asked, a.p.Confidence())
		}
	}
	return results
}

func (a *aggregation) questions() []QuestionRate {
	rates := make([]QuestionRate, 0, len(a.p.questions))
	for q := range a.p.questions {
		// Those who did not answer are the other cell of a table with a total.
		answered := cells([]string{"answered", "silent"}, []int{a.answered[q], a.asked[q] - a.answered[q]})[0]
		asked := cells([]string{"asked"}, []int{a.asked[q]})[0]
		rates = append(rates, QuestionRate{ID: a.p.questions[q].spec.ID, Asked: asked, Answered: answered})
	}
	return rates
}
