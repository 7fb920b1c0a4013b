package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// floor is a call centre: customers who come and go, agents who are there, or
// not, who accept, decline and miss; and replicas of the store, which crash.
type floor struct {
	*desk
	rt     *rapid.T
	opts   Options
	stores []*Store // replicas; one where the database is SQLite
	specs  []routing.QueueSpec
	agents []string
	beats  map[string]bool // whose desk is running
	convs  []string
	n      int
	// crashed: a replica died since queues were looked at.
	crashed bool
	dirty   bool
}

const billing = "shop/billing"

func newFloor(t *testing.T) *floor {
	c := &clock{now: testTime}
	f := &floor{desk: &desk{t: t, clock: c}, opts: onBackend(t, Options{Dir: t.TempDir(), Now: c.Now}), beats: map[string]bool{}}
	f.specs = []routing.QueueSpec{
		{Name: support, OnOffline: routing.OnOffline{Action: routing.OfflineRequeueAll, Grace: document.Duration(time.Minute)}},
		{Name: billing, Selector: routing.Selector{Labels: map[string]string{"team": "billing"}}, Offer: routing.Offer{Mode: routing.OfferAssign},
			Capacity: routing.Capacity{IdleAfter: document.Duration(10 * time.Minute), IdleUnits: 5}},
	}
	replicas := 1
	if backend == "postgres" {
		replicas = 3
	}
	for range replicas {
		f.stores = append(f.stores, nil)
		f.reopen(len(f.stores) - 1)
	}
	t.Cleanup(func() {
		for _, s := range f.stores {
			require.NoError(t, s.Close())
		}
	})
	return f
}

// reopen is a replica that dies, with all that it remembered, and comes back.
func (f *floor) reopen(i int) {
	if f.stores[i] != nil {
		require.NoError(f.t, f.stores[i].Close())
	}
	s, err := Open(context.Background(), f.opts)
	require.NoError(f.t, err)
	f.stores[i], f.crashed = s, true
	f.Store = s
	f.load(f.specs...)
	f.Store = f.stores[0]
}

// any is a replica.
func (f *floor) any() *Store {
	f.Store = f.stores[rapid.IntRange(0, len(f.stores)-1).Draw(f.rt, "replica")]
	return f.Store
}

func (f *floor) arrive() {
	f.n++
	queue := rapid.SampledFrom([]string{support, support, billing}).Draw(f.rt, "queue")
	priority := rapid.SampledFrom(priorities).Draw(f.rt, "priority")
	skill := rapid.SampledFrom([]string{"", "", "lang/fr", "lang/de"}).Draw(f.rt, "skill")
	f.any()
	f.convs = append(f.convs, f.arrives(numbered("c", f.n), queue, func(w *waiting) {
		if w.Priority = priority; skill != "" {
			w.Skills.Required = []routing.Skill{{Name: skill}}
		}
	}))
	f.clock.advance(time.Millisecond)
}

func (f *floor) hire() {
	f.n++
	f.any()
	id := f.agent(numbered("agent", f.n), func(a *AgentSpec) {
		if rapid.Bool().Draw(f.rt, "billing") {
			a.Labels = map[string]string{"team": "billing"}
		}
		a.Skills = rapid.SampledFrom([]map[string]int{nil, {"lang/fr": 1}, {"lang/de": 1}, {"lang/fr": 1, "lang/de": 1}}).Draw(f.rt, "skills")
	})
	f.agents, f.beats[id] = append(f.agents, id), true
}

func (f *floor) pick() string {
	return f.agents[rapid.IntRange(0, len(f.agents)-1).Draw(f.rt, "agent")]
}

func (f *floor) act() {
	switch what := rapid.SampledFrom([]string{"arrive", "arrive", "arrive", "time", "accept", "accept", "decline", "solve", "snooze", "state", "state", "crash", "release", "hire", "fire", "reload"}).Draw(f.rt, "what"); {
	case what == "arrive":
		f.arrive()
	case what == "hire" || len(f.agents) == 0:
		f.hire()
	case what == "time":
		f.elapse(time.Duration(rapid.IntRange(1, 200).Draw(f.rt, "seconds")) * time.Second)
	case what == "accept" || what == "decline":
		for _, o := range f.offers(f.pick()) {
			answer := f.any().AcceptOffer
			if what == "decline" {
				answer = f.DeclineOffer
			}
			_, err := answer(context.Background(), everything, o.ID)
			require.NoError(f.rt, err)
		}
	case what == "state":
		id := f.pick()
		state := rapid.SampledFrom([]string{"online", "online", "away", "offline", "silent"}).Draw(f.rt, "state")
		f.any()
		if f.beats[id] = state != "silent"; state != "silent" {
			f.beat(id, state)
		}
	case what == "fire":
		id := f.pick()
		require.NoError(f.rt, f.any().DeleteAgent(context.Background(), everything, id))
		f.agents = slices.DeleteFunc(f.agents, func(a string) bool { return a == id })
	case what == "crash":
		f.reopen(rapid.IntRange(0, len(f.stores)-1).Draw(f.rt, "replica"))
	case what == "reload": // a queue leaves the document and comes back
		f.any()
		f.load(f.specs[:1]...)
		f.load(f.specs...)
	case len(f.convs) > 0:
		id := f.convs[rapid.IntRange(0, len(f.convs)-1).Draw(f.rt, "conversation")]
		v := getConversation(f.t, f.any(), id)
		var err error
		switch {
		case what == "release" && v.State == ConversationOpen && v.Owner.Kind != OwnerNone:
			_, err = f.Release(context.Background(), everything, id, v.Epoch)
		case what == "snooze" && v.State != ConversationSolved:
			_, err = f.Snooze(context.Background(), everything, id, f.clock.Now().Add(time.Minute))
		case what == "solve" && v.State == ConversationOpen:
			_, err = f.Resolve(context.Background(), everything, id)
		case what == "solve":
			_, err = f.Reopen(context.Background(), everything, id)
		}
		require.NoError(f.rt, err)
	}
}

func (f *floor) elapse(d time.Duration) {
	for d > 0 {
		step := min(d, HeartbeatEvery)
		f.clock.advance(step)
		d -= step
		for _, id := range f.agents {
			if f.beats[id] {
				_, err := f.any().Heartbeat(context.Background(), everything, id, "")
				require.NoError(f.rt, err)
			}
		}
		f.turnAll()
	}
}

// turnAll is what the loops do, in all replicas at the same time.
func (f *floor) turnAll() {
	_, err := f.stores[0].wakeSnoozed(context.Background())
	require.NoError(f.rt, err)
	before := f.entries()
	for busy := true; busy; {
		busy = false
		var wg sync.WaitGroup
		for _, s := range f.stores {
			stirred, _ := s.queues.take()
			if f.crashed { // what a replica knew that died, the others find by looking at all queues
				stirred = map[string]bool{support: true, billing: true}
			}
			wg.Go(func() {
				err := errors.Join(s.sweepQueues(context.Background()), s.drainQueues(context.Background(), stirred))
				if err != nil {
					f.t.Error(err)
				}
			})
		}
		wg.Wait()
		f.crashed = false
		for _, s := range f.stores { // also by this turn: an offer that expired in it
			s.queues.mu.Lock()
			busy = busy || len(s.queues.stirred) > 0 || s.queues.sweep
			s.queues.mu.Unlock()
		}
	}
	f.checkOrder(before)
}

func (f *floor) entries() map[string]entryRow {
	list, err := all(context.Background(), f.stores[0].read, scanEntry, `SELECT `+entryColumns+` FROM queue_entries`)
	require.NoError(f.t, err)
	entries := map[string]entryRow{}
	for _, e := range list {
		entries[e.conversation] = e
	}
	return entries
}

// checkOrder: who was given something was not preceded by anybody alike who
// waits on, and nobody waits for whom there is somebody.
func (f *floor) checkOrder(before map[string]entryRow) {
	after := f.entries()
	type kind struct {
		queue    string
		priority int
		need     string
	}
	waits := map[kind]int64{} // since when the oldest waits who declined nobody's
	for _, e := range after {
		k := kind{e.queue, e.priority, e.need}
		if e.state == entryWaiting && e.declined == "" && before[e.conversation].state == entryWaiting && before[e.conversation].queue == e.queue {
			if since, ok := waits[k]; !ok || e.waitingSince < since {
				waits[k] = e.waitingSince
			}
		}
	}
	for id, e := range after {
		if was := before[id]; was.state == entryWaiting && (e.state == entryOffered || e.state == entryAssigned) {
			if since, ok := waits[kind{was.queue, was.priority, was.need}]; ok {
				require.LessOrEqual(f.rt, e.waitingSince, since, "%s overtook in %s", id, e.queue)
			}
		}
	}
	for k := range waits {
		skills, err := all(context.Background(), f.stores[0].read, scanSkills, `SELECT a.skills FROM queue_members m JOIN presence p ON p.agent = m.agent JOIN agents a ON a.id = m.agent
			WHERE m.queue = ? AND p.state = 'online' AND p.load_voice + p.load_chat + p.load_mail + 25 <= p.units`, k.queue)
		require.NoError(f.rt, err)
		could := routing.Selector{Skills: skillsOf(k.need).Required}
		require.False(f.rt, slices.ContainsFunc(skills, func(has map[string]int) bool { return could.Selects(nil, has) }), "somebody waits in %s for %s while somebody who has that has room", k.queue, k.need)
	}
}

// check: every conversation is in exactly one place, and the counters say so.
func (f *floor) check() {
	f.Store = f.stores[0]
	entries := f.entries()
	for _, id := range f.convs {
		v := getConversation(f.t, f.Store, id)
		e, found := entries[id]
		switch {
		case v.State == ConversationSolved:
			require.True(f.rt, !found || e.state == entryLeft, "solved, and somewhere all the same")
		case v.Owner.Kind == OwnerQueue && v.State == ConversationSnoozed:
			require.Equal(f.rt, fmt.Sprint(entryLeft, v.Owner.Name), fmt.Sprint(e.state, e.queue), "put aside")
		case v.Owner.Kind == OwnerQueue:
			require.Contains(f.rt, []entryState{entryWaiting, entryOffered}, e.state, "lost")
			require.Equal(f.rt, v.Owner.Name, e.queue)
		case v.Owner.Kind == OwnerAgent:
			require.Equal(f.rt, fmt.Sprint(entryAssigned, v.Owner.Name), fmt.Sprint(e.state, e.agent))
		default:
			f.rt.Fatalf("%s belongs to nobody", id)
		}
	}
	f.checkCounters()
}

// serveAll: in the end everybody who waits is served, by one agent who is there
// for all.
func (f *floor) serveAll() {
	f.any()
	f.n++
	last := f.agent(numbered("agent", f.n), func(a *AgentSpec) {
		a.Units, a.Labels, a.Skills = 1_000_000, map[string]string{"team": "billing"}, map[string]int{"lang/fr": 1, "lang/de": 1}
	})
	f.agents, f.beats = append(f.agents, last), map[string]bool{last: true}
	for range 40 {
		f.turnAll()
		for _, o := range f.offers(last) {
			_, err := f.any().AcceptOffer(context.Background(), everything, o.ID)
			require.NoError(f.rt, err)
		}
		f.elapse(HeartbeatEvery)
		waiting := f.queue(support).Depth + f.queue(billing).Depth
		if waiting == 0 {
			return
		}
	}
	f.rt.Fatal("somebody is not served")
}

// Whatever customers, agents and replicas do: no conversation is lost, none has
// two agents, nobody of the same priority who needs the same is overtaken, nobody waits while there
// is somebody for them, and in the end all are served.
func TestQueuesLoseAndConfuseNothing(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if was := checks.Value.String(); was == checks.DefValue { // each is a history of its own, of some hundred transactions
		require.NoError(t, checks.Value.Set("12"))
		defer func() { require.NoError(t, checks.Value.Set(was)) }()
	}
	f := newFloor(t)
	rapid.Check(t, func(rt *rapid.T) {
		if f.dirty { // a history failed, and a shorter one is looked for
			f = newFloor(t)
		}
		f.rt, f.dirty = rt, true
		for range rapid.IntRange(5, 40).Draw(rt, "acts") {
			f.act()
			f.turnAll()
			f.check()
		}
		f.serveAll()
		f.check()
		for _, id := range f.convs { // the floor is empty for the next history
			_, err := f.any().Resolve(context.Background(), everything, id)
			require.NoError(rt, err)
		}
		for _, id := range f.agents {
			require.NoError(rt, f.DeleteAgent(context.Background(), everything, id))
		}
		f.agents, f.convs = nil, nil
		maps.DeleteFunc(f.beats, func(string, bool) bool { return true })
		f.check()
		f.dirty = false
	})
}
