package v1alpha1_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// full are manifests with every field of our own; others have what excludes
// something there (see unions_test.go).
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
  egress: {cidrs: [203.0.113.0/24], allowPrivateHosts: true}
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
    gateway: {parentRefs: [{name: public, namespace: infra, sectionName: https}], annotations: {external-dns.alpha.kubernetes.io/ttl: "60"}}
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
  defaultLanguage: pt-BR
  resendUnknown: true
  allowedPolicies: [{namespaces: {from: Same}}, {namespaces: {from: Selector, selector: {matchLabels: {team: cx}}}, maxPriority: 500}]
  allowedCampaigns: [{namespaces: {from: Selector, selector: {matchLabels: {team: cx}}}}]
  suspend: true`,
	"Schedule": `
metadata: {name: full, namespace: default}
spec:
  timeZone: Europe/Berlin
  weekly:
    - {days: [Mon, Tue, Wed, Thu, Fri], from: "08:00", to: "12:00"}
    - {days: [Mon, Tue, Wed, Thu, Fri], from: "13:30", to: "24:00"}
  exceptions:
    - {date: "2026-12-24", closed: true, name: Christmas Eve}
    - {date: "2026-12-27", from: "10:00", to: "14:00"}
  holidaySets: [{name: berlin, dates: ["2026-12-25", "2026-12-26"]}]
  suspend: true`,
	"AgentQueue": `
metadata: {name: full, namespace: default}
spec:
  storeRef: {name: main, namespace: platform}
  selector: {labels: {team: billing}, skills: [{name: lang/fr, minLevel: 3}]}
  strategy: LongestIdle
  capacity: {units: 100, costs: {voice: 100, chat: 20, mail: 0}, idleAfter: 15m, idleUnits: 5, maxNew: {count: 10, window: 1h}}
  offer: {mode: Offer, timeout: 30s, awayAfterMissed: 2}
  scheduleRef: {name: hours}
  limits: {maxDepth: 500, maxWait: 30m, onFull: NextStep}
  priorityBoostPerMinute: 0
  onOffline: {action: RequeueUnanswered, grace: 5m}
  suspend: true`,
	"Bot": `
metadata: {name: full, namespace: default}
spec:
  storeRef: {name: main, namespace: platform}
  builtIn:
    defaultLanguage: en
    greeting: {en: Hello, de: Hallo}
    menus:
      - name: main
        text: {en: "What is it about?", de: "Worum geht es?"}
        options:
          - {name: order, title: {en: My order, de: Meine Bestellung}, keywords: {en: [order, parcel]}, then: {text: {en: We look it up., de: Wir sehen nach.}, handover: true, topics: [orders]}}
          - {name: hours, title: {en: Hours, de: Zeiten}, then: {text: {en: 9 to 5, de: 9 bis 17 Uhr}, menu: main}}
    answers:
      - {name: thanks, keywords: {en: [thanks]}, pattern: "(?i)merci", then: {text: {en: You are welcome., de: Gern geschehen.}}}
    fallback: {en: "Sorry?", de: "Wie bitte?"}
    handover: {keywords: {en: [agent], de: [mensch]}, text: {en: One moment., de: Moment.}, maxTurns: 12, maxMisses: 2}
  suspend: true`,
	"RoutingPolicy":  fullPolicy,
	"SurveyCampaign": fullCampaign,
}

// fullPolicy has every field of a RoutingPolicy.
const fullPolicy = `
metadata: {name: full, namespace: default}
spec:
  parentRefs: [{name: telegram-main}, {name: main, namespace: shop}]
  channelSelector: {matchLabels: {team: billing}}
  priority: 100
  mode: Shadow
  split: {unit: Conversation, seed: rollout-1}
  rules:
    - name: vip
      matches:
        - languages: [fr, de]
          topics: [billing]
          labels: {brand: acme}
          attributes: {tier: gold}
          schedule: {name: hours, is: Open}
          text: {any: [invoice, bill], all: [help], none: [thanks]}
          sinceLastContact: {atLeast: 1h, lessThan: 72h}
          expression: 'contact.attributes.?tier.orValue("") == "gold"'
      set: {priority: High, labels: {segment: gold}}
      steps:
        - {name: known-agent, sticky: {maxAge: 720h, require: OnlineWithCapacity}, timeout: 2m}
        - name: team
          backendRefs: [{kind: AgentQueue, name: gold, weight: 95}, {kind: Bot, name: pilot, weight: 5}, {kind: Webhook, name: router, weight: 0}]
          skills: {required: [{name: lang/fr, minLevel: 2}], preferred: [{name: refunds, minLevel: 1, dropAfter: 5m}]}
          skipIf: {onlineBelow: 1, availableBelow: 1, depthAbove: 0, oldestWaitAbove: 10m}
          timeout: 10m
          clock: Business
          next: last
        - {name: last, backendRefs: [{kind: AgentQueue, name: general}]}
      onExhausted: Default
  outOfHours:
    scheduleRef: {name: hours}
    action: Bot
    away: {texts: {en: We are back at nine., de: Wir sind um neun zurück.}, oncePer: 12h}
    botRef: {name: menu}
  defaultRoute:
    backendRefs: [{kind: AgentQueue, name: general, weight: 1}]
    skills: {required: [{name: lang/en}]}
  reopen: {reroute: IfAgentUnavailable, within: 168h}
  greeting: {texts: {en: Hello}}
  autoReply: {texts: {en: We have your message.}, oncePer: 1h}
  defaultLanguage: en
  webhooks:
    - {name: router, url: "https://router.example.com/ask", secretRef: {name: router}, timeout: 2s, includeText: true}
  suspend: true`

func TestGoodManifestsAreTaken(t *testing.T) {
	s := server(t)
	for kind := range resources {
		assert.NoError(t, s.try(manifest(t, kind)), "minimal %s", kind)
		for _, text := range fulls(kind) {
			assert.NoError(t, s.try(parse(t, kind, text)), "full %s", kind)
		}
	}
}

// TestSamplesAreTaken: what people copy must work.
func TestSamplesAreTaken(t *testing.T) {
	s := server(t)
	tried := 0
	for _, sample := range []string{"shop", "quickstart", "messenger", "postgres", "routing-shop", "routing-telecom", "routing-rollout", "survey-nps", "survey-csat", "survey-messenger"} {
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
	assert.GreaterOrEqual(t, tried, 25)
}

// TestFullManifestsAreFull keeps the manifests above complete.
func TestFullManifestsAreFull(t *testing.T) {
	for kind := range resources {
		has := map[string]bool{}
		for _, text := range fulls(kind) {
			spec, _, err := unstructured.NestedMap(parse(t, kind, text).Object, "spec")
			require.NoError(t, err)
			for name := range spec {
				has[name] = true
			}
		}
		for name := range at(schemaOf(t, kind), ".spec").Properties {
			assert.True(t, has[name], "%s spec.%s", kind, name)
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
		for _, text := range fulls(kind) {
			for _, side := range []string{"--server-side=false", "--server-side"} {
				applyWithoutDrift(t, s, kind, text, side)
			}
		}
	}
}

func applyWithoutDrift(t *testing.T, s *apiServer, kind, text, side string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	raw, err := yaml.Marshal(parse(t, kind, text).Object)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, raw, 0o600))

	out, err := s.run("", "apply", side, "-f", file)
	require.NoError(t, err, out)
	out, err = s.run("", "diff", side, "-f", file)
	assert.NoError(t, err, out)
	kept, err := s.resource(kind).Get(t.Context(), "full", metav1.GetOptions{})
	require.NoError(t, err)
	assert.JSONEq(t, toJSON(t, parse(t, kind, text).Object["spec"]), toJSON(t, kept.Object["spec"]))
	require.NoError(t, s.resource(kind).Delete(t.Context(), "full", metav1.DeleteOptions{}))
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}

// TestTypesReadEveryField: the Go types know all that the schemas do.
func TestTypesReadEveryField(t *testing.T) {
	for kind, typed := range map[string]func() any{
		"ConversationStore": func() any { return &v1alpha1.ConversationStore{} },
		"Bridge":            func() any { return &v1alpha1.Bridge{} },
		"Channel":           func() any { return &v1alpha1.Channel{} },
		"Schedule":          func() any { return &v1alpha1.Schedule{} },
		"AgentQueue":        func() any { return &v1alpha1.AgentQueue{} },
		"Bot":               func() any { return &v1alpha1.Bot{} },
		"RoutingPolicy":     func() any { return &v1alpha1.RoutingPolicy{} },
		"SurveyCampaign":    func() any { return &v1alpha1.SurveyCampaign{} },
	} {
		for _, text := range fulls(kind) {
			assert.NoError(t, yaml.UnmarshalStrict([]byte(toJSON(t, parse(t, kind, text).Object)), typed()))
		}
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
	for kind, short := range map[string]string{
		"ConversationStore": "cst", "Bridge": "br", "Channel": "chan", "Schedule": "sched", "AgentQueue": "aq", "Bot": "bot", "RoutingPolicy": "rp", "SurveyCampaign": "survey",
	} {
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
