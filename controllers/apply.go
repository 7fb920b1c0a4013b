package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// FieldOwner is the server-side-apply owner of everything the operator writes.
const FieldOwner = "bridgekeeper"

// appliedAnnotation holds a hash of what was applied, so that a field that is
// no longer desired is noticed without an apply on every pass.
const appliedAnnotation = "bridgekeeper.dev/applied"

// conflictError means that an object of a needed name belongs to somebody else.
type conflictError struct {
	kind string
	name types.NamespacedName
}

func (e *conflictError) Error() string {
	return fmt.Sprintf("%s %s exists and is not ours; delete or rename it", e.kind, e.name)
}

// applier writes children by server-side apply, repairs drift of the fields
// it owns, and writes nothing when there is none.
type applier struct {
	client client.Client
	// live reads past the cache, which holds labelled objects only: a
	// stranger's object of a needed name is seen here alone.
	live client.Reader
}

// applied is what an apply did.
type applied struct {
	changed bool // something was written
	drift   bool // because somebody else had changed it
	version string
}

// apply brings one child to its desired state.
func (a applier) apply(ctx context.Context, desired client.Object) (applied, error) {
	want, err := toApplied(desired)
	if err != nil {
		return applied{}, err
	}
	drift := false
	live := desired.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy of a client.Object is one
	err = a.client.Get(ctx, client.ObjectKeyFromObject(desired), live)
	if apierrors.IsNotFound(err) {
		err = a.live.Get(ctx, client.ObjectKeyFromObject(desired), live)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return applied{}, err
	}
	if err == nil {
		if !ownedBySame(live, desired) {
			return applied{}, &conflictError{kind: want.GetKind(), name: client.ObjectKeyFromObject(desired)}
		}
		have, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
		if err != nil {
			return applied{}, err
		}
		path := difference(have, want.Object, "")
		if path == "" {
			return applied{version: live.GetResourceVersion()}, nil
		}
		log.FromContext(ctx).V(1).Info("applying", "kind", want.GetKind(), "object", client.ObjectKeyFromObject(desired), "because", path)
		drift = live.GetAnnotations()[appliedAnnotation] == want.GetAnnotations()[appliedAnnotation]
	}
	if err := a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(want), client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		return applied{}, fmt.Errorf("%s %s: %w", want.GetKind(), client.ObjectKeyFromObject(desired), err)
	}
	return applied{changed: true, drift: drift, version: want.GetResourceVersion()}, nil
}

// toApplied is the object as it is sent: without status and server-set fields,
// with the hash of itself.
func toApplied(desired client.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: content}
	delete(u.Object, "status")
	prune(u.Object)
	raw, err := json.Marshal(u.Object) // keys are sorted
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[appliedAnnotation] = hex.EncodeToString(sum[:8])
	u.SetAnnotations(annotations)
	return u, nil
}

// prune removes nulls, which typed objects leave where a field has no omitempty
// (creationTimestamp, an empty list), and which apply would take as "set to nothing".
func prune(m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			prune(v)
		case []any:
			for _, e := range v {
				if e, ok := e.(map[string]any); ok {
					prune(e)
				}
			}
		}
	}
}

// ownedBySame says whether a live object has the same controller as the
// desired one; strangers' objects are not adopted. Of two incarnations of one
// owner (deleted and made again) the old one's children are left to the
// garbage collector.
func ownedBySame(live, desired client.Object) bool {
	have, want := metav1.GetControllerOf(live), metav1.GetControllerOf(desired)
	if want == nil {
		return live.GetLabels()[workload.LabelManagedBy] == workload.ManagedBy
	}
	return have != nil && have.UID == want.UID
}

// difference is the path of the first thing desired that does not stand in
// have; "" when all of it does. Lists must be of equal length and order; what
// the server added to maps does not matter.
func difference(have, want any, path string) string {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok && (len(w) > 0 || have != nil) {
			return path
		}
		for k, v := range w {
			if d := difference(h[k], v, path+"."+k); d != "" {
				return d
			}
		}
		return ""
	case []any:
		h, ok := have.([]any)
		if (!ok && have != nil) || len(h) != len(w) {
			return path
		}
		for i := range w {
			if d := difference(h[i], w[i], path+"["+strconv.Itoa(i)+"]"); d != "" {
				return d
			}
		}
		return ""
	default:
		if !reflect.DeepEqual(have, want) {
			return path
		}
		return ""
	}
}
