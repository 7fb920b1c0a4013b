package routing

import (
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Bounds and defaults of queues.
const (
	// MaxSkillLevel bounds a level, so that levels mean the same in every queue.
	MaxSkillLevel = 100
	// DefaultUnits is the capacity of an agent who has none of their own: a phone
	// call, or four chats, or twenty mails (see DefaultCost).
	DefaultUnits = 100
	// DefaultOfferTimeout is how long an agent has to accept.
	DefaultOfferTimeout = 30 * time.Second
	// DefaultAwayAfterMissed is how many offers in a row may expire: one can be bad
	// luck, with two nobody is at the desk.
	DefaultAwayAfterMissed = 2
	// DefaultBoost is how many points a minute of waiting is worth.
	DefaultBoost = 1
)

// Points of a priority in a queue's order. At DefaultBoost half an hour of waiting
// outweighs one class, and after an hour and a half nobody who comes later comes
// before, whatever their priority: that is the bound on starvation.
var points = map[Priority]int64{PriorityLow: 0, PriorityNormal: 30, PriorityHigh: 60, PriorityUrgent: 90}

// ChannelClass is how much of a person a conversation takes.
type ChannelClass string

const (
	ClassVoice ChannelClass = "voice"
	ClassChat  ChannelClass = "chat" // every messaging platform
	ClassMail  ChannelClass = "mail"
)

// DefaultCost is the units of a conversation of a class: a phone call takes all of a
// person, and they can have four chats at a time, or twenty mails.
func DefaultCost(class ChannelClass) int {
	switch class {
	case ClassVoice:
		return 100
	case ClassMail:
		return 5
	}
	return 25
}

// QueueSpec is an AgentQueue: which agents, and how they get conversations. Its
// JSON is what an AgentQueue entry of the store document carries.
type QueueSpec struct {
	Name string `json:"name"` // "namespace/name"
	// Selector of the agents; an empty one selects all.
	Selector Selector `json:"selector,omitzero"`
	// Strategy is LeastLoaded when empty.
	Strategy Strategy `json:"strategy,omitempty"`
	Capacity Capacity `json:"capacity,omitzero"`
	Offer    Offer    `json:"offer,omitzero"`
	// Schedule of the queue, by name; empty: always open.
	Schedule string `json:"schedule,omitempty"`
	Limits   Limits `json:"limits,omitzero"`
	// PriorityBoostPerMinute is how many points a minute of waiting (business time,
	// where the queue has a schedule) is worth. Nil: DefaultBoost. With 0 waiting
	// counts only among equals, and a low priority can wait for ever.
	PriorityBoostPerMinute *int      `json:"priorityBoostPerMinute,omitempty"`
	OnOffline              OnOffline `json:"onOffline,omitzero"`
}

// Selector says which agents work in a queue.
type Selector struct {
	Labels map[string]string `json:"labels,omitempty"` // all of them, exactly
	Skills []Skill           `json:"skills,omitempty"` // all of them
}

// Selects reports whether an agent with these labels and skills is one.
func (s Selector) Selects(labels map[string]string, skills map[string]int) bool {
	for key, value := range s.Labels {
		if have, ok := labels[key]; !ok || have != value {
			return false
		}
	}
	for _, skill := range s.Skills {
		if !hasSkill(skills, skill.Name, skill.MinLevel) {
			return false
		}
	}
	return true
}

func hasSkill(skills map[string]int, name string, minLevel int) bool {
	level, ok := skills[name]
	return ok && level >= minLevel
}

// Strategy is which of the agents who can gets a conversation.
type Strategy string

const (
	// LeastLoaded: who uses the smallest part of their capacity.
	LeastLoaded Strategy = "LeastLoaded"
	// LongestIdle: who was given something longest ago.
	LongestIdle Strategy = "LongestIdle"
	// RoundRobin: who comes after the last, by id.
	RoundRobin Strategy = "RoundRobin"
)

// Capacity is what agents of a queue can carry.
type Capacity struct {
	// Units of an agent without units of their own. Zero: DefaultUnits.
	Units int `json:"units,omitempty"`
	// Costs are the units of a conversation by class, over DefaultCost.
	Costs map[ChannelClass]int `json:"costs,omitempty"`
	// IdleAfter: a conversation in which the contact has been silent for so long
	// costs IdleUnits. Zero: never.
	IdleAfter document.Duration `json:"idleAfter,omitempty"`
	IdleUnits int               `json:"idleUnits,omitempty"`
	// MaxNew bounds how many an agent is given within a window.
	MaxNew MaxNew `json:"maxNew,omitzero"`
}

// MaxNew is a count within a window; a zero count is no bound.
type MaxNew struct {
	Count  int               `json:"count"`
	Window document.Duration `json:"window"`
}

// Cost is what a conversation of a class takes of an agent, after the contact has
// been silent for a time.
func (c Capacity) Cost(class ChannelClass, silent time.Duration) int {
	if c.IdleAfter > 0 && silent >= time.Duration(c.IdleAfter) {
		return c.IdleUnits
	}
	if cost, ok := c.Costs[class]; ok {
		return cost
	}
	return DefaultCost(class)
}

// Offer is how an agent gets a conversation.
type Offer struct {
	// Mode is Offer when empty.
	Mode OfferMode `json:"mode,omitempty"`
	// Timeout of an offer. Zero: DefaultOfferTimeout.
	Timeout document.Duration `json:"timeout,omitempty"`
	// AwayAfterMissed offers in a row make an agent away. Zero: DefaultAwayAfterMissed.
	AwayAfterMissed int `json:"awayAfterMissed,omitempty"`
}

// OfferMode is whether an agent is asked.
type OfferMode string

const (
	OfferAccept OfferMode = "Offer"  // the agent accepts or declines
	OfferAssign OfferMode = "Assign" // it is theirs at once
)

// Away reports whether an agent who missed so many offers in a row is away.
func (o Offer) Away(missed int) bool {
	limit := o.AwayAfterMissed
	if limit == 0 {
		limit = DefaultAwayAfterMissed
	}
	return missed >= limit
}

// Until is when an offer made now expires; zero in mode Assign.
func (o Offer) Until(now time.Time) time.Time {
	switch {
	case o.Mode == OfferAssign:
		return time.Time{}
	case o.Timeout > 0:
		return now.Add(time.Duration(o.Timeout))
	}
	return now.Add(DefaultOfferTimeout)
}

// Limits are when a queue does not take, or keep, a conversation. Zero: no limit.
type Limits struct {
	MaxDepth int               `json:"maxDepth,omitempty"`
	MaxWait  document.Duration `json:"maxWait,omitempty"`
	// OnFull is NextStep when empty.
	OnFull OnFull `json:"onFull,omitempty"`
}

// OnFull is what a queue at its limit does.
type OnFull string

const (
	OnFullNextStep OnFull = "NextStep" // the conversation goes on to its next step
	OnFullHold     OnFull = "Hold"     // it waits all the same; the queue's status says so
)

// Full reports whether a queue of this depth sends conversations on:
// QueueFacts.Full, and StepFailed for one that has just come.
func (l Limits) Full(depth int) bool {
	return l.MaxDepth > 0 && depth >= l.MaxDepth && l.OnFull != OnFullHold
}

// Overdue reports whether a conversation has waited so long in the queue that its
// step is over: StepExpired.
func (l Limits) Overdue(waited time.Duration) bool {
	return l.MaxWait > 0 && waited >= time.Duration(l.MaxWait) && l.OnFull != OnFullHold
}

// OnOffline is what happens to the conversations of an agent who goes offline.
type OnOffline struct {
	// Action is RequeueUnanswered when empty.
	Action OnOfflineAction `json:"action,omitempty"`
	// Grace is how long an agent may be gone (a reload, a tunnel) before it does.
	Grace document.Duration `json:"grace,omitempty"`
}

// OnOfflineAction is which conversations go back to the queue.
type OnOfflineAction string

const (
	OfflineKeep              OnOfflineAction = "Keep"
	OfflineRequeueUnanswered OnOfflineAction = "RequeueUnanswered" // whose contact wrote last, or has had no answer of this agent
	OfflineRequeueAll        OnOfflineAction = "RequeueAll"
)

// Requeue reports whether a conversation leaves an agent who has been offline for a
// time. It keeps its age: it comes before whoever arrived after it.
func (o OnOffline) Requeue(answered bool, offline time.Duration) bool {
	if offline < time.Duration(o.Grace) {
		return false
	}
	switch orDefault(o.Action, OfflineRequeueUnanswered) {
	case OfflineRequeueAll:
		return true
	case OfflineRequeueUnanswered:
		return !answered
	}
	return false
}

// CheckQueue says what is wrong with a queue. Each finding rejects it: conversations
// then stay where they are, under the version before.
func CheckQueue(spec QueueSpec, refs Refs) []Finding {
	c := &findings{}
	if spec.Name == "" {
		c.invalid("name", "is empty; write namespace/name of the queue")
	}
	c.pairs("selector.labels", spec.Selector.Labels)
	for i, skill := range spec.Selector.Skills {
		if field := fmt.Sprintf("selector.skills[%d]", i); skill.Name == "" || skill.MinLevel < 0 || skill.MinLevel > MaxSkillLevel {
			c.invalid(field, "is %q at level %d; write a name and a level of 0 to %d", skill.Name, skill.MinLevel, MaxSkillLevel)
		}
	}
	oneOf(c, "strategy", spec.Strategy, "", LeastLoaded, LongestIdle, RoundRobin)
	oneOf(c, "offer.mode", spec.Offer.Mode, "", OfferAccept, OfferAssign)
	oneOf(c, "limits.onFull", spec.Limits.OnFull, "", OnFullNextStep, OnFullHold)
	oneOf(c, "onOffline.action", spec.OnOffline.Action, "", OfflineKeep, OfflineRequeueUnanswered, OfflineRequeueAll)
	c.duration("capacity.idleAfter", spec.Capacity.IdleAfter)
	c.duration("capacity.maxNew.window", spec.Capacity.MaxNew.Window)
	c.duration("offer.timeout", spec.Offer.Timeout)
	c.duration("limits.maxWait", spec.Limits.MaxWait)
	c.duration("onOffline.grace", spec.OnOffline.Grace)
	c.count("capacity.units", spec.Capacity.Units)
	c.count("capacity.idleUnits", spec.Capacity.IdleUnits)
	c.count("capacity.maxNew.count", spec.Capacity.MaxNew.Count)
	c.count("offer.awayAfterMissed", spec.Offer.AwayAfterMissed)
	c.count("limits.maxDepth", spec.Limits.MaxDepth)
	if boost := spec.PriorityBoostPerMinute; boost != nil {
		c.count("priorityBoostPerMinute", *boost)
	}
	for _, class := range sortedKeys(spec.Capacity.Costs) {
		field := fmt.Sprintf("capacity.costs[%s]", class)
		oneOf(c, field, class, ClassVoice, ClassChat, ClassMail)
		c.count(field, spec.Capacity.Costs[class])
	}
	if max := spec.Capacity.MaxNew; max.Count > 0 && max.Window <= 0 {
		c.invalid("capacity.maxNew.window", "is empty; write the time in which an agent is given at most %d", max.Count)
	}
	if _, ok := refs.Schedules[spec.Schedule]; spec.Schedule != "" && !ok {
		c.add(ReasonScheduleNotFound, EffectDegraded, "schedule", "Schedule %q not found; until it exists the queue counts as open", spec.Schedule)
	}
	return c.all
}

// count checks a number of things or units: up to a million, so that products of
// them stay within 64 bits.
func (c *findings) count(field string, n int) {
	if n < 0 || n > 1_000_000 {
		c.invalid(field, "is %d; write 0 to 1000000", n)
	}
}
