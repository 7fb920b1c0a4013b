package store

import (
	"errors"
	"fmt"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// ask asks: the question goes into the outbox, the dialogue opens, the ledger knows
// it. Where the outbox refuses the question, the decision leaves by that instead.
func (s *sitting) ask(c *campaignEntry, r *triggerRow, d *survey.Decision) error {
	p, t, at := c.program, s.t, s.places[d.Channel]
	v, back, err := s.conversation(at)
	if err != nil {
		return err
	}
	id := t.newID()
	state, effects := survey.Start(p, id, *d, t.now)
	state.Before = survey.Ledger{Campaign: s.clock(campaignKey(p)), Group: s.clock(groupKey(p))}
	question, refused, err := s.x.say(t, &v, id, p.Name, effects[0])
	if err != nil {
		return err
	}
	if refused != nil {
		d.Exit, d.Channel = exitOf(refused), ""
		return back()
	}
	if err := s.makeRoom(at); err != nil {
		return err
	}
	row := &dialogueRow{id: id, campaign: r.campaign, contact: s.contact, channel: at.channel, identity: at.identity, conversation: v.id,
		subject: r.conversation, resolution: r.resolution, arm: d.Assignment.Arm, language: d.Language, askedAt: ms(t.now), message: question,
		open: true, nextAt: ms(survey.NextAt(p, state)), asked: 1, state: state}
	if err := t.addDialogue(row); err != nil {
		return err
	}
	if err := t.later(`UPDATE identities SET survey = ? WHERE id = ?`, id, at.identity); err != nil {
		return err
	}
	s.busyUntil[at.channel] = waitsUntil(p, &state)
	if err := s.noteAsked(p); err != nil {
		return err
	}
	t.wake(topicSurveys)
	return s.x.begin(t, r.campaign, c)
}

// exitOf is the exit that a refusal of the outbox stands for.
func exitOf(refused error) survey.Exit {
	if errors.Is(refused, errOutsideWindow) {
		return survey.WindowClosed
	}
	return survey.Unreachable
}

// errOutsideWindow: the platform's messaging window is closed.
var errOutsideWindow = errors.New("outside of the messaging window")

// makeRoom ends the dialogue that waits for a late score on the channel: only one
// is open. A press of its buttons is still understood. What time has done to it, and
// nobody has noticed yet, comes first, and what follows from its score is done.
func (s *sitting) makeRoom(at place) error {
	open, err := all(s.t.ctx, s.t, scanText, `SELECT id FROM survey_dialogues WHERE contact = ? AND channel = ? AND open = 1`, s.contact, at.channel)
	if err != nil {
		return err
	}
	for _, id := range open {
		d, err := s.t.lockDialogue(id)
		if err != nil || d == nil {
			return err
		}
		if _, err := s.x.step(s.t, d, survey.Input{Kind: survey.InputGaveWay}, at.conversation); err != nil {
			return err
		}
		if !d.open {
			continue
		}
		// Nobody knows any more what it asked.
		d.state.Phase, d.open, d.nextAt = survey.PhaseClosed, false, 0
		if err := s.t.saveDialogue(d); err != nil {
			return err
		}
	}
	return nil
}

// noteAsked writes into the ledger that the contact was asked.
func (s *sitting) noteAsked(p *survey.Program) error {
	keys := [][2]string{campaignKey(p)}
	if p.Campaign.Frequency.Group != "" {
		keys = append(keys, groupKey(p))
		s.askedBy[groupKey(p)[1]] = true
	}
	for _, key := range keys {
		if s.ledger[key] == nil {
			s.ledger[key] = &ledgerRow{kind: key[0], name: key[1]}
		}
		s.ledger[key].sentAt = ms(s.t.now)
		if err := s.t.later(`INSERT INTO survey_ledger (contact, kind, name, sent_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (contact, kind, name) DO UPDATE SET sent_at = excluded.sent_at`, s.hash, key[0], key[1], ms(s.t.now)); err != nil {
			return err
		}
	}
	return nil
}

// conversation is where the contact is asked: their latest one on the channel, as
// it is, or a new one that is solved from the beginning, so that nobody has to look
// at it before the contact writes. back takes a new one away again.
func (s *sitting) conversation(at place) (v convRow, back func() error, err error) {
	id, t := at.conversation, s.t
	back = func() error { return nil }
	if id == "" {
		id = t.newID()
		events := len(t.events)
		back = func() error {
			t.events = t.events[:events] // it is the last one: nothing was said
			return errors.Join(t.later(`UPDATE identities SET conversation = '' WHERE id = ?`, at.identity), t.later(`DELETE FROM conversations WHERE id = ?`, id))
		}
		if err := t.later(`INSERT INTO conversations (id, channel, contact, identity, state, created_at, updated_at, solved_at) VALUES (?, ?, ?, ?, 'solved', ?, ?, ?)`,
			id, at.channel, s.contact, at.identity, ms(t.now), ms(t.now), ms(t.now)); err != nil {
			return v, back, err
		}
		if err := t.later(`UPDATE identities SET conversation = ? WHERE id = ?`, id, at.identity); err != nil {
			return v, back, err
		}
		t.event(Event{Type: EventConversationCreated, Channel: at.channel, Conversation: id, Contact: s.contact})
	}
	v, err = s.x.s.conversation(t.ctx, t, Scope{All: true}, id)
	return v, back, err
}

// say queues a text of a campaign as Send would: with the same checks, in the place
// of the lane that it has now. refused says why it cannot be sent. Buttons are there
// where the platform can show all of them; a text asks for a number by itself.
func (x *surveys) say(t *txn, v *convRow, dialogue, campaign string, e survey.Effect) (id string, refused, err error) {
	o := &outgoing{s: x.s, conv: *v, req: SendRequest{Author: message.Author{Kind: message.AuthorSurvey, Name: campaign}, Type: message.TypeText, Text: e.Text}}
	if err := o.serve(v.channel); err != nil {
		return "", err, nil
	}
	o.req.Buttons, o.req.ButtonStyle = survey.Fit(e.Buttons, o.caps.Buttons, o.caps.QuickReplies)
	if err := x.plan(t, o, campaign); err != nil {
		return refusedBy(err)
	}
	if err := x.s.queueTogether(t, []*outgoing{o}); err != nil {
		return "", nil, err
	}
	if o.err != nil {
		if windowOf(o.caps, o.ch.AgentWindow, message.AuthorSurvey, fromMS(v.lastInboundAt), t.now) == windowClosed {
			o.err = fmt.Errorf("%w: %w", errOutsideWindow, o.err)
		}
		return refusedBy(o.err)
	}
	return o.first, nil, t.later(`INSERT INTO survey_messages (message, dialogue, saying) VALUES (?, ?, ?)`, o.first, dialogue, string(e.Saying))
}

// refusedBy tells what refuses a text from what failed.
func refusedBy(err error) (id string, refused, failed error) {
	if refusal(err) == nil {
		return "", err, nil
	}
	return "", nil, err
}

// plan divides a text into parts, without buttons where those do not fit.
func (x *surveys) plan(t *txn, o *outgoing, campaign string) error {
	again := func() (err error) {
		o.m = o.message()
		o.m.Survey = campaign
		if err := o.thread(t.ctx); err != nil {
			return err
		}
		o.parts, err = platform.Plan(o.caps, o.m)
		return err
	}
	err := again()
	if fe := (*platform.FieldError)(nil); errors.As(err, &fe) && len(o.req.Buttons) > 0 {
		o.req.Buttons, o.req.ButtonStyle = nil, ""
		err = again()
	}
	return err
}
