package routing

import (
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// MaxTextBytes is how much of a message a rule looks at: Telegram's longest
// message in Latin script. The bound makes a decision's time bounded.
const MaxTextBytes = 4096

// Facts are everything a decision depends on, collected once and kept with the
// decision, so that replaying it gives the same. The JSON form is stable: fields
// are added, never renamed or given another meaning; an absent field is unknown
// or none. Facts are personal data (text, attributes) and live where messages
// live, as long as they.
type Facts struct {
	// Now is when the decision is made: the only clock it knows.
	Now time.Time `json:"now"`
	// Event is why it is made.
	Event        Event             `json:"event"`
	Channel      ChannelFacts      `json:"channel,omitzero"`
	Contact      ContactFacts      `json:"contact"`
	Conversation ConversationFacts `json:"conversation"`
	Message      MessageFacts      `json:"message,omitzero"`
	// Language the contact speaks, as ChooseLanguage found it.
	Language Language `json:"language,omitzero"`
	// Position is where the conversation waits now; zero on Opened.
	Position Position `json:"position,omitzero"`
	// Agent who had this contact last.
	Agent AgentFacts `json:"agent,omitzero"`
	// Schedules by name, as Program.ScheduleFacts finds them.
	Schedules map[string]ScheduleFacts `json:"schedules,omitempty"`
	// Queues, Bots and Webhooks by name. One that is absent counts as healthy.
	Queues   map[string]QueueFacts   `json:"queues,omitempty"`
	Bots     map[string]BackendFacts `json:"bots,omitempty"`
	Webhooks map[string]BackendFacts `json:"webhooks,omitempty"`
	// Sent is when the contact last got each of the policy's own texts.
	Sent map[ReplyKind]time.Time `json:"sent,omitempty"`
}

// Event is a moment at which a conversation is routed. Never every message: a
// conversation that somebody has is not taken away by its next line.
type Event string

const (
	EventOpened           Event = "Opened"           // a new conversation
	EventReopened         Event = "Reopened"         // a message to a solved one
	EventHandoffRequested Event = "HandoffRequested" // a bot gives it up
	EventStepExpired      Event = "StepExpired"      // the step's timeout is over
	EventStepFailed       Event = "StepFailed"       // its backend refuses: queue full, bot broken, webhook failed
)

// ChannelFacts are about the channel the contact writes on.
type ChannelFacts struct {
	Name     string `json:"name,omitempty"` // "namespace/name"
	Platform string `json:"platform,omitempty"`
	Account  string `json:"account,omitempty"`
}

// ContactFacts are about the person.
type ContactFacts struct {
	// ID is the store's, stable across clusters: the unit of splits.
	ID         string            `json:"id"`
	Attributes map[string]string `json:"attributes,omitempty"`
	// LastContactAt is when the contact's conversation before this one had its
	// last message, on any channel; zero: never. On Reopened: of this one.
	LastContactAt time.Time `json:"lastContactAt,omitzero"`
}

// ConversationFacts are about the conversation.
type ConversationFacts struct {
	ID       string            `json:"id"`
	OpenedAt time.Time         `json:"openedAt,omitzero"`
	SolvedAt time.Time         `json:"solvedAt,omitzero"` // before it was reopened
	Topics   []string          `json:"topics,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Priority Priority          `json:"priority,omitempty"`
	// StepChanges and OwnerChanges are how often, in the hour before Now,
	// routing moved this conversation on: see MaxStepChanges.
	StepChanges  int `json:"stepChanges,omitempty"`
	OwnerChanges int `json:"ownerChanges,omitempty"`
	// Bot that asked for the handoff, on HandoffRequested.
	Bot string `json:"bot,omitempty"`
}

// MessageFacts are about the message that made the event.
type MessageFacts struct {
	ID   string `json:"id,omitempty"`
	Type string `json:"type,omitempty"` // of package message
	Text string `json:"text,omitempty"`
}

// Position is a place in a policy: where a decision put a conversation.
type Position struct {
	Policy string `json:"policy,omitempty"`
	Hash   string `json:"hash,omitempty"` // of that version of the policy
	Rule   string `json:"rule,omitempty"` // empty: none matched
	Step   string `json:"step,omitempty"` // "default": the default route
	// Queue it waits in, if it does.
	Queue string `json:"queue,omitempty"`
}

// AgentFacts are about the agent who had the contact last; on Reopened, about the one
// who had that conversation last, if somebody did.
type AgentFacts struct {
	ID string    `json:"id,omitempty"`
	At time.Time `json:"at,omitzero"` // when they last had them
	// Online: present now. Available: online, and with capacity for this conversation.
	Online    bool     `json:"online,omitempty"`
	Available bool     `json:"available,omitempty"`
	Queues    []string `json:"queues,omitempty"` // whose member they are
	// Other: they had the contact, but not the conversation that is reopened.
	Other bool `json:"other,omitempty"`
}

// ScheduleFacts are about a schedule.
type ScheduleFacts struct {
	Open bool `json:"open"`
}

// QueueFacts are about a queue.
type QueueFacts struct {
	Online     int               `json:"online"`    // agents present
	Available  int               `json:"available"` // of them, with capacity
	Depth      int               `json:"depth"`     // conversations that wait
	OldestWait document.Duration `json:"oldestWait,omitempty"`
	// Full: at its limit, and the limit says to go on to the next step.
	Full bool `json:"full,omitempty"`
}

// BackendFacts are about a bot or a webhook.
type BackendFacts struct {
	// Failing: its breaker is open.
	Failing bool `json:"failing,omitempty"`
}
