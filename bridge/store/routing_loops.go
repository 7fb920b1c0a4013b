package store

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// loops are the policies whose decisions stopped a conversation that was moved too
// often. Each replica knows of its own, and forgets them with its process: what people
// are to hear of is that it happens, and the decisions tell the rest.
type loops struct {
	mu sync.Mutex
	at map[string]int64 // by policy: the last time
}

func (l *loops) note(policy string, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = map[string]int64{}
	}
	l.at[policy] = now
}

// since are the policies of which there was one since a time, sorted. Earlier ones are
// forgotten.
func (l *loops) since(from int64) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.at, func(_ string, at int64) bool { return at < from })
	return slices.Sorted(maps.Keys(l.at))
}

// loopTroubles are the policies in force of which there was one within the time over
// which moves are counted.
func (s *Store) loopTroubles(st *state) (troubles []document.Trouble) {
	for _, name := range s.dispatcher.loops.since(ms(s.now().Add(-loopWindow))) {
		if st.routes.policies[name] == nil {
			continue
		}
		troubles = append(troubles, document.Trouble{
			Entry: string(document.EntryRoutingPolicy) + "/" + name, Reason: reasonRoutingLoop,
			Message: fmt.Sprintf("within the last hour it moved a conversation %d times, or gave it %d owners, so that it waits in the default route; look at the decisions of what waits there "+
				"(GET /v1/conversations/{id}/routing, via LoopGuard), and mend steps that lead back, or bots and queues that give it to each other", routing.MaxStepChanges, routing.MaxOwnerChanges),
		})
	}
	return troubles
}
