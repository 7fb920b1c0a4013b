package survey_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// talk is a dialogue in a test.
type talk struct {
	t     testing.TB
	p     *survey.Program
	state survey.State
	now   time.Time
}

func startTalk(t testing.TB, c survey.Campaign) *talk {
	p := compile(t, c)
	s, effects := survey.Start(p, "01JD", survey.Decision{Language: "en", Channel: "cx/telegram"}, noon)
	require.Len(t, effects, 1)
	assert.Equal(t, "How likely, 0 to 10?", effects[0].Text)
	assert.Len(t, effects[0].Buttons, 11)
	return &talk{t, p, s, noon}
}

// does steps and writes the effects down: "Consume Score(9) Say(Thank you!)".
func (k *talk) does(in survey.Input) string {
	before, err := json.Marshal(k.state)
	require.NoError(k.t, err)
	old := k.state
	state, effects := survey.Step(k.p, k.state, in, k.now)
	after, err := json.Marshal(old)
	require.NoError(k.t, err)
	require.Equal(k.t, string(before), string(after), "a step changes nothing that it was given")
	k.state = state
	words := make([]string, len(effects))
	for i, e := range effects {
		words[i] = string(e.Kind)
		switch e.Kind {
		case survey.EffectSay:
			words[i] = fmt.Sprintf("%s(%s)", e.Saying, e.Text)
		case survey.EffectScore:
			words[i] = fmt.Sprintf("Score(%d", e.Score) + map[bool]string{true: " edited"}[e.Edited] + map[bool]string{true: " late"}[e.Late] + ")"
		case survey.EffectAnswer:
			words[i] = fmt.Sprintf("%s=%s", e.Question, e.Text)
		case survey.EffectAct:
			words[i] = "Act(" + e.Action.Name + ")"
		}
	}
	return strings.Join(words, " ")
}

func (k *talk) writes(text string) string {
	return k.does(survey.Input{Kind: survey.InputMessage, Text: text})
}
func (k *talk) presses(payload string) string {
	return k.does(survey.Input{Kind: survey.InputMessage, Payload: payload, Text: "9"})
}
func (k *talk) happens(kind survey.InputKind) string { return k.does(survey.Input{Kind: kind}) }
func (k *talk) after(d time.Duration) *talk          { k.now = k.now.Add(d); return k }

func TestDialogueOfAPromoter(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "Consume Score(9) FollowUp(What did you like?)", k.writes("9"))
	assert.Equal(t, survey.PhaseFollowUp, k.state.Phase)
	assert.Equal(t, "Consume best=Ana was kind Thanks(Thank you!)", k.writes("Ana was kind"))
	assert.True(t, k.state.Completed)
	assert.Equal(t, "Route", k.writes("by the way, where is my order?"))
	assert.Equal(t, "", k.after(10*time.Minute).happens(survey.InputTimer), "nobody has to be won back")
	assert.True(t, k.state.Frozen)
	assert.True(t, survey.NextAt(k.p, k.state).IsZero())
}

func TestDialogueOfADetractorWhoIsWonBack(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "Consume Score(2) why=still not here Thanks(We are sorry.)", k.writes("2 - still not here"), "a comment is the answer to why")
	assert.Equal(t, "still not here", k.state.Comment)
	assert.Equal(t, noon.Add(10*time.Minute), survey.NextAt(k.p, k.state))
	assert.Equal(t, "Act(recover)", k.after(10*time.Minute).happens(survey.InputTimer))
	assert.Equal(t, "", k.happens(survey.InputTimer), "once")
}

func TestDialogueOfAPassiveEndsWithoutQuestions(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "Consume Score(8)", k.writes("eight"))
	assert.True(t, k.state.Completed)
	assert.Equal(t, survey.PhaseDone, k.state.Phase)
}

func TestScoreCanBeEditedUntilItIsFrozen(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "Consume Score(2) FollowUp(What went wrong?)", k.writes("2"))
	assert.Equal(t, "Consume Score(3 edited)", k.after(time.Minute).writes("3"), "the question stands already")
	assert.Equal(t, "Consume Score(10 edited) FollowUp(What did you like?)", k.after(time.Minute).writes("10"))
	assert.Equal(t, 10, k.state.Score)
	// The window runs from the first score.
	assert.Equal(t, "Consume best=5 stars Thanks(Thank you!)", k.after(8*time.Minute).writes("5 stars"))
	assert.True(t, k.state.Frozen)
	assert.Equal(t, 10, k.state.Score)
	assert.Equal(t, "Route", k.writes("3"), "after all is done a number is a message")
	assert.Equal(t, "Consume", k.presses("survey/01JD/0"), "and an old button means nothing")
	assert.Equal(t, 10, k.state.Score)
}

func TestEditOfAFinishedDialogueAsksWhatNowApplies(t *testing.T) {
	k := startTalk(t, nps())
	require.Equal(t, "Consume Score(8)", k.writes("8"))
	assert.Equal(t, "Consume Score(4 edited) FollowUp(What went wrong?)", k.writes("4"))
	assert.False(t, k.state.Completed)
}

func TestAmbiguousRepliesAreClarifiedOnce(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "Consume Clarify(A number from 0 to 10, please.)", k.writes("7 or 8"))
	assert.Equal(t, "Unparsed Route", k.writes("7 or 8"), "people read it then")
	assert.Equal(t, "Route", k.writes("7"), "seven of what people are asked")
	assert.Equal(t, "Consume Score(7)", k.presses("survey/01JD/7"))

	c := nps()
	c.Replies.Clarify = nil
	assert.Equal(t, "Unparsed Route", startTalk(t, c).writes("7 or 8"), "nothing to ask back with")
}

func TestNonScoresAreNeverSwallowed(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "Unparsed Route", k.writes("where is my order 4711?"))
	assert.Equal(t, survey.PhaseAsked, k.state.Phase, "the survey stays open")
	assert.Equal(t, "Route", k.writes(""), "a voice message")
	assert.Equal(t, "Route", k.presses("menu/help"), "another's button")
	assert.Equal(t, "Route", k.presses("survey/other/9"), "another survey's button")
	assert.Equal(t, "Route", k.presses("survey/01JD/11"), "off the scale")
	assert.Equal(t, "Consume Score(9) FollowUp(What did you like?)", k.presses("survey/01JD/9"))
}

// Once somebody else has the word, a text is an answer to them: but a press of our
// button, and what quotes our question, cannot be meant for anybody else.
func TestTextsAreOursWhileOurQuestionIsTheLastWord(t *testing.T) {
	quoting := func(text string, what survey.Quote) survey.Input {
		return survey.Input{Kind: survey.InputMessage, Text: text, Quotes: what}
	}
	for name, interrupt := range map[string]func(k *talk){
		"a bot wrote":           func(k *talk) { k.happens(survey.InputOthersWrote) },
		"a message was routed":  func(k *talk) { require.Equal(t, "Unparsed Route", k.writes("hello, a new question")) },
		"a voice message was":   func(k *talk) { require.Equal(t, "Route", k.writes("")) },
		"a menu's button was":   func(k *talk) { require.Equal(t, "Route", k.presses("menu/1")) },
		"and we asked, earlier": func(k *talk) { k.happens(survey.InputAsked); k.happens(survey.InputOthersWrote) },
	} {
		t.Run(name, func(t *testing.T) {
			k := startTalk(t, nps())
			interrupt(k)
			assert.Equal(t, "Route", k.writes("2"))
			assert.Equal(t, "Route", k.writes("cancel"), "an order")
			assert.Equal(t, "Route", k.does(quoting("2", survey.QuotesOther)))
			assert.Equal(t, survey.PhaseAsked, k.state.Phase)
			other := *k
			assert.Equal(t, "Consume Score(2) FollowUp(What went wrong?)", k.does(quoting("2", survey.QuotesQuestion)))
			assert.Equal(t, "Consume Score(9) FollowUp(What did you like?)", other.presses("survey/01JD/9"))
			assert.Equal(t, "Route", other.writes("1"), "the bot still waits, until our next question is out")
			other.happens(survey.InputAsked)
			assert.Equal(t, "Consume best=Ana Thanks(Thank you!)", other.writes("Ana"))
		})
	}
	k := startTalk(t, nps())
	assert.Equal(t, "Route", k.does(quoting("2", survey.QuotesOther)), "also before anything else was said")
}

// For what is written into a conversation that is not solved, somebody may be waiting:
// in time or late, a text there is theirs.
func TestATextIsOursOnlyWhereNobodyWaitsForIt(t *testing.T) {
	k := startTalk(t, nps()).after(72 * time.Hour)
	late := survey.Input{Kind: survey.InputMessage, Text: "2", Attended: true}
	assert.Equal(t, "Route", k.does(late))

	k = startTalk(t, nps()).after(72 * time.Hour)
	late.Quotes = survey.QuotesQuestion
	assert.Equal(t, "Consume Score(2 late)", k.does(late))

	inTime := survey.Input{Kind: survey.InputMessage, Text: "2", Attended: true}
	k = startTalk(t, nps()).after(time.Hour)
	assert.Equal(t, "Route", k.does(inTime))
	assert.Equal(t, "Consume Score(9) FollowUp(What did you like?)", k.presses("survey/01JD/9"), "a button is the question's own")
	k.happens(survey.InputAsked)
	assert.Equal(t, "Consume best=Two boxes Thanks(Thank you!)", k.does(survey.Input{Kind: survey.InputMessage, Text: "Two boxes", Attended: true}), "and so is what it led to")
	assert.Equal(t, "Route", k.does(inTime), "a changed score is said, or pressed, where nobody waits")

	k = startTalk(t, nps()).after(time.Hour)
	inTime.Quotes = survey.QuotesQuestion
	assert.Equal(t, "Consume Score(2) FollowUp(What went wrong?)", k.does(inTime))
}

func TestNoReminderIntoAnotherTalk(t *testing.T) {
	c := nps()
	c.Reminders = survey.Reminders{Count: 1, After: 24 * hour, Text: texts("Still there?")}
	timer := survey.Input{Kind: survey.InputTimer, Attended: true}
	k := startTalk(t, c)
	k.happens(survey.InputOthersWrote)
	assert.Equal(t, "", k.after(24*time.Hour).does(timer))
	assert.True(t, survey.NextAt(k.p, k.state).After(k.now), "nor later")

	k = startTalk(t, c)
	assert.Equal(t, "Reminder(Still there?)", k.after(24*time.Hour).does(timer), "nothing else is talked about")
	k = startTalk(t, c)
	k.happens(survey.InputOthersWrote)
	assert.Equal(t, "Reminder(Still there?)", k.after(24*time.Hour).happens(survey.InputTimer), "that is solved again")
}

func TestAFailedQuestionIsNotAnswered(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "", k.happens(survey.InputFailed))
	assert.Equal(t, survey.PhaseFailed, k.state.Phase)
	assert.True(t, survey.NextAt(k.p, k.state).IsZero(), "no reminder, no end to wait for")
	assert.Equal(t, "Route", k.writes("9"))
	assert.Equal(t, "Consume", k.presses("survey/01JD/9"))
	assert.False(t, k.state.Scored || k.state.Late)

	k = startTalk(t, nps())
	k.writes("9")
	k.happens(survey.InputFailed)
	assert.True(t, k.state.Scored, "who answered was asked")
}

func TestADialogueThatGivesWayIsActedOn(t *testing.T) {
	k := startTalk(t, nps())
	k.writes("2")
	assert.Equal(t, "Act(recover)", k.happens(survey.InputGaveWay))
	assert.False(t, k.state.Open())
	assert.Equal(t, "Consume", k.presses("survey/01JD/9"), "no late score beside one in time")
	assert.False(t, k.state.Late)

	k = startTalk(t, nps()).after(72 * time.Hour)
	assert.Equal(t, "", k.happens(survey.InputGaveWay))
	assert.Equal(t, survey.PhaseClosed, k.state.Phase)
	assert.Equal(t, "Consume Score(9 late)", k.presses("survey/01JD/9"))
}

func TestOptOutEndsTheDialogue(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "Consume OptOut", k.writes("Stop!"))
	assert.Equal(t, "Route", k.writes("9"))
	assert.Equal(t, "Consume", k.presses("survey/01JD/9"))
	assert.False(t, k.state.Scored)

	k = startTalk(t, nps())
	require.Equal(t, "Consume Score(9) FollowUp(What did you like?)", k.writes("9"))
	assert.Equal(t, "Consume OptOut", k.writes("no more surveys"))
	assert.True(t, k.state.Scored, "what was said stays said")
}

func TestAgentsSuspendTheDialogue(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "", k.happens(survey.InputAgentWrote))
	assert.Equal(t, "Route", k.writes("9"), "nine of what the agent asked about")
	assert.Equal(t, "", k.after(25*time.Hour).happens(survey.InputTimer), "no reminder")
	assert.Equal(t, "Consume Score(9)", k.presses("survey/01JD/9"), "our button can mean nothing else; and we say nothing")
	assert.Equal(t, survey.PhaseDone, k.state.Phase)
}

func TestRemindersStopAtTheirCount(t *testing.T) {
	c := nps()
	c.Reminders = survey.Reminders{Count: 2, After: 24 * hour, Text: texts("Still there?")}
	k := startTalk(t, c)
	assert.Equal(t, noon.Add(24*time.Hour), survey.NextAt(k.p, k.state))
	assert.Equal(t, "", k.after(23*time.Hour).happens(survey.InputTimer))
	assert.Equal(t, "Reminder(Still there?)", k.after(time.Hour).happens(survey.InputTimer))
	assert.Equal(t, "", k.happens(survey.InputTimer), "a timer that comes twice")
	assert.Equal(t, "Reminder(Still there?)", k.after(24*time.Hour).happens(survey.InputTimer))
	assert.Equal(t, "", k.after(20*time.Hour).happens(survey.InputTimer))

	k = startTalk(t, c)
	assert.Equal(t, "Reminder(Still there?)", k.after(60*time.Hour).happens(survey.InputTimer), "one for two that were missed")
	assert.Equal(t, 2, k.state.Reminded)
}

func TestLateScoresAreKeptApart(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "Consume Score(9 late)", k.after(72*time.Hour).writes("9"))
	assert.False(t, k.state.Scored)
	assert.Equal(t, 9, k.state.LateScore)
	assert.Equal(t, "Route", k.writes("and one more thing"))
	assert.Equal(t, "Route", k.after(15*24*time.Hour).writes("9"), "too late to be understood")
	assert.Equal(t, survey.PhaseClosed, k.state.Phase)
	assert.Equal(t, "Consume Score(3 late)", k.presses("survey/01JD/3"), "but a button says what it is")

	k = startTalk(t, nps())
	assert.Equal(t, "Consume Score(9) FollowUp(What did you like?)", k.after(72*time.Hour-time.Nanosecond).writes("9"), "in time")
}

func TestCommentsEndWithTheirWindow(t *testing.T) {
	k := startTalk(t, nps())
	require.Equal(t, "Consume Score(2) FollowUp(What went wrong?)", k.writes("2"))
	assert.Equal(t, "Act(recover) Route", k.after(10*time.Minute).writes("hello, is somebody there?"))
	assert.False(t, k.state.Completed)
	assert.Equal(t, survey.PhaseDone, k.state.Phase)
}

func TestEventsOvertakeADialogue(t *testing.T) {
	k := startTalk(t, nps())
	assert.Equal(t, "", k.happens(survey.InputNegativeEvent), "not what this campaign cancels on")
	assert.Equal(t, survey.PhaseAsked, k.state.Phase)
	k.happens(survey.InputReopened)
	assert.Equal(t, survey.PhaseCancelled, k.state.Phase)
	assert.Equal(t, "Route", k.writes("9"))
	assert.Equal(t, "", k.after(48*time.Hour).happens(survey.InputTimer))

	k = startTalk(t, nps())
	k.writes("2")
	k.happens(survey.InputReopened)
	assert.Equal(t, survey.PhaseDone, k.state.Phase, "the score counts, and nothing more is asked")
	assert.True(t, k.state.Scored)

	k = startTalk(t, nps())
	k.happens(survey.InputOptedOut)
	assert.Equal(t, survey.PhaseOptedOut, k.state.Phase)
}

func TestTextsGoByLanguageAndArm(t *testing.T) {
	c := nps()
	c.Arms = []survey.Arm{{Name: "plain", Weight: 1}, {Name: "warm", Weight: 1, Texts: map[string]survey.Texts{"score": texts("Dear, how likely?")}}}
	p := compile(t, c)
	_, effects := survey.Start(p, "1", survey.Decision{Language: "de", Assignment: survey.Assignment{Arm: 1}}, noon)
	assert.Equal(t, "Dear, how likely? (de)", effects[0].Text)
	_, effects = survey.Start(p, "1", survey.Decision{Language: "de"}, noon)
	assert.Equal(t, "How likely, 0 to 10? (de)", effects[0].Text)
}

func TestAnswersAreCutToTheirLength(t *testing.T) {
	c := nps()
	c.Questions[1].MaxChars = 3
	k := startTalk(t, c)
	k.writes("2")
	assert.Equal(t, "Consume why=äöü Thanks(We are sorry.)", k.writes("äöüß"))
}

func TestFollowUpsSeeEarlierAnswers(t *testing.T) {
	c := nps()
	c.Questions = append(c.Questions, survey.Question{ID: "call", Kind: survey.TextQuestion, When: `answers.?why.orValue("").contains("call")`, Text: texts("On which number?")})
	k := startTalk(t, c)
	k.writes("2")
	assert.Equal(t, "Consume why=please call me FollowUp(On which number?)", k.writes("please call me"))
}

func TestPayloads(t *testing.T) {
	p := compile(t, nps())
	for _, b := range p.Buttons("01JDABCDEFGHJKMNPQRSTVWXYZ") {
		assert.LessOrEqual(t, len(b.Payload), 64, "Telegram's limit")
		id, score, ok := survey.ParsePayload(b.Payload)
		assert.True(t, ok)
		assert.Equal(t, "01JDABCDEFGHJKMNPQRSTVWXYZ", id)
		assert.Equal(t, b.Title, fmt.Sprint(score))
	}
	for _, payload := range []string{"", "survey/", "survey/1", "survey/1/", "survey//1", "survey/1/x", "survey/1/-1", "survey/1/100", "other/1/1", "survey/1/1/1"} {
		_, _, ok := survey.ParsePayload(payload)
		assert.False(t, ok, payload)
	}
}

func TestFitShowsTheWholeScaleOrNone(t *testing.T) {
	buttons := compile(t, nps()).Buttons("1")
	fits, style := survey.Fit(buttons, 3, 13)
	assert.Len(t, fits, 11)
	assert.Equal(t, message.ButtonStyleQuickReplies, style)
	fits, style = survey.Fit(buttons, 100, 0)
	assert.Len(t, fits, 11)
	assert.Equal(t, message.ButtonStyleAuto, style)
	fits, _ = survey.Fit(buttons, 10, 10)
	assert.Empty(t, fits, "0 to 9 would be another question")
}

// Whatever comes, in whatever order and however late,
// these hold.
func TestDialogueInEveryOrder(t *testing.T) {
	c := nps()
	c.Reminders = survey.Reminders{Count: 2, After: 24 * hour}
	inputs := []survey.Input{
		{Kind: survey.InputMessage, Text: "9"}, {Kind: survey.InputMessage, Text: "2"}, {Kind: survey.InputMessage, Text: "3 - slow"},
		{Kind: survey.InputMessage, Text: "7 or 8"}, {Kind: survey.InputMessage, Text: "where is my order?"}, {Kind: survey.InputMessage, Text: "stop"},
		{Kind: survey.InputMessage}, {Kind: survey.InputMessage, Payload: "survey/1/10"}, {Kind: survey.InputMessage, Payload: "other"},
		{Kind: survey.InputTimer}, {Kind: survey.InputTimer}, {Kind: survey.InputAgentWrote}, {Kind: survey.InputReopened}, {Kind: survey.InputNegativeEvent}, {Kind: survey.InputOptedOut},
		{Kind: survey.InputFailed}, {Kind: survey.InputGaveWay},
		{Kind: survey.InputOthersWrote}, {Kind: survey.InputAsked}, {Kind: survey.InputMessage, Text: "9", Attended: true}, {Kind: survey.InputMessage, Text: "4", Quotes: survey.QuotesQuestion},
	}
	p := compile(t, c)
	rapid.Check(t, func(t *rapid.T) {
		now := noon
		s, _ := survey.Start(p, "1", survey.Decision{Language: "en"}, now)
		clarified, reminded, acted := 0, 0, 0
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 9, 60, 60 * 24, 60 * 72}).Draw(t, "minutes")) * time.Minute)
			in := rapid.SampledFrom(inputs).Draw(t, "input")
			before := s
			next, effects := survey.Step(p, s, in, now)
			consumed, routed := 0, 0
			for _, e := range effects {
				switch e.Kind {
				case survey.EffectConsume:
					consumed++
				case survey.EffectRoute:
					routed++
				case survey.EffectAct:
					acted++
					require.True(t, next.Frozen && next.Score <= 6)
				case survey.EffectScore:
					require.Equal(t, e.Late, !next.Scored && next.Late || e.Late)
				case survey.EffectSay:
					require.False(t, next.Suspended, "we do not talk into a person's words")
					require.NotEmpty(t, e.Text)
					clarified += map[bool]int{true: 1}[e.Saying == survey.SayClarify]
					reminded += map[bool]int{true: 1}[e.Saying == survey.SayReminder]
				}
			}
			isMessage := map[bool]int{true: 1}[in.Kind == survey.InputMessage]
			require.Equal(t, isMessage, consumed+routed, "a message goes one way")
			if isMessage == 1 && in.Text == "where is my order?" && before.Phase != survey.PhaseFollowUp {
				require.Equal(t, 1, routed)
			}
			if isMessage == 1 && before.Interrupted && in.Payload == "" && in.Quotes != survey.QuotesQuestion {
				require.Equal(t, 1, routed, "what is said to others is not ours")
			}
			if before.Frozen {
				require.Equal(t, before.Score, next.Score, "a final score is final")
			}
			require.True(t, !before.Scored || next.Scored, "a score does not go away")
			if at := survey.NextAt(p, next); !at.IsZero() && in.Kind == survey.InputTimer {
				require.True(t, at.After(now), "a timer never spins")
			}
			s = next
		}
		require.LessOrEqual(t, clarified, 1)
		require.LessOrEqual(t, reminded, 2)
		require.LessOrEqual(t, acted, 1)
	})
}
