package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BotSpec is an automated owner of conversations.
// +kubebuilder:validation:XValidation:rule="has(self.builtIn) != has(self.webhook)",message="write builtIn or webhook, and not both"
type BotSpec struct {
	// StoreRef is the ConversationStore whose conversations the bot has; the one
	// named "default" in this namespace when left out.
	// +optional
	StoreRef *ObjectReference `json:"storeRef,omitempty"`

	// BuiltIn is a bot of keywords, patterns and menus, which the store runs itself.
	// +optional
	BuiltIn *BuiltInBot `json:"builtIn,omitempty"`

	// Webhook is a bot of your own, which is asked by HTTP.
	// +optional
	Webhook *WebhookBot `json:"webhook,omitempty"`

	// Suspend keeps the version that is in force, whatever the spec says.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// BuiltInBot answers by keywords, patterns and menus.
type BuiltInBot struct {
	// DefaultLanguage is the language that every text has, as a BCP 47 tag.
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=35
	DefaultLanguage string `json:"defaultLanguage"`

	// Greeting is said once, at the beginning.
	// +optional
	Greeting Texts `json:"greeting,omitempty"`

	// Menus to choose from; the first is shown at the beginning.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Menus []BotMenu `json:"menus,omitempty"`

	// Answers to what contacts write, tried in order.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Answers []BotAnswer `json:"answers,omitempty"`

	// Fallback is said to what is not understood.
	Fallback Texts `json:"fallback"`

	// Handover is when the bot gives a conversation to a person.
	Handover BuiltInHandover `json:"handover"`
}

// BotMenu is a question with options, shown as quick replies.
type BotMenu struct {
	// Name of the menu, which actions refer to.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// Text of the question that is shown above the options, by language.
	Text Texts `json:"text"`

	// Options to choose from.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=13
	Options []BotOption `json:"options"`
}

// BotOption is one choice of a menu.
type BotOption struct {
	// Name of the option, unique in its menu.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// Title that the contact reads, of at most 80 bytes.
	Title Texts `json:"title"`

	// Keywords choose the option as well, while its menu is shown.
	// +optional
	Keywords Words `json:"keywords,omitempty"`

	// Then is what follows.
	Then BotAction `json:"then"`
}

// BotAnswer is what is said to a keyword or a pattern, whatever menu is shown.
type BotAnswer struct {
	// Name of the answer, unique among them, for people who look at why a bot said something.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// Keywords, of which one must be in the text as whole words.
	// +optional
	Keywords Words `json:"keywords,omitempty"`

	// Pattern is a regular expression (RE2) that the text must have.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Pattern string `json:"pattern,omitempty"`

	// Then is what follows.
	Then BotAction `json:"then"`
}

// BotAction is a text, then a menu, or a person.
type BotAction struct {
	// Text that is said.
	// +optional
	Text Texts `json:"text,omitempty"`

	// Menu to show next; the one that is shown stays when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Menu string `json:"menu,omitempty"`

	// Handover gives the conversation to a person.
	// +optional
	Handover bool `json:"handover,omitempty"`

	// Topics are given to the conversation, for the rules of RoutingPolicies.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Topics []string `json:"topics,omitempty"`
}

// BuiltInHandover is when a built-in bot gives a conversation to a person.
type BuiltInHandover struct {
	// Keywords by which contacts ask for a person.
	Keywords Words `json:"keywords"`

	// Text is said then; nothing when left out.
	// +optional
	Text Texts `json:"text,omitempty"`

	// MaxTurns is how many messages the bot answers; 12 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxTurns int32 `json:"maxTurns,omitempty"`

	// MaxMisses is how many messages in a row, not understood, hand over; 2 when
	// left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxMisses int32 `json:"maxMisses,omitempty"`
}

// WebhookBot is asked for every message while it owns the conversation.
type WebhookBot struct {
	WebhookEndpoint `json:",inline"`

	// Handover is when the store takes a conversation from the bot, also when
	// its webhook does not answer.
	// +optional
	Handover *WebhookHandover `json:"handover,omitempty"`
}

// WebhookHandover is when the store takes a conversation from a webhook's bot.
type WebhookHandover struct {
	// Keywords by which contacts ask for a person.
	// +optional
	Keywords Words `json:"keywords,omitempty"`

	// Text is said then; nothing when left out.
	// +optional
	Text Texts `json:"text,omitempty"`

	// DefaultLanguage of the text; needed where it has more than one.
	// +optional
	// +kubebuilder:validation:MaxLength=35
	DefaultLanguage string `json:"defaultLanguage,omitempty"`

	// MaxTurns is how many messages the bot answers; 12 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxTurns int32 `json:"maxTurns,omitempty"`
}

// BotStatus is what is really there.
type BotStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Accepted, ResolvedRefs, Reconciling, Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Store is the namespace/name of the ConversationStore.
	// +optional
	Store string `json:"store,omitempty"`
}

// Bot is an automated owner of conversations. RoutingPolicies give it
// conversations, and it hands them over to people.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=bot,categories=bridgekeeper
// +kubebuilder:selectablefield:JSONPath=`.status.store`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Store",type=string,JSONPath=`.status.store`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be at most 63 lower-case letters, digits and dashes: it stands in metrics and in the REST API"
type Bot struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec BotSpec `json:"spec"`
	// A fresh object says that nothing was observed yet, so that GitOps tools
	// do not take it for healthy before the operator has seen it.
	// +kubebuilder:default={"observedGeneration":-1}
	Status BotStatus `json:"status,omitempty"`
}

// BotList is a list of Bots.
// +kubebuilder:object:root=true
type BotList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Bot `json:"items"`
}

// GetConditions returns the conditions of the status.
func (o *Bot) GetConditions() *[]metav1.Condition { return &o.Status.Conditions }
