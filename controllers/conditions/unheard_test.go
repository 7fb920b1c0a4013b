package conditions

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

// unheard are pods that serve and have not answered yet: after the operator was
// started again, or beside those that a rollout brings.
func unheard(n int) (pods []fleet.Pod) {
	for range n {
		pods = append(pods, fleet.Pod{Name: "pod"})
	}
	return pods
}

// With ten thousand Channels, a status that changes when the operator starts
// would be ten thousand writes, Events, and a false alarm.
func TestAnOperatorThatStartsTellsNothingNew(t *testing.T) {
	states := map[string]func(*scene){
		"all is well":                     func(*scene) {},
		"the credentials are refused":     func(s *scene) { s.row(probed(document.DutyFailed, v1alpha1.ReasonAuthInvalid)) },
		"a pod does not reach the store":  func(s *scene) { s.pods[1].Status.Store.OK = false },
		"a replica cannot send":           func(s *scene) { s.cannotSend(1) },
		"messages are fetched":            func(s *scene) { s.result.Receive = v1alpha1.ReceivePolling },
		"the former webhook went already": func(s *scene) { s.fetchedAfterWebhook() },
	}
	for name, happen := range states {
		t.Run(name, func(t *testing.T) {
			s := readyScene(t)
			happen(s)
			s.channel.Status, _ = Channel(s.input())
			before := s.channel.Status.DeepCopy()
			for _, pods := range [][]fleet.Pod{nil, unheard(2), {s.pods[0], unheard(1)[0]}} {
				s.pods = pods
				got, _ := Channel(s.input())
				require.Equal(t, before.Conditions, got.Conditions)
			}
		})
	}
}

// cannotSend lets a pod tell that it cannot send on the channel.
func (s *scene) cannotSend(pod int) {
	key := s.result.Entry.Key()
	s.pods[pod].Rows = map[string]document.ChannelStatus{key: {Entry: key, Hash: s.result.Entry.Hash, Delivering: duty(document.DutyRetrying, v1alpha1.ReasonUnreachable)}}
}

// fetchedAfterWebhook: the channel had a webhook, and has fetched messages since.
func (s *scene) fetchedAfterWebhook() {
	s.result.Receive, s.result.FormerWebhookURL = v1alpha1.ReceivePolling, "https://hooks.example.com/former"
	s.row(func(r *document.ChannelStatus) {
		r.Credentials, r.Receiving = duty(document.DutyDone, ""), duty(document.DutyDone, "")
	})
}

func TestAnOperatorThatStartsTellsNothingNewOfWorkloads(t *testing.T) {
	low := func(s *document.Status) {
		s.Store.Warnings = []document.Warning{{Reason: v1alpha1.ConditionStorageLow, Message: "5 % left"}}
	}
	away := func(s *document.Status) { s.Store = document.Health{Message: "connection refused"} }
	for name, change := range map[string]func(*document.Status){"all is well": nil, "the volume is nearly full": low, "the database is away": away} {
		t.Run(name, func(t *testing.T) {
			in := sqliteScene(t)
			in.Fleet = fleet.New([]fleet.Pod{pod(1, change)})
			in.Store.Status, _ = Store(in)
			before := in.Store.Status.DeepCopy()
			in.Fleet = fleet.New(unheard(1))
			got, _ := Store(in)
			require.Equal(t, *before, got)
		})
	}
	in := bridgeScene(t)
	before := in.Bridge.Status.DeepCopy()
	in.Fleet = fleet.New(unheard(1))
	got, _ := Bridge(in)
	require.Equal(t, *before, got)
}
