package main

import (
	"fmt"
	"strings"
	"time"
)

// aim is the most that a step may take, and that the operator may hold after it in
// MiB; zero: there is none.
type aim struct {
	took time.Duration
	held float64
}

// aimOf is the project's aim for so many Channels. It is for two cores on which
// nothing else runs, so a run on a busy machine can miss the time of it.
func aimOf(channels int) aim {
	switch {
	case channels <= 1_000:
		return aim{took: time.Minute, held: 150}
	case channels <= 10_000:
		return aim{held: 400}
	}
	return aim{}
}

// lasting is the aim of a step that takes as long as it is told to.
func (a aim) lasting() aim {
	a.took = 0
	return a
}

// missed says which of it was not reached.
func (a aim) missed(took time.Duration, held float64) []string {
	var missed []string
	if a.took > 0 && took > a.took {
		missed = append(missed, fmt.Sprintf("took %.1f s, the aim is %.0f s", took.Seconds(), a.took.Seconds()))
	}
	if a.held > 0 && held > a.held {
		missed = append(missed, fmt.Sprintf("holds %.0f MiB, the aim is %.0f MiB", held, a.held))
	}
	return missed
}

// verdict gathers what was above its aim over the whole run.
type verdict struct{ above []string }

// judge prints what a row has missed, below it.
func (v *verdict) judge(what string, a aim, took time.Duration, held float64) {
	if missed := a.missed(took, held); len(missed) > 0 {
		line := what + ": " + strings.Join(missed, "; ")
		fmt.Printf("    ABOVE THE AIM: %s\n", line)
		v.above = append(v.above, line)
	}
}

// end prints the verdict of the run; with assert what is above its aim is an error.
func (v *verdict) end(assert bool) error {
	if len(v.above) == 0 {
		fmt.Println("\neverything is within its aim")
		return nil
	}
	fmt.Printf("\n%d above the aim:\n  %s\n", len(v.above), strings.Join(v.above, "\n  "))
	if assert {
		return fmt.Errorf("%d rows are above their aim", len(v.above))
	}
	return nil
}
