package store

import (
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// route hands a message on to who is concerned: to the policies where it opened
// or reopened its conversation, or nobody has that; to the bot whose it is. A
// conversation that a queue or a person has stays theirs. What another app is to
// answer (standby), and what the shop wrote itself, concerns nobody.
func (a *arrival) route() error {
	m, p := a.event.Message, a.party
	if done, err := a.surveyed(); done || err != nil {
		return err
	}
	if a.direction != message.Inbound || m.Standby {
		return nil
	}
	r, row := a.t.c.dispatcher, &messageRow{ID: a.id, Type: m.Type, Text: m.Text}
	st := r.s.state.Load()
	enforced := st.enforces(a.channel.Name)
	switch {
	case a.course == courseBegin, a.course == courseFollowUp:
		if st.chain(a.channel.Name) == nil {
			return nil
		}
		v := a.begun()
		return p.belongs(&v, r.route(a.t, &v, &occasion{event: routing.EventOpened, message: row, newConversation: true, newContact: a.newContact}))
	case a.course == courseOpen && a.before.state == ConversationSolved && enforced:
		v, err := r.s.conversation(a.t.ctx, a.t, Scope{All: true}, p.conversation)
		if err != nil {
			return err
		}
		return p.belongs(&v, r.route(a.t, &v, &occasion{event: routing.EventReopened, message: row, solvedAt: a.before.solvedAt}))
	case a.course == courseOpen && a.before.state == ConversationSolved && p.owner.Kind == OwnerNone:
		at, err := readRouting(a.t.ctx, a.t, p.conversation)
		if err != nil {
			return err
		}
		return at.shelve(a.t, p.epoch)
	case p.owner.Kind == OwnerBot:
		return r.tell(a.t, st, a.channel.Name, p, row)
	case p.owner.Kind == OwnerNone && enforced:
		return r.adopt(a.t, p, row)
	}
	return nil
}

// belongs tells the messages of the same contact that are taken in with this one
// who has their conversation by now.
func (p *party) belongs(v *convRow, err error) error {
	p.owner, p.epoch = v.owner, v.epoch
	return err
}

// begun is the conversation that this message began, as it is going to be in the
// database.
func (a *arrival) begun() convRow {
	p := a.party
	return convRow{
		id: p.conversation, namespace: a.channel.Namespace, channel: a.channel.Name, contact: p.contact, identityID: p.identity,
		address: a.who().ExternalID, displayName: or(a.who().DisplayName, p.displayName), username: or(a.who().Username, p.username),
		language: or(a.who().Language, p.language), reachable: true, state: ConversationOpen, owner: Owner{Kind: OwnerNone}, epoch: 1,
		createdAt: ms(a.t.now), updatedAt: ms(a.t.now), lastInboundAt: ms(a.t.now), fresh: true,
	}
}

// tell lets the bot that has a conversation answer a message. A bot of REST, which
// no Bot resource stands for, has read it in the event log. A Bot that is gone,
// whoever gave it the conversation, has lost it: the policies say who comes next.
func (r *dispatcher) tell(t *txn, st *state, channel string, p *party, m *messageRow) error {
	if _, ok := st.routes.bots[p.owner.Name]; ok {
		return t.addErrand(errand{conversation: p.conversation, kind: errandBot, target: p.owner.Name, message: m.ID, epoch: p.epoch})
	}
	if !st.enforces(channel) || !isBotName(p.owner.Name) {
		return nil
	}
	row, err := readRouting(t.ctx, t, p.conversation)
	if err != nil {
		return err
	}
	v, err := r.s.conversation(t.ctx, t, Scope{All: true}, p.conversation)
	if err != nil {
		return err
	}
	return p.belongs(&v, r.handOver(t, &v, row, reasonFailure, m))
}

// adopt routes a conversation that nobody has: from before there were policies, or
// that somebody let go. One about which a webhook is being asked waits for that.
func (r *dispatcher) adopt(t *txn, p *party, m *messageRow) error {
	v, err := r.s.conversation(t.ctx, t, Scope{All: true}, p.conversation)
	if err != nil {
		return err
	}
	return p.belongs(&v, t.ownerless(&v, &occasion{event: routing.EventOpened, message: m}))
}
