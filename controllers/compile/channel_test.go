package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

var (
	shopDefault = key("shop", "default")
	shopBot     = key("shop", "bot")
)

func TestChannelReachesBothDocuments(t *testing.T) {
	w := newWorld(t)
	w.Channels[0].Spec.Limits = &v1alpha1.ChannelLimits{InboundPerSecond: 7, OutboundPerSecond: 3, MaxMediaBytes: 9}
	w.Channels[0].Spec.DefaultLanguage = "pt-BR"
	w.Channels[0].Spec.Telegram.Profile = &v1alpha1.TelegramProfile{Commands: []v1alpha1.TelegramCommand{}}
	w.Secrets[0].Data["token"] = append(w.Secrets[0].Data["token"], '\n')
	w.Secrets[0].Data["stranger"] = []byte("not a key of the platform")
	r := w.compile()

	c := r.Channels[shopBot]
	require.Empty(t, c.Findings)
	require.Equal(t, shopDefault, c.Bridge)
	require.Equal(t, shopDefault, c.Store)
	require.Equal(t, v1alpha1.ReceiveWebhook, c.Receive)
	require.Equal(t, "https://hooks.example.com/webhooks/shop/bot", c.WebhookURL)

	got := entry(t, r, shopBot)
	require.Equal(t, "42", got.Account)
	require.Equal(t, map[string]string{"token": token("42", 'a')}, got.Credentials)
	require.Equal(t, document.Limits{InboundPerSecond: 7, OutboundPerSecond: 3, MaxMediaBytes: 9}, got.Limits)
	require.JSONEq(t, `{"botID":"42","profile":{"commands":[]}}`, string(got.Config),
		"an empty list of commands removes them, so it must arrive")

	stored := storeEntry(t, r, shopDefault, shopBot)
	require.Equal(t, &document.StoreChannel{
		UID: "uid-shop-bot", Platform: "telegram", Account: "42", Bridge: "shop/default",
		Receive: document.ReceiveWebhook, OutboundPerSecond: 3, DefaultLanguage: "pt-BR",
	}, stored)

	var settings document.BridgeSettings
	require.NoError(t, json.Unmarshal(r.Bridges[shopDefault].Document.Settings, &settings))
	require.Equal(t, document.BridgeSettings{StoreURL: "https://default.shop", PublicURL: testPublicURL}, settings)
	for _, e := range r.Stores[shopDefault].Document.Entries {
		if e.Kind == document.EntryBridge {
			require.JSONEq(t, `{"identity":"`+wire.BridgeIdentity("shop", "default")+`"}`, string(e.Spec))
		}
	}
}

// One row per rule: what is changed in a world that works, and what is said.
func TestChannelFindings(t *testing.T) {
	resolved, accepted, valid := v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionAccepted, v1alpha1.ConditionCredentialsValid
	tests := map[string]struct {
		change  func(*world)
		want    []string
		message string // contained in the first message
		served  bool   // the entry is in the document all the same
	}{
		"no bridge, defaults off": {
			change: func(w *world) { w.Bridges, w.opts.CreateDefaults = nil, false },
			want:   []string{resolved + "/RefNotFound"}, message: "spec.bridgeRef: is left out, and there is no Bridge shop/default",
		},
		"no bridge, defaults on": {
			change: func(w *world) { w.Bridges = nil },
			want:   []string{resolved + "/Progressing"}, message: "being made",
		},
		"named bridge is missing": {
			change: func(w *world) { w.Channels[0].Spec.BridgeRef = &v1alpha1.ObjectReference{Name: "edge"} },
			want:   []string{resolved + "/RefNotFound"}, message: "spec.bridgeRef: there is no Bridge shop/edge",
		},
		"own namespace is not selected": {
			change: func(w *world) {
				w.Bridges[0].Spec.AllowedChannels = selectNamespaces(map[string]string{"team": "desk"})
			},
			want: []string{resolved + "/RefNotPermitted"}, message: "add the namespace to its spec.allowedChannels",
		},
		"bridge without a store": {
			change: func(w *world) { w.Stores = nil },
			want:   []string{"Ready/BridgeNotReady"}, message: "Bridge shop/default", served: true,
		},
		"no secret": {
			change: func(w *world) { w.Secrets = nil },
			want:   []string{resolved + "/SecretNotUsable"}, message: "kubectl -n shop label secret bot",
		},
		"secret and bridge missing at once": {
			change: func(w *world) { w.Secrets, w.Bridges, w.opts.CreateDefaults = nil, nil, false },
			want:   []string{resolved + "/RefNotFound", resolved + "/SecretNotUsable"},
		},
		"secret in another namespace": {
			change: func(w *world) { w.Secrets[0].Namespace = "other" },
			want:   []string{resolved + "/SecretNotUsable"},
		},
		"key missing": {
			change: func(w *world) { delete(w.Secrets[0].Data, "token") },
			want:   []string{valid + "/SecretKeyMissing"}, message: `under the key "token" (of BotFather)`,
		},
		"key blank": {
			change: func(w *world) { w.Secrets[0].Data["token"] = []byte(" \n") },
			want:   []string{valid + "/SecretKeyMissing"},
		},
		"token malformed": {
			change: func(w *world) { w.Secrets[0].Data["token"] = []byte("hunter2") },
			want:   []string{valid + "/SecretValueInvalid"}, message: "BotFather",
		},
		"token of another bot": {
			change: func(w *world) { w.Secrets[0].Data["token"] = []byte(token("43", 'a')) },
			want:   []string{valid + "/SecretValueInvalid"}, message: "spec.telegram.botID",
		},
		"webhook secret with a space": {
			change: func(w *world) { w.Secrets[0].Data["webhookSecret"] = []byte("a b") },
			want:   []string{valid + "/SecretValueInvalid"}, message: `"webhookSecret"`,
		},
		"negative overlap": {
			change: func(w *world) { w.Channels[0].Spec.Credentials.Overlap = hours(-1) },
			want:   []string{accepted + "/InvalidSpec"}, message: "spec.credentials.overlap: -1h0m0s is negative",
		},
		"negative reopen window": {
			change: func(w *world) { w.Channels[0].Spec.ReopenWindow = hours(-1) },
			want:   []string{accepted + "/InvalidSpec"}, message: "spec.reopenWindow",
		},
		"typed block missing": {
			change: func(w *world) { w.Channels[0].Spec.Telegram = nil },
			want:   []string{accepted + "/InvalidSpec"}, message: "spec.telegram: is required",
		},
		"platform of a later version": {
			change: func(w *world) { w.Channels[0].Spec.Platform = "carrier-pigeon" },
			want:   []string{accepted + "/InvalidSpec"}, message: "spec.platform",
		},
		"webhook without public URL": {
			change: func(w *world) {
				w.Bridges[0].Spec.PublicURL = ""
				w.Channels[0].Spec.Telegram.Receive = v1alpha1.ReceiveWebhook
			},
			want: []string{v1alpha1.ConditionWebhookRegistered + "/NoPublicURL"}, message: "or choose Polling", served: true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			c := w.compile().Channels[shopBot]
			require.Equal(t, tt.want, reasons(c.Findings))
			require.Contains(t, c.Findings[0].Message, tt.message)
			require.Equal(t, tt.served, c.Entry != nil)
			for _, f := range c.Findings {
				require.NotContains(t, f.Message, "hunter2", "a secret's value is never quoted")
				require.NotContains(t, f.Message, strings.Repeat("a", 35))
				require.Contains(t, f.Message, f.Field, "the message names the field")
			}
		})
	}
}

func hours(n int) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(n) * time.Hour}
}

func selectNamespaces(l map[string]string) *v1alpha1.AllowedNamespaces {
	return &v1alpha1.AllowedNamespaces{From: v1alpha1.FromSelector, Selector: &v1alpha1.LabelSelector{MatchLabels: l}}
}

func TestUnlabelledSecretLooksLikeNone(t *testing.T) {
	w := newWorld(t)
	w.Secrets[0].Labels = nil
	unlabelled := w.compile().Channels[shopBot].Findings
	w.Secrets = nil
	require.Equal(t, w.compile().Channels[shopBot].Findings, unlabelled)
}

func TestReceiveMode(t *testing.T) {
	tests := map[string]struct {
		publicURL string
		chosen    v1alpha1.ReceiveMode
		want      v1alpha1.ReceiveMode
		url       string
	}{
		"a public URL means webhook": {testPublicURL, "", v1alpha1.ReceiveWebhook, testPublicURL + "/webhooks/shop/bot"},
		"none means polling":         {"", "", v1alpha1.ReceivePolling, ""},
		"polling chosen":             {testPublicURL, v1alpha1.ReceivePolling, v1alpha1.ReceivePolling, ""},
		"webhook chosen, no URL":     {"", v1alpha1.ReceiveWebhook, v1alpha1.ReceiveWebhook, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Bridges[0].Spec.PublicURL = tt.publicURL
			w.Channels[0].Spec.Telegram.Receive = tt.chosen
			r := w.compile()
			require.Equal(t, tt.want, r.Channels[shopBot].Receive)
			require.Equal(t, tt.url, r.Channels[shopBot].WebhookURL)
			require.Equal(t, tt.url, entry(t, r, shopBot).WebhookURL)
		})
	}
}

func TestAcrossNamespaces(t *testing.T) {
	build := func(t *testing.T, allow *v1alpha1.AllowedNamespaces) *world {
		w := newWorld(t)
		w.Stores, w.Bridges = []*v1alpha1.ConversationStore{newStore("platform", "default")}, nil
		b := newBridge("platform", "edge")
		b.Spec.AllowedChannels = allow
		w.Bridges = append(w.Bridges, b)
		w.Channels[0].Spec.BridgeRef = &v1alpha1.ObjectReference{Namespace: "platform", Name: "edge"}
		w.Namespaces = map[string]map[string]string{"shop": {"team": "desk"}}
		return w
	}
	allowed := map[string]*v1alpha1.AllowedNamespaces{
		"all":               {From: v1alpha1.FromAll},
		"selector":          selectNamespaces(map[string]string{"team": "desk"}),
		"name of namespace": selectNamespaces(map[string]string{"kubernetes.io/metadata.name": "shop"}),
	}
	for name, allow := range allowed {
		t.Run(name, func(t *testing.T) {
			r := build(t, allow).compile()
			require.Empty(t, r.Channels[shopBot].Findings)
			require.Equal(t, key("platform", "edge"), r.Channels[shopBot].Bridge)
		})
	}
	refused := map[string]*v1alpha1.AllowedNamespaces{
		"left out":       nil,
		"same":           {From: v1alpha1.FromSame},
		"other selector": selectNamespaces(map[string]string{"team": "sales"}),
	}
	nothing := build(t, nil)
	nothing.Bridges = nil
	want := nothing.compile().Channels[shopBot]
	require.Equal(t, []string{v1alpha1.ConditionResolvedRefs + "/RefNotPermitted"}, reasons(want.Findings))
	for name, allow := range refused {
		t.Run("refused "+name, func(t *testing.T) {
			r := build(t, allow).compile()
			require.Equal(t, want, r.Channels[shopBot], "a Bridge that refuses looks like none")
			require.Empty(t, r.Bridges[key("platform", "edge")].Document.Entries)
		})
	}
}

func TestSelectorTypoThrowsNobodyOut(t *testing.T) {
	w := newWorld(t)
	w.Bridges[0].Spec.AllowedChannels = selectNamespaces(map[string]string{"team": "desk"})
	w.Namespaces = map[string]map[string]string{"shop": {"team": "desk"}}
	w.write()
	w.Bridges[0].Spec.AllowedChannels.Selector = &v1alpha1.LabelSelector{
		MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "team", Operator: "Inn", Values: []string{"desk"}}},
	}
	late := newChannel("shop", "late", "43")
	w.Channels = append(w.Channels, late)
	w.Secrets = append(w.Secrets, newSecret("shop", "late", token("43", 'a')))
	r := w.compile()
	require.Equal(t, []string{v1alpha1.ConditionAccepted + "/InvalidSpec"}, reasons(r.Bridges[shopDefault].Findings))
	require.NotNil(t, r.Channels[shopBot].Entry)
	require.Nil(t, r.Channels[keyOf(late)].Entry)
}

func TestLastGood(t *testing.T) {
	breakers := map[string]func(*world){
		"secret gone":    func(w *world) { w.Secrets = nil },
		"label gone":     func(w *world) { w.Secrets[0].Labels = nil },
		"token mistyped": func(w *world) { w.Secrets[0].Data["token"] = []byte("oops") },
	}
	for name, breakIt := range breakers {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write()
			breakIt(w)
			w.Channels[0].Spec.Suspend = true
			r := w.compile()
			require.NotEmpty(t, r.Channels[shopBot].Findings)
			require.True(t, r.Channels[shopBot].LastGood)
			got := entry(t, r, shopBot)
			require.Equal(t, token("42", 'a'), got.Credentials["token"])
			require.True(t, got.Suspended, "the rest of the spec is in force")
		})
	}
	t.Run("spec invalid", func(t *testing.T) {
		w := newWorld(t)
		before := w.write()
		w.Channels[0].Generation = 2
		w.Channels[0].Spec.Suspend = true
		w.Channels[0].Spec.ReopenWindow = hours(-1)
		r := w.compile()
		require.Equal(t, before.Channels[shopBot].Entry, r.Channels[shopBot].Entry)
		require.False(t, storeEntry(t, r, shopDefault, shopBot).Suspended)
	})
	t.Run("not of a Channel of the same name before it", func(t *testing.T) {
		w := newWorld(t)
		w.write()
		w.Channels[0].UID = "another"
		w.Secrets = nil
		require.Nil(t, w.compile().Channels[shopBot].Entry)
	})
	t.Run("not when permission is withdrawn", func(t *testing.T) {
		w := newWorld(t)
		w.write()
		w.Bridges[0].Spec.AllowedChannels = selectNamespaces(map[string]string{"team": "desk"})
		require.Nil(t, w.compile().Channels[shopBot].Entry)
	})
}

func TestCreateDefaults(t *testing.T) {
	w := newWorld(t)
	w.Stores, w.Bridges = nil, nil
	second := newChannel("desk", "bot", "43")
	w.Channels = append(w.Channels, second)
	r := w.compile()
	require.Equal(t, []Default{
		{Kind: "ConversationStore", Namespace: "desk"}, {Kind: "ConversationStore", Namespace: "shop"},
		{Kind: "Bridge", Namespace: "desk"}, {Kind: "Bridge", Namespace: "shop"},
	}, r.CreateDefaults)
	require.False(t, r.Channels[shopBot].Findings[0].Terminal)

	for _, d := range r.CreateDefaults {
		switch o := d.Object().(type) {
		case *v1alpha1.ConversationStore:
			w.Stores = append(w.Stores, o)
		case *v1alpha1.Bridge:
			require.Empty(t, o.OwnerReferences)
			require.Equal(t, "true", o.Labels[v1alpha1.AutoCreatedLabel])
			w.Bridges = append(w.Bridges, o)
		}
	}
	r = w.compile()
	require.Empty(t, r.CreateDefaults)
	require.Empty(t, r.Channels[shopBot].Findings)

	w.Bridges, w.opts.CreateDefaults = nil, false
	require.Empty(t, w.compile().CreateDefaults)
}

func TestTokenAccess(t *testing.T) {
	long := strings.Repeat("k", 32)
	build := func(t *testing.T, value string) *world {
		w := newWorld(t)
		w.Stores[0].Spec.API = &v1alpha1.StoreAPI{Tokens: []v1alpha1.APIToken{{
			Name: "desk", SecretRef: v1alpha1.SecretReference{Name: "desk"}, Namespaces: []string{"shop", "*"}, Access: v1alpha1.APIAccessWrite,
		}}}
		w.Secrets = append(w.Secrets, newSecret("shop", "desk", value))
		return w
	}
	tokens := func(r *Result) []document.Token {
		var out []document.Token
		for _, e := range r.Stores[shopDefault].Document.Entries {
			if e.Kind == document.EntryToken {
				var tok document.Token
				require.NoError(t, json.Unmarshal(e.Spec, &tok))
				require.Equal(t, "shop/default/desk", e.Name)
				out = append(out, tok)
			}
		}
		return out
	}
	w := build(t, long)
	r := w.write()
	require.Empty(t, r.Stores[shopDefault].Findings)
	sum := sha256.Sum256([]byte(long))
	require.Equal(t, []document.Token{{
		Hashes:     []document.TokenHash{{SHA256: hex.EncodeToString(sum[:])}},
		Namespaces: []string{"*", "shop"}, Access: document.AccessWrite,
	}}, tokens(r))

	w.Secrets[1].Data["token"] = []byte(strings.Repeat("n", 40))
	require.Len(t, tokens(w.compile())[0].Hashes, 1, "a rotated token is revoked at once")

	w.Secrets = w.Secrets[:1]
	r = w.compile()
	require.Empty(t, tokens(r), "a token without its Secret is revoked")
	require.Equal(t, []string{"ResolvedRefs/SecretNotUsable"}, reasons(r.Stores[shopDefault].Findings))

	r = build(t, "short").compile()
	require.Equal(t, []string{"ResolvedRefs/SecretValueInvalid"}, reasons(r.Stores[shopDefault].Findings))
	require.NotContains(t, r.Stores[shopDefault].Findings[0].Message, "short ")
	require.NotNil(t, entry(t, r, shopBot), "channels do not suffer from a bad token")

	w = build(t, long)
	twin := w.Stores[0].Spec.API.Tokens[0]
	twin.Name = "twin"
	w.Stores[0].Spec.API.Tokens = append(w.Stores[0].Spec.API.Tokens, twin)
	r = w.compile()
	require.Len(t, tokens(r), 1)
	require.Contains(t, r.Stores[shopDefault].Findings[0].Message, `the same value as token "desk"`)
}

func TestStoreSettings(t *testing.T) {
	w := newWorld(t)
	r := w.write()
	require.Equal(t, &v1alpha1.EffectiveStore{
		StorageSize: "10Gi", ReopenWindow: "24h0m0s", RetentionMessages: "forever", RetentionRaw: "168h0m0s",
		RetentionEvents: "720h0m0s", RetentionMedia: "forever",
	}, r.Stores[shopDefault].Effective)
	require.Equal(t, int32(1), r.Stores[shopDefault].Bridges)
	require.Equal(t, int32(1), r.Stores[shopDefault].Channels)

	w.Stores[0].Spec.Retention = &v1alpha1.Retention{Messages: hours(48)}
	require.Equal(t, "48h0m0s", w.compile().Stores[shopDefault].Effective.RetentionMedia, "media go with their messages")

	w.Stores[0].Generation = 2
	w.Stores[0].Spec.Retention = &v1alpha1.Retention{Raw: hours(-1)}
	bad := w.compile().Stores[shopDefault]
	require.Equal(t, []string{"Accepted/InvalidSpec"}, reasons(bad.Findings))
	require.Equal(t, r.Stores[shopDefault].Document.Settings, bad.Document.Settings, "the last good settings stay")
	require.Equal(t, int64(1), bad.Document.Generation, "and are not passed off as the new generation's")
}

func TestStoreRefusesBridge(t *testing.T) {
	w := newWorld(t)
	w.Stores = append(w.Stores, newStore("platform", "main"))
	w.Stores[1].Spec.AllowedBridges = &v1alpha1.AllowedNamespaces{From: v1alpha1.FromAll}
	w.Bridges[0].Spec.StoreRef = &v1alpha1.ObjectReference{Namespace: "platform", Name: "main"}
	r := w.write()
	require.Equal(t, key("platform", "main"), r.Channels[shopBot].Store)
	require.NotNil(t, storeEntry(t, r, key("platform", "main"), shopBot))

	w.Stores[1].Spec.AllowedBridges = nil
	r = w.compile()
	require.Equal(t, []string{"ResolvedRefs/RefNotPermitted"}, reasons(r.Bridges[shopDefault].Findings))
	left := r.Stores[key("platform", "main")].Document.Entries
	require.Len(t, left, 1, "the store takes all rights back: it knows no certificate of the Bridge any more")
	require.Equal(t, "Channel/shop/bot", left[0].Key(), "what is queued waits")
	require.Equal(t, w.PreviousBridges[shopDefault].Settings, r.Bridges[shopDefault].Document.Settings,
		"the bridge goes on and is told so by the store")

	fresh := newWorld(t)
	fresh.Stores = nil
	require.Nil(t, fresh.compile().Bridges[shopDefault].Document)
}
