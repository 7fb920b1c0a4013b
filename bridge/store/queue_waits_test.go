package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Some who need what nobody has are the oldest, before many others whom one agent
// could all take.
func TestWhatNobodyCanTakeDoesNotHoldUpOtherNeeds(t *testing.T) {
	d := testDesk(t, assigning(support))
	need := func(name string) func(*waiting) {
		return func(w *waiting) { w.Skills.Required = []routing.Skill{{Name: name}} }
	}
	for i := range drainBatch {
		d.arrives(fmt.Sprint("klingon", i), support, need("lang/klingon"))
	}
	d.clock.advance(time.Second)
	skills := map[string]int{}
	var ids []string
	for g := range 64 {
		skills[fmt.Sprint("s", g)] = 1
		for i := range drainBatch {
			ids = append(ids, d.arrives(fmt.Sprintf("c%d-%d", g, i), support, need(fmt.Sprint("s", g))))
		}
	}
	d.agent("ana", func(a *AgentSpec) { a.Units, a.Skills = 1_000_000, skills })
	d.turn()
	d.poll()
	given := 0
	for _, id := range ids {
		if d.owner(id).Kind == OwnerAgent {
			given++
		}
	}
	require.Equal(t, len(ids), given, "she can have them all")
}

// Held in its last queue, taken by an agent, and given back after the queue has
// left: its policies say where it goes.
func TestWhatWasHeldAndComesBackToAQueueThatLeftGoesOn(t *testing.T) {
	last := step("vip", toQueue(vip))
	last.Timeout = document.Duration(time.Minute)
	r := newRouted(t, inbound(rule("all", last)))
	r.set(entry(t, document.EntryAgentQueue, vip, assigning(vip)))
	require.Empty(t, r.reload())
	d := r.desk()
	v := r.hear("c1", "x")
	r.clock.advance(2 * time.Minute)
	r.run()
	require.Equal(t, routing.ActionHold, r.lastDecision(v).Action)
	ana := d.agent("ana")
	d.turn()
	r.wantOwner(v, OwnerAgent, ana)
	r.leaves(document.EntryAgentQueue, vip)
	require.Empty(t, r.reload())
	d.turn()
	r.wantOwner(v, OwnerAgent, ana)
	_, err := r.Release(t.Context(), everything, v, getConversation(t, r.Store, v).Epoch)
	require.NoError(t, err)
	d.turn()
	r.clock.advance(24 * time.Hour)
	r.run()
	d.turn()
	r.hear("c1", "hello?")
	d.turn()
	r.wantOwner(v, OwnerQueue, general)
}

// An entry that was damaged on its way is there: what it said last goes on.
func TestDamagedEntriesOfRoutingKeepTheirLastGoodVersion(t *testing.T) {
	for _, kind := range []document.EntryKind{document.EntryAgentQueue, document.EntryRoutingPolicy, document.EntrySchedule, document.EntryBot} {
		t.Run(string(kind), func(t *testing.T) {
			r := newRouted(t, inbound())
			name := map[document.EntryKind]string{document.EntryAgentQueue: general, document.EntryRoutingPolicy: "shop/inbound", document.EntrySchedule: hours, document.EntryBot: menuBot}[kind]
			old := r.state.Load()
			var list []document.Entry
			for _, e := range r.entries {
				if e.Kind != kind || e.Name != name {
					list = append(list, e)
				}
			}
			doc := testDocument(t, list...)
			doc.Damaged = []document.Exception{{Entry: string(kind) + "/" + name}}
			r.Load(t.Context(), doc)
			st := r.state.Load()
			require.Len(t, st.queues, len(old.queues))
			require.Len(t, st.routes.policies, len(old.routes.policies))
			require.Len(t, st.routes.schedules, len(old.routes.schedules))
			require.Len(t, st.routes.bots, len(old.routes.bots))
		})
	}
}
