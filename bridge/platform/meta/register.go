package meta

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// subscription is what an app is subscribed to for one object.
type subscription struct {
	Object      string              `json:"object"`
	CallbackURL string              `json:"callback_url"`
	Active      bool                `json:"active"`
	Fields      []subscriptionField `json:"fields"`
}

// subscriptionField is a name, or an object with a name and a version.
type subscriptionField struct{ Name string }

// UnmarshalJSON implements json.Unmarshaler.
func (f *subscriptionField) UnmarshalJSON(raw []byte) error {
	var name text
	if err := name.UnmarshalJSON(raw); err != nil {
		return err
	}
	if name == "" {
		var o struct {
			Name text `json:"name"`
		}
		if !decode(raw, &o) {
			return nil
		}
		name = o.Name
	}
	f.Name = string(name)
	return nil
}

func (s subscription) names() []string {
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	return names
}

// apps remembers which apps were found well, and lets one replica's channels
// of an app look one after the other: what one reads, another may be writing.
type apps struct {
	mu    sync.Mutex
	locks locks
	well  map[string]wellApp
}

// locks are one mutex for each key.
type locks struct{ byKey sync.Map }

func (l *locks) lock(key string) (unlock func()) {
	v, _ := l.byKey.LoadOrStore(key, new(sync.Mutex))
	m := v.(*sync.Mutex)
	m.Lock()
	return m.Unlock
}

// subscribing lets the Channels of both products look one after the other at
// what a page is subscribed to: each adds its own fields to what it has read.
// Against another replica it does not help; see subscribeAccount.
var subscribing locks

// settleTime is longer than another replica takes from its look at a page's
// fields to its change of them: two calls, some tenths of a second each.
const settleTime = time.Second

// awaitSettled waits for that.
var awaitSettled = func(ctx context.Context) error {
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribeTries are for somebody who changes the fields again and again.
const subscribeTries = 3

type wellApp struct {
	url string
	at  time.Time
}

// wellFor is how long an app that was found well is not looked at again: its
// channels look every ten minutes each, and a thousand of them would ask the
// same thing a thousand times.
const wellFor = time.Minute

func newApps() *apps { return &apps{well: map[string]wellApp{}} }

func (a *apps) isWell(key, url string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.well[key]
	return w.url == url && now.Sub(w.at) < wellFor
}

// note says that an app was found well with a URL; an empty one forgets it.
func (a *apps) note(key, url string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if url == "" {
		delete(a.well, key)
		return
	}
	a.well[key] = wellApp{url, now}
}

// Register implements platform.Registrar: the app's webhook first, then the
// account's subscription to the app. Both are looked at first; fields that
// somebody else added stay.
func (p *Platform) Register(ctx context.Context, ch platform.Channel, registered string) (taken string, err error) {
	c := self(ch)
	if c.webhookURL == "" {
		return "", misconfigured("there is no webhook URL: give the Bridge a publicURL")
	}
	if len(c.AppFields) > 0 {
		taken, err = p.registerApp(ctx, c, registered)
		if err = duty(err, "subscribing the app"); taken != "" || err != nil && !refused(err) {
			return taken, err
		}
	}
	// Also where the app's webhook must be set by hand: then nothing else is missing.
	return "", errors.Join(err, duty(p.subscribeAccount(ctx, c), "subscribing the account to the app"))
}

// refused says that Meta does not take an app's webhook by API (for Instagram
// its documentation says so, its API does not always), and tells what to do.
func refused(err error) bool {
	e := asError(err)
	if e.Class != wire.ErrMisconfigured {
		return false
	}
	e.Reason += "; if it stays so, set the Channel's webhook URL with its verify token on the app's dashboard"
	return true
}

func (p *Platform) registerApp(ctx context.Context, c *channel, registered string) (taken string, err error) {
	key := c.appKey() + " " + p.product.Object
	defer p.apps.locks.lock(key)()
	if p.apps.isWell(key, c.webhookURL, p.now()) {
		return "", nil
	}
	stands, err := p.appSubscription(ctx, c)
	if err != nil {
		return "", err
	}
	url := stands.CallbackURL
	if registered != "" && url != "" && url != registered && url != c.webhookURL {
		return origin(url), nil
	}
	if url != c.webhookURL || !stands.Active || !contains(stands.names(), c.AppFields) {
		if err := p.subscribeApp(ctx, c, union(stands.names(), c.AppFields)); err != nil {
			return "", err
		}
	}
	p.apps.note(key, c.webhookURL, p.now())
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

// appSubscription is what stands for this product's object; zero: nothing.
func (p *Platform) appSubscription(ctx context.Context, c *channel) (subscription, error) {
	var list struct {
		Data []subscription `json:"data"`
	}
	err := p.call(ctx, c, graphCall{method: http.MethodGet, path: c.App + "/subscriptions", asApp: true}, &list)
	for _, s := range list.Data {
		if s.Object == p.product.Object {
			return s, err
		}
	}
	return subscription{}, err
}

// subscribeApp sets the app's webhook. Meta calls it with the verify token
// before it answers.
func (p *Platform) subscribeApp(ctx context.Context, c *channel, names []string) error {
	return p.call(ctx, c, graphCall{method: http.MethodPost, path: c.App + "/subscriptions", asApp: true, body: fields{
		"object": p.product.Object, "callback_url": c.webhookURL, "verify_token": c.verify[0],
		"fields": strings.Join(names, ","), "include_values": true,
	}}, nil)
}

// accountFields are what the account is subscribed to for this app, and
// whether it is subscribed at all.
func (p *Platform) accountFields(ctx context.Context, c *channel) (names []string, subscribed bool, err error) {
	var list struct {
		Data []struct {
			ID     text     `json:"id"`
			Fields []string `json:"subscribed_fields"`
		} `json:"data"`
	}
	err = p.call(ctx, c, graphCall{method: http.MethodGet, path: c.Page + "/subscribed_apps"}, &list)
	for _, app := range list.Data {
		// With the account's own token Instagram lists its one app, without an id.
		if string(app.ID) == c.App || app.ID == "" {
			return app.Fields, true, err
		}
	}
	return nil, false, err
}

func (c *channel) subscribedKey() string { return c.base + " " + c.App + " " + c.Page }

func (p *Platform) setAccountFields(ctx context.Context, c *channel, names []string) error {
	return p.call(ctx, c, graphCall{method: http.MethodPost, path: c.Page + "/subscribed_apps", body: fields{
		"subscribed_fields": strings.Join(names, ","),
	}}, nil)
}

// subscribeAccount adds our fields to what stands. The list is set as a whole, so
// a replica that has the Channel of the other product may set what it read a
// moment before, and the page's messages would stay away until the next look.
// Whoever has changed the list therefore looks again once the other must be done.
func (p *Platform) subscribeAccount(ctx context.Context, c *channel) error {
	defer subscribing.lock(c.subscribedKey())()
	for range subscribeTries {
		stands, _, err := p.accountFields(ctx, c)
		if err != nil || contains(stands, c.Fields) {
			return err
		}
		if err := p.setAccountFields(ctx, c, union(stands, c.Fields)); err != nil {
			return err
		}
		if err := awaitSettled(ctx); err != nil {
			return err
		}
	}
	return &platform.Error{Class: wire.ErrRetryable, Reason: "somebody else sets what the account is subscribed to for this app at the same time"}
}

// Unregister implements platform.Registrar. The account is unsubscribed from
// this app: from our fields, where it has others too (the same page may be
// behind a Channel of the other product). The app's own webhook goes with its
// last Channel, if it is still ours.
func (p *Platform) Unregister(ctx context.Context, ch platform.Channel) error {
	c := self(ch)
	if err := p.unsubscribeAccount(ctx, c); err != nil {
		return duty(err, "unsubscribing the account from the app")
	}
	if !c.lastOfApp || len(c.AppFields) == 0 {
		return nil
	}
	return duty(p.unregisterApp(ctx, c), "removing the app's subscription")
}

func (p *Platform) unsubscribeAccount(ctx context.Context, c *channel) error {
	defer subscribing.lock(c.subscribedKey())()
	stands, subscribed, err := p.accountFields(ctx, c)
	if err != nil || !subscribed {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(stands), func(f string) bool { return slices.Contains(c.Fields, f) })
	if len(rest) == len(stands) && len(stands) > 0 {
		return nil // nothing of it is ours (any more)
	}
	if len(rest) > 0 {
		return p.setAccountFields(ctx, c, rest)
	}
	return p.call(ctx, c, graphCall{method: http.MethodDelete, path: c.Page + "/subscribed_apps"}, nil)
}

func (p *Platform) unregisterApp(ctx context.Context, c *channel) error {
	key := c.appKey() + " " + p.product.Object
	defer p.apps.locks.lock(key)()
	p.apps.note(key, "", p.now())
	stands, err := p.appSubscription(ctx, c)
	if err != nil || stands.CallbackURL != c.webhookURL {
		return err
	}
	return p.call(ctx, c, graphCall{method: http.MethodDelete, path: c.App + "/subscriptions", query: query{"object": {p.product.Object}}, asApp: true}, nil)
}

func contains(have, want []string) bool {
	return !slices.ContainsFunc(want, func(f string) bool { return !slices.Contains(have, f) })
}

// union keeps the order of what stands, so that nothing changes for its sake.
func union(stands, ours []string) []string {
	out := slices.Clone(stands)
	for _, f := range ours {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}
