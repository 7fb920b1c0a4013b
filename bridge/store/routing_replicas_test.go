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
