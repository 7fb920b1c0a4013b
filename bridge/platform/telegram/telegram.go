package telegram

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// Name of the platform, as in Channel.spec.platform.
const Name = "telegram"

// DefaultEndpoint is the public Bot API server.
const DefaultEndpoint = "https://api.telegram.org"

// Keys of the credentials Secret.
const (
	KeyToken         = "token"
	KeyWebhookSecret = "webhookSecret"
)

// Platform is Telegram. The zero value works; the fields are for tests and for
// servers that behave differently.
type Platform struct {
	// PollTimeout is how long one getUpdates waits; 25 s by default: below the
	// half minute after which proxies like to cut silent connections.
	PollTimeout time.Duration
	// Backoff is the pause after the first failure of a poll, doubled with each
	// further one up to 30 s. 1 s by default.
	Backoff time.Duration

	now func() time.Time
	// registered remembers what this process has set as webhook, by endpoint and
	// account: Telegram never tells the secret that it uses.
	registered sync.Map // string → registration
}

// New makes the platform.
func New() *Platform { return &Platform{} }

var (
	_ platform.Platform     = (*Platform)(nil)
	_ platform.Poller       = (*Platform)(nil)
	_ platform.Registrar    = (*Platform)(nil)
	_ platform.Profiler     = (*Platform)(nil)
	_ platform.MediaFetcher = (*Platform)(nil)
	_ platform.Acker        = (*Platform)(nil)
	_ platform.PayloadAcker = (*Platform)(nil)

	_ platform.SendTimeouter = (*Platform)(nil)
)

// Name implements platform.Platform.
func (p *Platform) Name() string { return Name }

// maxUpload is the largest file that a bot may send.
const maxUpload = 50 << 20

// Capabilities implements platform.Platform.
//
// Telegram's FAQ names 30 messages a second for a bot and one a second for a
// chat. Its server closes a webhook connection that is silent for 50 s; half of
// that leaves room for the way. A webhook is one update, a few KiB at most.
func (p *Platform) Capabilities() platform.Capabilities {
	return platform.Capabilities{
		Maintenance:   platform.Maintained,
		Receive:       []document.Receive{document.ReceiveWebhook, document.ReceivePolling},
		Text:          platform.TextLimit{Max: 4096, Unit: platform.UnitUTF16},
		Caption:       platform.TextLimit{Max: 1024, Unit: platform.UnitUTF16},
		Attachments:   []message.Type{message.TypeImage, message.TypeAudio, message.TypeVideo, message.TypeFile, message.TypeSticker},
		Uncaptioned:   []message.Type{message.TypeSticker},
		MaxUpload:     maxUpload,
		Location:      true,
		Buttons:       100,
		ButtonPayload: platform.TextLimit{Max: 64, Unit: platform.UnitBytes},
		Edit:          true,
		Delete:        true,
		React:         true,
		ReplyTo:       true,
		Retries:       true,
		Patience:      25 * time.Second,
		RatePerSec:    30,
		LaneRate:      1,
		MaxBody:       1 << 20,
		MaxMedia:      maxDownload,
		Secrets: []platform.SecretKey{
			{Name: KeyToken, Required: true, Description: "the bot's token, as BotFather shows it: <bot id>:<secret>"},
			{Name: KeyWebhookSecret, Description: "what Telegram proves itself with, 1 to 256 of A-Z a-z 0-9 _ -; derived from the token when left out"},
		},
	}
}

// channel is a loaded bot.
type channel struct {
	name       string
	account    string // the bot's id
	token      string
	secret     string // of webhooks
	previous   []previousSecret
	endpoint   string // without a trailing slash
	client     *http.Client
	webhookURL string // to register; empty where messages are fetched
	publicURL  string // of the bridge, where messages are fetched
	// formerWebhookURL is what this channel registered before; see document.Channel.
	formerWebhookURL string
	config           Config
	secrets          []string
}

// Name implements platform.Channel.
func (c *channel) Name() string { return c.name }

// Secrets implements platform.Channel.
func (c *channel) Secrets() []string { return c.secrets }

// tokenForm keeps what would change the URL out of the token, which is a part of it.
var tokenForm = regexp.MustCompile(`^([1-9][0-9]{0,18}):([A-Za-z0-9_-]{1,128})$`)

// Load implements platform.Platform.
func (p *Platform) Load(_ context.Context, spec platform.LoadSpec) (platform.Channel, error) {
	config, err := platform.ConfigOf[Config](spec.Spec.Config)
	if err != nil {
		return nil, &platform.FieldError{Field: "telegram", Message: "is not what this version reads: " + err.Error()}
	}
	if err := config.check(spec.Spec.Account); err != nil {
		return nil, err
	}
	endpoint, err := checkEndpoint(spec.Endpoint)
	if err != nil {
		return nil, err
	}
	c := &channel{
		name: spec.Name, account: spec.Spec.Account, endpoint: endpoint, client: spec.Client,
		webhookURL: spec.Spec.WebhookURL, publicURL: spec.PublicURL, config: config,
		formerWebhookURL: spec.Spec.FormerWebhookURL,
	}
	if c.client == nil {
		c.client = platform.NewClient(platform.GuardOptions{AllowPrivate: spec.Endpoint != ""})
	}
	if err := c.loadCredentials(spec.Spec); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *channel) loadCredentials(spec document.Channel) error {
	token := strings.TrimSpace(spec.Credentials[KeyToken]) // files and editors add line ends
	form := tokenForm.FindStringSubmatch(token)
	switch {
	case token == "":
		return &platform.FieldError{Field: "credentials", Message: `the Secret has no key "token"; put the token of BotFather there`}
	case form == nil:
		return &platform.FieldError{Field: "credentials", Message: `the key "token" is not a bot token; it looks like 123456:ABC-DEF`}
	case form[1] != spec.Account:
		return &platform.FieldError{Field: "credentials", Message: fmt.Sprintf(`the key "token" is of bot %s, not of telegram.botID %s`, form[1], spec.Account)}
	}
	c.token = token
	if c.secret = webhookSecret(spec.Credentials); c.secret == "" {
		return &platform.FieldError{Field: "credentials", Message: `the key "webhookSecret" must be 1 to 256 of A-Z a-z 0-9 _ -; without it one is derived from the token`}
	}
	c.secrets = append(c.secrets, token, form[2], c.secret)
	for _, previous := range spec.PreviousCredentials {
		if secret := webhookSecret(previous.Values); secret != "" {
			c.previous = append(c.previous, previousSecret{value: secret, until: previous.Until})
			c.secrets = append(c.secrets, secret)
		}
		if token := strings.TrimSpace(previous.Values[KeyToken]); token != "" {
			c.secrets = append(c.secrets, token)
		}
	}
	slices.Sort(c.secrets)
	c.secrets = slices.Compact(c.secrets)
	return nil
}

func checkEndpoint(endpoint string) (string, error) {
	if endpoint == "" {
		return DefaultEndpoint, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", &platform.FieldError{Field: "platformEndpoints", Message: "the base URL for telegram must be like http://telegram-bot-api:8081"}
	}
	return strings.TrimRight(endpoint, "/"), nil
}

// self is the channel as its own type; another platform's is a programming error.
func self(ch platform.Channel) *channel { return ch.(*channel) }

func (p *Platform) clock() time.Time {
	if p.now != nil {
		return p.now()
	}
	return time.Now()
}
