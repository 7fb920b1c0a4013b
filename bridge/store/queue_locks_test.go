package store

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// held runs a function in a transaction that stays open until release; release returns
// the transaction's outcome.
func (r *routed) held(needs *locks, fn func(t *txn) error) (release func() error) {
	r.t.Helper()
	began, end, done := make(chan struct{}, 16), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- r.writeLocked(r.t.Context(), 1, needs, func(t *txn) error {
			if err := fn(t); err != nil {
				return err
			}
			began <- struct{}{}
			<-end
			return nil
		})
	}()
	select {
	case <-began:
	case err := <-done:
		require.FailNow(r.t, "it did not come to hold anything", "%v", err)
	}
	return func() error {
		close(end)
		return <-done
	}
}

var errNotWaited = errors.New("it did not wait")

// waitsInDatabase runs something until it waits for somebody's lock; wait returns its
// outcome, or errNotWaited where it came to its end before.
func (r *routed) waitsInDatabase(do func() error) (wait func() error) {
	r.t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	for {
		select {
		case err := <-done:
			return func() error { return errors.Join(errNotWaited, err) }
		case <-time.After(5 * time.Millisecond):
		}
		n := 0
		_, err := one(r.t.Context(), r.read, []any{&n}, `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		require.NoError(r.t, err)
		if n > 0 {
			return func() error { return <-done }
		}
	}
}

// A drain gives somebody's conversation away while they are being erased: nothing of it
// stays with the agent, or in the queue's counters.
func TestAnErasureWaitsForADrain(t *testing.T) {
	postgresOnly(t)
	r := newRouted(t, inbound())
	d := r.desk()
	v := r.hear("c1", "hello")
	d.agent("ana")
	contact := getConversation(t, r.Store, v).Contact.ID
	release := r.held(newLocks().agents("shop"), func(t *txn) error {
		step, err := r.drainStep(t, general)
		if err == nil && step.given != 1 {
			err = errors.New("nothing was given")
		}
		return err
	})
	wait := r.waitsInDatabase(func() error { return r.EraseContact(t.Context(), everything, contact) })
	require.NoError(t, release())
	require.NoError(t, wait())
	require.Zero(t, count(t, r.Store, "conversations"))
	require.Zero(t, count(t, r.Store, "offers"))
	require.Zero(t, d.queue(general).Depth)
	d.checkCounters()
}

// What goes by the document in force does not commit after a new one is written: each of
// these looks waits for it, as it waits for them.
func TestLooksWaitForADocument(t *testing.T) {
	postgresOnly(t)
	assigned := func(r *routed) (ana string) {
		r.set(entry(r.t, document.EntryAgentQueue, general, assigning(general)))
		r.attach(inbound())
		d := r.desk()
		ana = d.agent("ana")
		v := r.hear("c1", "hello")
		d.turn()
		r.wantOwner(v, OwnerAgent, ana)
		return ana
	}
	for name, test := range map[string]struct {
		prepare func(r *routed)
		look    func(r *routed) error
	}{
		"entries": {func(r *routed) {
			r.hear("c1", "hello")
			require.NoError(r.t, r.write(r.t.Context(), 1, func(t *txn) error { return t.lookAgain(general) }))
		}, func(r *routed) error { return r.sweepEntries(r.t.Context()) }},
		"offers": {func(r *routed) {
			r.desk().agent("ana")
			r.hear("c1", "hello")
			r.desk().turn()
			r.clock.advance(routing.DefaultOfferTimeout + time.Second)
		}, func(r *routed) error { return r.expireOffers(r.t.Context()) }},
		"who is offline": {func(r *routed) {
			ana := assigned(r)
			r.desk().beat(ana, "offline")
			r.clock.advance(time.Hour)
		}, func(r *routed) error { return r.sweepOffline(r.t.Context()) }},
		"what is snoozed": {func(r *routed) {
			v := r.hear("c1", "hello")
			_, err := r.Snooze(r.t.Context(), everything, v, r.clock.Now().Add(time.Minute))
			require.NoError(r.t, err)
			r.clock.advance(time.Hour)
		}, func(r *routed) error { _, err := r.wakeSnoozed(r.t.Context()); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouted(t, inbound())
			test.prepare(r)
			release := r.held(everythingLocked(), func(*txn) error { return nil })
			wait := r.waitsInDatabase(func() error { return test.look(r) })
			require.NoError(t, release())
			require.NoError(t, wait())
		})
	}
}

// An offer whose conversation is gone (a version before could leave one) ends, and keeps
// no others from ending.
func TestAnOfferOfNoConversationEnds(t *testing.T) {
	r := newRouted(t, inbound())
	require.NoError(t, r.write(t.Context(), 1, func(t *txn) error {
		_, err := t.exec(`INSERT INTO offers (id, conversation, queue, agent, class, units, made_at, until) VALUES ('o', 'gone', ?, 'ana', 'chat', 1, 1, 2)`, general)
		return err
	}))
	require.NoError(t, r.expireOffers(t.Context()))
	require.Zero(t, count(t, r.Store, "offers"))
}
