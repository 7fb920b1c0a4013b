package compile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// Defaults of a store's durations; api/v1alpha1 documents them for users.
const (
	defaultReopenWindow = 24 * time.Hour
	defaultRetainRaw    = 7 * 24 * time.Hour
	defaultRetainEvents = 30 * 24 * time.Hour
)

// Tokens shorter than this could be guessed from their plain hash: 32
// characters of base64 or hex are at least 128 bits.
const minTokenLength = 32

const tokenKey = "token"

type storeState struct {
	key      Key
	store    *v1alpha1.ConversationStore
	allow    allowList
	previous *document.Document
	before   entryIndex
	settings *document.StoreSettings // nil while the spec is invalid
	entries  []document.Entry
	result   *StoreResult
}

func (c *compiler) resolveStores() {
	for _, s := range sorted(c.Stores) {
		key := keyOf(s)
		st := &storeState{
			key:      key,
			store:    s,
			allow:    newAllowList(s.Namespace, s.Spec.AllowedBridges),
			previous: c.PreviousStores[key],
			result:   &StoreResult{},
		}
		st.before = indexEntries(st.previous)
		c.stores[key], c.result.Stores[key] = st, st.result
		st.result.Findings = collect(st, [][]func(*storeState) *Finding{storeSpecChecks})
		if len(st.result.Findings) == 0 {
			st.settings = storeSettings(&s.Spec)
			st.result.Effective = effective(s, st.settings)
		}
		c.database(st)
		c.tokens(st)
	}
}

var storeSpecChecks = []func(*storeState) *Finding{
	checkOneBackend,
	func(st *storeState) *Finding { return notNegative("spec.reopenWindow", st.store.Spec.ReopenWindow) },
	checkRetention,
	func(st *storeState) *Finding { return selectorUsable("spec.allowedBridges.selector", st.allow) },
}

func checkOneBackend(st *storeState) *Finding {
	if st.store.Spec.SQLite == nil || st.store.Spec.Postgres == nil {
		return nil
	}
	return invalidSpec("spec.postgres", "and spec.sqlite exclude each other; take out the one that does not hold your conversations")
}

func checkRetention(st *storeState) *Finding {
	r := st.store.Spec.Retention
	if r == nil {
		return nil
	}
	for _, d := range []struct {
		field string
		value *metav1.Duration
	}{{"messages", r.Messages}, {"raw", r.Raw}, {"events", r.Events}, {"media", r.Media}} {
		if f := notNegative("spec.retention."+d.field, d.value); f != nil {
			return f
		}
	}
	return nil
}

func notNegative(field string, d *metav1.Duration) *Finding {
	if d == nil || d.Duration >= 0 {
		return nil
	}
	return invalidSpec(field, fmt.Sprintf("%s is negative; give a duration like 24h", d.Duration))
}

func selectorUsable(field string, a allowList) *Finding {
	if a.err == nil {
		return nil
	}
	return invalidSpec(field, fmt.Sprintf("cannot be used: %s; until it is corrected nobody new is let in", a.err))
}

func storeSettings(spec *v1alpha1.ConversationStoreSpec) *document.StoreSettings {
	r := spec.Retention
	if r == nil {
		r = &v1alpha1.Retention{}
	}
	messages := duration(r.Messages, 0)
	return &document.StoreSettings{
		AllowPrivateHosts: spec.Egress != nil && spec.Egress.AllowPrivateHosts,

		ReopenWindow: duration(spec.ReopenWindow, defaultReopenWindow),
		Retention: document.Retention{
			Messages: messages,
			Raw:      duration(r.Raw, defaultRetainRaw),
			Events:   duration(r.Events, defaultRetainEvents),
			Media:    duration(r.Media, time.Duration(messages)),
		},
	}
}

func duration(d *metav1.Duration, otherwise time.Duration) document.Duration {
	if d == nil {
		return document.Duration(otherwise)
	}
	return document.Duration(d.Duration)
}

func effective(store *v1alpha1.ConversationStore, s *document.StoreSettings) *v1alpha1.EffectiveStore {
	e := &v1alpha1.EffectiveStore{
		ReopenWindow:      time.Duration(s.ReopenWindow).String(),
		RetentionMessages: retained(s.Retention.Messages),
		RetentionRaw:      retained(s.Retention.Raw),
		RetentionEvents:   retained(s.Retention.Events),
		RetentionMedia:    retained(s.Retention.Media),
	}
	if store.Backend() == v1alpha1.BackendPostgres {
		e.Replicas, e.Port = workload.StoreReplicas(store), workload.DatabasePort(store)
	} else {
		e.StorageSize = ptr.To(workload.StorageSize(store)).String()
	}
	return e
}

func retained(d document.Duration) string {
	if d == 0 {
		return "forever"
	}
	return time.Duration(d).String()
}

// tokens adds an entry for every token that can be used, and a finding for
// every other. A token whose Secret went away is revoked.
func (c *compiler) tokens(st *storeState) {
	if st.store.Spec.API == nil {
		return
	}
	seen := map[string]string{}
	for _, t := range slices.SortedFunc(slices.Values(st.store.Spec.API.Tokens), func(a, b v1alpha1.APIToken) int {
		return strings.Compare(a.Name, b.Name)
	}) {
		sum, f := c.tokenSum(st, t)
		if f == nil && seen[sum] != "" {
			f = tokenValueInvalid(t, fmt.Sprintf("has the same value as token %q; every token needs its own", seen[sum]))
		}
		if f != nil {
			st.result.Findings = append(st.result.Findings, *f)
			continue
		}
		seen[sum] = t.Name
		namespaces := slices.Clone(t.Namespaces)
		slices.Sort(namespaces)
		st.add(document.EntryToken, st.key.String()+"/"+t.Name, st.store.Generation, document.Token{
			Hashes:     []document.TokenHash{{SHA256: sum}},
			Namespaces: namespaces,
			Access:     document.TokenAccess(strings.ToLower(string(t.Access))),
		})
	}
}

func tokenField(t v1alpha1.APIToken) string {
	return fmt.Sprintf("spec.api.tokens[%s].secretRef", t.Name)
}

// tokenSum is the hex SHA-256 of a token's value.
func (c *compiler) tokenSum(st *storeState, t v1alpha1.APIToken) (string, *Finding) {
	secret := c.secrets[Key{Namespace: st.key.Namespace, Name: t.SecretRef.Name}]
	if secret == nil {
		return "", secretNotUsable(tokenField(t), st.key.Namespace, t.SecretRef.Name)
	}
	value := strings.TrimSpace(string(secret.Data[tokenKey]))
	if value == "" {
		return "", wrong(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonSecretKeyMissing, tokenField(t),
			fmt.Sprintf("Secret %s has no value under the key %q; put the token there", t.SecretRef.Name, tokenKey))
	}
	if len(value) < minTokenLength {
		return "", tokenValueInvalid(t, fmt.Sprintf("has fewer than %d characters; draw one at random, e.g. with: openssl rand -hex 32", minTokenLength))
	}
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:]), nil
}

func tokenValueInvalid(t v1alpha1.APIToken, problem string) *Finding {
	return wrong(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonSecretValueInvalid, tokenField(t),
		fmt.Sprintf("the value of key %q in Secret %s %s", tokenKey, t.SecretRef.Name, problem))
}

// add appends an entry. One that is as it was before is taken over, which
// spares hashing it.
func (st *storeState) add(kind document.EntryKind, name string, generation int64, spec any) {
	raw := mustJSON(spec)
	if e := st.before.get(kind, name); e != nil && e.Generation == generation && bytes.Equal(e.Spec, raw) {
		st.entries = append(st.entries, *e)
		return
	}
	st.entries = append(st.entries, mustEntry(kind, name, generation, spec))
}

// mustEntry makes an entry of one of the document package's types. They hold
// strings, numbers and JSON that was just made: marshalling cannot fail.
func mustEntry(kind document.EntryKind, name string, generation int64, spec any) document.Entry {
	e, err := document.NewEntry(kind, name, generation, spec)
	if err != nil {
		panic(err)
	}
	return e
}

func mustJSON(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // as mustEntry
	}
	return raw
}

// finishStores makes the documents. With an invalid spec the settings of the
// document before stay in force, and with them its generation.
func (c *compiler) finishStores() {
	for _, key := range slices.SortedFunc(maps.Keys(c.stores), compareKeys) {
		st := c.stores[key]
		doc := &document.Document{Kind: document.KindStore, Name: key.String(), Generation: st.store.Generation}
		switch {
		case st.settings != nil:
			st.settings.Database = databaseStamp(st.result.Database, st.previous)
			doc.Settings = mustJSON(st.settings)
		case st.previous != nil:
			doc.Settings, doc.Generation = st.previous.Settings, st.previous.Generation
		default:
			continue
		}
		doc.Entries = st.entries
		doc.Sort()
		st.result.Document = doc
	}
}

func compareKeys(a, b Key) int {
	return strings.Compare(a.String(), b.String())
}
