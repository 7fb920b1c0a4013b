package telegram

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"time"
)

// webhook is a registered webhook with its delivery.
type webhook struct {
	url, secret, ip string
	certificate     bool
	maxConnections  int
	lastErrorDate   int64
	lastError       string

	client  *http.Client
	stop    context.CancelFunc
	ctx     context.Context
	busy    map[string]bool // lanes that are being delivered
	running int
}

// Delivery is one request to a webhook.
type Delivery struct {
	UpdateID int64         `json:"updateID"`
	Kind     string        `json:"kind"`
	Attempt  int           `json:"attempt"` // 1 for the first
	Time     time.Time     `json:"time"`
	Duration time.Duration `json:"duration"`         // nanoseconds
	Status   int           `json:"status,omitempty"` // of the answer; 0: none
	Error    string        `json:"error,omitempty"`
	Injected string        `json:"injected,omitempty"` // what a fault put in front: wrongSecret, garbage
}

var secretTokenPattern = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)

func setWebhook(c *call) (any, *apiError) {
	b, s := c.bot, c.server
	newURL := c.arg("url")
	if newURL != "" && s.opt.Webhook.SetInterval > 0 {
		now := time.Now().UnixNano()
		if now < b.nextHook {
			return nil, tooMany(1)
		}
		b.nextHook = now + int64(s.opt.Webhook.SetInterval)
	}
	if newURL == "" {
		return deleteWebhook(c)
	}
	hook, err := c.newWebhook(newURL)
	if err == nil && b.hook != nil && b.hook.same(hook) && !c.flag("drop_pending_updates") {
		b.setAllowed(c)
		c.description = "Webhook is already set"
		return true, nil
	}
	// As in the real server: the old webhook is closed before the new one is
	// looked at, so that a refused setWebhook leaves the bot without any.
	b.abortPoll(textBySetWebhook)
	b.closeWebhook()
	if c.flag("drop_pending_updates") {
		b.queue = nil
	}
	if err != nil {
		b.signal()
		return nil, err
	}
	b.setAllowed(c)
	b.openWebhook(hook)
	c.description = "Webhook was set"
	return true, nil
}

func deleteWebhook(c *call) (any, *apiError) {
	b := c.bot
	c.description = "Webhook is already deleted"
	if b.hook != nil {
		c.description = "Webhook was deleted"
		b.closeWebhook()
	}
	if c.flag("drop_pending_updates") {
		b.queue = nil
	}
	b.signal()
	return true, nil
}

func getWebhookInfo(c *call) (any, *apiError) { return c.bot.webhookInfo(), nil }

func (b *Bot) webhookInfo() WebhookInfo {
	info := WebhookInfo{PendingUpdateCount: len(b.queue)}
	if b.allowed != defaultUpdates {
		info.AllowedUpdates = b.allowed.names()
	}
	if h := b.hook; h != nil {
		info.URL, info.IPAddress, info.HasCustomCertificate = h.url, h.ip, h.certificate
		info.MaxConnections = h.maxConnections
		info.LastErrorDate, info.LastErrorMessage = h.lastErrorDate, h.lastError
	}
	return info
}

func (h *webhook) same(n *webhook) bool {
	return h.url == n.url && h.secret == n.secret && h.ip == n.ip && h.maxConnections == n.maxConnections && !h.certificate && !n.certificate
}

// newWebhook checks the parameters of setWebhook.
func (c *call) newWebhook(text string) (*webhook, *apiError) {
	opt := c.server.opt
	u, err := url.Parse(text)
	if err == nil && u.Scheme == "" {
		u, err = url.Parse("https://" + text) // the scheme may be left out
	}
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, badRequest("Bad Request: invalid webhook URL specified")
	}
	h := &webhook{url: text, secret: c.arg("secret_token"), ip: c.arg("ip_address"), busy: map[string]bool{}}
	if len(h.secret) > 256 {
		return nil, badRequest("Bad Request: secret token is too long")
	}
	if !secretTokenPattern.MatchString(h.secret) {
		return nil, badRequest("Bad Request: secret token contains unallowed characters")
	}
	maxConnections := 100
	if opt.AllowHTTP {
		maxConnections = 100_000 // what --local allows
	} else if bad := checkPublic(u, h.ip); bad != nil {
		return nil, bad
	}
	h.maxConnections = c.integer("max_connections", 40, 1, maxConnections)
	var roots *x509.CertPool
	if cert := c.files["certificate"]; cert != nil {
		h.certificate, roots = true, x509.NewCertPool()
		if !roots.AppendCertsFromPEM(cert.data) {
			return nil, badRequest("Bad Request: bad webhook: Can't create an SSL context: can't load certificate")
		}
	}
	h.client = opt.Webhook.client(h.ip, roots)
	return h, nil
}

// checkPublic refuses what the public service refuses: no https, other ports,
// addresses that are not on the internet. Names are looked up only when an
// update is delivered.
func checkPublic(u *url.URL, ip string) *apiError {
	if u.Scheme != "https" {
		return badRequest("Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
	}
	switch u.Port() {
	case "", "443", "80", "88", "8443":
	default:
		return badRequest("Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
	}
	host := cmp.Or(ip, u.Hostname())
	if host == "localhost" {
		host = "127.0.0.1"
	}
	addr, isAddress := address(host)
	switch {
	case !isAddress && ip != "":
		return badRequest("Bad Request: bad webhook: Invalid IP address specified")
	case !isAddress:
		return nil
	case !addr.Is4():
		return badRequest("Bad Request: bad webhook: IPv6-only addresses are not allowed")
	case addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified():
		return badRequest("Bad Request: bad webhook: IP address %s is reserved", addr)
	}
	return nil
}

// address reads an IP address; ok is false for a name.
func address(host string) (addr netip.Addr, ok bool) {
	addr, err := netip.ParseAddr(host)
	return addr, err == nil
}

// client makes the HTTP client of a webhook; ip replaces the name's address.
func (o WebhookOptions) client(ip string, roots *x509.CertPool) *http.Client {
	out := &http.Client{Timeout: o.Timeout}
	if o.Client != nil {
		out.Transport = o.Client.Transport
	} else {
		dialer := &net.Dialer{Timeout: 10 * time.Second}
		out.Transport = &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost: 100,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if _, port, err := net.SplitHostPort(addr); err == nil && ip != "" {
					addr = net.JoinHostPort(ip, port)
				}
				return dialer.DialContext(ctx, network, addr)
			},
		}
	}
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return out
}
