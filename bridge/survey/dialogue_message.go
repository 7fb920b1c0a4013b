package survey

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// message takes a contact's message: exactly one of Consume and Route comes of it.
func (d *dialogue) message(in Input) {
	if in.Payload != "" {
		d.pressed(in.Payload)
		return
	}
	if strings.TrimSpace(in.Text) == "" || d.s.Suspended || !d.s.Open() || !d.heard(in) {
		d.route()
		return
	}
	reading := ReadScore(in.Text, d.s.Language, d.p.scale)
	if reading.Class == ClassOptOut {
		d.s.Phase = PhaseOptedOut
		d.do(Effect{Kind: EffectConsume})
		d.do(Effect{Kind: EffectOptOut})
		return
	}
	switch {
	case d.s.Phase == PhaseFollowUp && (reading.Class != ClassScore || d.s.Frozen):
		d.answer(in.Text)
	case reading.IsScore():
		d.scored(reading.Score, reading.Comment)
	case d.s.Phase == PhaseAsked && reading.Class == ClassAmbiguous:
		d.clarify()
	default:
		d.unparsed()
	}
}

// pressed takes a press of a button. Ours cannot be mistaken for anything else, so
// it counts also while a person writes, and never goes to people.
func (d *dialogue) pressed(payload string) {
	id, score, ok := ParsePayload(payload)
	if !ok || id != d.s.ID || !d.p.scale.Contains(score) {
		d.route()
		return
	}
	d.scored(score, "")
}

// heard says that a text can be meant for us: it quotes our question, or that was
// the last thing said in the thread, by whomever. "2" after a bot's menu is the
// bot's; and while somebody may be waiting for an answer of the contact, it is theirs,
// unless we asked for it after the contact gave us a score.
func (d *dialogue) heard(in Input) bool {
	if in.Quotes != QuotesNothing {
		return in.Quotes == QuotesQuestion
	}
	return !d.s.Interrupted && (!in.Attended || d.s.Phase == PhaseFollowUp)
}

// route leaves a message to people, whose answer the contact waits for from then on.
func (d *dialogue) route() {
	d.s.Interrupted = d.s.Interrupted || d.s.Open()
	d.do(Effect{Kind: EffectRoute})
}

func (d *dialogue) unparsed() {
	if d.s.Phase == PhaseAsked {
		d.do(Effect{Kind: EffectUnparsed})
	}
	d.route()
}

// clarify asks back, once.
func (d *dialogue) clarify() {
	text := d.p.Campaign.Replies.Clarify[d.s.Language]
	if d.s.Clarified || text == "" {
		d.unparsed()
		return
	}
	d.s.Clarified = true
	d.do(Effect{Kind: EffectConsume})
	d.say(SayClarify, text, d.p.Buttons(d.s.ID))
}

// scored takes a score: the first, another within the edit window, or a late one.
func (d *dialogue) scored(score int, comment string) {
	d.do(Effect{Kind: EffectConsume})
	switch d.s.Phase {
	case PhaseAsked:
		d.s.Scored, d.s.ScoredAt = true, d.now
	case PhaseFollowUp, PhaseDone:
		if d.s.Frozen {
			return // a press of an old button
		}
	case PhaseExpired, PhaseClosed:
		if d.s.Scored {
			return
		}
		d.s.Late, d.s.LateScore = true, score
		d.comment(comment)
		d.do(Effect{Kind: EffectScore, Score: score, Late: true})
		return
	default: // cancelled, failed or opted out: a press that means nothing any more
		return
	}
	edited := d.s.Phase != PhaseAsked
	d.s.Score = score
	d.do(Effect{Kind: EffectScore, Score: score, Edited: edited})
	d.comment(comment)
	d.goOn()
}

func (d *dialogue) comment(text string) {
	if text != "" {
		d.s.Comment = cut(text, DefaultMaxChars)
	}
}

// answer takes a text as the answer to the question that waits.
func (d *dialogue) answer(text string) {
	d.do(Effect{Kind: EffectConsume})
	d.record(d.s.Question, text)
	d.goOn()
}

func (d *dialogue) record(i int, text string) {
	q := &d.p.questions[i]
	text = cut(text, q.maxChars)
	d.s.Answers = append(d.s.Answers, Answer{q.spec.ID, text})
	d.do(Effect{Kind: EffectAnswer, Question: q.spec.ID, Text: text})
}

// cut keeps the first characters of a text.
func cut(text string, chars int) string {
	if utf8.RuneCountInString(text) <= chars {
		return text
	}
	end := 0
	for range chars {
		_, size := utf8.DecodeRuneInString(text[end:])
		end += size
	}
	return text[:end]
}

// goOn asks the next question that applies, or thanks. A comment that came with
// the score is the answer to the first one that does.
func (d *dialogue) goOn() {
	asked, waiting := d.s.Question, d.s.Phase == PhaseFollowUp
	if next := d.next(); next > 0 && d.s.Comment != "" && len(d.s.Answers) == 0 {
		d.record(next, d.s.Comment)
	}
	next := d.next()
	if next == 0 || d.s.Suspended {
		d.finish(next == 0)
		return
	}
	d.s.Phase, d.s.Question, d.s.QuestionAt, d.s.Completed = PhaseFollowUp, next, d.now, false
	if !waiting || asked != next { // not again what stands there unanswered
		d.say(SayFollowUp, d.p.question(next, &d.s), nil)
	}
}

// next is the first follow-up question that applies and has no answer; 0: none.
func (d *dialogue) next() int {
	for i := 1; i < len(d.p.questions); i++ {
		q := &d.p.questions[i]
		answered := slices.ContainsFunc(d.s.Answers, func(a Answer) bool { return a.Question == q.spec.ID })
		if !answered && d.p.condition(q.when, &d.s) {
			return i
		}
	}
	return 0
}

func (d *dialogue) finish(complete bool) {
	d.s.Phase, d.s.Question, d.s.QuestionAt, d.s.Completed = PhaseDone, 0, time.Time{}, complete
	if d.s.Thanked {
		return
	}
	for _, t := range d.p.Campaign.Thanks {
		if d.s.Score >= t.From && d.s.Score <= t.To {
			d.s.Thanked = true
			d.say(SayThanks, t.Text[d.s.Language], nil)
			return
		}
	}
}
