package email

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// Name of the platform, as in Channel.spec.platform.
const Name = "email"

// Keys of the credentials Secret. Which ones are needed follows from
// email.auth.
const (
	KeyPassword     = "password"
	KeyAccessToken  = "accessToken"
	KeyRefreshToken = "refreshToken"
	KeyClientSecret = "clientSecret"
)

// Platform is email. The zero value works; the fields are for tests.
type Platform struct {
	// IdleFor is how long one IDLE lasts; 5 min by default.
	IdleFor time.Duration
	// PollEvery is the pause between two looks at a server without IDLE; 1 min by
	// default.
	PollEvery time.Duration
	// Backoff is the pause after the first failure, doubled with each further one
	// up to 1 min. 1 s by default. What a person must mend is tried every 5 to 30
	// min, whatever it says.
	Backoff time.Duration
	// KeepFor is how long a connection that has taken a mail waits for the next one
	// of its Channel; 8 s by default.
	KeepFor time.Duration
	// Patience is how long a mailbox's server may be silent when it owes an
	// answer, ten times that while it searches; 30 s by default.
	Patience time.Duration

	now func() time.Time
}

// New makes the platform.
func New() *Platform { return &Platform{} }

var (
	_ platform.Platform      = (*Platform)(nil)
	_ platform.Poller        = (*Platform)(nil)
	_ platform.MediaFetcher  = (*Platform)(nil)
	_ platform.SendTimeouter = (*Platform)(nil)
)

// Name implements platform.Platform.
func (p *Platform) Name() string { return Name }

const (
	// maxUpload is what is left of the 25 MB that most servers take for a mail
	// after base64 (4 bytes for 3, and a line end for 57): 25 MB / 1.37.
	maxUpload = 18 << 20
	// maxMedia: few servers take a mail of more than 50 MB.
	maxMedia = 50 << 20
)

// Capabilities implements platform.Platform.
//
// Nothing at all is idempotent in SMTP: a mail that was taken twice is two mails
// for the servers, though with one Message-ID, which most mailboxes show as one.
// So an unknown outcome stays unknown unless the Channel says otherwise.
// Submission servers allow some tens of mails a minute (Microsoft 365: 30) up to
// some hundreds; 5 a second is a burst that none refuses, and what is too much
// in the long run they say with a 4xx.
func (p *Platform) Capabilities() platform.Capabilities {
	return platform.Capabilities{
		Maintenance: platform.Maintained,
		Receive:     []document.Receive{document.ReceivePolling},
		Attachments: []message.Type{message.TypeImage, message.TypeAudio, message.TypeVideo, message.TypeFile, message.TypeSticker},
		MaxUpload:   maxUpload,
		Bundle:      true,
		Threads:     true,
		ReplyTo:     true,
		Receipts:    []message.Status{message.StatusFailed},
		RatePerSec:  5,
		MaxBody:     maxBatchBytes,
		MaxMedia:    maxMedia,
		Secrets: []platform.SecretKey{
			{Name: KeyPassword, Description: "the mailbox's password, or an app password; for auth.type Password"},
			{Name: KeyAccessToken, Description: "an OAuth 2 access token that something else renews; for auth.type OAuth2 without auth.oauth2"},
			{Name: KeyRefreshToken, Description: "an OAuth 2 refresh token; for auth.oauth2"},
			{Name: KeyClientSecret, Description: "the OAuth 2 client's secret; for auth.oauth2, alone (client credentials) or beside the refresh token"},
		},
	}
}

// channel is a loaded mailbox.
type channel struct {
	name    string
	account string // the address, in lower case
	config  Config
	dialer  *net.Dialer
	tls     *tls.Config // without ServerName
	client  *http.Client
	now     func() time.Time

	password string
	tokens   oauth2.TokenSource // nil: by password
	// media bounds the connections that fetch attachments at one time.
	media   chan struct{}
	secrets []string
	kept    kept
	keepFor time.Duration
	// patience is Platform.Patience.
	patience time.Duration
}

// mediaConnections beside the one that waits for mail: Gmail allows 15 for an
// account, smaller servers 10, and people have their own programs.
const mediaConnections = 3

// Name implements platform.Channel.
func (c *channel) Name() string { return c.name }

// Secrets implements platform.Channel. Tokens that are fetched are not among
// them: they are in nothing but SASL exchanges, which no error repeats.
func (c *channel) Secrets() []string { return c.secrets }

// Load implements platform.Platform. Base URLs of the Bridge do not concern
// mail: the Channel names its servers.
func (p *Platform) Load(_ context.Context, spec platform.LoadSpec) (platform.Channel, error) {
	config, err := platform.ConfigOf[Config](spec.Spec.Config)
	if err != nil {
		return nil, &platform.FieldError{Field: "email", Message: "is not what this version reads: " + err.Error()}
	}
	if err := config.check(spec.Spec.Account, spec.AllowPrivate); err != nil {
		return nil, err
	}
	c := &channel{
		name: spec.Name, account: strings.ToLower(spec.Spec.Account), config: config.withDefaults(),
		dialer: platform.NewDialer(platform.GuardOptions{AllowPrivate: spec.AllowPrivate}),
		tls:    &tls.Config{MinVersion: tls.VersionTLS12},
		client: spec.Client, now: p.clock, media: make(chan struct{}, mediaConnections), keepFor: cmp.Or(p.KeepFor, keepFor),
		patience: cmp.Or(p.Patience, commandTimeout),
	}
	if c.client == nil {
		c.client = platform.NewClient(platform.GuardOptions{AllowPrivate: spec.AllowPrivate})
	}
	if config.CABundle != "" {
		c.tls.RootCAs = x509.NewCertPool()
		if !c.tls.RootCAs.AppendCertsFromPEM([]byte(config.CABundle)) {
			return nil, &platform.FieldError{Field: "email.caBundle", Message: "has no certificate in it; give the CA's certificates in PEM"}
		}
	}
	if err := c.loadCredentials(spec.Spec); err != nil {
		return nil, err
	}
	return c, nil
}

// loadCredentials checks that the Secret has what email.auth asks for.
func (c *channel) loadCredentials(spec document.Channel) error {
	values := map[string]string{}
	for key, value := range spec.Credentials {
		values[key] = strings.TrimSpace(value) // files and editors add line ends
		c.secrets = append(c.secrets, values[key])
	}
	if problem := CheckCredentials(c.config, values); problem != "" {
		return &platform.FieldError{Field: "credentials", Message: problem}
	}
	if c.config.oauth() {
		c.tokens = c.tokenSource(values)
	} else {
		c.password = values[KeyPassword]
	}
	for _, previous := range spec.PreviousCredentials {
		for _, value := range previous.Values {
			c.secrets = append(c.secrets, strings.TrimSpace(value))
		}
	}
	slices.Sort(c.secrets)
	c.secrets = slices.DeleteFunc(slices.Compact(c.secrets), func(s string) bool { return s == "" })
	return nil
}

// CheckCredentials says what is wrong with the values of a credentials Secret
// for a mailbox, without asking any server; empty: nothing. It repeats no value.
func CheckCredentials(config Config, values map[string]string) string {
	has := func(key string) bool { return values[key] != "" }
	switch {
	case !config.oauth():
		if !has(KeyPassword) {
			return `the Secret has no key "password"; put the mailbox's password there, or set email.auth.type to OAuth2`
		}
	case config.Auth.OAuth2 == nil:
		if !has(KeyAccessToken) {
			return `the Secret has no key "accessToken", which email.auth.type OAuth2 needs unless email.auth.oauth2 says where to get one`
		}
	case !has(KeyRefreshToken) && !has(KeyClientSecret):
		return `the Secret has neither "refreshToken" nor "clientSecret"; email.auth.oauth2 needs one of them to get access tokens with`
	}
	return ""
}

// Verify implements platform.Platform. Nothing calls a mailbox's URL.
func (p *Platform) Verify(platform.Channel, platform.Request, time.Time) bool { return false }

// self is the channel as its own type; another platform's is a programming error.
func self(ch platform.Channel) *channel { return ch.(*channel) }

func (p *Platform) clock() time.Time {
	if p.now != nil {
		return p.now()
	}
	return time.Now()
}

// Probe implements platform.Platform: it logs in at both servers, opens the
// mailbox, and sends nothing. Whose the credentials are no server tells; that a
// mailbox may not send from its address is seen at the first mail.
func (p *Platform) Probe(ctx context.Context, ch platform.Channel) (platform.ProbeResult, error) {
	c := self(ch)
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	s, err := c.openMailbox(ctx, nil)
	if err != nil {
		return platform.ProbeResult{}, err
	}
	s.end()
	out, err := c.openSubmission(ctx)
	if err != nil {
		return platform.ProbeResult{}, err
	}
	out.end()
	return platform.ProbeResult{Account: c.account, DisplayName: c.account}, nil
}
