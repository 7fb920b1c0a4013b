package telegram

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// defaultMaxConnections is Telegram's own.
const defaultMaxConnections = 40

// registration is what this process has set.
type registration struct {
	secret string // hash of the webhook secret
	at     time.Time
}

// Register implements platform.Registrar. The secret cannot be read back, so it
// is set once by each process, when it changes, and when Telegram reports that
// updates are refused with 401.
//
// It fails with NotDelivered while all is registered but Telegram reports that
// it cannot deliver: only Telegram sees a certificate that expired.
func (p *Platform) Register(ctx context.Context, ch platform.Channel, registered string) (taken string, err error) {
	c := self(ch)
	if c.webhookURL == "" {
		return "", &platform.Error{Class: wire.ErrMisconfigured, Reason: "there is no webhook URL: give the Bridge a publicURL, or receive by Polling"}
	}
	var info webhookInfo
	if err := c.call(ctx, "getWebhookInfo", nil, &info); err != nil {
		return "", err
	}
	if registered != "" && info.URL != "" && info.URL != registered && info.URL != c.webhookURL {
		return origin(info.URL), nil
	}
	if !p.stale(c, info) {
		return "", c.deliveryTrouble(info, p.lastSet(c), p.clock())
	}
	if err := c.setWebhook(ctx); err != nil {
		return "", err
	}
	p.registered.Store(c.key(), registration{secret: c.secretHash(), at: p.clock()})
	return "", nil
}

// origin is as much of a stranger's URL as may be shown: its path may be a secret.
func origin(webhook string) string {
	u, err := url.Parse(webhook)
	if err != nil || u.Host == "" {
		return "another address"
	}
	return u.Scheme + "://" + u.Host
}

// ours says whether a URL is one that this channel registered before it
// received by Polling: the one of its document before, which the Bridge may have
// lost with its publicURL, or the one that it would have at this Bridge. The same
// path on another host may be the same Channel in another cluster, and is left
// alone.
func (c *channel) ours(webhook string) bool {
	if webhook == "" {
		return false
	}
	return webhook == c.formerWebhookURL || c.publicURL != "" && webhook == c.publicURL+"/webhooks/"+c.name
}

func (c *channel) key() string { return c.endpoint + " " + c.account }

func (c *channel) secretHash() string {
	sum := sha256.Sum256([]byte(c.secret))
	return hex.EncodeToString(sum[:])
}

func (p *Platform) lastSet(c *channel) registration {
	if r, ok := p.registered.Load(c.key()); ok {
		return r.(registration)
	}
	return registration{}
}

// stale says whether what stands at Telegram must be set again.
func (p *Platform) stale(c *channel, info webhookInfo) bool {
	last := p.lastSet(c)
	refused := info.LastErrorDate > last.at.Unix() && strings.Contains(info.LastErrorMessage, "401")
	return info.URL != c.webhookURL || last.secret != c.secretHash() || refused ||
		!asksForAll(info.AllowedUpdates) ||
		(info.MaxConnections != 0 && info.MaxConnections != c.maxConnections())
}

func (c *channel) maxConnections() int {
	if c.config.MaxConnections == 0 {
		return defaultMaxConnections
	}
	return c.config.MaxConnections
}

func (c *channel) setWebhook(ctx context.Context) error {
	err := c.call(ctx, "setWebhook", params{
		"url": c.webhookURL, "secret_token": c.secret, "max_connections": c.maxConnections(), "allowed_updates": allowedUpdates,
	}, nil)
	// A bad URL is for people to mend; a name that does not resolve yet is not.
	if e, ok := errors.AsType[*platform.Error](err); ok && saysOneOf(err, "bad webhook") {
		e.Class = wire.ErrMisconfigured
		if saysOneOf(err, "resolve", "timed out", "timeout", "connect") {
			e.Class = wire.ErrRetryable
		}
	}
	return err
}

// deliveryTrouble reports Telegram's last error while updates wait and it is
// fresh: the Bot API server tries again after two minutes at most (an hour only
// where the webhook's own answer asks for it), so an older one is over.
func (c *channel) deliveryTrouble(info webhookInfo, last registration, now time.Time) error {
	const fresh = 10 * time.Minute
	at := time.Unix(info.LastErrorDate, 0)
	if info.PendingUpdateCount == 0 || info.LastErrorMessage == "" || at.Before(last.at) || now.Sub(at) > fresh {
		return nil
	}
	return c.redact(&platform.Error{
		Class: wire.ErrRetryable, NotDelivered: true,
		Reason: fmt.Sprintf("registered, but Telegram cannot deliver %d updates: %s", info.PendingUpdateCount, info.LastErrorMessage),
	})
}

// Unregister implements platform.Registrar. Only the very URL is ours: the same
// path on another host may be the same Channel, moved to another cluster.
// Updates that wait are kept: the next to receive for the bot gets them.
func (p *Platform) Unregister(ctx context.Context, ch platform.Channel) error {
	c := self(ch)
	p.registered.Delete(c.key())
	var info webhookInfo
	if err := c.call(ctx, "getWebhookInfo", nil, &info); err != nil {
		return err
	}
	if info.URL != c.webhookURL {
		return nil
	}
	return c.call(ctx, "deleteWebhook", params{"drop_pending_updates": false}, nil)
}
