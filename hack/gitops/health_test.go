package main

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// condition of a status, as the operator writes it.
type condition struct{ typ, status, reason string }

func resource(k kind, generation, observed int64, conditions ...condition) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": k.group + "/" + k.version, "kind": k.name,
		"metadata": map[string]any{"namespace": "shop", "name": "main", "generation": generation},
		"spec":     map[string]any{},
		"status":   map[string]any{"observedGeneration": observed},
	}}
	var list []any
	for _, c := range conditions {
		list = append(list, map[string]any{
			"type": c.typ, "status": c.status, "reason": c.reason, "message": "as it is", "observedGeneration": observed,
			"lastTransitionTime": "2026-11-22T10:00:00Z",
		})
	}
	if list != nil {
		u.Object["status"].(map[string]any)["conditions"] = list
	}
	return u
}

func deleted(u *unstructured.Unstructured) *unstructured.Unstructured {
	u.Object["metadata"].(map[string]any)["deletionTimestamp"] = "2026-11-22T10:00:00Z"
	return u
}

// A moment in the life of a resource and what each says of it.
type moment struct {
	object  func(kind) *unstructured.Unstructured
	kstatus status.Status
	argo    string
	flux    status.Status
}

func at(generation, observed int64, conditions ...condition) func(kind) *unstructured.Unstructured {
	return func(k kind) *unstructured.Unstructured { return resource(k, generation, observed, conditions...) }
}

var (
	ready    = condition{"Ready", "True", "Ready"}
	notReady = condition{"Ready", "False", "NotLoaded"}
)

var moments = map[string]moment{
	"just made": {at(1, -1), status.InProgressStatus, "Progressing", status.InProgressStatus},
	"being put into force": {
		at(1, 1, notReady, condition{"Reconciling", "True", "NotLoaded"}),
		status.InProgressStatus, "Progressing", status.InProgressStatus,
	},
	"in force": {at(1, 1, ready, condition{"Accepted", "True", "Accepted"}), status.CurrentStatus, "Healthy", status.CurrentStatus},
	"changed, and not seen yet": {
		at(2, 1, ready), status.InProgressStatus, "Progressing", status.InProgressStatus,
	},
	"in force, and the platform is in trouble": {
		at(2, 2, ready, condition{"Delivering", "False", "Unreachable"}, condition{"CredentialsValid", "Unknown", "Unreachable"}),
		status.CurrentStatus, "Healthy", status.CurrentStatus,
	},
	"needs a person": {
		at(2, 2, condition{"Ready", "False", "SecretKeyMissing"}, condition{"Stalled", "True", "SecretKeyMissing"}),
		status.FailedStatus, "Degraded", status.FailedStatus,
	},
	"needed a person, and has been changed": {
		at(3, 2, condition{"Ready", "False", "SecretKeyMissing"}, condition{"Stalled", "True", "SecretKeyMissing"}),
		status.InProgressStatus, "Progressing", status.InProgressStatus,
	},
	"suspended while it was in force": {
		at(2, 2, condition{"Ready", "True", "Suspended"}), status.CurrentStatus, "Suspended", status.CurrentStatus,
	},
	"suspended before it was": {
		at(2, 2, condition{"Ready", "False", "Suspended"}), status.InProgressStatus, "Suspended", status.InProgressStatus,
	},
	"upgrade waits for its turn": {
		at(2, 2, ready, condition{"UpgradePending", "True", "WaitingForTurn"}), status.CurrentStatus, "Healthy", status.CurrentStatus,
	},
	"being deleted": {
		func(k kind) *unstructured.Unstructured {
			return deleted(resource(k, 2, 2, condition{"Ready", "False", "Deleting"}, condition{"Reconciling", "True", "Deleting"}))
		},
		status.TerminatingStatus, "Progressing", status.InProgressStatus,
	},
	"to be deleted, and not seen yet": {
		func(k kind) *unstructured.Unstructured { return deleted(resource(k, 2, 2, ready)) },
		status.TerminatingStatus, "Progressing", status.InProgressStatus,
	},
}

// With what we ship, Argo CD and Flux say of every kind at every moment what
// kstatus says.
func TestAllThreeAgree(t *testing.T) {
	all := shippedKinds(t)
	argo, flux := shippedArgo(t), shippedFlux(t)
	require.Len(t, argo, len(all))
	require.Len(t, flux, len(all))
	for _, k := range all {
		evaluator, err := cel.NewStatusEvaluator(flux[k])
		require.NoError(t, err)
		for name, m := range moments {
			t.Run(k.name+" "+name, func(t *testing.T) {
				u := m.object(k)
				result, err := status.Compute(u)
				require.NoError(t, err)
				assert.Equal(t, m.kstatus, result.Status, "kstatus")

				got, err := evaluator.Evaluate(t.Context(), u)
				require.NoError(t, err)
				assert.Equal(t, string(m.flux), string(got.Status), "Flux")

				health := runHealth(t, argo[k], u)
				assert.Equal(t, m.argo, health["status"], "Argo CD")
				assert.NotEmpty(t, health["message"])
			})
		}
	}
}

// The words of each for the same thing. A suspended resource is Suspended for
// Argo CD whatever else it is, and one that goes is not done for any of them.
func TestTheExpectationsAgreeAmongThemselves(t *testing.T) {
	same := map[status.Status]string{status.InProgressStatus: "Progressing", status.CurrentStatus: "Healthy", status.FailedStatus: "Degraded", status.TerminatingStatus: "Progressing"}
	for name, m := range moments {
		if m.argo != "Suspended" {
			assert.Equal(t, same[m.kstatus], m.argo, name)
		}
		if m.kstatus != status.TerminatingStatus {
			assert.Equal(t, m.kstatus, m.flux, name)
		}
	}
}

// Whatever combination the operator may write, not only those that come to mind.
func TestAllThreeAgreeOnEverythingElse(t *testing.T) {
	k := shippedKinds(t)[0]
	script := shippedArgo(t)[k]
	evaluator, err := cel.NewStatusEvaluator(shippedFlux(t)[k])
	require.NoError(t, err)
	same := map[string]status.Status{"Progressing": status.InProgressStatus, "Healthy": status.CurrentStatus, "Degraded": status.FailedStatus}
	for _, observed := range []int64{-1, 1, 2} {
		for _, isReady := range []string{"True", "False"} {
			for _, beside := range []string{"", "Reconciling", "Stalled"} {
				conditions := []condition{{"Ready", isReady, "Because"}, {"WebhookRegistered", "False", "Polling"}}
				if beside != "" {
					conditions = append(conditions, condition{beside, "True", "Because"})
				}
				u := resource(k, 2, observed, conditions...)
				want, err := status.Compute(u)
				require.NoError(t, err)
				name := fmt.Sprintf("observed %d, Ready %s, %s", observed, isReady, beside)
				got, err := evaluator.Evaluate(t.Context(), u)
				require.NoError(t, err)
				assert.Equal(t, string(want.Status), string(got.Status), "Flux: %s", name)
				assert.Equal(t, want.Status, same[runHealth(t, script, u)["status"]], "Argo CD: %s", name)
			}
		}
	}
}

func shippedKinds(t *testing.T) []kind {
	t.Helper()
	all, err := kinds("../../config")
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(content, into))
}

func shippedArgo(t *testing.T) map[kind]string {
	t.Helper()
	var configMap struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   map[string]any    `json:"metadata"`
		Data       map[string]string `json:"data"`
	}
	read(t, "../../config/gitops/argocd/argocd-cm.yaml", &configMap)
	scripts := map[kind]string{}
	for _, k := range shippedKinds(t) {
		if s, ok := configMap.Data["resource.customizations.health."+k.group+"_"+k.name]; ok {
			scripts[k] = s
		}
	}
	require.Len(t, configMap.Data, len(scripts), "keys of kinds that are gone")
	return scripts
}

func shippedFlux(t *testing.T) map[kind]*kustomize.HealthCheckExpressions {
	t.Helper()
	var patch struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Spec       struct {
			Wait             bool                          `json:"wait"`
			HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	read(t, "../../config/gitops/flux/health-check-exprs.yaml", &patch)
	checks := map[kind]*kustomize.HealthCheckExpressions{}
	for _, c := range patch.Spec.HealthCheckExprs {
		for _, k := range shippedKinds(t) {
			if c.APIVersion == k.group+"/"+k.version && c.Kind == k.name {
				checks[k] = &c.HealthCheckExpressions
			}
		}
	}
	require.Len(t, patch.Spec.HealthCheckExprs, len(checks), "checks of kinds that are gone")
	return checks
}

// runHealth runs a script as Argo CD does: in gopher-lua, with the object in the
// global obj, with the base and table libraries only, for a second at most.
func runHealth(t *testing.T, script string, u *unstructured.Unstructured) map[string]string {
	t.Helper()
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		require.NoError(t, l.CallByParam(lua.P{Fn: l.NewFunction(open), Protect: true}, lua.LString(name)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l.SetContext(ctx)
	l.SetGlobal("obj", toLua(l, u.Object))
	require.NoError(t, l.DoString(script))
	table, ok := l.Get(-1).(*lua.LTable)
	require.True(t, ok, "the script returns a table")
	out := map[string]string{}
	table.ForEach(func(k, v lua.LValue) { out[k.String()] = v.String() })
	return out
}

func toLua(l *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	case bool:
		return lua.LBool(v)
	case []any:
		table := l.NewTable()
		for _, item := range v {
			table.Append(toLua(l, item))
		}
		return table
	case map[string]any:
		table := l.NewTable()
		for key, item := range v {
			table.RawSetString(key, toLua(l, item))
		}
		return table
	default:
		return lua.LNil
	}
}
