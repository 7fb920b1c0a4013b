package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Whoever wrote while no policy of the channel was in force has somebody soon after one
// is, without writing again; and the one who came first is the first.
func TestWhoCameWhileNoPolicyWasInForce(t *testing.T) {
	shadow := inbound()
	shadow.Mode = routing.ModeShadow
	for name, without := range map[string]func(r *routed){
		"detached": func(r *routed) { r.attach() },
		"deleted": func(r *routed) {
			r.attach()
			r.leaves(document.EntryRoutingPolicy, "shop/inbound")
			require.Empty(r.t, r.reload())
		},
		"a shadow": func(r *routed) { r.attach(shadow) },
		"damaged when the process began": func(r *routed) {
			require.NoError(r.t, r.Close())
			*r = *r.again()
			policy := r.entries["RoutingPolicy/shop/inbound"]
			damaged := policy
			damaged.Spec = []byte(`{"rules":7}`)
			r.set(damaged)
			require.NotEmpty(r.t, r.reload())
		},
		"the default queue is gone": func(r *routed) {
			require.NoError(r.t, r.Close())
			*r = *r.again()
			r.leaves(document.EntryAgentQueue, general)
			require.NotEmpty(r.t, r.reload())
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouted(t, inbound())
			without(r)
			first := r.hear("c1", "hello")
			r.clock.advance(time.Second)
			r.hear("c1", "anybody there?")
			r.clock.advance(3 * time.Minute)
			second := r.hear("c2", "hello")
			r.run()
			r.wantOwner(first, OwnerNone, "")
			r.set(entry(t, document.EntryAgentQueue, general, assigning(general)))
			r.attach(inbound())
			r.run()
			r.wantOwner(first, OwnerQueue, general)
			r.wantOwner(second, OwnerQueue, general)
			d := r.routing(first).Decisions.Items[0]
			require.Equal(t, routing.EventOpened, d.Facts.Event)
			require.Equal(t, "anybody there?", d.Facts.Message.Text)
			ana := r.desk().agent("ana", func(a *AgentSpec) { a.Units = routing.DefaultCost(routing.ClassChat) })
			r.desk().turn()
			r.wantOwner(first, OwnerAgent, ana)
			r.wantOwner(second, OwnerQueue, general)
			r.desk().checkCounters()
		})
	}
}

// More than a batch of them.
func TestManyWhoCameWhileNoPolicyWasInForce(t *testing.T) {
	r := newRouted(t)
	var list []string
	for i := range unroutedBatch + 3 {
		list = append(list, r.hear(numbered("c", i), "hello"))
	}
	r.attach(inbound())
	r.run()
	for _, v := range list {
		r.wantOwner(v, OwnerQueue, general)
	}
	r.desk().checkCounters()
}

// A replica that gets the policy later than others routes what it took in meanwhile.
func TestAReplicaThatGotThePolicyLaterRoutesWhatItTookIn(t *testing.T) {
	postgresOnly(t)
	r := newRouted(t)
	behind := r.again()
	require.Empty(t, behind.reload())
	r.attach(inbound())
	r.run()
	v := behind.hear("c1", "hello")
	require.Empty(t, behind.reload())
	behind.run()
	r.wantOwner(v, OwnerQueue, general)
}

// A Bot that gave up while there was no policy had the last word; the contact waits.
func TestABotGaveUpWithoutAPolicy(t *testing.T) {
	r := newRouted(t)
	v := r.hear("c1", "hello")
	r.pass(v, Owner{OwnerBot, menuBot})
	r.hear("c1", "agent")
	r.run()
	r.wantOwner(v, OwnerNone, "")
	r.attach(inbound())
	r.run()
	r.wantOwner(v, OwnerQueue, general)
}

// Not what is old, solved, answered, or was let go of once the policy had its say.
func TestWhatAPolicyLeavesAlone(t *testing.T) {
	r := newRouted(t)
	old := r.hear("c1", "hello")
	r.clock.advance(unroutedAge + time.Second)
	solved, answered, later := r.hear("c2", "hello"), r.hear("c3", "hello"), r.hear("c4", "hello")
	r.resolve(solved)
	r.clock.advance(time.Second)
	r.desk().says(answered, "hello")
	r.attach(inbound())
	r.run()
	for _, v := range []string{old, solved, answered} {
		require.Equal(t, OwnerNone, getConversation(t, r.Store, v).Owner.Kind)
		require.Empty(t, r.routing(v).Decisions.Items)
	}
	r.wantOwner(later, OwnerQueue, general)
	r.assign(later, Owner{Kind: OwnerNone})
	r.attach()
	r.attach(inbound())
	r.run()
	r.wantOwner(later, OwnerNone, "")
	r.hear("c1", "hello?")
	r.wantOwner(old, OwnerQueue, general)
}
