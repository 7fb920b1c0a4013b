package store

import (
	"context"
	"errors"
	"flag"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

const (
	night     = "shop/night"
	webhook   = "shop/inbound/router"
	telegrams = "Channel/" + telegram
)

// shopfloor is a shop with a policy of every kind of step, whose contacts, agents and
// platform engineers do what they like.
type shopfloor struct {
	*routed
	rt       *rapid.T
	service  *service
	whole    map[string]document.Entry // what is in force in the end
	agents   []string
	beats    map[string]bool   // whose desk is running
	contacts map[string]string // by conversation
	n        int
	dirty    bool
}

// floorPolicy has steps that end, need what few have, or keep hours; a bot; a webhook.
func floorPolicy() routing.Policy {
	says := func(word string, r routing.Rule) routing.Rule {
		r.Matches = []routing.Match{{Text: &routing.TextMatch{Any: []string{word}}}}
		return r
	}
	for10m := func(s routing.Step) routing.Step {
		s.Timeout = document.Duration(10 * time.Minute)
		return s
	}
	tongue := for10m(step("tongue", toQueue(vip)))
	tongue.Skills.Required = []routing.Skill{{Name: "lang/klingon"}}
	office := step("office", toQueue(night))
	office.Timeout, office.Clock = document.Duration(30*time.Minute), routing.ClockBusiness
	known := for10m(step("known"))
	known.Sticky = &routing.Sticky{}
	others := rule("others", known, for10m(step("first", toQueue(vip, 50), toQueue(night, 50))))
	others.OnExhausted = routing.ExhaustedDefault
	return inbound(
		says("bot", rule("bot", step("bot", toBot(menuBot)), for10m(step("people", toQueue(vip))), step("all", toQueue(general)))),
		says("ask", rule("ask", for10m(step("ask", backendRef(routing.BackendWebhook, webhook))), step("all", toQueue(general)))),
		says("tongue", rule("tongue", tongue, step("all", toQueue(general)))),
		says("office", rule("office", office, step("all", toQueue(general)))),
		others,
	)
}

func newShopfloor(t *testing.T) *shopfloor {
	w := &shopfloor{service: newService(t), routed: newRouted(t), beats: map[string]bool{}, contacts: map[string]string{}}
	office := assigning(night)
	office.Schedule = hours
	w.set(entry(t, document.EntryAgentQueue, vip, teamOf(vip)), entry(t, document.EntryAgentQueue, night, office), entry(t, document.EntryWebhook, webhook, w.service.webhook()))
	w.attach(floorPolicy())
	w.whole = maps.Clone(w.entries)
	return w
}

// vipVersions are versions of the queue vip.
func vipVersions() []routing.QueueSpec {
	versions := make([]routing.QueueSpec, 6)
	for i := range versions {
		versions[i] = teamOf(vip)
	}
	versions[1].Limits.MaxWait = document.Duration(5 * time.Minute)
	versions[2].Limits.MaxDepth = 1
	versions[3].OnOffline = routing.OnOffline{Action: routing.OfflineRequeueAll, Grace: document.Duration(3 * time.Minute)}
	versions[4].Offer = routing.Offer{}
	versions[5].OnOffline.Action = routing.OfflineKeep // not in the end
	return versions
}

// edit changes the document: something leaves it or comes back, or is another one.
func (w *shopfloor) edit() {
	what := rapid.SampledFrom([]string{"AgentQueue/" + vip, "AgentQueue/" + vip, "AgentQueue/" + general, "AgentQueue/" + night, "Bot/" + menuBot, "RoutingPolicy/shop/inbound", "RoutingPolicy/shop/inbound",
		telegrams, "Webhook/" + webhook, "Schedule/" + hours, "vip", "vip", "bot"}).Draw(w.rt, "entry")
	_, there := w.entries[what]
	switch {
	case what == "vip":
		w.set(entry(w.t, document.EntryAgentQueue, vip, rapid.SampledFrom(vipVersions()).Draw(w.rt, "version")))
	case what == telegrams: // its policies leave it, or are attached again
		detached := entry(w.t, document.EntryChannel, telegram, document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge})
		if w.entries[telegrams].Hash == detached.Hash {
			detached = w.whole[telegrams]
		}
		w.set(detached)
	case there:
		delete(w.entries, what)
	case w.whole[what].Name != "":
		w.set(w.whole[what])
	}
	w.reload()
}

func (w *shopfloor) some(list []string, label string) string {
	return list[rapid.IntRange(0, len(list)-1).Draw(w.rt, label)]
}

func (w *shopfloor) conversations() []string { return slices.Sorted(maps.Keys(w.contacts)) }

func (w *shopfloor) hire() string {
	w.n++
	id := w.desk().agent(numbered("agent", w.n), func(a *AgentSpec) {
		if rapid.Bool().Draw(w.rt, "vip") {
			a.Labels = map[string]string{"team": vip}
		}
	})
	w.agents, w.beats[id] = append(w.agents, id), true
	return id
}

func (w *shopfloor) act() {
	ctx := context.Background()
	what := rapid.SampledFrom([]string{"write", "write", "write", "write", "hire", "time", "time", "edit", "edit", "edit", "edit", "webhook", "state", "state", "accept", "decline", "fire",
		"release", "release", "pass", "pass", "take", "request", "solve", "solve", "reopen", "reopen", "snooze"}).Draw(w.rt, "what")
	switch {
	case what == "write":
		w.write()
	case what == "edit":
		w.edit()
	case what == "webhook":
		w.service.says(200, rapid.SampledFrom([]string{`{"queue":"shop/vip"}`, `{"next":true}`, `{"queue":"shop/nowhere"}`, `nonsense`}).Draw(w.rt, "answer"))
	case what == "time":
		w.elapse(time.Duration(rapid.IntRange(1, 8).Draw(w.rt, "minutes")) * time.Minute)
	case what == "hire" || len(w.agents) == 0:
		w.hire()
	case what == "fire":
		id := w.some(w.agents, "agent")
		require.NoError(w.rt, w.DeleteAgent(ctx, everything, id))
		w.agents = slices.DeleteFunc(w.agents, func(a string) bool { return a == id })
	case what == "state":
		id, state := w.some(w.agents, "agent"), rapid.SampledFrom([]string{"online", "away", "offline", "silent"}).Draw(w.rt, "state")
		if w.beats[id] = state != "silent"; state != "silent" {
			w.desk().beat(id, state)
		}
	case what == "accept" || what == "decline":
		w.answer(w.some(w.agents, "agent"), what == "accept")
	case len(w.contacts) > 0:
		w.verb(what, w.some(w.conversations(), "conversation"))
	}
}

func (w *shopfloor) write() {
	var contact string
	if len(w.contacts) > 0 && rapid.Bool().Draw(w.rt, "known") {
		contact = w.contacts[w.some(w.conversations(), "conversation")]
	} else {
		w.n++
		contact = numbered("c", w.n)
	}
	w.contacts[w.hear(contact, rapid.SampledFrom([]string{"hello", "hello", "bot", "ask", "tongue", "office", "agent"}).Draw(w.rt, "text"))] = contact
}

func (w *shopfloor) answer(agent string, accept bool) {
	for _, o := range w.desk().offers(agent) {
		answer := w.DeclineOffer
		if accept {
			answer = w.AcceptOffer
		}
		_, err := answer(context.Background(), everything, o.ID)
		require.NoError(w.rt, err)
	}
}

// verb does something to a conversation as desks do; what is refused is none of ours.
func (w *shopfloor) verb(what, id string) {
	ctx, v := context.Background(), getConversation(w.t, w.Store, id)
	agent := Owner{OwnerAgent, w.some(w.agents, "agent")}
	var err error
	switch what {
	case "release":
		_, err = w.Release(ctx, everything, id, v.Epoch)
	case "pass":
		_, err = w.Pass(ctx, everything, id, rapid.SampledFrom([]Owner{agent, {OwnerBot, menuBot}, {OwnerQueue, general}}).Draw(w.rt, "to"), v.Epoch)
	case "take":
		_, err = w.Take(ctx, everything, id, agent, v.Epoch)
	case "request":
		_, err = w.Request(ctx, everything, id, agent, v.Epoch)
	case "solve":
		_, err = w.Resolve(ctx, everything, id)
	case "reopen":
		_, err = w.Reopen(ctx, everything, id)
	case "snooze":
		_, err = w.Snooze(ctx, everything, id, w.clock.Now().Add(time.Duration(rapid.IntRange(1, 60).Draw(w.rt, "minutes"))*time.Minute))
	}
	if !errors.Is(err, ErrConflict) {
		require.NoError(w.rt, err)
	}
}

// elapse lets time pass at once, with the heartbeats of whoever is there, and turns
// everything that turns by itself.
func (w *shopfloor) elapse(by time.Duration) {
	w.clock.advance(by)
	for _, id := range w.agents {
		if w.beats[id] {
			w.desk().beat(id, "")
		}
	}
	_, err := w.wakeSnoozed(context.Background())
	require.NoError(w.rt, err)
	w.turn()
}

func (w *shopfloor) turn() {
	for range 3 { // what a queue lets go of may begin a step that is over, and the other way round
		w.settleAll()
		w.desk().turn()
	}
	w.desk().poll()
	w.settleAll()
}

// astray are the conversations whose owner cannot answer, and why. wrote: all contacts
// have written since everything is in force; else it is the turn of some.
func (w *shopfloor) astray(wrote bool) map[string]string {
	list := map[string]string{}
	_, bot := w.entries["Bot/"+menuBot]
	for id := range w.contacts {
		v := getConversation(w.t, w.Store, id)
		switch {
		case v.State == ConversationSolved:
		case v.State != ConversationOpen:
			list[id] = "is " + string(v.State)
		case v.Owner.Kind == OwnerAgent:
			a, err := w.Agent(context.Background(), everything, v.Owner.Name)
			if err != nil || a.State == "offline" {
				list[id] = "is of an agent who is not there"
			}
		case v.Owner.Kind == OwnerBot && v.Owner.Name == menuBot && (bot || !wrote):
		default:
			list[id] = string(v.Owner.Kind) + " " + v.Owner.Name
		}
	}
	return list
}

// comeRight puts everything into force, and lets one agent of the default queue be
// there: after enough time everybody has somebody.
func (w *shopfloor) comeRight() {
	version, there := w.entries["AgentQueue/"+vip]
	w.set(slices.Collect(maps.Values(w.whole))...)
	if kept := entry(w.t, document.EntryAgentQueue, vip, vipVersions()[5]); there && version.Hash != kept.Hash {
		w.set(version)
	}
	if rapid.Bool().Draw(w.rt, "without the bot") { // whose rule goes on with its next step
		w.leaves(document.EntryBot, menuBot)
	}
	require.Empty(w.rt, w.reload())
	w.n++
	last := w.desk().agent(numbered("agent", w.n), func(a *AgentSpec) { a.Units, a.Skills = 1_000_000, map[string]int{"lang/klingon": 1} })
	w.agents, w.beats[last] = append(w.agents, last), true
	w.settleDown(last, false)
	for _, id := range w.conversations() {
		if v := getConversation(w.t, w.Store, id); v.State == ConversationOpen && v.Owner.Kind != OwnerAgent {
			w.hear(w.contacts[id], "hello?")
		}
	}
	w.settleDown(last, true)
}

// settleDown lets an agent accept what they are offered, until everybody has somebody:
// for an hour, until the office is open, and until what waits for it is not any more.
func (w *shopfloor) settleDown(agent string, wrote bool) {
	astray := map[string]string{}
	for i := range 24 {
		w.elapse([]time.Duration{5 * time.Minute, 2 * time.Hour}[i/12])
		w.answer(agent, true)
		if astray = w.astray(wrote); len(astray) == 0 {
			return
		}
	}
	for id, why := range astray {
		w.rt.Errorf("%s %s: %+v\n%+v", id, why, w.routing(id).Position, w.changes(id))
	}
	w.rt.FailNow()
}

// changes are all owners that a conversation had.
func (w *shopfloor) changes(id string) []OwnerChange {
	page, err := w.OwnerChanges(context.Background(), everything, id, PageQuery{Limit: 200})
	require.NoError(w.rt, err)
	return page.Items
}

// empty makes the shopfloor what it was in the beginning, for the next history: it begins
// on another Sunday at ten.
func (w *shopfloor) empty() {
	for id := range w.contacts {
		_, err := w.Resolve(context.Background(), everything, id)
		require.NoError(w.rt, err)
	}
	for _, id := range w.agents {
		require.NoError(w.rt, w.DeleteAgent(context.Background(), everything, id))
	}
	w.agents = nil
	clear(w.beats)
	clear(w.contacts)
	w.entries = maps.Clone(w.whole)
	require.Empty(w.rt, w.reload())
	const week = 7 * 24 * time.Hour
	w.clock.advance(week - w.clock.Now().Sub(testTime)%week)
	w.turn()
}

// Nothing waits for ever, and every conversation has an owner who can answer:
// whatever contacts, agents, desks and documents did, once everything is in force and
// one agent of the default queue is there.
func TestEveryConversationComesToSomebody(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if was := checks.Value.String(); was == checks.DefValue { // each is a history of its own, of some hundred transactions
		require.NoError(t, checks.Value.Set("8"))
		defer func() { require.NoError(t, checks.Value.Set(was)) }()
	}
	w := newShopfloor(t)
	rapid.Check(t, func(rt *rapid.T) {
		if w.dirty { // a history failed, and a shorter one is looked for
			w = newShopfloor(t)
		}
		w.rt, w.dirty = rt, true
		w.service.says(200, `{"queue":"shop/vip"}`)
		w.hire()
		for range rapid.IntRange(5, 30).Draw(rt, "acts") {
			w.act()
			w.turn()
		}
		w.comeRight()
		w.desk().checkCounters()
		w.empty()
		w.dirty = false
	})
}
