package report

import (
	"fmt"
	"html/template"
	"math"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// span is the part of a unit's range that intervals need, rounded outwards, and at
// least a quarter of what is possible: a plot that fills itself with noise
// misleads.
func (u unit) span(measures []survey.Measure) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, m := range measures {
		for _, v := range []float64{m.Low, m.Value, m.High} {
			if !math.IsNaN(v) {
				low, high = math.Min(low, v), math.Max(high, v)
			}
		}
	}
	if low > high {
		return u.low, u.high
	}
	if least := (u.high - u.low) / 4; high-low < least {
		middle := (low + high) / 2
		low, high = middle-least/2, middle+least/2
	}
	step := niceStep((u.high - u.low) / 20)
	low, high = math.Floor(low/step)*step, math.Ceil(high/step)*step
	return math.Max(u.low, low), math.Min(u.high, high)
}

// seriesPlot is the measure over time: a line, and its interval as a band.
func seriesPlot(r *survey.Report, u unit) template.HTML {
	const height, left, right, top, bottom = 280.0, 56.0, 12.0, 12.0, 34.0
	s := newSVG("plot-series", u.name+" over time", fmt.Sprintf("%d points from %s to %s, each with its %s interval", len(r.Series), date(r.Series[0].From), date(r.Series[len(r.Series)-1].To), confidence(r)), height)
	measures := make([]survey.Measure, len(r.Series))
	for i, p := range r.Series {
		measures[i] = p.Measure
	}
	low, high := u.span(measures)
	y := axis{low, high, height - bottom, top}
	first, last := r.Series[0].From, r.Series[len(r.Series)-1].To
	x := axis{float64(first.Unix()), float64(last.Unix()), left, plotWidth - right}
	for _, v := range y.ticks(7) {
		class := "grid"
		if v == 0 {
			class = "base"
		}
		s.line(class, left, y.at(v), plotWidth-right, y.at(v))
		s.text("axis", left-8, y.at(v)+4, atEnd, u.tick(v))
	}
	var line, upper, lower [][2]float64
	for _, p := range r.Series {
		middle := x.at(float64(p.From.Unix()+p.To.Unix()) / 2)
		line = append(line, [2]float64{middle, y.at(p.Measure.Value)})
		upper = append(upper, [2]float64{middle, y.at(p.Measure.High)})
		lower = append([][2]float64{{middle, y.at(p.Measure.Low)}}, lower...)
	}
	s.path("band", append(upper, lower...), true)
	s.path("line", line, false)
	for i, p := range r.Series {
		s.line("whisker", line[i][0], y.at(p.Measure.Low), line[i][0], y.at(p.Measure.High))
		s.circle("dot", line[i][0], line[i][1], 3.2, fmt.Sprintf("%s: %s (%s), n = %s", date(p.From), u.value(p.Measure.Value), u.interval(p.Measure.Low, p.Measure.High), sizeText(p.Measure)))
	}
	every := max(1, (len(r.Series)+5)/6) // about six dates fit
	for i := 0; i < len(r.Series); i += every {
		s.text("axis", line[i][0], height-12, atMiddle, r.Series[i].From.UTC().Format("2 Jan"))
	}
	return s.end()
}

// tick writes a value at an axis, without needless decimals.
func (u unit) tick(v float64) string {
	u.decimals = 0
	if v != math.Trunc(v) {
		u.decimals = 1
	}
	return u.value(v)
}

// distributionPlot has one bar for each score, in the class it counts as.
func distributionPlot(r *survey.Report) template.HTML {
	const height, left, bottom, top = 240.0, 12.0, 40.0, 24.0
	s := newSVG("plot-distribution", "Answers by score", fmt.Sprintf("%d bars, from score %d to %d", len(r.Distribution), r.Scale.Min, r.Scale.Max), height)
	most := 1
	for _, c := range r.Distribution {
		most = max(most, c.N)
	}
	y := axis{0, float64(most), height - bottom, top}
	width := (plotWidth - 2*left) / float64(len(r.Distribution))
	for i, c := range r.Distribution {
		x := left + float64(i)*width
		label := count(c.N)
		if c.Hidden {
			label = "·"
			s.rect("hidden", x+4, y.at(0)-6, width-8, 6, "Score "+c.Name+": too few people to show")
		} else {
			s.rect(scoreClass(r, r.Scale.Min+i), x+4, y.at(float64(c.N)), width-8, y.at(0)-y.at(float64(c.N)), "Score "+c.Name+": "+label)
		}
		s.text("label", x+width/2, math.Min(y.at(float64(c.N)), y.at(0)-2)-5, atMiddle, label)
		s.text("axis", x+width/2, height-20, atMiddle, c.Name)
	}
	s.line("base", left, y.at(0), plotWidth-left, y.at(0))
	return s.end()
}

// scoreClass is the colour of a score.
func scoreClass(r *survey.Report, score int) string {
	switch {
	case r.Type == survey.NetPromoter && score >= 9, r.Type == survey.CustomerSatisfaction && score >= r.TopBoxFrom:
		return "good"
	case r.Type == survey.NetPromoter && score >= 7, r.Type == survey.CustomerEffort:
		return "neutral"
	}
	return "bad"
}

// bar is one line of a bar chart.
type bar struct {
	label string
	n     int
	note  string
	minor bool // a loss on the way, not a stage
	// hidden: too few people to show, or what would tell of them.
	hidden bool
}

// size is the bar's number in words.
func (b bar) size() string {
	if b.hidden {
		return "not shown"
	}
	return count(b.n) + b.note
}

// barsPlot draws horizontal bars from the longest on down, with a note each.
func barsPlot(id, title, description string, bars []bar) template.HTML {
	const row, left, right, top = 26.0, 220.0, 172.0, 6.0
	s := newSVG(id, title, description, top*2+row*float64(len(bars)))
	most := 1
	for _, b := range bars {
		most = max(most, b.n)
	}
	x := axis{0, float64(most), left, plotWidth - right}
	for i, b := range bars {
		y := top + float64(i)*row
		class, text := "stage", "label"
		if b.minor {
			class, text = "loss", "axis"
		}
		s.text(text, left-10, y+17, atEnd, b.label)
		s.rect(class, left, y+4, math.Max(x.at(float64(b.n))-left, 1), row-8, b.label+": "+b.size())
		s.text(text, x.at(float64(b.n))+8, y+17, atStart, b.size())
	}
	return s.end()
}

// whiskersPlot compares groups: a dot and its interval each.
func whiskersPlot(id, title string, groups []survey.GroupResult, r *survey.Report, u unit) template.HTML {
	const row, left, right, top, bottom = 42.0, 170.0, 24.0, 8.0, 26.0
	height := top + bottom + row*float64(len(groups))
	measures := make([]survey.Measure, len(groups))
	for i, g := range groups {
		measures[i] = g.Measure
	}
	low, high := u.span(measures)
	x := axis{low, high, left, plotWidth - right}
	s := newSVG(id, title, fmt.Sprintf("%d groups with their %s intervals", len(groups), confidence(r)), height)
	for _, v := range x.ticks(6) {
		s.line("grid", x.at(v), top, x.at(v), height-bottom)
		s.text("axis", x.at(v), height-8, atMiddle, u.tick(v))
	}
	for i, g := range groups {
		y := top + (float64(i)+0.6)*row // room for the value above
		s.text("label", left-12, y+4, atEnd, short(g.Name))
		if g.Measure.NoData() {
			s.text("axis", left+6, y+4, atStart, noData(g.Measure))
			continue
		}
		tooltip := fmt.Sprintf("%s: %s (%s), n = %s", g.Name, u.value(g.Measure.Value), u.interval(g.Measure.Low, g.Measure.High), sizeText(g.Measure))
		if !math.IsNaN(g.Measure.Low) {
			s.line("whisker strong", x.at(g.Measure.Low), y, x.at(g.Measure.High), y)
		}
		s.circle("dot", x.at(g.Measure.Value), y, 5, tooltip)
		s.text("value", x.at(g.Measure.Value), y-9, atMiddle, u.value(g.Measure.Value))
	}
	return s.end()
}

func noData(m survey.Measure) string {
	if m.Hidden {
		return "too few people to show"
	}
	return "no data"
}

// short cuts a name to what fits beside a plot; the table has all of it.
func short(name string) string {
	const most = 22
	runes := []rune(name)
	if len(runes) <= most {
		return name
	}
	return string(runes[:most-1]) + "…"
}

func confidence(r *survey.Report) string { return fmt.Sprintf("%.0f %%", 100*r.Confidence) }
