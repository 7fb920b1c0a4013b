package conditions

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// Troubles are the conditions that tell of something that is not as it should
// be, for metrics: Ready that is not True, for whatever reason but that nobody
// wants it so, and of the others those that Events warn of. A change on its way
// is among them, since one that never arrives looks the same: how long it lasts
// makes the difference.
func Troubles(conditions []metav1.Condition) []metav1.Condition {
	var out []metav1.Condition
	if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); c != nil &&
		c.Status != metav1.ConditionTrue && c.Reason != v1alpha1.ReasonSuspended {
		out = append(out, *c)
	}
	for _, typ := range told {
		if c := meta.FindStatusCondition(conditions, typ); c != nil && bad(c) {
			out = append(out, *c)
		}
	}
	return out
}
