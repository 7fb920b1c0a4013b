package compile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

const (
	testAppSecret = "0123456789abcdef0123456789abcdef"
	testApp       = "987"
)

func metaPlatforms(name string) (platform.Capabilities, bool) {
	token := map[string]string{"messenger": "pageAccessToken", "instagram": "accessToken"}[name]
	return platform.Capabilities{
		AppWebhook: true,
		Receive:    []document.Receive{document.ReceiveWebhook},
		Secrets:    []platform.SecretKey{{Name: "appSecret", Required: true}, {Name: "verifyToken", Required: true}, {Name: token, Required: true}},
	}, token != ""
}

func newPage(ns, name, page string, age time.Duration) *v1alpha1.Channel {
	ch := &v1alpha1.Channel{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.ChannelSpec{
		Platform:    v1alpha1.PlatformMessenger,
		Messenger:   &v1alpha1.MessengerChannel{PageID: page, AppID: testApp, HumanAgent: true},
		Credentials: v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: name}},
	}}
	ch.CreationTimestamp = metav1.NewTime(start.Add(-age))
	return ch
}

func newPageSecret(ns, name string) *corev1.Secret {
	s := newSecret(ns, name, "")
	s.Data = map[string][]byte{"appSecret": []byte(testAppSecret), "verifyToken": []byte("verify"), "pageAccessToken": []byte("EAAG" + name)}
	return s
}

// metaWorld has Pages of one app in namespace shop, on the Bridges that they name.
func metaWorld(t *testing.T, channels ...*v1alpha1.Channel) *world {
	w := newWorld(t)
	w.opts.Platforms = metaPlatforms
	w.Channels, w.Secrets = channels, nil
	for _, ch := range channels {
		w.Secrets = append(w.Secrets, newPageSecret(ch.Namespace, ch.Name))
	}
	return w
}

func onBridge(ch *v1alpha1.Channel, bridge string) *v1alpha1.Channel {
	ch.Spec.BridgeRef = &v1alpha1.ObjectReference{Name: bridge}
	return ch
}

func TestAppChannelInTheDocuments(t *testing.T) {
	w := metaWorld(t, newPage("shop", "page", "1", 0))
	r := w.write()
	page := key("shop", "page")
	require.Empty(t, r.Channels[page].Findings)
	got := entry(t, r, page)
	const url = testPublicURL + "/webhooks/apps/messenger/987"
	require.Equal(t, []string{"messenger", "1", testApp, url}, []string{got.Platform, got.Account, got.App, got.WebhookURL})
	require.Equal(t, url, r.Channels[page].WebhookURL)
	require.Equal(t, document.ReceiveWebhook, got.Receive)
	require.JSONEq(t, `{"pageID":"1","appID":"987","humanAgent":true}`, string(got.Config))
	st := storeEntry(t, r, shopDefault, page)
	require.Equal(t, testApp, st.App)
	require.True(t, st.AgentWindow)

	w.Channels[0].Spec = v1alpha1.ChannelSpec{
		Platform: v1alpha1.PlatformInstagram, Credentials: w.Channels[0].Spec.Credentials,
		Instagram: &v1alpha1.InstagramChannel{AccountID: "17", AppID: "5", Login: v1alpha1.LoginFacebook, PageID: "1"},
	}
	w.Secrets[0].Data["accessToken"] = []byte("IGQV")
	got = entry(t, w.write(), page)
	require.Equal(t, testPublicURL+"/webhooks/apps/instagram/5", got.WebhookURL)
	require.JSONEq(t, `{"accountID":"17","appID":"5","login":"FacebookLogin","pageID":"1"}`, string(got.Config))
}

func TestAppChannelNeedsPublicURL(t *testing.T) {
	w := metaWorld(t, newPage("shop", "page", "1", 0))
	w.Bridges[0].Spec.PublicURL = ""
	f := w.compile().Channels[key("shop", "page")].Findings
	require.Equal(t, []string{"WebhookRegistered/NoPublicURL"}, reasons(f))
	require.NotContains(t, f[0].Message, "Polling", "there is no such way out")
}

func TestAppBelongsToOneBridge(t *testing.T) {
	served := func(w *world, names ...string) { // by an earlier compilation
		all := w.Channels
		w.Channels = nil
		for _, ch := range all {
			for _, n := range names {
				if ch.Name == n {
					w.Channels = append(w.Channels, ch)
				}
			}
		}
		w.write()
		w.Channels = all
	}
	tests := map[string]struct {
		a, b   *v1alpha1.Channel
		before []string
		loser  string
	}{
		"one Bridge":        {a: newPage("shop", "a", "1", 0), b: newPage("shop", "b", "2", 0)},
		"the oldest":        {a: newPage("shop", "a", "1", 0), b: onBridge(newPage("shop", "b", "2", time.Hour), "other"), loser: "a"},
		"the first by name": {a: newPage("shop", "a", "1", 0), b: onBridge(newPage("shop", "b", "2", 0), "other"), loser: "b"},
		"who is served":     {a: newPage("shop", "a", "1", 0), b: onBridge(newPage("shop", "b", "2", time.Hour), "other"), before: []string{"a"}, loser: "b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := metaWorld(t, tt.a, tt.b)
			w.Bridges = append(w.Bridges, newBridge("shop", "other"))
			served(w, tt.before...)
			for k, c := range w.write().Channels {
				if k.Name != tt.loser {
					require.Empty(t, c.Findings)
					require.NotNil(t, c.Entry)
					continue
				}
				require.Nil(t, c.Entry)
				require.Equal(t, []string{"Accepted/AppOnOtherBridge"}, reasons(c.Findings))
				for _, secret := range []string{"shop/other", "shop/default", `"a"`, `"b"`} {
					require.NotContains(t, c.Findings[0].Message, secret, "the loser does not learn who it is")
				}
			}
		})
	}
}

// All Channels of an app move to another Bridge one by one: each waits until
// the last has left, and then all are served there.
func TestAppMovesWithItsLastChannel(t *testing.T) {
	w := metaWorld(t, newPage("shop", "a", "1", time.Hour), newPage("shop", "b", "2", 0))
	w.Bridges = append(w.Bridges, newBridge("shop", "other"))
	w.write()
	onBridge(w.Channels[0], "other")
	require.Equal(t, []string{"Accepted/AppOnOtherBridge"}, reasons(w.write().Channels[key("shop", "a")].Findings))
	onBridge(w.Channels[1], "other")
	r := w.write()
	for _, c := range r.Channels {
		require.Empty(t, c.Findings)
	}
	require.Equal(t, int32(2), r.Bridges[key("shop", "other")].Channels)
}

func TestAppSubscriptionGoesWithTheLastChannel(t *testing.T) {
	w := metaWorld(t, newPage("shop", "a", "1", 0), newPage("shop", "b", "2", 0))
	w.Bridges = append(w.Bridges, newBridge("shop", "other"))
	w.write()
	tombstone := func(name string) document.Tombstone {
		c := w.write().Channels[key("shop", name)]
		require.True(t, c.Tombstone())
		var got document.Tombstone
		require.NoError(t, json.Unmarshal(c.Entry.Spec, &got))
		require.Equal(t, testApp, got.App)
		return got
	}
	remove(w.Channels[0])
	require.False(t, tombstone("a").LastOfApp, "b is still there")
	// A Channel of the app elsewhere waits, and does not keep the subscription.
	w.Channels = append(w.Channels, onBridge(newPage("shop", "c", "3", 0), "other"))
	w.Secrets = append(w.Secrets, newPageSecret("shop", "c"))
	remove(w.Channels[1])
	require.True(t, tombstone("a").LastOfApp, "also when its tombstone was written before")
	require.True(t, tombstone("b").LastOfApp)
	require.Equal(t, []string{"Accepted/AppOnOtherBridge"}, reasons(w.compile().Channels[key("shop", "c")].Findings))
	w.Channels = w.Channels[2:]
	require.NotNil(t, w.write().Channels[key("shop", "c")].Entry)
}

func TestAppSecretsAreTheSame(t *testing.T) {
	w := metaWorld(t, newPage("shop", "a", "1", 0), newPage("shop", "b", "2", time.Hour))
	w.Secrets[0].Data["verifyToken"] = []byte("another")
	w.Secrets[0].Data["appSecret"] = []byte("fedcba9876543210fedcba9876543210")
	r := w.write()
	require.Empty(t, r.Channels[key("shop", "b")].Findings, "the older one's word counts")
	a := r.Channels[key("shop", "a")]
	require.Equal(t, []string{"ResolvedRefs/SecretValueInvalid"}, reasons(a.Findings))
	require.Contains(t, a.Findings[0].Message, `"appSecret" and "verifyToken"`)
	require.NotContains(t, a.Findings[0].Message, "another\"")
	require.NotContains(t, a.Findings[0].Message, "fedcba")
	require.NotZero(t, a.Findings[0].Grace, "a rotation changes one Secret after the other")
	require.Equal(t, "another", entry(t, r, key("shop", "a")).Credentials["verifyToken"], "it is served with its own")

	w.Secrets[1].Data = w.Secrets[0].Data
	for _, c := range w.write().Channels {
		require.Empty(t, c.Findings)
	}
}

// A token of Instagram Login ends 60 days after it was made; no API tells when.
func TestTheAgeOfATokenThatEndsUntold(t *testing.T) {
	w := metaWorld(t, newPage("shop", "page", "1", 0))
	page := key("shop", "page")
	require.Zero(t, entry(t, w.write(), page).CredentialsSince, "of a page's token the app knows")

	w.Channels[0].Spec = v1alpha1.ChannelSpec{
		Platform: v1alpha1.PlatformInstagram, Credentials: w.Channels[0].Spec.Credentials,
		Instagram: &v1alpha1.InstagramChannel{AccountID: "17", AppID: "5", Login: v1alpha1.LoginInstagram},
	}
	w.Secrets[0].Data["accessToken"] = []byte("IGQV")
	require.Equal(t, start, entry(t, w.write(), page).CredentialsSince)
	w.now = start.Add(50 * 24 * time.Hour)
	r := w.write()
	require.Equal(t, start, entry(t, r, page).CredentialsSince)
	require.Equal(t, r.Channels[page].Entry, w.write().Channels[page].Entry, "at rest nothing changes")
	w.Secrets[0].Data["verifyToken"] = []byte("another")
	require.Equal(t, start, entry(t, w.write(), page).CredentialsSince)
	w.Secrets[0].Data["accessToken"] = []byte("IGQVnew")
	require.Equal(t, w.now, entry(t, w.write(), page).CredentialsSince)
}

// The other Channels of the app are waited for, also after a leak, when the
// former secret is not accepted any more.
func TestARotatedAppSecretIsTold(t *testing.T) {
	for name, overlap := range map[string]*metav1.Duration{"by default": nil, "after a leak": hours(0), "for longer": hours(30)} {
		t.Run(name, func(t *testing.T) {
			w := metaWorld(t, newPage("shop", "a", "1", time.Hour), newPage("shop", "b", "2", 0))
			a, b := key("shop", "a"), key("shop", "b")
			w.Channels[0].Spec.Credentials.Overlap = overlap
			require.Zero(t, entry(t, w.write(), a).RotatingUntil)

			w.Secrets[0].Data["pageAccessToken"] = []byte("EAAGother")
			require.Zero(t, entry(t, w.write(), a).RotatingUntil, "a token of its own signs nothing")

			w.Secrets[0].Data["appSecret"] = []byte(strings.Repeat("f", 32))
			until := start.Add(max(24*time.Hour, overlapOf(w.Channels[0])))
			r := w.write()
			require.Equal(t, until, entry(t, r, a).RotatingUntil)
			require.Zero(t, entry(t, r, b).RotatingUntil)
			require.LessOrEqual(t, r.NextChange, until)

			w.now = start.Add(time.Hour)
			again := w.write()
			require.Equal(t, until, entry(t, again, a).RotatingUntil, "it does not begin anew")

			w.now = until
			r = w.write()
			require.Zero(t, entry(t, r, a).RotatingUntil)
			require.Zero(t, r.NextChange)
		})
	}
}

func TestMetaValues(t *testing.T) {
	for name, tt := range map[string]struct {
		key, value string
	}{
		"a second line":   {"pageAccessToken", "EAAG\nEAAG"},
		"quotes":          {"appSecret", `"0123456789abcdef"`},
		"the wrong place": {"pageAccessToken", testAppSecret},
	} {
		t.Run(name, func(t *testing.T) {
			w := metaWorld(t, newPage("shop", "a", "1", 0))
			w.Secrets[0].Data[tt.key] = []byte(tt.value)
			f := w.compile().Channels[key("shop", "a")].Findings
			require.Equal(t, []string{"CredentialsValid/SecretValueInvalid"}, reasons(f))
			require.Contains(t, f[0].Message, `"`+tt.key+`"`)
			require.NotContains(t, f[0].Message, tt.value)
		})
	}
}

// drawApps changes a world of Pages in any way: they come, move, go, and are let go.
func drawApps(t *rapid.T, w *world, step int) {
	bridge := rapid.SampledFrom([]string{"default", "other"}).Draw(t, "bridge")
	appID := rapid.SampledFrom([]string{"7", "8"}).Draw(t, "app")
	if len(w.Channels) == 0 || rapid.IntRange(0, 2).Draw(t, "come") == 0 {
		name := fmt.Sprintf("p%d", step)
		ch := onBridge(newPage("shop", name, fmt.Sprint(100+step), time.Duration(rapid.IntRange(0, 3).Draw(t, "age"))*time.Hour), bridge)
		ch.Spec.Messenger.AppID = appID
		w.Channels, w.Secrets = append(w.Channels, ch), append(w.Secrets, newPageSecret("shop", name))
		return
	}
	i := rapid.IntRange(0, len(w.Channels)-1).Draw(t, "which")
	ch := w.Channels[i].DeepCopy()
	w.Channels[i] = ch
	switch {
	case !ch.DeletionTimestamp.IsZero():
		w.Channels = slices.Delete(w.Channels, i, i+1)
	case rapid.Bool().Draw(t, "move"):
		onBridge(ch, bridge)
	default:
		remove(ch)
	}
}

// Whatever happens, an app has Channels in one Bridge's document only, and none
// while another Bridge still owes the removal of its webhook; and the app's own
// subscription goes exactly with the last one.
func TestAppsProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := metaWorld(t)
		w.Bridges = append(w.Bridges, newBridge("shop", "other"))
		for step := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			drawApps(rt, w, step)
			r := w.write()
			holders, living := map[string]map[Key]bool{}, map[servedApp]bool{}
			last := map[servedApp]bool{}
			for key, b := range r.Bridges {
				for _, e := range b.Document.Entries {
					var spec document.Tombstone // what both kinds have
					require.NoError(rt, json.Unmarshal(e.Spec, &spec))
					if holders[spec.App] == nil {
						holders[spec.App] = map[Key]bool{}
					}
					holders[spec.App][key] = true
					at := servedApp{key, app{v1alpha1.PlatformMessenger, spec.App}}
					if e.Kind == document.EntryChannel {
						living[at] = true
					} else {
						last[at] = spec.LastOfApp
					}
				}
			}
			for id, keys := range holders {
				require.Len(rt, keys, 1, "app %s", id)
			}
			for at, isLast := range last {
				require.Equal(rt, !living[at], isLast)
			}
		}
	})
}
