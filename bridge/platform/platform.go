package platform

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Platform is one messaging platform.
type Platform interface {
	// Name is the platform's name as in Channel.spec.platform, e.g. "telegram".
	Name() string
	Capabilities() Capabilities
	// Load checks a channel's entry and makes what the other methods take. An
	// error is a *FieldError when a field can be named; the channel keeps its
	// last good version then.
	Load(ctx context.Context, spec LoadSpec) (Channel, error)
	// Verify says whether a webhook request was made by the platform for this
	// channel, with any of the channel's current or still valid previous
	// secrets. It is pure, constant-time in the secrets, and never says why not.
	Verify(ch Channel, r Request, now time.Time) bool
	// Parse turns a verified payload into events; account is the channel's, or
	// empty where one URL serves several. It needs no credentials, so that the
	// store can parse its raw journal again. Elements that it does not know
	// become message.TypeUnsupported or nothing, never an error: an error means
	// that the whole payload is malformed (answered with 400).
	Parse(account string, body []byte) ([]message.Event, error)
	// Send does one part. The error is an *Error with its class.
	Send(ctx context.Context, ch Channel, out Outgoing) (SendResult, error)
	// Probe asks the platform whether the credentials work and whose they are.
	Probe(ctx context.Context, ch Channel) (ProbeResult, error)
}

// Channel is a loaded channel, made by Load and opaque to the gateway.
type Channel interface {
	// Name is "namespace/name".
	Name() string
	// Secrets are the values that must never be logged; the gateway's redactor
	// removes them from every error text.
	Secrets() []string
}

// LoadSpec is what Load gets.
type LoadSpec struct {
	Name     string // "namespace/name"
	Spec     document.Channel
	Endpoint string // base URL that replaces the platform's own; empty: the platform's
	// PublicURL is where platforms reach this bridge, without a trailing slash;
	// empty: nowhere.
	PublicURL string
	Client    *http.Client
	// AllowPrivate says that hosts which the channel itself names may be in
	// private address ranges. Client is made accordingly; this is for platforms
	// that speak other protocols (NewDialer).
	AllowPrivate bool
	// LastOfApp of a tombstone: the app's own subscription goes as well.
	LastOfApp bool
}

// Request is a webhook request with its body, read and bounded by the gateway.
type Request struct {
	Method string
	Header http.Header
	URL    string // the public URL as the platform called it
	Body   []byte
}

// Outgoing is one part of a delivery with what is needed to send it.
type Outgoing struct {
	Delivery string // message id; the idempotency key where the platform has one
	To       string // external id of the contact
	ReplyTo  string // external id; set on the first part only
	// Extended says that the messaging window is over and a person answers
	// within Capabilities.AgentWindow.
	Extended bool
	Part     wire.Part
	// OpenMedia opens the bytes of Part.Attachment when it is kept by the store.
	OpenMedia func(ctx context.Context, id string) (io.ReadCloser, error)
}

// SendResult is a successful send.
type SendResult struct {
	// ExternalIDs is one, or several where a platform makes several messages;
	// none for an edit, a deletion or a reaction.
	ExternalIDs []string
	// SentAt is the platform's time, which watermarks are compared with. Where the
	// answer names none and there are watermarks: no later than it. Zero: now.
	SentAt     time.Time
	NewAddress string // the contact's address changed and this is where it went
}

// ProbeResult is what the platform says of the credentials.
type ProbeResult struct {
	Account     string // must equal the channel's account, else Misconfigured
	DisplayName string
	ExpiresAt   time.Time // zero: never
}

// Capabilities is what a platform can do; see the table in this package's README.
type Capabilities struct {
	Maintenance Maintenance
	Receive     []document.Receive // the first is the default
	// AppWebhook says that the platform sends to one URL per app,
	// /webhooks/apps/{platform}/{app}, and elements name their accounts.
	AppWebhook   bool
	Text         TextLimit      // Max 0: not bounded
	Caption      TextLimit      // Max 0: no captions; they follow as texts
	Attachments  []message.Type // kinds that can be sent
	Uncaptioned  []message.Type // those of Attachments that cannot bear a caption
	MaxUpload    int64          // bytes of an attachment that can be sent; 0: not bounded here
	Bundle       bool           // one message carries a text and all attachments
	Threads      bool           // messages have a subject and the ids of their thread (email)
	Location     bool           // a location can be sent
	Buttons      int            // how many a message may have; 0: none
	QuickReplies int            // how many of style quickReplies; 0: the platform has one style only
	Cards        int            // how many cards a template may have; 0: no templates
	// ButtonPayload bounds a button's payload, ButtonTitle what it shows; Max 0:
	// not bounded.
	ButtonPayload TextLimit
	ButtonTitle   TextLimit
	// ButtonText bounds the text that buttons stay with (ButtonStyleButtons)
	// where that is less than Text; Max 0: it is not.
	ButtonText TextLimit
	Edit       bool // an outbound message can be changed
	Delete     bool
	React      bool
	ReplyTo    bool
	Receipts   []message.Status // what the platform tells beyond sent
	Window     time.Duration    // 0: no messaging window
	// WindowOpeners are what a contact can do beside writing that opens the
	// messaging window as a message does: of the types that change another message.
	WindowOpeners []message.Type
	// AdWindow is how long the window stays open after a message that an ad led to,
	// at most: the platform may close it sooner, and refuses then (OutsideWindow).
	// AdSource is the Referral.Source that tells such a message. 0: no longer than
	// Window.
	AdWindow time.Duration
	AdSource string
	// AgentWindow is how long people may answer where a channel allows it beyond
	// Window; what is sent then has Outgoing.Extended. 0: no longer than Window.
	AgentWindow time.Duration
	Idempotent  bool          // a send repeated with the same Delivery and Part is done once
	Retries     bool          // the platform repeats a webhook that was not answered with 2xx
	Patience    time.Duration // how long it waits for an answer to a webhook
	RatePerSec  float64       // sends per second of a channel; 0: not bounded here
	LaneRate    float64       // sends per second to one contact; 0: not bounded here
	MaxBody     int64         // bytes of a webhook
	MaxMedia    int64         // bytes of an attachment that can be fetched
	Secrets     []SecretKey   // keys of the credentials Secret
}

// MediaLimit is how many bytes of an attachment a channel fetches: the smaller of
// what the platform gives and the channel's own limit (0: it has none).
func (c Capabilities) MediaLimit(own int64) int64 {
	limit := cmp.Or(c.MaxMedia, document.DefaultMaxMediaBytes)
	if own > 0 {
		limit = min(limit, own)
	}
	return limit
}

// Maintenance tells users how much to trust a platform's code.
type Maintenance string

const (
	Maintained   Maintenance = "maintained"
	Experimental Maintenance = "experimental"
)

// TextLimit bounds a text in the platform's own unit.
type TextLimit struct {
	Max  int
	Unit Unit
}

// Unit is how a platform counts text.
type Unit string

const (
	UnitUTF16     Unit = "utf16"     // UTF-16 code units (Telegram, JavaScript)
	UnitRunes     Unit = "runes"     // Unicode code points
	UnitBytes     Unit = "bytes"     // UTF-8 bytes
	UnitGraphemes Unit = "graphemes" // user-perceived characters
)

// SecretKey is one key of a platform's credentials Secret.
type SecretKey struct {
	Name        string
	Required    bool
	Description string
}

// FieldError is a mistake in a channel's entry, with the path below spec of
// the Channel ("telegram.botID", "credentials") and the way out.
type FieldError struct {
	Field   string
	Message string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// Error is a platform's refusal or a failure to reach it.
type Error struct {
	Class      wire.ErrorClass
	Reason     string // for people: the platform's words, no secrets, nothing personal
	RetryAfter time.Duration
	Scope      wire.RateScope
	// MaybeSent says that the request may have been carried out (the connection
	// broke after it was written, a 5xx): without an idempotency key the outcome
	// of a send is unknown.
	MaybeSent  bool
	NewAddress string // the contact moved: try again there
	// NotDelivered says, in an error of Register, that the platform answered and
	// everything is registered, but by its own account it cannot deliver to the
	// webhook. Reason has its words.
	NotDelivered bool
	Err          error
}

func (e *Error) Error() string { return string(e.Class) + ": " + e.Reason }
func (e *Error) Unwrap() error { return e.Err }

// Grouped is a Channel that may verify the same requests as others do: those
// with the same group. Where one URL serves all channels of an app, a request
// is verified once for each group instead of once for each channel.
type Grouped interface {
	VerifyGroup() string
}

// Poller is a platform whose messages can be fetched. Run loops until ctx is
// done: it fetches from cursor, hands each batch to deliver, and confirms it at
// the platform only after deliver returned nil (the store has committed it).
// A batch that deliver refuses is handed over again, with pauses. report hears
// what goes wrong, and nil once it works (again).
type Poller interface {
	Run(ctx context.Context, ch Channel, cursor string, deliver func(ctx context.Context, b Batch) error, report func(error)) error
}

// Batch is what one fetch brought: payloads as the platform sent them, each
// with its events, and the cursor after it.
type Batch struct {
	Raw    []byte
	Events []message.Event
	Cursor string
}

// Registrar is a platform at which webhooks are registered by API.
type Registrar interface {
	// Register makes the platform send the channel's messages to its webhook
	// URL with its current secret. It looks first and changes only what differs.
	// taken is the URL that somebody else registered in place of ours since
	// registered (what we set last; empty at first): then nothing is changed.
	// Where the platform tells that it cannot deliver to a webhook that is
	// registered, the error is an *Error with NotDelivered.
	Register(ctx context.Context, ch Channel, registered string) (taken string, err error)
	// Unregister removes the registration if it is still ours. It succeeds when
	// there is nothing to remove.
	Unregister(ctx context.Context, ch Channel) error
}

// Profiler is a platform with a public profile (commands, greeting, menu).
type Profiler interface {
	// SyncProfile compares the desired profile with what stands and repairs the
	// difference; changed names the fields that it repaired.
	SyncProfile(ctx context.Context, ch Channel) (changed []string, err error)
}

// MediaFetcher is a platform whose attachments are fetched by handle.
type MediaFetcher interface {
	// FetchMedia opens the bytes of a handle; the caller closes and bounds them.
	FetchMedia(ctx context.Context, ch Channel, ref string) (Media, error)
}

// Media is an open attachment.
type Media struct {
	Body     io.ReadCloser
	MimeType string
	Name     string
	Size     int64 // -1: not told
}

// Handshaker is a platform that calls the URL with a challenge before it
// sends anything. handled is false for ordinary requests.
type Handshaker interface {
	Handshake(ch Channel, r *http.Request) (status int, body []byte, handled bool)
}

// Acker is a platform that wants a word back for some events (Telegram:
// answerCallbackQuery). It is called after the event is durable; failures are
// counted, never retried.
type Acker interface {
	Ack(ctx context.Context, ch Channel, e message.Event) error
}

// PayloadAcker is a platform that wants a word back also for what becomes no
// event (Telegram: inline queries).
type PayloadAcker interface {
	// PayloadAcks lists, in a verified payload that is durable by now, what wants
	// a word, each as a key for AckPayload. It is called for every payload, so it
	// must cost nothing where there is none; nil as a rule.
	PayloadAcks(body []byte) []string
	// AckPayload gives one of them its word; failures are counted, never retried.
	AckPayload(ctx context.Context, ch Channel, key string) error
}

// SendTimeouter is a platform some of whose parts take longer to send than the
// gateway's usual time (outbox.SendTimeout, 30 s): uploads.
type SendTimeouter interface {
	// SendTimeout is how long sending a part may take, by its size; 0: the usual.
	SendTimeout(part wire.Part) time.Duration
}

// ConfigOf decodes the platform's typed block of a channel.
func ConfigOf[T any](raw json.RawMessage) (T, error) {
	var v T
	if len(raw) == 0 {
		return v, nil
	}
	err := json.Unmarshal(raw, &v)
	return v, err
}
