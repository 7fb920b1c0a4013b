package store

import (
	"context"
	"flag"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// street is where customers are asked: they write, answer, are rude and change
// their mind, agents write and solve, time passes, and replicas die.
type street struct {
	*surveying
	rt     *rapid.T
	opts   Options
	stores []*Store // replicas; one where the database is SQLite
	people []string
	convs  []string
	n      int

	faulty string // table whose rows cannot be written
	// excused are pairs of questions too close to each other: their contacts have
	// become one since.
	excused int
}

var streetCampaigns = []string{npsCampaign, "shop/first", "shop/slow", "shop/places"}

const streetCooldown = 10 * 24 * time.Hour

func newStreet(t *testing.T) *street {
	s := &street{surveying: newSurveying(t, func(c *survey.Campaign) {
		c.Window.End = testTime.Add(10 * 365 * 24 * time.Hour)
		c.Holdout.Fraction, c.Sampling.Rate = "20%", "70%"
		c.Frequency = survey.Frequency{Group: "care", GroupCooldown: document.Duration(24 * time.Hour), CampaignCooldown: document.Duration(streetCooldown), Priority: 1}
	})}
	first, slow := npsSpec(), npsSpec()
	first.Window.End, slow.Window.End = testTime.Add(10*365*24*time.Hour), testTime.Add(10*365*24*time.Hour)
	first.Frequency = survey.Frequency{Group: "care", GroupCooldown: document.Duration(24 * time.Hour), CampaignCooldown: document.Duration(streetCooldown), Priority: 9, OnThrottled: survey.ThrottledDefer}
	first.Arms = []survey.Arm{{Name: "short", Weight: 1, Texts: map[string]survey.Texts{"score": {"en": "0 to 10?"}}}, {Name: "long", Weight: 1}}
	slow.Trigger.Delay, slow.Trigger.CancelOn = document.Duration(2*time.Hour), nil
	slow.Reminders = survey.Reminders{Count: 1, After: document.Duration(5 * time.Hour)}
	slow.Actions = []survey.Action{{Name: "recover", When: "score <= 6", Do: survey.OpenConversation, Queue: vip}}
	s.campaign("shop/first", first)
	s.campaign("shop/slow", slow)
	places := npsSpec()
	places.Window.End, places.Channels = testTime.Add(10*365*24*time.Hour), []string{telegram, secondChat}
	places.Frequency.CampaignCooldown = document.Duration(streetCooldown)
	places.Arms = []survey.Arm{{Name: "here", Weight: 1, Channels: []string{telegram}}, {Name: "there", Weight: 1, Channels: []string{secondChat}}}
	s.set(s.channel(secondChat, nil))
	s.campaign("shop/places", places)
	s.unsent = true // until somebody sends it
	s.stores = []*Store{s.Store}
	s.opts = onBackend(t, s.Store.opts)
	if backend == "postgres" {
		s.stores = append(s.stores, nil)
		s.reopen(1)
	}
	for i := range 6 {
		s.people = append(s.people, numbered("p", i))
	}
	return s
}

// reopen is a replica that dies, with all that it remembered, and comes back.
func (s *street) reopen(i int) {
	opts := s.opts
	opts.Metrics = nil
	if s.stores[i] != nil {
		require.NoError(s.t, s.stores[i].Close())
	}
	made, err := Open(context.Background(), opts)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = made.Close() })
	s.stores[i], s.Store = made, made
	require.Empty(s.t, s.reload())
	s.Store = s.stores[0]
}

func (s *street) any() {
	s.Store = s.stores[rapid.IntRange(0, len(s.stores)-1).Draw(s.rt, "replica")]
}

// workAll lets all replicas do what is due, at the same time, until nothing is.
func (s *street) workAll() {
	for range 3 {
		var wg sync.WaitGroup
		for _, each := range s.stores {
			wg.Go(func() {
				_, err := each.surveys.work(context.Background())
				if err == nil {
					_, err = each.dispatcher.doErrands(context.Background())
				}
				if err != nil && s.faulty == "" {
					s.t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func (s *street) person() string { return rapid.SampledFrom(s.people).Draw(s.rt, "person") }

// conv is the latest conversation of somebody.
func (s *street) conv() (string, bool) {
	if len(s.convs) == 0 {
		return "", false
	}
	return rapid.SampledFrom(s.convs).Draw(s.rt, "conversation"), true
}

func (s *street) write(person, body string) {
	s.n++
	ev := textFrom(person, numbered("m", s.n), body)
	ev.Message.Timestamp = s.clock.Now()
	channel := rapid.SampledFrom([]string{telegram, telegram, telegram, secondChat}).Draw(s.rt, "channel")
	v := getMessage(s.t, s.Store, stored(s.t, s.Store, channel, ev)).Conversation
	for _, known := range s.convs {
		if known == v {
			return
		}
	}
	s.convs = append(s.convs, v)
}

var streetWords = []string{"9", "3, slow", "7 or 8", "stop", "Where is my parcel?", "10/10", "ten", "It took a week"}

func (s *street) act() {
	s.any()
	ctx := context.Background()
	switch what := rapid.SampledFrom([]string{"write", "solve", "solve", "solve", "answer", "answer", "answer", "edit", "agent", "negative", "consent", "time", "time", "send", "send", "send", "crash", "fault", "fault", "merge", "reload", "bot", "trigger", "press"}).Draw(s.rt, "what"); what {
	case "write":
		s.write(s.person(), "hello")
	case "answer":
		s.write(s.person(), rapid.SampledFrom(streetWords).Draw(s.rt, "words"))
	case "time":
		s.clock.advance(rapid.SampledFrom([]time.Duration{time.Minute, 11 * time.Minute, 3 * time.Hour, 30 * time.Hour, 80 * time.Hour, 20 * 24 * time.Hour}).Draw(s.rt, "time"))
	case "send":
		outcome := rapid.SampledFrom([]wire.Outcome{wire.OutcomeSent, wire.OutcomeFailed}).Draw(s.rt, "outcome")
		for _, d := range s.lease(10) {
			if outcome == wire.OutcomeSent {
				s.sent(d)
				continue
			}
			r := of(d, 0, outcome)
			r.Class = wire.ErrContentRejected
			s.report(r)
		}
	case "crash":
		s.reopen(rapid.IntRange(0, len(s.stores)-1).Draw(s.rt, "crash"))
	case "fault":
		s.fault()
	case "merge":
		ingest(s.t, s.Store, telegram, message.Event{Migration: &message.Migration{From: s.person(), To: s.person()}})
		s.excused = s.tooClose()
	case "reload":
		s.replace(rapid.SampledFrom(streetCampaigns).Draw(s.rt, "campaign"))
	case "edit":
		s.editLatest()
	case "press":
		if list, err := readDialogues(ctx, s.read, `ORDER BY id DESC LIMIT 1`); err == nil && len(list) == 1 {
			v := getConversation(s.t, s.Store, list[0].conversation)
			s.n++
			ev := textFrom(v.Contact.ExternalID, numbered("m", s.n), "")
			ev.Message.Type, ev.Message.Timestamp = message.TypePostback, s.clock.Now()
			ev.Message.Postback = &message.Postback{Payload: "survey/" + list[0].id + "/" + rapid.SampledFrom([]string{"0", "9", "11"}).Draw(s.rt, "button")}
			stored(s.t, s.Store, list[0].channel, ev)
		}
	default:
		if v, ok := s.conv(); ok {
			s.actOn(ctx, what, v)
		}
	}
}

func (s *street) actOn(ctx context.Context, what, conversation string) {
	v := getConversation(s.t, s.Store, conversation)
	var err error
	switch what {
	case "solve":
		_, err = s.Resolve(ctx, everything, conversation)
	case "agent":
		s.send(conversation, "A person here")
	case "bot":
		s.mustSend(conversation, SendRequest{Author: message.Author{Kind: message.AuthorBot, Name: "menu"}, Epoch: v.Epoch, Type: message.TypeText, Text: "1 parcel, 2 return"})
	case "negative":
		err = s.ContactEvent(ctx, everything, v.Contact.ID, survey.NegativeEvent)
	case "consent":
		state := rapid.SampledFrom([]survey.ConsentState{survey.ConsentOptedIn, survey.ConsentOptedOut, survey.ConsentUnknown, survey.ConsentUnknown}).Draw(s.rt, "state")
		err = s.SetConsent(ctx, everything, v.Contact.ID, "survey", state)
	case "trigger":
		campaign := rapid.SampledFrom(streetCampaigns).Draw(s.rt, "campaign")
		_, err = s.TriggerSurvey(ctx, everything, campaign, SurveyTrigger{Conversation: conversation, Event: survey.API})
	}
	require.NoError(s.rt, err)
}

func (s *street) editLatest() {
	if s.n == 0 {
		return
	}
	s.n++
	ev := textFrom(s.person(), numbered("e", s.n), rapid.SampledFrom(streetWords).Draw(s.rt, "words"))
	ev.Message.Type, ev.Message.Target, ev.Message.Timestamp = message.TypeEdit, numbered("m", s.n-1), s.clock.Now()
	ingest(s.t, s.Store, telegram, ev)
}

// fault is a database that cannot write one of the tables for a while, so that
// transactions break off in the middle. What was under way is done afterwards, once.
func (s *street) fault() {
	if v, ok := s.conv(); ok {
		s.actOn(context.Background(), "solve", v)
	}
	table := rapid.SampledFrom([]string{"survey_ledger", "survey_dialogues", "survey_messages", "survey_counts", "deliveries", "errands", "survey_responses"}).Draw(s.rt, "table")
	ddl := func(sqlite, postgres string) {
		query := sqlite
		if backend == "postgres" {
			query = postgres
		}
		require.NoError(s.rt, s.Store.write(context.Background(), 1, func(t *txn) error { _, err := t.exec(query); return err }))
	}
	if backend == "postgres" {
		ddl("", `CREATE OR REPLACE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''a fault''; END'`)
	}
	ddl(`CREATE TRIGGER fault BEFORE INSERT ON `+table+` BEGIN SELECT RAISE(ABORT, 'a fault'); END`, `CREATE TRIGGER fault BEFORE INSERT ON `+table+` FOR EACH ROW EXECUTE FUNCTION fault()`)
	s.faulty = table
	s.clock.advance(3 * time.Hour)
	s.workAll()
	ddl(`DROP TRIGGER fault`, `DROP TRIGGER fault ON `+table)
	s.faulty = ""
	s.clock.advance(surveyClaim + time.Second) // what was claimed is free again
}

// replace takes a campaign out of force, and applies it again: a run of its own.
func (s *street) replace(name string) {
	key := string(document.EntrySurveyCampaign) + "/" + name
	kept := s.entries[key]
	for _, there := range []bool{false, true} {
		for _, each := range s.stores {
			s.Store = each
			if delete(s.entries, key); there {
				s.set(kept)
			}
			require.Empty(s.rt, s.reload())
		}
	}
	s.Store = s.stores[0]
}

// runs of all campaigns, past ones too.
func (s *street) runs() []string {
	list, err := all(context.Background(), s.read, scanText, `SELECT campaign FROM survey_campaigns ORDER BY campaign`)
	require.NoError(s.rt, err)
	return list
}

// tooClose is how many pairs of questions of a campaign, in whichever of its runs, a
// contact was asked within the cool-down. What never arrived asked nobody.
func (s *street) tooClose() (n int) {
	list, err := readDialogues(context.Background(), s.read, `WHERE outcome <> 'failed' ORDER BY asked_at`)
	require.NoError(s.rt, err)
	for i, a := range list {
		for _, b := range list[i+1:] {
			same := a.contact == b.contact && nameOfRun(a.campaign) == nameOfRun(b.campaign)
			if same && nameOfRun(a.campaign) != "shop/slow" && b.askedAt-a.askedAt < streetCooldown.Milliseconds() {
				n++
			}
		}
	}
	return n
}

// check: what is counted is what happened, and nobody was asked too often.
func (s *street) check() {
	s.Store = s.stores[0]
	for _, run := range s.runs() {
		s.checkRun(run)
	}
	// Each question once, and each by a decision.
	require.Equal(s.rt, count(s.t, s.Store, "survey_triggers WHERE exit = 'Asked'"), count(s.t, s.Store, "survey_messages WHERE saying = 'Question'"))
	require.Equal(s.rt, s.excused, s.tooClose(), "asked within the cool-down")
	require.Equal(s.rt, count(s.t, s.Store, "survey_dialogues WHERE open = 1"), count(s.t, s.Store, "identities WHERE survey <> ''"))
}

func (s *street) checkRun(run string) {
	counts, err := readSurveyCounts(context.Background(), s.read, run)
	require.NoError(s.rt, err)
	f := counts.funnel()
	require.NoError(s.rt, f.Balanced(), run)
	of := ` WHERE campaign = '` + run + `'`
	q := func(where string) int { return count(s.t, s.Store, where) }
	require.Equal(s.rt, q("survey_triggers"+of+" AND exit <> ''"), f.Triggered, run)
	for _, exit := range survey.Exits() {
		if exit != survey.Asked && exit != survey.Deferred {
			require.Equal(s.rt, q("survey_triggers"+of+" AND exit = '"+exit.String()+"'"), f.Exits[exit], "%s of %s", exit, run)
		}
	}
	require.Equal(s.rt, q("survey_triggers"+of+" AND exit = 'Deferred' AND due_at > 0"), f.Pending, run)
	require.Equal(s.rt, q("survey_dialogues"+of), f.Asked, run)
	for outcome, n := range map[string]int{outcomeAnswered: f.Answered, outcomeOptedOut: f.OptedOut, outcomeCancelled: f.Cancelled, outcomeExpired: f.Expired} {
		require.Equal(s.rt, q("survey_dialogues"+of+" AND outcome = '"+outcome+"'"), n, "%s of %s", outcome, run)
	}
	require.Equal(s.rt, q("survey_dialogues"+of+" AND delivery = 'delivered'"), f.Delivered, run)
	require.Equal(s.rt, q("survey_dialogues"+of+" AND delivery = 'failed'"), f.Failed, run)
	require.LessOrEqual(s.rt, q("survey_dialogues"+of+" AND outcome = 'failed'"), f.Failed, run)
	require.Equal(s.rt, q("survey_responses"+of+" AND late = 0"), f.Answered, run)
	require.Equal(s.rt, q("survey_responses"+of+" AND late = 0 AND completed = 1"), f.Completed, run)
	require.Equal(s.rt, q("survey_responses"+of+" AND late = 1"), f.Late, run)
}

// Whatever contacts, agents, time and replicas do: every trigger leaves by one exit,
// every question has one outcome, what is counted is what happened, and nobody is
// asked twice.
func TestSurveysCountEverythingAndAskNobodyTwice(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if was := checks.Value.String(); was == checks.DefValue { // each is a history of its own, of some hundred transactions
		require.NoError(t, checks.Value.Set("8"))
		defer func() { require.NoError(t, checks.Value.Set(was)) }()
	}
	s := newStreet(t)
	rapid.Check(t, func(rt *rapid.T) {
		s.rt = rt
		for range rapid.IntRange(5, 40).Draw(rt, "acts") {
			s.act()
			s.workAll()
			s.check()
		}
		for range 2 { // what was put off is asked, and its time passes
			s.clock.advance(30 * 24 * time.Hour)
			s.workAll()
			s.check()
		}
		require.Zero(rt, count(t, s.stores[0], "survey_triggers WHERE due_at > 0"), "nothing waits for ever")
		require.Zero(rt, count(t, s.stores[0], "survey_dialogues WHERE outcome = ''"), "every question has an outcome")
	})
}
