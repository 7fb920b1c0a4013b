package telegram_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

func TestInlineQueriesAreAnsweredInTime(t *testing.T) {
	w := started(t)
	query, err := w.cust.Ask("shoes")
	require.NoError(t, err)
	const bad = "Bad Request: "
	for results, want := range map[string]string{
		`x`:                bad + "can't parse inline query results JSON object",
		`[{"id":"1"}]`:     bad + `can't parse inline query result: Can't find field "type"`,
		`[{"type":"gif"}]`: bad + "RESULT_ID_INVALID",
		`[{"type":"gif","id":"1"},{"type":"gif","id":"1"}]`:                 bad + "RESULT_ID_DUPLICATE",
		`[` + strings.Repeat(`{"type":"gif","id":"1"},`, 50) + `{"id":""}]`: bad + "RESULTS_TOO_MUCH",
	} {
		a := w.call("answerInlineQuery", "inline_query_id", query, "results", results)
		assert.Equal(t, want, a.Description, results)
		assert.Equal(t, 400, a.Code)
	}
	require.True(t, w.call("answerInlineQuery", "inline_query_id", query, "results", `[{"type":"gif","id":"1"}]`).OK)
	got, err := w.cust.WaitResults(within(t), query)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.NoError(t, w.cust.Choose(query, "1"))

	late, err := w.cust.Ask("late")
	require.NoError(t, err)
	w.clock.Advance(11 * time.Second)
	a := w.call("answerInlineQuery", "inline_query_id", late, "results", "[]")
	assert.Equal(t, bad+"query is too old and response timeout expired or query ID is invalid", a.Description)

	kinds := w.kinds()
	assert.Equal(t, []string{"inline_query", "chosen_inline_result", "inline_query"}, kinds[len(kinds)-3:])
}

// kinds are those of all updates that wait.
func (w *world) kinds(kv ...string) []string {
	var kinds []string
	for _, u := range w.updates(kv...) {
		kinds = append(kinds, u.Kinds...)
	}
	return kinds
}

func TestGroupNewsReachesAdministratorsThatAskForIt(t *testing.T) {
	w := started(t)
	group, err := w.srv.NewGroup(telegram.GroupSpec{Title: "Shop", Type: "supergroup", Members: []int64{w.ann.ID}})
	require.NoError(t, err)
	require.NoError(t, w.bot.SetGroupStatus(group.ID, "member", w.ann.ID))
	bea := w.srv.NewUser(telegram.User{FirstName: "Bea"})
	before := len(w.kinds("allowed_updates", `["chat_member","chat_join_request","message_reaction_count","poll_answer","poll"]`))

	require.NoError(t, w.bot.SetMember(group.ID, bea.ID, "member"))
	require.NoError(t, w.bot.Customer(bea.ID).AskToJoin(group.ID))
	require.Error(t, w.bot.CountReactions(group.ID, 1, nil))
	require.Len(t, w.kinds(), before, "a member that is no administrator hears nothing")

	require.NoError(t, w.bot.SetGroupStatus(group.ID, "administrator", w.ann.ID))
	require.NoError(t, w.bot.SetMember(group.ID, bea.ID, "left"))
	require.NoError(t, w.bot.SetMember(group.ID, bea.ID, "left"))
	require.NoError(t, w.bot.Customer(bea.ID).AskToJoin(group.ID))
	require.NoError(t, w.bot.CountReactions(group.ID, 1, map[string]int{"👍": 2}))
	poll, err := w.bot.NewPoll("Which?", "red", "blue")
	require.NoError(t, err)
	require.Error(t, w.cust.Vote(poll.ID, 2))
	require.Error(t, w.cust.Vote("unknown", 0))
	require.NoError(t, w.cust.Vote(poll.ID, 0, 1))
	require.Equal(t, []string{"chat_member", "chat_join_request", "message_reaction_count", "poll_answer", "poll"}, w.kinds()[before:])
}

func TestControlOfTheOtherKinds(t *testing.T) {
	w := started(t)
	control := httptest.NewServer(w.srv.Control())
	defer control.Close()
	do := func(method, path, body string, want int) map[string]any {
		req, err := http.NewRequestWithContext(t.Context(), method, control.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, want, resp.StatusCode, "%s %s: %s", method, path, raw)
		var out map[string]any
		_ = json.Unmarshal(raw, &out)
		return out
	}
	id := do("POST", "/bots/4242/chats/77/ask", `{"query":"shoes"}`, 200)["id"].(string)
	w.call("answerInlineQuery", "inline_query_id", id, "results", "[]")
	require.Equal(t, []any{}, do("GET", "/bots/4242/queries/"+id, "", 200)["results"])
	poll := do("POST", "/bots/4242/polls", `{"question":"Which?","options":["a","b"]}`, 200)["id"].(string)
	do("POST", "/bots/4242/chats/77/vote", `{"poll":"`+poll+`","options":[1]}`, 200)
	do("POST", "/bots/4242/updates/managed_bot", `{"user":{"id":1}}`, 200)
	do("POST", "/bots/4242/updates/teleport", `{}`, 400)
	do("POST", "/bots/4242/updates/poll", `[1]`, 400)
}
