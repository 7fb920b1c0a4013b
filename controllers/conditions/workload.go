package conditions

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
	"github.com/bridgekeeper/bridgekeeper/controllers/upgrade"
)

// Workload is how the Deployment or StatefulSet stands.
type Workload struct {
	Desired int32
	// Replicas, Ready and Updated are as in the workload's status.
	Replicas, Ready, Updated int32
	// Observed says that its controller has seen the newest template.
	Observed bool
	// Failed says why the workload does not come up; empty: nothing is known.
	Failed string
}

// RolledOut says whether all pods are of the newest template, and ready. Ready
// counts pods of the template before as well, so there must be none left.
func (w Workload) RolledOut() bool {
	return w.Observed && w.Updated >= w.Desired && w.Replicas <= w.Updated && w.Ready >= w.Desired
}

// BridgeInput is what a Bridge's status is made of.
type BridgeInput struct {
	Bridge *v1alpha1.Bridge
	Result *compile.BridgeResult
	// Document as it is written; nil when there is none.
	Document *document.Document
	Fleet    *fleet.Fleet
	Workload Workload
	// Trouble with the children or the document; nil: none.
	Trouble *compile.Finding
	// Upgrade is what an upgrade waits for; nil: it was not looked at.
	Upgrade    *upgrade.Verdict
	Selector   string
	ServiceURL string
	Now        time.Time
}

// Bridge makes a Bridge's status; recheck as in Channel.
func Bridge(in BridgeInput) (status v1alpha1.BridgeStatus, recheck time.Duration) {
	status = *in.Bridge.Status.DeepCopy()
	status.ObservedGeneration = in.Bridge.Generation
	status.Replicas, status.ReadyReplicas = in.Workload.Replicas, in.Workload.Ready
	status.Selector, status.ServiceURL = in.Selector, in.ServiceURL
	status.Channels, status.Store = in.Result.Channels, name(in.Result.Store)
	s := newSet(in.Bridge.Status.Conditions, in.Bridge.Generation, in.Now)
	switch {
	case !in.Bridge.DeletionTimestamp.IsZero():
		s.deleting(v1alpha1.ReasonDeleting, bridgeDeletion(in.Result))
	case in.Bridge.Spec.Suspend:
		s.suspended("reconciling is suspended; what runs goes on running")
	default:
		findings := withTrouble(in.Result.Findings, in.Trouble)
		s.findings(findings)
		s.storeReachable(in.Fleet)
		s.upgradePending(in.Upgrade)
		s.conclude(bridgeDone(in), s.blocking(findings), s.workload(in.Workload),
			s.notLoaded("Bridge", in.Document, in.Fleet, in.Bridge.Generation, in.Workload))
	}
	status.Conditions = s.list()
	return status, s.recheck
}

func bridgeDeletion(r *compile.BridgeResult) string {
	if r.Tombstones == 0 {
		return "is being deleted"
	}
	return fmt.Sprintf("waits until its pods have removed %d webhooks at the platforms; each is let go after 5 minutes", r.Tombstones)
}

func bridgeDone(in BridgeInput) string {
	if in.Workload.Desired == 0 {
		return "is scaled to 0 replicas: nothing is received or sent"
	}
	return "every serving pod has loaded this generation"
}

// StoreInput is what a ConversationStore's status is made of.
type StoreInput struct {
	Store *v1alpha1.ConversationStore
	// Result as compiled.
	Result *compile.StoreResult
	// Document as it is written; nil when there is none.
	Document *document.Document
	Fleet    *fleet.Fleet
	Workload Workload
	// Trouble with the children or the document; nil: none.
	Trouble *compile.Finding
	// Upgrade is what an upgrade waits for; nil: it was not looked at.
	Upgrade *upgrade.Verdict
	Backend string
	URL     string
	Now     time.Time
}

// Store makes a ConversationStore's status; recheck as in Channel.
func Store(in StoreInput) (status v1alpha1.ConversationStoreStatus, recheck time.Duration) {
	status = *in.Store.Status.DeepCopy()
	status.ObservedGeneration = in.Store.Generation
	status.Backend, status.URL = in.Backend, in.URL
	status.Bridges, status.Channels = in.Result.Bridges, in.Result.Channels
	if in.Result.Effective != nil {
		status.Effective = in.Result.Effective.DeepCopy()
	}
	s := newSet(in.Store.Status.Conditions, in.Store.Generation, in.Now)
	switch {
	case !in.Store.DeletionTimestamp.IsZero():
		s.deleting(storeDeletion(in.Result))
	case in.Store.Spec.Suspend:
		s.suspended("reconciling is suspended; what runs goes on running")
	default:
		findings := withTrouble(in.Result.Findings, in.Trouble)
		s.findings(findings)
		s.storageLow(in.Fleet)
		s.upgradePending(in.Upgrade)
		if in.Backend == v1alpha1.BackendPostgres {
			s.databaseReachable(in.Fleet)
		}
		s.conclude("every serving pod has loaded this generation", s.blocking(findings), s.workload(in.Workload),
			refusedOwn(in.Document, in.Fleet), s.notLoaded("ConversationStore", in.Document, in.Fleet, in.Store.Generation, in.Workload), unhealthy(in.Fleet))
	}
	status.Conditions = s.list()
	return status, s.recheck
}

func storeDeletion(r *compile.StoreResult) (reason, message string) {
	if r.Bridges == 0 {
		return v1alpha1.ReasonDeleting, "is being deleted; the conversations are kept, on its volume or in its database"
	}
	return v1alpha1.ReasonInUse, fmt.Sprintf("waits until the %d Bridges that use it are deleted or name another store", r.Bridges)
}

func withTrouble(findings []compile.Finding, trouble *compile.Finding) []compile.Finding {
	if trouble == nil {
		return findings
	}
	return append([]compile.Finding{*trouble}, findings...)
}

// workload: a rollout that failed needs somebody; one that goes on, time. A
// failure does not break the latch: pods of the generation did come up once.
func (s *set) workload(w Workload) *verdict {
	if w.Failed != "" && !s.latched() {
		return stalled(v1alpha1.ReasonRolloutFailed, w.Failed)
	}
	if !w.RolledOut() {
		return waiting(v1alpha1.ReasonProgressing, fmt.Sprintf("%d of %d pods are up to date, %d serve", w.Updated, w.Desired, w.Ready))
	}
	return nil
}

// notLoaded: the pods that serve have not confirmed this generation yet.
func (s *set) notLoaded(kind string, doc *document.Document, f *fleet.Fleet, generation int64, w Workload) *verdict {
	switch {
	case doc == nil || doc.Generation < generation:
		return waiting(v1alpha1.ReasonProgressing, "the document for its pods is not written yet")
	case w.Desired == 0:
		return nil
	case f.LoadedSettings(generation):
		return nil
	}
	for _, p := range f.Pods() {
		if p.Status.DocumentError != "" {
			return waiting(v1alpha1.ReasonNotLoaded, fmt.Sprintf("pod %s cannot load its document: %s", p.Name, p.Status.DocumentError))
		}
	}
	return waiting(v1alpha1.ReasonNotLoaded, fmt.Sprintf("waits until all %d serving pods of the %s have loaded this generation", f.Size(), kind))
}

// ownEntries are those that stand for a store itself, or for what has no status.
// The others are told on their own resources.
var ownEntries = []document.EntryKind{document.EntryBridge, document.EntryToken}

// refusedOwn: the pods refuse an entry that stands for the store itself.
func refusedOwn(doc *document.Document, f *fleet.Fleet) *verdict {
	if doc == nil {
		return nil
	}
	for _, e := range doc.Entries {
		if !slices.Contains(ownEntries, e.Kind) {
			continue
		}
		if x := f.Refusal(doc, e.Key()); x != nil {
			return refusal(fmt.Sprintf("its pods refuse %s %s: ", e.Kind, e.Name), x)
		}
	}
	return nil
}

// unhealthy: a store whose database does not work is not Ready at first.
func unhealthy(f *fleet.Fleet) *verdict {
	for _, p := range f.Pods() {
		if p.Answered() && !p.Status.Store.OK {
			return waiting(v1alpha1.ReasonStoreNotReady, fmt.Sprintf("pod %s: %s", p.Name, p.Status.Store.Message))
		}
	}
	return nil
}

// storeReachable: from the view of the serving pods.
func (s *set) storeReachable(f *fleet.Fleet) {
	s.reachable(v1alpha1.ConditionStoreReachable, "the store", f)
}

// databaseReachable: the same of a postgres store's pods and their database. A
// connection string that was changed to one that does not work is told as well,
// although the former still serves: after a restart it would not.
func (s *set) databaseReachable(f *fleet.Fleet) {
	const typ = v1alpha1.ConditionDatabaseReachable
	s.reachable(typ, "the database", f)
	if s.after[typ].Status != metav1.ConditionTrue {
		return
	}
	for _, p := range f.Pods() {
		for _, w := range p.Status.Store.Warnings {
			if w.Reason == v1alpha1.ReasonDSNNotUsable {
				s.put(typ, metav1.ConditionFalse, w.Reason, fmt.Sprintf("the former connection string is still in use, the new one does not work: %s", w.Message))
				return
			}
		}
	}
}

// reachable puts whether all serving pods reach what they store in. Of a pod
// that was not heard yet nothing is known, so what was known before stands.
func (s *set) reachable(typ, what string, f *fleet.Fleet) {
	var failing int
	var message string
	for _, p := range f.Pods() {
		if p.Answered() && !p.Status.Store.OK {
			if failing++; message == "" {
				message = p.Status.Store.Message
			}
		}
	}
	switch {
	case failing > 0:
		s.put(typ, metav1.ConditionFalse, v1alpha1.ReasonUnreachable,
			fmt.Sprintf("%d of %d serving pods do not reach %s: %s", failing, f.Size(), what, message))
	case f.Heard():
		s.put(typ, metav1.ConditionTrue, v1alpha1.ReasonDone, "every serving pod reaches "+what)
	case s.was(typ) != nil:
		s.keep(typ)
	case f.Size() == 0:
		s.put(typ, metav1.ConditionUnknown, v1alpha1.ReasonNotAttempted, "no pod serves yet")
	default:
		s.put(typ, metav1.ConditionUnknown, v1alpha1.ReasonNotAttempted, fmt.Sprintf("waits until all %d serving pods have answered", f.Size()))
	}
}

// upgradePending is present only while true. It stands beside Ready, which is
// about the generation: what runs serves, whatever its version.
func (s *set) upgradePending(v *upgrade.Verdict) {
	switch {
	case v == nil:
		s.keep(v1alpha1.ConditionUpgradePending)
	case v.Wait():
		s.put(v1alpha1.ConditionUpgradePending, metav1.ConditionTrue, v.Reason, v.Message)
	}
}

// storageLow is present only while true.
func (s *set) storageLow(f *fleet.Fleet) {
	for _, p := range f.Pods() {
		for _, w := range p.Status.Store.Warnings {
			if w.Reason == v1alpha1.ConditionStorageLow {
				s.put(v1alpha1.ConditionStorageLow, metav1.ConditionTrue, w.Reason, w.Message)
				return
			}
		}
	}
	if !f.Heard() {
		s.keep(v1alpha1.ConditionStorageLow)
	}
}
