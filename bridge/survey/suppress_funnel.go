package survey

import (
	"maps"
	"slices"
)

// tables are the sums of a funnel that anybody can make: a total and its parts. A
// cell of 1 to 4 must not follow from any of them.
type tables struct {
	cells map[string]int
	// sums are a total, then its parts.
	sums [][]string
	// implied are parts that are not published themselves; they follow from the
	// others. What few people have not done (yet) tells nothing of them and needs no
	// hiding, but where it is not known it hides others, and costs nothing.
	implied map[string]bool
	// shown are cells that are published elsewhere, as the number of answers is.
	shown  map[string]bool
	hidden map[string]bool
}

// Names of parts that a funnel does not have and that follow from it.
const (
	partPartial  = "partial"  // answered, and not completed
	partSilent   = "silent"   // expired, and not late
	partWaiting  = "waiting"  // asked, with time left to answer
	partOnTheWay = "onTheWay" // asked, and not delivered yet
)

// Published is the funnel as it may be seen by people who may know whom a campaign
// asked: no cell of 1 to 4, and none from which one follows. Hidden names them,
// their counts are 0. From five answers on their number is shown, as it is beside
// every score.
func (f *Funnel) Published() Funnel {
	t := f.tables()
	t.shown["answered"] = !small(f.Answered)
	t.suppress()
	out := *f
	out.Exits = maps.Clone(f.Exits)
	out.Hidden = nil
	for _, name := range slices.Sorted(maps.Keys(t.hidden)) {
		if t.implied[name] {
			continue
		}
		out.Hidden = append(out.Hidden, name)
		if cell := out.stages()[name]; cell != nil {
			*cell = 0
		}
	}
	maps.DeleteFunc(out.Exits, func(e Exit, _ int) bool { return t.hidden[e.Cell()] })
	if len(out.Exits) == 0 {
		out.Exits = nil // as in JSON
	}
	return out
}

// Shows says that a count of the funnel is published: of a stage by its name in
// JSON, of an exit by its own.
func (f *Funnel) Shows(name string) bool { return !slices.Contains(f.Hidden, name) }

// Cell is the name by which the funnel counts an exit: some are stages.
func (e Exit) Cell() string {
	switch e {
	case HeldOut:
		return "heldOut"
	case Deferred:
		return "pending"
	case Asked:
		return "asked"
	}
	return e.String()
}

// stages are the counts by their names.
func (f *Funnel) stages() map[string]*int {
	return map[string]*int{
		"triggered": &f.Triggered, "eligible": &f.Eligible, "heldOut": &f.HeldOut, "assigned": &f.Assigned, "sampled": &f.Sampled, "throttled": &f.Throttled,
		"pending": &f.Pending, "asked": &f.Asked, "delivered": &f.Delivered, "failed": &f.Failed, "answered": &f.Answered, "completed": &f.Completed,
		"late": &f.Late, "optedOut": &f.OptedOut, "cancelled": &f.Cancelled, "expired": &f.Expired, "clarified": &f.Clarified, "unparsed": &f.Unparsed,
	}
}

// tables are those that Balanced checks.
func (f *Funnel) tables() *tables {
	t := &tables{cells: map[string]int{}, shown: map[string]bool{}, hidden: map[string]bool{},
		implied: map[string]bool{partPartial: true, partSilent: true, partWaiting: true, partOnTheWay: true}}
	for name, n := range f.stages() {
		t.cells[name] = *n
	}
	t.cells[partPartial], t.cells[partSilent] = f.Answered-f.Completed, f.Expired-f.Late
	t.cells[partWaiting], t.cells[partOnTheWay] = f.Asked-f.Answered-f.OptedOut-f.Cancelled-f.Expired, f.Asked-f.Delivered-f.Failed
	before, after := []string{"triggered", "eligible"}, []string{"sampled", "pending", "asked"}
	throttled := []string{"throttled", CampaignCooldown.Cell(), GroupCooldown.Cell(), Outranked.Cell()}
	unthrottled := []string{"sampled", "throttled", "pending", "asked"} // the sum of throttled is another way to the parts
	for _, e := range Exits() {
		switch {
		case !e.Final() || e == Asked || e == HeldOut || e == OtherTrigger:
			continue
		case e < HeldOut:
			before = append(before, e.Cell())
		case e > NotSampled:
			after = append(after, e.Cell())
			if !slices.Contains(throttled, e.Cell()) {
				unthrottled = append(unthrottled, e.Cell())
			}
		}
		t.cells[e.Cell()] = f.Exits[e]
	}
	t.sums = [][]string{
		before, {"eligible", "heldOut", "assigned"}, {"assigned", NotSampled.Cell(), "sampled"}, after, throttled, unthrottled,
		{"asked", "delivered", "failed", partOnTheWay}, {"asked", "answered", "optedOut", "cancelled", "expired", partWaiting},
		{"answered", "completed", partPartial}, {"expired", "late", partSilent},
	}
	return t
}

// suppress hides small cells and, until nothing changes, as much else as keeps them
// from being worked out. It ends: a cell is hidden once, and shown again at most once.
func (t *tables) suppress() {
	for name, n := range t.cells {
		if small(n) && !t.implied[name] {
			t.hidden[name] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for _, sum := range t.sums {
			if !t.open(sum) {
				continue
			}
			if another := t.smallest(sum); another != "" {
				t.hidden[another], changed = true, true
			} else if alone := t.alone(sum); alone != "" && !small(t.cells[alone]) {
				// It follows whatever is done, and was hidden for another's sake only.
				delete(t.hidden, alone)
				t.shown[alone], changed = true, true
			}
		}
	}
}

// alone is the one hidden cell of a sum; "" where there are several.
func (t *tables) alone(sum []string) (name string) {
	for _, cell := range sum {
		if t.hidden[cell] {
			if name != "" {
				return ""
			}
			name = cell
		}
	}
	return name
}

// open says that a sum gives a hidden cell away: it is the only one, or what is
// hidden of the parts of a published total is fewer than five together.
func (t *tables) open(sum []string) bool {
	hidden, together := 0, 0
	for i, name := range sum {
		if t.hidden[name] {
			hidden++
			if i > 0 {
				together += t.cells[name]
			}
		}
	}
	return hidden == 1 || hidden > 1 && !t.hidden[sum[0]] && together < smallestCell
}

// smallest is the cell of a sum to hide as well: one that is not published anyway,
// else the smallest part of people, else the total. "" where all are.
func (t *tables) smallest(sum []string) string {
	best := ""
	for _, name := range sum[1:] {
		switch {
		case t.hidden[name] || t.shown[name] || t.cells[name] == 0:
		case t.implied[name]:
			return name
		case best == "" || t.cells[name] < t.cells[best]:
			best = name
		}
	}
	if best == "" && !t.hidden[sum[0]] && !t.shown[sum[0]] {
		return sum[0]
	}
	return best
}
