//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

func mustParse(s string) resource.Quantity { return resource.MustParse(s) }

// TestDriftIsRepaired: what somebody changes by hand in what the operator made
// comes back as it was.
func TestDriftIsRepaired(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	bridge, store := workload.BridgeChild("default"), workload.StoreChild("default")
	service := &corev1.Service{ObjectMeta: s.meta(bridge)}
	deployment := &appsv1.Deployment{ObjectMeta: s.meta(bridge)}
	policy := &networkingv1.NetworkPolicy{ObjectMeta: s.meta(store)}
	document := &corev1.Secret{ObjectMeta: s.meta(workload.DocumentSecret(bridge, 0))}
	for _, o := range []client.Object{service, deployment, policy, document} {
		require.NoError(t, run.cluster.Get(t.Context(), client.ObjectKeyFromObject(o), o))
	}

	t.Run("deleted", func(t *testing.T) {
		for _, o := range []client.Object{service.DeepCopy(), policy.DeepCopy()} {
			uid := o.GetUID()
			require.NoError(t, run.cluster.Delete(t.Context(), o))
			eventually(t, soon, "it is back", func(ctx context.Context) error {
				err := run.cluster.Get(ctx, client.ObjectKeyFromObject(o), o)
				if err == nil && o.GetUID() == uid {
					err = fmt.Errorf("%s is not deleted yet", o.GetName())
				}
				return err
			})
		}
	})
	t.Run("changed", func(t *testing.T) {
		require.NoError(t, run.cluster.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment))
		change(t, deployment.DeepCopy(), func(d *appsv1.Deployment) {
			d.Spec.Replicas = ptr.To[int32](0)
			d.Spec.Template.Spec.Containers[0].Args = []string{"serve", "--nonsense"}
		})
		eventually(t, soon, "it is as it was", func(ctx context.Context) error {
			got := &appsv1.Deployment{}
			err := run.cluster.Get(ctx, client.ObjectKeyFromObject(deployment), got)
			if err == nil && (*got.Spec.Replicas != 1 || fmt.Sprint(got.Spec.Template.Spec.Containers[0].Args) != fmt.Sprint(deployment.Spec.Template.Spec.Containers[0].Args)) {
				err = fmt.Errorf("%d replicas with %v", *got.Spec.Replicas, got.Spec.Template.Spec.Containers[0].Args)
			}
			return err
		})
	})
	t.Run("opened", func(t *testing.T) {
		var want int
		change(t, policy, func(p *networkingv1.NetworkPolicy) {
			want = len(p.Spec.Ingress)
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
		})
		eventually(t, soon, "it is closed again", func(ctx context.Context) error {
			err := run.cluster.Get(ctx, client.ObjectKeyFromObject(policy), policy)
			if err == nil && len(policy.Spec.Ingress) != want {
				err = fmt.Errorf("%d rules, want %d", len(policy.Spec.Ingress), want)
			}
			return err
		})
	})
	t.Run("damaged document", func(t *testing.T) {
		var want string
		change(t, document, func(d *corev1.Secret) {
			want = string(d.Data[workload.DocumentKey])
			d.Data[workload.DocumentKey] = []byte("{}")
		})
		eventually(t, soon, "it is as it was", func(ctx context.Context) error {
			err := run.cluster.Get(ctx, client.ObjectKeyFromObject(document), document)
			if err == nil && string(document.Data[workload.DocumentKey]) != want {
				err = fmt.Errorf("%d bytes, want %d", len(document.Data[workload.DocumentKey]), len(want))
			}
			return err
		})
	})
	s.awaitCurrent(startup, s.bridge())
	b.converse("Ana")
}

// TestProfile: what the spec says is what the platform has.
func TestProfile(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook)
	b.channel.Spec.Telegram.Profile = &v1alpha1.TelegramProfile{
		Name: ptr.To("The Shop"), Description: ptr.To("Ask us."),
		Commands: []v1alpha1.TelegramCommand{{Command: "order", Description: "Where is it?"}},
	}
	b.open()
	eventually(t, soon, "the profile is at the platform", func(ctx context.Context) error {
		if err := s.condition(b.channel, v1alpha1.ConditionProfileSynced, "True", v1alpha1.ReasonDone)(ctx); err != nil {
			return err
		}
		state, err := run.simulator.Bot(ctx, b.id)
		if err == nil && !hasProfile(state) {
			err = fmt.Errorf("the platform has %+v", state.Profile)
		}
		return err
	})
}

// TestTakenOver: a webhook that somebody else changed is told, not fought over.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	require.NoError(t, run.simulator.TakeOver(t.Context(), b.id, "http://elsewhere.example/hook", ""))
	// Nothing tells a bridge of it but its own look from time to time; a change
	// of what is registered makes it look now.
	change(t, b.channel, func(c *v1alpha1.Channel) { c.Spec.Telegram.MaxConnections = 7 })
	eventually(t, soon, "it is told", s.condition(b.channel, v1alpha1.ConditionWebhookRegistered, "False", v1alpha1.ReasonTakenOver))
	state, err := run.simulator.Bot(t.Context(), b.id)
	require.NoError(t, err)
	require.Equal(t, "http://elsewhere.example/hook", state.Webhook.URL)
}

func hasProfile(s telegram.State) bool {
	commands := s.Profile.Commands["default/"]
	return s.Profile.Name[""] == "The Shop" && s.Profile.Description[""] == "Ask us." &&
		len(commands) == 1 && commands[0].Command == "order"
}
