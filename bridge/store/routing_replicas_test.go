package store

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Two replicas that do everything at the same time do it once.
func TestReplicasShareStepsAndErrands(t *testing.T) {
	postgresOnly(t)
	people := step("people", toQueue(general))
	people.Timeout = document.Duration(time.Minute)
	p := inbound(rule("all", people, step("bot", toBot(menuBot))))
	p.Greeting = &routing.Reply{Texts: map[string]string{"en": "Welcome."}}
	r := newRouted(t, p)
	other, err := Open(t.Context(), r.opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	second := &routed{box: &box{Store: other, t: t, clock: r.clock}, entries: r.entries}
	require.Empty(t, second.reload())

	both := func() {
		var wg sync.WaitGroup
		for _, s := range []*Store{r.Store, other} {
			wg.Go(func() {
				_, err := s.dispatcher.endSteps(t.Context())
				if err == nil {
					_, err = s.dispatcher.doErrands(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	var conversations []string
	for i := range 20 {
		conversations = append(conversations, r.hear(numbered("c", i), "hello"))
	}
	both()
	r.clock.advance(time.Minute)
	both()
	r.run() // what one of them left because the other was at it
	for _, v := range conversations {
		require.Equal(t, []string{"policy: Welcome.", "bot: What is it about?"}, r.said(v))
		require.Len(t, r.routing(v).Decisions.Items, 2)
		r.wantOwner(v, OwnerBot, menuBot)
	}
	require.Zero(t, count(t, r.Store, "errands"))
}

// Two who bring something into a queue with one place, and do not see each other: one
// of them is sent on.
func TestReplicasKeepTheDepthOfAQueue(t *testing.T) {
	postgresOnly(t)
	r := newRouted(t, inbound(rule("all", step("first", toQueue(general)), step("second", toQueue(vip)))))
	r.set(entry(t, document.EntryAgentQueue, general, routing.QueueSpec{Name: general, Limits: routing.Limits{MaxDepth: 1}}))
	require.Empty(t, r.reload())
	d := r.desk()
	ids := make([]string, 2)
	for i := range ids {
		v := conversationOf(t, d.Store, textFrom(numbered("c", i), numbered("m", i), "x"))
		require.Equal(t, Owner{OwnerQueue, general}, v.Owner)
		v, err := d.Pass(t.Context(), everything, v.ID, Owner{OwnerQueue, vip}, v.Epoch)
		require.NoError(t, err)
		ids[i] = v.ID
	}
	other, err := Open(t.Context(), d.opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	second := &routed{box: &box{Store: other, t: t, clock: r.clock}, entries: r.entries}
	require.Empty(t, second.reload())

	ready, done := make(chan struct{}), make(chan struct{})
	begun := sync.OnceFunc(func() { close(ready) })
	slow := make(chan error, 1)
	go func() {
		slow <- d.write(t.Context(), 1, func(tx *txn) error {
			v, err := d.lockConversation(tx, everything, ids[0])
			if err == nil {
				err = tx.enqueue(&v, waiting{Queue: general, Cause: ownerCause{why: CauseRouted}})
			}
			begun()
			<-done
			return err
		})
	}()
	<-ready
	second.desk().enqueues(ids[1], waiting{Queue: general, Cause: ownerCause{why: CauseRouted}})
	close(done)
	require.NoError(t, <-slow)
	d.turn()
	require.Equal(t, Owner{OwnerQueue, vip}, d.owner(ids[0]), "who came second")
	require.Equal(t, Owner{OwnerQueue, general}, d.owner(ids[1]))
	d.checkCounters()
}
