package v1alpha1_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

const crdDir = "../../config/crd/bases"

// resources are the kinds of the group, by their plural.
var resources = map[string]string{
	"ConversationStore": "conversationstores",
	"Bridge":            "bridges",
	"Channel":           "channels",
	"Schedule":          "schedules",
	"AgentQueue":        "agentqueues",
	"Bot":               "bots",
	"RoutingPolicy":     "routingpolicies",
	"SurveyCampaign":    "surveycampaigns",
}

// apiServer is a real API server with the CRDs in it, installed as users do
// who know nothing of server-side apply.
type apiServer struct {
	client     dynamic.Interface
	kubectl    string
	kubeconfig string
}

var (
	environment = &envtest.Environment{ControlPlaneStartTimeout: 3 * time.Minute} // its own 20 s are for an idle machine
	startOnce   sync.Once
	started     *apiServer
	folder      string // of the kubeconfig
)

func TestMain(m *testing.M) {
	code := m.Run()
	// Also after a start that failed half-way; before one there is nothing to stop.
	if err := environment.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the API server:", err)
		code = 1
	}
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// server starts the API server on first use.
func server(t *testing.T) *apiServer {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set, so there is no API server to test against; run:\n" +
			"  export KUBEBUILDER_ASSETS=$(hack/cluster/cluster.sh binaries --envtest)")
	}
	startOnce.Do(func() {
		var err error
		started, err = start(assets)
		require.NoError(t, err)
	})
	if started == nil {
		t.Fatal("there is no API server; the first failure says why")
	}
	return started
}

func start(assets string) (*apiServer, error) {
	config, err := environment.Start()
	if err != nil {
		return nil, err
	}
	if folder, err = os.MkdirTemp("", "bridgekeeper-api"); err != nil {
		return nil, err
	}
	s := &apiServer{kubectl: filepath.Join(assets, "kubectl"), kubeconfig: filepath.Join(folder, "kubeconfig")}
	if err := os.WriteFile(s.kubeconfig, environment.KubeConfig, 0o600); err != nil {
		return nil, err
	}
	if s.client, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"apply", "-f", crdDir}, // client-side: keeps a copy of each CRD in an annotation
		{"wait", "--for=condition=Established", "--timeout=120s", "-f", crdDir},
	} {
		if out, err := s.run("", args...); err != nil {
			return nil, fmt.Errorf("kubectl %v: %w\n%s", args, err, out)
		}
	}
	return s, nil
}

// run runs kubectl and returns what it wrote.
func (s *apiServer) run(stdin string, args ...string) (string, error) {
	cmd := exec.Command(s.kubectl, append([]string{"--kubeconfig", s.kubeconfig}, args...)...)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *apiServer) resource(kind string) dynamic.ResourceInterface {
	gvr := schema.GroupVersionResource{Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Resource: resources[kind]}
	return s.client.Resource(gvr).Namespace("default")
}

// try creates an object without keeping it, as strictly as kubectl does: an
// unknown field is an error.
func (s *apiServer) try(u *unstructured.Unstructured) error {
	_, err := s.resource(u.GetKind()).Create(context.Background(), u, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

// keep creates an object and deletes it when the test is over.
func (s *apiServer) keep(t *testing.T, u *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	kept, err := s.resource(u.GetKind()).Create(t.Context(), u, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	require.NoError(t, err)
	t.Cleanup(func() {
		err := s.resource(u.GetKind()).Delete(context.Background(), u.GetName(), metav1.DeleteOptions{})
		if !apierrors.IsNotFound(err) {
			require.NoError(t, err)
		}
	})
	return kept
}

// minimal are the smallest manifests that work.
var minimal = map[string]string{
	"ConversationStore": `{metadata: {name: default, namespace: default}, spec: {}}`,
	"Bridge":            `{metadata: {name: default, namespace: default}, spec: {}}`,
	"Channel": `{metadata: {name: telegram-main, namespace: default},
	             spec: {platform: telegram, telegram: {botID: "110201543"}, credentials: {secretRef: {name: telegram-main}}}}`,
	"Schedule":   `{metadata: {name: hours, namespace: default}, spec: {timeZone: UTC}}`,
	"AgentQueue": `{metadata: {name: general, namespace: default}, spec: {}}`,
	"Bot": `{metadata: {name: menu, namespace: default},
	         spec: {webhook: {url: "https://bot.example.com/", secretRef: {name: bot}}}}`,
	"RoutingPolicy": `{metadata: {name: inbound, namespace: default},
	                   spec: {defaultRoute: {backendRefs: [{kind: AgentQueue, name: general}]}}}`,
	"SurveyCampaign": `{metadata: {name: nps, namespace: default},
	                    spec: {type: NPS, window: {start: "2026-10-01T00:00:00Z", end: "2027-01-01T00:00:00Z"}, channelRefs: [{name: telegram-main}], trigger: {events: [ConversationResolved]},
	                           languages: {offered: [en]}, questions: [{id: score, kind: Score, text: {en: "0 to 10?"}}]}}`,
}

// manifest is the minimal manifest of a kind.
func manifest(t *testing.T, kind string) *unstructured.Unstructured {
	t.Helper()
	return parse(t, kind, minimal[kind])
}

func parse(t *testing.T, kind, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &u.Object))
	u.SetAPIVersion(v1alpha1.GroupVersion.String())
	u.SetKind(kind)
	return u
}
