package upgrade

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// AtATime is how many workloads of a kind are upgraded at once in the cluster.
const AtATime = 2

// Kind is whose pods they are.
type Kind string

// The kinds that have pods, as in kind of their manifests.
const (
	KindStore  Kind = "ConversationStore"
	KindBridge Kind = "Bridge"
)

// Key identifies a ConversationStore or Bridge.
type Key struct {
	Kind Kind
	Name types.NamespacedName
}

// Workload is what is known of the pods of one ConversationStore or Bridge.
type Workload struct {
	Key
	// Image in the pod template; empty: there is no workload yet.
	Image string
	// Rolling: the template got this image in place of another, and not all pods
	// have been seen to run it.
	Rolling bool
	// Failed: the pods of this image do not come up.
	Failed bool
	// Suspended workloads are left as they are, and nobody waits for them but
	// the Bridges of a suspended store.
	Suspended bool
}

// runs says whether all pods run the image.
func (w Workload) runs(image string) bool { return w.Image == image && !w.Rolling }

// under says whether an upgrade to the image is under way.
func (w Workload) under(image string) bool { return w.Image == image && w.Rolling }

// Verdict is what becomes of a workload now. The zero value: it gets the
// template of the operator's version.
type Verdict struct {
	// Reason why it keeps the template that it has; empty: it does not.
	Reason string
	// Message for people; it names no other resource, which may be another
	// team's.
	Message string
}

// Wait says whether the workload keeps the template that it has.
func (v Verdict) Wait() bool { return v.Reason != "" }

// Decide says whether me gets the template with image now. all are the workloads
// of the cluster, me among them if it exists. store is the ConversationStore that
// a Bridge uses; the zero value when none is known.
func Decide(image string, all []Workload, me Key, store types.NamespacedName) Verdict {
	var own, base Workload
	halted, rolling := false, 0
	for _, w := range all {
		switch {
		case w.Key == me:
			own = w
			continue
		case me.Kind == KindBridge && w.Key == (Key{KindStore, store}):
			base = w
		}
		halted = halted || w.under(image) && w.Failed && !w.Suspended
		if w.Kind == me.Kind && w.under(image) && !w.Suspended {
			rolling++
		}
	}
	switch {
	case own.Image == image:
		return Verdict{} // it is there already, or on the way
	case base.Image != "" && !base.runs(image):
		return Verdict{v1alpha1.ReasonWaitingForStore, waitingForStore(own, base, image)}
	case own.Image == "":
		return Verdict{} // new: nobody is served worse when it fails
	case halted:
		return Verdict{v1alpha1.ReasonUpgradeHalted, "runs the former version: the upgrade of another Bridge or ConversationStore failed, and no further one begins. " +
			"Find it by its condition UpgradePending with reason RolloutFailed; repair it, set its spec.suspend, or give the operator its former image back"}
	case rolling >= AtATime:
		return Verdict{v1alpha1.ReasonWaitingForTurn, fmt.Sprintf("runs the former version until it is its turn: %d are upgraded at a time", AtATime)}
	}
	return Verdict{}
}

func waitingForStore(own, base Workload, image string) string {
	message := "runs the former version until its ConversationStore runs the new one"
	if own.Image == "" {
		message = "has no pods until its ConversationStore runs the new version"
	}
	switch {
	case base.Suspended:
		return message + ", which is suspended; set its spec.suspend to false"
	case base.under(image) && base.Failed:
		return message + ", whose upgrade failed; see its conditions"
	}
	return message
}
