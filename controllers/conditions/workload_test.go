package conditions

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
	"github.com/bridgekeeper/bridgekeeper/controllers/upgrade"
)

func pod(generation int64, change func(*document.Status)) fleet.Pod {
	p := fleet.Pod{Name: "edge-1", Status: document.Status{Instance: "1", Hash: "h", Generation: generation, Store: document.Health{OK: true}}}
	if change != nil {
		change(&p.Status)
	}
	return p
}

var serving = Workload{Desired: 1, Replicas: 1, Ready: 1, Updated: 1, Observed: true}

// bridgeScene is a Bridge that is Ready, and the input that keeps it so.
func bridgeScene(t *testing.T) BridgeInput {
	in := BridgeInput{
		Bridge: &v1alpha1.Bridge{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Bridge"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "edge", Generation: 1},
		},
		Result:   &compile.BridgeResult{Store: edge, Channels: 3},
		Document: &document.Document{Generation: 1},
		Fleet:    fleet.New([]fleet.Pod{pod(1, nil)}),
		Workload: serving, Now: start,
	}
	in = bridgeStep(t, in, status.CurrentStatus, "True/Ready")
	require.Equal(t, int32(3), in.Bridge.Status.Channels)
	require.Equal(t, "True/Done", conditionOf(in.Bridge.Status.Conditions, v1alpha1.ConditionStoreReachable))
	return in
}

func bridgeStep(t *testing.T, in BridgeInput, want status.Status, ready string) BridgeInput {
	t.Helper()
	in.Bridge = in.Bridge.DeepCopy()
	in.Bridge.Status, _ = Bridge(in)
	require.Empty(t, Check(in.Bridge))
	require.Equal(t, ready, conditionOf(in.Bridge.Status.Conditions, v1alpha1.ConditionReady))
	require.Equal(t, want, kstatusOf(t, in.Bridge))
	again, _ := Bridge(in)
	require.Equal(t, in.Bridge.Status, again)
	return in
}

func TestBridgeComesUp(t *testing.T) {
	in := bridgeScene(t)
	in.Bridge.Status = v1alpha1.BridgeStatus{}
	steps := []struct {
		change func(*BridgeInput)
		want   status.Status
		ready  string
	}{
		{func(in *BridgeInput) { in.Document, in.Fleet, in.Workload = nil, nil, Workload{Desired: 1} }, status.InProgressStatus, "False/Progressing"},
		{func(in *BridgeInput) { in.Document = &document.Document{Generation: 1} }, status.InProgressStatus, "False/Progressing"},
		{func(in *BridgeInput) { in.Workload.Failed = "cannot pull the image" }, status.FailedStatus, "False/RolloutFailed"},
		{func(in *BridgeInput) { in.Workload = serving }, status.InProgressStatus, "False/NotLoaded"},
		{func(in *BridgeInput) {
			in.Fleet = fleet.New([]fleet.Pod{pod(0, func(s *document.Status) { s.Hash, s.DocumentError = "", "schemaVersion 9" })})
		}, status.InProgressStatus, "False/NotLoaded"},
		{func(in *BridgeInput) { in.Fleet = fleet.New([]fleet.Pod{pod(1, nil)}) }, status.CurrentStatus, "True/Ready"},
	}
	for _, s := range steps {
		s.change(&in)
		in = bridgeStep(t, in, s.want, s.ready)
	}
}

func TestBridgeLatch(t *testing.T) {
	holds := map[string]func(*BridgeInput){
		"a lost node":          func(in *BridgeInput) { in.Workload.Ready, in.Fleet = 0, nil },
		"a rollout":            func(in *BridgeInput) { in.Workload.Updated = 0 },
		"a rollout that hangs": func(in *BridgeInput) { in.Workload.Failed = "no node has room" },
		"a new pod": func(in *BridgeInput) {
			in.Fleet = fleet.New([]fleet.Pod{pod(1, nil), pod(0, func(s *document.Status) { s.Hash = "" })})
		},
		"the store": func(in *BridgeInput) {
			in.Fleet = fleet.New([]fleet.Pod{pod(1, func(s *document.Status) { s.Store.OK = false })})
		},
	}
	for name, happen := range holds {
		t.Run(name, func(t *testing.T) {
			in := bridgeScene(t)
			happen(&in)
			bridgeStep(t, in, status.CurrentStatus, "True/Ready")
		})
	}
	t.Run("not for a new generation", func(t *testing.T) {
		in := bridgeScene(t)
		in.Bridge.Generation = 2
		in = bridgeStep(t, in, status.InProgressStatus, "False/Progressing")
		in.Document = &document.Document{Generation: 2}
		in = bridgeStep(t, in, status.InProgressStatus, "False/NotLoaded")
		in.Fleet = fleet.New([]fleet.Pod{pod(2, nil)})
		bridgeStep(t, in, status.CurrentStatus, "True/Ready")
	})
	t.Run("not against a stranger's object", func(t *testing.T) {
		in := bridgeScene(t)
		in.Trouble = &compile.Finding{Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonConflict, Message: "delete or rename it", Terminal: true}
		bridgeStep(t, in, status.FailedStatus, "False/Conflict")
	})
}

func TestBridgeStates(t *testing.T) {
	t.Run("scaled to zero", func(t *testing.T) {
		in := bridgeScene(t)
		in.Bridge.Generation, in.Document = 2, &document.Document{Generation: 2}
		in.Workload, in.Fleet = Workload{Observed: true}, nil
		in = bridgeStep(t, in, status.CurrentStatus, "True/Ready")
		require.Contains(t, in.Bridge.Status.Conditions[0].Message, "0 replicas")
	})
	t.Run("suspended", func(t *testing.T) {
		in := bridgeScene(t)
		in.Bridge.Generation, in.Bridge.Spec.Suspend = 2, true
		in = bridgeStep(t, in, status.CurrentStatus, "True/Suspended")
		in.Bridge.Status = v1alpha1.BridgeStatus{}
		bridgeStep(t, in, status.InProgressStatus, "False/Suspended")
	})
	t.Run("store unreachable and back", func(t *testing.T) {
		in := bridgeScene(t)
		before := in.Bridge.Status.Conditions
		in.Fleet = fleet.New([]fleet.Pod{pod(1, nil), pod(1, func(s *document.Status) { s.Store = document.Health{Message: "no route"} })})
		in = bridgeStep(t, in, status.CurrentStatus, "True/Ready")
		require.Equal(t, []string{"-StoreReachable/Unreachable"}, eventsOf(before, in.Bridge.Status.Conditions))
		before = in.Bridge.Status.Conditions
		in.Fleet = fleet.New([]fleet.Pod{pod(1, nil)})
		in = bridgeStep(t, in, status.CurrentStatus, "True/Ready")
		require.Equal(t, []string{"+StoreReachable/Done"}, eventsOf(before, in.Bridge.Status.Conditions))
	})
	t.Run("deleting with tombstones", func(t *testing.T) {
		in := bridgeScene(t)
		now := metav1.NewTime(start)
		in.Bridge.DeletionTimestamp, in.Result.Tombstones = &now, 2
		in = bridgeStep(t, in, status.TerminatingStatus, "False/Deleting")
		require.Contains(t, in.Bridge.Status.Conditions[0].Message, "2 webhooks")
	})
}

// An upgrade that waits stands beside Ready, which it does not touch, and goes
// when it is done.
func TestUpgradePending(t *testing.T) {
	in := bridgeScene(t)
	for _, s := range []struct {
		verdict *upgrade.Verdict
		want    string
		events  []string
	}{
		{&upgrade.Verdict{Reason: v1alpha1.ReasonWaitingForStore, Message: "waits"}, "True/WaitingForStore", nil},
		{nil, "True/WaitingForStore", nil},
		{&upgrade.Verdict{Reason: v1alpha1.ReasonUpgradeHalted, Message: "look for it"}, "True/UpgradeHalted", nil},
		{&upgrade.Verdict{Reason: v1alpha1.ReasonRolloutFailed, Message: "crashes"}, "True/RolloutFailed", []string{"-UpgradePending/RolloutFailed"}},
		{&upgrade.Verdict{}, "", nil},
		{nil, "", nil},
	} {
		before := in.Bridge.Status.Conditions
		in.Upgrade = s.verdict
		in = bridgeStep(t, in, status.CurrentStatus, "True/Ready")
		require.Equal(t, s.want, conditionOf(in.Bridge.Status.Conditions, v1alpha1.ConditionUpgradePending))
		require.ElementsMatch(t, s.events, eventsOf(before, in.Bridge.Status.Conditions))
	}
}

// What is rolled out has no pod of the template before: those count as ready too.
func TestRolledOut(t *testing.T) {
	for name, tt := range map[string]struct {
		w    Workload
		want bool
	}{
		"all":                {serving, true},
		"none wanted":        {Workload{Observed: true}, true},
		"not seen yet":       {Workload{Desired: 1, Replicas: 1, Ready: 1, Updated: 1}, false},
		"one of each":        {Workload{Desired: 1, Replicas: 2, Ready: 1, Updated: 1, Observed: true}, false},
		"an old one is left": {Workload{Desired: 2, Replicas: 3, Ready: 3, Updated: 2, Observed: true}, false},
		"not ready":          {Workload{Desired: 2, Replicas: 2, Ready: 1, Updated: 2, Observed: true}, false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, tt.w.RolledOut()) })
	}
}

func TestDatabaseReachable(t *testing.T) {
	in := StoreInput{
		Store: &v1alpha1.ConversationStore{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ConversationStore"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default", Generation: 1},
		},
		Result:   &compile.StoreResult{},
		Document: &document.Document{Generation: 1},
		Workload: serving, Backend: v1alpha1.BackendPostgres, Now: start,
	}
	says := func(h document.Health) *fleet.Fleet {
		return fleet.New([]fleet.Pod{pod(1, nil), pod(1, func(s *document.Status) { s.Store = h })})
	}
	refused := []document.Warning{{Reason: v1alpha1.ReasonDSNNotUsable, Message: "password authentication failed"}}
	for _, s := range []struct {
		name   string
		fleet  *fleet.Fleet
		want   string
		ready  string
		kstat  status.Status
		events []string
	}{
		{"nobody serves", nil, "Unknown/NotAttempted", "False/NotLoaded", status.InProgressStatus, nil},
		{"one is cut off", says(document.Health{Message: "refused"}), "False/Unreachable", "False/StoreNotReady", status.InProgressStatus, []string{"-DatabaseReachable/Unreachable"}},
		{"all are there", says(document.Health{OK: true}), "True/Done", "True/Ready", status.CurrentStatus, []string{"+Ready/Ready", "+DatabaseReachable/Done"}},
		{"a bad rotation", says(document.Health{OK: true, Warnings: refused}), "False/DSNNotUsable", "True/Ready", status.CurrentStatus, []string{"-DatabaseReachable/DSNNotUsable"}},
		{"cut off as well", says(document.Health{Message: "refused", Warnings: refused}), "False/Unreachable", "True/Ready", status.CurrentStatus, []string{"-DatabaseReachable/Unreachable"}},
		{"a rollout", nil, "False/Unreachable", "True/Ready", status.CurrentStatus, nil},
	} {
		before := in.Store.Status.Conditions
		in.Fleet = s.fleet
		in = storeStep(t, in, s.kstat, s.ready)
		require.Equal(t, s.want, conditionOf(in.Store.Status.Conditions, v1alpha1.ConditionDatabaseReachable), s.name)
		require.ElementsMatch(t, s.events, eventsOf(before, in.Store.Status.Conditions), s.name)
	}
	in.Backend, in.Fleet = v1alpha1.BackendSQLite, says(document.Health{OK: true})
	in = storeStep(t, in, status.CurrentStatus, "True/Ready")
	require.Empty(t, conditionOf(in.Store.Status.Conditions, v1alpha1.ConditionDatabaseReachable), "SQLite is in the pod")
}

func storeStep(t *testing.T, in StoreInput, want status.Status, ready string) StoreInput {
	t.Helper()
	in.Store = in.Store.DeepCopy()
	in.Store.Status, _ = Store(in)
	require.Empty(t, Check(in.Store))
	require.Equal(t, ready, conditionOf(in.Store.Status.Conditions, v1alpha1.ConditionReady))
	require.Equal(t, want, kstatusOf(t, in.Store))
	return in
}

// sqliteScene is a store on SQLite that is Ready, and the input that keeps it so.
func sqliteScene(t *testing.T) StoreInput {
	in := StoreInput{
		Store: &v1alpha1.ConversationStore{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ConversationStore"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default", Generation: 1},
		},
		Result:   &compile.StoreResult{Effective: &v1alpha1.EffectiveStore{ReopenWindow: "24h0m0s"}},
		Document: &document.Document{Generation: 1},
		Workload: serving, Backend: "sqlite", Now: start,
		Fleet: fleet.New([]fleet.Pod{pod(1, func(s *document.Status) { s.Store = document.Health{Message: "locked"} })}),
	}
	in = storeStep(t, in, status.InProgressStatus, "False/StoreNotReady")
	in.Fleet = fleet.New([]fleet.Pod{pod(1, nil)})
	return storeStep(t, in, status.CurrentStatus, "True/Ready")
}

func TestStoreStatus(t *testing.T) {
	in := sqliteScene(t)

	in.Fleet = fleet.New([]fleet.Pod{pod(1, func(s *document.Status) {
		s.Store.Warnings = []document.Warning{{Reason: "StorageLow", Message: "5 % left"}}
	})})
	before := in.Store.Status.Conditions
	in = storeStep(t, in, status.CurrentStatus, "True/Ready")
	require.Equal(t, "True/StorageLow", conditionOf(in.Store.Status.Conditions, "StorageLow"))
	require.Equal(t, []string{"-StorageLow/StorageLow"}, eventsOf(before, in.Store.Status.Conditions))
	in.Fleet = fleet.New([]fleet.Pod{pod(1, nil)})
	in = storeStep(t, in, status.CurrentStatus, "True/Ready")
	require.Empty(t, conditionOf(in.Store.Status.Conditions, "StorageLow"), "present only while true")

	in.Result.Effective = nil
	in = storeStep(t, in, status.CurrentStatus, "True/Ready")
	require.NotNil(t, in.Store.Status.Effective, "what is in force stays")

	now := metav1.NewTime(start)
	in.Store.DeletionTimestamp, in.Result.Bridges = &now, 1
	storeStep(t, in, status.TerminatingStatus, "False/InUse")
}
