package meta

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// Hosts of the Graph API.
const (
	FacebookHost  = "https://graph.facebook.com"
	InstagramHost = "https://graph.instagram.com"
)

// Keys of the credentials Secret that both products have. Each has a key of
// its own for the access token besides.
const (
	KeyAppSecret   = "appSecret"
	KeyVerifyToken = "verifyToken"
)

// Product is what differs between Messenger and Instagram. All fields are
// required unless they say otherwise; a Product is never changed.
type Product struct {
	Name         string // of the platform
	Object       string // of webhooks and subscriptions: "page", "instagram"
	TokenKey     string // of the credentials Secret
	Capabilities platform.Capabilities
	// Account reads the platform's block of a Channel; it is empty for one that
	// is gone, when the token is all there is. The error is a *platform.FieldError.
	Account func(raw json.RawMessage, token string) (Account, error)
	// Reactions says that the API can react; the sender_action is "react".
	Reactions bool
	// MessagingType says that sends name their messaging_type.
	MessagingType bool
}

// Account is a Channel's block, read and checked.
type Account struct {
	ID      string // the account's, as elements name it
	App     string
	Version string // of the Graph API; empty: DefaultVersion
	Host    string // of the Graph API, unless the Bridge names another
	// Page is the node that stands for the account in the API: the page itself,
	// the page that an Instagram account is linked to, or the account.
	Page string // Myself where it is not known
	// Fields are what Page is subscribed to for the app.
	Fields []string
	// WhoAmI are the fields of /me that tell whose token it is: the id that must
	// be ID, or Page where LinkedID is set, and names.
	WhoAmI string
	// LinkedID reads the account's id where /me is its page; nil: /me is the account.
	LinkedID func(me Me) string
	// Scopes are the permissions that the token needs; empty: the token cannot be
	// inspected by the app, and nobody tells when it ends.
	Scopes []string
	// TokenLife is how long a token without Scopes lives; zero: unknown.
	TokenLife time.Duration
	// AppFields are what the app is subscribed to; empty: the app's webhook is
	// set on its dashboard and cannot be registered by API.
	AppFields []string
	// PageQuery is added to calls of the profile and of attachments, where the
	// page stands for an account of the other product; nil: none.
	PageQuery url.Values
	Profile   *Profile
}

// Myself is the node of whoever the token is of. A tombstone knows no other.
const Myself = "me"

// DefaultVersion of the Graph API: what this code was written against.
const DefaultVersion = "v25.0"

// Platform serves one product. It is safe for concurrent use.
type Platform struct {
	product Product
	now     func() time.Time

	apps    *apps
	uploads *uploads
	usage   *usage
}

// New makes the platform of a product.
func New(p Product) *Platform {
	return &Platform{product: p, now: time.Now, apps: newApps(), uploads: newUploads(), usage: newUsage()}
}

var (
	_ platform.Platform     = (*Platform)(nil)
	_ platform.Registrar    = (*Platform)(nil)
	_ platform.Profiler     = (*Platform)(nil)
	_ platform.MediaFetcher = (*Platform)(nil)
	_ platform.Handshaker   = (*Platform)(nil)

	_ platform.SendTimeouter = (*Platform)(nil)
)

// Name implements platform.Platform.
func (p *Platform) Name() string { return p.product.Name }

// Capabilities implements platform.Platform.
func (p *Platform) Capabilities() platform.Capabilities { return p.product.Capabilities }

// Capabilities are what both products can. Sizes are those of the Send API's
// reference (titles 20 characters, payloads 1000, 13 quick replies, 3 buttons,
// 10 cards, 25 MB). Meta allows 300 texts a second for a page, but from 40 on the
// page's inbox suffers. It waits about 5 s for an answer to a webhook; one may
// hold 1000 updates, whose texts have up to 2000 characters, each written with six
// bytes (\u0439): with 400 bytes around them 12.4 MB. A batch that is refused for its
// length would come again as it is, and be dropped in the end. People can send
// videos of up to 100 MB; what is beyond 64 MiB is left at Meta.
func Capabilities() platform.Capabilities {
	return platform.Capabilities{
		Maintenance:   platform.Maintained,
		Receive:       []document.Receive{document.ReceiveWebhook},
		AppWebhook:    true,
		Attachments:   []message.Type{message.TypeImage, message.TypeAudio, message.TypeVideo, message.TypeFile},
		MaxUpload:     25 << 20,
		Buttons:       3,
		QuickReplies:  13,
		Cards:         10,
		ButtonTitle:   platform.TextLimit{Max: 20, Unit: platform.UnitUTF16},
		ButtonPayload: platform.TextLimit{Max: 1000, Unit: platform.UnitUTF16},
		ReplyTo:       true,
		Window:        24 * time.Hour,
		AgentWindow:   7 * 24 * time.Hour,
		WindowOpeners: []message.Type{message.TypeReaction}, // any act of the contact, says the platform's policy of 2026-09;
		AdWindow:      7 * 24 * time.Hour,                   // after a click-to-message ad "up to" seven days
		AdSource:      sourceAds,
		Retries:       true,
		Patience:      5 * time.Second,
		RatePerSec:    40,
		MaxBody:       13 << 20,
		MaxMedia:      64 << 20,
	}
}

// Secrets are the keys of a product's credentials Secret.
func Secrets(tokenKey, token string) []platform.SecretKey {
	return []platform.SecretKey{
		{Name: KeyAppSecret, Required: true, Description: "the secret of the Meta app, which webhooks are signed with"},
		{Name: KeyVerifyToken, Required: true, Description: "any text; Meta shows it when it first calls the webhook"},
		{Name: tokenKey, Required: true, Description: token},
	}
}

// channel is a loaded account.
type channel struct {
	Account
	name       string
	base       string // host and version, without a trailing slash
	secret     string // of the app
	verify     []string
	token      string
	tokenSince time.Time // first seen; zero: unknown
	previous   []previousSecret
	client     *http.Client // of the API
	webhookURL string
	lastOfApp  bool
	secrets    []string
	group      string
	private    bool // media may be fetched from private addresses: the API is there too
}

// Name implements platform.Channel.
func (c *channel) Name() string { return c.name }

// Secrets implements platform.Channel.
func (c *channel) Secrets() []string { return c.secrets }

// VerifyGroup implements platform.Grouped: the channels of one app mostly have
// one secret, and a request is verified once for all of them.
func (c *channel) VerifyGroup() string { return c.group }

// self is the channel as its own type; another platform's is a programming error.
func self(ch platform.Channel) *channel { return ch.(*channel) }

// Load implements platform.Platform.
func (p *Platform) Load(_ context.Context, spec platform.LoadSpec) (platform.Channel, error) {
	account, err := p.product.Account(spec.Spec.Config, strings.TrimSpace(spec.Spec.Credentials[p.product.TokenKey]))
	if err != nil {
		return nil, err
	}
	if err := p.checkAccount(account, spec.Spec); err != nil {
		return nil, err
	}
	account.ID = cmp.Or(account.ID, spec.Spec.Account)
	account.App = cmp.Or(account.App, spec.Spec.App)
	account.Page = cmp.Or(account.Page, account.ID)
	base, err := p.baseURL(account, spec.Endpoint)
	if err != nil {
		return nil, err
	}
	c := &channel{
		Account: account, name: spec.Name, base: base, client: spec.Client, webhookURL: spec.Spec.WebhookURL,
		tokenSince: spec.Spec.CredentialsSince,
		lastOfApp:  spec.LastOfApp, private: spec.Endpoint != "",
	}
	if c.client == nil {
		c.client = platform.NewClient(platform.GuardOptions{AllowPrivate: c.private})
	}
	if err := p.loadCredentials(c, spec.Spec); err != nil {
		return nil, err
	}
	return c, nil
}

// checkAccount compares the block with what the document says elsewhere:
// documents are also made from files, without a schema.
func (p *Platform) checkAccount(a Account, spec document.Channel) error {
	name := p.product.Name
	switch {
	case spec.App == "" && a.App == "":
		return &platform.FieldError{Field: name + ".appID", Message: "is empty; the id of the Meta app stands on its dashboard"}
	case a.ID != "" && a.ID != spec.Account:
		return &platform.FieldError{Field: name, Message: fmt.Sprintf("is of account %s, the channel's is %s", a.ID, spec.Account)}
	case a.App != "" && spec.App != "" && a.App != spec.App:
		return &platform.FieldError{Field: name + ".appID", Message: fmt.Sprintf("is %s, the channel's is %s", a.App, spec.App)}
	}
	if a.Profile != nil {
		return a.Profile.check(name + ".profile")
	}
	return nil
}

func (p *Platform) baseURL(a Account, endpoint string) (string, error) {
	version := cmp.Or(a.Version, DefaultVersion)
	if endpoint == "" {
		return a.Host + "/" + version, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", &platform.FieldError{Field: "platformEndpoints", Message: fmt.Sprintf("the base URL for %s must be like https://graph-proxy.example.com", p.product.Name)}
	}
	return strings.TrimRight(endpoint, "/") + "/" + version, nil
}
