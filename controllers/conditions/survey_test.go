package conditions

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

const campaignEntry = "SurveyCampaign/shop/nps"

// surveyed is a campaign, step by step.
type surveyed struct {
	t        require.TestingT
	campaign *v1alpha1.SurveyCampaign
	result   *compile.BackendResult
	store    *storeScene
	now      time.Time
}

func newSurveyed(t *testing.T) *surveyed {
	s := &surveyed{t: t, now: start, campaign: &v1alpha1.SurveyCampaign{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "SurveyCampaign"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "nps", Generation: 1},
		Spec: v1alpha1.SurveyCampaignSpec{Type: "NPS", Window: v1alpha1.SurveyWindow{
			Start: metav1.NewTime(time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)), End: metav1.NewTime(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)),
		}},
	}}
	s.compile(t, "a")
	return s
}

func (s *surveyed) compile(t *testing.T, content string, findings ...compile.Finding) {
	s.store = newStoreScene(t, content, document.Entry{Kind: document.EntrySurveyCampaign, Name: "shop/nps"})
	entry := s.store.loadable(document.EntrySurveyCampaign, "shop/nps")
	s.result = &compile.BackendResult{Findings: findings, Store: edge, Entry: &entry, LastGood: len(findings) > 0}
}

// say lets all pods tell a summary.
func (s *surveyed) say(summary survey.Summary) {
	raw, err := json.Marshal(summary)
	require.NoError(s.t, err)
	for i := range s.store.pods {
		s.store.pods[i].Status.Surveys = []document.SurveyStatus{{Entry: campaignEntry, Hash: s.result.Entry.Hash, Summary: raw}}
	}
}

func (s *surveyed) input() CampaignInput {
	return CampaignInput{Campaign: s.campaign, Result: s.result, Store: s.store.view(), Now: s.now}
}

// step makes the status, takes it over, and checks it.
func (s *surveyed) step(t *testing.T, want status.Status, ready string, phase v1alpha1.SurveyPhase) {
	t.Helper()
	s.campaign.Status, _ = Campaign(s.input())
	checkStatus(t, s.campaign, s.campaign, want, ready)
	require.Equal(t, phase, s.campaign.Status.Phase)
	again, _ := Campaign(s.input())
	require.Equal(t, s.campaign.Status, again, "nothing happened, and the status is another")
}

func (s *surveyed) has(t *testing.T, typ, want string) {
	t.Helper()
	require.Equal(t, want, conditionOf(s.campaign.Status.Conditions, typ))
}

func (s *surveyed) message(typ string) string {
	for _, c := range s.campaign.Status.Conditions {
		if c.Type == typ {
			return c.Message
		}
	}
	return ""
}

func ptrTo[T any](v T) *T { return &v }

// sketched are the numbers of the research's sketch: 187 promoters, 122 passives
// and 82 detractors, in two arms.
func sketched(p *survey.Program) survey.Summary {
	scores := func(arm, promoters, passives, detractors int) (rows []survey.Row) {
		for score, n := range map[int]int{10: promoters, 7: passives, 0: detractors} {
			for range n {
				rows = append(rows, survey.Row{At: start.AddDate(0, 0, -1), Score: score, Arm: arm, Channel: "shop/bot", Language: "en"})
			}
		}
		return rows
	}
	rows := append(scores(0, 103, 58, 40), scores(1, 84, 64, 42)...)
	report := survey.Aggregate(p, survey.Data{
		Now:  start,
		Arms: []survey.ArmCounts{{Assigned: 842, Asked: 830, Answered: 201}, {Assigned: 819, Asked: 810, Answered: 190}},
		Funnel: survey.Funnel{Triggered: 20000, Exits: map[survey.Exit]int{survey.OptedOut: 1780, survey.HeldOut: 1822, survey.NotSampled: 14734, survey.GroupCooldown: 21, survey.Unreachable: 3},
			Eligible: 18220, HeldOut: 1822, Assigned: 16398, Sampled: 1664, Throttled: 21, Asked: 1640, Delivered: 1602, Answered: 391, Completed: 300, Expired: 12, Late: 9, OptedOut: 4, Clarified: 22, Unparsed: 6},
		Rows: func(yield func(survey.Row) bool) {
			for _, r := range rows {
				if !yield(r) {
					return
				}
			}
		},
	})
	summary := survey.Summarize(&report)
	summary.Sampling, summary.Reason, summary.StartedAt = true, survey.SamplingRunning, start.AddDate(0, -1, 0)
	return summary
}

func twoArms(t *testing.T) *survey.Program {
	channel := survey.Channel{Platform: "telegram", CanSend: true}
	p, findings := survey.Compile("shop/nps", survey.Campaign{
		Type: survey.NetPromoter, Window: survey.Window{Start: start.AddDate(0, -2, 0), End: start.AddDate(0, 2, 0)}, Channels: []string{"shop/bot", "shop/web"},
		Trigger: survey.Trigger{Events: []survey.TriggerEvent{survey.API}}, Languages: survey.Languages{Offered: []string{"en"}},
		Arms:      []survey.Arm{{Name: "with-channel", Weight: 1, Channels: []string{"shop/bot"}}, {Name: "without-channel", Weight: 1, Channels: []string{"shop/web"}}},
		Questions: []survey.Question{{ID: "score", Kind: survey.ScoreQuestion, Text: survey.Texts{"en": "?"}}}, Analysis: survey.Analysis{Compare: survey.CompareArms},
	}, survey.Refs{Now: start, Channels: map[string]survey.Channel{"shop/bot": channel, "shop/web": channel}})
	require.Empty(t, findings)
	return p
}

func TestACampaignFromItsApplyToItsResult(t *testing.T) {
	s := newSurveyed(t)
	s.step(t, status.InProgressStatus, "False/StoreNotReady", v1alpha1.SurveyPending)
	s.has(t, v1alpha1.ConditionProgrammed, "False/StoreNotReady")
	s.has(t, v1alpha1.ConditionSampling, "Unknown/NotLoaded")
	s.has(t, v1alpha1.ConditionSampleRatioOK, "True/NoArms")

	s.store.load(2)
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyPending)
	s.has(t, v1alpha1.ConditionProgrammed, "True/Programmed")

	// Before the start it says how precise the result can be.
	s.say(survey.Summary{Reason: survey.SamplingNotStarted, Result: survey.Measure{Value: math.NaN(), Low: math.NaN(), High: math.NaN()}, Forecast: &survey.Forecast{Invitations: 4500, Responses: 900, HalfWidth: 5.06}})
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyPending)
	s.has(t, v1alpha1.ConditionSampling, "False/NotStarted")
	s.has(t, v1alpha1.ConditionSufficientData, "False/TooFewAnswers")
	require.Equal(t, "the spec is valid; expected half-width: ±5.1 points, of 900 answers to 4500 questions", s.message(v1alpha1.ConditionAccepted))
	require.Equal(t, &v1alpha1.SurveyForecast{Invitations: 4500, Responses: 900, HalfWidth: "5.1"}, s.campaign.Status.Forecast)
	require.Empty(t, s.campaign.Status.Result.Score, "no data is no score")
	require.Nil(t, s.campaign.Status.StartedAt)

	s.campaign.Spec.Arms = []v1alpha1.SurveyArm{{Name: "with-channel", Weight: 1}, {Name: "without-channel", Weight: 1}}
	summary := sketched(twoArms(t))
	s.say(summary)
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyRunning)
	s.has(t, v1alpha1.ConditionSampling, "True/Running")
	s.has(t, v1alpha1.ConditionSufficientData, "True/EnoughAnswers")
	s.has(t, v1alpha1.ConditionSampleRatioOK, "True/AsDrawn")
	require.Nil(t, s.campaign.Status.Forecast)
	asSketched(t, s.campaign.Status)

	// Nobody is asked any more, and the last answers come in.
	summary.Sampling, summary.Reason, summary.StopRule = false, survey.SamplingStopRuleReached, survey.StopPrecision
	s.say(summary)
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyRunning)
	s.has(t, v1alpha1.ConditionSampling, "False/StopRuleReached")
	require.Contains(t, s.message(v1alpha1.ConditionSampling), "Precision")

	summary.Final, summary.EndedAt, summary.FrozenHash = true, start, "f00d"
	s.say(summary)
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyComplete)
	require.Equal(t, "f00d", s.campaign.Status.ResultHash)
	require.Equal(t, start, s.campaign.Status.EndedAt.UTC())

	// Pods that say nothing take nothing away.
	before := s.campaign.Status
	s.store.load(1)
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyComplete)
	require.Equal(t, before, s.campaign.Status)
}

// asSketched: the numbers of the sketch, rounded once and as strings.
func asSketched(t *testing.T, got v1alpha1.SurveyCampaignStatus) {
	t.Helper()
	n := func(v int64) *int64 { return &v }
	require.Equal(t, &v1alpha1.SurveyResult{N: n(391), Score: "26.9", Low: "18.9", High: "34.4", Method: "AdjustedWald3", Confidence: 95, Promoters: n(187), Passives: n(122), Detractors: n(82), ResponseRate: "23.8%"}, got.Result)
	require.Equal(t, "31.3", got.Arms[0].Score)
	require.Equal(t, "22.1", got.Arms[1].Score)
	require.Equal(t, n(842), got.Arms[0].Assigned)
	require.Equal(t, &v1alpha1.SurveyComparison{
		Compare: "Arms", Metric: "Score", First: "with-channel", Second: "without-channel", Difference: "9.1", Low: "-6.3", High: "24.5", SRMP: "0.573", Verdict: "Pending",
	}, got.Comparison)
	require.Equal(t, n(1640), got.Funnel.Sent)
	require.Equal(t, n(9), got.Funnel.Late)
	require.Nil(t, got.Funnel.OptOut, "four people are not told of")
	require.Equal(t, start.AddDate(0, -1, 0), got.StartedAt.UTC())
}

func TestNumbersOfFewPeopleAreLeftOut(t *testing.T) {
	s := newSurveyed(t)
	s.store.load(1)
	nan := math.NaN()
	s.say(survey.Summary{
		Sampling: true, Reason: survey.SamplingRunning, StartedAt: start, Result: survey.Measure{Hidden: true, Value: nan, Low: nan, High: nan, Method: survey.MethodAdjustedWald},
		ResponseRate: &survey.Rate{Happened: 3, N: 20, Value: 0.15}, Funnel: survey.Funnel{Triggered: 20, Eligible: 20, Assigned: 20, Sampled: 20, Asked: 20, Delivered: 4, Answered: 3, Completed: 1},
		Arms: []survey.GroupResult{{Name: "a", Assigned: 2, Measure: survey.Measure{Hidden: true, Value: nan, Low: nan, High: nan}, ResponseRate: &survey.Rate{Happened: 1, N: 2, Value: 0.5}}},
	})
	got, _ := Campaign(s.input())
	require.Equal(t, &v1alpha1.SurveyResult{Method: "AdjustedWald3", Confidence: 95}, got.Result)
	require.Equal(t, []v1alpha1.SurveyArmResult{{Name: "a"}}, got.Arms)
	require.Equal(t, ptrTo[int64](20), got.Funnel.Sent)
	require.Nil(t, got.Funnel.Delivered)
	require.Nil(t, got.Funnel.Answered)
	require.Equal(t, ptrTo[int64](0), got.Funnel.Late, "nobody is not a person")
}

// What the store hides so that nothing follows from it is not in the status either.
func TestWhatTheStoreHidesIsNotInTheStatus(t *testing.T) {
	got := funnel(&survey.Funnel{Triggered: 30, Asked: 30, Expired: 0, Hidden: []string{"expired", "optedOut"}})
	require.Equal(t, ptrTo[int64](30), got.Sent)
	require.Nil(t, got.OptOut)
	require.Equal(t, ptrTo[int64](0), got.Late)
}

// A holdout has a size that is checked, if it is people who are drawn.
func TestAHoldoutHasASampleRatio(t *testing.T) {
	for name, one := range map[string]struct {
		spec v1alpha1.SurveyCampaignSpec
		want bool
	}{
		"nothing":          {v1alpha1.SurveyCampaignSpec{}, false},
		"arms":             {v1alpha1.SurveyCampaignSpec{Arms: make([]v1alpha1.SurveyArm, 2)}, true},
		"holdout":          {v1alpha1.SurveyCampaignSpec{Holdout: &v1alpha1.SurveyHoldout{Fraction: "10%"}}, true},
		"holdout of 0":     {v1alpha1.SurveyCampaignSpec{Holdout: &v1alpha1.SurveyHoldout{Fraction: "0.00%"}}, false},
		"by conversations": {v1alpha1.SurveyCampaignSpec{Holdout: &v1alpha1.SurveyHoldout{Fraction: "10%"}, Sampling: &v1alpha1.SurveySampling{Unit: "Conversation"}}, false},
	} {
		require.Equal(t, one.want, drawsGroups(&one.spec), name)
	}
	s := newSurveyed(t)
	s.store.load(1)
	s.campaign.Spec.Arms, s.campaign.Spec.Holdout = nil, &v1alpha1.SurveyHoldout{Fraction: "10%"}
	s.say(survey.Summary{Sampling: true, Reason: survey.SamplingRunning, StartedAt: start, SampleRatio: &survey.RatioCheck{Chi2: 40, P: 1e-10}})
	got, _ := Campaign(s.input())
	c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionSampleRatioOK)
	require.Equal(t, metav1.ConditionFalse, c.Status)
	require.Equal(t, v1alpha1.ReasonSampleRatioMismatch, c.Reason)
}

// A forecast of what is planned for does not pretend to know how many there will be.
func TestAcceptedSaysWhatAForecastIsOf(t *testing.T) {
	s := newSurveyed(t)
	s.store.load(1)
	s.say(survey.Summary{Reason: survey.SamplingNotStarted, Result: survey.Measure{Value: math.NaN(), Low: math.NaN(), High: math.NaN()},
		Forecast: &survey.Forecast{Planned: true, Invitations: 500, Responses: 100, HalfWidth: 15.2}})
	got, _ := Campaign(s.input())
	require.Equal(t, &v1alpha1.SurveyForecast{Planned: true, Invitations: 500, Responses: 100, HalfWidth: "15.2"}, got.Forecast)
	require.Contains(t, meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionAccepted).Message, "±15.2 points, of 100 answers to about 500 questions (how many contacts there will be is not known)")
}

func TestAComparisonSaysWhatItIsWorth(t *testing.T) {
	made := comparison(survey.ComparisonResult{
		Compare: survey.CompareBeforeAfter, Metric: survey.MetricScore, First: "after", Second: "before", Verdict: survey.VerdictHigher,
		Values: survey.Comparison{Difference: 12.34, Low: 0.04, High: 24.6, P: 0.0004, N1: 400, N2: 400}, AdjustedP: ptrTo(0.0008), Caveats: []survey.Caveat{survey.CaveatObservational},
	}, nil, 1)
	require.Equal(t, v1alpha1.SurveyComparison{Compare: "BeforeAfter", Metric: "Score", First: "after", Second: "before", Difference: "12.3", Low: "0.0", High: "24.6", P: "<0.001", Verdict: "Higher", Observational: true, Caveats: []string{"Observational"}}, made)

	nan := math.NaN()
	none := comparison(survey.ComparisonResult{Compare: survey.CompareHoldout, Metric: survey.MetricOptOut, First: "asked", Second: "holdout", Verdict: survey.VerdictPending, Values: survey.Comparison{Difference: nan, Low: nan, High: nan, P: nan}}, nil, 2)
	require.Equal(t, v1alpha1.SurveyComparison{Compare: "Holdout", Metric: "OptOut", First: "asked", Second: "holdout", Verdict: "Pending"}, none)
}

func TestDecimals(t *testing.T) {
	for want, got := range map[string]string{"26.9": decimal(26.85, 1), "0.0": decimal(-0.04, 1), "-0.1": decimal(-0.06, 1), "5.25": decimal(5.25, 2), "": decimal(math.NaN(), 1)} {
		assert.Equal(t, want, got)
	}
	assert.Equal(t, "0.050", probability(0.05))
	assert.Equal(t, "", probability(math.NaN()))
	assert.Equal(t, "0.0%", rate(&survey.Rate{N: 10}))
	assert.Equal(t, "", rate(nil))
}

func TestACampaignThatIsInForceNowhere(t *testing.T) {
	s := newSurveyed(t)
	finding := compile.Finding{Condition: v1alpha1.ConditionAccepted, Reason: v1alpha1.ReasonNoScoreQuestion, Message: "spec.questions: none has kind: Score", Terminal: true}
	s.result = &compile.BackendResult{Findings: []compile.Finding{finding}, Store: edge}
	s.step(t, status.FailedStatus, "False/NoScoreQuestion", v1alpha1.SurveyFailed)
	s.has(t, v1alpha1.ConditionAccepted, "False/NoScoreQuestion")
	s.has(t, v1alpha1.ConditionProgrammed, "False/NoScoreQuestion")
	s.has(t, v1alpha1.ConditionSampling, "False/NoScoreQuestion")
	require.Contains(t, s.message(v1alpha1.ConditionSampling), "nobody is asked: spec.questions")
}

// A version before goes on, with its numbers; that it is not this one is told.
func TestTheVersionBeforeGoesOn(t *testing.T) {
	s := newSurveyed(t)
	s.store.load(1)
	s.say(sketched(twoArms(t)))
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyRunning)
	s.campaign.Generation++
	store := s.store
	s.compile(t, "a", compile.Finding{Condition: v1alpha1.ConditionAccepted, Reason: v1alpha1.ReasonMissingTranslation, Message: "no German", Terminal: true})
	s.store = store
	s.step(t, status.FailedStatus, "False/MissingTranslation", v1alpha1.SurveyRunning)
	s.has(t, v1alpha1.ConditionProgrammed, "False/MissingTranslation")
	require.Contains(t, s.message(v1alpha1.ConditionProgrammed), "the version before stays in force")
	s.has(t, v1alpha1.ConditionSampling, "True/Running")
}

func TestSuspendedCampaignsAreReady(t *testing.T) {
	s := newSurveyed(t)
	s.store.load(1)
	summary := sketched(twoArms(t))
	summary.Sampling, summary.Reason = false, survey.SamplingSuspended
	s.campaign.Spec.Suspend = true
	s.say(summary)
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveySuspended)
	s.has(t, v1alpha1.ConditionSampling, "False/Suspended")
	require.Contains(t, s.message(v1alpha1.ConditionSampling), "answers to what was asked count")
	require.Empty(t, Troubles(s.campaign.Status.Conditions), "as somebody wants it")
}

// What somebody should look at is told: by conditions, Events and metrics.
func TestTroubleWithTheMeasurement(t *testing.T) {
	s := newSurveyed(t)
	s.campaign.Spec.Arms = []v1alpha1.SurveyArm{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}}
	s.campaign.Spec.Frequency = &v1alpha1.SurveyFrequency{Group: "customers"}
	s.store.load(1)
	summary := sketched(twoArms(t))
	s.say(summary)
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyRunning)
	before := s.campaign.Status.Conditions

	summary.SampleRatio, summary.Throttled = &survey.RatioCheck{Chi2: 20, P: 0.00001}, true
	s.say(summary)
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyRunning)
	s.has(t, v1alpha1.ConditionSampleRatioOK, "False/SampleRatioMismatch")
	s.has(t, v1alpha1.ConditionThrottled, "True/MostlyThrottled")
	require.Contains(t, s.message(v1alpha1.ConditionThrottled), "group customers")
	var told []string
	for _, tr := range Diff(before, s.campaign.Status.Conditions) {
		told = append(told, tr.Type+" "+tr.Reason)
	}
	require.ElementsMatch(t, []string{"Warning SampleRatioMismatch", "Warning MostlyThrottled"}, told)
	require.Len(t, Troubles(s.campaign.Status.Conditions), 2)

	// Present only while true, and not lost with a pod.
	pods := s.store.pods
	s.store.load(1)
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyRunning)
	s.has(t, v1alpha1.ConditionThrottled, "True/MostlyThrottled")
	s.store.pods = pods
	summary.Throttled = false
	s.say(summary)
	s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyRunning)
	s.has(t, v1alpha1.ConditionThrottled, "")
}

// That it begins and ends to ask is an Event, once; more answers are none.
func TestEventsOfSampling(t *testing.T) {
	at := func(status metav1.ConditionStatus, reason string) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionSampling, Status: status, Reason: reason, Message: "m"}}
	}
	running, over := at(metav1.ConditionTrue, "Running"), at(metav1.ConditionFalse, "OutsideWindow")
	for name, tc := range map[string]struct {
		before, after []metav1.Condition
		want          string
	}{
		"it begins":             {at(metav1.ConditionFalse, "NotStarted"), running, "Running"},
		"it begins at once":     {nil, running, "Running"},
		"it goes on":            {running, running, ""},
		"it is over":            {running, over, "OutsideWindow"},
		"it was over":           {nil, over, ""},
		"it has not begun":      {at(metav1.ConditionUnknown, "NotLoaded"), at(metav1.ConditionFalse, "NotStarted"), ""},
		"nobody knows any more": {running, at(metav1.ConditionUnknown, "NotLoaded"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := Diff(tc.before, tc.after)
			if tc.want == "" {
				require.Empty(t, got)
				return
			}
			require.Equal(t, []Transition{{Condition: v1alpha1.ConditionSampling, Type: "Normal", Reason: tc.want, Message: "m"}}, got)
		})
	}
}

// Pods refuse it, or are of a version before surveys.
func TestPodsThatDoNotTakeACampaign(t *testing.T) {
	s := newSurveyed(t)
	s.store.load(1)
	s.store.pods[0].Status.EntryKinds = nil
	s.step(t, status.InProgressStatus, "False/NotLoaded", v1alpha1.SurveyPending)
	s.store.pods[0].Status.EntryKinds = document.StoreEntryKinds()
	s.store.pods[0].Status.Exceptions = []document.Exception{{Entry: campaignEntry, Field: "analysis", Message: "was declared otherwise when it started"}}
	s.step(t, status.FailedStatus, "False/LoadFailed", v1alpha1.SurveyPending)
	require.Contains(t, s.message(v1alpha1.ConditionReady), "was declared otherwise when it started")
}

// Of several pods the newest word counts.
func TestTheNewestSummaryCounts(t *testing.T) {
	s := newSurveyed(t)
	s.store.load(2)
	old, fresh := sketched(twoArms(t)), sketched(twoArms(t))
	fresh.UpdatedAt, fresh.Final = old.UpdatedAt.Add(time.Minute), true
	for i, summary := range []survey.Summary{fresh, old} {
		raw, err := json.Marshal(summary)
		require.NoError(t, err)
		s.store.pods[i].Status.Surveys = []document.SurveyStatus{{Entry: "SurveyCampaign/shop/other", Summary: raw}, {Entry: campaignEntry, Summary: raw}}
	}
	for range 2 {
		s.step(t, status.CurrentStatus, "True/Ready", v1alpha1.SurveyComplete)
		s.store.pods[0], s.store.pods[1] = s.store.pods[1], s.store.pods[0]
	}
	require.Nil(t, fleet.New(nil).Survey(campaignEntry))
	require.Nil(t, (*fleet.Fleet)(nil).Survey(campaignEntry))
}

// TestAnyHistoryOfACampaignKeepsTheRules lets anything happen in any order.
func TestAnyHistoryOfACampaignKeepsTheRules(t *testing.T) {
	program := twoArms(t)
	rapid.Check(t, func(rt *rapid.T) {
		s := newSurveyed(t)
		var started *metav1.Time
		for range rapid.IntRange(1, 10).Draw(rt, "steps") {
			s.now = s.now.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "seconds")) * time.Second)
			switch rapid.IntRange(0, 6).Draw(rt, "event") {
			case 0:
				s.campaign.Generation++
				s.compile(t, rapid.StringN(1, 1, 1).Draw(rt, "content"))
			case 1:
				s.compile(t, "a", missingSecret())
			case 2:
				s.result = &compile.BackendResult{Findings: []compile.Finding{missingSecret()}, Store: edge}
			case 3:
				s.store.pods = nil
			case 4:
				s.store.load(rapid.IntRange(1, 2).Draw(rt, "pods"))
			case 5:
				s.campaign.Spec.Suspend = !s.campaign.Spec.Suspend
			case 6:
				if s.result.Entry != nil {
					summary := sketched(program)
					summary.Final, summary.Throttled = rapid.Bool().Draw(rt, "final"), rapid.Bool().Draw(rt, "throttled")
					s.say(summary)
				}
			}
			got, _ := Campaign(s.input())
			s.campaign.Status = got
			require.Empty(rt, Check(s.campaign))
			require.True(rt, started == nil || started.Equal(got.StartedAt), "that it started is never forgotten")
			started = got.StartedAt
			require.NotEmpty(rt, got.Phase)
			again, _ := Campaign(s.input())
			require.Equal(rt, got, again)
		}
	})
}
