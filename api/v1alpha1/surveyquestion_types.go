package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SurveyQuestionKind is what a question wants.
// +kubebuilder:validation:Enum=Score;Text
type SurveyQuestionKind string

const (
	// SurveyScore is the one question that makes an answer count.
	SurveyScore SurveyQuestionKind = "Score"
	// SurveyText asks for words.
	SurveyText SurveyQuestionKind = "Text"
)

// SurveyQuestion is one thing to ask.
type SurveyQuestion struct {
	// ID of the question, as results and when name it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	ID string `json:"id"`

	// Kind is Score (exactly the first) or Text.
	Kind SurveyQuestionKind `json:"kind"`

	// When, in CEL over score, type, language, arm and answers, says whether a
	// Text is asked for; always when left out.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	When string `json:"when,omitempty"`

	// Text of the question, in every language that is offered.
	Text Texts `json:"text"`

	// MaxChars of an answer that are kept; 2000 when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4096
	MaxChars int32 `json:"maxChars,omitempty"`
}

// SurveyReplies says how answers are taken.
type SurveyReplies struct {
	// Window after the question in which a score counts; 72h when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Window *metav1.Duration `json:"window,omitempty"`

	// LateWindow after that in which a score is still understood, and reported
	// apart; 336h when left out. After it every message is a message.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	LateWindow *metav1.Duration `json:"lateWindow,omitempty"`

	// EditWindow after a score in which another replaces it; 10m when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	EditWindow *metav1.Duration `json:"editWindow,omitempty"`

	// CommentWindow after a follow-up question in which a text is its answer; 10m
	// when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	CommentWindow *metav1.Duration `json:"commentWindow,omitempty"`

	// Clarify is said once when a reply means no single score; it is a message
	// like any other when left out.
	// +optional
	Clarify Texts `json:"clarify,omitempty"`
}

// SurveyReminders repeat a question that was not answered.
type SurveyReminders struct {
	// Count of reminders at most.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3
	Count int32 `json:"count"`

	// After is how long to wait before each.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) > duration('0s')",message="must be a duration like 24h or 90m, and more than nothing"
	After metav1.Duration `json:"after"`

	// Text of a reminder; the question again when left out.
	// +optional
	Text Texts `json:"text,omitempty"`
}

// SurveyThanks is said after a score.
// +kubebuilder:validation:XValidation:rule="self.from <= self.to",message="from must not be above to"
type SurveyThanks struct {
	// From is the lowest score that it is said after.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	From int32 `json:"from"`

	// To is the highest score that it is said after.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	To int32 `json:"to"`

	// Text by language.
	Text Texts `json:"text"`
}

// SurveyActionKind is what a score leads to.
// +kubebuilder:validation:Enum=OpenConversation
type SurveyActionKind string

// SurveyAction follows a score, once it can no longer be edited.
type SurveyAction struct {
	// Name of the action, as the store's records have it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// When, in CEL over score, type, language, arm and answers, says for whom.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	When string `json:"when"`

	// Do is OpenConversation: the contact's conversation opens, or reopens, in
	// the queue. That is so when left out.
	// +optional
	Do SurveyActionKind `json:"do,omitempty"`

	// QueueRef is the AgentQueue whose agents get the conversation.
	QueueRef LocalReference `json:"queueRef"`

	// Within is how soon somebody should look at it; no limit when left out.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s')",message="must be a duration like 24h or 90m, and not negative"
	Within *metav1.Duration `json:"within,omitempty"`
}

// SurveyStop ends asking before the window does, by whichever is reached first.
type SurveyStop struct {
	// MaxResponses is how many answers are enough; no limit when left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	MaxResponses int32 `json:"maxResponses,omitempty"`

	// HalfWidth of the score's interval, in points, that is precise enough, like
	// "5" or "2.5".
	// +optional
	// +kubebuilder:validation:MaxLength=6
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,2}([.][0-9]{1,2})?$') && !self.matches('^[0.]+$')",message="must be a number of points above 0 and below 100, like 5 or 2.5"
	HalfWidth string `json:"halfWidth,omitempty"`

	// FloorResponseRate in percent, like 3%: below it, after 200 questions that
	// had their time to be answered, people do not want to be asked.
	// +optional
	// +kubebuilder:validation:MaxLength=7
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,2}([.][0-9]{1,2})?%$')",message="must be a percentage below 100% in steps of 0.01 %, like 3%"
	FloorResponseRate string `json:"floorResponseRate,omitempty"`
}

// SurveyCompare is the question that a campaign answers beside its score.
// +kubebuilder:validation:Enum=None;Arms;Holdout;BeforeAfter;DifferenceInDifferences
type SurveyCompare string

// SurveyMetric is what is compared.
// +kubebuilder:validation:Enum=Score;RepeatContact30d;OptOut
type SurveyMetric string

// SurveyConfidence of intervals, in percent.
// +kubebuilder:validation:Enum=90;95;99
type SurveyConfidence int32

// SurveyAnalysis is what is to be learned, declared before the start.
// +kubebuilder:validation:XValidation:rule="!has(self.compare) || self.compare != 'Holdout' || has(self.metric) && self.metric != 'Score'",message="who is held out gives no score: with compare Holdout, metric must be RepeatContact30d or OptOut"
// +kubebuilder:validation:XValidation:rule="!has(self.metric) || self.metric == 'Score' || has(self.compare) && self.compare in ['Holdout', 'Arms']",message="metric RepeatContact30d and OptOut compare Arms or Holdout; before and after are compared by Score"
// +kubebuilder:validation:XValidation:rule="(has(self.compare) && self.compare in ['BeforeAfter', 'DifferenceInDifferences']) == has(self.changedAt)",message="changedAt is required with compare BeforeAfter and DifferenceInDifferences, and for nothing else"
type SurveyAnalysis struct {
	// Confidence of intervals and of the verdict, in percent: 90, 95 or 99; 95
	// when left out.
	// +optional
	Confidence SurveyConfidence `json:"confidence,omitempty"`

	// Compare is Arms (each with the baseline), Holdout (what those who could be
	// asked did, and those who never were), BeforeAfter (marked Observational: time
	// changes more than what was changed), DifferenceInDifferences (before and
	// after of an arm against those of the baseline), or None; None when left out.
	// +optional
	Compare SurveyCompare `json:"compare,omitempty"`

	// Metric is Score, RepeatContact30d (came again within 30 days) or OptOut;
	// Score when left out.
	// +optional
	Metric SurveyMetric `json:"metric,omitempty"`

	// Baseline is the arm that the others are compared with; the last when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Baseline string `json:"baseline,omitempty"`

	// ChangedAt divides before from after.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=64
	ChangedAt *metav1.Time `json:"changedAt,omitempty"`

	// MinPerGroup is how many answers each group needs for a verdict; 100 when
	// left out.
	// +optional
	// +kubebuilder:validation:Minimum=5
	// +kubebuilder:validation:Maximum=100000000
	MinPerGroup int32 `json:"minPerGroup,omitempty"`
}
