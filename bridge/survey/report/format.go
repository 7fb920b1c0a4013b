package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// unit says how the campaign's number is written.
type unit struct {
	name     string // "NPS", "satisfied", "mean effort"
	suffix   string
	signed   bool
	low      float64 // of what is possible
	high     float64
	decimals int
}

func unitOf(r *survey.Report) unit {
	switch r.Type {
	case survey.NetPromoter:
		return unit{name: "Net Promoter Score", signed: true, low: -100, high: 100, decimals: 1}
	case survey.CustomerSatisfaction:
		return unit{name: fmt.Sprintf("Satisfied (%d to %d)", r.TopBoxFrom, r.Scale.Max), suffix: " %", low: 0, high: 100, decimals: 1}
	}
	return unit{name: "Mean effort score", low: float64(r.Scale.Min), high: float64(r.Scale.Max), decimals: 2}
}

// value writes a number of the unit; a dash where there is none.
func (u unit) value(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	text := strconv.FormatFloat(math.Abs(v), 'f', u.decimals, 64)
	switch zero := strings.Trim(text, "0.") == ""; {
	case zero:
	case v < 0:
		text = "−" + text
	case u.signed:
		text = "+" + text
	}
	return text + u.suffix
}

// interval writes "+18.9 to +34.4".
func (u unit) interval(low, high float64) string {
	if math.IsNaN(low) || math.IsNaN(high) {
		return "–"
	}
	return u.value(low) + " to " + u.value(high)
}

// difference writes the difference of two values, always with a sign.
func (u unit) difference(v float64) string {
	u.signed = true
	if u.suffix != "" {
		u.suffix = " pp"
	}
	return u.value(v)
}

// count groups digits with thin spaces, which no language reads as a decimal point.
func count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

func cellText(c survey.Cell) string {
	if c.Hidden {
		return "not shown"
	}
	return count(c.N)
}

func sizeText(m survey.Measure) string {
	if m.Hidden {
		return "not shown"
	}
	return count(m.N)
}

func percent(share float64) string {
	if math.IsNaN(share) {
		return "–"
	}
	return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
}

func pValue(p *float64) string {
	switch {
	case p == nil || math.IsNaN(*p):
		return "–"
	case *p < 0.0001:
		return "< 0.0001"
	}
	return strconv.FormatFloat(*p, 'f', 4, 64)
}

func date(t time.Time) string { return t.UTC().Format("2 Jan 2006") }

var methodNames = map[survey.Method]string{
	survey.MethodAdjustedWald: "adjusted Wald interval (3 pseudo-answers)",
	survey.MethodWilson:       "Wilson score interval",
	survey.MethodStudent:      "Student's t interval",
}

var verdictTexts = map[survey.Verdict]string{
	survey.VerdictPending:      "Pending: the one look that was declared is at the end",
	survey.VerdictHigher:       "Higher",
	survey.VerdictLower:        "Lower",
	survey.VerdictInconclusive: "Inconclusive: no difference was shown, which is not the same as none",
	survey.VerdictWithheld:     "Withheld",
}

var caveatTexts = map[survey.Caveat]string{
	survey.CaveatObservational:  "Observational: before and after differ in more than what was changed, so what differs may have another cause",
	survey.CaveatReachDiffers:   "The groups could not be asked alike: on their channels different shares, or not nearly all, were reached, so different kinds of people answered",
	survey.CaveatSelectionRisk:  "The groups answered at different rates, so different kinds of people may have answered",
	survey.CaveatTooFew:         "Fewer answers in a group than the analysis declared as enough, or too few people to tell of",
	survey.CaveatSampleRatio:    "The groups do not have the sizes they were assigned: something is broken between assignment and count",
	survey.CaveatParallelTrends: "A cause only if both arms would have moved alike without the change, which is assumed and not checked",
}

// exitTexts say why nobody was asked.
var exitTexts = map[survey.Exit]string{
	survey.Suspended: "campaign suspended", survey.Excluded: "conversation excluded", survey.AlreadyAsked: "already asked about it",
	survey.OutsideWindow: "outside the window", survey.Stopped: "stop rule reached", survey.NotInAudience: "not in the audience",
	survey.LanguageNotOffered: "language not offered", survey.OptedOut: "opted out before", survey.NoConsent: "no consent",
	survey.HeldOut: "held out", survey.NotSampled: "not in the sample", survey.CampaignCooldown: "asked by this campaign lately",
	survey.GroupCooldown: "asked by another campaign lately", survey.Outranked: "another campaign comes first", survey.Unreachable: "not reachable",
	survey.WindowClosed: "messaging window closed", survey.SurveyOpen: "another survey open", survey.ConversationOpen: "conversation not solved", survey.QuietTimes: "quiet times",
	survey.Reopened: "conversation reopened", survey.CancelledByEvent: "cancelled by an event",
}
