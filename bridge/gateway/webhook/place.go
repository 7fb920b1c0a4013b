package webhook

import (
	"net/http"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// place is what a path stands for: one channel, or all channels of an app.
type place struct {
	name         string // of the channel, or of the app
	platform     platform.Platform
	capabilities platform.Capabilities
	channel      *channels.Channel // nil: it is an app's
	app          *channels.App     // nil: it is a channel's
}

// resolve finds the place of a path. One answer, nil, for everything else: no
// such path, no such channel, a channel of another bridge, one that does not
// receive by webhook, an app without channels here.
func resolve(s *channels.Snapshot, path string) *place {
	name, ok := strings.CutPrefix(path, "/webhooks/")
	if !ok {
		return nil
	}
	if app := s.AppByName(name); app != nil {
		return &place{name: app.Name, platform: app.Platform, capabilities: app.Capabilities, app: app}
	}
	ch := s.Channel(name)
	if ch == nil || strings.Count(name, "/") != 1 || ch.Spec.Receive != document.ReceiveWebhook {
		return nil
	}
	return &place{name: ch.Name, platform: ch.Platform, capabilities: ch.Capabilities, channel: ch}
}

// each calls yield for every channel of the place.
func (p *place) each(yield func(*channels.Channel) bool) {
	if p.channel != nil {
		yield(p.channel)
		return
	}
	p.app.Channels(yield)
}

// inbound is how many verified requests a second the place takes: an app's URL
// as many as its channels together.
func (p *place) inbound() int {
	total := 0
	for ch := range p.each {
		if n := ch.Spec.Limits.InboundPerSecond; n > 0 {
			total += n
		} else {
			total += document.DefaultInboundPerSecond
		}
	}
	return total
}

// verify says which channels of the place accept the request; none: it is not
// the platform's.
func (p *place) verify(r platform.Request, now time.Time) channels.Trust {
	if p.app != nil {
		return p.app.Verify(r, now)
	}
	if p.platform.Verify(p.channel.Loaded, r, now) {
		return channels.Trust{p.channel: true}
	}
	return nil
}

// handshake answers a platform's challenge: any channel of the place may know
// the answer, and the first that does gives it.
func (p *place) handshake(hs platform.Handshaker, r *http.Request) (status int, body []byte, handled bool) {
	for ch := range p.each {
		s, b, h := hs.Handshake(ch.Loaded, r)
		if h && (!handled || s == http.StatusOK) {
			status, body, handled = s, b, true
		}
		if handled && status == http.StatusOK {
			return status, body, true
		}
	}
	return status, body, handled
}

// account is what the platform's parser is told: at an app's URL the elements
// say for themselves.
func (p *place) account() string {
	if p.channel != nil {
		return p.channel.Spec.Account
	}
	return ""
}

// redact takes the secrets of the place's channels out of a text for the log.
func (p *place) redact(text string) string {
	for ch := range p.each {
		text = ch.Redact(text)
	}
	return text
}

// patience leaves a tenth of what the platform waits for the way back.
func (p *place) patience() time.Duration {
	if d := p.capabilities.Patience; d > 0 {
		return d - d/10
	}
	return defaultPatience
}

func (p *place) maxBody() int64 {
	if n := p.capabilities.MaxBody; n > 0 {
		return n
	}
	return defaultMaxBody
}
