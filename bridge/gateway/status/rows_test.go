package status_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const key = "Channel/shop/a"

// versions are two versions of one channel.
func versions(t *testing.T) (first, second *channels.Channel) {
	table, loader := testkit.Table(t, &testkit.Platform{}, testkit.Entry(t, "shop/a", 1, nil))
	first = table.Snapshot().Channel("shop/a")
	testkit.Apply(t, loader, testkit.Entry(t, "shop/a", 2, nil))
	return first, table.Snapshot().Channel("shop/a")
}

var (
	done     = document.Duty{State: document.DutyDone, Reason: status.ReasonDone}
	retrying = document.Duty{State: document.DutyRetrying, Reason: status.ReasonUnreachable, Message: "no answer"}
)

func TestARowSaysWhatTheHolderKnows(t *testing.T) {
	ch, next := versions(t)
	board := testkit.NewBoard()
	rows := status.New(board)
	rows.Set(ch, status.Webhook, done)
	assert.Zero(t, board.Len(), "what is not held is another's to tell")
	rows.Hold(ch)
	rows.Set(ch, status.Webhook, done)
	rows.DisplayName(ch, "Shop")
	rows.Set(next, status.Webhook, retrying)
	row := board.Row(key)
	assert.True(t, row.Held)
	assert.Equal(t, ch.Hash, row.Hash)
	assert.Equal(t, "Shop", row.DisplayName)
	assert.Equal(t, document.DutyDone, row.Webhook.State, "of another version: too early, or too late")
	assert.Equal(t, document.DutyDone, row.Delivering.State)

	rows.Hold(next)
	rows.Set(ch, status.Webhook, retrying)
	row = board.Row(key)
	assert.Equal(t, next.Hash, row.Hash)
	assert.Equal(t, document.DutyDone, row.Webhook.State)
	rows.Clear(next, status.Webhook)
	assert.Nil(t, board.Row(key).Webhook)

	rows.Release(key)
	assert.Zero(t, board.Len())
	rows.Release(key)
}

func TestAReplicaWithoutTheLeaseTellsOfTroubleOnly(t *testing.T) {
	ch, _ := versions(t)
	board := testkit.NewBoard()
	rows := status.New(board)
	rows.Set(ch, status.Delivering, retrying)
	row := board.Row(key)
	require.NotNil(t, row.Delivering)
	assert.False(t, row.Held)
	assert.Equal(t, ch.Hash, row.Hash)
	rows.Hold(ch)
	assert.Equal(t, document.DutyRetrying, board.Row(key).Delivering.State)
	rows.Set(ch, status.Credentials, retrying)
	rows.Release(key)
	row = board.Row(key)
	assert.Equal(t, document.DutyRetrying, row.Delivering.State)
	assert.Nil(t, row.Credentials)
	rows.Set(ch, status.Delivering, done)
	assert.Zero(t, board.Len())

	rows.Hold(ch)
	rows.Keep(func(string) bool { return false })
	assert.Zero(t, board.Len())
}

func TestWhatEndsTroubleWithSending(t *testing.T) {
	ch, next := versions(t)
	for name, test := range map[string]struct {
		does func(rows *status.Rows)
		over bool
	}{
		"another version":       {func(rows *status.Rows) { rows.Hold(next) }, true},
		"the same version":      {func(rows *status.Rows) { rows.Hold(ch) }, false},
		"a successful probe":    {func(rows *status.Rows) { rows.Set(ch, status.Credentials, done) }, true},
		"a probe that fails":    {func(rows *status.Rows) { rows.Set(ch, status.Credentials, retrying) }, false},
		"another duty":          {func(rows *status.Rows) { rows.Set(ch, status.Profile, done) }, false},
		"a probe that was late": {func(rows *status.Rows) { rows.Set(next, status.Credentials, done) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			board := testkit.NewBoard()
			rows := status.New(board)
			rows.Hold(ch)
			rows.Set(ch, status.Delivering, retrying)
			require.True(t, rows.Troubled(ch))
			test.does(rows)
			assert.Equal(t, test.over, board.Row(key).Delivering.State == document.DutyDone)
			assert.Equal(t, !test.over, rows.Troubled(ch))
			if test.over {
				assert.Equal(t, status.ReasonDone, board.Row(key).Delivering.Reason)
			}
		})
	}
}

func TestSinceIsWhenTheStateChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch, _ := versions(t)
		board := testkit.NewBoard()
		rows := status.New(board)
		rows.Hold(ch)
		rows.Set(ch, status.Webhook, retrying)
		first := board.Row(key).Webhook.Since
		time.Sleep(time.Minute)
		again := retrying
		again.Message = "still no answer"
		rows.Set(ch, status.Webhook, again)
		assert.Equal(t, first, board.Row(key).Webhook.Since)
		assert.Equal(t, "still no answer", board.Row(key).Webhook.Message)
		rows.Set(ch, status.Webhook, done)
		assert.Equal(t, first.Add(time.Minute), board.Row(key).Webhook.Since)
	})
}

func TestJudge(t *testing.T) {
	ch, _ := versions(t)
	for name, test := range map[string]struct {
		err  error
		want document.Duty
	}{
		"done":             {nil, done},
		"auth":             {&platform.Error{Class: wire.ErrAuthInvalid, Reason: "401"}, document.Duty{State: document.DutyFailed, Reason: status.ReasonAuthInvalid, Message: "401"}},
		"misconfigured":    {&platform.Error{Class: wire.ErrMisconfigured, Reason: "404"}, document.Duty{State: document.DutyFailed, Reason: status.ReasonMisconfigured, Message: "404"}},
		"content rejected": {&platform.Error{Class: wire.ErrContentRejected, Reason: "command"}, document.Duty{State: document.DutyFailed, Reason: status.ReasonMisconfigured, Message: "command"}},
		"rate limited":     {&platform.Error{Class: wire.ErrRateLimited, Reason: "429"}, document.Duty{State: document.DutyRetrying, Reason: status.ReasonRateLimited, Message: "429"}},
		"away":             {&platform.Error{Class: wire.ErrRetryable, Reason: "502"}, document.Duty{State: document.DutyRetrying, Reason: status.ReasonUnreachable, Message: "502"}},
		"not delivered": {&platform.Error{Class: wire.ErrRetryable, NotDelivered: true, Reason: "SSL error at secret-of-shop/a"},
			document.Duty{State: document.DutyRetrying, Reason: status.ReasonNotDelivered, Message: "SSL error at [redacted]"}},
		"anything else": {errors.New("secret-of-shop/a leaked"), document.Duty{State: document.DutyRetrying, Reason: status.ReasonUnreachable, Message: "[redacted] leaked"}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, status.Judge(ch, test.err)) })
	}
}
