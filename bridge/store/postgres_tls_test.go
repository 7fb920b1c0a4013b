package store

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/testpki"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	pgserver "github.com/bridgekeeper/bridgekeeper/hack/postgres"
)

// secureServer is a PostgreSQL whose certificate is for localhost, and the
// authority that signed it.
func secureServer(t *testing.T, clientCA []byte) (*pgserver.Server, *testpki.Authority, string) {
	t.Helper()
	postgresOnly(t)
	testServer(t) // skips where there is none
	ca := testpki.NewAuthority(t)
	cert, key := ca.Issue(t, "", time.Hour)
	server, err := pgserver.Start(t.Context(), pgserver.Options{Certificate: cert, PrivateKey: key, ClientCA: clientCA})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	database, err := server.Create(t.Context(), "template1")
	require.NoError(t, err)
	return server, ca, database
}

// mounted writes a store's Secret as its pod has it.
func mounted(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	testpki.Mount(t, dir, files)
	return filepath.Join(dir, "dsn")
}

// Whoever takes the connection string and the CA from an operator of PostgreSQL
// (CloudNativePG: "uri" of the application's Secret, "ca.crt" of the CA's) has a
// connection that verifies the server, without a word about it in the string.
func TestPostgresOverTLS(t *testing.T) {
	server, ca, database := secureServer(t, nil)
	other := testpki.NewAuthority(t)
	uri := func(host, query string) []byte {
		return fmt.Appendf(nil, "postgresql://postgres@%s:%s/%s%s", host, server.Port(), database, query)
	}
	for name, test := range map[string]struct {
		files   map[string][]byte
		refused string // "": it opens
	}{
		"ca.crt":                          {files: map[string][]byte{"dsn": uri("localhost", ""), "ca.crt": ca.PEM}},
		"ca.crt, keywords":                {files: map[string][]byte{"dsn": fmt.Appendf(nil, "host=localhost port=%s user=postgres dbname=%s", server.Port(), database), "ca.crt": ca.PEM}},
		"ca.crt with another one":         {files: map[string][]byte{"dsn": uri("localhost", "?sslmode=verify-full"), "ca.crt": append(other.PEM[:len(other.PEM):len(other.PEM)], ca.PEM...)}},
		"verify-ca minds no host":         {files: map[string][]byte{"dsn": uri("127.0.0.1", "?sslmode=verify-ca"), "ca.crt": ca.PEM}},
		"require verifies nothing":        {files: map[string][]byte{"dsn": uri("localhost", "?sslmode=require")}},
		"another authority":               {files: map[string][]byte{"dsn": uri("localhost", ""), "ca.crt": other.PEM}, refused: "ca.crt beside the DSN"},
		"another host":                    {files: map[string][]byte{"dsn": uri("127.0.0.1", ""), "ca.crt": ca.PEM}, refused: "another host"},
		"the system's authorities":        {files: map[string][]byte{"dsn": uri("localhost", "?sslrootcert=system"), "ca.crt": ca.PEM}, refused: "authority that is not trusted"},
		"the system's authorities, as is": {files: map[string][]byte{"dsn": uri("localhost", "?sslmode=verify-full")}, refused: "authority that is not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			s, err := Open(t.Context(), Options{PostgresDSNFile: mounted(t, test.files)})
			if test.refused != "" {
				require.ErrorContains(t, err, test.refused)
				require.NotContains(t, err.Error(), database, "nothing of the DSN is told")
				require.Less(t, time.Since(began), patientStart/2, "waiting does not mend it")
				return
			}
			require.NoError(t, err)
			defer s.Close()
			plain, err := server.Query(t.Context(), server.DSN(database),
				`SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'bridgekeeper-store'`)
			require.NoError(t, err)
			require.Regexp(t, `^[1-9][0-9]*\|0$`, plain, "every connection is encrypted")
		})
	}
}

func TestPostgresWantsAClientCertificate(t *testing.T) {
	clients := testpki.NewAuthority(t)
	server, ca, database := secureServer(t, clients.PEM)
	files := map[string][]byte{"dsn": fmt.Appendf(nil, "postgres://postgres@localhost:%s/%s", server.Port(), database), "ca.crt": ca.PEM}
	_, err := Open(t.Context(), Options{PostgresDSNFile: mounted(t, files)})
	require.ErrorContains(t, err, "credentials are refused")
	files["tls.crt"], files["tls.key"] = clients.Issue(t, "", time.Hour)
	s, err := Open(t.Context(), Options{PostgresDSNFile: mounted(t, files)})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// An authority that is replaced is in force without a restart; one that cannot
// be right changes nothing but what the store says of itself.
func TestPostgresAuthorityIsRotated(t *testing.T) {
	server, ca, database := secureServer(t, nil)
	files := map[string][]byte{"dsn": fmt.Appendf(nil, "postgres://postgres@localhost:%s/%s", server.Port(), database), "ca.crt": ca.PEM}
	path := mounted(t, files)
	s, err := Open(t.Context(), Options{PostgresDSNFile: path})
	require.NoError(t, err)
	defer s.Close()
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	warning := func() string {
		for _, w := range s.Health(t.Context()).Warnings {
			if w.Reason == warningDSN {
				return w.Message
			}
		}
		return ""
	}
	next := testpki.NewAuthority(t)
	testpki.Mount(t, filepath.Dir(path), map[string][]byte{"dsn": files["dsn"], "ca.crt": next.PEM})
	waitFor(t, "a warning", func() bool { return strings.Contains(warning(), "ca.crt beside the DSN") })
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, text("m1", "x"))[0].Result)
	testpki.Mount(t, filepath.Dir(path), map[string][]byte{"dsn": files["dsn"], "ca.crt": append(next.PEM, ca.PEM...)})
	waitFor(t, "no warning", func() bool { return warning() == "" })
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, text("m2", "x"))[0].Result)
}

func TestPostgresWithoutTLSIsSaidToBe(t *testing.T) {
	postgresOnly(t)
	server := testServer(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dsn"), []byte("postgres://postgres@127.0.0.1:"+server.Port()+"/postgres?sslmode=require"), 0o600))
	_, err := Open(t.Context(), Options{PostgresDSNFile: filepath.Join(dir, "dsn")})
	require.ErrorContains(t, err, "does not speak TLS")
}

func TestACertificateThatHasExpiredIsSaidToBe(t *testing.T) {
	err := fmt.Errorf("tls: %w", x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{}})
	require.Contains(t, untrusted(err), "has expired")
	require.Empty(t, untrusted(context.DeadlineExceeded))
}
