package conditions

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

// storeScene is a store with entries, and pods that run its document or not.
type storeScene struct {
	t    *testing.T
	doc  *document.Document
	pods []fleet.Pod
}

// newStoreScene has one entry per key like "AgentQueue/shop/general".
func newStoreScene(t *testing.T, content string, entries ...document.Entry) *storeScene {
	t.Helper()
	s := &storeScene{t: t, doc: &document.Document{Kind: document.KindStore, Name: edge.String(), Generation: 1}}
	for _, e := range entries {
		made, err := document.NewEntry(e.Kind, e.Name, 1, content)
		require.NoError(t, err)
		s.doc.Entries = append(s.doc.Entries, made)
	}
	s.doc.Sort()
	_, err := document.Encode(s.doc, 1)
	require.NoError(t, err)
	return s
}

func (s *storeScene) load(n int) *storeScene {
	s.pods = nil
	for range n {
		s.pods = append(s.pods, fleet.Pod{Name: "pod", Status: document.Status{Instance: "1", Hash: s.doc.Hash, Shards: s.doc.Shards, Generation: 1, EntryKinds: document.StoreEntryKinds()}})
	}
	return s
}

func (s *storeScene) join(pod fleet.Pod) *storeScene { s.pods = append(s.pods, pod); return s }

func (s *storeScene) view() StoreView {
	return StoreView{Name: edge, Document: s.doc, Fleet: fleet.New(s.pods)}
}

func (s *storeScene) loadable(kind document.EntryKind, name string) compile.Loadable {
	e, ok := s.doc.Find(kind, name)
	require.True(s.t, ok)
	return compile.Loadable{Kind: kind, Name: name, Hash: e.Hash}
}

// routed is a policy on one Channel, step by step.
type routed struct {
	t      *testing.T
	policy *v1alpha1.RoutingPolicy
	result *compile.PolicyResult
	store  *storeScene
	now    time.Time
}

var policyEntries = []document.Entry{
	{Kind: document.EntryRoutingPolicy, Name: "shop/inbound"}, {Kind: document.EntryChannel, Name: shopBot.String()},
	{Kind: document.EntryRoutingPolicy, Name: "shop/other"},
}

func newRouted(t *testing.T) *routed {
	r := &routed{t: t, now: start, policy: &v1alpha1.RoutingPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RoutingPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "inbound", Generation: 1},
	}}
	r.compile("a")
	return r
}

func (r *routed) compile(content string, findings ...compile.Finding) {
	r.store = newStoreScene(r.t, content, policyEntries...)
	r.result = &compile.PolicyResult{Hash: "h-" + content, Findings: findings, Parents: []compile.ParentResult{{
		Channel: shopBot, Store: edge,
		Entries:      []compile.Loadable{r.store.loadable(document.EntryRoutingPolicy, "shop/inbound")},
		ChannelEntry: r.store.loadable(document.EntryChannel, shopBot.String()),
	}}}
}

// step makes the status, takes it over, and checks it.
func (r *routed) step(want status.Status, ready, programmed string) {
	r.t.Helper()
	in := PolicyInput{Policy: r.policy, Result: r.result, Stores: map[compile.Key]StoreView{edge: r.store.view()}, Now: r.now}
	r.policy.Status, _ = Policy(in)
	checkStatus(r.t, r.policy, r.policy, want, ready)
	require.Equal(r.t, programmed, conditionOf(r.policy.Status.Conditions, v1alpha1.ConditionProgrammed))
	again, _ := Policy(in)
	require.Equal(r.t, r.policy.Status, again, "nothing happened, and the status is another")
}

func checkStatus(t *testing.T, obj Object, asRuntime runtime.Object, want status.Status, ready string) {
	t.Helper()
	require.Empty(t, Check(obj))
	require.Equal(t, want, kstatusOf(t, asRuntime))
	require.Equal(t, ready, conditionOf(*obj.GetConditions(), v1alpha1.ConditionReady))
}

func (r *routed) parent(typ string) string {
	require.NotEmpty(r.t, r.policy.Status.Parents)
	return conditionOf(r.policy.Status.Parents[0].Conditions, typ)
}

// Programmed turns true when the last pod has loaded the entry, and not before;
// then neither a rollout nor a lost node takes it back.
func TestProgrammedOnlyWhenEveryPodHasLoadedIt(t *testing.T) {
	r := newRouted(t)
	r.step(status.InProgressStatus, "False/StoreNotReady", "False/StoreNotReady")
	r.store.load(2).join(fleet.Pod{Name: "late", Status: document.Status{Hash: "old"}})
	r.step(status.InProgressStatus, "False/NotLoaded", "False/NotLoaded")
	r.store.load(3)
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	require.Equal(t, "True/Programmed", r.parent(v1alpha1.ConditionProgrammed))
	require.Equal(t, "True/Accepted", r.parent(v1alpha1.ConditionAccepted))
	require.EqualValues(t, 1, r.policy.Status.Channels)
	require.Equal(t, "h-a", r.policy.Status.Hash)
	r.store.join(fleet.Pod{Name: "new"})
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	r.store.pods = nil
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")

	r.policy.Generation++ // a changed policy is programmed anew
	r.compile("b")
	r.store.join(fleet.Pod{Name: "pod", Status: document.Status{Hash: "of a"}})
	r.step(status.InProgressStatus, "False/NotLoaded", "False/NotLoaded")
	r.store.load(1)
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
}

// In another store it has to be loaded first, whatever was.
func TestProgrammedInAnotherStore(t *testing.T) {
	r := newRouted(t)
	r.store.load(1)
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	r.result.Parents[0].Store = compile.Key{Namespace: "shop", Name: "second"}
	r.step(status.CurrentStatus, "True/Ready", "False/StoreNotReady")
}

func TestARefusalOfThePodsIsTold(t *testing.T) {
	r := newRouted(t)
	r.store.load(1)
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	e := r.result.Parents[0].Entries[0]
	r.store.pods[0].Status.Exceptions = []document.Exception{{Entry: e.Key(), Hash: e.Hash, RunningHash: "before", Field: "rules[0]", Message: "is too new"}}
	r.step(status.FailedStatus, "False/LoadFailed", "False/LoadFailed")
	require.Contains(t, r.policy.Status.Conditions[0].Message, "spec.rules[0]: is too new; its last good version goes on")
}

// A pod of a version before routing confirms what it leaves alone.
func TestPodsThatDoNotKnowRoutingAreWaitedFor(t *testing.T) {
	r := newRouted(t)
	r.store.load(2)
	r.store.pods[1].Status.EntryKinds = nil
	r.step(status.InProgressStatus, "False/NotLoaded", "False/NotLoaded")
	require.Contains(t, r.policy.Status.Conditions[0].Message, "are of a version that knows no RoutingPolicy")
	r.store.load(2)
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
}

func TestParentsThatRefuse(t *testing.T) {
	r := newRouted(t)
	refused := compile.Finding{Condition: v1alpha1.ConditionResolvedRefs, Reason: v1alpha1.ReasonRefNotPermitted, Message: "there is no Channel that lets it in", Terminal: true, Grace: compile.Grace}
	r.result.Parents = append(r.result.Parents, compile.ParentResult{Channel: compile.Key{Namespace: "x", Name: "y"}, Refused: true, Findings: []compile.Finding{refused}})
	r.store.load(1)
	r.step(status.InProgressStatus, "False/RefNotPermitted", "False/PartiallyProgrammed")
	other := r.policy.Status.Parents[1].Conditions
	require.Equal(t, "False/RefNotPermitted", conditionOf(other, v1alpha1.ConditionAccepted))
	require.Equal(t, "Unknown/RefNotPermitted", conditionOf(other, v1alpha1.ConditionResolvedRefs))
	require.Equal(t, "True/Programmed", r.parent(v1alpha1.ConditionProgrammed), "the other Channel is routed")
	r.now = r.now.Add(compile.Grace)
	r.step(status.FailedStatus, "False/RefNotPermitted", "False/PartiallyProgrammed")
}

func TestADroppedRuleIsPartiallyInvalid(t *testing.T) {
	r := newRouted(t)
	r.compile("a", compile.Finding{Condition: v1alpha1.ConditionPartiallyInvalid, Reason: v1alpha1.ReasonInvalidExpression, Message: "spec.rules[0]: no", Terminal: true})
	r.store.load(1)
	r.step(status.FailedStatus, "False/InvalidExpression", "True/Programmed")
	require.Equal(t, "True/InvalidExpression", conditionOf(r.policy.Status.Conditions, v1alpha1.ConditionPartiallyInvalid))
	require.Equal(t, "True/Accepted", conditionOf(r.policy.Status.Conditions, v1alpha1.ConditionAccepted))
	r.policy.Generation++
	r.compile("b")
	r.store.load(1)
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	require.Empty(t, conditionOf(r.policy.Status.Conditions, v1alpha1.ConditionPartiallyInvalid), "present only while true")
}

func TestLastGoodIsNotProgrammed(t *testing.T) {
	r := newRouted(t)
	r.compile("a", compile.Finding{Condition: v1alpha1.ConditionAccepted, Reason: v1alpha1.ReasonInvalidSpec, Message: "spec.priority: no", Terminal: true})
	r.result.Parents[0].LastGood = true
	r.store.load(1)
	r.step(status.FailedStatus, "False/InvalidSpec", "False/InvalidSpec")
	require.Contains(t, r.policy.Status.Parents[0].Conditions[2].Message, "the version before stays in force")
}

func TestConflictsStandBesideReady(t *testing.T) {
	r := newRouted(t)
	r.store.load(1)
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	before := r.policy.Status.Conditions
	r.result.Parents[0].Conflict = "spec.priority: is 5, as that of shop/other"
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	require.Equal(t, "True/Conflicted", conditionOf(r.policy.Status.Conditions, v1alpha1.ConditionConflicted))
	require.Equal(t, "True/Conflicted", r.parent(v1alpha1.ConditionConflicted))
	require.Equal(t, []string{"-Conflicted/Conflicted"}, eventsOf(before, r.policy.Status.Conditions))
	before = r.policy.Status.Conditions
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	require.Empty(t, eventsOf(before, r.policy.Status.Conditions), "told once")
}

func TestALoopIsToldOnce(t *testing.T) {
	r := newRouted(t)
	r.store.load(2)
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	before := r.policy.Status.Conditions
	r.store.pods[1].Status.Troubles = []document.Trouble{{Entry: "RoutingPolicy/shop/inbound", Reason: "RoutingLoop", Message: "to and fro"}, {Entry: "RoutingPolicy/shop/other", Reason: "RoutingLoop"}}
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	require.Equal(t, "True/RoutingLoop", conditionOf(r.policy.Status.Conditions, v1alpha1.ConditionLooping))
	require.Equal(t, []string{"-Looping/RoutingLoop"}, eventsOf(before, r.policy.Status.Conditions))
	before = r.policy.Status.Conditions
	pods := r.store.pods
	r.store.pods = nil // nobody says otherwise
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	require.Equal(t, "True/RoutingLoop", conditionOf(r.policy.Status.Conditions, v1alpha1.ConditionLooping))
	r.store.pods = pods
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	require.Empty(t, eventsOf(before, r.policy.Status.Conditions), "told once")
	r.store.pods[1].Status.Troubles = nil
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	require.Empty(t, conditionOf(r.policy.Status.Conditions, v1alpha1.ConditionLooping), "present only while true")
}

// Of several versions in force status names each with its Channel, and none as the one.
func TestTheHashIsThatOfTheStores(t *testing.T) {
	r := newRouted(t)
	r.store.load(1)
	other := r.result.Parents[0]
	other.Channel.Name = "other"
	r.result.Parents = append(r.result.Parents, other)
	for _, tc := range []struct{ first, second, want string }{{"h1", "h1", "h1"}, {"h1", "h2", ""}, {"h1", "", "h1"}, {"", "", "h-a"}} {
		r.result.Parents[0].Hash, r.result.Parents[1].Hash = tc.first, tc.second
		r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
		require.Equal(t, tc.want, r.policy.Status.Hash)
		require.Equal(t, []string{tc.first, tc.second}, []string{r.policy.Status.Parents[0].Hash, r.policy.Status.Parents[1].Hash})
	}
}

func TestAPolicyOnNoChannel(t *testing.T) {
	r := newRouted(t)
	r.result.Parents = nil
	r.step(status.CurrentStatus, "True/Ready", "False/NotAttached")
}

func TestASuspendedPolicyStaysAsItWas(t *testing.T) {
	r := newRouted(t)
	r.store.load(1)
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	r.policy.Spec.Suspend, r.policy.Generation = true, 2
	r.result = &compile.PolicyResult{}
	r.step(status.CurrentStatus, "True/Suspended", "True/Programmed")
	require.Len(t, r.policy.Status.Parents, 1)
}

// With thousands of Channels the status has those that need somebody.
func TestOnlySomeParentsStandInStatus(t *testing.T) {
	r := newRouted(t)
	good := r.result.Parents[0]
	r.result.Parents = nil
	for i := range 200 {
		p := good
		p.Channel.Name = fmt.Sprintf("c%03d", i)
		if i == 150 {
			p.Conflict = "somebody"
		}
		r.result.Parents = append(r.result.Parents, p)
	}
	r.store.load(1)
	r.step(status.CurrentStatus, "True/Ready", "True/Programmed")
	require.Len(t, r.policy.Status.Parents, v1alpha1.MaxParentStatuses)
	require.Equal(t, "c150", r.policy.Status.Parents[0].ParentRef.Name)
	require.EqualValues(t, 200, r.policy.Status.Channels)
}

func TestAgentQueueIsStaffed(t *testing.T) {
	store := newStoreScene(t, "a", document.Entry{Kind: document.EntryAgentQueue, Name: "shop/general"})
	q := &v1alpha1.AgentQueue{TypeMeta: metav1.TypeMeta{Kind: "AgentQueue"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "general", Generation: 1}}
	entry := store.loadable(document.EntryAgentQueue, "shop/general")
	step := func(want status.Status, ready, staffed string) {
		t.Helper()
		q.Status, _ = AgentQueue(q, BackendInput{Result: &compile.BackendResult{Store: edge, Entry: &entry}, Store: store.view(), Now: start})
		checkStatus(t, q, q, want, ready)
		require.Equal(t, staffed, conditionOf(q.Status.Conditions, v1alpha1.ConditionStaffed))
	}
	step(status.InProgressStatus, "False/StoreNotReady", "Unknown/NotLoaded")
	store.load(2)
	step(status.CurrentStatus, "True/Ready", "True/Staffed")
	store.pods[1].Status.Troubles = []document.Trouble{{Entry: entry.Key(), Reason: "NoAgents", Message: "no agent is selected"}, {Entry: "AgentQueue/shop/x"}}
	before := q.Status.Conditions
	step(status.CurrentStatus, "True/Ready", "False/NoAgents")
	require.Equal(t, []string{"-Staffed/NoAgents"}, eventsOf(before, q.Status.Conditions))
	store.pods = nil
	step(status.CurrentStatus, "True/Ready", "False/NoAgents") // nobody says otherwise
	require.Equal(t, "shop/edge", q.Status.Store)
}

func TestBotsAreLoadedOrRefused(t *testing.T) {
	store := newStoreScene(t, "a", document.Entry{Kind: document.EntryBot, Name: "shop/menu"}).load(1)
	b := &v1alpha1.Bot{TypeMeta: metav1.TypeMeta{Kind: "Bot"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "menu", Generation: 1}}
	entry := store.loadable(document.EntryBot, "shop/menu")
	result := &compile.BackendResult{Store: edge, Entry: &entry}
	step := func(want status.Status, ready string) {
		t.Helper()
		b.Status, _ = Bot(b, BackendInput{Result: result, Store: store.view(), Now: start})
		checkStatus(t, b, b, want, ready)
	}
	step(status.CurrentStatus, "True/Ready")
	store.pods[0].Status.Exceptions = []document.Exception{{Entry: entry.Key(), Hash: entry.Hash, Message: "no"}}
	step(status.FailedStatus, "False/LoadFailed")
	result.Entry, result.Findings = nil, []compile.Finding{{Condition: v1alpha1.ConditionAccepted, Reason: v1alpha1.ReasonInvalidSpec, Message: "no", Terminal: true}}
	step(status.FailedStatus, "False/InvalidSpec")
}

// A Schedule's status changes at its transitions, and asks to be looked at then.
func TestScheduleTellsItsTransitions(t *testing.T) {
	monday := time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC) // 08:00 in Berlin
	compiled, err := schedule.Compile(schedule.Spec{TimeZone: "Europe/Berlin", Weekly: []schedule.Weekly{{Days: []schedule.Day{schedule.Monday}, From: "09:00", To: "17:00"}}})
	require.NoError(t, err)
	s := &v1alpha1.Schedule{TypeMeta: metav1.TypeMeta{Kind: "Schedule"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "hours", Generation: 1}}
	step := func(now time.Time, open bool, next time.Time) {
		t.Helper()
		got, recheck := Schedule(ScheduleInput{Schedule: s, Result: &compile.ScheduleResult{Schedule: compiled}, Now: now})
		s.Status = got
		checkStatus(t, s, s, status.CurrentStatus, "True/Ready")
		require.Equal(t, open, *got.Open)
		require.True(t, next.Equal(got.NextTransition.Time), "%s", got.NextTransition)
		require.Equal(t, next.Sub(now), recheck)
	}
	step(monday, false, monday.Add(time.Hour))
	before := s.Status
	step(monday.Add(time.Minute), false, monday.Add(time.Hour))
	require.Equal(t, before, s.Status, "silent between transitions")
	step(monday.Add(time.Hour), true, monday.Add(9*time.Hour))
	step(monday.Add(9*time.Hour), false, monday.Add(7*24*time.Hour+time.Hour))
}

// Dated hours that are over: nobody is there again, and who waits should be told.
func TestAScheduleThatIsOver(t *testing.T) {
	compiled, err := schedule.Compile(schedule.Spec{TimeZone: "UTC", Exceptions: []schedule.Exception{{Date: "2026-11-20", From: "09:00", To: "17:00"}}})
	require.NoError(t, err)
	s := &v1alpha1.Schedule{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "fair", Generation: 1}}
	accepted := func(now time.Time) string {
		got, _ := Schedule(ScheduleInput{Schedule: s, Result: &compile.ScheduleResult{Schedule: compiled}, Now: now})
		return meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionAccepted).Message
	}
	closing := time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)
	require.NotContains(t, accepted(closing.Add(-9*time.Hour)), "never opens again")
	require.NotContains(t, accepted(closing.Add(-1)), "never opens again")
	require.Contains(t, accepted(closing), "never opens again")
}

func TestScheduleIsLoadedWhereItIsUsed(t *testing.T) {
	store := newStoreScene(t, "a", document.Entry{Kind: document.EntrySchedule, Name: "shop/hours"})
	compiled, err := schedule.Compile(schedule.Spec{TimeZone: "UTC", Weekly: []schedule.Weekly{{Days: []schedule.Day{schedule.Monday}, From: "00:00", To: "24:00"}}})
	require.NoError(t, err)
	entry := store.loadable(document.EntrySchedule, "shop/hours")
	result := &compile.ScheduleResult{Schedule: compiled, Stores: []compile.Key{edge}, Entry: &entry}
	s := &v1alpha1.Schedule{TypeMeta: metav1.TypeMeta{Kind: "Schedule"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "hours", Generation: 1}}
	step := func(want status.Status, ready string) {
		t.Helper()
		s.Status, _ = Schedule(ScheduleInput{Schedule: s, Result: result, Stores: []StoreView{store.view()}, Now: start})
		checkStatus(t, s, s, want, ready)
		require.Equal(t, []string{"shop/edge"}, s.Status.Stores)
	}
	step(status.InProgressStatus, "False/StoreNotReady")
	store.load(1)
	step(status.CurrentStatus, "True/Ready")
	result.Schedule, result.Findings = nil, []compile.Finding{{Condition: v1alpha1.ConditionAccepted, Reason: v1alpha1.ReasonInvalidSpec, Message: "no", Terminal: true}}
	s.Generation++
	step(status.FailedStatus, "False/InvalidSpec")
	require.Nil(t, s.Status.Open, "nothing is said of hours that are not valid")
	s.Spec.Suspend = true
	step(status.InProgressStatus, "False/Suspended")
}
