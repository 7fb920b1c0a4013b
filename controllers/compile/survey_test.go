package compile

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

var theCampaign = key("shop", "nps")

func localRef(name string) *v1alpha1.LocalReference { return &v1alpha1.LocalReference{Name: name} }

// newCampaign asks on the Channel of newWorld.
func newCampaign(ns, name string) *v1alpha1.SurveyCampaign {
	return &v1alpha1.SurveyCampaign{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.SurveyCampaignSpec{
		Type:        "NPS",
		Window:      v1alpha1.SurveyWindow{Start: metav1.NewTime(start.AddDate(0, -1, 0)), End: metav1.NewTime(start.AddDate(0, 1, 0))},
		ChannelRefs: []v1alpha1.ObjectReference{{Namespace: "shop", Name: "bot"}},
		Trigger:     v1alpha1.SurveyTrigger{Events: []v1alpha1.SurveyTriggerEvent{"ConversationResolved"}},
		Languages:   v1alpha1.SurveyLanguages{Offered: []string{"en", "de"}},
		Questions: []v1alpha1.SurveyQuestion{
			{ID: "score", Kind: v1alpha1.SurveyScore, Text: v1alpha1.Texts{"en": "0 to 10?", "de": "0 bis 10?"}},
			{ID: "why", Kind: v1alpha1.SurveyText, When: "score <= 6", Text: v1alpha1.Texts{"en": "Why?", "de": "Warum?"}},
		},
	}}
}

// surveyWorld has a campaign on the Channel of newWorld, a queue and a Schedule.
func surveyWorld(t *testing.T) *world {
	w := newWorld(t)
	w.Schedules = []*v1alpha1.Schedule{newSchedule("shop", "hours")}
	w.AgentQueues = []*v1alpha1.AgentQueue{newQueue("shop", "recovery")}
	o := newCampaign("shop", "nps")
	o.Spec.Trigger.ScheduleRef = localRef("hours")
	o.Spec.Actions = []v1alpha1.SurveyAction{{Name: "recover", When: "score <= 6", QueueRef: *localRef("recovery"), Within: hours(4)}}
	w.Campaigns = []*v1alpha1.SurveyCampaign{o}
	return w
}

// change gives the campaign another generation.
func (w *world) changeCampaign(change func(*v1alpha1.SurveyCampaign)) {
	o := w.Campaigns[0].DeepCopy()
	o.Generation++
	change(o)
	w.Campaigns = []*v1alpha1.SurveyCampaign{o}
}

func storedCampaign(t *testing.T, r *Result) *survey.Campaign {
	return stored[survey.Campaign](t, r, document.EntrySurveyCampaign, "shop/nps")
}

func TestACampaignGoesIntoItsStoresDocument(t *testing.T) {
	w := surveyWorld(t)
	r := w.compile()
	result := r.Campaigns[theCampaign]
	require.Empty(t, result.Findings)
	require.Equal(t, theStore, result.Store)
	require.Equal(t, "SurveyCampaign/shop/nps", result.Entry.Key())
	c := storedCampaign(t, r)
	require.Equal(t, []string{"shop/bot"}, c.Channels)
	require.Equal(t, "shop/hours", c.Trigger.Schedule)
	require.Equal(t, "shop/recovery", c.Actions[0].Queue)
	require.NotNil(t, stored[schedule.Spec](t, r, document.EntrySchedule, "shop/hours"), "the store has the Schedule that the campaign uses")
	require.Equal(t, []Key{theStore}, r.Schedules[key("shop", "hours")].Stores)
}

// Everything that the resource says arrives, under the data plane's names.
func TestCampaignSpecLosesNothing(t *testing.T) {
	delay, moment := hours(2), metav1.NewTime(start)
	o := newCampaign("shop", "nps")
	o.Spec.Type, o.Spec.Scale, o.Spec.TopBoxFrom, o.Spec.Suspend = "CSAT", &v1alpha1.SurveyScale{Min: 1, Max: 7}, 6, true
	o.Spec.Trigger = v1alpha1.SurveyTrigger{
		Events: []v1alpha1.SurveyTriggerEvent{"API"}, Delay: hours(1), ScheduleRef: localRef("hours"), MaxDefer: hours(3), CancelOn: []v1alpha1.SurveyCancelEvent{"NegativeEvent"},
		OncePer: "Contact", Exclude: &v1alpha1.SurveyExclude{AutoResolved: true, MinInboundMessages: 2, Labels: []string{"spam"}},
	}
	o.Spec.Audience = &v1alpha1.SurveyAudience{
		Matches: []v1alpha1.SurveyMatch{{ChannelRefs: []v1alpha1.ObjectReference{{Name: "bot"}}, Labels: v1alpha1.Pairs{"a": "b"}, Attributes: v1alpha1.Pairs{"c": "d"}, Languages: []string{"en"}, Expression: "true"}},
		Consent: &v1alpha1.SurveyConsent{Purpose: "research", RequireOptIn: true},
	}
	o.Spec.Languages.Fallback = "en"
	o.Spec.Sampling = &v1alpha1.SurveySampling{Rate: "12.5%", Unit: "Conversation", Seed: "q4"}
	o.Spec.Holdout = &v1alpha1.SurveyHoldout{Fraction: "10%", Scope: "Group"}
	o.Spec.Arms = []v1alpha1.SurveyArm{{Name: "a", Weight: 3, ChannelRefs: []v1alpha1.ObjectReference{{Name: "bot"}}, Delay: delay, Texts: map[string]v1alpha1.Texts{"score": {"en": "?"}}}, {Name: "b", Weight: 1}}
	o.Spec.Frequency = &v1alpha1.SurveyFrequency{Group: "g", CampaignCooldown: hours(4), GroupCooldown: hours(5), From: "Answered", OnThrottled: "Defer", Priority: 7}
	o.Spec.Questions[1].MaxChars = 100
	o.Spec.Replies = &v1alpha1.SurveyReplies{Window: hours(6), LateWindow: hours(7), EditWindow: hours(8), CommentWindow: hours(9), Clarify: v1alpha1.Texts{"en": "A number?"}}
	o.Spec.Reminders = &v1alpha1.SurveyReminders{Count: 2, After: *hours(1), Text: v1alpha1.Texts{"en": "Still there?"}}
	o.Spec.Thanks = []v1alpha1.SurveyThanks{{From: 6, To: 7, Text: v1alpha1.Texts{"en": "Thanks"}}}
	o.Spec.Actions = []v1alpha1.SurveyAction{{Name: "n", When: "score < 3", Do: "OpenConversation", QueueRef: *localRef("q"), Within: hours(4)}}
	o.Spec.Stop = &v1alpha1.SurveyStop{MaxResponses: 10, HalfWidth: "2.5", FloorResponseRate: "3%"}
	o.Spec.Analysis = &v1alpha1.SurveyAnalysis{Confidence: 99, Compare: "DifferenceInDifferences", Metric: "Score", Baseline: "b", ChangedAt: &moment, MinPerGroup: 50}

	hour, armDelay := document.Duration(time.Hour), document.Duration(2*time.Hour)
	require.Equal(t, survey.Campaign{
		UID: string(o.UID), Type: survey.CustomerSatisfaction, Scale: survey.Scale{Min: 1, Max: 7}, TopBoxFrom: 6, Suspended: true,
		Window: survey.Window{Start: start.AddDate(0, -1, 0), End: start.AddDate(0, 1, 0)}, Channels: []string{"shop/bot"},
		Trigger: survey.Trigger{Events: []survey.TriggerEvent{survey.API}, Delay: hour, Schedule: "shop/hours", MaxDefer: 3 * hour, CancelOn: []survey.CancelEvent{survey.NegativeEvent},
			OncePer: survey.OncePerContact, Exclude: survey.Exclude{AutoResolved: true, MinInboundMessages: 2, Labels: []string{"spam"}}},
		Audience: survey.Audience{
			Matches: []survey.Match{{Channels: []string{"shop/bot"}, Labels: map[string]string{"a": "b"}, Attributes: map[string]string{"c": "d"}, Languages: []string{"en"}, Expression: "true"}},
			Consent: survey.Consent{Purpose: "research", RequireOptIn: true},
		},
		Languages: survey.Languages{Offered: []string{"en", "de"}, Fallback: "en"},
		Sampling:  survey.Sampling{Rate: "12.5%", Unit: survey.UnitConversation, Seed: "q4"}, Holdout: survey.Holdout{Fraction: "10%", Scope: survey.HoldoutGroup},
		Arms:      []survey.Arm{{Name: "a", Weight: 3, Channels: []string{"shop/bot"}, Delay: &armDelay, Texts: map[string]survey.Texts{"score": {"en": "?"}}}, {Name: "b", Weight: 1}},
		Frequency: survey.Frequency{Group: "g", CampaignCooldown: 4 * hour, GroupCooldown: 5 * hour, From: survey.FromAnswered, OnThrottled: survey.ThrottledDefer, Priority: 7},
		Questions: []survey.Question{
			{ID: "score", Kind: survey.ScoreQuestion, Text: survey.Texts{"en": "0 to 10?", "de": "0 bis 10?"}},
			{ID: "why", Kind: survey.TextQuestion, When: "score <= 6", Text: survey.Texts{"en": "Why?", "de": "Warum?"}, MaxChars: 100},
		},
		Replies:   survey.Replies{Window: 6 * hour, LateWindow: 7 * hour, EditWindow: 8 * hour, CommentWindow: 9 * hour, Clarify: survey.Texts{"en": "A number?"}},
		Reminders: survey.Reminders{Count: 2, After: hour, Text: survey.Texts{"en": "Still there?"}},
		Thanks:    []survey.Thanks{{From: 6, To: 7, Text: survey.Texts{"en": "Thanks"}}},
		Actions:   []survey.Action{{Name: "n", When: "score < 3", Do: survey.OpenConversation, Queue: "shop/q", Within: 4 * hour}},
		Stop:      survey.Stop{MaxResponses: 10, HalfWidth: 2.5, FloorResponseRate: "3%"},
		Analysis:  survey.Analysis{Confidence: 99, Compare: survey.CompareDifferences, Metric: survey.MetricScore, Baseline: "b", ChangedAt: start, MinPerGroup: 50},
	}, CampaignSpec(o))
}

// The list of bad input, as far as the API server lets it through, or
// might have in an older version.
func TestBadCampaigns(t *testing.T) {
	const accepted, resolved = "Accepted/", "ResolvedRefs/"
	armed := func(arms ...v1alpha1.SurveyArm) func(*world) {
		return func(w *world) { w.Campaigns[0].Spec.Arms = arms }
	}
	spec := func(change func(*v1alpha1.SurveyCampaignSpec)) func(*world) {
		return func(w *world) { change(&w.Campaigns[0].Spec) }
	}
	for name, tc := range map[string]struct {
		change func(*world)
		want   string
		says   string
	}{
		"no score question": {spec(func(s *v1alpha1.SurveyCampaignSpec) { s.Questions = s.Questions[1:] }), accepted + "NoScoreQuestion", "spec.questions: none has kind: Score"},
		"missing translation": {spec(func(s *v1alpha1.SurveyCampaignSpec) {
			s.Thanks = []v1alpha1.SurveyThanks{{From: 9, To: 10, Text: v1alpha1.Texts{"en": "!"}}}
		}), accepted + "MissingTranslation", "spec.thanks[0].text: has no text in de"},
		"arms alike":           {armed(v1alpha1.SurveyArm{Name: "a", Weight: 1}, v1alpha1.SurveyArm{Name: "b", Weight: 1}), accepted + "OverlappingArms", "spec.arms[1]: asks exactly as arm a does"},
		"an arm's own Channel": {armed(v1alpha1.SurveyArm{Name: "a", Weight: 1, ChannelRefs: []v1alpha1.ObjectReference{{Name: "other"}}}, v1alpha1.SurveyArm{Name: "b", Weight: 1, Delay: hours(1)}), accepted + "InvalidSpec", "spec.arms[0].channelRefs[0]: shop/other is not among channels"},
		"sampling too fine":    {spec(func(s *v1alpha1.SurveyCampaignSpec) { s.Sampling = &v1alpha1.SurveySampling{Rate: "12.345%"} }), accepted + "InvalidSpec", `spec.sampling.rate: "12.345%" is finer than steps of 0.01 %`},
		"holdout of everybody": {spec(func(s *v1alpha1.SurveyCampaignSpec) { s.Holdout = &v1alpha1.SurveyHoldout{Fraction: "100%"} }), accepted + "InvalidSpec", "spec.holdout.fraction: is 100%"},
		"half-width":           {spec(func(s *v1alpha1.SurveyCampaignSpec) { s.Stop = &v1alpha1.SurveyStop{HalfWidth: "narrow"} }), accepted + "InvalidSpec", "spec.stop.halfWidth"},
		"window in the past":   {spec(func(s *v1alpha1.SurveyCampaignSpec) { s.Window.End = metav1.NewTime(start) }), accepted + "WindowInPast", "spec.window.end"},
		"an expression":        {spec(func(s *v1alpha1.SurveyCampaignSpec) { s.Questions[1].When = "score <" }), accepted + "InvalidExpression", "spec.questions[1].when: does not compile"},
		"a Channel that cannot ask": {func(w *world) {
			w.Campaigns[0].Spec.Trigger.Delay = hours(24)
			w.opts.Platforms = windowed(w.opts.Platforms, 24*time.Hour)
		}, resolved + "ChannelCannotAsk", "spec.channelRefs[0]: telegram lets nobody be written to 24h0m0s after their last message"},
		"a missing Channel":            {spec(func(s *v1alpha1.SurveyCampaignSpec) { s.ChannelRefs[0].Name = "fax" }), resolved + "ChannelNotFound", "spec.channelRefs[0]: there is no Channel shop/fax"},
		"a Channel that is not served": {func(w *world) { w.Secrets = nil }, resolved + "ChannelNotReady", "spec.channelRefs[0]: Channel shop/bot is not served; see its conditions"},
		"a Channel without a store":    {func(w *world) { w.Bridges = nil }, resolved + "ChannelNotReady", "Channel shop/bot has no ConversationStore yet"},
		"a Channel of another store": {func(w *world) {
			w.Stores = append(w.Stores, newStore("shop", "second"))
			w.AgentQueues[0].Spec.StoreRef = &v1alpha1.ObjectReference{Name: "second"}
			w.Campaigns[0].Spec.StoreRef = &v1alpha1.ObjectReference{Name: "second"}
		}, resolved + "StoreMismatch", "Channel shop/bot keeps its conversations in ConversationStore shop/default, and this campaign is of shop/second"},
		"a missing queue": {func(w *world) { w.AgentQueues = nil }, resolved + "QueueNotFound", `spec.actions[0].queueRef: AgentQueue "shop/recovery" does not exist`},
		"a queue of another store": {func(w *world) {
			w.Stores = append(w.Stores, newStore("shop", "second"))
			w.AgentQueues[0].Spec.StoreRef = &v1alpha1.ObjectReference{Name: "second"}
		}, resolved + "StoreMismatch", "AgentQueue shop/recovery belongs to ConversationStore shop/second"},
		"a queue not in force": {func(w *world) {
			w.AgentQueues[0].Spec.ScheduleRef = localRef("nowhere")
			w.AgentQueues[0].Spec.Suspend = true
		}, resolved + "QueueNotFound", "AgentQueue shop/recovery is there, but not in force"},
		"a missing Schedule":  {func(w *world) { w.Schedules = nil }, resolved + "ScheduleNotFound", "spec.trigger.scheduleRef: Schedule shop/hours does not exist"},
		"an invalid Schedule": {func(w *world) { w.Schedules[0].Spec.TimeZone = "Nowhere" }, resolved + "ScheduleNotFound", "is not accepted"},
		"a missing store":     {spec(func(s *v1alpha1.SurveyCampaignSpec) { s.StoreRef = &v1alpha1.ObjectReference{Name: "none"} }), resolved + "RefNotFound", "spec.storeRef: there is no ConversationStore shop/none"},
	} {
		t.Run(name, func(t *testing.T) {
			w := surveyWorld(t)
			tc.change(w)
			r := w.compile()
			result := r.Campaigns[theCampaign]
			require.Equal(t, []string{tc.want}, reasons(result.Findings), messages(result.Findings))
			require.Contains(t, result.Findings[0].Message, tc.says)
			require.Nil(t, result.Entry, "half a measurement is none")
			require.Nil(t, storedCampaign(t, r))
		})
	}
}

func windowed(platforms func(string) (platform.Capabilities, bool), window time.Duration) func(string) (platform.Capabilities, bool) {
	return func(name string) (platform.Capabilities, bool) {
		c, known := platforms(name)
		c.Window = window
		return c, known
	}
}

// Without a store it is told what is wrong with the campaign itself, and nothing
// of what it names.
func TestACampaignWithoutAStore(t *testing.T) {
	w := surveyWorld(t)
	w.Campaigns[0].Spec.StoreRef = &v1alpha1.ObjectReference{Namespace: "elsewhere", Name: "default"}
	w.Campaigns[0].Spec.Questions[1].When = "score <"
	result := w.compile().Campaigns[theCampaign]
	require.Equal(t, []string{"Accepted/InvalidExpression", "ResolvedRefs/RefNotPermitted"}, reasons(result.Findings))
	require.Zero(t, result.Store)
}

func TestPermissionToAsk(t *testing.T) {
	all := v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	same := v1alpha1.AllowedNamespaces{From: v1alpha1.FromSame}
	desk := v1alpha1.AllowedNamespaces{From: v1alpha1.FromSelector, Selector: &v1alpha1.LabelSelector{MatchLabels: map[string]string{"team": "desk"}}}
	for name, tc := range map[string]struct {
		allowed []v1alpha1.AllowedCampaigns
		from    string
		refused string // part of the message; empty: it is let in
	}{
		"its own namespace, by default": {nil, "shop", ""},
		"another one, by default":       {nil, "cx", `there is no Channel shop/bot that lets SurveyCampaigns of namespace "cx" in`},
		"all":                           {[]v1alpha1.AllowedCampaigns{{Namespaces: all}}, "cx", ""},
		"by label":                      {[]v1alpha1.AllowedCampaigns{{Namespaces: desk}}, "labelled", ""},
		"without the label":             {[]v1alpha1.AllowedCampaigns{{Namespaces: desk}}, "cx", "spec.allowedCampaigns"},
		"its own, when not named":       {[]v1alpha1.AllowedCampaigns{{Namespaces: desk}}, "shop", "does not let SurveyCampaigns of its own namespace in"},
		"any entry suffices":            {[]v1alpha1.AllowedCampaigns{{Namespaces: desk}, {Namespaces: same}}, "shop", ""},
		"policies are another matter":   {nil, "policies", "there is no Channel shop/bot that lets"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Namespaces = map[string]map[string]string{"labelled": {"team": "desk"}}
			w.Channels[0].Spec.AllowedCampaigns = tc.allowed
			w.Channels[0].Spec.AllowedPolicies = []v1alpha1.AllowedPolicies{{Namespaces: all}}
			w.Stores[0].Spec.AllowedBridges = &all
			o := newCampaign(tc.from, "nps")
			o.Spec.StoreRef = &v1alpha1.ObjectReference{Namespace: "shop", Name: "default"}
			w.Campaigns = []*v1alpha1.SurveyCampaign{o}
			result := w.compile().Campaigns[key(tc.from, "nps")]
			if tc.refused == "" {
				require.Empty(t, result.Findings)
				require.NotNil(t, result.Entry)
				return
			}
			require.Equal(t, []string{"ResolvedRefs/RefNotPermitted"}, reasons(result.Findings))
			require.Contains(t, result.Findings[0].Message, tc.refused)
			require.Nil(t, result.Entry)
		})
	}
}

// Across namespaces nobody learns by trying which Channels exist.
func TestAChannelThatIsMissingLooksLikeOneThatIsClosedToCampaigns(t *testing.T) {
	w := newWorld(t)
	w.Stores[0].Spec.AllowedBridges = &v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	o := newCampaign("cx", "nps")
	o.Spec.StoreRef = &v1alpha1.ObjectReference{Namespace: "shop", Name: "default"}
	o.Spec.ChannelRefs = []v1alpha1.ObjectReference{{Namespace: "shop", Name: "bot"}, {Namespace: "shop", Name: "gone"}}
	w.Campaigns = []*v1alpha1.SurveyCampaign{o}
	found := w.compile().Campaigns[key("cx", "nps")].Findings
	require.Equal(t, []string{"ResolvedRefs/RefNotPermitted", "ResolvedRefs/RefNotPermitted"}, reasons(found))
	require.Equal(t, strings.NewReplacer("shop/bot", "shop/gone", "[0]", "[1]").Replace(found[0].Message), found[1].Message)
}

func TestASelectorOfAllowedCampaignsThatCannotBeUsed(t *testing.T) {
	w := surveyWorld(t)
	w.Channels[0].Spec.AllowedCampaigns = []v1alpha1.AllowedCampaigns{{Namespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}}}
	w.write()
	w.Channels[0] = w.Channels[0].DeepCopy()
	w.Channels[0].Spec.AllowedCampaigns[0].Namespaces = v1alpha1.AllowedNamespaces{From: v1alpha1.FromSelector, Selector: &v1alpha1.LabelSelector{MatchLabels: map[string]string{"team": "!"}}}
	r := w.compile()
	require.Contains(t, messages(r.Channels[theChannel].Findings), "spec.allowedCampaigns[0].namespaces.selector: cannot be used")
	require.Empty(t, r.Campaigns[theCampaign].Findings, "who is in stays in")
	w.Campaigns = append(w.Campaigns, newCampaign("shop", "new"))
	require.Equal(t, []string{"ResolvedRefs/RefNotPermitted"}, reasons(w.compile().Campaigns[key("shop", "new")].Findings))
}

func TestARejectedCampaignStaysAsItWas(t *testing.T) {
	w := surveyWorld(t)
	w.write()
	w.changeCampaign(func(o *v1alpha1.SurveyCampaign) { o.Spec.Questions[1].When = "score <" })
	r := w.write()
	result := r.Campaigns[theCampaign]
	require.Equal(t, []string{"Accepted/InvalidExpression"}, reasons(result.Findings))
	require.True(t, result.LastGood)
	require.Equal(t, "score <= 6", storedCampaign(t, r).Questions[1].When)

	// Suspending works all the same, and so does going on.
	w.changeCampaign(func(o *v1alpha1.SurveyCampaign) { o.Spec.Suspend = true })
	r = w.write()
	require.True(t, storedCampaign(t, r).Suspended)
	require.Equal(t, "score <= 6", storedCampaign(t, r).Questions[1].When)
	w.changeCampaign(func(o *v1alpha1.SurveyCampaign) { o.Spec.Suspend = false })
	require.False(t, storedCampaign(t, w.write()).Suspended)

	w.changeCampaign(func(o *v1alpha1.SurveyCampaign) { o.Spec.Questions[1].When = "score <= 7" })
	r = w.write()
	require.Empty(t, r.Campaigns[theCampaign].Findings)
	require.False(t, r.Campaigns[theCampaign].LastGood)
	require.Equal(t, "score <= 7", storedCampaign(t, r).Questions[1].When)
}

// Who deletes a campaign and makes another one of the name is not asked for by the
// first one any more, whatever is wrong with the second.
func TestADeletedCampaignDoesNotStayUnderItsSuccessor(t *testing.T) {
	w := surveyWorld(t)
	w.changeCampaign(func(o *v1alpha1.SurveyCampaign) { o.UID = "first" })
	w.write()
	w.changeCampaign(func(o *v1alpha1.SurveyCampaign) { o.UID, o.Spec.Questions[1].When = "second", "score <" })
	result := w.write().Campaigns[theCampaign]
	require.Equal(t, []string{"Accepted/InvalidExpression"}, reasons(result.Findings))
	require.False(t, result.LastGood)
	require.Nil(t, result.Entry)

	w = surveyWorld(t)
	w.changeCampaign(func(o *v1alpha1.SurveyCampaign) { o.UID = "first" })
	w.write()
	w.now = w.Campaigns[0].Spec.Window.End.Add(time.Hour)
	w.changeCampaign(func(o *v1alpha1.SurveyCampaign) { o.UID = "second" })
	require.Equal(t, []string{"Accepted/WindowInPast"}, reasons(w.compile().Campaigns[theCampaign].Findings), "it never began")
}

func TestASuspendedCampaignIsInForce(t *testing.T) {
	w := surveyWorld(t)
	w.Campaigns[0].Spec.Suspend = true
	r := w.compile()
	require.Empty(t, r.Campaigns[theCampaign].Findings)
	require.True(t, storedCampaign(t, r).Suspended, "it stops asking, and its answers count")
}

// What was taken away on purpose ends the version before as well.
func TestACampaignThatLostWhatItNames(t *testing.T) {
	for name, change := range map[string]func(*world){
		"its Channel": func(w *world) { w.Channels = nil },
		"its permission": func(w *world) {
			w.Channels[0].Spec.AllowedCampaigns = []v1alpha1.AllowedCampaigns{{Namespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.FromSelector, Selector: &v1alpha1.LabelSelector{MatchLabels: map[string]string{"team": "desk"}}}}}
		},
		"its queue": func(w *world) { w.AgentQueues = nil },
		"itself":    func(w *world) { w.Campaigns = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := surveyWorld(t)
			w.write()
			w.Channels = []*v1alpha1.Channel{w.Channels[0].DeepCopy()}
			change(w)
			r := w.compile()
			require.Nil(t, storedCampaign(t, r))
			if len(w.Campaigns) > 0 {
				require.NotEmpty(t, r.Campaigns[theCampaign].Findings)
				require.False(t, r.Campaigns[theCampaign].LastGood)
			}
		})
	}
}

// A Schedule that becomes invalid stays in force as it was, and so does what uses it.
func TestACampaignWhoseScheduleBecomesInvalid(t *testing.T) {
	w := surveyWorld(t)
	w.write()
	w.Schedules[0] = w.Schedules[0].DeepCopy()
	w.Schedules[0].Spec.TimeZone = "Nowhere"
	r := w.compile()
	require.Empty(t, r.Campaigns[theCampaign].Findings)
	require.Equal(t, "Europe/Berlin", stored[schedule.Spec](t, r, document.EntrySchedule, "shop/hours").TimeZone)
}

// A campaign that ran may be over; one that did not is too late, from that moment on.
func TestTheWindowOfACampaign(t *testing.T) {
	w := surveyWorld(t)
	end := w.Campaigns[0].Spec.Window.End.Time
	require.Zero(t, w.write().NextChange, "one in force is over by itself")
	w.now = end.Add(time.Hour)
	require.Empty(t, w.compile().Campaigns[theCampaign].Findings)

	w.PreviousStores = nil
	require.Equal(t, []string{"Accepted/WindowInPast"}, reasons(w.compile().Campaigns[theCampaign].Findings))
	began := metav1.NewTime(start)
	w.Campaigns[0].Status.StartedAt = &began
	require.Empty(t, w.compile().Campaigns[theCampaign].Findings, "status remembers it")

	w = surveyWorld(t)
	w.Schedules = nil
	require.Equal(t, end, w.compile().NextChange, "one that is not in force is told that it is too late")
}

func TestProgramsRememberCampaigns(t *testing.T) {
	w := surveyWorld(t)
	w.opts.Programs = &Programs{}
	w.write()
	require.Len(t, w.opts.Programs.compiled, 1)
	first := w.compile()
	require.Equal(t, first, w.compile(), "it changes no result")
	w.now = w.Campaigns[0].Spec.Window.End.Time
	w.PreviousStores = nil
	require.Equal(t, []string{"Accepted/WindowInPast"}, reasons(w.compile().Campaigns[theCampaign].Findings), "time is a part of what was compiled")
	w.Campaigns = nil
	w.compile()
	require.Empty(t, w.opts.Programs.compiled, "nobody asks for it any more")
}

// What the operator puts into a store's document compiles there as well, of that
// document alone; and nobody is asked on a Channel that does not let the campaign in.
func TestCampaignsInForceAreWholeAndPermitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSurveyed(t)
		s.PreviousStores = map[Key]*document.Document{}
		for k, st := range Compile(drawSurveyed(t), testOptions(), start).Stores {
			s.PreviousStores[k] = reread(t, st.Document)
		}
		r := Compile(s, testOptions(), start)
		for store, st := range r.Stores {
			refs := documentRefs(t, st.Document)
			for _, e := range st.Document.Entries {
				if e.Kind != document.EntrySurveyCampaign {
					continue
				}
				spec := decodeSpec[survey.Campaign](&e)
				_, found := survey.Compile(e.Name, spec, refs)
				require.Empty(t, found, "%s in %s", e.Name, store)
				for _, channel := range spec.Channels {
					ch := channelOf(s, parseKey(channel))
					require.NotNil(t, ch)
					if len(ch.Spec.AllowedCampaigns) == 0 {
						require.Equal(t, ch.Namespace, parseKey(e.Name).Namespace)
					}
				}
			}
		}
		for name, result := range r.Campaigns {
			require.Equal(t, len(result.Findings) == 0 || result.LastGood, result.Entry != nil, "%s: %v", name, reasons(result.Findings))
		}
	})
}

// drawSurveyed has one store for the Channels of two namespaces, and campaigns of
// which many are right.
func drawSurveyed(t *rapid.T) *Snapshot {
	all := &v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	shared := &v1alpha1.ObjectReference{Namespace: "a", Name: "default"}
	s := &Snapshot{Stores: []*v1alpha1.ConversationStore{newStore("a", "default")}, Bridges: []*v1alpha1.Bridge{newBridge("a", "default")}}
	s.Stores[0].Spec.AllowedBridges, s.Bridges[0].Spec.AllowedChannels = all, all
	for i, name := range []Key{key("a", "x"), key("a", "y"), key("b", "x"), key("b", "y")} {
		bot := string(rune('1' + i))
		ch := newChannel(name.Namespace, name.Name, bot)
		ch.Spec.BridgeRef = shared
		if rapid.IntRange(0, 2).Draw(t, "open") == 0 {
			ch.Spec.AllowedCampaigns = []v1alpha1.AllowedCampaigns{{Namespaces: *all}}
		}
		if rapid.IntRange(0, 5).Draw(t, "missing") > 0 {
			s.Channels = append(s.Channels, ch)
		}
		s.Secrets = append(s.Secrets, newSecret(name.Namespace, name.Name, token(bot, 'a')))
	}
	s.Schedules = []*v1alpha1.Schedule{newSchedule("a", "x")}
	s.AgentQueues = []*v1alpha1.AgentQueue{newQueue("a", "x")}
	seen := map[string]bool{}
	fresh := func(_, ns, n string) bool { was := seen[ns+n]; seen[ns+n] = true; return !was }
	drawCampaigns(t, s, fresh, rapid.SampledFrom([]string{"a", "b"}), rapid.Just(shared))
	return s
}

func channelOf(s *Snapshot, name Key) *v1alpha1.Channel {
	for _, ch := range s.Channels {
		if keyOf(ch) == name {
			return ch
		}
	}
	return nil
}

// documentRefs are what a store has to compile its campaigns with.
func documentRefs(t *rapid.T, doc *document.Document) survey.Refs {
	refs := survey.Refs{Now: start, Started: true, Channels: map[string]survey.Channel{}, Schedules: map[string]*schedule.Schedule{}, Queues: map[string]bool{}}
	for _, e := range doc.Entries {
		switch e.Kind {
		case document.EntryChannel:
			spec := decodeSpec[document.StoreChannel](&e)
			capabilities, _ := testOptions().Platforms(spec.Platform)
			if !spec.Deleting {
				refs.Channels[e.Name] = survey.ChannelOf(spec.Platform, capabilities)
			}
		case document.EntrySchedule:
			compiled, err := schedule.Compile(decodeSpec[schedule.Spec](&e))
			require.NoError(t, err)
			refs.Schedules[e.Name] = compiled
		case document.EntryAgentQueue:
			refs.Queues[e.Name] = true
		}
	}
	return refs
}

// drawCampaigns adds SurveyCampaigns, of which many names lead nowhere.
func drawCampaigns(t *rapid.T, s *Snapshot, fresh func(kind, ns, n string) bool, namespace *rapid.Generator[string], ref *rapid.Generator[*v1alpha1.ObjectReference]) {
	name := rapid.SampledFrom([]string{"x", "y"})
	for range rapid.IntRange(0, 4).Draw(t, "campaigns") {
		o := newCampaign(namespace.Draw(t, "ns"), name.Draw(t, "name"))
		if !fresh("v", o.Namespace, o.Name) {
			continue
		}
		o.Spec.StoreRef, o.Spec.Suspend = ref.Draw(t, "store"), rapid.IntRange(0, 4).Draw(t, "suspended") == 0
		o.Spec.ChannelRefs = nil
		for range rapid.IntRange(1, 2).Draw(t, "channels") {
			channel := v1alpha1.ObjectReference{Name: rapid.SampledFrom([]string{"default", "x", "y"}).Draw(t, "channel")}
			if rapid.IntRange(0, 3).Draw(t, "elsewhere") == 0 {
				channel.Namespace = namespace.Draw(t, "channel ns")
			}
			o.Spec.ChannelRefs = append(o.Spec.ChannelRefs, channel)
		}
		if rapid.Bool().Draw(t, "schedule") {
			o.Spec.Trigger.ScheduleRef = localRef(name.Draw(t, "schedule name"))
		}
		if rapid.IntRange(0, 2).Draw(t, "action") == 0 {
			o.Spec.Actions = []v1alpha1.SurveyAction{{Name: "a", When: "score < 3", QueueRef: *localRef(name.Draw(t, "queue"))}}
		}
		if rapid.IntRange(0, 5).Draw(t, "invalid") == 0 {
			o.Spec.Questions[1].When = "score <"
		}
		s.Campaigns = append(s.Campaigns, o)
	}
}
