package controllers

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/pki"
	"github.com/bridgekeeper/bridgekeeper/controllers/upgrade"
)

// outcome is what became of a resource's children.
type outcome struct {
	trouble *compile.Finding
	// upgrade is what an upgrade waits for; nil: it was not looked at.
	upgrade *upgrade.Verdict
}

// recheck is when to look again whether it is time for an upgrade.
func (o outcome) recheck() time.Duration {
	if o.upgrade == nil || !o.upgrade.Wait() {
		return 0
	}
	return recheckTurn
}

// applyAll applies the children of parent in order. An object that the API
// server refuses, or that belongs to somebody else, comes back as a finding:
// it is for a person, and the children before it stand.
func (s *shared) applyAll(ctx context.Context, parent client.Object, objects []client.Object) (*compile.Finding, error) {
	for _, o := range objects {
		done, err := s.applier.apply(ctx, o)
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil, nil // it goes, and parent with it
		}
		if err != nil {
			f := refusedChild(err)
			if f != nil {
				err = nil
			}
			return f, err
		}
		if done.drift {
			s.events.normal(parent, v1alpha1.EventDriftRepaired, "%s %s was changed by somebody else and is as it should be again", o.GetObjectKind().GroupVersionKind().Kind, o.GetName())
		}
	}
	return nil, nil
}

// refusedChild is the finding about an object that belongs to somebody else, or
// that the API server refuses; nil: the error is another one.
func refusedChild(err error) *compile.Finding {
	var conflict *conflictError
	switch {
	case errors.As(err, &conflict):
		return &compile.Finding{Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonConflict, Message: err.Error(), Terminal: true}
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err):
		return &compile.Finding{Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonRolloutFailed, Message: err.Error(), Terminal: true}
	}
	return nil
}

// tryAgain is when to look again at children that could not be made: no event
// tells that a stranger's object went, a quota was raised, or the Gateway API
// was installed.
func tryAgain(trouble *compile.Finding) time.Duration {
	if trouble == nil || !trouble.Terminal {
		return 0
	}
	return askAgain
}

// askAgain is how often that is: ten reads of the cache and a few requests.
const askAgain = 10 * time.Second

// applyCertificate keeps the certificate Secret of a child good, and says when
// to look at it again.
func (s *shared) applyCertificate(ctx context.Context, parent client.Object, ref metav1.OwnerReference, child string, leaf pki.Leaf) (time.Duration, *compile.Finding, error) {
	secret, err := s.certs.secret(ctx, ref, parent.GetNamespace(), child, leaf)
	if err != nil {
		return 0, nil, err
	}
	trouble, err := s.applyAll(ctx, parent, []client.Object{secret})
	return s.certs.renewIn(secret), trouble, err
}

// deleteUnwanted removes children that an earlier spec asked for, if they are ours.
func (s *shared) deleteUnwanted(ctx context.Context, parent client.Object, objects []client.Object) error {
	for _, o := range objects {
		err := s.client.Get(ctx, client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if !metav1.IsControlledBy(o, parent) {
			continue
		}
		if err := s.client.Delete(ctx, o, client.Preconditions{UID: ptrTo(o.GetUID())}); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

func ptrTo(u types.UID) *types.UID { return &u }

// setFinalizer adds or removes our finalizer, guarded by the resourceVersion;
// obj is the object as it is then.
func (s *shared) setFinalizer(ctx context.Context, obj client.Object, want bool) error {
	before, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		return nil // a copy of a client.Object is one
	}
	change := controllerutil.RemoveFinalizer
	if want {
		change = controllerutil.AddFinalizer
	}
	if !change(obj, v1alpha1.FinalizerDuties) {
		return nil
	}
	err := s.client.Patch(ctx, obj, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldOwner))
	return client.IgnoreNotFound(err)
}

// soonest is the earlier of two times to look again; 0 is never.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
