package compile

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// To a store, a Channel that its document does not name is deleted: everything
// that is queued for it is cancelled for good.
func TestAChannelThatLeadsNowhereForAMomentWaitsInItsStore(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"its Bridge is deleted, to be applied again": func(w *world) { w.Bridges = nil },
		"a typing error in the Channel's bridgeRef":  func(w *world) { w.Channels[0].Spec.BridgeRef = &v1alpha1.ObjectReference{Name: "defaul"} },
		"a typing error in the Bridge's storeRef":    func(w *world) { w.Bridges[0].Spec.StoreRef = &v1alpha1.ObjectReference{Name: "defaul"} },
		"the Bridge lets nobody in": func(w *world) {
			w.Bridges[0].Spec.AllowedChannels = &v1alpha1.AllowedNamespaces{From: v1alpha1.FromSelector}
		},
		"the store lets nobody in":                     func(w *world) { w.Stores[0].Spec.AllowedBridges = selectNamespaces(map[string]string{"team": "none"}) },
		"a Bridge applied again, and no Secret so far": func(w *world) { w.PreviousBridges, w.Secrets = nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opts.CreateDefaults = false
			w.Stores[0].Spec.AllowedBridges, w.Bridges[0].Spec.AllowedChannels = nil, nil
			w.write()
			before := *storeEntry(t, w.write(), shopDefault, shopBot)
			require.Zero(t, before.AwayUntil)

			bridges, channel, bridge, store, secrets := w.Bridges, w.Channels[0].Spec, w.Bridges[0].Spec, w.Stores[0].Spec, w.Secrets
			change(w)
			var first *document.StoreChannel
			for range 3 { // also when the document before is one in which it waits
				r := w.write()
				got := storeEntry(t, r, shopDefault, shopBot)
				require.NotNil(t, got, "what is queued would be cancelled")
				if first == nil {
					first = got
				}
				require.Equal(t, first, got)
				require.True(t, got.Suspended)
				require.Equal(t, start.Add(24*time.Hour), got.AwayUntil)
				require.Equal(t, before.Bridge, got.Bridge, "late reports of what was being sent are its")
				require.Equal(t, shopDefault, r.Channels[shopBot].Waits)
				blocking := r.Channels[shopBot].Blocking()
				require.NotNil(t, blocking)
				require.Contains(t, blocking.Message, "what is queued waits in ConversationStore shop/default")
				w.now = w.now.Add(time.Hour)
			}

			w.Bridges, w.Channels[0].Spec, w.Stores[0].Spec, w.Secrets = bridges, channel, store, secrets
			w.Bridges[0].Spec = bridge
			r := w.write()
			require.Equal(t, before, *storeEntry(t, r, shopDefault, shopBot))
			require.Empty(t, r.Channels[shopBot].Findings)
			require.Zero(t, r.Channels[shopBot].Waits)
		})
	}
}

func TestAChannelDoesNotWait(t *testing.T) {
	other := key("shop", "other")
	for name, tt := range map[string]struct {
		change func(w *world)
		store  Key
	}{
		"in the store that it left": {func(w *world) {
			w.Stores = append(w.Stores, newStore("shop", "other"))
			w.Bridges[0].Spec.StoreRef = &v1alpha1.ObjectReference{Name: "other"}
		}, other},
		"while it is being deleted": {func(w *world) {
			w.Bridges = nil
			remove(w.Channels[0])
		}, Key{}},
		"for another of the same name before it": {func(w *world) {
			w.Bridges = nil
			w.Channels[0].UID = "another"
		}, Key{}},
		"once another Channel has the account": {func(w *world) {
			w.Bridges = nil
			winner := newChannel("desk", "bot", "42")
			winner.CreationTimestamp.Time = start.Add(-time.Hour)
			w.Channels = append(w.Channels, winner)
		}, Key{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opts.CreateDefaults = false
			w.write()
			tt.change(w)
			r := w.write()
			require.Zero(t, r.Channels[shopBot].Waits)
			require.Nil(t, storeEntry(t, r, shopDefault, shopBot))
			if tt.store != (Key{}) {
				require.False(t, storeEntry(t, r, tt.store, shopBot).Suspended)
			}
		})
	}
}

// With an invalid spec a Channel goes on as it was before; that it waited is over.
func TestWaitingEndsWithAnInvalidSpecToo(t *testing.T) {
	w := newWorld(t)
	w.opts.CreateDefaults = false
	w.write()
	w.Bridges[0].Spec.StoreRef = &v1alpha1.ObjectReference{Name: "defaul"}
	w.write()
	w.Bridges[0].Spec.StoreRef = nil
	w.Channels[0].Spec.ReopenWindow = hours(-1)
	got := storeEntry(t, w.write(), shopDefault, shopBot)
	require.False(t, got.Suspended)
	require.Zero(t, got.AwayUntil)
}

// Whatever happens to everything around it: a Channel that is there, and that a
// store that is there too knew with its account, is in one store's document still.
func TestNoChannelThatIsThereIsForgotten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawWorld(t)
		r := Compile(s, testOptions(), start)
		stored := map[Key][]document.StoreChannel{}
		for _, st := range r.Stores {
			for _, e := range st.Document.Entries {
				if e.Kind == document.EntryChannel {
					var ch document.StoreChannel
					require.NoError(t, json.Unmarshal(e.Spec, &ch))
					stored[parseKey(e.Name)] = append(stored[parseKey(e.Name)], ch)
				}
			}
		}
		for _, ch := range s.Channels {
			result := r.Channels[keyOf(ch)]
			if !ch.DeletionTimestamp.IsZero() {
				require.Zero(t, result.Waits)
				continue
			}
			require.LessOrEqual(t, len(stored[keyOf(ch)]), 1, "never in two stores")
			if !knownBefore(s, ch) || claimedByAnother(result) {
				continue
			}
			require.Len(t, stored[keyOf(ch)], 1)
			in := stored[keyOf(ch)][0]
			require.Equal(t, result.Waits != Key{}, !in.AwayUntil.IsZero())
			require.Equal(t, result.Waits != Key{}, in.Suspended)
			require.Equal(t, result.Waits == Key{}, result.Entry != nil && result.Store != Key{})
		}
	})
}

func knownBefore(s *Snapshot, ch *v1alpha1.Channel) bool {
	for key, doc := range s.PreviousStores {
		if !slices.ContainsFunc(s.Stores, func(st *v1alpha1.ConversationStore) bool { return keyOf(st) == key }) {
			continue // a store that was deleted took what it had with it
		}
		e, found := doc.Find(document.EntryChannel, keyOf(ch).String())
		if found && decodeSpec[document.StoreChannel](&e).Account == ch.Account() {
			return true
		}
	}
	return false
}

func claimedByAnother(r *ChannelResult) bool {
	for _, f := range r.Findings {
		if f.Reason == v1alpha1.ReasonAccountClaimed {
			return true
		}
	}
	return false
}
