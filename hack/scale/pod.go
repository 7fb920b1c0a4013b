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
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/pki"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
	"github.com/bridgekeeper/bridgekeeper/hack/standin"
)

// pod plays one pod: it loads documents as they are complete and answers
// /status with the certificate that the operator issued. Safe for concurrent use.
type pod struct {
	kind    document.Kind
	owner   types.NamespacedName // the Bridge or ConversationStore
	ip      string
	server  *http.Server
	mounted string // resourceVersions of its files

	mu      sync.Mutex
	says    *standin.Pod
	entries map[string]string // hash in force, by key
}

func newPod(kind document.Kind, owner types.NamespacedName, ip string) *pod {
	return &pod{kind: kind, owner: owner, ip: ip, entries: map[string]string{},
		says: standin.NewPod(fmt.Sprintf("%s-%s-%d", owner, ip, time.Now().UnixNano()))}
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
	status := p.says.Answer(r.URL.Query().Get("instance"), after)
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
	if doc.Hash == p.says.Status.Hash {
		return
	}
	p.says.Load(doc, exceptions, "scale")
	seen := make(map[string]string, len(doc.Entries))
	for _, e := range doc.Entries {
		key := e.Key()
		if seen[key] = e.Hash; p.entries[key] != e.Hash && p.kind == document.KindBridge {
			p.says.Put(standin.Row(e, func(c document.Channel) string { return "Shop " + c.Account }))
		}
	}
	p.says.Keep(func(entry string) bool { return seen[entry] != "" })
	p.entries = seen
}
