package standalone

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/postgres"
)

func TestConnectionFilesAreKept(t *testing.T) {
	dsn := dsnFile(t.TempDir(), theStore)
	read := func() map[string]string {
		entries, err := os.ReadDir(filepath.Dir(dsn))
		require.NoError(t, err)
		files := map[string]string{}
		for _, e := range entries {
			info, err := e.Info()
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), e.Name())
			content, err := os.ReadFile(filepath.Join(filepath.Dir(dsn), e.Name()))
			require.NoError(t, err)
			files[e.Name()] = string(content)
		}
		return files
	}
	first := map[string]string{"dsn": "postgres://one", "ca.crt": "authority"}
	require.NoError(t, keepDatabase(dsn, first))
	require.Equal(t, first, read())
	require.NoError(t, keepDatabase(dsn, nil))
	require.Equal(t, first, read(), "while its Secret is broken a store goes on with what it has")
	second := map[string]string{"dsn": "postgres://two"}
	require.NoError(t, keepDatabase(dsn, second))
	require.Equal(t, second, read(), "what is not in the Secret any more is not used any more")
}

// The same manifests run on a real PostgreSQL; while its Secret is missing, a
// finding says so and nothing is kept elsewhere instead.
func TestPostgres(t *testing.T) {
	server, err := postgres.Start(t.Context(), postgres.Options{})
	postgres.Require(t, err)
	t.Cleanup(server.Close)
	dsn, err := server.NewDatabase(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	address, err := url.Parse(dsn)
	require.NoError(t, err)
	h, port := prepareHome(t), address.Port()
	h.write("store.yaml", `apiVersion: bridgekeeper.dev/v1alpha1
kind: ConversationStore
metadata: {name: default}
spec: {postgres: {dsnSecretRef: {name: database}, port: `+port+`}}
`)
	h.begin()
	h.eventually("told", func() bool {
		return h.says("ConversationStore shop/default  SecretNotUsable: spec.postgres.dsnSecretRef")
	})
	require.Equal(t, http.StatusNotFound, h.rest("GET", "/v1/messages", "", nil), "no store runs")
	h.write("database.yaml", `apiVersion: v1
kind: Secret
metadata: {name: database, labels: {bridgekeeper.dev/credentials: "true"}}
stringData: {dsn: "`+dsn+`"}
`)
	h.eventually("the store runs", func() bool { return h.rest("GET", "/v1/messages", "", nil) == http.StatusOK })
	h.converse(pollingBot, 77, "poll")
	require.NoFileExists(t, filepath.Join(h.data, "shop", "default", "store.db"))
	for _, text := range []string{h.screen.String(), h.logs.String()} {
		require.NotContains(t, text, dsn)
	}
	h.restart()
	var list messageList
	require.Equal(t, http.StatusOK, h.rest("GET", "/v1/messages?channel=shop/poll", "", &list))
	require.NotEmpty(t, list.Items)
}
