package outbox

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const row = "Channel/shop/a"

var away = &platform.Error{Class: wire.ErrRetryable, Reason: "503"}

// fail sends n messages that fail, and returns what is shown then.
func (r *rig) fail(n int) *document.Duty {
	for i := range n {
		r.put(delivery(fmt.Sprint("m", i), 0))
		synctest.Wait()
	}
	return r.board.Row(row).Delivering
}

func failing(context.Context, platform.Channel, platform.Outgoing) (platform.SendResult, error) {
	return platform.SendResult{}, away
}

func TestTroubleIsOverWhenNothingFailsAnyMore(t *testing.T) {
	run(t, 4, failing, func(t *testing.T, r *rig) {
		require.NotNil(t, r.fail(troubleAfter))
		time.Sleep(quietAfter - time.Minute)
		require.NotNil(t, r.fail(1), "it goes on")
		time.Sleep(quietAfter - time.Minute)
		require.NotNil(t, r.board.Row(row).Delivering)
		time.Sleep(time.Minute + leaseWait)
		synctest.Wait()
		assert.Nil(t, r.board.Row(row).Delivering)
		assert.Nil(t, r.fail(troubleAfter-1), "it is counted anew")
		assert.NotNil(t, r.fail(1))
	})
}

func TestTroubleIsOverWhenTheChannelIsChanged(t *testing.T) {
	run(t, 4, failing, func(t *testing.T, r *rig) {
		require.NotNil(t, r.fail(troubleAfter))
		testkit.Apply(t, r.loader, testkit.Entry(t, "shop/a", 2, nil))
		time.Sleep(leaseWait)
		synctest.Wait()
		assert.Nil(t, r.board.Row(row).Delivering)
	})
}

func TestAfterASuccessfulProbeTroubleIsCountedAnew(t *testing.T) {
	table, _ := testkit.Table(t, &testkit.Platform{}, testkit.Entry(t, "shop/a", 1, nil))
	ch := table.Snapshot().Channel("shop/a")
	board := testkit.NewBoard()
	rows := status.New(board)
	rows.Hold(ch)
	trouble := newTrouble(rows)
	shown := func(failures int) document.DutyState {
		for range failures {
			trouble.note(ch, wire.Delivery{}, away)
		}
		return board.Row(row).Delivering.State
	}
	require.Equal(t, document.DutyRetrying, shown(troubleAfter))
	rows.Set(ch, status.Credentials, document.Duty{State: document.DutyDone, Reason: status.ReasonDone})
	assert.Equal(t, document.DutyDone, shown(troubleAfter-1))
	assert.Equal(t, document.DutyRetrying, shown(1))
}

func TestTroubleDoesNotTellTheContactsAddress(t *testing.T) {
	send := func(context.Context, platform.Channel, platform.Outgoing) (platform.SendResult, error) {
		return platform.SendResult{}, &platform.Error{Class: wire.ErrMisconfigured, Reason: "491511234567 not allowed, in reply to q-7788990: 491511234567@s.example"}
	}
	run(t, 4, send, func(t *testing.T, r *rig) {
		for i := range troubleAfter {
			d := delivery(fmt.Sprint("m", i), 0)
			d.To, d.ReplyTo = "491511234567@s.example", "q-7788990"
			r.put(d)
			synctest.Wait()
		}
		want := "[redacted] not allowed, in reply to [redacted]: [redacted]"
		assert.Equal(t, want, r.board.Row(row).Delivering.Message)
		assert.Equal(t, want, r.raw[len(r.raw)-1].Reason)
	})
}

func TestPrivateParts(t *testing.T) {
	for to, want := range map[string][]string{
		"":                       {"", ""},
		"12":                     {"12", ""},
		"-1001234":               {"-1001234", "", "1001234"},
		"+49 1511 234567":        {"+49 1511 234567", "", "234567"},
		"customer-1@shop.":       {"customer-1@shop.", "", "customer"},
		"jürgen.groß@münchen.de": {"jürgen.groß@münchen.de", "", "jürgen", "münchen"},
	} {
		assert.Equal(t, want, private(wire.Delivery{To: to}), to)
	}
}
