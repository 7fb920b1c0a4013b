package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// A number that answers somebody else than the survey is theirs.
func TestNumbersForOthersAreNoScores(t *testing.T) {
	keep := func(c *survey.Campaign) { c.Trigger.CancelOn = nil }
	t.Run("a bot asks in between", func(t *testing.T) {
		s := newSurveying(t, keep)
		v := s.asked("ana")
		d := s.dialogue(npsCampaign)
		s.mustSend(v, SendRequest{Author: message.Author{Kind: message.AuthorBot, Name: "menu"}, Epoch: 1, Type: message.TypeText, Text: "1 parcel, 2 return"})
		require.Empty(t, s.says("ana", "2").Survey)
		s.wantState(v, ConversationOpen)
		require.Empty(t, s.says("ana", "cancel").Survey)
		f := s.funnel(npsCampaign)
		require.Equal(t, []int{0, 0}, []int{f.Answered, f.OptedOut})
		require.Equal(t, npsCampaign, s.presses("ana", "survey/"+d.id+"/9").Survey, "a button of the question is the survey's")
		require.Equal(t, 1, s.funnel(npsCampaign).Answered)
	})
	t.Run("a new question opens a follow-up", func(t *testing.T) {
		s := newSurveying(t, keep)
		s.asked("ana")
		s.clock.advance(25 * time.Hour)
		require.Empty(t, s.says("ana", "hello, a new question").Survey)
		require.Empty(t, s.says("ana", "2").Survey)
		require.Zero(t, s.funnel(npsCampaign).Answered)
	})
	t.Run("late, in a conversation that is open", func(t *testing.T) {
		s := newSurveying(t, keep)
		v := s.asked("ana")
		_, err := s.Reopen(t.Context(), everything, v)
		require.NoError(t, err)
		s.clock.advance(73 * time.Hour)
		s.run()
		require.Empty(t, s.says("ana", "2").Survey)
		require.Zero(t, s.funnel(npsCampaign).Late)
	})
	t.Run("several at once", func(t *testing.T) {
		s := newSurveying(t, keep)
		s.asked("ana")
		ingest(t, s.Store, telegram, textFrom("ana", "m1", "hello?"), textFrom("ana", "m2", "2"))
		require.Zero(t, s.funnel(npsCampaign).Answered)
	})
}

// What quotes the question is an answer to it, whoever wrote since.
func TestAReplyToTheQuestionIsItsAnswer(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.CancelOn = nil })
	v := s.asked("ana")
	question := getMessage(t, s.Store, s.dialogue(npsCampaign).message).ExternalID
	require.NotEmpty(t, question)
	s.mustSend(v, SendRequest{Author: message.Author{Kind: message.AuthorBot, Name: "menu"}, Epoch: 1, Type: message.TypeText, Text: "1 parcel, 2 return"})
	d := s.leaseOne()
	s.sent(d)
	menu := getMessage(t, s.Store, d.ID).ExternalID
	replies := func(to, id, body string) string {
		ev := textFrom("ana", id, body)
		ev.Message.Timestamp, ev.Message.ReplyTo = s.clock.Now(), to
		return getMessage(t, s.Store, stored(t, s.Store, telegram, ev)).Survey
	}
	require.Empty(t, replies(menu, "r1", "2"))
	require.Empty(t, replies("unheard-of", "r2", "2"))
	require.Equal(t, npsCampaign, replies(question, "r3", "9"))
	require.Equal(t, 9, s.scores(npsCampaign)[0].Score)
}

// A reminder asks again: what comes then is its answer.
func TestAReminderHasTheWordAgain(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Trigger.CancelOn = nil
		c.Reminders = survey.Reminders{Count: 1, After: document.Duration(24 * time.Hour)}
	})
	v := s.asked("ana")
	require.Empty(t, s.says("ana", "one more thing").Survey)
	_, err := s.Resolve(t.Context(), everything, v)
	require.NoError(t, err)
	require.Empty(t, s.says("ana", "9").Survey)
	_, err = s.Resolve(t.Context(), everything, v)
	require.NoError(t, err)
	s.clock.advance(24 * time.Hour)
	s.run()
	require.Len(t, s.said(v), 2)
	require.Equal(t, npsCampaign, s.says("ana", "9").Survey)
}

// Who writes again about what was solved is not asked how it went, also where that
// begins a follow-up; and a question that is out ends.
func TestAFollowUpIsAReopening(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.Delay = document.Duration(30 * time.Hour) })
	v := s.asked("ana")
	s.clock.advance(25 * time.Hour)
	w := s.says("ana", "It broke again").Conversation
	require.NotEqual(t, v, w, "after the reopen window")
	s.clock.advance(6 * time.Hour)
	s.run()
	require.Equal(t, map[survey.Exit]int{survey.Reopened: 1}, s.exits(npsCampaign), "she is being helped")

	s.solve(w)
	s.clock.advance(31 * time.Hour)
	s.run()
	require.Equal(t, 1, s.funnel(npsCampaign).Asked, "about what solved it")
	require.Equal(t, w, s.dialogue(npsCampaign).subject)
	require.Empty(t, s.says("ana", "And again!").Survey, "a third one")
	f := s.funnel(npsCampaign)
	require.Equal(t, []int{1, 1}, []int{f.Asked, f.Cancelled})
	require.Empty(t, s.says("ana", "2").Survey)
}

// Without cancelOn it is asked all the same, when she is not being helped any more.
func TestAFollowUpCancelsNothingUnlessTheCampaignSaysSo(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.Delay, c.Trigger.CancelOn = document.Duration(30*time.Hour), nil })
	s.asked("ana")
	s.clock.advance(25 * time.Hour)
	w := s.says("ana", "It broke again").Conversation
	s.clock.advance(6 * time.Hour)
	s.run()
	require.Equal(t, []int{0, 1}, []int{s.funnel(npsCampaign).Asked, s.funnel(npsCampaign).Pending})
	s.solve(w)
	s.clock.advance(time.Hour)
	s.run()
	require.Equal(t, 1, s.funnel(npsCampaign).Asked)
}

// Two open questions become one person's: one goes on, the other has its outcome, and
// nothing stands in the way of other surveys.
func TestOfTwoOpenQuestionsOfOnePersonOneGoesOn(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Reminders = survey.Reminders{Count: 1, After: document.Duration(time.Hour)}
	})
	s.asked("ana-new")
	s.asked("ana")
	ingest(t, s.Store, telegram, message.Event{Migration: &message.Migration{From: "ana", To: "ana-new"}})
	s.clock.advance(2 * time.Hour)
	s.run()
	require.Equal(t, 1, count(t, s.Store, "survey_dialogues WHERE open = 1"))
	require.Equal(t, 1, s.funnel(npsCampaign).Expired)
	require.Equal(t, npsCampaign, s.says("ana-new", "9").Survey)
	require.Equal(t, 1, s.funnel(npsCampaign).Answered)
	s.clock.advance(100 * time.Hour)
	s.run()
	require.Zero(t, count(t, s.Store, "survey_dialogues WHERE open = 1 OR next_at > 0 OR outcome = ''"))
}
