package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RoutingRule is a condition, and who gets what fulfils it.
// +kubebuilder:validation:XValidation:rule="self.name != 'default'",message="name must not be default, which stands for the default route"
type RoutingRule struct {
	// Name of the rule; decisions and metrics have it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// Matches are alternatives, of which one suffices; a rule without any always
	// matches.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Matches []RoutingMatch `json:"matches,omitempty"`

	// Set is written to a conversation that matches.
	// +optional
	Set *RoutingSet `json:"set,omitempty"`

	// Steps are tried in order.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Steps []RoutingStep `json:"steps"`

	// OnExhausted is what happens when the steps are used up: Hold (wait in the
	// last queue), Default (take the default route) or Close; Hold when left out.
	// +optional
	OnExhausted OnExhausted `json:"onExhausted,omitempty"`
}

// OnExhausted is what happens when a rule's steps are used up.
// +kubebuilder:validation:Enum=Hold;Default;Close
type OnExhausted string

// RoutingMatch is a condition: all that is written must hold.
type RoutingMatch struct {
	// Languages of the contact, as BCP 47 ranges: fr takes fr-CA as well. Any of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=35
	Languages []string `json:"languages,omitempty"`

	// Topics that a bot gave the conversation. Any of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Topics []string `json:"topics,omitempty"`

	// Labels of the conversation. All of them, exactly.
	// +optional
	Labels Pairs `json:"labels,omitempty"`

	// Attributes of the contact. All of them, exactly.
	// +optional
	Attributes Pairs `json:"attributes,omitempty"`

	// Schedule that must be open, or closed.
	// +optional
	Schedule *ScheduleMatch `json:"schedule,omitempty"`

	// Text of the message that opened the conversation, or asked for a person.
	// +optional
	Text *TextMatch `json:"text,omitempty"`

	// SinceLastContact is how long ago the contact was last in touch.
	// +optional
	SinceLastContact *SinceMatch `json:"sinceLastContact,omitempty"`

	// Expression is CEL over contact, conversation, message, channel and now,
	// and must be true. One that fails does not match.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Expression string `json:"expression,omitempty"`
}

// ScheduleState is whether somebody is there.
// +kubebuilder:validation:Enum=Open;Closed
type ScheduleState string

// ScheduleMatch holds while a Schedule is in a state.
type ScheduleMatch struct {
	// Name of the Schedule, in this namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// Is the state: Open or Closed.
	Is ScheduleState `json:"is"`
}

// TextMatch holds when a text has keywords, as whole words, whatever their case.
type TextMatch struct {
	// Any: at least one of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Any []Keyword `json:"any,omitempty"`

	// All: each of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	All []Keyword `json:"all,omitempty"`

	// None: not one of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	None []Keyword `json:"none,omitempty"`
}

// SinceMatch holds when the time since the last contact is within bounds. Who
// was never in touch is infinitely long ago.
type SinceMatch struct {
	// AtLeast so long ago.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	AtLeast *metav1.Duration `json:"atLeast,omitempty"`

	// LessThan so long ago.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	LessThan *metav1.Duration `json:"lessThan,omitempty"`
}

// ConversationPriority is a conversation's priority in a queue.
// +kubebuilder:validation:Enum=Low;Normal;High;Urgent
type ConversationPriority string

// RoutingSet is what a rule writes to a conversation.
type RoutingSet struct {
	// Priority in queues; as it is when left out.
	// +optional
	Priority ConversationPriority `json:"priority,omitempty"`

	// Labels that are written to the conversation.
	// +optional
	Labels Pairs `json:"labels,omitempty"`
}

// Clock is what a duration runs on.
// +kubebuilder:validation:Enum=Wall;Business
type Clock string

// RoutingStep is one attempt at finding somebody.
// +kubebuilder:validation:XValidation:rule="has(self.sticky) || has(self.backendRefs) && self.backendRefs.size() > 0",message="write backendRefs (who gets the conversation), or make the step sticky"
type RoutingStep struct {
	// Name of the step, unique in its rule, for decisions and metrics.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// Sticky offers the conversation to the agent whom the contact had last. A
	// step without backendRefs is skipped when that cannot be.
	// +optional
	Sticky *Sticky `json:"sticky,omitempty"`

	// BackendRefs share the step's conversations by weight.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	BackendRefs []BackendRef `json:"backendRefs,omitempty"`

	// Skills that an agent of the queue should have.
	// +optional
	Skills *RoutingSkills `json:"skills,omitempty"`

	// SkipIf skips the step at once when the chosen queue cannot help. Any of
	// what is written suffices.
	// +optional
	SkipIf *SkipIf `json:"skipIf,omitempty"`

	// Timeout ends the step; when left out it lasts until somebody has the conversation.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// Clock of the timeout: Wall, or Business, which stands still while the
	// queue's Schedule (else that of outOfHours) is closed; Wall when left out.
	// +optional
	Clock Clock `json:"clock,omitempty"`

	// Next is the step of this rule that follows; the next in the list when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Next string `json:"next,omitempty"`
}

// StickyRequire is what the known agent must be to be waited for.
// +kubebuilder:validation:Enum=Online;OnlineWithCapacity
type StickyRequire string

// Sticky brings a contact back to the agent they know.
type Sticky struct {
	// MaxAge is how long ago the agent may have had the contact; any time when
	// left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`

	// Require is Online or OnlineWithCapacity; Online when left out.
	// +optional
	Require StickyRequire `json:"require,omitempty"`
}

// BackendKind is what can own a conversation.
// +kubebuilder:validation:Enum=AgentQueue;Bot;Webhook
type BackendKind string

const (
	// BackendAgentQueue is an AgentQueue of the policy's namespace.
	BackendAgentQueue BackendKind = "AgentQueue"
	// BackendBot is a Bot of the policy's namespace.
	BackendBot BackendKind = "Bot"
	// BackendWebhook is one of the policy's own webhooks.
	BackendWebhook BackendKind = "Webhook"
)

// BackendRef names a backend and its share.
type BackendRef struct {
	// Kind is AgentQueue, Bot (both of this namespace) or Webhook (of spec.webhooks).
	Kind BackendKind `json:"kind"`

	// Name of the AgentQueue, Bot or webhook that gets this share.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// Weight is a share of the sum, no percentage: 1 when left out, 0 for none.
	// Raising the last one only gives it more contacts.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Weight *int32 `json:"weight,omitempty"`
}

// RoutingSkills are what an agent must have, and what they should have.
type RoutingSkills struct {
	// Required skills are those without which an agent is offered nothing.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Required []RequiredSkill `json:"required,omitempty"`

	// Preferred skills put agents who have them first; nobody waits for them for ever.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Preferred []PreferredSkill `json:"preferred,omitempty"`
}

// PreferredSkill is required until the conversation has waited dropAfter; from
// then on it only puts agents who have it first.
type PreferredSkill struct {
	RequiredSkill `json:",inline"`

	// DropAfter is how long it is required; not at all when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	DropAfter *metav1.Duration `json:"dropAfter,omitempty"`
}

// SkipIf is when a queue cannot help.
type SkipIf struct {
	// OnlineBelow: fewer agents are online.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	OnlineBelow int32 `json:"onlineBelow,omitempty"`

	// AvailableBelow: fewer agents are online with capacity to spare.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	AvailableBelow int32 `json:"availableBelow,omitempty"`

	// DepthAbove: more conversations wait.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	DepthAbove *int32 `json:"depthAbove,omitempty"`

	// OldestWaitAbove: the first in line waits longer.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	OldestWaitAbove *metav1.Duration `json:"oldestWaitAbove,omitempty"`
}
