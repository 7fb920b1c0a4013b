package document

import (
	"encoding/json"
	"time"
)

// StoreEntryKinds are the kinds that a store of this version acts on.
func StoreEntryKinds() []EntryKind {
	return []EntryKind{EntryChannel, EntryBridge, EntryToken, EntrySchedule, EntryAgentQueue, EntryBot, EntryRoutingPolicy, EntryWebhook, EntrySurveyCampaign}
}

// Bot is the Spec of a Bot entry: BuiltIn or Webhook, never both.
type Bot struct {
	// BuiltIn is a bot.Spec: keywords, patterns and menus that the store answers by itself.
	BuiltIn json.RawMessage `json:"builtIn,omitempty"`
	// Webhook is asked for every message while this bot owns the conversation.
	Webhook *Webhook `json:"webhook,omitempty"`
	// Handover is when a webhook's bot gives a conversation up. A built-in bot has its own.
	Handover BotHandover `json:"handover,omitzero"`
}

// BotHandover is when the store takes a conversation from a webhook's bot, also
// when the webhook does not answer.
type BotHandover struct {
	// Keywords by which contacts ask for a person, by BCP 47 tag (a bot.Words).
	Keywords map[string][]string `json:"keywords,omitempty"`
	// Text that is said then, by BCP 47 tag; none: nothing.
	Text map[string]string `json:"text,omitempty"`
	// DefaultLanguage of Text; set where there is more than one.
	DefaultLanguage string `json:"defaultLanguage,omitempty"`
	// MaxTurns is how many messages the bot answers. Zero: bot.DefaultMaxTurns.
	MaxTurns int `json:"maxTurns,omitempty"`
}

// Webhook is where another service is asked, and the key that signs the
// question (standardwebhooks.com, version 1). It is the Spec of a Webhook entry,
// which is kept apart from the policy that names it: policies are archived with
// their decisions, secrets are not.
type Webhook struct {
	URL string `json:"url"`
	// Secret is "whsec_" and base64 of 24 to 64 bytes.
	Secret string `json:"secret"`
	// PreviousSecret signs beside Secret until its time is over, so that the
	// other side may change its own at leisure.
	PreviousSecret *PreviousSecret `json:"previousSecret,omitempty"`
	// Timeout of one question. Zero: DefaultWebhookTimeout.
	Timeout Duration `json:"timeout,omitempty"`
	// IncludeText sends the message's text along. (A bot always gets it.)
	IncludeText bool `json:"includeText,omitempty"`
}

// DefaultWebhookTimeout is how long a webhook may take: who waits for an answer
// in a chat takes five seconds for a pause, and ten for nobody there.
const DefaultWebhookTimeout = 5 * time.Second

// PreviousSecret is a rotated-out secret.
type PreviousSecret struct {
	Value string    `json:"value"`
	Until time.Time `json:"until"`
}

// Trouble is an entry that is in force and cannot do what it is for, such as an
// AgentQueue without agents. Reason is a CamelCase word that becomes the
// condition's reason, Message is for people and holds nothing personal.
type Trouble struct {
	Entry   string `json:"entry"` // Entry.Key
	Reason  string `json:"reason"`
	Message string `json:"message"`
}
