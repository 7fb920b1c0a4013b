package routing

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

func online(id string, change ...func(*Agent)) Agent {
	a := Agent{ID: id, Presence: PresenceOnline}
	for _, c := range change {
		c(&a)
	}
	return a
}

func load(units int) func(*Agent) {
	return func(a *Agent) { a.Load = map[ChannelClass]int{ClassChat: units} }
}

func skills(names ...string) func(*Agent) {
	return func(a *Agent) {
		a.Skills = map[string]int{}
		for _, name := range names {
			a.Skills[name] = 3
		}
	}
}

func lastAssigned(ago time.Duration) func(*Agent) {
	return func(a *Agent) { a.LastAssignedAt = base.Add(-ago) }
}

func chat(id string, minutesAgo int, change ...func(*Waiting)) Waiting {
	waited := time.Duration(minutesAgo) * time.Minute
	w := Waiting{ID: id, Class: ClassChat, Arrived: base.Add(-waited), Waited: document.Duration(waited), StepEntered: base.Add(-waited)}
	for _, c := range change {
		c(&w)
	}
	return w
}

func pairsOf(assignments []Assignment) []string {
	out := []string{}
	for _, a := range assignments {
		out = append(out, a.Conversation+"→"+a.Agent)
	}
	return out
}

func TestChoose(t *testing.T) {
	priority := func(p Priority) func(*Waiting) { return func(w *Waiting) { w.Priority = p } }
	required := func(name string, level int) func(*Waiting) {
		return func(w *Waiting) { w.Skills.Required = append(w.Skills.Required, Skill{name, level}) }
	}
	preferred := func(name string, drop time.Duration) func(*Waiting) {
		return func(w *Waiting) {
			w.Skills.Preferred = append(w.Skills.Preferred, PreferredSkill{Name: name, DropAfter: document.Duration(drop)})
		}
	}
	declined := func(ids ...string) func(*Waiting) { return func(w *Waiting) { w.Declined = ids } }
	sticky := func(id string, until time.Time) func(*Waiting) {
		return func(w *Waiting) { w.Agent, w.AgentUntil = id, until }
	}
	tests := []struct {
		name    string
		spec    QueueSpec
		agents  []Agent
		waiting []Waiting
		cursor  string
		want    []string
	}{
		{"nobody", QueueSpec{}, nil, []Waiting{chat("c", 1)}, "", []string{}},
		{"nothing", QueueSpec{}, []Agent{online("a")}, nil, "", []string{}},
		{"away and offline get nothing", QueueSpec{}, []Agent{{ID: "a", Presence: PresenceAway}, {ID: "b", Presence: PresenceOffline}}, []Waiting{chat("c", 1)}, "", []string{}},
		{"oldest first", QueueSpec{}, []Agent{online("a", load(75))}, []Waiting{chat("young", 1), chat("old", 9)}, "", []string{"old→a"}},
		{"same age: by id", QueueSpec{}, []Agent{online("a", load(75))}, []Waiting{chat("y", 1), chat("x", 1)}, "", []string{"x→a"}},
		{"priority before age", QueueSpec{}, []Agent{online("a", load(75))}, []Waiting{chat("old", 9), chat("urgent", 1, priority(PriorityUrgent))}, "", []string{"urgent→a"}},
		{"age outweighs priority", QueueSpec{}, []Agent{online("a", load(75))}, []Waiting{chat("low", 91, priority(PriorityLow)), chat("urgent", 0, priority(PriorityUrgent))}, "", []string{"low→a"}},
		{"without boost it does not", QueueSpec{PriorityBoostPerMinute: ptr(0)}, []Agent{online("a", load(75))}, []Waiting{chat("low", 9999, priority(PriorityLow)), chat("normal", 0)}, "", []string{"normal→a"}},
		{"no room", QueueSpec{}, []Agent{online("a", load(76))}, []Waiting{chat("c", 1)}, "", []string{}},
		{"as many as fit", QueueSpec{}, []Agent{online("a", load(50))}, []Waiting{chat("1", 3), chat("2", 2), chat("3", 1)}, "", []string{"1→a", "2→a"}},
		{"own capacity", QueueSpec{}, []Agent{online("a", func(a *Agent) { a.Units = 25 })}, []Waiting{chat("1", 3), chat("2", 2)}, "", []string{"1→a"}},
		{"capacity of a class", QueueSpec{}, []Agent{online("a", func(a *Agent) { a.ClassUnits = map[ChannelClass]int{ClassChat: 25} })}, []Waiting{chat("1", 3), chat("2", 2), chat("mail", 1, func(w *Waiting) { w.Class = ClassMail })}, "", []string{"1→a", "mail→a"}},
		{"at most so many new ones", QueueSpec{Capacity: Capacity{MaxNew: MaxNew{Count: 3, Window: drawnHour}}}, []Agent{online("a", func(a *Agent) { a.Recent = 2 })}, []Waiting{chat("1", 3), chat("2", 2)}, "", []string{"1→a"}},

		{"least loaded", QueueSpec{}, []Agent{online("a", load(50)), online("b", load(25))}, []Waiting{chat("c", 1)}, "", []string{"c→b"}},
		{"least loaded is a share", QueueSpec{}, []Agent{online("a", load(50), func(a *Agent) { a.Units = 400 }), online("b", load(25))}, []Waiting{chat("c", 1)}, "", []string{"c→a"}},
		{"least loaded, then longest idle", QueueSpec{}, []Agent{online("a", lastAssigned(time.Minute)), online("b", lastAssigned(time.Hour))}, []Waiting{chat("1", 2), chat("2", 1)}, "", []string{"1→b", "2→a"}},
		{"longest idle", QueueSpec{Strategy: LongestIdle}, []Agent{online("a", lastAssigned(time.Minute)), online("b", lastAssigned(time.Hour), load(50))}, []Waiting{chat("1", 2), chat("2", 1)}, "", []string{"1→b", "2→a"}},
		{"never had anything is longest idle", QueueSpec{Strategy: LongestIdle}, []Agent{online("a", lastAssigned(time.Hour)), online("b")}, []Waiting{chat("1", 2)}, "", []string{"1→b"}},
		{"round robin", QueueSpec{Strategy: RoundRobin}, []Agent{online("c"), online("a"), online("b")}, []Waiting{chat("1", 5), chat("2", 4), chat("3", 3), chat("4", 2)}, "a", []string{"1→b", "2→c", "3→a", "4→b"}},

		{"required skill", QueueSpec{}, []Agent{online("a"), online("b", skills("fr"), load(50))}, []Waiting{chat("1", 2, required("fr", 0))}, "", []string{"1→b"}},
		{"required level", QueueSpec{}, []Agent{online("a", skills("fr"))}, []Waiting{chat("1", 2, required("fr", 4))}, "", []string{}},
		{"others pass who cannot be helped", QueueSpec{}, []Agent{online("a", load(75))}, []Waiting{chat("1", 9, required("fr", 0)), chat("2", 1)}, "", []string{"2→a"}},
		{"preferred only orders", QueueSpec{}, []Agent{online("a"), online("b", skills("x"), load(50))}, []Waiting{chat("1", 1, preferred("x", 0))}, "", []string{"1→b"}},
		{"preferred, nobody has it", QueueSpec{}, []Agent{online("a")}, []Waiting{chat("1", 1, preferred("x", 0))}, "", []string{"1→a"}},
		{"preferred holds out", QueueSpec{}, []Agent{online("a")}, []Waiting{chat("1", 4, preferred("x", 5*time.Minute))}, "", []string{}},
		{"preferred is dropped", QueueSpec{}, []Agent{online("a")}, []Waiting{chat("1", 5, preferred("x", 5*time.Minute))}, "", []string{"1→a"}},

		{"not to who declined", QueueSpec{}, []Agent{online("a"), online("b", load(50))}, []Waiting{chat("1", 1, declined("a"))}, "", []string{"1→b"}},
		{"rather nobody while another is only busy", QueueSpec{}, []Agent{online("a"), online("b", load(100))}, []Waiting{chat("1", 1, declined("a"))}, "", []string{}},
		{"again, when all have", QueueSpec{}, []Agent{online("a"), online("b", load(100)), {ID: "c", Presence: PresenceAway}}, []Waiting{chat("1", 1, declined("a", "b"))}, "", []string{"1→a"}},

		{"again, when the others never could", QueueSpec{}, []Agent{online("a"), {ID: "b", Presence: PresenceOnline, Units: 10},
			{ID: "c", Presence: PresenceOnline, ClassUnits: map[ChannelClass]int{ClassChat: 24}}}, []Waiting{chat("1", 1, declined("a"))}, "", []string{"1→a"}},

		{"reserved", QueueSpec{}, []Agent{online("a", load(50)), online("b")}, []Waiting{chat("1", 1, sticky("a", base.Add(1)))}, "", []string{"1→a"}},
		{"reserved for one who is busy", QueueSpec{}, []Agent{online("a", load(100)), online("b", load(75))}, []Waiting{chat("1", 9, sticky("a", base.Add(1))), chat("2", 1)}, "", []string{"2→b"}},
		{"reserved without end", QueueSpec{}, []Agent{online("a", load(100)), online("b")}, []Waiting{chat("1", 1, sticky("a", time.Time{}))}, "", []string{}},
		{"reservation is over", QueueSpec{}, []Agent{online("a", load(100)), online("b")}, []Waiting{chat("1", 1, sticky("a", base))}, "", []string{"1→b"}},
		{"reserved for one who left", QueueSpec{}, []Agent{{ID: "a", Presence: PresenceAway}, online("b")}, []Waiting{chat("1", 1, sticky("a", base.Add(1)))}, "", []string{"1→b"}},
		{"reserved for one who declined", QueueSpec{}, []Agent{online("a"), online("b")}, []Waiting{chat("1", 1, sticky("a", base.Add(1)), declined("a"))}, "", []string{"1→b"}},
		{"reserved for one without the skills", QueueSpec{}, []Agent{online("a"), online("b", skills("fr"))}, []Waiting{chat("1", 1, sticky("a", time.Time{}), required("fr", 0))}, "", []string{"1→b"}},
		{"reserved for one who could never carry it", QueueSpec{}, []Agent{online("a", func(a *Agent) { a.Units = 24 }), online("b")}, []Waiting{chat("1", 1, sticky("a", time.Time{}))}, "", []string{"1→b"}},
		{"reserved for one who has none of its class", QueueSpec{}, []Agent{online("a", func(a *Agent) { a.ClassUnits = map[ChannelClass]int{ClassChat: 0} }), online("b")},
			[]Waiting{chat("1", 1, sticky("a", time.Time{}))}, "", []string{"1→b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _ := Choose(test.spec, Snapshot{Now: base, Agents: test.agents, Waiting: test.waiting, Cursor: test.cursor})
			assert.Equal(t, test.want, pairsOf(got))
		})
	}
}

func TestOffers(t *testing.T) {
	shot := Snapshot{Now: base, Agents: []Agent{online("a")}, Waiting: []Waiting{chat("c", 1)}}
	got, cursor := Choose(QueueSpec{}, shot)
	assert.Equal(t, []Assignment{{Conversation: "c", Agent: "a", Units: 25, OfferUntil: base.Add(30 * time.Second)}}, got)
	assert.Equal(t, "a", cursor)
	got, _ = Choose(QueueSpec{Offer: Offer{Mode: OfferAssign}}, shot)
	assert.True(t, got[0].OfferUntil.IsZero())
	assert.False(t, Offer{}.Away(1))
	assert.True(t, Offer{}.Away(2))
	assert.False(t, Offer{AwayAfterMissed: 3}.Away(2))
}

func TestRefusals(t *testing.T) {
	w := chat("c", 1, func(w *Waiting) {
		w.Declined = []string{"d"}
		w.Skills.Required = []Skill{{Name: "fr"}}
	})
	shot := Snapshot{Now: base, Agents: []Agent{online("a"), online("b", load(90)), {ID: "c", Presence: PresenceAway}, online("d", skills("fr")), online("e", skills("fr"))}}
	assert.Equal(t, []candidate{{"a", refusalSkills}, {"b", refusalCapacity}, {"c", refusalNotOnline}, {"d", refusalDeclined}, {"e", ""}}, candidates(QueueSpec{}, shot, w))
	w.Agent = "d"
	w.Declined = nil
	assert.Equal(t, refusalReserved, candidates(QueueSpec{}, shot, w)[4].refusal)
}

func TestQueueRules(t *testing.T) {
	c := Capacity{Costs: map[ChannelClass]int{ClassChat: 50}, IdleAfter: drawnHour, IdleUnits: 5}
	assert.Equal(t, 50, c.Cost(ClassChat, time.Minute))
	assert.Equal(t, 100, c.Cost(ClassVoice, time.Minute))
	assert.Equal(t, 5, c.Cost(ClassChat, time.Hour))
	assert.True(t, Limits{MaxDepth: 2}.Full(2))
	assert.False(t, Limits{MaxDepth: 2}.Full(1))
	assert.False(t, Limits{MaxDepth: 2, OnFull: OnFullHold}.Full(5))
	assert.False(t, Limits{}.Full(1000))
	assert.True(t, Limits{MaxWait: drawnHour}.Overdue(time.Hour))
	assert.False(t, Limits{MaxWait: drawnHour}.Overdue(time.Hour-1))
	assert.False(t, OnOffline{Grace: drawnHour}.Requeue(false, time.Minute))
	assert.True(t, OnOffline{}.Requeue(false, 0))
	assert.False(t, OnOffline{}.Requeue(true, 0))
	assert.True(t, OnOffline{Action: OfflineRequeueAll}.Requeue(true, 0))
	assert.False(t, OnOffline{Action: OfflineKeep}.Requeue(false, 0))
	s := Selector{Labels: map[string]string{"team": "a"}, Skills: []Skill{{"fr", 2}}}
	assert.True(t, s.Selects(map[string]string{"team": "a", "site": "x"}, map[string]int{"fr": 2}))
	assert.False(t, s.Selects(map[string]string{"team": "b"}, map[string]int{"fr": 2}))
	assert.False(t, s.Selects(map[string]string{"team": "a"}, map[string]int{"fr": 1}))
	assert.True(t, Selector{}.Selects(nil, nil))
}

func TestCheckQueue(t *testing.T) {
	good := QueueSpec{Name: "ns/q", Schedule: "hours", Capacity: Capacity{Costs: map[ChannelClass]int{ClassMail: 1}}}
	refs := Refs{Schedules: map[string]*schedule.Schedule{"hours": nil}}
	assert.Empty(t, CheckQueue(good, refs))
	bad := QueueSpec{
		Strategy: "Random", Capacity: Capacity{Units: -1, Costs: map[ChannelClass]int{"fax": 1}, MaxNew: MaxNew{Count: 3}}, Selector: Selector{Skills: []Skill{{}}},
		Offer: Offer{Mode: "Push", Timeout: -1}, Limits: Limits{MaxDepth: 1_000_001, OnFull: "Drop"}, OnOffline: OnOffline{Action: "Forget"}, PriorityBoostPerMinute: ptr(-1), Schedule: "gone",
	}
	var fields []string
	for _, f := range CheckQueue(bad, refs) {
		fields = append(fields, f.Field)
		assert.Equal(t, f.Field == "schedule", f.Effect == EffectDegraded)
	}
	slices.Sort(fields)
	assert.Equal(t, []string{"capacity.costs[fax]", "capacity.maxNew.window", "capacity.units", "limits.maxDepth", "limits.onFull", "name", "offer.mode", "offer.timeout", "onOffline.action", "priorityBoostPerMinute", "schedule", "selector.skills[0]", "strategy"}, fields)
}

func drawQueue(t *rapid.T) (QueueSpec, Snapshot) {
	spec := QueueSpec{Name: "q", Strategy: rapid.SampledFrom([]Strategy{LeastLoaded, LongestIdle, RoundRobin}).Draw(t, "strategy"), Capacity: Capacity{MaxNew: MaxNew{Count: rapid.IntRange(0, 3).Draw(t, "max new"), Window: drawnHour}}}
	shot := Snapshot{Now: base, Cursor: rapid.SampledFrom([]string{"", "agent-1", "agent-3"}).Draw(t, "cursor")}
	names := []string{"fr", "refunds"}
	for i := range rapid.IntRange(0, 5).Draw(t, "agents") {
		a := Agent{ID: fmt.Sprintf("agent-%d", i), Presence: rapid.SampledFrom([]Presence{PresenceOnline, PresenceOnline, PresenceAway}).Draw(t, "presence"), Units: rapid.SampledFrom([]int{0, 25, 60}).Draw(t, "units"), Recent: rapid.IntRange(0, 3).Draw(t, "recent"), Skills: map[string]int{}, Load: map[ChannelClass]int{ClassChat: rapid.SampledFrom([]int{0, 25, 75, 125}).Draw(t, "load")}}
		for _, name := range some(t, "skills", names, 2) {
			a.Skills[name] = 1
		}
		if maybe(t, "bounded") {
			a.ClassUnits = map[ChannelClass]int{ClassChat: 25}
		}
		shot.Agents = append(shot.Agents, a)
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "waiting") {
		w := chat(fmt.Sprintf("c-%d", i), rapid.IntRange(0, 40).Draw(t, "minutes"))
		w.Class = rapid.SampledFrom([]ChannelClass{ClassChat, ClassMail, ClassVoice}).Draw(t, "class")
		w.Priority = rapid.SampledFrom([]Priority{"", PriorityLow, PriorityHigh}).Draw(t, "priority")
		for _, name := range some(t, "required", names, 1) {
			w.Skills.Required = append(w.Skills.Required, Skill{Name: name})
		}
		for _, name := range some(t, "preferred", names, 1) {
			w.Skills.Preferred = append(w.Skills.Preferred, PreferredSkill{Name: name, DropAfter: document.Duration(20 * time.Minute)})
		}
		w.Declined = some(t, "declined", []string{"agent-0", "agent-1", "agent-2"}, 2)
		if maybe(t, "is sticky") {
			w.Agent, w.AgentUntil = "agent-0", base.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "until"))*time.Minute)
		}
		shot.Waiting = append(shot.Waiting, w)
	}
	return spec, shot
}

// after is the snapshot once the assignments are made.
func after(shot Snapshot, assignments []Assignment) Snapshot {
	out := Snapshot{Now: shot.Now, Agents: slices.Clone(shot.Agents)}
	for _, w := range shot.Waiting {
		if i := slices.IndexFunc(assignments, func(a Assignment) bool { return a.Conversation == w.ID }); i >= 0 {
			agent := slices.IndexFunc(out.Agents, func(a Agent) bool { return a.ID == assignments[i].Agent })
			a := &out.Agents[agent]
			used := map[ChannelClass]int{}
			for class, units := range a.Load {
				used[class] = units
			}
			used[w.Class] += assignments[i].Units
			a.Load = used
			a.Recent++
			continue
		}
		out.Waiting = append(out.Waiting, w)
	}
	return out
}

// None is lost, none given twice, nobody carries more than they can, and nobody who
// could be helped is left: not by any agent at the end, nor by the one who was
// given to somebody later in the order.
func TestChooseKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, shot := drawQueue(t)
		assignments, _ := Choose(spec, shot)
		given := map[string]bool{}
		for i, a := range assignments {
			require.False(t, given[a.Conversation], "given twice")
			given[a.Conversation] = true
			w := shot.Waiting[slices.IndexFunc(shot.Waiting, func(w Waiting) bool { return w.ID == a.Conversation })]
			// At the moment when it is given: the agent could have it …
			now := after(shot, assignments[:i])
			could := func(w Waiting) bool {
				return slices.Contains(candidates(spec, now, w), candidate{agent: a.Agent})
			}
			require.True(t, could(w), "%s cannot have %s", a.Agent, a.Conversation)
			// … and nobody before it in the order could, who still waits.
			for _, other := range now.Waiting {
				require.False(t, before(spec, other, w) && could(other), "%s overtakes %s", w.ID, other.ID)
			}
		}
		end := after(shot, assignments)
		require.Len(t, end.Waiting, len(shot.Waiting)-len(assignments), "lost")
		for _, agent := range end.Agents {
			used := 0
			for _, units := range agent.Load {
				used += units
			}
			grew := slices.ContainsFunc(assignments, func(a Assignment) bool { return a.Agent == agent.ID })
			require.False(t, grew && used > cmp.Or(agent.Units, DefaultUnits), "more than capacity")
		}
		rest, _ := Choose(spec, end)
		require.Empty(t, rest, "somebody could have been helped")
	})
}

func before(spec QueueSpec, a, b Waiting) bool {
	x, y := EffectivePriority(spec, a.Priority, time.Duration(a.Waited)), EffectivePriority(spec, b.Priority, time.Duration(b.Waited))
	return x > y || x == y && (a.Arrived.Before(b.Arrived) || a.Arrived.Equal(b.Arrived) && a.ID < b.ID)
}

// The order in which a database returns rows does not count.
func TestChooseDoesNotDependOnTheOrderOfTheSnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, shot := drawQueue(t)
		want, cursor := Choose(spec, shot)
		shuffled := Snapshot{Now: shot.Now, Cursor: shot.Cursor}
		if len(shot.Agents) > 0 {
			shuffled.Agents = rapid.Permutation(shot.Agents).Draw(t, "agents")
		}
		if len(shot.Waiting) > 0 {
			shuffled.Waiting = rapid.Permutation(shot.Waiting).Draw(t, "waiting")
		}
		got, again := Choose(spec, shuffled)
		require.Equal(t, want, got)
		require.Equal(t, cursor, again)
	})
}

// A full team: 1 000 agents, 1 000 conversations looked at, of which 500 fit.
func BenchmarkChoose1000x1000(b *testing.B) {
	shot := Snapshot{Now: base}
	for i := range 1000 {
		shot.Agents = append(shot.Agents, online(fmt.Sprintf("agent-%04d", i), load(75+i%2*25), skills("fr"), lastAssigned(time.Duration(i)*time.Second)))
		shot.Waiting = append(shot.Waiting, chat(fmt.Sprintf("c-%04d", i), i%60))
	}
	b.ReportAllocs()
	for b.Loop() {
		Choose(QueueSpec{Name: "q"}, shot)
	}
}

// candidate is an agent, and why they do not get a conversation; empty: they could.
type candidate struct {
	agent   string
	refusal whyNot
}

// candidates says it of every agent of a snapshot, in its order.
func candidates(spec QueueSpec, snapshot Snapshot, w Waiting) []candidate {
	snapshot.Waiting = []Waiting{w}
	c := newChooser(spec, snapshot)
	declined := w.Declined
	if c.exhausted(&w) {
		declined = nil
	}
	out := make([]candidate, len(c.agents))
	for i := range c.agents {
		out[i] = candidate{c.agents[i].ID, c.refusal(&w, i, c.cost(&w), declined)}
	}
	return out
}
