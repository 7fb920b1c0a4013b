//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// TestSecretAndChannelAreEnough: the Bridge and the ConversationStore that a
// first Channel needs are made for it, and belong to nobody.
func TestSecretAndChannelAreEnough(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	b := s.newBot("telegram-main", "")
	b.keepSecret()
	start := time.Now()
	s.create(b.channel)
	bridge := &v1alpha1.Bridge{ObjectMeta: s.meta(v1alpha1.DefaultName)}
	store := &v1alpha1.ConversationStore{ObjectMeta: s.meta(v1alpha1.DefaultName)}
	for _, o := range []client.Object{store, bridge} {
		eventually(t, soon, "the default is made", func(ctx context.Context) error {
			return run.cluster.Get(ctx, client.ObjectKeyFromObject(o), o)
		})
		assert.Equal(t, "true", o.GetLabels()[v1alpha1.AutoCreatedLabel])
		assert.Empty(t, o.GetOwnerReferences(), "nothing may garbage-collect conversations")
	}
	s.awaitCurrent(startup, store, bridge)
	measure("namespace with nothing: apply to both Ready", time.Since(start))

	// There is no internet here, so the default endpoint cannot be reached; that
	// is the platform's trouble and does not keep the Channel from being loaded.
	s.awaitCurrent(startup, b.channel)
	assert.Equal(t, v1alpha1.ReceivePolling, b.channel.Status.Receive, "without a publicURL it is polled")

	// What the user applies later wins over the default.
	change(t, bridge, func(br *v1alpha1.Bridge) {
		br.Spec.PublicURL = workload.BridgeServiceURL(s.namespace, "default")
		br.Spec.PlatformEndpoints = []v1alpha1.PlatformEndpoint{{Platform: v1alpha1.PlatformTelegram, URL: endpoint()}}
	})
	eventually(t, startup, "the webhook is registered", s.condition(b.channel, v1alpha1.ConditionWebhookRegistered, metav1.ConditionTrue, v1alpha1.ReasonDone))
	assert.Equal(t, v1alpha1.ReceiveWebhook, b.channel.Status.Receive)
}

// TestApplyToReady measures what a user waits for: from apply until the
// Channel is Ready, which means that its bridge has loaded it, on a bridge that
// runs already.
func TestApplyToReady(t *testing.T) {
	s := newShop(t)
	const samples = 40 // 20 of each kind
	for i := range samples {
		receive := []v1alpha1.ReceiveMode{v1alpha1.ReceiveWebhook, v1alpha1.ReceivePolling}[i%2]
		b := s.newBot(fmt.Sprintf("telegram-%d", i), receive)
		b.keepSecret()
		start := time.Now()
		s.create(b.channel)
		s.awaitCurrent(soon, b.channel)
		measure(string(receive)+" Channel: apply to Ready", time.Since(start))
		b.awaitReceiving()
		measure(string(receive)+" Channel: apply to receiving", time.Since(start))
		assertStatus(t, b)
	}
	assert.EqualValues(t, samples, s.bridge().Status.Channels)
	s.noteMemory()
}

func (s *shop) bridge() *v1alpha1.Bridge {
	s.t.Helper()
	b := &v1alpha1.Bridge{ObjectMeta: s.meta(v1alpha1.DefaultName)}
	eventually(s.t, soon, "current", func(ctx context.Context) error { return run.cluster.current(ctx, b) })
	return b
}

// assertStatus checks what people read of a Channel that works.
func assertStatus(t *testing.T, b *bot) {
	t.Helper()
	st := b.channel.Status
	assert.Equal(t, b.channel.Generation, st.ObservedGeneration)
	assert.Equal(t, b.shop.namespace+"/default", st.Bridge)
	assert.Equal(t, b.shop.namespace+"/default", st.Store)
	assert.Equal(t, fmt.Sprint(b.id), st.Account)
	if st.Receive == v1alpha1.ReceiveWebhook {
		want := workload.BridgeServiceURL(b.shop.namespace, "default") + "/webhooks/" + b.key()
		assert.Equal(t, want, st.WebhookURL)
	}
	for _, c := range st.Conditions {
		assert.Equal(t, b.channel.Generation, c.ObservedGeneration, c.Type)
		assert.NotEmpty(t, c.Message, c.Type)
	}
	assert.Nil(t, meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionReconciling))
	assert.Nil(t, meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionStalled))
}

// broken is one mistake in a manifest or a Secret, what the Channel says of it,
// and how it is repaired.
type broken struct {
	name      string
	breakIt   func(t *testing.T, b *bot)
	condition string
	reason    string
	says      []string // in the condition's message
	repair    func(t *testing.T, b *bot)
}

var mistakes = []broken{
	{
		name:      "no Secret",
		breakIt:   func(*testing.T, *bot) {},
		condition: v1alpha1.ConditionResolvedRefs, reason: v1alpha1.ReasonSecretNotUsable,
		says:   []string{"spec.credentials.secretRef", "kubectl"},
		repair: func(_ *testing.T, b *bot) { b.keepSecret() },
	},
	{
		name: "Secret without the label",
		breakIt: func(t *testing.T, b *bot) {
			o := &corev1.Secret{ObjectMeta: b.shop.meta(b.channel.Name), StringData: map[string]string{"token": b.token()}}
			require.NoError(t, run.cluster.Create(t.Context(), o))
		},
		condition: v1alpha1.ConditionResolvedRefs, reason: v1alpha1.ReasonSecretNotUsable,
		says: []string{v1alpha1.CredentialsLabel},
		repair: func(t *testing.T, b *bot) { // as the message says
			_, err := run.cluster.kubectl(t.Context(), "", "-n", b.shop.namespace, "label", "secret", b.channel.Name, v1alpha1.CredentialsLabel+"=true")
			require.NoError(t, err)
		},
	},
	{
		name:      "Secret without the key",
		breakIt:   func(_ *testing.T, b *bot) { b.shop.keepSecret(b.channel.Name, map[string]string{"tokn": b.token()}) },
		condition: v1alpha1.ConditionCredentialsValid, reason: v1alpha1.ReasonSecretKeyMissing,
		says:   []string{`"token"`},
		repair: func(_ *testing.T, b *bot) { b.keepSecret() },
	},
	{
		name: "token of another bot",
		breakIt: func(_ *testing.T, b *bot) {
			b.shop.keepSecret(b.channel.Name, map[string]string{"token": fmt.Sprintf("%d:%s", b.id+1, b.secret)})
		},
		condition: v1alpha1.ConditionCredentialsValid, reason: v1alpha1.ReasonSecretValueInvalid,
		says:   []string{"spec.telegram.botID"},
		repair: func(_ *testing.T, b *bot) { b.keepSecret() },
	},
	{
		name: "token that the platform refuses",
		breakIt: func(_ *testing.T, b *bot) {
			b.shop.keepSecret(b.channel.Name, map[string]string{"token": fmt.Sprintf("%d:%s", b.id, secret())})
		},
		condition: v1alpha1.ConditionCredentialsValid, reason: v1alpha1.ReasonAuthInvalid,
		repair: func(_ *testing.T, b *bot) { b.keepSecret() },
	},
	{
		name: "Bridge that is not there",
		breakIt: func(_ *testing.T, b *bot) {
			b.keepSecret()
			b.channel.Spec.BridgeRef = &v1alpha1.ObjectReference{Name: "elsewhere"}
		},
		condition: v1alpha1.ConditionResolvedRefs, reason: v1alpha1.ReasonRefNotFound,
		says: []string{"spec.bridgeRef", "elsewhere"},
		repair: func(t *testing.T, b *bot) {
			change(t, b.channel, func(c *v1alpha1.Channel) { c.Spec.BridgeRef = nil })
		},
	},
}

// TestMistakesAreNamedAndRepairThemselves: a condition says which field is
// wrong and what to do, tools see that nothing moves (Stalled), and doing it is
// enough.
func TestMistakesAreNamedAndRepairThemselves(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for i, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := s.in(t)
			b := s.newBot(fmt.Sprintf("telegram-%d", i), v1alpha1.ReceiveWebhook)
			m.breakIt(t, b)
			s.create(b.channel)
			eventually(t, soon, "the condition", s.condition(b.channel, m.condition, metav1.ConditionFalse, m.reason))
			c := meta.FindStatusCondition(b.channel.Status.Conditions, m.condition)
			for _, part := range m.says {
				assert.Contains(t, c.Message, part)
			}
			// What is missing may still arrive: that counts as a mistake after 30 s.
			eventually(t, soon, "stalled", func(ctx context.Context) error {
				return run.cluster.has(ctx, b.channel, status.FailedStatus)
			})
			m.repair(t, b)
			b.awaitReceiving()
			b.converse("Ana")
		})
	}
}

// TestBrokenRotationKeepsServing: a channel that works goes on with its last
// good credentials when the new ones cannot be right.
func TestBrokenRotationKeepsServing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	s.keepSecret(b.channel.Name, map[string]string{"token": "not a token"})
	eventually(t, soon, "the condition", s.condition(b.channel, v1alpha1.ConditionCredentialsValid, metav1.ConditionFalse, v1alpha1.ReasonSecretValueInvalid))
	b.converse("Ana")
	b.keepSecret()
	eventually(t, soon, "repaired", s.condition(b.channel, v1alpha1.ConditionCredentialsValid, metav1.ConditionTrue, ""))
}

// TestWorkloadThatCannotRunIsNamed: what only the API server or a kubelet
// refuses shows on the Bridge, too.
func TestWorkloadThatCannotRunIsNamed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	bridge := s.bridge()
	change(t, bridge, func(br *v1alpha1.Bridge) {
		br.Spec.Resources = &corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
		}
	})
	eventually(t, soon, "not ready", func(ctx context.Context) error {
		if err := run.cluster.current(ctx, bridge); err == nil {
			return fmt.Errorf("a Bridge whose pods cannot be made is current")
		}
		c := meta.FindStatusCondition(bridge.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "memory") {
			return fmt.Errorf("Ready is %+v, want False with what the API server says", c)
		}
		return nil
	})
	change(t, bridge, func(br *v1alpha1.Bridge) { br.Spec.Resources = nil })
	s.awaitCurrent(soon, bridge)
}

// TestDeletedChannel: the platform is told, and the conversations stay.
func TestDeletedChannel(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	customer := b.customer("Ana")
	first := b.receives(customer, text("Before"))

	start := time.Now()
	require.NoError(t, run.cluster.Delete(t.Context(), b.channel))
	eventually(t, soon, "deleted", gone(b.channel))
	measure("Channel: delete to gone", time.Since(start))
	state, err := run.simulator.Bot(t.Context(), b.id)
	require.NoError(t, err)
	assert.Empty(t, state.Webhook.URL, "the webhook is removed before the Channel is gone")

	kept, err := s.desk.Find(t.Context(), b.key(), first.Text)
	require.NoError(t, err)
	require.NotNil(t, kept, "conversations outlive their Channel")
	_, err = s.desk.Reply(t.Context(), first.Conversation, "late", "Too late")
	assert.Error(t, err, "nothing can be sent on a Channel that is gone")

	// Made again under its name, it goes on where it was.
	b.channel.ObjectMeta = s.meta(b.channel.Name)
	s.create(b.channel)
	b.awaitReceiving()
	again := b.receives(customer, text("After"))
	assert.Equal(t, first.Contact.ID, again.Contact.ID)
	assert.Equal(t, first.Conversation, again.Conversation)
}

func gone(o client.Object) func(context.Context) error {
	return func(ctx context.Context) error {
		err := run.cluster.Get(ctx, client.ObjectKeyFromObject(o), o)
		if err == nil {
			return fmt.Errorf("%T %s is still there: %+v", o, o.GetName(), conditions(o))
		}
		return client.IgnoreNotFound(err)
	}
}

// TestSuspendedChannel: outbound waits, inbound is kept, nothing is unregistered.
func TestSuspendedChannel(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	b.suspend(true)
	customer := b.customer("Ana")
	received := b.receives(customer, text("Hello"))
	_, err := s.desk.Reply(t.Context(), received.Conversation, "1", "Later")
	require.NoError(t, err)
	holds(t, 2*time.Second, "a suspended channel sends nothing", func(ctx context.Context) error {
		seen, err := customer.Read(ctx, 0, time.Second)
		if err == nil && len(seen) > 0 {
			err = fmt.Errorf("the customer saw %d messages", len(seen))
		}
		return err
	})
	state, err := run.simulator.Bot(t.Context(), b.id)
	require.NoError(t, err)
	assert.NotEmpty(t, state.Webhook.URL)
	start := time.Now()
	b.suspend(false)
	seen, err := customer.Read(t.Context(), 1, soon)
	require.NoError(t, err)
	measure("Channel: resumed to waiting reply seen", time.Since(start))
	assert.Equal(t, []string{"Later"}, seen)
}

// suspend changes spec.suspend and waits until it is in force.
func (b *bot) suspend(value bool) {
	t := b.shop.t
	t.Helper()
	change(t, b.channel, func(c *v1alpha1.Channel) { c.Spec.Suspend = value })
	b.shop.awaitCurrent(soon, b.channel)
}

// TestInUseIsNotDeleted: a store waits for its Bridges, and is not lost when
// somebody deletes it with them.
func TestInUseIsNotDeleted(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	store := &v1alpha1.ConversationStore{ObjectMeta: s.meta(v1alpha1.DefaultName)}
	require.NoError(t, run.cluster.Delete(t.Context(), store))
	eventually(t, soon, "it says what it waits for", s.condition(store, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInUse))
	bridge := s.bridge()
	require.NoError(t, run.cluster.Delete(t.Context(), bridge))
	eventually(t, soon, "the Bridge goes", gone(bridge))
	eventually(t, soon, "then the store goes", gone(store))
	var claims corev1.PersistentVolumeClaimList
	require.NoError(t, run.cluster.List(t.Context(), &claims, client.InNamespace(s.namespace)))
	require.Len(t, claims.Items, 1, "the volume stays")
	assert.Nil(t, claims.Items[0].DeletionTimestamp)
	assert.True(t, apierrors.IsNotFound(run.cluster.Get(t.Context(), client.ObjectKeyFromObject(store), store)))
}
