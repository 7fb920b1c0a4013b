package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

func agentQueue(namespace, name string) *v1alpha1.AgentQueue {
	return &v1alpha1.AgentQueue{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// businessHours is a Schedule that is open on two days of the week.
func businessHours(namespace, name string) *v1alpha1.Schedule {
	return &v1alpha1.Schedule{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.ScheduleSpec{
		TimeZone: "UTC", Weekly: []v1alpha1.WeeklyHours{{Days: []v1alpha1.Weekday{"Mon", "Thu"}, From: "00:00", To: "24:00"}},
	}}
}

func menuBot(namespace, name string) *v1alpha1.Bot {
	return &v1alpha1.Bot{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.BotSpec{BuiltIn: &v1alpha1.BuiltInBot{
		DefaultLanguage: "en", Fallback: v1alpha1.Texts{"en": "Sorry?"},
		Answers:  []v1alpha1.BotAnswer{{Name: "thanks", Keywords: v1alpha1.Words{"en": {"thanks"}}, Then: v1alpha1.BotAction{Text: v1alpha1.Texts{"en": "Welcome."}}}},
		Handover: v1alpha1.BuiltInHandover{Keywords: v1alpha1.Words{"en": {"agent"}}},
	}}}
}

func routingPolicy(namespace, name, channel string, rules ...v1alpha1.RoutingRule) *v1alpha1.RoutingPolicy {
	return &v1alpha1.RoutingPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.RoutingPolicySpec{
		ParentRefs: []v1alpha1.ObjectReference{{Name: channel}}, Rules: rules,
		DefaultRoute: v1alpha1.DefaultRoute{BackendRefs: []v1alpha1.BackendRef{{Kind: v1alpha1.BackendAgentQueue, Name: "general"}}},
	}}
}

func ruleTo(name string, backends ...v1alpha1.BackendRef) v1alpha1.RoutingRule {
	return v1alpha1.RoutingRule{Name: name, Steps: []v1alpha1.RoutingStep{
		{Name: "first", BackendRefs: backends}, {Name: "last", BackendRefs: []v1alpha1.BackendRef{{Kind: v1alpha1.BackendAgentQueue, Name: "general"}}},
	}}
}

// aRoutedChannel makes a namespace with a Channel "main" that is served, and a
// queue "general".
func aRoutedChannel(t *testing.T, labels ...string) string {
	t.Helper()
	ns, account := newNamespace(t, labels...), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, telegramSecret(ns, "main", account), ch, agentQueue(ns, "general"))
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	return ns
}

func parentCondition(p *v1alpha1.RoutingPolicy, i int, typ string) string {
	if len(p.Status.Parents) <= i {
		return ""
	}
	c := apimeta.FindStatusCondition(p.Status.Parents[i].Conditions, typ)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

func TestRoutingIsProgrammedOnceEveryPodHasIt(t *testing.T) {
	ns := aRoutedChannel(t)
	pods.set(ns, func(b *behaviour) { b.frozen = true })
	p, menu := routingPolicy(ns, "inbound", "main", ruleTo("all", v1alpha1.BackendRef{Kind: v1alpha1.BackendBot, Name: "menu"})), menuBot(ns, "menu")
	create(t, menu, p)
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonNotLoaded)
	wait(t, menu, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotLoaded)
	require.Equal(t, "False/NotLoaded", parentCondition(p, 0, v1alpha1.ConditionProgrammed))
	require.Equal(t, "True/Accepted", parentCondition(p, 0, v1alpha1.ConditionAccepted))
	require.Equal(t, "True/Resolved", parentCondition(p, 0, v1alpha1.ConditionResolvedRefs))

	pods.set(ns, func(b *behaviour) { b.frozen = false })
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, v1alpha1.ReasonProgrammed)
	wait(t, p, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	wait(t, menu, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.Equal(t, "True/Programmed", parentCondition(p, 0, v1alpha1.ConditionProgrammed))
	require.Equal(t, ns+"/default", p.Status.Parents[0].Store)
	require.EqualValues(t, 1, p.Status.Channels)
	require.NotEmpty(t, p.Status.Hash)
	require.Equal(t, []v1alpha1.RuleStatus{{Name: "all", State: v1alpha1.RuleActive}}, p.Status.Rules)
	ch := telegramChannel(ns, "main", "")
	require.True(t, eventually(t, func() bool {
		return k8s.Get(t.Context(), client.ObjectKeyFromObject(ch), ch) == nil && len(ch.Status.Policies) == 1
	}))
	require.Equal(t, []string{ns + "/inbound"}, ch.Status.Policies)

	// A change is programmed anew: not before the pods have it.
	pods.set(ns, func(b *behaviour) { b.frozen = true })
	update(t, p, func(p *v1alpha1.RoutingPolicy) { p.Spec.Priority = 7 })
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonNotLoaded)
	pods.set(ns, func(b *behaviour) { b.frozen = false })
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
	told(t, ns, v1alpha1.ReasonReady)
}

// Pods that an upgrade has not reached yet confirm a document and route nothing.
func TestPodsOfAVersionBeforeRouting(t *testing.T) {
	ns := aRoutedChannel(t)
	pods.set(ns, func(b *behaviour) { b.beforeRouting = true })
	p := routingPolicy(ns, "inbound", "main")
	create(t, p)
	c := wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonNotLoaded)
	require.True(t, eventually(t, func() bool {
		c = wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonNotLoaded)
		return strings.Contains(c.Message, "it waits until they are upgraded")
	}), c.Message)
	pods.set(ns, func(b *behaviour) { b.beforeRouting = false })
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
}

// What a store's pods refuse is told on the resource that it is about.
func TestRoutingThatPodsRefuse(t *testing.T) {
	ns := aRoutedChannel(t)
	pods.set(ns, func(b *behaviour) {
		b.refuse["RoutingPolicy/"+ns+"/inbound"] = "this version cannot do that"
		b.refuse["AgentQueue/"+ns+"/other"] = "nor that"
	})
	p, q := routingPolicy(ns, "inbound", "main"), agentQueue(ns, "other")
	create(t, p, q)
	c := wait(t, p, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonLoadFailed)
	require.Contains(t, c.Message, "this version cannot do that")
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonLoadFailed)
	wait(t, q, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonLoadFailed)
	st := &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}
	wait(t, st, v1alpha1.ConditionReady, metav1.ConditionTrue, "") // it is not the store's fault
}

// Bad input, line by line: each has a condition, and the rest works.
func TestBadPoliciesAreTold(t *testing.T) {
	ns := aRoutedChannel(t)
	zero := int32(0)
	ring := ruleTo("ring", v1alpha1.BackendRef{Kind: v1alpha1.BackendAgentQueue, Name: "general"})
	ring.Steps[1].Next = "first"
	syntax, costly := ruleTo("cel", v1alpha1.BackendRef{Kind: v1alpha1.BackendAgentQueue, Name: "general"}), ruleTo("cel", v1alpha1.BackendRef{Kind: v1alpha1.BackendAgentQueue, Name: "general"})
	syntax.Matches = []v1alpha1.RoutingMatch{{Expression: "contact.("}}
	costly.Matches = []v1alpha1.RoutingMatch{{Expression: "contact.attributes.all(a, contact.attributes.all(b, contact.attributes.all(c, contact.attributes.all(d, a == b || c == d))))"}}
	for name, tc := range map[string]struct {
		rule      v1alpha1.RoutingRule
		condition string
		status    metav1.ConditionStatus
		reason    string
		says      string
		state     v1alpha1.RuleState
	}{
		"cyclic-steps":     {ring, v1alpha1.ConditionPartiallyInvalid, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec, "lead in a circle: first → last → first", v1alpha1.RuleDropped},
		"weights-all-zero": {ruleTo("zero", v1alpha1.BackendRef{Kind: v1alpha1.BackendAgentQueue, Name: "general", Weight: &zero}), v1alpha1.ConditionPartiallyInvalid, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec, "no weight above 0", v1alpha1.RuleDropped},
		"cel-syntax":       {syntax, v1alpha1.ConditionPartiallyInvalid, metav1.ConditionTrue, v1alpha1.ReasonInvalidExpression, "does not compile: column", v1alpha1.RuleDropped},
		"cel-cost":         {costly, v1alpha1.ConditionPartiallyInvalid, metav1.ConditionTrue, v1alpha1.ReasonInvalidExpression, "can cost", v1alpha1.RuleDropped},
		"missing-backend":  {ruleTo("pilot", v1alpha1.BackendRef{Kind: v1alpha1.BackendAgentQueue, Name: "nowhere"}), v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonBackendNotFound, "100% of rule pilot goes to step last", v1alpha1.RuleActive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := routingPolicy(ns, name, "main", tc.rule)
			p.Spec.Mode = v1alpha1.PolicyShadow // several on one Channel
			create(t, p)
			c := wait(t, p, tc.condition, tc.status, tc.reason)
			require.Contains(t, c.Message, tc.says)
			wait(t, p, v1alpha1.ConditionAccepted, metav1.ConditionTrue, "")
			wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
			require.Equal(t, tc.state, p.Status.Rules[0].State)
			require.Contains(t, p.Status.Rules[0].Message, tc.says)
			if tc.condition == v1alpha1.ConditionPartiallyInvalid {
				wait(t, p, v1alpha1.ConditionStalled, metav1.ConditionTrue, tc.reason)
			}
		})
	}
}

func TestPolicyWithoutAWorkingDefaultRoute(t *testing.T) {
	ns, account := newNamespace(t), newAccount()
	p := routingPolicy(ns, "inbound", "main")
	create(t, telegramSecret(ns, "main", account), telegramChannel(ns, "main", account), p)
	c := wait(t, p, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonBackendNotFound)
	require.Contains(t, c.Message, "the default route must work")
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, "")
	create(t, agentQueue(ns, "general"))
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
}

func TestTwoPoliciesOfOnePriority(t *testing.T) {
	ns := aRoutedChannel(t)
	a, b := routingPolicy(ns, "a", "main"), routingPolicy(ns, "b", "main")
	create(t, a, b)
	for _, p := range []*v1alpha1.RoutingPolicy{a, b} {
		c := wait(t, p, v1alpha1.ConditionConflicted, metav1.ConditionTrue, v1alpha1.ReasonConflicted)
		require.Contains(t, c.Message, ns+"/a is asked first, by name")
		require.Equal(t, "True/Conflicted", parentCondition(p, 0, v1alpha1.ConditionConflicted))
		wait(t, p, v1alpha1.ConditionReady, metav1.ConditionTrue, "") // the order is certain all the same
	}
	told(t, ns, v1alpha1.ReasonConflicted)
	update(t, b, func(p *v1alpha1.RoutingPolicy) { p.Spec.Priority = 1 })
	require.True(t, eventually(t, func() bool {
		return k8s.Get(t.Context(), client.ObjectKeyFromObject(a), a) == nil && apimeta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionConflicted) == nil
	}), "it is present only while true")
	ch := telegramChannel(ns, "main", "")
	require.True(t, eventually(t, func() bool {
		return k8s.Get(t.Context(), client.ObjectKeyFromObject(ch), ch) == nil && len(ch.Status.Policies) == 2 && ch.Status.Policies[0] == ns+"/b"
	}), "higher priority first")
}

func TestShadowedRulesAreTold(t *testing.T) {
	ns := aRoutedChannel(t)
	p := routingPolicy(ns, "inbound", "main", ruleTo("all", v1alpha1.BackendRef{Kind: v1alpha1.BackendAgentQueue, Name: "general"}), ruleTo("never", v1alpha1.BackendRef{Kind: v1alpha1.BackendAgentQueue, Name: "general"}))
	create(t, p)
	wait(t, p, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.Equal(t, v1alpha1.RuleShadowed, p.Status.Rules[1].State)
	require.Equal(t, []string{"all"}, p.Status.Rules[1].ShadowedBy)
}

func TestAQueueOfAnotherStore(t *testing.T) {
	ns := aRoutedChannel(t)
	other := agentQueue(ns, "other")
	other.Spec.StoreRef = &v1alpha1.ObjectReference{Name: "second"}
	p := routingPolicy(ns, "inbound", "main", ruleTo("r", v1alpha1.BackendRef{Kind: v1alpha1.BackendAgentQueue, Name: "other"}))
	create(t, &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "second"}}, other, p)
	c := wait(t, p, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonStoreMismatch)
	require.Contains(t, c.Message, "100% of rule r goes to step last")
	require.Equal(t, "False/StoreMismatch", parentCondition(p, 0, v1alpha1.ConditionResolvedRefs))
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
	wait(t, other, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.Equal(t, ns+"/second", other.Status.Store)
}

// Whether a Channel of another namespace is there shows to those alone whom it lets in.
func TestPoliciesAcrossNamespaces(t *testing.T) {
	ns := aRoutedChannel(t)
	cx := newNamespace(t, "team", "cx")
	q := agentQueue(cx, "general")
	q.Spec.StoreRef = &v1alpha1.ObjectReference{Namespace: ns, Name: "default"}
	p := routingPolicy(cx, "inbound", "")
	p.Spec.Priority = 60
	p.Spec.ParentRefs = []v1alpha1.ObjectReference{{Namespace: ns, Name: "main"}, {Namespace: ns, Name: "missing"}}
	create(t, q, p)
	wait(t, p, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, "")
	require.Equal(t, "False/RefNotPermitted", parentCondition(p, 0, v1alpha1.ConditionAccepted))
	require.Equal(t, "False/RefNotPermitted", parentCondition(p, 1, v1alpha1.ConditionAccepted))
	require.Empty(t, p.Status.Parents[0].Store)

	ch, limit := telegramChannel(ns, "main", ""), int32(50)
	update(t, ch, func(ch *v1alpha1.Channel) {
		ch.Spec.AllowedPolicies = []v1alpha1.AllowedPolicies{{MaxPriority: &limit, Namespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.FromSelector, Selector: &v1alpha1.LabelSelector{MatchLabels: map[string]string{"team": "cx"}}}}}
	})
	update(t, &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}, func(s *v1alpha1.ConversationStore) {
		s.Spec.AllowedBridges = &v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	})
	update(t, p, func(p *v1alpha1.RoutingPolicy) { p.Spec.ParentRefs = p.Spec.ParentRefs[:1] })
	require.True(t, eventually(t, func() bool {
		c := wait(t, p, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonRefNotPermitted)
		return strings.Contains(c.Message, "up to priority 50, and this one has 60")
	}))
	update(t, p, func(p *v1alpha1.RoutingPolicy) { p.Spec.Priority = 50 })
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
	wait(t, p, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	wait(t, q, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// A selector follows the labels of Channels.
func TestPolicyChoosesChannelsByLabel(t *testing.T) {
	ns := aRoutedChannel(t)
	p := routingPolicy(ns, "inbound", "")
	p.Spec.ParentRefs, p.Spec.ChannelSelector = nil, &v1alpha1.LabelSelector{MatchLabels: map[string]string{"routed": "yes"}}
	create(t, p)
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonNotAttached)
	wait(t, p, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	update(t, telegramChannel(ns, "main", ""), func(ch *v1alpha1.Channel) { ch.Labels = map[string]string{"routed": "yes"} })
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
	update(t, telegramChannel(ns, "main", ""), func(ch *v1alpha1.Channel) { ch.Labels = nil })
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonNotAttached)
}

func TestScheduleTellsWhetherItIsOpen(t *testing.T) {
	ns := aRoutedChannel(t)
	unused, closed := businessHours(ns, "unused"), businessHours(ns, "closed")
	closed.Spec.Weekly = nil
	create(t, unused, closed)
	wait(t, unused, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	day := time.Now().UTC().Weekday()
	require.Equal(t, day == time.Monday || day == time.Thursday, *unused.Status.Open)
	require.True(t, unused.Status.NextTransition.After(time.Now()))
	require.Empty(t, unused.Status.Stores)

	c := wait(t, closed, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec)
	require.Contains(t, c.Message, "no open minute")
	wait(t, closed, v1alpha1.ConditionStalled, metav1.ConditionTrue, "")

	q := agentQueue(ns, "timed")
	q.Spec.ScheduleRef = &v1alpha1.LocalReference{Name: "unused"}
	create(t, q)
	wait(t, q, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.True(t, eventually(t, func() bool {
		return k8s.Get(t.Context(), client.ObjectKeyFromObject(unused), unused) == nil && len(unused.Status.Stores) == 1
	}), "the store that uses it is told")
	update(t, q, func(q *v1alpha1.AgentQueue) { q.Spec.ScheduleRef.Name = "closed" })
	c = wait(t, q, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonScheduleNotFound)
	require.Contains(t, c.Message, "is there, but not in force")
}

// What only the store knows: a queue without agents.
func TestAQueueWithoutAgentsIsTold(t *testing.T) {
	ns := aRoutedChannel(t)
	q := agentQueue(ns, "general")
	wait(t, q, v1alpha1.ConditionStaffed, metav1.ConditionTrue, "")
	pods.set(ns, func(b *behaviour) {
		b.troubles = []document.Trouble{{Entry: "AgentQueue/" + ns + "/general", Reason: "NoAgents", Message: "no agent is selected"}}
	})
	wait(t, q, v1alpha1.ConditionStaffed, metav1.ConditionFalse, "NoAgents")
	wait(t, q, v1alpha1.ConditionReady, metav1.ConditionTrue, "") // it is loaded
	told(t, ns, "NoAgents")
	pods.set(ns, func(b *behaviour) { b.troubles = nil })
	wait(t, q, v1alpha1.ConditionStaffed, metav1.ConditionTrue, "")
}

func TestBotsThatAreAskedByWebhook(t *testing.T) {
	ns := aRoutedChannel(t)
	b := &v1alpha1.Bot{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "next"}, Spec: v1alpha1.BotSpec{Webhook: &v1alpha1.WebhookBot{
		WebhookEndpoint: v1alpha1.WebhookEndpoint{URL: "https://bot.example.com/", SecretRef: v1alpha1.SecretReference{Name: "next"}},
	}}}
	create(t, b)
	wait(t, b, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonEgressNotAllowed)
	update(t, &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}, func(s *v1alpha1.ConversationStore) {
		s.Spec.Egress = &v1alpha1.StoreEgress{}
	})
	wait(t, b, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonSecretNotUsable)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "next"}, StringData: map[string]string{"secret": "whsec_VGhpcyBpcyBhIHNhbXBsZSwgbm90IGEgc2VjcmV0ISE="}}
	create(t, secret)
	update(t, secret, func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.CredentialsLabel: "true"} })
	wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	policy := &networkingv1.NetworkPolicy{}
	require.NoError(t, k8s.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "default-store"}, policy))
	require.NotEmpty(t, policy.Spec.Egress, "its pods may call out")
}

// Suspended, a policy stays in force as it was; deleted, it is out of force.
func TestSuspendedAndDeletedPolicies(t *testing.T) {
	ns := aRoutedChannel(t)
	p := routingPolicy(ns, "inbound", "main")
	create(t, p)
	wait(t, p, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, "")
	update(t, p, func(p *v1alpha1.RoutingPolicy) { p.Spec.Suspend, p.Spec.Priority = true, 9 })
	wait(t, p, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSuspended)
	ch := telegramChannel(ns, "main", "")
	require.NoError(t, k8s.Get(t.Context(), client.ObjectKeyFromObject(ch), ch))
	require.Equal(t, []string{ns + "/inbound"}, ch.Status.Policies)
	require.NoError(t, k8s.Delete(t.Context(), p))
	require.True(t, eventually(t, func() bool {
		return k8s.Get(t.Context(), client.ObjectKeyFromObject(ch), ch) == nil && len(ch.Status.Policies) == 0
	}))
}
