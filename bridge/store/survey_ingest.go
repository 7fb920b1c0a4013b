package store

import (
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Messages and surveys. An identity says which dialogue is open with it, and a
// contact until when surveys want to know of them; both are read with every message
// anyway, so that who is not surveyed costs nothing.

// answer lets a message be the answer to an open question, before anybody else
// gets it: what the survey consumes opens and wakes nothing.
func (a *arrival) answer() (result wire.Result, err error) {
	m, p := a.event.Message, a.party
	payload := ""
	if m.Postback != nil {
		payload = m.Postback.Payload
	}
	pressed, _, ours := survey.ParsePayload(payload)
	if p.survey == "" && !ours || a.direction != message.Inbound || m.Standby || p.conversation == "" || m.Mail != nil && m.Mail.Automated != "" {
		return "", nil
	}
	id := p.survey
	if ours {
		id = pressed // also of a question that is over: a press of ours is nothing to people
	}
	d, err := a.t.lockDialogue(id)
	if err != nil || d == nil || d.contact != p.contact || d.channel != a.channel.Name {
		return "", err
	}
	if payload == "" && d.delivery == "" && d.state.Phase == survey.PhaseAsked {
		if waits, err := a.t.unsent(d.message); err != nil || waits {
			return "", err // nobody answers what was not asked yet
		}
	}
	in := survey.Input{Kind: survey.InputMessage, Payload: payload, Attended: p.state != ConversationSolved}
	if m.Type == message.TypeText || m.Type == message.TypePostback {
		in.Text = m.Text // what stands under a picture, or for a sticker, is for people
	}
	if payload == "" && m.ReplyTo != "" {
		if in.Quotes, err = a.t.quotes(a.channel.Name, m.ReplyTo, d.id); err != nil {
			return "", err
		}
	}
	consumed, err := a.s.surveys.step(a.t, d, in, p.conversation)
	if err != nil {
		return "", err
	}
	if consumed {
		a.answers = d
	}
	if d.id == p.survey && !d.open {
		p.survey = ""
	}
	return "", nil
}

// unsent says that a question waits in the outbox, and no bridge has begun to send it.
func (t *txn) unsent(question string) (bool, error) {
	var waits int
	_, err := one(t.ctx, t, []any{&waits}, `SELECT COUNT(*) FROM deliveries d WHERE d.message = ? AND d.state = 'queued'
		AND NOT EXISTS (SELECT 1 FROM delivery_parts p WHERE p.message = d.message AND (p.state NOT IN ('queued', 'held') OR p.unknowns > 0))`, question)
	return waits > 0, err
}

// quotes finds out whether a message replies to something that a dialogue said, by
// the platform's id of that. What the store does not know is nothing.
func (t *txn) quotes(channel, replyTo, dialogue string) (survey.Quote, error) {
	var of, saying string
	found, err := one(t.ctx, t, []any{&of, &saying}, `SELECT COALESCE(n.dialogue, ''), COALESCE(n.saying, '') FROM external_ids x LEFT JOIN survey_messages n ON n.message = x.id
		WHERE x.channel = ? AND x.external_id = ? AND x.kind = 'message' ORDER BY x.direction DESC LIMIT 1`, channel, replyTo)
	switch {
	case err != nil || !found:
		return survey.QuotesNothing, err
	case of == dialogue && saying != "":
		return survey.QuotesQuestion, nil
	}
	return survey.QuotesOther, nil
}

// surveyed is what surveys do with a message that is kept: nothing more is done
// about one that was an answer.
func (a *arrival) surveyed() (done bool, err error) {
	m, p, t := a.event.Message, a.party, a.t
	switch {
	case a.answers != nil:
		return true, t.later(`INSERT INTO survey_messages (message, dialogue, saying) VALUES (?, ?, '')`, a.id, a.answers.id)
	case p.survey != "" && a.direction == message.Outbound:
		kind := survey.InputOthersWrote
		if m.Author == nil || m.Author.Kind == message.AuthorAgent {
			kind = survey.InputAgentWrote
		}
		return true, t.surveyEvent(survey.Input{Kind: kind}, `WHERE id = ?`, p.survey)
	case p.surveyedUntil <= ms(t.now) || a.direction != message.Inbound || m.Standby:
		return false, nil
	}
	if a.before.state != ConversationOpen && optsOut(m.Text, p.language) {
		if err := a.s.surveys.optOutOfAll(t, p.contact); err != nil {
			return false, err
		}
	}
	reopened := a.course == courseOpen && a.before.state == ConversationSolved
	if reopened || a.course == courseFollowUp {
		if err := t.surveyCameBack(p.contact, a.channel.Name); err != nil {
			return false, err
		}
	}
	if reopened || a.course == courseBegin || a.course == courseFollowUp {
		return false, a.s.surveys.returned(t, p.contact)
	}
	return false, nil
}

// maxOptOut bounds the texts that may be words of opting out: such a text is short.
const maxOptOut = 64

// optsOut says whether a text asks, as a whole, to be left alone. Outside of a
// dialogue it goes to people as well; in a conversation that is open it says nothing
// of surveys: "cancel" may be an order.
func optsOut(text, language string) bool {
	return text != "" && len(text) <= maxOptOut && survey.ReadScore(text, language, survey.Scale{Max: 10}).Class == survey.ClassOptOut
}

// surveyAnswered is for somebody else who writes to the contact: texts may be answers
// to that from now on. Where it is a person, the dialogue that is open says nothing
// more, and somebody has looked at the conversation.
func (t *txn) surveyAnswered(v *convRow, author message.AuthorKind) error {
	kind := survey.InputOthersWrote
	if author == message.AuthorAgent {
		kind = survey.InputAgentWrote
	}
	if v.dueAt > 0 && kind == survey.InputAgentWrote {
		if err := t.later(`UPDATE conversations SET due_at = 0 WHERE id = ?`, v.id); err != nil {
			return err
		}
	}
	if v.survey == "" {
		return nil
	}
	return t.surveyEvent(survey.Input{Kind: kind}, `WHERE id = ?`, v.survey)
}

// surveyChanged is for a message that its writer changed: another score replaces the
// first while that may be edited, and words that were deleted are gone here, too.
func (t *txn) surveyChanged(tg target, m message.Message, actor string) error {
	if actor == actorShop || tg.survey == "" && tg.content == "" {
		return nil
	}
	kept, err := decodeContent(tg.content)
	ours := kept.Survey != ""
	if err != nil || tg.survey == "" && !ours {
		return err
	}
	switch m.Type {
	case message.TypeDeletion:
		if ours {
			return t.forgetWords(tg.id)
		}
	case message.TypeEdit:
		return t.surveyEdited(tg, m)
	}
	return nil
}

// surveyEdited lets an edit be another answer. A message from before the question
// is none.
func (t *txn) surveyEdited(tg target, m message.Message) error {
	id := tg.survey
	var of string
	found, err := one(t.ctx, t, []any{&of}, `SELECT dialogue FROM survey_messages WHERE message = ? AND saying = ''`, tg.id)
	if err != nil {
		return err
	}
	if found {
		id = of
	}
	if id == "" {
		return nil
	}
	d, err := t.lockDialogue(id)
	if err != nil || d == nil || !found && tg.id < d.message {
		return err
	}
	if found && !d.state.Frozen && d.state.Phase == survey.PhaseFollowUp && !survey.ReadScore(m.Text, d.language, t.scaleOf(d)).IsScore() {
		return nil // other words around a score, which must not answer the question that came after it
	}
	in := survey.Input{Kind: survey.InputMessage, Text: m.Text}
	if found {
		in.Quotes = survey.QuotesQuestion // it was an answer before
	}
	_, err = t.c.surveys.step(t, d, in, tg.conversation)
	return err
}

// scaleOf a dialogue's campaign.
func (t *txn) scaleOf(d *dialogueRow) survey.Scale {
	if p, err := t.c.surveys.program(t.ctx, t, d.campaign); err == nil && p != nil {
		return p.Scale()
	}
	return survey.Scale{}
}

// forgetWords removes what a contact said in a dialogue, of which they deleted a
// message. The score says nothing of them and stays.
func (t *txn) forgetWords(id string) error {
	var dialogue string
	found, err := one(t.ctx, t, []any{&dialogue}, `SELECT dialogue FROM survey_messages WHERE message = ? AND saying = ''`, id)
	if err != nil || !found {
		return err
	}
	d, err := t.lockDialogue(dialogue)
	if err != nil || d == nil {
		return err
	}
	d.state.Comment = ""
	for i := range d.state.Answers {
		d.state.Answers[i].Text = ""
	}
	if err := t.later(`UPDATE survey_answers SET comment = '', answers = '' WHERE dialogue = ?`, d.id); err != nil {
		return err
	}
	return t.saveDialogue(d)
}

// joinSurveys is for an address that becomes another one: the new one is written to
// from now on, in what is open, too.
func (t *txn) joinSurveys(oldID, newID int64) error {
	if err := t.later(`UPDATE survey_dialogues SET identity = ? WHERE identity = ? AND open = 1`, newID, oldID); err != nil {
		return err
	}
	return t.later(`UPDATE identities SET survey = COALESCE((SELECT d.id FROM survey_dialogues d WHERE d.identity = identities.id AND d.open = 1), '') WHERE id IN (?, ?)`, oldID, newID)
}

// surveySolved tells campaigns that a conversation was solved: by a person, or by
// itself. What somebody should have looked at is looked at.
func (t *txn) surveySolved(v *convRow, auto bool) error {
	if v.dueAt > 0 {
		v.dueAt = 0
		if err := t.later(`UPDATE conversations SET due_at = 0 WHERE id = ?`, v.id); err != nil {
			return err
		}
	}
	for _, c := range t.c.surveys.s.state.Load().surveys.resolved[v.namespace] {
		r := triggerRow{campaign: t.c.surveys.runOf(c.program.Name), contact: v.contact, conversation: v.id, resolution: v.solvedAt, autoResolved: boolInt(auto),
			event: survey.ConversationResolved, at: ms(t.now), dueAt: ms(t.now)}
		if err := t.addTrigger(&r); err != nil {
			return err
		}
		t.wake(topicSurveys)
	}
	return nil
}
