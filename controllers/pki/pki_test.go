package pki

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var leaf = Leaf{Identity: wire.BridgeIdentity("shop", "default"), DNSNames: []string{"default-bridge.shop.svc"}}

func newAuthorities(t *testing.T) *Authorities {
	t.Helper()
	a, err := Load(nil)
	require.NoError(t, err)
	changed, err := a.Step(start)
	require.NoError(t, err)
	require.True(t, changed)
	return a
}

func verify(t *testing.T, bundle, cert []byte, now time.Time) error {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(bundle))
	c, err := parseCert(cert)
	require.NoError(t, err)
	_, err = c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

func TestAuthoritiesSurviveTheirSecret(t *testing.T) {
	a := newAuthorities(t)
	data, err := a.Data()
	require.NoError(t, err)
	b, err := Load(data)
	require.NoError(t, err)
	changed, err := b.Step(start)
	require.NoError(t, err)
	require.False(t, changed, "nothing to do right after the beginning")
	require.Equal(t, a.Bundle(), b.Bundle())
}

func TestForeignKeyIsRefused(t *testing.T) {
	data, err := newAuthorities(t).Data()
	require.NoError(t, err)
	other, err := newAuthorities(t).Data()
	require.NoError(t, err)
	data[keyCurrentKey] = other[keyCurrentKey]
	_, err = Load(data)
	require.ErrorContains(t, err, "does not belong")
}

// At no time of two years may a peer that is up to two minutes behind meet a
// certificate that its bundle does not know.
func TestRotationOverlaps(t *testing.T) {
	a := newAuthorities(t)
	oldBundle := a.Bundle()
	data, err := a.Issue(leaf, start)
	require.NoError(t, err)
	signers := map[string]bool{}
	for now := start; now.Before(start.Add(2 * authorityLife)); now = now.Add(6 * time.Hour) {
		_, err := a.Step(now)
		require.NoError(t, err)
		data, _, err = a.Renew(data, leaf, now)
		require.NoError(t, err)
		require.NoError(t, verify(t, oldBundle, data[corev1.TLSCertKey], now), "a peer with the bundle of six hours ago refuses us at %s", now)
		require.NoError(t, verify(t, data[corev1.ServiceAccountRootCAKey], data[corev1.TLSCertKey], now))
		oldBundle = a.Bundle()
		signers[a.current.cert.Subject.CommonName] = true
	}
	require.GreaterOrEqual(t, len(signers), 3, "two years see more than two authorities")
}

func TestRenewWritesOnlyWhenNeeded(t *testing.T) {
	a := newAuthorities(t)
	data, err := a.Issue(leaf, start)
	require.NoError(t, err)
	same, changed, err := a.Renew(data, leaf, start.Add(19*24*time.Hour))
	require.NoError(t, err)
	require.False(t, changed)
	require.Equal(t, data, same)

	_, changed, err = a.Renew(data, leaf, start.Add(21*24*time.Hour))
	require.NoError(t, err)
	require.True(t, changed, "two thirds of 30 days are over")

	_, changed, err = a.Renew(data, Leaf{Identity: wire.BridgeIdentity("shop", "other"), DNSNames: leaf.DNSNames}, start)
	require.NoError(t, err)
	require.True(t, changed, "it is for somebody else")

	_, changed, err = a.Renew(map[string][]byte{corev1.TLSCertKey: []byte("garbage")}, leaf, start)
	require.NoError(t, err)
	require.True(t, changed, "garbage is replaced")
}

func TestExpiredAuthorityIsReplacedAtOnce(t *testing.T) {
	a := newAuthorities(t)
	late := start.Add(2 * authorityLife)
	changed, err := a.Step(late)
	require.NoError(t, err)
	require.True(t, changed)
	data, err := a.Issue(leaf, late)
	require.NoError(t, err)
	require.NoError(t, verify(t, a.Bundle(), data[corev1.TLSCertKey], late))
}
