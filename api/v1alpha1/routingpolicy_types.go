package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RoutingPolicySpec says who gets a conversation, in which order.
type RoutingPolicySpec struct {
	// ParentRefs are the Channels whose conversations it routes. In another
	// namespace a Channel's allowedPolicies must let this one in.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	ParentRefs []ObjectReference `json:"parentRefs,omitempty"`

	// ChannelSelector chooses further Channels of this namespace by their labels.
	// An empty one chooses all.
	// +optional
	ChannelSelector *LabelSelector `json:"channelSelector,omitempty"`

	// Priority orders the policies of one Channel: higher first, then by
	// namespace/name; 0 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Priority int32 `json:"priority,omitempty"`

	// Mode is Enforce, or Shadow (decide and record beside what is in force, and
	// do nothing); Enforce when left out.
	// +optional
	Mode PolicyMode `json:"mode,omitempty"`

	// Split is what weighted choices are drawn by.
	// +optional
	Split *PolicySplit `json:"split,omitempty"`

	// Rules are tried in order; the first that matches wins.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Rules []RoutingRule `json:"rules,omitempty"`

	// OutOfHours is what happens when the chosen queue is closed.
	// +optional
	OutOfHours *OutOfHours `json:"outOfHours,omitempty"`

	// DefaultRoute takes what no rule matches. It must work, or nothing of the
	// policy is used.
	DefaultRoute DefaultRoute `json:"defaultRoute"`

	// Reopen is who gets a conversation that its contact opened again.
	// +optional
	Reopen *ReopenPolicy `json:"reopen,omitempty"`

	// Greeting is sent when a conversation opens and a person will answer it.
	// +optional
	Greeting *PolicyReply `json:"greeting,omitempty"`

	// AutoReply is sent when a conversation opens or reopens and waits for a
	// person, unless the greeting or the away text is sent.
	// +optional
	AutoReply *PolicyReply `json:"autoReply,omitempty"`

	// DefaultLanguage is the language of texts for contacts who speak none of
	// theirs; needed where a text has more than one.
	// +optional
	// +kubebuilder:validation:MaxLength=35
	DefaultLanguage string `json:"defaultLanguage,omitempty"`

	// Webhooks are services of your own that backendRefs can name: asked once, they
	// say who gets a conversation.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Webhooks []RoutingWebhook `json:"webhooks,omitempty"`

	// Suspend keeps the version that is in force, whatever the spec says.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// PolicyMode says whether decisions are acted on.
// +kubebuilder:validation:Enum=Enforce;Shadow
type PolicyMode string

const (
	// PolicyEnforce acts on decisions.
	PolicyEnforce PolicyMode = "Enforce"
	// PolicyShadow records decisions and does nothing.
	PolicyShadow PolicyMode = "Shadow"
)

// SplitUnit is what falls into a share as a whole.
// +kubebuilder:validation:Enum=Contact;Conversation
type SplitUnit string

// PolicySplit is what weighted choices are drawn by.
type PolicySplit struct {
	// Unit is Contact (a person meets the same backend every time) or
	// Conversation; Contact when left out.
	// +optional
	Unit SplitUnit `json:"unit,omitempty"`

	// Seed of the draw; the policy's namespace/name when left out. Policies with
	// one seed draw alike.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Seed string `json:"seed,omitempty"`
}

// DefaultRoute is where conversations go without conditions.
type DefaultRoute struct {
	// BackendRefs are AgentQueues only: a bot or a webhook can fail, and behind
	// the default route there is nothing.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(b, b.kind == 'AgentQueue')",message="the default route takes AgentQueues only: behind it there is nothing that could help a bot or a webhook out"
	BackendRefs []BackendRef `json:"backendRefs"`

	// Skills that an agent of the queue should have.
	// +optional
	Skills *RoutingSkills `json:"skills,omitempty"`
}

// OutOfHoursAction is one of the ways to treat a closed queue.
// +kubebuilder:validation:Enum=HoldAndReply;Bot;NextStep;Ignore
type OutOfHoursAction string

// OutOfHours is what happens when the chosen queue is closed.
// +kubebuilder:validation:XValidation:rule="self.action != 'Bot' || has(self.botRef)",message="botRef is required when action is Bot"
type OutOfHours struct {
	// ScheduleRef is the Schedule of queues that have none of their own.
	// +optional
	ScheduleRef *LocalReference `json:"scheduleRef,omitempty"`

	// Action is HoldAndReply (wait in the queue, and send the away text), Bot,
	// NextStep (skip the step) or Ignore (as if it were open).
	Action OutOfHoursAction `json:"action"`

	// Away is the text of HoldAndReply.
	// +optional
	Away *PolicyReply `json:"away,omitempty"`

	// BotRef is the Bot that takes over with the action Bot; where it cannot,
	// HoldAndReply applies.
	// +optional
	BotRef *LocalReference `json:"botRef,omitempty"`
}

// Reroute is whether a reopened conversation is routed anew.
// +kubebuilder:validation:Enum=IfAgentUnavailable;Always;Never
type Reroute string

// ReopenPolicy is who gets a conversation that its contact opened again. Whether
// it reopens at all is the Channel's reopenWindow.
type ReopenPolicy struct {
	// Reroute is IfAgentUnavailable, Always, or Never (back to the agent, also to
	// one who is away); IfAgentUnavailable when left out.
	// +optional
	Reroute Reroute `json:"reroute,omitempty"`

	// Within is how long the agent who had it gets it back; as long as it can be
	// reopened when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Within *metav1.Duration `json:"within,omitempty"`
}

// PolicyReply is a text that the policy sends by itself.
type PolicyReply struct {
	// Texts by language.
	Texts Texts `json:"texts"`

	// OncePer is how long the same contact is spared after one; once per
	// conversation when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	OncePer *metav1.Duration `json:"oncePer,omitempty"`
}

// RoutingWebhook is a service that says who gets a conversation.
type RoutingWebhook struct {
	// Name that backendRefs name it by.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	WebhookEndpoint `json:",inline"`

	// IncludeText sends the message's text along; without it only ids and facts.
	// +optional
	IncludeText bool `json:"includeText,omitempty"`
}

// MaxParentStatuses is how many parents stand in a policy's status: a selector
// can match thousands of Channels. Those with something wrong come first.
const MaxParentStatuses = 64

// RoutingPolicyStatus is what is really there. Decisions, and how many there
// were, are in the store's REST API and metrics.
type RoutingPolicyStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Accepted, PartiallyInvalid, ResolvedRefs, Programmed,
	// Conflicted, Looping, Reconciling, Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Hash of the policy with what its references resolve to. Decisions name it.
	// Empty where the stores of its Channels resolve them differently: each of
	// parents has its own then.
	// +optional
	Hash string `json:"hash,omitempty"`

	// Channels is how many Channels it is attached to.
	// +optional
	Channels int32 `json:"channels,omitempty"`

	// Parents are the Channels that it names or chooses: at most 64, those with
	// something wrong first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Parents []ParentStatus `json:"parents,omitempty"`

	// Rules is what became of each rule.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Rules []RuleStatus `json:"rules,omitempty"`
}

// ParentStatus is how a policy stands with one Channel.
type ParentStatus struct {
	// ParentRef is the Channel that this row is about.
	ParentRef ObjectReference `json:"parentRef"`

	// Store is the namespace/name of the ConversationStore behind it.
	// +optional
	Store string `json:"store,omitempty"`

	// Hash of the policy with what its references resolve to in this store, as
	// decisions about the Channel's conversations name it.
	// +optional
	Hash string `json:"hash,omitempty"`

	// Conditions: Accepted, ResolvedRefs, Programmed, Conflicted.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RuleState is whether a rule takes part.
// +kubebuilder:validation:Enum=Active;Shadowed;Dropped
type RuleState string

const (
	// RuleActive takes part.
	RuleActive RuleState = "Active"
	// RuleShadowed: earlier rules take all that it would match.
	RuleShadowed RuleState = "Shadowed"
	// RuleDropped has a mistake and is left out.
	RuleDropped RuleState = "Dropped"
)

// RuleStatus is what became of a rule.
type RuleStatus struct {
	// Name of the rule in spec that this row is about.
	Name string `json:"name"`

	// State is Active, Shadowed or Dropped.
	State RuleState `json:"state"`

	// ShadowedBy are the rules that take all that this one would match.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	ShadowedBy []string `json:"shadowedBy,omitempty"`

	// Reason is one word for what is wrong.
	// +optional
	Reason string `json:"reason,omitempty"`

	// Message says what is wrong, and what to do about it.
	// +optional
	Message string `json:"message,omitempty"`
}

// RoutingPolicy says who gets a conversation, in which order, and why.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rp,categories=bridgekeeper
// +kubebuilder:selectablefield:JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Channels",type=integer,JSONPath=`.status.channels`
// +kubebuilder:printcolumn:name="Priority",type=integer,JSONPath=`.spec.priority`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be at most 63 lower-case letters, digits and dashes: it stands in metrics and in the REST API"
type RoutingPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec RoutingPolicySpec `json:"spec"`
	// A fresh object says that nothing was observed yet, so that GitOps tools
	// do not take it for healthy before the operator has seen it.
	// +kubebuilder:default={"observedGeneration":-1}
	Status RoutingPolicyStatus `json:"status,omitempty"`
}

// RoutingPolicyList is a list of RoutingPolicies.
// +kubebuilder:object:root=true
type RoutingPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RoutingPolicy `json:"items"`
}

// GetConditions returns the conditions of the status.
func (o *RoutingPolicy) GetConditions() *[]metav1.Condition { return &o.Status.Conditions }
