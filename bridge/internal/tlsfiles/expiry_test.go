package tlsfiles

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpki"
)

// What is told is the certificate in force, also after a rotation, and nothing
// where there is none.
func TestExpiryFollowsTheFiles(t *testing.T) {
	ca := testpki.NewAuthority(t)
	dir := ca.Folder(t, "")
	e := NewExpiry("bridge")
	require.Zero(t, testutil.CollectAndCount(e))

	c := &clock{now: time.Now()}
	f := open(t, dir, c)
	e.Watch(f)
	ends := float64(f.current.cert.Leaf.NotAfter.Unix())
	require.Equal(t, ends, testutil.ToFloat64(e))

	cert, key := ca.Issue(t, "", 48*time.Hour)
	testpki.Mount(t, dir, map[string][]byte{certFile: cert, keyFile: key, caFile: ca.PEM})
	c.Advance(2 * checkInterval)
	require.NotEqual(t, ends, testutil.ToFloat64(e))
}
