package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// authorityLife: two thirds of it pass before the next one is made.
	authorityLife = 365 * 24 * time.Hour
	// publishFor is how long a new authority is trusted before it signs. The
	// slowest way of a Secret into a pod takes about two minutes.
	publishFor = 24 * time.Hour
	// leafLife of pods' certificates, renewed after two thirds.
	leafLife = 30 * 24 * time.Hour
	// backdate allows for clocks of nodes that are behind.
	backdate = 5 * time.Minute
)

// Keys of the Secret that holds the authorities.
const (
	keyCurrentCert  = "current.crt"
	keyCurrentKey   = "current.key"
	keyNextCert     = "next.crt"
	keyNextKey      = "next.key"
	keyPreviousCert = "previous.crt"
)

// Authorities are the certificate authorities in force.
type Authorities struct {
	current  *authority
	next     *authority
	previous *x509.Certificate
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Load reads authorities from a Secret's data; empty data gives empty
// Authorities, for Step to begin with.
func Load(data map[string][]byte) (*Authorities, error) {
	a := &Authorities{}
	if len(data) == 0 {
		return a, nil
	}
	var err error
	if a.current, err = loadAuthority(data, keyCurrentCert, keyCurrentKey); err != nil {
		return nil, err
	}
	if a.next, err = loadAuthority(data, keyNextCert, keyNextKey); err != nil {
		return nil, err
	}
	if raw := data[keyPreviousCert]; len(raw) > 0 {
		if a.previous, err = parseCert(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", keyPreviousCert, err)
		}
	}
	return a, nil
}

// Data is what Load reads.
func (a *Authorities) Data() (map[string][]byte, error) {
	data := map[string][]byte{}
	for _, e := range []struct {
		a         *authority
		cert, key string
	}{{a.current, keyCurrentCert, keyCurrentKey}, {a.next, keyNextCert, keyNextKey}} {
		if e.a == nil {
			continue
		}
		key, err := keyPEM(e.a.key)
		if err != nil {
			return nil, err
		}
		data[e.cert], data[e.key] = certPEM(e.a.cert), key
	}
	if a.previous != nil {
		data[keyPreviousCert] = certPEM(a.previous)
	}
	return data, nil
}

// Step moves the rotation on by at most one step and tells whether anything
// changed. An expired current authority (a cluster that was off for long) is
// replaced at once.
func (a *Authorities) Step(now time.Time) (changed bool, err error) {
	if a.previous != nil && now.After(a.previous.NotAfter) {
		a.previous, changed = nil, true
	}
	switch {
	case a.current == nil || now.After(a.current.cert.NotAfter):
		a.next = nil
		a.current, err = newAuthority(now)
		return true, err
	case a.next != nil && now.After(a.next.cert.NotBefore.Add(backdate+publishFor)):
		a.previous, a.current, a.next = a.current.cert, a.next, nil
		return true, nil
	case a.next == nil && now.After(twoThirds(a.current.cert)):
		a.next, err = newAuthority(now)
		return true, err
	}
	return changed, nil
}

// NextStep is when Step has something to do next.
func (a *Authorities) NextStep() time.Time {
	if a.next != nil {
		return a.next.cert.NotBefore.Add(backdate + publishFor)
	}
	return twoThirds(a.current.cert)
}

// Bundle is the PEM of everything that is to be trusted.
func (a *Authorities) Bundle() []byte {
	var out bytes.Buffer
	if a.previous != nil {
		out.Write(certPEM(a.previous))
	}
	out.Write(certPEM(a.current.cert))
	if a.next != nil {
		out.Write(certPEM(a.next.cert))
	}
	return out.Bytes()
}

// Pool is Bundle as a pool.
func (a *Authorities) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.Bundle())
	return pool
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "bridgekeeper " + now.UTC().Format("2006-01-02")},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert: cert, key: key}, err
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // RFC 5280 4.1.2.2: at most 20 octets
}

func twoThirds(cert *x509.Certificate) time.Time {
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) * 2 / 3)
}

func loadAuthority(data map[string][]byte, certName, keyName string) (*authority, error) {
	if len(data[certName]) == 0 && len(data[keyName]) == 0 {
		return nil, nil //nolint:nilnil // there is none, which is not a mistake
	}
	cert, err := parseCert(data[certName])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certName, err)
	}
	key, err := parseKey(data[keyName])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyName, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s does not belong to %s", keyName, certName)
	}
	return &authority{cert: cert, key: key}, nil
}

func parseCert(raw []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	return x509.ParseCertificate(block.Bytes)
}

func parseKey(raw []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

func certPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
