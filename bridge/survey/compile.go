package survey

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// Bounds of a campaign's lists and values.
const (
	MaxArms      = 8
	MaxQuestions = 8
	MaxLanguages = 64
	MaxMatches   = 16
	MaxActions   = 8
	MaxReminders = 3
	// MaxTextBytes bounds a text: the shortest limit of a platform that has no
	// way to split is far below, and the renderer of a platform splits.
	MaxTextBytes = 4096
	maxDuration  = 2 * 366 * 24 * time.Hour
)

// Refs are what a campaign can refer to.
type Refs struct {
	// Now, and whether the campaign has been running before: one that has is
	// not wrong when its window is over.
	Now     time.Time
	Started bool
	// Channels, Schedules and Queues by "namespace/name".
	Channels  map[string]Channel
	Schedules map[string]*schedule.Schedule
	Queues    map[string]bool
}

// Channel is what asking needs to know of a channel.
type Channel struct {
	Platform string
	// CanSend: false for channels that only receive.
	CanSend bool
	// Window is how long after a contact's last message the platform lets us
	// write; 0: always. Template says that one is approved for afterwards.
	Window   time.Duration
	Template bool
}

type compiler struct {
	campaign *Campaign
	refs     Refs
	program  *Program
	findings []Finding
}

// Compile checks a campaign, fills in its defaults and makes it a program. name is
// "namespace/name". With any finding the program is nil. The campaign's slices
// and maps must not be changed afterwards.
func Compile(name string, campaign Campaign, refs Refs) (*Program, []Finding) {
	campaign.Actions = slices.Clone(campaign.Actions) // defaults are filled in
	p := &Program{Name: name, Campaign: campaign}
	c := &compiler{campaign: &p.Campaign, refs: refs, program: p}
	c.measure()
	c.window()
	c.trigger()
	c.languages()
	c.audience()
	c.shares()
	c.channels()
	c.armed()
	c.frequency()
	c.questionList()
	c.replies()
	c.reminders()
	c.thanks()
	c.actionList()
	c.stop()
	c.analysis()
	if len(c.findings) > 0 {
		return nil, c.findings
	}
	return p, nil
}

func (c *compiler) measure() {
	s := c.campaign
	switch s.Type {
	case NetPromoter:
		c.fixedScale(Scale{0, 10})
	case CustomerEffort:
		c.fixedScale(Scale{1, 7})
	case CustomerSatisfaction:
		if s.Scale == (Scale{}) {
			s.Scale = Scale{1, 5}
		}
		if s.Scale != (Scale{1, 5}) && s.Scale != (Scale{1, 7}) {
			c.invalid("scale", "is %d to %d; a CSAT is 1 to 5 or 1 to 7", s.Scale.Min, s.Scale.Max)
		}
		if s.TopBoxFrom == 0 {
			s.TopBoxFrom = s.Scale.Max - 1
		}
		if s.TopBoxFrom <= s.Scale.Min || s.TopBoxFrom > s.Scale.Max {
			c.invalid("topBoxFrom", "is %d; write a score above %d and up to %d", s.TopBoxFrom, s.Scale.Min, s.Scale.Max)
		}
	default:
		c.invalid("type", "is %q; write NPS, CSAT or CES", s.Type)
	}
	if s.Type != CustomerSatisfaction && s.TopBoxFrom != 0 {
		c.invalid("topBoxFrom", "is for CSAT only; leave it out")
	}
	c.program.scale = s.Scale
}

func (c *compiler) fixedScale(scale Scale) {
	if c.campaign.Scale != (Scale{}) && c.campaign.Scale != scale {
		c.invalid("scale", "is %d to %d; %s is always %d to %d, leave it out", c.campaign.Scale.Min, c.campaign.Scale.Max, c.campaign.Type, scale.Min, scale.Max)
	}
	c.campaign.Scale = scale
}

func (c *compiler) window() {
	w := c.campaign.Window
	switch {
	case w.Start.IsZero() || w.End.IsZero():
		c.invalid("window", "needs a start and an end; a measurement without an end is never read")
	case !w.Start.Before(w.End):
		c.invalid("window", "ends (%s) before it starts (%s)", w.End.Format(time.RFC3339), w.Start.Format(time.RFC3339))
	case !c.refs.Started && !c.refs.Now.Before(w.End):
		c.report(ReasonWindowInPast, "window.end", "%s is over; nobody would be asked", w.End.Format(time.RFC3339))
	}
}

func (c *compiler) trigger() {
	t := &c.campaign.Trigger
	if len(t.Events) == 0 {
		c.invalid("trigger.events", "is empty; write ConversationResolved, Manual or API")
	}
	for i, event := range t.Events {
		if index := event.index(); index >= 0 {
			c.program.on[index] = true
		} else {
			c.invalid(at("trigger.events", i), "is %q; write ConversationResolved, Manual or API", event)
		}
	}
	oneOf(c, "trigger.oncePer", &t.OncePer, OncePerResolution, OncePerConversation, OncePerContact)
	for i, event := range t.CancelOn {
		switch event {
		case ConversationReopened:
			c.program.cancelOn.reopened = true
		case NegativeEvent:
			c.program.cancelOn.negative = true
		default:
			c.invalid(at("trigger.cancelOn", i), "is %q; write ConversationReopened or NegativeEvent", event)
		}
	}
	c.duration("trigger.delay", t.Delay)
	c.duration("trigger.maxDefer", t.MaxDefer)
	c.program.delay, c.program.maxDefer = time.Duration(t.Delay), orDefault(t.MaxDefer, DefaultMaxDefer)
	if t.Schedule != "" {
		c.program.schedule = c.refs.Schedules[t.Schedule]
		if c.program.schedule == nil {
			c.report(ReasonScheduleNotFound, "trigger.schedule", "Schedule %s does not exist, or is not accepted; nobody is asked at all until it is", t.Schedule)
		}
	}
	if t.Exclude.MinInboundMessages < 0 {
		c.invalid("trigger.exclude.minInboundMessages", "is %d; write 0 or more", t.Exclude.MinInboundMessages)
	}
}

// index of an event among those a program knows, or −1.
func (e TriggerEvent) index() int {
	switch e {
	case ConversationResolved:
		return 0
	case Manual:
		return 1
	case API:
		return 2
	}
	return -1
}

// tagShape is that of the BCP 47 tags that occur: a language, then script,
// region and variants.
var tagShape = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$`)

func (c *compiler) languages() {
	l := c.campaign.Languages
	if len(l.Offered) == 0 || len(l.Offered) > MaxLanguages {
		c.invalid("languages.offered", "has %d languages; write 1 to %d, like en or pt-BR", len(l.Offered), MaxLanguages)
	}
	for i, tag := range l.Offered {
		if !tagShape.MatchString(tag) {
			c.invalid(at("languages.offered", i), "is %q; write a BCP 47 tag like en or pt-BR", tag)
		}
		if slices.Contains(l.Offered[:i], tag) {
			c.invalid(at("languages.offered", i), "%s is there twice", tag)
		}
	}
	if l.Fallback != "" && !slices.Contains(l.Offered, l.Fallback) {
		c.invalid("languages.fallback", "%s is not among languages.offered", l.Fallback)
	}
}

func (c *compiler) audience() {
	a := &c.campaign.Audience
	if a.Consent.Purpose == "" {
		a.Consent.Purpose = "survey"
	}
	c.atMost("audience.matches", len(a.Matches), MaxMatches)
	for i := range a.Matches {
		m := match{spec: &a.Matches[i]}
		field := at("audience.matches", i)
		for j, tag := range m.spec.Languages {
			if !tagShape.MatchString(tag) {
				c.invalid(at(field+".languages", j), "is %q; write a BCP 47 tag like en or pt-BR", tag)
			}
		}
		if m.spec.Expression != "" {
			expr, err := audienceEnvironment.Compile(m.spec.Expression)
			if err != nil {
				c.report(ReasonInvalidExpression, field+".expression", "%v", err)
			}
			m.expression = expr
		}
		c.program.matches = append(c.program.matches, m)
	}
}

// shares are sampling and holdout.
func (c *compiler) shares() {
	s, h, p := &c.campaign.Sampling, &c.campaign.Holdout, c.program
	oneOf(c, "sampling.unit", &s.Unit, UnitContact, UnitConversation)
	oneOf(c, "holdout.scope", &h.Scope, HoldoutCampaign, HoldoutGroup)
	p.sampleSlots, p.seed = routing.Slots, s.Seed
	if p.seed == "" {
		p.seed = p.Name
	}
	if s.Rate != "" {
		p.sampleSlots = c.percent("sampling.rate", s.Rate)
		if s.Rate != "" && p.sampleSlots == 0 {
			c.invalid("sampling.rate", "is 0%%: nobody would be asked; write suspended: true to pause")
		}
	}
	p.holdSeed = p.seed
	if h.Scope == HoldoutGroup {
		p.holdSeed = "group/" + c.campaign.Frequency.Group
		if c.campaign.Frequency.Group == "" {
			c.invalid("holdout.scope", "is Group, and frequency.group is empty; name the group")
		}
	}
	if h.Fraction != "" {
		p.holdSlots = c.percent("holdout.fraction", h.Fraction)
		if p.holdSlots == routing.Slots {
			c.invalid("holdout.fraction", "is 100%%: nobody would be asked; 5%% to 20%% is usual")
		}
	}
}

// percent reads a percentage; −1 after a finding.
func (c *compiler) percent(field, text string) int {
	slots, err := ParsePercent(text)
	if err != nil {
		c.invalid(field, "%v", err)
		return -1
	}
	return slots
}

func (c *compiler) channels() {
	if len(c.campaign.Channels) == 0 {
		c.invalid("channels", "is empty; name the Channels to ask on")
	}
	for i, name := range c.campaign.Channels {
		c.channel(at("channels", i), name)
	}
}

// channel checks that it exists and that it can ask at all.
func (c *compiler) channel(field, name string) {
	channel, ok := c.refs.Channels[name]
	switch {
	case !ok:
		c.report(ReasonChannelNotFound, field, "Channel %s does not exist, or does not use this store", name)
	case !channel.CanSend:
		c.report(ReasonChannelCannotAsk, field, "Channel %s only receives; nobody can be asked there", name)
	case channel.Window > 0 && !channel.Template && c.program.delay >= channel.Window:
		c.report(ReasonChannelCannotAsk, field, "%s lets nobody be written to %s after their last message, and trigger.delay is %s; make it shorter, or have a template approved",
			channel.Platform, channel.Window, c.program.delay)
	}
}

func (c *compiler) frequency() {
	f, p := &c.campaign.Frequency, c.program
	oneOf(c, "frequency.from", &f.From, FromSent, FromAnswered)
	oneOf(c, "frequency.onThrottled", &f.OnThrottled, ThrottledDrop, ThrottledDefer)
	c.duration("frequency.campaignCooldown", f.CampaignCooldown)
	c.duration("frequency.groupCooldown", f.GroupCooldown)
	if f.GroupCooldown > 0 && f.Group == "" {
		c.invalid("frequency.groupCooldown", "needs frequency.group, the name that the campaigns share")
	}
	if f.Priority < 0 || f.Priority > 1000 {
		c.invalid("frequency.priority", "is %d; write 0 to 1000", f.Priority)
	}
	p.cooldown, p.groupWait = time.Duration(f.CampaignCooldown), time.Duration(f.GroupCooldown)
}

// at names an element of a list.
func at(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// oneOf checks an enumeration and fills in its first value by default.
func oneOf[T ~string](c *compiler, field string, value *T, allowed ...T) {
	if *value == "" {
		*value = allowed[0]
	}
	if !slices.Contains(allowed, *value) {
		c.invalid(field, "is %q; write one of %v", *value, allowed)
	}
}

func (c *compiler) atMost(field string, n, most int) {
	if n > most {
		c.invalid(field, "has %d entries; %d is the most", n, most)
	}
}

func (c *compiler) duration(field string, d document.Duration) {
	if d < 0 || time.Duration(d) > maxDuration {
		c.invalid(field, "is %s; write 0 to two years", time.Duration(d))
	}
}
