package report

import (
	"html/template"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// funnelBars are the stages and, between them, what was lost there. What
// concerns the behaviour of one to four people is left out.
func funnelBars(f *survey.Funnel) []bar {
	bars := []bar{{label: "triggered", n: f.Triggered}}
	losses := func(from, to survey.Exit) {
		for _, e := range survey.Exits() {
			if n := f.Exits[e]; e >= from && e <= to && n > 0 {
				bars = append(bars, bar{label: exitTexts[e], n: n, minor: true})
			}
		}
	}
	stage := func(label string, n int, note string) { bars = append(bars, bar{label: label, n: n, note: note}) }
	lost := func(label string, n int) {
		if n >= fewest {
			bars = append(bars, bar{label: label, n: n, minor: true})
		}
	}
	losses(survey.Suspended, survey.NoConsent)
	stage("eligible", f.Eligible, "")
	losses(survey.HeldOut, survey.HeldOut)
	stage("assigned", f.Assigned, "")
	losses(survey.NotSampled, survey.NotSampled)
	stage("sampled", f.Sampled, "")
	losses(survey.CampaignCooldown, survey.CancelledByEvent)
	lost("waiting for their time", f.Pending)
	stage("asked", f.Asked, share(f.Asked, f.Sampled, "sampled"))
	lost("not delivered", f.Failed)
	stage("delivered, as told", f.Delivered, share(f.Delivered, f.Asked, "asked"))
	lost("opted out", f.OptedOut)
	lost("overtaken by an event", f.Cancelled)
	lost("no answer in time", f.Expired)
	stage("answered", f.Answered, share(f.Answered, f.Asked, "asked"))
	stage("completed", f.Completed, share(f.Completed, f.Answered, "answered"))
	return bars
}

// fewest people about whose behaviour anything is told.
const fewest = 5

func share(n, of int, what string) string {
	if of == 0 {
		return ""
	}
	return " (" + percent(float64(n)/float64(of)) + " of " + what + ")"
}

func funnelPlot(bars []bar) template.HTML {
	return barsPlot("plot-funnel", "From trigger to answer", "The stages from trigger to completed answer, and what was lost between them", bars)
}

// questionsPlot is the drop-off by question.
func questionsPlot(r *survey.Report) template.HTML {
	bars := make([]bar, 0, 2*len(r.Questions))
	for _, q := range r.Questions {
		if q.Asked.Hidden || q.Answered.Hidden {
			bars = append(bars, bar{label: short(q.ID), note: " too few people to show", minor: true})
			continue
		}
		bars = append(bars, bar{label: short(q.ID) + " asked", n: q.Asked.N, minor: true}, bar{label: short(q.ID) + " answered", n: q.Answered.N, note: share(q.Answered.N, q.Asked.N, "asked")})
	}
	return barsPlot("plot-questions", "Drop-off by question", "How many were asked each question and how many answered it", bars)
}
