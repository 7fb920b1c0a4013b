package meta

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// graphProfile is the profile as the API has it. Nil fields are not set.
type graphProfile struct {
	Greeting           []Greeting         `json:"greeting,omitempty"`
	GetStarted         *GetStarted        `json:"get_started,omitempty"`
	IceBreakers        []graphIceBreakers `json:"ice_breakers,omitempty"`
	PersistentMenu     []graphMenu        `json:"persistent_menu,omitempty"`
	WhitelistedDomains []string           `json:"whitelisted_domains,omitempty"`
}

type graphIceBreakers struct {
	Locale        string     `json:"locale"`
	CallToActions []Question `json:"call_to_actions"`
	// The form without locales, which older accounts still have.
	Question string `json:"question,omitempty"`
	Payload  string `json:"payload,omitempty"`
}

type graphMenu struct {
	Locale                string          `json:"locale"`
	ComposerInputDisabled bool            `json:"composer_input_disabled"`
	CallToActions         []graphMenuItem `json:"call_to_actions"`
}

type graphMenuItem struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Payload string `json:"payload,omitempty"`
	URL     string `json:"url,omitempty"`
}

// profileField is one field of the profile, wanted and as it stands.
type profileField struct {
	name    string // ours
	graph   string // the API's
	managed bool   // false: left alone
	want    any    // to set; nil: nothing
	same    bool
	stands  bool
}

// SyncProfile implements platform.Profiler: one look, one call for all fields
// that differ, one for those that must go.
func (p *Platform) SyncProfile(ctx context.Context, ch platform.Channel) (changed []string, err error) {
	c := self(ch)
	if c.Profile == nil {
		return nil, nil
	}
	managed := slices.DeleteFunc(c.profileFields(graphProfile{}), func(f profileField) bool { return !f.managed })
	if len(managed) == 0 {
		return nil, nil
	}
	names := make([]string, len(managed))
	for i, f := range managed {
		names[i] = f.graph
	}
	var list struct {
		Data []graphProfile `json:"data"`
	}
	if err := p.profileCall(ctx, c, http.MethodGet, query{"fields": {strings.Join(names, ",")}}, nil, &list); err != nil {
		return nil, duty(err, "reading the profile")
	}
	var stands graphProfile
	if len(list.Data) > 0 {
		stands = list.Data[0]
	}
	return p.repair(ctx, c, c.profileFields(stands))
}

// repair sets what differs and removes what must go.
func (p *Platform) repair(ctx context.Context, c *channel, all []profileField) (changed []string, err error) {
	set, remove := fields{}, []string{}
	var setNames, removeNames []string
	for _, f := range all {
		switch {
		case !f.managed || f.same:
		case f.want != nil:
			set[f.graph] = f.want
			setNames = append(setNames, f.name)
		case f.stands:
			remove = append(remove, f.graph)
			removeNames = append(removeNames, f.name)
		}
	}
	if len(remove) > 0 { // first: a menu cannot stand without the button
		if err := p.profileCall(ctx, c, http.MethodDelete, nil, fields{"fields": remove}, nil); err != nil {
			return nil, duty(err, "removing "+strings.Join(removeNames, ", ")+" of the profile")
		}
		changed = append(changed, removeNames...)
	}
	if len(set) > 0 {
		if err := p.profileCall(ctx, c, http.MethodPost, nil, set, nil); err != nil {
			return changed, duty(err, "setting "+strings.Join(setNames, ", ")+" of the profile")
		}
		changed = append(changed, setNames...)
	}
	return changed, nil
}

func (p *Platform) profileCall(ctx context.Context, c *channel, method string, q query, body fields, result any) error {
	if wait := p.usage.pace(c, p.now()); wait > 0 {
		return &platform.Error{Class: wire.ErrRateLimited, Scope: wire.ScopeChannel, RetryAfter: wait,
			Reason: "Meta takes about 10 calls in 10 minutes for a profile"}
	}
	all := query{}
	for _, more := range []query{q, c.PageQuery} {
		for name, values := range more {
			all[name] = values
		}
	}
	g := graphCall{method: method, path: c.Page + "/messenger_profile", query: all}
	if body != nil {
		g.body = body
	}
	return p.call(ctx, c, g, result)
}

// profileFields compares each field of the profile with what stands.
func (c *channel) profileFields(stands graphProfile) []profileField {
	p := c.Profile
	all := []profileField{
		listField("getStarted", "get_started", getStartedList(p.GetStarted), getStartedList(stands.GetStarted), p.GetStarted != nil),
		listField("greeting", "greeting", greetings(p.Greeting), byLocale(stands.Greeting, func(g Greeting) string { return g.Locale }), p.Greeting != nil),
		listField("iceBreakers", "ice_breakers", iceBreakers(p.IceBreakers), standingIceBreakers(stands.IceBreakers), p.IceBreakers != nil),
		listField("persistentMenu", "persistent_menu", menus(p.PersistentMenu), standingMenus(stands.PersistentMenu), p.PersistentMenu != nil),
		listField("whitelistedDomains", "whitelisted_domains", domains(p.WhitelistedDomains), domains(stands.WhitelistedDomains), p.WhitelistedDomains != nil),
	}
	if all[0].want != nil {
		all[0].want = p.GetStarted
	}
	return all
}

func listField[T any](name, graph string, want, stands []T, managed bool) profileField {
	f := profileField{name: name, graph: graph, managed: managed, stands: len(stands) > 0}
	f.same = len(want) == len(stands) && (len(want) == 0 || reflect.DeepEqual(want, stands))
	if len(want) > 0 {
		f.want = want
	}
	return f
}

func getStartedList(g *GetStarted) []GetStarted {
	if g == nil || g.Payload == "" {
		return nil
	}
	return []GetStarted{*g}
}

func byLocale[T any](list []T, locale func(T) string) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(locale(a), locale(b)) })
	return list
}

func greetings(in []Greeting) []Greeting {
	return byLocale(in, func(g Greeting) string { return g.Locale })
}

func iceBreakers(in []IceBreakers) []graphIceBreakers {
	out := make([]graphIceBreakers, len(in))
	for i, b := range in {
		out[i] = graphIceBreakers{Locale: b.Locale, CallToActions: b.Questions}
	}
	return byLocale(out, func(b graphIceBreakers) string { return b.Locale })
}

// standingIceBreakers brings the form without locales into the other one.
func standingIceBreakers(in []graphIceBreakers) []graphIceBreakers {
	var out []graphIceBreakers
	plain := graphIceBreakers{Locale: defaultLocale}
	for _, b := range in {
		if b.Question != "" {
			plain.CallToActions = append(plain.CallToActions, Question{b.Question, b.Payload})
		} else {
			out = append(out, b)
		}
	}
	if len(plain.CallToActions) > 0 {
		out = append(out, plain)
	}
	return byLocale(out, func(b graphIceBreakers) string { return b.Locale })
}

func menus(in []Menu) []graphMenu {
	out := make([]graphMenu, len(in))
	for i, m := range in {
		out[i] = graphMenu{Locale: m.Locale, ComposerInputDisabled: m.ComposerInputDisabled}
		for _, item := range m.Items {
			g := graphMenuItem{Type: "postback", Title: item.Title, Payload: item.Payload}
			if item.Type == MenuWebURL {
				g = graphMenuItem{Type: "web_url", Title: item.Title, URL: item.URL}
			}
			out[i].CallToActions = append(out[i].CallToActions, g)
		}
	}
	return byLocale(out, func(m graphMenu) string { return m.Locale })
}

// standingMenus leaves out of what stands what an item of its type does not have.
func standingMenus(in []graphMenu) []graphMenu {
	out := byLocale(in, func(m graphMenu) string { return m.Locale })
	for i := range out {
		out[i].CallToActions = slices.Clone(out[i].CallToActions)
		for j, item := range out[i].CallToActions {
			if item.Type == "web_url" {
				out[i].CallToActions[j].Payload = ""
			} else {
				out[i].CallToActions[j].URL = ""
			}
		}
	}
	return out
}

// domains compares as Meta does: it puts a slash behind them, in its own order.
func domains(in []string) []string {
	out := make([]string, len(in))
	for i, d := range in {
		out[i] = strings.TrimRight(strings.ToLower(d), "/")
	}
	slices.Sort(out)
	return slices.Compact(out)
}
