package store

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func TestFirstMessageMakesContactConversationAndEvents(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, text("m1", "Hello"))

	m := getMessage(t, s, id)
	require.Equal(t, "Hello", m.Text)
	require.Equal(t, "shop", m.Namespace)
	require.Equal(t, "telegram", m.Channel)
	require.Equal(t, message.StatusReceived, m.Status)
	require.Equal(t, "c1", m.Contact.ExternalID)
	require.Equal(t, "Ana", m.Contact.DisplayName)
	require.Equal(t, contactID("shop", "telegram", "100", "c1", 0), m.Contact.ID)
	require.Equal(t, testTime, m.Timestamp)

	v := getConversation(t, s, m.Conversation)
	require.Equal(t, ConversationOpen, v.State)
	require.Equal(t, Owner{Kind: OwnerNone}, v.Owner)
	require.EqualValues(t, 1, v.Epoch)
	require.Equal(t, testTime, *v.LastInboundAt)

	events, _ := eventsAfter(t, s, 0)
	require.Equal(t, []EventType{EventContactCreated, EventConversationCreated, EventMessageCreated}, eventTypes(events))
	require.Equal(t, id, events[2].MessageID)
	require.Equal(t, "Hello", events[2].Message.Text)
	require.Equal(t, "shop", events[2].Namespace)
}

func TestSameElementIsStoredOnce(t *testing.T) {
	s, _ := testStore(t)
	first := ingest(t, s, telegram, text("m1", "Hello"), text("m1", "Hello"), text("m2", "again"))
	require.Equal(t, wire.ResultStored, first[0].Result)
	require.Equal(t, wire.ElementResult{Result: wire.ResultDuplicate, ID: first[0].ID}, first[1], "twice in one batch")
	require.Equal(t, wire.ResultStored, first[2].Result, "a duplicate does not end the walk")

	require.Equal(t, wire.ResultDuplicate, ingest(t, s, telegram, text("m1", "Hello"))[0].Result)
	require.Equal(t, wire.ResultStored, ingest(t, s, whatsapp, text("m1", "Hello"))[0].Result, "another channel is another key")

	postback := text("m1", "")
	postback.Message.Type, postback.Message.Postback = message.TypePostback, &message.Postback{Payload: "yes"}
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, postback)[0].Result, "another kind is another key")
	echo := text("m1", "Hello")
	echo.Message.Echo = true
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, echo)[0].Result, "another direction is another key")
}

func TestElementsGoToTheirOwnChannels(t *testing.T) {
	s, _ := testStore(t)
	env := wire.Envelope{Platform: "telegram", ReceivedAt: testTime, Transport: "webhook", Raw: []byte("{}"), Elements: []wire.Element{
		{Channel: telegram, Event: text("m1", "one")},
		{Channel: whatsapp, Event: text("m2", "two")},
		{Channel: foreign, Event: text("m3", "not ours")},
		{Channel: "shop/deleted", Event: text("m4", "nobody's")},
		{Event: text("m5", "no account")},
	}}
	r := ingestEnvelope(t, s, env)
	require.Equal(t, []wire.Result{wire.ResultStored, wire.ResultStored, wire.ResultForbidden, wire.ResultUnrouted, wire.ResultUnrouted},
		[]wire.Result{r[0].Result, r[1].Result, r[2].Result, r[3].Result, r[4].Result})
	require.Equal(t, "telegram", getMessage(t, s, r[0].ID).Channel)
	require.Equal(t, "whatsapp", getMessage(t, s, r[1].ID).Channel)

	raw, err := s.RawEntries(t.Context(), everything, RawQuery{Unrouted: true})
	require.NoError(t, err)
	require.Len(t, raw.Items, 1)
	require.Empty(t, raw.Items[0].Namespace, "a payload of several places is seen by administrators only")
}

func TestForeignPayloadIsNotKept(t *testing.T) {
	s, _ := testStore(t)
	require.Equal(t, wire.ResultForbidden, ingest(t, s, foreign, text("m1", "x"))[0].Result)
	require.Zero(t, count(t, s, "raw_entries"))
	require.Zero(t, count(t, s, "messages"))
}

func TestInvalidElementsAreJournalledAndTold(t *testing.T) {
	long := strings.Repeat("x", maxExternalID+1)
	for name, tc := range map[string]struct {
		change func(*message.Event)
		says   string
	}{
		"empty event":         {func(e *message.Event) { e.Message = nil }, "event is empty"},
		"no contact":          {func(e *message.Event) { e.Message.Contact = nil }, "contact.externalId is empty"},
		"empty contact":       {func(e *message.Event) { e.Message.Contact.ExternalID = "\x00" }, "contact.externalId is empty"},
		"long external id":    {func(e *message.Event) { e.Message.ExternalID = long }, "externalId has 513 bytes"},
		"long contact":        {func(e *message.Event) { e.Message.Contact.ExternalID = long }, "513 bytes"},
		"unknown type":        {func(e *message.Event) { e.Message.Type = "hologram" }, "hologram"},
		"huge text":           {func(e *message.Event) { e.Message.Text = strings.Repeat("x", maxText+1) }, "message.text"},
		"too many":            {func(e *message.Event) { e.Message.Buttons = make([]message.Button, maxList+1) }, "101 items"},
		"edit of nothing":     {func(e *message.Event) { e.Message.Type = message.TypeEdit }, "message.target is empty"},
		"reaction of nothing": {func(e *message.Event) { e.Message.Type = message.TypeReaction }, "message.reaction is empty"},
		"odd receipt": {func(e *message.Event) {
			e.Message, e.Receipt = nil, &message.Receipt{ExternalID: "m", Status: "smelled"}
		}, "smelled"},
		"receipt of nothing": {func(e *message.Event) {
			e.Message, e.Receipt = nil, &message.Receipt{Status: message.StatusRead}
		}, "neither"},
		"odd membership": {func(e *message.Event) {
			e.Message, e.Membership = nil, &message.Membership{Contact: message.Contact{ExternalID: "c"}}
		}, "optedIn"},
		"migration to itself": {func(e *message.Event) {
			e.Message, e.Migration = nil, &message.Migration{From: "a", To: "a"}
		}, "same one"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := testStore(t)
			ev := text("m1", "secret words")
			tc.change(&ev)
			r := ingest(t, s, telegram, ev, text("m2", "fine"))
			require.Equal(t, wire.ResultInvalid, r[0].Result)
			require.Contains(t, r[0].Message, tc.says)
			require.NotContains(t, r[0].Message, "secret words")
			require.Equal(t, wire.ResultStored, r[1].Result, "the others are not concerned")
			require.Equal(t, 1, count(t, s, "raw_entries"))
		})
	}
}

func TestTextIsCleanedNotRefused(t *testing.T) {
	s, _ := testStore(t)
	ev := text("m\x001", "a\x00b\xffc 👍🏽")
	ev.Message.Contact.DisplayName = strings.Repeat("ä", 300)
	given := *ev.Message
	m := getMessage(t, s, stored(t, s, telegram, ev))
	require.Equal(t, "ab\uFFFDc 👍🏽", m.Text)
	require.Equal(t, "m1", m.ExternalID)
	require.Equal(t, strings.Repeat("ä", maxName), m.Contact.DisplayName)
	require.Equal(t, given, *ev.Message, "the caller's event is not touched")
}

func TestMissingExternalIDIsDerivedFromContent(t *testing.T) {
	s, c := testStore(t)
	ev := text("", "no id")
	ev.Message.Timestamp = time.Time{}
	id := stored(t, s, telegram, ev)
	require.Contains(t, getMessage(t, s, id).ExternalID, "sha256:")
	c.advance(time.Hour)
	require.Equal(t, wire.ElementResult{Result: wire.ResultDuplicate, ID: id}, ingest(t, s, telegram, ev)[0], "also an hour later")
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, text("", "another"))[0].Result)
}

func TestClampTime(t *testing.T) {
	received, now := testTime, testTime.Add(3*time.Second)
	for _, tc := range []struct{ given, want time.Time }{
		{time.Time{}, received},
		{time.Unix(0, 0), received},
		{earliest, earliest},
		{testTime.Add(-time.Hour), testTime.Add(-time.Hour)},
		{now.Add(time.Minute), now.Add(time.Minute)},
		{now.Add(time.Minute + time.Millisecond), now},
		{testTime.Add(time.Microsecond), testTime},
	} {
		require.Equal(t, tc.want, clampTime(tc.given, received, now), tc.given)
	}
}

func TestConversationShowsMessagesInPlatformTime(t *testing.T) {
	s, _ := testStore(t)
	late, early := text("m2", "second"), text("m1", "first")
	early.Message.Timestamp = testTime.Add(-time.Minute)
	id := stored(t, s, telegram, late)
	stored(t, s, telegram, early)
	p, err := s.ConversationMessages(t.Context(), everything, getMessage(t, s, id).Conversation, PageQuery{})
	require.NoError(t, err)
	require.Equal(t, "first", p.Items[0].Text)
	require.Equal(t, "second", p.Items[1].Text)
}

func TestEveryTypeComesBackAsItWas(t *testing.T) {
	for typ, fill := range map[message.Type]func(*message.Message){
		message.TypeLocation: func(m *message.Message) {
			m.Location = &message.Location{Latitude: 1.5, Longitude: 2.5, Name: "Home"}
		},
		message.TypeContacts: func(m *message.Message) {
			m.Contacts = []message.ContactCard{{Name: "Bo", Phones: []string{"+1555"}}}
		},
		message.TypePostback: func(m *message.Message) {
			m.Postback = &message.Postback{Payload: "p", Title: "t"}
			m.Text = "/start p"
		},
		message.TypeImage:       func(m *message.Message) { m.Group = "album" },
		message.TypeUnsupported: func(m *message.Message) { m.Unsupported = "poll" },
		message.TypeText:        func(m *message.Message) { m.ReplyTo = "m0"; m.Buttons = []message.Button{{Title: "b", Payload: "x"}} },
	} {
		t.Run(string(typ), func(t *testing.T) {
			s, _ := testStore(t)
			ev := text("m1", "")
			ev.Message.Type = typ
			fill(ev.Message)
			m := getMessage(t, s, stored(t, s, telegram, ev))
			require.Equal(t, typ, m.Type)
			want := *ev.Message
			require.Equal(t, want.Location, m.Location)
			require.Equal(t, want.Contacts, m.Contacts)
			require.Equal(t, want.Postback, m.Postback)
			require.Equal(t, want.Unsupported, m.Unsupported)
			require.Equal(t, want.Buttons, m.Buttons)
			require.Equal(t, want.ReplyTo, m.ReplyTo)
			require.Equal(t, want.Group, m.Group)
		})
	}
}

func TestFence(t *testing.T) {
	s, _ := testStore(t)
	require.NoError(t, s.write(t.Context(), 1, func(tx *txn) error {
		_, err := tx.exec(`INSERT INTO assignments (channel, session, token, cursor) VALUES (?, 'a', 7, '100') ON CONFLICT (channel) DO UPDATE SET token = 7, cursor = '100'`, telegram)
		return err
	}))
	cursor := func() (c string) {
		_, err := one(t.Context(), s.read, []any{&c}, `SELECT cursor FROM assignments WHERE channel = ?`, telegram)
		require.NoError(t, err)
		return c
	}
	fenced := func(id string, token int64, cursor string) wire.Envelope {
		env := envelope(telegram, text(id, "x"))
		env.Fence = &wire.Fence{Token: token, Cursor: cursor}
		return env
	}
	require.Equal(t, wire.ResultStored, ingestEnvelope(t, s, fenced("m1", 7, "101"))[0].Result)
	require.Equal(t, "101", cursor())

	journalled := count(t, s, "raw_entries")
	resp, err := s.Ingest(t.Context(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{fenced("m2", 6, "999"), envelope(telegram, text("m3", "y"))}})
	require.NoError(t, err)
	require.Equal(t, wire.ResultStale, resp.Envelopes[0].Elements[0].Result)
	require.Equal(t, wire.ResultStored, resp.Envelopes[1].Elements[0].Result, "the other envelope stands alone")
	require.Equal(t, "101", cursor(), "a stale connection does not move the cursor")
	require.Equal(t, journalled+1, count(t, s, "raw_entries"), "nothing of a stale envelope is kept")

	empty := fenced("m4", 7, "102")
	empty.Elements = nil
	ingestEnvelope(t, s, empty)
	require.Equal(t, "102", cursor(), "a batch without events still moves the cursor")
	ingestEnvelope(t, s, fenced("m5", 7, ""))
	require.Equal(t, "102", cursor(), "no cursor leaves it where it is")
}

func TestProfileFollowsThePlatform(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, text("m1", "x"))
	_, cursor := eventsAfter(t, s, 0)

	ev := text("m2", "x")
	ev.Message.Contact = &message.Contact{ExternalID: "c1", DisplayName: "Ana María", Username: "ana", Language: "es"}
	stored(t, s, telegram, ev)
	silent := text("m3", "x")
	silent.Message.Contact = &message.Contact{ExternalID: "c1"}
	stored(t, s, telegram, silent)

	events, _ := eventsAfter(t, s, cursor)
	require.Equal(t, []EventType{EventContactUpdated, EventMessageCreated, EventMessageCreated}, eventTypes(events))
	c, err := s.Contact(t.Context(), everything, getMessage(t, s, id).Contact.ID)
	require.NoError(t, err)
	require.Equal(t, "Ana María", c.DisplayName)
	require.Equal(t, "es", c.Language)
	require.Equal(t, []Identity{{Channel: "telegram", ExternalID: "c1", Username: "ana", Reachable: true}}, c.Identities)
}

func TestMembership(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, text("m1", "x"))
	contact := getMessage(t, s, id).Contact.ID
	reachable := func() bool {
		c, err := s.Contact(t.Context(), everything, contact)
		require.NoError(t, err)
		return c.Identities[0].Reachable
	}
	membership := func(id string, status message.MembershipStatus, at time.Time) message.Event {
		return message.Event{ExternalID: id, Membership: &message.Membership{Contact: message.Contact{ExternalID: "c1"}, Status: status, Timestamp: at}}
	}
	out := membership("u1", message.MembershipOptedOut, testTime.Add(2*time.Second))
	require.Equal(t, wire.ElementResult{Result: wire.ResultStored}, ingest(t, s, telegram, out)[0])
	require.False(t, reachable())
	require.Equal(t, wire.ResultDuplicate, ingest(t, s, telegram, out)[0].Result)

	ingest(t, s, telegram, membership("u2", message.MembershipOptedIn, testTime.Add(time.Second)))
	require.False(t, reachable(), "an older word does not overrule the last one")
	stored(t, s, telegram, text("m2", "written before opting out"))
	require.False(t, reachable())

	late := text("m3", "back again")
	late.Message.Timestamp = testTime.Add(3 * time.Second)
	stored(t, s, telegram, late)
	require.True(t, reachable(), "who writes can be answered")
}

func TestMembershipOfAStrangerOpensNoConversation(t *testing.T) {
	s, _ := testStore(t)
	ingest(t, s, telegram, message.Event{Membership: &message.Membership{Contact: message.Contact{ExternalID: "new"}, Status: message.MembershipOptedIn, Timestamp: testTime}})
	require.Equal(t, 1, count(t, s, "contacts"))
	require.Zero(t, count(t, s, "conversations"))
}

func TestMigrationKeepsTheContact(t *testing.T) {
	s, _ := testStore(t)
	before := getMessage(t, s, stored(t, s, telegram, text("m1", "x")))
	ingest(t, s, telegram, message.Event{Migration: &message.Migration{From: "c1", To: "c2"}})
	after := getMessage(t, s, stored(t, s, telegram, textFrom("c2", "m2", "y")))
	require.Equal(t, before.Contact.ID, after.Contact.ID)
	require.Equal(t, before.Conversation, after.Conversation)
	require.Equal(t, "c2", getConversation(t, s, before.Conversation).Contact.ExternalID)

	stranger := getMessage(t, s, stored(t, s, telegram, text("m3", "the number was given to somebody else")))
	require.NotEqual(t, before.Contact.ID, stranger.Contact.ID)
}

func TestMigrationAfterTheFirstMessageFromTheNewAddress(t *testing.T) {
	s, _ := testStore(t)
	old := getMessage(t, s, stored(t, s, telegram, text("m1", "x")))
	fresh := getMessage(t, s, stored(t, s, telegram, textFrom("c2", "m2", "y")))
	require.NotEqual(t, old.Contact.ID, fresh.Contact.ID)
	ingest(t, s, telegram, message.Event{Migration: &message.Migration{From: "c1", To: "c2"}})
	for _, id := range []string{old.Conversation, fresh.Conversation} {
		v := getConversation(t, s, id)
		require.Equal(t, old.Contact.ID, v.Contact.ID)
		require.Equal(t, "c2", v.Contact.ExternalID)
	}
}

func TestRecreatedChannelFindsItsContacts(t *testing.T) {
	s, _ := testStore(t)
	before := getMessage(t, s, stored(t, s, telegram, text("m1", "x"))).Contact.ID
	entries := testEntries(t)
	spec := `{"platform":"telegram","account":"100","bridge":"` + shopBridge + `","receive":"webhook"}`
	entries[2].Name, entries[2].Spec = "shop/renamed", []byte(spec)
	require.Empty(t, s.Load(t.Context(), testDocument(t, entries...)))
	after := getMessage(t, s, stored(t, s, "shop/renamed", text("m1", "x"))).Contact.ID
	require.Equal(t, before, after)
}
