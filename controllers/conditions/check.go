package conditions

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// Object is a resource of ours.
type Object interface {
	metav1.Object
	GetConditions() *[]metav1.Condition
}

// Check lists what is wrong with an object's conditions by the rules of this
// package. It is for tests: a reconciler that ends with an object for which it
// is not empty has a bug.
func Check(obj Object) []string {
	c := checker{obj: obj, conditions: *obj.GetConditions()}
	c.shape()
	c.generations()
	c.kstatus()
	return c.wrong
}

type checker struct {
	obj        Object
	conditions []metav1.Condition
	wrong      []string
}

func (c *checker) add(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

func (c *checker) shape() {
	seen := map[string]bool{}
	for _, cond := range c.conditions {
		if seen[cond.Type] {
			c.add("%s is there twice", cond.Type)
		}
		seen[cond.Type] = true
		if !validReason.MatchString(cond.Reason) {
			c.add("%s: reason %q is not valid", cond.Type, cond.Reason)
		}
		if cond.LastTransitionTime.IsZero() {
			c.add("%s has no lastTransitionTime", cond.Type)
		}
		if len(cond.Message) > MaxMessage {
			c.add("%s: message has %d bytes, more than %d", cond.Type, len(cond.Message), MaxMessage)
		}
		if cond.Message == "" {
			c.add("%s has no message", cond.Type)
		}
	}
}

// generations: the object's status and what follows from the spec alone speak
// of its generation; what the platform said may be older.
func (c *checker) generations() {
	generation := c.obj.GetGeneration()
	if observed := ObservedGeneration(c.obj); observed != generation {
		c.add("status.observedGeneration is %d, generation %d", observed, generation)
	}
	paused := reasonOf(c.conditions, v1alpha1.ConditionReady) == v1alpha1.ReasonSuspended || c.obj.GetDeletionTimestamp() != nil
	for _, cond := range c.conditions {
		if cond.ObservedGeneration > generation {
			c.add("%s speaks of generation %d, which is to come", cond.Type, cond.ObservedGeneration)
		}
		switch cond.Type {
		case v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled:
			if cond.ObservedGeneration != generation {
				c.add("%s speaks of generation %d, not %d", cond.Type, cond.ObservedGeneration, generation)
			}
		case v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs:
			if cond.ObservedGeneration != generation && !paused {
				c.add("%s speaks of generation %d, not %d", cond.Type, cond.ObservedGeneration, generation)
			}
		}
	}
}

func (c *checker) kstatus() {
	ready := meta.FindStatusCondition(c.conditions, v1alpha1.ConditionReady)
	if ready == nil {
		c.add("Ready is missing")
		return
	}
	var present []*metav1.Condition
	for _, typ := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionStorageLow, v1alpha1.ConditionUpgradePending, v1alpha1.ConditionPartiallyInvalid, v1alpha1.ConditionConflicted, v1alpha1.ConditionLooping, v1alpha1.ConditionThrottled} {
		cond := meta.FindStatusCondition(c.conditions, typ)
		if cond == nil {
			continue
		}
		if cond.Status != metav1.ConditionTrue {
			c.add("%s is there with status %s; it is present only while true", typ, cond.Status)
		}
		if typ == v1alpha1.ConditionReconciling || typ == v1alpha1.ConditionStalled {
			present = append(present, cond)
		}
	}
	switch {
	case ready.Status == metav1.ConditionUnknown:
		c.add("Ready is Unknown")
	case len(present) > 1:
		c.add("Reconciling and Stalled are both there")
	case ready.Status == metav1.ConditionTrue && len(present) > 0:
		c.add("Ready is True beside %s", present[0].Type)
	case ready.Status == metav1.ConditionFalse && len(present) == 0 && ready.Reason != v1alpha1.ReasonSuspended:
		c.add("Ready is False, and neither Reconciling nor Stalled says how it goes on")
	case len(present) == 1 && present[0].Reason != ready.Reason:
		c.add("Ready says %s, %s says %s", ready.Reason, present[0].Type, present[0].Reason)
	}
}

func reasonOf(conditions []metav1.Condition, typ string) string {
	if c := meta.FindStatusCondition(conditions, typ); c != nil {
		return c.Reason
	}
	return ""
}

// ObservedGeneration is what the status of a resource says it is about; -1 of an
// object that is none of ours.
func ObservedGeneration(obj Object) int64 {
	switch o := obj.(type) {
	case *v1alpha1.Channel:
		return o.Status.ObservedGeneration
	case *v1alpha1.Bridge:
		return o.Status.ObservedGeneration
	case *v1alpha1.ConversationStore:
		return o.Status.ObservedGeneration
	case *v1alpha1.Schedule:
		return o.Status.ObservedGeneration
	case *v1alpha1.AgentQueue:
		return o.Status.ObservedGeneration
	case *v1alpha1.Bot:
		return o.Status.ObservedGeneration
	case *v1alpha1.RoutingPolicy:
		return o.Status.ObservedGeneration
	case *v1alpha1.SurveyCampaign:
		return o.Status.ObservedGeneration
	default:
		return -1
	}
}
