package channels

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// App is what stands behind one webhook URL per app: all channels of one app
// of one platform on this bridge. It is never changed.
type App struct {
	Platform     platform.Platform
	Capabilities platform.Capabilities
	Name         string // "apps/{platform}/{app}", as in the URL

	accounts map[string]*Channel
	groups   []*group
}

// group is channels that verify the same requests.
type group struct {
	key      string
	channels []*Channel // sorted by name
}

type appKey struct{ platform, app string }

// App finds an app of which there are channels here; nil when there is none.
func (s *Snapshot) App(platform, app string) *App { return s.apps[appKey{platform, app}] }

// AppByName finds an app by App.Name.
func (s *Snapshot) AppByName(name string) *App {
	rest, ok := strings.CutPrefix(name, "apps/")
	platformName, app, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || app == "" || strings.Contains(app, "/") {
		return nil
	}
	return s.App(platformName, app)
}

// Channels are all channels of the app, sorted by name within their group.
func (a *App) Channels(yield func(*Channel) bool) {
	for _, g := range a.groups {
		for _, c := range g.channels {
			if !yield(c) {
				return
			}
		}
	}
}

// Account finds the channel of an account of the app; nil when nobody here has it.
func (a *App) Account(id string) *Channel { return a.accounts[id] }

// Trust is which channels of an app would have accepted a request themselves.
type Trust map[*Channel]bool

// Verify asks each group of channels once. Whoever has the secret of one
// channel must not write into another: an element may go to a trusted channel
// only. Nobody trusts a request that is not the platform's.
func (a *App) Verify(r platform.Request, now time.Time) Trust {
	trust := Trust{}
	for _, g := range a.groups {
		if a.Platform.Verify(g.channels[0].Loaded, r, now) {
			for _, c := range g.channels {
				trust[c] = true
			}
		}
	}
	return trust
}

// indexApps gathers the channels of each app whose platform has one URL per app.
func (b *builder) indexApps() {
	var all []*Channel
	for _, c := range b.next.channels {
		if c.Capabilities.AppWebhook && c.Spec.App != "" {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(x, y *Channel) int { return cmp.Compare(x.Name, y.Name) })
	for _, c := range all {
		key := appKey{c.Spec.Platform, c.Spec.App}
		app := b.next.apps[key]
		if app == nil {
			app = &App{Platform: c.Platform, Capabilities: c.Capabilities, Name: "apps/" + key.platform + "/" + key.app, accounts: map[string]*Channel{}}
			b.next.apps[key] = app
		}
		app.add(c)
	}
}

// add takes a channel in. Should two have one account all the same, the first
// by name gets the elements, on every replica alike.
func (a *App) add(c *Channel) {
	if a.accounts[c.Spec.Account] == nil {
		a.accounts[c.Spec.Account] = c
	}
	key := c.Key() // verifies for itself
	if g, ok := c.Loaded.(platform.Grouped); ok {
		key = g.VerifyGroup()
	}
	for _, g := range a.groups {
		if g.key == key {
			g.channels = append(g.channels, c)
			return
		}
	}
	a.groups = append(a.groups, &group{key: key, channels: []*Channel{c}})
}
