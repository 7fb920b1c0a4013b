package wire

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
)

// OperatorIdentity is the URI SAN of the operator's client certificate. It may
// read /status and nothing else.
const OperatorIdentity = "spiffe://bridgekeeper/operator"

// trustDomain is the host of every identity: the installation's own CA, so
// that a certificate of a service mesh is never mistaken for one of ours.
const trustDomain = "bridgekeeper"

// BridgeIdentity is the URI SAN of a Bridge's client certificate.
func BridgeIdentity(namespace, name string) string {
	return fmt.Sprintf("spiffe://%s/ns/%s/bridge/%s", trustDomain, namespace, name)
}

// StoreIdentity is the URI SAN of a ConversationStore's serving certificate.
func StoreIdentity(namespace, name string) string {
	return fmt.Sprintf("spiffe://%s/ns/%s/store/%s", trustDomain, namespace, name)
}

// Peer is who is at the other end of a connection: the operator, a Bridge, or
// (both zero) neither.
type Peer struct {
	Operator bool
	Bridge   string // "namespace/name"
}

// PeerOf reads the identity from a verified certificate. An error means that
// it names neither the operator nor a Bridge. As the SPIFFE standard (X.509
// SVID, section 2) wants it, there must be exactly one URI SAN: with two, the
// holder could choose who to be.
func PeerOf(cert *x509.Certificate) (Peer, error) {
	if len(cert.URIs) != 1 {
		return Peer{}, fmt.Errorf("certificate has %d URI SANs, want exactly 1", len(cert.URIs))
	}
	return parseIdentity(cert.URIs[0])
}

func parseIdentity(u *url.URL) (Peer, error) {
	text := u.String()
	if text == OperatorIdentity {
		return Peer{Operator: true}, nil
	}
	rest, ok := strings.CutPrefix(text, "spiffe://"+trustDomain+"/ns/")
	if !ok {
		return Peer{}, fmt.Errorf("certificate identity %q is not of this installation", text)
	}
	segments := strings.Split(rest, "/")
	if len(segments) != 3 || segments[1] != "bridge" || !plainName(segments[0]) || !plainName(segments[2]) {
		return Peer{}, fmt.Errorf("certificate identity %q names no Bridge", text)
	}
	return Peer{Bridge: segments[0] + "/" + segments[2]}, nil
}

// plainName accepts what Kubernetes allows in names (RFC 1123 subdomains), so
// that no escape can make two identities of one name.
func plainName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' {
			return false
		}
	}
	return true
}
