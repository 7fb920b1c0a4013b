package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SurveyCampaignSpec is one measurement programme: whom it asks what, when, and
// what is to be learned.
// +kubebuilder:validation:XValidation:rule="self.type == 'CSAT' || !has(self.scale) && !has(self.topBoxFrom)",message="scale and topBoxFrom are for CSAT only: NPS is always 0 to 10, CES 1 to 7"
// +kubebuilder:validation:XValidation:rule="!has(self.topBoxFrom) || self.topBoxFrom <= (has(self.scale) ? self.scale.max : 5)",message="topBoxFrom must be a score of the scale"
// +kubebuilder:validation:XValidation:rule="self.questions.all(q, self.languages.offered.all(l, l in q.text))",message="every question needs a text in each language of languages.offered"
// +kubebuilder:validation:XValidation:rule="!has(self.holdout) || !has(self.holdout.scope) || self.holdout.scope != 'Group' || has(self.frequency) && has(self.frequency.group)",message="holdout.scope Group needs frequency.group, the name that the campaigns share"
// +kubebuilder:validation:XValidation:rule="!has(self.analysis) || !has(self.analysis.compare) || !(self.analysis.compare in ['Arms', 'DifferenceInDifferences']) || has(self.arms)",message="analysis.compare Arms and DifferenceInDifferences need arms"
// +kubebuilder:validation:XValidation:rule="!has(self.analysis) || !has(self.analysis.compare) || self.analysis.compare != 'Holdout' || has(self.holdout)",message="analysis.compare Holdout needs holdout.fraction"
// +kubebuilder:validation:XValidation:rule="!has(self.analysis) || !has(self.analysis.baseline) || has(self.arms) && self.arms.exists(a, a.name == self.analysis.baseline)",message="analysis.baseline must be the name of an arm"
// +kubebuilder:validation:XValidation:rule="!has(self.analysis) || !has(self.analysis.changedAt) || self.window.start < self.analysis.changedAt && self.analysis.changedAt < self.window.end",message="analysis.changedAt must be within the window: it divides before from after"
type SurveyCampaignSpec struct {
	// StoreRef is the ConversationStore whose contacts are asked; the one named
	// "default" in this namespace when left out.
	// +optional
	StoreRef *ObjectReference `json:"storeRef,omitempty"`

	// Type is what it measures: NPS (0 to 10, promoters minus detractors), CSAT
	// (1 to 5 or 7, share of satisfied) or CES (1 to 7, mean).
	Type SurveyType `json:"type"`

	// Scale of a CSAT; 1 to 5 when left out.
	// +optional
	Scale *SurveyScale `json:"scale,omitempty"`

	// TopBoxFrom is the lowest score of a CSAT that counts as satisfied; the
	// second highest when left out.
	// +optional
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=7
	TopBoxFrom int32 `json:"topBoxFrom,omitempty"`

	// Suspend stops asking. Answers to what was asked still count.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Window is when it asks.
	Window SurveyWindow `json:"window"`

	// ChannelRefs are the Channels that it asks on, in order of preference; the
	// one of the contact's conversation comes before all of them if it is among
	// them. In another namespace a Channel's allowedCampaigns must let this one in.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	ChannelRefs []ObjectReference `json:"channelRefs"`

	// Trigger is what makes it consider a contact.
	Trigger SurveyTrigger `json:"trigger"`

	// Audience is who may be asked; everybody who has not opted out when left out.
	// +optional
	Audience *SurveyAudience `json:"audience,omitempty"`

	// Languages that the texts are in.
	Languages SurveyLanguages `json:"languages"`

	// Sampling asks only a share of those who could be asked; all when left out.
	// +optional
	Sampling *SurveySampling `json:"sampling,omitempty"`

	// Holdout are contacts that are never asked, to learn what asking does.
	// +optional
	Holdout *SurveyHoldout `json:"holdout,omitempty"`

	// Arms are ways of asking in an experiment, between which contacts are drawn.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=2
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(a, !has(a.channelRefs) || self.all(b, !has(b.channelRefs) || !a.channelRefs.exists(c, c in b.channelRefs) || a.channelRefs.all(c, c in b.channelRefs)))",message="two arms share some channelRefs and not others, so a difference could not be attributed; give them the same or none in common"
	Arms []SurveyArm `json:"arms,omitempty"`

	// Frequency limits how often a contact is asked.
	// +optional
	Frequency *SurveyFrequency `json:"frequency,omitempty"`

	// Questions: first the one with the score, then those that follow it.
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self[0].kind == 'Score' && self.filter(q, q.kind == 'Score').size() == 1",message="the first question, and no other, must have kind: Score; it is the one that makes an answer count"
	Questions []SurveyQuestion `json:"questions"`

	// Replies says how answers are taken.
	// +optional
	Replies *SurveyReplies `json:"replies,omitempty"`

	// Reminders repeat a question that was not answered; none when left out.
	// +optional
	Reminders *SurveyReminders `json:"reminders,omitempty"`

	// Thanks are said after a score, by ranges that do not overlap.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=11
	Thanks []SurveyThanks `json:"thanks,omitempty"`

	// Actions follow a score, once it can no longer be edited.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Actions []SurveyAction `json:"actions,omitempty"`

	// Stop ends asking before the window does.
	// +optional
	Stop *SurveyStop `json:"stop,omitempty"`

	// Analysis is what is to be learned, declared before the start. Once the
	// first contact was asked it cannot be changed.
	// +optional
	Analysis *SurveyAnalysis `json:"analysis,omitempty"`
}

// SurveyType is what a campaign measures.
// +kubebuilder:validation:Enum=NPS;CSAT;CES
type SurveyType string

// SurveyScale is the range of a CSAT's scores.
// +kubebuilder:validation:XValidation:rule="self.min == 1 && (self.max == 5 || self.max == 7)",message="a CSAT is 1 to 5 or 1 to 7"
type SurveyScale struct {
	// Min is the lowest score, 1.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1
	Min int32 `json:"min"`

	// Max is the highest score, 5 or 7.
	// +kubebuilder:validation:Minimum=5
	// +kubebuilder:validation:Maximum=7
	Max int32 `json:"max"`
}

// SurveyWindow is when a campaign asks.
// +kubebuilder:validation:XValidation:rule="self.start < self.end",message="the window must start before it ends"
type SurveyWindow struct {
	// Start is the first moment at which somebody may be asked.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=64
	Start metav1.Time `json:"start"`

	// End is the moment from which nobody is asked any more. Answers count for
	// as long as replies.window says after it; then the result is final.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=64
	End metav1.Time `json:"end"`
}

// SurveyTriggerEvent is what makes a campaign consider a contact.
// +kubebuilder:validation:Enum=ConversationResolved;Manual;API
type SurveyTriggerEvent string

// SurveyCancelEvent is what makes a question out of place.
// +kubebuilder:validation:Enum=ConversationReopened;NegativeEvent
type SurveyCancelEvent string

// SurveyOncePer is what a campaign asks at most once about.
// +kubebuilder:validation:Enum=Resolution;Conversation;Contact
type SurveyOncePer string

// SurveyTrigger says when to consider asking, and when to drop it again.
type SurveyTrigger struct {
	// Events are ConversationResolved, Manual (an agent asked for it) and
	// API (another system did: an order was delivered).
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	Events []SurveyTriggerEvent `json:"events"`

	// Delay between the event and the question; 0s when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Delay *metav1.Duration `json:"delay,omitempty"`

	// ScheduleRef is the Schedule outside of which nobody is asked; always when
	// left out.
	// +optional
	ScheduleRef *LocalReference `json:"scheduleRef,omitempty"`

	// MaxDefer is how long after it was due a question may still be asked, because
	// of the schedule, a cool-down or another survey; 72h when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	MaxDefer *metav1.Duration `json:"maxDefer,omitempty"`

	// CancelOn drops what was not asked or not answered yet: ConversationReopened,
	// NegativeEvent (told by the API: a refund, a claim). An opt-out always does.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	CancelOn []SurveyCancelEvent `json:"cancelOn,omitempty"`

	// OncePer is what it asks at most once about: Resolution, Conversation or
	// Contact; Resolution when left out.
	// +optional
	OncePer SurveyOncePer `json:"oncePer,omitempty"`

	// Exclude are conversations that nobody is asked about.
	// +optional
	Exclude *SurveyExclude `json:"exclude,omitempty"`
}

// SurveyExclude are conversations that nobody is asked about.
type SurveyExclude struct {
	// AutoResolved: those that a timer resolved, and not a person.
	// +optional
	AutoResolved bool `json:"autoResolved,omitempty"`

	// MinInboundMessages: those in which the contact has written less.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	MinInboundMessages int32 `json:"minInboundMessages,omitempty"`

	// Labels, any of which on the conversation excludes it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Labels []string `json:"labels,omitempty"`
}

// SurveyAudience is who may be asked.
type SurveyAudience struct {
	// Matches are alternatives; everybody when left out.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Matches []SurveyMatch `json:"matches,omitempty"`

	// Consent that it needs.
	// +optional
	Consent *SurveyConsent `json:"consent,omitempty"`
}

// SurveyMatch is true if all that is written in it is.
type SurveyMatch struct {
	// ChannelRefs: the conversation is on any of these Channels.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	ChannelRefs []ObjectReference `json:"channelRefs,omitempty"`

	// Labels of the conversation, exactly.
	// +optional
	Labels Pairs `json:"labels,omitempty"`

	// Attributes of the contact, exactly.
	// +optional
	Attributes Pairs `json:"attributes,omitempty"`

	// Languages of the contact, any of them: "en" is also en-GB.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=35
	Languages []string `json:"languages,omitempty"`

	// Expression in CEL over now, event, contact and conversation. An error
	// is no match.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Expression string `json:"expression,omitempty"`
}

// SurveyConsent is what a contact must not have refused, or must have given.
type SurveyConsent struct {
	// Purpose of the consent; survey when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Purpose string `json:"purpose,omitempty"`

	// RequireOptIn asks only who has agreed to that purpose.
	// +optional
	RequireOptIn bool `json:"requireOptIn,omitempty"`
}

// SurveyLanguages are the languages that the texts are in.
// +kubebuilder:validation:XValidation:rule="!has(self.fallback) || self.fallback in self.offered",message="fallback must be one of offered"
type SurveyLanguages struct {
	// Offered are BCP 47 tags, like en or pt-BR. Every text must be there in each.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=35
	// +kubebuilder:validation:items:Pattern=`^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$`
	Offered []string `json:"offered"`

	// Fallback is used for contacts of other and unknown languages; they are not
	// asked when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=35
	Fallback string `json:"fallback,omitempty"`
}

// SurveyUnit is what sampling and assignment go by.
// +kubebuilder:validation:Enum=Contact;Conversation
type SurveyUnit string

// SurveySampling asks only a share of those who could be asked.
type SurveySampling struct {
	// Rate in percent, in steps of 0.01 %, like 12.5%; 100% when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=7
	// +kubebuilder:validation:XValidation:rule="self.matches('^(100([.]0{1,2})?|[0-9]{1,2}([.][0-9]{1,2})?)%$')",message="must be a percentage up to 100% in steps of 0.01 %, like 12.5%"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0.]+%$')",message="0% would ask nobody; write suspend: true to pause"
	Rate string `json:"rate,omitempty"`

	// Unit is Contact (a person is in or out, whatever they write) or
	// Conversation; Contact when left out.
	// +optional
	Unit SurveyUnit `json:"unit,omitempty"`

	// Seed of the draws; the campaign's namespace/name when left out, so that a
	// cluster that is made anew draws the same.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Seed string `json:"seed,omitempty"`
}

// SurveyHoldoutScope is which campaigns a holdout keeps people from.
// +kubebuilder:validation:Enum=Campaign;Group
type SurveyHoldoutScope string

// SurveyHoldout are contacts that are never asked.
type SurveyHoldout struct {
	// Fraction in percent, in steps of 0.01 %, like 10%.
	// +kubebuilder:validation:MaxLength=7
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,2}([.][0-9]{1,2})?%$')",message="must be a percentage below 100% in steps of 0.01 %, like 10%: with all held out, nobody would be asked"
	Fraction string `json:"fraction"`

	// Scope is Campaign (this one), or Group (all campaigns of the same
	// frequency.group whose holdout says so, the same people); Campaign when left
	// out.
	// +optional
	Scope SurveyHoldoutScope `json:"scope,omitempty"`
}

// SurveyArm is one way of asking in an experiment. What it leaves out is the
// campaign's.
type SurveyArm struct {
	// Name of the arm, as results name it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// Weight is the arm's share: its weight out of the sum of all.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Weight int32 `json:"weight"`

	// ChannelRefs of the arm, some of the campaign's.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	ChannelRefs []ObjectReference `json:"channelRefs,omitempty"`

	// Delay between the event and the question.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Delay *metav1.Duration `json:"delay,omitempty"`

	// Texts of questions, by question id.
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	Texts map[string]Texts `json:"texts,omitempty"`
}

// SurveyCooldownFrom is what starts a cool-down.
// +kubebuilder:validation:Enum=Sent;Answered
type SurveyCooldownFrom string

// SurveyOnThrottled is what becomes of a question that a cool-down forbids.
// +kubebuilder:validation:Enum=Drop;Defer
type SurveyOnThrottled string

// SurveyFrequency limits how often a contact is asked, by two clocks.
// +kubebuilder:validation:XValidation:rule="!has(self.groupCooldown) || has(self.group)",message="groupCooldown needs group, the name that the campaigns share"
type SurveyFrequency struct {
	// Group is the name that campaigns of this namespace share to count together.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Group string `json:"group,omitempty"`

	// CampaignCooldown runs since this campaign asked a contact; none when left
	// out. 90 days are 2160h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	CampaignCooldown *metav1.Duration `json:"campaignCooldown,omitempty"`

	// GroupCooldown runs since any campaign of the group asked a contact; none
	// when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	GroupCooldown *metav1.Duration `json:"groupCooldown,omitempty"`

	// From is what starts both clocks: Sent (a question that is not answered tires
	// as well) or Answered; Sent when left out.
	// +optional
	From SurveyCooldownFrom `json:"from,omitempty"`

	// OnThrottled is Drop, or Defer (until the cool-down ends, if that is within
	// trigger.maxDefer); Drop when left out.
	// +optional
	OnThrottled SurveyOnThrottled `json:"onThrottled,omitempty"`

	// Priority in the group: when several are due at once, the highest asks.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Priority int32 `json:"priority,omitempty"`
}
