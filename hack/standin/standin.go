// Package standin plays the pods' side of /status towards an operator that has
// an API server and no pods: the rows of what a pod serves, in revisions, so that
// the operator is told what changed since it asked last. The tests of the operator
// and hack/scale share it; what decides which rows there are is theirs.
//
//	documents ──Load──► Pod ◄──Put── rows
//	                     │
//	/status?instance&after ──Answer──► all rows, or those of later revisions
package standin

import (
	"encoding/json"
	"reflect"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Pod answers as one pod would. It is not safe for concurrent use.
type Pod struct {
	// Status is what it says beside its rows, which stay empty in it.
	Status document.Status

	instance string
	rows     map[string]document.ChannelStatus // by entry
	changed  map[string]int64                  // revision of each row
	revision int64
}

// NewPod is a pod that has loaded nothing. The instance tells it from the one
// before it of the same name.
func NewPod(instance string) *Pod {
	return &Pod{instance: instance, rows: map[string]document.ChannelStatus{}, changed: map[string]int64{}}
}

// Load takes a decoded document over. The rows of its entries are left to Put.
func (p *Pod) Load(doc *document.Document, exceptions []document.Exception, version string) {
	p.Status = document.Status{
		Kind: doc.Kind, Name: doc.Name, Version: version, SchemaVersions: []int{document.SchemaVersion},
		Hash: doc.Hash, Shards: doc.Shards, Generation: doc.Generation, Store: document.Health{OK: true}, Exceptions: exceptions,
	}
}

// Put sets the row of an entry; the same again is no change.
func (p *Pod) Put(row document.ChannelStatus) {
	if reflect.DeepEqual(p.rows[row.Entry], row) {
		return
	}
	p.revision++
	p.rows[row.Entry], p.changed[row.Entry] = row, p.revision
}

// Keep marks the rows of entries that are not there any more as gone.
func (p *Pod) Keep(there func(entry string) bool) {
	for entry := range p.rows {
		if !there(entry) {
			p.Put(document.ChannelStatus{Entry: entry, Gone: true})
		}
	}
}

// Answer is the status for an operator that has seen the revisions of an instance
// up to after: all rows when it was another one, else those that changed since.
func (p *Pod) Answer(instance string, after int64) document.Status {
	status := p.Status
	status.Instance, status.Revision, status.Full = p.instance, p.revision, instance != p.instance
	for entry, row := range p.rows {
		if status.Full && !row.Gone || !status.Full && p.changed[entry] > after {
			status.Channels = append(status.Channels, row)
		}
	}
	return status
}

// Row is what a pod says of an entry whose platform does all that it is asked;
// name is what the platform calls the account.
func Row(e document.Entry, name func(document.Channel) string) document.ChannelStatus {
	done := func() *document.Duty { return &document.Duty{State: document.DutyDone} }
	r := document.ChannelStatus{Entry: e.Key(), Hash: e.Hash, Held: true}
	switch e.Kind {
	case document.EntryChannel:
		var spec document.Channel
		_ = json.Unmarshal(e.Spec, &spec) // what is wrong with it, its exception says
		r.Credentials, r.Profile, r.Delivering, r.DisplayName = done(), done(), done(), name(spec)
		if spec.Receive == document.ReceivePolling {
			r.Receiving = done()
		} else if r.Webhook = done(); !spec.RegisterWebhook {
			r.Webhook.State = document.DutyPending
		}
	case document.EntryTombstone:
		r.Webhook = done()
	}
	return r
}
