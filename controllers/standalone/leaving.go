package standalone

import (
	"encoding/json"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// removalPatience is how long a Channel that vanished from the files waits for
// its webhook to be removed, as in a cluster.
const removalPatience = 5 * time.Minute

// leaving is a Channel that vanished from the files, with what it takes to
// remove its webhook and to cancel what waits to be sent.
type leaving struct {
	channel *v1alpha1.Channel
	bridge  *v1alpha1.Bridge
	store   *v1alpha1.ConversationStore
	webhook bool // the platform may have one
	since   time.Time
}

// noteLeaving finds Channels that vanished since the compilation before (which
// may be one before a restart), and forgets those that came back. A Channel
// that comes back with another account is another Channel.
func (w *world) noteLeaving(m *Manifests, now time.Time) {
	there := make(map[compile.Key]*v1alpha1.Channel, len(m.Channels))
	for _, ch := range m.Channels {
		there[keyOf(ch)] = ch
	}
	for key, ch := range there {
		if sameAccount(w.objects.channels[key], ch) {
			delete(w.leaving, key)
			w.setLeft(ch, time.Time{})
		}
	}
	for key, doc := range w.previousBridges {
		for _, e := range doc.Entries {
			if e.Kind != document.EntryChannel && e.Kind != document.EntryTombstone {
				continue
			}
			namespace, name, _ := strings.Cut(e.Name, "/")
			ch := w.objects.channels[compile.Key{Namespace: namespace, Name: name}]
			if ch == nil || w.leaving[keyOf(ch)] != nil || sameAccount(ch, there[keyOf(ch)]) {
				continue
			}
			w.leave(&leaving{
				channel: ch.DeepCopy(), bridge: w.objects.bridges[key], store: w.objects.stores[storeOf(doc)], webhook: hasWebhook(e),
			}, now)
		}
	}
}

func sameAccount(a, b *v1alpha1.Channel) bool {
	return a != nil && b != nil && a.Spec.Platform == b.Spec.Platform && a.Account() == b.Account()
}

// hasWebhook says whether an entry of a bridge's document may have left a
// webhook at the platform.
func hasWebhook(e document.Entry) bool {
	var ch document.Channel // a Tombstone has the same field
	return json.Unmarshal(e.Spec, &ch) == nil && ch.WebhookURL != "" && (e.Kind == document.EntryTombstone || ch.Receive == document.ReceiveWebhook)
}

// leave makes a Channel one that is being deleted.
func (w *world) leave(l *leaving, now time.Time) {
	if l.since = w.records[identity("Channel", l.channel)].Left; l.since.IsZero() {
		l.since = now
	}
	l.channel.DeletionTimestamp, l.channel.Finalizers = &metav1.Time{Time: l.since}, []string{v1alpha1.FinalizerDuties}
	w.leaving[keyOf(l.channel)] = l
	w.setLeft(l.channel, l.since)
}

func (w *world) setLeft(ch *v1alpha1.Channel, since time.Time) {
	if r, known := w.records[identity("Channel", ch)]; known {
		r.Left = since
		w.records[identity("Channel", ch)] = r
	}
}

// forget ends a Channel that left: one of the same name is another Channel.
func (w *world) forget(key compile.Key) {
	l := w.leaving[key]
	delete(w.leaving, key)
	delete(w.objects.channels, key)
	delete(w.records, identity("Channel", l.channel))
	delete(w.statuses, identity("Channel", l.channel))
}
