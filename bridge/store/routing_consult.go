package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/bot"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

const (
	// consultAttempts is how often one question is asked, under one webhook-id.
	consultAttempts = 3
	// consultBackoff is before the second attempt, twice of it before the third: a
	// restart of the other side is over in seconds, and a contact waits.
	consultBackoff = time.Second
	// consultPatience is how long all attempts together may take; who waits longer
	// for a bot has left, or is better off with a person.
	consultPatience = 30 * time.Second
	// consultGrace is how long after the timeout of a question its errand is taken
	// for lost with the replica that asked.
	consultGrace = 10 * time.Second
)

// Types of questions, in their field type.
const (
	questionBot     = "bot.message"
	questionWebhook = "routing.requested"
)

// consultation is what a bot or a webhook is asked, as Standard Webhooks has it.
type consultation struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// botQuestion is the data of a question to a bot.
type botQuestion struct {
	Bot          string          `json:"bot"`
	Namespace    string          `json:"namespace"`
	Channel      string          `json:"channel"`
	Conversation string          `json:"conversation"`
	Epoch        int64           `json:"epoch"`
	Turn         int             `json:"turn"`
	Contact      questionContact `json:"contact"`
	// Returned: there is no message; somebody gave the conversation to the bot.
	Returned bool             `json:"returned,omitempty"`
	Message  *message.Message `json:"message,omitempty"`
}

// questionContact is the person, as far as an answer can depend on it.
type questionContact struct {
	ID          string            `json:"id"`
	DisplayName string            `json:"displayName,omitempty"`
	Language    string            `json:"language,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
}

// botReplies is a bot's answer.
type botReplies struct {
	Replies []struct {
		Text         string           `json:"text"`
		QuickReplies []message.Button `json:"quickReplies"`
	} `json:"replies"`
	// Language that the contact speaks (BCP 47), as the bot found out.
	Language string `json:"language"`
	Handover *struct {
		Reason string   `json:"reason"`
		Topics []string `json:"topics"`
	} `json:"handover"`
}

// webhookQuestion is the data of a question about who gets a conversation.
type webhookQuestion struct {
	Policy       string                    `json:"policy"`
	Rule         string                    `json:"rule,omitempty"`
	Step         string                    `json:"step,omitempty"`
	Event        routing.Event             `json:"event"`
	Channel      routing.ChannelFacts      `json:"channel"`
	Conversation routing.ConversationFacts `json:"conversation"`
	Contact      routing.ContactFacts      `json:"contact"`
	Language     string                    `json:"language,omitempty"`
	Message      routing.MessageFacts      `json:"message,omitzero"`
}

// webhookAnswer is who gets the conversation: a queue, or whoever the next step names.
type webhookAnswer struct {
	Queue    string            `json:"queue,omitempty"`
	Next     bool              `json:"next,omitempty"`
	Priority routing.Priority  `json:"priority,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Topics   []string          `json:"topics,omitempty"`
	Language string            `json:"language,omitempty"`
}

// consult asks, and keeps the answer.
func (r *dispatcher) consult(ctx context.Context, e errand, hook *endpoint, ask *inquiry) (err error) {
	switch {
	case ask.open:
		return r.failed(ctx, e, "it did not answer the last times; its breaker is open", false)
	case ask.settled != nil:
		return r.settle(ctx, e, func(m *matter) (errandResult, error) { return r.heard(m, *ask.settled) })
	}
	client := r.clients.get(r.s.state.Load().settings.AllowPrivateHosts)
	if e.kind == errandBot {
		var answer botReplies
		err = hook.call(ctx, client, "msg_"+e.id, r.s.now(), ask.question, &answer)
		if err == nil {
			return r.answered(ctx, e, func(m *matter) (errandResult, error) { return r.heard(m, answer.read(*ask)) })
		}
	} else {
		var answer webhookAnswer
		err = hook.call(ctx, client, "msg_"+e.id, r.s.now(), ask.question, &answer)
		if err == nil {
			return r.answered(ctx, e, func(m *matter) (errandResult, error) { return r.directed(m, answer) })
		}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // we are stopping: the claim runs out, and another replica asks
	}
	return r.unanswered(ctx, e, err)
}

func (r *dispatcher) endpointOf(e errand) *endpoint {
	routes := r.s.state.Load().routes
	if e.kind == errandWebhook {
		return routes.webhooks[e.target].content
	}
	if b := routes.bots[e.target].content; b != nil {
		return b.webhook
	}
	return nil
}

// inquiry is a question that is ready to be asked, or what makes it needless.
type inquiry struct {
	question consultation
	state    bot.State
	farewell []bot.Reply // of a bot's handover
	// open: the breaker is. settled: the answer is known without asking.
	open    bool
	settled *botAnswer
}

// claim takes an errand for as long as a question may take, and makes the
// question. nil: somebody else has it, or it is out of date and gone.
func (r *dispatcher) claim(ctx context.Context, e errand, hook *endpoint) (errand, *inquiry, error) {
	var ask *inquiry
	next := e
	next.lease, next.attempts = e.lease+1, e.attempts+1
	err := r.s.write(ctx, 1, func(t *txn) (err error) {
		ask = nil
		n, err := t.exec(`UPDATE errands SET lease = ?, attempts = ?, due_at = ? WHERE id = ? AND lease = ?`,
			next.lease, next.attempts, ms(t.now.Add(hook.timeout+consultGrace)), e.id, e.lease)
		if err != nil || n == 0 {
			return err
		}
		v, err := r.s.conversation(t.ctx, t, Scope{All: true}, e.conversation)
		if err != nil {
			return err
		}
		row, err := readRouting(t.ctx, t, e.conversation)
		if err != nil {
			return err
		}
		m := &matter{t: t, v: &v, row: row, e: next}
		if !m.current() {
			t.afterCommit(func() { r.metrics.errands.WithLabelValues(string(e.kind), string(resultSuperseded)).Inc() })
			t.wake(topicErrands)
			_, err := t.exec(`DELETE FROM errands WHERE id = ?`, e.id)
			return err
		}
		ask = &inquiry{}
		if ask.open, err = t.breakerOpen(backendOf(e.kind), e.target, hook.timeout); err != nil || ask.open {
			return err
		}
		if e.kind == errandWebhook {
			return r.askWebhook(m, hook, ask)
		}
		return r.askBot(m, ask)
	})
	return next, ask, err
}

// askBot makes the question to a bot, unless the contact asks for a person or the
// bot has had its turns.
func (r *dispatcher) askBot(m *matter, ask *inquiry) (err error) {
	b := r.s.state.Load().routes.bots[m.e.target].content
	if b == nil { // it left the document just now
		ask.settled = &botAnswer{handover: reasonFailure}
		return nil
	}
	if ask.state, err = m.botState(); err != nil {
		return err
	}
	in, err := m.input()
	if err != nil {
		return err
	}
	if !in.Returned {
		ask.state.Turns++
	}
	if farewell, ok := chooseText(b.handover.Text, m.language(), b.handover.DefaultLanguage); ok {
		ask.farewell = []bot.Reply{farewell}
	}
	switch {
	case b.person.In(in.Text):
		ask.settled = &botAnswer{replies: ask.farewell, handover: string(bot.ReasonKeyword)}
		return nil
	case ask.state.Turns > cmp.Or(b.handover.MaxTurns, bot.DefaultMaxTurns):
		ask.settled = &botAnswer{replies: ask.farewell, handover: string(bot.ReasonMaxTurns)}
		return nil
	}
	contact, err := m.contact()
	if err != nil {
		return err
	}
	_, channel := splitChannel(m.v.channel)
	q := botQuestion{Bot: m.e.target, Namespace: m.v.namespace, Channel: channel, Conversation: m.v.id, Epoch: m.v.epoch, Turn: ask.state.Turns, Contact: contact, Returned: in.Returned}
	if !in.Returned {
		list, err := all(m.t.ctx, m.t, scanMessage, selectMessages+`WHERE m.id = ?`, m.e.message)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			q.Message = &list[0]
		}
	}
	ask.question = consultation{Type: questionBot, Timestamp: m.t.now, Data: q}
	return nil
}

func (m *matter) contact() (questionContact, error) {
	c := questionContact{ID: m.v.contact, DisplayName: m.v.displayName, Language: m.language()}
	var raw string
	if _, err := one(m.t.ctx, m.t, []any{&raw}, `SELECT attributes FROM contacts WHERE id = ?`, m.v.contact); err != nil {
		return c, err
	}
	return c, unmarshalSome(raw, &c.Attributes)
}

// askWebhook makes the question who gets a conversation, of the facts that the
// decision was made of.
func (r *dispatcher) askWebhook(m *matter, hook *endpoint, ask *inquiry) error {
	var raw string
	if _, err := one(m.t.ctx, m.t, []any{&raw}, `SELECT facts FROM decisions WHERE conversation = ? AND id = ?`, m.v.id, m.e.decision); err != nil {
		return err
	}
	var f routing.Facts
	if err := unmarshalSome(raw, &f); err != nil {
		return err
	}
	if hook.includeText && f.Message.ID != "" {
		_, text, _, err := originalText(m.t.ctx, m.t, f.Message.ID)
		if err != nil {
			return err
		}
		f.Message.Text = routing.CutText(text)
	}
	f.Conversation.Labels, f.Conversation.Topics, f.Conversation.Priority = m.row.labels, m.row.topics, m.row.priority
	p := m.row.position
	ask.question = consultation{Type: questionWebhook, Timestamp: m.t.now, Data: webhookQuestion{
		Policy: p.Policy, Rule: p.Rule, Step: p.Step, Event: f.Event, Channel: f.Channel, Conversation: f.Conversation, Contact: f.Contact, Language: f.Language.Code, Message: f.Message,
	}}
	return nil
}

const (
	// repliesMax bounds what a bot says to one message; more is a flood.
	repliesMax = 10
	reasonMax  = 64
)

// read makes a bot's answer what it means. What is empty or too long is left out.
func (a botReplies) read(ask inquiry) botAnswer {
	out := botAnswer{state: ask.state, language: a.Language}
	out.state.Greeted = true
	for _, reply := range a.Replies[:min(len(a.Replies), repliesMax)] {
		text := clean(reply.Text)
		if text == "" || len(text) > routing.MaxReplyBytes {
			continue
		}
		buttons := mapped(reply.QuickReplies[:min(len(reply.QuickReplies), bot.MaxOptions)], func(b message.Button) message.Button {
			return message.Button{Title: clean(b.Title), Payload: clean(b.Payload)}
		})
		out.replies = append(out.replies, bot.Reply{Text: text, Buttons: buttons})
	}
	if a.Handover == nil {
		return out
	}
	out.handover = cmp.Or(cut(a.Handover.Reason, reasonMax), string(bot.ReasonRequested))
	out.topics = a.Handover.Topics
	out.state = bot.State{Greeted: true}
	if len(out.replies) == 0 {
		out.replies = ask.farewell
	}
	return out
}

// answered keeps an answer; the breaker closes.
func (r *dispatcher) answered(ctx context.Context, e errand, do func(m *matter) (errandResult, error)) error {
	return r.settle(ctx, e, func(m *matter) (errandResult, error) {
		if err := m.t.closeBreaker(backendOf(e.kind), e.target); err != nil {
			return "", err
		}
		return do(m)
	})
}

// unanswered asks again later, or goes on without.
func (r *dispatcher) unanswered(ctx context.Context, e errand, err error) error {
	var ce *callError
	if !errors.As(err, &ce) {
		return err
	}
	delay := max(consultBackoff<<(e.attempts-1), ce.after)
	again := r.s.now().Add(delay)
	if ce.final || e.attempts >= consultAttempts || again.After(fromMS(e.createdAt).Add(consultPatience)) {
		return r.failed(ctx, e, ce.text, true)
	}
	return r.s.write(ctx, 1, func(t *txn) error {
		t.wake(topicErrands)
		_, err := t.exec(`UPDATE errands SET due_at = ? WHERE id = ? AND lease = ?`, ms(t.now.Add(delay)), e.id, e.lease)
		return err
	})
}

// failed is a bot or a webhook that does not answer: it is counted against it, a
// bot loses the conversation, and a webhook's step is over. Without having been
// asked it has not failed once more.
func (r *dispatcher) failed(ctx context.Context, e errand, why string, asked bool) error {
	r.s.log.Warn("a bot or a webhook did not answer; the conversation goes on without it", "kind", backendOf(e.kind), "name", e.target, "reason", why)
	return r.settle(ctx, e, func(m *matter) (errandResult, error) {
		if asked {
			if err := m.t.countFailure(backendOf(e.kind), e.target); err != nil {
				return "", err
			}
		}
		if e.kind == errandWebhook {
			return resultFailed, r.stepFailed(m, webhookFailure{Failed: why})
		}
		answer := botAnswer{handover: reasonFailure}
		if b := r.s.state.Load().routes.bots[e.target].content; b != nil {
			if farewell, ok := chooseText(b.handover.Text, m.language(), b.handover.DefaultLanguage); ok {
				answer.replies = []bot.Reply{farewell}
			}
		}
		return r.heard(m, answer)
	})
}

// webhookFailure is kept in the place of an answer.
type webhookFailure struct {
	Failed string `json:"failed"`
}

// stepFailed ends the step of a webhook that named nobody.
func (r *dispatcher) stepFailed(m *matter, answer any) error {
	if err := m.keepAnswer(answer); err != nil {
		return err
	}
	m.row.asking = false
	if !r.s.state.Load().enforces(m.v.channel) {
		return m.row.shelve(m.t, m.v.epoch)
	}
	return r.route(m.t, m.v, &occasion{event: routing.EventStepFailed, reason: "webhook", row: m.row})
}

// directed gives a conversation to the queue that a webhook named.
func (r *dispatcher) directed(m *matter, a webhookAnswer) (errandResult, error) {
	if a.Priority != "" && !slices.Contains(priorities, a.Priority) {
		a.Priority = ""
	}
	m.row.priority = cmp.Or(a.Priority, m.row.priority)
	m.row.addTopics(a.Topics)
	m.row.speaks(a.Language)
	m.row.label(boundedLabels(a.Labels))
	st := r.s.state.Load()
	// A policy names queues of its own namespace, and so does its webhook.
	if _, ok := st.queueRef(a.Queue); !ok || a.Next || namespaceOf(a.Queue) != namespaceOf(m.e.target) {
		if !a.Next {
			return resultFailed, r.stepFailed(m, webhookFailure{Failed: "it named a queue that is not in force in its policy's namespace"})
		}
		return resultDone, r.stepFailed(m, a)
	}
	if err := m.keepAnswer(a); err != nil {
		return "", err
	}
	w := waiting{Queue: a.Queue, Priority: m.row.priority, Cause: ownerCause{why: CauseRouted, decision: m.e.decision}}
	if p := st.program(m.v.channel, m.row.position.Hash); p != nil {
		w.Skills = p.Skills(routing.Decision{Rule: m.row.position.Rule, Step: m.row.position.Step})
	}
	if err := m.t.enqueue(m.v, w); err != nil {
		return "", err
	}
	m.row.asking, m.row.epoch, m.row.position.Queue = false, m.v.epoch, a.Queue
	return resultDone, m.row.save(m.t)
}

// program is the version of a policy on a channel, if it is in force.
func (st *state) program(channel, hash string) *routing.Program {
	if c := st.chain(channel); c != nil {
		return c.programs[hash]
	}
	return nil
}

// boundedLabels are the labels that fit, as rules' own do.
func boundedLabels(labels map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range labels {
		if name != "" && len(name) <= routing.MaxValueBytes && len(value) <= routing.MaxValueBytes && len(out) < routing.MaxValues {
			out[clean(name)] = clean(value)
		}
	}
	return out
}
