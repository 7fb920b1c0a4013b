//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// TestRotation: a new webhook secret is in force within seconds, the old one
// goes on being accepted, and no pod restarts.
func TestRotation(t *testing.T) {
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	before := s.podIdentities()
	const samples = 20
	for range samples {
		old := b.hook
		b.hook = secret()
		start := time.Now()
		b.keepSecret()
		eventually(t, soon, "the new secret is in force", b.accepts(b.hook))
		measure("Secret: rotated to in force", time.Since(start))
		require.NoError(t, b.accepts(old)(t.Context()), "the old secret counts for a day")
	}
	b.converse("Ana")
	assert.Equal(t, before, s.podIdentities(), "rotation restarts nothing")
}

// accepts checks that a webhook with this secret is taken.
func (b *bot) accepts(secret string) func(context.Context) error {
	return func(ctx context.Context) error {
		code, err := run.simulator.Inject(ctx, b.id, telegram.Injection{Secret: secret})
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("answered with %d", code)
		}
		return err
	}
}

// podIdentities are the uids and restarts of the shop's pods.
func (s *shop) podIdentities() map[string]string {
	s.t.Helper()
	pods, err := run.cluster.pods(s.t.Context(), s.namespace, map[string]string{workload.LabelManagedBy: workload.ManagedBy})
	require.NoError(s.t, err)
	identities := map[string]string{}
	for _, p := range pods {
		for _, c := range p.Status.ContainerStatuses {
			identities[p.Name] = fmt.Sprintf("%s restarts=%d", p.UID, c.RestartCount)
		}
	}
	return identities
}

// TestLeakedSecret: with an overlap of zero the old secret ends at once.
func TestLeakedSecret(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook)
	b.channel.Spec.Credentials.Overlap = &metav1.Duration{}
	b.open()
	old := b.hook
	b.hook = secret()
	b.keepSecret()
	eventually(t, soon, "the new secret is in force", b.accepts(b.hook))
	code, err := run.simulator.Inject(t.Context(), b.id, telegram.Injection{Secret: old})
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, code)
	b.converse("Ana")
}

// TestRevokedToken: after BotFather gave the bot a new token the channel says
// that the old one is refused, goes on taking messages in, and sends what
// waited as soon as the new one is in the Secret.
func TestRevokedToken(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	customer := b.customer("Ana")
	received := b.receives(customer, text("Hello"))
	b.secret = secret()
	require.NoError(t, run.simulator.Revoke(t.Context(), b.id, b.secret))
	_, err := s.desk.Reply(t.Context(), received.Conversation, "1", "Wait for it")
	require.NoError(t, err)
	eventually(t, soon, "the refusal shows", s.condition(b.channel, v1alpha1.ConditionDelivering, metav1.ConditionFalse, v1alpha1.ReasonAuthInvalid))
	b.receives(customer, text("Are you there?"))

	start := time.Now()
	b.keepSecret()
	seen, err := customer.Read(t.Context(), 1, soon)
	require.NoError(t, err)
	measure("token: new in Secret to sending again", time.Since(start))
	assert.Equal(t, []string{"Wait for it"}, seen)
	for _, c := range []string{v1alpha1.ConditionDelivering, v1alpha1.ConditionCredentialsValid} {
		eventually(t, soon, "repaired", s.condition(b.channel, c, metav1.ConditionTrue, ""))
	}
}

// TestRotatedAPIToken: a desk's token can be replaced without a restart, and
// a token whose Secret is gone opens nothing.
func TestRotatedAPIToken(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	before := s.podIdentities()
	s.token = secret() + secret()
	start := time.Now()
	s.keepSecret("desk", map[string]string{"token": s.token})
	s.desk = s.deskWith(s.token)
	eventually(t, soon, "the new token opens REST", func(ctx context.Context) error {
		_, err := s.desk.Messages(ctx, b.key(), "")
		return err
	})
	measure("API token: rotated to in force", time.Since(start))
	require.NoError(t, run.cluster.Delete(t.Context(), &corev1.Secret{ObjectMeta: s.meta("desk")}))
	eventually(t, soon, "the token is revoked", func(ctx context.Context) error {
		_, err := s.desk.Messages(ctx, b.key(), "")
		if isStatus(err, http.StatusUnauthorized) {
			return nil
		}
		return fmt.Errorf("REST answers with %w", err)
	})
	assert.Equal(t, before, s.podIdentities())
}
