package report

import (
	"html/template"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// funnelBars are the stages and, between them, what was lost there. What is about
// one to four people the report does not have, see survey.Funnel.Hidden; of the
// exits it does not even say which.
func funnelBars(f *survey.Funnel) []bar {
	bars := []bar{{label: "triggered", n: f.Triggered, hidden: !f.Shows("triggered")}}
	losses := func(from, to survey.Exit) {
		for _, e := range survey.Exits() {
			if n := f.Exits[e]; e >= from && e <= to && n > 0 {
				bars = append(bars, bar{label: exitTexts[e], n: n, minor: true})
			}
		}
	}
	cell := func(name, label string, n int, note string, minor bool) {
		b := bar{label: label, n: n, note: note, minor: minor, hidden: !f.Shows(name)}
		if b.n > 0 || b.hidden || !minor {
			bars = append(bars, b)
		}
	}
	stage := func(name, label string, n int) { cell(name, label, n, "", false) }
	lost := func(name, label string, n int) { cell(name, label, n, "", true) }
	of := func(name, label string, n int, whole string, total int) {
		note := ""
		if f.Shows(name) && f.Shows(whole) {
			note = share(n, total, whole)
		}
		cell(name, label, n, note, false)
	}
	losses(survey.Suspended, survey.NoConsent)
	stage("eligible", "eligible", f.Eligible)
	lost("heldOut", exitTexts[survey.HeldOut], f.HeldOut)
	stage("assigned", "assigned", f.Assigned)
	losses(survey.NotSampled, survey.NotSampled)
	stage("sampled", "sampled", f.Sampled)
	losses(survey.CampaignCooldown, survey.CancelledByEvent)
	lost("pending", "waiting for their time", f.Pending)
	of("asked", "asked", f.Asked, "sampled", f.Sampled)
	lost("failed", "not delivered", f.Failed)
	of("delivered", "delivered, as told", f.Delivered, "asked", f.Asked)
	lost("optedOut", "opted out", f.OptedOut)
	lost("cancelled", "overtaken by an event", f.Cancelled)
	lost("expired", "no answer in time", f.Expired)
	of("answered", "answered", f.Answered, "asked", f.Asked)
	of("completed", "completed", f.Completed, "answered", f.Answered)
	return bars
}

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
			bars = append(bars, bar{label: short(q.ID), hidden: true, minor: true})
			continue
		}
		bars = append(bars, bar{label: short(q.ID) + " asked", n: q.Asked.N, minor: true}, bar{label: short(q.ID) + " answered", n: q.Answered.N, note: share(q.Answered.N, q.Asked.N, "asked")})
	}
	return barsPlot("plot-questions", "Drop-off by question", "How many were asked each question and how many answered it", bars)
}
