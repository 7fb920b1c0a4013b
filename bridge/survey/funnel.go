package survey

import (
	"fmt"
	"maps"
	"slices"
)

// Exit is where a trigger left the order of decisions. The names are the same in
// decisions, the funnel, metrics and REST.
type Exit uint8

// The exits, in the order in which they are decided.
const (
	exitNone Exit = iota
	OtherTrigger
	Suspended
	Excluded
	AlreadyAsked
	OutsideWindow
	Stopped
	NotInAudience
	LanguageNotOffered
	OptedOut
	NoConsent
	HeldOut
	NotSampled
	CampaignCooldown
	GroupCooldown
	Outranked
	Unreachable
	WindowClosed // the platform's messaging window, and no approved template
	SurveyOpen   // another survey's dialogue was open for too long
	QuietTimes
	Reopened
	CancelledByEvent
	Deferred // not an end: it is decided again
	Asked
	exitCount
)

var exitNames = [exitCount]string{
	"None", "OtherTrigger", "Suspended", "Excluded", "AlreadyAsked", "OutsideWindow", "Stopped", "NotInAudience", "LanguageNotOffered", "OptedOut",
	"NoConsent", "HeldOut", "NotSampled", "CampaignCooldown", "GroupCooldown", "Outranked", "Unreachable", "WindowClosed", "SurveyOpen",
	"QuietTimes", "Reopened", "CancelledByEvent", "Deferred", "Asked",
}

// Exits are all ways out, in order.
func Exits() []Exit {
	all := make([]Exit, 0, exitCount-1)
	for e := exitNone + 1; e < exitCount; e++ {
		all = append(all, e)
	}
	return all
}

func (e Exit) String() string {
	if e < exitCount {
		return exitNames[e]
	}
	return fmt.Sprintf("Exit(%d)", e)
}

// MarshalText writes the name.
func (e Exit) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads a name.
func (e *Exit) UnmarshalText(text []byte) error {
	for i, name := range exitNames {
		if name == string(text) {
			*e = Exit(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not an exit of the survey decision", text)
}

// Final says that the trigger is done with.
func (e Exit) Final() bool { return e != Deferred && e != exitNone }

// Funnel counts what became of triggers, and then of questions. Every count of a
// stage is the sum of what left it there and what went on.
//
//	triggered ─► eligible ─► assigned ─► sampled ─► asked ─► delivered ─► answered ─► completed
//	   │            │            │           │         │          │           │
//	   └ exits      └ heldOut    └ notSampled└ exits   └ failed   └ silent    └ partial
//	     before                                pending   awaiting   waiting
type Funnel struct {
	// Triggered is how many triggers there were; OtherTrigger are not.
	Triggered int `json:"triggered"`
	// Exits by name: why nobody was asked.
	Exits map[Exit]int `json:"exits,omitempty"`
	// Eligible passed consent, Assigned are those of them who are not held out.
	Eligible int `json:"eligible"`
	HeldOut  int `json:"heldOut"`
	Assigned int `json:"assigned"`
	Sampled  int `json:"sampled"`
	// Throttled is the sum of both cool-downs and of being outranked.
	Throttled int `json:"throttled"`
	// Pending were sampled and wait: deferred.
	Pending int `json:"pending"`
	Asked   int `json:"asked"`
	// Of the asked: Delivered arrived, Failed did not; the rest is on its way.
	Delivered int `json:"delivered"`
	Failed    int `json:"failed"`
	// Answered gave a score in time; Completed of them answered all follow-ups.
	Answered  int `json:"answered"`
	Completed int `json:"completed"`
	// Of the asked without an answer: Late gave a score later, OptedOut asked not
	// to be asked, Cancelled were overtaken by an event, Expired said nothing.
	Late      int `json:"late"`
	OptedOut  int `json:"optedOut"`
	Cancelled int `json:"cancelled"`
	Expired   int `json:"expired"`
	// Clarified got a question back; Unparsed wrote something that was no score.
	// They may be among any of the above.
	Clarified int `json:"clarified"`
	Unparsed  int `json:"unparsed"`
}

// Count adds a decision. A deferred trigger is counted each time it is decided:
// pass the deferral that went before, so that it is taken back first.
func (f *Funnel) Count(d Decision, deferredBefore bool) {
	if d.Exit == OtherTrigger || d.Exit == exitNone {
		return
	}
	if deferredBefore {
		f.count(Deferred, -1)
	}
	f.count(d.Exit, 1)
}

// Add adds n triggers that left the order of decisions by an exit, or wait
// (Deferred): for a store that keeps the count of each exit.
func (f *Funnel) Add(e Exit, n int) {
	if e == OtherTrigger || e == exitNone || n == 0 {
		return
	}
	f.count(e, n)
}

func (f *Funnel) count(e Exit, n int) {
	f.Triggered += n
	if e >= HeldOut {
		f.Eligible += n
	}
	if e > HeldOut {
		f.Assigned += n
	}
	if e > NotSampled {
		f.Sampled += n
	}
	switch e {
	case HeldOut:
		f.HeldOut += n
	case CampaignCooldown, GroupCooldown, Outranked:
		f.Throttled += n
	case Deferred:
		f.Pending += n
		return
	case Asked:
		f.Asked += n
		return
	}
	if f.Exits == nil {
		f.Exits = map[Exit]int{}
	}
	f.Exits[e] += n
}

// Balanced checks that the funnel adds up; the error names the stage that does not.
func (f *Funnel) Balanced() error {
	sum := func(keep func(Exit) bool) int {
		total := 0
		for _, e := range slices.Sorted(maps.Keys(f.Exits)) {
			if keep(e) {
				total += f.Exits[e]
			}
		}
		return total
	}
	for _, stage := range []struct {
		name      string
		whole     int
		remainder int
	}{
		{"triggered", f.Triggered, sum(func(e Exit) bool { return e < HeldOut }) + f.Eligible},
		{"eligible", f.Eligible, f.HeldOut + f.Assigned},
		{"assigned", f.Assigned, f.Exits[NotSampled] + f.Sampled},
		{"sampled", f.Sampled, sum(func(e Exit) bool { return e > NotSampled }) + f.Pending + f.Asked},
		{"throttled", f.Throttled, f.Exits[CampaignCooldown] + f.Exits[GroupCooldown] + f.Exits[Outranked]},
		{"heldOut", f.HeldOut, f.Exits[HeldOut]},
	} {
		if stage.whole != stage.remainder {
			return fmt.Errorf("funnel: %s is %d, its parts are %d", stage.name, stage.whole, stage.remainder)
		}
	}
	for _, stage := range []struct {
		name        string
		whole, part int
	}{
		{"delivered and failed of asked", f.Asked, f.Delivered + f.Failed},
		{"answered, optedOut, cancelled and expired of asked", f.Asked, f.Answered + f.OptedOut + f.Cancelled + f.Expired},
		{"completed of answered", f.Answered, f.Completed},
		{"late of expired", f.Expired, f.Late},
	} {
		if stage.part > stage.whole || stage.part < 0 {
			return fmt.Errorf("funnel: %s is %d of %d", stage.name, stage.part, stage.whole)
		}
	}
	return nil
}

// ResponseRate is the share of the asked who answered in time, with its
// interval; NaN when nobody was asked.
func (f *Funnel) ResponseRate(confidence float64) Interval {
	return Wilson(f.Answered, f.Asked, confidence)
}

// MostlyThrottled says that more than half of the sampled were asked by some
// campaign too lately: campaigns compete for the same people.
func (f *Funnel) MostlyThrottled() bool { return 2*f.Throttled > f.Sampled }
