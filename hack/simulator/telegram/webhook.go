package telegram

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"syscall"
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
	addr, err := netip.ParseAddr(cmp.Or(ip, u.Hostname()))
	switch {
	case err != nil && ip != "":
		return badRequest("Bad Request: bad webhook: Invalid IP address specified")
	case err != nil && u.Hostname() == "localhost":
		return badRequest("Bad Request: bad webhook: IP address 127.0.0.1 is reserved")
	case err != nil:
		return nil // a name
	case !addr.Is4():
		return badRequest("Bad Request: bad webhook: IPv6-only addresses are not allowed")
	case addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified():
		return badRequest("Bad Request: bad webhook: IP address %s is reserved", addr)
	}
	return nil
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

// openWebhook starts deliveries. The caller holds mu.
func (b *Bot) openWebhook(h *webhook) {
	h.ctx, h.stop = context.WithCancel(b.server.done)
	b.hook = h
	for _, u := range b.queue { // a new webhook starts with a clean slate
		u.attempts, u.backoff, u.retryAt = 0, 0, time.Time{}
	}
	if b.server.closed {
		return
	}
	b.server.running.Go(func() { b.deliverLoop(h) })
	b.signal()
}

// closeWebhook stops deliveries; what was under way stays in the queue, because
// its answer no longer counts. The caller holds mu.
func (b *Bot) closeWebhook() {
	if b.hook == nil {
		return
	}
	b.hook.stop()
	b.hook = nil
	b.signal()
}

// deliverLoop starts deliveries until the webhook is closed.
func (b *Bot) deliverLoop(h *webhook) {
	defer func() {
		if t, ok := h.client.Transport.(*http.Transport); ok && b.server.opt.Webhook.Client == nil {
			t.CloseIdleConnections()
		}
	}()
	for {
		b.server.mu.Lock()
		u, pause := b.nextDelivery(h)
		wake := b.wake
		b.server.mu.Unlock()
		if u != nil {
			b.server.running.Go(func() { b.deliver(h, u) })
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-wake:
		case <-timer.C:
		case <-h.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// nextDelivery picks the oldest update whose lane is free, or says how long
// there is nothing to do. Lanes are what makes the order of one chat hold: a
// failing update holds back the later ones of its lane and no others.
func (b *Bot) nextDelivery(h *webhook) (*update, time.Duration) {
	pause := time.Hour
	if b.hook != h || h.running >= h.maxConnections {
		return nil, pause
	}
	now := time.Now()
	seen := map[string]bool{}
	b.queue = slices.DeleteFunc(b.queue, func(u *update) bool { return now.After(u.expires) && !h.busy[u.lane] })
	for _, u := range b.queue {
		if seen[u.lane] || h.busy[u.lane] {
			continue
		}
		due := u.retryAt
		if u.visible.After(due) {
			due = u.visible
		}
		if wait := due.Sub(now); wait > 0 {
			pause = min(pause, wait)
			seen[u.lane] = true
			continue
		}
		h.busy[u.lane] = true
		h.running++
		return u, 0
	}
	return nil, pause
}

// deliver posts one update and settles it.
func (b *Bot) deliver(h *webhook, u *update) {
	b.server.mu.Lock()
	injections := b.injections(u)
	u.attempts++
	attempt := u.attempts
	body := []byte(u.body())
	b.server.mu.Unlock()
	for _, in := range injections {
		b.inject(h, u, in)
	}
	d := Delivery{UpdateID: u.id, Kind: u.kind, Attempt: attempt}
	retryAfter := h.post(&d, body, h.secret)

	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	b.deliveries.add(d)
	h.busy[u.lane] = false
	h.running--
	if b.hook == h {
		b.settle(h, u, d, retryAfter)
	}
	b.server.opt.Log.Debug("delivery", "bot", b.user.ID, "update", u.id, "attempt", attempt, "status", d.Status, "error", d.Error)
	b.signal()
}

// settle removes an update that arrived, or plans its next attempt: at once
// after the first failure, then with doubling delays; a Retry-After header
// wins. An update that would expire before is dropped.
func (b *Bot) settle(h *webhook, u *update, d Delivery, retryAfter time.Duration) {
	opt := b.server.opt.Webhook
	remove := func() { b.queue = slices.DeleteFunc(b.queue, func(q *update) bool { return q == u }) }
	if d.Error == "" {
		if u.extra > 0 { // a fault delivers it again
			u.extra--
			u.attempts, u.backoff, u.retryAt = 0, 0, time.Time{}
			return
		}
		remove()
		return
	}
	h.lastErrorDate, h.lastError = b.server.now(), d.Error
	var delay time.Duration
	switch {
	case retryAfter > 0:
		delay = min(retryAfter, time.Hour)
	case d.Attempt > 1:
		u.backoff = min(max(opt.RetryMin, u.backoff*2), opt.RetryMax)
		delay = u.backoff
	}
	u.retryAt = time.Now().Add(delay)
	if u.retryAt.After(u.expires) {
		remove()
	}
}

// post sends one body and fills in what came of it.
func (h *webhook) post(d *Delivery, body []byte, secret string) (retryAfter time.Duration) {
	d.Time = time.Now()
	defer func() { d.Duration = time.Since(d.Time) }()
	req, err := http.NewRequestWithContext(h.ctx, http.MethodPost, h.target(), bytes.NewReader(body))
	if err != nil {
		d.Error = "Invalid webhook URL"
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "") // the real service sends none
	if secret != "" {
		req.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		d.Error = connectionError(err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // a call in the answer is not carried out
	d.Status = resp.StatusCode
	if resp.StatusCode/100 == 2 {
		return 0
	}
	d.Error = "Wrong response from the webhook: " + strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return time.Duration(max(seconds, 0)) * time.Second
}

func (h *webhook) target() string {
	if u, err := url.Parse(h.url); err == nil && u.Scheme == "" {
		return "https://" + h.url
	}
	return h.url
}

// connectionError words a failure as getWebhookInfo does.
func connectionError(err error) string {
	var dns *net.DNSError
	var verify *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &verify):
		return "SSL error {error:0A000086:SSL routines::certificate verify failed}"
	case errors.As(err, &dns):
		return "Failed to resolve host: Name or service not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Connection refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "Read timeout expired"
	}
	return "Connection reset by peer"
}

// Deliveries returns what was posted to the bot's webhook, oldest first.
func (b *Bot) Deliveries() []Delivery {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	return b.deliveries.all()
}

// WebhookInfo returns what getWebhookInfo would answer.
func (b *Bot) WebhookInfo() WebhookInfo {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	return b.webhookInfo()
}

// WebhookSecret returns the secret token of the bot's webhook; "" without one.
// No method of the Bot API shows it.
func (b *Bot) WebhookSecret() string {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	if b.hook == nil {
		return ""
	}
	return b.hook.secret
}

// TakeOverWebhook registers another webhook behind the bot's back, as somebody
// else with the same token would. An empty url deletes the webhook.
func (b *Bot) TakeOverWebhook(url, secret string) error {
	s := b.server
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{server: s, bot: b, ctx: s.done, args: []arg{{"url", url}, {"secret_token", secret}}}
	b.nextHook = 0
	if _, err := setWebhook(c); err != nil {
		return err
	}
	b.nextHook = 0 // it must not cost the bot a 429
	return nil
}

// Injection is a request to a bot's webhook that Telegram did not make: a
// forgery, or garbage.
type Injection struct {
	// Secret is sent as the secret token; the true one when UseSecret is set.
	Secret    string `json:"secret,omitempty"`
	UseSecret bool   `json:"useSecret,omitempty"`
	// Body is sent as it is. Default: a well-formed message update from a user
	// that does not exist.
	Body string `json:"body,omitempty"`
}

// Inject posts to the bot's webhook and returns the answer's status.
func (b *Bot) Inject(in Injection) (status int, err error) {
	b.server.mu.Lock()
	h := b.hook
	id := b.nextUpdate + 1_000_000 // never one of the bot's own
	b.server.mu.Unlock()
	if h == nil {
		return 0, errors.New("the bot has no webhook")
	}
	if in.UseSecret {
		in.Secret = h.secret
	}
	body := []byte(in.Body)
	if len(body) == 0 {
		body = forgedUpdate(id)
	}
	d := Delivery{UpdateID: id, Kind: "injected", Attempt: 1, Injected: "manual"}
	h.post(&d, body, in.Secret)
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	b.deliveries.add(d)
	if d.Status == 0 {
		return 0, errors.New(d.Error)
	}
	return d.Status, nil
}

// forgedUpdate is a message that was never sent.
func forgedUpdate(id int64) []byte {
	forger := User{ID: 666, FirstName: "Forger"}
	payload, _ := json.Marshal(&Message{
		MessageID: 1, From: &forger, Date: time.Now().Unix(), Text: "forged",
		Chat: Chat{ID: forger.ID, Type: "private", FirstName: forger.FirstName},
	})
	return (&update{id: id, kind: "message", payload: payload}).body()
}
