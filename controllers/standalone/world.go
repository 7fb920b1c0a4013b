package standalone

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// world is what an API server would keep: the objects with what it adds to
// them, and the documents that were made of them.
type world struct {
	capabilities map[string]platform.Capabilities
	// token returns the REST token of a store whose manifest names none.
	token func(store compile.Key) (string, error)

	// objects as they were compiled last, before anything was added to them.
	objects objects
	// records and statuses by identity ("Channel/shop/bot").
	records  map[string]record
	statuses map[string]status

	leaving         map[compile.Key]*leaving
	previousBridges map[compile.Key]*document.Document
	previousStores  map[compile.Key]*document.Document

	programs *compile.Programs
	snapshot *compile.Snapshot
	result   *compile.Result
}

// objects by name.
type objects struct {
	stores   map[compile.Key]*v1alpha1.ConversationStore
	bridges  map[compile.Key]*v1alpha1.Bridge
	channels map[compile.Key]*v1alpha1.Channel
}

func newObjects() objects {
	return objects{
		stores: map[compile.Key]*v1alpha1.ConversationStore{}, bridges: map[compile.Key]*v1alpha1.Bridge{},
		channels: map[compile.Key]*v1alpha1.Channel{},
	}
}

// status is what of an object's status the next compilation looks at.
type status struct {
	conditions []metav1.Condition
	// Of a Channel: its name as the platform tells it, and its webhook.
	displayName, webhookURL string
	// Of a RoutingPolicy: how it stands with its Channels.
	parents []v1alpha1.ParentStatus
	// Of a Schedule: whether it is open.
	open *bool
	// Of a SurveyCampaign: everything.
	campaign v1alpha1.SurveyCampaignStatus
}

func newWorld(capabilities map[string]platform.Capabilities, token func(compile.Key) (string, error)) *world {
	return &world{
		capabilities: capabilities, token: token,
		objects: newObjects(), records: map[string]record{}, statuses: map[string]status{},
		leaving: map[compile.Key]*leaving{}, programs: &compile.Programs{},
		previousBridges: map[compile.Key]*document.Document{}, previousStores: map[compile.Key]*document.Document{},
	}
}

func (w *world) options() compile.Options {
	return compile.Options{
		Platforms: func(name string) (platform.Capabilities, bool) {
			c, ok := w.capabilities[name]
			return c, ok
		},
		// The bridge calls the store within the process; the document has to name one.
		StoreURL:       func(namespace, name string) string { return inProcess + namespace + "/" + name },
		CreateDefaults: true,
		RegisterAtOnce: true,
		Programs:       w.programs,
	}
}

// inProcess begins the URL of a store that is called without a network.
const inProcess = "inprocess://"

// storeOf is the store that a bridge's document names: the one in force, also
// while its manifest says something that is not in force.
func storeOf(bridge *document.Document) compile.Key {
	var settings document.BridgeSettings
	if bridge == nil || json.Unmarshal(bridge.Settings, &settings) != nil {
		return compile.Key{}
	}
	namespace, name, _ := strings.Cut(strings.TrimPrefix(settings.StoreURL, inProcess), "/")
	return compile.Key{Namespace: namespace, Name: name}
}

// compile makes documents of manifests. Default objects are made on the way,
// as the operator makes them.
func (w *world) compile(m *Manifests, now time.Time) error {
	s, err := w.assemble(m, now)
	if err != nil {
		return err
	}
	for {
		result := compile.Compile(s, w.options(), now)
		if len(result.CreateDefaults) == 0 {
			w.snapshot, w.result = s, result
			w.prune(s)
			return nil
		}
		for _, d := range result.CreateDefaults {
			if err := w.put(s, d.Object(), now); err != nil {
				return err
			}
		}
	}
}

// assemble builds the snapshot: what the files say, and what is on its way out.
func (w *world) assemble(m *Manifests, now time.Time) (*compile.Snapshot, error) {
	w.noteLeaving(m, now)
	next := newObjects()
	for _, o := range m.Stores {
		next.stores[keyOf(o)] = o
	}
	for _, o := range m.Bridges {
		next.bridges[keyOf(o)] = o
	}
	for _, o := range m.Channels {
		next.channels[keyOf(o)] = o
	}
	for key, l := range w.leaving {
		// A Channel of the same name but of another account waits until this one is gone.
		next.channels[key] = l.channel
		if l.bridge != nil && next.bridges[keyOf(l.bridge)] == nil {
			next.bridges[keyOf(l.bridge)] = l.bridge
		}
		if l.store != nil && next.stores[keyOf(l.store)] == nil {
			next.stores[keyOf(l.store)] = l.store
		}
	}
	s := &compile.Snapshot{
		Namespaces:      m.namespaceLabels(),
		PreviousBridges: w.previousBridges, PreviousStores: w.previousStores,
		Secrets: slices.Clone(m.Secrets),
	}
	w.objects = newObjects()
	w.putRouting(s, m.Routing, now)
	return s, w.putAll(s, next, now)
}

func (w *world) putAll(s *compile.Snapshot, o objects, now time.Time) error {
	for _, key := range sortedKeys(o.stores) {
		if err := w.put(s, o.stores[key], now); err != nil {
			return err
		}
	}
	for _, key := range sortedKeys(o.bridges) {
		if err := w.put(s, o.bridges[key], now); err != nil {
			return err
		}
	}
	for _, key := range sortedKeys(o.channels) {
		if err := w.put(s, o.channels[key], now); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(o client.Object) compile.Key { return client.ObjectKeyFromObject(o) }

// prune forgets what was kept of objects that are gone: one of the same name
// is another one.
func (w *world) prune(s *compile.Snapshot) {
	there := map[string]bool{}
	for _, o := range s.Stores {
		there[identityOf(o)] = true
	}
	for _, o := range s.Bridges {
		there[identityOf(o)] = true
	}
	for _, o := range s.Channels {
		there[identityOf(o)] = true
	}
	eachRouted(s, func(o client.Object) { there[identityOf(o)] = true })
	gone := func(identity string) bool { return !there[identity] }
	maps.DeleteFunc(w.records, func(identity string, _ record) bool { return gone(identity) })
	maps.DeleteFunc(w.statuses, func(identity string, _ status) bool { return gone(identity) })
}

// put adds an object with what an API server and the operator would have set on it.
func (w *world) put(s *compile.Snapshot, obj client.Object, now time.Time) error {
	switch o := obj.(type) {
	case *v1alpha1.ConversationStore:
		w.objects.stores[keyOf(o)] = o
		o = o.DeepCopy()
		w.stamp("ConversationStore", o, o.Spec, now)
		o.Status = v1alpha1.ConversationStoreStatus{Conditions: w.statuses[identityOf(o)].conditions}
		s.Stores = append(s.Stores, o)
		return w.addToken(s, o)
	case *v1alpha1.Bridge:
		w.objects.bridges[keyOf(o)] = o
		o = o.DeepCopy()
		w.stamp("Bridge", o, o.Spec, now)
		o.Status = v1alpha1.BridgeStatus{Conditions: w.statuses[identityOf(o)].conditions}
		s.Bridges = append(s.Bridges, o)
	case *v1alpha1.Channel:
		w.objects.channels[keyOf(o)] = o
		o = o.DeepCopy()
		r := w.stamp("Channel", o, o.Spec, now)
		before := w.statuses[identityOf(o)]
		o.Status = v1alpha1.ChannelStatus{Conditions: before.conditions, DisplayName: before.displayName, WebhookURL: before.webhookURL}
		if before.conditions == nil && r.Accepted {
			o.Status.Conditions = []metav1.Condition{{
				Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAccepted,
				LastTransitionTime: metav1.NewTime(r.Since), ObservedGeneration: r.Generation,
			}}
		}
		s.Channels = append(s.Channels, o)
	}
	return nil
}

// identityOf needs the kind that stamp has set.
func identityOf(o client.Object) string {
	return identity(o.GetObjectKind().GroupVersionKind().Kind, o)
}

func identity(kind string, o client.Object) string {
	return kind + "/" + o.GetNamespace() + "/" + o.GetName()
}

// stamp sets kind, UID, generation and creation time.
func (w *world) stamp(kind string, o client.Object, spec any, now time.Time) record {
	o.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	raw, err := json.Marshal(spec)
	if err != nil {
		panic(err) // the spec was made from JSON
	}
	sum := sha256.Sum256(raw)
	r := w.records[identityOf(o)]
	if r.UID == "" {
		r.UID, r.Since = uuid.NewUUID(), now.UTC().Truncate(time.Second)
	}
	if hash := hex.EncodeToString(sum[:]); hash != r.Spec {
		r.Spec = hash
		r.Generation++
	}
	w.records[identityOf(o)] = r
	o.SetUID(r.UID)
	o.SetGeneration(r.Generation)
	o.SetCreationTimestamp(metav1.NewTime(r.Since))
	return r
}

const (
	generatedTokenName   = "generated"
	generatedTokenSecret = "bridgekeeper-generated-token" //nolint:gosec // a name
)

// addToken gives a store whose manifest names no token one that may do all.
func (w *world) addToken(s *compile.Snapshot, st *v1alpha1.ConversationStore) error {
	if st.Spec.API != nil && len(st.Spec.API.Tokens) > 0 {
		return nil
	}
	value, err := w.token(keyOf(st))
	if err != nil {
		return fmt.Errorf("REST token of ConversationStore %s/%s: %w", st.Namespace, st.Name, err)
	}
	name := generatedTokenSecret + "-" + st.Name
	st.Spec.API = &v1alpha1.StoreAPI{Tokens: []v1alpha1.APIToken{{
		Name: generatedTokenName, SecretRef: v1alpha1.SecretReference{Name: name},
		Namespaces: []string{"*"}, Access: v1alpha1.APIAccessAdmin,
	}}}
	s.Secrets = append(s.Secrets, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: st.Namespace, Name: name, Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		Data:       map[string][]byte{"token": []byte(value)},
	})
	return nil
}

// documents encodes what changed and returns, by key, what pods must run now.
// A suspended resource keeps the document that it has, but for a Bridge with
// webhooks to remove, as in a cluster.
func (w *world) documents() (stores, bridges map[compile.Key]*document.Document, err error) {
	stores, bridges = map[compile.Key]*document.Document{}, map[compile.Key]*document.Document{}
	for _, st := range w.snapshot.Stores {
		key := keyOf(st)
		doc := w.result.Stores[key].Document
		if st.Spec.Suspend {
			doc = nil
		}
		if stores[key], err = settle(doc, w.previousStores[key]); err != nil {
			return nil, nil, err
		}
	}
	for _, b := range w.snapshot.Bridges {
		key := keyOf(b)
		doc := w.result.Bridges[key].Document
		if b.Spec.Suspend && w.result.Bridges[key].Tombstones == 0 {
			doc = nil
		}
		if bridges[key], err = settle(doc, w.previousBridges[key]); err != nil {
			return nil, nil, err
		}
	}
	w.previousStores, w.previousBridges = withoutNil(stores), withoutNil(bridges)
	return w.previousStores, w.previousBridges, nil
}

// settle returns the previous document when nothing changed, else the new one
// with its hashes.
func settle(doc, previous *document.Document) (*document.Document, error) {
	if doc == nil || !compile.Changed(doc, previous) {
		return previous, nil
	}
	if _, finding := compile.Encode(doc, previous); finding != nil {
		return nil, fmt.Errorf("%s", finding.Message)
	}
	return doc, nil
}

func withoutNil(docs map[compile.Key]*document.Document) map[compile.Key]*document.Document {
	for key, doc := range docs {
		if doc == nil {
			delete(docs, key)
		}
	}
	return docs
}
