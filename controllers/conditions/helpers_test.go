package conditions

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

var (
	start   = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	shopBot = compile.Key{Namespace: "shop", Name: "bot"}
	edge    = compile.Key{Namespace: "shop", Name: "edge"}
)

// scene is one Channel with what surrounds it, step by step.
type scene struct {
	t       *testing.T
	now     time.Time
	channel *v1alpha1.Channel
	result  *compile.ChannelResult
	doc     *document.Document
	pods    []fleet.Pod
	// storeStatus is what the store's pod says; it has loaded its document unless storeLags.
	storeStatus document.Status
	storeLags   bool
	trouble     string
	recheck     time.Duration
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, now: start, channel: &v1alpha1.Channel{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Channel"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "bot", Generation: 1},
		Spec:       v1alpha1.ChannelSpec{Platform: v1alpha1.PlatformTelegram, Telegram: &v1alpha1.TelegramChannel{BotID: "42"}},
	}}
	s.compile("a")
	return s
}

// compile makes the entry and the written document anew.
func (s *scene) compile(content string, findings ...compile.Finding) {
	e, err := document.NewEntry(document.EntryChannel, shopBot.String(), s.channel.Generation, content)
	require.NoError(s.t, err)
	s.result = &compile.ChannelResult{
		Findings: findings, Bridge: edge, Store: edge, Entry: &e, Account: "42",
		Receive: v1alpha1.ReceiveWebhook, WebhookURL: "https://hooks.example.com/webhooks/shop/bot",
	}
	s.doc = &document.Document{Kind: document.KindBridge, Name: edge.String(), Generation: 1, Entries: []document.Entry{e}}
	_, err = document.Encode(s.doc, 1)
	require.NoError(s.t, err)
}

// broken is a result without an entry.
func (s *scene) broken(f compile.Finding) {
	s.result = &compile.ChannelResult{Findings: []compile.Finding{f}, Account: "42", Receive: v1alpha1.ReceivePolling}
}

// load lets n pods run the document.
func (s *scene) load(n int) {
	s.pods = nil
	for range n {
		s.pods = append(s.pods, fleet.Pod{Name: "pod", Status: document.Status{Instance: "1", Hash: s.doc.Hash, Shards: s.doc.Shards, Generation: s.doc.Generation, Store: document.Health{OK: true}}})
	}
}

// row lets the first pod hold the channel.
func (s *scene) row(change func(*document.ChannelStatus)) {
	row := document.ChannelStatus{Entry: s.result.Entry.Key(), Hash: s.result.Entry.Hash, Held: true}
	if change != nil {
		change(&row)
	}
	s.pods[0].Rows = map[string]document.ChannelStatus{row.Entry: row}
}

func duty(state document.DutyState, reason string) *document.Duty {
	return &document.Duty{State: state, Reason: reason, Message: "in the platform's words"}
}

func probed(state document.DutyState, reason string) func(*document.ChannelStatus) {
	return func(r *document.ChannelStatus) { r.Credentials = duty(state, reason) }
}

// step makes the status, takes it over, and checks it against our rules and kstatus.
func (s *scene) step(want status.Status, ready string) {
	s.t.Helper()
	before := s.channel.Status.Conditions
	got, recheck := Channel(s.input())
	s.channel.Status, s.recheck = got, recheck
	require.Empty(s.t, Check(s.channel))
	require.Equal(s.t, want, kstatusOf(s.t, s.channel))
	require.Equal(s.t, ready, s.condition(v1alpha1.ConditionReady))
	for _, c := range got.Conditions {
		if old := meta.FindStatusCondition(before, c.Type); old != nil && old.Status == c.Status {
			require.Equal(s.t, old.LastTransitionTime, c.LastTransitionTime, "%s: the time changes with the status only", c.Type)
		}
	}
	again, _ := Channel(s.input())
	require.True(s.t, equal(got.Conditions, again.Conditions), "nothing happened, and the status is another")
	require.Equal(s.t, got, again)
}

func (s *scene) input() ChannelInput {
	return ChannelInput{
		Channel: s.channel, Result: s.result, Document: s.doc, Fleet: fleet.New(s.pods), BridgeTrouble: s.trouble, Now: s.now,
		StoreDocument: s.doc, StoreFleet: fleet.New([]fleet.Pod{{Name: "store-0", Status: s.store()}}),
	}
}

// store is what the store's pod says. Its document is another one with an
// entry of the same key; which does not matter to a Channel's status.
func (s *scene) store() document.Status {
	status := s.storeStatus
	if !s.storeLags && s.doc != nil {
		status.Hash, status.Shards, status.Generation = s.doc.Hash, s.doc.Shards, s.doc.Generation
	}
	return status
}

func (s *scene) condition(typ string) string {
	return conditionOf(s.channel.Status.Conditions, typ)
}

func conditionOf(conditions []metav1.Condition, typ string) string {
	c := meta.FindStatusCondition(conditions, typ)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

func kstatusOf(t require.TestingT, obj runtime.Object) status.Status {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	require.NoError(t, err)
	result, err := status.Compute(&unstructured.Unstructured{Object: content})
	require.NoError(t, err)
	return result.Status
}

func missingSecret() compile.Finding {
	return compile.Finding{
		Condition: v1alpha1.ConditionResolvedRefs, Reason: v1alpha1.ReasonSecretNotUsable, Message: "there is no Secret",
		Terminal: true, Grace: compile.Grace,
	}
}

func eventsOf(before, after []metav1.Condition) []string {
	var out []string
	for _, t := range Diff(before, after) {
		out = append(out, map[string]string{corev1.EventTypeNormal: "+", corev1.EventTypeWarning: "-"}[t.Type]+t.Condition+"/"+t.Reason)
	}
	return out
}

// equal says whether two statuses' conditions are the same, time included.
func equal(a, b []metav1.Condition) bool {
	return slices.EqualFunc(a, b, func(x, y metav1.Condition) bool {
		return x.Type == y.Type && x.Status == y.Status && x.Reason == y.Reason && x.Message == y.Message &&
			x.ObservedGeneration == y.ObservedGeneration && x.LastTransitionTime.Equal(&y.LastTransitionTime)
	})
}
