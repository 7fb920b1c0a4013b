package processes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	"github.com/bridgekeeper/bridgekeeper/controllers/pki"
	"github.com/bridgekeeper/bridgekeeper/hack/actors"
	"github.com/bridgekeeper/bridgekeeper/hack/ports"
)

// Namespace of everything in a World; its Bridge and its store are "default".
const Namespace = "shop"

const (
	bridgeName = Namespace + "/default"
	restToken  = "a-token-for-tests-and-benches-0123456789" // 32 characters at least
)

// Options of a World.
type Options struct {
	// Binary is bin/bridge, built as shipped.
	Binary string
	// Dir takes everything that the processes write.
	Dir string
	// DSN of a PostgreSQL database; empty: SQLite below Dir.
	DSN string
	// Bridges and Stores are how many processes of each; 1 when zero. More than
	// one store needs a DSN.
	Bridges, Stores int
	// Channels by name without the namespace.
	Channels map[string]document.Channel
	// Routing are further entries of the store's document: queues, schedules, bots,
	// and policies, which are those of every channel.
	Routing []document.Entry
	// PlatformEndpoints replace the platforms' own URLs.
	PlatformEndpoints map[string]string
	// StoreArgs and BridgeArgs are flags beyond the addresses and folders.
	StoreArgs, BridgeArgs []string
	// Env of all processes, beside ours.
	Env []string
}

// World is a Bridge and a ConversationStore as processes.
type World struct {
	Bridges, Stores []*Process
	// Public balances webhooks over the bridges, Internal what bridges ask the
	// stores, REST what desks ask them.
	Public, Internal, REST *Balancer

	opts                          Options
	bridgeDocuments, storeFolders string
	dsnFile                       string
}

// New lays everything out and starts nothing.
func New(o Options) (*World, error) {
	o.Bridges, o.Stores = max(o.Bridges, 1), max(o.Stores, 1)
	w := &World{opts: o, bridgeDocuments: filepath.Join(o.Dir, "bridge-documents"), storeFolders: filepath.Join(o.Dir, "store-documents")}
	if err := w.certificates(); err != nil {
		return nil, err
	}
	if o.DSN != "" {
		w.dsnFile = filepath.Join(o.Dir, "dsn")
		if err := w.SetDSN(o.DSN); err != nil {
			return nil, err
		}
	}
	if err := w.lay(); err != nil {
		return nil, err
	}
	return w, w.SetChannels(o.Channels)
}

// SetDSN replaces the DSN that the stores read, as a rotation does.
func (w *World) SetDSN(dsn string) error { return replace(w.dsnFile, []byte(dsn)) }

func (w *World) certificates() error {
	ca, err := pki.Load(nil)
	if err != nil {
		return err
	}
	now := time.Now()
	if _, err := ca.Step(now); err != nil {
		return err
	}
	for folder, identity := range map[string]string{
		"store-tls":  wire.StoreIdentity(Namespace, "default"),
		"bridge-tls": wire.BridgeIdentity(Namespace, "default"),
	} {
		data, err := ca.Issue(pki.Leaf{Identity: identity, DNSNames: []string{"localhost"}}, now)
		if err != nil {
			return err
		}
		for name, content := range data {
			if err := replace(filepath.Join(w.opts.Dir, folder, name), content); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *World) lay() (err error) {
	var internal, rest, public []string
	for i := range w.opts.Stores {
		p, err := w.store(i)
		if err != nil {
			return err
		}
		w.Stores = append(w.Stores, p)
		internal, rest = append(internal, p.Internal), append(rest, p.Listen)
	}
	for i := range w.opts.Bridges {
		p, err := w.bridge(i)
		if err != nil {
			return err
		}
		w.Bridges = append(w.Bridges, p)
		public = append(public, p.Listen)
	}
	for into, backends := range map[**Balancer][]string{&w.Internal: internal, &w.REST: rest, &w.Public: public} {
		if *into, err = NewBalancer(backends...); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) store(i int) (*Process, error) {
	p, err := w.process(fmt.Sprintf("store-%d", i))
	if err != nil {
		return nil, err
	}
	p.args = append([]string{
		"store", "--documents", w.storeFolders, "--tls", filepath.Join(w.opts.Dir, "store-tls"), "--data", filepath.Join(w.opts.Dir, p.Name, "data"),
		"--listen", p.Listen, "--internal-listen", p.Internal, "--health-listen", p.Health,
	}, w.opts.StoreArgs...)
	if w.dsnFile != "" {
		p.args = append(p.args, "--backend", "postgres", "--postgres-dsn-file", w.dsnFile)
	}
	return p, os.MkdirAll(filepath.Join(w.opts.Dir, p.Name, "data"), 0o700)
}

func (w *World) bridge(i int) (*Process, error) {
	p, err := w.process(fmt.Sprintf("bridge-%d", i))
	if err != nil {
		return nil, err
	}
	p.args = append([]string{
		"serve", "--documents", w.bridgeDocuments, "--tls", filepath.Join(w.opts.Dir, "bridge-tls"),
		"--listen", p.Listen, "--internal-listen", p.Internal, "--health-listen", p.Health,
	}, w.opts.BridgeArgs...)
	return p, nil
}

func (w *World) process(name string) (*Process, error) {
	p := &Process{Name: name, binary: w.opts.Binary, env: w.opts.Env, log: filepath.Join(w.opts.Dir, name+".log")}
	for _, into := range []*string{&p.Listen, &p.Internal, &p.Health} {
		port, err := ports.Free(context.Background())
		if err != nil {
			return nil, err
		}
		*into = net.JoinHostPort("127.0.0.1", port)
	}
	return p, nil
}

// Start runs all stores, then all bridges, until each is ready.
func (w *World) Start(ctx context.Context) error {
	for _, list := range [][]*Process{w.Stores, w.Bridges} {
		for _, p := range list {
			if err := p.Launch(); err != nil {
				return err
			}
		}
		for _, p := range list {
			if err := p.WaitReady(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close kills everything.
func (w *World) Close() {
	for _, p := range append(w.Bridges[:len(w.Bridges):len(w.Bridges)], w.Stores...) {
		p.Resume()
		p.Kill()
	}
	for _, b := range []*Balancer{w.Public, w.Internal, w.REST} {
		b.Close()
	}
}

// WebhookURL is where a platform sends to: the path of status.webhookURL on
// this machine.
func (w *World) WebhookURL(path string) string { return "http://" + w.Public.Addr() + path }

// Desk is a caller of REST who may do everything.
func (w *World) Desk() *actors.Desk {
	return actors.NewDesk("http://"+w.REST.Addr(), restToken, nil)
}

// SetChannels writes the documents of bridges and stores anew.
func (w *World) SetChannels(channels map[string]document.Channel) error {
	settings, err := json.Marshal(document.BridgeSettings{
		StoreURL: "https://localhost:" + w.Internal.Port(), PublicURL: "http://" + w.Public.Addr(),
		PlatformEndpoints: w.opts.PlatformEndpoints, AllowPrivateHosts: true,
	})
	if err != nil {
		return err
	}
	bridge := &document.Document{Kind: document.KindBridge, Name: bridgeName, Generation: 1, Settings: settings}
	store := &document.Document{Kind: document.KindStore, Name: bridgeName, Generation: 1, Settings: []byte(`{"retention":{},"reopenWindow":"24h"}`)}
	hash := sha256.Sum256([]byte(restToken))
	add := func(doc *document.Document, kind document.EntryKind, name string, spec any) {
		e, failed := document.NewEntry(kind, name, 1, spec)
		if failed != nil {
			err = failed
		}
		doc.Entries = append(doc.Entries, e)
	}
	add(store, document.EntryBridge, bridgeName, document.StoreBridge{Identity: wire.BridgeIdentity(Namespace, "default")})
	add(store, document.EntryToken, bridgeName+"/desk", document.Token{
		Hashes: []document.TokenHash{{SHA256: hex.EncodeToString(hash[:])}}, Namespaces: []string{"*"}, Access: document.AccessAdmin,
	})
	var policies []string
	for _, e := range w.opts.Routing {
		if store.Entries = append(store.Entries, e); e.Kind == document.EntryRoutingPolicy {
			policies = append(policies, e.Name)
		}
	}
	for name, c := range channels {
		add(bridge, document.EntryChannel, Namespace+"/"+name, c)
		add(store, document.EntryChannel, Namespace+"/"+name, document.StoreChannel{
			UID: c.UID, Platform: c.Platform, Account: c.Account, App: c.App, Bridge: bridgeName, Receive: c.Receive,
			OutboundPerSecond: c.Limits.OutboundPerSecond, Policies: policies,
		})
	}
	if err != nil {
		return err
	}
	if err := write(store, w.storeFolders); err != nil {
		return err
	}
	return write(bridge, w.bridgeDocuments)
}

func write(doc *document.Document, dir string) error {
	doc.Sort()
	files, err := document.Encode(doc, 1)
	if err != nil {
		return err
	}
	for i, data := range files {
		if err := replace(filepath.Join(dir, document.ShardFile(i)), data); err != nil {
			return err
		}
	}
	return nil
}

// replace writes a file so that nobody sees half of it.
func replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // below a temporary folder
		return err
	}
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// Logs are the ends of all processes' logs, for a failed test.
func (w *World) Logs() string {
	var b strings.Builder
	for _, p := range append(w.Stores[:len(w.Stores):len(w.Stores)], w.Bridges...) {
		fmt.Fprintf(&b, "--- %s\n%s\n", p.Name, p.LogTail())
	}
	return b.String()
}
