package conditions

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// CampaignInput is what a SurveyCampaign's status is made of.
type CampaignInput struct {
	Campaign *v1alpha1.SurveyCampaign
	Result   *compile.BackendResult
	Store    StoreView
	Now      time.Time
}

// Campaign makes a SurveyCampaign's status; recheck as in Channel. What the store
// told of it stays while nothing newer is known.
func Campaign(in CampaignInput) (status v1alpha1.SurveyCampaignStatus, recheck time.Duration) {
	o := in.Campaign
	status = *o.Status.DeepCopy()
	status.ObservedGeneration, status.Store = o.Generation, name(in.Result.Store)
	v := &campaignView{set: newSet(o.Status.Conditions, o.Generation, in.Now), in: in}
	if in.Result.Entry != nil {
		v.summary = in.Store.Fleet.Survey(in.Result.Entry.Key())
	}
	if s := v.summary; s != nil && s.UID != "" && o.UID != "" && s.UID != string(o.UID) {
		v.summary = nil // of a campaign that had the name before
	}
	if v.summary != nil {
		numbers(&status, v.summary, o)
	}
	v.accepted(&status)
	v.judge(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonResolved, "everything that the spec names is there and may be used", in.Result.Findings)
	lacking := v.programmed(o.Status.Store == status.Store)
	v.conclude("every serving pod of its store has loaded it", v.blocking(in.Result.Findings), lacking)
	v.sampling()
	v.sufficientData()
	v.sampleRatio()
	v.throttled()
	status.Phase = v.phase(&status)
	status.Conditions = v.list()
	return status, v.recheck
}

// campaignView is a campaign's conditions in the making.
type campaignView struct {
	*set
	in CampaignInput
	// summary is what the store says of it; nil: nothing (yet).
	summary *survey.Summary
}

// accepted says, until somebody was asked, how precise the result can be
// expected to be: who would learn nothing should know it before.
func (v *campaignView) accepted(status *v1alpha1.SurveyCampaignStatus) {
	message := "the spec is valid"
	if f := status.Forecast; f != nil && f.HalfWidth != "" {
		if f.Planned {
			message += fmt.Sprintf("; half-width with the answers that are planned for: ±%s points, of %d answers to about %d questions (how many contacts there will be is not known)", f.HalfWidth, f.Responses, f.Invitations)
		} else {
			message += fmt.Sprintf("; expected half-width: ±%s points, of %d answers to %d questions", f.HalfWidth, f.Responses, f.Invitations)
		}
	}
	v.judge(v1alpha1.ConditionAccepted, v1alpha1.ReasonAccepted, message, v.in.Result.Findings)
}

// programmed: every serving pod of the store has loaded this generation. Once
// true it stays so for its generation and store, whatever a rollout or a lost node
// does; a refusal by all pods ends it. It returns why it is not, as far as pods
// are to say.
func (v *campaignView) programmed(sameStore bool) (lacking *verdict) {
	const typ = v1alpha1.ConditionProgrammed
	if v.in.Result.Entry == nil || v.in.Result.LastGood {
		reason, message := v.notInForce()
		if v.in.Result.LastGood {
			message += "; the version before stays in force"
		}
		v.put(typ, metav1.ConditionFalse, reason, message)
		return nil
	}
	lacking = v.in.Store.lacks(*v.in.Result.Entry)
	old := v.was(typ)
	latched := sameStore && old != nil && old.Status == metav1.ConditionTrue && old.ObservedGeneration == v.generation
	if lacking != nil && (lacking.stalled || !latched) {
		v.put(typ, metav1.ConditionFalse, lacking.reason, lacking.message)
		return lacking
	}
	v.put(typ, metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "every serving pod of its store has loaded it")
	return nil
}

// notInForce is why this generation is in no document.
func (v *campaignView) notInForce() (reason, message string) {
	for _, typ := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs} {
		if c := v.after[typ]; c.Status == metav1.ConditionFalse {
			return c.Reason, c.Message
		}
	}
	return v1alpha1.ReasonNotLoaded, "no store has it"
}

// unknown keeps what was said of a condition, or says that nothing is known yet.
func (v *campaignView) unknown(typ string) {
	if v.keep(typ); v.was(typ) == nil {
		v.put(typ, metav1.ConditionUnknown, v1alpha1.ReasonNotLoaded, "the store has not said anything of it yet")
	}
}

// sampling is whether anybody is asked now.
func (v *campaignView) sampling() {
	const typ = v1alpha1.ConditionSampling
	if v.in.Result.Entry == nil {
		reason, message := v.notInForce()
		v.put(typ, metav1.ConditionFalse, reason, "nobody is asked: "+message)
		return
	}
	if v.summary == nil {
		v.unknown(typ)
		return
	}
	window := v.in.Campaign.Spec.Window
	message := map[survey.SamplingReason]string{
		survey.SamplingRunning:         "contacts are asked until " + window.End.UTC().Format(time.RFC3339),
		survey.SamplingNotStarted:      "nobody is asked before " + window.Start.UTC().Format(time.RFC3339),
		survey.SamplingOutsideWindow:   "nobody is asked since " + window.End.UTC().Format(time.RFC3339),
		survey.SamplingSuspended:       "spec.suspend is set: nobody is asked; answers to what was asked count",
		survey.SamplingStopRuleReached: fmt.Sprintf("nobody is asked any more: spec.stop is reached (%s)", v.summary.StopRule),
	}[v.summary.Reason]
	if v.summary.Reason == survey.SamplingOutsideWindow && v.in.Now.Before(window.End.Time) {
		message = "nobody is asked: the window was over, and the store has not taken up the one that ends at " + window.End.UTC().Format(time.RFC3339) + " yet"
	}
	status := metav1.ConditionFalse
	if v.summary.Sampling {
		status = metav1.ConditionTrue
	}
	v.put(typ, status, string(v.summary.Reason), message)
}

func (v *campaignView) sufficientData() {
	const typ = v1alpha1.ConditionSufficientData
	needed := survey.DefaultMinPerGroup
	if a := v.in.Campaign.Spec.Analysis; a != nil && a.MinPerGroup > 0 {
		needed = int(a.MinPerGroup)
	}
	switch {
	case v.summary == nil:
		v.unknown(typ)
	case v.summary.SufficientData:
		v.put(typ, metav1.ConditionTrue, v1alpha1.ReasonEnoughAnswers, fmt.Sprintf("each group has at least %d answers", needed))
	default:
		v.put(typ, metav1.ConditionFalse, v1alpha1.ReasonTooFewAnswers, fmt.Sprintf("each group needs at least %d answers (analysis.minPerGroup)", needed))
	}
}

func (v *campaignView) sampleRatio() {
	const typ = v1alpha1.ConditionSampleRatioOK
	switch {
	case !drawsGroups(&v.in.Campaign.Spec):
		v.put(typ, metav1.ConditionTrue, v1alpha1.ReasonNoArms, "there are no arms, and no holdout of contacts, whose sizes could be wrong")
	case v.summary == nil:
		v.unknown(typ)
	case v.summary.SampleRatio == nil:
		v.put(typ, metav1.ConditionUnknown, v1alpha1.ReasonNobodyAssigned, "nobody was drawn yet")
	case v.summary.SampleRatio.OK:
		v.put(typ, metav1.ConditionTrue, v1alpha1.ReasonAsDrawn, "arms and holdout have the sizes that were drawn")
	default:
		v.put(typ, metav1.ConditionFalse, v1alpha1.ReasonSampleRatioMismatch, fmt.Sprintf(
			"arms and holdout do not have the sizes that were drawn (p %s): something is wrong with the assignment, or with what is kept of it, so no verdict is given", probability(v.summary.SampleRatio.P)))
	}
}

// drawsGroups says that a campaign has groups whose sizes are checked, as
// survey.Program.ChecksSampleRatio does of its program.
func drawsGroups(spec *v1alpha1.SurveyCampaignSpec) bool {
	if len(spec.Arms) > 0 {
		return true
	}
	byContact := spec.Sampling == nil || spec.Sampling.Unit != v1alpha1.SurveyUnit(survey.UnitConversation)
	return byContact && spec.Holdout != nil && strings.Trim(spec.Holdout.Fraction, "0.%") != ""
}

func (v *campaignView) throttled() {
	const typ = v1alpha1.ConditionThrottled
	switch {
	case v.summary == nil && v.wasStatus(typ) == metav1.ConditionTrue && v.in.Result.Entry != nil:
		v.keep(typ)
	case v.summary != nil && v.summary.Throttled:
		message := "more than half of those drawn were asked too lately by this campaign: spec.frequency.campaignCooldown"
		if f := v.in.Campaign.Spec.Frequency; f != nil && f.Group != "" {
			message = fmt.Sprintf("more than half of those drawn were asked too lately, by this campaign or another of the group %s: they compete for the same people", f.Group)
		}
		v.put(typ, metav1.ConditionTrue, v1alpha1.ReasonMostlyThrottled, message)
	}
}

// phase sums it up in one word.
func (v *campaignView) phase(status *v1alpha1.SurveyCampaignStatus) v1alpha1.SurveyPhase {
	before := v.in.Campaign.Status.Phase
	switch {
	case v.summary != nil && v.summary.Final, v.summary == nil && before == v1alpha1.SurveyComplete:
		return v1alpha1.SurveyComplete
	case v.in.Result.Entry == nil && v.after[v1alpha1.ConditionStalled].Status == metav1.ConditionTrue:
		return v1alpha1.SurveyFailed
	case v.in.Campaign.Spec.Suspend:
		return v1alpha1.SurveySuspended
	case v.summary == nil && status.StartedAt != nil && before == v1alpha1.SurveyRunning && v.in.Result.Entry != nil:
		return v1alpha1.SurveyRunning // pods restart
	case v.summary == nil, v.summary.Reason == survey.SamplingNotStarted:
		return v1alpha1.SurveyPending
	case v.summary.Reason == survey.SamplingSuspended:
		return v1alpha1.SurveySuspended
	}
	return v1alpha1.SurveyRunning
}
