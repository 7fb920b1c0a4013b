package survey

import (
	"fmt"
	"slices"
	"strings"
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
	// ConversationOpen: a conversation with the contact there was not solved for too
	// long. What they would write is meant for who has it.
	ConversationOpen
	QuietTimes
	Reopened
	CancelledByEvent
	Deferred // not an end: it is decided again
	Asked
	exitCount
)

var exitNames = [exitCount]string{
	"None", "OtherTrigger", "Suspended", "Excluded", "AlreadyAsked", "OutsideWindow", "Stopped", "NotInAudience", "LanguageNotOffered", "OptedOut",
	"NoConsent", "HeldOut", "NotSampled", "CampaignCooldown", "GroupCooldown", "Outranked", "Unreachable", "WindowClosed", "SurveyOpen", "ConversationOpen",
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
	// Hidden are the counts of a published funnel that are about fewer than five
	// people, or from which such a one would follow: stages by their names here,
	// exits by theirs. They are 0 above, so that such a funnel does not add up.
	Hidden []string `json:"hidden,omitempty"`
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
// Of a published funnel it checks the sums of which nothing is hidden.
func (f *Funnel) Balanced() error {
	t := f.tables()
	for _, sum := range t.sums {
		if slices.ContainsFunc(sum, func(name string) bool { return !f.Shows(name) }) {
			continue
		}
		whole, parts := t.cells[sum[0]], 0
		for _, name := range sum[1:] {
			if !t.implied[name] {
				parts += t.cells[name]
			}
		}
		// Of the asked and of what follows, the rest is on its way or silent.
		exact := sum[0] != "asked" && sum[0] != "answered" && sum[0] != "expired"
		if parts > whole || parts < 0 || exact && parts != whole {
			return fmt.Errorf("funnel: %s is %d, its parts (%s) are %d", sum[0], whole, strings.Join(sum[1:], ", "), parts)
		}
	}
	if f.HeldOut != f.Exits[HeldOut] && f.Shows("heldOut") {
		return fmt.Errorf("funnel: heldOut is %d, its exit %d", f.HeldOut, f.Exits[HeldOut])
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
