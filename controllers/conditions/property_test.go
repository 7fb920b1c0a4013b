package conditions

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// TestAnyHistoryKeepsTheRules lets anything happen to a Channel in any order.
func TestAnyHistoryKeepsTheRules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newScene(t)
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			happen(rt, s)
			before := s.channel.Status.Conditions
			got, _ := Channel(s.input())
			s.channel.Status = got
			require.Empty(rt, Check(s.channel))
			ready := meta.IsStatusConditionTrue(got.Conditions, v1alpha1.ConditionReady)
			require.Equal(rt, ready, kstatusOf(rt, s.channel) == status.CurrentStatus)
			if latchBroken(before, got.Conditions, s) {
				rt.Fatalf("Ready was lost without a reason to: %+v", got.Conditions)
			}
			again, _ := Channel(s.input())
			require.Equal(rt, got, again)
			require.Empty(rt, Diff(got.Conditions, again.Conditions))
		}
	})
}

// latchBroken: Ready was lost for the same generation, and not by one of the
// ways that may do so.
func latchBroken(before, after []metav1.Condition, s *scene) bool {
	was := meta.FindStatusCondition(before, v1alpha1.ConditionReady)
	if was == nil || was.Status != metav1.ConditionTrue || was.ObservedGeneration != s.channel.Generation {
		return false
	}
	is := meta.FindStatusCondition(after, v1alpha1.ConditionReady)
	return is.Status != metav1.ConditionTrue && !meta.IsStatusConditionTrue(after, v1alpha1.ConditionStalled)
}

func happen(rt *rapid.T, s *scene) {
	s.now = s.now.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "seconds")) * time.Second)
	states := rapid.SampledFrom([]document.DutyState{document.DutyPending, document.DutyDone, document.DutyRetrying, document.DutyFailed})
	someDuty := func(label string) *document.Duty {
		if rapid.Bool().Draw(rt, label+" absent") {
			return nil
		}
		reason := rapid.SampledFrom([]string{v1alpha1.ReasonUnreachable, v1alpha1.ReasonAuthInvalid, v1alpha1.ReasonTakenOver, ""}).Draw(rt, label+" reason")
		return duty(states.Draw(rt, label), reason)
	}
	switch rapid.IntRange(0, 8).Draw(rt, "event") {
	case 0:
		s.channel.Generation++
		s.compile(rapid.StringN(1, 1, 1).Draw(rt, "content"))
	case 1:
		s.compile("a", missingSecret())
	case 2:
		s.broken(rapid.SampledFrom([]compile.Finding{
			missingSecret(),
			{Condition: v1alpha1.ConditionAccepted, Reason: v1alpha1.ReasonAccountClaimed, Message: "claimed", Terminal: true, Grace: compile.Grace},
			{Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonBridgeNotReady, Message: "no store"},
		}).Draw(rt, "finding"))
	case 3:
		s.pods = nil
	case 4, 5:
		s.load(rapid.IntRange(1, 3).Draw(rt, "pods"))
	case 6:
		s.channel.Spec.Suspend = !s.channel.Spec.Suspend
	case 7:
		if s.result.Entry != nil && len(s.pods) > 0 {
			s.refuse(rapid.IntRange(0, len(s.pods)-1).Draw(rt, "refusing"))
		}
	case 8:
		s.compile(rapid.StringN(1, 1, 1).Draw(rt, "content"))
	}
	if s.result.Entry != nil && len(s.pods) > 0 && rapid.Bool().Draw(rt, "held") {
		s.row(func(r *document.ChannelStatus) {
			r.Credentials, r.Webhook = someDuty("credentials"), someDuty("webhook")
			r.Receiving, r.Delivering, r.Profile = someDuty("receiving"), someDuty("delivering"), someDuty("profile")
		})
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	condition := func(typ string, s metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: typ, Status: s, Reason: reason, Message: "m", ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(start)}
	}
	tests := map[string][]metav1.Condition{
		"Ready is missing":                        nil,
		"Ready is Unknown":                        {condition("Ready", "Unknown", "X")},
		"Reconciling and Stalled are both there":  {condition("Ready", "False", "X"), condition("Reconciling", "True", "X"), condition("Stalled", "True", "X")},
		"Ready is True beside Reconciling":        {condition("Ready", "True", "X"), condition("Reconciling", "True", "X")},
		"Ready is False, and neither Reconciling": {condition("Ready", "False", "X")},
		"present only while true":                 {condition("Ready", "True", "X"), condition("Stalled", "False", "X")},
		"Ready says X, Stalled says Y":            {condition("Ready", "False", "X"), condition("Stalled", "True", "Y")},
		"is there twice":                          {condition("Ready", "True", "X"), condition("Ready", "True", "X")},
		"is not valid":                            {condition("Ready", "True", "not valid")},
		"which is to come":                        {condition("Ready", "True", "X"), {Type: "Accepted", Status: "True", Reason: "X", Message: "m", ObservedGeneration: 2, LastTransitionTime: metav1.NewTime(start)}},
	}
	for want, conditions := range tests {
		ch := &v1alpha1.Channel{ObjectMeta: metav1.ObjectMeta{Generation: 1}}
		ch.Status = v1alpha1.ChannelStatus{ObservedGeneration: 1, Conditions: conditions}
		require.Condition(t, func() bool {
			for _, w := range Check(ch) {
				if strings.Contains(w, want) {
					return true
				}
			}
			return false
		}, "%s: %v", want, Check(ch))
	}
}
