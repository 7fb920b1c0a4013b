package telegram_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

func (w *world) fault(f telegram.Fault) {
	w.t.Helper()
	_, err := w.bot.AddFault(f)
	require.NoError(w.t, err)
}

// try calls a method with a short patience and says whether it was answered.
func (w *world) try(method, query string, patience time.Duration) (answered bool, status int) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/bot"+token+"/"+method+"?"+query, nil)
	require.NoError(w.t, err)
	req.Close = true // Go repeats a request by itself when a kept connection is reset
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, 0
	}
	defer resp.Body.Close()
	return true, resp.StatusCode
}

func (w *world) sentCount() int {
	n := 0
	for _, e := range w.cust.Transcript() {
		if e.From == "bot" && e.Event == "message" {
			n++
		}
	}
	return n
}

func TestCallFaults(t *testing.T) {
	for _, tt := range []struct {
		fault    telegram.Fault
		answered bool
		status   int
		done     int // messages that were sent nevertheless
	}{
		{telegram.Fault{Kind: telegram.FaultFail}, true, 500, 0},
		{telegram.Fault{Kind: telegram.FaultFail, Code: 502, Description: "Bad Gateway"}, true, 502, 0},
		{telegram.Fault{Kind: telegram.FaultRateLimit, RetryAfter: 7}, true, 429, 0},
		{telegram.Fault{Kind: telegram.FaultHang}, false, 0, 0},
		{telegram.Fault{Kind: telegram.FaultHang, Delay: 1}, false, 0, 0},
		{telegram.Fault{Kind: telegram.FaultReset}, false, 0, 0},
		{telegram.Fault{Kind: telegram.FaultLost}, false, 0, 1},
		{telegram.Fault{Kind: telegram.FaultLate}, false, 0, 1},
		{telegram.Fault{Kind: telegram.FaultLate, Delay: 1}, true, 200, 1},
		{telegram.Fault{Kind: telegram.FaultGarbled}, true, 200, 1},
	} {
		t.Run(string(tt.fault.Kind), func(t *testing.T) {
			w := started(t)
			tt.fault.Times = 1
			tt.fault.Method = "send*"
			w.fault(tt.fault)
			require.True(t, w.call("getMe").OK, "other methods are not met")
			patience := time.Minute
			if never := tt.fault.Delay == 0; never && (tt.fault.Kind == telegram.FaultHang || tt.fault.Kind == telegram.FaultLate) {
				patience = 2 * time.Second // long enough that the call has arrived
			}
			answered, status := w.try("sendMessage", "chat_id=77&text=a", patience)
			assert.Equal(t, tt.answered, answered)
			assert.Equal(t, tt.status, status)
			_, err := w.bot.WaitCalls(within(t), "sendMessage", 0, 1)
			require.NoError(t, err)
			assert.Equal(t, tt.done, w.sentCount())
			assert.Empty(t, w.bot.Faults(), "used up")
			assert.True(t, w.call("sendMessage", "chat_id", "77", "text", "b").OK)
			calls := w.bot.Calls("sendMessage", 0)
			require.Len(t, calls, 2)
			assert.Equal(t, tt.fault.Kind, calls[0].Fault)
		})
	}
}

func TestFaultAnswerHasRetryAfter(t *testing.T) {
	w := started(t)
	w.fault(telegram.Fault{Kind: telegram.FaultRateLimit, RetryAfter: 7, Skip: 1, Times: 1})
	assert.True(t, w.call("sendMessage", "chat_id", "77", "text", "a").OK)
	a := w.call("sendMessage", "chat_id", "77", "text", "a")
	assert.Equal(t, 7, a.Parameters.RetryAfter)
	assert.Equal(t, "Too Many Requests: retry after 7", a.Description)
}

func TestProbableFaultsRepeatWithTheSeed(t *testing.T) {
	pattern := func(seed uint64) string {
		w := started(t, func(o *telegram.Options) { o.Seed = seed })
		w.fault(telegram.Fault{Kind: telegram.FaultFail, Probability: 0.5, Method: "sendChatAction"})
		var out strings.Builder
		for range 32 {
			if w.call("sendChatAction", "chat_id", "77", "action", "typing").OK {
				out.WriteByte('.')
			} else {
				out.WriteByte('x')
			}
		}
		return out.String()
	}
	one := pattern(1)
	assert.Equal(t, one, pattern(1))
	assert.NotEqual(t, one, pattern(2))
	assert.Contains(t, one, "x")
	assert.Contains(t, one, ".")
}

func TestUpdateFaultsWhenPolling(t *testing.T) {
	w := newWorld(t)
	w.fault(telegram.Fault{Kind: telegram.FaultDuplicate, Times: 1})
	_, err := w.cust.Send("twice")
	require.NoError(t, err)
	got := w.updates()
	require.Len(t, got, 2)
	assert.Equal(t, got[0].ID, got[1].ID)

	w.fault(telegram.Fault{Kind: telegram.FaultDelay, Delay: 50, Times: 1})
	_, err = w.cust.Send("late")
	require.NoError(t, err)
	_, err = w.cust.Send("early")
	require.NoError(t, err)
	assert.Empty(t, w.updates("offset", fmt.Sprint(got[0].ID+1)), "what is held back holds back the rest, else the next offset would lose it")
	start := time.Now()
	got = w.updates("timeout", "50")
	require.Len(t, got, 2)
	assert.Equal(t, "late", got[0].Message.Text)
	assert.Less(t, time.Since(start), 40*time.Second)
}

func TestReorderedPolling(t *testing.T) {
	w := newWorld(t)
	w.fault(telegram.Fault{Kind: telegram.FaultReorder, Delay: 1})
	for range 20 {
		_, err := w.cust.Send("a")
		require.NoError(t, err)
	}
	var ids []int64
	eventually(t, func() bool {
		ids = nil
		for _, u := range w.updates() {
			ids = append(ids, u.ID)
		}
		return len(ids) == 20
	})
	assert.False(t, isSorted(ids), "%v", ids)
}

func isSorted(ids []int64) bool {
	for i := 1; i < len(ids); i++ {
		if ids[i] < ids[i-1] {
			return false
		}
	}
	return true
}

func TestUpdateFaultsAtTheWebhook(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, nil)
	w.call("setWebhook", "url", r.URL, "secret_token", "right")
	w.fault(telegram.Fault{Kind: telegram.FaultDuplicate, Times: 1})
	w.fault(telegram.Fault{Kind: telegram.FaultWrongSecret, Times: 1})
	w.fault(telegram.Fault{Kind: telegram.FaultGarbage, Times: 1})
	_, err := w.cust.Send("hello")
	require.NoError(t, err)
	eventually(t, func() bool { return w.bot.WebhookInfo().PendingUpdateCount == 0 })
	require.Equal(t, 4, r.count())
	assert.True(t, strings.HasPrefix(r.secret[0], "wrong-"))
	assert.Contains(t, r.bodies[0], `"forged"`)
	assert.Equal(t, "right", r.secret[1])
	assert.Contains(t, r.bodies[1], "garbage")
	assert.Equal(t, r.bodies[2], r.bodies[3], "the update itself, twice")
	var injected []string
	for _, d := range w.bot.Deliveries() {
		injected = append(injected, d.Injected)
	}
	assert.Equal(t, []string{"wrongSecret", "garbage", "", ""}, injected)
}

func TestReorderedWebhook(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, nil)
	w.fault(telegram.Fault{Kind: telegram.FaultReorder, Delay: 50})
	for range 20 {
		_, err := w.cust.Send("a")
		require.NoError(t, err)
	}
	w.call("setWebhook", "url", r.URL)
	eventually(t, func() bool { return r.count() == 20 })
	var ids []int64
	for _, u := range r.updates() {
		ids = append(ids, u.ID)
	}
	assert.False(t, isSorted(ids), "%v", ids)
}

func TestBadFaults(t *testing.T) {
	w := newWorld(t)
	for _, f := range []telegram.Fault{
		{}, {Kind: "explode"}, {Kind: telegram.FaultFail, Probability: 2}, {Kind: telegram.FaultFail, Times: -1},
		{Kind: telegram.FaultFail, Method: "["},
	} {
		_, err := w.bot.AddFault(f)
		assert.Error(t, err)
	}
	f, err := w.bot.AddFault(telegram.Fault{Kind: telegram.FaultFail})
	require.NoError(t, err)
	assert.Zero(t, w.bot.ClearFaults("other"))
	assert.Equal(t, 1, w.bot.ClearFaults(f.ID))
}

func TestCallLogHasNoSecrets(t *testing.T) {
	w := started(t)
	w.call("setWebhook", "url", "http://127.0.0.1:1/", "secret_token", "top-secret")
	w.call("sendMessage", "chat_id", "77", "text", strings.Repeat("é", 500))
	calls := w.bot.Calls("", 0)
	require.Len(t, calls, 2)
	assert.Equal(t, "[redacted]", calls[0].Params["secret_token"])
	assert.LessOrEqual(t, len(calls[1].Params["text"]), 260)
}
