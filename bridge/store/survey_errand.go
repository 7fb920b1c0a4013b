package store

import (
	"errors"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// surveyErrand is the payload of an errand of a dialogue: what to say, or what to do.
type surveyErrand struct {
	Dialogue string           `json:"dialogue"`
	Saying   survey.Saying    `json:"saying,omitempty"`
	Text     string           `json:"text,omitempty"`
	Buttons  []message.Button `json:"buttons,omitempty"`

	Action string            `json:"action,omitempty"`
	Queue  string            `json:"queue,omitempty"`
	Within document.Duration `json:"within,omitempty"`
}

// follow does an errand of a dialogue.
func (x *surveys) follow(m *matter) (errandResult, error) {
	var e surveyErrand
	if err := unmarshalSome(m.e.payload, &e); err != nil {
		return "", err
	}
	d, err := readDialogue(m.t.ctx, m.t, e.Dialogue)
	if err != nil {
		return "", err
	}
	if e.Action != "" {
		return resultDone, x.act(m, e)
	}
	if d == nil || d.hushed() || asks(e.Saying) && d.outcome != outcomeWaiting {
		return resultSuperseded, nil
	}
	_, refused, err := x.say(m.t, m.v, d.id, nameOfRun(m.e.target), survey.Effect{Kind: survey.EffectSay, Saying: e.Saying, Text: e.Text, Buttons: e.Buttons})
	switch {
	case err != nil:
		return "", err
	case refused != nil:
		return resultRefused, nil //nolint:nilerr // why it cannot be said is the errand's result
	case e.Saying != survey.SayThanks && d.state.Interrupted: // ours is the last word again
		return resultDone, m.t.surveyEvent(survey.Input{Kind: survey.InputAsked}, `WHERE id = ?`, d.id)
	}
	return resultDone, nil
}

// asks says whether a text is out of place once the question has an outcome.
func asks(s survey.Saying) bool { return s == survey.SayQuestion || s == survey.SayReminder }

// hushed says that nothing more is said: a person writes, or it is over.
func (d *dialogueRow) hushed() bool {
	return d.state.Suspended || d.state.Phase == survey.PhaseOptedOut || d.state.Phase == survey.PhaseCancelled || d.state.Phase == survey.PhaseFailed
}

const (
	// staleSurvey is a column that says whether a delivery d is a survey's, and out of
	// place by now: see follow, which judges the same before it is queued.
	staleSurvey = `CASE WHEN d.author_kind <> 'survey' THEN 0 ELSE COALESCE((SELECT CASE WHEN u.hushed = 1 OR n.saying IN ('Question', 'Reminder') AND u.outcome <> '' THEN 1 ELSE 0 END
			FROM survey_messages n JOIN survey_dialogues u ON u.id = n.dialogue WHERE n.message = d.message), 1) END`

	reasonSurveyStale = "the survey's question is out of place by now: it was answered, ended, or a person writes"
)

// act opens the conversation in a queue. One that an agent has is looked at by
// somebody already.
func (x *surveys) act(m *matter, e surveyErrand) error {
	v, t := m.v, m.t
	if v.owner.Kind == OwnerAgent && v.state != ConversationSolved {
		return nil
	}
	reopened := v.state == ConversationSolved
	if v.state != ConversationOpen {
		v.state, v.solvedAt, v.snoozedUntil, v.updatedAt = ConversationOpen, 0, 0, ms(t.now)
		if err := t.updateConversation(*v); err != nil {
			return err
		}
	}
	err := t.enqueue(v, waiting{Queue: e.Queue, Priority: routing.PriorityHigh, Cause: ownerCause{why: CauseSurvey}})
	if err == nil && e.Within > 0 {
		err = t.later(`UPDATE conversations SET due_at = ? WHERE id = ?`, ms(t.now.Add(time.Duration(e.Within))), v.id)
	}
	if err == nil && reopened {
		err = t.surveyReopened(v.id)
	}
	return err
}

// surveyReopened ends questions about a conversation that was reopened, where their
// campaigns say so.
func (t *txn) surveyReopened(conversation string) error {
	return t.surveyEvent(survey.Input{Kind: survey.InputReopened}, `WHERE subject = ? AND subject <> '' AND open = 1 ORDER BY id`, conversation)
}

// surveyCameBack is for a contact who writes again on a channel after their
// conversation there was solved: that is reopened, or, after its reopen window, has a
// follow-up. Either way what was solved is not, and questions about any conversation
// of the thread end, where their campaigns say so.
func (t *txn) surveyCameBack(contact, channel string) error {
	return t.surveyEvent(survey.Input{Kind: survey.InputReopened}, `WHERE contact = ? AND open = 1 AND subject <> ''
		AND subject IN (SELECT id FROM conversations WHERE contact = ? AND channel = ?) ORDER BY id`, contact, contact, channel)
}

// surveyEvent lets something happen to the dialogues that a query finds.
func (t *txn) surveyEvent(in survey.Input, where string, args ...any) error {
	list, err := all(t.ctx, t, scanText, `SELECT id FROM survey_dialogues `+where, args...)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range list {
		d, err := t.lockDialogue(id)
		if err == nil && d != nil {
			_, err = t.c.surveys.step(t, d, in, "")
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
