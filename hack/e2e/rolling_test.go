//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
	"github.com/bridgekeeper/bridgekeeper/hack/actors"
)

const (
	// Customers write so often that some request is on the way at every moment
	// of a rollout, and so seldom that the simulator's log of 2 000 deliveries
	// holds a rollout of two minutes: 4 every 300 ms are 1 600.
	rollingCustomers = 4
	rollingPause     = 300 * time.Millisecond
	rollingMost      = 400 // messages of one customer
)

// TestRollingUpdate: while all pods of a Bridge are replaced, no delivery is
// refused, everything that customers and the desk write arrives once and in
// order, and the Channel stays Ready.
//
// The promise is the same for one replica and for several: a new pod serves
// before an old one goes (maxSurge 1, maxUnavailable 0), and an old one takes
// webhooks for five seconds after it was told to stop, in which the change of
// endpoints reaches every node, and closes the connections that it answers on.
// What is not promised is a pod that dies without notice: its platform repeats
// what was not acknowledged (TestStoreKilled, TestPollerTakenOver).
func TestRollingUpdate(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int32{1, 2} {
		t.Run(fmt.Sprintf("%d replicas", replicas), func(t *testing.T) {
			t.Parallel()
			s := newShop(t, func(b *v1alpha1.Bridge) { b.Spec.Replicas = ptr.To(replicas) })
			b := s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()
			r := startTraffic(b)
			s.replacePods(b, int(replicas))
			r.stop()
			r.check()
		})
	}
}

// replacePods changes the Bridge's pod template and waits until all pods are
// new ones and the old ones are gone.
func (s *shop) replacePods(b *bot, replicas int) {
	s.t.Helper()
	before, err := run.cluster.pods(s.t.Context(), s.namespace, workload.BridgeSelector("default"))
	require.NoError(s.t, err)
	old := map[string]bool{}
	for _, p := range before {
		old[string(p.UID)] = true
	}
	require.Len(s.t, old, replicas)
	change(s.t, s.bridge(), func(bridge *v1alpha1.Bridge) {
		bridge.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: mustParse("60m")}}
	})
	eventually(s.t, startup+time.Duration(replicas)*30*time.Second, "the old pods are replaced", func(ctx context.Context) error {
		if err := s.condition(b.channel, v1alpha1.ConditionReady, metav1.ConditionTrue, "")(ctx); err != nil && ctx.Err() == nil {
			s.t.Errorf("Ready flaps: %v", err)
		}
		pods, err := run.cluster.pods(ctx, s.namespace, workload.BridgeSelector("default"))
		if err != nil {
			return err
		}
		fresh := 0
		for i := range pods {
			switch {
			case old[string(pods[i].UID)]:
				return fmt.Errorf("pod %s is still there", pods[i].Name)
			case ready(&pods[i]):
				fresh++
			}
		}
		if fresh != replicas {
			return fmt.Errorf("%d of %d new pods are ready", fresh, replicas)
		}
		return nil
	})
}

// traffic are customers who write, and a desk that answers each message, until
// stop.
type traffic struct {
	bot       *bot
	customers []*dialogue
	cancel    context.CancelFunc
	ended     chan error
}

// dialogue is what one customer and the desk wrote.
type dialogue struct {
	customer       *actors.Customer
	conversation   string
	asked, replied []string
}

func startTraffic(b *bot) *traffic {
	t := b.shop.t
	t.Helper()
	r := &traffic{bot: b, ended: make(chan error, rollingCustomers)}
	for i := range rollingCustomers {
		d := &dialogue{customer: b.customer(fmt.Sprintf("Customer %d", i))}
		first := text("Before")
		d.conversation = b.receives(d.customer, first).Conversation
		d.asked = append(d.asked, first)
		r.customers = append(r.customers, d)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(t.Context())
	t.Cleanup(r.cancel)
	for _, d := range r.customers {
		go func() { r.ended <- d.talk(ctx, b) }()
	}
	return r
}

// talk writes and answers in turn. Requests are not cut off by the end: what
// they did would not be known.
func (d *dialogue) talk(ctx context.Context, b *bot) error {
	whole := context.WithoutCancel(ctx)
	next := time.NewTicker(rollingPause)
	defer next.Stop()
	for range rollingMost {
		question, answer := text("Rolling"), text("Answer")
		if err := d.customer.Write(whole, question); err != nil {
			return fmt.Errorf("the simulator takes no message: %w", err)
		}
		d.asked = append(d.asked, question)
		if _, err := b.shop.desk.Reply(whole, d.conversation, answer, answer); err != nil {
			return fmt.Errorf("the store takes no reply: %w", err)
		}
		d.replied = append(d.replied, answer)
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
	}
	return nil
}

func (r *traffic) stop() {
	r.bot.shop.t.Helper()
	r.cancel()
	for range r.customers {
		require.NoError(r.bot.shop.t, <-r.ended)
	}
}

// check compares what was written with what arrived, on both sides.
func (r *traffic) check() {
	t := r.bot.shop.t
	t.Helper()
	r.checkInbound()
	for i, d := range r.customers {
		seen, err := d.customer.Read(t.Context(), len(d.replied), startup)
		require.NoError(t, err)
		assert.Equal(t, d.replied, seen, "what the desk wrote reaches customer %d, each once and in order", i)
	}
	r.checkDeliveries()
}

// checkInbound compares what customers wrote with what is stored.
func (r *traffic) checkInbound() {
	t := r.bot.shop.t
	t.Helper()
	r.awaitAll()
	got := r.stored()
	for i, d := range r.customers {
		assert.Equal(t, d.asked, got[d.customer.ID()], "what customer %d wrote is stored, each once and in order", i)
	}
}

// checkAfterKill is check where a pod died without notice: the platform has
// repeated what that one did not answer, and of a reply that it was sending
// nobody knows whether it was sent, which the store says and leaves so.
func (r *traffic) checkAfterKill() {
	t := r.bot.shop.t
	t.Helper()
	r.checkInbound()
	replies, unknown := 0, 0
	for i, d := range r.customers {
		settled := r.settled(d) // what the dead pod was sending is sent again once its lease is over
		seen, err := d.customer.Read(t.Context(), 0, soon)
		require.NoError(t, err)
		for _, m := range settled {
			times := 0
			for _, s := range seen {
				if s == m.Text {
					times++
				}
			}
			replies++
			switch m.Status {
			case message.StatusSent:
				assert.Equal(t, 1, times, "customer %d: %q is sent", i, m.Text)
			case message.StatusUnknown:
				unknown++
				assert.LessOrEqual(t, times, 1, "customer %d: %q is unknown", i, m.Text)
			default:
				assert.Fail(t, "a reply is neither sent nor unknown", "customer %d: %q is %s (%s)", i, m.Text, m.Status, m.Reason)
			}
		}
		inOrder := slices.DeleteFunc(slices.Clone(d.replied), func(text string) bool { return !slices.Contains(seen, text) })
		assert.Equal(t, inOrder, seen, "customer %d has seen nothing twice, nothing strange, and all of it in order", i)
	}
	assert.Less(t, unknown, replies/2, "only what was under way is unknown")
	t.Logf("%d of %d replies are of unknown outcome", unknown, replies)
}

// settled are all replies of a dialogue, once none is queued any more.
func (r *traffic) settled(d *dialogue) (replies []message.Message) {
	t := r.bot.shop.t
	t.Helper()
	eventually(t, startup, "no reply is queued", func(ctx context.Context) error {
		all, err := r.bot.shop.desk.Conversation(ctx, d.conversation)
		if err != nil {
			return err
		}
		replies = slices.DeleteFunc(all, func(m message.Message) bool {
			return m.Direction != message.Outbound || m.Status == message.StatusQueued
		})
		if len(replies) != len(d.replied) {
			return fmt.Errorf("%d of %d replies are done", len(replies), len(d.replied))
		}
		return nil
	})
	return replies
}

// awaitMore waits until more messages are stored than there are now.
func (r *traffic) awaitMore(more int) {
	r.bot.shop.t.Helper()
	count := func(ctx context.Context) (int, error) {
		all, err := r.bot.shop.desk.Messages(ctx, r.bot.key(), message.Inbound)
		return len(all), err
	}
	before, err := count(r.bot.shop.t.Context())
	require.NoError(r.bot.shop.t, err)
	eventually(r.bot.shop.t, startup, fmt.Sprintf("%d more messages are stored", more), func(ctx context.Context) error {
		now, err := count(ctx)
		if err == nil && now < before+more {
			err = fmt.Errorf("%d are", now-before)
		}
		return err
	})
}

// awaitAll waits until as many messages are stored as were written: a platform
// would repeat what was refused.
func (r *traffic) awaitAll() {
	r.bot.shop.t.Helper()
	want := 0
	for _, d := range r.customers {
		want += len(d.asked)
	}
	eventually(r.bot.shop.t, startup, fmt.Sprintf("%d messages are stored", want), func(ctx context.Context) error {
		all, err := r.bot.shop.desk.Messages(ctx, r.bot.key(), message.Inbound)
		if err == nil && len(all) < want {
			err = fmt.Errorf("%d are", len(all))
		}
		return err
	})
}

// stored are the texts in the store, by customer, in the order of their arrival.
func (r *traffic) stored() map[string][]string {
	t := r.bot.shop.t
	t.Helper()
	all, err := r.bot.shop.desk.Messages(t.Context(), r.bot.key(), message.Inbound)
	require.NoError(t, err)
	texts := map[string][]string{}
	for _, m := range all {
		texts[m.Contact.ExternalID] = append(texts[m.Contact.ExternalID], m.Text)
	}
	return texts
}

// checkDeliveries looks at each single request of the platform.
func (r *traffic) checkDeliveries() {
	t := r.bot.shop.t
	t.Helper()
	deliveries, err := run.simulator.Deliveries(t.Context(), r.bot.id)
	require.NoError(t, err)
	accepted := map[int64]int{}
	var unanswered, refused []string
	for _, d := range deliveries {
		line := fmt.Sprintf("%s update %d, attempt %d, after %s: %s",
			d.Time.Format(time.StampMilli), d.UpdateID, d.Attempt, d.Duration.Round(time.Millisecond), d.Error)
		switch {
		case d.Status/100 == 2:
			accepted[d.UpdateID]++
		case d.Status == 0:
			unanswered = append(unanswered, line)
		default:
			refused = append(refused, line)
		}
	}
	assert.Empty(t, unanswered, "deliveries that met no pod, or a closed connection:\n%s", strings.Join(unanswered, "\n"))
	assert.Empty(t, refused, "deliveries that a pod refused:\n%s", strings.Join(refused, "\n"))
	for update, n := range accepted {
		assert.Equal(t, 1, n, "update %d was accepted more than once: an answer was lost", update)
	}
	t.Logf("%d deliveries during the rollout", len(deliveries))
}
