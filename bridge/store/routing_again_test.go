package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// teamOf is a queue that assigns to a team, and inTeam an agent of it.
func teamOf(queue string) routing.QueueSpec {
	spec := assigning(queue)
	spec.Selector = routing.Selector{Labels: map[string]string{"team": queue}}
	return spec
}

func inTeam(queue string) func(*AgentSpec) {
	return func(a *AgentSpec) { a.Labels = map[string]string{"team": queue} }
}

// escalating is a policy that tries vip for ten minutes, and then general; each has
// its team.
func escalating(t *testing.T) *routed {
	first := step("first", toQueue(vip))
	first.Timeout = document.Duration(10 * time.Minute)
	r := newRouted(t, inbound(rule("all", first, step("second", toQueue(general)))))
	r.set(entry(t, document.EntryAgentQueue, vip, teamOf(vip)), entry(t, document.EntryAgentQueue, general, teamOf(general)))
	require.Empty(t, r.reload())
	return r
}

// goes lets time pass, and does what is due.
func (r *routed) goes(by time.Duration) {
	r.t.Helper()
	d := r.desk()
	for by > 0 {
		step := min(by, time.Minute)
		d.pass(step)
		r.run()
		d.turn()
		by -= step
	}
}

func (r *routed) release(v string) {
	r.t.Helper()
	_, err := r.Release(r.t.Context(), everything, v, getConversation(r.t, r.Store, v).Epoch)
	require.NoError(r.t, err)
}

func (r *routed) pass(v string, to Owner) {
	r.t.Helper()
	_, err := r.Pass(r.t.Context(), everything, v, to, getConversation(r.t, r.Store, v).Epoch)
	require.NoError(r.t, err)
}

func (r *routed) reopen(v string) {
	r.t.Helper()
	_, err := r.Reopen(r.t.Context(), everything, v)
	require.NoError(r.t, err)
}

// Ten minutes after it came back to the queue of its step, the step is over.
func TestAStepBeginsAnewForWhatComesBack(t *testing.T) {
	for how, back := range map[string]func(r *routed, d *desk, ana, v string){
		"she goes offline": func(_ *routed, d *desk, ana, _ string) { d.beat(ana, "offline") },
		"she lets go": func(r *routed, d *desk, ana, v string) {
			d.beat(ana, "away")
			r.release(v)
		},
		"she passes it back": func(r *routed, d *desk, ana, v string) {
			d.beat(ana, "away")
			r.pass(v, Owner{OwnerQueue, vip})
		},
		"she is removed": func(r *routed, _ *desk, ana, _ string) {
			require.NoError(r.t, r.DeleteAgent(r.t.Context(), everything, ana))
		},
		"it was solved": func(r *routed, d *desk, ana, v string) {
			d.beat(ana, "away")
			r.release(v)
			r.resolve(v)
			r.goes(time.Hour)
			r.reopen(v)
		},
	} {
		t.Run(how, func(t *testing.T) {
			r := escalating(t)
			d := r.desk()
			ana, bob := d.agent("ana", inTeam(vip)), d.agent("bob", inTeam(general))
			v := r.hear("c1", "x")
			d.turn()
			r.wantOwner(v, OwnerAgent, ana)
			came := d.waitingSince(v)
			r.goes(9 * time.Minute)
			back(r, d, ana, v)
			d.turn()
			r.wantOwner(v, OwnerQueue, vip)
			if how != "it was solved" {
				require.Equal(t, came, d.waitingSince(v), "as old as it is")
			}
			require.Equal(t, r.clock.Now().Add(10*time.Minute), *r.routing(v).Until)
			r.goes(9 * time.Minute)
			r.wantOwner(v, OwnerQueue, vip)
			r.goes(time.Minute)
			r.wantOwner(v, OwnerAgent, bob)
			d.checkCounters()
		})
	}
}

// Her queue leaves; then she does. When it is back, its rule counts; and where it does
// not come back, who waits for a first answer gets another one.
func TestWhoGoesOfflineWhileTheirQueueIsNotInForce(t *testing.T) {
	for name, back := range map[string]bool{"it comes back": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			r := escalating(t)
			d := r.desk()
			ana := d.agent("ana", inTeam(vip))
			v := r.hear("c1", "x")
			d.turn()
			r.wantOwner(v, OwnerAgent, ana)
			r.leaves(document.EntryAgentQueue, vip)
			require.Empty(t, r.reload())
			d.beat(ana, "offline")
			d.turn()
			r.wantOwner(v, OwnerAgent, ana)
			if back {
				r.set(entry(t, document.EntryAgentQueue, vip, teamOf(vip)))
				require.Empty(t, r.reload())
				d.turn()
				r.wantOwner(v, OwnerQueue, vip)
			}
			bob := d.agent("bob", inTeam(general))
			r.goes(11 * time.Minute)
			r.wantOwner(v, OwnerAgent, bob)
			d.checkCounters()
		})
	}
}

// What becomes of the conversations of agents who are offline counts also for who is
// offline already.
func TestAnotherRuleForWhoIsOffline(t *testing.T) {
	r := escalating(t)
	keep := teamOf(vip)
	keep.OnOffline.Action = routing.OfflineKeep
	r.set(entry(t, document.EntryAgentQueue, vip, keep))
	require.Empty(t, r.reload())
	d := r.desk()
	ana := d.agent("ana", inTeam(vip))
	v := r.hear("c1", "x")
	d.turn()
	d.beat(ana, "offline")
	r.goes(time.Hour)
	r.wantOwner(v, OwnerAgent, ana)
	all := teamOf(vip)
	all.OnOffline.Action = routing.OfflineRequeueAll
	r.set(entry(t, document.EntryAgentQueue, vip, all))
	require.Empty(t, r.reload())
	d.turn()
	r.wantOwner(v, OwnerQueue, vip)
	d.checkCounters()
}

// Who got a conversation from no queue loses it like others, some minutes later: no
// queue says when.
func TestWhoGoesOfflineWithAConversationOfNoQueue(t *testing.T) {
	for name, answers := range map[string]bool{"unanswered": false, "answered": true} {
		t.Run(name, func(t *testing.T) {
			r := newRouted(t, withBot(menuBot))
			d := r.desk()
			v := r.hear("c1", "x")
			r.run()
			ana := d.agent("ana")
			_, err := r.Request(t.Context(), everything, v, Owner{OwnerAgent, ana}, getConversation(t, r.Store, v).Epoch)
			require.NoError(t, err)
			if answers {
				r.clock.advance(time.Second)
				d.says(v, "hello")
			}
			d.beat(ana, "offline")
			r.goes(unknownGrace - time.Minute)
			r.wantOwner(v, OwnerAgent, ana)
			r.goes(time.Minute)
			if answers {
				r.wantOwner(v, OwnerAgent, ana)
				return
			}
			r.wantOwner(v, OwnerBot, menuBot)
			require.Equal(t, string(CauseOffline), r.routing(v).Decisions.Items[0].Reason)
		})
	}
}

// Solved while a webhook is asked, and opened again: it is not being asked any more.
func TestReopenedWhileAWebhookIsAsked(t *testing.T) {
	s := newService(t)
	s.says(200, `{"queue":"shop/vip"}`)
	r := newWebhookPolicy(t, s, nil)
	v := r.hear("c1", "x")
	require.True(t, r.routing(v).Asking)
	r.resolve(v)
	require.False(t, r.routing(v).Asking)
	r.settleAll()
	require.Zero(t, s.questions())
	r.reopen(v)
	require.True(t, r.routing(v).Asking, "anew")
	r.settleAll()
	r.wantOwner(v, OwnerQueue, vip)

	v = r.hear("c2", "x")
	r.resolve(v)
	r.reopen(v) // before the question was dropped
	require.Equal(t, OwnerNone, getConversation(t, r.Store, v).Owner.Kind)
	r.settleAll()
	r.wantOwner(v, OwnerQueue, vip)
	require.Len(t, r.routing(v).Decisions.Items, 1, "it is asked once")
}

// Whatever nobody has is routed when it is opened, not when its contact writes.
func TestWhatNobodyHasIsRoutedWhenItIsOpened(t *testing.T) {
	for how, open := range map[string]func(r *routed, v string){
		"it was solved": func(r *routed, v string) {
			r.resolve(v)
			r.release(v)
			r.reopen(v)
			require.Equal(r.t, routing.EventReopened, r.routing(v).Decisions.Items[0].Facts.Event)
		},
		"it was put aside": func(r *routed, v string) {
			_, err := r.Snooze(r.t.Context(), everything, v, r.clock.Now().Add(time.Hour))
			require.NoError(r.t, err)
			r.assign(v, Owner{Kind: OwnerNone})
			r.reopen(v)
		},
		"it wakes": func(r *routed, v string) {
			_, err := r.Snooze(r.t.Context(), everything, v, r.clock.Now().Add(time.Hour))
			require.NoError(r.t, err)
			r.assign(v, Owner{Kind: OwnerNone})
			r.clock.advance(time.Hour)
			_, err = r.wakeSnoozed(r.t.Context())
			require.NoError(r.t, err)
		},
	} {
		t.Run(how, func(t *testing.T) {
			r := newRouted(t, inbound())
			v := r.hear("c1", "x")
			r.assign(v, Owner{OwnerAgent, "somebody"})
			r.forget(v)
			open(r, v)
			require.Equal(t, ConversationOpen, getConversation(t, r.Store, v).State)
			r.wantOwner(v, OwnerQueue, general)
			r.desk().checkCounters()
		})
	}
}

// forget makes a conversation's owner somebody who got it from no queue.
func (r *routed) forget(v string) {
	r.t.Helper()
	owner := getConversation(r.t, r.Store, v).Owner
	r.assign(v, Owner{Kind: OwnerNone})
	r.assign(v, owner)
}

// A solved conversation of an agent who had it from no queue, and was removed.
func TestASolvedConversationOfNoQueueWhoseAgentIsRemoved(t *testing.T) {
	for name, reopen := range map[string]func(r *routed, v string){
		"by REST":                            func(r *routed, v string) { r.reopen(v) },
		"by a message":                       func(r *routed, v string) { require.Equal(t, v, r.hear("c1", "again")) },
		"by a message, and without policies": func(r *routed, v string) { r.attach(); r.hear("c1", "again") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouted(t, withBot(menuBot))
			v := r.hear("c1", "x")
			r.run()
			ana := r.desk().agent("ana")
			r.assign(v, Owner{OwnerAgent, ana})
			r.resolve(v)
			require.NoError(t, r.DeleteAgent(t.Context(), everything, ana))
			reopen(r, v)
			if name == "by a message, and without policies" {
				r.wantOwner(v, OwnerNone, "")
				return
			}
			r.wantOwner(v, OwnerBot, menuBot)
		})
	}
}

// An agent hands back to a Bot that is gone since, or was never there: the policies
// say who comes next. A bot of REST is its own affair.
func TestHandedBackToABotThatIsGone(t *testing.T) {
	for name, tc := range map[string]struct {
		bot   string
		leave bool
		next  Owner
	}{
		"gone since":    {menuBot, true, Owner{OwnerQueue, general}},
		"never there":   {"shop/nobody", false, Owner{OwnerQueue, general}},
		"a bot of REST": {"helper", false, Owner{OwnerBot, "helper"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouted(t, inbound())
			v := r.hear("c1", "x")
			r.assign(v, Owner{OwnerAgent, "ana"})
			r.pass(v, Owner{OwnerBot, tc.bot})
			r.run()
			if tc.leave {
				r.wantOwner(v, OwnerBot, menuBot)
				r.leaves(document.EntryBot, menuBot)
				require.Empty(t, r.reload())
				r.hear("c1", "hello?")
				r.run()
			}
			r.wantOwner(v, tc.next.Kind, tc.next.Name)
			r.hear("c1", "hello??")
			r.run()
			r.wantOwner(v, tc.next.Kind, tc.next.Name)
		})
	}
}

// A bot's solved conversation is opened again after the Bot was removed.
func TestReopenedOfABotThatIsGone(t *testing.T) {
	r := newRouted(t, withBot(menuBot))
	v := r.hear("c1", "x")
	r.run()
	r.resolve(v)
	r.leaves(document.EntryBot, menuBot)
	require.Empty(t, r.reload())
	r.reopen(v)
	r.run()
	r.wantOwner(v, OwnerQueue, general)
}

// A policy that is deleted and applied again finds what was to go on meanwhile.
func TestAPolicyThatIsAppliedAgain(t *testing.T) {
	for what, meanwhile := range map[string]func(r *routed, d *desk, v string){
		"a step is over": func(r *routed, _ *desk, _ string) { r.goes(time.Hour) },
		"its queue leaves": func(r *routed, d *desk, _ string) {
			r.leaves(document.EntryAgentQueue, vip)
			require.Empty(r.t, r.reload())
			d.turn()
		},
		"a bot gives up": func(r *routed, _ *desk, v string) {
			r.pass(v, Owner{OwnerBot, menuBot})
			r.hear("c1", "agent")
			r.run()
			r.wantOwner(v, OwnerNone, "")
		},
		"somebody lets go": func(r *routed, _ *desk, v string) {
			r.forget(v)
			r.assign(v, Owner{OwnerAgent, "ana"})
			r.forget(v)
			r.release(v)
			r.wantOwner(v, OwnerNone, "")
		},
		"an agent goes": func(r *routed, d *desk, v string) {
			ana := d.agent("ana")
			r.assign(v, Owner{OwnerAgent, ana})
			r.forget(v)
			d.beat(ana, "offline")
			r.goes(time.Hour)
			r.wantOwner(v, OwnerAgent, ana)
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := escalating(t)
			d := r.desk()
			v := r.hear("c1", "x")
			d.turn()
			r.wantOwner(v, OwnerQueue, vip)
			policy := r.entries[document.Entry{Kind: document.EntryRoutingPolicy, Name: "shop/inbound"}.Key()]
			channel := r.entries[telegrams]
			r.attach()
			r.leaves(document.EntryRoutingPolicy, "shop/inbound")
			require.Empty(t, r.reload())
			meanwhile(r, d, v)
			if until := r.routing(v).Until; until != nil {
				require.Less(t, until.Year(), 9000, "it is waiting for a document, not for that day")
			}
			r.set(policy, channel)
			require.Empty(t, r.reload())
			r.goes(unknownGrace + 12*time.Minute)
			r.wantOwner(v, OwnerQueue, general)
			d.checkCounters()
		})
	}
}

// Likewise what has waited too long in a queue meanwhile, in a step that lasts.
func TestAWaitThatIsOverWithoutAPolicy(t *testing.T) {
	r := newRouted(t, inbound(rule("all", step("first", toQueue(vip)), step("second", toQueue(general)))))
	r.set(entry(t, document.EntryAgentQueue, vip, routing.QueueSpec{Name: vip, Limits: routing.Limits{MaxWait: document.Duration(5 * time.Minute)}}))
	require.Empty(t, r.reload())
	v := r.hear("c1", "x")
	before := r.entries[telegrams]
	r.attach()
	r.goes(time.Hour)
	r.wantOwner(v, OwnerQueue, vip)
	r.set(before)
	require.Empty(t, r.reload())
	r.goes(time.Minute)
	r.wantOwner(v, OwnerQueue, general)
	r.desk().checkCounters()
}

// A webhook does not answer, and there is no policy to go on by for the moment.
func TestAWebhookFailsWithoutAPolicy(t *testing.T) {
	s := newService(t)
	s.says(404, ``)
	r := newWebhookPolicy(t, s, nil)
	v := r.hear("c1", "x")
	before := r.entries[telegrams]
	r.attach()
	r.settleAll()
	r.wantOwner(v, OwnerNone, "")
	r.set(before)
	require.Empty(t, r.reload())
	r.run()
	r.wantOwner(v, OwnerQueue, general)
}

// The default route's queue is gone, and the policy's last good version names it still:
// what waits there is decided about once with each document, not over and over.
func TestADefaultRouteThatIsGone(t *testing.T) {
	r := newRouted(t, inbound())
	v := r.hear("c1", "x")
	r.leaves(document.EntryAgentQueue, general)
	require.NotEmpty(t, r.reload(), "the policy cannot be compiled")
	for range 10 {
		r.goes(time.Second)
	}
	require.Len(t, r.routing(v).Decisions.Items, 2)
	r.set(entry(t, document.EntryAgentQueue, general, assigning(general)))
	require.Empty(t, r.reload())
	ana := r.desk().agent("ana")
	r.goes(time.Second)
	r.wantOwner(v, OwnerAgent, ana)
}
