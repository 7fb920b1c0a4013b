package standalone

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// removalPatience is how long a Channel that vanished from the files waits for
// its webhook to be removed, as in a cluster.
const removalPatience = 5 * time.Minute

// world is what an API server would keep: the objects with what it adds to
// them, and the documents that were made of them.
type world struct {
	capabilities map[string]platform.Capabilities
	// token returns the REST token of a store whose manifest names none.
	token func(store compile.Key) (string, error)

	// versions and conditions by identity ("Channel/shop/bot").
	versions   map[string]version
	conditions map[string][]metav1.Condition
	// names and profiles of accounts, as the platforms tell them.
	displayNames map[compile.Key]string

	leaving         map[compile.Key]*leaving
	previousBridges map[compile.Key]*document.Document
	previousStores  map[compile.Key]*document.Document

	snapshot *compile.Snapshot
	result   *compile.Result
}

// version is what tells one state of an object from the one before.
type version struct {
	spec       string // hash
	generation int64
	since      time.Time
}

// leaving is a Channel that vanished from the files, with what it takes to
// remove its webhook.
type leaving struct {
	channel *v1alpha1.Channel
	bridge  *v1alpha1.Bridge
	store   *v1alpha1.ConversationStore
	since   time.Time
}

func newWorld(capabilities map[string]platform.Capabilities, token func(compile.Key) (string, error)) *world {
	return &world{
		capabilities: capabilities, token: token,
		versions: map[string]version{}, conditions: map[string][]metav1.Condition{}, displayNames: map[compile.Key]string{},
		leaving:         map[compile.Key]*leaving{},
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
		StoreURL:       func(namespace, name string) string { return "inprocess://" + namespace + "/" + name },
		CreateDefaults: true,
		RegisterAtOnce: true,
	}
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
	s := &compile.Snapshot{
		Namespaces:      m.namespaceLabels(),
		PreviousBridges: w.previousBridges, PreviousStores: w.previousStores,
		Secrets: slices.Clone(m.Secrets),
	}
	w.noteLeaving(m, now)
	var objects []client.Object
	for _, o := range m.Stores {
		objects = append(objects, o.DeepCopy())
	}
	for _, o := range m.Bridges {
		objects = append(objects, o.DeepCopy())
	}
	for _, o := range m.Channels {
		objects = append(objects, o.DeepCopy())
	}
	for _, l := range w.leaving {
		objects = append(objects, l.channel)
		if !slices.ContainsFunc(m.Bridges, sameName(l.bridge)) && !slices.ContainsFunc(objects, sameBridge(l.bridge)) {
			objects = append(objects, l.bridge.DeepCopy())
		}
		if !slices.ContainsFunc(m.Stores, sameName(l.store)) && !slices.ContainsFunc(objects, sameStore(l.store)) {
			objects = append(objects, l.store.DeepCopy())
		}
	}
	for _, o := range objects {
		if err := w.put(s, o, now); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func sameName[T client.Object](o T) func(T) bool {
	return func(other T) bool { return byName(o, other) == 0 }
}

func sameBridge(b *v1alpha1.Bridge) func(client.Object) bool {
	return func(o client.Object) bool {
		other, ok := o.(*v1alpha1.Bridge)
		return ok && byName(b, other) == 0
	}
}

func sameStore(s *v1alpha1.ConversationStore) func(client.Object) bool {
	return func(o client.Object) bool {
		other, ok := o.(*v1alpha1.ConversationStore)
		return ok && byName(s, other) == 0
	}
}

// noteLeaving finds Channels that vanished since the compilation before, and
// forgets those that came back.
func (w *world) noteLeaving(m *Manifests, now time.Time) {
	there := map[compile.Key]bool{}
	for _, ch := range m.Channels {
		there[client.ObjectKeyFromObject(ch)] = true
		delete(w.leaving, client.ObjectKeyFromObject(ch))
	}
	if w.snapshot == nil {
		return
	}
	for _, ch := range w.snapshot.Channels {
		key := client.ObjectKeyFromObject(ch)
		result := w.result.Channels[key]
		if there[key] || !ch.DeletionTimestamp.IsZero() || result.Entry == nil || result.WebhookURL == "" || result.Store.Name == "" {
			continue
		}
		gone := ch.DeepCopy()
		gone.DeletionTimestamp, gone.Finalizers = &metav1.Time{Time: now}, []string{v1alpha1.FinalizerDuties}
		w.leaving[key] = &leaving{
			channel: gone, since: now,
			bridge: find(w.snapshot.Bridges, result.Bridge), store: find(w.snapshot.Stores, result.Store),
		}
	}
}

func find[T client.Object](objects []T, key compile.Key) T {
	var none T
	for _, o := range objects {
		if client.ObjectKeyFromObject(o) == key {
			return o
		}
	}
	return none
}

// put adds an object with what an API server would have set on it.
func (w *world) put(s *compile.Snapshot, obj client.Object, now time.Time) error {
	switch o := obj.(type) {
	case *v1alpha1.ConversationStore:
		w.stamp("ConversationStore", o, o.Spec, now)
		o.Status = v1alpha1.ConversationStoreStatus{Conditions: w.conditions[identityOf(o)]}
		s.Stores = append(s.Stores, o)
		return w.addToken(s, o)
	case *v1alpha1.Bridge:
		w.stamp("Bridge", o, o.Spec, now)
		o.Status = v1alpha1.BridgeStatus{Conditions: w.conditions[identityOf(o)]}
		s.Bridges = append(s.Bridges, o)
	case *v1alpha1.Channel:
		w.stamp("Channel", o, o.Spec, now)
		o.Status = v1alpha1.ChannelStatus{
			Conditions: w.conditions[identityOf(o)], DisplayName: w.displayNames[client.ObjectKeyFromObject(o)],
		}
		s.Channels = append(s.Channels, o)
	}
	return nil
}

// identityOf needs the kind that stamp has set.
func identityOf(o client.Object) string {
	return o.GetObjectKind().GroupVersionKind().Kind + "/" + o.GetNamespace() + "/" + o.GetName()
}

// stamp sets kind, UID, generation and creation time. The UID follows from the
// name, so that documents stay the same across restarts.
func (w *world) stamp(kind string, o client.Object, spec any, now time.Time) {
	o.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	identity := identityOf(o)
	raw, err := json.Marshal(spec)
	if err != nil {
		panic(err) // the spec was made from JSON
	}
	sum := sha256.Sum256(raw)
	v := w.versions[identity]
	if v.since.IsZero() {
		v.since = now
	}
	if hash := hex.EncodeToString(sum[:]); hash != v.spec {
		v.spec = hash
		v.generation++
	}
	w.versions[identity] = v
	uid := sha256.Sum256([]byte(identity))
	o.SetUID(types.UID(hex.EncodeToString(uid[:16])))
	o.SetGeneration(v.generation)
	o.SetCreationTimestamp(metav1.NewTime(v.since))
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
	value, err := w.token(client.ObjectKeyFromObject(st))
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
func (w *world) documents() (stores, bridges map[compile.Key]*document.Document, err error) {
	stores, bridges = map[compile.Key]*document.Document{}, map[compile.Key]*document.Document{}
	for key, r := range w.result.Stores {
		if stores[key], err = settle(r.Document, w.previousStores[key]); err != nil {
			return nil, nil, err
		}
	}
	for key, r := range w.result.Bridges {
		if bridges[key], err = settle(r.Document, w.previousBridges[key]); err != nil {
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
