package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpki"
)

// freeAddress is an address that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestStoreCommandServesAndStops(t *testing.T) {
	documents := t.TempDir()
	files, err := document.Encode(&document.Document{Kind: document.KindStore, Name: "shop/default", Generation: 1, Settings: []byte(`{"retention":{},"reopenWindow":"72h"}`)}, 1)
	require.NoError(t, err)
	testpki.Mount(t, documents, map[string][]byte{document.ShardFile(0): files[0]})
	health := freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	root := newRootCommand()
	root.SetArgs([]string{
		"store", "--documents", documents, "--data", t.TempDir(), "--tls", testpki.NewAuthority(t).Folder(t, ""),
		"--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--health-listen", health, "--log-level", "error",
	})
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	require.Eventually(t, func() bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+health+"/readyz", nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, time.Minute, 10*time.Millisecond)
	stop()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("it does not stop")
	}
}

func TestStoreCommandNamesTheFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	tls := testpki.NewAuthority(t).Folder(t, "")
	for flag, args := range map[string][]string{
		"--tls":             {"--tls", t.TempDir()},
		"--internal-listen": {"--tls", tls, "--listen", "127.0.0.1:0", "--internal-listen", taken.Addr().String()},
	} {
		root := newRootCommand()
		root.SetArgs(append([]string{"store", "--data", t.TempDir(), "--documents", t.TempDir()}, args...))
		assert.ErrorContains(t, root.ExecuteContext(t.Context()), flag)
	}
}

func TestStoreBackendFlags(t *testing.T) {
	for want, args := range map[string][]string{
		`--backend "mysql": use sqlite or postgres`:                       {"--backend", "mysql"},
		"--backend postgres needs --postgres-dsn-file":                    {"--backend", "postgres"},
		"--postgres-dsn-file is for --backend postgres":                   {"--postgres-dsn-file", "/x"},
		"open the store: PostgreSQL DSN: open /nowhere/dsn: no such file": {"--backend", "postgres", "--postgres-dsn-file", "/nowhere/dsn"},
	} {
		_, err := execute(t, append([]string{
			"store", "--documents", t.TempDir(), "--tls", testpki.NewAuthority(t).Folder(t, ""),
			"--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0",
		}, args...)...)
		assert.ErrorContains(t, err, want)
	}
}

func TestOpenAPICommand(t *testing.T) {
	root, out := newRootCommand(), &bytes.Buffer{}
	root.SetOut(out)
	root.SetArgs([]string{"openapi", "--format", "json"})
	require.NoError(t, root.ExecuteContext(t.Context()))
	var doc struct {
		Paths map[string]any
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc))
	assert.Contains(t, doc.Paths, "/v1/events")
}
