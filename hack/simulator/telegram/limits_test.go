package telegram_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

func TestDeleteAfter48Hours(t *testing.T) {
	w := started(t)
	m := result[telegram.Message](t, w.call("sendMessage", "chat_id", "77", "text", "a"))
	w.clock.Advance(48*time.Hour - time.Second)
	n := result[telegram.Message](t, w.call("sendMessage", "chat_id", "77", "text", "b"))
	w.clock.Advance(time.Second)
	a := w.call("deleteMessage", "chat_id", "77", "message_id", fmt.Sprint(m.MessageID))
	assert.Equal(t, "Bad Request: message can't be deleted for everyone", a.Description)
	assert.True(t, w.call("deleteMessage", "chat_id", "77", "message_id", fmt.Sprint(n.MessageID)).OK)
}

func TestRateLimits(t *testing.T) {
	w := started(t, func(o *telegram.Options) { o.Limits = telegram.Limits{} })
	send := func(chat string) answer { return w.call("sendMessage", "chat_id", chat, "text", "a") }
	for range telegram.DefaultLimits.PerChatBurst {
		require.True(t, send("77").OK)
	}
	a := send("77")
	assert.Equal(t, 429, a.Code)
	assert.Equal(t, "Too Many Requests: retry after 1", a.Description)
	assert.Equal(t, 1, a.Parameters.RetryAfter)
	w.clock.Advance(time.Second)
	assert.True(t, send("77").OK, "the limit is over when it said")

	// Thirty a second in all, however they spread over chats.
	w.clock.Advance(time.Minute)
	refused := 0
	for i := range 40 {
		u := w.srv.NewUser(telegram.User{})
		_, err := w.bot.Customer(u.ID).Start("")
		require.NoError(t, err)
		if a := send(fmt.Sprint(u.ID)); !a.OK {
			assert.Equal(t, 429, a.Code)
			assert.GreaterOrEqual(t, i, 30)
			refused++
		}
	}
	assert.Equal(t, 10, refused)
}

func TestGroupLimitAndMigration(t *testing.T) {
	w := started(t, func(o *telegram.Options) { o.Limits = telegram.Limits{} })
	g, err := w.srv.NewGroup(telegram.GroupSpec{Title: "Team", Members: []int64{77}})
	require.NoError(t, err)
	require.NoError(t, w.bot.SetGroupStatus(g.ID, "member", 77))
	for range 20 {
		require.True(t, w.call("sendMessage", "chat_id", fmt.Sprint(g.ID), "text", "a").OK)
	}
	a := w.call("sendMessage", "chat_id", fmt.Sprint(g.ID), "text", "a")
	assert.Equal(t, 3, a.Parameters.RetryAfter, "20 a minute: the next is due in 3 s")

	super, err := w.bot.UpgradeGroup(g.ID)
	require.NoError(t, err)
	a = w.call("sendMessage", "chat_id", fmt.Sprint(g.ID), "text", "a")
	assert.Equal(t, "Bad Request: group chat was upgraded to a supergroup chat", a.Description)
	assert.Equal(t, super, a.Parameters.MigrateTo)
	assert.True(t, w.call("sendMessage", "chat_id", fmt.Sprint(super), "text", "a").OK)
}

func TestCallbackAge(t *testing.T) {
	w := started(t)
	m := result[telegram.Message](t, w.call("sendMessage", "chat_id", "77", "text", "a",
		"reply_markup", `{"inline_keyboard":[[{"text":"Yes","callback_data":"y"}]]}`))
	id, err := w.cust.Press(m.MessageID, "Yes")
	require.NoError(t, err)
	require.True(t, w.call("answerCallbackQuery", "callback_query_id", id, "text", "ok").OK)
	answered, err := w.cust.WaitAnswer(within(t), id)
	require.NoError(t, err)
	assert.Equal(t, "ok", answered.Text)
	w.clock.Advance(151 * time.Second)
	a := w.call("answerCallbackQuery", "callback_query_id", id)
	assert.Equal(t, "Bad Request: query is too old and response timeout expired or query ID is invalid", a.Description)
	_, err = w.cust.Press(m.MessageID, "No")
	assert.ErrorContains(t, err, `not on message`)
}
