package store

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// says is an answer of an agent to the contact.
func (d *desk) says(conversation, text string) {
	d.t.Helper()
	_, err := d.Send(context.Background(), everything, conversation, SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: text})
	require.NoError(d.t, err)
}

func (d *desk) waitingSince(conversation string) time.Time {
	d.t.Helper()
	var since int64
	_, err := one(context.Background(), d.read, []any{&since}, `SELECT waiting_since FROM queue_entries WHERE conversation = ?`, conversation)
	require.NoError(d.t, err)
	return fromMS(since)
}

func TestWhatAnAgentHasWhoGoesOffline(t *testing.T) {
	minute := document.Duration(time.Minute)
	for action, back := range map[routing.OnOfflineAction]map[bool]bool{ // answered → goes back
		"":                               {true: false, false: true},
		routing.OfflineKeep:              {true: false, false: false},
		routing.OfflineRequeueUnanswered: {true: false, false: true},
		routing.OfflineRequeueAll:        {true: true, false: true},
	} {
		spec := assigning(support)
		spec.OnOffline = routing.OnOffline{Action: action, Grace: minute}
		d := testDesk(t, spec)
		d.opts.Capabilities = map[string]platform.Capabilities{"telegram": testCaps}
		ana := d.agent("ana")
		answered, unanswered := d.arrives("c1", support), d.arrives("c2", support)
		came := d.waitingSince(unanswered)
		d.turn()
		require.Equal(t, OwnerAgent, d.owner(answered).Kind)
		d.clock.advance(time.Second)
		d.says(answered, "hello")
		d.beat(ana, "offline")
		d.pass(59 * time.Second)
		require.Equal(t, OwnerAgent, d.owner(unanswered).Kind, "a reload, a tunnel")
		d.pass(2 * time.Second)
		require.Equal(t, back[true], d.owner(answered).Kind == OwnerQueue, "%s answered", action)
		require.Equal(t, back[false], d.owner(unanswered).Kind == OwnerQueue, "%s unanswered", action)
		require.Equal(t, came, d.waitingSince(unanswered), "as old as it is")
		d.checkCounters()
	}
}

func TestSilentAgentsAreOffline(t *testing.T) {
	d := testDesk(t, routing.QueueSpec{Name: support, Offer: routing.Offer{Timeout: document.Duration(time.Hour)}})
	ana := d.agent("ana")
	v := d.arrives("c1", support)
	d.turn()
	require.Len(t, d.offers(ana), 1)
	d.clock.advance(silentAfter)
	d.turn()
	require.Len(t, d.offers(ana), 1)
	d.clock.advance(time.Millisecond)
	d.turn()
	require.Empty(t, d.offers(ana), "nobody declined it")
	require.Equal(t, 0, d.queue(support).Online)
	require.Equal(t, "online", d.beat(ana, "").State, "back from the tunnel")
	d.turn()
	offers := d.offers(ana)
	require.Len(t, offers, 1)
	require.Equal(t, v, offers[0].Conversation)
	d.checkCounters()
}

func TestIdleConversationsFreeCapacity(t *testing.T) {
	spec := assigning(support)
	spec.Capacity = routing.Capacity{Units: 25, IdleAfter: document.Duration(15 * time.Minute), IdleUnits: 0}
	d := testDesk(t, spec)
	ana := d.agent("ana")
	first, second := d.arrives("c1", support), d.arrives("c2", support)
	d.turn()
	require.Equal(t, Owner{OwnerAgent, ana}, d.owner(first))
	d.pass(10 * time.Minute)
	stored(t, d.Store, telegram, textFrom("c1", "still", "are you there?"))
	d.pass(14 * time.Minute)
	require.Equal(t, OwnerQueue, d.owner(second).Kind, "the contact wrote meanwhile")
	d.pass(2 * time.Minute)
	require.Equal(t, Owner{OwnerAgent, ana}, d.owner(second))
	third := d.arrives("c3", support)
	stored(t, d.Store, telegram, textFrom("c1", "back", "back again"))
	d.turn()
	require.Equal(t, OwnerQueue, d.owner(third).Kind)
	a, err := d.Agent(t.Context(), everything, ana)
	require.NoError(t, err)
	require.Equal(t, 50, a.Load, "the idle one speaks: it may be more than she can carry")
	d.checkCounters()
}

func TestMaxNewWithinAWindow(t *testing.T) {
	spec := assigning(support)
	spec.Capacity.MaxNew = routing.MaxNew{Count: 2, Window: document.Duration(time.Hour)}
	d := testDesk(t, spec)
	d.agent("ana")
	for i := range 3 {
		d.arrives(numbered("c", i), support)
	}
	d.turn()
	require.Equal(t, 1, d.queue(support).Depth)
	d.pass(59 * time.Minute)
	require.Equal(t, 1, d.queue(support).Depth)
	d.pass(2 * time.Minute)
	d.poll()
	require.Zero(t, d.queue(support).Depth)
}

// poll is what the loop does now and then: all queues.
func (d *desk) poll() {
	d.t.Helper()
	names := map[string]bool{}
	for name := range d.state.Load().queues {
		names[name] = true
	}
	require.NoError(d.t, d.drainQueues(context.Background(), names))
}

func TestAClosedQueueGivesNothing(t *testing.T) {
	spec := assigning(support)
	spec.Schedule = hours
	d := testDesk(t)
	d.others = []document.Entry{entry(t, document.EntrySchedule, hours, schedule.Spec{TimeZone: "UTC", Weekly: []schedule.Weekly{{Days: []schedule.Day{schedule.Monday}, From: "09:00", To: "17:00"}}})}
	d.load(spec)
	d.agent("ana")
	v := d.arrives("c1", support)
	d.turn()
	require.Equal(t, OwnerQueue, d.owner(v).Kind)
	require.False(t, d.queue(support).Open)
	require.Empty(t, d.Troubles(t.Context()))
	d.pass(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC).Sub(d.clock.Now()) - time.Second)
	d.poll()
	require.Equal(t, OwnerQueue, d.owner(v).Kind, "a Sunday, and the night")
	d.pass(time.Second)
	d.poll()
	require.Equal(t, OwnerAgent, d.owner(v).Kind)
}

func TestPreferredSkillsAreDropped(t *testing.T) {
	d := testDesk(t, assigning(support))
	d.agent("ana")
	v := d.arrives("c1", support, func(w *waiting) {
		w.Skills.Preferred = []routing.PreferredSkill{{Name: "lang/fr", DropAfter: document.Duration(time.Minute)}}
	})
	d.turn()
	require.Equal(t, OwnerQueue, d.owner(v).Kind)
	d.pass(time.Minute)
	require.Equal(t, OwnerAgent, d.owner(v).Kind)
}

func TestStickyWaitsForItsAgentAWhile(t *testing.T) {
	d := testDesk(t, assigning(support))
	ana := d.agent("ana", func(a *AgentSpec) { a.Units = 25 })
	busy := d.arrives("c0", support)
	d.turn()
	bo := d.agent("bo")
	v := d.arrives("c1", support, func(w *waiting) { w.Agent, w.AgentUntil = ana, d.clock.Now().Add(time.Minute) })
	other := d.arrives("c2", support)
	d.turn()
	require.Equal(t, OwnerQueue, d.owner(v).Kind, "she is there and busy")
	require.Equal(t, Owner{OwnerAgent, bo}, d.owner(other), "others do not wait for her")
	_, err := d.Resolve(t.Context(), everything, busy)
	require.NoError(t, err)
	d.turn()
	require.Equal(t, Owner{OwnerAgent, ana}, d.owner(v))
	next := d.arrives("c3", support, func(w *waiting) { w.Agent, w.AgentUntil = ana, d.clock.Now().Add(time.Minute) })
	d.pass(time.Minute)
	require.Equal(t, Owner{OwnerAgent, bo}, d.owner(next), "long enough")
	var agent string
	_, err = one(t.Context(), d.read, []any{&agent}, `SELECT agent FROM contact_agents WHERE contact = ?`, getConversation(t, d.Store, v).Contact.ID)
	require.NoError(t, err)
	require.Equal(t, ana, agent, "who had the contact last")
}

// limited is a policy whose rule has two queues one after another.
func limited(t *testing.T, limits routing.Limits) *desk {
	t.Helper()
	r := newRouted(t, inbound(rule("all", step("first", toQueue(general)), step("second", toQueue(vip)))))
	r.set(entry(t, document.EntryAgentQueue, general, routing.QueueSpec{Name: general, Limits: limits}))
	require.Empty(t, r.reload())
	return &desk{Store: r.Store, t: t, clock: r.clock, others: nil}
}

func TestAFullQueueSendsOn(t *testing.T) {
	d := limited(t, routing.Limits{MaxDepth: 1})
	first, second := conversationOf(t, d.Store, textFrom("c1", "m1", "x")), conversationOf(t, d.Store, textFrom("c2", "m2", "x"))
	require.Equal(t, Owner{OwnerQueue, general}, first.Owner)
	require.Equal(t, Owner{OwnerQueue, vip}, second.Owner, "known when it is decided")
	d.turn()
	third := conversationOf(t, d.Store, textFrom("c3", "m3", "x"))
	_, err := d.Pass(t.Context(), everything, third.ID, Owner{OwnerQueue, general}, third.Epoch)
	require.NoError(t, err)
	d.turn()
	require.Equal(t, Owner{OwnerQueue, general}, d.owner(first.ID), "it was there before")
	require.Equal(t, OwnerQueue, d.owner(third.ID).Kind, "it goes on, or waits where everybody sees it")
	d.checkCounters()
}

func TestWhoWaitsTooLongGoesOn(t *testing.T) {
	d := limited(t, routing.Limits{MaxWait: document.Duration(10 * time.Minute)})
	v := conversationOf(t, d.Store, textFrom("c1", "m1", "x"))
	since := d.waitingSince(v.ID)
	d.pass(9 * time.Minute)
	require.Equal(t, Owner{OwnerQueue, general}, d.owner(v.ID))
	d.pass(time.Minute)
	require.Equal(t, Owner{OwnerQueue, vip}, d.owner(v.ID))
	require.Equal(t, since, d.waitingSince(v.ID), "and is not younger for it")
	d.checkCounters()
}

func TestAQueueThatLeavesTheDocument(t *testing.T) {
	d := testDesk(t, assigning(support))
	v := d.arrives("c1", support)
	d.turn()
	d.load()
	d.turn()
	require.Equal(t, Owner{OwnerQueue, support}, d.owner(v), "no policy says where else")
	q := d.queue(support)
	require.False(t, q.InForce)
	require.Equal(t, 1, q.Depth)
	list, err := d.Queues(t.Context(), Scope{Namespaces: []string{"shop"}})
	require.NoError(t, err)
	require.Equal(t, []Queue{q}, list, "for all to see")
	_, err = d.Queue(t.Context(), Scope{Namespaces: []string{"other"}}, support)
	require.ErrorIs(t, err, ErrNotFound)
	d.agent("ana")
	d.load(assigning(support))
	d.turn()
	require.Equal(t, OwnerAgent, d.owner(v).Kind)

	r := limited(t, routing.Limits{})
	w := conversationOf(t, r.Store, textFrom("c1", "m1", "x"))
	require.Equal(t, Owner{OwnerQueue, general}, w.Owner)
	p := inbound(rule("all", step("second", toQueue(vip))))
	p.DefaultRoute = &routing.Route{BackendRefs: []routing.BackendRef{toQueue(vip)}}
	r.others = []document.Entry{entry(t, document.EntryRoutingPolicy, p.Name, p),
		entry(t, document.EntryChannel, "shop/telegram", document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge, Policies: []string{p.Name}})}
	require.Empty(t, r.Load(t.Context(), testDocument(t, append(r.others, entry(t, document.EntryAgentQueue, vip, assigning(vip)))...)))
	r.turn()
	require.Equal(t, Owner{OwnerQueue, vip}, r.owner(w.ID), "its policy says where else")
	r.checkCounters()
}

func TestQueuesInTrouble(t *testing.T) {
	d := testDesk(t, routing.QueueSpec{Name: support, Selector: routing.Selector{Labels: map[string]string{"team": "support"}}})
	trouble := func() string {
		list := d.Troubles(t.Context())
		if len(list) == 0 {
			return ""
		}
		require.Len(t, list, 1)
		require.Equal(t, "AgentQueue/"+support, list[0].Entry)
		require.NotContains(t, list[0].Message, "ana")
		return list[0].Reason
	}
	require.Equal(t, "NoAgents", trouble())
	ana := d.agent("ana")
	require.Equal(t, "NoAgents", trouble(), "she is not selected")
	_, err := d.UpdateAgent(t.Context(), everything, ana, AgentSpec{Name: "ana", Labels: map[string]string{"team": "support"}})
	require.NoError(t, err)
	require.Empty(t, trouble())
	d.beat(ana, "offline")
	require.Equal(t, "NobodyOnline", trouble())
	d.beat(ana, "online")
	_, err = d.UpdateAgent(t.Context(), everything, ana, AgentSpec{Name: "ana", Labels: map[string]string{"team": "support"}, Units: 24})
	require.NoError(t, err)
	require.Equal(t, "NoCapacity", trouble(), "a chat takes 25")
	_, err = d.UpdateAgent(t.Context(), everything, ana, AgentSpec{Name: "ana", Labels: map[string]string{"team": "support"}, Skills: map[string]int{"fr": 2}, Units: 24})
	require.NoError(t, err)
	needs := func(skills ...routing.Skill) func(*waiting) {
		return func(w *waiting) { w.Skills.Required = skills }
	}
	d.arrives("c1", support)
	d.arrives("c2", support, needs(routing.Skill{Name: "fr"}))
	require.Equal(t, "NoCapacity", trouble())
	_, err = d.UpdateAgent(t.Context(), everything, ana, AgentSpec{Name: "ana", Labels: map[string]string{"team": "support"}, Skills: map[string]int{"fr": 2}, Units: 25})
	require.NoError(t, err)
	require.Empty(t, trouble(), "she is busy at most")
	d.arrives("c3", support, needs(routing.Skill{Name: "fr", MinLevel: 3}, routing.Skill{Name: "refunds"}))
	require.Equal(t, "NoSkills", trouble())
	require.Contains(t, d.Troubles(t.Context())[0].Message, "fr (level 3), refunds")
	_, err = d.UpdateAgent(t.Context(), everything, ana, AgentSpec{Name: "ana", Labels: map[string]string{"team": "support"}, Skills: map[string]int{"fr": 3, "refunds": 1}, Units: 24})
	require.NoError(t, err)
	require.Equal(t, "NoCapacity", trouble())
	bob := d.agent("bob", func(a *AgentSpec) { a.Labels = map[string]string{"team": "support"} })
	require.Empty(t, trouble(), "who has no units of their own has the queue's")
	require.NoError(t, d.DeleteAgent(t.Context(), everything, bob))
	require.NoError(t, d.DeleteAgent(t.Context(), everything, ana))
	require.Equal(t, "NoAgents", trouble())
	d.checkCounters()
}

func TestAgentsAreChecked(t *testing.T) {
	d := testDesk(t, assigning(support))
	ctx := t.Context()
	ana := d.agent("ana")
	_, err := d.CreateAgent(ctx, everything, AgentSpec{Namespace: "shop", Name: "ana"})
	require.ErrorIs(t, err, ErrConflict)
	bo := d.agent("bo")
	_, err = d.UpdateAgent(ctx, everything, bo, AgentSpec{Name: "ana"})
	require.ErrorIs(t, err, ErrConflict)
	shop, other := Scope{Namespaces: []string{"shop"}}, Scope{Namespaces: []string{"other"}}
	for field, spec := range map[string]AgentSpec{
		"namespace": {Namespace: "other", Name: "x"}, "name": {Namespace: "shop"}, "units": {Namespace: "shop", Name: "x", Units: -1},
		"skills.fr":        {Namespace: "shop", Name: "x", Skills: map[string]int{"fr": 101}},
		"classUnits":       {Namespace: "shop", Name: "x", ClassUnits: map[routing.ChannelClass]int{"fax": 1}},
		"classUnits.voice": {Namespace: "shop", Name: "x", ClassUnits: map[routing.ChannelClass]int{"voice": -1}},
	} {
		_, err := d.CreateAgent(ctx, shop, spec)
		var fe *FieldError
		require.ErrorAs(t, err, &fe)
		require.Equal(t, field, fe.Field)
	}
	_, err = d.Agent(ctx, other, ana)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = d.Heartbeat(ctx, other, ana, "online")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, d.DeleteAgent(ctx, other, ana), ErrNotFound)
	_, err = d.Offers(ctx, other, ana, 0)
	require.ErrorIs(t, err, ErrNotFound)
	first, err := d.Agents(ctx, shop, "", PageQuery{Limit: 1})
	require.NoError(t, err)
	second, err := d.Agents(ctx, shop, "shop", PageQuery{Limit: 1, After: first.Next})
	require.NoError(t, err)
	require.Equal(t, []string{ana, bo}, []string{first.Items[0].ID, second.Items[0].ID})
	require.Empty(t, second.Next)

	keyed := shop
	keyed.Write = Write{Key: "k", Fingerprint: "f"}
	made, err := d.CreateAgent(ctx, keyed, AgentSpec{Namespace: "shop", Name: "cleo"})
	require.NoError(t, err)
	again, err := d.CreateAgent(ctx, keyed, AgentSpec{Namespace: "shop", Name: "cleo"})
	require.NoError(t, err)
	require.Equal(t, made.ID, again.ID)

	v := d.arrives("c1", support)
	d.turn()
	require.Equal(t, OwnerAgent, d.owner(v).Kind)
	for _, id := range []string{ana, bo} {
		require.NoError(t, d.DeleteAgent(ctx, everything, id))
	}
	require.Equal(t, Owner{OwnerQueue, support}, d.owner(v), "what they had goes back")
	d.checkCounters()
}

// A long poll is answered when there is an offer, wherever it was made.
func TestOffersAreWaitedFor(t *testing.T) {
	d := testDesk(t, routing.QueueSpec{Name: support})
	ana := d.agent("ana")
	got := make(chan []AgentOffer, 1)
	go func() {
		list, err := d.Offers(context.Background(), everything, ana, OffersWaitMax)
		if err != nil {
			t.Error(err)
		}
		got <- list
	}()
	v := d.arrives("c1", support)
	d.turn()
	require.Equal(t, v, (<-got)[0].Conversation)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	bo := d.agent("bo")
	list, err := d.Offers(ctx, everything, bo, OffersWaitMax)
	if err == nil {
		require.Empty(t, list)
	}
}

// What was due later by a clock that was ahead is looked at by the right one.
func TestQueuesAfterTheClockWentBack(t *testing.T) {
	d := testDesk(t, routing.QueueSpec{Name: support, Limits: routing.Limits{MaxWait: document.Duration(time.Hour), OnFull: routing.OnFullHold}})
	d.clock.advance(24 * time.Hour)
	ana := d.agent("ana")
	d.arrives("c1", support)
	d.turn()
	require.Len(t, d.offers(ana), 1)
	d.clock.advance(-24 * time.Hour)
	require.NoError(t, d.followClock(t.Context()))
	d.clock.advance(routing.DefaultOfferTimeout)
	d.turn()
	d.clock.advance(routing.DefaultOfferTimeout)
	d.turn()
	a, err := d.Agent(t.Context(), everything, ana)
	require.NoError(t, err)
	require.Equal(t, "away", a.State, "two offers passed, by the right clock")
	d.clock.advance(silentAfter)
	d.turn()
	a, err = d.Agent(t.Context(), everything, ana)
	require.NoError(t, err)
	require.Equal(t, "offline", a.State)
	d.checkCounters()
}
