package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SurveyPhase is where a campaign is.
// +kubebuilder:validation:Enum=Pending;Running;Suspended;Complete;Failed
type SurveyPhase string

const (
	// SurveyPending: its window has not begun, or no store has it yet.
	SurveyPending SurveyPhase = "Pending"
	// SurveyRunning: it asks, or waits for the last answers.
	SurveyRunning SurveyPhase = "Running"
	// SurveySuspended: spec.suspend is set; answers still count.
	SurveySuspended SurveyPhase = "Suspended"
	// SurveyComplete: nothing more is counted, the result is final.
	SurveyComplete SurveyPhase = "Complete"
	// SurveyFailed: it is in force nowhere until somebody changes something.
	SurveyFailed SurveyPhase = "Failed"
)

// SurveyCampaignStatus is what is really there. Numbers come from the store, at
// most every ten minutes and only when they changed; nothing is told of fewer
// than five people: such numbers are left out. Decimals are strings, in points of
// the score unless said otherwise.
type SurveyCampaignStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Accepted, ResolvedRefs, Programmed, Sampling,
	// SufficientData, SampleRatioOK, Throttled, Reconciling, Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Store is the namespace/name of the ConversationStore.
	// +optional
	Store string `json:"store,omitempty"`

	// Phase is Pending, Running, Suspended, Complete or Failed.
	// +optional
	Phase SurveyPhase `json:"phase,omitempty"`

	// StartedAt is when the first contact was asked. From then on spec.analysis
	// cannot be changed.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// EndedAt is when the result became final.
	// +optional
	EndedAt *metav1.Time `json:"endedAt,omitempty"`

	// ResultHash is of the final result, as the store keeps it.
	// +optional
	ResultHash string `json:"resultHash,omitempty"`

	// Forecast is what can be expected, until somebody was asked.
	// +optional
	Forecast *SurveyForecast `json:"forecast,omitempty"`

	// Funnel is how many there were at each stage.
	// +optional
	Funnel *SurveyFunnel `json:"funnel,omitempty"`

	// Result is the score with its interval.
	// +optional
	Result *SurveyResult `json:"result,omitempty"`

	// Arms are the results of each arm of an experiment.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Arms []SurveyArmResult `json:"arms,omitempty"`

	// Comparison is what spec.analysis asks: the first group minus the second.
	// +optional
	Comparison *SurveyComparison `json:"comparison,omitempty"`

	// FurtherComparisons are those of the other arms with the baseline.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	FurtherComparisons []SurveyComparison `json:"furtherComparisons,omitempty"`

	// UpdatedAt is when the numbers were counted.
	// +optional
	UpdatedAt *metav1.Time `json:"updatedAt,omitempty"`
}

// SurveyForecast is what can be expected before the start.
type SurveyForecast struct {
	// Invitations to expect within the window.
	Invitations int64 `json:"invitations"`

	// Responses to expect of them.
	Responses int64 `json:"responses"`

	// Planned: how many contacts there will be is not known (another system triggers
	// it, the channels are new), so these are the answers that the campaign plans for:
	// stop.maxResponses, or analysis.minPerGroup in each group that is compared.
	// +optional
	Planned bool `json:"planned,omitempty"`

	// HalfWidth of the score's interval to expect: the result will be known to
	// plus or minus so many points.
	// +optional
	HalfWidth string `json:"halfWidth,omitempty"`

	// Detectable is the smallest true difference between two groups that would be
	// found four times in five.
	// +optional
	Detectable string `json:"detectable,omitempty"`
}

// SurveyFunnel is how many there were at each stage. Why the others were not
// asked, one by one, is in the store's REST API. Counts of 1 to 4 are left out, and
// those from which one would follow.
type SurveyFunnel struct {
	// Triggered is how often an event made the campaign consider a contact.
	// +optional
	Triggered *int64 `json:"triggered,omitempty"`

	// Eligible are those who could be asked: audience, language and consent are right.
	// +optional
	Eligible *int64 `json:"eligible,omitempty"`

	// HeldOut of the eligible are never asked.
	// +optional
	HeldOut *int64 `json:"heldOut,omitempty"`

	// SampledIn are those drawn of the rest.
	// +optional
	SampledIn *int64 `json:"sampledIn,omitempty"`

	// Throttled of the sampled were asked too lately, by this or another campaign.
	// +optional
	Throttled *int64 `json:"throttled,omitempty"`

	// Pending of the sampled wait to be asked.
	// +optional
	Pending *int64 `json:"pending,omitempty"`

	// Sent are the questions.
	// +optional
	Sent *int64 `json:"sent,omitempty"`

	// Delivered of them arrived.
	// +optional
	Delivered *int64 `json:"delivered,omitempty"`

	// Answered gave a score in time.
	// +optional
	Answered *int64 `json:"answered,omitempty"`

	// Completed answered all that followed as well.
	// +optional
	Completed *int64 `json:"completed,omitempty"`

	// Late gave a score after replies.window.
	// +optional
	Late *int64 `json:"late,omitempty"`

	// OptOut asked not to be asked any more.
	// +optional
	OptOut *int64 `json:"optOut,omitempty"`

	// Clarified were asked back, since their reply meant no single score.
	// +optional
	Clarified *int64 `json:"clarified,omitempty"`

	// Unparsed wrote something that was no score; it went where it would have
	// gone without a survey.
	// +optional
	Unparsed *int64 `json:"unparsed,omitempty"`
}

// SurveyResult is the score with its interval. Without a score there is too
// little data, which is not a score of 0.
type SurveyResult struct {
	// N is how many answers it is made of; left out below five.
	// +optional
	N *int64 `json:"n,omitempty"`

	// Score: the NPS (-100 to 100), the percentage of satisfied (CSAT), or the
	// mean effort (CES).
	// +optional
	Score string `json:"score,omitempty"`

	// Low is the lower end of the interval.
	// +optional
	Low string `json:"low,omitempty"`

	// High is the upper end of the interval.
	// +optional
	High string `json:"high,omitempty"`

	// Method that the interval was made by: AdjustedWald3, Wilson or StudentT.
	// +optional
	Method string `json:"method,omitempty"`

	// Confidence of the interval, in percent.
	// +optional
	Confidence int32 `json:"confidence,omitempty"`

	// Promoters of an NPS gave 9 or 10.
	// +optional
	Promoters *int64 `json:"promoters,omitempty"`

	// Passives of an NPS gave 7 or 8.
	// +optional
	Passives *int64 `json:"passives,omitempty"`

	// Detractors of an NPS gave 6 or less.
	// +optional
	Detractors *int64 `json:"detractors,omitempty"`

	// ResponseRate is the share of those asked who answered in time, like 24.4%.
	// +optional
	ResponseRate string `json:"responseRate,omitempty"`
}

// SurveyArmResult is the result of one arm.
type SurveyArmResult struct {
	// Name of the arm in spec.
	Name string `json:"name"`

	// Assigned contacts, whether they could be asked or not.
	// +optional
	Assigned *int64 `json:"assigned,omitempty"`

	// N is how many answers it has; left out below five.
	// +optional
	N *int64 `json:"n,omitempty"`

	// Score as in result.
	// +optional
	Score string `json:"score,omitempty"`

	// Low is the lower end of the interval.
	// +optional
	Low string `json:"low,omitempty"`

	// High is the upper end of the interval.
	// +optional
	High string `json:"high,omitempty"`

	// ResponseRate of the arm, like 24.4%.
	// +optional
	ResponseRate string `json:"responseRate,omitempty"`
}

// SurveyComparison is the first group minus the second.
type SurveyComparison struct {
	// Compare is what spec.analysis.compare says.
	Compare SurveyCompare `json:"compare"`

	// Metric is what is compared.
	Metric SurveyMetric `json:"metric"`

	// First group: an arm, "asked" or "after".
	First string `json:"first"`

	// Second group: the baseline, "holdout" or "before".
	Second string `json:"second"`

	// Difference of the two: points of the score, or percentage points of a share.
	// +optional
	Difference string `json:"difference,omitempty"`

	// Low is the lower end of the difference's interval.
	// +optional
	Low string `json:"low,omitempty"`

	// High is the upper end of the difference's interval.
	// +optional
	High string `json:"high,omitempty"`

	// P is the two-sided p-value, adjusted (Holm) where several are compared. It is absent
	// while the verdict is Pending: the comparison is looked at once, at the end.
	// +optional
	P string `json:"p,omitempty"`

	// SRMP is the p-value of the sample-ratio check on assigned contacts; below
	// 0.001 something is wrong with the assignment, and there is no verdict.
	// +optional
	SRMP string `json:"srmP,omitempty"`

	// Verdict is Pending until the end, then Higher, Lower, Inconclusive or Withheld.
	Verdict string `json:"verdict"`

	// Observational: before and after differ in more than what was changed, so what
	// differs may have another cause.
	// +optional
	Observational bool `json:"observational,omitempty"`

	// Caveats are what a reader has to know: Observational, SelectionRisk, ReachDiffers, TooFew,
	// SampleRatioMismatch, AssumesParallelTrends.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Caveats []string `json:"caveats,omitempty"`
}

// SurveyCampaign is one measurement programme: NPS, CSAT or CES.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=survey,categories=bridgekeeper
// +kubebuilder:selectablefield:JSONPath=`.spec.type`
// +kubebuilder:selectablefield:JSONPath=`.status.phase`
// +kubebuilder:selectablefield:JSONPath=`.status.store`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Sampling",type=string,JSONPath=`.status.conditions[?(@.type=="Sampling")].reason`
// +kubebuilder:printcolumn:name="Answers",type=integer,JSONPath=`.status.result.n`
// +kubebuilder:printcolumn:name="Score",type=string,JSONPath=`.status.result.score`
// +kubebuilder:printcolumn:name="Low",type=string,JSONPath=`.status.result.low`,priority=1
// +kubebuilder:printcolumn:name="High",type=string,JSONPath=`.status.result.high`,priority=1
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.comparison.verdict`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be at most 63 lower-case letters, digits and dashes: it stands in metrics and in the REST API"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.startedAt) || has(self.spec.analysis) == has(oldSelf.spec.analysis) && (!has(self.spec.analysis) || self.spec.analysis == oldSelf.spec.analysis)",message="spec.analysis cannot be changed once the first contact was asked: what is to be learned is declared before; make a new campaign"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.startedAt) || self.spec.type == oldSelf.spec.type && has(self.spec.scale) == has(oldSelf.spec.scale) && (!has(self.spec.scale) || self.spec.scale == oldSelf.spec.scale)",message="spec.type and spec.scale cannot be changed once the first contact was asked: scores of two scales make no result; make a new campaign"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.startedAt) || has(self.spec.topBoxFrom) == has(oldSelf.spec.topBoxFrom) && (!has(self.spec.topBoxFrom) || self.spec.topBoxFrom == oldSelf.spec.topBoxFrom)",message="spec.topBoxFrom cannot be changed once the first contact was asked: who counts as satisfied is declared before; make a new campaign"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.startedAt) || has(self.spec.sampling) == has(oldSelf.spec.sampling) && (!has(self.spec.sampling) || self.spec.sampling == oldSelf.spec.sampling) && has(self.spec.holdout) == has(oldSelf.spec.holdout) && (!has(self.spec.holdout) || self.spec.holdout == oldSelf.spec.holdout)",message="spec.sampling and spec.holdout cannot be changed once the first contact was asked: who was drawn before keeps that draw, and the groups would not have the sizes that are checked; make a new campaign"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.startedAt) || has(self.spec.arms) == has(oldSelf.spec.arms) && (!has(self.spec.arms) || self.spec.arms == oldSelf.spec.arms && self.spec.arms.map(a, a.name) == oldSelf.spec.arms.map(a, a.name))",message="the names, weights, texts, delays, channelRefs and order of spec.arms cannot be changed once the first contact was asked: an arm is one way of asking; make a new campaign"
type SurveyCampaign struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec SurveyCampaignSpec `json:"spec"`
	// A fresh object says that nothing was observed yet, so that GitOps tools
	// do not take it for healthy before the operator has seen it.
	// +kubebuilder:default={"observedGeneration":-1}
	Status SurveyCampaignStatus `json:"status,omitempty"`
}

// SurveyCampaignList is a list of SurveyCampaigns.
// +kubebuilder:object:root=true
type SurveyCampaignList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SurveyCampaign `json:"items"`
}

// GetConditions returns the conditions of the status.
func (o *SurveyCampaign) GetConditions() *[]metav1.Condition { return &o.Status.Conditions }
