package compile

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

const testDSN = "postgres://bridge:hunter2@db.shop:5432/conversations?sslmode=require"

func postgresWorld(t *testing.T, values map[string]string) *world {
	w := newWorld(t)
	w.Stores[0].Spec.Postgres = &v1alpha1.PostgresBackend{DSNSecretRef: v1alpha1.SecretReference{Name: "database"}}
	s := newSecret("shop", "database", "")
	s.Data = map[string][]byte{}
	for k, v := range values {
		s.Data[k] = []byte(v)
	}
	w.Secrets = append([]*corev1.Secret{s}, w.Secrets...)
	return w
}

func (w *world) stamp() string {
	var s document.StoreSettings
	doc := w.write().Stores[shopDefault].Document
	require.NoError(w.t, json.Unmarshal(doc.Settings, &s))
	return s.Database
}

const testPEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

func TestDatabaseOfAPostgresStore(t *testing.T) {
	w := postgresWorld(t, map[string]string{"dsn": testDSN + "\n", "ca.crt": testPEM, "password": "not ours"})
	r := w.compile().Stores[shopDefault]
	require.Empty(t, r.Findings)
	require.Equal(t, map[string]string{"dsn": testDSN, "ca.crt": strings.TrimSpace(testPEM)}, r.Database, "the known keys alone, without space around")
	require.Equal(t, int32(2), r.Effective.Replicas)
	require.Equal(t, int32(5432), r.Effective.Port)
	require.Empty(t, r.Effective.StorageSize)
	require.NotContains(t, string(r.Document.Settings), "hunter2", "a stamp, not the password")

	require.Nil(t, newWorld(t).compile().Stores[shopDefault].Database)
	require.Equal(t, "10Gi", newWorld(t).compile().Stores[shopDefault].Effective.StorageSize)
}

// The document changes with the Secret, so that the pods are made to look, and
// stays while there is nothing usable to look at.
func TestDatabaseStamp(t *testing.T) {
	w := postgresWorld(t, map[string]string{"dsn": testDSN})
	before := w.stamp()
	require.NotEmpty(t, before)
	require.Equal(t, before, w.stamp())
	w.Secrets[0].Data["dsn"] = []byte("broken")
	require.Equal(t, before, w.stamp())
	w.Secrets[0].Data["dsn"] = []byte(strings.Replace(testDSN, "hunter2", "hunter3", 1))
	rotated := w.stamp()
	require.NotEqual(t, before, rotated)
	w.Secrets[0].Data["ca.crt"] = []byte(testPEM)
	require.NotEqual(t, rotated, w.stamp(), "a certificate is part of it")
}

func TestDatabaseMistakes(t *testing.T) {
	dsn := func(v string) map[string]string { return map[string]string{"dsn": v} }
	tests := map[string]struct {
		values   map[string]string
		unlabel  bool
		reason   string
		contains string
	}{
		"a URL":                   {values: dsn("postgresql://db/x")},
		"keywords":                {values: dsn("host=db user=bridge password=hunter2 port=5432")},
		"a socket":                {values: dsn("postgres:///x?host=/var/run/postgresql")},
		"several hosts":           {values: dsn("postgres://a:5432,b:6432/x")},
		"no Secret":               {values: nil, unlabel: true, reason: "SecretNotUsable", contains: "label secret database bridgekeeper.dev/credentials=true"},
		"no key":                  {values: map[string]string{"url": testDSN}, reason: "SecretKeyMissing", contains: `"dsn"`},
		"empty":                   {values: dsn(" \n"), reason: "SecretKeyMissing"},
		"two lines":               {values: dsn(testDSN + "\n" + testDSN), reason: "SecretValueInvalid", contains: "more than one line"},
		"no connection string":    {values: dsn("hunter2"), reason: "SecretValueInvalid", contains: "postgres://user"},
		"another database":        {values: dsn("mysql://bridge:hunter2@db/x"), reason: "SecretValueInvalid"},
		"a password that is none": {values: dsn("postgres://bridge:hunter2%zz@db/x"), reason: "SecretValueInvalid", contains: "%XX"},
		"no host":                 {values: dsn("postgres:///x"), reason: "SecretValueInvalid"},
		"another port":            {values: dsn("postgres://bridge:hunter2@db:6432/x"), reason: "SecretValueInvalid", contains: "spec.postgres.port"},
		"another port, keywords":  {values: dsn("host=db port=6432 password=hunter2"), reason: "SecretValueInvalid", contains: "spec.postgres.port"},
		"no PEM":                  {values: map[string]string{"dsn": testDSN, "ca.crt": "hunter2"}, reason: "SecretValueInvalid", contains: `"ca.crt"`},
		"half a pair":             {values: map[string]string{"dsn": testDSN, "tls.crt": testPEM}, reason: "SecretValueInvalid", contains: `"tls.key"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := postgresWorld(t, tt.values)
			if tt.unlabel {
				w.Secrets[0].Labels = nil
			}
			r := w.compile().Stores[shopDefault]
			if tt.reason == "" {
				require.Empty(t, r.Findings)
				require.NotNil(t, r.Database)
				return
			}
			require.Nil(t, r.Database)
			require.Equal(t, []string{"ResolvedRefs/" + tt.reason}, reasons(r.Findings))
			require.Contains(t, r.Findings[0].Message, "spec.postgres.dsnSecretRef: ")
			require.Contains(t, r.Findings[0].Message, tt.contains)
			require.NotContains(t, r.Findings[0].Message, "hunter2")
		})
	}
}

func TestTwoBackendsAreOneTooMany(t *testing.T) {
	w := postgresWorld(t, map[string]string{"dsn": testDSN})
	w.Stores[0].Spec.SQLite = &v1alpha1.SQLiteBackend{}
	require.Equal(t, []string{"Accepted/InvalidSpec"}, reasons(w.compile().Stores[shopDefault].Findings))
}
