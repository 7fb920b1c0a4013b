package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LocalReference names a resource of the referrer's own namespace.
type LocalReference struct {
	// Name of the resource, in the namespace that this one is in.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
}

// Value is the value of a label or an attribute.
// +kubebuilder:validation:MaxLength=256
type Value string

// Pairs are labels or attributes with their values.
// +kubebuilder:validation:MaxProperties=64
type Pairs map[string]Value

// Text is what is said in one language, of at most 4096 bytes.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=4096
type Text string

// Texts are the same text in several languages, by BCP 47 tag like de or pt-BR.
// +kubebuilder:validation:MaxProperties=32
type Texts map[string]Text

// Keyword is a word, or several.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
type Keyword string

// Keywords are words of one language.
// +kubebuilder:validation:MaxItems=64
type Keywords []Keyword

// Words are keywords by BCP 47 tag. The tag is for people: a keyword counts in
// whatever language the contact writes.
// +kubebuilder:validation:MaxProperties=32
type Words map[string]Keywords

// RequiredSkill is a skill that an agent must have.
type RequiredSkill struct {
	// Name of the skill, as agents' records in the store have it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`

	// MinLevel of it; any when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MinLevel int32 `json:"minLevel,omitempty"`
}

// WebhookEndpoint is a service of your own that the store asks by HTTP. Its
// requests are signed as standardwebhooks.com says. The ConversationStore must
// have spec.egress.
type WebhookEndpoint struct {
	// URL that is asked with POST.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''",message="url must be like https://bot.example.com/turns"
	// +kubebuilder:validation:XValidation:rule="!isURL(self) || !self.matches('^[a-z]+://[^/?#]*@')",message="url must not have a user name or password: it is no secret"
	URL string `json:"url"`

	// SecretRef names a Secret in this namespace with the label
	// bridgekeeper.dev/credentials=true. Its key "secret" has the signing key:
	// "whsec_" and 24 to 64 random bytes in base64. For 24 hours after a change
	// requests are signed with both.
	SecretRef SecretReference `json:"secretRef"`

	// Timeout of one request, at most 30s; 5s when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('30s')",message="must be a duration like 5s, at most 30s"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}
