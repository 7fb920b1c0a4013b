package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// A queue whose Schedule is over gives nothing to anybody, whoever is there.
func TestAQueueThatNeverOpensAgainIsInTrouble(t *testing.T) {
	for name, tc := range map[string]struct {
		date, says string
		limits     routing.Limits
	}{
		"without maxWait": {date: "2020-01-01", says: "or for ever"},
		"with maxWait":    {date: "2020-01-01", says: "after 10m0s by the wall clock", limits: routing.Limits{MaxWait: document.Duration(10 * time.Minute)}},
		"that is to come": {date: "2036-01-01"},
		"that is open":    {date: testTime.Format(time.DateOnly)},
	} {
		t.Run(name, func(t *testing.T) {
			d := testDesk(t)
			d.others = []document.Entry{fair(t, tc.date)}
			d.load(routing.QueueSpec{Name: support, Schedule: "shop/fair", Limits: tc.limits})
			d.agent("ana")
			list := d.Troubles(t.Context())
			if tc.says == "" {
				require.Empty(t, list)
				return
			}
			require.Len(t, list, 1)
			require.Equal(t, "ScheduleOver", list[0].Reason)
			require.Contains(t, list[0].Message, "Schedule shop/fair")
			require.Contains(t, list[0].Message, tc.says)
		})
	}
}

// A policy that moved a conversation in a circle is told of for an hour.
func TestAPolicyThatLoopsIsInTrouble(t *testing.T) {
	r := newRouted(t, inbound(rule("all", step("first", toQueue(vip)))))
	looping := func() (list []document.Trouble) {
		for _, trouble := range r.Troubles(t.Context()) {
			if trouble.Entry == "RoutingPolicy/shop/inbound" {
				list = append(list, trouble)
			}
		}
		return list
	}
	v := r.hear("c1", "x")
	require.Empty(t, looping())
	for i := range routing.MaxOwnerChanges { // somebody lets go of it again and again
		r.assign(v, Owner{Kind: OwnerNone})
		r.hear("c1", numbered("hello", i))
	}
	require.Equal(t, routing.ViaLoopGuard, r.lastDecision(v).Via)
	list := looping()
	require.Len(t, list, 1)
	require.Equal(t, "RoutingLoop", list[0].Reason)
	require.NotContains(t, list[0].Message, v)
	r.clock.advance(loopWindow + time.Second)
	require.Empty(t, looping())
}
