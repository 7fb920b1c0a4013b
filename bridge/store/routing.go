package store

import (
	"context"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Routing. Who gets a conversation is decided by the policies of its channel
// (package routing, which is pure); here the facts are collected, the decision is
// kept and carried out:
//
//	a message that opens or reopens ─┐
//	a step's time is over (timers)  ─┤         facts ──► Decide ──► decisions (kept: facts, decision, policy)
//	a step's backend refuses        ─┼─► route   │                     │
//	a bot hands over                ─┘           └ policies, queues,   ├──► owner: transfer, enqueue
//	                                               agents, breakers    ├──► routings: position, labels, when the step ends
//	                                                                   └──► errands: a text, a bot's turn, a webhook
//
// All of it is in the transaction that brought the event. What needs the world
// outside, or the outbox, follows the commit as an errand (errand.go).
//
// A message to a conversation that somebody has is not routed: it is theirs. A
// channel without policies has no chain, and none of this costs it anything.

// dispatcher is what routing keeps in memory; nothing of it is needed after a restart.
type dispatcher struct {
	s        *Store
	archives archives
	programs programCache
	clients  webhookClients
	calls    calls
	loops    loops
	metrics  *routingMetrics
}

// openRouting hangs routing into the store.
func (s *Store) openRouting() {
	s.dispatcher = &dispatcher{s: s, metrics: newRoutingMetrics(s.opts.Metrics, s.openBackendBreakers)}
	s.commit.dispatcher = s.dispatcher
	s.loops = append(s.loops, s.dispatcher.runErrands, s.dispatcher.runTimers)
}

// occasion is why a conversation is routed, with what is known about it already.
type occasion struct {
	event   routing.Event
	message *messageRow // that brought the event; nil: none did
	// newConversation and newContact: there is nothing to look up about them.
	newConversation, newContact bool
	solvedAt                    int64 // of one that is reopened
	// Why the event came: the bot that hands over and its reason; what failed.
	bot, reason string
	caller      string // name of the token by which somebody let go

	row      *routingRow // where the conversation is; read where nil
	decision string      // id, once it is kept
}

// route decides who gets a conversation now, and carries it out. v must have been
// read in this transaction with its row locked, or be new in it; it is brought up
// to date. m is the message that brought the event, if one did. On a channel
// without policies it does nothing.
func (t *txn) route(v *convRow, event routing.Event, m *messageRow) error {
	return t.c.dispatcher.route(t, v, &occasion{event: event, message: m})
}

func (r *dispatcher) route(t *txn, v *convRow, o *occasion) (err error) {
	st := r.s.state.Load()
	c := st.chain(v.channel)
	if c == nil {
		return nil
	}
	if o.newConversation {
		o.row = &routingRow{conversation: v.id}
		if !o.newContact && c.needs.Language {
			if o.row.language, err = t.languageBefore(v); err != nil {
				return err
			}
		}
	} else if o.row == nil {
		if o.row, err = readRouting(t.ctx, t, v.id); err != nil {
			return err
		}
	}
	f, err := r.facts(t, st, c, v, o)
	if err != nil {
		return err
	}
	for _, p := range c.shadows {
		if _, err := r.keep(t, p, &f, routing.Decide(p, &f), o); err != nil {
			return err
		}
	}
	d, enforced := c.Decide(&f)
	if !enforced {
		return nil
	}
	p := c.programs[d.Hash]
	if o.decision, err = r.keep(t, p, &f, d, o); err != nil {
		return err
	}
	return r.carryOut(t, p, v, o, d)
}

func (r *dispatcher) keep(t *txn, p *routing.Program, f *routing.Facts, d routing.Decision, o *occasion) (string, error) {
	t.afterCommit(func() { r.metrics.decided(d) })
	if d.Via == routing.ViaLoopGuard && d.Mode == routing.ModeEnforce {
		now := ms(t.now)
		t.afterCommit(func() {
			r.loops.note(d.Policy, now)
			r.s.log.Warn("a conversation was moved too often within an hour and is held in the default route; its decisions say why", "conversation", f.Conversation.ID, "policy", d.Policy)
		})
	}
	return r.s.keepDecision(t, p, f, d, o.reason)
}

// carryOut does what a decision says.
func (r *dispatcher) carryOut(t *txn, p *routing.Program, v *convRow, o *occasion, d routing.Decision) error {
	row := o.row
	row.decision, row.position, row.enteredAt, row.dueAt, row.asking = o.decision, d.Position(), ms(t.now), 0, false
	row.priority = d.Priority
	row.label(p.Set(d).Labels)
	if o.message != nil {
		row.message = o.message.ID
	}
	before := v.owner
	if err := r.give(t, p, v, o, d); err != nil {
		return err
	}
	row.epoch = v.epoch
	if due, ok := p.Deadline(d, t.now); ok && d.Action == routing.ActionRoute {
		row.dueAt = max(ms(due), ms(t.now)+1)
		t.wake(topicSteps)
	}
	if err := row.save(t); err != nil {
		return err
	}
	if d.Target.Kind == routing.BackendBot {
		return r.beginTurn(t, v, o, before)
	}
	return r.reply(t, p, v, o, d)
}

// give makes the decision's target the owner.
func (r *dispatcher) give(t *txn, p *routing.Program, v *convRow, o *occasion, d routing.Decision) error {
	cause := ownerCause{why: CauseRouted, caller: o.caller, decision: o.decision}
	if o.event == routing.EventHandoffRequested {
		cause.why = CauseHandover
	}
	switch {
	case d.Action == routing.ActionReturn:
		return t.transfer(v, Owner{Kind: OwnerAgent, Name: d.Target.Agent}, cause)
	case d.Action == routing.ActionClose:
		return r.solve(t, v, cause)
	case d.Target.Kind == routing.BackendBot:
		return t.transfer(v, Owner{Kind: OwnerBot, Name: d.Target.Name}, cause)
	case d.Target.Kind == routing.BackendWebhook:
		o.row.asking = true
		if err := t.transfer(v, Owner{Kind: OwnerNone}, cause); err != nil {
			return err
		}
		return t.addErrand(errand{conversation: v.id, kind: errandWebhook, target: d.Target.Name, message: o.row.message, epoch: v.epoch, decision: o.decision})
	}
	return t.enqueue(v, waitingOf(t, p, o.row, d, cause))
}

// solve closes a conversation that a rule asks nothing of anybody for.
func (r *dispatcher) solve(t *txn, v *convRow, cause ownerCause) error {
	if err := t.transfer(v, Owner{Kind: OwnerNone}, cause); err != nil {
		return err
	}
	v.state, v.solvedAt, v.snoozedUntil, v.updatedAt = ConversationSolved, ms(t.now), 0, ms(t.now)
	if err := t.surveySolved(v, true); err != nil {
		return err
	}
	return t.updateConversation(*v)
}

// reply sends the policy's own text, if it has one for this moment. That the
// contact gets it is noted now, so that two conversations at once are not both
// greeted.
func (r *dispatcher) reply(t *txn, p *routing.Program, v *convRow, o *occasion, d routing.Decision) error {
	text := p.Text(d.Reply)
	if text == "" {
		return nil
	}
	if err := t.row(savePolicyTexts, v.contact+" "+string(d.Reply.Kind), v.contact, string(d.Reply.Kind), ms(t.now)); err != nil {
		return err
	}
	return t.addErrand(errand{conversation: v.id, kind: errandText, target: d.Policy, epoch: v.epoch, decision: o.decision, payload: text})
}

var savePolicyTexts = bulkInsert("policy_texts", "ON CONFLICT (contact, kind) DO UPDATE SET sent_at = excluded.sent_at", "contact text", "kind text", "sent_at bigint")

// label adds labels; those that a rule sets again get its value.
func (row *routingRow) label(labels map[string]string) {
	if len(labels) > 0 && row.labels == nil {
		row.labels = make(map[string]string, len(labels))
	}
	for name, value := range labels {
		row.labels[name] = value
	}
}

// maxTopics bounds the topics of a conversation, as routing.MaxValues bounds what
// a rule can compare them with. The latest are kept.
const maxTopics = routing.MaxValues

// addTopics adds topics that are not there yet.
func (row *routingRow) addTopics(topics []string) {
	for _, topic := range topics {
		if topic = cut(topic, routing.MaxValueBytes); topic != "" && !slices.Contains(row.topics, topic) {
			row.topics = append(row.topics, topic)
		}
	}
	row.topics = row.topics[max(0, len(row.topics)-maxTopics):]
}

// facts collects what the chain's decision depends on, and no more.
func (r *dispatcher) facts(t *txn, st *state, c *chain, v *convRow, o *occasion) (routing.Facts, error) {
	ch, row := st.channel(v.channel), o.row
	f := routing.Facts{
		Now: t.now, Event: o.event,
		Channel:      routing.ChannelFacts{Name: ch.Name, Platform: ch.Platform, Account: ch.Account},
		Contact:      routing.ContactFacts{ID: v.contact},
		Conversation: routing.ConversationFacts{ID: v.id, OpenedAt: fromMS(v.createdAt), Topics: row.topics, Labels: row.labels, Priority: row.priority, Bot: o.bot},
		Language:     st.language(v.channel, row.language, v.language),
		Schedules:    c.scheduleFacts(t.now),
	}
	if o.event != routing.EventOpened {
		f.Position = row.position
	}
	if _, ok := st.queueRef(f.Position.Queue); !ok { // nothing is held where nobody comes any more
		f.Position.Queue = ""
	}
	if o.event == routing.EventReopened {
		f.Conversation.SolvedAt = fromMS(o.solvedAt)
	}
	for _, collect := range []func(*txn, *state, *chain, *convRow, *occasion, *routing.Facts) error{
		r.messageFacts, r.contactFacts, r.agentFacts, r.moveFacts, r.backendFacts,
	} {
		if err := collect(t, st, c, v, o, &f); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (r *dispatcher) messageFacts(t *txn, _ *state, _ *chain, _ *convRow, o *occasion, f *routing.Facts) error {
	if m := o.message; m != nil {
		f.Message = routing.MessageFacts{ID: m.ID, Type: string(m.Type), Text: m.Text}
		return nil
	}
	if o.row.message == "" {
		return nil
	}
	kind, text, found, err := originalText(t.ctx, t, o.row.message)
	if found {
		f.Message = routing.MessageFacts{ID: o.row.message, Type: kind, Text: text}
	}
	return err
}

// contactFacts are about the contact's past: attributes, conversations, texts.
func (r *dispatcher) contactFacts(t *txn, _ *state, c *chain, v *convRow, o *occasion, f *routing.Facts) error {
	if o.newContact || !c.needs.Contact && !c.needs.Sent {
		return nil
	}
	var attributes, message string
	var last, greeting, away, auto int64
	if o.message != nil {
		message = o.message.ID
	}
	// The last message that is not this one: of this conversation where it is
	// reopened, else of the contact's others.
	others := o.event != routing.EventReopened
	found, err := one(t.ctx, t, []any{&attributes, &last, &greeting, &away, &auto}, `SELECT c.attributes,
		COALESCE((SELECT MAX(COALESCE((SELECT m.timestamp FROM messages m WHERE m.conversation = v.id AND m.id <> ? ORDER BY m.timestamp DESC LIMIT 1), v.created_at))
			FROM conversations v WHERE v.contact = c.id AND (v.id <> ?) = ?), 0),
		COALESCE((SELECT s.sent_at FROM policy_texts s WHERE s.contact = c.id AND s.kind = 'greeting'), 0),
		COALESCE((SELECT s.sent_at FROM policy_texts s WHERE s.contact = c.id AND s.kind = 'away'), 0),
		COALESCE((SELECT s.sent_at FROM policy_texts s WHERE s.contact = c.id AND s.kind = 'autoReply'), 0)
		FROM contacts c WHERE c.id = ?`, message, v.id, others, v.contact)
	if err != nil || !found {
		return err
	}
	f.Contact.LastContactAt = fromMS(last)
	for kind, at := range map[routing.ReplyKind]int64{routing.ReplyGreeting: greeting, routing.ReplyAway: away, routing.ReplyAuto: auto} {
		if at > 0 {
			if f.Sent == nil {
				f.Sent = map[routing.ReplyKind]time.Time{}
			}
			f.Sent[kind] = fromMS(at)
		}
	}
	return unmarshalSome(attributes, &f.Contact.Attributes)
}

// agentFacts are about who had the conversation last that is reopened, else about who
// had the contact: after a merge these are not the same.
func (r *dispatcher) agentFacts(t *txn, _ *state, c *chain, v *convRow, o *occasion, f *routing.Facts) (err error) {
	if o.newContact || !c.needs.Agent && o.event != routing.EventReopened {
		return nil
	}
	if o.event == routing.EventReopened {
		if f.Agent, err = t.agentFacts(lastOfConversation, v.id, v.channel); err != nil || f.Agent.ID != "" {
			return err
		}
	}
	f.Agent, err = t.agentFacts(lastOfContact, v.contact, v.channel)
	f.Agent.Other = f.Agent.ID != "" && o.event == routing.EventReopened
	return err
}

// loopWindow is over which time moves are counted (routing.MaxStepChanges).
const loopWindow = time.Hour

// moveFacts are how often the conversation was moved within the last hour.
func (r *dispatcher) moveFacts(t *txn, _ *state, _ *chain, v *convRow, o *occasion, f *routing.Facts) (err error) {
	if o.newConversation {
		return nil
	}
	since := t.now.Add(-loopWindow)
	if _, err = one(t.ctx, t, []any{&f.Conversation.StepChanges}, `SELECT COUNT(*) FROM decisions WHERE conversation = ? AND id >= ? AND shadow = 0`, v.id, idBefore(since)); err != nil {
		return err
	}
	f.Conversation.OwnerChanges, err = t.ownerChanges(v.id, since)
	return err
}

// backendFacts are about queues, and about bots and webhooks that fail.
func (r *dispatcher) backendFacts(t *txn, st *state, c *chain, _ *convRow, _ *occasion, f *routing.Facts) (err error) {
	if f.Queues, err = t.queueFacts(c.needs.Queues); err != nil || !c.external {
		return err
	}
	failing, err := failingBackends(t.ctx, t, t.now)
	for _, b := range failing {
		switch {
		case b.kind == routing.BackendBot && slices.Contains(c.needs.Bots, b.name):
			f.Bots = withFailing(f.Bots, b.name)
		case b.kind == routing.BackendWebhook && slices.Contains(c.needs.Webhooks, b.name):
			f.Webhooks = withFailing(f.Webhooks, b.name)
		}
	}
	return err
}

func withFailing(facts map[string]routing.BackendFacts, name string) map[string]routing.BackendFacts {
	if facts == nil {
		facts = map[string]routing.BackendFacts{}
	}
	facts[name] = routing.BackendFacts{Failing: true}
	return facts
}

// handOver is what follows when a bot gives a conversation up: the policies of
// the channel say who gets it; without any, nobody has it.
func (r *dispatcher) handOver(t *txn, v *convRow, row *routingRow, reason string, m *messageRow) error {
	if !r.s.state.Load().enforces(v.channel) {
		return t.letGo(v, row, ownerCause{why: CauseHandover})
	}
	return r.route(t, v, &occasion{event: routing.EventHandoffRequested, message: m, bot: v.owner.Name, reason: reason, row: row})
}

// messageOf reads what routing looks at of a message.
func messageOf(ctx context.Context, q querier, id string) (*messageRow, error) {
	if id == "" {
		return nil, nil
	}
	kind, text, found, err := originalText(ctx, q, id)
	if err != nil || !found {
		return nil, err
	}
	return &messageRow{ID: id, Type: message.Type(kind), Text: text}, nil
}

// waitingOf is what the queue is told that a decision names. Whom it is reserved
// for has it to themselves as long as the step lasts.
func waitingOf(t *txn, p *routing.Program, row *routingRow, d routing.Decision, cause ownerCause) waiting {
	w := waiting{Queue: d.Target.Name, Priority: row.priority, Skills: p.Skills(d), Agent: d.Target.Agent, Hold: d.Action == routing.ActionHold, Cause: cause}
	if until, ok := p.Deadline(d, t.now); ok && w.Agent != "" {
		w.AgentUntil = until
	}
	return w
}
