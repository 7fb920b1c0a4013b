package compile

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/controllers/fleet"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func testOptions() Options {
	return Options{
		CreateDefaults: true,
		StoreURL:       func(namespace, name string) string { return "https://" + name + "." + namespace },
		Platforms: func(name string) (platform.Capabilities, bool) {
			return platform.Capabilities{
				Receive: []document.Receive{document.ReceiveWebhook, document.ReceivePolling},
				Secrets: []platform.SecretKey{
					{Name: "token", Required: true, Description: "of BotFather"},
					{Name: "webhookSecret"},
				},
			}, name == "telegram"
		},
	}
}

const testPublicURL = "https://hooks.example.com"

func newStore(ns, name string) *v1alpha1.ConversationStore {
	return &v1alpha1.ConversationStore{ObjectMeta: objectMeta(ns, name)}
}

func newBridge(ns, name string) *v1alpha1.Bridge {
	return &v1alpha1.Bridge{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.BridgeSpec{PublicURL: testPublicURL}}
}

func newChannel(ns, name, bot string) *v1alpha1.Channel {
	ch := &v1alpha1.Channel{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.ChannelSpec{
		Platform:    v1alpha1.PlatformTelegram,
		Telegram:    &v1alpha1.TelegramChannel{BotID: bot},
		Credentials: v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: name}},
	}}
	ch.Finalizers = []string{v1alpha1.FinalizerDuties} // as the operator leaves it
	return ch
}

func newSecret(ns, name, token string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: objectMeta(ns, name), Data: map[string][]byte{"token": []byte(token)}}
	s.Labels = map[string]string{v1alpha1.CredentialsLabel: "true"}
	return s
}

func objectMeta(ns, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: ns, Name: name, UID: types.UID("uid-" + ns + "-" + name), Generation: 1,
		CreationTimestamp: metav1.NewTime(start),
	}
}

// world is a snapshot that grows, with the operator's part of writing documents.
type world struct {
	t *testing.T
	Snapshot
	opts Options
	now  time.Time
}

// newWorld has, in namespace shop, a store, a bridge, and a channel with its Secret.
func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{t: t, opts: testOptions(), now: start, Snapshot: Snapshot{
		Stores:   []*v1alpha1.ConversationStore{newStore("shop", "default")},
		Bridges:  []*v1alpha1.Bridge{newBridge("shop", "default")},
		Channels: []*v1alpha1.Channel{newChannel("shop", "bot", "42")},
		Secrets:  []*corev1.Secret{newSecret("shop", "bot", token("42", 'a'))},
	}}
}

func token(bot string, fill rune) string {
	secret := make([]rune, 35)
	for i := range secret {
		secret[i] = fill
	}
	return bot + ":" + string(secret)
}

func (w *world) compile() *Result { return Compile(&w.Snapshot, w.opts, w.now) }

// write compiles and makes the documents the previous ones, by way of bytes.
func (w *world) write() *Result {
	w.t.Helper()
	r := w.compile()
	w.PreviousBridges, w.PreviousStores = map[Key]*document.Document{}, map[Key]*document.Document{}
	for k, b := range r.Bridges {
		if b.Document != nil {
			w.PreviousBridges[k] = reread(w.t, b.Document)
		}
	}
	for k, s := range r.Stores {
		if s.Document != nil {
			w.PreviousStores[k] = reread(w.t, s.Document)
		}
	}
	return r
}

// serve lets every bridge have one pod that runs the previous documents.
func (w *world) serve() {
	w.Fleets = map[Key]*fleet.Fleet{}
	for k, doc := range w.PreviousBridges {
		w.Fleets[k] = fleet.New([]fleet.Pod{podOf(doc)})
	}
}

func podOf(doc *document.Document) fleet.Pod {
	return fleet.Pod{Status: document.Status{Hash: doc.Hash, Shards: doc.Shards, Generation: doc.Generation}}
}

func reread(t require.TestingT, doc *document.Document) *document.Document {
	files, f := Encode(doc, nil)
	require.Nil(t, f)
	back, exceptions, err := document.Decode(files)
	require.NoError(t, err)
	require.Empty(t, exceptions)
	return back
}

// entry is the channel's entry in its bridge's document, decoded.
func entry(t *testing.T, r *Result, key Key) document.Channel {
	t.Helper()
	e := r.Channels[key].Entry
	require.NotNil(t, e, "channel %s has no entry", key)
	require.Equal(t, document.EntryChannel, e.Kind)
	var ch document.Channel
	require.NoError(t, json.Unmarshal(e.Spec, &ch))
	return ch
}

func storeEntry(t *testing.T, r *Result, store, channel Key) *document.StoreChannel {
	t.Helper()
	for _, e := range r.Stores[store].Document.Entries {
		if e.Kind == document.EntryChannel && e.Name == channel.String() {
			var ch document.StoreChannel
			require.NoError(t, json.Unmarshal(e.Spec, &ch))
			return &ch
		}
	}
	return nil
}

func key(ns, name string) Key { return Key{Namespace: ns, Name: name} }

func reasons(findings []Finding) []string {
	out := []string{}
	for _, f := range findings {
		out = append(out, f.Condition+"/"+f.Reason)
	}
	return out
}

// says lets the pod of the channel's bridge, which has the lease, say how the
// registration of the webhook stands for the entry that is written.
func (w *world) says(channel Key, webhook document.Duty) {
	for k, doc := range w.PreviousBridges {
		if e, ok := doc.Find(document.EntryChannel, channel.String()); ok {
			pod := podOf(doc)
			pod.Rows = map[string]document.ChannelStatus{e.Key(): {Entry: e.Key(), Hash: e.Hash, Held: true, Webhook: &webhook}}
			w.Fleets[k] = fleet.New([]fleet.Pod{pod})
		}
	}
}
