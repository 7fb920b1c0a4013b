package survey

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/expression"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Phase is where a dialogue stands.
type Phase string

const (
	PhaseAsked     Phase = "Asked"     // waits for the score
	PhaseFollowUp  Phase = "FollowUp"  // has the score, waits for an answer to a follow-up question
	PhaseDone      Phase = "Done"      // has all it will get
	PhaseExpired   Phase = "Expired"   // no score in time; one that comes is late
	PhaseClosed    Phase = "Closed"    // over: every message is a message
	PhaseOptedOut  Phase = "OptedOut"  // the contact asked not to be asked
	PhaseCancelled Phase = "Cancelled" // overtaken by an event before it was answered
	PhaseFailed    Phase = "Failed"    // the question never arrived: nothing can be an answer to it
)

// State is one dialogue with one contact on one channel. It is personal data
// and lives in the store. The zero value is no dialogue; Start makes one.
type State struct {
	ID       string    `json:"id"`
	Phase    Phase     `json:"phase"`
	Language string    `json:"language"`
	Arm      int       `json:"arm"`
	AskedAt  time.Time `json:"askedAt"`
	// Suspended: a person writes in the thread; we say nothing more, and read
	// nothing but presses of our own buttons.
	Suspended bool `json:"suspended,omitempty"`
	// Interrupted: something else was said in the thread since our last question.
	// A text may be meant for that: only presses of our buttons, and what quotes a
	// question of ours, are read, until we ask again.
	Interrupted bool `json:"interrupted,omitempty"`
	Clarified   bool `json:"clarified,omitempty"`
	Reminded    int  `json:"reminded,omitempty"`
	// Scored: Score is given, for the first time at ScoredAt. Frozen: it does not
	// change any more.
	Scored   bool      `json:"scored,omitempty"`
	Score    int       `json:"score,omitempty"`
	ScoredAt time.Time `json:"scoredAt,omitzero"`
	Frozen   bool      `json:"frozen,omitempty"`
	// Late: LateScore came after the window; it is no part of the result.
	Late      bool   `json:"late,omitempty"`
	LateScore int    `json:"lateScore,omitempty"`
	Comment   string `json:"comment,omitempty"`
	// Question is the follow-up that waits for an answer since QuestionAt.
	Question   int       `json:"question,omitempty"`
	QuestionAt time.Time `json:"questionAt,omitzero"`
	Answers    []Answer  `json:"answers,omitempty"`
	// Completed: every follow-up that applied was answered.
	Completed bool `json:"completed,omitempty"`
	Thanked   bool `json:"thanked,omitempty"`
	// Before is what the ledger knew of the contact before the question: what it
	// knows again if that never arrives.
	Before Ledger `json:"before,omitzero"`
}

// Answer is what a contact said to a follow-up question.
type Answer struct {
	Question string `json:"question"`
	Text     string `json:"text"`
}

// InputKind is what happens to a dialogue.
type InputKind string

const (
	InputMessage       InputKind = "Message"       // the contact wrote, or pressed a button
	InputAsked         InputKind = "Asked"         // a question of ours (Saying) went out after the first one
	InputOthersWrote   InputKind = "OthersWrote"   // a bot, a policy or another system did in the thread
	InputAgentWrote    InputKind = "AgentWrote"    // a person of the shop wrote in the thread
	InputReopened      InputKind = "Reopened"      // the conversation was
	InputNegativeEvent InputKind = "NegativeEvent" // the API told one
	InputOptedOut      InputKind = "OptedOut"      // by another way than a reply
	InputFailed        InputKind = "Failed"        // the question did not arrive
	InputGaveWay       InputKind = "GaveWay"       // to another question on the same channel, which is asked now
	InputTimer         InputKind = "Timer"         // NextAt has come
)

// Input is one thing that happens. Text and Payload are of a message; one
// without both (media, voice) is for people. A message that the contact changed is
// an InputMessage with its new text: a score in it replaces the old one while that
// may be edited, and EffectRoute has nothing to do, the message is there already.
type Input struct {
	Kind    InputKind
	Text    string
	Payload string
	// Quotes is what the message replies to, by the platform's own reply.
	Quotes Quote
	// Attended: the contact has a conversation in the thread that is not solved, so
	// that somebody may be waiting for what they write.
	Attended bool
}

// Quote is what a message replies to, where the platform tells.
type Quote string

const (
	QuotesNothing  Quote = ""
	QuotesQuestion Quote = "Question" // something that this dialogue said
	QuotesOther    Quote = "Other"    // something that somebody else said
)

// EffectKind is what to do.
type EffectKind string

const (
	// Every message has exactly one of these two. EffectConsume: it belongs to
	// the survey; it reopens nothing, wakes no bot and starts no clock.
	// EffectRoute: it goes where it would go without a survey.
	EffectConsume EffectKind = "Consume"
	EffectRoute   EffectKind = "Route"
	// EffectSay sends Text (with Buttons).
	EffectSay EffectKind = "Say"
	// EffectScore records Score: again, when it replaces one (Edited); apart, when Late.
	EffectScore EffectKind = "Score"
	// EffectAnswer records Text as the answer to Question.
	EffectAnswer EffectKind = "Answer"
	// EffectOptOut withdraws the consent to the campaign's purpose.
	EffectOptOut EffectKind = "OptOut"
	// EffectAct does the campaign's Action, for a score that is final.
	EffectAct EffectKind = "Act"
	// EffectUnparsed counts a message that was no score.
	EffectUnparsed EffectKind = "Unparsed"
)

// Saying is what a text is for.
type Saying string

const (
	SayQuestion Saying = "Question"
	SayReminder Saying = "Reminder"
	SayClarify  Saying = "Clarify"
	SayFollowUp Saying = "FollowUp"
	SayThanks   Saying = "Thanks"
)

// Effect is one thing to do; which fields are set depends on Kind.
type Effect struct {
	Kind     EffectKind
	Saying   Saying
	Text     string
	Buttons  []message.Button
	Question string
	Score    int
	Edited   bool
	Late     bool
	Action   *Action
}

// Start opens a dialogue with its question. id has to be unique and without a
// slash; with a ULID a button's payload has at most 36 bytes, which fits every
// platform (Telegram takes 64).
func Start(p *Program, id string, d Decision, now time.Time) (State, []Effect) {
	s := State{ID: id, Phase: PhaseAsked, Language: d.Language, Arm: d.Assignment.Arm, AskedAt: now}
	return s, []Effect{{Kind: EffectSay, Saying: SayQuestion, Text: p.question(0, &s), Buttons: p.Buttons(id)}}
}

// question is the text of a question in the dialogue's language and arm.
func (p *Program) question(i int, s *State) string {
	spec := p.questions[i].spec
	if s.Arm >= 0 && s.Arm < len(p.arms) {
		if text := p.arms[s.Arm].texts[spec.ID][s.Language]; text != "" {
			return text
		}
	}
	return spec.Text[s.Language]
}

// payloadPrefix marks the payloads of survey buttons.
const payloadPrefix = "survey/"

// Buttons are one for each score of the scale.
func (p *Program) Buttons(id string) []message.Button {
	buttons := make([]message.Button, 0, p.scale.Len())
	for score := p.scale.Min; score <= p.scale.Max; score++ {
		title := strconv.Itoa(score)
		buttons = append(buttons, message.Button{Title: title, Payload: payloadPrefix + id + "/" + title})
	}
	return buttons
}

// ParsePayload tells whose button was pressed, and which.
func ParsePayload(payload string) (id string, score int, ok bool) {
	rest, ok := strings.CutPrefix(payload, payloadPrefix)
	id, number, found := strings.Cut(rest, "/")
	if !ok || !found || id == "" || len(number) > 2 || !isDigits(number) {
		return "", 0, false
	}
	score, err := strconv.Atoi(number)
	return id, score, err == nil
}

// Fit is how buttons go out on a platform with so many buttons and quick replies
// per message: quick replies, which go away with the answer, then buttons, else
// none: the text asks for a number by itself. A part of a scale is never shown.
func Fit(buttons []message.Button, most, mostQuickReplies int) ([]message.Button, message.ButtonStyle) {
	switch {
	case len(buttons) <= mostQuickReplies:
		return buttons, message.ButtonStyleQuickReplies
	case len(buttons) <= most:
		return buttons, message.ButtonStyleAuto
	}
	return nil, message.ButtonStyleAuto
}

// NextAt is when the dialogue wants its next InputTimer; zero: never.
func NextAt(p *Program, s State) time.Time {
	r := &p.Campaign.Replies
	var next time.Time
	at := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if s.Scored && !s.Frozen {
		at(s.ScoredAt.Add(time.Duration(r.EditWindow)))
	}
	switch s.Phase {
	case PhaseAsked:
		at(s.expires(p))
		if s.Reminded < p.Campaign.Reminders.Count && !s.Suspended {
			at(s.AskedAt.Add(time.Duration(p.Campaign.Reminders.After) * time.Duration(s.Reminded+1)))
		}
	case PhaseFollowUp:
		at(s.QuestionAt.Add(time.Duration(r.CommentWindow)))
	case PhaseExpired:
		at(s.expires(p).Add(time.Duration(r.LateWindow)))
	}
	return next
}

func (s *State) expires(p *Program) time.Time {
	return s.AskedAt.Add(time.Duration(p.Campaign.Replies.Window))
}

// Open says that the dialogue may still take a message.
func (s *State) Open() bool {
	switch s.Phase {
	case PhaseAsked, PhaseFollowUp, PhaseExpired:
		return true
	case PhaseDone:
		return !s.Frozen
	}
	return false
}

// Step is what an input does to a dialogue at a time. It is pure: the same
// arguments give the same state and effects, in the order in which they are to
// be done; s is not changed. Times that have passed since the last step count
// first, so a late timer changes nothing but reminders.
func Step(p *Program, s State, in Input, now time.Time) (State, []Effect) {
	d := dialogue{p: p, s: s, now: now}
	d.s.Answers = slices.Clip(s.Answers)
	d.pass()
	switch in.Kind {
	case InputMessage:
		d.message(in)
	case InputTimer:
		d.remind(in.Attended)
	case InputAsked:
		d.s.Interrupted = false
	case InputOthersWrote:
		d.s.Interrupted = d.s.Interrupted || d.s.Open()
	case InputAgentWrote:
		d.s.Suspended = d.s.Suspended || d.s.Open()
	case InputReopened:
		d.overtaken(p.cancelOn.reopened)
	case InputNegativeEvent:
		d.overtaken(p.cancelOn.negative)
	case InputOptedOut:
		if d.s.Phase != PhaseClosed {
			d.s.Phase = PhaseOptedOut
		}
	case InputFailed:
		if d.s.Phase == PhaseAsked {
			d.s.Phase = PhaseFailed
		}
	case InputGaveWay:
		d.giveWay()
	}
	return d.s, d.effects
}

// dialogue is one step.
type dialogue struct {
	p       *Program
	s       State
	now     time.Time
	effects []Effect
}

func (d *dialogue) do(e Effect) { d.effects = append(d.effects, e) }

// say sends a text, unless a person is talking.
func (d *dialogue) say(what Saying, text string, buttons []message.Button) {
	if text != "" && !d.s.Suspended {
		d.do(Effect{Kind: EffectSay, Saying: what, Text: text, Buttons: buttons})
	}
}

func (d *dialogue) since(t time.Time, window time.Duration) bool { return !d.now.Before(t.Add(window)) }

// pass does what time alone has done.
func (d *dialogue) pass() {
	r := &d.p.Campaign.Replies
	if d.s.Phase == PhaseFollowUp && d.since(d.s.QuestionAt, time.Duration(r.CommentWindow)) {
		d.s.Phase = PhaseDone
	}
	if d.s.Scored && !d.s.Frozen && d.since(d.s.ScoredAt, time.Duration(r.EditWindow)) {
		d.freeze()
	}
	if d.s.Phase == PhaseAsked && d.since(d.s.AskedAt, time.Duration(r.Window)) {
		d.s.Phase = PhaseExpired
	}
	if d.s.Phase == PhaseExpired && d.since(d.s.expires(d.p), time.Duration(r.LateWindow)) {
		d.s.Phase = PhaseClosed
	}
}

// freeze makes the score final, and only then acts on it: an action on a slip
// of the finger could not be taken back.
func (d *dialogue) freeze() {
	d.s.Frozen = true
	for i := range d.p.actions {
		a := &d.p.actions[i]
		if d.p.condition(a.when, &d.s) {
			d.do(Effect{Kind: EffectAct, Score: d.s.Score, Action: a.spec})
		}
	}
}

// condition evaluates an expression over the answers; none is true, an error false.
func (p *Program) condition(e *expression.Expression, s *State) bool {
	if e == nil {
		return true
	}
	answers := make(map[string]string, len(s.Answers))
	for _, a := range s.Answers {
		answers[a.Question] = a.Text
	}
	armName := ""
	if s.Arm >= 0 && s.Arm < len(p.arms) {
		armName = p.arms[s.Arm].name
	}
	yes, err := e.Holds(map[string]any{"score": int64(s.Score), "type": string(p.Campaign.Type), "language": s.Language, "arm": armName, "answers": answers})
	return yes && err == nil
}

// remind asks again, but not into a conversation in which people talk about
// something else.
func (d *dialogue) remind(attended bool) {
	r := &d.p.Campaign.Reminders
	if d.s.Phase != PhaseAsked || d.s.Suspended || r.Count == 0 {
		return
	}
	due := min(int(d.now.Sub(d.s.AskedAt)/time.Duration(r.After)), r.Count)
	if due <= d.s.Reminded {
		return
	}
	d.s.Reminded = due // after a pause one reminder, not all that were missed
	if attended && d.s.Interrupted {
		return
	}
	text := r.Text[d.s.Language]
	if text == "" {
		text = d.p.question(0, &d.s)
	}
	d.say(SayReminder, text, d.p.Buttons(d.s.ID))
}

// giveWay ends the dialogue. A score is final then, and what follows from it is done.
func (d *dialogue) giveWay() {
	if !d.s.Open() {
		return
	}
	if !d.s.Scored {
		d.s.Phase = PhaseClosed
		return
	}
	d.s.Phase = PhaseDone
	if !d.s.Frozen {
		d.freeze()
	}
}

// overtaken ends what was not answered, and asks nothing more of who has.
func (d *dialogue) overtaken(cancels bool) {
	switch {
	case !cancels:
	case d.s.Phase == PhaseAsked:
		d.s.Phase = PhaseCancelled
	case d.s.Phase == PhaseFollowUp:
		d.s.Phase = PhaseDone
	}
}
