package routing

import (
	"cmp"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Presence is whether an agent can be given something.
type Presence string

const (
	PresenceOnline  Presence = "Online"
	PresenceAway    Presence = "Away" // there, but not taking: by choice, or after missed offers
	PresenceOffline Presence = "Offline"
)

// Agent is an agent of a queue, as a snapshot shows them.
type Agent struct {
	ID       string         `json:"id"` // unique in a snapshot
	Presence Presence       `json:"presence"`
	Skills   map[string]int `json:"skills,omitempty"` // level by name
	// Units the agent can carry in all. Zero: the queue's.
	Units int `json:"units,omitempty"`
	// ClassUnits bound single classes within Units; a class without an entry is
	// bounded by Units alone.
	ClassUnits map[ChannelClass]int `json:"classUnits,omitempty"`
	// Load are the units in use by class: open conversations and open offers, of all
	// queues (see Capacity.Cost).
	Load map[ChannelClass]int `json:"load,omitempty"`
	// LastAssignedAt is when the agent was last given something; zero: never.
	LastAssignedAt time.Time `json:"lastAssignedAt,omitzero"`
	// Recent is how many the agent was given within Capacity.MaxNew.Window.
	Recent int `json:"recent,omitempty"`
}

// Waiting is a conversation in a queue.
type Waiting struct {
	ID    string       `json:"id"` // unique in a snapshot
	Class ChannelClass `json:"class"`
	// Arrived is when it first came: an offer declined, a step or an agent lost do not
	// make it younger.
	Arrived time.Time `json:"arrived"`
	// Waited is for how long, on the queue's clock: its ageing.
	Waited   document.Duration `json:"waited"`
	Priority Priority          `json:"priority,omitempty"` // empty: Normal
	// StepEntered is when its step began: what PreferredSkill.DropAfter counts from.
	StepEntered time.Time `json:"stepEntered"`
	Skills      Skills    `json:"skills,omitzero"`
	// Agent it is reserved for until AgentUntil (a sticky step), zero: without end; while
	// they are online, and able to have it.
	Agent      string    `json:"agent,omitempty"`
	AgentUntil time.Time `json:"agentUntil,omitzero"`
	// Declined are the agents who declined it or let its offer expire.
	Declined []string `json:"declined,omitempty"`
}

// Snapshot is a queue at one moment.
type Snapshot struct {
	Now     time.Time `json:"now"`
	Agents  []Agent   `json:"agents"`
	Waiting []Waiting `json:"waiting"`
	// Cursor is the agent who was last given something, for RoundRobin.
	Cursor string `json:"cursor,omitempty"`
}

// Assignment gives a conversation to an agent.
type Assignment struct {
	Conversation string `json:"conversation"`
	Agent        string `json:"agent"`
	Units        int    `json:"units"`
	// OfferUntil is when the offer expires; zero: there is none, it is theirs.
	OfferUntil time.Time `json:"offerUntil,omitzero"`
}

// Choose gives waiting conversations to agents, as many as can be: in order of
// effective priority, then age, then id; to each the best agent by the strategy.
// It is a pure function. Nobody gets more than their capacity, no conversation is
// given twice, and no agent gets a conversation while one before it in the order,
// which they could have, stays without. It returns the assignments in order and the
// cursor for the next snapshot; it changes neither the spec nor the snapshot.
//
// Cost: conversations × agents with room, until nobody has room.
func Choose(spec QueueSpec, snapshot Snapshot) ([]Assignment, string) {
	c := newChooser(spec, snapshot)
	var assignments []Assignment
	for _, i := range c.order() {
		if len(c.free) == 0 {
			break
		}
		w := &snapshot.Waiting[i]
		if agent := c.best(w); agent >= 0 {
			assignments = append(assignments, c.assign(w, agent))
		}
	}
	return assignments, c.cursor
}

// agentState is an agent while conversations are given out.
type agentState struct {
	*Agent
	units  int // in all
	used   int
	class  map[ChannelClass]int // used, once something was given out
	last   time.Time
	recent int
}

type chooser struct {
	spec   QueueSpec
	now    time.Time
	cursor string
	shot   Snapshot
	agents []agentState
	free   []int // indices of agents who may have room
	least  int   // units of the cheapest conversation
}

func newChooser(spec QueueSpec, snapshot Snapshot) *chooser {
	c := &chooser{spec: spec, now: snapshot.Now, cursor: snapshot.Cursor, shot: snapshot, agents: make([]agentState, len(snapshot.Agents))}
	for i := range snapshot.Waiting {
		if cost := c.cost(&snapshot.Waiting[i]); i == 0 || cost < c.least {
			c.least = cost
		}
	}
	for i := range snapshot.Agents {
		a := &snapshot.Agents[i]
		state := agentState{Agent: a, units: cmp.Or(a.Units, spec.Capacity.Units, DefaultUnits), last: a.LastAssignedAt, recent: a.Recent}
		for _, units := range a.Load {
			state.used += units
		}
		c.agents[i] = state
		if c.mayTake(i) {
			c.free = append(c.free, i)
		}
	}
	return c
}

func (c *chooser) cost(w *Waiting) int { return c.spec.Capacity.Cost(w.Class, 0) }

// mayTake: the agent is there and could carry the cheapest conversation.
func (c *chooser) mayTake(i int) bool {
	a := &c.agents[i]
	limit := c.spec.Capacity.MaxNew.Count
	return a.Presence == PresenceOnline && a.used+c.least <= a.units && (limit == 0 || a.recent < limit)
}

// order is the queue's order: indices of Waiting.
func (c *chooser) order() []int {
	type key struct {
		index    int
		priority int64
	}
	keys := make([]key, len(c.shot.Waiting))
	for i := range keys {
		keys[i] = key{i, EffectivePriority(c.spec, c.shot.Waiting[i].Priority, time.Duration(c.shot.Waiting[i].Waited))}
	}
	slices.SortFunc(keys, func(a, b key) int {
		x, y := &c.shot.Waiting[a.index], &c.shot.Waiting[b.index]
		return cmp.Or(cmp.Compare(b.priority, a.priority), x.Arrived.Compare(y.Arrived), cmp.Compare(x.ID, y.ID))
	})
	order := make([]int, len(keys))
	for i, k := range keys {
		order[i] = k.index
	}
	return order
}

// EffectivePriority is what a queue orders by: the points of the priority, and
// those of every full minute waited.
func EffectivePriority(spec QueueSpec, priority Priority, waited time.Duration) int64 {
	boost := int64(DefaultBoost)
	if spec.PriorityBoostPerMinute != nil {
		boost = int64(*spec.PriorityBoostPerMinute)
	}
	return points[orDefault(priority, PriorityNormal)] + boost*int64(waited/time.Minute)
}

// best is the agent for a conversation, -1 for nobody.
func (c *chooser) best(w *Waiting) int {
	declined := w.Declined
	if len(declined) > 0 && c.exhausted(w) {
		declined = nil
	}
	best, bestPreferred, cost := -1, 0, c.cost(w)
	for _, i := range c.free {
		if c.refusal(w, i, cost, declined) != "" {
			continue
		}
		preferred := c.preferred(w, i)
		if best < 0 || preferred > bestPreferred || preferred == bestPreferred && c.before(w, i, best) {
			best, bestPreferred = i, preferred
		}
	}
	return best
}

// exhausted reports whether everybody who is there, has the skills, and could carry
// it if they had nothing else, has declined: then they are asked again, rather than
// nobody.
func (c *chooser) exhausted(w *Waiting) bool {
	for i := range c.agents {
		if c.able(w, i) && !slices.Contains(w.Declined, c.agents[i].ID) {
			return false
		}
	}
	return true
}

// able: the agent is there, has the skills, and could carry it with nothing else to do.
func (c *chooser) able(w *Waiting, i int) bool {
	a, cost := &c.agents[i], c.cost(w)
	limit, bounded := a.ClassUnits[w.Class]
	return a.Presence == PresenceOnline && cost <= a.units && (!bounded || cost <= limit) && c.skilled(w, i)
}

// whyNot is why an agent does not get a conversation.
type whyNot string

const (
	refusalNotOnline whyNot = "not online"
	refusalReserved  whyNot = "reserved for another agent"
	refusalDeclined  whyNot = "declined it"
	refusalSkills    whyNot = "does not have the skills"
	refusalCapacity  whyNot = "has no capacity left"
	refusalMaxNew    whyNot = "was given as many as maxNew allows"
)

func (c *chooser) refusal(w *Waiting, i, cost int, declined []string) whyNot {
	a := &c.agents[i]
	limit := c.spec.Capacity.MaxNew.Count
	switch {
	case a.Presence != PresenceOnline:
		return refusalNotOnline
	case a.used+cost > a.units || c.classFull(a, w.Class, cost):
		return refusalCapacity
	case limit > 0 && a.recent >= limit:
		return refusalMaxNew
	case w.Agent != "" && w.Agent != a.ID && c.reserved(w):
		return refusalReserved
	case slices.Contains(declined, a.ID):
		return refusalDeclined
	case !c.skilled(w, i):
		return refusalSkills
	}
	return ""
}

func (c *chooser) classFull(a *agentState, class ChannelClass, cost int) bool {
	limit, bounded := a.ClassUnits[class]
	return bounded && a.Load[class]+a.class[class]+cost > limit
}

// reserved: the agent it waits for is there, can have it (else colleagues would stand
// idle beside it), and has not declined, and its time is not over.
func (c *chooser) reserved(w *Waiting) bool {
	if !w.AgentUntil.IsZero() && !c.now.Before(w.AgentUntil) || slices.Contains(w.Declined, w.Agent) {
		return false
	}
	i := slices.IndexFunc(c.agents, func(a agentState) bool { return a.ID == w.Agent })
	return i >= 0 && c.able(w, i)
}

func (c *chooser) skilled(w *Waiting, i int) bool {
	have := c.agents[i].Skills
	for _, s := range w.Skills.Required {
		if !hasSkill(have, s.Name, s.MinLevel) {
			return false
		}
	}
	for _, s := range w.Skills.Preferred {
		if c.now.Sub(w.StepEntered) < time.Duration(s.DropAfter) && !hasSkill(have, s.Name, s.MinLevel) {
			return false
		}
	}
	return true
}

func (c *chooser) preferred(w *Waiting, i int) int {
	n := 0
	for _, s := range w.Skills.Preferred {
		if hasSkill(c.agents[i].Skills, s.Name, s.MinLevel) {
			n++
		}
	}
	return n
}

// before orders two agents by the strategy. What it leaves equal is decided by a
// hash of agent and conversation, so that no name is always first, and then by id.
func (c *chooser) before(w *Waiting, i, j int) bool {
	a, b := &c.agents[i], &c.agents[j]
	// used/units compared without division; units are positive, or there is no room.
	load := cmp.Compare(int64(a.used)*int64(b.units), int64(b.used)*int64(a.units))
	idle := a.last.Compare(b.last)
	var order int
	switch orDefault(c.spec.Strategy, LeastLoaded) {
	case LongestIdle:
		order = cmp.Or(idle, load)
	case RoundRobin:
		order = cmp.Or(compareBool(a.ID <= c.cursor, b.ID <= c.cursor), cmp.Compare(a.ID, b.ID))
	default:
		order = cmp.Or(load, idle)
	}
	if order == 0 {
		order = cmp.Or(cmp.Compare(Slot("queue", c.spec.Name, a.ID, w.ID), Slot("queue", c.spec.Name, b.ID, w.ID)), cmp.Compare(a.ID, b.ID))
	}
	return order < 0
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (c *chooser) assign(w *Waiting, i int) Assignment {
	a := &c.agents[i]
	cost := c.cost(w)
	a.used += cost
	a.recent++
	a.last = c.now
	if a.class == nil {
		a.class = map[ChannelClass]int{}
	}
	a.class[w.Class] += cost
	c.cursor = a.ID
	if !c.mayTake(i) {
		c.free = slices.DeleteFunc(c.free, func(j int) bool { return j == i })
	}
	return Assignment{Conversation: w.ID, Agent: a.ID, Units: cost, OfferUntil: c.spec.Offer.Until(c.now)}
}
