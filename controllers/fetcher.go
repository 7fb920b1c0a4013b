package controllers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	"github.com/bridgekeeper/bridgekeeper/controllers/pki"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

const (
	// pollFast while something is pending: people wait for Ready. A request
	// costs a pod well under a millisecond.
	pollFast = 300 * time.Millisecond
	// pollSlow at rest: how late a platform's trouble shows in a condition.
	pollSlow = 10 * time.Second
	// fetchTimeout of one answer. A full one of 10 000 channels is some 2 MiB.
	fetchTimeout = 5 * time.Second
	// maxAnswer bounds what is read of an answer: ten times that.
	maxAnswer = 20 << 20
)

// PodAddress is a pod whose /status can be asked.
type PodAddress struct {
	Name string
	IP   string
	// ServerName in its certificate.
	ServerName string
}

// StatusFetcher asks a pod for its status.
type StatusFetcher interface {
	FetchStatus(ctx context.Context, pod PodAddress, instance string, after int64) (document.Status, error)
}

// httpFetcher asks over mutual TLS with the operator's own certificate.
type httpFetcher struct {
	port int

	mu        sync.Mutex
	authority []byte // bundle that transport was made with
	notAfter  time.Time
	clients   map[string]*http.Client // by server name
	pair      tls.Certificate
	pool      *x509.CertPool
}

func newHTTPFetcher() *httpFetcher {
	return &httpFetcher{port: workload.PortInternal, clients: map[string]*http.Client{}}
}

// use takes the authorities in force; a certificate of our own is issued in
// memory, so nothing has to be kept.
func (f *httpFetcher) use(a *pki.Authorities, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if string(f.authority) == string(a.Bundle()) && now.Before(f.notAfter) {
		return nil
	}
	issued, err := a.Issue(pki.Leaf{Identity: wire.OperatorIdentity}, now)
	if err != nil {
		return fmt.Errorf("the operator's own certificate: %w", err)
	}
	if f.pair, err = pki.KeyPair(issued); err != nil {
		return err
	}
	f.authority, f.notAfter, f.pool = a.Bundle(), pki.RenewAt(issued), a.Pool()
	for _, c := range f.clients {
		c.CloseIdleConnections()
	}
	f.clients = map[string]*http.Client{}
	return nil
}

var errNoAuthority = errors.New("the certificate authority is not there yet")

// client is one per server name: connections to a pod are reused between polls.
func (f *httpFetcher) client(serverName string) (*http.Client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pool == nil {
		return nil, errNoAuthority
	}
	c := f.clients[serverName]
	if c == nil {
		c = &http.Client{
			Timeout: fetchTimeout,
			Transport: &http.Transport{
				TLSClientConfig: &tls.Config{
					MinVersion:   tls.VersionTLS13,
					ServerName:   serverName,
					RootCAs:      f.pool,
					Certificates: []tls.Certificate{f.pair},
				},
				ForceAttemptHTTP2:   true,
				IdleConnTimeout:     2 * pollSlow,
				MaxIdleConnsPerHost: 1,
				DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			},
		}
		f.clients[serverName] = c
	}
	return c, nil
}

// FetchStatus implements StatusFetcher.
func (f *httpFetcher) FetchStatus(ctx context.Context, pod PodAddress, instance string, after int64) (document.Status, error) {
	client, err := f.client(pod.ServerName)
	if err != nil {
		return document.Status{}, err
	}
	u := url.URL{
		Scheme: "https", Host: net.JoinHostPort(pod.IP, strconv.Itoa(f.port)), Path: "/status",
		RawQuery: url.Values{"instance": {instance}, "after": {strconv.FormatInt(after, 10)}}.Encode(),
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return document.Status{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return document.Status{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return document.Status{}, fmt.Errorf("pod %s: /status answered %s", pod.Name, resp.Status)
	}
	var status document.Status
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&status); err != nil {
		return document.Status{}, fmt.Errorf("pod %s: /status: %w", pod.Name, err)
	}
	return status, nil
}
