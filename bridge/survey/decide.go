package survey

import (
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Decision is what becomes of one trigger, now.
type Decision struct {
	// Exit is where the order of decisions was left: Asked and Deferred, or why
	// nobody is asked.
	Exit Exit `json:"exit"`
	// Because of what it is deferred, and until when: decide again then.
	Because Deferral  `json:"because,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	// Assigned says that the draws were made (they come before any throttling,
	// so that groups are compared as they were assigned).
	Assigned   bool       `json:"assigned"`
	Assignment Assignment `json:"assignment"`
	// Channel to ask on, and in which language; Template: beyond the messaging
	// window, by an approved template. Set when Asked.
	Channel  string `json:"channel,omitempty"`
	Language string `json:"language,omitempty"`
	Template bool   `json:"template,omitempty"`
	// ExpressionErrors is how many expressions of the audience failed: no match.
	ExpressionErrors int `json:"expressionErrors,omitempty"`
}

// Deferral is why a question waits.
type Deferral string

const (
	DeferDelay            Deferral = "Delay" // the campaign's own
	DeferQuietTimes       Deferral = "QuietTimes"
	DeferCampaignCooldown Deferral = "CampaignCooldown"
	DeferGroupCooldown    Deferral = "GroupCooldown"
	DeferSurveyOpen       Deferral = "SurveyOpen" // another survey waits for a reply on that channel
	// DeferConversationOpen: a conversation with the contact there is not solved.
	DeferConversationOpen Deferral = "ConversationOpen"
)

// attendedAgain is how long to wait before it is looked again whether a conversation
// was solved, which nobody can tell before. An hour is late for no question, and 72
// looks within the default of maxDefer cost nothing.
const attendedAgain = time.Hour

// Decide says whether to ask a contact about a trigger. The order is fixed, and
// each way out has a name that is counted:
//
//	trigger → window → audience → consent → holdout → arm → sample → cool-down of the campaign
//	→ of the group → channel → quiet times → still right → asked
//
// The same program and facts give the same decision. A deferred one is made
// anew, with new facts, at Until. Without CEL it does not allocate.
func Decide(p *Program, f *Facts) Decision {
	d := decider{p: p, f: f}
	d.run()
	return d.Decision
}

// decider is a decision that is being made.
type decider struct {
	Decision
	p   *Program
	f   *Facts
	due time.Time // when the question is due: never before now
	arm *arm
}

// run goes through the stages until one is left by an exit. Calls by name, not a
// table of functions: those would put the decision on the heap.
func (d *decider) run() {
	if d.leaves(d.trigger()) || d.leaves(d.window()) || d.leaves(d.audience()) || d.leaves(d.consent()) || d.leaves(d.assign()) ||
		d.leaves(d.throttle()) || d.leaves(d.channel()) || d.leaves(d.quiet()) || d.leaves(d.valid()) {
		d.Channel, d.Template = "", false
		return
	}
	d.Exit = Asked
}

func (d *decider) leaves(exit Exit) bool {
	d.Exit = exit
	return exit != exitNone
}

func (d *decider) trigger() Exit {
	event := d.f.Event.index()
	exclude := &d.p.Campaign.Trigger.Exclude
	switch {
	case event < 0 || !d.p.on[event]:
		return OtherTrigger
	case d.p.Campaign.Suspended:
		return Suspended
	case exclude.AutoResolved && d.f.Conversation.AutoResolved && d.f.Event == ConversationResolved:
		return Excluded
	case d.f.Conversation.InboundMessages < exclude.MinInboundMessages && d.f.Event == ConversationResolved:
		return Excluded
	case d.f.Ledger.Already:
		return AlreadyAsked
	}
	for _, label := range exclude.Labels {
		if _, has := d.f.Conversation.Labels[label]; has {
			return Excluded
		}
	}
	return exitNone
}

// window is judged by when the question would be asked. Assignments are drawn
// here already, since an arm may have its own delay; they count from assign on.
func (d *decider) window() Exit {
	d.Assignment = d.p.Assign(d.f.Contact.ID, d.f.Conversation.ID)
	if kept := d.f.Assigned; kept != nil && kept.Arm >= 0 && kept.Arm < len(d.p.arms) {
		d.Assignment = *kept
	}
	d.arm = &d.p.arms[d.Assignment.Arm]
	d.due = later(d.f.TriggeredAt.Add(d.arm.delay), d.f.Now)
	switch {
	case !d.p.Campaign.Window.Contains(d.due):
		return OutsideWindow
	case d.f.Stopped:
		return Stopped
	}
	return exitNone
}

func (d *decider) audience() Exit {
	if len(d.p.matches) > 0 && !d.matchesAny() {
		return NotInAudience
	}
	language, ok := d.p.Campaign.Languages.For(d.f.Contact.Language)
	if !ok {
		return LanguageNotOffered
	}
	d.Language = language
	return exitNone
}

func (d *decider) matchesAny() bool {
	var variables map[string]any
	for i := range d.p.matches {
		m := &d.p.matches[i]
		if !m.structured(d.f) {
			continue
		}
		if m.expression == nil {
			return true
		}
		if variables == nil {
			variables = map[string]any{"now": d.f.Now.UTC(), "event": string(d.f.Event), "contact": d.f.Contact, "conversation": d.f.Conversation}
		}
		yes, err := m.expression.Holds(variables)
		if err != nil {
			d.ExpressionErrors++
		}
		if yes {
			return true
		}
	}
	return false
}

// structured are the fields of a match that need no CEL.
func (m *match) structured(f *Facts) bool {
	if len(m.spec.Channels) > 0 && !slices.Contains(m.spec.Channels, f.Conversation.Channel) {
		return false
	}
	if len(m.spec.Languages) > 0 {
		spoken := false
		for _, tag := range m.spec.Languages {
			spoken = spoken || routing.LanguageMatches(tag, f.Contact.Language)
		}
		if !spoken {
			return false
		}
	}
	return includes(f.Conversation.Labels, m.spec.Labels) && includes(f.Contact.Attributes, m.spec.Attributes)
}

// includes says that all pairs of want are in have.
func includes(have, want map[string]string) bool {
	for key, value := range want {
		if got, ok := have[key]; !ok || got != value {
			return false
		}
	}
	return true
}

func (d *decider) consent() Exit {
	switch {
	case d.f.Contact.Consent == ConsentOptedOut:
		return OptedOut
	case d.p.Campaign.Audience.Consent.RequireOptIn && d.f.Contact.Consent != ConsentOptedIn:
		return NoConsent
	}
	return exitNone
}

func (d *decider) assign() Exit {
	d.Assigned = true
	switch {
	case d.Assignment.HeldOut:
		return HeldOut
	case !d.Assignment.Sampled:
		return NotSampled
	}
	return exitNone
}

func (d *decider) throttle() Exit {
	from := d.p.Campaign.Frequency.From
	if exit := d.cooldown(d.f.Ledger.Campaign.from(from), d.p.cooldown, CampaignCooldown, DeferCampaignCooldown); exit != exitNone {
		return exit
	}
	if exit := d.cooldown(d.f.Ledger.Group.from(from), d.p.groupWait, GroupCooldown, DeferGroupCooldown); exit != exitNone {
		return exit
	}
	if d.f.Outranked {
		return Outranked
	}
	return exitNone
}

// cooldown ends exactly its length after it began: asking then is allowed.
func (d *decider) cooldown(began time.Time, length time.Duration, exit Exit, because Deferral) Exit {
	if began.IsZero() || length == 0 {
		return exitNone
	}
	ends := began.Add(length)
	if !ends.After(d.due) {
		return exitNone
	}
	if d.p.Campaign.Frequency.OnThrottled == ThrottledDefer {
		return d.wait(ends, because, exit)
	}
	return exit
}

// wait defers, if that is not too late; else the way out is exit.
func (d *decider) wait(until time.Time, because Deferral, exit Exit) Exit {
	if until.After(d.last()) || !until.Before(d.p.Campaign.Window.End) {
		return exit
	}
	d.Because, d.Until = because, until
	return Deferred
}

// last is until when a question may wait.
func (d *decider) last() time.Time { return d.f.TriggeredAt.Add(d.arm.delay).Add(d.p.maxDefer) }

// channel chooses where to ask: the channel of the conversation if the arm has
// it, else the first of the arm's on which the contact can be written to.
func (d *decider) channel() Exit {
	exit, openAgain := Unreachable, time.Time{}
	if d.f.Conversation.Channel != "" && slices.Contains(d.arm.channels, d.f.Conversation.Channel) {
		if d.tryChannel(d.f.Conversation.Channel, &exit, &openAgain) {
			return exitNone
		}
	}
	for _, name := range d.arm.channels {
		if name != d.f.Conversation.Channel && d.tryChannel(name, &exit, &openAgain) {
			return exitNone
		}
	}
	switch exit {
	case SurveyOpen:
		return d.wait(openAgain, DeferSurveyOpen, SurveyOpen)
	case ConversationOpen:
		return d.unattended()
	}
	return exit
}

// unattended waits until nobody helps the contact any more, up to the last moment at
// which a question may wait. What ends the trigger by then anyway ends it now.
func (d *decider) unattended() Exit {
	if exit := d.valid(); exit != exitNone {
		return exit
	}
	again, last := d.due.Add(attendedAgain), d.last()
	if last.After(d.due) && last.Before(again) {
		again = last
	}
	return d.wait(again, DeferConversationOpen, ConversationOpen)
}

// tryChannel says whether to ask there; exit is the best reason so far why not
// (a survey that will be over is better than a conversation that may be, and that
// than a window that is).
func (d *decider) tryChannel(name string, exit *Exit, openAgain *time.Time) bool {
	for i := range d.f.Channels {
		c := &d.f.Channels[i]
		if c.Name != name || !c.Reachable {
			continue
		}
		inWindow := c.WindowUntil.IsZero() || d.due.Before(c.WindowUntil)
		switch {
		case !inWindow && !c.Template:
			if *exit == Unreachable {
				*exit = WindowClosed
			}
		case c.SurveyUntil.After(d.due):
			if *exit != SurveyOpen || c.SurveyUntil.Before(*openAgain) {
				*exit, *openAgain = SurveyOpen, c.SurveyUntil
			}
		case c.Attended && !d.due.After(d.f.Now): // before it is due, there is time to solve it
			if *exit != SurveyOpen {
				*exit = ConversationOpen
			}
		default:
			d.Channel, d.Template = name, !inWindow
			return true
		}
	}
	return false
}

// quiet defers to the delay's end, then to when the schedule opens.
func (d *decider) quiet() Exit {
	exit := exitNone
	switch {
	case d.due.After(d.f.Now):
		d.Because, d.Until, exit = DeferDelay, d.due, Deferred
	case d.p.schedule != nil && !d.p.schedule.Open(d.f.Now):
		exit = QuietTimes
		if opens, ever := d.p.schedule.NextTransition(d.f.Now); ever {
			exit = d.wait(opens, DeferQuietTimes, QuietTimes)
		}
	}
	return exit
}

func (d *decider) valid() Exit {
	exit := exitNone
	switch {
	case d.f.Reopened && d.p.cancelOn.reopened:
		exit = Reopened
	case d.f.NegativeEvent && d.p.cancelOn.negative:
		exit = CancelledByEvent
	}
	return exit
}
