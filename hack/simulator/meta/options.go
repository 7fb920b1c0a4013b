package meta

import (
	"log/slog"
	"net/http"
	"time"
)

// Options set up a Server. The zero value is the real service's behaviour with
// no apps.
type Options struct {
	Apps     []AppSpec
	Accounts []AccountSpec
	// AllowHTTP accepts callback URLs with http. For clusters and tests without TLS.
	AllowHTTP bool
	// Client calls webhooks. Default: one of its own, which follows no redirects.
	Client *http.Client
	// Timeout of one webhook request. Default 20 s.
	Timeout time.Duration
	// RetryMin is the pause after the first failure of a webhook, doubled up to
	// RetryMax; RetryFor is when it is given up. Defaults 2 s, 10 min, 36 h.
	RetryMin, RetryMax, RetryFor time.Duration
	// FirstID is added to the ids of messages, so that a simulator that was
	// started again does not repeat those of its former life.
	FirstID int64
	// MediaURL is the base URL of links to people's files, as the adapter reaches
	// this server. Default: that of the request's own host, unknown before the
	// first one; set it where people send files first.
	MediaURL string
	// Now is the clock of windows and timestamps. Default time.Now.
	Now func() time.Time
	// Log gets one line per call and delivery, never texts or tokens. Default: discarded.
	Log *slog.Logger
}

// AppSpec describes an app.
type AppSpec struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
	// HumanAgent says that the app has the permission for the HUMAN_AGENT tag.
	HumanAgent bool `json:"humanAgent,omitempty"`
	// RequireProof refuses calls without an appsecret_proof.
	RequireProof bool `json:"requireProof,omitempty"`
}

// AccountSpec describes a page, or an Instagram account.
type AccountSpec struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"` // of a page; the username of an Instagram account
	// Instagram makes it an Instagram account; Page is the page that it is linked
	// to, empty for an account with Instagram Login.
	Instagram bool   `json:"instagram,omitempty"`
	Page      string `json:"page,omitempty"`
	// Token is the access token of the account (of a page, or of an account with
	// Instagram Login), made through App.
	Token string `json:"token,omitempty"`
	App   string `json:"app,omitempty"`
	// ExpiresAt of the token, Unix seconds; 0: never.
	ExpiresAt int64 `json:"expiresAt,omitempty"`
	// Scopes of the token; default: all that messaging needs.
	Scopes []string `json:"scopes,omitempty"`
}

// Bounds of what a Server keeps.
const (
	keepCalls      = 5_000
	keepDeliveries = 5_000
	keepMessages   = 5_000 // of one thread
	keepMedia      = 1_000 // files
)

func (o *Options) setDefaults() {
	defaults(&o.Timeout, 20*time.Second)
	defaults(&o.RetryMin, 2*time.Second)
	defaults(&o.RetryMax, 10*time.Minute)
	defaults(&o.RetryFor, 36*time.Hour)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Client == nil {
		o.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
}

func defaults[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
