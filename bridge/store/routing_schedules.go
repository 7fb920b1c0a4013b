package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// A Schedule that is mended moves the ends of steps on Business time, which were
// worked out when the steps were entered. They are reckoned anew where a document
// brings another Schedule, or none, and with the first document of a process, whose
// Schedules may have been mended while it was down. It costs next to nothing: all
// that is read, off the writer, are conversations in a step that ends at all, and
// only those whose end is another one are written. (What waits in queues has a
// Schedule's hash in its queue's row, see queuePrint.)

// reckonBatch is how many steps are looked at at a time: as many as sweeps look at.
const reckonBatch = dueBatch

// timedStep is a step that ends by business time.
type timedStep struct {
	conversation     string
	enteredAt, dueAt int64
	decision         string // id
	content          string // JSON of it
}

// businessSteps are steps that end by business time, in the order of their ends; what
// is shelved has none.
const businessSteps = `SELECT r.conversation, r.entered_at, r.due_at, d.id, d.decision FROM routings r JOIN decisions d ON d.conversation = r.conversation AND d.id = r.decision
	WHERE r.due_at > 0 AND r.due_at < ? AND (r.due_at, r.conversation) > (?, ?) AND d.decision LIKE '%"clock":"Business"%' ORDER BY r.due_at, r.conversation LIMIT ?`

func scanTimedStep(rows *sql.Rows) (s timedStep, err error) {
	return s, rows.Scan(&s.conversation, &s.enteredAt, &s.dueAt, &s.decision, &s.content)
}

// reckonSteps reckons the ends of steps anew whose Schedule is another one since it
// was last called; left says that others have some of the conversations, so that it
// is to be called again.
func (r *dispatcher) reckonSteps(ctx context.Context) (left bool, err error) {
	names, every := r.s.moves.takeSchedules()
	if len(names) == 0 && !every {
		return false, nil
	}
	if left, err = r.reckonAll(ctx, func(name string) bool { return every || names[name] }); err != nil || left {
		r.s.moves.putBack(names, every)
	}
	return left, err
}

// reckonAll looks at all steps of some Schedules.
func (r *dispatcher) reckonAll(ctx context.Context, concerned func(schedule string) bool) (left bool, err error) {
	for last := (timedStep{}); ; {
		page, err := all(ctx, r.s.read, scanTimedStep, businessSteps, int64(shelvedFrom), last.dueAt, last.conversation, reckonBatch)
		if err != nil || len(page) == 0 {
			return left, err
		}
		last = page[len(page)-1]
		moved := map[string]timedStep{}
		for _, step := range page {
			if due, known := r.reckon(step, concerned); known && due != step.dueAt {
				moved[step.conversation] = step
			}
		}
		if len(moved) == 0 {
			continue
		}
		if err := r.s.write(ctx, len(moved), func(t *txn) error {
			passedOver, err := r.moveSteps(t, moved, concerned)
			left = left || passedOver
			return err
		}); err != nil {
			return left, err
		}
	}
}

// reckon is when a step ends by the Schedules that are in force now; known is false
// for one that is of none of those that are concerned.
func (r *dispatcher) reckon(step timedStep, concerned func(schedule string) bool) (due int64, known bool) {
	var d routing.Decision
	if json.Unmarshal([]byte(step.content), &d) != nil || !concerned(d.Schedule) {
		return 0, false
	}
	at, ends := d.Deadline(r.s.state.Load().routes.schedules[d.Schedule].content, fromMS(step.enteredAt))
	return max(ms(at), step.enteredAt+1), ends
}

// moveSteps writes the ends of steps, and with them until when agents have something
// reserved. What has been decided anew, or is being ended, meanwhile is left alone.
func (r *dispatcher) moveSteps(t *txn, steps map[string]timedStep, concerned func(schedule string) bool) (passedOver bool, err error) {
	convs, err := r.s.lockRows(t, slices.Sorted(maps.Keys(steps)))
	if err != nil {
		return false, err
	}
	for id, step := range steps {
		if convs[id] == nil {
			passedOver = true
			continue
		}
		row, err := readRouting(t.ctx, t, id)
		if err != nil {
			return passedOver, err
		}
		if row.decision != step.decision || row.dueAt != step.dueAt {
			continue
		}
		due, _ := r.reckon(step, concerned)
		if err := t.later(`UPDATE routings SET due_at = ? WHERE conversation = ?`, due, id); err != nil {
			return passedOver, err
		}
		if err := t.later(`UPDATE queue_entries SET reserved_until = ?, due_at = ? WHERE conversation = ? AND reserved <> '' AND reserved_until = ? AND due_at <> ?`,
			due, ms(t.now), id, step.dueAt, fullDue); err != nil {
			return passedOver, err
		}
	}
	r.s.queues.sweepAfter(t)
	t.wake(topicSteps)
	return passedOver, nil
}
