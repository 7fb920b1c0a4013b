package conditions

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

// StoreView is what is known of a ConversationStore that has a resource in its
// document.
type StoreView struct {
	Name compile.Key
	// Document as it is written; nil when there is none. It may be behind what was
	// compiled: then nothing new is loaded.
	Document *document.Document
	Fleet    *fleet.Fleet
	// Trouble is why the store takes in nothing new; empty: nothing.
	Trouble string
}

// lacks is why not every serving pod has loaded an entry; nil: all have.
func (v StoreView) lacks(e compile.Loadable) *verdict {
	written, ok := v.Document.Find(e.Kind, e.Name)
	current := ok && written.Hash == e.Hash
	if current && v.Fleet.Loaded(v.Document, e.Key()) {
		if e.Kind == document.EntryChannel || v.Fleet.Acts(e.Kind) {
			return nil
		}
		return waiting(v1alpha1.ReasonNotLoaded, fmt.Sprintf("pods of ConversationStore %s are of a version that knows no %s; it waits until they are upgraded", v.Name, e.Kind))
	}
	if x := v.Fleet.Refusal(v.Document, e.Key()); current && x != nil {
		return refusal(fmt.Sprintf("the pods of ConversationStore %s refuse it: ", v.Name), x)
	}
	switch {
	case v.Trouble != "":
		return waiting(v1alpha1.ReasonStoreNotReady, fmt.Sprintf("ConversationStore %s takes in nothing new: %s", v.Name, v.Trouble))
	case v.Fleet.Size() == 0:
		return waiting(v1alpha1.ReasonStoreNotReady, fmt.Sprintf("no pod of ConversationStore %s serves yet", v.Name))
	}
	return waiting(v1alpha1.ReasonNotLoaded, fmt.Sprintf("waits until all %d serving pods of ConversationStore %s have loaded it", v.Fleet.Size(), v.Name))
}

const keptAsItIs = "is suspended: the version that is in force stays, whatever the spec says"

// ScheduleInput is what a Schedule's status is made of.
type ScheduleInput struct {
	Schedule *v1alpha1.Schedule
	Result   *compile.ScheduleResult
	// Stores that use it, in the order of Result.Stores.
	Stores []StoreView
	Now    time.Time
}

// maxStores is how many stores stand in a Schedule's status.
const maxStores = 16

// Schedule makes a Schedule's status; recheck is until its next transition, or
// as in Channel.
func Schedule(in ScheduleInput) (status v1alpha1.ScheduleStatus, recheck time.Duration) {
	status = *in.Schedule.Status.DeepCopy()
	status.ObservedGeneration = in.Schedule.Generation
	status.Open, status.NextTransition, status.Stores = nil, nil, nil
	for _, v := range in.Stores[:min(len(in.Stores), maxStores)] {
		status.Stores = append(status.Stores, v.Name.String())
	}
	s := newSet(in.Schedule.Status.Conditions, in.Schedule.Generation, in.Now)
	if in.Schedule.Spec.Suspend {
		s.suspended(keptAsItIs)
		status.Conditions = s.list()
		return status, 0
	}
	valid := "the spec is valid"
	if compiled := in.Result.Schedule; compiled != nil {
		open := compiled.Open(in.Now)
		status.Open = &open
		if next, ok := compiled.NextTransition(in.Now); ok {
			at := metav1.NewTime(next)
			status.NextTransition = &at
			s.lookAgain(next.Sub(in.Now))
		} else if !open {
			valid = "the spec is valid, but its last hours are over, and it never opens again: what waits for it goes by the wall clock; give it weekly hours, or dates that are to come"
		}
	}
	s.judge(v1alpha1.ConditionAccepted, v1alpha1.ReasonAccepted, valid, in.Result.Findings)
	verdicts := []*verdict{s.blocking(in.Result.Findings)}
	done := "every serving pod of every store that uses it has loaded it"
	if len(in.Stores) == 0 {
		done = "is valid; nothing uses it yet"
	}
	for _, v := range in.Stores {
		verdicts = append(verdicts, v.lacks(*in.Result.Entry))
	}
	s.conclude(done, verdicts...)
	status.Conditions = s.list()
	return status, s.recheck
}

// BackendInput is what the status of an AgentQueue or a Bot is made of.
type BackendInput struct {
	Result *compile.BackendResult
	Store  StoreView
	Now    time.Time
}

// AgentQueue makes an AgentQueue's status; recheck as in Channel.
func AgentQueue(q *v1alpha1.AgentQueue, in BackendInput) (status v1alpha1.AgentQueueStatus, recheck time.Duration) {
	status = *q.Status.DeepCopy()
	status.ObservedGeneration, status.Store = q.Generation, name(in.Result.Store)
	s := newSet(q.Status.Conditions, q.Generation, in.Now)
	if q.Spec.Suspend {
		s.suspended(keptAsItIs)
	} else {
		s.backend(in)
	}
	s.staffed(in)
	status.Conditions = s.list()
	return status, s.recheck
}

// Bot makes a Bot's status; recheck as in Channel.
func Bot(b *v1alpha1.Bot, in BackendInput) (status v1alpha1.BotStatus, recheck time.Duration) {
	status = *b.Status.DeepCopy()
	status.ObservedGeneration, status.Store = b.Generation, name(in.Result.Store)
	s := newSet(b.Status.Conditions, b.Generation, in.Now)
	if b.Spec.Suspend {
		s.suspended(keptAsItIs)
	} else {
		s.backend(in)
	}
	status.Conditions = s.list()
	return status, s.recheck
}

func (s *set) backend(in BackendInput) {
	s.findings(in.Result.Findings)
	verdicts := []*verdict{s.blocking(in.Result.Findings)}
	if in.Result.Entry != nil {
		verdicts = append(verdicts, in.Store.lacks(*in.Result.Entry))
	}
	s.conclude("every serving pod of its store has loaded it", verdicts...)
}

// staffed says what the store knows of the agents: they are its records.
func (s *set) staffed(in BackendInput) {
	const typ = v1alpha1.ConditionStaffed
	if in.Result.Entry == nil || in.Store.lacks(*in.Result.Entry) != nil {
		if s.keep(typ); s.was(typ) == nil {
			s.put(typ, metav1.ConditionUnknown, v1alpha1.ReasonNotLoaded, "the store does not have it yet")
		}
		return
	}
	if t := in.Store.Fleet.EntryTrouble(in.Result.Entry.Key()); t != nil {
		s.put(typ, metav1.ConditionFalse, t.Reason, t.Message)
		return
	}
	s.put(typ, metav1.ConditionTrue, v1alpha1.ReasonStaffed, "agents who can take its conversations are there, or it is closed")
}
