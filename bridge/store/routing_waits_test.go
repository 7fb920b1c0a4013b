package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// Nothing waits for ever: whatever leaves, closes or lets go, the policies of a
// channel say who comes next.

func (r *routed) desk() *desk { return &desk{Store: r.Store, t: r.t, clock: r.clock} }

// leaves takes an entry out of the document.
func (r *routed) leaves(kind document.EntryKind, name string) {
	delete(r.entries, document.Entry{Kind: kind, Name: name}.Key())
}

func TestWhatIsHeldLeavesAQueueThatLeaves(t *testing.T) {
	last := step("vip", toQueue(vip))
	last.Timeout = document.Duration(time.Minute)
	r := newRouted(t, inbound(rule("all", last)))
	v := r.hear("c1", "x")
	r.clock.advance(2 * time.Minute)
	r.run()
	require.Equal(t, routing.ActionHold, r.lastDecision(v).Action)
	r.wantOwner(v, OwnerQueue, vip)
	r.leaves(document.EntryAgentQueue, vip)
	require.Empty(t, r.reload())
	r.desk().turn()
	r.wantOwner(v, OwnerQueue, general)
	r.desk().checkCounters()
}

func TestAQueueLeavesBeforeThePolicyNamesAnother(t *testing.T) {
	r := newRouted(t, inbound())
	v := r.hear("c1", "x")
	r.leaves(document.EntryAgentQueue, general)
	r.leaves(document.EntryRoutingPolicy, "shop/inbound")
	r.reload()
	r.desk().turn()
	r.wantOwner(v, OwnerQueue, general)
	p := inbound()
	p.DefaultRoute = &routing.Route{BackendRefs: []routing.BackendRef{toQueue(vip)}}
	r.attach(p)
	r.desk().turn()
	r.wantOwner(v, OwnerQueue, vip)
	r.desk().checkCounters()
}

// The queue that a webhook named is in no policy, so that none is another one when
// it leaves.
func TestTheQueueOfAWebhookLeaves(t *testing.T) {
	s := newService(t)
	s.says(200, `{"queue":"shop/vip"}`)
	r := newWebhookPolicy(t, s, nil)
	r.attach(inbound(rule("all", step("ask", backendRef(routing.BackendWebhook, "shop/inbound/router")))))
	v := r.hear("c1", "x")
	r.settleAll()
	r.wantOwner(v, OwnerQueue, vip)
	r.leaves(document.EntryAgentQueue, vip)
	require.Empty(t, r.reload())
	r.desk().turn()
	r.wantOwner(v, OwnerQueue, general)
	r.desk().checkCounters()
}

func TestADocumentDoesNotHideThatAQueueIsFull(t *testing.T) {
	d := limited(t, routing.Limits{MaxDepth: 1})
	first, second := conversationOf(t, d.Store, textFrom("c1", "m1", "x")), conversationOf(t, d.Store, textFrom("c2", "m2", "x"))
	_, err := d.Pass(t.Context(), everything, second.ID, Owner{OwnerQueue, general}, second.Epoch)
	require.NoError(t, err)
	require.NoError(t, d.write(t.Context(), 1, func(t *txn) error { return t.lookAgain(general) })) // as a document that changes the queue does
	d.turn()
	require.Equal(t, Owner{OwnerQueue, general}, d.owner(first.ID))
	require.Equal(t, Owner{OwnerQueue, vip}, d.owner(second.ID))
	d.checkCounters()
}

// A fair that is over never opens again: then the wall clock ends the wait.
func TestMaxWaitOfAScheduleThatIsOver(t *testing.T) {
	r := newRouted(t, inbound(rule("all", step("first", toQueue(vip)), step("second", toQueue(general)))))
	r.set(entry(t, document.EntrySchedule, "shop/fair", schedule.Spec{TimeZone: "UTC", Exceptions: []schedule.Exception{{Date: "2020-01-01", From: "09:00", To: "17:00"}}}),
		entry(t, document.EntryAgentQueue, vip, routing.QueueSpec{Name: vip, Schedule: "shop/fair", Limits: routing.Limits{MaxWait: document.Duration(10 * time.Minute)}}))
	require.Empty(t, r.reload())
	v := r.hear("c1", "x")
	r.desk().pass(9 * time.Minute)
	r.wantOwner(v, OwnerQueue, vip)
	r.desk().pass(time.Minute)
	r.wantOwner(v, OwnerQueue, general)
}

func TestWhoIsLetGoOfIsRouted(t *testing.T) {
	release := func(r *routed, v string) Conversation {
		t.Helper()
		scope := everything
		scope.Caller = "desk"
		c, err := r.Release(t.Context(), scope, v, getConversation(t, r.Store, v).Epoch)
		require.NoError(t, err)
		return c
	}
	lastChange := func(r *routed, v string) OwnerChange {
		t.Helper()
		page, err := r.OwnerChanges(t.Context(), everything, v, PageQuery{})
		require.NoError(t, err)
		return page.Items[len(page.Items)-1]
	}
	r := newRouted(t, withBot(menuBot))
	v := r.hear("c1", "x")
	r.run()
	require.Equal(t, Owner{OwnerQueue, general}, release(r, v).Owner, "of a bot, as if it had handed over")
	d := r.routing(v).Decisions.Items[0]
	require.Equal(t, routing.EventHandoffRequested, d.Facts.Event)
	require.Equal(t, string(CauseReleased), d.Reason)
	change := lastChange(r, v)
	require.Equal(t, OwnerChange{At: change.At, Epoch: change.Epoch, From: Owner{OwnerBot, menuBot}, To: Owner{OwnerQueue, general}, Cause: CauseHandover, Caller: "desk", Decision: d.ID}, change)

	v = r.hear("c2", "x")
	r.run()
	r.assign(v, Owner{OwnerAgent, "ana"})
	require.Equal(t, Owner{OwnerBot, menuBot}, release(r, v).Owner, "who had it from no queue: as the policy says")
	r.run()
	require.Equal(t, CauseRouted, lastChange(r, v).Cause)
	r.wantOwner(v, OwnerBot, menuBot)

	r.assign(v, Owner{OwnerAgent, "ana"})
	r.resolve(v)
	require.Equal(t, OwnerNone, release(r, v).Owner.Kind, "it is solved: nobody need have it")

	r.attach() // no policies
	v = r.hear("c3", "x")
	r.assign(v, Owner{OwnerAgent, "ana"})
	require.Equal(t, OwnerNone, release(r, v).Owner.Kind)
}

func TestASolvedConversationOfAnAgentWhoIsRemoved(t *testing.T) {
	for name, reopen := range map[string]func(r *routed, v string){
		"by REST":      func(r *routed, v string) { _, err := r.Reopen(t.Context(), everything, v); require.NoError(t, err) },
		"by a message": func(r *routed, v string) { r.attach(); require.Equal(t, v, r.hear("c1", "again")) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouted(t, inbound())
			r.set(entry(t, document.EntryAgentQueue, general, assigning(general)))
			require.Empty(t, r.reload())
			d := r.desk()
			ana := d.agent("ana")
			v := r.hear("c1", "x")
			d.turn()
			r.wantOwner(v, OwnerAgent, ana)
			r.resolve(v)
			require.NoError(t, r.DeleteAgent(t.Context(), everything, ana))
			bob := d.agent("bob")
			reopen(r, v)
			d.turn()
			r.wantOwner(v, OwnerAgent, bob)
			d.checkCounters()
		})
	}
}

// The bot leaves between the look at it and the claim of the question.
func TestABotThatLeavesWhileItIsAsked(t *testing.T) {
	s := newService(t)
	s.says(200, `{"replies":[{"text":"here"}]}`)
	r := newRemoteBot(t, s)
	v := r.hear("c1", "hi")
	list, err := all(t.Context(), r.read, scanErrand, selectErrands)
	require.NoError(t, err)
	hook := r.dispatcher.endpointOf(list[0])
	r.leaves(document.EntryBot, remoteBot)
	require.Empty(t, r.reload())
	e, ask, err := r.dispatcher.claim(t.Context(), list[0], hook)
	require.NoError(t, err)
	require.NoError(t, r.dispatcher.consult(t.Context(), e, hook, ask))
	require.Zero(t, s.questions())
	r.wantOwner(v, OwnerQueue, general)
}
