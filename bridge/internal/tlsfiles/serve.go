package tlsfiles

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/problem"
)

// ServerConfig demands TLS 1.3 and a client certificate of the CA. Each
// handshake uses the folder's state of that moment.
func (f *Files) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return f.latest().server, nil
		},
	}
}

type connKey struct{}

// verified remembers, per connection, the version of the CA bundle that its
// peer was last checked against.
type verified struct{ version atomic.Int64 }

// ConnContext is the http.Server.ConnContext that Guard needs.
func ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, &verified{})
}

// Guard refuses requests of peers whose certificate has expired or is no
// longer of the CA bundle. HTTP/2 connections live for weeks: without it, a
// certificate would stay good long after it was rotated out. The answer is 401
// and the connection is closed, so that the peer comes again with a new one.
func (f *Files) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.trusts(r) {
			w.Header().Set("Connection", "close") // HTTP/2: GOAWAY
			problem.Write(w, http.StatusUnauthorized, "the client certificate is no longer valid; connect again with the current one")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (f *Files) trusts(r *http.Request) bool {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	now := f.now()
	if now.After(r.TLS.PeerCertificates[0].NotAfter) {
		return false
	}
	m := f.latest()
	state, _ := r.Context().Value(connKey{}).(*verified)
	if state != nil && state.version.Load() == m.version {
		return true
	}
	if err := m.verify(r.TLS.PeerCertificates, x509.ExtKeyUsageClientAuth, now); err != nil {
		return false
	}
	if state != nil {
		state.version.Store(m.version)
	}
	return true
}

// DialTLS connects with the certificate and the CA bundle of this moment. It
// is an http.Transport.DialTLSContext; the name in the certificate must be the
// host of addr.
func (f *Files) DialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	m := f.latest()
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   host,
		RootCAs:      m.roots,
		Certificates: []tls.Certificate{m.cert},
		NextProtos:   []string{"h2"},
	}}
	return dialer.DialContext(ctx, network, addr)
}
