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

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// TestConversation: a customer writes, the desk answers, the customer sees it;
// by webhook and by polling.
func TestConversation(t *testing.T) {
	s := newShop(t)
	for _, receive := range []v1alpha1.ReceiveMode{v1alpha1.ReceiveWebhook, v1alpha1.ReceivePolling} {
		t.Run(string(receive), func(t *testing.T) {
			s := s.in(t)
			b := s.newBot("telegram-"+map[v1alpha1.ReceiveMode]string{v1alpha1.ReceiveWebhook: "hook", v1alpha1.ReceivePolling: "poll"}[receive], receive).open()
			customer := b.customer("Ana")
			question, answer := text("Where is my order?"), text("It leaves today.")

			start := time.Now()
			received := b.receives(customer, question)
			measure(string(receive)+": written to in REST", time.Since(start))
			assert.Equal(t, message.Inbound, received.Direction)
			assert.Equal(t, message.TypeText, received.Type)
			assert.Equal(t, s.namespace, received.Namespace)
			assert.Equal(t, b.channel.Name, received.Channel)
			assert.Equal(t, customer.ID(), received.Contact.ExternalID)
			assert.Equal(t, "Ana", received.Contact.DisplayName)
			assert.NotEmpty(t, received.ExternalID)

			start = time.Now()
			b.answers(customer, received, answer, 1)
			measure(string(receive)+": reply to seen", time.Since(start))
			eventually(t, soon, "the reply is sent", func(ctx context.Context) error {
				sent, err := s.desk.Find(ctx, b.key(), answer)
				if err == nil && (sent == nil || sent.Status != message.StatusSent || sent.ExternalID == "") {
					err = fmt.Errorf("the reply is %+v", sent)
				}
				return err
			})
			conversation, err := s.desk.Conversation(t.Context(), received.Conversation)
			require.NoError(t, err)
			require.Len(t, conversation, 2)
			assert.Equal(t, question, conversation[0].Text)
			assert.Equal(t, answer, conversation[1].Text)
		})
	}
}

// TestForgedWebhooks: what the platform did not sign is refused, and a channel
// that is not here is not told from one that does not exist.
func TestForgedWebhooks(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
	code, err := run.simulator.Inject(t.Context(), b.id, telegram.Injection{Secret: secret()})
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, code, "wrong secret")
	code, err = run.simulator.Inject(t.Context(), b.id, telegram.Injection{UseSecret: true, Body: `{"update_id":`})
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadRequest, code, "malformed")
	stored, err := s.desk.Messages(t.Context(), b.key(), "")
	require.NoError(t, err)
	assert.Empty(t, stored, "nothing of it is kept")
	b.converse("Ana")
}

// TestOrderAndNumber: many messages of many customers all arrive, once, each
// customer's in order, by both ways.
func TestOrderAndNumber(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const customers, each = 5, 20
	for _, receive := range []v1alpha1.ReceiveMode{v1alpha1.ReceiveWebhook, v1alpha1.ReceivePolling} {
		b := s.newBot("telegram-"+string(receive[0]+'a'-'A')+"1", receive).open()
		for c := range customers {
			customer := b.customer(fmt.Sprintf("Customer %d", c))
			for i := range each {
				require.NoError(t, customer.Write(t.Context(), fmt.Sprintf("%d", i)))
			}
		}
		eventually(t, soon, "all are there", func(ctx context.Context) error {
			all, err := s.desk.Messages(ctx, b.key(), message.Inbound)
			if err == nil && len(all) != customers*each {
				err = fmt.Errorf("%d of %d messages", len(all), customers*each)
			}
			return err
		})
		all, err := s.desk.Messages(t.Context(), b.key(), message.Inbound)
		require.NoError(t, err)
		next := map[string]int{}
		for _, m := range all {
			assert.Equal(t, fmt.Sprint(next[m.Contact.ID]), m.Text, "messages of one customer are in order")
			next[m.Contact.ID]++
		}
		assert.Len(t, next, customers)
	}
}
