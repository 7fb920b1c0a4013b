package store

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// entryState is where a conversation is on its way to an agent.
type entryState string

const (
	entryWaiting  entryState = "waiting"
	entryOffered  entryState = "offered"  // to one agent, and waits still
	entryAssigned entryState = "assigned" // an agent has it
	entryLeft     entryState = "left"     // solved, snoozed, or somebody else has it; should it come back, its queue is known
)

// waiting is what a queue is told about a conversation.
type waiting struct {
	Queue    string // "namespace/name"
	Priority routing.Priority
	Skills   routing.Skills
	// Agent it is reserved for, until AgentUntil (zero: without end), as long as
	// they are online.
	Agent      string
	AgentUntil time.Time
	// Hold: it waits even where the queue is full.
	Hold  bool
	Cause ownerCause
}

// entryRow is a row of queue_entries.
type entryRow struct {
	conversation  string
	queue         string
	state         entryState
	class         routing.ChannelClass
	priority      int
	need          string
	reserved      string
	reservedUntil int64
	declined      string
	waitingSince  int64
	enteredAt     int64
	stepAt        int64
	hold          int64
	dueAt         int64
	agent         string
	units         int64
	idle          int64
	assignedAt    int64
}

const entryColumns = `conversation, queue, state, class, priority, need, reserved, reserved_until, declined, waiting_since, entered_at, step_at, hold, due_at, agent, units, idle, assigned_at`

func scanEntry(rows *sql.Rows) (entryRow, error) { return readEntry(rows.Scan) }

func readEntry(scan func(...any) error) (e entryRow, err error) {
	return e, scan(&e.conversation, &e.queue, &e.state, &e.class, &e.priority, &e.need, &e.reserved, &e.reservedUntil, &e.declined,
		&e.waitingSince, &e.enteredAt, &e.stepAt, &e.hold, &e.dueAt, &e.agent, &e.units, &e.idle, &e.assignedAt)
}

// priorities in the order of their ranks.
var priorities = []routing.Priority{routing.PriorityLow, routing.PriorityNormal, routing.PriorityHigh, routing.PriorityUrgent}

const priorityCount = 4

func rankOf(p routing.Priority) int {
	return max(slices.Index(priorities, cmp.Or(p, routing.PriorityNormal)), 0)
}

// needOf is what a conversation needs of an agent, as text: its class, and the
// skills in JSON where there are some.
func needOf(class routing.ChannelClass, skills routing.Skills) (string, error) {
	if len(skills.Required) == 0 && len(skills.Preferred) == 0 {
		return string(class), nil
	}
	raw, err := json.Marshal(skills)
	return string(class) + " " + string(raw), err
}

// skillsOf reads what needOf wrote.
func skillsOf(need string) (skills routing.Skills) {
	if _, raw, ok := strings.Cut(need, " "); ok {
		_ = json.Unmarshal([]byte(raw), &skills) // our own
	}
	return skills
}

// decliners are the agents who declined.
func (e *entryRow) decliners() (list []string) {
	if e.declined != "" {
		_ = json.Unmarshal([]byte(e.declined), &list) // our own
	}
	return list
}

func (e *entryRow) decline(agent string) error {
	list := e.decliners()
	if slices.Contains(list, agent) {
		return nil
	}
	raw, err := json.Marshal(append(list, agent))
	e.declined = string(raw)
	return err
}

// entry reads the row of a conversation, whose own row must be locked; nil when
// there is none.
func (t *txn) entry(conversation string) (*entryRow, error) {
	list, err := all(t.ctx, t, scanEntry, `SELECT `+entryColumns+` FROM queue_entries WHERE conversation = ?`, conversation)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// saveEntries writes whole rows.
var saveEntries = bulkInsert("queue_entries", `ON CONFLICT (conversation) DO UPDATE SET queue = excluded.queue, state = excluded.state, class = excluded.class,
	priority = excluded.priority, need = excluded.need, reserved = excluded.reserved, reserved_until = excluded.reserved_until, declined = excluded.declined,
	waiting_since = excluded.waiting_since, entered_at = excluded.entered_at, step_at = excluded.step_at, hold = excluded.hold, due_at = excluded.due_at,
	agent = excluded.agent, units = excluded.units, idle = excluded.idle, assigned_at = excluded.assigned_at`,
	"conversation text", "queue text", "state text", "class text", "priority bigint", "need text", "reserved text", "reserved_until bigint", "declined text",
	"waiting_since bigint", "entered_at bigint", "step_at bigint", "hold bigint", "due_at bigint", "agent text", "units bigint", "idle bigint", "assigned_at bigint")

func (t *txn) saveEntry(e *entryRow) error {
	return t.row(saveEntries, e.conversation,
		e.conversation, e.queue, string(e.state), string(e.class), int64(e.priority), e.need, e.reserved, e.reservedUntil, e.declined,
		e.waitingSince, e.enteredAt, e.stepAt, e.hold, e.dueAt, e.agent, e.units, e.idle, e.assignedAt)
}

// enqueue lets a conversation wait in a queue, whose conversation it becomes. v
// is as transfer wants it. One that has waited before keeps its age. A queue that
// is full takes it all the same, and the sweep sends it on (StepFailed), unless it
// is to hold.
func (t *txn) enqueue(v *convRow, w waiting) error {
	to := Owner{Kind: OwnerQueue, Name: w.Queue}
	var e *entryRow
	if !v.fresh {
		var err error
		if e, err = t.entry(v.id); err != nil {
			return err
		}
	}
	if v.owner != to {
		return t.move(v, to, w.Cause, e, &w)
	}
	return t.moveEntry(v, e, &w)
}

// dequeue ends what waits, or what an agent carries, of a conversation: it is
// solved. Its owner stays, and so does which queue it was of, for the case that it
// is opened again.
func (t *txn) dequeue(conversation string) error {
	e, err := t.entry(conversation)
	if err != nil || e == nil {
		return err
	}
	if err := t.unload(e); err != nil {
		return err
	}
	return t.saveEntry(e)
}

// forgetEntry is for a conversation that is removed.
func (t *txn) forgetEntry(conversation string) error {
	e, err := t.entry(conversation)
	if err != nil || e == nil {
		return err
	}
	if err := t.unload(e); err != nil {
		return err
	}
	return t.later(`DELETE FROM queue_entries WHERE conversation = ?`, conversation)
}

// resume is for a conversation that was solved and is open again: its owner, who
// stayed, has it again. An agent who was removed meanwhile does not: it waits in
// the queue that they had it from, or is nobody's. Neither does a Bot that was.
func (t *txn) resume(v *convRow) error {
	switch v.owner.Kind {
	case OwnerNone:
		return nil
	case OwnerBot:
		if _, ok := t.c.queues.state().routes.bots[v.owner.Name]; ok {
			return nil // it waits for the contact
		}
		return t.botTakesOver(v)
	}
	e, err := t.entry(v.id)
	if err != nil {
		return err
	}
	if e != nil { // it is another matter: its age begins anew
		e.waitingSince, e.enteredAt, e.stepAt = ms(t.now), ms(t.now), ms(t.now)
	}
	if v.owner.Kind == OwnerQueue {
		return errors.Join(t.moveEntry(v, e, nil), t.stepAgain(v, ""))
	}
	var agent string
	switch there, err := one(t.ctx, t, []any{&agent}, `SELECT id FROM agents WHERE id = ?`, v.owner.Name); {
	case err != nil:
		return err
	case there:
	case e != nil && e.queue != "":
		return t.move(v, Owner{Kind: OwnerQueue, Name: e.queue}, ownerCause{why: CauseRemoved}, e, nil)
	case isAgentID(v.owner.Name):
		return t.move(v, Owner{Kind: OwnerNone}, ownerCause{why: CauseRemoved}, e, nil)
	}
	return t.moveEntry(v, e, nil)
}

// awake is for a conversation that was snoozed and is open again: it waits again in the
// queue that has it, as old as it is.
func (t *txn) awake(v *convRow) error {
	if v.owner.Kind != OwnerQueue {
		return nil
	}
	e, err := t.entry(v.id)
	if err != nil || e != nil && e.state != entryLeft {
		return err
	}
	if e != nil {
		e.enteredAt, e.stepAt = ms(t.now), ms(t.now)
	}
	return errors.Join(t.moveEntry(v, e, nil), t.stepAgain(v, ""))
}

// unload takes an entry out of the counters of where it is.
func (t *txn) unload(e *entryRow) error {
	switch e.state {
	case entryWaiting:
		t.note(tallyEntry{queue: e.queue, depth: -1})
	case entryOffered:
		t.note(tallyEntry{queue: e.queue, depth: -1})
		if err := t.withdraw(e); err != nil {
			return err
		}
	case entryAssigned:
		t.noteLoad(e.agent, e.class, -e.units)
	}
	e.state, e.units, e.idle, e.dueAt = entryLeft, 0, 0, 0
	return nil
}

// withdraw ends the offer of an entry, if there is one.
func (t *txn) withdraw(e *entryRow) error {
	n, err := t.exec(`DELETE FROM offers WHERE conversation = ?`, e.conversation)
	if err != nil || n == 0 {
		return err
	}
	t.noteLoad(e.agent, e.class, -e.units)
	t.wake(topicOffers)
	return nil
}

// moveEntry brings a conversation's entry (nil: there is none) in line with its
// owner.
func (t *txn) moveEntry(v *convRow, e *entryRow, w *waiting) (err error) {
	carried := v.owner.Kind == OwnerAgent || v.owner.Kind == OwnerQueue
	switch {
	case e == nil && (!carried || v.state == ConversationSolved):
		return nil
	case e == nil:
		now := ms(t.now)
		e = &entryRow{conversation: v.id, state: entryLeft, priority: rankOf(""), waitingSince: now, enteredAt: now, stepAt: now}
	default:
		if err := t.unload(e); err != nil {
			return err
		}
	}
	if v.owner.Kind == OwnerNone {
		return t.later(`DELETE FROM queue_entries WHERE conversation = ?`, v.id)
	}
	if v.state == ConversationSolved {
		return t.saveEntry(e)
	}
	st := t.c.queues.state()
	e.class = st.classOf(v.channel)
	switch v.owner.Kind {
	case OwnerQueue:
		if v.state == ConversationSnoozed { // it waits once it is awake
			err = e.enter(v.owner.Name, w, ms(t.now))
		} else {
			err = t.letWait(st, e, v.owner.Name, w)
		}
	case OwnerAgent:
		t.load(st, e, v)
	}
	if err != nil {
		return err
	}
	return t.saveEntry(e)
}

// enter makes a queue an entry's.
func (e *entryRow) enter(queue string, w *waiting, now int64) (err error) {
	if e.queue != queue {
		e.queue, e.declined, e.reserved, e.reservedUntil, e.hold = queue, "", "", 0, 0
		e.enteredAt, e.stepAt = now, now
	}
	if e.assignedAt > 0 { // somebody had it meanwhile: how long it may wait here begins anew
		e.enteredAt, e.stepAt, e.assignedAt = now, now, 0
	}
	if w != nil {
		return e.told(w, now)
	}
	e.need, err = needOf(e.class, skillsOf(e.need))
	return err
}

// letWait puts an entry into a queue.
func (t *txn) letWait(st *state, e *entryRow, queue string, w *waiting) error {
	now := ms(t.now)
	if err := e.enter(queue, w, now); err != nil {
		return err
	}
	e.state = entryWaiting
	q, tally := st.queues[queue], tallyEntry{queue: queue, depth: 1}
	if q != nil && e.hold == 0 && q.Limits.MaxDepth > 0 {
		depth, err := t.depthOf(queue)
		if err != nil {
			return err
		}
		switch {
		case q.Limits.Full(depth):
			e.dueAt = fullDue
		case q.Limits.OnFull != routing.OnFullHold && t.c.db.shared:
			tally.brought, tally.limit = e.conversation, q.Limits.MaxDepth
		}
	}
	t.note(tally)
	if e.dueAt == 0 {
		e.dueAt = st.nextDue(q, e, now)
	}
	if e.dueAt == fullDue || q == nil {
		t.c.queues.sweepAfter(t)
	}
	t.stir(queue)
	return nil
}

// told takes over what the queue is told about a conversation.
func (e *entryRow) told(w *waiting, now int64) (err error) {
	e.enteredAt, e.stepAt = now, now
	e.reserved, e.reservedUntil, e.hold = w.Agent, ms(w.AgentUntil), boolInt(w.Hold)
	if w.Priority != "" {
		e.priority = rankOf(w.Priority)
	}
	e.need, err = needOf(e.class, w.Skills)
	return err
}

// load gives an entry to the agent who owns its conversation.
func (t *txn) load(st *state, e *entryRow, v *convRow) {
	now := ms(t.now)
	e.state, e.agent, e.assignedAt, e.idle = entryAssigned, v.owner.Name, now, 0
	e.declined, e.reserved, e.reservedUntil = "", "", 0
	if e.need == "" {
		e.need = string(e.class)
	}
	var capacity routing.Capacity
	if q := st.queues[e.queue]; q != nil {
		capacity = q.Capacity
	}
	e.units = int64(capacity.Cost(e.class, 0))
	e.dueAt = 0
	if capacity.IdleAfter > 0 {
		e.dueAt = max(v.lastInboundAt, now) + ceilMS(time.Duration(capacity.IdleAfter))
	}
	t.noteLoad(e.agent, e.class, e.units)
	t.note(tallyEntry{agent: e.agent, given: true, answered: true})
}

// fullDue marks an entry that came into a full queue: it is due at once.
const fullDue = 1

// nextDue is when to look at something that waits: its reservation is over, a
// preferred skill is not asked for any more, it has waited too long. 0: not by
// time. In a queue that is not in force it is looked at once, also what was held
// there (see sweepWaiting).
func (st *state) nextDue(q *agentQueue, e *entryRow, now int64) (due int64) {
	if q == nil {
		return now
	}
	sooner := func(at int64) {
		if at > now && (due == 0 || at < due) {
			due = at
		}
	}
	if e.reserved != "" {
		sooner(e.reservedUntil)
	}
	for _, s := range skillsOf(e.need).Preferred {
		if s.DropAfter > 0 {
			sooner(e.stepAt + ceilMS(time.Duration(s.DropAfter)))
		}
	}
	if e.hold == 0 {
		if at := st.overdueAt(q, e.enteredAt); at > 0 && at <= now {
			return now
		} else if at > 0 {
			sooner(at)
		}
	}
	return due
}

// depthOf is how many wait in a queue, those that this transaction brings
// included; what others bring at the same time is not.
func (t *txn) depthOf(queue string) (int, error) {
	depth, known := t.depths[queue]
	if !known {
		if _, err := one(t.ctx, t, []any{&depth}, `SELECT depth FROM queues WHERE queue = ?`, queue); err != nil {
			return 0, err
		}
		if t.depths == nil {
			t.depths = map[string]int64{}
		}
		t.depths[queue] = depth
	}
	for _, e := range t.tally {
		if e.queue == queue {
			depth += e.depth
		}
	}
	return int(max(depth, 0)), nil
}
