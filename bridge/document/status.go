package document

import (
	"encoding/json"
	"time"
)

// Status is what a pod answers on its internal /status: what it has loaded,
// and what is wrong. The operator turns it into conditions.
//
// Channels is a delta: the caller passes ?instance=…&after=REVISION and gets
// the rows changed since. With another instance, or none, the answer is Full.
// At rest the list is empty, however many channels there are.
type Status struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"` // of the Bridge or ConversationStore
	// Instance is drawn at process start: a restarted pod is another instance.
	Instance string `json:"instance"`
	Version  string `json:"version"`
	// SchemaVersions this pod can read.
	SchemaVersions []int `json:"schemaVersions"`
	// EntryKinds that this pod acts on; entries of others it confirms, and leaves
	// alone. Versions before routing do not say.
	EntryKinds []EntryKind `json:"entryKinds,omitempty"`
	// Hash and Shards of the document in force; empty before the first one.
	Hash       string   `json:"hash"`
	Shards     []string `json:"shards"`
	Generation int64    `json:"generation"`
	// DocumentError says why the newest files on the volume were not taken as a whole.
	DocumentError string `json:"documentError,omitempty"`
	// Exceptions are entries of that document that are not in force.
	Exceptions []Exception `json:"exceptions,omitempty"`
	// Troubles are all entries in force that cannot do what they are for; at rest
	// the list does not change.
	Troubles []Trouble `json:"troubles,omitempty"`
	// Surveys are all campaigns in force, sorted by Entry; at rest the list does
	// not change.
	Surveys []SurveyStatus `json:"surveys,omitempty"`
	// Store is how this bridge reaches its store; for a store: its own database.
	Store Health `json:"store"`

	Revision int64           `json:"revision"`
	Full     bool            `json:"full,omitempty"`
	Channels []ChannelStatus `json:"channels,omitempty"`
}

// Exception is an entry that could not be loaded. The pod goes on with
// RunningHash, its last good version, or without the channel when that is empty.
type Exception struct {
	Entry       string `json:"entry"` // Entry.Key
	Generation  int64  `json:"generation"`
	Hash        string `json:"hash"`
	RunningHash string `json:"runningHash,omitempty"`
	Field       string `json:"field,omitempty"` // path within the resource's spec, e.g. "telegram.botID"
	Message     string `json:"message"`
}

// SurveyStatus is what a store knows of a campaign in force.
type SurveyStatus struct {
	Entry string `json:"entry"` // Entry.Key
	Hash  string `json:"hash"`  // of the entry in force
	// Summary is a survey.Summary. It holds nothing personal.
	Summary json.RawMessage `json:"summary,omitempty"`
}

// Health is whether something is reachable, and since when it is so.
type Health struct {
	OK      bool      `json:"ok"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	// Conditions beyond reachable, e.g. StorageLow; true ones only.
	Warnings []Warning `json:"warnings,omitempty"`
}

// Warning is a named trouble that does not stop the service.
type Warning struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// ChannelStatus is what one pod knows of one channel (or tombstone). The
// duties are done by the replica that holds the channel's lease; another
// replica's row has them empty.
type ChannelStatus struct {
	Entry string `json:"entry"` // Entry.Key
	Hash  string `json:"hash"`  // of the entry the row speaks of
	// Held says that this replica has the lease: its duties count.
	Held bool `json:"held"`
	// Gone says that the entry is no longer here; the caller forgets the row.
	Gone bool `json:"gone,omitempty"`

	Credentials *Duty `json:"credentials,omitempty"` // probe of the credentials
	Webhook     *Duty `json:"webhook,omitempty"`     // registration at the platform; for a tombstone its removal
	Profile     *Duty `json:"profile,omitempty"`     // commands, greeting …
	Receiving   *Duty `json:"receiving,omitempty"`   // polled channels: the poller
	Delivering  *Duty `json:"delivering,omitempty"`  // sends; trouble only after several failures in a row

	// DisplayName of the account as the platform tells it (a public name: bot, page).
	DisplayName string `json:"displayName,omitempty"`
}

// DutyState is how a duty stands.
type DutyState string

const (
	DutyPending  DutyState = "pending"  // not tried yet for this hash
	DutyDone     DutyState = "done"     // as desired
	DutyRetrying DutyState = "retrying" // failed for now; tried again by itself
	DutyFailed   DutyState = "failed"   // needs a change by a person
)

// Duty is the state of one obligation towards a platform. Reason is a
// CamelCase word that becomes the condition's reason, Message is for people and
// holds no secret and nothing personal.
type Duty struct {
	State   DutyState `json:"state"`
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}
