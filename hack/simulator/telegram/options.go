package telegram

import (
	"log/slog"
	"net/http"
	"time"
)

// Options set up a Server. The zero value is the real service's behaviour with
// no bots.
type Options struct {
	// Bots exist from the start; more can be added with AddBot.
	Bots []BotSpec
	// AllowHTTP accepts webhook URLs with http, any port and private addresses,
	// as the real server does with --local. For clusters and tests without TLS.
	AllowHTTP bool
	// Limits are the rate limits; zero fields get DefaultLimits' values.
	Limits Limits
	// Webhook tunes deliveries; zero fields get the real service's values.
	Webhook WebhookOptions
	// Memory bounds what is kept; zero fields get DefaultMemory's values.
	Memory Memory
	// CallbackTTL is how long a pressed button can be answered. Default 150 s:
	// the life of a callback query in the real server's queue.
	CallbackTTL time.Duration
	// ConflictDelay is how long a repeated 409 to getUpdates is held back.
	// Default 3 s, as in the real server: it slows two fighting pollers down.
	ConflictDelay time.Duration
	// Seed makes ids and faults repeatable. 0 means 1: a simulator that behaves
	// differently every time finds failures that nobody can repeat.
	Seed uint64
	// FirstID is added to the ids of messages, and of users and groups made
	// without one. A program that restarts sets it, so that nobody who remembers
	// its former life takes new messages for old ones.
	FirstID int64
	// Now is the clock for dates, rate limits and ages. Default time.Now.
	Now func() time.Time
	// FetchClient fetches files that a bot names by URL. Default: 10 s timeout.
	FetchClient *http.Client
	// Log gets one line per call and delivery, never texts or tokens. Default:
	// discarded.
	Log *slog.Logger
}

// BotSpec describes a bot to create.
type BotSpec struct {
	ID       int64  `json:"id"`
	Secret   string `json:"secret"` // the part of the token after the colon
	Username string `json:"username"`
	Name     string `json:"name,omitempty"` // default: the username
}

// Limits are rates of messages that a bot may send.
type Limits struct {
	// Off turns the limits off.
	Off bool `json:"off,omitempty"`
	// PerChat is messages per second to one private chat; PerChatBurst how many
	// may come at once. The FAQ says 1 per second and "short bursts".
	PerChat      float64 `json:"perChat,omitempty"`
	PerChatBurst int     `json:"perChatBurst,omitempty"`
	// PerGroupMinute is messages per minute to one group.
	PerGroupMinute float64 `json:"perGroupMinute,omitempty"`
	// Overall is messages per second of a bot, which is also its burst.
	Overall float64 `json:"overall,omitempty"`
}

// DefaultLimits are the numbers of the bots FAQ: about 30 messages per second
// in all, 1 per second to a chat, 20 per minute to a group. The burst of 3 is
// a guess at its "short bursts".
var DefaultLimits = Limits{PerChat: 1, PerChatBurst: 3, PerGroupMinute: 20, Overall: 30}

// WebhookOptions tune deliveries to webhooks.
type WebhookOptions struct {
	// Client posts updates; its CheckRedirect is ignored (the real service does
	// not follow redirects). Default: a client of its own.
	Client *http.Client
	// Timeout of one request. Default 60 s, the real server's.
	Timeout time.Duration
	// RetryMin is the delay after the second failure, doubled up to RetryMax;
	// the first failure is repeated at once. Defaults 2 s and 60 s.
	RetryMin, RetryMax time.Duration
	// SetInterval is the shortest time between two setWebhook calls. Default
	// 1 s; below that the answer is 429. Negative: none.
	SetInterval time.Duration
}

// Memory bounds what a Server keeps.
type Memory struct {
	Updates    int   // pending per bot; further ones are lost, as in the real server
	Messages   int   // per chat; the oldest is forgotten
	Transcript int   // entries per chat
	Calls      int   // of the call log, per server
	Deliveries int   // of the delivery log, per bot
	FileBytes  int64 // of all files; the oldest is forgotten
}

// DefaultMemory keeps a server below about 500 MiB in the worst case, half of
// it files: 10 files of the largest upload (50 MB) rarely meet in one test.
var DefaultMemory = Memory{Updates: 10_000, Messages: 5_000, Transcript: 5_000, Calls: 5_000, Deliveries: 2_000, FileBytes: 256 << 20}

func (o *Options) setDefaults() {
	o.Limits = o.Limits.withDefaults()
	setDefault(&o.Webhook.Timeout, 60*time.Second)
	setDefault(&o.Webhook.RetryMin, 2*time.Second)
	setDefault(&o.Webhook.RetryMax, 60*time.Second)
	setDefault(&o.Webhook.SetInterval, time.Second)
	setDefault(&o.Memory.Updates, DefaultMemory.Updates)
	setDefault(&o.Memory.Messages, DefaultMemory.Messages)
	setDefault(&o.Memory.Transcript, DefaultMemory.Transcript)
	setDefault(&o.Memory.Calls, DefaultMemory.Calls)
	setDefault(&o.Memory.Deliveries, DefaultMemory.Deliveries)
	setDefault(&o.Memory.FileBytes, DefaultMemory.FileBytes)
	setDefault(&o.CallbackTTL, 150*time.Second)
	setDefault(&o.ConflictDelay, 3*time.Second)
	setDefault(&o.Seed, 1)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FetchClient == nil {
		o.FetchClient = &http.Client{Timeout: 10 * time.Second}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
