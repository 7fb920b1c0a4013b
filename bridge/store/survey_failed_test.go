package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// fails lets the platform refuse the one thing that is queued.
func (s *surveying) fails() {
	s.t.Helper()
	r := of(s.leaseOne(), 0, wire.OutcomeFailed)
	r.Class = wire.ErrContentRejected
	s.report(r)
}

// A question that did not arrive was asked of nobody: nothing answers it, nobody is
// reminded of it, and nobody is left alone because of it.
func TestAQuestionThatFailedAsksNobody(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Frequency = survey.Frequency{Group: "care", GroupCooldown: document.Duration(10 * 24 * time.Hour), CampaignCooldown: document.Duration(90 * 24 * time.Hour)}
		c.Reminders = survey.Reminders{Count: 1, After: document.Duration(time.Hour)}
		c.Trigger.CancelOn = nil
	})
	s.unsent = true
	v := s.asked("ana")
	s.fails()
	f := s.funnel(npsCampaign)
	require.Equal(t, []int{1, 1, 0}, []int{f.Asked, f.Failed, f.Expired})
	d := s.dialogue(npsCampaign)
	require.Equal(t, []any{survey.PhaseFailed, false, outcomeFailed}, []any{d.state.Phase, d.open, d.outcome})
	s.clock.advance(2 * time.Hour)
	s.run()
	require.Len(t, s.said(v), 1, "no reminder")
	require.Empty(t, s.says("ana", "2").Survey)
	s.wantState(v, ConversationOpen)
	require.Zero(t, s.funnel(npsCampaign).Answered)

	s.unsent = false
	s.solve(v)
	require.Equal(t, 2, s.funnel(npsCampaign).Asked, "%v", s.exits(npsCampaign))
	require.Equal(t, npsCampaign, s.says("ana", "9").Survey)
	s.clock.advance(time.Hour)
	s.run()
	s.says("ana", "hello again")
	s.solve(v)
	require.Equal(t, 1, s.exits(npsCampaign)[survey.CampaignCooldown], "this one arrived")
}

// What waits in the outbox was not asked yet.
func TestAQuestionThatIsNotSentYetTakesNoAnswers(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.CancelOn = nil })
	s.unsent = true
	v := s.asked("ana")
	require.Empty(t, s.says("ana", "2").Survey)
	s.wantState(v, ConversationOpen)
	d := s.leaseOne()
	require.Equal(t, []bool{true}, s.report(of(d, 0, wire.OutcomeSending)))
	_, err := s.Resolve(t.Context(), everything, v)
	require.NoError(t, err)
	require.Equal(t, npsCampaign, s.says("ana", "9").Survey, "faster than the bridge can tell that it was sent")
}

// A reminder that failed did not ask again.
func TestAReminderThatFailedDoesNotHaveTheWord(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Trigger.CancelOn = nil
		c.Reminders = survey.Reminders{Count: 1, After: document.Duration(24 * time.Hour)}
	})
	v := s.asked("ana")
	s.says("ana", "one more thing")
	_, err := s.Resolve(t.Context(), everything, v)
	require.NoError(t, err)
	s.clock.advance(24 * time.Hour)
	s.unsent = true
	s.run()
	require.False(t, s.dialogue(npsCampaign).state.Interrupted)
	s.fails()
	require.Empty(t, s.says("ana", "9").Survey)
}

// A score is acted on, also where another question comes before its time.
func TestActionsAreNotLostToAnotherQuestion(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Replies.CommentWindow = document.Duration(time.Minute)
		c.Actions = []survey.Action{{Name: "recover", When: "score <= 6", Do: survey.OpenConversation, Queue: vip}}
	})
	s.campaign("shop/other", npsSpec(func(c *survey.Campaign) { c.Trigger.Events = []survey.TriggerEvent{survey.API} }))
	v := s.asked("ana")
	s.says("ana", "2")
	s.clock.advance(2 * time.Minute) // it may be changed for eight minutes more
	trigger := SurveyTrigger{Contact: s.conversationContact(v), Event: survey.API}
	got, err := s.TriggerSurvey(t.Context(), everything, "shop/other", trigger)
	require.NoError(t, err)
	require.Equal(t, survey.DeferSurveyOpen, got.Because)
	s.clock.advance(9 * time.Minute) // and the timers have not run since
	_, err = s.surveys.decideDue(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, s.funnel("shop/other").Asked)
	s.run()
	s.wantOwner(v, OwnerQueue, vip)
	require.Equal(t, 1, s.funnel(npsCampaign).Answered)
}

// An expression sees how much the contact wrote, whether something else asks for that
// or not.
func TestExpressionsSeeHowMuchWasWritten(t *testing.T) {
	for _, least := range []int{0, 1} {
		s := newSurveying(t, func(c *survey.Campaign) {
			c.Trigger.Exclude.MinInboundMessages = least
			c.Audience.Matches = []survey.Match{{Expression: `conversation.inboundMessages == 3`}}
		})
		s.says("ana", "hello")
		s.says("ana", "is anybody there?")
		s.asked("ana")
		require.Equal(t, 1, s.funnel(npsCampaign).Asked, "%v", s.exits(npsCampaign))
	}
}

// What stands under a picture, or for a sticker, is no answer.
func TestPicturesAreForPeople(t *testing.T) {
	s := newSurveying(t)
	s.asked("ana")
	ev := textFrom("ana", "sticker", "9")
	ev.Message.Type, ev.Message.Timestamp = message.TypeSticker, s.clock.Now()
	ev.Message.Attachments = []message.Attachment{{Kind: "sticker", MimeType: "image/webp", Ref: "file"}}
	require.Empty(t, getMessage(t, s.Store, stored(t, s.Store, telegram, ev)).Survey)
	require.Zero(t, s.funnel(npsCampaign).Answered)
}

// Once about a conversation, as about each time that it is solved.
func TestAnAgentAsksOnceAboutAConversation(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.Events = []survey.TriggerEvent{survey.Manual} })
	v := s.hear("ana", "hello")
	s.solve(v)
	for _, want := range []survey.Exit{survey.Asked, survey.AlreadyAsked} {
		got, err := s.TriggerSurvey(t.Context(), everything, npsCampaign, SurveyTrigger{Conversation: v, Event: survey.Manual})
		require.NoError(t, err)
		require.Equal(t, want, got.Exit)
	}
}

// Triggers of a campaign that is named and never in force again do not wait for ever.
func TestTriggersOfACampaignThatIsBrokenEnd(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.Delay = document.Duration(time.Hour) })
	s.asked("ana")
	opts := onBackend(t, s.Store.opts)
	require.NoError(t, s.Close())
	fresh, err := Open(t.Context(), opts) // a replica that began with the broken entry
	require.NoError(t, err)
	t.Cleanup(func() { _ = fresh.Close() })
	broken := s.entries[string(document.EntrySurveyCampaign)+"/"+npsCampaign]
	broken.Spec, broken.Hash = []byte(`{"type":"NPS"}`), "broken"
	s.Store = fresh
	s.set(broken)
	require.Len(t, s.reload(), 1)
	s.clock.advance(2 * time.Hour)
	s.run()
	require.Equal(t, 1, s.funnel(npsCampaign).Pending)
	s.clock.advance(80 * time.Hour)
	s.run()
	require.Equal(t, map[survey.Exit]int{survey.Stopped: 1}, s.exits(npsCampaign))
}
