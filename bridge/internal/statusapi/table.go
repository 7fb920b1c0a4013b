package statusapi

import (
	"cmp"
	"reflect"
	"slices"
	"sync"

	"github.com/oklog/ulid/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// maxGone bounds the rows of removed entries that are kept for callers who
// have not heard of them. The operator asks at least twice a minute: a thousand
// removals between two questions are rare, and then the answer is just Full.
const maxGone = 1000

// Table is what a pod knows of its channels, with a revision per row. All
// methods may be called concurrently.
type Table struct {
	instance string

	mu       sync.Mutex
	revision int64
	horizon  int64 // callers that know less get everything
	rows     map[string]row
	gone     int
}

type row struct {
	status   document.ChannelStatus
	revision int64
}

// NewTable makes an empty table of a new instance.
func NewTable() *Table {
	return &Table{instance: ulid.Make().String(), rows: map[string]row{}}
}

// Instance is drawn when the table is made: a restarted pod is another one.
func (t *Table) Instance() string { return t.instance }

// Set puts the row of an entry (document.Entry.Key). The revision moves only
// when something differs, so that a table at rest is silent.
func (t *Table) Set(entry string, status document.ChannelStatus) {
	status.Entry, status.Gone = entry, false
	t.mu.Lock()
	defer t.mu.Unlock()
	old, ok := t.rows[entry]
	if ok && reflect.DeepEqual(old.status, status) {
		return
	}
	if ok && old.status.Gone {
		t.gone--
	}
	t.put(entry, status)
}

// Remove says that an entry is no longer here.
func (t *Table) Remove(entry string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.rows[entry]; !ok || old.status.Gone {
		return
	}
	t.put(entry, document.ChannelStatus{Entry: entry, Gone: true})
	if t.gone++; t.gone > maxGone {
		t.forget()
	}
}

func (t *Table) put(entry string, status document.ChannelStatus) {
	t.revision++
	t.rows[entry] = row{status: clone(status), revision: t.revision}
}

// forget drops the rows of removed entries; who has not heard of them by now
// gets a Full answer.
func (t *Table) forget() {
	for entry, r := range t.rows {
		if r.status.Gone {
			delete(t.rows, entry)
		}
	}
	t.gone, t.horizon = 0, t.revision
}

// Delta is the Channels part of a /status answer.
type Delta struct {
	Instance string
	Revision int64
	Full     bool
	Channels []document.ChannelStatus
}

// Snapshot has the rows changed since revision after of this instance, in the
// order of their change. Of another instance, of a revision that is not (or no
// longer) known, it has all, and Full is set.
func (t *Table) Snapshot(instance string, after int64) Delta {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := Delta{Instance: t.instance, Revision: t.revision}
	d.Full = instance != t.instance || after < t.horizon || after > t.revision
	if !d.Full && after == t.revision {
		return d
	}
	var changed []row
	for _, r := range t.rows {
		if d.Full && !r.status.Gone || !d.Full && r.revision > after {
			changed = append(changed, r)
		}
	}
	slices.SortFunc(changed, func(a, b row) int { return cmp.Compare(a.revision, b.revision) })
	for _, r := range changed {
		d.Channels = append(d.Channels, clone(r.status))
	}
	return d
}

// clone copies the duties, so that neither side changes the other's.
func clone(s document.ChannelStatus) document.ChannelStatus {
	for _, d := range []**document.Duty{&s.Credentials, &s.Webhook, &s.Profile, &s.Receiving, &s.Delivering} {
		if *d != nil {
			duty := **d
			*d = &duty
		}
	}
	return s
}
