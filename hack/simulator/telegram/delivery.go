package telegram

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"
)

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
	defer func() { _ = resp.Body.Close() }()                     // reading is done
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
