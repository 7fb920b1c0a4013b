package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Leaf says whom a certificate is for.
type Leaf struct {
	// Identity is the URI SAN that peers check rights by.
	Identity string
	// DNSNames that clients dial.
	DNSNames []string
}

// Issue makes a key and a certificate signed by the current authority, as the
// data of a kubernetes.io/tls Secret with ca.crt. It serves and calls: pods do both.
func (a *Authorities) Issue(leaf Leaf, now time.Time) (map[string][]byte, error) {
	uri, err := url.Parse(leaf.Identity)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	end := now.Add(leafLife)
	if end.After(a.current.cert.NotAfter) {
		end = a.current.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"bridgekeeper"}},
		NotBefore:    now.Add(-backdate),
		NotAfter:     end,
		DNSNames:     leaf.DNSNames,
		URIs:         []*url.URL{uri},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.current.cert, key.Public(), a.current.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyData, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		corev1.TLSCertKey:              certPEM(cert),
		corev1.TLSPrivateKeyKey:        keyData,
		corev1.ServiceAccountRootCAKey: a.Bundle(),
	}, nil
}

// Renew returns data that is good for leaf: the given one when it still is, so
// that nothing is written; the same key with a new bundle when only the trust
// changed; a new certificate otherwise.
func (a *Authorities) Renew(data map[string][]byte, leaf Leaf, now time.Time) (map[string][]byte, bool, error) {
	if !a.good(data, leaf, now) {
		issued, err := a.Issue(leaf, now)
		return issued, true, err
	}
	if bytes.Equal(data[corev1.ServiceAccountRootCAKey], a.Bundle()) {
		return data, false, nil
	}
	return map[string][]byte{
		corev1.TLSCertKey:              data[corev1.TLSCertKey],
		corev1.TLSPrivateKeyKey:        data[corev1.TLSPrivateKeyKey],
		corev1.ServiceAccountRootCAKey: a.Bundle(),
	}, true, nil
}

func (a *Authorities) good(data map[string][]byte, leaf Leaf, now time.Time) bool {
	if _, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]); err != nil {
		return false
	}
	cert, err := parseCert(data[corev1.TLSCertKey])
	if err != nil || now.After(twoThirds(cert)) {
		return false
	}
	return cert.CheckSignatureFrom(a.current.cert) == nil &&
		len(cert.URIs) == 1 && cert.URIs[0].String() == leaf.Identity &&
		slices.Equal(cert.DNSNames, leaf.DNSNames)
}

// RenewAt is when a certificate wants to be renewed; zero when it is unreadable.
func RenewAt(data map[string][]byte) time.Time {
	cert, err := parseCert(data[corev1.TLSCertKey])
	if err != nil {
		return time.Time{}
	}
	return twoThirds(cert)
}

// KeyPair is issued data as a tls.Certificate.
func KeyPair(data map[string][]byte) (tls.Certificate, error) {
	return tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
}
