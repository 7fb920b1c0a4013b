package conditions

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// verdict is what Ready comes to.
type verdict struct {
	ready   bool
	reason  string
	message string
	// stalled: nothing more happens until somebody changes something.
	stalled bool
}

func waiting(reason, message string) *verdict { return &verdict{reason: reason, message: message} }

func stalled(reason, message string) *verdict {
	return &verdict{reason: reason, message: message, stalled: true}
}

// latched says whether Ready was True for this generation.
func (s *set) latched() bool {
	old := s.was(v1alpha1.ConditionReady)
	return old != nil && old.Status == metav1.ConditionTrue && old.ObservedGeneration == s.generation
}

// conclude puts Ready, Reconciling and Stalled. The first stalled verdict
// counts, else the first one that waits, which does not break the latch.
func (s *set) conclude(done string, verdicts ...*verdict) {
	v := &verdict{ready: true, reason: v1alpha1.ReasonReady, message: done}
	for _, candidate := range verdicts {
		switch {
		case candidate == nil:
		case candidate.stalled && !v.stalled:
			v = candidate
		case v.ready && !s.latched():
			v = candidate
		}
	}
	switch {
	case v.ready:
		s.put(v1alpha1.ConditionReady, metav1.ConditionTrue, v.reason, v.message)
	case v.stalled:
		s.put(v1alpha1.ConditionReady, metav1.ConditionFalse, v.reason, v.message)
		s.put(v1alpha1.ConditionStalled, metav1.ConditionTrue, v.reason, v.message)
	default:
		s.put(v1alpha1.ConditionReady, metav1.ConditionFalse, v.reason, v.message)
		s.put(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v.reason, v.message)
	}
}

// blocking is the verdict about findings: stalled by the first whose grace is
// over, else waiting for the first. Their conditions must have been put
// before: since when they are false says how much of the grace is left.
func (s *set) blocking(findings []compile.Finding) *verdict {
	var first *verdict
	for _, f := range findings {
		if !f.Blocking() {
			continue
		}
		left := s.graceLeft(f)
		if f.Terminal && left <= 0 {
			return stalled(f.Reason, f.Message)
		}
		if f.Terminal {
			s.lookAgain(left)
		}
		if first == nil {
			first = waiting(f.Reason, f.Message)
		}
	}
	return first
}

func (s *set) graceLeft(f compile.Finding) time.Duration {
	if f.Grace == 0 || f.Condition == v1alpha1.ConditionReady {
		return 0
	}
	return f.Grace - s.age(f.Condition)
}

// suspended freezes conditions while reconciling is paused: what was known
// stays, and Ready says why nothing moves.
func (s *set) suspended(message string) {
	for _, typ := range order {
		s.keep(typ)
	}
	delete(s.after, v1alpha1.ConditionReconciling)
	delete(s.after, v1alpha1.ConditionStalled)
	status := metav1.ConditionFalse
	if s.wasStatus(v1alpha1.ConditionReady) == metav1.ConditionTrue {
		status = metav1.ConditionTrue
	}
	s.put(v1alpha1.ConditionReady, status, v1alpha1.ReasonSuspended, message)
}

// deleting says what the deletion waits for.
func (s *set) deleting(reason, message string) {
	for _, typ := range order {
		s.keep(typ)
	}
	delete(s.after, v1alpha1.ConditionStalled)
	s.put(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	s.put(v1alpha1.ConditionReconciling, metav1.ConditionTrue, reason, message)
}
