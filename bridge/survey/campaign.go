package survey

import (
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Campaign is the Spec of a SurveyCampaign entry in a store document: one
// measurement programme. References are "namespace/name". Zero values mean the
// defaults that the fields tell.
type Campaign struct {
	// UID of the resource, empty where there is none (standalone): a name that is
	// deleted and applied again is another campaign, with a result of its own.
	UID  string `json:"uid,omitempty"`
	Type Type   `json:"type"`
	// Scale of a CSAT: 1 to 5 (the default) or 1 to 7. NPS is 0 to 10, CES 1 to 7.
	Scale Scale `json:"scale,omitzero"`
	// TopBoxFrom is the lowest score of a CSAT that counts as satisfied; by
	// default the second highest.
	TopBoxFrom int `json:"topBoxFrom,omitempty"`
	// Suspended stops asking; answers to what was asked still count.
	Suspended bool   `json:"suspended,omitempty"`
	Window    Window `json:"window"`
	// Channels that it asks on, in order of preference; the channel of the
	// contact's conversation comes before all of them if it is among them.
	Channels  []string   `json:"channels"`
	Trigger   Trigger    `json:"trigger"`
	Audience  Audience   `json:"audience,omitzero"`
	Languages Languages  `json:"languages"`
	Sampling  Sampling   `json:"sampling,omitzero"`
	Holdout   Holdout    `json:"holdout,omitzero"`
	Arms      []Arm      `json:"arms,omitempty"`
	Frequency Frequency  `json:"frequency,omitzero"`
	Questions []Question `json:"questions"`
	Replies   Replies    `json:"replies,omitzero"`
	Reminders Reminders  `json:"reminders,omitzero"`
	// Thanks by score; the first range that has the score, or nothing.
	Thanks   []Thanks `json:"thanks,omitempty"`
	Actions  []Action `json:"actions,omitempty"`
	Stop     Stop     `json:"stop,omitzero"`
	Analysis Analysis `json:"analysis,omitzero"`
}

// Type is what a campaign measures.
type Type string

const (
	NetPromoter          Type = "NPS"  // 0 to 10, promoters minus detractors
	CustomerSatisfaction Type = "CSAT" // 1 to 5 or 7, share of satisfied
	CustomerEffort       Type = "CES"  // 1 to 7, mean
)

// Window is when a campaign asks: Start ≤ t < End.
type Window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Contains says whether t is within the window.
func (w Window) Contains(t time.Time) bool { return !t.Before(w.Start) && t.Before(w.End) }

// TriggerEvent is what makes a campaign consider a contact.
type TriggerEvent string

const (
	ConversationResolved TriggerEvent = "ConversationResolved"
	Manual               TriggerEvent = "Manual" // an agent asked for it
	API                  TriggerEvent = "API"    // another system did: an order was delivered
)

// Trigger says when to consider asking, and when to drop it again.
type Trigger struct {
	// Events; not "on", which YAML reads as true.
	Events []TriggerEvent `json:"events"`
	// Delay between the event and the question.
	Delay document.Duration `json:"delay,omitempty"`
	// Schedule outside of which nobody is asked (quiet times); none by default.
	Schedule string `json:"schedule,omitempty"`
	// MaxDefer is how long after it was due a question may still be asked
	// because of quiet times, a cool-down or another survey; 72 h by default.
	MaxDefer document.Duration `json:"maxDefer,omitempty"`
	// CancelOn drops what was not asked or not answered yet.
	CancelOn []CancelEvent `json:"cancelOn,omitempty"`
	OncePer  OncePer       `json:"oncePer,omitempty"`
	Exclude  Exclude       `json:"exclude,omitzero"`
}

// CancelEvent is what makes a question out of place. An opt-out always does.
type CancelEvent string

const (
	// ConversationReopened: also by a follow-up conversation, after the reopen window.
	ConversationReopened CancelEvent = "ConversationReopened"
	NegativeEvent        CancelEvent = "NegativeEvent" // told by the API: a refund, a claim
)

// OncePer is what a campaign asks at most once about; Resolution by default.
type OncePer string

const (
	OncePerResolution   OncePer = "Resolution"
	OncePerConversation OncePer = "Conversation"
	OncePerContact      OncePer = "Contact"
)

// Exclude are conversations that nobody should be asked about.
type Exclude struct {
	// AutoResolved: closed by a timer, not by a person.
	AutoResolved bool `json:"autoResolved,omitempty"`
	// MinInboundMessages is how much the contact must have written.
	MinInboundMessages int `json:"minInboundMessages,omitempty"`
	// Labels, any of which on the conversation excludes it.
	Labels []string `json:"labels,omitempty"`
}

// Audience is who may be asked. Entries of Matches are alternatives; without
// any, everybody.
type Audience struct {
	Matches []Match `json:"matches,omitempty"`
	Consent Consent `json:"consent,omitzero"`
}

// Match is true if all of its fields are.
type Match struct {
	// Channels of the conversation, any of them.
	Channels []string `json:"channels,omitempty"`
	// Labels of the conversation and Attributes of the contact, exactly so.
	Labels     map[string]string `json:"labels,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	// Languages of the contact: "en" is also en-GB.
	Languages []string `json:"languages,omitempty"`
	// Expression in CEL, see the variables at NewExpression. An error is no match.
	Expression string `json:"expression,omitempty"`
}

// Consent is what a contact must not have refused, or must have given.
type Consent struct {
	// Purpose of the consent; "survey" by default.
	Purpose string `json:"purpose,omitempty"`
	// RequireOptIn asks only who has agreed to that purpose.
	RequireOptIn bool `json:"requireOptIn,omitempty"`
}

// Languages that the texts are in.
type Languages struct {
	Offered []string `json:"offered"`
	// Fallback is used for contacts of other and unknown languages; without it
	// they are not asked.
	Fallback string `json:"fallback,omitempty"`
}

// Unit is what sampling and assignment go by.
type Unit string

const (
	UnitContact      Unit = "Contact" // the default
	UnitConversation Unit = "Conversation"
)

// Sampling asks only a share.
type Sampling struct {
	// Rate in percent with up to two decimals, "12.5%"; all by default.
	Rate string `json:"rate,omitempty"`
	Unit Unit   `json:"unit,omitempty"`
	// Seed of all draws of the campaign but the group's holdout; the campaign's
	// "namespace/name" by default, so that a cluster made anew draws the same.
	Seed string `json:"seed,omitempty"`
}

// HoldoutScope is which campaigns a holdout keeps people from.
type HoldoutScope string

const (
	HoldoutCampaign HoldoutScope = "Campaign" // this one; the default
	HoldoutGroup    HoldoutScope = "Group"    // all of the same Frequency.Group with such a holdout
)

// Holdout are contacts that are never asked, to learn what asking does.
type Holdout struct {
	// Fraction in percent with up to two decimals; nobody by default.
	Fraction string       `json:"fraction,omitempty"`
	Scope    HoldoutScope `json:"scope,omitempty"`
}

// Arm is one way of asking in an experiment. What it does not set is the
// campaign's.
type Arm struct {
	Name   string `json:"name"`
	Weight int    `json:"weight"`
	// Channels, an arm's own. Arms either share their channels or have none in
	// common, else a difference could not be attributed.
	Channels []string           `json:"channels,omitempty"`
	Delay    *document.Duration `json:"delay,omitempty"`
	// Texts of questions, by question id.
	Texts map[string]Texts `json:"texts,omitempty"`
}

// Throttled is what becomes of a question that a cool-down forbids.
type Throttled string

const (
	ThrottledDrop  Throttled = "Drop"  // the default
	ThrottledDefer Throttled = "Defer" // until the cool-down ends, if that is within Trigger.MaxDefer
)

// CooldownFrom is what starts a cool-down.
type CooldownFrom string

const (
	FromSent     CooldownFrom = "Sent"     // the default: a question that is not answered tires as well
	FromAnswered CooldownFrom = "Answered" // only who answered is left alone
)

// Frequency limits how often a contact is asked, by two clocks.
type Frequency struct {
	// Group is the ledger that campaigns share, within their namespace.
	Group string `json:"group,omitempty"`
	// CampaignCooldown runs since this campaign asked, GroupCooldown since any of
	// the group did.
	CampaignCooldown document.Duration `json:"campaignCooldown,omitempty"`
	GroupCooldown    document.Duration `json:"groupCooldown,omitempty"`
	From             CooldownFrom      `json:"from,omitempty"`
	OnThrottled      Throttled         `json:"onThrottled,omitempty"`
	// Priority in the group: when several are due at once, the highest asks.
	Priority int `json:"priority,omitempty"`
}

// QuestionKind is what a question wants.
type QuestionKind string

const (
	ScoreQuestion QuestionKind = "Score" // exactly one, the first
	TextQuestion  QuestionKind = "Text"
)

// Question is one thing to ask.
type Question struct {
	ID   string       `json:"id"`
	Kind QuestionKind `json:"kind"`
	// When, in CEL, says whether a follow-up is asked; always by default.
	When string `json:"when,omitempty"`
	Text Texts  `json:"text"`
	// MaxChars of an answer that are kept; 2000 by default.
	MaxChars int `json:"maxChars,omitempty"`
}

// Texts are one text in several languages, by BCP 47 tag.
type Texts map[string]string

// Replies says how answers are taken.
type Replies struct {
	// Window after the question in which a score counts; 72 h by default. What
	// comes later is kept and reported apart.
	Window document.Duration `json:"window,omitempty"`
	// LateWindow after that in which a score is still understood; 14 days by
	// default. After it the dialogue is over, and every message is a message.
	LateWindow document.Duration `json:"lateWindow,omitempty"`
	// EditWindow after a score in which another replaces it; 10 m by default.
	EditWindow document.Duration `json:"editWindow,omitempty"`
	// CommentWindow after a follow-up question in which a text is its answer;
	// 10 m by default. After it texts are messages again.
	CommentWindow document.Duration `json:"commentWindow,omitempty"`
	// Clarify is sent once when a reply means no single score; none: it is a
	// message like any other.
	Clarify Texts `json:"clarify,omitempty"`
}

// Reminders repeat a question that was not answered.
type Reminders struct {
	Count int               `json:"count,omitempty"`
	After document.Duration `json:"after,omitempty"`
	// Text of a reminder; the question again by default.
	Text Texts `json:"text,omitempty"`
}

// Thanks is said after a score within From and To, both included.
type Thanks struct {
	From int   `json:"from"`
	To   int   `json:"to"`
	Text Texts `json:"text"`
}

// ActionKind is what a score leads to.
type ActionKind string

// OpenConversation opens (or reopens) the contact's conversation in a queue.
const OpenConversation ActionKind = "OpenConversation"

// Action follows a score, once it can no longer be edited.
type Action struct {
	Name string     `json:"name"`
	When string     `json:"when"` // CEL
	Do   ActionKind `json:"do"`
	// Queue, "namespace/name" of an AgentQueue, and how soon somebody should look.
	Queue  string            `json:"queue"`
	Within document.Duration `json:"within,omitempty"`
}

// Stop ends asking before the window does.
type Stop struct {
	MaxResponses int `json:"maxResponses,omitempty"`
	// HalfWidth of the interval, in points, that is precise enough.
	HalfWidth float64 `json:"halfWidth,omitempty"`
	// FloorResponseRate in percent: below it, after 200 questions whose time to
	// answer is over, people do not want to be asked.
	FloorResponseRate string `json:"floorResponseRate,omitempty"`
}

// Compare is the question that a campaign answers beside its score.
type Compare string

const (
	CompareNone    Compare = "None"    // the default
	CompareArms    Compare = "Arms"    // each arm with the baseline
	CompareHoldout Compare = "Holdout" // what the asked did, and those who never were
	// CompareBeforeAfter is marked Observational: time changes more than what was
	// changed.
	CompareBeforeAfter Compare = "BeforeAfter"
	// CompareDifferences is before and after of the first arm against before
	// and after of the baseline (difference in differences).
	CompareDifferences Compare = "DifferenceInDifferences"
)

// Metric is what is compared.
type Metric string

const (
	MetricScore            Metric = "Score" // the default
	MetricRepeatContact30d Metric = "RepeatContact30d"
	MetricOptOut           Metric = "OptOut"
)

// Analysis is declared before the start and does not change after it.
type Analysis struct {
	// Confidence in percent: 90, 95 (the default) or 99.
	Confidence int     `json:"confidence,omitempty"`
	Compare    Compare `json:"compare,omitempty"`
	Metric     Metric  `json:"metric,omitempty"`
	// Baseline is the arm that the others are compared with; the last by default.
	Baseline string `json:"baseline,omitempty"`
	// ChangedAt divides before from after.
	ChangedAt time.Time `json:"changedAt,omitzero"`
	// MinPerGroup is how many answers each group needs for a verdict; 100 by default.
	MinPerGroup int `json:"minPerGroup,omitempty"`
}
