package compile

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/bot"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

func newSchedule(ns, name string) *v1alpha1.Schedule {
	return &v1alpha1.Schedule{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.ScheduleSpec{
		TimeZone: "Europe/Berlin", Weekly: []v1alpha1.WeeklyHours{{Days: []v1alpha1.Weekday{"Mon", "Tue"}, From: "09:00", To: "17:00"}},
	}}
}

func newQueue(ns, name string) *v1alpha1.AgentQueue {
	return &v1alpha1.AgentQueue{ObjectMeta: objectMeta(ns, name)}
}

func newBot(ns, name string) *v1alpha1.Bot {
	return &v1alpha1.Bot{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.BotSpec{BuiltIn: &v1alpha1.BuiltInBot{
		DefaultLanguage: "en", Fallback: v1alpha1.Texts{"en": "Sorry?"},
		Answers:  []v1alpha1.BotAnswer{{Name: "a", Pattern: "x+", Then: v1alpha1.BotAction{Text: v1alpha1.Texts{"en": "y"}}}},
		Handover: v1alpha1.BuiltInHandover{Keywords: v1alpha1.Words{"en": {"agent"}}},
	}}}
}

func webhookBot(ns, name string) *v1alpha1.Bot {
	return &v1alpha1.Bot{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.BotSpec{Webhook: &v1alpha1.WebhookBot{
		WebhookEndpoint: v1alpha1.WebhookEndpoint{URL: "https://bot.example.com/", SecretRef: v1alpha1.SecretReference{Name: name}},
	}}}
}

// signingValue is a usable signing secret.
func signingValue(fill string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fill, 32)))
}

func newSigning(ns, name, value string) *corev1.Secret {
	s := newSecret(ns, name, "")
	s.Data = map[string][]byte{"secret": []byte(value)}
	return s
}

func backend(kind v1alpha1.BackendKind, name string, weight ...int32) v1alpha1.BackendRef {
	r := v1alpha1.BackendRef{Kind: kind, Name: name}
	if len(weight) > 0 {
		r.Weight = &weight[0]
	}
	return r
}

func toQueue(name string) v1alpha1.BackendRef { return backend(v1alpha1.BackendAgentQueue, name) }

func rule(name string, steps ...v1alpha1.RoutingStep) v1alpha1.RoutingRule {
	return v1alpha1.RoutingRule{Name: name, Steps: steps}
}

func step(name string, backends ...v1alpha1.BackendRef) v1alpha1.RoutingStep {
	return v1alpha1.RoutingStep{Name: name, BackendRefs: backends}
}

// newPolicy is attached to the Channel of newWorld.
func newPolicy(ns, name string, priority int32, rules ...v1alpha1.RoutingRule) *v1alpha1.RoutingPolicy {
	return &v1alpha1.RoutingPolicy{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.RoutingPolicySpec{
		ParentRefs: []v1alpha1.ObjectReference{{Name: "bot", Namespace: "shop"}}, Priority: priority, Rules: rules,
		DefaultRoute: v1alpha1.DefaultRoute{BackendRefs: []v1alpha1.BackendRef{toQueue("general")}},
	}}
}

// routedWorld has a queue and a policy on the Channel of newWorld.
func routedWorld(t *testing.T, rules ...v1alpha1.RoutingRule) *world {
	w := newWorld(t)
	w.AgentQueues = []*v1alpha1.AgentQueue{newQueue("shop", "general")}
	w.Policies = []*v1alpha1.RoutingPolicy{newPolicy("shop", "inbound", 100, rules...)}
	return w
}

var (
	theStore   = key("shop", "default")
	theChannel = key("shop", "bot")
	thePolicy  = key("shop", "inbound")
)

// stored is an entry of the store's document, decoded; nil when there is none.
func stored[T any](t *testing.T, r *Result, kind document.EntryKind, name string) *T {
	t.Helper()
	doc := r.Stores[theStore].Document
	e, ok := doc.Find(kind, name)
	if !ok {
		return nil
	}
	var spec T
	require.NoError(t, json.Unmarshal(e.Spec, &spec))
	return &spec
}

func messages(findings []Finding) string {
	var all []string
	for _, f := range findings {
		all = append(all, f.Message)
	}
	return strings.Join(all, "\n")
}

func TestRoutingGoesIntoTheStoresDocument(t *testing.T) {
	w := routedWorld(t, rule("all", step("bot", backend(v1alpha1.BackendBot, "menu")), step("queue", toQueue("general"))))
	w.Bots = []*v1alpha1.Bot{newBot("shop", "menu")}
	w.Schedules = []*v1alpha1.Schedule{newSchedule("shop", "hours"), newSchedule("shop", "unused")}
	w.AgentQueues[0].Spec.ScheduleRef = &v1alpha1.LocalReference{Name: "hours"}
	r := w.compile()
	require.Empty(t, r.Policies[thePolicy].Findings)
	require.Empty(t, r.Policies[thePolicy].Parents[0].Findings)

	policy := stored[routing.Policy](t, r, document.EntryRoutingPolicy, "shop/inbound")
	require.Equal(t, "shop/inbound", policy.Name)
	require.Equal(t, "shop/menu", policy.Rules[0].Steps[0].BackendRefs[0].Name)
	require.Equal(t, "shop/general", policy.DefaultRoute.BackendRefs[0].Name)
	require.Equal(t, "shop/hours", stored[routing.QueueSpec](t, r, document.EntryAgentQueue, "shop/general").Schedule)
	require.Equal(t, "Europe/Berlin", stored[schedule.Spec](t, r, document.EntrySchedule, "shop/hours").TimeZone)
	require.Nil(t, stored[schedule.Spec](t, r, document.EntrySchedule, "shop/unused"), "a store has the Schedules that it uses")
	var spec bot.Spec
	require.NoError(t, json.Unmarshal(stored[document.Bot](t, r, document.EntryBot, "shop/menu").BuiltIn, &spec))
	require.Equal(t, "shop/menu", spec.Name)
	require.Equal(t, []string{"shop/inbound"}, storeEntry(t, r, theStore, theChannel).Policies)
	require.Equal(t, []string{"shop/inbound"}, r.Channels[theChannel].Policies)
	require.Equal(t, []Key{theStore}, r.Schedules[key("shop", "hours")].Stores)

	// What pods must confirm: the policy and that the Channel has it.
	parent := r.Policies[thePolicy].Parents[0]
	require.Len(t, parent.Entries, 1)
	require.Equal(t, "RoutingPolicy/shop/inbound", parent.Entries[0].Key())
	require.Equal(t, "Channel/shop/bot", parent.ChannelEntry.Key())

	// The store compiles the entry to the policy of the hash in status.
	compiled, found := routing.Compile(*policy, routing.Refs{
		Queues: map[string]routing.QueueRef{"shop/general": {Schedule: "shop/hours"}}, Bots: map[string]bool{"shop/menu": true},
	})
	require.Empty(t, found)
	require.Equal(t, compiled.Hash(), r.Policies[thePolicy].Hash)
}

func TestWithoutPoliciesNothingIsSaidOfRouting(t *testing.T) {
	r := newWorld(t).compile()
	require.Nil(t, storeEntry(t, r, theStore, theChannel).Policies)
	for _, e := range r.Stores[theStore].Document.Entries {
		require.Contains(t, []document.EntryKind{document.EntryBridge, document.EntryChannel}, e.Kind)
	}
}

// Policies are asked by priority, then by name; of two with one priority each
// is told of the other.
func TestOrderAndConflicts(t *testing.T) {
	w := routedWorld(t)
	w.Policies = []*v1alpha1.RoutingPolicy{newPolicy("shop", "b", 5), newPolicy("shop", "a", 5), newPolicy("shop", "high", 9), newPolicy("shop", "shadow", 5)}
	w.Policies[3].Spec.Mode = v1alpha1.PolicyShadow
	r := w.compile()
	require.Equal(t, []string{"shop/high", "shop/a", "shop/b", "shop/shadow"}, storeEntry(t, r, theStore, theChannel).Policies)
	conflict := func(name string) string { return r.Policies[key("shop", name)].Parents[0].Conflict }
	require.Contains(t, conflict("a"), "spec.priority: is 5, as that of shop/b; shop/a is asked first")
	require.Contains(t, conflict("b"), "as that of shop/a")
	require.Empty(t, conflict("high"))
	require.Empty(t, conflict("shadow"), "who does nothing is in nobody's way")
}

func TestPermissionOfTheChannel(t *testing.T) {
	maxPriority := int32(50)
	all := v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	same := v1alpha1.AllowedNamespaces{From: v1alpha1.FromSame}
	desk := v1alpha1.AllowedNamespaces{From: v1alpha1.FromSelector, Selector: &v1alpha1.LabelSelector{MatchLabels: map[string]string{"team": "desk"}}}
	for name, tc := range map[string]struct {
		allowed  []v1alpha1.AllowedPolicies
		from     string
		priority int32
		refused  string // part of the message; empty: it is let in
	}{
		"its own namespace, by default":   {nil, "shop", 1000, ""},
		"another one, by default":         {nil, "cx", 0, `there is no Channel shop/bot that lets RoutingPolicies of namespace "cx" in`},
		"all":                             {[]v1alpha1.AllowedPolicies{{Namespaces: all}}, "cx", 1000, ""},
		"by label":                        {[]v1alpha1.AllowedPolicies{{Namespaces: desk}}, "labelled", 1000, ""},
		"without the label":               {[]v1alpha1.AllowedPolicies{{Namespaces: desk}}, "cx", 0, "there is no Channel shop/bot that lets"},
		"its own, when not named":         {[]v1alpha1.AllowedPolicies{{Namespaces: desk}}, "shop", 0, "does not let RoutingPolicies of its own namespace in"},
		"below the cap":                   {[]v1alpha1.AllowedPolicies{{Namespaces: all, MaxPriority: &maxPriority}}, "cx", 50, ""},
		"above the cap":                   {[]v1alpha1.AllowedPolicies{{Namespaces: all, MaxPriority: &maxPriority}}, "cx", 51, "up to priority 50, and this one has 51"},
		"any entry suffices":              {[]v1alpha1.AllowedPolicies{{Namespaces: all, MaxPriority: &maxPriority}, {Namespaces: same}}, "shop", 51, ""},
		"no entry for all but its own ns": {[]v1alpha1.AllowedPolicies{{Namespaces: all, MaxPriority: &maxPriority}, {Namespaces: same}}, "cx", 51, "up to priority 50"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Namespaces = map[string]map[string]string{"labelled": {"team": "desk"}}
			w.Channels[0].Spec.AllowedPolicies = tc.allowed
			w.Stores[0].Spec.AllowedBridges = &all
			q := newQueue(tc.from, "general")
			q.Spec.StoreRef = &v1alpha1.ObjectReference{Namespace: "shop", Name: "default"}
			w.AgentQueues = []*v1alpha1.AgentQueue{q}
			w.Policies = []*v1alpha1.RoutingPolicy{newPolicy(tc.from, "inbound", tc.priority)}
			r := w.compile()
			parent := r.Policies[key(tc.from, "inbound")].Parents[0]
			attached := storeEntry(t, r, theStore, theChannel).Policies
			if tc.refused == "" {
				require.Empty(t, parent.Findings)
				require.Equal(t, []string{tc.from + "/inbound"}, attached)
				return
			}
			require.True(t, parent.Refused)
			require.Contains(t, messages(parent.Findings), tc.refused)
			require.Empty(t, attached)
			require.Zero(t, parent.Store, "who is not let in does not learn the store")
		})
	}
}

// Across namespaces nobody learns by trying which Channels exist.
func TestAParentThatIsMissingLooksLikeOneThatIsClosed(t *testing.T) {
	w := newWorld(t)
	w.Policies = []*v1alpha1.RoutingPolicy{newPolicy("cx", "inbound", 0)}
	w.Policies[0].Spec.ParentRefs = []v1alpha1.ObjectReference{{Namespace: "shop", Name: "bot"}, {Namespace: "shop", Name: "gone"}}
	parents := w.compile().Policies[key("cx", "inbound")].Parents
	there, missing := parents[0], parents[1]
	require.Equal(t, there.Findings[0].Reason, missing.Findings[0].Reason)
	require.Equal(t, strings.ReplaceAll(there.Findings[0].Message, "shop/bot", "shop/gone"), strings.Replace(missing.Findings[0].Message, "parentRefs[1]", "parentRefs[0]", 1))
	there.Channel, missing.Channel, there.Findings, missing.Findings = Key{}, Key{}, nil, nil
	require.Equal(t, there, missing)
}

func TestSelectorChoosesChannelsOfTheNamespace(t *testing.T) {
	w := routedWorld(t)
	w.Channels[0].Labels = map[string]string{"team": "sales"}
	elsewhere := newChannel("cx", "bot", "43")
	elsewhere.Labels = w.Channels[0].Labels
	w.Channels = append(w.Channels, elsewhere)
	w.Policies[0].Spec.ParentRefs = nil
	require.Empty(t, w.compile().Policies[thePolicy].Parents, "attached to nothing")
	w.Policies[0].Spec.ChannelSelector = &v1alpha1.LabelSelector{MatchLabels: map[string]string{"team": "sales"}}
	parents := w.compile().Policies[thePolicy].Parents
	require.Len(t, parents, 1)
	require.Equal(t, theChannel, parents[0].Channel)
	w.Policies[0].Spec.ParentRefs = []v1alpha1.ObjectReference{{Name: "bot"}}
	require.Len(t, w.compile().Policies[thePolicy].Parents, 1, "named and chosen is once")
	w.Policies[0].Spec.ChannelSelector.MatchLabels = map[string]string{"team": "!"}
	require.Contains(t, messages(w.compile().Policies[thePolicy].Findings), "spec.channelSelector: cannot be used")
}

// badPolicies is the list of bad input, as far as a policy can have it.
func TestBadPolicies(t *testing.T) {
	zero := int32(0)
	cyclic := rule("ring", step("a", toQueue("general")), step("b", toQueue("general")))
	cyclic.Steps[1].Next = "a"
	broken := rule("vip", step("a", toQueue("general")))
	broken.Matches = []v1alpha1.RoutingMatch{{Expression: "contact.("}}
	costly := rule("vip", step("a", toQueue("general")))
	costly.Matches = []v1alpha1.RoutingMatch{{Expression: `contact.attributes.all(a, contact.attributes.all(b, contact.attributes.all(c, contact.attributes.all(d, a == b || c == d))))`}}
	split := step("split", backend(v1alpha1.BackendAgentQueue, "general", 90), backend(v1alpha1.BackendAgentQueue, "pilot", 10))
	for name, tc := range map[string]struct {
		rules     []v1alpha1.RoutingRule
		condition string
		reason    string
		says      string
		state     v1alpha1.RuleState
	}{
		"cyclic steps":              {[]v1alpha1.RoutingRule{cyclic}, v1alpha1.ConditionPartiallyInvalid, v1alpha1.ReasonInvalidSpec, "spec.rules[0].steps: lead in a circle: a → b → a; rule ring is dropped", v1alpha1.RuleDropped},
		"weights all zero":          {[]v1alpha1.RoutingRule{rule("r", step("s", v1alpha1.BackendRef{Kind: v1alpha1.BackendAgentQueue, Name: "general", Weight: &zero}))}, v1alpha1.ConditionPartiallyInvalid, v1alpha1.ReasonInvalidSpec, "has no weight above 0", v1alpha1.RuleDropped},
		"CEL that does not compile": {[]v1alpha1.RoutingRule{broken}, v1alpha1.ConditionPartiallyInvalid, v1alpha1.ReasonInvalidExpression, "spec.rules[0].matches[0].expression: does not compile: column", v1alpha1.RuleDropped},
		"CEL that costs too much":   {[]v1alpha1.RoutingRule{costly}, v1alpha1.ConditionPartiallyInvalid, v1alpha1.ReasonInvalidExpression, "can cost", v1alpha1.RuleDropped},
		"a missing backend":         {[]v1alpha1.RoutingRule{rule("r", split, step("last", toQueue("general")))}, v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonBackendNotFound, `AgentQueue "shop/pilot" not found; 10% of rule r goes to step last`, v1alpha1.RuleActive},
		"a missing webhook":         {[]v1alpha1.RoutingRule{rule("r", step("s", backend(v1alpha1.BackendWebhook, "router")))}, v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonBackendNotFound, `Webhook "shop/inbound/router" not found; 100% of rule r`, v1alpha1.RuleActive},
		"a missing schedule": {[]v1alpha1.RoutingRule{{Name: "r", Steps: []v1alpha1.RoutingStep{step("s", toQueue("general"))}, Matches: []v1alpha1.RoutingMatch{{Schedule: &v1alpha1.ScheduleMatch{Name: "hours", Is: "Open"}}}}},
			v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonScheduleNotFound, `Schedule "shop/hours" not found; until it exists rule r does not match`, v1alpha1.RuleActive},
	} {
		t.Run(name, func(t *testing.T) {
			w := routedWorld(t, tc.rules...)
			r := w.compile()
			result := r.Policies[thePolicy]
			require.Equal(t, []string{tc.condition + "/" + tc.reason}, reasons(result.Findings))
			require.Contains(t, result.Findings[0].Message, tc.says)
			require.Equal(t, tc.state, result.Rules[0].State)
			require.Contains(t, result.Rules[0].Message, strings.Split(tc.says, ";")[0])
			require.Equal(t, []string{"shop/inbound"}, storeEntry(t, r, theStore, theChannel).Policies, "the rest of it works")
			require.Empty(t, result.Parents[0].Findings, "told once")
		})
	}
}

func TestShadowedRulesAreNamed(t *testing.T) {
	w := routedWorld(t, rule("all", step("s", toQueue("general"))), rule("never", step("s", toQueue("general"))))
	result := w.compile().Policies[thePolicy]
	require.Empty(t, result.Findings, "it is a hint, not a mistake")
	require.Equal(t, v1alpha1.RuleShadowed, result.Rules[1].State)
	require.Equal(t, []string{"all"}, result.Rules[1].ShadowedBy)
	require.Equal(t, "Shadowed", result.Rules[1].Reason)
	require.Contains(t, result.Rules[1].Message, "never matches")
}

// A default route that does not work rejects the policy: a new one is left out,
// and one that is in force stays as it was.
func TestDefaultRouteMustResolve(t *testing.T) {
	w := routedWorld(t)
	w.AgentQueues = nil
	r := w.compile()
	require.Equal(t, []string{"ResolvedRefs/BackendNotFound"}, reasons(r.Policies[thePolicy].Findings))
	require.Empty(t, storeEntry(t, r, theStore, theChannel).Policies)
	require.Nil(t, r.Policies[thePolicy].Parents[0].Entries)
	require.Nil(t, stored[routing.Policy](t, r, document.EntryRoutingPolicy, "shop/inbound"))
}

func TestARejectedPolicyStaysAsItWas(t *testing.T) {
	w := routedWorld(t)
	w.write()
	w.Policies[0] = w.Policies[0].DeepCopy()
	w.Policies[0].Generation++
	w.Policies[0].Spec.DefaultLanguage = "no language!"
	r := w.compile()
	require.Equal(t, []string{"Accepted/InvalidSpec"}, reasons(r.Policies[thePolicy].Findings))
	require.Empty(t, stored[routing.Policy](t, r, document.EntryRoutingPolicy, "shop/inbound").DefaultLanguage)
	require.True(t, r.Policies[thePolicy].Parents[0].LastGood)
	require.Equal(t, []string{"shop/inbound"}, storeEntry(t, r, theStore, theChannel).Policies)
	require.False(t, Changed(r.Stores[theStore].Document, w.PreviousStores[theStore]))
}

// The queue of another store is told as what it is, with what becomes of its share.
func TestAQueueOfAnotherStore(t *testing.T) {
	w := routedWorld(t, rule("r", step("s", toQueue("other"), toQueue("general")), step("last", toQueue("general"))))
	w.Stores = append(w.Stores, newStore("shop", "second"))
	other := newQueue("shop", "other")
	other.Spec.StoreRef = &v1alpha1.ObjectReference{Name: "second"}
	w.AgentQueues = append(w.AgentQueues, other)
	r := w.compile()
	require.Empty(t, r.Policies[thePolicy].Findings, "it exists")
	parent := r.Policies[thePolicy].Parents[0]
	require.Equal(t, []string{"ResolvedRefs/StoreMismatch"}, reasons(parent.Findings))
	require.Contains(t, parent.Findings[0].Message,
		`spec.rules[0].steps[0].backendRefs[0]: AgentQueue "shop/other" belongs to ConversationStore shop/second and the Channel to shop/default; give both one store, with storeRef; 50% of rule r goes to step last`)
	require.NotNil(t, parent.Entries, "the rest works")
	require.Nil(t, stored[routing.QueueSpec](t, r, document.EntryAgentQueue, "shop/other"))
	program, _ := routing.Compile(*stored[routing.Policy](t, r, document.EntryRoutingPolicy, "shop/inbound"), routing.Refs{Queues: map[string]routing.QueueRef{"shop/general": {}}})
	require.Equal(t, program.Hash(), parent.Hash, "as the store's pods reckon it: without the queue")
	require.NotEqual(t, r.Policies[thePolicy].Hash, parent.Hash)
	require.Equal(t, key("shop", "second"), r.AgentQueues[key("shop", "other")].Store)
}

// A store takes queues of the namespaces whose Channels are in it, besides those
// that its allow-list names; to others it looks as if it were not there.
func TestWhoseQueuesAStoreTakes(t *testing.T) {
	at := func(w *world, ns string) *BackendResult {
		q := newQueue(ns, "q")
		q.Spec.StoreRef = &v1alpha1.ObjectReference{Namespace: "shop", Name: "default"}
		w.AgentQueues = []*v1alpha1.AgentQueue{q}
		return w.compile().AgentQueues[key(ns, "q")]
	}
	w := newWorld(t)
	stranger := at(w, "cx")
	require.Equal(t, []string{"ResolvedRefs/RefNotPermitted"}, reasons(stranger.Findings))
	w.Stores = nil
	require.Equal(t, stranger.Findings, at(w, "cx").Findings)

	w = newWorld(t)
	w.Bridges[0].Spec.AllowedChannels = &v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	ch := newChannel("cx", "bot", "77")
	ch.Spec.BridgeRef = &v1alpha1.ObjectReference{Namespace: "shop", Name: "default"}
	w.Channels = append(w.Channels, ch)
	require.Empty(t, at(w, "cx").Findings, "its conversations are there")
	w = newWorld(t)
	w.Stores[0].Spec.AllowedBridges = &v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	require.Empty(t, at(w, "cx").Findings)

	w = newWorld(t)
	w.AgentQueues = []*v1alpha1.AgentQueue{newQueue("empty", "q")}
	r := w.compile()
	require.Equal(t, []string{"ResolvedRefs/RefNotFound"}, reasons(r.AgentQueues[key("empty", "q")].Findings))
	require.Empty(t, r.CreateDefaults, "a queue alone makes no database")
}

func TestBadSchedulesQueuesAndBots(t *testing.T) {
	w := routedWorld(t)
	closed := newSchedule("shop", "closed")
	closed.Spec.Weekly = nil
	w.Schedules = []*v1alpha1.Schedule{closed}
	w.AgentQueues[0].Spec.ScheduleRef = &v1alpha1.LocalReference{Name: "closed"}
	w.Bots = []*v1alpha1.Bot{newBot("shop", "menu")}
	w.Bots[0].Spec.BuiltIn.Answers[0].Pattern = "("
	r := w.compile()
	require.Equal(t, []string{"Accepted/InvalidSpec"}, reasons(r.Schedules[key("shop", "closed")].Findings))
	require.Contains(t, messages(r.Schedules[key("shop", "closed")].Findings), "spec.weekly: has no open minute")
	queue := r.AgentQueues[key("shop", "general")]
	require.Equal(t, []string{"ResolvedRefs/ScheduleNotFound"}, reasons(queue.Findings))
	require.Contains(t, messages(queue.Findings), `spec.scheduleRef: Schedule "shop/closed" is there, but not in force; see its conditions`)
	require.NotNil(t, queue.Entry, "the queue counts as open meanwhile")
	require.Equal(t, []string{"Accepted/InvalidSpec"}, reasons(r.Bots[key("shop", "menu")].Findings))
	require.Contains(t, messages(r.Bots[key("shop", "menu")].Findings), "spec.builtIn.answers[0].pattern: is not a regular expression")
	require.Nil(t, r.Bots[key("shop", "menu")].Entry)
}

// What was good stays in force while the spec is not, in all kinds.
func TestLastGoodRouting(t *testing.T) {
	w := routedWorld(t)
	w.Schedules = []*v1alpha1.Schedule{newSchedule("shop", "hours")}
	w.AgentQueues[0].Spec.ScheduleRef = &v1alpha1.LocalReference{Name: "hours"}
	w.Bots = []*v1alpha1.Bot{newBot("shop", "menu")}
	w.write()
	w.Schedules[0].Spec.TimeZone = "Nowhere/None"
	w.AgentQueues[0].Spec.Selector = &v1alpha1.AgentSelector{Labels: v1alpha1.Pairs{"": "x"}}
	w.Bots[0].Spec.BuiltIn.Fallback = nil
	for _, o := range []metav1.Object{w.Schedules[0], w.AgentQueues[0], w.Bots[0]} {
		o.SetGeneration(2)
	}
	r := w.compile()
	require.Equal(t, []string{"Accepted/InvalidSpec"}, reasons(r.Schedules[key("shop", "hours")].Findings))
	require.Equal(t, []string{"Accepted/InvalidSpec"}, reasons(r.AgentQueues[key("shop", "general")].Findings))
	require.True(t, r.AgentQueues[key("shop", "general")].LastGood)
	require.True(t, r.Bots[key("shop", "menu")].LastGood)
	require.False(t, Changed(r.Stores[theStore].Document, w.PreviousStores[theStore]))
	require.Empty(t, r.Policies[thePolicy].Findings, "who uses them goes on")
}

func TestSuspendKeepsWhatIsInForce(t *testing.T) {
	w := routedWorld(t)
	w.Stores[0].Spec.Egress = &v1alpha1.StoreEgress{}
	w.Schedules = []*v1alpha1.Schedule{newSchedule("shop", "hours")}
	w.AgentQueues[0].Spec.ScheduleRef = &v1alpha1.LocalReference{Name: "hours"}
	w.Bots = []*v1alpha1.Bot{newBot("shop", "menu")}
	w.Secrets = append(w.Secrets, newSigning("shop", "router", signingValue("a")))
	w.Policies[0].Spec.Webhooks = []v1alpha1.RoutingWebhook{{Name: "router", WebhookEndpoint: v1alpha1.WebhookEndpoint{URL: "https://r.example.com/", SecretRef: v1alpha1.SecretReference{Name: "router"}}}}
	w.write()
	w.Schedules[0].Spec.Suspend, w.Schedules[0].Spec.TimeZone = true, "UTC"
	w.AgentQueues[0].Spec.Suspend, w.AgentQueues[0].Spec.Strategy = true, "RoundRobin"
	w.Bots[0].Spec.Suspend, w.Bots[0].Spec.BuiltIn.DefaultLanguage = true, "de"
	w.Policies[0].Spec.Suspend, w.Policies[0].Spec.Priority = true, 7
	w.Policies[0].Spec.Webhooks[0].URL = "https://other.example.com/"
	for _, o := range []metav1.Object{w.Schedules[0], w.AgentQueues[0], w.Bots[0], w.Policies[0]} {
		o.SetGeneration(2)
	}
	require.False(t, Changed(w.compile().Stores[theStore].Document, w.PreviousStores[theStore]))
	w.Channels = append(w.Channels, newChannel("shop", "second", "43"))
	w.Secrets = append(w.Secrets, newSecret("shop", "second", token("43", 'b')))
	w.Policies[0].Spec.ParentRefs = append(w.Policies[0].Spec.ParentRefs, v1alpha1.ObjectReference{Name: "second"})
	require.Empty(t, storeEntry(t, w.compile(), theStore, key("shop", "second")).Policies, "nor is it attached anew")
}

func TestWebhooks(t *testing.T) {
	w := routedWorld(t, rule("r", step("s", backend(v1alpha1.BackendWebhook, "router")), step("q", toQueue("general"))))
	w.Policies[0].Spec.Webhooks = []v1alpha1.RoutingWebhook{{Name: "router", IncludeText: true, WebhookEndpoint: v1alpha1.WebhookEndpoint{URL: "https://r.example.com/", SecretRef: v1alpha1.SecretReference{Name: "router"}}}}
	w.Bots = []*v1alpha1.Bot{webhookBot("shop", "ai")}
	router, ai := newSigning("shop", "router", signingValue("a")), newSigning("shop", "ai", signingValue("c"))
	w.Secrets = append(w.Secrets, router, ai)

	r := w.compile()
	require.Contains(t, messages(r.Policies[thePolicy].Parents[0].Findings), "ConversationStore shop/default does not let its pods call webhooks")
	require.Contains(t, messages(r.Policies[thePolicy].Parents[0].Findings), `Webhook "shop/inbound/router" cannot be asked; 100% of rule r goes to step q`)
	require.Equal(t, []string{"ResolvedRefs/EgressNotAllowed"}, reasons(r.Bots[key("shop", "ai")].Findings))
	require.Nil(t, r.Bots[key("shop", "ai")].Entry)

	w.Stores[0].Spec.Egress = &v1alpha1.StoreEgress{AllowPrivateHosts: true}
	r = w.write()
	require.Empty(t, r.Policies[thePolicy].Parents[0].Findings)
	require.Empty(t, r.Bots[key("shop", "ai")].Findings)
	var settings document.StoreSettings
	require.NoError(t, json.Unmarshal(r.Stores[theStore].Document.Settings, &settings))
	require.True(t, settings.AllowPrivateHosts)
	hook := stored[document.Webhook](t, r, document.EntryWebhook, "shop/inbound/router")
	require.Equal(t, document.Webhook{URL: "https://r.example.com/", Secret: signingValue("a"), IncludeText: true}, *hook)
	require.NotContains(t, string(mustJSON(stored[routing.Policy](t, r, document.EntryRoutingPolicy, "shop/inbound"))), "whsec", "policies are archived, secrets are not")
	require.Contains(t, string(mustJSON(r.Policies[thePolicy].Parents[0].Entries)), "shop/inbound/router", "pods confirm the webhook as well")

	// A rotation: both sign for a day, then the new one alone.
	router.Data["secret"], ai.Data["secret"] = []byte(signingValue("b")), []byte(signingValue("d"))
	r = w.write()
	hook = stored[document.Webhook](t, r, document.EntryWebhook, "shop/inbound/router")
	require.Equal(t, signingValue("b"), hook.Secret)
	require.Equal(t, &document.PreviousSecret{Value: signingValue("a"), Until: start.Add(24 * time.Hour)}, hook.PreviousSecret)
	require.Equal(t, signingValue("c"), stored[document.Bot](t, r, document.EntryBot, "shop/ai").Webhook.PreviousSecret.Value)
	require.Equal(t, start.Add(24*time.Hour), r.NextChange)
	require.False(t, Changed(w.compile().Stores[theStore].Document, w.PreviousStores[theStore]), "it settles")
	w.now = start.Add(24 * time.Hour)
	require.Nil(t, stored[document.Webhook](t, w.compile(), document.EntryWebhook, "shop/inbound/router").PreviousSecret)

	// A Secret that goes away, or cannot be right: the last good one stays.
	for _, bad := range []struct {
		reason string
		change func()
	}{
		{"SecretValueInvalid", func() { router.Data["secret"] = []byte("whsec_short") }},
		{"SecretKeyMissing", func() { router.Data = nil }},
		{"SecretNotUsable", func() { router.Labels = nil }},
	} {
		bad.change()
		r = w.compile()
		require.Contains(t, reasons(r.Policies[thePolicy].Parents[0].Findings), "ResolvedRefs/"+bad.reason)
		require.Equal(t, signingValue("b"), stored[document.Webhook](t, r, document.EntryWebhook, "shop/inbound/router").Secret)
		require.NotContains(t, messages(r.Policies[thePolicy].Parents[0].Findings), "whsec_short")
	}
	// A permission that was taken away is gone at once.
	w.Stores[0].Spec.Egress = nil
	r = w.compile()
	require.Nil(t, stored[document.Webhook](t, r, document.EntryWebhook, "shop/inbound/router"))
	require.Nil(t, stored[document.Bot](t, r, document.EntryBot, "shop/ai"))
}

func TestHandoverOfAWebhooksBot(t *testing.T) {
	w := newWorld(t)
	w.Stores[0].Spec.Egress = &v1alpha1.StoreEgress{}
	w.Secrets = append(w.Secrets, newSigning("shop", "ai", signingValue("a")))
	b := webhookBot("shop", "ai")
	b.Spec.Webhook.Handover = &v1alpha1.WebhookHandover{Keywords: v1alpha1.Words{"en": {"agent"}}, Text: v1alpha1.Texts{"en": "One moment."}, MaxTurns: 3}
	w.Bots = []*v1alpha1.Bot{b}
	r := w.compile()
	require.Empty(t, r.Bots[key("shop", "ai")].Findings)
	require.Equal(t, document.BotHandover{Keywords: map[string][]string{"en": {"agent"}}, Text: map[string]string{"en": "One moment."}, MaxTurns: 3},
		stored[document.Bot](t, r, document.EntryBot, "shop/ai").Handover)
	b.Spec.Webhook.Handover = &v1alpha1.WebhookHandover{Keywords: v1alpha1.Words{"en": {"?!"}, "no language": {"x"}}, Text: v1alpha1.Texts{"en": "a", "de": "b"}}
	said := messages(w.compile().Bots[key("shop", "ai")].Findings)
	for _, want := range []string{`keywords[en][0]: "?!" has neither letters nor digits`, `keywords[no language]: "no language" is not a language`, `has no text for defaultLanguage ""`} {
		require.Contains(t, said, want)
	}
}

// An invalid Channel keeps its last good entry, with the policies of now.
func TestAnInvalidChannelIsStillRouted(t *testing.T) {
	w := routedWorld(t)
	w.Policies = nil
	w.write()
	w.Channels[0].Spec.ReopenWindow = &metav1.Duration{Duration: -time.Hour}
	w.Policies = []*v1alpha1.RoutingPolicy{newPolicy("shop", "inbound", 1)}
	require.Equal(t, []string{"shop/inbound"}, storeEntry(t, w.compile(), theStore, theChannel).Policies)
}

func TestProgramsAreRemembered(t *testing.T) {
	w := routedWorld(t, rule("r", step("s", toQueue("general"))))
	w.opts.Programs = &Programs{}
	fresh := w.compile()
	require.Equal(t, fresh, w.compile())
	require.NotEmpty(t, w.opts.Programs.compiled)
	w.opts.Programs = nil
	require.Equal(t, fresh, w.compile(), "it changes no result")
	w.opts.Programs = &Programs{}
	w.compile()
	w.AgentQueues = nil
	require.NotEmpty(t, w.compile().Policies[thePolicy].Findings, "what references resolve to counts")
	w.Policies = nil
	w.compile()
	require.Empty(t, w.opts.Programs.compiled, "what is not used is forgotten")
}

// Without its default route's queue not even the version before goes on: people
// would wait where nobody looks.
func TestAPolicyEndsWithItsDefaultRoute(t *testing.T) {
	w := routedWorld(t)
	w.write()
	w.AgentQueues = nil
	r := w.compile()
	require.Empty(t, storeEntry(t, r, theStore, theChannel).Policies)
	require.Nil(t, stored[routing.Policy](t, r, document.EntryRoutingPolicy, "shop/inbound"))
}

// A default route in another store does not work there: the Channel is not
// routed by the policy, and its parent says why.
func TestADefaultRouteOfAnotherStore(t *testing.T) {
	w := routedWorld(t)
	w.Stores = append(w.Stores, newStore("shop", "second"))
	w.AgentQueues[0].Spec.StoreRef = &v1alpha1.ObjectReference{Name: "second"}
	r := w.compile()
	parent := r.Policies[thePolicy].Parents[0]
	require.Equal(t, []string{"ResolvedRefs/StoreMismatch"}, reasons(parent.Findings))
	require.Contains(t, messages(parent.Findings), "spec.defaultRoute.backendRefs[0].name: AgentQueue \"shop/general\" belongs to ConversationStore shop/second")
	require.Nil(t, parent.Entries)
	require.Empty(t, storeEntry(t, r, theStore, theChannel).Policies)
}

// The same policy on Channels of two stores is in both documents, and each
// Channel has findings of its own.
func TestAPolicyOnTwoStores(t *testing.T) {
	w := routedWorld(t)
	second := newBridge("shop", "second")
	second.Spec.StoreRef = &v1alpha1.ObjectReference{Name: "second"}
	ch := newChannel("shop", "other", "43")
	ch.Spec.BridgeRef = &v1alpha1.ObjectReference{Name: "second"}
	w.Stores, w.Bridges, w.Channels = append(w.Stores, newStore("shop", "second")), append(w.Bridges, second), append(w.Channels, ch)
	w.Secrets = append(w.Secrets, newSecret("shop", "other", token("43", 'b')))
	w.Policies[0].Spec.ParentRefs = append(w.Policies[0].Spec.ParentRefs, v1alpha1.ObjectReference{Name: "other"})
	w.Policies[0].Spec.DefaultRoute.BackendRefs = []v1alpha1.BackendRef{toQueue("general")}
	r := w.compile()
	require.Empty(t, r.Policies[thePolicy].Findings)
	require.Equal(t, theChannel, r.Policies[thePolicy].Parents[0].Channel)
	require.Empty(t, r.Policies[thePolicy].Parents[0].Findings)
	require.Equal(t, []string{"ResolvedRefs/StoreMismatch"}, reasons(r.Policies[thePolicy].Parents[1].Findings))
	require.Equal(t, []string{"shop/inbound"}, r.Channels[theChannel].Policies)
	require.Empty(t, r.Channels[key("shop", "other")].Policies)
}
