package fleet

import (
	"maps"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Pod is what one pod has told so far: its newest status, and the rows of
// all channels that it ever told of and that are still there.
type Pod struct {
	Name   string
	Status document.Status
	// Rows by entry key. Never changed in place: Merge makes a new map when
	// anything changed, so that a Pod can be read while the next one is made.
	Rows map[string]document.ChannelStatus
}

// Answered says whether it has told anything: answers name their instance.
func (p Pod) Answered() bool { return p.Status.Instance != "" }

// Merge is the Pod after one more answer. Rows of a delta replace those before;
// a full answer, or one of another instance, replaces all of them.
func (p Pod) Merge(answer document.Status) Pod {
	merged := Pod{Name: p.Name, Status: answer, Rows: p.Rows}
	merged.Status.Channels = nil
	fresh := answer.Full || answer.Instance != p.Status.Instance
	if !fresh && len(answer.Channels) == 0 {
		return merged
	}
	merged.Rows = make(map[string]document.ChannelStatus, len(p.Rows)+len(answer.Channels))
	if !fresh {
		maps.Copy(merged.Rows, p.Rows)
	}
	for _, row := range answer.Channels {
		if row.Gone {
			delete(merged.Rows, row.Entry)
			continue
		}
		merged.Rows[row.Entry] = row
	}
	return merged
}

// Query is what to pass to /status to get what is new to p; a zero Pod asks
// for everything.
func (p Pod) Query() (instance string, after int64) {
	return p.Status.Instance, p.Status.Revision
}
