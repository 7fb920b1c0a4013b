package outbox

import (
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// quietAfter without a failure, trouble is over: nothing waits any more whose
// success could end it. The store tries what waits at least every 5 minutes,
// and every minute where the channel is to blame.
const quietAfter = 5 * time.Minute

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
	last     time.Time // the newest failure
}

func newTrouble(rows *status.Rows) *trouble {
	return &trouble{rows: rows, streaks: map[string]streak{}}
}

// note takes the result of a send. A refusal of one message (its content, its
// recipient) says that the channel works.
func (t *trouble) note(ch *channels.Channel, d wire.Delivery, err error) {
	if err != nil && !channelsFault(platformError(err)) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.streaks[ch.Name]
	if err == nil {
		t.end(ch, last)
		return
	}
	// What is no longer shown (a probe went well since) counts no longer.
	cleared := last.failures >= troubleAfter && !t.rows.Troubled(ch)
	if last.hash != ch.Hash || cleared {
		last = streak{hash: ch.Hash}
	}
	last.failures++
	last.last = time.Now()
	t.streaks[ch.Name] = last
	if last.failures >= troubleAfter {
		t.rows.Set(ch, status.Delivering, status.Judge(ch, err, private(d)...))
	}
}

func channelsFault(e *platform.Error) bool {
	switch e.Class {
	case wire.ErrRetryable, wire.ErrAuthInvalid, wire.ErrMisconfigured:
		return true
	}
	return false
}

// end forgets a streak and takes back what was shown of it.
func (t *trouble) end(ch *channels.Channel, s streak) {
	if s.failures >= troubleAfter {
		t.rows.Set(ch, status.Delivering, document.Duty{State: document.DutyDone, Reason: status.ReasonDone})
	}
	delete(t.streaks, ch.Name)
}

// sweep ends the streaks of channels that are gone, that were changed, or that
// have not failed for a while.
func (t *trouble) sweep(snapshot *channels.Snapshot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, s := range t.streaks {
		switch ch := snapshot.Channel(name); {
		case ch == nil: // its row goes with its entry
			delete(t.streaks, name)
		case s.hash != ch.Hash || time.Since(s.last) >= quietAfter:
			t.end(ch, s)
		}
	}
}
