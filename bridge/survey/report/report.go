package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Parse(pageSource))

// view is what the page shows, all in words.
type view struct {
	Campaign, Kind, State, Window, Updated  string
	Name, Headline, Interval, Basis, Method string
	NoData                                  string
	Facts                                   []fact
	Sections                                []section
	Comparisons                             []comparison
	SampleRatio                             string
	Notes                                   []string
}

type fact struct{ Name, Value string }

// section is a plot with its numbers.
type section struct {
	ID, Title, Text string
	Plot            template.HTML
	Head            []string
	Rows            [][]string
}

type comparison struct {
	Title, Difference, Interval, P, N, Verdict, Class string
	Caveats                                           []string
}

// Render writes the page. The only errors are those of w.
func Render(w io.Writer, r survey.Report) error {
	return page.Execute(w, makeView(&r))
}

func makeView(r *survey.Report) view {
	u := unitOf(r)
	v := view{
		Campaign: r.Campaign, Kind: fmt.Sprintf("%s, %d to %d", r.Type, r.Scale.Min, r.Scale.Max), State: "preliminary: answers are still counted",
		Window: date(r.Window.Start) + " to " + date(r.Window.End), Updated: r.UpdatedAt.UTC().Format("2 Jan 2006, 15:04 UTC"),
	}
	if r.Final {
		v.State = "final"
	}
	v.headline(r, u)
	v.sections(r, u)
	v.compare(r, u)
	v.Notes = notes(r)
	return v
}

func (v *view) headline(r *survey.Report, u unit) {
	m := r.Result
	switch {
	case m.Hidden:
		v.NoData = "Fewer than five people have answered. Nothing is shown about so few."
		return
	case m.N == 0:
		v.NoData = "Nobody has answered yet. That is no score of 0; there is no score."
		return
	}
	v.Name, v.Headline, v.Method = u.name, u.value(m.Value), methodNames[m.Method]
	v.Interval = confidence(r) + " interval " + u.interval(m.Low, m.High)
	v.Basis = "n = " + count(m.N)
	if rate := r.ResponseRate; rate != nil {
		v.Basis += fmt.Sprintf(", %s of %s asked answered in time (%s to %s)", percent(rate.Value), count(rate.N), percent(rate.Interval.Low), percent(rate.Interval.High))
	}
	if c := r.Counts; c != nil {
		v.Facts = append(v.Facts, fact{"Promoters (9–10)", count(c.Promoters)}, fact{"Passives (7–8)", count(c.Passives)}, fact{"Detractors (0–6)", count(c.Detractors)})
	}
	v.Facts = append(v.Facts, fact{"Answers too late to count", cellText(r.Late)})
}

func (v *view) sections(r *survey.Report, u unit) {
	if len(r.Series) > 0 {
		v.Sections = append(v.Sections, section{"series", u.name + " over time", "Points of a day, a week or four weeks, each of at least five answers: neighbours are joined until they do.", seriesPlot(r, u),
			[]string{"From", "Before", u.name, "Interval", "n"}, seriesRows(r, u)})
	}
	if len(r.Distribution) > 0 {
		rows := make([][]string, len(r.Distribution))
		for i, c := range r.Distribution {
			rows[i] = []string{c.Name, cellText(c)}
		}
		v.Sections = append(v.Sections, section{"distribution", "Answers by score", classesText(r), distributionPlot(r), []string{"Score", "Answers"}, rows})
	}
	bars := funnelBars(&r.Funnel)
	rows := make([][]string, len(bars))
	for i, b := range bars {
		rows[i] = []string{b.label, b.size()}
	}
	v.Sections = append(v.Sections, section{"funnel", "From trigger to answer", "Every contact that triggered the campaign left in exactly one place.", funnelPlot(bars), []string{"Stage", "Contacts"}, rows})
	v.groups(r, u, "arms", "Arms", "Assigned by lot, before anything else could sort them.", r.Arms)
	if len(r.Channels) > 1 {
		v.groups(r, u, "channels", "By channel", "Who answers differs by channel: this describes, it does not compare.", r.Channels)
	}
	if len(r.Languages) > 1 {
		v.groups(r, u, "languages", "By language", "", r.Languages)
	}
	if len(r.Questions) > 0 && !r.Result.NoData() {
		rows := make([][]string, len(r.Questions))
		for i, q := range r.Questions {
			rows[i] = []string{q.ID, cellText(q.Asked), cellText(q.Answered)}
		}
		v.Sections = append(v.Sections, section{"questions", "Drop-off by question", "", questionsPlot(r), []string{"Question", "Asked", "Answered"}, rows})
	}
}

// classesText says what the colours of the distribution mean, from left to right.
func classesText(r *survey.Report) string {
	switch r.Type {
	case survey.NetPromoter:
		return "0 to 6 are detractors, 7 and 8 passives, 9 and 10 promoters."
	case survey.CustomerSatisfaction:
		return fmt.Sprintf("%d and above are satisfied.", r.TopBoxFrom)
	}
	return ""
}

func seriesRows(r *survey.Report, u unit) [][]string {
	rows := make([][]string, len(r.Series))
	for i, p := range r.Series {
		rows[i] = []string{date(p.From), date(p.To), u.value(p.Measure.Value), u.interval(p.Measure.Low, p.Measure.High), sizeText(p.Measure)}
	}
	return rows
}

func (v *view) groups(r *survey.Report, u unit, id, title, text string, groups []survey.GroupResult) {
	if len(groups) == 0 {
		return
	}
	rows := make([][]string, len(groups))
	head := []string{"Name", u.name, "Interval", "n"}
	if id == "arms" {
		head = append(head, "Assigned", "Response rate")
	}
	for i, g := range groups {
		rows[i] = []string{g.Name, u.value(g.Measure.Value), u.interval(g.Measure.Low, g.Measure.High), sizeText(g.Measure)}
		if id == "arms" {
			answered := "–"
			if g.ResponseRate != nil {
				answered = percent(g.ResponseRate.Value)
			}
			rows[i] = append(rows[i], count(g.Assigned), answered)
		}
	}
	v.Sections = append(v.Sections, section{id, title, text, whiskersPlot("plot-"+id, title, groups, r, u), head, rows})
}

func (v *view) compare(r *survey.Report, u unit) {
	for _, c := range r.Comparisons {
		unit := u
		title := fmt.Sprintf("%s: %s minus %s", u.name, c.First, c.Second)
		if c.Metric != survey.MetricScore {
			unit.suffix, unit.decimals = " %", 1
			title = fmt.Sprintf("%s: %s minus %s", metricNames[c.Metric], c.First, c.Second)
		}
		shown := comparison{Title: title, Difference: "no data", Interval: "–", P: pValue(c.AdjustedP), N: "–", Verdict: verdictTexts[c.Verdict], Class: strings.ToLower(string(c.Verdict))}
		if !c.Values.NoData() {
			shown.Difference = unit.difference(c.Values.Difference)
			shown.Interval = confidence(r) + " interval " + unit.difference(c.Values.Low) + " to " + unit.difference(c.Values.High)
			shown.N = count(c.Values.N1) + " and " + count(c.Values.N2)
		}
		for _, caveat := range c.Caveats {
			shown.Caveats = append(shown.Caveats, caveatTexts[caveat])
		}
		v.Comparisons = append(v.Comparisons, shown)
	}
	if s := r.SampleRatio; s != nil {
		v.SampleRatio = fmt.Sprintf("Sample ratio as assigned: χ² = %.2f, p = %s.", s.Chi2, pValue(&s.P))
		if !s.OK {
			v.SampleRatio = fmt.Sprintf("Sample ratio mismatch: χ² = %.2f, p = %s. No verdict is given.", s.Chi2, pValue(&s.P))
		}
	}
}

var metricNames = map[survey.Metric]string{survey.MetricRepeatContact30d: "Contact again within 30 days", survey.MetricOptOut: "Opted out"}

// notes say how the numbers were made.
func notes(r *survey.Report) []string {
	texts := map[survey.Type]string{
		survey.NetPromoter: "NPS is the share of promoters (9 and 10) minus the share of detractors (0 to 6), in points from −100 to +100. The score is as counted; its interval is an adjusted Wald interval with three " +
			"pseudo-answers (Rocks 2016), which keeps its confidence also with few answers.",
		survey.CustomerSatisfaction: fmt.Sprintf("Satisfied are those who gave %d to %d. The interval is Wilson's score interval; differences have Newcombe's.", r.TopBoxFrom, r.Scale.Max),
		survey.CustomerEffort:       "The mean of all scores with Student's t interval; differences have Welch's.",
	}
	list := []string{
		texts[r.Type],
		"One answer for each question asked: the last within the edit window. Late answers are counted apart.",
		"Cells of one to four people are not shown, nor those that would give them as a difference.",
	}
	if r.MayRepeat {
		list = append(list, "A contact may have answered more than once. The intervals take all answers for independent, so they are too narrow as far as the same people answered.")
	}
	if len(r.Comparisons) > 0 {
		list = append(list, "The comparison was declared before the start and is looked at once, at the end. p is two-sided, adjusted by Holm for several comparisons. "+
			"The difference of two scores is that of their adjusted values, so it can differ by a tenth from the scores shown.")
	}
	return list
}
