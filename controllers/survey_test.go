package controllers

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

func surveyCampaign(namespace, name, channel string) *v1alpha1.SurveyCampaign {
	now := time.Now().UTC().Truncate(time.Second)
	return &v1alpha1.SurveyCampaign{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.SurveyCampaignSpec{
		Type:        "NPS",
		Window:      v1alpha1.SurveyWindow{Start: metav1.NewTime(now.AddDate(0, -1, 0)), End: metav1.NewTime(now.AddDate(0, 1, 0))},
		ChannelRefs: []v1alpha1.ObjectReference{{Name: channel}},
		Trigger:     v1alpha1.SurveyTrigger{Events: []v1alpha1.SurveyTriggerEvent{"ConversationResolved"}},
		Languages:   v1alpha1.SurveyLanguages{Offered: []string{"en"}},
		Questions: []v1alpha1.SurveyQuestion{
			{ID: "score", Kind: v1alpha1.SurveyScore, Text: v1alpha1.Texts{"en": "0 to 10?"}},
			{ID: "why", Kind: v1alpha1.SurveyText, When: "score <= 6", Text: v1alpha1.Texts{"en": "Why?"}},
		},
	}}
}

// tells lets the store pods of a namespace say something of a campaign.
func tells(namespace, name string, summary survey.Summary) {
	pods.set(namespace, func(b *behaviour) {
		surveys := map[string]survey.Summary{}
		for other, said := range b.surveys {
			surveys[other] = said
		}
		surveys[namespace+"/"+name] = summary
		b.surveys = surveys
	})
}

// noResult is the result of a campaign before anybody answered.
func noResult() survey.Measure {
	nan := math.NaN()
	return survey.Measure{Value: nan, Low: nan, High: nan, Method: survey.MethodAdjustedWald}
}

func TestACampaignIsProgrammedAsksAndEnds(t *testing.T) {
	ns := aRoutedChannel(t)
	pods.set(ns, func(b *behaviour) { b.frozen = true })
	o := surveyCampaign(ns, "nps", "main")
	create(t, o)
	wait(t, o, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonNotLoaded)
	wait(t, o, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotLoaded)
	require.Equal(t, v1alpha1.SurveyPending, o.Status.Phase)
	require.Equal(t, ns+"/default", o.Status.Store)

	pods.set(ns, func(b *behaviour) { b.frozen = false })
	wait(t, o, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, v1alpha1.ReasonProgrammed)
	wait(t, o, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionUnknown, v1alpha1.ReasonNotLoaded)

	tells(ns, "nps", survey.Summary{Reason: survey.SamplingNotStarted, Result: noResult(), Forecast: &survey.Forecast{Invitations: 4500, Responses: 900, HalfWidth: 5.06}})
	wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionFalse, v1alpha1.ReasonNotStarted)
	require.Contains(t, wait(t, o, v1alpha1.ConditionAccepted, metav1.ConditionTrue, "").Message, "expected half-width: ±5.1 points")
	require.Equal(t, "5.1", o.Status.Forecast.HalfWidth)
	require.Nil(t, o.Status.Result.Promoters)

	began := time.Now().UTC().Truncate(time.Second)
	running := survey.Summary{
		Sampling: true, Reason: survey.SamplingRunning, StartedAt: began, UpdatedAt: began, SufficientData: true,
		Result: survey.Measure{N: 391, Value: 26.854, Low: 18.94, High: 34.42, Method: survey.MethodAdjustedWald},
		Counts: &survey.Counts{Promoters: 187, Passives: 122, Detractors: 82}, ResponseRate: &survey.Rate{Happened: 391, N: 1640, Value: 0.2384},
		Funnel: survey.Funnel{Triggered: 1640, Eligible: 1640, Assigned: 1640, Sampled: 1640, Asked: 1640, Answered: 391, OptedOut: 3},
	}
	tells(ns, "nps", running)
	wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionTrue, v1alpha1.ReasonRunning)
	wait(t, o, v1alpha1.ConditionSufficientData, metav1.ConditionTrue, v1alpha1.ReasonEnoughAnswers)
	require.Equal(t, v1alpha1.SurveyRunning, o.Status.Phase)
	require.Equal(t, "26.9", o.Status.Result.Score)
	require.Equal(t, "23.8%", o.Status.Result.ResponseRate)
	require.EqualValues(t, 1640, *o.Status.Funnel.Sent)
	require.Nil(t, o.Status.Funnel.OptOut, "three people are not told of")
	require.Equal(t, began, o.Status.StartedAt.UTC())
	told(t, ns, v1alpha1.ReasonRunning)

	// The same word is no write.
	version := o.ResourceVersion
	tells(ns, "nps", running)
	running.Final, running.Sampling, running.Reason, running.EndedAt, running.FrozenHash = true, false, survey.SamplingOutsideWindow, began, "f00d"
	tells(ns, "nps", running)
	wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionFalse, v1alpha1.ReasonOutsideWindow)
	require.Equal(t, v1alpha1.SurveyComplete, o.Status.Phase)
	require.Equal(t, "f00d", o.Status.ResultHash)
	require.NotEqual(t, version, o.ResourceVersion)
	told(t, ns, v1alpha1.ReasonOutsideWindow)
}

// A campaign that ended is taken up again where its window is extended: nothing of its
// end is left in the status.
func TestACampaignIsTakenUpAgain(t *testing.T) {
	ns := aRoutedChannel(t)
	o := surveyCampaign(ns, "nps", "main")
	create(t, o)
	wait(t, o, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
	began := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	said := survey.Summary{
		UID: string(o.UID), Reason: survey.SamplingOutsideWindow, StartedAt: began, EndedAt: began.Add(time.Minute), FrozenHash: "f00d", Final: true, UpdatedAt: began,
		Result: survey.Measure{N: 391, Value: 26.854, Low: 18.94, High: 34.42, Method: survey.MethodAdjustedWald},
	}
	tells(ns, "nps", said)
	wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionFalse, v1alpha1.ReasonOutsideWindow)
	require.Equal(t, v1alpha1.SurveyComplete, o.Status.Phase)

	update(t, o, func(o *v1alpha1.SurveyCampaign) {
		o.Spec.Window.End = metav1.NewTime(time.Now().AddDate(0, 3, 0).Truncate(time.Second))
	})
	require.Contains(t, wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionFalse, v1alpha1.ReasonOutsideWindow).Message, "the store has not taken up", "it is not over since a time to come")
	said.Sampling, said.Reason, said.Final, said.EndedAt, said.FrozenHash, said.UpdatedAt = true, survey.SamplingRunning, false, time.Time{}, "", began.Add(30*time.Minute)
	tells(ns, "nps", said)
	wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionTrue, v1alpha1.ReasonRunning)
	require.Equal(t, v1alpha1.SurveyRunning, o.Status.Phase)
	require.Nil(t, o.Status.EndedAt)
	require.Empty(t, o.Status.ResultHash)
	require.Equal(t, "26.9", o.Status.Result.Score, "it is the same measurement")
	require.Equal(t, began, o.Status.StartedAt.UTC())
}

// A name that is deleted and applied again is another campaign: nothing of the first
// one is told of it, and what it is to learn is its own.
func TestANameAppliedAgainIsAnotherCampaign(t *testing.T) {
	ns := aRoutedChannel(t)
	o := surveyCampaign(ns, "nps", "main")
	create(t, o)
	wait(t, o, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
	first := survey.Summary{
		UID: string(o.UID), Sampling: true, Reason: survey.SamplingRunning, StartedAt: time.Now(), UpdatedAt: time.Now(),
		Result: survey.Measure{N: 391, Value: 26.854, Low: 18.94, High: 34.42, Method: survey.MethodAdjustedWald},
	}
	tells(ns, "nps", first)
	wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionTrue, v1alpha1.ReasonRunning)
	require.NoError(t, k8s.Delete(t.Context(), o))
	require.True(t, eventually(t, func() bool { return apierrors.IsNotFound(k8s.Get(t.Context(), client.ObjectKeyFromObject(o), o)) }))

	again := surveyCampaign(ns, "nps", "main")
	create(t, again)
	wait(t, again, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
	wait(t, again, v1alpha1.ConditionSampling, metav1.ConditionUnknown, v1alpha1.ReasonNotLoaded) // the store tells of the first one still
	require.Nil(t, again.Status.StartedAt)
	require.Nil(t, again.Status.Result)
	update(t, again, func(o *v1alpha1.SurveyCampaign) { o.Spec.Analysis = &v1alpha1.SurveyAnalysis{MinPerGroup: 50} })
	tells(ns, "nps", survey.Summary{UID: string(again.UID), Sampling: true, Reason: survey.SamplingRunning, Result: noResult()})
	wait(t, again, v1alpha1.ConditionSampling, metav1.ConditionTrue, v1alpha1.ReasonRunning)
	require.Nil(t, again.Status.StartedAt)
}

// Once somebody was asked, the API server refuses another analysis.
func TestAnalysisIsFixedOnceStarted(t *testing.T) {
	ns := aRoutedChannel(t)
	o := surveyCampaign(ns, "nps", "main")
	create(t, o)
	wait(t, o, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
	update(t, o, func(o *v1alpha1.SurveyCampaign) { o.Spec.Analysis = &v1alpha1.SurveyAnalysis{MinPerGroup: 50} })
	tells(ns, "nps", survey.Summary{Sampling: true, Reason: survey.SamplingRunning, StartedAt: time.Now(), Result: noResult()})
	wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionTrue, "")

	changed := o.DeepCopy()
	changed.Spec.Analysis.MinPerGroup = 10
	require.ErrorContains(t, k8s.Patch(t.Context(), changed, client.MergeFrom(o)), "spec.analysis cannot be changed once the first contact was asked")
	update(t, o, func(o *v1alpha1.SurveyCampaign) { o.Spec.Questions[1].When = "score <= 7" })
	wait(t, o, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
	require.NotNil(t, o.Status.StartedAt)
}

// Bad input that the API server takes, line by line: each has a condition.
func TestBadCampaignsAreTold(t *testing.T) {
	ns := aRoutedChannel(t)
	create(t, &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "second"}})
	arms := func(change func(a, b *v1alpha1.SurveyArm)) func(*v1alpha1.SurveyCampaignSpec) {
		return func(s *v1alpha1.SurveyCampaignSpec) {
			s.Arms = []v1alpha1.SurveyArm{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}}
			change(&s.Arms[0], &s.Arms[1])
		}
	}
	for name, tc := range map[string]struct {
		change    func(*v1alpha1.SurveyCampaignSpec)
		condition string
		reason    string
		says      string
	}{
		"past": {func(s *v1alpha1.SurveyCampaignSpec) {
			s.Window.Start, s.Window.End = metav1.NewTime(time.Now().AddDate(-1, 0, 0)), metav1.NewTime(time.Now().Add(-time.Hour))
		},
			v1alpha1.ConditionAccepted, v1alpha1.ReasonWindowInPast, "spec.window.end"},
		"arms-alike": {arms(func(_, _ *v1alpha1.SurveyArm) {}), v1alpha1.ConditionAccepted, v1alpha1.ReasonOverlappingArms, "asks exactly as arm a does"},
		"translation": {func(s *v1alpha1.SurveyCampaignSpec) {
			s.Thanks = []v1alpha1.SurveyThanks{{From: 9, To: 10, Text: v1alpha1.Texts{"de": "Danke"}}}
		}, v1alpha1.ConditionAccepted, v1alpha1.ReasonMissingTranslation, "spec.thanks[0].text: has no text in en"},
		"expression": {func(s *v1alpha1.SurveyCampaignSpec) { s.Questions[1].When = "score <" }, v1alpha1.ConditionAccepted, v1alpha1.ReasonInvalidExpression, "spec.questions[1].when"},
		"thanks-off-scale": {func(s *v1alpha1.SurveyCampaignSpec) {
			s.Type, s.Thanks = "CES", []v1alpha1.SurveyThanks{{From: 9, To: 10, Text: v1alpha1.Texts{"en": "Thanks"}}}
		}, v1alpha1.ConditionAccepted, v1alpha1.ReasonInvalidSpec, "write scores within 1 to 7"},
		"channel":  {func(s *v1alpha1.SurveyCampaignSpec) { s.ChannelRefs[0].Name = "fax" }, v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonChannelNotFound, "there is no Channel " + ns + "/fax"},
		"closed":   {func(s *v1alpha1.SurveyCampaignSpec) { s.ChannelRefs[0].Namespace = "elsewhere" }, v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonRefNotPermitted, "spec.allowedCampaigns"},
		"store":    {func(s *v1alpha1.SurveyCampaignSpec) { s.StoreRef = &v1alpha1.ObjectReference{Name: "second"} }, v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonStoreMismatch, "keeps its conversations in ConversationStore " + ns + "/default"},
		"schedule": {func(s *v1alpha1.SurveyCampaignSpec) { s.Trigger.ScheduleRef = &v1alpha1.LocalReference{Name: "night"} }, v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonScheduleNotFound, "spec.trigger.scheduleRef"},
		"queue": {func(s *v1alpha1.SurveyCampaignSpec) {
			s.Actions = []v1alpha1.SurveyAction{{Name: "r", When: "score < 3", QueueRef: v1alpha1.LocalReference{Name: "nobody"}}}
		}, v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonQueueNotFound, "spec.actions[0].queueRef"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := surveyCampaign(ns, name, "main")
			tc.change(&o.Spec)
			create(t, o)
			require.Contains(t, wait(t, o, tc.condition, metav1.ConditionFalse, tc.reason).Message, tc.says)
			wait(t, o, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, tc.reason)
			wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionFalse, tc.reason)
			if tc.condition == v1alpha1.ConditionAccepted { // nothing that may still arrive
				wait(t, o, v1alpha1.ConditionStalled, metav1.ConditionTrue, tc.reason)
				require.Equal(t, v1alpha1.SurveyFailed, o.Status.Phase)
			}
		})
	}
}

// A platform's messaging window is over before the campaign would ask.
func TestAChannelThatCannotAsk(t *testing.T) {
	ns, account := newNamespace(t), newAccount()
	ch := &v1alpha1.Channel{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "page"}, Spec: v1alpha1.ChannelSpec{
		Platform: v1alpha1.PlatformMessenger, Messenger: &v1alpha1.MessengerChannel{PageID: account, AppID: "9" + account},
		Credentials: v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "page"}},
	}}
	secret := telegramSecret(ns, "page", account)
	secret.StringData = map[string]string{"appSecret": "0123456789abcdef0123456789abcdef", "verifyToken": "of-our-own", "pageAccessToken": "EAAB" + account}
	o := surveyCampaign(ns, "nps", "page")
	o.Spec.Trigger.Delay = &metav1.Duration{Duration: 24 * time.Hour}
	create(t, secret, ch, o)
	c := wait(t, o, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonChannelCannotAsk)
	require.Contains(t, c.Message, "messenger lets nobody be written to 24h0m0s after their last message")
	wait(t, o, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonChannelCannotAsk)
	update(t, o, func(o *v1alpha1.SurveyCampaign) { o.Spec.Trigger.Delay.Duration = 23 * time.Hour })
	wait(t, o, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
}

// What pods refuse, or pods of an older version do not know, is told on the campaign.
func TestCampaignsThatPodsDoNotTake(t *testing.T) {
	ns := aRoutedChannel(t)
	pods.set(ns, func(b *behaviour) { b.refuse["SurveyCampaign/"+ns+"/nps"] = "was declared otherwise when it started" })
	o := surveyCampaign(ns, "nps", "main")
	create(t, o)
	c := wait(t, o, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonLoadFailed)
	require.Contains(t, c.Message, "was declared otherwise when it started")
	pods.set(ns, func(b *behaviour) { clear(b.refuse); b.beforeRouting = true })
	require.True(t, eventually(t, func() bool {
		return strings.Contains(wait(t, o, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, "").Message, "it waits until they are upgraded")
	}))
	pods.set(ns, func(b *behaviour) { b.beforeRouting = false })
	wait(t, o, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// A campaign of another namespace needs the Channel's permission and the store's.
func TestCampaignsAcrossNamespaces(t *testing.T) {
	ns := aRoutedChannel(t)
	cx := newNamespace(t, "team", "cx")
	o := surveyCampaign(cx, "nps", "")
	o.Spec.StoreRef = &v1alpha1.ObjectReference{Namespace: ns, Name: "default"}
	o.Spec.ChannelRefs = []v1alpha1.ObjectReference{{Namespace: ns, Name: "main"}}
	create(t, o)
	wait(t, o, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonRefNotPermitted)
	require.Empty(t, o.Status.Store)
	update(t, &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}, func(s *v1alpha1.ConversationStore) {
		s.Spec.AllowedBridges = &v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	})
	require.True(t, eventually(t, func() bool {
		return strings.Contains(wait(t, o, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonRefNotPermitted).Message, "spec.allowedCampaigns")
	}))
	update(t, telegramChannel(ns, "main", ""), func(ch *v1alpha1.Channel) {
		ch.Spec.AllowedCampaigns = []v1alpha1.AllowedCampaigns{{Namespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.FromSelector, Selector: &v1alpha1.LabelSelector{MatchLabels: map[string]string{"team": "cx"}}}}}
	})
	wait(t, o, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

func TestSuspendedAndThrottledCampaigns(t *testing.T) {
	ns := aRoutedChannel(t)
	o := surveyCampaign(ns, "nps", "main")
	create(t, o)
	wait(t, o, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	tells(ns, "nps", survey.Summary{Sampling: true, Reason: survey.SamplingRunning, StartedAt: time.Now(), Result: noResult(), Throttled: true})
	wait(t, o, v1alpha1.ConditionThrottled, metav1.ConditionTrue, v1alpha1.ReasonMostlyThrottled)
	told(t, ns, v1alpha1.ReasonMostlyThrottled)

	update(t, o, func(o *v1alpha1.SurveyCampaign) { o.Spec.Suspend = true })
	tells(ns, "nps", survey.Summary{Reason: survey.SamplingSuspended, StartedAt: time.Now(), Result: noResult()})
	wait(t, o, v1alpha1.ConditionSampling, metav1.ConditionFalse, v1alpha1.ReasonSuspended)
	wait(t, o, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady) // it is in force
	require.Equal(t, v1alpha1.SurveySuspended, o.Status.Phase)
	require.True(t, eventually(t, func() bool {
		return k8s.Get(t.Context(), client.ObjectKeyFromObject(o), o) == nil && apimeta.FindStatusCondition(o.Status.Conditions, v1alpha1.ConditionThrottled) == nil
	}), "it is present only while true")
}
