package store

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

const support = "shop/support"

// desk is a store with queues and agents, without its timers: tests turn them.
type desk struct {
	*Store
	t      testing.TB
	clock  *clock
	others []document.Entry
}

func testDesk(t testing.TB, specs ...routing.QueueSpec) *desk {
	t.Helper()
	c := &clock{now: testTime}
	d := &desk{Store: openTestStore(t, Options{Dir: t.TempDir(), Now: c.Now}), t: t, clock: c}
	d.load(specs...)
	return d
}

func (d *desk) load(specs ...routing.QueueSpec) {
	d.t.Helper()
	entries := append(testEntries(d.t), d.others...)
	for _, spec := range specs {
		entries = append(entries, entry(d.t, document.EntryAgentQueue, spec.Name, spec))
	}
	require.Empty(d.t, d.Load(context.Background(), testDocument(d.t, entries...)))
}

// turn does what the loop does: what is due, then all queues, until nothing changes.
func (d *desk) turn() {
	d.t.Helper()
	for range 10 {
		require.NoError(d.t, d.sweepQueues(context.Background()))
		stirred, sweep := d.queues.take()
		if len(stirred) == 0 && !sweep {
			return
		}
		require.NoError(d.t, d.drainQueues(context.Background(), stirred))
	}
}

// pass lets time pass, with the heartbeats of whoever is there.
func (d *desk) pass(by time.Duration) {
	d.t.Helper()
	for by > 0 {
		step := min(by, HeartbeatEvery)
		d.clock.advance(step)
		by -= step
		list, err := d.Agents(context.Background(), everything, "", PageQuery{Limit: 200})
		require.NoError(d.t, err)
		for _, a := range list.Items {
			if a.State != "offline" {
				d.beat(a.ID, "")
			}
		}
		d.turn()
	}
}

func (d *desk) beat(agent, state string) Agent {
	d.t.Helper()
	a, err := d.Heartbeat(context.Background(), everything, agent, state)
	require.NoError(d.t, err)
	return a
}

// agent makes an agent who is online.
func (d *desk) agent(name string, change ...func(*AgentSpec)) string {
	d.t.Helper()
	spec := AgentSpec{Namespace: "shop", Name: name}
	for _, f := range change {
		f(&spec)
	}
	a, err := d.CreateAgent(context.Background(), everything, spec)
	require.NoError(d.t, err)
	d.beat(a.ID, "online")
	return a.ID
}

// arrives is a new conversation that waits in a queue.
func (d *desk) arrives(contact, queue string, change ...func(*waiting)) string {
	d.t.Helper()
	id := getMessage(d.t, d.Store, stored(d.t, d.Store, telegram, textFrom(contact, "m-"+contact, "help"))).Conversation
	w := waiting{Queue: queue, Cause: ownerCause{why: CauseRouted}}
	for _, f := range change {
		f(&w)
	}
	d.enqueues(id, w)
	return id
}

func (d *desk) enqueues(id string, w waiting) {
	d.t.Helper()
	require.NoError(d.t, d.write(context.Background(), 1, func(t *txn) error {
		v, err := d.lockConversation(t, everything, id)
		if err != nil {
			return err
		}
		return t.enqueue(&v, w)
	}))
}

func (d *desk) offers(agent string) []AgentOffer {
	d.t.Helper()
	list, err := d.Offers(context.Background(), everything, agent, 0)
	require.NoError(d.t, err)
	return list
}

func (d *desk) owner(id string) Owner {
	d.t.Helper()
	return getConversation(d.t, d.Store, id).Owner
}

func (d *desk) queue(name string) Queue {
	d.t.Helper()
	q, err := d.Queue(context.Background(), everything, name)
	require.NoError(d.t, err)
	return q
}

func assigning(name string) routing.QueueSpec {
	return routing.QueueSpec{Name: name, Offer: routing.Offer{Mode: routing.OfferAssign}}
}

func TestOfferAcceptDeclineExpire(t *testing.T) {
	d := testDesk(t, routing.QueueSpec{Name: support, Offer: routing.Offer{Timeout: document.Duration(30 * time.Second)}, OnOffline: routing.OnOffline{Action: routing.OfflineKeep}})
	first, second := d.arrives("c1", support), d.arrives("c2", support)
	require.Equal(t, Queue{Name: support, InForce: true, Open: true, Depth: 2}, d.queue(support))
	d.turn()
	ana := d.agent("ana", func(a *AgentSpec) { a.Units = 25 })
	d.turn()
	offers := d.offers(ana)
	require.Len(t, offers, 1)
	require.Equal(t, first, offers[0].Conversation)
	require.Equal(t, Owner{Kind: OwnerQueue, Name: support}, d.owner(first), "an offer is no owner")
	require.Equal(t, Queue{Name: support, InForce: true, Open: true, Depth: 2, Offered: 1, Agents: 1, Online: 1}, d.queue(support))

	v, err := d.AcceptOffer(t.Context(), everything, offers[0].ID)
	require.NoError(t, err)
	require.Equal(t, Owner{Kind: OwnerAgent, Name: ana}, v.Owner)
	_, err = d.AcceptOffer(t.Context(), everything, offers[0].ID)
	require.ErrorIs(t, err, ErrConflict, "once")
	d.turn()
	require.Empty(t, d.offers(ana), "she carries all that she can")

	bo := d.agent("bo")
	d.turn()
	offers = d.offers(bo)
	require.Len(t, offers, 1)
	require.Equal(t, second, offers[0].Conversation)
	cleo := d.agent("cleo")
	_, err = d.DeclineOffer(t.Context(), everything, offers[0].ID)
	require.NoError(t, err)
	d.turn()
	require.Empty(t, d.offers(bo), "who declined is not asked again while others are there")
	require.Len(t, d.offers(cleo), 1)
	d.beat(ana, "offline") // who might still want it
	d.pass(30 * time.Second)
	again := append(d.offers(bo), d.offers(cleo)...)
	require.Len(t, again, 1, "all have declined: they are asked again")
	require.Equal(t, d.clock.Now(), again[0].MadeAt)
	_, err = d.Resolve(t.Context(), everything, second)
	require.NoError(t, err)
	require.Empty(t, d.offers(bo))
	require.Zero(t, d.queue(support).Depth)
	d.checkCounters()
}

func TestMissedOffersMakeAway(t *testing.T) {
	d := testDesk(t, routing.QueueSpec{Name: support})
	ana := d.agent("ana")
	d.arrives("c1", support)
	d.turn()
	d.pass(routing.DefaultOfferTimeout)
	require.Len(t, d.offers(ana), 1, "one may be bad luck")
	d.pass(routing.DefaultOfferTimeout)
	require.Empty(t, d.offers(ana))
	a, err := d.Agent(t.Context(), everything, ana)
	require.NoError(t, err)
	require.Equal(t, "away", a.State)
	require.Equal(t, "away", d.beat(ana, "").State, "the desk's heartbeats bring nobody back")
	require.Equal(t, "online", d.beat(ana, "online").State)
	d.turn()
	require.Len(t, d.offers(ana), 1)
	d.checkCounters()
}

func TestAssignedByLoadOldestFirst(t *testing.T) {
	d := testDesk(t, assigning(support))
	var ids []string
	for i := range 9 {
		ids = append(ids, d.arrives(numbered("c", i), support))
		d.clock.advance(time.Second)
	}
	ana, bo := d.agent("ana"), d.agent("bo")
	d.turn()
	had := map[string]int{}
	for _, id := range ids[:8] {
		had[d.owner(id).Name]++
	}
	require.Equal(t, map[string]int{ana: 4, bo: 4}, had, "100 units are four chats")
	require.Equal(t, OwnerQueue, d.owner(ids[8]).Kind)
	_, err := d.Resolve(t.Context(), everything, ids[3])
	require.NoError(t, err)
	d.turn()
	require.Equal(t, OwnerAgent, d.owner(ids[8]).Kind, "who solves one has room for the next")

	changes, err := d.OwnerChanges(t.Context(), everything, ids[8], PageQuery{})
	require.NoError(t, err)
	require.Len(t, changes.Items, 2)
	require.Equal(t, CauseRouted, changes.Items[0].Cause)
	require.Equal(t, OwnerChange{At: d.clock.Now(), Epoch: 3, From: Owner{Kind: OwnerQueue, Name: support}, To: d.owner(ids[8]), Cause: CauseGiven}, changes.Items[1])
	d.checkCounters()
}

// The beginning of the order is read, not all that waits.
func TestTheOldestOfMany(t *testing.T) {
	d := testDesk(t, assigning(support))
	var ids []string
	for i := range 3*drainBatch + 1 {
		ids = append(ids, d.arrives(numbered("c", i), support))
		d.clock.advance(time.Second)
	}
	d.agent("ana", func(a *AgentSpec) { a.Units = 50 })
	d.turn()
	for i, id := range ids {
		require.Equal(t, i < 2, d.owner(id).Kind == OwnerAgent, "%d", i)
	}
	d.agent("bo", func(a *AgentSpec) { a.Units = 2 * drainBatch * 25 })
	d.turn()
	for i, id := range ids {
		require.Equal(t, i < 2+2*drainBatch, d.owner(id).Kind == OwnerAgent, "%d", i)
	}
	d.checkCounters()
}

func TestSkillsReservationsAndPriorities(t *testing.T) {
	d := testDesk(t, assigning(support))
	french := routing.Skills{Required: []routing.Skill{{Name: "lang/fr", MinLevel: 3}}}
	for i := range 40 { // more than a batch that only a French speaker can have
		d.arrives(numbered("fr", i), support, func(w *waiting) { w.Skills = french })
	}
	reserved := d.arrives("r", support, func(w *waiting) { w.Agent, w.AgentUntil = "nobody", d.clock.Now().Add(time.Minute) })
	low := d.arrives("low", support, func(w *waiting) { w.Priority = routing.PriorityLow })
	urgent := d.arrives("urgent", support, func(w *waiting) { w.Priority = routing.PriorityUrgent })
	ana := d.agent("ana", func(a *AgentSpec) { a.Units = 50 })
	d.turn()
	require.Equal(t, Owner{Kind: OwnerAgent, Name: ana}, d.owner(urgent), "before those who have waited longer")
	require.Equal(t, Owner{Kind: OwnerAgent, Name: ana}, d.owner(reserved), "for somebody who is not there is for nobody")
	require.Equal(t, OwnerQueue, d.owner(low).Kind)
	fabi := d.agent("fabi", func(a *AgentSpec) { a.Units, a.Skills = 75, map[string]int{"lang/fr": 5} })
	d.turn()
	var n int
	_, err := one(t.Context(), d.read, []any{&n}, `SELECT COUNT(*) FROM queue_entries WHERE agent = ? AND need <> 'chat'`, fabi)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	d.checkCounters()
}

// checkCounters compares what is kept with what there is.
func (d *desk) checkCounters() {
	d.t.Helper()
	ctx := context.Background()
	for name, query := range map[string]string{
		"depth":     `SELECT queue, depth, (SELECT COUNT(*) FROM queue_entries e WHERE e.queue = q.queue AND e.state IN ('waiting', 'offered')) FROM queues q`,
		"online":    `SELECT queue, online, (SELECT COUNT(*) FROM queue_members m JOIN presence p ON p.agent = m.agent WHERE m.queue = q.queue AND p.state = 'online') FROM queues q`,
		"available": `SELECT queue, available, (SELECT COUNT(*) FROM queue_members m JOIN presence p ON p.agent = m.agent WHERE m.queue = q.queue AND p.state = 'online' AND p.load_voice + p.load_chat + p.load_mail < p.units) FROM queues q`,
		"load":      `SELECT agent, load_voice + load_chat + load_mail, (SELECT COALESCE(SUM(e.units), 0) FROM queue_entries e WHERE e.agent = p.agent AND e.state IN ('assigned', 'offered')) FROM presence p`,
		"offers":    `SELECT 'offers', (SELECT COUNT(*) FROM offers), (SELECT COUNT(*) FROM queue_entries WHERE state = 'offered')`,
	} {
		type row struct {
			what          string
			kept, counted int64
		}
		list, err := all(ctx, d.read, func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.what, &r.kept, &r.counted) }, query)
		require.NoError(d.t, err)
		for _, r := range list {
			require.Equal(d.t, r.counted, r.kept, "%s of %s", name, r.what)
		}
	}
}
