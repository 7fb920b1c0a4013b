package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

const (
	// defaultReopenWindow and defaultRawRetention hold until the first document.
	defaultReopenWindow = 24 * time.Hour
	defaultRawRetention = 7 * 24 * time.Hour
)

// Channel is a channel of the document in force.
type Channel struct {
	Name      string // "namespace/name"
	Namespace string
	document.StoreChannel
	// Reopen is how long after being solved a conversation is reopened.
	Reopen time.Duration
	hash   string // of the entry
}

// account is what a payload can be routed by.
type account struct{ platform, id string }

// token is a REST token of the document in force.
type token struct {
	name string
	hash string // of the entry
	document.Token
}

// state is what the document in force says. It never changes; Load makes
// another one.
type state struct {
	settings document.StoreSettings
	channels map[string]*Channel
	accounts map[account]*Channel
	apps     map[app]bool
	bridges  map[string]document.StoreBridge // by "namespace/name"
	tokens   map[string]*token

	routes *routes
	queues map[string]*agentQueue // by "namespace/name"
	// idling says that some queue frees the capacity of silent conversations.
	idling bool

	surveys *campaigns

	// named are the Channel entries of the document, also those that could not
	// be loaded: a channel that is not named here is gone.
	named map[string]bool
	// bridgeHashes are the hashes of the entries in bridges.
	bridgeHashes map[string]string
	loaded       bool
}

func newState() *state {
	return &state{
		settings: document.StoreSettings{
			ReopenWindow: document.Duration(defaultReopenWindow),
			Retention:    document.Retention{Raw: document.Duration(defaultRawRetention)},
		},
		channels: map[string]*Channel{}, accounts: map[account]*Channel{}, apps: map[app]bool{},
		bridges: map[string]document.StoreBridge{}, bridgeHashes: map[string]string{},
		tokens: map[string]*token{}, named: map[string]bool{}, queues: map[string]*agentQueue{}, routes: newRoutes(), surveys: newCampaigns(),
	}
}

// channel finds a channel by "namespace/name"; nil when it is not in force.
func (st *state) channel(name string) *Channel { return st.channels[name] }

// channelOf finds a channel and checks that it belongs to the Bridge. Outside
// it there is no difference between another's channel and none.
func (st *state) channelOf(bridge, name string) (*Channel, error) {
	ch := st.channels[name]
	if ch == nil || ch.Bridge != bridge {
		return nil, fmt.Errorf("%w: channel %s is not one of Bridge %s", ErrForbidden, name, bridge)
	}
	return ch, nil
}

// gone says that a channel was deleted or is being deleted: nothing is sent any more.
func (st *state) gone(name string) bool {
	ch := st.channels[name]
	return st.loaded && (!st.named[name] || ch != nil && ch.Deleting)
}

// Load puts a document into force. It cannot fail as a whole: an entry that is
// wrong keeps its last good version, or is off where there is none, and comes
// back as an exception; so do doc.Damaged, where it is noted in place. Kinds of entries that this version does not know are
// left alone.
func (s *Store) Load(ctx context.Context, doc *document.Document) []document.Exception {
	s.loading.Lock()
	defer s.loading.Unlock()
	if doc.Kind != document.KindStore {
		return []document.Exception{{Entry: string(doc.Kind) + "/" + doc.Name, Generation: doc.Generation, Hash: doc.Hash,
			Message: fmt.Sprintf("a document for a %s was given to a store; check which Secrets the pod mounts", doc.Kind)}}
	}
	l := loader{old: s.state.Load(), next: newState(), past: s.campaignPast(ctx, doc)}
	l.load(doc)
	s.moves.note(l.old, l.next, s.db.shared)
	s.state.Store(l.next)
	s.moves.noteBegins(l.old, l.next)
	s.signals.wake(topicDocument, topicOutbox, topicMedia, topicSnooze, topicSteps)
	if hook := s.hooks.documentLoaded; hook != nil {
		if err := s.writeLocked(ctx, 1, everythingLocked(), func(t *txn) error { return hook(t, l.next) }); err != nil {
			s.log.Error("what follows from a new document could not be written; it is tried again with the next one", "err", err)
		}
	}
	return l.exceptions
}

// loader makes the next state out of a document and the state before.
type loader struct {
	old, next  *state
	exceptions []document.Exception
	waiting    []document.Entry // policies, until all is known that they refer to
	campaigns  []document.Entry // of surveys, likewise
	past       campaignPast
}

func (l *loader) load(doc *document.Document) {
	l.next.loaded = true
	l.settings(doc)
	for _, e := range doc.Entries {
		var err error
		var running string
		switch e.Kind {
		case document.EntryChannel:
			running, err = l.channel(e)
		case document.EntryBridge:
			running, err = l.bridge(e)
		case document.EntryToken:
			running, err = l.token(e)
		case document.EntrySchedule, document.EntryBot, document.EntryWebhook, document.EntryRoutingPolicy:
			running, err = l.route(e)
		case document.EntryAgentQueue:
			running, err = l.agentQueue(e)
		case document.EntrySurveyCampaign:
			l.campaigns = append(l.campaigns, e)
		}
		if err != nil {
			l.except(e, running, err)
		}
	}
	for i := range doc.Damaged {
		l.damaged(&doc.Damaged[i])
	}
	for _, ch := range l.next.channels {
		l.account(ch)
	}
	l.compilePolicies()
	l.compileCampaigns()
}

// damaged goes on with the last good version of an entry whose content does not
// match its hash, and notes it. An entry that is there is not gone: nothing of
// its channel is canceled, nothing leaves its queue.
func (l *loader) damaged(x *document.Exception) {
	kind, name, _ := strings.Cut(x.Entry, "/")
	empty := document.Entry{Kind: document.EntryKind(kind), Name: name} // refused for having no content: the last good one is kept
	switch empty.Kind {
	case document.EntryChannel:
		x.RunningHash = l.keepChannel(name)
	case document.EntryBridge:
		x.RunningHash = l.keepBridge(name)
	case document.EntryToken:
		x.RunningHash = l.keepToken(name)
	case document.EntrySurveyCampaign:
		x.RunningHash = l.keepCampaign(name)
	case document.EntryAgentQueue:
		x.RunningHash, _ = l.agentQueue(empty)
	case document.EntrySchedule, document.EntryBot, document.EntryWebhook:
		x.RunningHash, _ = l.route(empty)
	case document.EntryRoutingPolicy:
		x.RunningHash, _ = l.policy(empty)
	}
}

func (l *loader) settings(doc *document.Document) {
	if len(doc.Settings) == 0 {
		return
	}
	settings, err := decodeSpec[document.StoreSettings](doc.Settings)
	if err != nil {
		l.next.settings = l.old.settings
		l.except(document.Entry{Kind: "ConversationStore", Name: doc.Name, Generation: doc.Generation, Hash: doc.Hash}, "", err)
		return
	}
	l.next.settings = settings
}

func (l *loader) channel(e document.Entry) (running string, err error) {
	spec, err := decodeSpec[document.StoreChannel](e.Spec)
	if err == nil {
		err = checkChannel(e.Name, spec)
	}
	if err != nil {
		return l.keepChannel(e.Name), err
	}
	l.next.named[e.Name] = true
	ch := &Channel{Name: e.Name, Namespace: namespaceOf(e.Name), StoreChannel: spec, hash: e.Hash}
	ch.Reopen = time.Duration(l.next.settings.ReopenWindow)
	if spec.ReopenWindow != nil {
		ch.Reopen = time.Duration(*spec.ReopenWindow)
	}
	l.next.channels[e.Name] = ch
	return "", nil
}

// keepChannel goes on with the version in force, if there is one, and returns its
// hash.
func (l *loader) keepChannel(name string) (running string) {
	l.next.named[name] = true
	if old := l.old.channels[name]; old != nil {
		kept := *old
		l.next.channels[name], running = &kept, old.hash
	}
	return running
}

func checkChannel(name string, spec document.StoreChannel) error {
	ns, short, ok := strings.Cut(name, "/")
	switch {
	case !ok || ns == "" || short == "":
		return &FieldError{Field: "name", Message: "the entry's name is not namespace/name"}
	case spec.Platform == "":
		return &FieldError{Field: "platform", Message: "is required"}
	case spec.Account == "":
		return &FieldError{Field: "account", Message: "is required"}
	case spec.Bridge == "":
		return &FieldError{Field: "bridgeRef", Message: "names no Bridge"}
	case spec.ReopenWindow != nil && *spec.ReopenWindow < 0:
		return &FieldError{Field: "reopenWindow", Message: "must not be negative"}
	case spec.DefaultLanguage != "" && !routing.ValidLanguage(spec.DefaultLanguage):
		return &FieldError{Field: "defaultLanguage", Message: "is not a language; write a BCP 47 tag like de or pt-BR"}
	}
	return nil
}

// account makes the channel known by its account. The control plane gives an
// account to one channel; should two claim it all the same, the one whose name
// comes first has it in every replica.
func (l *loader) account(ch *Channel) {
	if ch.App != "" {
		l.next.apps[app{ch.Bridge, ch.Platform, ch.App, ch.Namespace}] = true
	}
	key := account{ch.Platform, ch.Account}
	if other := l.next.accounts[key]; other == nil || cmp.Less(ch.Name, other.Name) {
		l.next.accounts[key] = ch
	}
}

func (l *loader) bridge(e document.Entry) (running string, err error) {
	spec, err := decodeSpec[document.StoreBridge](e.Spec)
	if err == nil && spec.Identity == "" {
		err = &FieldError{Field: "identity", Message: "is required"}
	}
	if err != nil {
		return l.keepBridge(e.Name), err
	}
	l.next.bridges[e.Name], l.next.bridgeHashes[e.Name] = spec, e.Hash
	return "", nil
}

func (l *loader) keepBridge(name string) (running string) {
	if old, ok := l.old.bridges[name]; ok {
		running = l.old.bridgeHashes[name]
		l.next.bridges[name], l.next.bridgeHashes[name] = old, running
	}
	return running
}

func (l *loader) token(e document.Entry) (running string, err error) {
	spec, err := decodeSpec[document.Token](e.Spec)
	if err == nil {
		err = checkToken(spec)
	}
	if err != nil {
		return l.keepToken(e.Name), err
	}
	l.next.tokens[e.Name] = &token{name: e.Name, hash: e.Hash, Token: spec}
	return "", nil
}

func (l *loader) keepToken(name string) (running string) {
	if old := l.old.tokens[name]; old != nil {
		l.next.tokens[name], running = old, old.hash
	}
	return running
}

func checkToken(spec document.Token) error {
	for i, h := range spec.Hashes {
		if raw, err := hex.DecodeString(h.SHA256); err != nil || len(raw) != sha256.Size {
			return &FieldError{Field: fmt.Sprintf("hashes[%d].sha256", i), Message: "is not a hex SHA-256"}
		}
	}
	switch spec.Access {
	case document.AccessRead, document.AccessWrite, document.AccessAdmin:
		return nil
	}
	return &FieldError{Field: "access", Message: fmt.Sprintf("%q is none of read, write, admin", spec.Access)}
}

// except records an entry that is not in force.
func (l *loader) except(e document.Entry, running string, err error) {
	x := document.Exception{Entry: e.Key(), Generation: e.Generation, Hash: e.Hash, RunningHash: running, Message: err.Error()}
	if fe := (*FieldError)(nil); errors.As(err, &fe) {
		x.Field, x.Message = fe.Field, fe.Message
	}
	l.exceptions = append(l.exceptions, x)
}

// decodeSpec reads the JSON of a spec; the error names the field.
func decodeSpec[T any](raw json.RawMessage) (v T, err error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return v, errors.New("the spec is empty")
	}
	err = json.Unmarshal(raw, &v)
	if te := (*json.UnmarshalTypeError)(nil); errors.As(err, &te) {
		return v, &FieldError{Field: te.Field, Message: fmt.Sprintf("a JSON %s does not fit here", te.Value)}
	}
	return v, err
}

// Token finds the REST token with this value and returns it with its name.
// Every known hash is compared in constant time, so that the time taken tells
// nothing about them.
func (s *Store) Token(_ context.Context, value string, now time.Time) (document.Token, string, error) {
	sum := sha256.Sum256([]byte(value))
	var found *token
	for _, tok := range s.state.Load().tokens {
		for _, h := range tok.Hashes {
			want, err := hex.DecodeString(h.SHA256)
			valid := err == nil && (h.Until == nil || now.Before(*h.Until))
			if subtle.ConstantTimeCompare(sum[:], want) == 1 && valid {
				found = tok
			}
		}
	}
	if found == nil {
		return document.Token{}, "", fmt.Errorf("token: %w", ErrNotFound)
	}
	return found.Token, found.name, nil
}
