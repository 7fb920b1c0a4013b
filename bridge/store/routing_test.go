package store

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

func TestAChannelWithoutPoliciesRoutesNothing(t *testing.T) {
	r := newRouted(t)
	v := r.hear("c1", "hello")
	r.wantOwner(v, OwnerNone, "")
	require.Zero(t, count(t, r.Store, "decisions"))
	require.Zero(t, count(t, r.Store, "routings"))
	require.Nil(t, r.routing(v).Position)
}

func TestTheFirstMatchingRuleDecides(t *testing.T) {
	r := newRouted(t, inbound(
		routing.Rule{Name: "refund", Matches: []routing.Match{{Text: &routing.TextMatch{Any: []string{"refund"}}}},
			Set: routing.Set{Priority: routing.PriorityHigh, Labels: map[string]string{"about": "money"}}, Steps: []routing.Step{step("first", toQueue(vip))}},
	))
	v := r.hear("c1", "I want a REFUND")
	r.wantOwner(v, OwnerQueue, vip)
	at := r.routing(v)
	require.Equal(t, &routing.Position{Policy: "shop/inbound", Hash: at.Position.Hash, Rule: "refund", Step: "first", Queue: vip}, at.Position)
	require.Equal(t, routing.PriorityHigh, at.Priority)
	require.Equal(t, map[string]string{"about": "money"}, at.Labels)
	require.Len(t, at.Decisions.Items, 1)
	d := at.Decisions.Items[0]
	require.Equal(t, routing.EventOpened, d.Facts.Event)
	require.Equal(t, "I want a REFUND", d.Facts.Message.Text, "the text is joined from the message")
	require.Equal(t, routing.ResultMatched, d.Explanation.Rules[0].Result)
	changes, err := r.OwnerChanges(t.Context(), everything, v, PageQuery{})
	require.NoError(t, err)
	require.Equal(t, d.ID, changes.Items[0].Decision)

	other := r.hear("c2", "hello")
	r.wantOwner(other, OwnerQueue, general)
	require.Equal(t, routing.ViaDefault, r.lastDecision(other).Via)

	r.hear("c1", "are you there?")
	require.Len(t, r.routing(v).Decisions.Items, 1, "the owner it has gets the next message")
	require.Equal(t, 2, count(t, r.Store, "policy_archive")+count(t, r.Store, "decisions")-1)
}

func TestSchedulesDecideAndTextsAreSentOncePer(t *testing.T) {
	p := inbound()
	p.OutOfHours = &routing.OutOfHours{Schedule: hours, Action: routing.OutOfHoursHoldAndReply,
		Away: &routing.Reply{Texts: map[string]string{"en": "We are back on Monday."}, OncePer: document.Duration(12 * time.Hour)}}
	p.Greeting = &routing.Reply{Texts: map[string]string{"en": "Welcome."}}
	r := newRouted(t, p)

	v := r.hear("c1", "hello") // on a Sunday
	require.True(t, r.lastDecision(v).OutOfHours)
	r.run()
	require.Equal(t, []string{"policy: We are back on Monday."}, r.said(v))

	r.resolve(v)
	r.clock.advance(time.Hour)
	r.hear("c1", "hello?")
	r.run()
	require.Equal(t, 1, len(r.said(v)), "once in twelve hours")
	require.Equal(t, routing.EventReopened, r.routing(v).Decisions.Items[0].Facts.Event)

	r.resolve(v)
	r.clock.advance(25 * time.Hour) // Monday, 12:00
	w := r.hear("c1", "good morning")
	require.NotEqual(t, v, w, "a follow-up")
	r.run()
	require.Equal(t, []string{"policy: Welcome."}, r.said(w))
	require.False(t, r.lastDecision(w).OutOfHours)
}

func (r *routed) resolve(v string) {
	r.t.Helper()
	_, err := r.Resolve(r.t.Context(), everything, v)
	require.NoError(r.t, err)
}

func TestAGreetingArrivesHoweverFastAnAgentIs(t *testing.T) {
	p := inbound()
	p.Greeting = &routing.Reply{Texts: map[string]string{"en": "Welcome."}}
	r := newRouted(t, p)
	v := r.hear("c1", "hello")
	r.assign(v, Owner{Kind: OwnerAgent, Name: "ana"})
	r.run()
	d := r.leaseOne()
	require.Equal(t, "Welcome.", d.Parts[0].Text)

	w := r.hear("c2", "hello")
	r.assign(w, Owner{Kind: OwnerBot, Name: "bot of REST"})
	r.run()
	require.Empty(t, r.said(w), "a bot speaks for itself")
}

func (r *routed) assign(v string, to Owner) {
	r.t.Helper()
	_, err := r.Assign(r.t.Context(), everything, v, to, 0)
	require.NoError(r.t, err)
}

func TestStepsEndByTheClockOfTheirSchedule(t *testing.T) {
	slow := step("first", toQueue(vip))
	slow.Timeout, slow.Clock = document.Duration(30*time.Minute), routing.ClockBusiness
	p := inbound(rule("all", slow, step("second", toQueue(general))))
	p.OutOfHours = &routing.OutOfHours{Schedule: hours, Action: routing.OutOfHoursHoldAndReply}
	r := newRouted(t, p)
	v := r.hear("c1", "hello") // Sunday 10:00: half an hour of business is over on Monday at 9:30
	monday := time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)
	require.Equal(t, monday, *r.routing(v).Until)
	r.run()
	r.wantOwner(v, OwnerQueue, vip)

	r.clock.advance(monday.Sub(r.clock.Now()) - time.Second)
	r.run()
	r.wantOwner(v, OwnerQueue, vip)
	r.clock.advance(time.Second)
	r.run()
	r.wantOwner(v, OwnerQueue, general)
	at := r.routing(v)
	require.Equal(t, routing.ViaNextStep, at.Decisions.Items[0].Decision.Via)
	require.Equal(t, routing.EventStepExpired, at.Decisions.Items[0].Facts.Event)
	require.Nil(t, at.Until)
}

func TestAStepEndsWithTheOwner(t *testing.T) {
	first := step("first", toQueue(vip))
	first.Timeout = document.Duration(time.Minute)
	r := newRouted(t, inbound(rule("all", first, step("second", toQueue(general)))))
	v := r.hear("c1", "hello")
	r.assign(v, Owner{Kind: OwnerAgent, Name: "ana"})
	require.Nil(t, r.routing(v).Until)
	r.clock.advance(time.Hour)
	r.run()
	r.wantOwner(v, OwnerAgent, "ana")
	require.Len(t, r.routing(v).Decisions.Items, 1)
}

func TestStepsSurviveARestart(t *testing.T) {
	first := step("first", toQueue(vip))
	first.Timeout = document.Duration(time.Minute)
	r := newRouted(t, inbound(rule("all", first, step("second", toQueue(general)))))
	v := r.hear("c1", "hello")
	opts := r.opts
	require.NoError(t, r.Close())
	s, err := Open(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	r.Store = s
	require.Empty(t, r.reload())
	r.clock.advance(time.Minute)
	r.run()
	r.wantOwner(v, OwnerQueue, general)
}

func TestAClockThatWentBackKeepsNoStepWaiting(t *testing.T) {
	first := step("first", toQueue(vip))
	first.Timeout = document.Duration(10 * time.Minute)
	r := newRouted(t, inbound(rule("all", first, step("second", toQueue(general)))))
	v := r.hear("c1", "hello")
	r.clock.advance(-100 * time.Hour)
	require.NoError(t, r.followClock(t.Context()))
	require.Equal(t, r.clock.Now().Add(10*time.Minute), *r.routing(v).Until)
}

func TestAPolicyThatChangesLetsAStepFinish(t *testing.T) {
	first := step("first", toQueue(vip))
	first.Timeout = document.Duration(time.Minute)
	old := inbound(rule("all", first, step("second", toQueue(vip))))
	r := newRouted(t, old)
	v := r.hear("c1", "hello")
	before := r.lastDecision(v).Hash

	changed := inbound(routing.Rule{Name: "greeting", Matches: []routing.Match{{Text: &routing.TextMatch{Any: []string{"hello"}}}}, Steps: []routing.Step{step("only", toQueue(general))}})
	r.attach(changed)
	r.wantOwner(v, OwnerQueue, vip)
	require.NotNil(t, r.routing(v).Until, "the step goes on as it was begun")
	r.clock.advance(time.Minute)
	r.run()
	r.wantOwner(v, OwnerQueue, general)
	items := r.routing(v).Decisions.Items
	require.Equal(t, "greeting", items[0].Decision.Rule, "and then it begins anew, with the message that opened it")
	require.NotEqual(t, before, items[0].Decision.Hash)
	require.Equal(t, before, items[1].Decision.Hash)
	require.Equal(t, 2, count(t, r.Store, "policy_archive"))

	r.attach()
	w := r.hear("c2", "hello")
	r.wantOwner(w, OwnerNone, "")
	require.Len(t, r.routing(v).Decisions.Items, 2, "explained although nothing is attached any more")
}

func TestShadowsDecideAndDoNothing(t *testing.T) {
	shadow := inbound(rule("all", step("first", toQueue(vip))))
	shadow.Name, shadow.Mode, shadow.Priority = "shop/next", routing.ModeShadow, 100
	shadow.Greeting = &routing.Reply{Texts: map[string]string{"en": "Not yet."}}
	r := newRouted(t, inbound(), shadow)
	v := r.hear("c1", "hello")
	r.run()
	r.wantOwner(v, OwnerQueue, general)
	require.Empty(t, r.said(v))
	items := r.routing(v).Decisions.Items
	require.Len(t, items, 2)
	require.False(t, items[0].Shadow)
	require.True(t, items[1].Shadow)
	require.Equal(t, vip, items[1].Decision.Target.Name)
	require.Equal(t, "shop/inbound", r.routing(v).Position.Policy)

	shadow.Priority = 1
	r.attach(shadow)
	w := r.hear("c2", "hello")
	r.hear("c2", "anybody?")
	r.wantOwner(w, OwnerNone, "")
	require.Len(t, r.routing(w).Decisions.Items, 1, "alone it decides about what is opened")
}

func TestUnownedConversationsAreRoutedByTheirNextMessage(t *testing.T) {
	r := newRouted(t)
	v := r.hear("c1", "hello")
	r.attach(inbound())
	r.hear("c1", "anybody?")
	r.wantOwner(v, OwnerQueue, general)
	require.Equal(t, routing.EventOpened, r.routing(v).Decisions.Items[0].Facts.Event)
}

func TestStandbyAndEchoesConcernNobody(t *testing.T) {
	r := newRouted(t, inbound())
	ev := text("s1", "for the other app")
	ev.Message.Standby = true
	v := getMessage(t, r.Store, stored(t, r.Store, telegram, ev)).Conversation
	r.wantOwner(v, OwnerNone, "")
	echo := textFrom("c2", "e1", "from the phone")
	echo.Message.Direction, echo.Message.Echo = message.Outbound, true
	w := getMessage(t, r.Store, stored(t, r.Store, telegram, echo)).Conversation
	r.wantOwner(w, OwnerNone, "")
	require.Zero(t, count(t, r.Store, "decisions"))
	require.Equal(t, w, r.hear("c2", "an answer to that"))
	r.wantOwner(w, OwnerQueue, general)
}

func TestARuleCanClose(t *testing.T) {
	closing := step("never", toBot("shop/gone"))
	thanks := routing.Rule{Name: "thanks", Matches: []routing.Match{{Text: &routing.TextMatch{Any: []string{"thanks"}}}}, Steps: []routing.Step{closing}, OnExhausted: routing.ExhaustedClose}
	r := newRouted(t, inbound(thanks))
	v := r.hear("c1", "thanks!")
	require.Equal(t, ConversationSolved, getConversation(t, r.Store, v).State)
	r.wantOwner(v, OwnerNone, "")
}

func TestWeightsAgreeWithSlots(t *testing.T) {
	r := newRouted(t, inbound(rule("rollout", step("split", toQueue(general, 80), toQueue(vip, 20)))))
	seen := map[string]int{}
	for i := range 60 {
		v := r.hear(numbered("person", i), "hello")
		contact := getConversation(t, r.Store, v).Contact.ID
		want := []string{general, vip}[routing.Pick(routing.Slot("shop/inbound", "rollout", "split", contact), []int{80, 20})]
		r.wantOwner(v, OwnerQueue, want)
		seen[want]++
	}
	require.Len(t, seen, 2, "both got some")
}

func TestLoopsAreHeld(t *testing.T) {
	first, second := step("first", toQueue(vip)), step("second", toQueue(general))
	first.Timeout, second.Timeout = document.Duration(time.Second), document.Duration(time.Second)
	p := inbound(routing.Rule{Name: "vip", Matches: []routing.Match{{Text: &routing.TextMatch{Any: []string{"hello"}}}}, Steps: []routing.Step{first, second}, OnExhausted: routing.ExhaustedDefault})
	r := newRouted(t, p)
	v := r.hear("c1", "hello")
	for i := range 10 { // by hand, to and fro
		r.assign(v, Owner{Kind: OwnerNone})
		r.hear("c1", numbered("hello", i))
	}
	d := r.lastDecision(v)
	require.Equal(t, routing.ViaLoopGuard, d.Via)
	require.Equal(t, routing.ActionHold, d.Action)
	require.Nil(t, r.routing(v).Until)
}

func TestABadEntryKeepsItsLastGoodVersion(t *testing.T) {
	r := newRouted(t, inbound(rule("all", step("first", toQueue(vip)))))
	bad := inbound()
	bad.DefaultRoute = nil
	raw := map[document.EntryKind]any{
		document.EntrySchedule:      schedule.Spec{TimeZone: "Nowhere"},
		document.EntryBot:           document.Bot{BuiltIn: json.RawMessage(`{"name":"shop/menu"}`)},
		document.EntryRoutingPolicy: bad,
		document.EntryWebhook:       document.Webhook{URL: "https://router.example", Secret: "whsec_short"},
	}
	names := map[document.EntryKind]string{document.EntrySchedule: hours, document.EntryBot: menuBot, document.EntryRoutingPolicy: "shop/inbound", document.EntryWebhook: "shop/inbound/router"}
	good := map[document.EntryKind]string{}
	for kind, spec := range raw {
		good[kind] = r.entries[string(kind)+"/"+names[kind]].Hash
		r.set(entry(t, kind, names[kind], spec))
	}
	exceptions := r.reload()
	require.Len(t, exceptions, len(raw))
	fields := map[string]string{}
	for _, x := range exceptions {
		fields[x.Entry] = x.Field
		kind, _, _ := strings.Cut(x.Entry, "/")
		require.Equal(t, good[document.EntryKind(kind)], x.RunningHash, x.Entry)
	}
	require.Equal(t, map[string]string{"Schedule/" + hours: "timeZone", "Bot/" + menuBot: "defaultLanguage",
		"RoutingPolicy/shop/inbound": "defaultRoute.backendRefs", "Webhook/shop/inbound/router": "secret"}, fields)
	r.wantOwner(r.hear("c1", "hello"), OwnerQueue, vip)
}

// A program is compiled once per version: a document that changes something else
// leaves it as it is.
func TestProgramsAreCompiledOncePerVersion(t *testing.T) {
	r := newRouted(t, inbound())
	program := r.state.Load().routes.policies["shop/inbound"].program
	r.set(tokenEntry(t, "shop/default/x", "0123456789012345678901234567890123456789", "*"))
	require.Empty(t, r.reload())
	require.Same(t, program, r.state.Load().routes.policies["shop/inbound"].program)
	r.set(entry(t, document.EntryAgentQueue, general, routing.QueueSpec{Name: general, Schedule: hours}))
	require.Empty(t, r.reload())
	require.NotSame(t, program, r.state.Load().routes.policies["shop/inbound"].program, "a queue's hours are part of it")
}

func TestWhatADeletedMessageSaidIsNotKept(t *testing.T) {
	p := inbound(routing.Rule{Name: "secret", Matches: []routing.Match{{Text: &routing.TextMatch{Any: []string{"secret"}}}}, Steps: []routing.Step{step("first", toQueue(vip))}})
	r := newRouted(t, p)
	ev := text("m1", "my secret")
	v := getMessage(t, r.Store, stored(t, r.Store, telegram, ev)).Conversation
	ingest(t, r.Store, telegram, message.Event{Message: &message.Message{Direction: message.Inbound, ExternalID: "d1", Type: message.TypeDeletion, Target: "m1", Timestamp: testTime, Contact: &message.Contact{ExternalID: "c1"}}})
	at, err := r.Routing(t.Context(), everything, v, PageQuery{})
	require.NoError(t, err)
	d := at.Decisions.Items[0]
	require.Empty(t, d.Facts.Message.Text)
	require.False(t, d.Exact)
	require.Equal(t, noteTextGone, d.Note)
	require.Equal(t, "secret", d.Decision.Rule, "the decision stands")
	for _, table := range []string{"decisions", "routings", "errands", "bot_states"} {
		require.Zero(t, countWhere(t, r.Store, table, "my secret"), table)
	}
}

// countWhere counts rows of a table that hold a text in one of their columns.
func countWhere(t *testing.T, s *Store, table, text string) (n int) {
	t.Helper()
	rows, err := s.read.rows(t.Context(), `SELECT * FROM `+table)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		require.NoError(t, rows.Scan(values...))
		for _, v := range values {
			raw, err := json.Marshal(*v.(*any))
			require.NoError(t, err)
			if strings.Contains(string(raw), text) {
				n++
			}
		}
	}
	require.NoError(t, rows.Err())
	return n
}

func TestDecisionsGoWithTheirConversation(t *testing.T) {
	r := newRouted(t, inbound())
	v := r.hear("c1", "hello")
	r.resolve(v)
	require.Equal(t, 1, count(t, r.Store, "policy_archive"))
	w := sweeper{s: r.Store}
	for range 3 { // a clock that leaps is believed after an hour
		r.clock.advance(31 * 24 * time.Hour)
		require.NoError(t, w.sweep(t.Context()))
		r.clock.advance(2 * time.Hour)
		require.NoError(t, w.sweep(t.Context()))
	}
	for _, table := range []string{"conversations", "decisions", "routings", "policy_archive"} {
		require.Zero(t, count(t, r.Store, table), table)
	}
}

func TestRulesGoByTheAttributesOfAContact(t *testing.T) {
	r := newRouted(t, inbound(routing.Rule{Name: "gold", Matches: []routing.Match{{Attributes: map[string]string{"tier": "gold"}}}, Steps: []routing.Step{step("first", toQueue(vip))}}))
	v := r.hear("c1", "hello")
	r.wantOwner(v, OwnerQueue, general)
	contact := getConversation(t, r.Store, v).Contact.ID
	c, err := r.SetAttributes(t.Context(), everything, contact, map[string]string{"tier": "gold"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"tier": "gold"}, c.Attributes)
	r.assign(v, Owner{Kind: OwnerNone})
	r.hear("c1", "hello?")
	r.wantOwner(v, OwnerQueue, vip)
	require.Equal(t, map[string]string{"tier": "gold"}, r.routing(v).Decisions.Items[0].Facts.Contact.Attributes)

	_, err = r.SetAttributes(t.Context(), everything, contact, nil)
	require.NoError(t, err)
	require.Len(t, r.routing(v).Decisions.Items, 2, "what was decided is explained by what was known then")

	var field *FieldError
	_, err = r.SetAttributes(t.Context(), everything, contact, map[string]string{"": "x"})
	require.ErrorAs(t, err, &field)
	_, err = r.SetAttributes(t.Context(), Scope{Namespaces: []string{"other"}}, contact, nil)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestStickyGoesBackToWhoHadTheContact(t *testing.T) {
	known := routing.Step{Name: "known", Sticky: &routing.Sticky{}, Timeout: document.Duration(time.Minute)}
	r := newRouted(t, inbound(rule("all", known, step("rest", toQueue(vip)))))
	ana, err := r.CreateAgent(t.Context(), everything, AgentSpec{Namespace: "shop", Name: "ana"})
	require.NoError(t, err)
	v := r.hear("c1", "hello")
	require.Equal(t, "rest", r.lastDecision(v).Step, "nobody knows them yet")
	r.assign(v, Owner{Kind: OwnerAgent, Name: ana.ID})
	r.resolve(v)
	r.clock.advance(25 * time.Hour)

	w := r.hear("c1", "again")
	require.Equal(t, "rest", r.lastDecision(w).Step, "she is not there")
	r.resolve(w)
	r.clock.advance(25 * time.Hour)
	_, err = r.Heartbeat(t.Context(), everything, ana.ID, "online")
	require.NoError(t, err)
	x := r.hear("c1", "and again")
	d := r.lastDecision(x)
	require.Equal(t, "known", d.Step)
	require.Equal(t, ana.ID, d.Target.Agent)
	r.wantOwner(x, OwnerQueue, vip)
	r.clock.advance(time.Minute)
	r.run()
	require.Equal(t, "rest", r.lastDecision(x).Step)
}

// Whether the known agent has capacity is a matter of what their queues say it takes.
func TestTheKnownAgentsCapacityIsThatOfTheirQueues(t *testing.T) {
	for cost, want := range map[int]bool{100: false, 51: false, 50: true, 10: true} {
		r := newRouted(t, inbound())
		r.set(entry(t, document.EntryAgentQueue, general, routing.QueueSpec{Name: general, Selector: routing.Selector{Labels: map[string]string{"team": "none"}}}),
			entry(t, document.EntryAgentQueue, vip, routing.QueueSpec{Name: vip, Capacity: routing.Capacity{Costs: map[routing.ChannelClass]int{routing.ClassChat: cost}}}))
		require.Empty(t, r.reload())
		ana := r.desk().agent("ana")
		other, v := r.hear("c1", "x"), r.hear("c2", "x")
		r.assign(v, Owner{OwnerAgent, ana})
		r.resolve(v)
		r.assign(other, Owner{OwnerAgent, ana})
		require.NoError(t, r.write(t.Context(), 1, func(tx *txn) error {
			_, err := tx.exec(`UPDATE presence SET load_chat = 50 WHERE agent = ?`, ana)
			return err
		}))
		require.Equal(t, v, r.hear("c2", "again"))
		require.Equal(t, want, r.routing(v).Decisions.Items[0].Facts.Agent.Available, cost)
	}
}

// The last contact is the last message: what desks do with an old conversation is none.
func TestTheLastContactIsAMessage(t *testing.T) {
	recent := rule("recent", step("vip", toQueue(vip)))
	recent.Matches = []routing.Match{{SinceLastContact: &routing.SinceMatch{LessThan: document.Duration(7 * 24 * time.Hour)}}}
	p := inbound(recent)
	p.Reopen.Reroute = routing.RerouteAlways
	r := newRouted(t, p)
	v := r.hear("c1", "x")
	wrote := r.clock.Now()
	r.clock.advance(20 * 24 * time.Hour)
	r.resolve(v)
	r.clock.advance(time.Minute)
	require.Equal(t, v, r.hear("c1", "again"), "reopened")
	require.True(t, wrote.Equal(r.routing(v).Decisions.Items[0].Facts.Contact.LastContactAt))
	r.wantOwner(v, OwnerQueue, general)
	wrote = r.clock.Now()

	r.clock.advance(6 * 24 * time.Hour)
	r.resolve(v)
	r.clock.advance(6 * 24 * time.Hour)
	w := r.hear("c1", "x")
	require.NotEqual(t, v, w)
	require.True(t, wrote.Equal(r.routing(w).Decisions.Items[0].Facts.Contact.LastContactAt))
	r.wantOwner(w, OwnerQueue, general)
	r.resolve(w)
	r.clock.advance(6 * 24 * time.Hour)
	x := r.hear("c1", "x")
	require.NotEqual(t, w, x)
	r.wantOwner(x, OwnerQueue, vip)
}

func TestAReopenedConversationReturnsToItsAgent(t *testing.T) {
	r := newRouted(t, inbound())
	ana, err := r.CreateAgent(t.Context(), everything, AgentSpec{Namespace: "shop", Name: "ana"})
	require.NoError(t, err)
	v := r.hear("c1", "hello")
	r.assign(v, Owner{Kind: OwnerAgent, Name: ana.ID})
	r.resolve(v)
	_, err = r.Heartbeat(t.Context(), everything, ana.ID, "online")
	require.NoError(t, err)
	require.Equal(t, v, r.hear("c1", "one more thing"))
	require.Equal(t, routing.ActionReturn, r.lastDecision(v).Action)
	r.wantOwner(v, OwnerAgent, ana.ID)

	r.resolve(v)
	_, err = r.Heartbeat(t.Context(), everything, ana.ID, "offline")
	require.NoError(t, err)
	r.hear("c1", "and another")
	r.wantOwner(v, OwnerQueue, general)
}

func TestMetricsTellDecisionsAndTurns(t *testing.T) {
	r := newRouted(t, withBot(menuBot))
	r.hear("c1", "agent")
	r.run()
	m := r.dispatcher.metrics
	require.InDelta(t, 1, testutil.ToFloat64(m.decisions.WithLabelValues("shop/inbound", "all", "Rule", "Route", "Enforce"))-1, 0)
	require.InDelta(t, 1, testutil.ToFloat64(m.errands.WithLabelValues("bot", "handover")), 0)
}
