package compile

import (
	"errors"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// ScheduleResult is a Schedule's part of a Result.
type ScheduleResult struct {
	Findings []Finding
	// Schedule is the compiled spec; nil while it is invalid.
	Schedule *schedule.Schedule
	// Stores whose documents have it, sorted.
	Stores []Key
	// Entry that their pods are to confirm: the same in all of them, unless a
	// finding keeps last good ones in force.
	Entry *Loadable
}

// Blocking is the first finding that keeps the Schedule from being Ready, or nil.
func (r *ScheduleResult) Blocking() *Finding { return firstBlocking(r.Findings) }

type scheduleState struct {
	schedule *v1alpha1.Schedule
	spec     schedule.Spec
	result   *ScheduleResult
}

func (c *compiler) resolveSchedules() {
	for _, s := range sorted(c.Schedules) {
		state := &scheduleState{schedule: s, spec: ScheduleSpec(s), result: &ScheduleResult{}}
		c.result.Schedules[keyOf(s)] = state.result
		if gone(s) {
			continue
		}
		c.routing.schedules[keyOf(s)] = state
		compiled, err := schedule.Compile(state.spec)
		if err != nil {
			state.result.Findings = scheduleFindings(err)
			continue
		}
		state.result.Schedule = compiled
	}
}

// scheduleFindings is one per mistake in the spec.
func scheduleFindings(err error) []Finding {
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	var findings []Finding
	for _, e := range errs {
		field, message := "spec", e.Error()
		if at := (*schedule.FieldError)(nil); errors.As(e, &at) {
			field, message = "spec."+at.Field, at.Message
		}
		findings = append(findings, *invalidSpec(field, message))
	}
	return findings
}

// scheduleThere says whether a Schedule is, or will be, in force in a store
// that names it; nil: in any.
func (c *compiler) scheduleThere(st *storeState, name string) bool {
	state := c.routing.schedules[parseKey(name)]
	switch {
	case state == nil:
		return false
	case st != nil && st.before.get(document.EntrySchedule, name) != nil:
		return true // if need be as it was before
	default:
		return state.result.Schedule != nil && !state.schedule.Spec.Suspend
	}
}

// placeSchedules puts Schedules into every store in which something names them.
func (c *compiler) placeSchedules() {
	for _, s := range sorted(c.Stores) {
		st := c.stores[keyOf(s)]
		for _, name := range sortedNames(c.routing.used[st]) {
			state := c.routing.schedules[parseKey(name)]
			if state == nil {
				continue // who names it has the finding
			}
			if state.result.Schedule != nil && !state.schedule.Spec.Suspend {
				st.add(document.EntrySchedule, name, state.schedule.Generation, state.spec)
			} else if _, kept := st.keep(document.EntrySchedule, name); !kept {
				continue
			}
			state.result.Stores = append(state.result.Stores, st.key)
			entry := loadable(*st.last())
			state.result.Entry = &entry
		}
	}
}
