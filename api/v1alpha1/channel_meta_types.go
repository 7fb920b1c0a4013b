package v1alpha1

// DefaultGraphVersion is the version of Meta's Graph API that is called when a
// Channel names none.
const DefaultGraphVersion = "v25.0"

// MessengerChannel is a Facebook Page that people write to on Messenger.
type MessengerChannel struct {
	// PageID is the number of the Page. Immutable.
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,19}$`
	// +kubebuilder:validation:MaxLength=20
	PageID string `json:"pageID"`

	// AppID is the number of the Meta app that the Page is reached through. The
	// app has one webhook URL, so all its Channels belong to one Bridge.
	// Immutable: to change it, delete the Channel and make it again with the
	// same name; its conversations stay.
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,19}$`
	// +kubebuilder:validation:MaxLength=20
	AppID string `json:"appID"`

	// GraphVersion of the Graph API; v25.0 when left out.
	// +optional
	// +kubebuilder:validation:Pattern=`^v[1-9][0-9]{0,2}[.][0-9]$`
	// +kubebuilder:validation:MaxLength=6
	GraphVersion string `json:"graphVersion,omitempty"`

	// HumanAgent lets people answer up to 7 days after the customer's last
	// message instead of 24 hours. Meta must have granted the app the Human
	// Agent feature; what automation sends keeps the 24 hours.
	// +optional
	HumanAgent bool `json:"humanAgent,omitempty"`

	// Profile is what people see of the Page in Messenger. What is left out is
	// left alone.
	// +optional
	Profile *MessengerProfile `json:"profile,omitempty"`
}

// MessengerProfile is what people see of a Page in Messenger. Each field that
// is left out is left alone at the platform; an empty list removes what stands.
// +kubebuilder:validation:XValidation:rule="!has(self.persistentMenu) || size(self.persistentMenu) == 0 || (has(self.getStarted) && has(self.getStarted.payload))",message="persistentMenu needs getStarted with a payload: Messenger shows no menu without the button"
type MessengerProfile struct {
	// Greeting is shown before the first message.
	// +optional
	// +listType=map
	// +listMapKey=locale
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.exists(e, e.locale == 'default')",message="greeting needs an element with locale default: it is for everybody whose language is not listed"
	Greeting []MessengerGreeting `json:"greeting,omitzero"`

	// GetStarted is the button of an empty conversation. Without a payload the
	// button is removed.
	// +optional
	GetStarted *MessengerGetStarted `json:"getStarted,omitempty"`

	// IceBreakers are questions that people can begin with.
	// +optional
	// +listType=map
	// +listMapKey=locale
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.exists(e, e.locale == 'default')",message="iceBreakers needs an element with locale default: it is for everybody whose language is not listed"
	IceBreakers []IceBreakers `json:"iceBreakers,omitzero"`

	// PersistentMenu is always at hand in a conversation. It needs getStarted.
	// +optional
	// +listType=map
	// +listMapKey=locale
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.exists(e, e.locale == 'default')",message="persistentMenu needs an element with locale default: it is for everybody whose language is not listed"
	PersistentMenu []PersistentMenu `json:"persistentMenu,omitzero"`

	// WhitelistedDomains are the sites that may open within Messenger.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:XValidation:rule="isURL(self) && url(self).getScheme() == 'https' && url(self).getHost() != ''",message="must be like https://shop.example.com"
	WhitelistedDomains []string `json:"whitelistedDomains,omitzero"`
}

// MessengerGreeting is a greeting in one language.
type MessengerGreeting struct {
	// Locale like en_US, or default.
	// +kubebuilder:validation:Pattern=`^(default|[a-z]{2,3}_[A-Z]{2})$`
	// +kubebuilder:validation:MaxLength=7
	Locale string `json:"locale"`

	// Text of the greeting; {{user_first_name}} and its like are filled in by Messenger.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=160
	Text string `json:"text"`
}

// MessengerGetStarted is the button of an empty conversation.
type MessengerGetStarted struct {
	// Payload of the postback that the button sends; left out: no button.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1000
	Payload string `json:"payload,omitempty"`
}

// IceBreakers are questions to begin with, in one language.
type IceBreakers struct {
	// Locale like en_US, or default.
	// +kubebuilder:validation:Pattern=`^(default|[a-z]{2,3}_[A-Z]{2})$`
	// +kubebuilder:validation:MaxLength=7
	Locale string `json:"locale"`

	// Questions, in the order in which people see them.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Questions []IceBreaker `json:"questions"`
}

// IceBreaker is one question to begin with.
type IceBreaker struct {
	// Question as people see it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=80
	Question string `json:"question"`

	// Payload of the postback that it sends.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1000
	Payload string `json:"payload"`
}

// PersistentMenu is the menu of a conversation, in one language.
type PersistentMenu struct {
	// Locale like en_US, or default.
	// +kubebuilder:validation:Pattern=`^(default|[a-z]{2,3}_[A-Z]{2})$`
	// +kubebuilder:validation:MaxLength=7
	Locale string `json:"locale"`

	// ComposerInputDisabled takes the text field away: people can use the menu
	// and buttons only.
	// +optional
	ComposerInputDisabled bool `json:"composerInputDisabled,omitempty"`

	// Items of the menu, in order.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	Items []MenuItem `json:"items"`
}

// MenuItemType is what an item of a menu does.
// +kubebuilder:validation:Enum=Postback;WebURL
type MenuItemType string

const (
	// MenuItemPostback sends a payload, as a button does.
	MenuItemPostback MenuItemType = "Postback"
	// MenuItemWebURL opens a page.
	MenuItemWebURL MenuItemType = "WebURL"
)

// MenuItem is one item of a menu.
// +kubebuilder:validation:XValidation:rule="self.type == 'Postback' ? has(self.payload) && !has(self.url) : has(self.url) && !has(self.payload)",message="an item of type Postback has a payload, one of type WebURL a url, and neither has the other"
type MenuItem struct {
	// Type is Postback or WebURL.
	Type MenuItemType `json:"type"`

	// Title as people see it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=30
	Title string `json:"title"`

	// Payload of the postback that arrives when somebody picks the item.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1000
	Payload string `json:"payload,omitempty"`

	// URL that is opened.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http','https'] && url(self).getHost() != ''",message="url must be like https://shop.example.com"
	URL string `json:"url,omitempty"`
}

// InstagramLogin is how the account gave its permission.
// +kubebuilder:validation:Enum=FacebookLogin;InstagramLogin
type InstagramLogin string

const (
	// LoginFacebook: through the linked Facebook Page, with a Page token.
	LoginFacebook InstagramLogin = "FacebookLogin"
	// LoginInstagram: directly, with an Instagram user token.
	LoginInstagram InstagramLogin = "InstagramLogin"
)

// InstagramChannel is an Instagram professional account.
// +kubebuilder:validation:XValidation:rule="self.login == 'FacebookLogin' ? has(self.pageID) : !has(self.pageID)",message="pageID is required when login is FacebookLogin, and forbidden otherwise"
type InstagramChannel struct {
	// AccountID is the number of the Instagram professional account. Immutable.
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,19}$`
	// +kubebuilder:validation:MaxLength=20
	AccountID string `json:"accountID"`

	// AppID is the number of the app that the account is reached through: the
	// Instagram app's with InstagramLogin, the Meta app's with FacebookLogin.
	// The app has one webhook URL, so all its Channels belong to one Bridge.
	// Immutable: to change it, delete the Channel and make it again with the
	// same name; its conversations stay.
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,19}$`
	// +kubebuilder:validation:MaxLength=20
	AppID string `json:"appID"`

	// Login is FacebookLogin (through the linked Page, with a Page token) or
	// InstagramLogin (with an Instagram user token, which ends after 60 days: put a
	// new one into the Secret before; CredentialsValid tells from two weeks before).
	Login InstagramLogin `json:"login"`

	// PageID is the number of the linked Page, with FacebookLogin.
	// +optional
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,19}$`
	// +kubebuilder:validation:MaxLength=20
	PageID string `json:"pageID,omitempty"`

	// GraphVersion of the Graph API; v25.0 when left out.
	// +optional
	// +kubebuilder:validation:Pattern=`^v[1-9][0-9]{0,2}[.][0-9]$`
	// +kubebuilder:validation:MaxLength=6
	GraphVersion string `json:"graphVersion,omitempty"`

	// HumanAgent lets people answer up to 7 days after the customer's last
	// message instead of 24 hours. Meta must have granted the app the Human
	// Agent feature; what automation sends keeps the 24 hours.
	// +optional
	HumanAgent bool `json:"humanAgent,omitempty"`

	// Profile is what people see of the account in a conversation. What is left
	// out is left alone.
	// +optional
	Profile *InstagramProfile `json:"profile,omitempty"`
}

// InstagramProfile is what people see of an account in a conversation. Each
// field that is left out is left alone; an empty list removes what stands.
type InstagramProfile struct {
	// IceBreakers are questions that people can begin with.
	// +optional
	// +listType=map
	// +listMapKey=locale
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.exists(e, e.locale == 'default')",message="iceBreakers needs an element with locale default: it is for everybody whose language is not listed"
	IceBreakers []IceBreakers `json:"iceBreakers,omitzero"`

	// PersistentMenu is always at hand in a conversation.
	// +optional
	// +listType=map
	// +listMapKey=locale
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.exists(e, e.locale == 'default')",message="persistentMenu needs an element with locale default: it is for everybody whose language is not listed"
	PersistentMenu []PersistentMenu `json:"persistentMenu,omitzero"`
}
