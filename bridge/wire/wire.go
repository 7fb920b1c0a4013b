// Package wire is the internal API between bridges and the store: requests and
// answers as they stand in JSON over HTTP/2 with mutual TLS.
//
//	bridge                                             store
//	  POST /internal/v1/ingest   IngestRequest   ──►  one transaction, then 200
//	  POST /internal/v1/session  SessionRequest  ──►  assignments of this bridge's channels
//	  POST /internal/v1/lease    LeaseRequest    ──►  long poll for deliveries
//	  POST /internal/v1/report   ReportRequest   ──►  outcomes of parts
//	  POST /internal/v1/media-lease MediaLeaseRequest ──► attachments to fetch
//	  PUT  /internal/v1/media/{id}   the bytes   ──►  kept
//	  GET  /internal/v1/media/{id}   ◄── the bytes of an outbound attachment
//	  POST /internal/v1/media/{id}/report MediaReport
//
// The caller is the Bridge named by its client certificate; a channel that the
// store document does not give to that Bridge is refused per element
// (ResultForbidden) or, where a request is about one channel, with 403.
// Errors of a whole request are RFC 9457 problems; 503 means: nothing was
// committed, try again.
package wire

import (
	"encoding/json"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Paths of the internal API.
const (
	PathIngest     = "/internal/v1/ingest"
	PathSession    = "/internal/v1/session"
	PathLease      = "/internal/v1/lease"
	PathReport     = "/internal/v1/report"
	PathMedia      = "/internal/v1/media/" // + id
	PathMediaLease = "/internal/v1/media-lease"
)

// IngestRequest carries what platforms told, each Envelope being one platform
// request (a webhook, one batch of a poll). Envelopes stand or fall alone, but
// all are committed in one transaction before the answer.
type IngestRequest struct {
	Envelopes []Envelope `json:"envelopes"`
}

// Envelope is one platform request: its raw payload for the journal and the
// events parsed from it.
type Envelope struct {
	Platform string `json:"platform"`
	// Channel ("namespace/name") that the URL or the poller stands for; empty
	// where the URL serves several and the elements name their accounts.
	Channel string `json:"channel,omitempty"`
	// App is the platform's id of the app that the URL, or Channel, belongs to;
	// empty where the platform has no URL per app. A replay may give an element
	// for an account that nobody had here to a channel of the same app.
	App string `json:"app,omitempty"`
	// Refused are the accounts of channels that were there and would not have
	// accepted the request themselves. No replay ever gives them any of it.
	Refused []string `json:"refused,omitempty"`
	// Vouched are the namespaces of the channels of App that have accepted the
	// request. A replay gives what nobody had here to a channel in one of them.
	Vouched    []string  `json:"vouched,omitempty"`
	ReceivedAt time.Time `json:"receivedAt"`
	Raw        []byte    `json:"raw,omitempty"`
	// Transport is how it came: "webhook", "polling", "replay".
	Transport string    `json:"transport"`
	Elements  []Element `json:"elements"`
	// Fence is set by a connection (polled channels): a stale token refuses the
	// whole envelope, else the cursor is committed with the messages.
	Fence *Fence `json:"fence,omitempty"`
}

// Element is one event of an envelope with the channel it goes to.
type Element struct {
	// Channel is "namespace/name"; empty: nobody here has Event.Account, and
	// the raw journal keeps the payload as unrouted.
	Channel string        `json:"channel,omitempty"`
	Event   message.Event `json:"event"`
}

// Fence proves that its holder still has the channel's lease.
type Fence struct {
	Token  int64  `json:"token"`
	Cursor string `json:"cursor,omitempty"` // the platform's new offset
}

// Result is what became of an element.
type Result string

const (
	ResultStored    Result = "stored"
	ResultDuplicate Result = "duplicate" // was there already: acknowledged, changed nothing
	ResultParked    Result = "parked"    // a receipt waits for its message
	ResultUnrouted  Result = "unrouted"  // kept in the raw journal
	ResultForbidden Result = "forbidden" // not a channel of this Bridge, or the account of one that the Bridge does not know at the moment
	ResultInvalid   Result = "invalid"   // will never be accepted; Message says why; kept in the raw journal
	ResultStale     Result = "stale"     // the fence is another's; stop polling
)

// IngestResponse has one EnvelopeResult per Envelope, in order. Every element
// but ResultForbidden and ResultStale is durable when it arrives.
type IngestResponse struct {
	Envelopes []EnvelopeResult `json:"envelopes"`
}

// EnvelopeResult has one ElementResult per Element, in order.
type EnvelopeResult struct {
	// Result is set where the envelope was refused as a whole, which one without
	// elements could not say otherwise: ResultStale, or ResultForbidden.
	Result   Result          `json:"result,omitempty"`
	Elements []ElementResult `json:"elements"`
}

// ElementResult is the fate of one element.
type ElementResult struct {
	Result  Result `json:"result"`
	ID      string `json:"id,omitempty"` // of the stored message
	Message string `json:"message,omitempty"`
}

// SessionRequest opens or renews the session of one bridge process.
type SessionRequest struct {
	// Instance names the process; a restarted pod is another instance.
	Instance string `json:"instance"`
	// Revision of the assignments the caller knows; the answer has Assignments
	// only when they changed since.
	Revision int64 `json:"revision"`
	// Close ends the session: its channels go to another at once.
	Close bool `json:"close,omitempty"`
	// Accepted are channels of the caller whose credentials the platform has just
	// accepted: sends that waited because it refused them go on at once.
	Accepted []string `json:"accepted,omitempty"`
}

// SessionResponse gives the caller its channels. A holder that has not renewed
// for TTL/3 after a due renewal stops its connections and duties by itself,
// long before the store gives them to another at TTL.
type SessionResponse struct {
	TTL      time.Duration `json:"ttl"` // nanoseconds
	Revision int64         `json:"revision"`
	// Changed says that Assignments is the whole new list.
	Changed     bool         `json:"changed"`
	Assignments []Assignment `json:"assignments,omitempty"`
	// Refused are those of the caller's channels whose sends wait because the
	// platform refused the credentials (ErrAuthInvalid), from whichever replica
	// they were sent. Each answer has all of them.
	Refused []string `json:"refused,omitempty"`
}

// Assignment is a channel (or tombstone, by its former channel's name) whose
// connection and duties the session holder has.
type Assignment struct {
	Channel string `json:"channel"`
	Token   int64  `json:"token"` // grows with every new holder
	Cursor  string `json:"cursor,omitempty"`
}

// LeaseRequest asks for deliveries of the caller's channels.
type LeaseRequest struct {
	Instance string `json:"instance"`
	Max      int    `json:"max"`
	// Wait is how long the store may hold the request when there is nothing to do.
	Wait time.Duration `json:"wait"` // nanoseconds
	// Paused channels are not leased to this caller (breaker open, not loaded yet).
	Paused []string `json:"paused,omitempty"`
}

// LeaseResponse has at most one Delivery per lane.
type LeaseResponse struct {
	Deliveries []Delivery `json:"deliveries"`
}

// Delivery is an outbound message whose lane the caller holds until Expires.
type Delivery struct {
	ID      string `json:"id"` // of the message
	Channel string `json:"channel"`
	To      string `json:"to"` // external id of the contact
	ReplyTo string `json:"replyTo,omitempty"`
	// Extended: the messaging window is over, a person answers within the
	// platform's longer window for people.
	Extended bool          `json:"extended,omitempty"`
	Lease    int64         `json:"lease"`   // token to report with
	Expires  time.Duration `json:"expires"` // from now, nanoseconds
	Attempt  int           `json:"attempt"` // 1 for the first
	// Parts that are still to be sent, in order.
	Parts []Part `json:"parts"`
}

// Part is one platform request of a message. Index counts from 0 over all
// parts of the message. The content is fixed when the message is queued, so
// that a retry sends exactly what is missing.
type Part struct {
	Index      int                 `json:"index"`
	Text       string              `json:"text,omitempty"`
	Attachment *message.Attachment `json:"attachment,omitempty"`
	// Attachments stand for Attachment where one platform message carries the
	// text and all of them.
	Attachments []message.Attachment `json:"attachments,omitempty"`
	// Mail continues an email's thread: subject and references.
	Mail        *message.Mail       `json:"mail,omitempty"`
	Location    *message.Location   `json:"location,omitempty"`
	Buttons     []message.Button    `json:"buttons,omitempty"`
	ButtonStyle message.ButtonStyle `json:"buttonStyle,omitempty"`
	Template    *message.Template   `json:"template,omitempty"`
	// Action is set for parts that change an earlier message: edit, deletion, reaction.
	Action message.Type `json:"action,omitempty"`
	Target string       `json:"target,omitempty"` // external id for Action
	Emoji  string       `json:"emoji,omitempty"`
}

// ReportRequest tells what became of leased parts.
type ReportRequest struct {
	Instance string       `json:"instance"`
	Reports  []PartReport `json:"reports"`
}

// Outcome is what became of a part.
type Outcome string

const (
	OutcomeSent     Outcome = "sent"
	OutcomeRetry    Outcome = "retry"    // not sent for sure; try again at RetryAfter or by backoff
	OutcomeFailed   Outcome = "failed"   // refused for good
	OutcomeUnknown  Outcome = "unknown"  // may have been sent
	OutcomeReleased Outcome = "released" // not tried; give it back
	OutcomeMigrated Outcome = "migrated" // the contact's address is NewAddress; try again there
	OutcomeSending  Outcome = "sending"  // about to be tried: a crash from here on is unknown, not retry
)

// ErrorClass is the class of a platform's refusal.
type ErrorClass string

const (
	ErrRetryable       ErrorClass = "Retryable"
	ErrRateLimited     ErrorClass = "RateLimited"
	ErrAuthInvalid     ErrorClass = "AuthInvalid"
	ErrOutsideWindow   ErrorClass = "OutsideWindow"
	ErrRecipientGone   ErrorClass = "RecipientGone"
	ErrContentRejected ErrorClass = "ContentRejected"
	ErrMisconfigured   ErrorClass = "Misconfigured"
	ErrUnknown         ErrorClass = "Unknown"
)

// RateScope is what a rate limit holds for.
type RateScope string

const (
	ScopeChannel RateScope = "channel"
	ScopeContact RateScope = "contact"
)

// PartReport is one outcome. ExternalIDs are recorded even when the lease is
// over; only a valid lease moves the lane.
type PartReport struct {
	Delivery    string        `json:"delivery"`
	Channel     string        `json:"channel"`
	Lease       int64         `json:"lease"`
	Part        int           `json:"part"`
	Outcome     Outcome       `json:"outcome"`
	ExternalIDs []string      `json:"externalIds,omitempty"`
	SentAt      time.Time     `json:"sentAt,omitzero"`
	Class       ErrorClass    `json:"class,omitempty"`
	Reason      string        `json:"reason,omitempty"` // the platform's words, secrets and personal data removed
	RetryAfter  time.Duration `json:"retryAfter,omitempty"`
	Scope       RateScope     `json:"scope,omitempty"`
	NewAddress  string        `json:"newAddress,omitempty"`
	// Hold asks, with OutcomeSending, for a lease that lasts this long from now,
	// where the part takes longer than leases do (a large upload). 0: as usual.
	Hold time.Duration `json:"hold,omitempty"`
}

// ReportResponse has one result per report: false when the lease was over.
type ReportResponse struct {
	Accepted []bool `json:"accepted"`
}

// MediaLeaseRequest asks for attachments to fetch from the platform.
type MediaLeaseRequest struct {
	Instance string        `json:"instance"`
	Max      int           `json:"max"`
	Wait     time.Duration `json:"wait"`
}

// MediaLeaseResponse is the work: fetch Ref, then PUT the bytes or report.
type MediaLeaseResponse struct {
	Jobs []MediaJob `json:"jobs"`
}

// MediaJob is one attachment to fetch.
type MediaJob struct {
	ID      string       `json:"id"` // of the media
	Channel string       `json:"channel"`
	Ref     string       `json:"ref"` // the platform's handle
	Kind    message.Type `json:"kind"`
	Lease   int64        `json:"lease"`
	Attempt int          `json:"attempt"`
}

// MediaReport says that an attachment was not fetched.
type MediaReport struct {
	Lease      int64         `json:"lease"`
	Gone       bool          `json:"gone"` // never again: too large, expired, not there
	Reason     string        `json:"reason"`
	RetryAfter time.Duration `json:"retryAfter,omitempty"`
}

// Problem is an RFC 9457 problem, the error body of REST and of this API.
type Problem struct {
	Type   string          `json:"type,omitempty"`
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail,omitempty"`
	Errors json.RawMessage `json:"errors,omitempty"`
}
