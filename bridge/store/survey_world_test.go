package store

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// surveying is a store with campaigns.
type surveying struct {
	*routed
	// unsent: nobody sends what is queued.
	unsent bool
}

const (
	npsCampaign = "shop/nps"
	secondChat  = "shop/second"
)

// npsSpec asks after a conversation was solved, once about each, and why of who
// gives 6 or less; it forgets about what was reopened.
func npsSpec(change ...func(*survey.Campaign)) survey.Campaign {
	c := survey.Campaign{
		Type: survey.NetPromoter, Window: survey.Window{Start: testTime.Add(-time.Hour), End: testTime.Add(30 * 24 * time.Hour)}, Channels: []string{telegram},
		Trigger: survey.Trigger{Events: []survey.TriggerEvent{survey.ConversationResolved, survey.Manual, survey.API},
			CancelOn: []survey.CancelEvent{survey.ConversationReopened, survey.NegativeEvent}},
		Languages: survey.Languages{Offered: []string{"en"}, Fallback: "en"},
		Questions: []survey.Question{
			{ID: "score", Kind: survey.ScoreQuestion, Text: survey.Texts{"en": "How likely?"}},
			{ID: "why", Kind: survey.TextQuestion, When: "score <= 6", Text: survey.Texts{"en": "What went wrong?"}},
		},
		Replies: survey.Replies{Clarify: survey.Texts{"en": "One number, please."}},
		Thanks:  []survey.Thanks{{From: 0, To: 10, Text: survey.Texts{"en": "Thank you."}}},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

// newSurveying opens a store with one campaign, shop/nps.
func newSurveying(t testing.TB, change ...func(*survey.Campaign)) *surveying {
	t.Helper()
	s := &surveying{routed: newRouted(t)}
	s.campaign(npsCampaign, npsSpec(change...))
	return s
}

// campaign puts a campaign into force.
func (s *surveying) campaign(name string, c survey.Campaign) {
	s.t.Helper()
	s.set(entry(s.t, document.EntrySurveyCampaign, name, c))
	require.Empty(s.t, s.reload())
}

// run does all that is due: decisions, dialogues, campaigns, errands.
func (s *surveying) run() {
	s.t.Helper()
	_, err := s.surveys.work(context.Background())
	require.NoError(s.t, err)
	_, err = s.dispatcher.doErrands(context.Background())
	require.NoError(s.t, err)
	s.deliver()
}

// deliver sends what is queued.
func (s *surveying) deliver() {
	s.t.Helper()
	for !s.unsent {
		due := s.lease(100)
		if len(due) == 0 {
			return
		}
		for _, d := range due {
			s.sent(d)
		}
	}
}

// solve solves a conversation, and lets campaigns see it.
func (s *surveying) solve(conversation string) {
	s.t.Helper()
	_, err := s.Resolve(context.Background(), everything, conversation)
	require.NoError(s.t, err)
	s.run()
}

// asked is a conversation with a contact who is asked about it.
func (s *surveying) asked(contact string) string {
	s.t.Helper()
	v := s.hear(contact, "hello")
	s.solve(v)
	s.clock.advance(time.Second)
	return v
}

// says lets a contact write, and returns the message as everybody sees it.
func (s *surveying) says(contact, body string) message.Message {
	s.t.Helper()
	s.deliver()
	ev := textFrom(contact, numbered(contact, count(s.t, s.Store, "messages")), body)
	ev.Message.Timestamp = s.clock.Now()
	m := getMessage(s.t, s.Store, stored(s.t, s.Store, telegram, ev))
	s.run()
	return m
}

// presses a button of a question.
func (s *surveying) presses(contact, payload string) message.Message {
	s.t.Helper()
	ev := textFrom(contact, numbered(contact, count(s.t, s.Store, "messages")), "")
	ev.Message.Type, ev.Message.Timestamp, ev.Message.Postback = message.TypePostback, s.clock.Now(), &message.Postback{Payload: payload}
	m := getMessage(s.t, s.Store, stored(s.t, s.Store, telegram, ev))
	s.run()
	return m
}

// funnel of a campaign as it is counted; it always adds up.
func (s *surveying) funnel(name string) survey.Funnel {
	s.t.Helper()
	counts, err := readSurveyCounts(context.Background(), s.read, s.surveys.runOf(name))
	require.NoError(s.t, err)
	f := counts.funnel()
	require.NoError(s.t, f.Balanced())
	return f
}

// withdraw takes campaigns out of force.
func (s *surveying) withdraw(names ...string) {
	s.t.Helper()
	for _, name := range names {
		delete(s.entries, string(document.EntrySurveyCampaign)+"/"+name)
	}
	require.Empty(s.t, s.reload())
}

func (s *surveying) exits(name string) map[survey.Exit]int {
	s.t.Helper()
	return s.funnel(name).Exits
}

// dialogue is the latest one of a campaign.
func (s *surveying) dialogue(name string) dialogueRow {
	s.t.Helper()
	list, err := readDialogues(context.Background(), s.read, `WHERE campaign = ? ORDER BY id DESC LIMIT 1`, s.surveys.runOf(name))
	require.NoError(s.t, err)
	require.Len(s.t, list, 1)
	return list[0]
}

// scores are the answers of a campaign that are kept: score, and whether it was late.
func (s *surveying) scores(name string) (list []survey.Row) {
	s.t.Helper()
	type row struct{ score, late, completed, asked, answered int64 }
	require.NotEmpty(s.t, name)
	rows, err := s.db.reader.QueryContext(context.Background(), s.db.rebind(`SELECT score, late, completed, asked, answered FROM survey_responses WHERE campaign = ? ORDER BY dialogue`), s.surveys.runOf(name))
	require.NoError(s.t, err)
	defer rows.Close()
	for rows.Next() {
		var r row
		require.NoError(s.t, rows.Scan(&r.score, &r.late, &r.completed, &r.asked, &r.answered))
		list = append(list, survey.Row{Score: int(r.score), Late: r.late == 1, Completed: r.completed == 1, Asked: uint8(r.asked), Answered: uint8(r.answered)}) //nolint:gosec // bits of eight questions
	}
	require.NoError(s.t, rows.Err())
	return list
}

func (s *surveying) wantState(conversation string, state ConversationState) {
	s.t.Helper()
	require.Equal(s.t, state, getConversation(s.t, s.Store, conversation).State)
}

// conversationContact is whose conversation it is.
func (s *surveying) conversationContact(conversation string) string {
	s.t.Helper()
	return getConversation(s.t, s.Store, conversation).Contact.ID
}
