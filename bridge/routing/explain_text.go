package routing

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// String is the explanation for people.
func (e Explanation) String() string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

func (e Explanation) write(w io.Writer) {
	d := e.Decision
	fmt.Fprintf(w, "policy %s, version %.12s, %s\n", d.Policy, d.Hash, d.Mode)
	if !e.Exact {
		fmt.Fprintf(w, "NOT the decision that was recorded: %s\n", strings.Join(e.Differences, ", "))
	}
	for _, note := range e.Notes {
		fmt.Fprintf(w, "  %s\n", note)
	}
	for _, r := range e.Rules {
		fmt.Fprintf(w, "  rule %-24s %s\n", r.Name, r.words())
		for _, m := range r.Matches {
			if m.Matched {
				fmt.Fprintf(w, "    matches[%d]  holds\n", m.Index)
			} else {
				fmt.Fprintf(w, "    matches[%d]  %s: %s\n", m.Index, m.Field, m.Reason)
			}
		}
	}
	for _, s := range e.Steps {
		result := "skipped"
		if s.Entered {
			result = "entered"
		}
		fmt.Fprintf(w, "  step %-24s %s", s.Name, result)
		if s.Backend != "" {
			fmt.Fprintf(w, ", %s", s.Backend)
		}
		if s.Reason != "" {
			fmt.Fprintf(w, " (%s)", s.Reason)
		}
		fmt.Fprintln(w)
	}
	if e.Reply != "" {
		fmt.Fprintf(w, "  reply %s\n", e.Reply)
	}
	fmt.Fprintf(w, "→ %s\n", e.Summary)
}

func (r RuleExplanation) words() string {
	switch r.Result {
	case ResultMatched:
		if len(r.Matches) == 0 {
			return "matches always"
		}
		return "matches"
	case ResultNoMatch:
		return "no match"
	case ResultDropped:
		return "left out, it has a mistake"
	}
	return "not reached"
}

// differences names the fields in which two decisions differ.
func differences(recorded, replay Decision) []string {
	was, is := fieldsOf(recorded), fieldsOf(replay)
	names := map[string]bool{}
	for name := range was {
		names[name] = true
	}
	for name := range is {
		names[name] = true
	}
	var out []string
	for _, name := range sortedKeys(names) {
		if a, b := was[name], is[name]; string(a) != string(b) {
			out = append(out, fmt.Sprintf("%s was %s and is %s", name, orNone(a), orNone(b)))
		}
	}
	return out
}

func fieldsOf(d Decision) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	data, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(data, &fields)
	}
	if err != nil {
		// A Decision is strings and numbers: it always marshals.
		panic(err)
	}
	return fields
}

func orNone(value json.RawMessage) string {
	if len(value) == 0 {
		return "none"
	}
	return string(value)
}
