package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func (w *village) erase(contact string) {
	w.t.Helper()
	require.NoError(w.t, w.EraseContact(context.Background(), everything, contact))
	s := sweeper{s: w.Store}
	require.NoError(w.t, s.erasedJournal(context.Background(), w.state.Load().settings.Retention))
}

// everywhere is where in the database a text is found: in which tables.
func everywhere(t testing.TB, s *Store, text string) (tables []string) {
	t.Helper()
	names := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if backend == "postgres" {
		names = `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
	}
	list, err := all(t.Context(), s.read, scanText, names)
	require.NoError(t, err)
	require.Greater(t, len(list), 30)
	for _, table := range list {
		tables = append(tables, columnsWith(t, s, table, text)...)
	}
	return tables
}

// columnsWith are the columns of a table in which a text is found.
func columnsWith(t testing.TB, s *Store, table, text string) (found []string) {
	t.Helper()
	rows, err := s.db.reader.QueryContext(t.Context(), `SELECT * FROM `+table)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		for i, v := range values {
			if raw, ok := v.([]byte); ok {
				v = string(raw)
			}
			if strings.Contains(fmt.Sprint(v), text) {
				found = append(found, table+"."+columns[i])
			}
		}
	}
	require.NoError(t, rows.Err())
	return found
}

// arrive brings events with a payload that holds what they say.
func (w *village) arrive(channel, payload string, events ...message.Event) {
	w.t.Helper()
	env := envelope(channel, events...)
	env.Raw = []byte(payload)
	ingestEnvelope(w.t, w.Store, env)
}

const secret = "plover"

// lives lets a person do all that leaves something behind.
func (w *village) lives(name string) (contact, conversation string) {
	w.t.Helper()
	ctx := context.Background()
	v := w.asked(name)
	contact = w.contactOf(v)
	w.says(name, "3")
	w.says(name, "because of "+secret)
	w.clock.advance(time.Hour)
	w.run()
	first := textFrom(name, "first", "I want "+secret)
	first.Message.Contact.DisplayName = "Ana " + secret
	first.Message.Attachments = []message.Attachment{{Kind: message.TypeImage, Ref: "file-" + secret, Name: secret + ".jpg"}}
	first.Message.Timestamp = w.clock.Now()
	w.arrive(telegram, `{"from":"`+name+`","text":"`+secret+`"}`, first)
	edit := editOf("first", "edit", "I want more "+secret, w.clock.Now())
	edit.Message.Contact = &message.Contact{ExternalID: name}
	early := editOf("never", "early", secret, w.clock.Now())
	early.Message.Contact = &message.Contact{ExternalID: name}
	w.arrive(telegram, `{"edited":"`+secret+`","from":"`+name+`"}`, edit, early, reactionTo("first", "reaction", name, "👍", message.ReactionAdd))
	w.mustSend(v, SendRequest{IdempotencyKey: name, Author: message.Author{Kind: message.AuthorAgent, Name: "bea"}, Type: message.TypeText, Text: "No " + secret})
	w.sent(w.leaseOne())
	w.send(v, "queued "+secret)
	_, err := w.SetAttributes(ctx, everything, contact, map[string]string{"tier": secret})
	require.NoError(w.t, err)
	_, err = w.UpdateConversation(ctx, everything, v, ConversationUpdate{Labels: &map[string]string{"about": secret}})
	require.NoError(w.t, err)
	return contact, v
}

func TestAnErasedContactLeavesNoWord(t *testing.T) {
	w := newVillage(t)
	w.attach(inbound(rule("all", step("bot", toBot(menuBot)), step("people", toQueue(general)))))
	ana, conversation := w.lives("ana-1254")
	require.Subset(t, everywhere(t, w.Store, secret), []string{"contacts.display_name", "contacts.attributes", "messages.text", "message_versions.text",
		"raw_entries.payload", "survey_answers.answers", "parked_events.event", "delivery_parts.payload"}, "the test means something")
	other := w.met(telegram, "bob-77")
	w.send(other, "yes")
	chat := w.met(secondChat, "chat-1254")
	w.merge(w.contactOf(chat), ana)
	alias, ana := ana, w.contactOf(chat)
	funnel := w.funnel(npsCampaign)
	require.Equal(t, 1, funnel.Answered)
	_, before := eventsAfter(t, w.Store, 0)

	w.erase(alias)
	for _, text := range []string{secret, "ana-1254", "chat-1254"} {
		require.Empty(t, everywhere(t, w.Store, text), text)
	}
	for _, id := range []string{ana, alias} {
		_, err := w.Contact(t.Context(), everything, id)
		require.ErrorIs(t, err, ErrNotFound)
		require.Subset(t, []string{"events.contact"}, everywhere(t, w.Store, id), "the log's ids alone")
	}
	_, err := w.Conversation(t.Context(), everything, conversation)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, funnel, w.funnel(npsCampaign), "counts stay")
	require.Len(t, w.scores(npsCampaign), 1, "and scores, which are nobody's")
	told, _ := eventsAfter(t, w.Store, before)
	require.Subset(t, eventTypes(told), []EventType{EventContactErased})
	require.Empty(t, w.troubles(other), "others are as they were")
	w.sent(w.leaseOne())
	(&desk{Store: w.Store, t: t, clock: w.clock}).checkCounters()

	again := w.met(telegram, "ana-1254")
	require.Equal(t, alias, w.contactOf(again), "who comes back is somebody new, under the id of the address")
	list, err := w.Conversations(t.Context(), everything, ConversationQuery{Contact: alias})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
}

// troubles is what is wrong with the messages of a conversation; nothing, here.
func (w *village) troubles(conversation string) (wrong []string) {
	w.t.Helper()
	page, err := w.ConversationMessages(context.Background(), everything, conversation, PageQuery{})
	require.NoError(w.t, err)
	require.Len(w.t, page.Items, 2)
	for _, m := range page.Items {
		if m.Reason != "" {
			wrong = append(wrong, m.Reason)
		}
	}
	return wrong
}

// Nobody who opted out is asked again because they were forgotten.
func TestAnOptOutOutlivesTheContact(t *testing.T) {
	w := newVillage(t)
	mail, chat := w.met(telegram, "ana"), w.met(secondChat, "1254")
	person := w.contactOf(mail)
	w.merge(person, w.contactOf(chat))
	require.NoError(t, w.SetConsent(t.Context(), everything, person, "survey", survey.ConsentOptedOut))
	require.NoError(t, w.SetConsent(t.Context(), everything, person, "offers", survey.ConsentOptedIn))
	w.erase(person)
	require.Zero(t, count(t, w.Store, "contact_consents WHERE state = 'optedIn'"))
	for i, at := range [][2]string{{telegram, "ana"}, {secondChat, "1254"}} {
		v := getMessage(t, w.Store, stored(t, w.Store, at[0], textFrom(at[1], "back"+at[1], "hello"))).Conversation
		_, err := w.TriggerSurvey(t.Context(), everything, npsCampaign, SurveyTrigger{Conversation: v, Event: survey.API})
		require.NoError(t, err)
		require.Equal(t, i+1, w.exits(npsCampaign)[survey.OptedOut])
	}
}

// What a campaign has not decided, and a question that waits, leave by an exit.
func TestErasureEndsSurveysThatAreOpen(t *testing.T) {
	w := newVillage(t, func(c *survey.Campaign) { c.Trigger.Delay = 0 })
	v := w.asked("ana")
	slow := npsSpec(func(c *survey.Campaign) { c.Trigger.Delay = 3_600_000_000_000 })
	w.campaign("shop/slow", slow)
	_, err := w.TriggerSurvey(t.Context(), everything, "shop/slow", SurveyTrigger{Conversation: v, Event: survey.API})
	require.NoError(t, err)
	require.Equal(t, 1, w.funnel("shop/slow").Pending)
	w.erase(w.contactOf(v))
	require.Equal(t, 1, w.funnel(npsCampaign).Expired)
	require.Zero(t, w.funnel("shop/slow").Pending)
	w.clock.advance(60 * 24 * time.Hour)
	w.run()
}

func TestErasureWaitsForWhatIsBeingSent(t *testing.T) {
	w := newVillage(t)
	v := w.met(telegram, "ana")
	contact := w.contactOf(v)
	w.send(v, "1")
	queued := w.send(v, "2")
	sending := w.leaseOne()
	_, err := w.eraseSome(t.Context(), everything, contact)
	require.ErrorIs(t, err, errSending)
	require.Equal(t, message.StatusQueued, w.status(queued), "nothing was done")
	w.sent(sending)
	w.erase(contact)
	require.Empty(t, w.lease(10), "what waited is not sent any more")
	require.Zero(t, count(t, w.Store, "deliveries"))
	require.Zero(t, count(t, w.Store, "lanes"))
}

// A long history goes in several steps, and an interrupted erasure goes on.
func TestErasureOfManyMessages(t *testing.T) {
	w := newVillage(t)
	contact := w.contactOf(w.met(telegram, "ana"))
	events := make([]message.Event, sweepBatch+10)
	for i := range events {
		events[i] = textFrom("ana", numbered("m", i), "x")
	}
	w.arrive(telegram, "{}", events...)
	more, err := w.eraseSome(t.Context(), everything, contact)
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, 11, count(t, w.Store, "messages"))
	w.erase(contact)
	require.Zero(t, count(t, w.Store, "messages"))
	require.Zero(t, count(t, w.Store, "external_ids WHERE kind = 'message'"))
}

func TestAnErasureIsRepeatedByItsKey(t *testing.T) {
	w := newVillage(t)
	contact := w.contactOf(w.met(telegram, "ana"))
	scope := Scope{All: true, Write: Write{Key: "k", Fingerprint: "f"}}
	for range 2 {
		require.NoError(t, w.EraseContact(t.Context(), scope, contact))
	}
	require.ErrorIs(t, w.EraseContact(t.Context(), everything, contact), ErrNotFound)
	require.ErrorIs(t, w.EraseContact(t.Context(), Scope{Namespaces: []string{"other"}}, w.contactOf(w.met(telegram, "bob"))), ErrNotFound)
}

// Payloads that no message names are found by the address, in any number of steps;
// others, and what nobody could route, stay.
func TestTheJournalIsSearchedForTheAddress(t *testing.T) {
	w := newVillage(t)
	contact := w.contactOf(w.met(telegram, `ana"1254`))
	entries := count(t, w.Store, "raw_entries")
	for i := range 3 {
		w.arrive(telegram, fmt.Sprintf(`{"from":"ana\"1254","n":%d}`, i), reactionTo("x", numbered("r", i), "someone", "👍", message.ReactionAdd))
		w.arrive(telegram, fmt.Sprintf(`{"from":"bob","n":%d}`, i), reactionTo("x", numbered("s", i), "bob", "👍", message.ReactionAdd))
	}
	nowhere := envelope(telegram)
	nowhere.Raw, nowhere.Channel = []byte(`{"from":"ana\"1254"}`), "shop/unknown"
	ingestEnvelope(t, w.Store, nowhere)
	require.NoError(t, w.EraseContact(t.Context(), everything, contact))
	require.Equal(t, 1, count(t, w.Store, "journal_erasures"))
	s := sweeper{s: w.Store}
	require.NoError(t, s.sweep(t.Context()))
	require.Zero(t, count(t, w.Store, "journal_erasures"))
	require.Equal(t, entries-1+3+1, count(t, w.Store, "raw_entries"))
}

// Who writes while they are erased is somebody new from some moment on; no message is
// lost that came after it, and none is refused.
func TestErasuresMeetMessages(t *testing.T) {
	stores := several(t, 2)
	ctx := context.Background()
	var wg sync.WaitGroup
	const people, each = 4, 12
	for i := range people {
		name := numbered("p", i)
		id := getConversation(t, stores[0], getMessage(t, stores[0], stored(t, stores[0], telegram, textFrom(name, "first"+name, "hi"))).Conversation).Contact.ID
		for k := range 2 {
			wg.Go(func() {
				for n := range each {
					res, err := ingestOnce(stores[(n+k)%len(stores)], telegram, textFrom(name, fmt.Sprint(name, k, n), "x"))
					if err != nil || res.Result != wire.ResultStored {
						t.Error(res, err)
					}
				}
			})
		}
		wg.Go(func() {
			for n := range 3 {
				if err := stores[n%len(stores)].EraseContact(ctx, everything, id); err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range people {
		stored(t, stores[0], telegram, textFrom(numbered("p", i), numbered("last", i), "y"))
	}
	s := stores[0]
	require.Equal(t, people, count(t, s, "contacts"))
	require.Equal(t, people, count(t, s, "identities i JOIN contacts c ON c.id = i.contact"))
	require.Equal(t, count(t, s, "messages"), count(t, s, "messages m JOIN conversations v ON v.id = m.conversation JOIN identities i ON i.id = v.identity"))
	require.Equal(t, count(t, s, "messages"), count(t, s, "external_ids WHERE kind = 'message'"))
}
