package controllers

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// httpRoutes is the CRD of the Gateway API's HTTPRoute.
func httpRoutes(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	raw, err := os.ReadFile("testdata/httproutes.yaml")
	require.NoError(t, err)
	u := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal(raw, &u.Object))
	return u
}

// route reads the HTTPRoute of a Bridge; nil when there is none.
func route(t *testing.T, b *v1alpha1.Bridge) *unstructured.Unstructured {
	t.Helper()
	u := workload.NewHTTPRoute()
	if k8s.Get(t.Context(), client.ObjectKey{Namespace: b.Namespace, Name: workload.BridgeChild(b.Name)}, u) != nil {
		return nil
	}
	return u
}

// accept plays the controller of the Gateway.
func accept(t *testing.T, b *v1alpha1.Bridge, status metav1.ConditionStatus, reason string) {
	t.Helper()
	u := route(t, b)
	require.NotNil(t, u)
	require.NoError(t, unstructured.SetNestedSlice(u.Object, []any{map[string]any{
		"controllerName": "example.com/gateway",
		"parentRef":      map[string]any{"name": "public", "namespace": "infra"},
		"conditions": []any{map[string]any{
			"type": "Accepted", "status": string(status), "reason": reason, "message": "because",
			"observedGeneration": u.GetGeneration(), "lastTransitionTime": "2026-11-22T10:00:00Z",
		}},
	}}, "status", "parents"))
	require.NoError(t, k8s.Status().Update(t.Context(), u))
}

// One story, for there is one cluster: it has no Gateway API, then gets it.
func TestHTTPRoute(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t)
	b, other := webhookBridge(ns), newBridge(ns, "other")
	b.Spec.Expose = &v1alpha1.Expose{Gateway: &v1alpha1.GatewayTemplate{ParentRefs: []v1alpha1.GatewayReference{{Name: "public", Namespace: "infra"}}}}
	create(t, b, other)
	c := wait(t, b, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonGatewayAPIMissing)
	require.Contains(t, c.Message, "spec.expose.gateway")
	require.True(t, apimeta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionReconciling), "it may be installed just now: %s", describe(b))
	wait(t, other, v1alpha1.ConditionReady, metav1.ConditionTrue, "")

	create(t, httpRoutes(t))
	wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	u := route(t, b)
	require.NotNil(t, u)
	hosts, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "hostnames")
	require.Equal(t, []string{"hooks.example.com"}, hosts)
	require.True(t, metav1.IsControlledBy(u, b))
	require.Nil(t, route(t, other))

	t.Run("refused by its Gateway, then let in", func(t *testing.T) {
		accept(t, b, metav1.ConditionFalse, "NotAllowedByListeners")
		c := wait(t, b, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonRouteNotAccepted)
		require.Contains(t, c.Message, "infra/public")
		require.True(t, apimeta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionReady), "somebody else's trouble does not break the latch: %s", describe(b))
		accept(t, b, metav1.ConditionTrue, "Accepted")
		wait(t, b, v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, "")
	})
	t.Run("drift is repaired", func(t *testing.T) {
		u := route(t, b)
		require.NoError(t, unstructured.SetNestedStringSlice(u.Object, []string{"evil.example.com"}, "spec", "hostnames"))
		require.NoError(t, k8s.Update(t.Context(), u))
		require.True(t, eventually(t, func() bool {
			hosts, _, _ := unstructured.NestedStringSlice(route(t, b).Object, "spec", "hostnames")
			return len(hosts) == 1 && hosts[0] == "hooks.example.com"
		}), "a change was not repaired")
		require.NoError(t, k8s.Delete(t.Context(), route(t, b)))
		require.True(t, eventually(t, func() bool { return route(t, b) != nil }), "it was not made again")
	})
	t.Run("at rest it is left alone", func(t *testing.T) {
		before := route(t, b).GetResourceVersion()
		update(t, b, func(b *v1alpha1.Bridge) { b.Labels = map[string]string{"looked-at": "again"} })
		update(t, b, func(b *v1alpha1.Bridge) { two := int32(2); b.Spec.Replicas = &two })
		wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
		require.Equal(t, before, route(t, b).GetResourceVersion())
	})
	t.Run("the Gateway API is uninstalled and comes back", func(t *testing.T) {
		lookNow := func(label string) {
			update(t, b, func(b *v1alpha1.Bridge) { b.Labels = map[string]string{"looked-at": label} })
		}
		definition := httpRoutes(t)
		require.NoError(t, k8s.Delete(t.Context(), definition))
		gone(t, definition)
		lookNow("without")
		wait(t, b, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonGatewayAPIMissing)
		create(t, httpRoutes(t))
		require.True(t, eventually(t, func() bool {
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(workload.HTTPRouteKind)
			return k8s.List(t.Context(), list, client.InNamespace(ns)) == nil
		}), "it is not served")
		lookNow("with")
		wait(t, b, v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, "")
		require.NotNil(t, route(t, b))
	})
	t.Run("it goes when it is no longer asked for", func(t *testing.T) {
		update(t, b, func(b *v1alpha1.Bridge) { b.Spec.Expose = nil })
		require.True(t, eventually(t, func() bool { return route(t, b) == nil }))
		wait(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	})
}

func TestAskForRoutes(t *testing.T) {
	kind := workload.HTTPRouteKind
	forbidden := apierrors.NewForbidden(schema.GroupResource{Group: kind.Group, Resource: "httproutes"}, "", errors.New("no"))
	for name, tc := range map[string]struct {
		installed  bool
		namespaces []string
		answer     map[string]error // by namespace
		want       string
		fails      bool
	}{
		"not installed":             {want: v1alpha1.ReasonGatewayAPIMissing},
		"installed":                 {installed: true},
		"no right":                  {installed: true, answer: map[string]error{"": forbidden}, want: v1alpha1.ReasonRolloutFailed},
		"no right in one namespace": {installed: true, namespaces: []string{"a", "b"}, answer: map[string]error{"b": forbidden}, want: v1alpha1.ReasonRolloutFailed},
		"rights where it watches":   {installed: true, namespaces: []string{"a"}, answer: map[string]error{"": forbidden, "b": forbidden}},
		"nobody answers":            {installed: true, answer: map[string]error{"": errors.New("timeout")}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			mapper := apimeta.NewDefaultRESTMapper(nil)
			if tc.installed {
				mapper.Add(kind, apimeta.RESTScopeNamespace)
			}
			reader := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
				List: func(_ context.Context, _ client.WithWatch, _ client.ObjectList, options ...client.ListOption) error {
					return tc.answer[(&client.ListOptions{}).ApplyOptions(options).Namespace]
				},
			})
			finding, err := askForRoutes(t.Context(), mapper, reader, tc.namespaces)
			require.Equal(t, tc.fails, err != nil)
			if tc.want == "" {
				require.Nil(t, finding)
				return
			}
			require.Equal(t, tc.want, finding.Reason)
			require.Contains(t, finding.Message, "spec.expose.gateway")
		})
	}
}
