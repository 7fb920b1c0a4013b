package meta_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/instagram"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/messenger"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/meta"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	sim "github.com/bridgekeeper/bridgekeeper/hack/simulator/meta"
)

func (w *world) register(l loaded, registered string) {
	w.t.Helper()
	taken, err := l.Register(ctx, l.ch, registered)
	require.NoError(w.t, err)
	require.Empty(w.t, taken)
}

func (w *world) urlOf(l loaded, app string) string {
	return w.bridge.URL + "/webhooks/apps/" + l.Name() + "/" + app
}

func TestRegisteringSubscribesTheAppAndThePage(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	w.register(l, "")
	sub, ok := w.Subscription(appID, "page")
	require.True(t, ok)
	assert.Equal(t, w.urlOf(l, appID), sub.CallbackURL)
	assert.Contains(t, sub.Fields, "messages")
	assert.Contains(t, sub.Fields, "standby")
	assert.NotContains(t, sub.Fields, "feed")
	assert.ElementsMatch(t, sub.Fields, w.Subscribed(pageID, appID))

	before := len(w.Calls("", 0))
	w.register(l, w.urlOf(l, appID))
	for _, c := range w.Calls("", 0)[before:] {
		assert.Equal(t, http.MethodGet, c.Method, "what stands is looked at and left")
	}
	w.noTokens()
}

func TestRegisteringKeepsWhatOthersAdded(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	require.NoError(t, w.TakeOver(appID, "page", w.urlOf(l, appID)))
	require.NoError(t, w.SetSubscribed(pageID, appID, "feed", "messages"))
	require.NoError(t, w.SetSubscribed(pageID, otherApp, "messages"))
	w.register(l, "")
	assert.Contains(t, w.Subscribed(pageID, appID), "feed")
	assert.Contains(t, w.Subscribed(pageID, appID), "message_reads")
	assert.Equal(t, []string{"messages"}, w.Subscribed(pageID, otherApp))
	sub, _ := w.Subscription(appID, "page")
	assert.Equal(t, "messages", sub.Fields[0])
	assert.Contains(t, sub.Fields, "message_reads")
}

func TestAWebhookThatSomebodyElseSetIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	w.register(l, "")
	require.NoError(t, w.TakeOver(appID, "page", "https://elsewhere.example.com/secret-path"))
	fresh := w.load(messenger.New(), pageSpec(pageID, "page-token", ""), nil) // another pod, or a minute later
	taken, err := fresh.Register(ctx, fresh.ch, w.urlOf(l, appID))
	require.NoError(t, err)
	assert.Equal(t, "https://elsewhere.example.com", taken, "and its path stays out of sight")
	sub, _ := w.Subscription(appID, "page")
	assert.Equal(t, "https://elsewhere.example.com/secret-path", sub.CallbackURL)

	require.NoError(t, w.TakeOver(appID, "page", ""))
	w.register(fresh, w.urlOf(l, appID))
	sub, _ = w.Subscription(appID, "page")
	assert.Equal(t, w.urlOf(l, appID), sub.CallbackURL, "nobody else has it any more")
}

func TestAHandshakeThatFailsIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	w.mu.Lock()
	w.open = nil // no pod has loaded it yet
	w.mu.Unlock()
	_, err := l.Register(ctx, l.ch, "")
	e := asError(t, err)
	assert.Equal(t, wire.ErrRetryable, e.Class)
	assert.Contains(t, e.Reason, "2200")
	_, ok := w.Subscription(appID, "page")
	assert.False(t, ok)
}

func TestAnAppThatTakesNoWebhookByAPISaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	direct := w.load(instagram.New(), directSpec(), nil)
	require.NoError(t, w.AddFault(sim.Fault{Kind: sim.FaultFail, Path: "/subscriptions", Skip: 1, Code: 100}))
	_, err := direct.Register(ctx, direct.ch, "")
	e := asError(t, err)
	assert.Equal(t, wire.ErrMisconfigured, e.Class)
	assert.Contains(t, e.Reason, "dashboard")
	assert.NotEmpty(t, w.Subscribed(pageID, appID), "the rest is done meanwhile")

	w.ClearFaults()
	require.NoError(t, w.TakeOver(appID, "instagram", w.urlOf(direct, appID))) // somebody did it by hand
	w.register(direct, "")
}

// tombstone is the same account, deleted: its block is gone.
func tombstone(last bool) func(*platform.LoadSpec) {
	return func(s *platform.LoadSpec) { s.Spec.Config, s.LastOfApp = nil, last }
}

func TestUnregisteringOnePageHarmsNoSibling(t *testing.T) {
	w := newWorld(t)
	p := messenger.New()
	first := w.load(p, pageSpec(pageID, "page-token", ""), nil)
	second := w.load(p, pageSpec(sibling, "sibling-token", ""), nil)
	w.register(first, "")
	w.register(second, "")

	gone := w.load(p, pageSpec(pageID, "page-token", ""), tombstone(false))
	require.NoError(t, gone.Unregister(ctx, gone.ch))
	assert.Empty(t, w.Subscribed(pageID, appID))
	assert.NotEmpty(t, w.Subscribed(sibling, appID))
	_, ok := w.Subscription(appID, "page")
	assert.True(t, ok, "the sibling needs it")

	last := w.load(p, pageSpec(sibling, "sibling-token", ""), tombstone(true))
	require.NoError(t, last.Unregister(ctx, last.ch))
	require.NoError(t, last.Unregister(ctx, last.ch), "nothing is left to remove")
	assert.Empty(t, w.Subscribed(sibling, appID))
	_, ok = w.Subscription(appID, "page")
	assert.False(t, ok)
}

func TestUnregisteringLeavesWhatIsNotOurs(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	w.register(l, "")
	require.NoError(t, w.TakeOver(appID, "page", "https://elsewhere.example.com/x"))
	require.NoError(t, w.SetSubscribed(pageID, appID, append(w.Subscribed(pageID, appID), "mention")...))
	gone := w.load(messenger.New(), pageSpec(pageID, "page-token", ""), tombstone(true))
	require.NoError(t, gone.Unregister(ctx, gone.ch))
	assert.Equal(t, []string{"mention"}, w.Subscribed(pageID, appID))
	sub, ok := w.Subscription(appID, "page")
	require.True(t, ok)
	assert.Equal(t, "https://elsewhere.example.com/x", sub.CallbackURL)
}

func TestBothProductsOfOnePageLiveSideBySide(t *testing.T) {
	w := newWorld(t)
	page := w.page("")
	direct := w.load(instagram.New(), directSpec(), nil)
	w.register(page, "")
	w.register(direct, "")
	for object, l := range map[string]loaded{"page": page, "instagram": direct} {
		sub, ok := w.Subscription(appID, object)
		require.True(t, ok)
		assert.Equal(t, w.urlOf(l, appID), sub.CallbackURL)
	}
	gone := w.load(instagram.New(), directSpec(), tombstone(true))
	require.NoError(t, gone.Unregister(ctx, gone.ch))
	assert.Contains(t, w.Subscribed(pageID, appID), "messages", "Messenger keeps its own")
	assert.NotContains(t, w.Subscribed(pageID, appID), "feed")
	_, ok := w.Subscription(appID, "instagram")
	assert.False(t, ok)
	_, ok = w.Subscription(appID, "page")
	assert.True(t, ok)
}

func TestTwoAppsHaveTwoWebhooks(t *testing.T) {
	w := newWorld(t)
	solo := w.load(instagram.New(), soloSpec(), nil)
	page := w.page("")
	w.register(solo, "")
	w.register(page, "")
	assert.Contains(t, w.Subscribed(igUser, otherApp), "message_echoes")
	_, ok := w.Subscription(otherApp, "instagram")
	assert.False(t, ok, "with Instagram Login it is set on the app's dashboard")
	gone := w.load(instagram.New(), soloSpec(), tombstone(true))
	require.NoError(t, gone.Unregister(ctx, gone.ch))
	assert.Empty(t, w.Subscribed(igUser, otherApp))
	assert.NotEmpty(t, w.Subscribed(pageID, appID))
}

func TestProbeSaysWhoseTokenItIsAndWhenItEnds(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	result, err := l.Probe(ctx, l.ch)
	require.NoError(t, err)
	assert.Equal(t, platform.ProbeResult{Account: pageID, DisplayName: "Shop"}, result)

	expires := w.now.now().Add(40 * 24 * time.Hour).Truncate(time.Second)
	require.NoError(t, w.AddAccount(sim.AccountSpec{ID: "1003", Name: "Ends", Token: "ends", App: appID, ExpiresAt: expires.Unix()}))
	ending := w.load(messenger.New(), pageSpec("1003", "ends", ""), nil)
	result, err = ending.Probe(ctx, ending.ch)
	require.NoError(t, err)
	assert.Equal(t, expires, result.ExpiresAt)
	w.now.add(41 * 24 * time.Hour)
	_, err = ending.Probe(ctx, ending.ch)
	assert.Equal(t, wire.ErrAuthInvalid, asError(t, err).Class)

	direct := w.load(instagram.New(), directSpec(), nil)
	result, err = direct.Probe(ctx, direct.ch)
	require.NoError(t, err)
	assert.Equal(t, platform.ProbeResult{Account: directID, DisplayName: "@shop"}, result)
	solo := w.load(instagram.New(), soloSpec(), nil)
	result, err = solo.Probe(ctx, solo.ch)
	require.NoError(t, err)
	assert.Equal(t, platform.ProbeResult{Account: igUser, DisplayName: "@solo"}, result)
	since := w.now.now().Add(-50 * 24 * time.Hour)
	solo = w.load(instagram.New(), soloSpec(), func(s *platform.LoadSpec) { s.Spec.CredentialsSince = since })
	result, err = solo.Probe(ctx, solo.ch)
	require.NoError(t, err)
	assert.Equal(t, since.Add(60*24*time.Hour), result.ExpiresAt, "nobody tells: at the latest then")
	w.noTokens()
}

func TestProbeNamesWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		change func(w *world, s *platform.LoadSpec)
		class  wire.ErrorClass
		says   string
	}{
		"of another page": {func(_ *world, s *platform.LoadSpec) {
			s.Spec.Credentials[messenger.KeyPageAccessToken] = "sibling-token"
		}, wire.ErrMisconfigured, sibling},
		"revoked":      {func(w *world, _ *platform.LoadSpec) { require.NoError(w.t, w.Revoke(pageID, "")) }, wire.ErrAuthInvalid, "190"},
		"wrong secret": {func(_ *world, s *platform.LoadSpec) { s.Spec.Credentials[meta.KeyAppSecret] = "not-it" }, wire.ErrAuthInvalid, "appsecret_proof"},
		"of another app": {func(w *world, s *platform.LoadSpec) {
			require.NoError(w.t, w.AddAccount(sim.AccountSpec{ID: "1004", Token: "foreign", App: otherApp}))
			s.Spec = pageSpec("1004", "foreign", "")
		}, wire.ErrAuthInvalid, "appsecret_proof"},
		"without the permission": {func(w *world, s *platform.LoadSpec) {
			require.NoError(w.t, w.AddAccount(sim.AccountSpec{ID: "1005", Token: "weak", App: appID, Scopes: []string{"pages_show_list"}}))
			s.Spec = pageSpec("1005", "weak", "")
		}, wire.ErrMisconfigured, "pages_messaging"},
		"away": {func(w *world, _ *platform.LoadSpec) {
			require.NoError(w.t, w.AddFault(sim.Fault{Kind: sim.FaultServerError, Path: "/me"}))
		}, wire.ErrRetryable, "HTTP 500"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l := w.load(messenger.New(), pageSpec(pageID, "page-token", ""), func(s *platform.LoadSpec) { test.change(w, s) })
			_, err := l.Probe(ctx, l.ch)
			e := asError(t, err)
			assert.Equal(t, test.class, e.Class, e.Reason)
			assert.Contains(t, e.Reason, test.says)
			for _, secret := range l.ch.Secrets() {
				assert.NotContains(t, e.Reason, secret)
			}
		})
	}
}

const profile = `{
	"greeting":[{"locale":"default","text":"Hello {{user_first_name}}"},{"locale":"de_DE","text":"Hallo"}],
	"getStarted":{"payload":"START"},
	"iceBreakers":[{"locale":"default","questions":[{"question":"Where is my parcel?","payload":"PARCEL"}]}],
	"persistentMenu":[{"locale":"default","items":[{"type":"Postback","title":"Track","payload":"TRACK"},{"type":"WebURL","title":"Shop","url":"https://shop.example.com"}]}],
	"whitelistedDomains":["https://shop.example.com","https://a.example.com/"]}`

func TestTheProfileIsBroughtInLineAndDriftRepaired(t *testing.T) {
	w := newWorld(t)
	l := w.page(profile)
	changed, err := l.SyncProfile(ctx, l.ch)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"getStarted", "greeting", "iceBreakers", "persistentMenu", "whitelistedDomains"}, changed)
	assert.JSONEq(t, `{"payload":"START"}`, string(w.Profile(pageID, "get_started")))

	changed, err = l.SyncProfile(ctx, l.ch)
	require.NoError(t, err)
	assert.Empty(t, changed, "as Meta answers it, it is the same")
	assert.Len(t, w.Calls("/messenger_profile", 0), 3, "one look and one change, then one look")

	w.SetProfile(pageID, "greeting", json.RawMessage(`[{"locale":"default","text":"Drifted"}]`))
	changed, err = l.SyncProfile(ctx, l.ch)
	require.NoError(t, err)
	assert.Equal(t, []string{"greeting"}, changed)
	assert.Contains(t, string(w.Profile(pageID, "greeting")), "user_first_name")

	emptied := w.page(`{"greeting":[],"getStarted":{},"persistentMenu":[]}`)
	changed, err = emptied.SyncProfile(ctx, emptied.ch)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"getStarted", "greeting", "persistentMenu"}, changed)
	assert.Nil(t, w.Profile(pageID, "greeting"))
	assert.Nil(t, w.Profile(pageID, "persistent_menu"))
	assert.NotNil(t, w.Profile(pageID, "ice_breakers"), "what is not named is left alone")
	w.noTokens()
}

func TestAProfileIsPaced(t *testing.T) {
	w := newWorld(t)
	l := w.page(profile)
	for i := range 10 {
		_, err := l.SyncProfile(ctx, l.ch)
		if i < 9 {
			require.NoError(t, err)
			continue
		}
		e := asError(t, err)
		assert.Equal(t, wire.ErrRateLimited, e.Class)
		assert.Positive(t, e.RetryAfter)
	}
	assert.Len(t, w.Calls("/messenger_profile", 0), 10)
}

func TestInstagramHasItsOwnProfile(t *testing.T) {
	w := newWorld(t)
	spec := directSpec()
	spec.Config = json.RawMessage(`{"accountID":"` + directID + `","appID":"` + appID + `","login":"FacebookLogin","pageID":"` + pageID + `","profile":` + profile + `}`)
	l := w.load(instagram.New(), spec, nil)
	changed, err := l.SyncProfile(ctx, l.ch)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"iceBreakers", "persistentMenu"}, changed)
	assert.NotNil(t, w.Profile(directID, "ice_breakers"))
	assert.Nil(t, w.Profile(pageID, "ice_breakers"), "the page's own is another")
}

func TestLoadNamesTheField(t *testing.T) {
	for config, field := range map[string]string{
		`{"pageID":"2","appID":"100"}`:    "messenger",
		`{"pageID":"1001","appID":"300"}`: "messenger.appID",
		`{"pageID":"1001","appID":"100","profile":{"greeting":[{"locale":"de_DE","text":"x"}]}}`:                                                                      "messenger.profile.greeting",
		`{"pageID":"1001","appID":"100","profile":{"iceBreakers":[{"locale":"default"},{"locale":"default"}]}}`:                                                       "messenger.profile.iceBreakers",
		`{"pageID":"1001","appID":"100","profile":{"persistentMenu":[{"locale":"default","items":[{"type":"Postback","title":"x","url":"https://a.example.com"}]}]}}`: "messenger.profile.persistentMenu[0].items[0]",
	} {
		spec := pageSpec(pageID, "t", "")
		spec.Config = json.RawMessage(config)
		_, err := messenger.New().Load(ctx, platform.LoadSpec{Name: "shop/a", Spec: spec})
		var fe *platform.FieldError
		require.ErrorAs(t, err, &fe, config)
		assert.Equal(t, field, fe.Field)
	}
	for config, field := range map[string]string{
		`{"accountID":"17841400000000001","appID":"100","login":"FacebookLogin"}`: "instagram.pageID",
		`{"accountID":"17841400000000001","appID":"100","login":"MySpace"}`:       "instagram.login",
	} {
		spec := directSpec()
		spec.Config = json.RawMessage(config)
		_, err := instagram.New().Load(ctx, platform.LoadSpec{Name: "shop/a", Spec: spec})
		var fe *platform.FieldError
		require.ErrorAs(t, err, &fe, config)
		assert.Equal(t, field, fe.Field)
	}
}

// Each adds its fields to what it has read; at the same time, neither may lose.
func TestBothProductsRegisterAtTheSameTime(t *testing.T) {
	for range 20 {
		w := newWorld(t)
		page := w.page("")
		direct := w.load(instagram.New(), directSpec(), nil)
		var group sync.WaitGroup
		for _, l := range []loaded{page, direct} {
			group.Go(func() { _, err := l.Register(ctx, l.ch, ""); assert.NoError(t, err) })
		}
		group.Wait()
		require.Contains(t, w.Subscribed(pageID, appID), "feed")
		require.Contains(t, w.Subscribed(pageID, appID), "messages")
	}
}

// A replica that has the other product's Channel sets what it read before us.
func TestAnotherReplicaThatOverwritesTheFieldsIsNoticed(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	overwritten := 0
	meta.WhileSettling(t, func() {
		if overwritten++; overwritten == 1 {
			require.NoError(t, w.SetSubscribed(pageID, appID, "feed"))
		}
	})
	w.register(l, "")
	assert.Contains(t, w.Subscribed(pageID, appID), "feed")
	assert.Contains(t, w.Subscribed(pageID, appID), "messages")
	assert.Equal(t, 2, overwritten, "it has looked once more after each change")

	require.NoError(t, w.SetSubscribed(pageID, appID, "feed"))
	meta.WhileSettling(t, func() { require.NoError(t, w.SetSubscribed(pageID, appID, "feed")) })
	_, err := l.Register(ctx, l.ch, "")
	assert.Equal(t, wire.ErrRetryable, asError(t, err).Class, "who sets it again and again is not fought")
}
