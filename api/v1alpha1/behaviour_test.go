package v1alpha1_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// full are manifests with every field of our own.
var full = map[string]string{
	"ConversationStore": `
metadata: {name: full, namespace: default}
spec:
  suspend: true
  sqlite: {storageSize: 20Gi, storageClassName: standard}
  retention: {messages: 0s, raw: 168h, events: 720h, media: 24h}
  reopenWindow: 12h
  api:
    tokens:
      - {name: desk, secretRef: {name: desk-token}, namespaces: ["*"], access: Admin}
      - {name: reports, secretRef: {name: reports-token}, namespaces: [shop, support], access: Read}
  allowedBridges: {from: Selector, selector: {matchLabels: {team: sales}}}
  resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 1Gi}}`,
	"Bridge": `
metadata: {name: full, namespace: default}
spec:
  suspend: true
  replicas: 2
  storeRef: {name: default, namespace: platform}
  publicURL: https://hooks.example.com
  allowedChannels: {from: All}
  platformEndpoints: [{platform: telegram, url: "http://telegram-bot-api.shop:8081"}]
  expose:
    serviceType: LoadBalancer
    nodePort: 30080
    ingress: {className: nginx, tlsSecretName: hooks-tls, annotations: {cert-manager.io/cluster-issuer: letsencrypt}}
  egress: {cidrs: [149.154.160.0/20], allowPrivateHosts: true}
  resources: {requests: {cpu: 100m}}`,
	"Channel": `
metadata: {name: full, namespace: default}
spec:
  platform: telegram
  telegram:
    botID: "110201543"
    receive: Webhook
    maxConnections: 100
    profile:
      name: Shop
      description: ""
      shortDescription: We answer from nine to five
      commands: []
      localized: [{languageCode: de, name: Laden, commands: [{command: start, description: Anfangen}]}]
  bridgeRef: {name: default, namespace: platform}
  credentials: {secretRef: {name: telegram-main}, overlap: 0s}
  limits: {inboundPerSecond: 10, outboundPerSecond: 20, maxMediaBytes: 1048576}
  reopenWindow: 1h30m
  resendUnknown: true
  suspend: true`,
}

func TestGoodManifestsAreTaken(t *testing.T) {
	s := server(t)
	for kind := range resources {
		assert.NoError(t, s.try(manifest(t, kind)), "minimal %s", kind)
		assert.NoError(t, s.try(parse(t, kind, full[kind])), "full %s", kind)
	}
}

// TestSamplesAreTaken: what people copy must work.
func TestSamplesAreTaken(t *testing.T) {
	s := server(t)
	tried := 0
	for _, sample := range []string{"shop", "quickstart"} {
		files, err := filepath.Glob(filepath.Join("../../config/samples", sample, "*.yaml"))
		require.NoError(t, err)
		for _, f := range files {
			raw, err := os.ReadFile(f)
			require.NoError(t, err)
			for _, text := range strings.Split(string(raw), "\n---\n") {
				u := &unstructured.Unstructured{}
				require.NoError(t, yaml.Unmarshal([]byte(text), &u.Object), f)
				if u.GroupVersionKind().Group != v1alpha1.GroupVersion.Group {
					continue
				}
				u.SetNamespace("default")
				assert.NoError(t, s.try(u), f)
				tried++
			}
		}
	}
	assert.GreaterOrEqual(t, tried, 5)
}

// TestFullManifestsAreFull keeps the manifests above complete.
func TestFullManifestsAreFull(t *testing.T) {
	for kind := range resources {
		u := parse(t, kind, full[kind])
		for name := range at(schemaOf(t, kind), ".spec").Properties {
			_, found, err := unstructured.NestedFieldNoCopy(u.Object, "spec", name)
			require.NoError(t, err)
			assert.True(t, found, "%s spec.%s", kind, name)
		}
	}
}

func TestUnknownFieldsAreNamed(t *testing.T) {
	s := server(t)
	for kind := range resources {
		u := manifest(t, kind)
		set(t, u, "spec.colour", "red")
		assert.ErrorContains(t, s.try(u), `unknown field "spec.colour"`)
	}
}

// TestNoDriftAfterApply: GitOps tools compare what is in Git with what is in
// the cluster; nothing may be added, dropped or rewritten on the way.
func TestNoDriftAfterApply(t *testing.T) {
	s := server(t)
	for kind := range resources {
		for _, side := range []string{"--server-side=false", "--server-side"} {
			file := filepath.Join(t.TempDir(), "manifest.yaml")
			raw, err := yaml.Marshal(parse(t, kind, full[kind]).Object)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, raw, 0o600))

			out, err := s.run("", "apply", side, "-f", file)
			require.NoError(t, err, out)
			out, err = s.run("", "diff", side, "-f", file)
			assert.NoError(t, err, out)
			kept, err := s.resource(kind).Get(t.Context(), "full", metav1.GetOptions{})
			require.NoError(t, err)
			assert.JSONEq(t, toJSON(t, parse(t, kind, full[kind]).Object["spec"]), toJSON(t, kept.Object["spec"]))
			require.NoError(t, s.resource(kind).Delete(t.Context(), "full", metav1.DeleteOptions{}))
		}
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}

// TestTypesReadEveryField: the Go types know all that the schemas do.
func TestTypesReadEveryField(t *testing.T) {
	for kind, typed := range map[string]any{
		"ConversationStore": &v1alpha1.ConversationStore{}, "Bridge": &v1alpha1.Bridge{}, "Channel": &v1alpha1.Channel{},
	} {
		assert.NoError(t, yaml.UnmarshalStrict([]byte(toJSON(t, parse(t, kind, full[kind]).Object)), typed))
	}
}

// TestNoCommandsIsNotNothing: an empty list removes a bot's commands, and a
// missing one leaves them alone; the types must not turn one into the other.
func TestNoCommandsIsNotNothing(t *testing.T) {
	for manifest, want := range map[string]string{`{"commands":[]}`: `{"commands":[]}`, `{}`: `{}`} {
		var profile v1alpha1.TelegramProfile
		require.NoError(t, json.Unmarshal([]byte(manifest), &profile))
		assert.Equal(t, want, toJSON(t, profile))
		assert.Equal(t, want, toJSON(t, profile.DeepCopy()))
	}
}

func TestCRDsApplyClientSide(t *testing.T) {
	s := server(t) // has applied them once
	out, err := s.run("", "apply", "-f", crdDir)
	require.NoError(t, err, out)
	assert.Equal(t, len(resources), strings.Count(out, "unchanged"), out)
}

// TestPlatformIsImmutable: with one platform in the enum nothing else can be
// asked for, so the rule is tried on a copy of the CRD with a second one.
func TestPlatformIsImmutable(t *testing.T) {
	s := server(t)
	c := crd(t, "Channel")
	c.Name, c.Spec.Group = "channels.immutable.test", "immutable.test"
	c.Spec.Names.ShortNames, c.Spec.Names.Categories = nil, nil
	raw, err := json.Marshal(c)
	require.NoError(t, err)
	definition := strings.Replace(string(raw), `"enum":["telegram"]`, `"enum":["telegram","other"]`, 1)
	require.NotEqual(t, string(raw), definition)
	out, err := s.run(definition, "create", "-f", "-")
	require.NoError(t, err, out)
	out, err = s.run("", "wait", "--for=condition=Established", "--timeout=30s", "crd/"+c.Name)
	require.NoError(t, err, out)

	resource := s.client.Resource(schema.GroupVersionResource{Group: c.Spec.Group, Version: "v1alpha1", Resource: "channels"}).Namespace("default")
	u := manifest(t, "Channel")
	u.SetAPIVersion(c.Spec.Group + "/v1alpha1")
	var kept *unstructured.Unstructured
	require.Eventually(t, func() bool { // the endpoint opens just after the condition
		kept, err = resource.Create(context.Background(), u, metav1.CreateOptions{})
		return err == nil
	}, 10*time.Second, 50*time.Millisecond, "%v", err)
	set(t, kept, "spec.platform", "other")
	set(t, kept, "spec.telegram", nil)
	_, err = resource.Update(t.Context(), kept, metav1.UpdateOptions{})
	assert.ErrorContains(t, err, samePlatform)
}

func TestChannelsCanBeSelectedByTheirBridge(t *testing.T) {
	s := server(t)
	kept := s.keep(t, manifest(t, "Channel"))
	set(t, kept, "status.bridge", "shop/default")
	_, err := s.resource("Channel").UpdateStatus(t.Context(), kept, metav1.UpdateOptions{})
	require.NoError(t, err)
	for selector, want := range map[string]int{
		"spec.platform=telegram": 1, "status.bridge=shop/default": 1, "status.bridge=shop/other": 0,
	} {
		found, err := s.resource("Channel").List(t.Context(), metav1.ListOptions{FieldSelector: selector})
		require.NoError(t, err)
		assert.Len(t, found.Items, want, selector)
	}
}

// TestNamesOnTheCommandLine: short names, and the category that lists all kinds.
func TestNamesOnTheCommandLine(t *testing.T) {
	s := server(t)
	for kind, short := range map[string]string{"ConversationStore": "cst", "Bridge": "br", "Channel": "chan"} {
		s.keep(t, manifest(t, kind))
		out, err := s.run("", "get", short, "-o", "name")
		require.NoError(t, err, out)
		assert.Contains(t, out, strings.ToLower(kind)+".bridgekeeper.dev/")
	}
	out, err := s.run("", "get", "bridgekeeper", "-o", "name")
	require.NoError(t, err, out)
	assert.Equal(t, len(resources), strings.Count(out, "bridgekeeper.dev/"), out)
}

// TestBridgeScales: kubectl scale and autoscalers write spec.replicas.
func TestBridgeScales(t *testing.T) {
	s := server(t)
	s.keep(t, manifest(t, "Bridge"))
	out, err := s.run("", "scale", "bridge/default", "--replicas=3")
	require.NoError(t, err, out)
	scaled, err := s.resource("Bridge").Get(t.Context(), "default", metav1.GetOptions{})
	require.NoError(t, err)
	replicas, _, err := unstructured.NestedInt64(scaled.Object, "spec", "replicas")
	require.NoError(t, err)
	assert.EqualValues(t, 3, replicas)
}
