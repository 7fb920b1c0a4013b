package store

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Nothing waits for ever, also where a conversation leaves the path that its policy
// laid out, and where there is no policy for a while:
//
//	comes back to the queue of its step ──► stepAgain: the step's time begins anew
//	is opened again, or wakes, and is nobody's ──► ownerless: the policies say whose it is
//	is to go on, and no policy is in force ──► shelve, letGo: until a document has come (unshelve)
//
// A shelved conversation is one whose instant (of its step, of its wait in a queue, of
// what an agent has who is offline) is so far ahead that it is never due. A policy
// that is deleted and applied again finds what it had.

const (
	// shelved is an instant that waits for a document: the beginning of the year 9999,
	// which JSON and databases can still write.
	shelved = 253_370_764_800_000
	// shelvedFrom tells such an instant from a real one, also after a clock that was
	// ahead was put right and all instants were moved.
	shelvedFrom = shelved / 2
)

// unshelve lets everything that waited for a document be looked at: the one in force
// now may have a policy for it. What it has none for is shelved again.
func (t *txn) unshelve(st *state) error {
	if len(st.routes.chains) == 0 {
		return nil
	}
	for _, query := range []string{`UPDATE routings SET due_at = ? WHERE due_at >= ?`, `UPDATE queue_entries SET due_at = ? WHERE due_at >= ?`} {
		if _, err := t.exec(query, ms(t.now), int64(shelvedFrom)); err != nil {
			return err
		}
	}
	agents, err := all(t.ctx, t, scanText, `SELECT agent FROM presence WHERE due_at >= ?`, int64(shelvedFrom))
	if err != nil {
		return err
	}
	t.lookAtAgents(agents)
	t.wake(topicSteps)
	return nil
}

// lookAtAgents lets what agents have be looked at, as far as they are offline.
func (t *txn) lookAtAgents(agents []string) {
	for _, agent := range agents {
		t.note(tallyEntry{agent: agent, due: ms(t.now)})
	}
	if len(agents) > 0 {
		t.c.queues.sweepAfter(t)
	}
}

// lookAtOffline lets be looked at who is offline and has something of a queue: what
// becomes of it may be said otherwise now.
func (t *txn) lookAtOffline(queue string) error {
	agents, err := all(t.ctx, t, scanText, `SELECT agent FROM presence p WHERE state = 'offline'
		AND EXISTS (SELECT 1 FROM queue_entries e WHERE e.agent = p.agent AND e.state = 'assigned' AND e.queue = ?) ORDER BY agent`, queue)
	t.lookAtAgents(agents)
	return err
}

// shelve keeps a conversation that a policy had, and that nobody can say more about
// now, until there is a document that may.
func (r *routingRow) shelve(t *txn, epoch int64) error {
	if r.decision == "" {
		return nil
	}
	r.epoch, r.dueAt = epoch, shelved
	return r.save(t)
}

// letGo makes a conversation nobody's, as there is no policy to say whose it is.
func (t *txn) letGo(v *convRow, row *routingRow, cause ownerCause) error {
	if err := t.transfer(v, Owner{Kind: OwnerNone}, cause); err != nil {
		return err
	}
	return row.shelve(t, v.epoch)
}

// stepAgain is for a conversation that waits again in the queue of its step: who had
// it has gone, or gave it back, or it was solved meanwhile. In the order of the queue
// it is as old as it is (a conversation that goes back keeps its age). The time of
// the step is how long nobody takes it, as maxWait is, and like that begins anew;
// without any, the step would never end. What was given back to who had it (reopened)
// is in no step: back from them, it is routed anew.
func (t *txn) stepAgain(v *convRow, why OwnerCause) error {
	row, err := readRouting(t.ctx, t, v.id)
	if err != nil {
		return err
	}
	if row.decision != "" && row.position.Step == "" && (why == CauseReleased || why == CauseOffline || why == CauseRemoved) {
		row.epoch, row.dueAt = v.epoch, ms(t.now)+1
		t.wake(topicSteps)
		return row.save(t)
	}
	if row.position.Queue == "" || row.position.Queue != v.owner.Name {
		return err
	}
	if row.dueAt, err = t.stepEnd(row); err != nil {
		return err
	}
	row.epoch, row.enteredAt = v.epoch, ms(t.now)
	t.wake(topicSteps)
	return row.save(t)
}

// stepEnd is when a conversation's step ends that begins now; 0: it lasts. A decision
// that is no longer kept is older than any step: it is over.
func (t *txn) stepEnd(row *routingRow) (int64, error) {
	var content string
	var d routing.Decision
	switch found, err := one(t.ctx, t, []any{&content}, `SELECT decision FROM decisions WHERE conversation = ? AND id = ?`, row.conversation, row.decision); {
	case err != nil:
		return 0, err
	case !found:
		return ms(t.now) + 1, nil
	}
	if err := json.Unmarshal([]byte(content), &d); err != nil || d.Action != routing.ActionRoute {
		return 0, err
	}
	due, ends := d.Deadline(t.c.queues.state().routes.schedules[d.Schedule].content, t.now)
	if !ends {
		return 0, nil
	}
	return max(ms(due), ms(t.now)+1), nil
}

// ownerless is for a conversation that is open (again) and may be nobody's: the
// policies say whose it is, unless a webhook is being asked just that.
func (t *txn) ownerless(v *convRow, o *occasion) (err error) {
	r := t.c.dispatcher
	if v.owner.Kind != OwnerNone {
		return nil
	}
	if o.row, err = readRouting(t.ctx, t, v.id); err != nil {
		return err
	}
	if !r.s.state.Load().enforces(v.channel) {
		return o.row.shelve(t, v.epoch)
	}
	if asked, err := t.isAsked(v, o.row); err != nil || asked {
		return err
	}
	return r.route(t, v, o)
}

// isAsked says whether a webhook is being asked who gets a conversation. The errand
// says so: it is dropped where the conversation was solved when it was to be done.
func (t *txn) isAsked(v *convRow, row *routingRow) (bool, error) {
	if !row.asking || row.epoch != v.epoch {
		return false, nil
	}
	var n int
	_, err := one(t.ctx, t, []any{&n}, `SELECT COUNT(*) FROM errands WHERE conversation = ? AND kind = ? AND decision = ?`, v.id, string(errandWebhook), row.decision)
	return n > 0, err
}

// reopened is for a conversation that somebody opens: who has kept it while it was
// solved (solvedAt, 0 if it was not) has it again, and one that nobody has is routed.
func (t *txn) reopened(v *convRow, solvedAt int64, caller string) error {
	o := &occasion{event: routing.EventOpened, caller: caller}
	if solvedAt > 0 {
		o.event, o.solvedAt = routing.EventReopened, solvedAt
		if err := t.resume(v); err != nil {
			return err
		}
	}
	return t.ownerless(v, o)
}

// isBotName says whether a bot's name is that of a Bot resource, there or not. Bots
// of REST that have no resource have other names.
func isBotName(name string) bool { return strings.Contains(name, "/") }

// isAgentID says whether an agent's name is an id of ours, of an agent who is there or
// was removed. Agents of the caller's own desks have other names.
func isAgentID(name string) bool {
	_, err := ulid.ParseStrict(name)
	return err == nil
}

// unknownGrace is how long an agent may be offline where no queue says so: they got the
// conversation without one, or the queue is not in force. It is long enough for
// a queue that is deleted and applied again.
const unknownGrace = 5 * time.Minute
