package routing

import (
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// stepCode is what became of a step.
type stepCode uint8

const (
	stepTaken stepCode = iota
	stepMissing
	stepFailing
	stepHandedOff
	stepFull
	stepOnline
	stepAvailable
	stepDepth
	stepOldestWait
	stepClosed
	stepNoSticky
)

// stickyCode is whether the last agent can have the conversation.
type stickyCode uint8

const (
	stickyYes stickyCode = iota
	stickyNobody
	stickyTooLong
	stickyOffline
	stickyNoCapacity
	stickyNotMember
)

// walk enters the first step, from index i on, that can be had.
func (p *Program) walk(f *Facts, t *trace, d *Decision, r *rule, i int, queue string) {
	for ; i >= 0; i = r.steps[i].next {
		st := &r.steps[i]
		d.Step = st.name
		b, code := p.try(f, t, d, r, st)
		if code == stepTaken {
			d.Action = ActionRoute
			p.startClock(d, st, b)
			return
		}
		if b != nil && b.kind == BackendAgentQueue && !b.missing {
			queue = b.name
		}
	}
	t.exhausted()
	switch exhausted := orDefault(r.spec.OnExhausted, ExhaustedHold); {
	case exhausted == ExhaustedClose:
		d.Action, d.Slot = ActionClose, -1
	case exhausted == ExhaustedHold && queue != "":
		d.Action, d.Target = ActionHold, Target{Kind: BackendAgentQueue, Name: queue}
		d.OutOfHours = p.queueClosed(f, r, queue)
	default:
		p.enterDefault(f, t, d, ActionRoute)
	}
}

// try enters a step, or says why not. The backend is the one that was drawn, or the queue
// of the known agent; nil if there is none.
func (p *Program) try(f *Facts, t *trace, d *Decision, r *rule, st *step) (*backend, stepCode) {
	if st.sticky != nil {
		queue, code := p.known(f, r, st)
		t.sticky(code)
		if code == stickyYes {
			d.Slot, d.Target = -1, Target{Kind: BackendAgentQueue, Name: queue.name, Agent: f.Agent.ID}
			t.step(st, -1, -1, stepTaken)
			return queue, stepTaken
		}
		if len(st.backends) == 0 {
			t.step(st, -1, -1, stepNoSticky)
			return nil, stepNoSticky
		}
	}
	slot, index := p.draw(f, r.spec.Name, st)
	b := &st.backends[index]
	d.Slot = slot
	code := p.ready(f, st, b, d)
	t.step(st, slot, index, code)
	return b, code
}

// ready says whether a backend can have the conversation, and if so puts it into
// the decision.
func (p *Program) ready(f *Facts, st *step, b *backend, d *Decision) stepCode {
	if b.missing {
		return stepMissing
	}
	target := Target{Kind: b.kind, Name: b.name}
	switch b.kind {
	case BackendBot:
		if code := botReady(f, b.name); code != stepTaken {
			return code
		}
	case BackendWebhook:
		if f.Webhooks[b.name].Failing {
			return stepFailing
		}
	case BackendAgentQueue:
		if code := st.skipIf.check(f, b.name); code != stepTaken {
			return code
		}
		if p.closed(f, b) {
			switch hours := p.policy.OutOfHours; {
			case hours.Action == OutOfHoursNextStep:
				return stepClosed
			case hours.Action == OutOfHoursBot && p.botReady(f) == stepTaken:
				target = Target{Kind: BackendBot, Name: hours.Bot}
			}
			d.OutOfHours = true
		}
	}
	d.Target = target
	return stepTaken
}

// botReady says whether the out-of-hours bot can take over.
func (p *Program) botReady(f *Facts) stepCode {
	name := p.policy.OutOfHours.Bot
	if !p.bots[name] {
		return stepMissing
	}
	return botReady(f, name)
}

// botReady: a bot whose breaker is open cannot, and the one that has just handed the
// conversation off does not get it back by the same event.
func botReady(f *Facts, name string) stepCode {
	switch {
	case f.Bots[name].Failing:
		return stepFailing
	case f.Event == EventHandoffRequested && f.Conversation.Bot == name:
		return stepHandedOff
	}
	return stepTaken
}

// check says whether a queue is to be skipped.
func (skip *SkipIf) check(f *Facts, queue string) stepCode {
	facts, known := f.Queues[queue]
	switch {
	case !known:
		return stepTaken
	case facts.Full:
		return stepFull
	case skip == nil:
		return stepTaken
	case facts.Online < skip.OnlineBelow:
		return stepOnline
	case facts.Available < skip.AvailableBelow:
		return stepAvailable
	case skip.DepthAbove != nil && facts.Depth > *skip.DepthAbove:
		return stepDepth
	case skip.OldestWaitAbove > 0 && facts.OldestWait > skip.OldestWaitAbove:
		return stepOldestWait
	}
	return stepTaken
}

// known finds the queue in which the contact's last agent can have the
// conversation: one of the step's, or when it has none, the first of the rule's.
func (p *Program) known(f *Facts, r *rule, st *step) (*backend, stickyCode) {
	agent, sticky := &f.Agent, st.sticky
	switch {
	case agent.ID == "":
		return nil, stickyNobody
	case sticky.MaxAge > 0 && f.Now.Sub(agent.At) > time.Duration(sticky.MaxAge):
		return nil, stickyTooLong
	case !agent.Online:
		return nil, stickyOffline
	case sticky.Require == RequireOnlineWithCapacity && !agent.Available:
		return nil, stickyNoCapacity
	}
	if len(st.backends) > 0 {
		if b := memberOf(agent, st.backends); b != nil {
			return b, stickyYes
		}
		return nil, stickyNotMember
	}
	for i := range r.steps {
		if b := memberOf(agent, r.steps[i].backends); b != nil {
			return b, stickyYes
		}
	}
	return nil, stickyNotMember
}

func memberOf(agent *AgentFacts, backends []backend) *backend {
	for i := range backends {
		if b := &backends[i]; b.kind == BackendAgentQueue && !b.missing && slices.Contains(agent.Queues, b.name) {
			return b
		}
	}
	return nil
}

// startClock gives the decision its step's timeout. A bot that minds the
// conversation out of hours keeps it until it hands it off.
func (p *Program) startClock(d *Decision, st *step, b *backend) {
	if st.timeout == 0 || d.OutOfHours && d.Target.Kind == BackendBot {
		return
	}
	d.Timeout, d.Clock = document.Duration(st.timeout), st.clock
	if st.clock != ClockBusiness {
		return
	}
	if p.policy.OutOfHours != nil {
		d.Schedule = p.policy.OutOfHours.Schedule
	}
	if b.schedule != "" {
		d.Schedule = b.schedule
	}
}

func (p *Program) queueClosed(f *Facts, r *rule, queue string) bool {
	for i := range r.steps {
		for j := range r.steps[i].backends {
			if b := &r.steps[i].backends[j]; b.kind == BackendAgentQueue && b.name == queue {
				return p.closed(f, b)
			}
		}
	}
	return false
}
