package routing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/expression"
)

// Explanation is why a decision is what it is, found by replaying it. It speaks of
// the contact (language, attributes), never of the text of messages: only which
// keywords were looked for.
type Explanation struct {
	// Decision of the replay.
	Decision Decision `json:"decision"`
	// Exact: the replay gives the decision that was asked about, bit for bit. If not, it
	// was made of other facts or by another version of the policy; Differences says
	// which.
	Exact       bool     `json:"exact"`
	Differences []string `json:"differences,omitempty"`
	// Summary is what was decided, in a sentence.
	Summary string `json:"summary"`
	// Notes are about what comes before the rules: reopening, the loop guard.
	Notes []string `json:"notes,omitempty"`
	// Rules in the order of the policy.
	Rules []RuleExplanation `json:"rules"`
	// Steps that were tried, of the rule that matched, and the default route.
	Steps []StepExplanation `json:"steps"`
	// Reply that is sent, or why none is.
	Reply string `json:"reply,omitempty"`
}

// RuleExplanation is what became of a rule.
type RuleExplanation struct {
	Name    string             `json:"name"`
	Result  RuleResult         `json:"result"`
	Matches []MatchExplanation `json:"matches,omitempty"`
}

// RuleResult is what became of a rule in one decision.
type RuleResult string

const (
	ResultMatched    RuleResult = "Matched"
	ResultNoMatch    RuleResult = "NoMatch"
	ResultNotReached RuleResult = "NotReached" // something before it decided
	ResultDropped    RuleResult = "Dropped"    // it has a mistake and takes no part
)

// MatchExplanation is what became of one of a rule's matches.
type MatchExplanation struct {
	Index   int    `json:"index"`
	Matched bool   `json:"matched"`
	Field   string `json:"field,omitempty"` // the first that did not hold
	Reason  string `json:"reason,omitempty"`
}

// StepExplanation is what became of a step.
type StepExplanation struct {
	Name    string `json:"name"`
	Entered bool   `json:"entered"`
	// Slot that was drawn, -1: none; and the backend that it fell to.
	Slot    int    `json:"slot"`
	Backend string `json:"backend,omitempty"`
	Reason  string `json:"reason"`
}

// Explain replays a decision and says, rule by rule and step by step, why it is
// what it is. The program must be of the decision's hash (see FromArchive) and the
// facts those that were kept; otherwise Exact is false.
func Explain(p *Program, f *Facts, d Decision) Explanation {
	t := &trace{}
	replay := p.decide(f, t)
	e := Explanation{Decision: replay, Exact: replay == d, Summary: replay.summary(), Notes: p.notes(f, t, replay)}
	if !e.Exact {
		e.Differences = differences(d, replay)
	}
	e.Rules = p.explainRules(f, t)
	for _, st := range t.steps {
		e.Steps = append(e.Steps, p.explainStep(f, st, replay))
	}
	if t.usedUp {
		e.Notes = append(e.Notes, fmt.Sprintf("the steps of rule %s are used up: onExhausted", replay.Rule))
	}
	e.Reply = explainReply(t, replay)
	return e
}

func (d Decision) summary() string {
	var b strings.Builder
	switch d.Action {
	case ActionReturn:
		fmt.Fprintf(&b, "back to agent %s, who had it", d.Target.Agent)
	case ActionClose:
		b.WriteString("closed")
	case ActionHold:
		fmt.Fprintf(&b, "waits in %s %s, without a time limit", d.Target.Kind, d.Target.Name)
	default:
		fmt.Fprintf(&b, "to %s %s", d.Target.Kind, d.Target.Name)
		if d.Target.Agent != "" {
			fmt.Fprintf(&b, ", for agent %s", d.Target.Agent)
		}
	}
	if d.Rule != "" {
		fmt.Fprintf(&b, ", by rule %s", d.Rule)
	}
	if d.Step != "" {
		fmt.Fprintf(&b, ", step %s", d.Step)
	}
	if d.Timeout > 0 {
		fmt.Fprintf(&b, ", for %s on the %s clock", time.Duration(d.Timeout), d.Clock)
		if d.Schedule != "" {
			fmt.Fprintf(&b, " of %s", d.Schedule)
		}
	}
	if d.OutOfHours {
		b.WriteString(", out of hours")
	}
	return b.String()
}

func (p *Program) notes(f *Facts, t *trace, d Decision) []string {
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	switch d.Via {
	case ViaLoopGuard:
		note("moved %d times (limit %d) and changed owner %d times (limit %d) within an hour: it stops in the default route", f.Conversation.StepChanges, MaxStepChanges, f.Conversation.OwnerChanges, MaxOwnerChanges)
	case ViaReopen:
		note("reopened: agent %s gets it back (reopen.reroute %s)", f.Agent.ID, orDefault(p.policy.Reopen.Reroute, RerouteIfAgentUnavailable))
	case ViaNextStep:
		note("step %s of rule %s is over (%s)", f.Position.Step, orDefault(f.Position.Rule, "none"), f.Event)
	default:
		if f.Event == EventReopened {
			note("reopened and routed anew: %s", p.returnReason(f, t.notReturned))
		}
		if f.Event == EventStepExpired || f.Event == EventStepFailed {
			note("the conversation was in another version of the policy (%.12s): it begins anew", orDefault(f.Position.Hash, "none"))
		}
	}
	return notes
}

func (p *Program) returnReason(f *Facts, code returnCode) string {
	switch code {
	case returnOtherPolicy:
		return fmt.Sprintf("it was in policy %s", f.Position.Policy)
	case returnRerouteAlways:
		return "reopen.reroute is Always"
	case returnNoAgent:
		return "no agent had it"
	case returnTooLate:
		return fmt.Sprintf("solved %s ago, reopen.within is %s", f.Now.Sub(f.Conversation.SolvedAt).Round(time.Second), time.Duration(p.policy.Reopen.Within))
	}
	return fmt.Sprintf("agent %s is %s", f.Agent.ID, presence(f.Agent))
}

func presence(a AgentFacts) string {
	switch {
	case !a.Online:
		return "not online"
	case !a.Available:
		return "online without capacity"
	}
	return "available"
}

func (p *Program) explainRules(f *Facts, t *trace) []RuleExplanation {
	tried := 0
	out := make([]RuleExplanation, 0, len(p.states))
	for _, state := range p.states {
		e := RuleExplanation{Name: state.Name, Result: ResultNotReached}
		switch {
		case state.State == RuleDropped:
			e.Result = ResultDropped
		case tried < len(t.rules):
			e = explainRule(f, t.rules[tried])
			tried++
		}
		out = append(out, e)
	}
	return out
}

func explainRule(f *Facts, t ruleTrace) RuleExplanation {
	e := RuleExplanation{Name: t.rule.spec.Name, Result: ResultNoMatch}
	if t.always || slices.Contains(t.fields, fieldNone) {
		e.Result = ResultMatched
	}
	for i, field := range t.fields {
		m := MatchExplanation{Index: i, Matched: field == fieldNone}
		if !m.Matched {
			m.Field, m.Reason = t.rule.matches[i].reason(f, field, t.errs[i])
		}
		e.Matches = append(e.Matches, m)
	}
	return e
}

// reason says why a field of a match does not hold.
func (m *match) reason(f *Facts, field matchField, err error) (name, reason string) {
	spec := m.spec
	switch field {
	case fieldSchedule:
		state := "unknown"
		if s, known := f.Schedules[spec.Schedule.Name]; known {
			state = "closed"
			if s.Open {
				state = "open"
			}
		}
		return "schedule", fmt.Sprintf("%s is %s, not %s", spec.Schedule.Name, state, spec.Schedule.Is)
	case fieldSince:
		if f.Contact.LastContactAt.IsZero() {
			return "sinceLastContact", "there was no contact before"
		}
		return "sinceLastContact", fmt.Sprintf("was %s ago, not %s", f.Now.Sub(f.Contact.LastContactAt).Round(time.Second), spec.SinceLastContact)
	case fieldLanguages:
		return "languages", fmt.Sprintf("%s is none of %s", f.Language.reason(), strings.Join(spec.Languages, ", "))
	case fieldTopics:
		return "topics", fmt.Sprintf("[%s] has none of %s", strings.Join(f.Conversation.Topics, ", "), strings.Join(spec.Topics, ", "))
	case fieldLabels:
		return "labels", firstDifference(m.labels, f.Conversation.Labels)
	case fieldAttributes:
		return "attributes", firstDifference(m.attributes, f.Contact.Attributes)
	case fieldTextAny:
		return "text.any", "the text has none of " + strings.Join(spec.Text.Any, ", ")
	case fieldTextAll:
		return "text.all", "the text does not have all of " + strings.Join(spec.Text.All, ", ")
	case fieldTextNone:
		return "text.none", "the text has one of " + strings.Join(spec.Text.None, ", ")
	}
	if err != nil {
		return "expression", fmt.Sprintf("failed: %s", expressionError(err))
	}
	return "expression", "is false: " + m.expression.Source()
}

// expressionError is an evaluation's error without the values in it: those can be
// words of the contact.
func expressionError(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, expression.ErrNotBool):
		return text
	case strings.HasPrefix(text, "no such key"):
		return "a key that it reads is not there; use .?key.orValue(…)"
	case strings.Contains(text, "cost limit"):
		return "it costs more than it may"
	case strings.Contains(text, "overflow") || strings.Contains(text, "range"):
		return "a value is out of range, such as the time since a contact that never was"
	}
	return "it cannot be evaluated on these facts"
}

func firstDifference(want []pair, have map[string]string) string {
	for _, w := range want {
		if value, ok := have[w.key]; !ok {
			return fmt.Sprintf("%s is not there, want %q", w.key, w.value)
		} else if value != w.value {
			return fmt.Sprintf("%s is %q, want %q", w.key, value, w.value)
		}
	}
	return ""
}

// String is "≥ 1h0m0s and < 72h0m0s".
func (m *SinceMatch) String() string {
	var parts []string
	if m.AtLeast > 0 {
		parts = append(parts, "≥ "+time.Duration(m.AtLeast).String())
	}
	if m.LessThan > 0 {
		parts = append(parts, "< "+time.Duration(m.LessThan).String())
	}
	return strings.Join(parts, " and ")
}

func (p *Program) explainStep(f *Facts, t stepTrace, d Decision) StepExplanation {
	e := StepExplanation{Name: t.step.name, Entered: t.code == stepTaken, Slot: t.slot}
	var reasons []string
	if t.asked {
		reasons = append(reasons, stickyReason(f, t.step, t.sticky))
	}
	if t.index >= 0 {
		b := t.step.backends[t.index]
		e.Backend = string(b.kind) + " " + b.name
		if len(t.step.backends) > 1 {
			from, to := slotRange(t.step.weights, t.index)
			reasons = append(reasons, fmt.Sprintf("slot %d is in %d–%d", t.slot, from, to))
		}
		if p.closed(f, &b) {
			reasons = append(reasons, p.closedReason(f, b, d))
		}
		reasons = append(reasons, stepReason(f, t.step, b, t.code))
	}
	e.Reason = strings.Join(slices.DeleteFunc(reasons, func(s string) bool { return s == "" }), "; ")
	return e
}

func (p *Program) closedReason(f *Facts, b backend, d Decision) string {
	hours := p.policy.OutOfHours
	reason := fmt.Sprintf("schedule %s is closed: outOfHours.action %s", b.schedule, hours.Action)
	if hours.Action != OutOfHoursBot || d.Action == ActionHold {
		return reason
	}
	if code := p.botReady(f); code != stepTaken {
		why := stepReason(f, nil, backend{kind: BackendBot, name: hours.Bot}, code)
		return fmt.Sprintf("%s, but Bot %s cannot: %s", reason, hours.Bot, why)
	}
	return fmt.Sprintf("%s, to Bot %s", reason, hours.Bot)
}

// slotRange is the first and the last slot that an index of the weights gets.
func slotRange(weights []int, index int) (from, to int) {
	from = -1
	for slot := range Slots {
		if Pick(slot, weights) == index {
			if from < 0 {
				from = slot
			}
			to = slot
		}
	}
	return from, to
}

func stepReason(f *Facts, st *step, b backend, code stepCode) string {
	facts := f.Queues[b.name]
	switch code {
	case stepMissing:
		return fmt.Sprintf("%s %q does not exist", b.kind, b.name)
	case stepFailing:
		return "it is failing"
	case stepHandedOff:
		return "it has just handed the conversation off"
	case stepFull:
		return fmt.Sprintf("the queue is full with %d waiting", facts.Depth)
	case stepOnline:
		return fmt.Sprintf("skipIf: %d online, below %d", facts.Online, st.skipIf.OnlineBelow)
	case stepAvailable:
		return fmt.Sprintf("skipIf: %d available, below %d", facts.Available, st.skipIf.AvailableBelow)
	case stepDepth:
		return fmt.Sprintf("skipIf: %d waiting, above %d", facts.Depth, *st.skipIf.DepthAbove)
	case stepOldestWait:
		return fmt.Sprintf("skipIf: the first in line waits %s, above %s", time.Duration(facts.OldestWait), time.Duration(st.skipIf.OldestWaitAbove))
	}
	return ""
}

func stickyReason(f *Facts, st *step, code stickyCode) string {
	switch code {
	case stickyYes:
		return fmt.Sprintf("agent %s had the contact last and is %s", f.Agent.ID, presence(f.Agent))
	case stickyNobody:
		return "no agent had the contact before"
	case stickyTooLong:
		return fmt.Sprintf("agent %s had the contact %s ago, maxAge is %s", f.Agent.ID, f.Now.Sub(f.Agent.At).Round(time.Second), time.Duration(st.sticky.MaxAge))
	case stickyNotMember:
		return fmt.Sprintf("agent %s, who had the contact last, is in none of the queues", f.Agent.ID)
	}
	return fmt.Sprintf("agent %s, who had the contact last, is %s", f.Agent.ID, presence(f.Agent))
}

func explainReply(t *trace, d Decision) string {
	switch {
	case d.Reply.Kind != "":
		return fmt.Sprintf("%s in %q", d.Reply.Kind, d.Reply.Language)
	case len(t.replies) > 0:
		return fmt.Sprintf("none: the contact has had the %s", t.replies[len(t.replies)-1])
	case d.Target.Kind == BackendBot:
		return "none: the bot speaks for itself"
	}
	return ""
}
