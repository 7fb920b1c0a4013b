package survey

import (
	"math"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/expression"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// Defaults of a campaign.
const (
	DefaultMaxDefer      = 72 * time.Hour
	DefaultReplyWindow   = 72 * time.Hour
	DefaultLateWindow    = 14 * 24 * time.Hour
	DefaultEditWindow    = 10 * time.Minute
	DefaultCommentWindow = 10 * time.Minute
	DefaultMaxChars      = 2000
	DefaultMinPerGroup   = 100
	DefaultConfidence    = 95
	// FloorAfter is how many questions must have had their time before a floor of
	// the response rate ends a campaign: at a true rate of 5 % the Wilson interval
	// of 200 is still 2.7 to 9.0 %.
	FloorAfter = 200
)

// Program is a checked campaign. It is immutable and safe for concurrent use.
type Program struct {
	Name     string // "namespace/name"
	Campaign Campaign

	scale       Scale
	on          [3]bool // by event
	schedule    *schedule.Schedule
	matches     []match
	sampleSlots int
	holdSlots   int
	seed        string
	holdSeed    string
	arms        []arm
	weights     []int
	questions   []question
	actions     []action
	delay       time.Duration
	maxDefer    time.Duration
	cooldown    time.Duration
	groupWait   time.Duration
	cancelOn    struct{ reopened, negative bool }
	floor       int // of the response rate, in slots
}

// arm is a way of asking; a campaign without arms has one without a name.
type arm struct {
	name     string
	channels []string
	delay    time.Duration
	texts    map[string]Texts
}

type match struct {
	spec       *Match
	expression *expression.Expression
}

type question struct {
	spec     *Question
	when     *expression.Expression
	maxChars int
}

type action struct {
	spec *Action
	when *expression.Expression
}

// Scale of the campaign's score.
func (p *Program) Scale() Scale { return p.scale }

// Confidence of its intervals, 0.95 by default.
func (p *Program) Confidence() float64 { return float64(p.Campaign.Analysis.Confidence) / 100 }

// Arms are the names of the arms, in order; none without an experiment.
func (p *Program) Arms() []string {
	if len(p.Campaign.Arms) == 0 {
		return nil
	}
	names := make([]string, len(p.arms))
	for i := range p.arms {
		names[i] = p.arms[i].name
	}
	return names
}

// Assignment is where the draws put a contact. It depends on the names, seeds
// and ids alone: asked again, in another cluster, after a restore, it is the
// same.
type Assignment struct {
	HeldOut bool `json:"heldOut"`
	Arm     int  `json:"arm"` // index
	Sampled bool `json:"sampled"`
}

// Assign draws for a contact (and a conversation, where Sampling.Unit says so):
// holdout, arm and sample, independent of one another. Each share is a range of
// slots that begins at 0, so a draw with a higher one only adds contacts. (A campaign
// that has begun draws with what it began with, see Declared; who was drawn before
// keeps that draw, Facts.Assigned.) It is also how
// another system learns a contact's arm before there is anything to ask, for
// an experiment about offering a channel.
func (p *Program) Assign(contact, conversation string) Assignment {
	unit := contact
	if p.Campaign.Sampling.Unit == UnitConversation && conversation != "" {
		unit = conversation
	}
	var a Assignment
	// People are held out, never conversations.
	a.HeldOut = p.holdSlots > 0 && routing.Slot(p.holdSeed, "holdout", contact) < p.holdSlots
	if len(p.arms) > 1 {
		a.Arm = routing.Pick(routing.Slot(p.seed, "arm", unit), p.weights)
	}
	a.Sampled = p.sampleSlots >= routing.Slots || routing.Slot(p.seed, "sample", unit) < p.sampleSlots
	return a
}

// MayRepeat says that a contact can be asked, and answer, more than once within the
// window: neither oncePer: Contact nor a cool-down as long as the window forbids it.
// (A cool-down from Answered lets nobody answer twice within it either.)
func (p *Program) MayRepeat() bool {
	c := &p.Campaign
	return c.Trigger.OncePer != OncePerContact && p.cooldown < c.Window.End.Sub(c.Window.Start)
}

// Totals are what stop rules look at.
type Totals struct {
	Responses int
	// Due are questions whose time to answer is over, Answered those of them
	// that were.
	Due, Answered int
	// HalfWidth of the score's interval, in points; 0: not known.
	HalfWidth float64
}

// StopRule is why a campaign asks no more.
type StopRule string

const (
	StopNone         StopRule = ""
	StopMaxResponses StopRule = "MaxResponses"
	StopPrecision    StopRule = "Precision"
	StopResponseRate StopRule = "ResponseRate"
)

// minForPrecision is how many answers a precision needs to be believed: below
// it an interval is more of a guess than its width says.
const minForPrecision = 30

// Stops says whether a stop rule is reached.
func (p *Program) Stops(t Totals) StopRule {
	stop := p.Campaign.Stop
	switch {
	case stop.MaxResponses > 0 && t.Responses >= stop.MaxResponses:
		return StopMaxResponses
	case stop.HalfWidth > 0 && t.Responses >= minForPrecision && t.HalfWidth > 0 && t.HalfWidth <= stop.HalfWidth:
		return StopPrecision
	case p.floor > 0 && t.Due >= FloorAfter && t.Answered*routing.Slots < p.floor*t.Due:
		return StopResponseRate
	}
	return StopNone
}

// RepeatContactWindow is how long after a contact was assigned it counts as a
// repeat that they come again (MetricRepeatContact30d).
const RepeatContactWindow = 30 * 24 * time.Hour

// ClosesAt is when nothing can change the result any more if nobody is asked
// from a time on: the time to reply to the last question is over then, and to edit
// that reply, and, where it is compared who came again, the time in which that
// counts, for the last who was assigned.
func (p *Program) ClosesAt(asksUntil time.Time) time.Time {
	wait := time.Duration(p.Campaign.Replies.Window + p.Campaign.Replies.EditWindow)
	if p.Campaign.Analysis.Compare != CompareNone && p.Campaign.Analysis.Metric == MetricRepeatContact30d {
		wait = max(wait, RepeatContactWindow)
	}
	return asksUntil.Add(wait)
}

// Closed says that nothing can change the result any more: the window is over,
// and so is what ClosesAt waits for.
func (p *Program) Closed(now time.Time) bool { return !now.Before(p.ClosesAt(p.Campaign.Window.End)) }

func orDefault(d document.Duration, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return time.Duration(d)
}

func setDefault(d *document.Duration, value time.Duration) {
	if *d == 0 {
		*d = document.Duration(value)
	}
}

// QuietUntil says whether the campaign's quiet times are now, and when they end;
// zero: never.
func (p *Program) QuietUntil(now time.Time) (until time.Time, quiet bool) {
	if p.schedule == nil || p.schedule.Open(now) {
		return time.Time{}, false
	}
	until, _ = p.schedule.NextTransition(now)
	return until, true
}

// HalfWidth is that of the interval around the campaign's number, in its points,
// with so many answers by score; 0: there is none to tell.
func (p *Program) HalfWidth(scores map[int]int) float64 {
	var t tallied
	for score, n := range scores {
		if p.scale.Contains(score) {
			t[score-p.scale.Min] += n
		}
	}
	m := p.measure(&t)
	if m.NoData() || math.IsNaN(m.High) || math.IsNaN(m.Low) {
		return 0
	}
	return (m.High - m.Low) / 2
}

// InboundMessages is up to how many messages that the contact wrote into a
// conversation have to be counted for a decision: a conversation may be long. 0:
// none; where an expression asks for the number, all of them.
func (p *Program) InboundMessages() int {
	for i := range p.matches {
		if strings.Contains(p.matches[i].spec.Expression, "inboundMessages") {
			return math.MaxInt
		}
	}
	return p.Campaign.Trigger.Exclude.MinInboundMessages
}

// MaxDefer is how long after its event a question is asked at the latest.
func (p *Program) MaxDefer() time.Duration {
	longest := time.Duration(0)
	for i := range p.arms {
		longest = max(longest, p.arms[i].delay)
	}
	return longest + p.maxDefer
}
