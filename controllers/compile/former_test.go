package compile

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

const shopWebhook = testPublicURL + "/webhooks/shop/bot"

// registered is a world whose channel may have its webhook registered.
func registered(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.write()
	w.serve()
	require.True(t, entry(t, w.write(), shopBot).RegisterWebhook)
	return w
}

// Whatever makes a channel receive by Polling, the webhook that it registered
// keeps Telegram from letting anybody poll until somebody who knows that it is
// the channel's own has removed it.
func TestFormerWebhookIsRemembered(t *testing.T) {
	noURL := func(w *world) { w.Bridges[0].Spec.PublicURL = "" }
	move := func(w *world) {
		w.Bridges = append(w.Bridges, newBridge("shop", "inner"))
		w.Bridges[1].Spec.PublicURL = ""
		w.Channels[0].Spec.BridgeRef = &v1alpha1.ObjectReference{Name: "inner"}
	}
	for name, change := range map[string]func(w *world){
		"the Bridge loses its public URL":                    noURL,
		"the Channel chooses Polling":                        func(w *world) { w.Channels[0].Spec.Telegram.Receive = v1alpha1.ReceivePolling },
		"the Channel moves to a Bridge without a public URL": move,
		"the URL goes, and Polling is chosen only then": func(w *world) {
			w.Channels[0].Spec.Telegram.Receive = v1alpha1.ReceiveWebhook
			noURL(w)
			w.write()
			w.Channels[0].Spec.Telegram.Receive = v1alpha1.ReceivePolling
		},
		"its Bridge is gone when the Channel moves": func(w *world) {
			w.Channels[0].Status.WebhookURL = shopWebhook
			w.Channels[0].Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionWebhookRegistered, Status: metav1.ConditionTrue}}
			move(w)
			w.Bridges = w.Bridges[1:]
		},
		"another URL is on its way, and is never registered": func(w *world) {
			w.Bridges[0].Spec.PublicURL = "https://elsewhere.example.com"
			w.write()
			noURL(w)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := registered(t)
			change(w)
			for range 3 { // it stays known, also when the documents of before are gone
				r := w.write()
				require.Equal(t, document.ReceivePolling, entry(t, r, shopBot).Receive)
				require.Equal(t, shopWebhook, entry(t, r, shopBot).FormerWebhookURL)
				require.Equal(t, shopWebhook, r.Channels[shopBot].FormerWebhookURL)
				require.Empty(t, r.Channels[shopBot].WebhookURL)
			}
			remove(w.Channels[0])
			r := w.write()
			require.True(t, r.Channels[shopBot].Tombstone(), "perhaps nobody fetched in the meantime")
			var got document.Tombstone
			require.NoError(t, json.Unmarshal(r.Channels[shopBot].Entry.Spec, &got))
			require.Equal(t, shopWebhook, got.WebhookURL)
		})
	}
}

func TestFormerWebhookIsForgotten(t *testing.T) {
	t.Run("once a webhook may be registered again", func(t *testing.T) {
		w := registered(t)
		w.Bridges[0].Spec.PublicURL = ""
		w.write()
		w.Bridges[0].Spec.PublicURL = "https://elsewhere.example.com"
		require.Equal(t, shopWebhook, entry(t, w.write(), shopBot).FormerWebhookURL)
		w.serve()
		r := w.write()
		require.True(t, entry(t, r, shopBot).RegisterWebhook)
		require.Empty(t, entry(t, r, shopBot).FormerWebhookURL)
		require.Empty(t, r.Channels[shopBot].FormerWebhookURL)
	})
	t.Run("never one, where nothing was registered", func(t *testing.T) {
		w := newWorld(t)
		w.write()
		w.Bridges[0].Spec.PublicURL = ""
		require.Empty(t, entry(t, w.write(), shopBot).FormerWebhookURL)
	})
	t.Run("nor is the one that it has", func(t *testing.T) {
		w := registered(t)
		w.rotate('b')
		r := w.write()
		require.False(t, entry(t, r, shopBot).RegisterWebhook)
		require.Empty(t, entry(t, r, shopBot).FormerWebhookURL)
	})
	t.Run("another Channel of the same name knows nothing of it", func(t *testing.T) {
		w := registered(t)
		w.Channels[0].UID = "another"
		w.Bridges[0].Spec.PublicURL = ""
		require.Empty(t, entry(t, w.write(), shopBot).FormerWebhookURL)
	})
}
