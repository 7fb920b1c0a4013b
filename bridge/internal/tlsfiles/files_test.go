package tlsfiles

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpki"
)

// clock moves only when a test says so; Files looks at its folder once a second.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T, dir string, c *clock) *Files {
	t.Helper()
	f, err := Open(dir)
	require.NoError(t, err)
	f.now = c.Now
	f.checked = c.Now()
	return f
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	ca := testpki.NewAuthority(t)
	cert, key := ca.Issue(t, "", time.Hour)
	good := map[string][]byte{certFile: cert, keyFile: key, caFile: ca.PEM}
	for name, test := range map[string]struct {
		file string
		with []byte
		want string
	}{
		"no certificate":         {certFile, nil, certFile},
		"no key":                 {keyFile, nil, keyFile},
		"no CA":                  {caFile, nil, caFile},
		"CA without certificate": {caFile, []byte("nothing"), caFile + " holds no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range good {
				if file == test.file {
					content = test.with
				}
				if content != nil {
					require.NoError(t, os.WriteFile(filepath.Join(dir, file), content, 0o600))
				}
			}
			_, err := Open(dir)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestRotationIsTakenOver(t *testing.T) {
	c := &clock{now: time.Now()}
	ca := testpki.NewAuthority(t)
	dir := ca.Folder(t, "")
	f := open(t, dir, c)
	before := f.latest().cert.Leaf.SerialNumber

	cert, key := ca.Issue(t, "", time.Hour)
	testpki.Mount(t, dir, map[string][]byte{certFile: cert, keyFile: key, caFile: ca.PEM})
	assert.Equal(t, int64(1), f.Version(), "the folder is not looked at within the same second")
	c.Advance(checkInterval)
	assert.Equal(t, int64(2), f.Version())
	assert.NotEqual(t, before, f.latest().cert.Leaf.SerialNumber)
}

func TestHalfWrittenFolderChangesNothing(t *testing.T) {
	c := &clock{now: time.Now()}
	ca := testpki.NewAuthority(t)
	dir := ca.Folder(t, "")
	f := open(t, dir, c)
	before := f.latest().cert.Leaf.SerialNumber

	cert, key := ca.Issue(t, "", time.Hour)
	_, otherKey := ca.Issue(t, "", time.Hour)
	testpki.Mount(t, dir, map[string][]byte{certFile: cert, keyFile: otherKey, caFile: ca.PEM})
	c.Advance(checkInterval)
	assert.Equal(t, int64(1), f.Version(), "key and certificate do not belong together")
	assert.Equal(t, before, f.latest().cert.Leaf.SerialNumber)

	testpki.Mount(t, dir, map[string][]byte{certFile: cert, keyFile: key, caFile: ca.PEM})
	c.Advance(checkInterval)
	assert.Equal(t, int64(2), f.Version(), "and is taken once they do")
}

// server answers 200 over mutual TLS with the files of dir.
func server(t *testing.T, f *Files) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http.Server{
		Handler:           f.Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })),
		TLSConfig:         f.ServerConfig(),
		ConnContext:       ConnContext,
		ReadHeaderTimeout: time.Minute,
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return "https://localhost:" + port
}

func client(t *testing.T, f *Files) *http.Client {
	t.Helper()
	transport := &http.Transport{DialTLSContext: f.DialTLS, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := c.Do(req)
	if err == nil {
		require.NoError(t, resp.Body.Close())
	}
	return resp, err
}

func TestMutualTLS(t *testing.T) {
	c := &clock{now: time.Now()}
	ca := testpki.NewAuthority(t)
	url := server(t, open(t, ca.Folder(t, ""), c))

	t.Run("same CA: HTTP/2 and TLS 1.3", func(t *testing.T) {
		resp, err := get(t, client(t, open(t, ca.Folder(t, ""), c)), url)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, 2, resp.ProtoMajor)
		assert.Equal(t, uint16(tls.VersionTLS13), resp.TLS.Version)
	})
	t.Run("client of another CA", func(t *testing.T) {
		dir := testpki.NewAuthority(t).Folder(t, "")
		require.NoError(t, os.Remove(filepath.Join(dir, caFile)))
		require.NoError(t, os.WriteFile(filepath.Join(dir, caFile), ca.PEM, 0o600)) // it trusts us, we do not trust it
		_, err := get(t, client(t, open(t, dir, c)), url)
		assert.Error(t, err)
	})
	t.Run("server of another CA", func(t *testing.T) {
		_, err := get(t, client(t, open(t, testpki.NewAuthority(t).Folder(t, ""), c)), url)
		var unknown *tls.CertificateVerificationError
		assert.True(t, errors.As(err, &unknown), "got %v", err)
	})
	t.Run("no client certificate", func(t *testing.T) {
		f := open(t, ca.Folder(t, ""), c)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.current.roots, MinVersion: tls.VersionTLS13}}
		defer transport.CloseIdleConnections()
		_, err := get(t, &http.Client{Transport: transport}, url)
		assert.Error(t, err)
	})
}

func TestRotatedOutPeerIsCutOffOnItsOpenConnection(t *testing.T) {
	c := &clock{now: time.Now()}
	ca, next := testpki.NewAuthority(t), testpki.NewAuthority(t)
	serverDir, clientDir := ca.Folder(t, ""), ca.Folder(t, "")
	url := server(t, open(t, serverDir, c))
	peer := open(t, clientDir, c)
	httpClient := client(t, peer)
	resp, err := get(t, httpClient, url)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)

	// The old CA leaves the bundle; the client has not rotated yet.
	cert, key := next.Issue(t, "", time.Hour)
	testpki.Mount(t, serverDir, map[string][]byte{certFile: cert, keyFile: key, caFile: next.PEM})
	c.Advance(checkInterval)
	resp, err = get(t, httpClient, url)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)

	// With its new certificate it comes back, on the same client.
	cert, key = next.Issue(t, "", time.Hour)
	testpki.Mount(t, clientDir, map[string][]byte{certFile: cert, keyFile: key, caFile: next.PEM})
	c.Advance(checkInterval)
	require.Eventually(t, func() bool {
		resp, err := get(t, httpClient, url)
		return err == nil && resp.StatusCode == http.StatusOK
	}, time.Minute, 10*time.Millisecond)
}

func TestExpiredPeerIsCutOff(t *testing.T) {
	c := &clock{now: time.Now()}
	ca := testpki.NewAuthority(t)
	url := server(t, open(t, ca.Folder(t, ""), c))
	httpClient := client(t, open(t, ca.Folder(t, ""), c))
	_, err := get(t, httpClient, url)
	require.NoError(t, err)
	c.Advance(2 * time.Hour) // certificates of the tests live for one
	resp, err := get(t, httpClient, url)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
}
