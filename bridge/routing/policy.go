package routing

import "github.com/bridgekeeper/bridgekeeper/bridge/document"

// Bounds of a policy, of its lists and strings: what a person can oversee, and
// what keeps one decision short and the resource within the API server's means.
const (
	MaxRules      = 32
	MaxMatches    = 16 // of a rule
	MaxSteps      = 8  // of a rule
	MaxBackends   = 16 // of a step
	MaxValues     = 64 // of a list or map in a match
	MaxValueBytes = 256
	MaxTexts      = 32   // languages of a reply
	MaxReplyBytes = 4096 // of one text: what every platform takes in one to a few parts
	MaxPriority   = 1000 // of a policy
)

// Policy says who gets a conversation, in which order. Its JSON is what a
// RoutingPolicy entry of the store document carries. References are names as the
// Refs know them; the compiler of the resource writes them as "namespace/name".
type Policy struct {
	// Name is "namespace/name". It is the seed of the split unless Split names one.
	Name string `json:"name"`
	// Priority orders the policies of one channel, higher first, then by Name.
	Priority int `json:"priority,omitempty"`
	// Mode is Enforce when empty.
	Mode  Mode  `json:"mode,omitempty"`
	Split Split `json:"split,omitzero"`
	// Rules are tried in order; the first that matches wins.
	Rules []Rule `json:"rules,omitempty"`
	// OutOfHours is what happens when the chosen queue is closed; nil: nothing special.
	OutOfHours *OutOfHours `json:"outOfHours,omitempty"`
	// DefaultRoute takes what no rule matches. Required.
	DefaultRoute *Route `json:"defaultRoute"`
	Reopen       Reopen `json:"reopen,omitzero"`
	// Greeting is sent when a conversation opens and a person will answer it.
	Greeting *Reply `json:"greeting,omitempty"`
	// AutoReply is sent when a conversation opens or reopens and waits for a
	// person, unless the greeting or the away text is sent.
	AutoReply *Reply `json:"autoReply,omitempty"`
	// DefaultLanguage is the language of texts when the contact's has none.
	// Required where a Reply has texts in more than one language.
	DefaultLanguage string `json:"defaultLanguage,omitempty"`
}

// Mode says whether decisions are acted on.
type Mode string

const (
	ModeEnforce Mode = "Enforce"
	ModeShadow  Mode = "Shadow" // decide and record beside the live decision, do nothing
)

// Split is what a weighted choice is drawn by.
type Split struct {
	// Unit is Contact when empty: a person meets the same backend every time.
	Unit Unit `json:"unit,omitempty"`
	// Seed is the policy's Name when empty. Policies with one seed, rule and step
	// name draw alike, on purpose.
	Seed string `json:"seed,omitempty"`
}

// Unit is what falls into a slot.
type Unit string

const (
	UnitContact      Unit = "Contact"
	UnitConversation Unit = "Conversation"
)

// Rule is a condition and who gets what fulfils it.
type Rule struct {
	// Name is a DNS label, unique in the policy, and not "default".
	Name string `json:"name"`
	// Matches are alternatives: one suffices. None: the rule always matches.
	Matches []Match `json:"matches,omitempty"`
	// Set is written to a conversation that matches.
	Set Set `json:"set,omitzero"`
	// Steps are tried in order: at most one is in force.
	Steps []Step `json:"steps"`
	// OnExhausted is Hold when empty.
	OnExhausted OnExhausted `json:"onExhausted,omitempty"`
}

// Match is a condition: all of its fields must hold. An empty Match always holds.
type Match struct {
	// Languages are BCP 47 ranges: "fr" also matches fr-CA. Any of them.
	Languages []string `json:"languages,omitempty"`
	// Topics that a bot or a classifier gave the conversation. Any of them.
	Topics []string `json:"topics,omitempty"`
	// Labels of the conversation. All of them, exactly.
	Labels map[string]string `json:"labels,omitempty"`
	// Attributes of the contact. All of them, exactly.
	Attributes map[string]string `json:"attributes,omitempty"`
	// Schedule that must be open, or closed.
	Schedule *ScheduleMatch `json:"schedule,omitempty"`
	// Text of the message that opened the conversation (or asked for a person).
	Text *TextMatch `json:"text,omitempty"`
	// SinceLastContact is how long ago the contact was last in touch.
	SinceLastContact *SinceMatch `json:"sinceLastContact,omitempty"`
	// Expression is CEL and must be true; see Environment.
	Expression string `json:"expression,omitempty"`
}

// ScheduleMatch holds while a schedule is in a state.
type ScheduleMatch struct {
	Name string        `json:"name"`
	Is   ScheduleState `json:"is"`
}

// ScheduleState is whether somebody is there.
type ScheduleState string

const (
	ScheduleOpen   ScheduleState = "Open"
	ScheduleClosed ScheduleState = "Closed"
)

// TextMatch holds when the text has the keywords, as whole words, without regard
// to case and punctuation. Only the first MaxTextBytes of a text are looked at.
type TextMatch struct {
	Any  []string `json:"any,omitempty"`  // at least one of them
	All  []string `json:"all,omitempty"`  // each of them
	None []string `json:"none,omitempty"` // not one of them
}

// SinceMatch holds when AtLeast ≤ time since the last contact < LessThan. Zero:
// no bound. Who was never in touch is infinitely long ago.
type SinceMatch struct {
	AtLeast  document.Duration `json:"atLeast,omitempty"`
	LessThan document.Duration `json:"lessThan,omitempty"`
}

// Set is what a rule writes to a conversation.
type Set struct {
	Priority Priority          `json:"priority,omitempty"` // empty: as it is
	Labels   map[string]string `json:"labels,omitempty"`
}

// Priority of a conversation in a queue.
type Priority string

const (
	PriorityLow    Priority = "Low"
	PriorityNormal Priority = "Normal"
	PriorityHigh   Priority = "High"
	PriorityUrgent Priority = "Urgent"
)

// Step is one attempt at finding somebody.
type Step struct {
	// Name is a DNS label, unique in the rule.
	Name string `json:"name"`
	// Sticky offers the conversation to the contact's last agent. A step with
	// Sticky and no BackendRefs is skipped when that cannot be; one with both
	// goes on to its backends.
	Sticky *Sticky `json:"sticky,omitempty"`
	// BackendRefs share the step's conversations by weight.
	BackendRefs []BackendRef `json:"backendRefs,omitempty"`
	// Skills that an agent of the queue should have.
	Skills Skills `json:"skills,omitzero"`
	// SkipIf skips the step at once when the chosen queue cannot help.
	SkipIf *SkipIf `json:"skipIf,omitempty"`
	// Timeout ends the step. Zero: it lasts until somebody has taken the conversation.
	Timeout document.Duration `json:"timeout,omitempty"`
	// Clock that Timeout runs on, Wall when empty. Business needs a queue with a
	// schedule, or OutOfHours.Schedule.
	Clock Clock `json:"clock,omitempty"`
	// Next is the step that follows this one, in the same rule; empty: the next in
	// the list.
	Next string `json:"next,omitempty"`
}

// Sticky brings a contact back to the agent they know.
type Sticky struct {
	// MaxAge is how long ago the agent may have had the contact; zero: any time.
	MaxAge document.Duration `json:"maxAge,omitempty"`
	// Require is Online when empty.
	Require StickyRequire `json:"require,omitempty"`
}

// StickyRequire is what the known agent must be to be waited for.
type StickyRequire string

const (
	RequireOnline             StickyRequire = "Online"
	RequireOnlineWithCapacity StickyRequire = "OnlineWithCapacity"
)

// BackendKind is what can own a conversation.
type BackendKind string

const (
	BackendAgentQueue BackendKind = "AgentQueue"
	BackendBot        BackendKind = "Bot"
	BackendWebhook    BackendKind = "Webhook"
)

// BackendRef names a backend and its share.
type BackendRef struct {
	Kind BackendKind `json:"kind"`
	Name string      `json:"name"`
	// Weight is a share of the sum, not a percentage: 1 when absent, 0 for none.
	Weight *int `json:"weight,omitempty"`
}

// Skills are what an agent must have (Required), and what they should have
// (Preferred).
type Skills struct {
	Required  []Skill          `json:"required,omitempty"`
	Preferred []PreferredSkill `json:"preferred,omitempty"`
}

// Skill is a skill and the least level of it; 0 and 1 are the same: any.
type Skill struct {
	Name     string `json:"name"`
	MinLevel int    `json:"minLevel,omitempty"`
}

// PreferredSkill is required until the conversation has waited DropAfter in its
// step; from then on, and from the beginning when DropAfter is zero, it only
// puts agents who have it first.
type PreferredSkill struct {
	Name      string            `json:"name"`
	MinLevel  int               `json:"minLevel,omitempty"`
	DropAfter document.Duration `json:"dropAfter,omitempty"`
}

// SkipIf skips a step when any of its fields that are set holds for the chosen
// queue. Absent facts about a queue skip nothing.
type SkipIf struct {
	// OnlineBelow: fewer agents are online.
	OnlineBelow int `json:"onlineBelow,omitempty"`
	// AvailableBelow: fewer agents are online with capacity to spare.
	AvailableBelow int `json:"availableBelow,omitempty"`
	// DepthAbove: more conversations wait. Nil: no bound.
	DepthAbove *int `json:"depthAbove,omitempty"`
	// OldestWaitAbove: the first in line waits longer.
	OldestWaitAbove document.Duration `json:"oldestWaitAbove,omitempty"`
}

// Clock is what a duration runs on.
type Clock string

const (
	ClockWall     Clock = "Wall"
	ClockBusiness Clock = "Business" // stands still while the schedule is closed
)

// OnExhausted is what happens when a rule's steps are used up.
type OnExhausted string

const (
	ExhaustedHold    OnExhausted = "Hold"    // wait in the last queue, however long
	ExhaustedDefault OnExhausted = "Default" // go to the default route
	ExhaustedClose   OnExhausted = "Close"   // solve it, for automated rules such as "thanks"
)

// Route is where conversations go without conditions.
type Route struct {
	// BackendRefs are AgentQueues only: a bot or a webhook can fail, and behind
	// the default route there is nothing.
	BackendRefs []BackendRef `json:"backendRefs"`
	Skills      Skills       `json:"skills,omitzero"`
}

// OutOfHours is what happens when the chosen queue's schedule is closed.
type OutOfHours struct {
	// Schedule of queues that have none of their own.
	Schedule string           `json:"schedule,omitempty"`
	Action   OutOfHoursAction `json:"action"`
	// Away is the text of HoldAndReply.
	Away *Reply `json:"away,omitempty"`
	// Bot takes over with the action Bot; where it cannot, HoldAndReply applies.
	Bot string `json:"bot,omitempty"`
}

// OutOfHoursAction is one of the ways to treat a closed queue.
type OutOfHoursAction string

const (
	OutOfHoursHoldAndReply OutOfHoursAction = "HoldAndReply" // wait in the queue, send the away text
	OutOfHoursBot          OutOfHoursAction = "Bot"
	OutOfHoursNextStep     OutOfHoursAction = "NextStep" // skip the step
	OutOfHoursIgnore       OutOfHoursAction = "Ignore"   // as if it were open
)

// Reopen is who gets a conversation that its contact opened again.
type Reopen struct {
	// Reroute is IfAgentUnavailable when empty.
	Reroute Reroute `json:"reroute,omitempty"`
	// Within is how long after it was solved the agent who had it gets it back;
	// later it is routed like a new one. Zero: as long as it can be reopened.
	// (Whether it reopens at all is the channel's reopenWindow.)
	Within document.Duration `json:"within,omitempty"`
}

// Reroute is whether a reopened conversation is routed anew.
type Reroute string

const (
	RerouteIfAgentUnavailable Reroute = "IfAgentUnavailable"
	RerouteAlways             Reroute = "Always"
	RerouteNever              Reroute = "Never" // back to the agent, even one who is away
)

// Reply is a text that the policy sends by itself, in the contact's language.
type Reply struct {
	// Texts by BCP 47 language.
	Texts map[string]string `json:"texts"`
	// OncePer is how long the same contact is spared after one. Zero: once per
	// conversation.
	OncePer document.Duration `json:"oncePer,omitempty"`
}

// ReplyKind is which of the policy's texts a reply is.
type ReplyKind string

const (
	ReplyGreeting ReplyKind = "greeting"
	ReplyAway     ReplyKind = "away"
	ReplyAuto     ReplyKind = "autoReply"
)
