package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AgentQueueSpec is which agents work in a queue, and how they get
// conversations. Agents are people: they are made by the store's REST API.
type AgentQueueSpec struct {
	// StoreRef is the ConversationStore whose conversations wait here; the one
	// named "default" in this namespace when left out.
	// +optional
	StoreRef *ObjectReference `json:"storeRef,omitempty"`

	// Selector of the agents of this namespace; an empty one selects all.
	// +optional
	Selector *AgentSelector `json:"selector,omitempty"`

	// Strategy is which of the agents who can gets a conversation; LeastLoaded
	// when left out.
	// +optional
	Strategy QueueStrategy `json:"strategy,omitempty"`

	// Capacity is what agents can carry.
	// +optional
	Capacity *QueueCapacity `json:"capacity,omitempty"`

	// Offer is how an agent gets a conversation.
	// +optional
	Offer *QueueOffer `json:"offer,omitempty"`

	// ScheduleRef is the Schedule of the queue; it is always open when left out.
	// +optional
	ScheduleRef *LocalReference `json:"scheduleRef,omitempty"`

	// Limits are when the queue does not take, or keep, a conversation.
	// +optional
	Limits *QueueLimits `json:"limits,omitempty"`

	// PriorityBoostPerMinute is how many points a minute of waiting is worth; 1
	// when left out. The priorities are 30 points apart. With 0 a conversation
	// of low priority can wait for ever.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	PriorityBoostPerMinute *int32 `json:"priorityBoostPerMinute,omitempty"`

	// OnOffline is what happens to the conversations of an agent who goes offline.
	// +optional
	OnOffline *QueueOnOffline `json:"onOffline,omitempty"`

	// Suspend keeps the version that is in force, whatever the spec says.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// AgentSelector says which agents work in a queue. What is written must all hold.
type AgentSelector struct {
	// Labels of the agent, exactly.
	// +optional
	Labels Pairs `json:"labels,omitempty"`

	// Skills that an agent must have, all of them.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Skills []RequiredSkill `json:"skills,omitempty"`
}

// QueueStrategy is which of the agents who can gets a conversation.
// +kubebuilder:validation:Enum=LeastLoaded;LongestIdle;RoundRobin
type QueueStrategy string

// QueueCapacity is what agents of a queue can carry.
type QueueCapacity struct {
	// Units of an agent who has none of their own; 100 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Units int32 `json:"units,omitempty"`

	// Costs are the units that a conversation takes.
	// +optional
	Costs *ConversationCosts `json:"costs,omitempty"`

	// IdleAfter: a conversation in which the contact has been silent for so long
	// takes idleUnits only. Never when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	IdleAfter *metav1.Duration `json:"idleAfter,omitempty"`

	// IdleUnits is what such a conversation takes; 0 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	IdleUnits int32 `json:"idleUnits,omitempty"`

	// MaxNew bounds how many conversations an agent is given within a time; no
	// bound when left out.
	// +optional
	MaxNew *QueueMaxNew `json:"maxNew,omitempty"`
}

// ConversationCosts are the units that conversations take, by class of channel.
type ConversationCosts struct {
	// Voice; 100 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Voice *int32 `json:"voice,omitempty"`

	// Chat is every messaging platform; 25 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Chat *int32 `json:"chat,omitempty"`

	// Mail; 5 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Mail *int32 `json:"mail,omitempty"`
}

// QueueMaxNew is a number of conversations within a time.
type QueueMaxNew struct {
	// Count of conversations that one agent is given at most within the window.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Count int32 `json:"count"`

	// Window is the time, like 1h.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) > duration('0s')",message="must be a duration like 24h or 90m, and more than nothing"
	Window metav1.Duration `json:"window"`
}

// OfferMode is whether an agent is asked.
// +kubebuilder:validation:Enum=Offer;Assign
type OfferMode string

// QueueOffer is how an agent gets a conversation.
type QueueOffer struct {
	// Mode is Offer (the agent accepts or declines) or Assign (it is theirs at
	// once); Offer when left out.
	// +optional
	Mode OfferMode `json:"mode,omitempty"`

	// Timeout of an offer; 30s when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// AwayAfterMissed offers in a row an agent is away; 2 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	AwayAfterMissed int32 `json:"awayAfterMissed,omitempty"`
}

// OnFull is what a queue at its limit does.
// +kubebuilder:validation:Enum=NextStep;Hold
type OnFull string

// QueueLimits are when a queue does not take, or keep, a conversation.
type QueueLimits struct {
	// MaxDepth is how many conversations may wait; no limit when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxDepth int32 `json:"maxDepth,omitempty"`

	// MaxWait is how long one may wait; no limit when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	MaxWait *metav1.Duration `json:"maxWait,omitempty"`

	// OnFull is NextStep (the conversation goes on to the next step of its rule)
	// or Hold (it waits all the same); NextStep when left out.
	// +optional
	OnFull OnFull `json:"onFull,omitempty"`
}

// OfflineAction is which conversations go back to the queue.
// +kubebuilder:validation:Enum=Keep;RequeueUnanswered;RequeueAll
type OfflineAction string

// QueueOnOffline is what happens to the conversations of an agent who goes offline.
type QueueOnOffline struct {
	// Action is Keep, RequeueUnanswered (those whose contact waits for a first
	// answer) or RequeueAll; RequeueUnanswered when left out.
	// +optional
	Action OfflineAction `json:"action,omitempty"`

	// Grace is how long an agent may be gone before; 0s when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Grace *metav1.Duration `json:"grace,omitempty"`
}

// AgentQueueStatus is what is really there. How many wait, and for how long, is
// in the store's metrics and REST API.
type AgentQueueStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Accepted, ResolvedRefs, Staffed, Reconciling, Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Store is the namespace/name of the ConversationStore.
	// +optional
	Store string `json:"store,omitempty"`
}

// AgentQueue is where conversations wait for a person.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=aq,categories=bridgekeeper
// +kubebuilder:selectablefield:JSONPath=`.status.store`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Staffed",type=string,JSONPath=`.status.conditions[?(@.type=="Staffed")].status`
// +kubebuilder:printcolumn:name="Store",type=string,JSONPath=`.status.store`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be at most 63 lower-case letters, digits and dashes: it stands in metrics and in the REST API"
type AgentQueue struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec AgentQueueSpec `json:"spec"`
	// A fresh object says that nothing was observed yet, so that GitOps tools
	// do not take it for healthy before the operator has seen it.
	// +kubebuilder:default={"observedGeneration":-1}
	Status AgentQueueStatus `json:"status,omitempty"`
}

// AgentQueueList is a list of AgentQueues.
// +kubebuilder:object:root=true
type AgentQueueList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AgentQueue `json:"items"`
}

// GetConditions returns the conditions of the status.
func (o *AgentQueue) GetConditions() *[]metav1.Condition { return &o.Status.Conditions }
