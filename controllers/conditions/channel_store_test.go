package conditions

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// A message of a Channel that its store does not know would be answered with
// 503: the Channel is not Ready before.
func TestAChannelIsReadyWhenItsStoreHasItToo(t *testing.T) {
	s := newScene(t)
	s.storeLags = true
	s.load(1)
	s.row(func(r *document.ChannelStatus) { r.Credentials = &document.Duty{State: document.DutyDone} })
	s.step("InProgress", "False/StoreNotReady")
	s.storeLags = false
	s.step("Current", "True/Ready")
	require.Equal(t, "True/Done", s.condition(v1alpha1.ConditionStoreReachable))
	s.storeLags = true // it restarts: Ready is latched
	s.step("Current", "True/Ready")
}

func TestAStoreThatRefusesAChannelIsToldOnTheChannel(t *testing.T) {
	s := newScene(t)
	s.load(1)
	s.row(func(r *document.ChannelStatus) { r.Credentials = &document.Duty{State: document.DutyDone} })
	s.storeStatus.Exceptions = []document.Exception{{Entry: s.result.Entry.Key(), Message: "no such platform"}}
	s.step("Failed", "False/LoadFailed")
}
