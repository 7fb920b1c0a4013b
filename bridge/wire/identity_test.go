package wire

import (
	"crypto/x509"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func certWith(t *testing.T, uris ...string) *x509.Certificate {
	t.Helper()
	cert := &x509.Certificate{}
	for _, text := range uris {
		u, err := url.Parse(text)
		require.NoError(t, err)
		cert.URIs = append(cert.URIs, u)
	}
	return cert
}

func TestPeerOf(t *testing.T) {
	t.Run("operator", func(t *testing.T) {
		peer, err := PeerOf(certWith(t, OperatorIdentity))
		require.NoError(t, err)
		assert.Equal(t, Peer{Operator: true}, peer)
	})
	t.Run("bridge", func(t *testing.T) {
		peer, err := PeerOf(certWith(t, BridgeIdentity("shop", "default")))
		require.NoError(t, err)
		assert.Equal(t, Peer{Bridge: "shop/default"}, peer)
	})
}

func TestPeerOfRefuses(t *testing.T) {
	for name, uris := range map[string][]string{
		"no URI":             nil,
		"two URIs":           {BridgeIdentity("shop", "a"), BridgeIdentity("shop", "b")},
		"a store":            {"spiffe://bridgekeeper/ns/shop/store/default"},
		"other trust domain": {"spiffe://cluster.local/ns/shop/bridge/default"},
		"other scheme":       {"https://bridgekeeper/ns/shop/bridge/default"},
		"missing name":       {"spiffe://bridgekeeper/ns/shop/bridge/"},
		"longer path":        {"spiffe://bridgekeeper/ns/shop/bridge/a/b"},
		"escaped slash":      {"spiffe://bridgekeeper/ns/shop/bridge/a%2Fb"},
		"query":              {"spiffe://bridgekeeper/ns/shop/bridge/a?x=1"},
		"operator and more":  {OperatorIdentity + "/x"},
		"upper case":         {"spiffe://bridgekeeper/ns/shop/bridge/A"},
	} {
		t.Run(name, func(t *testing.T) {
			peer, err := PeerOf(certWith(t, uris...))
			require.Error(t, err)
			assert.Zero(t, peer)
		})
	}
}
