package store

import (
	"context"
	"flag"
	"fmt"
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

// village is where people write on two channels.
type village struct{ *surveying }

func newVillage(t testing.TB, change ...func(*survey.Campaign)) *village {
	t.Helper()
	w := &village{newSurveying(t, change...)}
	w.set(w.channel(secondChat, nil))
	require.Empty(t, w.reload())
	return w
}

// contactOf a conversation.
func (w *village) contactOf(conversation string) string { return w.conversationContact(conversation) }

func (w *village) merge(into, from string) Contact {
	w.t.Helper()
	c, err := w.MergeContacts(context.Background(), everything, into, from)
	require.NoError(w.t, err)
	return c
}

func (w *village) contact(id string) Contact {
	w.t.Helper()
	c, err := w.Contact(context.Background(), everything, id)
	require.NoError(w.t, err)
	return c
}

func TestMergedContactsAreOnePerson(t *testing.T) {
	w := newVillage(t)
	ctx := t.Context()
	mail, chat := w.met(telegram, "ana@example.org"), w.met(secondChat, "1254")
	into, from := w.contactOf(mail), w.contactOf(chat)
	for id, attributes := range map[string]map[string]string{into: {"tier": "gold"}, from: {"tier": "none", "city": "Porto"}} {
		_, err := w.SetAttributes(ctx, everything, id, attributes)
		require.NoError(t, err)
	}
	_, before := eventsAfter(t, w.Store, 0)

	got := w.merge(into, from)
	require.Equal(t, into, got.ID)
	require.Equal(t, []string{from}, got.MergedIDs)
	require.Equal(t, map[string]string{"tier": "gold", "city": "Porto"}, got.Attributes, "what both say, the one that stays says")
	require.Equal(t, []Identity{{Channel: "telegram", ExternalID: "ana@example.org", Reachable: true}, {Channel: "second", ExternalID: "1254", Reachable: true}}, got.Identities)
	require.Equal(t, got, w.contact(from), "the old id means them still")
	told, after := eventsAfter(t, w.Store, before)
	require.Equal(t, []EventType{EventContactMerged, EventContactUpdated}, eventTypes(told))
	require.Equal(t, []string{from, into, "shop"}, []string{told[0].Contact, told[0].MergedInto, told[0].Namespace})

	for _, id := range []string{into, from} {
		convs, err := w.Conversations(ctx, everything, ConversationQuery{Contact: id})
		require.NoError(t, err)
		require.Len(t, convs.Items, 2)
		messages, err := w.Messages(ctx, everything, MessageQuery{Contact: id})
		require.NoError(t, err)
		require.Len(t, messages.Items, 2)
	}
	require.Equal(t, into, w.contactOf(chat))
	list, err := w.Contacts(ctx, everything, ContactQuery{})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.Equal(t, chat, getMessage(t, w.Store, stored(t, w.Store, secondChat, textFrom("1254", "again", "hi"))).Conversation)

	_, before = eventsAfter(t, w.Store, after)
	for _, pair := range [][2]string{{into, from}, {from, into}, {into, into}} {
		require.Equal(t, into, w.merge(pair[0], pair[1]).ID)
	}
	told, _ = eventsAfter(t, w.Store, before)
	require.Empty(t, told, "merging them again does nothing")
}

func TestMergesOfMergesAndNewNames(t *testing.T) {
	w := newVillage(t)
	a, b, c := w.contactOf(w.met(telegram, "a")), w.contactOf(w.met(secondChat, "b")), w.contactOf(w.met(telegram, "c"))
	w.merge(b, a)
	w.merge(c, a) // by its old id: b goes, too
	for _, id := range []string{a, b, c} {
		require.Equal(t, c, w.contact(id).ID)
	}
	require.ElementsMatch(t, []string{a, b}, w.contact(c).MergedIDs)
	// The channel comes back under another name: its people are who they were.
	w.leaves(document.EntryChannel, secondChat)
	w.set(w.channel("shop/third", func(ch *document.StoreChannel) { ch.Account = "of " + secondChat }))
	require.Empty(t, w.reload())
	require.Equal(t, c, w.contactOf(w.met("shop/third", "b")))
}

func TestContactsOfTwoNamespacesStayApart(t *testing.T) {
	w := newVillage(t)
	ours := w.contactOf(w.met(telegram, "ana"))
	res, err := w.Ingest(t.Context(), otherBridge, wire.IngestRequest{Envelopes: []wire.Envelope{envelope(foreign, textFrom("ana", "m", "x"))}})
	require.NoError(t, err)
	theirs := w.contactOf(getMessage(t, w.Store, res.Envelopes[0].Elements[0].ID).Conversation)
	_, err = w.MergeContacts(t.Context(), everything, ours, theirs)
	fe := (*FieldError)(nil)
	require.ErrorAs(t, err, &fe)
	require.Equal(t, "from", fe.Field)
	_, err = w.MergeContacts(t.Context(), Scope{Namespaces: []string{"shop"}}, theirs, ours)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = w.MergeContacts(t.Context(), Scope{Namespaces: []string{"shop"}}, ours, theirs)
	require.ErrorAs(t, err, &fe, "not even that it is there")
	require.NotContains(t, err.Error(), "namespace")
}

func TestAMergeIsRepeatedByItsKeyOnly(t *testing.T) {
	w := newVillage(t)
	into, from, other := w.contactOf(w.met(telegram, "a")), w.contactOf(w.met(secondChat, "b")), w.contactOf(w.met(telegram, "c"))
	scope := Scope{All: true, Write: Write{Key: "k", Fingerprint: "f"}}
	for range 2 {
		_, err := w.MergeContacts(t.Context(), scope, into, from)
		require.NoError(t, err)
	}
	scope.Write.Fingerprint = "g"
	_, err := w.MergeContacts(t.Context(), scope, into, other)
	require.ErrorIs(t, err, ErrConflict)
	require.Equal(t, other, w.contact(other).ID)
}

// What was queued for two addresses of one person on a channel goes on in one lane,
// each in its order, while one of them is being sent.
func TestLanesOfMergedContactsKeepTheirOrder(t *testing.T) {
	for _, leased := range []string{"", "a", "b"} {
		w := newVillage(t)
		a, b := w.met(telegram, "a"), w.met(telegram, "b")
		send := map[string]string{"a": a, "b": b}
		var sending []wire.Delivery
		var want []string
		if leased != "" {
			want = append(want, w.send(send[leased], "first"))
			sending = w.lease(1)
			require.Len(t, sending, 1)
		}
		for i := range 3 {
			want = append(want, w.send(a, fmt.Sprint(i)), w.send(b, fmt.Sprint(i)))
		}
		w.merge(w.contactOf(a), w.contactOf(b))
		require.Equal(t, 1, count(t, w.Store, "lanes"))
		var got []string
		for _, d := range sending {
			require.Empty(t, w.lease(10), "it is being sent")
			w.sent(d)
			got = append(got, d.ID)
		}
		for len(got) < len(want) {
			d := w.leaseOne()
			w.sent(d)
			got = append(got, d.ID)
		}
		require.Equal(t, want, got, "leased: %q", leased)
		require.Empty(t, w.lease(10))
		for _, id := range want {
			require.Equal(t, message.StatusSent, w.status(id))
		}
	}
}

func TestAMergeWaitsForWhatIsBeingSentToBoth(t *testing.T) {
	w := newVillage(t)
	a, b := w.met(telegram, "a"), w.met(telegram, "b")
	into, from := w.contactOf(a), w.contactOf(b)
	w.send(a, "1")
	w.send(b, "2")
	sending := w.lease(10)
	require.Len(t, sending, 2)
	_, err := w.mergeContacts(t.Context(), everything, into, from)
	require.ErrorIs(t, err, errSending)
	require.Equal(t, from, w.contact(from).ID, "nothing was done")
	w.sent(sending[0])
	w.merge(into, from)
	w.sent(sending[1])
}

// A platform's own news that an address became another one takes the same way.
func TestWhatIsQueuedForAnAddressThatMovedGoesOn(t *testing.T) {
	w := newVillage(t)
	old, overtaken := w.met(telegram, "old"), w.met(telegram, "new")
	person := w.contactOf(old)
	first := w.send(overtaken, "x")
	ingest(t, w.Store, telegram, message.Event{Migration: &message.Migration{From: "old", To: "new"}})
	require.Equal(t, person, w.contactOf(overtaken))
	require.Len(t, w.contact(person).MergedIDs, 1)
	second := w.send(overtaken, "y")
	require.Equal(t, 1, count(t, w.Store, "lanes"))
	for _, want := range []string{first, second} {
		d := w.leaseOne()
		require.Equal(t, want, d.ID)
		w.sent(d)
	}
}

// Whoever writes and is written to while their contacts become one: nothing is
// left behind, and nothing is lost.
func TestMergesMeetMessages(t *testing.T) {
	stores := several(t, 2)
	ctx := context.Background()
	at := func(i int) *Store { return stores[i%len(stores)] }
	const people, each = 6, 8
	var wg sync.WaitGroup
	ids := make([][2]string, people)
	for i := range people {
		for k := range 2 {
			ids[i][k] = getConversation(t, at(0), getMessage(t, at(0), stored(t, at(0), telegram, textFrom(fmt.Sprint("p", i, "-", k), fmt.Sprint("m", i, "-", k), "hi"))).Conversation).Contact.ID
		}
	}
	for i := range people {
		for k := range 2 {
			wg.Go(func() {
				for n := range each {
					res, err := ingestOnce(at(n+k), telegram, textFrom(fmt.Sprint("p", i, "-", k), fmt.Sprint("n", i, "-", k, "-", n), "x"))
					if err != nil {
						t.Error(err)
						continue
					}
					m, err := at(n).Message(ctx, everything, res.ID)
					if err == nil {
						_, err = at(n+1).Send(ctx, everything, m.Conversation, SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "y"})
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			if _, err := at(i).MergeContacts(ctx, everything, ids[i][0], ids[i][1]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := at(0)
	const gone = " WHERE contact IN (SELECT id FROM contacts WHERE merged_into <> '')"
	for _, table := range []string{"identities", "conversations", "lanes"} {
		require.Zero(t, count(t, s, table+gone), table)
	}
	require.Equal(t, people, count(t, s, "lanes"))
	require.Equal(t, people*2*each, count(t, s, "deliveries d JOIN lanes l ON l.id = d.lane"))
	require.Equal(t, people*2*each, count(t, s, "deliveries"))
}

// One person on two channels has one cool-down, from the moment that it is known.
func TestMergedContactsShareACooldown(t *testing.T) {
	grouped := func(c *survey.Campaign) {
		c.Frequency.Group, c.Frequency.GroupCooldown = "satisfaction", document.Duration(14*24*time.Hour)
	}
	w := newVillage(t, grouped)
	other := npsSpec(grouped)
	other.Channels = []string{secondChat}
	w.campaign("shop/other", other)
	v, chat := w.asked("ana"), w.met(secondChat, "1254")
	w.merge(w.contactOf(chat), w.contactOf(v))
	w.solve(chat)
	require.Equal(t, 1, w.exits("shop/other")[survey.GroupCooldown])
	require.Equal(t, 1, w.funnel(npsCampaign).Asked)
	require.Equal(t, npsCampaign, w.says("ana", "9").Survey, "what is open goes on")
	require.Equal(t, 1, w.funnel(npsCampaign).Answered)
}

// Two questions that are open on one channel: one gives way, with an outcome.
func TestOfTwoOpenQuestionsOneGivesWay(t *testing.T) {
	w := newVillage(t)
	a, b := w.asked("a"), w.asked("b")
	w.merge(w.contactOf(a), w.contactOf(b))
	w.run()
	require.Equal(t, 1, count(t, w.Store, "survey_dialogues WHERE open = 1"))
	require.Equal(t, 1, w.funnel(npsCampaign).Expired)
	require.Equal(t, npsCampaign, w.says("a", "9").Survey)
	require.Empty(t, w.says("b", "9").Survey)
	w.clock.advance(60 * 24 * time.Hour)
	w.run()
	f := w.funnel(npsCampaign)
	require.Equal(t, []int{2, 1, 1}, []int{f.Asked, f.Answered, f.Expired})
}

// armed asks people until one was asked in each of two arms, and answered.
func (w *village) armed(run string) (first, second string) {
	w.t.Helper()
	byArm := map[int]string{}
	for i := 0; len(byArm) < 2; i++ {
		require.Less(w.t, i, 64)
		name := numbered("p", i)
		v := w.asked(name)
		w.says(name, "9")
		if d := w.dialogue(run); byArm[d.arm] == "" {
			byArm[d.arm] = v
		}
	}
	return byArm[0], byArm[1]
}

func arms(c *survey.Campaign) {
	c.Arms = []survey.Arm{{Name: "short", Weight: 1, Texts: map[string]survey.Texts{"score": {"en": "0 to 10?"}}}, {Name: "long", Weight: 1}}
	c.Analysis = survey.Analysis{Compare: survey.CompareArms, Baseline: "long"}
}

func TestWhoWasAskedInTwoArmsLeavesTheComparison(t *testing.T) {
	for _, run := range []string{npsCampaign, npsCampaign + "@2"} {
		t.Run(run, func(t *testing.T) { askedInTwoArms(t, run) })
	}
}

func askedInTwoArms(t *testing.T, run string) {
	w := newVillage(t, arms)
	if run != npsCampaign { // the name is applied again: a run of its own
		w.withdraw(npsCampaign)
		w.clock.advance(time.Hour)
		w.campaign(npsCampaign, npsSpec(arms))
	}
	one, two := w.armed(run)
	counts := func() surveyCounts {
		c, err := readSurveyCounts(t.Context(), w.read, run)
		require.NoError(t, err)
		return c
	}
	before, funnel := counts(), w.funnel(npsCampaign)
	w.merge(w.contactOf(one), w.contactOf(two))
	after := counts()
	for arm := range 2 {
		for _, name := range []string{countContacts, survey.Asked.String(), countAnswered} {
			require.Equal(t, before.of(name, arm)-1, after.of(name, arm), "%s of arm %d", name, arm)
		}
		require.Equal(t, after.of(countAnswered, arm), count(t, w.Store, fmt.Sprint("survey_responses WHERE arm = ", arm)))
	}
	require.Equal(t, funnel, w.funnel(npsCampaign), "what happened, happened")
	report, err := w.Survey(t.Context(), everything, npsCampaign)
	require.NoError(t, err)
	require.Equal(t, funnel.Answered, report.Report.Funnel.Answered)

	w.clock.advance(31 * 24 * time.Hour / 2)
	_, err = w.TriggerSurvey(t.Context(), everything, npsCampaign, SurveyTrigger{Contact: w.contactOf(one), Event: survey.API})
	require.NoError(t, err)
	require.Equal(t, 1, w.exits(npsCampaign)[survey.NotSampled], "and they are not asked a third time")
}

// Two who were drawn and are one are counted once, in the arm that they were asked in.
func TestMergedDrawsAreCountedOnce(t *testing.T) {
	w := newVillage(t, arms)
	v := w.asked("a")
	arm := w.dialogue(npsCampaign).arm
	var other string
	for i := 0; other == ""; i++ { // drawn, and not asked: nothing can be sent there
		chat := w.met(secondChat, numbered("x", i))
		_, err := w.TriggerSurvey(t.Context(), everything, npsCampaign, SurveyTrigger{Conversation: chat, Event: survey.API})
		require.NoError(t, err)
		if c := w.contactOf(chat); count(t, w.Store, fmt.Sprintf("survey_triggers WHERE contact = '%s' AND arm <> %d", c, arm)) == 1 {
			other = c
		}
	}
	total := func() (n int) {
		c, err := readSurveyCounts(t.Context(), w.read, npsCampaign)
		require.NoError(t, err)
		return c.sum(countContacts)
	}
	before := total()
	w.merge(other, w.contactOf(v))
	require.Equal(t, before-1, total())
	require.Equal(t, 1, count(t, w.Store, fmt.Sprintf("survey_ledger WHERE kind = 'campaign' AND sent_at > 0 AND arm = %d", arm)))
}

func TestTheLaterWordAboutConsentCounts(t *testing.T) {
	w := newVillage(t)
	into, from := w.contactOf(w.met(telegram, "a")), w.contactOf(w.met(secondChat, "b"))
	require.NoError(t, w.SetConsent(t.Context(), everything, into, "survey", survey.ConsentOptedIn))
	w.clock.advance(time.Minute)
	require.NoError(t, w.SetConsent(t.Context(), everything, from, "survey", survey.ConsentOptedOut))
	w.merge(into, from)
	_, err := w.TriggerSurvey(t.Context(), everything, npsCampaign, SurveyTrigger{Contact: from, Event: survey.API})
	require.NoError(t, err)
	require.Equal(t, 1, w.exits(npsCampaign)[survey.OptedOut])
}

// However people are merged: the funnel adds up, and each group has as many contacts
// and answers as are counted in it.
func TestMergesKeepTheCounts(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if was := checks.Value.String(); was == checks.DefValue { // each is a history of its own
		require.NoError(t, checks.Value.Set("10"))
		defer func() { require.NoError(t, checks.Value.Set(was)) }()
	}
	w := newVillage(t, arms, func(c *survey.Campaign) {
		c.Window.End = testTime.Add(10 * 365 * 24 * time.Hour)
		c.Holdout.Fraction, c.Sampling.Rate = "20%", "80%"
	})
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		var people []string
		for i := range rapid.IntRange(2, 6).Draw(rt, "people") {
			name := fmt.Sprint("r", round, "-", i)
			people = append(people, w.contactOf(w.asked(name)))
			if rapid.Bool().Draw(rt, "answers") {
				w.says(name, rapid.SampledFrom([]string{"9", "3, slow", "stop"}).Draw(rt, "words"))
			}
		}
		for range rapid.IntRange(1, 5).Draw(rt, "merges") {
			w.merge(rapid.SampledFrom(people).Draw(rt, "into"), rapid.SampledFrom(people).Draw(rt, "from"))
			if rapid.Bool().Draw(rt, "time") {
				w.clock.advance(time.Hour)
				w.run()
			}
		}
		w.funnel(npsCampaign) // adds up
		counts, err := readSurveyCounts(t.Context(), w.read, npsCampaign)
		require.NoError(rt, err)
		drawn := func(where string) int {
			return count(t, w.Store, "survey_ledger WHERE kind = 'campaign' AND assigned_at > 0 AND "+where)
		}
		require.Equal(rt, drawn("held_out = 1"), counts.of(countContacts, noArm))
		for arm := range 2 {
			in := fmt.Sprintf("held_out = 0 AND sampled = 1 AND arm = %d", arm)
			require.Equal(rt, drawn(in), counts.of(countContacts, arm))
			require.Equal(rt, drawn(in+" AND opted_out_at > 0"), counts.of(countContactsOptedOut, arm))
			require.Equal(rt, count(t, w.Store, fmt.Sprintf("survey_responses WHERE late = 0 AND arm = %d", arm)), counts.of(countAnswered, arm))
			require.Equal(rt, count(t, w.Store, fmt.Sprintf("survey_dialogues WHERE arm = %d", arm)), counts.of(survey.Asked.String(), arm))
		}
	})
}
