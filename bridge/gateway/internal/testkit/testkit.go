// Package testkit is what the gateway's tests share: a platform whose every
// answer a test decides, documents, and a metrics registry.
package testkit

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Name of the platform.
const Name = "testing"

// SecretHeader carries the webhook secret.
const SecretHeader = "X-Secret"

// Platform has every ability. Funcs that are nil succeed.
type Platform struct {
	Caps           platform.Capabilities
	OnSend         func(ctx context.Context, ch platform.Channel, out platform.Outgoing) (platform.SendResult, error)
	OnProbe        func(ctx context.Context, ch platform.Channel) (platform.ProbeResult, error)
	OnRegister     func(ctx context.Context, ch platform.Channel, registered string) (string, error)
	OnUnregister   func(ctx context.Context, ch platform.Channel) error
	OnSyncProfile  func(ctx context.Context, ch platform.Channel) ([]string, error)
	OnRun          func(ctx context.Context, ch platform.Channel, cursor string, deliver func(context.Context, platform.Batch) error, report func(error)) error
	OnFetch        func(ctx context.Context, ch platform.Channel, ref string) (platform.Media, error)
	OnAck          func(ctx context.Context, ch platform.Channel, e message.Event) error
	OnHandshake    func(ch platform.Channel, r *http.Request) (int, []byte, bool)
	OnSendTimeout  func(part wire.Part) time.Duration
	OnPayloadAcks  func(body []byte) []string
	OnAckPayload   func(key string) error
	mu             sync.Mutex
	loads          int
	lastLoad       platform.LoadSpec
	verifyRequests []platform.Request
}

// Channel is a loaded channel.
type Channel struct {
	Spec document.Channel
	name string
}

// Name implements platform.Channel.
func (c *Channel) Name() string { return c.name }

// Secrets implements platform.Channel.
func (c *Channel) Secrets() []string { return []string{c.Spec.Credentials["secret"]} }

// Name implements platform.Platform.
func (p *Platform) Name() string { return Name }

// Capabilities implements platform.Platform.
func (p *Platform) Capabilities() platform.Capabilities {
	caps := p.Caps
	if caps.Receive == nil {
		caps.Receive = []document.Receive{document.ReceiveWebhook, document.ReceivePolling}
	}
	return caps
}

// Load implements platform.Platform: config {"bad": true} and {"panic": true} do.
func (p *Platform) Load(_ context.Context, spec platform.LoadSpec) (platform.Channel, error) {
	p.mu.Lock()
	p.loads++
	p.lastLoad = spec
	p.mu.Unlock()
	config, err := platform.ConfigOf[struct{ Bad, Panic bool }](spec.Spec.Config)
	if err != nil {
		return nil, err
	}
	if config.Panic {
		panic("the config asks for it")
	}
	if config.Bad {
		return nil, &platform.FieldError{Field: "testing.bad", Message: "is not good; the secret is " + spec.Spec.Credentials["secret"]}
	}
	return &Channel{Spec: spec.Spec, name: spec.Name}, nil
}

// Loads is how often Load was called.
func (p *Platform) Loads() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loads
}

// LastLoad is what Load was given last.
func (p *Platform) LastLoad() platform.LoadSpec {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastLoad
}

// Verified are the requests that Verify saw.
func (p *Platform) Verified() []platform.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]platform.Request(nil), p.verifyRequests...)
}

// Verify implements platform.Platform.
func (p *Platform) Verify(ch platform.Channel, r platform.Request, now time.Time) bool {
	p.mu.Lock()
	p.verifyRequests = append(p.verifyRequests, r)
	p.mu.Unlock()
	c := ch.(*Channel)
	got := r.Header.Get(SecretHeader)
	if subtle.ConstantTimeCompare([]byte(got), []byte(c.Spec.Credentials["secret"])) == 1 {
		return true
	}
	for _, previous := range c.Spec.PreviousCredentials {
		if now.Before(previous.Until) && got == previous.Values["secret"] {
			return true
		}
	}
	return false
}

// Element is one element of the platform's payload, a JSON list of them.
type Element struct {
	Account string `json:"account"`
	ID      string `json:"id"`
	Text    string `json:"text"`
}

// Parse implements platform.Platform. The body "panic" does.
func (p *Platform) Parse(_ string, body []byte) ([]message.Event, error) {
	if string(body) == "panic" {
		panic("secret payload")
	}
	var elements []Element
	if err := json.Unmarshal(body, &elements); err != nil {
		return nil, err
	}
	events := make([]message.Event, len(elements))
	for i, e := range elements {
		events[i] = Event(e)
	}
	return events, nil
}

// Event is the event that an element becomes.
func Event(e Element) message.Event {
	return message.Event{Account: e.Account, Message: &message.Message{
		Direction: message.Inbound, ExternalID: e.ID, Type: message.TypeText, Text: e.Text,
		Contact: &message.Contact{ExternalID: "customer"},
	}}
}

// Send implements platform.Platform.
func (p *Platform) Send(ctx context.Context, ch platform.Channel, out platform.Outgoing) (platform.SendResult, error) {
	if p.OnSend == nil {
		return platform.SendResult{ExternalIDs: []string{fmt.Sprintf("%s-%d", out.Delivery, out.Part.Index)}}, nil
	}
	return p.OnSend(ctx, ch, out)
}

// Probe implements platform.Platform.
func (p *Platform) Probe(ctx context.Context, ch platform.Channel) (platform.ProbeResult, error) {
	if p.OnProbe == nil {
		return platform.ProbeResult{Account: ch.(*Channel).Spec.Account, DisplayName: "Shop"}, nil
	}
	return p.OnProbe(ctx, ch)
}

// Register implements platform.Registrar.
func (p *Platform) Register(ctx context.Context, ch platform.Channel, registered string) (string, error) {
	if p.OnRegister == nil {
		return "", nil
	}
	return p.OnRegister(ctx, ch, registered)
}

// Unregister implements platform.Registrar.
func (p *Platform) Unregister(ctx context.Context, ch platform.Channel) error {
	if p.OnUnregister == nil {
		return nil
	}
	return p.OnUnregister(ctx, ch)
}

// SyncProfile implements platform.Profiler.
func (p *Platform) SyncProfile(ctx context.Context, ch platform.Channel) ([]string, error) {
	if p.OnSyncProfile == nil {
		return nil, nil
	}
	return p.OnSyncProfile(ctx, ch)
}

// Run implements platform.Poller.
func (p *Platform) Run(ctx context.Context, ch platform.Channel, cursor string, deliver func(context.Context, platform.Batch) error, report func(error)) error {
	if p.OnRun == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return p.OnRun(ctx, ch, cursor, deliver, report)
}

// FetchMedia implements platform.MediaFetcher.
func (p *Platform) FetchMedia(ctx context.Context, ch platform.Channel, ref string) (platform.Media, error) {
	return p.OnFetch(ctx, ch, ref)
}

// Ack implements platform.Acker.
func (p *Platform) Ack(ctx context.Context, ch platform.Channel, e message.Event) error {
	if p.OnAck == nil {
		return nil
	}
	return p.OnAck(ctx, ch, e)
}

// PayloadAcks implements platform.PayloadAcker.
func (p *Platform) PayloadAcks(body []byte) []string {
	if p.OnPayloadAcks == nil {
		return nil
	}
	return p.OnPayloadAcks(body)
}

// AckPayload implements platform.PayloadAcker.
func (p *Platform) AckPayload(_ context.Context, _ platform.Channel, key string) error {
	if p.OnAckPayload == nil {
		return nil
	}
	return p.OnAckPayload(key)
}

// SendTimeout implements platform.SendTimeouter.
func (p *Platform) SendTimeout(part wire.Part) time.Duration {
	if p.OnSendTimeout == nil {
		return 0
	}
	return p.OnSendTimeout(part)
}

// Handshake implements platform.Handshaker.
func (p *Platform) Handshake(ch platform.Channel, r *http.Request) (int, []byte, bool) {
	if p.OnHandshake == nil {
		return 0, nil, false
	}
	return p.OnHandshake(ch, r)
}

// Entry is a channel's entry with a platform's secret; change may be nil.
func Entry(t testing.TB, name string, generation int64, change func(*document.Channel)) document.Entry {
	t.Helper()
	spec := document.Channel{
		UID: "uid-" + name, Platform: Name, Account: "account-" + name, Receive: document.ReceiveWebhook,
		WebhookURL: "https://bridge.example/webhooks/" + name, RegisterWebhook: true,
		Credentials: map[string]string{"secret": "secret-of-" + name},
	}
	if change != nil {
		change(&spec)
	}
	e, err := document.NewEntry(document.EntryChannel, name, generation, spec)
	require.NoError(t, err)
	return e
}

// Tombstone is the entry of a deleted channel.
func Tombstone(t testing.TB, name string) document.Entry {
	t.Helper()
	e, err := document.NewEntry(document.EntryTombstone, name, 2, document.Tombstone{
		UID: "uid-" + name, Platform: Name, Account: "account-" + name,
		WebhookURL: "https://bridge.example/webhooks/" + name, Credentials: map[string]string{"secret": "secret-of-" + name},
	})
	require.NoError(t, err)
	return e
}

// Document is a bridge document with these entries, as it comes out of files.
func Document(t testing.TB, entries ...document.Entry) *document.Document {
	t.Helper()
	return DocumentWith(t, document.BridgeSettings{StoreURL: "https://store:8443", PublicURL: "https://bridge.example"}, entries...)
}

// DocumentWith is Document with these settings.
func DocumentWith(t testing.TB, settings document.BridgeSettings, entries ...document.Entry) *document.Document {
	t.Helper()
	raw, err := json.Marshal(settings)
	require.NoError(t, err)
	doc := &document.Document{Kind: document.KindBridge, Name: "shop/default", Generation: 1, Settings: raw, Entries: entries}
	files, err := document.Encode(doc, 1)
	require.NoError(t, err)
	decoded, _, err := document.Decode(files)
	require.NoError(t, err)
	return decoded
}

// Loader is a table with a loader for these platforms (the testing platform's
// name leads to p).
func Loader(p platform.Platform) (*channels.Table, *channels.Loader) {
	table := channels.NewTable()
	return table, channels.NewLoader(table, func(name string) platform.Platform {
		if name == Name {
			return p
		}
		return nil
	})
}

// Table is a table with these entries in force.
func Table(t testing.TB, p platform.Platform, entries ...document.Entry) (*channels.Table, *channels.Loader) {
	t.Helper()
	table, loader := Loader(p)
	Apply(t, loader, entries...)
	return table, loader
}

// Apply puts a document with these entries into force; all must be good.
func Apply(t testing.TB, loader *channels.Loader, entries ...document.Entry) {
	t.Helper()
	exceptions, err := loader.Apply(context.Background(), Document(t, entries...))
	require.NoError(t, err)
	require.Empty(t, exceptions)
}

// Metrics are on a registry of their own.
func Metrics() *metrics.Metrics { return metrics.New(prometheus.NewRegistry()) }

// Log is silent.
func Log() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Leases are a session whose leases a test gives and takes.
type Leases struct {
	mu        sync.Mutex
	held      map[string]wire.Assignment
	refused   map[string]bool
	accepted  []string
	watchers  []chan struct{}
	Refreshes chan struct{}
}

// NewLeases holds these channels, each with token 1.
func NewLeases(names ...string) *Leases {
	l := &Leases{held: map[string]wire.Assignment{}, refused: map[string]bool{}, Refreshes: make(chan struct{}, 100)}
	for _, n := range names {
		l.held[n] = wire.Assignment{Channel: n, Token: 1}
	}
	return l
}

// Assignment is the lease of a channel.
func (l *Leases) Assignment(channel string) (wire.Assignment, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.held[channel]
	return a, ok
}

// Watch tells of changes.
func (l *Leases) Watch() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	ch := make(chan struct{}, 1)
	l.watchers = append(l.watchers, ch)
	return ch
}

// Refused says what Refuse has set.
func (l *Leases) Refused(channel string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused[channel]
}

// Refuse sets whether sends of a channel are refused.
func (l *Leases) Refuse(channel string, refused bool) {
	l.mu.Lock()
	l.refused[channel] = refused
	l.mu.Unlock()
	l.tell()
}

// Accepted notes a channel whose credentials were accepted.
func (l *Leases) Accepted(channel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted = append(l.accepted, channel)
}

// AllAccepted are the channels that Accepted was called with.
func (l *Leases) AllAccepted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.accepted...)
}

// Refresh is counted.
func (l *Leases) Refresh() { l.Refreshes <- struct{}{} }

// Give adds or replaces a lease.
func (l *Leases) Give(a wire.Assignment) {
	l.mu.Lock()
	l.held[a.Channel] = a
	l.mu.Unlock()
	l.tell()
}

// Take ends a lease.
func (l *Leases) Take(channel string) {
	l.mu.Lock()
	delete(l.held, channel)
	l.mu.Unlock()
	l.tell()
}

func (l *Leases) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ch := range l.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Board keeps the rows that it was told.
type Board struct {
	mu   sync.Mutex
	rows map[string]document.ChannelStatus
	sets int
}

// NewBoard is empty.
func NewBoard() *Board { return &Board{rows: map[string]document.ChannelStatus{}} }

// Set implements status.Sink.
func (b *Board) Set(entry string, s document.ChannelStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows[entry] = s
	b.sets++
}

// Remove implements status.Sink.
func (b *Board) Remove(entry string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.rows, entry)
}

// Row is the row of an entry; the zero value when there is none.
func (b *Board) Row(entry string) document.ChannelStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rows[entry]
}

// Len is how many rows there are.
func (b *Board) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.rows)
}
