package telegram

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	sim "github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// world is a simulated Telegram, which refuses what the real one refuses, with
// one bot, one person who has started it, and the channel of the bot.
type world struct {
	*sim.Server
	bot      *sim.Bot
	customer *sim.Customer
	user     sim.User
	endpoint string
	p        *Platform
	ch       platform.Channel
}

const botID = 7000000001

func newWorld(t *testing.T, change func(*document.Channel)) *world {
	w := &world{p: fast()}
	w.Server = sim.New(sim.Options{AllowHTTP: true, Limits: sim.Limits{Off: true}, ConflictDelay: time.Millisecond})
	t.Cleanup(w.Server.Close)
	api := httptest.NewServer(w.Handler())
	t.Cleanup(api.Close)
	w.endpoint = api.URL
	var err error
	w.bot, err = w.AddBot(sim.BotSpec{ID: botID, Secret: strings.Repeat("s", 35), Username: "shop_bot"})
	require.NoError(t, err)
	w.user = w.NewUser(sim.User{FirstName: "Ana", Username: "ana", LanguageCode: "es"})
	w.customer = w.bot.Customer(w.user.ID)
	w.ch = w.load(t, change)
	return w
}

func (w *world) load(t *testing.T, change func(*document.Channel)) platform.Channel {
	spec := document.Channel{Platform: Name, Account: testAccount, Credentials: map[string]string{KeyToken: w.bot.Token()}}
	if change != nil {
		change(&spec)
	}
	ch, err := w.p.Load(context.Background(), platform.LoadSpec{
		Name: "shop/bot", Spec: spec, Endpoint: w.endpoint, PublicURL: "http://127.0.0.1:9",
		Client: platform.NewClient(platform.GuardOptions{AllowPrivate: true, Timeout: 10 * time.Second}),
	})
	require.NoError(t, err)
	return ch
}

// poll collects events until the test ends.
func (w *world) poll(t *testing.T) func() []message.Event {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var events []message.Event
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.p.Run(ctx, w.ch, "", func(_ context.Context, b platform.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, b.Events...)
			return nil
		}, func(error) {})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() []message.Event {
		mu.Lock()
		defer mu.Unlock()
		return append([]message.Event(nil), events...)
	}
}

func (w *world) send(t *testing.T, m message.Message) []string {
	t.Helper()
	parts, err := platform.Plan(w.p.Capabilities(), m)
	require.NoError(t, err)
	var ids []string
	for _, part := range parts {
		out := platform.Outgoing{To: address{chat: w.user.ID}.String(), Part: part, OpenMedia: openText("%PDF the bytes")}
		if part.Index == 0 {
			out.ReplyTo = m.ReplyTo
		}
		result, err := w.p.Send(t.Context(), w.ch, out)
		require.NoError(t, err)
		ids = append(ids, result.ExternalIDs...)
	}
	return ids
}

func TestSimulatorConversation(t *testing.T) {
	w := newWorld(t, nil)
	result, err := w.p.Probe(t.Context(), w.ch)
	require.NoError(t, err)
	require.Equal(t, platform.ProbeResult{Account: testAccount, DisplayName: "@shop_bot"}, result)

	events := w.poll(t)
	_, err = w.customer.Start("abc")
	require.NoError(t, err)
	_, err = w.customer.SendAll(sim.Outgoing{Document: &sim.Upload{Name: "a.pdf", Mime: "application/pdf", Data: []byte("%PDF in")}, Text: "see"})
	require.NoError(t, err)
	eventually(t, func() bool { return len(events()) >= 2 })
	var file *message.Message
	for _, e := range events() {
		if e.Message != nil && e.Message.Type == message.TypeFile {
			file = e.Message
		}
	}
	require.NotNil(t, file)
	m, err := w.p.FetchMedia(t.Context(), w.ch, file.Attachments[0].Ref)
	require.NoError(t, err)
	body, err := io.ReadAll(m.Body)
	require.NoError(t, err)
	require.NoError(t, m.Body.Close())
	require.Equal(t, "%PDF in", string(body))

	ids := w.send(t, message.Message{
		Text: strings.Repeat("many words ", 500), ReplyTo: file.ExternalID,
		Attachments: []message.Attachment{{Kind: message.TypeFile, MediaID: "m", Name: "b.pdf", Caption: strings.Repeat("long caption ", 100)}},
		Location:    &message.Location{Latitude: 1.5, Longitude: 2.5, Name: "Shop", Address: "Road 1"},
		Buttons:     []message.Button{{Title: "Yes", Payload: strings.Repeat("y", 64)}, {Title: "Site", URL: "https://example.com/"}},
	})
	require.Len(t, ids, 5, "two texts, the file, its caption, the place")
	sent, err := w.customer.WaitMessages(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, "b.pdf", sent[2].Document.FileName)
	_, id, err := parseMessageID(file.ExternalID)
	require.NoError(t, err)
	require.Equal(t, id, sent[0].ReplyToMessage.MessageID)

	callback, err := w.customer.Press(sent[4].MessageID, "Yes")
	require.NoError(t, err)
	var pressed message.Event
	eventually(t, func() bool {
		for _, e := range events() {
			if strings.HasPrefix(e.ExternalID, callbackPrefix) {
				pressed = e
				return true
			}
		}
		return false
	})
	require.Equal(t, &message.Postback{Payload: strings.Repeat("y", 64), Title: "Yes"}, pressed.Message.Postback)
	require.Equal(t, ids[4], pressed.Message.ReplyTo)
	require.NoError(t, w.p.Ack(t.Context(), w.ch, pressed))
	_, err = w.customer.WaitAnswer(t.Context(), callback)
	require.NoError(t, err)

	for _, action := range []message.Message{
		{Type: message.TypeEdit, Target: ids[0], Text: "shorter"},
		{Type: message.TypeEdit, Target: ids[0], Text: "shorter"}, // again: it stands as desired
		{Type: message.TypeEdit, Target: ids[2], Text: "a caption now"},
		{Type: message.TypeReaction, Reaction: &message.Reaction{Emoji: "👍", Target: file.ExternalID}},
		{Type: message.TypeReaction, Reaction: &message.Reaction{Action: message.ReactionRemove, Target: file.ExternalID}},
		{Type: message.TypeDeletion, Target: ids[1]},
		{Type: message.TypeDeletion, Target: ids[1]}, // again: gone already
	} {
		require.Empty(t, w.send(t, action))
	}
	var happened []string
	for _, e := range w.customer.Transcript() {
		if e.From == "bot" && e.Event != "message" {
			happened = append(happened, e.Event)
		}
	}
	require.Equal(t, []string{"answer", "edit", "edit", "reaction", "reaction", "delete"}, happened)
}

func TestSimulatorInboundKinds(t *testing.T) {
	w := newWorld(t, nil)
	events := w.poll(t)
	eventually(t, func() bool { return w.bot.State().Polling || len(w.bot.Calls("getUpdates", 0)) > 0 })
	first, err := w.customer.Send("hello")
	require.NoError(t, err)
	_, err = w.customer.Edit(first.MessageID, "hello you")
	require.NoError(t, err)
	require.NoError(t, w.customer.React(first.MessageID, "👍"))
	require.NoError(t, w.customer.React(first.MessageID))
	for _, o := range []sim.Outgoing{
		{Location: &sim.Location{Latitude: 1, Longitude: 2}},
		{Contact: &sim.Contact{PhoneNumber: "+1", FirstName: "Bea"}},
		{Voice: &sim.Upload{Name: "v.ogg", Mime: "audio/ogg", Data: []byte("OggS voice")}},
		{Text: "again", ReplyTo: first.MessageID},
	} {
		_, err := w.customer.SendAll(o)
		require.NoError(t, err)
	}
	_, err = w.customer.Start("spring-sale")
	require.NoError(t, err)
	connection, err := w.bot.ConnectBusiness(w.user.ID, sim.BusinessRights{CanReply: true})
	require.NoError(t, err)
	require.NoError(t, w.bot.DisconnectBusiness(connection.ID))
	require.NoError(t, w.customer.Block())
	want := []string{"message text", "edit edit", "reaction reaction", "reaction reaction", "message location", "message contacts", "message audio", "message text",
		"postback postback", "membership ", "membership ", "membership "}
	var got []string
	eventually(t, func() bool {
		got = nil
		for _, e := range events() {
			kind := e.Kind() + " "
			if e.Message != nil {
				kind += string(e.Message.Type)
			}
			got = append(got, kind)
		}
		return len(got) >= len(want)
	})
	require.Equal(t, want, got)
	last := events()
	last = last[len(last)-5:]
	require.Equal(t, address{chat: w.user.ID}.message(first.MessageID), last[0].Message.ReplyTo)
	require.Equal(t, &message.Postback{Payload: "spring-sale"}, last[1].Message.Postback)
	owner := address{chat: w.user.ID, connection: connection.ID}.String()
	require.Equal(t, owner, last[2].Membership.Contact.ExternalID, "the owner's own chat with the bot is another")
	require.Equal(t, message.MembershipOptedIn, last[2].Membership.Status)
	require.Equal(t, owner, last[3].Membership.Contact.ExternalID)
	require.Equal(t, message.MembershipOptedOut, last[3].Membership.Status)
	require.Equal(t, address{chat: w.user.ID}.String(), last[4].Membership.Contact.ExternalID)
	require.Equal(t, message.MembershipOptedOut, last[4].Membership.Status)
}

func TestSimulatorRefusals(t *testing.T) {
	w := newWorld(t, nil)
	_, err := w.customer.Start("")
	require.NoError(t, err)
	group, err := w.NewGroup(sim.GroupSpec{Title: "Shop", Members: []int64{w.user.ID}})
	require.NoError(t, err)
	require.NoError(t, w.bot.SetGroupStatus(group.ID, "member", w.user.ID))
	try := func(to int64) *platform.Error {
		t.Helper()
		_, err := w.p.Send(t.Context(), w.ch, platform.Outgoing{To: address{chat: to}.String(), Part: wire.Part{Text: "x"}})
		var e *platform.Error
		require.ErrorAs(t, err, &e)
		return e
	}
	fault := func(f sim.Fault) {
		t.Helper()
		f.Times = 1
		_, err := w.bot.AddFault(f)
		require.NoError(t, err)
	}

	fault(sim.Fault{Kind: sim.FaultRateLimit, RetryAfter: 7})
	e := try(w.user.ID)
	require.Equal(t, wire.ErrRateLimited, e.Class)
	require.Equal(t, 7*time.Second, e.RetryAfter)
	fault(sim.Fault{Kind: sim.FaultLost})
	require.True(t, try(w.user.ID).MaybeSent)
	fault(sim.Fault{Kind: sim.FaultGarbled})
	require.True(t, try(w.user.ID).MaybeSent)
	fault(sim.Fault{Kind: sim.FaultFail, Code: 502, Description: "Bad Gateway"})
	require.True(t, try(w.user.ID).MaybeSent)

	moved, err := w.bot.UpgradeGroup(group.ID)
	require.NoError(t, err)
	e = try(group.ID)
	require.Equal(t, address{chat: moved}.String(), e.NewAddress)

	require.Equal(t, wire.ErrRecipientGone, try(424242).Class, "never started")
	require.NoError(t, w.customer.Block())
	require.Equal(t, wire.ErrRecipientGone, try(w.user.ID).Class, "blocked")
	require.NoError(t, w.bot.Revoke(strings.Repeat("n", 35)))
	require.Equal(t, wire.ErrAuthInvalid, try(w.user.ID).Class, "revoked")
}

func TestSimulatorWebhook(t *testing.T) {
	w := newWorld(t, nil)
	var mu sync.Mutex
	var texts []string
	var refused int
	hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if !w.p.Verify(w.ch, platform.Request{Method: r.Method, Header: r.Header, URL: r.URL.String(), Body: body}, time.Now()) {
			refused++
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		events, err := w.p.Parse(testAccount, body)
		if err != nil {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, e := range events {
			if e.Message != nil {
				texts = append(texts, e.Message.Text)
			}
		}
	}))
	t.Cleanup(hook.Close)
	ours := hook.URL + "/webhooks/shop/bot"
	mu.Lock()
	w.ch = w.load(t, func(c *document.Channel) { c.WebhookURL = ours })
	mu.Unlock()

	taken, err := w.p.Register(t.Context(), w.ch, "")
	require.NoError(t, err)
	require.Empty(t, taken)
	require.Equal(t, ours, w.bot.WebhookInfo().URL)
	_, err = w.bot.AddFault(sim.Fault{Kind: sim.FaultWrongSecret, Times: 1})
	require.NoError(t, err)
	_, err = w.customer.Send("by webhook")
	require.NoError(t, err)
	eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(texts) == 1 })
	require.Equal(t, []string{"by webhook"}, texts)
	require.Equal(t, 1, refused, "the forgery in front of it")

	before := len(w.bot.Calls("setWebhook", 0))
	_, err = w.p.Register(t.Context(), w.ch, ours)
	require.NoError(t, err)
	require.Len(t, w.bot.Calls("setWebhook", 0), before, "all as desired")

	require.NoError(t, w.bot.TakeOverWebhook("http://127.0.0.1:9/other", "their-secret"))
	taken, err = w.p.Register(t.Context(), w.ch, ours)
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:9", taken)
	require.NoError(t, w.p.Unregister(t.Context(), w.ch))
	require.Equal(t, "http://127.0.0.1:9/other", w.bot.WebhookInfo().URL, "theirs stays")

	require.NoError(t, w.bot.TakeOverWebhook(ours, "their-secret"))
	require.NoError(t, w.p.Unregister(t.Context(), w.ch))
	require.Empty(t, w.bot.WebhookInfo().URL)
	require.NoError(t, w.p.Unregister(t.Context(), w.ch), "nothing to remove is no failure")
}

func TestSimulatorPollingRemovesOnlyItsOwnWebhook(t *testing.T) {
	w := newWorld(t, nil)
	require.NoError(t, w.bot.TakeOverWebhook("http://127.0.0.1:9/webhooks/shop/bot", "x"))
	events := w.poll(t)
	_, err := w.customer.Send("waits in the queue")
	require.NoError(t, err)
	eventually(t, func() bool { return len(events()) == 1 })
	require.Empty(t, w.bot.WebhookInfo().URL)
}

func TestSimulatorProfile(t *testing.T) {
	w := newWorld(t, func(c *document.Channel) { c.Config = json.RawMessage(profileConfig) })
	changed, err := w.p.SyncProfile(t.Context(), w.ch)
	require.NoError(t, err)
	require.Equal(t, []string{"commands", "description", "name", "localized.de.shortDescription"}, changed)
	changed, err = w.p.SyncProfile(t.Context(), w.ch)
	require.NoError(t, err)
	require.Empty(t, changed, "the second time there is nothing to do")
	profile := w.bot.Profile()
	require.Equal(t, "Shop", profile.Name[""])
	require.Equal(t, []sim.BotCommand{{Command: "help", Description: "Help"}}, profile.Commands["default/"])

	w.load(t, nil)
	require.NoError(t, self(w.ch).call(t.Context(), "setMyDescription", params{"description": "by hand"}, nil))
	changed, err = w.p.SyncProfile(t.Context(), w.ch)
	require.NoError(t, err)
	require.Equal(t, []string{"description"}, changed, "drift is repaired")
}

// What reaches a bot beside the messages of its chats.
func TestSimulatorOtherKinds(t *testing.T) {
	w := newWorld(t, nil)
	events := w.poll(t)
	eventually(t, func() bool { return len(w.bot.Calls("getUpdates", 0)) > 0 })
	group, err := w.NewGroup(sim.GroupSpec{Title: "Shop", Type: "supergroup", Members: []int64{w.user.ID}})
	require.NoError(t, err)
	require.NoError(t, w.bot.SetGroupStatus(group.ID, "administrator", w.user.ID))
	post, err := w.customer.In(group.ID).Send("hello all")
	require.NoError(t, err)
	poll, err := w.bot.NewPoll("Which one?", "red", "blue")
	require.NoError(t, err)
	other := w.NewUser(sim.User{FirstName: "Bea"})

	require.NoError(t, w.bot.CountReactions(group.ID, post.MessageID, map[string]int{"👍": 3}))
	require.NoError(t, w.customer.Vote(poll.ID, 1))
	require.NoError(t, w.customer.Vote(poll.ID))
	require.NoError(t, w.bot.Customer(other.ID).AskToJoin(group.ID))
	require.NoError(t, w.bot.SetMember(group.ID, other.ID, "member"))
	require.NoError(t, w.bot.SendUpdate("purchased_paid_media", json.RawMessage(`{"from":{"id":77,"first_name":"Buyer"},"paid_media_payload":"album-3"}`)))
	require.NoError(t, w.bot.SendUpdate("chat_boost", json.RawMessage(`{"chat":{"id":-1}}`)))
	_, err = w.customer.SendAll(sim.Outgoing{Text: "bold #sale", Entities: []sim.Entity{{Type: "bold", Length: 4}}})
	require.NoError(t, err)

	var got []string
	eventually(t, func() bool {
		got = nil
		for _, e := range events() {
			switch m := e.Message; {
			case m == nil:
				got = append(got, e.Kind())
			case m.Postback != nil:
				got = append(got, "postback "+m.Postback.Payload)
			case m.Reaction != nil:
				got = append(got, string(m.Reaction.Action)+" "+m.Reaction.Emoji)
			case m.Unsupported != "":
				got = append(got, m.Unsupported)
			default:
				got = append(got, m.Text)
			}
		}
		return len(got) >= 9
	})
	require.Equal(t, []string{"membership", "hello all", "remove ", "add 👍", "postback poll:" + poll.ID + ":1", "postback poll:" + poll.ID + ":",
		"chat_join_request", "postback album-3", "bold #sale"}, got)
	require.Equal(t, []message.Entity{{Kind: "bold", Length: 4}, {Kind: "hashtag", Offset: 5, Length: 5}}, events()[8].Message.Entities)
	require.Equal(t, address{chat: group.ID}.message(post.MessageID), events()[3].Message.Target)
}

func TestSimulatorInlineQuery(t *testing.T) {
	w := newWorld(t, nil)
	query, err := w.customer.Ask("shoes")
	require.NoError(t, err)
	payload := `[{"update_id":1,"inline_query":{"id":"` + query + `","query":"shoes"}}]`
	for _, key := range w.p.PayloadAcks([]byte(payload)) {
		require.NoError(t, w.p.AckPayload(t.Context(), w.ch, key))
	}
	results, err := w.customer.WaitResults(t.Context(), query)
	require.NoError(t, err)
	require.Empty(t, results, "answered, with nothing to choose from")
	require.NoError(t, w.p.AckPayload(t.Context(), w.ch, inlineQueryPrefix+"0"), "one that is too old")
}
