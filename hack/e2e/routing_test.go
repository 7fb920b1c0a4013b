//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

const menuText = "What is it about?"

// desks is a shop with two queues, a bot and a policy: the bot has everybody
// first, who asks for their order goes to the queue orders, the rest to general.
type desks struct {
	*bot
	policy  *v1alpha1.RoutingPolicy
	general *v1alpha1.AgentQueue
	orders  *v1alpha1.AgentQueue
	menu    *v1alpha1.Bot
}

func openDesks(t *testing.T) *desks {
	t.Helper()
	s := newShop(t)
	d := &desks{bot: s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()}
	d.general = &v1alpha1.AgentQueue{ObjectMeta: s.meta("general"), Spec: v1alpha1.AgentQueueSpec{Selector: &v1alpha1.AgentSelector{Labels: v1alpha1.Pairs{"team": "general"}}}}
	d.orders = &v1alpha1.AgentQueue{ObjectMeta: s.meta("orders"), Spec: v1alpha1.AgentQueueSpec{
		Selector: &v1alpha1.AgentSelector{Labels: v1alpha1.Pairs{"team": "orders"}}, Offer: &v1alpha1.QueueOffer{Mode: "Assign"},
	}}
	d.menu = &v1alpha1.Bot{ObjectMeta: s.meta("menu"), Spec: v1alpha1.BotSpec{BuiltIn: &v1alpha1.BuiltInBot{
		DefaultLanguage: "en", Fallback: v1alpha1.Texts{"en": "Please choose."},
		Menus: []v1alpha1.BotMenu{{Name: "main", Text: v1alpha1.Texts{"en": menuText}, Options: []v1alpha1.BotOption{
			{Name: "order", Title: v1alpha1.Texts{"en": "My order"}, Then: v1alpha1.BotAction{Text: v1alpha1.Texts{"en": "One moment."}, Handover: true, Topics: []string{"order"}}},
		}}},
		Handover: v1alpha1.BuiltInHandover{Keywords: v1alpha1.Words{"en": {"agent"}}},
	}}}
	d.policy = &v1alpha1.RoutingPolicy{ObjectMeta: s.meta("inbound"), Spec: v1alpha1.RoutingPolicySpec{
		ParentRefs: []v1alpha1.ObjectReference{{Name: d.channel.Name}},
		Rules: []v1alpha1.RoutingRule{
			{Name: "orders", Matches: []v1alpha1.RoutingMatch{{Topics: []string{"order"}}}, Steps: []v1alpha1.RoutingStep{to("people", v1alpha1.BackendAgentQueue, "orders")}},
			{Name: "everybody", Steps: []v1alpha1.RoutingStep{to("bot", v1alpha1.BackendBot, "menu"), to("people", v1alpha1.BackendAgentQueue, "general")}},
		},
		DefaultRoute: v1alpha1.DefaultRoute{BackendRefs: []v1alpha1.BackendRef{{Kind: v1alpha1.BackendAgentQueue, Name: "general"}}},
	}}
	s.create(d.general, d.orders, d.menu, d.policy)
	s.awaitCurrent(soon, d.general, d.orders, d.menu, d.policy)
	eventually(t, soon, "programmed", d.programmed)
	return d
}

func to(step string, kind v1alpha1.BackendKind, name string) v1alpha1.RoutingStep {
	return v1alpha1.RoutingStep{Name: step, BackendRefs: []v1alpha1.BackendRef{{Kind: kind, Name: name}}}
}

// programmed checks that every store pod has loaded the policy as it stands.
func (d *desks) programmed(ctx context.Context) error {
	if err := run.cluster.Get(ctx, client.ObjectKeyFromObject(d.policy), d.policy); err != nil {
		return err
	}
	c := meta.FindStatusCondition(d.policy.Status.Conditions, v1alpha1.ConditionProgrammed)
	if c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != d.policy.Generation {
		return fmt.Errorf("generation %d is not programmed: %+v", d.policy.Generation, c)
	}
	return nil
}

// owners waits until the last owner of a conversation is of a kind, and returns
// the names of all that it had, in order.
func (d *desks) owners(conversation string, last store.OwnerKind) []string {
	t := d.shop.t
	t.Helper()
	var names []string
	eventually(t, soon, "owned by "+string(last), func(ctx context.Context) error {
		changes, err := d.shop.desk.Owners(ctx, conversation)
		if err != nil {
			return err
		}
		names = nil
		for _, c := range changes {
			names = append(names, string(c.To.Kind)+" "+c.To.Name)
		}
		if len(changes) == 0 || changes[len(changes)-1].To.Kind != last {
			return fmt.Errorf("the owners are %q", names)
		}
		return nil
	})
	return names
}

// TestRouting: a bot has a customer first and hands over, a queue gives the
// conversation to the agent, and the bot is silent from then on.
func TestRouting(t *testing.T) {
	t.Parallel()
	d := openDesks(t)
	s := d.shop
	eventually(t, startup, "told that nobody is there", s.condition(d.orders, v1alpha1.ConditionStaffed, metav1.ConditionFalse, "NoAgents"))
	ada, err := s.desk.Agent(t.Context(), s.namespace, "ada", map[string]string{"team": "orders"})
	require.NoError(t, err)

	customer := d.customer("Ana")
	hello := d.receives(customer, text("Hello"))
	seen, err := customer.Read(t.Context(), 1, soon)
	require.NoError(t, err)
	require.Contains(t, seen[0], menuText)
	assert.Equal(t, []string{"bot " + s.namespace + "/menu"}, d.owners(hello.Conversation, store.OwnerBot))

	require.NoError(t, customer.Write(t.Context(), "My order"))
	seen, err = customer.Read(t.Context(), 2, soon)
	require.NoError(t, err)
	require.Equal(t, "One moment.", seen[1])
	owners := d.owners(hello.Conversation, store.OwnerAgent)
	assert.Equal(t, "agent "+ada.ID, owners[len(owners)-1])
	assert.Contains(t, owners, "queue "+s.namespace+"/orders")
	assert.NotContains(t, owners, "queue "+s.namespace+"/general")

	more := d.receives(customer, text("It is number 7."))
	d.answers(customer, more, text("It leaves today."), 3) // the third: the bot said no more
	eventually(t, startup, "told that somebody is", s.condition(d.orders, v1alpha1.ConditionStaffed, metav1.ConditionTrue, ""))
}

// TestRoutingChange: a policy changes while customers write. None is lost, none
// misrouted: who wrote before the change was put up is with the bot, who wrote
// once it was programmed is in the queue.
func TestRoutingChange(t *testing.T) {
	t.Parallel()
	d := openDesks(t)
	const each = 20
	before := d.crowd(t.Context(), each)
	d.stored(before)

	ctx, stop := context.WithCancel(t.Context())
	var meanwhile []string
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			meanwhile = append(meanwhile, d.crowd(t.Context(), 1)...)
		}
	})
	change(t, d.policy, func(p *v1alpha1.RoutingPolicy) {
		p.Spec.Rules[1].Steps = []v1alpha1.RoutingStep{to("people", v1alpha1.BackendAgentQueue, "general")}
	})
	eventually(t, soon, "the change is programmed", d.programmed)
	stop()
	wg.Wait()
	after := d.crowd(t.Context(), each)

	conversations := d.stored(append(append(before, meanwhile...), after...))
	bot, queue := "bot "+d.shop.namespace+"/menu", "queue "+d.shop.namespace+"/general"
	for _, text := range before {
		assert.Equal(t, []string{bot}, d.owners(conversations[text], store.OwnerBot), "an open conversation stays where it is")
	}
	for _, text := range meanwhile {
		changes, err := d.shop.desk.Owners(t.Context(), conversations[text])
		require.NoError(t, err)
		require.Len(t, changes, 1, "one owner, by one of the two versions")
		assert.Contains(t, []string{bot, queue}, string(changes[0].To.Kind)+" "+changes[0].To.Name)
	}
	for _, text := range after {
		assert.Equal(t, []string{queue}, d.owners(conversations[text], store.OwnerQueue), "programmed means in force")
	}
	t.Logf("%d wrote before, %d meanwhile, %d after", len(before), len(meanwhile), len(after))
}

// crowd lets n customers write once each, and returns what they wrote. It may
// run beside the test.
func (d *desks) crowd(ctx context.Context, n int) []string {
	var texts []string
	for range n {
		said := text("Hello")
		c, err := run.simulator.Customer(ctx, d.id, telegram.User{ID: 100_000_000 + number(), FirstName: "Somebody"})
		if err == nil {
			err = c.Write(ctx, said)
		}
		if err != nil {
			d.shop.t.Errorf("a customer could not write: %v", err)
			return texts
		}
		texts = append(texts, said)
	}
	return texts
}

// stored waits until all texts are in REST, once each, and returns the
// conversation of each.
func (d *desks) stored(texts []string) map[string]string {
	d.shop.t.Helper()
	conversations := map[string]string{}
	eventually(d.shop.t, soon, "all messages are there", func(ctx context.Context) error {
		all, err := d.shop.desk.Messages(ctx, d.key(), message.Inbound)
		if err != nil {
			return err
		}
		clear(conversations)
		for _, m := range all {
			if conversations[m.Text] != "" {
				return fmt.Errorf("%q is there twice", m.Text)
			}
			conversations[m.Text] = m.Conversation
		}
		for _, text := range texts {
			if conversations[text] == "" {
				return fmt.Errorf("%q is not there", text)
			}
		}
		return nil
	})
	return conversations
}
