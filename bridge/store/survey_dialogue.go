package store

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// lockDialogue reads a dialogue in order to change it; nil when it is gone.
func (t *txn) lockDialogue(id string) (*dialogueRow, error) {
	if lock := t.c.db.forUpdate(); lock != "" {
		if _, err := all(t.ctx, t, scanText, `SELECT id FROM survey_dialogues WHERE id = ?`+lock, id); err != nil {
			return nil, err
		}
	}
	return readDialogue(t.ctx, t, id)
}

// step lets something happen to a dialogue, which is locked, and keeps what follows
// from it. What is said follows in the conversation, as an errand. consumed: the
// message belongs to the survey.
func (x *surveys) step(t *txn, d *dialogueRow, in survey.Input, conversation string) (consumed bool, err error) {
	p, err := x.program(t.ctx, t, d.campaign)
	if err != nil || p == nil {
		return false, err
	}
	before := d.state
	after, effects := before, []survey.Effect(nil)
	if !d.open && before.Open() {
		// It was closed for another one when two contacts became one. It has an outcome
		// all the same, and what follows from its score is done.
		after, effects = survey.Step(p, after, survey.Input{Kind: survey.InputGaveWay}, t.now)
	}
	after, more := survey.Step(p, after, in, t.now)
	effects = append(effects, more...)
	if in.Kind == survey.InputTimer {
		if until, quiet := p.QuietUntil(t.now); quiet && reminds(effects) {
			// Nobody is reminded in quiet times: once they are over, or not at all.
			d.nextAt = ms(until)
			if expires := waitsUntil(p, &before); until.IsZero() || until.After(expires) {
				d.nextAt = ms(expires)
			}
			return false, t.saveDialogue(d)
		}
	}
	st := &stepping{x: x, t: t, p: p, d: d, before: &before, after: &after}
	d.state, d.open, d.nextAt = after, after.Open(), ms(survey.NextAt(p, after))
	st.outcome()
	st.tally()
	for _, e := range effects {
		consumed = consumed || e.Kind == survey.EffectConsume
		if err := st.effect(e, conversation); err != nil {
			return false, err
		}
	}
	if err := st.respond(effects); err != nil {
		return false, err
	}
	if !d.open {
		if err := t.later(`UPDATE identities SET survey = '' WHERE id = ? AND survey = ?`, d.identity, d.id); err != nil {
			return false, err
		}
	}
	if d.nextAt > 0 {
		t.wake(topicSurveys)
	}
	return consumed, t.saveDialogue(d)
}

func reminds(effects []survey.Effect) bool {
	return slices.ContainsFunc(effects, func(e survey.Effect) bool { return e.Kind == survey.EffectSay && e.Saying == survey.SayReminder })
}

// stepping is what one step does to what is kept.
type stepping struct {
	x             *surveys
	t             *txn
	p             *survey.Program
	d             *dialogueRow
	before, after *survey.State
}

func (st *stepping) count(name string, n int64) { st.t.count(st.d.campaign, name, st.d.arm, n) }

// outcome of the question: the first one stands.
func (st *stepping) outcome() {
	if st.d.outcome != outcomeWaiting {
		return
	}
	switch {
	case st.after.Scored:
		st.d.outcome = outcomeAnswered
	case st.after.Phase == survey.PhaseExpired, st.after.Phase == survey.PhaseClosed:
		st.d.outcome = outcomeExpired
	case st.after.Phase == survey.PhaseOptedOut:
		st.d.outcome = outcomeOptedOut
	case st.after.Phase == survey.PhaseCancelled:
		st.d.outcome = outcomeCancelled
	case st.after.Phase == survey.PhaseFailed:
		st.d.outcome = outcomeFailed
		return // it is counted where it failed
	default:
		return
	}
	st.count(st.d.outcome, 1)
}

// tally counts what the step changed.
func (st *stepping) tally() {
	b, a := st.before, st.after
	flip := func(name string, was, is bool) {
		if was != is {
			st.count(name, boolInt(is)-boolInt(was))
		}
	}
	flip(countClarified, b.Clarified, a.Clarified)
	flip(countLate, b.Late, a.Late)
	flip(countCompleted, b.Scored && b.Completed, a.Scored && a.Completed)
	if b.Scored && (!a.Scored || b.Score != a.Score) {
		st.count(countScore+strconv.Itoa(b.Score), -1)
	}
	if a.Scored && (!b.Scored || b.Score != a.Score) {
		st.count(countScore+strconv.Itoa(a.Score), 1)
	}
}

// effect does one of the step's effects.
func (st *stepping) effect(e survey.Effect, conversation string) error {
	switch e.Kind {
	case survey.EffectSay:
		return st.errand(conversation, surveyErrand{Saying: e.Saying, Text: e.Text, Buttons: e.Buttons})
	case survey.EffectAct:
		return st.errand(conversation, surveyErrand{Action: e.Action.Name, Queue: e.Action.Queue, Within: e.Action.Within})
	case survey.EffectOptOut:
		return st.x.optOut(st.t, st.d.contact, st.p.Campaign.Audience.Consent.Purpose, sourceReply, st.d.id)
	case survey.EffectUnparsed:
		st.count(countUnparsed, 1)
	case survey.EffectScore:
		if !e.Late && !e.Edited {
			return st.noteAnswered()
		}
	}
	return nil
}

func (st *stepping) errand(conversation string, e surveyErrand) error {
	if conversation == "" {
		conversation = st.d.conversation
	}
	e.Dialogue = st.d.id
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	// A conversation that retention has removed has nobody who would hear it.
	return st.t.later(`INSERT INTO errands (id, conversation, kind, target, epoch, payload, remote, due_at, created_at)
		SELECT ?, v.id, ?, ?, v.epoch, ?, 0, ?, ? FROM conversations v WHERE v.id = ?`,
		st.t.newErrand(), string(errandSurvey), st.d.campaign, string(payload), ms(st.t.now), ms(st.t.now), conversation)
}

// newErrand is the id of an errand, which somebody is going to look for.
func (t *txn) newErrand() string {
	t.wake(topicErrands)
	return t.newID()
}

// noteAnswered writes into the ledger that the contact answered.
func (st *stepping) noteAnswered() error {
	st.t.afterCommit(st.x.scored)
	hash, err := st.x.hashes.of(st.t.ctx, st.t, st.d.contact)
	if err != nil {
		return err
	}
	for _, key := range [][2]string{campaignKey(st.p), groupKey(st.p)} {
		if err := st.t.later(`UPDATE survey_ledger SET answered_at = ? WHERE contact = ? AND kind = ? AND name = ?`, ms(st.t.now), hash, key[0], key[1]); err != nil {
			return err
		}
	}
	return nil
}

// respond keeps the score with its attribution, and, apart from it, whose it is
// and their words.
func (st *stepping) respond(effects []survey.Effect) error {
	a, d := st.after, st.d
	if a.Question > 0 {
		d.asked |= 1 << a.Question
	}
	answered := boolInt(a.Scored || a.Late)
	for i, q := range st.p.Campaign.Questions {
		if slices.ContainsFunc(a.Answers, func(x survey.Answer) bool { return x.Question == q.ID }) {
			answered |= 1 << i
		}
	}
	d.asked |= answered
	told := slices.ContainsFunc(effects, func(e survey.Effect) bool { return e.Kind == survey.EffectScore || e.Kind == survey.EffectAnswer })
	if !a.Scored && !a.Late || !told && st.before.Completed == a.Completed && st.before.Question == a.Question {
		return nil
	}
	score, at := a.Score, a.ScoredAt
	if !a.Scored {
		score, at = a.LateScore, st.t.now
	}
	if err := st.t.later(`INSERT INTO survey_responses (campaign, dialogue, asked_at, at, score, arm, channel, language, late, completed, asked, answered)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (campaign, dialogue) DO UPDATE SET at = excluded.at, score = excluded.score, late = excluded.late,
		completed = excluded.completed, asked = excluded.asked, answered = excluded.answered`,
		d.campaign, d.id, d.askedAt, ms(at), score, d.arm, d.channel, d.language, boolInt(!a.Scored), boolInt(a.Completed), d.asked, answered); err != nil {
		return err
	}
	return st.t.saveAnswers(d)
}

// saveAnswers keeps whose a score is, and their words.
func (t *txn) saveAnswers(d *dialogueRow) error {
	answers, err := marshalSome(d.state.Answers, len(d.state.Answers))
	if err != nil {
		return err
	}
	return t.later(`INSERT INTO survey_answers (dialogue, campaign, contact, conversation, comment, answers) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (dialogue) DO UPDATE SET comment = excluded.comment, answers = excluded.answers`,
		d.id, d.campaign, d.contact, d.conversation, d.state.Comment, answers)
}

// surveyDelivered follows what becomes of what a survey said. A question that failed
// was asked of nobody; where another one of its texts did, it is not known what the
// contact has in mind when they write.
func (t *txn) surveyDelivered(id, channel string, status message.Status) error {
	delivery := ""
	switch status {
	case message.StatusDelivered, message.StatusRead:
		delivery = questionDelivered
	case message.StatusSent:
		if ch := t.c.surveys.s.state.Load().channel(channel); ch != nil {
			if caps, _ := t.c.surveys.s.capabilities(ch); !slices.Contains(caps.Receipts, message.StatusDelivered) && !slices.Contains(caps.Receipts, message.StatusRead) {
				delivery = questionDelivered // nothing more is told there
			}
		}
	case message.StatusFailed, message.StatusCancelled, message.StatusSuperseded:
		delivery = questionFailed
	}
	var dialogue, saying string
	found, err := one(t.ctx, t, []any{&dialogue, &saying}, `SELECT dialogue, saying FROM survey_messages WHERE message = ? AND saying <> ''`, id)
	if err != nil || !found {
		return err
	}
	if saying != string(survey.SayQuestion) {
		if status != message.StatusFailed || saying == string(survey.SayThanks) {
			return nil
		}
		return t.surveyEvent(survey.Input{Kind: survey.InputOthersWrote}, `WHERE id = ? AND open = 1`, dialogue)
	}
	d, err := t.lockDialogue(dialogue)
	if err != nil || d == nil || d.delivery == delivery {
		return err
	}
	if d.delivery != "" {
		t.count(d.campaign, d.delivery, d.arm, -1)
	}
	if delivery != "" {
		t.count(d.campaign, delivery, d.arm, 1)
	}
	d.delivery = delivery
	if err := t.later(`UPDATE survey_dialogues SET delivery = ? WHERE id = ?`, delivery, d.id); err != nil || delivery != questionFailed {
		return err
	}
	return t.c.surveys.failed(t, d)
}

// failed ends a dialogue whose question did not arrive. It tires nobody: the ledger
// knows again what it knew before, unless the contact was asked something since.
func (x *surveys) failed(t *txn, d *dialogueRow) error {
	if d.outcome != outcomeWaiting {
		return nil
	}
	if _, err := x.step(t, d, survey.Input{Kind: survey.InputFailed}, ""); err != nil || d.outcome != outcomeFailed {
		return err
	}
	p, err := x.program(t.ctx, t, d.campaign)
	if err != nil || p == nil {
		return err
	}
	hash, err := x.hashes.of(t.ctx, t, d.contact)
	if err != nil {
		return err
	}
	back := func(key [2]string, before survey.Clock) error {
		return t.later(`UPDATE survey_ledger SET sent_at = ? WHERE contact = ? AND kind = ? AND name = ? AND sent_at = ?`, ms(before.Sent), hash, key[0], key[1], d.askedAt)
	}
	return errors.Join(back(campaignKey(p), d.state.Before.Campaign), back(groupKey(p), d.state.Before.Group))
}
