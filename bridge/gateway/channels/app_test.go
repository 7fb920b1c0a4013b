package channels_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/internal/testkit"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// ofApp is a channel of an app.
func ofApp(app, account string) func(*document.Channel) {
	return func(c *document.Channel) { c.App, c.Account = app, account }
}

func TestChannelsAreFoundByAppAndAccount(t *testing.T) {
	p := &testkit.Platform{Caps: platform.Capabilities{AppWebhook: true}}
	table, loader := testkit.Table(t, p,
		testkit.Entry(t, "shop/a", 1, ofApp("1", "10")), testkit.Entry(t, "shop/b", 1, ofApp("1", "11")),
		testkit.Entry(t, "other/c", 1, ofApp("2", "12")), testkit.Entry(t, "other/d", 1, nil))
	s := table.Snapshot()
	app := s.App(testkit.Name, "1")
	require.NotNil(t, app)
	assert.Equal(t, "apps/"+testkit.Name+"/1", app.Name)
	assert.Same(t, s.Channel("shop/b"), app.Account("11"))
	assert.Nil(t, app.Account("12"), "of another app")
	var names []string
	for c := range app.Channels {
		names = append(names, c.Name)
	}
	assert.ElementsMatch(t, []string{"shop/a", "shop/b"}, names)
	assert.Same(t, app, s.AppByName(app.Name))
	for _, name := range []string{"", "apps/", "apps/x", "apps/" + testkit.Name + "/", "apps/" + testkit.Name + "/9", "apps/" + testkit.Name + "/1/2", "shop/a"} {
		assert.Nil(t, s.AppByName(name), name)
	}

	testkit.Apply(t, loader, testkit.Entry(t, "other/c", 1, ofApp("2", "12")))
	assert.Nil(t, table.Snapshot().App(testkit.Name, "1"), "its channels are gone")
	assert.NotNil(t, app.Account("11"), "what is in use does not change")
}

func TestAPlatformWithoutAppURLsHasNoApps(t *testing.T) {
	table, _ := testkit.Table(t, &testkit.Platform{}, testkit.Entry(t, "shop/a", 1, ofApp("1", "10")))
	assert.Nil(t, table.Snapshot().App(testkit.Name, "1"))
}

func TestOnlyChannelsThatVerifyARequestTrustIt(t *testing.T) {
	p := &testkit.Platform{Caps: platform.Capabilities{AppWebhook: true}}
	table, _ := testkit.Table(t, p, testkit.Entry(t, "shop/a", 1, ofApp("1", "10")), testkit.Entry(t, "shop/b", 1, ofApp("1", "11")))
	s := table.Snapshot()
	request := platform.Request{Header: map[string][]string{testkit.SecretHeader: {"secret-of-shop/b"}}}
	trust := s.App(testkit.Name, "1").Verify(request, time.Now())
	assert.True(t, trust[s.Channel("shop/b")])
	assert.False(t, trust[s.Channel("shop/a")])
	assert.Len(t, trust, 1)
}

func TestATombstoneTellsWhetherItIsTheLastOfItsApp(t *testing.T) {
	for _, last := range []bool{true, false} {
		e, err := document.NewEntry(document.EntryTombstone, "shop/a", 1, document.Tombstone{Platform: testkit.Name, Account: "10", App: "1", LastOfApp: last, Credentials: map[string]string{"secret": "x"}})
		require.NoError(t, err)
		p := &testkit.Platform{}
		table, _ := testkit.Table(t, p, e)
		assert.Equal(t, "1", table.Snapshot().Tombstone("shop/a").Spec.App)
		assert.Equal(t, last, p.LastLoad().LastOfApp)
	}
}

func TestABadEntryIsRememberedByWhoseMessagesItWouldTake(t *testing.T) {
	p := &testkit.Platform{}
	table, loader := testkit.Loader(p)
	apply := func(entries ...document.Entry) *channels.Snapshot {
		_, err := loader.Apply(t.Context(), testkit.Document(t, entries...))
		require.NoError(t, err)
		return table.Snapshot()
	}
	bad := func(c *document.Channel) { c.App, c.Config = "100", []byte(`{"bad":true}`) }
	s := apply(testkit.Entry(t, "shop/b", 1, bad), testkit.Entry(t, "shop/good", 1, nil))
	assert.Equal(t, "shop/b", s.Off(testkit.Name, "100", "account-shop/b"))
	for _, other := range [][3]string{{testkit.Name, "200", "account-shop/b"}, {"other", "100", "account-shop/b"}, {testkit.Name, "100", "another"}, {testkit.Name, "100", ""}, {testkit.Name, "", "account-shop/good"}} {
		assert.Empty(t, s.Off(other[0], other[1], other[2]), "%v", other)
	}
	// A spec with a field of the wrong type still says whose it is.
	odd := mustEntry(t, document.EntryChannel, map[string]any{"platform": testkit.Name, "account": "1", "app": "100", "receive": 7})
	assert.Equal(t, "shop/a", apply(odd).Off(testkit.Name, "100", "1"))
	// Whoever has the account and runs is asked first, be it an older version of it.
	s = apply(testkit.Entry(t, "shop/b", 2, func(c *document.Channel) { c.App = "100" }))
	assert.Empty(t, s.Off(testkit.Name, "100", "account-shop/b"))
	s = apply(testkit.Entry(t, "shop/b", 3, bad))
	assert.Empty(t, s.Off(testkit.Name, "100", "account-shop/b"))
	assert.Empty(t, apply().Off(testkit.Name, "100", "account-shop/b"), "removed")
}
