package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// delivered is what another system tells: consider this contact.
func (s *surveying) delivered(contact string) SurveyTriggered {
	s.t.Helper()
	got, err := s.TriggerSurvey(s.t.Context(), everything, npsCampaign, SurveyTrigger{Contact: contact, Event: survey.API})
	require.NoError(s.t, err)
	s.run()
	return got
}

// Nobody is asked in the middle of a talk, whoever triggers it: "2" is the answer to
// the agent's question. It is asked once that is solved.
func TestNobodyIsAskedIntoAnOpenConversation(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Trigger.Events, c.Trigger.CancelOn = []survey.TriggerEvent{survey.API}, nil
	})
	v := s.hear("ana", "two of my boxes are damaged")
	s.mustSend(v, SendRequest{Author: message.Author{Kind: message.AuthorAgent, Name: "eve"}, Type: message.TypeText, Text: "Sorry! How many boxes exactly?"})
	s.run()
	got := s.delivered(s.conversationContact(v))
	require.Equal(t, survey.Deferred, got.Exit)
	require.Equal(t, survey.DeferConversationOpen, got.Because)
	require.Empty(t, s.says("ana", "2").Survey)
	require.Empty(t, s.scores(npsCampaign))

	s.solve(v)
	s.clock.advance(time.Hour)
	s.run()
	require.Equal(t, []int{1, 0}, []int{s.funnel(npsCampaign).Asked, s.funnel(npsCampaign).Pending})
	require.Equal(t, npsCampaign, s.says("ana", "9").Survey)

	bob := s.hear("bob", "hello")
	s.solve(bob)
	require.Equal(t, survey.Asked, s.delivered(s.conversationContact(bob)).Exit, "nobody helps him: he is asked at once")
}

// A conversation that nobody solves has a question wait as long as any other reason.
func TestAQuestionWaitsForAnOpenConversationNotForEver(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.MaxDefer = document.Duration(5 * time.Hour) })
	v := s.hear("ana", "hello")
	s.delivered(s.conversationContact(v))
	for range 5 {
		require.Equal(t, 1, s.funnel(npsCampaign).Pending)
		s.clock.advance(time.Hour)
		s.run()
	}
	require.Equal(t, map[survey.Exit]int{survey.ConversationOpen: 1}, s.exits(npsCampaign))
	require.Empty(t, s.said(v))
}

// What was solved on one channel is not asked about on another where people talk with
// the contact; where nobody does, it is.
func TestAnOpenConversationElsewhereIsLeftAlone(t *testing.T) {
	w := newVillage(t)
	w.campaign(npsCampaign, npsSpec(func(c *survey.Campaign) { c.Channels, c.Trigger.CancelOn = []string{secondChat}, nil }))
	v, open := w.met(telegram, "ana"), w.met(secondChat, "1254")
	w.merge(w.contactOf(v), w.contactOf(open))
	w.solve(v)
	require.Equal(t, []int{0, 1}, []int{w.funnel(npsCampaign).Asked, w.funnel(npsCampaign).Pending})
	require.Empty(t, w.said(open))
}

// A conversation that is opened after the question was asked is not the survey's: a
// text there is people's, a press of its button is its own.
func TestATextInAConversationThatIsOpenedIsForPeople(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.CancelOn = nil })
	v := s.asked("ana")
	_, err := s.Reopen(t.Context(), everything, v)
	require.NoError(t, err)
	require.Empty(t, s.says("ana", "2").Survey)
	require.Zero(t, s.funnel(npsCampaign).Answered)
	require.Equal(t, npsCampaign, s.presses("ana", "survey/"+s.dialogue(npsCampaign).id+"/9").Survey)
	require.Equal(t, 9, s.scores(npsCampaign)[0].Score)
}
