package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

func (d *desk) snooze(id string, by time.Duration) {
	d.t.Helper()
	_, err := d.Snooze(d.t.Context(), everything, id, d.clock.Now().Add(by))
	require.NoError(d.t, err)
}

// wakes is how a snoozed conversation opens again.
var wakes = map[string]func(d *desk, id, contact string){
	"time": func(d *desk, _, _ string) {
		d.clock.advance(time.Hour)
		_, err := d.wakeSnoozed(d.t.Context())
		require.NoError(d.t, err)
	},
	"reopen": func(d *desk, id, _ string) {
		_, err := d.Reopen(d.t.Context(), everything, id)
		require.NoError(d.t, err)
	},
	"message": func(d *desk, _, contact string) {
		stored(d.t, d.Store, telegram, textFrom(contact, "again-"+contact, "hello?"))
	},
}

// Who put something aside does not want it offered to anybody until it is awake.
func TestWhatIsSnoozedIsNotOffered(t *testing.T) {
	for name, wake := range wakes {
		t.Run(name, func(t *testing.T) {
			d := testDesk(t, assigning(support))
			asleep, other := d.arrives("c1", support), d.arrives("c2", support)
			d.snooze(asleep, time.Hour)
			ana := d.agent("ana")
			d.turn()
			d.poll()
			require.Equal(t, Owner{OwnerQueue, support}, d.owner(asleep))
			require.Equal(t, OwnerAgent, d.owner(other).Kind)
			require.Zero(t, d.queue(support).Depth)
			d.checkCounters()
			wake(d, asleep, "c1")
			d.beat(ana, "online")
			d.turn()
			require.Equal(t, OwnerAgent, d.owner(asleep).Kind)
			d.checkCounters()
		})
	}
}

// An offer ends when somebody puts the conversation aside.
func TestSnoozingWithdrawsTheOffer(t *testing.T) {
	d := testDesk(t, routing.QueueSpec{Name: support})
	ana := d.agent("ana")
	v := d.arrives("c1", support)
	d.turn()
	offers := d.offers(ana)
	require.Len(t, offers, 1)
	d.snooze(v, time.Hour)
	_, err := d.AcceptOffer(t.Context(), everything, offers[0].ID)
	require.ErrorIs(t, err, ErrConflict)
	require.Empty(t, d.offers(ana))
	require.Equal(t, Owner{OwnerQueue, support}, d.owner(v))
	d.checkCounters()
}

// What a version before let wait although it is snoozed is found when it would be given.
func TestWhatIsSnoozedAndWaitsAllTheSameIsPutAside(t *testing.T) {
	d := testDesk(t, assigning(support))
	asleep := d.arrives("c1", support)
	require.NoError(t, d.write(t.Context(), 1, func(t *txn) error {
		_, err := t.exec(`UPDATE conversations SET state = 'snoozed', snoozed_until = ? WHERE id = ?`, ms(t.now)+60_000, asleep)
		return err
	}))
	other := d.arrives("c2", support)
	d.agent("ana", func(a *AgentSpec) { a.Units = routing.DefaultCost(routing.ClassChat) })
	d.turn()
	require.Equal(t, Owner{OwnerQueue, support}, d.owner(asleep))
	require.Equal(t, OwnerAgent, d.owner(other).Kind)
	d.checkCounters()
}

// Neither a step nor maxWait ends while a conversation is put aside; both begin anew.
func TestStepsBeginAnewAfterSnoozing(t *testing.T) {
	for name, limit := range map[string]bool{"step": false, "maxWait": true} {
		t.Run(name, func(t *testing.T) {
			first := step("first", toQueue(vip))
			spec := routing.QueueSpec{Name: vip}
			if limit {
				spec.Limits.MaxWait = document.Duration(10 * time.Minute)
			} else {
				first.Timeout = document.Duration(10 * time.Minute)
			}
			r := newRouted(t, inbound(rule("all", first, step("second", toQueue(general)))))
			r.set(entry(t, document.EntryAgentQueue, vip, spec))
			require.Empty(t, r.reload())
			d := r.desk()
			pass := func(by time.Duration) {
				r.clock.advance(by)
				_, err := r.wakeSnoozed(t.Context())
				require.NoError(t, err)
				r.run()
				d.turn()
			}
			v := r.hear("c1", "x")
			d.snooze(v, time.Hour)
			pass(59 * time.Minute)
			r.wantOwner(v, OwnerQueue, vip)
			pass(time.Minute)
			require.Equal(t, ConversationOpen, getConversation(t, r.Store, v).State)
			pass(9 * time.Minute)
			r.wantOwner(v, OwnerQueue, vip)
			pass(time.Minute)
			r.wantOwner(v, OwnerQueue, general)
			d.checkCounters()
		})
	}
}
