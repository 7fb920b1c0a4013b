package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/pki"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// pod plays one pod: it loads documents as they are complete and answers
// /status with the certificate that the operator issued. Safe for concurrent use.
type pod struct {
	kind     document.Kind
	owner    types.NamespacedName // the Bridge or ConversationStore
	ip       string
	instance string
	server   *http.Server
	mounted  string // resourceVersions of its files

	mu       sync.Mutex
	status   document.Status
	entries  map[string]string // hash in force, by key
	rows     map[string]document.ChannelStatus
	revs     map[string]int64
	revision int64
}

func newPod(kind document.Kind, owner types.NamespacedName, ip string) *pod {
	return &pod{kind: kind, owner: owner, ip: ip, instance: fmt.Sprintf("%s-%s-%d", owner, ip, time.Now().UnixNano()),
		entries: map[string]string{}, rows: map[string]document.ChannelStatus{}, revs: map[string]int64{}}
}

// child is the name that all objects of the pod's owner begin with.
func (p *pod) child() string {
	if p.kind == document.KindStore {
		return workload.StoreChild(p.owner.Name)
	}
	return workload.BridgeChild(p.owner.Name)
}

// serve begins to answer, once there is a certificate.
func (p *pod) serve(ctx context.Context, reader client.Reader) error {
	secret := &corev1.Secret{}
	if err := reader.Get(ctx, types.NamespacedName{Namespace: p.owner.Namespace, Name: workload.TLSSecret(p.child())}, secret); err != nil {
		return err
	}
	pair, err := pki.KeyPair(secret.Data)
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(secret.Data["ca.crt"]) {
		return errors.New("ca.crt has no certificate")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(p.ip, strconv.Itoa(workload.PortInternal)))
	if err != nil {
		return err
	}
	p.server = &http.Server{
		Handler: http.HandlerFunc(p.answer), ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(quiet{}, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients},
	}
	go func() { _ = p.server.ServeTLS(listener, "", "") }()
	return nil
}

// quiet: a restart of the operator ends connections, which is no news.
type quiet struct{}

func (quiet) Write(b []byte) (int, error) { return len(b), nil }

func (p *pod) answer(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64) // nothing: from the beginning
	p.mu.Lock()
	status := p.status
	status.Instance, status.Revision = p.instance, p.revision
	status.Full = r.URL.Query().Get("instance") != p.instance
	for key, row := range p.rows {
		if status.Full && !row.Gone || !status.Full && p.revs[key] > after {
			status.Channels = append(status.Channels, row)
		}
	}
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status)
}

// load takes a document over when all of its shards match, as pods do.
func (p *pod) load(files [][]byte) {
	doc, exceptions, err := document.Decode(files)
	if err != nil {
		return // half of the shards are written
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if doc.Hash == p.status.Hash {
		return
	}
	p.status = document.Status{
		Kind: doc.Kind, Name: doc.Name, Version: "scale", SchemaVersions: []int{document.SchemaVersion}, Hash: doc.Hash, Shards: doc.Shards,
		Generation: doc.Generation, Store: document.Health{OK: true}, Exceptions: exceptions,
	}
	seen := make(map[string]string, len(doc.Entries))
	for _, e := range doc.Entries {
		key := e.Key()
		if seen[key] = e.Hash; p.entries[key] != e.Hash && p.kind == document.KindBridge {
			p.put(key, row(e))
		}
	}
	for key := range p.entries {
		if _, there := seen[key]; !there && p.kind == document.KindBridge {
			p.put(key, document.ChannelStatus{Entry: key, Gone: true})
		}
	}
	p.entries = seen
}

func (p *pod) put(key string, row document.ChannelStatus) {
	if !reflect.DeepEqual(p.rows[key], row) {
		p.revision++
		p.rows[key], p.revs[key] = row, p.revision
	}
}

// row is what a pod says of an entry whose platform does all it is asked.
func row(e document.Entry) document.ChannelStatus {
	done := func() *document.Duty { return &document.Duty{State: document.DutyDone} }
	r := document.ChannelStatus{Entry: e.Key(), Hash: e.Hash, Held: true}
	switch e.Kind {
	case document.EntryChannel:
		var spec document.Channel
		_ = json.Unmarshal(e.Spec, &spec) // what is wrong with it, its exception says
		r.Credentials, r.Profile, r.Delivering, r.DisplayName = done(), done(), done(), "Shop "+spec.Account
		if spec.Receive == document.ReceivePolling {
			r.Receiving = done()
		} else if r.Webhook = done(); !spec.RegisterWebhook {
			r.Webhook.State = document.DutyPending
		}
	case document.EntryTombstone:
		r.Webhook = done()
	}
	return r
}
