package routing

import (
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Loop safety: a conversation that routing moved so often within an hour stops in
// the default route. Eight steps are the longest rule, so sixteen are two rules in
// full; an owner who changes four times an hour is a bot and a queue at odds.
const (
	MaxStepChanges  = 16
	MaxOwnerChanges = 4
)

// Decision is where a conversation goes. It is comparable: a replay is exact when
// the two are equal.
type Decision struct {
	Policy string `json:"policy"`
	Hash   string `json:"hash"` // of the program
	Mode   Mode   `json:"mode"`
	Action Action `json:"action"`
	Via    Via    `json:"via"`
	// Rule that matched; empty: none did.
	Rule string `json:"rule,omitempty"`
	// Match is the index of its first match that held; -1: it has none, or no
	// rule was tried.
	Match int `json:"match"`
	// Step in force; "default" is the default route.
	Step string `json:"step,omitempty"`
	// Slot that the unit fell into; -1: nothing was drawn.
	Slot   int    `json:"slot"`
	Target Target `json:"target,omitzero"`
	// OutOfHours: the chosen queue is closed.
	OutOfHours bool `json:"outOfHours,omitempty"`
	// Timeout of the step on Clock; zero: it lasts. See Program.Deadline.
	Timeout  document.Duration `json:"timeout,omitempty"`
	Clock    Clock             `json:"clock,omitempty"`
	Schedule string            `json:"schedule,omitempty"` // of a Business clock
	// Priority that the conversation has now.
	Priority Priority `json:"priority,omitempty"`
	// Reply to send, once.
	Reply ReplyChoice `json:"reply,omitzero"`
	// ExpressionErrors counts expressions that failed and so did not match.
	ExpressionErrors int `json:"expressionErrors,omitempty"`
}

// Position is where the decision puts the conversation: the next facts' Position.
func (d Decision) Position() Position {
	p := Position{Policy: d.Policy, Hash: d.Hash, Rule: d.Rule, Step: d.Step}
	if d.Target.Kind == BackendAgentQueue {
		p.Queue = d.Target.Name
	}
	return p
}

// Action is what is done with the conversation.
type Action string

const (
	ActionRoute  Action = "Route"  // to Target, and the step's time begins
	ActionHold   Action = "Hold"   // wait in Target, without a time limit
	ActionReturn Action = "Return" // to Target.Agent, who had it
	ActionClose  Action = "Close"  // solve it
)

// Via is which part of the policy decided.
type Via string

const (
	ViaRule      Via = "Rule"      // a rule matched
	ViaNextStep  Via = "NextStep"  // the rule it is in goes on
	ViaDefault   Via = "Default"   // no rule matched
	ViaReopen    Via = "Reopen"    // the agent before gets it back
	ViaLoopGuard Via = "LoopGuard" // it was moved too often
)

// Target is who gets a conversation.
type Target struct {
	Kind BackendKind `json:"kind,omitempty"`
	Name string      `json:"name,omitempty"`
	// Agent it is reserved for while the step lasts, or to whom it returns.
	Agent string `json:"agent,omitempty"`
}

// ReplyChoice is one of the policy's texts, in a language; see Program.Text.
type ReplyChoice struct {
	Kind     ReplyKind `json:"kind,omitempty"`
	Language string    `json:"language,omitempty"`
}

var scratches = sync.Pool{New: func() any { return &scratch{buffer: make([]byte, 0, MaxTextBytes+256)} }}

// Decide says where a conversation goes. It is a pure function: of the program and
// the facts alone, without a clock, a random number or floating point. It does not
// change the facts, and it is safe for concurrent use.
//
// Cost: a few microseconds, and no memory, unless a rule has an expression.
func Decide(p *Program, f *Facts) Decision { return p.decide(f, nil) }

// decide is Decide; with a trace it also writes down why.
func (p *Program) decide(f *Facts, t *trace) Decision {
	s := scratches.Get().(*scratch)
	s.reset(p)
	d := Decision{Policy: p.policy.Name, Hash: p.hash, Mode: p.Mode(), Match: -1, Slot: -1, Priority: f.Conversation.Priority}
	p.place(f, s, t, &d)
	p.chooseReply(f, t, &d)
	d.ExpressionErrors = s.errors
	s.variables, s.err = nil, nil
	scratches.Put(s)
	return d
}

// place decides everything but the reply.
func (p *Program) place(f *Facts, s *scratch, t *trace, d *Decision) {
	if f.Conversation.StepChanges >= MaxStepChanges || f.Conversation.OwnerChanges >= MaxOwnerChanges {
		d.Via = ViaLoopGuard
		p.enterDefault(f, t, d, ActionHold)
		return
	}
	switch f.Event {
	case EventReopened:
		if code := p.returns(f); code == returnYes {
			d.Action, d.Via, d.Target = ActionReturn, ViaReopen, Target{Agent: f.Agent.ID}
			return
		} else if t != nil {
			t.notReturned = code
		}
	case EventStepExpired, EventStepFailed:
		if p.continues(f) {
			d.Via = ViaNextStep
			p.goOn(f, t, d)
			return
		}
	}
	for i := range p.rules {
		if r := &p.rules[i]; r.matching(p, f, s, t, d) {
			d.Via, d.Rule = ViaRule, r.spec.Name
			d.Priority = orDefault(r.spec.Set.Priority, d.Priority)
			p.walk(f, t, d, r, 0, "")
			return
		}
	}
	d.Via = ViaDefault
	p.enterDefault(f, t, d, ActionRoute)
}

// matching tries the matches of a rule.
func (r *rule) matching(p *Program, f *Facts, s *scratch, t *trace, d *Decision) bool {
	if len(r.matches) == 0 {
		t.rule(r, true)
		return true
	}
	t.rule(r, false)
	for i := range r.matches {
		field := r.matches[i].evaluate(p, f, s)
		t.match(field, s.err)
		if field == fieldNone {
			d.Match = i
			return true
		}
	}
	return false
}

// returnCode is why a reopened conversation goes back to its agent, or not.
type returnCode uint8

const (
	returnYes returnCode = iota
	returnOtherPolicy
	returnRerouteAlways
	returnNoAgent
	returnTooLate
	returnUnavailable
)

func (p *Program) returns(f *Facts) returnCode {
	reopen := &p.policy.Reopen
	reroute := orDefault(reopen.Reroute, RerouteIfAgentUnavailable)
	within := time.Duration(reopen.Within)
	switch {
	case f.Position.Policy != "" && f.Position.Policy != p.policy.Name:
		return returnOtherPolicy
	case reroute == RerouteAlways:
		return returnRerouteAlways
	case f.Agent.ID == "", f.Agent.Other, !f.Agent.At.IsZero() && f.Agent.At.Before(f.Conversation.OpenedAt): // they had the contact, not this conversation
		return returnNoAgent
	case within > 0 && !f.Conversation.SolvedAt.IsZero() && f.Now.Sub(f.Conversation.SolvedAt) > within:
		return returnTooLate
	case reroute == RerouteIfAgentUnavailable && (!f.Agent.Online || !f.Agent.Available):
		return returnUnavailable
	}
	return returnYes
}

// continues reports whether the conversation is in this version of the policy. In
// another it finishes its step, and then begins anew.
func (p *Program) continues(f *Facts) bool {
	at := &f.Position
	return at.Hash == p.hash && p.step(at.Rule, at.Step) != nil
}

// goOn follows the step that is over.
func (p *Program) goOn(f *Facts, t *trace, d *Decision) {
	at := &f.Position
	d.Rule = at.Rule
	if at.Step == defaultName {
		p.enterDefault(f, t, d, ActionHold)
		return
	}
	r := p.rule(at.Rule)
	i := r.stepIndex(at.Step)
	d.Step = at.Step
	p.walk(f, t, d, r, r.steps[i].next, at.Queue)
}

// enterDefault takes the default route, to Route the conversation or to Hold it there:
// then no bot gets it, out of hours either.
func (p *Program) enterDefault(f *Facts, t *trace, d *Decision, action Action) {
	st := &p.route
	var index int
	d.Slot, index = p.draw(f, d.Rule, st)
	b := &st.backends[index]
	d.Action, d.Step = action, st.name
	d.Timeout, d.Clock, d.Schedule = 0, "", ""
	t.step(st, d.Slot, index, stepTaken)
	d.Target = Target{Kind: b.kind, Name: b.name}
	if p.closed(f, b) {
		d.OutOfHours = true
		if action == ActionRoute && p.policy.OutOfHours.Action == OutOfHoursBot && p.botReady(f) == stepTaken {
			d.Target = Target{Kind: BackendBot, Name: p.policy.OutOfHours.Bot}
		}
	}
}

// draw is the slot of the facts' unit in a step, and the backend that it gets.
func (p *Program) draw(f *Facts, ruleName string, st *step) (slot, index int) {
	unit := f.Contact.ID
	if p.policy.Split.Unit == UnitConversation {
		unit = f.Conversation.ID
	}
	if st == &p.route {
		ruleName = defaultName // whichever rule led here
	}
	slot = Slot(p.seed, ruleName, st.name, unit)
	return slot, Pick(slot, st.weights)
}

// closed reports whether a queue's schedule is closed and the policy cares.
func (p *Program) closed(f *Facts, b *backend) bool {
	if p.policy.OutOfHours == nil || p.policy.OutOfHours.Action == OutOfHoursIgnore || b.schedule == "" {
		return false
	}
	state, known := f.Schedules[b.schedule]
	return known && !state.Open
}

// chooseReply picks the one text that the policy sends by itself. A bot speaks
// for itself, and nobody speaks twice.
func (p *Program) chooseReply(f *Facts, t *trace, d *Decision) {
	if d.Target.Kind != BackendAgentQueue {
		return
	}
	var kinds [2]ReplyKind
	switch {
	case d.OutOfHours:
		kinds[0] = ReplyAway
	case f.Event == EventOpened:
		kinds = [2]ReplyKind{ReplyGreeting, ReplyAuto}
	case f.Event == EventReopened:
		kinds[0] = ReplyAuto
	}
	for _, kind := range kinds {
		reply := p.reply(kind)
		if reply == nil {
			continue
		}
		language, ok := ChooseText(reply.Texts, f.Language.Code, p.policy.DefaultLanguage)
		if due := reply.due(f, kind); !due || !ok {
			t.spared(kind)
			continue
		}
		d.Reply = ReplyChoice{Kind: kind, Language: language}
		return
	}
}

func (r *Reply) due(f *Facts, kind ReplyKind) bool {
	sent, ever := f.Sent[kind]
	switch {
	case !ever || sent.IsZero():
		return true
	case r.OncePer > 0:
		return f.Now.Sub(sent) >= time.Duration(r.OncePer)
	}
	return sent.Before(f.Conversation.OpenedAt)
}
