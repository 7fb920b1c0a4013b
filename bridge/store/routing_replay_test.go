package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// historyPolicies are policies between which a random history moves: everything
// that a decision can depend on is in one of them.
func historyPolicies() [][]routing.Policy {
	known := routing.Step{Name: "known", Sticky: &routing.Sticky{}, Timeout: document.Duration(time.Minute)}
	busy := step("vip", toQueue(vip, 70), toQueue(general, 30))
	busy.SkipIf, busy.Timeout, busy.Clock = &routing.SkipIf{OldestWaitAbove: document.Duration(time.Hour)}, document.Duration(5*time.Minute), routing.ClockBusiness
	first := inbound(
		routing.Rule{Name: "gold", Matches: []routing.Match{{Attributes: map[string]string{"tier": "gold"}}}, Set: routing.Set{Priority: routing.PriorityUrgent}, Steps: []routing.Step{known, busy, step("rest", toQueue(general))}},
		routing.Rule{Name: "again", Matches: []routing.Match{{SinceLastContact: &routing.SinceMatch{LessThan: document.Duration(2 * time.Hour)}}}, Set: routing.Set{Labels: map[string]string{"again": "yes"}}, Steps: []routing.Step{step("bot", toBot(menuBot)), step("people", toQueue(general))}},
		routing.Rule{Name: "open", Matches: []routing.Match{{Schedule: &routing.ScheduleMatch{Name: hours, Is: routing.ScheduleOpen}, Expression: `message.text.contains("2") && now.getHours() < 23`}}, Steps: []routing.Step{busy}, OnExhausted: routing.ExhaustedDefault},
		routing.Rule{Name: "order", Matches: []routing.Match{{Topics: []string{"order"}}, {Text: &routing.TextMatch{Any: []string{"hello"}}}}, Steps: []routing.Step{step("split", toQueue(vip, 50), toBot(menuBot, 50)), step("people", toQueue(general))}},
	)
	first.Greeting = &routing.Reply{Texts: map[string]string{"en": "Welcome."}, OncePer: document.Duration(time.Hour)}
	first.AutoReply = &routing.Reply{Texts: map[string]string{"en": "One moment."}}
	first.OutOfHours = &routing.OutOfHours{Schedule: hours, Action: routing.OutOfHoursHoldAndReply, Away: &routing.Reply{Texts: map[string]string{"en": "Closed."}}}
	second := inbound(rule("all", step("bot", toBot(menuBot)), known, step("people", toQueue(general))))
	second.Reopen = routing.Reopen{Reroute: routing.RerouteAlways}
	other := inbound(routing.Rule{Name: "only", Matches: []routing.Match{{Text: &routing.TextMatch{Any: []string{"agent"}}}}, Steps: []routing.Step{step("vip", toQueue(vip))}})
	other.Name, other.Priority = "shop/other", 10
	shadow := first
	shadow.Name, shadow.Mode = "shop/shadow", routing.ModeShadow
	return [][]routing.Policy{{first}, {second}, {first, other}, {second, shadow}, {}}
}

// Whatever happens to conversations: every decision can be replayed from what is
// kept, and gives the very same.
func TestEveryDecisionIsReplayedExactly(t *testing.T) {
	policies := historyPolicies()
	r := newRouted(t)
	ana := Owner{Kind: OwnerAgent, Name: "ana"}
	round, decided := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		r.attach(policies[0]...)
		contact := numbered("person", round)
		v := r.hear(contact, "hello")
		conversations := map[string]bool{v: true}
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"hear", "run", "assign", "pass", "resolve", "wait", "document", "attributes", "release"}).Draw(rt, "what") {
			case "hear":
				v = r.hear(contact, rapid.SampledFrom([]string{"hello", "2", "agent", "???"}).Draw(rt, "says"))
				conversations[v] = true
			case "run":
				r.run()
			case "assign":
				r.assign(v, ana)
			case "pass":
				r.assign(v, Owner{Kind: OwnerBot, Name: menuBot})
			case "release":
				r.assign(v, Owner{Kind: OwnerNone})
			case "resolve":
				r.resolve(v)
			case "wait":
				r.clock.advance(time.Duration(rapid.IntRange(1, 600).Draw(rt, "minutes")) * time.Minute)
			case "document":
				r.attach(policies[rapid.IntRange(0, len(policies)-1).Draw(rt, "policies")]...)
			case "attributes":
				_, err := r.SetAttributes(t.Context(), everything, getConversation(t, r.Store, v).Contact.ID, map[string]string{"tier": rapid.SampledFrom([]string{"gold", "tin"}).Draw(rt, "tier")})
				require.NoError(rt, err)
			}
		}
		for v := range conversations {
			at, err := r.Routing(t.Context(), everything, v, PageQuery{Limit: 200})
			require.NoError(rt, err)
			for _, d := range at.Decisions.Items {
				decided++
				require.True(rt, d.Exact, "%+v", d)
				require.Equal(rt, d.Decision, d.Explanation.Decision)
			}
		}
	})
	require.Greater(t, decided, round)
}
