package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ChannelSpec is one account on one platform.
// +kubebuilder:validation:XValidation:rule="self.platform == 'telegram' ? has(self.telegram) : !has(self.telegram)",message="spec.telegram is required when platform is telegram, and forbidden otherwise"
// +kubebuilder:validation:XValidation:rule="self.platform == 'messenger' ? has(self.messenger) : !has(self.messenger)",message="spec.messenger is required when platform is messenger, and forbidden otherwise"
// +kubebuilder:validation:XValidation:rule="self.platform == 'instagram' ? has(self.instagram) : !has(self.instagram)",message="spec.instagram is required when platform is instagram, and forbidden otherwise"
// +kubebuilder:validation:XValidation:rule="self.platform == 'email' ? has(self.email) : !has(self.email)",message="spec.email is required when platform is email, and forbidden otherwise"
// +kubebuilder:validation:XValidation:rule="self.platform == oldSelf.platform",message="platform is immutable: make a new Channel for another platform"
// +kubebuilder:validation:XValidation:rule="!has(self.telegram) || !has(oldSelf.telegram) || self.telegram.botID == oldSelf.telegram.botID",message="telegram.botID is immutable: make a new Channel for another account"
// +kubebuilder:validation:XValidation:rule="!has(self.messenger) || !has(oldSelf.messenger) || self.messenger.pageID == oldSelf.messenger.pageID",message="messenger.pageID is immutable: make a new Channel for another account"
// +kubebuilder:validation:XValidation:rule="!has(self.messenger) || !has(oldSelf.messenger) || self.messenger.appID == oldSelf.messenger.appID",message="messenger.appID is immutable: delete the Channel and make it again with the same name; its conversations stay"
// +kubebuilder:validation:XValidation:rule="!has(self.instagram) || !has(oldSelf.instagram) || self.instagram.accountID == oldSelf.instagram.accountID",message="instagram.accountID is immutable: make a new Channel for another account"
// +kubebuilder:validation:XValidation:rule="!has(self.instagram) || !has(oldSelf.instagram) || self.instagram.appID == oldSelf.instagram.appID",message="instagram.appID is immutable: delete the Channel and make it again with the same name; its conversations stay"
// +kubebuilder:validation:XValidation:rule="!has(self.email) || !has(oldSelf.email) || self.email.address == oldSelf.email.address",message="email.address is immutable: make a new Channel for another account"
type ChannelSpec struct {
	// Platform is where the account is. Immutable.
	Platform Platform `json:"platform"`

	// Telegram is the account on Telegram, with its options and profile.
	// +optional
	Telegram *TelegramChannel `json:"telegram,omitempty"`

	// Messenger is the Page on Facebook Messenger, with its options and profile.
	// +optional
	Messenger *MessengerChannel `json:"messenger,omitempty"`

	// Instagram is the professional account on Instagram, with its options and
	// profile.
	// +optional
	Instagram *InstagramChannel `json:"instagram,omitempty"`

	// Email is the mailbox, with its servers.
	// +optional
	Email *EmailChannel `json:"email,omitempty"`

	// BridgeRef is the Bridge that serves this Channel; the one named "default"
	// in this namespace when left out.
	// +optional
	BridgeRef *ObjectReference `json:"bridgeRef,omitempty"`

	// Credentials is where the platform's secrets are.
	Credentials Credentials `json:"credentials"`

	// Limits bound what the Channel takes in and sends.
	// +optional
	Limits *ChannelLimits `json:"limits,omitempty"`

	// ReopenWindow of conversations on this Channel; the store's when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	ReopenWindow *metav1.Duration `json:"reopenWindow,omitempty"`

	// DefaultLanguage of those who write here, as a BCP 47 tag like de or pt-BR:
	// rules, bots and texts go by it as long as neither the platform nor an agent or
	// a bot says what somebody speaks. Unknown when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=35
	// +kubebuilder:validation:Pattern=`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`
	DefaultLanguage string `json:"defaultLanguage,omitempty"`

	// ResendUnknown sends a message again when a crash left it unknown whether
	// the platform got it. The customer may then read it twice.
	// +optional
	ResendUnknown bool `json:"resendUnknown,omitempty"`

	// AllowedPolicies are the namespaces whose RoutingPolicies may route this
	// Channel's conversations, any of them; only its own namespace, with any
	// priority, when left out.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	AllowedPolicies []AllowedPolicies `json:"allowedPolicies,omitempty"`

	// AllowedCampaigns are the namespaces whose SurveyCampaigns may ask on this
	// Channel, any of them; only its own namespace when left out.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	AllowedCampaigns []AllowedCampaigns `json:"allowedCampaigns,omitempty"`

	// Suspend holds outbound messages back and stops polling. Inbound webhooks
	// are still stored, and nothing is unregistered.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// Credentials names the Secret with a Channel's secrets.
type Credentials struct {
	// SecretRef names a Secret in the Channel's namespace with the label
	// bridgekeeper.dev/credentials=true and the platform's fixed keys. For
	// telegram: "token" (of BotFather), and optionally "webhookSecret". For
	// messenger: "appSecret", "verifyToken" (of your own choice, the same in all
	// Channels of one app) and "pageAccessToken". For instagram: "appSecret",
	// "verifyToken" and "accessToken". For email: "password", or with auth.type
	// OAuth2 "accessToken", or with auth.oauth2 "refreshToken" and "clientSecret"
	// or one of them.
	SecretRef SecretReference `json:"secretRef"`

	// Overlap is how long webhooks that are signed with a rotated-out secret
	// are still accepted; 24h when left out. Set 0s after a leak.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Overlap *metav1.Duration `json:"overlap,omitempty"`
}

// AllowedPolicies lets RoutingPolicies of some namespaces in.
type AllowedPolicies struct {
	// Namespaces whose policies may attach; the Channel's own when left out.
	Namespaces AllowedNamespaces `json:"namespaces"`

	// MaxPriority of the policies, so that nobody from elsewhere is asked before
	// one's own; any when left out.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	MaxPriority *int32 `json:"maxPriority,omitempty"`
}

// AllowedCampaigns lets SurveyCampaigns of some namespaces in.
type AllowedCampaigns struct {
	// Namespaces whose campaigns may ask; the Channel's own when left out.
	Namespaces AllowedNamespaces `json:"namespaces"`
}

// ChannelLimits bound a Channel.
type ChannelLimits struct {
	// InboundPerSecond bounds webhook requests that the platform signed; more
	// are answered with 429. 300 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	InboundPerSecond int32 `json:"inboundPerSecond,omitempty"`

	// OutboundPerSecond bounds sends; the platform's own limit when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	OutboundPerSecond int32 `json:"outboundPerSecond,omitempty"`

	// MaxMediaBytes bounds an attachment that is fetched; larger ones are
	// marked unavailable. The platform's own limit when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1073741824
	MaxMediaBytes int64 `json:"maxMediaBytes,omitempty"`
}

// ReceiveMode is how messages arrive.
// +kubebuilder:validation:Enum=Webhook;Polling
type ReceiveMode string

const (
	// ReceiveWebhook: the platform calls the Bridge.
	ReceiveWebhook ReceiveMode = "Webhook"
	// ReceivePolling: one bridge pod at a time fetches.
	ReceivePolling ReceiveMode = "Polling"
)

// TelegramChannel is a Telegram bot.
type TelegramChannel struct {
	// BotID is the number before the colon in the bot's token. Immutable.
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,18}$`
	// +kubebuilder:validation:MaxLength=19
	BotID string `json:"botID"`

	// Receive is Webhook (Telegram calls the Bridge's publicURL) or Polling (a
	// bridge pod fetches; no public URL is needed). When left out: Webhook if
	// the Bridge has a publicURL, else Polling.
	// +optional
	Receive ReceiveMode `json:"receive,omitempty"`

	// MaxConnections is how many webhook requests Telegram makes at a time; 40
	// when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxConnections int32 `json:"maxConnections,omitempty"`

	// Profile is what people see of the bot. What is left out is left alone.
	// +optional
	Profile *TelegramProfile `json:"profile,omitempty"`
}

// TelegramProfile is what people see of a bot.
type TelegramProfile struct {
	// Name of the bot, as people see it above the chat.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Name *string `json:"name,omitempty"`

	// Description is shown in an empty chat.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Description *string `json:"description,omitempty"`

	// ShortDescription is shown on the bot's page.
	// +optional
	// +kubebuilder:validation:MaxLength=120
	ShortDescription *string `json:"shortDescription,omitempty"`

	// Commands of the menu, in order. An empty list removes them; left out, they
	// are left alone.
	// +optional
	// +listType=map
	// +listMapKey=command
	// +kubebuilder:validation:MaxItems=100
	Commands []TelegramCommand `json:"commands,omitzero"`

	// Localized are texts for single languages.
	// +optional
	// +listType=map
	// +listMapKey=languageCode
	// +kubebuilder:validation:MaxItems=20
	Localized []TelegramLocalizedProfile `json:"localized,omitempty"`
}

// TelegramLocalizedProfile are a bot's texts in one language.
type TelegramLocalizedProfile struct {
	// LanguageCode is a two-letter ISO 639-1 code.
	// +kubebuilder:validation:Pattern=`^[a-z]{2}$`
	// +kubebuilder:validation:MaxLength=2
	LanguageCode string `json:"languageCode"`

	// Name of the bot, for people whose app is in this language.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Name *string `json:"name,omitempty"`

	// Description, for people whose app is in this language.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Description *string `json:"description,omitempty"`

	// ShortDescription, for people whose app is in this language.
	// +optional
	// +kubebuilder:validation:MaxLength=120
	ShortDescription *string `json:"shortDescription,omitempty"`

	// Commands, for people whose app is in this language.
	// +optional
	// +listType=map
	// +listMapKey=command
	// +kubebuilder:validation:MaxItems=100
	Commands []TelegramCommand `json:"commands,omitzero"`
}

// TelegramCommand is one entry of a bot's command menu.
type TelegramCommand struct {
	// Command without the slash.
	// +kubebuilder:validation:Pattern=`^[a-z0-9_]{1,32}$`
	// +kubebuilder:validation:MaxLength=32
	Command string `json:"command"`

	// Description shown beside it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Description string `json:"description"`
}

// ChannelStatus is what is really there.
type ChannelStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Accepted, ResolvedRefs, CredentialsValid,
	// WebhookRegistered, ProfileSynced, Delivering, StoreReachable,
	// Reconciling, Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Bridge is the namespace/name of the Bridge that serves this Channel.
	// +optional
	Bridge string `json:"bridge,omitempty"`

	// Store is the namespace/name of the ConversationStore behind it.
	// +optional
	Store string `json:"store,omitempty"`

	// WebhookURL is where the platform sends to. Stable, and no secret.
	// +optional
	WebhookURL string `json:"webhookURL,omitempty"`

	// Account is the platform's id of the account.
	// +optional
	Account string `json:"account,omitempty"`

	// DisplayName is the public name of the account at the platform.
	// +optional
	DisplayName string `json:"displayName,omitempty"`

	// Receive is how messages arrive: Webhook or Polling.
	// +optional
	Receive ReceiveMode `json:"receive,omitempty"`

	// Policies are the RoutingPolicies that are attached, in the order in which
	// they are asked; at most the first 32.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	Policies []string `json:"policies,omitempty"`

	// Effective are the values in force, defaults included.
	// +optional
	Effective *EffectiveChannel `json:"effective,omitempty"`
}

// EffectiveChannel are a Channel's values in force.
type EffectiveChannel struct {
	// InboundPerSecond is how many webhook requests that the platform signed are
	// taken in each second.
	// +optional
	InboundPerSecond int32 `json:"inboundPerSecond,omitempty"`

	// OutboundPerSecond is how many sends a second there may be: a number, which
	// can be a fraction, or "unlimited".
	// +optional
	OutboundPerSecond string `json:"outboundPerSecond,omitempty"`

	// MaxMediaBytes is how large an attachment that is fetched may be: the
	// smaller one of spec.limits.maxMediaBytes and the platform's own limit.
	// +optional
	MaxMediaBytes int64 `json:"maxMediaBytes,omitempty"`

	// Overlap is how long webhooks that are signed with a rotated-out secret are
	// still accepted.
	// +optional
	Overlap string `json:"overlap,omitempty"`

	// ReopenWindow of conversations: the Channel's, else the store's; empty while
	// no store is resolved.
	// +optional
	ReopenWindow string `json:"reopenWindow,omitempty"`
}

// Channel is one account on one messaging platform.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=chan,categories=bridgekeeper
// +kubebuilder:selectablefield:JSONPath=`.spec.platform`
// +kubebuilder:selectablefield:JSONPath=`.status.bridge`
// +kubebuilder:printcolumn:name="Platform",type=string,JSONPath=`.spec.platform`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Delivering",type=string,JSONPath=`.status.conditions[?(@.type=="Delivering")].status`
// +kubebuilder:printcolumn:name="Account",type=string,JSONPath=`.status.displayName`
// +kubebuilder:printcolumn:name="Bridge",type=string,JSONPath=`.status.bridge`,priority=1
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.webhookURL`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be at most 63 lower-case letters, digits and dashes: it is part of the webhook URL"
type Channel struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec ChannelSpec `json:"spec"`
	// A fresh object says that nothing was observed yet, so that GitOps tools
	// do not take it for healthy before the operator has seen it.
	// +kubebuilder:default={"observedGeneration":-1}
	Status ChannelStatus `json:"status,omitempty"`
}

// ChannelList is a list of Channels.
// +kubebuilder:object:root=true
type ChannelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Channel `json:"items"`
}

// Account is the platform's id of the Channel's account; empty when the typed
// block is missing (which the schema forbids).
func (c *Channel) Account() string {
	switch {
	case c.Spec.Telegram != nil:
		return c.Spec.Telegram.BotID
	case c.Spec.Messenger != nil:
		return c.Spec.Messenger.PageID
	case c.Spec.Instagram != nil:
		return c.Spec.Instagram.AccountID
	case c.Spec.Email != nil:
		return c.Spec.Email.Address
	}
	return ""
}

// App is the platform's id of the app that the account is reached through;
// empty on platforms without apps.
func (c *Channel) App() string {
	switch {
	case c.Spec.Messenger != nil:
		return c.Spec.Messenger.AppID
	case c.Spec.Instagram != nil:
		return c.Spec.Instagram.AppID
	}
	return ""
}

// HumanAgent says whether people may answer beyond the platform's messaging window.
func (c *Channel) HumanAgent() bool {
	return c.Spec.Messenger != nil && c.Spec.Messenger.HumanAgent ||
		c.Spec.Instagram != nil && c.Spec.Instagram.HumanAgent
}

// GetConditions returns the conditions of the status.
func (c *Channel) GetConditions() *[]metav1.Condition { return &c.Status.Conditions }

// GetConditions returns the conditions of the status.
func (b *Bridge) GetConditions() *[]metav1.Condition { return &b.Status.Conditions }

// GetConditions returns the conditions of the status.
func (s *ConversationStore) GetConditions() *[]metav1.Condition { return &s.Status.Conditions }
