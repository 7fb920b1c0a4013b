package conditions

import (
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

func TestTroublesAreWhatNobodyWants(t *testing.T) {
	condition := func(typ string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: typ, Status: status, Reason: reason}
	}
	const no, yes = metav1.ConditionFalse, metav1.ConditionTrue
	for name, tc := range map[string]struct {
		conditions []metav1.Condition
		want       []string
	}{
		"nothing said yet": {nil, nil},
		"all is well": {[]metav1.Condition{
			condition(v1alpha1.ConditionReady, yes, v1alpha1.ReasonReady), condition(v1alpha1.ConditionDelivering, yes, v1alpha1.ReasonDone),
		}, nil},
		"as the user wants it": {[]metav1.Condition{
			condition(v1alpha1.ConditionReady, no, v1alpha1.ReasonSuspended), condition(v1alpha1.ConditionWebhookRegistered, no, v1alpha1.ReasonPolling),
			condition(v1alpha1.ConditionDelivering, no, v1alpha1.ReasonSuspended),
		}, nil},
		"on its way, or stuck there": {[]metav1.Condition{
			condition(v1alpha1.ConditionReady, no, v1alpha1.ReasonNotLoaded), condition(v1alpha1.ConditionReconciling, yes, v1alpha1.ReasonNotLoaded),
		}, []string{"Ready/NotLoaded"}},
		"deletion that does not end": {[]metav1.Condition{condition(v1alpha1.ConditionReady, no, v1alpha1.ReasonDeleting)}, []string{"Ready/Deleting"}},
		"the platform's word beside Ready": {[]metav1.Condition{
			condition(v1alpha1.ConditionReady, yes, v1alpha1.ReasonReady), condition(v1alpha1.ConditionCredentialsValid, no, v1alpha1.ReasonAuthInvalid),
			condition(v1alpha1.ConditionDelivering, no, v1alpha1.ReasonAuthInvalid), condition(v1alpha1.ConditionProfileSynced, metav1.ConditionUnknown, v1alpha1.ReasonNotAttempted),
		}, []string{"CredentialsValid/AuthInvalid", "Delivering/AuthInvalid"}},
		"those that are bad when true": {[]metav1.Condition{
			condition(v1alpha1.ConditionStorageLow, yes, v1alpha1.ConditionStorageLow), condition(v1alpha1.ConditionUpgradePending, yes, v1alpha1.ReasonRolloutFailed),
		}, []string{"StorageLow/StorageLow", "UpgradePending/RolloutFailed"}},
		"an upgrade that waits for its turn": {[]metav1.Condition{condition(v1alpha1.ConditionUpgradePending, yes, v1alpha1.ReasonWaitingForTurn)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range Troubles(tc.conditions) {
				got = append(got, c.Type+"/"+c.Reason)
			}
			assert.Equal(t, tc.want, got)
		})
	}
}
