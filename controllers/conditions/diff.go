package conditions

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// Transition is a change that is worth an Event.
type Transition struct {
	Condition string // type of the condition that changed
	Type      string // corev1.EventTypeNormal or EventTypeWarning
	Reason    string
	Message   string
}

// quiet are reasons for False that are as the user wants it.
var quiet = map[string]bool{
	v1alpha1.ReasonPolling:     true,
	v1alpha1.ReasonSuspended:   true,
	v1alpha1.ReasonProgressing: true,
	v1alpha1.ReasonDeleting:    true,
}

// told are the conditions with Events of their own. Accepted and ResolvedRefs
// are not among them: Ready repeats their reason once it is sure that they do
// not pass.
var told = []string{
	v1alpha1.ConditionCredentialsValid,
	v1alpha1.ConditionWebhookRegistered,
	v1alpha1.ConditionProfileSynced,
	v1alpha1.ConditionDelivering,
	v1alpha1.ConditionStoreReachable,
	v1alpha1.ConditionDatabaseReachable,
	v1alpha1.ConditionStorageLow,
	v1alpha1.ConditionUpgradePending,
	v1alpha1.ConditionConflicted,
	v1alpha1.ConditionLooping,
	v1alpha1.ConditionStaffed,
	v1alpha1.ConditionSampleRatioOK,
	v1alpha1.ConditionThrottled,
}

// Diff lists the transitions between two statuses that deserve an Event: what
// became Ready, what broke, what works again, and when a SurveyCampaign begins
// and ends to ask. A reason is told once.
func Diff(before, after []metav1.Condition) []Transition {
	var out []Transition
	reasons := map[string]bool{}
	add := func(t *Transition) {
		if t == nil || t.Type == corev1.EventTypeWarning && reasons[t.Reason] {
			return
		}
		reasons[t.Reason] = true
		out = append(out, *t)
	}
	add(readyTransition(before, after))
	for _, typ := range told {
		add(transition(meta.FindStatusCondition(before, typ), meta.FindStatusCondition(after, typ)))
	}
	add(samplingTransition(meta.FindStatusCondition(before, v1alpha1.ConditionSampling), meta.FindStatusCondition(after, v1alpha1.ConditionSampling)))
	return out
}

// samplingTransition: a campaign begins to ask, or no longer does. That it cannot
// is told by Ready.
func samplingTransition(old, cur *metav1.Condition) *Transition {
	if cur == nil {
		return nil
	}
	began := cur.Status == metav1.ConditionTrue && (old == nil || old.Status != metav1.ConditionTrue)
	ended := old != nil && old.Status == metav1.ConditionTrue && cur.Status == metav1.ConditionFalse
	if !began && !ended {
		return nil
	}
	return &Transition{Condition: cur.Type, Type: corev1.EventTypeNormal, Reason: cur.Reason, Message: cur.Message}
}

// readyTransition: Ready is trouble when it is stalled, not while it is on the way.
func readyTransition(before, after []metav1.Condition) *Transition {
	ready := meta.FindStatusCondition(after, v1alpha1.ConditionReady)
	if ready == nil {
		return nil
	}
	t := &Transition{Condition: ready.Type, Reason: ready.Reason, Message: ready.Message}
	stalled := meta.IsStatusConditionTrue(after, v1alpha1.ConditionStalled)
	switch {
	case stalled && reasonOf(before, v1alpha1.ConditionStalled) != ready.Reason:
		t.Type = corev1.EventTypeWarning
	case ready.Status == metav1.ConditionTrue && !meta.IsStatusConditionTrue(before, v1alpha1.ConditionReady):
		t.Type = corev1.EventTypeNormal
	default:
		return nil
	}
	return t
}

func transition(old, cur *metav1.Condition) *Transition {
	if cur == nil {
		return nil
	}
	t := &Transition{Condition: cur.Type, Type: corev1.EventTypeWarning, Reason: cur.Reason, Message: cur.Message}
	wasBad := old != nil && bad(old)
	switch {
	case bad(cur) && (!wasBad || old.Reason != cur.Reason):
		return t
	case cur.Status == metav1.ConditionTrue && wasBad && !bad(cur):
		t.Type = corev1.EventTypeNormal
		return t
	default:
		return nil
	}
}

// bad says whether a condition tells of trouble. StorageLow, Conflicted, Looping
// and Throttled are trouble when true, UpgradePending when an upgrade failed; the others when false for a reason that nobody asked for.
func bad(c *metav1.Condition) bool {
	switch c.Type {
	case v1alpha1.ConditionStorageLow, v1alpha1.ConditionConflicted, v1alpha1.ConditionLooping, v1alpha1.ConditionThrottled:
		return c.Status == metav1.ConditionTrue
	case v1alpha1.ConditionUpgradePending: // of those that wait, the one that they wait for tells
		return c.Reason == v1alpha1.ReasonRolloutFailed
	}
	return c.Status == metav1.ConditionFalse && !quiet[c.Reason]
}
