package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
	"github.com/bridgekeeper/bridgekeeper/controllers/upgrade"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// recheckTurn is how often those that wait for their turn look again by
// themselves. They are told when an upgrade is done or fails; that one is
// suspended or deleted shows here.
const recheckTurn = 30 * time.Second

// turns remembers what the cache does not show yet.
type turns struct {
	mu sync.Mutex
	// granted have got the new template; the cache may show the old one.
	granted map[upgrade.Key]bool
	// waiting are told when an upgrade is done, or fails.
	waiting map[upgrade.Key]bool
	// stood is how each one's upgrade stood when it was last looked at.
	stood map[upgrade.Key]string
}

func newTurns() *turns {
	return &turns{granted: map[upgrade.Key]bool{}, waiting: map[upgrade.Key]bool{}, stood: map[upgrade.Key]string{}}
}

// upgradeStep gives objects, which were just built, the pod template that it is
// time for: the operator's, or the one that live has; and takes the workload out
// when it is not time for its first. store is the one that a Bridge uses. The
// verdict says what the upgrade waits for; of one that goes on, how it stands.
func (s *shared) upgradeStep(ctx context.Context, me upgrade.Key, store types.NamespacedName, live client.Object, objects []client.Object) ([]client.Object, upgrade.Verdict, error) {
	has := workload.Image(live)
	verdict, err := s.turn(ctx, me, store, has)
	if err != nil {
		return nil, verdict, err
	}
	if verdict.Wait() && has == "" {
		objects = slices.DeleteFunc(objects, func(o client.Object) bool { return workload.Template(o) != nil })
	} else if verdict.Wait() {
		workload.KeepTemplate(objects, live)
	} else {
		verdict, err = s.markUpgrade(ctx, live, objects)
		s.tellWaiting(me, verdict.Reason)
	}
	return objects, verdict, err
}

// markUpgrade keeps the mark on a workload that is being upgraded, until it is
// done, and says how that stands.
func (s *shared) markUpgrade(ctx context.Context, live client.Object, objects []client.Object) (upgrade.Verdict, error) {
	image, has := s.options.Workload.Image, workload.Image(live)
	former := live.GetAnnotations()[workload.AnnotationFormerImage]
	if has != image {
		former = has
	}
	if former == "" {
		return upgrade.Verdict{}, nil // new, or done long ago
	}
	facts, err := s.rollout(ctx, live)
	if err != nil {
		return upgrade.Verdict{}, err
	}
	switch {
	case has == image && facts.RolledOut():
		return upgrade.Verdict{}, nil
	case has == image && facts.Failed != "":
		workload.MarkUpgrade(objects, former)
		return upgrade.Verdict{Reason: v1alpha1.ReasonRolloutFailed, Message: fmt.Sprintf(
			"the upgrade from %s to %s does not come up, and no further one begins: %s; repair it, set spec.suspend to let the others go on, or give the operator its former image back",
			former, image, facts.Failed)}, nil
	}
	workload.MarkUpgrade(objects, former)
	return upgrade.Verdict{Reason: v1alpha1.ReasonProgressing, Message: fmt.Sprintf("is being upgraded from %s to %s", former, image)}, nil
}

// turn decides whether a workload whose pods have an image may get the
// operator's. At rest, when it has it, nothing is looked up.
func (s *shared) turn(ctx context.Context, me upgrade.Key, store types.NamespacedName, has string) (upgrade.Verdict, error) {
	image := s.options.Workload.Image
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	delete(s.turns.waiting, me)
	if has == image {
		delete(s.turns.granted, me)
		return upgrade.Verdict{}, nil
	}
	all, err := s.workloads(ctx)
	if err != nil {
		return upgrade.Verdict{}, err
	}
	verdict := upgrade.Decide(image, all, me, store)
	switch {
	case verdict.Wait():
		s.turns.waiting[me] = true
	case has != "":
		s.turns.granted[me] = true
	}
	return verdict, nil
}

// tellWaiting tells those who wait that an upgrade stands otherwise than before.
func (s *shared) tellWaiting(me upgrade.Key, reason string) {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	if s.turns.stood[me] == reason {
		return
	}
	if s.turns.stood[me] = reason; reason == "" {
		delete(s.turns.stood, me)
	}
	for key := range s.turns.waiting {
		s.notify(string(key.Kind), key.Name)
	}
}

// workloads lists all ConversationStores' and Bridges' pods as the cache shows
// them, and as turns knows better. It is called with turns locked.
func (s *shared) workloads(ctx context.Context) ([]upgrade.Workload, error) {
	var deployments appsv1.DeploymentList
	var sets appsv1.StatefulSetList
	ours := client.MatchingLabels{workload.LabelManagedBy: workload.ManagedBy}
	for _, list := range []client.ObjectList{&deployments, &sets} {
		if err := s.client.List(ctx, list, ours, client.UnsafeDisableDeepCopy); err != nil {
			return nil, err
		}
	}
	all := make([]upgrade.Workload, 0, len(deployments.Items)+len(sets.Items))
	seen := map[upgrade.Key]bool{}
	add := func(o client.Object) error {
		w, err := s.workload(ctx, o)
		if seen[w.Key] = true; w.Name.Name != "" {
			all = append(all, w)
		}
		return err
	}
	for i := range deployments.Items {
		if err := add(&deployments.Items[i]); err != nil {
			return nil, err
		}
	}
	for i := range sets.Items {
		if err := add(&sets.Items[i]); err != nil {
			return nil, err
		}
	}
	for key := range s.turns.granted {
		if !seen[key] {
			delete(s.turns.granted, key) // it is gone
		}
	}
	for key := range s.turns.stood {
		if !seen[key] {
			delete(s.turns.stood, key)
		}
	}
	return all, nil
}

// workload is what is known of one; without a name when it is not of ours.
func (s *shared) workload(ctx context.Context, o client.Object) (upgrade.Workload, error) {
	labels, image := o.GetLabels(), s.options.Workload.Image
	w := upgrade.Workload{Image: workload.Image(o)}
	switch labels[workload.LabelComponent] {
	case workload.ComponentBridge:
		w.Kind = upgrade.KindBridge
	case workload.ComponentStore:
		w.Kind = upgrade.KindStore
	default:
		return w, nil
	}
	w.Name = types.NamespacedName{Namespace: o.GetNamespace(), Name: labels[workload.LabelInstance]}
	var err error
	if w.Image == image {
		delete(s.turns.granted, w.Key) // the cache has caught up
		if o.GetAnnotations()[workload.AnnotationFormerImage] == "" {
			return w, nil
		}
		var facts conditions.Workload
		facts, err = s.rollout(ctx, o)
		w.Rolling, w.Failed = !facts.RolledOut(), facts.Failed != ""
	} else if s.turns.granted[w.Key] {
		w.Image, w.Rolling = image, true
	}
	if err == nil && (w.Rolling || w.Kind == upgrade.KindStore) {
		w.Suspended, err = s.isSuspended(ctx, w.Key)
	}
	return w, err
}

func (s *shared) isSuspended(ctx context.Context, key upgrade.Key) (bool, error) {
	if key.Kind == upgrade.KindStore {
		st := &v1alpha1.ConversationStore{}
		err := s.client.Get(ctx, key.Name, st)
		return st.Spec.Suspend, client.IgnoreNotFound(err)
	}
	b := &v1alpha1.Bridge{}
	err := s.client.Get(ctx, key.Name, b)
	return b.Spec.Suspend, client.IgnoreNotFound(err)
}
