package traffic

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Findings are what is wrong with a store after a Run; all zero when nothing is.
type Findings struct {
	Lost       int // accepted with a 2xx and not stored
	Twice      int // stored more than once
	OutOfOrder int // stored before an earlier one of the same contact
	Unknown    int // stored and never written
	First      string
}

// OK says that nothing is wrong.
func (f Findings) OK() bool { return f.Lost+f.Twice+f.OutOfOrder+f.Unknown == 0 }

func (f Findings) String() string {
	return fmt.Sprintf("lost %d, twice %d, out of order %d, unknown %d (%s)", f.Lost, f.Twice, f.OutOfOrder, f.Unknown, f.First)
}

// Check compares what was accepted with the inbound messages of the store, in
// the order they were stored. A message beyond what was accepted is allowed
// once per contact: its answer may have been lost on the way.
func Check(r *Result, batch int, stored []message.Message) Findings {
	var f Findings
	note := func(n *int, what, id string) {
		if *n++; f.First == "" {
			f.First = what + " " + id
		}
	}
	seen := make([]map[int]bool, len(r.Accepted))
	last := make([]int, len(r.Accepted))
	for i := range seen {
		seen[i], last[i] = map[int]bool{}, -1
	}
	for _, m := range stored {
		contact, number, ok := parse(m.ExternalID)
		switch {
		case !ok || contact >= len(seen) || number >= r.Accepted[contact]+max(batch, 1):
			note(&f.Unknown, "unknown", m.ExternalID)
			continue
		case seen[contact][number]:
			note(&f.Twice, "twice", m.ExternalID)
			continue
		case number < last[contact]:
			note(&f.OutOfOrder, "out of order", m.ExternalID)
		}
		seen[contact][number] = true
		last[contact] = max(last[contact], number)
	}
	for contact, n := range r.Accepted {
		for number := range n {
			if !seen[contact][number] {
				note(&f.Lost, "lost", ExternalID(contact, number))
			}
		}
	}
	return f
}

func parse(id string) (contact, number int, ok bool) {
	parts := strings.Split(id, "_")
	if len(parts) != 3 || parts[0] != "m" {
		return 0, 0, false
	}
	contact, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0, 0, false
	}
	number, err = strconv.Atoi(parts[2])
	return contact, number, err == nil
}
