package store

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Who had a conversation is asked once it is solved; the score wakes nobody.
func TestSurveyAsksAndTakesTheScore(t *testing.T) {
	s := newSurveying(t)
	s.attach(inbound(rule("all", step("people", toQueue(general)))))
	v := s.asked("ana")
	require.Equal(t, []string{"survey: How likely?"}, s.said(v))
	question := s.dialogue(npsCampaign).message
	m := getMessage(t, s.Store, question)
	require.Equal(t, npsCampaign, m.Survey)
	require.Len(t, m.Buttons, 11)
	require.Equal(t, message.ButtonStyleQuickReplies, m.ButtonStyle)

	decisions := count(t, s.Store, "decisions")
	reply := s.says("ana", "9, quick help")
	require.Equal(t, v, reply.Conversation)
	require.Equal(t, npsCampaign, reply.Survey)
	s.wantState(v, ConversationSolved)
	require.Equal(t, decisions, count(t, s.Store, "decisions"), "nothing is routed")
	require.Equal(t, []string{"survey: How likely?", "survey: Thank you."}, s.said(v))
	require.Equal(t, []survey.Row{{Score: 9, Completed: true, Asked: 1, Answered: 1}}, s.scores(npsCampaign))
	require.Equal(t, 1, count(t, s.Store, "survey_answers WHERE comment = 'quick help' AND contact = '"+s.conversationContact(v)+"'"))
	f := s.funnel(npsCampaign)
	require.Equal(t, []int{1, 1, 1, 1}, []int{f.Triggered, f.Asked, f.Answered, f.Completed})

	require.Equal(t, reply.Survey, s.says("ana", "7").Survey, "it may be changed for ten minutes")
	require.Equal(t, 7, s.scores(npsCampaign)[0].Score)
	s.clock.advance(11 * time.Minute)
	s.run()
	require.False(t, s.dialogue(npsCampaign).open)
	require.Empty(t, s.says("ana", "3").Survey, "it is over: a message is a message")
	s.wantState(v, ConversationOpen)
	require.Equal(t, 7, s.scores(npsCampaign)[0].Score)
}

// What is no score goes where it would go without a survey, which stays open.
func TestSurveyNeverSwallowsAMessage(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.CancelOn = nil })
	v := s.asked("ana")
	require.Empty(t, s.says("ana", "My parcel has not come yet").Survey)
	s.wantState(v, ConversationOpen)
	require.True(t, s.dialogue(npsCampaign).open)
	require.Empty(t, s.says("ana", "7").Survey, "it is the last thing said: people are waited for")

	v = s.asked("bob")
	require.Equal(t, npsCampaign, s.says("bob", "7 or 8").Survey)
	require.Empty(t, s.says("bob", "5 or 6").Survey, "asked back once")
	require.Equal(t, npsCampaign, s.presses("bob", "survey/"+s.dialogue(npsCampaign).id+"/4").Survey)
	require.Equal(t, npsCampaign, s.says("bob", "It took too long").Survey, "the answer to why")
	require.Equal(t, []string{"survey: How likely?", "survey: One number, please.", "survey: What went wrong?", "survey: Thank you."}, s.said(v))
	require.Equal(t, []survey.Row{{Score: 4, Completed: true, Asked: 3, Answered: 3}}, s.scores(npsCampaign))
	f := s.funnel(npsCampaign)
	require.Equal(t, []int{2, 1, 2, 1, 1}, []int{f.Asked, f.Clarified, f.Unparsed, f.Answered, f.Completed})
}

// A question about what was reopened is out of place, and a press of its button is
// not mistaken for a message.
func TestSurveyEndsWhenTheConversationIsReopened(t *testing.T) {
	s := newSurveying(t)
	v := s.asked("ana")
	require.Empty(t, s.says("ana", "It broke again").Survey)
	require.Equal(t, 1, s.funnel(npsCampaign).Cancelled)
	d := s.dialogue(npsCampaign)
	require.False(t, d.open)
	require.Equal(t, npsCampaign, s.presses("ana", "survey/"+d.id+"/9").Survey)
	require.Empty(t, s.scores(npsCampaign))
	require.Empty(t, s.says("ana", "9").Survey)
	s.wantState(v, ConversationOpen)
}

// What comes after the window is kept apart, also by a button of long ago.
func TestSurveyKeepsLateScoresApart(t *testing.T) {
	s := newSurveying(t)
	s.asked("ana")
	d := s.dialogue(npsCampaign)
	s.clock.advance(73 * time.Hour)
	s.run()
	require.Equal(t, 1, s.funnel(npsCampaign).Expired)
	require.Equal(t, npsCampaign, s.says("ana", "8").Survey)
	require.Equal(t, []survey.Row{{Score: 8, Late: true, Asked: 1, Answered: 1}}, s.scores(npsCampaign))
	s.clock.advance(15 * 24 * time.Hour)
	s.run()
	require.False(t, s.dialogue(npsCampaign).open)
	require.Equal(t, npsCampaign, s.presses("ana", "survey/"+d.id+"/6").Survey)
	require.Equal(t, 6, s.scores(npsCampaign)[0].Score)
	f := s.funnel(npsCampaign)
	require.Equal(t, []int{1, 1, 0}, []int{f.Late, f.Expired, f.Answered})
}

// A person who writes has the word: what is queued is not sent, texts are theirs.
func TestSurveyIsSilentWhenAPersonWrites(t *testing.T) {
	s := newSurveying(t)
	s.unsent = true
	v := s.asked("ana")
	question := s.dialogue(npsCampaign).message
	reply := s.send(v, "One more thing")
	require.True(t, s.dialogue(npsCampaign).state.Suspended)
	require.Equal(t, reply, s.leaseOne().ID)
	s.wantStatus(question, message.StatusSuperseded, reasonSurveyStale)
	require.Equal(t, 1, s.funnel(npsCampaign).Failed)
	require.Empty(t, s.says("ana", "9").Survey, "an answer to the person")
}

func TestSurveyDeliveryIsCounted(t *testing.T) {
	s := newSurveying(t)
	s.asked("ana")
	require.Equal(t, 1, s.funnel(npsCampaign).Delivered, "the platform tells no more than that it took it")
}

// Who does not want to be asked is not asked again, by no campaign of the purpose.
func TestSurveyOptOut(t *testing.T) {
	s := newSurveying(t)
	v := s.asked("ana")
	require.Equal(t, npsCampaign, s.says("ana", "stop").Survey)
	require.Equal(t, 1, s.funnel(npsCampaign).OptedOut)
	s.says("ana", "hello again")
	s.solve(v)
	require.Equal(t, map[survey.Exit]int{survey.OptedOut: 1}, s.exits(npsCampaign))

	w := s.hear("bob", "hello")
	require.NoError(t, s.SetConsent(t.Context(), everything, s.conversationContact(w), "survey", survey.ConsentOptedOut))
	s.solve(w)
	require.Equal(t, map[survey.Exit]int{survey.OptedOut: 2}, s.exits(npsCampaign))
	require.NoError(t, s.SetConsent(t.Context(), everything, s.conversationContact(w), "survey", survey.ConsentOptedIn))
	s.says("bob", "me again")
	s.solve(w)
	require.Equal(t, 2, s.funnel(npsCampaign).Asked)
	require.NoError(t, s.SetConsent(t.Context(), everything, s.conversationContact(w), "survey", survey.ConsentOptedOut))
	require.Equal(t, 2, s.funnel(npsCampaign).OptedOut, "it ends the question that is open")
}

// A low score that can no longer be changed brings the conversation to people, with
// a time by which somebody should have looked.
func TestSurveyActionOpensTheConversation(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Actions = []survey.Action{{Name: "recover", When: "score <= 6", Do: survey.OpenConversation, Queue: vip, Within: document.Duration(4 * time.Hour)}}
	})
	v := s.asked("ana")
	s.says("ana", "2")
	s.wantState(v, ConversationSolved)
	s.clock.advance(11 * time.Minute)
	s.run()
	s.wantState(v, ConversationOpen)
	s.wantOwner(v, OwnerQueue, vip)
	due := getConversation(t, s.Store, v).DueAt
	require.NotNil(t, due)
	require.Equal(t, s.clock.Now().Add(4*time.Hour), *due)
	s.send(v, "I am sorry to hear that")
	require.Nil(t, getConversation(t, s.Store, v).DueAt)
	s.run()
	require.Equal(t, 1, count(t, s.Store, "owner_changes WHERE cause = 'survey'"))
}

// Two clocks keep a contact from being asked too often; where several campaigns
// of a group are due at once, the highest priority asks.
func TestSurveyCooldownsAndRank(t *testing.T) {
	grouped := func(priority int) func(*survey.Campaign) {
		return func(c *survey.Campaign) {
			c.Frequency = survey.Frequency{Group: "care", GroupCooldown: document.Duration(14 * 24 * time.Hour), CampaignCooldown: document.Duration(20 * 24 * time.Hour), Priority: priority}
		}
	}
	s := newSurveying(t, grouped(10))
	s.campaign("shop/csat", npsSpec(grouped(20)))
	v := s.asked("ana")
	require.Equal(t, 1, s.funnel("shop/csat").Asked)
	require.Equal(t, map[survey.Exit]int{survey.Outranked: 1}, s.exits(npsCampaign))
	s.says("ana", "9")
	s.clock.advance(time.Hour)
	s.run()
	s.says("ana", "hello again")
	s.solve(v)
	require.Equal(t, map[survey.Exit]int{survey.CampaignCooldown: 1}, s.exits("shop/csat"))
	require.Equal(t, map[survey.Exit]int{survey.Outranked: 1, survey.GroupCooldown: 1}, s.exits(npsCampaign))
	s.clock.advance(15 * 24 * time.Hour)
	s.solve(s.says("ana", "hello again").Conversation)
	require.Equal(t, 1, s.funnel(npsCampaign).Asked, "the group's clock is over, the other campaign's is not")
	require.Equal(t, 2, s.exits("shop/csat")[survey.CampaignCooldown])

	// The ledger outlives the campaign: made again, it asks no sooner.
	delete(s.entries, string(document.EntrySurveyCampaign)+"/"+npsCampaign)
	require.Empty(t, s.reload())
	s.campaign(npsCampaign, npsSpec(grouped(30)))
	s.clock.advance(time.Hour)
	s.says("ana", "9")
	s.clock.advance(time.Hour)
	s.run()
	s.solve(s.says("ana", "hello again").Conversation)
	require.Equal(t, 1, s.exits(npsCampaign)[survey.CampaignCooldown])
}

// One question at a time on a channel: the second campaign waits for the first.
func TestSurveyWaitsForAnother(t *testing.T) {
	s := newSurveying(t)
	s.campaign("shop/other", npsSpec(func(c *survey.Campaign) { c.Trigger.MaxDefer = document.Duration(96 * time.Hour) }))
	v := s.asked("ana")
	require.Equal(t, []string{"survey: How likely?"}, s.said(v))
	require.Equal(t, 1, s.funnel("shop/other").Pending)
	s.clock.advance(73 * time.Hour)
	s.run()
	require.Equal(t, 1, s.funnel("shop/other").Asked)
	require.Equal(t, 1, s.funnel(npsCampaign).Expired)
	require.Equal(t, 1, count(t, s.Store, "survey_dialogues WHERE open = 1"))
}

// A delay, and quiet times: also a reminder waits for the morning.
func TestSurveyQuietTimes(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Trigger.Delay = document.Duration(time.Hour)
		c.Trigger.Schedule = hours
		c.Reminders = survey.Reminders{Count: 1, After: document.Duration(12 * time.Hour), Text: survey.Texts{"en": "Would you tell us?"}}
	})
	v := s.asked("ana") // on a Sunday
	require.Equal(t, 1, s.funnel(npsCampaign).Pending)
	s.clock.advance(22 * time.Hour)
	s.run()
	require.Empty(t, s.said(v))
	s.clock.advance(time.Hour) // Monday, 9:00
	s.run()
	require.Equal(t, []string{"survey: How likely?"}, s.said(v))
	s.clock.advance(12 * time.Hour)
	s.run()
	require.Len(t, s.said(v), 1, "not in the evening")
	s.clock.advance(12 * time.Hour)
	s.run()
	require.Equal(t, []string{"survey: How likely?", "survey: Would you tell us?"}, s.said(v))
	s.clock.advance(48 * time.Hour)
	s.run()
	require.Equal(t, 1, s.funnel(npsCampaign).Expired)
	require.Len(t, s.said(v), 2)
}

// Other systems make a campaign consider a contact, once by their key; what makes a
// question out of place ends it.
func TestSurveyTriggers(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.Events = []survey.TriggerEvent{survey.Manual, survey.API} })
	v := s.hear("ana", "hello")
	s.solve(v)
	contact := s.conversationContact(v)
	scope := Scope{All: true, Write: Write{Key: "order-1", Fingerprint: "f"}}
	for range 2 {
		got, err := s.TriggerSurvey(t.Context(), scope, npsCampaign, SurveyTrigger{Contact: contact, Event: survey.API})
		require.NoError(t, err)
		require.Equal(t, survey.Asked, got.Exit)
	}
	require.Equal(t, 1, s.funnel(npsCampaign).Triggered)
	got, err := s.TriggerSurvey(t.Context(), everything, npsCampaign, SurveyTrigger{Conversation: v, Event: survey.Manual})
	require.NoError(t, err)
	require.Equal(t, SurveyTriggered{Exit: survey.Deferred, Because: survey.DeferSurveyOpen, Until: fromMS(s.dialogue(npsCampaign).askedAt).Add(72 * time.Hour), Assignment: got.Assignment}, got)
	require.NoError(t, s.ContactEvent(t.Context(), everything, contact, survey.NegativeEvent))
	require.Equal(t, 1, s.funnel(npsCampaign).Cancelled)
	s.clock.advance(72 * time.Hour)
	s.run()
	require.Equal(t, map[survey.Exit]int{survey.CancelledByEvent: 1}, s.exits(npsCampaign))

	for field, trigger := range map[string]SurveyTrigger{
		"event":      {Contact: contact, Event: survey.ConversationResolved},
		"contact":    {Event: survey.API},
		"occurredAt": {Contact: contact, Event: survey.API, OccurredAt: s.clock.Now().Add(time.Hour)},
	} {
		_, err := s.TriggerSurvey(t.Context(), everything, npsCampaign, trigger)
		fe := (*FieldError)(nil)
		require.True(t, errors.As(err, &fe), "%v", err)
		require.Equal(t, field, fe.Field)
	}
	_, err = s.TriggerSurvey(t.Context(), Scope{Namespaces: []string{"elsewhere"}}, npsCampaign, SurveyTrigger{Contact: contact, Event: survey.API})
	require.ErrorIs(t, err, ErrNotFound)
}

// Stop rules end the asking; when the last replies are in, the campaign ends. Other
// rules let it go on.
func TestSurveyStops(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Stop.MaxResponses = 1 })
	s.asked("ana")
	s.says("ana", "9")
	s.clock.advance(2 * time.Second)
	s.run()
	require.Equal(t, 1, count(t, s.Store, "survey_campaigns WHERE stopped_at > 0 AND stop_rule = 'MaxResponses' AND ended_at = 0"))
	s.asked("bob")
	require.Equal(t, map[survey.Exit]int{survey.Stopped: 1}, s.exits(npsCampaign))

	s.campaign(npsCampaign, npsSpec(func(c *survey.Campaign) { c.Stop.MaxResponses = 2 }))
	s.clock.advance(time.Minute)
	s.run()
	v := s.asked("carl")
	require.Equal(t, []string{"survey: How likely?"}, s.said(v))
	s.says("carl", "8")
	s.clock.advance(time.Minute)
	s.run()
	s.clock.advance(80 * time.Hour)
	s.run()
	require.Equal(t, 1, count(t, s.Store, "survey_campaigns WHERE ended_at > 0"))
}

// The analysis that a campaign started with stays: another one is refused, and the
// campaign goes on as it was.
func TestSurveyAnalysisStays(t *testing.T) {
	s := newSurveying(t)
	changed := npsSpec(func(c *survey.Campaign) { c.Analysis.Confidence = 90 })
	s.campaign(npsCampaign, changed)
	s.asked("ana")
	s.set(entry(t, document.EntrySurveyCampaign, npsCampaign, npsSpec()))
	refused := s.reload()
	require.Len(t, refused, 1)
	require.Equal(t, "analysis", refused[0].Field)
	require.Contains(t, refused[0].Message, "AnalysisChanged")
	require.Equal(t, 90, s.state.Load().surveys.byName[npsCampaign].program.Campaign.Analysis.Confidence)
	s.campaign(npsCampaign, changed)

	// So do the draws: contacts keep theirs, so that another fraction would leave a
	// mixture of two.
	other := npsSpec(func(c *survey.Campaign) { c.Analysis.Confidence, c.Holdout.Fraction = 90, "50%" })
	s.set(entry(t, document.EntrySurveyCampaign, npsCampaign, other))
	refused = s.reload()
	require.Len(t, refused, 1)
	require.Equal(t, "holdout", refused[0].Field)
}

// A campaign that is gone asks nobody, and what is answered to its questions counts.
func TestSurveyCampaignGoes(t *testing.T) {
	s := newSurveying(t)
	s.campaign("shop/slow", npsSpec(func(c *survey.Campaign) { c.Trigger.Delay = document.Duration(time.Hour) }))
	s.asked("ana")
	require.Equal(t, 1, s.funnel("shop/slow").Pending)
	for _, name := range []string{npsCampaign, "shop/slow"} {
		delete(s.entries, string(document.EntrySurveyCampaign)+"/"+name)
	}
	require.Empty(t, s.reload())
	require.Equal(t, map[survey.Exit]int{survey.Stopped: 1}, s.exits("shop/slow"))
	require.Equal(t, npsCampaign, s.says("ana", "9").Survey)
	require.Equal(t, 9, s.scores(npsCampaign)[0].Score)
	s.clock.advance(2 * time.Hour)
	s.run()
	require.Zero(t, s.funnel("shop/slow").Asked)
}

// A score that the contact changes in place is another score; words that they
// delete are gone.
func TestSurveyFollowsEditsAndDeletions(t *testing.T) {
	s := newSurveying(t)
	s.asked("ana")
	reply := s.says("ana", "3, slow")
	edit := func(kind message.Type, body string) {
		t.Helper()
		ev := textFrom("ana", numbered(string(kind), count(t, s.Store, "external_ids")), body)
		ev.Message.Type, ev.Message.Target, ev.Message.Timestamp = kind, reply.ExternalID, s.clock.Now()
		stored(t, s.Store, telegram, ev)
		s.run()
	}
	edit(message.TypeEdit, "8, slow")
	require.Equal(t, 8, s.scores(npsCampaign)[0].Score)
	edit(message.TypeDeletion, "")
	require.Equal(t, 8, s.scores(npsCampaign)[0].Score)
	require.Equal(t, 1, count(t, s.Store, "survey_answers WHERE comment = '' AND answers = ''"))
	raw, err := json.Marshal(s.dialogue(npsCampaign).state)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "slow")
}

// Who was drawn counts once, by arm, before anything throttles; so does that they
// came again.
func TestSurveyCountsWhoWasDrawn(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Holdout.Fraction = "50%"
		c.Frequency.CampaignCooldown = document.Duration(30 * 24 * time.Hour)
	})
	for i := range 20 {
		v := s.asked(numbered("c", i))
		s.says(numbered("c", i), "Something else")
		s.solve(v)
	}
	counts, err := readSurveyCounts(t.Context(), s.read, npsCampaign)
	require.NoError(t, err)
	f := s.funnel(npsCampaign)
	require.Equal(t, 20, counts.sum(countContacts))
	require.Equal(t, counts.of(countContacts, noArm)*2, f.HeldOut, "both times")
	require.Equal(t, counts.of(countContacts, 0), f.Asked)
	require.Equal(t, f.Asked, f.Throttled)
	require.Equal(t, 20, counts.sum(countContactsReturned))
	require.Positive(t, f.HeldOut)
	require.Positive(t, f.Asked)
}

// What retention removes is about people; scores, counts and the ledger stay.
func TestSurveyRetention(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Window.End = testTime.Add(90 * 24 * time.Hour) })
	s.asked("ana")
	s.says("ana", "9, fine")
	s.clock.advance(time.Hour)
	s.run()
	s.clock.advance(31 * 24 * time.Hour)
	w := sweeper{s: s.Store}
	require.NoError(t, w.sweep(t.Context()))
	s.clock.advance(2 * time.Hour) // a clock that leaps is believed after an hour
	require.NoError(t, w.sweep(t.Context()))
	for _, table := range []string{"survey_triggers", "survey_dialogues", "survey_answers", "survey_messages"} {
		require.Zero(t, count(t, s.Store, table), table)
	}
	require.Len(t, s.scores(npsCampaign), 1)
	require.Equal(t, 1, s.funnel(npsCampaign).Answered)
	require.Equal(t, 1, count(t, s.Store, "survey_ledger WHERE sent_at > 0"))
}

// Who is not meant is not asked, and it is told why.
func TestSurveyAudience(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) {
		c.Trigger.Exclude.MinInboundMessages = 2
		c.Audience.Matches = []survey.Match{{Attributes: map[string]string{"tier": "gold"}}}
	})
	v := s.asked("ana")
	require.Equal(t, map[survey.Exit]int{survey.Excluded: 1}, s.exits(npsCampaign))
	s.says("ana", "one more thing")
	s.solve(v)
	require.Equal(t, 1, s.exits(npsCampaign)[survey.NotInAudience])
	_, err := s.SetAttributes(t.Context(), everything, s.conversationContact(v), map[string]string{"tier": "gold"})
	require.NoError(t, err)
	s.says("ana", "and another")
	s.solve(v)
	require.Equal(t, 1, s.funnel(npsCampaign).Asked)
}

// A channel that is gone takes no questions; the campaign goes on as it was.
func TestSurveyChannelGoes(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Trigger.Delay = document.Duration(time.Hour) })
	s.asked("ana")
	delete(s.entries, string(document.EntryChannel)+"/"+telegram)
	refused := s.reload()
	require.Len(t, refused, 1)
	require.Equal(t, "channels[0]", refused[0].Field)
	s.clock.advance(time.Hour)
	s.run()
	require.Equal(t, map[survey.Exit]int{survey.Unreachable: 1}, s.exits(npsCampaign))
}

// A contact who moves to another address takes along when they were asked, and the
// question that is open.
func TestSurveyFollowsAContactToANewAddress(t *testing.T) {
	s := newSurveying(t, func(c *survey.Campaign) { c.Frequency.CampaignCooldown = document.Duration(24 * time.Hour) })
	s.says("ana-new", "hello")
	s.asked("ana")
	moved := message.Event{Migration: &message.Migration{From: "ana", To: "ana-new"}}
	require.Equal(t, wire.ResultStored, ingest(t, s.Store, telegram, moved)[0].Result)
	require.Equal(t, npsCampaign, s.presses("ana-new", "survey/"+s.dialogue(npsCampaign).id+"/9").Survey)
	require.Equal(t, 9, s.scores(npsCampaign)[0].Score)
	s.clock.advance(11 * time.Minute)
	s.run()
	s.solve(s.says("ana-new", "hello again").Conversation)
	require.Equal(t, map[survey.Exit]int{survey.CampaignCooldown: 1}, s.exits(npsCampaign))
}
