package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// routes are the operator's own HTTPRoutes. A cluster may get the kind at any
// time, and a manager that watches a kind that is not there does not start: so
// the watch begins when the kind is first seen, with a cache of its own that
// holds our routes and no others.
type routes struct {
	manager    ctrl.Manager
	namespaces []string // watched; none: all
	now        func() time.Time

	mu      sync.Mutex
	bridges controller.Controller // whose requests the watch makes
	cache   cache.Cache           // nil while the kind is not known
	asked   time.Time
	missing *compile.Finding // the answer, when it was no
}

// reader reads our routes; nil, with a reason for people, while there are none
// to read. Who wants none asks the cluster only once: without the kind at the
// start there are no routes of ours, and later ones are made through here.
func (r *routes) reader(ctx context.Context, wanted bool) (client.Reader, *compile.Finding, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cache != nil {
		return r.cache, nil, nil
	}
	if !r.asked.IsZero() && (!wanted || r.now().Sub(r.asked) < askAgain) {
		return nil, r.missing, nil
	}
	missing, err := askForRoutes(ctx, r.manager.GetRESTMapper(), r.manager.GetAPIReader(), r.namespaces)
	if err != nil && !wanted {
		return nil, nil, nil // asked again next time; nobody else's Bridge waits for it
	}
	if err != nil {
		return nil, nil, fmt.Errorf("asking for HTTPRoutes: %w", err)
	}
	r.asked, r.missing = r.now(), missing
	if missing != nil {
		return nil, missing, nil
	}
	c, err := r.watch()
	if err != nil {
		return nil, nil, fmt.Errorf("watching HTTPRoutes: %w", err)
	}
	r.cache = c
	return c, nil, nil
}

// askForRoutes says why HTTPRoutes cannot be used in the namespaces (none:
// all); nil: they can. A watch on what may not be listed would never come up,
// and with it no Bridge.
func askForRoutes(ctx context.Context, mapper meta.RESTMapper, reader client.Reader, namespaces []string) (*compile.Finding, error) {
	_, err := mapper.RESTMapping(workload.HTTPRouteKind.GroupKind(), workload.HTTPRouteKind.Version)
	if meta.IsNoMatchError(err) {
		return gatewayAPIMissing(), nil
	}
	if err != nil {
		return nil, err
	}
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range namespaces {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(workload.HTTPRouteKind)
		err := reader.List(ctx, list, client.InNamespace(namespace), client.Limit(1))
		if apierrors.IsForbidden(err) {
			return routesForbidden(err), nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (r *routes) watch() (cache.Cache, error) {
	options := cache.Options{
		HTTPClient: r.manager.GetHTTPClient(), Scheme: r.manager.GetScheme(), Mapper: r.manager.GetRESTMapper(),
		DefaultLabelSelector: labels.SelectorFromSet(labels.Set{workload.LabelManagedBy: workload.ManagedBy}),
		DefaultTransform:     cache.TransformStripManagedFields(),
		DefaultNamespaces:    map[string]cache.Config{},
	}
	for _, n := range r.namespaces {
		options.DefaultNamespaces[n] = cache.Config{}
	}
	c, err := cache.New(r.manager.GetConfig(), options)
	if err != nil {
		return nil, err
	}
	if err := r.manager.Add(c); err != nil {
		return nil, err
	}
	owner := handler.EnqueueRequestForOwner(r.manager.GetScheme(), r.manager.GetRESTMapper(), &v1alpha1.Bridge{}, handler.OnlyControllerOwner())
	return c, r.bridges.Watch(source.Kind[client.Object](c, workload.NewHTTPRoute(), owner))
}

// route applies the HTTPRoute that a Bridge asks for, or removes the one that
// it no longer does.
func (r *bridgeReconciler) route(ctx context.Context, b *v1alpha1.Bridge) (*compile.Finding, error) {
	want := workload.BridgeRoute(b)
	reader, missing, err := r.routes.reader(ctx, want != nil)
	if err != nil || reader == nil {
		if want == nil {
			missing = nil
		}
		return missing, err
	}
	if want != nil {
		trouble, err := r.applyAll(ctx, b, []client.Object{want})
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) { // it was uninstalled
			return gatewayAPIMissing(), nil
		}
		if err != nil || trouble != nil {
			return trouble, err
		}
	}
	live := workload.NewHTTPRoute()
	err = reader.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: workload.BridgeChild(b.Name)}, live)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case want == nil:
		return nil, r.deleteUnwanted(ctx, b, []client.Object{live})
	}
	return routeNotAccepted(workload.RefusedParent(live)), nil
}

const gatewayField = "spec.expose.gateway"

func gatewayAPIMissing() *compile.Finding {
	return &compile.Finding{
		Condition: v1alpha1.ConditionResolvedRefs, Reason: v1alpha1.ReasonGatewayAPIMissing, Field: gatewayField, Terminal: true, Grace: compile.Grace,
		Message: gatewayField + ": this cluster has no HTTPRoutes (" + workload.HTTPRouteKind.GroupVersion().String() +
			"); install the Gateway API, or use spec.expose.ingress instead",
	}
}

func routesForbidden(err error) *compile.Finding {
	return &compile.Finding{
		Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonRolloutFailed, Field: gatewayField, Terminal: true,
		Message: gatewayField + ": the operator may not use HTTPRoutes; install the roles of its version: " + err.Error(),
	}
}

// routeNotAccepted passes by itself: once the Gateway lets the route in.
func routeNotAccepted(gateway, reason, message string) *compile.Finding {
	if gateway == "" {
		return nil
	}
	return &compile.Finding{
		Condition: v1alpha1.ConditionResolvedRefs, Reason: v1alpha1.ReasonRouteNotAccepted, Field: gatewayField,
		Message: fmt.Sprintf("%s.parentRefs: Gateway %s does not accept the HTTPRoute: %s: %s; see the allowedRoutes and hostnames of its listeners", gatewayField, gateway, reason, message),
	}
}
