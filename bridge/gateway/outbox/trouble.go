package outbox

import (
	"sync"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// troubleAfter failures in a row, with no success between, are trouble with
// sending. One is a hiccup, two may be its echo in the lane beside it.
const troubleAfter = 3

// trouble counts failures that are the channel's and not the message's.
type trouble struct {
	rows *status.Rows

	mu      sync.Mutex
	streaks map[string]streak // channels with failures since their last success
}

type streak struct {
	hash     string // of the version that fails: another begins anew
	failures int
}

func newTrouble(rows *status.Rows) *trouble {
	return &trouble{rows: rows, streaks: map[string]streak{}}
}

// note takes the result of a send. A refusal of one message (its content, its
// recipient) says that the channel works.
func (t *trouble) note(ch *channels.Channel, err error) {
	if err != nil && !channelsFault(platformError(err)) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.streaks[ch.Name]
	if err == nil {
		if last.failures >= troubleAfter {
			t.rows.Set(ch, status.Delivering, document.Duty{State: document.DutyDone, Reason: status.ReasonDone})
		}
		delete(t.streaks, ch.Name)
		return
	}
	if last.hash != ch.Hash {
		last = streak{hash: ch.Hash}
	}
	last.failures++
	t.streaks[ch.Name] = last
	if last.failures >= troubleAfter {
		t.rows.Set(ch, status.Delivering, status.Judge(ch, err))
	}
}

func channelsFault(e *platform.Error) bool {
	switch e.Class {
	case wire.ErrRetryable, wire.ErrAuthInvalid, wire.ErrMisconfigured:
		return true
	}
	return false
}

// forget drops channels that are gone.
func (t *trouble) forget(there func(channel string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.streaks {
		if !there(name) {
			delete(t.streaks, name)
		}
	}
}
