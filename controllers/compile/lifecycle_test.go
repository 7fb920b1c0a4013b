package compile

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

func (w *world) rotate(fill rune) {
	w.Secrets[0].Data["token"] = []byte(token("42", fill))
}

func previousTokens(ch document.Channel) []string {
	var out []string
	for _, p := range ch.PreviousCredentials {
		out = append(out, string(p.Values["token"][3]))
	}
	return out
}

func TestRotationOverlaps(t *testing.T) {
	w := newWorld(t)
	require.Zero(t, w.write().NextChange)

	w.rotate('b')
	r := w.write()
	require.True(t, r.Channels[shopBot].Rotated)
	require.Equal(t, []string{"a"}, previousTokens(entry(t, r, shopBot)))
	require.Equal(t, start.Add(24*time.Hour), r.NextChange)

	w.now = start.Add(time.Hour)
	again := w.write()
	require.False(t, again.Channels[shopBot].Rotated)
	require.Equal(t, r.Channels[shopBot].Entry, again.Channels[shopBot].Entry, "the time that is left does not start anew")

	w.rotate('c')
	r = w.write()
	require.Equal(t, []string{"b", "a"}, previousTokens(entry(t, r, shopBot)))
	require.Equal(t, start.Add(24*time.Hour), r.NextChange, "the earliest of several")

	w.rotate('b')
	require.Equal(t, []string{"c", "a"}, previousTokens(entry(t, w.compile(), shopBot)), "a rollback: b is in force, not previous")
	w.rotate('c')

	w.now = start.Add(24 * time.Hour)
	r = w.write()
	require.Equal(t, []string{"b"}, previousTokens(entry(t, r, shopBot)), "a is over")
	w.now = start.Add(25 * time.Hour)
	r = w.write()
	require.Empty(t, entry(t, r, shopBot).PreviousCredentials)
	require.Zero(t, r.NextChange)
}

func TestOverlapBounds(t *testing.T) {
	w := newWorld(t)
	w.write()
	for _, fill := range "bcdefg" {
		w.rotate(fill)
		w.write()
	}
	require.Equal(t, []string{"f", "e", "d", "c"}, previousTokens(entry(t, w.write(), shopBot)), "the newest four")

	w.Channels[0].Spec.Credentials.Overlap = hours(1)
	r := w.write()
	require.Equal(t, start.Add(time.Hour), r.NextChange, "shortened for those that are out already")

	w.Channels[0].Spec.Credentials.Overlap = hours(0)
	require.Empty(t, entry(t, w.write(), shopBot).PreviousCredentials, "0s after a leak ends all at once")

	w.Channels[0].Spec.Credentials.Overlap = nil
	w.Channels[0].Spec.Telegram.Receive = v1alpha1.ReceivePolling
	w.write()
	w.rotate('h')
	require.Empty(t, entry(t, w.compile(), shopBot).PreviousCredentials, "nothing is verified where messages are fetched")
}

func TestRegistrationWaitsForAllPods(t *testing.T) {
	w := newWorld(t)
	w.write()
	registers := func() bool { return entry(t, w.write(), shopBot).RegisterWebhook }
	require.False(t, registers(), "no pod serves yet")

	old := podOf(&document.Document{Hash: "older", Shards: []string{"older"}})
	current := podOf(w.PreviousBridges[shopDefault])
	w.Fleets = map[Key]*fleet.Fleet{shopDefault: fleet.New([]fleet.Pod{current, old})}
	require.False(t, registers(), "one of two pods would answer a handshake with 404")

	refusing := current
	refusing.Status.Exceptions = []document.Exception{{Entry: "Channel/shop/bot"}}
	w.Fleets[shopDefault] = fleet.New([]fleet.Pod{current, refusing})
	require.False(t, registers(), "one pod refuses the channel")

	w.Fleets[shopDefault] = fleet.New([]fleet.Pod{current, current})
	require.True(t, registers())
	require.True(t, registers(), "it stays so, although no pod has loaded this version yet")

	w.Channels[0].Spec.Suspend = true
	require.True(t, registers(), "another change does not interrupt it")

	w.rotate('b')
	require.False(t, registers(), "not every pod knows the new secret yet")
	w.serve()
	require.True(t, registers())

	w.Bridges[0].Spec.PublicURL = "https://elsewhere.example.com"
	require.False(t, registers(), "nor the new URL")

	w.opts.RegisterAtOnce = true
	require.True(t, registers())
}

// A Channel that is deleted before it has the finalizer is gone at once, and
// with it all that is known of a webhook.
func TestRegistrationWaitsForTheFinalizer(t *testing.T) {
	w := newWorld(t)
	w.Channels[0].Finalizers = nil
	w.write()
	w.serve()
	require.False(t, entry(t, w.write(), shopBot).RegisterWebhook)
	w.Channels[0].Finalizers = []string{v1alpha1.FinalizerDuties}
	require.True(t, entry(t, w.write(), shopBot).RegisterWebhook)
}

func remove(ch *v1alpha1.Channel) {
	now := metav1.NewTime(start)
	ch.DeletionTimestamp, ch.Finalizers = &now, []string{v1alpha1.FinalizerDuties}
	ch.Generation++
}

func TestDeletedChannelLeavesTombstone(t *testing.T) {
	w := newWorld(t)
	w.write()
	remove(w.Channels[0])
	w.Secrets, w.Stores[0].Spec.AllowedBridges = nil, nil
	want := document.Tombstone{
		UID: "uid-shop-bot", Platform: "telegram", Account: "42", WebhookURL: testPublicURL + "/webhooks/shop/bot",
		Credentials: map[string]string{"token": token("42", 'a')},
	}
	for range 3 { // kept for as long as the Channel is there
		r := w.write()
		c := r.Channels[shopBot]
		require.True(t, c.Tombstone())
		var got document.Tombstone
		require.NoError(t, json.Unmarshal(c.Entry.Spec, &got))
		require.Equal(t, want, got)
		require.Equal(t, int32(1), r.Bridges[shopDefault].Tombstones)
		require.Zero(t, r.Bridges[shopDefault].Channels)
		require.True(t, storeEntry(t, r, shopDefault, shopBot).Deleting)
	}
	w.Channels[0].Spec.BridgeRef = &v1alpha1.ObjectReference{Name: "gone"}
	require.True(t, w.compile().Channels[shopBot].Tombstone(), "whatever the references say by now")

	w.Channels = nil
	r := w.write()
	require.Empty(t, r.Bridges[shopDefault].Document.Entries)
}

func TestDeletedChannelWithoutWebhookLeavesNone(t *testing.T) {
	tests := map[string]func(*world){
		"polled":       func(w *world) { w.Bridges[0].Spec.PublicURL = "" },
		"never loaded": func(w *world) { w.PreviousBridges = nil; w.opts.CreateDefaults = false },
		"without our finalizer": func(w *world) {
			w.write()
			w.Channels[0].Finalizers = nil
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			if name == "polled" {
				w.write()
			}
			remove(w.Channels[0])
			if name == "without our finalizer" {
				w.Channels[0].Finalizers = nil
			}
			r := w.compile()
			require.Nil(t, r.Channels[shopBot].Entry)
			require.Empty(t, r.Bridges[shopDefault].Document.Entries)
		})
	}
}

func TestClaims(t *testing.T) {
	rival := func(ns, name string, age time.Duration) *v1alpha1.Channel {
		ch := newChannel(ns, name, "42")
		ch.CreationTimestamp = metav1.NewTime(start.Add(-age))
		return ch
	}
	accept := func(ch *v1alpha1.Channel) *v1alpha1.Channel {
		ch.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue}}
		return ch
	}
	tests := map[string]struct {
		channels []*v1alpha1.Channel
		winner   string
	}{
		"the oldest":              {[]*v1alpha1.Channel{rival("shop", "a", 1), rival("shop", "b", 2*time.Hour)}, "b"},
		"the first by name":       {[]*v1alpha1.Channel{rival("shop", "b", 0), rival("shop", "a", 0)}, "a"},
		"the one that has it":     {[]*v1alpha1.Channel{rival("shop", "a", 2*time.Hour), accept(rival("shop", "b", 0))}, "b"},
		"across namespaces":       {[]*v1alpha1.Channel{rival("shop", "a", 0), rival("desk", "b", 2*time.Hour)}, "b"},
		"not one that is leaving": {[]*v1alpha1.Channel{leaving(accept(rival("shop", "a", 2*time.Hour))), rival("shop", "b", 0)}, "b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Channels = tt.channels
			w.Bridges, w.Stores, w.Secrets = nil, nil, nil
			for _, ch := range tt.channels {
				w.Bridges = append(w.Bridges, newBridge(ch.Namespace, "default"))
				w.Stores = append(w.Stores, newStore(ch.Namespace, "default"))
				w.Secrets = append(w.Secrets, newSecret(ch.Namespace, ch.Name, token("42", 'a')))
			}
			for k, c := range w.compile().Channels {
				if k.Name == tt.winner {
					require.Empty(t, c.Findings)
					require.NotNil(t, c.Entry)
					continue
				}
				require.Nil(t, c.Entry)
				if len(c.Findings) > 0 {
					require.Equal(t, []string{"Accepted/AccountClaimed"}, reasons(c.Findings))
					require.NotContains(t, c.Findings[0].Message, "desk", "the loser does not learn who it is")
					require.NotContains(t, c.Findings[0].Message, `"`+tt.winner+`"`)
				}
			}
		})
	}
}

func leaving(ch *v1alpha1.Channel) *v1alpha1.Channel {
	remove(ch)
	return ch
}

func TestSuccessorWaitsForTheTombstone(t *testing.T) {
	w := newWorld(t)
	w.write()
	remove(w.Channels[0])
	next := newChannel("shop", "next", "42")
	w.Channels = append(w.Channels, next)
	w.Secrets = append(w.Secrets, newSecret("shop", "next", token("42", 'b')))
	r := w.write()
	require.True(t, r.Channels[shopBot].Tombstone())
	require.Equal(t, []string{"Accepted/AccountClaimed"}, reasons(r.Channels[keyOf(next)].Findings))
	require.NotZero(t, r.Channels[keyOf(next)].Findings[0].Grace, "it is expected to pass")

	w.Channels = w.Channels[1:]
	r = w.write()
	require.Empty(t, r.Channels[keyOf(next)].Findings)
	require.NotNil(t, r.Channels[keyOf(next)].Entry)
}
