package controllers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// bridgeEntry reads what a Bridge's pods are given for an entry; nil when nothing.
func bridgeEntry(t *testing.T, namespace, bridge, key string) *document.Entry {
	t.Helper()
	files := make([][]byte, document.MaxShards)
	for i := range files {
		secret := &corev1.Secret{}
		if k8s.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: workload.DocumentSecret(workload.BridgeChild(bridge), i)}, secret) == nil {
			files[i] = secret.Data[workload.DocumentKey]
		}
	}
	doc, _, err := document.Decode(files)
	if err != nil {
		return nil
	}
	for _, e := range doc.Entries {
		if e.Key() == key {
			return &e
		}
	}
	return nil
}

func channelSpec(t *testing.T, namespace, bridge, channel string) *document.Channel {
	t.Helper()
	e := bridgeEntry(t, namespace, bridge, "Channel/"+channel)
	if e == nil {
		return nil
	}
	var spec document.Channel
	require.NoError(t, json.Unmarshal(e.Spec, &spec))
	return &spec
}

func gone(t *testing.T, obj client.Object) {
	t.Helper()
	require.True(t, eventually(t, func() bool {
		return apierrors.IsNotFound(k8s.Get(t.Context(), client.ObjectKeyFromObject(obj), obj))
	}), "%s is still there", client.ObjectKeyFromObject(obj))
}

func TestASecretAndAChannelAreEnough(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, telegramSecret(ns, "main", account), ch)

	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	wait(t, ch, v1alpha1.ConditionCredentialsValid, metav1.ConditionTrue, v1alpha1.ReasonDone)
	wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionFalse, v1alpha1.ReasonPolling)
	require.Equal(t, ns+"/default", ch.Status.Bridge)
	require.Equal(t, ns+"/default", ch.Status.Store)
	require.Equal(t, v1alpha1.ReceivePolling, ch.Status.Receive, "without a public URL a channel is polled")
	require.Equal(t, account, ch.Status.Account)
	require.Equal(t, "Shop Bot", ch.Status.DisplayName)

	bridge := &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}
	store := &v1alpha1.ConversationStore{ObjectMeta: bridge.ObjectMeta}
	wait(t, bridge, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	wait(t, store, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	for _, o := range []client.Object{bridge, store} {
		require.Equal(t, "true", o.GetLabels()[v1alpha1.AutoCreatedLabel])
		require.Empty(t, o.GetOwnerReferences(), "nothing may garbage-collect conversations")
	}
	require.EqualValues(t, 1, bridge.Status.Channels)
	require.EqualValues(t, 1, store.Status.Channels)
}

// Each row breaks a Channel in one way, says what the status must tell, and
// repairs it; then the Channel must become Ready by itself.
func TestChannelTellsWhatIsWrongAndRepairsItself(t *testing.T) {
	for name, tc := range map[string]struct {
		breakIt   func(t *testing.T, ns, account string, secret *corev1.Secret, ch *v1alpha1.Channel)
		condition string
		reason    string
		says      string
		repair    func(t *testing.T, ns, account string, ch *v1alpha1.Channel)
	}{
		"the Secret is missing": {
			breakIt:   func(t *testing.T, _, _ string, _ *corev1.Secret, ch *v1alpha1.Channel) { create(t, ch) },
			condition: v1alpha1.ConditionResolvedRefs, reason: v1alpha1.ReasonSecretNotUsable, says: "spec.credentials.secretRef",
			repair: func(t *testing.T, ns, account string, _ *v1alpha1.Channel) {
				create(t, telegramSecret(ns, "main", account))
			},
		},
		"the Secret lacks the label": {
			breakIt: func(t *testing.T, _, _ string, secret *corev1.Secret, ch *v1alpha1.Channel) {
				secret.Labels = nil
				create(t, secret, ch)
			},
			condition: v1alpha1.ConditionResolvedRefs, reason: v1alpha1.ReasonSecretNotUsable, says: v1alpha1.CredentialsLabel,
			repair: func(t *testing.T, ns, _ string, _ *v1alpha1.Channel) {
				update(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "main"}}, func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.CredentialsLabel: "true"} })
			},
		},
		"the Secret has no token": {
			breakIt: func(t *testing.T, _, _ string, secret *corev1.Secret, ch *v1alpha1.Channel) {
				secret.StringData = map[string]string{"tokne": "x"}
				create(t, secret, ch)
			},
			condition: v1alpha1.ConditionCredentialsValid, reason: v1alpha1.ReasonSecretKeyMissing, says: `"token"`,
			repair: func(t *testing.T, ns, account string, _ *v1alpha1.Channel) {
				update(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "main"}}, func(s *corev1.Secret) { s.StringData = map[string]string{"token": token(account)} })
			},
		},
		"the token is of another bot": {
			breakIt: func(t *testing.T, _, _ string, secret *corev1.Secret, ch *v1alpha1.Channel) {
				secret.StringData["token"] = token("42")
				create(t, secret, ch)
			},
			condition: v1alpha1.ConditionCredentialsValid, reason: v1alpha1.ReasonSecretValueInvalid, says: "botID",
			repair: func(t *testing.T, ns, account string, _ *v1alpha1.Channel) {
				update(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "main"}}, func(s *corev1.Secret) { s.StringData = map[string]string{"token": token(account)} })
			},
		},
		"the Bridge is missing": {
			breakIt: func(t *testing.T, _, _ string, secret *corev1.Secret, ch *v1alpha1.Channel) {
				ch.Spec.BridgeRef = &v1alpha1.ObjectReference{Name: "edge"}
				create(t, secret, ch)
			},
			condition: v1alpha1.ConditionResolvedRefs, reason: v1alpha1.ReasonRefNotFound, says: "spec.bridgeRef",
			repair: func(t *testing.T, ns, _ string, _ *v1alpha1.Channel) {
				create(t, &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "edge"}})
			},
		},
		"pods refuse it": {
			breakIt: func(t *testing.T, ns, _ string, secret *corev1.Secret, ch *v1alpha1.Channel) {
				pods.set(ns, func(b *behaviour) { b.refuse["Channel/"+ns+"/main"] = "this platform is unknown here" })
				create(t, secret, ch)
			},
			condition: v1alpha1.ConditionReady, reason: v1alpha1.ReasonLoadFailed, says: "this platform is unknown here",
			repair: func(t *testing.T, ns, _ string, _ *v1alpha1.Channel) {
				pods.set(ns, func(b *behaviour) { clear(b.refuse) })
			},
		},
		"the platform refuses the token at once": {
			breakIt: func(t *testing.T, ns, _ string, secret *corev1.Secret, ch *v1alpha1.Channel) {
				pods.set(ns, func(b *behaviour) { b.row = refuseCredentials })
				create(t, secret, ch)
			},
			condition: v1alpha1.ConditionReady, reason: v1alpha1.ReasonAuthInvalid, says: "Unauthorized",
			repair: func(t *testing.T, ns, _ string, _ *v1alpha1.Channel) {
				pods.set(ns, func(b *behaviour) { b.row = nil })
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns, account := newNamespace(t), newAccount()
			ch := telegramChannel(ns, "main", account)
			tc.breakIt(t, ns, account, telegramSecret(ns, "main", account), ch)
			c := wait(t, ch, tc.condition, metav1.ConditionFalse, tc.reason)
			require.Contains(t, c.Message, tc.says)
			require.NotContains(t, c.Message, "AAHdq", "no secret in a message")
			require.False(t, apimeta.IsStatusConditionTrue(ch.Status.Conditions, v1alpha1.ConditionReady))
			tc.repair(t, ns, account, ch)
			wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		})
	}
}

func refuseCredentials(_ string, r *document.ChannelStatus) {
	if r.Credentials != nil {
		r.Credentials = &document.Duty{State: document.DutyFailed, Reason: v1alpha1.ReasonAuthInvalid, Message: "Unauthorized"}
	}
}

func TestReadyIsLatchedWhateverThePlatformAndThePodsDo(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	wait(t, ch, v1alpha1.ConditionCredentialsValid, metav1.ConditionTrue, "")

	pods.set(ns, func(b *behaviour) { b.row = refuseCredentials })
	wait(t, ch, v1alpha1.ConditionCredentialsValid, metav1.ConditionFalse, v1alpha1.ReasonAuthInvalid)
	require.True(t, apimeta.IsStatusConditionTrue(ch.Status.Conditions, v1alpha1.ConditionReady), describe(ch))

	pods.set(ns, func(b *behaviour) { b.broken = true })
	bridge := &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}
	require.True(t, eventually(t, func() bool {
		require.NoError(t, k8s.Get(t.Context(), client.ObjectKeyFromObject(bridge), bridge))
		return bridge.Status.ReadyReplicas == 0
	}))
	require.NoError(t, k8s.Get(t.Context(), client.ObjectKeyFromObject(ch), ch))
	require.True(t, apimeta.IsStatusConditionTrue(ch.Status.Conditions, v1alpha1.ConditionReady), describe(ch))
}

func TestANewGenerationIsReadyOnlyWhenLoaded(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	pods.set(ns, func(b *behaviour) { b.frozen = true })
	update(t, ch, func(c *v1alpha1.Channel) {
		c.Spec.ResendUnknown = true
		c.Spec.Limits = &v1alpha1.ChannelLimits{InboundPerSecond: 7}
	})
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotLoaded)
	wait(t, ch, v1alpha1.ConditionReconciling, metav1.ConditionTrue, "")
	pods.set(ns, func(b *behaviour) { b.frozen = false })
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

func TestOneAccountHasOneChannel(t *testing.T) {
	t.Parallel()
	ns, other, account := newNamespace(t), newNamespace(t), newAccount()
	first, second := telegramChannel(ns, "main", account), telegramChannel(other, "late", account)
	create(t, telegramSecret(ns, "main", account), first)
	wait(t, first, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	create(t, telegramSecret(other, "late", account), second)
	c := wait(t, second, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonAccountClaimed)
	require.NotContains(t, c.Message, ns+"/", "the loser is not told who has it")
	require.NoError(t, k8s.Delete(t.Context(), first))
	gone(t, first)
	wait(t, second, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// Whether the Bridge exists or does not let us in reads the same.
func TestAForeignBridgeTellsNothing(t *testing.T) {
	t.Parallel()
	home, target := newNamespace(t), newNamespace(t)
	create(t, &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: target, Name: "there"}})
	var messages []string
	for _, name := range []string{"there", "nowhere"} {
		account := newAccount()
		ch := telegramChannel(home, name, account)
		ch.Spec.BridgeRef = &v1alpha1.ObjectReference{Namespace: target, Name: name}
		create(t, telegramSecret(home, name, account), ch)
		c := wait(t, ch, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonRefNotPermitted)
		messages = append(messages, strings.ReplaceAll(c.Message, target+"/"+name, "NAME"))
	}
	require.Equal(t, messages[0], messages[1])

	ch := telegramChannel(home, "there", "")
	update(t, &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: target, Name: "there"}}, func(b *v1alpha1.Bridge) {
		b.Spec.AllowedChannels = &v1alpha1.AllowedNamespaces{From: v1alpha1.FromSelector, Selector: &v1alpha1.LabelSelector{MatchLabels: map[string]string{"team": home}}}
	})
	update(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: home}}, func(n *corev1.Namespace) { n.Labels["team"] = home })
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	update(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: home}}, func(n *corev1.Namespace) { delete(n.Labels, "team") })
	wait(t, ch, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonRefNotPermitted)
	require.True(t, eventually(t, func() bool { return channelSpec(t, target, "there", home+"/there") == nil }), "a permission that is taken away is gone at once")
}

func webhookBridge(ns string) *v1alpha1.Bridge {
	return &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}, Spec: v1alpha1.BridgeSpec{PublicURL: "https://hooks.example.com"}}
}

func TestRegistrationStartsWhenAllPodsHaveLoaded(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	pods.set(ns, func(b *behaviour) { b.frozen = true })
	create(t, webhookBridge(ns), telegramSecret(ns, "main", account), ch)
	require.True(t, eventually(t, func() bool { return channelSpec(t, ns, "default", ns+"/main") != nil }))
	require.False(t, channelSpec(t, ns, "default", ns+"/main").RegisterWebhook)
	pods.set(ns, func(b *behaviour) { b.frozen = false })
	wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionTrue, v1alpha1.ReasonDone)
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.True(t, channelSpec(t, ns, "default", ns+"/main").RegisterWebhook)
	require.Equal(t, "https://hooks.example.com/webhooks/"+ns+"/main", ch.Status.WebhookURL)
}

func TestADeletedChannelWaitsForItsWebhookToBeRemoved(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, webhookBridge(ns), telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionTrue, "")
	pods.set(ns, func(b *behaviour) {
		b.row = func(key string, r *document.ChannelStatus) {
			if strings.HasPrefix(key, "Tombstone/") {
				r.Webhook = &document.Duty{State: document.DutyRetrying, Reason: v1alpha1.ReasonUnreachable, Message: "no answer"}
			}
		}
	})
	require.NoError(t, k8s.Delete(t.Context(), ch))
	c := wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonDeleting)
	require.Contains(t, c.Message, "webhook")
	require.True(t, eventually(t, func() bool { return bridgeEntry(t, ns, "default", "Tombstone/"+ns+"/main") != nil }))
	bridge := &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}
	require.NoError(t, k8s.Delete(t.Context(), bridge))
	wait(t, bridge, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonDeleting)

	pods.set(ns, func(b *behaviour) { b.row = nil })
	gone(t, ch)
	gone(t, bridge)
}

func TestARotatedSecretIsInForceWithoutANewPodTemplate(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, webhookBridge(ns), telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	deployment := &appsv1.Deployment{}
	require.NoError(t, k8s.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: "default-bridge"}, deployment))

	rotated := account + ":BBHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
	update(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "main"}}, func(s *corev1.Secret) { s.StringData = map[string]string{"token": rotated} })
	var spec *document.Channel
	require.True(t, eventually(t, func() bool {
		spec = channelSpec(t, ns, "default", ns+"/main")
		return spec != nil && spec.Credentials["token"] == rotated
	}))
	require.Len(t, spec.PreviousCredentials, 1)
	require.Equal(t, token(account), spec.PreviousCredentials[0].Values["token"])

	after := &appsv1.Deployment{}
	require.NoError(t, k8s.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: "default-bridge"}, after))
	require.Equal(t, deployment.Generation, after.Generation)
	told(t, ns, v1alpha1.EventCredentialsRotated)
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

func TestASecretThatVanishesLosesNothing(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	secret := telegramSecret(ns, "main", account)
	create(t, secret, ch)
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.NoError(t, k8s.Delete(t.Context(), secret))
	wait(t, ch, v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonSecretNotUsable)
	spec := channelSpec(t, ns, "default", ns+"/main")
	require.NotNil(t, spec, "its last good version goes on")
	require.Equal(t, token(account), spec.Credentials["token"])
}

func TestADeletedChannelWhoseTokenIsRefusedIsLetGoAtOnce(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, webhookBridge(ns), telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionTrue, "")
	pods.set(ns, func(b *behaviour) {
		b.row = func(key string, r *document.ChannelStatus) {
			if strings.HasPrefix(key, "Tombstone/") {
				r.Webhook = &document.Duty{State: document.DutyFailed, Reason: v1alpha1.ReasonAuthInvalid, Message: "Unauthorized"}
			}
		}
	})
	require.NoError(t, k8s.Delete(t.Context(), ch))
	gone(t, ch)
	told(t, ns, v1alpha1.EventWebhookLeftRegistered)
}

// With its Bridge deleted before it nobody can remove the webhook. Somebody
// must know.
func TestAWebhookThatNobodyCanRemoveIsTold(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch, b := telegramChannel(ns, "main", account), webhookBridge(ns)
	b.Name, ch.Spec.BridgeRef = "edge", &v1alpha1.ObjectReference{Name: "edge"}
	create(t, b, telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionTrue, "")
	require.NoError(t, k8s.Delete(t.Context(), b))
	gone(t, b)
	require.NoError(t, k8s.Delete(t.Context(), ch))
	gone(t, ch)
	told(t, ns, v1alpha1.EventWebhookLeftRegistered)
}

// A webhook that was registered is remembered in the document, so that a pod
// that starts later does not fight with whoever took the account over.
func TestARegisteredWebhookIsRemembered(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, webhookBridge(ns), telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionTrue, "")
	require.True(t, eventually(t, func() bool {
		spec := channelSpec(t, ns, "default", ns+"/main")
		return spec != nil && spec.Registered
	}), "the document forgets that the webhook was registered")
	pods.set(ns, func(b *behaviour) {
		b.row = func(_ string, r *document.ChannelStatus) {
			if r.Webhook != nil {
				r.Webhook = &document.Duty{State: document.DutyFailed, Reason: v1alpha1.ReasonTakenOver, Message: "elsewhere"}
			}
		}
	})
	wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionFalse, v1alpha1.ReasonTakenOver)
	require.True(t, channelSpec(t, ns, "default", ns+"/main").Registered)
	require.True(t, apimeta.IsStatusConditionTrue(ch.Status.Conditions, v1alpha1.ConditionReady), describe(ch))
}

// A Bridge that loses its public URL leaves Channels that fetch their messages
// instead. They know which webhook they had, until fetching shows that it is gone.
func TestAChannelWhoseBridgeLosesItsURLKnowsItsWebhook(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch, bridge := telegramChannel(ns, "main", account), webhookBridge(ns)
	create(t, bridge, telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionTrue, "")
	url := ch.Status.WebhookURL
	pods.set(ns, func(b *behaviour) {
		b.row = func(_ string, r *document.ChannelStatus) {
			if r.Receiving != nil {
				r.Receiving = &document.Duty{State: document.DutyRetrying, Reason: v1alpha1.ReasonUnreachable, Message: "conflict"}
			}
		}
	})
	update(t, bridge, func(b *v1alpha1.Bridge) { b.Spec.PublicURL = "" })
	c := wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionFalse, v1alpha1.ReasonPolling)
	require.Contains(t, c.Message, url)
	require.Equal(t, url, channelSpec(t, ns, "default", ns+"/main").FormerWebhookURL)
	pods.set(ns, func(b *behaviour) { b.row = nil })
	require.True(t, eventually(t, func() bool {
		c := wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionFalse, v1alpha1.ReasonPolling)
		return strings.Contains(c.Message, "no webhook is needed")
	}), describe(ch))
}

// Somebody takes the account over before the operator has seen a single
// "registered": the document must remember all the same, or the next pod that
// starts takes it back.
func TestATakeOverThatIsSeenFirstIsRemembered(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	pods.set(ns, func(b *behaviour) {
		b.row = func(_ string, r *document.ChannelStatus) {
			if r.Webhook != nil && r.Webhook.State == document.DutyDone {
				r.Webhook = &document.Duty{State: document.DutyFailed, Reason: v1alpha1.ReasonTakenOver, Message: "elsewhere"}
			}
		}
	})
	create(t, webhookBridge(ns), telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionWebhookRegistered, metav1.ConditionFalse, v1alpha1.ReasonTakenOver)
	require.True(t, eventually(t, func() bool {
		spec := channelSpec(t, ns, "default", ns+"/main")
		return spec != nil && spec.Registered
	}), "the document does not know that the webhook was registered")
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// A token that is revoked shows as soon as a pod says so, wherever it noticed,
// and so does its recovery; Ready stays, for what is loaded is loaded.
func TestCredentialsValidFollowsThePods(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch := telegramChannel(ns, "main", account)
	create(t, telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionCredentialsValid, metav1.ConditionTrue, "")
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	revoked := &document.Duty{State: document.DutyFailed, Reason: v1alpha1.ReasonAuthInvalid, Message: "Unauthorized"}
	for _, step := range []struct {
		row                   func(string, *document.ChannelStatus)
		valid, delivering     metav1.ConditionStatus
		reasonOfNotDelivering string
	}{
		{func(_ string, r *document.ChannelStatus) { r.Delivering = revoked }, metav1.ConditionTrue, metav1.ConditionFalse, v1alpha1.ReasonAuthInvalid},
		{func(_ string, r *document.ChannelStatus) { r.Delivering, r.Credentials = revoked, revoked }, metav1.ConditionFalse, metav1.ConditionFalse, v1alpha1.ReasonAuthInvalid},
		{nil, metav1.ConditionTrue, metav1.ConditionTrue, ""},
	} {
		pods.set(ns, func(b *behaviour) { b.row = step.row })
		wait(t, ch, v1alpha1.ConditionDelivering, step.delivering, step.reasonOfNotDelivering)
		wait(t, ch, v1alpha1.ConditionCredentialsValid, step.valid, "")
		require.True(t, apimeta.IsStatusConditionTrue(ch.Status.Conditions, v1alpha1.ConditionReady), describe(ch))
	}
	told(t, ns, v1alpha1.ReasonAuthInvalid)
}

func TestEffectiveValuesAreShown(t *testing.T) {
	t.Parallel()
	ns, account := newNamespace(t), newAccount()
	ch, st := telegramChannel(ns, "main", account), newStore(ns, "default")
	st.Spec.ReopenWindow = &metav1.Duration{Duration: 2 * time.Hour}
	create(t, st, telegramSecret(ns, "main", account), ch)
	wait(t, ch, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	require.Equal(t, &v1alpha1.EffectiveChannel{
		InboundPerSecond: 300, OutboundPerSecond: "30", MaxMediaBytes: 20 << 20, Overlap: "24h0m0s", ReopenWindow: "2h0m0s",
	}, ch.Status.Effective)

	shows := func(what string, f func(e v1alpha1.EffectiveChannel) bool) {
		t.Helper()
		require.True(t, eventually(t, func() bool {
			return k8s.Get(t.Context(), client.ObjectKeyFromObject(ch), ch) == nil && f(*ch.Status.Effective)
		}), "%s; it shows %+v", what, ch.Status.Effective)
	}
	update(t, ch, func(c *v1alpha1.Channel) {
		c.Spec.Limits = &v1alpha1.ChannelLimits{InboundPerSecond: 5, OutboundPerSecond: 7, MaxMediaBytes: 9}
		c.Spec.Credentials.Overlap = &metav1.Duration{}
	})
	shows("the Channel's own", func(e v1alpha1.EffectiveChannel) bool {
		return e.InboundPerSecond == 5 && e.OutboundPerSecond == "7" && e.MaxMediaBytes == 9 && e.Overlap == "0s"
	})
	update(t, st, func(s *v1alpha1.ConversationStore) { s.Spec.ReopenWindow = nil })
	shows("the store's changed", func(e v1alpha1.EffectiveChannel) bool { return e.ReopenWindow == "24h0m0s" })
	require.NotNil(t, ch.Spec.Limits)
	require.Nil(t, ch.Spec.ReopenWindow, "nothing writes to spec")
}
