// Package status gathers what this replica knows of each entry into the rows
// of /status: duties and connections of the entries that it holds, and trouble
// with sending, which every replica may have.
package status

import (
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
)

// Obligation names one of the duties of a row.
type Obligation string

// The obligations, as they stand in metrics.
const (
	Credentials Obligation = "credentials"
	Webhook     Obligation = "webhook"
	Profile     Obligation = "profile"
	Receiving   Obligation = "receiving"
	Delivering  Obligation = "delivering"
)

// Reasons of duties; they become the reasons of conditions.
const (
	ReasonDone          = "Done"
	ReasonNotAttempted  = "NotAttempted"
	ReasonNoPublicURL   = "NoPublicURL"
	ReasonTakenOver     = "TakenOver"
	ReasonAuthInvalid   = "AuthInvalid"
	ReasonMisconfigured = "Misconfigured"
	ReasonUnreachable   = "Unreachable"
	ReasonNotDelivered  = "NotDelivered"
	ReasonRateLimited   = "RateLimited"
	ReasonInternalError = "InternalError"
)

// Sink is where rows go: statusapi.Table.
type Sink interface {
	Set(entry string, status document.ChannelStatus)
	Remove(entry string)
}

// Rows are the rows of one process. All methods may be called concurrently.
type Rows struct {
	sink Sink

	mu   sync.Mutex
	rows map[string]*document.ChannelStatus
}

// New makes rows that are told to sink.
func New(sink Sink) *Rows {
	return &Rows{sink: sink, rows: map[string]*document.ChannelStatus{}}
}

// Hold says that this replica has the lease of an entry, in this version.
// Duties of the version before stand until they are set again, but trouble
// with sending is over: whether the new version has it, sending will show.
func (r *Rows) Hold(ch *channels.Channel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.row(ch)
	changed := row.Hash != ch.Hash
	row.Hash, row.Held = ch.Hash, true
	if ch.Kind == document.EntryChannel && (row.Delivering == nil || changed && troubled(row)) {
		row.Delivering = delivers()
	}
	r.tell(ch.Key())
}

// Release says that this replica no longer has the lease. What it knows of
// sending stays when it is trouble.
func (r *Rows) Release(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.rows[key]
	if row == nil || !row.Held {
		return
	}
	*row = document.ChannelStatus{Entry: row.Entry, Hash: row.Hash, Delivering: row.Delivering}
	r.tell(key)
}

// Keep drops the rows of entries that are gone.
func (r *Rows) Keep(there func(key string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.rows {
		if !there(key) {
			delete(r.rows, key)
			r.sink.Remove(key)
		}
	}
}

// Set notes how an obligation stands. Since is when its state or reason
// changed; it is kept while they stay the same. What is about another version
// than the row's is ignored: it came too late. Duties other than Delivering
// count only while the entry is held. Credentials that the platform has just
// accepted end trouble with sending: what else is wrong, the next sends show.
func (r *Rows) Set(ch *channels.Channel, o Obligation, d document.Duty) {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.rows[ch.Key()]
	if o == Delivering {
		row = r.row(ch)
		if !row.Held {
			row.Hash = ch.Hash
		}
	}
	if row == nil || row.Hash != ch.Hash || (o != Delivering && !row.Held) {
		return
	}
	place := placeOf(row, o)
	d.Since = now()
	if old := *place; old != nil && old.State == d.State && old.Reason == d.Reason {
		d.Since = old.Since
	}
	*place = &d
	if o == Credentials && d.State == document.DutyDone && troubled(row) {
		row.Delivering = delivers()
	}
	r.tell(ch.Key())
}

// Troubled says whether trouble with sending stands for this version of a channel.
func (r *Rows) Troubled(ch *channels.Channel) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.rows[ch.Key()]
	return row != nil && row.Hash == ch.Hash && troubled(row)
}

// Clear takes an obligation away that the entry does not have.
func (r *Rows) Clear(ch *channels.Channel, o Obligation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if row := r.rows[ch.Key()]; row != nil && row.Hash == ch.Hash {
		*placeOf(row, o) = nil
		r.tell(ch.Key())
	}
}

// DisplayName notes the account's public name.
func (r *Rows) DisplayName(ch *channels.Channel, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if row := r.rows[ch.Key()]; row != nil && row.Hash == ch.Hash && row.Held {
		row.DisplayName = name
		r.tell(ch.Key())
	}
}

func (r *Rows) row(ch *channels.Channel) *document.ChannelStatus {
	row := r.rows[ch.Key()]
	if row == nil {
		row = &document.ChannelStatus{Entry: ch.Key(), Hash: ch.Hash}
		r.rows[ch.Key()] = row
	}
	return row
}

// tell passes a row on; a replica that does not hold the entry has one only
// for trouble.
func (r *Rows) tell(key string) {
	row := r.rows[key]
	if !row.Held && !troubled(row) {
		delete(r.rows, key)
		r.sink.Remove(key)
		return
	}
	r.sink.Set(key, *row)
}

func troubled(row *document.ChannelStatus) bool {
	return row.Delivering != nil && row.Delivering.State != document.DutyDone
}

func delivers() *document.Duty {
	return &document.Duty{State: document.DutyDone, Reason: ReasonDone, Since: now()}
}

func placeOf(row *document.ChannelStatus, o Obligation) **document.Duty {
	switch o {
	case Credentials:
		return &row.Credentials
	case Webhook:
		return &row.Webhook
	case Profile:
		return &row.Profile
	case Receiving:
		return &row.Receiving
	default:
		return &row.Delivering
	}
}

// now is to the second: finer times say nothing more to a reader of conditions.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
