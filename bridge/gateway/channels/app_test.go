package channels_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
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
