package store

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Engine is what the store does, apart from how it is asked: the internal API
// and REST are thin layers over it. All methods may be called concurrently.
type Engine interface {
	// Load puts a document into force. Entries that are wrong keep their last
	// good version and come back as exceptions; so do doc.Damaged, where it is
	// noted in place.
	Load(ctx context.Context, doc *document.Document) []document.Exception
	// Health of the database, with warnings such as StorageLow.
	Health(ctx context.Context) document.Health
	// Troubles are entries in force that cannot do what they are for, such as a
	// queue without agents.
	Troubles(ctx context.Context) []document.Trouble
	// SurveyStatuses are the campaigns in force, by their entries, with what their
	// status says; at rest they do not change.
	SurveyStatuses(ctx context.Context) []document.SurveyStatus

	Internal
	Reader
	Writer
	Desk
	Explainer
	SurveyReader
	SurveyWriter
	ContactWriter
}

// Internal is the engine's side of the internal API. bridge is the
// "namespace/name" of the calling Bridge, taken from its certificate.
type Internal interface {
	Ingest(ctx context.Context, bridge string, req wire.IngestRequest) (wire.IngestResponse, error)
	Session(ctx context.Context, bridge string, req wire.SessionRequest) (wire.SessionResponse, error)
	// Lease waits up to req.Wait for something to do.
	Lease(ctx context.Context, bridge string, req wire.LeaseRequest) (wire.LeaseResponse, error)
	Report(ctx context.Context, bridge string, req wire.ReportRequest) (wire.ReportResponse, error)
	LeaseMedia(ctx context.Context, bridge string, req wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error)
	// PutMedia keeps the bytes of a leased media; ErrConflict when the lease is over.
	PutMedia(ctx context.Context, bridge, id string, lease int64, meta MediaMeta, body io.Reader) error
	ReportMedia(ctx context.Context, bridge, id string, report wire.MediaReport) error
	// OpenMediaForBridge opens an outbound attachment of one of the Bridge's channels.
	OpenMediaForBridge(ctx context.Context, bridge, id string) (MediaMeta, io.ReadCloser, error)
}

// Scope is what a REST caller may see. A nil Namespaces with All sees everything.
type Scope struct {
	All        bool
	Namespaces []string
	// Caller names the token, for authorship and audit.
	Caller string
	// Write names the write that is asked for, so that repeating it does no harm.
	// Send has a key of its own.
	Write Write
}

// Allows says whether a namespace is within the scope.
func (s Scope) Allows(namespace string) bool {
	if s.All {
		return true
	}
	for _, n := range s.Namespaces {
		if n == namespace {
			return true
		}
	}
	return false
}

// Reader is what REST reads. What is outside the scope is ErrNotFound.
type Reader interface {
	// Token finds the REST token with this value; ErrNotFound when there is none.
	Token(ctx context.Context, value string, now time.Time) (document.Token, string, error)
	// Messages of a channel, or of all in scope, in the order they were stored.
	Messages(ctx context.Context, s Scope, q MessageQuery) (Page[message.Message], error)
	Message(ctx context.Context, s Scope, id string) (message.Message, error)
	Conversations(ctx context.Context, s Scope, q ConversationQuery) (Page[Conversation], error)
	Conversation(ctx context.Context, s Scope, id string) (Conversation, error)
	// ConversationMessages in the order of their time.
	ConversationMessages(ctx context.Context, s Scope, id string, p PageQuery) (Page[message.Message], error)
	Contacts(ctx context.Context, s Scope, q ContactQuery) (Page[Contact], error)
	Contact(ctx context.Context, s Scope, id string) (Contact, error)
	// Events after a cursor, EventsOldest or EventsLatest, and the cursor to go on
	// from. ErrGone when the cursor is before the horizon.
	Events(ctx context.Context, s Scope, after int64, limit int) ([]Event, int64, error)
	// WaitEvents returns when there may be events after the cursor, or ctx is done.
	WaitEvents(ctx context.Context, after int64) error
	OpenMedia(ctx context.Context, s Scope, id string) (MediaMeta, io.ReadCloser, error)
	RawEntries(ctx context.Context, s Scope, q RawQuery) (Page[RawEntry], error)
	// DeadLetters are outbound messages that failed, or whose outcome is unknown;
	// asked for by status, also those that were cancelled.
	DeadLetters(ctx context.Context, s Scope, q DeadLetterQuery) (Page[DeadLetter], error)
}

// Writer is what REST writes.
type Writer interface {
	// Send queues a message in a conversation. The same idempotency key with
	// the same content returns the first message; with other content it is ErrConflict.
	Send(ctx context.Context, s Scope, conversation string, req SendRequest) (message.Message, error)
	// Assign gives the conversation an owner; epoch must be the current one when it is not zero.
	Assign(ctx context.Context, s Scope, conversation string, owner Owner, epoch int64) (Conversation, error)
	Resolve(ctx context.Context, s Scope, conversation string) (Conversation, error)
	Snooze(ctx context.Context, s Scope, conversation string, until time.Time) (Conversation, error)
	Reopen(ctx context.Context, s Scope, conversation string) (Conversation, error)
	// UpdateConversation writes what rules go by, and its priority in queues.
	UpdateConversation(ctx context.Context, s Scope, conversation string, u ConversationUpdate) (Conversation, error)
	// Requeue sends again what of a dead letter was not sent.
	Requeue(ctx context.Context, s Scope, id string, policy UnknownPolicy) (message.Message, error)
	// UploadMedia keeps the bytes of an outbound attachment; it lives as long as a message names it.
	UploadMedia(ctx context.Context, s Scope, namespace string, meta MediaMeta, body io.Reader) (string, error)
	// Replay parses raw entries again and ingests what is missing.
	Replay(ctx context.Context, s Scope, q RawQuery) (ReplayResult, error)
}

// Errors that the engine returns, wrapped with what they are about.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflict")
	ErrGone        = errors.New("gone")        // a cursor before the horizon
	ErrForbidden   = errors.New("forbidden")   // not a channel of this Bridge
	ErrUnavailable = errors.New("unavailable") // nothing was committed, or nobody knows (the connection to the database broke); try again
)

// FieldError is a mistake in a request, with the JSON path of the field.
type FieldError struct {
	Field   string
	Message string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// PageQuery asks for a page after a cursor ("" is the beginning). Limit 1 to
// 200, 50 when zero.
type PageQuery struct {
	After string
	Limit int
}

// Page is one page; Next is empty at the end of what there is now, and
// otherwise the cursor of the next page.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// MessageQuery selects messages.
type MessageQuery struct {
	PageQuery
	Channel   string // "namespace/name"
	Direction message.Direction
	Contact   string
}

// ConversationState is where a conversation is in its life.
type ConversationState string

const (
	ConversationOpen    ConversationState = "open"
	ConversationPending ConversationState = "pending" // waits for somebody other than the agent
	ConversationSnoozed ConversationState = "snoozed" // waits for a time
	ConversationSolved  ConversationState = "solved"
)

// OwnerKind is who has a conversation.
type OwnerKind string

const (
	OwnerNone  OwnerKind = "none"
	OwnerQueue OwnerKind = "queue"
	OwnerBot   OwnerKind = "bot"
	OwnerAgent OwnerKind = "agent"
)

// Owner of a conversation: exactly one, with an epoch that grows with every change.
type Owner struct {
	Kind OwnerKind `json:"kind"`
	Name string    `json:"name,omitempty"`
}

// Conversation is an exchange with one contact on one channel.
type Conversation struct {
	ID           string            `json:"id"`
	Namespace    string            `json:"namespace"`
	Channel      string            `json:"channel"`
	Contact      message.Contact   `json:"contact"`
	State        ConversationState `json:"state"`
	SnoozedUntil *time.Time        `json:"snoozedUntil,omitempty"`
	Owner        Owner             `json:"owner"`
	Epoch        int64             `json:"epoch"`
	// FollowUpOf is the conversation before, which was solved too long ago to be reopened.
	FollowUpOf    string     `json:"followUpOf,omitempty"`
	CreatedAt     time.Time  `json:"createdAt"`
	UpdatedAt     time.Time  `json:"updatedAt"`
	SolvedAt      *time.Time `json:"solvedAt,omitempty"`
	LastInboundAt *time.Time `json:"lastInboundAt,omitempty"`
	// What rules go by: of rules before, of bots and webhooks, of REST.
	Priority routing.Priority  `json:"priority,omitempty"` // empty: Normal
	Labels   map[string]string `json:"labels,omitempty"`
	Topics   []string          `json:"topics,omitempty"`
	// Language that the contact speaks here, and how that is known.
	Language routing.Language `json:"language,omitzero"`
	// DueAt is by when somebody should have looked at it: a survey's action says so.
	// It goes when a person writes, or the conversation is solved.
	DueAt *time.Time `json:"dueAt,omitempty"`
}

// ConversationQuery selects conversations, latest activity first.
type ConversationQuery struct {
	PageQuery
	Channel string
	Contact string
	State   ConversationState
}

// Contact is a person, known by one or more identities.
type Contact struct {
	ID          string `json:"id"`
	Namespace   string `json:"namespace"`
	DisplayName string `json:"displayName,omitempty"`
	Language    string `json:"language,omitempty"`
	// Attributes that rules of RoutingPolicies go by, such as tier: gold.
	Attributes map[string]string `json:"attributes,omitempty"`
	Identities []Identity        `json:"identities"`
	CreatedAt  time.Time         `json:"createdAt"`
	// MergedIDs are ids that it had as contacts of their own, before those were
	// merged into it. They go on to mean this contact.
	MergedIDs []string `json:"mergedIds,omitempty"`
}

// Identity is an address of a contact on a channel.
type Identity struct {
	Channel    string `json:"channel"`
	ExternalID string `json:"externalId"`
	Username   string `json:"username,omitempty"`
	// Reachable is false after the contact opted out or blocked the account.
	Reachable bool `json:"reachable"`
}

// ContactQuery selects contacts.
type ContactQuery struct {
	PageQuery
	Channel    string
	ExternalID string
}

// EventType says what happened.
type EventType string

const (
	EventMessageCreated EventType = "message.created"
	EventMessageUpdated EventType = "message.updated" // status, edit, deletion, reaction, media
	// EventMessageRemoved: the message was the echo of one that was sent from here,
	// and has become one with it; message.updated of that one follows.
	EventMessageRemoved      EventType = "message.removed"
	EventConversationCreated EventType = "conversation.created"
	EventConversationUpdated EventType = "conversation.updated"
	EventContactCreated      EventType = "contact.created"
	EventContactUpdated      EventType = "contact.updated"
	// EventContactMerged: the contact is one with another one (MergedInto) from now
	// on; all that it had is the other one's.
	EventContactMerged EventType = "contact.merged"
	// EventContactErased: nothing of the contact is there any more; what others have
	// taken down of it is theirs to erase.
	EventContactErased EventType = "contact.erased"
)

// Places in the event log that are not a cursor.
const (
	// EventsOldest is before the oldest event that is kept.
	EventsOldest int64 = -1
	// EventsLatest is after the newest event: what happens from now on. A client
	// takes this cursor, reads the lists, and misses nothing from there.
	EventsLatest int64 = -2
)

// Event is one change. It holds ids; the content is joined when it is read.
type Event struct {
	Cursor       int64            `json:"cursor"`
	Type         EventType        `json:"type"`
	Time         time.Time        `json:"time"`
	Namespace    string           `json:"namespace"`
	Channel      string           `json:"channel,omitempty"`
	Conversation string           `json:"conversation,omitempty"`
	Contact      string           `json:"contact,omitempty"`
	MessageID    string           `json:"messageId,omitempty"`
	Message      *message.Message `json:"message,omitempty"`
	// MergedInto is who the contact of EventContactMerged is by now; joined, as
	// Message is.
	MergedInto string `json:"mergedInto,omitempty"`
}

// SendRequest is a message to send.
type SendRequest struct {
	IdempotencyKey string
	Author         message.Author
	// Epoch fences automated authors; 0 for people.
	Epoch       int64
	Type        message.Type // text, image …, location, template, edit, deletion, reaction
	Text        string
	Attachments []message.Attachment
	Location    *message.Location
	Buttons     []message.Button
	ButtonStyle message.ButtonStyle
	Template    *message.Template
	ReplyTo     string // external id
	Target      string // external id, for edit and deletion
	Reaction    *message.Reaction
	// Subject of a mail; empty: that of the mail that it answers. Left out of the
	// idempotency key's hash when empty, so that what an older version queued is
	// recognised.
	Subject string `json:",omitempty"`
}

// MediaMeta describes bytes.
type MediaMeta struct {
	MimeType string
	Name     string
	Size     int64
}

// RawQuery selects entries of the raw journal.
type RawQuery struct {
	PageQuery
	ID       string
	Channel  string
	Unrouted bool // only what went nowhere
	Since    time.Time
}

// RawEntry is one platform request as it came.
type RawEntry struct {
	ID         string    `json:"id"`
	Platform   string    `json:"platform"`
	Namespace  string    `json:"namespace,omitempty"`
	Channel    string    `json:"channel,omitempty"`
	Transport  string    `json:"transport"`
	ReceivedAt time.Time `json:"receivedAt"`
	Size       int       `json:"size"`
	Unrouted   bool      `json:"unrouted"`
	Payload    []byte    `json:"payload,omitempty"` // base64
}

// ReplayResult counts what a replay did.
type ReplayResult struct {
	Entries    int `json:"entries"`
	Stored     int `json:"stored"`
	Duplicates int `json:"duplicates"`
	Unrouted   int `json:"unrouted"`
	Invalid    int `json:"invalid"`
}
