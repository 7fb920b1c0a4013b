package channels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// Loader turns documents into snapshots.
type Loader struct {
	table     *Table
	platforms func(name string) platform.Platform
	// Public reaches the internet only; private also what the platform team
	// named: endpoints in the cluster, or everything where the Bridge allows it.
	public, private *http.Client

	mu sync.Mutex // one document at a time
}

// NewLoader makes a loader that fills table. platforms finds a platform by
// name; nil: unknown.
func NewLoader(table *Table, platforms func(name string) platform.Platform) *Loader {
	return &Loader{
		table: table, platforms: platforms,
		public:  platform.NewClient(platform.GuardOptions{}),
		private: platform.NewClient(platform.GuardOptions{AllowPrivate: true}),
	}
}

// Close drops idle connections to the platforms.
func (l *Loader) Close() {
	l.public.CloseIdleConnections()
	l.private.CloseIdleConnections()
}

// Apply puts a document into force, entry by entry. A bad entry keeps its last
// good version and comes back as an exception with the hash that goes on
// running; so do doc.Damaged, where it is noted in place. The error is about
// the document as a whole: nothing was changed then.
func (l *Loader) Apply(ctx context.Context, doc *document.Document) ([]document.Exception, error) {
	if doc.Kind != document.KindBridge {
		return nil, fmt.Errorf("document %s is for a %s, this is a bridge", doc.Name, doc.Kind)
	}
	var settings document.BridgeSettings
	if err := json.Unmarshal(doc.Settings, &settings); err != nil {
		return nil, fmt.Errorf("document %s: settings: %w", doc.Name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &builder{loader: l, old: l.table.Snapshot(), next: emptySnapshot()}
	b.next.Name, b.next.Generation, b.next.Hash = doc.Name, doc.Generation, doc.Hash
	b.next.Shards, b.next.Settings = doc.Shards, settings
	for _, e := range doc.Entries {
		b.apply(ctx, e)
	}
	for i := range doc.Damaged {
		b.damaged(&doc.Damaged[i])
	}
	b.indexAccounts()
	b.indexApps()
	l.table.set(b.next)
	return b.exceptions, nil
}

// builder makes the next snapshot out of the one in force and a document.
type builder struct {
	loader     *Loader
	old, next  *Snapshot
	exceptions []document.Exception
}

func (b *builder) apply(ctx context.Context, e document.Entry) {
	if running := b.old.entry(e.Key()); running != nil && running.Hash == e.Hash && b.sameSettings(running) {
		b.next.put(running)
		return
	}
	loaded, err := b.load(ctx, e)
	if err != nil {
		field, text := "", err.Error()
		if fe, ok := errors.AsType[*platform.FieldError](err); ok {
			field, text = fe.Field, fe.Message
		}
		x := document.Exception{Entry: e.Key(), Generation: e.Generation, Hash: e.Hash, Field: field, Message: text}
		b.keep(&x)
		b.turnOff(e, &x)
		b.exceptions = append(b.exceptions, x)
		return
	}
	b.next.put(loaded)
}

// keep goes on with the last good version of a bad entry, if there is one.
func (b *builder) keep(x *document.Exception) {
	if running := b.old.entry(x.Entry); running != nil {
		x.RunningHash = running.Hash
		b.next.put(running)
	}
}

// damaged goes on with the last good version of an entry whose content does not
// match its hash. Where there is none, as after a restart, nobody knows whose
// messages it would take: what its content says may be what was damaged.
func (b *builder) damaged(x *document.Exception) {
	b.keep(x)
	b.mayTakeAnything(x)
}

// mayTakeAnything remembers a channel whose account cannot be read, unless its
// last good version says it.
func (b *builder) mayTakeAnything(x *document.Exception) {
	name, isChannel := strings.CutPrefix(x.Entry, string(document.EntryChannel)+"/")
	if isChannel && x.RunningHash == "" && (b.next.damaged == "" || name < b.next.damaged) {
		b.next.damaged = name
	}
}

// turnOff remembers whose messages a bad entry would take, as far as it says so:
// they are not to be acknowledged in the name of nobody. Two with one account
// are told apart by name, on every replica alike.
func (b *builder) turnOff(e document.Entry, x *document.Exception) {
	if e.Kind != document.EntryChannel {
		return
	}
	var spec struct {
		Platform string `json:"platform"`
		Account  string `json:"account"`
		App      string `json:"app"`
	}
	_ = json.Unmarshal(e.Spec, &spec) // what can be read is read, and the entry's own error is told
	if spec.Account == "" {
		b.mayTakeAnything(x)
		return
	}
	key := account{spec.Platform, spec.Account}
	if other, taken := b.next.off[key]; !taken || e.Name < other.name {
		b.next.off[key] = off{name: e.Name, app: spec.App}
	}
}

// sameSettings says that what the document says for all channels of this
// platform is still what the channel was loaded with.
func (b *builder) sameSettings(c *Channel) bool {
	return c.endpoint == b.endpoint(c.Spec.Platform) && c.private == b.reachesPrivate(c.endpoint) && c.publicURL == b.publicURL(c.Spec)
}

func (b *builder) reachesPrivate(endpoint string) bool {
	return endpoint != "" || b.next.Settings.AllowPrivateHosts
}

// publicURL is told to channels that fetch their messages: it tells them which
// webhook is their own from before. The others have a WebhookURL.
func (b *builder) publicURL(spec document.Channel) string {
	if spec.Receive != document.ReceivePolling {
		return ""
	}
	return strings.TrimSuffix(b.next.Settings.PublicURL, "/")
}

func (b *builder) client(private bool) *http.Client {
	if private {
		return b.loader.private
	}
	return b.loader.public
}

func (b *builder) endpoint(platformName string) string {
	return strings.TrimSuffix(b.next.Settings.PlatformEndpoints[platformName], "/")
}

// load checks one entry. What the platform's code does wrong (a panic) is an
// error of this entry alone.
func (b *builder) load(ctx context.Context, e document.Entry) (c *Channel, err error) {
	spec, err := specOf(e)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			c, err = nil, fmt.Errorf("platform %s: internal error while loading; report it with the version of this bridge", spec.Platform)
		}
	}()
	p := b.loader.platforms(spec.Platform)
	if p == nil {
		return nil, &platform.FieldError{Field: "platform", Message: fmt.Sprintf("%q is not a platform of this version of the bridge; upgrade the Bridge or choose another", spec.Platform)}
	}
	caps := p.Capabilities()
	if e.Kind == document.EntryChannel && !slices.Contains(caps.Receive, spec.Receive) {
		return nil, &platform.FieldError{Field: "receive", Message: fmt.Sprintf("%s cannot receive by %q; it can by %v", spec.Platform, spec.Receive, caps.Receive)}
	}
	endpoint := b.endpoint(spec.Platform)
	private, publicURL := b.reachesPrivate(endpoint), b.publicURL(spec)
	view, err := p.Load(ctx, platform.LoadSpec{Name: e.Name, Spec: spec, Endpoint: endpoint, PublicURL: publicURL, LastOfApp: lastOfApp(e), Client: b.client(private), AllowPrivate: private})
	if err != nil {
		return nil, redactedError(err, spec)
	}
	return &Channel{
		Kind: e.Kind, Name: e.Name, Generation: e.Generation, Hash: e.Hash,
		Spec: spec, Platform: p, Capabilities: caps, Loaded: view,
		endpoint: endpoint, private: private, publicURL: publicURL, secrets: view.Secrets(),
	}, nil
}

// redactedError takes the credentials out of what Load complains about: the
// text goes to a condition, and a channel that did not load has no Secrets yet.
func redactedError(err error, spec document.Channel) error {
	c := &Channel{secrets: valuesOf(spec)}
	if fe, ok := errors.AsType[*platform.FieldError](err); ok {
		return &platform.FieldError{Field: fe.Field, Message: c.Redact(fe.Message)}
	}
	return errors.New(c.Redact(err.Error()))
}

func valuesOf(spec document.Channel) []string {
	var values []string
	for _, v := range spec.Credentials {
		values = append(values, v)
	}
	for _, previous := range spec.PreviousCredentials {
		for _, v := range previous.Values {
			values = append(values, v)
		}
	}
	return values
}

func specOf(e document.Entry) (document.Channel, error) {
	namespace, name, ok := strings.Cut(e.Name, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return document.Channel{}, fmt.Errorf("entry name %q is not namespace/name", e.Name)
	}
	switch e.Kind {
	case document.EntryChannel:
		var spec document.Channel
		if err := json.Unmarshal(e.Spec, &spec); err != nil {
			return document.Channel{}, decodeError(err)
		}
		return spec, nil
	case document.EntryTombstone:
		var t document.Tombstone
		if err := json.Unmarshal(e.Spec, &t); err != nil {
			return document.Channel{}, decodeError(err)
		}
		return document.Channel{
			UID: t.UID, Platform: t.Platform, Account: t.Account, App: t.App, Receive: document.ReceiveWebhook,
			WebhookURL: t.WebhookURL, Credentials: t.Credentials,
		}, nil
	default:
		return document.Channel{}, fmt.Errorf("a bridge does not know entries of kind %q; upgrade the Bridge", e.Kind)
	}
}

// lastOfApp is what a tombstone says of its app.
func lastOfApp(e document.Entry) bool {
	var t document.Tombstone
	return e.Kind == document.EntryTombstone && json.Unmarshal(e.Spec, &t) == nil && t.LastOfApp
}

// decodeError names the field without quoting what stands there: it may be a credential.
func decodeError(err error) error {
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		kind, _, _ := strings.Cut(te.Value, " ") // "number 123": without the number
		return &platform.FieldError{Field: te.Field, Message: fmt.Sprintf("cannot be a JSON %s; want %s", kind, te.Type)}
	}
	return errors.New("spec is not valid JSON")
}

func (s *Snapshot) entry(key string) *Channel {
	kind, name, _ := strings.Cut(key, "/")
	switch document.EntryKind(kind) {
	case document.EntryChannel:
		return s.channels[name]
	case document.EntryTombstone:
		return s.tombstones[name]
	}
	return nil
}

func (s *Snapshot) put(c *Channel) {
	if c.Kind == document.EntryTombstone {
		s.tombstones[c.Name] = c
		return
	}
	s.channels[c.Name] = c
}

// indexAccounts makes elements find their channel. The compiler lets one
// channel claim an account; should two have it all the same, the first by name
// gets the elements on every replica alike.
func (b *builder) indexAccounts() {
	for _, c := range b.next.channels {
		key := account{c.Spec.Platform, c.Spec.Account}
		if other := b.next.accounts[key]; other == nil || c.Name < other.Name {
			b.next.accounts[key] = c
		}
	}
}
