package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// again opens the store of r once more: another replica, or the process after.
func (r *routed) again() *routed {
	r.t.Helper()
	s, err := Open(r.t.Context(), r.opts)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, s.Close()) })
	return &routed{box: &box{Store: s, t: r.t, clock: r.clock}, entries: r.entries}
}

// A replica goes on by the old document for a while after another one has loaded the
// new one, and puts right what it did meanwhile once it loads that, or its process
// after it does.
func TestAReplicaThatWasBehindPutsRightWhatItDid(t *testing.T) {
	postgresOnly(t)
	for name, restarts := range map[string]bool{"loads": false, "restarts": true} {
		t.Run(name, func(t *testing.T) {
			r := newRouted(t, inbound(rule("all", step("first", toQueue(general)), step("second", toQueue(vip)))))
			behind := r.again()
			require.Empty(t, behind.reload())
			v := r.hear("c1", "x")
			r.desk().turn()
			r.set(entry(t, document.EntryAgentQueue, general, routing.QueueSpec{Name: general, Selector: routing.Selector{Labels: map[string]string{"team": "general"}},
				Limits: routing.Limits{MaxWait: document.Duration(10 * time.Minute)}}))
			require.Empty(t, r.reload())
			require.NoError(t, behind.sweepQueues(t.Context()))
			w := behind.hear("c2", "x")
			behind.desk().agent("ana")
			require.EqualValues(t, 1, behind.desk().queue(general).Online, "by the old selector")
			if restarts {
				require.NoError(t, behind.Close())
				behind = behind.again()
			}
			require.Empty(t, behind.reload())
			require.Zero(t, behind.desk().queue(general).Online)
			for range 2 {
				r.clock.advance(6 * time.Minute)
				r.desk().turn()
				behind.desk().turn()
			}
			r.wantOwner(v, OwnerQueue, vip)
			r.wantOwner(w, OwnerQueue, vip)
			r.desk().checkCounters()
		})
	}
}

// fair is a Schedule of one day.
func fair(t *testing.T, date string) document.Entry {
	return entry(t, document.EntrySchedule, "shop/fair", schedule.Spec{TimeZone: "UTC", Exceptions: []schedule.Exception{{Date: date, From: "00:00", To: "24:00"}}})
}

// fairYears are how a Schedule with the wrong year is mended: while the store runs,
// and while it is down.
func fairYears(t *testing.T, set func(t *testing.T) *routed, check func(t *testing.T, r *routed)) {
	for name, restarts := range map[string]bool{"running": false, "down": true} {
		t.Run(name, func(t *testing.T) {
			r := set(t)
			if restarts {
				require.NoError(t, r.Close())
				r = r.again()
			}
			r.set(fair(t, r.clock.Now().UTC().Format(time.DateOnly)))
			require.Empty(t, r.reload())
			check(t, r)
		})
	}
}

func TestAScheduleThatIsMendedMovesMaxWait(t *testing.T) {
	v := ""
	fairYears(t, func(t *testing.T) *routed {
		r := newRouted(t, inbound(rule("all", step("first", toQueue(vip)), step("second", toQueue(general)))))
		r.set(fair(t, "2036-11-22"), entry(t, document.EntryAgentQueue, vip, routing.QueueSpec{Name: vip, Schedule: "shop/fair", Limits: routing.Limits{MaxWait: document.Duration(10 * time.Minute)}}))
		require.Empty(t, r.reload())
		v = r.hear("c1", "x")
		r.desk().turn()
		return r
	}, func(t *testing.T, r *routed) {
		r.desk().pass(9 * time.Minute)
		r.wantOwner(v, OwnerQueue, vip)
		r.desk().pass(time.Minute)
		r.wantOwner(v, OwnerQueue, general)
	})
}

func TestAScheduleThatIsMendedMovesTheEndsOfSteps(t *testing.T) {
	v := ""
	fairYears(t, func(t *testing.T) *routed {
		first := step("first", toQueue(vip))
		first.Timeout, first.Clock = document.Duration(10*time.Minute), routing.ClockBusiness
		r := newRouted(t, inbound(rule("all", first, step("second", toQueue(general)))))
		r.set(fair(t, "2036-11-22"), entry(t, document.EntryAgentQueue, vip, routing.QueueSpec{Name: vip, Schedule: "shop/fair"}))
		require.Empty(t, r.reload())
		v = r.hear("c1", "x")
		r.run()
		return r
	}, func(t *testing.T, r *routed) {
		r.run()
		r.clock.advance(9 * time.Minute)
		r.run()
		r.wantOwner(v, OwnerQueue, vip)
		r.clock.advance(time.Minute)
		r.run()
		r.wantOwner(v, OwnerQueue, general)
	})
}

// What is reserved for the agent who had the contact last is hers as long as the step
// lasts, also where that is longer now.
func TestAScheduleThatIsMendedMovesReservations(t *testing.T) {
	known := routing.Step{Name: "known", Sticky: &routing.Sticky{}, BackendRefs: []routing.BackendRef{toQueue(vip)}, Timeout: document.Duration(10 * time.Minute), Clock: routing.ClockBusiness}
	r := newRouted(t, inbound(rule("all", known, step("rest", toQueue(vip)))))
	open := assigning(vip)
	open.Schedule = "shop/fair"
	day := func(n int) string { return testTime.AddDate(0, 0, n).Format(time.DateOnly) }
	r.set(fair(t, day(1)), entry(t, document.EntryAgentQueue, vip, open))
	require.Empty(t, r.reload())
	d := r.desk()
	ana := d.agent("ana", func(a *AgentSpec) { a.Units = routing.DefaultCost(routing.ClassChat) })
	first := r.hear("c1", "x")
	r.assign(first, Owner{OwnerAgent, ana})
	r.resolve(first)
	r.assign(r.hear("c2", "y"), Owner{OwnerAgent, ana}) // she has her hands full
	r.clock.advance(25 * time.Hour)                     // another conversation begins
	d.beat(ana, "online")
	v := r.hear("c1", "x")
	require.Equal(t, ana, r.lastDecision(v).Target.Agent)
	bob := d.agent("bob")

	r.set(fair(t, day(2)))
	require.Empty(t, r.reload())
	r.run()
	later := func(by time.Duration) {
		r.clock.advance(by)
		for _, agent := range []string{ana, bob} {
			d.beat(agent, "online")
		}
		d.turn()
		d.poll()
		r.run()
		d.turn()
	}
	later(13*time.Hour + 5*time.Minute) // five past midnight
	r.wantOwner(v, OwnerQueue, vip)
	later(5 * time.Minute)
	r.wantOwner(v, OwnerAgent, bob)
}
