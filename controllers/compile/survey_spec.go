package compile

import (
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// CampaignSpec is a SurveyCampaign as the data plane knows it, with every name as
// "namespace/name".
func CampaignSpec(o *v1alpha1.SurveyCampaign) survey.Campaign {
	s, c := &o.Spec, campaignConverter{namespace: o.Namespace}
	spec := survey.Campaign{
		UID: string(o.UID), Type: survey.Type(s.Type), TopBoxFrom: int(s.TopBoxFrom), Suspended: s.Suspend,
		Window:   survey.Window{Start: s.Window.Start.UTC(), End: s.Window.End.UTC()},
		Channels: c.references(s.ChannelRefs), Trigger: c.trigger(&s.Trigger), Audience: c.audience(s.Audience),
		Languages: survey.Languages{Offered: s.Languages.Offered, Fallback: s.Languages.Fallback},
		Replies:   surveyReplies(s.Replies), Analysis: surveyAnalysis(s.Analysis), Stop: surveyStop(s.Stop),
	}
	if s.Scale != nil {
		spec.Scale = survey.Scale{Min: int(s.Scale.Min), Max: int(s.Scale.Max)}
	}
	if p := s.Sampling; p != nil {
		spec.Sampling = survey.Sampling{Rate: p.Rate, Unit: survey.Unit(p.Unit), Seed: p.Seed}
	}
	if h := s.Holdout; h != nil {
		spec.Holdout = survey.Holdout{Fraction: h.Fraction, Scope: survey.HoldoutScope(h.Scope)}
	}
	for _, a := range s.Arms {
		spec.Arms = append(spec.Arms, c.arm(a))
	}
	if f := s.Frequency; f != nil {
		spec.Frequency = survey.Frequency{
			Group: f.Group, CampaignCooldown: duration(f.CampaignCooldown, 0), GroupCooldown: duration(f.GroupCooldown, 0),
			From: survey.CooldownFrom(f.From), OnThrottled: survey.Throttled(f.OnThrottled), Priority: int(f.Priority),
		}
	}
	for _, q := range s.Questions {
		spec.Questions = append(spec.Questions, survey.Question{ID: q.ID, Kind: survey.QuestionKind(q.Kind), When: q.When, Text: texts(q.Text), MaxChars: int(q.MaxChars)})
	}
	if r := s.Reminders; r != nil {
		spec.Reminders = survey.Reminders{Count: int(r.Count), After: document.Duration(r.After.Duration), Text: texts(r.Text)}
	}
	for _, t := range s.Thanks {
		spec.Thanks = append(spec.Thanks, survey.Thanks{From: int(t.From), To: int(t.To), Text: texts(t.Text)})
	}
	for _, a := range s.Actions {
		spec.Actions = append(spec.Actions, survey.Action{Name: a.Name, When: a.When, Do: survey.ActionKind(a.Do), Queue: within(o.Namespace, a.QueueRef.Name), Within: duration(a.Within, 0)})
	}
	return spec
}

type campaignConverter struct{ namespace string }

func (c campaignConverter) references(refs []v1alpha1.ObjectReference) []string {
	var names []string
	for i := range refs {
		names = append(names, newTarget("", kindChannel, c.namespace, &refs[i]).key.String())
	}
	return names
}

func (c campaignConverter) trigger(t *v1alpha1.SurveyTrigger) survey.Trigger {
	trigger := survey.Trigger{Delay: duration(t.Delay, 0), MaxDefer: duration(t.MaxDefer, 0), OncePer: survey.OncePer(t.OncePer)}
	for _, e := range t.Events {
		trigger.Events = append(trigger.Events, survey.TriggerEvent(e))
	}
	for _, e := range t.CancelOn {
		trigger.CancelOn = append(trigger.CancelOn, survey.CancelEvent(e))
	}
	if t.ScheduleRef != nil {
		trigger.Schedule = within(c.namespace, t.ScheduleRef.Name)
	}
	if x := t.Exclude; x != nil {
		trigger.Exclude = survey.Exclude{AutoResolved: x.AutoResolved, MinInboundMessages: int(x.MinInboundMessages), Labels: x.Labels}
	}
	return trigger
}

func (c campaignConverter) audience(a *v1alpha1.SurveyAudience) survey.Audience {
	if a == nil {
		return survey.Audience{}
	}
	var audience survey.Audience
	for _, m := range a.Matches {
		audience.Matches = append(audience.Matches, survey.Match{
			Channels: c.references(m.ChannelRefs), Labels: pairs(m.Labels), Attributes: pairs(m.Attributes), Languages: m.Languages, Expression: m.Expression,
		})
	}
	if a.Consent != nil {
		audience.Consent = survey.Consent{Purpose: a.Consent.Purpose, RequireOptIn: a.Consent.RequireOptIn}
	}
	return audience
}

func (c campaignConverter) arm(a v1alpha1.SurveyArm) survey.Arm {
	arm := survey.Arm{Name: a.Name, Weight: int(a.Weight), Channels: c.references(a.ChannelRefs)}
	if a.Delay != nil {
		delay := document.Duration(a.Delay.Duration)
		arm.Delay = &delay
	}
	for id, t := range a.Texts {
		if arm.Texts == nil {
			arm.Texts = map[string]survey.Texts{}
		}
		arm.Texts[id] = texts(t)
	}
	return arm
}

func surveyReplies(r *v1alpha1.SurveyReplies) survey.Replies {
	if r == nil {
		return survey.Replies{}
	}
	return survey.Replies{
		Window: duration(r.Window, 0), LateWindow: duration(r.LateWindow, 0), EditWindow: duration(r.EditWindow, 0),
		CommentWindow: duration(r.CommentWindow, 0), Clarify: texts(r.Clarify),
	}
}

func surveyStop(s *v1alpha1.SurveyStop) survey.Stop {
	if s == nil {
		return survey.Stop{}
	}
	stop := survey.Stop{MaxResponses: int(s.MaxResponses), FloorResponseRate: s.FloorResponseRate}
	if s.HalfWidth != "" {
		width, err := strconv.ParseFloat(s.HalfWidth, 64)
		if err != nil {
			width = -1 // as the schema forbids; a finding says so
		}
		stop.HalfWidth = width
	}
	return stop
}

func surveyAnalysis(a *v1alpha1.SurveyAnalysis) survey.Analysis {
	if a == nil {
		return survey.Analysis{}
	}
	return survey.Analysis{
		Confidence: int(a.Confidence), Compare: survey.Compare(a.Compare), Metric: survey.Metric(a.Metric),
		Baseline: a.Baseline, ChangedAt: moment(a.ChangedAt), MinPerGroup: int(a.MinPerGroup),
	}
}

// moment is zero for none.
func moment(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
