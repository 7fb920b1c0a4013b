package telegram_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

func TestOffsets(t *testing.T) {
	w := newWorld(t)
	var sent []int64
	for i := range 5 {
		m, err := w.cust.Send(fmt.Sprint("m", i))
		require.NoError(t, err)
		sent = append(sent, m.MessageID)
	}
	all := w.updates("limit", "100")
	require.Len(t, all, 5)
	for i, u := range all {
		assert.Equal(t, all[0].ID+int64(i), u.ID, "update ids grow by one")
		assert.Equal(t, sent[i], u.Message.MessageID)
	}
	first := all[0].ID
	offset := func(n int64) string { return fmt.Sprint(first + n) }
	assert.Len(t, w.updates("offset", offset(1), "limit", "2"), 2)
	assert.Len(t, w.updates("offset", offset(0), "timeout", "1"), 4, "offset confirms for good")
	last := w.updates("offset", "-1")
	require.Len(t, last, 1)
	assert.Equal(t, first+4, last[0].ID, "a negative offset counts from the end and forgets the rest")
	assert.Len(t, w.updates("limit", "7"), 1)
	assert.Empty(t, w.updates("offset", offset(5), "timeout", "0"))
	assert.Zero(t, w.bot.State().PendingUpdates)
}

func TestOffsetFromAnotherQueueIsIgnored(t *testing.T) {
	w := started(t)
	got := w.updates("offset", "2000000000")
	assert.Len(t, got, 1, "an offset far in the future must not lose updates")
}

func TestAllowedUpdates(t *testing.T) {
	w := started(t)
	ours := result[telegram.Message](t, w.call("sendMessage", "chat_id", "77", "text", "a"))
	react := func() {
		require.NoError(t, w.cust.React(ours.MessageID, "👍"))
		require.NoError(t, w.cust.React(ours.MessageID))
	}
	kinds := func(params ...string) (out []string) {
		for _, u := range w.updates(params...) {
			out = append(out, u.Kinds...)
		}
		return out
	}
	react()
	first := w.updates()
	require.Len(t, first, 1, "reactions are not in the default set")
	require.Equal(t, "message", first[0].Kinds[0])
	require.Empty(t, kinds("offset", fmt.Sprint(first[0].ID+1), "allowed_updates", `["message_reaction","nonsense"]`))
	react()
	_, err := w.cust.Send("not wanted now")
	require.NoError(t, err)
	assert.Equal(t, []string{"message_reaction", "message_reaction"}, kinds(), "and the choice stays when it is left out")
	assert.Equal(t, []string{"message_reaction"}, result[telegram.WebhookInfo](t, w.call("getWebhookInfo")).AllowedUpdates)

	w.call("getUpdates", "offset", "-1", "allowed_updates", `[]`)
	assert.Empty(t, w.bot.WebhookInfo().AllowedUpdates, "an empty list is the default set")
}

func TestLongPollReturnsAtOnce(t *testing.T) {
	w := newWorld(t)
	got := make(chan []update, 1)
	go func() { got <- w.updates("timeout", "50") }()
	require.Eventually(t, func() bool { return w.bot.State().Polling }, time.Minute, time.Millisecond)
	_, err := w.cust.Send("hello")
	require.NoError(t, err)
	assert.Equal(t, "hello", (<-got)[0].Message.Text)
}

func TestSecondPollEndsTheFirst(t *testing.T) {
	w := newWorld(t)
	poll := func(offset string) chan answer {
		out := make(chan answer, 1)
		go func() { out <- w.call("getUpdates", "timeout", "50", "offset", offset) }()
		return out
	}
	first := poll("1")
	require.Eventually(t, func() bool { return w.bot.State().Polling }, time.Minute, time.Millisecond)
	second := poll("2")
	a := <-first
	assert.Equal(t, 409, a.HTTP)
	assert.Equal(t, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running", a.Description)

	assert.True(t, w.call("setWebhook", "url", "http://127.0.0.1:1/x").OK)
	assert.Equal(t, "Conflict: terminated by setWebhook request", (<-second).Description)
	assert.Equal(t, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
		w.call("getUpdates").Description)
}

func TestQueueIsBounded(t *testing.T) {
	w := newWorld(t, func(o *telegram.Options) { o.Memory.Updates = 3 })
	for i := range 5 {
		_, err := w.cust.Send(strings.Repeat("x", i+1))
		require.NoError(t, err)
	}
	s := w.bot.State()
	assert.Equal(t, 3, s.PendingUpdates)
	assert.EqualValues(t, 2, s.LostUpdates)
}

// TestCustomerUpdates looks at what a bot gets for everything that a customer
// can do.
func TestCustomerUpdates(t *testing.T) {
	w := newWorld(t)
	w.call("getUpdates", "allowed_updates", `["message","edited_message","callback_query","my_chat_member","message_reaction","business_connection","business_message","edited_business_message","deleted_business_messages"]`)
	m, err := w.cust.Start("ref-1")
	require.NoError(t, err)
	_, err = w.cust.Edit(m.MessageID, "changed")
	require.NoError(t, err)
	_, err = w.cust.SendAll(telegram.Outgoing{Text: "look", Album: []telegram.Outgoing{
		{Photo: &telegram.Upload{Name: "a.png", Data: picture(t, 200, 100)}, Text: "one"},
		{Photo: &telegram.Upload{Name: "b.png", Data: picture(t, 10, 10)}},
	}})
	require.NoError(t, err)
	for _, o := range []telegram.Outgoing{
		{Voice: &telegram.Upload{Data: []byte("ogg"), Duration: 3}},
		{Document: &telegram.Upload{Name: "a.pdf", Mime: "application/pdf", Data: []byte("%PDF")}, Text: "the bill"},
		{Sticker: &telegram.Upload{Data: []byte("webp"), Emoji: "😀"}},
		{Location: &telegram.Location{Latitude: 1, Longitude: 2}},
		{Venue: &telegram.Venue{Title: "Shop", Address: "Street 1", Location: telegram.Location{Latitude: 1}}},
		{Contact: &telegram.Contact{PhoneNumber: "+1", FirstName: "Ann", UserID: 77}},
		{Text: "reply", ReplyTo: m.MessageID},
	} {
		_, err = w.cust.SendAll(o)
		require.NoError(t, err)
	}
	require.NoError(t, w.cust.React(m.MessageID, "👍"))
	require.NoError(t, w.cust.Block())
	_, err = w.cust.Send("back") // writing unblocks
	require.NoError(t, err)
	owner := w.srv.NewUser(telegram.User{ID: 90, FirstName: "Owner"})
	conn, err := w.bot.ConnectBusiness(owner.ID, telegram.BusinessRights{CanReply: true})
	require.NoError(t, err)
	business := w.cust.OfBusiness(conn.ID)
	bm, err := business.Send("to the shop")
	require.NoError(t, err)
	_, err = business.Edit(bm.MessageID, "to the shop!")
	require.NoError(t, err)
	require.NoError(t, business.Delete(bm.MessageID))

	got := w.updates()
	var kinds []string
	for _, u := range got {
		require.Len(t, u.Kinds, 1, u.raw)
		kinds = append(kinds, u.Kinds[0])
	}
	assert.Equal(t, strings.Fields(`message edited_message message message message message message message message message
		message message_reaction my_chat_member my_chat_member message business_connection business_message
		edited_business_message deleted_business_messages`), kinds)
	start, first, second := got[0].Message, got[2].Message, got[3].Message
	assert.Equal(t, "/start ref-1", start.Text)
	assert.Equal(t, []telegram.Entity{{Type: "bot_command", Offset: 0, Length: 6}}, start.Entities)
	assert.Equal(t, "one", first.Caption)
	assert.NotEmpty(t, first.MediaGroupID)
	assert.Equal(t, first.MediaGroupID, second.MediaGroupID)
	assert.Equal(t, 200, first.Photo[len(first.Photo)-1].Width, "the last size is the largest")
	assert.Equal(t, m.MessageID, got[10].Message.ReplyToMessage.MessageID)
	assert.Contains(t, got[12].raw, `"status":"kicked"`)
	assert.Contains(t, got[13].raw, `"new_chat_member":{"status":"member"`)
	assert.Contains(t, got[16].raw, `"business_connection_id":"`+conn.ID+`"`)
	assert.Contains(t, got[18].raw, fmt.Sprintf(`"message_ids":[%d]`, bm.MessageID))
}

func TestBlockedBotHearsNothing(t *testing.T) {
	w := started(t)
	m := result[telegram.Message](t, w.call("sendMessage", "chat_id", "77", "text", "a"))
	w.updates("allowed_updates", `["message","message_reaction"]`)
	before := w.bot.State().PendingUpdates
	require.NoError(t, w.cust.Block())
	require.NoError(t, w.cust.React(m.MessageID, "👍"))
	assert.Equal(t, before, w.bot.State().PendingUpdates)
}

func TestBusinessReplies(t *testing.T) {
	w := newWorld(t)
	owner := w.srv.NewUser(telegram.User{ID: 90})
	conn, err := w.bot.ConnectBusiness(owner.ID, telegram.BusinessRights{CanReply: true})
	require.NoError(t, err)
	send := func() answer {
		return w.call("sendMessage", "chat_id", "77", "text", "a", "business_connection_id", conn.ID)
	}
	assert.Equal(t, "Bad Request: BUSINESS_PEER_USAGE_MISSING", send().Description)
	_, err = w.cust.OfBusiness(conn.ID).Send("hello")
	require.NoError(t, err)
	m := result[telegram.Message](t, send())
	assert.Equal(t, owner.ID, m.From.ID, "it speaks as the business")
	assert.EqualValues(t, botID, m.SenderBusinessBot.ID)
	w.clock.Advance(24*time.Hour + time.Second)
	assert.Equal(t, "Bad Request: BUSINESS_PEER_USAGE_MISSING", send().Description)
	require.NoError(t, w.bot.DisconnectBusiness(conn.ID))
	assert.Equal(t, "Bad Request: BOT_ACCESS_FORBIDDEN", send().Description)
}
